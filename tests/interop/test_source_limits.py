#!/usr/bin/env python3
"""sourceLimits and timeouts: what a run may cost the server that it reads, and how long it may take.

The lag of a replica is that of a real one: a standby that streams from the server over its socket.
"""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("psycopg", "pyarrow")
import table
from engine import Workspace
from server import Server, Standby, need_server

need_server()

ROWS = 4000
DATABASE = "limits"
SESSIONS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'millrace' AND backend_xmin IS NOT NULL"


def pipeline(limits=None, timeouts=None, retry=None, steps=(), **source):
    config = {"table": "t", "numPartitions": 8, "maxConnections": 4, **source}
    if limits:
        config["sourceLimits"] = limits
    made = {
        "name": "limits", "resources": {"parallelism": 2},
        "steps": [
            {"type": "extract", "method": "fromPostgres", "config": config}, *steps,
            {"type": "load", "method": "toFile", "config": {"path": "out/", "format": "parquet", "mode": "overwrite"}}]}
    if timeouts:
        made["timeouts"] = timeouts
    if retry:
        made["retry"] = retry
    return made


def space_for(server):
    return Workspace(postgres=server.credentials(DATABASE))


def rows_of(space):
    import pyarrow.parquet

    return sum(pyarrow.parquet.read_metadata(f).num_rows for f in table.files(space.file("out")))


def counter(result, name):
    return result.report["steps"][0]["counters"].get(name, 0)


def connections(server):
    """All connections of the step count, the coordinating one too."""
    for most in (1, 2, 3):
        with space_for(server) as space:
            result = space.run(pipeline({"connections": most})).expect(0)
            equal(rows_of(space), ROWS, f"rows with {most} connections")
            check(counter(result, "connections") <= most, f"{most} allowed, {counter(result, 'connections')} opened")


def rows_per_second(server):
    """All readers share the rate; the time that it costs is told apart from other waiting."""
    with space_for(server) as space:
        result = space.run(pipeline({"rowsPerSecond": 2000}, partitionColumn="id")).expect(0)
        equal(rows_of(space), ROWS, "rows")
        limit = result.report["steps"][0]["waiting_ms"]["limit"]
        check(result.report["duration_ms"] >= ROWS / 2000 * 1000, f"took only {result.report['duration_ms']} ms")
        check(limit >= 1000, f"waited only {limit} ms for the limit")
        check("sourceLimits" in result.report["advice"], result.report["advice"])


def snapshot_age(server):
    with space_for(server) as space:
        result = space.run(pipeline({"rowsPerSecond": 1000, "maxSnapshotAge": "500 ms"})).expect(8)
        check("maxSnapshotAge" in result.err and "VACUUM" in result.err + str(result.report["error"]), result)
        check(not os.path.isdir(space.file("out")) or not table.files(space.file("out")), "rows were loaded")
        space.run(pipeline({"maxSnapshotAge": "10 min"})).expect(0)
        equal(rows_of(space), ROWS, "rows")


def stopped(server):
    """A process that is stopped cannot give its snapshot back: the server takes it.

    Not while it waits for a client to take what it has sent: no time limit of PostgreSQL ends that. So the rows of a split are small
    enough for the socket to take them all.
    """
    with space_for(server) as space, server.connect(DATABASE) as watch:
        space.write("pipeline.json", pipeline({"rowsPerSecond": 200, "maxSnapshotAge": "1 s"}, columns=["id"]))
        process = space.start("run", "pipeline.json", "--progress", "none", stdout=-3, stderr=-3)
        try:
            states = SESSIONS.replace("pid", "state", 1)
            wait_until(watch, states, lambda found: len(found) >= 2 and set(found) == {("idle in transaction",)}, process)
            process.send_signal(signal.SIGSTOP)
            wait_until(watch, SESSIONS, lambda found: not found, process)
        finally:
            process.send_signal(signal.SIGCONT)
            code = process.wait(60)
        check(code in (5, 8), f"exit {code}")


def wait_until(watch, query, fits, process=None):
    deadline = time.monotonic() + 60
    while not fits(watch.execute(query).fetchall()):
        check(process is None or process.poll() is None, "the run ended first")
        check(time.monotonic() < deadline, f"not within a minute: {query}")


def step_waits(server):
    with space_for(server) as space:
        slow = pipeline(timeouts={"step": "1 s"}, query="SELECT 1 AS id, pg_sleep(300)::text AS a")
        result = space.run(slow).expect(8)
        check("timeouts.step" in result.err and "fromPostgres" in result.err, result)
        wait_until_idle(server)
        space.run(pipeline(timeouts={"step": "10 min"})).expect(0)
        equal(rows_of(space), ROWS, "rows")


def wait_until_idle(server):
    with server.connect(DATABASE) as watch:
        wait_until(watch, "SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(300)%' AND pid <> pg_backend_pid() AND state = 'active'",
                   lambda found: not found)


def step_computes(server):
    """Also a step that never waits."""
    heavy = {"type": "transform", "method": "enrichData", "config": {"columns": {"h": "sha2(repeat(cast(id AS string), 20000), 512)"}}}
    with space_for(server) as space:
        result = space.run(pipeline(timeouts={"step": "50 ms"}, steps=[heavy])).expect(8)
        check("timeouts.step" in result.err, result)


def run_computes(server):
    heavy = {"type": "transform", "method": "enrichData", "config": {"columns": {"h": "sha2(repeat(cast(id AS string), 20000), 512)"}}}
    with space_for(server) as space:
        result = space.run(pipeline(timeouts={"run": "100 ms"}, steps=[heavy])).expect(8)
        check("timeouts.run" in result.err, result)


LIMITED = {"maxReplicaLag": "1 s"}


def behind(watch):
    """Waits until the standby has something that it does not replay."""
    wait_until(watch, "SELECT FROM (SELECT) s WHERE pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()", lambda found: found)


def pause(standby, primary):
    with standby.connect(DATABASE) as watch:
        watch.execute("SELECT pg_wal_replay_pause()")
        wait_until(watch, "SELECT FROM (SELECT) s WHERE pg_get_wal_replay_pause_state() = 'paused'", lambda found: found)
        primary.execute(DATABASE, "INSERT INTO noise VALUES (1)")
        behind(watch)


def resume(standby):
    standby.execute(DATABASE, "SELECT pg_wal_replay_resume()")


def lag(primary):
    with Standby(primary) as standby:
        with standby.connect(DATABASE) as watch:
            wait_until(watch, "SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'", lambda found: found)
            primary.execute(DATABASE, "INSERT INTO noise VALUES (0)")
            wait_until(watch, "SELECT FROM (SELECT) s WHERE pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() "
                       "AND pg_last_xact_replay_timestamp() IS NOT NULL", lambda found: found)
        with space_for(standby) as space:
            # An idle primary is not a lagging standby, however old its last transaction.
            space.run(pipeline(LIMITED)).expect(0)
            equal(rows_of(space), ROWS, "rows of the standby")
            pause(standby, primary)
            with standby.connect(DATABASE) as watch:
                wait_until(watch, "SELECT FROM (SELECT) s WHERE clock_timestamp() - pg_last_xact_replay_timestamp() > '1 s'", lambda found: found)
            result = space.run(pipeline(LIMITED, retry={"maxDelay": "1 s"})).expect(8)
            check("maxReplicaLag" in result.err and "behind its primary" in result.err, result)
            space.run(pipeline(retry={"maxDelay": "1 s"})).expect(0)  # without the limit nobody asks
            # It waits for a standby that catches up.
            space.write("pipeline.json", pipeline(LIMITED))
            process = space.start("run", "pipeline.json", "--progress", "none", stdout=-3, stderr=-1, text=True)
            line = next((said for said in process.stderr if "waiting for it" in said), None)
            check(line, "the run did not say that it waits")
            resume(standby)
            process.stderr.read()
            equal(process.wait(60), 0, "exit code after the standby has caught up")
            # It falls behind while the run reads.
            space.write("pipeline.json", pipeline({**LIMITED, "rowsPerSecond": 800}, maxConnections=1))
            process = space.start("run", "pipeline.json", "--progress", "none", stdout=-3, stderr=-1, text=True)
            with standby.connect(DATABASE) as watch:
                wait_until(watch, SESSIONS, lambda found: len(found) >= 2, process)
            pause(standby, primary)
            said = process.stderr.read()
            equal(process.wait(60), 8, f"exit code of a run whose standby falls behind: {said}")
            check("maxReplicaLag" in said, said)
            resume(standby)


def main():
    suite = Suite("source limits")
    with Server() as server:
        server.database(DATABASE)
        server.execute(
            DATABASE, "CREATE TABLE t (id bigint PRIMARY KEY, a text)", "CREATE TABLE noise (n int)",
            f"INSERT INTO t SELECT n, repeat('x', 500) FROM generate_series(1, {ROWS}) n", "VACUUM ANALYZE t")
        for function in (connections, rows_per_second, snapshot_age, stopped, step_waits, step_computes, run_computes, lag):
            suite.case(function.__name__, function, server)
    suite.end()


main()

#!/usr/bin/env python3
"""The server takes connections away, or dies itself, at any moment of a pipeline from PostgreSQL into PostgreSQL.

Every row of the source has a number; the target must hold what it held before and each of them once. A run may end with an
error (the next one goes on), but never with rows that are missing or there twice. --points N ends sessions at N moments,
and restarts the server at N/10; the last line has the figures. Without it, a few of each kind.
"""

import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, need

need("psycopg")

from engine import Workspace
from server import Server

ROWS = 12000
RUNS = 6  # so often a pipeline is started until it succeeds
DATABASE = "backends"
MODES = ("new table", "append", "upsert")
SESSIONS = f"FROM pg_stat_activity WHERE datname = '{DATABASE}' AND pid <> pg_backend_pid() AND application_name <> 'watch'"


def asked_points():
    """--points N, taken out of the arguments: the rest are names of cases."""
    for at, argument in enumerate(sys.argv):
        if argument == "--points":
            points = int(sys.argv[at + 1])
            del sys.argv[at : at + 2]
            return points
    return 0


class Figures:
    """Over all points: what the oracle found, and what became of the runs."""

    def __init__(self):
        self.points = self.lost = self.duplicated = self.failed_runs = self.retries = self.withdrawn = 0
        self.lock = threading.Lock()

    def __str__(self):
        return (f"{self.points} points: {self.lost} lost, {self.duplicated} duplicated, {self.failed_runs} runs failed and were "
                f"repeated, {self.retries} retries within runs, {self.withdrawn} epochs withdrawn")


FIGURES = Figures()


def make_source(server):
    server.database(DATABASE)
    server.execute(
        DATABASE, "CREATE TABLE t (id bigint PRIMARY KEY, name text NOT NULL, price numeric(12,2), at timestamptz)",
        "INSERT INTO t SELECT n, 'row ' || n || repeat('x', 100), n / 7.0, timestamptz '2021-03-01 00:00Z' + n * interval '1 min' "
        f"FROM generate_series(1, {ROWS}) n", "ANALYZE t")


def make_target(server, mode):
    server.execute(DATABASE, "DROP TABLE IF EXISTS out", "DROP TABLE IF EXISTS _millrace_state")
    if mode != "new table":
        server.execute(
            DATABASE, f"CREATE TABLE out (LIKE t {'INCLUDING ALL' if mode == 'upsert' else ''})",
            "INSERT INTO out SELECT -id, name, price, at FROM t WHERE id <= 100")
    if mode == "upsert":
        server.execute(DATABASE, "INSERT INTO out SELECT id, 'old', 0, at FROM t WHERE id % 3 = 0")


def pipeline(mode, retry=None):
    load = {"table": "out"}
    if mode == "append":
        load["mode"] = "append"
    if mode == "upsert":
        load.update(mode="upsert", keys=["id"])
    made = {
        "name": "backends", "resources": {"parallelism": 2, "batchRows": 500},
        "steps": [
            {"type": "extract", "method": "fromPostgres", "config": {"table": "t", "numPartitions": 6, "maxConnections": 3}},
            {"type": "load", "method": "toPostgres", "config": load}]}
    if retry:
        made["retry"] = retry
    return made


FAST = {"maxAttempts": 4, "delay": "50ms"}


def workspace(server, mode, retry=FAST):
    make_target(server, mode)
    space = Workspace(postgres=server.credentials(DATABASE))
    space.write("pipeline.json", pipeline(mode, retry))
    return space


def judge(server, mode, what):
    """Counts rows that are missing (or have another's values) and rows that are there too often."""
    before = 0 if mode == "new table" else 100
    lost, more, kept = server.rows(
        DATABASE,
        "SELECT (SELECT count(*) FROM t WHERE NOT EXISTS (SELECT FROM out WHERE out.id = t.id AND out.name = t.name AND "
        "out.price = t.price AND out.at = t.at)), (SELECT count(*) - count(DISTINCT id) FROM out), "
        "(SELECT count(*) FROM out WHERE id < 0)")[0]
    left = server.rows(DATABASE, "SELECT relname FROM pg_class WHERE relname LIKE '\\_mr\\_%' AND relkind = 'r'")
    with FIGURES.lock:
        FIGURES.points += 1
        FIGURES.lost += lost
        FIGURES.duplicated += more
    check((lost, more, kept, left) == (0, 0, before, []), f"{what}: {lost} lost, {more} too many, {before - kept} old ones gone, left {left}")


def note(result):
    with FIGURES.lock:
        FIGURES.retries += (result.report or {}).get("retries", {}).get("total", 0)
        FIGURES.withdrawn += "withdrawn" in result.err
        FIGURES.failed_runs += result.code != 0


def run_until_done(space, what):
    """Starts until one succeeds, as a scheduler does. An error must be one of reading or writing."""
    for _ in range(RUNS):
        result = space.run("pipeline.json")
        note(result)
        if result.code == 0:
            return result
        check(result.code in (5, 6), f"{what}: {result}")
    raise AssertionError(f"{what}: no run of {RUNS} succeeded: {result}")


class Run(threading.Thread):
    """The pipeline in the background, until it is done."""

    def __init__(self, space, what):
        super().__init__(daemon=True)
        self.space, self.what, self.result, self.error = space, what, None, None
        self.start()

    def run(self):
        try:
            self.result = run_until_done(self.space, self.what)
        except BaseException as error:  # told by finish
            self.error = error

    def finish(self):
        self.join(180)
        check(not self.is_alive(), f"{self.what}: hangs")
        if self.error:
            raise self.error
        return self.result


def usual(server):
    with workspace(server, "append") as space:
        began = time.monotonic()
        space.run("pipeline.json").expect(0)
        return time.monotonic() - began


def at_random(server, mode, seed, duration):
    """One or all sessions of the run are ended at a moment of it, twice."""
    choose = random.Random(seed)
    what = f"{mode}, seed {seed}"
    with workspace(server, mode) as space, server.connect(DATABASE, application_name="watch") as watch:
        run = Run(space, what)
        for _ in range(2):
            run.join(choose.uniform(0, duration * 0.6))
            most = choose.choice(("LIMIT 1", "LIMIT 1", "LIMIT 2", ""))
            watch.execute(f"SELECT pg_terminate_backend(pid) FROM (SELECT pid {SESSIONS} ORDER BY random() {most}) AS s")
        run.finish()
        judge(server, mode, what)


def restarted(server, mode, seed, duration):
    """The server is stopped without ceremony at a moment of the run, and comes back."""
    choose = random.Random(seed)
    what = f"{mode}, restart, seed {seed}"
    with workspace(server, mode, retry=None) as space:
        run = Run(space, what)
        run.join(choose.uniform(0.05, duration))
        server.stop("immediate")
        server.start()
        run.finish()
        judge(server, mode, what)


def poll(watch, query, run, what):
    """The first row that the query has; the run must not end before."""
    deadline = time.monotonic() + 60
    while True:
        found = watch.execute(query).fetchone()
        if found:
            return found
        check(run.is_alive(), f"{what}: the run ended first: {run.result or run.error}")
        check(time.monotonic() < deadline, f"{what}: not within a minute")


def hold_commit(server):
    """From now on, a COMMIT that stores an epoch waits for the advisory lock 42, inside of the server's commit."""
    server.execute(
        DATABASE,
        "CREATE OR REPLACE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END $$",
        "CREATE TABLE IF NOT EXISTS _millrace_state (state_key text NOT NULL, lane integer NOT NULL, sink text NOT NULL, "
        "state_uuid text NOT NULL, epoch bigint NOT NULL, positions bytea NOT NULL, updated_at timestamptz NOT NULL DEFAULT "
        "clock_timestamp(), PRIMARY KEY (state_key, lane, sink))",
        "CREATE CONSTRAINT TRIGGER hold AFTER UPDATE ON _millrace_state DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold()")


HELD = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted"


def ended_in_commit(server, mode):
    """The session is ended in the middle of its COMMIT, which is thereby undone; the commit is tried again."""
    with workspace(server, mode) as space, server.connect(DATABASE, application_name="watch") as watch:
        hold_commit(server)
        watch.execute("SELECT pg_advisory_lock(42)")
        run = Run(space, mode)
        watch.execute("SELECT pg_terminate_backend(%s)", poll(watch, HELD, run, mode))
        watch.execute("SELECT pg_advisory_unlock(42)")
        result = run.finish()
        judge(server, mode, mode)
        units = [retry["unit"] for retry in result.report["retries"]["list"]]
        check("commit" in units, f"{mode}: the report has no retry of the commit: {units}")


def crashed_in_commit(server, mode, killed):
    """The server dies in the middle of a COMMIT: what was staged in unlogged tables is gone, and is read again. `killed`: so does the run."""
    with workspace(server, mode, retry=None) as space:
        hold_commit(server)
        with server.connect(DATABASE, application_name="watch") as watch:
            watch.execute("SELECT pg_advisory_lock(42)")
            if killed:
                process = space.start("run", "pipeline.json", "--progress", "none", stdout=-3, stderr=-3)
                run = Watched(process)
            else:
                run = Run(space, mode)
            poll(watch, HELD, run, mode)
            if killed:
                process.kill()
                process.wait()
            server.stop("immediate")
        server.start()
        if killed:
            result = run_until_done(space, mode)
            check(mode == "new table" or "withdrawn" in result.err, f"{mode}: {result}")
        else:
            run.finish()
        judge(server, mode, mode)


class Watched:
    """A process with the face of Run that poll needs."""

    def __init__(self, process):
        self.process, self.result, self.error = process, None, None

    def is_alive(self):
        return self.process.poll() is None


def overtaken(server):
    """
    A run dies before its commit, and another state loads the table: the commit can never be finished. It is withdrawn, and an
    upsert, which brings no row twice, is read again.
    """
    mode = "upsert"
    with workspace(server, mode) as space, server.connect(DATABASE, application_name="watch") as watch:
        hold_commit(server)
        watch.execute("SELECT pg_advisory_lock(42)")
        process = space.start("run", "pipeline.json", "--progress", "none", stdout=-3, stderr=-3)
        pid = poll(watch, HELD, Watched(process), mode)
        process.kill()
        process.wait()
        watch.execute("SELECT pg_terminate_backend(%s)", pid)
        watch.execute("SELECT pg_advisory_unlock(42)")
        deadline = time.monotonic() + 60
        while watch.execute(f"SELECT {SESSIONS}").fetchone():
            check(time.monotonic() < deadline, "the session does not end")
        watch.execute("DROP TRIGGER hold ON _millrace_state")
        check(server.rows(DATABASE, "SELECT count(*) FROM _millrace_state WHERE epoch > 0")[0][0] == 0, "the commit happened")
        watch.execute("INSERT INTO _millrace_state VALUES ('backends', 0, 'out#0', 'other', 1, '') "
                      "ON CONFLICT (state_key, lane, sink) DO UPDATE SET epoch = 1, state_uuid = 'other'")
        result = space.run("pipeline.json")
        note(result)
        result.expect(0)
        check("withdrawn" in result.err and "another run" in result.err, result)
        judge(server, mode, mode)


WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


def unknown_commit(server, mode):
    """
    COMMITs that happened and were never answered: each waits for a standby that is not there, by then durable, and its session is
    ended. The outcome is read back: nothing is done twice, and the run succeeds.
    """
    with workspace(server, mode) as space, server.connect(DATABASE, application_name="watch") as watch:
        watch.execute("SET synchronous_commit = off")
        watch.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        watch.execute("SELECT pg_reload_conf()")
        try:
            run = Run(space, mode)
            ended = 0
            deadline = time.monotonic() + 90
            while run.is_alive() and time.monotonic() < deadline:
                found = watch.execute(WAITING).fetchone()
                if found:
                    watch.execute("SELECT pg_terminate_backend(%s)", found)
                    ended += 1
        finally:
            watch.execute("ALTER SYSTEM RESET synchronous_standby_names")
            watch.execute("SELECT pg_reload_conf()")
        result = run.finish()
        judge(server, mode, mode)
        check(ended >= 2, f"{mode}: only {ended} commits were caught")
        check(result.report["retries"]["total"] >= 2, f"{mode}: {result.report['retries']}")


def main():
    points = asked_points()
    suite = Suite("backends")
    # What a test has put there must outlive a crash.
    with Server("synchronous_commit = on\n") as server:
        make_source(server)
        duration = usual(server)
        for mode in MODES:
            suite.case(f"ended in COMMIT: {mode}", ended_in_commit, server, mode)
            suite.case(f"COMMIT without an answer: {mode}", unknown_commit, server, mode)
            suite.case(f"server crashes in COMMIT: {mode}", crashed_in_commit, server, mode, False)
            suite.case(f"server and run die in COMMIT: {mode}", crashed_in_commit, server, mode, True)
        suite.case("overtaken by another state", overtaken, server)
        for number in range(points or 6):
            mode = MODES[number % len(MODES)]
            suite.case(f"ended at random: {mode} {number}", at_random, server, mode, number, duration)
        for number in range(points // 10 or 2):
            mode = MODES[1 + number % 2]
            suite.case(f"restarted at random: {mode} {number}", restarted, server, mode, number, duration)
    print(f"# {FIGURES}", flush=True)
    suite.end()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What the steps of a stream keep, and its positions: never out of step, whoever runs in between and wherever he dies.

A stream of files without repetitions (deduplicate): a row that comes twice, or one that is missing, shows what was forgotten.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Skip, Suite, check, equal, need

need("psycopg")
from engine import Workspace
from server import Server


def pipeline(mode="streaming", load=None, **top):
    load = load or {"type": "load", "method": "toFile", "config": {"path": "out", "format": "json", "mode": "append"}}
    if mode == "streaming":
        load = {**load, "config": {"trigger": "availableNow", **load["config"]}}
    return {"name": "kept", "mode": mode, **top, "steps": [
        {"type": "extract", "method": "fromFile", "name": "files", "config": {
            "path": "in/*.json", "format": "json", "schema": "id BIGINT, ts TIMESTAMP", "incremental": {"by": "files"}}},
        {"type": "transform", "method": "deduplicate", "config": {"keys": ["id"], "watermark": {"column": "ts", "delay": "1 hour"}}},
        load]}


def put(space, name, ids):
    space.write("in/.new", "".join(json.dumps({"id": i, "ts": "2024-01-01T00:00:00Z"}) + "\n" for i in ids))
    os.rename(space.file("in", ".new"), space.file("in", f"{name}.json"))


def lines(space):
    """What came out, as tuples, sorted."""
    found = []
    for name in os.listdir(space.file("out")):
        if name.endswith(".json"):
            with open(space.file("out", name), encoding="utf-8") as file:
                found += [tuple(json.loads(line).values()) for line in file]
    return sorted(found)


def ids(space):
    return [line[0] for line in lines(space)]


def batch_between():
    """A batch run of the same file reads rows that the stream never sees: it does not go on as if nothing was missing."""
    with Workspace() as space:
        put(space, "a", [1, 2])
        space.run(pipeline()).expect(0)
        put(space, "b", [3])
        space.run(pipeline("batch")).expect(0)
        put(space, "c", [3, 4])
        done = space.run(pipeline()).expect(3)
        check("by a batch run" in done.err and "--fresh" in done.err, done.err)
        equal(ids(space), [1, 2, 3], "rows")
        space.run(pipeline("batch"), "--fresh").expect(0)
        space.run(pipeline()).expect(3)
        space.run(pipeline(), "--fresh").expect(0)
        put(space, "d", [4, 5])
        space.run(pipeline()).expect(0)
        equal(ids(space), sorted([1, 2, 3] + 2 * [1, 2, 3, 4] + [5]), "rows")


def fresh_killed():
    """--fresh dies at each of its first writes into the state: all of it is forgotten, or nothing."""
    seen = set()
    for number in range(1, 5):
        with Workspace() as space:
            put(space, "a", [1, 2])
            space.run(pipeline()).expect(0)
            done = space.run(pipeline(), "--fresh", environment={"MILLRACE_FAILPOINT": f"state.before:{number}=kill"})
            if done.code == 0 and number == 1:
                raise Skip("a build without --enable-failpoints")
            put(space, "b", [2, 3])
            space.run(pipeline()).expect(0)
            found = ids(space)
            seen.add(tuple(found))
            check(found in ([1, 2, 3], [1, 1, 2, 2, 3]), f"write {number}: {found}")
    equal(len(seen), 2, "ways")


def mode_switched():
    """A batch run behind a stream that was drained, killed, or killed with an epoch prepared: it is no retry, and reads what is new."""
    for how in ("drained", "killed", "prepared"):
        with Workspace() as space:
            work = pipeline()
            del work["steps"][1]
            batch = json.loads(json.dumps({**work, "mode": "batch"}))
            del batch["steps"][-1]["config"]["trigger"]
            put(space, "a", [1, 2])
            if how == "prepared":
                done = space.run(work, environment={"MILLRACE_FAILPOINT": "epoch.before_commit=kill"})
                if done.code == 0:
                    raise Skip("a build without --enable-failpoints")
            else:
                work["steps"][-1]["config"]["trigger"] = "10 ms"
                space.write("pipeline.json", work)
                process = space.start("run", "pipeline.json", "--progress", "none", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                end = time.monotonic() + 60
                while not os.path.isdir(space.file("out")) or ids(space) != [1, 2]:
                    check(process.poll() is None and time.monotonic() < end, "no rows")
                    time.sleep(0.01)
                process.send_signal(signal.SIGTERM if how == "drained" else signal.SIGKILL)
                equal(process.wait(30), 143 if how == "drained" else -signal.SIGKILL, "exit code")
            put(space, "b", [3])
            done = space.run(batch).expect(0)
            equal(ids(space), [1, 2, 3], f"rows of a batch run behind a stream that was {how}: {done.err}")
            equal(space.run(batch).expect(0).report["rows_read"], 0, "rows of the next")


def unprepared_killed(server=None):
    """What a step kept of an epoch that never was prepared is not read."""
    state = {"state": {"postgres": "state"}} if server else {}
    if server:
        server.database("state9")
    with Workspace(extra={"state": server.credentials("state9")} if server else {}) as space:
        put(space, "a", [1])
        space.run(pipeline(**state)).expect(0)
        put(space, "b", [2])
        done = space.run(pipeline(**state), environment={"MILLRACE_FAILPOINT": "state.before=kill"})
        if done.code == 0:
            raise Skip("a build without --enable-failpoints")
        run_out(server, 9)
        put(space, "c", [1, 2, 3])
        space.run(pipeline(**state)).expect(0)
        equal(ids(space), [1, 2, 3], "rows")


def run_out(server, number):
    """The lease of a process that was killed, without waiting for it."""
    if server:
        server.execute(f"state{number}", "UPDATE millrace.leases SET expires = '-infinity'")


def batch_anew():
    """A batch run with --fresh dies before it has committed anything: the stream reads everything again, and knows of nothing."""
    with Workspace() as space:
        put(space, "a", [1, 2])
        space.run(pipeline()).expect(0)
        done = space.run(pipeline("batch"), "--fresh", environment={"MILLRACE_FAILPOINT": "state.before:2=kill"})
        if done.code == 0:
            raise Skip("a build without --enable-failpoints")
        space.run(pipeline()).expect(0)
        equal(ids(space), [1, 1, 2, 2], "rows")


def state_lost():
    """The state is gone, and --fresh loads everything again into a target that remembers: what steps keep begins anew with that very run."""
    load = {"type": "load", "method": "toDelta", "config": {"path": "table", "mode": "append"}}
    with Workspace() as space:
        put(space, "a", [1, 2])
        space.run(pipeline(load=load)).expect(0)
        shutil.rmtree(space.file(".millrace"))
        put(space, "b", [2, 3])
        equal(space.run(pipeline(load=load), "--fresh").expect(0).report["rows_written"], 3, "rows of --fresh")
        put(space, "c", [3, 4])
        equal(space.run(pipeline(load=load)).expect(0).report["rows_written"], 1, "rows of the next run")


def withdrawal_killed(server=None):
    """--fresh gives an interrupted epoch up and dies at any of its writes into the state; then the target works again.

    The epoch is committed with what the step kept of it, or it is withdrawn and its rows are read again: never one without the other.
    """
    state = {"state": {"postgres": "state"}} if server else {}
    seen = set()
    for number in range(1, 4):
        if server:
            server.database(f"state{number}")
        with Workspace(extra={"state": server.credentials(f"state{number}")} if server else {}) as space:
            put(space, "a", [1])
            space.run(pipeline(**state)).expect(0)
            put(space, "b", [2])
            done = space.run(pipeline(**state), environment={"MILLRACE_FAILPOINT": "epoch.before_commit=kill"})
            if done.code == 0:
                raise Skip("a build without --enable-failpoints")
            os.rename(space.file("out"), space.file("away"))
            space.write("out", "no directory")
            run_out(server, number)
            done = space.run(pipeline(**state), "--fresh", environment={"MILLRACE_FAILPOINT": f"state.before:{number}=kill"})
            check(done.code == -signal.SIGKILL or number > 2, done.err)
            os.remove(space.file("out"))
            os.rename(space.file("away"), space.file("out"))
            put(space, "c", [2, 3])
            run_out(server, number)
            space.run(pipeline(**state)).expect(0)
            found = ids(space)
            seen.add(tuple(found))
            check(found in ([1, 2, 3], [1, 1, 2, 3]), f"write {number}: {found}")
    check((1, 2, 3) in seen, seen)


def places_set():
    """Positions are not moved under what steps keep."""
    with Workspace() as space:
        put(space, "a", [1, 2])
        space.run(pipeline()).expect(0)
        done = space.millrace("watermark", "set", "pipeline.json", "--step", "files", "--clear")
        equal(done.code, 3, done.err)
        check("belongs to the place" in done.err, done.err)


def first_look_fails(server):
    """The target is not there when a stream starts, and comes back: it goes on from its record (sanitizers: which is still there)."""
    server.database("kept")
    server.execute("kept", "CREATE TABLE t (id bigint, ts timestamptz)")
    load = {"type": "load", "method": "toPostgres", "config": {"table": "t", "mode": "append"}}
    with Workspace(extra={"defaults": {"postgres": server.credentials("kept")}}) as space:
        put(space, "a", [1, 2])
        space.run(pipeline(load=load)).expect(0)
        put(space, "b", [2, 3])
        server.stop()
        space.write("pipeline.json", pipeline(load=load, retry={"maxAttempts": 6, "delay": "100ms", "maxDelay": "300ms"}))
        with open(space.file("log"), "wb") as file:
            process = space.start("run", "pipeline.json", "--progress", "none", stdout=subprocess.DEVNULL, stderr=file)
        try:
            end = time.monotonic() + 60
            while "is done again" not in open(space.file("log"), encoding="utf-8").read():
                check(process.poll() is None and time.monotonic() < end, "it was not tried again")
                time.sleep(0.01)
            server.start()
            equal(process.wait(60), 0, open(space.file("log"), encoding="utf-8").read())
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
        equal(sorted(server.rows("kept", "SELECT id FROM t")), [(1,), (2,), (3,)], "rows")


def put_wide(space, name, ids):
    text = "".join(json.dumps({"id": i, "k": f"{i:0>400}", "ts": "2024-01-01T00:00:00Z"}) + "\n" for i in ids)
    space.write("in/.new", text)
    os.rename(space.file("in", ".new"), space.file("in", f"{name}.json"))


def stored_killed(step, wanted):
    """What is kept is larger than the memory, and the process dies while it is stored, read and saved: nothing is forgotten.

    `wanted`: what is to come out of lists of ids.
    """
    work = pipeline(resources={"memory": "24mb", "parallelism": 2})
    work["steps"][0]["config"]["schema"] = "id BIGINT, k STRING, ts TIMESTAMP"
    work["steps"][1] = {"type": "transform", **step}
    work["steps"].insert(2, {"type": "transform", "method": "dropColumns", "config": {"columns": ["k", "ts"]}})
    came = [range(12000)]
    with Workspace() as space:
        put_wide(space, "a", range(12000))
        done = space.run(work).expect(0)
        check(sum(step.get("counters", {}).get("spill_bytes", 0) for step in done.report["steps"]) > 0, "nothing was spilled")
        for number, place in enumerate(("spill.write:40", "spill.read:60", "state.before:2", "files.published"), 1):
            came.append(range(3000 * number - 2000, 3000 * number + 12000))
            put_wide(space, f"b{number}", came[-1])
            done = space.run(work, environment={"MILLRACE_FAILPOINT": f"{place}=kill"})
            if done.code == 0 and number == 1:
                raise Skip("a build without --enable-failpoints")
            equal(done.code, -signal.SIGKILL, f"{place}: {done.err}")
            space.run(work).expect(0)
            check(lines(space) == wanted(came), f"rows, {place}")


def once(came):
    return [(i,) for i in range(max(map(max, came)) + 1)]


def numbered(came):
    """Each row of an id with its number, the sum over it and those before it, and the id of the one but one before it."""
    seen = {}
    for ids in came:
        for i in ids:
            seen[i] = seen.get(i, 0) + 1
    return [(i, n, i * n, i if n > 2 else -1) for i in sorted(seen) for n in range(1, seen[i] + 1)]


def main():
    suite = Suite("kept")
    suite.case("stored, and killed", stored_killed, {"method": "deduplicate", "config": {
        "keys": ["k"], "watermark": {"column": "ts", "delay": "1 hour"}}}, once)
    suite.case("windows stored, and killed", stored_killed, {"method": "windowColumns", "config": {
        "columns": {"n": "row_number()", "s": "sum(id)", "b": "lag(id, 2, -1)"}, "partitionBy": ["k"], "frame": "ROWS UNBOUNDED PRECEDING"}}, numbered)
    suite.case("a batch run in between", batch_between)
    suite.case("--fresh killed", fresh_killed)
    suite.case("the mode is switched", mode_switched)
    suite.case("an epoch is killed before it is prepared", unprepared_killed)
    suite.case("a batch run begins anew", batch_anew)
    suite.case("the state is lost", state_lost)
    suite.case("a withdrawal killed", withdrawal_killed)
    suite.case("watermark set", places_set)
    with Server() as server:
        suite.case("an epoch is killed before it is prepared, state on a server", unprepared_killed, server)
        suite.case("a withdrawal killed, state on a server", withdrawal_killed, server)
        suite.case("the first look fails", first_look_fails, server)
    suite.end()


main()

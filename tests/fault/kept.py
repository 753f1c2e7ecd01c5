#!/usr/bin/env python3
"""What the steps of a stream keep, and its positions: never out of step, whoever runs in between and wherever he dies.

A stream of files without repetitions (deduplicate): a row that comes twice, or one that is missing, shows what was forgotten.
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Skip, Suite, check, equal, need

need("psycopg", "pyarrow", "deltalake")
import pyarrow
from deltalake import DeltaTable, write_deltalake
from engine import Workspace
from running import Running
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
    space.publish(f"in/{name}.json", "".join(json.dumps({"id": i, "ts": "2024-01-01T00:00:00Z"}) + "\n" for i in ids))


def lines(space, folder="out"):
    """What came out, as tuples, sorted."""
    found = []
    for name in os.listdir(space.file(folder)):
        if name.endswith(".json"):
            with open(space.file(folder, name), encoding="utf-8") as file:
                found += [tuple(json.loads(line).values()) for line in file]
    return sorted(found)


def ids(space, folder="out"):
    return [line[0] for line in lines(space, folder)]


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
                run = Running(space, work)
                run.until(lambda: os.path.isdir(space.file("out")) and ids(space) == [1, 2], "the rows")
                equal(run.end(signal.SIGTERM if how == "drained" else signal.SIGKILL), 143 if how == "drained" else -signal.SIGKILL, "exit code")
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


def unsaved_repeated():
    """An epoch fails in front of its commit, and the same process does it again: what the step took of it is forgotten before."""
    with Workspace() as space:
        for name, came, wanted in (("a", [1, 2], [1, 2]), ("b", [2, 3], [1, 2, 3])):
            put(space, name, came)
            done = space.run(pipeline(), environment={"MILLRACE_FAILPOINT": "state.note=unknown"}).expect(0)
            if "is done again" not in done.err:
                raise Skip("a build without --enable-failpoints")
            equal(ids(space), wanted, "rows")


def half_committed():
    """One load has committed, and whether the other has is not known: what that one has staged is not discarded, but committed."""
    work = pipeline()
    work["steps"].append({"type": "load", "method": "toFile", "config": {"path": "more", "format": "json", "mode": "append", "trigger": "availableNow"}})
    with Workspace() as space:
        put(space, "a", [1, 2])
        done = space.run(work, environment={"MILLRACE_FAILPOINT": "epoch.after_commit=unknown"}).expect(0)
        if "is done again" not in done.err:
            raise Skip("a build without --enable-failpoints")
        equal((ids(space), ids(space, "more")), ([1, 2], [1, 2]), "rows")


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


DELTA = {"type": "load", "method": "toDelta", "config": {"path": "table", "mode": "append"}}


def table_ids(space):
    return sorted(DeltaTable(space.file("table")).to_pyarrow_table().column("id").to_pylist())


def prepared(space, work):
    done = space.run(work, environment={"MILLRACE_FAILPOINT": "epoch.before_commit=kill"})
    if done.code == 0:
        raise Skip("a build without --enable-failpoints")
    equal(done.code, -signal.SIGKILL, done.err)


def withdraw(space, work, *words):
    """A start that finds another table in the place of the one that it has prepared an epoch for, and dies behind its withdrawal. Then that is back."""
    there = os.path.isdir(space.file("table"))
    if there:
        shutil.copytree(space.file("table"), space.file("away"))
    write_deltalake(space.file("table"), pyarrow.table({"other": [1]}), mode="overwrite", schema_mode="overwrite")
    done = space.run(work, *words, environment={"MILLRACE_FAILPOINT": "epoch.withdrawn=kill"})
    equal(done.code, -signal.SIGKILL, done.err)
    shutil.rmtree(space.file("table"))
    if there:
        os.rename(space.file("away"), space.file("table"))


def withdrawn_by(kept=True):
    """An epoch of a stream or of a batch run is withdrawn by a stream or by a batch run that gets no further; then the stream goes on.

    Of the first epoch of all, and of one behind an epoch of either: only what a batch run has really loaded is missed by steps that keep something.
    """
    def work(mode):
        made = pipeline(mode, load=DELTA)
        if not kept:
            del made["steps"][1]
        return made

    for before in (None, "streaming", "batch"):
        for begun in ("streaming", "batch"):
            for by in ("streaming", "batch"):
                what = f"behind an epoch of {before}, one of {begun} withdrawn by {by}"
                if kept and (before, begun) == ("batch", "streaming"):
                    continue  # refused before it begins
                with Workspace() as space:
                    put(space, "a", [1, 2])
                    if before:
                        space.run(work(before)).expect(0)
                    put(space, "b", [2, 3] if kept else [3])
                    prepared(space, work(begun))
                    withdraw(space, work(by))
                    put(space, "c", [3, 4] if kept else [4])
                    done = space.run(work("streaming"))
                    if before == "batch" and kept:
                        equal(done.code, 3, f"{what}: {done.err}")
                        check("epochs were committed without it" in done.err, f"{what}: {done.err}")
                        equal(table_ids(space), [1, 2], f"rows, {what}")
                    else:
                        equal(done.code, 0, f"{what}: {done.err}")
                        equal(table_ids(space), [1, 2, 3, 4], f"rows, {what}")


def begun_anew_twice():
    """A stream without steps that keep something, behind --fresh, gets one: it has nothing of the epochs in between."""
    plain = pipeline()
    del plain["steps"][1]
    with Workspace() as space:
        put(space, "a", [1])
        space.run(plain).expect(0)
        space.run(plain, "--fresh").expect(0)
        put(space, "b", [2])
        space.run(plain).expect(0)
        put(space, "c", [2, 3])
        done = space.run(pipeline()).expect(3)
        check("epochs were committed without it" in done.err, done.err)
        space.run(pipeline(), "--fresh").expect(0)
        equal(ids(space), [1, 1, 1, 2, 2, 3], "rows")


def batch_finished():
    """A stream finishes the commit of a batch run that was killed: that run has succeeded, and the stream goes on from it."""
    with Workspace() as space:
        plain = pipeline()
        del plain["steps"][1]
        batch = pipeline("batch")
        del batch["steps"][1]
        put(space, "a", [1, 2])
        prepared(space, batch)
        put(space, "b", [3])
        space.run(plain).expect(0)
        equal(ids(space), [1, 2, 3], "rows")
        runs = json.loads(space.millrace("runs", "--json").expect(0).out)["runs"]
        equal(sorted(run["status"] for run in runs), ["success", "success"], "runs")


def places_set():
    """Positions are not moved under what steps keep."""
    with Workspace() as space:
        put(space, "a", [1, 2])
        space.run(pipeline()).expect(0)
        refuse_to_set(space)


def refuse_to_set(space):
    done = space.millrace("watermark", "set", "pipeline.json", "--step", "files", "--clear")
    equal(done.code, 3, done.err)
    check("belongs to the place" in done.err, done.err)


def saved_anew_killed():
    """An epoch has saved everything anew, and dies before it is prepared: what was kept before is what counts, for whoever looks."""
    work = pipeline()
    work["steps"][0]["config"]["schema"] = "id BIGINT, k STRING, ts TIMESTAMP"
    work["steps"][1]["config"]["keys"] = ["k"]
    batch = json.loads(json.dumps({**work, "mode": "batch"}))
    del batch["steps"][-1]["config"]["trigger"]
    for way in ("set", "--fresh"):
        with Workspace() as space:
            put_wide(space, "a", [1])
            space.run(work).expect(0)
            put_wide(space, "b", random.sample(range(10**9), 8000))
            space.run(work).expect(0)
            put_wide(space, "c", [2])
            done = space.run(work, environment={"MILLRACE_FAILPOINT": "state.before=kill"})
            if done.code == 0:
                raise Skip("a build without --enable-failpoints")
            with sqlite3.connect(space.file(".millrace", "state.db")) as state:
                bases = state.execute("SELECT epoch FROM notes WHERE kind = 4 AND name = 'base' ORDER BY 1").fetchall()
            equal(bases, [(1,), (3,)], "epochs that saved everything")
            if way == "set":
                space.write("pipeline.json", work)
                refuse_to_set(space)
                space.run(work).expect(0)
                equal(len(ids(space)), 8002, "rows")
            else:  # which dies before it has read anything
                done = space.run(batch, "--fresh", environment={"MILLRACE_FAILPOINT": "state.before:2=kill"})
                equal(done.code, -signal.SIGKILL, done.err)
                space.run(work).expect(0)
                equal(len(ids(space)), 8001 + 8002, "rows, each a second time")


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
        with Running(space, pipeline(load=load, retry={"maxAttempts": 6, "delay": "100ms", "maxDelay": "300ms"})) as run:
            run.await_line("is done again")
            server.start()
            equal(run.process.wait(60), 0, run.text())
        equal(sorted(server.rows("kept", "SELECT id FROM t")), [(1,), (2,), (3,)], "rows")


def table_dropped(server):
    """The table goes while the stream runs: it ends as a start would, or as the load does that meets the drop, and makes no other with what is new alone."""
    server.database("dropped")
    loads = (DELTA, {"type": "load", "method": "toPostgres", "config": {"table": "t", "mode": "append"}})
    for load in loads:
        with Workspace(extra={"defaults": {"postgres": server.credentials("dropped")}}) as space:
            work = pipeline(load={**load, "config": {**load["config"], "trigger": "20 ms"}})
            put(space, "a", [1, 2])
            with Running(space, work) as run:
                run.await_line("epoch 1: ")
                if load is DELTA:
                    os.rename(space.file("table"), space.file("away"))
                else:
                    server.execute("dropped", "DROP TABLE t")
                put(space, "b", [3])
                equal(run.process.wait(60), 6, f"exit code; {run.text()}")
                log = run.text()
            gone = "the target is not there any more, and lacks the rows that 1 epochs"
            check((gone in log or "it was dropped while the load ran" in log) and load["method"] in log, log)
            check("the target is not there any more" in space.run(work).expect(6).err, "the next start")


def step_renamed():
    """A step that is not known by its name any more is a new one, which is said."""
    def named(name):
        work = pipeline()
        del work["steps"][1]
        work["steps"][0]["name"] = name
        return work

    with Workspace() as space:
        put(space, "a", [1])
        check("WARN" not in space.run(named("files")).expect(0).err, "nothing is remembered yet")
        put(space, "b", [2])
        check("WARN" not in space.run(named("files")).expect(0).err, "the same step")
        done = space.run(named("orders")).expect(0)
        check("orders begins as in a first run: the state remembers files. " in done.err, done.err)
        check("WARN" not in space.run(named("orders")).expect(0).err, "both are remembered")


def put_wide(space, name, ids):
    text = "".join(json.dumps({"id": i, "k": f"{i:0>400}", "ts": "2024-01-01T00:00:00Z"}) + "\n" for i in ids)
    space.publish(f"in/{name}.json", text)


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
    suite.case("an epoch fails before it is prepared", unsaved_repeated)
    suite.case("an epoch fails between two commits", half_committed)
    suite.case("a batch run begins anew", batch_anew)
    suite.case("the state is lost", state_lost)
    suite.case("a withdrawal killed", withdrawal_killed)
    suite.case("withdrawn by a stream or a batch run", withdrawn_by)
    suite.case("the same where nothing is kept", withdrawn_by, False)
    suite.case("begun anew without the step", begun_anew_twice)
    suite.case("a stream finishes a batch run", batch_finished)
    suite.case("a step is renamed", step_renamed)
    suite.case("watermark set", places_set)
    suite.case("everything saved anew, and killed", saved_anew_killed)
    with Server() as server:
        suite.case("an epoch is killed before it is prepared, state on a server", unprepared_killed, server)
        suite.case("a withdrawal killed, state on a server", withdrawal_killed, server)
        suite.case("the first look fails", first_look_fails, server)
        suite.case("a table is dropped", table_dropped, server)
    suite.end()


main()

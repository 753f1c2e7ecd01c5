#!/usr/bin/env python3
"""Kills and errors in the middle of a load into a Delta table, each followed by a rerun: every row is there exactly once.

Each way of changing a table is stopped at every named place that it passes (a build with --enable-failpoints; otherwise those
cases are skipped), and at random moments. Before the log entry exists the table is as it was, whoever looks.
MILLRACE_LONG=1: every change, every pass of every place, 50 random kills each.
"""

import collections
import json
import os
import random
import shutil
import signal
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, Skip, check, equal, need

need("pyarrow", "deltalake")
import pyarrow as pa
import pyarrow.parquet
from deltalake import DeltaTable, write_deltalake
from engine import Workspace

LONG = bool(os.environ.get("MILLRACE_LONG"))
COUNT = 3000


def table(first, count, text):
    ids = range(first, first + count)
    return pa.table({"id": pa.array(ids, pa.int64()), "text": [f"{text} {i}" for i in ids], "part": [i % 3 for i in ids]})


OLD = table(0, COUNT, "old")
NEW = table(COUNT // 2, COUNT, "new")


def rows(*tables):
    return [tuple(r.values()) for t in tables for r in t.to_pylist()]


def after_upsert():
    merged = {r[0]: r for r in rows(OLD)}
    merged.update({r[0]: r for r in rows(NEW)})
    return list(merged.values())


# How a table is changed, and what it holds afterwards. OLD is there before, but for "create".
CHANGES = {
    "create": ({"partitionBy": ["part"]}, rows(NEW)),
    "append": ({}, rows(OLD, NEW)),
    "overwrite": ({"mode": "overwrite"}, rows(NEW)),
    "dynamic overwrite": ({"mode": "overwrite", "partitionOverwriteMode": "dynamic"}, rows(NEW)),
    "replaceWhere": ({"mode": "overwrite", "replaceWhere": f"id >= {COUNT // 2}"},
                     [r for r in rows(OLD) if r[0] < COUNT // 2] + rows(NEW)),
    "upsert": ({"mode": "upsert", "keys": ["id"]}, after_upsert()),
}


def pipeline(source, config):
    return {"name": "load", "steps": [
        {"type": "extract", "method": "fromFile", "config": {"path": source, "format": "parquet"}},
        {"type": "load", "method": "toDelta", "config": {"path": "out", **config}}]}


def fresh(change):
    space = Workspace()
    pyarrow.parquet.write_table(OLD, space.file("old.parquet"))
    pyarrow.parquet.write_table(NEW, space.file("new.parquet"))
    if change != "create":
        first = pipeline("old.parquet", {"partitionBy": ["part"]})
        first["name"] = "first"
        space.write("first.json", first)
        space.run("first.json").expect(0)
    space.write("pipeline.json", pipeline("new.parquet", CHANGES[change][0]))
    return space


def content(space):
    if not os.path.exists(space.file("out", "_delta_log", "0".zfill(20) + ".json")):
        return None
    return sorted(tuple(r[k] for k in ("id", "text", "part")) for r in DeltaTable(space.file("out")).to_pyarrow_table().to_pylist())


def staged(space):
    """But for the text of a log entry that a kill kept from being linked: no name leads to whose it was, and no reader looks at it."""
    return [f for _, _, names in os.walk(space.file("out")) for f in names if ".inprogress" in f and ".json.inprogress-put" not in f]


def finish(space, change, what):
    """A rerun; the rows are there once, nothing half-written is left."""
    space.run("pipeline.json").expect(0)
    got, wanted = content(space), sorted(CHANGES[change][1])
    equal(len(got), len(wanted), f"{what}: rows")
    check(got == wanted, f"{what}: other rows than wanted")
    equal(staged(space), [], f"{what}: files left behind")


def undisturbed(change):
    with fresh(change) as space:
        finish(space, change, "without any fault")


def places(change):
    with fresh(change) as space:
        space.run("pipeline.json", environment={"MILLRACE_FAILPOINT_LIST": space.file("places")}).expect(0)
        if not os.path.exists(space.file("places")):
            raise Skip("built without --enable-failpoints")
        with open(space.file("places")) as file:
            return collections.Counter(file.read().split())


def occurrences(passed):
    return range(1, min(passed, 60) + 1) if LONG else sorted({1, passed})


def disturbed(change, action):
    for name, passed in sorted(places(change).items()):
        for number in occurrences(passed):
            what = f"{action} at {name}:{number}"
            with fresh(change) as space:
                before = content(space)
                result = space.millrace("run", "pipeline.json", "--progress", "none",
                                        environment={"MILLRACE_FAILPOINT": f"{name}:{number}={action}"})
                now = content(space)
                check(now == before or now == sorted(CHANGES[change][1]), f"{what}: a table that is neither old nor new")
                if result.code == 0:  # what follows the commit only warns
                    check(now == sorted(CHANGES[change][1]), f"{what}: success without the rows")
                    continue
                if action == "kill":
                    equal(result.code, -signal.SIGKILL, f"{what}: end of the run")
                finish(space, change, what)


def random_kills(change):
    choose = random.Random(11)
    with fresh(change) as space:
        began = time.monotonic()
        space.run("pipeline.json").expect(0)
        usual = time.monotonic() - began
    for number in range(50 if LONG else 6):
        with fresh(change) as space:
            before = content(space)
            process = space.start("run", "pipeline.json", "--progress", "none", stdout=-3, stderr=-3)
            try:
                process.wait(choose.uniform(0.0, usual))
            except Exception:
                process.kill()
                process.wait()
            now = content(space)
            check(now == before or now == sorted(CHANGES[change][1]), f"kill {number}: neither old nor new")
            if process.returncode != 0 and "success" not in space.millrace("runs").out:
                finish(space, change, f"kill {number}")


def overtaken():
    """A table that somebody else changes between the reading and the commit of an upsert: the next start withdraws that and does it again."""
    with fresh("upsert") as space:
        died = space.run("pipeline.json", environment={"MILLRACE_FAILPOINT": "delta.commit.before=kill"})
        if died.code == 0:
            raise Skip("built without --enable-failpoints")
        DeltaTable(space.file("out")).delete("id = 1")
        mended = space.run("pipeline.json").expect(0)
        check("is withdrawn" in mended.err and "conflicts with version 1 (DELETE)" in mended.err, mended)
        wanted = sorted(r for r in CHANGES["upsert"][1] if r[0] != 1)
        check(content(space) == wanted, "rows after withdrawing")


def lost_state():
    """The table knows more than the state: nothing is written until somebody says how to go on."""
    for remedy in ("--adopt", "--fresh"):
        with fresh("append") as space:
            space.run("pipeline.json").expect(0)
            before = content(space)
            shutil.rmtree(space.file(".millrace"))
            for _ in range(2):
                stopped = space.run("pipeline.json").expect(6)
                check("--adopt" in stopped.err and "--fresh" in stopped.err, stopped)
                equal(content(space), before, "rows of the table that was left alone")
            space.run("pipeline.json", remedy).expect(0)
            equal(len(content(space)), 3 * COUNT, f"rows after {remedy}")
            space.run("pipeline.json").expect(0)
            equal(len(content(space)), 4 * COUNT, "rows after the run that followed")


def copied_state():
    """Two copies of one state: the one that is behind stops."""
    with fresh("append") as space:
        space.run("pipeline.json").expect(0)
        shutil.copytree(space.file(".millrace"), space.file("copy"))
        space.run("pipeline.json").expect(0)
        shutil.rmtree(space.file(".millrace"))
        os.rename(space.file("copy"), space.file(".millrace"))
        space.run("pipeline.json").expect(6)
        equal(len(content(space)), 3 * COUNT, "rows")


def named(space):
    """Paths that some version has added."""
    found = set()
    for name in os.listdir(space.file("out", "_delta_log")):
        if name.endswith(".json"):
            with open(space.file("out", "_delta_log", name), encoding="utf-8") as file:
                found.update(urllib.parse.unquote(action["add"]["path"]) for action in map(json.loads, file) if "add" in action)
    return sorted(found)


def compaction(lost):
    """Somebody else compacts between the files of our compaction and its commit: they go. A commit without an answer may name them: they stay."""
    with Workspace() as space:
        for number in range(4):
            write_deltalake(space.file("out"), table(10 * number, 10, "old"), mode="append")
        pyarrow.parquet.write_table(table(100, 10, "new"), space.file("new.parquet"))
        space.write("pipeline.json", pipeline("new.parquet", {"autoCompact": True, "autoCompactFiles": 3}))
        point = "delta.replace.after=stop" if lost else "delta.commit.after:2=unknown"
        process = space.start("run", "pipeline.json", "--progress", "none", environment={"MILLRACE_FAILPOINT": point}, stdout=-3,
                              stderr=open(space.file("log"), "wb"))
        deadline = time.monotonic() + 60
        while lost and time.monotonic() < deadline:
            with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
                state = file.read().rsplit(")", 1)[1].split()[0]
            if state == "Z":
                raise Skip("built without --enable-failpoints")
            if state == "T":
                DeltaTable(space.file("out")).optimize.compact()
                process.send_signal(signal.SIGCONT)
                break
            time.sleep(0.01)
        equal(process.wait(60), 0, "exit code")
        with open(space.file("log"), encoding="utf-8") as file:
            log = file.read()
        history = [commit["operation"] for commit in DeltaTable(space.file("out")).history()]
        if not lost and "layout of the target was not changed" not in log:
            raise Skip("built without --enable-failpoints")
        check(("left for later: " in log) == lost, log)
        equal(history.count("OPTIMIZE"), 1, "compactions")
        on_disk = sorted(name for name in os.listdir(space.file("out")) if name.endswith(".parquet"))
        equal(on_disk, named(space), "data files")
        equal(sorted(r[0] for r in content(space)), [*range(40), *range(100, 110)], "rows")


def main():
    suite = Suite("fault delta")
    for change in CHANGES:
        suite.case(f"{change}, undisturbed", undisturbed, change)
        if LONG or change in ("create", "upsert"):
            suite.case(f"{change}, killed", disturbed, change, "kill")
        if LONG or change == "append":
            suite.case(f"{change}, errors", disturbed, change, "eio")
        suite.case(f"{change}, killed at random", random_kills, change)
    suite.case("overtaken", overtaken)
    suite.case("lost state", lost_state)
    suite.case("copied state", copied_state)
    suite.case("compaction, somebody else is first", compaction, True)
    suite.case("compaction, no answer", compaction, False)
    return suite.end()


if __name__ == "__main__":
    sys.exit(main())

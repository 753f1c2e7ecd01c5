#!/usr/bin/env python3
"""Kills and input/output errors, each followed by a rerun: afterwards the target holds every row exactly once.

Three targets: a new one, one that is appended to, and a partitioned one of which some partitions are replaced. Each
is killed at random moments and at the named places of the commit (a build with --enable-failpoints; otherwise those
cases are skipped). MILLRACE_LONG=1 runs 100 random kills and every pass of every place.
"""

import collections
import contextlib
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, Skip, check, equal, need

need("psycopg", "pyarrow", "duckdb")
import table
from engine import Workspace
from proxy import Proxy
from server import Server

FOLDER = tempfile.TemporaryDirectory(prefix="millrace-fault-")  # what is there before a run, by target
LONG = bool(os.environ.get("MILLRACE_LONG"))
ROWS = 12000
QUERY = "SELECT id, grp, body FROM data"


class Target:
    """What is there before, what the run writes, and what must be there in the end."""

    def __init__(self, name, mode, first=None):
        self.name, self.mode, self.first = name, mode, first
        self.made = self.rows = None

    def pipeline(self, where, mode, name):
        steps = [
            {"type": "extract", "method": "fromPostgres", "config": {
                "table": "t", "partitionColumn": "id", "numPartitions": 6, "maxConnections": 2, "where": where}},
            {"type": "load", "method": "toFile", "config": {
                "path": "out/", "format": "parquet", "partitionBy": ["grp"], "mode": mode, "rowGroupRows": 600}},
        ]
        return {"name": name, "steps": steps}

    def prepare(self, space, folder):
        """What is there before is made once and copied."""
        if self.made:
            shutil.copytree(self.made, space.path, symlinks=True, dirs_exist_ok=True)
            return
        if self.first:
            space.write("first.json", self.pipeline(self.first, "append", "first"))
            space.run("first.json").expect(0)
        space.write("pipeline.json", self.pipeline("id > 0", self.mode, "load"))
        self.made = shutil.copytree(space.path, os.path.join(folder, self.name), symlinks=True)

    def wanted(self, server):
        """Nobody writes to the source: asked once."""
        if self.rows is None:
            self.rows = server.rows("fault", "SELECT id, grp, body FROM t WHERE id > 0")
            if self.first:
                kept = self.first if self.mode == "append" else f"{self.first} AND grp = 99"
                self.rows += server.rows("fault", f"SELECT id, grp, body FROM t WHERE {kept}")
        return self.rows


TARGETS = [
    Target("new target", "append"),
    Target("append", "append", "id BETWEEN 1 AND 5000"),
    Target("dynamic overwrite", "overwrite", "id < 0"),
]


def content(space):
    return table.duck(QUERY, space.file("out")) if table.files(space.file("out")) else []


def snapshot(space):
    """Names and sizes of what readers see."""
    return sorted((f, os.path.getsize(f)) for f in table.files(space.file("out")))


def rerun_and_check(space, server, target, what):
    space.run("pipeline.json").expect(0)
    table.same_rows(content(space), target.wanted(server), what)
    equal([f for f in table.leftovers(space.file("out")) if not f.endswith("_SUCCESS")], [], f"{what}: files left behind")


def fresh(server, target):
    space = Workspace(postgres=server.credentials("fault"))
    target.prepare(space, FOLDER.name)
    return space


def undisturbed(server, target):
    with fresh(server, target) as space:
        rerun_and_check(space, server, target, "without any fault")


def recorded_as_success(space):
    """Was the run over before the process was? Then a rerun would be another run."""
    state = space.file(".millrace", "state.db")
    if not os.path.exists(state):
        return False
    with contextlib.closing(sqlite3.connect(state)) as db:
        try:
            rows = db.execute("SELECT status FROM runs WHERE state_key = 'load' ORDER BY started DESC LIMIT 1").fetchall()
        except sqlite3.OperationalError:  # killed before the tables were made
            return False
    return rows == [("success",)]


def random_kills(server, target, count):
    choose = random.Random(7)
    with fresh(server, target) as space:
        began = time.monotonic()
        space.run("pipeline.json").expect(0)
        usual = time.monotonic() - began
    for number in range(count):
        with fresh(server, target) as space:
            process = space.start("run", "pipeline.json", "--progress", "none", stdout=-3, stderr=-3)
            try:
                process.wait(choose.uniform(0.0, usual * 1.05))
            except Exception:
                process.kill()
                process.wait()
            if process.returncode == 0:
                continue
            if recorded_as_success(space):
                table.same_rows(content(space), target.wanted(server), f"kill {number}, of a finished run")
                continue
            rerun_and_check(space, server, target, f"kill {number}")


def places(server, target):
    """How often each named place is passed in one run."""
    with fresh(server, target) as space:
        space.run("pipeline.json", environment={"MILLRACE_FAILPOINT_LIST": space.file("places")}).expect(0)
        if not os.path.exists(space.file("places")):
            raise Skip("built without --enable-failpoints")
        with open(space.file("places")) as file:
            return collections.Counter(file.read().split())


def occurrences(passed):
    """Which of N passes to disturb: all when asked for, else the first, the second, one in the middle and the last."""
    if LONG:
        return range(1, min(passed, 100) + 1)
    return sorted({1, min(2, passed), (passed + 1) // 2, passed})


def disturbed(server, target, action):
    found = places(server, target)
    check(found, "no place was passed")
    for name, passed in sorted(found.items()):
        for number in occurrences(passed):
            what = f"{action} at {name}:{number}"
            with fresh(server, target) as space:
                result = space.millrace(
                    "run", "pipeline.json", "--progress", "none", environment={"MILLRACE_FAILPOINT": f"{name}:{number}={action}"})
                if action == "kill":
                    equal(result.code, -signal.SIGKILL, f"{what}: end of the run")
                else:
                    check(result.code in (0, 5, 6, 8, 10), f"{what}: exit {result.code}\n{result}")
                if result.code == 0:
                    table.same_rows(content(space), target.wanted(server), what)
                else:
                    rerun_and_check(space, server, target, what)


def held_by_lock(connection):
    """How many sessions wait for a lock."""
    return connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0]


def stopped(server, target, sent, code):
    """A signal stops the run, with nothing half-written, and it can be run again. A lock keeps it from ending first."""
    with fresh(server, target) as space, server.connect("fault") as watcher, server.connect("fault") as holder:
        before = snapshot(space)
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        process = space.start("run", "pipeline.json", "--progress", "none", stdout=-3, stderr=-3)
        deadline = time.monotonic() + 60
        while not held_by_lock(watcher):
            check(process.poll() is None, f"the run ended with {process.returncode} before it read")
            check(time.monotonic() < deadline, "the run never began to read")
        process.send_signal(sent)
        process.wait(60)
        equal(process.returncode, code, "exit code")
        equal(snapshot(space), before, "files after the stop")
        holder.execute("ROLLBACK")
        rerun_and_check(space, server, target, "after the stop")


def stopped_midway(server, target, sent, code):
    """The same while rows arrive over a slow link."""
    with fresh(server, target) as space, Proxy(server.port, 300_000) as slow:
        before = snapshot(space)
        direct = dict(space.credentials["defaults"]["postgres"])
        space.credentials["defaults"]["postgres"].update(host="127.0.0.1", port=slow.port)
        space.write("config/credentials.json", space.credentials)
        process = space.start("run", "pipeline.json", "--progress", "none", stdout=-3, stderr=-3)
        while slow.carried() < 500_000:
            equal(process.poll(), None, "the run's exit code before the signal")
        process.send_signal(sent)
        process.wait(60)
        equal(process.returncode, code, "exit code")
        equal(snapshot(space), before, "files after the stop")
        space.credentials["defaults"]["postgres"] = direct
        space.write("config/credentials.json", space.credentials)
        rerun_and_check(space, server, target, "after the stop")


def fresh_never_reuses_names(server):
    """Two runs that append, with a --fresh that fails between them: the second must not take the first one's file names."""
    target = TARGETS[0]
    with fresh(server, target) as space:
        space.run("pipeline.json").expect(0)
        space.write("failing.json", target.pipeline("1 / (id - id) = 1", "append", "load"))
        space.run("failing.json", "--fresh").expect(5)
        space.run("pipeline.json").expect(0)
        table.same_rows(content(space), 2 * target.wanted(server), "after both")


def commit_that_cannot_be_finished(server):
    """The target is in the way of a prepared commit: no other run begins until it is mended or given up with --fresh."""
    target = TARGETS[0]
    with fresh(server, target) as space:
        died = space.run("pipeline.json", environment={"MILLRACE_FAILPOINT": "epoch.before_commit=kill"})
        if died.code == 0:
            raise Skip("built without --enable-failpoints")
        os.rename(space.file("out"), space.file("aside"))
        space.write("out", "not a directory")
        stuck = space.run("pipeline.json").expect(6)
        check("cannot be finished" in stuck.err and "--fresh" in stuck.err, stuck)
        os.unlink(space.file("out"))
        os.rename(space.file("aside"), space.file("out"))
        rerun_and_check(space, server, target, "after mending")
    with fresh(server, target) as space:
        space.run("pipeline.json", environment={"MILLRACE_FAILPOINT": "epoch.before_commit=kill"})
        shutil.rmtree(space.file("out"))
        space.run("pipeline.json").expect(6)
        space.run("pipeline.json", "--fresh").expect(0)
        table.same_rows(content(space), target.wanted(server), "after giving up")


def next_work(server):
    """A start with other parameters than the killed run's finishes that one and does its own work, once."""
    steps = [
        {"type": "extract", "method": "fromPostgres", "config": {"table": "t", "where": "id > 0 AND grp = ${day}"}},
        {"type": "load", "method": "toFile", "config": {"path": "out/", "format": "parquet"}},
    ]
    for place in ("epoch.before_commit", "state.after:2"):
        with Workspace(postgres=server.credentials("fault")) as space:
            space.write("pipeline.json", {"name": "days", "parameters": {"day": 0}, "steps": steps})
            killed = space.millrace("run", "pipeline.json", "--progress", "none", "--param", "day=1",
                                    environment={"MILLRACE_FAILPOINT": f"{place}=kill"})
            if killed.code == 0:
                raise Skip("built without --enable-failpoints")
            wanted = server.rows("fault", "SELECT id, grp, body FROM t WHERE id > 0 AND grp = 1")
            space.run("pipeline.json", "--param", "day=2").expect(0)
            wanted += server.rows("fault", "SELECT id, grp, body FROM t WHERE id > 0 AND grp = 2")
            table.same_rows(content(space), wanted, place)


def stamped(server, name):
    server.execute("fault", f"DROP TABLE IF EXISTS {name}", f"CREATE TABLE {name} (id integer, at timestamptz DEFAULT now())",
                   f"INSERT INTO {name} SELECT generate_series(1, 10)")
    return {"name": name, "parameters": {"day": 0}, "steps": [
        {"type": "extract", "method": "fromPostgres",
         "config": {"query": f"SELECT id FROM {name} WHERE at >= '${{last_run_timestamp}}' AND ${{day}} >= 0"}},
        {"type": "load", "method": "toFile", "config": {"path": "out/", "format": "parquet"}}]}


def ids(space):
    return sorted(row[0] for row in table.duck("SELECT id FROM data", space.file("out")))


def fresh_forgets_the_watermark(server):
    with Workspace(postgres=server.credentials("fault")) as space:
        space.write("pipeline.json", stamped(server, "stamped"))
        space.run("pipeline.json").expect(0)
        space.run("pipeline.json").expect(0)
        equal(ids(space), list(range(1, 11)), "ids after a run that had nothing to read")
        space.run("pipeline.json", "--fresh").expect(0)
        equal(ids(space), sorted(2 * list(range(1, 11))), "ids after --fresh")


def watermark_of_a_finished_commit(server):
    """A start with other parameters finishes the killed run's commit, and goes on from that run's watermark."""
    with Workspace(postgres=server.credentials("fault")) as space:
        space.write("pipeline.json", stamped(server, "stamped"))
        killed = space.run("pipeline.json", environment={"MILLRACE_FAILPOINT": "epoch.before_commit=kill"})
        if killed.code == 0:
            raise Skip("built without --enable-failpoints")
        server.execute("fault", "INSERT INTO stamped SELECT generate_series(11, 15)")
        space.run("pipeline.json", "--param", "day=1").expect(0)
        equal(ids(space), list(range(1, 16)), "ids")


def fresh_after_a_kill(server):
    """--fresh finishes the killed run's commit and does its own work: that is what the report is of."""
    with Workspace(postgres=server.credentials("fault")) as space:
        space.write("pipeline.json", stamped(server, "stamped"))
        killed = space.run("pipeline.json", environment={"MILLRACE_FAILPOINT": "epoch.before_commit=kill"})
        if killed.code == 0:
            raise Skip("built without --enable-failpoints")
        report = space.run("pipeline.json", "--fresh").expect(0).report
        equal((report["epoch"], report.get("finished_run"), report["rows_written"]), (2, None, 10), "epoch, finished run and rows")
        equal(ids(space), sorted(2 * list(range(1, 11))), "ids")


def killed_while_it_finishes(server):
    """A start that finished a killed run's commit is killed as well, before it says so to anybody: the third one has nothing to do."""
    with Workspace(postgres=server.credentials("fault")) as space:
        pipeline = stamped(server, "stamped")
        pipeline["steps"][0]["config"] = {"table": "stamped"}
        space.write("pipeline.json", pipeline)
        killed = space.run("pipeline.json", environment={"MILLRACE_FAILPOINT": "epoch.after_commit=kill"})
        if killed.code == 0:
            raise Skip("built without --enable-failpoints")
        wanted = ids(space)
        check(space.run("pipeline.json", environment={"MILLRACE_FAILPOINT": "run.recorded=kill"}).code != 0, "it was not killed")
        space.run("pipeline.json").expect(0)
        equal(ids(space), wanted, "ids after the third start")
        space.run("pipeline.json").expect(0)
        equal(ids(space), sorted(2 * wanted), "ids after the next run")


def foreign_link(server):
    """An overwrite leaves alone what a link inside the target leads to."""
    with Workspace(postgres=server.credentials("fault")) as space:
        for folder in ("elsewhere", "out"):
            os.mkdir(space.file(folder))
        space.write("elsewhere/keep.parquet", "of somebody else")
        os.symlink(space.file("elsewhere"), space.file("out", "link"))
        pipeline = Target("link", "overwrite").pipeline(f"id > {ROWS - 1000}", "overwrite", "link")
        del pipeline["steps"][1]["config"]["partitionBy"]
        space.run(pipeline).expect(0)
        check(os.path.exists(space.file("elsewhere", "keep.parquet")), "the overwrite removed a file outside of its target")


def main():
    suite = Suite("fault")
    with Server() as server:
        server.database("fault")
        server.execute(
            "fault", "CREATE TABLE t (id integer PRIMARY KEY, grp integer, body text)",
            f"INSERT INTO t SELECT id, id % 7, md5(id::text) || repeat('x', id % 50) FROM generate_series(1, {ROWS}) id",
            "INSERT INTO t SELECT -id, CASE WHEN id % 2 = 0 THEN 99 ELSE 3 END, 'old ' || id FROM generate_series(1, 1000) id", "ANALYZE t")
        suite.case("--fresh never reuses names", fresh_never_reuses_names, server)
        suite.case("a commit that cannot be finished", commit_that_cannot_be_finished, server)
        suite.case("the next work after a kill", next_work, server)
        suite.case("--fresh forgets the watermark", fresh_forgets_the_watermark, server)
        suite.case("the watermark of a finished commit", watermark_of_a_finished_commit, server)
        suite.case("--fresh after a kill", fresh_after_a_kill, server)
        suite.case("killed while it finishes", killed_while_it_finishes, server)
        suite.case("a link inside the target", foreign_link, server)
        for target in TARGETS:
            suite.case(f"{target.name}: undisturbed", undisturbed, server, target)
            suite.case(f"{target.name}: SIGTERM", stopped, server, target, signal.SIGTERM, 143)
            suite.case(f"{target.name}: SIGINT", stopped, server, target, signal.SIGINT, 130)
            suite.case(f"{target.name}: SIGTERM midway", stopped_midway, server, target, signal.SIGTERM, 143)
            suite.case(f"{target.name}: random kills", random_kills, server, target, 34 if LONG else 6)
            suite.case(f"{target.name}: kills at places", disturbed, server, target, "kill")
            suite.case(f"{target.name}: errors at places", disturbed, server, target, "eio")
    suite.end()


main()

#!/usr/bin/env python3
"""Kills and errors of a run that writes to S3, each followed by a rerun: afterwards every row is there exactly once.

As run.py does for directories, on a real server (tests/lib/s3.py): killed at random moments and at the named places of a
build with --enable-failpoints, with large objects in several parts and small ones; the server killed and started again;
replies lost at the commit. Read back by pyarrow. After the rerun no upload is left open. MILLRACE_LONG=1 does more.
"""

import collections
import contextlib
import os
import random
import signal
import sqlite3
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Skip, Suite, check, equal, need

need("psycopg", "pyarrow", "duckdb")
import pyarrow.fs
import pyarrow.parquet
import s3
import s3_proxy
import table
from engine import Workspace
from server import Server

LONG = bool(os.environ.get("MILLRACE_LONG"))
BUCKET = "lake"
ROWS = 13000  # two parts of 5 MB for each of two objects


class Target:
    """What is there before, what the run writes, and what must be there in the end."""

    def __init__(self, name, mode, first=None, **config):
        self.name, self.mode, self.first, self.config = name, mode, first, config
        self.rows = None

    def pipeline(self, prefix, where, mode, name):
        return {"name": name, "steps": [
            {"type": "extract", "method": "fromPostgres", "config": {
                "table": "t", "partitionColumn": "id", "numPartitions": 4, "maxConnections": 2, "where": where}},
            {"type": "load", "method": "toS3", "config": {
                "bucket": BUCKET, "path": prefix, "format": "parquet", "compression": "none", "partitionBy": ["grp"], "mode": mode,
                "multipartSize": "5MB", "multipartThreshold": "5MB", **self.config}},
        ]}

    def wanted(self, server):
        """Nobody writes to the source: asked once."""
        if self.rows is None:
            query = "SELECT id, grp, md5(body) FROM t WHERE {}"
            self.rows = server.rows("fault", query.format("id > 0"))
            if self.first and self.mode == "append":
                self.rows += server.rows("fault", query.format(self.first))
            elif self.first and self.config.get("partitionOverwriteMode") != "static":
                self.rows += server.rows("fault", query.format(f"{self.first} AND grp = 99"))
        return self.rows


TARGETS = [
    Target("append", "append", "id BETWEEN 1 AND 2000"),
    Target("dynamic overwrite", "overwrite", "id < 0"),
    Target("static overwrite, manifest", "overwrite", "id < 0", partitionOverwriteMode="static", manifest=True),
]


class Bench:
    def __init__(self, server, store):
        self.server, self.store = server, store
        self.used = 0

    @contextlib.contextmanager
    def fresh(self, target, endpoint=None):
        """A workspace, and a prefix of its own with what is there before."""
        self.used += 1
        prefix = f"run{self.used}"
        defaults = {"postgres": self.server.credentials("fault"), "s3": self.store.credentials()}
        with Workspace(extra={"defaults": defaults}) as space:
            if target.first:
                space.write("first.json", target.pipeline(prefix, target.first, "append", "first"))
                space.run("first.json").expect(0)
            space.write("pipeline.json", target.pipeline(prefix, "id > 0", target.mode, "load"))
            space.prefix = prefix
            if endpoint:
                self.through(space, endpoint)
            yield space
        for key in self.store.client.keys(BUCKET, prefix + "/"):
            self.store.client.request("DELETE", BUCKET, key)

    def through(self, space, endpoint):
        space.credentials["defaults"]["s3"]["endpoint"] = endpoint or self.store.endpoint
        space.write("config/credentials.json", space.credentials)

    def content(self, space):
        filesystem = self.store.filesystem()
        selector = pyarrow.fs.FileSelector(f"{BUCKET}/{space.prefix}", recursive=True, allow_not_found=True)
        rows = []
        for info in filesystem.get_file_info(selector):
            if info.type != pyarrow.fs.FileType.File or any(p.startswith(("_", ".")) for p in info.path.split("/")):
                continue
            part = int(info.path.split("grp=")[1].split("/")[0])
            data = pyarrow.parquet.ParquetFile(filesystem.open_input_file(info.path)).read(["id", "digest"])
            rows += [(i, part, d) for i, d in zip(data.column("id").to_pylist(), data.column("digest").to_pylist())]
        return rows

    def exact(self, space, target, what):
        table.same_rows(self.content(space), target.wanted(self.server), what)
        keys = self.store.client.keys(BUCKET, space.prefix + "/")
        keys = [k for k in keys if "/.millrace-state/" not in k]  # what the target remembers
        hidden = [k for k in keys if any(p.startswith((".", "_")) for p in k.split("/")) and not k.endswith("/_manifest.json")]
        equal(hidden, [], f"{what}: objects left behind")
        equal(self.store.client.uploads(BUCKET, space.prefix + "/"), [], f"{what}: uploads left behind")

    def rerun(self, space, target, what):
        space.run("pipeline.json").expect(0)
        self.exact(space, target, what)


def undisturbed(bench, target):
    with bench.fresh(target) as space:
        bench.rerun(space, target, "without any fault")


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


def killed_after(space, seconds):
    process = space.start("run", "pipeline.json", "--progress", "none", stdout=-3, stderr=-3)
    try:
        process.wait(seconds)
    except Exception:
        process.kill()
        process.wait()
    return process.returncode


def random_kills(bench, target, count):
    choose = random.Random(11)
    with bench.fresh(target) as space:
        began = time.monotonic()
        space.run("pipeline.json").expect(0)
        usual = time.monotonic() - began
    open_uploads = 0
    for number in range(count):
        with bench.fresh(target) as space:
            if killed_after(space, choose.uniform(usual * 0.1, usual)) == 0:
                continue
            open_uploads += len(bench.store.client.uploads(BUCKET, space.prefix + "/"))
            if recorded_as_success(space):
                bench.exact(space, target, f"kill {number}, of a finished run")
            else:
                bench.rerun(space, target, f"kill {number}")
    print(f"# {count} kills left {open_uploads} uploads open, which the reruns ended")


def places(bench, target):
    """How often each named place is passed in one run."""
    with bench.fresh(target) as space:
        space.run("pipeline.json", environment={"MILLRACE_FAILPOINT_LIST": space.file("places")}).expect(0)
        if not os.path.exists(space.file("places")):
            raise Skip("built without --enable-failpoints")
        with open(space.file("places")) as file:
            return collections.Counter(file.read().split())


def disturbed(bench, target, action):
    for name, passed in sorted(places(bench, target).items()):
        for number in range(1, passed + 1) if LONG else sorted({1, (passed + 1) // 2, passed}):
            what = f"{action} at {name}:{number}"
            with bench.fresh(target) as space:
                result = space.millrace(
                    "run", "pipeline.json", "--progress", "none", environment={"MILLRACE_FAILPOINT": f"{name}:{number}={action}"})
                if action == "kill":
                    equal(result.code, -signal.SIGKILL, f"{what}: end of the run")
                else:
                    check(result.code in (0, 5, 6, 8, 10), f"{what}: exit {result.code}\n{result}")
                if result.code == 0:
                    bench.exact(space, target, what)
                else:
                    bench.rerun(space, target, what)


def at_the_commit(bench, target, fault, name):
    """No request of the commit gets through; the next start finishes it."""
    over = []

    def script(request):
        commits = request.operation in ("CompleteMultipartUpload", "PutObject", "DeleteObject", "DeleteObjects")
        return fault if commits and not over else None

    with s3_proxy.S3Proxy(bench.store.port, script) as proxy, bench.fresh(target, proxy.endpoint) as space:
        process = space.start("run", "pipeline.json", "--progress", "none", stdout=-3, stderr=-3)
        deadline = time.monotonic() + 60
        while proxy.faults() < 3 and process.poll() is None:
            check(time.monotonic() < deadline, f"no commit was seen: {proxy.seen}")
            time.sleep(0.01)
        process.kill()
        process.wait()
        over.append(True)
        bench.rerun(space, target, name)


def server_restarts(bench, target):
    """The server dies in the middle of the run and comes back: the run goes on, or the next one ends it."""
    with s3_proxy.S3Proxy(bench.store.port) as proxy, bench.fresh(target, proxy.endpoint) as space:
        seen = threading.Event()
        proxy.script = lambda request: seen.set() if request.operation in ("UploadPart", "PutObject") else None
        process = space.start("run", "pipeline.json", "--progress", "none", stdout=-3, stderr=-3)
        check(seen.wait(60), "nothing was uploaded")
        bench.store.restart()
        process.wait(300)
        if process.returncode == 0:
            bench.exact(space, target, "through a restart of the server")
        else:
            equal(process.returncode, 6, "exit code")
            bench.rerun(space, target, "after a restart of the server")


def main():
    suite = Suite("fault-s3")
    with Server() as server, s3.S3Server() as store:
        store.make_bucket(BUCKET)
        server.database("fault")
        body = "(SELECT string_agg(md5((id * 100 + n)::text), '') FROM generate_series(1, 30) n)"
        server.execute(
            "fault", "CREATE TABLE t (id integer PRIMARY KEY, grp integer, body text, digest text)",
            # Two large partitions, whose objects have several parts, and a small one.
            f"INSERT INTO t SELECT id, CASE WHEN id % 100 = 0 THEN 3 ELSE id % 2 END, {body} FROM generate_series(1, {ROWS}) id",
            "INSERT INTO t SELECT -id, CASE WHEN id % 2 = 0 THEN 99 ELSE 3 END, 'old ' || id FROM generate_series(1, 1000) id",
            "UPDATE t SET digest = md5(body)", "ANALYZE t")
        bench = Bench(server, store)
        for target in TARGETS:
            suite.case(f"{target.name}: undisturbed", undisturbed, bench, target)
            suite.case(f"{target.name}: random kills", random_kills, bench, target, 34 if LONG else 6)
            suite.case(f"{target.name}: kills at places", disturbed, bench, target, "kill")
            suite.case(f"{target.name}: errors at places", disturbed, bench, target, "eio")
            suite.case(f"{target.name}: replies of the commit lost", at_the_commit, bench, target, s3_proxy.drop_reply(), "replies lost")
            suite.case(f"{target.name}: commit not reached", at_the_commit, bench, target, s3_proxy.slow_down(), "commit not reached")
        suite.case("a restart of the server", server_restarts, bench, TARGETS[0])
    suite.end()


main()

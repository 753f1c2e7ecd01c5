#!/usr/bin/env python3
"""kill -9 at random moments and at every named step, for each kind of target, restarted until done: no row lost, none twice.

KILLS=N kills per target that hit a running process (make check-faults KILLS=N; 4 unless told): one that comes when the run is over
does not count, and another follows. SEED=S repeats the moments of an earlier run; ONLY=n repeats its case n alone (LENGTH=seconds: with
the length of a run as it was then). The length of a run is measured first and the moments cover all of it. A third of the cases go on
with kills during the recovery, up to five deep. Every source row has an id and a checksum of its text. What the target holds is read by a reader that is not ours,
and counted row by row. One server serves all kills of a target.

A build with --enable-failpoints also dies at each named step that a load into the target passes, once more at the same step during
the recovery, and is started again. MILLRACE_LONG=1 takes every pass of a step, otherwise the first and the last. And it dies there
while its state is lost as well: the next start either finds nothing and loads, or stops until it is told how to go on (a few of the
steps; with MILLRACE_LONG=1 all). DEEP=N times (1 unless told) it dies behind PREPARED and then four times in the recovery, each time
at any step that a recovery passes.
"""

import collections
import contextlib
import glob
import hashlib
import os
import random
import re
import select
import shutil
import signal
import sqlite3
import statistics
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Skip, Suite, check, checkout, equal, need

need("pyarrow", "duckdb", "deltalake", "psycopg")
import duckdb
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet
from deltalake import DeltaTable

import s3
from engine import Workspace
from server import Server

LONG = bool(os.environ.get("MILLRACE_LONG"))
KILLS = int(os.environ.get("KILLS") or 4)
SEED = int(os.environ.get("SEED") or random.randrange(1 << 31))
ONLY = os.environ.get("ONLY")
DEEP = int(os.environ.get("DEEP") or 1)
LENGTH = float(os.environ.get("LENGTH") or 0)
BUCKET = "kills"
DEEPEST = 5


def text_of(number, size):
    return hashlib.sha256(b"%d" % number).hexdigest() * (size // 64)


def make_rows(count, first, size):
    """A row in twenty is in the small partition. The text differs from row to row so that nothing compresses it away."""
    ids = range(first, first + count)
    body = [text_of(i, size) for i in ids]
    return pa.table({"id": pa.array(ids, pa.int64()), "part": pa.array([int(i % 20 == 0) for i in ids], pa.int32()), "body": body,
                     "sum": [hashlib.md5(f"{i}:{b}".encode()).hexdigest() for i, b in zip(ids, body)]})


def summed(table):
    """id -> how often it is there; a text that does not fit its checksum counts as a row that nobody wrote."""
    seen = collections.Counter()
    for number, body, digest in zip(*(table.column(c).to_pylist() for c in ("id", "body", "sum"))):
        right = hashlib.md5(f"{number}:{body}".encode()).hexdigest() == digest
        seen[number if right else f"damaged {number}"] += 1
    return seen


class Sink:
    """A kind of target: how a run writes to it, and what somebody else reads there."""

    method, rows, size = "toFile", 2000, 128

    def __init__(self, name):
        self.name = name
        self.folder = tempfile.mkdtemp(prefix="millrace-kills-")
        self.used = 0
        self.lock = threading.Lock()

    def open(self):
        for name, first in (("old", 1_000_000), ("new", 0)):
            table = make_rows(self.rows, first, self.size)
            pyarrow.parquet.write_table(table, os.path.join(self.folder, f"{name}.parquet"), row_group_size=500)

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def defaults(self):
        return {}

    def settle(self, space):
        """Waits until the service has carried out what a process that is gone had sent: the start after that takes it away."""

    def config(self, target):
        return {"path": target, "format": "parquet", "partitionBy": ["part"]}

    def pipeline(self, target):
        return {"name": "load", "parameters": {"what": "new"}, "resources": {"parallelism": 2}, "steps": [
            {"type": "extract", "method": "fromFile", "config": {"path": self.folder + "/${what}.parquet", "format": "parquet"}},
            {"type": "load", "method": self.method, "config": {"mode": "append", **self.config(target)}}]}

    @contextlib.contextmanager
    def fresh(self):
        with Workspace(extra={"defaults": self.defaults()}) as space:
            with self.lock:
                self.used += 1
                space.target = self.place(space)
            space.write("pipeline.json", self.pipeline(space.target))
            yield space
            self.remove(space)

    def place(self, space):
        return space.file("out")

    def remove(self, space):
        pass

    def read(self, space):
        """The rows there, as an Arrow table, or None."""
        raise NotImplementedError

    def left(self, space):
        """What was staged and is still there."""
        return []


class LocalFiles(Sink):
    def read(self, space):
        names = glob.glob(space.file("out", "part=*", "[!.]*"))
        if not names:
            return None
        with duckdb.connect() as connection:
            return connection.sql("SELECT id, body, sum FROM read_parquet($names)", params={"names": names}).to_arrow_table()

    def left(self, space):
        return [n for _, _, names in os.walk(space.file("out")) for n in names if n.startswith(".")]


class LocalDelta(LocalFiles):
    method = "toDelta"

    def config(self, target):
        return {"path": target, "partitionBy": ["part"]}

    def read(self, space):
        if not glob.glob(space.file("out", "_delta_log", "*.json")):
            return None
        return DeltaTable(space.file("out")).to_pyarrow_table(columns=["id", "body", "sum"])


class S3Files(Sink):
    """Texts so large that one of the two objects goes up in parts."""

    method, rows, size = "toS3", 5000, 1280

    def open(self):
        super().open()
        self.server = s3.S3Server()
        self.server.__enter__()
        self.server.make_bucket(BUCKET)

    def close(self):
        self.server.__exit__()
        super().close()

    def defaults(self):
        return {"s3": self.server.credentials()}

    def config(self, target):
        return {"bucket": BUCKET, "path": target, "format": "parquet", "partitionBy": ["part"], "compression": "none",
                "multipartSize": "5MB", "multipartThreshold": "5MB"}

    def place(self, space):
        return f"t{self.used}"

    def remove(self, space):
        for key in self.server.client.keys(BUCKET, space.target + "/"):
            self.server.client.request("DELETE", BUCKET, key)

    def read(self, space):
        filesystem = self.server.filesystem()
        selector = pyarrow.fs.FileSelector(f"{BUCKET}/{space.target}", recursive=True, allow_not_found=True)
        names = [i.path for i in filesystem.get_file_info(selector)
                 if i.type == pyarrow.fs.FileType.File and not any(p.startswith(("_", ".")) for p in i.path.split("/"))]
        tables = [pyarrow.parquet.ParquetFile(filesystem.open_input_file(n)).read(["id", "body", "sum"]) for n in names]
        return pa.concat_tables(tables) if tables else None

    def settle(self, space):
        looks = [None, self.left(space)]
        while looks[-1] != looks[-2]:
            time.sleep(0.3)
            looks.append(self.left(space))

    def left(self, space):
        keys = self.server.client.keys(BUCKET, space.target + "/")
        hidden = [k for k in keys if any(p.startswith(".") for p in k.split("/")) and "/.millrace-state/" not in k]
        return hidden + self.server.client.uploads(BUCKET, space.target + "/")


class S3Delta(S3Files):
    method, rows, size = "toDelta", 2000, 128

    def config(self, target):
        return {"path": f"s3://{BUCKET}/{target}", "partitionBy": ["part"]}

    def read(self, space):
        if not self.server.client.keys(BUCKET, f"{space.target}/_delta_log/0"):
            return None
        options = {**self.server.environment(), "AWS_ALLOW_HTTP": "true", "AWS_EC2_METADATA_DISABLED": "true"}
        return DeltaTable(f"s3://{BUCKET}/{space.target}", storage_options=options).to_pyarrow_table(columns=["id", "body", "sum"])


class Postgres(Sink):
    method, settings = "toPostgres", ""

    def open(self):
        super().open()
        self.server = Server(self.settings)
        self.server.__enter__()
        self.server.database("kills")

    def close(self):
        self.server.__exit__()
        super().close()

    def defaults(self):
        return {"postgres": self.server.credentials("kills")}

    def config(self, target):
        return {"table": target}

    def place(self, space):
        return f"t{self.used}"

    def remove(self, space):
        self.server.execute("kills", f"DROP TABLE IF EXISTS {space.target}")

    def read(self, space):
        if not self.server.rows("kills", f"SELECT 1 FROM pg_tables WHERE tablename = '{space.target}'"):
            return None
        rows = self.server.rows("kills", f"SELECT id, body, sum FROM {space.target}")
        return pa.table({n: [r[i] for r in rows] for i, n in enumerate(("id", "body", "sum"))})


def state_of(space):
    """(runs that ended well, phase of the last epoch), from a copy: looking must not mend what a kill left."""
    found = glob.glob(space.file(".millrace", "state.db*"))
    if space.file(".millrace", "state.db") not in found:
        return 0, 0
    with tempfile.TemporaryDirectory() as copy:
        for name in found:
            if not name.endswith("-shm"):
                shutil.copy(name, copy)
        with contextlib.closing(sqlite3.connect(os.path.join(copy, "state.db"))) as db:
            try:
                well = db.execute("SELECT count(*) FROM runs WHERE status = 'success'").fetchone()[0]
                record = db.execute("SELECT record FROM lanes").fetchone()
            except sqlite3.OperationalError:  # killed before the tables were made
                return 0, 0
    return well, record[0][4] if record else 0


def killed_at(space, seconds):
    """Starts a run and kills it then, to the millisecond; its exit code."""
    process = space.start("run", "pipeline.json", "--progress", "none", stdout=-3, stderr=-3)
    watch = os.pidfd_open(process.pid)
    try:
        if not select.select([watch], [], [], seconds)[0]:
            process.kill()
    finally:
        os.close(watch)
    return process.wait()


TALLIES = {}  # of the random moments, by target


def print_table():
    print(f"# {'target':<14}{'kills':>7}{'restarts':>10}{'lost':>6}{'duplicated':>12}{'damaged':>9}{'staged left':>13}")
    for name, t in TALLIES.items():
        print(f"# {name:<14}{t.kills:>7}{t.starts:>10}{t.lost:>6}{t.twice:>12}{t.strange:>9}{t.left:>13}", flush=True)


class Tally:
    def __init__(self, usual=0.0):
        self.usual = usual  # how long a run takes
        self.kills = self.starts = self.lost = self.twice = self.strange = self.left = 0  # starts: those after a kill
        self.moments = collections.Counter()
        self.bad = []

    def line(self):
        where = ", ".join(f"{n} {w}" for w, n in sorted(self.moments.items()))
        return f"{self.kills} kills{f' ({where})' if where else ''}: {self.lost} lost, {self.twice} duplicated, {self.strange} damaged, {self.left} left staged"


def judge(sink, space, tally, wanted, what, staged=True):
    """Counts what is wrong with the target; `staged`: also what is left there."""
    table = sink.read(space)
    seen = summed(table) if table is not None else collections.Counter()
    lost = sum((wanted - seen).values())
    twice = sum((seen - wanted).values())
    strange = sum(n for k, n in seen.items() if k not in wanted)
    twice -= strange
    left = sink.left(space) if staged else []
    tally.lost, tally.twice, tally.strange, tally.left = tally.lost + lost, tally.twice + twice, tally.strange + strange, tally.left + len(left)
    if lost or twice or strange or left:
        tally.bad.append(f"{what}: {lost} lost, {twice} duplicated, {strange} damaged, left {left[:5]}")


def wanted_rows(sink, with_old):
    wanted = collections.Counter(range(sink.rows))
    if with_old:
        wanted.update(range(1_000_000, 1_000_000 + sink.rows))
    return wanted


def one(sink, number, tally):
    """Kill `number` of this seed, with all that follows from it."""
    choose = random.Random(f"{SEED}/{sink.name}/{number}")
    with_old = choose.random() < 0.25
    depth = 1 if choose.random() < 0.67 else choose.randint(2, DEEPEST)
    moments = [choose.uniform(0, 1.05) * (1 if i == 0 or choose.random() < 0.5 else 0.4) for i in range(depth)]
    said = f"SEED={SEED} ONLY={number} LENGTH={tally.usual:.4f} '{sink.name}', killed at {', '.join(f'{m:.3f}' for m in moments)} of that"
    with sink.fresh() as space:
        if with_old:
            space.run("pipeline.json", "--param", "what=old").expect(0)
        done = state_of(space)[0] + 1
        ended = False
        for number_of, moment in enumerate(moments, 1):
            began = time.monotonic()
            code = killed_at(space, moment * tally.usual)
            if code == 0 and not LENGTH:  # other loads of the machine come and go
                tally.usual = 0.7 * tally.usual + 0.3 * (time.monotonic() - began)
            tally.kills += code == -signal.SIGKILL
            well, phase = state_of(space)
            ended = code == 0 or well >= done
            tally.moments["over" if ended else "prepared" if phase == 1 else "committed" if phase == 2 and not with_old else "staging"] += 1
            check(code in (0, -signal.SIGKILL), f"{said}: exit {code}")
            if ended:
                break
        tally.starts += number_of - 1
        if not ended:
            tally.starts += 1
            result = space.run("pipeline.json")
            if result.code != 0:
                tally.bad.append(f"{said}: the last start: {result}")
        judge(sink, space, tally, wanted_rows(sink, with_old), said)


def length_of_run(sink):
    """The time from start to end, the middle of three."""
    taken = []
    for _ in range(3):
        with sink.fresh() as space:
            began = time.monotonic()
            space.run("pipeline.json").expect(0)
            taken.append(time.monotonic() - began)
            tally = Tally()
            judge(sink, space, tally, wanted_rows(sink, False), "without any kill")
            check(not tally.bad, "\n".join(tally.bad))
    return statistics.median(taken)


def at_random(sink):
    usual = LENGTH or length_of_run(sink)
    tally, began = Tally(usual), time.monotonic()
    cases = 0
    for number in [int(ONLY)] if ONLY else range(10 * KILLS):
        if not ONLY and tally.kills >= KILLS:
            break
        one(sink, number, tally)
        cases += 1
    taken = time.monotonic() - began
    print(f"# {sink.name}: SEED={SEED}, a run takes {usual * 1000:.0f} ms, {cases} cases, {taken / cases:.2f} s each")
    print(f"# {sink.name}: {tally.line()}", flush=True)
    TALLIES[sink.name] = tally
    check(not tally.bad, "\n".join(tally.bad[:20]))


def steps_passed(sink):
    """Names of the steps that a load passes, with how often."""
    with sink.fresh() as space:
        space.run("pipeline.json", environment={"MILLRACE_FAILPOINT_LIST": space.file("places")}).expect(0)
        if not os.path.exists(space.file("places")):
            raise Skip("built without --enable-failpoints")
        with open(space.file("places"), encoding="utf-8") as file:
            return collections.Counter(file.read().split())


def steps_of_discarding(sink):
    """Names of the steps of a start that finds everything staged and nothing prepared."""
    with sink.fresh() as space:
        space.run("pipeline.json", environment={"MILLRACE_FAILPOINT": "state.before=kill"})
        space.run("pipeline.json", environment={"MILLRACE_FAILPOINT_LIST": space.file("places")}).expect(0)
        with open(space.file("places"), encoding="utf-8") as file:
            return set(file.read().split())


def at_every_step(sink, passed_by_any):
    passed, tally = steps_passed(sink), Tally()
    passed_by_any.update(passed)
    for name, times in sorted(passed.items()):
        for number in range(1, min(times, 100) + 1) if LONG else sorted({1, times}):
            what = f"{sink.name}: killed at {name}:{number}"
            with sink.fresh() as space:
                die = {"MILLRACE_FAILPOINT": f"{name}:{number}=kill"}
                equal(space.run("pipeline.json", environment=die).code, -signal.SIGKILL, what)
                tally.kills += 1
                # Once more in the recovery, if that passes there.
                again = space.run("pipeline.json", environment={"MILLRACE_FAILPOINT": f"{name}=kill"})
                check(again.code in (0, -signal.SIGKILL), f"{what}: then {again}")
                tally.kills += again.code != 0
                if again.code != 0:
                    space.run("pipeline.json").expect(0)
                judge(sink, space, tally, wanted_rows(sink, False), what)
    only_then = steps_of_discarding(sink) - set(passed)
    passed_by_any.update(only_then)
    for name in sorted(only_then):
        with sink.fresh() as space:
            for where in ("state.before", name):
                code = space.run("pipeline.json", environment={"MILLRACE_FAILPOINT": f"{where}=kill"}).code
                equal(code, -signal.SIGKILL, f"{sink.name}: killed at {where}")
                tally.kills += 1
            space.run("pipeline.json").expect(0)
            judge(sink, space, tally, wanted_rows(sink, False), f"{sink.name}: killed at {name} in the recovery")
    print(f"# {sink.name}: {len(passed) + len(only_then)} named steps, {tally.line()}", flush=True)
    check(not tally.bad, "\n".join(tally.bad[:20]))


def steps_of_recovery(sink):
    """Names of the steps of a start that finds a prepared epoch, with how often it passes them."""
    with sink.fresh() as space:
        if space.run("pipeline.json", environment={"MILLRACE_FAILPOINT": "epoch.before_commit=kill"}).code == 0:
            raise Skip("built without --enable-failpoints")
        space.run("pipeline.json", environment={"MILLRACE_FAILPOINT_LIST": space.file("places")}).expect(0)
        with open(space.file("places"), encoding="utf-8") as file:
            return collections.Counter(file.read().split())


def five_deep(sink):
    """Killed behind PREPARED, and four times more in what follows; attempts whose recovery ended before that are counted beside."""
    steps, tally, depths = steps_of_recovery(sink), Tally(), collections.Counter()
    for number in range(10 * DEEP + 20):
        if depths[DEEPEST] == DEEP:
            break
        choose = random.Random(f"{SEED}/{sink.name}/deep/{number}")
        places = ["epoch.before_commit:1"]
        for _ in range(DEEPEST - 1):
            name = choose.choice(sorted(steps))
            places.append(f"{name}:{1 if choose.random() < 0.7 else choose.randint(1, steps[name])}")
        what = f"SEED={SEED} {sink.name}: {number}: killed at {', '.join(places)}"
        with sink.fresh() as space:
            died = 0
            for place in places:
                result = space.run("pipeline.json", environment={"MILLRACE_FAILPOINT": f"{place}=kill"})
                check(result.code in (0, -signal.SIGKILL), f"{what}: {result}")
                if result.code == 0:
                    break
                died += 1
            if died == len(places):
                space.run("pipeline.json").expect(0)
            tally.kills += died
            depths[died] += 1
            judge(sink, space, tally, wanted_rows(sink, False), what)
    print(f"# {sink.name}: {depths[DEEPEST]} times {DEEPEST} deep ({dict(sorted(depths.items()))}), {tally.line()}", flush=True)
    check(not tally.bad, "\n".join(tally.bad[:20]))


def with_lost_state(sink):
    """Killed at a step, and the state's directory is gone: nothing is loaded twice without a word, and --adopt goes on.

    What a state left staged that never committed anything stays: nobody knows its name any more.
    """
    passed, tally = sorted(steps_passed(sink)), Tally()
    chosen = passed if LONG else random.Random(f"{SEED}/{sink.name}/lost").sample(passed, min(4, len(passed))) + ["epoch.after_commit"]
    ends = collections.Counter()
    for name in chosen:
        what = f"{sink.name}: killed at {name}, state lost"
        with sink.fresh() as space:
            equal(space.run("pipeline.json", environment={"MILLRACE_FAILPOINT": f"{name}=kill"}).code, -signal.SIGKILL, what)
            tally.kills += 1
            shutil.rmtree(space.file(".millrace"))
            result = space.run("pipeline.json")
            check(result.code in (0, 6), f"{what}: {result}")
            ends["loaded" if result.code == 0 else "stopped"] += 1
            wanted = wanted_rows(sink, False)
            if result.code != 0:  # the epoch is there or will be; the run that adopts it appends another
                check("--adopt" in result.err, f"{what}: {result}")
                space.run("pipeline.json", "--adopt").expect(0)
                wanted.update(wanted)
            judge(sink, space, tally, wanted, what, result.code != 0)
    check(ends["stopped"] > 0, f"{sink.name}: a lost state was never noticed: {ends}")
    print(f"# {sink.name}: state lost {tally.kills} times, {ends['stopped']} stopped, {ends['loaded']} had nothing to lose, {tally.line()}", flush=True)
    check(not tally.bad, "\n".join(tally.bad[:20]))


def all_steps_known(passed):
    """The names in the sources, against those that some target passed."""
    named = set()
    for path in glob.glob(os.path.join(checkout(), "src", "**", "*.c"), recursive=True):
        with open(path, encoding="utf-8") as file:
            named.update(re.findall(r'MR_FAILPOINT\("([^"]+)"', file.read()))
    missed = sorted(named - passed)
    print(f"# {len(named & passed)} of {len(named)} named steps of the sources were killed at; not passed by an append: {', '.join(missed) or 'none'}")


SINKS = [LocalFiles("local files"), LocalDelta("Delta, local"), S3Files("S3 files"), S3Delta("Delta, S3"), Postgres("Postgres")]


def is_built(method):
    with Workspace() as space:
        known = space.millrace("methods", method)
        return known.code == 0 and "but not built in this version" not in known.out


def main():
    suite, passed = Suite("kills"), set()
    for sink in SINKS:
        cases = [f"{sink.name}: at random", f"{sink.name}: at every step", f"{sink.name}: state lost", f"{sink.name}: killed in the recovery"]
        if not any(suite.wants(c) for c in cases):
            continue
        if not is_built(sink.method):
            print(f"# {sink.name}: {sink.method} is not built in")
            continue
        try:
            sink.open()
            suite.case(cases[0], at_random, sink)
            if not ONLY:
                suite.case(cases[1], at_every_step, sink, passed)
                suite.case(cases[2], with_lost_state, sink)
                suite.case(cases[3], five_deep, sink)
        finally:
            sink.close()
    print_table()
    if passed and not suite.patterns:
        all_steps_known(passed)
    suite.end()


if __name__ == "__main__":
    main()

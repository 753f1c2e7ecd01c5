#!/usr/bin/env python3
"""What happens to the state between runs and beside them: damaged records, a full disk, a stopped instance, a lost directory.

Every byte of the epoch record in the state's database is changed, and the record is cut at every length: the next start either stops
with words that say so, or does exactly what it does with the whole record. A disk that is full where data, spilled rows or state go
ends the run cleanly, and the next start completes once there is room (a small tmpfs in a mount namespace of its own). A second
instance beside a stopped one is refused or fences it. A sample of the bytes; MILLRACE_LONG=1 takes them all.
"""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Skip, Suite, check, equal, need

need("pyarrow", "duckdb")
import duckdb
import pyarrow as pa
import pyarrow.parquet

import table
from engine import Workspace, program

LONG = bool(os.environ.get("MILLRACE_LONG"))
ROWS = 2000


def pipeline(between=(), **resources):
    return {"name": "load", "resources": {"parallelism": 1, **resources}, "steps": [
        {"type": "extract", "method": "fromFile", "config": {"path": "source.parquet", "format": "parquet"}}, *between,
        {"type": "load", "method": "toFile", "config": {"path": "out/", "format": "parquet", "mode": "append", "compression": "none"}}]}


def fresh(rows=ROWS, between=(), **resources):
    space = Workspace()
    data = pa.table({"id": pa.array(range(rows), pa.int64()), "body": [f"{i * 7919 % rows:08d}" * 12 for i in range(rows)]})
    pyarrow.parquet.write_table(data, space.file("source.parquet"), row_group_size=max(1, rows // 8))
    space.write("pipeline.json", pipeline(between, **resources))
    return space


def counted(path):
    """How many rows are there, and how many different ones."""
    names = table.files(path) if os.path.isdir(path) else []
    if not names:
        return 0, 0
    with duckdb.connect() as connection:
        return connection.sql("SELECT count(*), count(DISTINCT id) FROM read_parquet($names)", params={"names": names}).fetchall()[0]


def start(space, **environment):
    return space.millrace("run", "pipeline.json", "--progress", "none", environment=environment, timeout=60)


# ---- the record ----


def record_of(space):
    with contextlib.closing(sqlite3.connect(space.file(".millrace", "state.db"))) as db:
        return db.execute("SELECT record FROM lanes").fetchone()[0]


def put_record(space, record):
    with contextlib.closing(sqlite3.connect(space.file(".millrace", "state.db"))) as db, db:
        equal(db.execute("UPDATE lanes SET record = ?", (record,)).rowcount, 1, "rows of lanes")


def copy_of(space, kept):
    """The workspace as it was kept."""
    for name in ("out", ".millrace"):
        shutil.rmtree(space.file(name), ignore_errors=True)
        if os.path.isdir(os.path.join(kept, name)):
            shutil.copytree(os.path.join(kept, name), space.file(name))


def damages(record):
    yield from ((f"bit {1 << (at % 8)} of byte {at}", record[:at] + bytes([record[at] ^ (1 << (at % 8))]) + record[at + 1:])
                for at in range(len(record)))
    yield from ((f"cut to {size} bytes", record[:size]) for size in range(len(record)))


def damaged_records(place):
    """`place`: where the run before was killed, None = it ended well."""
    with fresh() as space:
        first = start(space, **({"MILLRACE_FAILPOINT": f"{place}=kill"} if place else {}))
        if place and first.code == 0:
            raise Skip("built without --enable-failpoints")
        record = record_of(space)
        kept = space.file("kept")
        os.mkdir(kept)
        for name in ("out", ".millrace"):
            shutil.copytree(space.file(name), os.path.join(kept, name))
        before = counted(space.file("out"))
        every = list(damages(record))
        chosen = every if LONG else every[::max(1, len(every) // 24)]
        start(space).expect(0)
        after = counted(space.file("out"))
        equal(after, (ROWS if place else 2 * ROWS, ROWS), "rows with the whole record")
        bad = []
        for what, damaged in chosen:
            copy_of(space, kept)
            put_record(space, damaged)
            result, now = start(space), counted(space.file("out"))
            stopped = result.code != 0 and "damaged" in result.err and now == before
            if not stopped and not (result.code == 0 and now == after):
                bad.append(f"{what}: rows {now}, {result}")
            copy = record_of(space)
            if stopped and copy != damaged:
                bad.append(f"{what}: the damaged record was replaced")
        print(f"# {len(chosen)} of {len(every)} damages of a record of {len(record)} bytes")
        check(not bad, f"{len(bad)} of {len(chosen)}\n" + "\n".join(bad[:20]))


# ---- a full disk ----

NAMESPACE = """
mount -t tmpfs -o size={size} none "$2" || exit 77
"$1" run pipeline.json --progress none
code=$?
ls -A "$2" > full.left
find "$2" -name '.*inprogress*' > staged.left
rm -f "$2"/ballast
[ -z "$3" ] || mount -o remount,size=256m "$2"
"$1" run pipeline.json --progress none > again.out 2>&1
echo $? > again.code
mkdir -p result && cp -a "$2"/. result/
exit $code
"""


def full(where, size, rows, code, between=(), memory=None):
    """The directory `where` is a disk of that size; after the run it is made larger, and the run is started again."""
    with fresh(rows, between, **({"memory": memory, "tempDir": where} if memory else {})) as space:
        os.makedirs(space.file(where), exist_ok=True)
        command = ["unshare", "-rm", "sh", "-c", NAMESPACE.format(size=size), "sh", program(), where, "more"]
        if not shutil.which("unshare"):
            raise Skip("no unshare")
        done = subprocess.run(command, cwd=space.path, env=space.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        if done.returncode in (1, 77) and ("unshare" in done.stderr or "mount" in done.stderr):
            raise Skip(f"nothing may be mounted here: {done.stderr.strip()[:120]}")
        check(done.returncode in code, f"exit {done.returncode}: {done.stdout}{done.stderr}")
        check("space" in done.stderr or "full" in done.stderr, f"no word of a full disk: {done.stderr}")
        with open(space.file("staged.left"), encoding="utf-8") as file:
            equal(file.read(), "", "staged files on the full disk")
        with open(space.file("again.out"), encoding="utf-8") as said, open(space.file("again.code"), encoding="ascii") as again:
            equal(again.read().strip(), "0", f"exit of the next start: {said.read()[-2000:]}")
        equal(counted(space.file("result" if where == "out" else "out")), (rows, rows), "rows after the next start")


# ---- two instances ----


def stopped_instance(place):
    """SIGSTOP while a run is at work, a second instance, SIGCONT: what both leave is one run's rows."""
    with fresh(20000) as space:
        process = space.start("run", "pipeline.json", "--progress", "none", stdout=-3, stderr=-3)
        deadline = time.monotonic() + 30
        # Until the lease is taken (the lock file is there), or something is staged.
        while process.poll() is None and time.monotonic() < deadline:
            there = os.path.isdir(space.file(place)) and [f for f in os.listdir(space.file(place)) if not f.startswith("state.db")]
            if there:
                break
            time.sleep(0.0005)
        process.send_signal(signal.SIGSTOP)
        second = start(space)
        process.send_signal(signal.SIGCONT)
        first = process.wait(60)
        check(sorted((first, second.code)) in ([0, 9], [0, 0]), f"the stopped one ended with {first}, the second: {second}")
        runs = [first, second.code].count(0)
        equal(counted(space.file("out")), (runs * 20000, 20000), "rows")


def lost_state(remedy):
    """The files know more than the state: nothing is written until somebody says how to go on."""
    with fresh() as space:
        start(space).expect(0)
        shutil.rmtree(space.file(".millrace"))
        for _ in range(2):
            stopped = start(space).expect(6)
            check("--adopt" in stopped.err and "--fresh" in stopped.err, stopped)
            equal(counted(space.file("out")), (ROWS, ROWS), "rows of the target that was left alone")
        space.run("pipeline.json", remedy).expect(0)
        equal(counted(space.file("out")), (2 * ROWS, ROWS), f"rows after {remedy}")
        start(space).expect(0)
        equal(counted(space.file("out")), (3 * ROWS, ROWS), "rows after the run that followed")


def copied_state():
    """Two copies of one state: the one that is behind stops."""
    with fresh() as space:
        start(space).expect(0)
        shutil.copytree(space.file(".millrace"), space.file("copy"))
        start(space).expect(0)
        shutil.rmtree(space.file(".millrace"))
        os.rename(space.file("copy"), space.file(".millrace"))
        start(space).expect(6)
        equal(counted(space.file("out")), (2 * ROWS, ROWS), "rows")


def lost_state_of_overwrite():
    """What is replaced as a whole may begin anew under any state, and the next append of the pipeline finds that out."""
    with fresh() as space:
        replacing = pipeline()
        replacing["steps"][-1]["config"]["mode"] = "overwrite"
        space.write("pipeline.json", replacing)
        for _ in range(3):
            start(space).expect(0)
            equal(counted(space.file("out")), (ROWS, ROWS), "rows")
            shutil.rmtree(space.file(".millrace"))
        space.write("pipeline.json", pipeline())
        start(space).expect(6)
        equal(counted(space.file("out")), (ROWS, ROWS), "rows after the refusal")


def two_loads(where):
    """Two loads, the state lost when only one has the epoch: there is no place to adopt that is right for both."""
    with fresh() as space:
        both = pipeline()
        both["steps"].append({**both["steps"][-1], "config": {**both["steps"][-1]["config"], "path": where}})
        space.write("pipeline.json", both)
        rows = lambda: counted(space.file("out"))[0] + (counted(space.file("more"))[0] if where == "more/" else 0)  # noqa: E731
        start(space).expect(0)
        equal(rows(), 2 * ROWS, "rows of a whole run")
        if start(space, MILLRACE_FAILPOINT="epoch.after_commit=kill").code == 0:
            raise Skip("built without --enable-failpoints")
        equal(rows(), 3 * ROWS, "rows after the kill")
        shutil.rmtree(space.file(".millrace"))
        start(space).expect(6)
        refused = space.run("pipeline.json", "--adopt").expect(6)
        check("right for both" in refused.err, refused)
        equal(rows(), 3 * ROWS, "rows after the refusals")
        space.run("pipeline.json", "--fresh").expect(0)
        equal(rows(), 5 * ROWS, "rows after --fresh")


def main():
    suite = Suite("state")
    suite.case("record of a run that ended well", damaged_records, None)
    suite.case("record of a prepared run", damaged_records, "epoch.before_commit")
    suite.case("record of a committed run", damaged_records, "epoch.after_commit")
    suite.case("full disk for data", full, "out", "64k", ROWS, (6,))
    suite.case("full disk for the state", full, ".millrace", "48k", ROWS, (3, 6, 10))
    sort = {"type": "transform", "method": "sortData", "config": {"orderBy": ["body"]}}
    suite.case("full disk for spilled rows", full, "temp", "512k", 40000, (6, 8, 10), [sort], "6MB")
    for number in range(50 if LONG else 2):
        suite.case(f"stopped with the lease {number}", stopped_instance, ".millrace")
        suite.case(f"stopped while it writes {number}", stopped_instance, "out")
    for remedy in ("--adopt", "--fresh"):
        suite.case(f"state directory lost, {remedy}", lost_state, remedy)
    suite.case("state directory copied", copied_state)
    suite.case("state directory lost, overwrite", lost_state_of_overwrite)
    suite.case("state directory lost between two loads of one directory", two_loads, "out/")
    suite.case("state directory lost between two loads", two_loads, "more/")
    suite.end()


if __name__ == "__main__":
    main()

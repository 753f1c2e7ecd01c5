#!/usr/bin/env python3
"""Every write, fsync, rename, link, open and ftruncate failing in turn: a clean end, nothing half-written, and the next start completes.

The calls fail in a library put in front of libc's (failing_calls.c, built here). For each of ten small pipelines the calls of an
undisturbed run are listed, and then one after the other fails with EIO, ENOSPC, EMFILE or EINTR. Wanted each time: no hang; an exit
code that the guide lists and words on stderr; only whole files in the target; a next start that ends well with every row there once.
After a success in spite of the fault, a further run does its own work: the fault did not make it look like a retry. A failed fsync is
never a success, but of the state's database: as it is closed its log is copied into it, and stays where that fails (and SQLite
looks away when its directory cannot be synced). A sample of the calls; MILLRACE_LONG=1 takes all of them with every error.
"""

import concurrent.futures
import errno
import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, need, skip_all

need("pyarrow", "duckdb", "deltalake", "fastavro")
import duckdb
import fastavro
import pyarrow as pa
import pyarrow.parquet
from deltalake import DeltaTable

import table
from engine import Result, Workspace, program
from forks import Forks

LONG = bool(os.environ.get("MILLRACE_LONG"))
FORKED = bool(os.environ.get("FORKED"))  # runs without faults of the system are forks of one process
SAMPLE = 6  # of the calls of a pipeline, when not all are asked for
ROWS = 3000
ERRORS = {
    "write": ("EIO", "ENOSPC", "EINTR"),
    "fsync": ("EIO", "ENOSPC", "EINTR"),
    "rename": ("EIO", "ENOSPC", "EINTR"),
    "link": ("EIO", "ENOSPC", "EMFILE"),
    "open": ("EMFILE", "EIO", "ENOSPC", "EINTR"),
    "ftruncate": ("EIO", "ENOSPC", "EINTR"),
}
CODES = (3, 5, 6, 8, 10)


def built(folder):
    """The library in front of libc's."""
    source = os.path.join(os.path.dirname(os.path.realpath(__file__)), "failing_calls.c")
    compiler = shutil.which(os.environ.get("CC") or "cc") or shutil.which("gcc")
    if not compiler:
        skip_all("no C compiler")
    out = os.path.join(folder, "failing_calls.so")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", out, source, "-ldl"], check=True)
    return out


def step(kind, method, **config):
    return {"type": kind, "method": method, "config": config}


def load(file_format, **more):
    return step("load", "toFile", **{"path": "out/", "format": file_format, "mode": "append", **more})


def delta(**more):
    return step("load", "toDelta", **{"path": "out", "mode": "append", **more})


BAD = {"onFailure": "quarantine", "quarantine": {"path": "bad/", "format": "json"}}
SORT = step("transform", "sortData", orderBy=["body"])


class Work:
    """A pipeline: what is there before, its steps, and what each run of it leaves."""

    def __init__(self, name, *steps, before=None, grows=True, **settings):
        self.name, self.steps, self.before, self.grows, self.settings = name, list(steps), before, grows, settings
        self.made, self.lock = None, threading.Lock()

    def pipeline(self, name="work", steps=None):
        first = step("extract", "fromFile", path="source.parquet", format="parquet")
        return {"name": name, "resources": {"parallelism": 1, "tempDir": "temp", **self.settings}, "steps": [first, *(steps or self.steps)]}

    def prepare(self, space):
        """What is there before is made once and copied, but for the source, which nobody writes to."""
        with self.lock:
            if not self.made:
                self.make(space)
                return
        shutil.copytree(self.made, space.path, symlinks=True, dirs_exist_ok=True)

    def make(self, space):
        os.mkdir(space.file("temp"))
        os.symlink(self.source, space.file("source.parquet"))
        if self.before:
            space.write("first.json", self.pipeline("first", [self.before]))
            space.run("first.json").expect(0)
        space.write("pipeline.json", self.pipeline())
        self.made = shutil.copytree(space.path, os.path.join(os.path.dirname(self.source), self.name), symlinks=True)


WORKS = [
    Work("parquet", load("parquet")),
    Work("parquet by partition", load("parquet", partitionBy=["part"])),
    Work("json", load("json")),
    Work("csv", load("csv", compression="gzip")),
    Work("avro", load("avro")),
    Work("overwrite", load("parquet", mode="overwrite", partitionBy=["part"]), before=load("parquet", partitionBy=["part"]), grows=False),
    Work("new Delta table", delta(partitionBy=["part"])),
    Work("append to Delta", delta(), before=delta()),
    Work("upsert into Delta", delta(mode="upsert", keys=["id"]), before=delta(), grows=False),
    Work("quarantine", step("validate", "validateBusinessRules", rules={"few": "id % 100 <> 7"}, **BAD), load("parquet")),
    Work("sort that spills", SORT, load("parquet"), memory="6MB"),
]


READERS = {"parquet": "read_parquet($names)", "csv": "read_csv($names, header = true)",
           "json": "read_json($names, format = 'newline_delimited')"}
KNOWN = {}  # digest of a file -> its ids: a sweep makes the same files thousands of times


def ids_of(name, file_format):
    """The ids in a file. One that is not whole makes its reader fail."""
    with open(name, "rb") as file:
        digest = file_format, hashlib.sha256(file.read()).digest()
    if digest not in KNOWN:
        if file_format == "avro":
            with open(name, "rb") as file:
                KNOWN[digest] = [r["id"] for r in fastavro.reader(file)]
        else:
            with duckdb.connect() as connection:
                query = f"SELECT id FROM {READERS[file_format]}"
                KNOWN[digest] = [r[0] for r in connection.sql(query, params={"names": [name]}).fetchall()]
    return KNOWN[digest]


def read_folder(path, file_format):
    names = [n for n in table.files(path) if os.path.isfile(n)] if os.path.isdir(path) else []
    return [i for n in names for i in ids_of(n, file_format)]


def read_delta(path):
    log = os.path.join(path, "_delta_log")
    if not os.path.isdir(log) or not any(n.endswith("0.json") for n in os.listdir(log) if not n.startswith(".")):
        return []
    found = DeltaTable(path)
    check("deletionVectors" not in (found.protocol().reader_features or []), "files are more than their rows")
    return [i for n in found.file_uris() for i in ids_of(n.removeprefix("file://"), "parquet")]


def content(work, space):
    """Sorted ids of the target and of the quarantine. A file that is not whole makes its reader fail."""
    if work.steps[-1]["method"] == "toDelta":
        ids = read_delta(space.file("out"))
    else:
        ids = read_folder(space.file("out"), work.steps[-1]["config"]["format"])
    return sorted(ids), sorted(read_folder(space.file("bad"), "json"))


def hidden(space):
    """Staged files, and whatever stands in the directory for spilled data."""
    out = [f for place in ("out", "bad") for f in table.leftovers(space.file(place)) if ".inprogress" in f]
    return out + [f for _, _, names in os.walk(space.file("temp")) for f in names]


HERE = threading.local()  # a process that forks, for each thread


def run(space, library=None, **environment):
    if FORKED and not library:
        if not hasattr(HERE, "forks"):
            HERE.forks = Forks(os.path.join(os.path.dirname(program()), ".libs", "libmillrace.so"))
        code, said = HERE.forks.run(space.path, "pipeline.json", **environment)
        return Result(["millrace", "run", *(f"{k}={v}" for k, v in environment.items())], code, "", said, None)
    if library:
        environment.update(LD_PRELOAD=library, FAILING_CALLS_BELOW=space.path)
    return space.millrace("run", "pipeline.json", "--progress", "none", environment=environment, timeout=60)


def undisturbed(work, library=None):
    """What is there before a run, after it and after two; and the calls, if a library counts them."""
    with Workspace() as space:
        work.prepare(space)
        before = content(work, space)
        run(space, library, FAILING_CALLS_LIST=space.path + ".calls").expect(0)
        calls = []
        if library:
            with open(space.path + ".calls", encoding="utf-8") as file:
                calls = [re.sub(r"[0-9a-f]{16,}", "*", line.replace(space.path, "")).split(" ", 1) for line in file.read().splitlines()]
            os.unlink(space.path + ".calls")
        after = content(work, space)
        check(after != before or not work.grows, "the run changed nothing")
        run(space).expect(0)
        return before, after, content(work, space), calls


def call_fails(work, library, wanted, fault):
    """What went wrong with this fault, or None."""
    kind, number, name, path = fault
    what = f"{name} at {kind} {number} ({path})"
    heard = kind == "fsync" and not path.startswith(("/.millrace/state.db", "/.millrace"))
    return wrong(work, wanted, what, CODES, heard, library, FAILING_CALLS=f"{kind}:{number}:{getattr(errno, name)}")


def wrong(work, wanted, what, codes, heard, library=None, **fault):
    """What went wrong with a fault, or None. `heard`: it may not end as a success."""
    before, after, twice = wanted
    with Workspace() as space:
        work.prepare(space)
        try:
            result = run(space, library, **fault)
            now = content(work, space)
            if result.code not in (0, *codes) or "AddressSanitizer" in result.err or "runtime error:" in result.err:
                return f"{what}: {result}"
            if result.code != 0 and len(result.err.strip()) < 20:
                return f"{what}: no word of it: {result}"
            if result.code == 0 and now != after:
                return f"{what}: success with {len(now[0])} rows, wanted {len(after[0])}"
            if result.code == 0 and heard:
                return f"{what}: ends as a success: {result}"
            if work.steps[-1]["method"] == "toDelta" and now not in (before, after):
                return f"{what}: exit {result.code}, a table that is neither old nor new: {len(now[0])} rows"
            again = run(space)
            if again.code != 0:
                return f"{what}: exit {result.code}, and the next start: {again}"
            now, right = content(work, space), twice if result.code == 0 else after
            if now != right:
                return f"{what}: exit {result.code}, after the next start {len(now[0])}+{len(now[1])} rows, wanted {len(right[0])}+{len(right[1])}\n{result}\n{again}"
            left = hidden(space)
            if left:
                return f"{what}: exit {result.code}, left behind {left[:5]}"
        except subprocess.TimeoutExpired:
            return f"{what}: hangs"
        except Exception as error:  # of a reader: a file that is not whole
            return f"{what}: {type(error).__name__}: {error}"
    return None


def faults_of(calls, name):
    """Each call that a run makes, numbered by kind, with each error; or some of them."""
    numbers, found = {}, []
    for kind, path in calls:
        numbers[kind] = numbers.get(kind, 0) + 1
        found += [(kind, numbers[kind], code, path) for code in ERRORS.get(kind, ())]
    if LONG:
        return found
    choose = random.Random(name)
    chosen = [choose.choice([f for f in found if f[0] == kind]) for kind in sorted({f[0] for f in found})]
    return chosen + choose.sample(found, max(0, SAMPLE - len(chosen)))


def failing(work, library):
    *wanted, calls = undisturbed(work, library)
    faults = faults_of(calls, work.name)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = [f for f in pool.map(lambda fault: call_fails(work, library, wanted, fault), faults) if f]
    print(f"# {work.name}: {len(faults)} faults in {len(calls)} calls, {len(found)} ended badly", flush=True)
    check(not found, f"{len(found)} of {len(faults)} ended badly\n" + "\n".join(found[:60]))


def make_source(folder):
    Work.source = os.path.join(folder, "source.parquet")
    body = [f"{i * 7919 % ROWS:06d} " + "text " * 40 for i in range(ROWS)]
    data = pa.table({"id": pa.array(range(ROWS), pa.int64()), "part": [i % 2 for i in range(ROWS)], "body": body})
    pyarrow.parquet.write_table(data, Work.source, row_group_size=500)


def main():
    suite = Suite("calls")
    with tempfile.TemporaryDirectory() as folder:
        library = built(folder)
        make_source(folder)
        for work in WORKS:
            suite.case(work.name, failing, work, library)
    suite.end()


if __name__ == "__main__":
    main()

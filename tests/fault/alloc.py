#!/usr/bin/env python3
"""The allocator failing at its Nth call: the run ends with a clean error, and the next one finds everything in order.

Needs a build with --enable-failpoints; one with --enable-asan also sees leaks and stray reads. Three small pipelines that read
PostgreSQL append to a new target: after a failed run and an ordinary one, the rows must be there exactly once. The pipelines of
calls.py follow, judged as there, with one call failing and with all from the Nth on. A sample of N; MILLRACE_LONG=1 runs every N to
2,000 and a sample beyond. FORKED=1: runs of the latter pipelines are forks of a process that has loaded the library, not of the command;
a sweep takes a third of the time.
"""

import concurrent.futures
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, Skip, check, need

need("psycopg", "pyarrow", "duckdb")
import duckdb

import calls
import table
from engine import Workspace
from server import Server

LONG = bool(os.environ.get("MILLRACE_LONG"))
ROWS = 2000
AT_ONCE = int(os.environ.get("AT_ONCE") or 2)


def extract(name=None, **more):
    config = {"table": "t", "numPartitions": 2, "partitionColumn": "id", **more}
    if name:
        config["registerAs"] = name
    return {"type": "extract", "method": "fromPostgres", "config": config}


def step(kind, method, **config):
    return {"type": kind, "method": method, "config": config}


def load(file_format, **more):
    return step("load", "toFile", path="out/", format=file_format, mode="append", **more)


BAD = {"onFailure": "quarantine", "quarantine": {"path": "bad/", "format": "json"}}

PIPELINES = {
    "partitioned parquet": [
        extract(),
        step("transform", "filterRows", condition="age > 20 AND name LIKE 'person%'"),
        step("transform", "enrichData", columns={"year": "year(at)", "label": "upper(concat(name, '-', age))"}),
        step("transform", "selectColumns", columns=["id", "label", "price", "year"]),
        load("parquet", partitionBy=["year"]),
    ],
    "validations": [
        extract("known", columns=["id"], where="id <= 1500"),
        extract(),
        step("validate", "validateSchema", expectedColumns=[{"name": "id", "type": "long"}, {"name": "age", "type": "int"}], **BAD),
        step("validate", "validateNulls", notNullColumns=["age"], **BAD),
        step("validate", "validateRanges", ranges={"age": {"min": 12, "max": 75}}, **BAD),
        step("validate", "validateBusinessRules", rules={"even": "id % 10 <> 3"}, **BAD),
        step("validate", "validateReferentialIntegrity", foreignKey="id", referencedDataFrame="known", referencedColumn="id", **BAD),
        load("parquet"),
    ],
    "union to csv": [
        extract("low", where="id <= 900"),
        extract("high", where="id > 1100"),
        step("transform", "unionDataFrames", inputDataFrames=["low", "high"]),
        step("transform", "limitRows", count=100000),
        step("transform", "selectColumns", columns=["id", "name", "price"]),
        load("csv"),
    ],
}

COUNT = {
    "parquet": "SELECT count(*), sum(id) FROM read_parquet('{0}/**/*.parquet')",
    "csv": "SELECT count(*), sum(id) FROM read_csv_auto('{0}/*.csv')",
}


def content(space, file_format):
    """Rows and the sum of their keys, of the target and of the quarantine."""
    good = (0, 0)
    if table.files(space.file("out")):
        with duckdb.connect() as connection:
            good = connection.execute(COUNT[file_format].format(space.file("out"))).fetchone()
    bad = 0
    for name in table.files(space.file("bad")) if os.path.isdir(space.file("bad")) else []:
        with open(name, encoding="utf-8") as file:
            bad += len(file.readlines())
    return int(good[0]), int(good[1] or 0), bad


def last_call(ends_well):
    """Behind which N a run ends well although every call from there on fails: how many calls it makes."""
    if ends_well(1):  # a single call may be one that is done without
        raise Skip("built without --enable-failpoints")
    if not LONG:
        return 7000
    low, high = 1, 1 << 16
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if ends_well(middle) else (middle, high)
    return low


def numbers(end):
    """Which N to try, of `end`."""
    if LONG:
        return list(range(1, min(2000, end) + 1)) + list(range(2011, end, 53))
    return list(range(1, 640, 20)) + list(range(700, end, 800))


def tell(chosen, found):
    print(f"# {len(chosen)} N up to {max(chosen)}: {len(found)} ended badly", flush=True)
    check(not found, f"{len(found)} of {len(chosen)} ended badly\n" + "\n".join(found[:40]))


def workspace(server, steps):
    space = Workspace(postgres=server.credentials("alloc"))
    space.write("pipeline.json", {"name": "alloc", "resources": {"parallelism": 2}, "steps": steps})
    return space


def run(space, number=None):
    environment = {"MILLRACE_FAIL_ALLOC": str(number)} if number else {}
    return space.millrace("run", "pipeline.json", "--progress", "none", environment=environment, timeout=60)


def one(server, steps, wanted, number):
    """What went wrong with this N, or None."""
    file_format = steps[-1]["config"]["format"]
    with workspace(server, steps) as space:
        try:
            result = run(space, number)
        except subprocess.TimeoutExpired:
            return f"N={number}: hangs"
        said = result.err + result.out
        if result.code not in (0, 8):
            return f"N={number}: {result}"
        if result.code == 8 and "memory" not in said.lower():
            return f"N={number}: no word of memory: {result}"
        if "AddressSanitizer" in said or "LeakSanitizer" in said or "runtime error:" in said:
            return f"N={number}: {result}"
        if result.code != 0:
            again = run(space)
            if again.code != 0:
                return f"N={number}: the next run: {again}"
        got = content(space, file_format)
        left = [f for f in table.leftovers(space.file("out")) if not f.endswith("_SUCCESS")]
        if got != wanted:
            return f"N={number}: rows {got}, wanted {wanted} after exit {result.code}\n{result}"
        if left:
            return f"N={number}: files left behind {left} after exit {result.code}\n{result}"
    return None


def failing(server, steps):
    with workspace(server, steps) as space:
        run(space).expect(0)
        wanted = content(space, steps[-1]["config"]["format"])
        check(wanted[0] > 0, "the pipeline gives no rows")

    def ends_well(number):
        with workspace(server, steps) as space:
            return run(space, f"{number},sticky").code == 0

    chosen = numbers(last_call(ends_well))
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        found = [f for f in pool.map(lambda n: one(server, steps, wanted, n), chosen) if f]
    tell(chosen, found)


def failing_locally(work, sticky):
    *wanted, _ = calls.undisturbed(work)

    def ends_well(number):
        with Workspace() as space:
            work.prepare(space)
            return calls.run(space, MILLRACE_FAIL_ALLOC=f"{number},sticky").code == 0

    chosen = numbers(last_call(ends_well))
    chosen = chosen if LONG else chosen[sticky::8]

    def one_of(number):
        return calls.wrong(work, wanted, f"N={number}{sticky * ',sticky'}", (8,), False, MILLRACE_FAIL_ALLOC=f"{number}{sticky * ',sticky'}")

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        found = [f for f in pool.map(one_of, chosen) if f]
    tell(chosen, found)


def main():
    suite = Suite("alloc")
    with Server() as server:
        server.database("alloc")
        server.execute(
            "alloc", "CREATE TABLE t (id bigint PRIMARY KEY, name text, age integer, price numeric(12,2), at timestamptz)",
            "INSERT INTO t SELECT n, 'person ' || n, CASE WHEN n % 11 > 0 THEN 10 + n % 70 END, n / 7.0,"
            f" timestamptz '2021-03-01 00:00Z' + n * interval '1 day' FROM generate_series(1, {ROWS}) n", "ANALYZE t")
        for name, steps in PIPELINES.items():
            suite.case(name, failing, server, steps)
    with tempfile.TemporaryDirectory() as folder:
        calls.make_source(folder)
        for work in calls.WORKS:
            suite.case(f"{work.name}, one call", failing_locally, work, False)
            suite.case(f"{work.name}, all from there on", failing_locally, work, True)
    suite.end()


main()

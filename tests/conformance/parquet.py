"""The Parquet files of apache/parquet-testing: our values against pyarrow's, or against the expectation that lies beside the file."""

import csv
import json
import os
import subprocess

import pyarrow.parquet as pq
from suite import Skip, check, equal

HERE = os.path.dirname(os.path.realpath(__file__))
READ = os.environ.get("PARQUET_READ", "tests/interop/parquet_read")
# Files that must not be read, and words of the reason.
FAIL = {
    "datapage_v1-corrupt-checksum.parquet": "checksum",
    # One of its times is in the year 358,000, which 64 bits of microseconds cannot say.
    "int96_from_spark.parquet": "does not fit",
}


def ours(path):
    if not os.path.exists(READ):
        raise Skip(f"no program {READ}")
    return subprocess.run([READ, "--batch", "100", path], capture_output=True, text=True)


def same(got, want, tree):
    """Equal but for what our types widen: unsigned 64 bits are decimals, nanoseconds microseconds."""
    if isinstance(got, list) and isinstance(want, list):
        trees = tree[1:] if isinstance(tree, list) else []
        if isinstance(tree, list) and tree[0] == "list":
            trees = [tree[1]] * len(got)
        if isinstance(tree, list) and tree[0] == "map":
            return len(got) == len(want) and all(same(g, w, ["struct", *tree[1:]]) for g, w in zip(got, want))
        return len(got) == len(want) and all(same(g, w, t) for g, w, t in zip(got, want, trees))
    if tree == "decimal(20,0)" and isinstance(want, int):
        return got == str(want)
    if tree == "timestamp" and isinstance(want, int) and got != want:
        return got * 1000 == want
    return got == want


def with_pyarrow(path):
    import sys
    sys.path.insert(0, os.path.join(HERE, "..", "interop"))
    from test_parquet import column
    done = ours(path)
    equal((done.returncode, done.stderr if done.returncode else ""), (0, ""), "parquet_read")
    lines = done.stdout.split("\n")[:-1]
    columns, rows = json.loads(lines[0]), [json.loads(line) for line in lines[1:]]
    table = pq.read_table(path)
    equal([c[0] for c in columns], table.schema.names, "names")
    equal(len(rows), table.num_rows, "rows")
    for i, (name, tree) in enumerate(columns):
        for number, value in enumerate(column(table, i)):
            check(same(rows[number][i], value, tree), f"{name} {tree} row {number}: got {rows[number][i]!r}, wanted {value!r}")


def with_expectation(path, expectation):
    done = ours(path)
    equal(done.returncode, 0, "parquet_read")
    lines = done.stdout.split("\n")[:-1]
    names = [c[0] for c in json.loads(lines[0])]
    with open(expectation, newline="", encoding="utf-8") as file:
        wanted = list(csv.reader(file))
    if set(w.strip() for w in wanted[0]) & set(names):
        wanted = wanted[1:]
    rows = [json.loads(line) for line in lines[1:]]
    equal(len(rows), len(wanted), "rows")
    for number, (row, want) in enumerate(zip(rows, wanted)):
        got = ["" if v is None else str(v) for v in row]
        equal(got, want, f"row {number}")


def must_fail(path, words):
    done = ours(path)
    equal(done.returncode, 1, "exit code of parquet_read")
    check(words in done.stderr, done.stderr)


def run(suite, directory):
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        if not name.endswith(".parquet"):
            continue
        if name in FAIL:
            suite.case(f"parquet/{name} must fail", must_fail, path, FAIL[name])
            continue
        suite.case(f"parquet/{name}", with_pyarrow, path)
        expectation = path.replace(".parquet", "_expect.csv")
        if os.path.exists(expectation):
            suite.case(f"parquet/{name} as written beside it", with_expectation, path, expectation)

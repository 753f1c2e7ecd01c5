#!/usr/bin/env python3
"""CSV and JSON files of other writers, read by us: equal to the rows that were written, and to what DuckDB reads.

Rows are made here (types, NULLs, quotes, unicode, nesting), written by DuckDB, polars, pyarrow and Python, read through
tests/interop/text_read in one piece, in ranges, and compressed.
"""

import csv
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
from datetime import date, datetime, timedelta
from decimal import Decimal

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("pyarrow", "duckdb", "polars")
import duckdb
import polars
import pyarrow
import pyarrow.csv

READ = os.environ.get("TEXT_READ", "tests/interop/text_read")
SCHEMA = "id bigint, small int, price decimal(20,4), ratio double, flag boolean, day date, at timestamp_ntz, note string"
NOTES = ["", "a,b", 'say "x"', "two\nlines", "crlf\r\nin it", "\u00e9\u4e2d\U0001F600", " blanks ", "'q'", "\\N", "NULL", "tab\t", '"', '""', ",", "\n"]


def make(count, seed):
    chance = random.Random(seed)
    rows = []
    for i in range(count):
        rows.append({
            "id": chance.choice([i, -i, 2**63 - 1, -(2**63)]),
            "small": chance.randrange(-2**31, 2**31),
            "price": Decimal(chance.randrange(-10**19, 10**19)).scaleb(-4),
            "ratio": chance.choice([0.1, -1e300, 5e-324, 1 / 3, 1e22, chance.random()]),
            "flag": chance.random() < 0.5,
            "day": date(1, 1, 1) + timedelta(days=chance.randrange(3_600_000)),
            "at": datetime(1900, 1, 1) + timedelta(microseconds=chance.randrange(10**16)),
            "note": chance.choice(NOTES) + str(i % 7) * chance.randrange(3),
        })
        for name in rows[-1]:
            if name != "id" and chance.random() < 0.1:
                rows[-1][name] = None
    return rows


def read(*arguments):
    done = subprocess.run([READ, *arguments], capture_output=True, timeout=120)
    equal((done.returncode, done.stderr[-500:]), (0, b""), "text_read")
    lines = done.stdout.decode().split("\n")
    return lines[0], [json.loads(line, parse_float=str) for line in lines[1:-1]]


def plain(row):
    """A row as our JSON writer shows it, decimals and doubles as numbers of Python."""
    out = dict(row)
    out["price"] = None if row["price"] is None else f"{row['price']:.4f}"
    out["day"] = None if row["day"] is None else row["day"].isoformat()
    if row["at"] is not None:
        text = row["at"].isoformat()
        out["at"] = text.rstrip("0") if "." in text else text
    return out


def compare(got, rows, empty=None):
    equal(len(got), len(rows), "rows")
    for number, (mine, theirs) in enumerate(zip(got, rows)):
        want = plain(theirs)
        mine["ratio"] = None if mine["ratio"] is None else float(mine["ratio"])
        if want["note"] == "" and empty is not None:
            want["note"] = empty[0]
        check(mine == want, f"row {number}: got {mine}, wanted {want}")


def arrow(rows):
    fields = [("id", pyarrow.int64()), ("small", pyarrow.int32()), ("price", pyarrow.decimal128(20, 4)), ("ratio", pyarrow.float64()),
              ("flag", pyarrow.bool_()), ("day", pyarrow.date32()), ("at", pyarrow.timestamp("us")), ("note", pyarrow.string())]
    return pyarrow.Table.from_pylist(rows, schema=pyarrow.schema(fields))


def csv_of_duckdb(folder, rows, compression):
    path = os.path.join(folder, f"duckdb.csv.{compression}")
    rows_of_arrow = arrow(rows)
    assert rows_of_arrow.num_rows
    duckdb.execute(f"COPY (FROM rows_of_arrow) TO '{path}' (FORMAT csv, HEADER, COMPRESSION {compression})")
    return path


def check_csv_duckdb(folder, compression):
    rows = make(3000, 1)
    path = csv_of_duckdb(folder, rows, compression)
    compare(read("--schema", SCHEMA, "csv", path)[1], rows)
    if compression == "none":
        for cut in ("1000000", "70000"):
            compare(read("--schema", SCHEMA, "--cut", cut, "csv", path)[1], rows)


def check_csv_polars(folder):
    rows = make(3000, 2)
    path = os.path.join(folder, "polars.csv")
    polars.from_arrow(arrow(rows)).write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S%.6f")
    compare(read("--schema", SCHEMA, "csv", path)[1], rows)


def check_csv_pyarrow(folder):
    rows = make(3000, 3)
    path = os.path.join(folder, "pyarrow.csv")
    pyarrow.csv.write_csv(arrow(rows), path)
    compare(read("--schema", SCHEMA, "csv", path)[1], rows)


def check_csv_python(folder):
    """The csv module does not tell NULL from the empty text; lines end with \\r\\n."""
    rows = make(3000, 4)
    path = os.path.join(folder, "python.csv")
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    compare(read("--schema", SCHEMA, "csv", path)[1], rows, [None])


def check_csv_same_types(folder):
    """Types guessed from the same file as DuckDB does, where the rules are the same."""
    path = os.path.join(folder, "guess.csv")
    with open(path, "w", encoding="utf-8") as file:
        file.write("a,b,c,d,e,f\n")
        for i in range(500):
            file.write(f"{i},{i / 8},{'true' if i % 2 else 'false'},2024-01-{i % 28 + 1:02},2024-01-01 10:00:{i % 60:02},x{i}\n")
    schema, rows = read("csv", path)
    equal(schema, "a bigint, b double, c boolean, d date, e timestamp, f string", "schema")
    names = duckdb.sql(f"DESCRIBE FROM read_csv('{path}')").fetchall()
    equal([row[1] for row in names], ["BIGINT", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMP", "VARCHAR"], "DuckDB's")
    equal(len(rows), 500, "rows")


def check_json_duckdb(folder, compression):
    rows = make(3000, 5)
    path = os.path.join(folder, f"duckdb.json.{compression}")
    rows_of_arrow = arrow(rows)
    # DuckDB writes decimals as doubles unless they are texts; ours reads both.
    duckdb.execute(f"COPY (SELECT * REPLACE (price::VARCHAR AS price) FROM rows_of_arrow) TO '{path}' (FORMAT json, COMPRESSION {compression})")
    del rows_of_arrow
    compare(read("--schema", SCHEMA, "json", path)[1], rows)
    if compression == "none":
        compare(read("--schema", SCHEMA, "--cut", "50000", "json", path)[1], rows)


def check_json_polars(folder):
    rows = [{**row, "price": None} for row in make(3000, 6)]
    path = os.path.join(folder, "polars.json")
    polars.from_arrow(arrow(rows)).write_ndjson(path)
    compare(read("--schema", SCHEMA, "json", path)[1], rows)


def nested(seed):
    chance = random.Random(seed)

    def value(depth):
        kind = chance.randrange(8 if depth < 3 else 6)
        if kind == 6:
            return [value(depth + 1) for _ in range(chance.randrange(4))]
        if kind == 7:
            return {chance.choice(NOTES) + str(k): value(depth + 1) for k in range(chance.randrange(4))}
        return [None, True, chance.randrange(-2**63, 2**63), chance.choice(NOTES), "x" * chance.randrange(50), False][kind]
    return [{"id": i, "doc": {"v": value(0)}, "list": [{"k": str(i), "n": [i, None]}] * (i % 3)} for i in range(2000)]


def check_json_nested(folder, form):
    rows = nested(7)
    path = os.path.join(folder, f"nested.{form}")
    escaped = form == "escaped"
    if form == "document":
        text = json.dumps(rows, indent=2, ensure_ascii=False)
    else:
        text = "".join(json.dumps(row, ensure_ascii=escaped) + "\n" for row in rows)
    with (gzip.open if form == "gzip" else open)(path, "wt", encoding="utf-8", newline="") as file:
        file.write(text)
    more = ["--option", "multiLine=true"] if form == "document" else []
    got = read("--schema", "id bigint, doc json, list array<struct<k:string,n:array<bigint>>>", *more, "json", path)[1]
    equal(got, rows, "rows")
    schema, got = read(*more, "json", path)
    check(schema.startswith("id bigint, doc struct<v:") and schema.endswith("list array<struct<k:string,n:array<bigint>>>"), schema)
    equal([row["list"] for row in got], [row["list"] for row in rows], "lists of the guessed schema")


def main():
    suite = Suite("text_read")
    with tempfile.TemporaryDirectory() as folder:
        for compression in ("none", "gzip", "zstd"):
            suite.case(f"csv of DuckDB, {compression}", check_csv_duckdb, folder, compression)
            suite.case(f"json of DuckDB, {compression}", check_json_duckdb, folder, compression)
        suite.case("csv of polars", check_csv_polars, folder)
        suite.case("csv of pyarrow", check_csv_pyarrow, folder)
        suite.case("csv of Python", check_csv_python, folder)
        suite.case("csv: types guessed", check_csv_same_types, folder)
        suite.case("json of polars", check_json_polars, folder)
        for form in ("lines", "escaped", "gzip", "document"):
            suite.case(f"json nested, {form}", check_json_nested, folder, form)
    return suite.end()


if __name__ == "__main__":
    sys.exit(main())

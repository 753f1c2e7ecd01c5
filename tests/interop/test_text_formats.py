#!/usr/bin/env python3
"""JSON lines and CSV of the writers, read by Python's json and csv modules and by DuckDB.

$TEXT_MAKE is tests/interop/text_make, which writes a table of edge values of every type, or many plain rows.
"""

import csv
import gzip
import io
import json
import os
import subprocess
import sys
import tempfile
from decimal import Decimal

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("duckdb")
import duckdb

MAKE = os.environ.get("TEXT_MAKE", "tests/interop/text_make")
FOLDER = tempfile.TemporaryDirectory(prefix="millrace-text-")
TEXT = "quote \" comma , semi ; tab \t back \\ line\nfeed \r\n \u00e9 \U0001f600 '"
BIG = Decimal("99999999999999999999999999999999999.999")

# What the edge rows must be in JSON; floats by value, decimals exact.
JSON_ROWS = [
    [-128, -32768, -2147483648, -9223372036854775808, Decimal("1.5"), Decimal("0.1"), Decimal("-9999999.99"), Decimal(f"-{BIG}"), True,
     "1970-01-01", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00", "00:00:00", "text", "Ynl0ZXM=", {"k": [1, Decimal("2.50")]}],
    [127, 32767, 2147483647, 9223372036854775807, Decimal("3.4028235E38"), Decimal("1.7976931348623157e308"),
     Decimal("9999999.99"), BIG, False, "0001-01-01", "1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999",
     "23:59:59.999999", "", "AQI=", []],
    [None] * 16,
    [0, 0, 0, 9007199254740993, Decimal("1.4E-45"), Decimal("5e-324"), Decimal("0.01"), Decimal("0.001"), True, "9999-12-31",
     "9999-12-31T23:59:59.999999Z", "1970-01-01T00:00:00.000001", "00:00:00.000001", TEXT, "", "s"],
    [1, 1, 1, 1, "NaN", "Infinity", Decimal("0.00"), Decimal("0.000"), False, "2024-02-29", "1970-01-01T00:00:00.000001Z",
     "1970-01-01T00:00:00.5", "00:00:00.000001", " lead and trail ", "TWFu", None],
]


def make(form, compression="none", what="edge", rows=0, *options):
    path = os.path.join(FOLDER.name, f"out.{form}" + {"gzip": ".gz", "zstd": ".zst"}.get(compression, ""))
    done = subprocess.run([MAKE, form, compression, what, str(rows), path, *options], capture_output=True, text=True)
    equal((done.returncode, done.stderr), (0, ""), "text_make")
    return path, done.stdout.strip()


def same_number(got, wanted):
    """Floats of four bytes print fewer digits than their exact value has: compare as the type does."""
    if isinstance(wanted, (Decimal, int)) and not isinstance(wanted, bool):
        return got == wanted or float(got) == float(wanted)
    return got == wanted and type(got) is type(wanted)


def json_edge():
    path, _ = make("json")
    with open(path, encoding="utf-8", newline="\n") as lines:
        rows = [json.loads(line, parse_float=Decimal, parse_int=int) for line in lines.read().split("\n")[:-1]]
    equal(len(rows), len(JSON_ROWS), "rows")
    for number, (row, wanted) in enumerate(zip(rows, JSON_ROWS)):
        equal(list(row), list("abcdefghijklmnop"), "keys")
        for name, got, want in zip(row, row.values(), wanted):
            exact = name in "abcdgh"
            check(got == want if exact else same_number(got, want), f"row {number} {name}: {got!r}, wanted {want!r}")


def cells(text, delimiter=",", quote='"', escape='"'):
    """A reader that keeps the one thing Python's csv drops: whether a cell was quoted. Rows of (text, quoted)."""
    rows, row, at = [], [], 0
    while at < len(text):
        value, quoted = "", text[at] == quote
        if quoted:
            at += 1
            while True:
                if text[at] == escape and escape != quote:
                    value += text[at + 1]
                    at += 2
                elif text[at] == quote and text[at + 1 : at + 2] == quote and escape == quote:
                    value += quote
                    at += 2
                elif text[at] == quote:
                    at += 1
                    break
                else:
                    value += text[at]
                    at += 1
        else:
            while text[at] not in (delimiter, "\n"):
                value += text[at]
                at += 1
        row.append((value, quoted))
        if text[at] == "\n":
            rows.append(row)
            row = []
        at += 1
    return rows


def csv_wanted():
    """The JSON values as CSV cells: None is NULL."""
    for row in JSON_ROWS:
        yield [None if v is None else str(v).lower() if isinstance(v, bool) else v for v in row]


def compare_csv(rows, null, sees_quotes):
    equal([c if isinstance(c, str) else c[0] for c in rows[0]], list("abcdefghijklmnop"), "header")
    for number, (row, wanted) in enumerate(zip(rows[1:], csv_wanted())):
        for name, got, want in zip("abcdefghijklmnop", row, wanted):
            text, quoted = got if sees_quotes else (got, False)
            where = f"row {number} {name}: {got!r}, wanted {want!r}"
            if name == "p" and text == "null":
                continue
            if want is None:
                check(text == null and not quoted, where)
            elif name == "p":
                check(json.loads(text, parse_float=Decimal) == want, where)
            elif name in "abcdefgh" and text not in ("NaN", "Infinity"):
                check(same_number(Decimal(text), want), where)
            else:
                check(text == want and (not sees_quotes or quoted or text not in (null, "")), where)


def csv_edge():
    path, _ = make("csv")
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    compare_csv(cells(text), "", True)
    compare_csv(list(csv.reader(io.StringIO(text, newline=""))), "", False)


def csv_dialect():
    path, _ = make("csv", "none", "edge", 0, "delimiter", ";", "quote", "'", "escape", "\\", "nullValue", "NULL")
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    compare_csv(cells(text, ";", "'", "\\"), "NULL", True)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";", quotechar="'", escapechar="\\", doublequote=False)
    compare_csv(list(reader), "NULL", False)


def csv_null_and_empty():
    """DuckDB tells NULL from the empty string when it is told to look at quotes."""
    path, _ = make("csv")
    query = "SELECT n FROM read_csv(?, all_varchar=true, header=true, delim=',', quote='\"', escape='\"', allow_quoted_nulls=false)"
    got = [row[0] for row in duckdb.connect().execute(query, [path]).fetchall()]
    equal(got[:3], ["text", "", None], "column n")


def bulk(form, compression):
    rows = 200_000
    path, rate = make(form, compression, "bulk", rows)
    reader = "read_json_auto(?, format='newline_delimited')" if form == "json" else "read_csv(?, header=true)"
    query = f'SELECT count(*), sum(id), count(DISTINCT name), round(sum(price), 2), count(DISTINCT day), epoch_us(max("at")) FROM {reader}'
    got = duckdb.connect().execute(query, [path]).fetchone()
    equal(got[:3], (rows, rows * (rows - 1) // 2, 5000), "count, sum, names")
    check(abs(float(got[3]) - sum(i % 100000 for i in range(rows)) / 100) < 1, f"prices {got[3]}")
    equal(got[4:], (20000, (rows - 1) * 1000003), "days, last time")
    print(f"# {form} {compression}: {rate} rows/s of one core")
    if compression == "gzip":
        with gzip.open(path) as file:  # several members in one file
            equal(file.read().count(b"\n"), rows + (form == "csv"), "lines")


suite = Suite("text formats")
suite.case("json edge values", json_edge)
suite.case("csv edge values", csv_edge)
suite.case("csv in another dialect", csv_dialect)
suite.case("csv: NULL and empty", csv_null_and_empty)
for form in ("json", "csv"):
    for compression in ("none", "gzip", "zstd"):
        suite.case(f"{form} {compression}", bulk, form, compression)
suite.end()

#!/usr/bin/env python3
"""fromPostgres without the engine: values of every type, splits, snapshots, predicates and failures on a private server.

Needs the program postgres_read (built by make check beside this file's log).
"""

import os
import struct
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need, need_built

need("psycopg")
from server import Server, need_server

need_server()

READ = need_built("tests/interop/postgres_read")


class Result:
    def __init__(self, code, text):
        self.code = code
        self.rows = []
        self.splits = []
        self.notes = []
        self.schema = {}
        self.pushed = []
        self.counters = {}
        self.error = None
        self.sql = None
        self.info = None
        for line in text.split("\n"):
            kind, *fields = line.split("\t")
            if kind == "row":
                values = tuple(unescape(f) for f in fields)
                self.rows.append(values)
                self.splits[-1]["rows"].append(values)
            elif kind == "split":
                self.splits.append({"label": fields[0], "predicted": int(fields[1]), "order": fields[3], "rows": []})
            elif kind == "note":
                self.notes.append(fields[0])
            elif kind == "schema":
                self.schema[fields[0]] = fields[1:]
            elif kind == "pushed":
                self.pushed.append(fields[0])
            elif kind == "counter":
                self.counters[fields[0]] = int(fields[1])
            elif kind == "error":
                self.error = dict(zip(("status", "class", "message", "where", "hint"), fields))
            elif kind == "sql":
                self.sql = unescape(fields[0])
            elif kind == "info":
                self.info = fields
            elif kind == "leak":
                raise AssertionError(f"leak of {fields[0]} bytes")


def unescape(text):
    if text == "~":
        return None
    return text.replace("\\\\", "\0").replace("\\t", "\t").replace("\\n", "\n").replace("\0", "\\")


class Reader:
    """One database, and runs of postgres_read on it."""

    def __init__(self, server, name):
        self.server = server
        self.name = server.database(name)

    def arguments(self, flags, options):
        keys = {"host": self.server.place, "port": self.server.port, "database": self.name, "username": "postgres", **options}
        return [READ, *flags, *[f"{k}={v}" for k, v in keys.items()]]

    def read(self, *flags, **options):
        done = subprocess.run(self.arguments(flags, options), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        check(done.returncode in range(0, 20), f"ended with {done.returncode}: {done.stderr[-2000:]}")
        return Result(done.returncode, done.stdout)

    def good(self, *flags, **options):
        result = self.read(*flags, **options)
        check(result.error is None, f"failed: {result.error}")
        return result

    def bad(self, message, *flags, **options):
        result = self.read(*flags, **options)
        check(result.error is not None, f"did not fail, but gave {len(result.rows)} rows")
        check(message in result.error["message"], f"the message is {result.error}")
        return result.error

    def paused(self, *flags, **options):
        """Started and stopped behind the making of splits; finish() lets it go on."""
        process = subprocess.Popen(
            self.arguments(["--pause", *flags], options), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        head = ""
        while True:
            line = process.stdout.readline()
            if line in ("", "ready\n"):
                break
            head += line

        def finish():
            rest, _ = process.communicate("go\n", timeout=120)
            return Result(process.returncode, head + rest)

        return finish

    def execute(self, *statements):
        self.server.execute(self.name, *statements)

    def rows(self, query):
        return self.server.rows(self.name, query)


# --- values ---

ARRAY = "(SELECT '[' || coalesce(string_agg(coalesce(x::text, 'null'), ', ' ORDER BY o), '') || ']' FROM unnest(v) WITH ORDINALITY u(x, o))"
ARRAY = f"CASE WHEN v IS NOT NULL THEN {ARRAY} END"
DAYS = "(v - date '1970-01-01')::text"
MICROS = "((extract(epoch FROM v) * 1000000)::numeric(24,0))::text"
INTERVAL = (
    "(extract(year FROM v) * 12 + extract(month FROM v))::bigint || '/' || extract(day FROM v)::bigint || '/' || "
    "((extract(hour FROM v) * 3600 + extract(minute FROM v) * 60) * 1000000 + extract(microseconds FROM v))::bigint"
)
STAMPS = [
    "1970-01-01 00:00:00", "1969-12-31 23:59:59.999999", "2000-01-01 00:00:00.000001", "0001-01-01 00:00:00", "4713-11-24 00:00:00 BC",
    "9999-12-31 23:59:59.999999", "294246-12-31 23:59:59.999999", "2024-02-29 12:34:56.789",
]
FLOATS = ["0", "-0", "1.5", "NaN", "Infinity", "-Infinity", "1e-40", "0.1", "1e20", "-123456789.125"]

# type, our type, values, what the server says in our form, options
TYPES = [
    ("boolean", "boolean", ["true", "false"], "v::text", {}),
    ("smallint", "smallint", ["-32768", "32767", "0"], "v::text", {}),
    ("integer", "int", ["-2147483648", "2147483647", "0", "-1"], "v::text", {}),
    ("bigint", "bigint", ["-9223372036854775808", "9223372036854775807", "0"], "v::text", {}),
    ("real", "float", [*FLOATS, "3.4028235e38", "1e-45"], "float4", {}),
    ("double precision", "double", [*FLOATS, "1.7976931348623157e308", "5e-324", "2.2250738585072014e-308"], "float8", {}),
    ("numeric(12,2)", "decimal(12,2)", ["0", "-0.01", "9999999999.99", "-9999999999.99", "1.5", "1234.50", "10000", "0.10", "99999999"], "v::text", {}),
    ("numeric(18,0)", "decimal(18,0)", ["999999999999999999", "-999999999999999999", "10000", "100000000", "1"], "v::text", {}),
    ("numeric(18,17)", "decimal(18,17)", ["9.99999999999999999", "0.00000000000000001", "0.00010", "1"], "v::text", {}),
    ("numeric(16,3)", "decimal(16,3)", ["1234567890123.456", "0.001", "-1.100", "10000.001"], "v::text", {}),
    ("numeric(19,4)", "decimal(19,4)", ["999999999999999.9999", "0.0001"], "v::text", {}),
    ("numeric(38,0)", "decimal(38,0)", ["99999999999999999999999999999999999999", "-99999999999999999999999999999999999999", "0", "10000000000"], "v::text", {}),
    ("numeric(38,38)", "decimal(38,38)", ["0." + "9" * 38, "-0." + "0" * 37 + "1", "0"], "v::text", {}),
    ("numeric(38,10)", "decimal(38,10)", ["9999999999999999999999999999.9999999999", "0.0000000001", "5"], "v::text", {}),
    ("numeric(5,-2)", "decimal(7,0)", ["1234567", "-100"], "v::text", {}),
    ("numeric(3,5)", "decimal(5,5)", ["0.00999", "-0.00001"], "v::text", {}),
    ("numeric", "decimal(38,18)", ["0", "12345678901234567890.123456789012345678", "-0.000000000000000001", "1e19"], "v::numeric(38,18)::text", {}),
    ("numeric", "decimal(20,2)", ["0", "123.45", "-1e17"], "v::numeric(20,2)::text", {"numericAs": "decimal(20,2)"}),
    ("numeric", "string", ["0", "NaN", "Infinity", "-Infinity", "123456789012345678901234567890123456789012345.5", "1e-30", "1.500", "-0.0001", "1e100",
                           "10000.0000", "0.00010000"], "v::text", {"numericAs": "text"}),
    ("numeric", "double", ["0", "NaN", "Infinity", "0.1", "-12345.6789", "1e300", "123456789012345678"], "float8", {"numericAs": "double"}),
    ("numeric(50,5)", "string", ["9" * 45 + ".99999", "0"], "v::text", {"numericAs": "text"}),
    ("text", "string", ["", " ", "a", "O'Brien \"x\"", "Ωmega ☃ 🙂", "tab\tnew\nline\\", "long " * 20000, "NULL"], "v::text", {}),
    ("varchar(20)", "string", ["x", "żółć"], "v::text", {}),
    ("char(5)", "string", ["ab", "abcde", "", "é"], "CASE WHEN v IS NOT NULL THEN format('%s', v) END", {}),
    ('"char"', "string", ["a", ""], "v::text", {}),
    ("name", "string", ["pg_class", ""], "v::text", {}),
    ("mood", "string", ["happy", "so-so ☃"], "v::text", {}),
    ("citext", "string", ["MiXed", ""], "v::text", {}),
    ("bytea", "binary", ["", "\\x00ff10", "\\x5c"], "'0x' || encode(v, 'hex')", {}),
    ("date", "date", ["1970-01-01", "0001-01-01", "4713-11-24 BC", "5874897-12-31", "2024-02-29"], DAYS, {}),
    ("date", "date", ["infinity", "-infinity", "2020-01-01"], f"CASE WHEN isfinite(v) THEN {DAYS} END", {"infinityAs": "null"}),
    ("date", "string", ["infinity", "-infinity", "2020-01-01"], "v::text", {"infinityAs": "text"}),
    ("time", "time", ["00:00:00", "23:59:59.999999", "24:00:00"], MICROS, {}),
    ("timestamp", "timestamp_ntz", STAMPS, MICROS, {}),
    ("timestamp(0)", "timestamp_ntz", ["2020-01-01 10:00:00"], MICROS, {}),
    ("timestamptz", "timestamp", STAMPS, MICROS, {}),
    ("timestamptz", "timestamp", ["infinity", "-infinity", "2020-01-01"], f"CASE WHEN isfinite(v) THEN {MICROS} END", {"infinityAs": "null"}),
    ("timestamptz", "string", ["infinity", "2020-01-01 00:00:00+02"], "v::text", {"infinityAs": "text"}),
    ("interval", "interval", ["1 day", "-1 year 2 mons 3 days 04:05:06.7", "0", "-00:00:01"], INTERVAL, {}),
    ("uuid", "uuid", ["00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"], "v::text", {}),
    ("json", "json", ["null", '{"a": [1, 2],   "a": 1}', '"ü"'], "v::text", {}),
    ("jsonb", "json", ["null", '{"b": 1, "a": [1.50, true]}', "[]"], "v::text", {}),
    ("integer[]", "array<int>", ["{}", "{1,2,3}", "{NULL,5}", "{2147483647}", "[0:1]={7,8}"], ARRAY, {}),
    ("text[]", "array<string>", ["{}", '{a,"b,c",NULL,""}', "{ünï}"], ARRAY, {}),
    ("numeric(8,3)[]", "array<decimal(8,3)>", ["{1.5,NULL,-99999.999}"], ARRAY, {}),
    ("numeric[]", "array<string>", ["{1.50,NaN,NULL}"], ARRAY, {"numericAs": "text"}),
    ("boolean[]", "array<boolean>", ["{t,f,NULL}"], ARRAY, {}),
    ("uuid[]", "array<uuid>", ["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"], ARRAY, {}),
    ("date[]", "array<date>", ["{2020-01-01,NULL}"], ARRAY, {}),
    ("date[]", "array<date>", ["{2020-01-01,infinity}"], "replace(" + ARRAY + ", 'infinity', 'null')", {"infinityAs": "null"}),
    ("date[]", "array<string>", ["{2020-01-01,infinity}"], ARRAY, {"infinityAs": "text"}),
    ("mood[]", "array<string>", ["{happy,NULL}"], ARRAY, {}),
    ("positive", "int", ["1", "42"], "v::text", {}),
    ("money2", "decimal(9,2)", ["1.25", "-3.50"], "v::text", {}),
    ("money2[]", "array<decimal(9,2)>", ["{1.25,NULL}"], ARRAY, {}),
    ("intlist", "array<int>", ["{1,2}"], "CASE WHEN v IS NOT NULL THEN (SELECT '[' || string_agg(x::text, ', ' ORDER BY o) || ']' "
                                          "FROM unnest(v::integer[]) WITH ORDINALITY u(x, o)) END", {}),
    ("inet", "string", ["10.0.0.1/8", "::1"], "v::text", {}),
    ("inet[]", "array<string>", ["{10.0.0.1,NULL}"], ARRAY, {}),
    ("point", "string", ["(1,2.5)"], "v::text", {}),
    ("int4range", "string", ["[1,5)", "empty"], "v::text", {}),
    ("timetz", "string", ["12:00:00+02"], "v::text", {}),
    ("money", "string", ["12.50"], "v::text", {}),
    ("xml", "string", ["<a>b</a>"], "v::text", {}),
    ("bit(4)", "string", ["1010"], "v::text", {}),
    ("pair", "string", ['(1,"x y")', "(,)"], "v::text", {}),
    ("oid", "string", ["4294967295"], "v::text", {}),
    ("int2vector", "string", ["1 2 3"], "v::text", {}),
    ("tsvector", "string", ["'a' 'cat'"], "v::text", {}),
    ("hstore", "string", ['"a"=>"1"'], "v::text", {}),
]

SETUP = [
    "CREATE TYPE mood AS ENUM ('happy', 'so-so ☃')", "CREATE EXTENSION citext", "CREATE EXTENSION hstore",
    "CREATE DOMAIN positive AS integer CHECK (VALUE > 0)", "CREATE DOMAIN money2 AS numeric(9,2)", "CREATE DOMAIN intlist AS integer[]",
    "CREATE TYPE pair AS (a integer, b text)",
]


def bits(text, single):
    return None if text is None else struct.pack("f" if single else "d", float(text))


def type_case(db, name, ours, values, expect, options):
    db.execute("DROP TABLE IF EXISTS v", f"CREATE TABLE v (id integer, v {name})", "INSERT INTO v VALUES (0, NULL)")
    with db.server.connect(db.name) as connection:
        for number, value in enumerate(values, 1):
            connection.execute(f"INSERT INTO v VALUES ({number}, %s::text::{name})" if name != "bytea" else "INSERT INTO v VALUES (%s, %s::text::bytea)",
                               (value,) if name != "bytea" else (number, value))
    result = db.good(table="v", **options)
    equal(result.schema["v"][0], ours, "type")
    floats = expect in ("float4", "float8")
    want = dict(db.rows(f"SELECT id, {'v::text' if floats else expect} FROM v"))
    got = {int(row[0]): row[1] for row in result.rows}
    equal(sorted(got), sorted(want), "ids")
    for number, text in want.items():
        if floats:
            equal(bits(got[number], expect == "float4"), bits(text, expect == "float4"), f"row {number}")
        else:
            equal(got[number], text, f"row {number}")


def refused_values(db):
    cases = [
        ("numeric(10,2)", "NaN", "NaN or Infinity", {}), ("numeric", "Infinity", "NaN or Infinity", {}),
        ("numeric", "0.0000000000000000001", "behind the point", {}), ("numeric", "1e20", "more digits", {}),
        ("numeric", "1.005", "behind the point", {"numericAs": "decimal(10,2)"}), ("date", "infinity", "infinity", {}),
        ("timestamptz", "-infinity", "infinity", {}), ("timestamp", "294276-12-31 23:59:59", "64-bit", {}),
        ("integer[]", "{{1,2},{3,4}}", "more than one dimension", {}), ("date[]", "{infinity}", "infinity", {}),
    ]
    for name, value, message, options in cases:
        db.execute("DROP TABLE IF EXISTS v", f"CREATE TABLE v (id integer, v {name})", f"INSERT INTO v VALUES (1, NULL), (2, '{value}')")
        error = db.bad(message, table="v", **options)
        check('table public.v, column "v", row 2' in error["message"], f"no place in {error}")
        equal((error["status"], error["class"]), ("source", "data"), "class")
        check(error["hint"], "no hint")


# --- relations ---


def ids(result, column=0):
    return sorted(int(row[column]) for row in result.rows)


def exactly_once(result, wanted):
    equal(ids(result), sorted(wanted), "rows")


def big(db):
    db.execute(
        "CREATE TABLE big (id integer PRIMARY KEY, k integer, sparse bigint, at timestamptz, d date, n numeric(20,4), f double precision, s text, pad text)",
        "INSERT INTO big SELECT g, CASE WHEN g % 10 = 0 THEN NULL WHEN g % 2 = 0 THEN 7 ELSE g END, (g::bigint * g * g) % 1000000007, "
        "timestamptz '2020-01-01 00:00:00+00' + g * interval '1 minute', date '2020-01-01' + g % 365, g / 7.0, g / 3.0, 'key ' || md5(g::text), repeat('x', 200) "
        "FROM generate_series(1, 60000) g",
        "DELETE FROM big WHERE id % 97 = 0 OR id BETWEEN 20000 AND 25000",
    )
    return [r[0] for r in db.rows("SELECT id FROM big")]


def explicit_splits(db, wanted):
    result = db.good("--threads", "3", table="big", columns="id", partitionColumn="id", lowerBound="1", upperBound="60000", numPartitions="7")
    exactly_once(result, wanted)
    equal(len(result.splits), 7, "splits")
    check(result.counters["connections_peak"] <= 4, result.counters)
    for column, low, high in [("k", "1", "1000"), ("sparse", "-5", "2000000000"), ("n", "0.5", "100.25"), ("f", "0", "20000"), ("d", "2020-01-01", "2020-12-31"),
                              ("at", "2020-01-01 00:00:00", "2020-02-01"), ("at", "2020-01-01T00:00:00+02", "2020-02-01")]:
        result = db.good(table="big", columns="id", partitionColumn=column, lowerBound=low, upperBound=high, numPartitions="5")
        exactly_once(result, wanted)
        equal(len(result.splits), 5, f"splits of {column}")
    # Bounds shape, they never filter; NULLs are in the first.
    result = db.good(table="big", columns="id,k", partitionColumn="k", lowerBound="100", upperBound="200", numPartitions="2")
    check(any(r[1] is None for r in result.splits[0]["rows"]) and not any(r[1] is None for r in result.splits[1]["rows"]), "NULLs")
    result = db.good(table="big", columns="id", partitionColumn="id", lowerBound="1", upperBound="3", numPartitions="10")
    equal(len(result.splits), 2, "no more splits than values")
    exactly_once(result, wanted)
    db.bad("lies above", table="big", partitionColumn="id", lowerBound="5", upperBound="1", numPartitions="2")
    db.bad("must be a number", table="big", partitionColumn="id", lowerBound="x", upperBound="1", numPartitions="2")
    db.bad("must be a finite date", table="big", partitionColumn="d", lowerBound="2020-13-01", upperBound="2021-01-01", numPartitions="2")
    db.bad("go together", table="big", partitionColumn="id", lowerBound="5")
    db.bad("need", table="big", lowerBound="5", upperBound="6")
    db.bad("bounds need a column", table="big", partitionColumn="s", lowerBound="5", upperBound="6")
    db.bad('no column "nope"', table="big", partitionColumn="nope")


def statistics_splits(db, wanted):
    result = db.good(table="big", columns="id", partitionColumn="sparse", numPartitions="6")  # no statistics yet: extremes
    exactly_once(result, wanted)
    equal(len(result.splits), 6, "splits")
    db.execute("ANALYZE big")
    for column in ("id", "sparse", "k", "at", "d", "n", "f", "s"):
        result = db.good("--threads", "2", table="big", columns="id", partitionColumn=column, numPartitions="6")
        exactly_once(result, wanted)
        check(len(result.splits) >= 3, f"{column}: {len(result.splits)} splits")
        if column not in ("k", "d"):
            sizes = [len(s["rows"]) for s in result.splits]
            check(max(sizes) < 2 * len(wanted) / 6, f"{column}: skew {sizes}")
            for split in result.splits:
                check(abs(split["predicted"] - len(split["rows"])) < len(wanted) * 0.05, f"{column}: predicted {split['predicted']}, is {len(split['rows'])}")


def page_splits(db, wanted):
    result = db.good("--threads", "3", table="big", columns="id", numPartitions="9")
    exactly_once(result, wanted)
    equal(len(result.splits), 9, "splits")
    check(all(s["order"] == "ordered" for s in result.splits), "order")
    result = db.good(table="big", columns="id")
    exactly_once(result, wanted)
    result = db.good("--reopen", "500", "--batch", "300", table="big", columns="id", numPartitions="3")
    exactly_once(result, wanted)
    first = db.good(table="big", columns="id", numPartitions="3")
    equal(result.rows, first.rows, "order behind reopening")
    db.bad("order of this split's rows", "--reopen", "500", "--batch", "300", table="big", columns="id", partitionColumn="id", numPartitions="3")
    # A selective condition with an index behind it is one split, not a walk over the table for each.
    result = db.good(table="big", columns="id", where="id = 17")
    equal([len(result.splits), ids(result)], [1, [17]], "selective")
    equal(db.good("--need", "", table="big", numPartitions="2").counters["rows_read"], len(wanted), "zero columns")
    result = db.good("--limit", "10", table="big", columns="id", numPartitions="2")
    equal([len(s["rows"]) for s in result.splits], [10, 10], "limit per split")


def relations(db):
    db.execute(
        "CREATE TABLE empty (id integer, x text)", "CREATE TABLE nothing ()", "INSERT INTO nothing DEFAULT VALUES", 'CREATE SCHEMA "My Schema"',
        'CREATE TABLE "My Schema"."T ""q""" ("Id" integer, "a b" text)', 'INSERT INTO "My Schema"."T ""q""" VALUES (1, $$x$$)',
        "CREATE TABLE parts (id integer, at date) PARTITION BY RANGE (at)", "CREATE TABLE parts_a PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
        "CREATE TABLE parts_b PARTITION OF parts FOR VALUES FROM ('2021-01-01') TO ('2022-01-01') PARTITION BY HASH (id)",
        "CREATE TABLE parts_b1 PARTITION OF parts_b FOR VALUES WITH (MODULUS 2, REMAINDER 0)", "CREATE TABLE parts_b2 PARTITION OF parts_b FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        "CREATE TABLE parts_d PARTITION OF parts DEFAULT", "INSERT INTO parts SELECT g, date '2019-12-01' + g % 900 FROM generate_series(1, 20000) g",
        "CREATE TABLE base (id integer PRIMARY KEY)", "CREATE TABLE derived (extra text) INHERITS (base)", "INSERT INTO base VALUES (1)", "INSERT INTO derived VALUES (2, 'x')",
        "CREATE VIEW seen AS SELECT id, x FROM empty UNION ALL SELECT g, 'v' FROM generate_series(1, 100) g", "CREATE MATERIALIZED VIEW kept AS SELECT g AS id FROM generate_series(1, 50) g",
        "CREATE SEQUENCE numbers",
    )
    equal(len(db.good(table="empty").rows), 0, "empty")
    equal(db.good(table="empty").schema["id"][0], "int", "schema of an empty table")
    equal(db.good(table="nothing").counters["rows_read"], 1, "a table without columns")
    result = db.good(table='"My Schema"."T ""q"""')
    equal([list(result.schema), result.rows], [["Id", "a b"], [("1", "x")]], "quoted")
    equal(db.good(table='"T ""q"""', schema="My Schema", columns="a b").rows, [("x",)], "schema key")
    equal(db.good(table='"T ""q"""', **{"properties.currentSchema": '"My Schema", public'}).rows, [("1", "x")], "currentSchema")
    result = db.good("--threads", "2", table="parts", numPartitions="8")
    exactly_once(result, range(1, 20001))
    check(len(result.splits) >= 7, [s["label"] for s in result.splits])
    exactly_once(db.good(table="parts"), range(1, 20001))
    exactly_once(db.good(table="parts", partitionColumn="id", numPartitions="4"), range(1, 20001))
    exactly_once(db.good(table="base", columns="id"), [1, 2])
    exactly_once(db.good(table="seen", columns="id"), range(1, 101))
    exactly_once(db.good(table="seen", columns="id", partitionColumn="id", numPartitions="4"), range(1, 101))
    exactly_once(db.good(table="kept"), range(1, 51))
    query = "SELECT g AS id, 'x' AS v FROM generate_series(1, 1000) g -- end"
    result = db.good(query=query + ";\n")
    exactly_once(result, range(1, 1001))
    equal(len(result.splits), 1, "one split")
    result = db.good("--threads", "2", query=query, partitionColumn="id", lowerBound="1", upperBound="1000", numPartitions="4")
    exactly_once(result, range(1, 1001))
    equal([len(result.splits), len(result.splits[1]["rows"])], [4, 250], "ranges of a query")
    exactly_once(db.good(query=query, partitionColumn="id", numPartitions="4", where="id > 10 -- ten"), range(11, 1001))
    equal(db.good(query="WITH q AS (SELECT 5 AS a) SELECT a, NULL AS n, now() - now() AS i FROM q", table="ignored", columns="a").rows, [("5",)], "with")
    equal(db.good(table="empty", where="x = 'a' OR\n 1 = 1").rows, [], "where")
    db.bad("two columns", query="SELECT 1 AS a, 2 AS a")
    db.bad("no columns", query="SET work_mem = '1MB'")
    db.bad("syntax error", query="INSERT INTO empty VALUES (1) RETURNING id")
    error = db.bad("there is no table", table="Users_")
    equal(error["status"], "config", "status")
    db.execute('CREATE TABLE "My Schema".away (id integer)')
    check('"My Schema".away' in db.bad("there is no table", table="AWAY")["hint"], "hint")
    db.bad("is not the name of a table", table="a.b.c.d.e")
    db.bad("neither a table nor a view", table="numbers")
    db.bad("syntax error", query="SELEC 1")
    db.bad("does not exist", table="empty", where="nope = 1")
    check("x" in db.bad("y", table="empty", columns="y")["hint"], "columns in the hint")
    db.bad("twice", table="empty", columns="id,id")
    db.bad('give "table" or "query"')
    check(db.good("--offline", table="empty").schema == {}, "offline")


# --- moments ---


def snapshots(db):
    db.execute("CREATE TABLE moving (id integer PRIMARY KEY, v integer)", "INSERT INTO moving SELECT g, 0 FROM generate_series(1, 20000) g")
    finish = db.paused("--threads", "3", table="moving", numPartitions="6")
    db.execute("UPDATE moving SET v = 1", "DELETE FROM moving WHERE id % 2 = 0", "INSERT INTO moving SELECT g, 2 FROM generate_series(20001, 30000) g")
    result = finish()
    equal(result.error, None, "error")
    equal([ids(result), {r[1] for r in result.rows}], [list(range(1, 20001)), {"0"}], "the snapshot")
    finish = db.paused("--threads", "3", table="moving", partitionColumn="id", lowerBound="1", upperBound="30000", numPartitions="6", snapshot="none")
    db.execute("UPDATE moving SET v = 3")
    equal({r[1] for r in finish().rows}, {"3"}, "without a snapshot")
    stop = threading.Event()

    def churn():
        with db.server.connect(db.name) as connection:
            n = 0
            while not stop.is_set():
                n += 1
                connection.execute("WITH d AS (DELETE FROM moving WHERE id %% 20000 = %s RETURNING 1) INSERT INTO moving SELECT 1000000 + %s + g, 9 FROM generate_series(1, (SELECT count(*) FROM d)::int) g", (n, n * 10))

    count = db.rows("SELECT count(*) FROM moving")[0][0]
    writer = threading.Thread(target=churn)
    writer.start()
    try:
        for _ in range(3):
            equal(len(db.good("--threads", "3", table="moving", numPartitions="12").rows), count, "rows under writes")
    finally:
        stop.set()
        writer.join()


def changes(db):
    def fresh():
        db.execute("DROP TABLE IF EXISTS changing", "CREATE TABLE changing (id integer, v text)", "INSERT INTO changing SELECT g, 'x' FROM generate_series(1, 1000) g")
        return db.paused("--threads", "2", table="changing", numPartitions="2")

    for statement, message in [
        ("DROP TABLE changing", "was dropped"), ("ALTER TABLE changing DROP COLUMN v", "lost or renamed a column"),
        ("ALTER TABLE changing RENAME COLUMN v TO w", "lost or renamed a column"), ("ALTER TABLE changing ALTER COLUMN id TYPE bigint", "changed the type"),
        ("ALTER TABLE changing ALTER COLUMN v TYPE varchar(100)", "changed the type"), ("TRUNCATE changing", "rewritten or truncated"),
        ("ALTER TABLE changing RENAME TO changed", "was dropped or renamed"),
    ]:
        finish = fresh()
        db.execute(statement)
        result = finish()
        db.execute("DROP TABLE IF EXISTS changed")
        check(result.error and message in result.error["message"], f"{statement}: {result.error}, {len(result.rows)} rows")
    finish = fresh()
    db.execute("ALTER TABLE changing ADD COLUMN more integer")
    equal(len(finish().rows), 1000, "a column more")


# --- predicates ---


def predicates(db):
    db.execute(
        "CREATE COLLATION nodet (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
        "CREATE TABLE p (id integer, b boolean, s text, u text COLLATE nodet, c char(4), e mood, ci citext, f double precision, n numeric(8,2), w numeric, d date, ts timestamp, "
        "tz timestamptz, r real, i inet, l integer[], uu uuid)",
        "INSERT INTO p SELECT g, g % 3 = 0, chr(64 + g % 40) || 'x', CASE WHEN g % 2 = 0 THEN 'Ab' ELSE 'ab' END, 'ab', CASE WHEN g % 2 = 0 THEN 'happy' END::mood, 'Ab', "
        "CASE g % 5 WHEN 0 THEN 'NaN'::float8 WHEN 1 THEN 'Infinity' ELSE g END, g / 4.0, g, date '2019-12-20' + g, timestamp '2019-12-20' + g * interval '7 hours', "
        "timestamptz '2019-12-20 00:00:00+00' + g * interval '7 hours', g / 10.0::real, '10.0.0.1', ARRAY[g], md5(g::text)::uuid FROM generate_series(1, 200) g",
        "INSERT INTO p (id) VALUES (0)", "INSERT INTO p (id, s) VALUES (300, 'it''s \\ é')",
    )
    day = 18262  # 2020-01-01
    for offered, answer, condition in [
        ("id > 150", "exact", "id > 150"), ("id in 1|2|3", "exact", "id IN (1, 2, 3)"), ("b true x", "exact", "b"), ("s null x", "exact", "s IS NULL"),
        ("s = Ax", "exact", "s = 'Ax'"), ("s = it's \\ é", "exact", "id = 300"), ("s < Cx", "exact", 's COLLATE "C" < \'Cx\''), ("s >= ax", "exact", 's COLLATE "C" >= \'ax\''),
        ("s prefix A", "exact", "s LIKE 'A%'"), ("u = ab", "exact", "u COLLATE \"C\" = 'ab'"), ("u in ab|x", "exact", "u COLLATE \"C\" = 'ab'"), ("c = ab", "refused", "true"),
        ("e = happy", "exact", "e = 'happy'"), ("e = nolabel", "exact", "false"), ("e < z", "exact", "e IS NOT NULL"), ("ci = ab", "refused", "true"), ("f > 100", "exact", "f > 100"), ("f = NaN", "exact", "f = 'NaN'"),
        ("n <= 12.25", "exact", "n <= 12.25"), ("w = 5", "exact", "w = 5"), (f"d >= {day}", "exact", "d >= '2020-01-01'"),
        (f"ts < {day * 86400000000 + 1}", "exact", "ts < '2020-01-01 00:00:00.000001'"), (f"tz <> {day * 86400000000}", "exact", "tz <> '2020-01-01 00:00:00+00'"),
        ("r = 0.5", "exact", "r = 0.5::real"), ("i = 10.0.0.1", "refused", "true"), ("i null x", "exact", "i IS NULL"), ("l null x", "exact", "l IS NULL"),
        ("tz year= 2020", "exact", "extract(year FROM tz) = 2020"), ("d year<> 2019", "exact", "extract(year FROM d) <> 2019"), ("ts year<= 2019", "exact", "extract(year FROM ts) <= 2019"),
        ("tz year> 2019", "exact", "extract(year FROM tz) > 2019"), (f"ts date= {day}", "exact", "ts::date = '2020-01-01'"), (f"tz date> {day}", "exact", "tz::date > '2020-01-01'"),
        ("not tz year= 2020", "exact", "extract(year FROM tz) <> 2020"), ("not d year<> 2019", "exact", "extract(year FROM d) = 2019"), (f"not ts date= {day}", "exact", "ts::date <> '2020-01-01'"),
        ("not s null x", "exact", "s IS NOT NULL"), ("not id in 1|2|3", "exact", "id NOT IN (1, 2, 3)"), ("not s prefix A", "exact", "s NOT LIKE 'A%'"), ("not c = ab", "refused", "true"),
        (f"tz month= {day}", "exact", "date_trunc('month', tz) = '2020-01-01 00:00:00+00'"), (f"tz month= {day + 1}", "refused", "true"),
    ]:
        result = db.good("--where", offered, table="p")
        equal(result.pushed, [answer], offered)
        equal(ids(result), [r[0] for r in db.rows(f"SELECT id FROM p WHERE {condition} ORDER BY 1")], offered)
    result = db.good("--where", "id > 5", "--where", "c = ab", "--where", "id < 9", "--need", "s", table="p", where="id <> 7")
    equal([result.pushed, sorted(result.schema), len(result.rows)], [["exact", "refused", "exact"], ["s"], 2], "several")
    equal(db.good("--where", "d < 18262", table="p", infinityAs="null").pushed, ["refused"], "infinities as NULL")


# --- connections ---


def connections(db):
    server = db.server
    db.execute("CREATE ROLE reader LOGIN PASSWORD 'secret'", "CREATE TABLE hidden (id integer)", "CREATE TABLE wide AS SELECT g AS id, repeat(md5(g::text), 30) AS s FROM generate_series(1, 40000) g")
    error = db.bad("permission denied", table="hidden", username="reader")
    check("GRANT" in error["hint"], error)
    error = db.bad("does not exist", table="hidden", database="nowhere")
    check("database" in error["hint"], error)
    equal(db.bad('role "nobody_"', table="hidden", username="nobody_")["status"], "credentials", "status")
    equal(db.bad("cannot connect", table="hidden", port="1")["class"], "transient", "class")
    db.bad("cannot connect", table="hidden", host="/nowhere")
    result = db.good("--threads", "4", table="wide", columns="id", numPartitions="12", maxConnections="3")
    check(result.counters["connections"] <= 5, result.counters)
    equal(result.info[2], "3", "readers")
    equal(db.good(table="wide", columns="id", **{"properties.maxPoolSize": "1"}).counters["connections"], 1, "one connection")
    equal(db.good("--parallelism", "8", table="wide", columns="id", **{"properties.maxPoolSize": "4"}).info[2], "3", "pool of four")
    result = db.good(table="wide", columns="id", numPartitions="4", **{"properties.initialPoolSize": "3", "properties.maxIdleTime": "300", "properties.minPoolSize": "1"})
    equal(result.counters["connections"], 4, "opened at start")
    finish = db.paused(table="wide", **{"properties.ApplicationName": "my app"})
    equal(len(db.rows("SELECT 1 FROM pg_stat_activity WHERE application_name = 'my app'")), 1, "application_name")
    finish()
    finish = db.paused(table="wide")
    equal([r[0] for r in db.rows("SELECT state FROM pg_stat_activity WHERE application_name = 'millrace'")], ["idle in transaction"], "coordinator")
    finish()
    # Closing in the middle cancels: nothing of ours runs on.
    db.good("--stop", "1", "--batch", "10", table="wide", numPartitions="1")
    equal(db.rows("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'millrace' AND state = 'active'")[0][0], 0, "left over")
    finish = db.paused("--threads", "2", table="wide", numPartitions="4")
    db.execute("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'millrace'")
    check("snapshot of this run is gone" in finish().error["message"], "a lost coordinator")
    os.environ["STATEMENT_TIMEOUT"] = "300000"
    try:
        error = db.bad("", query="SELECT pg_sleep(5)")
        check("time" in error["message"], error)
    finally:
        del os.environ["STATEMENT_TIMEOUT"]
    lock = server.connect(db.name)
    lock.autocommit = False
    db.execute("ALTER ROLE reader SET lock_timeout = '100ms'")
    lock.close()


def encodings(server):
    with server.connect() as connection:
        connection.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
        connection.execute("CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    reader = Reader.__new__(Reader)
    reader.server, reader.name = server, "latin"
    reader.execute("CREATE TABLE t (s text)", "INSERT INTO t VALUES ('é')")
    equal(reader.good(table="t").rows, [("é",)], "LATIN1")
    equal(reader.good("--where", "s < z", table="t").pushed, ["refused"], "order of LATIN1")
    reader.name = "ascii"
    with server.connect("ascii", client_encoding="SQL_ASCII") as connection:
        connection.execute("CREATE TABLE t (s text)")
        connection.execute(r"INSERT INTO t VALUES ('ok'), (E'\xff')")
    check("bytea" in reader.bad("invalid byte sequence", table="t")["hint"], "hint")


def main():
    suite = Suite("postgres")
    with Server() as server:
        db = Reader(server, "values")
        db.execute(*SETUP)
        for number, case in enumerate(TYPES):
            suite.case(f"type {number} {case[0]} as {case[1]}", type_case, db, *case)
        suite.case("refused values", refused_values, db)
        suite.case("predicates", predicates, db)
        db = Reader(server, "splits")
        wanted = big(db)
        suite.case("explicit splits", explicit_splits, db, wanted)
        suite.case("splits by statistics", statistics_splits, db, wanted)
        suite.case("splits by pages", page_splits, db, wanted)
        db = Reader(server, "relations")
        suite.case("relations", relations, db)
        suite.case("snapshots", snapshots, db)
        suite.case("changes between plan and read", changes, db)
        suite.case("connections", connections, db)
        suite.case("encodings", encodings, server)
    suite.end()


main()

#!/usr/bin/env python3
"""The COPY encoder against a private server: Postgres -> reader -> encoder -> Postgres, byte for byte in the server's own binary form.

Parquet files of pyarrow go the same way, and psycopg finds the types and values that pyarrow holds.
Needs the program postgres_write (built by make check beside this file's log).
"""

import decimal
import io
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need, need_built

need("psycopg")
need("pyarrow")

import pyarrow
import pyarrow.parquet
from server import Server, need_server
from types_of_postgres import TYPES

need_server()

WRITE = need_built("tests/interop/postgres_write")

# numeric without a scale is read as numeric(38,18): the value stays, the number of zeros behind it does not.
BY_VALUE = "numeric"


class Base:
    def __init__(self, server, name):
        self.server = server
        self.name = server.database(name)

    def load(self, query, target, *flags, **options):
        done = subprocess.run(
            [WRITE, *flags, self.server.place, str(self.server.port), self.name, query, target, *[f"{k}={v}" for k, v in options.items()]],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        )
        check(done.returncode in range(0, 20), f"ended with {done.returncode}: {done.stderr[-2000:]}")
        found = {}
        for line in done.stdout.splitlines():
            kind, *fields = line.split("\t")
            check(kind != "leak", line)
            found.setdefault(kind, []).append(fields)
        return found

    def good(self, *arguments, **options):
        found = self.load(*arguments, **options)
        check("error" not in found, f"failed: {found.get('error')}")
        return found

    def bad(self, kind, message, *arguments, **options):
        found = self.load(*arguments, **options)
        check("error" in found, f"did not fail: {found}")
        equal(found["error"][0][1], kind, f"class of {found['error']}")
        check(message in found["error"][0][2], f"the message is {found['error']}")
        return found

    def execute(self, *statements):
        self.server.execute(self.name, *statements)

    def rows(self, query):
        return self.server.rows(self.name, query)

    def binary(self, query):
        """What the server's own send functions make of it."""
        out = io.BytesIO()
        with self.server.connect(self.name) as connection, connection.cursor() as cursor:
            with cursor.copy(f"COPY ({query}) TO STDOUT BINARY") as copy:
                for part in copy:
                    out.write(part)
        return out.getvalue()


def round_trip(db, number, kind, existing):
    for statement in kind.setup:
        try:
            db.execute(statement)
        except Exception as already:
            check("exists" in str(already), str(already))
    source, target = f"s{number}", f"{'e' if existing else 'n'}{number}"
    db.execute(f"DROP TABLE IF EXISTS {source}", f"CREATE TABLE {source} (id serial, v {kind.name})")
    for value in kind.values:
        db.execute(f"INSERT INTO {source} (v) VALUES ({value}), (NULL)")
    flags = ["--into"] if existing else []
    if existing:
        db.execute(f"CREATE TABLE {target} (id integer, v {kind.name})")
    found = db.good(f"SELECT id, v FROM {source}", target, *flags, **kind.options)
    name = db.rows(f"SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '{target}'::regclass AND attname = 'v'")[0][0]
    equal(found["rows"], [[str(2 * len(kind.values))]], "rows")
    # Without a place of its own a type is read, and made, as text; what stands there must still read back to the same.
    wanted = "v"
    if kind.options.get("infinityAs") == "null":
        wanted = "CASE WHEN isfinite(v) THEN v END"
    if kind.options.get("numericAs") == "double":
        check(not existing, "not of an existing column")
        wanted = "v::double precision"
    if name == "text" and kind.name != "text" or name == "text[]" and kind.name != "text[]":
        back = f"SELECT id, v::{kind.name} FROM {target} ORDER BY id"
    else:
        back = f"SELECT id, v FROM {target} ORDER BY id"
    wanted = f"SELECT id, {wanted} FROM {source} ORDER BY id"
    if kind.name == BY_VALUE and not kind.options:
        wanted, back = wanted.replace(" v ", " trim_scale(v) "), back.replace(" v ", " trim_scale(v) ")
    equal(db.binary(back), db.binary(wanted), f"bytes of {name}")


REFUSED = [
    ("a integer NOT NULL", "SELECT NULL::integer AS a", "data", "Failing row contains"),
    ("a integer CHECK (a < 5)", "SELECT 7 AS a", "data", "violates check constraint"),
    ("a integer UNIQUE", "SELECT 7 AS a UNION ALL SELECT 7", "data", "(a)=(7) already exists"),
    ("a smallint", "SELECT 70000 AS a", "data", "row 1: the value is out of the range"),
    ("a integer", "SELECT 'x'::text AS a", "config", "cannot be loaded into integer"),
    ("a json", "SELECT '{'::text AS a", "data", "invalid input syntax for type json"),
]


def refused(db):
    for number, (column, query, kind, message) in enumerate(REFUSED):
        db.execute(f"CREATE TABLE bad{number} ({column})")
        found = db.bad(kind, message, query, f"bad{number}", "--into")
        if kind == "data":
            equal(found["usable"], [["1"]], "the connection after ROLLBACK")
        equal(db.rows(f"SELECT count(*) FROM bad{number}"), [(0,)], "rows")


def refused_early(db):
    """The first row of a long load is refused: the load ends long before all is sent."""
    db.execute("CREATE TABLE early (a integer CHECK (a <> 0), b text)")
    found = db.bad(
        "data", "violates check constraint",
        "SELECT g AS a, repeat('x', 1000) AS b FROM generate_series(0, 99999) g", "early", "--into", "--repeat", "10",
    )
    check("COPY early, line 1" in found["error"][0][2], f"context of {found['error']}")
    sent = int(found["sent"][0][0])
    check(sent < 500000, f"{sent} of 1000000 rows were encoded")


def noisy(db):
    """Notices during the load do not break it off."""
    db.execute(
        "CREATE TABLE noisy (a integer)",
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'row %', NEW.a; RETURN NEW; END $$",
        "CREATE TRIGGER shout BEFORE INSERT ON noisy FOR EACH ROW EXECUTE FUNCTION shout()",
    )
    found = db.good("SELECT generate_series(1, 100000) AS a", "noisy", "--into")
    equal(found["rows"], [["100000"]], "rows")


def terminated(db):
    """The backend is ended in the middle of a load: transient, and nothing is there."""
    db.execute(
        "CREATE TABLE ended (a integer, b text)",
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$",
        "CREATE TRIGGER die BEFORE INSERT ON ended FOR EACH ROW WHEN (NEW.a = 50000) EXECUTE FUNCTION die()",
    )
    found = db.bad("transient", "", "SELECT g AS a, repeat('x', 100) AS b FROM generate_series(1, 100000) g", "ended", "--into", "--repeat", "5")
    check("usable" not in found, "the connection is not usable")
    equal(db.rows("SELECT count(*) FROM ended"), [(0,)], "rows")


def slow(db):
    """A server that takes its time: the sender waits for it."""
    db.execute(
        "CREATE TABLE slow (a integer, b text)",
        "CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END $$",
        "CREATE TRIGGER nap BEFORE INSERT ON slow FOR EACH ROW WHEN (NEW.a IN (1, 20000)) EXECUTE FUNCTION nap()",
    )
    found = db.good("SELECT g AS a, repeat('x', 1000) AS b FROM generate_series(1, 40000) g", "slow", "--into")
    equal(found["rows"], [["40000"]], "rows")
    check(int(found["time"][0][0]) > 2 * int(found["time"][0][1]), f"waiting costs CPU: {found['time']}")


# Our type of a pyarrow column, the type that is made for it, values, and how the server shows a value exactly.
D = decimal.Decimal
DAY = "v - date '1970-01-01'"
MICROS = "(extract(epoch FROM v) * 1000000)::bigint"
ARROW = [
    ("bool", pyarrow.bool_(), "boolean", [True, False], "v"),
    ("int8", pyarrow.int8(), "smallint", [-128, 127], "v"),
    ("int16", pyarrow.int16(), "smallint", [-32768, 32767], "v"),
    ("int32", pyarrow.int32(), "integer", [-(2**31), 2**31 - 1], "v"),
    ("int64", pyarrow.int64(), "bigint", [-(2**63), 2**63 - 1], "v"),
    ("float32", pyarrow.float32(), "real", [1.5, float("inf"), 2.0**-149], "v::double precision"),
    ("float64", pyarrow.float64(), "double precision", [0.1, float("-inf"), 5e-324, 1.7976931348623157e308], "v"),
    ("decimal9", pyarrow.decimal128(9, 4), "numeric(9,4)", [D("99999.9999"), D("-0.0001"), D("0.0000")], "v"),
    ("decimal18", pyarrow.decimal128(18, 17), "numeric(18,17)", [D("9.99999999999999999"), D("-0.00000000000000001")], "v"),
    ("decimal38", pyarrow.decimal128(38, 37), "numeric(38,37)", [D("-9." + "9" * 37), D("1.5" + "0" * 36)], "v"),
    ("decimal38i", pyarrow.decimal128(38, 0), "numeric(38,0)", [D("9" * 38), D(-(10**37))], "v"),
    ("date", pyarrow.date32(), "date", [-719529, 2932897, 0], DAY),
    ("time", pyarrow.time64("us"), "time without time zone", [0, 86399999999], MICROS),
    ("timestamp", pyarrow.timestamp("us", "UTC"), "timestamp with time zone", [0, -62167219200000001, 253402300800000000], MICROS),
    ("timestamp_ntz", pyarrow.timestamp("us"), "timestamp without time zone", [1, -62167219200000001, 253402300800000000], MICROS),
    ("string", pyarrow.string(), "text", ["", "Ωmega ☃ 🙂", "x" * 5000], "v"),
    ("coded", pyarrow.string(), "text", ["red", "green", "blå"] * 400, "v"),
    ("binary", pyarrow.binary(), "bytea", [b"", b"\x00\xff"], "v"),
    ("list", pyarrow.list_(pyarrow.int32()), "integer[]", [[], [1, None, -3], [None]], "v"),
    ("texts", pyarrow.list_(pyarrow.string()), "text[]", [["a,b", '"', None], [""]], "v"),
    ("lists", pyarrow.list_(pyarrow.list_(pyarrow.int32())), "jsonb", [[[1], [], None], []], "v"),
    ("struct", pyarrow.struct([("a", pyarrow.int64()), ("b", pyarrow.string())]), "jsonb", [{"a": 2**60, "b": "é"}, {"a": None, "b": None}], "v"),
]


def arrow(db, name, kind, made, values, shown):
    values = [v for value in values for v in (value, None)]
    table = pyarrow.table({"id": pyarrow.array(range(len(values)), pyarrow.int32()), "v": pyarrow.array(values, kind)})
    with tempfile.TemporaryDirectory() as place:
        pyarrow.parquet.write_table(table, f"{place}/t.parquet", compression="snappy")
        db.good(f"{place}/t.parquet", f"arrow_{name}", "--parquet")
    types = db.rows(f"SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'arrow_{name}'::regclass AND attname = 'v'")
    equal(types, [(made,)], "type")
    found = [row[0] for row in db.rows(f"SELECT {shown} FROM arrow_{name} ORDER BY id")]
    equal([repr(value) for value in found], [repr(value) for value in values], "values")


def main():
    suite = Suite("postgres write")
    with Server() as server:
        db = Base(server, "trips")
        for number, kind in enumerate(TYPES):
            label = f"{number} {kind.name} {kind.options or ''}"
            suite.case(f"made {label}", round_trip, db, number, kind, False)
            if kind.options.get("numericAs") != "double":
                suite.case(f"existing {label}", round_trip, db, number, kind, True)
        for case in ARROW:
            suite.case(f"pyarrow {case[0]}", arrow, db, *case)
        suite.case("refused rows", refused, db)
        suite.case("refused early", refused_early, db)
        suite.case("notices", noisy, db)
        suite.case("terminated", terminated, db)
        suite.case("slow server", slow, db)
    suite.end()


main()

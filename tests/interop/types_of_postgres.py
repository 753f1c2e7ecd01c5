"""Postgres types: edge values of each, how the server tells their exact value, and how a reader's column shows it.

A value is compared in the form in which nothing is lost: dates as days, times and timestamps as microseconds, floats
as floats (NaN equal to itself, -0.0 apart from 0.0), decimals with their scale, the rest as text or bytes.
"""

import uuid

import pyarrow

DAYS = "v - date '1970-01-01'"
MICROS = "(extract(epoch FROM v) * 1000000)::numeric(24,0)::text"
# extract(epoch) of a time stamp near the ends goes through a float; days and the time of day do not.
STAMP = (
    "((v::date - date '1970-01-01')::numeric * 86400000000 + extract(epoch FROM v::time) * 1000000)"
    "::numeric(24,0)::text"
)
INTERVAL = (
    "concat_ws('|', extract(year FROM v) * 12 + extract(month FROM v), extract(day FROM v), "
    "((extract(hour FROM v) * 3600 + extract(minute FROM v) * 60) * 1000000 + extract(microseconds FROM v))::numeric(24,0))"
)

INTEGERS = {"smallint": 16, "integer": 32, "bigint": 64}
TEXTS = ["''", "' '", "'a'", "'O''Brien \"x\"'", "'Ωmega ☃ 🙂 नमस्ते 李'", "E'tab\\tnew\\nline\\r\\\\'", "repeat('long ', 20000)", "'NULL'"]
FLOATS = ["0", "-0.0", "1", "-1.5", "'NaN'", "'Infinity'", "'-Infinity'", "0.1"]
STAMPS = [
    "'1970-01-01 00:00:00'", "'1969-12-31 23:59:59.999999'", "'2000-01-01 00:00:00.000001'", "'0001-01-01 00:00:00'",
    "'4713-01-01 00:00:00 BC'", "'9999-12-31 23:59:59.999999'", "'294247-01-10 04:00:54.775807'", "'2024-02-29 12:34:56.789'",
    "'1582-10-10 00:00:00'",
]


class Type:
    def __init__(self, name, values, expect="v::text", setup=(), options=None, read=None, make=None):
        self.name = name
        self.values = values
        self.expect = expect
        self.setup = setup
        self.options = options or {}
        self.read = read or (lambda value, _: value)
        self.make = make


def as_text(value, _):
    return None if value is None else str(value)


def as_interval(value, _):
    return None if value is None else f"{value['months']}|{value['days']}|{value['microseconds']}"


def padded(value, _):
    """char(n): the trailing blanks are padding; ::text drops them on the server."""
    return None if value is None else value.rstrip(" ")


def as_uuid(value, _):
    return None if value is None else str(uuid.UUID(bytes=value) if isinstance(value, bytes) else value)


def integer(name, bits):
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return Type(name, [f"'{low}'", f"'{high}'", "0", "-1", "1"], "v", make=f"(h % {high})::{name} * (CASE WHEN h % 2 = 0 THEN 1 ELSE -1 END)::{name}")


TYPES = [
    Type("boolean", ["true", "false"], "v", make="h % 2 = 0"),
    *[integer(n, b) for n, b in INTEGERS.items()],
    Type("real", [*FLOATS, "'3.4028235e38'", "'1e-45'", "'1.17549435e-38'"], "v::double precision", make="(h % 100000)::real / 7"),
    Type("double precision", [*FLOATS, "'1.7976931348623157e308'", "'5e-324'", "'2.2250738585072014e-308'", "1e15 + 0.3"], "v",
         make="(h % 1000000007)::double precision / 13"),
    Type("numeric(12,2)", ["0", "-0.01", "9999999999.99", "-9999999999.99", "1.5"], "v", make="(h % 199999999999 - 99999999999)::numeric / 100"),
    Type("numeric(18,0)", ["999999999999999999", "-999999999999999999", "0"], "v", make="(h % 999999999999999999)::numeric"),
    Type("numeric(19,4)", ["999999999999999.9999", "-999999999999999.9999", "0.0001"], "v", make="(h % 99999999999999)::numeric / 10000"),
    Type("numeric(38,10)", ["9999999999999999999999999999.9999999999", "-9999999999999999999999999999.9999999999", "0.0000000001"], "v",
         make="h::numeric * 1000003 / 1000"),
    Type("numeric(5,5)", ["0.99999", "-0.99999", "0.00001"], "v"),
    Type("numeric", ["0", "12345678901234567890.123456789012345678", "-0.000000000000000001"], "v::numeric(38,18)", make="(h % 100000000000)::numeric / 1000"),
    Type("numeric", ["0", "'NaN'", "'Infinity'", "'-Infinity'", "123456789012345678901234567890123456789012345.5", "1e-30", "1.500"], "v::text",
         options={"numericAs": "text"}),
    Type("numeric", ["0", "'NaN'", "'Infinity'", "0.1", "-12345.6789"], "v::double precision", options={"numericAs": "double"}),
    Type("text", TEXTS, make="CASE h % 5 WHEN 0 THEN '' WHEN 1 THEN 'ß' || h WHEN 2 THEN repeat('x', (h % 300)::int) ELSE 'value ' || h % 50 END"),
    Type("varchar(50)", ["'x'", "'żółć'", "''"], make="'v' || h % 1000"),
    Type("char(5)", ["'ab'", "'abcde'", "''", "'é'"], read=padded, make="chr(97 + (h % 26)::int)"),
    Type('"char"', ["'a'", "'z'"]),
    Type("name", ["'pg_class'", "''"]),
    Type("mood", ["'happy'", "'sad'", "'so-so ☃'"], setup=["CREATE TYPE mood AS ENUM ('happy', 'sad', 'so-so ☃')"]),
    Type("citext", ["'MiXed'", "''"], setup=["CREATE EXTENSION IF NOT EXISTS citext"]),
    Type("bytea", ["''", r"'\x00ff10'", r"'\x5c'", "decode(repeat('ab', 5000), 'hex')"], "v", make="decode(md5(h::text), 'hex')"),
    Type("date", ["'1970-01-01'", "'0001-01-01'", "'4713-01-01 BC'", "'5874897-12-31'", "'2024-02-29'", "'1582-10-10'", "'9999-12-31'"], DAYS,
         make="date '1900-01-01' + (h % 80000)::int"),
    Type("date", ["'infinity'", "'-infinity'", "'2020-01-01'"], "CASE WHEN isfinite(v) THEN v - date '1970-01-01' END", options={"infinityAs": "null"}),
    Type("time", ["'00:00:00'", "'23:59:59.999999'", "'12:34:56.000001'"], MICROS, read=as_text, make="time '00:00' + h % 86400000000 * interval '1 microsecond'"),
    Type("timestamp", STAMPS, STAMP, read=as_text, make="timestamp '1950-01-01' + h % 3000000000000000 * interval '1 microsecond'"),
    Type("timestamptz", [s[:-1] + "+00'" if "BC" not in s else s.replace(" BC", "+00 BC") for s in STAMPS], STAMP, read=as_text,
         make="timestamptz '1950-01-01 00:00:00+00' + h % 3000000000000000 * interval '1 microsecond'"),
    Type("timestamp", ["'infinity'", "'-infinity'", "'2020-01-01'"], f"CASE WHEN isfinite(v) THEN {MICROS} END", read=as_text, options={"infinityAs": "null"}),
    Type("timestamptz", ["'infinity'", "'-infinity'"], "v::text", options={"infinityAs": "text"}),
    Type("interval", ["'1 day'", "'-1 year 2 mons 3 days 04:05:06.7'", "'0'", "'178000000 years'"],
         "CASE WHEN v IS NOT NULL THEN " + INTERVAL + " END", read=as_interval),
    Type("uuid", ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"],
         read=as_uuid, make="md5(h::text)::uuid"),
    Type("json", ["'null'", "'{\"a\": [1, 2, {\"b\": null}],   \"a\": 1}'", "'\"ü\"'"]),
    Type("jsonb", ["'null'", "'{\"b\": 1, \"a\": [1.50, true]}'", "'[]'"], make="jsonb_build_object('n', h % 100, 's', 'é')"),
    Type("integer[]", ["'{}'", "'{1,2,3}'", "'{NULL,5}'", "'{2147483647}'"], "v", make="ARRAY[(h % 100)::int, NULL, 7]"),
    Type("text[]", ["'{}'", "'{a,\"b,c\",NULL,\"\"}'", "'{ünï}'"], "v", make="ARRAY['t' || h % 9]"),
    Type("double precision[]", ["'{1.5,NaN,-0}'"], "v"),
    Type("numeric(8,3)[]", ["'{1.5,NULL,-99999.999}'"], "v"),
    Type("boolean[]", ["'{t,f,NULL}'"], "v"),
    Type("uuid[]", ["'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'"], "v::text[]", read=lambda v, _: v and [as_uuid(x, _) for x in v]),
    Type("date[]", ["'{2020-01-01,NULL}'"], "v"),
    Type("timestamptz[]", ["'{\"2020-01-01 00:00:00.5+00\"}'"], "v"),
    Type("positive", ["1", "42"], "v::integer", setup=["CREATE DOMAIN positive AS integer CHECK (VALUE > 0)"]),
    Type("money2", ["1.25", "-3.50"], "v::numeric(9,2)", setup=["CREATE DOMAIN money2 AS numeric(9,2)"]),
    Type("inet", ["'10.0.0.1/8'", "'::1'"]),
    Type("cidr", ["'10.0.0.0/8'"]),
    Type("macaddr", ["'08:00:2b:01:02:03'"]),
    Type("point", ["'(1,2.5)'"]),
    Type("int4range", ["'[1,5)'", "'empty'"]),
    Type("tsvector", ["'a fat cat'"]),
    Type("xml", ["'<a>b</a>'"]),
    Type("bit(4)", ["B'1010'"]),
    Type("varbit", ["B'101'", "B''"]),
    Type("timetz", ["'12:00:00+02'"]),
    Type("pair", ["ROW(1,'x')"], setup=["CREATE TYPE pair AS (a integer, b text)"]),
]


def exact(column):
    """A pyarrow column as Python values in which nothing is lost."""
    kind = column.type
    if isinstance(kind, pyarrow.ExtensionType) or hasattr(kind, "storage_type"):
        column = pyarrow.chunked_array([c.storage for c in column.chunks], kind.storage_type)
        kind = column.type
    if pyarrow.types.is_date32(kind):
        return column.cast(pyarrow.int32()).to_pylist()
    if pyarrow.types.is_timestamp(kind) or pyarrow.types.is_time(kind):
        if kind.unit != "us":
            raise ValueError(f"unit {kind.unit}, not microseconds")
        return column.cast(pyarrow.int64()).to_pylist()
    return column.to_pylist()

#!/usr/bin/env python3
"""Avro files of fastavro read by the engine, and files of the engine read by fastavro: values and types.

$AVRO_MAKE is tests/interop/avro_make, which copies an Avro file into one of any format by the engine's reader and writer. So a
file of fastavro goes to Avro again (values) and to Parquet (types of columns). MILLRACE_LONG=1: ten times as many schemas.
"""

import datetime as dt
import decimal
import json
import math
import os
import random
import string
import subprocess
import sys
import tempfile
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("fastavro", "cramjam", "backports.zstd", "pyarrow")
import fastavro
import pyarrow
import pyarrow.parquet

MAKE = os.environ.get("AVRO_MAKE", "tests/interop/avro_make")
FOLDER = tempfile.TemporaryDirectory(prefix="millrace-avro-")
CODECS = {"null": "none", "deflate": "deflate", "snappy": "snappy", "zstandard": "zstandard"}
UTC = dt.timezone.utc
decimal.getcontext().prec = 60


def path(name):
    return os.path.join(FOLDER.name, name)


def write(schema, rows, codec="null", name="in.avro", **options):
    with open(path(name), "wb") as out:
        fastavro.writer(out, schema, rows, codec=codec, **options)
    return path(name)


def read(name, schema=None):
    with open(name, "rb") as file:
        reader = fastavro.reader(file, schema)
        return list(reader), reader.metadata


def make(source, form="avro", fails=None, **keys):
    out = path(f"out.{form}")
    words = [str(word) for pair in keys.items() for word in pair]
    done = subprocess.run([MAKE, source, out, form, *words], capture_output=True, text=True)
    if fails is not None:
        check(done.returncode == 1, f"avro_make succeeded: {done}")
        for text in fails if isinstance(fails, tuple) else (fails,):
            check(text in done.stderr, f"the message lacks {text!r}: {done.stderr}")
        return None
    equal((done.returncode, done.stderr), (0, ""), "avro_make")
    return out


def same(got, wanted, where=""):
    if isinstance(wanted, float) and isinstance(got, float):
        check(got == wanted or (math.isnan(got) and math.isnan(wanted)), f"{where}: {got!r}, wanted {wanted!r}")
    elif isinstance(wanted, dict):
        equal(set(got), set(wanted), f"{where}: keys")
        for key in wanted:
            same(got[key], wanted[key], f"{where}.{key}")
    elif isinstance(wanted, list):
        equal(len(got), len(wanted), f"{where}: length")
        for number, (a, b) in enumerate(zip(got, wanted)):
            same(a, b, f"{where}[{number}]")
    else:
        check(got == wanted and type(got) is type(wanted), f"{where}: {got!r:.200}, wanted {wanted!r:.200}")


# ---- every type, edge values ----

TYPES = {
    "null": ("null", [None]),
    "boolean": ("boolean", [True, False]),
    "int": ("int", [0, 1, -1, 63, 64, -64, -65, 8191, 8192, 2**31 - 1, -(2**31)]),
    "long": ("long", [0, 1, -1, 2**20, -(2**20), 2**34, 2**62, 2**63 - 1, -(2**63)]),
    "float": ("float", [0.0, -0.0, 1.5, math.inf, -math.inf, math.nan, 2.0**-149]),
    "double": ("double", [0.0, -0.0, 0.1, math.inf, math.nan, 5e-324, 1.7976931348623157e308]),
    "bytes": ("bytes", [b"", b"\x00\xff", bytes(range(256)) * 40]),
    "string": ("string", ["", "a", "\u00e9\U0001f600", "x" * 70000, "nul \x00 inside"]),
    "decimal": ({"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2},
                [decimal.Decimal(t) for t in ("0.00", "1.27", "1.28", "-1.28", "-1.29", "9999999999.99", "-9999999999.99")]),
    "decimal38": ({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 10},
                  [decimal.Decimal(9) * 10**26, decimal.Decimal("-" + "9" * 28 + "." + "9" * 10), decimal.Decimal("0E-10")]),
    "fixed decimal": ({"type": "fixed", "name": "D", "size": 9, "logicalType": "decimal", "precision": 18, "scale": 3},
                      [decimal.Decimal(t) for t in ("0.000", "123456789012345.678", "-0.001")]),
    "date": ({"type": "int", "logicalType": "date"}, [dt.date(1970, 1, 1), dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
    "time-millis": ({"type": "int", "logicalType": "time-millis"}, [dt.time(0), dt.time(23, 59, 59, 999000)]),
    "time-micros": ({"type": "long", "logicalType": "time-micros"}, [dt.time(0), dt.time(23, 59, 59, 999999)]),
    "timestamp-millis": ({"type": "long", "logicalType": "timestamp-millis"},
                         [dt.datetime(1970, 1, 1, tzinfo=UTC), dt.datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)]),
    "timestamp-micros": ({"type": "long", "logicalType": "timestamp-micros"},
                         [dt.datetime(2024, 2, 29, 12, 30, 1, 123456, tzinfo=UTC), dt.datetime(1, 1, 2, tzinfo=UTC)]),
    "local-timestamp-millis": ({"type": "long", "logicalType": "local-timestamp-millis"}, [dt.datetime(2024, 2, 29, 12)]),
    "local-timestamp-micros": ({"type": "long", "logicalType": "local-timestamp-micros"},
                               [dt.datetime(2024, 2, 29, 12, 0, 0, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999)]),
    "uuid": ({"type": "string", "logicalType": "uuid"}, [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)]),
    "enum": ({"type": "enum", "name": "E", "symbols": ["A", "B", "C"]}, ["A", "B", "C"]),
    "fixed": ({"type": "fixed", "name": "F", "size": 5}, [b"12345", b"\0" * 5]),
    "array": ({"type": "array", "items": "long"}, [[], [1], list(range(1000))]),
    "map": ({"type": "map", "values": ["null", "string"]}, [{}, {"a": "b", "": None}]),
    "record": ({"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": ["string", "null"]}]},
               [{"a": 1, "b": "x"}, {"a": -2, "b": None}]),
    "deep": ({"type": "array", "items": {"type": "map", "values": {"type": "array", "items": ["null", {
        "type": "record", "name": "R", "fields": [{"name": "v", "type": {"type": "array", "items": "string"}}]}]}}},
        [[{"k": [None, {"v": ["a", "b"]}]}, {}], []]),
}


def record(*fields):
    return {"type": "record", "name": "Row", "namespace": "a.b", "fields": list(fields)}


def edge(name):
    kind, values = TYPES[name]
    schema = record({"name": "v", "type": kind})
    rows = [{"v": value} for value in values] * 3
    source = write(schema, rows)
    got, metadata = read(make(source))
    wanted = rows
    same(got, wanted, name)
    written = json.loads(metadata["avro.schema"])
    if name not in ("enum", "fixed", "fixed decimal", "record", "deep", "time-millis") and "millis" not in name and kind != "null":
        equal(written["fields"][0]["type"], kind, "schema")
    if kind == "null":
        return
    schema = record({"name": "v", "type": ["null", kind] if name != "map" else [kind, "null"], "default": None})
    rows = [{"v": value} for value in values + [None]] * 3
    got, _ = read(make(write(schema, rows)))
    same(got, rows, f"nullable {name}")
    text = json.dumps(schema)
    got, metadata = read(make(write(schema, rows), writer=text))
    same(got, rows, f"{name} by its own schema")
    equal(metadata["avro.schema"], text, "the schema, byte for byte")


def parquet_types():
    fields = [{"name": f"c{n}", "type": ["null", kind]} for n, (kind, _) in enumerate(TYPES.values()) if kind != "null"]
    text = json.dumps(fields).replace('"name": "R"', '"name": "R0"', 1)
    rows = [{f["name"]: values[0] for f, (kind, values) in zip(fields, [t for t in TYPES.values() if t[0] != "null"])}]
    got = pyarrow.parquet.read_table(make(write(record(*json.loads(text)), rows), "parquet")).schema
    wanted = ["bool", "int32", "int64", "float", "double", "binary", "string", "decimal128(12, 2)", "decimal128(38, 10)",
              "decimal128(18, 3)", "date32[day]", "time64[us]", "time64[us]", "timestamp[us, tz=UTC]", "timestamp[us, tz=UTC]",
              "timestamp[us]", "timestamp[us]"]
    equal([str(f.type) for f in got][: len(wanted)], wanted, "types")
    for field, text in zip(list(got)[len(wanted) + 1 :], ["string", "binary", "list<element: int64 not null>"]):
        equal(str(field.type), text, field.name)


# ---- random schemas ----

class Random:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.names = 0

    def name(self):
        self.names += 1
        return f"N{self.names}"

    def leaf(self):
        kinds = [t for t in TYPES if t not in ("null", "record", "deep", "array", "map", "enum", "fixed", "fixed decimal")]
        kind = TYPES[self.r.choice(kinds)]
        return kind[0], lambda: self.r.choice(kind[1])

    def named(self):
        r = self.r
        if r.random() < 0.5:
            symbols = [f"S{i}" for i in range(r.randint(1, 200))]
            return {"type": "enum", "name": self.name(), "symbols": symbols}, lambda: r.choice(symbols)
        size = r.randint(0, 40)
        return {"type": "fixed", "name": self.name(), "size": size}, lambda: r.randbytes(size)

    def kind(self, depth):
        r, roll = self.r, self.r.random()
        if depth > 3 or roll < 0.4:
            return self.leaf()
        if roll < 0.5:
            return self.named()
        if roll < 0.65:
            item, value = self.optional(depth + 1)
            return {"type": "array", "items": item}, lambda: [value() for _ in range(r.choice([0, 1, 3, 20]))]
        if roll < 0.8:
            item, value = self.optional(depth + 1)
            return {"type": "map", "values": item}, lambda: {
                "".join(r.choices(string.ascii_letters, k=3)): value() for _ in range(r.choice([0, 1, 5]))}
        return self.record(depth + 1)

    def optional(self, depth):
        kind, value = self.kind(depth)
        if self.r.random() < 0.5:
            return kind, value
        both = ["null", kind] if self.r.random() < 0.7 else [kind, "null"]
        return both, lambda: None if self.r.random() < 0.3 else value()

    def record(self, depth):
        fields = [(f"f{n}", *self.optional(depth)) for n in range(self.r.randint(1, 6))]
        return ({"type": "record", "name": self.name(), "fields": [{"name": n, "type": k} for n, k, _ in fields]},
                lambda: {n: value() for n, _, value in fields})


def random_schema(seed):
    generator = Random(seed)
    schema, value = generator.record(0)
    r = generator.r
    rows = [value() for _ in range(r.choice([0, 1, 50, 400]))]
    codec = r.choice(list(CODECS))
    source = write(schema, rows, codec, sync_interval=r.choice([100, 2000, 16000]))
    keys = {"compression": CODECS[r.choice(list(CODECS))], "block": r.choice([1024, 5000, 0]), "batch": r.choice([1, 7, 0])}
    got, _ = read(make(source, **keys))
    same(got, rows, f"seed {seed} {json.dumps(schema)[:300]}")
    got, metadata = read(make(source, writer=json.dumps(schema), **keys))
    same(got, rows, f"seed {seed}, its own schema")
    equal(metadata["avro.schema"], json.dumps(schema), "schema")


# ---- files ----

SIMPLE = record({"name": "id", "type": "long"}, {"name": "name", "type": ["null", "string"]})


def simple_rows(count):
    return [{"id": i * 7919 - 5, "name": None if i % 5 == 0 else f"name {i}"} for i in range(count)]


def codec(name):
    rows = simple_rows(30000)
    got, metadata = read(make(write(SIMPLE, rows, name), compression=CODECS[name]))
    same(got, rows, name)
    equal(metadata["avro.codec"], name, "codec")
    for level in [1, 9] if name in ("deflate", "zstandard") else []:
        got, _ = read(make(path("in.avro"), compression=CODECS[name], level=level))
        same(got, rows, f"{name} level {level}")


def ranges():
    rows = simple_rows(2000)
    source = write(SIMPLE, rows, "deflate", sync_interval=600)
    size = os.path.getsize(source)
    for step in (1 + size // 3, 1000, 333, 64, 17):
        got, _ = read(make(source, range=step))
        same(got, rows, f"ranges of {step} bytes")
    got = pyarrow.parquet.read_table(make(source, "parquet", range=500, positions=1))
    equal(got.column("row position").to_pylist(), list(range(2000)), "row positions")


def marker_inside():
    """Values that hold the sync marker do not end a block."""
    schema = record({"name": "b", "type": "bytes"})
    marker = bytes(range(100, 116))
    rows = [{"b": marker * (i % 4) + b"x" * i} for i in range(300)]
    source = write(schema, rows, sync_interval=500, sync_marker=marker)
    for step in (100, 37):
        got, _ = read(make(source, range=step))
        same(got, rows, f"ranges of {step}")


def unions():
    schema = record(
        {"name": "u", "type": ["string", "long", "null"]}, {"name": "n", "type": ["int", "long"]},
        {"name": "f", "type": ["null", "float", "double"]}, {"name": "one", "type": ["string"]})
    rows = [{"u": "a", "n": 1, "f": None, "one": "x"}, {"u": 5, "n": 2**40, "f": 1.5, "one": "y"}, {"u": None, "n": 3, "f": 2.5, "one": ""}]
    got, _ = read(make(write(schema, rows)))
    for row, wanted in zip(got, rows):
        u = wanted["u"]
        same(row["u"], None if u is None else {"member0": u if isinstance(u, str) else None, "member1": u if isinstance(u, int) else None})
        same((row["n"], row["f"], row["one"]), (wanted["n"], wanted["f"], wanted["one"]))
    got, _ = read(make(path("in.avro"), writer=json.dumps(schema)))
    same(got, rows, "back into the unions")


def resolve(writer, rows, reader, wanted):
    got, _ = read(make(write(writer, rows), reader=json.dumps(reader)))
    same(got, wanted, "resolved")


def resolution():
    writer = record({"name": "a", "type": "int"}, {"name": "b", "type": "float"}, {"name": "gone", "type": {
        "type": "map", "values": {"type": "array", "items": "string"}}}, {"name": "s", "type": "string"}, {"name": "y", "type": "bytes"},
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["X", "Y", "Z"]}}, {"name": "n", "type": ["null", "int"]})
    rows = [{"a": 1, "b": 2.5, "gone": {"k": ["v"]}, "s": "text", "y": b"by", "e": "Z", "n": None},
            {"a": -7, "b": 0.25, "gone": {}, "s": "", "y": b"", "e": "X", "n": 4}]
    reader = record(
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["W", "X"], "default": "W"}}, {"name": "y", "type": "string"},
        {"name": "s", "type": "bytes"}, {"name": "renamed", "aliases": ["b"], "type": "double"}, {"name": "a", "type": "long"},
        {"name": "n", "type": ["null", "double"]}, {"name": "added", "type": ["null", "string"], "default": None},
        {"name": "list", "type": {"type": "array", "items": "int"}, "default": [1, 2]},
        {"name": "sub", "type": {"type": "record", "name": "S", "fields": [{"name": "x", "type": "int", "default": 3}]}, "default": {}},
        {"name": "raw", "type": "bytes", "default": "\u00ff"}, {"name": "d", "type": "double", "default": 1})
    extra = {"added": None, "list": [1, 2], "sub": {"x": 3}, "raw": b"\xff", "d": 1.0}
    wanted = [{"e": "W", "y": "by", "s": b"text", "renamed": 2.5, "a": 1, "n": None, **extra},
              {"e": "X", "y": "", "s": b"", "renamed": 0.25, "a": -7, "n": 4.0, **extra}]
    resolve(writer, rows, reader, wanted)
    # fastavro takes defaults as they stand in JSON: {} without the fields' own, bytes as text.
    theirs, _ = read(path("in.avro"), reader)
    same(theirs, [{**row, "sub": {}, "raw": "\u00ff", "d": 1} for row in wanted], "as fastavro resolves")


def unresolvable():
    source = write(record({"name": "a", "type": "string"}, {"name": "n", "type": ["null", "int"]}), [{"a": "x", "n": None}])
    make(source, fails=("field a", "string", "int"), reader=json.dumps(record({"name": "a", "type": "int"})))
    make(source, fails=("field z", "no default"), reader=json.dumps(record({"name": "z", "type": "int"})))
    make(source, fails="cannot be read as", reader=json.dumps(record({"name": "n", "type": "int"})))
    make(source, fails="Avro schema", reader='{"type": "record"')


def refused():
    source = write(record({"name": "t", "type": {"type": "long", "logicalType": "timestamp-nanos"}}), [{"t": 1001}])
    make(source, fails=("field t", "nanoseconds"))
    source = write(record({"name": "l", "type": "long"}), [{"l": 2**40}])
    make(source, fails=("column l", "range"), writer=json.dumps(record({"name": "l", "type": "int"})))
    make(source, fails=("column l", "not in Avro record"), writer=json.dumps(record({"name": "m", "type": "int", "default": 0})))
    node = {"type": "record", "name": "Node", "fields": [{"name": "v", "type": "int"}, {"name": "next", "type": ["null", "Node"]}]}
    source = write(node, [{"v": 1, "next": {"v": 2, "next": {"v": 3, "next": None}}}, {"v": 9, "next": None}])
    make(source, fails=("contains itself",))
    got, _ = read(make(source, reader=json.dumps(record({"name": "v", "type": "int"}))))
    same(got, [{"v": 1}, {"v": 9}], "the recursion left out")


def hostile():
    """A file cut at any length, or with a byte changed, is read or refused: never more."""
    for codec_name in CODECS:
        source = write(SIMPLE, simple_rows(40), codec_name, sync_interval=200)
        data = open(source, "rb").read()
        r = random.Random(7)
        jobs = [data[:n] for n in range(0, len(data), 1 if len(data) < 400 else 37)]
        for _ in range(60):
            broken = bytearray(data)
            broken[r.randrange(len(data))] ^= 1 << r.randrange(8)
            jobs.append(bytes(broken))
        for number, job in enumerate(jobs):
            with open(path("broken.avro"), "wb") as out:
                out.write(job)
            done = subprocess.run([MAKE, path("broken.avro"), path("o.avro"), "avro"], capture_output=True, text=True, timeout=20)
            check(done.returncode in (0, 1) and (done.returncode == 0 or ": " in done.stderr), f"{codec_name} {number}: {done}")


def main():
    suite = Suite("interop avro")
    for name in TYPES:
        suite.case(f"edge values of {name}", edge, name)
    suite.case("types of columns", parquet_types)
    for name in CODECS:
        suite.case(f"codec {name}", codec, name)
    for case in (ranges, marker_inside, unions, resolution, unresolvable, refused, hostile):
        suite.case(case.__name__, case)
    for seed in range(400 if os.environ.get("MILLRACE_LONG") else 40):
        suite.case(f"random schema {seed}", random_schema, seed)
    suite.end()


main()

#!/usr/bin/env python3
"""Parquet files of pyarrow, DuckDB and polars, and our own, read by the reader: types and values.

tests/interop/parquet_read prints what the reader gives, in the form of parquet_make; here it is compared with the table
that was written. $PARQUET_READ and $PARQUET_MAKE are the programs. MILLRACE_LONG=1 runs ten times as many random schemas.
"""

import datetime
import decimal
import json
import math
import os
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("pyarrow", "duckdb", "polars")
import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq
from test_parquet import CODECS, Made, column

READ = os.environ.get("PARQUET_READ", "tests/interop/parquet_read")
UNSIGNED = {pa.uint8(): "smallint", pa.uint16(): "int", pa.uint32(): "bigint", pa.uint64(): "decimal(20,0)"}
PLAIN = {
    pa.bool_(): "boolean", pa.int8(): "tinyint", pa.int16(): "smallint", pa.int32(): "int", pa.int64(): "bigint",
    pa.float16(): "float", pa.float32(): "float", pa.float64(): "double", pa.date32(): "date", pa.string(): "string",
    pa.large_string(): "string", pa.binary(): "binary", pa.large_binary(): "binary", pa.null(): "void",
}


def read(path, *arguments, fails=False):
    done = subprocess.run([READ, *[str(a) for a in arguments], path], capture_output=True, text=True)
    if fails:
        equal(done.returncode, 1, f"parquet_read {path}: exit code ({done.stderr})")
        return done.stderr
    equal((done.returncode, done.stderr[:200] if done.returncode else ""), (0, ""), f"parquet_read {arguments} {path}")
    lines = done.stdout.split("\n")[:-1]
    return json.loads(lines[0]), [json.loads(line) for line in lines[1:]]


def our_type(kind):
    """What a column of an Arrow type, written by pyarrow, is for us."""
    if kind in UNSIGNED:
        return UNSIGNED[kind]
    if kind in PLAIN:
        return PLAIN[kind]
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz else "timestamp_ntz"
    if pa.types.is_time(kind):
        return "time"
    if pa.types.is_fixed_size_binary(kind):
        return "binary"
    if pa.types.is_map(kind):
        return ["map", our_type(kind.key_type), our_type(kind.item_type)]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return ["list", our_type(kind.value_type)]
    if pa.types.is_dictionary(kind):
        return our_type(kind.value_type)
    return ["struct"] + [our_type(kind.field(i).type) for i in range(kind.num_fields)]


def widened(kind):
    """The Arrow type that holds what we give, so that both can be compared."""
    if kind == pa.uint64():
        return pa.decimal128(20, 0)
    if kind == pa.float16():
        return pa.float32()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_time(kind):
        return pa.time64("us")
    if pa.types.is_map(kind):
        return pa.map_(widened(kind.key_type), widened(kind.item_type))
    if pa.types.is_list(kind):
        return pa.list_(widened(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(kind.field(i).name, widened(kind.field(i).type)) for i in range(kind.num_fields)])
    return kind


def widen(values, kind):
    """Python values of one type as those of its widened type (decimal for uint64)."""
    if kind == pa.uint64():
        return [None if v is None else decimal.Decimal(v) for v in values]
    if pa.types.is_list(kind):
        return [None if v is None else widen(v, kind.value_type) for v in values]
    if pa.types.is_map(kind):
        return [None if v is None else list(zip(widen([p[0] for p in v], kind.key_type), widen([p[1] for p in v], kind.item_type)))
                for v in values]
    if pa.types.is_struct(kind):
        names = [kind.field(i).name for i in range(kind.num_fields)]
        parts = {n: widen([None if v is None else v[n] for v in values], kind.field(n).type) for n in names}
        return [None if v is None else {n: parts[n][i] for n in names} for i, v in enumerate(values)]
    return values


def expected(values, kind):
    table = pa.table([pa.array(widen(values, kind), widened(kind))], names=["x"])
    return column(table, 0)


def compare(path, names, kinds, values, *arguments):
    columns, rows = read(path, *arguments)
    equal([c[0] for c in columns], names, "names")
    for i, kind in enumerate(kinds):
        equal(columns[i][1], our_type(kind), f"type of {names[i]} ({kind})")
        want = expected(values[i], kind)
        equal(len(rows), len(want), "rows")
        for row, value in enumerate(want):
            if rows[row][i] != value:
                raise AssertionError(f"{names[i]} {kind} row {row}: got {rows[row][i]!r}, wanted {value!r}")


# ---- what pyarrow writes ----

TIMES = [pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.timestamp("ms", "UTC"), pa.time32("ms"), pa.time64("us"), pa.date32()]
SCALARS = [pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float16(),
           pa.float32(), pa.float64(), pa.string(), pa.binary(), pa.binary(1), pa.binary(7), pa.decimal128(5, 2), pa.decimal128(12, 0),
           pa.decimal128(18, 18), pa.decimal128(25, 3), pa.decimal128(38, 10), pa.null()] + TIMES


def random_type(rng, depth):
    roll = rng.random()
    if depth == 0 or roll < 0.55:
        return rng.choice(SCALARS)
    if roll < 0.7:
        return pa.list_(random_type(rng, depth - 1))
    if roll < 0.8:
        key = rng.choice([pa.string(), pa.int32(), pa.int64(), pa.date32()])
        return pa.map_(key, random_type(rng, depth - 1))
    return pa.struct([pa.field(f"f{i}", random_type(rng, depth - 1), nullable=rng.random() < 0.8) for i in range(rng.randint(1, 3))])


def random_scalar(rng, kind, few):
    seed = rng.randrange(few) if few else rng.getrandbits(60)
    inner = random.Random(seed)
    if kind == pa.bool_():
        return inner.random() < 0.5
    if pa.types.is_integer(kind):
        bits, signed = kind.bit_width, pa.types.is_signed_integer(kind)
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        return inner.choice([low, high, 0, 1, inner.randint(low, high), max(low, min(high, inner.randint(-1000, 1000)))])
    if kind == pa.float16():
        return inner.choice([0.0, -0.0, 1.5, -2.25, math.inf, 6.103515625e-05, 5.960464477539063e-08, 65504.0])
    if kind == pa.float32():
        return inner.choice([0.0, -0.0, 1.5, math.nan, -math.inf, 2.0 ** -140, float(inner.getrandbits(20))])
    if kind == pa.float64():
        return inner.choice([0.0, -0.0, math.nan, math.inf, inner.random() * 1e300, 5e-324])
    if kind == pa.string():
        return "".join(inner.choice("aZ0 äß€😀\n\"") for _ in range(inner.choice([0, 1, 5, 12, 40, 300])))
    if kind == pa.binary():
        return inner.randbytes(inner.choice([0, 1, 3, 20, 100]))
    if pa.types.is_fixed_size_binary(kind):
        return inner.randbytes(kind.byte_width)
    if pa.types.is_decimal(kind):
        most = 10 ** kind.precision - 1
        return decimal.Decimal(inner.choice([0, 1, -1, most, -most, inner.randint(-most, most)])).scaleb(-kind.scale, decimal.Context(prec=50))
    if pa.types.is_date(kind):
        return datetime.date.fromordinal(inner.randint(1, 3652059))
    if pa.types.is_time(kind):
        return datetime.time(inner.randrange(24), inner.randrange(60), inner.randrange(60), inner.randrange(1000) * 1000)
    micros = inner.randrange(1000) * 1000 if kind.unit == "ms" else inner.randrange(1000000)
    zone = datetime.timezone.utc if kind.tz else None
    return datetime.datetime(inner.randint(1, 9999), inner.randint(1, 12), inner.randint(1, 28), inner.randrange(24), 5, 6, micros, tzinfo=zone)


def random_value(rng, kind, nullable, few, nulls):
    if kind == pa.null() or (nullable and rng.random() < nulls):
        return None
    if pa.types.is_list(kind):
        return [random_value(rng, kind.value_type, True, few, nulls) for _ in range(rng.choice([0, 1, 2, 3, 9]))]
    if pa.types.is_map(kind):
        keys = {random_scalar(rng, kind.key_type, few): None for _ in range(rng.choice([0, 1, 2, 5]))}
        return [(k, random_value(rng, kind.item_type, True, few, nulls)) for k in keys]
    if pa.types.is_struct(kind):
        return {kind.field(i).name: random_value(rng, kind.field(i).type, kind.field(i).nullable, few, nulls) for i in range(kind.num_fields)}
    return random_scalar(rng, kind, few)


def encodings(kind):
    """Encodings other than the default that pyarrow can write a column in."""
    if kind == pa.bool_():
        return ["PLAIN", "RLE"]
    if pa.types.is_float16(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_decimal(kind):
        return ["PLAIN", "BYTE_STREAM_SPLIT"] + (["DELTA_BYTE_ARRAY"] if not pa.types.is_float16(kind) else [])
    if pa.types.is_floating(kind):
        return ["PLAIN", "BYTE_STREAM_SPLIT"]
    if pa.types.is_integer(kind) or pa.types.is_temporal(kind):
        return ["PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"]
    if kind in (pa.string(), pa.binary()):
        return ["PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"]
    return None


def random_table(rng, depth):
    kinds = [random_type(rng, depth) for _ in range(rng.randint(1, 6))]
    few = rng.choice([0, 0, 3, 50])
    nulls = rng.choice([0.0, 0.02, 0.3, 0.95])
    rows = rng.choice([0, 1, 8, 100, 1000])
    nullable = [rng.random() < 0.75 or kind == pa.null() for kind in kinds]
    values = [[random_value(rng, kind, n, few, nulls) for _ in range(rows)] for kind, n in zip(kinds, nullable)]
    fields = [pa.field(f"c{i}", kind, nullable=n) for i, (kind, n) in enumerate(zip(kinds, nullable))]
    table = pa.table([pa.array(v, k) for v, k in zip(values, kinds)], schema=pa.schema(fields))
    return kinds, values, table


def from_pyarrow(folder, seed):
    rng = random.Random(seed)
    kinds, values, table = random_table(rng, seed % 4)
    path = os.path.join(folder, "pyarrow.parquet")
    style = {
        "compression": rng.choice(["snappy", "zstd", "gzip", "lz4", "none"]), "data_page_version": rng.choice(["1.0", "2.0"]),
        "data_page_size": rng.choice([1 << 20, 64, 1000]), "write_batch_size": rng.choice([1, 7, 1024]),
        "write_page_index": rng.random() < 0.5, "write_page_checksum": rng.random() < 0.5,
        "row_group_size": rng.choice([1 << 20, 33, 250]), "store_schema": rng.random() < 0.5,
        "use_compliant_nested_type": rng.random() < 0.8, "version": "2.6",
        "store_decimal_as_integer": rng.random() < 0.5,
    }
    if rng.random() < 0.5:
        style["use_dictionary"] = True
        style["dictionary_pagesize_limit"] = rng.choice([1 << 20, 100])
    else:
        style["use_dictionary"] = False
        chosen = {f"c{i}": rng.choice(encodings(k)) for i, k in enumerate(kinds) if encodings(k)}
        if style["store_decimal_as_integer"]:
            chosen = {n: e for n, e in chosen.items() if not pa.types.is_decimal(table.schema.field(n).type)}
        style["column_encoding"] = chosen or None
    try:
        pq.write_table(table, path, **style)
    except (pa.ArrowNotImplementedError, OSError) as error:
        if "encoding" in str(error).lower() or "not yet" in str(error).lower():
            return
        raise
    names = table.schema.names
    compare(path, names, kinds, values)
    compare(path, names, kinds, values, "--batch", rng.choice([1, 7, 100]))


def ranges(folder, seed):
    """Cuts anywhere give each row once; positions are those of the file."""
    made = Made(folder, seed, rows=900, batch=100, group=70, codec="zstd")
    size = os.path.getsize(made.path)
    rng = random.Random(seed)
    cuts = sorted({0, *(rng.randrange(size) for _ in range(5))})
    rows = []
    for start, end in zip(cuts, cuts[1:] + [size]):
        rows += read(made.path, "--positions", "--range", start, end - start)[1]
    equal([r[-1] for r in rows], list(range(900)), "positions")
    equal([r[:-1] for r in rows], made.rows, "rows")


def round_trip(folder, seed):
    made = Made(folder, seed, rows=[700, 3000][seed % 3 == 1], batch=90, encoding=["auto", "split"][seed % 4 == 1], group=[1 << 20, 200][seed % 2], codec=CODECS[seed % 5], page_rows=[20000, 50][seed // 2 % 2],
                dictionary=["1M", "0", "300"][seed // 3 % 3])
    columns, rows = read(made.path, "--batch", [0, 33][seed % 2])
    equal([c[0] for c in columns], [c[0] for c in made.columns], "names")
    for i, (name, tree) in enumerate(made.columns):
        if "interval" not in json.dumps(tree):
            equal(columns[i][1], tree, f"type of {name}")
    equal(rows, made.rows, "rows")


def from_polars(folder):
    frame = polars.DataFrame({
        "i": [1, None, 3], "u": polars.Series([1, 2, 2 ** 64 - 1], dtype=polars.UInt64), "s": ["a", "é", None], "f": [1.5, None, math.nan],
        "d": [datetime.date(2024, 2, 29), None, datetime.date(1582, 10, 15)], "l": [[1, 2], [], None],
        "st": [{"a": 1, "b": "x"}, {"a": None, "b": "y"}, {"a": 3, "b": None}], "c": polars.Series(["x", "y", "x"], dtype=polars.Categorical),
        "t": polars.Series([datetime.datetime(2024, 1, 1), None, None], dtype=polars.Datetime("us")),
        "n": polars.Series([decimal.Decimal("1.50"), None, decimal.Decimal("-2.25")], dtype=polars.Decimal(20, 2)),
    })
    path = os.path.join(folder, "polars.parquet")
    for codec in ("snappy", "zstd", "lz4", "uncompressed"):
        frame.write_parquet(path, compression=codec)
        columns, rows = read(path)
        equal(dict(columns), {"i": "bigint", "u": "decimal(20,0)", "s": "string", "f": "double", "d": "date", "l": ["list", "bigint"],
                              "st": ["struct", "bigint", "string"], "c": "string", "t": "timestamp_ntz", "n": "decimal(20,2)"}, "types")
        equal(rows[0], [1, "1", "a", "3ff8000000000000", 19782, [1, 2], [1, "x"], "x", 1704067200000000, "1.50"], "first row")
        equal(rows[1], [None, "2", "é", None, None, [], [None, "y"], "y", None, None], "second row")
        equal(rows[2], [3, str(2 ** 64 - 1), None, "7ff8000000000000", -141427, None, [3, None], "x", None, "-2.25"], "third row")


def from_duckdb(folder):
    connection = duckdb.connect()
    path = os.path.join(folder, "duckdb.parquet")
    for codec in ("snappy", "zstd", "gzip", "lz4_raw", "uncompressed"):
        for version in ("V1", "V2"):
            connection.execute(f"""COPY (SELECT i::INTEGER AS i, (i % 7)::UTINYINT AS u, 'text ' || (i % 13) AS s, i * 1.5 AS n,
                CASE WHEN i % 3 = 0 THEN NULL ELSE i / 3.0 END::DOUBLE AS f, DATE '2000-01-01' + i::INTEGER AS d, i % 2 = 0 AS b,
                [i, i + 1] AS l, {{'a': i, 'b': 'x' || i}} AS st, MAP {{'k' || i: i}} AS m, TIMESTAMP '2020-01-01' + to_seconds(i) AS t,
                i::HUGEINT::DECIMAL(30, 2) AS wide, uuid() AS id FROM range(10000) r(i)) TO '{path}'
                (FORMAT parquet, CODEC {codec}, PARQUET_VERSION {version}, ROW_GROUP_SIZE 2048)""")
            columns, rows = read(path)
            table = connection.execute("SELECT * EXCLUDE id FROM read_parquet(?)", [path]).to_arrow_table()
            equal([c[1] for c in columns], ["int", "smallint", "string", "decimal(21,1)", "double", "date", "boolean", ["list", "bigint"],
                                            ["struct", "bigint", "string"], ["map", "string", "bigint"], "timestamp_ntz", "decimal(30,2)", "uuid"], "types")
            for number in range(table.num_columns):
                got, want = [r[number] for r in rows], column(table, number)
                check(got == want, f"{codec} {version}: column {columns[number][0]} differs")
            ids = [r[0].hex.replace("-", "") for r in connection.execute("SELECT id FROM read_parquet(?)", [path]).fetchall()]
            equal([r[-1] for r in rows[:50]], ids[:50], "uuid")


# ---- schemas that are wanted ----

def wanted(folder):
    path = os.path.join(folder, "wanted.parquet")
    inner = pa.struct([("x", pa.int32()), ("y", pa.string())])
    table = pa.table({
        "Name": pa.array(["a", None]), "small": pa.array([1, -2], pa.int16()), "price": pa.array([decimal.Decimal("1.5"), None], pa.decimal128(5, 1)),
        "day": pa.array([datetime.date(2000, 1, 1), None]), "ratio": pa.array([0.5, 2.0], pa.float32()),
        "st": pa.array([{"x": 1, "y": "p"}, None], inner), "li": pa.array([[{"x": 1, "y": "p"}, None], []], pa.list_(inner)),
    })
    pq.write_table(table, path)

    def rows(schema, *arguments):
        return read(path, "--schema", schema, *arguments)[1]

    equal(rows("name string, missing date, small bigint"), [["a", None, 1], [None, None, -2]], "case, missing, widened")
    equal(rows("small decimal(10,2), price decimal(20,4)"), [["1.00", "1.5000"], ["-2.00", None]], "decimals")
    equal(rows("day timestamp_ntz, ratio double, small double"), [[946684800000000, "3fe0000000000000", "3ff0000000000000"], [None, "4000000000000000", "c000000000000000"]], "others")
    equal(rows("st struct<Y:string,z:int>"), [[["p", None]], [None]], "fields of a struct")
    equal(rows("st struct<z:int>"), [[[None]], [None]], "a struct of missing fields")
    equal(rows("li array<struct<z:int,x:bigint>>"), [[[[None, 1], None]], [[]]], "fields in a list")
    equal(rows("li array<struct<z:int>>"), [[[[None], None]], [[]]], "missing fields in a list")
    equal(rows(""), [[], []], "rows only")
    equal(rows("", "--positions"), [[0], [1]], "rows only, with positions")
    for schema, words in (("small int NOT NULL, name string NOT NULL", "may not be NULL"), ("missing int NOT NULL", "does not have it"),
                          ("small tinyint", "smallint and cannot be read as tinyint"), ("ratio int", "float"), ("price decimal(4,1)", "decimal(5,1)"),
                          ("st string", "struct"), ("name struct<a:int>", "string"), ("li map<string,int>", "array"), ("day timestamp", "date")):
        text = read(path, "--schema", schema, fails=True)
        check(words in text and path in text, f"{schema}: {text}")


def ids(folder):
    path = os.path.join(folder, "ids.parquet")
    def field(name, kind, number):
        return pa.field(name, kind, metadata={"PARQUET:field_id": str(number)})
    schema = pa.schema([field("b", pa.int32(), 2), field("a", pa.string(), 1), field("s", pa.struct([field("q", pa.int64(), 9)]), 4)])
    pq.write_table(pa.table([pa.array([5, 6], pa.int32()), pa.array(["x", "y"]), pa.array([{"q": 1}, None], schema.field("s").type)], schema=schema), path)
    equal(read(path, "--ids", "--schema", "first string, second bigint, b int, s struct<q:bigint>")[1], [["x", 5, None, [1]], ["y", 6, None, None]], "by id")


def nanoseconds(folder):
    path = os.path.join(folder, "nanos.parquet")
    pq.write_table(pa.table({"t": pa.array([1_500_000_001, -1, 2000], pa.timestamp("ns")), "c": pa.array([1001, 0, 5000], pa.time64("ns"))}), path)
    check("nanoseconds" in read(path, fails=True), "the hint names the option")
    equal(read(path, "--floor")[1], [[1500000, 1], [-1, 0], [2, 5]], "cut")
    pq.write_table(pa.table({"t": pa.array([1_500_000_000, None], pa.timestamp("ns"))}), path)
    equal(read(path)[1], [[1500000], [None]], "whole microseconds")
    pq.write_table(pa.table({"t": pa.array([1_500_000_000, None, -1], pa.timestamp("us"))}), path, use_deprecated_int96_timestamps=True)
    equal(read(path), ([["t", "timestamp"]], [[1500000000], [None], [-1]]), "INT96")


OPERATORS = {"=": lambda a, b: a == b, "<>": lambda a, b: a != b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b,
             ">=": lambda a, b: a >= b}


def spark_order(value):
    """Floats as Spark compares them: NaN is above everything."""
    return (value != value, value) if isinstance(value, float) else value


def skipping(folder, seed):
    """Rows that match are there with their positions; the others may be left out, and in sorted files most are."""
    rng = random.Random(seed)
    rows = 5000
    base = [rng.randrange(1000) for _ in range(rows)]
    if seed % 2 == 0:
        base.sort()
    null = lambda v: None if rng.random() < 0.05 else v
    ints = [null(v - 500) for v in base]
    columns = {
        "i": pa.array(ints, pa.int32()), "t": pa.array([null(f"key {v:04d} " + "x" * (v % 90)) for v in base]),
        "n": pa.array([null(decimal.Decimal(v - 500).scaleb(-2)) for v in base], pa.decimal128(20 if seed % 3 else 7, 2)),
        "f": pa.array([null(math.nan if rng.random() < 0.01 else (v - 500) / 4) for v in base], pa.float64()),
        "l": pa.array([[v, v] if v % 3 else [] for v in base], pa.list_(pa.int64())), "s": pa.array([{"a": v} for v in base]),
        "d": pa.array([null(datetime.date.fromordinal(730000 + v)) for v in base]), "u": pa.array(base, pa.uint32()),
    }
    table = pa.table(columns)
    path = os.path.join(folder, "skip.parquet")
    if seed % 5 == 4:
        pq.write_table(table, path, row_group_size=300, write_page_index=False)
    else:
        pq.write_table(table, path, row_group_size=rng.choice([rows, 700]), write_page_index=True, data_page_size=rng.choice([100, 2000]),
                       write_batch_size=rng.choice([10, 64]), use_dictionary=rng.random() < 0.5, data_page_version=rng.choice(["1.0", "2.0"]),
                       store_decimal_as_integer=rng.random() < 0.5)
    everything = read(path)[1]
    names = list(columns)
    left_out = 0
    for _ in range(12):
        name = rng.choice(["i", "t", "n", "f", "d", "u"])
        at = names.index(name)
        sample = rng.choice([v for v in columns[name].to_pylist() if v is not None])
        text = str((sample - datetime.date(1970, 1, 1)).days if name == "d" else sample)
        operator = rng.choice(list(OPERATORS))
        columns_out, got = read(path, "--positions", "--batch", rng.choice([50, 4096]), "--where", name, operator, text)
        positions = [r[-1] for r in got]
        equal(positions, sorted(set(positions)), "positions ascend")
        for r in got:
            equal(r[:-1], everything[r[-1]], f"row at {r[-1]}")
        want = {k for k, v in enumerate(columns[name].to_pylist()) if v is not None and OPERATORS[operator](spark_order(v), spark_order(sample))}
        check(want <= set(positions), f"{name} {operator} {text}: {len(want - set(positions))} rows are missing, of {len(want)}")
        left_out += rows - len(positions)
    check(seed % 2 == 1 or left_out > rows * 2, f"only {left_out} rows left out")


def memory(folder):
    """A row group larger than the account allows to hold is read in windows."""
    path = os.path.join(folder, "large.parquet")
    rng = random.Random(1)
    values = [rng.randbytes(3000).hex() for _ in range(10000)]
    pq.write_table(pa.table({f"c{i}": values for i in range(2)} | {"n": list(range(10000))}), path, use_dictionary=False, compression="none", data_page_size=100000)
    columns, rows = read(path, "--memory", 40 << 20)
    equal([r[2] for r in rows], list(range(10000)), "numbers")
    check(all(r[0] == v and r[1] == v for r, v in zip(rows, values)), "texts")
    text = read(path, "--memory", 1 << 20, fails=True)
    check("limit" in text, text)


def main():
    suite = Suite("parquet read")
    with tempfile.TemporaryDirectory() as folder:
        suite.case("wanted schemas", wanted, folder)
        suite.case("field ids", ids, folder)
        suite.case("nanoseconds", nanoseconds, folder)
        suite.case("memory", memory, folder)
        suite.case("polars", from_polars, folder)
        suite.case("duckdb", from_duckdb, folder)
        long = os.environ.get("MILLRACE_LONG") == "1"
        for seed in range(400 if long else 20):
            suite.case(f"our own {seed}", round_trip, folder, seed)
        for seed in range(60 if long else 12):
            suite.case(f"skipping {seed}", skipping, folder, seed)
        for seed in range(5):
            suite.case(f"ranges {seed}", ranges, folder, seed)
        for seed in range(1500 if long else 120):
            suite.case(f"pyarrow {seed}", from_pyarrow, folder, seed)
    suite.end()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Parquet files of the writer, read by pyarrow, DuckDB and polars: types, values, statistics, page indexes.

tests/interop/parquet_make writes files of edge values and of random nested schemas, and beside each what a reader
must find. $PARQUET_MAKE is that program. MILLRACE_LONG=1 runs ten times as many random schemas.
"""

import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import pageindex
from suite import Suite, check, equal, need

need("pyarrow", "duckdb", "polars")
import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq

MAKE = os.environ.get("PARQUET_MAKE", "tests/interop/parquet_make")
CODECS = ["snappy", "zstd", "gzip", "lz4", "none"]
ARROW = {
    "void": "null", "boolean": "bool", "tinyint": "int8", "smallint": "int16", "int": "int32", "bigint": "int64",
    "float": "float", "double": "double", "date": "date32[day]", "time": "time64[us]", "timestamp": "timestamp[us, tz=UTC]",
    "timestamp_ntz": "timestamp[us]", "string": "string", "binary": "binary", "json": "json", "uuid": "uuid",
    "interval": ["struct", "int32", "int32", "int64"],
}


class Made:
    """One generated file and what belongs in it."""

    def __init__(self, folder, seed, rows=500, batch=100, group=1 << 20, codec="snappy", page_rows=20000,
                 page_size="1M", dictionary="1M", encoding="auto"):
        self.path = os.path.join(folder, f"{seed}.parquet")
        expected = os.path.join(folder, f"{seed}.jsonl")
        arguments = [seed, rows, batch, group, codec, page_rows, page_size, dictionary, self.path, expected, encoding]
        done = subprocess.run([MAKE] + [str(a) for a in arguments], capture_output=True, text=True)
        equal((done.returncode, done.stderr), (0, ""), f"parquet_make {arguments}")
        with open(expected, encoding="utf-8") as lines:
            self.columns = json.loads(lines.readline())
            self.rows = [json.loads(line) for line in lines]


def arrow_type(tree):
    if isinstance(tree, list):
        return [tree[0]] + [arrow_type(t) for t in tree[1:]]
    if tree.startswith("decimal"):
        return "decimal128" + tree[7:].replace(",", ", ")
    return ARROW[tree]


def type_tree(kind):
    """A pyarrow type in the same form."""
    if isinstance(kind, pa.BaseExtensionType):
        return {"arrow.uuid": "uuid", "arrow.json": "json"}[kind.extension_name]
    if pa.types.is_map(kind):
        return ["map", type_tree(kind.key_type), type_tree(kind.item_type)]
    if pa.types.is_list(kind):
        return ["list", type_tree(kind.value_type)]
    if pa.types.is_struct(kind):
        return ["struct"] + [type_tree(kind.field(i).type) for i in range(kind.num_fields)]
    return str(kind)


def plain(array):
    """The values in the form of parquet_make, whatever Arrow type a reader chose for them."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return plain(array.storage)
    valid = array.is_valid().to_pylist()
    if pa.types.is_map(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        if pa.types.is_map(kind):
            pairs = zip(plain(array.keys), plain(array.items))
            values = [list(p) for p in pairs]
        else:
            values = plain(array.values)
        offsets = array.offsets.to_pylist()
        return [values[offsets[i]:offsets[i + 1]] if valid[i] else None for i in range(len(array))]
    if pa.types.is_struct(kind):
        fields = [plain(array.field(i)) for i in range(kind.num_fields)]
        return [[f[i] for f in fields] if valid[i] else None for i in range(len(array))]
    if pa.types.is_floating(kind):
        width = kind.bit_width
        bits = array.view(pa.int32() if width == 32 else pa.int64()).to_pylist()
        nan = [v is not None and v != v for v in array.to_pylist()]
        canonical = "7fc00000" if width == 32 else "7ff8000000000000"
        return [None if b is None else canonical if n else f"{b & (1 << width) - 1:0{width // 4}x}" for b, n in zip(bits, nan)]
    if pa.types.is_temporal(kind):
        return array.view(pa.int32() if kind.bit_width == 32 else pa.int64()).to_pylist()
    if pa.types.is_decimal(kind):
        return [None if v is None else f"{v:f}" for v in array.to_pylist()]
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_large_binary(kind):
        return [None if v is None else v.hex() for v in array.to_pylist()]
    return array.to_pylist()


def column(table, number):
    chunks = table.column(number).combine_chunks()
    return plain(pa.concat_arrays(chunks.chunks) if isinstance(chunks, pa.ChunkedArray) else chunks)


def negative_zero(text):
    return text[1:] if isinstance(text, str) and text.startswith("-") and not text.strip("-0.") else text


def compare(made, table, reader, skip=lambda tree: False, change=lambda v: v):
    equal(table.num_rows, len(made.rows), f"{reader}: rows")
    for number, (name, tree) in enumerate(made.columns):
        if skip(tree):
            continue
        got = column(table, number)
        for row, value in enumerate(got):
            wanted = made.rows[row][number]
            if value != wanted and change(value) != change(wanted):
                raise AssertionError(f"{reader}: {name} {tree} row {row}: got {value!r}, wanted {wanted!r}")


def mentions(tree, *kinds):
    if isinstance(tree, list):
        return any(mentions(t, *kinds) for t in tree)
    return tree in kinds


def with_pyarrow(made):
    file = pq.ParquetFile(made.path, page_checksum_verification=True, arrow_extensions_enabled=True)
    table = file.read()
    equal([type_tree(f.type) for f in table.schema], [arrow_type(t) for _, t in made.columns], "types")
    compare(made, table, "pyarrow")
    check_metadata(made, file)
    return table


def with_duckdb(made):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    table = connection.execute("SELECT * FROM read_parquet(?)", [made.path]).to_arrow_table()

    def loosely(value):  # a UUID comes as text
        if isinstance(value, list):
            return [loosely(v) for v in value]
        return value.replace("-", "") if isinstance(value, str) and len(value) in (32, 36) else value

    # NULL columns are read as INTEGER; TIME is exact.
    compare(made, table, "duckdb", change=loosely)
    return connection


def with_polars(made):
    # polars has no map, no nested column of NULLs, no exact time; JSON it takes for bytes.
    table = polars.read_parquet(made.path).to_arrow()
    compare(made, table, "polars", skip=lambda t: mentions(t, "void", "map", "time", "json"))


def check_metadata(made, file):
    meta = file.metadata
    check(meta.created_by.startswith("millrace version ") and "(build " in meta.created_by, meta.created_by)
    equal(meta.num_rows, len(made.rows), "num_rows")
    equal(sum(meta.row_group(g).num_rows for g in range(meta.num_row_groups)), len(made.rows), "rows of groups")
    for g in range(meta.num_row_groups):
        for c in range(meta.num_columns):
            chunk = meta.row_group(g).column(c)
            check(chunk.has_offset_index, f"{chunk.path_in_schema}: no offset index")
            check(chunk.statistics is None or chunk.statistics.has_null_count, f"{chunk.path_in_schema}: no null count")


def bounds(made):
    """Statistics of flat columns hold for every row and, where exact, are values."""
    file = pq.ParquetFile(made.path)
    table = file.read()
    first = 0
    leaf = {file.metadata.row_group(0).column(c).path_in_schema: c for c in range(file.metadata.num_columns)}
    for g in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(g).num_rows
        for number, (name, tree) in enumerate(made.columns):
            if name not in leaf or tree == "void":
                continue
            statistics = file.metadata.row_group(g).column(leaf[name]).statistics
            values = table.column(number).slice(first, rows).to_pylist()
            equal(statistics.null_count, sum(v is None for v in values), f"{name}: null_count")
            values = [v for v in values if v is not None and v == v]
            if not values or not statistics.has_min_max:
                check(not values or tree in ("json", "uuid") or isinstance(values[0], (str, bytes)), f"{name} {tree}: no bounds")
                continue
            low, high = statistics.min, statistics.max
            if tree in ("uuid", "json"):
                continue
            check(low <= min(values) and max(values) <= high, f"{name} {tree}: {low!r} {high!r} not around the values")
            if not isinstance(low, (str, bytes)) or len(max(values, key=len)) <= 16:
                equal((low, high), (min(values), max(values)), f"{name} {tree}: bounds")
        first += rows


def physical(value, tree):
    """A value as Parquet stores and orders it."""
    if isinstance(value, str):
        return value.encode()
    if tree.startswith("decimal"):
        return int(f"{value:f}".replace(".", ""))
    return value


def page_indexes(made):
    """Every page of a flat column lies between its bounds in the column index, which are met where they are exact."""
    table = pq.read_table(made.path)
    number = {name: n for n, (name, tree) in enumerate(made.columns) if not isinstance(tree, list)}
    first = with_index = 0
    for rows, chunks in pageindex.indexes(made.path):
        for meta, index, places in chunks:
            name = meta[3][0].decode()
            if len(meta[3]) > 1 or name not in number:
                continue
            tree = made.columns[number[name]][1]
            if tree in ("void", "date", "time", "timestamp", "timestamp_ntz", "uuid", "json"):
                continue
            values = table.column(number[name]).slice(first, rows).to_pylist()
            starts = [p[3] for p in places] + [rows]
            pages = [[physical(v, tree) for v in values[a:b] if v is not None] for a, b in zip(starts, starts[1:])]
            numbers = [[v for v in page if v == v] for page in pages]
            if index is None:
                check(any(p and not n for p, n in zip(pages, numbers)) or tree in ("string", "binary"), f"{name} {tree}: no column index")
                continue
            with_index += 1
            equal(index[1], [not p for p in pages], f"{name} {tree}: null_pages")
            equal(index[5], [b - a - len(p) for a, b, p in zip(starts, starts[1:], pages)], f"{name} {tree}: null_counts")
            scale = 0 if tree.startswith("decimal") else None
            lows = [pageindex.decode(meta[1], v, scale) if p else None for v, p in zip(index[2], pages)]
            highs = [pageindex.decode(meta[1], v, scale) if p else None for v, p in zip(index[3], pages)]
            for low, high, page in zip(lows, highs, numbers):
                if not page:
                    continue
                check(low <= min(page) and max(page) <= high, f"{name} {tree}: page bounds {low!r} {high!r}")
                if tree not in ("string", "binary") or len(max(page, key=len)) <= 61:
                    equal((low, high), (min(page), max(page)), f"{name} {tree}: page bounds")
            for bound in (lows, highs):
                bound = [b for b in bound if b is not None]
                if index[4] in (1, 2):
                    equal(bound, sorted(bound, reverse=index[4] == 2), f"{name} {tree}: boundary order")
        first += rows
    return with_index


def literal(value, tree):
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value)


def filters(made):
    """Readers that skip by statistics and page indexes find the same rows as readers that do not."""
    connection = with_duckdb(made)
    connection.execute("SET parquet_metadata_cache = true")
    table = pq.read_table(made.path)
    for number, (name, tree) in enumerate(made.columns):
        if isinstance(tree, list) or not (tree in ("int", "bigint", "string", "date", "smallint", "double") or tree.startswith("decimal")):
            continue
        values = [v for v in table.column(number).to_pylist() if v is not None and v == v]
        for value in sorted(set(values))[:: max(1, len(set(values)) // 7)]:
            for operator, holds in (("=", value.__eq__), ("<", value.__gt__), (">", value.__lt__)):
                text = f"DATE '{value}'" if tree == "date" else literal(value, tree)
                if tree == "double":
                    text = f"CAST('{value!r}' AS DOUBLE)"
                elif tree.startswith("decimal"):
                    text = f"CAST('{value:f}' AS {tree})"
                sql = f"SELECT count(*) FROM read_parquet(?) WHERE {name} {operator} {text}"
                if tree == "double" and operator == ">":
                    sql += f" AND NOT isnan({name})"
                got = connection.execute(sql, [made.path]).fetchone()[0]
                want = sum(1 for v in values if holds(v) is True)
                equal(got, want, f"duckdb: {name} {tree} {operator} {value!r}")
                if tree != "double" and "\x01" not in str(value):
                    got = pq.read_table(made.path, columns=[name], filters=[(name, "==" if operator == "=" else operator, value)]).num_rows
                    equal(got, want, f"pyarrow: {name} {tree} {operator} {value!r}")


def everything(folder, *arguments, **settings):
    made = Made(folder, *arguments, **settings)
    with_pyarrow(made)
    with_duckdb(made)
    with_polars(made)
    bounds(made)
    page_indexes(made)


def edges(folder, settings, conditions=True):
    made = Made(folder, 0, **settings)
    with_pyarrow(made)
    with_duckdb(made)
    with_polars(made)
    bounds(made)
    check(page_indexes(made) > 10, "too few column indexes were there to look at")
    if conditions:
        filters(made)


def encodings(folder):
    """Each encoding is used where it should be, and never with `plain`."""
    wanted = {"auto": {"DELTA_BINARY_PACKED"}, "split": {"DELTA_BINARY_PACKED"}, "plain": set()}
    for encoding, needed in wanted.items():
        found = set()
        for seed in (0, 3, 7, 11):
            file = pq.ParquetFile(Made(folder, seed, rows=4000, batch=4000, dictionary=0, codec="zstd", encoding=encoding).path)
            group = file.metadata.row_group(0)
            for c in range(group.num_columns):
                found |= set(group.column(c).encodings)
        check(needed <= found, f"{encoding}: {found}")
        if encoding == "plain":
            check(found <= {"PLAIN", "RLE"}, f"{encoding}: {found}")


def shapes(seed):
    """Sizes that vary with the seed: pages from one row up, row groups from a few rows up."""
    return {
        "rows": [1, 37, 400, 3000][seed % 4], "batch": [1, 17, 100, 1000][seed // 4 % 4] if seed % 4 < 3 else 700,
        "group": [1 << 20, 50, 333][seed % 3], "codec": CODECS[seed % 5], "page_rows": [20000, 7, 100][seed // 3 % 3],
        "page_size": ["1M", "64", "4K"][seed // 5 % 3], "dictionary": ["1M", "0", "200"][seed // 7 % 3],
    }


def main():
    suite = Suite("parquet")
    with tempfile.TemporaryDirectory() as folder:
        for codec in CODECS:
            # What conditions are decided by, statistics and indexes, is not compressed.
            suite.case(f"edge values, {codec}", edges, folder, {"rows": 600, "codec": codec}, codec == CODECS[0])
        suite.case("edge values, many row groups", edges, folder, {"rows": 600, "group": 40, "page_rows": 9})
        suite.case("edge values, plain", edges, folder, {"rows": 600, "dictionary": 0, "page_rows": 50})
        suite.case("edge values, dictionary given up", edges, folder, {"rows": 2000, "dictionary": 300, "page_rows": 50})
        suite.case("edge values, delta", edges, folder, {"rows": 4000, "batch": 900, "dictionary": 0})
        suite.case("edge values, split", edges, folder, {"rows": 4000, "batch": 900, "dictionary": 0, "encoding": "split"})
        suite.case("encodings", encodings, folder)
        count = 600 if os.environ.get("MILLRACE_LONG") == "1" else 40
        for seed in range(1, count + 1):
            suite.case(f"random schema {seed}", lambda s: everything(folder, s, **shapes(s)), seed)
    suite.end()


if __name__ == "__main__":
    main()

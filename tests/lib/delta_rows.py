"""Delta tables read by the engine: a pipeline that copies one, and its rows and types against what is expected."""

import collections
import os

import pyarrow
import pyarrow.parquet

from suite import Failure, check


def plain_type(type):
    """What a type is, apart from how pyarrow names its lists and how Parquet stored its instants."""
    if pyarrow.types.is_timestamp(type):
        return pyarrow.timestamp("us", type.tz and "UTC")
    if pyarrow.types.is_list(type) or pyarrow.types.is_large_list(type):
        return pyarrow.list_(plain_type(type.value_type))
    if pyarrow.types.is_map(type):
        return pyarrow.map_(plain_type(type.key_type), plain_type(type.item_type))
    if pyarrow.types.is_struct(type):
        return pyarrow.struct([(f.name, plain_type(f.type)) for f in type])
    return type


def read(folder):
    """Columns by name of every Parquet file below; INT96 is an instant of Spark's."""
    tables = []
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if "=" in f or not f.startswith((".", "_")))
        for name in sorted(names):
            if name.startswith((".", "_")):
                continue
            table = pyarrow.parquet.ParquetFile(os.path.join(base, name), coerce_int96_timestamp_unit="us").read()
            tables.append(table)
    check(tables, f"no files in {folder}")
    names = sorted(tables[0].column_names)
    table = pyarrow.concat_tables([t.select(names) for t in tables])
    return table.cast(pyarrow.schema([(f.name, plain_type(f.type)) for f in table.schema]))


def frozen(value):
    if isinstance(value, dict):
        return tuple(sorted((k, frozen(v)) for k, v in value.items()))
    if isinstance(value, (list, tuple)):
        return tuple(frozen(v) for v in value)
    if isinstance(value, float) and value != value:
        return "NaN"
    return value


def rows(table):
    return collections.Counter(tuple(frozen(v) for v in row) for row in zip(*[c.to_pylist() for c in table.columns]))


def same_type(got, wanted):
    if pyarrow.types.is_timestamp(got) and pyarrow.types.is_timestamp(wanted):
        return True  # INT96, in which Spark wrote what is expected, has no zone to be told by
    if pyarrow.types.is_nested(got) and got.num_fields == wanted.num_fields:
        return all(same_type(got.field(i).type, wanted.field(i).type) for i in range(got.num_fields))
    return got == wanted


def without_zone(table):
    fields = [pyarrow.field(f.name, zoneless(f.type)) for f in table.schema]
    return table.cast(pyarrow.schema(fields))


def zoneless(type):
    if pyarrow.types.is_timestamp(type):
        return pyarrow.timestamp("us")
    if pyarrow.types.is_list(type):
        return pyarrow.list_(zoneless(type.value_type))
    if pyarrow.types.is_map(type):
        return pyarrow.map_(zoneless(type.key_type), zoneless(type.item_type))
    if pyarrow.types.is_struct(type):
        return pyarrow.struct([(f.name, zoneless(f.type)) for f in type])
    return type


def compare(got, wanted):
    if got.column_names != wanted.column_names:
        raise Failure(f"columns {got.column_names}, wanted {wanted.column_names}")
    for mine, theirs in zip(got.schema, wanted.schema):
        if not same_type(mine.type, theirs.type):
            raise Failure(f"{mine.name} is {mine.type}, wanted {theirs.type}")
    mine, theirs = rows(without_zone(got)), rows(without_zone(wanted))
    if mine != theirs:
        more, less = list((mine - theirs).items())[:3], list((theirs - mine).items())[:3]
        raise Failure(f"{got.num_rows} rows, wanted {wanted.num_rows}; too much: {more}; missing: {less}")


def pipeline(config, target, zone="UTC"):
    return {
        "name": "conformance",
        "sql": {"timeZone": zone},
        "steps": [
            {"name": "t", "type": "extract", "method": "fromDeltaLake", "config": config},
            {"type": "load", "method": "toFile", "config": {"path": target}},
        ],
    }

"""Reading what a run wrote with two independent readers, and comparing rows as multisets."""

import collections
import datetime
import decimal
import glob
import math
import os
import uuid

import duckdb
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from suite import Failure


def files(path, suffix=""):
    """Every file that a reader would see: names that begin with . or _ are not data."""
    found = []
    for base, folders, names in os.walk(path):
        folders[:] = sorted(f for f in folders if not f.startswith((".", "_")))
        found += [os.path.join(base, n) for n in sorted(names) if not n.startswith((".", "_")) and n.endswith(suffix)]
    return found


def leftovers(path):
    """Hidden and temporary files below a target: there are none after a run, whatever became of it."""
    return [
        os.path.join(base, name)
        for base, _, names in os.walk(path)
        for name in names
        if name.startswith((".", "_")) or name.endswith((".tmp", ".part"))
    ]


def arrow_columns(path):
    """pyarrow's reading of all Parquet files below path, Hive partition columns included, as text where partitioned."""
    return pyarrow.parquet.read_table(path, partitioning=None) if os.path.isfile(path) else _arrow_folder(path)


def _arrow_folder(path):
    tables = []
    for file in files(path):
        table = pyarrow.parquet.ParquetFile(file).read()
        for part in os.path.relpath(file, path).split(os.sep)[:-1]:
            name, value = part.split("=", 1)
            table = table.append_column(name, pyarrow.array([value] * table.num_rows, pyarrow.string()))
        tables.append(table)
    return pyarrow.concat_tables(tables) if tables else pyarrow.table({})


def parquet_rows(path, *columns):
    """Rows of all Parquet files below path as dicts, of these columns or of all."""
    return [row for name in files(path, ".parquet") for row in pyarrow.parquet.ParquetFile(name).read(list(columns) or None).to_pylist()]


def arrow_rows(path):
    return rows_of(arrow_columns(path))


def duck(query, path, format="parquet"):
    """Rows of a DuckDB query in which `data` is the output below path."""
    pattern = path if os.path.isfile(path) else os.path.join(path, "**", "*")
    listed = [p for p in glob.glob(pattern, recursive=True) if os.path.isfile(p) and not os.path.basename(p).startswith("_")]
    names = "[" + ", ".join("'" + p.replace("'", "''") + "'" for p in sorted(listed)) + "]"
    options = "" if os.path.isfile(path) else ", hive_partitioning = true, hive_types_autocast = true"
    reader = {
        "parquet": f"read_parquet({names}{options})",
        "csv": f"read_csv({names}, header = true, all_varchar = true{options})",
        "json": f"read_json({names}, format = 'newline_delimited'{options})",
    }[format]
    if not listed:
        raise Failure(f"no files below {path}")
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"CREATE VIEW data AS SELECT * FROM {reader}")
    return rows_of(connection.sql(query).to_arrow_table())


def rows_of(table):
    """Of an Arrow table, each a tuple of plain values."""
    return [plain_row(row) for row in zip(*(c.to_pylist() for c in table.columns))]


def plain(value):
    """One form for a value, whoever read it: comparable, hashable, NaN equal to itself, scale kept."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        return repr(value) if value == 0 or math.isinf(value) else value
    if isinstance(value, decimal.Decimal):
        return "NaN" if value.is_nan() else value
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.timezone.utc)
        return value.isoformat(timespec="microseconds")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, (list, tuple)):
        return tuple(plain(v) for v in value)
    if isinstance(value, dict):
        return tuple((k, plain(v)) for k, v in value.items())
    return value


AS_THEY_ARE = {int, str, bool, type(None)}  # most values


def plain_row(row):
    return tuple(v if type(v) in AS_THEY_ARE else plain(v) for v in row)


def same_rows(got, wanted, what="rows"):
    """Compares two multisets of rows and shows a few differences."""
    left = collections.Counter(map(plain_row, got))
    right = collections.Counter(map(plain_row, wanted))
    if left == right:
        return
    lines = [f"{what}: {sum(left.values())} rows, wanted {sum(right.values())}"]
    for sign, rest in (("unexpected", left - right), ("missing", right - left)):
        for row, count in list(rest.items())[:5]:
            lines.append(f"  {sign} {count} x {row!r}")
    raise Failure("\n".join(lines))

#!/usr/bin/env python3
"""A pyarrow table through a pipeline and back, in one process, over the Arrow C stream interface.

    python3 pyarrow_stream.py [path of libmillrace.so]

Needs pyarrow; the library is called through ctypes, so nothing has to be compiled. No row is turned
into a Python object on the way: both sides pass pointers to columns.
"""

import ctypes
import ctypes.util
import datetime
import decimal
import json
import sys

import pyarrow as pa

PIPELINE = {
    "name": "orders-in-memory",
    "steps": [
        {"type": "extract", "method": "fromArrow", "config": {"stream": "orders"}},
        {"type": "transform", "method": "filterRows", "config": {"condition": "amount >= 10 AND currency = 'EUR'"}},
        {"type": "transform", "method": "enrichData", "config": {"columns": {
            "net": "CAST(amount / 1.19 AS DECIMAL(12,2))",
            "day": "CAST(ordered_at AS DATE)",
            "label": "upper(note)"}}},
    ],
}


class Options(ctypes.Structure):
    """struct millrace_open_options of millrace.h."""

    _fields_ = [
        ("file", ctypes.c_char_p),
        ("text", ctypes.c_char_p),
        ("text_size", ctypes.c_size_t),
        ("credentials_file", ctypes.c_char_p),
        ("state_path", ctypes.c_char_p),
        ("run_key", ctypes.c_char_p),
        ("parameters", ctypes.POINTER(ctypes.c_char_p)),
        ("conf", ctypes.POINTER(ctypes.c_char_p)),
        ("log", ctypes.c_void_p),
        ("log_context", ctypes.c_void_p),
        ("log_level", ctypes.c_int),
        ("log_json", ctypes.c_bool),
        ("pool", ctypes.c_void_p),
        ("stop_seconds", ctypes.c_int),
    ]


class ArrowArrayStream(ctypes.Structure):
    """Five pointers that only pyarrow and Millrace look into."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("get_schema", "get_next", "get_last_error", "release", "private_data")]


def library(path=None):
    found = path or ctypes.util.find_library("millrace")
    if not found:
        sys.exit("libmillrace is not installed; give its path as the first argument")
    lib = ctypes.CDLL(found)
    handle, stream = ctypes.c_void_p, ctypes.POINTER(ArrowArrayStream)
    lib.millrace_open.argtypes = [ctypes.POINTER(Options), ctypes.POINTER(handle)]
    lib.millrace_close.argtypes = [handle]
    lib.millrace_close.restype = None
    lib.millrace_error_count.argtypes = [handle]
    lib.millrace_error_message.argtypes = [handle, ctypes.c_int]
    lib.millrace_error_message.restype = ctypes.c_char_p
    lib.millrace_give_stream.argtypes = [handle, ctypes.c_char_p, stream]
    lib.millrace_stream.argtypes = [handle, ctypes.c_char_p, ctypes.c_int64, stream]
    return lib


class Pipeline:
    """A pipeline as a context: opened from a dictionary, closed at the end."""

    def __init__(self, lib, steps):
        self.lib, self.handle = lib, ctypes.c_void_p()
        text = json.dumps(steps).encode()
        options = Options(file=b"pipeline.json", text=text, text_size=len(text))
        self.check(lib.millrace_open(options, self.handle))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lib.millrace_close(self.handle)

    def check(self, code):
        if code != 0:
            count = self.lib.millrace_error_count(self.handle)
            said = [self.lib.millrace_error_message(self.handle, i).decode() for i in range(count)]
            raise RuntimeError(f"code {code}: " + "; ".join(said))

    def give(self, name, table):
        """Rows in: anything that has batches. The stream is moved; pyarrow must not use it again."""
        stream = ArrowArrayStream()
        table.to_reader()._export_to_c(ctypes.addressof(stream))
        self.check(self.lib.millrace_give_stream(self.handle, name.encode(), stream))

    def rows(self, step=None):
        """Rows out, of the frame after a step (default: the last transform), as a table."""
        stream = ArrowArrayStream()
        self.check(self.lib.millrace_stream(self.handle, step.encode() if step else None, 0, stream))
        with pa.RecordBatchReader._import_from_c(ctypes.addressof(stream)) as reader:
            return reader.read_all()


def orders(count):
    start = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
    return pa.table({
        "id": pa.array(range(count), pa.int64()),
        "amount": pa.array([decimal.Decimal(i % 5000) / 100 for i in range(count)], pa.decimal128(10, 2)),
        "currency": pa.array([("EUR", "USD", "GBP")[i % 3] for i in range(count)]).dictionary_encode(),
        "ordered_at": pa.array([start + datetime.timedelta(minutes=i) for i in range(count)], pa.timestamp("us", "UTC")),
        "note": pa.array([None if i % 7 == 0 else f"größe {i}" for i in range(count)], pa.large_string()),
        "tags": pa.array([[f"t{i % 4}"] * (i % 3) for i in range(count)], pa.list_(pa.string())),
        "paid": pa.array([i % 2 == 0 for i in range(count)]),
    })


def wanted(table):
    """The same in Python, row by row."""
    out = []
    for row in table.to_pylist():
        if row["amount"] < 10 or row["currency"] != "EUR":
            continue
        net = (row["amount"] / decimal.Decimal("1.19")).quantize(decimal.Decimal("0.01"), decimal.ROUND_HALF_UP)
        label = row["note"].upper() if row["note"] is not None else None
        out.append({**row, "net": net, "day": row["ordered_at"].date(), "label": label})
    return out


def main():
    lib = library(sys.argv[1] if len(sys.argv) > 1 else None)
    table = orders(200_000)
    with Pipeline(lib, PIPELINE) as pipeline:
        pipeline.give("orders", table)
        result = pipeline.rows()
    # The pipeline is closed; the columns that came out belong to pyarrow.
    types = {field.name: str(field.type) for field in result.schema}
    assert types == {
        "id": "int64", "amount": "decimal128(10, 2)", "currency": "string", "ordered_at": "timestamp[us, tz=UTC]",
        "note": "string", "tags": "list<element: string>", "paid": "bool",
        "net": "decimal128(12, 2)", "day": "date32[day]", "label": "string"}, types
    got = sorted(result.to_pylist(), key=lambda row: row["id"])
    assert got == wanted(table), "the rows differ"
    print(f"{table.num_rows} rows in, {result.num_rows} rows out, {len(types)} columns, all as expected")


if __name__ == "__main__":
    main()

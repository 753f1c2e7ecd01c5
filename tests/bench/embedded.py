"""Millrace inside of a Python process: Arrow tables in, Arrow tables out, no file and no copy of rows between.

What the engine's benchmarks and the differential tests need of millrace.h, over ctypes and the Arrow C stream.
"""

import ctypes
import json
import os

import pyarrow as pa


class Options(ctypes.Structure):
    """struct millrace_open_options."""

    _fields_ = [
        ("file", ctypes.c_char_p), ("text", ctypes.c_char_p), ("text_size", ctypes.c_size_t),
        ("credentials_file", ctypes.c_char_p), ("state_path", ctypes.c_char_p), ("run_key", ctypes.c_char_p),
        ("parameters", ctypes.POINTER(ctypes.c_char_p)), ("conf", ctypes.POINTER(ctypes.c_char_p)),
        ("log", ctypes.c_void_p), ("log_context", ctypes.c_void_p), ("log_level", ctypes.c_int), ("log_json", ctypes.c_bool),
        ("pool", ctypes.c_void_p), ("stop_seconds", ctypes.c_int),
    ]


class ArrowArrayStream(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("get_schema", "get_next", "get_last_error", "release", "private_data")]


class Failed(Exception):
    def __init__(self, code, messages):
        super().__init__(f"code {code}: " + "; ".join(messages))
        self.code, self.messages = code, messages


def library():
    """$MILLRACE_LIBRARY, else libmillrace.so in .libs beside $MILLRACE_BIN."""
    path = os.environ.get("MILLRACE_LIBRARY")
    if not path:
        path = os.path.join(os.path.dirname(os.path.realpath(os.environ["MILLRACE_BIN"])), ".libs", "libmillrace.so")
    lib = ctypes.CDLL(path)
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
    """steps over the tables {name: pyarrow.Table}, each an extract step that registers the frame of its name."""

    def __init__(self, lib, steps, tables, **top):
        self.lib, self.handle = lib, ctypes.c_void_p()
        extracts = [{"type": "extract", "method": "fromArrow", "config": {"stream": name, "registerAs": name}} for name in tables]
        text = json.dumps({"name": "embedded", "steps": extracts + steps, **top}).encode()
        options = Options(file=b"embedded.json", text=text, text_size=len(text))
        try:
            self.check(lib.millrace_open(options, self.handle))
            for name, data in tables.items():
                stream = ArrowArrayStream()
                data.to_reader()._export_to_c(ctypes.addressof(stream))
                self.check(lib.millrace_give_stream(self.handle, name.encode(), stream))
        except Failed:
            self.close()
            raise

    def close(self):
        if self.handle:
            self.lib.millrace_close(self.handle)
            self.handle = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def check(self, code):
        if code != 0:
            count = self.lib.millrace_error_count(self.handle)
            raise Failed(code, [self.lib.millrace_error_message(self.handle, i).decode() for i in range(count)])

    def reader(self, step=None):
        """Batches of the frame after a step (default: after the last transform), to be closed before the pipeline."""
        stream = ArrowArrayStream()
        self.check(self.lib.millrace_stream(self.handle, step.encode() if step else None, 0, stream))
        return pa.RecordBatchReader._import_from_c(ctypes.addressof(stream))

    def rows(self, step=None):
        """The rows as one table. May be called again."""
        with self.reader(step) as reader:
            return reader.read_all()

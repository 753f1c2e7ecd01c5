#!/usr/bin/env python3
"""Runs of pipelines as forks of a process that has loaded the library: a third of the processor time of a process each.

forks.Forks(library) starts this file as such a process; its run() gives what the command would: exit code and words. One thread uses
one of them. The library reads MILLRACE_FAIL_ALLOC at its first allocation, and only forks make any.
"""

import ctypes
import json
import os
import select
import subprocess
import sys
import tempfile


class Options(ctypes.Structure):
    """struct millrace_open_options of millrace.h."""

    _fields_ = [("file", ctypes.c_char_p), ("text", ctypes.c_char_p), ("text_size", ctypes.c_size_t), ("credentials_file", ctypes.c_char_p),
                ("state_path", ctypes.c_char_p), ("run_key", ctypes.c_char_p), ("parameters", ctypes.c_void_p), ("conf", ctypes.c_void_p),
                ("log", ctypes.c_void_p), ("log_context", ctypes.c_void_p), ("log_level", ctypes.c_int), ("log_json", ctypes.c_bool),
                ("pool", ctypes.c_void_p), ("stop_seconds", ctypes.c_int)]


def one_run(lib, file):
    """Exit code and messages."""
    handle, options = ctypes.c_void_p(), Options(file=file.encode())
    code = lib.millrace_open(ctypes.byref(options), ctypes.byref(handle))
    code = code or lib.millrace_run(handle, None, None)
    said = "out of memory, before anything was opened"
    if handle:
        said = "\n".join("error: " + (lib.millrace_error_message(handle, i) or b"").decode() for i in range(lib.millrace_error_count(handle)))
    lib.millrace_close(handle)
    if code == 8 and not said:  # where nothing can be allocated any more not even a message can be kept; the command says it by itself
        said = "error: out of memory"
    return code, said


def serve(library):
    lib = ctypes.CDLL(library)
    lib.millrace_run.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    lib.millrace_close.argtypes = lib.millrace_error_count.argtypes = [ctypes.c_void_p]
    lib.millrace_close.restype = None
    lib.millrace_error_message.argtypes = [ctypes.c_void_p, ctypes.c_int]
    lib.millrace_error_message.restype = ctypes.c_char_p
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            os.chdir(request["folder"])
            os.environ.update(request["environment"])
            code, said = one_run(lib, request["file"])
            with open(request["answer"], "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(said)
            os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


class Forks:
    def __init__(self, library):
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("MILLRACE_", "PG", "AWS_", "VAULT_"))}
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__), library], env=keep, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.answer = tempfile.NamedTemporaryFile(prefix="millrace-forks-")

    def __del__(self):
        self.process.kill()
        self.process.wait()

    def run(self, folder, file, timeout=60, **environment):
        os.truncate(self.answer.name, 0)
        request = {"folder": folder, "file": file, "answer": self.answer.name, "environment": environment}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            self.process.kill()
            raise subprocess.TimeoutExpired(file, timeout)
        line = self.process.stdout.readline()
        with open(self.answer.name, encoding="utf-8") as said:
            return int(line), said.read()


if __name__ == "__main__":
    serve(sys.argv[1])

"""Delta tables of the Delta project and its kernels: the rows that they expect, or the reason to refuse.

Each NAME.tar.zst holds NAME/delta/ (the table) and, when it can be read, NAME/expected/ (Parquet). The rows and their types are
compared as multisets.
"""

import os
import tarfile

import zstandard

from delta_rows import compare, pipeline, read
from engine import Workspace
from suite import check

# Tables without expected rows: what the error says, or how many files a plan finds.
REFUSED = {
    "deltalog-invalid-protocol-version": "reader version",
    "deltalog-state-reconstruction-from-checkpoint-missing-metadata": "no metaData",
    "deltalog-state-reconstruction-without-metadata": "no metaData",
    "deltalog-state-reconstruction-without-protocol": "no protocol",
    "no-delta-log-folder": "no Delta table",
    "versions-not-contiguous": "not contiguous",
}
FILES = {
    "canonicalized-paths-normal-a": 0,
    "checkpoint": None,
    "delete-re-add-same-file-different-transactions": 2,
    "deltalog-commit-info": 1,
}
# Instants among the partition values that were written without their zone.
ZONES = {"data-reader-partition-values": "America/Los_Angeles"}


def unpack(archive, target):
    with open(archive, "rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            tar.extractall(target, filter="data")


def one(archive, name):
    with Workspace() as work:
        unpack(archive, work.path)
        steps = pipeline({"path": work.file(name, "delta")}, work.file("out"), ZONES.get(name, "UTC"))
        work.write("p.json", steps)
        if name in REFUSED:
            done = work.millrace("run", "p.json")
            check(done.code == 5 and REFUSED[name] in done.err, f"wanted '{REFUSED[name]}'\n{done}")
        elif name in FILES:
            done = work.millrace("plan", "p.json").expect(0)
            files = FILES[name]
            check(files is None or f", {files} file" in done.out, f"wanted {files} files\n{done}")
        else:
            work.millrace("run", "p.json").expect(0)
            compare(read(work.file("out")), read(work.file(name, "expected")))


def run(suite, directory):
    for file in sorted(os.listdir(directory)):
        if file.endswith(".tar.zst"):
            name = file[: -len(".tar.zst")]
            suite.case(f"delta {name}", one, os.path.join(directory, file), name)

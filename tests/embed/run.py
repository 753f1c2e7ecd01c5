#!/usr/bin/env python3
"""The embedding API: the C example is compiled against the built library, run in each of its modes, and its files are read."""

import hashlib
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, checkout, equal, need

need("psycopg", "pyarrow")
import pyarrow.parquet as parquet
from engine import Workspace, program
from server import Server

ROOT = checkout()
BUILD = os.path.dirname(program())

PIPELINE = {
    "name": "embedded",
    "steps": [
        {"type": "extract", "method": "fromPostgres",
         "config": {"table": "people", "partitionColumn": "id", "numPartitions": 6}},
        {"type": "transform", "method": "filterRows", "config": {"condition": "active"}},
        {"type": "validate", "method": "validateRanges",
         "config": {"ranges": {"id": [1, 1000]}}},
        {"type": "transform", "method": "repartition", "config": {"numPartitions": 3}},
        {"type": "load", "method": "toFile", "config": {"path": "out/", "format": "parquet", "mode": "overwrite"}},
    ],
}


def compile_example(folder):
    target = os.path.join(folder, "embed")
    library = os.path.join(BUILD, ".libs")
    flags = os.environ.get("MILLRACE_EMBED_CFLAGS", "").split()
    subprocess.run(
        [os.environ.get("CC", "cc"), "-std=c11", "-Wall", "-Wextra", "-Werror", *flags, "-o", target,
         os.path.join(ROOT, "examples", "embed", "embed.c"), "-I", os.path.join(ROOT, "include"),
         "-L", library, "-Wl,-rpath," + library, "-lmillrace", "-lpthread"], check=True)
    return target


def contents(folder):
    """Digest of each file by the task number in its name, and all rows."""
    names = sorted(n for n in os.listdir(folder) if not n.startswith("."))
    digests = {n.split("-")[1]: hashlib.sha256(open(os.path.join(folder, n), "rb").read()).hexdigest() for n in names}
    rows = parquet.read_table(folder).to_pylist()
    return digests, sorted(rows, key=lambda row: row["id"])


def embed(space, example, mode):
    return subprocess.run([example, "pipeline.json", mode], cwd=space.path, env=space.environment(),
                          capture_output=True, text=True, timeout=120)


def modes(server):
    with Workspace(server.credentials("embed")) as space:
        space.write("pipeline.json", PIPELINE)
        example = compile_example(space.path)
        done = embed(space, example, "run")
        equal(done.returncode, 0, done.stdout + done.stderr)
        check("stream: 800 rows, 9 columns" in done.stdout, done.stdout)
        digests, rows = contents(space.file("out"))
        equal(len(digests), 3, "files")
        equal([row["id"] for row in rows], [n for n in range(1, 1001) if n % 5 > 0], "ids")
        done = embed(space, example, "cancel")
        equal(done.returncode, 130, done.stdout + done.stderr)
        equal(contents(space.file("out")), (digests, rows), "the target after a cancelled run")
        done = embed(space, example, "job")
        equal(done.returncode, 0, done.stdout + done.stderr)
        check("job: 3 tasks, code 0" in done.stdout, done.stdout)
        equal(contents(space.file("out")), (digests, rows), "what a job in parts wrote")


def job_is_judged(server):
    """A rule that is broken in another process than the one that commits stops the commit."""
    with Workspace(server.credentials("embed")) as space:
        bad = {**PIPELINE, "steps": [dict(step) for step in PIPELINE["steps"]]}
        bad["steps"][2] = {**bad["steps"][2], "config": {"ranges": {"id": [1, 998]}}}
        space.write("pipeline.json", bad)
        done = embed(space, compile_example(space.path), "job")
        equal(done.returncode, 7, done.stdout + done.stderr)
        check("range(id): 1" in done.stderr, done.stderr)
        left = os.listdir(space.file("out")) if os.path.exists(space.file("out")) else []
        equal(left, [], "files")


suite = Suite("embed")
with Server() as server:
    server.run_file(server.database("embed"), os.path.join(ROOT, "tests", "cases", "people.sql"))
    suite.case("modes", modes, server)
    suite.case("a job is judged as a whole", job_is_judged, server)
suite.end()

#!/usr/bin/env python3
"""Many one-thread pipelines together in one process against the same in turn: exact, in bounded memory, and how much faster.

    tests/bench/many_pipelines.py [--pipelines 32] [--rows 300000] [--runs 3] [--memory 512MB]

Each pipeline reads its own Parquet file, computes, filters and writes Parquet. In turn means one command after another, and
`--max-parallel 1`. After every round the rows of all targets are compared with what a reader that is not ours computes from the sources.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import duckdb
import measure
from engine import program


def make_sources(folder, count, rows):
    with duckdb.connect() as db:
        for number in range(count):
            db.execute(
                f"""COPY (SELECT i AS id, (i * 7919 + {number}) % 1000 AS part, hash(i + {number})::DOUBLE / 1e15 AS amount,
                    'customer ' || hash(i * 31 + {number}) % 5000 AS customer, TIMESTAMP '2024-01-01' + INTERVAL (i % 86400) SECOND AS at
                    FROM range({number * rows}, {(number + 1) * rows}) r(i)) TO '{folder}/in{number}.parquet' (FORMAT parquet)""")


def make_pipelines(folder, count):
    for number in range(count):
        pipeline = {"name": f"p{number}", "resources": {"parallelism": 1}, "steps": [
            {"type": "extract", "method": "fromFile", "config": {"path": f"in{number}.parquet", "format": "parquet"}},
            {"type": "transform", "method": "enrichData", "config": {"columns": {"total": "amount * 1.19", "who": "upper(customer)"}}},
            {"type": "transform", "method": "filterRows", "config": {"condition": "part < 900"}},
            {"type": "load", "method": "toFile", "config": {"path": f"out{number}/", "format": "parquet", "mode": "overwrite"}}]}
        with open(f"{folder}/p{number}.json", "w", encoding="utf-8") as file:
            json.dump(pipeline, file)


def check_rows(folder, count):
    sums = "count(*), sum(id), sum(hash(id, customer_, total)::HUGEINT)"
    with duckdb.connect() as db:
        for number in range(count):
            wanted = db.execute(f"SELECT {sums} FROM (SELECT id, upper(customer) AS customer_, amount * 1.19 AS total FROM '{folder}/in{number}.parquet' WHERE part < 900)").fetchone()
            got = db.execute(f"SELECT {sums} FROM (SELECT id, who AS customer_, total FROM '{folder}/out{number}/*.parquet')").fetchone()
            if got != wanted:
                raise measure.Failed(f"p{number}: {got}, wanted {wanted}")
    for number in range(count):
        shutil.rmtree(f"{folder}/out{number}")


def in_turn(files, common):
    """One command after another: their time together, the largest peak."""
    total = {"wall": 0.0, "cpu": 0.0, "memory": 0, "out": ""}
    began = time.monotonic()
    for name in files:
        one = measure.once([program(), "run", name, *common])
        total["cpu"] += one["cpu"]
        total["memory"] = max(total["memory"], one["memory"])
    return {**total, "wall": time.monotonic() - began}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pipelines", type=int, default=32)
    parser.add_argument("--rows", type=int, default=300000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--memory", default="512MB")
    given = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="millrace-many-")
    try:
        make_sources(folder, given.pipelines, given.rows)
        make_pipelines(folder, given.pipelines)
        os.environ["MILLRACE_BIN"] = program()
        os.chdir(folder)
        files = [f"p{number}.json" for number in range(given.pipelines)]
        common = ["--quiet", "--progress", "none", "--log-level", "warn"]
        several = lambda *more: measure.once([program(), "run", *files, *common, "--memory", given.memory, *more])
        contenders = {
            "in turn, a command each": lambda: in_turn(files, common),
            "in turn, --max-parallel 1": lambda: several("--max-parallel", "1"),
            "together": several,
            "together, --max-parallel 2": lambda: several("--max-parallel", "2"),
        }
        results, dropped = measure.rounds(contenders, given.runs, lambda _: check_rows(folder, given.pipelines))
        print(f"{given.pipelines} pipelines of {given.rows} rows, --memory {given.memory}; {os.cpu_count()} cores; all rows checked in every round\n")
        print("\n".join(measure.table(results, given.pipelines * given.rows, "together")))
        return 1 if dropped else 0
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())

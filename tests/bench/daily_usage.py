#!/usr/bin/env python3
"""The daily-usage job over a ladder of sizes: wall time, CPU and peak memory, medians of RUNS (3).

usage: daily_usage.py [ROWS..]   default 20000 100000 250000 500000 1000000 (hourly rows of pods; 24 become one)
MILLRACE_BIN is the program; it loads into PostgreSQL, or with TARGET=files into Parquet. RUNS are the runs of each size. MEMORY is a resources.memory in place of the example's, "default" for none. The input is that of tests/examples/usage_data.py: its closed form, every pod with labels of its own and one pod in ten with a volume.
"""

import json
import os
import statistics
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "examples")]
import daily
import measure
import table
import usage_data
from engine import program
from server import Server


def pipeline(job, postgres):
    path = job.space.file(daily.pipeline(job.space, postgres))
    memory = os.environ.get("MEMORY")
    if memory:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        found["resources"] = {} if memory == "default" else {"memory": memory}
        job.space.write(path, found)
    return path


def limited(job):
    """Peak and spilled bytes of the last run's account."""
    with open(job.space.file("report.json"), encoding="utf-8") as file:
        report = json.load(file)
    spilled = sum(s["counters"].get("spill_bytes", 0) for s in report["steps"])
    return report["resources"]["memory_peak_bytes"], spilled


def size(server, rows, runs, postgres):
    pods = rows // 24
    nodes = max(1, pods // 100)
    with daily.Job(server, lambda place: usage_data.closed(place, nodes, pods, volumes=pods // 10)) as job:
        path = pipeline(job, postgres)
        results = []
        for _ in range(runs):
            results.append(measure.once([
                program(), "run", path, "--progress", "none", "--report", job.space.file("report.json"), "--credentials", job.space.file("config", "credentials.json")]))
        made = len(job.table()) if postgres else table.duck("SELECT count(*) FROM data", job.space.file("out"))[0][0]
        assert made == pods + pods // 10 + nodes, made
        middle = {k: statistics.median(r[k] for r in results) for k in ("wall", "cpu", "memory")}
        account, spilled = limited(job)
        print(f"{pods * 24:>9,} rows -> {made:>7,}: {middle['wall']:6.2f} s, {middle['cpu']:6.2f} s CPU, {middle['memory'] / 2**20:5.0f} MB (rows {account / 2**20:.0f} MB, "
              f"{spilled / 2**20:.0f} MB spilled), {pods * 24 / middle['wall'] / 1000:7,.0f} k rows/s", flush=True)


def main():
    sizes = [int(a) for a in sys.argv[1:]] or [20_000, 100_000, 250_000, 500_000, 1_000_000]
    postgres = os.environ.get("TARGET", "postgres") == "postgres"
    with Server() as server:
        for rows in sizes:
            size(server, rows, int(os.environ.get("RUNS", "3")), postgres)


if __name__ == "__main__":
    main()

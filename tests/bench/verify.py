#!/usr/bin/env python3
"""What it costs to count the rows of loads for `millrace verify`, and to verify.

  verify.py [--scale 0.2] [--runs 7] [--threads 2]

lineitem, 1.2 M rows x 16 columns at scale 0.2: the same pipeline with "verify" true and false in turns, and then verify itself.
Ratios are medians over the rounds, of wall time and of CPU time (user and kernel, of Millrace alone).
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]

import duckdb
import engine
import measure
from compute_data import make_data
from server import Server


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", type=float, default=0.2)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    root = tempfile.mkdtemp(prefix="millrace-verify-")
    try:
        with Server() as server:
            run(options, root, server)
    finally:
        shutil.rmtree(root)


def run(options, root, server):
    data = make_data(duckdb, options.scale)
    source = os.path.join(root, "in.parquet")
    data.execute(f"COPY lineitem TO '{source}' (ROW_GROUP_SIZE 122880)")
    keys = server.credentials(server.database("bench"))
    files = {"method": "fromFile", "config": {"path": source}}
    table = {"method": "fromPostgres", "config": {"table": "lineitem", **keys}}
    to_files = {"method": "toFile", "config": {"path": os.path.join(root, "out"), "mode": "overwrite"}}
    to_table = {"method": "toPostgres", "config": {"table": "lineitem", "mode": "overwrite", "overwriteMode": "swap", **keys}}
    print("| | wall, counted | not | ratio | CPU, counted | not | ratio | verify |\n|---|---|---|---|---|---|---|---|")
    for name, extract, load in (("Parquet to PostgreSQL", files, to_table), ("PostgreSQL to Parquet", table, to_files),
                                ("Parquet to Parquet", files, to_files)):
        pair(options, root, name, extract, load)


def pair(options, root, name, extract, load):
    def text(verify):
        path = os.path.join(root, f"{verify}.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"name": f"{name.replace(' ', '-')}-{verify}", "verify": verify, "resources": {"parallelism": options.threads},
                       "steps": [{"type": "extract", **extract}, {"type": "load", **load}]}, file)
        return path

    def once(verify):
        return lambda: measure.once([engine.program(), "run", text(verify), "--quiet", "--progress", "none", "--log-level", "error"])

    if load["method"] == "toPostgres":
        once(False)()
    results, dropped = measure.rounds({"counted": once(True), "not": once(False)}, options.runs)
    if dropped:
        sys.exit(str(dropped))
    if load["method"] == "toPostgres":  # the tables of both states are the same one: of the last run
        once(True)()
    else:
        once(True)()
    check = measure.once([engine.program(), "verify", text(True)])
    cells = []
    for key in ("wall", "cpu"):
        pairs = list(zip((r[key] for r in results["counted"]), (r[key] for r in results["not"])))
        cells += [f"{statistics.median(a for a, _ in pairs):.2f} s", f"{statistics.median(b for _, b in pairs):.2f} s",
                  f"{statistics.median(a / b for a, b in pairs):.3f}"]
    print(f"| {name} | {' | '.join(cells)} | {check['wall']:.2f} s |", flush=True)


main()

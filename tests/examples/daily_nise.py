#!/usr/bin/env python3
"""config/examples/daily-usage.json on data of koku-nise, the generator that the reports' own service is tested with.

koku-nise is a package of PyPI (5.4.4 is what this was written with) in an environment of its own: $NISE names its program,
else it is looked for beside Python and on the path. Its CSV becomes Parquet as the service makes it: numbers are DOUBLE, one
file a day and kind. Nodes get roles in turn, half of the label keys are enabled.
"""

import csv
import datetime
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, need, skip_all

need("psycopg", "pyarrow", "duckdb")
import daily
import usage_data
import usage_oracle
from server import Server

FILES = {"ocp_pod_usage": usage_data.PODS, "ocp_node_label": usage_data.NODES, "ocp_namespace_label": usage_data.NAMESPACES, "ocp_storage_usage": usage_data.STORAGE}


def program():
    beside = os.path.join(os.path.dirname(sys.executable), "nise")
    return os.environ.get("NISE") or (beside if os.path.exists(beside) else shutil.which("nise"))


def convert(folder, place):
    lookups = {"enabled_tag_keys": {}, "cost_categories": [("%ci", 1), ("%qa", 2), ("never%", 3)], "nodes": {}}
    for part, kind in FILES.items():
        days = {}
        for path in glob.glob(os.path.join(folder, f"*{part}*.csv")):
            with open(path, newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    days.setdefault(row["interval_start"][:10], []).append(row)
                    for column in row:
                        if column.endswith("_labels"):
                            for key in re.findall(r"label_([^:|]+):", row[column]):
                                lookups["enabled_tag_keys"][key] = len(lookups["enabled_tag_keys"]) % 2 == 0
                    if kind == usage_data.PODS and row["node"]:
                        roles = ("master", "infra", "worker", "worker")
                        lookups["nodes"].setdefault((row["node"], row["resource_id"]), roles[len(lookups["nodes"]) % 4])
        for day, rows in days.items():
            columns = {
                c: [None if r[c] == "" else float(r[c]) if wanted == usage_data.NUMBER else r[c] for r in rows] for c, wanted in usage_data.COLUMNS[kind]}
            usage_data.write(place, kind, datetime.date.fromisoformat(day), columns)
    return {"enabled_tag_keys": list(lookups["enabled_tag_keys"].items()), "cost_categories": lookups["cost_categories"],
            "nodes": [(*k, r) for k, r in lookups["nodes"].items()]}


def generate(place):
    with tempfile.TemporaryDirectory(prefix="millrace-nise-") as folder:
        done = subprocess.run(
            [program(), "report", "ocp", "--ocp-cluster-id", "c1", "-s", "2025-10-01", "-e", "2025-10-04", "-w"], cwd=folder,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        check(done.returncode == 0, f"nise: {done.stdout[-1000:]}{done.stderr[-2000:]}")
        return convert(folder, place)


def run(server):
    with daily.Job(server, generate) as job:
        got = job.run()
        kinds = {k: sum((("unallocated" in (r[3] or "")), r[2]) == k for r in got) for k in ((False, "Pod"), (False, "Storage"), (True, "Pod"))}
        print(f"# rows: {kinds}")
        check(all(kinds.values()), f"rows of a kind are missing: {kinds}")
        daily.compare(got, usage_oracle.summary(job.place, usage_data.SOURCE, job.lookups, *daily.OCTOBER))


def main():
    if not program():
        skip_all("no nise program (Python package koku-nise)")
    suite = Suite("daily usage, koku-nise")
    with Server() as server:
        suite.case("three days of a generated cluster", run, server)
    suite.end()


if __name__ == "__main__":
    main()

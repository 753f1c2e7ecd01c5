#!/usr/bin/env python3
"""make check-spill: inputs far larger than resources.memory through every operator that keeps rows.

  spill.py [--scale 4.2] [--memory 128MB] [JOB..]

Scale 4.2 is 5 GB of lineitem (25 M rows x 16 columns) in a PostgreSQL of its own. Each job runs twice: over a tenth
of the rows with memory for all of them, and over all rows within --memory. It passes when both end, the results are
what DuckDB computes from the same rows, the account never passed its limit, something was spilled, and the time per
byte is at most four times that of the small run. The process's own peak (RSS) is reported beside the account's.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
from suite import need

need("psycopg", "pyarrow", "duckdb")
import duckdb
from compute_data import step
from measure import Failed, once
from engine import program
from server import Server

KEYS = "l_orderkey, l_linenumber"
# name: (frames, steps, the same in SQL over lineitem and orders, the columns that order the result)
JOBS = {
    "sort": (["lineitem"], [step("sortData", orderBy=["l_comment", "l_orderkey", "l_linenumber"])], "SELECT * FROM lineitem",
             ["l_comment", "l_orderkey", "l_linenumber"]),
    "aggregate": (["lineitem"], [step("aggregateData", groupBy=["l_orderkey", "l_linenumber", "l_comment"],
                                      aggregations={"n": "count(*)", "p": "sum(l_extendedprice)"})],
                  "SELECT l_orderkey, l_linenumber, l_comment, count(*) AS n, sum(l_extendedprice) AS p FROM lineitem GROUP BY ALL", None),
    "count distinct": (["lineitem"], [step("aggregateData", groupBy=[], aggregations={"n": "count(distinct l_comment)", "m": "max(l_orderkey)"})],
                       "SELECT count(DISTINCT l_comment) AS n, max(l_orderkey) AS m FROM lineitem", None),
    "deduplicate": (["lineitem"], [step("deduplicate", keys=["l_orderkey"], keep="last", orderBy=["l_linenumber"])],
                    "SELECT * FROM lineitem WHERE l_linenumber = 4", None),
    "join": (["lineitem", "orders"], [step("joinDataFrames", inputs=["orders", "lineitem"], leftKeys=["o_orderkey"], rightKeys=["l_orderkey"])],
             "SELECT orders.*, lineitem.* FROM orders JOIN lineitem ON l_orderkey = o_orderkey", None),
    "full join": (["lineitem", "orders"], [step("joinDataFrames", inputs=["lineitem", "orders"], joinConditions=["lineitem.l_orderkey = orders.o_orderkey + 1000"], joinType="full")],
                  "SELECT lineitem.*, orders.* FROM lineitem FULL JOIN orders ON l_orderkey = o_orderkey + 1000", None),
    "window": (["lineitem"], [step("windowColumns", partitionBy=["l_orderkey"], orderBy=["l_linenumber"], columns={"n": "row_number()", "p": "sum(l_extendedprice)"})],
               "SELECT *, row_number() OVER w AS n, sum(l_extendedprice) OVER w AS p FROM lineitem WINDOW w AS (PARTITION BY l_orderkey ORDER BY l_linenumber)", None),
    "window without partition": (["lineitem"], [step("windowColumns", orderBy=["l_orderkey", "l_linenumber"], columns={"n": "row_number()"})],
                                 "SELECT *, row_number() OVER (ORDER BY l_orderkey, l_linenumber) AS n FROM lineitem", None),
    "repartitionByColumns": (["lineitem"], [step("repartitionByColumns", columns=["l_partkey"], numPartitions=8)], "SELECT * FROM lineitem", None),
}


class Spill:
    def __init__(self, server, options, folder):
        self.server, self.options, self.folder = server, options, folder
        self.failures = 0

    def load(self):
        conninfo = f"host={self.server.place} port={self.server.port} user=postgres dbname=bench"
        for database, scale in (("bench", self.options.scale), ("small", self.options.scale / 10)):
            self.server.database(database)
            done = subprocess.run([f"{self.server.bin}/psql", "-X", "-q", "-v", f"scale={scale}", "-f", f"{HERE}/lineitem.sql",
                                   conninfo.replace("dbname=bench", f"dbname={database}")])
            if done.returncode != 0:
                sys.exit("loading failed")

    def write(self, database, frames, steps, path, memory):
        extracts = [{"type": "extract", "method": "fromPostgres", "config": {
            "host": self.server.place, "port": self.server.port, "database": database, "username": "postgres", "password": "unused",
            "table": frame, "registerAs": frame}} for frame in frames]
        load = {"type": "load", "method": "toFile", "config": {"path": f"{self.folder}/{path}/", "format": "parquet", "mode": "overwrite"}}
        file = f"{self.folder}/{path}.json"
        with open(file, "w") as handle:
            json.dump({"name": path, "state": f"{self.folder}/state", "resources": {"memory": memory, "tempDir": self.folder},
                       "steps": extracts + steps + [load]}, handle)
        return file

    def run(self, database, frames, steps, path, memory):
        file = self.write(database, frames, steps, path, memory)
        report = f"{self.folder}/{path}.report.json"
        result = once([program(), "run", file, "--progress", "none", "--report", report])
        with open(report) as handle:
            return result, json.load(handle)

    def same(self, database, path, frames, sql, order):
        """Rows and, by column, a sum of hashes of what was written against what DuckDB computes; and its order."""
        duck = duckdb.connect()
        duck.execute(f"SET memory_limit = '8GB'; SET temp_directory = '{self.folder}'; SET TimeZone = 'UTC'")
        for frame in frames:
            file = f"{self.folder}/{database}-{frame}"
            if not os.path.isdir(file):
                self.run(database, [frame], [], f"{database}-{frame}", "4GB")
            duck.execute(f"CREATE VIEW {frame} AS SELECT * FROM read_parquet('{file}/**/*.parquet')")
        written = f"read_parquet('{self.folder}/{path}/**/*.parquet')"
        names = [row[0] for row in duck.execute(f"DESCRIBE SELECT * FROM {written}").fetchall()]
        hashes = ", ".join(f'sum((hash("{name}"::VARCHAR) // 1048576)::HUGEINT)' for name in names)
        row = f"sum((hash({', '.join(chr(34) + name + chr(34) + '::VARCHAR' for name in names)}) // 1048576)::HUGEINT)"
        got = duck.execute(f"SELECT count(*), {row}, {hashes} FROM {written}").fetchone()
        want = duck.execute(f"SELECT count(*), {row}, {hashes} FROM ({sql})").fetchone()
        if got != want:
            return f"DIFFERS: {got[:2]} and {want[:2]}"
        return self.in_order(duck, path, order) if order else "same"

    def in_order(self, duck, path, order):
        keys, last = ", ".join(order), None
        wrong = 0
        files = sorted(os.path.join(base, name) for base, _, names in os.walk(f"{self.folder}/{path}") for name in names if name.endswith(".parquet"))
        for file in files:
            wrong += duck.execute(
                f"SELECT count(*) FROM (SELECT ({keys}) AS k, lag(({keys})) OVER (ORDER BY file_row_number) AS before "
                f"FROM read_parquet('{file}', file_row_number = true)) WHERE before > k").fetchone()[0]
            first, final = duck.execute(
                f"SELECT arg_min(({keys}), file_row_number), arg_max(({keys}), file_row_number) FROM read_parquet('{file}', file_row_number = true)").fetchone()
            wrong += last is not None and list(last.values() if isinstance(last, dict) else last) > list(first.values() if isinstance(first, dict) else first)
            last = final
        return "same, in order" if wrong == 0 else f"OUT OF ORDER in {wrong} places"

    def job(self, name):
        frames, steps, sql, order = JOBS[name]
        path = name.replace(" ", "-")
        small, _ = self.run("small", frames, steps, f"{path}-small", "12GB")
        large, report = self.run("bench", frames, steps, path, self.options.memory)
        verdict = self.same("bench", path, frames, sql, order)
        resources = report["resources"]
        spilled = sum(row["counters"].get("spill_bytes", 0) for row in report["steps"])
        slower = large["wall"] / small["wall"] / 10
        within = resources["memory_peak_bytes"] <= resources["memory_limit_bytes"]
        good = verdict.startswith("same") and within and spilled > 0 and slower <= 4
        if self.options.scale < 1:  # too small to have to spill, and start-up weighs
            good = verdict.startswith("same") and within
        self.failures += not good
        print(f"| {name} | {small['wall']:.1f} | {large['wall']:.1f} | {slower:.2f} | {spilled / 1e6:.0f} | {resources['memory_peak_bytes'] / 1e6:.0f} of "
              f"{resources['memory_limit_bytes'] / 1e6:.0f} | {large['memory'] / 1e6:.0f} | {verdict} | {'ok' if good else 'FAILED'} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=4.2)
    parser.add_argument("--memory", default="128MB")
    parser.add_argument("jobs", nargs="*")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="millrace-spill-", dir=os.environ.get("TMPDIR")) as folder, Server() as server:
        spill = Spill(server, options, folder)
        spill.load()
        print("| job | a tenth in memory, s | all, s | time per byte | spilled MB | account MB | RSS MB | result | |\n|---|---|---|---|---|---|---|---|---|")
        for name in options.jobs or JOBS:
            try:
                spill.job(name)
            except Failed as error:
                spill.failures += 1
                print(f"| {name} | {str(error).splitlines()[-1][:300]} | FAILED |", flush=True)
        left = [name for name in os.listdir(folder) if name.startswith("millrace-")]
        if left:
            spill.failures += 1
            print(f"left behind: {left}")
        print(f"{len(options.jobs or JOBS)} jobs, {spill.failures} failed")
        sys.exit(1 if spill.failures else 0)


main()

#!/usr/bin/env python3
"""min, avg and max by station of a file of `station;value` lines, beside DuckDB and polars reading the same file.

  stations.py [--lines 100000000] [--runs 5] [--threads 2] [--only millrace,duckdb,polars]

The file is made once by tests/bench/stations (build/bench/stations-LINES.csv, 1.47 GB for 100 M lines) and read once before the
clock runs. Contenders run in turns, each a process; Millrace's time is all of its process, with state and fsync, that of
the peers is the query without the start of Python. The value is read as DOUBLE and, by Millrace and DuckDB,
as DECIMAL(4,1). Every result of every round is compared with DuckDB's: 413 rows; averages may differ by 1e-9.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]

from compute_data import step
from measure import Failed, once

TYPES = {"double": "DOUBLE", "decimal": "DECIMAL(4,1)"}


def peer(name, file, kind, threads):
    """Runs in a process of its own: prints seconds and rows."""
    import time

    if name == "duckdb":
        import duckdb

        connection = duckdb.connect()
        connection.execute(f"SET threads = {threads}")
        connection.execute("SET preserve_insertion_order = false")
        began = time.perf_counter()
        rows = connection.execute(
            "SELECT station, min(value)::DOUBLE, avg(value), max(value)::DOUBLE FROM read_csv(?, header = false, delim = ';', quote = '', escape = '', "
            f"columns = {{'station': 'VARCHAR', 'value': '{TYPES[kind]}'}}) GROUP BY station", [file]).fetchall()
    else:
        import polars as pl

        began = time.perf_counter()
        frame = pl.scan_csv(file, has_header=False, separator=";", quote_char=None, schema={"station": pl.String, "value": pl.Float64})
        value = pl.col("value")
        rows = frame.group_by("station").agg(value.min().alias("min"), value.mean().alias("avg"), value.max().alias("max")).collect(engine="streaming").rows()
    print(json.dumps({"seconds": time.perf_counter() - began, "rows": rows}))


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder

    def file(self, lines):
        """The file of so many lines, made when it is not there."""
        program = os.path.join(os.path.dirname(os.environ["MILLRACE_BIN"]), "tests", "bench", "stations")
        place = os.path.join(os.path.dirname(os.environ["MILLRACE_BIN"]), "bench")
        os.makedirs(place, exist_ok=True)
        path = os.path.join(place, f"stations-{lines}.csv")
        if not os.path.exists(path):
            said = subprocess.run([program, str(lines), path + ".part"], check=True, stdout=subprocess.PIPE, text=True).stdout
            os.rename(path + ".part", path)
            print(f"{lines:,} lines: {said.strip()}", file=sys.stderr)
        with open(path, "rb") as data:
            while data.read(1 << 24):
                pass
        return path

    def ours(self, file, kind):
        steps = [
            {"type": "extract", "method": "fromFile", "config": {
                "path": file, "format": "csv", "header": False, "delimiter": ";", "schema": f"station STRING, value {TYPES[kind]}"}},
            step("aggregateData", groupBy=["station"], aggregations={"min": "min(value)", "avg": "avg(value)", "max": "max(value)"}),
            {"type": "load", "method": "toFile", "config": {"path": self.path("out"), "format": "json", "mode": "overwrite"}},
        ]
        with open(self.path("pipeline.json"), "w") as out:
            json.dump({"name": "stations", "steps": steps, "resources": {"parallelism": self.options.threads}}, out)
        shutil.rmtree(self.path("out"), ignore_errors=True)
        result = once([*self.pinned(), os.environ["MILLRACE_BIN"], "run", self.path("pipeline.json"), "--progress", "none", "--quiet"])
        rows = []
        for folder, _, names in os.walk(self.path("out")):
            for name in names:
                if name.endswith(".json"):
                    with open(os.path.join(folder, name)) as data:
                        rows += [json.loads(line) for line in data]
        result["rows"] = [(row["station"], row["min"], row["avg"], row["max"]) for row in rows]
        result["seconds"] = result["wall"]
        return result

    def path(self, name):
        return os.path.join(self.folder, name)

    def pinned(self):
        cores = sorted(os.sched_getaffinity(0))[:self.options.threads]
        return ["taskset", "-c", ",".join(map(str, cores))]

    def peer(self, name, file, kind):
        result = once([*self.pinned(), sys.executable, os.path.realpath(__file__), "--peer", name, file, kind, str(self.options.threads)],
                      {"POLARS_MAX_THREADS": str(self.options.threads)})
        result.update(json.loads(result["out"].strip().splitlines()[0]))
        return result

    def contenders(self, file):
        wanted = {
            "millrace, double": lambda: self.ours(file, "double"),
            "duckdb, double": lambda: self.peer("duckdb", file, "double"),
            "polars, double": lambda: self.peer("polars", file, "double"),
            "millrace, decimal": lambda: self.ours(file, "decimal"),
            "duckdb, decimal": lambda: self.peer("duckdb", file, "decimal"),
        }
        return {name: run for name, run in wanted.items() if not self.options.only or any(only in name for only in self.options.only)}

    def measure(self, lines, runs):
        file = self.file(lines)
        oracle = {row[0]: row for row in self.peer("duckdb", file, "double")["rows"]}
        results = {name: [] for name in self.contenders(file)}
        wrong = []
        for number in range(runs):
            for name, run in self.contenders(file).items():
                result = run()
                results[name].append(result)
                print(f"  round {number + 1} {name}: {result['seconds']:.2f} s", file=sys.stderr, flush=True)
                if not same(result["rows"], oracle, name):
                    wrong.append(f"{name}, {lines} lines: another result")
        return results, wrong


def same(rows, oracle, name):
    """An average of decimal(4,1) is a decimal(8,5) at Millrace: it is near to what is not cut."""
    near = 5.1e-6 if name == "millrace, decimal" else 0
    return len(rows) == len(oracle) and all(
        station in oracle and low == oracle[station][1] and high == oracle[station][3]
        and abs(mean - oracle[station][2]) <= max(near, 1e-9 * abs(oracle[station][2]))
        for station, low, mean, high in rows)


def main():
    if sys.argv[1:2] == ["--peer"]:
        peer(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=100_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="", type=lambda text: [part for part in text.split(",") if part])
    options = parser.parse_args()
    from suite import need

    need("duckdb", "polars")
    with tempfile.TemporaryDirectory(prefix="millrace-stations-") as folder:
        bench = Bench(options, folder)
        try:
            wrong = bench.measure(10_000, 1)[1]
            results, differ = bench.measure(options.lines, options.runs)
        except Failed as error:
            sys.exit(str(error))
    wrong += differ
    print(f"\n### {options.lines:,} lines, {options.threads} threads\n")
    print("| contender | s (min-max) | M lines/s | Millrace is times as fast | CPU s | peak MB |")
    print("|---|---|---|---|---|---|")
    for name, found in results.items():
        seconds = [result["seconds"] for result in found]
        ours = results.get("millrace, " + name.split(", ")[1])
        ratio = statistics.median(theirs / mine["seconds"] for theirs, mine in zip(seconds, ours)) if ours and ours is not found else None
        print(f"| {name} | {statistics.median(seconds):.2f} ({min(seconds):.2f}-{max(seconds):.2f}) | {options.lines / statistics.median(seconds) / 1e6:.1f} | "
              f"{f'{ratio:.2f}' if ratio else ''} | {statistics.median(r['cpu'] for r in found):.1f} | {statistics.median(r['memory'] for r in found) / 1e6:.0f} |")
    print("\n" + ("\n".join(wrong) if wrong else "All results were equal."))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The larger benchmarks: fixed data, contenders in turns, and the output of every job checked in the same run.

  run.py [--scale 1] [--runs 5] [--peers a,b] [JOB..]

Jobs: lineitem-2 and lineitem-4 (to Parquet over so many connections, against draining the same COPY and against
psql piped into DuckDB), orders, link (20 splits against 1 behind 10 MB/s a connection), tuning (the untuned
default against hand-tuned settings), memory (a tenth of the rows against all), start (time to validate and to the first row). Without names: all.
Results go to benchmark-results-DATE/ in the working directory.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
from suite import need

need("psycopg", "pyarrow", "duckdb")
import duckdb
import psycopg
from engine import program
from measure import median, once, rounds, table
from proxy import Proxy
from server import Server

# What makes rows equal, as an expression that both databases compute alike: a sum of hashes of their text.
PG_HASH = "sum(('x' || substr(md5({row}), 1, 8))::bit(32)::bigint)"
DUCK_HASH = "sum(('0x' || substr(md5({row}), 1, 8))::BIGINT)"


class Bench:
    def __init__(self, server, options, folder):
        self.server, self.options, self.folder = server, options, folder
        self.conninfo = f"host={server.place} port={server.port} user=postgres dbname=bench"
        self.lines, self.data, self.wanted = [], {}, {}
        self.failures = 0

    def load(self):
        self.server.database("bench")
        began = datetime.datetime.now()
        done = subprocess.run(
            [f"{self.server.bin}/psql", "-X", "-q", "-v", f"scale={self.options.scale}", "-f", f"{HERE}/lineitem.sql", self.conninfo])
        if done.returncode != 0:
            sys.exit("loading failed")
        print(f"loaded in {(datetime.datetime.now() - began).total_seconds():.0f} s", file=sys.stderr)

    def columns(self, name):
        with psycopg.connect(self.conninfo) as connection:
            return connection.execute(
                "SELECT attname, typname FROM pg_attribute a JOIN pg_type t ON t.oid = atttypid "
                "WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum", [name]).fetchall()

    def expected(self, name):
        """(rows, hash) of a table, asked of the server once."""
        if name not in self.wanted:
            row = "concat_ws('|', " + ", ".join(pg_text(*c) for c in self.columns(name)) + ")"
            with psycopg.connect(self.conninfo) as connection:
                self.wanted[name] = connection.execute(f"SELECT count(*), {PG_HASH.format(row=row)} FROM {name}").fetchone()
        return self.wanted[name]

    def check(self, name, path):
        """Reads the Parquet below path with DuckDB and compares it with the table; what differs is a failure."""
        row = "concat_ws('|', " + ", ".join(duck_text(*c) for c in self.columns(name)) + ")"
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'")
        source = path if path.endswith(".parquet") and os.path.isfile(path) else f"{path}/**/*.parquet"
        rows, total = connection.execute(f"SELECT count(*), {DUCK_HASH.format(row=row)} FROM read_parquet('{source}')").fetchone()
        wanted = self.expected(name)
        same = rows == wanted[0] and int(total) == int(wanted[1])
        self.say(f"content of {os.path.basename(path)}: {rows} rows, " + ("equal to the table" if same else f"DIFFERS from {wanted}"))
        if not same:
            self.failures += 1

    def say(self, line):
        print(line, flush=True)
        self.lines.append(line)

    def pipeline(self, name, source, path, **top):
        """Writes a pipeline from a table to Parquet and returns how to run it."""
        out = os.path.join(self.folder, path)
        file = os.path.join(self.folder, f"{name}.json")
        steps = [
            {"type": "extract", "method": "fromPostgres", "config": source},
            {"type": "load", "method": "toFile", "config": {
                "path": out + "/", "format": "parquet", "compression": "snappy", "mode": "overwrite"}},
        ]
        with open(file, "w") as handle:
            json.dump({"name": name, "state": os.path.join(self.folder, "state"), "steps": steps, **top}, handle, indent=2)
        return lambda: once([program(), "run", file, "--progress", "none", "--report", os.path.join(self.folder, f"{name}.report.json")])

    def source(self, name, **keys):
        return {"host": self.server.place, "port": self.server.port, "database": "bench", "username": "postgres",
                "password": "unused", "table": name, **keys}

    def drain(self, name, connections):
        command = [self.options.drain, self.conninfo, name, str(connections), str(4 * connections)]
        return lambda: once(command)

    def psql_duckdb(self, name):
        out = os.path.join(self.folder, f"{name}-duckdb.parquet")
        peer = f"'{sys.executable}' '{HERE}/peer.py' duckdb '{self.conninfo}' {name} - 1 '{out}'"
        copy = f"{self.server.bin}/psql -X -q -c '\\copy {name} to stdout (format csv)' '{self.conninfo}'"
        return lambda: once(["sh", "-c", f"{copy} | {peer}"])

    def peer(self, peer, name, key, connections):
        out = os.path.join(self.folder, f"{name}-{peer}.parquet")
        return lambda: once([sys.executable, f"{HERE}/peer.py", peer, self.conninfo, name, key, str(connections), out])

    def finish(self, title, contenders, rows, base, runs=None):
        self.say(f"\n### {title}\n")
        results, dropped = rounds(contenders, runs or self.options.runs)
        for line in table(results, rows, base):
            self.say(line)
        self.say("")
        for name, why in dropped.items():
            self.say(f"{name} did not run: {why.splitlines()[-1] if why else '?'}")
        self.failures += sum(1 for name in dropped if name.startswith("millrace"))
        self.data[title] = {name: [{k: r[k] for k in ("wall", "cpu", "memory")} for r in found] for name, found in results.items()}
        return results

    def table_job(self, name, key, connections):
        rows = self.expected(name)[0]
        path = f"{name}-{connections}"
        contenders = {
            "drain": self.drain(name, connections),
            "millrace": self.pipeline(path, self.source(name, maxConnections=connections), path),
            "psql to DuckDB": self.psql_duckdb(name),
        }
        for peer in self.options.peers:
            contenders[peer] = self.peer(peer, name, key, connections)
        results = self.finish(f"{name}, {connections} connections", contenders, rows, "drain")
        if "psql to DuckDB" in results:
            self.check(name, os.path.join(self.folder, f"{name}-duckdb.parquet"))
        if "millrace" not in results:
            return
        self.check(name, os.path.join(self.folder, path))
        mine = median(results["millrace"], "wall")
        for other, found in results.items():
            if other not in ("drain", "millrace"):
                self.say(f"millrace is {median(found, 'wall') / mine:.1f} times as fast as {other}")

    def link_job(self):
        """Splits hide a link that limits each connection."""
        rows = self.expected("wide")[0]
        with Proxy(self.server.port, 10_000_000) as proxy:
            contenders = {}
            for splits in (1, 20):
                source = self.source(
                    "wide", partitionColumn="id", lowerBound=1, upperBound=rows, numPartitions=splits, maxConnections=splits)
                source.update(host="127.0.0.1", port=proxy.port)
                contenders[f"millrace {splits} splits"] = self.pipeline(f"link-{splits}", source, f"link-{splits}")
            results = self.finish("10 MB/s a connection, 1 and 20 splits", contenders, rows, "millrace 1 splits", 3)
        if len(results) == 2:
            one, many = (median(results[f"millrace {n} splits"], "wall") for n in (1, 20))
            self.say(f"20 splits are {one / many:.1f} times as fast as 1")
            self.check("wide", os.path.join(self.folder, "link-20"))

    def tuning_job(self):
        rows = self.expected("lineitem")[0]
        contenders = {"millrace default": self.pipeline("tuning-0", self.source("lineitem"), "tuning-0")}
        for connections in (1, 2, 3, 4, 8):
            contenders[f"millrace {connections} connections"] = self.pipeline(
                f"tuning-{connections}", self.source("lineitem", maxConnections=connections), f"tuning-{connections}")
        self.finish("the untuned default and settings by hand", contenders, rows, "millrace default", 3)

    def memory_job(self):
        """Peak memory does not grow with the rows: a tenth of the table against all of it."""
        self.server.execute(
            "bench", "DROP TABLE IF EXISTS lineitem_tenth",
            "CREATE UNLOGGED TABLE lineitem_tenth AS SELECT * FROM lineitem WHERE l_orderkey <= (SELECT max(l_orderkey) / 10 FROM lineitem)",
            "ANALYZE lineitem_tenth")
        contenders = {
            f"millrace {name}": self.pipeline(f"memory-{name}", self.source(name), f"memory-{name}") for name in ("lineitem_tenth", "lineitem")}
        results = self.finish("memory: a tenth of the rows and all", contenders, self.expected("lineitem")[0], "millrace lineitem_tenth", 3)
        if len(results) == 2:
            small, large = (median(found, "memory") for found in results.values())
            self.say(f"peak memory {small / 1e6:.0f} MB and {large / 1e6:.0f} MB: {large / small:.2f} times")

    def start_job(self):
        steps = [{"type": "extract", "method": "fromPostgres", "config": self.source("wide")}]
        steps += [{"type": "transform", "method": "enrichData", "config": {"columns": {f"c{i}": f"id + {i}"}}} for i in range(998)]
        steps.append({"type": "load", "method": "toFile", "config": {"path": "nowhere/", "format": "parquet"}})
        file = os.path.join(self.folder, "thousand.json")
        with open(file, "w") as handle:
            json.dump({"name": "thousand", "steps": steps}, handle, indent=1)
        small = os.path.join(self.folder, "first-row.json")
        with open(small, "w") as handle:
            json.dump({"name": "first-row", "steps": [steps[0], {"type": "transform", "method": "filterRows", "config": {"condition": "id > 0"}}]}, handle)
        contenders = {
            "millrace version": lambda: once([program(), "version"]),
            "millrace validate, 1,000 steps": lambda: once([program(), "validate", file]),
            "millrace preview of one row": lambda: once([program(), "preview", small, "--rows", "1"]),
        }
        self.finish("start", contenders, 0, "millrace version")

    def save(self):
        place = datetime.datetime.now().strftime("benchmark-results-%Y%m%d-%H%M%S")
        os.makedirs(place)
        facts = {"machine": platform.platform(), "cores": os.cpu_count(), "scale": self.options.scale, "runs": self.options.runs}
        with open(f"{place}/results.json", "w") as handle:
            json.dump({"facts": facts, "jobs": self.data}, handle, indent=2)
        with open(f"{place}/results.md", "w") as handle:
            handle.write(f"{json.dumps(facts)}\n" + "\n".join(self.lines) + "\n")
        for name in os.listdir(self.folder):
            if name.endswith(".json"):
                shutil.copy(os.path.join(self.folder, name), place)
        print(f"results in {place}/")


def pg_text(name, type):
    if type == "timestamptz":
        return f"extract(epoch FROM {name})::numeric(20,6)::text"
    if type == "float8":
        return f"(round({name} * 100))::bigint::text"
    return f"{name}::text"


def duck_text(name, type):
    if type == "timestamptz":
        return f"printf('%d.%06d', epoch_us({name}) // 1000000, epoch_us({name}) % 1000000)"
    if type == "float8":
        return f"(round({name} * 100))::BIGINT::VARCHAR"
    if type == "bpchar":
        return f"rtrim({name})"
    return f"{name}::VARCHAR"


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peers", default="", type=lambda text: [p for p in text.split(",") if p])
    parser.add_argument("--drain", default=os.path.join(os.path.dirname(program()), "tests/bench/drain"))
    parser.add_argument("jobs", nargs="*")
    return parser.parse_args()


def main():
    options = parse()
    jobs = options.jobs or ["start", "lineitem-2", "lineitem-4", "orders", "link", "tuning", "memory"]
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder, Server() as server:
        bench = Bench(server, options, folder)
        bench.load()
        for job in jobs:
            if job.startswith("lineitem-"):
                bench.table_job("lineitem", "l_orderkey", int(job.split("-")[1]))
            elif job == "orders":
                bench.table_job("orders", "o_orderkey", 4)
            else:
                getattr(bench, f"{job}_job")()
        bench.save()
        sys.exit(1 if bench.failures else 0)


main()

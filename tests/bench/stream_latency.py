#!/usr/bin/env python3
"""From an event to its commit: records at a steady rate through a real broker into a Delta table, mode streaming.

  stream_latency.py [--rate 50000] [--seconds 60] [--trigger "1 second"] [--twice RATE] [--partitions 4] [--heap 512m]

Each record has the time at which it was given to the producer. The latency of a record is the time of its commit (the later of
what the Delta log says and of the log file) less that time; the log and the files are read by deltalake and DuckDB, after the end. Memory and descriptors are those of the process,
looked at every second; its first and last part are a quarter of the time each, a minute at most. All records must be in the table once.
--twice: afterwards so many records a second for as long, into another table; then the time until all are committed.
The bar's form is --seconds 600: p95 at most 2.5 s, memory of the first and last minute within 5 %, caught up within 60 s.
"""

import argparse
import glob
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import broker
import duckdb

TOOL = os.environ.get("KAFKA_TOOL", "tests/bench/kafka_tool")
MILLRACE = os.environ.get("MILLRACE_BIN", "./millrace")
PATIENCE = 300


def pipeline(server, topic, out, arguments):
    return {
        "name": topic, "mode": "streaming", "resources": {"memory": arguments.memory},
        "steps": [
            {"type": "extract", "method": "fromKafka", "config": {
                "bootstrap.servers": server.servers, "topic": topic, "format": "json",
                "schema": "id BIGINT, sent BIGINT, note STRING", "startingOffsets": "earliest"}},
            {"type": "load", "method": "toDelta", "config": {"path": out, "mode": "append", "trigger": arguments.trigger}},
        ],
    }


def rows_of(out):
    """Rows that are committed, by the statistics of the log; each commit is read once."""
    total = 0
    for path in glob.glob(os.path.join(out, "_delta_log", "*.json")):
        if path not in rows_of.known:
            with open(path) as file:
                adds = [json.loads(line).get("add") for line in file if line.strip()]
            rows_of.known[path] = sum(json.loads(add["stats"])["numRecords"] for add in adds if add)
        total += rows_of.known[path]
    return total


rows_of.known = {}


def sample(pid):
    with open(f"/proc/{pid}/status") as file:
        resident = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    return resident / 1024, len(os.listdir(f"/proc/{pid}/fd"))


def latencies(out):
    """Seconds from record to commit: p50, p95, p99, the largest; records, different ones."""
    commits = []
    for path in sorted(glob.glob(os.path.join(out, "_delta_log", "*.json"))):
        with open(path) as file:
            actions = [json.loads(line) for line in file if line.strip()]
        at = next((a["commitInfo"]["timestamp"] for a in actions if "commitInfo" in a), None)
        at = max((at or 0) * 1000, os.stat(path).st_mtime_ns // 1000)
        commits += [(os.path.join(out, a["add"]["path"]), at) for a in actions if "add" in a]
    connection = duckdb.connect()
    connection.execute("CREATE TABLE commits (name VARCHAR, committed BIGINT)")
    connection.executemany("INSERT INTO commits VALUES (?, ?)", commits)
    quantiles = "quantile_cont((committed - sent) / 1e6, [0.5, 0.95, 0.99, 1.0])"
    found = connection.execute(
        f"SELECT {quantiles}, count(*), count(DISTINCT id) FROM read_parquet(?, filename = true) r JOIN commits c ON c.name = r.filename",
        [[name for name, _ in commits]]).fetchall()[0]
    return found[0], found[1], found[2], len(commits)


class Run:
    def __init__(self, server, folder, topic, arguments):
        self.out = os.path.join(folder, topic)
        self.report = os.path.join(folder, f"{topic}.report.json")
        server.topic(topic, arguments.partitions)
        path = os.path.join(folder, f"{topic}.json")
        with open(path, "w") as file:
            json.dump(pipeline(server, topic, self.out, arguments), file)
        self.log = open(os.path.join(folder, f"{topic}.log"), "wb")
        self.process = subprocess.Popen([MILLRACE, "run", path, "--progress", "none", "--report", self.report], stdout=self.log, stderr=self.log,
                                        env={**os.environ, "MILLRACE_STATE": os.path.join(folder, "state")})
        self.samples = []

    def alive(self):
        if self.process.poll() is not None:
            with open(self.log.name) as file:
                sys.exit(f"millrace ended with {self.process.returncode}: {file.read()[-2000:]}")

    def pace(self, server, topic, rate, seconds):
        """(what the producer says, seconds until all is committed after its end)"""
        producer = subprocess.Popen([TOOL, "pace", server.servers, topic, str(rate), str(seconds)], stdout=subprocess.PIPE, text=True)
        while producer.poll() is None:
            self.alive()
            self.samples.append(sample(self.process.pid))
            try:
                producer.wait(1)
            except subprocess.TimeoutExpired:
                pass
        ended = time.monotonic()
        said = json.loads(producer.stdout.read())
        while rows_of(self.out) < said["records"]:
            self.alive()
            if time.monotonic() - ended > PATIENCE:
                sys.exit(f"{rows_of(self.out)} of {said['records']} records are there {PATIENCE} s after the last one")
            time.sleep(0.05)
        return said, time.monotonic() - ended

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)
        with open(self.report) as file:
            return json.load(file)


def tell(name, rate, run, said, behind, report):
    found, records, distinct, commits = latencies(run.out)
    part = max(1, min(60, len(run.samples) // 4))
    first, last = (statistics.median(m for m, _ in samples) for samples in (run.samples[:part], run.samples[-part:]))
    exact = records == distinct == said["records"]
    print(f"| {name} | {rate:,} | {said['records'] / said['seconds']:,.0f} | {' / '.join(f'{q:.2f}' for q in found)} | {commits} | {behind:.1f} | "
          f"{first:.0f} / {last:.0f} ({100 * (last / first - 1):+.1f} %) | {max(m for m, _ in run.samples):.0f} | "
          f"{run.samples[0][1]} / {run.samples[-1][1]} | {'each once' if exact else f'{records} rows, {distinct} different'} |", flush=True)
    print(f"report of {name}: {json.dumps(report.get('stream'))}", file=sys.stderr)
    return exact


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=50_000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--trigger", default="1 second")
    parser.add_argument("--twice", type=int, default=0)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--heap", default="512m")
    parser.add_argument("--memory", default="512MB")
    arguments = parser.parse_args()
    if broker.jars() is None:
        sys.exit("no Kafka broker (bin/lib/kafka.sh; Java)")
    folder = tempfile.mkdtemp(prefix="millrace-bench-")
    exact = True
    try:
        with broker.Broker(heap=arguments.heap) as server:
            print("| | asked records/s | sent | latency p50 / p95 / p99 / most, s | files | all committed after, s | MB first / last | most MB | descriptors | table |")
            print("|---|---|---|---|---|---|---|---|---|---|")
            for name, rate in (("steady", arguments.rate), ("twice", arguments.twice)):
                if rate == 0:
                    continue
                run = Run(server, folder, name, arguments)
                said, behind = run.pace(server, name, rate, arguments.seconds)
                exact &= tell(name, rate, run, said, behind, run.end())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if exact else 1)


main()

#!/usr/bin/env python3
"""From an event to its commit: records through a real broker into a Delta table, mode streaming, and what happens at twice the rate that can be sustained.

  stream_latency.py [--rate 50000] [--seconds 60] [--probe 20] [--burst 60] [--backlog 10] [--trigger "1 second"] [--partitions 4] [--heap 512m] [--memory 512MB]
                    [--only PHASE]

Producer, broker and Millrace share this machine's cores. Four phases, each with a topic and a table of its own:

steady        --rate records a second for --seconds. Each record has the time at which it was given to the producer; its latency is the time of its commit (the
              later of what the Delta log says and of the log file) less that time. Memory is looked at every second; its first and last part are a minute, or a
              quarter of the time if that is less. The bar's form is --seconds 600: p95 at most 2.5 s, memory of both within 5 %.
sustainable   the producer as fast as it goes for --probe seconds. The sustainable rate is what is committed a second in that time, behind its first quarter. It is
              bound by the producer and the broker if that is what they bring. Beside it: a stock of records read without a producer.
twice         for --burst seconds twice that rate. What the producer cannot make beside the others waits in the topic before: as many records as the sustainable
              rate makes in that time, while the producer goes on at the sustainable rate. Bars: resident memory inside --memory, all committed within 60 s
              after the last record.
backlog       the harder form: twice what Millrace reads without a producer, for --backlog seconds, all of it in the topic before (lz4, about 60 s to fill for 10 s). Reading
              it takes twice as long as it stands for if the rate holds; memory as before, all committed within 60 s after the time that it stands for.

All records must be in the tables once.
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


def commits_of(out):
    """[(path of a file, its commit in microseconds, rows)]"""
    commits = []
    for path in sorted(glob.glob(os.path.join(out, "_delta_log", "*.json"))):
        with open(path) as file:
            actions = [json.loads(line) for line in file if line.strip()]
        at = next((a["commitInfo"]["timestamp"] for a in actions if "commitInfo" in a), None)
        at = max((at or 0) * 1000, os.stat(path).st_mtime_ns // 1000)
        commits += [(os.path.join(out, a["add"]["path"]), at, json.loads(a["add"]["stats"])["numRecords"]) for a in actions if "add" in a]
    return commits


def look(out, first=0):
    """Seconds from record to commit (p50, p95, p99, the largest) of the records from the number `first` on; all records, and different ones."""
    commits = commits_of(out)
    connection = duckdb.connect()
    connection.execute("CREATE TABLE commits (name VARCHAR, committed BIGINT)")
    connection.executemany("INSERT INTO commits VALUES (?, ?)", [c[:2] for c in commits])
    found = connection.execute(
        f"SELECT quantile_cont((committed - sent) / 1e6, [0.5, 0.95, 0.99, 1.0]) FILTER (id >= {first}), count(*), count(DISTINCT id), min(id), max(id) "
        "FROM read_parquet(?, filename = true) r JOIN commits c ON c.name = r.filename", [[c[0] for c in commits]]).fetchall()[0]
    return found[0], found[1], found[1] == found[2] == found[4] + 1 and found[3] == 0


class Run:
    """A stream from a topic to a table; made: the topic is there."""

    def __init__(self, server, folder, topic, arguments, made=False):
        self.server, self.topic = server, topic
        self.out = os.path.join(folder, topic)
        self.report = os.path.join(folder, f"{topic}.report.json")
        if not made:
            server.topic(topic, arguments.partitions)
        path = os.path.join(folder, f"{topic}.json")
        with open(path, "w") as file:
            json.dump(pipeline(server, topic, self.out, arguments), file)
        self.log = open(os.path.join(folder, f"{topic}.log"), "wb")
        self.process = subprocess.Popen([MILLRACE, "run", path, "--progress", "none", "--report", self.report], stdout=self.log, stderr=self.log,
                                        env={**os.environ, "MILLRACE_STATE": os.path.join(folder, "state")})
        self.samples = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.log.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def alive(self):
        if self.process.poll() is not None:
            with open(self.log.name) as file:
                sys.exit(f"millrace ended with {self.process.returncode}: {file.read()[-2000:]}")

    def wait(self, records):
        """Seconds until so many are committed."""
        began = looked = time.monotonic()
        while rows_of(self.out) < records:
            self.alive()
            now = time.monotonic()
            if now - began > PATIENCE:
                sys.exit(f"{rows_of(self.out)} of {records} records are there {PATIENCE} s after the last one")
            if now - looked >= 1:
                self.samples.append(sample(self.process.pid))
                looked = now
            time.sleep(0.05)
        return time.monotonic() - began

    def pace(self, rate, seconds, first=0):
        """(what the producer says, seconds until all is committed after its end)"""
        producer = subprocess.Popen([TOOL, "pace", self.server.servers, self.topic, str(rate), str(seconds), str(first)], stdout=subprocess.PIPE, text=True)
        while producer.poll() is None:
            self.alive()
            self.samples.append(sample(self.process.pid))
            try:
                producer.wait(1)
            except subprocess.TimeoutExpired:
                pass
        said = json.loads(producer.stdout.read())
        return said, self.wait(first + said["records"])

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)
        with open(self.report) as file:
            print(f"report of {self.topic}: {json.dumps(json.load(file).get('stream'))}", file=sys.stderr)

    def most(self):
        return max(m for m, _ in self.samples)


def bar(text, met):
    print(f"bar, {text}: {'met' if met else 'missed'}", flush=True)


def exactly(run, records, first=0):
    """Latencies; stops where a record is missing or comes twice."""
    found, rows, once = look(run.out, first)
    if rows != records or not once:
        sys.exit(f"{run.topic}: {rows} rows of {records} records, {'' if once else 'not '}each once")
    shutil.rmtree(run.out)
    return found


def steady(server, folder, arguments):
    with Run(server, folder, "steady", arguments) as run:
        said, behind = run.pace(arguments.rate, arguments.seconds)
        run.end()
    p50, p95, p99, most = exactly(run, said["records"])
    part = max(1, min(60, arguments.seconds // 4))
    middle = run.samples[:arguments.seconds]
    first, last = (statistics.median(m for m, _ in samples) for samples in (middle[:part], middle[-part:]))
    print(f"steady: {said['records'] / said['seconds']:,.0f} records/s of {arguments.rate:,} asked for, {arguments.seconds} s, {said['records']:,} records, each once; "
          f"most behind at the producer {said['most_behind']:,}")
    print(f"steady: latency p50 {p50:.2f}, p95 {p95:.2f}, p99 {p99:.2f}, most {most:.2f} s; the last committed {behind:.1f} s after it was sent; "
          f"descriptors {middle[0][1]} and {middle[-1][1]}; at most {run.most():.0f} MB")
    bar(f"p95 {p95:.2f} s at {arguments.rate:,} records/s over {arguments.seconds} s, at most 2.5", p95 <= 2.5 and said["records"] >= 0.99 * arguments.rate * arguments.seconds)
    bar(f"memory of the first {part} s {first:.1f} MB and of the last {last:.1f} MB ({100 * (last / first - 1):+.1f} %), within 5 %", abs(last / first - 1) <= 0.05)


def committed_between(out, start, end):
    return sum(rows for _, at, rows in commits_of(out) if start < at / 1e6 <= end)


def sustainable(server, folder, arguments):
    """Records a second: beside the producer, and without one."""
    with Run(server, folder, "sustainable", arguments) as run:
        began = time.time()
        said, behind = run.pace(0, arguments.probe)
        run.end()
    start, end = began + arguments.probe / 4, began + arguments.probe
    rate = committed_between(run.out, start, end) / (end - start)
    made = said["records"] / said["seconds"]
    exactly(run, said["records"])
    records = int(made * arguments.probe)
    server.topic("stock", arguments.partitions)
    subprocess.run([TOOL, "stock", server.servers, "stock", str(records), "none"], check=True, stdout=subprocess.DEVNULL)
    began = time.monotonic()
    with Run(server, folder, "stock", arguments, made=True) as alone:
        alone.wait(records)
        took = time.monotonic() - began
        alone.end()
    exactly(alone, records)
    print(f"sustainable: the producer brings {made:,.0f} records/s as fast as it goes, {rate:,.0f} are committed meanwhile, the rest {behind:.1f} s after; "
          f"bound by {'the producer and the broker' if behind <= 2 else 'Millrace beside them'}; at most {run.most():.0f} MB")
    print(f"sustainable: without a producer a stock of {records:,} is committed at {records / took:,.0f} records/s, with the start of the process; at most {alone.most():.0f} MB")
    admin = server.admin()
    try:
        admin.delete_topics(["sustainable", "stock"])
    finally:
        admin.close()
    return int(min(rate, made)), int(records / took)


def twice(server, folder, arguments, rate):
    stock = rate * arguments.burst
    server.topic("twice", arguments.partitions)
    subprocess.run([TOOL, "stock", server.servers, "twice", str(stock), "none"], check=True, stdout=subprocess.DEVNULL)
    with Run(server, folder, "twice", arguments, made=True) as run:
        said, behind = run.pace(rate, arguments.burst, first=stock)
        run.end()
    offered = (stock + said["records"]) / arguments.burst
    exactly(run, stock + said["records"], stock)
    budget = float(arguments.memory.rstrip("MB"))
    print(f"twice: {stock:,} records waited and {said['records']:,} came in {said['seconds']:.1f} s, {offered:,.0f} records/s: "
          f"{offered / rate:.2f} times the sustainable {rate:,}; each once")
    bar(f"at most {run.most() * 1.048576:.0f} MB resident at twice the rate, budget {budget:.0f}", run.most() * 1.048576 <= budget and offered >= 1.9 * rate)
    bar(f"caught up {behind:.1f} s after the last record, at most 60", behind <= 60 and offered >= 1.9 * rate)


def backlog(server, folder, arguments, rate):
    records = 2 * rate * arguments.backlog
    server.topic("backlog", arguments.partitions)
    subprocess.run([TOOL, "stock", server.servers, "backlog", str(records), "lz4"], check=True, stdout=subprocess.DEVNULL)
    with Run(server, folder, "backlog", arguments, made=True) as run:
        took = run.wait(records)
        run.end()
    exactly(run, records)
    budget = float(arguments.memory.rstrip("MB"))
    print(f"backlog: {records:,} records, {arguments.backlog} s at twice the {rate:,} records/s without a producer, committed in {took:.1f} s ({records / took:,.0f} records/s), each once")
    bar(f"at most {run.most() * 1.048576:.0f} MB resident with the backlog, budget {budget:.0f}", run.most() * 1.048576 <= budget)
    bar(f"caught up {max(0, took - arguments.backlog):.1f} s after the {arguments.backlog} s that it stands for, at most 60", took - arguments.backlog <= 60)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=50_000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--probe", type=int, default=20)
    parser.add_argument("--burst", type=int, default=60)
    parser.add_argument("--backlog", type=int, default=10, help="0: without it")
    parser.add_argument("--trigger", default="1 second")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--heap", default="512m")
    parser.add_argument("--memory", default="512MB")
    parser.add_argument("--only", choices=("steady", "twice"))
    arguments = parser.parse_args()
    if broker.jars() is None:
        sys.exit("no Kafka broker (bin/lib/kafka.sh; Java)")
    folder = tempfile.mkdtemp(prefix="millrace-bench-")
    try:
        with broker.Broker(heap=arguments.heap) as server:
            if arguments.only != "twice":
                steady(server, folder, arguments)
            if arguments.only != "steady":
                rate, alone = sustainable(server, folder, arguments)
                twice(server, folder, arguments, rate)
                if arguments.backlog:
                    backlog(server, folder, arguments, alone)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main()

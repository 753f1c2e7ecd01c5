#!/usr/bin/env python3
"""A topic of JSON into Parquet and Delta, beside librdkafka alone draining it: wall, CPU, messages/s, median of the rounds.

  kafka_read.py [--records 4000000] [--rounds 3] [--codec none] [--heap 512m] [--spark PYTHON]

A broker of its own on this machine (bin/lib/kafka.sh), 4 partitions, values of about 200 bytes, 5 of their 6 fields into typed columns. Contenders
take turns, so that ratios mean something on a machine that is not quiet; the broker's CPU is shown apart. DuckDB checks every column of every round.

--spark: the peer, Spark structured streaming (kafka_spark.py; PYTHON has pyspark 3.5.7) with the trigger availableNow, the same topic, columns and
formats, on as many threads as there are cores. It does the job twice in one process: shown are the first time with the start of the JVM, which is what
Millrace's time is, too, and the second time, warm and without any start. The ratio is taken of the second.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import broker
import duckdb
import measure

TOOL = os.environ.get("KAFKA_TOOL", "tests/bench/kafka_tool")
MILLRACE = os.environ.get("MILLRACE_BIN", "./millrace")
SCHEMA = "id BIGINT, user STRING, amount DECIMAL(10,2), at TIMESTAMP, note STRING"
CHECK = "count(*), count(DISTINCT id), sum(id), sum(amount), sum(epoch_ms(\"at\") % 1000), sum(length(note)), count(DISTINCT \"user\")"


def expected(records):
    """The same sums of what kafka_tool wrote."""
    amount = f"(n % 1000) + (n % 100) / 100.0"
    one = duckdb.sql(
        f"SELECT count(*), count(DISTINCT n), sum(n), sum(({amount})::DECIMAL(10,2)), sum(n % 1000), sum(least(60 + n % 40, 92)), "
        f"count(DISTINCT n * 7919 % 1000000) FROM range({records}) t(n)"
    ).fetchall()[0]
    return tuple(float(v) for v in one)


def cpu_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        words = file.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def pipeline(server, method, out):
    config = {"toFile": {"path": out, "format": "parquet", "mode": "overwrite"}, "toDeltaLake": {"path": out, "mode": "overwrite"}}[method]
    return {
        "name": "drain",
        "steps": [
            {"type": "extract", "method": "fromKafka",
             "config": {"bootstrap.servers": server.servers, "topic": "bench", "format": "json", "schema": SCHEMA}},
            {"type": "load", "method": method, "config": config},
        ],
    }


def same(out, name, wanted):
    found = duckdb.sql(f"SELECT {CHECK} FROM read_parquet('{out}/**/*.parquet')").fetchall()[0]
    if tuple(float(v) for v in found) != wanted:
        raise measure.Failed(f"{name}: {found}, wanted {wanted}")


def lines_of(name, found, records):
    """Lines of the table; CPU of the peer is that of both of its queries."""
    cpu, twice = measure.median(found, "cpu"), 2 if "warm" in found[0] else 1
    costs = f"{cpu:.2f} | {cpu / records / twice * 1e6:.2f} | {measure.median(found, 'broker'):.2f} | {measure.median(found, 'memory') / 1e6:.0f}"
    for key, title in (("cold", ", start and first query"), ("warm", ", second query")) if twice == 2 else (("wall", ""),):
        wall = measure.median(found, key)
        yield (f"| {name}{title} | {wall:.2f} ({min(r[key] for r in found):.2f}-{max(r[key] for r in found):.2f}) | {records / wall:,.0f} | "
               f"{' | | | ' if key == 'warm' else costs} |")


def bars(results, records):
    """A line for each bar; ratios are the medians of those within the rounds."""
    for kind in ("Parquet", "Delta"):
        ours, alone = results.get(f"to {kind}"), results.get("librdkafka alone")
        if not ours:
            continue
        rate = records / measure.median(ours, "wall")
        yield f"bar, to {kind}: {rate / 1e6:.2f} M messages/s, at least 1: {'met' if rate >= 1e6 else 'missed'}"
        if alone:
            yield f"     {statistics.median(a['wall'] / o['wall'] for a, o in zip(alone, ours)):.2f} of librdkafka alone"
        theirs = results.get(f"Spark to {kind}")
        if theirs:
            times = statistics.median(t["warm"] / o["wall"] for t, o in zip(theirs, ours))
            yield f"bar, to {kind}: {times:.1f} times as fast as Spark's second query, ahead of the peer: {'met' if times > 1 else 'missed'}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=4_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--codec", default="none")
    parser.add_argument("--heap", default="512m")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--spark", metavar="PYTHON", help="a Python with pyspark 3.5.7")
    arguments = parser.parse_args()
    if broker.jars() is None:
        sys.exit("no Kafka broker (bin/lib/kafka.sh; Java)")
    wanted = expected(arguments.records)
    folder = tempfile.mkdtemp(prefix="millrace-bench-")
    try:
        with broker.Broker(heap=arguments.heap) as server:
            server.topic("bench", arguments.partitions)
            filled = json.loads(measure.once([TOOL, "fill", server.servers, "bench", str(arguments.records), arguments.codec])["out"])
            print(f"{filled['records']} records, {filled['bytes'] / filled['records']:.0f} bytes each, codec {arguments.codec}", flush=True)

            def busy(function):
                before = cpu_of(server.process.pid)
                return {**function(), "broker": cpu_of(server.process.pid) - before}

            def drain():
                return busy(lambda: measure.once([TOOL, "drain", server.servers, "bench", str(arguments.records)]))

            def load(method):
                out = os.path.join(folder, method)
                shutil.rmtree(out, ignore_errors=True)
                path = os.path.join(folder, method + ".json")
                with open(path, "w") as file:
                    json.dump(pipeline(server, method, out), file)
                result = busy(lambda: measure.once([MILLRACE, "run", path, "--progress", "none"], {"MILLRACE_STATE": folder + "/state"}))
                same(out, method, wanted)
                return result

            def spark(kind):
                out = os.path.join(folder, "spark-" + kind)
                for made in (out, out + ".checkpoint", out + ".first", out + ".first.checkpoint"):
                    shutil.rmtree(made, ignore_errors=True)
                result = busy(lambda: measure.once([arguments.spark, os.path.join(HERE, "kafka_spark.py"), server.servers, "bench", kind, out,
                                                    str(len(os.sched_getaffinity(0)))]))
                same(out, kind, wanted)
                said = next(json.loads(line) for line in result["out"].splitlines() if line.startswith("{"))
                return {**result, "cold": said["start"] + said["first"], "warm": said["second"]}

            contenders = {"librdkafka alone": drain, "to Parquet": lambda: load("toFile"), "to Delta": lambda: load("toDeltaLake")}
            if arguments.spark:
                contenders.update({"Spark to Parquet": lambda: spark("parquet"), "Spark to Delta": lambda: spark("delta")})
            results, dropped = measure.rounds(contenders, arguments.rounds)
            print("| | wall s (min-max) | messages/s | CPU s | us a message | broker CPU s | peak MB |\n|---|---|---|---|---|---|---|")
            for name, found in results.items():
                for line in lines_of(name, found, arguments.records):
                    print(line)
            print()
            for line in bars(results, arguments.records):
                print(line)
            if dropped:
                sys.exit(1)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main()

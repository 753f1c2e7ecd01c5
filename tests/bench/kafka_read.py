#!/usr/bin/env python3
"""A topic of JSON into Parquet and Delta, beside librdkafka alone draining it: wall, CPU, messages/s, median of the rounds.

  kafka_read.py [--records 4000000] [--rounds 3] [--codec none] [--heap 512m]

A broker of its own on this machine (bin/lib/kafka.sh), 4 partitions, values of about 200 bytes, 5 of their 6 fields into typed columns. Contenders
take turns, so that ratios mean something on a machine that is not quiet; the broker's CPU is shown apart. DuckDB checks every column of every round.
"""

import argparse
import json
import os
import shutil
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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=4_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--codec", default="none")
    parser.add_argument("--heap", default="512m")
    parser.add_argument("--partitions", type=int, default=4)
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
                found = duckdb.sql(f"SELECT {CHECK} FROM read_parquet('{out}/**/*.parquet')").fetchall()[0]
                if tuple(float(v) for v in found) != wanted:
                    raise measure.Failed(f"{method}: {found}, wanted {wanted}")
                return result

            contenders = {"librdkafka alone": drain, "to Parquet": lambda: load("toFile"), "to Delta": lambda: load("toDeltaLake")}
            results, dropped = measure.rounds(contenders, arguments.rounds)
            print("| | wall s | messages/s | CPU s | us a message | broker CPU s | peak MB |\n|---|---|---|---|---|---|---|")
            for name, found in results.items():
                wall, cpu = measure.median(found, "wall"), measure.median(found, "cpu")
                print(f"| {name} | {wall:.2f} | {arguments.records / wall:,.0f} | {cpu:.2f} | {cpu / arguments.records * 1e6:.2f} | "
                      f"{measure.median(found, 'broker'):.2f} | {measure.median(found, 'memory') / 1e6:.0f} |")
            if dropped:
                sys.exit(1)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main()

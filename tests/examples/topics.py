#!/usr/bin/env python3
"""The examples with a topic, through the front door: one sandbox broker, and results compared with what kafka-python finds in the topics.

The broker's folder of an earlier time goes, so that the topics are as a newcomer finds them. .sandbox/ and config/examples/data/ are the checkout's own.
"""

import collections
import datetime
import decimal
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, checkout, equal, need

need("kafka", "pyarrow", "deltalake")
import broker
from deltalake import DeltaTable
from kafka import KafkaConsumer, TopicPartition

ROOT = checkout()
CREDENTIALS = os.path.join(ROOT, "config", "credentials-kafka.json")
LAKE = os.path.join(ROOT, "config", "examples", "data", "kafka")
TIME = "%Y-%m-%dT%H:%M:%SZ"
STATE = tempfile.mkdtemp(prefix="millrace-examples-")


def sandbox(word):
    subprocess.run([os.path.join(ROOT, "bin", "sandbox.sh"), word], stdin=subprocess.DEVNULL, check=True)


def environment():
    return {k: v for k, v in os.environ.items() if not k.startswith(("MILLRACE_", "PG"))}


def run(example, *arguments):
    """Returns the lines of the sample: names, and three rows, whatever this run found to read."""
    done = subprocess.run(
        [os.path.join(ROOT, "bin", "run-local.sh"), f"config/examples/{example}.json", "--credentials", CREDENTIALS, "--state", STATE, *arguments],
        cwd=ROOT, env={**environment(), "SAMPLE_ROWS": "3"}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    equal(done.returncode, 0, f"{done.stdout[-2000:]}{done.stderr[-2000:]}")
    sample = done.stdout.partition("\nSample of the result:\n")[2].splitlines()
    equal(len(sample), 4, f"lines of the sample: {done.stdout}")
    return sample


@functools.cache
def events():
    return topic("events")


def topic(name, isolation="read_uncommitted"):
    """All records, by a client that shares no code with ours."""
    with open(os.path.join(ROOT, ".sandbox", "kafka", "port"), encoding="ascii") as file:
        consumer = KafkaConsumer(bootstrap_servers=f"127.0.0.1:{int(file.read())}", isolation_level=isolation, consumer_timeout_ms=5000,
                                 max_poll_records=20000)
    parts = [TopicPartition(name, number) for number in consumer.partitions_for_topic(name)]
    ends, records = consumer.end_offsets(parts), []
    consumer.assign(parts)
    consumer.seek_to_beginning(*parts)
    while any(consumer.position(part) < ends[part] for part in parts):
        for found in consumer.poll(timeout_ms=1000).values():
            records += found
    consumer.close()
    return records


def moment(text):
    return datetime.datetime.strptime(text, TIME).replace(tzinfo=datetime.timezone.utc)


def row(value):
    return (value["id"], value["user"], value["country"], decimal.Decimal(str(value["amount"])).quantize(decimal.Decimal("0.01")), moment(value["at"]))


def orders(records):
    found = (json.loads(record.value, parse_float=decimal.Decimal) for record in records)
    return sorted(row(value) for value in found if value["event"] == "order")


def delta(folder):
    columns = DeltaTable(os.path.join(LAKE, folder)).to_pyarrow_table(columns=["id", "user", "country", "amount", "at"]).to_pydict()
    return sorted(zip(*columns.values()))


def kafka_to_delta():
    run("kafka-to-delta")
    sample = run("kafka-to-delta")
    wanted = orders(events())
    check({int(line.split()[0]) for line in sample[1:]} <= {order[0] for order in wanted}, sample)
    equal(len(wanted), 16666, "orders of the topic")
    equal(delta("orders") == wanted, True, "the table has the orders of the topic, after two runs")


def kafka_to_kafka():
    for _ in range(2):
        sample = run("kafka-to-kafka")
    records = topic("orders", "read_committed")
    first = {(record.partition, record.offset): record.value.decode() for record in records}
    for line in sample[1:]:
        partition, offset = line.split()[:2]
        check(line.endswith(first[int(partition), int(offset)]), f"{line} is no record of the topic")
    values = ((record.timestamp, json.loads(record.value, parse_float=decimal.Decimal)) for record in records)
    got = sorted(row({**value, "at": datetime.datetime.fromtimestamp(at / 1000, datetime.timezone.utc).strftime(TIME)}) for at, value in values)
    equal(got == orders(events()), True, "the topic has the orders of the other, after two runs")
    for record in records[::500]:
        value = json.loads(record.value)
        equal(record.key, value["country"].encode(), "key")


def windowed_revenue():
    """A minute is closed by the slowest partition, ten seconds behind its latest record."""
    latest, minutes = {}, collections.defaultdict(lambda: [0, decimal.Decimal(0)])
    for record in events():
        value = json.loads(record.value, parse_float=decimal.Decimal)
        at = moment(value["at"])
        latest[record.partition] = max(at, latest.get(record.partition, at))
        if value["event"] == "order":
            found = minutes[value["country"], at.replace(second=0)]
            found[0] += 1
            found[1] += value["amount"]
    closed = min(latest.values()) - datetime.timedelta(seconds=10)
    wanted = sorted((country, at, *found) for (country, at), found in minutes.items() if at + datetime.timedelta(minutes=1) <= closed)
    for _ in range(2):
        run("windowed-revenue")
    columns = ["country", "window_start", "orders", "revenue"]
    got = sorted(zip(*DeltaTable(os.path.join(LAKE, "revenue")).to_pyarrow_table(columns=columns).to_pydict().values()))
    check(len(wanted) > 5000, f"{len(wanted)} minutes")
    equal(got[:3], wanted[:3], "the first minutes")
    equal(got == wanted, True, "all minutes, each once, after two runs")


def streaming_kafka():
    """Clicks go on coming while it reads: what is there is what the topic has up to some place, and the next run goes on from it."""
    before = 0
    for _ in range(2):
        run("streaming-kafka")
        got, there = delta("live-orders"), orders(topic("clicks"))
        equal(len(set(got)), len(got), "orders, each once")
        check(set(got) <= set(there), "orders that nobody sent")
        check(len(got) >= before + 333, f"{len(got)} orders, {before} before")
        before = len(got)
    check(len(there) - len(got) < 333, f"{len(got)} of {len(there)} orders")


def own_records():
    """The commands of the guide, as they stand there, in a folder of their own; then more records, and the same pipeline as a stream."""
    with open(os.path.join(ROOT, "docs", "guide", "kafka.md"), encoding="utf-8") as file:
        commands = re.search(r"```sh\n(.*?)```", file.read(), re.S)[1]
    with tempfile.TemporaryDirectory() as folder:
        def shell(script, **more):
            done = subprocess.run(["bash", "-e", "-c", script.replace("data/", f"{folder}/").replace("mkdir -p data\n", "")], cwd=ROOT, env=environment(),
                                  capture_output=True, text=True, timeout=600, **more)
            equal(done.returncode, 0, f"{done.stdout}{done.stderr}")
            return done.stdout

        def visits():
            columns = DeltaTable(os.path.join(folder, "visits")).to_pyarrow_table(columns=["id", "user"]).to_pydict()
            return sorted(zip(*columns.values()))

        said = shell(commands)
        equal(visits(), [(1, "ann"), (2, "bob"), (3, "ann")], "visits")
        for user in ("ann", "bob"):
            check(user in said.partition("Sample of the result")[2], said)
        with open(os.path.join(folder, "visits.json"), encoding="utf-8") as file:
            work = json.load(file)
        work["mode"], work["name"] = "streaming", "live-visits"
        work["steps"][0]["config"]["startingOffsets"] = "earliest"
        work["steps"][1]["config"].update(path="live", trigger="availableNow")
        with open(os.path.join(folder, "live.json"), "w", encoding="utf-8") as file:
            json.dump(work, file)
        shell("bin/sandbox.sh kcat -P -t visits -K '|' -H from=guide", input='eve|{"id": 4, "user": "eve"}\n')
        said = shell("bin/run-local.sh data/live.json --credentials config/credentials-kafka.json")
        check("eve" in said.partition("Sample of the result")[2], said)
        last = max(topic("visits"), key=lambda record: record.timestamp)
        equal((last.key, list(last.headers)), (b"eve", [("from", b"guide")]), "the record")


def main():
    if not shutil.which("kcat") or (broker.jars() is None and not shutil.which("java")):
        print("1..0 # SKIP no Kafka broker (Java and kcat)")
        sys.exit(77)
    suite = Suite("examples with a topic")
    sandbox("stop-kafka")
    for place in (os.path.join(ROOT, ".sandbox", "kafka"), LAKE):
        shutil.rmtree(place, ignore_errors=True)
    try:
        for function in (kafka_to_delta, kafka_to_kafka, windowed_revenue, streaming_kafka, own_records):
            suite.case(function.__name__.replace("_", "-"), function)
    finally:
        sandbox("stop-kafka")
        shutil.rmtree(STATE, ignore_errors=True)
    suite.end()


main()

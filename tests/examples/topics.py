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


def run(example, *arguments, sample="0"):
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("MILLRACE_", "PG"))}
    done = subprocess.run(
        [os.path.join(ROOT, "bin", "run-local.sh"), f"config/examples/{example}.json", "--credentials", CREDENTIALS, "--state", STATE, *arguments],
        cwd=ROOT, env={**keep, "SAMPLE_ROWS": sample}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    equal(done.returncode, 0, f"{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done


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
    said = run("kafka-to-delta", sample="3").stdout
    check("Sample of the result" in said, said)
    run("kafka-to-delta")
    wanted = orders(events())
    equal(len(wanted), 16666, "orders of the topic")
    equal(delta("orders") == wanted, True, "the table has the orders of the topic, after two runs")


def kafka_to_kafka():
    for _ in range(2):
        run("kafka-to-kafka")
    records = topic("orders", "read_committed")
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


def main():
    if not shutil.which("kcat") or (broker.jars() is None and not shutil.which("java")):
        print("1..0 # SKIP no Kafka broker (Java and kcat)")
        sys.exit(77)
    suite = Suite("examples with a topic")
    sandbox("stop-kafka")
    for place in (os.path.join(ROOT, ".sandbox", "kafka"), LAKE):
        shutil.rmtree(place, ignore_errors=True)
    try:
        for function in (kafka_to_delta, kafka_to_kafka, windowed_revenue, streaming_kafka):
            suite.case(function.__name__.replace("_", "-"), function)
    finally:
        sandbox("stop-kafka")
        shutil.rmtree(STATE, ignore_errors=True)
    suite.end()


main()

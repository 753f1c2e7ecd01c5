#!/usr/bin/env python3
"""kills.py for toKafka, against a real broker: kill -9 at random moments, at every named step, with the state lost, and in the recovery.

KILLS=N kills at random moments (6 unless told) of a load from a file, as many of one from another topic, and as many of a stream, every fifth
of which sees the broker restarted before. What is there is read by
kafka-python with read_committed, row by row. A build with --enable-failpoints also dies at each named step (MILLRACE_LONG=1: at each pass).
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, equal, need

need("kafka", "pyarrow")
import collections
import json
import random
import signal
import time

import pyarrow as pa

import broker
import kills
from broker import workspace
from running import Running

kills.KILLS = int(os.environ.get("KILLS") or 6)


class Kafka(kills.Sink):
    method, rows = "toKafka", 1000

    def __init__(self, name, server):
        super().__init__(name)
        self.server = server

    def open(self):
        super().open()
        self.topics = iter(())

    def defaults(self):
        return {"kafka": {"bootstrap.servers": self.server.servers}}

    def config(self, target):
        return {"topic": target, "key": "id"}

    def place(self, space):
        """Topics are made twenty at a time: each request costs more than a kill."""
        name = next(self.topics, None)
        if name is None:
            names = [f"{self.name.split()[0]}-{self.used}-{i}" for i in range(20)]
            self.server.topics(names, 2)
            self.topics = iter(names)
            name = next(self.topics)
        return name

    def read(self, space):
        found = [json.loads(r.value) for r in self.server.read(space.target)]
        return pa.table({n: [r[n] for r in found] for n in ("id", "body", "sum")}) if found else None

    def left(self, space):
        """Transactions that are still open."""
        return self.server.open_transactions(space.target)


class KafkaToKafka(Kafka):
    def open(self):
        super().open()
        producer = self.server.producer(linger_ms=5)
        for name, first in (("old", 1_000_000), ("new", 0)):
            self.server.topic(f"from-{name}", 2)
            for row in kills.make_rows(self.rows, first, self.size).to_pylist():
                producer.send(f"from-{name}", json.dumps(row).encode(), partition=row["id"] % 2)
        producer.flush()
        producer.close()

    def pipeline(self, target):
        steps = super().pipeline(target)
        steps["steps"][0] = {"type": "extract", "method": "fromKafka", "config": {
            "topic": "from-${what}", "format": "json", "schema": "id BIGINT, part INT, body STRING, sum STRING"}}
        return steps


STREAM_ROWS = 400


def stream(server, rounds, name):
    """A stream from topic to topic under a feed that goes on; killed `rounds` times, every fifth time with the broker. Then drained."""
    choose = random.Random(f"{kills.SEED}/{name}")
    server.topic(f"{name}-in", 2)
    server.topic(f"{name}-out", 2)
    work = {"name": name, "mode": "streaming", "steps": [
        {"type": "extract", "method": "fromKafka", "config": {"topic": f"{name}-in", "format": "json", "schema": "id BIGINT", "startingOffsets": "earliest"}},
        {"type": "load", "method": "toKafka", "config": {"topic": f"{name}-out", "key": "id", "trigger": "50 milliseconds"}}]}
    fed, killed = 0, 0
    with workspace(server) as space:
        for number in range(rounds + 1):
            run = Running(space, work)
            if number % 5 == 4:  # it goes on by itself
                server.restart()
            producer = server.producer(linger_ms=2)
            for _ in range(STREAM_ROWS):
                producer.send(f"{name}-in", b'{"id":%d}' % fed)
                fed += 1
            producer.close()
            if number == rounds:
                break
            seen = server.count(f"{name}-out")
            while choose.random() < 0.7 and server.count(f"{name}-out") == seen and run.process.poll() is None:  # behind a commit, or anywhere
                time.sleep(choose.uniform(0, 0.05))
            time.sleep(choose.uniform(0, 0.3))
            killed += run.end(signal.SIGKILL) == -signal.SIGKILL
        came = lambda: collections.Counter(json.loads(r.value)["id"] for r in server.read(f"{name}-out"))
        run.until(lambda: len(came()) >= fed, f"all of {fed} rows", 120)
        run.drain()
        found = came()
    lost, twice = fed - len(found), sum(found.values()) - len(found)
    print(f"# {name}: {killed} kills, {fed} rows: {lost} lost, {twice} duplicated", flush=True)
    equal((lost, twice), (0, 0), "lost, duplicated")


def main():
    broker.need()
    suite, passed = Suite("kills of loads into Kafka"), set()
    with broker.Broker() as server:
        for sink in Kafka("files to Kafka", server), KafkaToKafka("Kafka to Kafka", server):
            sink.open()
            try:
                suite.case(f"{sink.name}: at random", kills.at_random, sink)
                if type(sink) is Kafka or kills.LONG:
                    suite.case(f"{sink.name}: at every step", kills.at_every_step, sink, passed)
                    suite.case(f"{sink.name}: state lost", kills.with_lost_state, sink)
                    suite.case(f"{sink.name}: killed in the recovery", kills.five_deep, sink)
            finally:
                sink.close()
        suite.case("a stream", stream, server, kills.KILLS, "stream")
    kills.print_table()
    suite.end()


main()

#!/usr/bin/env python3
"""kills.py for toKafka, against a real broker: kill -9 at random moments, at every named step, with the state lost, and in the recovery.

KILLS=N kills at random moments (6 unless told) of a load from a file, and as many of one from another topic. What is there is read by
kafka-python with read_committed, row by row. A build with --enable-failpoints also dies at each named step (MILLRACE_LONG=1: at each pass).
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, need

need("kafka", "pyarrow")
import json

import pyarrow as pa

import broker
import kills

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


def main():
    if broker.jars() is None:
        print("1..0 # SKIP no Kafka broker (bin/lib/kafka.sh; Java)")
        sys.exit(77)
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
    kills.print_table()
    suite.end()


main()

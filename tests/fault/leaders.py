#!/usr/bin/env python3
"""Three brokers: leaders that move, brokers that are killed, stopped, all away, under streams from a topic to Kafka and to Delta. Each record once.

acks=all and min.insync.replicas=2, as clusters are run. Both streams are one process each from begin to end: nothing here may end them. ROUNDS=N rounds of each kind
(2 unless told), SEED=S repeats the choices. What there must be is what kafka-python reads from the source topic; it reads the copies too (read_committed), and
the table is read by deltalake.
"""

import collections
import json
import os
import random
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("kafka", "deltalake", "pyarrow")
import broker
from broker import workspace
from deltalake import DeltaTable
from feed import Feed
from running import Running, wait_for

ROUNDS = int(os.environ.get("ROUNDS") or 2)
SEED = int(os.environ.get("SEED") or random.randrange(1 << 31))
PARTITIONS = 4
PROGRESS, COORDINATOR = "_millrace_progress", "__transaction_state"


class Numbers(Feed):
    """At most two thousand records a second, each once (an idempotent producer)."""

    settings = {"acks": "all", "enable_idempotence": True, "delivery_timeout_ms": 300_000}
    sent = 0

    def some(self):
        for _ in range(40):
            self.producer.send(self.topic, b'{"id":%d}' % self.sent, partition=self.sent % PARTITIONS)
            self.sent += 1

    def last(self):
        self.producer.flush(timeout=300)


def pipeline(name, topic, load):
    return {"name": name, "mode": "streaming", "resources": {"parallelism": 2}, "steps": [
        {"type": "extract", "method": "fromKafka", "config": {"topic": topic, "format": "json", "schema": "id BIGINT", "startingOffsets": "earliest"}},
        {**load, "type": "load", "config": {"mode": "append", "trigger": "100 ms", **load["config"]}}]}


def table_rows(space):
    return collections.Counter(DeltaTable(space.file("out")).to_pyarrow_table(columns=["id"]).column("id").to_pylist())


class Watched:
    """The cluster, a feed and both streams over it."""

    def __init__(self, cluster, name):
        self.cluster, self.seen = cluster, [0, 0]
        self.topics = [f"{name}-in", f"{name}-out"]
        for topic in self.topics:
            cluster.topic(topic, PARTITIONS)
        self.spaces = [workspace(cluster), workspace(cluster)]
        loads = [{"method": "toKafka", "config": {"topic": f"{name}-out"}}, {"method": "toDelta", "config": {"path": "out"}}]
        for space, load in zip(self.spaces, loads):
            space.write("pipeline.json", pipeline(f"{name}-{load['method']}", f"{name}-in", load))

    def __enter__(self):
        self.members = [Running(space, "pipeline.json") for space in self.spaces]
        self.feed = Numbers(self.cluster, self.topics[0])
        self.feed.start()
        self.progress(100)
        self.topics += [PROGRESS, COORDINATOR]
        return self

    def __exit__(self, *_):
        self.feed.enough.set()
        for member in self.members:
            member.end(signal.SIGKILL)
        for space in self.spaces:
            space.__exit__()

    def counts(self):
        """Records of the topic (and marks of transactions, which count), rows of the table; as far as one can be told."""
        for at, count in enumerate((lambda: self.cluster.count(self.topics[1]),
                                    lambda: DeltaTable(self.spaces[1].file("out")).to_pyarrow_table(columns=["id"]).num_rows)):
            try:
                self.seen[at] = max(self.seen[at], count())
            except Exception:  # no leader just now; the table is being made
                pass
        return tuple(self.seen)

    def said(self):
        return "\n".join([repr(self.counts()), *(f"--- {m.process.poll()}\n{m.text()[-2500:]}" for m in self.members)])

    def progress(self, rows):
        """Until both targets have so many more."""
        before = self.counts()
        wait_for(lambda: all(now >= old + rows for now, old in zip(self.counts(), before)), lambda: f"nothing comes any more: {self.said()}", 240, *self.members)

    def compare(self):
        self.feed.finish()
        wanted = collections.Counter(json.loads(r.value)["id"] for r in self.cluster.read(self.topics[0]))
        check(len(wanted) == self.feed.sent, f"{self.feed.sent} were sent, {len(wanted)} are in the topic")
        wait_for(lambda: self.counts()[1] >= wanted.total(), lambda: f"{wanted.total()} rows: {self.said()}", 240, *self.members)
        wait_for(lambda: len(self.cluster.read(self.topics[1])) >= wanted.total(), lambda: f"{wanted.total()} records: {self.said()}", 240, *self.members)
        for member in self.members:
            equal(member.end(signal.SIGTERM), 143, f"drained: {member.text()[-2000:]}")
        copies = collections.Counter(json.loads(r.value)["id"] for r in self.cluster.read(self.topics[1]))
        for what, found in ("topic", copies), ("table", table_rows(self.spaces[1])):
            lost, twice = wanted - found, found - wanted
            check(not lost and not twice, f"{what}: of {wanted.total()} {lost.total()} lost, {twice.total()} more; SEED={SEED}: {list(lost)[:5]} {list(twice)[:5]}")
        equal(self.cluster.open_transactions(self.topics[1]), [], "open transactions")
        return wanted.total()


def moved(cluster):
    """Each partition gets another leader, twice a second."""
    with Watched(cluster, "moved") as watched:
        moves = 0
        for _ in range(4 * ROUNDS):
            moves += cluster.move_leaders(*watched.topics)
            watched.progress(50)
        print(f"# moved: {moves} leaders moved under {watched.compare()} records", flush=True)


def killed(cluster):
    """kill -9 of the leader of some partition: of the source, of the target, of what is remembered, of transactions."""
    dice = random.Random(SEED)
    with Watched(cluster, "killed") as watched:
        for number in range(2 * ROUNDS):
            topic = watched.topics[number % len(watched.topics)]
            leader = dice.choice([found[0] for found in cluster.await_in_sync(*watched.topics).values() if found[0] > 0]
                                 if number >= 4 else [found[0] for (name, _), found in cluster.partitions(topic).items() if name == topic])
            cluster.nodes[leader].kill()
            watched.progress(200)
            cluster.start()
            cluster.await_in_sync(*watched.topics)
            watched.progress(50)
        print(f"# killed: {2 * ROUNDS} leaders under {watched.compare()} records", flush=True)


def stopped(cluster):
    """One broker after the other is stopped in order and started; then all at once are killed."""
    with Watched(cluster, "stopped") as watched:
        for number in range(ROUNDS):
            node = cluster.nodes[number % 3 + 1]
            node.stop()
            watched.progress(100)
            cluster.start()
            cluster.await_in_sync(*watched.topics)
            for node in cluster.nodes.values():
                node.kill()
            cluster.start()
            cluster.await_in_sync(*watched.topics)
            watched.progress(100)
        print(f"# stopped: {ROUNDS} stops and {ROUNDS} kills of all under {watched.compare()} records", flush=True)


def main():
    broker.need()
    print(f"# SEED={SEED} ROUNDS={ROUNDS}")
    suite = Suite("leaders")
    with broker.Cluster() as cluster:
        for function in moved, killed, stopped:
            suite.case(function.__name__, function, cluster)
    suite.end()


main()

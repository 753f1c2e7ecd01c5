#!/usr/bin/env python3
"""The end of a transaction has no answer, again and again, and each time the commit has happened or has not: every row once.

A proxy in front of a real broker loses the request EndTxn or its answer, silently or with the connection, or brings it into the
next transaction; or the broker itself stops (SIGSTOP) in front of it or behind it. ENDS=N such ends (4 unless told) of loads, each a process that is started again until it
ends well, and as many of a stream that goes on by itself. SEED=S repeats the choices. What is there is read by kafka-python with read_committed.
"""

import collections
import json
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("kafka", "pyarrow")
import broker
from broker import workspace
import pyarrow as pa
import pyarrow.parquet
from kafka_proxy import ADD_PARTITIONS, END_TXN, FATES, PRODUCE, KafkaProxy
from running import Running, wait_for

ENDS = int(os.environ.get("ENDS") or 4)
SEED = int(os.environ.get("SEED") or random.randrange(1 << 31))
ROWS = 40


class Judge:
    """Decides what becomes of each EndTxn."""

    def __init__(self, proxy, server, often, fates):
        self.proxy, self.server, self.often, self.fates = proxy, server, often, fates
        self.dice, self.happened, self.armed, self.lock = random.Random(SEED), collections.Counter(), 0, threading.Lock()
        proxy.judge = self.judge

    def judge(self, api):
        if api != END_TXN:
            return None
        with self.lock:
            if self.armed == 0 or self.dice.random() > self.often:
                return None
            self.armed -= 1
            fate = self.fates[self.happened.total() % len(self.fates)]
            self.happened[fate] += 1
        if fate == "late":
            self.proxy.due = self.dice.choice((PRODUCE, ADD_PARTITIONS, END_TXN))
        if fate == "stopped before":
            self.server.process.send_signal(signal.SIGSTOP)
            return None
        if fate == "stopped behind":
            threading.Timer(self.dice.uniform(0, 0.01), self.server.process.send_signal, (signal.SIGSTOP,)).start()
            return None
        return fate


def ids(server, topic):
    return collections.Counter(json.loads(r.value)["id"] for r in server.read(topic))


def compare(server, topic, count, what):
    found = ids(server, topic)
    lost = [n for n in range(count) if n not in found]
    twice = [n for n, times in found.items() if times > 1]
    check(not lost and not twice and len(found) == count, f"of {count} rows {len(lost)} lost, {len(twice)} twice {what}; SEED={SEED}: {lost[:5]} {twice[:5]}")
    equal(server.open_transactions(topic), [], "open transactions")


def loads(server, proxy):
    judge = Judge(proxy, server, 1, [*FATES, "stopped before", "stopped behind"])
    server.topic("loads", 2)
    work = {"name": "loads", "timeouts": {"connect": "2s"}, "steps": [
        {"type": "extract", "method": "fromFile", "config": {"path": "in.parquet", "format": "parquet"}},
        {"type": "load", "method": "toKafka", "config": {"topic": "loads"}}]}
    codes = collections.Counter()
    with workspace(server) as space:
        number = 0
        while judge.happened.total() < ENDS:
            pyarrow.parquet.write_table(pa.table({"id": pa.array(range(number * ROWS, (number + 1) * ROWS), pa.int64())}), space.file("in.parquet"))
            judge.armed = min(judge.dice.choice((1, 1, 2)), ENDS - judge.happened.total())
            for _ in range(20):
                result = space.run(work)
                time.sleep(0.02)  # a timer of ours
                server.process.send_signal(signal.SIGCONT)
                codes[result.code] += 1
                check(result.code in (0, 6), result)
                if result.code == 0:
                    break
            equal(result.code, 0, f"the last start: {result}")
            number += 1
            judge.armed = 0
            compare(server, "loads", number * ROWS, f"behind {dict(judge.happened)}")
    print(f"# loads: {dict(judge.happened)}, {proxy.delivered} late requests arrived; exits {dict(codes)}", flush=True)


def stream(server, proxy):
    judge = Judge(proxy, server, 0.6, list(FATES))
    delivered = proxy.delivered
    for topic in "from", "to":
        server.topic(topic, 2)
    work = {"name": "stream", "mode": "streaming", "timeouts": {"connect": "2s"}, "retry": {"maxAttempts": 1000, "delay": "10ms", "maxDelay": "50ms"}, "steps": [
        {"type": "extract", "method": "fromKafka", "config": {"topic": "from", "format": "json", "schema": "id BIGINT", "startingOffsets": "earliest"}},
        {"type": "load", "method": "toKafka", "config": {"topic": "to", "trigger": "20 ms"}}]}
    with workspace(server) as space, Running(space, work) as member:
        sent, producer = 0, server.producer()
        judge.armed, end = ENDS, time.monotonic() + 60 + 10 * ENDS
        while judge.armed > 0 or sent == 0:
            for _ in range(ROWS):
                producer.send("from", b'{"id":%d}' % sent)
                sent += 1
            producer.flush()
            check(member.process.poll() is None and time.monotonic() < end, f"{dict(judge.happened)}: {member.text()[-3000:]}")
            time.sleep(0.05)
        producer.close()
        wait_for(lambda: len(ids(server, "to")) >= sent, lambda: f"of {sent} rows: {member.text()[-3000:]}", 120, member)
        equal(member.end(), 143, member.text()[-2000:])
        compare(server, "to", sent, f"behind {dict(judge.happened)}")
    print(f"# stream: {dict(judge.happened)}, {proxy.delivered - delivered} late requests arrived; {sent} rows", flush=True)


def main():
    broker.need()
    print(f"# SEED={SEED} ENDS={ENDS}")
    suite = Suite("ends of transactions")
    with KafkaProxy() as proxy:
        server = broker.Broker(settings=f"advertised.listeners=PLAINTEXT://127.0.0.1:{proxy.port}\n")
        proxy.target = server.port
        with server:
            suite.case("loads", loads, server, proxy)
            suite.case("a stream", stream, server, proxy)
    suite.end()


main()

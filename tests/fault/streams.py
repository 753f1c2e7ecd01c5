#!/usr/bin/env python3
"""kill -9 of a stream at random moments and at named steps, from a broker to files, Delta and Postgres, with dead letters in topics: each key exactly once.

KILLS=N kills of each target (3 unless told; 300 for the long form), SEED=S repeats the moments. A producer sends while the stream is
killed and started again; a build with --enable-failpoints dies at a named step in every second life, and half of the starts behind
such a death are killed in their recovery too. When all is sent the stream reads what is left (availableNow), and the target is read row by row by a reader
that is not ours. The rows carry a checksum.
"""

import collections
import hashlib
import json
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("kafka", "pyarrow", "deltalake", "psycopg")
import broker
from broker import workspace
import pyarrow.parquet
import table
from deltalake import DeltaTable
from feed import Feed
from server import Server

KILLS = int(os.environ.get("KILLS") or 3)
SEED = int(os.environ.get("SEED") or random.randrange(1 << 31))


def row(number):
    body = hashlib.sha256(b"%d" % number).hexdigest()
    return {"id": number, "part": number % 3, "body": body, "sum": hashlib.md5(f"{number}:{body}".encode()).hexdigest()}


def summed(rows):
    seen = collections.Counter()
    for found in rows:
        right = hashlib.md5(f"{found['id']}:{found['body']}".encode()).hexdigest() == found["sum"]
        seen[found["id"] if right else f"damaged {found['id']}"] += 1
    return seen


class Files:
    method, load = "toFile", {"path": "out", "format": "parquet"}
    source, steps = {"schema": "id BIGINT, part INT, body STRING, sum STRING"}, ()
    value = staticmethod(row)

    def __init__(self, kafka, server):
        self.kafka, self.server = kafka, server
        self.name = type(self).__name__.lower()

    def read(self, space):
        names = [n for n in table.files(space.file("out"))]
        return [r for n in names for r in pyarrow.parquet.ParquetFile(n).read(["id", "body", "sum"]).to_pylist()]


class Delta(Files):
    """Compacted all the time, so that kills come in the middle of that too."""

    method, load = "toDelta", {"path": "out", "partitionBy": ["part"], "autoCompact": True, "autoCompactFiles": 3}

    def read(self, space):
        found = DeltaTable(space.file("out"))
        packed = sum(commit["operation"] == "OPTIMIZE" for commit in found.history())
        check(packed > 0 or KILLS < 20, "no compaction")
        print(f"# {packed} compactions in {found.version()} versions, {len(found.file_uris())} files")
        return found.to_pyarrow_table().to_pylist()


class Postgres(Files):
    method, load = "toPostgres", {"table": "stream_rows"}

    def read(self, space):
        return [dict(zip(("id", "body", "sum"), found)) for found in self.server.rows("streams", "SELECT id, body, sum FROM stream_rows")]


class Letters(Files):
    """What cannot be read and what is late goes to topics, the rest to files: a row is in one of the three."""

    source = {"schema": "id BIGINT, ts TIMESTAMP, body STRING, sum STRING", "onError": "deadLetter", "deadLetter": {"topic": "killed-bad"}}
    steps = ({"type": "transform", "method": "withWatermark", "config": {"column": "ts", "delay": "1 second"}},
             {"type": "transform", "method": "dropLateRows", "config": {"until": "ts", "late": "deadLetter", "deadLetter": {"topic": "killed-late"}}})

    def __init__(self, kafka, server):
        super().__init__(kafka, server)
        kafka.topics(["killed-bad", "killed-late"])

    @staticmethod
    def value(number):
        moment = time.gmtime(1700000000 + number // 10 - (500 if number % 7 == 0 else 0))
        return {**row(number), "id": f"x{number}" if number % 10 == 3 else number, "ts": time.strftime("%Y-%m-%dT%H:%M:%SZ", moment)}

    def read(self, space):
        late, bad = ([json.loads(r.value) for r in self.kafka.read(topic)] for topic in ("killed-late", "killed-bad"))
        check((late and bad or KILLS < 20) and all("_watermark" in r for r in late), f"{len(late)} late and {len(bad)} bad")
        print(f"# {len(late)} late, {len(bad)} bad")
        return super().read(space) + late + [{**r, "id": int(r["id"][1:])} for r in bad]


def pipeline(sink, topic, **options):
    return {"name": "killed", "mode": "streaming", "resources": {"parallelism": 2}, "steps": [
        {"type": "extract", "method": "fromKafka", "config": {"topic": topic, "format": "json", "startingOffsets": "earliest",
                                                              "maxOffsetsPerTrigger": 150, **sink.source}},
        *sink.steps,
        {"type": "load", "method": sink.method, "config": {"mode": "append", **sink.load, **options}}]}


class Rows(Feed):
    """A thousand a second at most."""

    sent = 0

    def __init__(self, server, topic, value):
        super().__init__(server, topic)
        self.value = value

    def some(self):
        for _ in range(20):
            self.producer.send(self.topic, json.dumps(self.value(self.sent)).encode(), key=b"%d" % self.sent)
            self.sent += 1
        self.producer.flush()


def steps(space):
    """Every step that a life of some epochs passes, in a build that has them."""
    try:
        with open(space.file("places"), encoding="utf-8") as file:
            return sorted({line.split()[0] for line in file if line.strip()})
    except FileNotFoundError:
        return []


def life(space, chance, kills):
    """Starts it, and kills it at a random moment or lets it die at a step."""
    known = steps(space)
    step = chance.choice(known) if known and chance.random() < 0.5 else None
    environment = {"MILLRACE_FAILPOINT": f"{step}:{chance.randint(1, 4)}=kill"} if step else {"MILLRACE_FAILPOINT_LIST": space.file("places")}
    process = space.start("run", "pipeline.json", "--progress", "none", environment=environment, stdout=subprocess.DEVNULL,
                          stderr=open(space.file("log"), "ab"))
    try:
        process.wait(chance.uniform(0.02, 0.8) if step is None else 1.5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with open(space.file("log"), encoding="utf-8") as file:
        check(process.returncode == -9, f"kill {kills} ({step}): exit {process.returncode}: {file.read()[-600:]}")


def exactly_once(kafka, sink):
    chance = random.Random(f"{SEED} {sink.name}")
    topic = f"killed-{sink.name}"
    kafka.topic(topic, 3)
    feed = Rows(kafka, topic, sink.value)
    feed.start()
    with workspace(kafka, sink.server.credentials("streams")) as space:
        space.write("pipeline.json", pipeline(sink, topic))
        for number in range(KILLS):
            life(space, chance, number)
        feed.finish()
        space.run(pipeline(sink, topic, trigger="availableNow")).expect(0)
        seen = summed(sink.read(space))
        lost = [n for n in range(feed.sent) if n not in seen]
        twice = [n for n, count in seen.items() if count != 1]
        equal((lost[:5], twice[:5]), ([], []), f"of {feed.sent} rows {len(lost)} are lost, {len(twice)} not once; SEED={SEED}")
        print(f"# {sink.name}: {feed.sent} rows, {KILLS} kills, SEED={SEED}")


def main():
    broker.need()
    suite = Suite("streams killed")
    with broker.Broker() as kafka, Server() as server:
        server.database("streams")
        for kind in (Files, Delta, Postgres, Letters):
            sink = kind(kafka, server)
            suite.case(f"exactly once {sink.name}", exactly_once, kafka, sink)
    suite.end()


main()

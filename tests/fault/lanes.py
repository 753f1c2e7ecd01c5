#!/usr/bin/env python3
"""Three processes share a topic and are killed at random, while records keep coming and partitions are added: each record exactly once.

To Delta, to Postgres and to Kafka. KILLS=N kills per target (make check-faults KILLS=N; 3 unless told), and half as many orderly ends, so that lanes
move both ways; each is followed by a start, so the group is rebalanced every second or two. SEED=S repeats the choices of an earlier run. Afterwards every row is read with a reader
that is not ours: each record that was sent is there once, and the rows of a lane are in the order of its records.

A process that was stopped (SIGSTOP) while it had lanes, and wakes when others have taken them over, commits nothing: the state is in a
Postgres there, whose leases run out, and the test ends them at once instead of waiting for half a minute.

Kept state: windows to Delta and a left join of two halves of the stream to Postgres, in one epoch, while processes are killed, ended, added
and taken away every few seconds (SECONDS=N; MILLRACE_LONG=1: 180). What must come out is computed here from what was sent.
"""

import collections
import datetime
import json
import os
import random
import re
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("kafka", "deltalake", "pyarrow", "psycopg")
import broker
from broker import workspace
import pyarrow.parquet
from deltalake import DeltaTable
from engine import catches
from feed import Feed
from group import SETTINGS, Members, more_partitions, source
from running import wait_for
from server import Server

SECONDS = float(os.environ.get("SECONDS") or (180 if os.environ.get("MILLRACE_LONG") else 4))
KILLS = int(os.environ.get("KILLS") or 3)
SEED = int(os.environ.get("SEED") or random.randrange(1 << 31))
DATABASE = "lanes"
PARTITIONS = 6


class Stream(Feed):
    """Records that keep coming: id, and the partition and number in it, to as many partitions as there are."""

    pause, settings = 0.1, {"linger_ms": 5}

    def __init__(self, server, topic):
        super().__init__(server, topic)
        self.partitions = self.known = PARTITIONS
        self.sent = collections.Counter()
        self.lock = threading.Lock()
        server.topic(topic, PARTITIONS)

    def some(self):
        if self.known != self.partitions:
            self.producer.close()
            self.producer, self.known = self.server.producer(**self.settings), self.partitions
        for partition in range(self.known):
            for _ in range(10):
                number = self.sent[partition]
                self.producer.send(self.topic, json.dumps({"lane": partition, "number": number}).encode(), partition=partition)
                with self.lock:
                    self.sent[partition] += 1
        self.producer.flush()

    def total(self):
        with self.lock:
            return self.sent.total()

    def add_partition(self):
        more_partitions(self.server, self.topic, self.partitions + 1)
        self.partitions += 1

    def wanted(self):
        return {p: list(range(n)) for p, n in self.sent.items() if n}


def pipeline(topic, load, state=None):
    extract = source(topic, schema="lane BIGINT, number BIGINT")
    work = {"name": topic, "mode": "streaming", "resources": {"parallelism": 1}, "steps": [
        {"type": "extract", "method": "fromKafka", "config": extract}, load]}
    return {**work, **({"state": state} if state else {})}


class Delta:
    """All lanes compact the one table, too: who comes second leaves it for later."""

    name = "delta"

    def load(self):
        options = {"trigger": "100 ms", "autoCompact": True, "autoCompactFiles": 5}
        return {"type": "load", "method": "toDelta", "config": {"path": "out", "mode": "append", **options}}

    def __init__(self, space, postgres, server):
        self.path, self.known = space.file("out"), None

    def table(self):
        return DeltaTable(self.path)

    def count(self):
        if not os.path.isdir(os.path.join(self.path, "_delta_log")):
            return 0
        try:
            self.known = self.known or self.table()
            self.known.update_incremental()
            return sum(self.known.get_add_actions(flatten=True).column("num_records").to_pylist())
        except Exception:  # it is being made
            return 0

    def rows(self):
        """(lane, number), commit after commit."""
        log, added = os.path.join(self.path, "_delta_log"), []
        for name in sorted(n for n in os.listdir(log) if n.endswith(".json")):
            with open(os.path.join(log, name), encoding="utf-8") as file:
                found = [json.loads(line)["add"] for line in file if '"add"' in line]
            added += [add["path"] for add in found if add["dataChange"]]
        packed = sum(commit["operation"] == "OPTIMIZE" for commit in self.table().history())
        print(f"# {packed} compactions, {len(added)} files written by loads, {len(self.table().file_uris())} left")
        rows = []
        for path in added:
            data = pyarrow.parquet.ParquetFile(os.path.join(self.path, path)).read()
            rows += zip(data.column("lane").to_pylist(), data.column("number").to_pylist())
        table = self.table().to_pyarrow_table()
        equal(sorted(zip(table.column("lane").to_pylist(), table.column("number").to_pylist())), sorted(rows), "rows of the table")
        return rows


class Postgres:
    name = "postgres"

    def load(self):
        return {"type": "load", "method": "toPostgres", "config": {"table": "out", "mode": "append"}}

    def __init__(self, space, postgres, server):
        self.postgres = postgres
        postgres.execute(DATABASE, "DROP TABLE IF EXISTS out", "DROP TABLE IF EXISTS _millrace_state",
                         "CREATE TABLE out (lane bigint, number bigint, place bigserial)")

    def count(self):
        return self.postgres.rows(DATABASE, "SELECT count(*) FROM out")[0][0]

    def rows(self):
        return self.postgres.rows(DATABASE, "SELECT lane, number FROM out ORDER BY place")


class Topic:
    """Read as it grows, as others see it (read_committed)."""

    name = "kafka"

    def load(self):
        return {"type": "load", "method": "toKafka", "config": {"topic": "copies", "mode": "append"}}

    def __init__(self, space, postgres, server):
        from kafka import KafkaConsumer, TopicPartition

        server.topic("copies", 1)
        self.seen = []
        self.consumer = KafkaConsumer(bootstrap_servers=server.servers, enable_auto_commit=False, group_id=None,
                                      isolation_level="read_committed", auto_offset_reset="earliest")
        self.consumer.assign([TopicPartition("copies", 0)])
        self.consumer.seek_to_beginning()

    def count(self):
        for records in self.consumer.poll(timeout_ms=50, max_records=5000).values():
            self.seen += [json.loads(record.value) for record in records]
        return len(self.seen)

    def rows(self):
        return [(row["lane"], row["number"]) for row in self.seen]


def compare(target, stream):
    found = collections.defaultdict(list)
    for lane, number in target.rows():
        found[lane].append(number)
    for lane, numbers in stream.wanted().items():
        seen = collections.Counter(found.get(lane, ()))
        lost = [n for n in numbers if n not in seen]
        twice = [n for n, times in seen.items() if times > 1]
        check(not lost and not twice, f"lane {lane}: {len(lost)} lost, {len(twice)} twice, of {len(numbers)}: {lost[:5]} {twice[:5]}")
        equal(found[lane], numbers, f"the order of lane {lane}")
    equal(set(found), set(stream.wanted()), "lanes")


def place(server, postgres):
    keys = postgres.credentials(DATABASE)
    return workspace(server, postgres=keys, state=keys)


def progress(target, members, rows, seconds=90):
    """Until so many more rows are there."""
    wanted = target.count() + rows
    wait_for(lambda: target.count() >= wanted, lambda: "nothing is committed any more:\n" + "\n".join(
        f"--- {m.name} {m.process.poll()}\n{m.text()[-800:]}" for m in members), seconds)


def strike(members, number, dice):
    """Some process dies, or ends in order, and is started again. Was it killed?"""
    member = dice.choice(members)
    check(member.process.poll() is None, f"{member.name} ended by itself with {member.process.returncode}:\n{member.text()[-3000:]}")
    orderly = number % 3 == 2
    if orderly:  # before it listens a signal is its end
        wait_for(lambda: catches(member.process, signal.SIGTERM), member.text, 60, member)
    code = member.end(signal.SIGTERM if orderly else signal.SIGKILL)
    equal(code, 143 if orderly else -9, f"exit code; {member.text()[-2000:]}")
    member.begin()
    return not orderly


def rebalances(members):
    """How often one of them was given lanes, or lost some."""
    return sum(len(re.findall(r"\d+ lanes? (?:given|go|lost)", open(m.log, errors="replace").read())) for m in members)


def kills(server, postgres, kind):
    dice = random.Random(SEED)
    with place(server, postgres) as space, Stream(server, f"kills-{kind.name}") as stream, Members(space) as members:
        target = kind(space, postgres, server)
        space.write("pipeline.json", pipeline(stream.topic, target.load()))
        for _ in range(3):
            members.add()
        progress(target, members.all, 100)
        began, killed, number = time.monotonic(), 0, 0
        while killed < KILLS:
            if number == KILLS // 2:
                stream.add_partition()
            time.sleep(dice.random() * 0.5)  # a moment that nothing is known of
            killed += strike(members.all, number, dice)
            number += 1
            progress(target, members.all, 100)
        stream.finish()
        wait_for(lambda: target.count() >= stream.total(), lambda: f"{target.count()} of {stream.total()} rows", 120, *members.all)
        for member in members.all:
            equal(member.end(), 143, f"exit code; {member.text()[-2000:]}")
        compare(target, stream)
        print(f"# {kind.name}: {killed} kills and {number - killed} ends in order in {time.monotonic() - began:.0f} s, lanes moved "
              f"{rebalances(members.all)} times; {stream.total()} records, 0 lost, 0 twice", flush=True)


START = 1704067200
SIZE, WITHIN, DELAY = 10, 5, 6


class Events(Stream):
    """Events a tenth of a second apart, out of order by less than DELAY; two in three of side a have a partner of side b at most WITHIN later."""

    pause = 0.05

    def __init__(self, server, topic):
        super().__init__(server, topic)
        self.dice = random.Random(SEED)
        self.events, self.number = [], 0

    def send(self, partition, event):
        self.producer.send(self.topic, json.dumps({**event, "at": f"{moment(event['at'])}Z"}).encode(), partition=partition)
        self.sent[partition] += 1

    def some(self):
        for partition in range(PARTITIONS):
            for step in range(5):
                at = START + (self.number + step) / 10 + self.dice.random() * 2
                event = {"k": partition + PARTITIONS * self.dice.randrange(3), "id": len(self.events), "pair": len(self.events), "side": "a", "at": at}
                pair = [event]
                if self.dice.randrange(3):
                    pair.append({**event, "id": len(self.events) + 1, "side": "b", "at": at + self.dice.random() * 2})
                for one in pair:
                    self.send(partition, one)
                self.events += pair
        self.number += 5
        self.producer.flush()

    def last(self):
        """What closes all windows."""
        for partition in range(PARTITIONS):
            for side in "ab":
                self.send(partition, {"k": partition, "id": -1, "pair": -1, "side": side, "at": START + 10**8})

    def windows(self):
        found = collections.defaultdict(lambda: [0, 0])
        for event in self.events:
            group = found[event["k"], int(event["at"] * 1000) // 1000 // SIZE * SIZE]
            group[0] += 1
            group[1] += event["id"]
        return {(k, at, n, total): 1 for (k, at), (n, total) in found.items()}

    def pairs(self):
        partners = {event["pair"]: event["id"] for event in self.events if event["side"] == "b"}
        return {(event["id"], partners.get(event["id"])): 1 for event in self.events if event["side"] == "a"}


def moment(seconds):
    return datetime.datetime.fromtimestamp(int(seconds * 1000) / 1000, datetime.timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds")


def stateful(topic):
    def step(method, **config):
        return {"type": "transform", "method": method, "config": config}

    measure = {"delay": f"{DELAY} seconds"}
    return {"name": topic, "mode": "streaming", "resources": {"parallelism": 1}, "steps": [
        {"type": "extract", "method": "fromKafka", "config": {
            **source(topic, schema="k BIGINT, id BIGINT, pair BIGINT, side STRING, at TIMESTAMP", keyColumns=["k"]), "registerAs": "s"}},
        step("withWatermark", inputDataFrames=["s"], column="at", registerAs="e", **measure),
        step("aggregateData", inputDataFrames=["e"], groupBy=["k"], aggregations={"n": "count(*)", "total": "sum(id)"},
             window={"column": "at", "size": SIZE}, registerAs="w"),
        {"type": "load", "method": "toDelta", "config": {"path": "windows", "mode": "append"}},
        step("filterRows", inputDataFrames=["s"], condition="side = 'a'", registerAs="left"),
        step("withWatermark", inputDataFrames=["left"], column="at", registerAs="a", **measure),
        step("filterRows", inputDataFrames=["s"], condition="side = 'b'", registerAs="right"),
        step("selectColumns", inputDataFrames=["right"], columns={"bk": "k", "b": "id", "partner": "pair", "bat": "at"}, registerAs="named"),
        step("withWatermark", inputDataFrames=["named"], column="bat", registerAs="b", **measure),
        step("joinDataFrames", inputDataFrames=["a", "b"], leftKeys=["k", "pair"], rightKeys=["bk", "partner"], joinType="left",
             within=f"{WITHIN} seconds", registerAs="j"),
        step("selectColumns", inputDataFrames=["j"], columns={"a": "id", "b": "b"}, registerAs="out"),
        {"type": "load", "method": "toPostgres", "config": {"table": "joined", "mode": "append"}}]}


def differ(name, found, wanted):
    found = collections.Counter(found)
    lost, more = [row for row in wanted if row not in found], [row for row in found if row not in wanted]
    twice = [row for row, times in found.items() if times > 1]
    check(not lost and not more and not twice, f"{name}: of {len(wanted)} rows {len(lost)} are lost, {len(more)} are wrong, {len(twice)} are there "
          f"several times: {sorted(lost, key=str)[:5]} {sorted(more, key=str)[:5]} {twice[:5]}")


def churn(server, postgres):
    dice = random.Random(SEED)
    postgres.execute(DATABASE, "DROP TABLE IF EXISTS joined", "CREATE TABLE joined (a bigint, b bigint)")
    joined = lambda: postgres.rows(DATABASE, "SELECT a, b FROM joined WHERE a >= 0")
    with place(server, postgres) as space, Events(server, "churn") as stream, Members(space) as members:
        space.write("pipeline.json", stateful("churn"))
        for _ in range(3):
            members.add()
        wait_for(lambda: joined(), "no pair", 90, *members.all)
        end, number = time.monotonic() + SECONDS, 0
        while number < 2 or time.monotonic() < end:
            time.sleep(dice.random() * 3)  # a moment that nothing is known of
            strike(members.all, number, dice)
            number += 1
            if number % 5 == 0:  # one more for some seconds
                extra = members.add()
                time.sleep(dice.random() * 4)
                wait_for(lambda: catches(extra.process, signal.SIGTERM), extra.text, 60, extra)
                check(extra.end() in (143, 0), f"exit code; {extra.text()[-2000:]}")
                members.all.remove(extra)
        stream.finish()
        pairs, windows = stream.pairs(), stream.windows()
        print(f"# {number} strikes, {len(stream.events)} events, {len(pairs)} pairs, {len(windows)} windows", flush=True)
        table = lambda: DeltaTable(space.file("windows")).to_pyarrow_table()
        wait_for(lambda: len(joined()) >= len(pairs) and table().num_rows >= len(windows),
                 lambda: f"{len(joined())} of {len(pairs)} pairs, {table().num_rows} of {len(windows)} windows", 150, *members.all)
        for member in members.all:
            equal(member.end(), 143, f"exit code; {member.text()[-2000:]}")
        differ("joined", joined(), pairs)
        rows = table().select(["k", "window_start", "n", "total"]).to_pylist()
        differ("windows", [(r["k"], int(r["window_start"].replace(tzinfo=datetime.timezone.utc).timestamp()), r["n"], r["total"]) for r in rows], windows)


def zombie(server, postgres):
    """Stopped with lanes in its hands, and woken when others have them."""
    with place(server, postgres) as space, Stream(server, "zombie") as stream, Members(space) as members:
        target = Delta(space, postgres, server)
        space.write("pipeline.json", pipeline(stream.topic, target.load(), {"postgres": "state"}))
        one, two = members.add(), members.add()
        wait_for(lambda: one.lanes() == two.lanes() == 3, lambda: f"{one.lanes()} and {two.lanes()} lanes", 60, one, two)
        progress(target, members.all, 100)
        one.process.send_signal(signal.SIGSTOP)
        wait_for(lambda: two.lanes() == 6, lambda: f"{two.lanes()} lanes: {two.text()[-2000:]}", 60, two)
        holder = postgres.rows(DATABASE, "SELECT run_id, state_key FROM millrace.leases WHERE state_key LIKE 'zombie@%'")
        mine = [run for run, _ in holder if run in one.text()]
        equal(len(mine), 3, "leases of the stopped process")
        postgres.execute(DATABASE, f"UPDATE millrace.leases SET expires = now() WHERE run_id = ANY('{{{','.join(mine)}}}')")
        wait_for(lambda: not {r for r, _ in postgres.rows(DATABASE, "SELECT run_id, 1 FROM millrace.leases")} & set(mine),
                 "the lanes did not move", 60, two)
        progress(target, [two], 300)
        one.process.send_signal(signal.SIGCONT)
        wait_for(lambda: one.lanes() == 3 and two.lanes() == 3, lambda: f"{one.lanes()} and {two.lanes()} lanes:\n{one.text()[-3000:]}",
                 60, one, two)
        progress(target, members.all, 100)
        stream.finish()
        wait_for(lambda: target.count() >= stream.total(), lambda: f"{target.count()} of {stream.total()} rows", 90, one, two)
        for member in members.all:
            equal(member.end(), 143, f"exit code; {member.text()[-2000:]}")
        compare(target, stream)
        shown = json.loads(space.millrace("watermark", "show", "pipeline.json", "--json").expect(0).out)["lanes"]
        wanted = [(f"zombie/{p}", f'{{"zombie":{{"{p}":{stream.sent[p]}}}}}') for p in range(PARTITIONS)]
        equal([(lane["lane"], lane["steps"][0]["watermark"]) for lane in shown], wanted, "watermarks")
        runs = json.loads(space.millrace("runs", "--pipeline", "pipeline.json", "--json", "--limit", "500").expect(0).out)["runs"]
        check({run["lane"] for run in runs} == {lane for lane, _ in wanted}, "runs of lanes")


def main():
    broker.need()
    print(f"# SEED={SEED} KILLS={KILLS}")
    suite = Suite("lanes")
    with broker.Broker(settings=SETTINGS) as server, Server() as postgres:
        postgres.database(DATABASE)
        for kind in (Delta, Postgres, Topic):
            suite.case(f"kills, to {kind.name}", kills, server, postgres, kind)
        suite.case("kept state", churn, server, postgres)
        suite.case("a process that was stopped", zombie, server, postgres)
    suite.end()


main()

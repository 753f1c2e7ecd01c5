#!/usr/bin/env python3
"""Event time in a stream from a real broker: which rows are late, partitions that are silent, starts that go on.

Every epoch is a process of its own (trigger once), so that each row of these tests also says that the watermark was kept by the state.
"""

import itertools
import json
import os
import random
import signal
import sqlite3
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, checkout, equal, need

need("kafka", "psycopg", "pyarrow", "deltalake")
import broker
import dead_letters
import test_event_cases
from broker import workspace
from running import Running
from server import Server
from table import parquet_rows


def pipeline(topic, delay="1 minute", idle=None, late=None, **load):
    source = {"topic": topic, "format": "json", "schema": "id BIGINT, ts TIMESTAMP", "startingOffsets": "earliest"}
    measure = {"column": "ts", "delay": delay, **({"idle": idle} if idle else {})}
    drop = {"until": "ts", **(late or {})}
    return {
        "name": "late",
        "mode": "streaming",
        "steps": [
            {"type": "extract", "method": "fromKafka", "config": source},
            {"type": "transform", "method": "withWatermark", "config": measure},
            {"type": "transform", "method": "dropLateRows", "config": drop},
            {"type": "load", "method": "toFile", "config": {"path": "out", "format": "parquet", "mode": "append",
                                                               "trigger": "once", **load}},
        ],
    }


def send(producer, topic, rows, partition=0):
    """rows: (id, seconds)"""
    for number, seconds in rows:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1700000000 + seconds))
        producer.send(topic, json.dumps({"id": number, "ts": stamp}).encode(), partition=partition)
    producer.flush()


def rows(space, folder="out", column="id"):
    return sorted(row[column] for row in parquet_rows(space.file(folder), column))


def late_of(result):
    return sum(step.get("counters", {}).get("rows_late", 0) for step in result.report["steps"])


def late_rows(server):
    """A row is late by what was seen in the epochs before it, and never by what came with it."""
    server.topic("late", 1)
    producer = server.producer()
    with workspace(server) as space:
        send(producer, "late", [(1, 600), (2, 0), (3, 300)])
        result = space.run(pipeline("late")).expect(0)
        equal(rows(space), [1, 2, 3], "the first epoch knows of no watermark")
        # The watermark is 600 - 60 = 540: 540 is late, 541 is not.
        send(producer, "late", [(4, 540), (5, 541), (6, 100), (7, 2000), (8, 542)])
        result = space.run(pipeline("late")).expect(0)
        equal(rows(space), [1, 2, 3, 5, 7, 8], "rows")
        equal(late_of(result), 2, "late rows are counted")
        # 1940 now, to dead letters.
        letters = {"late": "deadLetter", "deadLetter": {"path": "letters"}}
        send(producer, "late", [(9, 1940), (10, 1941), (11, 5)])
        result = space.run(pipeline("late", late=letters)).expect(0)
        equal(rows(space), [1, 2, 3, 5, 7, 8, 10], "rows")
        equal(rows(space, "letters"), [9, 11], "dead letters")
        stamps = {value.timestamp() for value in rows(space, "letters", "_watermark")}
        equal(stamps, {1700000000 + 1940}, "the watermark that they missed")
        equal(late_of(result), 2, "late rows are counted")
        # Without them again: the target knows the load by its number, which they have not taken.
        send(producer, "late", [(12, 5000)])
        space.run(pipeline("late")).expect(0)
        equal(rows(space), [1, 2, 3, 5, 7, 8, 10, 12], "rows")
        producer.close()


def silent_partition(server):
    """A partition that has brought nothing yet holds the watermark back, but not when it has been idle."""
    server.topic("silent", 2)
    producer = server.producer()
    with workspace(server) as space:
        send(producer, "silent", [(1, 6000)])
        space.run(pipeline("silent")).expect(0)
        send(producer, "silent", [(2, 0)])
        equal(late_of(space.run(pipeline("silent")).expect(0)), 0, "partition 1 has not been seen")
        send(producer, "silent", [(3, 3000)], partition=1)
        space.run(pipeline("silent")).expect(0)
        send(producer, "silent", [(4, 2940), (5, 2941)])
        equal(late_of(space.run(pipeline("silent")).expect(0)), 1, "the slower one decides")
        equal(rows(space), [1, 2, 3, 5], "rows")
        producer.close()


def idle_partition(server):
    """Within one process: the silent partition is idle after a while, and the watermark passes it."""
    server.topic("idle", 2)
    producer = server.producer()
    work = pipeline("idle", idle="20 ms", trigger="10 ms")
    with workspace(server) as space:
        send(producer, "idle", [(1, 6000)])
        numbers = itertools.count(100)

        def some_are_late():
            send(producer, "idle", [(number := next(numbers), 0)])
            done = rows(space)
            return 1 in done and len(done) < number - 100 - 5

        # Rows of long ago are sent until some of them are late: then the watermark has moved.
        with Running(space, work) as run:
            run.until(some_are_late, "a late row")
            run.drain()
        producer.close()


def damaged_and_changed(server):
    """Damage of what is kept is noticed; --fresh begins anew."""
    server.topic("damage", 1)
    producer = server.producer()
    with workspace(server) as space:
        send(producer, "damage", [(1, 600)])
        work = pipeline("damage", checkpointLocation="state")
        space.run(work).expect(0)
        with sqlite3.connect(space.file("state", "state.db")) as db:
            found = db.execute("SELECT name, bytes FROM notes WHERE kind = 4 AND name <> 'base'").fetchall()
            equal(len(found), 1, "notes")
            name, note = found[0]
            note = bytearray(note)
            note[len(note) // 2] ^= 1
            db.execute("UPDATE notes SET bytes = ? WHERE kind = 4 AND name = ?", (bytes(note), name))
        send(producer, "damage", [(2, 700)])
        result = space.run(work)
        check(result.code != 0, "damage was not noticed")
        check("damaged" in result.err, result.err)
        space.run(work, "--fresh").expect(0)
        producer.close()


def windowed_revenue(server):
    """config/examples/windowed-revenue.json over partitions whose clocks differ: each minute once, as the slowest partition closes it."""
    from deltalake import DeltaTable

    server.topic("events", 4)
    producer = server.producer()
    with open(os.path.join(checkout(), "config", "examples", "windowed-revenue.json"), encoding="utf-8") as file:
        work = json.load(file)
    minutes, latest, number = {}, [0] * 4, 0
    with workspace(server) as space:
        for start in range(3):
            for partition in range(4):
                for second in range(start * 150, start * 150 + 150, 4):
                    moment, number = 1700000040 + second - 7 * partition, number + 1
                    row = {"id": number, "event": ("view", "order")[number % 2], "country": "DFP"[number % 3], "amount": number / 4,
                           "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))}
                    producer.send("events", json.dumps(row).encode(), partition=partition)
                    latest[partition] = max(latest[partition], moment)
                    if row["event"] == "order":
                        found = minutes.setdefault((row["country"], moment - moment % 60), [0, 0])
                        minutes[row["country"], moment - moment % 60] = [found[0] + 1, found[1] + number / 4]
            producer.flush()
            result = space.run(work).expect(0)
            equal(late_of(result), 0, "late rows")
            wanted = [(c, m, *v) for (c, m), v in minutes.items() if m + 60 <= min(latest) - 10]
            table = DeltaTable(space.file("data/kafka/revenue")).to_pyarrow_table().to_pylist()
            equal(sorted((r["country"], int(r["window_start"].timestamp()), r["orders"], float(r["revenue"])) for r in table), sorted(wanted),
                  f"minutes after start {start}")
    producer.close()


def counting(topic, **load):
    source = {"topic": topic, "format": "json", "schema": "id BIGINT, ts TIMESTAMP", "startingOffsets": "earliest"}
    window = {"column": "ts", "type": "tumbling", "size": "1 minute"}
    idle = {"idle": load.pop("idle")} if "idle" in load else {}
    return {
        "name": "counting",
        "mode": "streaming",
        "steps": [
            {"type": "extract", "method": "fromKafka", "config": source},
            {"type": "transform", "method": "aggregateData",
             "config": {"groupBy": ["id % 7 AS k"], "aggregations": {"n": "count(*)", "s": "sum(id)"}, "window": window,
                        "watermark": {"column": "ts", "delay": "30 seconds", **idle}}},
            {"type": "load", "method": "toFile", "config": {"path": "out", "format": "parquet", "mode": "append", **load}},
        ],
    }


def windows(space):
    found = {}
    for row in parquet_rows(space.file("out")):
        key = (row["k"], int(row["window_start"].timestamp()) - 1700000000)
        check(key not in found, f"window {key} came twice")
        found[key] = (row["n"], row["s"])
    return found


def oracle(sent, until):
    """Windows of all rows that end before `until`."""
    found = {}
    for number, seconds in sent:
        start = (1700000000 + seconds) // 60 * 60 - 1700000000
        if start + 60 <= until:
            n, s = found.get((number % 7, start), (0, 0))
            found[number % 7, start] = (n + 1, s + number)
    return found


def killed(server, kills):
    """Killed at any moment: every window comes once, with all of its rows."""
    server.topic("killed", 2)
    producer = server.producer()
    chance = random.Random(3)
    sent = []
    with workspace(server) as space:
        space.write("pipeline.json", counting("killed", trigger="5 ms"))
        number = 0
        for _ in range(kills):
            run = Running(space, "pipeline.json")
            for _ in range(chance.randrange(1, 12)):
                for partition in range(2):
                    rows = [(number + i, (number + i) // 4) for i in range(100)]
                    number += 100
                    sent += rows
                    send(producer, "killed", rows, partition)
                time.sleep(chance.random() * 0.04)
            run.end(signal.SIGKILL)
        end = number // 4 + 3600
        for partition in range(2):
            send(producer, "killed", [(number, end)], partition)
        wanted = oracle(sent, end - 30)
        space.run(counting("killed", trigger="availableNow")).expect(0)
        got = windows(space)
        equal(len(got), len(wanted), "windows")
        equal(got, wanted, "their rows")
        producer.close()


def from_host_to_host(server):
    """The state is a PostgreSQL: each epoch is another host's, which finds the windows that are open."""
    server.topic("hosts", 1)
    producer = server.producer()
    with Server() as postgres:
        postgres.database("hosts")
        extra = {"state": postgres.credentials("hosts")}
        with workspace(server, **extra) as one, workspace(server, **extra) as other:
            work = {**counting("hosts", trigger="once", path=one.file("out")), "state": {"postgres": "state"}}
            sent = []
            for epoch in range(6):
                rows = [(epoch * 400 + i, epoch * 100 + i // 4) for i in range(400)]
                sent += rows
                send(producer, "hosts", rows)
                (one, other)[epoch % 2].run(work).expect(0)
            equal(windows(one), oracle(sent, 599 - 30), "windows")
    producer.close()


def letters_of_windows(server):
    """A step that stands for several has one side output: rows whose window has closed."""
    server.topic("closed", 1)
    producer = server.producer()
    work = counting("closed", trigger="once")
    work["steps"][1]["config"].update({"late": "deadLetter", "deadLetter": {"path": "letters"}})
    with workspace(server) as space:
        first = [(1, 0), (2, 5), (3, 600)]
        send(producer, "closed", first)
        space.run(work).expect(0)
        equal(windows(space), oracle(first, 570), "windows")
        # The window of 500 closed at 520 (windows are aligned to the minute: 1700000000 is 20 seconds into one).
        send(producer, "closed", [(4, 500), (5, 530), (6, 3), (7, 1300)])
        result = space.run(work).expect(0)
        equal(rows(space, "letters"), [4, 6], "late rows")
        equal(late_of(result), 2, "late rows are counted")
        equal(windows(space), oracle([*first, (5, 530)], 1270), "windows")
    producer.close()


def read_twice(server):
    """Rows beside an aggregate of the same rows: the source is read for each of both, and a late row is one late row."""
    server.topic("twice", 1)
    producer = server.producer()
    work = pipeline("twice", late={"late": "deadLetter", "deadLetter": {"path": "letters"}, "registerAs": "rows"})
    window = {"column": "ts", "type": "tumbling", "size": "1 minute"}
    work["steps"][3:3] = [
        {"type": "transform", "method": "aggregateData",
         "config": {"inputDataFrames": ["rows"], "groupBy": ["id % 2 AS odd"], "aggregations": {"id": "-count(*)"}, "window": window,
                    "registerAs": "counts"}},
        {"type": "transform", "method": "selectColumns",
         "config": {"inputDataFrames": ["counts"], "columns": ["id"], "registerAs": "counted"}},
        {"type": "transform", "method": "selectColumns", "config": {"inputDataFrames": ["rows"], "columns": ["id"], "registerAs": "ids"}},
        {"type": "transform", "method": "unionDataFrames", "config": {"inputDataFrames": ["ids", "counted"]}},
    ]
    with workspace(server) as space:
        send(producer, "twice", [(1, 0), (3, 1), (5, 2), (7, 600)])
        result = space.run(work).expect(0)
        check("is read 2 times" in space.millrace("plan", "pipeline.json").expect(0).out, "the source is read once")
        equal(late_of(result), 0, "late rows")
        send(producer, "twice", [(2, 0), (4, 540), (9, 541)])
        result = space.run(work).expect(0)
        equal(rows(space, "letters"), [2, 4], "dead letters")
        equal(late_of(result), 2, "late rows are counted once")
        equal(rows(space), [-3, 1, 3, 5, 7, 9], "rows")
    producer.close()


def closed_by_silence(server):
    """A window closes though no more rows come, once the partition that holds it back has been idle."""
    server.topic("quiet", 2)
    producer = server.producer()
    with workspace(server) as space:
        send(producer, "quiet", [(1, 0), (2, 5), (3, 600)])
        with Running(space, counting("quiet", idle="100 ms", trigger="10 ms")) as run:
            run.until(lambda: len(windows(space)) >= 2, "windows that close")
            run.drain()
        equal(windows(space), oracle([(1, 0), (2, 5)], 570), "windows")
        producer.close()


def main():
    broker.need()
    suite = Suite("event time")
    with broker.Broker(settings=dead_letters.SETTINGS) as server:
        for function in (late_rows, silent_partition, idle_partition, damaged_and_changed, windowed_revenue, closed_by_silence,
                         letters_of_windows, read_twice, from_host_to_host):
            suite.case(function.__name__.replace("_", " "), function, server)
        for function in dead_letters.CASES:
            suite.case(f"dead letters: {function.__name__.replace('_', ' ')}", function, server)
        kills = 100 if os.environ.get("MILLRACE_LONG") else 8
        suite.case(f"killed {kills} times", killed, server, kills)
        test_event_cases.add(suite, server)
    suite.end()


main()

#!/usr/bin/env python3
"""fromKafka in batch against a real broker, with records written and read back by kafka-python.

One broker serves all cases; each has topics of its own.
"""

import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Skip, Suite, check, checkout, equal, need

need("kafka", "pyarrow", "deltalake", "fastavro")
import broker
from broker import workspace
import kafka_formats
import kafka_stream
import pyarrow.parquet
import table
from engine import Workspace


def settled(futures):
    """Offsets of what was sent."""
    return [future.get(timeout=30).offset for future in futures]


def pipeline(source, **load):
    return {
        "name": "topic",
        "steps": [
            {"type": "extract", "method": "fromKafka", "config": source},
            {"type": "load", "method": "toFile", "config": {"path": "out/", "format": "parquet", "mode": "overwrite", **load}},
        ],
    }


def rows(space, folder="out"):
    """All rows, by topic, partition and offset where they have them."""
    tables = [pyarrow.parquet.ParquetFile(f).read() for f in table.files(space.file(folder))]
    found = [row for part in tables for row in part.to_pylist()]
    if found and "offset" in found[0]:
        found.sort(key=lambda r: (r["topic"], r["partition"], r["offset"]))
    return found


def read(server, source, **load):
    with workspace(server) as space:
        result = space.run(pipeline(source, **load)).expect(0)
        return rows(space), result


def offsets(server, source):
    return [row["offset"] for row in read(server, source)[0]]


# --- the broker does what librdkafka's mock only says it does ---


def broker_transactions(server):
    from kafka.errors import ProducerFencedError

    server.topic("self", 1)
    producer = server.producer(transactional_id="self")
    producer.init_transactions()
    for end in (producer.abort_transaction, producer.commit_transaction):
        producer.begin_transaction()
        for number in range(3):
            producer.send("self", b"%d" % number)
        producer.flush()
        end()
    equal([r.offset for r in server.read("self")], [4, 5, 6], "read_committed")
    equal(len(server.read("self", committed=False)), 6, "read_uncommitted")
    producer.begin_transaction()
    producer.send("self", b"late")
    producer.flush()
    second = server.producer(transactional_id="self")
    second.init_transactions()
    try:
        producer.commit_transaction()
        fenced = False
    except ProducerFencedError:
        fenced = True
    check(fenced, "a producer that was replaced could commit")


# --- records as they are ---


def raw_records(server):
    server.topic("raw", 3, max_message_bytes=2000000)
    producer = server.producer(max_request_size=2000000)
    big = bytes(range(256)) * 3600
    sent = [
        (0, b"k", b"v", [("h", b"1"), ("h", b"2"), ("empty", b"")]),
        (0, None, b"no key", []),
        (0, b"tombstone", None, [("why", "gone".encode())]),
        (0, b"", b"", []),
        (1, b"big", big, []),
        (1, "schl\u00fcssel".encode(), "w\u00e4rt".encode(), [("schl\u00fcssel", b"\x00\xff")]),
    ]
    for number, (partition, key, value, headers) in enumerate(sent):
        producer.send("raw", key=key, value=value, partition=partition, headers=headers, timestamp_ms=1700000000000 + number)
    producer.flush()
    theirs, (ours, result) = server.read("raw"), read(server, {"topic": "raw"})
    equal(len(ours), len(sent), "rows")
    for row, record in zip(ours, theirs):
        what = f"{record.partition}/{record.offset}"
        equal((row["topic"], row["partition"], row["offset"]), ("raw", record.partition, record.offset), what)
        equal((row["key"], row["value"]), (record.key, record.value), what)
        equal(row["timestamp"].timestamp(), record.timestamp / 1000, what)
        equal(row["timestampType"], 0, what)
        equal([(h["key"], h["value"]) for h in row["headers"] or []], list(record.headers), what)
    equal(ours[0]["headers"][2], {"key": "empty", "value": b""}, "an empty header")
    equal(result.report["steps"][0]["rowsRead"] if "rowsRead" in result.report["steps"][0] else len(ours), len(ours), "report")


def columns_pruned(server):
    """Only the columns that are used are made."""
    with workspace(server) as space:
        steps = pipeline({"topic": "raw"})
        steps["steps"].insert(1, {"type": "transform", "method": "selectColumns", "config": {"columns": ["offset", "partition"]}})
        steps["steps"].insert(2, {"type": "transform", "method": "filterRows", "config": {"condition": "partition = 1"}})
        space.run(steps).expect(0)
        equal(sorted(r["offset"] for r in rows_plain(space)), [0, 1], "offsets of partition 1")


def rows_plain(space):
    return [row for f in table.files(space.file("out")) for row in pyarrow.parquet.ParquetFile(f).read().to_pylist()]


def log_append_time(server):
    server.topic("append", 1, message_timestamp_type="LogAppendTime")
    producer = server.producer()
    producer.send("append", b"x", timestamp_ms=1)
    producer.flush()
    ours, _ = read(server, {"topic": "append"})
    equal(ours[0]["timestampType"], 1, "type")
    equal(ours[0]["timestamp"].timestamp(), server.read("append")[0].timestamp / 1000, "time of the broker")


# --- what offsets may look like ---


def aborted_transactions(server):
    server.topic("tx", 1)
    producer = server.producer(transactional_id="tx", linger_ms=0)
    producer.init_transactions()
    for number in range(12):
        producer.begin_transaction()
        for item in range(50):
            producer.send("tx", b"%d/%d" % (number, item))
        producer.flush()
        if number % 3 == 1:
            producer.abort_transaction()
        else:
            producer.commit_transaction()
    producer.begin_transaction()
    producer.send("tx", b"open")
    producer.flush()
    wanted = [r.offset for r in server.read("tx", patience=0)]
    equal(len(wanted), 400, "kafka-python")
    equal(offsets(server, {"topic": "tx"}), wanted, "read_committed")
    equal(offsets(server, {"topic": "tx", "minPartitions": 7}), wanted, "in pieces")
    everything = [r.offset for r in server.read("tx", committed=False)]
    equal(offsets(server, {"topic": "tx", "kafka.isolation.level": "read_uncommitted"}), everything, "read_uncommitted")
    producer.abort_transaction()
    equal(offsets(server, {"topic": "tx"}), wanted, "ends with markers only")


def compacted(server):
    server.topic("compact", 1, cleanup_policy="compact", min_cleanable_dirty_ratio="0.001", segment_ms=50, max_compaction_lag_ms=100,
                 min_compaction_lag_ms=0, delete_retention_ms=0)
    producer = server.producer()
    deadline = time.monotonic() + 60
    sent = 0
    while True:  # until records are gone in the middle; every tenth stays
        for number in range(sent, sent + 300):
            producer.send("compact", key=b"%d" % (number if number % 10 == 0 else number % 7), value=b"%d" % number)
        producer.flush()
        sent += 300
        found = [r.offset for r in server.read("compact")]
        if len(found) < sent:
            break
        check(time.monotonic() < deadline, "the broker does not compact")
        time.sleep(0.1)
    # The cleaner goes on meanwhile: what is read lies between two looks.
    for source in ({"topic": "compact"}, {"topic": "compact", "minPartitions": 5}):
        before = {r.offset for r in server.read("compact")}
        ours = set(offsets(server, source))
        after = {r.offset for r in server.read("compact")}
        check(after <= ours <= before, f"{len(after)} <= {len(ours)} <= {len(before)}")


def expired(server):
    server.topic("old", 2)
    producer = server.producer()
    for number in range(40):
        producer.send("old", b"%d" % number, partition=number % 2)
    producer.flush()
    first = {"topic": "old", "startingOffsets": {"old": {"0": 3, "1": 0}}}
    equal(len(offsets(server, first)), 37, "all there")
    server.delete_records("old", {0: 5, 1: 20})
    equal(offsets(server, {"topic": "old"}), list(range(5, 20)), "from the first that is kept")
    with workspace(server) as space:
        result = space.run(pipeline(first)).expect(5)
        check("keeps 5 to 20" in result.err and "failOnDataLoss" in result.err, result.err)
        space.run(pipeline({**first, "failOnDataLoss": False})).expect(0)
        equal([r["offset"] for r in rows(space)], list(range(5, 20)), "failOnDataLoss false")


def points(server):
    server.topic("points", 1)
    producer = server.producer()
    for number in range(10):
        producer.send("points", b"%d" % number, timestamp_ms=1700000000000 + 1000 * number)
    producer.flush()

    def at(start, end=None):
        return offsets(server, {"topic": "points", "startingOffsets": start, **({"endingOffsets": end} if end is not None else {})})

    equal(at("earliest"), list(range(10)), "earliest")
    equal(at("latest"), [], "latest")
    equal(at({"points": {"0": 4}}, {"points": {"0": 6}}), [4, 5], "offsets")
    equal(at('{"points": {"0": -2}}', '{"points": {"0": -1}}'), list(range(10)), "as Spark writes it")
    equal(at({"timestamp": 1700000002500}), list(range(3, 10)), "milliseconds")
    equal(at({"timestamp": "2023-11-14 22:13:22"}, {"timestamp": "2023-11-14T22:13:25Z"}), [2, 3, 4], "times")
    equal(at({"timestamp": "2030-01-01 00:00:00"}), [], "in the future")
    with workspace(server) as space:
        for source, said in (
            ({"startingOffsets": "soon"}, "\"soon\" is no place in a topic"),
            ({"startingOffsets": {"points": {"zero": 1}}}, "number"),
            ({"startingOffsets": {"points": {"1": 1}}}, "partition"),
            ({"endingOffsets": {"points": {"0": 11}}}, "behind its end"),
        ):
            result = space.run(pipeline({"topic": "points", **source})).expect(3)
            check(said in result.err, f"{source}: {result.err}")
        space.run(pipeline({"topic": "points", "startingOffsets": {"points": {"0": 11}}})).expect(5)


def topics_and_patterns(server):
    for name in ("many-a", "many-b", "many-c"):
        server.topic(name, 2)
    producer = server.producer()
    for name in ("many-a", "many-b", "many-c"):
        for partition in (0, 1):
            producer.send(name, name.encode(), partition=partition)
    producer.flush()
    equal(sorted({r["topic"] for r in read(server, {"topics": ["many-a", "many-c"]})[0]}), ["many-a", "many-c"], "topics")
    equal(len(offsets(server, {"topicPattern": "many-[ab]"})), 4, "a pattern")
    equal(offsets(server, {"topicPattern": "any-a"}), [], "of the whole name")
    equal(len(offsets(server, {"topicPattern": "many.*"})), 6, "another pattern")


def incremental(server):
    from kafka.admin import NewPartitions

    server.topic("grows", 1)
    producer = server.producer()
    source = {"topic": "grows", "incremental": True}
    seen = []

    def send(count, partition=0):
        settled([producer.send("grows", b"%d" % n, partition=partition) for n in range(count)])

    with workspace(server) as space:
        def run(*arguments, code=0, **config):
            result = space.run(pipeline({**source, **config}), *arguments).expect(code)
            if code == 0:
                seen.append([(r["partition"], r["offset"]) for r in rows(space)])
            return result

        send(5)
        run()
        run()
        send(3)
        run()
        admin = server.admin()
        admin.create_partitions({"grows": NewPartitions(total_count=2)})
        admin.close()
        producer.close()
        producer = server.producer()
        send(2, partition=1)
        send(1)
        run()
        equal(seen, [[(0, n) for n in range(5)], [], [(0, 5), (0, 6), (0, 7)], [(0, 8), (1, 0), (1, 1)]], "runs")
        shown = space.millrace("watermark", "show", "pipeline.json").expect(0)
        check('{"grows":{"0":9,"1":2}}' in shown.out.replace('\\"', '"'), shown.out)
        send(6)
        server.delete_records("grows", {0: 12})
        result = run(code=5)
        check("offset 9" in result.err and "12 to 15" in result.err, result.err)
        run(failOnDataLoss=False)
        equal(seen[-1], [(0, 12), (0, 13), (0, 14)], "behind what was lost")


def watermark_set(server):
    """A stream reads incrementally without saying so. No partition may be left out: it would be read again from its beginning."""
    server.topic("marks", 2)
    producer = server.producer()
    for partition in (0, 0, 0, 1, 1):
        producer.send("marks", b"x", partition=partition)
    producer.flush()
    source = {"topic": "marks", "startingOffsets": "earliest"}
    for named, mode, config, load in ((True, "streaming", {}, {"trigger": "availableNow"}), (False, "batch", {"incremental": True}, {})):
        with workspace(server) as space:
            work = {**pipeline({**source, **config}, mode="append", **load), "mode": mode}
            if named:
                work["steps"][0]["name"] = "src"
            name = "src" if named else "fromKafka#1"
            space.run(work).expect(0)
            equal(len(rows(space)), 5, mode)
            shown = json.loads(space.millrace("watermark", "show", "pipeline.json", "--json").expect(0).out)["steps"]
            check(len(shown) == 1 and shown[0]["step"] == name and shown[0]["label"], f"{shown}")
            check("any more" not in space.millrace("watermark", "show", "pipeline.json").expect(0).out, "it is such a step")
            result = space.millrace("watermark", "set", "pipeline.json", "--step", name, '{"marks":{"0":1}}').expect(5)
            check("leaves out marks[1], which is at offset 2" in result.err and '{"marks":{"0":3,"1":2}}' in result.err, result.err)
            space.run(work).expect(0)
            equal(len(rows(space)), 5, f"{mode}: what was refused has changed nothing")
            space.millrace("watermark", "set", "pipeline.json", "--step", name, '{"marks":{"0":1,"1":2}}').expect(0)
            result = space.millrace("watermark", "set", "pipeline.json", "--step", name, '{"marks":{"1":2}}').expect(5)
            check("leaves out marks[0], which is at offset 1" in result.err, result.err)
            space.run(work).expect(0)
            equal([(r["partition"], r["offset"]) for r in rows(space)], [(0, 0), (0, 1), (0, 1), (0, 2), (0, 2), (1, 0), (1, 1)], mode)
            space.millrace("watermark", "set", "pipeline.json", "--step", name, "--clear").expect(0)


# --- decoding ---


def decoding(server):
    server.topic("json", 2)
    producer = server.producer()
    good = {"id": 1, "name": "a \u00fc \U0001f600", "at": "2024-05-01T12:00:00Z", "more": {"x": [1, None]}, "extra": True}
    values = [json.dumps(good).encode(), b'{"id": 2}', None, b'{"id": 3, "name": "open', b'{"id": "four"}', b"", b'{"id": 5} {"id": 6}',
              b'\xff', b'{"id":\n7,\n"name":"lines"}', b'{"id": 12345678901234567890}']
    for value in values:
        producer.send("json", value, key=b"key", partition=0)
    for number in range(3000):
        producer.send("json", json.dumps({"id": number, "name": "n" * (number % 300)}).encode(), partition=1)
    producer.flush()
    source = {"topic": "json", "format": "json", "schema": "id BIGINT, name STRING, at TIMESTAMP, more STRUCT<x: ARRAY<INT>>"}
    with workspace(server) as space:
        result = space.run(pipeline(source)).expect(5)
        check("json[0] offset 3" in result.err, result.err)
        result = space.run(pipeline({**source, "onError": "drop"})).expect(0)
        found = rows(space)
        equal(len(found), 3004, "rows that are good")
        named = {r["id"]: r for r in found if r["name"] is not None and not r["name"].startswith("n")}
        equal(named[1]["name"], good["name"], "text")
        equal(named[1]["more"], {"x": [1, None]}, "nested")
        equal(named[7]["name"], "lines", "a record of several lines")
        equal(sum(r["id"] is None for r in found), 1, "the tombstone")
        space.run(pipeline({**source, "onError": "deadLetter", "deadLetter": {"path": "dead/"}})).expect(0)
        equal(len(rows(space)), 3004, "rows beside dead letters")
        dead = rows(space, "dead")
        equal([(r["topic"], r["partition"], r["offset"]) for r in dead], [("json", 0, n) for n in (3, 4, 5, 6, 7, 9)], "dead letters")
        equal([r["value"] for r in dead], [values[n] for n in (3, 4, 5, 6, 7, 9)], "their values")
        equal([r["column"] for r in dead], [None, "id", None, None, None, "id"], "their columns")
        check(all(r["reason"] for r in dead), "reasons")
        # One row a batch: what is faulty lies between batches.
        small = pipeline({**source, "onError": "deadLetter", "deadLetter": {"path": "dead2/"}, "endingOffsets": {"json": {"0": -1, "1": 5}}})
        small["resources"] = {"batchRows": 1}
        space.run(small).expect(0)
        equal((len(rows(space)), len(rows(space, "dead2"))), (9, 6), "row by row")


def columns_read(server):
    """What a record is refused for: that it is no JSON, and values of the columns that the pipeline uses, in a filter as well; with dead letters of all."""
    server.topic("used", 1)
    producer = server.producer()
    for value in (b'{"id": 1, "n": 1, "at": "2024-05-01"}', b'{"id": "x", "n": 2}', b'{"id": 3}', b'{"id": 4, "n": "y"}', b'{"id": 5, "n": 5, "at": "soon"}',
                  b'{"id": 6, "n": tru}', b'{"id": 7, "n": 7', None):
        producer.send("used", value, key=b"k")
    producer.flush()
    source = {"topic": "used", "format": "json", "schema": "id BIGINT, n INT NOT NULL, at TIMESTAMP", "onError": "drop"}
    letters = {**source, "onError": "deadLetter", "deadLetter": {"path": "dead/"}}
    with workspace(server) as space:
        for config, columns, condition, refused in ((source, "id n at", None, 7), (source, "id", None, 3), (source, "n", None, 5), (source, "at", None, 3),
                                                    (source, "id", "n > 0", 6), (letters, "id", None, 7)):
            work = pipeline(config)
            work["steps"].insert(1, {"type": "transform", "method": "selectColumns", "config": {"columns": columns.split()}})
            if condition:
                work["steps"].insert(1, {"type": "transform", "method": "filterRows", "config": {"condition": condition}})
            for _ in range(2):
                equal(space.run(work).expect(0).report["rows_rejected"], refused, f"refused where {columns} are read, {condition}")


def header_by_name(server):
    """As the guide writes it; a record without headers has none of the name, and a name that comes twice is said."""
    server.topic("named", 1)
    producer = server.producer()
    producer.send("named", b"1", headers=[("trace", b"abc"), ("n", b"1")])
    producer.send("named", b"2")
    producer.flush()
    work = pipeline({"topic": "named"})
    work["steps"].insert(1, {"type": "transform", "method": "selectColumns", "config": {"columns": {
        "trace": "CAST(map_from_entries(headers)['trace'] AS STRING)", "first": "CAST(headers[0].value AS STRING)"}}})
    with workspace(server) as space:
        space.run(work).expect(0)
        equal([(r["trace"], r["first"]) for r in rows(space)], [("abc", "abc"), (None, None)], "headers")
        producer.send("named", b"3", headers=[("trace", b"abc"), ("trace", b"def")])
        producer.flush()
        check("a key of the map comes twice" in space.run(work).expect(5).err, "a name that comes twice")


def many_pieces(server):
    """Pieces of partitions, readers that follow each other on one consumer: each record once."""
    server.topic("pieces", 3, segment_bytes=1048576)
    producer = server.producer(linger_ms=20)
    for number in range(30000):
        producer.send("pieces", b"%06d" % number + b"x" * 100, partition=number % 3)
    producer.flush()
    wanted = [(p, o) for p in range(3) for o in range(10000)]
    for pieces in (1, 3, 50):
        ours = read(server, {"topic": "pieces", "minPartitions": pieces})[0]
        equal([(r["partition"], r["offset"]) for r in ours], wanted, f"{pieces} pieces")


# --- refusals, security, failures ---


def refusals(server):
    with workspace(server) as space:
        for source, said in (
            ({}, "topic"),
            ({"topic": "raw", "topics": ["raw"]}, "not several"),
            ({"topic": "raw", "kafka.auto.offset.reset": "earliest"}, "startingOffsets"),
            ({"topic": "raw", "kafka.ssl.truststore.location": "/a.jks"}, "kafka.ssl.ca.location"),
            ({"topic": "raw", "kafka.no.such.thing": "1"}, "kafka.no.such.thing"),
            ({"topic": "raw", "kafka.socket.timeout.ms": "soon"}, "kafka.socket.timeout.ms"),
            ({"topic": "raw", "format": "json"}, "schema"),
            ({"topic": "raw", "format": "csv"}, "schema"),
            ({"topic": "raw", "onError": "deadLetter"}, "deadLetter"),
            ({"topicPattern": "raw("}, "pattern"),
        ):
            result = space.run(pipeline(source)).expect(3)
            check(said in result.err, f"{source}: {result.err}")
        result = space.run(pipeline({"topic": "nothing"})).expect(5)
        check("nothing" in result.err, result.err)


def secured(server):
    theirs = len(server.read("raw"))
    with Workspace() as space:
        ca = f"{server.place}/ca.pem"
        jaas = 'org.apache.kafka.common.security.plain.PlainLoginModule required username="{}" password="{}";'
        source = {
            "topic": "raw", "bootstrap.servers": server.secure_servers, "kafka.security.protocol": "SASL_SSL", "kafka.sasl.mechanism": "PLAIN",
            "kafka.ssl.ca.location": ca, "kafka.sasl.jaas.config": jaas.format(server.user, server.password),
        }
        space.run(pipeline(source)).expect(0)
        equal(len(rows(space)), theirs, "rows over TLS")
        for broken in ({"kafka.sasl.jaas.config": jaas.format(server.user, "wr0ng-secret")}, {"kafka.ssl.ca.location": "/dev/null"}):
            result = space.run(pipeline({**source, **broken}))
            check(result.code in (3, 4), f"{result}")
            check("wr0ng-secret" not in result.err + result.out + json.dumps(result.report), "a secret is shown")


def away(server):
    """A broker that is not there: an error that says so, in the time that was given."""
    with Workspace(extra={"defaults": {"kafka": {"bootstrap.servers": "127.0.0.1:1"}}}) as space:
        began = time.monotonic()
        result = space.run({**pipeline({"topic": "raw"}), "timeouts": {"connect": "3s"}, "retry": {"maxAttempts": 1}}).expect(5)
        check(time.monotonic() - began < 30, "waited for too long")
        check("bootstrap.servers" in result.err and "refused" in result.err, result.err)


def example(server):
    """config/examples/kafka-to-delta.json, three runs over a topic that grows."""
    from deltalake import DeltaTable

    server.topic("events", 4)
    producer = server.producer()
    with open(os.path.join(checkout(), "config", "examples", "kafka-to-delta.json"), encoding="utf-8") as file:
        work = json.load(file)
    with workspace(server) as space:
        for first, total in ((0, 300), (300, 300), (300, 450)):
            for number in range(first, total):
                row = {"id": number, "user": "u", "event": ("view", "cart", "order")[number % 3], "country": ("DE", "FR")[number % 2],
                       "amount": number / 4, "at": "2024-05-01T00:00:00Z"}
                producer.send("events", json.dumps(row).encode(), key=b"%d" % number)
            producer.flush()
            space.run(work).expect(0)
            found = DeltaTable(space.file("data/kafka/orders")).to_pyarrow_table().to_pylist()
            equal(sorted(r["id"] for r in found), list(range(2, total, 3)), "orders")
            equal({r["id"]: float(r["amount"]) for r in found}, {n: n / 4 for n in range(2, total, 3)}, "amounts")


def killed_broker(server):
    """kill -9 of the broker while a run reads, and while another asks for offsets: both end well once it is back."""
    if not os.environ.get("MILLRACE_LONG"):
        raise Skip("MILLRACE_LONG=1; tests/unit/connect/test_kafka.c does it on the mock cluster")
    server.topic("killed", 2)
    producer = server.producer(linger_ms=0, batch_size=1000)
    for number in range(20000):
        producer.send("killed", b"%06d" % number + b"x" * 100, partition=number % 2)
    producer.flush()
    producer.close()
    wanted = [(p, o) for p in range(2) for o in range(10000)]
    # Answers of a few records, so that reading lasts.
    slow = {"kafka.fetch.message.max.bytes": 1000}
    work = {**pipeline({"topic": "killed", **slow}), "timeouts": {"connect": "60s"}, "resources": {"batchRows": 100}}
    with workspace(server) as space:
        space.write("pipeline.json", work)
        run = space.start("run", "pipeline.json", "--progress", "none", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not os.path.isdir(space.file("out")) or not os.listdir(space.file("out")):
            check(run.poll() is None, "it ended before the broker did")
            time.sleep(0.005)
        server.kill()
        still = run.poll() is None
        server.start()
        equal(run.wait(120), 0, "exit code")
        check(still, "the run was over before the broker was killed")
        equal([(r["partition"], r["offset"]) for r in rows(space)], wanted, "rows")
        server.kill()
        space.write("pipeline.json", {**pipeline({"topic": "killed"}), "timeouts": {"connect": "60s"}})
        run = space.start("run", "pipeline.json", "--progress", "none", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        server.start()
        equal(run.wait(120), 0, "exit code")
        equal([(r["partition"], r["offset"]) for r in rows(space)], wanted, "rows of a run that began without a broker")


def main():
    broker.need()
    suite = Suite("kafka")
    with broker.Broker(secure=True) as server:
        for function in (broker_transactions, raw_records, columns_pruned, log_append_time, aborted_transactions, compacted, expired, points,
                         topics_and_patterns, incremental, watermark_set, decoding, columns_read, header_by_name, *kafka_formats.CASES, many_pieces, example, refusals, secured, away, *kafka_stream.CASES, killed_broker):
            suite.case(function.__name__.replace("_", " "), function, server)
    suite.end()


main()

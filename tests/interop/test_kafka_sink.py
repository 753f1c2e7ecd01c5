#!/usr/bin/env python3
"""toKafka against a real broker; what is there is read by kafka-python with read_committed.

One broker serves all cases; each has topics and a state key of its own. MILLRACE_LONG=1 takes more steps. tests/fault/kills_kafka.py kills it at random moments and everywhere.
"""

import collections
import datetime
import decimal
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Skip, Suite, check, checkout, equal, need

need("kafka", "pyarrow", "fastavro")
import fastavro
import pyarrow as pa
import pyarrow.parquet

import broker
from broker import workspace
from registry import Registry

LONG = bool(os.environ.get("MILLRACE_LONG"))
UTC = datetime.timezone.utc


def pipeline(name, load, source=None, **top):
    """A state key of its own for each case: the cluster remembers them."""
    source = source or {"path": "in.parquet", "format": "parquet"}
    method = "fromKafka" if "topic" in source else "fromFile"
    loads = load if isinstance(load, list) else [load]
    return {"name": name, **top, "steps": [
        {"type": "extract", "method": method, "config": source},
        *({"type": "load", "method": c.pop("method", "toKafka"), "config": c} for c in map(dict, loads))]}


def put(space, table, name="in.parquet"):
    pyarrow.parquet.write_table(table if isinstance(table, pa.Table) else pa.table(table), space.file(name))


def numbers(space, count=100, first=0):
    put(space, {"id": pa.array(range(first, first + count), pa.int64())})


def ids(server, topic):
    return collections.Counter(json.loads(r.value)["id"] for r in server.read(topic))


def once(server, topic, count, first=0):
    equal(ids(server, topic), collections.Counter(range(first, first + count)), topic)
    equal(server.open_transactions(topic), [], f"open transactions in {topic}")


# --- values ---


def every_type():
    moment = datetime.datetime(2024, 2, 29, 12, 30, 0, 500001, UTC)
    return pa.table({
        "b": pa.array([True, None]), "i8": pa.array([-128, None], pa.int8()), "i16": pa.array([32767, None], pa.int16()),
        "i32": pa.array([-(1 << 31), None], pa.int32()), "i64": pa.array([(1 << 63) - 1, None], pa.int64()),
        "f32": pa.array([0.1, None], pa.float32()), "f64": pa.array([0.1, float("nan")]),
        "dec": pa.array([decimal.Decimal("-123456789012345678901234567.8900"), None], pa.decimal128(38, 4)),
        "small": pa.array([decimal.Decimal("0.05"), None], pa.decimal128(9, 2)),
        "day": pa.array([datetime.date(2024, 2, 29), None]), "at": pa.array([moment, None], pa.timestamp("us", tz="UTC")),
        "local": pa.array([moment.replace(tzinfo=None), None], pa.timestamp("us")), "time": pa.array([datetime.time(1, 2, 3, 4), None], pa.time64("us")),
        "text": pa.array(['q"\\\n\u00fc\U0001f600', ""]), "bytes": pa.array([b"\x00\xff", None]),
        "list": pa.array([[1, None], []], pa.list_(pa.int32())), "struct": pa.array([{"x": 1, "y": None}, None], pa.struct({"x": pa.int32(), "y": pa.string()})),
        "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int32())),
    })


def values_json(server):
    """As in files, byte for byte, and what a reader makes of it."""
    server.topic("types", 1)
    with workspace(server) as space:
        put(space, every_type())
        space.run(pipeline("types", [{"topic": "types"}, {"method": "toFile", "path": "out/", "format": "json", "compression": "none"}])).expect(0)
        lines = [l for n in sorted(os.listdir(space.file("out"))) if not n.startswith(".") for l in open(space.file("out", n), "rb").read().splitlines()]
    values = [r.value for r in server.read("types")]
    equal(values, lines, "the same as in a file")
    row = json.loads(values[0], parse_float=decimal.Decimal)
    equal(row["dec"], decimal.Decimal("-123456789012345678901234567.8900"), "dec")
    equal((row["i64"], row["at"], row["text"], row["bytes"]), ((1 << 63) - 1, "2024-02-29T12:30:00.500001Z", 'q"\\\n\u00fc\U0001f600', "AP8="), "row")
    equal((row["list"], row["struct"], row["map"]), ([1, None], {"x": 1, "y": None}, {"k": 1}), "nested")
    equal(json.loads(values[1])["f64"], "NaN", "nan")


def values_avro(server):
    server.topic("avro", 1)
    with workspace(server) as space:
        table = every_type().drop_columns(["f64"])
        put(space, table)
        space.run(pipeline("avro", [{"topic": "avro", "format": "avro"}, {"method": "toFile", "path": "out/", "format": "avro"}])).expect(0)
        name = next(n for n in sorted(os.listdir(space.file("out"))) if not n.startswith("."))
        with open(space.file("out", name), "rb") as file:
            reader = fastavro.reader(file)
            schema, rows = reader.writer_schema, list(reader)
        found = [fastavro.schemaless_reader(io.BytesIO(r.value), schema) for r in server.read("avro")]
        equal(found, rows, "data")
        equal((found[0]["i64"], found[0]["dec"]), ((1 << 63) - 1, decimal.Decimal("-123456789012345678901234567.8900")), "values")
        own = json.dumps({"type": "record", "name": "r", "fields": [{"name": "i64", "type": ["null", "long"]}, {"name": "text", "type": "string"},
                                                                    {"name": "more", "type": "int", "default": 7}]})
        put(space, table.select(["i64", "text"]))
        server.topic("own", 1)
        space.run(pipeline("own", {"topic": "own", "format": "avro", "schema": own})).expect(0)
        found = [fastavro.schemaless_reader(io.BytesIO(r.value), json.loads(own)) for r in server.read("own")]
        equal(found, [{"i64": (1 << 63) - 1, "text": 'q"\\\n\u00fc\U0001f600', "more": 7}, {"i64": None, "text": "", "more": 7}], "own schema")


def values_registered(server):
    """Confluent's framing: the number of a schema that the registry has given."""
    server.topic("framed", 2)
    with Registry(user="mill:race") as registry, workspace(server) as space:
        put(space, {"id": pa.array(range(1000), pa.int64()), "text": [None if n % 3 else f"t{n}" for n in range(1000)]})
        load = {"topic": "framed", "key": "id", "format": "avro", "schemaRegistry": registry.url, "schemaRegistryUserInfo": "mill:race"}
        registry.broken = 1
        space.run(pipeline("framed", load)).expect(0)
        equal(len(registry.subjects["framed-value"]), 1, "schemas")
        equal(registry.count("/subjects/"), 2, "asked once, and once more behind a 503")
        number = registry.subjects["framed-value"][0]
        schema = fastavro.parse_schema(json.loads(registry.schemas[number]["schema"]))
        found = {}
        for record in server.read("framed"):
            equal(record.value[:5], b"\0" + number.to_bytes(4, "big"), "frame")
            row = fastavro.schemaless_reader(io.BytesIO(record.value[5:]), schema)
            found[row["id"]] = row["text"]
        equal(found, {n: None if n % 3 else f"t{n}" for n in range(1000)}, "rows")
        source = {"topic": "framed", "format": "avro", "schemaRegistry": registry.url, "schemaRegistryUserInfo": "mill:race"}
        space.run(pipeline("back", {"method": "toFile", "path": "back/", "format": "json"}, source)).expect(0)
        lines = [json.loads(l) for n in os.listdir(space.file("back")) if not n.startswith(".") for l in open(space.file("back", n))]
        equal({r["id"]: r["text"] for r in lines}, found, "read back")
        refused = space.run(pipeline("refused", {**load, "schemaRegistryUserInfo": "mill:wrong"}))
        check(refused.code in (4, 6) and "wrong" not in refused.err, refused)
        equal(server.open_transactions("framed"), [], "open transactions")


def records_copied(server):
    """Keys, values, headers, partitions, times, tombstones of one topic in another."""
    server.topic("from", 3)
    server.topic("to", 3)
    producer = server.producer()
    sent = [(0, b"k", b"v", [("h", b"1"), ("h", b"2"), ("empty", b"")]), (0, None, b"no key", []), (1, b"tomb", None, [("why", b"gone")]), (2, b"", b"", []),
            (1, b"\x00\xff", bytes(range(256)), [])]
    for number, (partition, key, value, headers) in enumerate(sent):
        producer.send("from", key=key, value=value, partition=partition, headers=headers, timestamp_ms=1700000000000 + number)
    producer.close()
    copy = {"topic": "to", "key": "key", "value": "value", "headers": "headers", "partition": "partition", "timestamp": "timestamp"}
    with workspace(server) as space:
        space.run(pipeline("copy", copy, {"topic": "from"})).expect(0)
    def shape(topic):
        return [(r.partition, r.key, r.value, list(r.headers), r.timestamp) for r in server.read(topic)]
    equal(shape("to"), shape("from"), "records")


def keys_and_places(server):
    for name in ("keys", "one", "two"):
        server.topic(name, 4)
    with workspace(server) as space:
        put(space, {"k": pa.array([17, -5, None], pa.int64()), "topic": ["one", "two", None], "m": pa.array([[("a", "x")], [], None], pa.map_(pa.string(), pa.string())),
                    "v": pa.array(["a", "b", "c"])})
        space.run(pipeline("keys", {"topic": "keys", "topicColumn": "topic", "key": "k", "headers": "m"})).expect(0)
        found = [(t, r.key, json.loads(r.value), list(r.headers)) for t in ("one", "two", "keys") for r in server.read(t)]
        equal(found, [("one", b"17", {"k": 17, "v": "a"}, [("a", b"x")]), ("two", b"-5", {"k": -5, "v": "b"}, []), ("keys", None, {"k": None, "v": "c"}, [])], "records")
        theirs = server.producer()
        where = [theirs.send("keys", key=b"%d" % n, value=b"{}").get(30).partition for n in range(20)]
        theirs.close()
        numbers(space, 20)
        server.topic("murmur", 4)
        space.run(pipeline("murmur", {"topic": "murmur", "key": "id"})).expect(0)
        ours = {int(r.key): r.partition for r in server.read("murmur")}
        equal([ours[n] for n in range(20)], where, "partitions of keys, as another client chooses them")


def rows_elsewhere(server):
    """What rows say of places and times is checked: not into what other pipelines remember, not into a topic whose name is the first part of theirs."""
    server.topic("else", 1)
    with workspace(server) as space:
        for column, value, words in (("topic", "_millrace_progress", "names the topic of epochs"), ("topic", "else\0where", "letters, digits"),
                                     ("at", datetime.datetime(1970, 1, 1, tzinfo=UTC), "time of a record"), ("at", datetime.datetime(1969, 1, 1, tzinfo=UTC), "time of a record")):
            put(space, {"k": ['["victim",0,"out",0]'], "v": ["x"], column: [value]})
            load = {"topic": "else", "key": "k", "value": "v", "topicColumn" if column == "topic" else "timestamp": column}
            result = space.run(pipeline("elsewhere", load))
            check(result.code == 6 and words in result.err, f"{value!r}: {result}")
        result = space.run(pipeline("elsewhere", {"topic": "_millrace_progress"}))
        check(result.code == 3 and "remembers which epochs" in result.err, result)
        equal(server.read("else"), [], "records")
        check(not any(b"victim" in r.key for r in server.read("_millrace_progress", committed=False)), "what is remembered")


def written(server):
    """`preview --written` shows records as another client finds them: also behind an incremental run, which has nothing left to read."""
    for name, partitions in (("shown-from", 1), ("shown", 1), ("shown-avro", 1), ("shown-bytes", 1)):
        server.topic(name, partitions)
    producer = server.producer()
    for n in range(3):
        producer.send("shown-from", json.dumps({"id": n, "text": "t" * 100}).encode(), timestamp_ms=1700000000000)
    producer.close()

    def preview(space, work, *more):
        space.write("shown.json", work)
        return space.millrace("preview", "shown.json", "--written", *more)

    with Registry() as registry, workspace(server) as space:
        source = {"topic": "shown-from", "format": "json", "schema": "id BIGINT, text STRING", "incremental": True}
        work = pipeline("shown", [{"topic": "shown", "key": "id"}, {"topic": "shown-avro", "format": "avro", "schemaRegistry": registry.url},
                                  {"topic": "shown-bytes", "format": "avro"}], source)
        for _ in range(2):
            space.run(work).expect(0)
        lines = preview(space, work, "--step", "2").expect(0).out.splitlines()
        equal(lines[0].split(), ["partition", "offset", "timestamp", "key", "value"], "columns")
        equal([(int(l.split()[0]), int(l.split()[1]), l.split()[4].encode(), l.split()[5].encode()) for l in lines[1:]],
              [(r.partition, r.offset, r.key, r.value) for r in server.read("shown")], "records")
        lines = preview(space, work, "--step", "3", "--rows", "2").expect(0).out.splitlines()
        equal(([l.split()[0] for l in lines], lines[0].split()), (["id", "0", "1"], ["id", "text"]), "rows of the registry's schema")
        lines = preview(space, work).expect(0).out.splitlines()
        equal(len(lines), 4, "the last load: values that are bytes")
        again = {**pipeline("again", {"topic": "shown", "trigger": "once"}, {"topic": "shown-from", "format": "raw"}), "mode": "streaming"}
        equal(len(preview(space, again).expect(0).out.splitlines()), 4, "what is there, also of a stream")
        odd = pipeline("odd", {"topicColumn": "text", "key": "id"}, source)
        check("`topic` names none" in preview(space, odd).expect(3).err, "topics that rows name")
        check("no load \"1\"" in preview(space, work, "--step", "1").expect(2).err, "a step that is no load")


def upsert(server):
    server.topic("table", 2, cleanup_policy="compact")
    with workspace(server) as space:
        load = {"topic": "table", "mode": "upsert", "key": "k", "value": "v"}
        put(space, {"k": ["a", "b", "a"], "v": pa.array(["1", "2", None], pa.string())})
        space.run(pipeline("upsert", load)).expect(0)
        last = {r.key: r.value for r in server.read("table")}
        equal(last, {b"a": None, b"b": b"2"}, "table")
        put(space, {"k": pa.array([None], pa.string()), "v": ["x"]})
        result = space.run(pipeline("upsert", load))
        check(result.code == 6 and "the key of a row is NULL" in result.err, result)
        equal(len(server.read("table")), 3, "records")
        equal(server.open_transactions("table"), [], "open transactions")


def epochs_that_expire(server):
    """A topic of epochs that forgets is refused before anything is sent; compacted it will do."""
    server.topic("forgetting", 1)
    for policy in ("delete", "compact,delete", "compact"):
        name = "epochs." + policy.replace(",", ".")
        server.topic(name, 8, cleanup_policy=policy)
        with workspace(server) as space:
            numbers(space)
            result = space.run(pipeline("forgetting", {"topic": "forgetting", "progressTopic": name}))
            if policy == "compact":
                result.expect(0)
                break
            check(result.code == 6 and f"has cleanup.policy {policy}" in result.err and "cleanup.policy=compact" in result.err, result)
            equal(server.read("forgetting", committed=False), [], "records")


# --- promises ---


def promises(server):
    server.topic("acks", 1)
    with workspace(server) as space:
        numbers(space)
        plan = space.millrace("plan", space.write("pipeline.json", pipeline("acks", {"topic": "acks"})))
        check("exactly once, in transactions of millrace.acks.0" in plan.out, plan)
        weak = pipeline("acks", {"topic": "acks", "kafka.acks": "1"})
        plan = space.millrace("plan", space.write("pipeline.json", weak))
        check("at least once: kafka.acks is 1" in plan.out, plan)
        space.run(weak).expect(0)
        once(server, "acks", 100)
        space.run(pipeline("acks", {"topic": "acks", "transactional": False})).expect(0)
        equal(ids(server, "acks")[5], 2, "rows of two loads")
        server.topic("large", 1, max_message_bytes=9000000)
        put(space, {"id": ["x" * 3000000, "y" * 1000]})
        result = space.run(pipeline("large", {"topic": "large"}))
        check(result.code == 6 and "kafka.message.max.bytes" in result.err, result)
        equal(server.read("large"), [], "records of a load that failed")
        result = space.run(pipeline("large", {"topic": "large", "kafka.message.max.bytes": "8000000", "kafka.queue.buffering.max.kbytes": "2000"}))
        check(result.code == 6 and "queue.buffering" in result.err, result)
        space.run(pipeline("large", {"topic": "large", "kafka.message.max.bytes": "8000000"}, resources={"memory": "100MB"})).expect(0)
        equal([len(r.value) for r in server.read("large")], [3000009, 1009], "sizes")
        files = {"method": "toFile", "path": "out/", "format": "json"}
        for work in (pipeline("wide", {"topic": "acks", "kafka.queue.buffering.max.kbytes": "1000000"}),
                     pipeline("wide", files, {"topic": "acks", "kafka.queued.max.messages.kbytes": "1000000"})):
            result = space.run({**work, "resources": {"memory": "100MB"}})
            check(result.code == 8 and "more wanted" in result.err, f"what the client may hold is charged: {result}")
        for config, words in (({"kafka.acks": "1", "transactional": True}, "kafka.acks is 1"), ({"kafka.transactional.id": "x"}, "made from stateKey"), ({"kafka.plugin.library.paths": "x"}, "is not a setting here"),
                              ({"kafka.sasl.kerberos.kinit.cmd": "true"}, "is not a setting here"), ({"kafka.sasl.kerberos.principal": "x; true"}, "letters, digits"),
                              ({"topic": "nowhere"}, "there is no topic nowhere"), ({"key": "nobody"}, "nobody"), ({"mode": "upsert"}, "needs `key`"),
                              ({"kafka.transaction.timeout.ms": "9999999"}, "do not allow transactions")):
            result = space.run(pipeline("refused", {"topic": "acks", **config}))
            check(result.code in (3, 6) and words in result.err, f"{config}: {result}")


def one_transaction(server):
    """Two loads of a pipeline into one cluster; a second cluster is refused."""
    server.topic("left", 1)
    server.topic("right", 1)
    with workspace(server) as space:
        numbers(space)
        # Files first in the pipeline, and second in the commit: staged files outlive a process, a transaction does not.
        both = pipeline("both", [{"method": "toFile", "path": "out/", "format": "json"}, {"topic": "left"}, {"topic": "right"}])
        for step in ("epoch.before_commit", "epoch.after_commit"):  # in front of the end of the transaction; behind it, with the files staged
            result = space.run(both, environment={"MILLRACE_FAILPOINT": f"{step}=kill"})
            if result.code == 0:
                raise Skip("built without --enable-failpoints")
            space.run(both).expect(0)
            lines = [l for n in os.listdir(space.file("out")) if not n.startswith(".") for l in open(space.file("out", n))]
            equal(collections.Counter(json.loads(l)["id"] for l in lines), ids(server, "left"), step)
            equal(ids(server, "right"), ids(server, "left"), step)
        equal(ids(server, "left"), collections.Counter({n: 2 for n in range(100)}), "rows of two epochs")
        apart = pipeline("apart", [{"topic": "left"}, {"topic": "right", "kafka.linger.ms": "1"}])
        result = space.run(apart)
        check(result.code == 3 and "cannot be one epoch" in result.err, result)


def killed_at_steps(server):
    """Killed between PREPARED and COMMITTED: committed, or withdrawn and read again."""
    steps = (("kafka.prepared", ""), ("epoch.before_commit", "is withdrawn"), ("kafka.after_end", "finished the commit"), ("kafka.begun", ""),
             ("epoch.after_commit", "finished the commit"))
    for step, words in steps[:5 if LONG else 3]:
        topic = server.topic(step.replace(".", "-"), 2)
        with workspace(server) as space:
            numbers(space)
            work = pipeline(topic, {"topic": topic})
            result = space.run(work, environment={"MILLRACE_FAILPOINT": f"{step}=kill"})
            if result.code == 0:
                raise Skip("built without --enable-failpoints")
            equal(result.code, -signal.SIGKILL, step)
            result = space.run(work).expect(0)
            check(words in result.err, f"{step}: {result}")
            once(server, topic, 100)
            equal(result.report["epoch"], 2 if "withdrawn" in words else 1, f"{step}: epoch")


def hidden(server):
    """The record of a commit lies behind the open transaction of somebody else: the epoch is not taken for one that never was."""
    server.topic("hidden", 1)
    with workspace(server) as space:
        numbers(space)
        work = pipeline("hidden", {"topic": "hidden", "progressTopic": "hidden-epochs"}, timeouts={"connect": "2s"})
        server.topic("hidden-epochs", 1, cleanup_policy="compact")
        other = server.producer(transactional_id="hides")
        other.init_transactions()
        other.begin_transaction()
        other.send("hidden-epochs", b"{}", key=b"somebody")
        other.flush()
        result = space.run(work, environment={"MILLRACE_FAILPOINT": "kafka.after_end=kill"})
        if result.code == 0:
            raise Skip("built without --enable-failpoints")
        result = space.run(work)
        check(result.code != 0 and "a transaction is open in front of" in result.err, result)
        other.abort_transaction()
        check("finished the commit" in space.run(work).expect(0).err, "the commit was not found")
        once(server, "hidden", 100)


def withdrawn_in_a_stream(server):
    """The end of a transaction fails, and the epoch is withdrawn and read again: its rows are there once, and counted once."""
    topic = server.topic("withdrawn-in-a-stream", 1)
    with workspace(server) as space:
        numbers(space)
        work = pipeline(topic, {"topic": topic, "trigger": "availableNow"},
                        {"path": "*.parquet", "format": "parquet", "schema": "id BIGINT", "incremental": {"by": "files"}}, mode="streaming")
        result = space.run(work, environment={"MILLRACE_FAILPOINT": "kafka.before_end=error"}).expect(0)
        if "is withdrawn" not in result.err:
            raise Skip("built without --enable-failpoints")
        once(server, topic, 100)
        report = result.report
        equal((report["rows_read"], report["rows_written"], report["stream"]["epochs"]), (100, 100, 1), "rows read, written, and epochs")


def start_stopped(space, work, step, *more):
    """A run that has stopped itself there."""
    space.write("pipeline.json", work)
    run = space.start("run", "pipeline.json", "--progress", "none", *more, environment={"MILLRACE_FAILPOINT": f"{step}=stop"}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    pid, status = os.waitpid(run.pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        run.returncode = os.waitstatus_to_exitcode(status)
        raise Skip("built without --enable-failpoints")
    return run


def went_on(run):
    run.send_signal(signal.SIGCONT)
    return run.communicate(timeout=120)[1]


def zombie(server):
    """A run is stopped; another one, with a copy of its state, commits the same epoch; the first wakes."""
    for step in ("kafka.before_end", "kafka.begun", "kafka.prepared", "epoch.before_commit")[:4 if LONG else 1]:
        topic = server.topic("zombie-" + step.replace(".", "-"), 1)
        work = pipeline(topic, {"topic": topic})
        with workspace(server) as space, workspace(server) as other:
            numbers(space, 10)
            space.run(work).expect(0)
            numbers(space, 50, 1000)
            numbers(other, 90, 10)
            shutil.copytree(space.file(".millrace"), other.file(".millrace"))
            run = start_stopped(space, work, step)
            other.run(work).expect(0)
            said = went_on(run)
            check(run.returncode != 0, f"{step}: the stopped run ended well")
            once(server, topic, 100)
            again = space.run(work)
            check(again.code == 6 and "--adopt" in again.err + said or "copy" in again.err, f"{step}: {said} {again}")
            once(server, topic, 100)


def uncertain_end(server):
    """EndTxn has no answer: the broker is stopped, or killed, under it."""
    for how in ("stopped", "killed")[:2 if LONG else 1]:
        topic = server.topic(f"uncertain-{how}", 1)
        with workspace(server) as space:
            numbers(space)
            work = pipeline(topic, {"topic": topic}, timeouts={"connect": "3s"})
            run = start_stopped(space, work, "kafka.before_end")
            if how == "stopped":
                server.process.send_signal(signal.SIGSTOP)
            else:
                server.kill()
            said = went_on(run)
            equal(run.returncode, 6, said)
            if how == "stopped":
                server.process.send_signal(signal.SIGCONT)
            else:
                server.start()
            work["timeouts"]["connect"] = "60s"
            space.run(work).expect(0)
            once(server, topic, 100)


def broker_back_in_time(server):
    """The broker is killed and comes back while the run waits: exact, in this run or the next."""
    if not LONG:
        raise Skip("MILLRACE_LONG=1")
    for step in ("kafka.begun", "kafka.before_flush", "kafka.before_end"):
        topic = server.topic("back-" + step.replace(".", "-"), 2)
        with workspace(server) as space:
            numbers(space, 1000)
            work = pipeline(topic, {"topic": topic}, timeouts={"connect": "60s"})
            run = start_stopped(space, work, step)
            server.kill()
            run.send_signal(signal.SIGCONT)
            server.start()
            said = run.communicate(timeout=120)[1]
            if run.returncode != 0:
                print(f"# {step}: {said.strip().splitlines()[-1]}")
                space.run(work).expect(0)
            once(server, topic, 1000)


def too_long(server):
    """The broker ends a transaction that takes longer than its time-out."""
    topic = server.topic("long", 1)
    with workspace(server) as space:
        numbers(space)
        work = pipeline("long", {"topic": topic, "kafka.transaction.timeout.ms": "1000"})
        run = start_stopped(space, work, "epoch.before_commit")
        deadline = time.monotonic() + 60
        while server.open_transactions(topic) and time.monotonic() < deadline:
            time.sleep(0.1)
        said = went_on(run)
        check(run.returncode == 6 and "transaction.timeout.ms is 1000" in said, said)
        del work["steps"][1]["config"]["kafka.transaction.timeout.ms"]
        space.run(work).expect(0)
        once(server, topic, 100)


def lost_state(server):
    """The cluster remembers: positions too."""
    server.topic("source", 2)
    server.topic("sink", 2)
    def feed(first):
        producer = server.producer()
        for n in range(first, first + 50):
            producer.send("source", json.dumps({"id": n}).encode(), partition=n % 2)
        producer.close()
    source = {"topic": "source", "format": "json", "schema": "id BIGINT", "incremental": True}
    with workspace(server) as space:
        work = pipeline("lost", {"topic": "sink"}, source)
        feed(0)
        space.run(work).expect(0)
        feed(50)
        shutil.rmtree(space.file(".millrace"))
        result = space.run(work)
        check(result.code == 6 and "--adopt" in result.err and "--fresh" in result.err, result)
        space.run(work, "--adopt").expect(0)
        once(server, "sink", 100)
        feed(100)
        space.run(work).expect(0)
        once(server, "sink", 150)
        space.run(work, "--fresh").expect(0)
        equal(ids(server, "sink")[0], 2, "loaded again")


def stream(server):
    """Epoch after epoch through one producer; killed, started again, drained."""
    server.topic("flow", 2)
    server.topic("flown", 2)
    source = {"topic": "flow", "format": "json", "schema": "id BIGINT", "startingOffsets": "earliest"}
    work = pipeline("flow", {"topic": "flown", "key": "id", "trigger": "20 milliseconds"}, source, mode="streaming")
    with workspace(server) as space:
        space.write("pipeline.json", work)
        log = open(space.file("log"), "ab")
        producer = server.producer()
        def feed(first, process):
            for n in range(first, first + 200):
                producer.send("flow", b'{"id":%d}' % n)
            producer.flush()
            deadline = time.monotonic() + 60
            while server.count("flown") < first + 200:
                check(process.poll() is None and time.monotonic() < deadline, open(space.file("log")).read()[-2000:])
                time.sleep(0.05)
        for end in signal.SIGKILL, signal.SIGTERM:
            process = space.start("run", "pipeline.json", "--progress", "none", stdout=log, stderr=log)
            first = 0 if end == signal.SIGKILL else 600
            for more in range(3):
                feed(first + 200 * more, process)
            process.send_signal(end)
            equal(process.wait(60), -9 if end == signal.SIGKILL else 143, "exit")
        producer.close()
        once(server, "flown", 1200)
        check(len(server.read("_millrace_progress")) > 5, "epochs")


def silent_stream(server):
    """The broker falls silent under an epoch; the stream is told to end: it does so long before anything times out, and the rows are sent by the next start."""
    server.topic("hushed", 1)
    producer = server.producer()
    for n in range(100):
        producer.send("hushed", b'{"id":%d}' % n)
    producer.flush()
    producer.close()
    source = {"topic": "hushed", "format": "json", "schema": "id BIGINT", "startingOffsets": "earliest"}
    for step in ("kafka.before_flush", "kafka.begun")[:2 if LONG else 1]:
        topic = server.topic("hushed-" + step.replace(".", "-"), 1)
        work = pipeline(topic, {"topic": topic, "trigger": "20 milliseconds"}, source, mode="streaming")
        with workspace(server) as space:
            run = start_stopped(space, work, step, "--stop-within", "60")
            server.process.send_signal(signal.SIGSTOP)
            begun = time.monotonic()
            run.send_signal(signal.SIGTERM)
            said = went_on(run)
            took = time.monotonic() - begun
            server.process.send_signal(signal.SIGCONT)
            equal(run.returncode, 143, said)
            check("drained: 0 epochs committed; epoch 1 is broken off (" in said and "error: " not in said, said)
            check(took < 10, f"{took:.1f} s")
            print(f"# {step}: {took:.1f} s")
            work["steps"][-1]["config"]["trigger"] = "once"
            space.run(work).expect(0)
            once(server, topic, 100)


def failed_stream(server):
    """What a stream has begun and will not commit holds up nobody."""
    server.topic("half", 1)
    server.topic("halves", 1)
    producer = server.producer()
    for n in range(3000):  # more than the queue holds: some are in the transaction before the last one fails
        producer.send("half", json.dumps({"k": f"k{n}", "v": "x" * 1000}).encode())
    producer.send("half", b'{"k":null,"v":""}')
    producer.flush()
    source = {"topic": "half", "format": "json", "schema": "k STRING, v STRING", "startingOffsets": "earliest"}
    load = {"topic": "halves", "mode": "upsert", "key": "k", "trigger": "once", "kafka.queue.buffering.max.kbytes": "1000"}
    with workspace(server) as space:
        for later in range(2):
            result = space.run(pipeline("half", load, source, mode="streaming"))
            check(result.code == 6 and "the key of a row is NULL" in result.err, result)
            equal(server.open_transactions("halves"), [], "open transactions")
            producer.send("halves", b"later").get(60)
            equal([r.value for r in server.read("halves")], [b"later"] * (later + 1), "what readers with read_committed get")
    producer.close()


def changes(server):
    """outputMode update without keys: the topic has each change."""
    server.topic("counted", 1)
    server.topic("counts", 1)
    source = {"topic": "counted", "format": "json", "schema": "k STRING", "startingOffsets": "earliest"}
    work = pipeline("counts", {"topic": "counts", "outputMode": "update", "trigger": "once"}, source, mode="streaming")
    work["steps"].insert(1, {"type": "transform", "method": "aggregateData", "config": {"groupBy": ["k"], "aggregations": {"n": "count(*)"}}})
    producer = server.producer()
    with workspace(server) as space:
        named = pipeline("named", {"topic": "counts"}, {**source, "kafka.group.id": "others"})
        plan = space.millrace("plan", space.write("pipeline.json", named))
        check("kafka.group.id is not joined" in plan.out, plan)
        for keys in ("aab", "a", "bc"):
            for key in keys:
                producer.send("counted", json.dumps({"k": key}).encode())
            producer.flush()
            space.run(work).expect(0)
    producer.close()
    rows = [json.loads(r.value) for r in server.read("counts")]
    equal([sorted(r["n"] for r in rows if r["k"] == k) for k in "abc"], [[2, 3], [1, 2], [1]], "changes")
    equal([r["n"] for r in rows if r["k"] == "a"], [2, 3], "in order")


def example(server):
    """config/examples/kafka-to-kafka.json, three runs over a topic that grows."""
    server.topic("events", 2)
    server.topic("orders", 3)
    with open(os.path.join(checkout(), "config", "examples", "kafka-to-kafka.json"), encoding="utf-8") as file:
        work = json.load(file)
    with workspace(server) as space:
        for batch in range(3):
            producer = server.producer()
            for n in range(batch * 20, batch * 20 + 20):
                event = {"id": n, "user": "u", "event": "order" if n % 2 else "click", "country": "AT" if n % 3 else "DE", "amount": "1.50",
                         "at": f"2024-05-01T00:00:{n:02}Z"}
                producer.send("events", json.dumps(event).encode())
            producer.close()
            space.run(work).expect(0)
            found = sorted((r.timestamp, r.key, json.loads(r.value)["id"]) for r in server.read("orders"))
            begin = int(datetime.datetime(2024, 5, 1, tzinfo=UTC).timestamp()) * 1000
            equal(found, [(begin + 1000 * n, b"AT" if n % 3 else b"DE", n) for n in range(1, batch * 20 + 20, 2)], f"run {batch}")


def main():
    broker.need()
    suite = Suite("kafka sink")
    with broker.Broker() as server:
        for function in (values_json, values_avro, values_registered, records_copied, example, stream, silent_stream, failed_stream, changes, keys_and_places, rows_elsewhere, written, upsert, epochs_that_expire, promises, one_transaction, killed_at_steps, hidden, withdrawn_in_a_stream, zombie, too_long,
                         lost_state, uncertain_end, broker_back_in_time):
            suite.case(function.__name__.replace("_", " "), function, server)
    suite.end()


main()

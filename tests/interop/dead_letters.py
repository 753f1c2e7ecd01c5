"""Dead letters in topics: rows that come too late and records that cannot be read, in the commit of the epoch. kafka-python reads them back."""

import base64
import decimal
import json
import random
import time

import group
import table
from broker import workspace
from group import Members, source as shared
from running import wait_for
from suite import Skip, check, equal

# For Broker(settings=...): what group.py wants, and topics that can be forbidden.
SETTINGS = group.SETTINGS + "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\nallow.everyone.if.no.acl.found=true\n"
START, DELAY = 1767225600, 60
COLUMNS = "id BIGINT, ts TIMESTAMP, price DECIMAL(20,4), label STRING, raw BINARY, tags ARRAY<INT>, seen DATE"
LATE = [("millrace.reason", b"late")]


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START + seconds))


def row(number, seconds):
    return {"id": number, "ts": stamp(seconds), "price": f"{number}.{number % 10000:04}", "label": None if number % 5 == 0 else f'"é\n{number}\u2028',
            "raw": base64.b64encode(b"\0\xff%d" % number).decode(), "tags": [number, None] if number % 3 else [], "seen": "2026-01-01"}


def extract(topic, config):
    """`topic` None in `config`: without it."""
    config = {"topic": topic, "format": "json", "schema": COLUMNS, "startingOffsets": "earliest", **config}
    return {"type": "extract", "method": "fromKafka", "config": {k: v for k, v in config.items() if v is not None}}


def pipeline(topic, late, extract_config=None, load=None, name="letters"):
    """Rows that are late at `ts`; `late`: the options of dropLateRows beside `until`."""
    return {"name": name, "mode": "streaming", "steps": [
        extract(topic, extract_config or {}),
        {"type": "transform", "method": "withWatermark", "config": {"column": "ts", "delay": f"{DELAY} seconds"}},
        {"type": "transform", "method": "dropLateRows", "config": {"until": "ts", **late}},
        load or {"type": "load", "method": "toFile", "config": {"path": "out", "format": "parquet", "mode": "append", "trigger": "once"}}]}


def to_topic(topic):
    return {"late": "deadLetter", "deadLetter": {"topic": topic}}


def send(producer, topic, values, partition=0):
    for value in values:
        producer.send(topic, value if isinstance(value, bytes) else json.dumps(value).encode(), partition=partition)
    producer.flush()


def ids(space, folder="out"):
    return sorted(r["id"] for r in table.parquet_rows(space.file(folder), "id"))


def parsed(records):
    return [json.loads(r.value, parse_float=decimal.Decimal) for r in records]


def as_written(number, seconds, watermark):
    """The JSON of a late row."""
    found = row(number, seconds)
    return {**found, "price": decimal.Decimal(found["price"]), "_watermark": stamp(watermark)}


def values(server):
    """Late rows of all kinds of columns, epoch by epoch, beside a model of the watermark; in one transaction with a load."""
    server.topics(["rows", "rows.late", "rows.good"])
    producer, chance = server.producer(), random.Random(5)
    late, good, before, latest, number = [], [], None, 0, 0
    work = pipeline("rows", to_topic("rows.late"), load={"type": "load", "method": "toKafka", "config": {"topic": "rows.good", "trigger": "once"}})
    with workspace(server) as space:
        for epoch in range(3):
            sent = [(number + i, max(0, epoch * 200 + chance.randrange(-300, 200))) for i in range(60)]
            number += len(sent)
            send(producer, "rows", [row(*one) for one in sent])
            for one in sent:
                (good if before is None or one[1] > before else late).append((*one, before))
            latest = max([latest, *(seconds for _, seconds in sent)])
            before = latest - DELAY
            result = space.run(work).expect(0)
            found = server.read("rows.late")
            equal(parsed(found), [as_written(*one) for one in late], f"late rows of {epoch + 1} epochs")
            equal(sorted(r["id"] for r in parsed(server.read("rows.good"))), sorted(n for n, *_ in good), "other rows")
        check(len(late) > 20, f"only {len(late)} late rows")
        check(all(r.key is None and list(r.headers) == LATE for r in found), "keys and headers")
        check(all(abs(r.timestamp / 1000 - time.time()) < 3600 for r in found), "records have the time of their writing")
        equal(result.report["rows_dead_lettered"], sum(1 for *_, w in late if w == late[-1][2]), "rows_dead_lettered")
        check("exactly once" in space.millrace("plan", "pipeline.json").expect(0).out, "plan")
        # An epoch that fails leaves nothing behind; once it succeeds each is there once.
        send(producer, "rows", [row(number, 1), row(number + 1, 2000)])
        failing = json.loads(json.dumps(work))
        failing["steps"].insert(3, {"type": "validate", "method": "validateRanges", "config": {"ranges": {"id": {"max": number}}}})
        space.run(failing).expect(7)
        equal(len(server.read("rows.late")), len(late), "after an epoch that failed")
        space.run(work).expect(0)
        space.run(work).expect(0)
        equal(parsed(server.read("rows.late"))[len(late):], [as_written(number, 1, before)], "after it")
    producer.close()


def one_topic(server):
    """Bad records, late rows of windows and of a de-duplication of one stream, all into one topic; batch reads the same file, and nothing is late."""
    server.topics(["mixed", "mixed.dead"])
    producer = server.producer()
    letters = to_topic("mixed.dead")
    work = pipeline("mixed", {}, {"onError": "deadLetter", "deadLetter": {"topic": "mixed.dead"}})
    work["steps"][2:3] = [
        {"type": "transform", "method": "deduplicate", "config": {"keys": ["id"], **letters}},
        {"type": "transform", "method": "aggregateData", "config": {
            "aggregations": {"id": "max(id)", "n": "count(distinct label)"}, "window": {"column": "ts", "type": "tumbling", "size": "1 minute"}, **letters}}]
    with workspace(server) as space:
        send(producer, "mixed", [row(1, 0), b"{", row(2, 600), row(1, 1)])
        space.run(work).expect(0)
        # Behind the watermark of 540: 540 for the keys, and never seen by the windows.
        send(producer, "mixed", [row(3, 540), row(4, 545), row(2, 700), row(5, 2000), b"[]"])
        result = space.run(work).expect(0)
        found = server.read("mixed.dead")
        reasons = [dict(r.headers)["millrace.reason"] for r in found]
        equal(sorted(r.value for r, why in zip(found, reasons) if why != b"late"), [b"[]", b"{"], "bad records")
        equal([json.loads(r.value)["id"] for r, why in zip(found, reasons) if why == b"late"], [3], "late rows")
        equal(result.report["rows_late"], 1, "rows_late")
        equal(ids(space), [1, 2, 4], "windows that have closed")
        batch = json.loads(json.dumps({**work, "mode": "batch", "name": "batch"}))
        del batch["steps"][-1]["config"]["trigger"]
        batch["steps"][-1]["config"]["path"] = "batch"
        space.run(batch).expect(0)
        equal(ids(space, "batch"), [1, 2, 4, 5], "windows of a batch run")
        equal(len(server.read("mixed.dead")), 5, "and its letters: the bad records")
    producer.close()


def before_a_join(server):
    """A join has no `late`: dropLateRows in front of it writes what it would drop."""
    server.topics(["left", "right", "sides.late"])
    producer = server.producer()
    work = {"name": "sides", "mode": "streaming", "steps": [
        *(step for name in ("left", "right") for step in (
            extract(name, {"schema": f"{name[0]} BIGINT, ts_{name[0]} TIMESTAMP"}),
            {"type": "transform", "method": "withWatermark", "config": {"column": f"ts_{name[0]}", "delay": f"{DELAY} seconds"}},
            {"type": "transform", "method": "dropLateRows", "config": {"until": f"ts_{name[0]}", "registerAs": name, **to_topic("sides.late")}})),
        {"type": "transform", "method": "joinDataFrames", "config": {"inputDataFrames": ["left", "right"], "joinConditions": ["l = r"], "within": "10 seconds"}},
        {"type": "transform", "method": "selectColumns", "config": {"columns": {"id": "l"}}},
        {"type": "load", "method": "toFile", "config": {"path": "out", "format": "parquet", "mode": "append", "trigger": "once"}}]}
    with workspace(server) as space:
        for side in "lr":
            send(producer, {"l": "left", "r": "right"}[side], [{side: 1, f"ts_{side}": stamp(0)}, {side: 2, f"ts_{side}": stamp(600)}])
        space.run(work).expect(0)
        send(producer, "left", [{"l": 3, "ts_l": stamp(540)}, {"l": 4, "ts_l": stamp(541)}])
        send(producer, "right", [{"r": 4, "ts_r": stamp(545)}, {"r": 5, "ts_r": stamp(9)}])
        result = space.run(work).expect(0)
        equal(sorted((r.get("l", 0), r.get("r", 0)) for r in parsed(server.read("sides.late"))), [(0, 5), (3, 0)], "late rows of both sides")
        equal((ids(space), result.report["rows_late"]), ([1, 2, 4], 2), "pairs, rows_late")
    producer.close()


def of_lanes(server):
    """Two processes share a topic: the late rows of each partition are there once, in files or in a topic."""
    producer = None
    for kind in ("files", "topic"):
        server.topic(f"lanes.{kind}", 2)
        server.topic(f"late.{kind}")
        letters = to_topic("late.topic") if kind == "topic" else {"late": "deadLetter", "deadLetter": {"path": "dead"}}
        work = pipeline(f"lanes.{kind}", letters, {**shared(f"lanes.{kind}", kind), "schema": COLUMNS}, name=f"lanes-{kind}")
        work["steps"][-1]["config"]["trigger"] = "20 ms"
        producer = server.producer()
        with workspace(server) as space, Members(space) as members:
            def read():
                return sorted(r["id"] for r in parsed(server.read("late.topic"))) if kind == "topic" else ids(space, "dead")

            space.write("pipeline.json", work)
            one, two = members.add(), members.add()
            wait_for(lambda: (one.lanes(), two.lanes()) == (1, 1), lambda: f"{one.lanes()} and {two.lanes()} lanes", 60, one, two)
            for partition in range(2):
                send(producer, f"lanes.{kind}", [row(10 * partition + n, 60 * n) for n in range(10)], partition)
            wait_for(lambda: ids(space) == list(range(20)), lambda: f"{len(ids(space))} rows", 60, one, two)
            for partition in range(2):
                send(producer, f"lanes.{kind}", [row(100 + 20 * partition + n, 0) for n in range(20)], partition)
            wait_for(lambda: read() == list(range(100, 140)), lambda: f"{len(read())} late rows", 60, one, two)
            equal([one.end(), two.end()], [143, 143], "exit codes")
            equal((read(), ids(space)), (list(range(100, 140)), list(range(20))), "late rows, others")
        producer.close()


def as_they_were(server):
    """No key, an empty one; no value, an empty one; headers that repeat; a record of megabytes: as they were, in topics and in files."""
    server.topics(["odd", "odd.dead"])
    producer = server.producer(max_request_size=8 << 20, key_serializer=lambda key: None if key == "none" else key)
    large = b'{"id": "' + b"abcdefgh" * (3 << 17) + b'"}'
    sent = [(None, None, [("h", b"1")]), (b"", None, []), (b"", b"", [("empty", b"")]), (None, b"", []), (b"\xff\0", b"\0\xff{", [("h", b""), ("h", b"2")]),
            (b"k", large, [])]
    for key, value, headers in sent:
        producer.send("odd", value, key="none" if key is None else key, headers=headers)
    producer.flush()
    source = {"schema": "id BIGINT NOT NULL", "onError": "deadLetter", "kafka.message.max.bytes": 8 << 20}
    for mode in ("batch", "streaming"):
        for kind, target in (("topic", "odd.dead"), ("path", "dead")):
            work = pipeline("odd", {}, {**source, "deadLetter": {kind: target}}, name=f"odd-{mode}-{kind}")
            del work["steps"][1:3]
            work["mode"] = mode
            if mode == "batch":
                del work["steps"][-1]["config"]["trigger"]
            with workspace(server) as space:
                result = space.run(work).expect(0)
                equal(result.report["rows_dead_lettered"], len(sent), "rows_dead_lettered")
                if kind == "path":
                    equal([(r["key"], r["value"]) for r in sorted(table.parquet_rows(space.file("dead")), key=lambda r: r["offset"])], [(k, v) for k, v, _ in sent], f"{mode}, {kind}")
                    continue
                found = server.read("odd.dead")[-len(sent):]
                equal([(r.key, r.value, [h for h in r.headers if not h[0].startswith("millrace.")]) for r in found], sent, f"{mode}, {kind}")
                equal([dict(r.headers)["millrace.offset"] for r in found], [b"%d" % n for n in range(len(sent))], "offsets")
    equal(len(server.read("odd.dead")), 2 * len(sent), "letters of both modes")
    producer.close()


def finished(server):
    """A process dies between the record of the epoch and its end: the next start ends it, or withdraws it and reads the rows again."""
    server.topics(["begun", "begun.bad", "begun.late"])
    producer = server.producer()
    work = pipeline("begun", to_topic("begun.late"), {"onError": "deadLetter", "deadLetter": {"topic": "begun.bad"}})
    with workspace(server) as space:
        send(producer, "begun", [row(0, 1000)])
        space.run(work).expect(0)
        for number, place in enumerate(("epoch.before_commit:1", "epoch.after_commit:1", "epoch.before_commit:3"), 1):
            send(producer, "begun", [b"{%d" % number, row(number, 0), row(10 + number, 2000)])
            done = space.run(work, environment={"MILLRACE_FAILPOINT": f"{place}=kill"})
            if done.code == 0:
                raise Skip("a build without --enable-failpoints")
            space.run(work).expect(0)
            space.run(work).expect(0)
            equal(([r.value for r in server.read("begun.bad")], [r["id"] for r in parsed(server.read("begun.late"))], ids(space)),
                  ([b"{%d" % n for n in range(1, number + 1)], list(range(1, number + 1)), [0, *range(11, 11 + number)]), place)
    producer.close()


def forbid(server, topic):
    """Nobody may write it, and the broker has learnt that."""
    from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType
    from kafka.errors import TopicAuthorizationFailedError

    admin, pattern = server.admin(), ResourcePattern(ResourceType.TOPIC, topic)
    admin.create_acls([ACL("User:ANONYMOUS", "*", operation, permission, pattern) for operation, permission in (
        (ACLOperation.WRITE, ACLPermissionType.DENY), (ACLOperation.DESCRIBE, ACLPermissionType.ALLOW))])
    admin.close()
    producer = server.producer()

    def forbidden():
        try:
            producer.send(topic, b"").get(20)
        except TopicAuthorizationFailedError:
            return True

    wait_for(forbidden, f"{topic} takes records")
    producer.close()


def refused(server):
    """A topic that is not there, that is read, that does not take the record: what, where, and how to mend it; nothing of the epoch is committed."""
    server.topics(["plain", "plain.dead"])
    server.topic("plain.small", max_message_bytes=1000)
    server.topic("plain.compact", cleanup_policy="compact")
    server.topic("plain.forbidden")
    forbid(server, "plain.forbidden")
    producer = server.producer()
    send(producer, "plain", [row(1, 0), b"x" * 3000])

    def step(topic, **config):
        return {"topic": "plain", "onError": "deadLetter", "deadLetter": {"topic": topic}, **config}

    with workspace(server) as space:
        for config, code, words in (
            (step("plain.gone"), 6, ["step 1 (fromKafka): deadLetter: \"topic\": there is no topic plain.gone", "pipeline.json:", "topics are not made here"]),
            (step("plain"), 3, ["deadLetter: \"topic\": plain is read by step 1 (fromKafka)", "come back for ever"]),
            ({**step("plain.dead", topicPattern="plain.*"), "topic": None}, 3, ["plain.dead is read by step 1 (fromKafka)"]),
            (step("plain.small"), 6, ["step 1 (fromKafka) deadLetter: topic plain.small: a record was not taken", "max.message.bytes"]),
            (step("plain.forbidden"), 6, ["topic plain.forbidden: a record was not taken", "TOPIC_AUTHORIZATION_FAILED"]),
            (step("plain.compact"), 6, ["topic plain.compact: a record was not taken", "a compacted topic takes no record without a key"]),
        ):
            result = space.run({**pipeline("plain", {}, config), "retry": {"maxAttempts": 1}}).expect(code)
            check(all(word in result.err for word in words), result.err)
            equal(ids(space), [], "rows of an epoch that failed")
        late = pipeline("plain", to_topic("plain.late"), {"topic": None, "topicPattern": "plain.*", "onError": "drop"})
        check("there is no topic plain.late" in space.run(late).expect(6).err, "a topic that is not there")
        server.topic("plain.late")
        check("plain.late is read by step 1" in space.run(late).expect(3).err, "late rows would come back")
        space.run(pipeline("plain", {}, step("plain.dead"))).expect(0)
        equal((ids(space), len(server.read("plain.dead"))), ([1], 1), "the same with a topic that is there")
    producer.close()


CASES = values, one_topic, before_a_join, of_lanes, as_they_were, finished, refused

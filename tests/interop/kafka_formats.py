"""Cases of test_kafka.py: Avro with and without a schema registry, CSV. fastavro encodes, pyarrow reads what was written."""

import datetime
import decimal
import io
import json
import struct

import pyarrow
import pyarrow.parquet
import table
from broker import workspace
from registry import Registry
from suite import Skip, check, equal

UTC = datetime.timezone.utc

FIRST = {
    "type": "record", "name": "Event", "namespace": "shop",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["VIEW", "ORDER"]}},
        {"name": "amount", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}], "default": None},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "count", "type": "int"},
        {"name": "old", "type": "string"},
    ],
}
# Fields in another order, one renamed, one wider, one gone, two that are new.
SECOND = {
    "type": "record", "name": "Event", "namespace": "shop",
    "fields": [
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "id", "type": "long"},
        {"name": "sort", "aliases": ["kind"], "type": {"type": "enum", "name": "Kind", "symbols": ["ORDER", "VIEW", "OTHER"]}},
        {"name": "amount", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}], "default": None},
        {"name": "count", "type": "double"},
        {"name": "tags", "type": {"type": "array", "items": "string"}, "default": ["none"]},
        {"name": "where", "type": ["null", {"type": "record", "name": "Place", "fields": [{"name": "city", "type": "string"}]}], "default": None},
    ],
}


def encode(schema, row, number=None):
    import fastavro

    out = io.BytesIO()
    if number is not None:
        out.write(struct.pack(">bI", 0, number))
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(json.dumps(schema))), row)
    return out.getvalue()


def event(number, second):
    at = datetime.datetime(2024, 5, 1, 12, 0, number % 60, 1000 * (number % 1000), UTC)
    row = {"id": number, "amount": None if number % 5 == 0 else decimal.Decimal(number) / 4, "at": at}
    kind = "ORDER" if number % 2 else "VIEW"
    if not second:
        return {**row, "kind": kind, "count": number, "old": "x" * (number % 30)}
    where = {"city": f"c{number}"} if number % 3 else None
    return {**row, "sort": kind, "count": number + 0.5, "tags": [str(number)] * (number % 4), "where": where}


def seen_as_second(number, second):
    row = event(number, True)
    return row if second else {**row, "count": float(number), "tags": ["none"], "where": None}


def pipeline(source, **more):
    load = {"type": "load", "method": "toFile", "config": {"path": "out/", "format": "parquet", "mode": "overwrite"}}
    return {"name": "formats", "steps": [{"type": "extract", "method": "fromKafka", "config": source}, load], **more}


def found(space, folder="out", key="id"):
    tables = [pyarrow.parquet.ParquetFile(f).read() for f in table.files(space.file(folder))]
    rows = [row for part in tables for row in part.to_pylist()]
    return sorted(rows, key=lambda r: (r[key] is None, r[key])), tables[0].schema if tables else None


def send(server, topic, values, partitions=1):
    producer = server.producer()
    for number, value in enumerate(values):
        producer.send(topic, value, key=b"k%d" % number, partition=number % partitions)
    producer.flush()
    producer.close()


def avro_registry(server):
    """Records of two schemas in any order, read as the latest, as the first, as columns."""
    server.topic("avro", 2)
    count = 4000
    with Registry(user="mill:r@ce") as registry, workspace(server) as space:
        ids = [registry.add("avro-value", schema) for schema in (FIRST, SECOND)]
        later = [n % 7 in (1, 2, 5) for n in range(count)]
        send(server, "avro", [encode((FIRST, SECOND)[later[n]], event(n, later[n]), ids[later[n]]) for n in range(count)], 2)
        source = {"topic": "avro", "format": "avro", "minPartitions": 8, "schemaRegistry": registry.url.replace("://", "://mill:r%40ce@")}
        result = space.run(pipeline(source)).expect(0)
        rows, schema = found(space)
        wanted = [{**seen_as_second(n, later[n])} for n in range(count)]
        equal(rows, [{key: row[key] for key in rows[0]} for row in wanted], "rows as the latest schema")
        equal(schema.field("at").type, pyarrow.timestamp("us", tz="UTC"), "type of at")
        equal(schema.field("amount").type, pyarrow.decimal128(12, 2), "type of amount")
        equal(registry.count("/schemas/ids/"), 2, "schemas asked for once each by eight readers")
        check("r@ce" not in json.dumps(result.report) + result.err + result.out, "a password is shown")
        plan = space.millrace("plan", "pipeline.json").expect(0)
        check("r%40ce" not in plan.out and "tags" in plan.out, plan.out)
        # As the first: what it lacks is gone, what it has and the second lacks has no default.
        reader = {**FIRST, "fields": FIRST["fields"][:4] + [{"name": "old", "type": "string", "default": "-"}]}
        space.run(pipeline({**source, "schema": reader})).expect(5)
        reader["fields"][1] = {"name": "kind", "aliases": ["sort"], "type": {**FIRST["fields"][1]["type"], "symbols": ["VIEW", "ORDER"]}}
        space.run(pipeline({**source, "schema": json.dumps(reader)})).expect(0)
        rows, _ = found(space)
        equal([r["kind"] for r in rows], ["ORDER" if n % 2 else "VIEW" for n in range(count)], "enums by name")
        equal([r["old"] for r in rows], ["-" if later[n] else "x" * (n % 30) for n in range(count)], "a default")
        # As columns of SQL.
        given = {k: v for k, v in source.items() if k != "schemaRegistry"}
        given.update({"schema.registry.url": registry.url, "schemaRegistryUserInfo": "mill:r@ce", "schema": "ID BIGINT, old STRING, nothing INT"})
        space.run(pipeline(given)).expect(0)
        rows, _ = found(space, key="ID")
        equal(rows, [{"ID": n, "old": None if later[n] else "x" * (n % 30), "nothing": None} for n in range(count)], "columns")
        refused = space.run(pipeline({**source, "schemaRegistry": registry.url})).expect(4)
        check("401" in refused.err, refused.err)


def avro_faults(server):
    """What is wrong with a record is the record's; what is wrong with the registry stops the run."""
    server.topic("faults", 1)
    with Registry() as registry, workspace(server) as space:
        number = registry.add("faults-value", FIRST)
        other = registry.add("other", {"type": "record", "name": "Event", "namespace": "shop", "fields": [{"name": "id", "type": "string"}]})
        protobuf = registry.add("proto", "message X {}", schemaType="PROTOBUF")
        shared = registry.add("shared", FIRST, references=[{"name": "a", "subject": "b", "version": 1}])
        good = encode(FIRST, event(1, False), number)
        bad = [b"", b"{}", b"\x01" + good[1:], good[:4], good[:-1], good + b"x", struct.pack(">bI", 0, 999) + good[5:],
               struct.pack(">bI", 0, 0xFFFFFFFF), encode(FIRST, event(1, False), other), encode(FIRST, event(1, False), protobuf)]
        values = [good] + bad[:5] + [None, good] + bad[5:] + [bad[6]] * 50 + [good]
        send(server, "faults", values)
        source = {"topic": "faults", "format": "avro", "schemaRegistry": registry.url + "/"}
        schema = {**FIRST, "fields": [{**f, "type": ["null", f["type"]]} if f["name"] in ("id", "at", "count", "old", "kind") else f for f in FIRST["fields"]]}
        source["schema"] = schema
        result = space.run(pipeline(source)).expect(5)
        check("faults[0] offset 1:" in result.err, result.err)
        check("onError` drop, or deadLetter" in result.err, result.err)
        registry.asked.clear()
        space.run(pipeline({**source, "onError": "deadLetter", "deadLetter": {"path": "dead/"}})).expect(0)
        equal([r["id"] for r in found(space)[0]], [1, 1, 1, None], "good rows and the tombstone")
        dead, _ = found(space, "dead", "offset")
        equal([r["value"] for r in dead], bad[:5] + bad[5:] + [bad[6]] * 50, "dead letters")
        reasons = [r["reason"] for r in dead]
        check("bytes behind" in reasons[5] and "Schema not found" in reasons[6] and "PROTOBUF" in reasons[9], reasons[:10])
        equal(dead[4]["column"], "old", "the column that is cut")
        equal(registry.count("/schemas/ids/999"), 1, "an id without a schema is asked for once")
        # The registry does not answer: tried again, then an error, never a dead letter.
        registry.broken = 2
        space.run(pipeline({**source, "onError": "drop"})).expect(0)
        equal(len(found(space)[0]), 4, "after two refusals")
        for url in ("http://127.0.0.1:1", registry.url + "/no/such/place"):
            work = pipeline({**source, "schemaRegistry": url, "onError": "drop"}, retry={"maxAttempts": 2, "delay": "10ms"})
            result = space.run(work)
            check(result.code in (3, 5) and "registry" in result.err, f"{url}: {result}")
        send(server, "faults", [encode(FIRST, event(1, False), shared)])
        result = space.run(pipeline({**source, "onError": "drop"}))
        check(result.code != 0 and "refers to other schemas" in result.err, result.err)
        server.topic("nobody", 1)
        result = space.run(pipeline({"topic": "nobody", "format": "avro", "schemaRegistry": registry.url})).expect(5)
        check("nobody-value" in result.err, result.err)
    with Registry(certificate=f"{server.place}/server.pem") as registry, workspace(server) as space:
        registry.add("nobody-value", FIRST)
        source = {"topic": "nobody", "format": "avro", "schemaRegistry": registry.url}
        result = space.run(pipeline(source))
        check(result.code in (3, 5) and "ertificate" in result.err, f"{result.code} {result.err}")
        space.run(pipeline({**source, "schemaRegistryCa": f"{server.place}/ca.pem"})).expect(0)


def avro_plain(server):
    """Values that are Avro data and nothing else."""
    server.topic("plain", 1)
    send(server, "plain", [encode(FIRST, event(n, False)) for n in range(500)] + [b"\x02"])
    with workspace(server) as space:
        space.write("event.avsc", FIRST)
        source = {"topic": "plain", "format": "avro", "schema": FIRST, "onError": "drop"}
        for schema in (FIRST, json.dumps(FIRST), "event.avsc"):
            space.run(pipeline({**source, "schema": schema})).expect(0)
            rows, _ = found(space)
            equal(rows, [{key: event(n, False)[key] for key in rows[0]} for n in range(500)], "rows")
        for schema, said in (("id BIGINT", "as JSON"), ({"type": "record"}, "schema"), (None, "schemaRegistry")):
            result = space.run(pipeline({k: v for k, v in {**source, "schema": schema}.items() if v is not None})).expect(3)
            check(said in result.err, result.err)


def csv_values(server):
    server.topic("csv", 2)
    values = [b"1,plain,2.50,2024-05-01T12:00:00Z", b'2,"quoted, with ""all""\nof it",,', b"3,,1.25,2024-05-01\r\n", b'4,"",0,', None,
              b"5,too,few", b"six,x,1,", b"7,a,1,\n8,b,2,", b"", b'9,"open', b"10,\xff,1,"]
    send(server, "csv", values + [b"%d,n,%d.5," % (n, n) for n in range(1000, 4000)])
    columns = "id BIGINT, name STRING, amount DECIMAL(10,2), at TIMESTAMP"
    source = {"topic": "csv", "format": "csv", "schema": columns, "onError": "deadLetter", "deadLetter": {"path": "dead/"}}
    with workspace(server) as space:
        space.run(pipeline(source)).expect(0)
        rows, _ = found(space)
        at = datetime.datetime(2024, 5, 1, 12, tzinfo=UTC)
        wanted = [(1, "plain", decimal.Decimal("2.50"), at), (2, 'quoted, with "all"\nof it', None, None),
                  (3, None, decimal.Decimal("1.25"), at.replace(hour=0)), (4, "", decimal.Decimal(0), None)]
        equal([tuple(r.values()) for r in rows[:4]], wanted, "rows")
        equal([(r["id"], r["amount"]) for r in rows[4:-1]], [(n, decimal.Decimal(n) + decimal.Decimal("0.5")) for n in range(1000, 4000)], "more")
        equal(tuple(rows[-1].values()), (None,) * 4, "the tombstone")
        equal([r["value"] for r in found(space, "dead", "offset")[0]], values[5:], "dead letters")
        steps = pipeline(source)
        steps["steps"].insert(1, {"type": "transform", "method": "selectColumns", "config": {"columns": ["amount", "id"]}})
        space.run(steps).expect(0)
        equal(found(space)[0][1], {"amount": None, "id": 2}, "some of the columns")
        send(server, "csv", [b"1;'a;b';2;N"])
        odd = {**source, "delimiter": ";", "quote": "'", "nullValue": "N", "onError": "drop"}
        del odd["deadLetter"]
        space.run(pipeline(odd)).expect(0)
        equal([tuple(r.values()) for r in found(space)[0]], [(1, "a;b", decimal.Decimal(2), None), (None,) * 4], "another dialect")
        for config, said in (({"delimiter": "ab"}, "delimiter"), ({"format": "json", "quote": "'"}, "csv"), ({"schemaRegistry": "http://x"}, "avro")):
            result = space.run(pipeline({**source, **config})).expect(3)
            check(said in result.err, result.err)


def letters_to_topic(server):
    """Bad records into a topic: as they were, with headers that say where they were and why, in the transaction of the rows."""
    for name in ("letters", "letters.dead"):
        server.topic(name, 2)
    producer = server.producer()
    for number in range(600):
        value = b"{" if number % 10 == 3 else b'{"id": "x"}' if number % 10 == 7 else json.dumps({"id": number}).encode()
        headers = [("h", b"1"), ("empty", b"")] if number % 20 == 3 else []
        producer.send("letters", value, key=None if number % 4 == 3 else b"k%d" % number, partition=number % 2, headers=headers)
    producer.flush()
    theirs = {(r.partition, r.offset): r for r in server.read("letters")}
    source = {"topic": "letters", "format": "json", "schema": "id BIGINT", "incremental": True, "onError": "deadLetter"}
    with workspace(server) as space:
        if "progressTopic" not in space.millrace("methods", "toKafka").out:
            raise Skip("no toKafka in this build")
        work = pipeline({**source, "deadLetter": {"topic": "letters.dead"}})
        space.run(work).expect(0)
        equal(len(found(space)[0]), 480, "rows")
        dead = server.read("letters.dead")
        equal(len(dead), 120, "dead letters")
        seen = set()
        for record in dead:
            headers = dict(record.headers)
            place = (int(headers["millrace.partition"]), int(headers["millrace.offset"]))
            seen.add(place)
            equal((record.key, record.value), (theirs[place].key, theirs[place].value), f"{place}")
            equal(headers["millrace.topic"], b"letters", "topic")
            check(headers["millrace.reason"], "a reason")
            equal(headers.get("millrace.column"), None if record.value == b"{" else b"id", "column")
            equal([h for h in record.headers if not h[0].startswith("millrace.")], list(theirs[place].headers), "its own headers")
        equal(len(seen), 120, "each once")
        space.run(work).expect(0)
        equal(len(server.read("letters.dead")), 120, "nothing new, nothing again")
        # In one transaction with a load of the same cluster.
        server.topic("letters.good", 1)
        both = pipeline({**source, "deadLetter": {"topic": "letters.dead"}, "kafka.fetch.wait.max.ms": 50})
        both["name"] = "both"
        both["steps"][-1] = {"type": "load", "method": "toKafka", "config": {"topic": "letters.good"}}
        space.run(both).expect(0)
        equal((len(server.read("letters.good")), len(server.read("letters.dead"))), (480, 240), "good and bad")
        # A run that fails leaves nothing behind.
        for value in (b"{", b'{"id": 5000}'):
            producer.send("letters", value, partition=0)
        producer.flush()
        failing = pipeline({**source, "deadLetter": {"topic": "letters.dead"}})
        failing["steps"].insert(1, {"type": "validate", "method": "validateRanges", "config": {"ranges": {"id": {"max": 4000}}}})
        result = space.run(failing)
        check(result.code not in (0, 3), f"the run was to fail: {result}")
        equal(len(server.read("letters.dead")), 240, "after a run that failed")
        for config, said in (
            ({"deadLetter": {"topic": "letters"}}, "come back"), ({"deadLetter": {"topic": "a", "path": "b"}}, "not both"),
            ({"topic": None, "topicPattern": "letters.*", "deadLetter": {"topic": "letters.dead"}}, "come back"),
        ):
            config = {k: v for k, v in {**source, **config}.items() if v is not None}
            result = space.run(pipeline(config)).expect(3)
            check(said in result.err, result.err)


CASES = (avro_registry, avro_faults, avro_plain, csv_values, letters_to_topic)

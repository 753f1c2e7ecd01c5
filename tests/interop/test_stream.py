#!/usr/bin/env python3
"""Mode streaming from a real broker: triggers, ends, restarts, and what changes while a stream runs.

One broker serves all cases; each has topics of its own. Nothing here waits for a time: rows are awaited, and the end of the process.
"""

import collections
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Skip, Suite, check, checkout, equal, need

need("kafka", "pyarrow", "deltalake", "duckdb", "psycopg")
import broker
import duckdb
import pyarrow.parquet
import table
from broker import workspace
from deltalake import DeltaTable
from kafka import KafkaConsumer, TopicPartition
from running import Running, wait_for
from server import Server


def pipeline(topic, load="toDelta", path="out", steps=(), **options):
    source = {"topic": topic, "format": "json", "schema": "id BIGINT, kind STRING", "startingOffsets": "earliest"}
    return {
        "name": "stream",
        "mode": "streaming",
        "steps": [
            {"type": "extract", "method": "fromKafka", "config": source},
            *steps,
            {"type": "load", "method": load, "config": {"path": path, "mode": "append", **options}},
        ],
    }


def send(producer, topic, ids, **where):
    for number in ids:
        producer.send(topic, json.dumps({"id": number, "kind": "ab"[number % 2]}).encode(), **where)
    producer.flush()


def ids(space, folder="out"):
    path = space.file(folder)
    if os.path.isdir(os.path.join(path, "_delta_log")):
        try:
            return sorted(DeltaTable(path).to_pyarrow_table().column("id").to_pylist())
        except Exception:  # the table is being made
            return []
    return sorted(row["id"] for row in table.parquet_rows(path, "id"))


def await_ids(space, wanted, *runs, folder="out"):
    wait_for(lambda: ids(space, folder) == wanted, lambda: f"{len(ids(space, folder))} of {len(wanted)} rows", 60, *runs)


def goes_on(server):
    """Rows come out while it runs; SIGTERM drains; the next start goes on there."""
    server.topic("goes", 2)
    producer = server.producer()
    with workspace(server) as space:
        send(producer, "goes", range(100))
        run = Running(space, pipeline("goes"))
        await_ids(space, list(range(100)), run)
        send(producer, "goes", range(100, 250))
        await_ids(space, list(range(250)), run)
        equal(run.end(), 143, "exit code")
        found = run.report()
        equal(found["status"], "cancelled", "status")
        check(found["error"]["message"].startswith("drained: "), found["error"]["message"])
        equal((found["rows_read"], found["rows_written"]), (250, 250), "rows")
        check(found["stream"]["epochs"] >= 2, found["stream"])
        send(producer, "goes", range(250, 300))
        run = Running(space, pipeline("goes"))
        await_ids(space, list(range(300)), run)
        equal(run.end(signal.SIGINT), 130, "exit code")
        equal(run.report()["rows_read"], 50, "rows")


def triggers(server):
    server.topic("triggers", 3)
    producer = server.producer()
    send(producer, "triggers", range(200))
    for trigger in ("once", "availableNow"):
        with workspace(server) as space:
            result = space.run(pipeline("triggers", trigger=trigger)).expect(0)
            equal(ids(space), list(range(200)), trigger)
            equal(result.report["stream"]["epochs"], 1, "epochs")
            equal(space.run(pipeline("triggers", trigger=trigger)).expect(0).report["rows_read"], 0, "read again")
            equal(ids(space), list(range(200)), trigger)


def available_now(server):
    """Epochs of a few records, up to what was there when it began."""
    server.topic("now", 3)
    producer = server.producer()
    send(producer, "now", range(100))
    with workspace(server) as space:
        work = pipeline("now", trigger="availableNow")
        work["steps"][0]["config"]["maxOffsetsPerTrigger"] = 30
        result = space.run(work).expect(0)
        equal(ids(space), list(range(100)), "rows")
        check(result.report["stream"]["epochs"] >= 4, result.report["stream"])
    with workspace(server) as space:  # a look for which the rate allows no record is not the end
        work["steps"][0]["config"] = {**pipeline("now")["steps"][0]["config"], "maxRatePerPartition": 20}
        space.run(work).expect(0)
        equal(ids(space), list(range(100)), "rows at a rate")


def begins_at_latest(server):
    """What comes in behind the first look is read, though nothing was committed by then."""
    server.topic("latest", 1)
    producer = server.producer()
    send(producer, "latest", range(50))
    with workspace(server) as space:
        work = pipeline("latest")
        work["steps"][0]["config"]["startingOffsets"] = "latest"
        once = pipeline("latest", trigger="once")
        once["steps"][0]["config"]["startingOffsets"] = "latest"
        equal(space.run(once).expect(0).report["rows_read"], 0, "rows of the first")
        send(producer, "latest", range(50, 70))
        equal(space.run(once).expect(0).report["rows_read"], 20, "rows of the second")
        equal(ids(space), list(range(50, 70)), "rows")


def begins_killed(server):
    """Killed in its very first epoch, which one stream has rows for: what was the end then is where partitions on latest begin, of all streams."""
    server.topic("mixed", 2)
    server.topic("late", 1)
    producer = server.producer()
    send(producer, "mixed", range(10), partition=0)
    send(producer, "mixed", range(100, 110), partition=1)
    send(producer, "late", range(200, 210))

    def extract(topic, begin):
        return {"type": "extract", "method": "fromKafka", "config": {
            "topic": topic, "format": "json", "schema": "id BIGINT, kind STRING", "startingOffsets": begin}}

    def load(path):
        return {"type": "load", "method": "toDelta", "config": {"path": path, "mode": "append", "trigger": "once"}}

    work = {"name": "two", "mode": "streaming", "steps": [
        extract("mixed", {"mixed": {"0": -2, "1": -1}}), load("mixed"), extract("late", "latest"), load("late")]}
    with workspace(server) as space:
        done = space.run(work, environment={"MILLRACE_FAILPOINT": "store.stage.write=kill"})
        if done.code == 0:
            raise Skip("a build without --enable-failpoints")
        send(producer, "mixed", range(110, 120), partition=1)
        send(producer, "late", range(210, 220))
        space.run(work).expect(0)
        equal(ids(space, "mixed"), [*range(10), *range(110, 120)], "rows of the first stream")
        equal(ids(space, "late"), list(range(210, 220)), "rows of the second")


def begins_from_now(server):
    """`watermark set` to what comes from now on: that is a place, and not another one at each look."""
    server.topic("fromnow", 1)
    producer = server.producer()
    send(producer, "fromnow", range(10))
    with workspace(server) as space:
        work = pipeline("fromnow", trigger="once")
        space.run(work).expect(0)
        send(producer, "fromnow", range(10, 20))
        space.millrace("watermark", "set", "pipeline.json", "--step", "1", '{"fromnow": {"0": -1}}').expect(0)
        equal(space.run(work).expect(0).report["rows_read"], 0, "rows of the first look")
        send(producer, "fromnow", range(20, 30))
        space.run(work).expect(0)
        equal(ids(space), [*range(10), *range(20, 30)], "rows")


def side_by_side(server):
    """Two streams of one process read one topic, each from its own beginning."""
    server.topic("beside", 1)
    send(server.producer(), "beside", range(50))
    with workspace(server) as space:
        for name, begin in (("all", "earliest"), ("new", "latest")):
            work = {**pipeline("beside", path=name, trigger="availableNow"), "name": name}
            work["steps"][0]["config"]["startingOffsets"] = begin
            space.write(f"{name}.json", work)
        space.millrace("run", "all.json", "new.json", "--progress", "none").expect(0)
        equal((ids(space, "all"), ids(space, "new")), (list(range(50)), []), "rows of all, and of what is new")


def idle(server):
    """Without rows there is no epoch: no version of the table, no file."""
    server.topic("idle", 1)
    producer = server.producer()
    send(producer, "idle", range(10))
    with workspace(server) as space:
        run = Running(space, pipeline("idle", trigger="20 ms"))
        await_ids(space, list(range(10)), run)  # in a file, which is there before the commit is
        log = space.file("out", "_delta_log")
        while not os.path.isdir(log) or not any(name.endswith(".json") for name in os.listdir(log)):
            check(run.process.poll() is None, "it ended")
            time.sleep(0.01)
        before = len(os.listdir(log))
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            time.sleep(0.1)
        equal(len(os.listdir(space.file("out", "_delta_log"))), before, "commits")
        equal(run.end(), 143, "exit code")
        equal(run.report()["stream"]["epochs"], before, "epochs")


def new_partitions(server):
    from kafka.admin import NewPartitions

    server.topic("grows", 1)
    producer = server.producer(metadata_max_age_ms=200)
    with workspace(server) as space:
        send(producer, "grows", range(10))
        work = pipeline("grows", load="toFile", format="parquet")
        work["steps"][0]["config"]["kafka.topic.metadata.refresh.interval.ms"] = 200
        run = Running(space, work)
        await_ids(space, list(range(10)), run)
        server.admin().create_partitions({"grows": NewPartitions(3)})
        producer.close()
        producer = server.producer()
        for number in range(3):
            send(producer, "grows", range(10 + number * 10, 20 + number * 10), partition=number)
        await_ids(space, list(range(40)), run)
        equal(run.end(), 143, "exit code")


def static_side(server):
    """A joined frame that is no stream is read again in each epoch."""
    server.topic("joined", 1)
    producer = server.producer()
    work = pipeline("joined", steps=[
        {"type": "extract", "method": "fromFile", "config": {"path": "names.json", "format": "json", "schema": "code STRING, name STRING",
                                                             "registerAs": "names"}},
        {"type": "transform", "method": "joinDataFrames",
         "config": {"inputDataFrames": ["events", "names"], "joinType": "inner", "joinConditions": ["events.kind = names.code"]}}])
    work["steps"][0]["config"]["registerAs"] = "events"
    with workspace(server) as space:
        space.write("names.json", json.dumps({"code": "a", "name": "first"}))
        send(producer, "joined", range(6))
        run = Running(space, work)
        await_ids(space, [0, 2, 4], run)
        space.write("names.new", json.dumps({"code": "b", "name": "second"}))
        os.rename(space.file("names.new"), space.file("names.json"))
        send(producer, "joined", range(6, 12))
        await_ids(space, [0, 2, 4, 7, 9, 11], run)
        equal(run.end(), 143, "exit code")


def example(server):
    """config/examples/streaming-kafka.json, on clicks of our own."""
    with open(os.path.join(checkout(), "config", "examples", "streaming-kafka.json"), encoding="utf-8") as file:
        work = json.load(file)
    server.topic("clicks", 4)
    producer = server.producer()
    with workspace(server) as space:
        for first in (0, 1200):
            for number in range(first, first + 1200):
                value = {"id": number, "user": "u", "event": ("view", "cart", "order")[number % 3], "country": ("DE", "FR")[number % 2],
                         "amount": number / 4, "at": "2024-05-01T00:00:00Z"}
                producer.send("clicks", json.dumps(value).encode(), key=b"%d" % number)
            producer.flush()
            found = space.run(work).expect(0).report["stream"]
            check(found["epochs"] >= 3, found)
            equal(found["latency_ms"]["records"], 1200, "records whose age is known")
            check(0 < found["latency_ms"]["p50"] <= found["latency_ms"]["max"] < 60000, found)
            equal(ids(space, "data/kafka/live-orders"), list(range(2, first + 1200, 3)), "orders")


def actions(space, kind):
    """Of all commits: (version, action) of one kind."""
    log = space.file("out", "_delta_log")
    for name in sorted(n for n in os.listdir(log) if n.endswith(".json") and not n.startswith(".")):
        with open(os.path.join(log, name), encoding="utf-8") as file:
            for action in map(json.loads, file):
                if kind in action:
                    yield int(name[:20]), action[kind]


def compacts(server):
    """autoCompact: tiny epochs leave few files, by commits that change no rows; a stream that reads what is added sees each row once."""
    server.topic("compacted", 2)
    producer = server.producer()
    tail = {"name": "tail", "mode": "streaming", "steps": [
        {"type": "extract", "method": "fromDelta", "config": {"path": "out", "incremental": {"by": "version"}}},
        {"type": "load", "method": "toFile", "config": {"path": "seen", "format": "parquet", "mode": "append"}}]}
    with workspace(server) as space:
        work = pipeline("compacted", autoCompact=True, trigger="availableNow")
        work["steps"][0]["config"]["maxOffsetsPerTrigger"] = 2
        for number in range(2):
            send(producer, "compacted", [number], partition=number % 2)
        space.run(work).expect(0)
        for number in range(2, 360):
            producer.send("compacted", json.dumps({"id": number, "kind": "ab"[number % 2]}).encode(), partition=number % 2)
        producer.flush()
        space.write("tail.json", tail)
        reader = Running(space, "tail.json", name="reader")
        epochs = space.run(work).expect(0).report["stream"]["epochs"]
        check(epochs >= 170, f"{epochs} epochs")
        await_ids(space, list(range(360)), reader, folder="seen")
        equal(reader.end(), 143, "exit code of the reader")
        equal(ids(space, "seen"), list(range(360)), "rows, read as they were added")
        found = DeltaTable(space.file("out"))
        rows = duckdb.execute("SELECT id FROM read_parquet(?) ORDER BY id", [found.file_uris()]).fetchall()
        equal([row[0] for row in rows], list(range(360)), "rows")
        packed = [version for version, action in actions(space, "commitInfo") if action["operation"] == "OPTIMIZE"]
        check(2 <= len(packed) <= epochs // 45, f"{len(packed)} compactions of {epochs} epochs")
        check(len(found.file_uris()) < 55, f"{len(found.file_uris())} files")
        for kind in ("add", "remove"):
            changes = {(version in packed, action["dataChange"]) for version, action in actions(space, kind)}
            check(changes <= {(True, False), (False, True)}, f"{kind}: (in a compaction, dataChange): {changes}")
        again = sum(action["size"] for version, action in actions(space, "remove"))
        print(f"# {epochs} epochs, {len(packed)} compactions, {len(found.file_uris())} files; removed {again} bytes")
        marks = sorted(int(name[:20]) for name in os.listdir(space.file("out", "_delta_log")) if name.endswith(".checkpoint.parquet"))
        equal(marks, list(range(10, found.version() + 1, 10)), "checkpoints")


def gathers(server):
    """optimizeWrite: whatever the number of partitions of the topic and of cores, an epoch writes one file for each value of partitionBy."""
    server.topic("gathered", 8)
    producer = server.producer()
    for number in range(400):
        producer.send("gathered", json.dumps({"id": number, "kind": "ab"[number // 2 % 2]}).encode(), partition=number % 8)
    producer.flush()
    for options, most in (({"optimizeWrite": True}, 1), ({"optimizeWrite": True, "partitionBy": ["kind"]}, 2)):
        with workspace(server) as space:
            work = {**pipeline("gathered", trigger="availableNow", **options), "resources": {"parallelism": 4}}
            work["steps"][0]["config"]["maxOffsetsPerTrigger"] = 100
            epochs = space.run(work).expect(0).report["stream"]["epochs"]
            equal(ids(space), list(range(400)), "rows")
            added = collections.Counter(version for version, _ in actions(space, "add"))
            check(epochs >= 4 and max(added.values()) <= most, f"files by version: {added}")


def output_modes(server):
    """Counts by kind over two epochs, as every target takes them; what a target cannot take is refused before anything is read."""
    source = {"type": "extract", "method": "fromFile", "config": {"path": "in/*.json", "format": "json", "schema": "kind STRING", "incremental": {"by": "files"}}}
    count = {"type": "transform", "method": "aggregateData", "config": {"groupBy": ["kind"], "aggregations": {"n": "count(*)"}}}
    columns = lambda rows: sorted((row["kind"], row["n"]) for row in rows)

    def changes(name):
        consumer = KafkaConsumer(bootstrap_servers=server.servers, isolation_level="read_committed")
        part = TopicPartition(name, 0)
        consumer.assign([part])
        consumer.seek_to_beginning(part)
        end, found = consumer.end_offsets([part])[part], []
        while consumer.position(part) < end:
            for records in consumer.poll(timeout_ms=1000).values():
                found += [(record.key, json.loads(record.value)) for record in records]
        consumer.close()
        return found

    def topic(keyed):
        return lambda space: sorted((key, row["kind"], row["n"]) for key, row in changes(f"modes-{keyed}"))

    delta = lambda space: columns(DeltaTable(space.file("out")).to_pyarrow_table().to_pylist())
    file = lambda space: columns(row for name in table.files(space.file("out")) for row in pyarrow.parquet.ParquetFile(name).read().to_pylist())
    totals = [("a", 2), ("b", 1), ("c", 1)]
    steps = [("a", 1), ("a", 2), ("b", 1), ("c", 1)]
    with Server() as postgres:
        postgres.database("modes")
        sql = lambda name: lambda space: sorted(postgres.rows("modes", f"SELECT kind, n FROM {name}"))
        works = (
            ("update", "toDelta", {"path": "out", "mode": "upsert", "keys": ["kind"]}, delta, totals),
            ("complete", "toDelta", {"path": "out", "mode": "overwrite"}, delta, totals),
            ("update", "toPostgres", {"table": "updated", "mode": "upsert", "keys": ["kind"]}, sql("updated"), totals),
            ("complete", "toPostgres", {"table": "completed", "mode": "overwrite"}, sql("completed"), totals),
            ("complete", "toFile", {"path": "out", "format": "parquet", "mode": "overwrite"}, file, totals),
            ("update", "toKafka", {"topic": "modes-none"}, topic("none"), [(None, *step) for step in steps]),
            ("update", "toKafka", {"topic": "modes-key", "key": "kind"}, topic("key"), [(step[0].encode(), *step) for step in steps]),
        )
        refused = (
            ("append", "toDelta", {"path": "out"}, "has no window"),
            ("update", "toDelta", {"path": "out"}, "cannot replace"),
            ("update", "toDelta", {"path": "out", "mode": "overwrite"}, "cannot replace"),
            ("complete", "toDelta", {"path": "out", "mode": "upsert", "keys": ["kind"]}, "cannot replace"),
            ("update", "toPostgres", {"table": "none"}, "cannot replace"),
            ("complete", "toPostgres", {"table": "none", "mode": "upsert", "keys": ["kind"]}, "cannot replace"),
            ("update", "toFile", {"path": "out", "format": "json"}, "cannot replace"),
            ("complete", "toFile", {"path": "out", "format": "json"}, "cannot replace"),
            ("complete", "toKafka", {"topic": "modes-key", "key": "kind"}, "cannot replace"),
        )
        for name in ("none", "key"):
            server.topic(f"modes-{name}", 1)
        for mode, method, options, read, wanted in works:
            load = {"type": "load", "method": method, "config": {"outputMode": mode, "trigger": "once", **options}}
            with workspace(server, postgres.credentials("modes")) as space:
                for number, kinds in enumerate(("ab", "ac")):
                    space.write(f"in/{number}.json", "".join(json.dumps({"kind": kind}) + "\n" for kind in kinds))
                    space.run({"name": f"modes-{mode}-{method}-{options.get('key')}", "mode": "streaming", "steps": [source, count, load]}).expect(0)
                equal(read(space), wanted, f"{mode} {method} {options}")
        with workspace(server, postgres.credentials("modes")) as space:
            space.write("in/0.json", json.dumps({"kind": "a"}) + "\n")
            for mode, method, options, message in refused:
                load = {"type": "load", "method": method, "config": {"outputMode": mode, "trigger": "once", **options}}
                done = space.run({"name": "refused", "mode": "streaming", "steps": [source, count, load]}).expect(3)
                check(message in done.err, f"{mode} {method} {options}: {done.err}")


def no_drift(server):
    """Many tiny epochs: neither memory nor descriptors grow (tests/cli/streams.py does it with files)."""
    if not os.environ.get("MILLRACE_LONG"):
        raise Skip("MILLRACE_LONG=1")
    count = 2000
    server.topic("tiny", 1)
    producer = server.producer()
    send(producer, "tiny", range(count + 1000))
    work = pipeline("tiny", load="toFile", format="json")
    work["steps"][0]["config"]["maxOffsetsPerTrigger"] = 1
    seen = {}
    with workspace(server) as space:
        run = Running(space, work)
        while count not in seen:
            check(run.process.poll() is None, "it ended")
            done = len(os.listdir(space.file("out"))) if os.path.isdir(space.file("out")) else 0
            for mark in (count // 4, count):
                if done >= mark and mark not in seen:
                    with open(f"/proc/{run.process.pid}/statm", encoding="ascii") as file:
                        pages = int(file.read().split()[1])
                    open_now = min(len(os.listdir(f"/proc/{run.process.pid}/fd")) for _ in range(100))
                    seen[mark] = (pages * 4, open_now)
            time.sleep(0.01)
        equal(run.end(), 143, "exit code")
        (early, fds), (late, fds_late) = seen[count // 4], seen[count]
        check(late <= early * 1.05 and fds_late <= fds + 5, f"KiB and descriptors, after {count // 4} and {count} epochs: {seen}")
        print(f"# {seen}")


def broker_away(server):
    """The broker is killed between epochs and comes back: nothing is lost, and the stream has not ended."""
    if not os.environ.get("MILLRACE_LONG"):
        raise Skip("MILLRACE_LONG=1")
    server.topic("away", 1)
    producer = server.producer()
    with workspace(server) as space:
        send(producer, "away", range(10))
        producer.close()
        run = Running(space, {**pipeline("away"), "timeouts": {"connect": "2s"}})
        await_ids(space, list(range(10)), run)
        server.kill()
        run.await_line("is done again")
        server.start()
        producer = server.producer()
        send(producer, "away", range(10, 20))
        await_ids(space, list(range(20)), run)
        equal(run.end(), 143, "exit code")


def asks(run):
    """A question to the broker has had no answer for some looks: the same thread still waits for it."""
    def thread():
        for task in os.listdir(f"/proc/{run.process.pid}/task"):
            try:
                with open(f"/proc/{run.process.pid}/task/{task}/comm", encoding="ascii") as file:
                    if file.read().strip() == "kafka-ask":
                        return task
            except OSError:
                pass
        return None
    end, looks, last = time.monotonic() + 60, 0, None
    while looks < 20:
        check(run.process.poll() is None and time.monotonic() < end, "it ended, or asks nothing")
        now = thread()
        looks = looks + 1 if now and now == last else 0
        last = now
        time.sleep(0.02)


def ends_soon(run, what):
    """Drained, long before it would be cancelled (half of --stop-within) or give up by itself, and said in one line."""
    begun = time.monotonic()
    equal(run.end(), 143, what)
    took = time.monotonic() - begun
    check(took < 10, f"{what}: {took:.1f} s until the end")
    print(f"# {what}: {took:.1f} s")
    said = run.text()
    equal((said.count("drained: "), said.count("error: ")), (1, 0), f"{what}: {said}")
    found = run.report()
    check(found["status"] == "cancelled" and found["error"]["message"].startswith("drained: "), f"{what}: {found['error']}")
    return found["error"]["message"]


def ends_without_broker(server):
    """Drained while the broker is stopped or killed: at once, and the next start goes on there."""
    server.topic("dead", 1)
    producer = server.producer()
    work = {**pipeline("dead"), "timeouts": {"connect": "60s"}}
    with workspace(server) as space:
        for first, how in ((0, "stopped"), (10, "killed"))[:2 if os.environ.get("MILLRACE_LONG") else 1]:
            send(producer, "dead", range(first, first + 10))
            run = Running(space, work, "--stop-within", "60")
            await_ids(space, list(range(first + 10)), run)
            server.process.send_signal(signal.SIGSTOP)
            if how == "killed":
                producer.close()
                server.kill()
            asks(run)
            check(ends_soon(run, how).endswith(" committed"), "the look was broken off, no epoch")
            if how == "killed":
                server.start()
                producer = server.producer()
            else:
                server.process.send_signal(signal.SIGCONT)
        send(producer, "dead", range(first + 10, first + 20))
        run = Running(space, work)
        await_ids(space, list(range(first + 20)), run)
        equal(run.end(), 143, "exit code")


def ends_without_target(server):
    """Drained while the target is away, and the epoch is tried again and again; the next start loads its rows."""
    server.topic("homeless", 1)
    producer = server.producer()
    with Server() as target, workspace(server, postgres=target.credentials("postgres")) as space:
        target.execute("postgres", "CREATE TABLE t (id BIGINT, kind TEXT)")
        work = pipeline("homeless")
        work["retry"] = {"maxAttempts": 100, "delay": "60s"}
        work["steps"][-1] = {"type": "load", "method": "toPostgres", "config": {"table": "t", "mode": "append", "trigger": "20 milliseconds"}}
        send(producer, "homeless", range(10))
        run = Running(space, work, "--stop-within", "60")

        def loaded(count):
            run.until(lambda: [row[0] for row in target.rows("postgres", "SELECT id FROM t ORDER BY id")] == list(range(count)), f"{count} rows")

        loaded(10)
        target.stop("immediate")
        send(producer, "homeless", range(10, 20))
        run.await_line("attempt 2 in|is done again")
        said = ends_soon(run, "no target")
        check(" committed; " in said, said)
        target.start()
        run = Running(space, work)
        loaded(20)
        equal(run.end(), 143, "exit code")


def main():
    broker.need()
    suite = Suite("stream")
    with broker.Broker() as server:
        for function in (goes_on, triggers, available_now, begins_at_latest, begins_killed, begins_from_now, side_by_side, idle, new_partitions, static_side, compacts, gathers, output_modes, example, no_drift, broker_away,
                         ends_without_broker, ends_without_target):
            suite.case(function.__name__.replace("_", " "), function, server)
    suite.end()


main()

#!/usr/bin/env python3
"""Several processes share a topic (`group` of fromKafka): lanes that come, go and are added; what is refused; what is remembered.

One broker serves all cases; each has topics and a state of its own. Nothing here waits for a time: rows, lines of logs and the ends of
processes are awaited. Kills are in tests/fault/lanes.py.
"""

import collections
import json
import os
import re
import resource
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("kafka", "deltalake", "pyarrow")
import broker
from broker import workspace
from deltalake import DeltaTable, write_deltalake
from engine import catches
from group import SETTINGS, Members, more_partitions, source
from running import wait_for


def pipeline(topic, steps=(), load=None, **config):
    return {"name": "shared", "mode": "streaming", "resources": {"parallelism": 1}, "steps": [
        {"type": "extract", "method": "fromKafka", "config": source(topic, **config)},
        *steps,
        {"type": "load", "method": "toDelta", "config": {"path": "out", "mode": "append", **(load or {})}}]}


def send(producer, topic, ids, **where):
    for number in ids:
        producer.send(topic, json.dumps({"id": number, "kind": "ab"[number % 2], "at": f"2024-05-01T12:{number // 60:02}:{number % 60:02}Z"}).encode(), **where)
    producer.flush()


def ids(space):
    if not os.path.isdir(space.file("out", "_delta_log")):
        return collections.Counter()
    try:
        return collections.Counter(DeltaTable(space.file("out")).to_pyarrow_table(columns=["id"]).column("id").to_pylist())
    except Exception:  # the table is being made
        return collections.Counter()


def await_ids(space, wanted, *members, seconds=60):
    wanted = collections.Counter(wanted)
    wait_for(lambda: ids(space) == wanted, lambda: f"{ids(space).total()} rows of {wanted.total()}", seconds, *members)


def shares(server):
    """Partitions are divided, move when a process comes or goes, and are added; each row is there once."""
    server.topic("shares", 4)
    producer = server.producer()
    with workspace(server) as space, Members(space) as members:
        space.write("pipeline.json", pipeline("shares"))
        send(producer, "shares", range(100))
        one = members.add()
        await_ids(space, range(100), one)
        equal(one.lanes(), 4, "lanes of the only process")
        two = members.add()
        wait_for(lambda: (one.lanes(), two.lanes()) == (2, 2), lambda: f"{one.lanes()} and {two.lanes()} lanes", 60, one, two)
        send(producer, "shares", range(100, 200))
        await_ids(space, range(200), one, two)
        given = sum(int(n) for n in re.findall(r"(\d+) lanes? given", one.text()))
        check(len(re.findall("run: .* begins", one.text())) <= given, f"a lane that was taken away begins again: {one.text()}")
        more_partitions(server, "shares", 6)
        wait_for(lambda: (one.lanes(), two.lanes()) == (3, 3), lambda: f"{one.lanes()} and {two.lanes()} lanes", 60, one, two)
        producer = server.producer()
        for partition in range(6):
            send(producer, "shares", range(200 + 10 * partition, 210 + 10 * partition), partition=partition)
        await_ids(space, range(260), one, two)
        equal(one.end(), 143, "exit code")
        wait_for(lambda: two.lanes() == 6, lambda: f"{two.lanes()} lanes", 60, two)
        send(producer, "shares", range(260, 300))
        await_ids(space, range(300), two)
        equal(two.end(signal.SIGINT), 130, "exit code")
        reports = [one.report(), two.report()]
        equal(sum(r["rows_written"] for r in reports), 300, "rows of both reports")
        equal(len(reports[1]["lanes"]), 6, "lanes in the report")
        equal(reports[0]["status"], "cancelled", "status")


def run(space, work, *words, code=0):
    space.write("pipeline.json", work)
    return space.run("pipeline.json", *words).expect(code)


def now(topic, **config):
    return pipeline(topic, load={"trigger": "availableNow"}, **config)


def until_it_ends(server):
    """trigger availableNow; and what a file with and one without `group` take over from each other."""
    server.topic("ends", 3)
    producer = server.producer()
    alone = now("ends")
    del alone["steps"][0]["config"]["group"]
    with workspace(server) as space:
        run(space, alone)
        send(producer, "ends", range(60))
        equal(run(space, alone, "--fresh").report["rows_read"], 60, "rows without group")  # whose mark is no kept row
        for partition in range(3):
            send(producer, "ends", range(60 + partition, 100, 3), partition=partition)
        keeping = pipeline("ends", [KEEPS], {"trigger": "availableNow"}, keyColumns=["id"])
        check("epochs were committed without `group`" in run(space, keeping, code=3).err, "steps that have nothing of those epochs")
        found = run(space, now("ends")).report
        equal((found["status"], found["rows_read"], len(found["lanes"])), ("success", 40, 3), "report")
        equal(run(space, now("ends")).report["rows_read"], 0, "read again")
        equal(ids(space), collections.Counter(range(100)), "rows")
        check("read by a group" in run(space, alone, code=3).err, "without group again")
        rows = json.loads(space.millrace("runs", "--state", ".millrace", "--json").expect(0).out)["runs"]
        equal({row["state_key"] for row in rows}, {"shared"} | {f"shared@ends/{p}" for p in range(3)}, "keys")
        admin = server.admin()
        offsets = admin.list_consumer_group_offsets("g") if hasattr(admin, "list_consumer_group_offsets") else admin.list_group_offsets("g")
        admin.close()
        told = {p.partition: o.offset for p, o in (offsets.get("g", offsets)).items() if p.topic == "ends"}
        equal(sum(told.values()), 100, "offsets of the group")


def begins_once(server):
    """"latest" is where the group began, however often it dies before anything is committed; a new partition is read from its first record."""
    server.topic("begins", 2)
    producer = server.producer()
    send(producer, "begins", range(50))
    with workspace(server) as space, Members(space) as members:
        space.write("pipeline.json", pipeline("begins", startingOffsets="latest"))
        one = members.add()
        wait_for(lambda: one.lanes() == 2, one.text, 60, one)
        one.end(signal.SIGKILL)
        send(producer, "begins", range(50, 70))
        more_partitions(server, "begins", 3)
        producer = server.producer()
        send(producer, "begins", range(70, 80), partition=2)
        two = members.add()
        await_ids(space, range(50, 80), two)
        equal(two.end(), 143, "exit code")


def comes_and_goes(server):
    """Stopped at any moment of its beginning: it ends as a stream does."""
    server.topic("comes", 2)
    with workspace(server) as space, Members(space) as members:
        space.write("pipeline.json", pipeline("comes"))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 500), hard))
        one = members.add()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        one.await_line("lanes? given")
        equal(resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE)[0], hard, "descriptors that a process with many lanes may have")
        for _ in range(4):
            two = members.add()
            wait_for(lambda: catches(two.process, signal.SIGTERM), two.text, 60, two)
            equal(two.end(), 143, f"exit code; {two.text()}")
        equal(one.end(), 143, "exit code")


def forgets(server):
    """--fresh loads all again, once, and not while another process has a lane; a lost state is found."""
    server.topic("forgets", 2)
    producer = server.producer()
    send(producer, "forgets", range(40))
    with workspace(server) as space, Members(space) as members:
        run(space, now("forgets"))
        run(space, now("forgets"), "--fresh")
        equal(ids(space), collections.Counter({n: 2 for n in range(40)}), "rows after --fresh")
        space.write("pipeline.json", pipeline("forgets"))
        one = members.add()
        wait_for(lambda: one.lanes() == 2 and len(re.findall("begins", one.text())) == 2, one.text, 60, one)
        check("stop the other processes" in space.run("pipeline.json", "--fresh").expect(9).err, "--fresh beside another process")
        equal(one.end(), 143, "exit code")
        again = members.add("--fresh")  # of a stream without an end: each lane runs one epoch, then the process joins
        await_ids(space, {n: 3 for n in range(40)}, again)
        wait_for(lambda: again.lanes() == 2, again.text, 60, again)
        send(producer, "forgets", range(40, 50))
        await_ids(space, {n: 3 if n < 40 else 1 for n in range(50)}, again)
        equal(again.end(), 143, "exit code")
        check("drained: all lanes have committed" in again.text(), again.text())
        os.rename(space.file(".millrace"), space.file("lost"))
        found = run(space, now("forgets"), code=6).err
        check("--adopt" in found and "lane forgets/" in found, found)


def looks(server):
    """Commands that look at a state know lanes: runs, watermark show and set, verify."""
    server.topic("looks", 3)
    producer = server.producer()
    with workspace(server) as space:
        work = {**now("looks"), "verify": True}
        shown = lambda: json.loads(space.millrace("watermark", "show", "pipeline.json", "--json").expect(0).out)
        put = lambda *words, code=0: space.millrace("watermark", "set", "pipeline.json", "--step", "1", *words).expect(code)
        for partition in range(3):
            send(producer, "looks", range(10 * partition, 10 * partition + 10), partition=partition)
        run(space, work)
        rows = json.loads(space.millrace("runs", "--pipeline", "pipeline.json", "--json").expect(0).out)["runs"]
        equal(sorted(row["lane"] for row in rows), ["looks/0", "looks/1", "looks/2"], "runs")
        equal([(lane["lane"], lane["epoch"], lane["steps"][0]["watermark"]) for lane in shown()["lanes"]],
              [(f"looks/{p}", 1, f'{{"looks":{{"{p}":10}}}}') for p in range(3)], "watermarks")
        check("lane looks/1, " in space.millrace("watermark", "show", "pipeline.json").expect(0).out, "shown as text")

        check("--lane" in put('{"looks": {"0": 1, "1": 1, "2": 1}}', code=3).err, "set of all")
        check("looks/0 .. looks/2" in put("--lane", "looks/9", '{"looks": {"9": 1}}', code=3).err, "a lane that is not there")
        check("leaves out looks[1]" in put("--lane", "looks/1", '{"looks": {"0": 1}}', code=5).err, "another partition's offset")
        put("--lane", "looks/1", '{"looks": {"1": 4}}')
        put("--lane", "looks/2", "--clear")
        equal([(lane["epoch"], lane["steps"][0]["setBy"]) for lane in shown()["lanes"]], [(1, "run"), (1, "person"), (1, None)], "set by")
        equal(run(space, work).report["rows_read"], 16, "rows behind what was set")
        equal(ids(space), collections.Counter([*range(30), *range(14, 30)]), "rows")

        found = json.loads(space.millrace("verify", "pipeline.json", "--json").expect(0).out)["loads"][0]
        equal((found["verdict"], found["rows_loaded"], found["rows_found"], found["loads"]), ("equal", 46, 46, 5), "verify")
        table = DeltaTable(space.file("out")).to_pyarrow_table()
        write_deltalake(space.file("out"), table.slice(0, 1), mode="append")
        check("1 row too many" in space.millrace("verify", "pipeline.json").expect(7).out, "a row of somebody else")

        work = {**now("looks"), "verify": True, "stateKey": "keys"}
        work["steps"][-1]["config"] = {"path": "keys", "mode": "upsert", "keys": ["id"], "trigger": "availableNow"}
        run(space, work)
        found = json.loads(space.millrace("verify", "pipeline.json", "--json").expect(0).out)["loads"][0]
        equal((found["verdict"], found["compared"], found["rows_loaded"]), ("equal", "keys", 30), "verify of keys")
        producer.send("looks", b'{"id": 1, "kind": "other"}', partition=2)
        producer.flush()
        run(space, work)
        check("loaded by several lanes" in space.millrace("verify", "pipeline.json").expect(3).out, "a key of two lanes")


KEEPS = {"type": "transform", "method": "deduplicate", "config": {"keys": ["id"], "watermark": {"column": "at", "delay": "1 hour"}}}


def halves(left, right, **config):
    """The stream joined with itself, by these columns of its halves."""
    def step(method, **options):
        return {"type": "transform", "method": method, "config": options}

    return pipeline("refuses", [
        step("filterRows", inputDataFrames=["s"], condition="kind = 'a'", registerAs="l"),
        step("withWatermark", inputDataFrames=["l"], column="at", delay=5, registerAs="left"),
        step("selectColumns", inputDataFrames=["s"], columns={"id2": "id", "kind2": "kind", "at2": "at"}, registerAs="r"),
        step("withWatermark", inputDataFrames=["r"], column="at2", delay=5, registerAs="right"),
        step("joinDataFrames", inputDataFrames=["left", "right"], leftKeys=left, rightKeys=right, within=5, **config)],
        registerAs="s", keyColumns=["id"])


def refuses(server):
    """What a shared stream cannot do is said with the remedy."""
    server.topic("refuses", 2)
    server.topic("other", 1)
    other = {"type": "extract", "method": "fromKafka",
             "config": {"registerAs": "o", "topic": "other", "format": "json", "schema": "id BIGINT"}}
    batch = {**pipeline("refuses"), "mode": "batch"}
    second = pipeline("refuses")
    second["steps"].insert(0, other)
    second["steps"][1]["config"]["registerAs"] = "s"
    pattern = pipeline("refuses", topicPattern="ref.*")
    del pattern["steps"][0]["config"]["topic"]
    overwrite = pipeline("refuses", load={"mode": "overwrite"})
    cases = [
        (batch, "share a stream, not a batch", '"mode": "streaming"'),
        (pipeline("refuses", endingOffsets="earliest"), "a stream has no end", "availableNow"),
        (second, "second stream", "a pipeline of its own"),
        (pattern, "named one by one", "`topics`"),
        (overwrite, "several processes write into the target", '"mode": "append"'),
        (pipeline("refuses", [KEEPS]), "rows of one key may be read by several processes", "`keyColumns`"),
        (pipeline("refuses", [KEEPS], keyColumns=["nothing"]), "there is no column nothing", "keyColumns"),
        (pipeline("refuses", [KEEPS], keyColumns=["id", "kind"]), "rows of one key may be read by several processes", "`keyColumns`"),
        (pipeline("refuses", **{"kafka.group.id": "h"}), "names another group", "leave kafka.group.id out"),
    ]
    apart = ("rows of one key may be read by several processes", "`keyColumns`")
    cases += [(halves(["kind"], ["kind2"]), *apart), (halves(["kind"], ["kind2"], joinType="left"), *apart)]
    with workspace(server) as space:
        for kind in ("inner", "left", "full", "left_anti"):
            space.write("pipeline.json", halves(["id", "kind"], ["id2", "kind2"], joinType=kind))
            space.millrace("validate", "pipeline.json", "--connect").expect(0)
        for work, *words in cases:
            space.write("pipeline.json", work)
            found = space.millrace("validate", "pipeline.json", "--connect").expect(3)
            check(all(word in found.out + found.err for word in words), f"{words} in\n{found}")


def keeps_by_lane(server):
    """What is kept by a key that decides the partition is right, and goes with its lane."""
    server.topic("keeps", 4)
    producer = server.producer()

    def twice(numbers):
        for number in numbers:
            for _ in range(2):
                send(producer, "keeps", [number], key=str(number).encode())

    with workspace(server) as space, Members(space) as members:
        space.write("pipeline.json", pipeline("keeps", [KEEPS], keyColumns=["id"]))
        twice(range(40))
        one = members.add()
        await_ids(space, range(40), one)
        two = members.add()
        wait_for(lambda: (one.lanes(), two.lanes()) == (2, 2), lambda: f"{one.lanes()} and {two.lanes()} lanes", 60, one, two)
        twice(range(20, 60))
        await_ids(space, range(60), one, two)
        one.end(signal.SIGKILL)
        twice(range(40, 80))
        await_ids(space, range(80), two)
        equal(two.end(), 143, "exit code")


def main():
    broker.need()
    suite = Suite("kafka group")
    with broker.Broker(settings=SETTINGS) as server:
        for function in (shares, until_it_ends, begins_once, comes_and_goes, forgets, looks, refuses, keeps_by_lane):
            suite.case(function.__name__.replace("_", " "), function, server)
    suite.end()


main()

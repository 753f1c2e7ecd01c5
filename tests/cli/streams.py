#!/usr/bin/env python3
"""Mode streaming without a broker: files that come in are the stream. Triggers, ends, refusals, /metrics, and that nothing grows.

Rows and the ends of processes are awaited; nothing sleeps for a time.
"""

import json
import os
import re
import sys
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal
from engine import Workspace
from running import Running


def pipeline(steps=(), top=(), **load):
    return {"name": "stream", "mode": "streaming", **dict(top), "steps": [
        {"type": "extract", "method": "fromFile", "config": {"path": "in/*.json", "format": "json", "schema": "id BIGINT, v STRING",
                                                             "incremental": {"by": "files"}}},
        *steps,
        {"type": "load", "method": "toFile", "config": {"path": "out", "format": "json", "mode": "append", **load}}]}


def put(space, name, ids):
    space.publish(f"in/{name}.json", "".join(json.dumps({"id": i, "v": "x"}) + "\n" for i in ids))


def ids(space):
    folder, found = space.file("out"), []
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if name.startswith(("part-", "2")) or name.endswith(".json"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                found += [json.loads(line)["id"] for line in file]
    return sorted(found)


def drained():
    with Workspace() as space:
        put(space, "a", [1, 2])
        with Running(space, pipeline(trigger="processingTime=20 milliseconds", queryName="files")) as run:
            def shown():
                return space.millrace("watermark", "show", "pipeline.json").expect(0).out

            run.until(lambda: ids(space) == [1, 2], "the first file")
            put(space, "b", [3])
            run.until(lambda: ids(space) == [1, 2, 3], "the second file")
            run.until(lambda: "epoch 1" in space.millrace("runs", "--pipeline", "pipeline.json").out, "the epoch in its row")
            run.until(lambda: "epoch 2\n" in shown(), "the epoch of the watermark")
            name = json.loads(space.millrace("runs", "--pipeline", "pipeline.json", "--json").expect(0).out)["runs"][0]["run_id"]
            running = shown().splitlines()[:2]
            check(re.search(rf"set by the run {name}, 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC, epoch 2$", running[1]), running)
            found = run.drain()
        equal((found["status"], found["rows_read"], found["stream"]["query"]), ("cancelled", 3, "files"), "report")
        equal(sum(s["rows_out"] for s in found["steps"][:1]), 3, "rows of the step over all epochs")
        check("drained: " in space.millrace("runs", "--pipeline", "pipeline.json").out, "the row of the run")
        equal((found["steps"][0]["incremental"]["since"], len(found["splits"])), (None, 0), "where the process began")
        equal(shown().splitlines()[:2], running, "the watermark of a stream that has ended")
        check("guarantee: every file exactly once" in shown(), shown())


def told():
    """A line of the log for many epochs, lines of each only at debug; no progress for an epoch."""
    work = pipeline([{"type": "load", "method": "toDelta", "config": {"path": "lake", "mode": "append"}}])
    with Workspace() as space:
        put(space, "0", [0])
        with Running(space, work, "--log-level", "debug", "--progress", "plain") as run:
            for number in range(1, 7):
                run.until(lambda number=number: ids(space) == list(range(number)), f"epoch {number}")
                put(space, f"{number}", [number] if number < 6 else [])
            run.drain()
            lines = run.text().splitlines()
        epochs = [line for line in lines if re.search(r" INFO .* epoch \d+: ", line)]
        equal(len(epochs), 1, f"lines of sums: {epochs}")
        check(re.search(r"epoch 1: 1 rows? read in all, 2 written; \d+ rows/s, 1 epoch in \d+\.\d s; ", epochs[0]), epochs[0])
        versions = [line for line in lines if re.search(r" DEBUG .* version \d+$", line)]
        committed = [line for line in lines if re.search(r" DEBUG .* epoch \d+ is committed: ", line)]
        check(len(versions) == len(committed) >= 6, lines)
        check(not any("version" in line for line in lines if " INFO " in line), "a version at level info")
        check("rows/s, split" not in "\n".join(lines), "progress of an epoch")


def once():
    with Workspace() as space:
        put(space, "a", [1])
        space.write("pipeline.json", pipeline(trigger="once"))
        check("\n  1 epoch, " in space.millrace("run", "pipeline.json").expect(0).out, "one epoch")


def ends_by_time():
    with Workspace() as space:
        put(space, "a", [1])
        result = space.run(pipeline(top={"timeouts": {"run": "0.3s"}}))
        equal(result.code, 8, "exit code")
        check("timeouts.run is over, 1 epoch committed" in result.err, result.err)
        equal(ids(space), [1], "rows")


def run_key():
    with Workspace() as space:
        put(space, "a", [1])
        space.run(pipeline(trigger="availableNow"), "--run-key", "k").expect(0)
        put(space, "b", [2])
        space.run(pipeline(trigger="availableNow"), "--run-key", "k").expect(0)
        equal(ids(space), [1], "a run key that has succeeded")
        space.run(pipeline(trigger="once"), "--run-key", "l").expect(0)
        equal(ids(space), [1, 2], "another")


def refusals():
    def broken(work, *texts):
        with Workspace() as space:
            put(space, "a", [1])
            result = space.run(work)
            equal(result.code, 3, f"exit code: {result.err}")
            for text in texts:
                check(text in result.err, f"{text!r} is not in {result.err}")

    batch = {**pipeline(trigger="once", outputMode="append", queryName="q", checkpointLocation="c"), "mode": "batch"}
    broken(batch, '"trigger" belongs to mode streaming', '"outputMode" belongs', '"queryName" belongs', '"checkpointLocation" belongs')
    broken(pipeline(trigger="sometimes"), '"trigger" is a time such as "5 seconds", once or availableNow, not "sometimes"')
    second = {"type": "load", "method": "toFile", "config": {"path": "two", "format": "json", "trigger": "2s", "checkpointLocation": "b"}}
    broken(pipeline([second], trigger="1s", checkpointLocation="a"), '"trigger" is "1s" here and "2s" at',
           '"checkpointLocation" is "a" here and "b" at')
    broken(pipeline(checkpointLocation="s3://bucket/c"), "must be a local directory", '"state": {"postgres"')
    broken(pipeline(checkpointLocation="c", top={"state": "d"}), "state is in one place")
    still = pipeline()
    del still["steps"][0]["config"]["incremental"]
    broken(still, "no source of this pipeline is a stream")
    broken(pipeline([{"type": "maintain", "method": "vacuumDelta", "config": {"path": "t"}}]), "maintain")
    # What, where, and how to mend it; and where once.
    window = pipeline([{"type": "transform", "method": "aggregateData", "config": {"groupBy": ["w"], "aggregations": {"n": "count(*)"}, "emit": "changes"}}])
    broken(window, 'groupBy: at character 1: no column "w" (columns: id, v')
    window["steps"][1]["config"].update(emit="final", window={"column": "at", "size": "1 minute"}, watermark={"column": "at", "delay": "1 s"})
    window["steps"][0]["config"]["schema"] = "id BIGINT, v STRING, at TIMESTAMP"
    with Workspace() as space:
        put(space, "a", [1])
        result = space.run(window)
        equal(result.err.count("character 1"), 1, f"told once: {result.err}")
        line = next(i for i, text in enumerate(open(space.file("pipeline.json"), encoding="utf-8"), 1) if '"groupBy"' in text)
        check(f"pipeline.json:{line}:" in result.err, result.err)
    for value, why in (('earlist', '"startingOffsets": "earlist" is no place in a topic ('), ({"t": 5}, "is no place in a topic: a topic has an object of partitions")):
        topic = pipeline()
        topic["steps"][0] = {"type": "extract", "method": "fromKafka",
                             "config": {"topic": "t", "format": "json", "schema": "id BIGINT", "startingOffsets": value, "bootstrap.servers": "nowhere:1"}}
        broken(topic, why, '{"events": {"0": 42, "1": -2}} (-2 is earliest, -1 latest), or a time as {"timestamp": ')
    with Workspace() as space:
        put(space, "a", [1])
        space.write("pipeline.json", pipeline())
        result = space.millrace("bench", "pipeline.json", "pipeline.json")
        equal(result.code, 3, "bench")
        check("no end that could be timed" in result.err, result.err)


def checkpoint_location():
    with Workspace() as space:
        put(space, "a", [1])
        space.run(pipeline(trigger="once", checkpointLocation="kept/here")).expect(0)
        check(os.path.exists(space.file("kept", "here", "state.db")), "the state is there")


def shown():
    with Workspace() as space:
        put(space, "a", [1, 2])
        space.write("pipeline.json", pipeline())
        space.millrace("validate", "pipeline.json").expect(0)
        check("(streaming)" in space.millrace("plan", "pipeline.json").expect(0).out, "plan")
        space.run(pipeline(trigger="once")).expect(0)
        equal(len(space.millrace("preview", "pipeline.json").expect(0).out.split("\n")), 4, "a preview begins at the beginning")


def planned():
    """What `millrace plan` says of epochs, event time and what steps keep."""
    frame = {"type": "extract", "method": "fromFile", "config": {"path": "in/*.json", "format": "json", "schema": "id BIGINT, at TIMESTAMP",
                                                                 "incremental": {"by": "files"}}}
    measure = {"type": "transform", "method": "withWatermark", "config": {"column": "at", "delay": "10 seconds", "idle": "1 minute"}}
    count = {"type": "transform", "method": "aggregateData", "config": {"window": {"column": "at", "type": "sliding", "size": "10 minutes", "slide": "5 minutes"},
                                                                        "groupBy": ["id"], "aggregations": {"n": "count(*)"}}}
    load = {"type": "load", "method": "toDelta", "config": {"path": "out", "mode": "upsert", "keys": ["id", "window_start"], "outputMode": "update",
                                                            "trigger": "5 seconds", "queryName": "counts"}}
    with Workspace() as space:
        space.write("in/a.json", json.dumps({"id": 1, "at": "2024-05-01T00:00:00Z"}) + "\n")
        space.write("pipeline.json", {"name": "planned", "mode": "streaming", "steps": [frame, measure, count, load]})
        text = space.millrace("plan", "pipeline.json").expect(0).out
        for line in ("  epochs: every 5.0 s; output mode update; query counts\n", "    does: event time at, delay 10.0 s, idle after 1m 00s\n",
                     "    does: by id: n = count(*); sliding windows of 10m 00s, every 5m 00s on at\n",
                     "    does: rows of windows that are over: sliding windows of 10m 00s, every 5m 00s on at\n", "    watermark: of step 2 (withWatermark)\n",
                     "    keeps from epoch to epoch: ", "    gives: rows that replace earlier ones\n"):
            check(line in text, f"{line!r} is not in {text}")
        plan = json.loads(space.millrace("plan", "pipeline.json", "--json").expect(0).out)
        equal(plan["stream"], {"trigger": "interval", "intervalMicros": 5000000, "outputMode": "update", "queryName": "counts"}, "stream")
        node = next(n for n in plan["nodes"] if n.get("keeps"))
        equal((node["watermarks"], node["updates"]), ([1], True), "the node that keeps rows")
        check({"id", "window_start"} <= {c["name"] for c in node["keeps"]}, node["keeps"])
        for trigger, words in (("once", "epochs: one; "), ("availableNow", "epochs: until all is read that there is at the start; "),
                               (None, "epochs: as soon as there are rows; output mode append\n")):
            space.write("pipeline.json", pipeline(**({"trigger": trigger} if trigger else {})))
            check(words in space.millrace("plan", "pipeline.json").expect(0).out, words)
        space.write("pipeline.json", {**pipeline(), "mode": "batch"})
        check("epochs: " not in space.millrace("plan", "pipeline.json").expect(0).out, "a batch run has none")
        equal(json.loads(space.millrace("plan", "pipeline.json", "--json").out)["stream"], None, "stream of a batch run")


def previews():
    """Steps that keep something: what is there is shown as a batch would show it, all of it closed."""
    def frame(name):
        return [{"type": "extract", "method": "fromFile", "config": {"path": "in/*.json", "format": "json", "schema": "id BIGINT, at TIMESTAMP",
                                                                     "incremental": {"by": "files"}, "registerAs": name}},
                {"type": "transform", "method": "withWatermark",
                 "config": {"inputDataFrames": [name], "column": "at", "delay": "10 seconds", "registerAs": name + "_m"}}]

    count = {"type": "transform", "method": "aggregateData",
             "config": {"window": {"column": "at", "size": "1 minute"}, "aggregations": {"n": "count(*)"}}}
    join = {"type": "transform", "method": "joinDataFrames",
            "config": {"inputDataFrames": ["l_m", "r_m"], "leftKeys": ["id"], "rightKeys": ["id"], "joinType": "left_semi", "within": "5 seconds"}}
    first = {"type": "transform", "method": "deduplicate", "config": {"keys": ["id"]}}
    changes = {"type": "transform", "method": "aggregateData", "config": {"groupBy": ["id"], "emit": "changes", "aggregations": {"n": "count(*)"}}}
    with Workspace() as space:
        space.write("in/a.json", "".join(json.dumps({"id": i, "at": f"2024-05-01T00:0{i}:00Z"}) + "\n" for i in (1, 2, 2)))
        load = {"type": "load", "method": "toFile", "config": {"path": "out", "format": "json", "mode": "append", "trigger": "once"}}
        for steps, rows in (([*frame("l"), count], 2), ([*frame("l"), *frame("r"), join], 3), ([*frame("l"), first], 2), ([*frame("l"), changes], 3)):
            space.write("pipeline.json", {"name": "previews", "mode": "streaming", "steps": [*steps, load]})
            out = space.millrace("preview", "pipeline.json").expect(0).out
            equal(len(out.splitlines()), rows + 1, f"lines of {steps[-1]}: {out}")
        check(not os.path.exists(space.file(".millrace")), "a preview keeps nothing")


def listens():
    def get(address, path):
        try:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    with Workspace() as space:
        put(space, "a", [1, 2])
        run = Running(space, pipeline(trigger="20ms"), "--listen", "127.0.0.1:0")
        address = run.until(lambda: re.search(r"listening on http://(127\.0\.0\.1:\d+)", run.text()), "its port").group(1)
        run.until(lambda: 'millrace_rows_written_total{pipeline="stream"} 2\n' in get(address, "/metrics")[1], "the rows")
        page = get(address, "/metrics")[1]
        for text in ('millrace_epochs_total{pipeline="stream"} 1\n', 'step="step 2 (toFile)"} 2\n', "# TYPE millrace_latency_seconds histogram\n"):
            check(text in page, f"{text!r} is not in {page}")
        equal(get(address, "/healthz"), (200, "ok\n"), "health")
        equal(get(address, "/readyz"), (200, "ok\n"), "readiness")
        equal(get(address, "/other")[0], 404, "another path")
        taken = space.run(pipeline(trigger="once"), "--state", "other", "--listen", address)
        equal(taken.code, 2, "a port that is taken")
        check("--listen" in taken.err, taken.err)
        equal(space.run(pipeline(trigger="once"), "--state", "other", "--listen", "here").code, 2, "no address")
        run.drain()


def no_drift():
    """Memory and descriptors are the same after many epochs, where it is said how late a file may come. MILLRACE_LONG=1: 2,000 of them."""
    count = 2000 if os.environ.get("MILLRACE_LONG") else 120
    seen = {}
    with Workspace() as space:
        put(space, "0", [0])
        work = pipeline()
        work["steps"][0]["config"]["incremental"]["maxFileAge"] = "3 seconds"
        run = Running(space, work)
        for number in range(count):
            run.until(lambda: os.path.isdir(space.file("out")) and sum(n.endswith(".json") for n in os.listdir(space.file("out"))) > number,
                      f"epoch {number}")
            if number in (count // 4, count - 1):
                with open(f"/proc/{run.process.pid}/statm", encoding="ascii") as file:
                    kib = int(file.read().split()[1]) * 4
                seen[number] = (kib, min(len(os.listdir(f"/proc/{run.process.pid}/fd")) for _ in range(50)))
            put(space, f"{number + 1}", [number + 1])
        run.drain()
        (early, fds), (late, fds_late) = seen.values()
        check(late <= early * 1.05 and fds_late <= fds + 5, f"KiB and descriptors by epoch: {seen}")
        print(f"# {seen}")


def main():
    suite = Suite("streams")
    for function in (drained, told, once, ends_by_time, run_key, refusals, checkpoint_location, shown, planned, previews, listens, no_drift):
        suite.case(function.__name__.replace("_", " "), function)
    suite.end()


main()

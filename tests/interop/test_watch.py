#!/usr/bin/env python3
"""What a stream says while it runs, for those who watch it: /metrics, /healthz, /readyz, the log, its row among the runs, ages of records.

Pages are read by prometheus_client's parser, and values compared with what the broker, the Delta log and the rows say themselves.
"""

import calendar
import glob
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Skip, Suite, check, equal, need

need("kafka", "pyarrow", "deltalake", "prometheus_client")
import broker
import pyarrow.dataset
from deltalake import DeltaTable
from engine import Workspace
from prometheus_client.parser import text_string_to_metric_families

EPOCH = 1700000000


def workspace(server):
    return Workspace(extra={"defaults": {"kafka": {"bootstrap.servers": server.servers}}})


def pipeline(topic, steps=(), load="toFile", source=(), **config):
    read = {"topic": topic, "format": "json", "schema": "id BIGINT, ts TIMESTAMP", "startingOffsets": "earliest", **dict(source)}
    written = {"path": "out", "mode": "append", **({"format": "parquet"} if load == "toFile" else {}), **config}
    return {"name": "watched", "mode": "streaming", "steps": [{"type": "extract", "method": "fromKafka", "config": read}, *steps,
                                                              {"type": "load", "method": load, "config": written}]}


def send(producer, topic, rows, partition=0, **more):
    """rows: (id, seconds of event time)"""
    for number, seconds in rows:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(EPOCH + seconds))
        producer.send(topic, json.dumps({"id": number, "ts": stamp}).encode(), partition=partition, **more)
    producer.flush()


class Stream:
    """A stream that listens."""

    def __init__(self, space, work, *words, environment=None):
        self.space = space
        space.write("pipeline.json", work)
        self.process = space.start("run", "pipeline.json", "--progress", "none", "--report", "report.json", "--listen", "127.0.0.1:0", *words,
                                   environment=environment, stdout=subprocess.DEVNULL, stderr=open(space.file("log"), "wb"))
        self.address = self.until(lambda: re.search(r"listening on http://(127\.0\.0\.1:\d+)", self.log()), "its port").group(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def log(self):
        with open(self.space.file("log"), encoding="utf-8") as file:
            return file.read()

    def until(self, condition, what, seconds=90):
        end = time.monotonic() + seconds
        while not (found := condition()):
            check(self.process.poll() is None, f"{what}: it ended with {self.process.returncode}: {self.log()[-2000:]}")
            check(time.monotonic() < end, f"{what}: did not come; {self.log()[-2000:]}")
            time.sleep(0.01)
        return found

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metrics(self):
        """Family -> [(sample's name, labels, value)]; strict where the parser is not."""
        page = self.get("/metrics")[1]
        found, seen, order = {}, set(), []
        for family in text_string_to_metric_families(page):
            check(family.name not in found, f"{family.name} comes twice")
            check(family.documentation and family.type in ("counter", "gauge", "histogram"), f"HELP and TYPE of {family.name}: {family.type}")
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                check(key not in seen, f"a series comes twice: {key}")
                seen.add(key)
                check(math.isfinite(sample.value), f"{key} is {sample.value}")
                check(re.fullmatch(r"millrace_[a-z0-9_]+", sample.name) and sample.labels["pipeline"] == "watched", f"{key}")
            found[family.name] = [(s.name, s.labels, s.value) for s in family.samples]
        for line in page.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                check((kind == "counter") == name.endswith("_total"), f"{name} is a {kind}")
                order.append(name)
        equal(len(order), len(set(order)), "families are in one piece")
        return found

    def value(self, name, **labels):
        """The one sample; None where there is none."""
        found = [value for _, have, value in self.metrics().get(name, []) if all(have.get(k) == v for k, v in labels.items())]
        check(len(found) <= 1, f"{name} {labels}: {found}")
        return found[0] if found else None

    def stop(self, code=143):
        self.process.send_signal(signal.SIGTERM)
        equal(self.process.wait(60), code, f"exit code: {self.log()[-2000:]}")
        with open(self.space.file("report.json"), encoding="utf-8") as file:
            return json.load(file)


def ends(server, topic, partitions):
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=server.servers, isolation_level="read_committed", group_id=None)
    try:
        parts = [TopicPartition(topic, p) for p in range(partitions)]
        return {p.partition: end for p, end in consumer.end_offsets(parts).items()}
    finally:
        consumer.close()


def by_partition(stream, name):
    return {int(labels["partition"]): value for _, labels, value in stream.metrics().get(name, [])}


def lag(server):
    """60 of 150 records are read at once, and the next trigger is far away: what is behind is known."""
    server.topic("lag", 3)
    producer = server.producer()
    for partition, count in ((0, 100), (1, 50)):
        send(producer, "lag", [(i, i) for i in range(count)], partition)
    with workspace(server) as space, Stream(space, pipeline("lag", source={"maxOffsetsPerTrigger": 60}, trigger="1 hour")) as stream:
        stream.until(lambda: stream.value("millrace_epochs") == 1, "the first epoch")
        known = ends(server, "lag", 3)
        equal(by_partition(stream, "millrace_source_end_offset"), known, "ends, as the broker says them")
        equal(by_partition(stream, "millrace_source_committed_offset"), {0: 40, 1: 20, 2: 0}, "committed")
        equal(by_partition(stream, "millrace_source_lag_offsets"), {0: 60, 1: 30, 2: 0}, "lag")
        labels = stream.metrics()["millrace_source_lag_offsets"][0][1]
        equal({k: labels[k] for k in ("step", "topic")}, {"step": "step 1 (fromKafka)", "topic": "lag"}, "labels")
        equal(stream.value("millrace_rows_read"), 60, "rows")
        for name in ("last_commit", "last_look"):
            check(abs(time.time() - stream.value(f"millrace_{name}_timestamp_seconds")) < 600, name)
        equal(stream.value("millrace_working_seconds"), 0, "it waits for its trigger")
        equal(stream.value("millrace_epoch"), 1, "number of the epoch")
        check(0 < stream.value("millrace_memory_used_bytes") < stream.value("millrace_memory_limit_bytes"), "budget")
        check("; 90 behind (lag/0: 60); " in stream.log(), stream.log())
        row = space.millrace("runs", "--pipeline", "pipeline.json").expect(0).out
        check(re.search(r"epoch 1, committed 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC; 90 behind", row), row)
        equal([stream.get("/healthz?within=0"), stream.get("/readyz")], [(200, "ok\n")] * 2, "health")
        stream.stop()
    producer.close()


def kept(server):
    """Watermark, late rows, and what steps keep."""
    steps = [{"type": "transform", "method": "withWatermark", "config": {"column": "ts", "delay": "1 minute"}},
             {"type": "transform", "method": "deduplicate", "config": {"keys": ["id"]}},
             {"type": "transform", "method": "aggregateData",
              "config": {"window": {"column": "ts", "size": "10 minutes"}, "aggregations": {"n": "count(*)"}}}]
    server.topic("kept", 1)
    producer = server.producer()
    send(producer, "kept", [(i, 600 * i + 300) for i in range(10)])
    with workspace(server) as space, Stream(space, pipeline("kept", steps, trigger="50 milliseconds")) as stream:
        def of_steps(name):
            return {re.sub(r"step \d+ \((\w+)\).*", r"\1", labels["step"]): value for _, labels, value in stream.metrics().get(name, [])}

        # 90:05:00 less a minute: windows that end at or before 5640 have closed, one is open; keys with times after it are known.
        stream.until(lambda: stream.value("millrace_epochs") == 1, "the first epoch")
        reached = EPOCH + 5700 - 60
        equal(set(of_steps("millrace_step_watermark_timestamp_seconds").values()), {reached}, "watermarks")
        for value in of_steps("millrace_step_watermark_lag_seconds").values():
            check(abs(value - (time.time() - reached)) < 60, f"{value} behind")
        rows = of_steps("millrace_step_kept_rows")
        equal(set(rows), {"deduplicate", "aggregateData"}, "steps that keep something")
        equal(rows["aggregateData"], 1, "an open window")
        check(1 <= rows["deduplicate"] <= 10, f"keys: {rows}")
        check(all(value > 0 for value in of_steps("millrace_step_kept_bytes").values()), "bytes")
        late = stream.metrics()["millrace_step_rows_late"]
        check(late and sum(value for _, _, value in late) == 0, f"a counter is there before its first event: {late}")
        send(producer, "kept", [(100, 0), (101, 1), (102, 6000)])
        stream.until(lambda: stream.value("millrace_rows_read") == 13, "the other records")
        equal(sum(value for _, _, value in stream.metrics()["millrace_step_rows_late"]), 2, "late rows")
        equal(set(of_steps("millrace_step_watermark_timestamp_seconds").values()), {EPOCH + 5940}, "watermarks")
        report = stream.stop()
        equal(report["rows_late"], 2, "late rows in the report")
    producer.close()


def outage(server):
    """The broker does not answer: not ready at once, and not well once that has lasted too long; the row of the run says so. Then all is good again."""
    server.topic("outage", 1)
    producer = server.producer()
    send(producer, "outage", [(1, 0)])
    with workspace(server) as space:
        work = {**pipeline("outage", trigger="50 milliseconds"), "timeouts": {"connect": "1s"},
                "retry": {"maxAttempts": 1000, "delay": "50ms", "maxDelay": "100ms"}}
        with Stream(space, work) as stream:
            stream.until(lambda: stream.value("millrace_epochs") == 1, "the first epoch")
            equal(stream.get("/readyz"), (200, "ok\n"), "ready")
            producer.close()
            server.process.send_signal(signal.SIGSTOP)
            stream.until(lambda: stream.get("/readyz")[0] == 503, "it is not ready")
            check(stream.value("millrace_consecutive_failures") >= 1, "failures")
            check(stream.value("millrace_epochs_failed") >= 1 and stream.value("millrace_retries") >= 1, "failures that were counted")
            check(stream.value("millrace_working_seconds") > 0, "it works")
            check("epoch 2 has failed " in stream.get("/readyz")[1], stream.get("/readyz")[1])
            equal(stream.get("/healthz"), (200, "ok\n"), "no reason to restart it yet")
            code, text = stream.get("/healthz?within=0")
            equal(code, 503, "no progress")
            check(re.fullmatch(r"epoch 2 has failed \d+ times? and is done again: .*; no progress for \d+ s\n", text), text)
            row = space.millrace("runs", "--pipeline", "pipeline.json").expect(0).out
            check(re.search(r"running .*\n.*epoch 2 has failed \d+ times? since 20.* UTC: .*; before that epoch 1, committed 20.* UTC", row), row)
            server.process.send_signal(signal.SIGCONT)
            stream.until(lambda: stream.get("/readyz")[0] == 200, "ready again")
            equal(stream.value("millrace_consecutive_failures"), 0, "failures in a row")
            row = space.millrace("runs", "--pipeline", "pipeline.json").expect(0).out
            check("has failed" not in row and "epoch 1, committed " in row, row)
            stream.stop()


def totals(server):
    """Rows of the report are those of the pipeline's own sources and loads: not what an upsert reads of its target, nor dead letters."""
    server.topic("totals", 1)
    producer = server.producer()
    send(producer, "totals", [(i, i) for i in range(100)])
    letters = {"onError": "deadLetter", "deadLetter": {"path": "letters"}}
    steps = [{"type": "validate", "method": "validateRanges", "config": {"ranges": {"id": {"max": 199}}, "onFailure": "quarantine",
                                                                         "quarantine": {"path": "bad"}}}]
    work = pipeline("totals", steps, "toDelta", source=letters, mode="upsert", keys=["id"], trigger="once")
    with workspace(server) as space:
        space.run(work).expect(0)
        send(producer, "totals", [(i, i) for i in range(95, 105)] + [(200, 0), (201, 0)])
        producer.send("totals", b"{", partition=0)
        producer.flush()
        result = space.run(work).expect(0)
        equal(len(DeltaTable(space.file("out")).to_pyarrow_table()), 105, "rows of the table")
        report = result.report
        equal({k: v for k, v in report.items() if k.startswith("rows_")},
              {"rows_read": 12, "rows_written": 10, "rows_rejected": 3, "rows_late": 0, "rows_dead_lettered": 3}, "totals")
        load = next(s for s in report["steps"] if s["type"] == "load")
        equal((load["rows_in"], load["rows_out"]), (10, 10), "rows of the load")
        check(re.search(r"^watched: success, 12 rows read, 10 written, 3 rejected, 3 to dead letters in [0-9.]+ s; "
                        r"at most \S+ MiB resident, \S+ [KM]iB of the budget of \S+ [MG]iB reserved$", result.out, re.M), result.out)
        row = space.millrace("runs", "--pipeline", "pipeline.json", "--json").expect(0).out
        equal([(r["rows_read"], r["rows_written"]) for r in json.loads(row)["runs"]], [(12, 10), (100, 100)], "rows of the runs")
    producer.close()


def sums(server):
    """Rows of three epochs, one of them done twice (state.before: all of it; before_commit: only its commit). Every number of the report is that of a
    model and of /metrics, also where the stream is stopped while it looks for more at a broker that does not answer."""
    broken, bad, late = (lambda i: i % 10 == 3), (lambda i: i % 10 == 5), (lambda i: i % 10 == 7 and i >= 40)
    steps = [{"type": "validate", "method": "validateRanges", "config": {"ranges": {"id": {"max": 999}}, "onFailure": "quarantine",
                                                                         "quarantine": {"path": "bad"}}},
             {"type": "transform", "method": "withWatermark", "config": {"column": "ts", "delay": "1 minute"}},
             {"type": "transform", "method": "dropLateRows", "config": {"until": "ts"}}]
    server.topic("sums", 1)
    producer = server.producer()
    for i in range(120):
        if broken(i):
            producer.send("sums", b"{", partition=0)
        else:
            send(producer, "sums", [(1000 + i if bad(i) else i, 0 if late(i) else 600 + i)])
    producer.flush()
    work = {**pipeline("sums", steps, "toDelta", mode="upsert", keys=["id"], trigger="20 milliseconds",
                       source={"onError": "deadLetter", "deadLetter": {"path": "letters"}, "maxOffsetsPerTrigger": 40}),
            "retry": {"maxAttempts": 1000, "delay": "10ms", "maxDelay": "20ms"}, "timeouts": {"connect": "1s"}}
    for place, away in (("state.before:3=unknown", True), ("epoch.before_commit:4=unknown", False)):
        with workspace(server) as space, Stream(space, work, environment={"MILLRACE_FAILPOINT": place}) as stream:
            stream.until(lambda: stream.value("millrace_epochs") == 3, "the epochs")
            if stream.value("millrace_epochs_failed") == 0:
                raise Skip("a build without --enable-failpoints")
            equal(stream.value("millrace_epochs_failed"), 1, "failures")
            found = stream.metrics()
            if away:
                server.process.send_signal(signal.SIGSTOP)
                stream.until(lambda: stream.get("/readyz")[0] == 503, "the broker is away")
            report = stream.stop()
            server.process.send_signal(signal.SIGCONT)
            equal(len(DeltaTable(space.file("out")).to_pyarrow_table()), 88, "rows of the table")
            rows = {"read": 108, "written": 88, "rejected": 24, "late": 8, "dead_lettered": 24}
            equal({name: report[f"rows_{name}"] for name in rows}, rows, f"{place}: totals")
            equal({name: found[f"millrace_rows_{name}"][0][2] for name in rows}, rows, f"{place}: /metrics")
            equal([found[f"millrace_bytes_{name}"][0][2] for name in ("read", "written")], [report["bytes_read"], report["bytes_written"]], "bytes")
            equal([(s["method"], s["rows_in"], s["rows_out"]) for s in report["steps"] if not s["step"].startswith("step 1 ") or "incremental" in s],
                  [("fromKafka", 108, 108), ("validateRanges", 108, 96), ("validateRanges", 12, 12), ("withWatermark", 96, 96),
                   ("dropLateRows", 96, 88), ("toDelta", 88, 88)], f"{place}: steps")
            judged = next(s for s in report["steps"] if "validation" in s)["validation"]
            equal((judged["rows_failed"], sum(judged["rules"].values())), (12, 12), f"{place}: rules")
            out = {labels["step"]: value for _, labels, value in found["millrace_step_rows_out"]}
            equal([out[step] for step in ("step 1 (fromKafka)", "step 2 (validateRanges)", "step 3 (withWatermark)", "step 4 (dropLateRows)")],
                  [108, 96, 96, 88], f"{place}: steps of /metrics")
            equal((report["stream"]["epochs"], report["steps"][0]["incremental"]["since"]), (3, None), "where it began")
            check("120" in report["steps"][0]["incremental"]["upto"], report["steps"][0])
    producer.close()


def late(server):
    """They are in the summary, too."""
    server.topic("late", 1)
    producer = server.producer()
    steps = [{"type": "transform", "method": "withWatermark", "config": {"column": "ts", "delay": "1 minute"}},
             {"type": "transform", "method": "dropLateRows", "config": {"until": "ts"}}]
    with workspace(server) as space:
        for rows in ([(1, 600)], [(2, 0), (3, 600), (4, 1)]):
            send(producer, "late", rows)
            result = space.run(pipeline("late", steps, trigger="once")).expect(0)
        equal((result.report["rows_written"], result.report["rows_late"]), (1, 2), "rows")
        check(": success, 3 rows read, 1 written, 2 late in " in result.out and re.search(r"dropLateRows\).* 2 late$", result.out, re.M), result.out)
    producer.close()


def ages(server):
    """p50, p95, p99 of the report beside those of times that we gave the records, and commits as the Delta log tells their time."""
    server.topic("ages", 2)
    producer = server.producer()
    with workspace(server) as space:
        work = pipeline("ages", load="toDelta", source={"maxOffsetsPerTrigger": 150}, trigger="availableNow")
        made, now = {}, int(time.time() * 1000)
        for i in range(400):  # from 20 s to some 15 minutes old, most of them young
            made[i] = now - 20000 - int(900000 * (i / 400) ** 4)
            producer.send("ages", json.dumps({"id": i}).encode(), partition=i % 2, timestamp_ms=made[i])
        producer.flush()
        found = space.run(work).expect(0).report["stream"]
        equal((found["epochs"], found["latency_ms"]["records"]), (3, 400), "epochs, records")
        wanted, before = [], set()
        for version in range(DeltaTable(space.file("out")).version() + 1):
            with open(space.file("out", "_delta_log", f"{version:020}.json"), encoding="utf-8") as file:
                committed = next(json.loads(line)["commitInfo"]["timestamp"] for line in file if "commitInfo" in line)
            rows = set(DeltaTable(space.file("out"), version=version).to_pyarrow_table().column("id").to_pylist())
            wanted += [committed - made[i] for i in rows - before]
            before = rows
        equal(len(wanted), 400, "rows")
        wanted.sort()
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1)):
            exact = wanted[math.ceil(share * 400) - 1]
            check(abs(found["latency_ms"][name] - exact) <= 0.033 * exact + 500, f"{name}: {found['latency_ms'][name]}, by the log {exact}")
        print("#", {name: (round(found["latency_ms"][name]), wanted[math.ceil(share * 400) - 1]) for name, share in
                    (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1))})
    producer.close()


def lanes(server):
    """A process of a group tells of each lane that it reads."""
    server.topic("lanes", 2)
    producer = server.producer()
    send(producer, "lanes", [(1, 0), (2, 0)])
    send(producer, "lanes", [(3, 0)], 1)
    with workspace(server) as space, Stream(space, pipeline("lanes", load="toDelta", source={"group": "watch"}, trigger="50 milliseconds")) as stream:
        def by_lane(name):
            return {labels["lane"]: value for _, labels, value in stream.metrics().get(name, [])}

        stream.until(lambda: by_lane("millrace_rows_written") == {"lanes/0": 2, "lanes/1": 1}, "the rows")
        equal(stream.value("millrace_lanes"), 2, "lanes")
        found = [(labels["lane"], labels["topic"], labels["partition"], value) for _, labels, value in stream.metrics()["millrace_source_committed_offset"]]
        equal(sorted(found), [("lanes/0", "lanes", "0", 2), ("lanes/1", "lanes", "1", 1)], "committed")
        equal(set(by_lane("millrace_consecutive_failures").values()), {0}, "failures")
        equal([stream.get("/healthz?within=0")[0], stream.get("/readyz")[0]], [200, 200], "health")
        stream.stop()
    producer.close()


def main():
    suite = Suite("watch")
    only = sys.argv[1:]
    with broker.Broker() as server:
        for function in (lag, kept, totals, sums, late, ages, lanes, outage):
            if not only or function.__name__ in only:
                suite.case(function.__name__, lambda function=function: function(server))
    suite.end()


main()

#!/usr/bin/env python3
"""The commands beside `run`: what they print, what they leave behind, and how they end."""

import glob
import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, checkout, equal, need

need("psycopg", "pyarrow")
import pyarrow
import pyarrow.parquet as parquet
from engine import Workspace, catches
from server import Server
import exits
import multi
import watermarks

SECRET = "correct-horse-battery"


def pipeline(name, condition, **resources):
    return {
        "name": name,
        "resources": resources,
        "steps": [
            {"type": "extract", "method": "fromPostgres", "config": {"table": "people"}},
            {"type": "transform", "method": "filterRows", "config": {"condition": condition}},
            {"type": "load", "method": "toFile", "config": {"path": f"{name}/", "format": "parquet", "mode": "overwrite"}},
        ],
    }


def workspace(server):
    keys = {**server.credentials("cli"), "password": SECRET}
    space = Workspace(postgres=keys)
    space.write("a.json", pipeline("a", "active", batchRows=100))
    space.write("b.json", pipeline("b", "active"))
    space.write("other.json", pipeline("other", "age > 30"))
    return space


def bench(server):
    with workspace(server) as space:
        done = space.millrace("bench", "a.json", "b.json", "--runs", "2").expect(0)
        check("a.json (2 runs)" in done.out and "b.json (2 runs)" in done.out, done)
        check("peak MiB" in done.out and "plan of b.json against a.json" in done.out, done)
        folder = glob.glob(space.file("benchmark-results-*"))[0]
        with open(os.path.join(folder, "results.json")) as file:
            results = json.load(file)
        equal([r["file"] for r in results], ["a.json", "b.json"], "files")
        equal(results[0]["content"], results[1]["content"], "content")
        check(results[0]["content"].startswith("800:"), results[0])
        check(results[0]["wall_seconds"]["min"] <= results[0]["wall_seconds"]["median"], results[0])
        equal(sorted(os.listdir(folder)), sorted(
            ["machine.json", "plan-1.txt", "plan-2.txt", "results.json", "results.txt"]
            + [f"report-{c}-{r}.json" for c in (1, 2) for r in (1, 2)]), "files of the results")


def bench_of_different_work(server):
    with workspace(server) as space:
        done = space.millrace("bench", "a.json", "other.json", "--runs", "1").expect(7)
        check("does not write the same rows" in done.err, done)
        done = space.millrace("bench", "a.json").expect(2)


def runs(server):
    with workspace(server) as space:
        done = space.millrace("runs").expect(0)
        check("no runs in .millrace (" in done.out and "--pipeline FILE" in done.out and not os.path.exists(space.file(".millrace")), done)
        first = space.run("a.json").expect(0).report
        space.write("bad.json", pipeline("bad", "no_such_column > 1"))
        space.run("bad.json").expect(3)
        done = space.millrace("runs").expect(0)
        lines = done.out.splitlines()
        check("failed" in lines[1] and "bad" in lines[1], done)
        check(any(first["run_id"] in line and "success" in line for line in lines), done)
        shown = json.loads(space.millrace("runs", "show", first["run_id"]).expect(0).out)
        equal(shown["rows_written"], 800, "rows_written")
        equal(shown["run_id"], first["run_id"], "run_id")
        check("--pipeline FILE" in space.millrace("runs", "show", "nothing").expect(2).err, "where to look")


def show(server):
    with Workspace() as space:
        os.makedirs(space.file("lake/day=2024-02-29"))
        data = pyarrow.table({"id": [1, 2, 3], "name": ["a", None, "long " * 20]})
        parquet.write_table(data, space.file("lake/day=2024-02-29/a.parquet"), row_group_size=2)
        text = space.millrace("show", "lake", "--rows", "2").expect(0).out
        for part in ("rows: 3", "2 row groups, snappy", "partition columns: day date", "  name  string", "  2   NULL  2024-02-29"):
            check(part in text, f"{part!r} is not in\n{text}")
        check("long" not in text, text)
        value = json.loads(space.millrace("show", "lake", "--json").expect(0).out)
        equal([c["name"] for c in value["columns"]], ["id", "name", "day"], "columns")
        equal((value["rows"], len(value["sample"])), (3, 3), "rows")
        equal(value["sample"][1], {"id": 2, "name": None, "day": "2024-02-29"}, "a row")
        space.write("b.csv", "a,b\n1,x\n2\n")
        done = space.millrace("show", "b.csv").expect(0)
        check("a bigint" in " ".join(done.out.split()) and "WARN" in done.err, done)
        check("there are no files" in space.millrace("show", "none").expect(5).err, "a place without files")
        check("1 file, " in space.millrace("show", "*.csv").expect(0).out, "a pattern")


def show_table(server):
    need("deltalake")
    import deltalake

    with Workspace() as space:
        deltalake.write_deltalake(space.file("t"), pyarrow.table({"id": [1, 2, 3], "k": ["a", "b", "b"]}), partition_by=["k"])
        text = space.millrace("show", "t").expect(0).out
        for part in ("version: 0", 'partitionColumns: ["k"]', "minReaderVersion: 1", "numFiles: 2", "rows: 3", "  id  bigint"):
            check(part in text, f"{part!r} is not in\n{text}")
        value = json.loads(space.millrace("show", "t", "--json").expect(0).out)
        equal((value["table"]["numFiles"], value["data"]["rows"]), (2, 3), "files, rows")
        plan = {"name": "t", "steps": [{"type": "extract", "method": "fromFile", "config": {"path": "t"}}, {"type": "load", "method": "toFile", "config": {"path": "out"}}]}
        refused = space.run(plan).expect(5)
        check("t is a Delta table" in refused.err and "fromDeltaLake" in refused.err, refused)


def plan(server):
    with workspace(server) as space:
        text = space.millrace("plan", "a.json").expect(0).out
        check('WHERE (("active"))' in text and "filter in the source: active" in text, text)
        value = json.loads(space.millrace("plan", "a.json", "--json").expect(0).out)
        check(isinstance(value, dict) and value, value)
        check(SECRET not in text and SECRET not in json.dumps(value), "the plan shows a password")
        check(not os.path.exists(space.file("a")), "plan wrote something")


def preview(server):
    with workspace(server) as space:
        lines = space.millrace("preview", "a.json", "--rows", "3").expect(0).out.splitlines()
        equal(len(lines), 4, "lines")
        check(lines[0].startswith("id  name"), lines)
        done = space.millrace("preview", "a.json", "--step", "1", "--rows", "1").expect(0)
        equal(len(done.out.splitlines()), 2, "lines")
        check(not os.path.exists(space.file("a")) and not os.path.exists(space.file(".millrace")), "preview left something")


def written(server):
    """What loads have written, whatever the pipeline would read now."""
    table = {"type": "load", "method": "toPostgres", "config": {"table": "written", "mode": "overwrite"}}
    def load(method, path, **config):
        return {"type": "load", "method": method, "name": path, "config": {"path": path, **config}}

    with workspace(server) as space:
        work = pipeline("many", "id <= 3")
        work["steps"][2:] = [{"type": "transform", "method": "selectColumns", "config": {"columns": ["id", "name"]}}, table, load("toDelta", "lake"),
                             load("toFile", "text", format="csv"), load("toFile", "parts", format="parquet", partitionBy=["name"])]
        space.run(work).expect(0)
        work["steps"][1]["config"]["condition"] = "id > 1000000"
        space.write("many.json", work)
        equal(len(space.millrace("preview", "many.json").expect(0).out.splitlines()), 1, "what the pipeline would load now: nothing")
        with server.connect("cli") as connection:
            names = dict(connection.execute("SELECT id, name FROM people WHERE id <= 3").fetchall())
        for step in ("4", "lake", "text", "parts", None):
            lines = space.millrace("preview", "many.json", "--written", *(("--step", step) if step else ())).expect(0).out.splitlines()
            places = {name: lines[0].index(name) for name in ("id", "name")}
            got = {int(l[places["id"]:].split()[0]): l[places["name"]:].split("  ")[0].strip() for l in lines[1:]}
            equal(got, names, f"rows of {step}")
        equal(len(space.millrace("preview", "many.json", "--written", "--rows", "2").expect(0).out.splitlines()), 3, "lines")
        check("no load" in space.millrace("preview", "many.json", "--written", "--step", "2").expect(2).err, "a step that is no load")


def busy(server):
    """A second run of the same state key waits for nobody: exit 9, naming the first."""
    with workspace(server) as space, server.connect("cli") as holder, server.connect("cli") as watcher:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE people IN ACCESS EXCLUSIVE MODE")
        process = space.start("run", "a.json", "--progress", "none", stdout=-3, stderr=-3)
        while not watcher.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0]:
            check(process.poll() is None, "the first run ended")
        done = space.millrace("run", "a.json").expect(9)
        check("another run holds the pipeline a" in done.err and f"process {process.pid}" in done.err, done)
        holder.execute("ROLLBACK")
        equal(process.wait(60), 0, "the first run's exit code")
        equal(parquet.read_table(space.file("a")).num_rows, 800, "rows")


def state_on_server(server):
    """`state: {postgres: ..}`: the tables are made, a run is found again from the pipeline, and a second one is kept out."""
    with workspace(server) as space, server.connect("cli") as holder, server.connect("cli") as watcher:
        watcher.execute("DROP SCHEMA IF EXISTS millrace CASCADE")
        space.write("config/credentials.json", {**space.credentials, "state": server.credentials("cli")})
        space.write("a.json", {**pipeline("a", "active", batchRows=100), "state": {"postgres": "state"}})
        check("no runs" in space.millrace("runs", "--pipeline", "a.json").expect(0).out, "no runs yet")
        space.millrace("run", "a.json").expect(0)
        check(not os.path.exists(space.file(".millrace")), "a state directory was made")
        equal(watcher.execute("SELECT state_key, status, rows_written FROM millrace.runs").fetchall(),
              [("a", "success", 800)], "the run's row")
        listed = space.millrace("runs", "--pipeline", "a.json").expect(0).out.splitlines()
        equal(len(listed), 2, "runs")
        run_id = listed[1].split()[0]
        shown = json.loads(space.millrace("runs", "show", run_id, "--pipeline", "a.json").expect(0).out)
        check(run_id in json.dumps(shown), shown)

        # A live holder keeps others out, and they know once it has renewed its lease.
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE people IN ACCESS EXCLUSIVE MODE")
        process = space.start("run", "a.json", "--progress", "none", stdout=-3, stderr=-3)
        while not watcher.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0]:
            check(process.poll() is None, "the first run ended")
        done = space.millrace("run", "a.json").expect(9)
        check("another run holds the pipeline a" in done.err and f"process {process.pid}" in done.err, done)
        # One that waits heeds a signal.
        waiting = space.start("run", "a.json", "--progress", "none", stdout=-3, stderr=-3)
        looks = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT fence, run_id, holder%'"
        while not watcher.execute(looks).fetchone()[0] or not catches(waiting, signal.SIGTERM):
            check(waiting.poll() is None, "the one that waits ended")
        waiting.terminate()
        equal(waiting.wait(8), 143, "exit code of the one that waited")
        holder.execute("ROLLBACK")
        equal(process.wait(60), 0, "the first run's exit code")

        space.write("bad.json", {**pipeline("a", "active"), "state": {"postgres": "nowhere"}})
        check("nowhere" in space.millrace("run", "bad.json").expect(4).err, "missing credentials")
        space.millrace("validate", "bad.json").expect(0)


def stopped_holder_is_fenced(server):
    """A run that is stopped (SIGSTOP) loses its lease; another does the work; woken up, the first may write no more."""
    with workspace(server) as space, server.connect("cli") as holder, server.connect("cli") as watcher:
        space.write("config/credentials.json", {**space.credentials, "state": server.credentials("cli")})
        work = pipeline("fenced", "active", batchRows=100)
        work["steps"][2]["config"]["mode"] = "append"
        space.write("f.json", {**work, "state": {"postgres": "state"}})
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE people IN ACCESS EXCLUSIVE MODE")
        process = space.start("run", "f.json", "--progress", "none", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while not watcher.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0]:
            check(process.poll() is None, "the first run ended")
        process.send_signal(signal.SIGSTOP)
        holder.execute("ROLLBACK")
        # As if half a minute had passed.
        watcher.execute("UPDATE millrace.leases SET expires = '-infinity' WHERE state_key = 'fenced'")
        space.millrace("run", "f.json").expect(0)
        process.send_signal(signal.SIGCONT)
        err = process.communicate(timeout=60)[1].decode()
        equal(process.returncode, 9, f"exit code of the first: {err}")
        check("fenced: run " in err, err)
        equal(parquet.read_table(space.file("fenced")).num_rows, 800, "rows")


def usage(server):
    with workspace(server) as space:
        check("filterRows" in space.millrace("methods").expect(0).out, "methods")
        check("numPartitions" in space.millrace("methods", "fromPostgres").expect(0).out, "methods fromPostgres")
        check(space.millrace("version").expect(0).out.startswith("millrace "), "version")
        check("did you mean validate" in space.millrace("validat").expect(2).err, "a misspelt command")
        check("no-such-file.json" in space.millrace("verify", "no-such-file.json").expect(3).err, "verify without a file")
        check("did you mean --rows" in space.millrace("preview", "a.json", "--row", "1").expect(2).err, "a misspelt option")
        check("give one" in space.millrace("run", "a.json", "--fresh", "--adopt").expect(2).err, "--fresh and --adopt")
        check("--resume" in space.millrace("run", "a.json", "--resume", "--fresh").expect(2).err, "options that contradict each other")
        check("--rows takes N" in space.millrace("preview", "a.json", "--rows", "many").expect(2).err, "a bad value")
        check("no-such-file.json" in space.millrace("run", "no-such-file.json").expect(3).err, "a file that is not there")
        check("show|set FILE [VALUE]" in space.millrace("watermark", "--help").expect(0).out, "usage of watermark")
        check("--param" in space.millrace("run", "--help").expect(0).out, "help")


def avro_check(server):
    """`avro check`: exit codes 0, 7, 3, 2, and a line for each incompatibility."""
    record = lambda *fields: {"type": "record", "name": "R", "fields": list(fields)}
    old, new = record({"name": "a", "type": "int"}), record({"name": "a", "type": "long"}, {"name": "b", "type": "string", "default": ""})
    with Workspace() as space:
        space.write("1.avsc", old)
        space.write("2.avsc", new)
        space.write("3.avsc", record({"name": "a", "type": "long"}, {"name": "c", "type": {"type": "array", "items": "int"}}))
        space.write("bad.avsc", '{"type": "record"')
        check("compatible" in space.millrace("avro", "check", "1.avsc", "2.avsc").expect(0).out, "backward")
        done = space.millrace("avro", "check", "1.avsc", "2.avsc", "--mode", "forward").expect(7)
        equal(done.out, "forward (data of 2.avsc): a: written as long, cannot be read as int\n", "forward")
        equal(len(space.millrace("avro", "check", "1.avsc", "3.avsc", "--mode=full").expect(7).out.splitlines()), 2, "full")
        space.millrace("avro", "check", "2.avsc", "1.avsc", "1.avsc").expect(0)
        space.millrace("avro", "check", "2.avsc", "1.avsc", "1.avsc", "--transitive").expect(7)
        check("bad.avsc" in space.millrace("avro", "check", "bad.avsc", "1.avsc").expect(3).err, "a file that is no schema")
        check("none.avsc" in space.millrace("avro", "check", "1.avsc", "none.avsc").expect(3).err, "no file")
        check("usage" in space.millrace("avro", "check", "1.avsc").expect(2).err, "one schema")
        check("sideways" in space.millrace("avro", "check", "1.avsc", "2.avsc", "--mode", "sideways").expect(2).err, "mode")


def json_log(server):
    with workspace(server) as space:
        done = space.run("a.json", "--log-format", "json").expect(0)
        records = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
        check(records, done)
        for record in records:
            check({"@timestamp", "level", "logger_name", "thread_name", "message", "run_id", "pipeline"} <= set(record), record)
        check(SECRET not in done.err + done.out + json.dumps(done.report), "a secret is shown")


suite = Suite("cli")
with Server() as server:
    server.run_file(server.database("cli"), os.path.join(checkout(), "tests", "cases", "people.sql"))
    for case in (bench, bench_of_different_work, runs, plan, preview, written, show, show_table, busy, state_on_server, stopped_holder_is_fenced, usage, avro_check, json_log):
        suite.case(case.__name__.replace("_", " "), case, server)
    watermarks.add(suite, server)
    for case in exits.CASES:
        suite.case("exit " + case.__name__.replace("_", " "), case, server)
    for case in multi.CASES:
        suite.case("several: " + case.__name__.replace("_", " "), case, server)
suite.end()

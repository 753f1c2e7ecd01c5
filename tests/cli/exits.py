"""Every exit code from a real case, and the report that goes with it against config/report.schema.json."""

import json
import os
import random
import signal

import pyarrow
import pyarrow.parquet as parquet
from engine import Workspace, catches
from json_schema import problems
from suite import check, checkout, equal

with open(os.path.join(checkout(), "config", "report.schema.json"), encoding="utf-8") as file:
    SCHEMA = json.load(file)


def conforms(report, what):
    check(report is not None, f"{what}: there is no report")
    found = problems(report, SCHEMA["$defs"]["several" if "runs" in report else "run"], SCHEMA, strict=True)
    check(not found, f"{what}: " + "\n".join(found[:10]))
    check(not problems(report, SCHEMA), f"{what}: not one of the two kinds")


def job(**more):
    """Reads in.parquet (id, name), writes out/."""
    steps = [{"type": "extract", "method": "fromFile", "config": {"path": "in.parquet", "format": "parquet", **more.pop("read", {})}},
             *more.pop("steps", []),
             {"type": "load", "method": "toFile", "config": {"path": "out/", "format": "parquet", **more.pop("write", {})}}]
    return {"name": "job", "steps": steps, **more}


def transform(method, **config):
    return {"type": "transform", "method": method, "config": config}


def validate(method, **config):
    return {"type": "validate", "method": method, "config": config}


def from_postgres(**config):
    return {"name": "job", "steps": [{"type": "extract", "method": "fromPostgres", "config": config}, job()["steps"][-1]]}


def cases(server):
    """code -> pipelines that end with it"""
    wrong = {k: v for k, v in server.credentials("cli").items()} | {"username": "nobody_of_that_name"}
    return {
        0: [job(), job(description="d", metadata={"team": 1}, steps=[transform("filterRows", condition="id > 5"), validate("validateNulls", notNullColumns=["id"]),
                                                                    transform("aggregateData", groupBy=["name"], aggregations={"n": "count(*)"}), transform("sortData", orderBy=["n"])])],
        3: [{"name": "job"}, {**job(), "step": 1}, job(read={"paht": "x"}), job(steps=[transform("filterRows", condition="nothing > 1")])],
        4: [from_postgres(table="people", credentialPath="nowhere/to/be/found"), from_postgres(table="people", **wrong)],
        5: [job(read={"path": "none.parquet"}), job(steps=[transform("filterRows", condition="cast(name AS int) > 1")]), from_postgres(query="SELECT 1 / 0 AS x")],
        6: [job(write={"path": "in.parquet/out"})],
        7: [job(steps=[validate("validateRanges", ranges={"id": [0, 5]})])],
        8: [job(timeouts={"run": "1 ms"}), job(resources={"memory": "64KB"})],
    }


def codes(server):
    with Workspace(postgres=server.credentials("cli")) as space:
        parquet.write_table(pyarrow.table({"id": list(range(1000)), "name": [f"n{i % 7}" for i in range(1000)]}), space.file("in.parquet"))
        for code, pipelines in cases(server).items():
            for pipeline in pipelines:
                done = space.run(pipeline, "--fresh").expect(code)
                conforms(done.report, f"exit {code}, {json.dumps(pipeline)[:200]}")
                equal((done.report["exit_code"], done.report["status"]), (code, "failed" if code else "success"), "the report")
                equal("error" in done.report, code != 0, "error in the report")
                equal(len(space.millrace("runs", "--json").out) > 0, True, "runs")
        for wrong in (["run"], ["run", "x.json", "--no-such-option"], ["run", "a.json", "--report"]):
            space.millrace(*wrong).expect(2)
        space.write("wrong.json", "{")
        done = space.millrace("run", "wrong.json", "pipeline.json", "none.json", "--report", "several.json").expect(3)
        with open(space.file("several.json"), encoding="utf-8") as file:
            conforms(json.load(file), "several")


def codes_of_signals(server):
    """9, 130 and 143: a run that waits for a lock, a second one, and a signal."""
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        with Workspace(postgres=server.credentials("cli")) as space, server.connect("cli") as holder, server.connect("cli") as watcher:
            holder.execute("BEGIN")
            holder.execute("LOCK TABLE people IN ACCESS EXCLUSIVE MODE")
            space.write("pipeline.json", from_postgres(table="people"))
            process = space.start("run", "pipeline.json", "--progress", "none", "--report", "first.json", stdout=-3, stderr=-3)
            while not watcher.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0] or not catches(process, number):
                check(process.poll() is None, "the first run ended")
            done = space.run("pipeline.json").expect(9)
            conforms(done.report, "exit 9")
            process.send_signal(number)
            equal(process.wait(10), code, "exit code")
            with open(space.file("first.json"), encoding="utf-8") as file:
                report = json.load(file)
            conforms(report, f"exit {code}")
            equal((report["status"], report["exit_code"], report["error"]["kind"]), ("cancelled", code, "cancelled"), "report")
            rows = json.loads(space.millrace("runs", "--json").expect(0).out)["runs"]
            equal([(r["status"], r["exit_code"]) for r in rows if r["run_id"] == report["run_id"]], [("cancelled", code)], "runs")
            shown = json.loads(space.millrace("runs", "show", report["run_id"]).expect(0).out)
            conforms(shown, "runs show")


def little_memory(server):  # pylint: disable=unused-argument
    """Sums, distinct rows and joins of more rows than there is memory for go through files, at any limit, and do not end with 8."""
    count, dice = 600_000, random.Random(5)
    keys = [dice.randrange(300_000) for _ in range(count)]
    grouped = [transform("filterRows", condition="v >= 0", registerAs="a"),
               transform("sql", query="SELECT k, t, sum(v) AS s, count(*) AS c FROM a GROUP BY k, t", registerAs="b"),
               transform("sql", query="SELECT g, sum(v) AS s, count(DISTINCT k) AS d FROM a GROUP BY g", registerAs="c"),
               transform("sql", query="SELECT DISTINCT k, g FROM a", registerAs="d"),
               transform("sql", query="SELECT b.k, b.t, b.s, b.c, d.g, c.s AS gs, c.d FROM b JOIN d ON b.k = d.k JOIN c ON c.g = d.g")]
    with Workspace() as space:
        os.mkdir(space.file("in"))
        rows = pyarrow.table({"k": keys, "g": [f"group {k % 1000}" for k in keys], "v": list(range(count)), "t": [f"x{k}" * 6 for k in keys]})
        for i in range(4):
            parquet.write_table(rows.slice(i * count // 4, count // 4), space.file("in", f"{i}.parquet"))
        found = []
        for memory in ("1GB", "24MB", "32MB", "40MB"):
            space.run(job(read={"path": "in/"}, steps=grouped, write={"mode": "overwrite"}, resources={"memory": memory, "parallelism": 1})).expect(0)
            found.append(parquet.read_table(space.file("out")).sort_by("k"))
            check(found[0].equals(found[-1]), f"rows in {memory}")
        equal(found[0].num_rows, len(set(keys)), "rows")


CASES = (codes, codes_of_signals, little_memory)

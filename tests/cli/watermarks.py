"""`millrace watermark` and ${last_run_timestamp}: cases of run.py."""

import json
import os
import re
import shutil

import pyarrow.parquet as parquet
from engine import Workspace
from suite import check, equal

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,6}$"


def load(path="out"):
    return {"type": "load", "method": "toFile", "config": {"path": path, "format": "parquet", "mode": "overwrite"}}


def extract(name=None, **config):
    return {"type": "extract", "method": "fromPostgres", "config": config, **({"name": name} if name else {})}


class Place:
    """A workspace with a table t(id, at) of its own on the server."""

    def __init__(self, server, name):
        self.server, self.name = server, name

    def __enter__(self):
        self.sql = self.server.connect("cli")
        self.sql.execute(f'DROP SCHEMA IF EXISTS "{self.name}" CASCADE; CREATE SCHEMA "{self.name}"')
        self.sql.execute(f'CREATE TABLE "{self.name}".t (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())')
        self.space = Workspace(postgres=self.server.credentials("cli"), extra={"state": self.server.credentials("cli")})
        return self

    def __exit__(self, *_):
        self.sql.close()
        self.space.__exit__()

    def add(self, *ids):
        for i in ids:
            self.sql.execute(f'INSERT INTO "{self.name}".t (id) VALUES ({i})')

    def write(self, *steps, **keys):
        self.space.write("p.json", {"name": self.name, **keys, "steps": list(steps)})

    def rows(self, path="out"):
        return sorted(tuple(r.values()) for r in parquet.read_table(self.space.file(path)).to_pylist())

    def shown(self):
        return json.loads(self.space.millrace("watermark", "show", "p.json", "--json").expect(0).out)


def show_and_set(server, **keys):
    with Place(server, "marks") as place:
        table = {"schema": "marks", "table": "t", "columns": ["id"]}
        place.write(extract("ids", **table, incremental={"column": "id", "initial": "2"}), load(), **keys)
        run = lambda *more: place.space.run("p.json", *more)
        out = place.space.millrace("watermark", "show", "p.json").expect(0).out
        check("ids (step 1 (fromPostgres)): none; the next run begins at the initial 2" in out, out)
        equal(place.shown()["steps"][0]["watermark"], None, "before the first run")
        place.add(1, 2, 3)
        report = run().expect(0).report
        equal(place.rows(), [(2,), (3,)], "first run")
        shown = place.shown()
        step = shown["steps"][0]
        equal((shown["epoch"], shown["unfinished"], shown["runId"]), (1, False, report["run_id"]), "record")
        equal((step["step"], step["method"], step["watermark"], step["setBy"], step["runId"]),
              ("ids", "fromPostgres", "3", "run", report["run_id"]), "step")
        check(step["guarantee"].startswith("none: "), step)
        check(re.match(TIME, shown["lastRunTimestamp"]), shown)
        equal(report["steps"][0]["incremental"]["upto"], "3", "report")

        out = place.space.millrace("watermark", "set", "p.json", "--step", "ids", "1").expect(0).out
        check("set by hand" in out, out)
        equal((place.shown()["steps"][0]["watermark"], place.shown()["steps"][0]["setBy"]), ("1", "person"), "set")
        run().expect(0)
        equal(place.rows(), [(2,), (3,)], "behind what was set")
        equal(place.shown()["steps"][0]["setBy"], "run", "after the next run")

        place.space.millrace("watermark", "set", "p.json", "--step", "1", "--clear").expect(0)
        equal(place.shown()["steps"][0]["watermark"], None, "cleared")
        run().expect(0)
        equal(place.rows(), [(2,), (3,)], "from the initial value again")

        before = place.shown()
        done = place.space.millrace("watermark", "set", "p.json", "--step", "ids", "many").expect(5)
        check('the watermark "many" is no value of "id"' in done.err, done)
        done = place.space.millrace("watermark", "set", "p.json", "--step", "idz", "3").expect(2)
        check("there are: ids" in done.err, done)
        check("--clear" in place.space.millrace("watermark", "set", "p.json", "--step", "ids").expect(2).err, "no value")
        place.space.millrace("watermark", "show").expect(2)
        place.space.millrace("watermark", "set", "p.json", "soon").expect(2)
        equal(place.shown(), before, "after what was refused")
        place.space.millrace("watermark", "set", "p.json", "2024-01-01 00:00:00").expect(0)
        equal(place.shown()["lastRunTimestamp"], "2024-01-01 00:00:00", "the pipeline's")
        equal(place.shown()["steps"][0]["watermark"], before["steps"][0]["watermark"], "the step's")
        check("watermark of ids set to 1" in place.space.millrace("runs", "--pipeline", "p.json").expect(0).out, "runs")


def show_and_set_on_a_server(server):
    show_and_set(server, state={"postgres": "state"})


def last_run(server):
    """Without `incremental`: the safe time of the last run, whatever other sources there are."""
    with Place(server, "times") as place:
        place.add(1)
        query = """SELECT id, '${last_run_timestamp}' AS since FROM times.t WHERE at >= '${last_run_timestamp}' ORDER BY id"""
        steps = [extract(query=query), load(),
                 {"type": "extract", "method": "fromFile", "config": {"path": "in.json"}}, load("other")]
        place.space.write("in.json", '{"x": 1}\n')
        place.write(*steps)
        before = place.sql.execute("SELECT now()").fetchone()[0]
        place.space.run("p.json").expect(0)
        equal(place.rows(), [(1, "1970-01-01 00:00:00")], "first run")
        safe = place.shown()["lastRunTimestamp"]
        check(re.match(TIME, safe), safe)
        after = place.sql.execute("SELECT %s::timestamptz BETWEEN %s - interval '11 ms' AND now()", (safe, before)).fetchone()[0]
        check(after, f"{safe} is not between {before} and now")
        place.add(2)
        place.space.run("p.json").expect(0)
        equal(place.rows(), [(2, safe)], "second run")
        # A run beside a prepared transaction: the safe time is not known, and the one before stays.
        safe = place.shown()["lastRunTimestamp"]
        place.sql.execute("BEGIN; INSERT INTO times.t VALUES (3); PREPARE TRANSACTION 'times'")
        try:
            plan = place.space.millrace("plan", "p.json").expect(0).out
            check(f"reads from {safe} again" in plan, plan)
            place.space.run("p.json").expect(0)
        finally:
            place.sql.execute("COMMIT PREPARED 'times'")
        equal(place.shown()["lastRunTimestamp"], safe, "beside a prepared transaction")
        place.space.run("p.json").expect(0)
        equal(place.rows(), [(3, safe)], "what was prepared")
        place.space.run("p.json", "--fresh").expect(0)
        equal([r[1] for r in place.rows()], ["1970-01-01 00:00:00"] * 3, "--fresh")
        place.space.run("p.json", "--param", "last_run_timestamp=2100-01-01 00:00:00").expect(0)
        equal(place.rows(), [], "--param")


def last_run_of_steps(server):
    """With `incremental`: the step's own watermark, also through a parameter and a configRef."""
    with Place(server, "both") as place:
        place.add(5, 6)
        where = "'${since}' <> ''"
        step = lambda name, initial, **more: extract(
            name, schema="both", table="t", columns=["id"], where=where,
            incremental={"column": "id", **({"initial": initial} if initial else {}), **more})
        by_ref = {"type": "extract", "method": "fromPostgres", "name": "c", "configRef": "c.json"}
        place.space.write("c.json", step("c", "4")["config"])
        place.write(step("a", "1"), load("a"), step("b", None), load("b"), by_ref, load("c"),
                    extract(query="SELECT '${since}' AS since"), load("d"), parameters={"since": "${last_run_timestamp}"})
        def values():
            sql = place.space.millrace("plan", "p.json", "--json").expect(0).out
            return re.findall(r"WHERE[^\"]*?'([^']*)' <> ''", " ".join(n.get("details") or "" for n in json.loads(sql)["nodes"]))
        equal(values(), ["1", "1970-01-01 00:00:00", "4"], "first run")
        place.space.run("p.json").expect(0)
        equal(place.rows("d"), [("1970-01-01 00:00:00",)], "the step that is not incremental")
        safe = place.shown()["lastRunTimestamp"]
        place.space.millrace("watermark", "set", "p.json", "--step", "b", "5").expect(0)
        equal(values(), ["6", "5", "6"], "second run")
        place.space.run("p.json").expect(0)
        equal(place.rows("d"), [(safe,)], "the step that is not incremental")
        equal(place.rows("b"), [(6,)], "behind 5")


def interrupted(server):
    """Positions of a commit that is not finished belong to its rows."""
    with Place(server, "cut") as place:
        place.add(1)
        place.write(extract("ids", schema="cut", table="t", columns=["id"], incremental={"column": "id"}), load())
        done = place.space.run("p.json", environment={"MILLRACE_FAILPOINT": "epoch.before_commit=kill"})
        if done.code == 0:
            return  # a build without failpoints
        check(place.shown()["unfinished"], "unfinished")
        done = place.space.millrace("watermark", "set", "p.json", "--step", "ids", "0").expect(3)
        check("interrupted in its commit" in done.err, done)
        place.space.run("p.json").expect(0)
        place.space.millrace("watermark", "set", "p.json", "--step", "ids", "0").expect(0)


def adopted(server):
    """The state is lost, and the target keeps no positions: a person says them."""
    with Place(server, "lost") as place:
        place.add(1, 2)
        place.write(
            extract("ids", schema="lost", table="t", columns=["id"], incremental={"column": "id"}),
            {"type": "load", "method": "toDeltaLake", "config": {"path": "table"}})
        place.space.run("p.json").expect(0)
        shutil.rmtree(place.space.file(".millrace"))
        place.add(3)
        place.space.run("p.json").expect(6)
        done = place.space.run("p.json", "--adopt").expect(6)
        check("millrace watermark set" in done.err, done)
        place.space.millrace("watermark", "set", "p.json", "--step", "ids", "2").expect(0)
        place.space.run("p.json", "--adopt").expect(0)
        ids = []
        for path, _, names in os.walk(place.space.file("table")):
            for name in names:
                if name.endswith(".parquet") and "_delta_log" not in path:
                    ids += parquet.ParquetFile(os.path.join(path, name)).read().column("id").to_pylist()
        equal(sorted(ids), [1, 2, 3], "rows")


def restored(server):
    """The target is restored from a copy: what was read since would be lost without a word. --adopt goes on from what it holds."""
    with Place(server, "back") as place:
        place.add(1)
        place.sql.execute("DROP SCHEMA IF EXISTS held CASCADE; CREATE SCHEMA held")
        place.write(extract("ids", schema="back", table="t", columns=["id"], incremental={"column": "id"}),
                    {"type": "load", "method": "toPostgres", "config": {"table": "held.t", "mode": "append"}})
        place.space.run("p.json").expect(0)
        copy = place.sql.execute("SELECT epoch, positions FROM held._millrace_state").fetchone()
        place.add(2)
        place.space.run("p.json").expect(0)
        place.space.run("p.json").expect(0)  # nothing new
        place.sql.execute("DELETE FROM held.t WHERE id = 2")
        place.sql.execute("UPDATE held._millrace_state SET epoch = %s, positions = %s", copy)
        place.add(3)
        done = place.space.run("p.json").expect(6)
        check("restored from a copy" in done.err and "--adopt" in done.err, done)
        place.space.run("p.json", "--adopt").expect(0)
        ids = "SELECT array_agg(id ORDER BY id) FROM held.t"
        equal(place.sql.execute(ids).fetchone()[0], [1, 2, 3], "rows after --adopt")
        place.add(4)
        place.space.run("p.json").expect(0)
        equal(place.sql.execute(ids).fetchone()[0], [1, 2, 3, 4], "rows after the next run")


def dropped(server):
    """The target is gone and the state is not: what was loaded before would be missing from the new one without a word."""
    for load, drop in (({"method": "toPostgres", "config": {"table": "gone.t", "mode": "append"}}, "DROP TABLE gone.t"),
                       ({"method": "toPostgres", "config": {"table": "gone.t", "mode": "append"}}, "DROP TABLE gone.t, gone._millrace_state"),
                       ({"method": "toPostgres", "config": {"table": "gone.t", "mode": "upsert", "keys": ["id"]}}, "DROP TABLE gone.t"),
                       ({"method": "toDelta", "config": {"path": "gone/"}}, None)):
        with Place(server, "left") as place:
            place.sql.execute("DROP SCHEMA IF EXISTS gone CASCADE; CREATE SCHEMA gone")
            place.write(extract("ids", schema="left", table="t", columns=["id"], incremental={"column": "id"}),
                        {"type": "load", **load})
            place.space.run("p.json").expect(0)  # no rows yet
            place.space.run("p.json").expect(0)
            place.add(1)
            place.space.run("p.json").expect(0)
            if drop:
                place.sql.execute(drop)
            else:
                shutil.rmtree(place.space.file("gone"))
            place.add(2)
            done = place.space.run("p.json").expect(6)
            check("not there any more" in done.err and "--fresh" in done.err, done)
            done = place.space.run("p.json", "--adopt").expect(6)
            check("millrace watermark set" in done.err, done)
            equal(place.space.run("p.json", "--fresh").expect(0).report["rows_written"], 2, "rows after --fresh")
            place.add(3)
            equal(place.space.run("p.json").expect(0).report["rows_written"], 1, "rows of the next run")


def dropped_and_begun_anew(server):
    """The target is gone, and a person says from where the new one is to be filled: not from what the old one remembers."""
    with Place(server, "left") as place:
        place.sql.execute("DROP SCHEMA IF EXISTS gone CASCADE; CREATE SCHEMA gone")
        place.write(extract("ids", schema="left", table="t", columns=["id"], incremental={"column": "id"}),
                    {"type": "load", "method": "toPostgres", "config": {"table": "gone.t", "mode": "append"}})
        place.add(1, 2, 3)
        place.space.run("p.json").expect(0)
        place.sql.execute("DROP TABLE gone.t")
        place.add(4)
        place.space.millrace("watermark", "set", "p.json", "--step", "ids", "1").expect(0)
        place.space.run("p.json", "--adopt").expect(0)
        place.add(5)
        place.space.run("p.json").expect(0)
        equal(place.sql.execute("SELECT array_agg(id ORDER BY id) FROM gone.t").fetchone()[0], [2, 3, 4, 5], "rows")


def add(suite, server):
    suite.case("watermark: show and set", show_and_set, server)
    suite.case("watermark: with the state on a server", show_and_set_on_a_server, server)
    suite.case("watermark: an interrupted commit", interrupted, server)
    suite.case("watermark: what a person says is adopted", adopted, server)
    suite.case("watermark: a target that was restored from a copy", restored, server)
    suite.case("watermark: a target that is gone, and what a person says", dropped_and_begun_anew, server)
    suite.case("watermark: a target that is gone", dropped, server)
    suite.case("last_run_timestamp: the safe time of the last run", last_run, server)
    suite.case("last_run_timestamp: of incremental steps", last_run_of_steps, server)

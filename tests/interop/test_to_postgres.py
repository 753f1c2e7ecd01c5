#!/usr/bin/env python3
"""toPostgres: what a load leaves in a real server, read by psycopg, for every mode, after a repetition, after every fault.

The faults: killed, and failed, at every named place of staging and commit (a build with --enable-failpoints; otherwise those cases are
skipped); the server's process ended at COMMIT by a trigger that runs there. Each is followed by a rerun, after which the
table holds every row exactly once.
"""

import collections
import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, Skip, check, equal, need

need("psycopg", "pyarrow")
import pyarrow as pa
import pyarrow.parquet
from engine import Workspace
from server import Server, need_server
from types_of_postgres import TYPES

need_server()

LONG = bool(os.environ.get("MILLRACE_LONG"))
COUNT = 3000
OLD = "CREATE TABLE t (id bigint PRIMARY KEY, name text, part integer DEFAULT 0)"


def rows(first, count, text):
    return [(i, f"{text} {i}", i % 3) for i in range(first, first + count)]


BEFORE = rows(0, 1000, "old")
LOADED = rows(0, COUNT, "new")


class Bench:
    """A database, a folder, and a pipeline that loads a Parquet file in several tasks."""

    def __init__(self, server, data=LOADED, existing=None, **load):
        self.server = server
        self.name = server.database("load")
        self.space = Workspace(postgres=server.credentials(self.name))
        self.load = {"table": "t", **load}
        if existing is not None:
            server.execute(self.name, OLD)
            self.insert(existing)
        self.data(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.space.__exit__()

    def insert(self, values):
        with self.server.connect(self.name) as connection, connection.cursor() as cursor:
            cursor.executemany("INSERT INTO t VALUES (%s, %s, %s)", values)

    def data(self, values):
        columns = list(zip(*values)) if values else [[], [], []]
        table = pa.table({"id": pa.array(columns[0], pa.int64()), "name": pa.array(columns[1], pa.string()),
                          "part": pa.array(columns[2], pa.int32())})
        self.table(table)

    def table(self, table):
        shutil.rmtree(self.space.file("in"), ignore_errors=True)
        os.mkdir(self.space.file("in"))
        each = max(1, -(-table.num_rows // 4))
        for i in range(4):
            pyarrow.parquet.write_table(table.slice(i * each, each), self.space.file("in", f"{i}.parquet"))

    def pipeline(self):
        return {"name": "load", "resources": {"parallelism": 2}, "steps": [
            {"type": "extract", "method": "fromFile", "config": {"path": "in/", "format": "parquet"}},
            {"type": "load", "method": "toPostgres", "config": self.load}]}

    def run(self, *arguments, **options):
        return self.space.run(self.pipeline(), *arguments, **options)

    def rows(self, query="SELECT id, name, part FROM t"):
        return sorted(self.server.rows(self.name, query))

    def content(self):
        """The rows, or None where there is no table."""
        there = self.server.rows(self.name, "SELECT to_regclass('t') IS NOT NULL")[0][0]
        return self.rows() if there else None

    def epoch(self):
        return self.server.rows(self.name, "SELECT epoch FROM _millrace_state")

    def leftovers(self):
        return self.server.rows(self.name, r"SELECT relname FROM pg_class WHERE relname LIKE '\_mr\_%' AND relkind = 'r'")

    def same(self, wanted, what):
        got = self.content()
        if got != (None if wanted is None else sorted(wanted)):
            equal((got is None, len(got or [])), (wanted is None, len(wanted or [])), f"{what}: rows")
            lost, twice = collections.Counter(wanted or []), collections.Counter(got or [])
            raise AssertionError(f"{what}: missing {list((lost - twice).items())[:3]}, too many {list((twice - lost).items())[:3]}")
        equal(self.leftovers(), [], f"{what}: staging tables left")


MERGED = LOADED
OTHERS = rows(5000, COUNT, "new")
# What is there before, the load, and what is there afterwards.
MODES = {
    "new table": (None, {}, LOADED, LOADED),
    "append": (BEFORE, {}, OTHERS, BEFORE + OTHERS),
    "truncate": (BEFORE, {"mode": "overwrite"}, LOADED, LOADED),
    "swap": (BEFORE, {"mode": "overwrite", "overwriteMode": "swap"}, LOADED, LOADED),
    "overwrite new table": (None, {"mode": "overwrite"}, LOADED, LOADED),
    "upsert": (BEFORE + [(-1, "kept", 0)], {"mode": "upsert", "keys": ["id"]}, LOADED, LOADED + [(-1, "kept", 0)]),
    "upsert new table": (None, {"mode": "upsert", "keys": "id"}, LOADED, LOADED),
    "replaceWhere": (BEFORE + [(-1, "kept", 0)], {"mode": "overwrite", "replaceWhere": "id >= 0"}, LOADED,
                     LOADED + [(-1, "kept", 0)]),
    "errorifexists": (None, {"mode": "errorifexists"}, LOADED, LOADED),
    "ignore": (BEFORE, {"mode": "ignore"}, LOADED, BEFORE),
    "ignore new table": (None, {"mode": "ignore"}, LOADED, LOADED),
    "no rows": (BEFORE, {}, [], BEFORE),
    "no rows, new table": (None, {}, [], []),
}


def bench(server, name):
    before, load, data, _ = MODES[name]
    return Bench(server, data, before, **load)


def mode(server, name):
    with bench(server, name) as b:
        b.run().expect(0)
        b.same(MODES[name][3], name)


def repeated(server, name):
    """Runs again: an append adds its rows again, everything else changes nothing."""
    with bench(server, name) as b:
        b.run().expect(0)
        before, _, data, wanted = MODES[name]
        if name == "errorifexists":
            b.run().expect(6)
        elif name in ("new table", "no rows, new table", "no rows"):
            b.run().expect(0)
            wanted = wanted + data
        elif name == "append":
            check("23505" in b.run().expect(6).err, "the primary key was not named")
        else:
            b.run().expect(0)
        b.same(wanted, f"{name}, repeated")


def epochs(server):
    with Bench(server) as b:
        for number in (1, 2, 3):
            b.run().expect(0)
            equal(b.epoch(), [(number,)], "epoch")
        equal(len(b.rows()), 3 * COUNT, "rows")


# ---- what the server refuses ----


def refused(server, what, words, data=None, sql=(), existing=(), user=None, code=6, **load):
    with Bench(server, existing=existing, **load) as b:
        server.execute(b.name, *sql)
        if user:
            b.space.credentials["defaults"]["postgres"]["username"] = user
            b.space.write("config/credentials.json", b.space.credentials)
        if isinstance(data, pa.Table):
            b.table(data)
        elif data is not None:
            b.data(data)
        before = b.content()
        result = b.run().expect(code)
        for word in words:
            check(word in result.err, f"{what}: no \"{word}\" in\n{result.err}")
        check("_mr_" not in result.err, f"{what}: names a staging table\n{result.err}")
        b.same(before, what)


def refusals(server):
    ids = pa.array([1, 2], pa.int64())
    refused(server, "missing table", ["there is no table", "t"], existing=None, createTable=False)
    refused(server, "extra column", ["no column \"extra\""], pa.table({"id": ids, "extra": ids}))
    refused(server, "missing column", ["\"must\"", "NOT NULL"], sql=["ALTER TABLE t ADD must integer NOT NULL"])
    refused(server, "type", ["\"part\"", "integer"], pa.table({"id": ids, "part": pa.array(["a", "b"])}))
    refused(server, "NULL", ["\"name\"", "null value", "line"], [(1, None, 1)], sql=["ALTER TABLE t ALTER name SET NOT NULL"])
    refused(server, "unique", ["23505", "(id)=(7)"], [(7, "a", 1), (7, "b", 1)])
    refused(server, "check", ["23514", "part"], [(7, "a", -1)], sql=["ALTER TABLE t ADD CHECK (part >= 0)"])
    refused(server, "too long", ["\"name\""], [(7, "abcdef", 1)], sql=["ALTER TABLE t ALTER name TYPE varchar(3)"])
    refused(server, "errorifexists", ["exists already"], mode="errorifexists")
    refused(server, "no unique index", ["no unique index"], mode="upsert", keys=["name"])
    refused(server, "NULL key", ["\"name\"", "null value"], [(1, None, 1)], sql=["ALTER TABLE t ADD UNIQUE (name)"],
            mode="upsert", keys=["name"])
    refused(server, "outside of replaceWhere", ["rows of the load: 2", "replaceWhere"], [(1, "a", 1), (20, "b", 1), (21, "c", 1)],
            replaceWhere="id < 10")
    refused(server, "replaceWhere without sense", ["replaceWhere", "nonsense"], [(1, "a", 1)], replaceWhere="nonsense > 1")
    refused(server, "swap below a view", ["view", "truncate"], [(1, "a", 1)], sql=["CREATE VIEW v AS SELECT * FROM t"],
            mode="overwrite", overwriteMode="swap")
    refused(server, "no schema", ["there is no schema"], table="nowhere.t")
    refused(server, "a view", ["is not a table"], sql=["CREATE VIEW v AS SELECT * FROM t"], table="v")
    refused(server, "keys in append", ["upsert"], keys=["id"], code=3)
    user = ["DROP ROLE IF EXISTS poor", "CREATE ROLE poor LOGIN", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"]
    refused(server, "no CREATE", ["poor", "GRANT CREATE ON SCHEMA"], sql=user, user="poor")
    server.execute("postgres", "DROP DATABASE load", "DROP ROLE poor")
    user = ["CREATE ROLE poor LOGIN", "GRANT CREATE ON SCHEMA public TO poor"]
    refused(server, "no INSERT", ["permission denied for table t", "INSERT"], [(7, "a", 1)], sql=user, user="poor")
    server.execute("postgres", "DROP DATABASE load WITH (FORCE)", "DROP ROLE poor")


# ---- what a load makes ----


def made(server):
    with Bench(server, schema="s", indexes=[{"columns": ["part", "name"], "include": "id"}, {"columns": "id", "unique": True}]) as b:
        server.execute(b.name, "CREATE SCHEMA s")
        for attempt in (1, 2):
            b.load["mode"] = "overwrite"
            b.load["overwriteMode"] = "swap" if attempt == 1 else "truncate"
            b.run().expect(0)
            found = [r[0] for r in server.rows(b.name, "SELECT indexdef FROM pg_indexes WHERE tablename = 't' ORDER BY 1")]
            equal(found, ["CREATE INDEX t_part_name_idx ON s.t USING btree (part, name) INCLUDE (id)",
                          "CREATE UNIQUE INDEX t_id_key ON s.t USING btree (id)"], "indexes")
        equal(server.rows(b.name, "SELECT reltuples::int FROM pg_class WHERE oid = 's.t'::regclass"), [(COUNT,)], "analyzed")
        columns = server.rows(b.name, "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE "
                              "attrelid = 's.t'::regclass AND attnum > 0 ORDER BY attnum")
        equal(columns, [("id", "bigint"), ("name", "text"), ("part", "integer")], "columns")
        equal(server.rows(b.name, "SELECT relpersistence::text FROM pg_class WHERE oid = 's.t'::regclass"), [("p",)], "logged")


def existing_types(server):
    """Columns of types that are cast by the INSERT, defaults, identities and generated columns."""
    table = pa.table({"id": pa.array([1, 2], pa.int64()), "address": ["10.0.0.1", None], "feeling": ["sad", "ok"],
                      "short": pa.array([3, None], pa.int64())})
    with Bench(server) as b:
        server.execute(b.name, "CREATE TYPE mood AS ENUM ('sad', 'ok')", "CREATE DOMAIN small AS smallint CHECK (value < 10)",
                       "CREATE TABLE t (made integer GENERATED ALWAYS AS (short + 1) STORED, short small, "
                       "id bigint GENERATED ALWAYS AS IDENTITY, address inet, feeling mood, note text DEFAULT 'none')")
        b.table(table)
        b.run().expect(0)
        equal(b.rows("SELECT id, address::text, feeling::text, short, made, note FROM t"),
              [(1, "10.0.0.1/32", "sad", 3, 4, "none"), (2, None, "ok", None, None, "none")], "rows")


def doubles(server):
    """The last of several rows with the same key counts, within a task and between tasks."""
    data = [(i % 100, f"{i}", 0) for i in range(400)]
    with Bench(server, data, [], mode="upsert", keys=["id"]) as b:
        b.run().expect(0)
        b.same([(i, f"{300 + i}", 0) for i in range(100)], "doubles")


def batches(server):
    for size in (1, 7, 100000):
        with Bench(server, batchSize=size) as b:
            b.run().expect(0)
            b.same(LOADED, f"batchSize {size}")


def sessions(server):
    """What a load asks one after the other it asks on one session; only tasks that stage side by side have their own."""
    for name, load in {"append": {}, "upsert": {"mode": "upsert", "keys": ["id"]}}.items():
        for wanted, tasks in ((1, 1), (2, 2)):
            with Bench(server, existing=[], maxConnections=tasks, **load) as b:
                step = b.run().expect(0).report["steps"][-1]
                check(step["counters"]["connections"] <= wanted, f"{name}, {tasks} tasks: {step['counters']}")
                b.same(LOADED, name)


def wide(server):
    """Values of megabytes, and narrow ones between them."""
    data = [(i, "x" * (3000000 if i % 10 == 0 else 5), 0) for i in range(60)]
    with Bench(server, data) as b:
        b.run().expect(0)
        b.same(data, "wide rows")


def partitioned(server):
    with Bench(server, mode="upsert", keys=["id", "part"]) as b:
        server.execute(b.name, "CREATE TABLE t (id bigint, name text, part integer, PRIMARY KEY (id, part)) PARTITION BY LIST (part)",
                       *[f"CREATE TABLE t{i} PARTITION OF t FOR VALUES IN ({i})" for i in range(3)])
        for _ in range(2):
            b.run().expect(0)
            b.same(LOADED, "partitioned")


# ---- values ----


def round_trip(server, kind, into):
    """Postgres to Postgres: bit by bit in a table of the same type; in a new one by the text of its values."""
    name = server.database("values")
    server.execute(name, *kind.setup, f"CREATE TABLE t (id integer, c0 {kind.name})", "INSERT INTO t VALUES (0, NULL)",
                   *([f"CREATE TABLE e (id integer, c0 {kind.name})"] if into == "e" else []))
    for number, value in enumerate(kind.values, 1):
        server.execute(name, f"INSERT INTO t VALUES ({number}, {value})")
    with Workspace(postgres=server.credentials(name)) as space:
        space.run({"name": "values", "steps": [
            {"type": "extract", "method": "fromPostgres", "config": {"table": "t", **kind.options}},
            {"type": "load", "method": "toPostgres", "config": {"table": into}}]}).expect(0)
    if kind.name == "numeric":  # its digits behind the point become those of decimal(38,18)
        differ = "t.c0 <> e.c0 OR (t.c0 IS NULL) <> (e.c0 IS NULL)"
    else:
        differ = "record_image_ne(ROW(t.c0), ROW(e.c0))" if into == "e" else "t.c0::text IS DISTINCT FROM e.c0::text"
    found = server.rows(name, f"SELECT id, t.c0::text, e.c0::text FROM t FULL JOIN {into} AS e USING (id) WHERE {differ}")
    equal(found, [], "rows that differ")


# Types whose values the source is asked to change, and types without a binary form, whose text makes no such type anew.
CHANGED = [t for t in TYPES if t.options]


# ---- faults ----

FAULTS = ["new table", "append", "truncate", "swap", "upsert", "replaceWhere"]


def places(server, name):
    with bench(server, name) as b:
        path = b.space.file("places")
        b.run(environment={"MILLRACE_FAILPOINT_LIST": path}).expect(0)
        if not os.path.exists(path):
            raise Skip("built without --enable-failpoints")
        with open(path) as file:
            return collections.Counter(p for p in file.read().split() if p.startswith(("postgres.", "epoch.")))


def disturbed(server, name, action):
    found = places(server, name)
    check(any(p.startswith("postgres.") for p in found), "no place of the sink was passed")
    before, _, _, wanted = MODES[name]
    for place, passed in sorted(found.items()):
        for number in range(1, passed + 1) if LONG else sorted({1, passed}):
            what = f"{name}: {place}:{number} {action}"
            with bench(server, name) as b:
                result = b.run(environment={"MILLRACE_FAILPOINT": f"{place}:{number}={action}"})
                check(result.code != 0, f"{what}: exit 0")
                got = b.content()
                check(got in ([None, sorted(wanted)] if before is None else [sorted(before), sorted(wanted)]), f"{what}: half a load is visible")
                b.run().expect(0)
                if name == "new table" and len(b.rows()) == 2 * COUNT:
                    raise AssertionError(f"{what}: rows are there twice")
                b.same(wanted, what)


def ended_at_commit(server, name):
    """A deferred trigger ends the server's process while it commits; the load tries again and is exact."""
    with bench(server, name) as b:
        first = b.load
        b.load = {"table": "other"}
        b.run().expect(0)  # makes _millrace_state
        b.load = first
        server.execute(
            b.name, "CREATE SEQUENCE hits",
            "CREATE FUNCTION hit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF NEW.sink LIKE 't#%' AND nextval('hits') <= 2 THEN PERFORM pg_terminate_backend(pg_backend_pid()); "
            "PERFORM pg_sleep(1); END IF; RETURN NULL; END $$",
            "CREATE CONSTRAINT TRIGGER hit AFTER UPDATE ON _millrace_state DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION hit()")
        b.run().expect(0)
        check(server.rows(b.name, "SELECT last_value FROM hits")[0][0] >= 3, "the trigger did not end anything")
        b.same(MODES[name][3], name)


def finished(space):
    """Was the run over before the process was? Then a rerun would be another run."""
    path = space.file(".millrace", "state.db")
    if not os.path.exists(path):
        return False
    with contextlib.closing(sqlite3.connect(path)) as db:
        try:
            return db.execute("SELECT status FROM runs ORDER BY started DESC LIMIT 1").fetchall() == [("success",)]
        except sqlite3.OperationalError:  # killed before the tables were made
            return False


def killed_at_random(server, name, count):
    choose = random.Random(5)
    wanted = MODES[name][3]
    with bench(server, name) as b:
        began = time.monotonic()
        b.run().expect(0)
        usual = time.monotonic() - began
    for number in range(count):
        with bench(server, name) as b:
            b.space.write("pipeline.json", b.pipeline())
            process = b.space.start("run", "pipeline.json", "--progress", "none", stdout=-3, stderr=-3)
            try:
                process.wait(choose.uniform(0.0, usual * 1.05))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.returncode != 0 and not finished(b.space):
                b.run().expect(0)
            b.same(wanted, f"{name}: kill {number}")


def late_tables(server):
    """A process is killed while the server waits to make its table: it is not made behind the next run's back."""
    with bench(server, "new table") as b, server.connect(b.name) as connection, connection.cursor() as cursor:
        waiting = ("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%CREATE TABLE%' "
                   "AND pid <> pg_backend_pid() AND datname = current_database()")

        def start(earlier):
            process = b.space.start("run", "pipeline.json", "--progress", "none", stdout=-3, stderr=-3)
            while set(server.rows(b.name, waiting)) <= earlier:
                check(process.poll() is None, "the load has ended")
            return process

        b.load["table"] = "other"
        b.run().expect(0)  # makes _millrace_state
        b.load["table"] = "t"
        b.space.write("pipeline.json", b.pipeline())
        cursor.execute("BEGIN; LOCK TABLE pg_catalog.pg_class IN SHARE MODE")
        process = start(set())
        process.kill()
        process.wait()
        process = start(set(server.rows(b.name, waiting)))
        cursor.execute("COMMIT")
        equal(process.wait(), 0, "the second run")
        b.same(MODES["new table"][3], "late tables")


def lost_state(server):
    """The state's folder is gone: an append stops, and its rows do not come twice."""
    with Bench(server) as b:
        b.run().expect(0)
        b.run().expect(0)
        shutil.rmtree(b.space.file(".millrace"))
        check(b.run().code != 0, "lost state was not noticed")
        b.same(LOADED + LOADED, "lost state")


def lost_staging(server):
    """Killed while it stages, and its state is gone: what it staged goes with --adopt and --fresh, also where it had not committed."""
    for remedy in ("--adopt", "--fresh"):
        for existing in (None, BEFORE):
            with Bench(server, existing=existing) as b:
                if existing:
                    server.execute(b.name, "ALTER TABLE t DROP CONSTRAINT t_pkey")
                    b.run().expect(0)
                if b.run(environment={"MILLRACE_FAILPOINT": "state.before=kill"}).code == 0:
                    raise Skip("built without --enable-failpoints")
                check(b.leftovers(), "nothing was staged")
                shutil.rmtree(b.space.file(".millrace"))
                b.run(remedy).expect(0)
                b.same(BEFORE + LOADED + LOADED if existing else LOADED, remedy)


def two_loads(server):
    """Two loads into one table, the state lost when one has the epoch and the other has not: there is no place for --adopt to go on from."""
    with Bench(server, existing=[]) as b:
        server.execute(b.name, "ALTER TABLE t DROP CONSTRAINT t_pkey")
        both = b.pipeline()
        both["steps"].append(both["steps"][-1])
        b.space.run(both).expect(0)
        if b.space.run(both, environment={"MILLRACE_FAILPOINT": "epoch.after_commit=kill"}).code == 0:
            raise Skip("built without --enable-failpoints")
        b.space.run(both).expect(0)  # finishes that
        b.same(LOADED * 4, "two loads, finished")
        b.space.run(both, environment={"MILLRACE_FAILPOINT": "epoch.after_commit=kill"})
        shutil.rmtree(b.space.file(".millrace"))
        b.space.run(both).expect(6)
        refused = b.space.run(both, "--adopt").expect(6)
        check("right for both" in refused.err, refused.err)
        equal(len(b.content()), 5 * len(LOADED), "rows after the refusals")
        b.space.run(both, "--fresh").expect(0)
        b.same(LOADED * 7, "two loads, --fresh")


def second_state(server):
    """Somebody else committed between this load's plan and its commit: it is refused."""
    with Bench(server, existing=BEFORE, data=OTHERS) as b:
        b.load["table"] = "other"
        b.run().expect(0)  # makes _millrace_state
        b.load["table"] = "t"
        server.execute(
            b.name, "INSERT INTO _millrace_state SELECT state_key, 0, 't#0', state_uuid, 0, '' FROM _millrace_state",
            # What the plan sees is changed by the first staging table, before the commit.
            "CREATE FUNCTION other() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN "
            "UPDATE _millrace_state SET epoch = 7, state_uuid = 'other' WHERE sink = 't#0'; END $$",
            "CREATE EVENT TRIGGER other ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION other()")
        result = b.run().expect(6)
        check("another run" in result.err, result.err)
        b.same(BEFORE, "second state")


def crashed(server, name):
    """The server crashes between staging and commit: unlogged tables are empty then, the epoch is withdrawn, all is read again."""
    places(server, name)
    with bench(server, name) as b:
        b.run(environment={"MILLRACE_FAILPOINT": "epoch.before_commit=kill"})
        server.stop("immediate")
        server.start()
        result = b.run().expect(0)
        if name != "new table":
            check("are there now" in result.err and "withdrawn" in result.err, result.err)
        b.same(MODES[name][3], name)


def several_tasks(server):
    """Three connections load; what they noted of a new table is compared by the commit, as the rows of staging tables are."""
    for existing, load in ((None, {}), (BEFORE, {}), (BEFORE, {"mode": "upsert", "keys": ["id"]})):
        with Bench(server, existing=existing, data=OTHERS, **load) as b:
            steps = b.pipeline()
            steps["steps"].insert(1, {"type": "transform", "method": "repartition", "config": {"numPartitions": 3}})
            failed = b.space.run(steps, environment={"MILLRACE_FAILPOINT": "epoch.before_commit=kill"})
            if failed.code != 0:
                staged = {name: server.rows(b.name, f'SELECT count(*) FROM "{name}"')[0][0] for name, in b.leftovers()}
                equal(len(staged), 2 if existing is None else 3, f"staging tables {staged}")
                some = max(staged, key=lambda name: staged[name] if existing else len(name))
                changed = (f'DELETE FROM "{some}" WHERE id = (SELECT max(id) FROM "{some}")' if existing else
                           f'UPDATE "{some}" SET rows = rows + 1 WHERE task = (SELECT max(task) FROM "{some}")')
                server.execute(b.name, changed)
                result = b.space.run(steps).expect(0)
                check("are there now" in result.err and "withdrawn" in result.err, result.err)
            b.same((existing or []) + OTHERS if not load else [r for r in BEFORE if r[0] < 5000] + OTHERS, f"three tasks, {load}")


def kept_out(server):
    """Rows that a trigger of the table keeps out are no staged rows that were lost."""
    with Bench(server, existing=BEFORE, data=OTHERS) as b:
        server.execute(
            b.name, "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN CASE WHEN NEW.id % 3 > 0 THEN NEW END; END $$",
            "CREATE TRIGGER refuse BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse()")
        b.run().expect(0)
        b.same(BEFORE + [row for row in OTHERS if row[0] % 3 > 0], "with a trigger")


def triggers_that_set(server):
    """What triggers of a table do to their session is nothing that the next load knows of."""
    with Bench(server, existing=[], data=OTHERS) as b:
        server.execute(
            b.name, "CREATE FUNCTION tokyo() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN SET TimeZone = 'Asia/Tokyo'; RETURN NEW; END $$",
            "CREATE TRIGGER tokyo BEFORE INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION tokyo()",
            "CREATE TABLE days (id bigint, at timestamptz DEFAULT '2020-01-02 12:00Z')", "INSERT INTO days VALUES (-1, '2020-01-01 20:00Z')")
        steps = b.pipeline()
        steps["steps"] += [{"type": "transform", "method": "selectColumns", "config": {"columns": {"id": "id", "at": "CAST('2020-01-02 12:00:00Z' AS TIMESTAMP)"}}},
                           {"type": "load", "method": "toPostgres", "config": {"table": "days", "replaceWhere": "at >= '2020-01-02' AND at < '2020-01-03'"}}]
        b.space.run(steps).expect(0)
        equal(server.rows(b.name, "SELECT count(*), min(id) FROM days")[0], (COUNT + 1, -1), "rows of the second load, and one of the day before")


def killed_while_withdrawing(server):
    """A commit that the server refuses, and a kill in the middle of giving it up: the next run loads, instead of trying it again for ever."""
    with Bench(server, existing=BEFORE, data=OTHERS) as b:
        server.execute(b.name, "ALTER TABLE t ADD CONSTRAINT few CHECK (part < 2) NOT VALID")
        b.run(environment={"MILLRACE_FAILPOINT": "epoch.withdrawn=kill"})
        equal(b.content(), sorted(BEFORE), "rows after the kill")
        server.execute(b.name, "ALTER TABLE t DROP CONSTRAINT few")
        b.run().expect(0)
        b.same(BEFORE + OTHERS, "after the next run")


def main():
    suite = Suite("toPostgres")
    with Server() as server:
        for name in MODES:
            suite.case(f"mode: {name}", mode, server, name)
            suite.case(f"repeated: {name}", repeated, server, name)
        for function in (epochs, refusals, made, existing_types, doubles, batches, sessions, wide, partitioned, late_tables, lost_state, lost_staging, two_loads, second_state,
                         several_tasks, kept_out, triggers_that_set, killed_while_withdrawing):
            suite.case(function.__name__, function, server)
        for kind in TYPES:
            for into in ("e", "n"):
                if kind not in CHANGED:
                    suite.case(f"values of {kind.name} into {'its own type' if into == 'e' else 'a new table'}", round_trip, server, kind, into)
        for name in FAULTS:
            suite.case(f"ended at COMMIT: {name}", ended_at_commit, server, name)
            suite.case(f"killed at random: {name}", killed_at_random, server, name, 100 if LONG else 5)
            if name in ("new table", "append"):
                suite.case(f"server crashes: {name}", crashed, server, name)
            for action in ("kill", "error"):
                suite.case(f"{action}: {name}", disturbed, server, name, action)
    suite.end()


if __name__ == "__main__":
    main()

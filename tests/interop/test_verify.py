#!/usr/bin/env python3
"""millrace verify: equal after every kind of load; and damage that psycopg, pyarrow or delta-rs does is found, and named.

Each target is loaded from a table of PostgreSQL with every type, at its edges. Damage: one value, one value to NULL,
two values that change places, one row gone, one row more.
"""

import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Skip, Suite, check, equal, need

need("psycopg", "pyarrow", "deltalake")
import deltalake
import pyarrow as pa
import pyarrow.compute
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet
import s3
from engine import Workspace
from server import Server, need_server

need_server()

ROWS = 20000
SOURCE = f"""
CREATE TABLE src AS SELECT
  id::bigint AS id, (id % 300)::smallint AS i2, (id * 7)::integer AS i4,
  CASE id % 5 WHEN 0 THEN 'NaN' WHEN 1 THEN '-0.0' WHEN 2 THEN 'Infinity' ELSE (id / 3.0)::text END::real AS f4,
  CASE id % 6 WHEN 0 THEN NULL WHEN 1 THEN 'NaN' WHEN 2 THEN '-0.0' ELSE (id / 7.0)::text END::double precision AS f8,
  CASE WHEN id % 3 > 0 THEN id % 2 = 0 END AS b, (id / 3.0)::numeric(12,2) AS n, (id * 1e20)::numeric(38,10) AS wide,
  CASE WHEN id % 4 > 0 THEN (id / 8.0)::numeric END AS free,
  CASE id % 4 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'text ' || id || ' Ω☃' END AS t, ('v' || id)::varchar(20) AS v,
  ('c' || id % 9)::char(5) AS c, decode(md5(id::text), 'hex') AS bin,
  date '1900-01-01' + (id % 90000)::integer AS d, time '00:00' + id * interval '1.5 seconds' AS tod,
  timestamp '1969-12-31 23:59:59.999999' + id * interval '61.000001 seconds' AS ts,
  timestamptz '2024-01-01Z' + id * interval '7 minutes' AS tz, id * interval '1 day 3 seconds' AS iv,
  md5(id::text)::uuid AS u, CASE WHEN id % 2 = 0 THEN ('{{"a" :' || id || '}}')::json END AS j,
  jsonb_build_object('b', id, 'a', NULL) AS jb,
  CASE WHEN id % 3 > 0 THEN ARRAY[id, NULL, -id]::integer[] END AS ia, ARRAY['x', id::text, NULL] AS ta,
  (id % 4)::integer AS part
FROM generate_series(1, {ROWS}) id"""
DELTA_LEFT_OUT = ("tod", "iv")


class Bench:
    def __init__(self, server, name, loads, **more):
        self.server = server
        self.name = server.database(name)
        server.execute(self.name, SOURCE, "ALTER TABLE src ADD PRIMARY KEY (id)", "ANALYZE src")
        self.space = Workspace(postgres=server.credentials(self.name), **more)
        self.loads = loads
        self.query = {"table": "src"}
        self.options = {"verify": True}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.space.__exit__()

    def pipeline(self):
        steps = [{"type": "extract", "method": "fromPostgres", "config": self.query}]
        if any(load["method"] == "toDeltaLake" for load in self.loads):
            steps.append({"type": "transform", "method": "dropColumns", "config": {"columns": list(DELTA_LEFT_OUT)}})
        return {"name": "moved", "resources": {"parallelism": 2}, **self.options,
                "steps": steps + [{"type": "load", **load} for load in self.loads]}

    def load(self, where=None, **changes):
        if where:
            self.query = {"table": "src", "where": where}
        for load in self.loads:
            load["config"].update(changes)
        self.space.run(self.pipeline()).expect(0)

    def verify(self, code, *arguments):
        self.space.write("pipeline.json", self.pipeline())
        result = self.space.millrace("verify", "pipeline.json", "--json", *arguments).expect(code)
        return json.loads(result.out)["loads"]

    def text(self):
        return self.space.millrace("verify", "pipeline.json").out

    def equal(self, rows=ROWS):
        for load in self.verify(0):
            equal((load["verdict"], load["rows_loaded"], load["rows_found"]), ("equal", rows, rows), load["step"])

    def sql(self, *statements):
        self.server.execute(self.name, *statements)


def differing(load):
    return [c["name"] for c in load["columns"] if c["same"] is False]


def one(bench):
    loads = [load for load in bench.verify(7) if load["verdict"] == "different"]
    equal(len(loads), 1, "loads that differ")
    return loads[0]


def holds(place, key):
    """Does the place "id 100 .. 115" hold the key?"""
    low, _, high = place.removeprefix("id ").partition(" .. ")
    return int(low) <= key <= int(high or low)


def expect_places(load, *keys):
    for place in load["places"]:
        check(not place["place"].startswith("id ") or any(holds(place["place"], k) for k in keys), f"{place} holds none of {keys}")
    for key in keys:
        check(any(p["place"].startswith("id ") and holds(p["place"], key) for p in load["places"]), f"{key} is in none of {load['places']}")


# ---- damage, on each kind of target ----

class InPostgres:
    method, config = "toPostgres", {"table": "moved"}

    def __init__(self, bench):
        self.bench = bench
        bench.sql("DROP TABLE IF EXISTS kept", "CREATE TABLE kept AS SELECT * FROM moved")

    def set(self, key, column, value):
        self.bench.sql(f"UPDATE moved SET {column} = {value} WHERE id = {key}")

    def swap(self, a, b, column):
        self.bench.sql(f"UPDATE moved m SET {column} = o.{column} FROM moved o WHERE (m.id = {a} AND o.id = {b}) OR (m.id = {b} AND o.id = {a})")

    def delete(self, key):
        self.bench.sql(f"DELETE FROM moved WHERE id = {key}")

    def add(self, key):
        self.bench.sql(f"INSERT INTO moved SELECT * FROM moved WHERE id = {key}")

    def mend(self):
        self.bench.sql("TRUNCATE moved", "INSERT INTO moved SELECT * FROM kept")


class InFiles:
    """Parquet files below a path, rewritten by pyarrow."""
    method, config = "toFile", {"path": "moved", "targetFileSize": "300KB"}

    def __init__(self, bench):
        self.bench = bench
        self.place = bench.space.file("moved")
        shutil.copytree(self.place, self.place + ".kept")

    def change(self, key, how):
        for folder, _, names in os.walk(self.place):
            for name in names:
                path = os.path.join(folder, name)
                if not name.endswith(".parquet"):
                    continue
                table = pyarrow.parquet.read_table(path, partitioning=None)
                at = pa.compute.index(table["id"], pa.scalar(key, pa.int64())).as_py()
                if at >= 0:
                    pyarrow.parquet.write_table(how(table, at), path)
                    return
        raise AssertionError(f"no row {key}")

    def value(self, key, column):
        found = []
        self.change(key, lambda table, at: (found.append(table[column][at]), table)[1])
        return found[0]

    def put(self, key, column, scalar):
        def how(table, at):
            chunk = table[column].combine_chunks()
            new = pa.concat_arrays([chunk.slice(0, at), pa.array([scalar.as_py()], chunk.type), chunk.slice(at + 1)])
            return table.set_column(table.schema.get_field_index(column), table.schema.field(column), new)
        self.change(key, how)

    def set(self, key, column, value):
        self.put(key, column, pa.scalar(None if value == "NULL" else value.strip("'")))

    def swap(self, a, b, column):
        first, second = self.value(a, column), self.value(b, column)
        self.put(a, column, second)
        self.put(b, column, first)

    def delete(self, key):
        self.change(key, lambda table, at: pa.concat_tables([table.slice(0, at), table.slice(at + 1)]))

    def add(self, key):
        self.change(key, lambda table, at: pa.concat_tables([table, table.slice(at, 1)]))

    def mend(self):
        shutil.rmtree(self.place)
        shutil.copytree(self.place + ".kept", self.place)


class InDelta:
    """A Delta table, changed by delta-rs."""
    method, config = "toDeltaLake", {"path": "moved"}

    def __init__(self, bench):
        self.bench = bench
        self.place = bench.space.file("moved")
        self.version = deltalake.DeltaTable(self.place).version()

    def table(self):
        return deltalake.DeltaTable(self.place)

    def set(self, key, column, value):
        self.table().update(predicate=f"id = {key}", updates={column: value})

    def swap(self, a, b, column):
        rows = {row["id"]: row[column] for row in self.rows(a, b).to_pylist()}
        self.set(a, column, f"'{rows[b]}'")
        self.set(b, column, f"'{rows[a]}'")

    def rows(self, *keys):
        return self.table().to_pyarrow_table(filters=[("id", "in", list(keys))])

    def delete(self, key):
        self.table().delete(f"id = {key}")

    def add(self, key):
        deltalake.write_deltalake(self.place, self.rows(key), mode="append")

    def mend(self):
        self.table().restore(self.version)


def damage(bench, target):
    """Keys of odd residues, so that the text column is neither NULL nor empty there."""
    target.set(1234 + 1, "v", "'other'")
    load = one(bench)
    equal((differing(load), load["rows_found"]), (["v"], ROWS), "one value")
    expect_places(load, 1235)
    check("column v: other values" in bench.text(), bench.text())
    target.mend()

    target.set(5003, "t", "NULL")
    load = one(bench)
    equal(differing(load), ["t"], "one NULL")
    column = next(c for c in load["columns"] if c["name"] == "t")
    equal(column["nulls_found"], column["nulls_loaded"] + 1, "NULLs")
    expect_places(load, 5003)
    target.mend()

    target.swap(7003, 19003, "v")
    load = one(bench)
    equal((differing(load), load["moved"]), ([], True), "two values swapped")
    expect_places(load, 7003, 19003)
    check("those of other rows" in bench.text(), bench.text())
    target.mend()

    target.delete(9999)
    load = one(bench)
    equal((load["rows_loaded"], load["rows_found"]), (ROWS, ROWS - 1), "a row gone")
    expect_places(load, 9999)
    check("id 9999" in [p["row"] for p in load["places"]], load["places"])
    check("1 row missing: id 9999" in bench.text(), bench.text())
    target.mend()

    target.add(777)
    load = one(bench)
    equal((load["rows_loaded"], load["rows_found"]), (ROWS, ROWS + 1), "a row more")
    check("1 row too many: id 777" in bench.text(), bench.text())
    target.mend()
    bench.equal()


def damaged(server, kind):
    with Bench(server, "damage", [{"method": kind.method, "config": dict(kind.config)}]) as bench:
        bench.load()
        bench.equal()
        damage(bench, kind(bench))


# ---- modes ----

def everywhere():
    return [{"method": "toPostgres", "config": {"table": "moved"}}, {"method": "toFile", "config": {"path": "files"}},
            {"method": "toDeltaLake", "config": {"path": "delta"}},
            {"method": "toFile", "config": {"path": "avro", "format": "avro"}}]


def appended(server):
    with Bench(server, "appends", everywhere()) as bench:
        for i in range(3):
            bench.load(where=f"id % 3 = {i}")
        bench.equal()
        equal({load["loads"] for load in bench.verify(0)}, {3}, "loads")
        bench.sql("DELETE FROM moved WHERE id = 31")
        equal([load["verdict"] for load in bench.verify(7)], ["different", "equal", "equal", "equal"], "one of four")
        equal(len(bench.verify(0, "--load", "4")), 1, "--load")


def made_anew(server):
    """A table that was dropped holds what was loaded since."""
    with Bench(server, "anew", everywhere()[::2]) as bench:
        bench.load(where="id % 3 = 0")
        bench.sql("DROP TABLE moved")
        first, second = bench.verify(3)
        equal([first["verdict"], second["verdict"]], ["unknown", "equal"], "one is not there")
        check("there is no table" in first["why"], first)
        shutil.rmtree(bench.space.file("delta"))
        bench.load(where="id <= 400")
        bench.equal(400)
        bench.load(where="id > 400")
        bench.equal()


def overwritten(server):
    with Bench(server, "overwrites", everywhere()) as bench:
        bench.load(mode="append")
        bench.load(where="id <= 500", mode="overwrite")
        bench.equal(500)
        bench.load(where="id > 19000", mode="append")
        bench.equal(1500)


def partitions(server):
    loads = [{"method": "toFile", "config": {"path": "files", "partitionBy": ["part"], "mode": "overwrite"}},
             {"method": "toDeltaLake", "config": {"path": "delta", "partitionBy": ["part"], "mode": "overwrite",
                                                  "partitionOverwriteMode": "dynamic"}}]
    with Bench(server, "partitions", loads) as bench:
        bench.load()
        bench.equal()
        bench.load(where="part = 2 AND id < 1000")
        bench.equal(15000 + 250)
        files = InFiles.__new__(InFiles)
        files.place = bench.space.file("files")
        files.delete(4001)
        load = one(bench)
        equal([(p["place"], p["rows_found"] - p["rows_loaded"]) for p in load["places"]], [("part=1", -1)], "the partition")


def partitions_of_the_table(server):
    """The table has partition columns that the load does not name: nothing is claimed."""
    loads = [{"method": "toDeltaLake", "config": {"path": "delta", "partitionBy": ["part"], "mode": "overwrite"}}]
    with Bench(server, "unnamed", loads) as bench:
        bench.load()
        del bench.loads[0]["config"]["partitionBy"]
        bench.load(where="part = 2", partitionOverwriteMode="dynamic")
        load, = bench.verify(3)
        check("partitionBy" in load["why"], load)


def replaced(server):
    loads = [{"method": "toPostgres", "config": {"table": "moved", "mode": "append"}},
             {"method": "toDeltaLake", "config": {"path": "delta", "mode": "append"}}]
    with Bench(server, "replaces", loads) as bench:
        bench.load()
        bench.load(where="part = 3 AND id < 400", mode="overwrite", replaceWhere="part = 3")
        bench.equal(100)
        check("rows where part = 3" in bench.text(), bench.text())
        bench.sql("UPDATE moved SET v = 'x' WHERE id = 1")
        bench.equal(100)
        bench.sql("UPDATE moved SET v = 'x' WHERE id = 3")
        expect_places(one(bench), 3)
        for load in bench.loads:
            del load["config"]["replaceWhere"]
        bench.load(mode="append")
        equal([load["verdict"] for load in bench.verify(3)], ["unknown", "unknown"], "appended to what is not known")


def upserted(server):
    loads = [{"method": "toPostgres", "config": {"table": "moved", "mode": "upsert", "keys": ["id"]}},
             {"method": "toDeltaLake", "config": {"path": "delta", "mode": "upsert", "keys": ["id"]}}]
    with Bench(server, "upserts", loads) as bench:
        bench.load(where="id <= 1000")
        bench.sql("UPDATE src SET v = 'second' WHERE id BETWEEN 500 AND 1500")
        bench.load(where="id BETWEEN 500 AND 1500")
        bench.equal(1500)
        bench.sql("CREATE TABLE kept AS SELECT * FROM moved WHERE id IN (2, 600)")
        bench.sql("UPDATE moved SET v = 'third' WHERE id = 600", "DELETE FROM moved WHERE id = 2")
        load = one(bench)
        equal([(p["place"], p["rows_found"]) for p in load["places"]], [("id 2", 0), ("id 600", 1)], "keys")
        bench.sql("DELETE FROM moved WHERE id = 600", "INSERT INTO moved SELECT * FROM kept")
        bench.equal(1500)
        bench.load(where="true")
        sampled = bench.verify(0)
        check(all(s["sampled"] and s["rows_loaded"] >= 2048 for s in sampled), sampled)
        bench.sql("UPDATE moved SET v = 'no' WHERE id % 5 = 0")
        load = one(bench)
        check(300 < load["places_left_out"] + len(load["places"]) < 520, load["places_left_out"])


# ---- the state ----

def killed(server):
    """A run that died between PREPARED and the end: verify says so, the next start finishes, and all is equal."""
    with Bench(server, "kills", [{"method": "toPostgres", "config": {"table": "moved"}}]) as bench:
        bench.space.write("pipeline.json", bench.pipeline())
        plan = bench.space.millrace("run", "pipeline.json", "--progress", "none", environment={
            "MILLRACE_FAILPOINT": "epoch.before_commit=kill"})
        if plan.code == 0:
            raise Skip("no failpoints in this build")
        busy = bench.space.millrace("verify", "pipeline.json").expect(9)
        check("finishes that commit" in busy.err, busy.err)
        bench.space.run(bench.pipeline()).expect(0)
        bench.equal()


def nothing(server):
    with Bench(server, "nothing", [{"method": "toPostgres", "config": {"table": "moved"}}]) as bench:
        bench.space.write("pipeline.json", bench.pipeline())
        none = bench.space.millrace("verify", "pipeline.json").expect(3)
        check("the pipeline has not run" in none.err, none.err)
        check(not os.path.exists(bench.space.file(".millrace")), "verify made a state")
        bench.options = {}
        bench.load()
        load, = bench.verify(3)
        check("nothing was counted" in load["why"], load)
        missing = bench.space.millrace("verify", "pipeline.json", "--load", "nobody").expect(3)
        check('no load is called "nobody"' in missing.err, missing.err)


def changed_columns(server):
    with Bench(server, "columns", [{"method": "toDeltaLake", "config": {"path": "delta", "mergeSchema": True}}]) as bench:
        bench.query = {"table": "src", "columns": ["id", "v", "tod", "iv"]}
        bench.load()
        bench.query = {"table": "src", "columns": ["id", "v", "t", "tod", "iv"]}
        bench.load()
        load, = bench.verify(3)
        equal((load["compared"], load["rows_loaded"], load["rows_found"]), ("rows", 2 * ROWS, 2 * ROWS), "only counts")


def mapped(server):
    """Tables whose columns have other types than the rows: compared as the rows were, or named as not comparable."""
    with Bench(server, "mapping", [{"method": "toPostgres", "config": {"table": "moved"}}]) as bench:
        bench.query = {"table": "src", "columns": ["id", "i2", "i4", "n", "v", "j", "f4", "ta"]}
        bench.sql("CREATE TABLE moved (ta jsonb, f4 double precision, j jsonb, v varchar(99), n numeric(20,5), i4 numeric(20,3), "
                  "i2 bigint, id numeric(10,0), more integer)")
        try:
            bench.load()
        except Exception:
            bench.sql("DROP TABLE moved", "CREATE TABLE moved (ta text[], f4 double precision, j jsonb, v varchar(99), "
                      "n numeric(20,5), i4 bigint, i2 bigint, id bigint, more integer)")
            bench.load()
        load, = bench.verify(3)
        unsure = {c["name"] for c in load["columns"] if c["why"]}
        equal((load["verdict"], unsure <= {"j", "ta"}, "j" in unsure), ("unknown", True, True), "compared")
        bench.sql("UPDATE moved SET n = n + 0.00001 WHERE id = 5")
        equal(differing(one(bench)), ["n"], "a digit that the rows never had")


def on_s3(server):
    with s3.S3Server() as store:
        store.make_bucket("verify")
        loads = [{"method": "toS3", "config": {"bucket": "verify", "path": "moved"}}]
        with Bench(server, "s3", loads, extra={"defaults": {"postgres": server.credentials("s3"),
                                                            "s3": store.credentials()}}) as bench:
            bench.load()
            bench.equal()
            files = store.filesystem()
            path = next(f.path for f in files.get_file_info(pyarrow.fs.FileSelector("verify/moved")) if f.path.endswith(".parquet"))
            table = pyarrow.parquet.read_table(path, filesystem=files)
            key = table["id"][17].as_py()
            pyarrow.parquet.write_table(pa.concat_tables([table.slice(0, 17), table.slice(18)]), path, filesystem=files)
            check(f"id {key}" in [p["row"] for p in one(bench)["places"]], "the row that is missing")


def main():
    suite = Suite("verify")
    with Server() as server:
        for kind in (InPostgres, InFiles, InDelta):
            suite.case(f"damage {kind.__name__}", damaged, server, kind)
        for function in (appended, made_anew, overwritten, partitions, partitions_of_the_table, replaced, upserted, killed, nothing, changed_columns, mapped, on_s3):
            suite.case(function.__name__, function, server)
    suite.end()


main()

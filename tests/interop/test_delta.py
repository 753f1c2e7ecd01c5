#!/usr/bin/env python3
"""Delta tables that the engine writes, read by delta-rs: rows, types, protocol, transactions, checkpoints.

The rows come from Parquet files that pyarrow wrote, so no server is needed. MILLRACE_LONG=1: 2,000 commits instead of 45, and
eight writers of 200 commits each instead of 10.
"""

import datetime as dt
import decimal
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("pyarrow", "deltalake")
import pyarrow as pa
import pyarrow.parquet
from deltalake import DeltaTable, write_deltalake
from engine import Workspace, program

LONG = bool(os.environ.get("MILLRACE_LONG"))
UTC = dt.timezone.utc
DAYS = ["2024-01-01", "a b:%/", None, "ü"]


def rows(count, first=0):
    numbers = range(first, first + count)
    micros = [dt.timedelta(microseconds=n * 1234567) for n in numbers]
    return pa.table({
        "id": pa.array(numbers, pa.int64()),
        "small": pa.array([n % 100 for n in numbers], pa.int8()),
        "short": pa.array([n % 1000 for n in numbers], pa.int16()),
        "int": pa.array([-n for n in numbers], pa.int32()),
        "float": pa.array([n / 3 for n in numbers], pa.float32()),
        "double": pa.array([n / 3 if n % 7 else None for n in numbers], pa.float64()),
        "dec": pa.array([decimal.Decimal(n) / 4 for n in numbers], pa.decimal128(9, 2)),
        "wide": pa.array([decimal.Decimal(n) * 10**20 for n in numbers], pa.decimal128(38, 3)),
        "text": pa.array([f"name {n} äöü" * (n % 5) for n in numbers]),
        "bytes": pa.array([bytes([n % 256]) for n in numbers], pa.binary()),
        "flag": pa.array([n % 2 == 0 for n in numbers]),
        "date": pa.array([dt.date(2020, 1, 1) + dt.timedelta(days=n) for n in numbers]),
        "ts": pa.array([dt.datetime(1969, 12, 31, 23, tzinfo=UTC) + m for m in micros], pa.timestamp("us", "UTC")),
        "ntz": pa.array([dt.datetime(2020, 1, 1) + m for m in micros], pa.timestamp("us")),
        "st": pa.array([{"a": n, "b": {"c": f"x{n}"}} if n % 3 else None for n in numbers]),
        "list": pa.array([[n, None] if n % 3 else None for n in numbers], pa.list_(pa.int64())),
        "map": pa.array([[("k", n)] for n in numbers], pa.map_(pa.string(), pa.int64())),
        "day": pa.array([DAYS[n % 4] for n in numbers]),
    })


def put(space, table, name="in.parquet"):
    pyarrow.parquet.write_table(table, space.file(name))


def pipeline(config, steps=(), source="in.parquet", name="load"):
    return {"name": name, "steps": [
        {"type": "extract", "method": "fromFile", "config": {"path": source, "format": "parquet"}},
        *steps,
        {"type": "load", "method": "toDelta", "config": {"path": "out", **config}}]}


def select(columns):
    return {"type": "transform", "method": "selectColumns", "config": {"columns": columns}}


def keep(condition):
    return {"type": "transform", "method": "filterRows", "config": {"condition": condition}}


def load(space, config, steps=(), code=0, **options):
    return space.run(pipeline(config, steps, **options)).expect(code)


def delta(space):
    return DeltaTable(space.file("out"))


def content(space, columns=None):
    table = delta(space).to_pyarrow_table(columns=columns)
    return sorted(table.to_pylist(), key=lambda r: json.dumps(r, default=str))


def same(space, wanted, columns=None):
    wanted = sorted(wanted.to_pylist(), key=lambda r: json.dumps(r, default=str))
    got = content(space, columns)
    equal(len(got), len(wanted), "rows")
    for a, b in zip(got, wanted):
        equal({k: a[k] for k in b}, b, "row")


def types():
    with Workspace() as space:
        put(space, rows(1000))
        load(space, {"partitionBy": ["day"]})
        same(space, rows(1000))
        schema = delta(space).to_pyarrow_table().schema
        for field in rows(4).schema:
            equal(str(schema.field(field.name).type), str(field.type).replace("item:", "element:"), field.name)


def partitions():
    """Every type that can be a partition column, its values from the log alone."""
    columns = ["small", "int", "double", "dec", "flag", "date", "ts", "ntz", "day"]
    for column in columns:
        with Workspace() as space:
            put(space, rows(12))
            load(space, {"partitionBy": [column]}, [select(["id", column])])
            same(space, rows(12).select(["id", column]))


def statistics():
    with Workspace() as space:
        put(space, rows(100))
        load(space, {})
        adds = [json.loads(line)["add"] for line in open(space.file("out", "_delta_log", "0".zfill(20) + ".json")) if '"add"' in line]
        stats = json.loads(adds[0]["stats"])
        equal(stats["numRecords"], 100, "rows")
        equal(stats["minValues"]["ts"], "1969-12-31T23:00:00.000Z", "least time")
        equal(stats["maxValues"]["ts"], "1969-12-31T23:02:02.223Z", "greatest time, up to the millisecond")
        equal(stats["nullCount"]["double"], 15, "NULLs")
        equal(stats["maxValues"]["st"], {"a": 98, "b": {"c": "x98"}}, "of structs")
        check("flag" not in stats["minValues"] and "bytes" not in stats["minValues"], "no bounds of flags and bytes")
        equal(adds[0]["size"], os.path.getsize(space.file("out", adds[0]["path"])), "size")
        equal(delta(space).to_pyarrow_table(filters=[("id", ">", 97)]).num_rows, 2, "rows through the statistics")


def modes():
    some = select(["id", "text", "day"])
    with Workspace() as space:
        put(space, rows(40))
        load(space, {"partitionBy": ["day"], "mode": "errorifexists"}, [some])
        load(space, {"mode": "errorifexists"}, [some], code=6)
        load(space, {"mode": "ignore"}, [some])
        equal(delta(space).version(), 0, "version")
        load(space, {}, [some])
        equal(len(content(space)), 80, "rows after the append")
        load(space, {"mode": "overwrite", "partitionOverwriteMode": "dynamic"}, [keep("day = 'ü'"), some])
        equal(len(content(space)), 70, "rows after one partition was replaced")
        load(space, {"mode": "overwrite", "partitionOverwriteMode": "dynamic"}, [keep("day IS NULL"), some])
        equal(len(content(space)), 60, "rows after the partition of NULL was replaced")
        load(space, {"mode": "overwrite", "replaceWhere": "day = '2024-01-01'"}, [keep("day = '2024-01-01' AND id < 8"), some])
        equal(len(content(space)), 42, "rows after replaceWhere")
        load(space, {"mode": "overwrite", "replaceWhere": "day = '2024-01-01'"}, [some], code=6)
        load(space, {"mode": "overwrite", "replaceWhere": "id >= 30"}, [keep("id >= 38"), some])
        equal(sorted(r["id"] for r in content(space) if r["id"] >= 30), [38, 39], "ids after replaceWhere by rows")
        load(space, {"mode": "overwrite"}, [some])
        same(space, rows(40).select(["id", "text", "day"]))
        load(space, {"mode": "overwrite", "overwriteSchema": True, "partitionBy": ["small"]}, [select(["id", "small", "ts"])])
        same(space, rows(40).select(["id", "small", "ts"]))
        equal(delta(space).metadata().partition_columns, ["small"], "partition columns")


def evolution():
    with Workspace() as space:
        put(space, rows(10))
        load(space, {}, [select(["id", "int", "st"])])
        refused = load(space, {}, [select({"id": "id", "new": "text"})], code=3)
        check("columns that out does not have: new" in refused.err and "mergeSchema" in refused.err, refused)
        refused = load(space, {}, [select({"id": "id", "int": "CAST(id AS bigint)"})], code=3)
        check("'int' is bigint, and int in out" in refused.err, refused)
        load(space, {}, [select({"INT": "CAST(small AS tinyint)", "id": "small"})])
        load(space, {"mergeSchema": True}, [select({
            "new": "ntz", "id": "id", "st": "named_struct('b', st.b, 'a', st.a, 'z', text)"})])
        got = content(space)
        equal(len(got), 30, "rows")
        equal(sorted({k for r in got for k in r}), ["id", "int", "new", "st"], "columns")
        wanted = {r["id"]: r for r in rows(10).to_pylist()}
        for r in got:
            if r["new"]:
                equal(r["new"], wanted[r["id"]]["ntz"], "new column")
                if wanted[r["id"]]["st"]:
                    equal(r["st"], {**wanted[r["id"]]["st"], "z": wanted[r["id"]]["text"]}, "new field")
        equal(sum(1 for r in got if r["int"] is None), 10, "rows without int")
        equal(delta(space).protocol().min_writer_version, 7, "the protocol, raised for timestampNtz")


def upsert():
    some = select(["id", "text", "day"])
    with Workspace() as space:
        put(space, rows(100))
        load(space, {"mode": "upsert", "keys": ["id"], "partitionBy": ["day"]}, [some])
        changed = select({"id": "id + 90", "text": "'new'", "day": "day"})
        load(space, {"mode": "upsert", "keys": ["id"]}, [keep("id < 20"), changed])
        got = {r["id"]: r["text"] for r in content(space)}
        equal(len(content(space)), 110, "rows")
        equal(sorted(i for i, t in got.items() if t == "new"), list(range(90, 110)), "new values")
        metrics = delta(space).history(1)[0]["operationMetrics"]
        equal((metrics["numTargetRowsInserted"], metrics["numTargetRowsUpdated"]), ("10", "10"), "metrics")
        load(space, {"mode": "upsert", "keys": ["ID", "day"]}, [keep("day IS NULL AND id < 8"), some])
        equal(len(content(space)), 112, "rows: NULL in a key equals nothing")
        twice = load(space, {"mode": "upsert", "keys": ["id"]}, [select({"id": "id % 7", "text": "text", "day": "day"})], code=5)
        check("more than one row has the key" in twice.err, twice)


def again():
    """The same epoch committed twice adds nothing; the next run adds its rows."""
    with Workspace() as space:
        put(space, rows(10))
        load(space, {}, [select(["id"])])
        load(space, {}, [select(["id"])])
        equal(len(content(space)), 20, "rows of two runs")
        log = space.file("out", "_delta_log", "1".zfill(20) + ".json")
        txn = [json.loads(line)["txn"] for line in open(log) if '"txn"' in line][0]
        equal(txn["version"], 2, "epoch")
        check(txn["appId"].startswith("millrace:load:"), txn)


def foreign():
    """A table that delta-rs made: its properties bind us."""
    with Workspace() as space:
        table = rows(10).select(["id", "day", "ts"])
        write_deltalake(space.file("out"), table, partition_by=["day"], configuration={"delta.appendOnly": "true"})
        put(space, table)
        load(space, {})
        same(space, pa.concat_tables([table, table]))
        refused = load(space, {"mode": "overwrite"}, code=6)
        check("delta.appendOnly" in refused.err, refused)
    with Workspace() as space:
        write_deltalake(space.file("out"), rows(10).select(["id"]))
        delta(space).alter.add_constraint({"positive": "id >= 0"})
        put(space, rows(10).select(["id"]))
        load(space, {})
        refused = load(space, {}, [select({"id": "id - 3"})], code=6)
        check("delta.constraints.positive" in refused.err, refused)
        equal(len(content(space)), 20, "rows")


def partitions_replaced():
    """Partitions are values, not texts: another writer writes instants its own way, and NaN fulfils no comparison with a number."""
    moments = [dt.datetime(2024, 1, 1, 10, 0, n, n, UTC) for n in range(3)]
    cases = [
        (pa.array([*moments[:2], None], pa.timestamp("us", "UTC")), {"partitionOverwriteMode": "dynamic"}, []),
        (pa.array([1.5, 2, None], pa.float64()), {"partitionOverwriteMode": "dynamic"}, []),
        (pa.array([1.5, float("nan"), None], pa.float64()), {"replaceWhere": "p = 1.5"}, [1, 2]),
        (pa.array([True, False, None]), {"replaceWhere": "NOT p"}, [0, 2]),
        (pa.array(["a", "b", None]), {"replaceWhere": "p <> 'a'"}, [0, 2]),
    ]
    for values, options, stay in cases:
        with Workspace() as space:
            write_deltalake(space.file("out"), pa.table({"id": pa.array([0, 1, 2]), "p": values}), partition_by=["p"])
            new = pa.table({"id": pa.array([10, 11, 12]), "p": values})
            put(space, new if "replaceWhere" not in options else new.slice(0, 0))
            load(space, {"mode": "overwrite", **options})
            wanted = stay if "replaceWhere" in options else [10, 11, 12]
            equal(sorted(row["id"] for row in content(space, ["id"])), wanted, f"{values.type} {options}")


def keys_in_a_url():
    with Workspace() as space:
        put(space, rows(1))
        refused = load(space, {"path": "s3://user:hidden@bucket/table"}, code=3)
        check("hidden" not in refused.out + refused.err + json.dumps(refused.report), refused)
        check("keys belong in" in refused.err, refused)


def many_commits():
    """Checkpoints, _last_checkpoint, and what two readers make of them."""
    commits = 2000 if LONG else 45
    with Workspace() as space:
        put(space, rows(4).select(["id", "day"]))
        space.write("append.json", pipeline({"partitionBy": ["day"]}))
        for _ in range(commits):
            space.millrace("run", "append.json", "--progress", "none").expect(0)
        equal(delta(space).version(), commits - 1, "version")
        equal(len(content(space)), 4 * commits, "rows")
        with open(space.file("out", "_delta_log", "_last_checkpoint")) as file:
            equal(json.load(file)["version"], (commits - 1) // 10 * 10, "checkpoint")
        write_deltalake(space.file("out"), rows(4).select(["id", "day"]), mode="append")
        space.millrace("run", "append.json", "--progress", "none").expect(0)
        equal(len(content(space)), 4 * commits + 8, "rows after an append by delta-rs and one by us")


def writers_at_once():
    """Eight processes: versions without a gap, every row once."""
    each = 200 if LONG else 10
    with Workspace() as space:
        put(space, rows(4).select(["id", "day"]))
        for number in range(8):
            space.write(f"w{number}.json", pipeline({"partitionBy": ["day"]}, name=f"w{number}"))
        loop = "for i in $(seq %d); do \"$0\" run \"$1\" --progress none >$1.log 2>&1 || exit 1; done" % each
        running = [subprocess.Popen(["sh", "-c", loop, program(), f"w{n}.json"], cwd=space.path, env=space.environment())
                   for n in range(8)]
        for number, process in enumerate(running):
            equal(process.wait(), 0, open(space.file(f"w{number}.json.log")).read())
        equal(delta(space).version(), 8 * each - 1, "version")
        equal(len(content(space)), 8 * each * 4, "rows")
        versions = sorted(f for f in os.listdir(space.file("out", "_delta_log")) if f.endswith(".json"))
        equal(versions, [f"{n:020}.json" for n in range(8 * each)], "log")


def main():
    suite = Suite("delta")
    for case in (types, partitions, partitions_replaced, statistics, modes, evolution, upsert, again, foreign, keys_in_a_url, many_commits, writers_at_once):
        suite.case(case.__name__.replace("_", " "), case)
    return suite.end()


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Delta tables that others wrote, read by the engine: the same rows and types.

Tables of delta-rs are made here; those of Spark (column mapping, deletion vectors, V2 and multi-part checkpoints,
wider types, clones) were made once by tests/interop/delta/make.py and lie beside it.
"""

import datetime
import decimal
import glob
import os
import sys
import tarfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("pyarrow", "deltalake")
import deltalake
import pyarrow as pa

from delta_rows import compare, pipeline, read, rows
from engine import Workspace

HERE = os.path.dirname(os.path.realpath(__file__))
UTC = datetime.timezone.utc


def copied(work, config, filter=None):
    """What a run of the engine makes of a table."""
    steps = pipeline(config, work.file("out"))
    steps["steps"][1]["config"]["mode"] = "overwrite"
    if filter:
        steps["steps"].insert(1, {"type": "transform", "method": "filterRows", "config": {"condition": filter}})
    work.write("p.json", steps)
    result = work.millrace("run", "p.json").expect(0)
    return read(work.file("out")), result


def wanted(table):
    table = table if isinstance(table, pa.Table) else pa.table(table)
    names = sorted(table.column_names)
    return table.select(names).combine_chunks()


def same(work, path, version=None, filter=None):
    config = {"path": path, **({} if version is None else {"version": version})}
    source = deltalake.DeltaTable(path, version=version)
    mine, _ = copied(work, config)
    theirs = wanted(source.to_pyarrow_table())
    fields = [pa.field(f.name, mine.schema.field(f.name).type) for f in theirs.schema]
    compare(mine, theirs.cast(pa.schema(fields)))


def sample(first, count):
    numbers = list(range(first, first + count))
    return pa.table({
        "id": pa.array(numbers, pa.int64()),
        "small": pa.array([n % 100 for n in numbers], pa.int8()),
        "name": [None if n % 7 == 0 else f"name {n} ä" for n in numbers],
        "amount": pa.array([decimal.Decimal(n) / 100 for n in numbers], pa.decimal128(12, 2)),
        "at": pa.array([datetime.datetime(2024, 1, 1, tzinfo=UTC) + datetime.timedelta(seconds=n) for n in numbers],
                       pa.timestamp("us", "UTC")),
        "day": pa.array([datetime.date(2024, 1, 1 + n % 3) for n in numbers]),
        "list": [[n, None] if n % 2 else None for n in numbers],
        "struct": [{"a": n, "b": str(n)} for n in numbers],
    })


def partitioned():
    with Workspace() as work:
        path = work.file("t")
        for i in range(4):
            deltalake.write_deltalake(path, sample(i * 50, 50), mode="append", partition_by=["day", "small"])
        same(work, path)
        same(work, path, version=1)


def evolved():
    with Workspace() as work:
        path = work.file("t")
        deltalake.write_deltalake(path, pa.table({"id": [1, 2]}), mode="append")
        deltalake.write_deltalake(path, pa.table({"id": [3], "more": ["x"]}), mode="append", schema_mode="merge")
        deltalake.write_deltalake(path, pa.table({"id": [4], "s": [{"a": 1}]}), mode="append", schema_mode="merge")
        same(work, path)
        same(work, path, version=1)
        deltalake.write_deltalake(path, pa.table({"other": [1.5]}), mode="overwrite", schema_mode="overwrite")
        same(work, path)
        same(work, path, version=2)


def many_commits():
    with Workspace() as work:
        path = work.file("t")
        for i in range(25):
            deltalake.write_deltalake(path, sample(i * 10, 10), mode="append", partition_by=["day"])
            if i in (9, 19):
                deltalake.DeltaTable(path).create_checkpoint()
        same(work, path)
        for version in (0, 9, 10, 15, 23):
            same(work, path, version=version)
        theirs = deltalake.DeltaTable(path).to_pyarrow_table()
        os.remove(f"{path}/_delta_log/{19:020}.checkpoint.parquet")  # the hint now leads to nothing
        mine, _ = copied(work, {"path": path})
        compare(mine, wanted(theirs).cast(mine.schema))


def changed():
    with Workspace() as work:
        path = work.file("t")
        deltalake.write_deltalake(path, sample(0, 300), partition_by=["day"])
        table = deltalake.DeltaTable(path)
        table.delete("id % 10 = 3")
        table.update(predicate="id < 20", updates={"name": "'changed'"})
        same(work, path)
        source = pa.table({"id": pa.array([5, 1000], pa.int64()), "name": ["merged", "new"]})
        (table.merge(source, "t.id = s.id", source_alias="s", target_alias="t")
         .when_matched_update({"name": "s.name"}).when_not_matched_insert({"id": "s.id", "name": "s.name"}).execute())
        same(work, path)
        table.optimize.compact()
        same(work, path)
        table.optimize.z_order(["id", "name"])
        table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
        same(work, path)


def skipping():
    """What is left out must not have held a row that counts: each filter against all rows."""
    with Workspace() as work:
        path = work.file("t")
        for i in range(12):
            deltalake.write_deltalake(path, sample(i * 40, 40), mode="append", partition_by=["day"])
        everything, _ = copied(work, {"path": path})
        cases = [
            ("id BETWEEN 100 AND 110", lambda r: 100 <= r["id"] <= 110, True),
            ("day = DATE'2024-01-02'", lambda r: r["day"] == datetime.date(2024, 1, 2), True),
            ("day <> DATE'2024-01-02' AND id > 400", lambda r: r["day"].day != 2 and r["id"] > 400, True),
            ("name IS NULL", lambda r: r["name"] is None, False),
            ("amount >= 4.50", lambda r: r["amount"] >= decimal.Decimal("4.50"), True),
            ("at < TIMESTAMP'2024-01-01T00:00:30Z'", lambda r: r["at"].second < 30 and r["id"] < 60, True),
            ("name = 'name 321 ä'", lambda r: r["name"] == "name 321 ä", True),
            ("NOT (id < 470) OR id IN (1, 2)", lambda r: r["id"] >= 470 or r["id"] in (1, 2), True),
            ("small = 5", lambda r: r["small"] == 5, True),
        ]
        for condition, keep, skips in cases:
            got, result = copied(work, {"path": path}, condition)
            left = [r for r in everything.to_pylist() if keep(r)]
            check(left, f"{condition} keeps nothing")
            compare(got, pa.Table.from_pylist(left, schema=everything.schema))
            plan = work.millrace("plan", "p.json").expect(0).out
            check(("skipped by partitions and statistics" in plan) == skips, f"{condition}\n{plan}")


def as_of_time():
    with Workspace() as work:
        path = work.file("t")
        for i in range(3):
            deltalake.write_deltalake(path, pa.table({"id": [i]}), mode="append")
        for i, file in enumerate(sorted(glob.glob(f"{path}/_delta_log/*.json"))):
            os.utime(file, (1700000000 + i * 100, 1700000000 + i * 100))
        for text, ids in (("2023-11-14 22:13:20", [0]), ("2023-11-14T22:15:30Z", [0, 1]), ("2023-11-14 22:16:40", [0, 1, 2])):
            got, _ = copied(work, {"path": path, "timestampAsOf": text})
            equal(sorted(got.column("id").to_pylist()), ids, text)
        for text, what in (("2023-11-14", "before the first"), ("2024-01-01", "after the last")):
            work.write("p.json", pipeline({"path": path, "timestamp": text}, work.file("out")))
            done = work.millrace("plan", "p.json").expect(5)
            check(what in done.err and "version 0 of 2023-11-14 22:13:20" in done.err, str(done))
        work.write("p.json", pipeline({"path": path, "version": 3}, work.file("out")))
        done = work.millrace("plan", "p.json").expect(5)
        check("there are 0 to 2" in done.err, str(done))


def kept(archive):
    """A table of Spark's: NAME/delta, NAME/expected, and NAME/expected-VERSION for earlier versions."""
    with Workspace() as work:
        with tarfile.open(archive) as tar:
            tar.extractall(work.path, filter="data")
        name = os.path.basename(archive)[: -len(".tar.xz")]
        for expected in sorted(glob.glob(work.file(name, "expected*"))):
            version = expected.rpartition("-")[2] if "-" in os.path.basename(expected) else None
            config = {"path": work.file(name, "delta"), **({"version": int(version)} if version else {})}
            got, _ = copied(work, config)
            compare(got, read(expected))


def main():
    suite = Suite("delta read")
    for case in (partitioned, evolved, many_commits, changed, skipping, as_of_time):
        suite.case(case.__name__.replace("_", " "), case)
    for archive in sorted(glob.glob(os.path.join(HERE, "delta", "*.tar.xz"))):
        suite.case(f"Spark: {os.path.basename(archive)[:-len('.tar.xz')]}", kept, archive)
    suite.end()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Delta tables that others wrote, read by the engine: the same rows and types.

Tables of delta-rs are made here; those of Spark (column mapping, deletion vectors, V2 and multi-part checkpoints,
wider types, clones) were made once by tests/interop/delta/make.py and lie beside it.
"""

import datetime
import decimal
import glob
import json
import os
import sys
import tarfile
import urllib.parse
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Skip, Suite, check, equal, need

need("pyarrow", "deltalake")
import deltalake
import pyarrow as pa
import pyarrow.parquet as pq

import s3
from delta_rows import compare, pipeline, read
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


def as_of_commit_time():
    """With in-commit timestamps the times of the files mean nothing."""
    with Workspace() as work:
        path = work.file("t")
        tables = [pa.table({"id": pa.array([i], pa.int64())}) for i in range(3)]
        infos = [{"commitInfo": {"inCommitTimestamp": 1700000000000 + i * 60000}} for i in range(3)]
        log(path, 0, infos[0], *beginning(tables[0].schema), data(path, "0.parquet", tables[0]))
        for i in (1, 2):
            log(path, i, infos[i], data(path, f"{i}.parquet", tables[i]))
        got, _ = copied(work, {"path": path, "timestamp": "2023-11-14T22:14:59Z"})
        equal(sorted(got.column("id").to_pylist()), [0, 1], "rows")


def build_side():
    """Keys of a build side leave out files when the run already runs; the report counts them."""
    with Workspace() as work:
        fact, keys = work.file("fact"), work.file("keys")
        for i in range(10):
            deltalake.write_deltalake(fact, pa.table({"id": pa.array(range(i * 100, i * 100 + 100), pa.int64())}), mode="append")
        deltalake.write_deltalake(keys, pa.table({"id": pa.array([5, 7, 350], pa.int64()), "n": ["a", "b", "c"]}))
        steps = pipeline({"path": fact}, work.file("out"))
        steps["steps"][0]["config"]["registerAs"] = "fact"
        steps["steps"][1:1] = [
            {"type": "extract", "method": "fromDelta", "config": {"path": keys, "registerAs": "keys"}},
            {"type": "transform", "method": "joinDataFrames", "config": {"inputDataFrames": ["fact", "keys"], "joinColumn": "id"}},
        ]
        work.write("p.json", steps)
        work.millrace("run", "p.json", "--report", "r.json").expect(0)
        equal(sorted(read(work.file("out")).column("n").to_pylist()), ["a", "b", "c"], "rows")
        with open(work.file("r.json"), encoding="utf-8") as file:
            counters = json.load(file)["steps"][0]["counters"]
        equal((counters["files_read"], counters["files_skipped"]), (2, 8), "files read and skipped")


def bucket():
    """The same from S3."""
    try:
        s3.program()
    except RuntimeError as reason:
        raise Skip(str(reason)) from None
    with s3.S3Server() as server, Workspace() as work:
        work.write("config/credentials.json", {"defaults": {"s3": server.credentials()}})
        server.make_bucket("lake")
        path = work.file("t")
        for i in range(12):
            deltalake.write_deltalake(path, sample(i * 10, 10), mode="append", partition_by=["day"])
            if i == 9:
                deltalake.DeltaTable(path).create_checkpoint()
        for base, _, names in os.walk(path):
            for name in names:
                with open(os.path.join(base, name), "rb") as file:
                    server.client.put("lake", "x/t/" + os.path.relpath(file.name, path), file.read()).expect(200)
        here, _ = copied(work, {"path": path})
        for place in ({"bucket": "lake", "path": "x/t"}, {"path": "s3a://lake/x/t/"}):
            there, _ = copied(work, place)
            compare(there, here)


Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
PRIMITIVES = {"int8": "byte", "int16": "short", "int32": "integer", "int64": "long", "float": "float",
              "double": "double", "date32[day]": "date", "timestamp[us]": "timestamp_ntz", "string": "string"}


def spark_type(kind):
    if pa.types.is_struct(kind):
        return {"type": "struct", "fields": spark_fields(kind)}
    if pa.types.is_list(kind):
        return {"type": "array", "elementType": spark_type(kind.value_type), "containsNull": True}
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    return PRIMITIVES[str(kind)]


def spark_fields(fields):
    return [{"name": f.name, "type": spark_type(f.type), "nullable": True, "metadata": {}} for f in fields]


def log(path, version, *actions, name=None):
    os.makedirs(f"{path}/_delta_log", exist_ok=True)
    with open(f"{path}/_delta_log/{name or f'{version:020}.json'}", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(action) + "\n" for action in actions)


def beginning(schema, features=None):
    protocol = {"minReaderVersion": 1, "minWriterVersion": 2}
    if features:
        protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features}
    metadata = {"id": "1", "format": {"provider": "parquet", "options": {}}, "partitionColumns": [], "configuration": {},
                "createdTime": 1, "schemaString": json.dumps({"type": "struct", "fields": spark_fields(schema)})}
    return {"protocol": protocol}, {"metaData": metadata}


def data(path, name, table):
    """Writes a file and gives its add."""
    os.makedirs(path, exist_ok=True)
    pq.write_table(table, f"{path}/{name}")
    size = os.path.getsize(f"{path}/{name}")
    return {"add": {"path": name, "partitionValues": {}, "size": size, "modificationTime": 1, "dataChange": True}}


def wider_types():
    """Every widening of the protocol: files of the old types in a table of the new ones."""
    number, money = decimal.Decimal, pa.decimal128
    changes = [
        (pa.int8(), pa.int16(), [1, -128, None]), (pa.int8(), pa.int64(), [1, -128, None]),
        (pa.int16(), pa.int32(), [1, -32768, None]), (pa.int32(), pa.int64(), [1, -2**31, None]),
        (pa.float32(), pa.float64(), [1.5, -0.1, None]), (pa.int8(), pa.float64(), [1, -5, None]),
        (pa.int16(), pa.float64(), [1, -5, None]), (pa.int32(), pa.float64(), [2**31 - 1, -5, None]),
        (pa.date32(), pa.timestamp("us"), [datetime.date(2020, 2, 29), datetime.date(1931, 1, 1), None]),
        (money(6, 2), money(12, 2), [number("12.34"), number("-0.01"), None]),
        (money(6, 2), money(12, 4), [number("12.34"), number("-0.01"), None]),
        (money(18, 2), money(38, 10), [number("1234567890123456.78"), number("-0.01"), None]),
        (pa.int8(), money(10, 0), [1, -128, None]), (pa.int16(), money(12, 2), [1, -32768, None]),
        (pa.int32(), money(20, 5), [1, -2**31, None]), (pa.int64(), money(20, 0), [1, -2**63, None]),
        (pa.list_(pa.int32()), pa.list_(pa.int64()), [[1, None], [], None]),
        (pa.struct([("x", pa.int16())]), pa.struct([("x", pa.int32())]), [{"x": 5}, {"x": None}, None]),
    ]
    with Workspace() as work:
        path = work.file("t")
        old = pa.table({f"c{i:02}": pa.array(values, before) for i, (before, _, values) in enumerate(changes)})
        schema = pa.schema([(f"c{i:02}", after) for i, (_, after, _) in enumerate(changes)])
        log(path, 0, *beginning(schema, ["typeWidening", "timestampNtz"]), data(path, "old.parquet", old))
        got, _ = copied(work, {"path": path})
        columns = [old.column(i).cast(f.type) if not pa.types.is_decimal(f.type) else
                   pa.chunked_array([pa.array([None if v is None else number(v) for v in old.column(i).to_pylist()], f.type)])
                   for i, f in enumerate(schema)]
        compare(got, pa.table(columns, schema=schema))


def compacted_log():
    """A compaction stands in for its commits: here those say something else, to tell which was read."""
    with Workspace() as work:
        path = work.file("t")
        tables = [pa.table({"id": pa.array([i], pa.int64())}) for i in range(4)]
        adds = [data(path, f"{i}.parquet", table) for i, table in enumerate(tables)]
        remove = {"remove": {"path": "0.parquet", "dataChange": True, "deletionTimestamp": 5}}
        log(path, 0, *beginning(tables[0].schema), adds[0])
        log(path, 1, {"commitInfo": {}})
        log(path, 2, {"commitInfo": {}})
        log(path, 3, adds[3])
        log(path, 1, adds[1], adds[2], remove, name=f"{1:020}.{2:020}.compacted.json")
        got, _ = copied(work, {"path": path})
        equal(sorted(got.column("id").to_pylist()), [1, 2, 3], "rows")
        got, _ = copied(work, {"path": path, "version": 2})
        equal(sorted(got.column("id").to_pylist()), [1, 2], "rows of version 2")


def files_elsewhere():
    """Absolute paths in every form, as a shallow clone has them."""
    with Workspace() as work:
        path, other = work.file("t"), work.file("some where")
        table = pa.table({"id": pa.array([1], pa.int64())})
        adds = [data(other, f"{i} %.parquet", table) for i in range(3)]
        for add, prefix in zip(adds, ("file://", "file:", "")):
            add["add"]["path"] = prefix + urllib.parse.quote(f"{other}/{add['add']['path']}")
        log(path, 0, *beginning(table.schema), *adds)
        got, _ = copied(work, {"path": path})
        equal(got.column("id").to_pylist(), [1, 1, 1], "rows")


def kept(archive):
    """A table of Spark's: NAME/delta, NAME/expected, and NAME/expected-VERSION for earlier versions."""
    with Workspace() as work:
        with tarfile.open(archive) as tar:
            tar.extractall(work.path, filter="data")
        name = os.path.basename(archive)[: -len(".tar.xz")]
        folders = sorted(glob.glob(work.file(name, "expected*")))
        check(folders, "no expected rows")
        for expected in folders:
            version = expected.rpartition("-")[2] if "-" in os.path.basename(expected) else None
            config = {"path": work.file(name, "delta"), **({"version": int(version)} if version else {})}
            got, _ = copied(work, config)
            compare(got, read(expected))


def vector_elsewhere():
    """Storage 'p', and what a vector's file that is damaged or gone says."""
    with Workspace() as work:
        with tarfile.open(os.path.join(HERE, "delta", "vectors.tar.xz")) as tar:
            tar.extractall(work.path, filter="data")
        path, place = work.file("vectors", "delta"), work.file("else where.bin")
        newest = f"{path}/_delta_log/{4:020}.json"
        with open(newest, encoding="utf-8") as file:
            actions = [json.loads(line) for line in file]
        vector = next(action["add"]["deletionVector"] for action in actions if "add" in action)
        number = 0
        for digit in range(0, 20, 5):
            word = 0
            for letter in vector["pathOrInlineDv"][-20:][digit:digit + 5]:
                word = word * 85 + Z85.index(letter)
            number = number << 32 | word
        os.rename(f"{path}/deletion_vector_{uuid.UUID(int=number)}.bin", place)
        vector.update(storageType="p", pathOrInlineDv="file:" + urllib.parse.quote(place))
        log(path, 4, *actions)
        got, _ = copied(work, {"path": path})
        compare(got, read(work.file("vectors", "expected")))
        with open(place, "rb") as file:
            good = file.read()
        for bad, what in ((good[:20] + bytes([good[20] ^ 1]) + good[21:], "checksum"), (good[:-3], "another size")):
            with open(place, "wb") as file:
                file.write(bad)
            done = work.millrace("run", "p.json").expect(5)
            check("deletion vector" in done.err and what in done.err, str(done))


def main():
    suite = Suite("delta read")
    cases = (partitioned, evolved, many_commits, changed, skipping, as_of_time, as_of_commit_time, build_side, bucket,
             wider_types, compacted_log, files_elsewhere, vector_elsewhere)
    for case in cases:
        suite.case(case.__name__.replace("_", " "), case)
    for archive in sorted(glob.glob(os.path.join(HERE, "delta", "*.tar.xz"))):
        suite.case(f"Spark: {os.path.basename(archive)[:-len('.tar.xz')]}", kept, archive)
    suite.end()


if __name__ == "__main__":
    main()

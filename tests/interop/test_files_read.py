#!/usr/bin/env python3
"""Files that others wrote: trees of pyarrow and DuckDB with Hive partitions, files of several schemas, globs, text; and what is wrong with them.

Every case makes its files, runs a pipeline over them and compares with what pyarrow or Python know to be in them.
"""

import datetime
import gzip
import json
import os
import random
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Skip, Suite, check, equal, need

need("pyarrow", "duckdb")
import duckdb
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import table
from engine import Workspace


def extract(method="fromFile", **config):
    return {"type": "extract", "method": method, "config": config}


def pipeline(*steps, where=None, **config):
    """Source steps (or the keys of fromFile), a filter, and a load as JSON lines in out/."""
    steps = list(steps) or [extract(**config)]
    if where:
        steps.append({"type": "transform", "method": "filterRows", "config": {"condition": where}})
    load = {"path": "out", "format": "json", "mode": "overwrite"}
    return {"name": "read", "steps": steps + [{"type": "load", "method": "toFile", "config": load}]}


def rows(space):
    found = []
    for file in table.files(space.file("out")):
        with open(file, encoding="utf-8") as lines:
            found += [json.loads(line) for line in lines]
    return found


def read(space, **config):
    """Rows as dicts, and the report."""
    result = space.run(pipeline(**config)).expect(0)
    return rows(space), result.report


def counters(report):
    return report["steps"][0]["counters"]


def columns(space, **config):
    """{name: type} as the plan has it."""
    plan = space.millrace("plan", space.write("plan.json", pipeline(**config)), "--json").expect(0)
    return {c["name"]: c["type"] for c in json.loads(plan.out)["nodes"][0]["columns"]}


def put(space, name, data, **options):
    os.makedirs(os.path.dirname(space.file(name)), exist_ok=True)
    pq.write_table(pa.table(data) if isinstance(data, dict) else data, space.file(name), **options)
    return name


def refused(space, *messages, code=5, **config):
    result = space.run(pipeline(**config)).expect(code)
    for text in messages:
        check(text in result.out + result.err, f"the output lacks {text!r}\n{result}")


# --- partitions ---


def lake():
    """Of every type that a directory can hold, written by pyarrow."""
    n = 120
    return pa.table(
        {
            "id": pa.array(range(n), pa.int64()),
            "y": pa.array([2020 + i % 3 for i in range(n)], pa.int32()),
            "big": pa.array([5_000_000_000 + i % 2 for i in range(n)], pa.int64()),
            "day": pa.array([datetime.date(2024, 2, 28 + i % 2) for i in range(n)]),
            "place": pa.array([["a b", "x=y/z%", "\u00e4", None][i % 4] for i in range(n)]),
        }
    )


def hive_pyarrow():
    with Workspace() as space:
        data = lake()
        pq.write_to_dataset(data, space.file("lake"), partition_cols=["y", "big", "day", "place"])
        space.write("lake/_SUCCESS", "x")
        space.write("lake/y=2020/.part.crc", "x")
        equal(
            columns(space, path="lake"),
            {"id": "bigint", "y": "int", "big": "bigint", "day": "date", "place": "string"},
            "columns",
        )
        got, _ = read(space, path="lake")
        wanted = [dict(r, day=str(r["day"])) for r in data.to_pylist()]
        equal(sorted(got, key=lambda r: r["id"]), wanted, "rows")


def hive_duckdb():
    with Workspace() as space:
        connection = duckdb.connect()
        connection.execute("CREATE TABLE t AS SELECT range AS id, range % 4 AS k, (range % 3) * 0.5 AS f FROM range(1000)")
        connection.execute(f"COPY t TO '{space.file('lake')}' (FORMAT PARQUET, PARTITION_BY (k, f))")
        got, report = read(space, path="lake", where="k = 1 AND f > 0.4 AND id < 500")
        wanted = [i for i in range(500) if i % 4 == 1 and i % 3 > 0]
        equal(sorted(r["id"] for r in got), wanted, "ids")
        equal(counters(report)["files_skipped"], 10, "files skipped")


def pruning_bytes():
    """One of twenty equal partitions: at most 1/19 of the bytes, footers of the others included."""
    with Workspace() as space:
        choose = random.Random(1)
        for k in range(20):
            data = {"v": pa.array([choose.random() for _ in range(200_000)]), "w": pa.array([choose.random() for _ in range(200_000)])}
            put(space, f"lake/k={k}/a.parquet", data)
        size = sum(os.path.getsize(f) for f in table.files(space.file("lake")))
        plan = {
            "name": "read",
            "steps": [
                extract(path="lake"),
                {"type": "transform", "method": "filterRows", "config": {"condition": "k = 7"}},
                {"type": "transform", "method": "aggregateData", "config": {"groupBy": [], "aggregations": {"n": "count(v)", "m": "max(w)"}}},
                {"type": "load", "method": "toFile", "config": {"path": "out", "format": "json"}},
            ],
        }
        report = space.run(plan).expect(0).report
        equal(rows(space)[0]["n"], 200_000, "rows")
        seen = counters(report)
        check(seen["bytes_read"] <= size / 19, f"{seen['bytes_read']} of {size} bytes were read")
        equal(seen["files_skipped"], 19, "files skipped")
        print(f"# {seen['bytes_read']} of {size} bytes: 1/{size / seen['bytes_read']:.1f}")


def functions_prune():
    """date(), year(), date_trunc() of a partition column."""
    with Workspace() as space:
        for day in range(1, 13):
            put(space, f"lake/at=2024-{day:02}-15 10%3A00%3A00/a.parquet", {"id": [day]})
        for where, wanted in (
            ("year(at) = 2024 AND date(at) = DATE '2024-03-15'", [3]),
            ("date_trunc('MONTH', at) >= TIMESTAMP '2024-11-01 00:00:00'", [11, 12]),
            ("date_trunc('quarter', at) = TIMESTAMP '2024-04-01 00:00:00'", [4, 5, 6]),
            ("cast(at AS DATE) IN (DATE '2024-01-15', DATE '2024-12-15')", [1, 12]),
            ("NOT (year(at) = 2024)", []),
        ):
            got, report = read(space, path="lake", where=where)
            equal(sorted(r["id"] for r in got), wanted, where)
            equal(counters(report).get("files_skipped", 0), 12 - len(wanted), where)


def statistics_agree():
    """Random conditions over a file of many row groups: the same rows with the column itself, which is skipped by, and behind coalesce()."""
    choose = random.Random(5)
    begin = datetime.datetime(2018, 2, 17, 20)
    times = sorted(begin + datetime.timedelta(minutes=choose.randint(0, 2000) * choose.choice([1, 1, 300])) for _ in range(4000))
    data = pa.table(
        {
            "id": pa.array(range(4000), pa.int32()),
            "at": pa.array([None if choose.random() < 0.02 else t for t in times], pa.timestamp("us", "UTC")),
            "loc": pa.array(times, pa.timestamp("us")),
            "day": pa.array([t.date() for t in times]),
            "f": pa.array([choose.choice([None, float("nan"), i / 100]) for i in range(4000)]),
            "s": pa.array([f"k{i // 100:02}" for i in range(4000)]),
        }
    )
    days = [f"DATE '{t.date()}'" for t in times]
    stamps = [f"TIMESTAMP '{t.replace(minute=0)}'" for t in times]

    def condition():
        column = choose.choice(["at", "loc", "day"])
        compare = choose.choice(["=", "<", "<=", ">", ">=", "<>"])
        return choose.choice(
            [
                f"date({{{column}}}) {compare} {choose.choice(days)}",
                f"year({{{column}}}) {compare} {choose.choice([2017, 2018, 2019])}",
                f"year({{{column}}}) IN (2017, {choose.choice([2018, 2019])})",
                f"trunc({{{column}}}, '{choose.choice(['MM', 'year', 'week', 'quarter'])}') {compare} {choose.choice(days)}",
                f"date_trunc('{choose.choice(['hour', 'day', 'MONTH', 'week'])}', {{{column}}}) {compare} {choose.choice(stamps)}",
                f"{{day}} {compare} {choose.choice(stamps)}",
                "{f} " + compare + choose.choice([" 10.5", " CAST('NaN' AS DOUBLE)"]),
                f"{{s}} LIKE 'k{choose.randint(0, 4)}%'",
                f"{{s}} IN ('k07', 'k{choose.randint(10, 39)}')",
                "{at} IS NULL",
                f"{{at}} BETWEEN {choose.choice(stamps)} AND {choose.choice(stamps)}",
            ]
        )

    with Workspace() as space:
        put(space, "d/a.parquet", data, row_group_size=100)
        names = {"at": "at", "loc": "loc", "day": "day", "f": "f", "s": "s"}
        hidden = {k: f"coalesce({k}, {k})" for k in names}
        for zone in ("UTC", "America/Sao_Paulo", "Europe/Berlin"):
            for _ in range(12):
                text = " AND ".join(choose.choice(["", "NOT "]) + f"({condition()})" for _ in range(choose.choice([1, 1, 2])))
                got = []
                for columns_ in (names, hidden):
                    plan = pipeline(path="d", where=text.format(**columns_))
                    plan["sql"] = {"timeZone": zone}
                    space.run(plan).expect(0)
                    got.append(sorted(r["id"] for r in rows(space)))
                equal(got[0], got[1], f"{zone}: {text.format(**names)}")


def null_partition():
    with Workspace() as space:
        put(space, "lake/k=__HIVE_DEFAULT_PARTITION__/a.parquet", {"id": [1]})
        put(space, "lake/k=7/a.parquet", {"id": [2]})
        got, report = read(space, path="lake", where="k IS NULL")
        equal((got, counters(report)["files_skipped"]), ([{"id": 1, "k": None}], 1), "k IS NULL")
        got, _ = read(space, path="lake", where="k <> 8")
        equal(got, [{"id": 2, "k": 7}], "k <> 8")


def directory_wins():
    """The file has the column too, with other values; and `schema` decides types and order."""
    with Workspace() as space:
        put(space, "lake/k=07/a.parquet", {"k": ["file"], "id": [1]})
        equal(read(space, path="lake")[0], [{"id": 1, "k": 7}], "inferred")
        equal(read(space, path="lake", schema="k STRING, id BIGINT")[0], [{"k": "07", "id": 1}], "as text")
        equal(read(space, path="lake", schema="id BIGINT")[0], [{"id": 1}], "left out")


def partition_errors():
    with Workspace() as space:
        put(space, "lake/k=1/a.parquet", {"id": [1]})
        put(space, "lake/k=x/a.parquet", {"id": [1]})
        refused(space, "lake/k=x/a.parquet", '"k" is int', path="lake", schema="id INT, k INT")
        put(space, "lake/b.parquet", {"id": [1]})
        refused(space, "lake/b.parquet", "do not have the same partition columns", path="lake")


# --- which files ---


def globs():
    with Workspace() as space:
        for name in ("a/2023-1.parquet", "a/2024-1.parquet", "a/2024-2.parquet", "b/2024-1.parquet", "b/c/x.parquet", "a/_no.parquet"):
            put(space, f"d/{name}", {"f": [name]})
        for path, wanted in (
            ("d", 5),
            ("d/", 5),
            ("d/a/2024-1.parquet", 1),
            ("d/*/2024-*.parquet", 3),
            ("d/a/202[34]-1.parquet", 2),
            ("d/a/202[!4]-1.parquet", 1),
            ("d/{a,b}/2024-1.parquet", 2),
            ("d/?/2024-2.*", 1),
            ("d/**/x.parquet", 1),
            ("d/**/2024-1.parquet", 2),
            ("d/b*", 2),
            ("d/*/c", 1),
            (f"file://{space.file('d')}/a/*.parquet", 3),
        ):
            equal(len(read(space, path=path)[0]), wanted, path)
        refused(space, "d/*.csv", "no files", path="d/*.csv")
        refused(space, "nowhere", "no files", path="nowhere")
        equal(read(space, path="nowhere", schema="id INT")[0], [], "empty by schema")


def bucket():
    with Workspace(buckets={"lake": "../lake"}) as space:
        put(space, "lake/x/k=1/a.parquet", {"id": [1]})
        put(space, "lake/x/k=2/a.parquet", {"id": [2]})
        for config in ({"bucket": "lake", "path": "/x/"}, {"path": "s3://lake/x"}, {"path": "s3a://lake/x/k=*"}):
            space.run(pipeline(extract("fromS3", **config))).expect(0)
            equal(sorted((r["id"], r["k"]) for r in rows(space)), [(1, 1), (2, 2)], str(config))


def many_small():
    with Workspace() as space:
        for i in range(3000):
            put(space, f"d/{i:05}.parquet", {"id": [i]})
        got, report = read(space, path="d")
        equal(sorted(r["id"] for r in got), list(range(3000)), "ids")
        check(len(report["splits"]) < 400, f"{len(report['splits'])} splits")


def formats_by_name():
    with Workspace() as space:
        space.write("t/a.csv", "id,v\n1,x\n2,\n")
        with gzip.open(space.file("t/b.csv.gz"), "wt") as file:
            file.write("v,id\ny,3\n")
        equal(read(space, path="t")[0], [{"id": 1, "v": "x"}, {"id": 2, "v": None}, {"v": "y", "id": 3}], "csv")
        space.write("j/a.jsonl", '{"id": 1, "v": [1, 2]}\n{"id": 2}\n')
        space.write("j/b.json", '{"id": 3.5}\n')
        got, _ = read(space, path="j")
        equal([(r["id"], r["v"]) for r in got], [(1.0, [1, 2]), (2.0, None), (3.5, None)], "json")
        put(space, "m/a", {"id": [1]})
        equal(read(space, path="m")[0], [{"id": 1}], "no extension: parquet")
        space.write("m/b.csv", "id\n1\n")
        refused(space, "m/b.csv", path="m")


# --- schemas ---


def promotions():
    """Two files, a column of two types: what comes out."""
    cases = [
        (pa.int8(), pa.int64(), "bigint"),
        (pa.int32(), pa.float64(), "double"),
        (pa.int64(), pa.float64(), "double"),
        (pa.float32(), pa.int64(), "double"),
        (pa.int16(), pa.float32(), "double"),
        (pa.float32(), pa.float64(), "double"),
        (pa.decimal128(5, 2), pa.decimal128(8, 4), "decimal(8,4)"),
        (pa.int32(), pa.decimal128(5, 2), "decimal(12,2)"),
        (pa.null(), pa.string(), "string"),
        (pa.date32(), pa.timestamp("us"), "timestamp_ntz"),
        (pa.list_(pa.int32()), pa.list_(pa.int64()), "array<bigint>"),
        (pa.struct([("a", pa.int32())]), pa.struct([("a", pa.int64()), ("b", pa.string())]), "struct<a:bigint,b:string>"),
    ]
    values = {"array": [[1], None], "struct": [{"a": 1}, None]}
    for one, other, wanted in cases:
        with Workspace() as space:
            some = values.get(wanted.split("<")[0], [1, None])
            if wanted == "string":
                some = [None, None]
            if "timestamp" in wanted:
                some = [datetime.date(2024, 1, 1), None]
            put(space, "d/a.parquet", {"id": [1, 2], "v": pa.array(some, one)})
            if wanted == "string":
                some = ["x", None]
            if "timestamp" in wanted:
                some = [datetime.datetime(2024, 1, 1, 12), None]
            put(space, "d/b.parquet", {"v": pa.array(some, other), "id": [3, 4], "more": ["m", "n"]})
            equal(columns(space, path="d"), {"id": "bigint", "v": wanted, "more": "string"}, f"{one} and {other}")
            got, _ = read(space, path="d")
            equal([(r["id"], r["more"]) for r in got], [(1, None), (2, None), (3, "m"), (4, "n")], f"{one} and {other}")
            equal([got[1]["v"], got[3]["v"]], [None, None], f"{one} and {other}")


def bigint_as_double():
    """Whole numbers up to 2^53 are doubles, and others that a double holds; one that it does not is refused, wherever it stands."""
    exact = [0, -1, 2**53, -(2**53), 2**53 + 2, 2**60, -(2**63), None]
    for kind, values in ((pa.int64(), exact), (pa.int64(), exact * 500), (pa.list_(pa.int64()), [exact, None, []])):
        for dictionary in (False, True):
            with Workspace() as space:
                put(space, "d/a.parquet", {"v": pa.array(values, kind)}, use_dictionary=dictionary)
                put(space, "d/b.parquet", {"v": pa.array([None] * len(values), pa.list_(pa.float64()) if pa.types.is_list(kind) else pa.float64())})
                got = [r["v"] for r in read(space, path="d")[0]][:len(values)]
                equal(got, values, f"{kind}, merged")
                schema = f"v {'array<double>' if pa.types.is_list(kind) else 'double'}"
                equal([r["v"] for r in read(space, path="d/a.parquet", schema=schema)[0]], values, f"{kind}, by schema")
    for wrong in (2**53 + 1, -(2**53) - 1, 2**63 - 1):
        with Workspace() as space:
            put(space, "d/a.parquet", {"v": pa.array([1, 2, wrong], pa.int64())})
            put(space, "d/b.parquet", {"v": pa.array([0.5], pa.float64())})
            refused(space, "a.parquet", "column v", "does not fit into double", path="d")


def cannot_promote():
    for one, other in ((pa.int32(), pa.string()), (pa.uint64(), pa.float64()), (pa.timestamp("us"), pa.timestamp("us", "UTC"))):
        with Workspace() as space:
            put(space, "d/a.parquet", {"v": pa.array([None], one)})
            put(space, "d/b.parquet", {"v": pa.array([None], other)})
            refused(space, 'the column "v" is', "d/a.parquet", "d/b.parquet", '"schema"', path="d")


def column_of_nulls():
    """A column without any value fits every type, whatever the writer guessed (pandas: DOUBLE); one with a value does not."""
    with Workspace() as space:
        put(space, "in/a.parquet", {"id": [1, 2], "label": pa.array(["x", None])})
        put(space, "in/b.parquet", {"id": [3, 4], "label": pa.array([None, None], pa.float64())}, row_group_size=1)
        schema = "id BIGINT, label STRING"
        got, _ = read(space, path="in", format="parquet", schema=schema)
        wanted = [(1, "x"), (2, None), (3, None), (4, None)]
        table.same_rows([(r["id"], r.get("label")) for r in got], wanted)
        for where, ids in (("label IS NULL", [2, 3, 4]), ("label = 'x'", [1]), ("label IS NOT NULL", [1])):
            space.run(pipeline(path="in", format="parquet", schema=schema, where=where)).expect(0)
            equal(sorted(r["id"] for r in rows(space)), ids, where)
        put(space, "in/c.parquet", {"id": [5, 6], "label": pa.array([None, 1.5])}, row_group_size=1)
        refused(space, "c.parquet", "column label is double and cannot be read as string", path="in", format="parquet", schema=schema)
        put(space, "in/c.parquet", {"id": [5, 6], "label": pa.array([None, None], pa.float64())}, write_statistics=False)
        refused(space, "c.parquet", "column label is double", path="in", format="parquet", schema=schema)


def missing_columns():
    with Workspace() as space:
        put(space, "d/a.parquet", {"a": [1], "b": [2]})
        put(space, "d/b.parquet", {"b": [3], "c": [4]})
        got, _ = read(space, path="d")
        equal(got, [{"a": 1, "b": 2, "c": None}, {"a": None, "b": 3, "c": 4}], "NULL where missing")
        got, _ = read(space, path="d", where="c IS NULL")
        equal(got, [{"a": 1, "b": 2, "c": None}], "filter on it")
        refused(space, "column c may not be NULL", "d/a.parquet", path="d", schema="b BIGINT, c BIGINT NOT NULL")


def keys_by_case():
    """Keys of JSON are read by their exact names, so files that differ by case have two columns, and no value is lost."""
    with Workspace() as space:
        space.write("in/a.json", '{"Id": 1, "s": {"X": 1}}\n')
        space.write("in/b.json", '{"id": 2, "s": {"x": 2}}\n')
        found, _ = read(space, path="in")
        values = [(r.get("Id"), r.get("id"), r["s"].get("X"), r["s"].get("x")) for r in found]
        equal(values, [(1, None, 1, None), (None, 2, None, 2)], "each under its own name")


def columns_by_case():
    """Parquet names are matched ignoring case, but never onto a name that the same file has exactly."""
    with Workspace() as space:
        put(space, "in/a.parquet", {"x": [1], "s": [{"x": 7}]})
        put(space, "in/b.parquet", {"X": [2], "x": [3], "s": [{"X": 6, "x": 5}]})
        put(space, "in/c.parquet", {"X": [4], "s": [{"X": 8}]})
        found, _ = read(space, path="in")
        values = [(r.get("x"), r.get("X"), r["s"].get("x"), r["s"].get("X")) for r in found]
        equal(values, [(1, None, 7, None), (3, 2, 5, 6), (None, 4, None, 8)], "each under its own name")
        os.unlink(space.file("in/b.parquet"))
        found, _ = read(space, path="in")
        equal([(r["x"], r["s"]["x"]) for r in found], [(1, 7), (4, 8)], "one column where no file has both")


def nanoseconds():
    """What pandas writes by default: an error that names the option, which cuts, before 1970 too, and conditions see what was cut."""
    with Workspace() as space:
        put(space, "in/a.parquet", {"t": pa.array([1001, -1, -1001, None], pa.timestamp("ns"))})
        refused(space, 'set "nanoseconds" to "floor"', path="in")
        found, _ = read(space, path="in", nanoseconds="floor", where="t < TIMESTAMP_NTZ'1970-01-01 00:00:00'")
        equal([row["t"] for row in found], ["1969-12-31T23:59:59.999999", "1969-12-31T23:59:59.999998"], "cut to microseconds")


def offline():
    with Workspace() as space:
        name = space.write("p.json", pipeline(path="nowhere", schema="id INT", where="idd > 1"))
        result = space.millrace("validate", name).expect(3)
        check("idd" in result.out + result.err, str(result))
        space.write("p.json", pipeline(path="nowhere", where="idd > 1"))
        result = space.millrace("validate", name).expect(0)
        check("checked with --connect" in result.out + result.err, str(result))
        space.write("p.json", pipeline(path="nowhere", schema="id INTT"))
        result = space.millrace("validate", name).expect(3)
        check("INTT" in result.out + result.err, str(result))
        space.write("p.json", pipeline(path="nowhere", incremental={"changed": "read"}))
        result = space.millrace("validate", name).expect(3)
        check("by" in result.out + result.err and "required" in result.out + result.err, str(result))


def build_side_narrows():
    """A small build side leaves out whole partitions of the probe side."""
    with Workspace() as space:
        for k in range(10):
            put(space, f"facts/k={k}/a.parquet", {"v": list(range(k * 100, k * 100 + 100))})
        put(space, "keys.parquet", {"key": pa.array([3, 5], pa.int32()), "name": ["three", "five"]})
        steps = [
            dict(extract(path="keys.parquet"), config={"path": "keys.parquet", "registerAs": "keys"}),
            dict(extract(path="facts"), config={"path": "facts", "registerAs": "facts"}),
            {
                "type": "transform",
                "method": "joinDataFrames",
                "config": {"inputDataFrames": ["facts", "keys"], "joinConditions": ["facts.k = keys.key"], "joinType": "inner"},
            },
        ]
        report = space.run(pipeline(*steps)).expect(0).report
        equal(len(rows(space)), 200, "rows")
        skipped = [s["counters"].get("files_skipped", 0) for s in report["steps"] if s["method"] == "fromFile"]
        equal(sum(skipped), 8, "files skipped")


# --- records that cannot be read ---


def on_error():
    with Workspace() as space:
        os.mkdir(space.file("d"))
        with open(space.file("d/a.csv"), "wb") as file:
            file.write(b"id,v\n")
            for i in range(100_000):
                file.write(b"%d,%s\n" % (i, b"x\xff" if i % 1000 == 7 else b"%d" % (2 * i)))
        space.write("d/b.csv", "id,v\n1,2\n3\n4,5,6,7\n")
        config = {"path": "d", "schema": "id BIGINT, v BIGINT"}
        refused(space, "d/a.csv: line 9", "'v'", "onError", **config)
        good = [(i, 2 * i) for i in range(100_000) if i % 1000 != 7] + [(1, 2)]
        got, report = read(space, onError="drop", **config)
        equal(sorted((r["id"], r["v"]) for r in got), sorted(good), "drop")
        equal(counters(report)["rows_rejected"], 102, "rejected")
        got, report = read(space, onError="null", **config)
        equal(len(got), 100_003, "null: rows")
        equal(sum(r["v"] is None for r in got), 100 + 1, "null: values")
        for batch in (0, 777):
            plan = pipeline(onError="quarantine", quarantine={"path": "bad", "format": "json"}, **config)
            plan["resources"] = {"batchRows": batch} if batch else {}
            shutil.rmtree(space.file("bad"), ignore_errors=True)
            space.run(plan).expect(0)
            equal(sorted((r["id"], r["v"]) for r in rows(space)), sorted(good), "quarantine: the good")
            bad = []
            for file in table.files(space.file("bad")):
                with open(file, encoding="utf-8") as lines:
                    bad += [json.loads(line) for line in lines]
            equal(len(bad), 102, "quarantine: the bad")
            first = {"file": "d/a.csv", "position": 9, "offset": 35, "column": "v", "record": "7,x\ufffd"}
            equal({k: bad[0][k] for k in first}, first, "the first")
            equal([(b["file"], b["position"], b["record"]) for b in bad[100:]], [("d/b.csv", 3, "3"), ("d/b.csv", 4, "4,5,6,7")], "the last")
            check(all(b["reason"] for b in bad), "reasons")
        refused(space, "quarantine", code=3, onError="quarantine", **config)
        refused(space, "quarantine", code=3, quarantine={"path": "bad"}, **config)


def avro():
    need("fastavro")
    import fastavro

    with Workspace() as space:
        schema = {"type": "record", "name": "r", "fields": [{"name": "id", "type": "long"}, {"name": "v", "type": ["null", "string"]}]}
        for k in (1, 2):
            os.makedirs(space.file(f"d/k={k}"))
            with open(space.file(f"d/k={k}/a.avro"), "wb") as file:
                fastavro.writer(file, schema, [{"id": i, "v": None if i % 3 else f"v{i}"} for i in range(20000)], codec="deflate", sync_interval=2000)
        space.run(pipeline(extract("fromAvro", path="d"))).expect(0)
        got = rows(space)
        wanted = [(i, None if i % 3 else f"v{i}", k) for k in (1, 2) for i in range(20000)]
        equal(sorted((r["id"], r["k"]) for r in got), sorted((i, k) for i, _, k in wanted), "rows")
        equal({(r["id"], r["v"]) for r in got}, {(i, v) for i, v, _ in wanted}, "values")
        reader = {"type": "record", "name": "r", "fields": [{"name": "v", "type": ["null", "string"]}, {"name": "w", "type": "int", "default": 7}]}
        space.run(pipeline(extract("fromAvro", path="d/k=1", avroSchema=reader))).expect(0)
        equal(rows(space)[:2], [{"v": "v0", "w": 7}, {"v": None, "w": 7}], "resolved")


# --- a real S3 server ---


def on_s3():
    """What the cases above do on a directory: partitions, patterns, text from front to back, ranges."""
    import s3

    try:
        s3.program()
    except RuntimeError as missing:
        raise Skip(str(missing))
    with s3.S3Server() as server, Workspace(extra={"defaults": {"s3": server.credentials()}}) as space:
        server.make_bucket("lake")
        data = pa.table({"id": list(range(200_000)), "k": [i % 4 for i in range(200_000)], "v": [f"value {i}" for i in range(200_000)]})
        pyarrow.dataset.write_dataset(
            data, "lake/p", filesystem=server.filesystem(), format="parquet", partitioning=["k"], partitioning_flavor="hive",
        )
        text = "".join(f"{i},{'x' * 50}\n" for i in range(400_000))
        server.client.put("lake", "text/2024-01.csv", ("id,v\n" + text).encode()).expect(200)
        server.client.put("lake", "text/2024-02.csv.gz", gzip.compress(b"id,v\n7,gz\n")).expect(200)
        server.client.put("lake", "text/2023-01.csv", b"other\n1\n").expect(200)
        server.client.put("lake", "text/_hidden.csv", b"other\n1\n").expect(200)
        space.run(pipeline(extract("fromS3", bucket="lake", path="p"), where="k = 3 AND id < 1000")).expect(0)
        equal(sorted(r["id"] for r in rows(space)), list(range(3, 1000, 4)), "partition")
        space.run(pipeline(extract("fromS3", path="s3://lake/text/2024-*"))).expect(0)
        got = sorted(r["id"] for r in rows(space))
        equal(got, sorted(list(range(400_000)) + [7]), "text")
        space.run(pipeline(extract("fromS3", path="s3a://lake/text/2023-01.csv"))).expect(0)
        equal(rows(space), [{"other": 1}], "one object")
        refused = space.run(pipeline(extract("fromS3", path="s3://lake/nothing"))).expect(5)
        check("there are no files" in refused.err, refused)
        refused = space.run(pipeline(extract("fromS3", path="s3://no-such-bucket/x")))
        check(refused.code == 3 and "no-such-bucket" in refused.err, refused)
        shown = space.millrace("show", "s3://lake/p", "--rows", "2").expect(0).out
        check("rows: 200000" in shown and "partition columns: k int" in shown, shown)


suite = Suite("files read")
suite.case("hive tree of pyarrow", hive_pyarrow)
suite.case("hive tree of duckdb", hive_duckdb)
suite.case("pruning: one of twenty partitions", pruning_bytes)
suite.case("pruning through functions", functions_prune)
suite.case("pruning by statistics", statistics_agree)
suite.case("pruning: NULL", null_partition)
suite.case("pruning by a build side", build_side_narrows)
suite.case("a directory's column goes before the file's", directory_wins)
suite.case("partitions that do not fit", partition_errors)
suite.case("globs", globs)
suite.case("buckets", bucket)
suite.case("many small files", many_small)
suite.case("formats by extension", formats_by_name)
suite.case("promotions", promotions)
suite.case("bigint as double", bigint_as_double)
suite.case("types without a common one", cannot_promote)
suite.case("missing columns", missing_columns)
suite.case("a column of NULLs", column_of_nulls)
suite.case("keys by case", keys_by_case)
suite.case("columns by case", columns_by_case)
suite.case("nanoseconds", nanoseconds)
suite.case("offline", offline)
suite.case("onError", on_error)
suite.case("avro", avro)
suite.case("a real S3 server", on_s3)
suite.end()

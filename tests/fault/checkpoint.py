#!/usr/bin/env python3
"""The checkpoint step: whatever ends a run behind it, the next start begins there, with the rows of the first reading, each exactly once.

What is read is changed between the attempts. So the rows in the target tell which reading they are of: the first one's when the
restart says that it began at a checkpoint (or finished a commit), the second one's when it says that it began anew, and never some of
each. Kills at named places need a build with --enable-failpoints; without it those cases are skipped. A server is used where there is one.
MILLRACE_LONG=1: every pass of every place; otherwise those of the checkpoint and of the commit.
"""

import collections
import glob
import json
import os
import shutil
import signal
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "interop"))
from suite import Skip, Suite, check, checkout, equal, need

need("psycopg", "pyarrow", "duckdb")
import pyarrow as pa
import pyarrow.parquet as pq

import json_schema
import s3
import table
from engine import Workspace
from proxy import Proxy
from server import Server, binaries
from types_of_postgres import TYPES

LONG = bool(os.environ.get("MILLRACE_LONG"))
ROWS = 5000


def source(space, mark, name="in.parquet", rows=ROWS):
    """Rows that say of which reading they are."""
    data = pa.table({"id": pa.array(range(rows), pa.int64()), "mark": [mark] * rows})
    pq.write_table(data, space.file(name), row_group_size=max(1, rows // 4))


def extract(path="in.parquet", **more):
    return {"type": "extract", "method": "fromFile", "config": {"path": path, "format": "parquet", **more}}


def table_of(name, **more):
    return {"type": "extract", "method": "fromPostgres", "config": {"table": name, **more}}


def transform(method, **config):
    return {"type": "transform", "method": method, "config": config}


def checkpoint(**config):
    return transform("checkpoint", **config)


def filtered(condition):
    return transform("filterRows", condition=condition)


def load(path="out/"):
    return {"type": "load", "method": "toFile", "config": {"path": path, "format": "parquet", "mode": "append"}}


def stop():
    """A validation that no row passes: the run ends with 7 behind what was made durable."""
    return {"type": "validate", "method": "validateBusinessRules", "config": {"rules": ["1 = 0"]}}


def pipeline(*steps, **more):
    return {"name": "work", "resources": {"parallelism": 2}, "steps": list(steps), **more}


def written(space, path="out"):
    """How many rows of each reading are in the target, and whether each id is there once for each."""
    if not table.files(space.file(path)):
        return {}
    rows = table.duck("SELECT mark, count(*), count(DISTINCT id) FROM data GROUP BY mark", space.file(path))
    for mark, count, distinct in rows:
        equal(count, distinct, f"different ids of {mark}")
    return {mark: count for mark, count, _ in rows}


def kept(space, where=(".millrace", "checkpoints")):
    return sorted(glob.glob(os.path.join(space.file(*where), "**", "*.frame"), recursive=True))


def attempt(space, *steps, mark="first", code=7, more=()):
    """The first attempt: everything up to the checkpoint, then the failure."""
    source(space, mark)
    space.run(pipeline(*steps), *more).expect(code)
    check(kept(space), "the attempt left no frame")
    equal(written(space), {}, "rows in the target after the attempt")


def resumed(result):
    return [entry["step"] for entry in (result.report or {}).get("resumed_from", [])]


USUAL = [extract(), filtered("id >= 0"), checkpoint()]


def restart(space, *steps, begins=("step 3 (checkpoint)",), rows=None, more=()):
    """The next start, after the source has changed."""
    source(space, "second")
    result = space.run(pipeline(*steps), *more).expect(0)
    equal(resumed(result), list(begins), f"where it began\n{result.err}")
    equal(written(space), rows or {"first" if begins else "second": ROWS}, "rows in the target")
    equal(kept(space), [], "frames after the commit")
    return result


def after_a_failure():
    with Workspace() as space:
        attempt(space, *USUAL, stop(), load())
        os.unlink(space.file("in.parquet"))  # nothing in front of it is even looked at
        result = space.run(pipeline(*USUAL, filtered("id % 2 = 0"), load())).expect(0)
        equal(resumed(result), ["step 3 (checkpoint)"], "where it began")
        equal(written(space), {"first": ROWS // 2}, "rows of a file that was changed behind the checkpoint")
        equal(result.report["resumed_from"][0]["rows"], ROWS, "rows in the report")
        with open(os.path.join(checkout(), "config", "report.schema.json"), encoding="utf-8") as file:
            equal(json_schema.problems(result.report, json.load(file), strict=True), [], "the report against its schema")
        source(space, "third")
        space.run(pipeline(*USUAL, load())).expect(0)
        equal(written(space), {"first": ROWS // 2, "third": ROWS}, "the run after that begins anew")


def begins_anew():
    """What makes a frame useless, and that the reason is told."""
    changes = {
        "a step in front has changed": ([extract(), filtered("id >= 0 AND true"), checkpoint(), load()], (), "have changed"),
        "--fresh": ([*USUAL, load()], ("--fresh",), None),
        "another parameter": ([*USUAL, load("${out}")], ("--param", "out=out/"), "other parameters"),
        "another checkpoint's name": ([extract(), filtered("id >= 0"), {**checkpoint(), "name": "x"}, load()], (), "no such checkpoint"),
    }
    for name, (steps, more, said) in changes.items():
        with Workspace() as space:
            attempt(space, *USUAL, stop(), load())
            result = restart(space, *steps, begins=(), more=more)
            check(said is None or said in result.err, f"{name}: {result.err}")


def damaged():
    def flip(path):
        with open(path, "r+b") as file:
            file.seek(os.path.getsize(path) // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))

    faults = {"a flipped bit": flip, "cut off": lambda p: os.truncate(p, os.path.getsize(p) - 1), "gone": os.unlink,
              "longer": lambda p: open(p, "ab").write(b"x")}
    for name, fault in faults.items():
        with Workspace() as space:
            attempt(space, *USUAL, stop(), load())
            fault(kept(space)[-1])
            result = restart(space, *USUAL, load(), begins=())
            check("is not used" in result.err, f"{name}: {result.err}")
    with Workspace() as space:
        attempt(space, *USUAL, stop(), load())
        shutil.rmtree(space.file(".millrace", "checkpoints"))
        restart(space, *USUAL, load(), begins=())


def files_of_others():
    """A dead attempt's files go with the next run; what somebody else has put there stays."""
    with Workspace() as space:
        steps = [extract(), checkpoint(path="keep")]
        source(space, "first")
        space.run(pipeline(*steps, stop(), load())).expect(7)
        found = kept(space, ("keep",))
        check(found, "no frame below path")
        beside = os.path.join(os.path.dirname(found[0]), "mine.frame")
        space.write(beside, "mine")
        dead = found[0].replace("-0.frame", "-77.frame")
        check(dead != found[0], found)
        shutil.copy(found[0], dead)
        space.run(pipeline(*steps, stop(), load())).expect(7)
        equal(kept(space, ("keep",)), sorted([*found, beside]), "files after the second attempt")
        space.run(pipeline(*steps, load())).expect(0)
        equal(kept(space, ("keep",)), [beside], "files after the commit")


def chain():
    """The last durable frame is used, else the one in front of it."""
    steps = [extract(), checkpoint(), filtered("id >= 10"), checkpoint(), filtered("id >= 20")]
    with Workspace() as space:
        attempt(space, *steps, stop(), load())
        restart(space, *steps, load(), begins=["step 4 (checkpoint)"], rows={"first": ROWS - 20})
    with Workspace() as space:
        attempt(space, *steps, stop(), load())
        second = [p for p in kept(space)]
        by_time = sorted(second, key=os.path.getmtime)
        os.truncate(by_time[-1], 1)
        restart(space, *steps, load(), begins=["step 2 (checkpoint)"], rows={"first": ROWS - 20})


def branches(same):
    """Two branches that meet: a frame is used only if nothing reads its source again."""
    union = transform("unionDataFrames", inputDataFrames=["a", "b"])
    left = [extract("left.parquet", registerAs="l"), filtered("id >= 0"), checkpoint(registerAs="a")]
    if same:
        right = [transform("sql", query="SELECT id + 100000 AS id, mark FROM l"), checkpoint(registerAs="b")]
    else:
        right = [extract("right.parquet"), filtered("id >= 0"), checkpoint(registerAs="b")]
    steps = [*left, *right, union, load()]
    with Workspace() as space:
        for name in ("left", "right"):
            source(space, "first", f"{name}.parquet")
        space.write("pipeline.json", pipeline(*steps))
        died = space.millrace("run", "pipeline.json", "--progress", "none", environment={"MILLRACE_FAILPOINT": "checkpoint.after_note:1=kill"})
        if died.code == 0:
            raise Skip("built without --enable-failpoints")
        for name in ("left", "right"):
            source(space, "second", f"{name}.parquet")
        result = space.run("pipeline.json").expect(0)
        rows = dict(table.duck("SELECT mark, count(*) FROM data GROUP BY mark", space.file("out")))
        if same:
            equal((resumed(result), rows), ([], {"second": 2 * ROWS}), f"one source, two readings\n{result.err}")
        else:
            equal(len(resumed(result)), 1, "frames used")
            equal(rows, {"first": ROWS, "second": ROWS}, "each source once")
        equal(kept(space), [], "frames after the commit")


def together():
    """Several loads behind one checkpoint; two checkpoints of one source that are both there."""
    with Workspace() as space:
        attempt(space, extract(), filtered("id >= 0"), checkpoint(), stop(), load(), load("other/"))
        restart(space, *USUAL, load(), load("other/"))
        equal(written(space, "other"), {"first": ROWS}, "the second load")
    with Workspace() as space:
        steps = [extract(registerAs="raw"), checkpoint(registerAs="a"),
                 transform("sql", query="SELECT id + 100000 AS id, mark FROM raw"), checkpoint(registerAs="b"),
                 transform("unionDataFrames", inputDataFrames=["a", "b"])]
        attempt(space, *steps, stop(), load())
        restart(space, *steps, load(), begins=["step 2 (checkpoint)", "step 4 (checkpoint)"], rows={"first": 2 * ROWS})


def refused():
    """Files that could never be restarted from are refused as they are written."""
    validate = {"type": "validate", "method": "validateNulls", "config": {
        "notNullColumns": ["id"], "onFailure": "quarantine", "quarantine": {"path": "bad/", "format": "json"}}}
    rejects = extract()
    rejects["config"].update({"onError": "quarantine", "quarantine": {"path": "bad/"}})
    front = "put the checkpoint in front of"
    for steps, words in (
        ([rejects, checkpoint(), load()], ["step 2 (checkpoint)", "step 1 (fromFile) quarantine", "leave the checkpoint out, or have bad records fail or drop"]),
        ([extract(), load("raw/"), checkpoint(), load()], ["step 3 (checkpoint)", "step 2 (toFile)", "step 1 (fromFile)", front]),
        ([extract(), validate, checkpoint(), load()], ["step 3 (checkpoint)", "quarantine", front]),
        ([extract(registerAs="raw"), checkpoint(registerAs="c"), transform("unionDataFrames", inputDataFrames=["raw", "c"]), load()],
         ["step 2 (checkpoint)", "step 4 (toFile)", front]),
    ):
        with Workspace() as space:
            source(space, "first")
            space.write("pipeline.json", pipeline(*steps))
            for command in ("validate", "plan", "run"):
                result = space.millrace(command, "pipeline.json").expect(3)
                check(all(w in result.err + result.out for w in words), result)
    with Workspace(extra={"warehouse": {"host": "nowhere", "database": "d", "username": "u", "password": "p"}}) as space:
        source(space, "first")
        space.write("pipeline.json", pipeline(extract(), checkpoint(), load(), state={"postgres": "warehouse"}))
        check("needs a path" in str(space.millrace("plan", "pipeline.json").expect(3)), "state on a server without path")


def shown():
    """plan, plan --json and preview know the step; a preview keeps nothing."""
    with Workspace() as space:
        source(space, "first")
        space.write("pipeline.json", pipeline(*USUAL, load()))
        check("a restart begins here" in space.millrace("plan", "pipeline.json").expect(0).out, "plan")
        check('"step 3 (checkpoint)"' in space.millrace("plan", "pipeline.json", "--json").expect(0).out, "plan --json")
        check("first" in space.millrace("preview", "pipeline.json").expect(0).out, "preview")
        check("first" in space.millrace("preview", "pipeline.json", "--step", "3").expect(0).out, "preview of the step")
        equal(kept(space), [], "frames of a preview")


def judged():
    """A validation in front of it ends the run before anything is kept; one that passed is not judged again."""
    with Workspace() as space:
        source(space, "first")
        space.run(pipeline(extract(), stop(), checkpoint(), load())).expect(7)
        equal(kept(space), [], "frames")
        check("resumed_from" not in space.run(pipeline(extract(), stop(), checkpoint(), load())).expect(7).report, "a restart from it")
    with Workspace() as space:
        passes = {"type": "validate", "method": "validateNulls", "config": {"notNullColumns": ["id"]}}
        attempt(space, extract(), passes, checkpoint(), stop(), load())
        result = restart(space, extract(), passes, checkpoint(), load())
        check(all("validateNulls" not in step["step"] for step in result.report["steps"]), "it is judged again")


def order():
    """Sorted rows stay sorted, in the first run and after a restart."""
    sort = transform("sortData", orderBy=["id DESC"])
    one = transform("coalesce", numPartitions=1)
    wanted = list(range(ROWS))[::-1]
    with Workspace() as space:
        source(space, "first")
        space.run(pipeline(extract(), sort, checkpoint(), one, load())).expect(0)
        equal([r[0] for r in table.duck("SELECT id FROM data", space.file("out"))], wanted, "order in the first run")
    with Workspace() as space:
        attempt(space, extract(), sort, checkpoint(), stop(), load())
        restart(space, extract(), sort, checkpoint(), one, load())
        equal([r[0] for r in table.duck("SELECT id FROM data", space.file("out"))], wanted, "order after a restart")


def empty():
    with Workspace() as space:
        source(space, "first", rows=0)
        space.run(pipeline(extract(), filtered("id < 0"), checkpoint(), load("none/"))).expect(0)
        equal(kept(space), [], "frames")


# ---- values ----

NAN = struct.unpack("<d", struct.pack("<Q", 0x7FF800000000BEEF))[0]


def nested_values():
    """What Parquet can hold, bit by bit: with the checkpoint, and restarted from it, the files equal those made without."""
    n = 3000
    data = pa.table({
        "id": pa.array(range(n), pa.int64()),
        "d": pa.array([[0.0, -0.0, float("inf"), NAN, None, 1e-310][i % 6] for i in range(n)], pa.float64()),
        "f": pa.array([[0.0, -0.0, None, 1.5][i % 4] for i in range(n)], pa.float32()),
        "b": pa.array([[b"", b"\x00\xff", None][i % 3] for i in range(n)], pa.binary()),
        "s": pa.array([["", "ünï \U0001f642", None, "x" * 300][i % 4] for i in range(n)]),
        "m": pa.array([None if i % 7 == 0 else __import__("decimal").Decimal(i * 10**30) / 10**8 for i in range(n)], pa.decimal128(38, 8)),
        "t": pa.array([i * 86399 for i in range(n)], pa.int64()).cast(pa.timestamp("us", "UTC")),
        "l": pa.array([[], None, [None], [1, None, 3]] * (n // 4), pa.list_(pa.int32())),
        "st": pa.array([{"a": i, "n": None if i % 5 else {"x": [str(i)]}} if i % 3 else None for i in range(n)],
                       pa.struct([("a", pa.int16()), ("n", pa.struct([("x", pa.list_(pa.string()))]))])),
        "mp": pa.array([[("k", i), ("z", None)] if i % 2 else None for i in range(n)], pa.map_(pa.string(), pa.int64())),
        "flag": pa.array([True, None, False] * (n // 3)),
    })

    def bits(space, name):
        got = pq.read_table(space.file(name)).sort_by("id")
        raw = [None if v is None else struct.pack("<d", v) for v in got.column("d").to_pylist()]
        return got.drop_columns(["d"]), raw, got.schema

    with Workspace() as space:
        pq.write_table(data, space.file("in.parquet"), row_group_size=700)
        space.run(pipeline(extract(), load("plain/"), name="other")).expect(0)
        space.run(pipeline(extract(), checkpoint(), load("through/"), name="another")).expect(0)
        space.run(pipeline(extract(), checkpoint(), stop(), load("again/"))).expect(7)
        result = space.run(pipeline(extract(), checkpoint(), load("again/"))).expect(0)
        equal(resumed(result), ["step 2 (checkpoint)"], "where it began")
        wanted = bits(space, "plain")
        equal(wanted[0].num_rows, n, "rows")
        for name in ("through", "again"):
            got = bits(space, name)
            equal(got[2], wanted[2], f"schema of {name}")
            equal(got[1], wanted[1], f"doubles of {name}")
            check(got[0].equals(wanted[0]), f"values of {name} differ")


def postgres_values(server):
    """Every type of the server: from table to table directly and through a frame that a restart begins at, with the same types and values."""
    kinds = [t for t in TYPES if not t.options]
    server.database("kinds")
    for kind in kinds:
        server.execute("kinds", *kind.setup)
    columns = ", ".join(f'c{i} {kind.name}' for i, kind in enumerate(kinds))
    server.execute("kinds", f"CREATE TABLE t (id integer PRIMARY KEY, {columns})")
    most = max(len(kind.values) for kind in kinds)
    for row in range(most + 1):
        values = ", ".join(k.values[row] if row < len(k.values) else "NULL" for k in kinds)
        server.execute("kinds", f"INSERT INTO t VALUES ({row}, {values})")
    server.execute("kinds", "CREATE TABLE plain (LIKE t)", "CREATE TABLE again (LIKE t)")
    read = table_of("t")

    def write(name):
        return {"type": "load", "method": "toPostgres", "config": {"table": name, "mode": "append"}}

    with Workspace(postgres=server.credentials("kinds")) as space:
        for into in (("plain", "again"), ("plain_new", "again_new")):
            space.run(pipeline(read, write(into[0]), name=f"direct_{into[0]}")).expect(0)
            space.run(pipeline(read, checkpoint(), stop(), write(into[1]), name=into[1])).expect(7)
            result = space.run(pipeline(read, checkpoint(), write(into[1]), name=into[1])).expect(0)
            equal(resumed(result), ["step 2 (checkpoint)"], "where it began")
            types = [server.rows("kinds", "SELECT attname::text, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute "
                                          "WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum", name) for name in into]
            equal(types[1], types[0], "types of the columns")
            rows = [server.rows("kinds", f"SELECT x::text FROM {name} x ORDER BY id") for name in into]
            equal(len(rows[0]), most + 1, "rows")
            equal(rows[1], rows[0], "values")


# ---- incremental reading ----

def incremental(server):
    """Rows changed between the attempt and the retry come with the run after it: none is lost, none comes twice."""
    server.database("inc")
    server.execute("inc", "CREATE TABLE t (id integer PRIMARY KEY, mark text, at timestamptz NOT NULL DEFAULT now())",
                   "INSERT INTO t SELECT i, 'first' FROM generate_series(1, 1000) i")
    read = table_of("t", incremental={"column": "id"})

    def target():
        return collections.Counter(r[0] for r in table.duck("SELECT id FROM data", space.file("out"))) if table.files(space.file("out")) else {}

    with Workspace(postgres=server.credentials("inc")) as space:
        good = pipeline(read, checkpoint(), load())
        for number in range(3):
            if number:
                server.execute("inc", f"INSERT INTO t SELECT i, 'more' FROM generate_series({high + 501}, {high + 600}) i")
            space.run(pipeline(read, checkpoint(), stop(), load())).expect(7)
            high = server.rows("inc", "SELECT max(id) FROM t")[0][0]
            server.execute("inc", f"INSERT INTO t SELECT i, 'later' FROM generate_series({high + 1}, {high + 500}) i")
            # A second failure keeps the frame of the first attempt.
            again = space.run(pipeline(read, checkpoint(), stop(), load())).expect(7)
            equal(resumed(again), ["step 2 (checkpoint)"], "where the second attempt began")
            result = space.run(good).expect(0)
            equal(resumed(result), ["step 2 (checkpoint)"], "where it began")
            equal(target(), {i: 1 for i in range(1, high + 1)}, f"rows after round {number}")
            space.run(good).expect(0)
            equal(target(), {i: 1 for i in range(1, high + 501)}, f"rows after the run that follows, round {number}")
        space.run(good).expect(0)
        equal(target(), {i: 1 for i in range(1, high + 501)}, "rows after a run that had nothing to do")
        # The position is moved in between: the frame is of other positions.
        server.execute("inc", f"INSERT INTO t SELECT i, 'more' FROM generate_series({high + 501}, {high + 600}) i")
        space.run(pipeline(read, checkpoint(), stop(), load())).expect(7)
        moved = space.millrace("watermark", "set", "pipeline.json", "--step", "1", str(high + 550))
        moved.expect(0)
        result = space.run(good).expect(0)
        equal(resumed(result), [], "where it began after the position was moved")
        equal(target(), {i: 1 for i in [*range(1, high + 501), *range(high + 551, high + 601)]}, "rows after the position was moved")


def snapshot_of_the_first(server):
    """Two tables under one snapshot, joined and kept: the restart loads that, though both have changed."""
    server.database("two")
    server.execute("two", "CREATE TABLE a (id integer, v text)", "CREATE TABLE b (id integer, w text)",
                   "INSERT INTO a SELECT i, 'first' FROM generate_series(1, 1000) i", "INSERT INTO b SELECT i, 'first' FROM generate_series(1, 1000) i")
    join = transform("joinDataFrames", joinColumn="id", inputDataFrames=["a", "b"])
    with Workspace(postgres=server.credentials("two")) as space:
        steps = [table_of("a", registerAs="a"), table_of("b", registerAs="b"), join, checkpoint()]
        space.run(pipeline(*steps, stop(), load())).expect(7)
        server.execute("two", "UPDATE a SET v = 'second'", "DROP TABLE b")
        result = space.run(pipeline(*steps, load())).expect(0)
        equal(resumed(result), ["step 4 (checkpoint)"], "where it began")
        equal(table.duck("SELECT v, w, count(*) FROM data GROUP BY ALL", space.file("out")), [("first", "first", 1000)], "rows")


def terminated(server):
    """SIGTERM behind the checkpoint, while the other side of a join still arrives over a slow link."""
    server.database("term")
    server.execute("term", "CREATE TABLE side (id bigint PRIMARY KEY, body text)",
                   f"INSERT INTO side SELECT i, repeat(md5(i::text), 30) FROM generate_series(0, {ROWS - 1}) i", "ANALYZE side")
    join = transform("joinDataFrames", joinColumn="id", inputDataFrames=["kept", "side"])
    steps = [extract(), filtered("id >= 0"), checkpoint(registerAs="kept"), table_of("side", registerAs="side"), join, load()]
    with Workspace(postgres=server.credentials("term")) as space, Proxy(server.port, 200_000) as slow:
        source(space, "first")
        direct = dict(space.credentials["defaults"]["postgres"])
        space.credentials["defaults"]["postgres"].update(host="127.0.0.1", port=slow.port)
        space.write("config/credentials.json", space.credentials)
        space.write("pipeline.json", pipeline(*steps))
        process = space.start("run", "pipeline.json", "--progress", "none", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        said = ""
        while "are durable" not in said:
            line = process.stderr.readline()
            check(line, f"the run ended before its frame was durable\n{said}")
            said += line
        process.send_signal(signal.SIGTERM)
        said += process.communicate(timeout=60)[1]
        equal(process.returncode, 143, f"exit code\n{said}")
        check(kept(space), "the frame is gone")
        equal(written(space), {}, "rows in the target")
        space.credentials["defaults"]["postgres"] = direct
        space.write("config/credentials.json", space.credentials)
        restart(space, *steps)


def commit_refused(server):
    """The target refuses the commit, which is withdrawn: once it is mended, a restart begins at the checkpoint all the same."""
    server.database("refuses")
    server.execute("refuses", "CREATE TABLE target (id bigint PRIMARY KEY, mark text)", "INSERT INTO target VALUES (1, 'old')")
    write = {"type": "load", "method": "toPostgres", "config": {"table": "target", "mode": "append"}}
    with Workspace(postgres=server.credentials("refuses")) as space:
        source(space, "first")
        for number in range(3):
            result = space.run(pipeline(*USUAL, write)).expect(6)
            equal(resumed(result), ["step 3 (checkpoint)"] if number else [], f"where attempt {number} began\n{result.err}")
            source(space, "second")
        server.execute("refuses", "DELETE FROM target")
        result = space.run(pipeline(*USUAL, write)).expect(0)
        equal(resumed(result), ["step 3 (checkpoint)"], f"where it began\n{result.err}")
        equal(server.rows("refuses", "SELECT mark, count(*), count(DISTINCT id) FROM target GROUP BY mark"), [("first", ROWS, ROWS)], "rows")
        equal(kept(space), [], "frames after the commit")


def other_host(server):
    """The state in a PostgreSQL, the frame in a directory that both hosts reach: the second goes on from the first."""
    server.database("hosts")
    with Workspace(extra={"state": server.credentials("hosts")}) as shared, Workspace(extra={"state": server.credentials("hosts")}) as other:
        steps = [extract(shared.file("in.parquet")), checkpoint(path=shared.file("keep"))]
        state = {"state": {"postgres": "state"}}
        source(shared, "first")
        shared.run(pipeline(*steps, stop(), load(shared.file("out/")), **state)).expect(7)
        source(shared, "second")
        result = other.run(pipeline(*steps, load(shared.file("out/")), **state)).expect(0)
        equal(resumed(result), ["step 2 (checkpoint)"], "where the other host began")
        equal(written(shared), {"first": ROWS}, "rows")
        equal(kept(shared, ("keep",)), [], "frames after the commit")


def in_a_bucket():
    try:
        program = s3.program()
    except RuntimeError as missing:
        raise Skip(missing)
    check(program, "no server")
    with s3.S3Server() as store:
        store.make_bucket("keep")
        with Workspace() as space:
            space.credentials["defaults"]["s3"] = store.credentials()
            space.write("config/credentials.json", space.credentials)
            steps = [extract(), checkpoint(path="s3://keep/deep/place")]
            for fault in (False, True):
                shutil.rmtree(space.file("out"), ignore_errors=True)
                source(space, "first")
                space.run(pipeline(*steps, stop(), load())).expect(7)
                found = [f.path for f in listed(store)]
                check(found, "no object in the bucket")
                if fault:
                    with store.filesystem().open_output_stream(found[0]) as out:
                        out.write(b"something else")
                source(space, "second")
                result = space.run(pipeline(*steps, load())).expect(0)
                equal(resumed(result), [] if fault else ["step 2 (checkpoint)"], f"where it began\n{result.err}")
                equal(written(space), {"second" if fault else "first": ROWS}, "rows")
                equal([f.path for f in listed(store)], [], "objects after the commit")


def listed(store):
    import pyarrow.fs
    files = store.filesystem().get_file_info(pyarrow.fs.FileSelector("keep", recursive=True))
    return [f for f in files if f.type == pyarrow.fs.FileType.File]


# ---- kills ----

def places(space):
    source(space, "first")
    space.write("pipeline.json", pipeline(*USUAL, load()))
    space.run("pipeline.json", environment={"MILLRACE_FAILPOINT_LIST": space.file("places")}).expect(0)
    if not os.path.exists(space.file("places")):
        raise Skip("built without --enable-failpoints")
    with open(space.file("places")) as file:
        return collections.Counter(file.read().split())


def disturbed(action, twice=False):
    """At every named place; twice: the restart is disturbed at the same place again."""
    with Workspace() as space:
        found = places(space)
    check(any(name.startswith("checkpoint.") for name in found), found)
    for name, passed in sorted(found.items()):
        if not LONG and not name.startswith(("checkpoint.", "store.remove") if twice or action != "kill" else ("checkpoint.", "epoch.", "state.", "store.remove")):
            continue
        for number in range(1, passed + 1) if LONG else sorted({1, passed}):
            what = f"{action} at {name}:{number}"
            with Workspace() as space:
                source(space, "first")
                space.write("pipeline.json", pipeline(*USUAL, load()))
                environment = {"MILLRACE_FAILPOINT": f"{name}:{number}={action}"}
                first = space.run("pipeline.json", environment=environment)
                marks = ["first"]
                if twice and first.code != 0:
                    source(space, "second")
                    marks.append("second")
                    first = space.run("pipeline.json", environment=environment)
                if first.code == 0:
                    check(list(written(space).values()) == [ROWS], f"{what}: {written(space)}")
                    continue
                source(space, "last")
                result = space.run("pipeline.json").expect(0)
                began = resumed(result) or result.report.get("finished_run")
                rows = written(space)
                equal(list(rows.values()), [ROWS], f"{what}: rows {rows}\n{result.err}")
                check((list(rows)[0] in marks) == bool(began), f"{what}: it began at {began} and loaded {rows}\n{result.err}")
                equal(kept(space), [], f"{what}: frames after the commit")
                equal([f for f in table.leftovers(space.file(".millrace", "checkpoints"))], [], f"{what}: staged files")


def main():
    suite = Suite("checkpoint")
    for function in (after_a_failure, begins_anew, damaged, files_of_others, chain, together, refused, shown, judged, order, empty, nested_values):
        suite.case(function.__name__, function)
    suite.case("branches of one source", branches, True)
    suite.case("branches of two sources", branches, False)
    suite.case("kills at places", disturbed, "kill")
    suite.case("kills at places, twice", disturbed, "kill", True)
    suite.case("errors at places", disturbed, "eio")
    suite.case("in a bucket", in_a_bucket)
    try:
        binaries()
    except RuntimeError as missing:
        print(f"# no server: {missing}")
        suite.end()
    with Server() as server:
        for function in (postgres_values, incremental, snapshot_of_the_first, terminated, commit_refused, other_host):
            suite.case(function.__name__, function, server)
    suite.end()


if __name__ == "__main__":
    main()

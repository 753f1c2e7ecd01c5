#!/usr/bin/env python3
"""The embedding API: C programs are compiled against the built library and run, and so is the example in Python."""

import datetime
import decimal
import hashlib
import importlib
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Skip, Suite, check, checkout, equal, need

need("psycopg", "pyarrow")
import pyarrow
import pyarrow.parquet as parquet
from engine import Workspace, program
from server import Server, Standby

ROOT = checkout()
BUILD = os.path.dirname(program())
LIBRARY = os.path.join(BUILD, ".libs", "libmillrace.so")
sys.path.insert(0, os.path.join(ROOT, "examples", "embed"))
import pyarrow_stream

PIPELINE = {
    "name": "embedded",
    "steps": [
        {"type": "extract", "method": "fromPostgres",
         "config": {"table": "people", "partitionColumn": "id", "numPartitions": 6}},
        {"type": "transform", "method": "filterRows", "config": {"condition": "active"}},
        {"type": "validate", "method": "validateRanges",
         "config": {"ranges": {"id": [1, 1000]}}},
        {"type": "transform", "method": "repartition", "config": {"numPartitions": 3}},
        {"type": "load", "method": "toFile", "config": {"path": "out/", "format": "parquet", "mode": "overwrite"}},
    ],
}


def compile_program(folder, source):
    target = os.path.join(folder, "program")
    library = os.path.join(BUILD, ".libs")
    flags = os.environ.get("MILLRACE_EMBED_CFLAGS", "").split()
    subprocess.run(
        [*os.environ.get("CC", "cc").split(), "-std=c11", "-Wall", "-Wextra", "-Werror", *flags, "-o", target,
         os.path.join(ROOT, source), "-I", os.path.join(ROOT, "include"),
         "-L", library, "-Wl,-rpath," + library, "-lmillrace", "-lpthread"], check=True)
    return target


def compile_example(folder):
    return compile_program(folder, "examples/embed/embed.c")


def contents(folder):
    """Digest of each file by the task number in its name, and all rows."""
    names = sorted(n for n in os.listdir(folder) if not n.startswith("."))
    digests = {n.split("-")[1]: hashlib.sha256(open(os.path.join(folder, n), "rb").read()).hexdigest() for n in names}
    rows = parquet.read_table(folder).to_pylist()
    return digests, sorted(rows, key=lambda row: row["id"])


def embed(space, example, *mode, environment=None):
    return subprocess.run([example, "pipeline.json", *mode], cwd=space.path, env=space.environment(environment),
                          capture_output=True, text=True, timeout=120)


def modes(server):
    with Workspace(server.credentials("embed")) as space:
        space.write("pipeline.json", PIPELINE)
        example = compile_example(space.path)
        done = embed(space, example, "run")
        equal(done.returncode, 0, done.stdout + done.stderr)
        check("stream: 800 rows, 9 columns" in done.stdout, done.stdout)
        digests, rows = contents(space.file("out"))
        equal(len(digests), 3, "files")
        equal([row["id"] for row in rows], [n for n in range(1, 1001) if n % 5 > 0], "ids")
        done = embed(space, example, "cancel")
        equal(done.returncode, 130, done.stdout + done.stderr)
        equal(contents(space.file("out")), (digests, rows), "the target after a cancelled run")
        done = embed(space, example, "job")
        equal(done.returncode, 0, done.stdout + done.stderr)
        check("job: 3 tasks, code 0" in done.stdout, done.stdout)
        equal(contents(space.file("out")), (digests, rows), "what a job in parts wrote")


def job_is_judged(server):
    """A rule that is broken in another process than the one that commits stops the commit."""
    with Workspace(server.credentials("embed")) as space:
        bad = {**PIPELINE, "steps": [dict(step) for step in PIPELINE["steps"]]}
        bad["steps"][2] = {**bad["steps"][2], "config": {"ranges": {"id": [1, 998]}}}
        space.write("pipeline.json", bad)
        done = embed(space, compile_example(space.path), "job")
        equal(done.returncode, 7, done.stdout + done.stderr)
        check("range(id): 1" in done.stderr, done.stderr)
        left = os.listdir(space.file("out")) if os.path.exists(space.file("out")) else []
        equal(left, [], "files")


def job_on_standby(server):
    """Rows of open transactions get lost where an old standby's snapshot is imported, and a worker would do that: it refuses."""
    server.execute("embed", "CREATE TABLE held (id int)", "INSERT INTO held VALUES (1)")
    with Standby(server) as copy, Workspace(copy.credentials("embed")) as space:
        space.write("pipeline.json", {"name": "standby", "steps": [
            {"type": "extract", "method": "fromPostgres", "config": {"table": "held", "sourceLimits": {"connections": 1}}},
            {"type": "load", "method": "toFile", "config": {"path": "out/", "format": "parquet", "mode": "overwrite"}}]})
        with server.connect("embed") as held:
            held.execute("BEGIN; INSERT INTO held VALUES (2)")
            server.execute("embed", "INSERT INTO held VALUES (3)")
            copy.catch_up("embed")
            done = embed(space, compile_example(space.path), "job")
            held.execute("COMMIT")
        check("stream: 2 rows" in done.stdout, done.stdout + done.stderr)
        if copy.imports_snapshots("embed"):
            equal(done.returncode, 0, done.stderr)
        else:
            check(done.returncode == 5 and "cannot read in one snapshot" in done.stderr, done.stdout + done.stderr)
        copy.catch_up("embed")
        equal(copy.rows("embed", "SELECT id FROM held ORDER BY id"), [(1,), (2,), (3,)], "what others see there")


def job_is_repeated():
    """A job that appends, killed at each place of its commit and planned again by its scheduler under the same run key: once."""
    sink = {"type": "load", "method": "toFile", "config": {"path": "out/", "format": "parquet", "mode": "append"}}
    places = ["epoch.before_commit", "files.begun", "files.marked", "epoch.after_commit", "state.after:2", "run.recorded"]
    with Workspace() as space:
        example = compile_example(space.path)
        parquet.write_table(pyarrow.table({"id": range(500)}), space.file("source.parquet"))
        space.write("pipeline.json", {"name": "job", "steps": [
            {"type": "extract", "method": "fromFile", "config": {"path": "source.parquet", "format": "parquet"}}, sink]})
        rows = lambda: parquet.read_table(space.file("out")).num_rows  # noqa: E731
        failpoints = False
        for number, place in enumerate(places):
            key = f"{place}/1"
            done = embed(space, example, "job", key, environment={"MILLRACE_FAILPOINT": f"{place}=kill"})
            failpoints = failpoints or done.returncode < 0
            for _ in range(2):
                done = embed(space, example, "job", key)
                equal(done.returncode, 0, done.stdout + done.stderr)
                check("job: 0 tasks" in done.stdout or place == "run.recorded", done.stdout)
                equal(rows(), 500 * (number + 1), f"rows after a kill at {place}")
        listed = json.loads(space.millrace("runs", "--json", "--limit", "100").expect(0).out)["runs"]
        equal(sum(run["status"] == "success" and run["run_key"] == f"{places[0]}/1" for run in listed), 2 if failpoints else 1, "successes")
        done = embed(space, example, "job")
        check("job: 1 tasks" in done.stdout, done.stdout)
        equal(rows(), 500 * (len(places) + 1), "rows after a job without a key")


def job_between_streams():
    """A job reads rows that a stream never sees: steps that keep something do not go on behind it as if nothing was missing."""
    def work(mode, *steps):
        load = {"path": "out", "format": "json", "mode": "append", **({"trigger": "availableNow"} if mode == "streaming" else {})}
        return {"name": "job", "mode": mode, "steps": [
            {"type": "extract", "method": "fromFile", "config": {"path": "in/*.json", "format": "json", "schema": "id BIGINT, ts TIMESTAMP",
                                                                 "incremental": {"by": "files"}}},
            *steps, {"type": "load", "method": "toFile", "config": load}]}

    keep = {"type": "transform", "method": "deduplicate", "config": {"keys": ["id"], "watermark": {"column": "ts", "delay": "1 hour"}}}
    with Workspace() as space:
        for number, mode in enumerate(("streaming", "batch", "streaming")):
            space.write(f"in/{number}.json", json.dumps({"id": number // 2, "ts": "2024-01-01T00:00:00Z"}) + "\n")
            space.write("pipeline.json", work(mode, *([keep] if mode == "streaming" else [])))
            if mode == "batch":
                done = embed(space, compile_example(space.path), "job")
                equal(done.returncode, 0, done.stdout + done.stderr)
            else:
                done = space.run("pipeline.json").expect(0 if number == 0 else 3)
        check("by a batch run" in done.err, done.err)


def options_in_python():
    """Whoever calls the library over ctypes writes the structure of its options down again: all fields, in their order."""
    with open(os.path.join(ROOT, "include", "millrace.h"), encoding="utf-8") as header:
        body = re.sub(r"/\*.*?\*/", "", header.read().split("struct millrace_open_options {")[1].split("\n};")[0], flags=re.DOTALL)
    wanted = [re.search(r"\(\*(\w+)\)|(\w+)$", field.strip()).group(1, 2) for field in body.split(";") if field.strip()]
    wanted = [pointer or plain for pointer, plain in wanted]
    for folder, module in (("examples/embed", "pyarrow_stream"), ("tests/bench", "embedded"), ("tests/fault", "forks")):
        sys.path.insert(0, os.path.join(ROOT, folder))
        equal([name for name, _ in importlib.import_module(module).Options._fields_], wanted, f"{folder}/{module}.py")  # pylint: disable=protected-access


def given_streams():
    """What the library does with a stream, seen from the stream: tests/embed/give.c."""
    with Workspace() as space:
        done = subprocess.run([compile_program(space.path, "tests/embed/give.c")], cwd=space.path, env=space.environment(),
                              capture_output=True, text=True, timeout=300)
        equal(done.returncode, 0, done.stdout + done.stderr)
        check(done.stdout.endswith(" checks\n"), done.stdout)
        rows = [line for name in os.listdir(space.file("out")) if not name.startswith(".") for line in open(space.file("out", name))]
        equal(len(rows), 350001, "lines that the job wrote")


def in_a_pool():
    """Pipelines that share a pool: tests/embed/pool.c."""
    with Workspace() as space:
        parquet.write_table(pyarrow.table({"id": list(range(100000))}), space.file("in.parquet"))
        for name in "abcd":
            space.write(f"{name}.json", {"name": name, "steps": [
                {"type": "extract", "method": "fromFile", "config": {"path": "in.parquet", "format": "parquet"}},
                {"type": "load", "method": "toFile", "config": {"path": f"{name}/", "format": "parquet", "mode": "overwrite"}}]})
        done = subprocess.run([compile_program(space.path, "tests/embed/pool.c"), *(f"{n}.json" for n in "abcd")], cwd=space.path,
                              env=space.environment(), capture_output=True, text=True, timeout=120)
        equal(done.returncode, 0, done.stdout + done.stderr)
        for name in "abcd":
            equal(sorted(parquet.read_table(space.file(name)).column("id").to_pylist()), list(range(100000)), f"rows of {name}")


def given_without_memory():
    """An allocation fails, the Nth of a run: a clean error or none, and the stream is released once (give.c checks it)."""
    with Workspace() as space:
        given = compile_program(space.path, "tests/embed/give.c")
        for number in [1, 2, 3, *range(5, 1200, 23)]:
            done = subprocess.run([given, "once"], cwd=space.path, env=space.environment({"MILLRACE_FAIL_ALLOC": str(number)}),
                                  capture_output=True, text=True, timeout=60)
            if number == 1 and done.returncode == 0:
                raise Skip("this build has no failure points (--enable-failpoints)")
            check(done.returncode in (0, 8), f"allocation {number}: {done.stdout}{done.stderr}")


def example_in_python():
    with Workspace() as space:
        done = subprocess.run([sys.executable, os.path.join(ROOT, "examples", "embed", "pyarrow_stream.py"), LIBRARY],
                              cwd=space.path, env=space.environment(), capture_output=True, text=True, timeout=300)
        equal(done.returncode, 0, done.stdout + done.stderr)
        check("200000 rows in, 53333 rows out" in done.stdout, done.stdout)


READ = {"name": "types", "steps": [{"type": "extract", "method": "fromArrow", "config": {"stream": "rows"}}]}


def through(rows, steps=(), resources=None):
    pipeline = {**READ, "steps": READ["steps"] + list(steps), "resources": {"parallelism": 2, **(resources or {})}}
    with pyarrow_stream.Pipeline(pyarrow_stream.library(LIBRARY), pipeline) as opened:
        opened.give("rows", rows)
        return opened.rows()


def columns():
    """A column of every Arrow type that has a place here: (values, type in, type out)."""
    pa, d = pyarrow, decimal.Decimal
    utc = datetime.timezone.utc
    moment = datetime.datetime(1969, 12, 31, 23, 59, 59, 123456)
    whole = moment.replace(microsecond=0)
    return {
        "null": ([None, None, None], pa.null(), "null"),
        "bool": ([True, None, False], pa.bool_(), "bool"),
        "i8": ([-128, None, 127], pa.int8(), "int8"),
        "u8": ([0, None, 255], pa.uint8(), "int16"),
        "i16": ([-32768, None, 32767], pa.int16(), "int16"),
        "u16": ([0, None, 65535], pa.uint16(), "int32"),
        "i32": ([-(2**31), None, 2**31 - 1], pa.int32(), "int32"),
        "u32": ([0, None, 2**32 - 1], pa.uint32(), "int64"),
        "i64": ([-(2**63), None, 2**63 - 1], pa.int64(), "int64"),
        "u64": ([0, None, 2**64 - 1], pa.uint64(), "decimal128(20, 0)"),
        "f32": ([-0.5, None, float("inf")], pa.float32(), "float"),
        "f64": ([-0.0, None, 1e308], pa.float64(), "double"),
        "dec9": ([d("-1.25"), None, d("9999.99")], pa.decimal128(6, 2), "decimal128(6, 2)"),
        "dec18": ([d(-(10**18) + 1), None, d(10**18 - 1)], pa.decimal128(18, 0), "decimal128(18, 0)"),
        "dec38": ([d(-(10**38) + 1), None, d(1)], pa.decimal128(38, 0), "decimal128(38, 0)"),
        "dec32": ([d("-1.2"), None, d("3.4")], pa.decimal32(4, 1), "decimal128(4, 1)"),
        "dec64": ([d("-1.2"), None, d("3.4")], pa.decimal64(15, 1), "decimal128(15, 1)"),
        "date": ([datetime.date(1, 1, 1), None, datetime.date(9999, 12, 31)], pa.date32(), "date32[day]"),
        "date64": ([datetime.date(1969, 12, 31), None, datetime.date(2024, 2, 29)], pa.date64(), "date32[day]"),
        "time32": ([datetime.time(23, 59, 59), None, datetime.time(0)], pa.time32("s"), "time64[us]"),
        "time64": ([datetime.time(23, 59, 59, 999999), None, datetime.time(0)], pa.time64("us"), "time64[us]"),
        "ts_s": ([whole, None, whole], pa.timestamp("s"), "timestamp[us]"),
        "ts_us": ([moment, None, moment], pa.timestamp("us"), "timestamp[us]"),
        "tz_us": ([moment.replace(tzinfo=utc), None, moment.replace(tzinfo=utc)], pa.timestamp("us", "UTC"), "timestamp[us, tz=UTC]"),
        "text": (["", None, "größe 日本"], pa.string(), "string"),
        "large": (["a", None, ""], pa.large_string(), "string"),
        "view": (["short", None, "longer than twelve bytes"], pa.string_view(), "string"),
        "bytes": ([b"\x00\xff", None, b""], pa.binary(), "binary"),
        "fixed": ([b"ab", None, b"cd"], pa.binary(2), "binary"),
        "words": (["x", None, "y"], pa.dictionary(pa.int8(), pa.string()), "string"),
        "list": ([[1, None], None, []], pa.list_(pa.int32()), "list<element: int32>"),
        "large_list": ([["a"], None, ["b", None]], pa.large_list(pa.string()), "list<element: string>"),
        "pair": ([[1, 2], None, [3, 4]], pa.list_(pa.int16(), 2), "list<element: int16>"),
        "struct": ([{"a": 1, "b": "x"}, None, {"a": None, "b": None}],
                   pa.struct([("a", pa.int64()), ("b", pa.string())]), "struct<a: int64, b: string>"),
        "map": ([[("k", 1)], None, []], pa.map_(pa.string(), pa.int32()), "map<string, int32>"),
    }


def every_type():
    given = columns()
    table = pyarrow.table({name: pyarrow.array(values, kind) for name, (values, kind, _) in given.items()})
    # As it is; many chunks of it, which are joined; a slice, whose buffers have offsets; nothing at all.
    for rows in (table, pyarrow.concat_tables([table] * 40), pyarrow.concat_tables([table, table]).combine_chunks().slice(1, 4),
                 table.slice(0, 0)):
        got = through(rows)
        for name, (_, _, wanted) in given.items():
            equal(str(got.schema.field(name).type).replace(" not null", ""), wanted, f"type of {name}")
            equal(got.column(name).to_pylist(), rows.column(name).to_pylist(), f"values of {name}")


def types_without_a_place():
    for kind, value in ((pyarrow.float16(), None), (pyarrow.duration("s"), None), (pyarrow.decimal256(50, 2), None)):
        try:
            through(pyarrow.table({"x": pyarrow.array([value], kind)}))
            check(False, f"{kind} was taken")
        except RuntimeError as error:
            check('Arrow column "x"' in str(error) and "code 3" in str(error), str(error))


def sizes():
    """Batches of all sizes; the rows come out once each, whatever is asked of the reader."""
    for chunks in ([1], [65536], [65537], [1, 200_000, 1, 1, 70_000], [300] * 700):
        parts, at = [], 0
        for count in chunks:
            parts.append(pyarrow.record_batch({"n": pyarrow.array(range(at, at + count)), "s": pyarrow.array(["x"] * count)}))
            at += count
        table = pyarrow.Table.from_batches(parts)
        equal(sorted(through(table).column("n").to_pylist()), list(range(at)), f"rows of {chunks[:5]}")
        select = {"type": "transform", "method": "selectColumns", "config": {"columns": ["s", "n"]}}
        keep = {"type": "transform", "method": "limitRows", "config": {"count": 3}}
        equal(through(table, [select], {"batchRows": 1000}).num_rows, at, "rows in small batches")
        equal(through(table, [select, keep]).num_rows, min(3, at), "limited rows")


def wide_rows():
    """Texts of 10 kB: batches are cut by bytes as well."""
    table = pyarrow.table({"n": pyarrow.array(range(5000)), "s": pyarrow.array([f"{n:5}" * 2000 for n in range(5000)])})
    got = through(table)
    check(max(len(chunk) for chunk in got.column("n").chunks) < 3000, "a batch has too many bytes")
    equal(got.sort_by("n").column("s").to_pylist(), table.column("s").to_pylist(), "texts")


suite = Suite("embed")
suite.case("options in Python", options_in_python)
suite.case("given streams, in C", given_streams)
suite.case("a job is repeated", job_is_repeated)
suite.case("a job between streams", job_between_streams)
suite.case("given streams, allocations fail", given_without_memory)
suite.case("pipelines in a pool, in C", in_a_pool)
suite.case("the example in Python", example_in_python)
suite.case("every Arrow type, in and out", every_type)
suite.case("types without a place", types_without_a_place)
suite.case("batches of all sizes", sizes)
suite.case("wide rows", wide_rows)
with Server() as server:
    server.run_file(server.database("embed"), os.path.join(ROOT, "tests", "cases", "people.sql"))
    suite.case("modes", modes, server)
    suite.case("a job is judged as a whole", job_is_judged, server)
    suite.case("a job on a standby", job_on_standby, server)
suite.end()

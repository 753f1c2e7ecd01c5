#!/usr/bin/env python3
"""What steps of a stream keep is many times the memory they have: joins of two streams, deduplicate, and windows over rows.

Each epoch is a process (trigger once), so that what was stored in files is saved in the state, and comes back from there. All rows stay in reach
until the last epoch. What came out is compared with DuckDB, every column. MILLRACE_LONG=1 runs all kinds of joins.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("pyarrow", "duckdb")
import duckdb
from engine import Workspace

MEMORY = 16  # MB
EPOCHS = 3
ROWS = 42_000  # of an epoch
KEYS = 64_000
WORDS = "repeat(md5(({})::VARCHAR), 14)"  # 448 bytes


def moment(micros):
    return f"make_timestamp(1700000000000000 + ({micros})::BIGINT)::TIMESTAMPTZ"


class Rows:
    """Tables in DuckDB, and what is added to them as files of a stream."""

    def __init__(self, space):
        self.space, self.files = space, 0
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")

    def add(self, name, query):
        self.files += 1
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE more AS {query}")
        self.connection.execute(f"CREATE TABLE IF NOT EXISTS {name} AS FROM more LIMIT 0; INSERT INTO {name} FROM more")
        self.space.publish(f"{name}/{self.files}.parquet",
                           lambda path: self.connection.execute(f"COPY more TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 4096)"))

    def sums(self, query):
        names = [row[0] for row in self.connection.execute(f"DESCRIBE {query}").fetchall()]
        sums = ", ".join(f'sum(hash("{name}", {names[0]}))' for name in names)
        return self.connection.execute(f"SELECT count(*), {sums} FROM ({query})").fetchall()


def source(name):
    return {"type": "extract", "method": "fromFile", "config": {
        "path": f"{name}/*.parquet", "format": "parquet", "registerAs": name, "incremental": {"by": "files"}}}


def measured(name, column):
    return {"type": "transform", "method": "withWatermark", "config": {
        "inputDataFrames": [name], "column": column, "delay": "10 hours", "registerAs": f"{name}_m"}}


def pipeline(*steps, threads=2):
    load = {"type": "load", "method": "toFile", "config": {"path": "out", "format": "parquet", "mode": "append", "trigger": "once"}}
    return {"name": "spill", "mode": "streaming", "resources": {"memory": f"{MEMORY}mb", "parallelism": threads}, "steps": [*steps, load]}


def counter(result, name):
    return sum(step.get("counters", {}).get(name, 0) for step in result.report["steps"])


def joins(kind):
    with Workspace() as space:
        rows, spilled = Rows(space), 0
        config = {"inputDataFrames": ["l_m", "r_m"], "leftKeys": ["k"], "rightKeys": ["rk"], "joinType": kind, "within": "20 minutes"}
        work = pipeline(source("l"), measured("l", "ts"), source("r"), measured("r", "rts"),
                        {"type": "transform", "method": "joinDataFrames", "config": config})
        for epoch in range(EPOCHS + 1):
            first = epoch * ROWS
            time, end = "i * 20000 + i * 7919 % 400 * 1000000", "999999999999"
            if epoch < EPOCHS:
                rows.add("l", f"SELECT i AS id, 'key ' || i * 7919 % {ROWS} AS k, {moment(time)} AS ts, {WORDS.format('i')} AS pad FROM range({first}, {first + ROWS}) t(i)")
                rows.add("r", f"SELECT i AS rid, 'key ' || i * 31 % {3 * ROWS} AS rk, {moment(time)} AS rts, {WORDS.format('-i')} AS rpad FROM range({first}, {first + ROWS}, 2) t(i)")
            else:  # all is out of reach
                rows.add("l", f"SELECT -1 AS id, 'l' AS k, {moment(end)} AS ts, '' AS pad")
                rows.add("r", f"SELECT -1 AS rid, 'r' AS rk, {moment(end)} AS rts, '' AS rpad")
            done = space.run(work).expect(0)
            spilled += counter(done, "spill_bytes")
        kept = rows.connection.execute("SELECT (SELECT sum(length(pad)) FROM l) + (SELECT sum(length(rpad)) FROM r)").fetchone()[0] >> 20
        check(kept >= 5 * MEMORY, f"{kept} MB are kept")
        check(spilled > 1 << 20, f"{spilled} bytes were spilled")
        one = "_" in kind
        sides = "l.*" if one else "l.*, rid, rk, rts, rpad"
        wanted = f"""SELECT {sides} FROM l {kind.removeprefix('left_') if one else kind} JOIN r
            ON k = rk AND abs(epoch_us(ts) - epoch_us(rts)) <= 1200000000 WHERE coalesce(id, 0) >= 0 {'' if one else 'AND coalesce(rid, 0) >= 0'}"""
        got = f"SELECT id, k, ts, pad {'' if one else ', rid, rk, rts, rpad'} FROM '{space.file('out')}/**/*.parquet'"
        names = "SELECT count(*), count(id), count(DISTINCT id) FROM ({})"
        equal(rows.connection.execute(names.format(got)).fetchall(), rows.connection.execute(names.format(wanted)).fetchall(), "numbers")
        equal(rows.sums(got), rows.sums(wanted), "sums")


def duplicates():
    """Half of the keys of an epoch are known from the epoch before, some from any, some twice in it."""
    with Workspace() as space:
        rows, spilled = Rows(space), 0
        config = {"keys": ["pad"], "watermark": {"column": "ts", "delay": "10 hours"}}
        work = pipeline(source("l"), {"type": "transform", "method": "deduplicate", "config": config})
        for epoch in range(EPOCHS):
            first = epoch * KEYS
            rows.add("l", f"""SELECT i + {10_000_000 * epoch} AS id, {moment('i * 20000 + i * 7919 % 400 * 1000000')} AS ts, {WORDS.format('i')} AS pad
                FROM (SELECT unnest([i, i - i % 3, i * 48271 % greatest({first}, 1)]) AS i FROM range({first}, {first + KEYS}) t(i))""")
            done = space.run(work).expect(0)
            spilled += counter(done, "spill_bytes")
        kept = rows.connection.execute("SELECT sum(length(pad)) FROM (SELECT DISTINCT pad FROM l)").fetchone()[0] >> 20
        check(kept >= 5 * MEMORY, f"{kept} MB are kept")
        check(spilled > 1 << 20, f"{spilled} bytes were spilled")
        got = f"SELECT pad, min(id) AS id FROM '{space.file('out')}/**/*.parquet' GROUP BY pad"
        wanted = "SELECT pad, min(id) AS id FROM l GROUP BY pad"
        equal(rows.sums(got), rows.sums(wanted), "sums")
        count = rows.connection.execute(f"SELECT count(*), count(DISTINCT pad) FROM '{space.file('out')}/**/*.parquet'").fetchone()
        equal(count[0], count[1], "rows")


def windows():
    """All rows are in reach of their group's next one; the last epoch brings rows of some groups only."""
    with Workspace() as space:
        rows, spilled = Rows(space), 0
        config = {"columns": {"before": "lag(pad, 2)", "first": "first_value(pad)", "total": "sum(id)", "n": "row_number()"},
                  "partitionBy": ["k"], "frame": "ROWS BETWEEN 9 PRECEDING AND CURRENT ROW"}
        work = pipeline(source("l"), {"type": "transform", "method": "windowColumns", "config": config})
        for epoch in range(EPOCHS + 1):
            first, count, step = epoch * KEYS, KEYS if epoch < EPOCHS else KEYS // 40, 1 if epoch < EPOCHS else 31
            rows.add("l", f"SELECT i AS id, 'key ' || i * 7919 % {KEYS * 3 // 4} AS k, {WORDS.format('i')} AS pad FROM range({first}, {first + count * step}, {step}) t(i)")
            done = space.run(work).expect(0)
            spilled += counter(done, "spill_bytes")
        kept = rows.connection.execute("SELECT sum(length(pad)) FROM l").fetchone()[0] >> 20
        check(kept >= 5 * MEMORY, f"{kept} MB are kept")
        check(spilled > 1 << 20, f"{spilled} bytes were spilled")
        wanted = """SELECT id, k, pad, lag(pad, 2) OVER k AS before, first_value(pad) OVER w AS "first", (sum(id) OVER w)::BIGINT AS total, (row_number() OVER k)::INT AS n
            FROM l WINDOW k AS (PARTITION BY k ORDER BY id), w AS (PARTITION BY k ORDER BY id ROWS 9 PRECEDING)"""
        got = f"""SELECT id, k, pad, before, "first", total, n FROM '{space.file('out')}/**/*.parquet'"""
        equal(rows.sums(got), rows.sums(wanted), "sums")


def running():
    """One state for each of many wide keys, some of which come again."""
    with Workspace() as space:
        rows, spilled = Rows(space), 0
        config = {"columns": {"total": "sum(id)", "most": "max(id)", "first": "first_value(id)"}, "partitionBy": ["pad"], "frame": "ROWS UNBOUNDED PRECEDING"}
        work = pipeline(source("l"), {"type": "transform", "method": "windowColumns", "config": config})
        for epoch in range(EPOCHS):
            rows.add("l", f"""SELECT i + {10_000_000 * epoch} AS id, {WORDS.format('i')} AS pad FROM (SELECT unnest(CASE WHEN i % 3 = 0 THEN [i, i * 48271 % greatest({epoch * KEYS}, 1)] ELSE [i] END) AS i
                FROM range({epoch * KEYS}, {epoch * KEYS + KEYS}) t(i))""")
            done = space.run(work).expect(0)
            spilled += counter(done, "spill_bytes")
        kept = rows.connection.execute("SELECT sum(length(pad)) FROM (SELECT DISTINCT pad FROM l)").fetchone()[0] >> 20
        check(kept >= 5 * MEMORY, f"{kept} MB are kept")
        check(spilled > 1 << 20, f"{spilled} bytes were spilled")
        wanted = """SELECT id, pad, (sum(id) OVER w)::BIGINT AS total, max(id) OVER w AS most, first_value(id) OVER w AS "first"
            FROM l WINDOW w AS (PARTITION BY pad ORDER BY id ROWS UNBOUNDED PRECEDING)"""
        got = f"""SELECT id, pad, total, most, "first" FROM '{space.file('out')}/**/*.parquet'"""
        equal(rows.sums(got), rows.sums(wanted), "sums")


def one_window():
    """Rows without `partitionBy` are one group: an epoch larger than the memory is worked off a block at a time."""
    with Workspace() as space:
        rows = Rows(space)
        config = {"columns": {"before": "lag(pad, 50)", "total": "sum(id)"}, "frame": "ROWS BETWEEN 99 PRECEDING AND CURRENT ROW"}
        work = pipeline(source("l"), {"type": "transform", "method": "windowColumns", "config": config})
        for first, count in ((0, KEYS), (KEYS, 10)):
            rows.add("l", f"SELECT i AS id, {WORDS.format('i')} AS pad FROM range({first}, {first + count}) t(i)")
            space.run(work).expect(0)
        wanted = """SELECT id, pad, lag(pad, 50) OVER (ORDER BY id) AS before, (sum(id) OVER (ORDER BY id ROWS 99 PRECEDING))::BIGINT AS total FROM l"""
        got = f"""SELECT id, pad, before, total FROM '{space.file('out')}/**/*.parquet'"""
        equal(rows.sums(got), rows.sums(wanted), "sums")


def running_texts():
    """An epoch of many short rows, all of one group: a text after each row."""
    with Workspace() as space:
        rows = Rows(space)
        config = {"columns": {"least": "min(v)", "latest": "max_by(v, id)", "first": "first_value(v)"}, "frame": "ROWS UNBOUNDED PRECEDING"}
        work = pipeline(source("l"), {"type": "transform", "method": "windowColumns", "config": config})
        for first, count in ((0, 5 * KEYS), (5 * KEYS, 10)):
            rows.add("l", f"SELECT i AS id, (i * 7919 % 100003)::VARCHAR AS v FROM range({first}, {first + count}) t(i)")
            space.run(work).expect(0)
        wanted = """SELECT id, v, min(v) OVER w AS least, v AS latest, first_value(v) OVER w AS "first" FROM l WINDOW w AS (ORDER BY id ROWS UNBOUNDED PRECEDING)"""
        got = f"""SELECT id, v, least, latest, "first" FROM '{space.file('out')}/**/*.parquet'"""
        equal(rows.sums(got), rows.sums(wanted), "sums")


def threads_without_work():
    """Epochs of little data have one task, however many threads there are: what is kept does not get the part of each of them."""
    with Workspace() as space:
        rows, spilled = Rows(space), 0
        config = {"inputDataFrames": ["l_m", "r_m"], "leftKeys": ["k"], "rightKeys": ["rk"], "joinType": "inner", "within": "1 day"}
        work = pipeline(source("l"), measured("l", "ts"), source("r"), measured("r", "rts"),
                        {"type": "transform", "method": "joinDataFrames", "config": config}, threads=16)
        for epoch in range(12):
            first, count = epoch * 4000, 4000
            rows.add("l", f"SELECT i AS id, i AS k, {moment('i')} AS ts, {WORDS.format('i')} AS pad FROM range({first}, {first + count}) t(i)")
            rows.add("r", f"SELECT i AS rid, i AS rk, {moment('i')} AS rts, 'r' AS rpad FROM range({max(first - count, 0)}, {first}) t(i)")
            done = space.run(work).expect(0)
            spilled += counter(done, "spill_bytes")
        check(spilled > 1 << 20, f"{spilled} bytes were spilled")
        got = f"SELECT id, k, ts, pad, rid, rk, rts, rpad FROM '{space.file('out')}/**/*.parquet'"
        equal(rows.sums(got), rows.sums("SELECT l.*, rid, rk, rts, rpad FROM l JOIN r ON k = rk"), "sums")


def main():
    suite = Suite("stream spill")
    for kind in ("full", "left_semi", *(("inner", "left", "right", "left_anti") if os.environ.get("MILLRACE_LONG") else ())):
        suite.case(kind, joins, kind)
    suite.case("duplicates", duplicates)
    suite.case("windows", windows)
    suite.case("running", running)
    suite.case("one window", one_window)
    suite.case("running texts", running_texts)
    suite.case("threads without work", threads_without_work)
    suite.end()


if __name__ == "__main__":
    main()

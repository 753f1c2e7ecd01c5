#!/usr/bin/env python3
"""TUMBLE, HOP, SESSION and window in `sql` against DuckDB, in batch: each query beside the one that DuckDB understands.

One random table with NULLs, repeated times and times before 1970. Sessions are cut by hand on DuckDB's side.
"""

import datetime
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, need

need("pyarrow", "duckdb")
import duckdb
import pyarrow as pa
import table as tables
from library import LIB, pyarrow_stream

ORIGIN = "TIMESTAMPTZ '1970-01-01 00:00:00+00'"
BUCKET = "time_bucket(INTERVAL '1 minute', ts, " + ORIGIN + ")"
HOPS = ("(SELECT *, unnest(range(time_bucket(INTERVAL '1 minute', ts, " + ORIGIN + ") - INTERVAL '4 minutes', "
        "time_bucket(INTERVAL '1 minute', ts, " + ORIGIN + ") + INTERVAL '1 microsecond', INTERVAL '1 minute')) AS s FROM t)")
SESSIONS = """(SELECT *, sum(CASE WHEN before IS NULL OR ts - before >= INTERVAL '20 seconds' THEN 1 ELSE 0 END)
    OVER (PARTITION BY k ORDER BY ts) AS part FROM (SELECT *, lag(ts) OVER (PARTITION BY k ORDER BY ts) AS before
    FROM t WHERE ts IS NOT NULL))"""

CASES = {
    "tumble": [
        ("SELECT TUMBLE_START(ts, INTERVAL '1' MINUTE) AS s, TUMBLE_END(ts, INTERVAL '1' MINUTE) AS e, k, count(*) AS n, sum(v) AS v "
         "FROM t GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), k",
         f"SELECT {BUCKET} AS s, {BUCKET} + INTERVAL '1 minute' AS e, k, count(*) AS n, sum(v) AS v FROM t WHERE ts IS NOT NULL GROUP BY 1, 2, 3"),
        ("SELECT window_start, window_end, count(DISTINCT k) AS n FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) "
         "WHERE v > 3 GROUP BY window_start, window_end HAVING count(*) > 1 EMIT FINAL",
         f"SELECT {BUCKET} AS s, {BUCKET} + INTERVAL '1 minute' AS e, count(DISTINCT k) AS n FROM t WHERE ts IS NOT NULL AND v > 3 "
         "GROUP BY 1, 2 HAVING count(*) > 1"),
        ("SELECT window.start AS s, max(v) - min(v) AS d FROM t GROUP BY window(ts, '1 minute') ORDER BY s DESC LIMIT 7",
         f"SELECT {BUCKET} AS s, max(v) - min(v) AS d FROM t WHERE ts IS NOT NULL GROUP BY 1 ORDER BY s DESC LIMIT 7"),
        ("SELECT TUMBLE_START(m, '1 hour') AS h, sum(n) AS n, max(m) AS m FROM (SELECT window_start AS m, count(*) AS n FROM "
         "TUMBLE(TABLE t, DESCRIPTOR(ts), '1 minute') GROUP BY window_start) AS x GROUP BY TUMBLE(m, '1 hour')",
         f"SELECT time_bucket(INTERVAL '1 hour', m, {ORIGIN}) AS h, sum(n) AS n, max(m) AS m FROM (SELECT {BUCKET} AS m, count(*) AS n FROM t "
         "WHERE ts IS NOT NULL GROUP BY 1) GROUP BY 1"),
        ("SELECT TUMBLE_START(t.ts, '1 minute') AS s, name, count(*) AS n FROM t JOIN names ON t.k = names.k GROUP BY TUMBLE(ts, '1 minute'), name",
         f"SELECT {BUCKET} AS s, name, count(*) AS n FROM t JOIN names ON t.k = names.k WHERE ts IS NOT NULL GROUP BY 1, 2"),
    ],
    "hop": [
        ("SELECT HOP_START(ts, INTERVAL '1' MINUTE, INTERVAL '5' MINUTE) AS s, k, count(*) AS n FROM t "
         "GROUP BY HOP(ts, INTERVAL '1' MINUTE, INTERVAL '5' MINUTE), k", f"SELECT s, k, count(*) AS n FROM {HOPS} GROUP BY 1, 2"),
        ("SELECT window.start AS s, window.end AS e, sum(v) AS v FROM t WHERE k > 1 GROUP BY window(ts, '5 minutes', '1 minute')",
         f"SELECT s, s + INTERVAL '5 minutes' AS e, sum(v) AS v FROM {HOPS} WHERE k > 1 GROUP BY 1, 2"),
        ("SELECT window_start, count(*) AS n FROM TABLE(HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTES, INTERVAL '5' MINUTES)) GROUP BY "
         "window_start", f"SELECT s, count(*) AS n FROM {HOPS} GROUP BY 1"),
    ],
    "session": [
        ("SELECT SESSION_START(ts, '20 seconds') AS s, SESSION_END(ts, '20 seconds') AS e, k, count(*) AS n FROM t GROUP BY "
         "SESSION(ts, '20 seconds'), k",
         f"SELECT min(ts) AS s, max(ts) + INTERVAL '20 seconds' AS e, k, count(*) AS n FROM {SESSIONS} GROUP BY k, part"),
        ("SELECT session_window.start AS s, k FROM t GROUP BY session_window(ts, '20 seconds'), k",
         f"SELECT min(ts) AS s, k FROM {SESSIONS} GROUP BY k, part"),
        ("SELECT window_start, window_end, k, sum(v) AS v FROM TABLE(SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '20' SECOND)) "
         "GROUP BY window_start, window_end, k",
         f"SELECT min(ts) AS s, max(ts) + INTERVAL '20 seconds' AS e, k, sum(v) AS v FROM {SESSIONS} GROUP BY k, part"),
    ],
}


def make():
    choose = random.Random("windows in queries")
    zero = datetime.datetime(1969, 12, 31, 23, 50, tzinfo=datetime.timezone.utc)

    def maybe(value):
        return None if choose.random() < 0.1 else value

    rows = 3000
    return pa.table({
        "ts": pa.array([maybe(zero + datetime.timedelta(milliseconds=choose.randrange(3_600_000))) for _ in range(rows)],
                       pa.timestamp("us", "UTC")),
        "k": pa.array([maybe(choose.randrange(8)) for _ in range(rows)], pa.int32()),
        "v": pa.array([maybe(choose.randrange(10)) for _ in range(rows)], pa.int64()),
    }), pa.table({"k": pa.array(range(6), pa.int32()), "name": pa.array([f"name {i % 4}" for i in range(6)])})


def run(frames, query):
    steps = [{"type": "extract", "method": "fromArrow", "config": {"stream": name, "registerAs": name}} for name in frames]
    document = {"name": "windows", "steps": [*steps, {"type": "transform", "method": "sql", "config": {"query": query}}]}
    with pyarrow_stream.Pipeline(LIB, document) as pipeline:
        for name, data in frames.items():
            pipeline.give(name, data)
        return pipeline.rows()


def plain(data):
    return [tuple(tables.plain(value) for value in row.values()) for row in data.to_pylist()]


def compare(connection, frames, ours, theirs):
    frames = {name: data for name, data in frames.items() if f" {name}" in ours}
    tables.same_rows(plain(run(frames, ours)), plain(connection.sql(theirs).to_arrow_table()), ours)


def main():
    suite = Suite("windows in sql")
    t, names = make()
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.register("t", t)
    connection.register("names", names)
    for name, cases in CASES.items():
        for number, (ours, theirs) in enumerate(cases):
            suite.case(f"{name} {number}", compare, connection, {"t": t, "names": names}, ours, theirs)
    suite.end()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""windowColumns in a stream: rows over those before them, n of them or all, also of earlier epochs and processes, against DuckDB over all rows in order of arrival."""

import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("pyarrow", "duckdb")
import duckdb
import pyarrow as pa
import pyarrow.parquet
from engine import Workspace
from running import Running
from table import parquet_rows

COLUMNS = {"total": "sum(size)", "mean": "avg(price)", "low": "min(price)", "high": "max(price)", "n": "row_number()",
           "before": "lag(price)", "third": "lag(side, 3, 'none')", "half": "CAST(lag(exact, 2) / 2 AS DECIMAL(14,3))"}
WANTED = """SELECT i, sum(size) OVER w::BIGINT, avg(price) OVER w, min(price) OVER w, max(price) OVER w, row_number() OVER k,
    lag(price) OVER k, lag(side, 3, 'none') OVER k, (lag(exact, 2) OVER k / 2)::DECIMAL(14,3) FROM trades
    WINDOW k AS (PARTITION BY symbol ORDER BY i), w AS (PARTITION BY symbol ORDER BY i ROWS 99 PRECEDING)"""
RUNNING = {"all": "sum(size)", "exactly": "sum(exact)", "so_far": "avg(price)", "least": "min(price)", "most": "max(side)", "count": "count(price)",
           "first": "first_value(price)", "known": "last_value(side) IGNORE NULLS", "some": "sum(size) FILTER (WHERE side = 'buy')", "at": "max_by(i, i)",
           "nth": "row_number()", "earlier": "lag(price, 4)"}
ALL = """SELECT i, sum(size) OVER w::BIGINT, sum(exact) OVER w::DECIMAL(22,2), avg(price) OVER w, min(price) OVER w, max(side) OVER w, count(price) OVER w,
    first_value(price) OVER w, last_value(side IGNORE NULLS) OVER w, sum(size) FILTER (WHERE side = 'buy') OVER w::BIGINT, i, row_number() OVER w, lag(price, 4) OVER w FROM trades
    WINDOW w AS (PARTITION BY symbol ORDER BY i ROWS UNBOUNDED PRECEDING)"""


def trades(choose, first, count):
    symbols = ["BTC", "BTC", "BTC", "ETH", None, *(f"S{i}" for i in range(8))]
    rows = range(count)
    return pa.table({"i": pa.array([first + i for i in rows], pa.int64()),
                     "symbol": [choose.choice(symbols) for _ in rows],
                     "side": [choose.choice(["buy", "sell", None]) for _ in rows],
                     "price": [None if choose.random() < 0.05 else choose.randrange(100000) / 4 for _ in rows],
                     "size": pa.array([choose.randrange(1000) for _ in rows], pa.int32())})


def pipeline(trigger):
    return {"name": "windows", "mode": "streaming", "steps": [
        {"type": "extract", "method": "fromFile", "config": {"path": "in/*.parquet", "format": "parquet", "incremental": {"by": "files"}}},
        {"type": "transform", "method": "enrichData", "config": {"columns": {"exact": "CAST(size AS DECIMAL(12,2))"}}},
        {"type": "transform", "method": "windowColumns",
         "config": {"columns": COLUMNS, "partitionBy": ["symbol"], "frame": "ROWS BETWEEN 99 PRECEDING AND CURRENT ROW"}},
        {"type": "transform", "method": "windowColumns",
         "config": {"columns": RUNNING, "partitionBy": ["symbol"], "frame": "ROWS UNBOUNDED PRECEDING"}},
        {"type": "load", "method": "toFile", "config": {"path": "out", "format": "parquet", "mode": "append", "trigger": trigger}}]}


def add(space, number, table):
    space.publish(f"in/{number:04}.parquet", lambda path: pyarrow.parquet.write_table(table, path))


def out(space):
    return parquet_rows(space.file("out"), "i", *COLUMNS, *RUNNING)


def compare(space, tables):
    connection = duckdb.connect()
    connection.register("plain", pa.concat_tables(tables))
    connection.sql("CREATE TABLE trades AS SELECT *, size::DECIMAL(12,2) AS exact FROM plain")
    for names, query in (COLUMNS, WANTED), (RUNNING, ALL):
        got = sorted((tuple(row[name] for name in ["i", *names]) for row in out(space)), key=lambda row: row[0])
        wanted = sorted(connection.sql(query).fetchall())
        equal(len(got), len(wanted), "number of rows")
        for one, other in zip(got, wanted):
            check(one == other, f"{one} is not {other}")


def processes(seed):
    """Each epoch is a process of its own: what is kept goes through the state."""
    choose = random.Random(f"windows {seed}")
    with Workspace() as space:
        tables = []
        for number in range(6):
            first = sum(table.num_rows for table in tables)
            tables.append(trades(choose, first, choose.randrange(1, 400)))
            add(space, number, tables[-1])
            space.run(pipeline("once")).expect(0)
        compare(space, tables)


def one_process():
    """Epochs of one process: kept rows outlive the plans of the epochs that brought them, with types that plans own."""
    choose = random.Random("one process")
    with Workspace() as space:
        tables = [trades(choose, 0, 200)]
        add(space, 0, tables[0])
        with Running(space, pipeline("10 ms")) as run:
            while True:
                rows = sum(table.num_rows for table in tables)
                run.until(lambda: len(out(space)) >= rows, f"all of {rows} rows")
                if len(tables) == 8:
                    break
                tables.append(trades(choose, rows, choose.randrange(1, 200)))
                add(space, len(tables) - 1, tables[-1])
            run.drain()
        compare(space, tables)


def main():
    suite = Suite("stream rows")
    for seed in range(20 if os.environ.get("MILLRACE_LONG") else 1):
        suite.case(f"processes seed {seed}", processes, seed)
    suite.case("one process", one_process)
    suite.end()


if __name__ == "__main__":
    main()

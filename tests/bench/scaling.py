#!/usr/bin/env python3
"""What batches, cores and rows do to the time of an aggregation.

  scaling.py [--rows 2000000] [--runs 5]

The job is the tumbling aggregate of trades: by trader, symbol and minute count(*), avg(price), sum(quantity) and
sum(price * quantity), over rows held in memory; its sums have a closed form and are checked in every contender.
 - batches of one row (resources.batchRows 1) against the default: at least 50 times slower, or the default wins nothing
 - resources.parallelism 1 against 2: at least 1.8 times
 - a tenth of the rows against all: 9 to 11 times
 - a join whose probe side has half of its rows on one key, probed where the rows are read, against the same join behind
   an exchange that sends each key to one thread (repartitionByColumns): at least 1.7 times
"""

import argparse
import math
import os
import statistics
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
from suite import need

need("pyarrow", "duckdb")
import duckdb
from compute_data import step
from embedded import Pipeline, library

STEPS = [step("aggregateData", groupBy=["trader_id", "symbol"], window={"column": "trade_time", "type": "tumbling", "size": "1 minute"},
              aggregations={"n": "count(*)", "price": "avg(price)", "quantity": "sum(quantity)", "value": "sum(price * quantity)"})]


TRADES = """SELECT 'TRADER' || i % 20 AS trader_id, 'SYM' || i % 10 AS symbol, 100 + i % 50 + 10 * sin(i / 100) AS price,
       100 + i % 1000 AS quantity, make_timestamptz((1700000000 + 1000 * i) * 1000) AS trade_time FROM range({rows}) t(i)"""


def trades(rows):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection.sql(TRADES.format(rows=rows)).to_arrow_table()


def right(out, table):
    """The sums over all groups are those over all rows; rows come in step with both keys, so that a window has 20 groups."""
    connection = duckdb.connect()
    connection.register("out_", out)
    connection.register("in_", table)
    got = connection.execute("SELECT sum(n), sum(quantity), sum(value), count(DISTINCT window_start), count(*) FROM out_").fetchone()
    want = connection.execute(
        "SELECT count(*), sum(quantity), sum(price * quantity), count(DISTINCT epoch_us(trade_time) // 60000000), 0 FROM in_").fetchone()
    return got[:2] == want[:2] and math.isclose(got[2], want[2], rel_tol=1e-9) and got[3] == want[3] and got[4] == got[3] * 20


SKEWED = """SELECT CASE WHEN i % 2 = 0 THEN 7 ELSE hash(i) % {keys} END::BIGINT AS key, (i % 1000)::INTEGER AS value FROM range({rows}) t(i)"""
JOIN = [step("joinDataFrames", inputs=["facts", "keys"], joinConditions=["facts.key = keys.id"]),
        step("aggregateData", groupBy=["name"], aggregations={"n": "count(*)", "v": "sum(value)"})]
EXCHANGE = [{"type": "transform", "method": "sql", "config": {"query": "SELECT * FROM facts"}},
            step("repartitionByColumns", columns=["key"], numPartitions=2, registerAs="spread")]


def skew(lib, rows, runs):
    """{contender: [seconds..]}; both must give the same sums."""
    connection = duckdb.connect()
    keys = rows // 8
    facts = connection.sql(SKEWED.format(rows=rows, keys=keys)).to_arrow_table()
    names = connection.sql(f"SELECT id, 'name ' || id % 100 AS name FROM range({keys}) t(id)").to_arrow_table()
    behind = [{**JOIN[0], "config": {**JOIN[0]["config"], "inputDataFrames": ["spread", "keys"], "joinConditions": ["spread.key = keys.id"]}}, JOIN[1]]
    resources = {"memory": "8GB", "parallelism": 2}
    open_ones = {"direct": Pipeline(lib, JOIN, {"facts": facts, "keys": names}, resources=resources),
                 "exchange": Pipeline(lib, EXCHANGE + behind, {"facts": facts, "keys": names}, resources=resources)}
    times, sums = {name: [] for name in open_ones}, {}
    for number in range(runs + 1):
        for name, pipeline in open_ones.items():
            began = time.perf_counter()
            out = pipeline.rows()
            if number > 0:
                times[name].append(time.perf_counter() - began)
            sums[name] = sorted(zip(*(out[column].to_pylist() for column in ("name", "n", "v"))))
    if sums["direct"] != sums["exchange"] or sum(row[1] for row in sums["direct"]) != rows:
        sys.exit("skewed join: wrong result")
    return times


def contend(lib, contenders, runs):
    """contenders: {name: (table, resources)}; {name: [seconds..]}, in turns; stops when a result is wrong."""
    open_ones = {name: Pipeline(lib, STEPS, {"trades": table}, resources=resources) for name, (table, resources) in contenders.items()}
    times = {name: [] for name in contenders}
    for number in range(runs + 1):
        for name, pipeline in open_ones.items():
            began = time.perf_counter()
            out = pipeline.rows()
            if number > 0:  # the first one reads the stream into memory
                times[name].append(time.perf_counter() - began)
            elif not right(out, contenders[name][0]):
                sys.exit(f"{name}: wrong result")
    for pipeline in open_ones.values():
        pipeline.close()
    return times


def ratio(times, slow, fast):
    return statistics.median(a / b for a, b in zip(times[slow], times[fast]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    lib = library()
    memory = {"memory": "8GB"}
    few, some, many = trades(options.rows // 10), trades(options.rows), trades(options.rows * 10)
    times = contend(lib, {"batches of one row": (few, {**memory, "parallelism": 1, "batchRows": 1}), "default": (few, {**memory, "parallelism": 1})}, options.runs)
    print(f"batches of one row: {options.rows // 10 / statistics.median(times['batches of one row']) / 1e6:.3f} M rows/s; "
          f"default: {options.rows // 10 / statistics.median(times['default']) / 1e6:.1f} M rows/s; {ratio(times, 'batches of one row', 'default'):.0f} times")
    times = contend(lib, {"one": (many, {**memory, "parallelism": 1}), "two": (many, {**memory, "parallelism": 2})}, options.runs)
    print(f"parallelism 2 against 1: {ratio(times, 'one', 'two'):.2f} times; {options.rows * 10 / statistics.median(times['one']) / 1e6:.1f} M rows/s on one core")
    times = contend(lib, {"all": (many, {**memory, "parallelism": 1}), "a tenth": (some, {**memory, "parallelism": 1})}, options.runs)
    skewed = skew(lib, options.rows * 2, options.runs)
    print(f"half of the rows on one key, direct against an exchange: {ratio(skewed, 'exchange', 'direct'):.2f} times")
    print(f"ten times the rows: {ratio(times, 'all', 'a tenth'):.1f} times the time")


if __name__ == "__main__":
    main()

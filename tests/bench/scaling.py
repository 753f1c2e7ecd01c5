#!/usr/bin/env python3
"""What batches, cores and rows do to the time of an aggregation.

  scaling.py [--rows 2000000] [--runs 5]

The job is the tumbling aggregate of trades: by trader, symbol and minute count(*), avg(price), sum(quantity) and
sum(price * quantity), over rows held in memory; its sums have a closed form and are checked in every contender.
 - batches of one row (resources.batchRows 1) against the default: at least 50 times slower, or the default wins nothing
 - resources.parallelism 1 against 2: at least 1.8 times
 - a tenth of the rows against all: 9 to 11 times
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

need("pyarrow", "numpy")
import numpy as np
import pyarrow as pa
from compute_data import step
from embedded import Pipeline, library

STEPS = [step("aggregateData", groupBy=["trader_id", "symbol"], window={"column": "trade_time", "type": "tumbling", "size": "1 minute"},
              aggregations={"n": "count(*)", "price": "avg(price)", "quantity": "sum(quantity)", "value": "sum(price * quantity)"})]


def trades(rows):
    i = np.arange(rows, dtype=np.int64)
    return pa.table({
        "trader_id": pa.array([f"TRADER{k}" for k in range(20)]).take(pa.array(i % 20)),
        "symbol": pa.array([f"SYM{k}" for k in range(10)]).take(pa.array(i % 10)),
        "price": pa.array(100 + (i % 50) + 10 * np.sin(i / 100)),
        "quantity": pa.array(100 + i % 1000),
        "trade_time": pa.array((1700000000 + 1000 * i) * 1000, pa.timestamp("us", "UTC")),
    })


def right(table, rows):
    """The sums over all groups are those over all rows, and the windows are those of the closed form."""
    i = np.arange(rows, dtype=np.int64)
    value = float(np.sum((100 + (i % 50) + 10 * np.sin(i / 100)) * (100 + i % 1000)))
    windows = len(np.unique((1700000000 + 1000 * i) // 60000))
    # Rows come in step with both keys, so that a window of at least 20 rows has 20 groups.
    return (sum(table["n"].to_pylist()) == rows and sum(table["quantity"].to_pylist()) == int(np.sum(100 + i % 1000))
            and math.isclose(sum(table["value"].to_pylist()), value, rel_tol=1e-9)
            and len(set(table["window_start"].to_pylist())) == windows and table.num_rows == windows * 20)


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
            elif not right(out, contenders[name][0].num_rows):
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
    print(f"ten times the rows: {ratio(times, 'all', 'a tenth'):.1f} times the time")


main()

#!/usr/bin/env python3
"""windowColumns, sortData and deduplicate against DuckDB: random frames, in memory and spilled.

Orders are unique where the result depends on the order of equals, because two engines need not agree on that. What
differs between Spark and DuckDB is written out: where NULLs come, and that integers are averaged as doubles. Seeds are
fixed: `test_windows.py "seed 7"` runs one. MILLRACE_LONG=1 runs many more.
"""

import datetime
import decimal
import math
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("pyarrow", "duckdb")
import duckdb
import pyarrow as pa
from library import LIB, pyarrow_stream
import windows_spark

DAY = datetime.date(2024, 1, 1)


def column(choose, type, rows, make, nulls=0.1):
    return pa.array([None if choose.random() < nulls else make() for _ in range(rows)], type)


def table(choose, rows, groups, nulls):
    """id is unique; g, h are groups; the rest are values."""
    return pa.table({
        "id": pa.array(range(rows), pa.int64()),
        "g": column(choose, pa.int32(), rows, lambda: choose.randrange(groups), nulls),
        "h": column(choose, pa.string(), rows, lambda: f"a group of name {choose.randrange(groups)}", nulls),
        "i": column(choose, pa.int32(), rows, lambda: choose.randrange(-50, 50), nulls),
        "l": column(choose, pa.int64(), rows, lambda: choose.randrange(-10**9, 10**9), nulls),
        "d": column(choose, pa.float64(), rows, lambda: choose.randrange(-4000, 4000) / 16, nulls),
        "m": column(choose, pa.decimal128(12, 2), rows, lambda: decimal.Decimal(choose.randrange(-10**6, 10**6)) / 100, nulls),
        "w": column(choose, pa.decimal128(30, 3), rows, lambda: decimal.Decimal(choose.randrange(-10**9, 10**9)) / 1000, nulls),
        "t": column(choose, pa.string(), rows, lambda: "x" * choose.randrange(20) + str(choose.randrange(30)), nulls),
        "day": column(choose, pa.date32(), rows, lambda: DAY + datetime.timedelta(days=choose.randrange(40)), nulls),
        "ts": column(choose, pa.timestamp("us", "UTC"), rows,
                     lambda: datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(seconds=choose.randrange(9999)), nulls),
    })


def run(data, method, config, memory=None, more=()):
    document = {"name": "windows", "steps": [
        {"type": "extract", "method": "fromArrow", "config": {"stream": "data"}},
        {"type": "transform", "method": method, "config": config}, *more]}
    if memory:
        document["resources"] = {"memory": memory}
    with pyarrow_stream.Pipeline(LIB, document) as pipeline:
        pipeline.give("data", data)
        return pipeline.rows()


def same(a, b):
    """Floats to 10 digits (the order of additions is free), decimals as the floats that DuckDB makes of their means."""
    if isinstance(a, (float, decimal.Decimal)) or isinstance(b, (float, decimal.Decimal)):
        if a is None or b is None:
            return a is b
        room = 1e-6 if isinstance(a, decimal.Decimal) and isinstance(b, float) else 1e-9
        a, b = float(a), float(b)
        return a == b or (math.isnan(a) and math.isnan(b)) or abs(a - b) <= 1e-10 * max(abs(a), abs(b)) + room
    return a == b


def compare(got, wanted, names, what):
    """By id."""
    rows = {}
    equal(got.num_rows, wanted.num_rows, f"{what}: rows")
    ids = got.column("id").to_pylist()
    equal(len(set(ids)), len(ids), f"{what}: ids")
    for name in names:
        mine = dict(zip(ids, got.column(name).to_pylist()))
        theirs = dict(zip(wanted.column("id").to_pylist(), wanted.column(name).to_pylist()))
        for i, value in theirs.items():
            if not same(mine[i], value):
                check(False, f"{what}: {name} of id {i} is {mine[i]!r}, DuckDB has {value!r}")
    return rows


def spark_nulls(item):
    return item if "NULLS" in item else item + (" NULLS LAST" if item.endswith("DESC") else " NULLS FIRST")


# Functions of the frame: (ours, DuckDB's).
FRAMED = [
    ("count(*)", None), ("count({v})", None), ("sum({n})", None), ("avg({n})", "avg({n}::DOUBLE)"), ("min({v})", None), ("max({v})", None),
    ("first_value({v})", None), ("last_value({v})", None), ("first_value({v}) IGNORE NULLS", "first_value({v} IGNORE NULLS)"),
    ("last_value({v}) IGNORE NULLS", "last_value({v} IGNORE NULLS)"), ("nth_value({v}, 3)", None),
    ("stddev({n})", None), ("collect_list({v})", "coalesce(list({v}) FILTER ({v} IS NOT NULL), [])"), ("count(*) FILTER (WHERE i > 0)", None),
    ("sum(i) FILTER (WHERE l > 0)", None), ("max({v}) FILTER (WHERE i < 10)", None), ("sum(i) * 2 + count(*)", "sum(i) {over} * 2 + count(*)"),
]
RANKED = [
    ("row_number()", None), ("rank()", None), ("dense_rank()", None), ("percent_rank()", None), ("cume_dist()", None), ("ntile(4)", None),
    ("ntile(1000)", None), ("lag({v})", None), ("lead({v}, 2)", None), ("lag({v}, 3) IGNORE NULLS", "lag({v}, 3 IGNORE NULLS)"),
    ("lead({v}) IGNORE NULLS", "lead({v} IGNORE NULLS)"), ("lag(i, 1, 7)", None), ("lead(i, 5, -id)", "lead(i, 5, (-id)::INT)"),
    ("i - lag(i)", "i - lag(i) {over}"), ("lag({v}, -1)", None), ("lag({v}, 0)", None),
]
STREAMED = ["row_number()", "rank()", "dense_rank()", "lag({v}, 4)", "lag(i, 2, 5)", "count({v})", "sum({n})", "min({v})", "max({v})", "first_value({v})", "avg(i)"]
BOUNDS = ["UNBOUNDED PRECEDING", "{a} PRECEDING", "CURRENT ROW", "{b} FOLLOWING", "UNBOUNDED FOLLOWING"]


def frame_of(choose, offsets):
    while True:
        first, last = sorted((choose.randrange(5), choose.randrange(5)))
        a, b = sorted(choose.sample(offsets, 2), reverse=True) if first == last == 1 else choose.sample(offsets, 2)
        if first == 4 or last == 0:
            continue
        if first == last == 1:
            return BOUNDS[1].format(a=a), BOUNDS[1].format(a=b)
        if first == last == 3:
            a, b = sorted((a, b))
            return BOUNDS[3].format(b=a), BOUNDS[3].format(b=b)
        return BOUNDS[first].format(a=a, b=b), BOUNDS[last].format(a=a, b=b)


def over(partition, order, frame):
    parts = [f"PARTITION BY {', '.join(partition)}"] * bool(partition) + [f"ORDER BY {', '.join(map(spark_nulls, order))}"] * bool(order)
    return "OVER (" + " ".join(parts + [frame] * bool(frame)) + ")"


def windows(seed):
    choose = random.Random(seed)
    rows = choose.choice([1, 30, 400, 400, 3000])
    data = table(choose, rows, choose.choice([1, 3, 20, 1000]), choose.choice([0, 0.1, 0.4]))
    partition = choose.choice([[], ["g"], ["h"], ["g", "h"], ["i % 7"]])
    kind = choose.choice(["none", "default", "rows", "rows", "range", "range"])
    order, frame, unique = ["id"], None, True
    if kind == "none":
        order = []
    elif kind == "range":
        key, offsets = choose.choice([("i", ["1", "5", "40"]), ("l", ["1000", "300000000"]), ("m", ["1", "777.5"]), ("d", ["0.5", "100"]),
                                      ("day", ["INTERVAL '1' DAY", "INTERVAL '12' DAY"]), ("ts", ["INTERVAL '5' MINUTE", "INTERVAL '1' HOUR"])])
        order, unique = [key + choose.choice(["", " DESC", " NULLS LAST", " DESC NULLS FIRST"])], False
        frame = "RANGE BETWEEN {} AND {}".format(*frame_of(choose, offsets))
    else:
        order = choose.choice([["id"], ["i", "id"], ["t DESC", "id DESC"], ["d DESC NULLS FIRST", "id"], ["m", "l", "id"]])
        if kind == "default" and choose.random() < 0.5:
            order, unique = order[:1], order == ["id"]
        if kind == "rows":
            frame = "ROWS BETWEEN {} AND {}".format(*frame_of(choose, ["1", "2", "7", "100"]))
    ours, theirs = {}, []
    candidates = FRAMED + (RANKED if order else [])
    for k in range(6):
        mine, duck = choose.choice(candidates)
        v, n = choose.choice(["i", "l", "d", "m", "w", "t", "day", "ts"]), choose.choice(["i", "l", "d", "m", "w"])
        by_order = any(word in mine for word in ("row_number", "ntile", "lag", "lead", "value", "collect"))
        if by_order and not (unique and order):
            continue
        mine, duck = mine.format(v=v, n=n), (duck or mine).replace("{v}", v).replace("{n}", n)
        spec = over(partition, order, frame if (mine, duck) and not any(w in mine for w in ("rank", "row_number", "ntile", "cume", "lag", "lead")) else None)
        if "{over}" in duck:
            duck = duck.replace("{over}", spec) + (" " + spec if duck.endswith("count(*)") else "")
        elif "coalesce(" in duck:
            duck = f"coalesce(list({v}) FILTER ({v} IS NOT NULL) {spec}, [])"
        else:
            duck += " " + spec
        ours[f"r{k}"] = mine
        theirs.append(f"{duck} AS r{k}")
    if not ours:
        return
    config = {"columns": ours, **({"partitionBy": partition} if partition else {}), **({"orderBy": order} if order else {}), **({"frame": frame} if frame else {})}
    what = f"seed {seed}: {rows} rows, {config}"
    got = run(data, "windowColumns", config)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.register("data", data)
    wanted = connection.sql(f"SELECT *, {', '.join(theirs)} FROM data").to_arrow_table()
    compare(got, wanted, list(ours) + ["t", "m"], what)


def spilled(seed):
    """Larger than memory: one group or many; functions that run through a group need not hold it."""
    choose = random.Random(seed)
    rows = choose.choice([60000, 120000])
    data = table(choose, rows, choose.choice([2, 1000]), 0.1)
    partition = choose.choice([[], ["g"], ["h"]])
    order = choose.choice([["id"], ["i", "id"], ["t DESC", "id"]])
    frame = choose.choice([None, "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"])
    ours, theirs = {}, []
    for k in range(4):
        mine = choose.choice(STREAMED).format(v=choose.choice(["i", "l", "d", "m", "t", "day"]), n=choose.choice(["i", "l", "d", "m"]))
        ours[f"r{k}"] = mine
        ranked = any(w in mine for w in ("rank", "row_number", "lag"))
        theirs.append(f"{mine.replace('avg(i)', 'avg(i::DOUBLE)')} {over(partition, order, None if ranked else frame)} AS r{k}")
    config = {"columns": ours, "orderBy": order, **({"partitionBy": partition} if partition else {}), **({"frame": frame} if frame else {})}
    got = run(data, "windowColumns", config, data.nbytes + (choose.choice([4, 6]) << 20))
    connection = duckdb.connect()
    connection.register("data", data)
    wanted = connection.sql(f"SELECT *, {', '.join(theirs)} FROM data").to_arrow_table()
    compare(got, wanted, list(ours), f"seed {seed}: {rows} rows, {config}")


def sorts(seed):
    choose = random.Random(seed)
    rows = choose.choice([1, 1000, 30000, 100000])
    data = table(choose, rows, choose.choice([2, 100]), choose.choice([0, 0.2]))
    keys = choose.sample(["g", "h", "i", "l", "d", "m", "w", "t", "day", "ts", "lower(h)", "i + 1"], choose.randrange(1, 5))
    order = [k + choose.choice(["", " ASC", " DESC", " NULLS LAST", " DESC NULLS FIRST"]) for k in keys] + ["id"]
    limit = choose.choice([None, None, 1, 77, 5000])
    memory = data.nbytes + (4 << 20) if rows >= 30000 and choose.random() < 0.7 else None
    got = run(data, "sortData", {"orderBy": order, **({"limit": limit} if limit else {})}, memory)
    connection = duckdb.connect()
    connection.register("data", data)
    wanted = connection.sql(f"SELECT * FROM data ORDER BY {', '.join(map(spark_nulls, order))}" + (f" LIMIT {limit}" if limit else "")).to_arrow_table()
    check(got.column("id").to_pylist() == wanted.column("id").to_pylist(), f"seed {seed}: {rows} rows by {order}: other order")
    compare(got, wanted, ["h", "m", "t", "ts"], f"seed {seed}: {order}")


def distinct(seed):
    choose = random.Random(seed)
    rows = choose.choice([1, 1000, 50000])
    data = table(choose, rows, choose.choice([2, 100, 30000]), choose.choice([0, 0.2]))
    keys = choose.sample(["g", "h", "i", "t", "day"], choose.randrange(1, 4))
    keep = choose.choice(["first", "last"])
    order = choose.choice([None, ["l DESC", "id"], ["d", "t NULLS LAST", "id"]])
    memory = data.nbytes + (4 << 20) if rows >= 30000 and choose.random() < 0.7 else None
    config = {"keys": keys, "keep": keep, **({"orderBy": order} if order else {})}
    got = run(data, "deduplicate", config, memory)
    items = [spark_nulls(o) for o in order or ["id"]]
    if keep == "last":
        turned = str.maketrans("", "")
        items = [i.replace("NULLS FIRST", "NULLS 2").replace("NULLS LAST", "NULLS FIRST").replace("NULLS 2", "NULLS LAST").translate(turned) for i in items]
        items = [i.replace(" DESC", " ASC") if " DESC" in i else i.replace(" NULLS", " DESC NULLS") for i in items]
    connection = duckdb.connect()
    connection.register("data", data)
    wanted = connection.sql(f"SELECT * FROM data QUALIFY row_number() OVER (PARTITION BY {', '.join(keys)} ORDER BY {', '.join(items)}) = 1").to_arrow_table()
    what = f"seed {seed}: {rows} rows, {config}"
    equal(sorted(got.column("id").to_pylist()), sorted(wanted.column("id").to_pylist()), what)
    compare(got, wanted, ["h", "m", "t", "ts"], what)


def spark(columns, partition, order, frame, wanted):
    types = {"id": pa.int64(), "k": pa.int32(), "v": pa.int32(), "s": pa.string(), "d": pa.float64()}
    data = pa.table({name: pa.array([row[c] for row in windows_spark.ROWS], type) for c, (name, type) in enumerate(types.items())})
    got = run(data, "windowColumns", {"columns": columns, "partitionBy": partition, "orderBy": order, **({"frame": frame} if frame else {})})
    rows = sorted(zip(got.column("id").to_pylist(), *(got.column(name).to_pylist() for name in columns)))
    equal(repr(rows), repr(wanted), "rows")


def main():
    suite = Suite("windows")
    for number, case in enumerate(windows_spark.CASES):
        suite.case(f"spark {number}", spark, *case)
    times = 20 if os.environ.get("MILLRACE_LONG") else 1
    for kind, count in ((windows, 150), (spilled, 12), (sorts, 20), (distinct, 20)):
        for seed in range(count * times):
            suite.case(f"{kind.__name__} seed {seed}", kind, seed)
    suite.end()


if __name__ == "__main__":
    main()

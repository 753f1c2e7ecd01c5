#!/usr/bin/env python3
"""joinDataFrames against DuckDB: random frames, all join types, all forms of keys, in memory and spilled.

Frames go in and rows come out through the Arrow C stream of libmillrace (examples/embed/pyarrow_stream.py). Seeds are
fixed, so a failure repeats: `test_joins.py SEED` runs one. MILLRACE_LONG=1 runs many more.
"""

import datetime
import decimal
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("pyarrow", "duckdb")
import duckdb
import pyarrow as pa
from library import LIB, pyarrow_stream

EPOCH = datetime.datetime(2024, 1, 1)
TYPES = {
    "bigint": (pa.int64(), lambda i: i * 1000003),
    "int": (pa.int32(), lambda i: i - 5),
    "small": (pa.int16(), lambda i: i % 30000),
    "text": (pa.string(), lambda i: f"key-{i}" if i else ""),
    "coded": (pa.dictionary(pa.int32(), pa.string()), lambda i: f"k{i}"),
    "money": (pa.decimal128(10, 2), lambda i: decimal.Decimal(i) / 4),
    "large": (pa.decimal128(30, 4), lambda i: decimal.Decimal(i) * 10**15 + decimal.Decimal("0.5")),
    "date": (pa.date32(), lambda i: EPOCH.date() + datetime.timedelta(days=i)),
    "time": (pa.timestamp("us"), lambda i: EPOCH + datetime.timedelta(minutes=i)),
    "double": (pa.float64(), lambda i: [0.0, -0.0, float("nan"), float("inf")][i % 4] if i < 8 else i / 3),
    "flag": (pa.bool_(), lambda i: i % 2 == 0),
}
SQL_TYPES = {"inner": "INNER", "left": "LEFT", "right": "RIGHT", "full": "FULL", "left_semi": "SEMI", "left_anti": "ANTI"}


def frame(choose, name, kinds, rows, distinct, nulls):
    """Columns <name>_id, the keys k0.. and a few values."""
    columns = {f"{name}_id": pa.array(range(rows), pa.int64())}
    for n, kind in enumerate(kinds):
        type, make = TYPES[kind]
        values = [None if choose.random() < nulls else make(choose.randrange(distinct)) for _ in range(rows)]
        columns[f"k{n}"] = pa.array(values, type)
    columns[f"{name}_v"] = pa.array([choose.randrange(100) for _ in range(rows)], pa.int32())
    columns[f"{name}_t"] = pa.array([None if i % 7 == 3 else f"{name} row {i}" for i in range(rows)], pa.string())
    return pa.table(columns)


def run(frames, config, memory=None, more=()):
    steps = []
    for name in frames:
        steps.append({"type": "extract", "method": "fromArrow", "config": {"stream": name, "registerAs": name}})
    steps.append({"type": "transform", "method": "joinDataFrames", "config": {"inputDataFrames": list(frames), **config}})
    steps += more
    document = {"name": "joins", "steps": steps}
    if memory:
        document["resources"] = {"memory": memory}
    with pyarrow_stream.Pipeline(LIB, document) as pipeline:
        for name, table in frames.items():
            pipeline.give(name, table)
        return pipeline.rows()


def compare(got, query, frames, what):
    """As multisets of rows, counted by DuckDB."""
    connection = duckdb.connect()
    for name, table in frames.items():
        connection.register(name, table)
    wanted = connection.sql(query).to_arrow_table()
    equal(got.schema.names, wanted.schema.names, f"{what}: columns of {query}")
    connection.register("got", got)
    connection.register("wanted", wanted)
    lost, more = (connection.sql(f"SELECT * FROM {a} EXCEPT ALL SELECT * FROM {b} LIMIT 3").fetchall()
                  for a, b in (("wanted", "got"), ("got", "wanted")))
    check(not lost and not more and got.num_rows == wanted.num_rows,
          f"{what}: {query}: {got.num_rows} rows, {wanted.num_rows} wanted; missing {lost}, too many {more}")


def select_list(frames, type, using, keys):
    left, right = frames
    if type in ("left_semi", "left_anti"):
        names = [c for c in frames[left].schema.names if not (using and c in keys)]
        return ", ".join([f"{left}.{k}" for k in keys] * using + [f"{left}.{c}" for c in names])
    if not using:
        return f"{left}.*, {right}.*"
    side = {"right": f"{right}.{{0}}", "full": f"coalesce({left}.{{0}}, {right}.{{0}}) AS {{0}}"}.get(type, f"{left}.{{0}}")
    return ", ".join([side.format(k) for k in keys]
                     + [f"{left}.{c}" for c in frames[left].schema.names if c not in keys]
                     + [f"{right}.{c}" for c in frames[right].schema.names if c not in keys])


def one(seed):
    choose = random.Random(seed)
    spilled = choose.random() < 0.5
    kinds = [choose.choice(list(TYPES)) for _ in range(choose.choice([1, 1, 1, 2, 3]))]
    sizes = [0, 1, 50, 3000, 20000] if not spilled else [1000, 20000, 60000]
    left_rows, right_rows = choose.choice(sizes), choose.choice(sizes)
    distinct = max(1, max(left_rows, right_rows) // choose.choice([1, 2, 10]))
    nulls = choose.choice([0, 0, 0.1])
    if set(kinds) == {"flag"}:
        left_rows, right_rows = min(left_rows, 300), min(right_rows, 200)
    left = frame(choose, "a", kinds, left_rows, distinct, nulls)
    right = frame(choose, "b", kinds, right_rows, distinct, nulls)
    type = choose.choice(list(SQL_TYPES))
    keys = [f"k{n}" for n in range(len(kinds))]
    form = choose.choice(["using", "keys", "condition", "condition"])
    if len(kinds) == 1 and distinct * 40 < left_rows:
        form = "using"
    rest = ""
    equals = choose.choice(["=", "<=>"])
    if form != "using":
        right = right.rename_columns([c.replace("k", "r") if c[0] == "k" else c for c in right.schema.names])
    frames = {"a": left, "b": right}
    if form == "using":
        config = {"joinColumns": keys}
        on = " AND ".join(f"a.{k} = b.{k}" for k in keys)
    elif form == "keys":
        config = {"leftKeys": keys, "rightKeys": [k.replace("k", "r") for k in keys]}
        on = " AND ".join(f"a.{k} = b.{k.replace('k', 'r')}" for k in keys)
    else:
        rest = choose.choice(["", " AND a.a_v > b.b_v", " AND a.a_v > 50", " AND b_v < 50 AND a_v + b_v < 120"])
        on = " AND ".join(f"a.{k} {equals} b.{k.replace('k', 'r')}" for k in keys) + rest
        config = {"joinConditions": [on]}
        on = on.replace("<=>", "IS NOT DISTINCT FROM")
    config["joinType"] = choose.choice([type, type.upper()] + (["leftouter", "left_outer"] if type == "left" else []))
    # A given stream is held in memory: what is left for the join is a few megabytes.
    spare = choose.choice([3, 4, 8]) << 20
    memory = left.nbytes + right.nbytes + spare if spilled else None
    what = f"seed {seed}: {kinds} {left_rows} x {right_rows}, {distinct} keys, {config}, memory {memory}"
    if len(sys.argv) > 1:
        print(what, flush=True)
    got = run(frames, config, memory)
    query = f"SELECT {select_list(frames, type, form == 'using', keys)} FROM a {SQL_TYPES[type]} JOIN b ON {on}"
    compare(got, query, frames, what)


def main():
    if len(sys.argv) > 1 and sys.argv[1].isdigit():
        return one(int(sys.argv[1]))
    suite = Suite("joins")
    count = 2000 if os.environ.get("MILLRACE_LONG") else 150
    for seed in range(count):
        suite.case(f"seed {seed}", one, seed)
    suite.end()


if __name__ == "__main__":
    main()

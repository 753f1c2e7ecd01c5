#!/usr/bin/env python3
"""aggregateData in a stream against what all rows give at once: windows, sessions and running results, epoch after epoch.

Files are the stream, one for an epoch; each epoch is a process of its own, so that everything that is kept is saved and
restored in between. Rows come out of order: within the delay, then nothing is late and DuckDB says from all rows what must
come out; or beyond it, then which rows are late is decided here once more, from the rule in the guide. Some epochs have no
rows of a group, some only rows that are late. The last row lies far ahead and closes all windows but its own. Seeds are fixed:
`test_stream_windows.py "seed 7"` runs one; MILLRACE_LONG=1 runs more.
"""

import datetime
import glob
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("pyarrow", "duckdb", "deltalake")
import duckdb
import pyarrow.parquet
from deltalake import DeltaTable
from engine import Workspace
from running import Running

DELAY, SIZE, SLIDE, GAP = 20, 30, 10, 6
FAR = 10**7
START = 1767225600  # 2026-01-01
AGGREGATIONS = {"n": "count(*)", "total": "sum(v)", "mean": "avg(v)", "least": "min(v)", "kinds": "count(DISTINCT v)"}
WINDOWS = {
    "tumbling": {"column": "t", "size": SIZE},
    "sliding": {"column": "t", "type": "sliding", "size": SIZE, "slide": SLIDE},
    "session": {"column": "t", "type": "session", "gap": GAP},
}


def steps():
    """One source and one watermark; each aggregate has a frame and a load of its own."""
    source = {"path": "in", "format": "csv", "header": True, "schema": "id bigint, k string, t timestamp, v bigint",
              "incremental": {"by": "files"}}
    out = [{"type": "extract", "method": "fromFile", "config": source},
           {"type": "transform", "method": "withWatermark", "config": {"column": "t", "delay": DELAY, "registerAs": "events"}}]

    def add(name, window, load, **options):
        config = {"inputDataFrames": ["events"], "registerAs": name, "groupBy": ["k"], "aggregations": AGGREGATIONS, **options}
        if window:
            config["window"] = WINDOWS[window]
        out.append({"type": "transform", "method": "aggregateData", "config": config})
        out.append({"type": "load", "method": load.pop("method"), "config": {"path": name, "trigger": "availableNow", **load}})

    for window in WINDOWS:
        add(f"{window}_final", window, {"method": "toFile", "format": "parquet"},
            **({"late": "deadLetter", "deadLetter": {"path": "late", "format": "parquet"}} if window == "tumbling" else {}))
        add(f"{window}_changes", window, {"method": "toFile", "format": "parquet"}, emit="changes")
    add("all_changes", None, {"method": "toFile", "format": "parquet"}, emit="changes")
    add("tumbling_update", "tumbling", {"method": "toDelta", "mode": "upsert", "keys": ["k", "window_start"], "outputMode": "update"})
    add("all_update", None, {"method": "toDelta", "mode": "upsert", "keys": ["k"], "outputMode": "update"})
    return out


def make_epochs(choose, disorder):
    """Rows (id, k, t, v), times in seconds; a few epochs."""
    now, number, epochs = 0, 0, []
    for _ in range(5):
        rows = []
        for _ in range(choose.choice([1, 5, 40, 60])):
            now += choose.choice([0, 0, 1, 2, 9])
            late = choose.randint(0, disorder) if choose.random() < 0.6 else 0
            rows.append((number, choose.choice("abcdef"), now - late, choose.choice([None, *range(9)])))
            number += 1
        epochs.append(rows)
    epochs.append([(number, "far", now + FAR, 1)])
    return epochs


def write_epoch(space, number, rows):
    lines = ["id,k,t,v"]
    for ident, key, time, value in rows:
        moment = datetime.datetime.fromtimestamp(START + time, datetime.timezone.utc)
        lines.append(f"{ident},{key},{moment:%Y-%m-%d %H:%M:%S},{'' if value is None else value}")
    space.publish(f"in/{number:03}.csv", "\n".join(lines) + "\n")


# --- what must come out ---


def measured(rows):
    values = [v for v in rows if v is not None]
    if not values:
        return (len(rows), None, None, None, 0)
    return (len(rows), sum(values), round(sum(values) / len(values), 9), min(values), len(set(values)))


def starts(window, time):
    slide = SLIDE if window == "sliding" else SIZE
    last = time - time % slide
    return [s for s in range(last, last - SIZE, -slide) if s > time - SIZE]


def expect_windows(window, epochs):
    """Final rows, changes, rows late: by the rule, epoch after epoch."""
    groups, changes, late, reached, latest = {}, [], [], None, None
    for rows in epochs:
        for row in rows:
            _, key, time, value = row
            fits = [s for s in starts(window, time) if reached is None or s + SIZE > reached]
            if not fits:
                late.append(row)
            for start in fits:
                groups.setdefault((key, start), []).append(value)
                changes.append((key, start, start + SIZE, *measured(groups[key, start])))
        latest = max([latest, *(r[2] for r in rows)], key=lambda t: -10**9 if t is None else t)
        reached = latest - DELAY
    final = [(k, s, s + SIZE, *measured(v)) for (k, s), v in groups.items() if s + SIZE <= reached]
    update = [(k, s, s + SIZE, *measured(v)) for (k, s), v in groups.items()]
    return final, changes, late, update


def expect_sessions(epochs):
    opened, final, changes, late, reached, latest = [], [], [], [], None, None
    for rows in epochs:
        for row in rows:
            _, key, time, value = row
            if reached is not None and time + GAP <= reached:
                late.append(row)
                continue
            one = [key, time, time + GAP, [value]]
            for other in sorted((o for o in opened if o[0] == key and o[1] <= time + GAP and o[2] >= time), key=lambda o: o[1]):
                opened.remove(other)
                one = [key, min(one[1], other[1]), max(one[2], other[2]), other[3] + one[3]]
            opened.append(one)
            changes.append((one[0], one[1], one[2], *measured(one[3])))
        latest = max([latest, *(r[2] for r in rows)], key=lambda t: -10**9 if t is None else t)
        reached = latest - DELAY
        final += [(k, s, e, *measured(v)) for k, s, e, v in opened if e < reached]
        opened = [o for o in opened if o[2] >= reached]
    return final, changes, late


def expect_all(epochs):
    groups, changes = {}, []
    for _, key, _, value in (row for rows in epochs for row in rows):
        groups.setdefault(key, []).append(value)
        changes.append((key, *measured(groups[key])))
    return changes, [(k, *measured(v)) for k, v in groups.items()]


def duckdb_windows(epochs):
    """Nothing was late: tumbling and sessions of all rows at once."""
    base = duckdb.connect()
    base.execute("CREATE TABLE e (id BIGINT, k VARCHAR, t BIGINT, v BIGINT)")
    base.executemany("INSERT INTO e VALUES (?, ?, ?, ?)", [r for rows in epochs for r in rows])
    measure = "count(*), sum(v), round(avg(v), 9), min(v), count(DISTINCT v)"
    tumbling = base.execute(f"SELECT k, t - (t % {SIZE} + {SIZE}) % {SIZE} AS s, t - (t % {SIZE} + {SIZE}) % {SIZE} + {SIZE}, {measure} FROM e GROUP BY ALL HAVING k <> 'far'").fetchall()
    session = base.execute(f"SELECT k, min(t), max(t) + {GAP}, {measure} FROM (SELECT *, sum(new) OVER (PARTITION BY k ORDER BY t, id) AS number FROM "
                           f"(SELECT *, coalesce(t > lag(t) OVER (PARTITION BY k ORDER BY t, id) + {GAP}, true)::INT AS new FROM e)) "
                           f"GROUP BY k, number HAVING k <> 'far'").fetchall()
    return tumbling, session


# --- what came out ---


def seconds(value):
    return round(value.timestamp()) - START if isinstance(value, datetime.datetime) else value


def rows_of(table):
    return [tuple(round(v, 9) if isinstance(v, float) else seconds(v) for v in row) for row in zip(*(c.to_pylist() for c in table.columns))]


def came(space, name):
    if os.path.isdir(space.file(name, "_delta_log")):
        return rows_of(DeltaTable(space.file(name)).to_pyarrow_table())
    files = glob.glob(os.path.join(space.file(name), "*.parquet"))
    return [row for f in files for row in rows_of(pyarrow.parquet.ParquetFile(f).read())]


def same(space, name, wanted):
    def order(row):
        return [(v is None, v) for v in row]

    got, wanted = sorted(came(space, name), key=order), sorted((r for r in wanted), key=order)
    for a, b in zip(got, wanted):
        check(a == b, f"{name}: {a}, wanted {b}")
    equal(len(got), len(wanted), f"{name}: rows")


def stream(seed, disorder):
    epochs = make_epochs(random.Random(f"windows {seed}"), disorder)
    late_seen = 0
    with Workspace() as space:
        os.mkdir(space.file("in"))
        document = {"name": "windows", "mode": "streaming", "steps": steps()}
        for number, rows in enumerate(epochs):
            write_epoch(space, number, rows)
            result = space.run(document).expect(0)

            late_seen += sum(step.get("counters", {}).get("rows_late", 0) for step in result.report["steps"]
                             if step["step"] != "step 3 (aggregateData)")  # its late rows are in files
        late_all = 0
        for window in ("tumbling", "sliding"):
            final, changes, late, update = expect_windows(window, epochs)
            same(space, f"{window}_final", final)
            same(space, f"{window}_changes", changes)
            late_all += 2 * len(late)
            if window == "tumbling":
                same(space, "tumbling_update", update)
                equal(sorted(r[0] for r in came(space, "late")), sorted(r[0] for r in late), "dead letters")
                tumbling = final
        final, changes, late = expect_sessions(epochs)
        same(space, "session_final", final)
        same(space, "session_changes", changes)
        late_all += 2 * len(late)
        equal(late_seen, late_all, "rows late")
        changes, update = expect_all(epochs)
        same(space, "all_changes", changes)
        same(space, "all_update", update)
        if disorder <= DELAY:
            equal(late_all, 0, "rows late of the rule")
            wanted = duckdb_windows(epochs)
            equal(sorted(map(repr, tumbling)), sorted(map(repr, wanted[0])), "DuckDB's windows")
            equal(sorted(map(repr, final)), sorted(map(repr, wanted[1])), "DuckDB's sessions")


def one_process():
    """Aggregates that keep all values, over the epochs of one process: what they keep is theirs, and not the epoch's."""
    keep = {"ids": "collect_list(id)", "middle": "median(v)", "usual": "mode(k)", "third": "percentile(v, 0.3)", "names": "collect_list(k)"}
    work = {"name": "bags", "mode": "streaming", "steps": [
        *steps()[:2],
        {"type": "transform", "method": "aggregateData", "config": {"groupBy": ["k"], "window": {"column": "t", "size": 500}, "aggregations": keep}},
        {"type": "load", "method": "toDelta", "config": {"path": "out", "mode": "append", "trigger": "20 ms"}}]}
    choose = random.Random(7)
    rows = [(i, choose.choice("abc"), i // 20, choose.randint(0, 99)) for i in range(12 * 400)]
    with Workspace() as space, Running(space, work, "--log-level", "debug") as run:
        for number in range(12):
            write_epoch(space, number, rows[number * 400:(number + 1) * 400])
            run.await_line(f"epoch {number + 1} is committed")
        write_epoch(space, 12, [(len(rows), "far", FAR, 1)])
        run.await_line("epoch 13 is committed")
        run.drain()
        table = DeltaTable(space.file("out")).to_pyarrow_table()
        events = pyarrow.Table.from_pylist([dict(zip("iktv", r)) for r in rows])
        wanted = duckdb.sql("SELECT k, list(i ORDER BY i), median(v), quantile_cont(v, 0.3) FROM events GROUP BY k, t // 500").fetchall()
        final = table.to_pylist()
        check(all(set(r["names"]) == {r["k"]} and r["usual"] == r["k"] for r in final), "the keys themselves")
        equal(sorted((r["k"], sorted(r["ids"]), r["middle"], round(r["third"], 9)) for r in final),
              sorted((k, ids, middle, round(third, 9)) for k, ids, middle, third in wanted), "what DuckDB says of all rows")


def main():
    suite = Suite("stream windows")
    suite.case("one process", one_process)
    for seed in range(20 if os.environ.get("MILLRACE_LONG") else 1):
        suite.case(f"seed {seed}, in time", stream, seed, DELAY)
        suite.case(f"seed {seed}, late", stream, seed, 4 * DELAY)
    suite.end()


main()

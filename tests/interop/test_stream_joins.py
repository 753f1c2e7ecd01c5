#!/usr/bin/env python3
"""Two streams joined within a time, a stream beside a frame that stands still, and duplicates dropped, epoch by epoch.

Streams are folders of files, one file an epoch and side, so every run sees the same epochs; each epoch is a process of its own (trigger once),
so whatever is kept goes through the state. The union of all that came out is compared with DuckDB's join over the rows that were not late;
which were late is told by the documented rule. MILLRACE_LONG=1 runs many more seeds.
"""

import datetime
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
from server import Server
from table import parquet_rows

ZERO = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
DELAY, WITHIN = 60, 30


def moment(seconds):
    return None if seconds is None else ZERO + datetime.timedelta(seconds=seconds)


class Stream:
    """Rows (id, k, seconds) in files, and which of them were late."""

    def __init__(self, space, name, names):
        self.space, self.name, self.names = space, name, names
        self.good, self.late, self.latest, self.files = [], 0, None, 0

    def add(self, rows):
        before = None if self.latest is None else self.latest - DELAY
        for row in rows:
            if before is not None and row[2] is not None and row[2] <= before:
                self.late += 1
            else:
                self.good.append(row)
        times = [row[2] for row in rows if row[2] is not None]
        self.latest = max([*times, *([] if self.latest is None else [self.latest])], default=None)
        data = self.table(rows)
        self.space.publish(f"{self.name}/{self.files:04}.parquet", lambda path: pyarrow.parquet.write_table(data, path))
        self.files += 1

    def table(self, rows):
        types = [pa.int64(), pa.string(), pa.timestamp("us", "UTC")]
        columns = [[r[0] for r in rows], [r[1] for r in rows], [moment(r[2]) for r in rows]]
        return pa.table({name: pa.array(values, kind) for name, values, kind in zip(self.names, columns, types)})


def source(stream, streaming=True):
    incremental = {"incremental": {"by": "files"}} if streaming else {}
    return {"type": "extract", "method": "fromFile",
            "config": {"path": f"{stream.name}/*.parquet", "format": "parquet", "registerAs": stream.name, **incremental}}


def measured(stream):
    return {"type": "transform", "method": "withWatermark",
            "config": {"inputDataFrames": [stream.name], "column": stream.names[2], "delay": f"{DELAY} seconds", "registerAs": f"{stream.name}_m"}}


def load():
    return {"type": "load", "method": "toFile", "config": {"path": "out", "format": "parquet", "mode": "append", "trigger": "once"}}


def out(space):
    return [tuple(row.values()) for row in parquet_rows(space.file("out"))]


def late_of(result):
    return sum(step.get("counters", {}).get("rows_late", 0) for step in result.report["steps"])


def key(row):
    return [(value is not None, value) for value in row]


def rows_of(choose, count, first, clock):
    rows = []
    for number in range(count):
        k = None if choose.random() < 0.05 else f"key {choose.randrange(12)}"
        behind = choose.randrange(150) if choose.random() < 0.1 else choose.randrange(50)
        rows.append((first + number, k, None if choose.random() < 0.03 else clock - behind))
    return rows


def joins(kind, seed):
    choose = random.Random(f"{kind} {seed}")
    with Workspace() as space:
        left, right = Stream(space, "l", ["id", "k", "ts"]), Stream(space, "r", ["rid", "rk", "rts"])
        work = {"name": "joins", "mode": "streaming", "steps": [
            source(left), measured(left), source(right), measured(right),
            {"type": "transform", "method": "joinDataFrames",
             "config": {"inputDataFrames": ["l_m", "r_m"], "leftKeys": ["k"], "rightKeys": ["rk"], "joinType": kind, "within": f"{WITHIN} seconds"}},
            load()]}
        late = clock = 0
        for epoch in range(8):
            clock += 40
            for stream, side in ((left, 0), (right, 1)):
                if epoch == 0 or choose.random() < 0.85:
                    stream.add(rows_of(choose, choose.randrange(60), 10000 * side + 100 * epoch, clock))
            if epoch == 7:  # what has no partner comes out, and these do not
                left.add([(-1, "left end", 100000)])
                right.add([(-1, "right end", 100000)])
            late += late_of(space.run(work).expect(0))
        equal(late, left.late + right.late, "late rows")
        connection = duckdb.connect()
        connection.register("l", left.table(left.good))
        connection.register("r", right.table(right.good))
        one = "_" in kind
        wanted = connection.sql(f"""SELECT id, k {'' if one else ', rid, rk'} FROM l {kind.removeprefix('left_') if one else kind} JOIN r
            ON k = rk AND abs(epoch_us(ts) - epoch_us(rts)) <= {WITHIN * 1000000}
            WHERE coalesce(id, 0) >= 0 {'' if one else 'AND coalesce(rid, 0) >= 0'}""").fetchall()
        check(len(wanted) > 4, "too few rows")
        equal(len(out(space)), len(wanted), "number of rows")
        equal(sorted((row[:2] + row[3:5] for row in out(space)), key=key), sorted(wanted, key=key), "rows")


def one_process():
    """Several epochs of one process: kept rows outlive the plans of the epochs that brought them, with types that plans own."""
    choose = random.Random("one process")
    with Workspace() as space:
        left, right = Stream(space, "l", ["id", "k", "ts"]), Stream(space, "r", ["rid", "rk", "rts"])
        keys = {"leftKeys": ["k", "d"], "rightKeys": ["rk", "rd"]}
        def widen(frame, column, names):
            columns = {"d": f"CAST({column} % 5 AS DECIMAL(12,2))", "s": f"named_struct('a', CAST({column} AS DECIMAL(20,3)), 'b', array(k))"}
            return {"type": "transform", "method": "enrichData", "config": {
                "inputDataFrames": [frame], "registerAs": f"{frame}_w",
                "columns": {names[0]: columns["d"], names[1]: columns["s"].replace("(k)", f"({names[2]})")}}}
        work = {"name": "process", "mode": "streaming", "steps": [
            source(left), measured(left), widen("l_m", "id", ["d", "s", "k"]), source(right), measured(right), widen("r_m", "rid", ["rd", "rs", "rk"]),
            {"type": "transform", "method": "joinDataFrames",
             "config": {"inputDataFrames": ["l_m_w", "r_m_w"], **keys, "joinType": "full", "within": f"{WITHIN} seconds"}}, load()]}
        work["steps"][-1]["config"]["trigger"] = "10 ms"
        def add(epoch):
            for stream, side in ((left, 0), (right, 1)):
                rows = [(10000 * side + 100 * epoch + i, f"key {choose.randrange(4)}", 40 * epoch + choose.randrange(50)) for i in range(60)]
                stream.add(rows + [(-1 - side, f"end {side}", 100000)] * (epoch == 7))
        def wanted():
            connection = duckdb.connect()
            connection.register("l", left.table(left.good))
            connection.register("r", right.table(right.good))
            return sorted(connection.sql(f"""SELECT id, rid FROM l FULL JOIN r ON k = rk AND id % 5 = rid % 5
                AND abs(epoch_us(ts) - epoch_us(rts)) <= {WITHIN * 1000000} WHERE coalesce(id, 0) >= 0 AND coalesce(rid, 0) >= 0""").fetchall(), key=key)
        add(0)
        with Running(space, work) as run:
            for epoch in range(1, 8):
                run.until(lambda: len({row[0] for row in out(space) if row[0] is not None and row[0] // 100 == epoch - 1}) >= 10, f"rows of epoch {epoch - 1}")
                add(epoch)
            pairs = wanted()
            run.until(lambda: len(out(space)) >= len(pairs), "all pairs")
            run.drain()
        rows = [(row["id"], row["rid"]) for row in parquet_rows(space.file("out"))]
        equal(left.late + right.late, 0, "late rows")
        equal(sorted(rows, key=key), pairs, "rows")


def static(kind, frames):
    """A frame that stands still is read in every epoch: what it is then is what rows of the epoch meet."""
    with Workspace() as space:
        stream, names = Stream(space, "l", ["id", "k", "ts"]), space.file("names")
        os.makedirs(names)
        work = {"name": "static", "mode": "streaming", "steps": [
            source(stream),
            {"type": "extract", "method": "fromFile", "config": {"path": "names/*.parquet", "format": "parquet", "registerAs": "names"}},
            {"type": "transform", "method": "joinDataFrames",
             "config": {"inputDataFrames": frames, "joinConditions": ["l.k = names.nk"], "joinType": kind}}, load()]}
        for epoch, name in enumerate(["one", "two"]):
            pyarrow.parquet.write_table(pa.table({"nk": ["a"], "name": [name]}), os.path.join(names, "names.parquet"))
            stream.add([(10 * epoch, "a", epoch), (10 * epoch + 1, "b", epoch)])
            space.run(work).expect(0)
        place = lambda row: (row[0], row[4]) if frames[0] == "l" else (row[2], row[1])
        wanted = [(0, "one"), (1, None), (10, "two"), (11, None)]
        equal(sorted(map(place, out(space))), [row for row in wanted if row[1] or kind != "inner"], "rows")


def names_of(space, name, count=1):
    """The static frame: replaced as a whole, or taken away."""
    if name is None:
        os.remove(space.file("names/names.parquet"))
        return
    table = pa.table({"nk": ["a"] + [f"{i}" for i in range(1, count)], "name": [name] * count,
                      "price": pa.array([None] * count, pa.decimal128(12, 2))})
    space.publish("names/names.parquet", lambda path: pyarrow.parquet.write_table(table, path))


def refreshing(kind, frames, refresh, *steps):
    join = {"inputDataFrames": frames,
            "leftKeys": ["k" if frames[0] == "l" else "nk"], "rightKeys": ["nk" if frames[0] == "l" else "k"], "joinType": kind, "refresh": refresh}
    end = load()
    end["config"]["trigger"] = "10 ms"
    return [{"type": "extract", "method": "fromFile", "config": {"path": "names/*.parquet", "format": "parquet", "registerAs": "names"}},
            *steps, {"type": "transform", "method": "joinDataFrames", "config": join}, end]


def told(space):
    """id -> name, of all that has come out."""
    rows = parquet_rows(space.file("out"))
    equal(len({row["id"] for row in rows}), len(rows), "rows that came once")
    return {row["id"]: row["name"] for row in rows}


def refreshed(kind, frames, *steps):
    """A process reads the frame once an hour: later epochs meet the old rows, though the frame has changed or is gone; another reads it again."""
    with Workspace() as space:
        stream = Stream(space, "l", ["id", "k", "ts"])
        work = {"name": "refreshed", "mode": "streaming", "steps": [source(stream), *refreshing(kind, frames, "1 hour", *steps)]}
        wanted, number = {}, 0
        for first in ("one", "two"):
            names_of(space, first, 40)
            with Running(space, work) as run:
                for change in (None, "changed", "changed again"):
                    stream.add([(number, "a", 0), (number + 1, "b", 0)])
                    wanted.update({number: first, **({number + 1: None} if kind != "inner" else {})})
                    run.until(lambda: len(told(space)) >= len(wanted), f"rows of {number}")
                    names_of(space, change)
                    number += 2
                run.drain()
        equal(told(space), wanted, "rows")


def refreshed_server():
    """A table of a server: while it is held the server hears nothing of it, not even a question about its columns."""
    with Server("log_statement = 'all'\n") as server, Workspace(postgres=server.credentials("postgres")) as space:
        server.execute("postgres", "CREATE TABLE prices (nk text, name text, price numeric(12,2))", "INSERT INTO prices VALUES ('a', 'one', 1.25)")
        def heard():
            with open(f"{server.place}/log", errors="replace") as log:
                return sum(1 for line in log if "statement:" in line or "execute " in line)
        stream = Stream(space, "l", ["id", "k", "ts"])
        work = {"name": "server", "mode": "streaming", "steps": [source(stream), *refreshing("left", ["l", "names"], "1 hour")]}
        work["steps"][1] = {"type": "extract", "method": "fromPostgres", "config": {"table": "prices", "registerAs": "names"}}
        wanted = {}
        for process, name in enumerate(("one", "two")):
            stream.add([(10 * process, "a", 0)])
            wanted[10 * process] = name
            with Running(space, work) as run:
                run.until(lambda: len(told(space)) >= len(wanted), "rows of the first epoch")
                server.execute("postgres", "UPDATE prices SET name = 'two'")
                before = heard()
                for number in range(10 * process + 1, 10 * process + 4):
                    stream.add([(number, "a", 0)])
                    wanted[number] = name
                    run.until(lambda: len(told(space)) >= len(wanted), f"rows of {number}")
                equal(heard(), before, "statements")
                equal(run.drain()["rows_read"], 5, "rows read")
        equal(told(space), wanted, "rows")


def refreshed_often():
    """Epochs are 10 ms apart at least, so a frame that is held for less is read in each; so it is with 0, which holds nothing."""
    for refresh in ("1 ms", "0 seconds"):
        with Workspace() as space:
            stream = Stream(space, "l", ["id", "k", "ts"])
            work = {"name": "often", "mode": "streaming", "steps": [source(stream), *refreshing("left", ["l", "names"], refresh)]}
            wanted = {}
            names_of(space, "name 0", 1)
            with Running(space, work) as run:
                for number in range(4):
                    names_of(space, f"name {number}", 1 + number)
                    stream.add([(number, "a", 0)])
                    wanted[number] = f"name {number}"
                    run.until(lambda: len(told(space)) >= len(wanted), f"rows of {number}")
                run.drain()
            equal(told(space), wanted, f"rows with {refresh}")


def refreshed_too_large():
    """What is held is of the budget; a frame that does not fit ends the run, and the message says whose it is."""
    with Workspace() as space:
        stream = Stream(space, "l", ["id", "k", "ts"])
        names_of(space, "x", 2)
        os.makedirs(space.file("names"), exist_ok=True)
        rows = 1 << 20
        table = pa.table({"nk": pa.array([f"key {i:060}" for i in range(rows)]), "name": pa.array([None] * rows, pa.string()),
                          "price": pa.array([None] * rows, pa.decimal128(12, 2))})
        pyarrow.parquet.write_table(table, space.file("names/names.parquet"))
        stream.add([(1, "a", 0)])
        work = {"name": "large", "mode": "streaming", "resources": {"memory": "64M"}, "steps": [source(stream), *refreshing("left", ["l", "names"], "1 hour")]}
        work["steps"][-1]["config"]["trigger"] = "once"
        result = space.run(work)
        equal(result.code, 8, f"exit: {result}")
        check("joinDataFrames" in str(result) and "held until `refresh`" in str(result), f"the step is not in {result}")


def duplicates(seed):
    """An event that is sent again goes on once, though it comes in another epoch or process."""
    choose = random.Random(f"duplicates {seed}")
    with Workspace() as space:
        stream = Stream(space, "l", ["id", "k", "ts"])
        config = {"keys": ["id"], "watermark": {"column": "ts", "delay": f"{DELAY} seconds"}}
        work = {"name": "duplicates", "mode": "streaming", "steps": [
            source(stream), {"type": "transform", "method": "deduplicate", "config": config}, load()]}
        sent, late = [], 0
        for epoch in range(8):
            rows = rows_of(choose, 40, 100 * epoch, 40 * epoch + 60)
            rows = [row if row[2] is not None else (*row[:2], 40 * epoch + 60) for row in rows]
            again = [choose.choice(sent) for _ in range(30)] if sent else []
            sent += rows
            stream.add(rows + again + choose.sample(rows, 10))
            late += late_of(space.run(work).expect(0))
        equal(late, stream.late, "late rows")
        equal(sorted(row[0] for row in out(space)), sorted({row[0] for row in stream.good}), "rows")


def windows():
    """A query with windows over a stream: each window once, when it closes."""
    choose = random.Random("windows")
    with Workspace() as space:
        stream = Stream(space, "l", ["id", "k", "ts"])
        query = "SELECT window.start AS s, k, count(*) AS n, sum(id) AS ids FROM l_m GROUP BY window(ts, '1 minute'), k EMIT FINAL"
        work = {"name": "windows", "mode": "streaming", "steps": [
            source(stream), measured(stream), {"type": "transform", "method": "sql", "config": {"query": query}}, load()]}
        for epoch in range(4):
            rows = [(100 * epoch + i, choose.choice("ab"), 50 * epoch + choose.randrange(50)) for i in range(30)]
            stream.add(rows + [(-1, "end", 100000)] * (epoch == 3))
            space.run(work).expect(0)
        connection = duckdb.connect()
        connection.register("l", stream.table(stream.good))
        wanted = connection.sql("SELECT epoch_us(ts) // 60000000, k, count(*), sum(id)::BIGINT FROM l WHERE id >= 0 GROUP BY 1, 2").fetchall()
        equal(stream.late, 0, "late rows")
        equal(sorted((int(row[0].timestamp()) // 60, *row[1:]) for row in out(space)), sorted(wanted), "rows")


def refused(steps, message):
    with Workspace() as space:
        left, right = Stream(space, "l", ["id", "k", "ts"]), Stream(space, "r", ["rid", "rk", "rts"])
        for stream in (left, right):
            stream.add([(1, "a", 1)])
        result = space.run({"name": "refused", "mode": "streaming", "steps": [
            source(left), measured(left), source(right), measured(right), *steps, load()]})
        check(result.code == 3 or result.code == 2, f"exit {result.code}: {result}")
        check(message in str(result), f"{message} is not in {result}")


def batch(kind):
    """Without streams `within` is one more condition."""
    choose = random.Random(kind)
    with Workspace() as space:
        left, right = Stream(space, "l", ["id", "k", "ts"]), Stream(space, "r", ["rid", "rk", "rts"])
        left.add(rows_of(choose, 300, 0, 900))
        right.add(rows_of(choose, 300, 1000, 900))
        step = load()
        del step["config"]["trigger"]
        space.run({"name": "batch", "steps": [
            source(left, False), measured(left), source(right, False), measured(right),
            {"type": "transform", "method": "joinDataFrames",
             "config": {"inputDataFrames": ["l_m", "r_m"], "joinConditions": ["l_m.k = r_m.rk"], "joinType": kind, "within": f"{WITHIN} seconds"}},
            step]}).expect(0)
        connection = duckdb.connect()
        connection.register("l", left.table(left.good))
        connection.register("r", right.table(right.good))
        wanted = connection.sql(f"""SELECT id, rid FROM l {kind} JOIN r ON k = rk
            AND abs(epoch_us(ts) - epoch_us(rts)) <= {WITHIN * 1000000}""").fetchall()
        equal(sorted(((row[0], row[3]) for row in out(space)), key=key), sorted(wanted, key=key), "rows")


def main():
    suite = Suite("stream joins")
    for kind in ("inner", "left", "right", "full", "left_semi", "left_anti"):
        if "_" not in kind:
            suite.case(f"batch {kind}", batch, kind)
        for seed in range(20 if os.environ.get("MILLRACE_LONG") else 1):
            suite.case(f"{kind} seed {seed}", joins, kind, seed)
    suite.case("static left", static, "left", ["l", "names"])
    suite.case("static right", static, "right", ["names", "l"])
    suite.case("static inner", static, "inner", ["names", "l"])
    suite.case("refreshed left", refreshed, "left", ["l", "names"])
    suite.case("refreshed inner", refreshed, "inner", ["names", "l"])
    rules = {"type": "validate", "method": "validateNulls", "config": {"notNullColumns": ["name"]}}
    known = {"type": "transform", "method": "filterRows", "config": {"condition": "nk <> 'b'", "registerAs": "checked"}}
    suite.case("refreshed behind steps", refreshed, "right", ["checked", "l"], rules, known)
    suite.case("refreshed, a server", refreshed_server)
    suite.case("refreshed often", refreshed_often)
    suite.case("refreshed, too large", refreshed_too_large)
    for seed in range(20 if os.environ.get("MILLRACE_LONG") else 1):
        suite.case(f"duplicates seed {seed}", duplicates, seed)
    suite.case("windows in sql", windows)
    suite.case("one process", one_process)
    join = {"inputDataFrames": ["l_m", "r_m"], "leftKeys": ["k"], "rightKeys": ["rk"]}
    suite.case("no within", refused, [{"type": "transform", "method": "joinDataFrames", "config": join}], "within")
    suite.case("no watermark", refused, [{"type": "transform", "method": "joinDataFrames",
                                          "config": {**join, "inputDataFrames": ["l", "r_m"], "within": "1 minute"}}], "has no watermark")
    suite.case("nothing to refresh", refused, [{"type": "transform", "method": "joinDataFrames",
                                                "config": {**join, "within": "1 minute", "refresh": "1 hour"}}], "refresh")
    suite.case("last", refused, [{"type": "transform", "method": "deduplicate", "config": {"keys": ["id"], "keep": "last", "inputDataFrames": ["l_m"]}}],
               "the last row of a key")
    suite.end()


if __name__ == "__main__":
    main()

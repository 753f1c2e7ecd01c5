#!/usr/bin/env python3
"""What clocks and partitions do to event time, against every step that knows of it: a table of cases, at random within each, beside DuckDB.

A case says how the partitions of a topic behave: in order, out of order within the delay or beyond it, silent at first, silent later, an hour ahead or behind; and whether
silent ones become idle. Each is read by one pipeline with tumbling, sliding and session windows, rows windows, a de-duplication and a join with a second topic of another kind.
Epochs are processes (trigger once), so all that is kept goes through the state; where partitions become idle, a process goes on until the
watermark has come as far as it can. Which rows are late, and what must come out, DuckDB computes from all rows, their epochs and partitions; sessions, in which a row may
come when what it would have belonged to has closed, follow the rule once more in Python. SEEDS=N seeds of each case (MILLRACE_LONG=1: 20; without either some cases once),
`test_event_cases.py "ahead, seed 7"` runs one.
"""

import datetime
import json
import os
import random
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("kafka", "pyarrow", "duckdb")
import broker
from broker import workspace
import duckdb
from engine import catches
from running import Running
from table import parquet_rows

LONG = bool(os.environ.get("MILLRACE_LONG") or os.environ.get("SEEDS") or len(sys.argv) > 1)
SEEDS = int(os.environ.get("SEEDS") or (20 if LONG else 1))
SHORT = "late", "silent at first", "ahead", "idle, behind"
START = 1767225600  # 2026-01-01
DELAY, SIZE, SLIDE, GAP, WITHIN = 20, 30, 10, 6, 15
EPOCHS, HOUR, NONE = 4, 3600, -10**9
FAR = 100 * HOUR
COLUMNS = "id BIGINT", "k STRING", "ts TIMESTAMP", "v BIGINT", "p INT"
JOINS = "inner", "left", "right", "full"

# Of the three partitions of the topic, and of the two of the other one; do silent ones become idle?
CASES = {
    "in order": (["order", "order", "order"], ["order", "order"], False),
    "in time": (["delay", "delay", "delay"], ["delay", "delay"], False),
    "late": (["late", "order", "late"], ["late", "delay"], False),
    "silent at first": (["late", "silent", "order"], ["delay", "silent"], False),
    "silent later": (["late", "stops", "order"], ["stops", "late"], False),
    "ahead": (["late", "ahead", "delay"], ["order", "ahead"], False),
    "behind": (["late", "behind", "delay"], ["behind", "delay"], False),
    "idle": (["late", "silent", "stops"], ["late", "stops"], True),
    "idle, ahead": (["late", "ahead stops", "order"], ["late", "delay"], True),
    "idle, behind": (["late", "behind stops", "silent"], ["behind stops", "order"], True),
}


def pipeline(left, right, kind, idle):
    def source(topic, name, letter=""):
        return [{"type": "extract", "method": "fromKafka", "config": {
                    "topic": topic, "format": "json", "schema": ", ".join(letter + column for column in COLUMNS), "startingOffsets": "earliest", "registerAs": name}},
                {"type": "transform", "method": "withWatermark", "config": {
                    "inputDataFrames": [name], "column": f"{letter}ts", "delay": f"{DELAY} seconds", "registerAs": f"{name}_m", **({"idle": "40 ms"} if idle else {})}}]

    trigger = "5 ms" if idle else "once"
    steps = [*source(left, "l"), *source(right, "r", "r")]

    def add(name, method, **config):
        steps.append({"type": "transform", "method": method, "config": {"inputDataFrames": ["l_m"], **config, "registerAs": name}})
        steps.append({"type": "load", "method": "toFile", "config": {"path": name, "format": "parquet", "mode": "append", "trigger": trigger}})

    for name, window in (("tumbling", {"size": SIZE}), ("sliding", {"type": "sliding", "size": SIZE, "slide": SLIDE}), ("session", {"type": "session", "gap": GAP})):
        add(name, "aggregateData", groupBy=["k"], aggregations={"n": "count(*)", "s": "sum(v)"}, window={"column": "ts", **window})
    add("other", "aggregateData", inputDataFrames=["r_m"], groupBy=["rk AS k"], aggregations={"n": "count(*)", "s": "sum(rv)"}, window={"column": "rts", "type": "session", "gap": GAP})
    add("rows", "windowColumns", columns={"before": "lag(id)", "some": "sum(v)"}, partitionBy=["p"], frame="ROWS BETWEEN 3 PRECEDING AND CURRENT ROW")
    add("running", "windowColumns", columns={"total": "sum(v)", "first": "first_value(id)"}, partitionBy=["p"], frame="ROWS UNBOUNDED PRECEDING")
    add("once", "deduplicate", keys=["id"])
    add("joined", "joinDataFrames", inputDataFrames=["l_m", "r_m"], leftKeys=["k"], rightKeys=["rk"], joinType=kind, within=f"{WITHIN} seconds")
    return {"name": "cases", "mode": "streaming", "steps": steps}


class Topic:
    """A topic whose partitions behave as a case says; what was sent in which epoch: (epoch, partition, place in it, id, k, ts, v)."""

    def __init__(self, name, behaviour, dice, first, letter=""):
        self.letter = letter
        self.name, self.behaviour, self.dice, self.number = name, behaviour, dice, first
        self.now, self.sent, self.places = 0, [], [0] * len(behaviour)

    def one(self, epoch, partition, row):
        self.sent.append((epoch, partition, self.places[partition], *row))
        self.places[partition] += 1

    def make(self, epoch):
        last = epoch == EPOCHS
        for _ in range(1 if last else self.dice.choice([2, 12, 40])):
            self.now += self.dice.choice([0, 2, 2, 10])
            for partition, how in enumerate(self.behaviour):
                quiet = "silent" in how and epoch < 2 or "stops" in how and 0 < epoch < 3
                if not last and (quiet or self.dice.random() < 0.3):
                    continue
                back = self.dice.randrange(0, {"late": 4 * DELAY, "order": 1}.get(how, DELAY), 2) if self.dice.random() < 0.5 else 0
                clock = HOUR if "ahead" in how else -HOUR if "behind" in how else 0
                moment = FAR if last else self.now - back + clock
                row = (self.number, "end" if last else self.dice.choice("abc"), moment, self.dice.randrange(100))
                self.number += 1
                self.one(epoch, partition, row)
                if not last and self.dice.random() < 0.1:  # the same again, anywhere
                    self.one(epoch, self.dice.randrange(len(self.behaviour)), self.dice.choice(self.sent)[3:])

    def mark(self, epoch, before, reached):
        """A row that shows how far the watermark has come: its session, of an odd time, closes last."""
        if reached > before:
            self.one(epoch, 0, (self.number, "mark", reached - GAP - 1, 0))
            self.number += 1

    def send(self, producer, epoch):
        for at, partition, _, number, k, moment, v in self.sent:
            if at == epoch:
                stamp = datetime.datetime.fromtimestamp(START + moment, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
                row = {"id": number, "k": k, "ts": stamp, "v": v, "p": partition}
                producer.send(self.name, json.dumps({self.letter + n: value for n, value in row.items()}).encode(), partition=partition)


# --- what must come out ---

MARKS = """
CREATE TABLE {t}_marks AS WITH seen AS (  -- by epoch and partition: the latest time so far
    SELECT e.epoch, p.partition, (SELECT max(ts) FROM {t} WHERE {t}.partition = p.partition AND {t}.epoch <= e.epoch) AS latest
    FROM range({epochs}) e(epoch), range({partitions}) p(partition)),
least AS (SELECT epoch, CASE WHEN count(latest) = count(*) THEN min(latest) END AS slowest, max(latest) AS fastest FROM seen GROUP BY epoch),
moves AS (SELECT epoch, coalesce(max(CASE WHEN list_contains({idle}, epoch) THEN fastest ELSE slowest END) OVER (ORDER BY epoch) - {delay}, {none}) AS reached FROM least)
SELECT epoch, coalesce(lag(reached) OVER (ORDER BY epoch), {none}) AS before, reached FROM moves
"""


class Oracle:
    def __init__(self, left, right, epochs, idle):
        self.base = duckdb.connect()
        for name, topic in ("l", left), ("r", right):
            self.base.execute(f"CREATE TABLE {name} (epoch INT, partition INT, place INT, id BIGINT, k VARCHAR, ts BIGINT, v BIGINT)")
            self.base.executemany(f"INSERT INTO {name} VALUES (?, ?, ?, ?, ?, ?, ?)", [row for row in topic.sent if row[0] < epochs])
            self.base.execute(MARKS.format(t=name, epochs=epochs, partitions=len(topic.behaviour), idle=[e for e in idle if e < epochs], delay=DELAY, none=NONE))
            self.base.execute(f"CREATE VIEW {name}_all AS SELECT * FROM {name} JOIN {name}_marks USING (epoch)")
        self.reached = self.rows("SELECT max(reached) FROM l_marks")[0][0]

    def rows(self, query):
        return self.base.execute(query).fetchall()

    def windows(self, slide):
        """Final rows and the number of rows that are in no window any more."""
        self.base.execute(f"""CREATE OR REPLACE VIEW placed AS SELECT *, unnest(range((floor(ts / {slide}) * {slide})::BIGINT, ts - {SIZE}, -{slide})) AS s FROM l_all""")
        final = self.rows(f"SELECT k, s, s + {SIZE}, count(*), sum(v)::BIGINT FROM placed WHERE s + {SIZE} > before GROUP BY k, s HAVING s + {SIZE} <= {self.reached}")
        late = self.rows(f"SELECT count(*) FROM (SELECT bool_and(s + {SIZE} <= before) AS gone FROM placed GROUP BY partition, place) WHERE gone")[0][0]
        return final, late

    def sessions(self, name):
        final, opened, late = [], [], 0
        rows = self.rows(f"SELECT epoch, before, reached, k, ts, v FROM {name}_all ORDER BY epoch, partition, place")
        for epoch, before, reached in self.rows(f"SELECT epoch, before, reached FROM {name}_marks ORDER BY epoch"):
            for _, _, _, k, ts, v in (row for row in rows if row[0] == epoch):
                if ts + GAP <= before:
                    late += 1
                    continue
                touched = [o for o in opened if o[0] == k and o[1] <= ts + GAP and o[2] >= ts]
                opened = [o for o in opened if o not in touched]
                opened.append((k, min([ts, *(o[1] for o in touched)]), max([ts + GAP, *(o[2] for o in touched)]),
                               1 + sum(o[3] for o in touched), v + sum(o[4] for o in touched)))
            final += [o for o in opened if o[2] < reached]
            opened = [o for o in opened if o[2] >= reached]
        return final, late

    def marks(self, name):
        """(before, reached) of the last epoch."""
        return self.rows(f"SELECT before, reached FROM {name}_marks ORDER BY epoch DESC LIMIT 1")[0]

    def whole_sessions(self):
        """Of all rows at once: right where nothing was late and nothing came behind a close."""
        return self.rows(f"""SELECT k, min(ts), max(ts) + {GAP}, count(*), sum(v)::BIGINT FROM (SELECT *, sum(new) OVER (PARTITION BY k ORDER BY ts, id, place, partition) AS number FROM
            (SELECT *, coalesce(ts > lag(ts) OVER (PARTITION BY k ORDER BY ts, id, place, partition) + {GAP}, true)::INT AS new FROM l)) GROUP BY k, number HAVING max(ts) + {GAP} < {self.reached}""")

    def row_windows(self):
        return self.rows("""SELECT id, partition, lag(id) OVER w, sum(v) OVER (w ROWS BETWEEN 3 PRECEDING AND CURRENT ROW)::BIGINT FROM l
            WINDOW w AS (PARTITION BY partition ORDER BY place)""")

    def running(self):
        return self.rows("""SELECT id, partition, sum(v) OVER w::BIGINT, first_value(id) OVER w FROM l
            WINDOW w AS (PARTITION BY partition ORDER BY place ROWS UNBOUNDED PRECEDING)""")

    def once(self):
        return self.rows("SELECT DISTINCT id, ts FROM l_all WHERE ts > before")

    def late(self, name):
        return self.rows(f"SELECT count(*) FROM {name}_all WHERE ts <= before")[0][0]

    def joined(self, kind):
        return self.rows(f"""SELECT l.id, r.id FROM (FROM l_all WHERE ts > before) l {kind} JOIN (FROM r_all WHERE ts > before) r
            ON l.k = r.k AND abs(l.ts - r.ts) <= {WITHIN}""")


# --- what came out ---


def came(space, name, *columns):
    def plain(value):
        return round(value.timestamp()) - START if isinstance(value, datetime.datetime) else value

    return [tuple(plain(row[c]) for c in columns) for row in parquet_rows(space.file(name))]


def same(got, wanted, what):
    def order(row):
        return [(v is not None, v) for v in row]

    got, wanted = sorted(got, key=order), sorted(wanted, key=order)
    more, less = [r for r in got if r not in wanted], [r for r in wanted if r not in got]
    check(got == wanted, f"{what}: {len(got)} rows, wanted {len(wanted)}; too much {more[:4]}, missing {less[:4]}")


def late_of(report):
    return report["rows_late"]


def until_idle(space, document, wanted):
    """A process goes on until so many rows are there, by name: the watermark can come no further."""
    with Running(space, document) as run:
        run.until(lambda: all(len(came(space, name)) >= count for name, count in wanted.items()) and catches(run.process, signal.SIGTERM),
                  lambda: f"{({name: len(came(space, name)) for name in wanted})}, wanted {wanted}")
        return run.drain()


WINDOW = "k", "window_start", "window_end", "n", "s"


def case(server, producer, name, seed):
    lefts, rights, idle = CASES[name]
    dice = random.Random(f"{name} {seed}")
    kind = dice.choice(JOINS)
    topics = f"{name}-{seed}-l".replace(", ", "-").replace(" ", "-"), f"{name}-{seed}-r".replace(", ", "-").replace(" ", "-")
    left, right = Topic(topics[0], lefts, dice, 0), Topic(topics[1], rights, dice, 10**6, "r")
    server.topic(left.name, len(lefts))
    server.topic(right.name, len(rights))
    idles = [1, 2] if idle else []  # epochs in which all that is silent becomes idle
    late = 0
    with workspace(server) as space:
        for epoch in range(EPOCHS + 1):
            for topic in left, right:
                topic.make(epoch)
            if epoch in idles:
                before = Oracle(left, right, epoch + 1, idles)
                left.mark(epoch, *before.marks("l"))
                right.mark(epoch, *before.marks("r"))
            for topic in left, right:
                topic.send(producer, epoch)
            producer.flush()
            if epoch in idles:
                oracle = Oracle(left, right, epoch + 1, idles)
                wanted = {"rows": len(left.sent), "session": len(oracle.sessions("l")[0]), "other": len(oracle.sessions("r")[0])}
                report = until_idle(space, pipeline(*topics, kind, True), wanted)
            else:
                report = space.run(pipeline(*topics, kind, False)).expect(0).report
            late += late_of(report)
        oracle = Oracle(left, right, EPOCHS + 1, idles)
        (tumbling, late_1), (sliding, late_2), (sessions, late_3), (other, late_4) = oracle.windows(SIZE), oracle.windows(SLIDE), oracle.sessions("l"), oracle.sessions("r")
        same(came(space, "tumbling", *WINDOW), tumbling, "tumbling")
        same(came(space, "sliding", *WINDOW), sliding, "sliding")
        same(came(space, "session", *WINDOW), sessions, "session")
        same(came(space, "other", *WINDOW), other, "session of the other topic")
        same(came(space, "rows", "id", "p", "before", "some"), oracle.row_windows(), "rows")
        same(came(space, "running", "id", "p", "total", "first"), oracle.running(), "running")
        same(came(space, "once", "id", "ts"), oracle.once(), "de-duplicated")
        same([row for row in came(space, "joined", "id", "rid")], oracle.joined(kind), f"{kind} join")
        equal(late, late_1 + late_2 + late_3 + late_4 + 2 * oracle.late("l") + oracle.late("r"), "late rows")
        if late == 0 and name in ("in order", "in time"):
            same(sessions, oracle.whole_sessions(), "DuckDB's sessions")
    return late


def add(suite, server):
    """Also from test_event_time.py, whose broker is there already."""
    producer = server.producer(linger_ms=5)
    for seed in range(SEEDS):
        for name in CASES if LONG else SHORT:
            suite.case(f"{name}, seed {seed}", case, server, producer, name, seed)
    producer.close()


def main():
    broker.need()
    suite = Suite("event cases")
    with broker.Broker() as server:
        add(suite, server)
    suite.end()


if __name__ == "__main__":
    main()

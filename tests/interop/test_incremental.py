#!/usr/bin/env python3
"""Incremental reading of fromPostgres, without the engine: each run gets the bytes that the run before gave.

Needs the program postgres_read (built by make check beside this file's log). MILLRACE_LONG=1: 64 writers and a million rows.
"""

import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need, need_built

need("psycopg")
from server import Server, Standby, need_server

need_server()

READ = need_built("tests/interop/postgres_read")
LONG = bool(os.environ.get("MILLRACE_LONG"))


class Result:
    def __init__(self, text):
        self.rows, self.notes, self.splits = [], [], 0
        self.error = self.upto = self.text = self.guarantee = self.repeats = self.sql = None
        for line in text.split("\n"):
            kind, *fields = line.split("\t")
            if kind == "row":
                self.rows.append(tuple(None if f == "~" else f for f in fields))
            elif kind == "note":
                self.notes.append(fields[0])
            elif kind == "split":
                self.splits += 1
            elif kind == "upto":
                self.upto, self.text = fields
            elif kind == "guarantee":
                self.guarantee, self.repeats = fields[0], fields[1] == "repeats"
            elif kind == "sql":
                self.sql = fields[0]
            elif kind == "error":
                self.error = dict(zip(("status", "class", "message", "where", "hint"), fields))
            elif kind == "leak":
                raise AssertionError(f"leak of {fields[0]} bytes")

    def column(self, at=0):
        return sorted((r[at] for r in self.rows), key=lambda v: (len(v or ""), v or ""))


class Series:
    """Runs of one step, each beginning where the last one ended."""

    def __init__(self, server, database, incremental, *flags, **options):
        self.server, self.database, self.flags = server, database, flags
        self.incremental, self.options = incremental, options
        self.since = None
        self.last = None

    def read(self, *flags, **options):
        server = options.pop("server", self.server)
        keys = {"host": server.place, "port": server.port, "database": self.database, "username": "postgres",
                **self.options, **options, **{f"incremental.{k}": v for k, v in self.incremental.items()}}
        since = ["--since", self.since] if self.since else []
        done = subprocess.run([READ, *self.flags, *since, *flags, *[f"{k}={v}" for k, v in keys.items()]],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        check(done.returncode in range(0, 20), f"ended with {done.returncode}: {done.stderr[-2000:]}")
        return Result(done.stdout)

    def run(self, *flags, **options):
        """One committed run: its rows."""
        self.last = self.read(*flags, **options)
        check(self.last.error is None, f"failed: {self.last.error}")
        check(self.last.upto, "no upto")
        self.since = self.last.upto
        return self.last.column()

    def bad(self, message, *flags, **options):
        result = self.read(*flags, **options)
        check(result.error is not None, f"did not fail, but gave {len(result.rows)} rows")
        check(message in result.error["message"], f"the message is {result.error}")
        return result.error


def session(server, name):
    connection = server.connect(name)
    connection.autocommit = False
    return connection


def names(*numbers):
    return sorted((str(n) for n in numbers), key=lambda v: (len(v), v))


# --- the scenario that loses rows without a bound ---

SETUP = [
    "CREATE TABLE {t} (id serial PRIMARY KEY, at timestamptz DEFAULT now(), x xid8 DEFAULT pg_current_xact_id(), v text)",
    "CREATE INDEX ON {t} (x)", "CREATE INDEX ON {t} (at)",
]


def lost_rows(server, name, table, incremental):
    """Rows 1-3 are held by an open transaction with a savepoint and by a prepared one while 4 commits."""
    server.execute(name, *[s.format(t=table) for s in SETUP])
    series = Series(server, name, incremental, table=table, columns="id")
    equal(series.run(), [], "empty table")
    one = session(server, name)
    one.execute(f"INSERT INTO {table} (v) VALUES ('top')")
    one.execute("SAVEPOINT s")
    one.execute(f"INSERT INTO {table} (v) VALUES ('savepoint')")
    one.execute("RELEASE SAVEPOINT s")
    two = session(server, name)
    two.execute(f"INSERT INTO {table} (v) VALUES ('prepared')")
    two.execute(f"PREPARE TRANSACTION 'p {table}'")
    two.commit()
    server.execute(name, f"INSERT INTO {table} (v) VALUES ('fourth')")
    seen = series.run()
    notes = " ".join(series.last.notes)
    check("incremental: the oldest " in notes and ("pid" in notes or "prepared transaction" in notes), notes)
    one.commit()
    seen += series.run()
    server.execute(name, f"COMMIT PREPARED 'p {table}'")
    time.sleep(0.02)  # the bound is 10 ms behind the clock
    seen += series.run()
    equal(sorted(seen), ["1", "2", "3", "4"], "every row once")
    equal(series.run(), [], "nothing new")
    one.close()
    two.close()


def gate(server, name):
    lost_rows(server, name, "gate", {"column": "x"})
    series = Series(server, name, {"column": "x", "mode": "xid"}, table="gate", columns="id")
    equal(series.run(), names(1, 2, 3, 4), "a first run")
    check("exactly once" in series.last.guarantee and not series.last.repeats, series.last.guarantee)
    # An update writes a new version, which comes once more when the column is set again.
    server.execute(name, "UPDATE gate SET v = 'new', x = pg_current_xact_id() WHERE id = 2")
    equal(series.run(), ["2"], "an update")
    # A session that only reads holds nothing back.
    reader = session(server, name)
    reader.execute("SELECT count(*) FROM gate")
    server.execute(name, "INSERT INTO gate (v) VALUES ('while read')")
    equal(series.run(), ["5"], "beside a reader")
    reader.close()
    # A rolled back transaction is no row and no obstacle.
    gone = session(server, name)
    gone.execute("INSERT INTO gate (v) VALUES ('never')")
    server.execute(name, "INSERT INTO gate (v) VALUES ('kept')")
    equal(series.run(), [], "held back")
    pid = gone.info.backend_pid
    check(any(f"pid {pid} (idle in transaction" in n for n in series.last.notes), series.last.notes)
    gone.rollback()
    gone.close()
    equal(series.run(), ["7"], "behind a rollback")
    series = Series(server, name, {"column": "x"}, query="SELECT id, x FROM gate WHERE id > 2 -- some", columns="id")
    equal(series.run(), names(3, 4, 5, 7), "of a query")
    server.execute(name, "INSERT INTO gate (v) VALUES ('queried')")
    equal(series.run(where="id > 0"), ["8"], "of a query with where")
    text = series.last.text
    again = Series(server, name, {"column": "x"}, table="gate", columns="id")
    server.execute(name, "INSERT INTO gate (v) VALUES ('after text')")
    equal(again.run("--since-text", text), ["9"], "a watermark that a person set")
    again = Series(server, name, {"column": "x"}, table="gate", columns="id")
    check("no value of" in again.bad("watermark", "--since-text", "soon")["message"], "bad text")
    again = Series(server, name, {"column": "x"}, table="gate", columns="id", snapshot="none")
    equal(len(again.run()), 8, "without a shared snapshot")
    equal(again.run(), [], "and nothing again")
    filtered = Series(server, name, {"column": "x"}, "--where", "id <= 5", "--need", "id", table="gate")
    equal(filtered.run(), names(1, 2, 3, 4, 5), "with a filter in the source")


def bound(server, name):
    lost_rows(server, name, "bound", {"column": "at"})
    series = Series(server, name, {"column": "at"}, table="bound", columns="id")
    equal(series.run(), names(1, 2, 3, 4), "a first run")
    check("exactly once" in series.last.guarantee and not series.last.repeats, series.last.guarantee)
    # Open, but not writing yet: it has no transaction number, and will write its begin all the same.
    early = session(server, name)
    early.execute("SELECT 1")
    time.sleep(0.02)
    seen = series.run()
    server.execute(name, "INSERT INTO bound (v) VALUES ('between')")
    seen += series.run()
    early.execute("INSERT INTO bound (v) VALUES ('early')")
    early.commit()
    early.close()
    time.sleep(0.02)
    seen += series.run()
    equal(sorted(seen), ["5", "6"], "a transaction that wrote late")
    equal(len(series.last.text.split(".")[1].split("+")[0]), 6, f"microseconds: {series.last.text}")
    # First run beside a prepared transaction.
    other = session(server, name)
    other.execute("INSERT INTO bound (v) VALUES ('prepared')")
    other.execute("PREPARE TRANSACTION 'first'")
    other.commit()
    other.close()
    first = Series(server, name, {"column": "at"}, table="bound", columns="id")
    equal(first.bad("prepared")["class"], "transient", "class")
    wide = Series(server, name, {"column": "at", "overlap": "1 hour"}, table="bound", columns="id")
    seen = set(wide.run())
    check(wide.last.repeats, "an overlap repeats")
    server.execute(name, "COMMIT PREPARED 'first'")
    time.sleep(0.02)
    seen |= set(wide.run())
    equal(sorted(seen), names(1, 2, 3, 4, 5, 6, 7), "with an overlap")
    equal(len(wide.run()), 7, "the overlap again")


def wall_clocks(server, name):
    server.execute(name, "CREATE TABLE wall (id int, t timestamp DEFAULT now(), d date DEFAULT current_date)",
                   "INSERT INTO wall VALUES (1, now() - interval '2 days', current_date - 2), (2, now(), current_date)")
    time.sleep(0.02)
    series = Series(server, name, {"column": "t"}, table="wall", columns="id")
    equal(series.run(), ["1", "2"], "timestamp")
    check("time zone UTC" in series.last.guarantee, series.last.guarantee)
    server.execute(name, "INSERT INTO wall VALUES (3)")
    time.sleep(0.02)
    equal(series.run(), ["3"], "timestamp, next")
    series = Series(server, name, {"column": "d"}, table="wall", columns="id")
    equal(series.run(), ["1"], "date: today comes tomorrow")
    server.execute(name, "INSERT INTO wall VALUES (4, now(), current_date)")
    equal(series.run(), [], "date: not yet")


# --- cursors without a bound ---

def cursors(server, name):
    server.execute(name, "CREATE TABLE n (id bigint, k int NOT NULL, v numeric, t text, PRIMARY KEY (k))",
                   "INSERT INTO n SELECT 7, g, g + 0.000000000000000000000000000000000000000001, 'a' || g FROM generate_series(1, 50) g",
                   "INSERT INTO n VALUES (NULL, 51, NULL, NULL)")
    plain = Series(server, name, {"column": "id"}, table="n", columns="k")
    equal(len(plain.run()), 51, "ties and the NULL")
    check(plain.last.guarantee.startswith("none: ") and "overlap" in plain.last.guarantee, plain.last.guarantee)
    check(any("NULL" in n for n in plain.last.notes), plain.last.notes)
    tied = Series(server, name, {"column": "id", "key": "k"}, table="n", columns="k")
    equal(len(tied.run()), 51, "with a key")
    equal(tied.last.text, "{7,50}", "text of value and key")
    server.execute(name, "INSERT INTO n VALUES (7, 60, 60, 'a60'), (NULL, 61, NULL, NULL), (6, 62, 5, 'a')")
    equal(tied.run(), ["60"], "a later tie; NULL and smaller values are not read again")
    equal(plain.run(), [], "without a key the tie is behind")
    person = Series(server, name, {"column": "id", "key": "k"}, table="n", columns="k")
    equal(person.run("--since-text", "{7,49}"), names(50, 60), "set by a person")
    person = Series(server, name, {"column": "id", "key": "k"}, table="n", columns="k")
    equal(person.run("--since-text", "6"), names(*range(1, 51), 60), "the value alone")
    equal(person.run(), [], "and its next run")
    person = Series(server, name, {"column": "id", "key": "k"}, table="n", columns="k")
    equal(person.run("--since-text", "7"), [], "the value alone, nothing new")
    equal(person.run(), [], "and its next run")
    person.since = None
    person.bad("not a value", "--since-text", "{7}")
    person.bad("no value of", "--since-text", "{7,x}")
    number = Series(server, name, {"column": "v"}, table="n", columns="k", numericAs="text")
    equal(len(number.run()), 54, "numeric")
    equal(number.last.text, "60", "largest")
    server.execute(name, "INSERT INTO n VALUES (8, 70, 60.000000000000000000000000000000000000000001), (8, 71, 'NaN')")
    equal(number.run(), ["70"], "all digits count; NaN is no end")
    server.execute(name, "INSERT INTO n VALUES (8, 72, 61)")
    equal(number.run(), ["72"], "behind NaN")
    texts = Series(server, name, {"column": "t"}, table="n", columns="k")
    texts.run()
    server.execute(name, "INSERT INTO n VALUES (8, 80, 1, 'z''\\x')")
    equal(texts.run(), ["80"], "text with quotes")
    equal(texts.run(), [], "text again")
    over = Series(server, name, {"column": "k", "overlap": "10"}, table="n", columns="k")
    equal(len(over.run()), 58, "first run of an overlap")
    check(over.last.repeats and "at least once" in over.last.guarantee, over.last.guarantee)
    equal(over.run(), names(70, 71, 72, 80), "the overlap")
    start = Series(server, name, {"column": "k", "initial": "72"}, table="n", columns="k")
    equal(start.run(), names(72, 80), "initial")
    equal(start.run(), [], "behind initial")
    bad = Series(server, name, {"column": "k", "initial": "soon"}, table="n")
    check("initial" in bad.bad("no value of")["where"] + bad.bad("")["message"], "initial")
    Series(server, name, {"column": "t", "overlap": "1"}, table="n").bad("overlap needs")
    Series(server, name, {"column": "k", "overlap": "-1"}, table="n").bad("at least 0")
    Series(server, name, {"column": "k", "overlap": "much"}, table="n").bad("at least 0")
    Series(server, name, {"column": "k", "mode": "xid"}, table="n").bad("xid8")
    Series(server, name, {"column": "nothing"}, table="n").bad("no column")
    Series(server, name, {"key": "k"}, table="n").bad("needs \"column\"")
    Series(server, name, {"column": "k", "key": "id"}, table="n").bad("may be NULL")


def microseconds(server, name):
    server.execute(name, "CREATE TABLE m (id int, at timestamptz(6))", "CREATE ROLE seer LOGIN",
                   "GRANT SELECT ON m TO seer",
                   "INSERT INTO m VALUES (1, '2024-01-01 00:00:00.000001+00'), (2, '2024-01-01 00:00:00.000002+00'), "
                   "(3, NULL), (4, 'infinity')")
    series = Series(server, name, {"column": "at"}, table="m", columns="id", username="seer", infinityAs="text")
    equal(series.run(), names(1, 2, 3), "without sight of other sessions")
    equal(series.last.text, "2024-01-01 00:00:00.000002+00", "text")
    check(series.last.guarantee.startswith("none: ") and "pg_read_all_stats" in series.last.guarantee, series.last.guarantee)
    server.execute(name, "INSERT INTO m VALUES (5, '2024-01-01 00:00:00.000003+00'), (6, '2024-01-01 00:00:00.000002+00')")
    equal(series.run(), ["5"], "a microsecond later")
    over = Series(server, name, {"column": "at", "overlap": "1 microsecond"}, table="m", columns="id", username="seer", infinityAs="text")
    over.run("--since-text", "2024-01-01 00:00:00.000003+00")
    equal(over.last.column(), names(2, 5, 6), "an overlap of a microsecond")
    check(over.last.repeats, "repeats")
    server.execute(name, "GRANT pg_read_all_stats TO seer")
    equal(series.run(), [], "the same series with a bound")
    check("exactly once" in series.last.guarantee, series.last.guarantee)
    later = Series(server, name, {"column": "at", "initial": "2024-01-01 00:00:00.000003+00"}, table="m", columns="id", infinityAs="text")
    equal(later.run(), names(3, 5), "initial, and the NULL")


# --- whose watermark ---

def identity(server, name):
    server.execute(name, "CREATE TABLE a (id int, x xid8 DEFAULT pg_current_xact_id(), y int)", "INSERT INTO a VALUES (1)",
                   "CREATE TABLE b (id int, x xid8 DEFAULT pg_current_xact_id())")
    series = Series(server, name, {"column": "x"}, table="a", columns="id")
    series.run()
    series.options = {"table": "b", "columns": "id"}
    error = series.bad("relation")
    equal((error["status"], error["class"]), ("source", "config"), "what error")
    check("--fresh" in error["hint"] and "millrace watermark set" in error["hint"], error)
    series.options = {"table": "a", "columns": "id"}
    series.incremental = {"column": "id"}
    series.bad("column")
    series.incremental = {"column": "x"}
    good, series.since = series.since, "0203"
    series.bad("unknown form")
    for size in range(2, len(good), 14):
        series.since = good[:size]
        series.bad("unknown form")
    series.since = good
    number = Series(server, name, {"column": "y"}, table="a", columns="id")
    number.run()
    server.execute(name, "ALTER TABLE a ALTER y TYPE bigint")
    number.bad("type")
    ahead = Series(server, name, {"column": "x"}, table="a", columns="id")
    error = ahead.bad("front of transaction", "--since-text", "999999999999")
    check("restored" in error["hint"] and "--fresh" in error["hint"], error)
    with Server() as other:
        other.database(name)
        other.execute(name, "CREATE TABLE a (id int, x xid8 DEFAULT pg_current_xact_id(), y int)")
        error = series.bad("system identifier", server=other)
        check("--fresh" in error["hint"], error)
    server.stop()
    server.start()
    server.execute(name, "INSERT INTO a VALUES (2)")
    equal(series.run(), ["2"], "the same server, started again")


def partitions(server, name):
    server.execute(
        name, "CREATE TABLE parts (id int NOT NULL, x xid8 DEFAULT pg_current_xact_id(), v text) PARTITION BY HASH (id)",
        *[f"CREATE TABLE parts{i} PARTITION OF parts FOR VALUES WITH (MODULUS 3, REMAINDER {i})" for i in range(3)],
        "INSERT INTO parts (id, v) SELECT g, repeat('x', 50) FROM generate_series(1, 20000) g",
    )
    for options in ({"numPartitions": "6"}, {"partitionColumn": "id", "numPartitions": "5"},
                    {"partitionColumn": "id", "lowerBound": "1", "upperBound": "20000", "numPartitions": "4"}):
        base = int(server.rows(name, "SELECT max(id) FROM parts")[0][0])
        series = Series(server, name, {"column": "x"}, "--threads", "2", table="parts", columns="id", **options)
        equal(series.run(), names(*range(1, base + 1)), f"first run {options}")
        check(series.last.splits > 1, f"{series.last.splits} splits")
        server.execute(name, f"INSERT INTO parts (id) SELECT g FROM generate_series({base + 1}, {base + 1000}) g")
        equal(series.run(), names(*range(base + 1, base + 1001)), f"next run {options}")
    # Opened again in the middle of its splits.
    series = Series(server, name, {"column": "x"}, "--reopen", "100", "--batch", "50", table="parts", columns="id", numPartitions="6")
    equal(len(series.run()), len(set(series.last.column())), "reopened")
    equal(len(series.last.rows), base + 1000, "reopened, all")


def standby(server, name):
    server.execute(name, "CREATE TABLE s (id int, x xid8 DEFAULT pg_current_xact_id(), at timestamptz DEFAULT now())", "INSERT INTO s VALUES (1)")
    with Standby(server) as copy:
        exact = Series(copy, name, {"column": "x"}, table="s", columns="id", **{"properties.maxPoolSize": "1"})
        held = session(server, name)
        held.execute("SAVEPOINT a")
        held.execute("INSERT INTO s VALUES (2)")
        server.execute(name, "INSERT INTO s VALUES (3)")
        copy.catch_up(name)
        seen = exact.run()
        several = Series(copy, name, {"column": "x"}, table="s", columns="id")
        if copy.imports_snapshots(name):
            equal(several.run(), seen, "several connections in one snapshot")
        else:
            check("update the standby" in several.bad("cannot read in one snapshot")["hint"], "the remedy")
        held.commit()
        held.close()
        copy.catch_up(name)
        seen += exact.run()
        equal(sorted(seen), ["1", "2", "3"], "every row once, on a standby")
        equal(copy.rows(name, "SELECT id FROM s ORDER BY id"), [(1,), (2,), (3,)], "what others see there")
        equal(Series(copy, name, {"column": "x"}, table="s", columns="id").run(), ["1", "2", "3"], "where nothing is open")
        times = Series(copy, name, {"column": "at"}, table="s", columns="id")
        equal(len(times.run()), 3, "times on a standby")
        check(times.last.guarantee.startswith("none: ") and "standby" in times.last.guarantee, times.last.guarantee)
        # The same history: the primary goes on where the copy ended; a copy that lags is told from that.
        server.execute(name, "INSERT INTO s VALUES (4)")
        equal(exact.run(server=server), ["4"], "from the copy to the primary")
        ahead = Series(copy, name, {"column": "x"}, table="s", columns="id")
        copy.execute(name, "SELECT pg_wal_replay_pause()")
        server.execute(name, "INSERT INTO s VALUES (5)", "INSERT INTO s VALUES (6)")
        ahead.run(server=server)
        check("lags" in ahead.bad("front of transaction")["hint"], "a copy that lags")


# --- soak ---

def writer(server, name, number, stop, committed, lock, budget):
    """Transactions of 0-1 s: savepoints, rollbacks, prepared ones, several rows each."""
    dice = random.Random(number)
    connection = session(server, name)
    mine = []
    done = 0
    while not stop.is_set() and done < budget:
        ids = []

        def insert(rows=1):
            found = connection.execute(
                "INSERT INTO soak (w) SELECT %s FROM generate_series(1, %s) RETURNING id", (number, rows)).fetchall()
            return [r[0] for r in found]

        bulk = 500 if LONG else 1
        ids += insert(dice.randint(1, 4) * bulk)
        if dice.random() < 0.5:
            connection.execute("SAVEPOINT s")
            inner = insert(dice.randint(1, 3))
            if dice.random() < 0.4:
                connection.execute("ROLLBACK TO SAVEPOINT s")
            else:
                ids += inner
        if dice.random() < 0.5:
            stop.wait(dice.random() * dice.random())
        ids += insert()
        kind = dice.random()
        if kind < 0.15:
            connection.rollback()
            ids = []
        elif kind < 0.3 and number < 4:
            gid = f"soak {number} {done}"
            connection.execute(f"PREPARE TRANSACTION '{gid}'")
            connection.commit()
            stop.wait(dice.random() * 0.3)
            connection.autocommit = True
            if dice.random() < 0.3:
                connection.execute(f"ROLLBACK PREPARED '{gid}'")
                ids = []
            else:
                connection.execute(f"COMMIT PREPARED '{gid}'")
            connection.autocommit = False
        else:
            connection.commit()
        mine += ids
        done += len(ids)
    connection.close()
    with lock:
        committed += mine


def soak(server, name):
    server.execute(
        name, "CREATE TABLE soak (id bigserial PRIMARY KEY, w int, at timestamptz DEFAULT now(), x xid8 DEFAULT pg_current_xact_id())",
        "CREATE INDEX ON soak (x)", "CREATE INDEX ON soak (at)")
    writers, seconds = (64, 600) if LONG else (16, 6)
    budget = 1_000_000 // writers if LONG else 10**9
    series = {
        "gate": Series(server, name, {"column": "x"}, table="soak", columns="id"),
        "bound": Series(server, name, {"column": "at"}, table="soak", columns="id"),
        "overlap": Series(server, name, {"column": "at", "overlap": "5 s"}, table="soak", columns="id"),
        "id overlap": Series(server, name, {"column": "id", "overlap": "1000000" if LONG else "20000"}, table="soak", columns="id"),
        "nothing": Series(server, name, {"column": "id"}, table="soak", columns="id"),
    }
    seen = {key: {} for key in series}
    for key in series:
        series[key].run()
    stop, lock, committed = threading.Event(), threading.Lock(), []
    threads = [threading.Thread(target=writer, args=(server, name, i, stop, committed, lock, budget)) for i in range(writers)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    runs = 0
    while time.monotonic() < end and any(t.is_alive() for t in threads):
        for key, one in series.items():
            for number in one.run():
                seen[key][number] = seen[key].get(number, 0) + 1
        runs += 1
    stop.set()
    for thread in threads:
        thread.join()
    time.sleep(0.05)
    for key, one in series.items():
        for number in one.run():
            seen[key][number] = seen[key].get(number, 0) + 1
    wanted = {str(i) for i in committed}
    lost = {key: len(wanted - set(found)) for key, found in seen.items()}
    twice = {key: sum(n - 1 for n in found.values()) for key, found in seen.items()}
    alien = {key: len(set(found) - wanted) for key, found in seen.items()}
    print(f"# {len(wanted)} rows of {writers} writers, {runs} rounds; lost {lost}; again {twice}")
    check(len(wanted) > 200, "too few rows for a soak")
    equal({key: lost[key] for key in ("gate", "bound", "overlap", "id overlap")},
          {"gate": 0, "bound": 0, "overlap": 0, "id overlap": 0}, "lost")
    equal((twice["gate"], twice["bound"]), (0, 0), "duplicated")
    equal(set(alien.values()), {0}, "rows that nobody committed")


def main():
    suite = Suite("incremental")
    with Server() as server:
        name = server.database("incremental")
        suite.case("xid8: every row once", gate, server, name)
        suite.case("time with a bound", bound, server, name)
        suite.case("wall-clock times and dates", wall_clocks, server, name)
        suite.case("values, ties, keys, overlap", cursors, server, name)
        suite.case("microseconds and an unprivileged role", microseconds, server, name)
        suite.case("partitioned reading", partitions, server, name)
        suite.case("standby", standby, server, name)
        suite.case("whose watermark", identity, server, name)
        suite.case("soak", soak, server, name)
    suite.end()


main()

#!/usr/bin/env python3
"""Incremental pipelines from PostgreSQL into PostgreSQL while others write: nothing lost, nothing twice.

The oracle is the server: what the source table holds at the end against what the targets hold. Readers are processes that embed the
library and begin a run every 100 ms, or at once where the one before took longer: a process of its own for each run costs more than the run.
MILLRACE_LONG=1: a million rows, 64 writers, transactions of up to 5 s; MILLRACE_WRITERS, MILLRACE_ROWS, MILLRACE_BULK and
MILLRACE_PAUSE set other numbers. The overlap is 3 s longer than the longest pause; a transaction that is older than that by more than
a second is rolled back. The overlap's reader may not see the other sessions, so that nothing but the overlap keeps it from losing rows.
"""

import ctypes
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("psycopg")
from engine import Workspace, program
from server import Server, need_server

need_server()

LONG = bool(os.environ.get("MILLRACE_LONG"))
WRITERS = int(os.environ.get("MILLRACE_WRITERS") or (64 if LONG else 8))
ROWS = int(os.environ.get("MILLRACE_ROWS") or (1_000_000 if LONG else 6_000))
BULK = int(os.environ.get("MILLRACE_BULK") or (10 if LONG else 5))  # rows of a statement
PAUSE = float(os.environ.get("MILLRACE_PAUSE") or (5 if LONG else 1))  # seconds inside a transaction, at most
PERIOD = 0.1
EQUAL = 1_000_000 if LONG else 100_000


def embedded_reader(library, file):
    """The reader's process: a run every PERIOD until standard input ends, then its figures."""
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "examples", "embed"))
    import pyarrow_stream

    lib = pyarrow_stream.library(library)
    lib.millrace_run.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)]
    lib.millrace_free.argtypes = [ctypes.c_void_p]
    lib.millrace_free.restype = None
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    begun, times, read = [], [], 0
    while not over.is_set():
        begun.append(time.monotonic())
        handle, report = ctypes.c_void_p(), ctypes.c_void_p()
        options = pyarrow_stream.Options(file=file.encode())
        code = lib.millrace_open(ctypes.byref(options), ctypes.byref(handle))
        code = code or lib.millrace_run(handle, None, ctypes.byref(report))
        if code:
            sys.exit(f"code {code}: " + "; ".join(lib.millrace_error_message(handle, i).decode() for i in range(lib.millrace_error_count(handle))))
        read += json.loads(ctypes.string_at(report))["rows_read"]
        lib.millrace_free(report)
        lib.millrace_close(handle)
        times.append(time.monotonic() - begun[-1])
        over.wait(max(0.0, begun[-1] + PERIOD - time.monotonic()))
    print(json.dumps({"begun": begun, "times": times, "read": read}))


class Pipeline:
    """Runs of one pipeline in a folder of its own, so that several can run at a time."""

    def __init__(self, server, database, name, source, load, **login):
        self.server, self.database, self.name = server, database, name
        self.space = Workspace(postgres=server.credentials(database), extra={"reader": {**server.credentials(database), **login}})
        self.space.write("p.json", {"name": name, "resources": {"parallelism": 2}, "steps": [
            {"type": "extract", "method": "fromPostgres", "name": "src", "config": {"credentialPath": "reader", **source}},
            {"type": "load", "method": "toPostgres", "config": {"table": name, **load}}]})
        self.runs = self.read = 0
        self.times, self.begun = [], []

    def start(self):
        library = os.path.join(os.path.dirname(program()), ".libs", "libmillrace.so")
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--reader", library, "p.json"], cwd=self.space.path,
                                        env=self.space.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop(self):
        out = self.process.communicate(timeout=300)[0]
        equal(self.process.returncode, 0, f"{self.name}: exit of the reader")
        figures = json.loads(out)
        self.times, self.begun = figures["times"], figures["begun"]
        self.runs, self.read = self.runs + len(self.times), self.read + figures["read"]

    def period(self):
        between = sorted(b - a for a, b in zip(self.begun, self.begun[1:]))
        return f"{statistics.median(between):.3f} s, 95 % {between[len(between) * 19 // 20]:.3f} s"

    def run(self):
        report = self.space.run("p.json").expect(0).report
        self.runs += 1
        self.read += report["rows_read"]
        return report

    def compare(self, table):
        """Rows of the table that the target lacks, that it has twice, that nobody committed."""
        return self.server.rows(self.database, f"""
            WITH t AS (SELECT id, count(*) AS n FROM "{self.name}" GROUP BY id)
            SELECT count(*) FILTER (WHERE t.id IS NULL), coalesce(sum(t.n - 1), 0)::bigint, count(*) FILTER (WHERE s.id IS NULL)
            FROM {table} s FULL JOIN t USING (id)""")[0]


def equal_values(server, name):
    """Many rows with one value of the cursor, half of them committed behind a run that has seen the others."""
    server.execute(
        name, "CREATE TABLE same (id bigint PRIMARY KEY, at timestamptz NOT NULL, x xid8 DEFAULT pg_current_xact_id())")
    kinds = {
        "same_bound": {"column": "at"},
        "same_gate": {"column": "x"},
        "same_key": {"column": "at", "key": "id", "mode": "cursor"},
    }
    half = EQUAL // 2
    with server.connect(name) as first, server.connect(name) as second:
        first.execute("BEGIN")
        second.execute("BEGIN")
        stamp = second.execute("SELECT now()").fetchone()[0]  # the later one: nobody stamps before its begin
        insert = "INSERT INTO same SELECT g, %s FROM generate_series(%s::bigint, %s) g"
        first.execute(insert, (stamp, 1, half))
        second.execute(insert, (stamp, half + 1, EQUAL))
        first.execute("COMMIT")
        all_of_them = {}
        for kind, incremental in kinds.items():
            all_of_them[kind] = Pipeline(server, name, kind, {"table": "same", "incremental": incremental}, {"mode": "append"})
            all_of_them[kind].run()
        second.execute("COMMIT")
    try:
        for kind, pipeline in all_of_them.items():
            pipeline.run()
            equal(pipeline.compare("same"), (0, 0, 0), f"{kind}: lost, twice, alien")
            equal(pipeline.read, EQUAL, f"{kind}: rows read")
            pipeline.run()
            equal(pipeline.read, EQUAL, f"{kind}: rows read once more")
    finally:
        for pipeline in all_of_them.values():
            pipeline.space.__exit__()


def write(server, name, number, stop, budget, bulk):
    """Transactions of 0 to PAUSE seconds: savepoints, rollbacks, prepared ones."""
    dice = random.Random(number)
    with server.connect(name) as connection:
        done = turn = 0
        while not stop.is_set() and done < budget:
            turn += 1
            added = 0

            def insert(rows):
                connection.execute("INSERT INTO soak (w) SELECT %s FROM generate_series(1, %s)", (number, rows))
                return rows

            began = time.monotonic()
            connection.execute("BEGIN")
            added += insert(dice.randint(1, 4) * bulk)
            if dice.random() < 0.5:
                connection.execute("SAVEPOINT s")
                inner = insert(dice.randint(1, 3))
                if dice.random() < 0.4:
                    connection.execute("ROLLBACK TO SAVEPOINT s")
                else:
                    added += inner
            if dice.random() < 0.5:
                stop.wait(PAUSE * dice.random() * dice.random())
            added += insert(1)
            kind = dice.random()
            if kind < 0.15 or time.monotonic() - began > PAUSE + 1:
                connection.execute("ROLLBACK")
                added = 0
            elif kind < 0.3 and number < 4:
                gid = f"soak {number} {turn}"
                connection.execute(f"PREPARE TRANSACTION '{gid}'")
                stop.wait(dice.random() * 0.3)
                keep = dice.random() > 0.3 and time.monotonic() - began < PAUSE + 1
                connection.execute(f"{'COMMIT' if keep else 'ROLLBACK'} PREPARED '{gid}'")
                added = added if keep else 0
            else:
                connection.execute("COMMIT")
            done += added


def soak(server, name):
    server.execute(
        name, "CREATE TABLE soak (id bigserial PRIMARY KEY, w int, at timestamptz DEFAULT now(), x xid8 DEFAULT pg_current_xact_id())",
        "CREATE INDEX ON soak (x)", "CREATE INDEX ON soak (at)")
    source = {"table": "soak", "columns": ["id", "w", "at"]}
    server.execute(name, "CREATE ROLE seer LOGIN", "GRANT SELECT ON soak TO seer")
    readers = {
        "gate": Pipeline(server, name, "soak_gate", {"table": "soak", "incremental": {"column": "x"}}, {"mode": "append"}),
        "overlap": Pipeline(server, name, "soak_overlap", {**source, "incremental": {"column": "at", "overlap": f"{PAUSE + 3:g} s"}},
                            {"mode": "upsert", "keys": ["id"]}, username="seer"),
    }
    for one in readers.values():
        one.run()
    stop = threading.Event()
    began = time.monotonic()
    writers = [threading.Thread(target=write, args=(server, name, i, stop, ROWS // WRITERS, BULK))
               for i in range(WRITERS)]
    for one in readers.values():
        one.start()
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    written = time.monotonic() - began
    try:
        for one in readers.values():
            one.stop()
        rows = server.rows(name, "SELECT count(*) FROM soak")[0][0]
        for one in readers.values():
            one.run()
        for kind, one in readers.items():
            lost, twice, alien = one.compare("soak")
            print(f"# {kind}: {rows} rows of {WRITERS} writers in {written:.0f} s, {one.runs} runs, "
                  f"one every {one.period()} (each {statistics.median(one.times):.3f} s), {one.read} rows read: {lost} lost, {twice} twice, {alien} alien",
                  flush=True)
            equal((lost, twice, alien), (0, 0, 0), f"{kind}: lost, twice, alien")
        equal(readers["gate"].read, rows, "rows that the gate has read")
        check(rows >= ROWS * 0.9, f"{rows} rows are too few for a soak")
    finally:
        for one in readers.values():
            one.space.__exit__()


def main():
    suite = Suite("incremental engine")
    with Server("max_connections = 200\nautovacuum = on\n") as server:
        name = server.database("engine")
        suite.case("one equal value", equal_values, server, name)
        suite.case("soak", soak, server, name)
    suite.end()


if sys.argv[1:2] == ["--reader"]:
    embedded_reader(*sys.argv[2:])
else:
    main()

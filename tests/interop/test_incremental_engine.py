#!/usr/bin/env python3
"""Incremental pipelines from PostgreSQL into PostgreSQL while others write: nothing lost, nothing twice.

The oracle is the server: what the source table holds at the end against what the targets hold.
MILLRACE_LONG=1: a million rows, 64 writers; MILLRACE_WRITERS, MILLRACE_ROWS and MILLRACE_BULK set other numbers.
"""

import os
import random
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("psycopg")
from engine import Workspace
from server import Server, need_server

need_server()

LONG = bool(os.environ.get("MILLRACE_LONG"))
WRITERS = int(os.environ.get("MILLRACE_WRITERS") or (64 if LONG else 8))
ROWS = int(os.environ.get("MILLRACE_ROWS") or (1_000_000 if LONG else 6_000))
BULK = int(os.environ.get("MILLRACE_BULK") or (50 if LONG else 5))  # rows of a statement
EQUAL = 1_000_000 if LONG else 100_000


class Pipeline:
    """Runs of one pipeline in a folder of its own, so that several can run at a time."""

    def __init__(self, server, database, name, source, load):
        self.server, self.database, self.name = server, database, name
        self.space = Workspace(postgres=server.credentials(database))
        self.space.write("p.json", {"name": name, "resources": {"parallelism": 2}, "steps": [
            {"type": "extract", "method": "fromPostgres", "name": "src", "config": source},
            {"type": "load", "method": "toPostgres", "config": {"table": name, **load}}]})
        self.runs = self.read = 0
        self.times = []

    def run(self):
        began = time.monotonic()
        report = self.space.run("p.json").expect(0).report
        self.times.append(time.monotonic() - began)
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
    """Transactions of 0 to 1 s: savepoints, rollbacks, prepared ones."""
    dice = random.Random(number)
    with server.connect(name) as connection:
        done = turn = 0
        while not stop.is_set() and done < budget:
            turn += 1
            added = 0

            def insert(rows):
                connection.execute("INSERT INTO soak (w) SELECT %s FROM generate_series(1, %s)", (number, rows))
                return rows

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
                stop.wait(dice.random() * dice.random())
            added += insert(1)
            kind = dice.random()
            if kind < 0.15:
                connection.execute("ROLLBACK")
                added = 0
            elif kind < 0.3 and number < 4:
                gid = f"soak {number} {turn}"
                connection.execute(f"PREPARE TRANSACTION '{gid}'")
                stop.wait(dice.random() * 0.3)
                keep = dice.random() > 0.3
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
    readers = {
        "gate": Pipeline(server, name, "soak_gate", {"table": "soak", "incremental": {"column": "x"}}, {"mode": "append"}),
        "overlap": Pipeline(server, name, "soak_overlap", {**source, "incremental": {"column": "at", "overlap": "5 s"}},
                            {"mode": "upsert", "keys": ["id"]}),
    }
    stop, over, problems = threading.Event(), threading.Event(), []

    def read(pipeline):
        try:
            while not over.wait(0.1):
                pipeline.run()
        except Exception as error:  # pylint: disable=broad-except
            problems.append(error)

    began = time.monotonic()
    writers = [threading.Thread(target=write, args=(server, name, i, stop, ROWS // WRITERS, BULK))
               for i in range(WRITERS)]
    threads = [threading.Thread(target=read, args=(one,)) for one in readers.values()]
    for thread in writers + threads:
        thread.start()
    for thread in writers:
        thread.join()
    written = time.monotonic() - began
    stop.set()
    over.set()
    for thread in threads:
        thread.join()
    try:
        check(not problems, "\n".join(map(str, problems)))
        rows = server.rows(name, "SELECT count(*) FROM soak")[0][0]
        for one in readers.values():
            one.run()
        for kind, one in readers.items():
            lost, twice, alien = one.compare("soak")
            print(f"# {kind}: {rows} rows of {WRITERS} writers in {written:.0f} s, {one.runs} runs "
                  f"(median {statistics.median(one.times):.2f} s), {one.read} rows read: {lost} lost, {twice} twice, {alien} alien",
                  flush=True)
            equal((lost, twice, alien), (0, 0, 0), f"{kind}: lost, twice, alien")
        equal(readers["gate"].read, rows, "rows that the gate has read")
        check(rows >= ROWS * 0.9, f"{rows} rows are too few for a soak")
    finally:
        for one in readers.values():
            one.space.__exit__()


def main():
    suite = Suite("incremental engine")
    with Server("max_connections = 200") as server:
        name = server.database("engine")
        suite.case("one equal value", equal_values, server, name)
        suite.case("soak", soak, server, name)
    suite.end()


main()

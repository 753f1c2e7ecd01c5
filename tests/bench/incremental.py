#!/usr/bin/env python3
"""Reading what has changed against reading everything: fromPostgres with `incremental`, upserted into a second table.

usage: incremental.py [ROWS] [--runs N] [--shares 0.01,0.001] [--buffers 2GB] [--sync]   (10,000,000 rows, 3 runs)

The source has an index on its cursor column (a timestamp) and a primary key. A share of its rows, scattered, is changed in one transaction before each
incremental run; the full re-load reads the whole source and replaces a target of its own (overwrite). Both targets have the indexes of the source, and all
tables are vacuumed before a round. In each round the same change is also brought by hand into the target of the full re-load, before that is replaced: psql, \\copy of a local file with
just the changed rows into a temporary table, INSERT .. ON CONFLICT from there. That is what the server needs for the upsert alone, with neither reading nor state. After
each of the three the target is compared with the source, row by row as sums of hashes.
MILLRACE_BIN is the program. CPU is that of the client and of the sessions of the server. Without --sync the server syncs nothing, for all three alike; --buffers is its shared_buffers.
"""

import argparse
import os
import statistics
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]

import measure
from engine import Workspace, program
from server import Server

DIGEST = "SELECT count(*), sum(hash_record_extended(t, 0)) FROM {table} t"
# wal_level: that of tests is for other tests, this is PostgreSQL's own default.
SETTINGS = "wal_level = replica\nshared_buffers = {buffers}\n"
OWN = 4  # processes of a server without sessions: checkpointer, two writers, launcher
SYNC = "fsync = on\nsynchronous_commit = on\nfull_page_writes = on\n"
BY_HAND = """\\set ON_ERROR_STOP on
BEGIN;
CREATE TEMP TABLE new (LIKE source) ON COMMIT DROP;
\\copy new FROM '{file}' (FORMAT binary)
INSERT INTO whole SELECT * FROM new ORDER BY id ON CONFLICT (id) DO UPDATE SET account = EXCLUDED.account, price = EXCLUDED.price, name = EXCLUDED.name,
  changed = EXCLUDED.changed;
COMMIT;
"""
SOURCE = """CREATE TABLE source AS SELECT n::bigint AS id, (n % 1000)::integer AS account, (n * 7 % 1000003 / 100.0)::numeric(12,2) AS price,
'customer ' || n % 50000 AS name, timestamptz '2024-01-01 00:00Z' + n * interval '1 millisecond' AS changed FROM generate_series(1, {rows}) n"""


class Bench:
    def __init__(self, server, space, rows):
        self.server, self.space, self.rows, self.round = server, space, rows, 0
        server.database("bench")
        server.execute("bench", SOURCE.format(rows=rows), "ALTER TABLE source ADD PRIMARY KEY (id)", "CREATE INDEX ON source (changed)",
                       "VACUUM ANALYZE source", "CREATE TABLE target (LIKE source INCLUDING INDEXES)", "CREATE TABLE whole (LIKE source INCLUDING INDEXES)")

    def sessions(self):
        """How many children the postmaster has, and the seconds of CPU of those that have ended."""
        with open(f"{self.server.place}/data/postmaster.pid", encoding="ascii") as file:
            pid = int(file.readline())
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return len(file.read().split()), (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def measured(self, command):
        before = self.ended()
        result = measure.once(command)
        result["cpu"] += self.ended() - before
        return result

    def ended(self):
        """The CPU of all sessions, once they have ended."""
        while True:
            count, cpu = self.sessions()
            if count <= OWN:
                return cpu
            time.sleep(0.01)

    def run(self, name, table, mode, **incremental):
        steps = [{"type": "extract", "method": "fromPostgres", "name": "source", "config": {"table": "source", **incremental}},
                 {"type": "load", "method": "toPostgres", "config": {"table": table, "analyze": False, **mode}}]
        path = self.space.write(f"{name}.json", {"name": name, "resources": {"parallelism": 2}, "steps": steps})
        return self.measured([program(), "run", self.space.file(path), "--progress", "none", "--credentials", self.space.file("config", "credentials.json")])

    def full(self):
        return self.run("full", "whole", {"mode": "overwrite"})

    def incremental(self):
        return self.run("incremental", "target", {"mode": "upsert", "keys": ["id"]}, incremental={"column": "changed", "key": ["id"]})

    def change(self, share):
        """Scattered rows get a new value and a later time."""
        self.round += 1
        every = round(1 / share)
        changed = self.server.rows("bench", f"WITH new AS (UPDATE source SET price = price + 1, changed = now() "
                                            f"WHERE id % {every} = {self.round % every} RETURNING 1) SELECT count(*) FROM new")[0][0]
        assert abs(changed - self.rows * share) <= 1, changed
        self.server.execute("bench", *(f"VACUUM ANALYZE {table}" for table in ("source", "target", "whole")), "CHECKPOINT")

        self.wanted = self.digest("source")

    def by_hand(self):
        """The last change, from a file into `whole`."""
        file, script = self.space.file("changed"), self.space.file("hand.sql")
        with open(file, "wb") as out, self.server.connect("bench") as connection:
            with connection.cursor().copy("COPY (SELECT * FROM source WHERE changed = (SELECT max(changed) FROM source)) TO STDOUT (FORMAT binary)") as copy:
                for block in copy:
                    out.write(block)
        with open(script, "w", encoding="utf-8") as out:
            out.write(BY_HAND.format(file=file))
        return self.measured([f"{self.server.bin}/psql", "-X", "-q", "-h", self.server.place, "-p", str(self.server.port), "-U", self.server.user,
                             "-d", "bench", "-f", script])

    def digest(self, table):
        return self.server.rows("bench", DIGEST.format(table=table))[0]

    def same(self, table):
        got = self.digest(table)
        assert self.wanted == got, f"{table}: {got}, wanted {self.wanted}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="?", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--shares", default="0.01,0.001")
    parser.add_argument("--buffers", default="2GB")
    parser.add_argument("--sync", action="store_true")
    wanted = parser.parse_args()
    settings = SETTINGS.format(buffers=wanted.buffers) + (SYNC if wanted.sync else "")
    with Server(settings) as server, Workspace(postgres=server.credentials("bench")) as space:
        bench = Bench(server, space, wanted.rows)
        bench.wanted = bench.digest("source")
        for name, run, table in (("incremental run", bench.incremental, "target"), ("full re-load", bench.full, "whole")):
            first = run()
            bench.same(table)
            print(f"{wanted.rows:,} rows; first {name}, everything: {first['wall']:.2f} s", flush=True)
        for share in (float(s) for s in wanted.shares.split(",")):
            results = {"full": [], "incremental": [], "by hand": []}
            for _ in range(wanted.runs):
                bench.change(share)
                for name, run, table in (("incremental", bench.incremental, "target"), ("by hand", bench.by_hand, "whole"), ("full", bench.full, "whole")):
                    results[name].append(run())
                    bench.same(table)
                print(f"  {share:.1%}: " + ", ".join(f"{name} {each[-1]['wall']:.3f} s ({each[-1]['cpu']:.2f} s of CPU)" for name, each in results.items()), flush=True)
            full, part, hand = results["full"], results["incremental"], results["by hand"]
            said = ", ".join(f"{name} {statistics.median(r['wall'] for r in each):.3f} s ({statistics.median(r['cpu'] for r in each):.2f} s of CPU)"
                             for name, each in results.items())
            times, ours = (statistics.median(a["wall"] / b["wall"] for a, b in zip(x, part)) for x in (full, hand))
            limit = statistics.median(a["wall"] / b["wall"] for a, b in zip(full, hand))
            print(f"{share:.1%} changed: {said}; full / incremental {times:.1f} times, full / by hand {limit:.1f}, by hand / incremental {ours:.2f}", flush=True)


if __name__ == "__main__":
    main()

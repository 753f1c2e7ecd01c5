#!/usr/bin/env python3
"""Reading what has changed against reading everything: fromPostgres with `incremental`, upserted into a second table.

usage: incremental.py [ROWS] [--runs N] [--shares 0.01,0.001]   (10,000,000 rows, 3 runs)

The source has an index on its cursor column (a timestamp) and a primary key. A share of its rows, scattered, is changed in one transaction before each
incremental run; the full re-load reads the whole source and replaces a target of its own (overwrite). Both targets have the indexes of the source. After each run the target is compared with the
source, row by row as sums of hashes.
MILLRACE_BIN is the program. The server does not sync.
"""

import argparse
import os
import statistics
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]

import measure
from engine import Workspace, program
from server import Server

DIGEST = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {table} t"
SOURCE = """CREATE TABLE source AS SELECT n::bigint AS id, (n % 1000)::integer AS account, (n * 7 % 1000003 / 100.0)::numeric(12,2) AS price,
'customer ' || n % 50000 AS name, timestamptz '2024-01-01 00:00Z' + n * interval '1 millisecond' AS changed FROM generate_series(1, {rows}) n"""


class Bench:
    def __init__(self, server, space, rows):
        self.server, self.space, self.rows, self.round = server, space, rows, 0
        server.database("bench")
        server.execute("bench", SOURCE.format(rows=rows), "ALTER TABLE source ADD PRIMARY KEY (id)", "CREATE INDEX ON source (changed)",
                       "VACUUM ANALYZE source", "CREATE TABLE target (LIKE source INCLUDING INDEXES)", "CREATE TABLE whole (LIKE source INCLUDING INDEXES)")

    def run(self, name, table, mode, **incremental):
        steps = [{"type": "extract", "method": "fromPostgres", "name": "source", "config": {"table": "source", **incremental}},
                 {"type": "load", "method": "toPostgres", "config": {"table": table, "analyze": False, **mode}}]
        path = self.space.write(f"{name}.json", {"name": name, "resources": {"parallelism": 2}, "steps": steps})
        return measure.once([program(), "run", self.space.file(path), "--progress", "none", "--credentials", self.space.file("config", "credentials.json")])

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
        self.server.execute("bench", "VACUUM ANALYZE source", "CHECKPOINT")

    def same(self, table):
        wanted, got = (self.server.rows("bench", DIGEST.format(table=t))[0] for t in ("source", table))
        assert wanted == got, f"{table}: {got}, wanted {wanted}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="?", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--shares", default="0.01,0.001")
    wanted = parser.parse_args()
    with Server() as server, Workspace(postgres=server.credentials("bench")) as space:
        bench = Bench(server, space, wanted.rows)
        first = bench.incremental()
        bench.same("target")
        print(f"{wanted.rows:,} rows; first incremental run, everything: {first['wall']:.2f} s", flush=True)
        for share in (float(s) for s in wanted.shares.split(",")):
            full, part = [], []
            for _ in range(wanted.runs):
                bench.change(share)
                part.append(bench.incremental())
                bench.same("target")
                full.append(bench.full())
                bench.same("whole")
            walls = [statistics.median(r["wall"] for r in results) for results in (full, part)]
            peaks = [statistics.median(r["memory"] for r in results) / 2**20 for results in (full, part)]
            print(f"{share:.1%} changed: full {walls[0]:.2f} s ({peaks[0]:.0f} MB), incremental {walls[1]:.3f} s ({peaks[1]:.0f} MB): {walls[0] / walls[1]:.0f} times", flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""config/examples/daily-usage.json on made input: closed forms, an independent computation over irregular input, a repetition.

Most cases replace the load by Parquet files, which have the same columns; the last one is the example as it stands.
"""

import contextlib
import datetime
import json
import math
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Skip, Suite, check, checkout, equal, need

need("psycopg", "pyarrow", "duckdb")
import table
import usage_data
import usage_oracle
from engine import Workspace
from server import Server

COLUMNS = usage_oracle.COLUMNS
NUMBERS = [i for i, c in enumerate(COLUMNS) if i >= 10 and c != "cost_category_id"]
OCTOBER = (datetime.date(2025, 10, 1), datetime.date(2025, 10, 31))


def to_postgres():
    """Does the program have toPostgres?"""
    with Workspace() as space:
        return "not built" not in space.millrace("validate", os.path.join(checkout(), "config", "examples", "daily-usage.json")).err


def pipeline(space, postgres=False):
    """The example; without `postgres` it loads into out/ of the folder."""
    with open(os.path.join(checkout(), "config", "examples", "daily-usage.json"), encoding="utf-8") as file:
        found = json.load(file)
    if not postgres:
        found["steps"][-1] = {"type": "load", "method": "toFile", "config": {
            "path": "out", "format": "parquet", "mode": "overwrite", "partitionOverwriteMode": "static"}}
    return space.write("daily-usage.json", found)


class Job:
    """A database with the lookup tables, input, and a folder to run in."""

    def __init__(self, server, make):
        self.server = server
        self.stack = contextlib.ExitStack()
        self.place = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="millrace-usage-"))
        self.lookups = make(self.place)
        server.database("usage")
        with server.connect("usage") as connection:
            usage_data.load(connection, self.lookups)
            connection.execute(usage_oracle.TABLE)
        self.space = self.stack.enter_context(Workspace(server.credentials("usage"), {"usage": self.place}))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    def run(self, *arguments):
        self.space.run(pipeline(self.space), *arguments).expect(0)
        return table.duck(f"SELECT {', '.join(COLUMNS)} FROM data", self.space.file("out"))


    def run_postgres(self, *arguments):
        self.space.run(pipeline(self.space, True), *arguments).expect(0)

    def table(self, where="true"):
        return self.server.rows("usage", f"SELECT {', '.join(COLUMNS)} FROM daily_usage WHERE {where}")


def key(row):
    return tuple((row[i] is not None, str(row[i])) for i in range(len(row)) if i not in NUMBERS)


def near(left, right, size=0.0):
    """To 1e-9 of the value, or of the numbers that it is a difference of: sums are made in another order."""
    if left is None or right is None:
        return left is right
    return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9 * size)


def compare(got, wanted):
    """Every column of every row: numbers by near(), everything else as it is."""
    got = sorted((tuple(table.plain(v) for v in r) for r in got), key=key)
    wanted = sorted((tuple(table.plain(v) for v in r) for r in wanted), key=key)
    rest = [i for i in range(len(COLUMNS)) if i not in NUMBERS]
    table.same_rows([[r[i] for i in rest] for r in got], [[r[i] for i in rest] for r in wanted], "rows without their numbers")
    for mine, theirs in zip(got, wanted):
        free = str(mine[3]).endswith("unallocated")
        for i in NUMBERS:
            size = float(mine[COLUMNS.index("node_capacity_" + ("cpu_core" if "cpu" in COLUMNS[i] else "memory_gigabyte") + "_hours")] or 0) if free else 0
            check(near(*(None if r[i] is None else float(r[i]) for r in (mine, theirs)), size), f"{COLUMNS[i]}: {mine[i]!r}, wanted {theirs[i]!r} in {mine}")


def closed_forms(server):
    nodes, pods, volumes = 4, 200, 30
    with Job(server, lambda place: usage_data.closed(place, nodes, pods, volumes=volumes)) as job:
        rows = [dict(zip(COLUMNS, r)) for r in job.run()]
        of = {"pod": [], "volume": [], "free": []}
        for row in rows:
            of["volume" if row["data_source"] == "Storage" else "free" if "unallocated" in row["namespace"] else "pod"].append(row)
        equal({k: len(v) for k, v in of.items()}, {"pod": pods, "volume": volumes, "free": nodes}, "rows")
        wanted = {
            "pod_usage_cpu_core_hours": 7.2, "pod_request_cpu_core_hours": 12, "pod_effective_usage_cpu_core_hours": 12, "pod_limit_cpu_core_hours": 24,
            "pod_usage_memory_gigabyte_hours": 12, "pod_request_memory_gigabyte_hours": 24, "pod_effective_usage_memory_gigabyte_hours": 24,
            "pod_limit_memory_gigabyte_hours": 48, "node_capacity_cpu_cores": 8, "node_capacity_cpu_core_hours": 192, "node_capacity_memory_gigabytes": 32,
            "node_capacity_memory_gigabyte_hours": 768, "cluster_capacity_cpu_core_hours": 192 * nodes, "cluster_capacity_memory_gigabyte_hours": 768 * nodes}
        for row in of["pod"]:
            for name, value in wanted.items():
                check(near(row[name], value), f"{name}: {row[name]}, wanted {value}")
        equal(sorted(r["labels"] for r in of["pod"]), sorted(f'{{"app":"app-{i}","tier":"t{i % 3}"}}' for i in range(pods)), "labels")
        equal({(r["namespace"], r["cost_category_id"]) for r in of["pod"]}, {(f"ns-{i}", 7 if i == 1 else 3) for i in range(10)}, "categories")
        for row in of["volume"]:
            for name, value in (("persistentvolumeclaim_capacity_gigabyte", 100), ("persistentvolumeclaim_capacity_gigabyte_months", 100 / 31),
                                ("volume_request_storage_gigabyte_months", 100 / 31), ("persistentvolumeclaim_usage_gigabyte_months", 50 / 31)):
                check(near(row[name], value), f"{name}: {row[name]}, wanted {value}")
            equal((f"{row['persistentvolumeclaim_capacity_gigabyte_months']:.6f}", f"{row['persistentvolumeclaim_usage_gigabyte_months']:.6f}"), ("3.225806", "1.612903"), "GiB-months")
        for row in of["free"]:
            equal(row["namespace"], ("Platform" if row["node"] == "node-0" else "Worker") + " unallocated", "namespace")
            each = pods / nodes
            check(near(row["pod_request_cpu_core_hours"], 192 - 12 * each, 192) and near(row["pod_usage_memory_gigabyte_hours"], 768 - 12 * each, 768), f"unallocated: {row}")
        compare([tuple(r.values()) for r in rows], usage_oracle.summary(job.place, usage_data.SOURCE, job.lookups, *OCTOBER))


def rules(server, seed):
    with Job(server, lambda place: usage_data.random_rows(place, seed)) as job:
        for start, end in (OCTOBER, (OCTOBER[1], OCTOBER[1])):
            got = job.run("--param", f"start={start}", "--param", f"end={end}")
            check(len(got) > 100, f"only {len(got)} rows")
            compare(got, usage_oracle.summary(job.place, usage_data.SOURCE, job.lookups, start, end))


def repeated(server):
    with Job(server, lambda place: usage_data.random_rows(place, 99)) as job:
        first, second = job.run(), job.run()
        table.same_rows(second, first, "the second run")


def into_postgres(server):
    """Rows of the source and the range are replaced, others stay; a repetition changes nothing; each row is in its month's partition."""
    if not to_postgres():
        raise Skip("toPostgres is not built")
    others = [("2025-10-31", usage_data.OTHER), ("2025-10-29", usage_data.SOURCE), ("2025-11-01", usage_data.SOURCE)]
    for make, start, end in ((lambda place: usage_data.closed(place, 4, 200, volumes=20), *OCTOBER),
                             (lambda place: usage_data.random_rows(place, 7), datetime.date(2025, 10, 30), OCTOBER[1])):
        with Job(server, make) as job:
            with server.connect("usage") as connection:
                for day, source in [*others, (str(end), usage_data.SOURCE)]:
                    connection.execute("INSERT INTO daily_usage (usage_start, source_uuid, data_source, labels) VALUES (%s, %s, 'old', '{}')", (day, source))
            for _ in range(3):
                job.run_postgres("--param", f"start={start}", "--param", f"end={end}")
                compare(job.table("data_source <> 'old'"), usage_oracle.summary(job.place, usage_data.SOURCE, job.lookups, start, end))
                left = [(str(r[0]), r[1]) for r in job.table("data_source = 'old'")]
                inside = [o for o in others if o[1] == usage_data.SOURCE and str(start) <= o[0] <= str(end)]
                equal(sorted(left), sorted(o for o in others if o not in inside), "rows that the range does not name")
            equal(server.rows("usage", "SELECT count(*) FROM daily_usage_2025_11"), [(1,)], "rows of November")


def nothing(server):
    """No file of any kind: no row."""
    with Job(server, lambda place: {}) as job:
        os.makedirs(os.path.join(job.place, "data"))
        job.space.run(pipeline(job.space)).expect(0)
        equal([f for f in table.files(job.space.file("out")) if table.arrow_rows(f)], [], "files with rows")


def main():
    suite = Suite("daily usage")
    with Server() as server:
        suite.case("closed forms", closed_forms, server)
        for seed in range(1, 9):
            suite.case(f"rules, seed {seed}", rules, server, seed)
        suite.case("run twice", repeated, server)
        suite.case("no input", nothing, server)
        suite.case("into PostgreSQL", into_postgres, server)
    suite.end()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Streaming aggregation, the engine alone: five scenarios over rows held in memory, beside DuckDB on the same rows.

  stream.py [--rows 20000000] [--runs 5] [--threads 1,2] [SCENARIO..]

Rows are made before anything is timed; Millrace holds them as its own batches (given once by fromArrow), DuckDB as a table
in memory. What is timed ends at Arrow batches that are counted and thrown away, by one thread. DuckDB's best of two ways
counts: batch by batch as well, or one Arrow table (over 10 s the one that was slower before the clock is not repeated). Contenders run in turns; figures are medians of the rounds, the ratio
is the median of the rounds' ratios.

Results: first with 5,000, 10,000 and 100,000 rows against the sums that the workload states, then with all rows against
DuckDB's, joined by key, every column; doubles may differ by 1e-9 of their value.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]

from stream_data import scenarios

SMALL = (5_000, 10_000, 100_000)
CHUNK = 1_000_000
PATIENCE = 10


class Rows:
    """The rows of a scenario at both contenders."""

    def __init__(self, scenario, count, options):
        import duckdb
        from embedded import Pipeline

        self.connection = duckdb.connect()
        self.connection.execute(f"SET threads = {options.threads[0]}")
        self.connection.execute(f"CREATE TABLE rows AS SELECT {scenario.rows} FROM range({count}) t(i)")
        table = self.connection.sql("SELECT * FROM rows").to_arrow_reader(options.batch).read_all()
        self.pipeline = Pipeline(options.lib, scenario.steps, {"rows": table},
                                 resources={"parallelism": options.threads[0], "memory": options.memory})
        self.sql = scenario.sql

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pipeline.close()
        self.connection.close()

    def count_ours(self):
        with self.pipeline.reader() as reader:
            return sum(batch.num_rows for batch in reader)

    def count_batches(self):
        return sum(batch.num_rows for batch in self.connection.sql(self.sql).to_arrow_reader(CHUNK))

    def count_table(self):
        return self.connection.sql(self.sql).to_arrow_table().num_rows


def near(got, wanted):
    return abs(got - wanted) <= 1e-9 * abs(wanted)


def check_stated(scenario, options):
    """What differs from the workload's own figures."""
    import pyarrow.compute as pc

    wrong = []
    for count in SMALL:
        with Rows(scenario, count, options) as rows:
            out = rows.pipeline.rows()
            wrong += [f"{count} rows: {text}" for text in check_same(scenario, rows, out)]
        number, sums = scenario.expected.get(count, (None, {}))
        if number is not None and out.num_rows != number:
            wrong.append(f"{count} rows: {out.num_rows} rows came out, not {number}")
        for column, wanted in sums.items():
            got = pc.sum(out[column]).as_py()
            if not near(got, wanted):
                wrong.append(f"{count} rows: sum({column}) is {got}, not {wanted}")
    return wrong


def check_same(scenario, rows, out):
    """What differs from DuckDB's result: rows that only one of both has, and columns with other values."""
    if scenario.sql is None:
        return []
    connection = rows.connection
    connection.register("ours", out)
    described = connection.execute("DESCRIBE ours").fetchall()
    if {n: t for n, t, *_ in described} != {n: t for n, t, *_ in connection.execute(f"DESCRIBE {scenario.sql}").fetchall()}:
        return ["columns or types differ"]
    parts = []
    for name, kind, *_ in described:
        equal = f'o."{name}" IS NOT DISTINCT FROM d."{name}"'
        if kind == "DOUBLE":
            equal += f' OR abs(o."{name}" - d."{name}") <= 1e-9 * abs(d."{name}")'
        parts.append(f'count(*) FILTER (WHERE ({equal}) IS NOT TRUE) AS "{name}"')
    on = " AND ".join(f'o."{key}" = d."{key}"' for key in scenario.keys)
    row = connection.execute(f"SELECT {', '.join(parts)} FROM ours o FULL JOIN ({scenario.sql}) d ON {on}").fetchall()[0]
    twice = connection.execute(f"SELECT count(*) FROM (SELECT 1 FROM ours GROUP BY {', '.join(scenario.keys)} HAVING count(*) > 1)").fetchall()[0][0]
    connection.unregister("ours")
    wrong = [f"{count} rows differ in {name}" for (name, *_), count in zip(described, row) if count]
    return wrong + ([f"{twice} keys come twice"] if twice else [])


def built(scenario, options):
    """Is the scenario's way of emitting in this build?"""
    from embedded import Failed

    if scenario.emit is None:
        return True
    try:
        with Rows(scenario, 100, options) as rows:
            rows.count_ours()
    except Failed as error:
        if "not built" in str(error) or "streaming" in str(error):
            return False
        raise
    return True


def time_rounds(rows, options):
    contenders = {"ours": rows.count_ours}
    if rows.sql:
        contenders.update(batches=rows.count_batches, table=rows.count_table)
    counts, first = {}, {}
    for name, run in contenders.items():  # once without the clock
        began = time.perf_counter()
        counts[name] = run()
        first[name] = time.perf_counter() - began
    if first.get("table", 0) > PATIENCE:  # then only the way of DuckDB's that was the faster
        contenders.pop(max(("batches", "table"), key=first.get))
    took = {name: [] for name in contenders}
    for _ in range(options.runs):
        for name, run in contenders.items():
            began, cpu = time.perf_counter(), time.process_time()
            if run() != counts["ours"]:
                raise RuntimeError(f"{name}: another number of rows")
            took[name].append((time.perf_counter() - began, time.process_time() - cpu))
    return took, counts["ours"]


def cells(scenario, took, count):
    """Rates and ratios of wall time; the ratio of CPU time hardly depends on who else uses the cores."""
    wall = {name: [w for w, _ in found] for name, found in took.items()}
    ours = wall["ours"]
    rate = count / statistics.median(ours) / 1e6
    spread = f"{count / max(ours) / 1e6:.1f}-{count / min(ours) / 1e6:.1f}"
    theirs, ratio, by_cpu = "", None, ""
    ways = [name for name in ("batches", "table") if name in took]
    if ways:
        way = min(ways, key=lambda name: statistics.median(wall[name]))
        theirs = f"{count / statistics.median(wall[way]) / 1e6:.1f} ({way})"
        ratio = statistics.median(d / o for o, d in zip(ours, wall[way]))
        by_cpu = f"{statistics.median(d / o for (_, o), (_, d) in zip(took['ours'], took[way])):.2f}"
    missed = [text for text, bar, value in ((f"below {scenario.floor} M", scenario.floor, rate),
                                            (f"below {scenario.ratio} of DuckDB", scenario.ratio, ratio)) if bar and value < bar]
    return [f"{rate:.1f} ({spread})", theirs, f"{ratio:.2f}" if ratio else "", by_cpu,
            "; ".join(missed) if missed else "met" if scenario.floor else ""]


def measure(options):
    """One number of threads, in this process."""
    from embedded import library

    options.lib = library()
    failures = 0
    threads = options.threads[0]
    print(f"\n### {threads} core{'s' if threads > 1 else ''}, {options.rows:,} rows\n")
    print("| scenario | Millrace M rows/s (min-max) | DuckDB | ratio | by CPU | bar | result |")
    print("|---|---|---|---|---|---|---|")
    for name, scenario in scenarios().items():
        if options.scenarios and not any(name.startswith(wanted) for wanted in options.scenarios):
            continue
        title = f"{name}: {scenario.title}"
        if not built(scenario, options):
            print(f"| {title} | not built ||||||", flush=True)
            continue
        wrong = check_stated(scenario, options)
        count = min(options.rows, scenario.most or options.rows)
        if count < options.rows:
            title += f" ({count:,} rows)"
        with Rows(scenario, count, options) as rows:
            took, out = time_rounds(rows, options)
            if out > 2 * count:
                title += f"; {out:,} come out"
            if not options.unchecked:
                wrong += check_same(scenario, rows, rows.pipeline.rows())
        result = "differs: " + "; ".join(wrong) if wrong else "same as stated" + (" and as DuckDB's" if scenario.sql else "")
        print(f"| {title} | {' | '.join(cells(scenario, took, count))} | {result} |", flush=True)
        failures += bool(wrong)
    print("\nS1 is the same in both ways of emitting: a row of the window is final when it comes out.", flush=True)
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=65536, help="rows of a batch that is given")
    parser.add_argument("--memory", default="8GB")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--unchecked", action="store_true", help="no comparison of all rows with DuckDB's")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("scenarios", nargs="*")
    options = parser.parse_args()
    options.threads = [int(number) for number in options.threads.split(",")]
    if options.here:
        sys.exit(1 if measure(options) else 0)
    from suite import need

    need("pyarrow", "duckdb")
    failures = 0
    for threads in options.threads:
        command = [sys.executable, os.path.realpath(__file__), "--here", "--rows", str(options.rows), "--runs", str(options.runs),
                   "--batch", str(options.batch), "--memory", options.memory, "--threads", str(threads),
                   *(["--unchecked"] if options.unchecked else []), *options.scenarios]
        cores = sorted(os.sched_getaffinity(0))[:threads]
        failures += subprocess.run(["taskset", "-c", ",".join(map(str, cores)), *command]).returncode != 0
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()

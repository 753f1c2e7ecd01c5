#!/usr/bin/env python3
"""The engine alone: rows held in memory, results as Arrow tables, beside DuckDB and polars doing the same.

  compute.py [--scale 1] [--runs 5] [--threads 1,2] [JOB..]

Data: lineitem (6 M rows x 16 columns at scale 1) and orders (2 M x 11), made from hashes of the row number, the same
every time. Each round runs every contender once, in turns; figures are medians over the rounds. Results of the
contenders are compared in the same run (number of rows and sums of hashes; doubles to 10 digits).
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]

from compute_data import make_data, step

def jobs(pl):
    """{name: (rows read, frames, steps, SQL, polars over lazy frames)}"""
    c = pl.col
    return {
        "filter + project": ("lineitem", ["lineitem"], [
            step("filterRows", condition="l_shipdate >= DATE '1995-01-01' AND l_discount > 0.05 AND l_quantity < 24"),
            step("selectColumns", columns={"l_orderkey": "l_orderkey", "net": "CAST(l_extendedprice AS DOUBLE) * (1 - CAST(l_discount AS DOUBLE))",
                                           "mode": "upper(l_shipmode)", "y": "year(l_shipdate)"})],
            "SELECT l_orderkey, l_extendedprice::DOUBLE * (1 - l_discount::DOUBLE) AS net, upper(l_shipmode) AS mode, year(l_shipdate) AS y "
            "FROM lineitem WHERE l_shipdate >= DATE '1995-01-01' AND l_discount > 0.05 AND l_quantity < 24",
            lambda t: t["lineitem"].filter((c("l_shipdate") >= pl.date(1995, 1, 1)) & (c("l_discount") > 0.05) & (c("l_quantity") < 24)).select(
                "l_orderkey", (c("l_extendedprice").cast(pl.Float64) * (1 - c("l_discount").cast(pl.Float64))).alias("net"),
                c("l_shipmode").str.to_uppercase().alias("mode"), c("l_shipdate").dt.year().alias("y"))),
        "group by, 42 groups": ("lineitem", ["lineitem"], [
            step("aggregateData", groupBy=["l_returnflag", "l_linestatus", "l_shipmode"],
                 aggregations={"n": "count(*)", "q": "sum(l_quantity)", "p": "sum(l_extendedprice)", "d": "avg(CAST(l_discount AS DOUBLE))"})],
            "SELECT l_returnflag, l_linestatus, l_shipmode, count(*) AS n, sum(l_quantity) AS q, sum(l_extendedprice) AS p, "
            "avg(l_discount::DOUBLE) AS d FROM lineitem GROUP BY ALL",
            lambda t: t["lineitem"].group_by("l_returnflag", "l_linestatus", "l_shipmode").agg(
                pl.len().alias("n"), c("l_quantity").sum().alias("q"), c("l_extendedprice").sum().alias("p"), c("l_discount").cast(pl.Float64).mean().alias("d"))),
        "group by, 210 k groups": ("lineitem", ["lineitem"], [
            step("aggregateData", groupBy=["l_suppkey", "l_linestatus", "l_shipmode"], aggregations={"n": "count(*)", "q": "sum(l_quantity)", "p": "max(l_extendedprice)"})],
            "SELECT l_suppkey, l_linestatus, l_shipmode, count(*) AS n, sum(l_quantity) AS q, max(l_extendedprice) AS p FROM lineitem GROUP BY ALL",
            lambda t: t["lineitem"].group_by("l_suppkey", "l_linestatus", "l_shipmode").agg(
                pl.len().alias("n"), c("l_quantity").sum().alias("q"), c("l_extendedprice").max().alias("p"))),
        "count distinct": ("lineitem", ["lineitem"], [
            step("aggregateData", groupBy=["l_shipmode"], aggregations={"n": "count(distinct l_partkey)"})],
            "SELECT l_shipmode, count(DISTINCT l_partkey) AS n FROM lineitem GROUP BY ALL",
            lambda t: t["lineitem"].group_by("l_shipmode").agg(c("l_partkey").n_unique().alias("n"))),
        "join, aggregated": ("lineitem", ["lineitem", "orders"], [
            step("joinDataFrames", inputs=["lineitem", "orders"], leftKeys=["l_orderkey"], rightKeys=["o_orderkey"]),
            step("aggregateData", groupBy=["o_orderpriority"], aggregations={"n": "count(*)", "p": "sum(l_extendedprice)"})],
            "SELECT o_orderpriority, count(*) AS n, sum(l_extendedprice) AS p FROM lineitem JOIN orders ON l_orderkey = o_orderkey GROUP BY ALL",
            lambda t: t["lineitem"].join(t["orders"], left_on="l_orderkey", right_on="o_orderkey").group_by("o_orderpriority").agg(
                pl.len().alias("n"), c("l_extendedprice").sum().alias("p"))),
        "join, materialised": ("lineitem", ["lineitem", "orders"], [
            step("joinDataFrames", inputs=["lineitem", "orders"], leftKeys=["l_orderkey"], rightKeys=["o_orderkey"])],
            "SELECT * FROM lineitem JOIN orders ON l_orderkey = o_orderkey",
            lambda t: t["lineitem"].join(t["orders"], left_on="l_orderkey", right_on="o_orderkey", coalesce=False)),
        "sort": ("lineitem", ["lineitem"], [step("sortData", orderBy=["l_shipdate", "l_extendedprice DESC", "l_orderkey", "l_linenumber"])],
            "SELECT * FROM lineitem ORDER BY l_shipdate, l_extendedprice DESC, l_orderkey, l_linenumber",
            lambda t: t["lineitem"].sort(["l_shipdate", "l_extendedprice", "l_orderkey", "l_linenumber"], descending=[False, True, False, False])),
        "row window": ("lineitem", ["lineitem"], [
            step("selectColumns", columns=["l_orderkey", "l_linenumber", "l_extendedprice"]),
            step("windowColumns", partitionBy=["l_orderkey"], orderBy=["l_linenumber"], columns={"n": "row_number()", "running": "sum(l_extendedprice)"})],
            "SELECT l_orderkey, l_linenumber, l_extendedprice, row_number() OVER w AS n, sum(l_extendedprice) OVER w AS running "
            "FROM lineitem WINDOW w AS (PARTITION BY l_orderkey ORDER BY l_linenumber)",
            lambda t: t["lineitem"].select("l_orderkey", "l_linenumber", "l_extendedprice").sort("l_orderkey", "l_linenumber").with_columns(
                (c("l_linenumber").cum_count().over("l_orderkey")).alias("n"), c("l_extendedprice").cum_sum().over("l_orderkey").alias("running"))),
    }


def fingerprint(duckdb, table, ordered):
    """Rows, and per column a sum of hashes of the values as text (doubles to 10 digits); in order where that counts."""
    connection = duckdb.connect()
    connection.register("t", table)
    parts = []
    for name, kind, *_ in connection.execute("DESCRIBE t").fetchall():
        value = f'printf(\'%.9e\', "{name}")' if kind in ("DOUBLE", "FLOAT") else (
            f'("{name}"::DECIMAL(38,2))::VARCHAR' if kind.startswith("DECIMAL") else f'"{name}"::VARCHAR')
        parts.append(f"sum((hash({value}) // 1048576)::HUGEINT * ({'1 + row_number % 1000' if ordered else '1'}))")
    source = "(SELECT *, row_number() OVER () AS row_number FROM t)" if ordered else "t"
    return connection.execute(f"SELECT count(*), {', '.join(parts)} FROM {source}").fetchone()


def measure(options):
    """One number of threads, in this process."""
    import duckdb
    import polars as pl
    import pyarrow
    from embedded import Pipeline, library

    threads = options.threads[0]
    lib = library()
    connection = make_data(duckdb, options.scale)
    connection.execute(f"SET threads = {threads}")
    arrow = {name: connection.sql(f"SELECT * FROM {name}").to_arrow_table() for name in ("lineitem", "orders")}
    frames = {name: pl.from_arrow(table).lazy() for name, table in arrow.items()}
    failures = 0
    print(f"\n### {threads} core{'s' if threads > 1 else ''}, {arrow['lineitem'].num_rows:,} rows\n")
    print("| job | Millrace M rows/s | DuckDB | polars | against DuckDB | against polars | result |")
    print("|---|---|---|---|---|---|---|")
    for name, (counted, tables, steps, sql, lazy) in jobs(pl).items():
        if options.jobs and not any(job in name for job in options.jobs):
            continue
        try:
            with Pipeline(lib, steps, {t: arrow[t] for t in tables}, resources={"parallelism": threads, "memory": options.memory}) as pipeline:
                contenders = {
                    "millrace": pipeline.rows,
                    "duckdb": lambda: connection.sql(sql).to_arrow_table(),
                    "polars": lambda: lazy(frames).collect().to_arrow(),
                }
                outputs = {contender: run() for contender, run in contenders.items()}
                ordered = name == "sort"
                prints = {contender: fingerprint(duckdb, table, ordered) for contender, table in outputs.items()}
                same = prints["millrace"] == prints["duckdb"]
                del outputs
                times = {contender: [] for contender in contenders}
                for _ in range(options.runs):
                    for contender, run in contenders.items():
                        began = time.perf_counter()
                        out = run()
                        times[contender].append(time.perf_counter() - began)
                        del out
        except Exception as error:
            print(f"| {name} | failed: {error} |||||", flush=True)
            failures += 1
            continue
        rows = arrow[counted].num_rows
        rate = {contender: rows / statistics.median(took) / 1e6 for contender, took in times.items()}
        against = {peer: statistics.median(theirs / ours for ours, theirs in zip(times["millrace"], times[peer])) for peer in ("duckdb", "polars")}
        print(f"| {name} | {rate['millrace']:.1f} | {rate['duckdb']:.1f} | {rate['polars']:.1f} | {against['duckdb']:.2f} | {against['polars']:.2f} | "
              + ("same" if same else f"DIFFERS: {prints['millrace']} {prints['duckdb']}") + " |", flush=True)
        failures += not same
    return failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--memory", default="8GB")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("jobs", nargs="*")
    options = parser.parse_args()
    options.threads = [int(number) for number in options.threads.split(",")]
    if options.here:
        sys.exit(1 if measure(options) else 0)
    from suite import need

    need("pyarrow", "duckdb", "polars")
    failures = 0
    for threads in options.threads:
        # A process for each: polars fixes its number of threads when it is loaded.
        command = [sys.executable, os.path.realpath(__file__), "--here", "--scale", str(options.scale), "--runs", str(options.runs),
                   "--memory", options.memory, "--threads", str(threads), *options.jobs]
        cores = sorted(os.sched_getaffinity(0))[:threads]
        failures += subprocess.run(["taskset", "-c", ",".join(map(str, cores)), *command],
                                   env={**os.environ, "POLARS_MAX_THREADS": str(threads)}).returncode != 0
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()

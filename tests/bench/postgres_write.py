#!/usr/bin/env python3
"""toPostgres against \\copy of the same rows, ADBC, DuckDB and Spark's JDBC writer, in turns; every result is compared with the source.

usage: postgres_write.py [ROWS] [--wide] [--runs N] [--only TEXT..] [--batches] [--spark PYTHON]   (1,000,000 rows, 3 runs)

Ten columns of mixed types (--wide: 60 columns, 40 of them text, 100,000 rows), as Parquet for the tools and as files of COPY (text and
binary) for psql: \\copy decodes nothing, and binary is what it costs the server alone. `straight` and `new` is a table that the load makes,
`into` one that exists, which Millrace fills through staging tables. --only takes the contenders whose names hold one of the words;
--batches compares values of batchSize instead.

MILLRACE_BIN is the program. PEERS_PYTHON (this one unless told) has pyarrow, adbc-driver-postgresql, and a duckdb whose postgres extension
can be had; where extensions.duckdb.org cannot be reached, the package of that version from PyPI:
    python3 -m venv peers && peers/bin/pip install pyarrow adbc-driver-postgresql duckdb==1.5.5 duckdb-extension-postgres-scanner==1.5.5
--spark is a Python with pyspark, which fetches the JDBC driver; it loads with its defaults and with reWriteBatchedInserts and
batches of 10,000; its CPU is not seen, its JVM is a process of its own. The server does not sync, so that the disk of the machine is
not what is measured; Millrace's own state does.
Ratios are medians of the ratios within a round. "server CPU" is that of all processes of the server.
"""

import argparse
import os
import statistics
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import duckdb

import measure
from engine import Workspace, program
from server import Server

COLUMNS = ("id bigint, account integer, price numeric(12,2), quantity double precision, name text, note text, day date, "
           "at timestamptz, flag boolean, code smallint")
ROWS_SQL = """
SELECT i AS id, (hash(i) % 100000)::INTEGER AS account, ((hash(i + 1) % 10000000) / 100)::DECIMAL(12, 2) AS price,
       (hash(i + 2) % 1000003) / 7.0::DOUBLE AS quantity, 'customer ' || (hash(i + 3) % 50000) AS name,
       CASE WHEN i % 5 > 0 THEN md5(i::VARCHAR) END AS note, DATE '2020-01-01' + (i % 1500)::INTEGER AS day,
       TIMESTAMPTZ '2024-01-01 00:00:00Z' + to_microseconds((i * 1234567)::BIGINT) AS at, i % 3 = 0 AS flag, (i % 1000)::SMALLINT AS code
FROM range({rows}) r(i)"""
WIDE = ([(f"w{i}", "text", f"'word ' || (hash(i + {i}) % {10 ** (i % 6 + 1)})") for i in range(20)]
        + [(f"x{i}", "text", f"CASE WHEN (i + {i}) % 7 > 0 THEN left(md5((i * {i + 3})::VARCHAR), {8 + i}) END") for i in range(20)]
        + [(f"n{i}", "bigint", f"(hash(i + {100 + i}) % 1000000007)::BIGINT") for i in range(10)]
        + [(f"p{i}", "numeric(18,4)", f"((hash(i + {200 + i}) % 10000000000) / 10000)::DECIMAL(18, 4)") for i in range(5)]
        + [(f"t{i}", "timestamptz", f"TIMESTAMPTZ '2024-01-01 00:00:00Z' + to_microseconds((i * {1000003 + i})::BIGINT)") for i in range(5)])
WIDE_COLUMNS = ", ".join(f"{name} {kind}" for name, kind, _ in WIDE)
WIDE_SQL = "SELECT " + ", ".join(f"{value} AS {name}" for name, _, value in WIDE) + " FROM range({rows}) r(i)"
DIGEST = "SELECT count(*), sum(hashtextextended(ROW({values})::text, 0)) FROM {table} t"

ADBC = """
import sys
import pyarrow as pa, pyarrow.parquet as pq, adbc_driver_postgresql.dbapi as dbapi
uri, path, mode = sys.argv[1:]
file = pq.ParquetFile(path)
with dbapi.connect(uri) as connection, connection.cursor() as cursor:
    cursor.adbc_ingest("t", pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(65536)), mode=mode)
    connection.commit()
"""
SPARK = """
import sys, time
from pyspark.sql import SparkSession
url, path, *options = sys.argv[1:]
spark = (SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config("spark.driver.memory", "2g")
         .config("spark.jars.packages", "org.postgresql:postgresql:42.7.4").config("spark.sql.session.timeZone", "UTC").getOrCreate())
spark.sparkContext.setLogLevel("ERROR")
writer = (spark.read.parquet(path).write.format("jdbc").option("url", url).option("driver", "org.postgresql.Driver").option("dbtable", "t")
          .option("user", "postgres").option("password", "unused").options(**dict(o.split("=") for o in options)))
began = time.monotonic()
writer.mode("append").save()
print(f"of that the write, without the start of Spark: {time.monotonic() - began:.2f} s")
"""
DUCKDB = """
import glob, os, sys, duckdb
uri, path, statement = sys.argv[1:]
try:
    import duckdb_extension_postgres_scanner as package
    extension = glob.glob(os.path.join(package.__path__[0], "extensions", "*", "*.duckdb_extension"))[0]
except ImportError:
    extension = None
with duckdb.connect() as connection:
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"LOAD '{extension}'" if extension else "INSTALL postgres; LOAD postgres")
    connection.execute(f"ATTACH '{uri}' AS pg (TYPE postgres)")
    connection.execute(f"{statement} SELECT * FROM read_parquet('{path}')")
"""


class Bench:
    def __init__(self, server, space, rows, wide=False):
        self.server, self.space, self.rows = server, space, rows
        self.columns, query = (WIDE_COLUMNS, WIDE_SQL) if wide else (COLUMNS, ROWS_SQL)
        self.values = ", ".join(f"{c.split()[0]}::{c.split()[1]}" for c in self.columns.replace("double precision", "float8").split(", "))
        self.place = space.file("source.parquet")
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"COPY ({query.format(rows=rows)}) TO '{self.place}' (FORMAT parquet, ROW_GROUP_SIZE 122880)")
        server.database("bench")
        server.execute("bench", f"CREATE TABLE source ({self.columns})")
        self.load("source", 5000)
        self.wanted = server.rows("bench", DIGEST.format(table="source", values=self.values))[0]
        assert self.wanted[0] == rows, self.wanted
        for form in ("text", "binary"):
            self.copy(f"\\copy source to '{space.file(form)}' with (format {form})")

    def copy(self, *commands):
        arguments = [a for c in commands for a in ("-c", c)]
        return measure.once([f"{self.server.bin}/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.server.place, "-p", str(self.server.port),
                             "-U", self.server.user, "-d", "bench", *arguments])

    def load(self, table, batch=None):
        config = {"table": table, "mode": "append", "analyze": False, **({"batchSize": batch} if batch else {})}
        steps = [{"type": "extract", "method": "fromFile", "config": {"path": self.place, "format": "parquet"}},
                 {"type": "load", "method": "toPostgres", "config": config}]
        path = self.space.write("load.json", {"name": "load", "stateKey": f"load-{os.urandom(4).hex()}", "resources": {"parallelism": 2}, "steps": steps})
        return measure.once([program(), "run", self.space.file(path), "--progress", "none", "--credentials", self.space.file("config", "credentials.json")])

    def fresh(self, exists):
        self.server.execute("bench", "DROP TABLE IF EXISTS t", *([f"CREATE TABLE t ({self.columns})"] if exists else []), "CHECKPOINT")

    def check(self, name):
        got = self.server.rows("bench", DIGEST.format(table="t", values=self.values))[0]
        if got != self.wanted:
            raise measure.Failed(f"{name}: other values than the source: {got}, wanted {self.wanted}")

    def after(self, exists, function, *arguments):
        def run():
            self.fresh(exists)
            before = self.server_cpu()
            result = function(*arguments)
            return {**result, "server": self.server_cpu() - before}
        return run

    def server_cpu(self):
        """Seconds of all processes of the server, with those that have ended. One that ends while they are added up is missed: so they are added up until
        two sums agree."""
        last = self.sum_cpu()
        while (now := self.sum_cpu()) - last > 0.02 or last > now:
            last = now
        return now

    def sum_cpu(self):
        with open(f"{self.server.place}/data/postmaster.pid") as file:
            postmaster = int(file.readline())
        ticks = 0
        for number in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{number}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue  # it ended
            if int(number) == postmaster:
                ticks += sum(map(int, fields[11:15]))
            elif int(fields[1]) == postmaster:
                ticks += sum(map(int, fields[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def other(self, python, script, *arguments):
        result = measure.once([python, "-c", script, *arguments])
        for line in result["out"].splitlines():
            if line.startswith("of that"):
                print(f"  {line}", file=sys.stderr)
        return result


def contenders(bench, spark):
    server = bench.server
    uri = f"postgresql://{server.user}@127.0.0.1:{server.port}/bench"
    make = f"CREATE TABLE t ({bench.columns})"
    peers = os.environ.get("PEERS_PYTHON", sys.executable)
    yield "millrace, straight", bench.after(False, bench.load, "t")
    yield "\\copy text, new table", bench.after(False, bench.copy, f"begin; {make}", f"\\copy t from '{bench.space.file('text')}'", "commit")
    yield "\\copy binary, new table", bench.after(False, bench.copy, f"begin; {make}", f"\\copy t from '{bench.space.file('binary')}' with (format binary)", "commit")
    yield "ADBC, new table", bench.after(False, bench.other, peers, ADBC, uri, bench.place, "create")
    yield "DuckDB, new table", bench.after(False, bench.other, peers, DUCKDB, uri, bench.place, "CREATE TABLE pg.t AS")
    yield "millrace, into", bench.after(True, bench.load, "t")
    yield "\\copy text, into", bench.after(True, bench.copy, f"\\copy t from '{bench.space.file('text')}'")
    yield "\\copy binary, into", bench.after(True, bench.copy, f"\\copy t from '{bench.space.file('binary')}' with (format binary)")
    yield "\\copy binary, staged by hand", bench.after(
        True, bench.copy, "begin; CREATE TEMP TABLE s (LIKE t) ON COMMIT DROP", f"\\copy s from '{bench.space.file('binary')}' with (format binary)",
        "INSERT INTO t SELECT * FROM s", "commit")
    yield "ADBC, into", bench.after(True, bench.other, peers, ADBC, uri, bench.place, "append")
    yield "DuckDB, into", bench.after(True, bench.other, peers, DUCKDB, uri, bench.place, "INSERT INTO pg.t")
    if spark:
        url = "jdbc:" + uri.replace(f"{server.user}@", "")
        yield "Spark JDBC, defaults", bench.after(True, bench.other, spark, SPARK, url, bench.place)
        yield "Spark JDBC, rewritten 10,000", bench.after(True, bench.other, spark, SPARK, url, bench.place, "batchsize=10000", "reWriteBatchedInserts=true")


def batches(bench):
    yield "default", bench.after(False, bench.load, "t")
    for size in (100, 1000, 5000, 20_000, 50_000):
        yield f"batchSize {size}", bench.after(False, bench.load, "t", size)


def ratios(results, mine, others):
    """How many times as fast as the others, by the rounds that both ran, and by the CPU of client and server together."""
    for other in others:
        if mine in results and other in results and other != mine:
            pairs = list(zip(results[other], results[mine]))
            wall = statistics.median(a["wall"] / b["wall"] for a, b in pairs)
            cpu = statistics.median((a["cpu"] + a["server"]) / (b["cpu"] + b["server"]) for a, b in pairs)
            yield f"{mine}: {wall:.2f} of the speed of {other} ({cpu:.2f} by CPU)"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="?", type=int)
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[""], metavar="TEXT")
    parser.add_argument("--batches", action="store_true")
    parser.add_argument("--spark", metavar="PYTHON")
    wanted = parser.parse_args()
    rows = wanted.rows or (100_000 if wanted.wide else 1_000_000)
    with Server() as server, Workspace(postgres=server.credentials("bench")) as space:
        bench = Bench(server, space, rows, wanted.wide)
        made = batches(bench) if wanted.batches else contenders(bench, wanted.spark)
        chosen = {name: function for name, function in made if any(text in name for text in wanted.only)}
        results, dropped = measure.rounds(chosen, wanted.runs, bench.check)
        for line in measure.table(results, rows, "default" if wanted.batches else "\\copy binary, new table"):
            print(line)
        for name, found in results.items():
            print(f"server CPU, {name}: {measure.median(found, 'server'):.2f} s")
        for name, why in dropped.items():
            print(f"not measured: {name}: {why.splitlines()[-1][:200]}")
        mine = ("default",) if wanted.batches else ("millrace, straight", "millrace, into")
        for name in mine:
            kind = name.partition(", ")[2]
            for line in ratios(results, name, [n for n in results if kind == "" or ("new" in n) == (kind == "straight") and not n.startswith("millrace")]):
                print(line)


if __name__ == "__main__":
    main()

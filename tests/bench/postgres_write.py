#!/usr/bin/env python3
"""toPostgres against \\copy of the same rows, ADBC, DuckDB and Spark's JDBC writer, in turns; every result is compared with the source.

usage: postgres_write.py [ROWS] [--runs N] [--batches] [--spark PYTHON]   (1,000,000 rows, 3 runs)

Ten columns of mixed types, as Parquet for the tools and as files of COPY (text and binary) for psql. `straight` is a table that the load
makes; `into` one that exists, which Millrace fills through staging tables. --batches instead compares values of batchSize.
MILLRACE_BIN is the program, ADBC_PYTHON a Python that has adbc-driver-postgresql and pyarrow (this one unless told). The server does not
sync, so that the disk of the machine is not what is measured.
"""

import argparse
import os
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
DIGEST = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {table} t"

ADBC = """
import sys
import pyarrow as pa, pyarrow.parquet as pq, adbc_driver_postgresql.dbapi as dbapi
uri, path = sys.argv[1:]
file = pq.ParquetFile(path)
with dbapi.connect(uri) as connection, connection.cursor() as cursor:
    cursor.adbc_ingest("t", pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(65536)), mode="append")
    connection.commit()
"""
SPARK = """
import sys
from pyspark.sql import SparkSession
url, path = sys.argv[1:]
spark = (SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config("spark.driver.memory", "2g")
         .config("spark.jars.packages", "org.postgresql:postgresql:42.7.4").config("spark.sql.session.timeZone", "UTC").getOrCreate())
spark.sparkContext.setLogLevel("ERROR")
(spark.read.parquet(path).write.format("jdbc").option("url", url).option("dbtable", "t").option("user", "postgres").option("password", "unused")
 .option("batchsize", 10000).option("reWriteBatchedInserts", "true").mode("append").save())
"""
DUCKDB = """
import sys, duckdb
uri, path = sys.argv[1:]
with duckdb.connect() as connection:
    connection.execute("SET TimeZone = 'UTC'; INSTALL postgres; LOAD postgres")
    connection.execute(f"ATTACH '{uri}' AS pg (TYPE postgres)")
    connection.execute(f"INSERT INTO pg.t SELECT * FROM read_parquet('{path}')")
"""


class Bench:
    def __init__(self, server, space, rows):
        self.server, self.space, self.rows = server, space, rows
        self.place = space.file("source.parquet")
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"COPY ({ROWS_SQL.format(rows=rows)}) TO '{self.place}' (FORMAT parquet, ROW_GROUP_SIZE 122880)")
        server.database("bench")
        server.execute("bench", f"CREATE TABLE source ({COLUMNS})")
        self.load("source", 5000)
        self.wanted = server.rows("bench", DIGEST.format(table="source"))[0]
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
        self.server.execute("bench", "DROP TABLE IF EXISTS t", *([f"CREATE TABLE t ({COLUMNS})"] if exists else []), "CHECKPOINT")

    def check(self, name):
        got = self.server.rows("bench", DIGEST.format(table="t"))[0]
        if name.startswith("millrace") or "copy" in name:
            assert got == self.wanted, f"{name}: {got}, wanted {self.wanted}"
        elif got != self.wanted:
            print(f"  {name}: other values than the source ({got})", file=sys.stderr)

    def after(self, exists, function, *arguments):
        def run():
            self.fresh(exists)
            return function(*arguments)
        return run

    def other(self, python, script, *arguments):
        return measure.once([python, "-c", script, *arguments])


def contenders(bench, spark):
    server = bench.server
    uri = f"postgresql://{server.user}@127.0.0.1:{server.port}/bench"
    make = f"CREATE TABLE t ({COLUMNS})"
    adbc = os.environ.get("ADBC_PYTHON", sys.executable)
    yield "millrace, straight", bench.after(False, bench.load, "t")
    yield "\\copy text, new table", bench.after(False, bench.copy, f"begin; {make}", f"\\copy t from '{bench.space.file('text')}'", "commit")
    yield "\\copy binary, new table", bench.after(False, bench.copy, f"begin; {make}", f"\\copy t from '{bench.space.file('binary')}' with (format binary)", "commit")
    yield "millrace, into", bench.after(True, bench.load, "t")
    yield "\\copy text, into", bench.after(True, bench.copy, f"\\copy t from '{bench.space.file('text')}'")
    yield "\\copy binary, into", bench.after(True, bench.copy, f"\\copy t from '{bench.space.file('binary')}' with (format binary)")
    yield "ADBC, into", bench.after(True, bench.other, adbc, ADBC, uri, bench.place)
    yield "DuckDB, into", bench.after(True, bench.other, sys.executable, DUCKDB, uri, bench.place)
    if spark:
        yield "Spark JDBC, into", bench.after(True, bench.other, spark, SPARK, "jdbc:" + uri.replace(f"{server.user}@", ""), bench.place)


def batches(bench):
    yield "default", bench.after(False, bench.load, "t")
    for size in (100, 1000, 5000, 10_000, 20_000, 50_000):
        yield f"batchSize {size}", bench.after(False, bench.load, "t", size)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--batches", action="store_true")
    parser.add_argument("--spark", metavar="PYTHON")
    wanted = parser.parse_args()
    with Server() as server, Workspace(postgres=server.credentials("bench")) as space:
        bench = Bench(server, space, wanted.rows)
        chosen = dict(batches(bench) if wanted.batches else contenders(bench, wanted.spark))
        results, dropped = measure.rounds(chosen, wanted.runs, bench.check)
        for line in measure.table(results, wanted.rows, "default" if wanted.batches else "\\copy binary, new table"):
            print(line)
        for name, why in dropped.items():
            print(f"not measured: {name}: {why.splitlines()[-1][:200]}")
        if not wanted.batches:
            for kind, mine in (("new table", "straight"), ("into", "into")):
                for form in ("text", "binary"):
                    ratio = measure.median(results[f"\\copy {form}, {kind}"], "wall") / measure.median(results[f"millrace, {mine}"], "wall")
                    print(f"millrace, {mine}: {ratio:.2f} of the speed of \\copy {form}")


if __name__ == "__main__":
    main()

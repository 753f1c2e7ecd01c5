#!/usr/bin/env python3
"""One peer doing the same job: a table of Postgres to Parquet with snappy. peer.py NAME CONNINFO TABLE KEY CONNECTIONS OUT"""

import os
import sys


def url(conninfo):
    parts = dict(p.split("=", 1) for p in conninfo.split())
    return f"postgresql://{parts['user']}:unused@127.0.0.1:{parts['port']}/{parts['dbname']}"


def key_range(conninfo, table, key):
    import psycopg

    with psycopg.connect(conninfo) as connection:
        return connection.execute(f"SELECT min({key}), max({key}) FROM {table}").fetchone()


def run_duckdb(conninfo, table, key, connections, out):
    """Reads CSV from standard input, as people pipe it; the types are told, so nothing is guessed."""
    import duckdb
    import psycopg

    names = {"int8": "BIGINT", "int4": "INTEGER", "date": "DATE", "timestamptz": "TIMESTAMPTZ", "float8": "DOUBLE"}
    with psycopg.connect(conninfo) as connection:
        columns = connection.execute(
            "SELECT attname, typname, atttypmod FROM pg_attribute a JOIN pg_type t ON t.oid = atttypid "
            "WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum", [table]).fetchall()
    types = {n: "DECIMAL(12,2)" if t == "numeric" else names.get(t, "VARCHAR") for n, t, _ in columns}
    duckdb.execute("SET preserve_insertion_order = false")
    duckdb.execute(
        f"COPY (SELECT * FROM read_csv('/dev/stdin', header = false, columns = {types!r})) "
        f"TO '{out}' (FORMAT parquet, COMPRESSION snappy)")


def run_connectorx(conninfo, table, key, connections, out):
    import connectorx
    import pyarrow.parquet

    data = connectorx.read_sql(
        url(conninfo), f"SELECT * FROM {table}", partition_on=key, partition_num=connections, return_type="arrow")
    pyarrow.parquet.write_table(data, out, compression="snappy")


def run_adbc(conninfo, table, key, connections, out):
    import adbc_driver_postgresql.dbapi
    import pyarrow.parquet

    with adbc_driver_postgresql.dbapi.connect(url(conninfo)) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        reader = cursor.fetch_record_batch()
        with pyarrow.parquet.ParquetWriter(out, reader.schema, compression="snappy") as writer:
            for batch in reader:
                writer.write_batch(batch)


def run_spark(conninfo, table, key, connections, out):
    from pyspark.sql import SparkSession

    low, high = key_range(conninfo, table, key)
    spark = (
        SparkSession.builder.master(f"local[{os.cpu_count()}]").config("spark.ui.enabled", "false")
        .config("spark.jars.packages", "org.postgresql:postgresql:42.7.4").config("spark.driver.memory", "4g").getOrCreate())
    spark.sparkContext.setLogLevel("ERROR")
    (spark.read.format("jdbc").option("url", "jdbc:" + url(conninfo).replace("postgres:unused@", "") + "?user=postgres&password=unused")
     .option("dbtable", table).option("driver", "org.postgresql.Driver").option("fetchsize", 10000)
     .option("partitionColumn", key).option("lowerBound", low).option("upperBound", high)
     .option("numPartitions", connections).load()
     .write.mode("overwrite").option("compression", "snappy").parquet(out))


def main():
    name, conninfo, table, key, connections, out = sys.argv[1:]
    globals()[f"run_{name}"](conninfo, table, key, int(connections), out)


main()

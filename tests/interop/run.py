#!/usr/bin/env python3
"""Values: what Postgres holds, written to Parquet by the engine, read back by pyarrow and by DuckDB, is equal.

First a table of edge values for every type, then random schemas of random values over several splits. Seeds are
fixed, so a failure repeats. MILLRACE_LONG=1 runs many more schemas.
"""

import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("psycopg", "pyarrow", "duckdb")
import duckdb
import pyarrow
import table
from engine import Workspace
from server import Server
from types_of_postgres import TYPES, exact

COMPRESSIONS = ["snappy", "zstd", "gzip", "lz4", "none"]


def pipeline(source, **load):
    return {
        "name": "values",
        "steps": [
            {"type": "extract", "method": "fromPostgres", "config": source},
            {"type": "load", "method": "toFile", "config": {"path": "out/", "format": "parquet", "mode": "overwrite", **load}},
        ],
    }


def read_pyarrow(path):
    tables = [pyarrow.parquet.ParquetFile(f).read() for f in table.files(path)]
    return pyarrow.concat_tables(tables)


def read_duckdb(path):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection.sql("SELECT * FROM read_parquet(?)", params=[table.files(path)]).to_arrow_table()


def compare(space, server, database, types):
    """Columns c0.. of the output against the server, row by row of id, for both readers."""
    wanted = {}
    for number, kind in enumerate(types):
        rows = server.rows(database, f"SELECT id, {kind.expect} FROM (SELECT id, c{number} AS v FROM t) s")
        wanted[number] = {i: table.plain(v) for i, v in rows}
    for reader in (read_pyarrow, read_duckdb):
        data = reader(space.file("out"))
        ids = data.column("id").to_pylist()
        equal(sorted(ids), sorted(wanted[0]), f"{reader.__name__}: ids")
        for number, kind in enumerate(types):
            for i, value in zip(ids, exact(data.column(f"c{number}"))):
                got = table.plain(kind.read(value, None))
                want = wanted[number][i]
                check(
                    got == want and type(got) is type(want) and str(got) == str(want),
                    f"{reader.__name__}: {kind.name} of row {i}: got {got!r:.200}, the server has {want!r:.200}",
                )


def edge(server, kind):
    database = server.database("values")
    server.execute(database, *kind.setup, f"CREATE TABLE t (id integer, c0 {kind.name})", "INSERT INTO t VALUES (0, NULL)")
    for number, value in enumerate(kind.values, 1):
        server.execute(database, f"INSERT INTO t VALUES ({number}, {value})")
    with Workspace(postgres=server.credentials(database)) as space:
        space.run(pipeline({"table": "t", **kind.options})).expect(0)
        compare(space, server, database, [kind])


def schema(server, seed):
    choose = random.Random(seed)
    types = [choose.choice([t for t in TYPES if t.make]) for _ in range(choose.randint(1, 12))]
    rows = choose.choice([0, 1, 7, 1000, 20000])
    nulls = choose.choice([1, 2, 10, 1000000])
    columns = ", ".join(f"c{n} {t.name}" for n, t in enumerate(types))
    values = ", ".join(
        f"(SELECT CASE WHEN h % {nulls} = {nulls - 1} THEN NULL ELSE {t.make} END "
        f"FROM (SELECT hashint8extended(id, {seed * 100 + n}) & 9223372036854775807 AS h) s)"
        for n, t in enumerate(types))
    database = server.database("values")
    server.execute(
        database, f"CREATE TABLE t (id bigint PRIMARY KEY, {columns})",
        f"INSERT INTO t SELECT id, {values} FROM generate_series(1::bigint, {rows}) id", "ANALYZE t")
    source = {"table": "t"}
    if choose.random() < 0.5:
        source.update(partitionColumn="id", numPartitions=choose.choice([2, 5]))
    load = {"compression": choose.choice(COMPRESSIONS)}
    if choose.random() < 0.5:
        load["rowGroupRows"] = choose.choice([100, 4096])
    with Workspace(postgres=server.credentials(database)) as space:
        space.run(pipeline(source, **load)).expect(0)
        if rows:
            compare(space, server, database, types)


def refused(server, name, value, code, *messages, **options):
    """A value that has no place in the output is an error that says so, and nothing is written."""
    database = server.database("values")
    server.execute(database, f"CREATE TABLE t (id integer, c0 {name})", f"INSERT INTO t VALUES (1, {value})")
    with Workspace(postgres=server.credentials(database)) as space:
        result = space.run(pipeline({"table": "t", **options})).expect(code)
        for message in messages:
            check(message in result.out + result.err, f"the output lacks {message!r}\n{result}")
        equal(table.files(space.file("out")), [], "files")


def main():
    suite = Suite("interop")
    with Server() as server:
        for kind in TYPES:
            options = "".join(f" {k}={v}" for k, v in kind.options.items())
            suite.case(f"edge values of {kind.name}{options}", edge, server, kind)
        suite.case("numeric that loses digits", refused, server, "numeric", "1e-30", 5, "c0")
        suite.case("numeric NaN", refused, server, "numeric", "'NaN'", 5, "c0", "numericAs")
        suite.case("infinite date", refused, server, "date", "'infinity'", 5, "c0", "infinityAs")
        suite.case("infinite timestamp", refused, server, "timestamp", "'-infinity'", 5, "c0", "infinityAs")
        suite.case("timestamp beyond the range", refused, server, "timestamp", "'294276-12-31 23:59:59'", 5, "c0")
        for seed in range(200 if os.environ.get("MILLRACE_LONG") else 15):
            suite.case(f"random schema {seed}", schema, server, seed)
    suite.end()


main()

#!/usr/bin/env python3
"""Queries: the sql step and DuckDB give the same rows for hand-written and for generated SELECTs.

Four small tables with NULLs, repeated keys and no rows at all are read once a batch of queries; every query is a step
of its own with a load behind it. Where a batch fails, its queries run one by one, so that each failure has its query.
A query that must be refused is told apart by its message. MILLRACE_LONG=1 generates many more; `test_sql.py SEED=17`
runs one of them, `test_sql.py -- SELECT ..` any query.
"""

import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Failure, Suite, need

need("psycopg", "pyarrow", "duckdb")
import decimal

import duckdb
import pyarrow
import pyarrow.parquet
import table
from engine import Workspace
from server import Server, need_server
from sql_queries import QUERIES, generate

need_server()

BATCH = 20
TABLES = {
    "t": "id integer NOT NULL, k integer, g text, v double precision, n numeric(10,2), b boolean, d date",
    "u": "id integer, k integer, w bigint, h text",
    "s": "k integer NOT NULL, name text NOT NULL",
    "e": "id integer, k integer, g text",
}


def rows_of(name):
    choose = random.Random(f"rows of {name}")

    def maybe(value):
        return None if choose.random() < 0.2 else value

    def date():
        return maybe(f"2024-0{choose.randint(1, 3)}-0{choose.randint(1, 9)}")

    if name == "t":
        return [(i, maybe(choose.randint(0, 6)), maybe(choose.choice(["a", "b", "c", "dd", ""])),
                 maybe(choose.randint(-8, 8) / 4), maybe(choose.randint(-500, 500) / 100),
                 maybe(choose.random() < 0.5), date()) for i in range(40)]
    if name == "u":
        return [(maybe(choose.randint(0, 45)), maybe(choose.randint(0, 8)), maybe(choose.randint(-20, 20)),
                 maybe(choose.choice(["a", "b", "x", ""]))) for _ in range(35)]
    if name == "s":
        return [(k, f"name {k % 3}") for k in range(0, 10)]
    return []


def literal(value):
    if value is None:
        return "NULL"
    return f"'{value}'" if isinstance(value, str) else str(value)


def create(execute):
    for name, columns in TABLES.items():
        execute(f"CREATE TABLE {name} ({columns})")
        rows = rows_of(name)
        if rows:
            execute(f"INSERT INTO {name} VALUES " + ", ".join("(" + ", ".join(map(literal, r)) + ")" for r in rows))


def duck_of_tables():
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET default_null_order = 'nulls_first_on_asc_last_on_desc'")
    create(connection.execute)
    return connection


def kind_of(column):
    """What two engines can agree on: whole numbers of any width are one kind."""
    if pyarrow.types.is_integer(column):
        return "integer"
    if pyarrow.types.is_decimal(column):
        return "integer" if column.scale == 0 else "decimal"
    if pyarrow.types.is_floating(column):
        return "double"
    if pyarrow.types.is_string(column) or pyarrow.types.is_large_string(column):
        return "string"
    return str(column)


def plain(value):
    if isinstance(value, float):
        return float(f"{value:.9g}") + 0.0
    if isinstance(value, decimal.Decimal):
        return value.normalize() + 0
    return table.plain(value)


def read(data):
    columns = [c.to_pylist() for c in data.columns]
    return [kind_of(f.type) for f in data.schema], [tuple(plain(v) for v in row) for row in zip(*columns)]


def compare(space, connection, number, query):
    files = table.files(space.file(f"out{number}"))
    if not files:
        raise Failure(f"{query}\nnothing was written")
    got_kinds, got = read(pyarrow.concat_tables([pyarrow.parquet.ParquetFile(f).read() for f in files]))
    kinds, wanted = read(connection.sql(query).to_arrow_table())
    table.same_rows(got, wanted, query)
    different = [(a, b) for a, b in zip(got_kinds, kinds) if a != b and "null" not in (a, b) and "int" not in (a, b)]
    if different or len(kinds) != len(got_kinds):
        raise Failure(f"{query}\ntypes {got_kinds}, wanted {kinds}")


def steps(queries):
    found = [{"type": "extract", "method": "fromPostgres", "config": {"table": name, "registerAs": name}} for name in TABLES]
    for number, query in queries:
        found.append({"type": "transform", "method": "sql", "config": {"query": query}})
        found.append({"type": "load", "method": "toFile",
                      "config": {"path": f"out{number}/", "format": "parquet", "mode": "overwrite"}})
    return {"name": "queries", "steps": found}


def run(server, database, connection, queries):
    """The failures among (number, query)."""
    with Workspace(postgres=server.credentials(database)) as space:
        result = space.run(steps(queries))
        if result.code != 0 and len(queries) > 1:
            return [f for q in queries for f in run(server, database, connection, [q])]
        if result.code != 0:
            return [f"{queries[0][1]}\n{result}"]
        failures = []
        for number, query in queries:
            try:
                compare(space, connection, number, query)
            except Failure as failure:
                failures.append(str(failure))
        return failures


def batch(server, database, connection, queries):
    failures = run(server, database, connection, list(enumerate(queries)))
    if failures:
        raise Failure("\n".join(failures))


def usable(connection, queries):
    """Generated queries that DuckDB takes: a division by zero on its side says nothing."""
    good = []
    for query in queries:
        try:
            connection.sql(query).fetchall()
            good.append(query)
        except duckdb.Error as error:
            if os.environ.get("MILLRACE_SHOW"):
                print(f"# {query}\n# {error}")
    return good


def main():
    suite = Suite("sql")
    connection = duck_of_tables()
    arguments = sys.argv[1:]
    with Server() as server:
        database = server.database("queries")
        create(lambda text: server.execute(database, text))
        if "--" in arguments:
            suite.patterns = []
            queries = [" ".join(arguments[arguments.index("--") + 1:])]
            suite.case("query", batch, server, database, connection, queries)
            suite.end()
        for name, queries in QUERIES.items():
            for at in range(0, len(queries), BATCH):
                suite.case(f"{name} {at}", batch, server, database, connection, queries[at:at + BATCH])
        for seed in range(100 if os.environ.get("MILLRACE_LONG") else 10):
            queries = usable(connection, generate(seed, BATCH))
            suite.case(f"generated SEED={seed}", batch, server, database, connection, queries)
    suite.end()


main()

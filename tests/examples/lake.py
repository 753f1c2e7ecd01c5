#!/usr/bin/env python3
"""The examples of the lake, run on a directory and on the sandbox's S3 server: only the credentials file differs.

What they leave is read by others (delta-rs, fastavro, DuckDB; from S3 by pyarrow and delta-rs) and is what the sandbox's rows say.
"""

import datetime
import glob
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("psycopg", "pyarrow", "duckdb", "deltalake", "fastavro")
import deltalake
import fastavro
import pyarrow.fs
import s3
import table
from run import LAKE, ROOT, door, said, sandbox

BUCKET = "data-lake"
MIDDLE = "2024-07-01"  # between the two runs of delta-incremental


class Directory:
    """The bucket as config/credentials.json has it."""

    name = "directory"
    options = ()
    storage = None

    def clear(self, prefix):
        shutil.rmtree(os.path.join(LAKE, prefix), ignore_errors=True)

    def folder(self, prefix, _):
        return os.path.join(LAKE, prefix)

    def url(self, prefix):
        return os.path.join(LAKE, prefix)


class Server:
    """The bucket as config/credentials-s3.json has it."""

    name = "S3"
    options = ("--credentials", "config/credentials-s3.json")

    def __init__(self):
        started = subprocess.run([os.path.join(ROOT, "bin", "sandbox.sh"), "start-s3"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        check(started.returncode == 0, started.stderr)
        with open(os.path.join(ROOT, ".sandbox", "s3", "port")) as file:
            self.place = f"127.0.0.1:{int(file.read())}"
        with open(os.path.join(ROOT, "config", "credentials-s3.json")) as file:
            self.keys = json.load(file)["defaults"]["s3"]
        self.client = s3.Client(f"http://{self.place}", self.keys["accessKey"], self.keys["secretKey"])
        self.storage = {
            "AWS_ENDPOINT_URL": f"http://{self.place}", "AWS_ACCESS_KEY_ID": self.keys["accessKey"], "AWS_REGION": "us-east-1",
            "AWS_SECRET_ACCESS_KEY": self.keys["secretKey"], "AWS_ALLOW_HTTP": "true"}

    def clear(self, prefix):
        for key in self.client.keys(BUCKET, prefix + "/"):
            self.client.request("DELETE", BUCKET, key)

    def folder(self, prefix, place):
        """A copy, fetched by pyarrow."""
        source = pyarrow.fs.S3FileSystem(
            access_key=self.keys["accessKey"], secret_key=self.keys["secretKey"], endpoint_override=self.place, scheme="http", region="us-east-1")
        target = os.path.join(place, prefix)
        os.makedirs(target)
        pyarrow.fs.copy_files(f"{BUCKET}/{prefix}", target, source_filesystem=source, destination_filesystem=pyarrow.fs.LocalFileSystem())
        return target

    def url(self, prefix):
        return f"s3://{BUCKET}/{prefix}"


def run(store, example, *arguments):
    done = door(f"config/examples/{example}.json", *store.options, *arguments, environment={"SAMPLE_ROWS": "0"})
    equal(done.returncode, 0, said(done))


def rows(store, prefix, query, form="parquet"):
    with tempfile.TemporaryDirectory(prefix="millrace-lake-") as place:
        return table.duck(query, store.folder(prefix, place), form)


def delta(store, prefix, columns, version=None):
    """delta-rs's reading of a table."""
    read = deltalake.DeltaTable(store.url(prefix), storage_options=store.storage, version=version)
    data = read.to_pyarrow_table(columns=columns)
    return read, [tuple(row) for row in zip(*(data.column(c).to_pylist() for c in columns))]


def same_tenth(got, wanted, what):
    """As many rows, and every tenth of them (the first column is the key) equal: all of them take Python a minute."""
    equal(len(got), len(wanted), f"{what}: rows")
    table.same_rows([r for r in got if r[0] % 10 == 0], [r for r in wanted if r[0] % 10 == 0], what)


def as_on_the_directory(store, example, prefix, query):
    """An example whose rows tests/examples/run.py checks: the same on both."""
    run(store, example)
    run(Directory(), example)
    table.same_rows(rows(store, prefix, query), rows(Directory(), prefix, query), example)


def metrics(store):
    for prefix in ("orders-sold", "metrics/orders"):
        store.clear(prefix)
    run(store, "batch-with-metrics")
    sold = "status IN ('completed', 'shipped')"
    columns = "id, user_id, order_date::varchar, status, amount, currency"
    same_tenth(rows(store, "orders-sold", f"SELECT {columns} FROM data"), sandbox(f"SELECT {columns} FROM orders WHERE {sold}"), "orders")
    got = rows(store, "metrics/orders", "SELECT order_date::varchar, currency, orders, buyers, revenue::decimal(14,2), largest::decimal(14,2), with_coupon FROM data", "json")
    wanted = sandbox(
        "SELECT order_date::varchar, currency, count(*), count(DISTINCT user_id), sum(amount), max(amount), count(coupon) "
        f"FROM orders WHERE {sold} GROUP BY 1, 2")
    table.same_rows(got, wanted, "metrics")
    with tempfile.TemporaryDirectory() as place:
        folder = store.folder("orders-sold", place)
        with open(os.path.join(folder, "_manifest.json")) as file:
            listed = {f["path"] for f in json.load(file)["files"]}
        equal(listed, {os.path.relpath(f, folder) for f in table.files(folder)}, "the manifest")


def medallion(store):
    for prefix in ("landing/requests", "silver/requests", "gold/requests"):
        store.clear(prefix)
    run(store, "medallion-landing")
    run(store, "medallion")
    columns = ["id", "model", "user_id", "status", "failed", "tokens"]
    _, silver = delta(store, "silver/requests", columns)
    same_tenth(silver, sandbox(
        "SELECT id, model, user_id, status, status >= 500, tokens_in + coalesce(tokens_out, 0) FROM model_requests"), "silver")
    _, gold = delta(store, "gold/requests", ["day", "model", "requests", "users", "errors", "tokens", "latency_p95_ms"])
    wanted = sandbox(
        "SELECT (requested_at AT TIME ZONE 'UTC')::date, model, count(*), count(DISTINCT user_id), count(*) FILTER (WHERE status >= 500), "
        "sum(tokens_in) + coalesce(sum(tokens_out), 0), percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) FROM model_requests GROUP BY 1, 2")
    gold, wanted = sorted(gold), sorted(wanted)
    equal([r[:6] for r in gold], [r[:6] for r in wanted], "gold")
    check(all(math.isclose(a[6], b[6], rel_tol=1e-12) for a, b in zip(gold, wanted)), "gold: percentiles")


ORDERS = ["id", "user_id", "order_date", "status", "amount", "currency"]


def orders(where):
    return sandbox(f"SELECT {', '.join(ORDERS)} FROM orders WHERE {where}")


def incremental(store):
    store.clear("silver/orders")
    run(store, "delta-incremental", "--param", f"until={MIDDLE}")
    read, got = delta(store, "silver/orders", ORDERS)
    equal(read.version(), 0, "version")
    same_tenth(got, orders(f"updated_at < '{MIDDLE}'"), "the first run")
    run(store, "delta-incremental", "--param", "since=2024-06-01")  # a month twice: replaced, not doubled
    read, got = delta(store, "silver/orders", ORDERS)
    equal(read.version(), 1, "version")
    same_tenth(got, orders("true"), "both runs")


def aggregation(store):
    store.clear("gold/revenue-at-version")
    run(store, "delta-aggregation", "--param", "version=0")
    statuses = ["completed", "shipped", "pending", "cancelled", "returned"]
    got = rows(store, "gold/revenue-at-version", "SELECT month::VARCHAR, currency, " + ", ".join(f"{s}::VARCHAR" for s in statuses) + " FROM data")
    wanted = sandbox(
        "SELECT date_trunc('month', order_date)::date::text, currency, "
        + ", ".join(f"(sum(amount) FILTER (WHERE status = '{s}'))::text" for s in statuses)
        + f" FROM orders WHERE updated_at < '{MIDDLE}' GROUP BY 1, 2")
    table.same_rows(got, wanted, "revenue at version 0")


def maintenance(store):
    before, orders_before = delta(store, "silver/orders", ORDERS)
    run(store, "delta-maintenance")
    after, orders_after = delta(store, "silver/orders", ORDERS)
    equal(after.version(), before.version() + 1, "version")
    check(len(after.file_uris()) <= len(before.file_uris()), "more files than before")
    same_tenth(orders_after, orders_before, "orders")
    equal(after.history(1)[0]["operation"], "OPTIMIZE", "the last operation")
    _, requests = delta(store, "silver/requests", ["id"])
    equal(len(requests), sandbox("SELECT count(*) FROM model_requests")[0][0], "requests")


def records(folder):
    """Records of all Avro files, with the country of their directory."""
    for path in sorted(glob.glob(os.path.join(folder, "**", "*.avro"), recursive=True)):
        with open(path, "rb") as file:
            for record in fastavro.reader(file):
                for part in os.path.relpath(path, folder).split(os.sep)[:-1]:
                    name, value = part.split("=", 1)
                    record[name] = value
                yield record


def avro(store):
    for prefix in ("avro/users", "avro/users-v2"):
        store.clear(prefix)
    run(store, "avro-etl")
    columns = ["id", "external_id", "email", "name", "age", "country", "created_at", "balance"]
    with tempfile.TemporaryDirectory() as place:
        got = [tuple(r[c] for c in columns) for r in records(store.folder("avro/users", place))]
    utc = lambda row: tuple(v.astimezone(datetime.timezone.utc) if isinstance(v, datetime.datetime) else v for v in row)
    wanted = [utc(r) for r in sandbox(f"SELECT {', '.join(columns)} FROM users WHERE active AND country IS NOT NULL")]
    same_tenth(got, wanted, "avro-etl")
    run(store, "avro-schema-evolution")
    with tempfile.TemporaryDirectory() as place:
        folder = store.folder("avro/users-v2", place)
        found = list(records(folder))
    equal(set(found[0]), {"id", "mail", "name", "age", "country", "created_at", "plan"}, "fields")
    got = [(r["id"], r["mail"], r["age"], r["country"], r["plan"]) for r in found]
    same_tenth(got, sandbox("SELECT id, email, age, country, 'free' FROM users WHERE active AND country IS NOT NULL"), "avro-schema-evolution")


def main():
    suite = Suite("lake")
    stores = [Directory(), Server()]
    try:
        for store in stores:
            for name, function in (
                ("batch-with-metrics", metrics), ("medallion", medallion), ("delta-incremental", incremental),
                ("delta-aggregation", aggregation), ("delta-maintenance", maintenance), ("avro-etl, avro-schema-evolution", avro),
            ):
                suite.case(f"{name} on {store.name}", function, store)
        for example, prefix, query in (
            ("simple-etl", "users", "SELECT * FROM data WHERE id % 10 = 0"), ("daily-metrics", "gold/daily-metrics", "SELECT * FROM data"),
            ("aggregation-pivot", "gold/revenue", "SELECT * FROM data"),
        ):
            suite.case(f"{example} on S3 as on a directory", as_on_the_directory, stores[1], example, prefix, query)
    finally:
        subprocess.run([os.path.join(ROOT, "bin", "sandbox.sh"), "stop-s3"], stdin=subprocess.DEVNULL)
    suite.end()


main()

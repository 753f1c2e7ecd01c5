#!/usr/bin/env python3
"""The front door: bin/run-local.sh runs every example, and the results are what the sandbox's rows say.

This is the one suite that uses the checkout's own build/, .sandbox/ and data/, as a newcomer does.
"""

import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, checkout, equal, need

need("psycopg", "pyarrow", "duckdb")
import psycopg
import table

ROOT = checkout()
DOOR = os.path.join(ROOT, "bin", "run-local.sh")
LAKE = os.path.join(ROOT, "data", "data-lake")


def door(*arguments, cwd=ROOT, environment=None):
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("MILLRACE_", "PG"))}
    return subprocess.run(
        [DOOR, *arguments], cwd=cwd, env={**keep, **(environment or {})}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=900)


def said(done):
    return f"exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"


def sandbox(query):
    with open(os.path.join(ROOT, ".sandbox", "port")) as file:
        port = int(file.read())
    with open(os.path.join(ROOT, "config", "credentials.json")) as file:
        keys = json.load(file)["defaults"]["postgres"]
    with psycopg.connect(
        host=keys["host"], port=port, user=keys["username"], password=keys["password"], dbname=keys["database"]
    ) as connection:
        return connection.execute(query).fetchall()


USERS = "SELECT id, name, email, age, country, balance, {time}, {year}, {month} FROM {table}"


def users_from_postgres():
    return sandbox(
        USERS.format(
            time="(extract(epoch FROM created_at) * 1000000)::bigint", table="users WHERE active AND age >= 18",
            year="extract(year FROM created_at AT TIME ZONE 'UTC')::int", month="extract(month FROM created_at AT TIME ZONE 'UTC')::int"))


def users(name, path):
    """Runs an example twice: the second run replaces the first."""
    shutil.rmtree(os.path.join(LAKE, path), ignore_errors=True)
    for _ in range(2):
        done = door(f"config/examples/{name}.json")
        equal(done.returncode, 0, said(done))
    got = table.duck(USERS.format(time="epoch_us(created_at)", table="data", year="year::INT", month="month::INT"), os.path.join(LAKE, path))
    table.same_rows(got, users_from_postgres(), name)
    for file in table.files(os.path.join(LAKE, path)):
        check(re.search(r"/year=20\d\d/month=\d{1,2}/[^/]+\.parquet$", file), f"unexpected file {file}")
    equal(len(table.arrow_rows(os.path.join(LAKE, path))), len(got), "rows that pyarrow reads")
    check("Sample of the result" in done.stdout, f"no sample\n{said(done)}")


def simple_columns():
    got = table.duck("SELECT DISTINCT email_domain, age_group FROM data", os.path.join(LAKE, "users"))
    wanted = sandbox(
        "SELECT DISTINCT split_part(email, '@', 2), CASE WHEN age < 30 THEN '18-29' WHEN age < 50 THEN '30-49' "
        "WHEN age < 65 THEN '50-64' ELSE '65+' END FROM users WHERE active AND age >= 18")
    table.same_rows(got, wanted, "derived columns")


def data_quality():
    out, bad = os.path.join(ROOT, "data", "orders-checked"), os.path.join(ROOT, "data", "quarantine", "orders")
    for path in (out, bad):
        shutil.rmtree(path, ignore_errors=True)
    done = door("config/examples/data-quality.json")
    equal(done.returncode, 0, said(done))
    good = (
        "amount BETWEEN 2 AND 850 AND user_id IN (SELECT id FROM users WHERE active) "
        "AND (coupon IS NULL OR status IN ('completed', 'shipped')) AND currency IN ('USD', 'EUR', 'GBP', 'JPY')")
    columns = "id, user_id, status, amount"
    table.same_rows(table.duck(f"SELECT {columns} FROM data", out), sandbox(f"SELECT {columns} FROM orders WHERE {good}"), "good rows")
    table.same_rows(
        table.duck(f"SELECT DISTINCT {columns} FROM data", bad), sandbox(f"SELECT {columns} FROM orders WHERE NOT ({good})"), "quarantine")


def multi_source_join():
    out = os.path.join(ROOT, "data", "orders-joined")
    shutil.rmtree(out, ignore_errors=True)
    done = door("config/examples/multi-source-join.json")
    equal(done.returncode, 0, said(done))
    wanted = sandbox(
        "SELECT o.id, o.order_date, u.name, u.country, o.amount, o.currency, coalesce(b.lines, 0), b.goods "
        "FROM orders o JOIN users u ON o.user_id = u.id AND u.active LEFT JOIN (SELECT order_id, count(*) AS lines, "
        "sum(quantity * unit_price)::numeric(14,2) AS goods FROM order_items WHERE NOT gift GROUP BY order_id) b "
        "ON o.id = b.order_id AND o.status <> 'cancelled'")
    table.same_rows(table.duck("SELECT id, order_date, customer, country, amount, currency, lines, goods FROM data", out), wanted, "joined rows")


def daily_metrics():
    out = os.path.join(LAKE, "gold", "daily-metrics")
    shutil.rmtree(out, ignore_errors=True)
    done = door("config/examples/daily-metrics.json")
    equal(done.returncode, 0, said(done))
    got = table.duck("SELECT day::VARCHAR, model, requests, users, errors, tokens, error_rate, latency_avg_ms, latency_p95_ms FROM data", out)
    wanted = sandbox(
        "SELECT (requested_at AT TIME ZONE 'UTC')::date::text, model, count(*), count(DISTINCT user_id), count(*) FILTER (WHERE status >= 500), "
        "sum(tokens_in) + coalesce(sum(tokens_out), 0), round(count(*) FILTER (WHERE status >= 500)::numeric / count(*), 6)::double precision, "
        "avg(latency_ms), percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) "
        "FROM model_requests GROUP BY 1, 2 HAVING count(*) >= 10 ORDER BY 1, model COLLATE \"C\"")
    equal([row[:6] for row in got], [row[:6] for row in wanted], "counts, in order")
    for mine, theirs in zip(got, wanted):
        check(all(math.isclose(float(a), b, rel_tol=1e-12) for a, b in zip(mine[6:], theirs[6:])), f"{mine} is not {theirs}")


def pivot():
    out = os.path.join(LAKE, "gold", "revenue")
    shutil.rmtree(out, ignore_errors=True)
    done = door("config/examples/aggregation-pivot.json")
    equal(done.returncode, 0, said(done))
    statuses = ["completed", "shipped", "pending", "cancelled", "returned"]
    got = table.duck("SELECT month::VARCHAR, currency, " + ", ".join(f"{s}::VARCHAR" for s in statuses) + " FROM data", out)
    wanted = sandbox(
        "SELECT date_trunc('month', order_date)::date::text, currency, "
        + ", ".join(f"(sum(amount) FILTER (WHERE status = '{s}'))::text" for s in statuses) + " FROM orders GROUP BY 1, 2")
    table.same_rows(got, wanted, "revenue by status")


def usage():
    equal(door().returncode, 2, "exit code without a file")
    equal(door("no/such/file.json").returncode, 2, "exit code for a file that is not there")


def passes_on():
    """Exit codes are the engine's, and paths are those of the caller."""
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "bad.json"), "w") as file:
            file.write('{"name": "bad", "steps": [{"type": "transform", "method": "filterRow", "config": {}}]}')
        done = door("bad.json", cwd=folder)
        equal(done.returncode, 3, said(done))
        check("filterRows" in done.stdout + done.stderr, f"the nearest method is not named\n{said(done)}")


def warm():
    """What the script adds to a run on a warm checkout."""
    example = os.path.join(ROOT, "config", "examples", "simple-etl.json")
    with open(os.path.join(ROOT, ".sandbox", "port")) as file:
        port = file.read().strip()
    own = os.path.join(ROOT, ".sandbox", "credentials.json")
    credentials = own if os.path.exists(own) else os.path.join(ROOT, "config", "credentials.json")
    added = []
    for _ in range(5):
        began = time.monotonic()
        equal(door(example, environment={"SAMPLE_ROWS": "0"}).returncode, 0, "run-local.sh")
        between = time.monotonic()
        direct = subprocess.run(
            [os.path.join(ROOT, "build", "millrace"), "run", example], capture_output=True, stdin=subprocess.DEVNULL,
            env={**os.environ, "MILLRACE_CREDENTIALS": credentials})
        equal(direct.returncode, 0, f"millrace run on port {port}")
        added.append((between - began) - (time.monotonic() - between))
    # A figure, not a limit: a busy machine is no defect. What must not happen on a warm checkout is work.
    warm_output = door(example, environment={"SAMPLE_ROWS": "0"})
    for word in ("installing", "building", "creating", "loading"):
        check(word not in warm_output.stdout + warm_output.stderr, f"a warm start is {word}: {said(warm_output)}")
    print(f"# a warm start adds {statistics.median(added) * 1000:.0f} ms")


def main():
    suite = Suite("examples")
    suite.case("usage", usage)
    suite.case("simple-etl", users, "simple-etl", "users")
    suite.case("simple-etl, derived columns", simple_columns)
    suite.case("simple-etl-baseline", users, "simple-etl-baseline", "users-baseline")
    suite.case("simple-etl-optimized", users, "simple-etl-optimized", "users-optimized")
    suite.case("data-quality", data_quality)
    suite.case("multi-source-join", multi_source_join)
    suite.case("daily-metrics", daily_metrics)
    suite.case("aggregation-pivot", pivot)
    suite.case("exit code and working directory", passes_on)
    suite.case("warm start", warm)
    suite.end()


if __name__ == "__main__":
    main()

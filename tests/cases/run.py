#!/usr/bin/env python3
"""Runs the cases: folders with a pipeline.json and an expected.json, as data.

expected.json, all keys optional:
  setup      SQL file run first in a fresh database (default: setup.sql where there is one)
  runs       a list of what follows, for several runs in the same folder; without it one run is described here
  command    default ["run", "pipeline.json"]; `run` also writes a report
  sql        statements before this run
  environment  variables of this run
  exit       exit code, default 0
  messages   texts that the output (both streams) holds;  silent: texts that it must not hold
  plan       texts that `millrace plan pipeline.json` prints
  outputs    [{path, format, query, and rows | postgres}]: a DuckDB query over `data`, its rows as JSON or as a
             query of the case's database; decimals, dates and times as text in `rows`
  files      [{path, count, match}]: number of files below a path, a pattern that each must match
  absent     paths without any data file
  report     {"a.b.0.c": value} in the report
"""

import decimal
import glob
import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("psycopg", "pyarrow", "duckdb")
import table
from engine import Workspace
from server import Server

HERE = os.path.dirname(os.path.realpath(__file__))


def as_json(value):
    value = table.plain(value)
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, (list, tuple)):
        return tuple(as_json(v) for v in value)
    if isinstance(value, bytes):
        return value.hex()
    return value


def check_output(space, server, database, output):
    format = output.get("format", "parquet")
    path = space.file(output["path"])
    got = table.duck(output["query"], path, format)
    what = f"{output['path']}: {output['query']}"
    if "postgres" in output:
        table.same_rows(got, server.rows(database, output["postgres"]), what)
    else:
        table.same_rows([as_json(r) for r in got], [as_json(r) for r in output["rows"]], what)


def check_report(report, wanted):
    check(report is not None, "no report was written")
    for path, value in wanted.items():
        found = report
        for part in path.split("."):
            found = found[int(part)] if part.isdigit() else found[part]
        equal(found, value, f"report {path}")


def check_run(space, server, database, run):
    if run.get("sql"):
        server.execute(database, *run["sql"])
    command = run.get("command", ["run", "pipeline.json"])
    environment = run.get("environment")
    if command[0] == "run":
        result = space.run(command[1], *command[2:], environment=environment)
    else:
        result = space.millrace(*command, environment=environment)
    result.expect(run.get("exit", 0))
    said = result.out + result.err
    for text in run.get("messages", []):
        check(text in said, f"the output lacks {text!r}\n{result}")
    for text in run.get("silent", []):
        check(text not in said, f"the output has {text!r}\n{result}")
    if "plan" in run:
        plan = space.millrace("plan", "pipeline.json", environment=environment).expect(0)
        for text in run["plan"]:
            check(text in plan.out, f"the plan lacks {text!r}\n{plan}")
    for output in run.get("outputs", []):
        check_output(space, server, database, output)
    for item in run.get("files", []):
        found = [os.path.relpath(f, space.file(item["path"])) for f in table.files(space.file(item["path"]))]
        if "count" in item:
            equal(len(found), item["count"], f"files below {item['path']}")
        for name in found:
            check(re.fullmatch(item.get("match", ".*"), name), f"{item['path']}: unexpected file {name}")
        check(found or item.get("count") == 0, f"no files below {item['path']}")
    for path in run.get("absent", []):
        equal(table.files(space.file(path)), [], f"files below {path}")
    if "report" in run:
        check_report(result.report, run["report"])


def run_case(server, folder):
    with open(os.path.join(folder, "expected.json"), encoding="utf-8") as file:
        expected = json.load(file)
    database = server.database("case")
    setup = os.path.join(folder, expected.get("setup", "setup.sql"))
    if os.path.exists(setup):
        server.run_file(database, setup)
    else:
        check("setup" not in expected, f"{setup} does not exist")
    with Workspace(postgres=server.credentials(database), buckets={"data-lake": "../lake", "bucket": "../bucket"}) as space:
        shutil.copytree(folder, space.path, dirs_exist_ok=True)
        for run in expected.get("runs", [expected]):
            check_run(space, server, database, run)


def main():
    suite = Suite("cases")
    found = sorted(glob.glob(os.path.join(HERE, "**", "expected.json"), recursive=True))
    with Server() as server:
        for path in found:
            folder = os.path.dirname(path)
            suite.case(os.path.relpath(folder, HERE), run_case, server, folder)
    suite.end()


main()

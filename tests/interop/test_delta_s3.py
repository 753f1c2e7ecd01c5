#!/usr/bin/env python3
"""Delta tables on S3: eight writers at once, and commits whose reply was dropped after the server had done them.

A lost reply to the conditional PUT of a log entry is the trap: repeated, it meets its own entry and looks like a lost race.
MILLRACE_LONG=1: 200 commits of each writer, and 200 dropped replies.
"""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("pyarrow", "deltalake")
import pyarrow as pa
import pyarrow.parquet
from deltalake import DeltaTable
from engine import Workspace, program
from s3 import S3Server
from s3_proxy import S3Proxy, drop_reply

LONG = bool(os.environ.get("MILLRACE_LONG"))
ROWS = pa.table({"id": pa.array(range(6), pa.int64()), "day": ["a b:c", None, "ü"] * 2})


def pipeline(table, name="load", **config):
    return {"name": name, "steps": [
        {"type": "extract", "method": "fromFile", "config": {"path": "in.parquet", "format": "parquet"}},
        {"type": "load", "method": "toDelta", "config": {"path": f"s3://lake/{table}", **config}}]}


def fresh(server, endpoint=None):
    space = Workspace(extra={"defaults": {"s3": server.credentials(endpoint)}})
    pyarrow.parquet.write_table(ROWS, space.file("in.parquet"))
    return space


def delta(server, table):
    return DeltaTable(f"s3://lake/{table}", storage_options={
        "AWS_ENDPOINT_URL": server.endpoint, "AWS_ACCESS_KEY_ID": server.access, "AWS_SECRET_ACCESS_KEY": server.secret,
        "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"})


def ids(server, table):
    return sorted(delta(server, table).to_pyarrow_table().column("id").to_pylist())


def modes(server):
    with fresh(server) as space:
        once, twice = sorted(ROWS.column("id").to_pylist()), sorted(2 * ROWS.column("id").to_pylist())
        space.run(pipeline("modes", partitionBy=["day"])).expect(0)
        equal(ids(server, "modes"), once, "created")
        space.run(pipeline("modes")).expect(0)
        equal(ids(server, "modes"), twice, "appended")
        space.run(pipeline("modes", mode="overwrite", partitionOverwriteMode="dynamic")).expect(0)
        equal(ids(server, "modes"), once, "overwritten")
        space.run(pipeline("modes", mode="upsert", keys=["id"])).expect(0)
        equal(ids(server, "modes"), once, "merged")
        space.run(pipeline("modes", mode="errorifexists")).expect(6)
        values = delta(server, "modes").to_pyarrow_table().to_pylist()
        equal(sorted(map(str, values)), sorted(map(str, ROWS.to_pylist())), "values")


def writers_at_once(server):
    each = 200 if LONG else 6
    with fresh(server) as space:
        for number in range(8):
            space.write(f"w{number}.json", pipeline("many", f"w{number}"))
        loop = 'for i in $(seq %d); do "$0" run "$1" --progress none >$1.log 2>&1 || exit 1; done' % each
        running = [subprocess.Popen(["sh", "-c", loop, program(), f"w{n}.json"], cwd=space.path, env=space.environment())
                   for n in range(8)]
        for number, process in enumerate(running):
            status = process.wait()
            with open(space.file(f"w{number}.json.log")) as log:
                equal(status, 0, log.read())
    equal(delta(server, "many").version(), 8 * each - 1, "version")
    equal(len(ids(server, "many")), 8 * each * ROWS.num_rows, "rows")
    log = sorted(k for k in server.client.keys("lake", "many/_delta_log/") if k.endswith(".json"))
    equal(log, [f"many/_delta_log/{n:020}.json" for n in range(8 * each)], "log")


def dropped_replies(server):
    commits = 200 if LONG else 12

    def script(request):
        entry = "/_delta_log/0" in request.path and request.path.endswith(".json")
        return drop_reply() if request.operation == "PutObject" and entry and request.nth == 1 else None

    with S3Proxy(server.port, script) as proxy, fresh(server, f"http://127.0.0.1:{proxy.port}") as space:
        space.write("pipeline.json", pipeline("dropped"))
        for _ in range(commits):
            space.run("pipeline.json").expect(0)
        check(proxy.faults() >= commits, f"{proxy.faults()} replies were dropped, wanted {commits}")
    equal(delta(server, "dropped").version(), commits - 1, "version")
    equal(len(ids(server, "dropped")), commits * ROWS.num_rows, "rows")
    txns = []
    for number in range(commits):
        text = server.client.get("lake", f"dropped/_delta_log/{number:020}.json").decode()
        # Beside the epoch stands the run that made it.
        found = [json.loads(line)["txn"] for line in text.splitlines() if line.startswith('{"txn"')]
        equal([t["appId"].split(":")[0] for t in found], ["millrace", "millrace-run"], "transactions")
        txns.append(found[0]["version"])
    equal(txns, list(range(1, commits + 1)), "epochs in the log")


def main():
    suite = Suite("delta on S3")
    with S3Server() as server:
        server.make_bucket("lake")
        for case in (modes, writers_at_once, dropped_replies):
            suite.case(case.__name__.replace("_", " "), case, server)
    return suite.end()


if __name__ == "__main__":
    sys.exit(main())

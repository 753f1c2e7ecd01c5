#!/usr/bin/env python3
"""Whose work is it? Two live copies of one state, the repetition of a run that its scheduler calls by a key, and runs that nobody ended.

Two copies of a state directory (a second host, an image with the state in it) count the same epochs under the same identity. The one that
comes second must never take the other's epoch for its own: it stops, says so, and goes on with --adopt. A run that is repeated
under its run key loads its rows once, wherever it was killed, and whether or not its success was heard.
MILLRACE_LONG=1: everything on every sink, a kill at every named place instead of a choice of them.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
if os.path.isfile("millrace"):  # make runs this where the command was built
    os.environ.setdefault("MILLRACE_BIN", os.path.abspath("millrace"))
from suite import Skip, Suite, check, equal, need

need("pyarrow", "duckdb", "deltalake", "psycopg")
import duckdb
import pyarrow as pa
import pyarrow.parquet
from deltalake import DeltaTable

import table
from engine import Workspace, program
from server import Server

LONG = bool(os.environ.get("MILLRACE_LONG"))
ROWS = 500


class Files:
    method, config = "toFile", {"path": "out/", "format": "parquet"}

    def settings(self):
        return None

    def count(self, space):
        names = table.files(space.file("out")) if os.path.isdir(space.file("out")) else []
        if not names:
            return 0
        with duckdb.connect() as connection:
            return connection.sql("SELECT count(*) FROM read_parquet($names)", params={"names": names}).fetchall()[0][0]


class Delta(Files):
    method, config = "toDelta", {"path": "out"}

    def count(self, space):
        return DeltaTable(space.file("out")).to_pyarrow_table().num_rows


class Postgres(Files):
    method, config = "toPostgres", {"table": "out"}
    number = 0

    def __init__(self, server):
        self.server = server

    def settings(self):
        Postgres.number += 1
        self.name = f"identity{Postgres.number}"
        self.server.database(self.name)
        return self.server.credentials(self.name)

    def count(self, _):
        return self.server.rows(self.name, "SELECT count(*) FROM out")[0][0]


def pipeline(sink, **config):
    return {"name": "load", "resources": {"parallelism": 1}, "steps": [
        {"type": "extract", "method": "fromFile", "config": {"path": "source.parquet", "format": "parquet"}},
        {"type": "load", "method": sink.method, "config": {**sink.config, "mode": "append", **config}}]}


def fresh(sink, **config):
    space = Workspace(postgres=sink.settings())
    pyarrow.parquet.write_table(pa.table({"id": pa.array(range(ROWS), pa.int64())}), space.file("source.parquet"))
    space.write("pipeline.json", pipeline(sink, **config))
    return space


def start(space, *options, failpoint=None):
    environment = {"MILLRACE_FAILPOINT": failpoint} if failpoint else {}
    return space.millrace("run", "pipeline.json", "--progress", "none", *options, environment=environment, timeout=60)


def killed(space, place, *options, action="kill"):
    done = start(space, *options, failpoint=f"{place}={action}")
    if done.code == 0:
        raise Skip("built without --enable-failpoints")
    return done


# ---- copies of a state ----


def two_copies(sink):
    """Both begin behind epoch 1. One is killed when its commit is prepared, the other commits the same epoch, the first is started again."""
    with fresh(sink) as space:
        start(space).expect(0)
        shutil.copytree(space.file(".millrace"), space.file("copy"))
        killed(space, "epoch.before_commit", "--state", "copy")
        start(space).expect(0)
        equal(sink.count(space), 2 * ROWS, "rows of the two runs that went well")
        for _ in range(3):  # withdrawn the first time, seen at the start from then on
            refused = start(space, "--state", "copy").expect(6)
            check("copied" in refused.err and "--adopt" in refused.err, refused)
            equal(sink.count(space), 2 * ROWS, "rows after the refusal")
        start(space).expect(0)
        equal(sink.count(space), 3 * ROWS, "rows of the copy that was first")
        start(space, "--state", "copy", "--adopt").expect(0)
        equal(sink.count(space), 4 * ROWS, "rows after --adopt")
        start(space, "--state", "copy").expect(0)
        equal(sink.count(space), 5 * ROWS, "rows of the run that followed")
        start(space).expect(6)


def two_at_once(sink, place):
    """The same with both alive: one is stopped in its commit while the other runs."""
    with fresh(sink) as space:
        start(space).expect(0)
        shutil.copytree(space.file(".millrace"), space.file("copy"))
        process = space.start("run", "pipeline.json", "--progress", "none", "--state", "copy", environment={"MILLRACE_FAILPOINT": f"{place}=stop"},
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "T":
                    break
            time.sleep(0.001)
        if process.poll() is not None:
            raise Skip("built without --enable-failpoints")
        other = start(space)
        process.send_signal(signal.SIGCONT)
        said = process.communicate(timeout=60)[1]
        codes = [process.returncode, other.code]
        # The one that comes later sweeps what the other has staged, so that neither may succeed; never both, and never one without its rows.
        check(0 in codes or place != "epoch.before_commit", f"exits {codes}\n{said}\n{other}")
        check(set(codes) <= {0, 6} and codes.count(0) < 2 and "copied" in said + other.err, f"exits {codes}\n{said}\n{other}")
        equal(sink.count(space), (1 + codes.count(0)) * ROWS, "rows")


def old_copy(sink):
    """A prepared commit of a copy that is two epochs behind: what became of it is not known, and it says so."""
    with fresh(sink) as space:
        start(space).expect(0)
        shutil.copytree(space.file(".millrace"), space.file("copy"))
        killed(space, "epoch.before_commit", "--state", "copy")
        for _ in range(2):
            start(space).expect(0)
        for _ in range(2):
            refused = start(space, "--state", "copy").expect(6)
            check("old copy" in refused.err or "copied" in refused.err, refused)
        equal(sink.count(space), 3 * ROWS, "rows")
        start(space, "--state", "copy", "--adopt").expect(0)
        equal(sink.count(space), 4 * ROWS, "rows after --adopt")


# ---- run keys ----


def places(sink, *options):
    with fresh(sink) as space:
        start(space).expect(0)
        done = space.millrace("run", "pipeline.json", "--progress", "none", *options, environment={"MILLRACE_FAILPOINT_LIST": space.file("places")})
        done.expect(0)
        if not os.path.exists(space.file("places")):
            raise Skip("built without --enable-failpoints")
        with open(space.file("places"), encoding="ascii") as file:
            names = file.read().split()
    return [(name, n + 1) for name in dict.fromkeys(names) for n in range(names.count(name))]


def report_of(space, *options):
    done = start(space, "--report", "report.json", *options).expect(0)
    with open(space.file("report.json"), encoding="utf-8") as file:
        return done, json.load(file)


def repeated(sink):
    """Killed at each place, and tried again with its key until that succeeds, and once more: its rows are there once."""
    found = places(sink, "--run-key", "a")
    chosen = found if LONG else found[:: max(1, len(found) // 3)] + [p for p in found if p[0] == "epoch.after_commit"]
    for name, n in chosen:
        with fresh(sink) as space:
            start(space).expect(0)
            killed(space, f"{name}:{n}", "--run-key", "a")
            start(space, "--run-key", "a").expect(0)
            equal(sink.count(space), 2 * ROWS, f"rows after a kill at {name}:{n}")
            done, report = report_of(space, "--run-key", "a")
            check("a has succeeded already" in done.err, done)
            check(report["status"] == "success" and report["skipped"]["run"] and report["run_key"] == "a" and report["rows_written"] == 0, report)
            equal(sink.count(space), 2 * ROWS, f"rows after a kill at {name}:{n} and two more tries")
            start(space, "--run-key", "b").expect(0)
            equal(sink.count(space), 3 * ROWS, "rows of the next run")
    print(f"# {len(chosen)} of {len(found)} places of {sink.method}")


def other_key_follows(sink):
    """A run that was interrupted in its commit is finished by the next one, which has work of its own: their keys say that they are two."""
    with fresh(sink) as space:
        killed(space, "epoch.after_commit", "--run-key", "monday")
        start(space, "--run-key", "tuesday").expect(0)
        equal(sink.count(space), 2 * ROWS, "rows of both")
        for key in ("monday", "tuesday"):
            start(space, "--run-key", key).expect(0)
        equal(sink.count(space), 2 * ROWS, "rows after both were tried again")
        start(space, "--run-key", "monday", "--fresh").expect(0)
        equal(sink.count(space), 2 * ROWS, "rows after --fresh with a key that has succeeded")
        listed = json.loads(space.millrace("runs", "--json").expect(0).out)["runs"]
        equal([(r["run_key"], r["status"]) for r in listed],
              [("monday", "skipped"), ("tuesday", "skipped"), ("monday", "skipped"), ("tuesday", "success"), ("monday", "success")], "runs")
        start(space, "--run-key", "").expect(2)


# ---- giving up ----


def runs_of(space, *options):
    return json.loads(space.millrace("runs", "--json", *options).expect(0).out)["runs"]


def other_pipeline(space):
    """Replaces the table, and so conflicts with any merge into it."""
    other = pipeline(Delta(), mode="overwrite")
    other["name"] = "other"
    space.write("other.json", other)


def overtaken_merge():
    """A prepared merge that another commit overtook is withdrawn by the next start, which reads again."""
    sink = Delta()
    with fresh(sink, mode="upsert", keys=["id"]) as space:
        other_pipeline(space)
        space.run("other.json").expect(0)
        killed(space, "epoch.before_commit")
        run_id = runs_of(space, "--pipeline", "pipeline.json")[0]["run_id"]
        space.run("other.json").expect(0)
        done, report = report_of(space)
        check("is withdrawn" in done.err and "conflicts" in report["withdrawn"]["reason"], f"{done}\n{report.get('withdrawn')}")
        check(report["withdrawn"]["run"] == run_id and report["rows_read"] > 0, f"{run_id}: {report['withdrawn']}, {report['rows_read']} rows read")
        equal(sink.count(space), ROWS, "rows")


def partial():
    """The first of two loads has committed and the second refuses: it is said which did, and --fresh is a way out."""
    sink = Delta()
    with fresh(sink, mode="upsert", keys=["id"]) as space:
        both = pipeline(sink, mode="upsert", keys=["id"])
        both["steps"].insert(1, {"type": "load", "method": "toFile", "config": {"path": "first/", "format": "parquet", "mode": "append"}})
        space.write("pipeline.json", both)
        other_pipeline(space)
        space.run("other.json").expect(0)
        killed(space, "epoch.before_commit")
        space.run("other.json").expect(0)
        for _ in range(2):
            refused = start(space).expect(6)
            check("is committed by step 2 (toFile) and not by step 3 (toDelta)" in refused.err and "--fresh" in refused.err, refused)
        _, report = report_of(space, "--fresh")
        check("conflicts" in report["withdrawn"]["reason"], report["withdrawn"])
        equal(sink.count(space), ROWS, "rows of the merge")


def fresh_does_not_guess():
    """--fresh gives up what a target refuses, not what failed before anybody could answer; another run is none of it either."""
    sink = Delta()
    with fresh(sink) as space:
        start(space).expect(0)
        killed(space, "epoch.before_commit")
        lost = start(space, "--fresh", failpoint="delta.commit.after=unknown").expect(6)
        check("whether it happened is not known" in lost.err, lost)
        start(space, "--fresh").expect(0)
        equal(sink.count(space), 3 * ROWS, "rows: the commit was there, and all is loaded again")


# ---- runs that nobody ended, and states that cannot be written ----


def killed_run():
    sink = Files()
    with fresh(sink) as space:
        killed(space, "epoch.before_commit")
        row = runs_of(space)[0]
        equal((row["status"], row["exit_code"]), ("killed", None), "status and exit code")
        check("killed" in space.millrace("runs").expect(0).out, "the list says nothing of a killed run")
        check("killed" in space.millrace("runs", "show", row["run_id"]).expect(0).out, "`runs show` says nothing of it")
        equal(json.loads(space.millrace("runs", "show", row["run_id"], "--json").expect(0).out)["status"], "killed", "as JSON")
        process = space.start("run", "pipeline.json", "--progress", "none", environment={"MILLRACE_FAILPOINT": "epoch.before_commit=stop"},
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        status = None
        while time.monotonic() < deadline and process.poll() is None and status != "running":
            status = runs_of(space)[0]["status"]
        process.send_signal(signal.SIGCONT)
        process.wait(60)
        check(status in ("running", "success"), f"a run at work is {status}")


READ_ONLY = """
mount --bind "$2" "$2" && mount -o remount,bind,ro "$2" || exit 77
"$1" runs --json > runs.json && "$1" runs show "$3" > show.json && "$1" watermark show pipeline.json > shown.txt || exit 1
"$1" verify pipeline.json
"""


def read_only(killed_first):
    """`runs`, `watermark show` and `verify` need nothing but to read; the log of a run that was killed is read too."""
    sink = Files()
    with fresh(sink) as space:
        start(space).expect(0)
        if killed_first:
            killed(space, "files.marked")
            shutil.copytree(space.file(".millrace"), space.file("kept"))
        run_id = runs_of(space)[0]["run_id"]
        wanted = space.millrace("verify", "pipeline.json").code
        if killed_first:  # with its log, which what came since may have folded
            shutil.rmtree(space.file(".millrace"))
            os.rename(space.file("kept"), space.file(".millrace"))
        if not shutil.which("unshare"):
            raise Skip("no unshare")
        done = subprocess.run(["unshare", "-rm", "sh", "-c", READ_ONLY, "sh", program(), ".millrace", run_id], cwd=space.path, env=space.environment(),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        if done.returncode in (1, 77) and ("unshare" in done.stderr or "mount" in done.stderr):
            raise Skip(f"nothing may be mounted here: {done.stderr.strip()[:120]}")
        equal(done.returncode, wanted, f"exit of verify: {done.stdout}{done.stderr}")
        with open(space.file("runs.json"), encoding="utf-8") as file:
            statuses = [row["status"] for row in json.load(file)["runs"]]
        equal(statuses, ["killed", "success"] if killed_first else ["success"], "runs")


def error_once():
    sink = Files()
    with fresh(sink) as space:
        os.remove(space.file("source.parquet"))
        done = start(space)
        check(done.code != 0, done)
        lines = [line for line in done.err.splitlines() if "source.parquet" in line]
        equal(len(lines), 1, f"lines that tell of the error\n{done.err}")
        check(lines[0].startswith("error: "), lines)
        done = start(space, "--log-format", "json")
        equal([json.loads(line)["level"] for line in done.err.splitlines() if "source.parquet" in line], ["ERROR"], f"as JSON\n{done.err}")


def main():
    suite = Suite("identity")
    with Server() as server:
        sinks = [Files(), Delta(), Postgres(server)]
        for sink in sinks:
            suite.case(f"two copies of a state, {sink.method}", two_copies, sink)
            if LONG or sink is not sinks[1]:
                suite.case(f"an old copy of a state, {sink.method}", old_copy, sink)
                suite.case(f"two copies at once, {sink.method}", two_at_once, sink, "epoch.before_commit")
            if LONG or sink is sinks[0]:
                suite.case(f"repeated with its run key, {sink.method}", repeated, sink)
        suite.case("two copies at once, in the middle of a commit", two_at_once, Files(), "files.claimed")
    suite.case("another run key follows", other_key_follows, Files())
    suite.case("a merge that was overtaken", overtaken_merge)
    suite.case("one of two loads is committed", partial)
    suite.case("--fresh with a commit whose outcome is unknown", fresh_does_not_guess)
    suite.case("a killed run is listed as such", killed_run)
    suite.case("read-only state", read_only, False)
    suite.case("read-only state of a killed run", read_only, True)
    suite.case("an error is told once", error_once)
    suite.end()


if __name__ == "__main__":
    main()

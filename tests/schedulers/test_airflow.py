#!/usr/bin/env python3
"""examples/schedulers/airflow in a real Airflow: scheduler, LocalExecutor, API server and DAG processor over SQLite; state on a server.

Each DAG moves the same rows into a table of its own by an append, which would show a row that is written twice. In the middle of the
rows the source waits for a lock that the test holds, so "in the middle" is no question of timing: the first try is stopped there (by
execution_timeout, by "mark as failed" through the API, by SIGKILL to the task's process), the lock is given back when its connection is
gone, and the next try ends the work.

$AIRFLOW names the program, else it is looked for beside Python and in .venv/airflow (bin/lib/airflow.sh; bin/test.sh --all).
"""

import contextlib
import glob
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, Failure, check, checkout, equal, need, skip_all

need("psycopg")
from engine import Workspace, program
from gate import INVALID, ROWS, TABLES, Gates, pipeline
from private import free_port
from server import Server

EXAMPLE = os.path.join(checkout(), "examples", "schedulers", "airflow")
PATIENCE = 200
DAGS = """
from datetime import datetime, timedelta
from airflow import DAG
from millrace_operator import MillraceOperator

def dag(name, file="orders.json", **options):
    with DAG(dag_id=name, schedule="@once", start_date=datetime(2026, 1, 1), catchup=False, is_paused_upon_creation=False) as made:
        MillraceOperator(
            task_id="load", file=f"{place}/{{file}}", parameters={{"target": "{{{{ dag.dag_id }}}}", "key": str(KEYS.get(name, 0))}},
            program="{program}", credentials=f"{place}/{{options.pop('credentials', 'config/credentials.json')}}", grace=20, retries=50,
            retry_delay=timedelta(seconds=1), run_key="{{{{ run_id }}}}/{{{{ task.task_id }}}}", **options)
    globals()[name] = made

KEYS = {keys}
dag("good")
dag("timeout", execution_timeout=timedelta(seconds=15))
dag("failed")
dag("killed")
dag("invalid", file="invalid.json")
dag("unknown", credentials="none.json")
"""


class Airflow:
    """A whole Airflow in a folder; stopped at the end."""

    def __init__(self, command, space):
        self.command, self.home, self.port = command, space.file("airflow"), free_port()
        self.processes = []
        settings = {
            "CORE__LOAD_EXAMPLES": "False", "CORE__EXECUTOR": "LocalExecutor", "CORE__PARALLELISM": "4", "CORE__DAGS_FOLDER": space.file("dags"),
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True", "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{self.port}/execution/",
            "API__BASE_URL": f"http://127.0.0.1:{self.port}", "API__SECRET_KEY": "test", "API_AUTH__JWT_SECRET": "test" * 16,
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db", "SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
            "WORKERS__MIN_HEARTBEAT_INTERVAL": "1", "USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        self.environment = space.environment({f"AIRFLOW__{k}": v for k, v in settings.items()})
        self.environment.update(AIRFLOW_HOME=self.home, NO_PROXY="127.0.0.1", no_proxy="127.0.0.1")

    def __enter__(self):
        os.makedirs(self.home)
        done = subprocess.run([self.command, "db", "migrate"], env=self.environment, capture_output=True, text=True, timeout=PATIENCE)
        check(done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:])
        self.launch("api-server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1")
        self.wait("the API server", lambda: self.call("GET", "/api/v2/monitor/health", token=False))
        self.launch("scheduler")
        self.launch("dag-processor")
        return self

    def launch(self, *arguments):
        log = open(os.path.join(self.home, f"{arguments[0]}.out"), "w")
        self.processes.append(subprocess.Popen(
            [self.command, *arguments], env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True))

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                pass
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def query(self, text, *values):
        with contextlib.closing(sqlite3.connect(f"file:{self.home}/airflow.db?mode=ro", uri=True, timeout=30)) as db:
            return db.execute(text, values).fetchall()

    def task(self, dag):
        """(state, try number) of its one task."""
        rows = self.query("SELECT state, try_number FROM task_instance WHERE dag_id = ?", dag)
        return rows[0] if rows else (None, 0)

    def call(self, method, path, body=None, token=True):
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {self.call('GET', '/auth/token', token=False)['access_token']}"
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", method=method, headers=headers, data=None if body is None else json.dumps(body).encode())
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return json.load(answer)

    def ask(self, *request):
        """A call that may be repeated, until it is answered: over SQLite the server now and then finds its database locked."""
        return self.wait(f"an answer to {request}", lambda: self.call(*request))

    def wait(self, what, condition):
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            with contextlib.suppress(OSError, sqlite3.OperationalError):
                found = condition()
                if found:
                    return found
            for process in self.processes:
                check(process.poll() is None, f"{process.args[1]} ended\n{self.said()}")
            time.sleep(0.2)
        raise Failure(f"waited {PATIENCE} s for {what}: {self.query('SELECT dag_id, state, try_number FROM task_instance')}\n{self.said()}")

    def said(self):
        out = [open(p, errors="replace").read()[-1500:] for p in glob.glob(f"{self.home}/*.out")]
        return "\n".join([*out, self.log("")[-3000:]])

    def log(self, dag):
        paths = sorted(glob.glob(f"{self.home}/logs/dag_id={dag}*/**/*.log", recursive=True), key=os.path.getmtime)
        return "".join(open(p, errors="replace").read() for p in paths)


class Job:
    """Airflow and the gates."""

    def __init__(self, airflow, gates):
        self.airflow, self.gates = airflow, gates

    def in_the_middle(self, dag):
        self.airflow.wait(f"{dag} to be in the middle", lambda: self.gates.waiting(dag))

    def stopped(self, dag):
        """The next try may read on, once the session of the stopped one is gone."""
        self.airflow.wait(f"the first try of {dag} to be gone", lambda: not self.gates.waiting(dag))
        self.gates.stopped(dag)

    def ends(self, dag, state):
        return self.airflow.wait(f"{dag} to be {state}", lambda: self.airflow.task(dag)[0] == state and self.airflow.task(dag))

    def complete(self, dag):
        """Every row once."""
        tries = self.ends(dag, "success")[1]
        self.gates.complete(dag)
        print(f"# {dag}: {tries} tries", flush=True)
        return tries


def good(job):
    equal(job.complete("good"), 1, "tries")
    report = json.loads(job.airflow.query("SELECT value FROM xcom WHERE dag_id = 'good' AND key = 'return_value'")[0][0])
    report = report if isinstance(report, dict) else json.loads(report)
    equal((report["status"], report["rows_written"]), ("success", ROWS), "the report in XCom")
    log = job.airflow.log("good")
    check("run: run " in log or " begins" in log, f"the run's own lines are not in the task's log\n{log[-2000:]}")


def timeout(job):
    job.in_the_middle("timeout")
    job.stopped("timeout")
    check(job.complete("timeout") >= 2, "there was no retry")
    check("SIGTERM" in job.airflow.log("timeout"), "on_kill was not called")


def marked_failed(job):
    job.in_the_middle("failed")
    run = job.airflow.query("SELECT run_id FROM task_instance WHERE dag_id = 'failed'")[0][0].replace("+", "%2B")
    job.airflow.ask("PATCH", f"/api/v2/dags/failed/dagRuns/{run}/taskInstances/load", {"new_state": "failed"})
    job.stopped("failed")
    equal(job.ends("failed", "failed")[0], "failed", "state")
    # The scheduler writes the run's state after the task's; a clear in between would be overwritten.
    job.airflow.wait("the run to have failed", lambda: job.airflow.query("SELECT state FROM dag_run WHERE dag_id = 'failed'") == [("failed",)])
    check("SIGTERM" in job.airflow.log("failed"), f"on_kill was not called\n{job.airflow.log('failed')[-3000:]}")
    job.airflow.ask("POST", "/api/v2/dags/failed/clearTaskInstances", {
        "dry_run": False, "task_ids": ["load"], "dag_run_id": run.replace("%2B", "+"), "only_failed": True, "reset_dag_runs": True})
    job.complete("failed")


def parent_of(target):
    """The process that started the run into this target. The command cuts NAME=VALUE in place, which its command line shows."""
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = open(path, "rb").read().replace(b"=", b"\0")
            if b"\0run\0" in words and f"\0target\0{target}\0".encode() in words:
                with open(os.path.dirname(path) + "/stat") as file:
                    return int(file.read().rpartition(")")[2].split()[1])
    raise Failure(f"no process with target {target}")


def killed(job):
    job.in_the_middle("killed")
    os.kill(parent_of("killed"), signal.SIGKILL)
    job.stopped("killed")
    check(job.complete("killed") >= 2, "there was no retry")


def refused(job):
    for dag, words in (("invalid", "exit code 7"), ("unknown", "exit code 4")):
        equal(job.ends(dag, "failed"), ("failed", 1), f"{dag}: state, tries")
        check(words in job.airflow.log(dag), f"{words} is not in\n{job.airflow.log(dag)[-2000:]}")


def example(job):
    """The DAG that is shipped loads, and is paused."""
    job.airflow.wait("the example's DAG", lambda: job.airflow.query("SELECT is_paused FROM dag WHERE dag_id = 'orders'") == [(1,)])
    equal(job.airflow.query("SELECT filename, stacktrace FROM import_error"), [], "DAGs that could not be read")


def command():
    for path in (os.environ.get("AIRFLOW"), os.path.join(os.path.dirname(sys.executable), "airflow"),
                 os.path.join(checkout(), ".venv", "airflow", "bin", "airflow")):
        if path and os.path.exists(path):
            return path
    return shutil.which("airflow")


def prepare(space, gates):
    state = {"state": {"postgres": "state"}}
    space.write("orders.json", pipeline(**state))
    space.write("invalid.json", pipeline(INVALID, **state))
    shutil.copytree(EXAMPLE, space.file("dags"))
    space.write("dags/tests_dags.py", DAGS.format(place=space.path, program=program(), keys=gates.keys))
    space.write("none.json", {})


def main():
    if not command():
        skip_all("no airflow program (bin/lib/airflow.sh)")
    # A time limit of the suite must not leave an Airflow behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    suite = Suite("airflow")
    with Server() as server:
        server.execute(server.database("air"), TABLES)
        login = server.credentials("air")
        with Workspace(extra={"source": login, "state": login}) as space, Gates(server, "air", ["timeout", "failed", "killed"]) as gates:
            prepare(space, gates)
            with Airflow(command(), space) as airflow:
                for case in (good, marked_failed, killed, timeout, refused, example):
                    suite.case(case.__name__.replace("_", " "), case, Job(airflow, gates))
    suite.end()


if __name__ == "__main__":
    main()

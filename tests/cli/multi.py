"""Several pipelines in one command: `millrace run A.json B.json ..`."""

import json
import os
import signal
import threading

import pyarrow
import pyarrow.parquet as parquet
from engine import Workspace, catches
from suite import check, equal

FILES = 4


def copy_files(name, where=None, **keys):
    """A pipeline from in.parquet to a folder of its name."""
    steps = [{"type": "extract", "method": "fromFile", "config": {"path": "in.parquet", "format": "parquet"}},
             {"type": "load", "method": "toFile", "config": {"path": f"{name}/", "format": "parquet", "mode": "append"}}]
    if where:
        steps.insert(1, {"type": "transform", "method": "filterRows", "config": {"condition": where}})
    return {"name": name, "steps": steps, **keys}


def workspace(*bad):
    space = Workspace()
    parquet.write_table(pyarrow.table({"id": list(range(1000))}), space.file("in.parquet"), row_group_size=100)
    for number in range(FILES):
        space.write(f"p{number}.json", copy_files(f"p{number}", f"id % {FILES} = {number}"))
    return space


def names(count=FILES):
    return [f"p{number}.json" for number in range(count)]


def run(space, *arguments, report="all.json"):
    result = space.millrace("run", *arguments, "--report", report)
    if os.path.exists(space.file(report)):
        with open(space.file(report), encoding="utf-8") as file:
            result.report = json.load(file)
    return result


def together(server):
    """All succeed: exact rows, a summary and log lines with names, one report with all runs in the order of the files."""
    with workspace() as space:
        done = run(space, *names(), "--param", "x=1").expect(0)
        for number in range(FILES):
            rows = parquet.read_table(space.file(f"p{number}")).column("id").to_pylist()
            equal(sorted(rows), list(range(number, 1000, FILES)), f"rows of p{number}")
            check(f"[p{number}] " in done.err and f"p{number}: success, 1000 rows read" in done.out, done)
        check(f"{FILES} of {FILES} pipelines succeeded" in done.out, done)
        report = done.report
        equal((report["status"], report["exit_code"], report["succeeded"], report["failed"], report["cancelled"]), ("success", 0, FILES, 0, 0), "report")
        equal([(r["file"], r["pipeline"], r["rows_written"]) for r in report["runs"]], [(f"p{n}.json", f"p{n}", 250) for n in range(FILES)], "runs")
        listed = json.loads(space.millrace("runs", "--json").expect(0).out)
        equal(sorted(r["pipeline"] for r in listed["runs"]), [f"p{n}" for n in range(FILES)], "runs of the state")


def one_at_a_time(server):
    """--max-parallel 1: in the order of the files, none before the one in front has ended."""
    with workspace() as space:
        done = run(space, *reversed(names()), "--max-parallel", "1", "--log-format", "json").expect(0)
        records = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
        order = [(r["pipeline"], "begins" in r["message"]) for r in records if "begins" in r["message"] or r["message"].startswith("done")]
        equal(order, [(f"p{n}", begins) for n in reversed(range(FILES)) for begins in (True, False)], "order")


def failures(server):
    """One that fails and one that cannot be opened stop nobody; the exit code is that of the first in the order of the files."""
    with workspace() as space:
        space.write("slow.json", copy_files("slow", "raise_error('no') = 1"))
        space.write("missing.json", {**copy_files("missing"), "steps": [{"type": "extract", "method": "fromFile", "config": {"path": "none.parquet", "format": "parquet"}}, copy_files("missing")["steps"][1]]})
        space.write("wrong.json", '{"name": "wrong"')
        done = run(space, "p0.json", "missing.json", "wrong.json", "p1.json").expect(5)
        equal([r["exit_code"] for r in done.report["runs"]], [0, 5, 3, 0], "exit codes")
        equal((done.report["status"], done.report["exit_code"], done.report["failed"]), ("failed", 5, 2), "report")
        check("error: missing: " in done.err and "error: wrong.json: " in done.err, done)
        run(space, "wrong.json", "missing.json", "p2.json").expect(3)
        equal(len(os.listdir(space.file("p2"))) > 0, True, "p2 ran")
        done = run(space, "missing.json", "p3.json", "--fail-fast", "--max-parallel", "1").expect(5)
        equal([r["status"] for r in done.report["runs"]], ["failed", "cancelled"], "--fail-fast")
        check(not os.path.exists(space.file("p3")), "p3 ran")
        done = run(space, "p3.json", "wrong.json", "--fail-fast").expect(3)
        equal([r["status"] for r in done.report["runs"]], ["cancelled", "failed"], "--fail-fast, a file that is wrong")
        check(not os.path.exists(space.file("p3")), "p3 ran")


def named_twice(server):
    with workspace() as space:
        space.write("again.json", copy_files("other", stateKey="p0"))
        for files in (("p0.json", "p1.json", "p0.json"), ("p0.json", "again.json")):
            done = space.millrace("run", *files).expect(2)
            check("the same state key p0" in done.err, done)
        check(not os.path.exists(space.file("p0")) and not os.path.exists(space.file("p1")), "something ran")
        check("--max-parallel takes N" in space.millrace("run", *names(2), "--max-parallel", "0").expect(2).err, "0 at once")
        check("--memory takes SIZE" in space.millrace("run", *names(2), "--memory", "some").expect(2).err, "some memory")


def a_signal_cancels_all(server):
    """Two that wait for a lock and one that has not begun: 143, all cancelled; the next start does the work."""
    with Workspace(postgres=server.credentials("cli")) as space, server.connect("cli") as holder, server.connect("cli") as watcher:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE people IN ACCESS EXCLUSIVE MODE")
        for name in "abc":
            space.write(f"{name}.json", {"name": name, "steps": [
                {"type": "extract", "method": "fromPostgres", "config": {"table": "people"}},
                {"type": "load", "method": "toFile", "config": {"path": f"{name}/", "format": "parquet", "mode": "append"}}]})
        process = space.start("run", "a.json", "b.json", "c.json", "--max-parallel", "2", "--progress", "none", "--report", "r.json", stdout=-3, stderr=-3)
        while watcher.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0] < 2 or not catches(process, signal.SIGTERM):
            check(process.poll() is None, "the runs ended")
        process.terminate()
        equal(process.wait(10), 143, "exit code")
        with open(space.file("r.json"), encoding="utf-8") as file:
            report = json.load(file)
        equal((report["status"], report["exit_code"], report["cancelled"]), ("cancelled", 143, 3), "report")
        equal([(r["status"], r["exit_code"]) for r in report["runs"]], [("cancelled", 143)] * 3, "runs")
        holder.execute("ROLLBACK")
        space.millrace("run", "a.json", "b.json", "c.json").expect(0)
        for name in "abc":
            equal(parquet.read_table(space.file(name)).num_rows, 1000, f"rows of {name}")


def most_connections(watcher, stop, seen):
    while not stop.is_set():
        seen.append(watcher.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'capped%'").fetchone()[0])


def share_connections(server):
    """Pipelines that limit their connections to one server keep the limit together."""
    with Workspace(postgres=server.credentials("cli")) as space, server.connect("cli") as watcher:
        for number in range(4):
            space.write(f"c{number}.json", {"name": f"c{number}", "steps": [
                {"type": "extract", "method": "fromPostgres", "config": {
                    "query": "SELECT id, pg_sleep(0.0005)::text FROM people", "partitionColumn": "id", "lowerBound": 1, "upperBound": 1000,
                    "numPartitions": 4, "maxConnections": 1, "properties": {"maxPoolSize": 4, "ApplicationName": f"capped {number}"}}},
                {"type": "load", "method": "toFile", "config": {"path": f"c{number}/", "format": "csv"}}]})
        stop, seen = threading.Event(), []
        thread = threading.Thread(target=most_connections, args=(watcher, stop, seen))
        thread.start()
        try:
            done = run(space, *(f"c{n}.json" for n in range(4)), "--max-parallel", "4").expect(0)
        finally:
            stop.set()
            thread.join()
        equal([r["rows_written"] for r in done.report["runs"]], [1000] * 4, "rows")
        check(2 < max(seen) <= 4, f"{max(seen)} connections at once, wanted 3 or 4")


def share_memory(server):
    """Each has its part of --memory; one whose file wants more than there is runs when nobody else does."""
    with workspace() as space:
        space.write("big.json", copy_files("big", resources={"memory": "1GB"}))
        done = run(space, "big.json", *names(3), "--memory", "512MB", "--max-parallel", "4").expect(0)
        limits = [r["resources"]["memory_limit_bytes"] for r in done.report["runs"]]
        equal(limits, [1000000000 if limits[0] == 1000000000 else 1 << 30] + [(512 * 1000 * 1000 if limits[1] * 4 == 512000000 else 512 << 20) // 4] * 3, "budgets")
        begin = [r["started"] for r in done.report["runs"]]
        check(min(begin[1:]) > begin[0], f"big.json had company: {begin}")


CASES = (together, one_at_a_time, failures, named_twice, a_signal_cancels_all, share_connections, share_memory)

#!/usr/bin/env python3
"""Incremental reading of files and of Delta tables that others write: every row once, or an error that says why not.

Files are written with pyarrow and tables with deltalake; what the runs have loaded is read by pyarrow.
MILLRACE_LONG=1: more files, more rounds.
"""

import glob
import json
import os
import random
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Skip, Suite, check, equal, need

need("pyarrow", "deltalake")
import deltalake
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as parquet

import s3
from engine import Workspace

LONG = bool(os.environ.get("MILLRACE_LONG"))


class Series:
    """Runs of one pipeline that appends what it reads to out/."""

    def __init__(self, method="fromFile", incremental=None, extra=None, **config):
        self.space = Workspace(extra=extra)
        self.source = {"type": "extract", "method": method, "name": "src",
                       "config": {**config, "incremental": incremental or {"by": "files"}}}
        self.seen = 0

    def __enter__(self):
        os.mkdir(self.space.file("in"))
        return self

    def __exit__(self, *_):
        self.space.__exit__()

    def pipeline(self):
        return {"name": "series", "steps": [
            self.source, {"type": "load", "method": "toFile", "config": {"path": "out", "format": "parquet"}}]}

    def attempt(self, *arguments):
        return self.space.run(self.pipeline(), *arguments)

    def loaded(self):
        if not os.path.exists(self.space.file("out")):
            return []
        return sorted(pa.dataset.dataset(self.space.file("out")).to_table().column("id").to_pylist())

    def run(self, *arguments):
        """The ids that one more run has added."""
        before = self.loaded()
        self.attempt(*arguments).expect(0)
        after = self.loaded()
        for i in before:
            after.remove(i)
        return after

    def bad(self, text, code=5):
        before = self.loaded()
        done = self.attempt().expect(code)
        check(text in done.err, f"no {text!r} in {done.err}")
        equal(self.loaded(), before, "what is loaded after an error")
        return done

    def plan(self):
        self.space.write("pipeline.json", self.pipeline())
        return json.loads(self.space.millrace("plan", "pipeline.json", "--json").expect(0).out)

    def watermark(self, *arguments, code=0):
        self.space.write("pipeline.json", self.pipeline())
        return self.space.millrace("watermark", *arguments[:1], "pipeline.json", *arguments[1:]).expect(code)

    def put(self, name, *ids, time=None):
        path = self.space.file("in", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        parquet.write_table(pa.table({"id": pa.array(ids, pa.int64())}), path)
        if time is not None:
            os.utime(path, (time, time))
        return path


# --- files ---


def new_files_only():
    with Series(path="in") as series:
        series.put("b.parquet", 1, 2)
        series.put("c.parquet", 3)
        equal(series.run(), [1, 2, 3], "first run")
        equal(series.run(), [], "nothing new")
        series.put("d.parquet", 4)
        equal(series.run(), [4], "one more")
        plan = series.plan()
        source = plan["nodes"][0]
        check("exactly once" in source["guarantee"], source)
        equal(source["repeats"], False, "repeats")
        check(any("3 of 3 files were read" in note for note in source["notes"]), source["notes"])


def late_files():
    """Older times and smaller names than anything that was read."""
    with Series(path="in") as series:
        series.put("m.parquet", 1, time=1_700_000_000)
        equal(series.run(), [1], "first run")
        series.put("a.parquet", 2, time=1_000_000_000)
        series.put("m0.parquet", 3, time=1_700_000_000)
        series.put("z.parquet", 4, time=4_000_000_000)
        equal(series.run(), [2, 3, 4], "late ones")
        series.put("b.parquet", 5, time=1_000_000_000)
        equal(series.run(), [5], "late again")
        equal(series.run(), [], "nothing new")


def max_file_age():
    """How late a file may come, and that what is forgotten is not read again: neither without the option, nor when a file is of the future."""
    day, base = 86400, 1_700_000_000
    with Series(path="in", schema="id BIGINT") as series:
        series.source["config"]["incremental"]["maxFileAge"] = "7 days"
        series.put("1.parquet", 1, time=base - 30 * day)
        series.put("2.parquet", 2, time=base)
        equal(series.run(), [1, 2], "the first run reads everything")
        series.put("3.parquet", 3, time=base - 6 * day)
        series.put("4.parquet", 4, time=base - 8 * day)
        check("2 of them by maxFileAge alone" in json.dumps(series.plan()), series.plan())
        equal(series.run(), [3], "one that is late, and one that is too late")
        series.put("5.parquet", 5, time=base + 10 * day)
        equal(series.run(), [5], "a newer one")
        series.put("6.parquet", 6, time=base + 4 * day)
        series.put("7.parquet", 7, time=base + 2 * day)
        equal(series.run(), [6], "the horizon has moved")
        series.put("8.parquet", 8, time=4_000_000_000)
        equal(series.run(), [8], "one of the future")
        series.put("9.parquet", 9)
        equal(series.run(), [9], "one of today")
        series.source["config"]["incremental"]["maxFileAge"] = "100000 days"
        equal(series.run(), [], "a longer age")
        del series.source["config"]["incremental"]["maxFileAge"]
        equal(series.run(), [], "without the option")
        series.put("10.parquet", 10)
        equal(series.run(), [10], "one of today")
        for name in range(1, 11):
            os.remove(series.space.file("in", f"{name}.parquet"))
        equal(series.run(), [], "all gone")
        equal(series.run(), [], "all gone")


def file_of_the_future():
    """The horizon is of the time at which it was read, and not of each look: what comes while nobody reads is read, however late."""
    with Series(path="in", schema="id BIGINT") as series:
        series.source["config"]["incremental"]["maxFileAge"] = "1 ms"
        series.put("1.parquet", 1, time=4_000_000_000)
        equal(series.run(), [1], "one of the future")
        series.put("2.parquet", 2)
        while time.time() < os.stat(series.space.file("in", "2.parquet")).st_mtime + 0.01:
            pass
        equal(series.run(), [2], "one that is older than a millisecond now")


def changed_file():
    with Series(path="in") as series:
        series.put("a.parquet", 1)
        series.put("b.parquet", 2)
        equal(series.run(), [1, 2], "first run")
        series.put("a.parquet", 1, 10, 11)
        done = series.bad("a.parquet was read by an earlier run and has changed")
        check("changed: read" in done.err, done)
        series.source["config"]["incremental"]["changed"] = "read"
        plan = series.plan()
        equal(plan["nodes"][0]["repeats"], True, "repeats")
        check(any("may come again" in w["text"] for w in plan["warnings"]), plan["warnings"])
        equal(series.run(), [1, 10, 11], "the changed one again")
        equal(series.run(), [], "nothing new")


def gone_and_back():
    """A directory that was away for a run is not new when it is back."""
    with Series(path="in", schema="id BIGINT") as series:
        series.put("a.parquet", 1)
        series.put("b.parquet", 2)
        equal(series.run(), [1, 2], "first run")
        os.rename(series.space.file("in"), series.space.file("away"))
        os.mkdir(series.space.file("in"))
        equal(series.run(), [], "all away")
        series.put("c.parquet", 3)
        equal(series.run(), [3], "another")
        for name in ("a.parquet", "b.parquet"):
            os.rename(series.space.file("away", name), series.space.file("in", name))
        equal(series.run(), [], "back again")
        os.unlink(series.space.file("in", "a.parquet"))
        equal(series.run(), [], "removed")
        series.put("a.parquet", 4, 5)
        equal(series.run(), [4, 5], "another file under the name of one that was removed")


def initial_time():
    with Series(path="in", incremental={"by": "files", "initial": "2023-11-14 22:13:20"}) as series:
        series.put("old.parquet", 1, time=1_699_999_999)
        series.put("new.parquet", 2, time=1_700_000_000)
        equal(series.run(), [2], "first run")
        series.put("late.parquet", 3, time=1_600_000_000)
        equal(series.run(), [3], "older, but new")
        series.source["config"]["incremental"]["initial"] = "soon"
        done = series.attempt("--fresh").expect(3)
        check("is no time" in done.err, done)


def failed_run():
    """What a failed run has seen is not remembered."""
    with Series(path="in") as series:
        series.put("a.parquet", 1)
        equal(series.run(), [1], "first run")
        series.put("b.parquet", 2)
        path = series.space.file("in", "c.parquet")
        with open(path, "wb") as file:
            file.write(b"PAR1 this is none PAR1")
        check(series.attempt().code != 0, "a broken file did not fail the run")
        os.unlink(path)
        series.put("d.parquet", 3)
        equal(series.run(), [2, 3], "after the failed run")


def another_place():
    with Series(path="in") as series:
        series.put("x/a.parquet", 1)
        equal(series.run(), [1], "first run")
        series.source["config"]["path"] = "in/x"
        series.bad("the last run read below")
        series.source["config"]["path"] = "in"
        equal(series.run(), [], "the old place")


def partitions_and_patterns():
    with Series(path="in/*/part-*.parquet") as series:
        series.put("dt=2024-01-01/part-1.parquet", 1)
        series.put("dt=2024-01-02/part-1.parquet", 2)
        series.put("dt=2024-01-02/other.parquet", 99)
        equal(series.run(), [1, 2], "first run")
        series.put("dt=2024-01-01/part-0.parquet", 3)
        equal(series.run(), [3], "into an old partition")
        series.source["config"]["path"] = "in/*/*.parquet"
        equal(series.run(), [99], "a wider pattern")


def killed():
    """Runs that are killed at any moment, while files arrive and a table grows: each row once in the end."""
    rng = random.Random(11)
    load = {"type": "load", "method": "toDeltaLake", "config": {"path": "lake"}}
    with Series(path="in/files") as series, Table() as grown:
        table = {**grown.source, "name": "grown", "config": {**grown.source["config"], "path": grown.at()}}
        series.pipeline = lambda: {"name": "killed", "steps": [
            series.source, {**table, "config": {**table["config"]}},
            {"type": "transform", "method": "unionDataFrames", "config": {"inputDataFrames": ["f", "t"]}}, load]}
        series.source["config"]["registerAs"], table["config"]["registerAs"] = "f", "t"
        grown.append(1)
        series.put("files/1.parquet", 2)
        wanted, number, kills = [1, 2], 2, 0
        for _ in range(60 if LONG else 8):
            series.space.write("pipeline.json", series.pipeline())
            process = series.space.start("run", "pipeline.json", "--progress", "none", "--quiet", stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            try:
                process.wait(rng.random() * 0.4)
            except subprocess.TimeoutExpired:
                process.kill()
                kills += process.wait() == -9
            number += 2
            wanted += [number - 1, number]
            series.put(f"files/{rng.random()}.parquet", number - 1, time=rng.randrange(1_000_000_000, 2_000_000_000))
            grown.append(number)
        for _ in range(3):  # the first may only finish a commit
            series.attempt().expect(0)
        got = deltalake.DeltaTable(series.space.file("lake")).to_pyarrow_table().column("id").to_pylist()
        equal(sorted(got), wanted, f"rows after {kills} kills")


def a_step_that_pauses():
    """A step whose load is taken out for a run goes on where it was when it is back."""
    with Series(path="in") as series:
        def read(name):
            return {**series.source, "name": name, "config": {**series.source["config"], "path": f"in/{name}"}}

        def load(name):
            return {"type": "load", "method": "toFile", "config": {"path": f"out/from={name}", "format": "parquet"}}

        both = [read("a"), load("a"), read("b"), load("b")]
        for steps, ids in ((both, [1, 2]), (both[:2], [3]), (both, [4, 5, 6])):
            if ids != [3]:
                series.put(f"b/{ids[0]}.parquet", ids[0])
                series.put(f"a/{ids[0]}.parquet", *ids[1:])
            else:
                series.put("a/3.parquet", 3)
            series.pipeline = lambda steps=steps: {"name": "series", "steps": steps}
            equal(series.run(), ids, "new rows")
        shown = series.watermark("show").out
        check("a (step 1" in shown and "b (step 3" in shown, shown)


def on_s3():
    """Both kinds in a bucket of a real server: times of whole seconds, names in byte order, a log that is listed in pages."""
    try:
        s3.program()
    except RuntimeError as missing:
        raise Skip(str(missing)) from missing
    with s3.S3Server() as server:
        server.make_bucket("lake")
        options = {"AWS_ENDPOINT_URL": server.endpoint, "AWS_ACCESS_KEY_ID": server.access, "AWS_SECRET_ACCESS_KEY": server.secret,
                   "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}
        keys = {"defaults": {"s3": server.credentials()}}

        def put(name, *ids):
            server.client.put("lake", name, "".join(f'{{"id": {i}}}\n' for i in ids).encode())

        with Series("fromS3", extra=keys, path="s3://lake/in/*.json", format="json") as series:
            put("in/m.json", 1, 2)
            put("in/n.json", 3)
            equal(series.run(), [1, 2, 3], "first run")
            put("in/a b+\u00fc.json", 4)
            put("in/z.json", 5)
            equal(series.run(), [4, 5], "new objects")
            equal(series.run(), [], "nothing new")
            put("in/n.json", 3, 6)
            series.bad("n.json was read by an earlier run and has changed")
        with Series("fromDeltaLake", {"by": "version"}, extra=keys, path="s3://lake/table") as series:
            def append(*ids):
                deltalake.write_deltalake("s3://lake/table", pa.table({"id": pa.array(ids, pa.int64())}), mode="append", storage_options=options)
            append(1)
            equal(series.run(), [1], "first run")
            append(2)
            append(3, 4)
            equal(series.run(), [2, 3, 4], "two commits")
            equal(series.run(), [], "nothing new")


def many_files():
    """Random arrivals, with random times, over many runs: each row once."""
    rng = random.Random(5)
    rounds, most = (60, 200) if LONG else (6, 30)
    with Series(path="in") as series:
        wanted, number = [], 0
        for _ in range(rounds):
            new = []
            for _ in range(rng.randrange(1, most)):
                number += 1
                name = "".join(rng.choices("abcdefgh/", k=6)).strip("/").replace("//", "/") + f"-{number}.parquet"
                series.put(name, number, time=rng.randrange(1_000_000_000, 2_000_000_000))
                new.append(number)
            equal(series.run(), sorted(new), "new rows")
            wanted += new
        equal(series.loaded(), sorted(wanted), "all rows")


# --- Delta ---


class Table(Series):
    def __init__(self, incremental=None, **config):
        super().__init__("fromDeltaLake", {"by": "version", **(incremental or {})}, path="in/table", **config)

    def at(self):
        return self.space.file("in", "table")

    def table(self):
        return deltalake.DeltaTable(self.at())

    def append(self, *ids, **options):
        deltalake.write_deltalake(self.at(), pa.table({"id": pa.array(ids, pa.int64())}), mode="append", **options)


def versions():
    with Table() as series:
        series.append(1, 2)
        series.append(3)
        equal(series.run(), [1, 2, 3], "first run")
        equal(series.run(), [], "nothing new")
        series.append(4)
        series.append(5, 6)
        plan = series.plan()
        source = plan["nodes"][0]
        check("exactly once" in source["guarantee"], source)
        equal(series.run(), [4, 5, 6], "two commits")
        series.table().create_checkpoint()
        series.append(7)
        equal(series.run(), [7], "behind a checkpoint")


def compaction():
    with Table() as series:
        series.append(1)
        equal(series.run(), [1], "first run")
        for i in range(2, 8):
            series.append(i)
        series.table().optimize.compact()
        series.append(8)
        equal(series.run(), [2, 3, 4, 5, 6, 7, 8], "rows that were compacted before they were read")
        series.table().optimize.compact()
        equal(series.run(), [], "a compaction alone")


def deletes():
    with Table() as series:
        series.append(1, 2, 3)
        equal(series.run(), [1, 2, 3], "first run")
        series.append(4, 5)
        series.table().delete("id = 2")
        series.append(6)
        done = series.bad("takes rows away or changes them")
        check("changes: rewritten" in done.err and "--fresh" in done.err, done)
        series.source["config"]["incremental"]["changes"] = "skip"
        equal(series.run(), [4, 5, 6], "without the commit")
        series.source["config"]["incremental"]["changes"] = "fail"
        equal(series.run(), [], "behind it")
        series.table().update({"id": "id + 100"}, predicate="id = 5")
        series.source["config"]["incremental"]["changes"] = "rewritten"
        equal(series.plan()["nodes"][0]["repeats"], True, "repeats")
        check(105 in series.run(), "the new version of a row")


def overwritten():
    with Table() as series:
        series.append(1)
        equal(series.run(), [1], "first run")
        deltalake.write_deltalake(series.at(), pa.table({"id": pa.array([9], pa.int64())}), mode="overwrite")
        series.bad("takes rows away or changes them")


def created_anew():
    with Table() as series:
        series.append(1)
        series.append(2)
        equal(series.run(), [1, 2], "first run")
        shutil.rmtree(series.at())
        for i in range(5):
            series.append(10 + i)
        series.bad("is another table than the last run read")
        equal(series.run("--fresh"), [10, 11, 12, 13, 14], "--fresh")


def restored_from_a_copy():
    with Table() as series:
        series.append(1)
        shutil.copytree(series.at(), series.space.file("copy"))
        series.append(2)
        equal(series.run(), [1, 2], "first run")
        shutil.rmtree(series.at())
        shutil.copytree(series.space.file("copy"), series.at())
        series.bad("is at version 0, but version 1 was read before")
        series.append(3)
        series.append(4)
        series.bad("version 1 is another commit")


def forgotten_log():
    with Table() as series:
        series.append(1)
        equal(series.run(), [1], "first run")
        for i in range(2, 6):
            series.append(i)
        series.table().create_checkpoint()
        log = os.path.join(series.at(), "_delta_log")
        os.unlink(os.path.join(log, f"{1:020}.json"))
        os.unlink(os.path.join(log, f"{0:020}.json"))
        done = series.bad("does not have the commit of version 1 any more")
        check("--fresh" in done.err, done)
        series.watermark("set", "--step", "src", "1")
        equal(series.run(), [3, 4, 5], "from where a person said")


def vacuumed():
    with Table() as series:
        series.append(1)
        equal(series.run(), [1], "first run")
        series.append(2)
        series.append(3)
        series.table().optimize.compact()
        series.table().vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
        check(series.attempt().code != 0, "files that are gone did not fail the run")
        equal(series.loaded(), [1], "nothing is skipped")


def initial_version():
    with Table({"initial": 2}) as series:
        for i in range(5):
            series.append(i)
        equal(series.run(), [2, 3, 4], "first run")
        series.append(5)
        equal(series.run(), [5], "second run")


def schema_changes():
    with Table() as series:
        series.append(1)
        equal(series.run(), [1], "first run")
        deltalake.write_deltalake(
            series.at(), pa.table({"id": pa.array([2], pa.int64()), "more": pa.array(["x"])}), mode="append", schema_mode="merge")
        series.append(3, schema_mode="merge")
        equal(series.run(), [2, 3], "a new column")
        rows = {}
        for name in glob.glob(series.space.file("out", "**", "*.parquet"), recursive=True):
            for row in parquet.ParquetFile(name).read().to_pylist():
                rows[row["id"]] = row.get("more", "none")
        equal(rows, {1: "none", 2: "x", 3: None}, "the new column")


def partitioned():
    with Table() as series:
        def add(*rows):
            deltalake.write_deltalake(
                series.at(), pa.table({"id": pa.array([r[0] for r in rows], pa.int64()), "day": pa.array([r[1] for r in rows])}),
                mode="append", partition_by=["day"])
        add((1, "a"), (2, "b"))
        equal(series.run(), [1, 2], "first run")
        add((3, "a"), (4, "c"), (5, None))
        equal(series.run(), [3, 4, 5], "second run")


def random_commits():
    """Appends, compactions, checkpoints; a run after some of them: each row once."""
    rng = random.Random(7)
    with Table() as series:
        wanted, number = [], 0
        for _ in range(40 if LONG else 5):
            for _ in range(rng.randrange(1, 6)):
                kind = rng.random()
                if kind < 0.7 or not wanted:
                    rows = list(range(number, number + rng.randrange(1, 50)))
                    number = rows[-1] + 1
                    wanted += rows
                    series.append(*rows)
                elif kind < 0.85:
                    series.table().optimize.compact()
                else:
                    series.table().create_checkpoint()
            series.run()
            equal(series.loaded(), wanted, "all rows so far")


def main():
    suite = Suite("incremental lake")
    suite.case("files: new ones only", new_files_only)
    suite.case("files: late ones, with older times and names", late_files)
    suite.case("files: maxFileAge", max_file_age)
    suite.case("files: maxFileAge, and a file of the future", file_of_the_future)
    suite.case("files: one that was changed", changed_file)
    suite.case("files: gone and back", gone_and_back)
    suite.case("files: initial", initial_time)
    suite.case("files: a failed run", failed_run)
    suite.case("files: another place", another_place)
    suite.case("files: partitions and patterns", partitions_and_patterns)
    suite.case("files: a step that pauses", a_step_that_pauses)
    suite.case("files and a table on S3", on_s3)
    suite.case("killed at any moment", killed)
    suite.case("files: random arrivals", many_files)
    suite.case("delta: version to version", versions)
    suite.case("delta: compactions are no rows", compaction)
    suite.case("delta: deleted and updated rows", deletes)
    suite.case("delta: overwritten", overwritten)
    suite.case("delta: created anew", created_anew)
    suite.case("delta: restored from a copy", restored_from_a_copy)
    suite.case("delta: the log has forgotten", forgotten_log)
    suite.case("delta: vacuumed", vacuumed)
    suite.case("delta: initial", initial_version)
    suite.case("delta: schema changes", schema_changes)
    suite.case("delta: partitioned", partitioned)
    suite.case("delta: random commits", random_commits)
    suite.end()


if __name__ == "__main__":
    main()

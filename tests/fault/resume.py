#!/usr/bin/env python3
"""What a run has sealed the next one does not read again; where that is not safe it begins anew and says why. Never a row lost or twice.

Four targets: files and Delta tables, local and on S3. Each run seals where a split ends (resumeBytes 1): it is killed, fails or is told
to end behind each seal, and the next start must read the rest and nothing else, by its report; what the target then holds is
read by a reader that is not ours. Between the two runs the input, the pipeline, the target or what is staged are changed: then all is
read again. KILLS=N adds kill -9 at N random moments for each target (SEED, ONLY, LENGTH as in kills.py); MILLRACE_LONG=1 takes every seal.
"""

import collections
import glob
import os
import shutil
import signal
import sqlite3
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import kills
from kills import LONG, Skip, Suite, Workspace, check, equal, judge, make_rows
import duckdb
import pyarrow as pa
import pyarrow.parquet
import pyarrow.compute
from deltalake import DeltaTable
from server import Server

FILES, ROWS = 100, 40  # twenty files make a split
ALL = FILES * ROWS


class Small:
    """Many small files in, so that there are several splits; every split is sealed."""

    rows = ALL

    def open(self):
        super().open()
        for name in ("old", "new"):
            os.unlink(os.path.join(self.folder, f"{name}.parquet"))
        self.fill(self.folder)

    def fill(self, folder):
        for name, first in (("old", 1_000_000), ("new", 0)):
            os.makedirs(os.path.join(folder, name))
            for i in range(FILES):
                self.write(folder, name, i, first + i * ROWS)

    def write(self, folder, name, i, first, rows=ROWS):
        pyarrow.parquet.write_table(make_rows(rows, first, self.size), os.path.join(folder, name, f"f{i:03d}.parquet"))

    def config(self, target):
        config = super().config(target)
        config.pop("partitionBy")  # a partition of 2 % has no file in some parts; the other tests have partitions
        return {**config, "partitionBy": ["part"]}

    def pipeline(self, target):
        pipeline = super().pipeline(target)
        pipeline["resources"]["resumeBytes"] = 1
        pipeline["verify"] = True
        pipeline["steps"][0]["config"]["path"] = self.folder + "/${what}/"
        return pipeline


class Files(Small, kills.LocalFiles):
    size = 128


class Delta(Small, kills.LocalDelta):
    size = 128


class FilesS3(Small, kills.S3Files):
    """Texts so large that the object of a part goes up in parts."""

    size = 4480

    def config(self, target):
        return {**super().config(target), "partitionBy": []}

    def pipeline(self, target):
        pipeline = super().pipeline(target)
        del pipeline["steps"][1]["config"]["partitionBy"]
        return pipeline


class DeltaS3(Small, kills.S3Delta):
    size = 128


def own_input(sink, space):
    """A copy of the input that a case may change."""
    shutil.copytree(os.path.join(sink.folder, "new"), space.file("in"))
    pipeline = sink.pipeline(space.target)
    pipeline["steps"][0]["config"]["path"] = "in/"
    space.write("pipeline.json", pipeline)
    return pipeline


def notes(space):
    """How many seals the state knows of."""
    try:
        with sqlite3.connect(f"file:{space.file('.millrace', 'state.db')}?mode=ro", uri=True, timeout=5) as db:
            return db.execute("SELECT count(*) FROM notes WHERE name LIKE 'part %'").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def die(space, place, how="kill"):
    result = space.run("pipeline.json", environment={"MILLRACE_FAILPOINT": f"{place}={how}"})
    if result.code == 0:
        raise Skip("built without --enable-failpoints")
    check(how != "kill" or result.code == -signal.SIGKILL, f"the run should die at {place}: {result}")
    return result


def exact(sink, space, wanted=None):
    tally = kills.Tally()
    judge(sink, space, tally, wanted if wanted is not None else collections.Counter(range(ALL)), "in the end")
    check(not tally.bad, "\n".join(tally.bad))
    equal(notes(space), 0, "notes that are left")


def goes_on(result, least=1, rows=ALL):
    """The report's account of it: what was kept and what was read make all."""
    result.expect(0)
    resumed = result.report.get("resumed") or {}
    check("reason" not in resumed and resumed.get("rows", 0) >= least, f"resumed: {resumed}\n{result}")
    equal(result.report["rows_read"] + resumed["rows"], rows, "rows read and rows kept")
    equal(result.report["rows_written"], rows, "rows written")
    check("are kept" in result.err, result.err)
    return resumed


def begins_anew(result, reason, rows=ALL):
    result.expect(0)
    resumed = result.report.get("resumed") or {}
    check(reason in resumed.get("reason", ""), f"resumed: {resumed}, wanted {reason!r}")
    equal(result.report["rows_read"], rows, "rows read")
    check(reason in result.err, result.err)


def counted(space):
    """What was counted of kept parts is part of what was loaded."""
    verified = space.millrace("verify", "pipeline.json")
    equal(verified.code, 0, f"verify: {verified}")


def after_each_seal(sink):
    seals = 0
    with sink.fresh() as space:
        whole = space.run("pipeline.json", environment={"MILLRACE_FAILPOINT_LIST": space.file("places")}).expect(0)
        if not os.path.exists(space.file("places")):
            raise Skip("built without --enable-failpoints")
        with open(space.file("places"), encoding="utf-8") as file:
            seals = file.read().split().count("resume.note.after")
        equal(whole.report.get("resumed"), None, "resumed, where nothing was unfinished")
        exact(sink, space)
    check(seals >= 2, f"{seals} seals")
    ways = (("after", "kill"), ("before", "kill"), ("after", "error"))
    for number in range(1, seals + 1) if LONG else {1} if isinstance(sink, FilesS3) else {1, seals}:
        for place, how in ways if LONG or number == 1 else ways[:1]:
            kept = number - (place == "before")
            with sink.fresh() as space:
                die(space, f"resume.note.{place}:{number}", how)
                result = space.run("pipeline.json", "--resume") if kept else space.run("pipeline.json")
                if kept:
                    goes_on(result)
                    counted(space)
                else:
                    begins_anew(result, "sealed nothing")
                exact(sink, space)


def five_deep(sink):
    """Each start gets one seal further."""
    with sink.fresh() as space:
        rows = 0
        die(space, "resume.note.after:1")
        for _ in range(5):
            result = space.run("pipeline.json", environment={"MILLRACE_FAILPOINT": "resume.note.after:1=kill"})
            if result.code == 0:
                break
        resumed = goes_on(space.run("pipeline.json")) if result.code != 0 else goes_on(result)
        rows = resumed["rows"]
        check(rows > 0, "rows kept")
        exact(sink, space)


def same_files(sink):
    """An interrupted load makes the same files, byte by byte, as one that was not. (What the target remembers names the run.)"""
    def content(space):
        found = {}
        for folder, below, names in os.walk(space.file("out")):
            below[:] = [name for name in below if name != ".millrace-state"]
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    found[os.path.join(os.path.relpath(folder, space.file("out")), name)] = file.read()
        return found

    with sink.fresh() as space:
        space.run("pipeline.json", "--param", "what=old").expect(0)
        shutil.copytree(space.file(".millrace"), space.file("before"))
        shutil.rmtree(space.file("out"))
        space.run("pipeline.json").expect(0)
        wanted = content(space)
        shutil.rmtree(space.file(".millrace"))
        shutil.rmtree(space.file("out"))
        shutil.copytree(space.file("before"), space.file(".millrace"))
        die(space, "resume.note.after:2")
        goes_on(space.run("pipeline.json"))
        equal(sorted(content(space)), sorted(wanted), "names")
        check(content(space) == wanted, "bytes")


def changed_file(sink):
    with sink.fresh() as space:
        own_input(sink, space)
        die(space, "resume.note.after:1")
        sink.write(space.path, "in", 0, 5_000_000)
        refused = space.run("pipeline.json", "--resume").expect(3)
        check("its input has changed" in refused.err, refused.err)
        check(sink.read(space) is None, "nothing is visible")
        begins_anew(space.run("pipeline.json"), "its input has changed")
        wanted = collections.Counter(range(ROWS, ALL))
        wanted.update(range(5_000_000, 5_000_000 + ROWS))
        exact(sink, space, wanted)


def new_file(sink):
    with sink.fresh() as space:
        own_input(sink, space)
        die(space, "resume.note.after:1")
        sink.write(space.path, "in", 999, 5_000_000)
        begins_anew(space.run("pipeline.json"), "its input has changed", ALL + ROWS)
        wanted = collections.Counter(range(ALL))
        wanted.update(range(5_000_000, 5_000_000 + ROWS))
        exact(sink, space, wanted)


def changed_pipeline(sink):
    with sink.fresh() as space:
        pipeline = own_input(sink, space)
        die(space, "resume.note.after:1")
        pipeline["steps"].insert(1, {"type": "transform", "method": "filterRows", "config": {"condition": "id % 2 = 0"}})
        space.write("pipeline.json", pipeline)
        result = space.run("pipeline.json").expect(0)
        check("reason" in result.report["resumed"], result)
        exact(sink, space, collections.Counter(range(0, ALL, 2)))


def other_parameters(sink):
    """Not a retry but other work: nothing of the first is kept, and nothing of it is visible."""
    with sink.fresh() as space:
        die(space, "resume.note.after:1")
        begins_anew(space.run("pipeline.json", "--param", "what=old"), "")
        exact(sink, space, collections.Counter(range(1_000_000, 1_000_000 + ALL)))


def fresh(sink):
    with sink.fresh() as space:
        die(space, "resume.note.after:1")
        result = space.run("pipeline.json", "--fresh").expect(0)
        equal(result.report["rows_read"], ALL, "rows read")
        exact(sink, space)


def staged_gone(sink):
    """A tidy person, or a lifecycle rule: the part is read again, the others are not."""
    with sink.fresh() as space:
        die(space, "resume.note.after:2")
        gone = take_away(sink, space)
        if gone is None:
            raise Skip("one seal holds everything")
        result = goes_on(space.run("pipeline.json"), 0)
        check(result["rows"] < ALL, result)
        exact(sink, space)
    with sink.fresh() as space:
        die(space, "resume.note.after:2")
        take_away(sink, space, everything=True)
        begins_anew(space.run("pipeline.json"), "is gone")
        exact(sink, space)


def take_away(sink, space, everything=False):
    if isinstance(sink, kills.S3Files):
        client, gone = sink.server.client, []
        for key in client.keys(kills.BUCKET, space.target + "/"):
            if key.endswith(".inprogress") and (everything or not gone):
                client.request("DELETE", kills.BUCKET, key).expect(200, 204)
                gone.append(key)
        for key, upload in uploads(client, space.target + "/"):
            if everything or not gone:
                client.request("DELETE", kills.BUCKET, key, query={"uploadId": upload}).expect(200, 204)
                gone.append(key)
        return gone or None
    found = sorted(os.path.join(f, n) for f, _, names in os.walk(space.file("out")) for n in names if n.startswith("."))
    for name in found if everything else found[:1]:
        os.unlink(name)
    return found or None


def uploads(client, prefix):
    reply = client.request("GET", kills.BUCKET, query={"uploads": "", "prefix": prefix}).expect(200)
    return list(zip(reply.xml("Key"), reply.xml("UploadId")))


def terminated(sink):
    """SIGTERM while it runs: sealed parts stay, everything else that was staged is gone, exit 143 within the bound."""
    with sink.fresh() as space:
        for attempt in range(20):
            process = space.start("run", "pipeline.json", "--progress", "none", stdout=-3, stderr=-3)
            while process.poll() is None and notes(space) < 1:
                time.sleep(0.001)
            began = time.monotonic()
            process.terminate()
            code = process.wait()
            if code == 143:
                break
            equal(code, 0, "a run that was over")
            sink.remove(space)
            shutil.rmtree(space.file("out"), ignore_errors=True)
            shutil.rmtree(space.file(".millrace"))
        else:
            raise Skip("every run was over before it could be told to end")
        check(time.monotonic() - began < 10, "it took too long to end")
        check(sink.read(space) is None, "nothing is visible")
        kept = notes(space)
        check(kept >= 1, "notes")
        sink.settle(space)
        goes_on(space.run("pipeline.json"))
        exact(sink, space)


def someone_wrote(sink):
    """Another writer's rows do not matter to an append; another schema does."""
    with sink.fresh() as space:
        space.run("pipeline.json", "--param", "what=old").expect(0)
        die(space, "resume.note.after:1")
        options = sink.storage(space)
        from deltalake import write_deltalake
        write_deltalake(*options[:1], make_rows(10, 9_000_000, sink.size), mode="append", storage_options=options[1])
        goes_on(space.run("pipeline.json"))
        wanted = collections.Counter(range(ALL))
        wanted.update(range(1_000_000, 1_000_000 + ALL))
        wanted.update(range(9_000_000, 9_000_010))
        exact(sink, space, wanted)
    with sink.fresh() as space:
        space.run("pipeline.json", "--param", "what=old").expect(0)
        die(space, "resume.note.after:1")
        DeltaTable(*sink.storage(space)[:1], storage_options=sink.storage(space)[1]).alter.set_table_properties({"delta.appendOnly": "true"})
        begins_anew(space.run("pipeline.json"), "its target has changed")
        wanted = collections.Counter(range(ALL))
        wanted.update(range(1_000_000, 1_000_000 + ALL))
        exact(sink, space, wanted)


Delta.storage = lambda self, space: (space.file("out"), None)

# ---- what lies between source and sink ----


def steps(sink, space, *between, load=None, extract=None, resources=None):
    pipeline = sink.pipeline(space.target)
    pipeline["steps"][0]["config"]["path"] = os.path.join(sink.folder, "new") + "/"
    pipeline["steps"][1]["config"].update(load or {})
    pipeline["steps"][1:1] = between
    pipeline["resources"].update(resources or {})
    space.write("pipeline.json", pipeline)
    return pipeline


def one_instant(sink):
    """current_timestamp() is that of the run that began."""
    with sink.fresh() as space:
        steps(sink, space, {"type": "transform", "method": "enrichData", "config": {"columns": {"moment": "current_timestamp()"}}})
        die(space, "resume.note.after:1")
        goes_on(space.run("pipeline.json"))
        exact(sink, space)
        names = glob.glob(space.file("out", "part=*", "[!.]*"))
        with duckdb.connect() as connection:
            equal(connection.sql("SELECT count(DISTINCT moment) FROM read_parquet($names)", params={"names": names}).fetchall()[0][0], 1, "instants")


def validation(on_failure, **more):
    return {"type": "validate", "method": "validateBusinessRules", "config": {
        "rules": ["id % 10 <> 3"], "onFailure": on_failure, **more}}


def validations(sink):
    """What a kept part found counts: in the report, and for maxFailures."""
    bad = ALL // 10
    good = collections.Counter(i for i in range(ALL) if i % 10 != 3)
    with sink.fresh() as space:
        steps(sink, space, validation("drop"))
        unbroken = space.run("pipeline.json").expect(0).report
        shutil.rmtree(space.file("out"))
        shutil.rmtree(space.file(".millrace"))
        die(space, "resume.note.after:2")
        result = space.run("pipeline.json").expect(0)
        equal(result.report["steps"][1]["validation"], unbroken["steps"][1]["validation"], "validation")
        equal(result.report["steps"][1]["validation"]["rows_failed"], bad, "rows that failed")
        equal(result.report["rows_rejected"], bad, "rows rejected")
        exact(sink, space, good)
    with sink.fresh() as space:
        steps(sink, space, validation("drop", maxFailures=bad - 1))
        die(space, "resume.note.after:1")
        result = space.run("pipeline.json").expect(7)
        check("resumed" in result.report, result)
        check(sink.read(space) is None, "nothing is visible")
        equal((notes(space), sink.left(space)), (0, []), "what a run leaves that failed for its data")
    with sink.fresh() as space:  # bad rows lie below the place of the good ones
        steps(sink, space, validation("quarantine", quarantine={"path": space.file("out", "_bad"), "format": "parquet"}))
        die(space, "resume.note.after:2")
        space.run("pipeline.json").expect(0)
        exact(sink, space, good)
        ids = [i for n in glob.glob(space.file("out", "_bad", "*.parquet")) for i in pyarrow.parquet.read_table(n, columns=["id"])["id"].to_pylist()]
        equal(sorted(ids), list(range(3, ALL, 10)), "bad rows")


def joined(sink):
    """A build side that cannot change is read again; rows that found their partner are not."""
    with sink.fresh() as space:
        pipeline = steps(sink, space)
        pyarrow.parquet.write_table(pa.table({"id": list(range(0, ALL, 2)), "other": ["x"] * (ALL // 2)}), space.file("side.parquet"))
        pipeline["steps"][0]["config"]["registerAs"] = "rows"
        pipeline["steps"][1:1] = [
            {"type": "extract", "method": "fromFile", "config": {"path": "side.parquet", "format": "parquet", "registerAs": "side"}},
            {"type": "transform", "method": "joinDataFrames", "config": {"inputDataFrames": ["rows", "side"], "joinType": "inner", "joinKeys": ["id"]}}]
        space.write("pipeline.json", pipeline)
        die(space, "resume.note.after:2")
        result = space.run("pipeline.json").expect(0)
        check(result.report["resumed"]["rows"] > 0, result.report["resumed"])
        exact(sink, space, collections.Counter(range(0, ALL, 2)))


def not_resumable(sink):
    """What must see all rows is not sealed in the middle, and the next start says so."""
    for between, reason in (({"type": "transform", "method": "limitRows", "config": {"count": ALL}}, "depends on the rows before"),
                            ({"type": "transform", "method": "sortData", "config": {"orderBy": ["id"]}}, "needs all rows")):
        with sink.fresh() as space:
            steps(sink, space, between)
            die(space, "store.publish.before")  # prepared: finished, whatever the plan
            space.run("pipeline.json").expect(0)
        with sink.fresh() as space:
            steps(sink, space, between)
            die(space, "state.before")
            refused = space.run("pipeline.json", "--resume").expect(3)
            check(reason in refused.err, refused.err)
            begins_anew(space.run("pipeline.json"), reason)


def wished_files(sink):
    """One file was asked for: one file comes, sealed or not."""
    with sink.fresh() as space:
        steps(sink, space, {"type": "transform", "method": "coalesce", "config": {"numPartitions": 1}})
        equal(space.run("pipeline.json").expect(0).report["steps"][2]["counters"]["files"], 2, "files: one for each partition")
        exact(sink, space)


def from_postgres():
    """Its snapshot has ended with the run."""
    with Server() as server:
        server.database("resume")
        server.execute("resume", "CREATE TABLE t AS SELECT g AS id, 'x' AS body FROM generate_series(1, 1000) g")
        with Workspace(postgres=server.credentials("resume")) as space:
            space.write("pipeline.json", {"name": "load", "resources": {"resumeBytes": 1}, "steps": [
                {"type": "extract", "method": "fromPostgres", "config": {"table": "t"}},
                {"type": "load", "method": "toFile", "config": {"path": "out/", "format": "parquet"}}]})
            die(space, "state.before")
            refused = space.run("pipeline.json", "--resume").expect(3)
            check("fromPostgres" in refused.err and "other rows in another run" in refused.err, refused.err)
            begins_anew(space.run("pipeline.json"), "other rows in another run", 1000)
            equal(sum(pyarrow.parquet.read_table(n).num_rows for n in glob.glob(space.file("out", "*.parquet"))), 1000, "rows")


CASES = [("behind each seal", after_each_seal), ("five deep", five_deep), ("what is staged is gone", staged_gone), ("SIGTERM", terminated),
         ("a file has changed", changed_file), ("--fresh", fresh)]
LOCAL = [("the same files", same_files), ("a new file", new_file), ("the pipeline has changed", changed_pipeline),
         ("other parameters", other_parameters), ("one instant", one_instant), ("validations", validations), ("join", joined),
         ("not resumable", not_resumable), ("files as asked for", wished_files)]


def main():
    suite = Suite("resume")
    for sink in (Files("local files"), Delta("Delta, local"), FilesS3("S3 files"), DeltaS3("Delta, S3")):
        cases = (CASES[:4] if isinstance(sink, kills.S3Files) and not LONG else CASES) + (LOCAL if isinstance(sink, Files) else []) + ([("another writer", someone_wrote)] if isinstance(sink, Delta) else [])
        if os.environ.get("KILLS"):
            cases = [("at random", kills.at_random)]
        if not any(suite.wants(f"{sink.name}: {name}") for name, _ in cases):
            continue
        try:
            sink.open()
            for name, case in cases:
                suite.case(f"{sink.name}: {name}", case, sink)
        finally:
            sink.close()
    if not os.environ.get("KILLS"):
        suite.case("from PostgreSQL", from_postgres)
    suite.end()


if __name__ == "__main__":
    main()

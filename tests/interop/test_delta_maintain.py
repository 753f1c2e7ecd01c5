#!/usr/bin/env python3
"""Maintenance of Delta tables: what optimize, Z-order, delete and vacuum leave, read by deltalake and by ourselves.

Tables come from deltalake, so that the files that are maintained are not ours.
"""

import datetime
import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need

need("pyarrow", "deltalake")
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from engine import Workspace

DAY = datetime.timedelta(days=1)


def rows(seed, count, first=0):
    choose = random.Random(seed)
    return pa.table({
        "id": pa.array(range(first, first + count), pa.int64()),
        "part": pa.array([choose.choice(["a", "b", None]) for _ in range(count)]),
        "x": pa.array([choose.randrange(1000) for _ in range(count)], pa.int32()),
        "y": pa.array([choose.choice([None, choose.random()]) for _ in range(count)]),
        "day": pa.array([datetime.date(2024, 1, 1) + choose.randrange(300) * DAY for _ in range(count)]),
        "tags": pa.array([[str(n) for n in range(choose.randrange(3))] for _ in range(count)], pa.list_(pa.string())),
        "name": pa.array([f"näme {choose.randrange(50)}" for _ in range(count)]),
    })


def build(path, files=12, count=200, partitions=None):
    for n in range(files):
        write_deltalake(path, rows(n, count, n * count), mode="append", partition_by=partitions)
    return pa.concat_tables([rows(n, count, n * count) for n in range(files)])


def content(path, version=None):
    table = DeltaTable(path, version=version).to_pyarrow_table()
    return sorted(table.to_pylist(), key=lambda row: row["id"])


def wanted(table):
    return sorted(table.to_pylist(), key=lambda row: row["id"])


def maintain(space, method, **config):
    pipeline = {"name": "maintain", "steps": [{"type": "maintain", "method": method, "config": config}]}
    return space.run(pipeline)


def result(done):
    return done.expect(0).report["steps"][-1]["result"]


def optimize(partitions):
    with Workspace() as space:
        path = space.file("t")
        data = build(path, partitions=partitions)
        before = len(DeltaTable(path).file_uris())
        report = result(maintain(space, "optimizeDelta", path=path))
        table = DeltaTable(path)
        equal(table.version(), 12, "version")
        equal(len(table.file_uris()), 3 if partitions else 1, "files")
        equal((report["numFilesRemoved"], report["numFilesAdded"]), (before, len(table.file_uris())), "report")
        equal(content(path), wanted(data), "rows")
        equal(content(path, 11), wanted(data), "rows of the version before")
        actions = [json.loads(line) for line in open(os.path.join(path, "_delta_log", f"{12:020}.json"))]
        for action in actions:
            for kind in ("add", "remove"):
                check(kind not in action or action[kind]["dataChange"] is False, f"dataChange of {action}")
        again = result(maintain(space, "optimizeDelta", path=path))
        equal((again["version"], again["numFilesRemoved"]), (-1, 0), "a second time")
        equal(DeltaTable(path).version(), 12, "version")


def optimize_where():
    with Workspace() as space:
        path = space.file("t")
        data = build(path, partitions=["part"])
        result(maintain(space, "optimizeDelta", path=path, where="part = 'a'"))
        count = lambda part: sum(f"part={part}/" in uri for uri in DeltaTable(path).file_uris())
        equal((count("a"), count("b")), (1, 12), "files of the two partitions")
        equal(content(path), wanted(data), "rows")
        refused = maintain(space, "optimizeDelta", path=path, where="x = 1").expect(3)
        check("x, which is no partition column" in refused.err, str(refused))


def zorder():
    with Workspace() as space:
        path = space.file("t")
        data = build(path, files=10, count=5000)
        report = result(maintain(space, "optimizeDelta", path=path, zOrderBy=["x", "day"], targetFileSize="20KB"))
        check(report["numFilesAdded"] > 8, str(report))
        equal(content(path), wanted(data), "rows")
        ranges = []
        for line in open(os.path.join(path, "_delta_log", f"{10:020}.json")):
            add = json.loads(line).get("add")
            if add:
                stats = json.loads(add["stats"])
                ranges.append((stats["minValues"], stats["maxValues"]))
        for column, value in (("x", 500), ("day", "2024-05-15")):
            hit = sum(low[column] <= value <= high[column] for low, high in ranges)
            check(hit <= 0.6 * len(ranges), f"{column}: {hit} of {len(ranges)} files")
        for column in ("tags", "none"):
            maintain(space, "optimizeDelta", path=path, zOrderBy=[column]).expect(3)


def delete(where, keeps, partitions):
    with Workspace() as space:
        path = space.file("t")
        data = build(path, partitions=partitions)
        report = result(maintain(space, "deleteDelta", path=path, where=where))
        left = [row for row in wanted(data) if keeps(row)]
        equal(content(path), left, "rows")
        equal(report["numDeletedRows"], data.num_rows - len(left), "deleted rows")
        equal(content(path, 11), wanted(data), "rows of the version before")
        again = result(maintain(space, "deleteDelta", path=path, where=where))
        equal((again["version"], again["numDeletedRows"]), (-1, 0), "a second time")


def append_only():
    with Workspace() as space:
        path = space.file("t")
        write_deltalake(path, rows(1, 50), configuration={"delta.appendOnly": "true"})
        refused = maintain(space, "deleteDelta", path=path, where="id = 1").expect(6)
        check("appendOnly" in refused.err, str(refused))


def vacuum():
    with Workspace() as space:
        path = space.file("t")
        data = build(path)
        result(maintain(space, "optimizeDelta", path=path))
        live = {os.path.basename(uri) for uri in DeltaTable(path).file_uris()}
        files = lambda: {name for name in os.listdir(path) if name.endswith(".parquet")}
        old = files()
        refused = maintain(space, "vacuumDelta", path=path, retainHours=0).expect(3)
        check("checkRetention" in refused.err, str(refused))
        equal(files(), old, "files after a refusal")
        report = result(maintain(space, "vacuumDelta", path=path))
        equal(report["numFilesDeleted"], 0, "files younger than a week")
        report = result(maintain(space, "vacuumDelta", path=path, retainHours=0, checkRetention=False, dryRun=True))
        equal((report["numFilesDeleted"], files()), (12, old), "dry run")
        open(os.path.join(path, "_kept"), "w").close()
        report = result(maintain(space, "vacuumDelta", path=path, retainHours=0, checkRetention=False))
        equal(sorted(report["files"]), sorted(old - live), "removed files")
        equal(files(), live, "files left")
        check(os.path.exists(os.path.join(path, "_kept")), "a hidden file is gone")
        equal(content(path), wanted(data), "rows")


def vacuum_paths():
    """Absolute paths of the log that lead into the table name live files too."""
    for form in ("file://{}/{}", "file:{}/{}", "{}/{}", "./{1}"):
        with Workspace() as space:
            path = space.file("t")
            write_deltalake(path, rows(1, 10))
            name = os.path.join(path, "_delta_log", f"{0:020}.json")
            actions = [json.loads(line) for line in open(name)]
            for action in actions:
                if "add" in action:
                    live = action["add"]["path"]
                    action["add"]["path"] = form.format(path, live)
            with open(name, "w") as file:
                file.writelines(json.dumps(action) + "\n" for action in actions)
            for file in (live, "garbage.parquet"):
                open(os.path.join(path, file), "a").close()
                os.utime(os.path.join(path, file), (10**9, 10**9))
            report = result(maintain(space, "vacuumDelta", path=path))
            equal(report["files"], ["garbage.parquet"], f"removed with paths like {form}")


def statements():
    with Workspace() as space:
        path = space.file("t")
        data = build(path, partitions=["part"])
        for query, message in (("OPTIMIZE t", "delta.`path`"), ("VACUUM delta.`t` RETAIN x HOURS", "a number of hours"),
                               ("OPTIMIZE delta.`t` ZORDER (x)", "BY"), ("DROP TABLE t", "OPTIMIZE, VACUUM or DELETE")):
            refused = maintain(space, "sql", query=query).expect(3)
            check(message in refused.err and "pipeline.json:" in refused.err, str(refused))
        result(maintain(space, "sql", query=f"optimize delta.`{path}` WHERE part = 'a' or part is null ZORDER BY (x, `day`)"))
        result(maintain(space, "sql", query=f"DELETE FROM delta.`{path}` WHERE name = 'näme 7' AND x > 500;"))
        result(maintain(space, "sql", query=f"VACUUM delta.`{path}` RETAIN 200 HOURS DRY RUN"))
        equal(content(path), [r for r in wanted(data) if not (r["name"] == "näme 7" and r["x"] > 500)], "rows")


def commands():
    with Workspace() as space:
        path = space.file("t")
        data = build(path)
        done = space.millrace("delta", "describe", path, "--json").expect(0)
        state = json.loads(done.out)
        equal((state["version"], state["numFiles"], state["numRows"]), (11, 12, data.num_rows), "describe")
        space.millrace("delta", "optimize", path, "--zorder", "x,day").expect(0)
        done = space.millrace("delta", "history", path, "--limit", "2").expect(0)
        check("OPTIMIZE" in done.out and len(done.out.splitlines()) == 3, str(done))
        done = space.millrace("delta", "vacuum", path, "--retain-hours", "0", "--no-retention-check", "--dry-run").expect(0)
        check("numFilesDeleted        12" in done.out, str(done))
        space.millrace("delta", "describe", space.file("none")).expect(5)
        space.millrace("delta", "optimize").expect(2)
        equal(content(path), wanted(data), "rows")


def order_of_steps():
    """A maintain step before a load is refused; one that fails leaves the load committed, and a retry repeats only itself."""
    with Workspace() as space:
        path, out = space.file("t"), space.file("out")
        build(path, files=3)
        read = {"type": "extract", "method": "fromDelta", "config": {"path": path}}
        write = {"type": "load", "method": "toDelta", "config": {"path": out, "mode": "append"}}
        pack = {"type": "maintain", "method": "optimizeDelta", "config": {"path": path}}
        refused = space.run({"name": "steps", "steps": [read, pack, write]}).expect(3)
        check("put it behind step 3" in refused.err, str(refused))
        broken = {"type": "maintain", "method": "optimizeDelta", "config": {"path": space.file("none")}}
        space.run({"name": "steps", "steps": [read, write, broken]}).expect(6)
        equal(DeltaTable(out).to_pyarrow_table().num_rows, 600, "rows after the failure")
        space.run({"name": "steps", "steps": [read, write, broken]}).expect(6)
        equal(DeltaTable(out).to_pyarrow_table().num_rows, 600, "rows after the retry")
        space.run({"name": "steps", "steps": [read, write, pack]}).expect(0)
        equal(DeltaTable(out).to_pyarrow_table().num_rows, 600, "rows after the maintenance")
        equal(len(DeltaTable(path).file_uris()), 1, "files")


def layout_of_loads():
    """autoCompact waits for 50 small files; zOrderBy lays out what a load wrote; both in commits of their own."""
    with Workspace() as space:
        path, out = space.file("t"), space.file("out")
        data = build(path, files=1, count=300)
        steps = lambda **load: {"name": "layout", "steps": [
            {"type": "extract", "method": "fromDelta", "config": {"path": path}},
            {"type": "load", "method": "toDelta", "config": {"path": out, **load}}]}
        for n in range(49):
            write_deltalake(out, data, mode="append")
        space.run(steps(autoCompact=True)).expect(0)
        table = DeltaTable(out)
        equal((table.version(), len(table.file_uris())), (50, 1), "version and files after 50 appends")
        equal(table.history(1)[0]["operationParameters"]["auto"], "true", "history")
        space.run(steps(autoCompact=True, zOrderBy=["x"])).expect(0)
        table = DeltaTable(out)
        equal((table.version(), len(table.file_uris())), (52, 2), "version and files after Z-order")
        equal(table.to_pyarrow_table().num_rows, 51 * 300, "rows")


def pays_off():
    """autoCompact leaves a file alone that is larger than all smaller ones together: with each fifty small files it would be written again."""
    with Workspace() as space:
        path, out = space.file("t"), space.file("out")
        data = build(path, files=1, count=300)
        load = {"name": "layout", "steps": [
            {"type": "extract", "method": "fromDelta", "config": {"path": path}},
            {"type": "load", "method": "toDelta", "config": {"path": out, "autoCompact": True, "autoCompactFiles": 4}}]}
        write_deltalake(out, rows(7, 6000), mode="append")
        large = set(DeltaTable(out).file_uris())
        for _ in range(3):
            write_deltalake(out, data, mode="append")
        space.run(load).expect(0)
        table = DeltaTable(out)
        equal((table.version(), len(table.file_uris())), (5, 2), "version and files")
        check(large < set(table.file_uris()), "the large file was written again")
        equal(table.to_pyarrow_table().num_rows, 6000 + 4 * 300, "rows")


def large_checkpoints():
    """What was removed in the last week stays in checkpoints, and where that is much they are written less often."""
    with Workspace() as space:
        path, out = space.file("t"), space.file("out")
        data = build(path, files=1, count=10)
        log = os.path.join(out, "_delta_log")
        commit = lambda version, actions: open(os.path.join(log, f"{version:020}.json"), "x").write("".join(json.dumps(a) + "\n" for a in actions))
        now = int(datetime.datetime.now().timestamp() * 1000)
        write_deltalake(out, data)
        commit(1, [{"remove": {"path": f"{n}.parquet", "deletionTimestamp": now, "dataChange": False}} for n in range(15000)])
        for version in (10, 20, 30):
            for number in range(max(2, version - 9), version):
                commit(number, [{"commitInfo": {"timestamp": now, "operation": "NOTHING"}}])
            load = {"type": "load", "method": "toDelta", "config": {"path": out}}
            space.run({"name": "large", "steps": [{"type": "extract", "method": "fromDelta", "config": {"path": path}}, load]}).expect(0)
            marks = sorted(int(name[:20]) for name in os.listdir(log) if name.endswith(".checkpoint.parquet"))
            equal(marks, [10, 30] if version == 30 else [10], f"checkpoints at version {version}")
        for mark in marks:
            removes = pq.read_table(os.path.join(log, f"{mark:020}.checkpoint.parquet"), columns=["remove.path"]).column(0)
            equal(len(removes) - removes.null_count, 15000, f"removed files in the checkpoint of {mark}")
        equal(DeltaTable(out).to_pyarrow_table().num_rows, 40, "rows")


def places():
    """Files and tables keep apart, and loads of one run that cannot follow each other are refused."""
    with Workspace() as space:
        path, other, out = space.file("t"), space.file("csv"), space.file("out")
        data = build(path, files=2)
        read = {"type": "extract", "method": "fromDelta", "config": {"path": path}}
        to = lambda method, **config: {"type": "load", "method": method, "config": config}
        run = lambda *steps: space.run({"name": "places", "steps": [read, *steps]})
        for mode in ("append", "overwrite"):
            refused = run(to("toFile", path=path, mode=mode)).expect(6)
            check("is a Delta table" in refused.err, str(refused))
        equal(content(path), wanted(data), "rows of the table")
        run(to("toFile", path=other, format="json")).expect(0)
        refused = run(to("toDelta", path=other)).expect(6)
        check("holds files, but is no Delta table" in refused.err, str(refused))
        plain = space.file("plain")
        run(to("toFile", path=plain, format="parquet")).expect(0)
        for name in os.listdir(plain):
            os.utime(os.path.join(plain, name), (0, 0))
        run(to("toDelta", path=plain)).expect(6)
        for modes in (("append", "overwrite"), ("overwrite", "append"), ("overwrite", "overwrite")):
            refused = run(*(to("toDelta", path=out, mode=mode) for mode in modes)).expect(3)
            check("unionDataFrames" in refused.err, str(refused))
        run(to("toDelta", path=out), to("toDelta", path=out)).expect(0)
        equal(DeltaTable(out).to_pyarrow_table().num_rows, 800, "rows of two appends")
        run(to("toDelta", path=out, mode="overwrite")).expect(0)


def main():
    suite = Suite("delta maintenance")
    suite.case("places", places)
    suite.case("layout of loads", layout_of_loads)
    suite.case("pays off", pays_off)
    suite.case("large checkpoints", large_checkpoints)
    suite.case("optimize", optimize, None)
    suite.case("optimize by partition", optimize, ["part"])
    suite.case("optimize where", optimize_where)
    suite.case("Z-order", zorder)
    suite.case("delete by a column", delete, "x < 300", lambda r: r["x"] >= 300, None)
    suite.case("delete, NULL stays", delete, "y > 0.5", lambda r: r["y"] is None or r["y"] <= 0.5, ["part"])
    suite.case("delete a partition", delete, "part = 'b'", lambda r: r["part"] != "b", ["part"])
    suite.case("delete by an expression", delete, "length(name) = 6 AND size(tags) > 1",
               lambda r: not (len(r["name"]) == 6 and len(r["tags"]) > 1), None)
    suite.case("delete everything", delete, "true", lambda r: False, None)
    suite.case("append only", append_only)
    suite.case("vacuum", vacuum)
    suite.case("vacuum, absolute paths", vacuum_paths)
    suite.case("statements", statements)
    suite.case("commands", commands)
    suite.case("order of steps", order_of_steps)
    suite.end()


main()

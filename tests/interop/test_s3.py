#!/usr/bin/env python3
"""toS3 on a real S3 server: what the engine wrote, read through pyarrow's S3 client, is what PostgreSQL holds.

Then errors of people (keys, buckets, certificates) and of networks (tests/lib/s3_proxy.py): each either ends with the
rows exact, or with a message and exit code that say what is wrong and nothing at the target. Kills are in
tests/fault/s3.py. The contract suite of stores, built beside the program, takes the server from the environment.
"""

import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Skip, Suite, check, equal, need

need("psycopg", "pyarrow", "duckdb")
import pyarrow.fs
import engine
import s3
import s3_proxy
import table
from engine import Workspace
from server import Server

BUCKET = "lake"
COLUMNS = "id, moment, amount, name, grp"
ODD = ["plain", "a b", "x/y", "50%", "é=ü", "+1", "q'\"q", "~tilde", "c:d", "#&?", "..", "_h", ".h", ""]


def make_rows(server):
    server.database("s3")
    names = ", ".join("'" + n.replace("'", "''") + "'" for n in ODD)
    server.execute(
        "s3", "CREATE TABLE t (id integer PRIMARY KEY, moment timestamptz, amount numeric(12,2), name text, grp text)",
        f"INSERT INTO t SELECT id, '2024-01-01Z'::timestamptz + id * interval '7 minutes', id / 7.0, CASE WHEN id % 11 > 0 "
        f"THEN md5(id::text) END, (ARRAY[{names}])[id % {len(ODD)} + 1] FROM generate_series(1, 20000) id", "ANALYZE t")
    server.execute(
        "s3", "CREATE TABLE big (id integer PRIMARY KEY, body text)",
        "INSERT INTO big SELECT id, (SELECT string_agg(md5((id * 100 + n)::text), '') FROM generate_series(1, 20) n) "
        "FROM generate_series(1, 60000) id", "ANALYZE big")


class Bench:
    """The servers, and what the cases share."""

    def __init__(self, server, store):
        self.server, self.store = server, store

    def space(self, endpoint=None, buckets=None, **keys):
        credentials = self.store.credentials(endpoint, **keys)
        credentials = {k: v for k, v in credentials.items() if v is not None}
        if buckets:
            credentials["buckets"] = buckets
        return Workspace(postgres=self.server.credentials("s3"), extra={
            "defaults": {"postgres": self.server.credentials("s3"), "s3": credentials}})

    def clear(self, prefix):
        client = self.store.client
        for key in client.keys(BUCKET, prefix):
            client.request("DELETE", BUCKET, key)

    def keys(self, prefix):
        """All objects but what the target remembers of its loads."""
        return [k for k in self.store.client.keys(BUCKET, prefix) if "/.millrace-state/" not in k]

    def download(self, prefix, folder):
        """All objects below the prefix, fetched by pyarrow."""
        filesystem = self.store.filesystem()
        selector = pyarrow.fs.FileSelector(f"{BUCKET}/{prefix}", recursive=True)
        for info in filesystem.get_file_info(selector):
            if info.type != pyarrow.fs.FileType.File:
                continue
            path = os.path.join(folder, info.path[len(BUCKET) + 1:])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with filesystem.open_input_stream(info.path, compression=None) as source, open(path, "wb") as target:
                target.write(source.read())
        return os.path.join(folder, prefix)

    def rows(self, prefix, query=f"SELECT {COLUMNS} FROM data", form="parquet"):
        with tempfile.TemporaryDirectory(prefix="millrace-s3-") as folder:
            return table.duck(query, self.download(prefix, folder), form)

    def nothing_left(self, prefix):
        equal(self.store.client.uploads(BUCKET, prefix), [], "uploads that nobody completed")


def load(path, source=None, **config):
    return {
        "name": "load-" + re.sub(r"[^a-zA-Z0-9]+", "-", path),
        "steps": [
            {"type": "extract", "method": "fromPostgres", "config": source or {"table": "t"}},
            {"type": "load", "method": "toS3", "config": {"bucket": BUCKET, "path": path, **config}},
        ],
    }


# ---- formats, keys, modes ----


def contract(bench, endpoint=None):
    program = os.path.join(os.path.dirname(engine.program()), "tests", "contract", "store_suite")
    if not os.path.exists(program):
        raise Skip(f"{program} is not built")
    done = subprocess.run(
        [program], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
        env={**os.environ, **bench.store.environment(), "MILLRACE_TEST_S3": endpoint or bench.store.endpoint, "MILLRACE_TEST_S3_BUCKET": BUCKET})
    equal(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])


def contract_with_faults(bench):
    """Two in five of all requests fail, every other one of them after it was done."""
    seen = {}

    def script(request):
        nth = seen[request.operation] = seen.get(request.operation, 0) + 1
        changes = request.method in ("PUT", "DELETE") or request.operation == "CompleteMultipartUpload"
        faults = {1: s3_proxy.drop_reply(), 3: s3_proxy.reset_reply()} if changes else {2: s3_proxy.slow_down(), 4: s3_proxy.reset_reply()}
        return faults.get(nth % 5)

    with s3_proxy.S3Proxy(bench.store.port, script) as proxy:
        contract(bench, proxy.endpoint)
        check(proxy.faults() > 100, f"faults: {proxy.faults()}")


def formats(bench, form, compression, suffix):
    prefix = f"formats/{form}-{compression}"
    with bench.space() as space:
        space.run(load(f"/{prefix}/", format=form, compression=compression, mode="overwrite")).expect(0)
    keys = bench.keys(prefix)
    check(keys and all(k.endswith(suffix) for k in keys), f"keys {keys}")
    query = "SELECT id::int, epoch_us(moment::timestamptz), amount::decimal(12,2), nullif(name, ''), coalesce(grp, '') FROM data"
    wanted = bench.server.rows("s3", "SELECT id, (extract(epoch FROM moment) * 1000000)::bigint, amount, name, grp FROM t")
    table.same_rows(bench.rows(prefix, query, form), wanted, form)
    bench.nothing_left(prefix)


def odd_partitions(bench):
    with bench.space() as space:
        space.run(load("odd", partitionBy=["grp"], mode="overwrite")).expect(0)
    tables = pyarrow.fs.FileSelector(f"{BUCKET}/odd", recursive=True)
    files = [i.path for i in bench.store.filesystem().get_file_info(tables) if i.type == pyarrow.fs.FileType.File]
    folders = {path.split("/")[2] for path in files if "/.millrace-state/" not in path}
    equal(len(folders), len(ODD), f"partitions {folders}")
    query = "SELECT id, CASE WHEN grp = '__HIVE_DEFAULT_PARTITION__' THEN '' ELSE coalesce(grp, '') END FROM data"
    table.same_rows(bench.rows("odd", query), bench.server.rows("s3", "SELECT id, grp FROM t"), "odd partitions")


def modes(bench):
    few, more = {"table": "t", "where": "id <= 100"}, {"table": "t", "where": "id BETWEEN 101 AND 150 AND id % 14 < 3"}
    count = lambda: sorted(r[0] for r in bench.rows("modes", "SELECT id FROM data"))
    both = lambda where: sorted(r[0] for r in bench.server.rows("s3", f"SELECT id FROM t WHERE {where}"))
    with bench.space() as space:
        step = dict(partitionBy=["grp"])
        space.run(load("modes", few, mode="errorifexists", **step)).expect(0)
        equal(count(), both("id <= 100"), "into an empty place")
        refused = space.run(load("modes", few, mode="errorifexists", **step)).expect(6)
        check("holds files already" in refused.err, refused)
        space.run(load("modes", few, mode="ignore", **step)).expect(0)
        equal(count(), both("id <= 100"), "ignored")
        space.run(load("modes", more, mode="append", **step)).expect(0)
        equal(count(), both("id <= 100 OR id <= 150 AND id % 14 < 3"), "appended")
        space.run(load("modes", more, mode="overwrite", **step)).expect(0)
        equal(count(), both("id <= 100 AND id % 14 >= 3 OR id > 100 AND id <= 150 AND id % 14 < 3"), "dynamic overwrite")
        space.run(load("modes", few, mode="overwrite", partitionOverwriteMode="static", **step)).expect(0)
        equal(count(), both("id <= 100"), "static overwrite")
    bench.nothing_left("modes")


def manifest(bench):
    with bench.space() as space:
        for where in ("id <= 1000", "id BETWEEN 1001 AND 1500"):
            space.run(load("manifest", {"table": "t", "where": where}, manifest=True, partitionBy=["grp"])).expect(0)
    listed = json.loads(bench.store.client.get(BUCKET, "manifest/_manifest.json"))
    equal(listed["version"], 1, "version")
    there = {k[len("manifest/"):]: len(bench.store.client.get(BUCKET, k)) for k in bench.keys("manifest/") if "/_" not in k}
    equal({f["path"]: f["size"] for f in listed["files"]}, there, "files and sizes")
    equal(sum(f["rows"] for f in listed["files"]), 1500, "rows")


def many_files(bench):
    """More objects than a page of a listing holds, replaced as a whole."""
    source = {"query": "SELECT id, id % 1100 AS part FROM t"}
    with bench.space() as space:
        for _ in range(2):
            space.run(load("many", source, format="csv", partitionBy=["part"], mode="overwrite",
                           partitionOverwriteMode="static")).expect(0)
    keys = bench.keys("many")
    equal(len({k.split("/")[1] for k in keys}), 1100, "partitions")
    text = b"".join(bench.store.client.get(BUCKET, k) for k in keys[:20])
    check(text, "files")
    equal(len([k for k in keys if "part-" in k]), len(keys), "keys that are data")
    rows = sum(bench.store.client.get(BUCKET, k).count(b"\n") - 1 for k in keys)
    equal(rows, 20000, "rows")


# Rows of the table: two objects of two parts each.
FEW = 24000


def big_rows(bench, prefix, rows=60000):
    query = "SELECT id, md5(body) FROM data"
    table.same_rows(bench.rows(prefix, query), bench.server.rows("s3", f"SELECT id, md5(body) FROM big WHERE id <= {rows}"), prefix)


def big(path, rows=60000, **config):
    source = {"table": "big", "where": f"id <= {rows}", "partitionColumn": "id", "numPartitions": 4, "maxConnections": 2}
    return load(path, source, mode="overwrite", compression="none", **config)


def multipart(bench):
    """Objects of several parts, with parts waiting in memory and on the disk."""
    for buffer in ("memory", "disk"):
        with bench.space() as space, s3_proxy.S3Proxy(bench.store.port) as proxy:
            pipeline = big("multipart", multipartSize="5MB", multipartThreshold="5MB", uploadThreads=3, uploadBuffer=buffer)
            pipeline["steps"].insert(1, {"type": "transform", "method": "coalesce", "config": {"numPartitions": 1}})
            with bench.space(proxy.endpoint) as space:
                space.run(pipeline).expect(0)
            check(proxy.count("UploadPart") >= 6, f"parts: {proxy.seen}")
        big_rows(bench, "multipart")
        bench.nothing_left("multipart")


def ways_to_say_it(bench):
    """The same place by URL, by map of buckets, by keys of the step and by the environment of the AWS tools."""
    source = {"table": "t", "where": "id <= 10"}
    wanted = bench.server.rows("s3", "SELECT id FROM t WHERE id <= 10")
    store = bench.store

    def seen(space, config, method="toS3", environment=None):
        bench.clear("ways/")
        pipeline = load("x", source)
        pipeline["steps"][1].update(method=method, config={"format": "parquet", **config})
        space.run(pipeline, environment=environment).expect(0)
        table.same_rows(bench.rows("ways", "SELECT id FROM data"), wanted, str(config))

    with bench.space() as space:
        seen(space, {"path": f"s3://{BUCKET}/ways/"})
        seen(space, {"path": f"s3a://{BUCKET}/ways"}, "toFile")
    with bench.space(endpoint="http://127.0.0.1:1", buckets={BUCKET: store.endpoint}) as space:
        seen(space, {"bucket": BUCKET, "path": "ways"})
    with Workspace(postgres=bench.server.credentials("s3")) as space:
        keys = {k: v for k, v in store.credentials().items()}
        seen(space, {"bucket": BUCKET, "path": "ways", **keys})
        seen(space, {"bucket": BUCKET, "path": "ways", "endpoint": store.endpoint}, environment=store.environment())
        seen(space, {"bucket": BUCKET, "path": "ways"}, environment=store.environment())
    with tempfile.TemporaryDirectory() as folder, bench.space(buckets={BUCKET: folder}) as space:
        space.run(load("ways", source)).expect(0)
        table.same_rows(table.duck("SELECT id FROM data", os.path.join(folder, "ways")), wanted, "a directory")


# ---- errors of people ----


def refused(bench, code, *messages, path="refused", endpoint=None, bucket=BUCKET, buckets=None, environment=None, keys=None):
    bench.clear(path + "/")
    with bench.space(endpoint, buckets, **(keys or {})) as space:
        result = space.run(load(path, bucket=bucket), environment=environment).expect(code)
    for message in messages:
        check(message.lower() in result.err.lower(), f"no {message!r} in\n{result}")
    check(s3.SECRET not in result.err + json.dumps(result.report), f"the secret is printed\n{result}")
    equal(bench.keys(path + "/"), [], "objects")
    bench.nothing_left(path)


def full_server(bench):
    with s3_proxy.S3Proxy(bench.store.port, lambda r: s3_proxy.full_disk() if r.operation in ("PutObject", "UploadPart") else None) as proxy:
        refused(bench, 6, "InsufficientStorage", endpoint=proxy.endpoint)


def full_disk(bench):
    """A local target on a file system of 1 MB."""
    with bench.space() as space:
        os.mkdir(space.file("small"))
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", space.file("small")], capture_output=True)
        if mounted.returncode != 0:
            raise Skip("no right to mount a small file system")
        try:
            result = space.run({"name": "full", "steps": [
                {"type": "extract", "method": "fromPostgres", "config": {"table": "big"}},
                {"type": "load", "method": "toFile", "config": {"path": "small/out", "format": "json"}}]}).expect(6)
            check("no space left" in result.err.lower(), result)
            equal(table.files(space.file("small")), [], "files")
        finally:
            subprocess.run(["umount", space.file("small")], check=True)


def certificates(bench):
    with s3.S3Server(tls=True) as store:
        store.make_bucket(BUCKET)
        secure = Bench(bench.server, store)
        with secure.space() as space:
            space.run(load("tls", {"table": "t", "where": "id <= 10"})).expect(0)
        equal(len(secure.rows("tls", "SELECT id FROM data")), 10, "rows")
        with secure.space(caFile=None) as space:
            result = space.run(load("untrusted")).expect(6)
            check("certificate" in result.err.lower(), result)


# ---- errors of networks ----


def survived(bench, name, script, rows=FEW, **config):
    """The run succeeds in spite of the faults, which did happen; every row is there once."""
    prefix = f"survived/{name.replace(' ', '-')}"
    with s3_proxy.S3Proxy(bench.store.port, script) as proxy, bench.space(proxy.endpoint) as space:
        result = space.run(big(prefix, rows, multipartSize="5MB", multipartThreshold="5MB", **config))
        check(result.code == 0, f"{proxy.seen}\n{result}")
        check(proxy.faults() > 0, f"no fault was met: {proxy.seen}")
    big_rows(bench, prefix, rows)
    # An upload whose id never arrived cannot be ended by whoever asked for it. It has no parts; buckets have a rule for it.
    if "CreateMultipartUpload" not in name and name != "mixture":
        bench.nothing_left(prefix)


def every_kind(bench):
    """All faults that pass, mixed, at a tenth of all requests."""
    faults = [s3_proxy.slow_down(), s3_proxy.internal_error(), s3_proxy.drop_reply(), s3_proxy.reset_reply(3),
              s3_proxy.truncate_reply(3), s3_proxy.reset_upload(1000), s3_proxy.late(0.2)]
    survived(bench, "mixture", s3_proxy.every(4, *faults), 60000)


def never_better(bench):
    """What does not pass ends the run within the time that the configuration gives, with nothing at the target."""
    def script(request):
        return s3_proxy.internal_error() if request.operation in ("PutObject", "UploadPart") else None

    with s3_proxy.S3Proxy(bench.store.port, script) as proxy, bench.space(proxy.endpoint) as space:
        pipeline = {**big("never"), "retry": {"maxAttempts": 4, "delay": "50ms", "maxDelay": "200ms"}}
        result = space.run(pipeline, timeout=300).expect(6)
        check("InternalError" in result.err or "500" in result.err, result)
    equal(bench.keys("never/"), [], "objects")
    with bench.space() as space:
        space.run(big("never")).expect(0)
    big_rows(bench, "never")
    bench.nothing_left("never")


def network_cases(suite, bench):
    first, fault = s3_proxy.first, s3_proxy
    for operation in ("UploadPart", "CreateMultipartUpload", "CompleteMultipartUpload"):
        for name, made in (
            ("SlowDown", fault.slow_down()), ("500", fault.internal_error()), ("reset", fault.reset_reply(0)),
            ("dropped reply", fault.drop_reply()), ("skewed clock", fault.skewed()),
        ):
            suite.case(f"{name} at {operation}", survived, bench, f"{name} {operation}", first(2 if name != "skewed clock" else 1, made, operation))
    suite.case("body reset at UploadPart", survived, bench, "upload reset", first(2, fault.reset_upload(100000), "UploadPart"))
    for passed in (False, True):
        done = "done" if passed else "not done"
        suite.case(f"error in 200 at CompleteMultipartUpload, {done}", survived, bench, f"error inside {done}",
                   first(2, fault.error_inside(passed=passed), "CompleteMultipartUpload"))
    suite.case("a mixture of faults", every_kind, bench)
    suite.case("faults that do not pass", never_better, bench)


def main():
    suite = Suite("s3")
    with Server() as server, s3.S3Server() as store:
        make_rows(server)
        store.make_bucket(BUCKET)
        bench = Bench(server, store)
        suite.case("contract of stores", contract, bench)
        suite.case("contract of stores, with faults", contract_with_faults, bench)
        for form, compression, suffix in (
            ("parquet", "snappy", ".snappy.parquet"), ("parquet", "zstd", ".zstd.parquet"), ("json", "none", ".json"),
            ("json", "gzip", ".json.gz"), ("csv", "none", ".csv"), ("csv", "zstd", ".csv.zst"),
        ):
            suite.case(f"{form}, {compression}", formats, bench, form, compression, suffix)
        suite.case("odd partitions", odd_partitions, bench)
        suite.case("modes", modes, bench)
        suite.case("manifest", manifest, bench)
        suite.case("more files than a page", many_files, bench)
        suite.case("multipart", multipart, bench)
        suite.case("ways to say where", ways_to_say_it, bench)
        suite.case("wrong secret", lambda: refused(bench, 4, "SignatureDoesNotMatch", keys={"secretKey": "wrong"}))
        suite.case("unknown key", lambda: refused(bench, 4, "InvalidAccessKeyId", keys={"accessKey": "nobody"}))
        suite.case("key that may only read", lambda: refused(
            bench, 4, "AccessDenied", keys={"accessKey": s3.READ_ACCESS, "secretKey": s3.READ_SECRET}))
        suite.case("no such bucket", lambda: refused(bench, 3, "NoSuchBucket", "nowhere", bucket="nowhere"))
        suite.case("nobody listens", lambda: refused(bench, 6, "127.0.0.1:1", endpoint="http://127.0.0.1:1"))
        suite.case("full server", full_server, bench)
        suite.case("full disk", full_disk, bench)
        suite.case("certificates", certificates, bench)
        network_cases(suite, bench)
    suite.end()


main()

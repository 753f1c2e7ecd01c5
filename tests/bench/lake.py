#!/usr/bin/env python3
"""Files and tables: Millrace beside DuckDB, delta-rs and fastavro doing the same.

  lake.py [--scale 1] [--runs 5] [--threads 1] [JOB..]

lineitem, 6 M rows x 16 columns at scale 1, made from hashes of the row number, the same every time. Each round runs
both contenders in turns; figures are medians over the rounds, and the ratio is the median of the rounds' ratios.
Millrace is a process of its own each time, started and ended in its time, with fsync; the peers run inside of this
one without either. What was written is read back by DuckDB and compared in the same run.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from decimal import Decimal

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]

from compute_data import make_data, step


class Place:
    """A folder with the data in every format, and the engine."""

    def __init__(self, options):
        import duckdb

        self.options = options
        self.root = tempfile.mkdtemp(prefix="millrace-lake-")
        self.peak = 0
        self.duckdb = make_data(duckdb, options.scale)
        self.duckdb.execute(f"SET threads = {options.threads}")
        self.duckdb.execute("SET TimeZone = 'UTC'")
        self.rows = self.duckdb.execute("SELECT count(*) FROM lineitem").fetchone()[0]
        self.types = {n: t for n, t, *_ in self.duckdb.execute("DESCRIBE lineitem").fetchall()}
        self.wanted = self.fingerprint("lineitem")

    def path(self, *names):
        return os.path.join(self.root, *names)

    def schema(self):
        return ", ".join(f"{n} {t.replace('VARCHAR', 'STRING').replace('INTEGER', 'INT')}" for n, t in self.types.items())

    def fingerprint(self, source):
        columns = ", ".join(f'sum((hash("{n}"::{t}) // 1048576)::HUGEINT)' for n, t in self.types.items())
        return self.duckdb.execute(f"SELECT count(*), {columns} FROM {source}").fetchone()

    def make(self, name, sql):
        """A file of the data, once."""
        target = self.path(name)
        if not os.path.exists(target):
            self.duckdb.execute(sql.format(target))
        return target

    def parquet(self):
        return self.make("lineitem.parquet", "COPY lineitem TO '{}' (FORMAT parquet, COMPRESSION snappy)")

    def csv(self):
        return self.make("lineitem.csv", "COPY lineitem TO '{}' (FORMAT csv, HEADER)")

    def json(self):
        return self.make("lineitem.json", "COPY lineitem TO '{}' (FORMAT json)")

    def fresh(self, name):
        shutil.rmtree(self.path(name), ignore_errors=True)
        return self.path(name)

    def run(self, *steps):
        """The report of one run of these steps."""
        file = self.path("pipeline.json")
        with open(file, "w") as out:
            json.dump({"name": "lake", "steps": steps,
                       "resources": {"parallelism": self.options.threads, "memory": self.options.memory}}, out)
        shutil.rmtree(self.path(".millrace"), ignore_errors=True)
        command = [os.environ["MILLRACE_BIN"], "run", file, "--progress", "none", "--quiet", "--report", self.path("report.json")]
        with open(self.path("log"), "w") as log:
            code = subprocess.run(command, stdout=log, stderr=log, cwd=self.root).returncode
        if code:
            with open(self.path("log")) as log:
                raise RuntimeError(log.read()[-500:])
        with open(self.path("report.json")) as file:
            report = json.load(file)
        self.peak = max(self.peak, report["resources"]["process_peak_bytes"] >> 20)
        return report

    def files(self, name, ending):
        found = [os.path.join(d, f) for d, _, fs in os.walk(self.path(name)) for f in fs if f.endswith(ending) and "_delta_log" not in d]
        return sorted(found)


def extract(method, **config):
    return {"type": "extract", "method": method, "config": config}


def load(method, **config):
    return {"type": "load", "method": method, "config": config}


def total(files):
    return sum(os.path.getsize(f) for f in files)


def write_parquet(codec):
    def job(place):
        source = extract("fromFile", path=place.parquet(), format="parquet")

        def ours():
            place.run(source, load("toFile", path=place.fresh("out"), format="parquet", compression=codec))

        def theirs():
            place.duckdb.execute(f"COPY (SELECT * FROM '{place.parquet()}') TO '{place.path('theirs.parquet')}' (FORMAT parquet, COMPRESSION {codec})")

        def check():
            files = place.files("out", ".parquet")
            same = place.fingerprint(f"read_parquet({files!r})") == place.wanted
            return same, f"size {total(files) / os.path.getsize(place.path('theirs.parquet')):.2f} of theirs"

        return place.rows, ours, theirs, check

    return job


def scan_parquet(codec):
    def job(place):
        file = place.make(f"scan.{codec}.parquet", "COPY lineitem TO '{}' (FORMAT parquet, COMPRESSION " + codec + ")")
        # A condition that no statistics answer.
        functions, always = {f"m_{n}": f"max({n})" for n in place.types}, "l_partkey * 31 % 977 <> 500"
        sql = f"SELECT {', '.join(f'{f} AS {n}' for n, f in functions.items())} FROM '{file}' WHERE {always}"

        def ours():
            place.run(extract("fromFile", path=file, format="parquet"), step("filterRows", condition=always),
                      step("aggregateData", aggregations=functions),
                      load("toFile", path=place.fresh("out"), format="json"))

        def theirs():
            place.duckdb.execute(sql).fetchall()

        def check():
            with open(place.files("out", ".json")[0]) as out:
                got = json.load(out)
            wanted = dict(zip(functions, place.duckdb.execute(sql).fetchone()))
            return all(got[n] == (float(w) if isinstance(w, Decimal) else w if isinstance(w, int) else str(w)) for n, w in wanted.items()), ""

        return place.rows, ours, theirs, check

    return job


def text_to_parquet(format, reader):
    def job(place):
        file = getattr(place, format)()
        columns = "{" + ", ".join(f"'{n}': '{t}'" for n, t in place.types.items()) + "}"

        def ours():
            place.run(extract("fromFile", path=file, format=format, schema=place.schema()), load("toFile", path=place.fresh("out"), format="parquet"))

        def theirs():
            place.duckdb.execute(f"COPY (SELECT * FROM {reader}('{file}', columns={columns})) TO '{place.path('theirs.parquet')}' (FORMAT parquet)")

        def check():
            same = place.fingerprint(f"read_parquet({place.files('out', '.parquet')!r})") == place.wanted
            return same, f"{os.path.getsize(file) >> 20} MB of text"

        return place.rows, ours, theirs, check

    return job


def delta_append(place):
    import pyarrow.parquet
    from deltalake import write_deltalake

    source = extract("fromFile", path=place.parquet(), format="parquet")

    def ours():
        place.run(source, load("toDelta", path=place.fresh("table"), mode="append"))

    def theirs():
        write_deltalake(place.fresh("theirs"), pyarrow.parquet.read_table(place.parquet()), mode="append")

    def check():
        return place.fingerprint(f"read_parquet({place.files('table', '.parquet')!r})") == place.wanted, ""

    return place.rows, ours, theirs, check


def few_rows(place):
    return min(place.rows, 300_000)


def avro(place):
    """Both ways: 300,000 rows, because fastavro needs a second for each way of these."""
    return place.make("few.parquet", f"COPY (SELECT * FROM lineitem LIMIT {few_rows(place)}) TO '{{}}' (FORMAT parquet)")


def avro_write(place):
    import fastavro
    import pyarrow.parquet

    source = avro(place)

    def ours():
        place.run(extract("fromFile", path=source, format="parquet"), load("toAvro", path=place.fresh("avro"), compression="none"))

    ours()
    with open(place.files("avro", ".avro")[0], "rb") as file:
        schema = fastavro.reader(file).writer_schema
    records = pyarrow.parquet.read_table(source).to_pylist()

    def theirs():
        with open(place.path("theirs.avro"), "wb") as out:
            fastavro.writer(out, schema, records)

    def check():
        with open(place.files("avro", ".avro")[0], "rb") as file:
            return list(fastavro.reader(file)) == records[:], ""

    return few_rows(place), ours, theirs, check


def avro_read(place):
    import fastavro

    place.run(extract("fromFile", path=avro(place), format="parquet"), load("toAvro", path=place.fresh("in"), compression="none"))
    file = place.files("in", ".avro")[0]

    def ours():
        place.run(extract("fromAvro", path=file), load("toFile", path=place.fresh("out"), format="parquet"))

    def theirs():
        with open(file, "rb") as rows:
            for _ in fastavro.reader(rows):
                pass

    def check():
        few = f"(SELECT * FROM '{avro(place)}')"
        return place.fingerprint(f"read_parquet({place.files('out', '.parquet')!r})") == place.fingerprint(few), ""

    return few_rows(place), ours, theirs, check


JOBS = {
    "Parquet to Parquet, snappy": write_parquet("snappy"),
    "Parquet to Parquet, zstd": write_parquet("zstd"),
    "scan Parquet, snappy": scan_parquet("snappy"),
    "scan Parquet, zstd": scan_parquet("zstd"),
    "CSV to Parquet": text_to_parquet("csv", "read_csv"),
    "JSON to Parquet": text_to_parquet("json", "read_json"),
    "Delta append": delta_append,
    "Avro write": avro_write,
    "Avro read": avro_read,
}


def measure(place, name, job):
    rows, ours, theirs, check = job(place)
    mine, other = [], []
    place.peak = 0
    for _ in range(place.options.runs):
        for times, run in ((mine, ours), (other, theirs)):
            began = time.perf_counter()
            run()
            times.append(time.perf_counter() - began)
    same, note = check()
    ratio = statistics.median(b / a for a, b in zip(mine, other))
    print(f"| {name} | {rows / statistics.median(mine) / 1e6:.2f} | {rows / statistics.median(other) / 1e6:.2f} | {ratio:.2f} | "
          f"{place.peak} MB | {note + ', ' if note else ''}{'same' if same else 'DIFFERS'} |", flush=True)
    return same


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("jobs", nargs="*")
    options = parser.parse_args()
    place = Place(options)
    failed = 0
    print(f"\n{place.rows:,} rows, {options.threads} thread{'s' if options.threads > 1 else ''}, medians of {options.runs}\n")
    print("| job | Millrace M rows/s | peer | times as fast | peak memory | result |\n|---|---|---|---|---|---|")
    try:
        for name, job in JOBS.items():
            if options.jobs and not any(wanted in name for wanted in options.jobs):
                continue
            try:
                failed += not measure(place, name, job)
            except Exception as error:
                print(f"| {name} | failed: {str(error).strip()[:300]} |||||", flush=True)
                failed += 1
    finally:
        shutil.rmtree(place.root, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

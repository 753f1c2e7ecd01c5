#!/usr/bin/env python3
"""CSV and JSON lines to Parquet against DuckDB, each on one thread, in turns: CPU seconds, and MB/s of plain text.

$PARQUET_ENCODE makes the rows (like lineitem), DuckDB writes them as text, $TEXT_READ is tests/interop/text_read.
Prints one JSON object a line. The gzip file is one member, as gzip(1) writes it.
"""

import json
import os
import statistics
import subprocess
import tempfile
import time

import duckdb

ENCODE = os.environ.get("PARQUET_ENCODE", "tests/bench/parquet_encode")
READ = os.environ.get("TEXT_READ", "tests/interop/text_read")
ROWS = 1_000_000
TURNS = 5


def main():
    with tempfile.TemporaryDirectory() as folder:
        rows = os.path.join(folder, "lineitem.parquet")
        subprocess.run([ENCODE, str(ROWS), "snappy", rows], check=True, capture_output=True)
        connection = duckdb.connect(config={"threads": 1})
        columns = {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE FROM read_parquet('{rows}')").fetchall()}
        schema = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        connection.execute(f"COPY (FROM read_parquet('{rows}')) TO '{folder}/t.csv' (HEADER)")
        connection.execute(f"COPY (FROM read_parquet('{rows}')) TO '{folder}/t.json'")
        subprocess.run(["gzip", "-k", f"{folder}/t.json"], check=True)
        for kind, name in (("csv", "t.csv"), ("json", "t.json"), ("json", "t.json.gz")):
            file, out = os.path.join(folder, name), os.path.join(folder, "out.parquet")
            plain = os.path.getsize(file.removesuffix(".gz"))
            theirs_from = f"read_csv('{file}', columns={columns})" if kind == "csv" else \
                f"read_json('{file}', format='newline_delimited', columns={columns})"
            mine, theirs, peak = [], [], 0
            for _ in range(TURNS):
                done = subprocess.run([READ, "--time", "--schema", schema, "--parquet", out, kind, file], check=True, capture_output=True)
                result = json.loads(done.stdout)
                mine.append(result["cpu"])
                peak = max(peak, result["peak"])
                began = time.process_time()
                connection.execute(f"COPY (FROM {theirs_from}) TO '{folder}/duckdb.parquet' (FORMAT parquet, COMPRESSION snappy)")
                theirs.append(time.process_time() - began)
            ours = statistics.median(mine)
            print(json.dumps({
                "file": name, "millrace": round(ours, 3), "duckdb": round(statistics.median(theirs), 3),
                "ratio": round(statistics.median(theirs) / ours, 2), "mb_per_second": round(plain / ours / 1e6), "peak_memory": peak,
            }), flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The Parquet encoder against DuckDB's COPY of the same rows, each on one thread, in turns: CPU microseconds a row.

$PARQUET_ENCODE is the program tests/bench/parquet_encode. Prints one JSON object a line and the ratio of the medians.
"""

import json
import os
import statistics
import subprocess
import tempfile
import time

import duckdb

PROGRAM = os.environ.get("PARQUET_ENCODE", "tests/bench/parquet_encode")
ROWS = 2_000_000
TURNS = 5


def ours(codec, *path):
    done = subprocess.run([PROGRAM, str(ROWS), codec, *path], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main():
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "lineitem.parquet")
        rows = ours("snappy", file)["rows"]
        connection = duckdb.connect(config={"threads": 1})
        connection.execute("CREATE TABLE lineitem AS SELECT * FROM read_parquet(?)", [file])
        for codec in ("snappy", "zstd", "none"):
            mine, theirs = [], []
            name = {"none": "uncompressed"}.get(codec, codec)
            for _ in range(TURNS):
                mine.append(ours(codec)["micros_per_row"])
                began = time.process_time()
                connection.execute(f"COPY lineitem TO '{folder}/duckdb.parquet' (FORMAT parquet, COMPRESSION {name})")
                theirs.append((time.process_time() - began) * 1e6 / rows)
            print(json.dumps({
                "codec": codec, "millrace": round(statistics.median(mine), 4), "duckdb": round(statistics.median(theirs), 4),
                "ratio": round(statistics.median(theirs) / statistics.median(mine), 2),
                "bytes": ours(codec)["bytes"], "duckdb_bytes": os.path.getsize(f"{folder}/duckdb.parquet"),
            }))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The Parquet reader against DuckDB's on the same files, each on one thread, in turns: CPU microseconds a row, all columns.

Files: rows like lineitem written by parquet_encode and by DuckDB, per codec. $PARQUET_ENCODE and $PARQUET_DECODE are the
programs. DuckDB takes the last value of every column, which statistics do not answer and which costs little beside decoding.
Prints one JSON object a line; `ratio` over 1: we are faster.
"""

import json
import os
import statistics
import subprocess
import tempfile
import time

import duckdb

ENCODE = os.environ.get("PARQUET_ENCODE", "tests/bench/parquet_encode")
DECODE = os.environ.get("PARQUET_DECODE", "tests/bench/parquet_decode")
ROWS = int(os.environ.get("ROWS", "6000000"))
TURNS = 5


def run(*command):
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main():
    with tempfile.TemporaryDirectory() as folder:
        connection = duckdb.connect(config={"threads": 1})
        ours = os.path.join(folder, "ours.parquet")
        theirs = os.path.join(folder, "theirs.parquet")
        for codec in ("snappy", "zstd", "none"):
            rows = run(ENCODE, str(ROWS), codec, ours)["rows"]
            name = {"none": "uncompressed"}.get(codec, codec)
            connection.execute(f"COPY (FROM read_parquet('{ours}')) TO '{theirs}' (FORMAT parquet, COMPRESSION {name})")
            columns = [r[0] for r in connection.execute(f"DESCRIBE FROM read_parquet('{ours}')").fetchall()]
            query = ", ".join(f"last({c})" for c in columns)
            for writer, path in (("millrace", ours), ("duckdb", theirs)):
                mine, other = [], []
                for _ in range(TURNS):
                    mine.append(run(DECODE, path, "1")["micros_per_row"])
                    began = time.process_time()
                    connection.execute(f"SELECT {query} FROM read_parquet('{path}')").fetchall()
                    other.append((time.process_time() - began) * 1e6 / rows)
                print(json.dumps({
                    "codec": codec, "written_by": writer, "bytes": os.path.getsize(path),
                    "millrace": round(statistics.median(mine), 4), "duckdb": round(statistics.median(other), 4),
                    "ratio": round(statistics.median(other) / statistics.median(mine), 2),
                }), flush=True)


if __name__ == "__main__":
    main()

"""csv-spectrum: our rows, all strings, against the JSON that lies beside each file."""

import json
import os
import subprocess
import tempfile

from suite import Skip, equal

READ = os.environ.get("TEXT_READ", "tests/interop/text_read")


def rows(path, *more):
    command = [READ, "--option", "inferSchema=false", *more, "csv", path]
    done = subprocess.run(command, capture_output=True, timeout=20)
    return done, [json.loads(line) for line in done.stdout.decode().split("\n")[1:-1]]


def compare(path, expectation, folder):
    with open(expectation, encoding="utf-8") as file:
        want = json.load(file)
    if "_crlf" in path:  # version control took the returns out of some copies of the suite
        with open(path, "rb") as file:
            text = file.read().replace(b"\r", b"").replace(b"\n", b"\r\n")
        path = os.path.join(folder, "crlf.csv")
        with open(path, "wb") as file:
            file.write(text)
    done, got = rows(path)
    equal((done.returncode, done.stderr), (0, b""), "text_read")
    if "location" in path:  # the expectation is of another telephone number
        got, want = [{**row, "Contact Phone Number": ""} for row in got], [{**want, "Contact Phone Number": ""}]
    equal(got, want, "rows")


def missing():
    raise Skip(f"no program {READ}")


def run(suite, directory):
    if not os.path.exists(READ):
        suite.case("csv", missing)
        return
    folder = tempfile.TemporaryDirectory()
    for name in sorted(os.listdir(os.path.join(directory, "csvs"))):
        path = os.path.join(directory, "csvs", name)
        suite.case(f"csv/{name}", compare, path, os.path.join(directory, "json", name[:-4] + ".json"), folder.name)

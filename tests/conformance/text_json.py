"""JSONTestSuite: y_ files are JSON, n_ files are not, i_ files may be either and must only not crash; and what becomes of odd values.

Each file is read as one value by tests/interop/text_read. The rules where RFC 8259 leaves a choice are those of src/enc/json_decode.h.
"""

import json
import os
import subprocess
import tempfile

from suite import Skip, check, equal

READ = os.environ.get("TEXT_READ", "tests/interop/text_read")
# Values of test_transform as they must come out, byte for byte; None: refused.
TRANSFORM = {
    "string_1_escaped_invalid_codepoint": None,
    "string_1_invalid_codepoint": None,
    "string_2_escaped_invalid_codepoints": None,
    "string_2_invalid_codepoints": None,
    "string_3_escaped_invalid_codepoints": None,
    "string_3_invalid_codepoints": None,
}
# Through typed columns: the schema, the record and the row that comes out. None: a bad row.
TYPED = [
    ("a bigint", '{"a":9223372036854775807}', {"a": "9223372036854775807"}),
    ("a bigint", '{"a":-9223372036854775808}', {"a": "-9223372036854775808"}),
    ("a bigint", '{"a":9223372036854775808}', None),
    ("a decimal(38,18)", '{"a":1.000000000000000005}', {"a": "1.000000000000000005"}),
    ("a decimal(38,0)", '{"a":10000000000000000999}', {"a": "10000000000000000999"}),
    ("a decimal(38,0)", '{"a":1E6}', {"a": "1000000"}),
    ("a double", '{"a":1E-999}', {"a": "0"}),
    ("a int", '{"a":1,"a":2}', {"a": "2"}),
    ("a string", '{"a":"A\\u0000B"}', {"a": "A\0B"}),
    ("`\u00e9` string, `e\u0301` string", '{"\u00e9":"NFC","e\u0301":"NFD"}', {"\u00e9": "NFC", "e\u0301": "NFD"}),
]


def value(path):
    done = subprocess.run([READ, "--value", path], capture_output=True, timeout=20)
    check(done.returncode in (0, 2), f"exit {done.returncode}: {done.stderr[-300:]!r}")
    return done.stdout if done.returncode == 0 else None


def parsing(path):
    kind, got = os.path.basename(path)[0], value(path)
    if kind == "y":
        check(got is not None, "refused")
        with open(path, encoding="utf-8") as file:
            equal(json.loads(got), json.load(file), "value")
    elif kind == "n":
        check(got is None, f"taken as {(got or b'')[:100]!r}")


def transform(path):
    name = os.path.basename(path)[:-5]
    with open(path, "rb") as file:
        text = file.read()
    got = value(path)
    if name in TRANSFORM:
        equal(got, TRANSFORM[name], "value")
    else:
        equal(got, text.replace(b'"a":0, ', b'"a":0,').strip(), "the document, every digit kept")


def typed(schema, record, want, directory):
    path = os.path.join(directory, "record.json")
    with open(path, "w", encoding="utf-8") as file:
        file.write(record)
    done = subprocess.run([READ, "--schema", schema, "--on-error", "drop", "json", path], capture_output=True, check=True)
    lines = done.stdout.decode().split("\n")[1:-1]
    rows = [json.loads(line, parse_int=str, parse_float=str) for line in lines]
    equal(rows, [] if want is None else [want], record)


def run(suite, directory):
    if not os.path.exists(READ):
        suite.case("json", lambda: (_ for _ in ()).throw(Skip(f"no program {READ}")))
        return
    folder = tempfile.TemporaryDirectory()
    for part, test in (("test_parsing", parsing), ("test_transform", transform)):
        for name in sorted(os.listdir(os.path.join(directory, part))):
            if name.endswith(".json"):
                suite.case(f"json/{part}/{name}", test, os.path.join(directory, part, name))
    for schema, record, want in TYPED:
        suite.case(f"json/typed {schema}: {record}", typed, schema, record, want, folder.name)

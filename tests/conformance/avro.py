"""Files and schemas of the Apache Avro project: container files of every codec, canonical forms, unions, one message.

Rows go through the engine: fromAvro to JSON lines, and the file of interop.avsc both ways. Canonical forms, fingerprints and the message
by tests/interop/avro_schema, which prints what the schema code says.
"""

import glob
import io
import json
import os
import re
import subprocess

import fastavro
from engine import Workspace, program
from suite import check, equal


def tool(*words, data=""):
    path = os.path.join(os.path.dirname(program()), "tests", "interop", "avro_schema")
    done = subprocess.run([path, *words], input=data.encode(), capture_output=True)
    equal((done.returncode, done.stderr.decode()), (0, ""), "avro_schema")
    return done.stdout.decode().split("\n")


def rows_of(path, **config):
    with Workspace() as work:
        work.write("p.json", {"name": "x", "steps": [
            {"type": "extract", "method": "fromAvro", "config": {"path": path, **config}},
            {"type": "load", "method": "toFile", "config": {"path": "out/", "format": "json"}}]})
        work.millrace("run", "p.json").expect(0)
        return [json.loads(line) for file in sorted(glob.glob(work.file("out", "*"))) for line in open(file, encoding="utf-8")]


def weather(directory, name):
    wanted = [json.loads(line) for line in open(os.path.join(directory, "weather.json"))]
    equal(rows_of(os.path.join(directory, name)), wanted, name)


def weather_sorted(directory):
    got = rows_of(os.path.join(directory, "weather-sorted.avro"))
    key = json.dumps
    wanted = [json.loads(line) for line in open(os.path.join(directory, "weather.json"))]
    equal(sorted(got, key=key), sorted(wanted, key=key), "rows")


def weather_schema(directory):
    with open(os.path.join(directory, "schemas", "weather.avsc")) as file:
        text = file.read()
    got = rows_of(os.path.join(directory, "weather-deflate.avro"), avroSchema=text)
    equal(got, [json.loads(line) for line in open(os.path.join(directory, "weather.json"))], "rows")


def same_as_fastavro(path):
    got = rows_of(path)
    with open(path, "rb") as file:
        wanted = [json.loads(json.dumps(row, default=str)) for row in fastavro.reader(file)]
    equal(got, wanted, path)


def sync_in_metadata(path):
    """The marker stands in the metadata too (fastavro cannot read the file: that value is no text)."""
    got = rows_of(path)
    equal([row["ID"] for row in got], list(range(1, 6002)), "numbers")
    equal((got[0]["First"], got[1]["Phone"], got[0]["Age"]), ("Dante", "(555) 123-5678", 32), "values")


def union_file(path):
    got = rows_of(path)
    with open(path, "rb") as file:
        wanted = list(fastavro.reader(file))
    equal(len(got), len(wanted), "rows")
    for row, want in zip(got, wanted):
        members = row["data1"]
        equal(members["member0"] if isinstance(want["data1"], str) else members["member1"], want["data1"], "data1")
        check((row["data2"] is None) == (want["data2"] is None), f"data2: {row}")
        if want["data2"] is not None and want["data2"]["d1"] is not None:
            value = want["data2"]["d1"]
            kind = {str: "member0", int: "member1", bool: "member2"}[type(value)]
            equal(row["data2"]["d1"][kind], value, "d1")


def old_container(path):
    with Workspace() as work:
        work.write("p.json", {"name": "x", "steps": [
            {"type": "extract", "method": "fromFile", "config": {"path": path, "format": "avro"}},
            {"type": "load", "method": "toFile", "config": {"path": "out/", "format": "json"}}]})
        done = work.millrace("run", "p.json")
        check(done.code == 5 and "1.2" in done.err, f"the container of Avro 1.2 is refused by name\n{done}")


def canonical(number, schema, form, fingerprint):
    got = tool("canonical", data=schema)
    equal(got[0], form, f"canonical form {number}")
    if fingerprint is not None:
        equal(int(got[1]), fingerprint, f"fingerprint {number}")


def schema_tests(path):
    text = re.sub(r"^(//|#).*$", "", open(path).read(), flags=re.M)
    pattern = r"<<INPUT(?: ([^\n]*)|\n(.*?)\nINPUT)\n<<canonical ([^\n]*)\n(?:<<fingerprint (-?\d+))?"
    for one, many, form, fingerprint in re.findall(pattern, text, flags=re.S):
        yield one or many, form, int(fingerprint) if fingerprint else None


def interop(directory):
    """interop.avsc: recursive, so the recursion is left out, and everything else goes both ways."""
    with open(os.path.join(directory, "schemas", "interop.avsc")) as file:
        schema = json.load(file)
    row = {"intField": 1, "longField": 2, "stringField": "s", "boolField": True, "floatField": 0.5, "doubleField": 0.1,
           "bytesField": b"\x00", "nullField": None, "arrayField": [1.5], "mapField": {"k": {"label": "l"}}, "unionField": 2.5,
           "enumField": "C", "fixedField": bytes(16), "recordField": {"label": "a", "children": [{"label": "b", "children": []}]}}
    node = next(f for f in schema["fields"] if f["name"] == "recordField")
    reader = json.loads(json.dumps(schema))
    next(f for f in reader["fields"] if f["name"] == "recordField")["type"] = {
        "type": "record", "name": "Node", "fields": [node["type"]["fields"][0]]}
    # Columns of only null are strings to the engine, so the field is left out.
    reader["fields"] = [f for f in reader["fields"] if f["name"] != "nullField"]
    with Workspace() as work:
        with open(work.file("in.avro"), "wb") as out:
            fastavro.writer(out, schema, [row, row])
        work.write("p.json", {"name": "x", "steps": [
            {"type": "extract", "method": "fromAvro", "config": {"path": "in.avro", "avroSchema": reader}},
            {"type": "load", "method": "toAvro", "config": {"path": "out/", "avroSchema": reader}}]})
        work.millrace("run", "p.json").expect(0)
        with open(glob.glob(work.file("out", "*.avro"))[0], "rb") as file:
            got = list(fastavro.reader(file))
    wanted = {**row, "recordField": {"label": "a"}}
    del wanted["nullField"]
    equal(got, [wanted, wanted], "rows")


def message(directory):
    """One message: C3 01, the schema's fingerprint, the datum."""
    folder = os.path.join(directory, "messageV1")
    schema = open(os.path.join(folder, "test_schema.avsc")).read()
    data = open(os.path.join(folder, "test_message.bin"), "rb").read()
    fingerprint = int(tool("canonical", data=schema)[1]) % 2**64
    equal(data[:10], b"\xc3\x01" + fingerprint.to_bytes(8, "little"), "header")
    got = tool("decode", data[10:].hex(), data=schema)
    equal(json.loads(got[0]), fastavro.schemaless_reader(io.BytesIO(data[10:]), json.loads(schema)), "datum")


def run(suite, directory):
    at = lambda *parts: os.path.join(directory, *parts)
    for name in ("weather.avro", "weather-deflate.avro", "weather-snappy.avro", "weather-zstd.avro"):
        suite.case(name, weather, directory, name)
    suite.case("weather-sorted.avro", weather_sorted, directory)
    suite.case("weather.avsc as the reader's schema", weather_schema, directory)
    suite.case("syncInMeta.avro", sync_in_metadata, at("syncInMeta.avro"))
    suite.case("schemas/simple", same_as_fastavro, at("schemas", "simple", "data.avro"))
    suite.case("schemas/withUnion", union_file, at("schemas", "withUnion", "data.avro"))
    suite.case("test.avro12 is refused", old_container, at("test.avro12"))
    suite.case("schemas/interop.avsc", interop, directory)
    suite.case("messageV1", message, directory)
    for number, (schema, form, fingerprint) in enumerate(schema_tests(at("schema-tests.txt"))):
        suite.case(f"schema-tests {number:03}", canonical, number, schema, form, fingerprint)

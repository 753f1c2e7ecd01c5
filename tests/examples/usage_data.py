#!/usr/bin/env python3
"""Input of config/examples/daily-usage.json, made: hourly Parquet of pods, labels and volumes, and the lookup tables.

`closed` is input whose summary is known without computing it: N nodes of 8 cores and 32 GiB, P pods on them, each with
a request of 0.5 core and 1 GiB, a limit of 1 and 2, a use of 0.3 and 0.5, and labels of its own. `random_rows` is input that
has every irregularity that the rules name. As a program: usage_data.py PLACE NODES PODS DAYS.
"""

import datetime
import json
import os
import random
import sys

import pyarrow
import pyarrow.parquet

SOURCE = "b0a1c2d3-0000-4000-8000-000000000001"
OTHER = "b0a1c2d3-0000-4000-8000-000000000002"
GIB = 2**30
PODS, NODES, NAMESPACES, STORAGE = (
    "openshift_pod_usage_line_items", "openshift_node_labels_line_items", "openshift_namespace_labels_line_items",
    "openshift_storage_usage_line_items")

TEXT, NUMBER = pyarrow.string(), pyarrow.float64()
USE = [f"pod_{w}_{r}" for r in ("cpu_core_seconds", "memory_byte_seconds") for w in ("usage", "request", "limit")]
CAPACITY = ["node_capacity_cpu_cores", "node_capacity_cpu_core_seconds", "node_capacity_memory_bytes", "node_capacity_memory_byte_seconds"]
VOLUME = [
    "persistentvolumeclaim_capacity_bytes", "persistentvolumeclaim_capacity_byte_seconds", "volume_request_storage_byte_seconds",
    "persistentvolumeclaim_usage_byte_seconds"]
COLUMNS = {
    PODS: [("interval_start", TEXT), *((c, TEXT) for c in ("pod", "namespace", "node", "resource_id")),
           *((c, NUMBER) for c in USE + CAPACITY), ("pod_labels", TEXT)],
    NODES: [("interval_start", TEXT), ("node", TEXT), ("node_labels", TEXT)],
    NAMESPACES: [("interval_start", TEXT), ("namespace", TEXT), ("namespace_labels", TEXT)],
    STORAGE: [("interval_start", TEXT), *((c, TEXT) for c in (
        "namespace", "pod", "node", "persistentvolumeclaim", "persistentvolume", "storageclass")),
        *((c, NUMBER) for c in VOLUME), ("persistentvolume_labels", TEXT), ("persistentvolumeclaim_labels", TEXT)],
}

LOOKUPS = """
CREATE TABLE enabled_tag_keys (key text PRIMARY KEY, enabled boolean NOT NULL);
CREATE TABLE cost_categories (namespace text NOT NULL, id int NOT NULL);
CREATE TABLE nodes (node text NOT NULL, resource_id text, role text NOT NULL);
"""


def hour(day, number):
    return f"{day} {number:02d}:00:00 +0000 UTC"


def write(place, kind, day, columns, source=SOURCE, name="0.parquet"):
    """Columns as lists; one without any value becomes DOUBLE, as pandas writes it."""
    folder = os.path.join(
        place, "data", "org1", "OCP", f"source={source}", f"year={day.year}", f"month={day.month:02d}", f"day={day.day:02d}", kind)
    os.makedirs(folder, exist_ok=True)
    arrays, fields = [], []
    for column, wanted in COLUMNS[kind]:
        values = columns[column]
        if isinstance(values, list):
            wanted = NUMBER if wanted == TEXT and not any(v is not None for v in values) else wanted
            values = pyarrow.array(values, wanted)
        arrays.append(values)
        fields.append(pyarrow.field(column, values.type))
    pyarrow.parquet.write_table(pyarrow.table(arrays, schema=pyarrow.schema(fields)), os.path.join(folder, name))


def closed(place, nodes, pods, first=datetime.date(2025, 10, 1), days=1, volumes=0, source=SOURCE):
    """24 * pods rows of pods a day; the first `volumes` pods have a claim of 100 GiB, half used."""
    number = range(pods)
    names = {
        "pod": [f"pod-{i}" for i in number], "namespace": [f"ns-{i % 10}" for i in number],
        "node": [f"node-{i % nodes}" for i in number], "resource_id": [f"i-{i % nodes:08d}" for i in number],
        "pod_labels": [f"label_app:app-{i}|label_tier:t{i % 3}|label_other:x" for i in number]}
    per = {
        USE[0]: 0.3 * 3600, USE[1]: 0.5 * 3600, USE[2]: 3600.0, USE[3]: GIB / 2 * 3600, USE[4]: GIB * 3600.0, USE[5]: 2 * GIB * 3600.0,
        CAPACITY[0]: 8.0, CAPACITY[1]: 8 * 3600.0, CAPACITY[2]: 32.0 * GIB, CAPACITY[3]: 32 * GIB * 3600.0}
    for d in range(days):
        day = first + datetime.timedelta(days=d)
        for part in range(0, 24, 6):
            hours = range(part, part + 6)
            rows = {"interval_start": pyarrow.array([hour(day, h) for h in hours for _ in number])}
            rows.update({c: pyarrow.array(v * 6) for c, v in names.items()})
            rows.update({c: pyarrow.array([v] * (6 * pods), NUMBER) for c, v in per.items()})
            write(place, PODS, day, rows, source, f"{part:02d}.parquet")
        hours = range(24)
        write(place, NODES, day, {
            "interval_start": [hour(day, h) for h in hours for _ in range(nodes)],
            "node": [f"node-{i}" for i in range(nodes)] * 24, "node_labels": ["label_rack:r1"] * (24 * nodes)}, source)
        write(place, NAMESPACES, day, {
            "interval_start": [hour(day, h) for h in hours for _ in range(10)],
            "namespace": [f"ns-{i}" for i in range(10)] * 24, "namespace_labels": [None] * 240}, source)
        if volumes:
            claims = range(volumes)
            write(place, STORAGE, day, {
                "interval_start": [hour(day, h) for h in hours for _ in claims],
                "namespace": [f"ns-{i % 10}" for i in claims] * 24, "pod": [f"pod-{i}" for i in claims] * 24,
                "node": [None] * (24 * volumes), "persistentvolumeclaim": [f"claim-{i}" for i in claims] * 24,
                "persistentvolume": [f"pv-{i}" for i in claims] * 24, "storageclass": ["gp2"] * (24 * volumes),
                VOLUME[0]: [100.0 * GIB] * (24 * volumes), VOLUME[1]: [100 * GIB * 3600.0] * (24 * volumes),
                VOLUME[2]: [100 * GIB * 3600.0] * (24 * volumes), VOLUME[3]: [50 * GIB * 3600.0] * (24 * volumes),
                "persistentvolume_labels": [None] * (24 * volumes), "persistentvolumeclaim_labels": [""] * (24 * volumes)}, source)
    return {
        "enabled_tag_keys": [("app", True), ("tier", True), ("other", False)],
        "cost_categories": [("ns-1%", 7), ("ns-_", 3)],
        "nodes": [(f"node-{i}", f"i-{i:08d}", "master" if i == 0 else "worker") for i in range(nodes)]}


def label_text(rng, keys):
    """One of the forms in which labels come."""
    shape = rng.random()
    chosen = rng.sample(keys, rng.randint(1, 4))
    if shape < 0.1:
        return None
    if shape < 0.2:
        return rng.choice(["", "nothing", "a|b", "|", "{}"])
    if shape < 0.45:
        return json.dumps({k: rng.choice(["a", "b", 'quo"te', "ü", "x:y", "x|y", ""]) for k in chosen}, ensure_ascii=rng.random() < 0.5)
    parts = [("label_" if rng.random() < 0.8 else "") + f"{k}:{rng.choice(['web', 'x:y:z', '', 'back' + chr(92) + 'slash', 'quo' + chr(34) + 'te', 'ü'])}" for k in chosen]
    if rng.random() < 0.2:
        parts.insert(rng.randrange(len(parts) + 1), rng.choice(["nocolon", ""]))
    if rng.random() < 0.2:
        parts.append(f"label_{chosen[0]}:again")
    return "|".join(parts)


def random_rows(place, seed, first=datetime.date(2025, 10, 30), days=2):
    rng = random.Random(seed)
    keys = ["app", "tier", "env", "vm_kubevirt_io_name", "off", "label_app", "x.io/name"]
    nodes = [f"node-{i}" for i in range(6)]
    spaces = ["web", "web-1", "data_x", "dataXx", "kube-system", "alone"]
    labels = [label_text(rng, keys) for _ in range(40)] + [None, ""]
    for d in range(days):
        day = first + datetime.timedelta(days=d)
        empty = d == 0  # on the first day no row has a resource_id, nor volumes labels: columns of DOUBLE
        for name in ("a.parquet", "b.parquet"):
            rows = {c: [] for c, _ in COLUMNS[PODS]}
            for pod in range(40):
                for h in sorted(rng.sample(range(24), 8)):
                    at = rng.choice(nodes + [nodes[pod % 6]] * 6 + ["", None])
                    cores = rng.choice([4.0, 8.0])
                    values = [rng.choice([0.0, rng.random() * 3600, None]) for _ in range(3)]
                    values += [rng.choice([0.0, float(rng.randrange(10**13)), None]) for _ in range(3)]
                    row = [hour(day, h), f"pod-{pod}", spaces[pod % 6], at, None if empty or rng.random() < 0.2 else f"i-{at}", *values,
                           cores, rng.choice([None, cores * 3600, cores * 1800]), rng.choice([None, 16.0 * GIB]),
                           float(rng.randrange(10**14)), rng.choice(labels) if rng.random() < 0.5 else labels[pod]]
                    for (c, _), value in zip(COLUMNS[PODS], row):
                        rows[c].append(value)
            write(place, PODS, day, rows, name=name)
        at = [(h, n) for n in nodes[:5] for h in sorted(rng.sample(range(24), 3))]
        write(place, NODES, day, {
            "interval_start": [hour(day, h) for h, _ in at], "node": [n for _, n in at], "node_labels": [rng.choice(labels) for _ in at]})
        at = [(h, n) for n in spaces[:5] for h in sorted(rng.sample(range(24), 3))]
        write(place, NAMESPACES, day, {
            "interval_start": [hour(day, h) for h, _ in at], "namespace": [n for _, n in at],
            "namespace_labels": [rng.choice(labels) for _ in at]})
        rows = {c: [] for c, _ in COLUMNS[STORAGE]}
        for pod in range(0, 44, 2):  # the last ones are pods that nobody reported
            for claim in range(rng.randint(1, 2)):
                for h in sorted(rng.sample(range(24), 5)):
                    size = 100.0 * GIB
                    row = [hour(day, h), spaces[pod % 6], f"pod-{pod}", None, f"claim-{pod}-{claim}",
                           rng.choice([None, ""]) if pod == 8 else f"pv-{pod % 10}", rng.choice(["gp2", None]) if pod == 4 else "gp2",
                           size, size * 3600, rng.choice([None, size * 3600]), rng.random() * size * 3600,
                           None if empty else rng.choice(labels[:6]), rng.choice(labels[:6])]
                    for (c, _), value in zip(COLUMNS[STORAGE], row):
                        rows[c].append(value)
        write(place, STORAGE, day, rows)
    return {
        "enabled_tag_keys": [("app", True), ("tier", True), ("label_app", True), ("env", True), ("x.io/name", True), ("off", False)],
        "cost_categories": [("web%", 1), ("web-_", 5), ("data\\_x", 2), ("data_x", 1), ("nobody", 9)],
        "nodes": [("node-0", "i-node-0", "master"), ("node-1", "i-node-1", "infra"), ("node-2", "i-node-2", "worker"),
                  ("node-2", "i-node-2", "infra"), ("node-3", "i-elsewhere", "worker"), ("node-4", "i-node-4", "edge"), ("node-5", "i-node-5", "worker")]}


def load(connection, lookups):
    """The lookup tables into a database that lacks them."""
    connection.execute(LOOKUPS)
    for table, rows in lookups.items():
        with connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(rows[0]))})", rows)


if __name__ == "__main__":
    closed(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), days=int(sys.argv[4]))

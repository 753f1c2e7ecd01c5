"""The summary of config/examples/daily-usage.json, computed a second time: by DuckDB, with labels parsed in Python.

Written from the rules in docs/guide/daily-usage.md, not from the pipeline: hourly rows are labelled and grouped as they
are, where the pipeline sums before it labels.
"""

import glob
import json
import os

import duckdb

from usage_data import COLUMNS as INPUT
from usage_data import NAMESPACES, NODES, PODS, STORAGE, TEXT

COLUMNS = [
    "usage_start", "source_uuid", "data_source", "namespace", "node", "resource_id", "labels", "persistentvolumeclaim", "persistentvolume",
    "storageclass", "pod_usage_cpu_core_hours", "pod_request_cpu_core_hours", "pod_effective_usage_cpu_core_hours",
    "pod_limit_cpu_core_hours", "pod_usage_memory_gigabyte_hours", "pod_request_memory_gigabyte_hours",
    "pod_effective_usage_memory_gigabyte_hours", "pod_limit_memory_gigabyte_hours", "node_capacity_cpu_cores",
    "node_capacity_cpu_core_hours", "node_capacity_memory_gigabytes", "node_capacity_memory_gigabyte_hours",
    "cluster_capacity_cpu_core_hours", "cluster_capacity_memory_gigabyte_hours", "persistentvolumeclaim_capacity_gigabyte",
    "persistentvolumeclaim_capacity_gigabyte_months", "volume_request_storage_gigabyte_months",
    "persistentvolumeclaim_usage_gigabyte_months", "cost_category_id"]

# The table that the pipeline loads, as docs/guide/daily-usage.md has it: one partition a month.
TABLE = """
CREATE TABLE daily_usage (
    usage_start date NOT NULL, source_uuid text NOT NULL, data_source text NOT NULL, namespace text, node text, resource_id text,
    labels text NOT NULL, persistentvolumeclaim text, persistentvolume text, storageclass text,
""" + "".join(f"    {c} double precision,\n" for c in COLUMNS[10:-1]) + """    cost_category_id int
) PARTITION BY RANGE (usage_start);
CREATE TABLE daily_usage_2025_10 PARTITION OF daily_usage FOR VALUES FROM ('2025-10-01') TO ('2025-11-01');
CREATE TABLE daily_usage_2025_11 PARTITION OF daily_usage FOR VALUES FROM ('2025-11-01') TO ('2025-12-01');
"""


def labels(text, keys):
    """{key: value} of labels as they come, only those keys."""
    try:
        found = json.loads(text or "")
        found = found if isinstance(found, dict) else {}
    except ValueError:
        found = {}
        for part in (text or "").split("|"):
            key, colon, value = part.partition(":")
            if colon:
                found[key.removeprefix("label_")] = value
    return {k: v for k, v in found.items() if k in keys}


# Four maps of labels as one, later wins, as JSON text with sorted keys.
MERGE = """
CREATE MACRO label_map(t) AS getvariable('label_maps')[t];
CREATE MACRO merged(a, b, c, d) AS to_json(map_from_entries(list_sort(map_entries(map_concat(label_map(a), label_map(b), label_map(c), label_map(d))))))::VARCHAR;
"""


QUERY = """
WITH p AS (SELECT interval_start[:10]::DATE AS day, * FROM pods WHERE interval_start[:10]::DATE BETWEEN $start AND $end),
s AS (SELECT interval_start[:10]::DATE AS day, * FROM storage WHERE interval_start[:10]::DATE BETWEEN $start AND $end),
n AS (SELECT interval_start[:10]::DATE AS day, node, arg_max(coalesce(node_labels, ''), (interval_start, coalesce(node_labels, ''))) AS l FROM node_lines GROUP BY ALL),
m AS (SELECT interval_start[:10]::DATE AS day, namespace, arg_max(coalesce(namespace_labels, ''), (interval_start, coalesce(namespace_labels, ''))) AS l
      FROM namespace_lines GROUP BY ALL),
nodecap AS (SELECT day, node, sum(c) AS c, sum(b) AS b FROM (
    SELECT day, interval_start, node, max(node_capacity_cpu_core_seconds) AS c, max(node_capacity_memory_byte_seconds) AS b FROM p GROUP BY ALL) GROUP BY ALL),
clustercap AS (SELECT day, sum(c) AS c, sum(b) AS b FROM nodecap GROUP BY ALL),
category AS (SELECT namespace, max(id) AS id FROM (SELECT DISTINCT namespace FROM p UNION SELECT DISTINCT namespace FROM s) w
    JOIN categories k ON w.namespace LIKE k.pattern ESCAPE '\\' GROUP BY ALL),
pod AS (
    SELECT p.day, p.namespace, p.node, merged(coalesce(n.l, ''), coalesce(m.l, ''), '', coalesce(pod_labels, '')) AS labels, max(resource_id) AS resource_id,
        sum(pod_usage_cpu_core_seconds) / 3600 AS a1, sum(pod_request_cpu_core_seconds) / 3600 AS a2,
        sum(greatest(pod_usage_cpu_core_seconds, pod_request_cpu_core_seconds)) / 3600 AS a3, sum(pod_limit_cpu_core_seconds) / 3600 AS a4,
        sum(pod_usage_memory_byte_seconds) / 3600 / 1024 ** 3 AS b1, sum(pod_request_memory_byte_seconds) / 3600 / 1024 ** 3 AS b2,
        sum(greatest(pod_usage_memory_byte_seconds, pod_request_memory_byte_seconds)) / 3600 / 1024 ** 3 AS b3,
        sum(pod_limit_memory_byte_seconds) / 3600 / 1024 ** 3 AS b4, max(node_capacity_cpu_cores) AS cores,
        max(node_capacity_memory_bytes) / 1024 ** 3 AS gib
    FROM p LEFT JOIN n ON n.day = p.day AND n.node = p.node LEFT JOIN m ON m.day = p.day AND m.namespace = p.namespace
    WHERE p.node IS NOT NULL AND p.node <> '' GROUP BY ALL),
podrow AS (
    SELECT pod.*, c.c / 3600 AS nc, c.b / 3600 / 1024 ** 3 AS nb, k.c / 3600 AS kc, k.b / 3600 / 1024 ** 3 AS kb
    FROM pod LEFT JOIN nodecap c ON c.day = pod.day AND c.node = pod.node LEFT JOIN clustercap k ON k.day = pod.day),
place AS (SELECT DISTINCT day, namespace, pod, node, resource_id FROM p WHERE node IS NOT NULL AND node <> ''),
shared AS (SELECT s.day, s.persistentvolume, count(DISTINCT place.node) AS nodes FROM s JOIN place USING (day, namespace, pod) GROUP BY ALL),
vol AS (
    SELECT s.day, s.namespace, s.persistentvolumeclaim, s.persistentvolume, s.storageclass, place.node, place.resource_id,
        merged(coalesce(n.l, ''), coalesce(m.l, ''), coalesce(persistentvolume_labels, ''), coalesce(persistentvolumeclaim_labels, '')) AS labels,
        max(persistentvolumeclaim_capacity_bytes) AS bytes, sum(persistentvolumeclaim_capacity_byte_seconds) AS c,
        sum(volume_request_storage_byte_seconds) / max(CASE WHEN coalesce(s.persistentvolume, '') = '' THEN 1 ELSE coalesce(h.nodes, 1) END) AS r,
        sum(persistentvolumeclaim_usage_byte_seconds) / max(CASE WHEN coalesce(s.persistentvolume, '') = '' THEN 1 ELSE coalesce(h.nodes, 1) END) AS u
    FROM s LEFT JOIN place ON place.day = s.day AND place.namespace = s.namespace AND place.pod = s.pod
    LEFT JOIN n ON n.day = s.day AND n.node = place.node LEFT JOIN m ON m.day = s.day AND m.namespace = s.namespace
    LEFT JOIN shared h ON h.day = s.day AND h.persistentvolume = s.persistentvolume GROUP BY ALL),
free AS (
    SELECT day, node, max(resource_id) AS resource_id, max(nc) AS nc, max(nb) AS nb, max(kc) AS kc, max(kb) AS kb, max(cores) AS cores, max(gib) AS gib,
        sum(a1) AS a1, sum(a2) AS a2, sum(a3) AS a3, sum(b1) AS b1, sum(b2) AS b2, sum(b3) AS b3 FROM podrow GROUP BY ALL)
SELECT day, $source, 'Pod', podrow.namespace, node, resource_id, labels, NULL, NULL, NULL, a1, a2, a3, a4, b1, b2, b3, b4, cores, nc, gib, nb, kc, kb,
    NULL, NULL, NULL, NULL, id FROM podrow LEFT JOIN category ON category.namespace = podrow.namespace
UNION ALL SELECT day, $source, 'Storage', vol.namespace, node, resource_id, labels, persistentvolumeclaim, persistentvolume, storageclass,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, bytes / 1024 ** 3,
    c / (86400 * day(last_day(day))) / 1024 ** 3, r / (86400 * day(last_day(day))) / 1024 ** 3, u / (86400 * day(last_day(day))) / 1024 ** 3, id
    FROM vol LEFT JOIN category ON category.namespace = vol.namespace
UNION ALL SELECT day, $source, 'Pod', CASE WHEN role = 'worker' THEN 'Worker unallocated' ELSE 'Platform unallocated' END, node, resource_id, '{}', NULL, NULL, NULL,
    nc - a1, nc - a2, nc - a3, NULL, nb - b1, nb - b2, nb - b3, NULL, cores, nc, gib, nb, kc, kb, NULL, NULL, NULL, NULL, NULL
    FROM (SELECT *, (SELECT max(role) FROM nodes r WHERE r.node = free.node AND (coalesce(free.resource_id, '') = '' OR r.resource_id = free.resource_id)) AS role FROM free)
    WHERE role IN ('master', 'infra', 'worker')
"""


def label_maps(connection, keys):
    """The map of each text of labels that there is, as a variable."""
    columns = (("pods", "pod_labels"), ("node_lines", "node_labels"), ("namespace_lines", "namespace_labels"), ("storage", "persistentvolume_labels"),
               ("storage", "persistentvolumeclaim_labels"))
    found = connection.execute(" UNION ".join(f"SELECT coalesce({c}, '') FROM {t}" for t, c in columns) + " UNION SELECT ''").fetchall()
    connection.execute("CREATE TABLE parsed (label_text VARCHAR, map VARCHAR)")
    connection.executemany("INSERT INTO parsed VALUES (?, ?)", [(t, json.dumps(labels(t, keys))) for t, in found])
    connection.execute(
        "SET VARIABLE label_maps = (SELECT map(list(label_text), list(from_json(map, '\"MAP(VARCHAR, VARCHAR)\"')::MAP(VARCHAR, VARCHAR))) FROM parsed)")
    connection.execute(MERGE)


def summary(place, source, lookups, start, end):
    """Rows in the order of COLUMNS."""
    keys = {k for k, enabled in lookups["enabled_tag_keys"] if enabled} | {"vm_kubevirt_io_name"}
    connection = duckdb.connect()
    texts = {
        PODS: ("pods", ["resource_id", "pod_labels", "node"]), NODES: ("node_lines", ["node_labels"]), NAMESPACES: ("namespace_lines", ["namespace_labels"]),
        STORAGE: ("storage", ["persistentvolume", "storageclass", "persistentvolume_labels", "persistentvolumeclaim_labels"])}
    for kind, (name, columns) in texts.items():
        files = os.path.join(place, "data", "org1", "OCP", f"source={source}", "*", "*", "*", kind, "*.parquet")
        replaced = ", ".join(f"{c}::VARCHAR AS {c}" for c in columns)
        empty = ", ".join(f"{c} {'VARCHAR' if t == TEXT else 'DOUBLE'}" for c, t in INPUT[kind])
        connection.execute(f"CREATE TABLE {name} ({empty})")
        if glob.glob(files):
            connection.execute(
                f"INSERT INTO {name} BY NAME SELECT * REPLACE ({replaced}) FROM read_parquet('{files}', union_by_name = true, hive_partitioning = false)")
    label_maps(connection, keys)
    for name, wanted in (("categories", "pattern VARCHAR, id INT"), ("nodes", "node VARCHAR, resource_id VARCHAR, role VARCHAR")):
        connection.execute(f"CREATE TABLE {name} ({wanted})")
        rows = lookups["cost_categories" if name == "categories" else name]
        if rows:
            connection.executemany(f"INSERT INTO {name} VALUES ({', '.join(['?'] * len(rows[0]))})", rows)
    return connection.execute(QUERY, {"start": start, "end": end, "source": source}).fetchall()

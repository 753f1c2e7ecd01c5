"""Makes the tables of Spark that test_delta_read.py reads: python make.py DIRECTORY [NAME..].

Needs pyspark 3.5, Java 17 and the Maven packages of Delta 3.3. Each DIRECTORY/NAME (delta/ the table, expected/ its rows as
Parquet, expected-V those of version V) was then packed: tar --sort=name -cJf NAME.tar.xz NAME, without the *.crc files
of Hadoop.
"""

import sys
import time

from pyspark.sql import SparkSession

root = sys.argv[1]
spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.jars.packages", "io.delta:delta-spark_2.12:3.3.2")
    .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
    .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
    .config("spark.sql.shuffle.partitions", "1")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.session.timeZone", "UTC")
    .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
sql = spark.sql


def table(name):
    return f"delta.`{root}/{name}/delta`"


def expected(name, version=None):
    reader = spark.read.format("delta")
    if version is not None:
        reader = reader.option("versionAsOf", version)
    out = f"{root}/{name}/expected" + ("" if version is None else f"-{version}")
    reader.load(f"{root}/{name}/delta").coalesce(1).write.mode("overwrite").parquet(out)


def create(name, columns, properties, partition=None):
    by = f" PARTITIONED BY ({partition})" if partition else ""
    listed = ", ".join(f"'{k}'='{v}'" for k, v in properties.items())
    sql(f"CREATE TABLE {table(name)} ({columns}) USING delta{by} TBLPROPERTIES ({listed})")
    return table(name)


MAPPING = {"delta.minReaderVersion": 2, "delta.minWriterVersion": 5}


def mapping_name():
    columns = "id BIGINT, `a b` STRUCT<x:INT, y:ARRAY<STRUCT<z:STRING>>>, p STRING, m MAP<STRING,INT>"
    t = create("mapping-name", columns, {"delta.columnMapping.mode": "name", **MAPPING}, "p")
    sql(f"""INSERT INTO {t} SELECT id, named_struct('x', CAST(id AS INT), 'y', array(named_struct('z', concat('z', id)))),
            concat('p', id % 3), map('k', CAST(id AS INT)) FROM range(10)""")
    sql(f"ALTER TABLE {t} RENAME COLUMN id TO number")
    sql(f"ALTER TABLE {t} RENAME COLUMN p TO part")
    sql(f"ALTER TABLE {t} RENAME COLUMN `a b`.x TO renamed")
    sql(f"ALTER TABLE {t} DROP COLUMN m")
    sql(f"ALTER TABLE {t} ADD COLUMN (m DOUBLE)")
    sql(f"""INSERT INTO {t} SELECT id, named_struct('renamed', 7, 'y', CAST(null AS ARRAY<STRUCT<z:STRING>>)), 'new', 1.5D
            FROM range(3)""")
    expected("mapping-name")


def mapping_id():
    columns = "id BIGINT, s STRUCT<x:INT, y:ARRAY<STRUCT<z:STRING>>, m:MAP<STRING,STRUCT<q:DATE>>>, p INT"
    t = create("mapping-id", columns, {"delta.columnMapping.mode": "id", **MAPPING}, "p")
    sql(f"""INSERT INTO {t} SELECT id, named_struct('x', CAST(id AS INT), 'y', array(named_struct('z', concat('z', id))),
            'm', map('k', named_struct('q', DATE'2024-01-01'))), CAST(id % 2 AS INT) FROM range(10)""")
    sql(f"ALTER TABLE {t} RENAME COLUMN s.x TO xx")
    sql(f"ALTER TABLE {t} ADD COLUMN (more STRING)")
    sql(f"INSERT INTO {t} SELECT 100, null, 5, 'there'")
    expected("mapping-id")


def vectors():
    t = create("vectors", "id BIGINT, v STRING", {"delta.enableDeletionVectors": "true"})
    rows = spark.range(0, 200000, 1, 1).selectExpr("id", "concat('v', id % 100) v")
    rows.write.format("delta").mode("append").save(f"{root}/vectors/delta")
    sql(f"DELETE FROM {t} WHERE id % 1000 = 3")
    sql(f"DELETE FROM {t} WHERE id BETWEEN 70000 AND 140000")
    sql(f"DELETE FROM {t} WHERE id % 2 = 0 AND id < 60000")
    expected("vectors")
    expected("vectors", 2)


def vectors_partitioned():
    t = create("vectors-partitioned", "id BIGINT, p DATE, ts TIMESTAMP", {"delta.enableDeletionVectors": "true"}, "p")
    sql(f"""INSERT INTO {t} SELECT id, date_add(DATE'2024-01-01', CAST(id % 3 AS INT)), timestamp_seconds(id * 1000)
            FROM range(30)""")
    sql(f"DELETE FROM {t} WHERE id < 8")
    sql(f"UPDATE {t} SET id = id + 1000 WHERE id % 5 = 0")
    sql(f"INSERT INTO {t} SELECT 1, null, null")
    expected("vectors-partitioned")


def v2_parquet():
    v2("v2-parquet", "parquet")


def v2_json():
    v2("v2-json", "json")


def v2(name, format):
    spark.conf.set("spark.databricks.delta.checkpointV2.topLevelFileFormat", format)
    properties = {"delta.checkpointPolicy": "v2", "delta.checkpointInterval": 4, "delta.enableDeletionVectors": "true"}
    t = create(name, "id BIGINT, p INT", properties, "p")
    for i in range(6):
        sql(f"INSERT INTO {t} SELECT id + {i * 10}, CAST(id % 2 AS INT) FROM range(10)")
    sql(f"DELETE FROM {t} WHERE id = 13")
    sql(f"INSERT INTO {t} VALUES (1000, null)")
    expected(name)


def widening():
    t = create("widening", "a TINYINT, b SMALLINT, s STRUCT<x:SMALLINT>", {"delta.enableTypeWidening": "true"})
    sql(f"""INSERT INTO {t} VALUES (1, 2, named_struct('x', 5S)), (-1, -2, named_struct('x', -5S)),
            (null, null, null)""")
    for column, type in (("a", "SMALLINT"), ("a", "INT"), ("b", "INT"), ("s.x", "INT")):
        sql(f"ALTER TABLE {t} CHANGE COLUMN {column} TYPE {type}")
    sql(f"INSERT INTO {t} SELECT 100000, 100000, named_struct('x', 100000)")
    expected("widening")


def multipart():
    spark.conf.set("spark.databricks.delta.checkpoint.partSize", "3")
    properties = {
        "delta.checkpointInterval": 6,
        "delta.checkpoint.writeStatsAsStruct": "true",
        "delta.checkpoint.writeStatsAsJson": "false",
    }
    t = create("multipart", "id BIGINT, s STRING", properties)
    for i in range(8):
        sql(f"INSERT INTO {t} SELECT id + {i * 100}, concat('s', id) FROM range(5)")
    expected("multipart")
    spark.conf.unset("spark.databricks.delta.checkpoint.partSize")


def ntz_ict():
    columns = "id INT, n TIMESTAMP_NTZ, p TIMESTAMP_NTZ, q TIMESTAMP"
    t = create("ntz-ict", columns, {"delta.enableInCommitTimestamps": "true"}, "p, q")
    sql(f"""INSERT INTO {t} VALUES (1, TIMESTAMP_NTZ'2024-01-01 10:00:00.123456', TIMESTAMP_NTZ'2024-03-31 02:30:00',
            TIMESTAMP'2024-01-01 00:00:00.5Z'), (2, null, null, null)""")
    time.sleep(2)
    sql(f"""INSERT INTO {t} VALUES (3, TIMESTAMP_NTZ'1960-01-01 10:00:00', TIMESTAMP_NTZ'2024-03-31 02:30:00',
            TIMESTAMP'1950-01-01 00:00:00Z')""")
    expected("ntz-ict")
    expected("ntz-ict", 1)


def specials():
    create("specials", "id INT, p STRING", {}, "p")
    values = ["a b", "a%20b", "ä/ö", "x=y", "", "null", "a:b", "a'b", "a\\\\b", "#?&+", "100%", "NULL"]
    for i, value in enumerate(values):
        rows = spark.createDataFrame([(i, value)], "id int, p string")
        rows.write.format("delta").mode("append").save(f"{root}/specials/delta")
    expected("specials")


MADE = (mapping_name, mapping_id, vectors, vectors_partitioned, v2_parquet, v2_json, widening, multipart, ntz_ict, specials)
for make in MADE:
    if len(sys.argv) < 3 or make.__name__ in sys.argv[2:]:
        make()

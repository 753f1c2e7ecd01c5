#!/usr/bin/env python3
"""A peer of kafka_read.py: Spark structured streaming reads the topic until its end into Parquet or Delta. kafka_spark.py SERVERS TOPIC FORMAT OUT THREADS

Runs with a Python that has pyspark 3.5; Spark's own packages come from Maven Central, once. The query runs twice in one JVM: the second time its code
is compiled and its classes are there. Prints one JSON object: seconds of the start, of the first and of the second query, from start() to the end.
The JVM is waited for, so that who measures this process sees its CPU.
"""

import json
import os
import sys
import time

PACKAGES = "org.apache.spark:spark-sql-kafka-0-10_2.12:3.5.7,io.delta:delta-spark_2.12:3.3.2"
SCHEMA = "id BIGINT, user STRING, amount DECIMAL(10,2), at TIMESTAMP, note STRING"


def main():
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import col, from_json

    servers, topic, kind, out, threads = sys.argv[1:]
    began = time.monotonic()
    builder = SparkSession.builder.master(f"local[{threads}]").config("spark.jars.packages", PACKAGES).config("spark.driver.memory", "4g")
    for key, value in {
        "spark.ui.enabled": "false", "spark.sql.session.timeZone": "UTC", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension", "spark.log.level": "ERROR",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    }.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    jvm = spark.sparkContext._gateway.proc
    records = (spark.readStream.format("kafka").option("kafka.bootstrap.servers", servers).option("subscribe", topic)
               .option("startingOffsets", "earliest").load())
    rows = records.select(from_json(col("value").cast("string"), SCHEMA).alias("r")).select("r.*")
    said = {"start": time.monotonic() - began}
    for name, place in (("first", out + ".first"), ("second", out)):
        at = time.monotonic()
        rows.writeStream.format(kind).option("path", place).option("checkpointLocation", place + ".checkpoint") \
            .outputMode("append").trigger(availableNow=True).start().awaitTermination()
        said[name] = time.monotonic() - at
    print(json.dumps(said), flush=True)
    gateway = spark.sparkContext._gateway
    spark.stop()
    gateway.shutdown()
    jvm.stdin.close()
    jvm.wait(60)
    os._exit(0)


main()

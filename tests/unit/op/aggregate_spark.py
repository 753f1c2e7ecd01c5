"""Writes aggregate_spark.tsv: what Apache Spark gives for the aggregates listed here.

Run by hand with a pyspark at hand: python3 aggregate_spark.py > aggregate_spark.tsv. The test reads the file, so that
it needs no Spark. Columns: groups, expression, session (ansi or legacy), type, then the values of the groups as text, or
!error.
"""
import random

from pyspark.sql import SparkSession

SCHEMA = "k STRING, i INT, l BIGINT, d DOUBLE, s STRING"


def rows():
    rng = random.Random(11)
    for n in range(60):
        key = rng.choice(["a", "b", "c", None])
        yield (
            key,
            None if rng.random() < 0.2 else rng.randint(-50, 50),
            None if rng.random() < 0.2 else rng.randint(-(10**12), 10**12),
            None if rng.random() < 0.2 else rng.randint(-4000, 4000) / 16,
            None if rng.random() < 0.2 else rng.choice(["x", "yy", "", "zeta", "alpha beta gamma", "yy", "Ä"]),
        )
    yield ("one", 7, 7, 7.0, "seven")
    for n in range(3):
        yield ("null", None, None, None, None)
    for n in range(4):
        yield ("same", 5, 5, 2.5, "same")
    yield ("nan", 1, 2, float("nan"), "n")
    yield ("nan", 2, 1, 1.0, "m")
    yield ("inf", 2, 1, float("inf"), "m")
    yield ("inf", 2, 1, 3.0, "m")
    yield ("big", 2147483647, 9223372036854775807, 1e300, "b")
    yield ("big", 2147483647, 1, 1e300, "b")


ANY = ["i", "l", "d", "s", "CAST(i AS decimal(5,2))", "CAST(l AS decimal(20,3))", "CAST(i AS smallint)", "i > 0", "CAST(d AS float)",
       "date_add(DATE'2024-01-01', i)", "timestamp_micros(l)"]
NUMBERS = ["i", "l", "d", "CAST(i AS decimal(5,2))", "CAST(l AS decimal(18,0))", "CAST(l AS decimal(38,10))",
           "CAST(i AS tinyint)", "CAST(i AS smallint)", "CAST(d AS float)", "CAST(i AS string)"]

CASES = ["count(*)", "count(1)", "count(i, s)", "count(DISTINCT i, s)", "count(DISTINCT s)", "count(DISTINCT d)", "count(NULL)",
         "count_if(i > 0)", "count_if(s = 'yy')", "sum(DISTINCT i)", "avg(DISTINCT i)", "sum(i) / count(*)", "max(i) - min(i) + 1",
         "sum(i * 2 + 1)", "sum(d) FILTER (WHERE i > 0)", "count(*) FILTER (WHERE s IS NULL)", "avg(i) FILTER (WHERE false)",
         "count(DISTINCT s) FILTER (WHERE i > 0)", "bool_and(i > -40)", "bool_or(i > 40)", "every(i > -100)", "some(i > 100)", "any(i = 7)",
         "bit_and(i)", "bit_or(i)", "bit_xor(i)", "bit_and(CAST(i AS tinyint))", "bit_or(l)", "max_by(s, i)", "min_by(s, i)",
         "max_by(i, s)", "min_by(d, l)", "max_by(struct(i, s).i, d)", "corr(i, d)", "corr(d, d)", "covar_pop(i, d)", "covar_samp(i, d)",
         "covar_samp(d, d)", "regr_count(i, d)", "regr_avgx(i, d)", "regr_avgy(i, d)", "regr_sxx(i, d)", "regr_syy(i, d)",
         "regr_sxy(i, d)", "regr_slope(i, d)", "regr_intercept(i, d)", "regr_r2(i, d)", "percentile(i, 0.3)", "percentile(d, 0.95)",
         "percentile(i, array(0.0, 0.25, 1.0))", "percentile(d, 0.5, abs(i))", "percentile_cont(0.95) WITHIN GROUP (ORDER BY d)",
         "percentile_cont(0.2) WITHIN GROUP (ORDER BY i DESC)", "percentile_disc(0.5) WITHIN GROUP (ORDER BY i)",
         "percentile_disc(0.3) WITHIN GROUP (ORDER BY d)", "percentile_disc(0.3) WITHIN GROUP (ORDER BY d DESC)",
         "percentile_disc(0.0) WITHIN GROUP (ORDER BY i)", "percentile_disc(1.0) WITHIN GROUP (ORDER BY i)",
         "percentile_approx(i, 0.5)", "percentile_approx(d, 0.3)", "percentile_approx(l, array(0.1, 0.5, 0.9))",
         "percentile_approx(CAST(i AS decimal(5,2)), 0.7)", "percentile_approx(date_add(DATE'2024-01-01', i), 0.4)", "approx_percentile(i, 0.0)",
         "percentile_approx(i, 1.0)", "median(i)", "median(d)", "median(CAST(i AS decimal(5,2)))", "approx_count_distinct(s)",
         "approx_count_distinct(i > 0)", "collect_list(s)", "collect_list(i)", "sort_array(collect_set(s))", "sort_array(collect_set(i))",
         "array_agg(d)", "size(collect_list(i))", "first(i)", "first(i, true)", "last(s)", "last(s, true)", "any_value(s, true)",
         "first_value(d) IGNORE NULLS", "last_value(i, true)", "first(struct(i, s)).s", "mode(s) = mode(s)", "try_sum(l)", "try_avg(l)",
         "try_sum(i)", "try_avg(CAST(l AS decimal(38,10)))", "CAST(sum(i) AS string)", "coalesce(sum(i), 0)", "sum(l)", "avg(l)", "avg(CAST(i AS decimal(38,18)))",
         "sum(CAST(i AS decimal(38,36)))", "max(struct(i, s)).i", "max(array(i, 1))[0]", "min(array(s))[0]", "sum(NULL)", "avg(NULL)", "max(NULL)",
         "array_agg(DISTINCT i > 0)[0] IS NULL", "min(CAST(NULL AS date))", "sum('3')"]
for f in ["min", "max", "first", "last", "count"]:
    CASES += [f"{f}({a})" for a in ANY]
for f in ["sum", "avg", "mean"]:
    CASES += [f"{f}({a})" for a in NUMBERS]
for f in ["stddev", "stddev_samp", "stddev_pop", "variance", "var_samp", "var_pop", "skewness", "kurtosis", "std"]:
    CASES += [f"{f}({a})" for a in ["i", "l", "d", "CAST(i AS decimal(5,2))"]]


def text(value):
    return "NULL" if value is None else str(value).replace("\t", " ").replace("\n", " ")


def main():
    spark = SparkSession.builder.master("local[1]").config("spark.sql.shuffle.partitions", 1).config(
        "spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC").getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    data = list(rows())
    spark.createDataFrame(data, SCHEMA).coalesce(1).createOrReplaceTempView("t")
    print("# Spark", spark.version)
    print("schema\t" + SCHEMA)
    for row in data:
        print("row\t" + "\t".join("NULL" if v is None else repr(v) if isinstance(v, float) else str(v) for v in row))
    print("groups\t" + "\t".join(text(r[0]) for r in spark.sql("SELECT k FROM t GROUP BY k ORDER BY k").collect()))
    for ansi in ["true", "false"]:
        spark.conf.set("spark.sql.ansi.enabled", ansi)
        for case in dict.fromkeys(CASES):
            for by in ["k", ""]:
                where = "" if ansi == "false" else " WHERE k IS NULL OR k NOT IN ('big')"
                query = f"SELECT {'k,' if by else ''} {case} AS r FROM t{where}" + (" GROUP BY k ORDER BY k" if by else "")
                try:
                    frame = spark.sql(query)
                    kind = frame.schema["r"].dataType.simpleString()
                    values = [r[-1] for r in frame.selectExpr(*(["k"] if by else []), "CAST(r AS string) AS r").collect()]
                    print("\t".join(["case", "ansi" if ansi == "true" else "legacy", by, case, kind] + [text(v) for v in values]), flush=True)
                except Exception as error:
                    print("\t".join(["case", "ansi" if ansi == "true" else "legacy", by, case, "!", text(error)[:60]]), flush=True)


main()

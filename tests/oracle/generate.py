#!/usr/bin/env python3
"""
generate.py [FAMILY..] - asks Apache Spark and writes its answers to data/*.jsonl, one file a family.

Needs the pyspark named in tests/bench/requirements.txt and Java. The first line of a file tells Spark's version and settings;
every other line is one expression:

    {"f": function or operator, "e": expression, "z": session time zone (UTC when absent),
     "on": [type, [value of each input row]], "off": the same with ANSI off (absent: equal to "on")}

"refused" in place of a list: Spark does not accept the expression. A value {} is an error in that row, {"b": hex} is bytes,
{"skip": 1} is too long to be kept.
Dates are days, timestamps microseconds since 1970; intervals are months, microseconds, or [months, days, microseconds].
"""
import json
import os
import sys

import functions
import inputs
import operators
import random_expressions

HERE = os.path.dirname(os.path.abspath(__file__))
SEED, COUNT = 20241127, 5000
CHUNK = 200


def work():
    """family -> [(function, zone, expression)]"""
    out = {"inputs": [("", "UTC", name) for name in inputs.COLUMNS]}
    out["operators"] = [(f, "UTC", e) for f, e in operators.calls()]
    out["casts"] = [(f, "UTC", e) for f, e in operators.casts()]
    for family in functions.FAMILIES:
        zones = random_expressions.ZONES if family == "zoned" else ["UTC"]
        out[family] = [(f, zone, e) for zone in zones for f, e in functions.calls(family)]
    out["random"] = [("random", zone, e) for zone, e in random_expressions.calls(SEED, COUNT)]
    return out


class Spark:
    def __init__(self):
        from pyspark.sql import SparkSession
        builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.driver.memory", "2g")
        # Rows are evaluated one by one by Oracle.java; the optimizer would evaluate all of them.
        rule = "org.apache.spark.sql.catalyst.optimizer.ConvertToLocalRelation"
        builder = builder.config("spark.sql.optimizer.excludedRules", rule)
        # EXCEPTION, the default, refuses with ANSI off what Spark 2 read differently.
        self.spark = builder.config("spark.sql.legacy.timeParserPolicy", "CORRECTED").getOrCreate()
        self.spark.sparkContext.setLogLevel("OFF")
        jvm = self.spark._jvm
        compiler = jvm.org.codehaus.janino.SimpleCompiler()
        compiler.setParentClassLoader(jvm.java.lang.Thread.currentThread().getContextClassLoader())
        with open(os.path.join(HERE, "Oracle.java"), encoding="utf-8") as file:
            compiler.cook(file.read())
        self.oracle = compiler.getClassLoader().loadClass("Oracle").newInstance()
        self.configure(False, "UTC")
        plan = self.spark.sql(inputs.query())._jdf.queryExecution().optimizedPlan()
        relation = jvm.org.apache.spark.sql.catalyst.plans.logical.LocalRelation(plan.output(), plan.data(), False)
        self.inputs = jvm.org.apache.spark.sql.Dataset.ofRows(self.spark._jsparkSession, relation)

    def configure(self, ansi, zone):
        self.spark.conf.set("spark.sql.ansi.enabled", str(ansi).lower())
        self.spark.conf.set("spark.sql.session.timeZone", zone)

    def answers(self, ansi, zone, expressions):
        self.configure(ansi, zone)
        out = []
        for i in range(0, len(expressions), CHUNK):
            out += self.oracle.run(self.inputs, "\x01".join(expressions[i:i + CHUNK])).split("\x01")
        return [json.loads(line) for line in out]


def compact(answer, notes, expression):
    if isinstance(answer, dict):
        notes.append(f"{expression}: {answer['refused'][:160]}")
        return "refused"
    return answer


def write(spark, family, items):
    from pyspark import __version__
    header = {"spark": __version__, "family": family, "rows": inputs.ROWS, "timeParserPolicy": "CORRECTED"}
    if family == "random":
        header.update(seed=SEED, count=COUNT)
    notes = []
    with open(os.path.join(HERE, "data", family + ".jsonl"), "w", encoding="utf-8") as file:
        def line(value):
            file.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
        line(header)
        for zone in dict.fromkeys(z for _, z, _ in items):
            here = [(f, e) for f, z, e in items if z == zone]
            expressions = [e for _, e in here]
            both = [spark.answers(ansi, zone, expressions) for ansi in (True, False)]
            for (function, expression), on, off in zip(here, *both):
                if isinstance(on, dict) and "unknown" in on:
                    notes.append(f"{expression}: no function of Spark's")
                    continue
                on, off = compact(on, notes, expression), compact(off, [], expression)
                entry = {"f": function, "e": expression}
                if zone != "UTC":
                    entry["z"] = zone
                entry["on"] = on
                if off != on:
                    entry["off"] = off
                line(entry)
    if os.environ.get("ORACLE_NOTES"):
        with open(os.path.join(os.environ["ORACLE_NOTES"], family + ".notes"), "w", encoding="utf-8") as file:
            file.write("\n".join(notes) + "\n")


def main():
    families = work()
    names = sys.argv[1:] or list(families)
    unknown = [name for name in names if name not in families]
    if unknown:
        sys.exit(f"generate.py: no family {unknown[0]}; there are {', '.join(families)}")
    spark = Spark()
    for name in names:
        write(spark, name, families[name])
        print(name, len(families[name]), flush=True)


if __name__ == "__main__":
    main()

"""Every operator over every pair of types, and every cast."""
import inputs

PAIR_TYPES = [t for t in inputs.TYPES if t not in ("s5", "as1")]
BINARY = ["+", "-", "*", "/", "%", "DIV", "&", "|", "^", "||", "=", "<", "<=>", "AND"]
SAME_TYPE = ["<>", "!=", "<=", ">", ">=", "OR", "=="]
FORMS = ["coalesce({a}, {b})", "{a} IN ({b}, {a})", "CASE WHEN z1 THEN {a} ELSE {b} END", "{a} BETWEEN {b} AND {b}"]
LITERALS = ["1", "0", "2L", "3S", "4Y", "1.50", "0.000000000000000001", "99999999999999999999", "1.5D", "1e400BD", "2.5F", "'3'",
            "'abc'", "'2024-02-29'", "DATE'2024-02-29'", "TIMESTAMP'2024-02-29 12:00:00Z'", "TIMESTAMP_NTZ'2024-02-29 12:00:00'",
            "INTERVAL 1 DAY", "INTERVAL '1-1' YEAR TO MONTH", "INTERVAL 90 SECONDS", "make_interval(0, 1, 0, 1)", "true", "NULL",
            "X'41'", "interval 1 month 2 days"]
UNARY = ["-{a}", "+{a}", "~{a}", "NOT {a}", "{a} IS NULL", "{a} IS TRUE", "-(-{a})"]

TARGETS = ["BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL(5,2)", "DECIMAL(10,0)", "DECIMAL(38,18)",
           "DECIMAL(38,0)", "STRING", "BINARY", "DATE", "TIMESTAMP", "TIMESTAMP_NTZ", "INTERVAL", "INTERVAL YEAR TO MONTH",
           "INTERVAL DAY TO SECOND", "INTERVAL HOUR", "ARRAY<INT>", "ARRAY<STRING>", "ARRAY<DOUBLE>", "MAP<STRING, INT>",
           "MAP<STRING, STRING>", "STRUCT<x: INT, y: STRING>", "STRUCT<a: STRING, b: STRING>", "VARCHAR(3)", "VOID"]
EXTRA_CASTS = ["CAST(ad1 AS ARRAY<INT>)", "CAST(as1 AS ARRAY<INT>)", "TRY_CAST(as1 AS ARRAY<INT>)", "CAST(aa1 AS STRING)",
               "CAST(aa1 AS ARRAY<ARRAY<STRING>>)", "CAST(ad1 AS STRING)", "CAST(array(b1) AS STRING)", "CAST(array(ts1, NULL) AS STRING)",
               "CAST(struct(d1, n1, day1, ts1) AS STRING)", "CAST(map(i3, day1) AS STRING)", "CAST(1 AS STRING)",
               "CAST(r1 AS STRUCT<p: STRING, q: INT>)", "CAST(m1 AS MAP<STRING, BIGINT>)", "CAST(m1 AS MAP<INT, INT>)",
               "CAST(array(1, NULL) AS ARRAY<STRING>)", "CAST(1e10D AS STRING)", "CAST(0.001D AS STRING)", "CAST(1e-4D AS STRING)",
               "CAST(1e7D AS STRING)", "CAST(123456789.125D AS STRING)", "CAST(1.0E-10 AS STRING)", "CAST(CAST(0 AS DECIMAL(38,18)) AS STRING)",
               "CAST(CAST(1e7 AS FLOAT) AS STRING)", "CAST('1.23e-2' AS DECIMAL(10,4))", "CAST('  12 ' AS INT)", "CAST('12.9' AS INT)",
               "CAST('-12.9' AS BIGINT)", "CAST('1e2' AS INT)", "CAST('' AS INT)", "CAST('+5' AS TINYINT)", "CAST('128' AS TINYINT)",
               "CAST('Infinity' AS DOUBLE)", "CAST('-inf' AS FLOAT)", "CAST('1d' AS DOUBLE)", "CAST('1f' AS FLOAT)", "CAST('0x10' AS DOUBLE)",
               "CAST('nan' AS DOUBLE)", "CAST('1e400' AS DOUBLE)", "CAST('.5' AS DECIMAL(3,1))", "CAST('5.' AS DECIMAL(3,1))",
               "CAST('2024-1-1' AS DATE)", "CAST('2024' AS DATE)", "CAST('2024-02' AS DATE)", "CAST('-0044-03-15' AS DATE)",
               "CAST('20240101' AS DATE)", "CAST('2024-01-01T' AS DATE)", "CAST('2024-01-01 junk' AS DATE)", "CAST('294247-01-10 04:00:54.775807' AS TIMESTAMP)",
               "CAST('294247-01-10 04:00:54.775808' AS TIMESTAMP)", "CAST('-290308-12-21 19:59:05.224192' AS TIMESTAMP)", "CAST('12:34:56' AS TIMESTAMP)",
               "CAST('T12:34' AS TIMESTAMP)", "CAST('2024-01-01 24:00:00' AS TIMESTAMP)", "CAST('2024-01-01 1:2' AS TIMESTAMP)",
               "CAST('2024-01-01 00:00:00.123456789' AS TIMESTAMP)", "CAST('2024-01-01 00:00:00 +01:30' AS TIMESTAMP)",
               "CAST('2024-01-01 00:00:00 PST' AS TIMESTAMP)", "CAST('2024-01-01 00:00:00UTC+5' AS TIMESTAMP)", "CAST('2024-01-01 00:00:00 GMT-03:00' AS TIMESTAMP)",
               "CAST('2024-01-01 00:00:00Z' AS TIMESTAMP_NTZ)", "CAST('epoch' AS TIMESTAMP)", "CAST('now' AS DATE) IS NULL", "CAST('today' AS DATE) IS NULL",
               "CAST('2024-01-01 00:00:60' AS TIMESTAMP)", "CAST('9999999-01-01' AS DATE)", "CAST('5881580-07-11' AS DATE)", "CAST('5881580-07-12' AS DATE)",
               "CAST('1 day' AS INTERVAL)", "CAST('interval 1 month 2 days -3.5 seconds' AS INTERVAL)", "CAST('1-2' AS INTERVAL YEAR TO MONTH)",
               "CAST('1 02:03:04.5' AS INTERVAL DAY TO SECOND)", "CAST(INTERVAL '1-2' YEAR TO MONTH AS STRING)", "CAST(INTERVAL 1 DAY AS STRING)",
               "CAST(make_interval(1, 2, 3, 4, 5, 6, 7.8) AS STRING)", "CAST(make_interval(0,0,0,0,0,0,-0.5) AS STRING)", "CAST(INTERVAL '10' HOUR AS INT)",
               "CAST(5 AS INTERVAL DAY)", "CAST(true AS DECIMAL(2,2))", "CAST('t' AS BOOLEAN)", "CAST('no' AS BOOLEAN)", "CAST(X'C3' AS STRING)"]


def calls():
    out = []
    for a in PAIR_TYPES:
        for b in PAIR_TYPES:
            right = inputs.PARTNERS.get(b, b)
            for op in BINARY + (SAME_TYPE if a == b else []):
                out.append((op, f"{a} {op} {right}"))
            for form in FORMS:
                out.append((form.split("(")[0].split(" ")[-1 if form.startswith("{a}") else 0], form.format(a=a, b=right)))
        for literal in LITERALS:
            for op in ("+", "-", "*", "/", "%", "=", "<"):
                out.append((op, f"{a} {op} {literal}"))
            for op in ("-", "*", "/", ">"):
                out.append((op, f"{literal} {op} {a}"))
        for form in UNARY:
            out.append((form.replace("{a}", "").strip(), form.format(a=a)))
    return list(dict.fromkeys(out))


def casts():
    out = []
    for column in inputs.TYPES + ["ad1", "aa1", "d3", "i3"]:
        for target in TARGETS:
            out.append(("CAST", f"CAST({column} AS {target})"))
            out.append(("TRY_CAST", f"TRY_CAST({column} AS {target})"))
    out += [("CAST", text) for text in EXTRA_CASTS]
    return list(dict.fromkeys(out))

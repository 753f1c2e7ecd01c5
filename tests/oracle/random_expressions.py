"""Random expressions of a typed grammar, the same for the same seed."""
import random

COLUMNS = {
    "Z": ["z1", "z2"],
    "I": ["i1", "i2", "i3", "i3", "i3", "t1", "h1", "h2"],
    "L": ["l1", "l2", "CAST(i3 AS BIGINT)"],
    "D": ["d1", "d2", "d3", "d3", "f1"],
    "N": ["n1", "n2", "w1", "n1"],
    "S": ["s1", "s2", "s3", "s4"],
    "Y": ["day1", "day2"],
    "T": ["ts1", "ts2"],
    "W": ["ntz1", "ntz2"],
    "A": ["a1", "a2"],
    "M": ["m1", "m2"],
    "V": ["INTERVAL 1 DAY", "INTERVAL '2' MONTH", "INTERVAL 36 HOURS", "INTERVAL '-1-3' YEAR TO MONTH", "INTERVAL 90 SECONDS", "dt1",
          "ym1", "make_interval(0, 1, 0, 1, 1)"],
}
LITERALS = {
    "Z": ["true", "false", "NULL"],
    "I": ["0", "1", "2", "-3", "100", "2147483647", "5Y", "7S"],
    "L": ["0L", "10L", "-9223372036854775807L", "1700000000L", "86400L"],
    "D": ["0D", "1.5D", "-2.25D", "1e10D", "0.1D", "CAST('NaN' AS DOUBLE)"],
    "N": ["1.5", "0.01", "-123.456", "99999.99", "0.5", "10.0"],
    "S": ["''", "'a'", "'Spark SQL'", "'12'", "'ä€'", "'2024-02-29'", "' x '"],
    "Y": ["DATE'2024-02-29'", "DATE'1969-07-20'", "DATE'0001-01-01'", "DATE'1582-10-15'"],
    "T": ["TIMESTAMP'2024-03-31 02:30:00'", "TIMESTAMP'1969-12-31 23:59:59.999999'", "TIMESTAMP'1900-01-01 00:00:00'"],
    "W": ["TIMESTAMP_NTZ'2024-03-31 02:30:00'", "TIMESTAMP_NTZ'1968-02-29 12:00:00.5'"],
    "A": ["array(1, 2, 3)", "array(3, NULL)"],
    "M": ["map('a', 1)", "map('app', 2, 'x', NULL)"],
    "V": ["INTERVAL 1 HOUR", "INTERVAL '1' YEAR"],
}
# {X} is an expression of that kind; lower case is a column or literal.
RULES = {
    "Z": ["{I} = {I}", "{L} < {I}", "{D} >= {D}", "{N} <> {N}", "{S} = {S}", "{Y} <= {Y}", "{T} < {T}", "{Z} AND {Z}", "{Z} OR {Z}",
          "NOT {Z}", "{I} IS NULL", "{S} IS NOT NULL", "{I} IN ({i}, {i}, {i})", "{S} IN ({s}, {s})", "{I} BETWEEN {I} AND {I}",
          "{S} LIKE '%a%'", "{S} LIKE {s}", "startswith({S}, {s})", "contains({S}, {s})", "isnan({D})", "{I} <=> {I}", "{D} <=> {D}",
          "CAST({I} AS BOOLEAN)", "{Y} = {T}", "{W} > {T}", "{N} < {D}", "{I} = {N}", "{z} IS TRUE", "{S} RLIKE '[a-m]+'",
          "array_contains({A}, {I})", "{I} > {D}", "{Y} BETWEEN {y} AND {y}", "coalesce({Z}, {z})", "{L} <=> {N}"],
    "I": ["{I} + {I}", "{I} - {I}", "{I} * {i}", "{I} % {I}", "-{I}", "abs({I})", "length({S})", "year({Y})", "month({T})", "day({Y})",
          "hour({T})", "minute({W})", "second({T})", "CAST({L} AS INT)", "CAST({D} AS INT)", "CAST({N} AS INT)", "CAST({S} AS INT)",
          "TRY_CAST({S} AS INT)", "TRY_CAST({D} AS INT)", "datediff({Y}, {Y})", "CASE WHEN {Z} THEN {I} ELSE {I} END", "if({Z}, {I}, {I})",
          "coalesce({I}, {I})", "nullif({I}, {I})", "greatest({I}, {I})", "least({I}, {I}, {I})", "pmod({I}, {I})", "instr({S}, {s})",
          "locate({s}, {S})", "ascii({S})", "dayofweek({Y})", "quarter({Y})", "weekofyear({Y})", "dayofyear({T})", "{I} & {I}", "{I} | {i}",
          "{I} ^ {I}", "~{I}", "shiftleft({I}, {i})", "shiftright({I}, {i})", "CAST({Z} AS INT)", "size({A})", "unix_date({Y})",
          "try_add({I}, {I})", "try_multiply({I}, {I})", "bit_count({I})", "sign({I})", "round({I}, -1)", "CASE {i} WHEN {i} THEN {I} WHEN {i} THEN {I} END",
          "nvl2({S}, {I}, {I})", "find_in_set({s}, {S})", "levenshtein({s}, {s})", "octet_length({S})", "extract(DOW FROM {Y})", "weekday({Y})"],
    "L": ["{L} + {I}", "{L} - {L}", "{L} * {i}", "{I} DIV {I}", "{L} DIV {L}", "{L} % {L}", "CAST({I} AS BIGINT)", "CAST({D} AS BIGINT)",
          "CAST({N} AS BIGINT)", "CAST({T} AS BIGINT)", "CAST({S} AS BIGINT)", "unix_timestamp({T})", "unix_micros({T})", "abs({L})",
          "coalesce({L}, {I})", "greatest({L}, {I})", "ceil({D})", "floor({D})", "unix_seconds({T})", "{L} & {L}", "try_subtract({L}, {L})",
          "if({Z}, {L}, {I})", "unix_millis({T})", "timestampdiff(HOUR, {T}, {T})", "timestampdiff(MONTH, {T}, {T})", "-{L}", "factorial({i})"],
    "D": ["{D} + {D}", "{D} - {I}", "{D} * {D}", "{D} / {D}", "{I} / {I}", "{D} % {D}", "-{D}", "abs({D})", "sqrt({D})", "round({D}, 2)",
          "bround({D}, 1)", "CAST({I} AS DOUBLE)", "CAST({N} AS DOUBLE)", "CAST({S} AS DOUBLE)", "TRY_CAST({S} AS DOUBLE)", "CAST({T} AS DOUBLE)",
          "coalesce({D}, {I})", "nanvl({D}, {D})", "greatest({D}, {D})", "least({D}, {I})", "if({Z}, {D}, {I})", "rint({D})", "try_divide({D}, {D})",
          "months_between({T}, {T})", "months_between({Y}, {Y})", "{N} * {D}", "CAST({D} AS FLOAT)", "pmod({D}, {d})", "{L} / {I}", "sign({D})", "degrees({d})"],
    "N": ["{N} + {N}", "{N} - {I}", "{N} * {n}", "{N} / {n}", "{N} % {N}", "-{N}", "abs({N})", "round({N}, 1)", "bround({N}, 0)", "ceil({N})",
          "floor({N}, 1)", "CAST({I} AS DECIMAL(12,2))", "CAST({D} AS DECIMAL(20,4))", "CAST({S} AS DECIMAL(10,3))", "TRY_CAST({S} AS DECIMAL(10,3))",
          "CAST({N} AS DECIMAL(8,1))", "coalesce({N}, {I})", "greatest({N}, {N})", "if({Z}, {N}, {I})", "CASE WHEN {Z} THEN {N} ELSE {n} END",
          "{I} * {N}", "{L} + {N}", "try_divide({N}, {N})", "pmod({N}, {n})", "CAST({T} AS DECIMAL(20,6))", "{N} + 1", "2 * {N}", "extract(SECOND FROM {T})"],
    "S": ["{S} || {S}", "concat({S}, {S})", "upper({S})", "lower({S})", "trim({S})", "substring({S}, {i}, {i})", "substring({S}, {i})",
          "CAST({I} AS STRING)", "CAST({L} AS STRING)", "CAST({D} AS STRING)", "CAST({N} AS STRING)", "CAST({Y} AS STRING)", "CAST({T} AS STRING)",
          "CAST({Z} AS STRING)", "CAST({W} AS STRING)", "coalesce({S}, {S})", "if({Z}, {S}, {S})", "replace({S}, {s}, {s})", "lpad({S}, 8, {s})",
          "rpad({S}, 5, '*')", "concat_ws('-', {S}, {S})", "reverse({S})", "repeat({S}, 2)", "initcap({S})", "left({S}, {i})", "right({S}, 3)",
          "translate({S}, 'abc', 'x')", "hex({I})", "hex({S})", "date_format({T}, 'yyyy-MM-dd HH:mm:ss')", "date_format({Y}, 'dd.MM.yy')", "nvl({S}, {s})",
          "CASE WHEN {Z} THEN {S} END", "greatest({S}, {S})", "substring_index({S}, 'a', 1)", "split_part({S}, ',', 1)", "{S} || {I}", "bin({L})",
          "from_unixtime({L})", "CAST({A} AS STRING)", "regexp_replace({S}, '[0-9]+', '#')", "regexp_extract({S}, '([a-z]+)', 1)", "md5({S})", "nullif({S}, {s})",
          "from_unixtime({i}, 'HH:mm:ss')", "conv({s}, 10, 16)", "overlay({S}, '_', 2)", "array_join(split({S}, ','), ';')"],
    "Y": ["date_add({Y}, {i})", "date_sub({Y}, {i})", "add_months({Y}, {i})", "last_day({Y})", "trunc({Y}, 'month')", "trunc({Y}, 'year')",
          "CAST({T} AS DATE)", "CAST({S} AS DATE)", "TRY_CAST({S} AS DATE)", "to_date({T})", "CAST({W} AS DATE)", "coalesce({Y}, {y})",
          "greatest({Y}, {Y})", "if({Z}, {Y}, {Y})", "next_day({Y}, 'Tue')", "make_date({I}, 2, 28)", "{Y} + {i}", "{Y} - {i}", "{Y} + INTERVAL 1 MONTH",
          "date_from_unix_date({i})", "{Y} - INTERVAL '1' YEAR", "to_date({S}, 'yyyy-MM-dd')"],
    "T": ["{T} + {V}", "{T} - {V}", "date_trunc('hour', {T})", "date_trunc('month', {T})", "date_trunc('week', {T})", "CAST({Y} AS TIMESTAMP)",
          "CAST({W} AS TIMESTAMP)", "CAST({L} AS TIMESTAMP)", "timestamp_seconds({i})", "timestamp_millis({l})", "coalesce({T}, {t})", "if({Z}, {T}, {T})",
          "from_utc_timestamp({T}, 'America/New_York')", "to_utc_timestamp({T}, 'Europe/Berlin')", "CAST({S} AS TIMESTAMP)", "TRY_CAST({S} AS TIMESTAMP)",
          "timestampadd(HOUR, {i}, {T})", "timestampadd(MONTH, {i}, {T})", "make_timestamp(2024, {i}, 10, 2, 30, 1.5)", "greatest({T}, {T})", "least({T}, {Y})",
          "to_timestamp({S}, 'yyyy-MM-dd HH:mm:ss')", "coalesce({T}, {Y})", "date_trunc('quarter', {T})"],
    "W": ["CAST({T} AS TIMESTAMP_NTZ)", "{W} + {V}", "{W} - {V}", "CAST({Y} AS TIMESTAMP_NTZ)", "convert_timezone('Europe/Berlin', {W})", "coalesce({W}, {w})",
          "CAST({S} AS TIMESTAMP_NTZ)", "timestampadd(DAY, {i}, {W})", "if({Z}, {W}, {W})"],
    "A": ["array({I}, {I})", "coalesce({A}, {a})", "if({Z}, {A}, {A})", "array_distinct({A})", "sort_array({A})", "slice({A}, 1, 2)", "array_union({A}, {a})", "array_except({A}, {a})"],
    "M": ["map('k', {I})", "coalesce({M}, {m})", "if({Z}, {M}, {m})"],
    "V": [],
}
RULES["I"] += ["{A}[0]", "{M}['a']", "element_at({A}, 1)", "array_max({A})"]
ZONES = ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York"]


def leaf(rng, kind):
    return rng.choice(COLUMNS[kind] if rng.random() < 0.75 else LITERALS[kind])


def expression(rng, kind, depth):
    if depth == 0 or not RULES[kind]:
        return leaf(rng, kind)
    out, rule, i = [], rng.choice(RULES[kind]), 0
    while i < len(rule):
        if rule[i] == "{":
            inner = rule[i + 1]
            if inner.islower():
                out.append(leaf(rng, inner.upper()))
            else:
                text = expression(rng, inner, max(0, depth - 1 - (rng.random() < 0.3)))
                operand = i > 0 and rule[i - 1] in "-~" or " " in text and not text.startswith(("CASE", "CAST", "INTERVAL", "DATE'"))
                out.append(f"({text})" if operand else text)
            i += 3
        else:
            out.append(rule[i])
            i += 1
    return "".join(out)


def calls(seed, count):
    """(zone, expression), all different."""
    rng, seen, out = random.Random(seed), set(), []
    kinds = "ZIILDDNNSSSYTTWA"
    while len(out) < count:
        text = expression(rng, rng.choice(kinds), rng.choice([1, 2, 2, 3, 3, 4]))
        if text not in seen and len(text) < 400:
            seen.add(text)
            out.append((rng.choice(ZONES), text))
    return out

"""The input columns of the oracle: twelve rows of ordinary values, NULL and the ends of each type."""


def texts(*values):
    return ["NULL" if v is None else "'" + v.replace("\\", "\\\\").replace("'", "\\'") + "'" for v in values]


def casts(type_name, *values):
    return [f"CAST({'NULL' if v is None else v} AS {type_name})" for v in values]


def typed_texts(type_name, *values):
    return [f"CAST({t} AS {type_name})" for t in texts(*values)]


# name -> twelve SQL expressions. Second columns are shifted so that interesting values meet ordinary ones.
COLUMNS = {
    "z1": casts("BOOLEAN", "true", None, "false", "true", "false", "true", "false", None, "true", "false", "true", "false"),
    "z2": casts("BOOLEAN", "false", "true", None, "true", "false", "false", "true", None, "true", "true", "false", "false"),
    "t1": casts("TINYINT", 1, None, -128, 127, 0, -1, 10, 100, 7, -7, 42, 3),
    "t2": casts("TINYINT", 2, 3, -1, 1, None, 127, -128, 0, 2, 5, -42, 3),
    "h1": casts("SMALLINT", 1, None, -32768, 32767, 0, -1, 300, 1000, 7, -7, 129, 3),
    "h2": casts("SMALLINT", 2, 3, -1, 1, None, 32767, -32768, 0, 2, 5, -200, 3),
    "i1": casts("INT", 1, None, -2147483648, 2147483647, 0, -1, 70000, 2024, 7, -7, 129, 3),
    "i2": casts("INT", 2, 3, -1, 1, None, 2147483647, -2147483648, 0, 2, 5, -40000, 3),
    "i3": casts("INT", 1, 2, 3, None, 0, -1, 5, 4, 10, 7, -2, 3),
    "l1": casts("BIGINT", 1, None, "-9223372036854775808L", "9223372036854775807L", 0, -1, 3000000000, 1700000000, 7, -7,
                129, 3),
    "l2": casts("BIGINT", 2, 3, -1, 1, None, "9223372036854775807L", "-9223372036854775808L", 0, 2, 5, -3000000001, 3),
    "f1": casts("FLOAT", "1.5", None, "'-3.4028235E38'", "'3.4028235E38'", "'NaN'", "'Infinity'", "'-Infinity'", "'-0.0'",
                "0.1", "'1.4E-45'", "16777216", "-2.5"),
    "f2": casts("FLOAT", "0.5", "2.0", "-1", "1.0", None, "'NaN'", "'Infinity'", "0.0", "'-0.0'", "3.5", "-0.25", "-2.5"),
    "d1": casts("DOUBLE", "1.5D", None, "'-1.7976931348623157E308'", "'1.7976931348623157E308'", "'NaN'", "'Infinity'",
                "'-Infinity'", "'-0.0'", "0.1D", "'4.9E-324'", "9007199254740993D", "-2.5D"),
    "d2": casts("DOUBLE", "0.5D", "2D", "-1D", "1D", None, "'NaN'", "'Infinity'", "0D", "'-0.0'", "3.5D", "-0.25D", "-2.5D"),
    "d3": casts("DOUBLE", "0.5D", "2D", "-1D", "1D", "0D", "10D", None, "-0.75D", "123456.789D", "1e-3D", "2.5D", "3.5D"),
    "n1": casts("DECIMAL(10,2)", "1.25", None, "-99999999.99", "99999999.99", 0, "-0.01", "12.5", "100", "0.05", "-7.77",
                "2024.12", "3"),
    "n2": casts("DECIMAL(10,2)", "0.5", "2", "99999999.99", "-1", None, "0.01", "-12.5", 0, "3.33", "5", "-0.03", "3"),
    "w1": casts("DECIMAL(38,18)", "1.25", None, "'-99999999999999999999.999999999999999999'",
                "'99999999999999999999.999999999999999999'", 0, "'-0.000000000000000001'", "12.5",
                "'1234567890.123456789012345678'", "0.05", "-7.77", "2024.12", "3"),
    "w2": casts("DECIMAL(38,18)", "0.5", "2", "'99999999999999999999.999999999999999999'", "-1", None,
                "'0.000000000000000001'", "-12.5", 0, "3.33", "5", "'-0.030000000000000001'", "3"),
    "x1": casts("DECIMAL(38,0)", 1, None, "'-99999999999999999999999999999999999999'",
                "'99999999999999999999999999999999999999'", 0, -1, 12, 1000, 7, -7, 2024, 3),
    "s1": texts("apple", None, "", "Äöü ß€", "日本語", "  padded\t ", "The Quick brown fox", "a,b,,c", "x" * 12 + "yz" * 9,
                "😀 emoji", "100%_sure\\", "1"),
    "s2": texts("app", "x", "", "ö", "本", " ", "quick", ",", None, "😀", "%", "1"),
    "s3": texts("12", None, "-7", " 30 ", "1e3", "9223372036854775808", "1.5", "NaN", "-0", "0x1F", "abc", "+3."),
    "s4": texts("2024-02-29", None, "1969-12-31 23:59:59.999999", "1582-10-10", "0001-01-01 00:00:00", "9999-12-31T23:59:59Z",
                "2024-02-30", "2024-03-31 02:30:00", "2023-7-4 1:2:3", "2024", "1900-01-01 00:00:00 Europe/Berlin",
                "2024-10-27 02:30:00+02:00"),
    "s5": texts("true", None, "f", "YES", "0", "n", "T", "1", "on", "", " false ", "maybe"),
    "b1": ["X'616263'", "CAST(NULL AS BINARY)", "X''", "X'00FF'", "X'C3A4'", "X'80'", "X'7FFFFFFF'", "X'31'",
           "X'537061726B'", "X'F09F9880'", "X'00'", "X'2024'"],
    "b2": ["X'61'", "X'62'", "X''", "X'00'", "CAST(NULL AS BINARY)", "X'80'", "X'FF'", "X'31'", "X'6B'", "X'9F98'", "X'01'",
           "X'20'"],
    "day1": typed_texts("DATE", "2024-02-29", None, "0001-01-01", "9999-12-31", "1970-01-01", "1969-12-31", "1582-10-04",
                        "1582-10-15", "2024-03-31", "1900-02-28", "2023-07-04", "2000-12-31"),
    "day2": typed_texts("DATE", "2024-01-31", "2020-02-29", "1970-01-01", "1969-12-31", None, "9999-12-31", "0001-01-01",
                        "1582-10-14", "2024-10-27", "1900-03-01", "2023-07-04", "2001-01-01"),
    "ts1": typed_texts("TIMESTAMP", "2024-02-29T12:34:56.789012Z", None, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z",
                       "1970-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "1582-10-10T06:00:00Z", "2024-03-31T01:00:00Z",
                       "2024-10-27T00:30:00Z", "1900-01-01T00:00:00Z", "2024-03-10T07:30:00Z", "1945-05-24T01:30:00Z"),
    "ts2": typed_texts("TIMESTAMP", "2024-03-31T00:59:59.5Z", "2020-02-29T23:00:00Z", "1970-01-01T00:00:00.000001Z",
                       "1969-12-31T00:00:00Z", None, "2038-01-19T03:14:08Z", "1883-11-18T17:00:00Z", "2024-03-31T23:00:00Z",
                       "2024-10-27T01:30:00Z", "1899-12-31T23:59:59Z", "2024-11-03T06:30:00Z", "1945-05-24T01:30:00Z"),
    "ntz1": typed_texts("TIMESTAMP_NTZ", "2024-02-29 12:34:56.789012", None, "0001-01-01 00:00:00",
                        "9999-12-31 23:59:59.999999", "1970-01-01 00:00:00", "1969-12-31 23:59:59.999999",
                        "1582-10-10 06:00:00", "2024-03-31 02:30:00", "2024-10-27 02:30:00", "1900-01-01 00:00:00",
                        "2024-03-10 02:30:00", "1945-05-24 02:30:00"),
    "ntz2": typed_texts("TIMESTAMP_NTZ", "2024-03-31 01:59:59.5", "2020-02-29 23:00:00", "1970-01-01 00:00:00.000001",
                        "1969-12-31 00:00:00", None, "2038-01-19 03:14:08", "1883-11-18 12:00:00", "2024-03-31 03:00:00",
                        "2024-10-27 01:30:00", "1899-12-31 23:59:59", "2024-11-03 01:30:00", "1945-05-24 02:30:00"),
    "ym1": [f"INTERVAL '{v}' YEAR TO MONTH" if v else "CAST(NULL AS INTERVAL YEAR TO MONTH)"
            for v in ["1-2", None, "-178956970-8", "178956970-7", "0-0", "-0-1", "0-1", "0-13"[:3], "10-0", "-2-11", "4-0", "0-3"]],
    "dt1": [f"INTERVAL '{v}' DAY TO SECOND" if v else "CAST(NULL AS INTERVAL DAY TO SECOND)"
            for v in ["1 02:03:04.005006", None, "-106751991 04:00:54.775808", "106751991 04:00:54.775807", "0 00:00:00",
                      "-0 00:00:00.000001", "0 00:00:01", "0 23:59:59.999999", "10 00:00:00", "-2 12:00:00", "365 00:00:00",
                      "0 01:00:00"]],
    "a1": ["array(1, 2, 3)", "CAST(NULL AS ARRAY<INT>)", "CAST(array() AS ARRAY<INT>)", "array(CAST(NULL AS INT))",
           "array(3, NULL, 1)", "array(2147483647, -2147483648)", "array(1, 1, 2, 2)", "array(5)", "array(0, -1)",
           "array(3, 2, 1)", "array(NULL, NULL, 4)", "array(7, 7, 7)"],
    "a2": ["array(2, 3, 4)", "array(1)", "array(1)", "CAST(array() AS ARRAY<INT>)", "array(NULL, 3)", "array(2147483647)",
           "array(2)", "CAST(NULL AS ARRAY<INT>)", "array(0, -1)", "array(1, 2, 3)", "array(4, NULL)", "array(8)"],
    "as1": ["array('b', 'a')", "CAST(NULL AS ARRAY<STRING>)", "CAST(array() AS ARRAY<STRING>)", "array('x', NULL)",
            "array('ä', 'z', 'Z')", "array('', '')", "array('1', '2')", "array('a,b')", "array('日本')", "array('c', 'a', 'b')",
            "array(CAST(NULL AS STRING))", "array('k')"],
    "ad1": ["array(1.5D, 0.5D)", "CAST(NULL AS ARRAY<DOUBLE>)", "CAST(array() AS ARRAY<DOUBLE>)",
            "array(CAST('NaN' AS DOUBLE), 1D)", "array(0D, CAST('-0.0' AS DOUBLE))", "array(CAST('Infinity' AS DOUBLE), NULL)",
            "array(2D)", "array(3D, 1D, 2D)", "array(1D, CAST('NaN' AS DOUBLE), CAST('NaN' AS DOUBLE))", "array(-1D)",
            "array(CAST(NULL AS DOUBLE))", "array(1e300D)"],
    "aa1": ["array(array(1, 2), array(3))", "CAST(NULL AS ARRAY<ARRAY<INT>>)", "CAST(array() AS ARRAY<ARRAY<INT>>)",
            "array(CAST(NULL AS ARRAY<INT>), array(1))", "array(array(1), array(NULL))", "array(CAST(array() AS ARRAY<INT>))",
            "array(array(5, 4), array(3, 2))", "array(array(1), array(1))", "array(array(0))", "array(array(1, 2, 3))",
            "array(array(2), array(1))", "array(array(9))"],
    "m1": ["map('a', 1, 'b', 2)", "CAST(NULL AS MAP<STRING, INT>)", "CAST(map() AS MAP<STRING, INT>)",
           "map('k', CAST(NULL AS INT))", "map('', 0)", "map('ä', -1, 'z', 5)", "map('c', 3, 'a', 1)", "map('1', 1)",
           "map('app', 7)", "map('x', 2147483647)", "map('b', 2, 'a', 1)", "map('3', 3)"],
    "m2": ["map('c', 3)", "map('a', 1)", "map('q', 1)", "map('z', 9)", "CAST(NULL AS MAP<STRING, INT>)",
           "CAST(map() AS MAP<STRING, INT>)", "map('d', 4)", "map('2', 2)", "map('ban', 8)", "map('y', -1)",
           "map('p', CAST(NULL AS INT))", "map('4', 4)"],
    "r1": ["named_struct('x', 1, 'y', 'a')", "CAST(NULL AS STRUCT<x: INT, y: STRING>)",
           "named_struct('x', CAST(NULL AS INT), 'y', 'b')", "named_struct('x', 3, 'y', CAST(NULL AS STRING))",
           "named_struct('x', CAST(NULL AS INT), 'y', CAST(NULL AS STRING))", "named_struct('x', -1, 'y', '')",
           "named_struct('x', 2147483647, 'y', 'ä')", "named_struct('x', 4, 'y', '5')", "named_struct('x', 1, 'y', 'b')",
           "named_struct('x', 7, 'y', '1.5')", "named_struct('x', 0, 'y', '\"q\"')", "named_struct('x', 3, 'y', '3')"],
    "r2": ["named_struct('x', 1, 'y', 'b')", "named_struct('x', 1, 'y', 'a')",
           "named_struct('x', CAST(NULL AS INT), 'y', 'b')", "named_struct('x', 3, 'y', 'c')",
           "CAST(NULL AS STRUCT<x: INT, y: STRING>)", "named_struct('x', -1, 'y', '')", "named_struct('x', 2, 'y', 'ä')",
           "named_struct('x', 4, 'y', '5')", "named_struct('x', 1, 'y', 'a')", "named_struct('x', 8, 'y', '1.5')",
           "named_struct('x', 0, 'y', 'q')", "named_struct('x', 3, 'y', '4')"],
    "j1": texts('{"a": 1, "b": {"c": [1, 2, {"d": null}]}, "e": "x"}', None, "", "[1, 2.50, \"three\", null, true]",
                '{"a": 1e2, "a": 2, "ä": "\\u00e4\\n"}', "{bad", '"text"', "null", '{"x": 12345678901234567890, "y": -0.0}',
                '{"x": 3, "y": "s", "z": [ ] }', '  {"k" : "v"} ', "12"),
    "j2": texts('{"a": 2, "f": 1}', '{"a": 1}', '{"x": 1}', "[]", '{"b": null}', "{}", "1", None, '{"x": "s"}',
                '{"x": 4, "y": {"w": 1}}', '{"k": {"n": 1}}', "true"),
}

ROWS = 12
for name, cells in COLUMNS.items():
    assert len(cells) == ROWS, name

# One column of each type for the pairs of operators and casts; what "every type" means here.
TYPES = ["z1", "t1", "h1", "i1", "l1", "f1", "d1", "n1", "w1", "x1", "s1", "s3", "s4", "s5", "b1", "day1", "ts1", "ntz1", "ym1",
         "dt1", "a1", "as1", "m1", "r1", "NULL"]
PARTNERS = {"z1": "z2", "t1": "t2", "h1": "h2", "i1": "i2", "l1": "l2", "f1": "f2", "d1": "d2", "n1": "n2", "w1": "w2", "s1": "s2",
            "b1": "b2", "day1": "day2", "ts1": "ts2", "ntz1": "ntz2", "a1": "a2", "m1": "m2", "r1": "r2"}


def query():
    rows = ["(" + ", ".join(cells[row] for cells in COLUMNS.values()) + ")" for row in range(ROWS)]
    return "SELECT * FROM VALUES " + ", ".join(rows) + " AS t(" + ", ".join(COLUMNS) + ")"

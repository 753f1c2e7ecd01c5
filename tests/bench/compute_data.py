"""Tables and steps that the benchmarks of the engine share: lineitem and orders, the same at every run."""

WORDS = ("carefully final deposits sleep quickly regular ironic packages above the furiously pending accounts haggle "
         "blithely express requests nag slyly even").split()

LINEITEM = """
SELECT id // 4 + 1 AS l_orderkey,
       (1 + h1 % 200000)::INTEGER AS l_partkey,
       (1 + h1 // 200000 % 10000)::INTEGER AS l_suppkey,
       (1 + id % 4)::INTEGER AS l_linenumber,
       quantity::DECIMAL(12,2) AS l_quantity,
       ((quantity * (90000 + h2 % 110000))::DECIMAL(18,0) / 100)::DECIMAL(12,2) AS l_extendedprice,
       ((h2 // 110000 % 11) / 100)::DECIMAL(12,2) AS l_discount,
       ((h2 // 1210000 % 9) / 100)::DECIMAL(12,2) AS l_tax,
       CASE WHEN ship > 1280 THEN 'N' WHEN h3 % 2 = 0 THEN 'R' ELSE 'A' END AS l_returnflag,
       CASE WHEN ship > 1280 THEN 'O' ELSE 'F' END AS l_linestatus,
       DATE '1992-01-02' + ship AS l_shipdate,
       DATE '1992-01-02' + (ship + (h3 // 2 % 90)::INTEGER - 45) AS l_commitdate,
       DATE '1992-01-02' + (ship + 1 + (h3 // 180 % 30)::INTEGER) AS l_receiptdate,
       ['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'][1 + h3 // 5400 % 4] AS l_shipinstruct,
       ['REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB'][1 + h3 // 21600 % 7] AS l_shipmode,
       substr(words[1 + h4 % 20] || ' ' || words[1 + h4 // 20 % 20] || ' ' || words[1 + h4 // 400 % 20] || ' '
              || words[1 + h4 // 8000 % 20] || ' ' || words[1 + h4 // 160000 % 20], 1, 10 + (h4 // 3200000 % 34)::INTEGER) AS l_comment
FROM (SELECT id, {mix1} AS h1, {mix2} AS h2, {mix3} AS h3, {mix4} AS h4, 1 + {mix5} % 50 AS quantity,
             ({mix6} % 2526)::INTEGER AS ship FROM range({rows}) t(id)), (SELECT {words} AS words)
"""

ORDERS = """
SELECT id + 1 AS o_orderkey, (1 + h1 % 150000)::INTEGER AS o_custkey,
       ['F', 'O', 'P'][1 + h1 // 150000 % 3] AS o_orderstatus,
       ((85000 + h2 % 45000000)::DECIMAL(18,0) / 100)::DECIMAL(12,2) AS o_totalprice,
       DATE '1992-01-01' + (h3 % 2406)::INTEGER AS o_orderdate,
       ['1-URGENT', '2-HIGH', '3-MEDIUM', '4-NOT SPECIFIED', '5-LOW'][1 + h3 // 2406 % 5] AS o_orderpriority,
       'Clerk#' || (h3 // 12030 % 1000) AS o_clerk, 0 AS o_shippriority,
       TIMESTAMP '1992-01-01' + to_seconds(h4 % 200000000) AS o_created, (h4 % 7 = 0) AS o_gift,
       words[1 + h4 % 20] || ' ' || words[1 + h4 // 20 % 20] AS o_comment
FROM (SELECT id, {mix1} AS h1, {mix2} AS h2, {mix3} AS h3, {mix4} AS h4 FROM range({rows}) t(id)), (SELECT {words} AS words)
"""


def step(method, **config):
    inputs = config.pop("inputs", None)
    return {"type": "transform", "method": method, "config": {**({"inputDataFrames": inputs} if inputs else {}), **config}}


def make_data(duckdb, scale):
    mixes = {f"mix{i}": f"(hash(id + {i * 1000000007}) // 2)::BIGINT" for i in range(1, 6)}
    mixes["mix6"] = "(hash(id // 4 + 6000000042::BIGINT) // 2)::BIGINT"
    words = "[" + ", ".join(f"'{word}'" for word in WORDS) + "]"
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for name, text, rows in (("lineitem", LINEITEM, 6_000_000), ("orders", ORDERS, 2_000_000)):
        connection.execute(f"CREATE TABLE {name} AS " + text.format(rows=int(rows * scale), words=words, **mixes))
    return connection

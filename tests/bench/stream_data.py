"""The five scenarios of streaming aggregation: rows, pipelines, the same in SQL, and what must come out.

Row i is a function of i alone, so that the sums below hold for every engine. int is 64 bits, float is double, times are
microseconds without a zone. Texts are plain columns (no dictionaries), for Millrace and for DuckDB alike.
"""

from compute_data import step

FIRST = 1_700_000_000


TIME = f"make_timestamp(({FIRST} + i) * 1000000)"
WAVE = "100.0::DOUBLE + i % 50 + 10 * sin(i / 100)"
ORDERS = "i AS order_id, i % 1000 AS customer_id, '2024-01-15' AS order_date, 150.0::DOUBLE + i % 100 AS total_amount"
PRICES = f"'SYM' || i % 10 AS symbol, {WAVE} AS price, {TIME} AS ts"
QUOTES = "'SYM' || i % 200 AS symbol, 100.0::DOUBLE + i % 100 AS price, i % 1000 AS quantity"
TRADES = f"'TRADER' || i % 20 AS trader_id, 'SYM' || i % 10 AS symbol, {WAVE} AS price, 100 + i % 1000 AS quantity, {TIME} AS trade_time"
FLAT_TRADES = TRADES.replace(WAVE, "100.0::DOUBLE + i % 50")


# All groups of a row's window, as they stand after it: the running values of each group, each joined to the rows from its own to
# the group's next one. `emit: changes` has no such mode: it would put out about 17 rows here for each that comes in, most of them said before.
ALL_GROUPS = """
WITH c AS (
  SELECT trade_time, date_trunc('minute', trade_time) AS minute, trader_id, symbol, count(*) OVER w AS n, avg(price) OVER w AS avg,
         CAST(sum(quantity) OVER w AS BIGINT) AS quantity, sum(price * quantity) OVER w AS value, lead(trade_time) OVER w AS until
  FROM rows WINDOW w AS (PARTITION BY date_trunc('minute', trade_time), trader_id, symbol ORDER BY trade_time
                         ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))
SELECT a.trade_time AS row_time, g.trader_id, g.symbol, g.n, g.avg, g.quantity, g.value
FROM c a JOIN c g ON a.minute = g.minute AND g.trade_time <= a.trade_time AND (g.until IS NULL OR a.trade_time < g.until)
"""


class Scenario:
    """rows: the columns of row i, in SQL. keys: columns of the result that identify a row. expected: {N: (rows, {column: sum})}.
    floor: million rows/s. most: rows at most, where many come out for each."""

    def __init__(self, title, rows, steps, sql, keys, expected, floor=None, ratio=None, emit=None, most=None):
        self.title, self.rows, self.steps, self.sql, self.keys = title, rows, steps, sql, keys
        self.expected, self.floor, self.ratio, self.emit, self.most = expected, floor, ratio, emit, most


def quote_groups(**more):
    return [step("aggregateData", groupBy=["symbol"], aggregations={
        "n": "count(*)", "avg": "avg(price)", "min": "min(price)", "max": "max(price)", "quantity": "sum(quantity)"}, **more)]


def trade_groups(**more):
    return [step("aggregateData", groupBy=["trader_id", "symbol"], aggregations={
        "n": "count(*)", "avg": "avg(price)", "quantity": "sum(quantity)", "value": "sum(price * quantity)"},
        window={"column": "trade_time", "type": "tumbling", "size": "1 minute"}, **more),
        step("selectColumns", columns=["trader_id", "symbol", "window_start", "n", "avg", "quantity", "value"])]


def changes(partition, columns):
    """What each row makes of its group, as running values; with the count of its rows, a row of the result is known by its group."""
    running = ", ".join(f"{text} OVER w AS {name}" for name, text in columns.items())
    return (f"SELECT * REPLACE (quantity::BIGINT AS quantity) FROM (SELECT {', '.join(partition)}, {running} FROM rows WINDOW w AS "
            f"(PARTITION BY {', '.join(p.split(' AS ')[0] for p in partition)} ORDER BY rowid ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))")


def scenarios():
    return {
        "S0": Scenario(
            "filter, all columns", ORDERS,
            [step("filterRows", condition="total_amount > 100"),
             step("selectColumns", columns=["order_id", "customer_id", "order_date", "total_amount"])],
            "SELECT order_id, customer_id, order_date, total_amount FROM rows WHERE total_amount > 100",
            ["order_id"],
            {5_000: (5_000, {"total_amount": 997_500}), 10_000: (10_000, {"total_amount": 1_995_000}),
             100_000: (100_000, {"total_amount": 19_950_000})}, floor=10, ratio=0.5),
        "S1": Scenario(
            "avg, min, max over 100 rows of a symbol", PRICES,
            [step("windowColumns", partitionBy=["symbol"], orderBy=["ts"], frame="ROWS BETWEEN 99 PRECEDING AND CURRENT ROW",
                  columns={"avg": "avg(price)", "min": "min(price)", "max": "max(price)"}),
             step("selectColumns", columns=["ts", "symbol", "price", "avg", "min", "max"])],
            "SELECT ts, symbol, price, avg(price) OVER w AS avg, min(price) OVER w AS min, max(price) OVER w AS max FROM rows "
            "WINDOW w AS (PARTITION BY symbol ORDER BY ts ROWS BETWEEN 99 PRECEDING AND CURRENT ROW)",
            ["ts"],
            {5_000: (5_000, {"avg": 624361.182537, "min": 476864.049809, "max": 770505.261747}),
             10_000: (10_000, {"avg": 1246901.893639, "min": 949664.554007, "max": 1542726.098209})}),
        "S2 final": Scenario(
            "group by symbol, a row a group", QUOTES, quote_groups(),
            "SELECT symbol, count(*) AS n, avg(price) AS avg, min(price) AS min, max(price) AS max, "
            "sum(quantity)::BIGINT AS quantity FROM rows GROUP BY symbol",
            ["symbol"],
            {100_000: (200, {"n": 100_000, "quantity": sum(500 * k + 200_000 for k in range(200))})}, floor=10, ratio=0.5),
        "S2 changes": Scenario(
            "group by symbol, a row for each row", QUOTES, quote_groups(emit="changes"),
            changes(["symbol"], {"n": "count(*)", "avg": "avg(price)", "min": "min(price)", "max": "max(price)", "quantity": "sum(quantity)"}),
            ["symbol", "n"],
            {100_000: (100_000, {"n": 25_050_000, "avg": 14_950_000, "quantity": 12_472_475_000})}, floor=4, emit="changes"),
        "S3a": Scenario(
            "group by trader, symbol and minute, a row a group", TRADES, trade_groups(),
            "SELECT trader_id, symbol, time_bucket(INTERVAL 1 MINUTE, trade_time) AS window_start, count(*) AS n, avg(price) AS avg, "
            "sum(quantity)::BIGINT AS quantity, sum(price * quantity) AS value FROM rows GROUP BY ALL",
            ["trader_id", "symbol", "window_start"],
            {5_000: (1_680, {"n": 5_000, "quantity": 2_997_500, "value": 374186788.9252, "avg": 209154.926915}),
             100_000: (33_340, {"n": 100_000})}, floor=5, ratio=0.5),
        "S3b": Scenario(
            "the same, a row for each row", FLAT_TRADES, trade_groups(emit="changes"),
            changes(["trader_id", "symbol", "time_bucket(INTERVAL 1 MINUTE, trade_time) AS window_start"],
                    {"n": "count(*)", "avg": "avg(price)", "quantity": "sum(quantity)", "value": "sum(price * quantity)"}),
            ["trader_id", "symbol", "window_start", "n"],
            {5_000: (5_000, {"n": 9_960, "avg": 621_650, "quantity": 5_945_020, "value": 741_536_660})}, emit="changes"),
        "S3b all": Scenario(
            "all groups of the window for each row, as a join", FLAT_TRADES, [step("sql", query=ALL_GROUPS)], ALL_GROUPS,
            ["row_time", "trader_id", "symbol"],
            {5_000: (84_040, {"n": 151_700, "avg": 10431786.6667, "quantity": 90_257_900, "value": 11_230_120_700}),
             100_000: (1_683_270, {})}, most=1_000_000),
    }

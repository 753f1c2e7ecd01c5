SELECT k, name, max(v) AS m FROM t GROUP BY ALL

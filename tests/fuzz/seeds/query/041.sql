SELECT k, sum(v) / (SELECT sum(v) FROM t) AS share FROM t GROUP BY k

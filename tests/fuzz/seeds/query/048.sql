SELECT q.n FROM (SELECT k, count(*) AS n FROM t GROUP BY k ORDER BY n) AS q WHERE q.n > 1

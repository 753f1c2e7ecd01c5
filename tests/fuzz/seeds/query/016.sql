SELECT k, count(*) AS n, sum(v) / count(*) AS mean FROM t WHERE v > 0 GROUP BY k HAVING count(*) > 1 AND n < 9 ORDER BY n DESC, k LIMIT 3

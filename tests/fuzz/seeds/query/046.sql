WITH x AS (SELECT id, k FROM t WHERE v > 1), y AS (SELECT k FROM x GROUP BY k) SELECT a.id FROM x a JOIN x b ON a.id = b.k JOIN y ON y.k = a.k

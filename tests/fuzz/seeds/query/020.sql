SELECT count(*), sum(DISTINCT k) AS s, count(*) FILTER (WHERE v > 1) AS f FROM t

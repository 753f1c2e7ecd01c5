SELECT upper(name) AS u, sum(v) FROM t GROUP BY u

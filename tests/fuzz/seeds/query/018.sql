SELECT upper(name), count(*) FROM t GROUP BY 1 ORDER BY 2 DESC

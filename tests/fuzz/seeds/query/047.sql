WITH x(a, b) AS (SELECT id, k FROM t), unused AS (SELECT a FROM x) SELECT b FROM x

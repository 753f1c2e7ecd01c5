SELECT name, w FROM t RIGHT JOIN u ON t.id = u.id AND t.k > 2 AND u.k > 1 WHERE v > 1 AND w IS NULL

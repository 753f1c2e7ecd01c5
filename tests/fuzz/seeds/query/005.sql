SELECT name, w FROM t LEFT JOIN u ON t.id = u.id AND u.k > 1 AND t.k > 2 WHERE v > 1 AND w IS NULL

SELECT name, w FROM t FULL JOIN u ON t.id = u.id AND t.k > 2 WHERE v > 1

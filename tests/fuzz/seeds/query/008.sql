SELECT name FROM t LEFT SEMI JOIN u ON t.id = u.id AND w > 1 AND v > 2

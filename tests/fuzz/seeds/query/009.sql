SELECT name FROM t LEFT ANTI JOIN u ON t.id = u.id AND w > 1 AND v > 2 WHERE k = 1

SELECT t.id, name, u.k AS uk, w FROM t JOIN u ON t.id = u.id WHERE v > 1 AND w < 2 AND t.k <> u.k

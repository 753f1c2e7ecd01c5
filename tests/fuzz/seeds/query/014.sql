SELECT x.id, y.id AS other FROM t x JOIN t y ON x.k = y.k

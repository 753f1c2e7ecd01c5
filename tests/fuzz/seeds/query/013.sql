SELECT name, p.y FROM t CROSS JOIN s WHERE s.p.x = 1 AND a[0] = t.k

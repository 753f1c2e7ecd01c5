SELECT id FROM t WHERE id IN (SELECT id FROM u WHERE u.k = t.k AND w > 1)

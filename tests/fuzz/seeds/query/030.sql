SELECT id FROM t WHERE (id, k) IN (SELECT id, k FROM u)

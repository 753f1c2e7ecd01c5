SELECT id, (SELECT max(w) FROM u WHERE u.id = t.id) AS m, (SELECT count(*) FROM u WHERE u.k = t.k) AS n FROM t

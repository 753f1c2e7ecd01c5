SELECT id, t.id AS a, u.id AS b FROM t FULL JOIN u USING (id) WHERE id > 1 AND t.id > 2

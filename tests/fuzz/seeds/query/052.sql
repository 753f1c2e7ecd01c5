SELECT a.x, a.y FROM (SELECT p.x, p.y FROM s) AS a WHERE (a.x, a.y) IN (SELECT id, name FROM t)

SELECT name, w FROM t, u WHERE t.id = u.id AND name LIKE 'a%' AND w > 0

SELECT t.id, u.w FROM t JOIN (u JOIN s ON u.id = s.id) ON t.id = s.id

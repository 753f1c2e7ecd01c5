SELECT id + 1, upper(name) FROM t

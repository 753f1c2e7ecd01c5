SELECT id, name, w FROM t JOIN u USING (id)

coalesce(i, 0)
coalesce(NULL, s, 'none')
coalesce(i, l)

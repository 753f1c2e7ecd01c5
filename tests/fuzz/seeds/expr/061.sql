coalesce(i, 1/0)
coalesce(i, 4, 1/0)
nvl(i, 9)

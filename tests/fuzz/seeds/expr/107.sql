try_add(big, 1)
try_divide(i, 0)
CAST(ts AS STRING)

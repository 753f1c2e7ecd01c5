überschrift = = 1
CAST('x' AS INT)
CAST(s AS INT)

isnull(i)
isnotnull(i)
isnan(d)

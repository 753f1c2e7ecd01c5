CAST(m AS MAP<STRING, DOUBLE>)['k']
CASE WHEN b THEN arr END
coalesce(st, st).y

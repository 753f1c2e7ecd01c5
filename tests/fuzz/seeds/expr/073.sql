CAST(i AS nosuchtype)
CAST(day AS INT)
300Y

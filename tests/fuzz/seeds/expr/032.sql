s LIKE '%'
s LIKE '_a_a_a'
s NOT LIKE '%p%'

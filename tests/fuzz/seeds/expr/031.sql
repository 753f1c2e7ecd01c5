s LIKE '%e'
s LIKE 'apple'
s LIKE ''

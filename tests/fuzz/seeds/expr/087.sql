coalesce(i, 'x')
f + 1
b = 1

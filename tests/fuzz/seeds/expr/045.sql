1 | 2 = 3
s || '-' || i
concat(s, '!')

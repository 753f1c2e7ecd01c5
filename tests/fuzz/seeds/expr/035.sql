s LIKE ANY ('a%', 'B%')
s LIKE ALL ('%a%', '%n%')
s RLIKE '^[a-z]+$'

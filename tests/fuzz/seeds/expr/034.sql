'äöü' LIKE '_ö_'
'abcabcabd' LIKE '%abc%abd'
s ILIKE 'BAN%'

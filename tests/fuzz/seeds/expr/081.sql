wide * 1000000000000
'a' RLIKE '('
'a' LIKE 'a\\b'

ifnull(s, 'x')
nvl2(i, 'set', 'unset')
nullif(i, 2)

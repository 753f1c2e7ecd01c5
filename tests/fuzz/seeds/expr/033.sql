'50%' LIKE '50\%'
'50x' LIKE '50\%'
'50%' LIKE '50!%' ESCAPE '!'

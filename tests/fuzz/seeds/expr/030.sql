day BETWEEN '2024-01-01' AND '2024-01-31'
s LIKE 'a%'
s LIKE '%an%'

i::decimal(5,2) + 1
CAST(b AS STRING)
CAST(b AS INT)

DATE '2024-02-30'
INTERVAL 'x' DAY
repeat_missing(s)

INTERVAL 1 DAY + day
day - DATE '2024-01-01'
ts + INTERVAL '1 day 1 second'

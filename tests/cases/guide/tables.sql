-- Small tables with the names and columns that the guide's blocks use.
CREATE TABLE large_table (id bigint PRIMARY KEY, category text, value double precision, amount numeric(18,4));
INSERT INTO large_table
SELECT CASE WHEN n % 500 = 0 THEN 1000000 + n WHEN n % 501 = 0 THEN -n ELSE n * 197 END,
       (ARRAY['alpha', 'beta', 'épsilon', NULL])[1 + n % 4],
       n * 0.25,
       CASE WHEN n % 7 > 0 THEN (n * 31 - 50000)::numeric / 100 END
FROM generate_series(1, 5000) n;

CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, order_date date, status text, amount numeric(12,2),
                     currency char(3), updated_at timestamptz);
INSERT INTO orders
SELECT n, n % 97, date '2024-01-01' + (n % 730), (ARRAY['completed', 'pending', 'returned'])[1 + n % 3],
       (n * 37 % 100000)::numeric / 100, 'EUR', timestamptz '2024-01-01 00:00:00+00' + n * interval '3 hours 7.25 seconds'
FROM generate_series(1, 3000) n;

CREATE TABLE events (id bigint PRIMARY KEY, type text, ts timestamptz, payload jsonb);
INSERT INTO events
SELECT n, (ARRAY['view', 'cart', 'buy'])[1 + n % 3], timestamptz '2024-12-20 00:00:00+00' + n * interval '11 minutes',
       jsonb_build_object('n', n)
FROM generate_series(1, 3000) n;
ANALYZE;

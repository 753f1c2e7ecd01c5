CREATE TABLE orders (id bigint, customer integer, region text, total numeric(10,2));
INSERT INTO orders SELECT n, CASE WHEN n % 9 > 0 THEN n % 70 END, (ARRAY['eu', 'us', 'ap', NULL])[1 + n % 4], n * 3.25 FROM generate_series(1, 2000) n;
CREATE TABLE customers (customer_id bigint, name text, region text, rating numeric(12,4));
INSERT INTO customers SELECT n, 'customer ' || n, (ARRAY['eu', 'us', 'ap'])[1 + n % 3], n FROM generate_series(10, 90) n;
CREATE TABLE regions (region text, label text, least numeric(6,1));
INSERT INTO regions VALUES ('eu', 'Europe', 100), ('us', 'America', 1000.5), ('af', 'Africa', 0);
ANALYZE;

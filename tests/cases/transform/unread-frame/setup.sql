CREATE TABLE things (id bigint PRIMARY KEY, kind text, price bigint, colour text);
INSERT INTO things SELECT n, 'kind ' || n % 3, n * 2, 'colour ' || n FROM generate_series(1, 100) n;
ANALYZE things;

CREATE TABLE words AS SELECT md5(n::text) || ' é' AS w FROM generate_series(1, 3000) n;
ANALYZE words;

CREATE TABLE skewed AS SELECT CASE WHEN n % 50 = 0 THEN NULL WHEN n % 3 = 0 THEN 7 ELSE n * n END AS k, n FROM generate_series(1, 4000) n;
ANALYZE skewed;

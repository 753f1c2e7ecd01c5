CREATE TABLE people (id bigint PRIMARY KEY, name text);
INSERT INTO people SELECT n, 'person ' || n FROM generate_series(1, 1000) n;
CREATE TABLE numbers (n bigint PRIMARY KEY, thing text);
INSERT INTO numbers SELECT n, 'thing ' || n FROM generate_series(-200, 1500, 3) n;
ANALYZE numbers, people;

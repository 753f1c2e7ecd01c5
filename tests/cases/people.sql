-- A thousand people: nulls, unicode, numerics, arrays and jsonb.
CREATE TABLE people (id bigint PRIMARY KEY, name text, age integer, active boolean, balance numeric(10,2),
                     created_at timestamptz, city text, tags text[], notes jsonb);
INSERT INTO people
SELECT n, 'person ' || n || CASE WHEN n % 10 = 0 THEN ' Ömer ☃' ELSE '' END,
       CASE WHEN n % 11 > 0 THEN 10 + n % 70 END,
       n % 5 > 0,
       (n * 7919 % 200000 - 50000)::numeric / 100,
       timestamptz '2022-11-03 10:00:00+00' + n * interval '19 hours 13.000007 seconds',
       (ARRAY['Ulm', 'Kraków', '東京', 'São Paulo'])[1 + n % 4],
       ARRAY['t' || n % 3, NULL],
       jsonb_build_object('n', n)
FROM generate_series(1, 1000) n;
ANALYZE people;

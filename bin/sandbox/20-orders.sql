-- 500,000 orders from 2023 to 2025. A few users order very often: the user id is skewed by a cube.
BEGIN;
CREATE TABLE orders (
    id bigint NOT NULL,
    user_id bigint NOT NULL,
    order_date date NOT NULL,
    status text NOT NULL,
    amount numeric(12,2) NOT NULL,
    currency char(3) NOT NULL,
    coupon text,
    updated_at timestamptz NOT NULL
);

INSERT INTO orders
SELECT id,
       1 + floor(power(frac(id, 31), 3) * 200000)::bigint,
       day,
       pick('{completed,completed,completed,completed,completed,shipped,pending,cancelled,returned}', mix(id, 33)),
       (199 + floor(power(frac(id, 34), 3) * 90000))::numeric / 100,
       pick('{USD,USD,EUR,EUR,GBP,JPY}', mix(id, 35)),
       CASE WHEN mix(id, 36) % 9 = 0 THEN 'SAVE' || mix(id, 37) % 50 END,
       day::timestamp AT TIME ZONE 'UTC' + mix(id, 38) % 864000 * interval '1 second'
FROM (SELECT id::bigint, date '2023-01-01' + ((id - 1) * 1096::bigint / 500000)::int AS day
      FROM generate_series(1, 500000) id) s;

ALTER TABLE orders ADD PRIMARY KEY (id);

-- 1,000,000 lines: two an order on average, one to three in turn.
CREATE TABLE order_items (
    order_id bigint NOT NULL,
    line smallint NOT NULL,
    sku text NOT NULL,
    quantity integer NOT NULL,
    unit_price numeric(10,2) NOT NULL,
    discount numeric(4,3),
    gift boolean NOT NULL
);

INSERT INTO order_items
SELECT order_id,
       line,
       'SKU-' || lpad((floor(power(frac(order_id * 4 + line, 41), 2) * 20000))::text, 5, '0'),
       1 + (mix(order_id * 4 + line, 42) % 5)::int,
       (99 + mix(order_id * 4 + line, 43) % 25000)::numeric / 100,
       CASE WHEN mix(order_id * 4 + line, 44) % 4 = 0 THEN (mix(order_id * 4 + line, 45) % 500)::numeric / 1000 END,
       mix(order_id * 4 + line, 46) % 17 = 0
FROM generate_series(1::bigint, 500000) order_id, generate_series(1, 3) line
WHERE line <= 1 + order_id % 3;

ALTER TABLE order_items ADD PRIMARY KEY (order_id, line);
COMMIT;

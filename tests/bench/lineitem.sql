-- lineitem and orders in the shape of TPC-H, made from hashes of the row number: the same at every load.
-- psql variables: scale (1 = 6,000,000 and 2,000,000 rows). Unlogged: the data can be made again.
\set ON_ERROR_STOP 1
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;

CREATE FUNCTION mix(id bigint, salt int) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT hashint8extended(id, salt) & 9223372036854775807 $$;

CREATE UNLOGGED TABLE lineitem (
    l_orderkey bigint NOT NULL,
    l_partkey integer NOT NULL,
    l_suppkey integer NOT NULL,
    l_linenumber integer NOT NULL,
    l_quantity numeric(12,2) NOT NULL,
    l_extendedprice numeric(12,2) NOT NULL,
    l_discount numeric(12,2) NOT NULL,
    l_tax numeric(12,2) NOT NULL,
    l_returnflag char(1) NOT NULL,
    l_linestatus char(1) NOT NULL,
    l_shipdate date NOT NULL,
    l_commitdate date NOT NULL,
    l_receiptdate date NOT NULL,
    l_shipinstruct char(25) NOT NULL,
    l_shipmode char(10) NOT NULL,
    l_comment varchar(44) NOT NULL
);

INSERT INTO lineitem
SELECT id / 4 + 1,
       1 + h1 % 200000,
       1 + h1 / 200000 % 10000,
       1 + id % 4,
       quantity,
       (quantity * (90000 + h2 % 110000))::numeric / 100,
       (h2 / 110000 % 11)::numeric / 100,
       (h2 / 1210000 % 9)::numeric / 100,
       CASE WHEN ship > 1280 THEN 'N' WHEN h3 % 2 = 0 THEN 'R' ELSE 'A' END,
       CASE WHEN ship > 1280 THEN 'O' ELSE 'F' END,
       date '1992-01-02' + ship,
       date '1992-01-02' + ship + (h3 / 2 % 90)::int - 45,
       date '1992-01-02' + ship + 1 + (h3 / 180 % 30)::int,
       (ARRAY['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'])[1 + h3 / 5400 % 4],
       (ARRAY['REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB'])[1 + h3 / 21600 % 7],
       substr(words[1 + h4 % 20] || ' ' || words[1 + h4 / 20 % 20] || ' ' || words[1 + h4 / 400 % 20] || ' '
              || words[1 + h4 / 8000 % 20] || ' ' || words[1 + h4 / 160000 % 20], 1, 10 + (h4 / 3200000 % 34)::int)
FROM (SELECT id, mix(id, 1) AS h1, mix(id, 2) AS h2, mix(id, 3) AS h3, mix(id, 4) AS h4,
             1 + mix(id, 5) % 50 AS quantity, (mix(id / 4, 6) % 2526)::int AS ship
      FROM generate_series(0, (6000000 * :scale)::bigint - 1) id) s,
     (SELECT ARRAY['carefully', 'final', 'deposits', 'sleep', 'quickly', 'regular', 'ironic', 'packages', 'above', 'the',
                   'furiously', 'pending', 'accounts', 'haggle', 'blithely', 'express', 'requests', 'nag', 'slyly',
                   'even'] AS words) w;

CREATE UNLOGGED TABLE orders (
    o_orderkey bigint NOT NULL,
    o_custkey integer NOT NULL,
    o_orderstatus char(1) NOT NULL,
    o_totalprice numeric(12,2) NOT NULL,
    o_orderdate date NOT NULL,
    o_orderpriority varchar(15) NOT NULL,
    o_clerk varchar(15) NOT NULL,
    o_shippriority integer NOT NULL,
    o_rating double precision,
    o_updated timestamptz NOT NULL,
    o_comment varchar(79)
);

INSERT INTO orders
SELECT id,
       1 + h1 % 150000,
       (ARRAY['F', 'O', 'P'])[1 + h1 / 150000 % 3],
       (90000 + h2 % 50000000)::numeric / 100,
       date '1992-01-01' + (h1 / 450000 % 2406)::int,
       (ARRAY['1-URGENT', '2-HIGH', '3-MEDIUM', '4-NOT SPECIFIED', '5-LOW'])[1 + h2 % 5],
       'Clerk#' || lpad((1 + h2 / 5 % 1000)::text, 9, '0'),
       0,
       CASE WHEN id % 10 > 0 THEN (h2 / 5000 % 10000) / 100.0 END,
       timestamptz '2024-01-01 00:00:00+00' + id * interval '7.000001 seconds',
       CASE WHEN id % 12 > 0 THEN 'order ' || h1 % 100000 || ' of customer ' || h2 % 77777 END
FROM (SELECT id, mix(id, 11) AS h1, mix(id, 12) AS h2
      FROM generate_series(1, (2000000 * :scale)::bigint) id) s;

ANALYZE lineitem, orders;

-- Few and wide rows, for what depends on bytes and not on rows (a slow link).
CREATE UNLOGGED TABLE wide (id bigint PRIMARY KEY, body text NOT NULL);
INSERT INTO wide
SELECT id, (SELECT string_agg(md5(id || '-' || part), '') FROM generate_series(1, 32) part)
FROM generate_series(1, (120000 * :scale)::bigint) id;
ANALYZE wide;

-- 300,000 events of 2025 in the order of their time, with a JSON payload.
BEGIN;
CREATE TABLE events (
    id bigint NOT NULL,
    user_id bigint,
    session uuid NOT NULL,
    type text NOT NULL,
    ts timestamptz NOT NULL,
    duration_ms real,
    payload jsonb NOT NULL
);

INSERT INTO events
SELECT id,
       CASE WHEN mix(id, 51) % 12 > 0 THEN 1 + floor(power(frac(id, 52), 3) * 200000)::bigint END,
       md5('session-' || id / 7)::uuid,
       pick('{view,view,view,view,search,cart,purchase,logout}', mix(id, 53)),
       timestamptz '2025-01-01 00:00:00+00' + (id * 105.12 + frac(id, 54) * 90) * interval '1 second',
       CASE WHEN mix(id, 55) % 5 > 0 THEN frac(id, 56) * 4000 END,
       jsonb_build_object('page', '/p/' || mix(id, 57) % 3000, 'ms', mix(id, 58) % 900,
                          'ref', pick('{mail,search,"",social}', mix(id, 59)))
FROM generate_series(1::bigint, 300000) id;

ALTER TABLE events ADD PRIMARY KEY (id);

-- 100,000 rows with gaps in their ids, a thousand of them above 1,000,000 and some below 1.
CREATE TABLE large_table (
    id bigint NOT NULL,
    category text NOT NULL,
    value double precision,
    amount numeric(18,4),
    created_at timestamp NOT NULL
);

INSERT INTO large_table
SELECT n * 10 - 50 + CASE WHEN n > 99000 THEN 20000 ELSE mix(n, 61) % 9 END,
       pick('{alpha,beta,gamma,delta,épsilon}', mix(n, 62)),
       CASE WHEN n % 1000 = 0 THEN 'NaN' WHEN n % 1001 = 0 THEN 'Infinity' ELSE frac(n, 63) * 1e6 END,
       CASE WHEN n % 20 > 0 THEN (mix(n, 64) % 1000000000000 - 500000000000)::numeric / 10000 END,
       timestamp '2024-01-01' + n * interval '5 minutes'
FROM generate_series(1::bigint, 100000) n;

ALTER TABLE large_table ADD PRIMARY KEY (id);
COMMIT;

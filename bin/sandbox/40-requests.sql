-- 250,000 calls of four models from June to August 2025: latency has a long tail, errors come in bad days.
BEGIN;
CREATE TABLE model_requests (
    id bigint NOT NULL,
    requested_at timestamptz NOT NULL,
    model text NOT NULL,
    user_id bigint,
    latency_ms double precision,
    tokens_in integer NOT NULL,
    tokens_out integer,
    status smallint NOT NULL
);

INSERT INTO model_requests
SELECT id,
       at,
       model,
       CASE WHEN mix(id, 73) % 10 > 0 THEN 1 + floor(power(frac(id, 74), 3) * 200000)::bigint END,
       CASE WHEN status < 500 THEN round((40 + 400 * power(frac(id, 75), 4) + 3000 * power(frac(id, 76), 40))::numeric, 3)::double precision END,
       1 + floor(power(frac(id, 77), 2) * 8000)::int,
       CASE WHEN status = 200 THEN 1 + floor(power(frac(id, 78), 2) * 2000)::int END,
       status
FROM (SELECT id,
             timestamptz '2025-06-01 00:00:00+00' + id * interval '31.7 seconds' AS at,
             pick('{atlas-small,atlas-small,atlas-large,borealis,cobalt-vision}', mix(id, 71)) AS model,
             CASE WHEN mix(id, 72) % 1000 < 8 + (id / 2726 % 11 / 10) * 60 THEN 500 + 3 * (mix(id, 79) % 2)
                  WHEN mix(id, 72) % 1000 > 970 THEN 429 ELSE 200 END AS status
      FROM generate_series(1::bigint, 250000) id) s;

ALTER TABLE model_requests ADD PRIMARY KEY (id);
COMMIT;

-- 200,000 users who signed up from 2021 to 2024, more of them in later years.
BEGIN;
CREATE TABLE users (
    id bigint NOT NULL,
    external_id uuid NOT NULL,
    email text NOT NULL,
    name text NOT NULL,
    age integer,
    active boolean NOT NULL,
    country varchar(2),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    balance numeric(12,2) NOT NULL,
    score double precision,
    profile jsonb,
    tags text[]
);

INSERT INTO users
SELECT id,
       md5('user-' || id)::uuid,
       'user' || id || '@' || pick('{example.com,example.org,mail.example,post.example}', mix(id, 1)),
       pick('{Zoë,José,Łukasz,Søren,Ngọc,Мария,Αθηνά,नेहा,李,さくら,Ana,Ben,Chloé,Dilan,Ewa,Fatima,Grace,Hugo}',
            mix(id, 2)) || ' ' ||
       pick('{Müller,"O''Brien",García,Иванова,Παπάς,शर्मा,王,高橋,Nowak,Jensen,"van den Berg",Smith,Öztürk,Nguyễn}',
            mix(id, 3)) || CASE WHEN id % 997 = 0 THEN ' 🙂' ELSE '' END,
       CASE WHEN mix(id, 4) % 100 < 7 THEN NULL
            ELSE 12 + floor(power(frac(id, 5), 1.4) * 78)::int END,
       mix(id, 6) % 100 < 82,
       CASE WHEN mix(id, 7) % 50 > 0 THEN pick('{US,US,US,DE,DE,FR,GB,GB,IN,IN,JP,BR,PL,ES,SE,VN}', mix(id, 8)) END,
       created,
       created + mix(id, 10) % 31536000 * interval '1 second',
       (floor(power(frac(id, 11), 4) * 5000000) - 25000)::numeric / 100,
       CASE WHEN id % 13 > 0 THEN frac(id, 12) * 100 END,
       CASE WHEN mix(id, 13) % 20 > 0 THEN jsonb_build_object(
            'plan', pick('{free,free,free,plus,pro,team}', mix(id, 14)),
            'logins', mix(id, 15) % 400,
            'newsletter', mix(id, 16) % 3 = 0,
            'address', jsonb_build_object('city', pick('{Kraków,São Paulo,東京,Göteborg,Pune,Leeds,Ulm,Reno}', mix(id, 17)))) END,
       CASE mix(id, 18) % 6
            WHEN 0 THEN NULL
            WHEN 1 THEN '{}'
            WHEN 2 THEN ARRAY['new', NULL]
            ELSE ARRAY[pick('{mobile,web,store}', mix(id, 19)), pick('{vip,trial,loyal,"a, b"}', mix(id, 20))] END
FROM (SELECT id::bigint,
             timestamptz '2021-01-01 00:00:00+00' + (sqrt(frac(id, 9)) * 126230399)::int * interval '1 second'
             + mix(id, 21) % 1000000 * interval '1 microsecond' AS created
      FROM generate_series(1, 200000) id) s;

ALTER TABLE users ADD PRIMARY KEY (id);
COMMIT;

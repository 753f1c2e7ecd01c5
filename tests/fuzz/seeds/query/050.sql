SELECT id AS i, CASE k WHEN 1 THEN 'x' ELSE name END AS c, d + INTERVAL 1 DAY AS e, p FROM t, s WHERE t.id = s.id AND d >= DATE '2024-01-01'

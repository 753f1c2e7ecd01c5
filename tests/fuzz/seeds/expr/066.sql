CASE WHEN i = 1 THEN 'one' WHEN i = 2 THEN 'two' END
CASE i WHEN 1 THEN 'one' WHEN 2 THEN 'two' ELSE 'many' END
CASE WHEN i = 2 THEN 0 ELSE 10 / (i - 2) END

SELECT `a b`.id, count(*) FROM t AS `a b` GROUP BY `a b`.id, /* all */ k -- end
ORDER BY ALL

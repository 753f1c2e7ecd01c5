/*
 * sql_cases.h - queries and the parts that they become: test_sql QUERY .. prints them.
 */
{"SELECT id FROM t", "0 selectColumns (t) columns: id = id\n"},
    {"SELECT * FROM t", "0 selectColumns (t) columns: id = id, k = k, name = name, v = v, d = d\n"},
    {"SELECT id + 1, upper(name) FROM t",
     "0 selectColumns (t) columns: (id + 1) = id + 1, upper(name) = upper(name)\n"},
    {"SELECT t.id, name, u.k AS uk, w FROM t JOIN u ON t.id = u.id WHERE v > 1 AND w < 2 AND t.k "
     "<> u.k",
     "0 renameColumns (u) columns: id = u.id, k = u.k\n"
     "1 filterRows (t) condition: v > 1\n"
     "2 filterRows (0) condition: w < 2\n"
     "3 joinDataFrames (1, 2) joinConditions: id = `u.id` AND k <> `u.k` joinType: inner\n"
     "4 selectColumns (3) columns: id = id, name = name, uk = `u.k`, w = w\n"},
    {"SELECT name, w FROM t, s, u WHERE t.id = u.id AND u.k = s.id AND t.k > 1",
     "0 renameColumns (s) columns: id = s.id\n"
     "1 renameColumns (u) columns: id = u.id, k = u.k\n"
     "2 filterRows (t) condition: k > 1\n"
     "3 joinDataFrames (2, 1) joinConditions: id = `u.id` joinType: inner\n"
     "4 joinDataFrames (3, 0) joinConditions: `u.k` = `s.id` joinType: inner\n"
     "5 selectColumns (4) columns: name = name, w = w\n"},
    {"SELECT name, w FROM t, u WHERE t.id = u.id AND name LIKE 'a%' AND w > 0",
     "0 renameColumns (u) columns: id = u.id, k = u.k\n"
     "1 filterRows (t) condition: name LIKE 'a%'\n"
     "2 filterRows (0) condition: w > 0\n"
     "3 joinDataFrames (1, 2) joinConditions: id = `u.id` joinType: inner\n"
     "4 selectColumns (3) columns: name = name, w = w\n"},
    {"SELECT name, w FROM t LEFT JOIN u ON t.id = u.id AND u.k > 1 AND t.k > 2 WHERE v > 1 AND w "
     "IS NULL",
     "0 renameColumns (u) columns: id = u.id, k = u.k\n"
     "1 filterRows (t) condition: v > 1\n"
     "2 filterRows (0) condition: `u.k` > 1\n"
     "3 joinDataFrames (1, 2) joinConditions: id = `u.id` AND k > 2 joinType: left\n"
     "4 filterRows (3) condition: w IS NULL\n"
     "5 selectColumns (4) columns: name = name, w = w\n"},
    {"SELECT name, w FROM t RIGHT JOIN u ON t.id = u.id AND t.k > 2 AND u.k > 1 WHERE v > 1 AND w "
     "IS NULL",
     "0 renameColumns (u) columns: id = u.id, k = u.k\n"
     "1 filterRows (t) condition: k > 2\n"
     "2 filterRows (0) condition: w IS NULL\n"
     "3 joinDataFrames (1, 2) joinConditions: id = `u.id` AND `u.k` > 1 joinType: right\n"
     "4 filterRows (3) condition: v > 1\n"
     "5 selectColumns (4) columns: name = name, w = w\n"},
    {"SELECT name, w FROM t FULL JOIN u ON t.id = u.id AND t.k > 2 WHERE v > 1",
     "0 renameColumns (u) columns: id = u.id, k = u.k\n"
     "1 joinDataFrames (t, 0) joinConditions: id = `u.id` AND k > 2 joinType: full\n"
     "2 filterRows (1) condition: v > 1\n"
     "3 selectColumns (2) columns: name = name, w = w\n"},
    {"SELECT name FROM t LEFT SEMI JOIN u ON t.id = u.id AND w > 1 AND v > 2",
     "0 renameColumns (u) columns: id = u.id, k = u.k\n"
     "1 filterRows (t) condition: v > 2\n"
     "2 filterRows (0) condition: w > 1\n"
     "3 joinDataFrames (1, 2) joinConditions: id = `u.id` joinType: left_semi\n"
     "4 selectColumns (3) columns: name = name\n"},
    {"SELECT name FROM t LEFT ANTI JOIN u ON t.id = u.id AND w > 1 AND v > 2 WHERE k = 1",
     "0 renameColumns (u) columns: id = u.id, k = u.k\n"
     "1 filterRows (t) condition: k = 1\n"
     "2 filterRows (0) condition: w > 1\n"
     "3 joinDataFrames (1, 2) joinConditions: id = `u.id` AND v > 2 joinType: left_anti\n"
     "4 selectColumns (3) columns: name = name\n"},
    {"SELECT id, name, w FROM t JOIN u USING (id)",
     "0 renameColumns (u) columns: id = u.id, k = u.k\n"
     "1 joinDataFrames (t, 0) joinConditions: id = `u.id` joinType: inner\n"
     "2 selectColumns (1) columns: id = id, name = name, w = w\n"},
    {"SELECT id, t.id AS a, u.id AS b FROM t FULL JOIN u USING (id) WHERE id > 1 AND t.id > 2",
     "0 renameColumns (u) columns: id = u.id, k = u.k\n"
     "1 joinDataFrames (t, 0) joinConditions: id = `u.id` joinType: full\n"
     "2 enrichData (1) columns: id.1 = coalesce(id, `u.id`)\n"
     "3 filterRows (2) condition: `id.1` > 1 AND id > 2\n"
     "4 selectColumns (3) columns: id = `id.1`, a = id, b = `u.id`\n"},
    {"SELECT id, k, w FROM t NATURAL JOIN u",
     "0 renameColumns (u) columns: id = u.id, k = u.k\n"
     "1 joinDataFrames (t, 0) joinConditions: id = `u.id` AND k = `u.k` joinType: inner\n"
     "2 selectColumns (1) columns: id = id, k = k, w = w\n"},
    {"SELECT name, p.y FROM t CROSS JOIN s WHERE s.p.x = 1 AND a[0] = t.k",
     "0 renameColumns (s) columns: id = s.id\n"
     "1 filterRows (0) condition: p.x = 1\n"
     "2 joinDataFrames (t, 1) joinConditions: a[0] = k joinType: inner\n"
     "3 selectColumns (2) columns: name = name, y = p.y\n"},
    {"SELECT x.id, y.id AS other FROM t x JOIN t y ON x.k = y.k",
     "0 renameColumns (t) columns: id = y.id, k = y.k, name = y.name, v = y.v, d = y.d\n"
     "1 joinDataFrames (t, 0) joinConditions: k = `y.k` joinType: inner\n"
     "2 selectColumns (1) columns: id = id, other = `y.id`\n"},
    {"SELECT t.id, u.w FROM t JOIN (u JOIN s ON u.id = s.id) ON t.id = s.id",
     "0 renameColumns (u) columns: id = u.id, k = u.k\n"
     "1 renameColumns (s) columns: id = s.id\n"
     "2 joinDataFrames (t, 1) joinConditions: id = `s.id` joinType: inner\n"
     "3 joinDataFrames (2, 0) joinConditions: `u.id` = `s.id` joinType: inner\n"
     "4 selectColumns (3) columns: id = id, w = w\n"},
    {"SELECT k, count(*) AS n, sum(v) / count(*) AS mean FROM t WHERE v > 0 GROUP BY k HAVING "
     "count(*) > 1 AND n < 9 ORDER BY n DESC, k LIMIT 3",
     "0 filterRows (t) condition: v > 0\n"
     "1 aggregateData (0) groupBy: k aggregations: count = count(*), sum = sum(v)\n"
     "2 filterRows (1) condition: count > 1 AND count < 9\n"
     "3 selectColumns (2) columns: k = k, n = count, mean = sum / count\n"
     "4 sortData (3) orderBy: n DESC NULLS LAST, k ASC NULLS FIRST\n"
     "5 limitRows (4) count: 3\n"},
    {"SELECT upper(name) AS u, sum(v) FROM t GROUP BY u",
     "0 enrichData (t) columns: group key = upper(name)\n"
     "1 aggregateData (0) groupBy: `group key` aggregations: sum = sum(v)\n"
     "2 selectColumns (1) columns: u = `group key`, sum(v) = sum\n"},
    {"SELECT upper(name), count(*) FROM t GROUP BY 1 ORDER BY 2 DESC",
     "0 enrichData (t) columns: group key = upper(name)\n"
     "1 aggregateData (0) groupBy: `group key` aggregations: count = count(*)\n"
     "2 selectColumns (1) columns: upper(name) = `group key`, count(1) = count\n"
     "3 sortData (2) orderBy: `count(1)` DESC NULLS LAST\n"},
    {"SELECT k, name, max(v) AS m FROM t GROUP BY ALL",
     "0 aggregateData (t) groupBy: k, name aggregations: max = max(v)\n"
     "1 selectColumns (0) columns: k = k, name = name, m = max\n"},
    {"SELECT count(*), sum(DISTINCT k) AS s, count(*) FILTER (WHERE v > 1) AS f FROM t",
     "0 aggregateData (t) aggregations: count = count(*), sum = sum(DISTINCT k), count.1 = "
     "count(*) FILTER (WHERE v > 1)\n"
     "1 selectColumns (0) columns: count(1) = count, s = sum, f = `count.1`\n"},
    {"SELECT k FROM t GROUP BY k HAVING max(v) > 1 ORDER BY min(v)",
     "0 aggregateData (t) groupBy: k aggregations: min = min(v), max = max(v)\n"
     "1 filterRows (0) condition: max > 1\n"
     "2 selectColumns (1) columns: k = k, order key = min\n"
     "3 sortData (2) orderBy: `order key` ASC NULLS FIRST\n"
     "4 selectColumns (3) columns: k = k\n"},
    {"SELECT DISTINCT k, name FROM t ORDER BY k",
     "0 selectColumns (t) columns: k = k, name = name\n"
     "1 deduplicate (0)\n"
     "2 sortData (1) orderBy: k ASC NULLS FIRST\n"},
    {"SELECT id, k AS kk FROM t ORDER BY v, kk DESC NULLS FIRST LIMIT 2 OFFSET 1",
     "0 selectColumns (t) columns: id = id, kk = k, order key = v\n"
     "1 sortData (0) orderBy: `order key` ASC NULLS FIRST, kk DESC NULLS FIRST\n"
     "2 limitRows (1) count: 2 offset: 1\n"
     "3 selectColumns (2) columns: id = id, kk = kk\n"},
    {"SELECT id AS a, a + 1 AS b, b * 2 AS c FROM t",
     "0 selectColumns (t) columns: a = id, b = id + 1, c = (id + 1) * 2\n"},
    {"SELECT * EXCEPT (v, d) FROM t", "0 selectColumns (t) columns: id = id, k = k, name = name\n"},
    {"SELECT id, row_number() OVER (PARTITION BY k ORDER BY v DESC) AS rn, sum(v) OVER (PARTITION "
     "BY k) AS s, rank() OVER (PARTITION BY k ORDER BY v DESC) AS r FROM t",
     "0 windowColumns (t) partitionBy: k orderBy: v DESC NULLS LAST columns: row_number = "
     "row_number(), rank = rank()\n"
     "1 windowColumns (0) partitionBy: k columns: sum = sum(v)\n"
     "2 selectColumns (1) columns: id = id, rn = row_number, s = sum, r = rank\n"},
    {"SELECT id, sum(v) OVER w AS s, avg(v) OVER (w ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS a "
     "FROM t WINDOW w AS (PARTITION BY k ORDER BY id)",
     "0 windowColumns (t) partitionBy: k orderBy: id ASC NULLS FIRST columns: sum = sum(v)\n"
     "1 windowColumns (0) partitionBy: k orderBy: id ASC NULLS FIRST frame: ROWS BETWEEN 1 "
     "PRECEDING AND CURRENT ROW columns: avg = avg(v)\n"
     "2 selectColumns (1) columns: id = id, s = sum, a = avg\n"},
    {"SELECT k, sum(v) AS s, rank() OVER (ORDER BY sum(v) DESC) AS r FROM t GROUP BY k",
     "0 aggregateData (t) groupBy: k aggregations: sum = sum(v)\n"
     "1 windowColumns (0) orderBy: sum DESC NULLS LAST columns: rank = rank()\n"
     "2 selectColumns (1) columns: k = k, s = sum, r = rank\n"},
    {"SELECT id FROM t WHERE id IN (SELECT id FROM u WHERE u.k = t.k AND w > 1)",
     "0 renameColumns (u) columns: id = u.id, k = u.k\n"
     "1 filterRows (0) condition: w > 1\n"
     "2 joinDataFrames (t, 1) joinConditions: id = `u.id` AND `u.k` = k joinType: left_semi\n"
     "3 selectColumns (2) columns: id = id\n"},
    {"SELECT id FROM t WHERE (id, k) IN (SELECT id, k FROM u)",
     "0 renameColumns (u) columns: id = u.id, k = u.k\n"
     "1 joinDataFrames (t, 0) joinConditions: id = `u.id` AND k = `u.k` joinType: left_semi\n"
     "2 selectColumns (1) columns: id = id\n"},
    {"SELECT id FROM t WHERE k NOT IN (SELECT k FROM u)",
     "0 renameColumns (u) columns: id = u.id, k = u.k\n"
     "1 aggregateData (0) aggregations: sub-query = count(*), sub-query.1 = count(`u.k`)\n"
     "2 joinDataFrames (t, 0) joinConditions: k = `u.k` joinType: left_anti\n"
     "3 joinDataFrames (2, 1) joinType: cross\n"
     "4 filterRows (3) condition: `sub-query` = 0 OR k IS NOT NULL AND `sub-query.1` = "
     "`sub-query`\n"
     "5 selectColumns (4) columns: id = id\n"},
    {"SELECT id FROM t WHERE id NOT IN (SELECT id FROM s)",
     "0 renameColumns (s) columns: id = s.id\n"
     "1 joinDataFrames (t, 0) joinConditions: id = `s.id` joinType: left_anti\n"
     "2 selectColumns (1) columns: id = id\n"},
    {"SELECT id FROM t WHERE k NOT IN (SELECT k FROM u WHERE u.id = t.id)",
     "0 renameColumns (u) columns: id = u.id, k = u.k\n"
     "1 joinDataFrames (t, 0) joinConditions: (k = `u.k` OR (k IS NULL OR `u.k` IS NULL)) AND "
     "`u.id` = id joinType: left_anti\n"
     "2 selectColumns (1) columns: id = id\n"},
    {"SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE w > 1)",
     "0 renameColumns (u) columns: id = u.id, k = u.k\n"
     "1 filterRows (0) condition: w > 1\n"
     "2 limitRows (1) count: 1\n"
     "3 aggregateData (2) aggregations: sub-query = count(*)\n"
     "4 joinDataFrames (t, 3) joinType: cross\n"
     "5 filterRows (4) condition: `sub-query` > 0\n"
     "6 selectColumns (5) columns: id = id\n"},
    {"SELECT id FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.id = t.id AND u.k < t.k AND w > "
     "1)",
     "0 renameColumns (u) columns: id = u.id, k = u.k\n"
     "1 filterRows (0) condition: w > 1\n"
     "2 joinDataFrames (t, 1) joinConditions: `u.id` = id AND `u.k` < k joinType: left_anti\n"
     "3 selectColumns (2) columns: id = id\n"},
    {"SELECT id FROM t WHERE id IN (SELECT max(id) FROM u GROUP BY k)",
     "0 aggregateData (u) groupBy: k aggregations: max = max(id)\n"
     "1 selectColumns (0) columns: max(id) = max\n"
     "2 joinDataFrames (t, 1) joinConditions: id = `max(id)` joinType: left_semi\n"
     "3 selectColumns (2) columns: id = id\n"},
    {"SELECT id FROM t WHERE id = 1 OR k IN (SELECT k FROM u)",
     "0 renameColumns (u) columns: id = u.id, k = u.k\n"
     "1 aggregateData (0) aggregations: sub-query = count(*), sub-query.1 = count(`u.k`)\n"
     "2 selectColumns (0) columns: sub-query.2 = `u.k`, sub-query.3 = TRUE\n"
     "3 deduplicate (2)\n"
     "4 joinDataFrames (t, 3) joinConditions: k = `sub-query.2` joinType: left\n"
     "5 joinDataFrames (4, 1) joinType: cross\n"
     "6 filterRows (5) condition: id = 1 OR CASE WHEN `sub-query.3` IS NOT NULL THEN TRUE WHEN "
     "`sub-query` = 0 THEN FALSE WHEN k IS NULL OR `sub-query.1` < `sub-query` THEN NULL ELSE "
     "FALSE END\n"
     "7 selectColumns (6) columns: id = id\n"},
    {"SELECT id FROM t WHERE id = 1 OR EXISTS (SELECT 1 FROM u WHERE u.id = t.id)",
     "0 renameColumns (u) columns: id = u.id, k = u.k\n"
     "1 selectColumns (0) columns: sub-query = `u.id`, sub-query.1 = TRUE\n"
     "2 deduplicate (1)\n"
     "3 joinDataFrames (t, 2) joinConditions: id = `sub-query` joinType: left\n"
     "4 filterRows (3) condition: id = 1 OR `sub-query.1` IS NOT NULL\n"
     "5 selectColumns (4) columns: id = id\n"},
    {"SELECT id FROM t WHERE v > (SELECT avg(v) FROM t)",
     "0 renameColumns (t) columns: id = t.id, k = t.k, name = t.name, v = t.v, d = t.d\n"
     "1 aggregateData (0) aggregations: avg = avg(`t.v`)\n"
     "2 joinDataFrames (t, 1) joinType: cross\n"
     "3 filterRows (2) condition: v > avg\n"
     "4 selectColumns (3) columns: id = id\n"},
    {"SELECT id, (SELECT max(w) FROM u WHERE u.id = t.id) AS m, (SELECT count(*) FROM u WHERE u.k "
     "= t.k) AS n FROM t",
     "0 renameColumns (u) columns: id = u.id, k = u.k\n"
     "1 aggregateData (0) groupBy: `u.id` aggregations: max = max(w)\n"
     "2 renameColumns (u) columns: id = id.2, k = k.2, w = u.w\n"
     "3 aggregateData (2) groupBy: `k.2` aggregations: count = count(*)\n"
     "4 joinDataFrames (t, 1) joinConditions: id = `u.id` joinType: left\n"
     "5 joinDataFrames (4, 3) joinConditions: k = `k.2` joinType: left\n"
     "6 selectColumns (5) columns: id = id, m = max, n = coalesce(count, 0L)\n"},
    {"SELECT k, sum(v) / (SELECT sum(v) FROM t) AS share FROM t GROUP BY k",
     "0 renameColumns (t) columns: id = t.id, k = t.k, name = t.name, v = t.v, d = t.d\n"
     "1 aggregateData (0) aggregations: sum = sum(`t.v`)\n"
     "2 aggregateData (t) groupBy: k aggregations: sum.1 = sum(v)\n"
     "3 joinDataFrames (2, 1) joinType: cross\n"
     "4 selectColumns (3) columns: k = k, share = `sum.1` / sum\n"},
    {"SELECT id FROM t UNION ALL SELECT k FROM u",
     "0 selectColumns (t) columns: id = id\n"
     "1 selectColumns (u) columns: k = k\n"
     "2 selectColumns (0) columns: id = CAST(id AS bigint)\n"
     "3 selectColumns (1) columns: id = k\n"
     "4 unionDataFrames (2, 3)\n"},
    {"SELECT id, name FROM t UNION SELECT id, 'x' FROM u ORDER BY 2, id LIMIT 5",
     "0 selectColumns (t) columns: id = id, name = name\n"
     "1 selectColumns (u) columns: id = id, x = 'x'\n"
     "2 selectColumns (1) columns: id = id, name = x\n"
     "3 unionDataFrames (0, 2)\n"
     "4 deduplicate (3)\n"
     "5 sortData (4) orderBy: name ASC NULLS FIRST, id ASC NULLS FIRST\n"
     "6 limitRows (5) count: 5\n"},
    {"SELECT id, k FROM t INTERSECT SELECT id, k FROM u",
     "0 selectColumns (t) columns: id = id, k = k\n"
     "1 selectColumns (u) columns: id = id, k = k\n"
     "2 selectColumns (0) columns: id = id, k = CAST(k AS bigint), side = 0\n"
     "3 selectColumns (1) columns: id = id, k = k, side = 1\n"
     "4 unionDataFrames (2, 3)\n"
     "5 aggregateData (4) groupBy: id, k aggregations: first side = min(side), last side = "
     "max(side)\n"
     "6 filterRows (5) condition: `first side` = 0 AND `last side` = 1\n"
     "7 selectColumns (6) columns: id = id, k = k\n"},
    {"SELECT k FROM t EXCEPT ALL SELECT k FROM u",
     "0 selectColumns (t) columns: k = k\n"
     "1 selectColumns (u) columns: k = k\n"
     "2 selectColumns (0) columns: k = CAST(k AS bigint)\n"
     "3 windowColumns (2) partitionBy: k orderBy: k columns: row number = row_number()\n"
     "4 windowColumns (1) partitionBy: k orderBy: k columns: row number = row_number()\n"
     "5 selectColumns (3) columns: k = k, row number = `row number`, side = 0\n"
     "6 selectColumns (4) columns: k = k, row number = `row number`, side = 1\n"
     "7 unionDataFrames (5, 6)\n"
     "8 aggregateData (7) groupBy: k, `row number` aggregations: first side = min(side), last side "
     "= max(side)\n"
     "9 filterRows (8) condition: `first side` = 0 AND `last side` = 0\n"
     "10 selectColumns (9) columns: k = k\n"},
    {"WITH x AS (SELECT id, k FROM t WHERE v > 1), y AS (SELECT k FROM x GROUP BY k) SELECT a.id "
     "FROM x a JOIN x b ON a.id = b.k JOIN y ON y.k = a.k",
     "0 filterRows (t) condition: v > 1\n"
     "1 selectColumns (0) columns: id = id, k = k\n"
     "2 renameColumns (1) columns: id = b.id, k = b.k\n"
     "3 aggregateData (1) groupBy: k\n"
     "4 renameColumns (3) columns: k = y.k\n"
     "5 joinDataFrames (1, 2) joinConditions: id = `b.k` joinType: inner\n"
     "6 joinDataFrames (5, 4) joinConditions: `y.k` = k joinType: inner\n"
     "7 selectColumns (6) columns: id = id\n"},
    {"WITH x(a, b) AS (SELECT id, k FROM t), unused AS (SELECT a FROM x) SELECT b FROM x",
     "0 selectColumns (t) columns: id = id, k = k\n"
     "1 selectColumns (0) columns: b = k\n"},
    {"SELECT q.n FROM (SELECT k, count(*) AS n FROM t GROUP BY k ORDER BY n) AS q WHERE q.n > 1",
     "0 aggregateData (t) groupBy: k aggregations: count = count(*)\n"
     "1 selectColumns (0) columns: k = k, n = count\n"
     "2 filterRows (1) condition: n > 1\n"
     "3 selectColumns (2) columns: n = n\n"},
    {"SELECT a FROM (SELECT id FROM t ORDER BY id LIMIT 3) AS q(a)",
     "0 selectColumns (t) columns: id = id\n"
     "1 sortData (0) orderBy: id ASC NULLS FIRST\n"
     "2 limitRows (1) count: 3\n"
     "3 selectColumns (2) columns: a = id\n"},
    {"SELECT k, TUMBLE_START(ts, INTERVAL '1' MINUTE) AS s, TUMBLE_END(ts, INTERVAL '1 minute') AS "
     "e, count(*) AS n FROM e WHERE v > 0 GROUP BY TUMBLE(ts, INTERVAL '1 minute'), k HAVING "
     "TUMBLE_START(ts, '60 seconds') > TIMESTAMP '2020-01-01' ORDER BY s",
     "0 filterRows (e) condition: v > 0\n"
     "1 aggregateData (0) groupBy: k aggregations: count = count(*) window: { column: ts type: "
     "tumbling size: 60000000us }\n"
     "2 filterRows (1) condition: window_start > CAST('2020-01-01' AS timestamp)\n"
     "3 selectColumns (2) columns: k = k, s = window_start, e = window_end, n = count\n"
     "4 sortData (3) orderBy: s ASC NULLS FIRST\n"},
    {"SELECT window.start, window.end, k, sum(v) FROM e GROUP BY window(ts, '10 minutes', '5 "
     "minutes'), k",
     "0 aggregateData (e) groupBy: k aggregations: sum = sum(v) window: { column: ts type: sliding "
     "size: 600000000us slide: 300000000us }\n"
     "1 selectColumns (0) columns: start = window_start, end = window_end, k = k, sum(v) = sum\n"},
    {"SELECT window, count(*) AS n FROM e GROUP BY window(ts, '10 minutes') EMIT CHANGES",
     "0 aggregateData (e) aggregations: count = count(*) window: { column: ts type: tumbling size: "
     "600000000us } emit: changes\n"
     "1 selectColumns (0) columns: window = named_struct('start', window_start, 'end', "
     "window_end), n = count\n"},
    {"SELECT window(ts, '10 minutes') AS w, count(*) AS n FROM e GROUP BY 1",
     "0 aggregateData (e) aggregations: count = count(*) window: { column: ts type: tumbling size: "
     "600000000us }\n"
     "1 selectColumns (0) columns: w = named_struct('start', window_start, 'end', window_end), n = "
     "count\n"},
    {"SELECT window(ts, '10 minutes') AS w, k, count(*) AS n FROM e GROUP BY ALL",
     "0 aggregateData (e) groupBy: k aggregations: count = count(*) window: { column: ts type: "
     "tumbling size: 600000000us }\n"
     "1 selectColumns (0) columns: w = named_struct('start', window_start, 'end', window_end), k = "
     "k, n = count\n"},
    {"SELECT window_start, window_end, k, max(v) AS m FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), "
     "INTERVAL '1' MINUTE)) WHERE k > 1 GROUP BY window_start, window_end, k EMIT FINAL",
     "0 filterRows (e) condition: k > 1\n"
     "1 aggregateData (0) groupBy: k aggregations: max = max(v) window: { column: ts type: "
     "tumbling size: 60000000us } emit: final\n"
     "2 selectColumns (1) columns: window_start = window_start, window_end = window_end, k = k, m "
     "= max\n"},
    {"SELECT x.window_start, x.k, max(x.v) AS m FROM TABLE(HOP(TABLE e, DESCRIPTOR(ts), INTERVAL "
     "'1' MINUTE, INTERVAL '5' MINUTES)) AS x GROUP BY x.window_start, x.k",
     "0 aggregateData (e) groupBy: k aggregations: max = max(v) window: { column: ts type: sliding "
     "size: 300000000us slide: 60000000us }\n"
     "1 selectColumns (0) columns: window_start = window_start, k = k, m = max\n"},
    {"SELECT window_start, k, count(*) AS n FROM TABLE(SESSION(TABLE e PARTITION BY k, "
     "DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, k",
     "0 aggregateData (e) groupBy: k aggregations: count = count(*) window: { column: ts type: "
     "session gap: 60000000us }\n"
     "1 selectColumns (0) columns: window_start = window_start, k = k, n = count\n"},
    {"SELECT SESSION_START(ts, INTERVAL '5' MINUTE) AS s, k FROM e GROUP BY SESSION(ts, INTERVAL "
     "'5' MINUTE), k",
     "0 aggregateData (e) groupBy: k window: { column: ts type: session gap: 300000000us }\n"
     "1 selectColumns (0) columns: s = window_start, k = k\n"},
    {"SELECT session_window.start AS s, count(*) AS n FROM e GROUP BY session_window(ts, '5 "
     "minutes')",
     "0 aggregateData (e) aggregations: count = count(*) window: { column: ts type: session gap: "
     "300000000us }\n"
     "1 selectColumns (0) columns: s = window_start, n = count\n"},
    {"WITH a AS (SELECT window_start, window_end, k, count(*) AS n FROM TUMBLE(TABLE e, "
     "DESCRIPTOR(ts), INTERVAL '1' MINUTE) GROUP BY window_start, window_end, k) SELECT "
     "TUMBLE_START(window_start, '1 hour') AS h, sum(n) AS n FROM a GROUP BY TUMBLE(window_start, "
     "'1 hour')",
     "0 aggregateData (e) groupBy: k aggregations: count = count(*) window: { column: ts type: "
     "tumbling size: 60000000us }\n"
     "1 selectColumns (0) columns: window_start = window_start, window_end = window_end, k = k, n "
     "= count\n"
     "2 renameColumns (1) columns: window_start = a.window_start, window_end = a.window_end\n"
     "3 aggregateData (2) aggregations: sum = sum(n) window: { column: `a.window_start` type: "
     "tumbling size: 3600000000us }\n"
     "4 selectColumns (3) columns: h = window_start, n = sum\n"},
    {"SELECT window_start AS old, TUMBLE_START(window_start, '1 hour') AS h, sum(n) AS n FROM w "
     "GROUP BY TUMBLE(window_start, '1 hour'), window_start",
     "0 renameColumns (w) columns: window_start = w.window_start\n"
     "1 aggregateData (0) groupBy: `w.window_start` aggregations: sum = sum(n) window: { column: "
     "`w.window_start` type: tumbling size: 3600000000us }\n"
     "2 selectColumns (1) columns: old = `w.window_start`, h = window_start, n = sum\n"},
    {"SELECT date_format(TUMBLE_START(ts, '1 hour'), 'HH') AS h, count(*) AS n FROM e JOIN u ON "
     "e.k = u.id GROUP BY TUMBLE(ts, '1 hour')",
     "0 renameColumns (u) columns: k = u.k\n"
     "1 joinDataFrames (e, 0) joinConditions: k = id joinType: inner\n"
     "2 aggregateData (1) aggregations: count = count(*) window: { column: ts type: tumbling size: "
     "3600000000us }\n"
     "3 selectColumns (2) columns: h = date_format(window_start, 'HH'), n = count\n"},
    {"SELECT TUMBLE_START(CAST(text AS TIMESTAMP), '1 hour') AS h, count(DISTINCT k) AS n FROM e "
     "GROUP BY TUMBLE(CAST(text AS TIMESTAMP), '1 hour')",
     "0 aggregateData (e) aggregations: count = count(DISTINCT k) window: { column: CAST(text AS "
     "timestamp) type: tumbling size: 3600000000us }\n"
     "1 selectColumns (0) columns: h = window_start, n = count\n"},
    {"SELECT TUMBLE_START(ts, '1 hour') AS h, count(*) AS n FROM e GROUP BY TUMBLE_START(ts, '1 "
     "hour')",
     "0 aggregateData (e) aggregations: count = count(*) window: { column: ts type: tumbling size: "
     "3600000000us }\n"
     "1 selectColumns (0) columns: h = window_start, n = count\n"},
    {"SELECT count(*) AS n FROM e GROUP BY k EMIT CHANGES",
     "0 aggregateData (e) groupBy: k aggregations: count = count(*) emit: changes\n"
     "1 selectColumns (0) columns: n = count\n"},

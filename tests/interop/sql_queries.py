"""Queries for test_sql.py, in the common part of Spark's and DuckDB's dialects: written ones, and a generator."""

import random

QUERIES = {
    "select": [
        "SELECT * FROM t",
        "SELECT id, k + 1 AS k1, upper(g) AS g FROM t WHERE v > 0 AND g <> 'a'",
        "SELECT id FROM t WHERE NOT (k = 1 OR g = 'b')",
        "SELECT t.id, x.id AS other FROM t CROSS JOIN s JOIN t AS x ON x.k = s.k WHERE t.id = s.k",
        "SELECT DISTINCT k, g FROM t",
        "SELECT DISTINCT b FROM t WHERE id < 0",
        "SELECT id, v FROM t ORDER BY v DESC NULLS FIRST, id LIMIT 7",
        "SELECT id FROM t ORDER BY id DESC LIMIT 5 OFFSET 3",
        "SELECT id FROM t ORDER BY k NULLS LAST, 1 LIMIT 10",
        "SELECT id AS i, v AS w FROM t ORDER BY n NULLS FIRST, i LIMIT 4",
        "SELECT q.a, q.b FROM (SELECT id AS a, k AS b FROM t WHERE k IS NOT NULL) AS q WHERE q.b > 2",
        "SELECT a + b AS c FROM (SELECT id, k FROM t) AS q(a, b)",
        "SELECT q.m FROM (SELECT max(id) AS m, k FROM t GROUP BY k) AS q JOIN s ON q.k = s.k",
        "SELECT CASE WHEN k IS NULL THEN 'none' WHEN k > 3 THEN 'high' ELSE 'low' END AS c, id FROM t",
        "SELECT coalesce(k, -1) AS k, CAST(id AS BIGINT) AS i, d FROM t WHERE d BETWEEN DATE '2024-01-05' AND DATE '2024-02-20'",
        "SELECT id FROM t WHERE k IN (1, 2, 3) AND g LIKE '%a%'",
        "SELECT id FROM e",
        "SELECT count(*) AS n FROM e",
    ],
    "join": [
        "SELECT t.id, u.w FROM t JOIN u ON t.id = u.id",
        "SELECT t.id, u.w FROM t, u WHERE t.id = u.id AND t.k > 1",
        "SELECT t.id, u.w FROM t LEFT JOIN u ON t.id = u.id AND u.w > 0",
        "SELECT t.id, u.w FROM t LEFT JOIN u ON t.id = u.id AND t.k > 2",
        "SELECT t.id, u.w FROM t LEFT JOIN u ON t.id = u.id WHERE u.id IS NULL AND t.k > 1",
        "SELECT t.id, u.w FROM t RIGHT JOIN u ON t.id = u.id AND t.v > 0",
        "SELECT t.id, u.id AS uid, u.w FROM t FULL JOIN u ON t.id = u.id",
        "SELECT t.id, u.id AS uid FROM t FULL JOIN u ON t.id = u.id AND t.k = u.k",
        "SELECT t.id, u.id AS uid FROM t FULL JOIN u ON t.id = u.id WHERE t.k > 1 OR u.w > 1",
        "SELECT t.id, s.name FROM t CROSS JOIN s WHERE t.id < 3",
        "SELECT a.id, b.id AS other FROM t a JOIN t b ON a.k = b.k AND a.id < b.id",
        "SELECT a.id, b.id AS other FROM t a JOIN t b ON a.v < b.v AND a.id + 1 = b.id",
        "SELECT a.id, b.id AS other FROM t a LEFT JOIN t b ON a.v < b.v AND a.g > b.g",
        "SELECT id, w FROM t JOIN u USING (id)",
        "SELECT id, t.k, u.k AS uk FROM t LEFT JOIN u USING (id)",
        "SELECT id, t.k, u.k AS uk FROM t RIGHT JOIN u USING (id)",
        "SELECT id, t.k, u.k AS uk, t.id AS tid FROM t FULL JOIN u USING (id)",
        "SELECT id, k, w FROM t JOIN u USING (id, k)",
        "SELECT k, id, name FROM t NATURAL JOIN s",
        "SELECT t.id, u.w, s.name FROM t JOIN u ON t.id = u.id JOIN s ON u.k = s.k",
        "SELECT t.id, u.w, s.name FROM t LEFT JOIN u ON t.id = u.id LEFT JOIN s ON u.k = s.k AND s.name <> 'name 1'",
        "SELECT t.id, u.w FROM t LEFT JOIN (u JOIN s ON u.k = s.k) ON t.id = u.id",
        "SELECT t.id, u.w, s.name FROM t, u, s WHERE t.k = s.k AND u.k = s.k AND u.w > t.id",
        "SELECT t.id, u.w, s.name FROM t, s, u WHERE t.id = u.id AND u.k = s.k",
        "SELECT id FROM t SEMI JOIN u ON t.id = u.id AND u.w > 0",
        "SELECT id FROM t ANTI JOIN u ON t.id = u.id AND u.w > 0",
        "SELECT t.id, e.g FROM t LEFT JOIN e ON t.id = e.id",
        "SELECT t.id, e.id AS eid FROM t FULL JOIN e ON t.id = e.id",
        "SELECT e.id, t.g FROM e RIGHT JOIN t ON t.id = e.id WHERE t.k = 1",
        "SELECT t.id, u.w FROM t JOIN u ON t.k IS NOT DISTINCT FROM u.k AND t.id = u.id",
        "SELECT t.id FROM t JOIN u ON 1 = 0",
        "SELECT t.id, u.w FROM t JOIN u ON t.id = u.id AND u.w > (SELECT avg(w) FROM u)",
        "SELECT t.id, u.w FROM t JOIN u ON t.id = u.id AND EXISTS (SELECT 1 FROM s WHERE s.k = u.k)",
        "SELECT t.id, q.m FROM t LEFT JOIN (SELECT k, max(w) AS m FROM u GROUP BY k) AS q ON q.k = t.k WHERE q.m IS NULL OR q.m > t.id",
        "SELECT t.id, u.id AS uid FROM t LEFT JOIN u ON t.k = u.k + 1 AND t.id % 2 = u.w % 2",
    ],
    "group": [
        "SELECT k, count(*) AS n, count(v) AS c, sum(v) AS s, avg(v) AS a, min(g) AS mi, max(d) AS ma FROM t GROUP BY k",
        "SELECT g, b, sum(n) AS s, count(DISTINCT k) AS c FROM t GROUP BY g, b",
        "SELECT k % 2 AS odd, sum(id) AS s FROM t GROUP BY k % 2",
        "SELECT k % 2 AS odd, sum(id) AS s FROM t GROUP BY odd",
        "SELECT upper(g) AS ug, max(v) - min(v) AS spread FROM t GROUP BY 1",
        "SELECT k + 1 AS k1, k * 2 AS k2, count(*) AS n FROM t GROUP BY k",
        "SELECT count(*) AS n, sum(k) AS s, min(v) AS m FROM t",
        "SELECT count(*) AS n, sum(k) AS s, min(g) AS m FROM e",
        "SELECT k, count(*) AS n FROM e GROUP BY k",
        "SELECT k, count(*) AS n FROM t GROUP BY k HAVING count(*) > 4",
        "SELECT k FROM t GROUP BY k HAVING max(v) > 1 AND k > 1",
        "SELECT count(*) AS n FROM t HAVING count(*) > 100",
        "SELECT 1 AS one FROM t HAVING 1 = 1",
        "SELECT 'x' AS c, count(*) AS n FROM t GROUP BY 1",
        "SELECT count(*) AS n FROM t JOIN u ON t.id = u.id",
        "SELECT k, sum(v) / count(v) AS mean FROM t GROUP BY k HAVING count(v) > 0",
        "SELECT k, count(*) FILTER (WHERE v > 0) AS pos, sum(id) FILTER (WHERE g = 'a') AS sa FROM t GROUP BY k",
        "SELECT k, sum(DISTINCT id % 3) AS s FROM t GROUP BY k",
        "SELECT s.name, count(*) AS n, sum(u.w) AS w FROM u JOIN s ON u.k = s.k GROUP BY s.name",
        "SELECT k, g, count(*) AS n FROM t GROUP BY ALL",
        "SELECT k FROM t GROUP BY k ORDER BY count(*) DESC, k LIMIT 3",
        "SELECT k, sum(id) AS total FROM t GROUP BY k ORDER BY total DESC, k LIMIT 3",
        "SELECT max(n) AS m FROM (SELECT k, count(*) AS n FROM t GROUP BY k) AS q",
        "SELECT DISTINCT count(*) AS n FROM t GROUP BY k",
        "SELECT k IS NULL AS unknown, count(*) AS n FROM t GROUP BY k IS NULL",
        "SELECT CASE WHEN k > 3 THEN 'high' ELSE 'low' END AS c, avg(CAST(n AS DOUBLE)) AS a FROM t GROUP BY CASE WHEN k > 3 THEN 'high' ELSE 'low' END",
        "SELECT g, max(CASE WHEN k = 1 THEN id END) AS k1, max(CASE WHEN k = 2 THEN id END) AS k2 FROM t GROUP BY g",
    ],
    "window": [
        "SELECT id, row_number() OVER (PARTITION BY k ORDER BY id) AS rn FROM t",
        "SELECT id, rank() OVER (ORDER BY v DESC NULLS LAST) AS r, dense_rank() OVER (ORDER BY v DESC NULLS LAST) AS dr FROM t",
        "SELECT id, sum(v) OVER (PARTITION BY g) AS s, count(*) OVER (PARTITION BY g) AS n FROM t",
        "SELECT id, sum(id) OVER (PARTITION BY g ORDER BY id) AS running FROM t",
        "SELECT id, sum(id) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING) AS s FROM t",
        "SELECT id, avg(v) OVER (PARTITION BY k ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS a FROM t",
        "SELECT id, lag(v) OVER (PARTITION BY k ORDER BY id) AS l, lead(id, 2) OVER (PARTITION BY k ORDER BY id) AS l2 FROM t",
        "SELECT id, lag(id, 1, -1) OVER (ORDER BY id) AS l FROM t",
        "SELECT id, first_value(id) OVER (PARTITION BY k ORDER BY id DESC) AS f FROM t",
        "SELECT id, sum(v) OVER w AS s, count(v) OVER w AS c FROM t WINDOW w AS (PARTITION BY k ORDER BY id)",
        "SELECT k, sum(id) AS s, rank() OVER (ORDER BY sum(id) DESC) AS r FROM t GROUP BY k",
        "SELECT k, sum(sum(id)) OVER () AS total FROM t GROUP BY k",
        "SELECT id, CAST(id AS DOUBLE) / sum(id) OVER (PARTITION BY k) AS share FROM t WHERE id > 0",
        "SELECT id, k FROM (SELECT id, k, row_number() OVER (PARTITION BY k ORDER BY id DESC) AS rn FROM t) AS q WHERE rn = 1",
        "SELECT id FROM t ORDER BY row_number() OVER (ORDER BY id DESC) LIMIT 5",
        "SELECT id, max(v) OVER (PARTITION BY k % 2, g ORDER BY id + 1) AS m FROM t",
        "SELECT id, ntile(4) OVER (ORDER BY id) AS q FROM t",
        "SELECT t.id, row_number() OVER (PARTITION BY u.k ORDER BY t.id, u.w, u.h) AS rn FROM t JOIN u ON t.id = u.id",
    ],
    "sub-query": [
        "SELECT id FROM t WHERE id IN (SELECT id FROM u)",
        "SELECT id FROM t WHERE id NOT IN (SELECT id FROM u)",
        "SELECT id FROM t WHERE id NOT IN (SELECT id FROM u WHERE id IS NOT NULL)",
        "SELECT id FROM t WHERE k NOT IN (SELECT k FROM s)",
        "SELECT id FROM t WHERE k NOT IN (SELECT k FROM s WHERE k < 3)",
        "SELECT id FROM t WHERE k NOT IN (SELECT id FROM e)",
        "SELECT t.id, x.id AS other FROM t FULL JOIN t AS x ON t.k = x.id WHERE t.id NOT IN (SELECT id FROM t WHERE k > 2)",
        "SELECT id FROM t WHERE k IN (SELECT id FROM e)",
        "SELECT id FROM t WHERE k IN (SELECT k FROM u WHERE u.w > t.id)",
        "SELECT id FROM t WHERE k NOT IN (SELECT k FROM u WHERE u.id = t.id)",
        "SELECT id FROM t WHERE (id, k) IN (SELECT id, k FROM u)",
        "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.id = t.id)",
        "SELECT id FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.id = t.id)",
        "SELECT id FROM t WHERE EXISTS (SELECT * FROM u WHERE u.k = t.k AND u.w > t.id AND u.h = 'a')",
        "SELECT id FROM t WHERE NOT EXISTS (SELECT * FROM u WHERE u.w > t.id + 10)",
        "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM e)",
        "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE w > v)",
        "SELECT id FROM t x WHERE EXISTS (SELECT 1 FROM t WHERE t.k = x.id AND t.g = x.g)",
        "SELECT id FROM t WHERE k IN (SELECT k FROM u WHERE h = g) AND v < (SELECT max(v) FROM t)",
        "SELECT id FROM t WHERE NOT EXISTS (SELECT 1 FROM e)",
        "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM s) AND id < 3",
        "SELECT id FROM t WHERE k = 1 OR k IN (SELECT k FROM u WHERE w > 10)",
        "SELECT id FROM t WHERE g = 'a' OR k NOT IN (SELECT k FROM s WHERE k > 4)",
        "SELECT id FROM t WHERE g = 'a' OR k NOT IN (SELECT k FROM u)",
        "SELECT id FROM t WHERE g = 'a' OR EXISTS (SELECT 1 FROM u WHERE u.id = t.id)",
        "SELECT id, k IN (SELECT k FROM u) AS found FROM t",
        "SELECT id, EXISTS (SELECT 1 FROM u WHERE u.id = t.id AND u.w > 0) AS found FROM t",
        "SELECT id FROM t WHERE v > (SELECT avg(v) FROM t)",
        "SELECT id, (SELECT count(*) FROM u) AS n, (SELECT max(w) FROM u) - id AS m FROM t",
        "SELECT id, (SELECT max(w) FROM u WHERE u.id = t.id) AS m FROM t",
        "SELECT id, (SELECT count(*) FROM u WHERE u.k = t.k) AS n FROM t",
        "SELECT id, (SELECT count(*) + coalesce(sum(w), 0) FROM u WHERE u.k = t.k AND u.h = 'a') AS n FROM t",
        "SELECT id FROM t WHERE v > (SELECT avg(v) FROM t x WHERE x.k = t.k)",
        "SELECT k, sum(v) / (SELECT sum(v) FROM t) AS share FROM t GROUP BY k",
        "SELECT k, count(*) AS n FROM t GROUP BY k HAVING count(*) > (SELECT avg(c) FROM (SELECT count(*) AS c FROM t GROUP BY k) AS q)",
        "SELECT id, (SELECT name FROM s WHERE k = 3) AS name FROM t",
        "SELECT id, (SELECT g FROM e) AS g FROM t",
        "SELECT id FROM t WHERE id IN (SELECT id FROM u WHERE k IN (SELECT k FROM s WHERE name = 'name 1'))",
        "SELECT id FROM t WHERE k IN (SELECT k FROM u GROUP BY k HAVING count(*) > 3)",
        "SELECT id FROM t WHERE id IN (SELECT id FROM u ORDER BY id NULLS LAST LIMIT 4)",
        "SELECT id FROM t WHERE id IN (SELECT id FROM u UNION SELECT k FROM s)",
        "SELECT u.id FROM u WHERE EXISTS (SELECT 1 FROM t JOIN s ON t.k = s.k WHERE t.id = u.id AND s.name <> 'name 2')",
    ],
    "set": [
        "SELECT id FROM t UNION ALL SELECT id FROM u",
        "SELECT id FROM t UNION SELECT id FROM u",
        "SELECT k, g FROM t UNION SELECT k, h FROM u",
        "SELECT id, w FROM u UNION ALL SELECT id, v FROM t",
        "SELECT k FROM t INTERSECT SELECT k FROM u",
        "SELECT k FROM t EXCEPT SELECT k FROM u WHERE k > 2",
        "SELECT k, g FROM t EXCEPT SELECT k, h FROM u",
        "SELECT k FROM t INTERSECT ALL SELECT k FROM u",
        "SELECT k FROM t EXCEPT ALL SELECT k FROM u",
        "SELECT k FROM t UNION SELECT k FROM u INTERSECT SELECT k FROM s",
        "(SELECT id FROM t ORDER BY id LIMIT 3) UNION ALL (SELECT k FROM s ORDER BY k DESC LIMIT 2)",
        "SELECT id AS i FROM t UNION SELECT k FROM s ORDER BY i DESC LIMIT 4",
        "SELECT id FROM t UNION ALL SELECT id FROM e UNION ALL SELECT NULL FROM s",
        "SELECT n.k, count(*) AS c FROM (SELECT k FROM t UNION ALL SELECT k FROM u) AS n GROUP BY n.k",
    ],
    "with": [
        "WITH x AS (SELECT k, sum(id) AS s FROM t GROUP BY k) SELECT s.name, x.s FROM x JOIN s ON x.k = s.k",
        "WITH x AS (SELECT id, k FROM t WHERE k > 1) SELECT a.id, b.id AS other FROM x a JOIN x b ON a.k = b.k AND a.id < b.id",
        "WITH x AS (SELECT id, k FROM t), y AS (SELECT k, count(*) AS n FROM x GROUP BY k) SELECT x.id, y.n FROM x LEFT JOIN y ON x.k = y.k",
        "WITH x(a, b) AS (SELECT id, k FROM t) SELECT b, max(a) AS m FROM x GROUP BY b",
        "WITH t AS (SELECT k FROM s) SELECT k FROM t",
        "WITH x AS (SELECT max(k) AS m FROM t) SELECT id FROM t WHERE k = (SELECT m FROM x LIMIT 1)",
        "SELECT id FROM (WITH x AS (SELECT id FROM u) SELECT id FROM x WHERE id > 5) AS q",
        "WITH top AS (SELECT k, count(*) AS n FROM t GROUP BY k ORDER BY n DESC, k LIMIT 2) SELECT t.id FROM t WHERE t.k IN (SELECT k FROM top)",
    ],
}

COLUMNS = {
    "t": {"id": "int", "k": "int", "g": "text", "v": "double", "b": "bool", "d": "date"},
    "u": {"id": "int", "k": "int", "w": "int", "h": "text"},
    "s": {"k": "int", "name": "text"},
    "e": {"id": "int", "k": "int", "g": "text"},
}


class Generator:
    """Random SELECTs over the tables whose rows do not depend on an order that is not written."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.names = 0

    def one(self, *choices):
        return self.random.choice(choices)

    def chance(self, share):
        return self.random.random() < share

    def name(self):
        self.names += 1
        return f"x{self.names}"

    def column(self, scope, kind):
        found = [f"{alias}.{column}" for alias, columns in scope for column, of in columns.items() if of == kind]
        return self.random.choice(found) if found else self.constant(kind)

    def constant(self, kind):
        return {
            "int": lambda: str(self.random.randint(0, 9)), "text": lambda: self.one("'a'", "'b'", "''", "'name 1'"),
            "double": lambda: self.one("0.5e0", "1.25e0"), "bool": lambda: self.one("TRUE", "FALSE"),
            "date": lambda: self.one("DATE '2024-01-05'", "DATE '2024-02-02'"),
        }[kind]()

    def expression(self, scope, kind, depth=2):
        if depth == 0 or self.chance(0.35):
            return self.column(scope, kind) if self.chance(0.8) else self.constant(kind)

        def more(of):
            return self.expression(scope, of, depth - 1)

        if kind == "int":
            return self.one(lambda: f"({more('int')} + {more('int')})", lambda: f"({more('int')} - {more('int')})",
                            lambda: f"({more('int')} * {self.random.randint(1, 3)})", lambda: f"({more('int')} % 3)",
                            lambda: f"coalesce({more('int')}, {more('int')})", lambda: f"length({more('text')})",
                            lambda: f"CASE WHEN {self.condition(scope, depth - 1)} THEN {more('int')} ELSE {more('int')} END",
                            lambda: f"abs({more('int')})", lambda: f"nullif({more('int')}, {self.constant('int')})")()
        if kind == "text":
            return self.one(lambda: f"upper({more('text')})", lambda: f"({more('text')} || {more('text')})",
                            lambda: f"coalesce({more('text')}, {self.constant('text')})",
                            lambda: f"CASE WHEN {self.condition(scope, depth - 1)} THEN {more('text')} END")()
        if kind == "double":
            return self.one(lambda: f"({more('double')} + {more('int')})", lambda: f"({more('double')} * {more('double')})",
                            lambda: f"coalesce({more('double')}, CAST({more('int')} AS DOUBLE))")()
        if kind == "bool":
            return f"({self.condition(scope, depth - 1)})"
        return self.column(scope, kind)

    def condition(self, scope, depth=2):
        if depth <= 0 or self.chance(0.5):
            kind = self.one("int", "int", "text", "double", "date")
            a, b = self.expression(scope, kind, 1), self.expression(scope, kind, 1)
            return self.one(lambda: f"{a} {self.one('=', '<>', '<', '<=', '>', '>=')} {b}", lambda: f"{a} IS NULL",
                            lambda: f"{a} IS NOT NULL", lambda: f"{a} BETWEEN {b} AND {self.constant(kind)}",
                            lambda: f"{a} IN ({b}, {self.constant(kind)})",
                            lambda: f"{a} NOT IN ({self.constant(kind)}, {self.constant(kind)})",
                            lambda: f"{a} IS DISTINCT FROM {b}")()
        a, b = self.condition(scope, depth - 1), self.condition(scope, depth - 1)
        return self.one(f"({a} AND {b})", f"({a} OR {b})", f"NOT ({a})")

    def relation(self, depth):
        """FROM text of one relation, its alias and its columns."""
        alias = self.name()
        if depth > 0 and self.chance(0.25):
            query, columns = self.select(depth - 1)
            return f"({query}) AS {alias}", alias, columns
        frame = self.one("t", "t", "u", "u", "s", "e" if self.chance(0.3) else "t")
        return f"{frame} AS {alias}", alias, COLUMNS[frame]

    def source(self, depth):
        text, alias, columns = self.relation(depth)
        scope = [(alias, columns)]
        for _ in range(self.one(0, 0, 1, 1, 1, 2)):
            right, name, found = self.relation(depth - 1)
            kind = self.one("JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN")
            both = scope + [(name, found)]
            if kind == "CROSS JOIN":
                if self.names > 12:
                    continue
                text, scope = f"{text} CROSS JOIN {right}", both
                continue
            of = self.one("int", "int", "text")
            on = f"{self.column(scope, of)} = {self.column([(name, found)], of)}"
            if self.chance(0.4) and kind != "FULL JOIN":
                on += f" AND {self.condition(both, 1)}"
            text, scope = f"{text} {kind} {right} ON {on}", both
        return text, scope

    def subquery(self, scope, depth):
        frame, alias, columns = self.relation(0)
        inner = [(alias, columns)]
        where = self.condition(inner, 1) if self.chance(0.5) else "TRUE"
        tie = f"{self.column(inner, 'int')} = {self.column(scope, 'int')}"
        form = self.one("in", "not in", "exists", "not exists", "scalar", "tied scalar", "tied in")
        negated = "NOT " if form.startswith("not") else ""
        if form in ("in", "not in", "tied in"):
            if form == "tied in":
                where += f" AND {tie}"
            return (f"{self.column(scope, 'int')} {negated}IN (SELECT {self.expression(inner, 'int', 1)} "
                    f"FROM {frame} WHERE {where})")
        if form.endswith("exists"):
            more = f" AND {self.column(inner, 'int')} > {self.column(scope, 'int')}" if self.chance(0.4) else ""
            return f"{negated}EXISTS (SELECT 1 FROM {frame} WHERE {where} AND {tie}{more})"
        call = self.one("max", "min", "count", "sum")
        if form == "tied scalar":
            where += f" AND {tie}"
        return (f"{self.column(scope, 'int')} {self.one('<', '>', '=')} "
                f"(SELECT {call}({self.column(inner, 'int')}) FROM {frame} WHERE {where})")

    def aggregate(self, scope):
        return self.one(lambda: ("int", "count(*)"), lambda: ("int", f"count({self.expression(scope, 'text', 1)})"),
                        lambda: ("int", f"sum({self.expression(scope, 'int', 1)})"),
                        lambda: ("int", f"max({self.expression(scope, 'int', 1)})"),
                        lambda: ("text", f"min({self.expression(scope, 'text', 1)})"),
                        lambda: ("double", f"avg({self.expression(scope, 'int', 1)})"),
                        lambda: ("int", f"count(DISTINCT {self.expression(scope, 'int', 1)})"))()

    def window(self, scope):
        partition = f"PARTITION BY {self.expression(scope, self.one('int', 'text'), 1)}" if self.chance(0.7) else ""
        order = ", ".join(f"{alias}.{column}" for alias, columns in scope for column in columns)
        call = self.one("sum", "count", "max", "min")
        argument = self.expression(scope, "int", 1)
        if self.chance(0.4):
            return "int", f"{call}({argument}) OVER ({partition})"
        if self.chance(0.5):
            frame = self.one("ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING", "ROWS UNBOUNDED PRECEDING", "")
            return "int", f"{call}({argument}) OVER ({partition} ORDER BY {order} {frame})"
        return "int", f"{self.one('row_number', 'rank', 'dense_rank')}() OVER ({partition} ORDER BY {order})"

    def select(self, depth):
        """A SELECT and the kinds of its columns."""
        text, scope = self.source(depth)
        where = [self.condition(scope)] if self.chance(0.6) else []
        if self.chance(0.35):
            where.append(self.subquery(scope, depth))
        clause = f" WHERE {' AND '.join(where)}" if where else ""
        items, columns, tail = [], {}, ""

        def add(kind, expression):
            name = self.name()
            items.append(f"{expression} AS {name}")
            columns[name] = kind

        if self.chance(0.4):
            keys = [(kind, self.expression(scope, kind, 1)) for kind in self.random.sample(["int", "text", "date"], self.one(0, 1, 2))]
            keys = [(kind, key) for kind, key in keys if "." in key]
            for kind, key in keys:
                add(kind, key)
            for _ in range(self.one(1, 2)):
                add(*self.aggregate(scope))
            tail = f" GROUP BY {', '.join(key for _, key in keys)}" if keys else ""
            if self.chance(0.3):
                tail += f" HAVING {self.aggregate(scope)[1]} IS NOT NULL AND count(*) > {self.random.randint(0, 3)}"
        else:
            for _ in range(self.random.randint(1, 4)):
                kind = self.one("int", "text", "double", "bool", "date")
                add(kind, self.expression(scope, kind))
            if self.chance(0.3):
                add(*self.window(scope))
        distinct = "DISTINCT " if self.chance(0.15) else ""
        return f"SELECT {distinct}{', '.join(items)} FROM {text}{clause}{tail}", columns

    def query(self):
        self.names = 0
        query, columns = self.select(2)
        if self.chance(0.15):
            kinds = list(columns.values())
            for _ in range(20):
                other, more = self.select(1)
                if list(more.values()) == kinds:
                    return f"{query} {self.one('UNION ALL', 'UNION', 'INTERSECT', 'EXCEPT')} {other}"
        if self.chance(0.3):
            return f"{query} ORDER BY {', '.join(columns)} LIMIT {self.random.randint(1, 20)}"
        return query


def generate(seed, count):
    generator = Generator(seed)
    return [generator.query() for _ in range(count)]

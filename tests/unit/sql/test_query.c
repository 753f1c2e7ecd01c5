/*
 * test_query.c - queries: what is accepted, what is refused and where, and that printing loses nothing.
 */
#include "base/arena.h"
#include "sql/query.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Query, and how it prints (NULL: as written). */
static const char *const accepted[][2] = {
    {"SELECT a FROM t", NULL},
    {"select A from T;", "SELECT A FROM T"},
    {"SELECT * FROM t", NULL},
    {"SELECT t.*, u.a AS x FROM t CROSS JOIN u", NULL},
    {"SELECT * EXCEPT (a, b) FROM t", NULL},
    {"SELECT * FROM t EXCEPT (SELECT * FROM u)", "SELECT * FROM t EXCEPT SELECT * FROM u"},
    {"SELECT a x, b AS `select` FROM t AS u", "SELECT a AS x, b AS `select` FROM t AS u"},
    {"SELECT DISTINCT a FROM t", NULL},
    {"SELECT ALL a FROM t", "SELECT a FROM t"},
    {"SELECT a FROM t, u v, w", "SELECT a FROM t CROSS JOIN u AS v CROSS JOIN w"},
    {"SELECT a FROM t JOIN u ON t.id = u.id", NULL},
    {"SELECT a FROM t INNER JOIN u USING (id, k)", "SELECT a FROM t JOIN u USING (id, k)"},
    {"SELECT a FROM t LEFT OUTER JOIN u ON TRUE", "SELECT a FROM t LEFT JOIN u ON TRUE"},
    {"SELECT a FROM t NATURAL RIGHT JOIN u", NULL},
    {"SELECT a FROM t FULL JOIN u ON t.a = u.a LEFT SEMI JOIN v ON t.a = v.a", NULL},
    {"SELECT a FROM t ANTI JOIN u ON t.a = u.a", "SELECT a FROM t LEFT ANTI JOIN u ON t.a = u.a"},
    {"SELECT a FROM t JOIN (u JOIN v ON u.a = v.a) ON t.a = u.a", NULL},
    {"SELECT a FROM (t JOIN u ON t.a = u.a)", "SELECT a FROM t JOIN u ON t.a = u.a"},
    {"SELECT a FROM (SELECT b AS a FROM t) AS s", NULL},
    {"SELECT a FROM (SELECT b FROM t) AS s(a)", NULL},
    {"SELECT a FROM ((SELECT a FROM t) UNION (SELECT a FROM u)) AS s",
     "SELECT a FROM (SELECT a FROM t UNION SELECT a FROM u) AS s"},
    {"SELECT a FROM ((SELECT a FROM t) x JOIN u ON x.a = u.a)",
     "SELECT a FROM (SELECT a FROM t) AS x JOIN u ON x.a = u.a"},
    {"SELECT a FROM t WHERE a > 1 AND b IS NULL GROUP BY a, 2 HAVING count(*) > 1 ORDER BY a DESC, "
     "b "
     "NULLS LAST LIMIT 10 OFFSET 5",
     NULL},
    {"SELECT a FROM t ORDER BY a ASC NULLS FIRST, b DESC NULLS LAST",
     "SELECT a FROM t ORDER BY a, b DESC"},
    {"SELECT a, count(*) FROM t GROUP BY ALL ORDER BY ALL",
     "SELECT a, count(*) FROM t GROUP BY ALL ORDER BY ALL NULLS FIRST"},
    {"SELECT a FROM t LIMIT ALL", "SELECT a FROM t"},
    {"SELECT a FROM t UNION ALL SELECT b FROM u UNION ALL SELECT c FROM v", NULL},
    {"SELECT a FROM t UNION SELECT b FROM u INTERSECT SELECT c FROM v",
     "SELECT a FROM t UNION (SELECT b FROM u INTERSECT SELECT c FROM v)"},
    {"SELECT a FROM t MINUS SELECT b FROM u ORDER BY 1 LIMIT 1",
     "SELECT a FROM t EXCEPT SELECT b FROM u ORDER BY 1 LIMIT 1"},
    {"(SELECT a FROM t LIMIT 1) UNION ALL (SELECT a FROM u LIMIT 2)", NULL},
    {"(SELECT a FROM t LIMIT 5) ORDER BY a", NULL},
    {"WITH x AS (SELECT a FROM t), y(b) AS (SELECT a FROM x) SELECT b FROM y", NULL},
    {"WITH x AS (SELECT a FROM t) (WITH x AS (SELECT b FROM t) SELECT * FROM x)", NULL},
    {"SELECT a FROM t WHERE a IN (SELECT b FROM u) AND NOT EXISTS (SELECT 1 FROM v WHERE v.a = "
     "t.a)",
     NULL},
    {"SELECT a FROM t WHERE (a, b) NOT IN (SELECT c, d FROM u)",
     "SELECT a FROM t WHERE NOT (a, b) IN (SELECT c, d FROM u)"},
    {"SELECT a, (SELECT max(b) FROM u) AS m FROM t WHERE a > (SELECT 1 FROM u)", NULL},
    {"SELECT row_number() OVER (PARTITION BY a, b + 1 ORDER BY c DESC, d) AS n FROM t", NULL},
    {"SELECT sum(a) OVER (ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM t", NULL},
    {"SELECT sum(a) OVER (ORDER BY b RANGE UNBOUNDED PRECEDING) AS s FROM t", NULL},
    {"SELECT sum(a) OVER w AS s, rank() OVER (w ORDER BY b) AS r FROM t WINDOW w AS (PARTITION BY "
     "a)",
     NULL},
    {"SELECT count(*) over FROM t", "SELECT count(*) AS `over` FROM t"},
    {"SELECT count(DISTINCT a) AS n FROM t", NULL},
    {"SELECT a -- the first\n, /* the second */ b FROM t", "SELECT a, b FROM t"},
    {"SELECT left, right FROM t WHERE left(a, 1) = 'x'",
     "SELECT `left`, `right` FROM t WHERE left(a, 1) = 'x'"},
    {"SELECT `a``b`, `1x` FROM `my frame`", NULL},
    {"SELECT a FROM db.t", "SELECT a FROM `db.t`"},
    {"SELECT a FROM t GROUP BY a EMIT CHANGES", NULL},
    {"SELECT a FROM t ORDER BY a LIMIT 1 EMIT FINAL", NULL},
    {"SELECT a FROM table JOIN tumble ON emit = `emit`",
     "SELECT a FROM table JOIN tumble ON `emit` = `emit`"},
    {"SELECT window.start, window.end FROM t GROUP BY window(ts, '5 minutes')",
     "SELECT `window`.start, `window`.`end` FROM t GROUP BY window(ts, '5 minutes')"},
    {"SELECT a FROM TABLE(TUMBLE(TABLE db.t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) AS x(a, b)",
     "SELECT a FROM TABLE(TUMBLE(TABLE `db.t`, DESCRIPTOR(ts), INTERVAL '1 minutes')) AS x(a, b)"},
    {"SELECT a FROM HOP(TABLE t, DESCRIPTOR(ts), '1 minute', '5 minutes') JOIN u ON TRUE",
     "SELECT a FROM TABLE(HOP(TABLE t, DESCRIPTOR(ts), '1 minute', '5 minutes')) JOIN u ON TRUE"},
    {"SELECT a FROM SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), '1 minute')",
     "SELECT a FROM TABLE(SESSION(TABLE t PARTITION BY (k), DESCRIPTOR(ts), '1 minute'))"},
    {"SELECT a FROM SESSION(TABLE t PARTITION BY (k, l), DESCRIPTOR(ts), '1 minute')",
     "SELECT a FROM TABLE(SESSION(TABLE t PARTITION BY (k, l), DESCRIPTOR(ts), '1 minute'))"},
};

/* Query, line, column, and a part of the message. */
static const struct {
    const char *query;
    int line, column;
    const char *message;
} refused[] = {
    {"", 1, 1, "expected SELECT"},
    {"SELECT", 1, 7, "expected an operand"},
    {"SELECT FROM t", 1, 8, "expected an operand, found FROM"},
    {"SELECT a FROM", 1, 14, "expected the name of a frame"},
    {"SELECT a FROM t WHERE", 1, 22, "expected an operand"},
    {"SELECT a\nFROM t\nWHERE (a > 1", 3, 13, "expected )"},
    {"SELECT a FROM t WHERE a > 1 2", 1, 29, "a clause or the end"},
    {"SELECT a FROM t JOIN u ON", 1, 26, "expected an operand"},
    {"SELECT a FROM t LEFT u", 1, 22, "expected JOIN"},
    {"SELECT a FROM t NATURAL JOIN u ON t.a = u.a", 1, 17, "NATURAL"},
    {"SELECT a FROM t GROUP BY ROLLUP (a)", 1, 26, "ROLLUP is not built"},
    {"SELECT a FROM t GROUP BY a WITH ROLLUP", 1, 28, "WITH ROLLUP is not built"},
    {"SELECT a FROM t LATERAL VIEW explode(b) x AS c", 1, 17, "LATERAL is not built"},
    {"SELECT a FROM t SORT BY a", 1, 17, "SORT is not built"},
    {"SELECT a FROM t QUALIFY row_number() OVER (ORDER BY a) = 1", 1, 17, "QUALIFY is not built"},
    {"SELECT a FROM t EMIT", 1, 21, "expected CHANGES or FINAL"},
    {"SELECT a FROM t EMIT CHANGES LIMIT 1", 1, 30, "end of the query"},
    {"SELECT a FROM (SELECT b FROM t EMIT CHANGES) AS x", 1, 32, "end of the whole query"},
    {"SELECT a FROM TABLE(CUMULATE(TABLE t, DESCRIPTOR(ts), INTERVAL 1 MINUTE))", 1, 21,
     "table function CUMULATE"},
    {"SELECT a FROM TABLE(TUMBLE)", 1, 27, "expected ("},
    {"SELECT a FROM TUMBLE(t, DESCRIPTOR(ts), INTERVAL 1 MINUTE)", 1, 22, "expected TABLE"},
    {"SELECT a FROM TUMBLE(TABLE t, ts, INTERVAL 1 MINUTE)", 1, 31, "expected DESCRIPTOR"},
    {"SELECT a FROM TUMBLE(TABLE t, DESCRIPTOR(ts))", 1, 45, "expected ,"},
    {"SELECT a FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL 1 MINUTE)", 1, 71, "expected )"},
    {"SELECT a FROM HOP(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL 1 MINUTE)", 1, 15,
     "PARTITION BY is for SESSION"},
    {"SELECT id FROM range(10)", 1, 16, "table function range"},
    {"VALUES (1, 2)", 1, 1, "VALUES is not built"},
    {"SELECT a FROM (VALUES (1)) AS v", 1, 16, "VALUES is not built"},
    {"WITH RECURSIVE x AS (SELECT 1) SELECT * FROM x", 1, 6, "RECURSIVE is not built"},
    {"SELECT a FROM t UNION", 1, 22, "expected SELECT"},
    {"INSERT INTO t SELECT 1", 1, 1, "expected SELECT, found INSERT"},
    {"SELECT 'abc FROM t", 1, 8, "no closing"},
    {"SELECT \xc3\xa4, 'x FROM t", 1, 11, "no closing"},
    {"SELECT sum(a) OVER (ROWS 1) FROM t", 1, 27, "PRECEDING or FOLLOWING"},
    {"SELECT a FROM (t JOIN u ON TRUE) AS x", 1, 34, "takes no alias"},
};

static void test_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        struct mr_arena arena;
        struct mr_error err = {0};
        struct mr_query *query;
        struct mr_bytes text, again;
        const char *wanted = accepted[i][1] ? accepted[i][1] : accepted[i][0];
        mr_arena_init(&arena, NULL);
        mr_bytes_init(&text, 1 << 20);
        mr_bytes_init(&again, 1 << 20);
        if (mr_query_parse(&arena, accepted[i][0], &query, &err) != MR_OK)
            fail_msg("%s: %s", accepted[i][0], err.message);
        mr_query_print(&text, query);
        assert_string_equal(text.data, wanted);
        if (mr_query_parse(&arena, text.data, &query, &err) != MR_OK)
            fail_msg("%s: %s", text.data, err.message);
        mr_query_print(&again, query);
        assert_string_equal(again.data, text.data);
        mr_bytes_reset(&text);
        mr_bytes_reset(&again);
        mr_arena_reset(&arena);
    }
}

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct mr_arena arena;
        struct mr_error err = {0};
        struct mr_query *query;
        char where[64];
        mr_arena_init(&arena, NULL);
        if (mr_query_parse(&arena, refused[i].query, &query, &err) != MR_CONFIG)
            fail_msg("%s: not refused", refused[i].query);
        snprintf(where, sizeof where, "query, line %d, column %d", refused[i].line,
                 refused[i].column);
        if (strcmp(err.where, where) != 0 || strstr(err.message, refused[i].message) == NULL)
            fail_msg("%s: wanted %s at %s, got %s at %s", refused[i].query, refused[i].message,
                     where, err.message, err.where);
        mr_arena_reset(&arena);
    }
}

/* What printing must keep: precedence, signs, escapes, types of literals. */
static const char *const expressions[] = {
    "a + b * c - (d - e)",
    "(a + b) * c / (d * e) % f DIV g",
    "a - -5 + - 5 - -(5) + -(-b) - +c",
    "-(1 + 2)::bigint",
    "(-5)::string",
    "- a.b[0].c",
    "~a & b | c ^ d",
    "(a | b) & (c ^ d)",
    "NOT a = b AND NOT (a AND b) OR c",
    "(NOT a) = b",
    "(a = b) IS NULL",
    "a = (b IS NULL)",
    "(a IS NULL) IN (TRUE, FALSE)",
    "a BETWEEN 1 AND 2 AND b NOT BETWEEN x + 1 AND y",
    "a IN (1, 2, NULL) OR b NOT IN ('x')",
    "a LIKE 'x%' AND a NOT LIKE '\\_y' ESCAPE '/' OR b RLIKE '^a\\\\d' OR c ILIKE 'Z'",
    "a LIKE ANY ('x', 'y') AND NOT b LIKE ALL ('p', 'q')",
    "a IS TRUE AND b IS NOT FALSE AND c IS UNKNOWN AND d IS NOT NULL",
    "a <=> b AND a IS DISTINCT FROM b AND (a <> b) <=> (b != a)",
    "a || b || (c || d)",
    "CASE WHEN a THEN 1 WHEN b THEN 2 END",
    "CASE a + 1 WHEN 1 THEN 'x' ELSE 'y' END",
    "CAST(a AS decimal(10,2)) + TRY_CAST(b AS array<struct<x:int>>)[1]",
    "1 + 1L + 1S + 1Y + 1.5 + 1.50 + 1e3 + 1.5F + 2BD + 0.001 + 12345678901 + "
    "123456789012345678901",
    "-9223372036854775808 + -2147483648 + -128Y + -1.5D",
    "'it\\'s' || \"a\\\\b\" || 'tab\\t' || '\\%\\_' || 'nul\\0' || r'\\d+'",
    "X'00FF' || TRUE || FALSE || NULL",
    "INTERVAL 3 days 2 hours + INTERVAL '1-2' YEAR TO MONTH - INTERVAL '-3 days' + INTERVAL -5 "
    "MINUTES",
    "DATE '2024-01-01' + TIMESTAMP '2024-01-01 00:00:00'",
    "date_add(DAY, 1, x) + date_add(day, 1) + datediff(HOUR, a, b)",
    "trim(BOTH 'x' FROM a) || substring(a FROM 2 FOR 3) || position('x' IN a) || extract(YEAR FROM "
    "b)",
    "count(DISTINCT a) + count(*) FILTER (WHERE b > 1)",
    "percentile_cont(0.5) WITHIN GROUP (ORDER BY a + 1 DESC) + first(a) IGNORE NULLS",
    "`select` + `a b` + `order` + `date`",
    "a.b.c[d]['k']",
    "struct(a, b)",
    "(a, b.c, 1) = (d, e, f)",
};

static void test_expressions(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof expressions / sizeof expressions[0]; i++) {
        struct mr_arena arena;
        struct mr_error err = {0};
        struct mr_ast *ast, *again;
        struct mr_bytes text;
        mr_arena_init(&arena, NULL);
        mr_bytes_init(&text, 1 << 20);
        if (mr_sql_parse(&arena, expressions[i], &ast, &err) != MR_OK)
            fail_msg("%s: %s", expressions[i], err.message);
        mr_ast_print(&text, ast);
        if (mr_sql_parse(&arena, text.data, &again, &err) != MR_OK)
            fail_msg("%s printed as %s: %s", expressions[i], text.data, err.message);
        if (!mr_ast_equal(ast, again))
            fail_msg("%s is not %s", expressions[i], text.data);
        mr_bytes_reset(&text);
        mr_arena_reset(&arena);
    }
}

/* A sanitizer's frames are several times larger. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_SIZE ((size_t)8 << 20)
#else
#define STACK_SIZE ((size_t)512 << 10)
#endif

struct job {
    const char *text;
    enum mr_status status;
    struct mr_error err;
};

static void *parse_and_print(void *arg)
{
    struct job *job = arg;
    struct mr_arena arena;
    struct mr_query *query;
    struct mr_bytes text;
    mr_arena_init(&arena, NULL);
    mr_bytes_init(&text, 2 << 20);
    job->status = mr_query_parse(&arena, job->text, &query, &job->err);
    if (job->status == MR_OK)
        mr_query_print(&text, query);
    mr_bytes_reset(&text);
    mr_arena_reset(&arena);
    return NULL;
}

static enum mr_status parse_on_small_stack(const char *text, struct mr_error *err)
{
    pthread_attr_t attr;
    pthread_t thread;
    struct job job = {.text = text};
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    assert_int_equal(pthread_create(&thread, &attr, parse_and_print, &job), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
    *err = job.err;
    return job.status;
}

/* `before` n times, `middle`, `after` n times. */
static char *nest(const char *before, const char *middle, const char *after, int n)
{
    char *text = malloc((strlen(before) + strlen(after)) * (size_t)n + strlen(middle) + 1);
    char *at = text;
    for (int i = 0; i < n; i++)
        at = stpcpy(at, before);
    at = stpcpy(at, middle);
    for (int i = 0; i < n; i++)
        at = stpcpy(at, after);
    return text;
}

static void test_nesting(void **state)
{
    (void)state;
    static const struct {
        const char *before, *middle, *after;
        int count;
        bool works;
    } nests[] = {
        {"SELECT a FROM (", "SELECT a FROM t", ")", 60, true},
        {"SELECT a FROM (", "SELECT a FROM t", ")", 20000, false},
        {"SELECT a FROM t WHERE EXISTS (", "SELECT a FROM t", ")", 60, true},
        {"SELECT a FROM t WHERE EXISTS (", "SELECT a FROM t", ")", 20000, false},
        {"SELECT (((((1 + (", "SELECT 1 FROM t", "))))))", 60, true},
        {"SELECT ((((((((((((((", "SELECT 1 FROM t", "))))))))))))))", 60, false},
        {"SELECT a FROM t UNION ALL ", "SELECT a FROM t", "", 20000, true},
        {"SELECT a FROM t UNION ALL SELECT a FROM t UNION ", "SELECT a FROM t", "", 20000, false},
        {"(", "SELECT a FROM t", ")", 20000, false},
        {"", "SELECT a FROM t", " JOIN u", 400, true},
        {"", "SELECT a FROM t", " JOIN u", 20000, false},
        {"", "SELECT a FROM ((((((((((((", "((((", 5000, false},
        {"WITH x AS (", "SELECT a FROM t", ") SELECT a FROM x", 60, true},
    };
    for (size_t i = 0; i < sizeof nests / sizeof nests[0]; i++) {
        struct mr_error err;
        char *text = nest(nests[i].before, nests[i].middle, nests[i].after, nests[i].count);
        enum mr_status status = parse_on_small_stack(text, &err);
        if ((status == MR_OK) != nests[i].works || (status != MR_OK && status != MR_CONFIG))
            fail_msg("%s x %d: %d %s", nests[i].before, nests[i].count, status, err.message);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_expressions),
        cmocka_unit_test(test_nesting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

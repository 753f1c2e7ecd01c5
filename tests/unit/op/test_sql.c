/*
 * test_sql.c - queries and the parts that they become, and what is refused, with the place in the query.
 */
#include "unit/op/sql_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const cases[][2] = {
#include "unit/op/sql_cases.h"
};

/* Query, line, column, and a part of the message or of the hint. */
static const struct {
    const char *query;
    int line, column;
    const char *message;
} refused[] = {
    {"SELECT x FROM t", 1, 8, "no column x in SELECT"},
    {"SELECT nme FROM t", 1, 8, "did you mean name?"},
    {"SELECT t.nme FROM t", 1, 8, "no column t.nme"},
    {"SELECT q.name FROM t", 1, 8, "q is neither a relation nor a column"},
    {"SELECT id\nFROM t\nWHERE x > 1", 3, 7, "no column x in WHERE"},
    {"SELECT id FROM t JOIN u ON t.id = u.id", 1, 8, "more than one column"},
    {"SELECT t.id FROM t JOIN t ON TRUE", 1, 25, "stands in FROM twice"},
    {"SELECT t.id, u.id FROM t JOIN u ON t.id = u.id", 1, 15, "two columns of the result"},
    {"SELECT id FROM t WHERE name", 1, 24, "a condition must be boolean, this is string"},
    {"SELECT id FROM t WHERE d + TRUE > 1", 1, 26, "+ does not take date and boolean"},
    {"SELECT upper(id, k) FROM t", 1, 8, "upper"},
    {"SELECT uper(name) FROM t", 1, 8, "did you mean upper?"},
    {"SELECT id FROM t WHERE count(*) > 1", 1, 24, "WHERE takes no aggregates"},
    {"SELECT id FROM t WHERE row_number() OVER (ORDER BY id) = 1", 1, 24, "no window functions"},
    {"SELECT id, count(*) FROM t", 1, 8, "neither in GROUP BY nor in an aggregate"},
    {"SELECT k + 1, count(*) FROM t GROUP BY k + 2", 1, 8, "neither in GROUP BY"},
    {"SELECT sum(count(*)) FROM t", 1, 12, "aggregate within an aggregate"},
    {"SELECT sum(name || 'x', 2) FROM t", 1, 8, "sum"},
    {"SELECT id FROM t GROUP BY 2", 1, 27, "GROUP BY 2: the query has 1 columns"},
    {"SELECT id FROM t ORDER BY 0", 1, 27, "ORDER BY 0"},
    {"SELECT DISTINCT id FROM t ORDER BY k", 1, 36, "only what is selected"},
    {"SELECT id FROM t LIMIT -1", 1, 24, "LIMIT takes a whole number"},
    {"SELECT id FROM t UNION SELECT id, k FROM t", 1, 24, "has 1 columns, this one 2"},
    {"SELECT id FROM t UNION SELECT p FROM s", 1, 24, "column 1 is struct"},
    {"SELECT id FROM t WHERE id IN (SELECT id, k FROM u)", 1, 27, "has 2 columns, 1 are"},
    {"SELECT (SELECT id, k FROM u LIMIT 1) AS x FROM t", 1, 8, "has one column, not 2"},
    {"SELECT id FROM t WHERE id IN (SELECT max(id) FROM u WHERE u.k = t.k)", 1, 65,
     "belongs to the query around"},
    {"SELECT id FROM t, (SELECT id AS i FROM u WHERE u.k = t.k) AS x", 1, 54,
     "t is neither a relation"},
    {"SELECT sum(v) OVER w AS s FROM t", 1, 20, "no window w"},
    {"SELECT sum(rank() OVER (ORDER BY id)) OVER () AS s FROM t", 1, 12, "within a window"},
    {"SELECT id FROM t HAVING rank() OVER (ORDER BY id) = 1", 1, 25, "HAVING takes no window"},
    {"SELECT * EXCEPT (x) FROM t", 1, 18, "no column x behind EXCEPT"},
    {"SELECT x.* FROM t", 1, 8, "no relation x"},
    {"SELECT 1", 0, 0, "reads no frame"},
    {"SELECT id FROM t JOIN u USING (name)", 1, 32, "one side of the join has no column name"},
    {"WITH x AS (SELECT id FROM t), x AS (SELECT id FROM u) SELECT * FROM x", 1, 31, "called x"},
    {"WITH x AS (SELECT zz FROM t) SELECT id FROM u", 1, 19, "no column zz"},
    {"WITH x(a, b) AS (SELECT id FROM t) SELECT * FROM x", 1, 6, "has 1 columns, 2 names"},
    {"SELECT a FROM (SELECT id FROM t) AS x(a, b)", 1, 39, "has 1 columns, 2 names"},
    {"SELECT t.id FROM t LEFT JOIN u ON t.id = u.id AND u.w > (SELECT avg(w) FROM u)", 1, 55,
     "only in ON of inner joins"},
    {"SELECT t.id FROM t LEFT JOIN (u JOIN s ON EXISTS (SELECT 1 FROM t)) ON t.id = u.id", 1, 43,
     "only in ON of inner joins"},
    {"SELECT count(*) FROM e GROUP BY TUMBLE(k, '1 hour')", 1, 40, "event time is a timestamp"},
    {"SELECT count(*) FROM e GROUP BY TUMBLE(ts)", 1, 33, "takes a time and a length"},
    {"SELECT count(*) FROM e GROUP BY TUMBLE()", 1, 33, "takes a time"},
    {"SELECT count(*) FROM e GROUP BY HOP(ts, '1 hour')", 1, 33, "a slide and a size"},
    {"SELECT count(*) FROM e GROUP BY TUMBLE(ts, '1 hour', '5 minutes')", 1, 54, "no offset"},
    {"SELECT count(*) FROM e GROUP BY TUMBLE(ts, '1 month')", 1, 44, "different lengths"},
    {"SELECT count(*) FROM e GROUP BY TUMBLE(ts, '0 seconds')", 1, 44, "more than nothing"},
    {"SELECT count(*) FROM e GROUP BY TUMBLE(ts, 5)", 1, 44, "an interval that is written out"},
    {"SELECT count(*) FROM e GROUP BY HOP(ts, '2 hours', '1 hour')", 1, 41, "leave rows out"},
    {"SELECT TUMBLE_START(ts, '2 hours') FROM e GROUP BY TUMBLE(ts, '1 hour')", 1, 8,
     "one kind of window"},
    {"SELECT TUMBLE_START(ts, '1 hour') FROM e", 1, 8, "needs a GROUP BY that has it"},
    {"SELECT k FROM e WHERE TUMBLE_START(ts, '1 hour') > ts", 1, 23, "stands in GROUP BY"},
    {"SELECT count(*) FROM e GROUP BY TUMBLE(ts, '1 hour'), date_trunc('day', window_start)", 1, 73,
     "no column window_start"},
    {"SELECT * FROM TUMBLE(TABLE e, DESCRIPTOR(ts), '1 hour')", 1, 15,
     "GROUP BY window_start, window_end"},
    {"SELECT k FROM TUMBLE(TABLE e, DESCRIPTOR(tz), '1 hour') GROUP BY window_start, k", 1, 42,
     "did you mean ts?"},
    {"SELECT e.k FROM TUMBLE(TABLE e, DESCRIPTOR(ts), '1 hour') JOIN u ON TRUE GROUP BY e.k", 1, 17,
     "stands alone in FROM"},
    {"SELECT k FROM TUMBLE(TABLE e, DESCRIPTOR(ts), '1 hour') WHERE window_start > ts GROUP BY "
     "window_start, k",
     1, 76, "use HAVING"},
    {"SELECT k FROM SESSION(TABLE e, DESCRIPTOR(ts), '1 hour') GROUP BY window_start, k", 1, 81,
     "same columns"},
    {"SELECT k FROM SESSION(TABLE e PARTITION BY k, DESCRIPTOR(ts), '1 hour') GROUP BY "
     "window_start",
     1, 44, "GROUP BY lacks k"},
    {"SELECT k FROM SESSION(TABLE e PARTITION BY k, DESCRIPTOR(ts), '1 hour') WHERE k > 1 GROUP BY "
     "window_start, k",
     1, 81, "too late for its gaps"},
    {"SELECT k FROM e EMIT CHANGES", 1, 17, "EMIT belongs to a SELECT with GROUP BY"},
    {"SELECT id FROM nowhere", 0, 0, "no earlier step registers a frame \"nowhere\""},
};

static void test_parts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mr_arena arena;
        struct mr_error err = {0};
        struct mr_bytes text;
        mr_arena_init(&arena, NULL);
        mr_bytes_init(&text, 1 << 20);
        if (sql_fixture_expand(&arena, cases[i][0], &text, &err) != MR_OK)
            fail_msg("%s: %s (%s)", cases[i][0], err.message, err.hint);
        if (strcmp(text.data, cases[i][1]) != 0)
            fail_msg("%s:\nwanted\n%sgot\n%s", cases[i][0], cases[i][1], text.data);
        mr_bytes_reset(&text);
        mr_arena_reset(&arena);
    }
}

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct mr_arena arena;
        struct mr_error err = {0};
        struct mr_bytes text;
        char place[64] = "";
        mr_arena_init(&arena, NULL);
        mr_bytes_init(&text, 1 << 20);
        if (sql_fixture_expand(&arena, refused[i].query, &text, &err) != MR_CONFIG)
            fail_msg("%s: not refused, but\n%s", refused[i].query, text.data);
        if (refused[i].line > 0)
            snprintf(place, sizeof place, "at line %d, column %d (", refused[i].line,
                     refused[i].column);
        if (strstr(err.message, place) == NULL ||
            (strstr(err.message, refused[i].message) == NULL &&
             strstr(err.hint, refused[i].message) == NULL))
            fail_msg("%s: wanted %s %s, got %s (%s)", refused[i].query, place, refused[i].message,
                     err.message, err.hint);
        mr_bytes_reset(&text);
        mr_arena_reset(&arena);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1) { /* shows what queries become */
        for (int i = 1; i < argc; i++) {
            struct mr_arena arena;
            struct mr_error err = {0};
            struct mr_bytes text;
            mr_arena_init(&arena, NULL);
            mr_bytes_init(&text, 1 << 20);
            if (sql_fixture_expand(&arena, argv[i], &text, &err) != MR_OK)
                printf("%s: %s (%s)\n", argv[i], err.message, err.hint);
            else
                printf("%s\n%s\n", argv[i], text.data);
            mr_bytes_reset(&text);
            mr_arena_reset(&arena);
        }
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

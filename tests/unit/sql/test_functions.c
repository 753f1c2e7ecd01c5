/*
 * test_functions.c - functions over a fixed batch in each encoding; the cases are in cases_math.c, cases_text.c, cases_time.c.
 */
#include "unit/sql/expr_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

extern const struct expr_cases cases_math, cases_math_legacy, cases_text, cases_text_legacy,
    cases_time, cases_time_berlin, cases_time_legacy, cases_nested, cases_nested_legacy, cases_json,
    cases_regex, cases_convert, cases_format;

static int run(enum session_kind session, const struct expr_cases *cases)
{
    struct expr_fixture *fixture = expr_fixture_new(session);
    int failed = 0;
    for (int kind = BATCH_FLAT; kind <= BATCH_SELECTION; kind++)
        failed += expr_fixture_run(fixture, kind, cases->cases, cases->count);
    expr_fixture_free(fixture);
    return failed;
}

static void test_math(void **state)
{
    (void)state;
    assert_int_equal(run(ANSI_UTC, &cases_math) + run(LEGACY_UTC, &cases_math_legacy), 0);
}

static void test_text(void **state)
{
    (void)state;
    assert_int_equal(run(ANSI_UTC, &cases_text) + run(LEGACY_UTC, &cases_text_legacy), 0);
}

static void test_time(void **state)
{
    (void)state;
    assert_int_equal(run(ANSI_UTC, &cases_time) + run(LEGACY_UTC, &cases_time_legacy), 0);
}

static void test_nested(void **state)
{
    (void)state;
    assert_int_equal(run(ANSI_UTC, &cases_nested) + run(LEGACY_UTC, &cases_nested_legacy), 0);
}

static void test_json(void **state)
{
    (void)state;
    assert_int_equal(run(ANSI_UTC, &cases_json), 0);
}

static void test_regex(void **state)
{
    (void)state;
    assert_int_equal(run(ANSI_UTC, &cases_regex), 0);
}

static void test_convert(void **state)
{
    (void)state;
    assert_int_equal(run(ANSI_UTC, &cases_convert), 0);
}

static void test_format(void **state)
{
    (void)state;
    assert_int_equal(run(ANSI_UTC, &cases_format), 0);
}

static void test_zone(void **state)
{
    (void)state;
    assert_int_equal(run(ANSI_BERLIN, &cases_time_berlin), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_math),    cmocka_unit_test(test_text),   cmocka_unit_test(test_time),
        cmocka_unit_test(test_nested),  cmocka_unit_test(test_json),   cmocka_unit_test(test_regex),
        cmocka_unit_test(test_convert), cmocka_unit_test(test_format), cmocka_unit_test(test_zone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

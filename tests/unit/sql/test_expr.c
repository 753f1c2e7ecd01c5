/*
 * test_expr.c - expressions over a fixed batch in each encoding; the cases are in cases_*.c.
 */
#include "unit/sql/expr_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int run(enum session_kind session, const struct expr_cases *cases)
{
    struct expr_fixture *fixture = expr_fixture_new(session);
    int failed = 0;
    for (int kind = BATCH_FLAT; kind <= BATCH_SELECTION; kind++)
        failed += expr_fixture_run(fixture, kind, cases->cases, cases->count);
    expr_fixture_free(fixture);
    return failed;
}

static void test_core(void **state)
{
    (void)state;
    assert_int_equal(run(ANSI_UTC, &cases_core), 0);
}

static void test_errors(void **state)
{
    (void)state;
    assert_int_equal(run(ANSI_UTC, &cases_errors), 0);
}

static void test_cast(void **state)
{
    (void)state;
    assert_int_equal(run(ANSI_UTC, &cases_cast), 0);
}

static void test_zone(void **state)
{
    (void)state;
    assert_int_equal(run(ANSI_BERLIN, &cases_berlin), 0);
}

static void test_legacy(void **state)
{
    (void)state;
    assert_int_equal(run(LEGACY_UTC, &cases_legacy), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_core), cmocka_unit_test(test_errors), cmocka_unit_test(test_cast),
        cmocka_unit_test(test_zone), cmocka_unit_test(test_legacy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

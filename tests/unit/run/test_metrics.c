/*
 * test_metrics.c - what /healthz takes for progress.
 */
#include "run/metrics.h"

#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* After at least a microsecond, of which none is allowed to pass without progress. */
static int ask(struct mr_metrics *metrics)
{
    struct mr_bytes page;
    int64_t now = mr_clock_monotonic_micros();
    while (mr_clock_monotonic_micros() == now)
        ;
    mr_bytes_init(&page, MR_BYTES_DEFAULT_MAXIMUM);
    int code = mr_metrics_health(metrics, 0, &page);
    mr_bytes_reset(&page);
    return code;
}

static void test_health(void **state)
{
    (void)state;
    struct mr_error err = {.message = "no broker"};
    struct mr_engine_options options = {.permits = 1};
    struct mr_session *session = calloc(1, sizeof *session);
    struct mr_totals totals;
    assert_int_equal(mr_engine_new(&options, &session->engine, &err), MR_OK);
    assert_int_equal(mr_totals_init(&totals, &err), MR_OK);
    struct mr_metrics_run run = {.session = session, .totals = &totals};
    struct mr_metrics metrics = {.process = session, .nruns = 1, .runs = &run};
    assert_int_equal(ask(&metrics), 200);
    mr_totals_start(&totals, 4);
    assert_int_equal(ask(&metrics), 503);
    /* What is kept is read, a commit publishes: piece by piece. */
    for (int i = 0; i < 3; i++) {
        session->runtime.pieces = &session->pieces;
        mr_progressed(&session->runtime);
        assert_int_equal(ask(&metrics), 200);
        assert_int_equal(ask(&metrics), 503);
    }
    /* Again and again is no progress. */
    mr_totals_failed(&totals, &err);
    mr_progressed(&session->runtime);
    assert_int_equal(ask(&metrics), 503);
    mr_totals_failed(&totals, NULL);
    mr_totals_rest(&totals);
    assert_int_equal(ask(&metrics), 200);
    mr_totals_reset(&totals);
    mr_engine_free(session->engine);
    free(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_health)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Ages in buckets: how far off they are, and that they grow until the commit. */
#include "ext/latency.h"

#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct mr_latency *new_one(int64_t now)
{
    struct mr_latency *latency = mr_calloc(1, sizeof *latency);
    assert_non_null(latency);
    mr_latency_begin(latency, now);
    return latency;
}

/* 3.2 %: half the width of a bucket, twice. */
static void assert_near(int64_t found, int64_t wanted)
{
    assert_true(found >= wanted - wanted * 32 / 1000 && found <= wanted + wanted * 32 / 1000);
}

/* Ages of all sizes, and epochs that take from nothing to longer than the records are old. */
static void test_error(void **state)
{
    (void)state;
    for (int64_t age = 1000; age < INT64_C(1000000000000); age += age / 7 + 1) {
        for (int64_t took = 0; took < 4 * age; took += took / 2 + age / 5 + 1) {
            struct mr_latency *epoch = new_one(INT64_C(2000000000000)), *sum = new_one(0);
            struct mr_latency_figures figures;
            mr_latency_note(epoch, INT64_C(2000000000000) - age, 1);
            mr_latency_add(sum, epoch, INT64_C(2000000000000) + took);
            mr_latency_read(sum, &figures);
            assert_near(figures.p50, age + took);
            mr_free(epoch);
            mr_free(sum);
        }
    }
}

static void test_percentiles(void **state)
{
    (void)state;
    struct mr_latency *epoch = new_one(1000000000), *sum = new_one(0);
    struct mr_latency_figures figures;
    mr_latency_read(sum, &figures);
    assert_int_equal(figures.count, 0);
    assert_int_equal(figures.max, 0);
    for (int i = 1; i <= 1000; i++)
        mr_latency_note(epoch, 1000000000 - i * 1000, 2);
    mr_latency_note(NULL, 1, 1);
    mr_latency_add(sum, epoch, 1000000000);
    mr_latency_read(sum, &figures);
    assert_int_equal(figures.count, 2000);
    assert_near(figures.p50, 500000);
    assert_near(figures.p95, 950000);
    assert_near(figures.p99, 990000);
    assert_near(figures.max, 1000000);
    assert_int_equal(mr_latency_up_to(sum, 100), 0);
    assert_int_equal(mr_latency_up_to(sum, 2000000), 2000);
    mr_free(epoch);
    mr_free(sum);
}

static void test_commit(void **state)
{
    (void)state;
    struct mr_latency *epoch = new_one(5000000), *sum = new_one(0);
    struct mr_latency_figures figures;
    mr_latency_note(epoch, 6000000, 1); /* a clock that is ahead: as if it were of now */
    mr_latency_add(sum, epoch, 7000000);
    mr_latency_read(sum, &figures);
    assert_int_equal(figures.count, 1);
    assert_true(figures.max >= 2000000 && figures.max <= 2070000);
    mr_latency_begin(epoch, 9000000);
    mr_latency_note(epoch, INT64_MIN / 2, 1);
    mr_latency_add(sum, epoch, 9000000);
    mr_latency_read(sum, &figures);
    assert_int_equal(figures.count, 2);
    mr_free(epoch);
    mr_free(sum);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_percentiles),
        cmocka_unit_test(test_error),
        cmocka_unit_test(test_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

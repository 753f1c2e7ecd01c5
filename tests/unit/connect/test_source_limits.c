/* Rows a second, by given times instead of a clock. */
#include "connect/postgres/limits.h"

#include "base/thread.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void rows_are_paid_for(void **unused)
{
    (void)unused;
    struct mr_postgres_rate rate = {.per_second = 1000};
    mr_mutex_init(&rate.lock);
    assert_int_equal(mr_postgres_rate_take(&rate, 5000000, 100), 5100000);
    /* Another reader, at the same moment, waits behind the first. */
    assert_int_equal(mr_postgres_rate_take(&rate, 5000000, 100), 5200000);
    assert_int_equal(mr_postgres_rate_take(&rate, 5150000, 50), 5250000);
    /* What was not used while nobody read is not saved up. */
    assert_int_equal(mr_postgres_rate_take(&rate, 9000000, 10), 9010000);
    assert_int_equal(mr_postgres_rate_take(&rate, 9000000, 0), 9010000);
    pthread_mutex_destroy(&rate.lock);
}

static void any_time_is_kept_to(void **unused)
{
    (void)unused;
    struct mr_postgres_rate rate = {.per_second = 7};
    mr_mutex_init(&rate.lock);
    uint64_t random = 1;
    int64_t now = 0, rows = 0;
    for (int i = 0; i < 10000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        int64_t most = (int64_t)(random >> 40) % 30;
        int64_t until = mr_postgres_rate_take(&rate, now, most);
        rows += most;
        assert_true(until >= now);
        /* Whoever waits until then has not read faster, rounding apart. */
        assert_true((until + 10000) / 1000 >= rows * 1000 / 7);
        now = until + (int64_t)(random >> 60);
    }
    pthread_mutex_destroy(&rate.lock);
}

static void a_batch_is_a_tenth_of_a_second(void **unused)
{
    (void)unused;
    assert_int_equal(mr_postgres_rate_batch(&(struct mr_postgres_rate){.per_second = 0}), 0);
    assert_int_equal(mr_postgres_rate_batch(&(struct mr_postgres_rate){.per_second = 3}), 1);
    assert_int_equal(mr_postgres_rate_batch(&(struct mr_postgres_rate){.per_second = 5000}), 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_paid_for),
        cmocka_unit_test(any_time_is_kept_to),
        cmocka_unit_test(a_batch_is_a_tenth_of_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

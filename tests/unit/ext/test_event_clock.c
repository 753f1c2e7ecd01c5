/*
 * test_event_clock.c - the watermark from epoch to epoch: partitions that come, go and fall silent.
 */
#include "ext/event_clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define DELAY 10
#define IDLE  100

static struct mr_error err;

static struct mr_event_clock *new_clock(int64_t idle)
{
    struct mr_event_clock *clock;
    assert_int_equal(mr_event_clock_new(DELAY, idle, &clock, &err), MR_OK);
    return clock;
}

static void begin(struct mr_event_clock *clock, int64_t now, int count, int64_t before)
{
    static const char *const origins[] = {"a", "b", "c"};
    assert_int_equal(mr_event_clock_begin(clock, now, origins, count, &err), MR_OK);
    assert_int_equal(mr_event_clock_before(clock), before);
}

static void seen(struct mr_event_clock *clock, const char *origin, int64_t time, int64_t reached)
{
    assert_int_equal(mr_event_clock_seen(clock, origin, time, &err), MR_OK);
    assert_int_equal(mr_event_clock_reached(clock), reached);
}

/* Windows up to 90 have closed: a partition that comes later does not open them again. */
static void test_partition_comes(void **state)
{
    (void)state;
    struct mr_event_clock *clock = new_clock(0);
    begin(clock, 1, 1, MR_WATERMARK_NONE);
    seen(clock, "a", 100, 90);
    begin(clock, 2, 2, 90);
    seen(clock, "a", 300, 90);
    seen(clock, "b", 200, 190);
    mr_event_clock_free(clock);
}

/* What a partition that goes held back is reached in the epoch that knows of it, not before that begins. */
static void test_partition_goes(void **state)
{
    (void)state;
    struct mr_event_clock *clock = new_clock(0);
    begin(clock, 1, 2, MR_WATERMARK_NONE);
    seen(clock, "a", 100, MR_WATERMARK_NONE);
    seen(clock, "b", 50, 40);
    begin(clock, 2, 1, 40);
    assert_int_equal(mr_event_clock_reached(clock), 90);
    begin(clock, 3, 1, 90);
    begin(clock, 4, 0, 90); /* it is not known which there are: all that were seen */
    seen(clock, "a", 200, 90);
    mr_event_clock_free(clock);
}

/* A partition is idle so long after the epoch that first knew of it, not after the one before. */
static void test_idle(void **state)
{
    (void)state;
    struct mr_event_clock *clock = new_clock(IDLE);
    begin(clock, 1000, 1, MR_WATERMARK_NONE);
    seen(clock, "a", 100, 90);
    begin(clock, 2000, 2, 90);
    seen(clock, "a", 200, 90);
    assert_false(mr_event_clock_due(clock, 2099));
    assert_true(mr_event_clock_due(clock, 2100));
    begin(clock, 2100, 2, 90);
    assert_int_equal(mr_event_clock_reached(clock), 190);
    mr_event_clock_free(clock);
}

/* A process that goes on finds what was reached, and does not reckon it from the partitions it knows. */
static void test_restored(void **state)
{
    (void)state;
    struct mr_event_clock *clock = new_clock(IDLE);
    assert_int_equal(mr_event_clock_restore(clock, "a", 100, &err), MR_OK);
    assert_int_equal(mr_event_clock_restore(clock, NULL, 40, &err), MR_OK);
    begin(clock, 1000, 2, 40);
    assert_int_equal(mr_event_clock_reached(clock), 40);
    assert_false(mr_event_clock_due(clock, 1099));
    begin(clock, 1100, 2, 40);
    assert_int_equal(mr_event_clock_reached(clock), 90);
    begin(clock, 1101, 2, 90);
    mr_event_clock_free(clock);
}

/* Where frames meet, the smallest holds, whichever of them it is. */
static void test_meets(void **state)
{
    (void)state;
    for (int slow = 0; slow < 3; slow++) {
        struct mr_event_clock *parts[3], *all;
        for (int i = 0; i < 3; i++) {
            parts[i] = new_clock(0);
            begin(parts[i], 1, 1, MR_WATERMARK_NONE);
            seen(parts[i], "a", i == slow ? 50 : 100 + i, i == slow ? 40 : 90 + i);
        }
        assert_int_equal(mr_event_clock_combine(parts, 3, &all, &err), MR_OK);
        assert_int_equal(mr_event_clock_before(all), MR_WATERMARK_NONE);
        assert_int_equal(mr_event_clock_reached(all), 40);
        for (int i = 0; i < 3; i++)
            begin(parts[i], 2, 1, i == slow ? 40 : 90 + i);
        assert_int_equal(mr_event_clock_before(all), 40);
        mr_event_clock_free(all);
        for (int i = 0; i < 3; i++)
            mr_event_clock_free(parts[i]);
    }
}

/* There is always a time that is not late. */
static void test_end_of_time(void **state)
{
    (void)state;
    struct mr_event_clock *clock;
    assert_int_equal(mr_event_clock_new(0, 0, &clock, &err), MR_OK);
    begin(clock, 1, 1, MR_WATERMARK_NONE);
    seen(clock, "a", INT64_MAX, INT64_MAX - 1);
    begin(clock, 2, 1, INT64_MAX - 1);
    mr_event_clock_free(clock);
    assert_int_equal(mr_event_clock_new(0, 0, &clock, &err), MR_OK);
    assert_int_equal(mr_event_clock_restore(clock, NULL, INT64_MAX, &err), MR_OK);
    begin(clock, 1, 1, INT64_MAX - 1);
    mr_event_clock_free(clock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_partition_comes),
        cmocka_unit_test(test_partition_goes),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_restored),
        cmocka_unit_test(test_meets),
        cmocka_unit_test(test_end_of_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

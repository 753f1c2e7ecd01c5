/* Back-off by given numbers instead of a clock, what is tried again at all, and the bounded list. */
#include "base/alloc.h"
#include "base/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct mr_retry plain = {.attempts = 6,
                                      .delay_micros = 1000000,
                                      .max_delay_micros = 10000000,
                                      .multiplier = 2};

static void pauses_grow_to_the_bound(void **unused)
{
    (void)unused;
    const int64_t wanted[] = {1000000, 2000000, 4000000, 8000000, 10000000, 10000000};
    for (int i = 0; i < 6; i++)
        assert_int_equal(mr_retry_pause(&plain, i + 1, 99), wanted[i]);
    assert_int_equal(mr_retry_pause(&plain, 1000000000, 1), 10000000);
    struct mr_retry flat = {.attempts = 3, .delay_micros = 500, .multiplier = 0.5};
    assert_int_equal(mr_retry_pause(&flat, 3, 1), 500);
    struct mr_retry unbound = {.attempts = 3, .delay_micros = 1, .multiplier = 10};
    assert_int_equal(mr_retry_pause(&unbound, 4, 1), 1000);
    assert_true(mr_retry_pause(&unbound, 1000, 1) > 0); /* no overflow */
}

static void jitter_takes_up_to_half(void **unused)
{
    (void)unused;
    struct mr_retry retry = plain;
    retry.jitter = true;
    int64_t least = INT64_MAX, most = 0;
    for (uint64_t random = 0; random < 10000; random++) {
        int64_t pause = mr_retry_pause(&retry, 2, random);
        assert_int_equal(pause, mr_retry_pause(&retry, 2, random));
        least = pause < least ? pause : least;
        most = pause > most ? pause : most;
    }
    assert_true(least >= 1000000 && least < 1010000);
    assert_true(most <= 2000000 && most > 1990000);
    /* The bound holds for the pause, not for what jitter is taken from: late pauses still spread. */
    assert_true(mr_retry_pause(&retry, 30, 7) <= 10000000);
    assert_int_not_equal(mr_retry_pause(&retry, 30, 7), mr_retry_pause(&retry, 30, 8));
}

static void only_what_passes_is_tried_again(void **unused)
{
    (void)unused;
    struct mr_error err;
    const enum mr_error_class never[] = {MR_CLASS_CONFIG, MR_CLASS_DATA,    MR_CLASS_UNKNOWN,
                                         MR_CLASS_FATAL,  MR_CLASS_REFUSED, MR_CLASS_SUPERSEDED};
    mr_error_set(&err, MR_SOURCE, MR_CLASS_TRANSIENT, "x");
    assert_true(mr_retry_wanted(&plain, 1, MR_SOURCE, &err));
    assert_true(mr_retry_wanted(&plain, 5, MR_SOURCE, &err));
    assert_false(mr_retry_wanted(&plain, 6, MR_SOURCE, &err));
    assert_false(mr_retry_wanted(&plain, 1, MR_OK, &err));
    assert_false(mr_retry_wanted(&plain, 1, MR_CANCELLED, &err));
    assert_false(mr_retry_wanted(&(struct mr_retry){0}, 1, MR_SOURCE, &err));
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        mr_error_set(&err, MR_SOURCE, never[i], "x");
        assert_false(mr_retry_wanted(&plain, 1, MR_SOURCE, &err));
    }
}

static void the_list_is_bounded(void **unused)
{
    (void)unused;
    struct mr_retry_log *log = mr_calloc(1, sizeof *log);
    assert_non_null(log);
    mr_retry_log_init(log);
    for (int i = 0; i < 3 * MR_RETRY_LOG_MAX; i++) {
        char message[32];
        snprintf(message, sizeof message, "message %d", i);
        struct mr_retry_entry entry = {.step = "step 1",
                                       .unit = "split 2",
                                       .cls = MR_CLASS_TRANSIENT,
                                       .attempt = i,
                                       .delay_micros = 5,
                                       .message = message};
        mr_retry_log_add(log, &entry);
    }
    assert_int_equal(log->total, 3 * MR_RETRY_LOG_MAX);
    assert_int_equal(log->count, MR_RETRY_LOG_MAX);
    assert_string_equal(log->entries[7].message, "message 7");
    mr_retry_log_reset(log);
    mr_free(log);
    mr_retry_log_add(NULL, &(struct mr_retry_entry){.step = "", .unit = "", .message = ""});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_grow_to_the_bound),
        cmocka_unit_test(jitter_takes_up_to_half),
        cmocka_unit_test(only_what_passes_is_tried_again),
        cmocka_unit_test(the_list_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Shared objects of a run: made once per key under contention, again after a failure, destroyed in reverse order.
 */
#include "ext/runtime.h"

#include "base/thread.h"
#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static atomic_int made;
static int destroyed[4];
static int ndestroyed;

static enum mr_status make(void *context, void **out, struct mr_error *err)
{
    (void)err;
    struct mr_waiter waiter = mr_waiter_plain();
    bool timed_out;
    mr_wait(&waiter, -1, 0, mr_clock_monotonic_micros() + 5000, MR_WAIT_SOURCE, &timed_out, NULL);
    atomic_fetch_add(&made, 1);
    *out = context;
    return MR_OK;
}

static enum mr_status make_fails(void *context, void **out, struct mr_error *err)
{
    (void)context;
    (void)out;
    return mr_error_set(err, MR_SOURCE, MR_CLASS_TRANSIENT, "refused");
}

static void destroy(void *object)
{
    destroyed[ndestroyed++] = *(int *)object;
}

struct job {
    struct mr_runtime runtime;
    int *object;
    void *got;
};

static void ask(void *arg)
{
    struct job *job = arg;
    struct mr_waiter waiter = mr_waiter_plain();
    job->runtime.waiter = &waiter;
    mr_shared_get(&job->runtime, "server", make, job->object, destroy, &job->got, NULL);
}

static void test_shared(void **state)
{
    (void)state;
    static int one = 1, two = 2;
    struct mr_shared *shared = mr_shared_new();
    struct mr_thread threads[4];
    struct job jobs[4];
    for (int i = 0; i < 4; i++) {
        jobs[i] = (struct job){.runtime = {.shared = shared}, .object = &one};
        assert_int_equal(mr_thread_start(&threads[i], "ask", ask, &jobs[i], NULL), MR_OK);
    }
    for (int i = 0; i < 4; i++) {
        mr_thread_join(&threads[i]);
        assert_ptr_equal(jobs[i].got, &one);
    }
    assert_int_equal(atomic_load(&made), 1);
    struct mr_waiter waiter = mr_waiter_plain();
    struct mr_runtime runtime = {.shared = shared, .waiter = &waiter};
    struct mr_error err;
    void *out = NULL;
    assert_int_equal(mr_shared_get(&runtime, "b", make_fails, NULL, destroy, &out, &err),
                     MR_SOURCE);
    assert_int_equal(mr_shared_get(&runtime, "b", make, &two, destroy, &out, &err), MR_OK);
    assert_ptr_equal(out, &two);
    mr_shared_free(shared);
    assert_int_equal(ndestroyed, 2);
    assert_int_equal(destroyed[0], 2);
    assert_int_equal(destroyed[1], 1);
}

static void take_event(struct mr_runtime *runtime, enum mr_log_level level, const char *message)
{
    assert_int_equal(level, MR_LOG_WARN);
    assert_string_equal(message, "retry 2 of 3");
    mr_count(runtime, MR_COUNT_RETRIES, 1);
}

static void test_counters(void **state)
{
    (void)state;
    struct mr_counters counters = {0};
    struct mr_runtime runtime = {.counters = &counters};
    mr_event(&runtime, MR_LOG_INFO, "nobody listens");
    runtime.event = take_event;
    mr_event(&runtime, MR_LOG_WARN, "retry %d of %d", 2, 3);
    assert_int_equal(atomic_load(&counters.value[MR_COUNT_RETRIES]), 1);
    mr_count_peak(&runtime, MR_COUNT_CONNECTIONS_PEAK, 5);
    mr_count_peak(&runtime, MR_COUNT_CONNECTIONS_PEAK, 3);
    assert_int_equal(atomic_load(&counters.value[MR_COUNT_CONNECTIONS_PEAK]), 5);
    for (int i = 0; i < MR_COUNTERS; i++)
        assert_non_null(mr_counter_name((enum mr_counter)i));
}

/* What one state of a task does not need another may use, until it is asked for. */
static void test_state_pool(void **state)
{
    (void)state;
    struct mr_state_pool pool = {.limit = 200};
    struct mr_runtime a = {.share = 100, .pool = &pool}, b = a, alone = {.share = 100};
    assert_true(mr_state_fits(&alone, 100));
    assert_false(mr_state_fits(&alone, 101));
    assert_true(mr_state_fits(&a, 190));
    assert_true(mr_state_fits(&b, 10));
    assert_false(mr_state_fits(&a, 191));
    assert_true(mr_state_fits(&b, 100)); /* its own */
    assert_false(mr_state_fits(&b, 110));
    assert_false(mr_state_fits(&a, 150));
    assert_true(mr_state_fits(&a, 0));
    assert_true(mr_state_fits(&b, 200));
    assert_int_equal(pool.used, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared),
        cmocka_unit_test(test_counters),
        cmocka_unit_test(test_state_pool),
    };
    return cmocka_run_group_tests_name("ext/runtime", tests, NULL, NULL);
}

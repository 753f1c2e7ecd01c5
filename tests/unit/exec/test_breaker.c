/*
 * test_breaker.c - operators that take in all rows: filling, combining, settling, pulling, order, early end, failures.
 */
#include "unit/exec/toy.h"

#include "base/time.h"

#include <string.h>

/* Of group v: ids split * TOY_SPLIT + row with row % 10 == v; split i has rows + i rows. */
static int64_t expected_sum(int splits, int rows, int v)
{
    int64_t sum = 0;
    for (int s = 0; s < splits; s++)
        for (int64_t row = v; row < rows + s; row += 10)
            sum += (int64_t)s * TOY_SPLIT + row;
    return sum;
}

static int64_t expected_total(int splits, int rows)
{
    int64_t sum = 0;
    for (int v = 0; v < 10; v++)
        sum += expected_sum(splits, rows, v);
    return sum;
}

static const struct mr_plan_segment *filling(const struct toy *toy, int node)
{
    for (int s = 0; s < toy->plan->nsegments; s++)
        for (int i = 0; i < toy->plan->segments[s].nbuilds; i++)
            if (toy->plan->segments[s].builds[i] == node)
                return &toy->plan->segments[s];
    fail_msg("nothing fills node %d", node);
    return NULL;
}

static const struct mr_plan_segment *reading(const struct toy *toy, int node)
{
    for (int s = 0; s < toy->plan->nsegments; s++)
        for (int i = 0; i < toy->plan->segments[s].nsources; i++)
            if (toy->plan->segments[s].sources[i] == node)
                return &toy->plan->segments[s];
    fail_msg("nothing reads node %d", node);
    return NULL;
}

static void group_pipeline(struct toy *toy, const char *readers, const char *bytes,
                           const char *pulls, const char *sorted)
{
    toy_init(toy, 2, INT64_MAX);
    toy->queue_bytes = 300;
    toy_step(toy, "toySource", "splits", "6", "rows", "100", "readers", readers, "bytes", bytes,
             NULL);
    toy_step(toy, "toyPass", NULL);
    toy_step(toy, "toyGroup", "pulls", pulls, "sorted", sorted, NULL);
    toy_step(toy, "toyPass", NULL);
    toy_step(toy, "toySink", NULL);
}

static void test_group(void **state)
{
    (void)state;
    static const char *const readers[] = {"1", "2", "5"};
    static const char *const bytes[] = {"1000", "1000000000"};
    static const char *const pulls[] = {"1", "3", "7", "16"};
    for (int r = 0; r < 3; r++)
        for (int b = 0; b < 2; b++)
            for (int p = 0; p < 4; p++) {
                struct toy toy;
                group_pipeline(&toy, readers[r], bytes[b], pulls[p], "false");
                assert_int_equal(toy_run(&toy), MR_OK);
                assert_int_equal(toy.plan->nsegments, 2);
                const struct mr_plan_segment *fill = filling(&toy, 2), *read = reading(&toy, 2);
                assert_int_equal(fill->ntasks, b == 0 ? 1 : 2);
                assert_int_equal(toy.combines, fill->ntasks - 1);
                assert_int_equal(toy.settles, 4);
                assert_int_equal(read->nsplits, atoi(pulls[p]));
                assert_int_equal(read->first_task, 0);
                assert_int_equal(read->nneeds, 1);
                assert_int_equal(toy_count(&toy, 0), 10);
                assert_int_equal(toy_sum(&toy, 0), expected_total(6, 100));
                assert_int_equal(toy.result.steps[2].rows_in, 615);
                assert_int_equal(toy.result.steps[2].rows_out, 10);
                toy_reset(&toy);
            }
}

/* Order survives to the file, whatever the number of readers. */
static void test_sorted(void **state)
{
    (void)state;
    for (int large = 0; large < 2; large++) {
        struct toy toy;
        group_pipeline(&toy, "2", large ? "1000000000" : "20000000", "5", "true");
        assert_int_equal(toy_run(&toy), MR_OK);
        const struct mr_plan_segment *read = reading(&toy, 2);
        assert_int_equal(read->gather, large ? MR_GATHER_FUSED : MR_GATHER_ORDERED);
        assert_int_equal(read->ntasks, large ? 2 : 1);
        int v = 0;
        for (int t = 0; t < TOY_TASKS; t++)
            for (int64_t i = 0; i < toy.targets[0].count[t]; i++)
                assert_int_equal(toy.targets[0].ids[t][i], expected_sum(6, 100, v++));
        assert_int_equal(v, 10);
        toy_reset(&toy);
    }
}

/* One frame, two readers with different numbers of tasks: its partitions are pulled twice. */
static void test_pulled_twice(void **state)
{
    (void)state;
    struct toy toy;
    toy_init(&toy, 2, INT64_MAX);
    toy_step(&toy, "toySource", "splits", "4", "rows", "50", "readers", "2", NULL);
    toy_step(&toy, "toyGroup", "pulls", "4", "as", "g", NULL);
    toy_step(&toy, "toyTasks", "count", "4", NULL);
    toy_step(&toy, "toySink", NULL);
    toy_step(&toy, "toyTasks", "count", "2", "from", "g", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_run(&toy), MR_OK);
    assert_int_equal(toy.plan->nsegments, 3);
    assert_int_equal(toy.pulls, 8);
    assert_int_equal(toy.result.sinks[0].count, 4);
    assert_int_equal(toy.result.sinks[1].count, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(toy_count(&toy, i), 10);
        assert_int_equal(toy_sum(&toy, i), expected_total(4, 50));
    }
    toy_reset(&toy);
}

/* Breakers behind breakers; a breaker of two frames; a frame joined with its own groups. */
static void test_chains(void **state)
{
    (void)state;
    struct toy toy;
    toy_init(&toy, 2, INT64_MAX);
    toy_step(&toy, "toySource", "splits", "4", "rows", "50", "readers", "2", "as", "a", NULL);
    toy_step(&toy, "toyGroup", "pulls", "3", "as", "g", NULL);
    toy_step(&toy, "toyGroup", "pulls", "2", "from", "g,a", NULL);
    toy_step(&toy, "toyUnion", NULL);
    toy_step(&toy, "toyKnown", "ref", "g", NULL);
    toy_step(&toy, "toySink", NULL);
    toy_step(&toy, "toyKnown", "from", "a", "ref", "g", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_run(&toy), MR_OK);
    assert_int_equal(toy_count(&toy, 0), 10);
    assert_int_equal(toy_sum(&toy, 0), 2 * expected_total(4, 50));
    assert_int_equal(toy_sum(&toy, 1), expected_total(4, 50));
    toy_reset(&toy);
}

/* The state is closed when its last reader has ended, not at the end of the run. */
static void test_closed_early(void **state)
{
    (void)state;
    struct toy toy;
    toy_init(&toy, 2, 64 << 20);
    toy_step(&toy, "toySource", "splits", "2", "rows", "50", NULL);
    toy_step(&toy, "toyGroup", NULL);
    toy_step(&toy, "toyGroup", NULL);
    toy_step(&toy, "toyGroup", "pulls", "2", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_run(&toy), MR_OK);
    assert_int_equal(toy_sum(&toy, 0), expected_total(2, 50));
    /* Each is closed before the next one, which it fills, is settled. */
    assert_int_equal(toy.groups_peak, 1);
    assert_true(toy.plan->in_turn);
    assert_in_range(toy.plan->nodes[3].share, 4 << 20, 16 << 20);
    assert_in_range(toy.share, 8 << 20, 32 << 20);
    assert_true(toy.plan->predicted_memory <= 64 << 20);
    toy_reset(&toy);
}

/* With little memory each segment shares out what the states before it leave; with plenty the plan does. */
static void test_shares_in_turn(void **state)
{
    (void)state;
    static const int64_t budgets[] = {64 << 20, INT64_C(64) << 30};
    for (int b = 0; b < 2; b++) {
        struct toy toy;
        toy_init(&toy, 1, budgets[b]);
        toy.group_holds = 20 << 20;
        toy_step(&toy, "toySource", "splits", "2", "rows", "50", NULL);
        toy_step(&toy, "toyGroup", NULL);
        toy_step(&toy, "toyGroup", NULL);
        toy_step(&toy, "toySink", NULL);
        assert_int_equal(toy_run(&toy), MR_OK);
        assert_int_equal(toy_sum(&toy, 0), expected_total(2, 50));
        assert_int_equal(toy.nshares, 2);
        assert_int_equal(toy.plan->in_turn, b == 0);
        int64_t first = filling(&toy, 1)->flow_bytes, second = filling(&toy, 2)->flow_bytes;
        if (b == 0) {
            assert_int_equal(toy.shares[0], (budgets[b] - first) / 4);
            assert_int_equal(toy.shares[1], (budgets[b] - second - toy.group_holds) / 4);
            assert_int_equal(toy.rest, budgets[b] / 16);
        } else {
            assert_int_equal(toy.shares[0], toy.plan->nodes[1].share);
            assert_int_equal(toy.shares[1], toy.plan->nodes[2].share);
            assert_int_equal(toy.rest, 0);
        }
        toy_reset(&toy);
    }
}

static void test_one_task(void **state)
{
    (void)state;
    struct toy toy;
    toy_init(&toy, 2, INT64_MAX);
    toy_step(&toy, "toySource", "splits", "3", "rows", "50", "readers", "2", "bytes", "900000000",
             "as", "users", NULL);
    toy_step(&toy, "toySource", "splits", "4", "rows", "100", "readers", "2", "bytes", "900000000",
             NULL);
    toy_step(&toy, "toyOne", "ref", "users", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_run(&toy), MR_OK);
    assert_int_equal(filling(&toy, 2)->ntasks, 2);
    assert_int_equal(reading(&toy, 1)->ntasks, 1);
    assert_int_equal(toy_count(&toy, 0), 406);
    toy_reset(&toy);
}

static void test_narrow(void **state)
{
    (void)state;
    for (int which = 0; which < 4; which++) {
        struct toy toy;
        toy_init(&toy, 2, INT64_MAX);
        toy_step(&toy, "toySource", "splits", "2", "rows", "50", "as", "users", NULL);
        toy_step(&toy, "toySource", "splits", "4", "rows", "100", "as", "orders", NULL);
        toy_step(&toy, which == 1 ? "toyEven" : "toyPass", NULL);
        toy_step(&toy, "toyOne", "ref", "users", NULL);
        toy_step(&toy, "toySink", NULL);
        if (which == 2) { /* somebody else wants all rows */
            toy_step(&toy, "toyPass", "from", "orders", NULL);
            toy_step(&toy, "toySink", NULL);
        }
        if (which == 3) /* the primary frame is the joined one: rows that it drops are not missed */
            toy_step(&toy, "toySink", NULL);
        assert_int_equal(toy_run(&toy), MR_OK);
        /* toyEven does not let filters cross. */
        assert_int_equal(toy.narrowed, which == 0 || which == 3);
        if (toy.narrowed > 0)
            assert_int_equal(toy.narrowed_to, expected_total(2, 50));
        toy_reset(&toy);
    }
}

/* A limit behind it ends the pulling. */
static void test_limit(void **state)
{
    (void)state;
    struct toy toy;
    toy_init(&toy, 2, INT64_MAX);
    toy_step(&toy, "toySource", "splits", "4", "rows", "50", "readers", "2", NULL);
    toy_step(&toy, "toyGroup", "pulls", "10", "sorted", "true", NULL);
    toy_step(&toy, "toyLimit", "count", "3", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_run(&toy), MR_OK);
    assert_int_equal(toy.pulls, 3);
    assert_int_equal(toy_count(&toy, 0), 3);
    for (int v = 0; v < 3; v++)
        assert_int_equal(toy.targets[0].ids[0][v], expected_sum(4, 50, v));
    toy_reset(&toy);
}

static void test_failures(void **state)
{
    (void)state;
    static const char *const messages[] = {"toy combine failed", "toy settle failed",
                                           "toy settle failed", "toy pull failed",
                                           "toy pull failed"};
    for (int which = 0; which < 5; which++) {
        struct toy toy;
        group_pipeline(&toy, "2", "1000000000", "5", "false");
        toy.fail_combine_after = which == 0;
        toy.fail_settle_after = which == 1 ? 1 : which == 2 ? 3 : 0;
        toy.fail_pull_after = which == 3 ? 1 : which == 4 ? 4 : 0;
        assert_int_equal(toy_run(&toy), MR_SOURCE);
        assert_string_equal(toy.err.message, messages[which]);
        assert_string_equal(toy.err.where, "step 3 (toyGroup)");
        toy_reset(&toy);
    }
}

/* Once the call that hangs has been reached. */
static void cancel_later(void *arg)
{
    struct toy *toy = arg;
    for (bool there = false; !there; sched_yield()) {
        pthread_mutex_lock(&toy->lock);
        there = toy->hang_settle ? toy->settles >= 2 : toy->pulls >= 1;
        pthread_mutex_unlock(&toy->lock);
    }
    mr_engine_cancel(toy->engine);
}

static void test_cancel(void **state)
{
    (void)state;
    for (int which = 0; which < 4; which++) {
        struct toy toy;
        group_pipeline(&toy, which & 1 ? "5" : "2", which & 1 ? "1000" : "1000000000", "5",
                       "false");
        toy.hang_settle = which < 2;
        toy.hang_pull = which >= 2;
        struct mr_engine_options options = {.permits = 2, .queue_bytes = 300};
        assert_int_equal(mr_engine_new(&options, &toy.engine, NULL), MR_OK);
        struct mr_thread thread;
        assert_int_equal(mr_thread_start(&thread, "cancel", cancel_later, &toy, NULL), MR_OK);
        int64_t start = mr_clock_monotonic_micros();
        assert_int_equal(toy_run(&toy), MR_CANCELLED);
        assert_true(mr_clock_monotonic_micros() - start < 5 * MR_MICROS_PER_SECOND);
        mr_thread_join(&thread);
        toy_reset(&toy);
    }
}

static enum mr_status take_two(void *context, struct mr_batch *batch, bool *enough,
                               struct mr_error *err)
{
    (void)err;
    int64_t *rows = context;
    *rows += batch->rows;
    *enough = *rows >= 2;
    return MR_OK;
}

/* A preview of the breaker itself, which ends it in the middle. */
static void test_tap(void **state)
{
    (void)state;
    for (int sorted = 0; sorted < 2; sorted++) {
        struct toy toy;
        toy_init(&toy, 2, INT64_MAX);
        toy_step(&toy, "toySource", "splits", "3", "rows", "50", "readers", "2", NULL);
        toy_step(&toy, "toyGroup", "pulls", "10", "sorted", sorted ? "true" : "false", NULL);
        struct mr_plan_request request = {
            .spec = &toy.spec,
            .arena = &toy.arena,
            .runtime = &toy.runtime,
            .tz = toy.tz,
            .connect = true,
            .with_splits = true,
            .rows_wanted = 2,
        };
        assert_int_equal(mr_plan_build(&request, &toy.plan, NULL, &toy.err), MR_OK);
        assert_int_equal(toy.plan->result, 1);
        int64_t rows = 0;
        toy.request.tap = take_two;
        toy.request.tap_context = &rows;
        toy.request.tap_node = 1;
        assert_int_equal(toy_run(&toy), MR_OK);
        assert_int_equal(rows, 2);
        assert_true(toy.pulls <= 3);
        toy_reset(&toy);
    }
}

/* A foreign scheduler's task: what fills the breaker is run for it. */
static void test_one_of_the_tasks(void **state)
{
    (void)state;
    struct toy toy;
    group_pipeline(&toy, "2", "1000000000", "4", "true");
    assert_int_equal(toy_plan(&toy, true), MR_OK);
    int64_t rows = 0;
    for (int task = 0; task < 2; task++) {
        toy.request.only_segment = (int)(reading(&toy, 2) - toy.plan->segments);
        toy.request.only_task = task;
        assert_int_equal(toy_run(&toy), MR_OK);
        assert_true(toy.targets[0].count[task] > 0);
        rows += toy.targets[0].count[task];
        mr_exec_result_reset(&toy.result);
    }
    assert_int_equal(rows, 10);
    assert_int_equal(toy_sum(&toy, 0), expected_total(6, 100));
    toy_reset(&toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group),
        cmocka_unit_test(test_sorted),
        cmocka_unit_test(test_pulled_twice),
        cmocka_unit_test(test_chains),
        cmocka_unit_test(test_closed_early),
        cmocka_unit_test(test_shares_in_turn),
        cmocka_unit_test(test_one_task),
        cmocka_unit_test(test_narrow),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_tap),
        cmocka_unit_test(test_one_of_the_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

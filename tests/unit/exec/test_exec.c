/*
 * test_exec.c - runs of toy pipelines: order, fan-out, early stop, errors, cancel, memory, build sides.
 */
#include "unit/exec/toy.h"

#include "base/time.h"

#include <string.h>

static int64_t expected_rows(int splits, int rows)
{
    return (int64_t)splits * rows + (int64_t)splits * (splits - 1) / 2;
}

static void test_narrow_path(void **state)
{
    (void)state;
    struct toy toy;
    toy_init(&toy, 2, INT64_MAX);
    toy_step(&toy, "toySource", "splits", "4", "rows", "100", "readers", "2", "bytes", "1000000000",
             NULL);
    toy_step(&toy, "toyPass", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_run(&toy), MR_OK);
    assert_int_equal(toy.plan->ntasks, 2);
    assert_int_equal(toy.plan->segments[0].gather, MR_GATHER_FUSED);
    assert_int_equal(toy_count(&toy, 0), expected_rows(4, 100));
    /* Task 0 has splits 0 and 1, in order. */
    assert_int_equal(toy.targets[0].count[0], 201);
    for (int64_t i = 0; i < 100; i++)
        assert_int_equal(toy.targets[0].ids[0][i], i);
    assert_int_equal(toy.targets[0].ids[0][100], TOY_SPLIT);
    assert_int_equal(toy.result.nsinks, 1);
    assert_int_equal(toy.result.sinks[0].count, 2);
    assert_int_equal(toy.result.sinks[0].items[1].size, 6);
    assert_memory_equal(toy.result.sinks[0].items[1].data, "task 1", 6);
    assert_int_equal(toy.result.steps[0].rows_out, expected_rows(4, 100));
    assert_int_equal(toy.result.steps[1].rows_in, expected_rows(4, 100));
    assert_int_equal(toy.result.steps[2].rows_in, expected_rows(4, 100));
    assert_int_equal(toy.result.nsplits, 4);
    assert_int_equal(toy.result.splits[3].rows, 103);
    struct mr_exec_progress progress;
    mr_exec_progress(toy.engine, &progress);
    assert_int_equal(progress.splits_done, 4);
    assert_int_equal(progress.rows_written, expected_rows(4, 100));
    toy_reset(&toy);
}

static void test_empty(void **state)
{
    (void)state;
    struct toy toy;
    toy_init(&toy, 2, INT64_MAX);
    toy_step(&toy, "toySource", "splits", "0", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_run(&toy), MR_OK);
    assert_int_equal(toy.targets[0].opened, 1);
    assert_int_equal(toy.result.sinks[0].count, 1);
    toy_reset(&toy);
}

static void rotate_once(struct toy *toy, int pause)
{
    toy_init(toy, 1, INT64_MAX);
    toy->batch_pause_micros = pause;
    toy->queue_bytes = 200;
    toy_step(toy, "toySource", "splits", "7", "rows", "40", "readers", "3", NULL);
    toy_step(toy, "toyEven", NULL);
    toy_step(toy, "toyPass", NULL);
    toy_step(toy, "toySink", NULL);
    assert_int_equal(toy_run(toy), MR_OK);
    assert_int_equal(toy->plan->segments[0].gather, MR_GATHER_ROTATE);
    assert_int_equal(toy->plan->segments[0].readers, 3);
}

static void test_rotate_is_deterministic(void **state)
{
    (void)state;
    struct toy first, again;
    rotate_once(&first, 0);
    assert_true(toy_count(&first, 0) > 140);
    /* In turn: split 0, 1, 2, 0, ... with batches of 7 rows, of which 4 or 3 are even. */
    assert_int_equal(first.targets[0].ids[0][0], 0);
    assert_int_equal(first.targets[0].ids[0][4], TOY_SPLIT);
    assert_int_equal(first.targets[0].ids[0][8], 2 * TOY_SPLIT);
    assert_int_equal(first.targets[0].ids[0][12], 8);
    for (int pause = 0; pause < 3; pause++) {
        rotate_once(&again, 300 * pause);
        assert_int_equal(again.targets[0].count[0], first.targets[0].count[0]);
        assert_memory_equal(again.targets[0].ids[0], first.targets[0].ids[0],
                            (size_t)first.targets[0].count[0] * sizeof(int64_t));
        toy_reset(&again);
    }
    toy_reset(&first);
}

static void test_two_sinks_and_diamond(void **state)
{
    (void)state;
    for (int readers = 1; readers <= 4; readers += 3) {
        struct toy toy;
        toy_init(&toy, 1, INT64_MAX);
        toy.queue_bytes = 1 << 20;
        toy_step(&toy, "toySource", "splits", "6", "rows", "5000", "batch", "1000", "readers",
                 readers == 1 ? "1" : "4", "as", "a", NULL);
        toy_step(&toy, "toySink", NULL);
        toy_step(&toy, "toyEven", "as", "b", NULL);
        toy_step(&toy, "toyUnion", "from", "a,b,a", NULL);
        toy_step(&toy, "toySink", NULL);
        assert_int_equal(toy_run(&toy), MR_OK);
        int64_t all = expected_rows(6, 5000);
        assert_int_equal(toy.plan->nsegments, 1);
        assert_int_equal(toy_count(&toy, 0), all);
        assert_true(toy_count(&toy, 1) > 2 * all + all / 2 - 10);
        assert_int_equal(toy.readers_closed, 6);
        toy_reset(&toy);
    }
}

static void test_union_of_two_sources(void **state)
{
    (void)state;
    for (int readers = 1; readers <= 3; readers += 2) {
        struct toy toy;
        toy_init(&toy, 2, INT64_MAX);
        const char *most = readers == 1 ? "1" : "3";
        toy_step(&toy, "toySource", "splits", "3", "rows", "50", "readers", most, "as", "a", NULL);
        toy_step(&toy, "toySource", "splits", "2", "rows", "50", "readers", most, "as", "b", NULL);
        toy_step(&toy, "toyUnion", "from", "a,b", NULL);
        toy_step(&toy, "toyPass", NULL);
        toy_step(&toy, "toyTasks", "count", "1", NULL);
        toy_step(&toy, "toySink", NULL);
        assert_int_equal(toy_run(&toy), MR_OK);
        assert_int_equal(toy.plan->nsegments, 1);
        assert_int_equal(toy.plan->segments[0].nsources, 2);
        assert_int_equal(toy.plan->ntasks, 1);
        assert_int_equal(toy_count(&toy, 0), expected_rows(3, 50) + expected_rows(2, 50));
        toy_reset(&toy);
    }
}

static void limit_case(const char *splits, const char *readers, const char *count, bool hang)
{
    struct toy toy;
    toy_init(&toy, 2, INT64_MAX);
    toy.queue_bytes = 256;
    toy.batch_pause_micros = hang ? 100 : 0;
    toy_step(&toy, "toySource", "splits", splits, "rows", "1000", "readers", readers, NULL);
    toy_step(&toy, "toyPass", NULL);
    toy_step(&toy, "toyLimit", "count", count, NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_run(&toy), MR_OK);
    int64_t wanted = atoll(count);
    assert_int_equal(toy_count(&toy, 0), wanted);
    assert_int_equal(toy.plan->ntasks, 1);
    assert_int_equal(toy.limit_offered, wanted);
    for (int64_t i = 0; i < wanted; i++) {
        int64_t split = i < 1000 ? 0 : i < 2001 ? 1 : 2;
        int64_t before = split == 0 ? 0 : split == 1 ? 1000 : 2001;
        assert_int_equal(toy.targets[0].ids[0][i], split * TOY_SPLIT + i - before);
    }
    toy_reset(&toy);
}

static void test_limit(void **state)
{
    (void)state;
    limit_case("1", "1", "20", false);
    limit_case("5", "4", "20", false);
    limit_case("5", "4", "2500", true);
}

/* A limit so large that several readers are used, and enough long before the end. */
static void test_ordered_stops_early(void **state)
{
    (void)state;
    struct toy toy;
    toy_init(&toy, 2, INT64_MAX);
    toy.queue_bytes = 4096;
    toy_step(&toy, "toySource", "splits", "8", "rows", "120000", "batch", "5000", "readers", "4",
             NULL);
    toy_step(&toy, "toyLimit", "count", "150000", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_run(&toy), MR_OK);
    assert_int_equal(toy.plan->segments[0].gather, MR_GATHER_ORDERED);
    assert_int_equal(toy_count(&toy, 0), 150000);
    assert_int_equal(toy.targets[0].ids[0][149999], TOY_SPLIT + 29999);
    assert_true(toy.batches_read < 120);
    toy_reset(&toy);
}

static void test_build_side(void **state)
{
    (void)state;
    struct toy toy;
    toy_init(&toy, 2, INT64_MAX);
    toy_step(&toy, "toySource", "splits", "3", "rows", "50", "readers", "2", "bytes", "900000000",
             "as", "users", NULL);
    toy_step(&toy, "toySource", "splits", "4", "rows", "100", "readers", "2", NULL);
    toy_step(&toy, "toyKnown", "ref", "users", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_run(&toy), MR_OK);
    assert_int_equal(toy.plan->nsegments, 2);
    assert_int_equal(toy_count(&toy, 0), expected_rows(4, 100));
    /* Only that task of the probing segment, for a foreign scheduler: the build side is filled all the same. */
    mr_exec_result_reset(&toy.result);
    for (int t = 0; t < TOY_TASKS; t++) {
        free(toy.targets[0].ids[t]);
        toy.targets[0].ids[t] = NULL;
        toy.targets[0].count[t] = 0;
    }
    int probe = toy.plan->segments[0].nneeds > 0 ? 0 : 1;
    toy.request.only_segment = probe;
    toy.request.only_task = 0;
    assert_int_equal(toy_run(&toy), MR_OK);
    assert_int_equal(toy_count(&toy, 0), expected_rows(4, 100));
    toy_reset(&toy);
}

/* A frame validated against itself: its source is read twice, the sink is written once. */
static void test_self_reference(void **state)
{
    (void)state;
    struct toy toy;
    toy_init(&toy, 2, INT64_MAX);
    toy_step(&toy, "toySource", "splits", "3", "rows", "50", "readers", "1", "as", "a", NULL);
    toy_step(&toy, "toyKnown", "ref", "a", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_run(&toy), MR_OK);
    assert_int_equal(toy.plan->nsegments, 2);
    assert_int_equal(toy_count(&toy, 0), expected_rows(3, 50));
    assert_true(toy.plan->nwarnings > 0);
    toy_reset(&toy);
}

/*
 * Its first rows are a build side: that reading ends early, and rows are those of the other one. The first of the two segments is the one
 * behind the limit.
 */
static void test_counts_whole_reading(void **state)
{
    (void)state;
    struct toy toy;
    toy_init(&toy, 1, INT64_MAX);
    toy_step(&toy, "toySource", "splits", "3", "rows", "500", "readers", "1", "as", "a", NULL);
    toy_step(&toy, "toyPass", "from", "a", "as", "passed", NULL);
    toy_step(&toy, "toyLimit", "count", "5", "from", "passed", "as", "b", NULL);
    toy_step(&toy, "toyKnown", "ref", "b", "from", "passed", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_run(&toy), MR_OK);
    assert_int_equal(toy.plan->nsegments, 2);
    assert_int_equal(toy.plan->segments[0].nbuilds, 1);
    assert_int_equal(toy_count(&toy, 0), expected_rows(3, 500));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(toy.result.steps[i].rows_in, expected_rows(3, 500));
        assert_int_equal(toy.result.steps[i].rows_out, expected_rows(3, 500));
    }
    toy_reset(&toy);
}

/* Two frames validated against each other: segments would wait in a circle if each source were read once. */
static void test_mutual_reference(void **state)
{
    (void)state;
    struct toy toy;
    toy_init(&toy, 2, INT64_MAX);
    toy_step(&toy, "toySource", "splits", "2", "rows", "30", "as", "a", NULL);
    toy_step(&toy, "toySource", "splits", "2", "rows", "40", "as", "b", NULL);
    toy_step(&toy, "toyKnown", "ref", "a", NULL);
    toy_step(&toy, "toySink", NULL);
    toy_step(&toy, "toyPass", "from", "a", NULL);
    toy_step(&toy, "toyKnown", "ref", "b", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_run(&toy), MR_OK);
    assert_int_equal(toy_count(&toy, 0), expected_rows(2, 40));
    assert_int_equal(toy_count(&toy, 1), expected_rows(2, 30));
    toy_reset(&toy);
}

static void test_tasks_as_asked(void **state)
{
    (void)state;
    struct toy toy;
    toy_init(&toy, 2, INT64_MAX);
    toy_step(&toy, "toySource", "splits", "8", "rows", "30", "readers", "2", "as", "a", NULL);
    toy_step(&toy, "toyTasks", "count", "4", NULL);
    toy_step(&toy, "toySink", NULL);
    toy_step(&toy, "toyTasks", "count", "1", "most", "true", "from", "a", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_run(&toy), MR_OK);
    assert_int_equal(toy.plan->nsegments, 2);
    assert_int_equal(toy.result.sinks[0].count, 4);
    assert_int_equal(toy.result.sinks[1].count, 1);
    assert_int_equal(toy_count(&toy, 0), expected_rows(8, 30));
    assert_int_equal(toy_count(&toy, 1), expected_rows(8, 30));
    toy_reset(&toy);
}

static void test_retry(void **state)
{
    (void)state;
    for (int readers = 1; readers <= 3; readers += 2) {
        struct toy toy;
        toy_init(&toy, 1, INT64_MAX);
        toy.transient_failures = 9;
        toy_step(&toy, "toySource", "splits", "4", "rows", "100", "readers",
                 readers == 1 ? "1" : "3", NULL);
        toy_step(&toy, "toySink", NULL);
        assert_int_equal(toy_run(&toy), MR_OK);
        assert_int_equal(toy.transient_failures, 0);
        assert_int_equal(toy_count(&toy, 0), expected_rows(4, 100));
        struct mr_counters *counters = toy.plan->nodes[0].runtime->counters;
        assert_int_equal(atomic_load(&counters->value[MR_COUNT_RETRIES]), 9);
        toy_reset(&toy);
    }
}

static void error_case(int which, int readers)
{
    struct toy toy;
    toy_init(&toy, 2, INT64_MAX);
    toy.queue_bytes = 300;
    enum mr_status wanted = MR_SOURCE;
    const char *step = "step 1 (toySource)";
    switch (which) {
    case 0:
        toy.fail_open = 3;
        break;
    case 1:
        toy.fail_next_after = 20;
        break;
    case 2:
        toy.fail_push_after = 20;
        wanted = MR_CONFIG;
        step = "step 2 (toyPass)";
        break;
    case 3:
        toy.targets[0].fail_open_after = 1;
        break;
    case 4:
        toy.targets[0].fail_write_after = 12;
        break;
    default:
        toy.targets[0].fail_finish_after = 1;
        break;
    }
    if (which >= 3) {
        wanted = MR_SINK;
        step = "step 3 (toySink)";
    }
    toy_step(&toy, "toySource", "splits", "8", "rows", "200", "readers", readers == 1 ? "2" : "6",
             "bytes", "1000000000", NULL);
    toy_step(&toy, "toyPass", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_run(&toy), wanted);
    assert_int_equal(toy.err.status, wanted);
    assert_string_equal(toy.err.where, step);
    toy_reset(&toy);
}

static void test_error_in_each_callback(void **state)
{
    (void)state;
    for (int which = 0; which < 6; which++)
        for (int readers = 1; readers <= 2; readers++)
            error_case(which, readers);
}

static void cancel_later(void *arg)
{
    struct toy *toy = arg;
    for (;;) {
        pthread_mutex_lock(&toy->lock);
        bool enough = toy->batches_read >= toy->pushes;
        pthread_mutex_unlock(&toy->lock);
        if (enough)
            break;
        sched_yield();
    }
    mr_engine_cancel(toy->engine);
}

static void test_cancel(void **state)
{
    (void)state;
    for (int at = 1; at < 60; at += 7) {
        struct toy toy;
        toy_init(&toy, 2, INT64_MAX);
        toy.queue_bytes = 300;
        toy.pushes = at; /* here: how many batches before the cancel */
        toy.hang = at > 30;
        toy.batch_pause_micros = 200;
        if (toy.hang)
            toy.pushes = 3;
        toy_step(&toy, "toySource", "splits", "8", "rows", "400", "readers", at % 2 ? "6" : "2",
                 "bytes", "1000000000", NULL);
        toy_step(&toy, "toySink", NULL);
        assert_int_equal(toy_plan(&toy, true), MR_OK);
        if (toy.hang)
            toy.pushes = toy.plan->segments[0].readers;
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

static void test_deadline(void **state)
{
    (void)state;
    struct toy toy;
    toy_init(&toy, 2, INT64_MAX);
    toy.hang = true;
    toy_step(&toy, "toySource", "splits", "2", NULL);
    toy_step(&toy, "toySink", NULL);
    struct mr_engine_options options = {.permits = 2,
                                        .run_deadline = mr_clock_monotonic_micros() + 20000};
    assert_int_equal(mr_engine_new(&options, &toy.engine, NULL), MR_OK);
    assert_int_equal(toy_run(&toy), MR_LIMIT);
    toy_reset(&toy);
}

static void test_memory(void **state)
{
    (void)state;
    /* The sink keeps 100 bytes a row, 3 MB in all, within 1 MB: it is asked to flush. */
    struct toy toy;
    toy_init(&toy, 2, 1 << 20);
    toy_step(&toy, "toySource", "splits", "4", "rows", "8000", "batch", "100", "readers", "2",
             "bytes", "1000000000", NULL);
    toy_step(&toy, "toySink", "hold", "100", NULL);
    assert_int_equal(toy_run(&toy), MR_OK);
    assert_true(toy.targets[0].relieved > 0);
    assert_int_equal(toy_count(&toy, 0), expected_rows(4, 8000));
    assert_true(mr_memory_peak(&toy.memory) <= 1 << 20);
    toy_reset(&toy);
    /* A batch that cannot fit ends the run with the step and a hint. */
    toy_init(&toy, 2, 100000);
    toy_step(&toy, "toySource", "splits", "1", "rows", "50000", "batch", "20000", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_run(&toy), MR_LIMIT);
    assert_string_equal(toy.err.where, "step 1 (toySource)");
    assert_non_null(strstr(toy.err.hint, "resources.memory"));
    toy_reset(&toy);
}

struct tapped {
    int64_t rows;
    int64_t most;
};

static enum mr_status count_tap(void *context, struct mr_batch *batch, bool *enough,
                                struct mr_error *err)
{
    (void)err;
    struct tapped *tapped = context;
    assert_null(batch->selection);
    tapped->rows += batch->rows;
    *enough = tapped->rows >= tapped->most;
    return MR_OK;
}

static void test_tap(void **state)
{
    (void)state;
    for (int node = 0; node < 3; node++) {
        for (int readers = 1; readers <= 5; readers += 4) {
            struct toy toy;
            toy_init(&toy, 2, INT64_MAX);
            toy_step(&toy, "toySource", "splits", "6", "rows", "100", "readers",
                     readers == 1 ? "1" : "5", NULL);
            toy_step(&toy, "toyEven", NULL);
            toy_step(&toy, "toySink", NULL);
            struct tapped tapped = {.most = INT64_MAX};
            toy.request.tap = count_tap;
            toy.request.tap_context = &tapped;
            toy.request.tap_node = node;
            assert_int_equal(toy_run(&toy), MR_OK);
            int64_t all = expected_rows(6, 100);
            int64_t even = toy_count(&toy, 0);
            assert_int_equal(tapped.rows, node == 0 ? all : even);
            toy_reset(&toy);
        }
    }
}

static void test_tap_enough(void **state)
{
    (void)state;
    for (int readers = 1; readers <= 4; readers += 3) {
        struct toy toy;
        toy_init(&toy, 2, INT64_MAX);
        toy.queue_bytes = 500;
        toy_step(&toy, "toySource", "splits", "6", "rows", "1000", "readers",
                 readers == 1 ? "1" : "4", NULL);
        toy_step(&toy, "toyPass", NULL);
        struct mr_plan_request request = {
            .spec = &toy.spec,
            .arena = &toy.arena,
            .runtime = &toy.runtime,
            .tz = toy.tz,
            .connect = true,
            .with_splits = true,
        };
        assert_int_equal(mr_plan_build(&request, &toy.plan, NULL, &toy.err), MR_OK);
        assert_int_equal(toy.plan->result, 1);
        struct tapped tapped = {.most = 20};
        toy.request.tap = count_tap;
        toy.request.tap_context = &tapped;
        toy.request.tap_node = 1;
        assert_int_equal(toy_run(&toy), MR_OK);
        assert_in_range(tapped.rows, 20, 26);
        assert_true(toy.batches_read < 200);
        toy_reset(&toy);
    }
}

static void test_skipped_sink(void **state)
{
    (void)state;
    struct toy toy;
    toy_init(&toy, 2, INT64_MAX);
    toy_step(&toy, "toySource", "splits", "2", NULL);
    toy_step(&toy, "toySink", "skip", "true", NULL);
    assert_int_equal(toy_run(&toy), MR_OK);
    assert_int_equal(toy.batches_read, 0);
    assert_int_equal(toy.targets[0].opened, 0);
    assert_int_equal(toy.result.sinks[0].count, 0);
    toy_reset(&toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_narrow_path),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_rotate_is_deterministic),
        cmocka_unit_test(test_two_sinks_and_diamond),
        cmocka_unit_test(test_union_of_two_sources),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_ordered_stops_early),
        cmocka_unit_test(test_build_side),
        cmocka_unit_test(test_self_reference),
        cmocka_unit_test(test_counts_whole_reading),
        cmocka_unit_test(test_mutual_reference),
        cmocka_unit_test(test_tasks_as_asked),
        cmocka_unit_test(test_retry),
        cmocka_unit_test(test_error_in_each_callback),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_tap),
        cmocka_unit_test(test_tap_enough),
        cmocka_unit_test(test_skipped_sink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

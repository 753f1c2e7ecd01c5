/*
 * test_push.c - markers in the graph of one thread: two sources, their union, a sink; items are pushed by hand.
 */
#include "exec/push.h"
#include "unit/exec/toy.h"

#include "col/builder.h"

#include <stdio.h>
#include <string.h>

struct trace {
    char text[256]; /* "1 2 |7 3": first ids of batches, barriers */
    int64_t barrier;
};

static enum mr_status record(void *context, struct mr_push_node *sink, struct mr_batch *batch,
                             struct mr_error *err)
{
    (void)sink;
    (void)err;
    struct trace *trace = context;
    struct mr_value value;
    mr_column_get(batch->columns[0], 0, &value);
    snprintf(trace->text + strlen(trace->text), 64, "%d ", (int)value.u.i64);
    return MR_OK;
}

static enum mr_status record_barrier(void *context, struct mr_push_node *sink, int64_t epoch,
                                     struct mr_error *err)
{
    (void)sink;
    (void)err;
    struct trace *trace = context;
    snprintf(trace->text + strlen(trace->text), 64, "|%d ", (int)epoch);
    return MR_OK;
}

struct fixture {
    struct toy toy;
    struct trace trace;
    struct mr_push_hooks hooks;
    struct mr_exec_step steps[8];
    struct mr_clock clock;
    struct mr_task_waiter waiter;
    struct mr_push_graph graph;
};

static void open_fixture(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    toy_init(&f->toy, 1, INT64_MAX);
    toy_step(&f->toy, "toySource", "as", "a", NULL);
    toy_step(&f->toy, "toySource", "as", "b", NULL);
    toy_step(&f->toy, "toyUnion", "from", "a,b", NULL);
    toy_step(&f->toy, "toySink", NULL);
    assert_int_equal(toy_plan(&f->toy, true), MR_OK);
    struct mr_engine_options options = {.permits = 1};
    assert_int_equal(mr_engine_new(&options, &f->toy.engine, NULL), MR_OK);
    mr_task_waiter_init(&f->waiter, f->toy.engine, NULL, NULL);
    f->clock = (struct mr_clock){.steps = f->steps, .node = -1};
    f->hooks = (struct mr_push_hooks){.context = &f->trace,
                                      .write = record,
                                      .barrier = record_barrier,
                                      .tap_node = -1};
    assert_int_equal(mr_push_open(&f->graph, f->toy.plan, &f->toy.plan->segments[0], MR_PUSH_WHOLE,
                                  -1, &f->hooks, &f->waiter, &f->clock, NULL),
                     MR_OK);
}

static void close_fixture(struct fixture *f)
{
    mr_push_close(&f->graph);
    toy_reset(&f->toy);
}

static void push(struct fixture *f, int source, int64_t id)
{
    struct mr_builder builder;
    struct mr_column *columns[2];
    for (int c = 0; c < 2; c++) {
        assert_int_equal(mr_builder_init(&builder, &f->toy.memory, mr_type_of(MR_TYPE_INT64), NULL),
                         MR_OK);
        assert_int_equal(mr_builder_int(&builder, id, NULL), MR_OK);
        assert_int_equal(mr_builder_finish(&builder, &columns[c], NULL), MR_OK);
        mr_builder_reset(&builder);
    }
    struct mr_batch *batch;
    assert_int_equal(mr_batch_new(f->toy.plan->nodes[source].schema, 1, columns, &batch, NULL),
                     MR_OK);
    assert_int_equal(mr_push_batch(&f->graph, source, 0, batch, NULL), MR_OK);
}

static void mark(struct fixture *f, int source, enum mr_item_kind kind, int64_t value)
{
    struct mr_item item = {.kind = kind, .epoch = value, .watermark = value};
    assert_int_equal(mr_push_marker(&f->graph, source, &item, NULL), MR_OK);
}

static int64_t sent(const struct fixture *f)
{
    return f->graph.by_id[2]->watermark; /* of the union */
}

static void test_barriers_align(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    push(&f, 0, 1);
    mark(&f, 0, MR_ITEM_BARRIER, 7);
    push(&f, 0, 2); /* behind the barrier: held */
    push(&f, 1, 3); /* before it */
    mark(&f, 1, MR_ITEM_BARRIER, 7);
    push(&f, 1, 4);
    assert_string_equal(f.trace.text, "1 3 |7 2 4 ");
    /* An input that ends counts as aligned. */
    mark(&f, 0, MR_ITEM_BARRIER, 8);
    push(&f, 0, 5);
    struct mr_push_node *node = f.graph.by_id[2];
    assert_int_equal(mr_push_end_input(node, 1, NULL), MR_OK);
    assert_string_equal(f.trace.text, "1 3 |7 2 4 |8 5 ");
    assert_int_equal(mr_push_finish(&f.graph, NULL), MR_OK);
    assert_true(f.graph.by_id[3]->ended);
    close_fixture(&f);
}

/* What is held when the graph is closed is let go. */
static void test_held_rows_are_freed(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    mark(&f, 0, MR_ITEM_BARRIER, 1);
    push(&f, 0, 2);
    push(&f, 0, 3);
    close_fixture(&f);
}

static void test_watermarks(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    mark(&f, 0, MR_ITEM_WATERMARK, 100);
    assert_int_equal(sent(&f), INT64_MIN);
    mark(&f, 1, MR_ITEM_WATERMARK, 50);
    assert_int_equal(sent(&f), 50);
    mark(&f, 1, MR_ITEM_WATERMARK, 40); /* never back */
    assert_int_equal(sent(&f), 50);
    mark(&f, 1, MR_ITEM_IDLE, 0);
    assert_int_equal(sent(&f), 100);
    mark(&f, 1, MR_ITEM_WATERMARK, 120); /* awake again, and now the other holds back */
    assert_int_equal(sent(&f), 100);
    mark(&f, 0, MR_ITEM_WATERMARK, 130);
    assert_int_equal(sent(&f), 120);
    assert_int_equal(mr_push_end_input(f.graph.by_id[2], 1, NULL), MR_OK);
    assert_int_equal(sent(&f), 130);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_barriers_align),
        cmocka_unit_test(test_held_rows_are_freed),
        cmocka_unit_test(test_watermarks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

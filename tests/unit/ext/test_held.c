/*
 * Frames that a stream holds: what counts and when, what is fresh, what it costs, and what fits.
 */
#include "../col/sample.h"
#include "col/pack.h"
#include "ext/held.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROWS 1000

struct fixture {
    struct mr_memory memory;
    struct mr_held_list list;
    struct mr_held_frame *frame;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct mr_error err = {0};
    mr_memory_init(&f->memory, NULL, "test", 1 << 20);
    f->list.memory = &f->memory;
    assert_int_equal(mr_held_frame(&f->list, "join", 1, "step 2", &f->frame, &err), MR_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    mr_held_reset(&f->list);
    assert_int_equal(mr_memory_used(&f->memory), 0);
    free(f);
    return 0;
}

/* A batch whose schema and account are gone before the rows are read: as those of an epoch are. */
static enum mr_status add(struct fixture *f, int64_t rows, struct mr_error *err)
{
    struct mr_arena arena;
    struct mr_memory memory;
    mr_arena_init(&arena, NULL);
    mr_memory_init(&memory, NULL, "epoch", INT64_MAX);
    struct mr_field field = {.name = "price", .nullable = true};
    assert_int_equal(mr_type_parse(&arena, "decimal(12,2)", &field.type, err), MR_OK);
    const struct mr_schema *schema = mr_schema_new(&arena, &field, 1);
    struct mr_column *column = sample_column(&memory, field.type, rows, 50, 7);
    struct mr_batch *batch = NULL;
    assert_int_equal(mr_batch_new(schema, rows, &column, &batch, err), MR_OK);
    if (f->frame->reading == NULL)
        assert_int_equal(mr_held_begin(f->frame, schema, "ts", err), MR_OK);
    f->frame->reading->opened = true;
    enum mr_status status = mr_held_add(f->frame, batch, err);
    mr_batch_unref(batch);
    mr_arena_reset(&arena);
    return status;
}

static void test_reading(void **state)
{
    struct fixture *f = *state;
    struct mr_error err = {0};
    f->list.now = 100;
    assert_null(mr_held_fresh(&f->list, f->frame, 50));
    assert_int_equal(add(f, ROWS, &err), MR_OK);
    assert_int_equal(add(f, 1, &err), MR_OK);
    assert_null(mr_held_fresh(&f->list, f->frame, 50)); /* the epoch has not run */
    assert_true(mr_held_reserve(&f->list) > 0);
    mr_held_settle(&f->list);
    assert_int_equal(mr_held_reserve(&f->list), 0);
    f->list.now = 149;
    const struct mr_held_rows *rows = mr_held_fresh(&f->list, f->frame, 50);
    assert_non_null(rows);
    assert_int_equal(rows->rows, ROWS + 1);
    assert_string_equal(rows->event_time, "ts");
    struct mr_arena plan; /* a schema of its own, as a reader of held rows has */
    mr_arena_init(&plan, NULL);
    const struct mr_schema *schema =
        mr_schema_new(&plan, rows->schema->fields, rows->schema->nfields);
    struct mr_batch *batch = NULL;
    assert_int_equal(mr_batch_unpack(schema, rows->blocks[0].rows, rows->blocks[0].packed, &batch,
                                     &err),
                     MR_OK);
    assert_int_equal(batch->rows, ROWS);
    f->list.now = 150; /* due: they go, but for what somebody still has in hand */
    assert_null(mr_held_fresh(&f->list, f->frame, 50));
    assert_true(mr_memory_used(&f->memory) > 0);
    mr_batch_unref(batch);
    mr_arena_reset(&plan);
    assert_int_equal(mr_memory_used(&f->memory), 0);
}

static void test_what_does_not_count(void **state)
{
    struct fixture *f = *state;
    struct mr_error err = {0};
    assert_int_equal(add(f, ROWS, &err), MR_OK);
    mr_held_discard(&f->list); /* a failed epoch */
    mr_held_settle(&f->list);
    assert_null(mr_held_fresh(&f->list, f->frame, 50));
    assert_int_equal(add(f, ROWS, &err), MR_OK);
    f->frame->reading->cut = true; /* not all rows were wanted */
    mr_held_settle(&f->list);
    assert_null(mr_held_fresh(&f->list, f->frame, 50));
    assert_int_equal(add(f, ROWS, &err), MR_OK);
    f->frame->reading->opened = false; /* nobody has read */
    mr_held_settle(&f->list);
    assert_null(mr_held_fresh(&f->list, f->frame, 50));
    assert_int_equal(mr_memory_used(&f->memory), 0);
}

static void test_limit(void **state)
{
    struct fixture *f = *state;
    struct mr_error err = {0};
    enum mr_status status = MR_OK;
    for (int i = 0; i < 100 && status == MR_OK; i++)
        status = add(f, ROWS, &err);
    assert_int_equal(status, MR_LIMIT);
    assert_non_null(strstr(err.message, "refresh"));
    assert_true(mr_memory_used(&f->memory) <= 1 << 19);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reading, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_does_not_count, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

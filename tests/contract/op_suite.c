/*
 * op_suite.c - the contract of ext/op.h, by a small driver over the toy operators.
 *
 * The driver is what an engine does at least: it delivers the batches of several inputs to ports and ends ports. Scripts are data:
 * the inputs' items in the order of their arrival. What operators keep from epoch to epoch (ext/kept.h) is tested with each of them.
 */
#include "contract/fixture.h"
#include "contract/toy_op.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SCHEMA "key STRING, amount BIGINT, t TIMESTAMP"

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return fixture_reset(&f);
}

/* ---- what comes out ---- */

struct collector {
    struct mr_emit base;
    struct mr_bytes ports[2]; /* rows as text, "key|amount|...\n" */
    int batches;
};

static enum mr_status collect(struct mr_emit *base, int port, struct mr_batch *batch,
                              struct mr_error *err)
{
    struct collector *collector = (struct collector *)(void *)base;
    const int32_t *selected = mr_selection_rows(batch->selection);
    for (int64_t i = 0; i < mr_batch_active(batch); i++) {
        for (int c = 0; c < batch->schema->nfields; c++) {
            struct mr_value value;
            mr_column_get(batch->columns[c], selected ? selected[i] : i, &value);
            if (c)
                mr_bytes_char(&collector->ports[port], '|');
            if (value.type->id == MR_TYPE_TIMESTAMP && !value.is_null)
                mr_bytes_printf(&collector->ports[port], "%lld", (long long)value.u.i64);
            else
                mr_value_format(&value, &collector->ports[port]);
        }
        mr_bytes_char(&collector->ports[port], '\n');
    }
    mr_batch_unref(batch);
    collector->batches++;
    return mr_bytes_status(&collector->ports[port], err);
}

static void collector_init(struct collector *collector)
{
    *collector = (struct collector){.base = {collect, false}};
    mr_bytes_init(&collector->ports[0], 1 << 20);
    mr_bytes_init(&collector->ports[1], 1 << 20);
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines of a port, sorted and joined with blanks; then it is empty. */
static const char *take_lines(struct fixture *fixture, struct mr_bytes *bytes)
{
    char *lines[64], *text = mr_arena_calloc(&fixture->arena, 1, bytes->size + 1);
    char *copy = mr_arena_strndup(&fixture->arena, bytes->size ? bytes->data : "", bytes->size);
    int count = 0;
    for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n"))
        lines[count++] = line;
    qsort(lines, (size_t)count, sizeof lines[0], compare_lines);
    for (int i = 0; i < count; i++)
        sprintf(text + strlen(text), "%s%s", i ? " " : "", lines[i]);
    mr_bytes_reset(bytes);
    return text;
}

/* ---- the driver ---- */

/* One item of a script. Rows: the text of fixture_batch. */
struct step {
    int input;
    enum mr_item_kind kind;
    const char *row;
};

struct driver {
    struct fixture *fixture;
    const struct mr_op *op;
    void *task;
    struct collector out;
    int pulls; /* partitions of the plan */
};

static void *bind_op(struct fixture *fixture, const struct mr_op *op, const char *const *pairs,
                     struct mr_op_info *info)
{
    const struct mr_schema *schema = fixture_schema(fixture, SCHEMA);
    const struct mr_op_input inputs[2] = {{NULL, schema, -1}, {"other", schema, -1}};
    const struct mr_options *options = NULL;
    void *plan;
    if (op->options)
        FIXTURE_OK(fixture, mr_options_from_texts(&fixture->arena, op->options, pairs, &options,
                                                  &fixture->err));
    struct mr_op_bind bind = {
        .options = options,
        .runtime = &fixture->runtime,
        .arena = &fixture->arena,
        .inputs = inputs,
        .ninputs = 2,
    };
    FIXTURE_OK(fixture, op->bind(&bind, &plan, info, &fixture->err));
    return plan;
}

static void driver_init(struct driver *driver, struct fixture *fixture, void *plan, int pulls)
{
    *driver = (struct driver){.fixture = fixture, .op = &toy_balance, .pulls = pulls};
    collector_init(&driver->out);
    FIXTURE_OK(fixture, driver->op->open(plan, &fixture->runtime, &driver->task, &fixture->err));
}

static void driver_reset(struct driver *driver)
{
    driver->op->close(driver->task);
    mr_bytes_reset(&driver->out.ports[0]);
    mr_bytes_reset(&driver->out.ports[1]);
}

/* A batch of one row that counts; where its text has an odd length it is one of two, chosen by a selection. */
static struct mr_batch *row_batch(struct fixture *fixture, const char *text)
{
    const char *const alone[] = {text, NULL};
    const char *const hidden[] = {"never|1000|0", text, NULL};
    bool select = (strlen(text) & 1) != 0;
    struct mr_batch *batch = fixture_batch(fixture, SCHEMA, select ? hidden : alone);
    if (select) {
        struct mr_buffer *rows;
        struct mr_selection *selection;
        struct mr_batch *chosen;
        FIXTURE_OK(fixture, mr_buffer_new(&fixture->memory, 4, &rows, &fixture->err));
        memcpy(rows->data, &(int32_t){1}, 4);
        mr_buffer_finish(rows, 4);
        FIXTURE_OK(fixture, mr_selection_new(rows, 1, &selection, &fixture->err));
        FIXTURE_OK(fixture, mr_batch_select(batch, selection, &chosen, &fixture->err));
        mr_batch_unref(batch);
        batch = chosen;
    }
    return batch;
}

static void deliver(struct driver *driver, const struct step *step)
{
    struct mr_error *err = &driver->fixture->err;
    if (step->kind == MR_ITEM_END) {
        FIXTURE_OK(driver->fixture,
                   driver->op->finish(driver->task, step->input, &driver->out.base, err));
        return;
    }
    struct mr_batch *batch = row_batch(driver->fixture, step->row);
    FIXTURE_OK(driver->fixture,
               driver->op->push(driver->task, step->input, batch, &driver->out.base, err));
    mr_batch_unref(batch);
}

/* Settles the state (pieces in any order) and pulls all its partitions. */
static void pull_all(struct driver *driver)
{
    struct fixture *fixture = driver->fixture;
    int pieces = 0;
    FIXTURE_OK(fixture,
               driver->op->settle(driver->task, &fixture->runtime, -1, &pieces, &fixture->err));
    for (int i = pieces - 1; i >= 0; i--)
        FIXTURE_OK(fixture,
                   driver->op->settle(driver->task, &fixture->runtime, i, &pieces, &fixture->err));
    for (int p = 0; p < driver->pulls; p++)
        FIXTURE_OK(fixture, driver->op->pull(driver->task, &fixture->runtime, p, &driver->out.base,
                                             &fixture->err));
}

static const char *const pulls_of[] = {"0", "1", "2", "3", "4", "5"};

/* A balance with so many partitions. */
static void *bind_balance(struct fixture *fixture, int pulls, struct mr_op_info *info)
{
    const char *const pairs[] = {"pulls", pulls_of[pulls], NULL};
    void *plan = bind_op(fixture, &toy_balance, pairs, info);
    assert_int_equal(info->pulls, pulls);
    return plan;
}

/* ---- one script ---- */

#define ROW(input, text)                                                                           \
    {                                                                                              \
        input, MR_ITEM_BATCH, text                                                                 \
    }
#define END(input)                                                                                 \
    {                                                                                              \
        input, MR_ITEM_END, NULL                                                                   \
    }

static const struct step script[] = {
    ROW(0, "a|10|5"), ROW(1, "a|3|5"),  ROW(0, "a|100|6"), ROW(0, "b|7|6"),  ROW(1, "b|2|6"),
    ROW(1, "a|-3|7"), ROW(0, "~|1|99"), /* no key */
    ROW(0, "b|2|95"), END(0),           ROW(1, "c|1|95"),  ROW(1, "c|1|96"), END(1),
};
#define NSTEPS   ((int)(sizeof script / sizeof script[0]))
#define BALANCES "a|110 b|7 c|-2"

static void deliver_all(struct driver *driver)
{
    for (int i = 0; i < NSTEPS; i++)
        deliver(driver, &script[i]);
}

static void test_items(void **state)
{
    (void)state;
    struct driver driver;
    struct mr_op_info info;
    void *plan = bind_balance(&f, 3, &info);
    assert_int_equal(info.schema->nfields, 2);
    assert_int_equal(info.side->nfields, 3);
    driver_init(&driver, &f, plan, 3);
    deliver_all(&driver);
    pull_all(&driver);
    assert_string_equal(take_lines(&f, &driver.out.ports[0]), BALANCES);
    assert_string_equal(take_lines(&f, &driver.out.ports[1]), "NULL|1|99");
    driver_reset(&driver);
    toy_balance.unbind(plan);
}

/* Rows dealt out to four tasks, combined in order, pulled by any number of partitions: always the same. */
static void test_combine(void **state)
{
    (void)state;
    for (int npartitions = 1; npartitions <= 5; npartitions++) {
        struct driver drivers[4];
        struct mr_op_info info;
        void *plan = bind_balance(&f, npartitions, &info);
        for (int t = 0; t < 4; t++)
            driver_init(&drivers[t], &f, plan, npartitions);
        for (int i = 0, t = 0; i < NSTEPS; i++) {
            if (script[i].kind == MR_ITEM_BATCH && script[i].row[0] != '~')
                deliver(&drivers[t++ % 4], &script[i]);
        }
        for (int t = 1; t < 4; t++) {
            FIXTURE_OK(&f, toy_balance.combine(drivers[0].task, drivers[t].task, &f.err));
            driver_reset(&drivers[t]);
        }
        for (int again = 0; again < 2; again++) {
            pull_all(&drivers[0]);
            assert_string_equal(take_lines(&f, &drivers[0].out.ports[0]), BALANCES);
        }
        driver_reset(&drivers[0]);
        toy_balance.unbind(plan);
    }
}

static void test_closed_emitter(void **state)
{
    (void)state;
    struct driver driver;
    struct mr_op_info info;
    void *plan = bind_balance(&f, 1, &info);
    driver_init(&driver, &f, plan, 1);
    deliver_all(&driver);
    driver.out.batches = 0;
    driver.out.base.closed = true;
    pull_all(&driver);
    assert_int_equal(driver.out.batches, 0);
    driver_reset(&driver);
    toy_balance.unbind(plan);
}

static void push(const struct mr_op *op, void *task, int port, const char *const *rows,
                 struct mr_emit *emit)
{
    struct mr_batch *batch = fixture_batch(&f, SCHEMA, rows);
    FIXTURE_OK(&f, op->push(task, port, batch, emit, &f.err));
    mr_batch_unref(batch);
}

/* Two tasks build, two probe; the second probe stops at the limit and says so to the left. */
static void test_build_side(void **state)
{
    (void)state;
    const char *const pairs[] = {"limit", "3", NULL};
    const char *const one[] = {"a|0|0", "~|0|0", NULL}, *const two[] = {"b|0|0", NULL};
    const char *const probes[] = {"a|1|0", "x|2|0", "b|3|0", "~|4|0", "b|5|0", "a|6|0", NULL};
    const struct mr_op *op = &toy_lookup;
    struct mr_op_info info;
    struct collector out;
    void *built, *other, *probe;
    void *plan = bind_op(&f, op, pairs, &info);
    assert_int_equal(info.limit, 3);
    collector_init(&out);
    FIXTURE_OK(&f, op->open(plan, &f.runtime, &built, &f.err));
    FIXTURE_OK(&f, op->open(plan, &f.runtime, &other, &f.err));
    push(op, built, 1, one, &out.base);
    push(op, other, 1, two, &out.base);
    FIXTURE_OK(&f, op->combine(built, other, &f.err));
    op->close(other);
    for (int i = 0; i < 2; i++) {
        out.base.closed = false;
        FIXTURE_OK(&f, op->open(plan, &f.runtime, &probe, &f.err));
        FIXTURE_OK(&f, op->attach(probe, built, &f.err));
        push(op, probe, 0, probes, &out.base);
        assert_true(out.base.closed);
        assert_string_equal(take_lines(&f, &out.ports[0]), "a|1|0 b|3|0 b|5|0");
        op->close(probe);
    }
    op->close(built);
}

static void test_bind_refuses(void **state)
{
    (void)state;
    const struct mr_op_input inputs[2] = {{NULL, fixture_schema(&f, SCHEMA), -1},
                                          {"b", fixture_schema(&f, "x INT"), -1}};
    struct mr_op_bind bind = {.runtime = &f.runtime,
                              .arena = &f.arena,
                              .inputs = inputs,
                              .ninputs = 2};
    struct mr_op_info info;
    void *plan;
    assert_int_equal(toy_balance.bind(&bind, &plan, &info, &f.err), MR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_items, setup, teardown),
        cmocka_unit_test_setup_teardown(test_combine, setup, teardown),
        cmocka_unit_test_setup_teardown(test_closed_emitter, setup, teardown),
        cmocka_unit_test_setup_teardown(test_build_side, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bind_refuses, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

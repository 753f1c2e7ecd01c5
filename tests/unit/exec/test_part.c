/*
 * test_part.c - tasks in parts: where they end, what is told of them, and runs that leave out any of them.
 */
#include "unit/exec/toy.h"

#include <stdio.h>
#include <string.h>

#define PARTS  32
#define SPLITS 13

/* A part as it was told of, and the rows that its writer got. */
struct part {
    struct mr_exec_part part;
    struct mr_slice committables[2];
    char text[16];
    int number; /* of its writer */
    int64_t ids[2000];
    int64_t count;
};

struct parts {
    pthread_mutex_t lock;
    struct part items[PARTS];
    int count;
    enum mr_status answer;
};

static enum mr_status sealed(void *context, const struct mr_exec_part *part, struct mr_error *err)
{
    struct parts *parts = context;
    pthread_mutex_lock(&parts->lock);
    struct part *item = &parts->items[parts->count++];
    item->part = *part;
    item->committables[0] =
        (struct mr_slice){item->text, (size_t)snprintf(item->text, sizeof item->text, "%.*s",
                                                       (int)part->committables[0].size,
                                                       part->committables[0].data)};
    item->number = atoi(item->text + strlen("task "));
    item->part.committables = item->committables;
    static const struct mr_slice none[2];
    item->part.contents = none;
    item->part.tallies = NULL;
    pthread_mutex_unlock(&parts->lock);
    return parts->answer == MR_OK
               ? MR_OK
               : mr_error_set(err, parts->answer, MR_CLASS_FATAL, "cannot be remembered");
}

static int by_place(const void *a, const void *b)
{
    return ((const struct part *)a)->part.first_split - ((const struct part *)b)->part.first_split;
}

static int rows_of(int split)
{
    return 40 + split;
}

/* FUSED with one reader a task, ROTATE with three for one task, ORDERED behind a limit that is never reached. */
static void run(struct toy *toy, struct parts *parts, int readers, bool ordered, int pause,
                const struct mr_exec_part *kept, int nkept)
{
    static const enum mr_sealing sealing[] = {MR_SEAL_PARTS, MR_SEAL_PARTS};
    struct mr_exec_resume resume = {.sealing = sealing,
                                    .part_bytes = 2000,
                                    .kept = kept,
                                    .nkept = nkept,
                                    .sealed = sealed,
                                    .context = parts};
    char text[8];
    snprintf(text, sizeof text, "%d", readers);
    toy_init(toy, readers == 2 ? 2 : 1, INT64_MAX);
    toy->batch_pause_micros = pause;
    toy->queue_bytes = 400;
    toy_step(toy, "toySource", "splits", "13", "rows", "40", "readers", text, "bytes",
             readers == 2 ? "1000000000" : "1000", NULL);
    if (ordered)
        toy_step(toy, "toyLimit", "count", "100000", NULL);
    else
        toy_step(toy, "toyPass", NULL);
    toy_step(toy, "toySink", NULL);
    toy->request.resume = &resume;
    if (kept == NULL)
        mr_mutex_init(&parts->lock);
    parts->count = 0;
    enum mr_status status = toy_run(toy);
    assert_int_equal(status, parts->answer);
    qsort(parts->items, (size_t)parts->count, sizeof parts->items[0], by_place);
    for (int i = 0; i < parts->count; i++) {
        struct part *item = &parts->items[i]; /* sorting has moved it */
        item->committables[0] = (struct mr_slice){item->text, strlen(item->text)};
        item->part.committables = item->committables;
        item->count = toy->targets[0].count[item->number];
        assert_true(item->count <= 2000);
        memcpy(item->ids, toy->targets[0].ids[item->number],
               (size_t)item->count * sizeof item->ids[0]);
    }
}

static void check_whole(const struct toy *toy, const struct parts *parts)
{
    int at = 0;
    int64_t all = 0;
    for (int i = 0; i < parts->count; i++) {
        const struct mr_exec_part *part = &parts->items[i].part;
        assert_int_equal(part->first_split, at);
        int64_t rows = 0;
        for (int s = part->first_split; s < part->end_split; s++)
            rows += rows_of(s);
        assert_int_equal(part->rows, rows);
        assert_int_equal(parts->items[i].count, rows);
        at = part->end_split;
        all += rows;
    }
    assert_int_equal(at, SPLITS);
    assert_int_equal(toy_count(toy, 0), all);
    assert_int_equal(toy->result.sinks[0].count, parts->count);
}

static void check_same(const struct part *a, const struct part *b)
{
    assert_int_equal(a->part.first_split, b->part.first_split);
    assert_int_equal(a->part.end_split, b->part.end_split);
    assert_string_equal(a->text, b->text);
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->ids, b->ids, (size_t)a->count * sizeof a->ids[0]);
}

static struct parts whole, again;

/* Leaves out the parts whose bits are set: the others come out as they did, under the same numbers, and all are in the result. */
static void leave_out(int readers, bool ordered, unsigned bits)
{
    struct toy toy;
    struct mr_exec_part kept[PARTS];
    int nkept = 0;
    for (int i = 0; i < whole.count; i++)
        if (bits >> i & 1)
            kept[nkept++] = whole.items[i].part;
    run(&toy, &again, readers, ordered, 0, kept, nkept);
    assert_int_equal(again.count, whole.count - nkept);
    assert_int_equal(toy.result.sinks[0].count, whole.count);
    for (int i = 0, n = 0; i < whole.count; i++) {
        assert_int_equal(toy.result.sinks[0].items[i].size, strlen(whole.items[i].text));
        assert_memory_equal(toy.result.sinks[0].items[i].data, whole.items[i].text,
                            strlen(whole.items[i].text));
        if (!(bits >> i & 1))
            check_same(&again.items[n++], &whole.items[i]);
    }
    struct mr_exec_progress progress;
    mr_exec_progress(toy.engine, &progress);
    assert_int_equal(progress.splits_done, SPLITS);
    toy_reset(&toy);
}

static void parts_of(int readers, bool ordered)
{
    struct toy toy;
    whole.answer = again.answer = MR_OK;
    run(&toy, &whole, readers, ordered, 0, NULL, 0);
    check_whole(&toy, &whole);
    assert_true(whole.count >= 3);
    toy_reset(&toy);
    /* Where a part ends does not depend on who is faster. */
    for (int pause = 0; pause < 3; pause++) {
        run(&toy, &again, readers, ordered, 200 * pause, NULL, 0);
        assert_int_equal(again.count, whole.count);
        for (int i = 0; i < again.count; i++)
            check_same(&again.items[i], &whole.items[i]);
        toy_reset(&toy);
        pthread_mutex_destroy(&again.lock);
    }
    mr_mutex_init(&again.lock);
    unsigned all = (1u << whole.count) - 1;
    for (unsigned i = 1; i < 40; i++)
        leave_out(readers, ordered, i * 2654435761u & all);
    leave_out(readers, ordered, all);
    pthread_mutex_destroy(&again.lock);
    pthread_mutex_destroy(&whole.lock);
}

static void test_fused(void **state)
{
    (void)state;
    parts_of(2, false);
}

static void test_rotate(void **state)
{
    (void)state;
    parts_of(3, false);
}

static void test_ordered(void **state)
{
    (void)state;
    parts_of(3, true);
}

static void test_cannot_be_remembered(void **state)
{
    (void)state;
    for (int readers = 2; readers <= 3; readers++) {
        struct toy toy;
        whole.answer = MR_BUSY;
        run(&toy, &whole, readers, false, 0, NULL, 0);
        assert_string_equal(toy.err.message, "cannot be remembered");
        assert_int_equal(toy.targets[0].opened, toy.targets[0].closed);
        toy_reset(&toy);
        pthread_mutex_destroy(&whole.lock);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fused),
        cmocka_unit_test(test_rotate),
        cmocka_unit_test(test_ordered),
        cmocka_unit_test(test_cannot_be_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_deduplicate_stream.c - deduplicate over epochs, with a clock and restarts by hand, against a list of what is known.
 */
#include "saved.h"

#include "ext/event_clock.h"
#include "op/deduplicate_kept.h"
#include "op/ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEYS 8000

struct model {
    int64_t times[KEYS]; /* INT64_MIN: never seen */
    int64_t before, latest, next;
};

/* An epoch: rows of a few batches as text, and the ids that must come out, in `wanted` (by id). */
static int make_epoch(struct drive *drive, const struct mr_schema *schema, struct model *model,
                      struct mr_batch **batches, bool *wanted, int64_t delay)
{
    int nbatches = rand() % 4, n = 0;
    for (int b = 0; b < nbatches; b++) {
        struct mr_bytes text;
        mr_bytes_init(&text, 1 << 20);
        for (int rows = 1 + rand() % 300; rows > 0; rows--) {
            int key = rand() % 4 ? rand() % KEYS : rand() % 5;
            int64_t time = model->next / 7 - rand() % (delay + 1), id = model->next;
            if (time <= model->before)
                continue;
            model->next++;
            wanted[id] = model->times[key] <= model->before;
            if (wanted[id])
                model->times[key] = time;
            model->latest = time > model->latest ? time : model->latest;
            mr_bytes_printf(&text, "%s%lld,%d,k%d,%lld", text.size ? ";" : "", (long long)id,
                            key / 200, key % 200, (long long)time);
        }
        if (text.size > 0)
            batches[n++] = drive_rows(drive, schema, text.data);
        mr_bytes_reset(&text);
    }
    return n;
}

static void check_epoch(struct drive *drive, const bool *wanted, int64_t from, int64_t to)
{
    bool *got = calloc((size_t)(to - from) + 1, sizeof *got);
    for (int64_t r = 0; drive->all && r < drive->all->rows; r++) {
        int64_t id = drive_int(drive, 0, r);
        assert_in_range(id, from, to - 1);
        assert_false(got[id - from]);
        got[id - from] = true;
    }
    for (int64_t id = from; id < to; id++)
        if (got[id - from] != wanted[id])
            fail_msg("row %lld: %s", (long long)id, wanted[id] ? "missing" : "too many");
    free(got);
}

static int count_stored(const struct mr_dedup_kept *kept)
{
    int pieces = 0;
    for (int p = 0; p < MR_DEDUP_PARTITIONS; p++)
        pieces += kept->parts[p].nstored;
    return pieces;
}

static void run_stream(unsigned seed, int64_t delay, int64_t share)
{
    static const char *const pairs[] = {"keys", "a,b", "eventTime", "timestamp_micros(t)", NULL};
    struct drive drive;
    struct mr_event_clock *clock;
    const struct mr_options *options;
    struct saved saved;
    struct model model = {.before = MR_WATERMARK_NONE, .latest = MR_WATERMARK_NONE};
    const struct mr_schema *schema;
    bool *wanted = calloc(100000, sizeof *wanted);
    int pieces = 0;
    for (int k = 0; k < KEYS; k++)
        model.times[k] = MR_WATERMARK_NONE;
    srand(seed);
    drive_init(&drive);
    drive.stream = true;
    assert_int_equal(mr_schema_parse(&drive.arena, "id BIGINT, a INT, b STRING, t BIGINT", &schema,
                                     &drive.err),
                     MR_OK);
    assert_int_equal(mr_options_from_texts(&drive.arena, mr_dedup_part_options, pairs, &options,
                                           &drive.err),
                     MR_OK);
    assert_int_equal(drive_bind_options(&drive, &mr_op_deduplicate, schema, seed % 2 ? -1 : 100,
                                        options),
                     MR_OK);
    assert_int_equal(mr_event_clock_new(delay, 0, &clock, &drive.err), MR_OK);
    struct mr_event_clock *const clocks[] = {clock};
    drive.runtime.clocks = clocks;
    drive.runtime.share = share;
    saved_open(&saved, &drive, &mr_op_deduplicate);
    for (int epoch = 0; epoch < 60; epoch++) {
        struct mr_batch *batches[8];
        int64_t from = model.next;
        mr_event_clock_begin(clock, epoch + 1, NULL, 0, &drive.err);
        model.before = mr_event_clock_before(clock);
        int n = make_epoch(&drive, schema, &model, batches, wanted, delay);
        if (model.latest != MR_WATERMARK_NONE)
            assert_int_equal(mr_event_clock_seen(clock, "", model.latest, &drive.err), MR_OK);
        if (drive_run(&drive, batches, n, 1 + rand() % 3, share) != MR_OK)
            fail_msg("%s", drive.err.message);
        check_epoch(&drive, wanted, from, model.next);
        pieces += count_stored(drive.runtime.kept);
        saved_save(&saved, rand() % 5 == 0);
        if (rand() % 4 == 0)
            saved_reopen(&saved);
        drive_free_data(batches, n);
    }
    assert_true((pieces > 0) == (share < 1 << 20));
    saved_close(&saved);
    mr_event_clock_free(clock);
    free(wanted);
    drive_reset(&drive);
}

/* Opened with one column of keys, `a`, and one of times, `t`. */
struct simple {
    struct drive drive;
    struct saved saved;
    struct mr_event_clock *clock, *clocks[1];
    const struct mr_schema *schema;
};

static void simple_open(struct simple *simple)
{
    static const char *const pairs[] = {"keys", "a", "eventTime", "timestamp_micros(t)", NULL};
    struct drive *drive = &simple->drive;
    const struct mr_options *options;
    drive_init(drive);
    drive->stream = true;
    assert_int_equal(mr_schema_parse(&drive->arena, "id BIGINT, a BIGINT, t BIGINT",
                                     &simple->schema, &drive->err),
                     MR_OK);
    assert_int_equal(mr_options_from_texts(&drive->arena, mr_dedup_part_options, pairs, &options,
                                           &drive->err),
                     MR_OK);
    assert_int_equal(drive_bind_options(drive, &mr_op_deduplicate, simple->schema, -1, options),
                     MR_OK);
    assert_int_equal(mr_event_clock_new(0, 0, &simple->clock, &drive->err), MR_OK);
    simple->clocks[0] = simple->clock;
    drive->runtime.clocks = simple->clocks;
    saved_open(&simple->saved, drive, &mr_op_deduplicate);
}

static void simple_close(struct simple *simple)
{
    saved_close(&simple->saved);
    mr_event_clock_free(simple->clock);
    drive_reset(&simple->drive);
}

/* How many of the rows come out. */
static int64_t simple_run(struct simple *simple, const char *rows)
{
    struct drive *drive = &simple->drive;
    struct mr_batch *batch = drive_rows(drive, simple->schema, rows);
    if (drive_run(drive, &batch, 1, 1, INT64_MAX / 4) != MR_OK)
        fail_msg("%s", drive->err.message);
    int64_t count = drive->all ? drive->all->rows : 0;
    drive_forget(drive);
    drive_free_data(&batch, 1);
    return count;
}

/* A row of the last time there is: rows without a time still have one. */
static void test_end_of_time(void **state)
{
    (void)state;
    struct simple simple;
    simple_open(&simple);
    struct mr_error *err = &simple.drive.err;
    assert_int_equal(mr_event_clock_begin(simple.clock, 1, NULL, 0, err), MR_OK);
    assert_int_equal(simple_run(&simple, "1,1,9223372036854775807"), 1);
    assert_int_equal(mr_event_clock_seen(simple.clock, "", INT64_MAX, err), MR_OK);
    assert_int_equal(mr_event_clock_begin(simple.clock, 2, NULL, 0, err), MR_OK);
    assert_int_equal(simple_run(&simple, "2,2,NULL;3,2,NULL;4,1,NULL;5,3,NULL"), 2);
    assert_int_equal(simple_run(&simple, "6,2,NULL;7,3,9223372036854775807"), 0);
    simple_close(&simple);
}

/* What is kept is charged: keys as tables of their own are, and 8 bytes of time and 4 of change for each. */
static void test_account(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    struct simple simple;
    struct mr_memory memory;
    const struct mr_type *type = mr_type_of(MR_TYPE_INT64);
    simple_open(&simple);
    struct drive *drive = &simple.drive;
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 24);
    for (int i = 0; i < COUNT; i++)
        mr_bytes_printf(&text, "%s%d,%d,%d", i ? ";" : "", i, i, i);
    struct mr_batch *batch = drive_rows(drive, simple.schema, text.data);
    mr_memory_init(&memory, NULL, "tables", INT64_MAX);
    uint64_t *hashes = calloc(COUNT, sizeof *hashes);
    uint32_t groups[1];
    struct mr_group_table *tables[MR_DEDUP_PARTITIONS];
    for (int p = 0; p < MR_DEDUP_PARTITIONS; p++)
        assert_int_equal(mr_group_table_new(&memory, &type, 1, &tables[p], &drive->err), MR_OK);
    mr_column_hash(batch->columns[1], NULL, COUNT, hashes);
    for (int32_t i = 0; i < COUNT; i++)
        assert_int_equal(mr_group_table_put(tables[mr_spill_partition(hashes[i], MR_DEDUP_BITS)],
                                            &batch->columns[1], &i, 1, &hashes[i], groups,
                                            &drive->err),
                         MR_OK);
    int64_t before = mr_memory_used(&drive->memory);
    assert_int_equal(simple_run(&simple, text.data), COUNT);
    assert_true(mr_memory_used(&drive->memory) - before >= mr_memory_used(&memory) + 12 * COUNT);
    for (int p = 0; p < MR_DEDUP_PARTITIONS; p++)
        mr_group_table_free(tables[p]);
    free(hashes);
    mr_batch_unref(batch);
    mr_bytes_reset(&text);
    simple_close(&simple);
}

/* Some keys of each epoch are far ahead: the others that were stored with them go, and they are known still. */
static void test_far_ahead(void **state)
{
    (void)state;
    enum { EPOCHS = 30, KEYS_OF_ONE = 4000, EACH = 100 };
    const int64_t far = 1000000000;
    struct simple simple;
    struct mr_bytes text;
    simple_open(&simple);
    struct drive *drive = &simple.drive;
    mr_bytes_init(&text, 1 << 24);
    saved_close(&simple.saved);
    drive->runtime.share = 4096;
    saved_open(&simple.saved, drive, &mr_op_deduplicate);
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        assert_int_equal(mr_event_clock_begin(simple.clock, epoch + 1, NULL, 0, &drive->err),
                         MR_OK);
        mr_bytes_clear(&text);
        for (int i = 0; i < KEYS_OF_ONE; i++)
            mr_bytes_printf(&text, "%s0,%d,%lld", i ? ";" : "", epoch * KEYS_OF_ONE + i,
                            (long long)(i % EACH == 0 ? far : epoch + 1));
        for (int i = 0; i < epoch * KEYS_OF_ONE; i += EACH)
            mr_bytes_printf(&text, ";1,%d,%d", i, epoch + 1);
        assert_int_equal(simple_run(&simple, text.data), KEYS_OF_ONE);
        assert_int_equal(mr_event_clock_seen(simple.clock, "", epoch + 1, &drive->err), MR_OK);
        saved_save(&simple.saved, false);
    }
    assert_true(count_stored(drive->runtime.kept) > 0);
    assert_in_range(mr_dedup_keeper.rows(drive->runtime.kept), EPOCHS * KEYS_OF_ONE / EACH,
                    4 * KEYS_OF_ONE + 4 * EPOCHS * KEYS_OF_ONE / EACH);
    mr_bytes_reset(&text);
    simple_close(&simple);
}

/* A key that is stored and comes again is one key, also behind a restart. */
static void test_rows(void **state)
{
    (void)state;
    enum { STORED = 4000, AGAIN = 200 };
    struct simple simple;
    struct mr_bytes text;
    simple_open(&simple);
    struct drive *drive = &simple.drive;
    mr_bytes_init(&text, 1 << 20);
    saved_close(&simple.saved);
    drive->runtime.share = 4096;
    saved_open(&simple.saved, drive, &mr_op_deduplicate);
    assert_int_equal(mr_event_clock_begin(simple.clock, 1, NULL, 0, &drive->err), MR_OK);
    for (int i = 0; i < STORED; i++)
        mr_bytes_printf(&text, "%s0,%d,5", i ? ";" : "", i);
    assert_int_equal(simple_run(&simple, text.data), STORED);
    assert_true(count_stored(drive->runtime.kept) > 0);
    assert_int_equal(mr_dedup_keeper.rows(drive->runtime.kept), STORED);
    mr_bytes_clear(&text);
    for (int i = 0; i < AGAIN; i++)
        mr_bytes_printf(&text, "%s1,%d,5", i ? ";" : "", i);
    for (int epoch = 0; epoch < 2; epoch++) {
        assert_int_equal(simple_run(&simple, text.data), 0);
        assert_int_equal(mr_dedup_keeper.rows(drive->runtime.kept), STORED);
        saved_save(&simple.saved, true);
        saved_reopen(&simple.saved);
        assert_int_equal(mr_dedup_keeper.rows(drive->runtime.kept), STORED);
    }
    mr_bytes_reset(&text);
    simple_close(&simple);
}

static void test_epochs(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 12; seed++) {
        static const int64_t shares[] = {4096, INT64_MAX / 4, 400000, INT64_MAX / 4};
        int64_t delay = seed % 4 == 1 ? 40 : seed % 4 == 3 ? 0 : 1500;
        run_stream(seed, delay, shares[seed % 4]);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *const pairs[8];
        const char *message;
    } cases[] = {
        {{"keys", "a"}, "different event times"},
        {{"keys", "a", "keep", "last"}, "the last row of a key is not known"},
        {{"keys", "a", "orderBy", "id"}, "comes first, and no other"},
        {{"keys", "a", "keep", "unique"}, "unique is for batch"},
    };
    struct drive drive;
    const struct mr_schema *schema;
    drive_init(&drive);
    drive.stream = true;
    assert_int_equal(mr_schema_parse(&drive.arena, "id BIGINT, a INT", &schema, &drive.err), MR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(drive_bind(&drive, &mr_op_deduplicate, schema, 1, cases[i].pairs),
                         MR_CONFIG);
        if (!strstr(drive.err.message, cases[i].message))
            fail_msg("%s: %s", cases[i].message, drive.err.message);
    }
    drive_reset(&drive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_epochs),  cmocka_unit_test(test_end_of_time),
        cmocka_unit_test(test_account), cmocka_unit_test(test_far_ahead),
        cmocka_unit_test(test_rows),    cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

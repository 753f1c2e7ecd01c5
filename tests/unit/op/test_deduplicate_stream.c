/*
 * test_deduplicate_stream.c - deduplicate over epochs, with a clock and restarts by hand, against a list of what is known.
 */
#include "drive.h"

#include "ext/event_clock.h"
#include "ext/kept.h"
#include "op/dedup.h"
#include "op/ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEYS 400

struct saved {
    struct mr_emit emit;
    struct mr_batch *batches[4096];
    int count;
};

static enum mr_status keep_saved(struct mr_emit *emit, int port, struct mr_batch *batch,
                                 struct mr_error *err)
{
    struct saved *saved = (struct saved *)(void *)emit;
    (void)err;
    assert_int_equal(port, 0);
    assert_true(saved->count < 4096);
    saved->batches[saved->count++] = batch;
    return MR_OK;
}

static void forget_saved(struct saved *saved)
{
    for (int i = 0; i < saved->count; i++)
        mr_batch_unref(saved->batches[i]);
    saved->count = 0;
}

static void reopen(struct drive *drive, struct saved *saved)
{
    const struct mr_keeper *keeper = mr_op_deduplicate.keeper;
    if (drive->runtime.kept)
        keeper->close(drive->runtime.kept);
    assert_int_equal(keeper->open(drive->plan, &drive->runtime, &drive->runtime.kept, &drive->err),
                     MR_OK);
    for (int i = 0; i < saved->count; i++)
        assert_int_equal(keeper->restore(drive->runtime.kept, saved->batches[i], &drive->err),
                         MR_OK);
}

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
        for (int rows = 1 + rand() % 60; rows > 0; rows--) {
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
                            key / 20, key % 20, (long long)time);
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

static void run_stream(unsigned seed, int64_t delay, int64_t share)
{
    static const char *const pairs[] = {"keys", "a,b", "eventTime", "timestamp_micros(t)", NULL};
    struct drive drive;
    struct mr_event_clock *clock;
    const struct mr_options *options;
    struct saved saved = {.emit = {.batch = keep_saved}};
    struct model model = {.before = MR_WATERMARK_NONE, .latest = MR_WATERMARK_NONE};
    const struct mr_schema *schema;
    bool *wanted = calloc(100000, sizeof *wanted);
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
    reopen(&drive, &saved);
    for (int epoch = 0; epoch < 60; epoch++) {
        struct mr_batch *batches[8];
        int64_t from = model.next;
        mr_event_clock_begin(clock, epoch + 1);
        model.before = mr_event_clock_before(clock);
        int n = make_epoch(&drive, schema, &model, batches, wanted, delay);
        if (model.latest != MR_WATERMARK_NONE)
            assert_int_equal(mr_event_clock_seen(clock, "", model.latest, &drive.err), MR_OK);
        if (drive_run(&drive, batches, n, 1 + rand() % 3, share) != MR_OK)
            fail_msg("%s", drive.err.message);
        check_epoch(&drive, wanted, from, model.next);
        bool everything = rand() % 5 == 0;
        if (everything)
            forget_saved(&saved);
        assert_int_equal(mr_op_deduplicate.keeper->save(drive.runtime.kept, everything, &saved.emit,
                                                        &drive.err),
                         MR_OK);
        if (rand() % 4 == 0)
            reopen(&drive, &saved);
        drive_free_data(batches, n);
    }
    mr_op_deduplicate.keeper->close(drive.runtime.kept);
    forget_saved(&saved);
    mr_event_clock_free(clock);
    free(wanted);
    drive_reset(&drive);
}

static void test_epochs(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++)
        run_stream(seed, seed % 3 == 0 ? 0 : 40, seed % 4 ? INT64_MAX / 4 : 4096);
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
        cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_join_streams.c - two streams over epochs, with clocks and restarts by hand, against nested loops: in each epoch exactly the
 * pairs whose later row is new, and the rows that no partner can come for any more.
 */
#include "saved.h"

#include "ext/event_clock.h"
#include "op/join_options.h"
#include "op/join_runs.h"
#include "op/ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS   4000
#define WITHIN 50
#define NONE   (-1)

struct row {
    int64_t id, key, time; /* key, time: INT64_MIN = NULL */
    int epoch;
    bool matched, padded;
};

struct stream {
    struct row rows[ROWS];
    int count, fresh; /* those from `fresh` on are of this epoch */
    int64_t latest, before, limit;
    struct mr_event_clock *clock;
};

struct fixture {
    struct drive drive;
    struct stream streams[2]; /* left, right */
    struct saved saved;
    const struct mr_schema *schemas[2];
    bool swapped;
    bool exists, semi; /* left_semi, left_anti */
    /* pairs that came out: left id * ROWS * 2 + right id, NONE counted as ROWS */
    int8_t *seen;
    int outputs;
    int64_t unexpected;
};

static struct fixture f;

static void bind(const char *type)
{
    const char *const pairs[] = {
        "leftKeys",   "k",      "rightKeys", "rk",      "joinType",
        type,         "within", "50us",      "swapped", f.swapped ? "true" : "false",
        "rightFrame", "r",      NULL};
    struct drive *drive = &f.drive;
    struct mr_op_input *inputs = mr_arena_calloc(&drive->arena, 2, sizeof *inputs);
    assert_int_equal(mr_schema_parse(&drive->arena, "id BIGINT, k STRING, ts TIMESTAMP",
                                     &f.schemas[0], &drive->err),
                     MR_OK);
    assert_int_equal(mr_schema_parse(&drive->arena, "rid BIGINT, rk STRING, rts TIMESTAMP",
                                     &f.schemas[1], &drive->err),
                     MR_OK);
    for (int s = 0; s < 2; s++)
        inputs[f.swapped ? 1 - s : s] = (struct mr_op_input){.frame = s ? "r" : "l",
                                                             .schema = f.schemas[s],
                                                             .rows = -1,
                                                             .stream = true,
                                                             .measured = true,
                                                             .event_time = s ? "rts" : "ts"};
    struct mr_op_bind bound = {.runtime = &drive->runtime,
                               .arena = &drive->arena,
                               .inputs = inputs,
                               .ninputs = 2,
                               .ansi = true,
                               .tz = drive->tz};
    if (mr_options_from_texts(&drive->arena, mr_join_part_options, pairs, &bound.options,
                              &drive->err) != MR_OK ||
        mr_op_join_streams.bind(&bound, &drive->plan, &drive->info, &drive->err) != MR_OK)
        fail_msg("%s", drive->err.message);
}

/* ---- what must come out ---- */

static int slot(int64_t left, int64_t right)
{
    return (int)((left == NONE ? ROWS : left) * (ROWS + 1) + (right == NONE ? ROWS : right));
}

static void expect(int64_t left, int64_t right)
{
    f.seen[slot(left, right)]++;
    f.outputs++;
}

static void expect_pairs(void)
{
    struct stream *l = &f.streams[0], *r = &f.streams[1];
    for (int i = 0; i < l->count; i++)
        for (int j = i < l->fresh ? r->fresh : 0; j < r->count; j++) {
            struct row *a = &l->rows[i], *b = &r->rows[j];
            if (a->key != b->key || a->key == INT64_MIN || a->time == INT64_MIN ||
                b->time == INT64_MIN || llabs(a->time - b->time) > WITHIN)
                continue;
            if (f.semi && !a->matched)
                expect(i, NONE);
            a->matched = b->matched = true;
            if (!f.exists)
                expect(i, j);
        }
}

static void expect_padded(int side)
{
    struct stream *own = &f.streams[side], *other = &f.streams[1 - side];
    int64_t reached = mr_event_clock_reached(other->clock);
    if (reached != MR_WATERMARK_NONE)
        own->limit = reached - WITHIN;
    for (int i = 0; i < own->count; i++) {
        struct row *row = &own->rows[i];
        if (row->matched || row->padded || row->time > own->limit)
            continue;
        row->padded = true;
        expect(side ? NONE : i, side ? i : NONE);
    }
}

/* ---- an epoch ---- */

static int make_rows(int side, struct mr_batch **batches, bool last)
{
    struct stream *stream = &f.streams[side];
    int nbatches = last ? 1 : rand() % 3, n = 0;
    stream->fresh = stream->count;
    for (int b = 0; b < nbatches; b++) {
        struct mr_bytes text;
        mr_bytes_init(&text, 1 << 20);
        for (int i = last ? 1 : rand() % 40; i > 0 && stream->count < ROWS; i--) {
            struct row row = {.id = stream->count};
            row.key = rand() % 15 == 0 ? INT64_MIN : rand() % 3 ? rand() % 60 : 7;
            row.time = last               ? 1000000
                       : rand() % 25 == 0 ? INT64_MIN
                                          : stream->count + 300 - rand() % 120;
            if (row.time != INT64_MIN && row.time <= stream->before)
                continue;
            stream->latest = row.time > stream->latest ? row.time : stream->latest;
            mr_bytes_printf(&text, "%s%lld,", text.size ? ";" : "", (long long)row.id);
            if (row.key == INT64_MIN)
                mr_bytes_text(&text, "NULL,");
            else
                mr_bytes_printf(&text, "key %lld,", (long long)row.key);
            if (row.time == INT64_MIN)
                mr_bytes_text(&text, "NULL");
            else
                mr_bytes_printf(&text, "%lld", (long long)row.time);
            stream->rows[stream->count++] = row;
        }
        if (text.size > 0)
            batches[n++] = drive_rows(&f.drive, f.schemas[side], text.data);
        mr_bytes_reset(&text);
    }
    return n;
}

struct collector {
    struct mr_emit emit;
};

static enum mr_status collect(struct mr_emit *emit, int port, struct mr_batch *batch,
                              struct mr_error *err)
{
    (void)emit;
    assert_int_equal(port, 0);
    for (int c = 0; c < batch->schema->nfields; c++) {
        assert_int_equal(batch->columns[c]->length, batch->rows);
        if (mr_column_check(batch->columns[c], err) != MR_OK)
            fail_msg("%s", err->message);
    }
    int at = mr_schema_find(batch->schema, "id"), rat = mr_schema_find(batch->schema, "rid");
    for (int64_t i = 0; i < batch->rows; i++) {
        struct mr_value left, right;
        mr_column_get(batch->columns[at], i, &left);
        if (f.exists)
            right.is_null = true;
        else
            mr_column_get(batch->columns[rat], i, &right);
        int64_t a = left.is_null ? NONE : left.u.i64, b = right.is_null ? NONE : right.u.i64;
        if (--f.seen[slot(a, b)] < 0)
            fail_msg("too many: %lld %lld", (long long)a, (long long)b);
        f.outputs--;
    }
    mr_batch_unref(batch);
    return MR_OK;
}

static void drive_epoch(struct mr_batch *batches[2][8], const int *counts, int64_t share)
{
    struct drive *drive = &f.drive;
    struct mr_emit emit = {.batch = collect};
    void *tasks[2];
    const struct mr_op *op = &mr_op_join_streams;
    int pieces = 0;
    drive->runtime.share = share;
    for (int t = 0; t < 2; t++) {
        assert_int_equal(op->open(drive->plan, &drive->runtime, &tasks[t], &drive->err), MR_OK);
        for (int s = 0; s < 2; s++) {
            int port = f.swapped ? 1 - s : s;
            for (int b = 0; b < counts[s]; b++)
                if (b % 2 == t)
                    assert_int_equal(op->push(tasks[t], port, batches[s][b], &emit, &drive->err),
                                     MR_OK);
            assert_int_equal(op->finish(tasks[t], port, &emit, &drive->err), MR_OK);
        }
    }
    assert_int_equal(op->combine(tasks[0], tasks[1], &drive->err), MR_OK);
    op->close(tasks[1]);
    assert_int_equal(op->settle(tasks[0], &drive->runtime, -1, &pieces, &drive->err), MR_OK);
    for (int p = 0; p < pieces; p++)
        if (op->settle(tasks[0], &drive->runtime, p, &pieces, &drive->err) != MR_OK)
            fail_msg("%s", drive->err.message);
    for (int p = 0; p < drive->info.pulls; p++)
        assert_int_equal(op->pull(tasks[0], &drive->runtime, p, &emit, &drive->err), MR_OK);
    op->close(tasks[0]);
}

static void epoch(int number, bool last, const bool *preserved, int64_t share)
{
    struct mr_batch *batches[2][8];
    int counts[2];
    for (int s = 0; s < 2; s++) {
        mr_event_clock_begin(f.streams[s].clock, number + 1, NULL, 0, &f.drive.err);
        f.streams[s].before = mr_event_clock_before(f.streams[s].clock);
        counts[s] = make_rows(s, batches[s], last);
        if (f.streams[s].latest != INT64_MIN)
            assert_int_equal(mr_event_clock_seen(f.streams[s].clock, "", f.streams[s].latest,
                                                 &f.drive.err),
                             MR_OK);
    }
    expect_pairs();
    for (int s = 0; s < 2; s++)
        if (preserved[s])
            expect_padded(s);
    drive_epoch(batches, counts, share);
    if (f.outputs != 0)
        fail_msg("epoch %d: %d rows are missing", number, f.outputs);
    for (int s = 0; s < 2; s++)
        drive_free_data(batches[s], counts[s]);
}

static int count_stored(const struct mr_join_kept *kept)
{
    int pieces = 0;
    for (int i = 0; i < 2 * MR_JOIN_KEPT_PARTS; i++)
        pieces += kept->parts[i / 2].sides[i % 2].nstored;
    return pieces;
}

static void run_streams(const char *type, unsigned seed, bool left, bool right, int64_t share)
{
    static struct mr_waiter waiter;
    const bool preserved[2] = {left, right};
    int pieces = 0;
    memset(&f, 0, sizeof f);
    drive_init(&f.drive);
    waiter = mr_waiter_plain();
    f.drive.runtime.waiter = &waiter;
    f.swapped = !strcmp(type, "right");
    f.semi = !strcmp(type, "left_semi");
    f.exists = f.semi || !strcmp(type, "left_anti");
    f.seen = calloc((ROWS + 1) * (ROWS + 1), 1);
    srand(seed);
    bind(type);
    for (int s = 0; s < 2; s++) {
        f.streams[s].latest = f.streams[s].limit = INT64_MIN;
        assert_int_equal(mr_event_clock_new(100, 0, &f.streams[s].clock, &f.drive.err), MR_OK);
    }
    struct mr_event_clock *const clocks[] = {f.streams[f.swapped].clock,
                                             f.streams[!f.swapped].clock};
    f.drive.runtime.clocks = clocks;
    f.drive.runtime.share = share;
    saved_open(&f.saved, &f.drive, &mr_op_join_streams);
    for (int e = 0; e < 60; e++) {
        epoch(e, e == 59, preserved, share);
        pieces += count_stored(f.drive.runtime.kept);
        saved_save(&f.saved, rand() % 6 == 0);
        if (rand() % 4 == 0)
            saved_reopen(&f.saved);
    }
    assert_true((pieces > 0) == (share < 1 << 20));
    saved_close(&f.saved);
    free(f.seen);
    for (int s = 0; s < 2; s++)
        mr_event_clock_free(f.streams[s].clock);
    drive_reset(&f.drive);
}

/* All in memory; nothing; runs of some rows. */
static int64_t share_of(unsigned seed)
{
    return seed % 3 == 0 ? 4096 : seed % 3 == 1 ? INT64_MAX / 4 : 100000;
}

static void test_inner(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 6; seed++)
        run_streams("inner", seed, false, false, share_of(seed));
}

static void test_left(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 6; seed++)
        run_streams("left", seed, true, false, share_of(seed));
}

static void test_right(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 3; seed++)
        run_streams("right", seed, false, true, share_of(seed));
}

static void test_full(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 6; seed++)
        run_streams("full", seed, true, true, share_of(seed));
}

static void test_exists(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 4; seed++) {
        run_streams("left_semi", seed, false, false, share_of(seed));
        run_streams("left_anti", seed, true, false, share_of(seed));
    }
}

/* A number in a note that counting on from would overflow. */
static void test_damaged(void **state)
{
    (void)state;
    static const struct {
        int kind;
        int64_t number;
        enum mr_status status;
    } cases[] = {{0, INT64_MAX - 10, MR_SOURCE},
                 {1, -1, MR_SOURCE},
                 {2, INT64_MIN, MR_SOURCE},
                 {6, 0, MR_SOURCE},
                 {0, 77, MR_OK},
                 {4, INT64_MAX, MR_OK}};
    memset(&f, 0, sizeof f);
    drive_init(&f.drive);
    bind("inner");
    saved_open(&f.saved, &f.drive, &mr_op_join_streams);
    const struct mr_schema *schema = f.drive.info.kept;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mr_column **columns = calloc((size_t)schema->nfields, sizeof(*columns));
        struct mr_batch *batch;
        for (int c = 0; c < schema->nfields; c++) {
            struct mr_value value = {.type = schema->fields[c].type, .is_null = c > 2};
            value.u.i64 = c == 0 ? cases[i].kind : c == 1 ? cases[i].number : 0;
            assert_int_equal(mr_column_new_constant(&f.drive.memory, value.type, &value, 1,
                                                    &columns[c], &f.drive.err),
                             MR_OK);
        }
        assert_int_equal(mr_batch_new(schema, 1, columns, &batch, &f.drive.err), MR_OK);
        assert_int_equal(mr_op_join_streams.keeper->restore(f.drive.runtime.kept, batch,
                                                            &f.drive.err),
                         cases[i].status);
        mr_batch_unref(batch);
        free(columns);
    }
    saved_close(&f.saved);
    drive_reset(&f.drive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inner), cmocka_unit_test(test_left),   cmocka_unit_test(test_right),
        cmocka_unit_test(test_full),  cmocka_unit_test(test_exists), cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * join_stored.c - kept rows of a join of two streams that do not fit into memory.
 *
 * A partition that holds more than its part stores its oldest runs, in pieces of some hundred kilobytes: the rows and their numbers go into
 * a log (ext/spill_log.h), in memory stay the bounds of numbers and times and, where partners are asked for, two bits a row. Marks
 * are the one thing that changes, so a piece is written once, whatever happens to its rows.
 *
 * In an epoch new rows are the table, and stored pieces come by as rows that are probed: no table of them is ever made. Pieces
 * that no new row can reach in time are not read, which is most of them where rows come in about the order of time. Rows of a key
 * in a file of their own, divided further with each overflow as the aggregates' are, were refused: all of them would be read and written again
 * in every epoch that brings one row of the partition.
 */
#include "op/join_runs.h"

#include "col/builder.h"
#include "col/kernel.h"

#include <string.h>

#define LEAST_ROWS 64

static bool marked(const struct mr_join_kept *kept, int number)
{
    return kept->plan->marks[number];
}

static size_t mark_bytes(const struct mr_join_stored *stored)
{
    return mr_bitmap_bytes(stored->rows.rows);
}

static void drop(struct mr_join_kept *kept, struct mr_join_stored *stored)
{
    if (stored->marks)
        mr_memory_credit(kept->memory, 2 * (int64_t)mark_bytes(stored));
    mr_free(stored->marks);
    mr_spilled_drop(kept->log, &stored->rows);
    *stored = (struct mr_join_stored){0};
}

void mr_join_stored_reset(struct mr_join_kept *kept, struct mr_join_side *side)
{
    for (int i = 0; i < side->nstored; i++)
        drop(kept, &side->stored[i]);
    mr_free(side->stored);
    side->stored = NULL;
    side->nstored = side->stored_capacity = 0;
}

void mr_join_stored_forget(struct mr_join_kept *kept, struct mr_join_side *side)
{
    int n = 0;
    for (int i = 0; i < side->nstored; i++) {
        if (side->stored[i].most <= side->limit)
            drop(kept, &side->stored[i]);
        else
            side->stored[n++] = side->stored[i];
    }
    side->nstored = n;
}

/* ---- writing ---- */

/* Rows of a run, and their numbers, as a batch of `filed`. */
static enum mr_status make_batch(const struct mr_join_kept *kept, int number,
                                 const struct mr_join_run *run, struct mr_runtime *runtime,
                                 const int32_t *rows, int64_t count, struct mr_batch **out,
                                 struct mr_error *err)
{
    const struct mr_schema *schema = kept->plan->filed[number];
    int n = schema->nfields, done = 0;
    struct mr_builder numbers = {0};
    struct mr_column **columns = mr_calloc((size_t)n, sizeof(*columns));
    enum mr_status status = columns ? MR_OK : mr_error_nomem(err);
    for (; status == MR_OK && done < n - 1; done += status == MR_OK) {
        struct mr_column *taken = NULL;
        status =
            mr_column_take(runtime->memory, run->batch->columns[done], rows, count, &taken, err);
        if (status == MR_OK)
            status = mr_column_flatten(runtime->memory, taken, &columns[done], err);
        mr_column_unref(taken);
        if (status != MR_OK)
            break;
    }
    if (status == MR_OK)
        status = mr_builder_init(&numbers, runtime->memory, mr_type_of(MR_TYPE_INT64), err);
    for (int64_t i = 0; status == MR_OK && i < count; i++)
        status = mr_builder_int(&numbers, run->seqs[rows[i]], err);
    if (status == MR_OK)
        status = mr_builder_finish(&numbers, &columns[n - 1], err);
    mr_builder_reset(&numbers);
    if (status == MR_OK)
        status = mr_batch_new(schema, count, columns, out, err);
    else
        for (int c = 0; c < done; c++)
            mr_column_unref(columns[c]);
    mr_free(columns);
    return status;
}

static enum mr_status make_marks(struct mr_join_kept *kept, const struct mr_join_run *run,
                                 const int32_t *rows, int64_t count, struct mr_join_stored *out,
                                 struct mr_error *err)
{
    int64_t bytes = 2 * (int64_t)mr_bitmap_bytes(count);
    MR_TRY(mr_memory_charge(kept->memory, bytes, err));
    out->marks = mr_calloc((size_t)bytes, 1);
    if (!out->marks) {
        mr_memory_credit(kept->memory, bytes);
        return mr_error_nomem(err);
    }
    for (int64_t i = 0; i < count; i++) {
        if (mr_bitmap_get(run->matched, rows[i]))
            mr_bitmap_set(out->marks, i);
        if (mr_bitmap_get(run->saved, rows[i]))
            mr_bitmap_set(out->marks + bytes / 2, i);
    }
    return MR_OK;
}

/* Rows of the run as a piece. */
static enum mr_status put(struct mr_join_kept *kept, int number, const struct mr_join_run *run,
                          struct mr_runtime *runtime, const int32_t *rows, int64_t count,
                          struct mr_join_stored *out, struct mr_error *err)
{
    struct mr_batch *batch = NULL;
    *out = (struct mr_join_stored){.first = run->seqs[rows[0]],
                                   .last = run->seqs[rows[count - 1]],
                                   .least = INT64_MAX,
                                   .most = INT64_MIN};
    for (int64_t i = 0; i < count; i++) {
        int64_t time = run->times[rows[i]];
        if (time == INT64_MIN)
            continue;
        out->least = time < out->least ? time : out->least;
        out->most = time > out->most ? time : out->most;
    }
    MR_TRY(make_batch(kept, number, run, runtime, rows, count, &batch, err));
    enum mr_status status = mr_spill_log_put(kept->log, runtime, batch, &out->rows, err);
    mr_batch_unref(batch);
    if (status == MR_OK && marked(kept, number))
        status = make_marks(kept, run, rows, count, out, err);
    if (status != MR_OK)
        drop(kept, out);
    return status;
}

static enum mr_status reserve(struct mr_join_side *side, struct mr_error *err)
{
    if (side->nstored < side->stored_capacity)
        return MR_OK;
    int capacity = side->stored_capacity * 2 + 8;
    struct mr_join_stored *grown = mr_realloc(side->stored, (size_t)capacity * sizeof *grown);
    if (!grown)
        return mr_error_nomem(err);
    side->stored = grown;
    side->stored_capacity = capacity;
    return MR_OK;
}

/* Is this row still of use? One of this epoch is, because it may have to come out without a partner. */
static bool of_use(const struct mr_join_side *side, const struct mr_join_run *run, int64_t i)
{
    return run->times[i] > side->limit || run->seqs[i] >= side->saved;
}

static int64_t list_useful(const struct mr_join_side *side, const struct mr_join_run *run,
                           int32_t *rows)
{
    int64_t n = 0;
    for (int64_t i = 0; i < run->rows; i++)
        if (of_use(side, run, i))
            rows[n++] = (int32_t)i;
    return n;
}

/* The oldest run goes behind what is stored. */
static enum mr_status store_run(struct mr_join_kept *kept, int number, struct mr_join_side *side,
                                struct mr_runtime *runtime, struct mr_error *err)
{
    struct mr_join_run *run = side->runs[0];
    int64_t each = kept->piece / (run->bytes / run->rows + 1), at = 0;
    each = each > LEAST_ROWS ? each : LEAST_ROWS;
    int32_t *rows = mr_alloc(((size_t)run->rows + 1) * sizeof *rows);
    enum mr_status status = rows ? MR_OK : mr_error_nomem(err);
    int64_t n = rows ? list_useful(side, run, rows) : 0;
    for (; status == MR_OK && at < n; at += each) {
        status = reserve(side, err);
        if (status == MR_OK)
            status = put(kept, number, run, runtime, rows + at, n - at < each ? n - at : each,
                         &side->stored[side->nstored], err);
        side->nstored += status == MR_OK;
    }
    mr_free(rows);
    if (status != MR_OK)
        return status;
    mr_join_run_free(run);
    side->nruns--;
    memmove(side->runs, side->runs + 1, (size_t)side->nruns * sizeof(*side->runs));
    return MR_OK;
}

static int64_t side_bytes(const struct mr_join_side *side)
{
    int64_t bytes = 0;
    for (int i = 0; i < side->nruns; i++)
        bytes += side->runs[i]->bytes;
    return bytes;
}

enum mr_status mr_join_part_shrink(struct mr_join_kept *kept, struct mr_join_part *part,
                                   struct mr_runtime *runtime, struct mr_error *err)
{
    int64_t bytes[2] = {side_bytes(&part->sides[0]), side_bytes(&part->sides[1])};
    if (bytes[0] + bytes[1] <= kept->limit)
        return MR_OK;
    while (bytes[0] + bytes[1] > kept->limit / 2) {
        int larger = bytes[1] > bytes[0];
        bytes[larger] -= part->sides[larger].runs[0]->bytes;
        MR_TRY(store_run(kept, larger, &part->sides[larger], runtime, err));
    }
    return MR_OK;
}

enum mr_status mr_join_stored_tidy(struct mr_join_kept *kept, int number, struct mr_join_side *side,
                                   struct mr_join_stored *stored, const struct mr_join_run *run,
                                   struct mr_runtime *runtime, struct mr_error *err)
{
    struct mr_join_stored fresh = {.least = INT64_MAX, .most = INT64_MIN};
    int32_t *rows = mr_alloc(((size_t)run->rows + 1) * sizeof *rows);
    if (!rows)
        return mr_error_nomem(err);
    int64_t n = list_useful(side, run, rows);
    enum mr_status status = MR_OK;
    if (n > 0 && n * 2 <= run->rows) { /* with none it goes at the end of the epoch */
        status = put(kept, number, run, runtime, rows, n, &fresh, err);
        if (status == MR_OK) {
            drop(kept, stored);
            *stored = fresh;
        }
    }
    mr_free(rows);
    return status;
}

/* ---- reading ---- */

enum mr_status mr_join_stored_load(const struct mr_join_kept *kept, int number,
                                   const struct mr_join_stored *stored, struct mr_runtime *runtime,
                                   struct mr_join_run **out, struct mr_error *err)
{
    const struct mr_schema *schema = kept->plan->stored[number];
    struct mr_batch *filed = NULL, *batch = NULL;
    size_t bytes = mark_bytes(stored);
    *out = NULL;
    MR_TRY(mr_spilled_read(&stored->rows, runtime, kept->plan->filed[number], &filed, err));
    struct mr_column **columns = mr_calloc((size_t)schema->nfields, sizeof(*columns));
    enum mr_status status = columns ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK) {
        for (int c = 0; c < schema->nfields; c++)
            columns[c] = mr_column_ref(filed->columns[c]);
        status = mr_batch_new(schema, filed->rows, columns, &batch, err);
    }
    if (status == MR_OK)
        status = mr_join_run_new(
            kept->plan, number, runtime->memory, batch,
            (const int64_t *)(const void *)filed->columns[schema->nfields]->values->data,
            stored->marks, false, out, err);
    if (status == MR_OK && stored->marks)
        memcpy((*out)->saved, stored->marks + bytes, bytes);
    mr_free(columns);
    mr_batch_unref(batch);
    mr_batch_unref(filed);
    return status;
}

void mr_join_stored_mark(struct mr_join_stored *stored, const struct mr_join_run *run)
{
    size_t bytes = mark_bytes(stored);
    if (!stored->marks)
        return;
    memcpy(stored->marks, run->matched, bytes);
    memcpy(stored->marks + bytes, run->saved, bytes);
}

bool mr_join_stored_changed(const struct mr_join_stored *stored)
{
    size_t bytes = mark_bytes(stored);
    return stored->marks && memcmp(stored->marks, stored->marks + bytes, bytes) != 0;
}

/*
 * join_runs.c - runs of kept rows: made, merged, let go.
 *
 * A run whose neighbour on the left is not twice as large is merged with it, so a side of n rows has about log n runs and each row
 * is copied about log n times in its life. Rows that are out of reach match nothing any more (the bound of time is part
 * of the condition), so they may stay until a merge, or until they are half of their run.
 */
#include "op/join_runs.h"

#include "col/kernel.h"

#include <string.h>

void mr_join_run_free(struct mr_join_run *run)
{
    if (!run)
        return;
    mr_memory_credit(run->table.memory, run->charged);
    mr_join_table_reset(&run->table);
    mr_batch_unref(run->batch);
    mr_free(run->times);
    mr_free(run->seqs);
    mr_free(run->matched);
    mr_free(run->saved);
    mr_free(run);
}

/* The batch again over the table's columns, so that they are in memory once. */
static enum mr_status share_columns(struct mr_join_run *run, const struct mr_schema *schema,
                                    struct mr_batch *batch, struct mr_error *err)
{
    int n = schema->nfields;
    struct mr_column **columns = mr_calloc((size_t)n, sizeof(*columns));
    if (!columns)
        return mr_error_nomem(err);
    for (int c = 0; c < n; c++)
        columns[c] = mr_column_ref(c + 1 < n ? run->table.columns[c] : batch->columns[c]);
    enum mr_status status = mr_batch_new(schema, batch->rows, columns, &run->batch, err);
    mr_free(columns);
    return status;
}

static enum mr_status read_times(struct mr_join_run *run, int column, struct mr_memory *memory,
                                 struct mr_error *err)
{
    struct mr_column *flat;
    MR_TRY(mr_column_flatten(memory, run->batch->columns[column], &flat, err));
    const int64_t *values = (const int64_t *)(const void *)flat->values->data;
    for (int64_t i = 0; i < run->rows; i++)
        run->times[i] = mr_column_is_null(flat, i) ? INT64_MIN : values[i];
    mr_column_unref(flat);
    return MR_OK;
}

enum mr_status mr_join_run_new(const struct mr_join_both *plan, int side, struct mr_memory *memory,
                               struct mr_batch *batch, const int64_t *seqs, const uint8_t *matched,
                               bool found, struct mr_join_run **out, struct mr_error *err)
{
    size_t n = (size_t)batch->rows, bits = mr_bitmap_bytes(batch->rows) + 1;
    struct mr_join_run *run = mr_calloc(1, sizeof *run);
    int pieces = 0;
    if (!run)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    run->rows = batch->rows;
    mr_join_table_init(&run->table, plan->plans[1 - side], memory);
    int64_t own = (int64_t)(2 * n * sizeof(int64_t) + 2 * bits);
    MR_TRY_OUT(mr_memory_charge(memory, own, err));
    run->charged = own;
    run->times = mr_alloc((n + 1) * sizeof *run->times);
    run->seqs = mr_alloc((n + 1) * sizeof *run->seqs);
    run->matched = mr_calloc(bits, 1);
    run->saved = mr_calloc(bits, 1);
    if (!run->times || !run->seqs || !run->matched || !run->saved) {
        status = mr_error_nomem(err);
        goto out;
    }
    memcpy(run->seqs, seqs, n * sizeof *run->seqs);
    if (matched) {
        memcpy(run->matched, matched, bits - 1);
        memcpy(run->saved, matched, bits - 1);
    }
    MR_TRY_OUT(mr_join_table_add(&run->table, batch, err));
    MR_TRY_OUT(mr_join_table_begin(&run->table, 0, &pieces, err));
    for (int i = found ? 0 : 1; i < pieces; i++) /* the first makes the slots */
        MR_TRY_OUT(mr_join_table_make(&run->table, i, err));
    MR_TRY_OUT(share_columns(run, plan->stored[side], batch, err));
    MR_TRY_OUT(read_times(run, plan->time[side], memory, err));
    run->bytes = mr_batch_bytes(run->batch) + run->table.regions[0].bytes + run->charged;
out:
    if (status != MR_OK) {
        mr_join_run_free(run);
        return status;
    }
    *out = run;
    return MR_OK;
}

enum mr_status mr_join_side_add(struct mr_join_side *side, struct mr_join_run *run,
                                struct mr_error *err)
{
    if (side->nruns == side->capacity) {
        int capacity = side->capacity * 2 + 8;
        struct mr_join_run **runs = mr_realloc(side->runs, (size_t)capacity * sizeof(*runs));
        if (!runs) {
            mr_join_run_free(run);
            return mr_error_nomem(err);
        }
        side->runs = runs;
        side->capacity = capacity;
    }
    side->runs[side->nruns++] = run;
    return MR_OK;
}

void mr_join_side_reset(struct mr_join_kept *kept, struct mr_join_side *side)
{
    mr_join_stored_reset(kept, side);
    for (int i = 0; i < side->nruns; i++)
        mr_join_run_free(side->runs[i]);
    mr_free(side->runs);
    *side = (struct mr_join_side){.limit = INT64_MIN};
}

static int64_t alive(const struct mr_join_run *run, int64_t limit)
{
    int64_t n = 0;
    for (int64_t i = 0; i < run->rows; i++)
        n += run->times[i] > limit;
    return n;
}

/* What goes from one run into another. */
struct merging {
    struct mr_batch *batches[2];
    int64_t *seqs;
    uint8_t *matched, *saved;
    int64_t rows;
};

static enum mr_status take_alive(const struct mr_join_run *run, int64_t limit,
                                 struct mr_memory *memory, struct merging *into, int number,
                                 struct mr_error *err)
{
    int32_t *rows = mr_alloc(((size_t)run->rows + 1) * sizeof *rows);
    int64_t n = 0;
    if (!rows)
        return mr_error_nomem(err);
    for (int64_t i = 0; i < run->rows; i++) {
        if (run->times[i] <= limit)
            continue;
        int64_t to = into->rows + n;
        rows[n++] = (int32_t)i;
        into->seqs[to] = run->seqs[i];
        if (mr_bitmap_get(run->matched, i))
            mr_bitmap_set(into->matched, to);
        if (mr_bitmap_get(run->saved, i))
            mr_bitmap_set(into->saved, to);
    }
    enum mr_status status = mr_batch_take(memory, run->batch, rows, n, &into->batches[number], err);
    into->rows += n;
    mr_free(rows);
    return status;
}

/* The rows of runs[at] .. (count of them, 1 or 2) that are in reach as one run in the place of the first. */
static enum mr_status merge(const struct mr_join_both *plan, int number, struct mr_memory *memory,
                            struct mr_join_side *side, int at, int count, struct mr_error *err)
{
    struct merging merging = {0};
    struct mr_batch *batch = NULL;
    struct mr_join_run *run = NULL;
    int64_t most = 0;
    for (int i = 0; i < count; i++)
        most += side->runs[at + i]->rows;
    enum mr_status status = MR_OK;
    merging.seqs = mr_alloc(((size_t)most + 1) * sizeof *merging.seqs);
    merging.matched = mr_calloc(mr_bitmap_bytes(most) + 1, 1);
    merging.saved = mr_calloc(mr_bitmap_bytes(most) + 1, 1);
    if (!merging.seqs || !merging.matched || !merging.saved) {
        status = mr_error_nomem(err);
        goto out;
    }
    for (int i = 0; i < count; i++)
        MR_TRY_OUT(take_alive(side->runs[at + i], side->limit, memory, &merging, i, err));
    if (merging.rows > 0) {
        MR_TRY_OUT(mr_batch_concat(memory, merging.batches, count, &batch, err));
        MR_TRY_OUT(mr_join_run_new(plan, number, memory, batch, merging.seqs, merging.matched, true,
                                   &run, err));
        memcpy(run->saved, merging.saved, mr_bitmap_bytes(run->rows));
    }
    for (int i = 0; i < count; i++)
        mr_join_run_free(side->runs[at + i]);
    int removed = count - (run != NULL);
    side->runs[at] = run;
    for (int i = at + (run != NULL); i + removed < side->nruns; i++)
        side->runs[i] = side->runs[i + removed];
    side->nruns -= removed;
out:
    mr_batch_unref(batch);
    for (int i = 0; i < 2; i++)
        mr_batch_unref(merging.batches[i]);
    mr_free(merging.seqs);
    mr_free(merging.matched);
    mr_free(merging.saved);
    return status;
}

enum mr_status mr_join_side_tidy(const struct mr_join_both *plan, int number,
                                 struct mr_memory *memory, struct mr_join_side *side,
                                 struct mr_error *err)
{
    for (int i = side->nruns - 1; i >= 0; i--)
        if (alive(side->runs[i], side->limit) * 2 <= side->runs[i]->rows)
            MR_TRY(merge(plan, number, memory, side, i, 1, err));
    while (side->nruns >= 2 &&
           side->runs[side->nruns - 2]->rows < 2 * side->runs[side->nruns - 1]->rows)
        MR_TRY(merge(plan, number, memory, side, side->nruns - 2, 2, err));
    return MR_OK;
}

/*
 * join_stream_kept.c - kept rows of a join of two streams, saved and given back.
 *
 * One schema for all that is saved:
 *
 *     kind 0, 1    a row of side 0 or 1: its number, whether it has found a partner, and its stored columns
 *     kind 2, 3    the row of that number has found a partner since it was saved
 *     kind 4, 5    `number` is the side's limit: rows at or before that time are done with
 *
 * The number tells the partition (modulo) and the order within it. What is out of reach is not saved as such: times and limits say it.
 */
#include "op/join_runs.h"

#include "col/builder.h"
#include "col/kernel.h"

#include <string.h>

enum { KIND, NUMBER, MATCHED, COLUMNS };

#define SAVED_ROWS 16384
/* Numbers that are read back; counting on from there does not overflow in the life of a stream. */
#define MOST_NUMBER (INT64_MAX / 2)

static enum mr_status filed_schema(struct mr_arena *arena, struct mr_join_both *plan, int side,
                                   struct mr_error *err)
{
    const struct mr_schema *stored = plan->stored[side];
    int n = stored->nfields;
    struct mr_field *fields = mr_arena_calloc(arena, (size_t)n + 1, sizeof *fields);
    if (!fields)
        return mr_error_nomem(err);
    memcpy(fields, stored->fields, (size_t)n * sizeof *fields);
    fields[n] = (struct mr_field){.name = "number", .type = mr_type_of(MR_TYPE_INT64)};
    plan->filed[side] = mr_schema_new(arena, fields, n + 1);
    return plan->filed[side] ? MR_OK : mr_error_nomem(err);
}

enum mr_status mr_join_kept_schema(struct mr_arena *arena, struct mr_join_both *plan,
                                   struct mr_error *err)
{
    int n[2] = {plan->stored[0]->nfields, plan->stored[1]->nfields};
    struct mr_field *fields =
        mr_arena_calloc(arena, (size_t)(COLUMNS + n[0] + n[1]) + 1, sizeof *fields);
    if (!fields)
        return mr_error_nomem(err);
    fields[KIND] = (struct mr_field){.name = "kind", .type = mr_type_of(MR_TYPE_INT32)};
    fields[NUMBER] = (struct mr_field){.name = "number", .type = mr_type_of(MR_TYPE_INT64)};
    fields[MATCHED] = (struct mr_field){.name = "matched", .type = mr_type_of(MR_TYPE_BOOL)};
    for (int s = 0, at = COLUMNS; s < 2; s++) {
        for (int c = 0; c < n[s]; c++, at++) {
            fields[at].name = mr_arena_printf(arena, "%d.%d", s, c);
            fields[at].type = plan->stored[s]->fields[c].type;
            fields[at].nullable = true;
            if (!fields[at].name)
                return mr_error_nomem(err);
        }
    }
    plan->kept = mr_schema_new(arena, fields, COLUMNS + n[0] + n[1]);
    for (int s = 0; s < 2; s++)
        MR_TRY(filed_schema(arena, plan, s, err));
    return plan->kept ? MR_OK : mr_error_nomem(err);
}

static void kept_close(void *opaque)
{
    struct mr_join_kept *kept = opaque;
    for (int p = 0; p < MR_JOIN_KEPT_PARTS; p++)
        for (int s = 0; s < 2; s++)
            mr_join_side_reset(kept, &kept->parts[p].sides[s]);
    mr_spill_log_free(kept->log);
    mr_free(kept);
}

static enum mr_status kept_open(void *plan, struct mr_runtime *runtime, int64_t share, void **out,
                                struct mr_error *err)
{
    struct mr_join_kept *kept = mr_calloc(1, sizeof *kept);
    if (!kept)
        return mr_error_nomem(err);
    kept->plan = plan;
    kept->runtime = mr_kept_runtime(runtime);
    kept->memory = runtime->memory;
    kept->limit = share / MR_JOIN_KEPT_PARTS;
    kept->piece = mr_spill_log_piece(kept->limit);
    kept->block = share / 4 / (runtime->parallelism > 1 ? runtime->parallelism : 1);
    for (int p = 0; p < MR_JOIN_KEPT_PARTS; p++)
        for (int s = 0; s < 2; s++)
            kept->parts[p].sides[s] =
                (struct mr_join_side){.limit = INT64_MIN, .next = p, .saved = p};
    enum mr_status status = mr_spill_log_new(&kept->runtime, &kept->log, err);
    if (status != MR_OK) {
        mr_free(kept);
        return status;
    }
    *out = kept;
    return MR_OK;
}

/* ---- restore ---- */

static struct mr_join_part *part_of(struct mr_join_kept *kept, int64_t number)
{
    return &kept->parts[(uint64_t)number % MR_JOIN_KEPT_PARTS];
}

static struct mr_join_side *side_of(struct mr_join_kept *kept, int side, int64_t number)
{
    return &part_of(kept, number)->sides[side];
}

/* Columns of one side of some rows. */
static enum mr_status take_side(const struct mr_join_kept *kept, const struct mr_batch *batch,
                                int side, const int32_t *rows, int64_t count, struct mr_batch **out,
                                struct mr_error *err)
{
    const struct mr_schema *schema = kept->plan->stored[side];
    int from = COLUMNS + (side == 1 ? kept->plan->stored[0]->nfields : 0), done = 0;
    struct mr_column **columns = mr_calloc((size_t)schema->nfields + 1, sizeof(*columns));
    enum mr_status status = columns ? MR_OK : mr_error_nomem(err);
    for (; status == MR_OK && done < schema->nfields; done += status == MR_OK) {
        struct mr_column *taken = NULL, *own = NULL;
        status =
            mr_column_take(kept->memory, batch->columns[from + done], rows, count, &taken, err);
        if (status == MR_OK)
            status = mr_column_copy(kept->memory, taken, &own, err);
        if (status == MR_OK)
            status = mr_column_retype(own, schema->fields[done].type, &columns[done], err);
        mr_column_unref(taken);
        mr_column_unref(own);
        if (status != MR_OK)
            break;
    }
    if (status == MR_OK) {
        status = mr_batch_new(schema, count, columns, out, err);
    } else {
        for (int c = 0; columns && c < done; c++)
            mr_column_unref(columns[c]);
    }
    mr_free(columns);
    return status;
}

static enum mr_status restore_run(struct mr_join_kept *kept, const struct mr_batch *batch, int side,
                                  const int32_t *rows, int64_t count, struct mr_error *err)
{
    struct mr_batch *own = NULL;
    struct mr_join_run *run = NULL;
    int64_t *seqs = mr_alloc(((size_t)count + 1) * sizeof *seqs);
    uint8_t *matched = mr_calloc(mr_bitmap_bytes(count) + 1, 1);
    enum mr_status status = seqs && matched ? MR_OK : mr_error_nomem(err);
    for (int64_t i = 0; status == MR_OK && i < count; i++) {
        struct mr_value number, flag;
        mr_column_get(batch->columns[NUMBER], rows[i], &number);
        mr_column_get(batch->columns[MATCHED], rows[i], &flag);
        seqs[i] = number.u.i64;
        if (flag.u.i64)
            mr_bitmap_set(matched, i);
    }
    if (status == MR_OK)
        status = take_side(kept, batch, side, rows, count, &own, err);
    if (status == MR_OK)
        status =
            mr_join_run_new(kept->plan, side, kept->memory, own, seqs, matched, true, &run, err);
    if (status == MR_OK) {
        struct mr_join_side *to = side_of(kept, side, seqs[0]);
        to->next = to->saved = seqs[count - 1] + MR_JOIN_KEPT_PARTS;
        status = mr_join_side_add(to, run, err);
        if (status == MR_OK)
            status = mr_join_side_tidy(kept->plan, side, kept->memory, to, err);
        if (status == MR_OK)
            status = mr_join_part_shrink(kept, part_of(kept, seqs[0]), &kept->runtime, err);
    }
    mr_batch_unref(own);
    mr_free(seqs);
    mr_free(matched);
    return status;
}

/* Place of a number among ascending ones, or -1. */
static int64_t find_number(const int64_t *seqs, int64_t count, int64_t number)
{
    int64_t low = 0, high = count;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (seqs[middle] <= number)
            low = middle;
        else
            high = middle;
    }
    return count > 0 && seqs[low] == number ? low : -1;
}

/* The piece that was read last: marks come in the order of numbers. */
struct reading {
    struct mr_join_stored *stored;
    struct mr_join_run *run;
};

static void reading_end(struct reading *reading)
{
    if (reading->run)
        mr_join_stored_mark(reading->stored, reading->run);
    mr_join_run_free(reading->run);
    *reading = (struct reading){0};
}

static struct mr_join_stored *find_stored(const struct mr_join_side *in, int64_t number)
{
    int low = 0, high = in->nstored;
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (in->stored[middle].first <= number)
            low = middle;
        else
            high = middle;
    }
    struct mr_join_stored *found = low < in->nstored ? &in->stored[low] : NULL;
    return found && found->first <= number && number <= found->last ? found : NULL;
}

static bool mark_run(struct mr_join_run *run, int64_t number)
{
    int64_t at = find_number(run->seqs, run->rows, number);
    if (at < 0)
        return false;
    mr_bitmap_set(run->matched, at);
    mr_bitmap_set(run->saved, at);
    return true;
}

static enum mr_status restore_match(struct mr_join_kept *kept, int side, int64_t number,
                                    struct reading *reading, struct mr_error *err)
{
    const struct mr_join_side *in = side_of(kept, side, number);
    struct mr_join_stored *stored = find_stored(in, number);
    for (int r = 0; !stored && r < in->nruns; r++)
        if (mark_run(in->runs[r], number))
            return MR_OK;
    if (!stored)
        return MR_OK;
    if (reading->stored != stored) {
        reading_end(reading);
        MR_TRY(mr_join_stored_load(kept, side, stored, &kept->runtime, &reading->run, err));
        reading->stored = stored;
    }
    (void)mark_run(reading->run, number);
    return MR_OK;
}

static void restore_limit(struct mr_join_kept *kept, int side, int64_t limit)
{
    for (int p = 0; p < MR_JOIN_KEPT_PARTS; p++)
        kept->parts[p].sides[side].limit = limit;
}

static enum mr_status restore_rows(struct mr_join_kept *kept, const struct mr_batch *batch,
                                   const int32_t *kinds, const int64_t *numbers,
                                   struct mr_error *err)
{
    int32_t *rows = mr_alloc(((size_t)batch->rows + 1) * sizeof *rows);
    enum mr_status status = rows ? MR_OK : mr_error_nomem(err);
    for (int list = 0; status == MR_OK && list < 2 * MR_JOIN_KEPT_PARTS; list++) {
        int64_t n = 0;
        for (int64_t i = 0; i < batch->rows; i++)
            if (kinds[i] == list % 2 &&
                (int)((uint64_t)numbers[i] % MR_JOIN_KEPT_PARTS) == list / 2)
                rows[n++] = (int32_t)i;
        if (n > 0)
            status = restore_run(kept, batch, list % 2, rows, n, err);
    }
    mr_free(rows);
    return status;
}

static enum mr_status kept_restore(void *opaque, struct mr_batch *batch, struct mr_error *err)
{
    struct mr_join_kept *kept = opaque;
    int32_t *kinds = mr_alloc(((size_t)batch->rows + 1) * sizeof *kinds);
    int64_t *numbers = mr_alloc(((size_t)batch->rows + 1) * sizeof *numbers);
    enum mr_status status = kinds && numbers ? MR_OK : mr_error_nomem(err);
    struct reading reading = {0};
    bool rows = false;
    for (int64_t i = 0; status == MR_OK && i < batch->rows; i++) {
        struct mr_value kind, number;
        mr_column_get(batch->columns[KIND], i, &kind);
        mr_column_get(batch->columns[NUMBER], i, &number);
        kinds[i] = (int32_t)kind.u.i64;
        numbers[i] = number.u.i64;
        rows |= kinds[i] < 2;
        if (kinds[i] < 0 || kinds[i] > 5 ||
            (kinds[i] < 4 && (numbers[i] < 0 || numbers[i] > MOST_NUMBER)))
            status = mr_error_set(err, MR_SOURCE, MR_CLASS_DATA, "kept rows of a join are damaged");
    }
    if (status == MR_OK && rows)
        status = restore_rows(kept, batch, kinds, numbers, err);
    for (int64_t i = 0; status == MR_OK && i < batch->rows; i++) {
        if (kinds[i] == 2 || kinds[i] == 3)
            status = restore_match(kept, kinds[i] - 2, numbers[i], &reading, err);
        else if (kinds[i] >= 4)
            restore_limit(kept, kinds[i] - 4, numbers[i]);
    }
    reading_end(&reading);
    mr_free(kinds);
    mr_free(numbers);
    return status;
}

/* ---- save ---- */

/* Rows of a run (NULL: there are only numbers) as a batch of the kept schema. */
struct saving {
    struct mr_join_kept *kept;
    struct mr_emit *emit;
    int kind;
    const struct mr_join_run *run;
    const int32_t *rows;
    const int64_t *numbers;
    int64_t count;
    struct mr_error *err;
};

static enum mr_status make_head(const struct saving *saving, struct mr_column **columns)
{
    struct mr_memory *memory = saving->kept->memory;
    struct mr_builder numbers = {0}, flags = {0};
    struct mr_value kind = {.type = mr_type_of(MR_TYPE_INT32), .u.i64 = saving->kind};
    enum mr_status status = MR_OK;
    MR_TRY_OUT(mr_column_new_constant(memory, kind.type, &kind, saving->count, &columns[KIND],
                                      saving->err));
    MR_TRY_OUT(mr_builder_init(&numbers, memory, mr_type_of(MR_TYPE_INT64), saving->err));
    MR_TRY_OUT(mr_builder_init(&flags, memory, mr_type_of(MR_TYPE_BOOL), saving->err));
    for (int64_t i = 0; i < saving->count; i++) {
        const struct mr_join_run *run = saving->run;
        bool matched = run ? mr_bitmap_get(run->matched, saving->rows[i]) : true;
        MR_TRY_OUT(mr_builder_int(&numbers, run ? run->seqs[saving->rows[i]] : saving->numbers[i],
                                  saving->err));
        MR_TRY_OUT(mr_builder_int(&flags, matched, saving->err));
    }
    MR_TRY_OUT(mr_builder_finish(&numbers, &columns[NUMBER], saving->err));
    MR_TRY_OUT(mr_builder_finish(&flags, &columns[MATCHED], saving->err));
out:
    mr_builder_reset(&numbers);
    mr_builder_reset(&flags);
    return status;
}

static enum mr_status make_columns(const struct saving *saving, struct mr_column **columns)
{
    const struct mr_schema *schema = saving->kept->plan->kept;
    struct mr_memory *memory = saving->kept->memory;
    int left = saving->kept->plan->stored[0]->nfields;
    MR_TRY(make_head(saving, columns));
    for (int c = COLUMNS; c < schema->nfields; c++) {
        int side = c - COLUMNS >= left, index = c - COLUMNS - (side ? left : 0);
        struct mr_value null = {.type = schema->fields[c].type, .is_null = true};
        if (saving->run && saving->kind == side)
            MR_TRY(mr_column_take(memory, saving->run->batch->columns[index], saving->rows,
                                  saving->count, &columns[c], saving->err));
        else
            MR_TRY(mr_column_new_constant(memory, null.type, &null, saving->count, &columns[c],
                                          saving->err));
    }
    return MR_OK;
}

static enum mr_status emit_saved(const struct saving *saving)
{
    const struct mr_schema *schema = saving->kept->plan->kept;
    struct mr_batch *batch = NULL;
    if (saving->count == 0)
        return MR_OK;
    struct mr_column **columns = mr_calloc((size_t)schema->nfields + 1, sizeof(*columns));
    if (!columns)
        return mr_error_nomem(saving->err);
    enum mr_status status = make_columns(saving, columns);
    if (status == MR_OK)
        status = mr_batch_new(schema, saving->count, columns, &batch, saving->err);
    else
        for (int c = 0; c < schema->nfields; c++)
            mr_column_unref(columns[c]);
    mr_free(columns);
    return status == MR_OK ? saving->emit->batch(saving->emit, 0, batch, saving->err) : status;
}

/* Rows that are new (or all), in pieces; then those whose mark is. */
static enum mr_status save_run(struct saving *saving, const struct mr_join_side *side, int number,
                               struct mr_join_run *run, bool everything)
{
    int64_t n = 0, m = 0;
    int32_t *rows = mr_alloc(((size_t)run->rows + 1) * sizeof *rows);
    int32_t *marked = mr_alloc(((size_t)run->rows + 1) * sizeof *marked);
    enum mr_status status = rows && marked ? MR_OK : mr_error_nomem(saving->err);
    for (int64_t i = 0; status == MR_OK && i < run->rows; i++) {
        if (run->times[i] <= side->limit)
            continue;
        if (everything || run->seqs[i] >= side->saved)
            rows[n++] = (int32_t)i;
        else if (mr_bitmap_get(run->matched, i) != mr_bitmap_get(run->saved, i))
            marked[m++] = (int32_t)i;
    }
    saving->run = run;
    for (int64_t from = 0; status == MR_OK && from < n; from += SAVED_ROWS) {
        saving->kind = number;
        saving->rows = rows + from;
        saving->count = n - from < SAVED_ROWS ? n - from : SAVED_ROWS;
        status = emit_saved(saving);
    }
    saving->kind = 2 + number;
    saving->rows = marked;
    saving->count = m;
    if (status == MR_OK)
        status = emit_saved(saving);
    if (status == MR_OK)
        memcpy(run->saved, run->matched, mr_bitmap_bytes(run->rows));
    mr_free(rows);
    mr_free(marked);
    return status;
}

static enum mr_status save_stored(struct saving *saving, const struct mr_join_side *side,
                                  int number, bool everything)
{
    struct mr_join_kept *kept = saving->kept;
    for (int i = 0; i < side->nstored; i++) {
        struct mr_join_stored *stored = &side->stored[i];
        struct mr_join_run *run;
        if (!everything && stored->last < side->saved && !mr_join_stored_changed(stored))
            continue;
        MR_TRY(mr_join_stored_load(kept, number, stored, &kept->runtime, &run, saving->err));
        enum mr_status status = save_run(saving, side, number, run, everything);
        if (status == MR_OK)
            mr_join_stored_mark(stored, run);
        mr_join_run_free(run);
        MR_TRY(status);
    }
    return MR_OK;
}

static enum mr_status kept_save(void *opaque, bool everything, struct mr_emit *emit,
                                struct mr_error *err)
{
    struct mr_join_kept *kept = opaque;
    struct saving saving = {.kept = kept, .emit = emit, .err = err};
    for (int i = 0; i < 2 * MR_JOIN_KEPT_PARTS; i++) {
        struct mr_join_side *side = &kept->parts[i / 2].sides[i % 2];
        MR_TRY(save_stored(&saving, side, i % 2, everything));
        for (int r = 0; r < side->nruns; r++)
            MR_TRY(save_run(&saving, side, i % 2, side->runs[r], everything));
        side->saved = side->next;
    }
    for (int s = 0; s < 2; s++) {
        if (kept->parts[0].sides[s].limit == INT64_MIN)
            continue;
        saving.run = NULL;
        saving.kind = 4 + s;
        saving.numbers = &kept->parts[0].sides[s].limit;
        saving.count = 1;
        MR_TRY(emit_saved(&saving));
    }
    return MR_OK;
}

/* Of both sides. */
static int64_t kept_rows(const void *opaque)
{
    const struct mr_join_kept *kept = opaque;
    int64_t rows = 0;
    for (int p = 0; p < 2 * MR_JOIN_KEPT_PARTS; p++) {
        const struct mr_join_side *side = &kept->parts[p / 2].sides[p % 2];
        for (int r = 0; r < side->nruns; r++)
            rows += side->runs[r]->rows;
        for (int i = 0; i < side->nstored; i++)
            rows += side->stored[i].rows.rows;
    }
    return rows;
}

const struct mr_keeper mr_join_keeper = {
    .open = kept_open,
    .restore = kept_restore,
    .save = kept_save,
    .rows = kept_rows,
    .close = kept_close,
};

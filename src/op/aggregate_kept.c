/*
 * aggregate_kept.c - the groups of a stream, by partition.
 *
 * settle() folds what the tasks of an epoch have put aside into the books of its partition, writes what is due into a spill of
 * the epoch, from which pull() reads as often as it is asked, and lets go of what has closed. So the kept object is used by
 * one thread a partition, and only there and in save().
 *
 * A book that outgrows its part of the share is kept as rows, divided by four more bits of the hash; then those sixteenths are
 * loaded, filled and put aside again one after the other. What is restored comes in the same form.
 *
 * Saved are the groups that have changed, and how far windows had closed: groups that are over need no row that deletes them.
 */
#include "op/aggregate_kept.h"

#include "ext/event_clock.h"

#define LEAST_LIMIT ((int64_t)4 << 10)
#define SUBS        (1 << MR_AGG_DIVIDE_BITS)

void mr_agg_part_reset(struct mr_agg_part *part)
{
    mr_agg_book_reset(&part->book);
    mr_spill_free(part->stored);
    part->stored = NULL;
}

static enum mr_status new_stored(struct mr_agg_kept *kept, struct mr_spill **out,
                                 struct mr_error *err)
{
    return mr_spill_new(&kept->runtime, kept->plan->book, SUBS, kept->limit / 2, out, err);
}

/* The part's book becomes rows. */
static enum mr_status store(struct mr_agg_kept *kept, struct mr_agg_part *part,
                            struct mr_error *err)
{
    MR_TRY(new_stored(kept, &part->stored, err));
    MR_TRY(mr_agg_book_store(&part->book, part->stored, kept->plan->bits, err));
    mr_agg_book_reset(&part->book);
    return MR_OK;
}

static enum mr_status load(struct mr_agg_kept *kept, struct mr_agg_part *part,
                           struct mr_runtime *runtime, struct mr_error *err)
{
    int64_t bytes = 0;
    for (int s = 0; s < SUBS; s++)
        bytes += mr_spill_bytes(part->stored, s);
    if (kept->plan->ntable > 0 && bytes > kept->limit / 3 * 2)
        return MR_OK;
    MR_TRY(mr_agg_book_init(&part->book, kept->plan, kept->runtime.memory, err));
    for (int s = 0; s < SUBS; s++)
        MR_TRY(mr_agg_book_load(&part->book, part->stored, runtime, s, kept->closed, err));
    mr_spill_free(part->stored);
    part->stored = NULL;
    return MR_OK;
}

/* Chunks of the epoch's rows from *chunk on, until the book is too large. */
static enum mr_status fold(const struct mr_agg_settling *settling, struct mr_agg_book *book,
                           const struct mr_spill *spill, int partition, bool stop, int *chunk,
                           struct mr_error *err)
{
    const struct mr_agg_plan *plan = settling->plan;
    struct mr_agg_kept *kept = settling->kept;
    for (int n = spill ? mr_spill_chunks(spill, partition) : 0; *chunk < n; ++*chunk) {
        struct mr_batch *batch;
        if (plan->changes && settling->emit->closed)
            return MR_OK;
        if (stop && book->plan->ntable > 0 && mr_agg_book_bytes(book) > kept->limit * 2)
            return MR_OK;
        MR_TRY(mr_spill_chunk(spill, settling->runtime, partition, *chunk, &batch, err));
        enum mr_status status =
            plan->raw ? mr_agg_book_run(book, plan, batch, kept->epoch, settling->eval,
                                        plan->changes ? settling->emit : NULL, err)
                      : mr_agg_book_merge(book, batch, kept->epoch, err);
        mr_batch_unref(batch);
        MR_TRY(status);
    }
    return MR_OK;
}

/* What is due comes out; what is over goes. */
static enum mr_status give(const struct mr_agg_settling *settling, struct mr_agg_book *book,
                           struct mr_error *err)
{
    const struct mr_agg_plan *plan = settling->plan;
    struct mr_agg_kept *kept = settling->kept;
    struct mr_agg_which which = {.reached = kept->reached, .closing = -1};
    if (plan->mode == MR_OUTPUT_UPDATE)
        which.since = kept->epoch;
    else if (plan->mode == MR_OUTPUT_APPEND)
        which.closing = 1;
    if (plan->mode == MR_OUTPUT_COMPLETE && plan->nkeys == 0 && book->count == 0) {
        MR_TRY(mr_agg_book_resize(book, 1, err)); /* without keys there is always a row */
        book->touched[0] = kept->epoch;
    }
    if (!plan->changes)
        MR_TRY(mr_agg_book_emit(book, plan, &which, settling->eval, settling->runtime,
                                settling->emit, err));
    return mr_agg_book_close(book, kept->reached, err);
}

/* A sixteenth after the other; the epoch's rows from `chunk` on are still to come. */
static enum mr_status settle_stored(const struct mr_agg_settling *settling,
                                    struct mr_agg_part *part, int chunk, struct mr_error *err)
{
    struct mr_agg_kept *kept = settling->kept;
    struct mr_spill *rows = NULL, *fresh = NULL;
    struct mr_agg_book book = {0};
    enum mr_status status;
    if (settling->spill)
        MR_TRY(mr_agg_divide_rows(settling->plan, settling->runtime, settling->spill,
                                  settling->partition, chunk, kept->plan->bits, &rows, err));
    MR_TRY_OUT(new_stored(kept, &fresh, err));
    for (int s = 0; s < SUBS; s++) {
        int first = 0;
        MR_TRY_OUT(mr_agg_book_init(&book, kept->plan, kept->runtime.memory, err));
        MR_TRY_OUT(mr_agg_book_load(&book, part->stored, settling->runtime, s, kept->closed, err));
        mr_spill_drop(part->stored, s);
        MR_TRY_OUT(fold(settling, &book, rows, s, false, &first, err));
        MR_TRY_OUT(give(settling, &book, err));
        MR_TRY_OUT(mr_agg_book_store(&book, fresh, kept->plan->bits, err));
        mr_agg_book_reset(&book);
    }
    mr_spill_free(part->stored);
    part->stored = fresh;
    fresh = NULL;
    status = MR_OK;
out:
    mr_agg_book_reset(&book);
    mr_spill_free(fresh);
    mr_spill_free(rows);
    return status;
}

enum mr_status mr_agg_settle_part(const struct mr_agg_settling *settling, struct mr_agg_part *part,
                                  struct mr_error *err)
{
    struct mr_agg_kept *kept = settling->kept;
    const struct mr_spill *spill = settling->spill;
    int chunk = 0, chunks = spill ? mr_spill_chunks(spill, settling->partition) : 0;
    if (part->stored)
        MR_TRY(load(kept, part, settling->runtime, err));
    if (!part->stored) {
        if (!part->book.plan)
            MR_TRY(mr_agg_book_init(&part->book, kept->plan, kept->runtime.memory, err));
        MR_TRY(fold(settling, &part->book, spill, settling->partition, true, &chunk, err));
        if (chunk == chunks || settling->emit->closed) {
            MR_TRY(give(settling, &part->book, err));
            bool large = mr_agg_book_bytes(&part->book) > kept->limit && kept->plan->ntable > 0;
            return large ? store(kept, part, err) : MR_OK;
        }
        MR_TRY(store(kept, part, err));
    }
    return settle_stored(settling, part, chunk, err);
}

enum mr_status mr_agg_pull_changes(const struct mr_agg_plan *plan, const struct mr_spill *spill,
                                   struct mr_runtime *runtime, int partition, struct mr_emit *emit,
                                   struct mr_error *err)
{
    struct mr_agg_kept kept = {.plan = plan,
                               .runtime = mr_kept_runtime(runtime),
                               .limit = runtime->share,
                               .epoch = 1,
                               .closed = MR_WATERMARK_NONE,
                               .reached = MR_WATERMARK_NONE};
    struct mr_agg_settling settling = {.kept = &kept,
                                       .plan = plan,
                                       .runtime = runtime,
                                       .spill = spill,
                                       .partition = partition,
                                       .emit = emit};
    struct mr_agg_part part = {0};
    if (mr_spill_chunks(spill, partition) == 0)
        return MR_OK;
    MR_TRY(mr_eval_new(runtime->memory, &plan->session, &settling.eval, err));
    enum mr_status status = mr_agg_settle_part(&settling, &part, err);
    mr_agg_part_reset(&part);
    mr_eval_free(settling.eval);
    return status;
}

/* The kept object. */

static void kept_close(void *object)
{
    struct mr_agg_kept *kept = object;
    for (int p = 0; kept->parts && p < kept->plan->pulls; p++)
        mr_agg_part_reset(&kept->parts[p]);
    mr_free(kept->parts);
    mr_free(kept);
}

static enum mr_status kept_open(void *plan, struct mr_runtime *runtime, int64_t share, void **out,
                                struct mr_error *err)
{
    const struct mr_agg_plan *bound = plan;
    struct mr_agg_kept *kept = mr_calloc(1, sizeof *kept);
    if (!kept)
        return mr_error_nomem(err);
    *kept = (struct mr_agg_kept){.plan = bound,
                                 .runtime = *runtime,
                                 .limit = share / 2 / bound->pulls,
                                 .closed = MR_WATERMARK_NONE,
                                 .saved_closed = MR_WATERMARK_NONE,
                                 .reached = MR_WATERMARK_NONE};
    kept->limit = kept->limit < LEAST_LIMIT ? LEAST_LIMIT : kept->limit;
    kept->parts = mr_calloc((size_t)bound->pulls, sizeof *kept->parts);
    if (!kept->parts) {
        mr_free(kept);
        return mr_error_nomem(err);
    }
    *out = kept;
    return MR_OK;
}

static enum mr_status restore_rows(struct mr_agg_kept *kept, const struct mr_batch *batch,
                                   const struct mr_column *closed, struct mr_error *err)
{
    const struct mr_agg_plan *plan = kept->plan;
    uint32_t *partitions = NULL, *subs = NULL;
    int32_t *rows = mr_alloc((size_t)batch->rows * sizeof *rows + 1);
    enum mr_status status = rows ? MR_OK : mr_error_nomem(err);
    if (status != MR_OK)
        goto out;
    MR_TRY_OUT(
        mr_agg_row_partitions(plan, batch, MR_AGG_BOOK_KEYS, 0, plan->bits, &partitions, err));
    MR_TRY_OUT(mr_agg_row_partitions(plan, batch, MR_AGG_BOOK_KEYS, plan->bits, MR_AGG_DIVIDE_BITS,
                                     &subs, err));
    for (int p = 0; p < plan->pulls; p++) {
        int64_t n = 0;
        for (int64_t i = 0; i < batch->rows; i++) {
            rows[n] = (int32_t)i;
            n += (int)partitions[i] == p && mr_column_is_null(closed, i);
        }
        if (n == 0)
            continue;
        if (!kept->parts[p].stored)
            MR_TRY_OUT(new_stored(kept, &kept->parts[p].stored, err));
        uint32_t *places = mr_alloc((size_t)n * sizeof *places);
        status = places ? MR_OK : mr_error_nomem(err);
        for (int64_t i = 0; i < n && places; i++)
            places[i] = subs[rows[i]];
        if (status == MR_OK)
            status = mr_spill_scatter(kept->parts[p].stored, batch, rows, places, n, err);
        mr_free(places);
        if (status != MR_OK)
            goto out;
    }
out:
    mr_free(partitions);
    mr_free(subs);
    mr_free(rows);
    return status;
}

static enum mr_status kept_restore(void *object, struct mr_batch *batch, struct mr_error *err)
{
    struct mr_agg_kept *kept = object;
    struct mr_batch *compact;
    struct mr_column *closed;
    MR_TRY(mr_batch_compact(kept->runtime.memory, batch, &compact, err));
    enum mr_status status =
        mr_column_flatten(kept->runtime.memory, compact->columns[MR_AGG_BOOK_CLOSED], &closed, err);
    if (status == MR_OK) {
        const int64_t *values = (const int64_t *)(const void *)closed->values->data;
        for (int64_t i = 0; i < compact->rows; i++)
            if (!mr_column_is_null(closed, i) && values[i] > kept->closed)
                kept->closed = values[i];
        status = restore_rows(kept, compact, closed, err);
        mr_column_unref(closed);
    }
    kept->saved_closed = kept->reached = kept->closed;
    mr_batch_unref(compact);
    return status;
}

/* What was restored can be read. */
static enum mr_status flush(struct mr_agg_kept *kept, struct mr_error *err)
{
    for (int p = 0; p < kept->plan->pulls; p++)
        if (kept->parts[p].stored)
            MR_TRY(mr_spill_flush(kept->parts[p].stored, err));
    return MR_OK;
}

enum mr_status mr_agg_kept_begin(struct mr_agg_kept *kept, int64_t reached, struct mr_error *err)
{
    kept->epoch++;
    bool all = kept->plan->mode == MR_OUTPUT_COMPLETE && !kept->plan->changes;
    kept->closed = kept->reached;
    if (reached > kept->reached && !all) /* complete: nothing is ever over */
        kept->reached = reached;
    return flush(kept, err);
}

/* Saving. */

struct saving {
    struct mr_agg_kept *kept;
    struct mr_emit *emit;
    int64_t since;
};

/* The same rows with `touched` 0: epochs are counted anew by who restores them. */
static enum mr_status save_batch(void *context, struct mr_batch *batch, struct mr_error *err)
{
    struct saving *saving = context;
    struct mr_memory *memory = saving->kept->runtime.memory;
    struct mr_value zero = {.type = mr_type_of(MR_TYPE_INT64)};
    int n = batch->schema->nfields;
    struct mr_column *touched, **columns = mr_calloc((size_t)n + 1, sizeof(*columns));
    struct mr_batch *out;
    enum mr_status status = columns ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK)
        status = mr_column_new_constant(memory, zero.type, &zero, batch->rows, &touched, err);
    if (status == MR_OK) {
        for (int c = 0; c < n; c++)
            columns[c] = c == MR_AGG_BOOK_TOUCHED ? touched : mr_column_ref(batch->columns[c]);
        status = mr_batch_new(batch->schema, batch->rows, columns, &out, err);
    }
    mr_free(columns);
    return status == MR_OK ? saving->emit->batch(saving->emit, 0, out, err) : status;
}

static enum mr_status save_stored(struct saving *saving, struct mr_spill *stored, int sub,
                                  struct mr_error *err)
{
    struct mr_agg_kept *kept = saving->kept;
    for (int c = 0; c < mr_spill_chunks(stored, sub); c++) {
        struct mr_batch *batch, *some = NULL;
        MR_TRY(mr_spill_chunk(stored, &kept->runtime, sub, c, &batch, err));
        const struct mr_column *column = batch->columns[MR_AGG_BOOK_TOUCHED];
        int32_t *rows = mr_alloc((size_t)batch->rows * sizeof *rows + 1);
        struct mr_column *flat = NULL;
        enum mr_status status = rows ? MR_OK : mr_error_nomem(err);
        if (status == MR_OK)
            status = mr_column_flatten(kept->runtime.memory, (struct mr_column *)(uintptr_t)column,
                                       &flat, err);
        if (status == MR_OK) {
            const int64_t *touched = (const int64_t *)(const void *)flat->values->data;
            int64_t n = 0;
            for (int64_t i = 0; i < batch->rows; i++) {
                rows[n] = (int32_t)i;
                n += touched[i] >= saving->since;
            }
            if (n > 0)
                status = mr_batch_take(kept->runtime.memory, batch, rows, n, &some, err);
        }
        if (status == MR_OK && some)
            status = save_batch(saving, some, err);
        mr_batch_unref(some);
        mr_column_unref(flat);
        mr_free(rows);
        mr_batch_unref(batch);
        MR_TRY(status);
    }
    return MR_OK;
}

/* A row that only says how far windows have closed. */
static enum mr_status save_closed(struct saving *saving, struct mr_error *err)
{
    const struct mr_schema *schema = saving->kept->plan->book;
    struct mr_memory *memory = saving->kept->runtime.memory;
    struct mr_column **columns = mr_calloc((size_t)schema->nfields + 1, sizeof(*columns));
    struct mr_batch *batch;
    int done = 0;
    enum mr_status status = columns ? MR_OK : mr_error_nomem(err);
    for (; done < schema->nfields && status == MR_OK; done += status == MR_OK) {
        struct mr_value value = {.type = schema->fields[done].type,
                                 .is_null = done != MR_AGG_BOOK_CLOSED};
        value.u.i64 = saving->kept->closed;
        status = mr_column_new_constant(memory, value.type, &value, 1, &columns[done], err);
    }
    if (status == MR_OK) {
        done = 0;
        status = mr_batch_new(schema, 1, columns, &batch, err);
    }
    for (int i = 0; i < done; i++)
        mr_column_unref(columns[i]);
    mr_free(columns);
    return status == MR_OK ? saving->emit->batch(saving->emit, 0, batch, err) : status;
}

static enum mr_status kept_save(void *object, bool everything, struct mr_emit *emit,
                                struct mr_error *err)
{
    struct mr_agg_kept *kept = object;
    struct saving saving = {kept, emit, everything ? 0 : kept->saved + 1};
    struct mr_agg_which which = {.since = saving.since, .closing = -1};
    MR_TRY(flush(kept, err));
    for (int p = 0; p < kept->plan->pulls; p++) {
        struct mr_agg_part *part = &kept->parts[p];
        if (part->book.plan)
            MR_TRY(mr_agg_book_export(&part->book, &which, save_batch, &saving, err));
        for (int s = 0; part->stored && s < SUBS; s++)
            MR_TRY(save_stored(&saving, part->stored, s, err));
    }
    kept->closed = kept->reached;
    if (kept->closed > kept->saved_closed || (everything && kept->closed != MR_WATERMARK_NONE))
        MR_TRY(save_closed(&saving, err));
    kept->saved_closed = kept->closed;
    kept->saved = kept->epoch;
    return MR_OK;
}

/* Groups, or sessions. */
static int64_t kept_rows(const void *opaque)
{
    const struct mr_agg_kept *kept = opaque;
    int64_t rows = 0;
    for (int p = 0; p < kept->plan->pulls; p++) {
        const struct mr_agg_part *part = &kept->parts[p];
        rows += part->book.plan ? part->book.count : 0;
        for (int s = 0; part->stored && s < SUBS; s++)
            rows += mr_spill_rows(part->stored, s);
    }
    return rows;
}

const struct mr_keeper mr_agg_keeper = {
    .open = kept_open,
    .restore = kept_restore,
    .save = kept_save,
    .rows = kept_rows,
    .close = kept_close,
};

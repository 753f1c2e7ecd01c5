/*
 * aggregate_book_spill.c - groups that stay as rows: given back, kept aside where they are too many, and divided with the
 * rows that are for them.
 *
 * Rows are read from the last to the first, and what is known already is left out: so a change that was saved later takes the
 * place of the group (or of the sessions that it has joined) without anything being deleted.
 */
#include "op/aggregate_book.h"

/* What of a batch goes into the book: rows from the last, and the entries that they become. */
struct taken {
    int32_t *rows;
    uint32_t *entries;
    int64_t count;
};

static enum mr_status take_groups(struct mr_agg_book *book, struct taken *taken,
                                  struct mr_error *err)
{
    int64_t n = 0, before = book->count;
    MR_TRY(mr_agg_book_resize(book, book->table ? mr_group_table_count(book->table) : 1, err));
    for (int64_t e = before; e < book->count; e++)
        book->touched[e] = MR_AGG_GONE;
    for (int64_t i = 0; i < taken->count; i++) {
        uint32_t group = book->groups[i];
        if (group < before || book->touched[group] != MR_AGG_GONE)
            continue;
        book->touched[group] = 0;
        taken->rows[n] = taken->rows[i];
        taken->entries[n++] = group;
    }
    taken->count = n;
    return MR_OK;
}

static void take_sessions(struct mr_agg_book *book, const int64_t *starts, const int64_t *ends,
                          struct taken *taken)
{
    int64_t n = 0;
    for (int64_t i = 0; i < taken->count; i++) {
        int32_t row = taken->rows[i];
        uint32_t owner = book->groups[i], entry;
        if (mr_agg_book_touching(book, owner, starts[row], ends[row]) >= 0)
            continue;
        entry = (uint32_t)book->count++;
        book->starts[entry] = starts[row];
        book->ends[entry] = ends[row];
        book->touched[entry] = 0;
        mr_agg_book_link(book, owner, entry);
        taken->rows[n] = row;
        taken->entries[n++] = entry;
    }
    taken->count = n;
}

static enum mr_status import_states(struct mr_agg_book *book, const struct mr_batch *batch,
                                    const struct taken *taken, struct mr_error *err)
{
    int from = MR_AGG_BOOK_KEYS + book->plan->nkeys, n = book->plan->book->nfields - from, done = 0;
    struct mr_column **columns = mr_calloc((size_t)n + 1, sizeof(*columns));
    enum mr_status status = columns ? MR_OK : mr_error_nomem(err);
    for (; done < n && status == MR_OK; done += status == MR_OK)
        status = mr_column_take(book->memory, batch->columns[from + done], taken->rows,
                                taken->count, &columns[done], err);
    if (status == MR_OK)
        status = mr_agg_states_merge(book->states, columns, taken->count, taken->entries, err);
    for (int i = 0; i < done; i++)
        mr_column_unref(columns[i]);
    mr_free(columns);
    return status;
}

static const int64_t *values_of(const struct mr_batch *batch, int column)
{
    return (const int64_t *)(const void *)batch->columns[column]->values->data;
}

static enum mr_status import_flat(struct mr_agg_book *book, const struct mr_batch *batch,
                                  int64_t closed, struct taken *taken, struct mr_error *err)
{
    const struct mr_agg_plan *plan = book->plan;
    bool window = plan->window != MR_AGG_NO_WINDOW, session = plan->window == MR_AGG_SESSION;
    int at = MR_AGG_BOOK_KEYS + plan->nplain;
    const int64_t *touched = values_of(batch, MR_AGG_BOOK_TOUCHED);
    const int64_t *starts = window ? values_of(batch, at) : NULL;
    const int64_t *ends = session ? values_of(batch, at + 1) : NULL;
    for (int64_t row = batch->rows - 1; row >= 0; row--) {
        int64_t end = ends ? ends[row] : starts ? mr_agg_end(plan, starts[row]) : 0;
        taken->rows[taken->count] = (int32_t)row;
        taken->count += !mr_agg_closes(plan, end, closed);
    }
    if (taken->count == 0)
        return MR_OK;
    MR_TRY(
        mr_agg_book_find(book, batch->columns + MR_AGG_BOOK_KEYS, taken->rows, taken->count, err));
    int64_t before = book->count;
    if (session) {
        MR_TRY(mr_agg_book_resize(book, before + taken->count, err));
        book->count = before;
        take_sessions(book, starts, ends, taken);
    } else {
        MR_TRY(take_groups(book, taken, err));
    }
    for (int64_t i = 0; i < taken->count; i++) {
        uint32_t entry = taken->entries[i];
        book->touched[entry] = touched[taken->rows[i]];
        if (window && !session) {
            book->starts[entry] = starts[taken->rows[i]];
            book->ends[entry] = mr_agg_end(plan, book->starts[entry]);
        }
    }
    return import_states(book, batch, taken, err);
}

enum mr_status mr_agg_book_import(struct mr_agg_book *book, const struct mr_batch *batch,
                                  int64_t closed, struct mr_error *err)
{
    struct taken taken = {.rows = mr_alloc((size_t)batch->rows * sizeof(int32_t) + 1),
                          .entries = mr_alloc((size_t)batch->rows * sizeof(uint32_t) + 1)};
    int n = batch->schema->nfields, done = 0;
    struct mr_column **columns = mr_calloc((size_t)n + 1, sizeof(*columns));
    struct mr_batch *flat = NULL;
    enum mr_status status = taken.rows && taken.entries && columns ? MR_OK : mr_error_nomem(err);
    for (; done < n && status == MR_OK; done += status == MR_OK)
        status = mr_column_flatten(book->memory, batch->columns[done], &columns[done], err);
    if (status == MR_OK) {
        done = 0;
        status = mr_batch_new(book->plan->book, batch->rows, columns, &flat, err);
    }
    for (int i = 0; i < done; i++)
        mr_column_unref(columns[i]);
    if (status == MR_OK)
        status = import_flat(book, flat, closed, &taken, err);
    mr_batch_unref(flat);
    mr_free(columns);
    mr_free(taken.rows);
    mr_free(taken.entries);
    return status;
}

/* The partitions, by the bits behind `skip`, of rows whose keys begin at `column`; mr_alloc'ed. */
enum mr_status mr_agg_row_partitions(const struct mr_agg_plan *plan, const struct mr_batch *batch,
                                     int column, int skip, int bits, uint32_t **out,
                                     struct mr_error *err)
{
    size_t room = (size_t)batch->rows + 1;
    uint64_t *hashes = mr_calloc(room, sizeof *hashes);
    uint32_t *partitions = mr_alloc(room * sizeof *partitions);
    *out = partitions;
    if (!hashes || !partitions) {
        mr_free(hashes);
        mr_free(partitions);
        return mr_error_nomem(err);
    }
    for (int k = 0; k < plan->ntable; k++)
        mr_column_hash(batch->columns[column + k], NULL, batch->rows, hashes);
    for (int64_t i = 0; i < batch->rows; i++)
        partitions[i] = mr_spill_partition(hashes[i] << skip, bits);
    mr_free(hashes);
    return MR_OK;
}

struct storing {
    const struct mr_agg_plan *plan;
    struct mr_spill *spill;
    int skip;
};

static enum mr_status store_batch(void *context, struct mr_batch *batch, struct mr_error *err)
{
    struct storing *storing = context;
    uint32_t *partitions;
    MR_TRY(mr_agg_row_partitions(storing->plan, batch, MR_AGG_BOOK_KEYS, storing->skip,
                                 MR_AGG_DIVIDE_BITS, &partitions, err));
    enum mr_status status =
        mr_spill_scatter(storing->spill, batch, NULL, partitions, batch->rows, err);
    mr_free(partitions);
    return status;
}

enum mr_status mr_agg_book_store(struct mr_agg_book *book, struct mr_spill *spill, int skip,
                                 struct mr_error *err)
{
    struct storing storing = {book->plan, spill, skip};
    struct mr_agg_which all = {.since = 0, .closing = -1};
    MR_TRY(mr_agg_book_export(book, &all, store_batch, &storing, err));
    return mr_spill_flush(spill, err);
}

enum mr_status mr_agg_book_load(struct mr_agg_book *book, const struct mr_spill *spill,
                                struct mr_runtime *runtime, int partition, int64_t closed,
                                struct mr_error *err)
{
    for (int c = mr_spill_chunks(spill, partition); c-- > 0;) {
        struct mr_batch *batch;
        MR_TRY(mr_spill_chunk(spill, runtime, partition, c, &batch, err));
        enum mr_status status = mr_agg_book_import(book, batch, closed, err);
        mr_batch_unref(batch);
        MR_TRY(status);
    }
    return MR_OK;
}

enum mr_status mr_agg_divide_rows(const struct mr_agg_plan *plan, struct mr_runtime *runtime,
                                  const struct mr_spill *spill, int partition, int chunk, int skip,
                                  struct mr_spill **out, struct mr_error *err)
{
    struct mr_spill *parts;
    MR_TRY(mr_spill_new(runtime, plan->kept, 1 << MR_AGG_DIVIDE_BITS, runtime->share / 2, &parts,
                        err));
    enum mr_status status = MR_OK;
    for (; chunk < mr_spill_chunks(spill, partition) && status == MR_OK; chunk++) {
        struct mr_batch *batch;
        uint32_t *partitions = NULL;
        status = mr_spill_chunk(spill, runtime, partition, chunk, &batch, err);
        if (status != MR_OK)
            break;
        status = mr_agg_row_partitions(plan, batch, 0, skip, MR_AGG_DIVIDE_BITS, &partitions, err);
        if (status == MR_OK)
            status = mr_spill_scatter(parts, batch, NULL, partitions, batch->rows, err);
        mr_free(partitions);
        mr_batch_unref(batch);
    }
    if (status == MR_OK)
        status = mr_spill_flush(parts, err);
    if (status != MR_OK) {
        mr_spill_free(parts);
        return status;
    }
    *out = parts;
    return MR_OK;
}

/*
 * aggregate_book_rows.c - rows into groups that stay: sessions that grow and join, and running results.
 *
 * Rows are taken in their order, which is that of arrival. Most of a batch is one update; it is cut where a row makes two
 * sessions one. A row is a session of its own that becomes one with what it touches. The sessions of one group of keys are
 * searched one after the other: those that are open at a time are few, or the delay of the watermark is far beyond the gap.
 */
#include "op/aggregate_book.h"

void mr_agg_book_link(struct mr_agg_book *book, uint32_t owner, uint32_t entry)
{
    book->owners[entry] = owner;
    book->next[entry] = book->first[owner];
    book->first[owner] = (int32_t)entry;
}

int64_t mr_agg_book_touching(const struct mr_agg_book *book, uint32_t owner, int64_t start,
                             int64_t end)
{
    int64_t found = -1;
    for (int32_t e = book->first[owner]; e >= 0; e = book->next[e])
        if (book->touched[e] != MR_AGG_GONE && book->starts[e] <= end && book->ends[e] >= start &&
            (found < 0 || book->starts[e] < book->starts[found]))
            found = e;
    return found;
}

static enum mr_status push_join(struct mr_agg_joins *joins, uint32_t from, uint32_t into,
                                struct mr_error *err)
{
    if (joins->count == joins->capacity) {
        int64_t capacity = joins->capacity * 2 + 16;
        struct mr_agg_joined *grown =
            mr_realloc(joins->items, (size_t)capacity * sizeof *joins->items);
        if (!grown)
            return mr_error_nomem(err);
        joins->items = grown;
        joins->capacity = capacity;
    }
    joins->items[joins->count++] = (struct mr_agg_joined){from, into};
    return MR_OK;
}

enum mr_status mr_agg_book_join(struct mr_agg_book *book, uint32_t owner, int64_t start,
                                int64_t end, int64_t epoch, uint32_t *entry,
                                struct mr_agg_joins *joins, struct mr_error *err)
{
    /* Those that are there do not touch each other, so one that touches any of them touches [start, end]. The earliest stays. */
    int64_t found = mr_agg_book_touching(book, owner, start, end);
    for (int32_t *link = &book->first[owner]; found >= 0 && *link >= 0;) {
        int32_t e = *link;
        bool gone = book->touched[e] == MR_AGG_GONE;
        if (!gone && e != found && book->starts[e] <= end && book->ends[e] >= start) {
            book->ends[found] =
                book->ends[found] > book->ends[e] ? book->ends[found] : book->ends[e];
            book->touched[e] = MR_AGG_GONE;
            gone = true;
            MR_TRY(push_join(joins, (uint32_t)e, (uint32_t)found, err));
        }
        if (gone)
            *link = book->next[e];
        else
            link = &book->next[e];
    }
    if (found < 0) {
        found = book->count;
        MR_TRY(mr_agg_book_resize(book, found + 1, err));
        book->starts[found] = start;
        book->ends[found] = end;
        mr_agg_book_link(book, owner, (uint32_t)found);
    }
    book->starts[found] = book->starts[found] < start ? book->starts[found] : start;
    book->ends[found] = book->ends[found] > end ? book->ends[found] : end;
    book->touched[found] = epoch;
    *entry = (uint32_t)found;
    return MR_OK;
}

/* States of all groups of `from` into `groups`. */
static enum mr_status merge_states(struct mr_agg_book *book, struct mr_agg_states *from,
                                   const uint32_t *groups, int64_t count, struct mr_error *err)
{
    int n = mr_aggregation_states(book->plan->aggregation)->nfields;
    struct mr_column **columns = mr_calloc((size_t)n + 1, sizeof(*columns));
    if (!columns)
        return mr_error_nomem(err);
    enum mr_status status = mr_agg_states_export(from, 0, count, columns, err);
    if (status == MR_OK) {
        status = mr_agg_states_merge(book->states, columns, count, groups, err);
        for (int i = 0; i < n; i++)
            mr_column_unref(columns[i]);
    }
    mr_free(columns);
    return status;
}

enum mr_status mr_agg_book_joined(struct mr_agg_book *book, struct mr_agg_joins *joins,
                                  struct mr_error *err)
{
    enum mr_status status = MR_OK;
    for (int64_t j = 0; j < joins->count && status == MR_OK; j++) {
        struct mr_agg_states *states = NULL;
        status = mr_agg_states_gather(book->states, &joins->items[j].from, 1, &states, err);
        if (status == MR_OK)
            status = merge_states(book, states, &joins->items[j].into, 1, err);
        mr_agg_states_free(states);
    }
    joins->count = 0;
    return status;
}

/* Running results. */

struct run {
    struct mr_agg_book *book;
    const struct mr_agg_plan *plan; /* of the results */
    struct mr_eval *eval;
    struct mr_emit *emit;   /* NULL: nothing comes out */
    int64_t *starts, *ends; /* of sessions, after each row */
    const uint32_t *entries;
};

/* Rows whose places are `from` and on: keys, results after each. */
static enum mr_status emit_run(struct run *run, struct mr_batch *rows, int64_t from,
                               struct mr_error *err)
{
    struct mr_agg_book *book = run->book;
    const struct mr_agg_plan *plan = book->plan;
    bool session = plan->window == MR_AGG_SESSION;
    const struct mr_schema *schema = mr_aggregation_results(run->plan->aggregation);
    struct mr_column **columns = mr_calloc((size_t)schema->nfields + 1, sizeof(*columns));
    struct mr_batch *results = NULL;
    int64_t count = rows->rows;
    int done = 0;
    enum mr_status status = columns ? MR_OK : mr_error_nomem(err);
    if (status != MR_OK)
        goto out;
    for (; done < plan->ntable; done++)
        columns[done] = mr_column_ref(rows->columns[done]);
    if (session) {
        const struct mr_type *type = mr_expr_type(plan->time);
        MR_TRY_OUT(
            mr_agg_times(type, book->memory, run->starts + from, NULL, count, &columns[done], err));
        done++;
        MR_TRY_OUT(
            mr_agg_times(type, book->memory, run->ends + from, NULL, count, &columns[done], err));
        done++;
    }
    MR_TRY_OUT(mr_agg_states_run(book->states, rows->columns + plan->ntable + session, NULL, count,
                                 run->entries + from, columns + plan->nkeys, err));
    done = 0;
    MR_TRY_OUT(mr_batch_new(schema, count, columns, &results, err));
    status = mr_agg_emit_results(run->plan, results, run->eval, book->memory, run->emit, err);
out:
    for (int i = 0; i < done; i++)
        mr_column_unref(columns[i]);
    mr_batch_unref(results);
    mr_free(columns);
    return status;
}

/* Rows [from, from + count) of a batch. */
static enum mr_status run_rows(struct run *run, struct mr_batch *all, int64_t from, int64_t count,
                               struct mr_error *err)
{
    struct mr_agg_book *book = run->book;
    int inputs = book->plan->ntable + (book->plan->window == MR_AGG_SESSION);
    struct mr_batch *rows;
    enum mr_status status;
    if (count == 0)
        return MR_OK;
    if (count == all->rows)
        rows = mr_batch_ref(all);
    else
        MR_TRY(mr_batch_slice(book->memory, all, from, count, &rows, err));
    if (run->emit)
        status = emit_run(run, rows, from, err);
    else
        status = mr_agg_states_update(book->states, rows->columns + inputs, NULL, count,
                                      run->entries + from, err);
    mr_batch_unref(rows);
    return status;
}

static enum mr_status run_sessions(struct run *run, struct mr_batch *rows, int64_t epoch,
                                   struct mr_error *err)
{
    struct mr_agg_book *book = run->book;
    const struct mr_agg_plan *plan = book->plan;
    size_t room = (size_t)rows->rows + 1;
    struct mr_agg_joins joins = {0};
    struct mr_column *times = NULL;
    uint32_t *entries = mr_alloc(room * sizeof *entries);
    int64_t done = 0;
    run->starts = mr_alloc(room * sizeof *run->starts);
    run->ends = mr_alloc(room * sizeof *run->ends);
    run->entries = entries;
    enum mr_status status = entries && run->starts && run->ends ? MR_OK : mr_error_nomem(err);
    if (status != MR_OK)
        goto out;
    MR_TRY_OUT(mr_column_flatten(book->memory, rows->columns[plan->nplain], &times, err));
    const int64_t *values = (const int64_t *)(const void *)times->values->data;
    for (int64_t i = 0; i < rows->rows; i++) {
        int64_t end = mr_agg_end(plan, values[i]);
        MR_TRY_OUT(mr_agg_book_join(book, book->groups[i], values[i], end, epoch, &entries[i],
                                    &joins, err));
        if (joins.count > 0) {
            MR_TRY_OUT(run_rows(run, rows, done, i - done, err));
            MR_TRY_OUT(mr_agg_book_joined(book, &joins, err));
            done = i;
        }
        run->starts[i] = book->starts[entries[i]];
        run->ends[i] = book->ends[entries[i]];
    }
    status = run_rows(run, rows, done, rows->rows - done, err);
out:
    mr_column_unref(times);
    mr_free(entries);
    mr_free(run->starts);
    mr_free(run->ends);
    mr_free(joins.items);
    return status;
}

enum mr_status mr_agg_book_run(struct mr_agg_book *book, const struct mr_agg_plan *plan,
                               struct mr_batch *rows, int64_t epoch, struct mr_eval *eval,
                               struct mr_emit *emit, struct mr_error *err)
{
    struct run run = {.book = book, .plan = plan, .eval = eval, .emit = emit};
    MR_TRY(mr_agg_book_find(book, rows->columns, NULL, rows->rows, err));
    if (book->plan->window == MR_AGG_SESSION)
        return run_sessions(&run, rows, epoch, err);
    MR_TRY(mr_agg_book_starts(book, rows->columns, NULL, rows->rows, epoch, err));
    for (int64_t i = 0; i < rows->rows; i++)
        book->touched[book->groups[i]] = epoch;
    run.entries = book->groups;
    return run_rows(&run, rows, 0, rows->rows, err);
}

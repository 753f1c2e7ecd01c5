/*
 * aggregate_book.c - groups that stay: growing, taking in what tasks have filled, giving out.
 *
 * An entry is a group of the table; for sessions, of which one group of keys has several, entries are numbered by themselves
 * and chained by keys. States never move: a session that has joined another is left behind as gone, as a window is that
 * has closed, and when most entries are gone the book is written anew (`mr_agg_states_gather`). What leaves a book are gathered copies
 * too, so cost follows the number of entries that are wanted, not of those that are there.
 */
#include "op/aggregate_book.h"

#define GIVE_ROWS 8192 /* entries given out at once */

enum mr_status mr_agg_book_init(struct mr_agg_book *book, const struct mr_agg_plan *plan,
                                struct mr_memory *memory, struct mr_error *err)
{
    *book = (struct mr_agg_book){.plan = plan, .memory = memory};
    MR_TRY(mr_agg_states_new(plan->aggregation, memory, &book->states, err));
    mr_agg_states_last(book->states);
    if (plan->ntable == 0)
        return MR_OK;
    enum mr_status status =
        mr_group_table_new(memory, plan->key_types, plan->ntable, &book->table, err);
    if (status != MR_OK)
        mr_agg_book_reset(book);
    return status;
}

static int64_t entry_bytes(const struct mr_agg_book *book)
{
    int64_t bytes = 8;
    if (book->plan->window != MR_AGG_NO_WINDOW)
        bytes += 16;
    if (book->plan->window == MR_AGG_SESSION)
        bytes += 12; /* and `first`, of which there are no more than sessions */
    return bytes;
}

void mr_agg_book_reset(struct mr_agg_book *book)
{
    if (!book->plan)
        return;
    mr_memory_credit(book->memory, book->capacity * entry_bytes(book));
    mr_group_table_free(book->table);
    mr_agg_states_free(book->states);
    mr_free(book->touched);
    mr_free(book->starts);
    mr_free(book->ends);
    mr_free(book->owners);
    mr_free(book->next);
    mr_free(book->first);
    mr_free(book->groups);
    *book = (struct mr_agg_book){0};
}

int64_t mr_agg_book_bytes(const struct mr_agg_book *book)
{
    if (!book->plan)
        return 0;
    int64_t bytes = mr_agg_states_bytes(book->states) + book->capacity * entry_bytes(book);
    return book->table ? bytes + mr_group_table_bytes(book->table) : bytes;
}

static bool grow(void *array, size_t width, int64_t capacity)
{
    void *old, *grown;
    memcpy(&old, array, sizeof old);
    grown = mr_realloc(old, (size_t)capacity * width);
    if (grown)
        memcpy(array, &grown, sizeof grown);
    return grown != NULL;
}

enum mr_status mr_agg_book_resize(struct mr_agg_book *book, int64_t count, struct mr_error *err)
{
    if (count > book->capacity) {
        int64_t capacity = book->capacity + book->capacity / 2;
        capacity = capacity < count ? count : capacity;
        capacity = capacity < 16 ? 16 : capacity;
        int64_t bytes = (capacity - book->capacity) * entry_bytes(book);
        bool window = book->plan->window != MR_AGG_NO_WINDOW;
        bool session = book->plan->window == MR_AGG_SESSION;
        MR_TRY(mr_memory_charge(book->memory, bytes, err));
        if (!grow(&book->touched, sizeof *book->touched, capacity) ||
            (window && (!grow(&book->starts, sizeof *book->starts, capacity) ||
                        !grow(&book->ends, sizeof *book->ends, capacity))) ||
            (session && (!grow(&book->owners, sizeof *book->owners, capacity) ||
                         !grow(&book->next, sizeof *book->next, capacity)))) {
            mr_memory_credit(book->memory, bytes);
            return mr_error_nomem(err);
        }
        book->capacity = capacity;
    }
    book->count = count;
    return mr_agg_states_resize(book->states, count, err);
}

enum mr_status mr_agg_book_find(struct mr_agg_book *book, struct mr_column *const *keys,
                                const int32_t *rows, int64_t count, struct mr_error *err)
{
    if (count > book->room) {
        if (!grow(&book->groups, sizeof *book->groups, count))
            return mr_error_nomem(err);
        book->room = count;
    }
    if (book->table)
        MR_TRY(mr_group_table_put(book->table, keys, rows, count, NULL, book->groups, err));
    else
        memset(book->groups, 0, (size_t)count * sizeof *book->groups);
    if (book->plan->window != MR_AGG_SESSION)
        return MR_OK;
    int64_t groups = book->table ? mr_group_table_count(book->table) : 1;
    if (groups > book->nfirst) {
        int64_t capacity = groups + groups / 2 + 16;
        if (!grow(&book->first, sizeof *book->first, capacity))
            return mr_error_nomem(err);
        for (int64_t g = book->nfirst; g < capacity; g++)
            book->first[g] = -1;
        book->nfirst = capacity;
    }
    return MR_OK;
}

enum mr_status mr_agg_book_starts(struct mr_agg_book *book, struct mr_column *const *keys,
                                  const int32_t *rows, int64_t count, int64_t epoch,
                                  struct mr_error *err)
{
    const struct mr_agg_plan *plan = book->plan;
    int64_t before = book->count;
    MR_TRY(mr_agg_book_resize(book, book->table ? mr_group_table_count(book->table) : 1, err));
    for (int64_t e = before; e < book->count; e++)
        book->touched[e] = epoch;
    if (plan->window == MR_AGG_NO_WINDOW || before == book->count)
        return MR_OK;
    struct mr_column *flat;
    MR_TRY(mr_column_flatten(book->memory, keys[plan->nplain], &flat, err));
    const int64_t *values = (const int64_t *)(const void *)flat->values->data;
    for (int64_t i = 0; i < count; i++) {
        uint32_t entry = book->groups[i];
        if (entry < before)
            continue;
        book->starts[entry] = values[rows ? rows[i] : i];
        book->ends[entry] = mr_agg_end(plan, book->starts[entry]);
    }
    mr_column_unref(flat);
    return MR_OK;
}

enum mr_status mr_agg_book_merge(struct mr_agg_book *book, const struct mr_batch *batch,
                                 int64_t epoch, struct mr_error *err)
{
    MR_TRY(mr_agg_book_find(book, batch->columns, NULL, batch->rows, err));
    MR_TRY(mr_agg_book_starts(book, batch->columns, NULL, batch->rows, epoch, err));
    for (int64_t i = 0; i < batch->rows; i++)
        book->touched[book->groups[i]] = epoch;
    return mr_agg_states_merge(book->states, batch->columns + book->plan->nkeys, batch->rows,
                               book->groups, err);
}

/* Giving out. */

static bool wanted(const struct mr_agg_book *book, const struct mr_agg_which *which, int64_t e)
{
    if (book->touched[e] == MR_AGG_GONE || book->touched[e] < which->since)
        return false;
    return which->closing < 0 || !book->ends ||
           mr_agg_closes(book->plan, book->ends[e], which->reached) == (which->closing > 0);
}

static void unref_all(struct mr_column **columns, int count)
{
    for (int i = 0; i < count; i++)
        mr_column_unref(columns[i]);
    memset(columns, 0, (size_t)count * sizeof(*columns));
}

/* The plan's key columns of entries; `owners`: scratch. */
static enum mr_status keys_of(const struct mr_agg_book *book, const uint32_t *entries,
                              uint32_t *owners, int64_t count, struct mr_column **out,
                              struct mr_error *err)
{
    const struct mr_agg_plan *plan = book->plan;
    bool session = plan->window == MR_AGG_SESSION;
    enum mr_status status = MR_OK;
    for (int64_t i = 0; i < count; i++)
        owners[i] = session ? book->owners[entries[i]] : entries[i];
    if (book->table)
        status = mr_group_table_keys(book->table, book->memory, owners, 0, count, out, err);
    if (status != MR_OK || !session)
        return status;
    const struct mr_type *type = mr_expr_type(plan->time);
    int n = plan->ntable;
    status = mr_agg_times(type, book->memory, book->starts, entries, count, &out[n], err);
    if (status != MR_OK) {
        unref_all(out, n);
        return status;
    }
    status = mr_agg_times(type, book->memory, book->ends, entries, count, &out[n + 1], err);
    if (status != MR_OK)
        unref_all(out, n + 1);
    return status;
}

/* Entries that are wanted, by thousands. */
struct given {
    uint32_t *entries, *owners;
    struct mr_column **columns;
    int64_t count;
    int64_t next;
};

static enum mr_status given_init(struct given *given, const struct mr_agg_book *book, int ncolumns,
                                 struct mr_error *err)
{
    int64_t room = book->count < GIVE_ROWS ? book->count : GIVE_ROWS;
    *given = (struct given){.entries = mr_alloc((size_t)room * sizeof *given->entries + 1),
                            .owners = mr_alloc((size_t)room * sizeof *given->owners + 1),
                            .columns = mr_calloc((size_t)ncolumns + 1, sizeof(*given->columns))};
    return given->entries && given->owners && given->columns ? MR_OK : mr_error_nomem(err);
}

static void given_reset(struct given *given)
{
    mr_free(given->entries);
    mr_free(given->owners);
    mr_free(given->columns);
}

static bool given_next(struct given *given, const struct mr_agg_book *book,
                       const struct mr_agg_which *which)
{
    given->count = 0;
    for (; given->next < book->count && given->count < GIVE_ROWS; given->next++)
        if (wanted(book, which, given->next))
            given->entries[given->count++] = (uint32_t)given->next;
    return given->count > 0;
}

enum mr_status mr_agg_book_emit(struct mr_agg_book *book, const struct mr_agg_plan *plan,
                                const struct mr_agg_which *which, struct mr_eval *eval,
                                struct mr_runtime *runtime, struct mr_emit *emit,
                                struct mr_error *err)
{
    struct given given;
    enum mr_status status = given_init(&given, book, plan->nkeys, err);
    while (status == MR_OK && given_next(&given, book, which)) {
        struct mr_agg_states *states = NULL;
        status = mr_agg_states_gather(book->states, given.entries, given.count, &states, err);
        if (status == MR_OK)
            status = keys_of(book, given.entries, given.owners, given.count, given.columns, err);
        if (status == MR_OK)
            status = mr_agg_emit_rows(plan, states, given.columns, 0, given.count, eval,
                                      runtime->memory, emit, err);
        mr_agg_states_free(states);
    }
    given_reset(&given);
    return status;
}

static enum mr_status export_some(struct mr_agg_book *book, struct given *given,
                                  struct mr_batch **out, struct mr_error *err)
{
    struct mr_column **columns = given->columns;
    struct mr_agg_states *states = NULL;
    struct mr_value none = {.type = mr_type_of(MR_TYPE_INT64), .is_null = true};
    int nkeys = book->plan->nkeys, done = 0;
    enum mr_status status;
    memset(columns, 0, (size_t)book->plan->book->nfields * sizeof(*columns));
    MR_TRY_OUT(mr_agg_states_gather(book->states, given->entries, given->count, &states, err));
    MR_TRY_OUT(
        mr_column_new_constant(book->memory, none.type, &none, given->count, &columns[0], err));
    done = 1;
    MR_TRY_OUT(mr_agg_times(none.type, book->memory, book->touched, given->entries, given->count,
                            &columns[1], err));
    done = MR_AGG_BOOK_KEYS;
    MR_TRY_OUT(keys_of(book, given->entries, given->owners, given->count, columns + done, err));
    done += nkeys;
    MR_TRY_OUT(mr_agg_states_export(states, 0, given->count, columns + done, err));
    done = 0;
    status = mr_batch_new(book->plan->book, given->count, columns, out, err);
out:
    unref_all(columns, status == MR_OK ? 0 : done);
    mr_agg_states_free(states);
    return status;
}

enum mr_status mr_agg_book_export(struct mr_agg_book *book, const struct mr_agg_which *which,
                                  enum mr_status (*take)(void *context, struct mr_batch *batch,
                                                         struct mr_error *err),
                                  void *context, struct mr_error *err)
{
    struct given given;
    enum mr_status status = given_init(&given, book, book->plan->book->nfields, err);
    while (status == MR_OK && given_next(&given, book, which)) {
        struct mr_batch *batch;
        status = export_some(book, &given, &batch, err);
        if (status != MR_OK)
            break;
        status = take(context, batch, err);
        mr_batch_unref(batch);
    }
    given_reset(&given);
    return status;
}

/* Everything that is not over, in a book of its own, which takes the place of this one. */
static enum mr_status rewrite(struct mr_agg_book *book, const uint32_t *entries, int64_t count,
                              struct mr_error *err)
{
    const struct mr_agg_plan *plan = book->plan;
    bool session = plan->window == MR_AGG_SESSION;
    struct mr_agg_book fresh;
    uint32_t *owners = mr_alloc((size_t)count * sizeof *owners + 1);
    struct mr_column **keys = mr_calloc((size_t)plan->nkeys + 1, sizeof(*keys));
    enum mr_status status = owners && keys ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK)
        status = mr_agg_book_init(&fresh, plan, book->memory, err);
    if (status != MR_OK)
        goto free;
    if (count > 0) {
        MR_TRY_OUT(keys_of(book, entries, owners, count, keys, err));
        MR_TRY_OUT(mr_agg_book_find(&fresh, keys, NULL, count, err));
        mr_agg_states_free(fresh.states);
        fresh.states = NULL;
        MR_TRY_OUT(mr_agg_states_gather(book->states, entries, count, &fresh.states, err));
        MR_TRY_OUT(mr_agg_book_resize(&fresh, count, err));
    }
    for (int64_t i = 0; i < count; i++) {
        uint32_t from = entries[i];
        fresh.touched[i] = book->touched[from];
        if (plan->window != MR_AGG_NO_WINDOW) {
            fresh.starts[i] = book->starts[from];
            fresh.ends[i] = book->ends[from];
        }
        if (session)
            mr_agg_book_link(&fresh, fresh.groups[i], (uint32_t)i);
    }
out:
    unref_all(keys, plan->nkeys);
    if (status == MR_OK) {
        mr_agg_book_reset(book);
        *book = fresh;
    } else {
        mr_agg_book_reset(&fresh);
    }
free:
    mr_free(owners);
    mr_free(keys);
    return status;
}

enum mr_status mr_agg_book_close(struct mr_agg_book *book, int64_t reached, struct mr_error *err)
{
    int64_t gone = 0, left = 0;
    if (!book->plan || book->plan->window == MR_AGG_NO_WINDOW)
        return MR_OK;
    for (int64_t e = 0; e < book->count; e++) {
        if (mr_agg_closes(book->plan, book->ends[e], reached))
            book->touched[e] = MR_AGG_GONE;
        gone += book->touched[e] == MR_AGG_GONE;
    }
    if (gone <= book->count / 2)
        return MR_OK;
    uint32_t *entries = mr_alloc((size_t)(book->count - gone) * sizeof *entries + 1);
    if (!entries)
        return mr_error_nomem(err);
    for (int64_t e = 0; e < book->count; e++)
        if (book->touched[e] != MR_AGG_GONE)
            entries[left++] = (uint32_t)e;
    enum mr_status status = rewrite(book, entries, left, err);
    mr_free(entries);
    return status;
}

/*
 * aggregate_distinct.c - f(DISTINCT x, ..): the different tuples of arguments of every group.
 *
 * One group table holds (group, arguments) for all groups; its entries are in the order of first appearance. Results
 * are those of the plain function over the entries, computed when they are first asked for. Exported, a group is a list
 * of structs. Where a step has one DISTINCT over many groups, op/ plans two aggregations instead, which spill by value.
 */
#include "col/group_table.h"
#include "sql/aggregate_call.h"

struct mr_agg_distinct {
    struct mr_group_table *table;
    const struct mr_type *types[MR_AGG_MAX_ARGS + 1];
    /* Made when something is asked for, dropped by the next row. */
    bool ready;
    struct mr_column *entries[MR_AGG_MAX_ARGS + 1];
    struct mr_agg_sorted sorted;
    bool finished;
    struct mr_agg_state inner;
    /* Running results: the plain function over all entries, kept up to date. */
    bool live;
    struct mr_agg_state running;
};

enum mr_status mr_agg_distinct_describe(struct mr_agg_call *call, struct mr_arena *arena,
                                        struct mr_error *err)
{
    static const char *const names[MR_AGG_MAX_ARGS] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    struct mr_field fields[MR_AGG_MAX_ARGS];
    for (int a = 0; a < call->nargs; a++)
        fields[a] =
            (struct mr_field){.name = names[a], .type = call->arg_types[a], .nullable = true};
    const struct mr_type *tuple = mr_type_struct(arena, fields, call->nargs);
    call->nstates = 1;
    call->states[0] = tuple ? mr_type_list(arena, tuple, false) : NULL;
    return call->states[0] ? MR_OK : mr_error_nomem(err);
}

enum mr_status mr_agg_distinct_new(struct mr_agg_state *state, struct mr_error *err)
{
    const struct mr_agg_call *call = state->call;
    struct mr_agg_distinct *distinct = mr_calloc(1, sizeof *distinct);
    if (!distinct)
        return mr_error_nomem(err);
    distinct->types[0] = mr_type_of(MR_TYPE_INT32);
    for (int a = 0; a < call->nargs; a++)
        distinct->types[a + 1] = call->arg_types[a];
    enum mr_status status =
        mr_group_table_new(state->memory, distinct->types, call->nargs + 1, &distinct->table, err);
    if (status != MR_OK) {
        mr_free(distinct);
        return status;
    }
    state->distinct = distinct;
    return MR_OK;
}

static void forget(struct mr_agg_state *state)
{
    struct mr_agg_distinct *distinct = state->distinct;
    if (!distinct->ready)
        return;
    for (int k = 0; k <= state->call->nargs; k++) {
        mr_column_unref(distinct->entries[k]);
        distinct->entries[k] = NULL;
    }
    mr_agg_sorted_reset(state, &distinct->sorted);
    if (distinct->finished)
        mr_agg_state_reset(&distinct->inner);
    distinct->finished = false;
    distinct->ready = false;
}

static void stop_running(struct mr_agg_distinct *distinct)
{
    if (distinct->live)
        mr_agg_state_reset(&distinct->running);
    distinct->live = false;
}

void mr_agg_distinct_free(struct mr_agg_state *state)
{
    forget(state);
    stop_running(state->distinct);
    mr_group_table_free(state->distinct->table);
    mr_free(state->distinct);
    state->distinct = NULL;
}

/* groups[i] goes with row i of the columns, whose entry is entries[i]. */
static enum mr_status put_numbers(struct mr_agg_state *state, struct mr_column *const *args,
                                  int64_t count, const uint32_t *groups, uint32_t *entries,
                                  struct mr_error *err)
{
    struct mr_column *keys[MR_AGG_MAX_ARGS + 1] = {NULL};
    struct mr_buffer *numbers = NULL;
    enum mr_status status;
    MR_TRY_OUT(mr_buffer_wrap(groups, (size_t)count * sizeof *groups, NULL, NULL, &numbers, err));
    MR_TRY_OUT(
        mr_column_new(mr_type_of(MR_TYPE_INT32), count, 0, NULL, numbers, NULL, &keys[0], err));
    for (int a = 0; a < state->call->nargs; a++)
        keys[a + 1] = args[a];
    forget(state);
    status = mr_group_table_put(state->distinct->table, keys, NULL, count, NULL, entries, err);
    state->extra = mr_group_table_bytes(state->distinct->table);
out:
    mr_column_unref(keys[0]);
    return status;
}

static enum mr_status put(struct mr_agg_state *state, struct mr_column *const *args, int64_t count,
                          const uint32_t *groups, struct mr_error *err)
{
    uint32_t *ignored = mr_alloc((size_t)count * sizeof *ignored + 1);
    if (!ignored)
        return mr_error_nomem(err);
    stop_running(state->distinct);
    enum mr_status status = put_numbers(state, args, count, groups, ignored, err);
    mr_free(ignored);
    return status;
}

enum mr_status mr_agg_distinct_update(struct mr_agg_state *state, const struct mr_agg_input *in,
                                      struct mr_error *err)
{
    int nargs = state->call->nargs;
    if (!in->rows)
        return put(state, in->args, in->count, in->groups, err);
    struct mr_column *taken[MR_AGG_MAX_ARGS] = {NULL};
    enum mr_status status = MR_OK;
    for (int a = 0; a < nargs && status == MR_OK; a++)
        status = mr_column_take(state->memory, in->args[a], in->rows, in->count, &taken[a], err);
    if (status == MR_OK)
        status = put(state, taken, in->count, in->groups, err);
    for (int a = 0; a < nargs; a++)
        mr_column_unref(taken[a]);
    return status;
}

enum mr_status mr_agg_distinct_merge(struct mr_agg_state *state, struct mr_column *lists,
                                     int64_t count, const uint32_t *groups, struct mr_error *err)
{
    (void)count;
    uint32_t *own;
    int64_t n;
    MR_TRY(mr_agg_list_groups(lists, groups, &own, &n, err));
    int64_t from = mr_column_offsets(lists)[0];
    struct mr_column *tuples = NULL, *flat = NULL;
    enum mr_status status =
        mr_column_range(state->memory, lists->children[0], from, n, &tuples, err);
    if (status == MR_OK)
        status = mr_column_flatten(state->memory, tuples, &flat, err);
    if (status == MR_OK && n > 0)
        status = put(state, flat->children, n, own, err);
    mr_column_unref(tuples);
    mr_column_unref(flat);
    mr_free(own);
    return status;
}

static const uint32_t *entry_groups(const struct mr_agg_distinct *distinct)
{
    return (const uint32_t *)(const void *)distinct->entries[0]->values->data;
}

static enum mr_status prepare(struct mr_agg_state *state, struct mr_error *err)
{
    struct mr_agg_distinct *distinct = state->distinct;
    if (distinct->ready && distinct->sorted.ngroups >= state->ngroups)
        return MR_OK;
    forget(state);
    int64_t n = mr_group_table_count(distinct->table);
    MR_TRY(mr_group_table_keys(distinct->table, state->memory, NULL, 0, n, distinct->entries, err));
    enum mr_status status = mr_agg_sort(state, entry_groups(distinct), n, &distinct->sorted, err);
    if (status == MR_OK) {
        distinct->ready = true;
        return MR_OK;
    }
    for (int k = 0; k <= state->call->nargs; k++) {
        mr_column_unref(distinct->entries[k]);
        distinct->entries[k] = NULL;
    }
    return status;
}

enum mr_status mr_agg_distinct_export(struct mr_agg_state *state, int64_t from, int64_t count,
                                      struct mr_column **out, struct mr_error *err)
{
    MR_TRY(prepare(state, err));
    struct mr_agg_distinct *distinct = state->distinct;
    const struct mr_agg_call *call = state->call;
    struct mr_column *children[MR_AGG_MAX_ARGS];
    for (int a = 0; a < call->nargs; a++)
        children[a] = mr_column_ref(distinct->entries[a + 1]);
    struct mr_column *tuples;
    MR_TRY(mr_column_new_nested(mr_type_child(call->states[0], 0), distinct->sorted.nentries, 0,
                                NULL, NULL, children, call->nargs, &tuples, err));
    enum mr_status status =
        mr_agg_lists(state, &distinct->sorted, tuples, call->states[0], from, count, &out[0], err);
    mr_column_unref(tuples);
    return status;
}

/* Runs the plain function over the entries. */
static enum mr_status run_inner(struct mr_agg_state *state, struct mr_error *err)
{
    struct mr_agg_distinct *distinct = state->distinct;
    if (distinct->finished)
        return MR_OK;
    struct mr_agg_state *inner = &distinct->inner;
    MR_TRY(mr_agg_state_init(inner, state->call, state->memory, err));
    struct mr_agg_input in = {distinct->entries + 1, NULL, distinct->sorted.nentries,
                              entry_groups(distinct)};
    enum mr_status status = mr_agg_state_resize(inner, state->ngroups, err);
    if (status == MR_OK && in.count > 0)
        status = mr_agg_state_update(inner, &in, err);
    distinct->finished = status == MR_OK;
    if (status != MR_OK)
        mr_agg_state_reset(inner);
    return status;
}

enum mr_status mr_agg_distinct_finish(struct mr_agg_state *state, const struct mr_agg_call *call,
                                      int64_t from, int64_t count, struct mr_column **out,
                                      struct mr_error *err)
{
    MR_TRY(prepare(state, err));
    MR_TRY(run_inner(state, err));
    return call->finish(&state->distinct->inner, call, from, count, out, err);
}

static enum mr_status start_running(struct mr_agg_state *state, struct mr_error *err)
{
    struct mr_agg_distinct *distinct = state->distinct;
    if (!distinct->live) {
        MR_TRY(prepare(state, err));
        MR_TRY(run_inner(state, err));
        distinct->running = distinct->inner;
        distinct->finished = false;
        distinct->live = true;
        forget(state);
    }
    return mr_agg_state_resize(&distinct->running, state->ngroups, err);
}

enum mr_status mr_agg_distinct_run(struct mr_agg_state *state, const struct mr_agg_input *in,
                                   uint8_t *takes, struct mr_agg_state **inner,
                                   struct mr_error *err)
{
    struct mr_agg_distinct *distinct = state->distinct;
    int nargs = state->call->nargs;
    struct mr_column *taken[MR_AGG_MAX_ARGS] = {NULL};
    size_t room = (size_t)in->count + 1;
    int32_t *rows = mr_alloc(room * sizeof *rows), *places = mr_alloc(room * sizeof *places);
    uint32_t *groups = mr_alloc(room * sizeof *groups), *entries = mr_alloc(room * sizeof *entries);
    uint8_t *fresh = NULL;
    enum mr_status status = rows && places && groups && entries ? MR_OK : mr_error_nomem(err);
    int64_t n = 0;
    if (status != MR_OK)
        goto out;
    MR_TRY_OUT(start_running(state, err));
    for (int64_t i = 0; i < in->count; i++) {
        rows[n] = MR_AGG_ROW(in, i);
        groups[n] = in->groups[i];
        places[n] = (int32_t)i;
        n += takes[i];
    }
    for (int a = 0; a < nargs; a++)
        MR_TRY_OUT(mr_column_take(state->memory, in->args[a], rows, n, &taken[a], err));
    int64_t known = mr_group_table_count(distinct->table);
    if (n > 0)
        MR_TRY_OUT(put_numbers(state, taken, n, groups, entries, err));
    fresh = mr_calloc((size_t)(mr_group_table_count(distinct->table) - known) + 1, 1);
    status = fresh ? MR_OK : mr_error_nomem(err);
    for (int64_t i = 0; i < n && fresh; i++) {
        bool first = entries[i] >= known && !fresh[entries[i] - known];
        takes[places[i]] = first;
        if (first)
            fresh[entries[i] - known] = 1;
    }
    *inner = &distinct->running;
out:
    for (int a = 0; a < nargs; a++)
        mr_column_unref(taken[a]);
    mr_free(rows);
    mr_free(places);
    mr_free(groups);
    mr_free(entries);
    mr_free(fresh);
    return status;
}

/*
 * aggregate_run.c - running results: what every call gives after each row.
 *
 * A state of fixed size is copied out after each row, so that the results of a batch are one `finish` over the copies: no
 * function is asked more than once a batch. Kinds that matter have a loop of their own (`run`) that updates and copies;
 * others, and batches where a FILTER or a NULL takes rows out, are updated row by row. DISTINCT lets only rows with new
 * tuples through. States of any other form (first, last, min and max of text, sketches) are finished after each row.
 * Bags are refused: each of their results costs as much as all of its values.
 */
#include "sql/aggregate_bag.h"
#include "sql/aggregate_call.h"

#include <string.h>

#define PIECE_ROWS 4096

struct mr_agg_runs {
    struct mr_memory *memory;
    const struct mr_aggregation *aggregation;
    int64_t count;
    const uint32_t *groups;
    struct mr_column **out; /* by call */
};

const char *mr_aggregation_not_running(const struct mr_aggregation *aggregation, int *length)
{
    for (int c = 0; c < aggregation->ncalls; c++) {
        const struct mr_agg_call *call = &aggregation->calls[c];
        if (call->kind->size > 0 || (!call->distinct && call->kind != &mr_agg_kind_bag))
            continue;
        *length = (int)strcspn(call->function->names, " ");
        return call->function->names;
    }
    return NULL;
}

/* Rows that change the state; NULL: all do. */
static enum mr_status choose(const struct mr_agg_call *call, const struct mr_agg_input *in,
                             const struct mr_column *filter, uint8_t **out, struct mr_error *err)
{
    bool some = filter != NULL;
    *out = NULL;
    for (int a = 0; a < call->nargs && !call->keep_nulls; a++)
        some |= in->args[a]->nulls > 0 || in->args[a]->type->id == MR_TYPE_NULL;
    if (!some)
        return MR_OK;
    uint8_t *takes = mr_alloc((size_t)in->count + 1);
    if (!takes)
        return mr_error_nomem(err);
    for (int64_t i = 0; i < in->count; i++) {
        int32_t row = MR_AGG_ROW(in, i);
        bool take = !filter || (!mr_column_is_null(filter, row) && filter->values->data[row]);
        for (int a = 0; a < call->nargs && take && !call->keep_nulls; a++)
            take = !mr_column_is_null(in->args[a], row);
        takes[i] = take;
    }
    *out = takes;
    return MR_OK;
}

static inline enum mr_status update_one(struct mr_agg_state *state, const struct mr_agg_input *in,
                                        int64_t i, struct mr_error *err)
{
    int32_t row = MR_AGG_ROW(in, i);
    struct mr_agg_input one = {in->args, &row, 1, &in->groups[i]};
    return state->kind->update(state, &one, err);
}

static enum mr_status copy_rows(struct mr_agg_state *state, const struct mr_agg_input *in,
                                const uint8_t *takes, char *copies, struct mr_error *err)
{
    size_t size = (size_t)state->kind->size;
    if (!takes && state->kind->run)
        return state->kind->run(state, in, copies, err);
    for (int64_t i = 0; i < in->count; i++, copies += size) {
        if (!takes || takes[i])
            MR_TRY(update_one(state, in, i, err));
        memcpy(copies, state->rows + in->groups[i] * size, size);
    }
    return MR_OK;
}

static enum mr_status run_fixed(struct mr_agg_runs *runs, int s, struct mr_agg_state *state,
                                const struct mr_agg_input *in, const uint8_t *takes,
                                struct mr_error *err)
{
    char *copies = mr_alloc_aligned((size_t)in->count * (size_t)state->kind->size + 1);
    if (!copies)
        return mr_error_nomem(err);
    enum mr_status status = copy_rows(state, in, takes, copies, err);
    struct mr_agg_state after = {.call = state->call,
                                 .kind = state->kind,
                                 .memory = state->memory,
                                 .ngroups = in->count,
                                 .rows = copies};
    for (int c = 0; c < runs->aggregation->ncalls && status == MR_OK; c++) {
        const struct mr_agg_call *call = &runs->aggregation->calls[c];
        if (call->state == s)
            status = call->finish(&after, call, 0, in->count, &runs->out[c], err);
    }
    mr_free(copies);
    return status;
}

/* One result of every call after each of `count` rows from `from` on: results[c * count + i]. */
static enum mr_status run_rows(struct mr_agg_runs *runs, int s, struct mr_agg_state *state,
                               const struct mr_agg_input *in, const uint8_t *takes, int64_t from,
                               int64_t count, struct mr_column **results, struct mr_error *err)
{
    for (int64_t i = 0; i < count; i++) {
        if (!takes || takes[from + i])
            MR_TRY(update_one(state, in, from + i, err));
        for (int c = 0; c < runs->aggregation->ncalls; c++) {
            const struct mr_agg_call *call = &runs->aggregation->calls[c];
            if (call->state == s)
                MR_TRY(call->finish(state, call, in->groups[from + i], 1, &results[c * count + i],
                                    err));
        }
    }
    return MR_OK;
}

/* The same as a column each, of pieces[c * npieces]. */
static enum mr_status run_piece(struct mr_agg_runs *runs, int s, struct mr_agg_state *state,
                                const struct mr_agg_input *in, const uint8_t *takes, int64_t from,
                                int64_t npieces, struct mr_column **pieces, struct mr_error *err)
{
    int ncalls = runs->aggregation->ncalls;
    int64_t n = in->count - from < PIECE_ROWS ? in->count - from : PIECE_ROWS;
    struct mr_column **results = mr_calloc((size_t)(ncalls * n) + 1, sizeof(*results));
    enum mr_status status = results ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK)
        status = run_rows(runs, s, state, in, takes, from, n, results, err);
    for (int c = 0; c < ncalls && status == MR_OK; c++)
        if (runs->aggregation->calls[c].state == s)
            status =
                mr_column_concat(runs->memory, results + c * n, (int)n, &pieces[c * npieces], err);
    for (int64_t i = 0; results && i < ncalls * n; i++)
        mr_column_unref(results[i]);
    mr_free(results);
    return status;
}

/* A column for each result is many times the result: they are put together piece by piece. */
static enum mr_status run_any(struct mr_agg_runs *runs, int s, struct mr_agg_state *state,
                              const struct mr_agg_input *in, const uint8_t *takes,
                              struct mr_error *err)
{
    int ncalls = runs->aggregation->ncalls;
    int64_t n = (in->count + PIECE_ROWS - 1) / PIECE_ROWS;
    struct mr_column **pieces = mr_calloc((size_t)(ncalls * n) + 1, sizeof(*pieces));
    enum mr_status status = pieces ? MR_OK : mr_error_nomem(err);
    for (int64_t p = 0; p < n && status == MR_OK; p++)
        status = run_piece(runs, s, state, in, takes, p * PIECE_ROWS, n, pieces + p, err);
    for (int c = 0; c < ncalls && status == MR_OK; c++)
        if (runs->aggregation->calls[c].state == s)
            status = mr_column_concat(runs->memory, pieces + c * n, (int)n, &runs->out[c], err);
    for (int64_t i = 0; pieces && i < ncalls * n; i++)
        mr_column_unref(pieces[i]);
    mr_free(pieces);
    return status;
}

/* The state is what the tuples have made so far; rows with a tuple that is known change nothing. */
static enum mr_status run_distinct(struct mr_agg_runs *runs, int s, struct mr_agg_state *state,
                                   const struct mr_agg_input *in, uint8_t **takes,
                                   struct mr_error *err)
{
    struct mr_agg_state *inner;
    if (!*takes) {
        *takes = mr_alloc((size_t)in->count + 1);
        if (!*takes)
            return mr_error_nomem(err);
        memset(*takes, 1, (size_t)in->count);
    }
    MR_TRY(mr_agg_distinct_run(state, in, *takes, &inner, err));
    return run_fixed(runs, s, inner, in, *takes, err);
}

static enum mr_status run_state(struct mr_agg_runs *runs, int s, struct mr_agg_state *state,
                                struct mr_column *const *inputs, const int32_t *rows,
                                struct mr_error *err)
{
    const struct mr_agg_call *call = state->call;
    struct mr_column *args[MR_AGG_MAX_ARGS] = {NULL}, *filter = NULL;
    struct mr_agg_input in = {args, rows, runs->count, runs->groups};
    uint8_t *takes = NULL;
    enum mr_status status = MR_OK;
    for (int a = 0; a < call->nargs && status == MR_OK; a++)
        status = mr_column_flatten(runs->memory, inputs[call->args[a]], &args[a], err);
    if (status == MR_OK && call->filter >= 0)
        status = mr_column_flatten(runs->memory, inputs[call->filter], &filter, err);
    if (status == MR_OK)
        status = choose(call, &in, filter, &takes, err);
    if (status == MR_OK && state->distinct)
        status = run_distinct(runs, s, state, &in, &takes, err);
    else if (status == MR_OK && state->kind->size > 0)
        status = run_fixed(runs, s, state, &in, takes, err);
    else if (status == MR_OK)
        status = run_any(runs, s, state, &in, takes, err);
    for (int a = 0; a < call->nargs; a++)
        mr_column_unref(args[a]);
    mr_column_unref(filter);
    mr_free(takes);
    return status;
}

enum mr_status mr_agg_states_run(struct mr_agg_states *states, struct mr_column *const *inputs,
                                 const int32_t *rows, int64_t count, const uint32_t *groups,
                                 struct mr_column **out, struct mr_error *err)
{
    struct mr_agg_runs runs = {.count = count, .groups = groups, .out = out};
    struct mr_agg_state *all = mr_agg_states_each(states, &runs.aggregation, &runs.memory);
    enum mr_status status = MR_OK;
    memset(out, 0, (size_t)runs.aggregation->ncalls * sizeof(*out));
    for (int s = 0; s < runs.aggregation->nstates && status == MR_OK; s++)
        status = run_state(&runs, s, &all[s], inputs, rows, err);
    for (int c = 0; c < runs.aggregation->ncalls && status != MR_OK; c++)
        mr_column_unref(out[c]);
    return status;
}

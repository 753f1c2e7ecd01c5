/*
 * aggregate_bag.c - collect_list, collect_set, and the keeping of every value for the aggregates that need all of them.
 *
 * Values stay columns: each update takes its rows into a segment with a group number a row, small segments are joined.
 * A list per group, the obvious alternative, costs an allocation a group and moves every value by itself.
 */
#include "sql/aggregate_bag.h"

#define SMALL 8192 /* rows; segments below are joined with their like */

struct segment {
    struct mr_column *columns[MR_AGG_MAX_ARGS];
    uint32_t *groups;
    int64_t count;
    int64_t bytes; /* of the columns, once it is in the bag */
};

struct bag {
    struct segment *segments;
    int count;
    int capacity;
    struct mr_agg_sorted sorted; /* of the one segment, when `ready` */
    bool ready;
};

static void segment_reset(struct mr_agg_state *state, struct segment *segment)
{
    for (int a = 0; a < MR_AGG_MAX_ARGS; a++)
        mr_column_unref(segment->columns[a]);
    state->extra -= segment->bytes;
    if (segment->groups)
        mr_agg_credit(state, segment->count * (int64_t)sizeof *segment->groups);
    mr_free(segment->groups);
    *segment = (struct segment){0};
}

static enum mr_status segment_init(struct mr_agg_state *state, struct segment *segment,
                                   int64_t count, struct mr_error *err)
{
    int64_t bytes = count * (int64_t)sizeof *segment->groups;
    *segment = (struct segment){.count = count};
    MR_TRY(mr_agg_charge(state, bytes, err));
    segment->groups = mr_alloc((size_t)bytes + 1);
    if (segment->groups)
        return MR_OK;
    mr_agg_credit(state, bytes);
    return mr_error_nomem(err);
}

/* Counts what the columns hold. */
static void weigh(struct mr_agg_state *state, struct segment *segment)
{
    for (int a = 0; a < state->call->nargs; a++)
        segment->bytes += mr_column_bytes(segment->columns[a]);
    state->extra += segment->bytes;
}

static void forget(struct mr_agg_state *state)
{
    struct bag *bag = state->own;
    if (bag->ready)
        mr_agg_sorted_reset(state, &bag->sorted);
    bag->ready = false;
}

/* Joins the segments from `first` on into one. */
static enum mr_status join_segments(struct mr_agg_state *state, int first, struct mr_error *err)
{
    struct bag *bag = state->own;
    int n = bag->count - first;
    struct segment joined;
    int64_t total = 0;
    if (n < 2)
        return MR_OK;
    for (int s = first; s < bag->count; s++)
        total += bag->segments[s].count;
    struct mr_column **parts = mr_alloc((size_t)n * sizeof *parts);
    if (!parts)
        return mr_error_nomem(err);
    enum mr_status status = segment_init(state, &joined, total, err);
    for (int a = 0; a < state->call->nargs && status == MR_OK; a++) {
        for (int s = 0; s < n; s++)
            parts[s] = bag->segments[first + s].columns[a];
        status = mr_column_concat(state->memory, parts, n, &joined.columns[a], err);
    }
    mr_free(parts);
    if (status != MR_OK) {
        segment_reset(state, &joined);
        return status;
    }
    int64_t at = 0;
    for (int s = first; s < bag->count; s++) {
        struct segment *segment = &bag->segments[s];
        memcpy(joined.groups + at, segment->groups,
               (size_t)segment->count * sizeof *segment->groups);
        at += segment->count;
        segment_reset(state, segment);
    }
    weigh(state, &joined);
    bag->segments[first] = joined;
    bag->count = first + 1;
    return MR_OK;
}

/* Takes over the segment, also when it fails. */
static enum mr_status add_segment(struct mr_agg_state *state, struct segment *segment,
                                  struct mr_error *err)
{
    struct bag *bag = state->own;
    if (bag->count == bag->capacity) {
        int capacity = bag->capacity ? bag->capacity * 2 : 16;
        struct segment *grown = mr_realloc(bag->segments, (size_t)capacity * sizeof *grown);
        if (!grown) {
            segment_reset(state, segment);
            return mr_error_nomem(err);
        }
        bag->segments = grown;
        bag->capacity = capacity;
    }
    forget(state);
    weigh(state, segment);
    bag->segments[bag->count++] = *segment;
    while (bag->count >= 2) {
        const struct segment *last = &bag->segments[bag->count - 1];
        if (last[-1].count >= SMALL || last[-1].count > 2 * last->count)
            break;
        MR_TRY(join_segments(state, bag->count - 2, err));
    }
    return MR_OK;
}

/* Takes the column's place by a copy of it where the state may share nothing. */
static enum mr_status part_with(const struct mr_agg_state *state, struct mr_column **column,
                                struct mr_error *err)
{
    struct mr_column *shared = *column;
    if (!state->lasting)
        return MR_OK;
    enum mr_status status = mr_column_copy(state->memory, shared, column, err);
    mr_column_unref(shared);
    return status;
}

/* Texts stay dictionaries if they were: they are mostly shared. */
static enum mr_status bag_update(struct mr_agg_state *state, const struct mr_agg_input *in,
                                 struct mr_error *err)
{
    struct segment segment;
    MR_TRY(segment_init(state, &segment, in->count, err));
    memcpy(segment.groups, in->groups, (size_t)in->count * sizeof *segment.groups);
    enum mr_status status = MR_OK;
    for (int a = 0; a < state->call->nargs && status == MR_OK; a++) {
        status = in->rows ? mr_column_take(state->memory, in->args[a], in->rows, in->count,
                                           &segment.columns[a], err)
                          : mr_column_range(state->memory, in->args[a], 0, in->count,
                                            &segment.columns[a], err);
        if (status == MR_OK)
            status = part_with(state, &segment.columns[a], err);
    }
    if (status != MR_OK) {
        segment_reset(state, &segment);
        return status;
    }
    return add_segment(state, &segment, err);
}

static enum mr_status bag_create(struct mr_agg_state *state, struct mr_error *err)
{
    state->own = mr_calloc(1, sizeof(struct bag));
    return state->own ? MR_OK : mr_error_nomem(err);
}

static void bag_destroy(struct mr_agg_state *state)
{
    struct bag *bag = state->own;
    forget(state);
    for (int s = 0; s < bag->count; s++)
        segment_reset(state, &bag->segments[s]);
    mr_free(bag->segments);
    mr_free(bag);
}

static enum mr_status bag_resize(struct mr_agg_state *state, int64_t ngroups, struct mr_error *err)
{
    (void)ngroups;
    (void)err;
    forget(state);
    return MR_OK;
}

static enum mr_status bag_describe(struct mr_agg_call *call, struct mr_arena *arena,
                                   const struct mr_type **types, struct mr_error *err)
{
    call->nstates = call->nargs;
    for (int a = 0; a < call->nargs; a++) {
        types[a] = mr_type_list(arena, call->arg_types[a], false);
        if (!types[a])
            return mr_error_nomem(err);
    }
    return MR_OK;
}

/* An empty column where there is no entry at all. */
static enum mr_status no_entries(struct mr_agg_state *state, struct mr_error *err)
{
    struct segment segment;
    MR_TRY(segment_init(state, &segment, 0, err));
    for (int a = 0; a < state->call->nargs; a++) {
        struct mr_builder builder;
        enum mr_status status =
            mr_builder_init(&builder, state->memory, state->call->arg_types[a], err);
        if (status == MR_OK) {
            status = mr_builder_finish(&builder, &segment.columns[a], err);
            mr_builder_reset(&builder);
        }
        if (status != MR_OK) {
            segment_reset(state, &segment);
            return status;
        }
    }
    return add_segment(state, &segment, err);
}

enum mr_status mr_agg_bag_look(struct mr_agg_state *state, struct mr_column *const **columns,
                               const struct mr_agg_sorted **sorted, struct mr_error *err)
{
    struct bag *bag = state->own;
    if (bag->ready && bag->sorted.ngroups < state->ngroups)
        forget(state); /* groups without entries have come */
    if (!bag->ready) {
        if (bag->count == 0)
            MR_TRY(no_entries(state, err));
        MR_TRY(join_segments(state, 0, err));
        MR_TRY(
            mr_agg_sort(state, bag->segments[0].groups, bag->segments[0].count, &bag->sorted, err));
        bag->ready = true;
    }
    *columns = bag->segments[0].columns;
    *sorted = &bag->sorted;
    return MR_OK;
}

static enum mr_status bag_export(struct mr_agg_state *state, int64_t from, int64_t count,
                                 struct mr_column **out, struct mr_error *err)
{
    struct mr_column *const *columns;
    const struct mr_agg_sorted *sorted;
    MR_TRY(mr_agg_bag_look(state, &columns, &sorted, err));
    for (int a = 0; a < state->call->nargs; a++) {
        enum mr_status status = mr_agg_lists(state, sorted, columns[a], state->call->states[a],
                                             from, count, &out[a], err);
        if (status != MR_OK) {
            while (a-- > 0)
                mr_column_unref(out[a]);
            return status;
        }
    }
    return MR_OK;
}

static enum mr_status bag_merge(struct mr_agg_state *state, struct mr_column *const *exported,
                                int64_t count, const uint32_t *groups, struct mr_error *err)
{
    (void)count;
    struct segment segment = {0};
    uint32_t *own;
    int64_t n;
    MR_TRY(mr_agg_list_groups(exported[0], groups, &own, &n, err));
    enum mr_status status = MR_OK;
    if (n == 0)
        goto out;
    MR_TRY_OUT(segment_init(state, &segment, n, err));
    memcpy(segment.groups, own, (size_t)n * sizeof *own);
    for (int a = 0; a < state->call->nargs && status == MR_OK; a++) {
        status = mr_column_range(state->memory, exported[a]->children[0],
                                 mr_column_offsets(exported[a])[0], n, &segment.columns[a], err);
        if (status == MR_OK)
            status = part_with(state, &segment.columns[a], err);
    }
    if (status == MR_OK)
        status = add_segment(state, &segment, err);
    else
        segment_reset(state, &segment);
out:
    mr_free(own);
    return status;
}

const struct mr_agg_kind mr_agg_kind_bag = {.update = bag_update,
                                            .create = bag_create,
                                            .destroy = bag_destroy,
                                            .resize = bag_resize,
                                            .merge = bag_merge,
                                            .export_ = bag_export,
                                            .describe = bag_describe};

static enum mr_status finish_list(struct mr_agg_state *state, const struct mr_agg_call *call,
                                  int64_t from, int64_t count, struct mr_column **out,
                                  struct mr_error *err)
{
    struct mr_column *const *columns;
    const struct mr_agg_sorted *sorted;
    MR_TRY(mr_agg_bag_look(state, &columns, &sorted, err));
    return mr_agg_lists(state, sorted, columns[0], call->type, from, count, out, err);
}

enum { COLLECT_LIST, COLLECT_SET };

static enum mr_status bind_collect(struct mr_agg_binding *binding)
{
    struct mr_agg_call *call = binding->call;
    if (call->choice == COLLECT_SET)
        call->distinct = true;
    call->choice = 0;
    call->type = mr_type_list(binding->arena, binding->args[0]->type, false);
    if (!call->type)
        return mr_error_nomem(binding->err);
    call->nullable = false;
    call->kind = &mr_agg_kind_bag;
    call->finish = finish_list;
    return MR_OK;
}

static const struct mr_aggregate functions[] = {
    {.names = "collect_list array_agg",
     .least = 1,
     .most = 1,
     .bind = bind_collect,
     .choice = COLLECT_LIST,
     .signature = "collect_list(x)",
     .doc = "All values that are not NULL, in the order of reading."},
    {.names = "collect_set",
     .least = 1,
     .most = 1,
     .bind = bind_collect,
     .choice = COLLECT_SET,
     .signature = "collect_set(x)",
     .doc = "The different values that are not NULL, in the order of their first appearance."},
    {.names = "percentile",
     .least = 2,
     .most = 3,
     .bind = mr_agg_bind_percentile,
     .choice = MR_AGG_PERCENTILE,
     .signature = "percentile(number, p[, frequency])",
     .doc = "The exact percentile, interpolated; p is a number from 0 to 1 or an array of such."},
    {.names = "median",
     .least = 1,
     .most = 1,
     .bind = mr_agg_bind_percentile,
     .choice = MR_AGG_MEDIAN,
     .signature = "median(number)",
     .doc = "The exact median, interpolated."},
    {.names = "percentile_cont",
     .least = 1,
     .most = 1,
     .bind = mr_agg_bind_percentile,
     .choice = MR_AGG_CONTINUOUS,
     .signature = "percentile_cont(p) WITHIN GROUP (ORDER BY number [DESC])",
     .doc = "The exact percentile, interpolated."},
    {.names = "percentile_disc",
     .least = 1,
     .most = 1,
     .bind = mr_agg_bind_percentile,
     .choice = MR_AGG_DISCRETE,
     .signature = "percentile_disc(p) WITHIN GROUP (ORDER BY number [DESC])",
     .doc = "The first value whose share of the rows up to it is at least p."},
    {.names = "percentile_approx approx_percentile",
     .least = 2,
     .most = 3,
     .bind = mr_agg_bind_percentile,
     .choice = MR_AGG_APPROXIMATE,
     .signature = "percentile_approx(x, p[, accuracy])",
     .doc = "A value of x whose rank is that of p; computed exactly, whatever the accuracy."},
    {.names = "mode",
     .least = 1,
     .most = 1,
     .bind = mr_agg_bind_mode,
     .signature = "mode(x)",
     .doc = "The most frequent value; the least one of several."},
};

const struct mr_aggregate_family mr_aggregates_bag = {functions,
                                                      sizeof functions / sizeof functions[0]};

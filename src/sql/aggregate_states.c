/*
 * aggregate_states.c - the states of all calls of an aggregation: FILTER, NULLs, encodings, growth, export and merge.
 *
 * What every function would repeat happens here once a batch: rows that a FILTER refuses or that hold a NULL are taken
 * out of the list of rows, dictionaries become row numbers of their entries, constants are spread. The loop of a kind
 * then has no question to ask of a row. Scratch memory is kept between batches.
 */
#include "sql/aggregate_call.h"

#include <assert.h>
#include <stdio.h>

struct scratch {
    void *data;
    int64_t capacity; /* bytes */
};

struct mr_agg_states {
    const struct mr_aggregation *aggregation;
    struct mr_memory *memory;
    int64_t ngroups;
    struct mr_agg_state *states;
    /* Rows that the filter at hand takes. */
    struct scratch filter_rows, filter_groups;
    int filter; /* -1: none at hand */
    int64_t filter_count;
};

enum mr_status mr_agg_charge(struct mr_agg_state *state, int64_t bytes, struct mr_error *err)
{
    MR_TRY(mr_memory_charge(state->memory, bytes, err));
    state->charged += bytes;
    return MR_OK;
}

void mr_agg_credit(struct mr_agg_state *state, int64_t bytes)
{
    mr_memory_credit(state->memory, bytes);
    state->charged -= bytes;
}

enum mr_status mr_agg_grow(struct mr_agg_state *state, void *array, size_t width, int64_t from,
                           int64_t to, struct mr_error *err)
{
    void *old, *grown;
    int64_t bytes = (to - from) * (int64_t)width;
    MR_TRY(mr_agg_charge(state, bytes, err));
    memcpy(&old, array, sizeof old);
    grown = mr_realloc(old, (size_t)to * width);
    if (!grown) {
        mr_agg_credit(state, bytes);
        return mr_error_nomem(err);
    }
    memset((char *)grown + (size_t)from * width, 0, (size_t)bytes);
    memcpy(array, &grown, sizeof grown);
    return MR_OK;
}

enum mr_status mr_agg_data_error(const struct mr_agg_call *call, struct mr_error *err,
                                 const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    const char *names = call->function->names;
    mr_error_data(err, MR_SOURCE, "%.*s: %s", (int)strcspn(names, " "), names, message);
    mr_error_where(err, "expression %.200s, character %d", call->text, call->position + 1);
    return MR_SOURCE;
}

/* Results. */

enum mr_status mr_agg_result_init(struct mr_agg_result *result, struct mr_agg_state *state,
                                  const struct mr_type *type, int64_t count, struct mr_error *err)
{
    size_t size = (size_t)count * (size_t)mr_layout_width(mr_type_layout(type));
    size_t bits = mr_bitmap_bytes(count);
    *result = (struct mr_agg_result){.type = type, .count = count};
    MR_TRY(mr_buffer_new(state->memory, size, &result->values, err));
    enum mr_status status = mr_buffer_new(state->memory, bits, &result->validity, err);
    if (status != MR_OK) {
        mr_buffer_unref(result->values);
        return status;
    }
    memset(result->values->data, 0, size);
    memset(result->validity->data, 0xFF, bits);
    mr_buffer_finish(result->values, size);
    mr_buffer_finish(result->validity, bits);
    return MR_OK;
}

enum mr_status mr_agg_result_finish(struct mr_agg_result *result, struct mr_column **out,
                                    struct mr_error *err)
{
    if (result->nulls == 0) {
        mr_buffer_unref(result->validity);
        result->validity = NULL;
    }
    return mr_column_new(result->type, result->count, result->nulls, result->validity,
                         result->values, NULL, out, err);
}

void mr_agg_result_drop(struct mr_agg_result *result)
{
    mr_buffer_unref(result->values);
    mr_buffer_unref(result->validity);
}

/* One state. */

enum mr_status mr_agg_state_init(struct mr_agg_state *state, const struct mr_agg_call *call,
                                 struct mr_memory *memory, struct mr_error *err)
{
    *state = (struct mr_agg_state){.call = call, .kind = call->kind, .memory = memory};
    return state->kind->create ? state->kind->create(state, err) : MR_OK;
}

void mr_agg_state_reset(struct mr_agg_state *state)
{
    if (state->distinct)
        mr_agg_distinct_free(state);
    if (state->own)
        state->kind->destroy(state);
    mr_free(state->rows);
    mr_memory_credit(state->memory, state->charged);
    *state = (struct mr_agg_state){0};
}

enum mr_status mr_agg_state_resize(struct mr_agg_state *state, int64_t ngroups,
                                   struct mr_error *err)
{
    const struct mr_agg_kind *kind = state->kind;
    if (ngroups <= state->ngroups)
        return MR_OK;
    if (ngroups > state->capacity) {
        int64_t capacity = state->capacity + state->capacity / 2;
        if (capacity < ngroups)
            capacity = ngroups < 16 ? 16 : ngroups;
        if (kind->size > 0)
            MR_TRY(mr_agg_grow(state, &state->rows, (size_t)kind->size, state->capacity, capacity,
                               err));
        else
            MR_TRY(kind->resize(state, capacity, err));
        state->capacity = capacity;
    }
    state->ngroups = ngroups;
    return MR_OK;
}

/* The arguments of one update after NULLs and encodings were dealt with. */
struct prepared {
    struct mr_column *args[MR_AGG_MAX_ARGS];
    bool owned[MR_AGG_MAX_ARGS];
    int32_t *rows;
    uint32_t *groups;
    struct mr_agg_input in;
};

static void prepared_reset(struct prepared *prepared)
{
    for (int a = 0; a < MR_AGG_MAX_ARGS; a++)
        if (prepared->owned[a])
            mr_column_unref(prepared->args[a]);
    mr_free(prepared->rows);
    mr_free(prepared->groups);
}

static bool has_nulls(const struct mr_column *column)
{
    return column->nulls > 0 || column->type->id == MR_TYPE_NULL;
}

/* Room for a list of rows that does not share the caller's. */
static enum mr_status own_rows(struct prepared *prepared, bool groups, struct mr_error *err)
{
    size_t count = (size_t)prepared->in.count + 1;
    prepared->rows = mr_alloc(count * sizeof *prepared->rows);
    prepared->groups = groups ? mr_alloc(count * sizeof *prepared->groups) : NULL;
    if (!prepared->rows || (groups && !prepared->groups))
        return mr_error_nomem(err);
    return MR_OK;
}

/* Leaves the rows where every argument has a value. */
static enum mr_status drop_nulls(struct prepared *prepared, int nargs, struct mr_error *err)
{
    bool any = false;
    for (int a = 0; a < nargs; a++)
        any |= has_nulls(prepared->args[a]);
    if (!any)
        return MR_OK;
    const struct mr_agg_input in = prepared->in;
    MR_TRY(own_rows(prepared, true, err));
    int64_t n = 0;
    const struct mr_column *only = nargs == 1 ? prepared->args[0] : NULL;
    if (only && only->validity && only->encoding != MR_CONSTANT) {
        const uint8_t *bits = only->validity->data;
        for (int64_t i = 0; i < in.count; i++) {
            int32_t row = MR_AGG_ROW(&in, i);
            prepared->rows[n] = row;
            prepared->groups[n] = in.groups[i];
            n += bits[row >> 3] >> (row & 7) & 1;
        }
    } else {
        for (int64_t i = 0; i < in.count; i++) {
            int32_t row = MR_AGG_ROW(&in, i);
            bool null = false;
            for (int a = 0; a < nargs; a++)
                null |= mr_column_is_null(prepared->args[a], row);
            prepared->rows[n] = row;
            prepared->groups[n] = in.groups[i];
            n += !null;
        }
    }
    prepared->in.rows = prepared->rows;
    prepared->in.groups = prepared->groups;
    prepared->in.count = n;
    return MR_OK;
}

/* One DICTIONARY argument without NULLs: rows become entries. */
static enum mr_status to_entries(struct prepared *prepared, struct mr_error *err)
{
    const int32_t *codes = mr_column_offsets(prepared->args[0]);
    if (!prepared->rows)
        MR_TRY(own_rows(prepared, false, err));
    for (int64_t i = 0; i < prepared->in.count; i++)
        prepared->rows[i] = codes[MR_AGG_ROW(&prepared->in, i)];
    prepared->in.rows = prepared->rows;
    prepared->args[0] = prepared->args[0]->dictionary;
    return MR_OK;
}

static enum mr_status flatten(struct mr_memory *memory, struct prepared *prepared, int nargs,
                              struct mr_error *err)
{
    for (int a = 0; a < nargs; a++) {
        if (prepared->args[a]->encoding == MR_FLAT)
            continue;
        MR_TRY(mr_column_flatten(memory, prepared->args[a], &prepared->args[a], err));
        prepared->owned[a] = true;
    }
    return MR_OK;
}

enum mr_status mr_agg_state_update(struct mr_agg_state *state, const struct mr_agg_input *in,
                                   struct mr_error *err)
{
    const struct mr_agg_call *call = state->call;
    struct prepared prepared = {.in = *in};
    enum mr_status status = MR_OK;
    for (int a = 0; a < call->nargs; a++)
        prepared.args[a] = in->args[a];
    prepared.in.args = prepared.args;
    bool keep = call->keep_nulls;
    if (!keep)
        MR_TRY_OUT(drop_nulls(&prepared, call->nargs, err));
    if (prepared.in.count == 0)
        goto out;
    if (call->nargs == 1 && !keep && prepared.args[0]->encoding == MR_DICTIONARY)
        MR_TRY_OUT(to_entries(&prepared, err));
    else
        MR_TRY_OUT(flatten(state->memory, &prepared, call->nargs, err));
    status = state->kind->update(state, &prepared.in, err);
out:
    prepared_reset(&prepared);
    return status;
}

/* All states. */

static enum mr_status new_state(struct mr_agg_states *states, int s, struct mr_error *err)
{
    const struct mr_aggregation *aggregation = states->aggregation;
    const struct mr_agg_call *call = &aggregation->calls[aggregation->first[s]];
    MR_TRY(mr_agg_state_init(&states->states[s], call, states->memory, err));
    return call->distinct ? mr_agg_distinct_new(&states->states[s], err) : MR_OK;
}

enum mr_status mr_agg_states_new(const struct mr_aggregation *aggregation, struct mr_memory *memory,
                                 struct mr_agg_states **out, struct mr_error *err)
{
    struct mr_agg_states *states = mr_calloc(1, sizeof *states);
    if (!states)
        return mr_error_nomem(err);
    *states = (struct mr_agg_states){.aggregation = aggregation, .memory = memory, .filter = -1};
    states->states = mr_calloc((size_t)aggregation->nstates + 1, sizeof *states->states);
    enum mr_status status = states->states ? MR_OK : mr_error_nomem(err);
    for (int s = 0; s < aggregation->nstates && status == MR_OK; s++)
        status = new_state(states, s, err);
    if (status != MR_OK) {
        mr_agg_states_free(states);
        return status;
    }
    *out = states;
    return MR_OK;
}

void mr_agg_states_last(struct mr_agg_states *states)
{
    for (int s = 0; s < states->aggregation->nstates; s++)
        states->states[s].lasting = true;
}

void mr_agg_states_free(struct mr_agg_states *states)
{
    if (!states)
        return;
    for (int s = 0; states->states && s < states->aggregation->nstates; s++)
        if (states->states[s].kind)
            mr_agg_state_reset(&states->states[s]);
    mr_free(states->states);
    mr_free(states->filter_rows.data);
    mr_free(states->filter_groups.data);
    mr_free(states);
}

enum mr_status mr_agg_states_clear(struct mr_agg_states *states, struct mr_error *err)
{
    states->ngroups = 0;
    for (int s = 0; s < states->aggregation->nstates; s++) {
        struct mr_agg_state *state = &states->states[s];
        if (state->kind->size == 0 || state->distinct) {
            mr_agg_state_reset(state);
            MR_TRY(new_state(states, s, err));
            continue;
        }
        if (state->ngroups > 0)
            memset(state->rows, 0, (size_t)(state->ngroups * state->kind->size));
        state->ngroups = 0;
    }
    return MR_OK;
}

enum mr_status mr_agg_states_resize(struct mr_agg_states *states, int64_t ngroups,
                                    struct mr_error *err)
{
    for (int s = 0; s < states->aggregation->nstates; s++)
        MR_TRY(mr_agg_state_resize(&states->states[s], ngroups, err));
    if (ngroups > states->ngroups)
        states->ngroups = ngroups;
    return MR_OK;
}

static enum mr_status scratch_reserve(struct scratch *scratch, int64_t bytes, struct mr_error *err)
{
    if (bytes <= scratch->capacity)
        return MR_OK;
    void *grown = mr_realloc(scratch->data, (size_t)bytes);
    if (!grown)
        return mr_error_nomem(err);
    scratch->data = grown;
    scratch->capacity = bytes;
    return MR_OK;
}

/* Rows of the call where the condition is TRUE; kept for the next call with the same FILTER. */
static enum mr_status apply_filter(struct mr_agg_states *states, int filter,
                                   const struct mr_column *condition, struct mr_agg_input *in,
                                   struct mr_error *err)
{
    if (states->filter != filter) {
        int64_t bytes = in->count * (int64_t)sizeof(int32_t);
        MR_TRY(scratch_reserve(&states->filter_rows, bytes, err));
        MR_TRY(scratch_reserve(&states->filter_groups, bytes, err));
        int32_t *rows = states->filter_rows.data;
        uint32_t *groups = states->filter_groups.data;
        const uint8_t *bits = mr_column_validity(condition);
        bool constant = condition->encoding == MR_CONSTANT;
        const struct mr_column *flat = condition->dictionary ? condition->dictionary : condition;
        const int32_t *codes = condition->dictionary ? mr_column_offsets(condition) : NULL;
        int64_t n = 0;
        for (int64_t i = 0; i < in->count; i++) {
            int32_t row = MR_AGG_ROW(in, i), at = constant ? 0 : row;
            bool valid = mr_bitmap_get(bits, at);
            at = codes && valid ? codes[at] : at;
            rows[n] = row;
            groups[n] = in->groups[i];
            n += valid && (!codes || valid) && flat->values->data[codes && !valid ? 0 : at];
        }
        states->filter = filter;
        states->filter_count = n;
    }
    in->rows = states->filter_rows.data;
    in->groups = states->filter_groups.data;
    in->count = states->filter_count;
    return MR_OK;
}

enum mr_status mr_agg_states_update(struct mr_agg_states *states, struct mr_column *const *inputs,
                                    const int32_t *rows, int64_t count, const uint32_t *groups,
                                    struct mr_error *err)
{
    states->filter = -1;
    for (int s = 0; s < states->aggregation->nstates; s++) {
        struct mr_agg_state *state = &states->states[s];
        const struct mr_agg_call *call = state->call;
        struct mr_column *args[MR_AGG_MAX_ARGS] = {NULL};
        struct mr_agg_input in = {args, rows, count, groups};
        for (int a = 0; a < call->nargs; a++)
            args[a] = inputs[call->args[a]];
        if (call->filter >= 0)
            MR_TRY(apply_filter(states, call->filter, inputs[call->filter], &in, err));
        if (in.count == 0)
            continue;
        MR_TRY(call->distinct ? mr_agg_distinct_update(state, &in, err)
                              : mr_agg_state_update(state, &in, err));
    }
    return MR_OK;
}

/* States of fixed size: columns of their fields, gathered into rows again, and back. */

static void field_to_rows(const struct mr_agg_field *field, const struct mr_column *column,
                          int64_t count, char *rows, int size)
{
    const char *values = (const char *)column->values->data;
    rows += field->offset;
    if (field->id == MR_TYPE_DECIMAL)
        for (int64_t i = 0; i < count; i++)
            memcpy(rows + i * size, values + i * 16, 16);
    else
        for (int64_t i = 0; i < count; i++)
            memcpy(rows + i * size, values + i * 8, 8);
}

static enum mr_status merge_rows(struct mr_agg_state *state, struct mr_column *const *columns,
                                 int64_t count, const uint32_t *groups, struct mr_error *err)
{
    const struct mr_agg_kind *kind = state->kind;
    char *rows = mr_alloc((size_t)count * (size_t)kind->size + 1);
    if (!rows)
        return mr_error_nomem(err);
    for (int f = 0; f < kind->nfields; f++)
        field_to_rows(&kind->fields[f], columns[f], count, rows, kind->size);
    enum mr_status status = kind->merge_rows(state, rows, count, groups, err);
    mr_free(rows);
    return status;
}

static enum mr_status export_rows(struct mr_agg_state *state, int64_t from, int64_t count,
                                  struct mr_column **out, struct mr_error *err)
{
    const struct mr_agg_kind *kind = state->kind;
    for (int f = 0; f < kind->nfields; f++) {
        const struct mr_agg_field *field = &kind->fields[f];
        struct mr_agg_result result;
        enum mr_status status =
            mr_agg_result_init(&result, state, state->call->states[f], count, err);
        if (status == MR_OK) {
            const char *rows = state->rows + from * kind->size + field->offset;
            char *to = (char *)result.values->data;
            if (field->id == MR_TYPE_DECIMAL)
                for (int64_t i = 0; i < count; i++)
                    memcpy(to + i * 16, rows + i * kind->size, 16);
            else
                for (int64_t i = 0; i < count; i++)
                    memcpy(to + i * 8, rows + i * kind->size, 8);
            status = mr_agg_result_finish(&result, &out[f], err);
        }
        if (status != MR_OK) {
            while (f-- > 0)
                mr_column_unref(out[f]);
            return status;
        }
    }
    return MR_OK;
}

static enum mr_status merge_state(struct mr_agg_state *state, struct mr_column *const *columns,
                                  int64_t count, const uint32_t *groups, struct mr_error *err)
{
    const struct mr_agg_kind *kind = state->kind;
    if (state->distinct)
        return mr_agg_distinct_merge(state, columns[0], count, groups, err);
    if (kind->size > 0)
        return merge_rows(state, columns, count, groups, err);
    if (kind->merge)
        return kind->merge(state, columns, count, groups, err);
    struct mr_agg_input in = {columns, NULL, count, groups};
    return mr_agg_state_update(state, &in, err);
}

enum mr_status mr_agg_states_merge(struct mr_agg_states *states, struct mr_column *const *exported,
                                   int64_t count, const uint32_t *groups, struct mr_error *err)
{
    if (count == 0)
        return MR_OK;
    for (int s = 0; s < states->aggregation->nstates; s++) {
        struct mr_agg_state *state = &states->states[s];
        struct mr_column *flat[MR_AGG_MAX_ARGS] = {NULL};
        enum mr_status status = MR_OK;
        int n = state->call->nstates;
        for (int i = 0; i < n && status == MR_OK; i++)
            status = mr_column_flatten(states->memory, exported[i], &flat[i], err);
        if (status == MR_OK)
            status = merge_state(state, flat, count, groups, err);
        for (int i = 0; i < n; i++)
            mr_column_unref(flat[i]);
        MR_TRY(status);
        exported += n;
    }
    return MR_OK;
}

static enum mr_status export_state(struct mr_agg_state *state, int64_t from, int64_t count,
                                   struct mr_column **out, struct mr_error *err)
{
    if (state->distinct)
        return mr_agg_distinct_export(state, from, count, out, err);
    if (state->kind->size > 0)
        return export_rows(state, from, count, out, err);
    return state->kind->export_(state, from, count, out, err);
}

enum mr_status mr_agg_states_export(struct mr_agg_states *states, int64_t from, int64_t count,
                                    struct mr_column **out, struct mr_error *err)
{
    int done = 0;
    for (int s = 0; s < states->aggregation->nstates; s++) {
        enum mr_status status = export_state(&states->states[s], from, count, out + done, err);
        if (status != MR_OK) {
            while (done-- > 0)
                mr_column_unref(out[done]);
            return status;
        }
        done += states->states[s].call->nstates;
    }
    return MR_OK;
}

enum mr_status mr_agg_states_finish(struct mr_agg_states *states, int64_t from, int64_t count,
                                    struct mr_column **out, struct mr_error *err)
{
    const struct mr_aggregation *aggregation = states->aggregation;
    for (int c = 0; c < aggregation->ncalls; c++) {
        const struct mr_agg_call *call = &aggregation->calls[c];
        struct mr_agg_state *state = &states->states[call->state];
        enum mr_status status = state->distinct
                                    ? mr_agg_distinct_finish(state, call, from, count, &out[c], err)
                                    : call->finish(state, call, from, count, &out[c], err);
        if (status != MR_OK) {
            while (c-- > 0)
                mr_column_unref(out[c]);
            return status;
        }
    }
    return MR_OK;
}

int64_t mr_agg_states_bytes(const struct mr_agg_states *states)
{
    int64_t bytes = 0;
    for (int s = 0; s < states->aggregation->nstates; s++) {
        const struct mr_agg_state *state = &states->states[s];
        bytes += state->charged + state->extra;
    }
    return bytes;
}

struct mr_agg_state *mr_agg_states_each(struct mr_agg_states *states,
                                        const struct mr_aggregation **aggregation,
                                        struct mr_memory **memory)
{
    *aggregation = states->aggregation;
    *memory = states->memory;
    return states->states;
}

/* Others than of fixed size: runs of neighbours are exported and merged. */
static enum mr_status gather_any(struct mr_agg_state *from, const uint32_t *entries, int64_t count,
                                 struct mr_agg_state *to, struct mr_error *err)
{
    uint32_t *groups = mr_alloc((size_t)count * sizeof *groups + 1);
    enum mr_status status = groups ? MR_OK : mr_error_nomem(err);
    for (int64_t i = 0; i < count && status == MR_OK;) {
        struct mr_column *columns[MR_AGG_MAX_ARGS] = {NULL};
        int64_t n = 1;
        while (i + n < count && entries[i + n] == entries[i] + n)
            n++;
        for (int64_t k = 0; k < n; k++)
            groups[k] = (uint32_t)(i + k);
        status = export_state(from, entries[i], n, columns, err);
        if (status != MR_OK)
            break;
        status = merge_state(to, columns, n, groups, err);
        for (int c = 0; c < from->call->nstates; c++)
            mr_column_unref(columns[c]);
        i += n;
    }
    mr_free(groups);
    return status;
}

enum mr_status mr_agg_states_gather(struct mr_agg_states *states, const uint32_t *entries,
                                    int64_t count, struct mr_agg_states **out, struct mr_error *err)
{
    MR_TRY(mr_agg_states_new(states->aggregation, states->memory, out, err));
    enum mr_status status = mr_agg_states_resize(*out, count, err);
    for (int s = 0; s < states->aggregation->nstates && status == MR_OK; s++) {
        struct mr_agg_state *from = &states->states[s], *to = &(*out)->states[s];
        size_t size = (size_t)from->kind->size;
        to->lasting = from->lasting;
        if (from->distinct || size == 0) {
            status = gather_any(from, entries, count, to, err);
            continue;
        }
        for (int64_t i = 0; i < count; i++)
            memcpy(to->rows + (size_t)i * size, from->rows + entries[i] * size, size);
    }
    if (status != MR_OK) {
        mr_agg_states_free(*out);
        *out = NULL;
    }
    return status;
}

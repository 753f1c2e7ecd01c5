/*
 * aggregate_window.c - event-time windows of aggregateData.
 *
 * Windows are aligned to 1970-01-01 00:00 UTC and half open, as in Spark; rows without an event time belong to none.
 * Tumbling windows add a column window_start, which is one more key. A sliding window repeats each row once for every
 * window that it is in, row by row, so that first and last see rows in their order.
 *
 * A session ends when no row of its keys came for `gap`; which rows those are is known only when all are there, so the
 * rows themselves (keys, event time, inputs) are kept and sorted by key and time when their partition is pulled.
 */
#include "op/aggregate.h"
#include "op/event_time.h"

#include "base/text.h"
#include "base/time.h"

#include <stdlib.h>

#define WINDOWS_MOST 10000 /* that a row is in */

static const struct mr_options *window_options(const struct mr_op_bind *bind)
{
    const struct mr_option_value *value = mr_options_get(bind->options, "window");
    return value->set ? value->u.object : NULL;
}

/* In how many sliding windows is a row? */
static int64_t windows_of_row(const struct mr_agg_plan *plan)
{
    return plan->size / plan->slide + (plan->size % plan->slide != 0);
}

static enum mr_status read_durations(struct mr_agg_plan *plan, const struct mr_options *options,
                                     struct mr_error *err)
{
    bool session = plan->window == MR_AGG_SESSION;
    const char *needed = session ? "gap" : "size";
    static const char *const others[3][2] = {{"slide", "gap"}, {"gap", NULL}, {"size", "slide"}};
    plan->size = mr_options_integer(options, needed, 0);
    if (plan->size <= 0)
        return mr_options_error(options, needed, err, "a %s window needs a positive %s",
                                mr_options_text(options, "type"), needed);
    for (int i = 0; i < 2; i++) {
        const char *other = others[plan->window - MR_AGG_TUMBLING][i];
        if (other && mr_options_has(options, other))
            return mr_options_error(options, other, err, "is not for %s windows",
                                    mr_options_text(options, "type"));
    }
    plan->slide = plan->size;
    if (plan->window != MR_AGG_SLIDING)
        return MR_OK;
    plan->slide = mr_options_integer(options, "slide", 0);
    if (plan->slide <= 0 || plan->slide > plan->size)
        return mr_options_error(options, "slide", err,
                                "a sliding window needs a slide that is positive and not above its "
                                "size");
    if (windows_of_row(plan) > WINDOWS_MOST)
        return mr_options_error(options, "slide", err,
                                "each row would be in %lld windows, and can be in %d",
                                (long long)windows_of_row(plan), WINDOWS_MOST);
    return MR_OK;
}

enum mr_status mr_agg_window_bind(struct mr_agg_plan *plan, const struct mr_op_bind *bind,
                                  struct mr_error *err)
{
    const struct mr_options *options = window_options(bind);
    plan->scope = plan->input;
    if (!options)
        return MR_OK;
    plan->window = MR_AGG_TUMBLING + (int)mr_options_integer(options, "type", 0);
    MR_TRY(read_durations(plan, options, err));
    MR_TRY(mr_event_time_compile(bind, mr_options_text(options, "column"), options, "column",
                                 &plan->time, err));
    int n = plan->input->nfields;
    struct mr_field *fields = mr_arena_calloc(bind->arena, (size_t)n + 2, sizeof *fields);
    if (!fields)
        return mr_error_nomem(err);
    for (int i = 0; i < n; i++) {
        fields[i] = plan->input->fields[i];
        if (mr_text_equal_nocase(fields[i].name, "window_start") ||
            mr_text_equal_nocase(fields[i].name, "window_end"))
            return mr_options_error(bind->options, "window", err,
                                    "the input has a column %s already: rename it", fields[i].name);
    }
    const struct mr_type *type = mr_expr_type(plan->time);
    fields[n] = (struct mr_field){.name = "window_start", .type = type};
    fields[n + 1] = (struct mr_field){.name = "window_end", .type = type};
    plan->scope = mr_schema_new(bind->arena, fields, n + (plan->window == MR_AGG_SESSION ? 2 : 1));
    return plan->scope ? MR_OK : mr_error_nomem(err);
}

static int64_t floor_mod(int64_t value, int64_t by)
{
    int64_t rest = value % by;
    return rest < 0 ? rest + by : rest;
}

/* Rows and the starts of the windows that they are in. */
struct places {
    struct mr_buffer *rows;
    struct mr_buffer *starts; /* by place in `rows`; tumbling: by row */
    int64_t count;
    int64_t closed; /* windows that end there or before are over */
    int64_t late;   /* rows of such windows alone */
};

static enum mr_status place_rows(const struct mr_agg_plan *plan, const struct mr_column *times,
                                 const struct mr_batch *batch, struct mr_memory *memory,
                                 struct places *out, struct mr_error *err)
{
    const int32_t *selected = mr_selection_rows(batch->selection);
    int64_t n = mr_batch_active(batch);
    bool sliding = plan->window == MR_AGG_SLIDING;
    int64_t most = sliding ? windows_of_row(plan) : 1;
    if (n * most > INT32_MAX)
        return mr_error_set(err, MR_LIMIT, MR_CLASS_CONFIG,
                            "a row is in %lld sliding windows: too many for a batch of %lld rows",
                            (long long)most, (long long)n);
    size_t places = (size_t)(n * most);
    size_t starts_count = sliding ? places : (size_t)batch->rows;
    MR_TRY(mr_buffer_new(memory, places * sizeof(int32_t), &out->rows, err));
    enum mr_status status =
        mr_buffer_new(memory, starts_count * sizeof(int64_t), &out->starts, err);
    if (status != MR_OK) {
        mr_buffer_unref(out->rows);
        return status;
    }
    int32_t *rows = (int32_t *)(void *)out->rows->data;
    int64_t *starts = (int64_t *)(void *)out->starts->data;
    const int64_t *values = (const int64_t *)(const void *)times->values->data;
    if (!sliding)
        memset(starts, 0, starts_count * sizeof *starts);
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t row = selected ? selected[i] : (int32_t)i;
        if (mr_column_is_null(times, row))
            continue;
        int64_t time = values[row], last = time - floor_mod(time, plan->slide);
        if (mr_agg_closes(plan, mr_agg_end(plan, last), out->closed)) {
            out->late++;
            continue;
        }
        if (!sliding) {
            starts[row] = last;
            rows[at++] = row;
            continue;
        }
        for (int64_t start = last; start > time - plan->size; start -= plan->slide) {
            if (mr_agg_closes(plan, mr_agg_end(plan, start), out->closed))
                break;
            starts[at] = start;
            rows[at++] = row;
        }
    }
    out->count = at;
    mr_buffer_finish(out->rows, (size_t)at * sizeof *rows);
    mr_buffer_finish(out->starts, (sliding ? (size_t)at : starts_count) * sizeof *starts);
    return MR_OK;
}

void mr_agg_describe_window(const struct mr_agg_plan *plan, const struct mr_op_bind *bind,
                            struct mr_bytes *out)
{
    char size[32], slide[32];
    if (plan->window == MR_AGG_NO_WINDOW)
        return;
    mr_duration_format(plan->size, size, sizeof size);
    mr_duration_format(plan->slide, slide, sizeof slide);
    if (plan->window == MR_AGG_TUMBLING)
        mr_bytes_printf(out, "tumbling windows of %s", size);
    else if (plan->window == MR_AGG_SLIDING)
        mr_bytes_printf(out, "sliding windows of %s, every %s", size, slide);
    else if (plan->window == MR_AGG_SESSION)
        mr_bytes_printf(out, "sessions that end after %s", size);
    const struct mr_options *window = mr_options_get(bind->options, "window")->u.object;
    mr_bytes_printf(out, " on %s", mr_options_text(window, "column"));
}

/* The batch's columns and window_start behind them. */
static enum mr_status add_start(const struct mr_agg_plan *plan, const struct mr_batch *batch,
                                struct mr_buffer *starts, struct mr_batch **out,
                                struct mr_error *err)
{
    int n = plan->input->nfields;
    struct mr_column **columns = mr_calloc((size_t)n + 1, sizeof(*columns));
    enum mr_status status = MR_OK;
    if (!columns) {
        mr_buffer_unref(starts);
        return mr_error_nomem(err);
    }
    MR_TRY_OUT(mr_column_new(mr_expr_type(plan->time), batch->rows, 0, NULL, starts, NULL,
                             &columns[n], err));
    for (int i = 0; i < n; i++)
        columns[i] = mr_column_ref(batch->columns[i]);
    status = mr_batch_new(plan->scope, batch->rows, columns, out, err);
out:
    mr_free(columns);
    return status;
}

enum mr_status mr_agg_window_rows(const struct mr_agg_plan *plan, struct mr_eval *eval,
                                  struct mr_memory *memory, struct mr_batch *batch, int64_t closed,
                                  int64_t *late, struct mr_batch **out, struct mr_error *err)
{
    struct mr_column *evaluated, *times;
    struct places places = {.closed = closed};
    struct mr_batch *taken = NULL, *started = NULL;
    *out = NULL;
    MR_TRY(mr_expr_eval(eval, plan->time, batch, &evaluated, err));
    enum mr_status status = mr_column_flatten(memory, evaluated, &times, err);
    mr_column_unref(evaluated);
    MR_TRY(status);
    status = place_rows(plan, times, batch, memory, &places, err);
    mr_column_unref(times);
    MR_TRY(status);
    *late = places.late;
    if (places.count == 0)
        goto out;
    bool sliding = plan->window == MR_AGG_SLIDING;
    if (sliding)
        MR_TRY_OUT(mr_batch_take(memory, batch, (const int32_t *)(const void *)places.rows->data,
                                 places.count, &taken, err));
    struct mr_buffer *starts = places.starts;
    places.starts = NULL;
    MR_TRY_OUT(add_start(plan, sliding ? taken : batch, starts, &started, err));
    if (sliding || places.count == batch->rows) {
        *out = started;
        started = NULL;
        goto out;
    }
    struct mr_selection *selection;
    struct mr_buffer *rows = places.rows;
    places.rows = NULL;
    MR_TRY_OUT(mr_selection_new(rows, places.count, &selection, err));
    status = mr_batch_select(started, selection, out, err);
out:
    mr_batch_unref(taken);
    mr_batch_unref(started);
    mr_buffer_unref(places.rows);
    mr_buffer_unref(places.starts);
    return status;
}

/* Sessions. */

struct event {
    uint32_t group;
    int32_t row;
    int64_t time;
};

static int compare_events(const void *a_, const void *b_)
{
    const struct event *a = a_, *b = b_;
    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

struct sessions {
    int32_t *rows;    /* in the order of events */
    uint32_t *groups; /* session of each */
    int32_t *first;   /* row that begins a session */
    int64_t *starts, *ends;
    int64_t count;
};

static void sessions_reset(struct sessions *sessions)
{
    mr_free(sessions->rows);
    mr_free(sessions->groups);
    mr_free(sessions->first);
    mr_free(sessions->starts);
    mr_free(sessions->ends);
}

static enum mr_status cut_sessions(const struct mr_agg_plan *plan, const struct mr_column *times,
                                   const uint32_t *groups, int64_t n, struct sessions *out,
                                   struct mr_error *err)
{
    const int64_t *values = (const int64_t *)(const void *)times->values->data;
    size_t room = (size_t)n + 1;
    struct event *events = mr_alloc(room * sizeof *events);
    out->rows = mr_alloc(room * sizeof *out->rows);
    out->groups = mr_alloc(room * sizeof *out->groups);
    out->first = mr_alloc(room * sizeof *out->first);
    out->starts = mr_alloc(room * sizeof *out->starts);
    out->ends = mr_alloc(room * sizeof *out->ends);
    if (!events || !out->rows || !out->groups || !out->first || !out->starts || !out->ends) {
        mr_free(events);
        return mr_error_nomem(err);
    }
    for (int64_t i = 0; i < n; i++)
        events[i] = (struct event){groups ? groups[i] : 0, (int32_t)i, values[i]};
    qsort(events, (size_t)n, sizeof *events, compare_events);
    for (int64_t i = 0; i < n; i++) {
        const struct event *event = &events[i];
        bool joins = i > 0 && event->group == events[i - 1].group &&
                     event->time <= out->ends[out->count - 1];
        if (!joins) {
            out->first[out->count] = event->row;
            out->starts[out->count++] = event->time;
        }
        out->ends[out->count - 1] = mr_agg_end(plan, event->time);
        out->rows[i] = event->row;
        out->groups[i] = (uint32_t)(out->count - 1);
    }
    mr_free(events);
    return MR_OK;
}

enum mr_status mr_agg_times(const struct mr_type *type, struct mr_memory *memory,
                            const int64_t *values, const uint32_t *entries, int64_t count,
                            struct mr_column **out, struct mr_error *err)
{
    struct mr_buffer *buffer;
    size_t size = (size_t)count * sizeof *values;
    MR_TRY(mr_buffer_new(memory, size, &buffer, err));
    int64_t *to = (int64_t *)(void *)buffer->data;
    for (int64_t i = 0; i < count; i++)
        to[i] = values[entries ? entries[i] : i];
    mr_buffer_finish(buffer, size);
    return mr_column_new(type, count, 0, NULL, buffer, NULL, out, err);
}

static enum mr_status emit_sessions(const struct mr_agg_plan *plan, const struct mr_batch *rows,
                                    const struct sessions *sessions, struct mr_agg_states *states,
                                    struct mr_eval *eval, struct mr_runtime *runtime,
                                    struct mr_emit *emit, struct mr_error *err)
{
    struct mr_memory *memory = runtime->memory;
    int64_t step = mr_agg_batch_rows(runtime);
    struct mr_column **keys = mr_calloc((size_t)plan->nkeys + 1, sizeof(*keys));
    if (!keys)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    for (int64_t from = 0; from < sessions->count && !emit->closed; from += step) {
        int64_t count = sessions->count - from < step ? sessions->count - from : step;
        int k = 0;
        for (; k < plan->nplain && status == MR_OK; k++)
            status = mr_column_take(memory, rows->columns[k], sessions->first + from, count,
                                    &keys[k], err);
        if (status == MR_OK)
            status = mr_agg_times(mr_expr_type(plan->time), memory, sessions->starts + from, NULL,
                                  count, &keys[plan->nplain], err);
        if (status == MR_OK)
            status = mr_agg_times(mr_expr_type(plan->time), memory, sessions->ends + from, NULL,
                                  count, &keys[plan->nplain + 1], err);
        if (status != MR_OK) {
            for (int i = 0; i < plan->nkeys; i++)
                mr_column_unref(keys[i]);
            break;
        }
        status = mr_agg_emit_rows(plan, states, keys, from, count, eval, memory, emit, err);
        memset(keys, 0, (size_t)plan->nkeys * sizeof(*keys));
        if (status != MR_OK)
            break;
    }
    mr_free(keys);
    return status;
}

static enum mr_status aggregate_sessions(const struct mr_agg_plan *plan,
                                         const struct mr_batch *rows, struct mr_runtime *runtime,
                                         struct mr_emit *emit, struct mr_error *err)
{
    struct mr_memory *memory = runtime->memory;
    struct mr_group_table *table = NULL;
    struct mr_agg_states *states = NULL;
    struct mr_eval *eval = NULL;
    struct mr_column *times = NULL;
    struct sessions sessions = {0};
    uint32_t *groups = NULL;
    enum mr_status status;
    MR_TRY_OUT(mr_column_flatten(memory, rows->columns[plan->nplain], &times, err));
    if (plan->nplain > 0) {
        groups = mr_alloc((size_t)rows->rows * sizeof *groups + 1);
        status = groups ? MR_OK : mr_error_nomem(err);
        if (status != MR_OK)
            goto out;
        MR_TRY_OUT(mr_group_table_new(memory, plan->key_types, plan->nplain, &table, err));
        MR_TRY_OUT(mr_group_table_put(table, rows->columns, NULL, rows->rows, NULL, groups, err));
        mr_group_table_free(table);
        table = NULL;
    }
    MR_TRY_OUT(cut_sessions(plan, times, groups, rows->rows, &sessions, err));
    MR_TRY_OUT(mr_agg_states_new(plan->aggregation, memory, &states, err));
    MR_TRY_OUT(mr_agg_states_resize(states, sessions.count, err));
    MR_TRY_OUT(mr_agg_states_update(states, rows->columns + plan->nplain + 1, sessions.rows,
                                    rows->rows, sessions.groups, err));
    MR_TRY_OUT(mr_eval_new(memory, &plan->session, &eval, err));
    status = emit_sessions(plan, rows, &sessions, states, eval, runtime, emit, err);
out:
    mr_eval_free(eval);
    mr_agg_states_free(states);
    mr_group_table_free(table);
    mr_column_unref(times);
    sessions_reset(&sessions);
    mr_free(groups);
    return status;
}

enum mr_status mr_agg_pull_sessions(const struct mr_agg_plan *plan, const struct mr_spill *spill,
                                    struct mr_runtime *runtime, int partition, struct mr_emit *emit,
                                    struct mr_error *err)
{
    int n = spill ? mr_spill_chunks(spill, partition) : 0, read = 0;
    if (n == 0)
        return MR_OK;
    struct mr_batch **chunks = mr_calloc((size_t)n, sizeof(*chunks));
    struct mr_batch *rows = NULL;
    enum mr_status status = chunks ? MR_OK : mr_error_nomem(err);
    for (; read < n && status == MR_OK; read += status == MR_OK)
        status = mr_spill_chunk(spill, runtime, partition, read, &chunks[read], err);
    if (status == MR_OK)
        status = mr_batch_concat(runtime->memory, chunks, n, &rows, err);
    for (int c = 0; c < read; c++)
        mr_batch_unref(chunks[c]);
    mr_free(chunks);
    if (status == MR_OK)
        status = aggregate_sessions(plan, rows, runtime, emit, err);
    mr_batch_unref(rows);
    return status;
}

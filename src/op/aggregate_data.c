/*
 * aggregate_data.c - aggregateData: rows to groups.
 *
 * A task has a table of the groups that it has seen and their states. When they outgrow its share, and at its end, they
 * go into a spill, divided by hash; the spills of all tasks are joined, and each partition is merged by itself
 * (aggregate_pull.c), so that the second half is parallel too and no larger in memory than a partition. Where nearly
 * every row is a group of its own, looking it up first is work for nothing: rows then go to the spill directly.
 *
 * The alternative, one shared table, needs a lock or an atomic a row; merging tables on one thread does not scale with
 * the number of groups.
 */
#include "op/aggregate_kept.h"
#include "op/append.h"
#include "op/event_time.h"
#include "op/ops.h"

#include "base/text.h"
#include "base/time.h"

#include <stdio.h>

/* A table with more than 3/4 as many groups as rows, of so many rows, was not worth its while. */
#define BYPASS_ROWS 10000
/* A table of twice so many groups is looked at: is the older half of them done with? */
#define HALF_GROUPS 16384

struct agg_task {
    const struct mr_agg_plan *plan;
    struct mr_runtime *runtime;
    struct mr_eval *eval;
    struct mr_agg_build build;
    bool building;
    bool bypass;
    int64_t rows; /* since the table is new */
    /* Since HALF_GROUPS were there: */
    int64_t half, half_rows; /* that number or a little more, 0 = not yet; rows then */
    int64_t back;            /* rows that went to one of those groups */
    struct mr_spill *spill;
    int64_t closed;            /* in a stream: windows that are over; or MR_WATERMARK_NONE */
    struct mr_spill **results; /* in a stream, by partition: what is pulled */
};

/* No name twice, or the columns could not be told apart. */
static enum mr_status check_names(const struct mr_agg_plan *plan, const struct mr_op_bind *bind,
                                  struct mr_error *err)
{
    const struct mr_schema *schema = plan->schema;
    for (int i = 0; i < schema->nfields; i++)
        for (int j = 0; j < i; j++)
            if (mr_text_equal_nocase(schema->fields[i].name, schema->fields[j].name))
                return mr_options_error(bind->options, i < plan->nkeys ? "groupBy" : "aggregations",
                                        err, "two columns of the result are named %.80s",
                                        schema->fields[i].name);
    if (schema->nfields > 0)
        return MR_OK;
    return mr_options_error(bind->options, "aggregations", err,
                            "there is nothing to group by and nothing to compute");
}

static enum mr_status find_used(struct mr_agg_plan *plan, const struct mr_agg_ask *ask,
                                const struct mr_op_bind *bind, struct mr_error *err)
{
    const struct mr_projection *parts[] = {mr_aggregation_keys(plan->aggregation),
                                           mr_aggregation_inputs(plan->aggregation)};
    int n = plan->input->nfields;
    plan->used = mr_arena_calloc(bind->arena, (size_t)n + 3, sizeof *plan->used);
    if (!plan->used)
        return mr_error_nomem(err);
    for (int i = 0; i < mr_projection_count(parts[1]); i++)
        mr_expr_uses(mr_projection_expr(parts[1], i), plan->used);
    if (plan->window == MR_AGG_SESSION && (plan->used[n] || plan->used[n + 1]))
        return mr_options_error(bind->options, "aggregations", err,
                                "window_start and window_end of a session cannot be used inside "
                                "of an aggregate");
    for (int i = 0; i < mr_projection_count(parts[0]); i++)
        mr_expr_uses(mr_projection_expr(parts[0], i), plan->used);
    if (plan->time)
        mr_expr_uses(plan->time, plan->used);
    for (int i = 0; i < ask->ask.ngroups; i++)
        MR_TRY(mr_expr_named(bind->arena, ask->groups[i], plan->input, plan->used, err));
    for (int i = 0; i < ask->ask.count; i++)
        MR_TRY(mr_expr_named(bind->arena, ask->texts[i], plan->input, plan->used, err));
    if (ask->ask.having)
        MR_TRY(mr_expr_named(bind->arena, ask->ask.having, plan->input, plan->used, err));
    return MR_OK;
}

/* Schema of the kept rows. */
static enum mr_status make_kept(struct mr_agg_plan *plan, struct mr_arena *arena,
                                struct mr_error *err)
{
    const struct mr_schema *results = mr_aggregation_results(plan->aggregation);
    const struct mr_schema *states = mr_aggregation_states(plan->aggregation);
    const struct mr_projection *inputs = mr_aggregation_inputs(plan->aggregation);
    bool session = plan->window == MR_AGG_SESSION;
    int nkeys = session ? plan->nplain : plan->nkeys, n = 0;
    bool raw = session || plan->changes;
    size_t room = (size_t)(nkeys + states->nfields + mr_projection_count(inputs)) + 2;
    struct mr_field *fields = mr_arena_calloc(arena, room, sizeof *fields);
    plan->key_types = mr_arena_calloc(arena, (size_t)nkeys + 1, sizeof(*plan->key_types));
    if (!fields || !plan->key_types)
        return mr_error_nomem(err);
    for (int k = 0; k < nkeys; k++) {
        plan->key_types[k] = results->fields[k].type;
        fields[n++] = results->fields[k];
    }
    if (session)
        fields[n++] = (struct mr_field){.name = "time", .type = mr_expr_type(plan->time)};
    for (int i = 0; raw && i < mr_projection_count(inputs); i++)
        fields[n++] = (struct mr_field){.name = "input",
                                        .type = mr_expr_type(mr_projection_expr(inputs, i)),
                                        .nullable = true};
    plan->raw = raw;
    plan->ntable = nkeys;
    plan->plain = !raw;
    for (int s = 0; !raw && s < states->nfields; s++) {
        fields[n++] = states->fields[s];
        plan->plain &= mr_type_layout(states->fields[s].type) < MR_LAYOUT_BYTES;
    }
    plan->kept = mr_schema_new(arena, fields, n);
    return plan->kept ? MR_OK : mr_error_nomem(err);
}

/* Schema of what stays: aggregate_book.h. */
static enum mr_status make_book(struct mr_agg_plan *plan, struct mr_arena *arena,
                                struct mr_error *err)
{
    const struct mr_schema *results = mr_aggregation_results(plan->aggregation);
    const struct mr_schema *states = mr_aggregation_states(plan->aggregation);
    int nkeys = plan->nkeys, n = 0;
    struct mr_field *fields =
        mr_arena_calloc(arena, (size_t)(MR_AGG_BOOK_KEYS + nkeys + states->nfields),
                        sizeof *fields);
    if (!fields)
        return mr_error_nomem(err);
    fields[n++] = (struct mr_field){.name = "closed", .type = mr_type_of(MR_TYPE_INT64)};
    fields[n++] = (struct mr_field){.name = "touched", .type = mr_type_of(MR_TYPE_INT64)};
    for (int k = 0; k < nkeys; k++)
        fields[n++] = results->fields[k];
    for (int s = 0; s < states->nfields; s++)
        fields[n++] = states->fields[s];
    for (int i = 0; i < n; i++)
        fields[i].nullable = true;
    plan->book = mr_schema_new(arena, fields, n);
    return plan->book ? MR_OK : mr_error_nomem(err);
}

/* `emit`, and what a stream's loads want. */
static enum mr_status bind_output(struct mr_agg_plan *plan, const struct mr_op_bind *bind,
                                  struct mr_error *err)
{
    int length = 0;
    plan->changes = mr_options_integer(bind->options, "emit", 0) == 1;
    plan->streaming = bind->inputs[0].stream;
    plan->mode = bind->output_mode;
    const char *without = mr_aggregation_not_running(plan->aggregation, &length);
    if (plan->changes && without)
        return mr_options_error(bind->options, "emit", err,
                                "%.*s has no running results: each would cost as much as all rows "
                                "of its group",
                                length, without);
    if (!plan->streaming || plan->changes || plan->mode != MR_OUTPUT_APPEND)
        return MR_OK;
    bool window = plan->window != MR_AGG_NO_WINDOW;
    if (window && bind->inputs[0].measured)
        return MR_OK;
    mr_options_error(bind->options, window ? "watermark" : "window", err,
                     "an aggregate of a stream gives its rows when their window closes, and %s",
                     window ? "without a watermark none does" : "this one has no window");
    mr_error_hint(err,
                  "%sgive the load `outputMode` update or complete, or the step `emit` changes",
                  window ? "put a step withWatermark in front (aggregateData may have the option "
                           "`watermark` instead); or "
                         : "");
    return MR_CONFIG;
}

/* What the plan may know: keys that are columns pass, and filters over them may stand in front. */
static enum mr_status fill_info(const struct mr_agg_plan *plan, const struct mr_op_bind *bind,
                                struct mr_op_info *info, struct mr_error *err)
{
    size_t n = (size_t)plan->schema->nfields + 1;
    int *passes = mr_arena_calloc(bind->arena, n, sizeof *passes);
    bool *crosses = mr_arena_calloc(bind->arena, n, sizeof *crosses);
    const int **passes_from = mr_arena_calloc(bind->arena, 1, sizeof(*passes_from));
    const bool **tables = mr_arena_calloc(bind->arena, 2, sizeof(*tables));
    if (!passes || !crosses || !passes_from || !tables)
        return mr_error_nomem(err);
    for (int i = 0; i < plan->schema->nfields; i++)
        passes[i] = -1;
    for (int k = 0; k < plan->nplain; k++) {
        const struct mr_projection *keys = mr_aggregation_keys(plan->aggregation);
        passes[k] = mr_expr_as_column(mr_projection_expr(keys, k));
        crosses[k] = passes[k] >= 0;
    }
    passes_from[0] = passes;
    tables[0] = plan->used;
    tables[1] = crosses;
    info->passes = passes;
    info->passes_from = passes_from;
    info->reads = tables;
    info->crosses = tables + 1;
    info->schema = plan->schema;
    info->kept = plan->streaming ? plan->book : NULL;
    info->updates = plan->streaming && !plan->changes && plan->mode != MR_OUTPUT_APPEND;
    info->pulls = plan->pulls;
    info->rows = plan->nkeys == 0 ? 1 : bind->inputs[0].rows;
    return MR_OK;
}

static enum mr_status describe(const struct mr_agg_ask *ask, const struct mr_agg_plan *plan,
                               const struct mr_op_bind *bind, struct mr_op_info *info,
                               struct mr_error *err)
{
    struct mr_bytes text;
    bool any = false;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    for (int g = 0; g < plan->nplain; g++)
        mr_bytes_printf(&text, "%s%s", g ? ", " : "by ", ask->groups[g]);
    for (int i = 0; i < ask->ask.count; i++) {
        if (!ask->entries[i]) /* window_end */
            continue;
        mr_bytes_printf(&text, "%s%s = %s",
                        any             ? ", "
                        : text.size > 0 ? ": "
                                        : "",
                        ask->names[i], ask->texts[i]);
        any = true;
    }
    if (plan->window != MR_AGG_NO_WINDOW && text.size > 0)
        mr_bytes_text(&text, "; ");
    mr_agg_describe_window(plan, bind, &text);
    info->details = mr_arena_strndup(bind->arena, text.data, text.size);
    enum mr_status status = mr_bytes_status(&text, err);
    mr_bytes_reset(&text);
    MR_TRY(status);
    return info->details ? MR_OK : mr_error_nomem(err);
}

static enum mr_status aggregate_bind(const struct mr_op_bind *bind, void **out,
                                     struct mr_op_info *info, struct mr_error *err)
{
    struct mr_agg_plan *plan = mr_arena_calloc(bind->arena, 1, sizeof *plan);
    struct mr_agg_ask ask;
    if (!plan)
        return mr_error_nomem(err);
    plan->session = mr_op_session(bind);
    plan->input = bind->inputs[0].schema;
    MR_TRY(mr_agg_window_bind(plan, bind, err));
    MR_TRY(mr_agg_ask_init(&ask, plan, bind, err));
    MR_TRY(mr_agg_ask_compile(plan, &ask, bind, err));
    plan->nkeys = ask.ask.ngroups;
    plan->schema = mr_aggregation_schema(plan->aggregation);
    MR_TRY(check_names(plan, bind, err));
    MR_TRY(find_used(plan, &ask, bind, err));
    MR_TRY(bind_output(plan, bind, err));
    MR_TRY(make_kept(plan, bind->arena, err));
    MR_TRY(make_book(plan, bind->arena, err));
    /* What stays is divided in the same way in every epoch, however many rows come. */
    int wish =
        plan->ntable == 0 ? 1 : mr_op_pulls(bind, plan->streaming ? -1 : bind->inputs[0].rows);
    while (1 << plan->bits < wish && plan->bits < 6)
        plan->bits++;
    plan->pulls = 1 << plan->bits;
    *out = plan;
    MR_TRY(describe(&ask, plan, bind, info, err));
    return fill_info(plan, bind, info, err);
}

static void aggregate_close(void *task)
{
    struct agg_task *self = task;
    if (self->building)
        mr_agg_build_reset(&self->build);
    mr_eval_free(self->eval);
    mr_spill_free(self->spill);
    for (int p = 0; self->results && p < self->plan->pulls; p++)
        mr_spill_free(self->results[p]);
    mr_free(self->results);
    mr_free(self);
}

/* Windows that are over when an epoch begins: by the clock, and never fewer than were given out. */
static int64_t closed_before(struct mr_runtime *runtime)
{
    const struct mr_agg_kept *kept = runtime->kept;
    if (!kept || !runtime->clocks || !runtime->clocks[0])
        return MR_WATERMARK_NONE;
    int64_t before = mr_event_clock_before(runtime->clocks[0]);
    return before > kept->reached ? before : kept->reached;
}

static enum mr_status aggregate_open(void *plan, struct mr_runtime *runtime, void **task,
                                     struct mr_error *err)
{
    struct agg_task *self = mr_calloc(1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    self->plan = plan;
    self->runtime = runtime;
    self->closed = closed_before(runtime);
    if (self->plan->mode == MR_OUTPUT_COMPLETE && !self->plan->changes)
        self->closed = MR_WATERMARK_NONE; /* nothing is ever forgotten */
    enum mr_status status = mr_eval_new(runtime->memory, &self->plan->session, &self->eval, err);
    if (status == MR_OK)
        status = mr_spill_new(runtime, self->plan->kept, self->plan->pulls, runtime->share / 2,
                              &self->spill, err);
    if (status != MR_OK) {
        aggregate_close(self);
        return status;
    }
    *task = self;
    return MR_OK;
}

/* The groups so far go to the spill; the next rows find an empty table. */
static enum mr_status let_go(struct agg_task *self, struct mr_error *err)
{
    if (!self->building)
        return MR_OK;
    int64_t groups = mr_agg_build_count(&self->build);
    MR_TRY(mr_agg_build_keep(&self->build, self->spill, 0, self->plan->bits, err));
    mr_agg_build_reset(&self->build);
    self->building = false;
    self->half = self->back = 0;
    (void)mr_state_fits(self->runtime, mr_spill_resident(self->spill));
    if (self->plan->plain && self->plan->nkeys > 0 && self->rows >= BYPASS_ROWS &&
        groups > self->rows / 4 * 3)
        self->bypass = true;
    self->rows = 0;
    return MR_OK;
}

/* Keys and inputs of a batch of the scope. */
struct evaluated {
    struct mr_column **columns; /* keys, then inputs */
    int count;
};

static void evaluated_reset(struct evaluated *evaluated)
{
    for (int i = 0; i < evaluated->count; i++)
        mr_column_unref(evaluated->columns[i]);
    mr_free(evaluated->columns);
}

static enum mr_status evaluate(struct agg_task *self, const struct mr_batch *batch,
                               struct evaluated *out, struct mr_error *err)
{
    const struct mr_projection *keys = mr_aggregation_keys(self->plan->aggregation);
    const struct mr_projection *inputs = mr_aggregation_inputs(self->plan->aggregation);
    int nkeys = mr_projection_count(keys), ninputs = mr_projection_count(inputs);
    *out = (struct evaluated){.columns =
                                  mr_calloc((size_t)(nkeys + ninputs) + 1, sizeof(*out->columns))};
    if (!out->columns)
        return mr_error_nomem(err);
    enum mr_status status = mr_projection_eval(self->eval, keys, batch, out->columns, err);
    if (status == MR_OK) {
        out->count = nkeys;
        status = mr_projection_eval(self->eval, inputs, batch, out->columns + nkeys, err);
    }
    if (status == MR_OK)
        out->count = nkeys + ninputs;
    else
        evaluated_reset(out);
    return status;
}

/* Every row is a group: its key and a state of one row. */
static enum mr_status keep_rows(struct agg_task *self, const struct evaluated *evaluated,
                                const int32_t *rows, int64_t count, struct mr_error *err)
{
    const struct mr_agg_plan *plan = self->plan;
    struct mr_memory *memory = self->runtime->memory;
    struct mr_agg_states *states = NULL;
    struct mr_batch *batch = NULL;
    struct mr_column **columns = mr_calloc((size_t)plan->kept->nfields + 1, sizeof(*columns));
    uint64_t *hashes = mr_calloc((size_t)count + 1, sizeof *hashes);
    uint32_t *numbers = mr_alloc(((size_t)count + 1) * sizeof *numbers);
    enum mr_status status = columns && hashes && numbers ? MR_OK : mr_error_nomem(err);
    int taken = 0;
    if (status != MR_OK)
        goto out;
    for (int64_t i = 0; i < count; i++)
        numbers[i] = (uint32_t)i;
    MR_TRY_OUT(mr_agg_states_new(plan->aggregation, memory, &states, err));
    MR_TRY_OUT(mr_agg_states_resize(states, count, err));
    MR_TRY_OUT(
        mr_agg_states_update(states, evaluated->columns + plan->nkeys, rows, count, numbers, err));
    for (; taken < plan->nkeys && status == MR_OK; taken += status == MR_OK) {
        struct mr_column *key = evaluated->columns[taken];
        mr_column_hash(key, rows, count, hashes);
        if (rows)
            status = mr_column_take(memory, key, rows, count, &columns[taken], err);
        else
            columns[taken] = mr_column_ref(key);
    }
    if (status == MR_OK)
        status = mr_agg_states_export(states, 0, count, columns + plan->nkeys, err);
    if (status != MR_OK) {
        for (int k = 0; k < taken; k++)
            mr_column_unref(columns[k]);
        goto out;
    }
    MR_TRY_OUT(mr_batch_new(plan->kept, count, columns, &batch, err));
    for (int64_t i = 0; i < count; i++)
        numbers[i] = mr_spill_partition(hashes[i], plan->bits);
    status = mr_spill_scatter(self->spill, batch, NULL, numbers, count, err);
out:
    mr_batch_unref(batch);
    mr_agg_states_free(states);
    mr_free(columns);
    mr_free(hashes);
    mr_free(numbers);
    return status;
}

/*
 * Events come in the order of time, and a group of a window is done with when the window has passed: then a table that grows
 * and grows is slower with every row. When hardly a row went back to the older half of the groups, and the others
 * met more than one row each, all go to the spill as they are, and the table starts again in the cache. Groups that come
 * back all over the time, or never, stay as they were.
 */
static enum mr_status pass_on(struct agg_task *self, int64_t count, struct mr_error *err)
{
    int64_t groups = mr_agg_build_count(&self->build), back = 0;
    if (!self->plan->plain || self->plan->nkeys == 0 || groups < HALF_GROUPS)
        return MR_OK;
    if (self->half == 0) {
        self->half = groups;
        self->half_rows = self->rows;
        return MR_OK;
    }
    if (self->half == INT64_MAX) /* looked at, and kept */
        return MR_OK;
    for (int64_t i = 0; i < count; i++)
        back += self->build.groups[i] < self->half;
    self->back += back;
    if (groups < 2 * self->half)
        return MR_OK;
    int64_t rows = self->rows - self->half_rows, fresh = groups - self->half;
    bool done = self->back < rows / 16 && rows - self->back > fresh / 2 * 3;
    self->half = done ? 0 : INT64_MAX;
    self->back = 0;
    if (!done)
        return MR_OK;
    MR_TRY(mr_agg_build_keep(&self->build, self->spill, 0, self->plan->bits, err));
    self->rows = 0;
    return mr_agg_build_clear(&self->build, err);
}

static enum mr_status build_rows(struct agg_task *self, const struct evaluated *evaluated,
                                 const int32_t *rows, int64_t count, struct mr_error *err)
{
    const struct mr_agg_plan *plan = self->plan;
    if (!self->building) {
        MR_TRY(mr_agg_build_init(&self->build, plan, self->runtime->memory, err));
        self->building = true;
    }
    MR_TRY(mr_agg_build_groups(&self->build, evaluated->columns, rows, count, NULL, err));
    MR_TRY(mr_agg_states_update(self->build.states, evaluated->columns + plan->nkeys, rows, count,
                                self->build.groups, err));
    self->rows += count;
    MR_TRY(pass_on(self, count, err));
    int64_t bytes = mr_agg_build_bytes(&self->build) + mr_spill_resident(self->spill);
    return mr_state_fits(self->runtime, bytes) ? MR_OK : let_go(self, err);
}

static enum mr_status push_rows(struct agg_task *self, const struct mr_batch *batch,
                                struct mr_error *err)
{
    struct evaluated evaluated;
    const int32_t *rows = mr_selection_rows(batch->selection);
    int64_t count = mr_batch_active(batch);
    if (count == 0)
        return MR_OK;
    MR_TRY(evaluate(self, batch, &evaluated, err));
    enum mr_status status = self->bypass ? keep_rows(self, &evaluated, rows, count, err)
                                         : build_rows(self, &evaluated, rows, count, err);
    evaluated_reset(&evaluated);
    return status;
}

/* The input with NULLs for window_start and window_end, which are not known yet. */
static enum mr_status widen(const struct mr_agg_plan *plan, struct mr_memory *memory,
                            const struct mr_batch *batch, struct mr_batch **out,
                            struct mr_error *err)
{
    int n = plan->input->nfields, done = 0;
    struct mr_column *columns[2];
    struct mr_value null = {.type = mr_expr_type(plan->time), .is_null = true};
    struct mr_column **all = mr_calloc((size_t)n + 2, sizeof(*all));
    enum mr_status status = all ? MR_OK : mr_error_nomem(err);
    for (; done < 2 && status == MR_OK; done += status == MR_OK)
        status = mr_column_new_constant(memory, null.type, &null, batch->rows, &columns[done], err);
    if (status != MR_OK) {
        while (done-- > 0)
            mr_column_unref(columns[done]);
        mr_free(all);
        return status;
    }
    for (int i = 0; i < n; i++)
        all[i] = mr_column_ref(batch->columns[i]);
    all[n] = columns[0];
    all[n + 1] = columns[1];
    status = mr_batch_new(plan->scope, batch->rows, all, out, err);
    mr_free(all);
    return status;
}

/* Rows of a session that are there and not late. */
static int64_t take_events(struct agg_task *self, const struct mr_column *times, int64_t count,
                           int32_t *rows)
{
    const struct mr_agg_plan *plan = self->plan;
    const int64_t *values = (const int64_t *)(const void *)times->values->data;
    int64_t n = 0, late = 0;
    for (int64_t i = 0; i < count; i++) {
        if (mr_column_is_null(times, i))
            continue;
        bool closed = mr_agg_closes(plan, mr_agg_end(plan, values[i]), self->closed);
        rows[n] = (int32_t)i;
        n += !closed;
        late += closed;
    }
    mr_count(self->runtime, MR_COUNT_ROWS_LATE, late);
    return n;
}

/* Keys, of sessions the event time, and inputs, as they are. */
static enum mr_status keep_raw(struct agg_task *self, struct mr_batch *batch, struct mr_error *err)
{
    const struct mr_agg_plan *plan = self->plan;
    struct mr_memory *memory = self->runtime->memory;
    bool session = plan->window == MR_AGG_SESSION;
    struct mr_batch *compact = NULL, *wide = NULL, *kept = NULL;
    struct evaluated evaluated = {0};
    struct mr_column *time = NULL, *times = NULL;
    struct mr_column **columns = mr_calloc((size_t)plan->kept->nfields + 1, sizeof(*columns));
    uint32_t *partitions = NULL;
    int32_t *rows = NULL;
    int n = 0;
    enum mr_status status = columns ? MR_OK : mr_error_nomem(err);
    if (status != MR_OK)
        goto out;
    MR_TRY_OUT(mr_batch_compact(memory, batch, &compact, err));
    int64_t count = compact->rows;
    if (session) {
        MR_TRY_OUT(mr_expr_eval(self->eval, plan->time, compact, &time, err));
        MR_TRY_OUT(mr_column_flatten(memory, time, &times, err));
        MR_TRY_OUT(widen(plan, memory, compact, &wide, err));
        rows = mr_alloc(((size_t)count + 1) * sizeof *rows);
        status = rows ? MR_OK : mr_error_nomem(err);
        if (status != MR_OK)
            goto out;
        count = take_events(self, times, count, rows);
    }
    MR_TRY_OUT(evaluate(self, session ? wide : compact, &evaluated, err));
    for (; n < plan->ntable; n++)
        columns[n] = mr_column_ref(evaluated.columns[n]);
    if (session)
        columns[n++] = mr_column_ref(times);
    for (int i = plan->nkeys; i < evaluated.count; i++)
        columns[n++] = mr_column_ref(evaluated.columns[i]);
    MR_TRY_OUT(mr_batch_new(plan->kept, compact->rows, columns, &kept, err));
    MR_TRY_OUT(mr_agg_row_partitions(plan, kept, 0, 0, plan->bits, &partitions, err));
    for (int64_t i = 0; i < count && rows; i++)
        partitions[i] = partitions[rows[i]];
    status = mr_spill_scatter(self->spill, kept, rows, partitions, count, err);
out:
    mr_batch_unref(compact);
    mr_batch_unref(wide);
    mr_batch_unref(kept);
    mr_column_unref(time);
    mr_column_unref(times);
    evaluated_reset(&evaluated);
    mr_free(columns);
    mr_free(partitions);
    mr_free(rows);
    return status;
}

static enum mr_status aggregate_push(void *task, int port, struct mr_batch *batch,
                                     struct mr_emit *emit, struct mr_error *err)
{
    (void)port;
    (void)emit;
    struct agg_task *self = task;
    const struct mr_agg_plan *plan = self->plan;
    if (plan->window == MR_AGG_NO_WINDOW || plan->window == MR_AGG_SESSION)
        return plan->raw ? keep_raw(self, batch, err) : push_rows(self, batch, err);
    struct mr_batch *placed;
    int64_t late = 0;
    MR_TRY(mr_agg_window_rows(plan, self->eval, self->runtime->memory, batch, self->closed, &late,
                              &placed, err));
    if (late > 0)
        mr_count(self->runtime, MR_COUNT_ROWS_LATE, late);
    enum mr_status status = MR_OK;
    if (placed)
        status = plan->raw ? keep_raw(self, placed, err) : push_rows(self, placed, err);
    mr_batch_unref(placed);
    return status;
}

static enum mr_status aggregate_finish(void *task, int port, struct mr_emit *emit,
                                       struct mr_error *err)
{
    (void)port;
    (void)emit;
    struct agg_task *self = task;
    MR_TRY(let_go(self, err));
    mr_eval_free(self->eval);
    self->eval = NULL;
    return mr_spill_flush(self->spill, err);
}

static enum mr_status aggregate_combine(void *into, void *from, struct mr_error *err)
{
    struct agg_task *a = into, *b = from;
    return mr_spill_absorb(a->spill, b->spill, err);
}

/* Results go where they wait to be pulled. */
struct result_emit {
    struct mr_emit emit;
    struct mr_spill *spill;
};

static enum mr_status keep_result(struct mr_emit *emit, int port, struct mr_batch *batch,
                                  struct mr_error *err)
{
    (void)port;
    struct result_emit *self = (struct result_emit *)(void *)emit;
    enum mr_status status = mr_spill_add(self->spill, 0, batch, err);
    mr_batch_unref(batch);
    return status;
}

static enum mr_status begin_settle(struct agg_task *self, struct mr_runtime *runtime, int *pieces,
                                   struct mr_error *err)
{
    struct mr_agg_kept *kept = runtime->kept;
    bool clock = runtime->clocks && runtime->clocks[0];
    if (kept->plan->bits != self->plan->bits)
        return mr_error_set(err, MR_CONFIG, MR_CLASS_FATAL,
                            "the number of partitions of a stream has changed");
    self->results = mr_calloc((size_t)self->plan->pulls, sizeof(*self->results));
    if (!self->results)
        return mr_error_nomem(err);
    for (int p = 0; p < self->plan->pulls; p++)
        MR_TRY(mr_spill_new(runtime, self->plan->schema, 1, runtime->share / 2 / self->plan->pulls,
                            &self->results[p], err));
    *pieces = self->plan->pulls;
    return mr_agg_kept_begin(kept,
                             clock ? mr_event_clock_reached(runtime->clocks[0]) : MR_WATERMARK_NONE,
                             err);
}

static enum mr_status aggregate_settle(void *built, struct mr_runtime *runtime, int piece,
                                       int *pieces, struct mr_error *err)
{
    struct agg_task *self = built;
    struct mr_agg_kept *kept = runtime->kept;
    if (!self->plan->streaming)
        return MR_OK;
    if (!kept)
        return mr_error_set(err, MR_CONFIG, MR_CLASS_FATAL,
                            "an aggregate of a stream has nothing that keeps its groups");
    if (piece < 0)
        return begin_settle(self, runtime, pieces, err);
    struct result_emit results = {.emit = {.batch = keep_result}, .spill = self->results[piece]};
    struct mr_agg_settling settling = {.kept = kept,
                                       .plan = self->plan,
                                       .runtime = runtime,
                                       .spill = self->spill,
                                       .partition = piece,
                                       .emit = &results.emit};
    MR_TRY(mr_eval_new(runtime->memory, &self->plan->session, &settling.eval, err));
    enum mr_status status = mr_agg_settle_part(&settling, &kept->parts[piece], err);
    mr_eval_free(settling.eval);
    mr_spill_drop(self->spill, piece);
    return status;
}

static enum mr_status aggregate_rest(void *built, int64_t bytes, struct mr_error *err)
{
    struct agg_task *self = built;
    for (int p = 0; self->results && p < self->plan->pulls; p++)
        MR_TRY(mr_spill_limit(self->results[p], bytes / self->plan->pulls, err));
    return mr_spill_limit(self->spill, bytes, err);
}

static enum mr_status pull_results(const struct mr_spill *results, struct mr_runtime *runtime,
                                   struct mr_emit *emit, struct mr_error *err)
{
    for (int c = 0; c < mr_spill_chunks(results, 0) && !emit->closed; c++) {
        struct mr_batch *batch;
        MR_TRY(mr_spill_chunk(results, runtime, 0, c, &batch, err));
        MR_TRY(emit->batch(emit, 0, batch, err));
    }
    return MR_OK;
}

static enum mr_status aggregate_pull(const void *built, struct mr_runtime *runtime, int partition,
                                     struct mr_emit *emit, struct mr_error *err)
{
    const struct agg_task *self = built;
    if (self->results)
        return pull_results(self->results[partition], runtime, emit, err);
    if (self->plan->changes)
        return mr_agg_pull_changes(self->plan, self->spill, runtime, partition, emit, err);
    if (self->plan->window == MR_AGG_SESSION)
        return mr_agg_pull_sessions(self->plan, self->spill, runtime, partition, emit, err);
    return mr_agg_pull(self->plan, self->spill, runtime, partition, emit, err);
}

static const char *const window_types[] = {"tumbling", "sliding", "session", NULL};

static const char *const emits[] = {"final", "changes", NULL};

static const struct mr_option window_fields[] = {
    {.name = "column",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_REQUIRED,
     .doc = "The event time: a column or an expression of type timestamp. Rows where it is NULL "
            "belong to no window."},
    {.name = "type",
     .type = MR_OPTION_ENUM,
     .fallback = "tumbling",
     .choices = window_types,
     .doc = "tumbling: one after the other; sliding: one begins every `slide`; session: ends "
            "when nothing came for `gap`."},
    {.name = "size",
     .type = MR_OPTION_DURATION,
     .unit = "seconds",
     .unit_micros = 1000000,
     .minimum = 1,
     .doc = "Length of tumbling and sliding windows, which are aligned to 1970-01-01 00:00 UTC."},
    {.name = "slide",
     .type = MR_OPTION_DURATION,
     .unit = "seconds",
     .unit_micros = 1000000,
     .minimum = 1,
     .doc = "Distance from one sliding window to the next."},
    {.name = "gap",
     .type = MR_OPTION_DURATION,
     .unit = "seconds",
     .unit_micros = 1000000,
     .minimum = 1,
     .doc = "What ends a session."},
    MR_OPTION_END,
};

const struct mr_option mr_agg_options[] = {
    {.name = "groupBy",
     .aliases = "groupByColumns",
     .type = MR_OPTION_STRINGS,
     .doc = "Columns or expressions, each with AS and a name behind it if wanted. Without any, "
            "the result is one row, also for no input."},
    {.name = "aggregations",
     .type = MR_OPTION_PAIRS,
     .doc = "Either {column: function}, which gives a column `<column>_<function>` (mean: "
            "`_avg`), or {name: expression over aggregates}, in any mixture."},
    {.name = "having",
     .type = MR_OPTION_STRING,
     .doc = "A condition over the results: aggregates, group columns, and names of aggregations."},
    {.name = "window",
     .type = MR_OPTION_OBJECT,
     .fields = window_fields,
     .doc = "Groups by windows of event time as well, and adds window_start and window_end "
            "behind the group columns."},
    {.name = "emit",
     .type = MR_OPTION_ENUM,
     .fallback = "final",
     .choices = emits,
     .doc = "final: a row for each group; in a stream when its window closes, or as the load's "
            "`outputMode` says. "
            "changes: for each input row the new values of its group."},
    MR_WATERMARK_OPTION,
    MR_LATE_OPTIONS,
    MR_OPTION_END,
};

const struct mr_op mr_op_aggregate_data = {
    .name = "aggregateData",
    .doc = "Groups rows and computes aggregates. More groups than fit in memory are kept in "
           "temporary files.",
    .options = mr_agg_options,
    .flags = MR_OP_BREAKER | MR_OP_TAKES_SELECTION | MR_OP_STATEFUL,
    .min_inputs = 1,
    .max_inputs = 1,
    .expand = mr_agg_expand,
    .bind = aggregate_bind,
    .open = aggregate_open,
    .push = aggregate_push,
    .finish = aggregate_finish,
    .combine = aggregate_combine,
    .settle = aggregate_settle,
    .keeper = &mr_agg_keeper,
    .rest = aggregate_rest,
    .pull = aggregate_pull,
    .close = aggregate_close,
};

/*
 * with_watermark.c - measures the event time of a frame as its rows pass.
 *
 * What it keeps is an event clock: the latest time of each partition of the source (runtime->origin), and how far the
 * watermark has come. Rows are not changed and not held; the latest time of a batch is found in one pass and told to the clock
 * under its lock. Filters do not move in front of it: a row that is filtered out behind it has been seen, and moved the
 * watermark.
 *
 * Saved are a row for each partition whose latest time has changed, and one without origin: what was reached. In batch nothing is
 * measured.
 */
#include "op/event_time.h"
#include "op/ops.h"

#include "base/time.h"
#include "col/builder.h"

struct watermark_plan {
    struct mr_expr *time;
    struct mr_sql_session session;
    const struct mr_schema *kept;
    int64_t delay;
    int64_t idle;
};

static enum mr_status make_kept_schema(struct mr_arena *arena, const struct mr_schema **out,
                                       struct mr_error *err)
{
    struct mr_field fields[] = {
        {.name = "origin", .type = mr_type_of(MR_TYPE_STRING), .nullable = true},
        {.name = "time", .type = mr_type_of(MR_TYPE_INT64)},
    };
    *out = mr_schema_new(arena, fields, 2);
    return *out ? MR_OK : mr_error_nomem(err);
}

/* "ts, delay 1m, idle 30s" */
static const char *describe(const struct watermark_plan *self, const char *column,
                            struct mr_arena *arena)
{
    char delay[32], idle[32];
    mr_duration_format(self->delay, delay, sizeof delay);
    mr_duration_format(self->idle, idle, sizeof idle);
    return mr_arena_printf(arena, "event time %s%s%s%s%s", column,
                           self->delay > 0 ? ", delay " : "", self->delay > 0 ? delay : "",
                           self->idle > 0 ? ", idle after " : "", self->idle > 0 ? idle : "");
}

static enum mr_status watermark_bind(const struct mr_op_bind *bind, void **plan,
                                     struct mr_op_info *info, struct mr_error *err)
{
    struct watermark_plan *self = mr_arena_calloc(bind->arena, 1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    const char *text = mr_options_text(bind->options, "column");
    self->session = mr_op_session(bind);
    self->delay = mr_options_integer(bind->options, "delay", 0);
    self->idle = mr_options_integer(bind->options, "idle", 0);
    MR_TRY(mr_event_time_compile(bind, text, bind->options, "column", &self->time, err));
    info->schema = bind->inputs[0].schema;
    info->rows = bind->inputs[0].rows;
    info->details = describe(self, text, bind->arena);
    info->passes = mr_op_passes_all(bind->arena, info->schema);
    if (!info->passes || !info->details)
        return mr_error_nomem(err);
    if (bind->inputs[0].stream) {
        MR_TRY(make_kept_schema(bind->arena, &self->kept, err));
        info->kept = self->kept;
    }
    *plan = self;
    return MR_OK;
}

static enum mr_status watermark_open(void *plan, struct mr_runtime *runtime, void **task,
                                     struct mr_error *err)
{
    struct watermark_plan *self = plan;
    return mr_op_eval_open(plan, runtime, &self->session, task, err);
}

/* The latest time among the rows that count; NONE = no row has one. */
static int64_t latest(const struct mr_column *times, const struct mr_batch *batch)
{
    const int64_t *values = (const int64_t *)(const void *)times->values->data;
    const int32_t *rows = mr_selection_rows(batch->selection);
    int64_t most = MR_WATERMARK_NONE, count = mr_batch_active(batch);
    if (!rows && times->nulls == 0) {
        for (int64_t i = 0; i < count; i++)
            most = values[i] > most ? values[i] : most;
        return most;
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t row = rows ? rows[i] : i;
        if (values[row] > most && !mr_column_is_null(times, row))
            most = values[row];
    }
    return most;
}

static enum mr_status measure(struct mr_op_eval_task *self, const struct mr_batch *batch,
                              struct mr_error *err)
{
    const struct watermark_plan *plan = self->plan;
    const char *origin = self->runtime->origin;
    struct mr_column *times = NULL;
    MR_TRY(mr_event_time_eval(self->eval, plan->time, batch, self->runtime->memory, &times, err));
    int64_t time = latest(times, batch);
    mr_column_unref(times);
    if (time == MR_WATERMARK_NONE)
        return MR_OK;
    return mr_event_clock_seen(self->runtime->kept, origin ? origin : "", time, err);
}

static enum mr_status watermark_push(void *task, int port, struct mr_batch *batch,
                                     struct mr_emit *emit, struct mr_error *err)
{
    (void)port;
    struct mr_op_eval_task *self = task;
    if (self->runtime->kept)
        MR_TRY(measure(self, batch, err));
    return emit->batch(emit, 0, mr_batch_ref(batch), err);
}

/* --- what is kept --- */

static enum mr_status kept_open(void *plan, struct mr_runtime *runtime, int64_t share, void **kept,
                                struct mr_error *err)
{
    (void)runtime;
    (void)share;
    const struct watermark_plan *self = plan;
    struct mr_event_clock *clock = NULL;
    enum mr_status status = mr_event_clock_new(self->delay, self->idle, &clock, err);
    *kept = clock;
    return status;
}

static enum mr_status kept_restore(void *kept, struct mr_batch *rows, struct mr_error *err)
{
    for (int64_t i = 0; i < rows->rows; i++) {
        struct mr_value origin, time;
        mr_column_get(rows->columns[0], i, &origin);
        mr_column_get(rows->columns[1], i, &time);
        char *name = origin.is_null ? NULL : mr_strndup(origin.u.bytes.data, origin.u.bytes.size);
        if (!origin.is_null && !name)
            return mr_error_nomem(err);
        enum mr_status status = mr_event_clock_restore(kept, name, time.u.i64, err);
        mr_free(name);
        MR_TRY(status);
    }
    return MR_OK;
}

static enum mr_status add_mark(struct mr_builder *origins, struct mr_builder *times,
                               const struct mr_event_mark *mark, struct mr_error *err)
{
    if (mark->origin)
        MR_TRY(mr_builder_bytes(origins, mark->origin, strlen(mark->origin), err));
    else
        MR_TRY(mr_builder_null(origins, err));
    return mr_builder_int(times, mark->time, err);
}

static enum mr_status kept_save(void *kept, bool everything, struct mr_emit *emit,
                                struct mr_error *err)
{
    struct mr_arena arena;
    struct mr_builder origins = {0}, times = {0};
    struct mr_column *columns[2] = {NULL, NULL};
    struct mr_batch *batch = NULL;
    struct mr_event_mark mark;
    const struct mr_schema *schema = NULL;
    enum mr_status status = MR_OK;
    int64_t rows = 0;
    mr_arena_init(&arena, NULL);
    MR_TRY_OUT(make_kept_schema(&arena, &schema, err));
    MR_TRY_OUT(mr_builder_init(&origins, NULL, schema->fields[0].type, err));
    MR_TRY_OUT(mr_builder_init(&times, NULL, schema->fields[1].type, err));
    for (int i = 0; mr_event_clock_mark(kept, i, &mark); i++) {
        if (mark.time == MR_WATERMARK_NONE || (!everything && !mark.changed))
            continue;
        MR_TRY_OUT(add_mark(&origins, &times, &mark, err));
        rows++;
    }
    if (rows == 0)
        goto out;
    MR_TRY_OUT(mr_builder_finish(&origins, &columns[0], err));
    MR_TRY_OUT(mr_builder_finish(&times, &columns[1], err));
    status = mr_batch_new(schema, rows, columns, &batch, err);
    columns[0] = columns[1] = NULL;
    if (status == MR_OK)
        status = emit->batch(emit, 0, batch, err);
    if (status == MR_OK)
        mr_event_clock_saved(kept);
out:
    mr_column_unref(columns[0]);
    mr_column_unref(columns[1]);
    mr_builder_reset(&origins);
    mr_builder_reset(&times);
    mr_arena_reset(&arena);
    return status;
}

static bool kept_due(void *kept, int64_t now)
{
    return mr_event_clock_due(kept, now);
}

static void kept_close(void *kept)
{
    mr_event_clock_free(kept);
}

static const struct mr_keeper keeper = {
    .open = kept_open,
    .restore = kept_restore,
    .save = kept_save,
    .due = kept_due,
    .close = kept_close,
};

const struct mr_op mr_op_with_watermark = {
    .name = "withWatermark",
    .doc = "Measures the event time of a stream's rows as they pass, for the windows, joins and "
           "deduplications behind; passes all rows on. Does nothing in batch.",
    .options = mr_watermark_options,
    .flags = MR_OP_STREAMING | MR_OP_STATEFUL | MR_OP_TAKES_SELECTION | MR_OP_MEASURES,
    .min_inputs = 1,
    .max_inputs = 1,
    .keeper = &keeper,
    .bind = watermark_bind,
    .open = watermark_open,
    .push = watermark_push,
    .close = mr_op_eval_close,
};

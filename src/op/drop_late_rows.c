/*
 * drop_late_rows.c - leaves out rows that the watermark has passed.
 *
 * A row is late when the end of what it belongs to (`until`: the end of its window, its time plus the bound of a join) was not after the
 * watermark before the epoch began: what it would have changed was finished then. That depends on the row and on `before` alone, so which
 * rows are late does not depend on the timing of threads, and the same epoch run again leaves out the same rows. Late rows are
 * counted, and with `late` deadLetter go out on port 1 with the watermark that they missed; for a topic with a header that says why, since
 * other dead letters may be in it.
 */
#include "op/event_time.h"
#include "op/ops.h"

#include "ext/letter.h"

#define LETTER_COLUMN "_watermark"
#define HEADERS       "map('millrace.reason', 'late')"

struct late_plan {
    struct mr_expr *until;
    struct mr_sql_session session;
    const struct mr_schema *side; /* NULL: late rows are dropped */
    struct mr_expr *headers;      /* of records for a topic, or NULL */
};

static enum mr_status make_side(const struct mr_op_bind *bind, enum mr_late late,
                                struct late_plan *self, struct mr_error *err)
{
    static const char *const own[] = {LETTER_COLUMN, MR_LETTER_HEADERS};
    const struct mr_schema *input = bind->inputs[0].schema;
    struct mr_sql_scope scope = mr_op_scope(bind, 0);
    int n = input->nfields, nown = late == MR_LATE_TOPIC ? 2 : 1;
    struct mr_field *fields = mr_arena_calloc(bind->arena, (size_t)n + 2, sizeof *fields);
    if (!fields)
        return mr_error_nomem(err);
    for (int i = 0; i < nown; i++)
        if (mr_schema_find(input, own[i]) != -1)
            return mr_options_error(bind->options, "late", err,
                                    "the input has a column %s already: rename it", own[i]);
    for (int i = 0; i < n; i++)
        fields[i] = input->fields[i];
    fields[n] = (struct mr_field){.name = LETTER_COLUMN, .type = mr_type_of(MR_TYPE_TIMESTAMP)};
    if (late == MR_LATE_TOPIC) {
        MR_TRY(mr_expr_compile(bind->arena, HEADERS, &scope, &self->session, &self->headers, err));
        fields[n + 1] =
            (struct mr_field){.name = MR_LETTER_HEADERS, .type = mr_expr_type(self->headers)};
    }
    self->side = mr_schema_new(bind->arena, fields, n + nown);
    return self->side ? MR_OK : mr_error_nomem(err);
}

static enum mr_status late_bind(const struct mr_op_bind *bind, void **plan, struct mr_op_info *info,
                                struct mr_error *err)
{
    struct late_plan *self = mr_arena_calloc(bind->arena, 1, sizeof *self);
    enum mr_late late;
    if (!self)
        return mr_error_nomem(err);
    const char *text = mr_options_text(bind->options, "until");
    self->session = mr_op_session(bind);
    MR_TRY(mr_event_time_compile(bind, text, bind->options, "until", &self->until, err));
    MR_TRY(mr_late_bind(bind->options, &late, err));
    if (late != MR_LATE_DROP)
        MR_TRY(make_side(bind, late, self, err));
    info->schema = bind->inputs[0].schema;
    info->side = self->side;
    info->rows = bind->inputs[0].rows;
    const char *words = mr_options_text(bind->options, "untilWords");
    info->details = words != NULL ? words : text;
    info->passes = mr_op_passes_all(bind->arena, info->schema);
    *plan = self;
    return info->passes ? MR_OK : mr_error_nomem(err);
}

static enum mr_status late_open(void *plan, struct mr_runtime *runtime, void **task,
                                struct mr_error *err)
{
    struct late_plan *self = plan;
    return mr_op_eval_open(plan, runtime, &self->session, task, err);
}

struct parts {
    struct mr_buffer *good, *late;
    int64_t ngood, nlate;
};

static bool any_late(const struct mr_column *times, const struct mr_batch *batch, int64_t before)
{
    const int64_t *values = (const int64_t *)(const void *)times->values->data;
    const int32_t *rows = mr_selection_rows(batch->selection);
    int64_t count = mr_batch_active(batch);
    for (int64_t i = 0; i < count; i++) {
        int64_t row = rows ? rows[i] : i;
        if (values[row] <= before && !mr_column_is_null(times, row))
            return true;
    }
    return false;
}

static enum mr_status divide(const struct mr_column *times, const struct mr_batch *batch,
                             int64_t before, struct mr_memory *memory, struct parts *out,
                             struct mr_error *err)
{
    const int64_t *values = (const int64_t *)(const void *)times->values->data;
    const int32_t *rows = mr_selection_rows(batch->selection);
    int64_t count = mr_batch_active(batch);
    MR_TRY(mr_buffer_new(memory, (size_t)count * sizeof(int32_t), &out->good, err));
    MR_TRY(mr_buffer_new(memory, (size_t)count * sizeof(int32_t), &out->late, err));
    int32_t *good = (void *)out->good->data, *late = (void *)out->late->data;
    for (int64_t i = 0; i < count; i++) {
        int32_t row = rows ? rows[i] : (int32_t)i;
        if (values[row] <= before && !mr_column_is_null(times, row))
            late[out->nlate++] = row;
        else
            good[out->ngood++] = row;
    }
    mr_buffer_finish(out->good, (size_t)out->ngood * sizeof(int32_t));
    mr_buffer_finish(out->late, (size_t)out->nlate * sizeof(int32_t));
    return MR_OK;
}

/* Takes over the buffer. */
static enum mr_status select_rows(struct mr_batch *batch, struct mr_buffer **rows, int64_t count,
                                  struct mr_batch **out, struct mr_error *err)
{
    struct mr_selection *selection = NULL;
    enum mr_status status = mr_selection_new(*rows, count, &selection, err);
    *rows = NULL;
    return status == MR_OK ? mr_batch_select(batch, selection, out, err) : status;
}

static enum mr_status emit_letters(const struct mr_op_eval_task *self, struct mr_batch *batch,
                                   int64_t before, struct mr_emit *emit, struct mr_error *err)
{
    const struct late_plan *plan = self->plan;
    int n = batch->schema->nfields;
    struct mr_batch *dense = NULL, *out = NULL;
    struct mr_column **columns = NULL;
    struct mr_value value = {.type = mr_type_of(MR_TYPE_TIMESTAMP), .u.i64 = before};
    MR_TRY(mr_batch_compact(self->runtime->memory, batch, &dense, err));
    enum mr_status status = MR_OK;
    columns = mr_calloc((size_t)n + 2, sizeof(*columns));
    if (!columns) {
        status = mr_error_nomem(err);
        goto out;
    }
    if (plan->headers)
        MR_TRY_OUT(mr_expr_eval(self->eval, plan->headers, dense, &columns[n + 1], err));
    status = mr_column_new_constant(self->runtime->memory, value.type, &value, dense->rows,
                                    &columns[n], err);
    if (status != MR_OK) {
        mr_column_unref(columns[n + 1]);
        goto out;
    }
    for (int i = 0; i < n; i++)
        columns[i] = mr_column_ref(dense->columns[i]);
    MR_TRY_OUT(mr_batch_new(plan->side, dense->rows, columns, &out, err));
    status = emit->batch(emit, 1, out, err);
out:
    mr_free(columns);
    mr_batch_unref(dense);
    return status;
}

static enum mr_status part_with(struct mr_op_eval_task *self, struct mr_batch *batch,
                                struct parts *parts, int64_t before, struct mr_emit *emit,
                                struct mr_error *err)
{
    const struct late_plan *plan = self->plan;
    struct mr_batch *good = NULL, *late = NULL;
    enum mr_status status = MR_OK;
    mr_count(self->runtime, MR_COUNT_ROWS_LATE, parts->nlate);
    if (plan->side) {
        MR_TRY(select_rows(batch, &parts->late, parts->nlate, &late, err));
        status = emit_letters(self, late, before, emit, err);
        mr_batch_unref(late);
    }
    if (status != MR_OK || parts->ngood == 0)
        return status;
    MR_TRY(select_rows(batch, &parts->good, parts->ngood, &good, err));
    return emit->batch(emit, 0, good, err);
}

static enum mr_status late_push(void *task, int port, struct mr_batch *batch, struct mr_emit *emit,
                                struct mr_error *err)
{
    (void)port;
    struct mr_op_eval_task *self = task;
    const struct late_plan *plan = self->plan;
    struct mr_event_clock *const *clocks = self->runtime->clocks;
    int64_t before = clocks && clocks[0] ? mr_event_clock_before(clocks[0]) : MR_WATERMARK_NONE;
    if (before == MR_WATERMARK_NONE)
        return emit->batch(emit, 0, mr_batch_ref(batch), err);
    struct mr_memory *memory = self->runtime->memory;
    struct mr_column *times = NULL;
    MR_TRY(mr_event_time_eval(self->eval, plan->until, batch, memory, &times, err));
    enum mr_status status = MR_OK;
    if (!any_late(times, batch, before)) {
        status = emit->batch(emit, 0, mr_batch_ref(batch), err);
    } else {
        struct parts parts = {0};
        status = divide(times, batch, before, memory, &parts, err);
        if (status == MR_OK)
            status = part_with(self, batch, &parts, before, emit, err);
        mr_buffer_unref(parts.good);
        mr_buffer_unref(parts.late);
    }
    mr_column_unref(times);
    return status;
}

static const struct mr_option late_options[] = {
    {.name = "until",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_REQUIRED | MR_OPTION_EXPRESSION,
     .doc = "When what the row belongs to is finished: it is late if the watermark had come so far "
            "before the "
            "epoch began. NULL: never."},
    {.name = "untilWords",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_INTERNAL,
     .doc = "What that is, for the plan."},
    MR_LATE_OPTIONS,
    MR_OPTION_END,
};

const struct mr_op mr_op_drop_late_rows = {
    .name = "dropLateRows",
    .doc = "In a stream with a watermark, leaves out rows that come too late, and counts them. "
           "Windows, joins and deduplications with a watermark do that by themselves.",
    .options = late_options,
    .flags = MR_OP_STREAMING | MR_OP_STATEFUL | MR_OP_TAKES_SELECTION,
    .min_inputs = 1,
    .max_inputs = 1,
    .bind = late_bind,
    .open = late_open,
    .push = late_push,
    .close = mr_op_eval_close,
};

/*
 * to_avro_schema.c - the Avro schema of a frame: one row, column avro_schema.
 *
 * The text is known when the step is bound; the rows are only a reason to run. It has all rows in one task and closes its input
 * after the first batch.
 */
#include "enc/avro_type.h"
#include "op/bind.h"
#include "op/ops.h"

struct schema_plan {
    const struct mr_schema *schema;
    const char *text;
};

struct schema_task {
    const struct schema_plan *plan;
    struct mr_runtime *runtime;
    bool done;
};

static enum mr_status schema_bind(const struct mr_op_bind *bind, void **out,
                                  struct mr_op_info *info, struct mr_error *err)
{
    static const struct mr_field field = {.name = "avro_schema"};
    struct schema_plan *plan = mr_arena_calloc(bind->arena, 1, sizeof *plan);
    struct mr_field column = field;
    struct mr_bytes text;
    if (!plan)
        return mr_error_nomem(err);
    mr_bytes_init(&text, MR_AVRO_MAX_TEXT);
    enum mr_status status =
        mr_avro_print(bind->inputs[0].schema, mr_options_text(bind->options, "name"),
                      mr_options_text(bind->options, "namespace"), &text, err);
    column.type = mr_type_of(MR_TYPE_STRING);
    plan->schema = mr_schema_new(bind->arena, &column, 1);
    if (status == MR_OK)
        plan->text = mr_arena_strdup(bind->arena, text.data);
    mr_bytes_reset(&text);
    if (status != MR_OK)
        return status;
    if (!plan->schema || !plan->text)
        return mr_error_nomem(err);
    info->schema = plan->schema;
    info->rows = 1;
    info->details = plan->text;
    *out = plan;
    return MR_OK;
}

static enum mr_status schema_open(void *plan, struct mr_runtime *runtime, void **task,
                                  struct mr_error *err)
{
    struct schema_task *self = mr_calloc(1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    *self = (struct schema_task){.plan = plan, .runtime = runtime};
    *task = self;
    return MR_OK;
}

static enum mr_status emit_row(struct schema_task *self, struct mr_emit *emit, struct mr_error *err)
{
    struct mr_column *column;
    struct mr_batch *batch;
    struct mr_value value = {.type = mr_type_of(MR_TYPE_STRING),
                             .u.bytes = mr_slice_of(self->plan->text)};
    emit->closed = true;
    if (self->done)
        return MR_OK;
    self->done = true;
    MR_TRY(mr_column_new_constant(self->runtime->memory, value.type, &value, 1, &column, err));
    MR_TRY(mr_batch_new(self->plan->schema, 1, &column, &batch, err));
    enum mr_status status = emit->batch(emit, 0, batch, err);
    emit->closed = true;
    return status;
}

static enum mr_status schema_push(void *task, int port, struct mr_batch *batch,
                                  struct mr_emit *emit, struct mr_error *err)
{
    (void)port;
    (void)batch;
    return emit_row(task, emit, err);
}

static enum mr_status schema_finish(void *task, int port, struct mr_emit *emit,
                                    struct mr_error *err)
{
    (void)port;
    return emit_row(task, emit, err);
}

static void schema_close(void *task)
{
    mr_free(task);
}

static const struct mr_option schema_options[] = {
    {.name = "name",
     .type = MR_OPTION_STRING,
     .fallback = "topLevelRecord",
     .doc = "Name of the record."},
    {.name = "namespace", .type = MR_OPTION_STRING, .doc = "Its namespace."},
    MR_OPTION_END,
};

const struct mr_op mr_op_to_avro_schema = {
    .name = "toAvroSchema",
    .doc = "The Avro schema of the frame, as one row with the column avro_schema.",
    .options = schema_options,
    .flags = MR_OP_STREAMING | MR_OP_ORDERED | MR_OP_TAKES_SELECTION | MR_OP_STOPS,
    .min_inputs = 1,
    .max_inputs = 1,
    .bind = schema_bind,
    .open = schema_open,
    .push = schema_push,
    .finish = schema_finish,
    .close = schema_close,
};

/*
 * reshape_columns.c - dropColumns and renameColumns: another schema over the same columns, nothing computed.
 *
 * Both are one list of input columns with names; they differ in how it is made.
 */
#include "base/text.h"
#include "op/bind.h"
#include "op/ops.h"

struct reshape_plan {
    const struct mr_schema *schema;
    const int *indices;
};

static enum mr_status reshape_finish(const struct mr_op_bind *bind, struct mr_field *fields,
                                     const int *indices, int count, void **plan,
                                     struct mr_op_info *info, struct mr_error *err)
{
    struct reshape_plan *self = mr_arena_calloc(bind->arena, 1, sizeof *self);
    const struct mr_schema *schema = mr_schema_new(bind->arena, fields, count);
    if (!self || !schema)
        return mr_error_nomem(err);
    self->schema = schema;
    self->indices = indices;
    info->schema = schema;
    info->rows = bind->inputs[0].rows;
    info->passes = indices;
    *plan = self;
    return MR_OK;
}

/* Index of a column that an option names, or -1 with the error set. */
static int find_column(const struct mr_op_bind *bind, const char *name, struct mr_error *err)
{
    const struct mr_schema *input = bind->inputs[0].schema;
    int at = mr_schema_find(input, name);
    if (at >= 0)
        return at;
    mr_schema_unknown_column(input, name, err);
    mr_op_option_failed(bind->options, "columns", NULL, err);
    return -1;
}

static enum mr_status drop_bind(const struct mr_op_bind *bind, void **plan, struct mr_op_info *info,
                                struct mr_error *err)
{
    const struct mr_schema *input = bind->inputs[0].schema;
    const struct mr_option_value *value = mr_options_get(bind->options, "columns");
    size_t room = (size_t)input->nfields + 1;
    bool *dropped = mr_arena_calloc(bind->arena, room, sizeof *dropped);
    struct mr_field *fields = mr_arena_calloc(bind->arena, room, sizeof *fields);
    int *indices = mr_arena_calloc(bind->arena, room, sizeof *indices);
    if (!dropped || !fields || !indices)
        return mr_error_nomem(err);
    for (int i = 0; i < value->u.strings.count; i++) {
        int at = find_column(bind, value->u.strings.items[i], err);
        if (at < 0)
            return MR_CONFIG;
        dropped[at] = true;
    }
    int count = 0;
    for (int i = 0; i < input->nfields; i++) {
        if (dropped[i])
            continue;
        fields[count] = input->fields[i];
        indices[count++] = i;
    }
    return reshape_finish(bind, fields, indices, count, plan, info, err);
}

static enum mr_status rename_bind(const struct mr_op_bind *bind, void **plan,
                                  struct mr_op_info *info, struct mr_error *err)
{
    const struct mr_schema *input = bind->inputs[0].schema;
    const struct mr_option_value *value = mr_options_get(bind->options, "columns");
    size_t room = (size_t)input->nfields + 1;
    struct mr_field *fields = mr_arena_calloc(bind->arena, room, sizeof *fields);
    const int *indices = mr_op_passes_all(bind->arena, input);
    if (!fields || !indices)
        return mr_error_nomem(err);
    memcpy(fields, input->fields, (size_t)input->nfields * sizeof *fields);
    for (int i = 0; i < value->u.pairs.count; i++) {
        const struct mr_option_pair *pair = &value->u.pairs.items[i];
        int at = find_column(bind, pair->name, err);
        if (at < 0)
            return MR_CONFIG;
        fields[at].name = pair->text;
    }
    for (int i = 0; i < input->nfields; i++) {
        for (int j = 0; j < i; j++) {
            if (mr_text_equal_nocase(fields[i].name, fields[j].name)) {
                mr_error_config(err, "two columns would be called %s", fields[i].name);
                return mr_op_option_failed(bind->options, "columns", NULL, err);
            }
        }
    }
    return reshape_finish(bind, fields, indices, input->nfields, plan, info, err);
}

static enum mr_status reshape_open(void *plan, struct mr_runtime *runtime, void **task,
                                   struct mr_error *err)
{
    (void)runtime;
    (void)err;
    *task = plan;
    return MR_OK;
}

static enum mr_status reshape_push(void *task, int port, struct mr_batch *batch,
                                   struct mr_emit *emit, struct mr_error *err)
{
    (void)port;
    struct reshape_plan *self = task;
    return mr_op_emit_columns(emit, batch, self->schema, self->indices, err);
}

static void reshape_close(void *task)
{
    (void)task; /* the plan's arena owns it */
}

static const struct mr_option drop_options[] = {
    {.name = "columns",
     .type = MR_OPTION_STRINGS,
     .flags = MR_OPTION_REQUIRED | MR_OPTION_COLUMN,
     .doc = "Names of the columns to leave out."},
    MR_OPTION_END,
};

static const struct mr_option rename_options[] = {
    {.name = "columns",
     .type = MR_OPTION_PAIRS,
     .flags = MR_OPTION_REQUIRED | MR_OPTION_COLUMN,
     .doc = "Present names and new names."},
    MR_OPTION_END,
};

const struct mr_op mr_op_drop_columns = {
    .name = "dropColumns",
    .doc = "Leaves out the listed columns.",
    .options = drop_options,
    .flags = MR_OP_STREAMING | MR_OP_TAKES_SELECTION | MR_OP_CROSSES,
    .min_inputs = 1,
    .max_inputs = 1,
    .bind = drop_bind,
    .open = reshape_open,
    .push = reshape_push,
    .close = reshape_close,
};

const struct mr_op mr_op_rename_columns = {
    .name = "renameColumns",
    .doc = "Gives columns other names.",
    .options = rename_options,
    .flags = MR_OP_STREAMING | MR_OP_TAKES_SELECTION | MR_OP_CROSSES,
    .min_inputs = 1,
    .max_inputs = 1,
    .bind = rename_bind,
    .open = reshape_open,
    .push = reshape_push,
    .close = reshape_close,
};

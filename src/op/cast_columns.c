/*
 * cast_columns.c - gives columns other types; each keeps its name and place.
 *
 * Written as CAST expressions over the same scope, so that rules and errors are those of CAST.
 */
#include "op/ops.h"
#include "op/project.h"

static enum mr_status cast_bind(const struct mr_op_bind *bind, void **plan, struct mr_op_info *info,
                                struct mr_error *err)
{
    const struct mr_schema *input = bind->inputs[0].schema;
    const struct mr_option_value *value = mr_options_get(bind->options, "columns");
    int count = value->u.pairs.count;
    struct mr_op_project *self = mr_arena_calloc(bind->arena, 1, sizeof *self);
    struct mr_field *fields =
        mr_arena_calloc(bind->arena, (size_t)input->nfields + 1, sizeof *fields);
    int *source = mr_arena_calloc(bind->arena, (size_t)input->nfields + 1, sizeof *source);
    const char **names = mr_arena_calloc(bind->arena, (size_t)count + 1, sizeof *names);
    const char **texts = mr_arena_calloc(bind->arena, (size_t)count + 1, sizeof *texts);
    if (!self || !fields || !source || !names || !texts)
        return mr_error_nomem(err);
    for (int i = 0; i < input->nfields; i++) {
        fields[i] = input->fields[i];
        source[i] = i;
    }
    for (int i = 0; i < count; i++) {
        const struct mr_option_pair *pair = &value->u.pairs.items[i];
        int at = mr_schema_find(input, pair->name);
        if (at < 0) {
            mr_schema_unknown_column(input, pair->name, err);
            return mr_op_option_failed(bind->options, "columns", pair->name, err);
        }
        char *quoted = mr_op_quote_name(bind->arena, input->fields[at].name);
        names[i] = pair->name;
        texts[i] =
            quoted ? mr_arena_printf(bind->arena, "CAST(%s AS %s)", quoted, pair->text) : NULL;
        if (!texts[i])
            return mr_error_nomem(err);
        source[at] = -1 - i;
    }
    self->session = mr_op_session(bind);
    struct mr_sql_scope scope = mr_op_scope(bind, 0);
    int failed = 0;
    if (mr_projection_compile(bind->arena, &scope, &self->session, count, names, texts, false,
                              &self->projection, &failed, err) != MR_OK)
        return mr_op_option_failed(bind->options, "columns", names[failed], err);
    for (int i = 0; i < input->nfields; i++) {
        if (source[i] >= 0)
            continue;
        const struct mr_expr *expr = mr_projection_expr(self->projection, -1 - source[i]);
        fields[i].type = mr_expr_type(expr);
        fields[i].nullable = mr_expr_nullable(expr);
        fields[i].origin = NULL;
    }
    self->schema = mr_schema_new(bind->arena, fields, input->nfields);
    self->source = source;
    if (!self->schema)
        return mr_error_nomem(err);
    *plan = self;
    return mr_op_project_info(bind, self, info, err);
}

static const struct mr_option cast_options[] = {
    {.name = "columns",
     .type = MR_OPTION_PAIRS,
     .flags = MR_OPTION_REQUIRED | MR_OPTION_COLUMN,
     .doc = "Column names and the types that they get, e.g. {\"price\": \"decimal(12,2)\"}."},
    MR_OPTION_END,
};

const struct mr_op mr_op_cast_columns = {
    .name = "castColumns",
    .doc = "Casts columns to other types.",
    .options = cast_options,
    .flags = MR_OP_STREAMING | MR_OP_TAKES_SELECTION | MR_OP_CROSSES,
    .min_inputs = 1,
    .max_inputs = 1,
    .bind = cast_bind,
    .open = mr_op_project_open,
    .push = mr_op_project_push,
    .close = mr_op_eval_close,
};

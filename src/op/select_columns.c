/*
 * select_columns.c - the columns of the result, in the order written, each a column or an expression.
 */
#include "base/text.h"
#include "op/ops.h"
#include "op/project.h"

static enum mr_status select_bind(const struct mr_op_bind *bind, void **plan,
                                  struct mr_op_info *info, struct mr_error *err)
{
    const struct mr_schema *input = bind->inputs[0].schema;
    const struct mr_option_value *value = mr_options_get(bind->options, "columns");
    int count = value->u.pairs.count;
    size_t room = (size_t)count + 1;
    struct mr_op_project *self = mr_arena_calloc(bind->arena, 1, sizeof *self);
    struct mr_field *fields = mr_arena_calloc(bind->arena, room, sizeof *fields);
    int *source = mr_arena_calloc(bind->arena, room, sizeof *source);
    const char **names = mr_arena_calloc(bind->arena, room, sizeof *names);
    const char **texts = mr_arena_calloc(bind->arena, room, sizeof *texts);
    if (!self || !fields || !source || !names || !texts)
        return mr_error_nomem(err);
    struct mr_sql_generator generator = {0}, found;
    int computed = 0, exploded = -1;
    for (int i = 0; i < count; i++) {
        const struct mr_option_pair *pair = &value->u.pairs.items[i];
        for (int j = 0; j < i; j++) {
            if (mr_text_equal_nocase(value->u.pairs.items[j].name, pair->name)) {
                mr_error_config(err, "column %s is listed twice", pair->name);
                return mr_op_option_failed(bind->options, "columns", NULL, err);
            }
        }
        if (pair->text) {
            names[computed] = pair->name;
            texts[computed] = pair->text;
            if (mr_sql_generator_of(bind->arena, pair->text, &found, err) != MR_OK)
                return mr_op_option_failed(bind->options, "columns", pair->name, err);
            if (found.argument && generator.argument) {
                mr_error_config(err, "two of its columns are generators (explode, ...)");
                return mr_op_option_failed(bind->options, "columns", pair->name, err);
            }
            if (found.argument) {
                generator = found;
                texts[computed] = found.argument;
                exploded = i;
            }
            source[i] = -1 - computed++;
            continue;
        }
        source[i] = mr_schema_find(input, pair->name);
        if (source[i] < 0) {
            mr_schema_unknown_column(input, pair->name, err);
            return mr_op_option_failed(bind->options, "columns", NULL, err);
        }
        fields[i] = input->fields[source[i]];
    }
    self->session = mr_op_session(bind);
    struct mr_sql_scope scope = mr_op_scope(bind, 0);
    int failed = 0;
    if (computed && mr_projection_compile(bind->arena, &scope, &self->session, computed, names,
                                          texts, false, &self->projection, &failed, err) != MR_OK)
        return mr_op_option_failed(bind->options, "columns", names[failed], err);
    for (int i = 0; i < count; i++) {
        if (source[i] >= 0)
            continue;
        const struct mr_expr *expr = mr_projection_expr(self->projection, -1 - source[i]);
        int column = mr_expr_as_column(expr);
        fields[i] = (struct mr_field){.name = value->u.pairs.items[i].name,
                                      .type = mr_expr_type(expr),
                                      .nullable = mr_expr_nullable(expr),
                                      .origin = column >= 0 ? input->fields[column].origin : NULL};
        if (column >= 0)
            source[i] = column;
    }
    self->schema = mr_schema_new(bind->arena, fields, count);
    self->source = source;
    if (!self->schema)
        return mr_error_nomem(err);
    if (exploded >= 0 && mr_op_explode_bind(bind->arena, &generator, self->schema, exploded,
                                            &self->explode, err) != MR_OK)
        return mr_op_option_failed(bind->options, "columns", fields[exploded].name, err);
    *plan = self;
    return mr_op_project_info(bind, self, info, err);
}

static const struct mr_option select_options[] = {
    {.name = "columns",
     .type = MR_OPTION_PAIRS,
     .flags = MR_OPTION_REQUIRED | MR_OPTION_EXPRESSION | MR_OPTION_COLUMN | MR_OPTION_OR_LIST,
     .doc = "A list of column names, or an object of new names and expressions."},
    MR_OPTION_END,
};

const struct mr_op mr_op_select_columns = {
    .name = "selectColumns",
    .doc = "Keeps or computes exactly the listed columns, in that order.",
    .options = select_options,
    .flags = MR_OP_STREAMING | MR_OP_TAKES_SELECTION | MR_OP_CROSSES,
    .min_inputs = 1,
    .max_inputs = 1,
    .bind = select_bind,
    .open = mr_op_project_open,
    .push = mr_op_project_push,
    .close = mr_op_eval_close,
};

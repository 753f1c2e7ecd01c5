/*
 * enrich_data.c - adds computed columns, or replaces columns of the same name.
 *
 * Expressions are evaluated in the order written and a later one sees the results of the earlier ones. A new column goes
 * behind the existing ones; a replaced column keeps its place.
 */
#include "op/ops.h"
#include "op/project.h"

static enum mr_status enrich_schema(const struct mr_op_bind *bind, struct mr_op_project *self,
                                    const struct mr_option_pair *pairs, int count,
                                    struct mr_error *err)
{
    const struct mr_schema *input = bind->inputs[0].schema;
    size_t room = (size_t)(input->nfields + count) + 1;
    struct mr_field *fields = mr_arena_calloc(bind->arena, room, sizeof *fields);
    int *source = mr_arena_calloc(bind->arena, room, sizeof *source);
    if (!fields || !source)
        return mr_error_nomem(err);
    int total = input->nfields;
    for (int i = 0; i < total; i++) {
        fields[i] = input->fields[i];
        source[i] = i;
    }
    for (int i = 0; i < count; i++) {
        const struct mr_expr *expr = mr_projection_expr(self->projection, i);
        struct mr_schema so_far = {.nfields = total, .fields = fields};
        int at = mr_schema_find(&so_far, pairs[i].name);
        if (at < 0)
            at = total++;
        fields[at] = (struct mr_field){.name = pairs[i].name,
                                       .type = mr_expr_type(expr),
                                       .nullable = mr_expr_nullable(expr)};
        source[at] = -1 - i;
    }
    self->schema = mr_schema_new(bind->arena, fields, total);
    self->source = source;
    return self->schema ? MR_OK : mr_error_nomem(err);
}

static enum mr_status enrich_bind(const struct mr_op_bind *bind, void **plan,
                                  struct mr_op_info *info, struct mr_error *err)
{
    const struct mr_option_value *value = mr_options_get(bind->options, "columns");
    const struct mr_option_pair *pairs = value->u.pairs.items;
    int count = value->u.pairs.count;
    struct mr_op_project *self = mr_arena_calloc(bind->arena, 1, sizeof *self);
    const char **names = mr_arena_calloc(bind->arena, (size_t)count + 1, sizeof *names);
    const char **texts = mr_arena_calloc(bind->arena, (size_t)count + 1, sizeof *texts);
    struct mr_bytes details;
    if (!self || !names || !texts)
        return mr_error_nomem(err);
    mr_bytes_init(&details, MR_BYTES_DEFAULT_MAXIMUM);
    for (int i = 0; i < count; i++) {
        names[i] = pairs[i].name;
        texts[i] = pairs[i].text;
        mr_bytes_printf(&details, "%s%s = %s", i ? ", " : "", names[i], texts[i]);
    }
    info->details = mr_arena_strndup(bind->arena, details.data ? details.data : "", details.size);
    mr_bytes_reset(&details);
    self->session = mr_op_session(bind);
    struct mr_sql_scope scope = mr_op_scope(bind, 0);
    int failed = 0;
    enum mr_status status = mr_projection_compile(bind->arena, &scope, &self->session, count, names,
                                                  texts, true, &self->projection, &failed, err);
    if (status != MR_OK)
        return mr_op_option_failed(bind->options, "columns", names[failed], err);
    MR_TRY(enrich_schema(bind, self, pairs, count, err));
    *plan = self;
    return mr_op_project_info(bind, self, info, err);
}

static const struct mr_option enrich_options[] = {
    {.name = "columns",
     .type = MR_OPTION_PAIRS,
     .flags = MR_OPTION_REQUIRED | MR_OPTION_EXPRESSION,
     .doc = "Column names and the expressions that compute them, in order; later ones see the "
            "results of earlier ones. An existing column is replaced in its place."},
    MR_OPTION_END,
};

const struct mr_op mr_op_enrich_data = {
    .name = "enrichData",
    .doc = "Adds computed columns or replaces existing ones.",
    .options = enrich_options,
    .flags = MR_OP_STREAMING | MR_OP_TAKES_SELECTION | MR_OP_CROSSES,
    .min_inputs = 1,
    .max_inputs = 1,
    .bind = enrich_bind,
    .open = mr_op_project_open,
    .push = mr_op_project_push,
    .close = mr_op_eval_close,
};

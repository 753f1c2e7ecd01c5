/*
 * enrich_data.c - adds computed columns, or replaces columns of the same name.
 *
 * Expressions are evaluated in the order written and a later one sees the results of the earlier ones. A new column goes
 * behind the existing ones; a replaced column keeps its place. A column that is a generator (explode) multiplies the rows: the
 * columns behind it are computed in a second stage, over its rows.
 */
#include "op/ops.h"
#include "op/project.h"

/* The columns that go in, with those of `pairs`; source[] of the plan. */
static enum mr_status enrich_schema(struct mr_arena *arena, const struct mr_schema *input,
                                    struct mr_op_project *self, const struct mr_option_pair *pairs,
                                    int count, struct mr_error *err)
{
    size_t room = (size_t)(input->nfields + count) + 1;
    struct mr_field *fields = mr_arena_calloc(arena, room, sizeof *fields);
    int *source = mr_arena_calloc(arena, room, sizeof *source);
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
    self->schema = mr_schema_new(arena, fields, total);
    self->source = source;
    return self->schema ? MR_OK : mr_error_nomem(err);
}

/* Columns up to the first generator, whose array or map is computed under its name. */
static enum mr_status enrich_stage(const struct mr_op_bind *bind, const struct mr_schema *input,
                                   const struct mr_option_pair *pairs, int count, int *done,
                                   struct mr_op_project **out, struct mr_error *err)
{
    struct mr_op_project *self = mr_arena_calloc(bind->arena, 1, sizeof *self);
    const char **names = mr_arena_calloc(bind->arena, (size_t)count + 1, sizeof *names);
    const char **texts = mr_arena_calloc(bind->arena, (size_t)count + 1, sizeof *texts);
    struct mr_sql_generator generator = {0};
    struct mr_sql_scope scope = mr_op_scope(bind, 0);
    int n = 0, failed = 0;
    if (!self || !names || !texts)
        return mr_error_nomem(err);
    while (n < count && !generator.argument) {
        names[n] = pairs[n].name;
        if (mr_sql_generator_of(bind->arena, pairs[n].text, &generator, err) != MR_OK)
            return mr_op_option_failed(bind->options, "columns", names[n], err);
        texts[n] = generator.argument ? generator.argument : pairs[n].text;
        n++;
    }
    scope.schema = input;
    self->session = mr_op_session(bind);
    enum mr_status status = mr_projection_compile(bind->arena, &scope, &self->session, n, names,
                                                  texts, true, &self->projection, &failed, err);
    if (status != MR_OK)
        return mr_op_option_failed(bind->options, "columns", names[failed], err);
    MR_TRY(enrich_schema(bind->arena, input, self, pairs, n, err));
    *done = n;
    *out = self;
    if (!generator.argument)
        return MR_OK;
    status = mr_op_explode_bind(bind->arena, &generator, self->schema,
                                mr_schema_find(self->schema, names[n - 1]), &self->explode, err);
    return status == MR_OK ? MR_OK
                           : mr_op_option_failed(bind->options, "columns", names[n - 1], err);
}

/* Stage by stage; one generator is the most. */
static enum mr_status enrich_stages(const struct mr_op_bind *bind,
                                    const struct mr_option_pair *pairs, int count,
                                    struct mr_op_project **out, struct mr_error *err)
{
    int done = 0, more = 0;
    MR_TRY(enrich_stage(bind, bind->inputs[0].schema, pairs, count, &done, out, err));
    if (done == count)
        return MR_OK;
    struct mr_op_project **next = &(*out)->next;
    MR_TRY(
        enrich_stage(bind, (*out)->explode->schema, pairs + done, count - done, &more, next, err));
    if (!(*next)->explode)
        return MR_OK;
    mr_error_config(err, "two of its columns are generators (explode, ...): use two steps");
    return mr_op_option_failed(bind->options, "columns", pairs[done + more - 1].name, err);
}

static enum mr_status enrich_bind(const struct mr_op_bind *bind, void **plan,
                                  struct mr_op_info *info, struct mr_error *err)
{
    const struct mr_option_value *value = mr_options_get(bind->options, "columns");
    const struct mr_option_pair *pairs = value->u.pairs.items;
    int count = value->u.pairs.count;
    struct mr_op_project *self;
    struct mr_bytes details;
    mr_bytes_init(&details, MR_BYTES_DEFAULT_MAXIMUM);
    for (int i = 0; i < count; i++)
        mr_bytes_printf(&details, "%s%s = %s", i ? ", " : "", pairs[i].name, pairs[i].text);
    info->details = mr_arena_strndup(bind->arena, details.data, details.size);
    mr_bytes_reset(&details);
    MR_TRY(enrich_stages(bind, pairs, count, &self, err));
    *plan = self;
    return mr_op_project_info(bind, self, info, err);
}

static const struct mr_option enrich_options[] = {
    {.name = "columns",
     .type = MR_OPTION_PAIRS,
     .flags = MR_OPTION_REQUIRED | MR_OPTION_EXPRESSION,
     .doc = "Column names and the expressions that compute them, in order; later ones see the "
            "results of earlier ones. An existing column is replaced in its place. One may be "
            "explode, "
            "posexplode or inline of an array or map."},
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

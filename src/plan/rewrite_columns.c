/*
 * rewrite_columns.c - which columns of each frame somebody reads, computed from right to left.
 *
 * Through an operator: the input columns that needed output columns carry on (op_info.passes), and
 * the columns that its options name. The latter come from the option table (rows flagged COLUMN and
 * EXPRESSION), so that this knows no operator and a new one gets the rewrite for free; expressions
 * name their columns through the parser. Operators with several inputs and breakers say themselves
 * what they carry on and read of each input (passes_from, reads); without that, as without
 * `passes`, everything is needed (but of a frame that a validation checks against), and by sinks.
 */
#include "plan/build.h"

static void need_name(const struct mr_schema *schema, bool *need, const char *name)
{
    int column = name != NULL ? mr_schema_find(schema, name) : -1;
    if (column >= 0)
        need[column] = true;
}

static enum mr_status need_text(struct mr_plan_builder *builder, const struct mr_option *option,
                                const struct mr_schema *schema, bool *need, const char *text,
                                struct mr_error *err)
{
    if (text == NULL)
        return MR_OK;
    if (option->flags & MR_OPTION_COLUMN)
        need_name(schema, need, text);
    if (!(option->flags & MR_OPTION_EXPRESSION))
        return MR_OK;
    const char **columns;
    int count;
    MR_TRY(mr_expr_check_syntax(builder->arena, text, &columns, &count, err));
    for (int i = 0; i < count; i++)
        need_name(schema, need, columns[i]);
    return MR_OK;
}

static enum mr_status need_options(struct mr_plan_builder *builder,
                                   const struct mr_options *options, const struct mr_schema *schema,
                                   bool *need, struct mr_error *err);

static enum mr_status need_pairs(struct mr_plan_builder *builder,
                                 const struct mr_option_value *value,
                                 const struct mr_schema *schema, bool *need, struct mr_error *err)
{
    for (int i = 0; i < value->u.pairs.count; i++) {
        const struct mr_option_pair *pair = &value->u.pairs.items[i];
        if (value->option->flags & MR_OPTION_COLUMN)
            need_name(schema, need, pair->name);
        if (pair->text != NULL && (value->option->flags & MR_OPTION_EXPRESSION))
            MR_TRY(need_text(builder, value->option, schema, need, pair->text, err));
        else if (pair->text == NULL)
            MR_TRY(need_text(builder, value->option, schema, need, pair->name, err));
        if (pair->object != NULL)
            MR_TRY(need_options(builder, pair->object, schema, need, err));
    }
    return MR_OK;
}

static enum mr_status need_value(struct mr_plan_builder *builder,
                                 const struct mr_option_value *value,
                                 const struct mr_schema *schema, bool *need, struct mr_error *err)
{
    const struct mr_option *option = value->option;
    switch (option->type) {
    case MR_OPTION_STRING:
        return need_text(builder, option, schema, need, value->u.text, err);
    case MR_OPTION_STRINGS:
        for (int i = 0; i < value->u.strings.count; i++)
            MR_TRY(need_text(builder, option, schema, need, value->u.strings.items[i], err));
        return MR_OK;
    case MR_OPTION_PAIRS:
    case MR_OPTION_NAMED_OBJECTS:
        return need_pairs(builder, value, schema, need, err);
    case MR_OPTION_OBJECT:
        return need_options(builder, value->u.object, schema, need, err);
    case MR_OPTION_OBJECTS:
        for (int i = 0; i < value->u.objects.count; i++)
            MR_TRY(need_options(builder, value->u.objects.items[i], schema, need, err));
        return MR_OK;
    default:
        return MR_OK;
    }
}

static enum mr_status need_options(struct mr_plan_builder *builder,
                                   const struct mr_options *options, const struct mr_schema *schema,
                                   bool *need, struct mr_error *err)
{
    for (int i = 0; options != NULL && i < options->count; i++)
        if (options->values[i].set)
            MR_TRY(need_value(builder, &options->values[i], schema, need, err));
    return MR_OK;
}

/*
 * A validation against another frame passes on port 0 and keeps of port 1 only what its options
 * name.
 */
static bool checks_against(const struct mr_plan_node *node)
{
    unsigned both = MR_OP_VALIDATION | MR_OP_BUILD_SIDE;
    return node->kind == MR_PLAN_OP && node->ninputs == 2 && (node->op->flags & both) == both;
}

/* Columns of the build side: every option text that names one. */
static void need_of_build(const struct mr_options *options, const struct mr_schema *schema,
                          bool *need)
{
    for (int i = 0; i < options->count; i++) {
        const struct mr_option_value *value = &options->values[i];
        if (!value->set)
            continue;
        if (value->option->type == MR_OPTION_STRING)
            need_name(schema, need, value->u.text);
        for (int k = 0; value->option->type == MR_OPTION_STRINGS && k < value->u.strings.count; k++)
            need_name(schema, need, value->u.strings.items[k]);
    }
}

/* Does somebody read the side output? It carries whole rows. */
static bool side_is_read(const struct mr_plan_builder *builder, int node)
{
    for (int i = node + 1; i < builder->plan->nnodes; i++)
        for (int k = 0; builder->drafts[i].live && k < builder->nodes[i].ninputs; k++)
            if (builder->nodes[i].inputs[k].node == node && builder->nodes[i].inputs[k].port == 1)
                return true;
    return false;
}

/* Columns of input k, of an operator that says for each input what it carries on and reads. */
static bool need_as_told(const struct mr_plan_builder *builder, const struct mr_plan_node *node,
                         int k, int ncolumns, bool *need)
{
    const struct mr_op_info *info = &node->op_info;
    if (node->kind != MR_PLAN_OP || info->passes_from == NULL || info->reads == NULL ||
        info->passes_from[k] == NULL || info->reads[k] == NULL || node->inputs[k].port != 0 ||
        side_is_read(builder, node->id))
        return false;
    for (int i = 0; i < ncolumns; i++)
        need[i] |= info->reads[k][i];
    for (int i = 0; i < node->schema->nfields; i++)
        if (builder->drafts[node->id].need[i] && info->passes_from[k][i] >= 0)
            need[info->passes_from[k][i]] = true;
    return true;
}

static enum mr_status need_through_op(struct mr_plan_builder *builder,
                                      const struct mr_plan_node *node, bool *need,
                                      struct mr_error *err)
{
    const struct mr_plan_node *from = &builder->nodes[node->inputs[0].node];
    const struct mr_plan_draft *draft = &builder->drafts[node->id];
    bool side_read = side_is_read(builder, node->id);
    if ((node->ninputs != 1 && !checks_against(node)) || node->op_info.passes == NULL ||
        side_read || from->schema == NULL) {
        for (int i = 0; from->schema != NULL && i < from->schema->nfields; i++)
            need[i] = true;
        return MR_OK;
    }
    for (int i = 0; i < node->schema->nfields; i++)
        if (draft->need[i] && node->op_info.passes[i] >= 0)
            need[node->op_info.passes[i]] = true;
    if (node->op_info.condition != NULL)
        mr_expr_uses(node->op_info.condition, need);
    return need_options(builder, draft->options, from->schema, need, err);
}

/* Rows that are only counted still have to be made of something, where they are made anew. */
static void need_any(const struct mr_plan_builder *builder, const struct mr_plan_node *node)
{
    bool *need = builder->drafts[node->id].need;
    if (node->kind != MR_PLAN_OP || node->op_info.passes_from == NULL || need == NULL)
        return;
    for (int i = 0; i < node->schema->nfields; i++)
        if (need[i])
            return;
    need[0] = node->schema->nfields > 0;
}

static enum mr_status need_of_inputs(struct mr_plan_builder *builder, struct mr_plan_node *node,
                                     struct mr_error *err)
{
    need_any(builder, node);
    for (int k = 0; k < node->ninputs; k++) {
        struct mr_plan_node *from = &builder->nodes[node->inputs[k].node];
        bool *need = builder->drafts[from->id].need;
        if (need == NULL)
            continue;
        if (need_as_told(builder, node, k, from->schema->nfields, need)) {
            /* What binding has folded away (count(x) of an x that is never NULL) is named still. */
            MR_TRY(
                need_options(builder, builder->drafts[node->id].options, from->schema, need, err));
            continue;
        }
        if (node->kind == MR_PLAN_OP && k == 0 && node->inputs[0].port == 0) {
            MR_TRY(need_through_op(builder, node, need, err));
            continue;
        }
        if (k == 1 && checks_against(node)) {
            need_of_build(builder->drafts[node->id].options, from->schema, need);
            continue;
        }
        for (int i = 0; i < from->schema->nfields; i++)
            need[i] = true;
    }
    return MR_OK;
}

/* Tells an operator which of its columns are read, if it is not all of them. */
static enum mr_status tell_wanted(struct mr_plan_builder *builder, const struct mr_plan_node *node,
                                  struct mr_error *err)
{
    struct mr_plan_draft *draft = &builder->drafts[node->id];
    int ncolumns = node->schema->nfields;
    const char **names = mr_arena_calloc(builder->arena, (size_t)ncolumns + 1, sizeof *names);
    if (names == NULL)
        return mr_error_nomem(err);
    int count = 0;
    for (int i = 0; i < ncolumns; i++)
        if (draft->need[i])
            names[count++] = node->schema->fields[i].name;
    if (count == 0 && ncolumns > 0) /* rows are counted, then: any column will do */
        names[count++] = node->schema->fields[0].name;
    if (count == ncolumns)
        return MR_OK;
    draft->wanted = names;
    draft->nwanted = count;
    return MR_OK;
}

enum mr_status mr_plan_collect_columns(struct mr_plan_builder *builder, struct mr_error *err)
{
    for (int i = builder->plan->nnodes - 1; i >= 0; i--) {
        struct mr_plan_node *node = &builder->nodes[i];
        struct mr_plan_draft *draft = &builder->drafts[i];
        if (node->schema == NULL || node->kind == MR_PLAN_SINK)
            continue;
        draft->need =
            mr_arena_calloc(builder->arena, (size_t)node->schema->nfields + 1, sizeof *draft->need);
        if (draft->need == NULL)
            return mr_error_nomem(err);
        for (int c = 0; !builder->request->with_sinks && i == builder->plan->result &&
                        c < node->schema->nfields;
             c++)
            draft->need[c] = true;
    }
    for (int i = builder->plan->nnodes - 1; i >= 0; i--)
        if (builder->drafts[i].live)
            MR_TRY(need_of_inputs(builder, &builder->nodes[i], err));
    for (int i = 0; i < builder->plan->nnodes; i++)
        if (builder->drafts[i].live && builder->nodes[i].kind == MR_PLAN_OP &&
            builder->drafts[i].need != NULL)
            MR_TRY(tell_wanted(builder, &builder->nodes[i], err));
    return MR_OK;
}

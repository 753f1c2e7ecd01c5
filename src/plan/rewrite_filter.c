/*
 * rewrite_filter.c - filters into sources.
 *
 * From a source upwards while there is exactly one consumer: conjuncts of a filter are offered if
 * all columns they use are carried unchanged from the source by the operators in between
 * (op_info.passes), and these let filters cross. A validation stops the walk, because it has to see
 * the rows that a filter behind it removes; so does a frame with several consumers, because the
 * others want all rows. What the source takes exactly leaves the filter, which is bound again with
 * the rest; a filter without a rest is taken out of the plan.
 */
#include "plan/build.h"

/* The only live consumer of port 0 of a node, or NULL. */
static struct mr_plan_node *only_consumer(const struct mr_plan_builder *builder, int from)
{
    if (builder->drafts[from].nconsumers != 1 ||
        (!builder->request->with_sinks && from == builder->plan->result))
        return NULL;
    for (int i = from + 1; i < builder->plan->nnodes; i++)
        for (int k = 0; builder->drafts[i].live && k < builder->nodes[i].ninputs; k++)
            if (builder->nodes[i].inputs[k].node == from)
                return builder->nodes[i].inputs[k].port == 0 ? &builder->nodes[i] : NULL;
    return NULL;
}

/* The option that holds the condition of a filter. */
static int condition_option(const struct mr_options *options)
{
    for (int i = 0; i < options->count; i++)
        if ((options->values[i].option->flags & MR_OPTION_EXPRESSION) &&
            options->values[i].option->type == MR_OPTION_STRING && options->values[i].set)
            return i;
    return -1;
}

bool mr_plan_is_filter(const struct mr_plan_builder *builder, const struct mr_plan_node *node)
{
    return node->op_info.condition != NULL && !(node->op->flags & MR_OP_VALIDATION) &&
           condition_option(builder->drafts[node->id].options) >= 0;
}

const char *mr_plan_condition(const struct mr_plan_builder *builder, int filter)
{
    const struct mr_options *options = builder->drafts[filter].options;
    return options->values[condition_option(options)].u.text;
}

/* Takes in the conjuncts of one filter. map: source column of each of its input columns. */
static enum mr_status add_filter(struct mr_plan_builder *builder, const struct mr_plan_node *filter,
                                 const struct mr_schema *schema, const int *map,
                                 const struct mr_schema *source, struct mr_plan_offer *offer,
                                 struct mr_error *err)
{
    const char **texts;
    int count;
    MR_TRY(mr_plan_split_conjuncts(builder->arena, mr_plan_condition(builder, filter->id), &texts,
                                   &count, err));
    size_t total = (size_t)(offer->nconjuncts + count);
    struct mr_plan_conjunct *grown = mr_arena_calloc(builder->arena, total, sizeof *grown);
    if (grown == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < offer->nconjuncts; i++)
        grown[i] = offer->conjuncts[i];
    offer->conjuncts = grown;
    struct mr_sql_scope scope = {.schema = schema};
    for (int i = 0; i < count; i++) {
        struct mr_plan_conjunct *conjunct = &grown[offer->nconjuncts++];
        *conjunct = (struct mr_plan_conjunct){.text = texts[i], .filter = filter->id, .index = i};
        struct mr_expr *expr;
        if (mr_expr_compile_condition(builder->arena, texts[i], &scope, &builder->plan->session,
                                      &expr, NULL) == MR_OK)
            conjunct->predicate =
                mr_plan_predicate(builder->arena, mr_expr_root(expr), map, source);
    }
    return MR_OK;
}

/* Source columns behind one more operator; NULL when it is not row-wise. */
static int *map_through(struct mr_plan_builder *builder, const struct mr_plan_node *node,
                        const int *map)
{
    if (node->op_info.passes == NULL || node->ninputs != 1)
        return NULL;
    int *next = mr_arena_calloc(builder->arena, (size_t)node->schema->nfields + 1, sizeof *next);
    for (int i = 0; next != NULL && i < node->schema->nfields; i++)
        next[i] = node->op_info.passes[i] >= 0 ? map[node->op_info.passes[i]] : -1;
    return next;
}

enum mr_status mr_plan_collect_filters(struct mr_plan_builder *builder, struct mr_plan_offer *offer,
                                       struct mr_error *err)
{
    const struct mr_schema *source = builder->nodes[offer->source].schema;
    const struct mr_schema *schema = source;
    int *map = mr_arena_calloc(builder->arena, (size_t)source->nfields + 1, sizeof *map);
    if (map == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < source->nfields; i++)
        map[i] = i;
    int at = offer->source;
    for (;;) {
        struct mr_plan_node *node = only_consumer(builder, at);
        if (node == NULL || node->kind != MR_PLAN_OP || (node->op->flags & MR_OP_VALIDATION))
            return MR_OK;
        if (mr_plan_is_filter(builder, node))
            MR_TRY(add_filter(builder, node, schema, map, source, offer, err));
        else if (!(node->op->flags & MR_OP_CROSSES))
            return MR_OK;
        map = map_through(builder, node, map);
        if (map == NULL)
            return MR_OK;
        schema = node->schema;
        at = node->id;
    }
}

void mr_plan_take_out(struct mr_plan_builder *builder, int at)
{
    struct mr_plan_node *filter = &builder->nodes[at];
    filter->absorbed = true;
    builder->drafts[filter->id].live = false;
    for (int i = filter->id + 1; i < builder->plan->nnodes; i++) {
        struct mr_plan_node *node = &builder->nodes[i];
        struct mr_plan_edge *inputs = (struct mr_plan_edge *)(uintptr_t)node->inputs;
        for (int k = 0; k < node->ninputs; k++)
            if (inputs[k].node == filter->id)
                inputs[k] = filter->inputs[0];
    }
    if (builder->plan->result == filter->id)
        builder->plan->result = filter->inputs[0].node;
}

enum mr_status mr_plan_set_condition(struct mr_plan_builder *builder, int filter, const char *text,
                                     struct mr_error *err)
{
    const struct mr_options *from = builder->drafts[filter].options;
    struct mr_options *copy = mr_arena_calloc(builder->arena, 1, sizeof *copy);
    struct mr_option_value *values =
        mr_arena_calloc(builder->arena, (size_t)from->count, sizeof *values);
    if (copy == NULL || values == NULL || text == NULL)
        return mr_error_nomem(err);
    *copy = *from;
    memcpy(values, from->values, (size_t)from->count * sizeof *values);
    values[condition_option(from)].u.text = text;
    copy->values = values;
    builder->drafts[filter].options = copy;
    return MR_OK;
}

/* What stays of a filter. */
static enum mr_status reduce(struct mr_plan_builder *builder, const struct mr_plan_offer *offer,
                             int filter, struct mr_error *err)
{
    char *rest = NULL;
    bool taken = false;
    for (int i = 0; i < offer->nconjuncts; i++) {
        const struct mr_plan_conjunct *conjunct = &offer->conjuncts[i];
        if (conjunct->filter != filter)
            continue;
        if (conjunct->pushed == MR_PUSH_EXACT) {
            taken = true;
            continue;
        }
        rest = rest == NULL ? mr_arena_printf(builder->arena, "%s", conjunct->text)
                            : mr_arena_printf(builder->arena, "%s AND %s", rest, conjunct->text);
        if (rest == NULL)
            return mr_error_nomem(err);
    }
    if (!taken)
        return MR_OK;
    if (rest == NULL)
        mr_plan_take_out(builder, filter);
    else
        MR_TRY(mr_plan_set_condition(builder, filter, rest, err));
    return MR_OK;
}

enum mr_status mr_plan_drop_pushed(struct mr_plan_builder *builder,
                                   const struct mr_plan_offer *offer, struct mr_error *err)
{
    struct mr_plan_node *source = &builder->nodes[offer->source];
    const char **pushed =
        mr_arena_calloc(builder->arena, (size_t)offer->nconjuncts + 1, sizeof *pushed);
    if (pushed == NULL)
        return mr_error_nomem(err);
    source->pushed = pushed;
    for (int i = 0; i < offer->nconjuncts; i++) {
        const struct mr_plan_conjunct *conjunct = &offer->conjuncts[i];
        if (conjunct->pushed == MR_PUSH_REFUSED)
            continue;
        const char *note = conjunct->pushed == MR_PUSH_PARTIAL ? " (partly)" : "";
        pushed[source->npushed] = mr_arena_printf(builder->arena, "%s%s", conjunct->text, note);
        if (pushed[source->npushed++] == NULL)
            return mr_error_nomem(err);
    }
    for (int i = 0; i < offer->nconjuncts; i++)
        if (i == 0 || offer->conjuncts[i].filter != offer->conjuncts[i - 1].filter)
            MR_TRY(reduce(builder, offer, offer->conjuncts[i].filter, err));
    return MR_OK;
}

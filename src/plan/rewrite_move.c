/*
 * rewrite_move.c - filters in front of operators with several inputs and of breakers.
 *
 * A filter behind a join or an aggregate is looked at conjunct by conjunct. Those that use only
 * columns of one input which may cross (op_info.crosses) become a filter of their own on the edge to
 * that input; from there they go on, and perhaps into a source. Only conjuncts that sources could
 * understand are moved: comparisons of columns with literals cannot fail, so that rows which the
 * join would have dropped cannot end the run with an error that it did not have. (Moving any
 * deterministic condition, as others do, can.)
 *
 * Between the filter and the operator there may be row-wise operators; each node on the way must
 * have no other consumer. What stays keeps the filter's place. The new node belongs to the filter's
 * step and adds up with it in the report.
 */
#include "plan/build.h"

/* Where conjuncts of a filter could go: in front of `node`; its output columns by the filter's. */
struct target {
    int node;
    int *map; /* of the columns that the filter sees, -1 = not carried unchanged */
};

/* The text that goes to each input of the target, and what stays. */
struct parting {
    char **texts;
    char *rest;
    bool any;
};

static bool is_shared(const struct mr_plan_builder *builder, int node)
{
    return builder->drafts[node].nconsumers != 1 ||
           (!builder->request->with_sinks && node == builder->plan->result);
}

static enum mr_status find_target(struct mr_plan_builder *builder,
                                  const struct mr_plan_node *filter, struct target *target,
                                  struct mr_error *err)
{
    target->node = -1;
    struct mr_plan_edge edge = filter->inputs[0];
    int ncolumns = filter->schema->nfields;
    target->map = mr_arena_alloc(builder->arena, ((size_t)ncolumns + 1) * sizeof *target->map);
    if (target->map == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < ncolumns; i++)
        target->map[i] = i;
    while (edge.port == 0 && !is_shared(builder, edge.node)) {
        const struct mr_plan_node *node = &builder->nodes[edge.node];
        if (node->kind != MR_PLAN_OP || (node->op->flags & MR_OP_VALIDATION))
            return MR_OK;
        if (node->op_info.crosses != NULL && node->op_info.passes_from != NULL) {
            target->node = node->id;
            return MR_OK;
        }
        if (!(node->op->flags & MR_OP_CROSSES) || node->ninputs != 1 ||
            node->op_info.passes == NULL)
            return MR_OK;
        for (int i = 0; i < ncolumns; i++)
            if (target->map[i] >= 0)
                target->map[i] = node->op_info.passes[target->map[i]];
        edge = node->inputs[0];
    }
    return MR_OK;
}

/* May a condition over these columns stand in front of input k of the target? */
static bool crosses_to(const struct mr_plan_builder *builder, const struct target *target,
                       const struct mr_schema *schema, const bool *uses, int k)
{
    const struct mr_plan_node *node = &builder->nodes[target->node];
    const struct mr_schema *input = builder->nodes[node->inputs[k].node].schema;
    if (node->op_info.crosses[k] == NULL || node->op_info.passes_from[k] == NULL ||
        node->inputs[k].port != 0)
        return false;
    bool any = false;
    for (int i = 0; i < schema->nfields; i++) {
        if (!uses[i])
            continue;
        int out = target->map[i];
        if (out < 0 || !node->op_info.crosses[k][out])
            return false;
        int in = node->op_info.passes_from[k][out];
        if (in < 0 || mr_schema_find(input, schema->fields[i].name) != in)
            return false;
        any = true;
    }
    return any;
}

static enum mr_status append(struct mr_plan_builder *builder, char **to, const char *text,
                             struct mr_error *err)
{
    *to = *to == NULL ? mr_arena_strdup(builder->arena, text)
                      : mr_arena_printf(builder->arena, "%s AND %s", *to, text);
    return *to != NULL ? MR_OK : mr_error_nomem(err);
}

#define NOWHERE    (-1)
#define EVERYWHERE (-2)

/* In front of which input a condition over these columns may stand. */
static int find_input(const struct mr_plan_builder *builder, const struct target *target,
                      const struct mr_schema *schema, const bool *uses)
{
    const struct mr_plan_node *node = &builder->nodes[target->node];
    bool all = node->op_info.crosses_all;
    for (int k = 0; k < node->ninputs; k++)
        if (crosses_to(builder, target, schema, uses, k) != all)
            return all ? NOWHERE : k;
    return all ? EVERYWHERE : NOWHERE;
}

/* The input in front of which the conjunct may stand. */
static enum mr_status choose_input(struct mr_plan_builder *builder, const struct target *target,
                                   const struct mr_schema *schema, const char *text, int *out,
                                   struct mr_error *err)
{
    *out = NOWHERE;
    struct mr_sql_scope scope = {.schema = schema};
    struct mr_expr *expr;
    enum mr_status status = mr_expr_compile_condition(builder->arena, text, &scope,
                                                      &builder->plan->session, &expr, NULL);
    if (status != MR_OK)
        return status == MR_NOMEM ? mr_error_nomem(err) : MR_OK;
    size_t room = (size_t)schema->nfields + 1;
    int *same = mr_arena_alloc(builder->arena, room * sizeof *same);
    bool *uses = mr_arena_calloc(builder->arena, room, sizeof *uses);
    if (same == NULL || uses == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < schema->nfields; i++)
        same[i] = i;
    if (mr_plan_predicate(builder->arena, mr_expr_root(expr), same, schema) == NULL)
        return MR_OK;
    mr_expr_uses(expr, uses);
    *out = find_input(builder, target, schema, uses);
    return MR_OK;
}

static enum mr_status part(struct mr_plan_builder *builder, int filter, const struct target *target,
                           struct parting *parting, struct mr_error *err)
{
    const struct mr_plan_node *from = &builder->nodes[builder->nodes[filter].inputs[0].node];
    int ninputs = builder->nodes[target->node].ninputs;
    parting->texts = mr_arena_calloc(builder->arena, (size_t)ninputs, sizeof *parting->texts);
    if (parting->texts == NULL)
        return mr_error_nomem(err);
    const char **conjuncts;
    int count;
    MR_TRY(mr_plan_split_conjuncts(builder->arena, mr_plan_condition(builder, filter), &conjuncts,
                                   &count, err));
    for (int i = 0; i < count; i++) {
        int k;
        MR_TRY(choose_input(builder, target, from->schema, conjuncts[i], &k, err));
        parting->any |= k != NOWHERE;
        if (k == NOWHERE)
            MR_TRY(append(builder, &parting->rest, conjuncts[i], err));
        for (int n = 0; n < ninputs; n++)
            if (k == n || k == EVERYWHERE)
                MR_TRY(append(builder, &parting->texts[n], conjuncts[i], err));
    }
    return MR_OK;
}

/* A filter with this condition between the target and its input k. Both move up by one. */
static enum mr_status put_filter(struct mr_plan_builder *builder, int filter, int target, int k,
                                 const char *text, struct mr_error *err)
{
    MR_TRY(mr_plan_open_gap(builder, target, 2, err));
    builder->nodes[target].op_plan = NULL; /* its owner has moved */
    struct mr_plan_node *old = &builder->nodes[filter + 1];
    struct mr_plan_node *behind = &builder->nodes[target + 1];
    struct mr_plan_draft draft = builder->drafts[filter + 1];
    const char *label =
        mr_arena_printf(builder->arena, "%s, before %s", old->step->label, behind->label);
    struct mr_plan_edge *edge = mr_arena_calloc(builder->arena, 1, sizeof *edge);
    const char **name = mr_arena_calloc(builder->arena, 1, sizeof *name);
    if (label == NULL || edge == NULL || name == NULL)
        return mr_error_nomem(err);
    MR_TRY(mr_plan_set_node(builder, target, MR_PLAN_OP, old->step, label, err));
    struct mr_plan_node *node = &builder->nodes[target];
    node->op = old->op;
    node->is_part = old->is_part = true;
    node->is_inner = true;
    node->ninputs = 1;
    node->inputs = edge;
    *edge = behind->inputs[k];
    ((struct mr_plan_edge *)(uintptr_t)behind->inputs)[k] = (struct mr_plan_edge){target, 0};
    builder->drafts[target].options = draft.options;
    builder->drafts[target].origin = draft.origin;
    builder->drafts[target].expanded = true;
    builder->drafts[target].live = true;
    builder->drafts[target].nconsumers = 1;
    builder->drafts[target].frames = name;
    old->moved_to = behind->label;
    return mr_plan_set_condition(builder, target, text, err);
}

/* Moves what can be moved of one filter; *added counts the nodes in front of it. */
static enum mr_status move_one(struct mr_plan_builder *builder, int filter, int *added,
                               struct mr_error *err)
{
    struct target target;
    struct parting parting = {0};
    *added = 0;
    MR_TRY(find_target(builder, &builder->nodes[filter], &target, err));
    if (target.node < 0)
        return MR_OK;
    MR_TRY(part(builder, filter, &target, &parting, err));
    if (!parting.any)
        return MR_OK;
    int ninputs = builder->nodes[target.node].ninputs;
    for (int k = 0; k < ninputs; k++) {
        if (parting.texts[k] == NULL)
            continue;
        MR_TRY(
            put_filter(builder, filter + *added, target.node + *added, k, parting.texts[k], err));
        ++*added;
    }
    if (parting.rest != NULL)
        MR_TRY(mr_plan_set_condition(builder, filter + *added, parting.rest, err));
    else
        mr_plan_take_out(builder, filter + *added);
    MR_TRY(mr_plan_bind_ops(builder, err));
    MR_TRY(mr_plan_failed(builder, err));
    return mr_plan_mark_live(builder, err);
}

enum mr_status mr_plan_move_filters(struct mr_plan_builder *builder, struct mr_error *err)
{
    /* From right to left: what is put in front of a node is looked at in its turn. */
    for (int i = builder->plan->nnodes - 1; i >= 0; i--) {
        const struct mr_plan_node *node = &builder->nodes[i];
        if (node->kind != MR_PLAN_OP || !builder->drafts[i].live || node->ninputs != 1 ||
            node->inputs[0].port != 0 || !mr_plan_is_filter(builder, node))
            continue;
        int added;
        MR_TRY(move_one(builder, i, &added, err));
        i += added;
    }
    return MR_OK;
}

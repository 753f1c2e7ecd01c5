/*
 * narrow.c - which sources could read less once a build side is known.
 *
 * When a build side is full, its operator may say which rows of its other input find nothing in it
 * (mr_op.narrows): a range or a list of keys. If those rows come from a source unchanged, the source
 * need not read them. Here only the way is found, so that the plan can show it: from port 0 of the
 * operator down through row-wise operators, and through other build sides whose columns may be
 * filtered in front. Each node on the way has this one consumer, and the source is in no other
 * segment, because whoever else reads it wants all rows; a validation on the way counts rows, so it
 * ends it.
 */
#include "plan/build.h"

/* Edges within the segment that lead out of a node. */
static int count_consumers(const struct mr_plan_builder *builder,
                           const struct mr_plan_segment *segment, int node)
{
    int count = !builder->request->with_sinks && node == builder->plan->result;
    for (int i = 0; i < segment->nnodes; i++) {
        const struct mr_plan_node *to = &builder->nodes[segment->nodes[i]];
        bool filled = mr_plan_fills(segment, to->id);
        for (int k = 0; k < to->ninputs; k++)
            count += to->inputs[k].node == node && mr_plan_is_build(to, k) == filled;
    }
    return count;
}

static int count_segments(const struct mr_plan *plan, int source)
{
    int count = 0;
    for (int s = 0; s < plan->nsegments; s++)
        count += mr_plan_lists(plan->segments[s].sources, plan->segments[s].nsources, source);
    return count;
}

/* Columns in front of `node` that its columns carry; false when the way ends here. */
static bool pass_through(const struct mr_plan_segment *segment, const struct mr_plan_node *node,
                         int *map, int ncolumns)
{
    const struct mr_op_info *info = &node->op_info;
    if (node->kind != MR_PLAN_OP || (node->op->flags & MR_OP_VALIDATION) ||
        mr_plan_fills(segment, node->id))
        return false;
    bool row_wise = (node->op->flags & MR_OP_CROSSES) && node->ninputs == 1 && info->passes != NULL;
    bool crossed = (node->op->flags & MR_OP_BUILD_SIDE) && info->crosses != NULL &&
                   info->crosses[0] != NULL && info->passes_from != NULL &&
                   info->passes_from[0] != NULL;
    if (!row_wise && !crossed)
        return false;
    for (int i = 0; i < ncolumns; i++) {
        int out = map[i];
        bool carried = out >= 0 && (row_wise || info->crosses[0][out]);
        map[i] = !carried ? -1 : row_wise ? info->passes[out] : info->passes_from[0][out];
    }
    return true;
}

/* The source behind port 0 of the operator, -1 = none; map: its columns by those of the port. */
static int trace(const struct mr_plan_builder *builder, const struct mr_plan_segment *segment,
                 const struct mr_plan_node *op, int *map, int ncolumns)
{
    struct mr_plan_edge edge = op->inputs[0];
    for (int i = 0; i < ncolumns; i++)
        map[i] = i;
    for (;;) {
        const struct mr_plan_node *node = &builder->nodes[edge.node];
        if (edge.port != 0 || count_consumers(builder, segment, node->id) != 1)
            return -1;
        if (node->kind == MR_PLAN_SOURCE)
            return node->source->narrow != NULL && count_segments(builder->plan, node->id) == 1
                       ? node->id
                       : -1;
        if (!pass_through(segment, node, map, ncolumns))
            return -1;
        edge = node->inputs[0];
    }
}

static enum mr_status find_in(struct mr_plan_builder *builder, struct mr_plan_segment *segment,
                              struct mr_error *err)
{
    struct mr_plan_narrowing *items =
        mr_arena_calloc(builder->arena, (size_t)segment->nneeds + 1, sizeof *items);
    if (items == NULL)
        return mr_error_nomem(err);
    segment->narrowings = items;
    for (int i = 0; i < segment->nneeds; i++) {
        const struct mr_plan_node *op = &builder->nodes[segment->needs[i]];
        if (!op->op_info.narrows)
            continue;
        int ncolumns = builder->nodes[op->inputs[0].node].schema->nfields;
        int *map = mr_arena_alloc(builder->arena, ((size_t)ncolumns + 1) * sizeof *map);
        if (map == NULL)
            return mr_error_nomem(err);
        int source = trace(builder, segment, op, map, ncolumns);
        if (source >= 0)
            items[segment->nnarrowings++] = (struct mr_plan_narrowing){op->id, source, map};
    }
    return MR_OK;
}

enum mr_status mr_plan_find_narrowings(struct mr_plan_builder *builder, struct mr_error *err)
{
    for (int s = 0; builder->spec->rewrites && s < builder->plan->nsegments; s++)
        MR_TRY(find_in(builder, &builder->plan->segments[s], err));
    return MR_OK;
}

/*
 * rewrite_limit.c - a limit right above a source: no split needs to give more rows than the limit; and
 * above a sort, which then keeps only so many.
 *
 * Only through operators that give exactly one row for each row: row-wise (passes), and neither a
 * condition nor a validation. The limit itself stays, because it counts over all splits.
 */
#include "plan/build.h"

#include <string.h>

#define MOST_KEPT 1000000 /* rows that a sort keeps; beyond it sorts all, in parallel */

static int only_consumer(const struct mr_plan_builder *builder, int from)
{
    if (builder->drafts[from].nconsumers != 1 || from == builder->plan->result)
        return -1;
    for (int i = from + 1; i < builder->plan->nnodes; i++)
        for (int k = 0; builder->drafts[i].live && k < builder->nodes[i].ninputs; k++)
            if (builder->nodes[i].inputs[k].node == from)
                return builder->nodes[i].inputs[k].port == 0 ? i : -1;
    return -1;
}

int64_t mr_plan_collect_limit(const struct mr_plan_builder *builder, int source)
{
    int64_t wanted = builder->request->rows_wanted;
    int at = source;
    for (;;) {
        if (!builder->request->with_sinks && at == builder->plan->result)
            return wanted > 0 ? wanted : -1;
        at = only_consumer(builder, at);
        if (at < 0 || builder->nodes[at].kind != MR_PLAN_OP)
            return -1;
        const struct mr_plan_node *node = &builder->nodes[at];
        if (node->op_info.limit > 0)
            return node->op_info.limit;
        if (node->absorbed)
            continue;
        if (node->ninputs != 1 || node->op_info.passes == NULL || node->op_info.condition != NULL ||
            (node->op->flags & MR_OP_VALIDATION) || !(node->op->flags & MR_OP_CROSSES))
            return -1;
    }
}

/* Copies the options with another `limit`; `at` is its row. */
static enum mr_status set_limit(struct mr_plan_builder *builder, int node, int at, int64_t limit,
                                struct mr_error *err)
{
    const struct mr_options *from = builder->drafts[node].options;
    struct mr_options *copy = mr_arena_calloc(builder->arena, 1, sizeof *copy);
    struct mr_option_value *values =
        mr_arena_calloc(builder->arena, (size_t)from->count, sizeof *values);
    if (copy == NULL || values == NULL)
        return mr_error_nomem(err);
    memcpy(values, from->values, (size_t)from->count * sizeof *values);
    *copy = *from;
    copy->values = values;
    values[at].set = true;
    values[at].u.integer = limit;
    builder->drafts[node].options = copy;
    return MR_OK;
}

enum mr_status mr_plan_limit_sorts(struct mr_plan_builder *builder, struct mr_error *err)
{
    for (int i = 0; i < builder->plan->nnodes; i++) {
        const struct mr_plan_node *node = &builder->nodes[i];
        if (!builder->drafts[i].live || !mr_plan_is_breaker(node) || !node->op_info.sorted)
            continue;
        const struct mr_options *options = builder->drafts[i].options;
        int64_t limit = mr_plan_collect_limit(builder, i);
        for (int k = 0; k < options->count && limit > 0 && limit <= MOST_KEPT; k++) {
            const struct mr_option_value *value = &options->values[k];
            if (strcmp(value->option->name, "limit") != 0)
                continue;
            if (!value->set || value->u.integer > limit)
                MR_TRY(set_limit(builder, i, k, limit, err));
        }
    }
    return MR_OK;
}

/*
 * rewrite_limit.c - a limit right above a source: no split needs to give more rows than the limit.
 *
 * Only through operators that give exactly one row for each row: row-wise (passes), and neither a
 * condition nor a validation. The limit itself stays, because it counts over all splits.
 */
#include "plan/build.h"

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

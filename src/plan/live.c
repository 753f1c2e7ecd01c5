/*
 * live.c - which nodes a run has to work for.
 *
 * Live are the ancestors of what has an effect: sinks (but those that skip), validations, and in a
 * preview only the result. A source that nothing live reads is bound (its mistakes are shown) and
 * never read.
 */
#include "plan/build.h"

bool mr_plan_is_build(const struct mr_plan_node *node, int port)
{
    if (node->kind != MR_PLAN_OP)
        return false;
    return (node->op->flags & MR_OP_BREAKER) || ((node->op->flags & MR_OP_BUILD_SIDE) && port == 1);
}

static bool has_effect(const struct mr_plan_builder *builder, const struct mr_plan_node *node)
{
    if (!builder->request->with_sinks)
        return node->id == builder->plan->result;
    if (node->kind == MR_PLAN_SINK)
        return !node->sink_info.skip;
    return node->kind == MR_PLAN_OP && (node->op->flags & MR_OP_VALIDATION);
}

enum mr_status mr_plan_mark_live(struct mr_plan_builder *builder, struct mr_error *err)
{
    (void)err;
    for (int i = 0; i < builder->plan->nnodes; i++) {
        builder->drafts[i].live = false;
        builder->drafts[i].nconsumers = 0;
    }
    for (int i = builder->plan->nnodes - 1; i >= 0; i--) {
        struct mr_plan_node *node = &builder->nodes[i];
        struct mr_plan_draft *draft = &builder->drafts[i];
        draft->live = !node->absorbed && (draft->live || has_effect(builder, node));
        for (int k = 0; draft->live && k < node->ninputs; k++) {
            builder->drafts[node->inputs[k].node].live = true;
            builder->drafts[node->inputs[k].node].nconsumers++;
        }
    }
    return MR_OK;
}

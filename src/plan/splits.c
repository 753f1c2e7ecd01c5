/*
 * splits.c - asks the live sources for their splits, which fixes the snapshot.
 *
 * Only sources that something reads are asked: a snapshot holds back vacuum on the server.
 */
#include "plan/build.h"

enum mr_status mr_plan_make_splits(struct mr_plan_builder *builder, struct mr_error *err)
{
    (void)err;
    for (int i = 0; i < builder->plan->nnodes; i++) {
        struct mr_plan_node *node = &builder->nodes[i];
        if (node->kind != MR_PLAN_SOURCE || !builder->drafts[i].live || builder->drafts[i].failed)
            continue;
        struct mr_error step_error = {0};
        enum mr_status status = node->source->splits(node->source_state, node->runtime,
                                                     builder->arena, &node->splits, &step_error);
        if (status != MR_OK) {
            mr_plan_fail(builder, node->step, &step_error);
            if (status == MR_CANCELLED || status == MR_NOMEM)
                break;
        }
    }
    return MR_OK;
}

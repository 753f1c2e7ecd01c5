/*
 * splits.c - asks the live sources for their splits, which fixes the snapshot.
 *
 * Only sources that something reads are asked: a snapshot holds back vacuum on the server.
 */
#include "plan/build.h"

#include <string.h>

/* The watermark of a run is the earliest of its sources'; one source without makes it unknown. The texts compare as times. */
static void lower_watermark(struct mr_plan *plan, const char *safe_time, bool *first)
{
    if (safe_time == NULL)
        plan->watermark = NULL;
    else if (*first || (plan->watermark != NULL && strcmp(safe_time, plan->watermark) < 0))
        plan->watermark = safe_time;
    *first = false;
}

enum mr_status mr_plan_make_splits(struct mr_plan_builder *builder, struct mr_error *err)
{
    bool first = true;
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
        lower_watermark(builder->plan, node->splits.safe_time, &first);
    }
    return MR_OK;
}

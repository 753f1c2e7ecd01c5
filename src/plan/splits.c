/*
 * splits.c - asks the live sources for their splits, which fixes the snapshot; the partitions of
 * breakers are splits as well.
 *
 * Only sources that something reads are asked: a snapshot holds back vacuum on the server.
 */
#include "plan/build.h"

#include <string.h>

/*
 * The watermark of a run is the earliest of its servers'; one that does not tell makes it unknown. The
 * texts compare as times.
 */
static void lower_watermark(struct mr_plan *plan, const char *safe_time, bool *first)
{
    if (safe_time == NULL)
        plan->watermark = NULL;
    else if (*first || (plan->watermark != NULL && strcmp(safe_time, plan->watermark) < 0))
        plan->watermark = safe_time;
    *first = false;
}

/* Splits know more than the table as a whole: filters of the source are in their estimates. */
static void sum_estimates(struct mr_plan_node *node)
{
    int64_t rows = 0, bytes = 0;
    for (int i = 0; i < node->splits.count; i++) {
        const struct mr_split *split = &node->splits.items[i];
        rows = rows < 0 || split->rows < 0 ? -1 : rows + split->rows;
        bytes = bytes < 0 || split->bytes < 0 ? -1 : bytes + split->bytes;
    }
    if (rows >= 0)
        node->rows = rows;
    if (bytes >= 0)
        node->bytes = bytes;
}

/* Partitions of a breaker are splits of the segments that read it, about equal by hash. */
static enum mr_status list_pulls(struct mr_plan_builder *builder, struct mr_plan_node *node,
                                 struct mr_error *err)
{
    int count = node->op_info.pulls;
    node->splits.items = mr_arena_calloc(builder->arena, (size_t)count, sizeof(struct mr_split));
    if (node->splits.items == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < count; i++) {
        struct mr_split *split = &node->splits.items[i];
        split->label = mr_arena_printf(builder->arena, "partition %d of %d", i + 1, count);
        if (split->label == NULL)
            return mr_error_nomem(err);
        split->rows = node->rows < 0 ? -1 : node->rows / count;
        split->bytes = node->bytes < 0 ? -1 : node->bytes / count;
    }
    node->splits.count = count;
    return MR_OK;
}

/* Splits whose rows come to a node, or 1 where one task sees them all. */
static int splits_before(const struct mr_plan_builder *builder, int at)
{
    const struct mr_plan_node *node = &builder->nodes[at];
    if (node->kind == MR_PLAN_SOURCE || mr_plan_is_breaker(node))
        return node->splits.count;
    if (node->op->flags & MR_OP_ORDERED)
        return 1;
    int count = 0;
    for (int k = 0; k < node->ninputs; k++)
        if (!mr_plan_is_build(node, k))
            count += splits_before(builder, node->inputs[k].node);
    return count;
}

/* More tasks are asked for than there are splits for: the rows are dealt out. */
static enum mr_status exchange_rows(struct mr_plan_builder *builder, struct mr_plan_node *node,
                                    struct mr_error *err)
{
    if (node->kind != MR_PLAN_OP || node->op->exchange == NULL || node->absorbed ||
        node->op_info.partitions <= splits_before(builder, node->inputs[0].node))
        return MR_OK;
    if (builder->drafts[node->id].bound && node->op->unbind != NULL)
        node->op->unbind(node->op_plan);
    builder->drafts[node->id].bound = false;
    node->op = node->op->exchange;
    return mr_plan_bind_op(builder, node->id, err);
}

/* A step that is read twice (two nodes) ends in the same place: one snapshot. */
static enum mr_status add_to(struct mr_arena *arena, const struct mr_source_position **list,
                             int *count, const struct mr_source_position *position,
                             struct mr_error *err)
{
    for (int i = 0; i < *count; i++)
        if (strcmp((*list)[i].step, position->step) == 0)
            return MR_OK;
    struct mr_source_position *more = mr_arena_calloc(arena, (size_t)*count + 1, sizeof *more);
    if (more == NULL)
        return mr_error_nomem(err);
    if (*count > 0)
        memcpy(more, *list, (size_t)*count * sizeof *more);
    more[(*count)++] = *position;
    *list = more;
    return MR_OK;
}

static enum mr_status add_position(struct mr_plan_builder *builder,
                                   const struct mr_source_position *position, struct mr_error *err)
{
    struct mr_plan *plan = builder->plan;
    return add_to(builder->arena, &plan->positions, &plan->npositions, position, err);
}

static enum mr_status keep_position(struct mr_plan_builder *builder,
                                    const struct mr_plan_node *node, struct mr_error *err)
{
    if (node->splits.upto.size == 0 || node->is_part)
        return MR_OK;
    struct mr_source_position position = {
        .step = node->step->key,
        .method = node->step->method->name,
        .text = node->splits.upto_text != NULL ? node->splits.upto_text : "",
        .bytes = node->splits.upto,
    };
    MR_TRY(add_position(builder, &position, err));
    struct mr_source_position begin = position;
    if (node->splits.begin.size > 0)
        begin.bytes = node->splits.begin, begin.text = "";
    if (node->splits.begin.size > 0 || node->splits.count == 0)
        MR_TRY(
            add_to(builder->arena, &builder->plan->begins, &builder->plan->nbegins, &begin, err));
    if (node->splits.goal.size == 0)
        return MR_OK;
    position.bytes = node->splits.goal;
    return add_to(builder->arena, &builder->plan->goals, &builder->plan->ngoals, &position, err);
}

/* What the run that made a frame durable knew of its sources. */
static enum mr_status take_over(struct mr_plan_builder *builder,
                                const struct mr_plan_restorable *frame, bool *first,
                                struct mr_error *err)
{
    for (int i = 0; i < frame->npositions; i++)
        MR_TRY(add_position(builder, &frame->positions[i], err));
    if (frame->has_clock)
        lower_watermark(builder->plan, frame->safe_time, first);
    return MR_OK;
}

enum mr_status mr_plan_make_splits(struct mr_plan_builder *builder, struct mr_error *err)
{
    bool first = true;
    for (int i = 0; i < builder->plan->nnodes; i++) {
        struct mr_plan_node *node = &builder->nodes[i];
        if (!builder->drafts[i].live || builder->drafts[i].failed)
            continue;
        MR_TRY(exchange_rows(builder, node, err));
        if (mr_plan_is_breaker(node))
            MR_TRY(list_pulls(builder, node, err));
        if (node->kind != MR_PLAN_SOURCE)
            continue;
        if (builder->request->fixed_splits != NULL) {
            if (i < builder->request->nfixed_splits)
                node->splits = builder->request->fixed_splits[i];
            continue;
        }
        struct mr_error step_error = {0};
        enum mr_status status = node->source->splits(node->source_state, node->runtime,
                                                     builder->arena, &node->splits, &step_error);
        if (status != MR_OK) {
            mr_plan_fail(builder, node->step, &step_error);
            if (status == MR_CANCELLED || status == MR_NOMEM)
                break;
            continue;
        }
        sum_estimates(node);
        MR_TRY(keep_position(builder, node, err));
        if (node->restored != NULL)
            MR_TRY(take_over(builder, node->restored, &first, err));
        else if (!(node->source->flags & MR_SOURCE_IMMUTABLE)) /* files have no clock */
            lower_watermark(builder->plan, node->splits.safe_time, &first);
    }
    return MR_OK;
}

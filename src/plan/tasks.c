/*
 * tasks.c - how many output tasks and readers a segment has, which splits each task takes, and
 * where the queues are.
 *
 * The number of output tasks decides the number of files, so what the user wrote is obeyed as
 * written. Without a word from them: one task for little data (under 64 MB, or what the sink calls
 * little), the parallelism of the run for more. Tasks take contiguous runs of splits of about equal predicted bytes, so that names
 * and contents of files depend on the plan alone and not on who was faster.
 *
 * Readers are limited by the source (connections). No more readers than tasks: everything of a task
 * on one thread. More readers than tasks: decoding and row-wise work in the readers, queues, and
 * from the first node that must see the merged rows (a sink, a build side, limitRows and all behind
 * them) in the task.
 *
 * Tasks that only fill breakers and build sides make no files: as many as there are cores, but for
 * very little data. A sorted breaker's partitions are never interleaved.
 */
#include "plan/build.h"

#define SMALL_BYTES (INT64_C(64) << 20)
#define SMALL_LIMIT 100000
/* Below it a state is filled by one task, and a breaker read by one reader. */
#define TINY_BYTES (INT64_C(4) << 20)

/*
 * Wishes flow from left to right: the last operator before the sink has the last word. None crosses
 * a breaker, which deals its rows out anew.
 */
void mr_plan_spread_wishes(struct mr_plan_builder *builder)
{
    for (int i = 0; i < builder->plan->nnodes; i++) {
        const struct mr_plan_node *node = &builder->nodes[i];
        struct mr_plan_draft *draft = &builder->drafts[i];
        draft->wish = 0;
        draft->wish_bound = false;
        if (node->kind == MR_PLAN_SOURCE || node->ninputs == 0)
            continue;
        if (!mr_plan_is_breaker(node) && (node->ninputs == 1 || mr_plan_is_build(node, 1))) {
            draft->wish = builder->drafts[node->inputs[0].node].wish;
            draft->wish_bound = builder->drafts[node->inputs[0].node].wish_bound;
        }
        int partitions = node->kind == MR_PLAN_OP ? node->op_info.partitions : 0;
        if (partitions <= 0)
            continue;
        if (!node->op_info.coalesce_only) {
            draft->wish = partitions;
            draft->wish_bound = false;
        } else if (draft->wish == 0 || draft->wish > partitions) {
            draft->wish_bound = draft->wish == 0 || draft->wish_bound;
            draft->wish = partitions;
        }
    }
}

static bool is_ordered(const struct mr_plan_node *node)
{
    return node->kind == MR_PLAN_OP && (node->op->flags & MR_OP_ORDERED);
}

static bool has_sink(const struct mr_plan_builder *builder, const struct mr_plan_segment *segment)
{
    for (int i = 0; i < segment->nnodes; i++)
        if (builder->nodes[segment->nodes[i]].kind == MR_PLAN_SINK)
            return true;
    return false;
}

static const struct mr_split *split_at(const struct mr_plan_builder *builder,
                                       const struct mr_plan_segment *segment, int i)
{
    const struct mr_plan_split *split = &segment->splits[i];
    return &builder->nodes[split->node].splits.items[split->split];
}

static int64_t segment_bytes(const struct mr_plan_builder *builder,
                             const struct mr_plan_segment *segment)
{
    int64_t bytes = 0;
    for (int i = 0; i < segment->nsources; i++) {
        const struct mr_plan_node *node = &builder->nodes[segment->sources[i]];
        if (node->bytes < 0)
            return -1;
        bytes += node->bytes;
    }
    return bytes;
}

static int parallelism(const struct mr_plan_builder *builder)
{
    int n = builder->request->runtime->parallelism;
    return n > 0 ? n : 1;
}

static void add_wish(int wish, bool most, int *exact, int *bound)
{
    if (most && wish > 1)
        *bound = *bound == 0 || wish < *bound ? wish : *bound;
    else if (wish > *exact)
        *exact = wish;
}

/* Frames that fill states of this segment: what was asked of them counts where there is no sink. */
static void wishes_of_builds(const struct mr_plan_builder *builder,
                             const struct mr_plan_segment *segment, int *exact, int *bound)
{
    for (int i = 0; i < segment->nbuilds; i++) {
        const struct mr_plan_node *node = &builder->nodes[segment->builds[i]];
        for (int k = 0; k < node->ninputs; k++) {
            const struct mr_plan_draft *from = &builder->drafts[node->inputs[k].node];
            if (mr_plan_is_build(node, k))
                add_wish(from->wish, from->wish_bound, exact, bound);
        }
    }
}

/* What the sinks of the segment ask for: an exact number, an upper bound, or nothing. */
static int wished_tasks(const struct mr_plan_builder *builder,
                        const struct mr_plan_segment *segment, int *bound)
{
    int exact = 0;
    *bound = 0;
    for (int i = 0; i < segment->nnodes; i++) {
        const struct mr_plan_node *node = &builder->nodes[segment->nodes[i]];
        if (node->kind != MR_PLAN_SINK)
            continue;
        const struct mr_plan_draft *from = &builder->drafts[node->inputs[0].node];
        int wish = node->sink_info.tasks == 1 ? 1 : from->wish;
        if (wish == 0)
            wish = node->sink_info.tasks;
        add_wish(wish, from->wish_bound, &exact, bound);
    }
    if (!has_sink(builder, segment))
        wishes_of_builds(builder, segment, &exact, bound);
    return exact;
}

/* Must one task see all rows of this node? */
static bool wants_one_task(const struct mr_plan_segment *segment, const struct mr_plan_node *node)
{
    return is_ordered(node) || (node->kind == MR_PLAN_OP && node->op_info.one_task &&
                                !mr_plan_fills(segment, node->id));
}

/* Less than that goes to one task. */
static int64_t small_bytes(const struct mr_plan_builder *builder,
                           const struct mr_plan_segment *segment)
{
    int64_t most = TINY_BYTES;
    for (int i = 0; i < segment->nnodes; i++) {
        const struct mr_plan_node *node = &builder->nodes[segment->nodes[i]];
        if (node->kind != MR_PLAN_SINK)
            continue;
        int64_t own = node->sink_info.small_bytes > 0 ? node->sink_info.small_bytes : SMALL_BYTES;
        most = own > most ? own : most;
    }
    return most;
}

static int count_tasks(const struct mr_plan_builder *builder, const struct mr_plan_segment *segment)
{
    int bound;
    int exact = wished_tasks(builder, segment, &bound);
    for (int i = 0; i < segment->nnodes; i++)
        if (wants_one_task(segment, &builder->nodes[segment->nodes[i]]))
            return 1;
    int tasks = exact;
    if (tasks == 0) {
        int64_t bytes = segment_bytes(builder, segment);
        bool small = bytes >= 0 && bytes < small_bytes(builder, segment);
        tasks = small ? 1 : parallelism(builder);
        if (bound > 0 && tasks > bound)
            tasks = bound;
    }
    int most = segment->nsplits > 0 ? segment->nsplits : 1;
    return tasks < most ? tasks : most;
}

/* Breakers that hold so little that starting a second thread costs more. */
static bool tiny_breakers(const struct mr_plan_builder *builder,
                          const struct mr_plan_segment *segment)
{
    for (int i = 0; i < segment->nsources; i++)
        if (!mr_plan_is_breaker(&builder->nodes[segment->sources[i]]))
            return false;
    int64_t bytes = segment_bytes(builder, segment);
    return bytes >= 0 && bytes < TINY_BYTES;
}

static bool few_rows(const struct mr_plan_builder *builder, const struct mr_plan_segment *segment)
{
    int64_t wanted = builder->request->rows_wanted;
    if (wanted > 0 && wanted <= SMALL_LIMIT && segment->nbuilds == 0)
        return true;
    for (int i = 0; i < segment->nnodes; i++) {
        const struct mr_plan_node *node = &builder->nodes[segment->nodes[i]];
        if (is_ordered(node) && node->op_info.limit > 0 && node->op_info.limit <= SMALL_LIMIT &&
            segment->nsources == 1)
            return true;
    }
    return false;
}

static int count_readers(const struct mr_plan_builder *builder,
                         const struct mr_plan_segment *segment)
{
    int readers = segment->nsplits > 0 ? segment->nsplits : 1;
    for (int i = 0; i < segment->nsources; i++) {
        int most = builder->nodes[segment->sources[i]].source_info.max_readers;
        if (most <= 0)
            most = parallelism(builder);
        readers = most < readers ? most : readers;
    }
    return few_rows(builder, segment) || tiny_breakers(builder, segment) ? 1 : readers;
}

/* Weight of a split in sharing out: predicted bytes, else rows, else all alike. */
static double weight(const struct mr_split *split)
{
    if (split->bytes >= 0)
        return (double)split->bytes + 1;
    return split->rows >= 0 ? (double)split->rows + 1 : 1;
}

static enum mr_status share_splits(struct mr_plan_builder *builder, struct mr_plan_segment *segment,
                                   struct mr_error *err)
{
    int *bounds = mr_arena_calloc(builder->arena, (size_t)segment->ntasks + 1, sizeof *bounds);
    if (bounds == NULL)
        return mr_error_nomem(err);
    segment->task_splits = bounds;
    double total = 0, before = 0;
    for (int i = 0; i < segment->nsplits; i++)
        total += weight(split_at(builder, segment, i));
    int task = 1;
    for (int i = 0; i < segment->nsplits && task < segment->ntasks; i++) {
        double w = weight(split_at(builder, segment, i));
        /* A split goes to the task in whose share its middle lies; every task gets at least one. */
        while (task < segment->ntasks && i > bounds[task - 1] &&
               (before + w / 2 > total * task / segment->ntasks ||
                segment->nsplits - i <= segment->ntasks - task))
            bounds[task++] = i;
        before += w;
    }
    while (task <= segment->ntasks)
        bounds[task++] = segment->nsplits;
    return MR_OK;
}

/*
 * A build side that may not fit: what a probing task keeps for the parts in the file is joined when
 * the task ends, with all of the file read again, so that tasks should be few. Readers have a graph
 * for each split.
 */
static bool may_spill(const struct mr_plan_builder *builder, const struct mr_plan_node *node)
{
    unsigned kind = node->op->flags & (MR_OP_BUILD_SIDE | MR_OP_VALIDATION);
    if (kind != MR_OP_BUILD_SIDE || node->ninputs < 2)
        return false;
    int64_t bytes = builder->nodes[node->inputs[1].node].bytes;
    return bytes < 0 || bytes > mr_memory_available(builder->request->runtime->memory) / 8;
}

/* Must this node see the rows of all readers together? */
static bool wants_merged(const struct mr_plan_builder *builder,
                         const struct mr_plan_segment *segment, const struct mr_plan_node *node)
{
    return node->kind == MR_PLAN_SINK || wants_one_task(segment, node) ||
           !(node->op->flags & MR_OP_STREAMING) || may_spill(builder, node) ||
           mr_plan_fills(segment, node->id);
}

static bool anything_merged(const struct mr_plan_builder *builder,
                            const struct mr_plan_segment *segment)
{
    for (int i = 0; i < segment->nnodes; i++)
        if (wants_merged(builder, segment, &builder->nodes[segment->nodes[i]]))
            return true;
    return false;
}

/* Everything from the first node that needs the merged rows on runs in the task. */
static void place_nodes(const struct mr_plan_builder *builder, struct mr_plan_segment *segment)
{
    bool *in_task = (bool *)(uintptr_t)segment->in_task;
    for (int i = 0; i < segment->nnodes; i++) {
        const struct mr_plan_node *node = &builder->nodes[segment->nodes[i]];
        bool behind = segment->gather == MR_GATHER_FUSED || wants_merged(builder, segment, node);
        for (int k = 0; !behind && k < node->ninputs; k++)
            for (int j = 0; j < i; j++)
                behind |= segment->nodes[j] == node->inputs[k].node && in_task[j];
        in_task[i] = behind;
    }
}

/* Splits go to the task one after the other: a limit counts, or the rows come sorted. */
static bool keeps_order(const struct mr_plan_builder *builder,
                        const struct mr_plan_segment *segment)
{
    for (int i = 0; i < segment->nnodes; i++)
        if (is_ordered(&builder->nodes[segment->nodes[i]]))
            return true;
    for (int i = 0; i < segment->nsources; i++) {
        const struct mr_plan_node *node = &builder->nodes[segment->sources[i]];
        if (mr_plan_is_breaker(node) ? node->op_info.sorted : node->source_info.sorted)
            return true;
    }
    return false;
}

static enum mr_status plan_segment(struct mr_plan_builder *builder, struct mr_plan_segment *segment,
                                   struct mr_error *err)
{
    segment->ntasks = count_tasks(builder, segment);
    segment->readers = count_readers(builder, segment);
    if (!anything_merged(builder, segment)) { /* validations, a preview: no files to count */
        if (keeps_order(builder, segment))
            segment->readers = 1;
        segment->ntasks = segment->readers;
    }
    segment->gather = MR_GATHER_FUSED;
    if (segment->readers > segment->ntasks) {
        segment->gather = MR_GATHER_ROTATE;
        if (keeps_order(builder, segment))
            segment->gather = MR_GATHER_ORDERED;
    }
    place_nodes(builder, segment);
    return share_splits(builder, segment, err);
}

/* Those that make files first: their names then start at 0, whatever else has to run. */
static void number_tasks(struct mr_plan_builder *builder, bool with_sinks)
{
    for (int i = 0; i < builder->plan->nsegments; i++) {
        struct mr_plan_segment *segment = &builder->plan->segments[i];
        if (has_sink(builder, segment) != with_sinks)
            continue;
        segment->first_task = builder->plan->ntasks;
        builder->plan->ntasks += segment->ntasks;
    }
}

enum mr_status mr_plan_make_tasks(struct mr_plan_builder *builder, struct mr_error *err)
{
    for (int i = 0; i < builder->plan->nsegments; i++)
        MR_TRY(plan_segment(builder, &builder->plan->segments[i], err));
    number_tasks(builder, true);
    number_tasks(builder, false);
    return MR_OK;
}

/*
 * memory.c - shares out the budget: the bound of queues, and smaller batches where memory is short.
 *
 * A reader holds about three batches (filling, pushed, in a sink's hands), a queue its bound, a
 * writer its open pages and row group. With plenty of memory nothing is restricted; below 32 MB a
 * thread batches shrink, so that a small budget means a slower run and not a failing one.
 * resources.batchRows as written always wins.
 */
#include "plan/build.h"

#define BATCH_BYTES       (INT64_C(1) << 20)
#define QUEUE_BYTES       (INT64_C(4) << 20)
#define QUEUE_LEAST       (INT64_C(64) << 10)
#define WRITER_BYTES      (INT64_C(24) << 20)
#define PLENTY_PER_THREAD (INT64_C(32) << 20)

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

static int segment_threads(const struct mr_plan_segment *segment)
{
    if (segment->gather == MR_GATHER_FUSED)
        return segment->readers < segment->ntasks ? segment->readers : segment->ntasks;
    return segment->readers + segment->ntasks;
}

static int count_sinks(const struct mr_plan_builder *builder, const struct mr_plan_segment *segment)
{
    int sinks = 0;
    for (int i = 0; i < segment->nnodes; i++)
        sinks += builder->nodes[segment->nodes[i]].kind == MR_PLAN_SINK;
    return sinks;
}

static void shrink_batches(struct mr_plan_builder *builder, const struct mr_plan_segment *segment,
                           int64_t budget)
{
    int threads = segment_threads(segment);
    if (budget / threads >= PLENTY_PER_THREAD)
        return;
    int64_t bytes = clamp(budget / threads / 16, 16384, BATCH_BYTES);
    for (int i = 0; i < segment->nsources; i++) {
        struct mr_plan_node *node = &builder->nodes[segment->sources[i]];
        if (node->runtime->batch_rows > 0)
            continue;
        int64_t width = mr_plan_row_width(node->schema);
        if (node->rows > 0 && node->bytes > node->rows * width)
            width = node->bytes / node->rows;
        node->runtime->batch_rows = clamp(bytes / width, 64, 65536);
    }
}

void mr_plan_share_memory(struct mr_plan_builder *builder)
{
    struct mr_plan *plan = builder->plan;
    int64_t budget = mr_memory_available(builder->request->runtime->memory);
    for (int i = 0; i < plan->nsegments; i++) {
        struct mr_plan_segment *segment = &plan->segments[i];
        /* Up to twice as many queues as readers hold rows at a time. */
        segment->queue_bytes = clamp(budget / 8 / (2 * segment->readers), QUEUE_LEAST, QUEUE_BYTES);
        int tasks = segment->ntasks < segment->readers ? segment->ntasks : segment->readers;
        int64_t memory = segment->readers * 3 * BATCH_BYTES +
                         tasks * count_sinks(builder, segment) * WRITER_BYTES;
        if (segment->gather != MR_GATHER_FUSED)
            memory += segment->readers * segment->queue_bytes;
        shrink_batches(builder, segment, budget);
        if (memory > plan->predicted_memory)
            plan->predicted_memory = memory;
    }
    if (plan->predicted_memory > budget)
        plan->predicted_memory = budget;
}

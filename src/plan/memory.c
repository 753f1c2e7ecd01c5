/*
 * memory.c - shares out the budget: the bound of queues, and smaller batches where memory is short.
 *
 * A reader holds about three batches (filling, pushed, in a sink's hands), a queue its bound, a
 * writer its open pages and row group. With plenty of memory nothing is restricted; below 32 MB a
 * thread batches shrink, so that a small budget means a slower run and not a failing one.
 * resources.batchRows as written always wins.
 *
 * Operators that keep rows (breakers, build sides) get a share each, which must not depend on timing:
 * what spills decides in which order rows come out and sums of doubles are added. With plenty of
 * memory shares are from the plan alone, as if all states that may exist at once were full. That
 * leaves a plan of thirty states a thirtieth each, most of it unused, so below SHARE_PLENTY segments
 * run in turn, and each divides what is free when it starts. (Shares by need were refused: nobody
 * knows how many groups there will be; memory that is taken from a state when another one wants it,
 * because when that is depends on timing.)
 */
#include "plan/build.h"

#include "base/clamp.h"
#include "ext/held.h"

#define BATCH_BYTES       (INT64_C(1) << 20)
#define QUEUE_BYTES       (INT64_C(4) << 20)
#define QUEUE_LEAST       (INT64_C(64) << 10)
#define READ_LEAST        (INT64_C(4) << 20)
#define READ_MOST         (INT64_C(48) << 20)
#define WRITER_BYTES      (INT64_C(24) << 20)
#define PLENTY_PER_THREAD (INT64_C(32) << 20)
#define SHARE_LEAST       (INT64_C(1) << 20)
#define SHARE_PLENTY      (INT64_C(256) << 20)
#define STATE_MOST        (INT64_C(1) << 50)
#define UNLIMITED(budget) ((budget) > INT64_MAX / 2)

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

/* A batch is held a few times over by each state that it goes into: its keys, a table that grows, rows on their way to a file. */
static void shrink_batches(struct mr_plan_builder *builder, const struct mr_plan_segment *segment,
                           int64_t budget)
{
    int64_t each = budget / segment_threads(segment) / (1 + segment->nbuilds);
    if (each >= PLENTY_PER_THREAD)
        return;
    int64_t bytes = mr_clamp(each / 16, 16384, BATCH_BYTES);
    for (int i = 0; i < segment->nsources; i++) {
        struct mr_plan_node *node = &builder->nodes[segment->sources[i]];
        if (node->runtime->batch_rows > 0)
            continue;
        int64_t width = mr_plan_row_width(node->schema);
        if (node->rows > 0 && node->bytes > node->rows * width)
            width = node->bytes / node->rows;
        node->runtime->batch_rows = mr_clamp(bytes / width, 64, 65536);
    }
}

/* What readers of sources hold beside batches: a row group, pages, dictionaries, answers on their way. */
static int64_t read_bytes(const struct mr_plan_builder *builder,
                          const struct mr_plan_segment *segment, int64_t budget)
{
    int64_t bytes = 0, most = mr_clamp(budget / 6, READ_LEAST, READ_MOST);
    for (int i = 0; i < segment->nsources; i++) {
        const struct mr_plan_node *node = &builder->nodes[segment->sources[i]];
        int64_t each = node->bytes < 0 || node->bytes > most ? most : node->bytes;
        if (node->kind == MR_PLAN_SOURCE && each > bytes)
            bytes = each;
    }
    return bytes * segment->readers;
}

/* Memory of a segment without what operators keep. */
static int64_t flow_bytes(const struct mr_plan_builder *builder,
                          const struct mr_plan_segment *segment, int64_t budget)
{
    int tasks = segment->ntasks < segment->readers ? segment->ntasks : segment->readers;
    int64_t memory =
        segment->readers * 3 * BATCH_BYTES + tasks * count_sinks(builder, segment) * WRITER_BYTES;
    memory += read_bytes(builder, segment, budget);
    if (segment->gather != MR_GATHER_FUSED)
        memory += segment->readers * segment->queue_bytes;
    return memory;
}

/* Does `before` always end before `after` starts, because of a state that it fills? */
static bool precedes(const struct mr_plan *plan, int before, int after)
{
    const struct mr_plan_segment *from = &plan->segments[before];
    for (int i = 0; i < from->nbuilds; i++)
        for (int s = 0; s < plan->nsegments; s++)
            if (mr_plan_needs(&plan->segments[s], from->builds[i]) &&
                (s == after || precedes(plan, s, after)))
                return true;
    return false;
}

/*
 * May the state of `node` exist while segment s runs? Not if all that read it have ended by then,
 * nor if what fills it cannot have started.
 */
static bool may_be_alive(const struct mr_plan *plan, int node, int s)
{
    bool started = false, wanted = false;
    /* A checkpoint's rows are in files. */
    if (mr_plan_is_breaker(&plan->nodes[node]) && plan->nodes[node].op->durable != NULL)
        return false;
    for (int i = 0; i < plan->nsegments; i++) {
        if (mr_plan_fills(&plan->segments[i], node) && (i == s || !precedes(plan, s, i)))
            started = true;
        if (mr_plan_needs(&plan->segments[i], node) && (i == s || !precedes(plan, i, s)))
            wanted = true;
    }
    return started && wanted;
}

static int tasks_that_fill(const struct mr_plan *plan, int node)
{
    int tasks = 0;
    for (int i = 0; i < plan->nsegments; i++)
        if (mr_plan_fills(&plan->segments[i], node))
            tasks += plan->segments[i].ntasks;
    return tasks;
}

/* Bytes that the state of a node may come to: its tasks' shares, or what goes in if that is less. */
static int64_t state_bytes(const struct mr_plan_builder *builder, const struct mr_plan_node *node,
                           int tasks)
{
    int64_t in = 0;
    for (int k = 0; k < node->ninputs; k++) {
        int64_t bytes = builder->nodes[node->inputs[k].node].bytes;
        if (mr_plan_is_build(node, k))
            in = in < 0 || bytes < 0 ? -1 : in + bytes;
    }
    int64_t most = node->share > STATE_MOST / tasks ? STATE_MOST : node->share * tasks;
    return in >= 0 && in < most ? in : most;
}

/*
 * Half of what the flow of rows leaves goes to the states that operators fill, in equal parts to
 * those that may exist at once and to the tasks that fill each. The other half is for what is made
 * of them while they are settled and read.
 */
static void share_states(struct mr_plan_builder *builder, int64_t budget)
{
    struct mr_plan *plan = builder->plan;
    int64_t flow = 0;
    int alive = 1;
    for (int s = 0; s < plan->nsegments; s++) {
        int64_t bytes = plan->segments[s].flow_bytes;
        int count = 0;
        for (int n = 0; n < plan->nnodes; n++)
            count += may_be_alive(plan, n, s);
        flow = bytes > flow ? bytes : flow;
        alive = count > alive ? count : alive;
    }
    /* Writers flush early when memory is short: they do not take more than half. */
    flow = flow > budget / 2 ? budget / 2 : flow;
    for (int n = 0; n < plan->nnodes; n++) {
        int tasks = tasks_that_fill(plan, n);
        if (tasks == 0)
            continue;
        struct mr_plan_node *node = &plan->nodes[n];
        if (mr_plan_is_breaker(node) && node->op->durable != NULL)
            continue;
        node->share = UNLIMITED(budget) ? INT64_MAX / 4 : (budget - flow) / 2 / alive / tasks;
        if (node->share < SHARE_LEAST)
            node->share = SHARE_LEAST;
        node->runtime->share = node->share;
        plan->in_turn |= node->share < SHARE_PLENTY && plan->nsegments > 1;
    }
}

static void predict(struct mr_plan_builder *builder, int64_t budget)
{
    struct mr_plan *plan = builder->plan;
    for (int s = 0; s < plan->nsegments; s++) {
        int64_t memory = plan->segments[s].flow_bytes;
        for (int n = 0; n < plan->nnodes; n++)
            if (may_be_alive(plan, n, s))
                memory += state_bytes(builder, &plan->nodes[n], tasks_that_fill(plan, n));
        if (memory > plan->predicted_memory)
            plan->predicted_memory = memory;
    }
    if (plan->predicted_memory > budget)
        plan->predicted_memory = budget;
}

void mr_plan_share_memory(struct mr_plan_builder *builder)
{
    struct mr_plan *plan = builder->plan;
    const struct mr_runtime *runtime = builder->request->runtime;
    int64_t budget = mr_memory_available(runtime->memory) - mr_held_reserve(runtime->held);
    for (int i = 0; i < plan->nsegments; i++) {
        struct mr_plan_segment *segment = &plan->segments[i];
        /* Up to twice as many queues as readers hold rows at a time. */
        segment->queue_bytes =
            mr_clamp(budget / 8 / (2 * segment->readers), QUEUE_LEAST, QUEUE_BYTES);
        shrink_batches(builder, segment, budget);
        segment->flow_bytes = flow_bytes(builder, segment, budget);
    }
    share_states(builder, budget);
    predict(builder, budget);
}

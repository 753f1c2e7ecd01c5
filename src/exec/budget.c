/*
 * budget.c - shares of memory where segments run in turn.
 *
 * When a segment starts nothing else runs, so what the states of others hold is known, and the same
 * in every run: it depends on what they were filled with, and on shares that were found in the same
 * way. A quarter of what is left goes to the states that the segment fills: a state holds up to three
 * times its share while its tables grow by doubling and while what outgrew it is written to a file.
 * The same is true of partitions that are pulled, and of rows that wait for the part of a build side
 * that did not fit. States that are complete hold little: rows of breakers go to files above a
 * sixteenth of the budget (`rest`).
 *
 * Accounts of operators are asked, not that of the run: sources and sinks keep connections and
 * buffers for as long as they like.
 */
#include "exec/run.h"

#define SHARE_LEAST (INT64_C(1) << 20)
#define REST_PART   16

int64_t mr_budget_rest(const struct mr_run *run)
{
    return run->budget / REST_PART;
}

static int64_t held(const struct mr_plan *plan)
{
    int64_t bytes = 0;
    for (int n = 0; n < plan->nnodes; n++)
        if (plan->nodes[n].kind == MR_PLAN_OP)
            bytes += mr_memory_used(plan->nodes[n].runtime->memory);
    return bytes;
}

/* Gives a part of `bytes` to node n. */
static void give(const struct mr_plan *plan, int n, int64_t bytes)
{
    plan->nodes[n].runtime->share = bytes > SHARE_LEAST ? bytes : SHARE_LEAST;
}

void mr_budget_share(struct mr_run *run, const struct mr_plan_segment *segment)
{
    const struct mr_plan *plan = run->plan;
    if (!plan->in_turn)
        return;
    int64_t room = run->budget - held(plan) - segment->flow_bytes;
    if (room < run->budget / 8)
        room = run->budget / 8;
    int threads = segment->readers < segment->ntasks ? segment->readers : segment->ntasks;
    int64_t fills = room / 4, reads = segment->nbuilds > 0 ? room / 6 : room / 4;
    for (int i = 0; i < segment->nneeds; i++)
        give(plan, segment->needs[i], reads / segment->nneeds / threads);
    for (int i = 0; i < segment->nbuilds; i++)
        give(plan, segment->builds[i], fills / segment->nbuilds / segment->ntasks);
}

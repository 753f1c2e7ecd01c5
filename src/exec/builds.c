/*
 * builds.c - build sides: the states that tasks filled, and the one that they are combined into.
 *
 * Each task that fills a build side keeps its operator state when its graph is closed; when all
 * segments that fill it have ended, the states are combined in the order of task numbers (so that
 * nothing depends on who was faster) on the coordinating thread, and segments that waited for it
 * may start.
 */
#include "exec/run.h"

static struct mr_run_build *find(const struct mr_run *run, int node)
{
    for (int i = 0; i < run->nbuilds; i++)
        if (run->builds[i].node == node)
            return &run->builds[i];
    return NULL;
}

enum mr_status mr_builds_init(struct mr_run *run, struct mr_error *err)
{
    const struct mr_plan *plan = run->plan;
    run->builds = mr_calloc((size_t)plan->nnodes + 1, sizeof *run->builds);
    if (run->builds == NULL)
        return mr_error_nomem(err);
    for (int s = 0; s < plan->nsegments; s++) {
        for (int i = 0; i < plan->segments[s].nbuilds; i++) {
            int node = plan->segments[s].builds[i];
            if (find(run, node) != NULL)
                continue;
            struct mr_run_build *build = &run->builds[run->nbuilds++];
            build->node = node;
            build->states = mr_calloc((size_t)plan->ntasks + 1, sizeof(void *));
            if (build->states == NULL)
                return mr_error_nomem(err);
        }
    }
    return MR_OK;
}

void mr_builds_keep(struct mr_run *run, struct mr_push_graph *graph, int task)
{
    for (int i = 0; i < graph->nnodes; i++) {
        struct mr_push_node *node = &graph->nodes[i];
        if (node->role != MR_PUSH_BUILD)
            continue;
        find(run, node->plan->id)->states[task] = node->state;
        node->state = NULL;
    }
}

bool mr_builds_ready(const struct mr_run *run, const struct mr_plan_segment *segment)
{
    for (int i = 0; i < segment->nneeds; i++) {
        const struct mr_run_build *build = find(run, segment->needs[i]);
        if (build == NULL || build->built == NULL)
            return false;
    }
    return true;
}

/* Have all segments that fill this one ended? */
static bool complete(const struct mr_run *run, int node)
{
    for (int s = 0; s < run->nsegments; s++) {
        const struct mr_plan_segment *segment = run->segments[s].plan;
        for (int i = 0; i < segment->nbuilds; i++)
            if (segment->builds[i] == node && !run->segments[s].done)
                return false;
    }
    return true;
}

static enum mr_status combine(struct mr_run *run, struct mr_run_build *build, struct mr_error *err)
{
    const struct mr_plan_node *node = &run->plan->nodes[build->node];
    void *into = NULL;
    for (int t = 0; t < run->plan->ntasks; t++) {
        void *from = build->states[t];
        if (from == NULL)
            continue;
        if (into == NULL) {
            into = from;
            continue;
        }
        build->states[t] = NULL;
        enum mr_status status = node->op->combine(into, from, err);
        node->op->close(from);
        MR_TRY(mr_push_blame(run->plan, node, status, err));
    }
    build->built = into;
    return MR_OK;
}

enum mr_status mr_builds_combine(struct mr_run *run, const struct mr_run_segment *segment,
                                 struct mr_error *err)
{
    for (int i = 0; i < segment->plan->nbuilds; i++) {
        struct mr_run_build *build = find(run, segment->plan->builds[i]);
        if (build->built == NULL && complete(run, build->node))
            MR_TRY(combine(run, build, err));
    }
    return MR_OK;
}

const void *mr_builds_get(void *context, int node)
{
    struct mr_worker *worker = context;
    return find(worker->segment->run, node)->built;
}

void mr_builds_free(struct mr_run *run)
{
    for (int i = 0; i < run->nbuilds; i++) {
        const struct mr_plan_node *node = &run->plan->nodes[run->builds[i].node];
        for (int t = 0; run->builds[i].states != NULL && t < run->plan->ntasks; t++)
            if (run->builds[i].states[t] != NULL)
                node->op->close(run->builds[i].states[t]);
        mr_free(run->builds[i].states);
    }
    mr_free(run->builds);
}

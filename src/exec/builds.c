/*
 * builds.c - what tasks filled together: build sides and breakers, from their states to one that is
 * only read.
 *
 * Each task that fills such an operator keeps its state when its graph is closed. When all segments
 * that fill it have ended, one thread combines the states in the order of task numbers (so that
 * nothing depends on who was faster) and asks how the rest of the work can be shared out; then
 * threads settle the pieces, each taking the next. Segments that waited for it may start. Combining
 * on the coordinating thread was refused: that thread turns a cancel into wake-ups, and a table of
 * millions of groups would keep it from that.
 *
 * A state is closed as soon as the last segment that needs it has ended: the memory and the files of
 * a sort are not kept while the next one runs. Phases are the coordinating thread's; its threads
 * only count themselves out.
 */
#include "exec/run.h"

#include "base/time.h"

#include <stdio.h>

static struct mr_run_build *find(const struct mr_run *run, int node)
{
    for (int i = 0; i < run->nbuilds; i++)
        if (run->builds[i].node == node)
            return &run->builds[i];
    return NULL;
}

static const struct mr_plan_node *node_of(const struct mr_run_build *build)
{
    return &build->run->plan->nodes[build->node];
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
            build->run = run;
            build->node = node;
            build->states = mr_calloc((size_t)plan->ntasks + 1, sizeof *build->states);
            if (build->states == NULL)
                return mr_error_nomem(err);
            build->nstates = plan->ntasks;
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
        /* The thread that filled it goes; whoever works on the state lends it their own waiter. */
        node->kept->waiter = mr_engine_waiter(run->engine);
        node->kept->pool = NULL;
        find(run, node->plan->id)->states[task] = (struct mr_run_state){node->state, node->kept};
        node->state = NULL;
        node->kept = NULL;
    }
}

bool mr_builds_ready(const struct mr_run *run, const struct mr_plan_segment *segment)
{
    for (int i = 0; i < segment->nneeds; i++) {
        const struct mr_run_build *build = find(run, segment->needs[i]);
        if (build == NULL || build->phase != MR_BUILD_READY)
            return false;
    }
    return true;
}

bool mr_builds_busy(const struct mr_run *run)
{
    for (int i = 0; i < run->nbuilds; i++)
        if (run->builds[i].phase == MR_BUILD_COMBINE || run->builds[i].phase == MR_BUILD_SETTLE)
            return true;
    return false;
}

static void close_state(const struct mr_run_build *build, struct mr_run_state *state)
{
    if (state->state != NULL)
        node_of(build)->op->close(state->state);
    mr_free(state->runtime);
    *state = (struct mr_run_state){0};
}

static void close_all(struct mr_run_build *build)
{
    for (int t = 0; t < build->nstates; t++)
        close_state(build, &build->states[t]);
    close_state(build, &build->built);
}

/* ---- the threads ---- */

static enum mr_status combine(struct mr_run_build *build, struct mr_settler *settler,
                              struct mr_error *err)
{
    const struct mr_op *op = node_of(build)->op;
    for (int t = 0; t < build->nstates; t++) {
        struct mr_run_state *from = &build->states[t];
        if (from->state == NULL)
            continue;
        from->runtime->waiter = &settler->waiter.base;
        if (build->built.state == NULL) {
            build->built = *from;
            *from = (struct mr_run_state){0};
            continue;
        }
        enum mr_status status = op->combine(build->built.state, from->state, err);
        close_state(build, from);
        MR_TRY(status);
        MR_TRY(mr_task_check(&settler->waiter, err));
    }
    if (build->built.state == NULL)
        return mr_error_internal(err, "nothing has filled it");
    build->pieces = 0;
    if (op->settle != NULL)
        MR_TRY(op->settle(build->built.state, &settler->runtime, -1, &build->pieces, err));
    if (op->rest != NULL && build->run->plan->in_turn)
        MR_TRY(op->rest(build->built.state, mr_budget_rest(build->run), err));
    return MR_OK;
}

static enum mr_status settle(struct mr_run_build *build, struct mr_settler *settler,
                             struct mr_error *err)
{
    for (;;) {
        int pieces = build->pieces;
        int piece = atomic_fetch_add(&build->next_piece, 1);
        if (piece >= pieces)
            return MR_OK;
        if (mr_wait_cancelled(&settler->waiter.base))
            return mr_error_cancelled(err);
        MR_TRY(
            node_of(build)->op->settle(build->built.state, &settler->runtime, piece, &pieces, err));
        mr_task_yield(&settler->waiter);
    }
}

static void body(void *arg)
{
    struct mr_settler *settler = arg;
    struct mr_run_build *build = settler->build;
    struct mr_run *run = build->run;
    struct mr_error err = {0};
    settler->clock.wall = mr_clock_monotonic_micros();
    settler->clock.cpu = mr_clock_thread_cpu_nanos();
    mr_task_acquire(&settler->waiter);
    mr_clock_move(&settler->clock, build->node);
    enum mr_status status = build->phase == MR_BUILD_COMBINE ? combine(build, settler, &err)
                                                             : settle(build, settler, &err);
    mr_clock_move(&settler->clock, -1);
    mr_task_release(&settler->waiter);
    /* Woken because nobody wants more: that is an ordinary end. */
    if (status == MR_CANCELLED && atomic_load(&run->enough.set) && !mr_run_stopped(run))
        status = MR_OK;
    if (status != MR_OK) {
        mr_push_blame(run->plan, node_of(build), status, &err);
        mr_run_fail(run, status, &err);
    }
    atomic_fetch_sub(&build->unfinished, 1);
    mr_stop_set(&run->notify);
}

static enum mr_status start_settler(struct mr_run_build *build, struct mr_error *err)
{
    struct mr_run *run = build->run;
    struct mr_settler *settler = &build->settlers[build->nsettlers++];
    settler->build = build;
    settler->clock.node = -1;
    settler->clock.step_limit = run->plan->spec->timeout_step_micros;
    settler->clock.steps = mr_calloc((size_t)run->plan->nnodes, sizeof *settler->clock.steps);
    if (settler->clock.steps == NULL)
        return mr_error_nomem(err);
    mr_task_waiter_init(&settler->waiter, run->engine, &run->stop, &settler->clock);
    settler->waiter.quiet = &run->enough;
    settler->runtime = *node_of(build)->runtime;
    settler->runtime.waiter = &settler->waiter.base;
    char name[16];
    snprintf(name, sizeof name, "settle-%d", build->node % 10000);
    atomic_fetch_add(&build->unfinished, 1);
    enum mr_status status = mr_thread_start(&settler->thread, name, body, settler, err);
    if (status != MR_OK)
        atomic_fetch_sub(&build->unfinished, 1);
    return status;
}

/* ---- the coordinating thread ---- */

/* Enters a phase with as many threads. One that cannot start fails the run. */
static void start_phase(struct mr_run_build *build, enum mr_build_phase phase, int threads)
{
    struct mr_error err = {0};
    build->phase = phase;
    build->nsettlers = 0;
    build->settlers = mr_calloc((size_t)threads, sizeof *build->settlers);
    enum mr_status status = build->settlers != NULL ? MR_OK : mr_error_nomem(&err);
    for (int i = 0; i < threads && status == MR_OK; i++)
        status = start_settler(build, &err);
    if (status == MR_OK)
        return;
    mr_run_fail(build->run, status, &err);
    mr_stop_set(&build->run->notify); /* there may be no thread that would */
}

static void join(struct mr_run_build *build)
{
    for (int i = 0; i < build->nsettlers; i++) {
        struct mr_settler *settler = &build->settlers[i];
        mr_thread_join(&settler->thread);
        mr_run_add_times(build->run, &settler->clock);
        mr_free(settler->clock.steps);
    }
    mr_free(build->settlers);
    build->settlers = NULL;
    build->nsettlers = 0;
}

/* Have all segments that fill it ended? */
static bool is_filled(const struct mr_run_build *build)
{
    int fillers = 0;
    for (int s = 0; s < build->run->nsegments; s++) {
        const struct mr_run_segment *segment = &build->run->segments[s];
        if (!mr_plan_fills(segment->plan, build->node))
            continue;
        if (!segment->done)
            return false;
        fillers++;
    }
    return fillers > 0;
}

/* Does a segment that has not ended need it? */
static bool is_needed(const struct mr_run_build *build)
{
    for (int s = 0; s < build->run->nsegments; s++) {
        const struct mr_run_segment *segment = &build->run->segments[s];
        if (!segment->done && mr_plan_needs(segment->plan, build->node))
            return true;
    }
    return false;
}

/* Rows that outlive the run are told to the caller before anything reads them. */
static void announce(struct mr_run_build *build)
{
    struct mr_run *run = build->run;
    const struct mr_exec_request *request = run->request;
    struct mr_error err = {0};
    if (node_of(build)->op->durable == NULL || request->built == NULL)
        return;
    enum mr_status status =
        request->built(request->built_context, build->node, build->built.state, &err);
    if (status == MR_OK)
        return;
    mr_push_blame(run->plan, node_of(build), status, &err);
    mr_run_fail(run, status, &err);
    mr_stop_set(&run->notify);
}

static void advance(struct mr_run_build *build)
{
    bool stopping = mr_run_stopped(build->run) || atomic_load(&build->run->enough.set);
    switch (build->phase) {
    case MR_BUILD_FILL:
        if (stopping || !is_filled(build))
            return;
        if (is_needed(build)) {
            start_phase(build, MR_BUILD_COMBINE, 1);
            return;
        }
        break;
    case MR_BUILD_COMBINE:
    case MR_BUILD_SETTLE:
        if (atomic_load(&build->unfinished) > 0)
            return;
        join(build);
        if (!stopping && build->phase == MR_BUILD_COMBINE && build->pieces > 0) {
            int most = node_of(build)->runtime->parallelism;
            most = most > 1 ? most : 1;
            atomic_store(&build->next_piece, 0);
            start_phase(build, MR_BUILD_SETTLE, build->pieces < most ? build->pieces : most);
            return;
        }
        build->phase = stopping ? MR_BUILD_CLOSED : MR_BUILD_READY;
        if (!stopping) {
            announce(build);
            return;
        }
        break;
    case MR_BUILD_READY:
        if (is_needed(build))
            return;
        break;
    case MR_BUILD_CLOSED:
        return;
    }
    build->phase = MR_BUILD_CLOSED;
    close_all(build);
}

void mr_builds_advance(struct mr_run *run)
{
    for (int i = 0; i < run->nbuilds; i++)
        advance(&run->builds[i]);
}

const void *mr_builds_state(const struct mr_run *run, int node)
{
    return find(run, node)->built.state;
}

const void *mr_builds_get(void *context, int node)
{
    struct mr_worker *worker = context;
    return mr_builds_state(worker->segment->run, node);
}

void mr_builds_free(struct mr_run *run)
{
    for (int i = 0; i < run->nbuilds; i++) {
        close_all(&run->builds[i]);
        mr_free(run->builds[i].states);
    }
    mr_free(run->builds);
}

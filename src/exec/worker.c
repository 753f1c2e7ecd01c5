/*
 * worker.c - what the threads of a segment do.
 *
 * FUSED: as many threads as readers are allowed; each takes the next output task, in order, and
 * runs it from its splits to its writers. Otherwise each task has a thread of its own behind a
 * funnel, and readers in front of it that take its splits in order. Whatever a thread opens it
 * closes, in the reverse order, whether it failed or not.
 */
#include "exec/run.h"

#include "base/time.h"

#include <stdio.h>

static enum mr_status tap(void *context, struct mr_batch *batch, bool *closed, struct mr_error *err)
{
    struct mr_worker *worker = context;
    struct mr_run *run = worker->segment->run;
    int before = mr_clock_move(&worker->clock, worker->clock.node);
    mr_task_release(&worker->waiter);
    pthread_mutex_lock(&run->tap_lock);
    bool enough = atomic_load(&run->enough.set);
    enum mr_status status = MR_OK;
    if (!enough)
        status = run->request->tap(run->request->tap_context, batch, &enough, err);
    if (enough)
        mr_stop_set(&run->enough);
    pthread_mutex_unlock(&run->tap_lock);
    mr_clock_waited(&worker->clock, MR_WAIT_SINK);
    mr_task_acquire(&worker->waiter);
    (void)before;
    if (enough)
        mr_run_wake(run);
    *closed = enough;
    return status;
}

static enum mr_status into_queue(void *context, int node, int port, struct mr_batch *batch,
                                 bool *closed, struct mr_error *err)
{
    struct mr_worker *worker = context;
    return mr_funnel_put(worker->funnel, worker->split, node, port, batch, &worker->waiter, closed,
                         err);
}

static bool unwanted(const struct mr_worker *worker)
{
    return atomic_load(&worker->waiter.quiet->set);
}

static bool all_closed(const struct mr_push_graph *graph)
{
    for (int i = 0; i < graph->nnodes; i++)
        if (graph->nodes[i].role == MR_PUSH_SOURCE && !graph->nodes[i].emit.closed)
            return false;
    return true;
}

static enum mr_status open_graph(struct mr_worker *worker, struct mr_push_graph *graph,
                                 enum mr_push_side side, int source, struct mr_error *err)
{
    return mr_push_open(graph, worker->segment->run->plan, worker->segment->plan, side, source,
                        &worker->hooks, &worker->waiter, &worker->clock, err);
}

/* The end of a part of an output task: operators, writers, build sides. */
static enum mr_status finish_task(struct mr_worker *worker, struct mr_push_graph *graph,
                                  struct mr_error *err)
{
    MR_TRY(mr_push_finish(graph, err));
    MR_TRY(mr_write_finish(worker, err));
    mr_builds_keep(worker->segment->run, graph, worker->segment->plan->first_task + worker->task);
    return MR_OK;
}

/* A part is told of once its writers are closed: what they hold is then the committables' alone. */
static enum mr_status end_part(struct mr_worker *worker, struct mr_push_graph *graph, bool whole,
                               enum mr_status status, struct mr_error *err)
{
    if (status == MR_OK)
        status = finish_task(worker, graph, err);
    mr_write_close(worker);
    mr_push_close(graph);
    if (status == MR_OK && whole)
        status = mr_part_sealed(worker, err);
    return status;
}

static enum mr_status run_fused_part(struct mr_worker *worker, bool *whole, struct mr_error *err)
{
    const struct mr_plan_segment *segment = worker->segment->plan;
    struct mr_run_part *part = worker->part;
    struct mr_push_graph graph;
    enum mr_status status = open_graph(worker, &graph, MR_PUSH_WHOLE, -1, err);
    int i = part->first;
    while (status == MR_OK && i < part->limit && !all_closed(&graph) && !unwanted(worker)) {
        if (!mr_push_closed(&graph, segment->splits[i].node))
            status = mr_read_split(worker, &graph, i, err);
        i++;
        if (status == MR_OK && mr_part_is_enough(worker))
            break;
    }
    part->end = i;
    *whole = !all_closed(&graph) && !unwanted(worker);
    return end_part(worker, &graph, *whole, status, err);
}

static enum mr_status run_fused_task(struct mr_worker *worker, int task, struct mr_error *err)
{
    bool whole = true;
    worker->task = task;
    while (whole && mr_part_begin(worker))
        MR_TRY(run_fused_part(worker, &whole, err));
    return MR_OK;
}

static enum mr_status run_fused(struct mr_worker *worker, struct mr_error *err)
{
    struct mr_run_segment *segment = worker->segment;
    for (;;) {
        int task = atomic_fetch_add(&segment->next_task, 1);
        if (task >= segment->end_task)
            return MR_OK;
        MR_TRY(run_fused_task(worker, task, err));
    }
}

static enum mr_status run_reader(struct mr_worker *worker, struct mr_error *err)
{
    const struct mr_plan_segment *segment = worker->segment->plan;
    mr_clock_move(&worker->clock, segment->sources[0]);
    for (;;) {
        worker->split = mr_funnel_next_split(worker->funnel, &worker->waiter);
        if (worker->split < 0)
            return MR_OK;
        int split = segment->task_splits[worker->task] + worker->split;
        mr_part_join(worker);
        struct mr_push_graph graph;
        enum mr_status status =
            open_graph(worker, &graph, MR_PUSH_READER, segment->splits[split].node, err);
        if (status == MR_OK)
            status = mr_read_split(worker, &graph, split, err);
        if (status == MR_OK && !unwanted(worker))
            status = mr_push_finish(&graph, err);
        mr_push_close(&graph);
        MR_TRY(status);
        mr_funnel_end_split(worker->funnel, worker->split);
    }
}

/* A validation in the readers has to see every row, whatever the task still wants. */
static bool must_drain(const struct mr_worker *worker)
{
    const struct mr_plan_segment *segment = worker->segment->plan;
    const struct mr_plan_node *nodes = worker->segment->run->plan->nodes;
    for (int i = 0; i < segment->nnodes; i++) {
        const struct mr_plan_node *node = &nodes[segment->nodes[i]];
        if (node->kind == MR_PLAN_OP && (node->op->flags & MR_OP_VALIDATION) &&
            !segment->in_task[i])
            return true;
    }
    return false;
}

/* Of a split, by its number in the funnel. */
static const char *origin_of(const struct mr_worker *worker, int split)
{
    const struct mr_plan_segment *segment = worker->segment->plan;
    const struct mr_plan_split *planned =
        &segment->splits[segment->task_splits[worker->task] + split];
    return worker->segment->run->plan->nodes[planned->node].splits.items[planned->split].origin;
}

static enum mr_status drain(struct mr_worker *worker, struct mr_push_graph *graph,
                            struct mr_error *err)
{
    bool all = must_drain(worker);
    while ((all || !mr_push_task_closed(graph)) && !unwanted(worker)) {
        struct mr_funnel_item item;
        MR_TRY(mr_write_relieve(worker, err));
        MR_TRY(mr_funnel_take(worker->funnel, &worker->waiter, &item, err));
        if (item.batch == NULL)
            return MR_OK;
        mr_push_origin(graph, origin_of(worker, item.split));
        MR_TRY(mr_push_into(graph, item.node, item.port, item.batch, err));
        if (!worker->part->enough && mr_part_is_enough(worker))
            mr_funnel_end_soon(worker->funnel);
        mr_task_yield(&worker->waiter);
    }
    return MR_OK;
}

/* *more: it has ended because enough was written, and not because all is read or nobody wants more. */
static enum mr_status run_queued_part(struct mr_worker *worker, bool *more, struct mr_error *err)
{
    int base = worker->segment->plan->task_splits[worker->task];
    struct mr_run_part *part = worker->part;
    struct mr_push_graph graph;
    if (mr_part_is_on(worker->segment))
        mr_funnel_part(worker->funnel, part->first - base, part->limit - base);
    enum mr_status status = open_graph(worker, &graph, MR_PUSH_TASK, -1, err);
    if (status == MR_OK)
        status = drain(worker, &graph, err);
    bool whole = status == MR_OK && !mr_push_task_closed(&graph) && !unwanted(worker);
    part->end = base + mr_funnel_part_end(worker->funnel);
    *more = whole && mr_part_is_on(worker->segment);
    if (!*more)
        mr_funnel_close(worker->funnel);
    return end_part(worker, &graph, whole, status, err);
}

static enum mr_status run_task(struct mr_worker *worker, struct mr_error *err)
{
    const struct mr_plan_segment *segment = worker->segment->plan;
    enum mr_status status = MR_OK;
    bool more = true;
    /* Waiting for the queues is booked to the last node, a sink. */
    mr_clock_move(&worker->clock, segment->nodes[segment->nnodes - 1]);
    while (more && status == MR_OK && mr_part_begin(worker))
        status = run_queued_part(worker, &more, err);
    mr_funnel_close(worker->funnel);
    return status;
}

static void body(void *arg)
{
    struct mr_worker *worker = arg;
    struct mr_run_segment *segment = worker->segment;
    struct mr_error err = {0};
    worker->clock.wall = mr_clock_monotonic_micros();
    worker->clock.cpu = mr_clock_thread_cpu_nanos();
    mr_task_acquire(&worker->waiter);
    enum mr_status status;
    if (mr_run_stopped(segment->run))
        status = mr_error_cancelled(&err);
    else if (worker->funnel == NULL)
        status = run_fused(worker, &err);
    else
        status = worker->reader ? run_reader(worker, &err) : run_task(worker, &err);
    mr_task_release(&worker->waiter);
    if (status != MR_OK)
        mr_run_fail(segment->run, status, &err);
    atomic_fetch_sub(&segment->unfinished, 1);
    mr_stop_set(&segment->run->notify);
}

static enum mr_status init_worker(struct mr_run_segment *segment, struct mr_worker *worker,
                                  struct mr_error *err)
{
    struct mr_run *run = segment->run;
    worker->segment = segment;
    worker->clock.node = -1;
    worker->clock.step_limit = run->plan->spec->timeout_step_micros;
    worker->clock.steps = mr_calloc((size_t)run->plan->nnodes, sizeof *worker->clock.steps);
    worker->writers = mr_calloc((size_t)run->plan->nsinks + 1, sizeof *worker->writers);
    if (worker->clock.steps == NULL || worker->writers == NULL)
        return mr_error_nomem(err);
    mr_task_waiter_init(&worker->waiter, run->engine, &run->stop, &worker->clock);
    worker->waiter.quiet = worker->reader ? &worker->funnel->closed : &run->enough;
    worker->hooks = (struct mr_push_hooks){
        .context = worker,
        .queue = into_queue,
        .write = mr_write_batch,
        .tap = run->request->tap != NULL && !segment->quiet_sinks ? tap : NULL,
        .tap_node = run->request->tap_node,
        .built = mr_builds_get,
    };
    return MR_OK;
}

static enum mr_status start_worker(struct mr_run_segment *segment, struct mr_funnel *funnel,
                                   int task, bool reader, struct mr_error *err)
{
    struct mr_worker *worker = &segment->workers[segment->nworkers++];
    worker->funnel = funnel;
    worker->task = task;
    worker->reader = reader;
    MR_TRY(init_worker(segment, worker, err));
    char name[16];
    snprintf(name, sizeof name, "%s-%d", reader ? "read" : "task",
             (segment->plan->first_task + task) % 100000);
    atomic_fetch_add(&segment->unfinished, 1);
    enum mr_status status = mr_thread_start(&worker->thread, name, body, worker, err);
    if (status != MR_OK)
        atomic_fetch_sub(&segment->unfinished, 1);
    return status;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

static enum mr_status start_fused(struct mr_run_segment *segment, struct mr_error *err)
{
    int count = least(segment->plan->readers, segment->end_task - segment->first_task);
    segment->workers = mr_calloc((size_t)count + 1, sizeof *segment->workers);
    if (segment->workers == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < (count > 0 ? count : 1); i++)
        MR_TRY(start_worker(segment, NULL, 0, false, err));
    return MR_OK;
}

/* Readers of task t when `readers` are shared out over `tasks`. */
static int readers_of(const struct mr_plan_segment *segment, int task)
{
    int readers = segment->readers / segment->ntasks + (task < segment->readers % segment->ntasks);
    int splits = segment->task_splits[task + 1] - segment->task_splits[task];
    return least(readers > 0 ? readers : 1, splits > 0 ? splits : 1);
}

static enum mr_status start_with_queues(struct mr_run_segment *segment, struct mr_error *err)
{
    const struct mr_plan_segment *plan = segment->plan;
    struct mr_run *run = segment->run;
    int64_t limit = run->engine->queue_bytes > 0 ? run->engine->queue_bytes : plan->queue_bytes;
    int tasks = segment->end_task - segment->first_task;
    segment->workers = mr_calloc((size_t)(2 * tasks + plan->readers + 1), sizeof *segment->workers);
    segment->funnels = mr_calloc((size_t)tasks + 1, sizeof *segment->funnels);
    if (segment->workers == NULL || segment->funnels == NULL)
        return mr_error_nomem(err);
    for (int t = segment->first_task; t < segment->end_task; t++) {
        int readers = readers_of(plan, t);
        struct mr_funnel *funnel = &segment->funnels[segment->nfunnels];
        MR_TRY(mr_funnel_init(funnel, &run->stop, plan->task_splits[t + 1] - plan->task_splits[t],
                              readers, plan->gather == MR_GATHER_ORDERED ? 1 : readers, limit,
                              err));
        if (mr_part_is_on(segment))
            mr_funnel_part(funnel, 0, 0); /* readers wait for the first part */
        pthread_mutex_lock(&run->lock);
        segment->nfunnels++;
        pthread_mutex_unlock(&run->lock);
        MR_TRY(start_worker(segment, funnel, t, false, err));
        for (int r = 0; r < readers; r++)
            MR_TRY(start_worker(segment, funnel, t, true, err));
    }
    return MR_OK;
}

enum mr_status mr_run_start_segment(struct mr_run_segment *segment, struct mr_error *err)
{
    segment->started = true;
    atomic_init(&segment->next_task, segment->first_task);
    MR_TRY(mr_parts_init(segment, err));
    return segment->plan->gather == MR_GATHER_FUSED ? start_fused(segment, err)
                                                    : start_with_queues(segment, err);
}

static void add_step(struct mr_exec_step *into, const struct mr_exec_step *from)
{
    into->working += from->working;
    into->cpu += from->cpu;
    for (int c = 0; c < MR_WAIT_CAUSES; c++)
        into->waiting[c] += from->waiting[c];
    into->rows_in += from->rows_in;
    into->rows_out += from->rows_out;
    into->batches += from->batches;
}

void mr_run_add_times(struct mr_run *run, const struct mr_clock *clock)
{
    for (int i = 0; clock->steps != NULL && i < run->plan->nnodes; i++)
        add_step(&run->result->steps[i], &clock->steps[i]);
}

void mr_run_end_segment(struct mr_run_segment *segment)
{
    struct mr_run *run = segment->run;
    for (int w = 0; w < segment->nworkers; w++) {
        struct mr_worker *worker = &segment->workers[w];
        mr_thread_join(&worker->thread);
        mr_run_add_times(run, &worker->clock);
        mr_free(worker->clock.steps);
        mr_free(worker->writers);
    }
    mr_free(segment->workers);
    mr_parts_free(segment);
    segment->workers = NULL;
    segment->nworkers = 0;
    pthread_mutex_lock(&run->lock);
    int nfunnels = segment->nfunnels;
    segment->nfunnels = 0;
    pthread_mutex_unlock(&run->lock);
    for (int i = 0; i < nfunnels; i++)
        mr_funnel_reset(&segment->funnels[i]);
    mr_free(segment->funnels);
    segment->funnels = NULL;
}

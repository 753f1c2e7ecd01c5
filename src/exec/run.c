/*
 * run.c - coordinates a run: starts segments as their needs are met, collects errors, ends.
 *
 * The calling thread computes nothing: it polls the engine's cancel descriptor and its own
 * notification, so that a signal handler can stop a run although it may touch no mutex: this thread
 * turns the flag into wake-ups.
 *
 * Segments that need no state (of a breaker, a build side) start at once, the others when their
 * states are settled.
 * FUSED segments run side by side. A segment with queues runs alone: its readers may block on full
 * queues while they hold connections, and two such segments could share a pool of connections and
 * wait for each other. (Threads of FUSED segments never wait for another thread.) Where memory is
 * short (plan->in_turn) every segment runs alone, and has what the states before it leave.
 */
#include "exec/run.h"

#include "base/time.h"
#include "ext/held.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

bool mr_run_stopped(const struct mr_run *run)
{
    return atomic_load(&run->stop.set) || atomic_load(&run->engine->cancel.set);
}

/* Everybody who sleeps on a condition variable looks again. */
void mr_run_wake(struct mr_run *run)
{
    pthread_mutex_lock(&run->lock);
    bool enough = atomic_load(&run->enough.set);
    for (int s = 0; s < run->nsegments; s++)
        for (int i = 0; i < run->segments[s].nfunnels; i++) {
            if (enough)
                mr_stop_set(&run->segments[s].funnels[i].closed);
            mr_funnel_wake(&run->segments[s].funnels[i]);
        }
    pthread_mutex_unlock(&run->lock);
}

void mr_run_fail(struct mr_run *run, enum mr_status status, const struct mr_error *err)
{
    pthread_mutex_lock(&run->lock);
    bool secondary =
        status == MR_CANCELLED && mr_run_stopped(run) && !atomic_load(&run->engine->cancel.set);
    if (!run->failed && !secondary) {
        run->failed = true;
        run->first = *err;
        run->first.status = status;
    }
    pthread_mutex_unlock(&run->lock);
    mr_stop_set(&run->stop);
    mr_run_wake(run);
}

static void cancel(struct mr_run *run, enum mr_status status, const char *message)
{
    struct mr_error err;
    if (status == MR_CANCELLED)
        mr_error_cancelled(&err);
    else
        mr_error_set(&err, status, MR_CLASS_CONFIG, "%s", message);
    mr_run_fail(run, status, &err);
}

/* Blocks until a worker has ended, the user cancels or the run's time is over. */
static void wait_for_news(struct mr_run *run)
{
    bool stopping = atomic_load(&run->stop.set);
    struct pollfd fds[2] = {
        {.fd = run->notify.fd, .events = POLLIN},
        {.fd = stopping ? -1 : run->engine->cancel.fd, .events = POLLIN},
    };
    int64_t deadline = stopping ? INT64_MAX : run->engine->run_deadline;
    int timeout = -1;
    if (deadline != INT64_MAX) {
        int64_t left = (deadline - mr_clock_monotonic_micros()) / 1000 + 1;
        timeout = left < 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
    }
    int rc = poll(fds, 2, timeout);
    if (rc > 0 && fds[0].revents != 0) {
        uint64_t ignored;
        ssize_t got = read(run->notify.fd, &ignored, sizeof ignored);
        (void)got;
    }
    if (stopping)
        return;
    if (atomic_load(&run->engine->cancel.set))
        cancel(run, MR_CANCELLED, NULL);
    else if (deadline != INT64_MAX && mr_clock_monotonic_micros() >= deadline)
        cancel(run, MR_LIMIT, "the run took longer than timeouts.run");
}

static bool queued(const struct mr_run_segment *segment)
{
    return segment->plan->gather != MR_GATHER_FUSED;
}

static bool anything_runs(const struct mr_run *run)
{
    if (mr_builds_busy(run))
        return true;
    for (int i = 0; i < run->nsegments; i++)
        if (run->segments[i].started && !run->segments[i].done)
            return true;
    return false;
}

/* May this segment start beside those that run? */
static bool fits(const struct mr_run *run, const struct mr_run_segment *segment)
{
    if (run->plan->in_turn && anything_runs(run))
        return false;
    for (int i = 0; i < run->nsegments; i++) {
        const struct mr_run_segment *other = &run->segments[i];
        if (other->started && !other->done && (queued(other) || queued(segment)))
            return false;
    }
    return true;
}

static void start_ready(struct mr_run *run)
{
    for (int i = 0; i < run->nsegments && !mr_run_stopped(run); i++) {
        struct mr_run_segment *segment = &run->segments[i];
        if (segment->started || !mr_builds_ready(run, segment->plan) || !fits(run, segment))
            continue;
        struct mr_error err = {0};
        mr_budget_share(run, segment->plan);
        enum mr_status status = mr_narrow_sources(run, segment->plan, &err);
        if (status == MR_OK)
            status = mr_run_start_segment(segment, &err);
        segment->started = true;
        if (status == MR_OK)
            continue;
        mr_run_fail(run, status, &err);
        mr_stop_set(&run->notify); /* it may have no worker that would: it is reaped at once */
    }
}

static void reap(struct mr_run *run)
{
    for (int i = 0; i < run->nsegments; i++) {
        struct mr_run_segment *segment = &run->segments[i];
        if (!segment->started || segment->done || atomic_load(&segment->unfinished) > 0)
            continue;
        mr_run_end_segment(segment);
        segment->done = true;
        if (run->plan->in_turn)
            mr_alloc_trim();
    }
    mr_builds_advance(run);
}

static void coordinate(struct mr_run *run)
{
    for (;;) {
        reap(run);
        if (!atomic_load(&run->enough.set))
            start_ready(run);
        if (!anything_runs(run))
            break;
        wait_for_news(run);
    }
    for (int i = 0; i < run->nsegments; i++)
        if (!run->segments[i].done && !run->failed && !atomic_load(&run->enough.set) &&
            !mr_run_stopped(run)) {
            struct mr_error err;
            mr_error_internal(&err, "segment %d could not start", i);
            mr_run_fail(run, MR_INTERNAL, &err);
        }
    if (atomic_load(&run->engine->cancel.set))
        cancel(run, MR_CANCELLED, NULL);
}

static bool feeds(const struct mr_plan_segment *from, const struct mr_plan_segment *to)
{
    for (int i = 0; i < from->nbuilds; i++)
        for (int k = 0; k < to->nneeds; k++)
            if (from->builds[i] == to->needs[k])
                return true;
    return false;
}

/*
 * For a foreign scheduler: that task, and whole segments (without their sinks) that fill build
 * sides for it.
 */
static void choose_segments(struct mr_run *run)
{
    int only = run->request->only_segment;
    int nplanned = run->plan->nsegments;
    bool *wanted = run->chosen;
    for (int i = 0; i < nplanned; i++)
        wanted[i] = only < 0 || i == only;
    for (bool changed = only >= 0; changed;) {
        changed = false;
        for (int i = 0; i < nplanned; i++)
            for (int k = 0; !wanted[i] && k < nplanned; k++)
                if (wanted[k] && feeds(&run->plan->segments[i], &run->plan->segments[k]))
                    wanted[i] = changed = true;
    }
    int base = 0;
    for (int i = 0; i < nplanned; i++) {
        const struct mr_plan_segment *plan = &run->plan->segments[i];
        if (wanted[i]) {
            struct mr_run_segment *segment = &run->segments[run->nsegments++];
            bool chosen = i == only && run->request->only_task >= 0;
            segment->run = run;
            segment->plan = plan;
            segment->index = i;
            segment->first_task = chosen ? run->request->only_task : 0;
            segment->end_task = chosen ? run->request->only_task + 1 : plan->ntasks;
            segment->quiet_sinks = only >= 0 && i != only;
            segment->split_base = base;
        }
        base += plan->nsplits;
    }
}

/* Room for a committable of each part: one that begins at split s of task t is at s + t. */
static int places_of(const struct mr_plan_segment *segment)
{
    return segment->nsplits + segment->ntasks;
}

static enum mr_status init_result(struct mr_run *run, struct mr_error *err)
{
    const struct mr_plan *plan = run->plan;
    struct mr_exec_result *result = run->result;
    int nsplits = 0;
    for (int i = 0; i < plan->nsegments; i++)
        nsplits += plan->segments[i].nsplits;
    result->sinks = mr_calloc((size_t)plan->nsinks + 1, sizeof *result->sinks);
    result->steps = mr_calloc((size_t)plan->nnodes + 1, sizeof *result->steps);
    result->splits = mr_calloc((size_t)nsplits + 1, sizeof *result->splits);
    if (result->sinks == NULL || result->steps == NULL || result->splits == NULL)
        return mr_error_nomem(err);
    result->nsinks = plan->nsinks;
    result->nsteps = plan->nnodes;
    for (int i = 0; i < plan->nnodes; i++)
        result->steps[i].node = i;
    for (int s = 0; s < plan->nsegments; s++)
        for (int k = 0; k < plan->segments[s].nsplits; k++)
            result->splits[result->nsplits++] = (struct mr_exec_split){.segment = s, .split = k};
    for (int s = 0; s < plan->nsegments; s++) {
        const struct mr_plan_segment *segment = &plan->segments[s];
        for (int i = 0; i < segment->nnodes; i++) {
            const struct mr_plan_node *node = &plan->nodes[segment->nodes[i]];
            if (node->kind != MR_PLAN_SINK)
                continue;
            result->sinks[node->sink_sequence].items =
                mr_calloc((size_t)places_of(segment) + 1, sizeof(struct mr_slice));
            result->sinks[node->sink_sequence].contents =
                mr_calloc((size_t)places_of(segment) + 1, sizeof(struct mr_content *));
            if (result->sinks[node->sink_sequence].items == NULL ||
                result->sinks[node->sink_sequence].contents == NULL)
                return mr_error_nomem(err);
            result->sinks[node->sink_sequence].count = places_of(segment);
        }
    }
    return MR_OK;
}

/* Leaves out what was not written. */
static void pack_result(struct mr_exec_result *result)
{
    for (int i = 0; result->sinks != NULL && i < result->nsinks; i++) {
        int kept = 0;
        for (int t = 0; t < result->sinks[i].count; t++)
            if (result->sinks[i].items[t].data != NULL) {
                result->sinks[i].contents[kept] = result->sinks[i].contents[t];
                result->sinks[i].items[kept++] = result->sinks[i].items[t];
            }
        result->sinks[i].count = kept;
    }
}

void mr_exec_result_reset(struct mr_exec_result *result)
{
    for (int i = 0; result->sinks != NULL && i < result->nsinks; i++) {
        for (int t = 0; t < result->sinks[i].count; t++)
            mr_free((void *)(uintptr_t)result->sinks[i].items[t].data);
        for (int t = 0; result->sinks[i].contents != NULL && t < result->sinks[i].count; t++)
            mr_content_free(result->sinks[i].contents[t]);
        mr_free(result->sinks[i].items);
        mr_free(result->sinks[i].contents);
    }
    mr_free(result->sinks);
    mr_free(result->steps);
    mr_free(result->splits);
    *result = (struct mr_exec_result){0};
}

/* How many splits are kept; takes their rows from those expected. */
static int mark_kept(struct mr_run *run, int64_t *rows)
{
    const struct mr_exec_resume *resume = run->request->resume;
    int splits = 0;
    for (int k = 0; resume != NULL && k < resume->nkept; k++) {
        const struct mr_exec_part *kept = &resume->kept[k];
        for (int s = 0; s < run->result->nsplits; s++) {
            struct mr_exec_split *split = &run->result->splits[s];
            if (split->segment == kept->segment && split->split >= kept->first_split &&
                split->split < kept->end_split)
                split->kept = true;
        }
        splits += kept->end_split - kept->first_split;
        if (*rows >= 0)
            *rows = *rows > kept->rows ? *rows - kept->rows : 0;
    }
    return splits;
}

static void begin_progress(struct mr_run *run)
{
    struct mr_engine *engine = run->engine;
    int64_t rows = 0;
    int splits = 0, writers = 0;
    for (int i = 0; i < run->nsegments; i++) {
        const struct mr_plan_segment *segment = run->segments[i].plan;
        for (int k = 0; k < segment->nsources; k++) {
            const struct mr_plan_node *source = &run->plan->nodes[segment->sources[k]];
            int64_t expected = source->kind == MR_PLAN_SOURCE ? source->rows : 0;
            rows = rows < 0 || expected < 0 ? -1 : rows + expected;
        }
        splits += segment->task_splits[run->segments[i].end_task] -
                  segment->task_splits[run->segments[i].first_task];
        int tasks = segment->ntasks < segment->readers ? segment->ntasks : segment->readers;
        writers = tasks > writers ? tasks : writers;
    }
    int kept = mark_kept(run, &rows);
    run->active_writers = writers > 0 ? writers : 1;
    pthread_mutex_lock(&engine->lock);
    engine->plan = run->plan;
    engine->rows_expected = rows;
    pthread_mutex_unlock(&engine->lock);
    atomic_store(&engine->rows_read, 0);
    atomic_store(&engine->rows_written, 0);
    atomic_store(&engine->splits_done, kept);
    atomic_store(&engine->splits, splits);
}

static void end_progress(struct mr_engine *engine)
{
    struct mr_exec_progress last;
    mr_exec_progress(engine, &last);
    pthread_mutex_lock(&engine->lock);
    engine->plan = NULL;
    pthread_mutex_unlock(&engine->lock);
}

static enum mr_status run_init(struct mr_run *run, struct mr_error *err)
{
    run->stop.fd = run->notify.fd = run->enough.fd = -1;
    mr_mutex_init(&run->lock);
    mr_mutex_init(&run->tap_lock);
    mr_arena_init(&run->arena, NULL);
    MR_TRY(mr_stop_init(&run->stop, err));
    MR_TRY(mr_stop_init(&run->notify, err));
    MR_TRY(mr_stop_init(&run->enough, err));
    MR_TRY(init_result(run, err));
    MR_TRY(mr_builds_init(run, err));
    size_t nsegments = (size_t)run->plan->nsegments;
    run->segments = mr_calloc(nsegments + 1, sizeof *run->segments);
    run->chosen = mr_calloc(nsegments + 1, sizeof *run->chosen);
    if (run->segments == NULL || run->chosen == NULL)
        return mr_error_nomem(err);
    choose_segments(run);
    MR_TRY(mr_parts_keep(run, err));
    run->budget = INT64_MAX;
    if (run->plan->nnodes > 0) {
        const struct mr_runtime *runtime = run->plan->nodes[0].runtime;
        run->budget = mr_memory_available(runtime->memory) - mr_held_reserve(runtime->held);
    }
    return MR_OK;
}

static void run_reset(struct mr_run *run)
{
    mr_arena_reset(&run->arena);
    mr_free(run->chosen);
    mr_free(run->segments);
    mr_builds_free(run);
    mr_stop_reset(&run->stop);
    mr_stop_reset(&run->notify);
    mr_stop_reset(&run->enough);
    pthread_mutex_destroy(&run->lock);
    pthread_mutex_destroy(&run->tap_lock);
}

enum mr_status mr_exec_run(struct mr_engine *engine, const struct mr_exec_request *request,
                           struct mr_exec_result *result, struct mr_error *err)
{
    *result = (struct mr_exec_result){0};
    struct mr_run run = {.engine = engine,
                         .request = request,
                         .plan = request->plan,
                         .result = result};
    enum mr_status status = run_init(&run, err);
    if (status == MR_OK) {
        begin_progress(&run);
        coordinate(&run);
        end_progress(engine);
        if (run.failed) {
            status = run.first.status;
            if (err != NULL)
                *err = run.first;
        }
    }
    run_reset(&run);
    pack_result(result);
    return status;
}

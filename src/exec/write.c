/*
 * write.c - the writers of one output task, and what happens when memory runs short.
 *
 * A writer is opened at its first batch, so that a part of a task without rows makes no file; the first part
 * of a segment always opens its writers, so that an empty result still is a result. Memory is
 * watched ahead of need, because a charge that fails in the middle of a callback cannot be
 * repeated: when a sink holds more than its share, or the budget is nearly used up, the writers of
 * this task flush early; if that was not enough the task waits a moment for others to do the same.
 * Only then may a charge fail, which ends the run with the limit and how to raise it.
 */
#include "exec/run.h"

#include "base/time.h"

/* Sinks together may hold this part of the budget. */
#define SINK_SHARE(budget) ((budget) / 8 * 3)
#define LOW_WATER(budget)  ((budget) / 16)
#define PAUSE_MICROS       5000
#define PAUSES             100

static struct mr_writer_slot *slot_of(struct mr_worker *worker, const struct mr_plan_node *sink)
{
    return &worker->writers[sink->sink_sequence];
}

static const struct mr_content_spec *counted(const struct mr_worker *worker,
                                             const struct mr_plan_node *sink)
{
    const struct mr_exec_request *request = worker->segment->run->request;
    return request->contents != NULL ? request->contents[sink->sink_sequence] : NULL;
}

static enum mr_status open_writer(struct mr_worker *worker, const struct mr_plan_node *sink,
                                  struct mr_error *err)
{
    struct mr_writer_slot *slot = slot_of(worker, sink);
    slot->runtime = *sink->runtime;
    slot->runtime.waiter = &worker->waiter.base;
    if (worker->part->tallies != NULL)
        slot->runtime.tally = &worker->part->tallies[sink->id];
    const struct mr_epoch *epoch = &worker->segment->run->request->epoch;
    MR_TRY(sink->sink->writer_open(sink->sink_state, &slot->runtime, epoch, mr_part_number(worker),
                                   &slot->writer, err));
    slot->open = true;
    const struct mr_content_spec *spec = counted(worker, sink);
    return spec != NULL ? mr_content_new(spec->ncolumns, &slot->content, err) : MR_OK;
}

static enum mr_status relieve_slot(struct mr_worker *worker, const struct mr_plan_node *sink,
                                   int64_t bytes, struct mr_error *err)
{
    struct mr_writer_slot *slot = slot_of(worker, sink);
    if (!slot->open || sink->sink->relieve == NULL)
        return MR_OK;
    int before = mr_clock_move(&worker->clock, sink->id);
    enum mr_status status = sink->sink->relieve(slot->writer, bytes, err);
    mr_clock_move(&worker->clock, before);
    return mr_push_blame(worker->segment->run->plan, sink, status, err);
}

static bool budgeted(const struct mr_run *run)
{
    return run->budget < INT64_MAX / 2;
}

/* All sinks' share, over the writers that are open at once. */
static enum mr_status keep_share(struct mr_worker *worker, const struct mr_plan_node *sink,
                                 struct mr_error *err)
{
    struct mr_run *run = worker->segment->run;
    int64_t share = SINK_SHARE(run->budget) / (run->plan->nsinks > 0 ? run->plan->nsinks : 1);
    int64_t over = mr_memory_used(sink->runtime->memory) - share;
    if (!budgeted(run) || over <= 0)
        return MR_OK;
    return relieve_slot(worker, sink, over / run->active_writers + share / 8, err);
}

enum mr_status mr_write_batch(void *context, struct mr_push_node *sink, struct mr_batch *batch,
                              struct mr_error *err)
{
    struct mr_worker *worker = context;
    if (worker->segment->quiet_sinks)
        return MR_OK;
    struct mr_writer_slot *slot = slot_of(worker, sink->plan);
    if (!slot->open)
        MR_TRY(open_writer(worker, sink->plan, err));
    MR_TRY(sink->plan->sink->write(slot->writer, batch, err));
    if (slot->content != NULL)
        MR_TRY(mr_content_add(slot->content, counted(worker, sink->plan), batch, err));
    worker->part->bytes += mr_batch_bytes(batch);
    worker->clock.steps[sink->plan->id].rows_out += batch->rows;
    atomic_fetch_add_explicit(&worker->waiter.engine->rows_written, batch->rows,
                              memory_order_relaxed);
    return keep_share(worker, sink->plan, err);
}

static int64_t available(const struct mr_run *run)
{
    return mr_memory_available(run->plan->nodes[0].runtime->memory);
}

/* The writer of this task whose sink holds most. */
static const struct mr_plan_node *largest(const struct mr_worker *worker)
{
    const struct mr_plan *plan = worker->segment->run->plan;
    const struct mr_plan_node *most = NULL;
    for (int i = 0; worker->writers != NULL && i < plan->nsinks; i++) {
        const struct mr_plan_node *sink = &plan->nodes[plan->sinks[i]];
        if (!worker->writers[i].open || sink->sink->relieve == NULL)
            continue;
        if (most == NULL ||
            mr_memory_used(sink->runtime->memory) > mr_memory_used(most->runtime->memory))
            most = sink;
    }
    return most;
}

enum mr_status mr_write_relieve(struct mr_worker *worker, struct mr_error *err)
{
    struct mr_run *run = worker->segment->run;
    int64_t low = LOW_WATER(run->budget);
    if (!budgeted(run) || available(run) >= low) {
        worker->waited = false;
        return MR_OK;
    }
    const struct mr_plan_node *sink = largest(worker);
    if (sink != NULL)
        MR_TRY(relieve_slot(worker, sink, SINK_SHARE(run->budget) / 2, err));
    /* Alone there is nobody to wait for, and who keeps a state gives nothing back until it is full. */
    bool wait = worker->segment->nworkers > 1 && !worker->waited;
    worker->waited = true;
    for (int i = 0; wait && i < PAUSES && available(run) < low; i++) {
        if (mr_wait_cancelled(&worker->waiter.base))
            break;
        MR_TRY(mr_wait(&worker->waiter.base, -1, 0, mr_clock_monotonic_micros() + PAUSE_MICROS,
                       MR_WAIT_MEMORY, NULL, err));
    }
    return MR_OK;
}

static enum mr_status seal(struct mr_worker *worker, const struct mr_plan_node *sink,
                           struct mr_error *err)
{
    struct mr_writer_slot *slot = slot_of(worker, sink);
    if (!slot->open && mr_part_is_first(worker))
        MR_TRY(open_writer(worker, sink, err));
    if (!slot->open)
        return MR_OK;
    struct mr_bytes committable;
    mr_bytes_init(&committable, MR_BYTES_DEFAULT_MAXIMUM);
    enum mr_status status = sink->sink->writer_finish(slot->writer, &committable, err);
    if (status == MR_OK)
        status = mr_bytes_status(&committable, err);
    if (status == MR_OK && committable.data == NULL)
        mr_bytes_append(&committable, "", 0);
    struct mr_slice *item =
        &worker->segment->run->result->sinks[sink->sink_sequence].items[mr_part_place(worker)];
    item->data = mr_bytes_move(&committable, &item->size);
    mr_bytes_reset(&committable);
    if (status != MR_OK) {
        mr_free((void *)(uintptr_t)item->data);
        *item = (struct mr_slice){0};
    } else if (item->data == NULL) {
        item->data = mr_strdup("");
        if (item->data == NULL)
            return mr_error_nomem(err);
    }
    if (status == MR_OK) {
        worker->segment->run->result->sinks[sink->sink_sequence].contents[mr_part_place(worker)] =
            slot->content;
        slot->content = NULL;
    }
    return status;
}

enum mr_status mr_write_finish(struct mr_worker *worker, struct mr_error *err)
{
    const struct mr_plan_segment *segment = worker->segment->plan;
    const struct mr_plan *plan = worker->segment->run->plan;
    for (int i = 0; i < segment->nnodes && !worker->segment->quiet_sinks; i++) {
        const struct mr_plan_node *sink = &plan->nodes[segment->nodes[i]];
        if (sink->kind != MR_PLAN_SINK)
            continue;
        int before = mr_clock_move(&worker->clock, sink->id);
        enum mr_status status = seal(worker, sink, err);
        mr_clock_move(&worker->clock, before);
        MR_TRY(mr_push_blame(plan, sink, status, err));
    }
    return MR_OK;
}

void mr_write_close(struct mr_worker *worker)
{
    const struct mr_plan *plan = worker->segment->run->plan;
    for (int i = 0; i < plan->nsinks; i++) {
        if (!worker->writers[i].open)
            continue;
        const struct mr_plan_node *sink = &plan->nodes[plan->sinks[i]];
        int before = mr_clock_move(&worker->clock, sink->id);
        sink->sink->writer_close(worker->writers[i].writer);
        mr_content_free(worker->writers[i].content);
        mr_clock_move(&worker->clock, before);
        worker->writers[i] = (struct mr_writer_slot){0};
    }
}

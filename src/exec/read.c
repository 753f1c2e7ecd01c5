/*
 * read.c - one split from open to end, with retries.
 *
 * A transient failure reopens the reader at the position behind the last batch that went through,
 * after a pause that grows, and only if the source promises the same rows in the same order; a
 * split of which nothing was used yet can always be opened anew. Attempts count from the last
 * progress: a long split on a flaky line must not run out of them. Rows that went through are never
 * read again, so that nothing downstream has to forget.
 *
 * A split of a breaker is one of its partitions, pulled: the operator calls, the graph is called.
 */
#include "exec/run.h"

#include "base/time.h"

#include <stdio.h>

struct reading {
    struct mr_worker *worker;
    struct mr_push_graph *graph;
    const struct mr_plan_node *node;
    const struct mr_split *split;
    struct mr_push_node *source;
    struct mr_exec_split *record;
    struct mr_bytes position; /* behind the last batch */
    bool used;                /* a batch went through */
    bool can_resume;
    int attempts; /* since the last progress */
    void *reader;
};

static void count_read(struct reading *reading, struct mr_batch *batch)
{
    int64_t rows = mr_batch_active(batch);
    reading->record->rows += rows;
    reading->record->bytes += mr_batch_bytes(batch);
    if (!reading->source->runtime.again)
        reading->worker->clock.steps[reading->node->id].rows_in += rows;
    atomic_fetch_add_explicit(&reading->worker->waiter.engine->rows_read, rows,
                              memory_order_relaxed);
}

static enum mr_status note_position(struct reading *reading, struct mr_error *err)
{
    reading->used = true;
    reading->attempts = 0;
    if (!reading->can_resume)
        return MR_OK;
    mr_bytes_clear(&reading->position);
    MR_TRY(reading->node->source->position(reading->reader, &reading->position, err));
    return mr_bytes_status(&reading->position, err);
}

static bool wanted(const struct reading *reading)
{
    return !mr_push_closed(reading->graph, reading->node->id) &&
           !atomic_load(&reading->worker->waiter.quiet->set);
}

/* What a breaker is given to emit into: its node in the graph, with an eye on the run. */
struct pulling {
    struct mr_emit base; /* first */
    struct reading *reading;
};

static enum mr_status pulled(struct mr_emit *emit, int port, struct mr_batch *batch,
                             struct mr_error *err)
{
    struct reading *reading = ((struct pulling *)emit)->reading;
    struct mr_worker *worker = reading->worker;
    struct mr_emit *to = &reading->source->emit;
    emit->closed = !wanted(reading);
    enum mr_status status = MR_OK;
    if (!emit->closed)
        status = mr_task_check(&worker->waiter, err);
    if (!emit->closed && status == MR_OK)
        status = mr_write_relieve(worker, err);
    if (emit->closed || status != MR_OK) {
        mr_batch_unref(batch);
        return status;
    }
    reading->record->rows += mr_batch_active(batch);
    reading->record->bytes += mr_batch_bytes(batch);
    status = to->batch(to, port, batch, err);
    emit->closed = !wanted(reading);
    mr_task_yield(&worker->waiter);
    return status;
}

/* One partition of a breaker. */
static enum mr_status pull(struct reading *reading, int partition, struct mr_error *err)
{
    const struct mr_plan_node *node = reading->node;
    struct pulling pulling = {.base = {pulled, false}, .reading = reading};
    const void *built = mr_builds_get(reading->worker, node->id);
    enum mr_status status =
        node->op->pull(built, &reading->source->runtime, partition, &pulling.base, err);
    /* Woken because nobody wants more: that is an ordinary end. */
    if (status == MR_CANCELLED && !mr_run_stopped(reading->worker->segment->run) &&
        !wanted(reading))
        return MR_OK;
    return mr_push_blame(reading->graph->plan, node, status, err);
}

/* Items until the end, an error, or nobody wants more. *at_source tells whose error it is. */
static enum mr_status pump(struct reading *reading, bool *at_source, struct mr_error *err)
{
    struct mr_worker *worker = reading->worker;
    const struct mr_source *source = reading->node->source;
    *at_source = true;
    while (wanted(reading)) {
        MR_TRY(mr_task_check(&worker->waiter, err));
        MR_TRY(mr_write_relieve(worker, err));
        struct mr_item item = {0};
        MR_TRY(source->next(reading->reader, &item, err));
        if (item.kind == MR_ITEM_END)
            return MR_OK;
        *at_source = false;
        if (item.port == 0)
            count_read(reading, item.batch);
        MR_TRY(mr_push_batch(reading->graph, reading->node->id, item.port, item.batch, err));
        *at_source = true;
        MR_TRY(note_position(reading, err));
        mr_task_yield(&worker->waiter);
    }
    return MR_OK;
}

static enum mr_status attempt(struct reading *reading, bool *at_source, struct mr_error *err)
{
    *at_source = true;
    struct mr_slice from = {0};
    if (reading->used)
        from = (struct mr_slice){reading->position.data, reading->position.size};
    enum mr_status status =
        reading->node->source->reader_open(reading->node->source_state, &reading->source->runtime,
                                           reading->split->token, from, &reading->reader, err);
    if (status != MR_OK)
        return status;
    status = pump(reading, at_source, err);
    reading->node->source->reader_close(reading->reader);
    reading->reader = NULL;
    return status;
}

static bool may_retry(const struct reading *reading, enum mr_status status, bool at_source,
                      const struct mr_error *err)
{
    const struct mr_retry *retry = &reading->worker->segment->run->plan->spec->retry;
    return at_source && mr_retry_wanted(retry, reading->attempts + 1, status, err) &&
           (!reading->used || reading->can_resume);
}

static enum mr_status back_off(struct reading *reading, const struct mr_error *cause,
                               struct mr_error *err)
{
    char unit[300];
    const char *label = reading->split->label;
    snprintf(unit, sizeof unit, "split %s", label != NULL ? label : "");
    reading->attempts++;
    return mr_retry_wait(&reading->source->runtime,
                         &reading->worker->segment->run->plan->spec->retry, unit, reading->attempts,
                         cause, err);
}

static enum mr_status read_all(struct reading *reading, struct mr_error *err)
{
    for (;;) {
        bool at_source;
        struct mr_error failure = {0};
        enum mr_status status = attempt(reading, &at_source, &failure);
        /* Woken because nobody wants more: that is an ordinary end. */
        if (status == MR_CANCELLED && !mr_run_stopped(reading->worker->segment->run) &&
            !wanted(reading))
            return MR_OK;
        if (status != MR_OK && may_retry(reading, status, at_source, &failure)) {
            MR_TRY(back_off(reading, &failure, err));
            continue;
        }
        if (status != MR_OK)
            *err = failure;
        if (status != MR_OK && at_source)
            mr_push_blame(reading->graph->plan, reading->node, status, err);
        return status;
    }
}

enum mr_status mr_read_split(struct mr_worker *worker, struct mr_push_graph *graph, int split,
                             struct mr_error *err)
{
    const struct mr_run_segment *segment = worker->segment;
    const struct mr_plan_split *planned = &segment->plan->splits[split];
    const struct mr_plan_node *node = &segment->run->plan->nodes[planned->node];
    struct reading reading = {
        .worker = worker,
        .graph = graph,
        .node = node,
        .split = &node->splits.items[planned->split],
        .source = graph->by_id[node->id],
        .record = &segment->run->result->splits[segment->split_base + split],
    };
    bool breaker = mr_plan_is_breaker(node);
    reading.can_resume = !breaker && (node->source->flags & MR_SOURCE_STABLE_ORDER) &&
                         !reading.split->unordered && segment->run->plan->spec->retry.attempts > 1;
    mr_bytes_init(&reading.position, MR_BYTES_DEFAULT_MAXIMUM);
    int64_t start = mr_clock_monotonic_micros();
    int before = mr_clock_move(&worker->clock, node->id);
    mr_push_origin(graph, breaker ? NULL : reading.split->origin);
    enum mr_status status = breaker ? pull(&reading, planned->split, err) : read_all(&reading, err);
    mr_push_origin(graph, NULL);
    mr_clock_move(&worker->clock, before);
    reading.record->micros += mr_clock_monotonic_micros() - start;
    mr_bytes_reset(&reading.position);
    if (status == MR_OK)
        atomic_fetch_add(&worker->waiter.engine->splits_done, 1);
    return status;
}

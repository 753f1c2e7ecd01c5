/*
 * engine.c - an engine: made, cancelled, asked for progress, freed.
 *
 * Cancelling sets a flag and makes an eventfd readable, both allowed in a signal handler; whoever
 * waits polls that descriptor, and whoever computes looks at the flag between batches. Nothing is
 * interrupted in the middle.
 */
#include "exec/engine.h"

#include "base/time.h"

#define PATIENCE_MICROS (6 * MR_MICROS_PER_SECOND)
#define HURRY_MICROS    MR_MICROS_PER_SECOND

enum mr_status mr_engine_new(const struct mr_engine_options *options, struct mr_engine **out,
                             struct mr_error *err)
{
    struct mr_engine *engine = mr_calloc(1, sizeof *engine);
    if (engine == NULL)
        return mr_error_nomem(err);
    enum mr_status status = mr_stop_init(&engine->cancel, err);
    if (status != MR_OK) {
        mr_free(engine);
        return status;
    }
    mr_permits_init(&engine->permits, options->permits > 0 ? options->permits : 1);
    mr_mutex_init(&engine->lock);
    engine->common = options->common;
    engine->run_deadline = options->run_deadline > 0 ? options->run_deadline : INT64_MAX;
    engine->queue_bytes = options->queue_bytes;
    engine->rows_expected = -1;
    atomic_init(&engine->patience_ends, INT64_MAX);
    engine->patience = options->patience > 0 ? options->patience : PATIENCE_MICROS;
    mr_task_waiter_init(&engine->caller, engine, NULL, NULL);
    mr_patient_waiter_init(&engine->patient, engine);
    *out = engine;
    return MR_OK;
}

void mr_engine_free(struct mr_engine *engine)
{
    if (engine == NULL)
        return;
    mr_stop_reset(&engine->cancel);
    mr_permits_reset(&engine->permits);
    pthread_mutex_destroy(&engine->lock);
    mr_free(engine);
}

void mr_engine_set_deadline(struct mr_engine *engine, int64_t run_deadline)
{
    engine->run_deadline = run_deadline;
}

static void cancel_within(struct mr_engine *engine, int64_t patience)
{
    int_fast64_t ends = mr_clock_monotonic_micros() + patience;
    int_fast64_t before = atomic_load(&engine->patience_ends);
    while (ends < before && !atomic_compare_exchange_weak(&engine->patience_ends, &before, ends))
        ;
    mr_stop_set(&engine->cancel);
}

void mr_engine_cancel(struct mr_engine *engine)
{
    cancel_within(engine, engine->patience);
}

void mr_engine_hurry(struct mr_engine *engine)
{
    cancel_within(engine, HURRY_MICROS);
}

bool mr_engine_cancelled(const struct mr_engine *engine)
{
    return atomic_load(&engine->cancel.set);
}

struct mr_waiter *mr_engine_waiter(struct mr_engine *engine)
{
    return &engine->caller.base;
}

struct mr_waiter *mr_engine_patient(struct mr_engine *engine)
{
    return &engine->patient.base;
}

static void sum_bytes(struct mr_engine *engine)
{
    const struct mr_plan *plan = engine->plan;
    engine->bytes_read = engine->bytes_written = 0;
    for (int i = 0; i < plan->nnodes; i++) {
        struct mr_counters *counters = plan->nodes[i].runtime->counters;
        if (plan->nodes[i].kind == MR_PLAN_SOURCE)
            engine->bytes_read += atomic_load(&counters->value[MR_COUNT_BYTES_READ]);
        else if (plan->nodes[i].kind == MR_PLAN_SINK)
            engine->bytes_written += atomic_load(&counters->value[MR_COUNT_BYTES_WRITTEN]);
    }
}

void mr_exec_progress(struct mr_engine *engine, struct mr_exec_progress *out)
{
    pthread_mutex_lock(&engine->lock);
    if (engine->plan != NULL)
        sum_bytes(engine);
    *out = (struct mr_exec_progress){
        .rows_read = atomic_load(&engine->rows_read),
        .rows_written = atomic_load(&engine->rows_written),
        .bytes_read = engine->bytes_read,
        .bytes_written = engine->bytes_written,
        .rows_expected = engine->rows_expected,
        .splits_done = atomic_load(&engine->splits_done),
        .splits = atomic_load(&engine->splits),
    };
    pthread_mutex_unlock(&engine->lock);
}

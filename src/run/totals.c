/*
 * totals.c - what a stream has done and where it is.
 */
#include "run/totals.h"

#include "base/time.h"

#include <string.h>

enum mr_status mr_totals_init(struct mr_totals *totals, struct mr_error *err)
{
    *totals = (struct mr_totals){.latency = mr_calloc(1, sizeof *totals->latency),
                                 .recent = mr_calloc(1, sizeof *totals->recent)};
    mr_mutex_init(&totals->lock);
    mr_figures_init(&totals->figures);
    return totals->latency != NULL && totals->recent != NULL ? MR_OK : mr_error_nomem(err);
}

void mr_totals_failed(struct mr_totals *totals, const struct mr_error *failure)
{
    pthread_mutex_lock(&totals->lock);
    if (failure != NULL) {
        if (!totals->failing)
            totals->failing_since = mr_clock_wall_micros();
        memcpy(totals->reason, failure->message, sizeof totals->reason);
        totals->failures++;
        totals->in_row++;
    } else {
        totals->in_row = 0;
    }
    totals->failing = failure != NULL;
    pthread_mutex_unlock(&totals->lock);
}

void mr_totals_start(struct mr_totals *totals, int64_t epoch)
{
    pthread_mutex_lock(&totals->lock);
    totals->epoch = epoch;
    pthread_mutex_unlock(&totals->lock);
    mr_totals_begin(totals);
}

void mr_totals_begin(struct mr_totals *totals)
{
    pthread_mutex_lock(&totals->lock);
    if (totals->working == 0)
        totals->working = mr_clock_monotonic_micros();
    pthread_mutex_unlock(&totals->lock);
}

void mr_totals_rest(struct mr_totals *totals)
{
    pthread_mutex_lock(&totals->lock);
    totals->working = 0;
    totals->ready = true;
    pthread_mutex_unlock(&totals->lock);
}

enum mr_status mr_totals_look(struct mr_totals *totals, const struct mr_plan *plan,
                              struct mr_error *err)
{
    pthread_mutex_lock(&totals->lock);
    totals->looked = mr_clock_wall_micros();
    enum mr_status status = mr_figures_know(&totals->figures, plan, err);
    if (status == MR_OK)
        status = mr_gauges_look(&totals->now, plan, err);
    pthread_mutex_unlock(&totals->lock);
    return status;
}

enum mr_status mr_totals_keep(struct mr_totals *totals, struct mr_kept *kept,
                              const struct mr_plan *plan, struct mr_error *err)
{
    pthread_mutex_lock(&totals->lock);
    enum mr_status status = mr_gauges_keep(&totals->now, kept, plan, err);
    pthread_mutex_unlock(&totals->lock);
    return status;
}

void mr_totals_reset(struct mr_totals *totals)
{
    mr_figures_reset(&totals->figures);
    mr_free(totals->latency);
    mr_free(totals->recent);
    mr_gauges_reset(&totals->now);
    pthread_mutex_destroy(&totals->lock);
}

void mr_totals_recent(struct mr_totals *totals, struct mr_latency_figures *out)
{
    mr_latency_read(totals->recent, out);
    mr_latency_begin(totals->recent, 0);
}

enum mr_status mr_totals_add(struct mr_totals *totals, const struct mr_plan *plan,
                             const struct mr_exec_result *result, int64_t epoch, int64_t micros,
                             const struct mr_latency *latency, struct mr_error *err)
{
    int64_t now = mr_clock_wall_micros();
    pthread_mutex_lock(&totals->lock);
    enum mr_status status = mr_figures_add(&totals->figures, plan, result, err);
    mr_figures_rows(&totals->figures, &totals->rows);
    mr_latency_add(totals->latency, latency, now);
    mr_latency_add(totals->recent, latency, now);
    mr_gauges_commit(&totals->now);
    totals->failing = false;
    totals->in_row = 0;
    totals->committed = now;
    totals->epochs++;
    totals->epoch = epoch;
    totals->micros += micros;
    totals->longest_micros = micros > totals->longest_micros ? micros : totals->longest_micros;
    pthread_mutex_unlock(&totals->lock);
    return status;
}

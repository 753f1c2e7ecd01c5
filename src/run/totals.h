/*
 * totals.h - what a stream has done so far: the sums over its epochs, for the report, the log and /metrics.
 *
 * Only epochs that were committed count: what a failed one has read is read again.
 */
#ifndef MR_RUN_TOTALS_H
#define MR_RUN_TOTALS_H

#include "base/thread.h"
#include "exec/exec.h"
#include "ext/latency.h"
#include "run/figures.h"
#include "run/gauges.h"

struct mr_totals {
    struct mr_latency *latency; /* of all epochs; heap */
    struct mr_latency *recent;  /* of those since the last mr_totals_recent; heap */
    pthread_mutex_t lock;       /* for everything below */
    struct mr_figures figures;
    struct mr_figure_rows rows; /* of the figures */
    int64_t epochs;
    int64_t failures;                                   /* epochs that were done again */
    bool failing;                                       /* the last one is */
    char reason[sizeof((struct mr_error *)0)->message]; /* why; without secrets */
    int64_t epoch;                                      /* the last one's number */
    int64_t longest_micros;
    int64_t micros;        /* of all epochs */
    int in_row;            /* failures since the last epoch that was committed, or look */
    int64_t failing_since; /* wall clock */
    int64_t committed;     /* wall clock of the last commit of this process, 0 = none */
    int64_t looked;        /* wall clock when sources were last asked what there is, 0 = never */
    int64_t working;       /* monotonic: since when, without an end that is good; 0 = it waits */
    bool ready;            /* an epoch was committed, or there was nothing to do */
    struct mr_gauges now;
};

enum mr_status mr_totals_init(struct mr_totals *totals, struct mr_error *err);
void mr_totals_reset(struct mr_totals *totals);
/* An epoch is committed. */
enum mr_status mr_totals_add(struct mr_totals *totals, const struct mr_plan *plan,
                             const struct mr_exec_result *result, int64_t epoch, int64_t micros,
                             const struct mr_latency *latency, struct mr_error *err);
/* Ages of records of the epochs since it was last asked for. */
void mr_totals_recent(struct mr_totals *totals, struct mr_latency_figures *out);
/* The stream begins behind this epoch; 0 = there is none. */
void mr_totals_start(struct mr_totals *totals, int64_t epoch);
/* An epoch is tried (`working`), or was, with a good end. */
void mr_totals_begin(struct mr_totals *totals);
void mr_totals_rest(struct mr_totals *totals);
/* Sources were asked: the epoch at hand has this plan. */
enum mr_status mr_totals_look(struct mr_totals *totals, const struct mr_plan *plan,
                              struct mr_error *err);
/* What steps keep behind the last epoch. */
enum mr_status mr_totals_keep(struct mr_totals *totals, struct mr_kept *kept,
                              const struct mr_plan *plan, struct mr_error *err);
/* The last epoch has failed and is done again; NULL: it has not. */
void mr_totals_failed(struct mr_totals *totals, const struct mr_error *failure);

#endif

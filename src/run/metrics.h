/*
 * metrics.h - the pages of --listen: numbers in Prometheus' text format, and whether the run is well.
 */
#ifndef MR_RUN_METRICS_H
#define MR_RUN_METRICS_H

#include "run/session.h"
#include "run/totals.h"

/* A run that is told of: the only one, or one for each lane that this process reads. */
struct mr_metrics_run {
    struct mr_session *session;
    struct mr_totals *totals; /* of a stream, or NULL */
    char *lane;               /* NULL = it has none */
    int64_t moved;            /* monotonic: when `work` was last seen to change */
    int64_t work;             /* rows, bytes, splits and pieces of the epoch at hand */
};

struct mr_metrics {
    const struct mr_session *process;
    const char *pipeline;
    const char *query; /* what a stream calls itself, or NULL */
    bool lanes;        /* runs come and go */
    int nruns;
    struct mr_metrics_run *runs;
};

/* Exposition format 0.0.4. */
void mr_metrics_page(const struct mr_metrics *metrics, struct mr_bytes *out);
/*
 * A line for people, and the status code: 503 when a stream has worked for longer than `within` micros without a commit, a row, a piece
 * of other work (mr_progressed), or an end that is good. For a liveness probe.
 */
int mr_metrics_health(struct mr_metrics *metrics, int64_t within, struct mr_bytes *out);
/* The same: 503 before the first look at the sources, and while an epoch that has failed is repeated. */
int mr_metrics_ready(const struct mr_metrics *metrics, struct mr_bytes *out);

#endif

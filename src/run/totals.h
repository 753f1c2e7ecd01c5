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

/* Of one node of the plans, which differ from epoch to epoch only in what they read. */
struct mr_totals_node {
    char *label;
    enum mr_plan_node_kind kind;
    int64_t counters[MR_COUNTERS];
    struct mr_exec_step step;
    int64_t peak; /* bytes */
};

struct mr_totals {
    struct mr_latency *latency; /* of all epochs; heap */
    pthread_mutex_t lock;       /* for everything below */
    int nnodes;
    struct mr_totals_node *nodes;
    int64_t epochs;
    int64_t failures;                                   /* epochs that were done again */
    bool failing;                                       /* the last one is */
    char reason[sizeof((struct mr_error *)0)->message]; /* why; without secrets */
    int64_t rows_read;
    int64_t rows_written;
    int64_t bytes_read;
    int64_t bytes_written;
    int64_t epoch; /* the last one's number */
    int64_t longest_micros;
    int64_t micros; /* of all epochs */
};

enum mr_status mr_totals_init(struct mr_totals *totals, struct mr_error *err);
void mr_totals_reset(struct mr_totals *totals);
/* An epoch is committed. */
enum mr_status mr_totals_add(struct mr_totals *totals, const struct mr_plan *plan,
                             const struct mr_exec_result *result, int64_t epoch, int64_t micros,
                             const struct mr_latency *latency, struct mr_error *err);
/* The last epoch has failed and is done again; NULL: it has not. */
void mr_totals_failed(struct mr_totals *totals, const struct mr_error *failure);
/* Puts the sums in the places where a report looks: counters of the plan's nodes, steps of the result. */
enum mr_status mr_totals_pour(struct mr_totals *totals, struct mr_plan *plan,
                              struct mr_exec_result *result, struct mr_error *err);

#endif

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
#include "run/gauges.h"

/* A source of the pipeline; not the scan of a target that an upsert makes. */
static inline bool mr_totals_reads(const struct mr_plan_node *node)
{
    return node->kind == MR_PLAN_SOURCE && node->step->type != MR_STEP_LOAD;
}
/* A load; not where rejected, late or unreadable rows go. */
static inline bool mr_totals_loads(const struct mr_plan_node *node)
{
    return node->kind == MR_PLAN_SINK && node->step->type == MR_STEP_LOAD;
}

/* Of a run, or of all epochs of a stream. */
struct mr_totals_rows {
    int64_t read;
    int64_t written;  /* by loads */
    int64_t rejected; /* by validations, and what could not be decoded */
    int64_t late;     /* behind the watermark */
    int64_t letters;  /* written as dead letters, or to a quarantine */
};
/* Is the counter (MR_COUNT_..) of an epoch one of which the most counts, and not the sum? */
bool mr_totals_is_peak(int counter);
void mr_totals_add_rows(struct mr_totals_rows *rows, const struct mr_plan_node *node);

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
    struct mr_totals_rows rows;
    int64_t bytes_read;
    int64_t bytes_written;
    int64_t epoch; /* the last one's number */
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
/* Puts the sums in the places where a report looks: counters of the plan's nodes, steps of the result. */
enum mr_status mr_totals_pour(struct mr_totals *totals, struct mr_plan *plan,
                              struct mr_exec_result *result, struct mr_error *err);

#endif

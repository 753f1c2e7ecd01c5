/*
 * gauges.h - what a stream is at: how far behind its partitions, how far its event time has come, what its steps keep. For /metrics and the log.
 *
 * Values are those of the last look at the sources and of the last epoch; nobody is asked for them. Who calls holds the lock of the sums that
 * they belong to (totals.h).
 */
#ifndef MR_RUN_GAUGES_H
#define MR_RUN_GAUGES_H

#include "run/kept.h"

/* Of a partition that a step reads. */
struct mr_gauge_partition {
    char *step;
    char *name; /* "clicks/3" */
    int64_t committed;
    int64_t upto; /* committed, once the epoch at hand is */
    int64_t end;  /* of the partition when its source was looked at last */
};

struct mr_gauge_step {
    char *step;
    struct mr_kept_figures figures;
};

struct mr_gauges {
    int npartitions;
    struct mr_gauge_partition *partitions;
    int nsteps;
    struct mr_gauge_step *steps;
};

void mr_gauges_reset(struct mr_gauges *gauges);
/* Sources were asked for what there is: an epoch is planned. */
enum mr_status mr_gauges_look(struct mr_gauges *gauges, const struct mr_plan *plan,
                              struct mr_error *err);
/* The epoch that was planned is committed. */
void mr_gauges_commit(struct mr_gauges *gauges);
/* Between epochs: of the objects that are open. */
enum mr_status mr_gauges_keep(struct mr_gauges *gauges, struct mr_kept *kept,
                              const struct mr_plan *plan, struct mr_error *err);

static inline int64_t mr_gauge_lag(const struct mr_gauge_partition *partition)
{
    return partition->end > partition->committed ? partition->end - partition->committed : 0;
}

#endif

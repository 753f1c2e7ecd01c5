/*
 * aggregate_kept.h - what aggregateData keeps from epoch to epoch of a stream (mr_agg_keeper), and what computes running
 * results in a batch.
 */
#ifndef MR_OP_AGGREGATE_KEPT_H
#define MR_OP_AGGREGATE_KEPT_H

#include "ext/kept.h"
#include "op/aggregate_book.h"

/* A partition: a book, or, where that is too large, rows of plan->book divided by further bits. */
struct mr_agg_part {
    struct mr_agg_book book; /* plan NULL: there is none */
    struct mr_spill *stored;
};

struct mr_agg_kept {
    const struct mr_agg_plan *plan;
    struct mr_runtime runtime;
    int64_t limit;                /* bytes of a book */
    int64_t epoch;                /* counted from 1 in this process */
    int64_t saved;                /* the last that was saved */
    int64_t closed, saved_closed; /* what had closed before the epoch */
    int64_t reached;              /* the watermark of the epoch */
    struct mr_agg_part *parts;
};

/* Rows of a task's spill into a part, and what comes out of it. */
struct mr_agg_settling {
    struct mr_agg_kept *kept;
    const struct mr_agg_plan *plan; /* of the epoch */
    struct mr_runtime *runtime;
    const struct mr_spill *spill;
    int partition;
    struct mr_eval *eval;
    struct mr_emit *emit;
};
enum mr_status mr_agg_settle_part(const struct mr_agg_settling *settling, struct mr_agg_part *part,
                                  struct mr_error *err);
void mr_agg_part_reset(struct mr_agg_part *part);
/* An epoch's rows are there. */
enum mr_status mr_agg_kept_begin(struct mr_agg_kept *kept, int64_t reached, struct mr_error *err);

/* One partition in batch: running results. */
enum mr_status mr_agg_pull_changes(const struct mr_agg_plan *plan, const struct mr_spill *spill,
                                   struct mr_runtime *runtime, int partition, struct mr_emit *emit,
                                   struct mr_error *err);

extern const struct mr_keeper mr_agg_keeper;

#endif

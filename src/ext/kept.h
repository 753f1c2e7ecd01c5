/*
 * kept.h - contract: what an operator keeps from epoch to epoch of a stream (mr_op.keeper).
 *
 * A stream is the same pipeline planned, run and committed again and again (docs/internals/streaming.md). The kept object of a
 * step lives as long as the process does; what is in it is saved with each epoch, as rows, and given back as
 * rows when a process begins, or when an epoch has failed and the object was thrown away. An operator reaches it as runtime->kept, from
 * open to pull; it is NULL in batch.
 */
#ifndef MR_EXT_KEPT_H
#define MR_EXT_KEPT_H

#include "ext/op.h"

/* The runtime of `open` as a kept object copies it: without what is of one task. */
static inline struct mr_runtime mr_kept_runtime(const struct mr_runtime *runtime)
{
    struct mr_runtime own = *runtime;
    own.tally = NULL;
    own.pool = NULL;
    return own;
}

struct mr_keeper {
    /*
     * Empty. `plan` (of mr_op.bind) and the runtime outlive it; plans of later epochs are bound alike, but are others. `share`: bytes that it
     * may hold in memory. (That of the runtime is of one task of the first epoch, and says nothing of how many others have.)
     */
    enum mr_status (*open)(void *plan, struct mr_runtime *runtime, int64_t share, void **kept,
                           struct mr_error *err);
    /*
     * Rows of mr_op_info.kept, as `save` emitted them and in that order, over all epochs since the last save of everything. Borrows
     * the batch. Before the first epoch.
     */
    enum mr_status (*restore)(void *kept, struct mr_batch *rows, struct mr_error *err);
    /*
     * Emits (port 0) what has changed since the last save, or everything. After an epoch has run and before it is prepared; one thread,
     * nothing else uses the object. What is emitted may replace earlier rows: how is between save and restore.
     */
    enum mr_status (*save)(void *kept, bool everything, struct mr_emit *emit, struct mr_error *err);
    /* Optional: is there something to be done though no rows come (an idle partition)? `now`: wall clock, micros. */
    bool (*due)(void *kept, int64_t now);
    /* Optional: rows (groups, keys) that are kept now, in memory or not; for /metrics. Between epochs. */
    int64_t (*rows)(const void *kept);
    void (*close)(void *kept);
};

#endif

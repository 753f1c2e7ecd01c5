/*
 * item.h - what flows from left to right: batches, in order, and the end. A stream is epoch after epoch of that, each with splits of its own.
 */
#ifndef MR_EXT_ITEM_H
#define MR_EXT_ITEM_H

#include "col/batch.h"

enum mr_item_kind {
    MR_ITEM_BATCH,
    MR_ITEM_END,
};

/* An independent part of a source. `token` is a versioned byte string, valid on another host. */
struct mr_split {
    struct mr_slice token;
    const char *label;  /* for people: "id [1, 50000)" */
    const char *origin; /* partition of a stream, the same in every epoch: "clicks/3"; or NULL */
    int64_t rows;       /* predicted, -1 = unknown */
    int64_t bytes;      /* predicted bytes read, -1 = unknown */
    /* its rows may come in another order when read again: no reopening in its middle */
    bool unordered;
};

/* How far a partition of a stream is read, in its own count (offsets); for people and /metrics. */
struct mr_origin_place {
    int64_t from; /* where the last committed epoch ended */
    int64_t upto; /* where this one ends */
    int64_t end;  /* of all that there is to be read */
};

struct mr_split_list {
    struct mr_split *items; /* arena-owned, in the order of reading */
    int count;
    /*
     * A row that these splits do not show can only carry a time of the source's clock at or after
     * this
     * ("yyyy-MM-dd HH:mm:ss.ffffff", UTC). NULL where that cannot be known.
     */
    const char *safe_time;
    /*
     * Incremental reading: where these splits end, a versioned byte string that also says of which
     * source (system identifier, table); stored when the epoch is committed, and given to the bind
     * of the next run as `since`. Empty = the source is not read incrementally. `upto_text` is the
     * same for people, at full precision, and the value of ${last_run_timestamp} in the step.
     */
    struct mr_slice upto;
    const char *upto_text;
    /*
     * Where they begin, in the form of `upto`: given by a stream that was told no `since` and that another start would begin elsewhere
     * ("latest"). It is stored before the first epoch runs. Empty = at `upto` if there are no splits, else at the first row.
     */
    struct mr_slice begin;
    /*
     * A stream's: all of its partitions (mr_split.origin), also those of which there is no split now: one of which no row has come
     * yet holds the watermark back. NULL where splits have no origin.
     */
    const char *const *origins;
    int norigins;
    const struct mr_origin_place *places; /* by origin; NULL where there is no such count */
    /*
     * Where the source itself ends now, in the form of `upto`: given where that is behind `upto`, because less than all is
     * read at once (maxOffsetsPerTrigger). Empty = at `upto`.
     */
    struct mr_slice goal;
};

struct mr_item {
    enum mr_item_kind kind;
    struct mr_batch *batch; /* the receiver's reference */
    int port;               /* of the batch: 0 = rows, 1 = side output (mr_source_info.side) */
};

#endif

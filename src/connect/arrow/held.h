/*
 * held.h - what a given Arrow stream turned into: its schema, and its rows as batches in memory.
 */
#ifndef MR_CONNECT_ARROW_HELD_H
#define MR_CONNECT_ARROW_HELD_H

#include "col/batch.h"
#include "ext/given.h"
#include "ext/runtime.h"

struct mr_arrow_held {
    struct mr_arena arena;   /* the schema lives here, as long as the stream */
    struct mr_memory memory; /* of the rows; its parent is the run's */
    struct ArrowSchema in_schema;
    const struct mr_schema *schema;
    struct mr_batch **batches; /* of MR_ARROW_HELD_ROWS rows at most */
    int64_t *ends;             /* rows up to and with batch i */
    int nbatches, capacity;
    int64_t rows, bytes;
    struct mr_batch **small; /* the last ones, to be joined: together less than a batch */
    int nsmall, small_capacity;
    int64_t small_rows;
    bool complete;
    struct mr_error failure; /* status MR_OK: none; a broken stream stays broken */
};

#define MR_ARROW_HELD_ROWS  65536
#define MR_ARROW_HELD_BYTES ((int64_t)16 << 20)

/* The schema is read once. The stream's own errors are MR_SOURCE, types without a place MR_CONFIG. */
enum mr_status mr_arrow_held_get(struct mr_given *given, struct mr_given_list *list,
                                 struct mr_arrow_held **out, struct mr_error *err);
/*
 * Reads the stream to its end and releases it; does nothing when that has happened. MR_LIMIT when
 * the budget has no room for its rows; after MR_CANCELLED a later call goes on.
 */
enum mr_status mr_arrow_held_fill(struct mr_given *given, struct mr_waiter *waiter,
                                  struct mr_error *err);

#endif

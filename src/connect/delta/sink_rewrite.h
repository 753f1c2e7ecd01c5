/*
 * sink_rewrite.h - the rows of the table that a load replaces.
 */
#ifndef MR_CONNECT_DELTA_SINK_REWRITE_H
#define MR_CONNECT_DELTA_SINK_REWRITE_H

#include "connect/delta/rewrite.h"
#include "connect/delta/sink_private.h"

struct delta_sink_rewrite {
    const struct delta_sink *sink;
    const struct delta_table *table;
    const struct mr_epoch *epoch;
    const struct delta_committable *committables;
    int ncommittables;
    struct mr_arena *arena;
    struct delta_token *token; /* gets the files that go */
    struct delta_rewritten *out;
};
/* DELTA_REMOVE_LISTED, against the snapshot that the sink was bound to. */
enum mr_status delta_sink_rewrite(const struct delta_sink_rewrite *request, struct mr_error *err);

#endif

/*
 * positions.h - where incremental reading has ended, of all steps of a pipeline, as the byte string of an epoch.
 */
#ifndef MR_RUN_POSITIONS_H
#define MR_RUN_POSITIONS_H

#include "ext/source.h"

struct mr_positions {
    int count;
    struct mr_source_position *items;
};

/* With the value of ${last_run_timestamp} for steps that are not incremental, or NULL. Writes nothing where there is nothing. */
void mr_positions_encode(const struct mr_source_position *items, int count, const char *watermark,
                         struct mr_bytes *out);
/* Copies into the arena. MR_INTERNAL, class fatal, when the bytes are not what encode wrote. */
enum mr_status mr_positions_decode(struct mr_slice bytes, struct mr_arena *arena,
                                   struct mr_positions *out, struct mr_error *err);

/* The watermark that was encoded with them, or NULL. */
const char *mr_positions_watermark(const struct mr_positions *positions);

#endif

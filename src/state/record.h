/*
 * record.h - the byte form of an epoch record.
 */
#ifndef MR_STATE_RECORD_H
#define MR_STATE_RECORD_H

#include "state/state.h"

void mr_epoch_record_encode(const struct mr_epoch_record *record, struct mr_bytes *out);
/* False when the bytes are not what encode wrote. Slices and texts are copied into the arena. */
bool mr_epoch_record_decode(struct mr_slice bytes, struct mr_arena *arena,
                            struct mr_epoch_record *out);

#endif

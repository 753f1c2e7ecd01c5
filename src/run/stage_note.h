/*
 * stage_note.h - the note of a durable frame as bytes.
 */
#ifndef MR_RUN_STAGE_NOTE_H
#define MR_RUN_STAGE_NOTE_H

#include "plan/plan.h"

struct mr_stage_note {
    struct mr_plan_restorable frame; /* `step` is the name of the note, not in it */
    const char *parameters_hash;
    uint64_t since; /* hash of the positions from which incremental reading began */
};

void mr_stage_note_encode(const struct mr_stage_note *note, struct mr_bytes *out);
/* Copies into the arena. MR_INTERNAL, class fatal, when the bytes are not what encode wrote. */
enum mr_status mr_stage_note_decode(struct mr_slice bytes, struct mr_arena *arena,
                                    struct mr_stage_note *out, struct mr_error *err);

#endif

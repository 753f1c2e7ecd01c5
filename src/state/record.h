/*
 * record.h - the byte forms of epoch records and notes.
 */
#ifndef MR_STATE_RECORD_H
#define MR_STATE_RECORD_H

#include "state/state.h"

/* `record->written` is not looked at: it is `now`, 0 = not known. */
void mr_epoch_record_encode(const struct mr_epoch_record *record, int64_t now,
                            struct mr_bytes *out);
/* False when the bytes are not what encode wrote. Slices and texts are copied into the arena. */
bool mr_epoch_record_decode(struct mr_slice bytes, struct mr_arena *arena,
                            struct mr_epoch_record *out);

void mr_note_encode(enum mr_note_kind kind, const struct mr_note *note, struct mr_bytes *out);
/*
 * note->bytes from the sealed form to what was sealed, inside the same storage. False when it is damaged, or not of this kind, epoch and
 * name.
 */
bool mr_note_unseal(enum mr_note_kind kind, struct mr_note *note);

#endif

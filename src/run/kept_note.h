/*
 * kept_note.h - notes of what operators keep, as bytes.
 */
#ifndef MR_RUN_KEPT_NOTE_H
#define MR_RUN_KEPT_NOTE_H

#include "col/batch.h"
#include "ext/codec.h"
#include "state/state.h"

/* Whose rows they are. */
struct mr_kept_owner {
    const char *step; /* mr_step_spec.key */
    int part;         /* number among the operators of the step that keep something */
    const char *op;
    uint64_t options; /* hash */
    const char *schema;
    bool clock; /* it measures: may be missing, its options may change */
};

/* In the epoch in which everything was saved: whose rows there are. */
#define MR_KEPT_BASE "base"
void mr_kept_base_encode(const struct mr_kept_owner *owners, int count, struct mr_bytes *out);
enum mr_status mr_kept_base_decode(struct mr_slice bytes, struct mr_arena *arena,
                                   struct mr_kept_owner **out, int *count, struct mr_error *err);

/* "<step>|<part>|<number>" */
const char *mr_kept_rows_name(struct mr_arena *arena, const struct mr_kept_owner *owner,
                              int number);
bool mr_kept_rows_parse(const char *name, struct mr_slice *step, int *part, int *number);

/*
 * A batch without selection, into an empty `out`. Compressed where there is a codec and it pays; `packed` and `scratch` are workspace.
 */
enum mr_status mr_kept_rows_encode(const struct mr_batch *batch, const struct mr_codec *codec,
                                   struct mr_bytes *packed, void **scratch, struct mr_bytes *out,
                                   struct mr_error *err);
/* What was encoded is the last of its owner in this epoch. */
void mr_kept_rows_mark_last(struct mr_bytes *encoded);
/* Checked before it is believed. */
enum mr_status mr_kept_rows_decode(struct mr_slice bytes, const struct mr_schema *schema,
                                   const struct mr_codec *codec, struct mr_memory *memory,
                                   bool *last, struct mr_batch **out, struct mr_error *err);
enum mr_status mr_kept_damaged(struct mr_error *err);

#endif

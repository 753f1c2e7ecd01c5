/*
 * marker.h - what a directory of files remembers of the pipeline that loads it: the object .millrace-state/<hash> in it.
 */
#ifndef MR_CONNECT_FILES_MARKER_H
#define MR_CONNECT_FILES_MARKER_H

#include "base/arena.h"
#include "connect/files/token.h"
#include "ext/store.h"

/* Of one load of the pipeline. */
struct files_memory {
    int load; /* number of the sink in the pipeline */
    const char *uuid;
    int64_t epoch;
    const char *run; /* id of the run, "" = not kept */
    struct mr_slice positions;
    struct mr_slice unfinished; /* the token of a commit that was begun, size 0 = it ended */
};

struct files_marker {
    const char *state_key;
    int lane;
    int count;
    struct files_memory *loads;
};

/* Nothing known when the object is not there. Damaged: MR_SINK, class fatal. All is the arena's. */
enum mr_status files_marker_read(const struct mr_store *store, void *handle, const char *state_key,
                                 int lane, struct mr_arena *arena, struct files_marker *out,
                                 struct mr_error *err);
/* What is known of load `load`, or NULL. */
struct files_memory *files_marker_find(const struct files_marker *marker, int load);
/* Written durably, atomically replacing what was there. `memory` takes the place of that load's. */
enum mr_status files_marker_write(const struct mr_store *store, void *handle,
                                  const struct files_marker *marker,
                                  const struct files_memory *memory, struct mr_error *err);

/*
 * The right to commit an epoch of this state, which two copies of it might be about to do at once: an object beside the marker that
 * only one run can make. *ours false: another run has it. A store that cannot make an object only once gives it to everybody.
 */
enum mr_status files_claim_take(const struct mr_store *store, void *handle,
                                const struct files_token *token, bool *ours, struct mr_error *err);
/* When the epoch is in the marker, or given up. That of another run stays, unless `any`. */
enum mr_status files_claim_drop(const struct mr_store *store, void *handle,
                                const struct files_token *token, bool any, struct mr_error *err);

#endif

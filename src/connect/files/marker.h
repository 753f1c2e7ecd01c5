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

#endif

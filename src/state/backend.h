/*
 * backend.h - where the blobs of the state lie: one table of callbacks for each database.
 *
 * The front (state.c) encodes, checks and holds a lock around every call but `close`, so that a backend serves one thread at a time.
 * A backend knows nothing of what is in a record or a note. Each call is one durable transaction; those that take a lease
 * check its fence in the same transaction.
 */
#ifndef MR_STATE_BACKEND_H
#define MR_STATE_BACKEND_H

#include "state/state.h"

/* What `lease` saw of a holder, kept by the front from one attempt to the next; zeroed before the first. */
struct mr_lease_attempt {
    int64_t retry_micros; /* with MR_BUSY: worth another attempt after this time; 0 = no */
    char seen[80];        /* the backend's */
};

/* What is wanted of the runs; NULL = any. */
struct mr_run_filter {
    const char *run_id;    /* this one, with its report */
    const char *state_key; /* newest first */
    bool lanes;            /* and those of state keys that begin with it and '@' */
    const char *run_key;   /* of those that ended well under it */
    int limit;
};

/* What is wanted of the notes, by epoch, then name. */
struct mr_note_filter {
    const char *key;
    enum mr_note_kind kind;
    int64_t epoch;    /* -1 = any */
    const char *name; /* NULL = any */
    bool no_bytes;    /* leave them empty */
};

struct mr_state_backend {
    /* `self` is set, also on failure when there is something to close. `uuid` takes 33 bytes. */
    enum mr_status (*open)(const struct mr_state_config *config, void **self, char *uuid,
                           struct mr_error *err);
    void (*close)(void *self);
    enum mr_status (*lease)(void *self, const char *key, const char *run_id,
                            struct mr_lease_attempt *attempt, void **lease, int64_t *fence,
                            struct mr_error *err);
    void (*release)(void *lease);
    enum mr_status (*check)(void *lease, struct mr_error *err);
    /* The blob in the arena, or that of the record before it; data NULL = none. */
    enum mr_status (*load_record)(void *self, const char *key, int lane, bool before,
                                  struct mr_arena *arena, struct mr_slice *out,
                                  struct mr_error *err);
    enum mr_status (*store_record)(void *lease, int lane, struct mr_slice record,
                                   const struct mr_note_change *changes, int count,
                                   struct mr_error *err);
    /* State keys of records that begin with `key` and '@', in the order of their bytes. */
    enum mr_status (*lane_keys)(void *self, const char *key, struct mr_arena *arena,
                                const char ***out, int *count, struct mr_error *err);
    enum mr_status (*put_notes)(void *lease, enum mr_note_kind kind, const struct mr_note *notes,
                                int count, struct mr_error *err);
    enum mr_status (*notes)(void *self, const struct mr_note_filter *filter, struct mr_arena *arena,
                            struct mr_note **out, int *count, struct mr_error *err);
    /* Of the epochs [from, upto]. */
    enum mr_status (*drop_notes)(void *lease, enum mr_note_kind kind, int64_t from, int64_t upto,
                                 struct mr_error *err);
    enum mr_status (*run_begin)(void *self, const struct mr_run_row *row, struct mr_error *err);
    enum mr_status (*run_end)(void *self, const struct mr_run_row *row, struct mr_error *err);
    enum mr_status (*runs)(void *self, const struct mr_run_filter *filter, struct mr_arena *arena,
                           struct mr_run_row **rows, int *count, struct mr_error *err);
    /* The run that holds the lease of `key` now, in the arena; *run_id NULL = none does. */
    enum mr_status (*holder)(void *self, const char *key, struct mr_arena *arena,
                             const char **run_id, struct mr_error *err);
};

extern const struct mr_state_backend mr_state_sqlite;
extern const struct mr_state_backend mr_state_postgres;

/* MR_BUSY, class fatal: `run_id` has the lease that was ours. NULL = its row is gone. */
enum mr_status mr_state_fenced(struct mr_error *err, const char *key, const char *run_id);
/* Random, 32 hex digits. */
enum mr_status mr_state_new_uuid(char *uuid, struct mr_error *err);

#endif

/*
 * state.h - what a pipeline remembers between runs: runs, leases, and the record of each lane's epoch.
 *
 * One SQLite database (WAL, synchronous FULL) in the state directory, many pipelines (state keys) in it. A record is a versioned
 * blob with a CRC; the one before it is kept, so that damage is noticed and never read as truth. Each call is one transaction and
 * durable when it returns. One thread at a time; several processes may use one directory.
 */
#ifndef MR_STATE_STATE_H
#define MR_STATE_STATE_H

#include "base/arena.h"
#include "base/bytes.h"

struct mr_state;
struct mr_lease;

/* Creates the directory and the database when missing. MR_CONFIG when it cannot be used. */
enum mr_status mr_state_open(const char *directory, struct mr_state **out, struct mr_error *err);
void mr_state_close(struct mr_state *state);
/* Random identity of this database, 32 hex digits: targets remember it beside the state key. */
const char *mr_state_uuid(const struct mr_state *state);

/*
 * Takes the lease of a state key for this process; the kernel gives it back when the process dies. MR_BUSY names the holder's
 * process and run. `fence` grows with every lease of this key.
 */
enum mr_status mr_state_lease(struct mr_state *state, const char *key, const char *run_id,
                              struct mr_lease **out, int64_t *fence, struct mr_error *err);
void mr_lease_release(struct mr_lease *lease);

enum mr_epoch_phase { MR_EPOCH_NONE, MR_EPOCH_PREPARED, MR_EPOCH_COMMITTED };

struct mr_epoch_token {
    int step;           /* index of the step that asked for the sink */
    const char *method; /* "toS3": whose commit understands the token */
    struct mr_slice token;
};

/* The last epoch of a lane. */
struct mr_epoch_record {
    enum mr_epoch_phase phase; /* NONE: the lane never ran */
    int lane;
    int64_t epoch;
    const char *run_id;
    const char *fingerprint; /* of the plan, ':', hash of the parameters */
    const char *watermark;   /* safe upper time bound for ${last_run_timestamp}, or NULL */
    struct mr_slice positions;
    int ntokens;
    struct mr_epoch_token *tokens;
};

/* Reads into the arena. A damaged record is MR_INTERNAL, class fatal, and says what to do. */
enum mr_status mr_state_load_epoch(struct mr_state *state, const char *key, int lane,
                                   struct mr_arena *arena, struct mr_epoch_record *out,
                                   struct mr_error *err);
/* Replaces the record; the one before is kept beside it. */
enum mr_status mr_state_store_epoch(struct mr_state *state, const char *key,
                                    const struct mr_epoch_record *record, struct mr_error *err);
struct mr_run_row {
    const char *run_id;
    const char *pipeline;
    const char *state_key;
    const char *status; /* "running", "success", "failed", "cancelled" */
    int exit_code;      /* -1 while running */
    int64_t started_micros;
    int64_t ended_micros; /* 0 while running */
    int64_t rows_read;
    int64_t rows_written;
    const char *message; /* of the error, or NULL */
    const char *report;  /* JSON; only from mr_state_run */
};

enum mr_status mr_state_run_begin(struct mr_state *state, const struct mr_run_row *row,
                                  struct mr_error *err);
/* By run_id: status, exit code, end, rows, message, report. */
enum mr_status mr_state_run_end(struct mr_state *state, const struct mr_run_row *row,
                                struct mr_error *err);
/* Newest first; `key` NULL = all. */
enum mr_status mr_state_runs(struct mr_state *state, const char *key, int limit,
                             struct mr_arena *arena, struct mr_run_row **rows, int *count,
                             struct mr_error *err);
/* *row NULL when there is no such run. */
enum mr_status mr_state_run(struct mr_state *state, const char *run_id, struct mr_arena *arena,
                            struct mr_run_row **row, struct mr_error *err);

#endif

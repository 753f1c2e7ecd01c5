/*
 * state.h - what a pipeline remembers between runs: runs, leases, the record of each lane's epoch, and notes of unfinished work.
 *
 * One SQLite database (WAL, synchronous FULL) in a state directory, many pipelines (state keys) in it. Records and notes are blobs with a CRC; a record is kept beside the one
 * before it, so that damage is noticed and never read as truth. Each call is one transaction and durable when it returns, and
 * whoever writes under a lease that somebody else has taken since is refused (MR_BUSY, class fatal: fenced). Any thread.
 */
#ifndef MR_STATE_STATE_H
#define MR_STATE_STATE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/retry.h"
#include "base/wait.h"

struct mr_state;
struct mr_lease;

/* Where the state is: a directory, or (keywords not NULL) a PostgreSQL. The strings are borrowed until close. */
struct mr_state_config {
    const char *directory;
    const char *const *keywords; /* libpq's names, ended by NULL */
    const char *const *values;
    const char *location;         /* for messages: "host:5432/db" */
    int64_t lease_micros;         /* in a PostgreSQL: how long a lease lasts unrenewed; 0 = 30 s */
    const struct mr_retry *retry; /* the user's, for a PostgreSQL; NULL = our own */
    struct mr_retry_log *retries; /* notes what was tried again, or NULL */
    /*
     * A directory is only looked at: nothing is made, changed or synced, so that one that may not be written will do. Leases cannot
     * be taken.
     */
    bool read_only;
    struct mr_waiter
        *waiter; /* for the time that taking a lease may wait; NULL = not to be cancelled */
    struct mr_waiter *patient; /* for everything else on a server; NULL = not to be cancelled */
};

/* Creates the directory and the database, or the schema and its tables, when missing. MR_CONFIG when it cannot be used. */
enum mr_status mr_state_open(const struct mr_state_config *config, struct mr_state **out,
                             struct mr_error *err);
void mr_state_close(struct mr_state *state);
/* Random identity of this database, 32 hex digits: targets remember it beside the state key. */
const char *mr_state_uuid(const struct mr_state *state);

/*
 * Takes the lease of a state key for this process. MR_BUSY names the holder's process and run. In a directory the kernel gives it back
 * when the process dies; in a PostgreSQL it runs out 30 s after its last renewal, and taking it waits up to that long for a
 * holder that does not renew. `fence` grows with every lease of this key.
 */
enum mr_status mr_state_lease(struct mr_state *state, const char *key, const char *run_id,
                              struct mr_lease **out, int64_t *fence, struct mr_error *err);
void mr_lease_release(struct mr_lease *lease);
/* Is it still ours? MR_BUSY, class fatal, when not. Before anything that cannot be taken back. */
enum mr_status mr_lease_check(struct mr_lease *lease, struct mr_error *err);

enum mr_epoch_phase { MR_EPOCH_NONE, MR_EPOCH_PREPARED, MR_EPOCH_COMMITTED };

struct mr_epoch_token {
    int step;             /* index of the step that asked for the sink */
    const char *method;   /* "toS3": whose commit understands the token */
    const char *location; /* of the target (mr_sink_info), "" = not known */
    struct mr_slice token;
};

/* The last epoch of a lane. */
struct mr_epoch_record {
    enum mr_epoch_phase phase; /* NONE: the lane never ran */
    bool stream; /* an epoch of mode streaming: its run has an end of its own, and no retry */
    int lane;
    int64_t epoch;
    const char *run_id;
    /*
     * The run under whose id targets have, or were to have, this epoch: of a copy of this state they have it under another's. Stays
     * when a commit is withdrawn. "" = not known.
     */
    const char *maker;
    const char *fingerprint; /* of the plan, ':', hash of the parameters */
    const char *watermark;   /* safe upper time bound for ${last_run_timestamp}, or NULL */
    int64_t written;         /* wall clock: when it was stored; read only, 0 = not known */
    struct mr_slice positions;
    int ntokens;
    struct mr_epoch_token *tokens;
};

/* Reads into the arena. A damaged record is MR_INTERNAL, class fatal, and says what to do. */
enum mr_status mr_state_load_epoch(struct mr_state *state, const char *key, int lane,
                                   struct mr_arena *arena, struct mr_epoch_record *out,
                                   struct mr_error *err);
/* The same of the record that the present one replaced. */
enum mr_status mr_state_load_epoch_before(struct mr_state *state, const char *key, int lane,
                                          struct mr_arena *arena, struct mr_epoch_record *out,
                                          struct mr_error *err);
/* Replaces the record; the one before is kept beside it. */
enum mr_status mr_state_store_epoch(struct mr_lease *lease, const struct mr_epoch_record *record,
                                    struct mr_error *err);

/* State keys "<key>@.." that have a record: the lanes of a stream that is shared (run/group.h). In the order of their bytes. */
enum mr_status mr_state_lane_keys(struct mr_state *state, const char *key, struct mr_arena *arena,
                                  const char *const **out, int *count, struct mr_error *err);

/* What is remembered of an epoch besides its record. */
enum mr_note_kind {
    MR_NOTE_DONE = 1,       /* a part of a task that need not be done again (exec/) */
    MR_NOTE_CHECKPOINT = 2, /* a frame that was made durable */
    MR_NOTE_CONTENT = 3,    /* counts and hashes of what was written (verify) */
    MR_NOTE_KEPT = 4,       /* rows that an operator keeps from epoch to epoch (run/kept) */
};
struct mr_note {
    int64_t epoch;
    const char *name; /* unique within key, kind and epoch */
    struct mr_slice bytes;
};
/* Adds or replaces. The CRC is added here. */
enum mr_status mr_state_put_note(struct mr_lease *lease, enum mr_note_kind kind,
                                 const struct mr_note *note, struct mr_error *err);
/* All of them or none, in one transaction. */
enum mr_status mr_state_put_notes(struct mr_lease *lease, enum mr_note_kind kind,
                                  const struct mr_note *notes, int count, struct mr_error *err);
/* By epoch, then name; epoch -1 = of all. Damaged ones are MR_INTERNAL, class fatal. */
enum mr_status mr_state_notes(struct mr_state *state, const char *key, enum mr_note_kind kind,
                              int64_t epoch, struct mr_arena *arena, struct mr_note **out,
                              int *count, struct mr_error *err);
/* The same of all epochs without their bytes, where they are many and large; and then one of them. */
enum mr_status mr_state_note_names(struct mr_state *state, const char *key, enum mr_note_kind kind,
                                   struct mr_arena *arena, struct mr_note **out, int *count,
                                   struct mr_error *err);
enum mr_status mr_state_note(struct mr_state *state, const char *key, enum mr_note_kind kind,
                             int64_t epoch, const char *name, struct mr_arena *arena,
                             struct mr_note *out, struct mr_error *err);
/* Notes that change in the transaction of a record: those of epochs >= `from` go, then the mark is there. */
struct mr_note_change {
    enum mr_note_kind kind;
    int64_t from;
    struct mr_note mark; /* name NULL = none */
};
/* Replaces the record, as mr_state_store_epoch does, and changes the notes: all of it or nothing. At most one change of each kind. */
enum mr_status mr_state_store_epoch_and(struct mr_lease *lease,
                                        const struct mr_epoch_record *record,
                                        const struct mr_note_change *changes, int count,
                                        struct mr_error *err);
/* Forgets those of epochs >= `from`. */
enum mr_status mr_state_drop_notes_from(struct mr_lease *lease, enum mr_note_kind kind,
                                        int64_t from, struct mr_error *err);
/* Forgets those of epochs <= `upto`. */
enum mr_status mr_state_drop_notes(struct mr_lease *lease, enum mr_note_kind kind, int64_t upto,
                                   struct mr_error *err);

struct mr_run_row {
    const char *run_id;
    const char *pipeline;
    const char *state_key;
    const char *run_key; /* the name that its scheduler gave it, or NULL */
    /*
     * "running", "success", "failed", "cancelled", "skipped" (its key had succeeded already). Read: a row that says running, and whose
     * run does not hold the lease any more, says "killed".
     */
    const char *status;
    int exit_code; /* -1 while running, and of a killed run */
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
/* The run of this state key that ended well under this run key; *row NULL = none has. */
enum mr_status mr_state_run_of_key(struct mr_state *state, const char *key, const char *run_key,
                                   struct mr_arena *arena, struct mr_run_row **row,
                                   struct mr_error *err);
/* Newest first; `key` NULL = all. With `lanes` also those of the keys that mr_state_lane_keys gives. */
enum mr_status mr_state_runs(struct mr_state *state, const char *key, bool lanes, int limit,
                             struct mr_arena *arena, struct mr_run_row **rows, int *count,
                             struct mr_error *err);
/* *row NULL when there is no such run. */
enum mr_status mr_state_run(struct mr_state *state, const char *run_id, struct mr_arena *arena,
                            struct mr_run_row **row, struct mr_error *err);

#endif

/*
 * session.h - a pipeline file made ready to validate, plan, preview or run.
 *
 * Owns everything with the lifetime of the plan: arena, memory root, engine, shared objects. One session serves one plan at a
 * time, on one thread; only mr_session_cancel may be called from another.
 */
#ifndef MR_RUN_SESSION_H
#define MR_RUN_SESSION_H

#include "config/load.h"
#include "exec/exec.h"
#include "ext/given.h"
#include "ext/held.h"
#include "plan/plan.h"
#include "run/logger.h"
#include "run/pool.h"
#include "run/positions.h"
#include "state/state.h"

/* One lane of a stream that is shared (run/lane.c): the file with another state key. */
struct mr_session_lane {
    struct mr_lane of;
    struct mr_slice begin; /* positions that hold while none are remembered */
    int64_t memory;        /* its budget */
    bool once;             /* one epoch, whatever the trigger */
};

struct mr_session_request {
    struct mr_load_request load; /* run_id, run_date and last_run_timestamp are filled here */
    const char *state_path;      /* overrides the spec's, or NULL */
    const char *run_key;         /* the name of this run to its scheduler (start.h), or NULL */
    int64_t patience_micros;     /* see mr_engine_options */
    struct mr_pool *pool;        /* shared with other sessions of the process, or NULL */
    const struct mr_session_lane *lane; /* lives as long as the session, or NULL */
    mr_log_fn log;
    void *log_context;
    enum mr_log_level log_level;
};

struct mr_session {
    struct mr_session_request request;
    struct mr_arena arena;   /* of a stream: of the epoch at hand */
    struct mr_arena whole;   /* of a stream: what lives as long as the session */
    struct mr_memory memory; /* resources.memory; root, or child of the pool's */
    struct mr_pool_ticket ticket;
    struct mr_logger logger;
    const struct mr_spec *spec;
    struct mr_tz *tz;
    struct mr_engine *engine;
    struct mr_given_list given;  /* streams of the embedding program */
    struct mr_held_list held;    /* of a stream: static frames that joins hold */
    struct mr_counters counters; /* of what belongs to no step */
    struct mr_retry_log retries; /* of all steps, and of what belongs to none */
    struct mr_runtime runtime;   /* template for the steps */
    struct mr_plan *plan;        /* NULL until planned */
    char run_id[40];
    char run_date[11];
    char *state_path; /* absolute or relative to the current directory; NULL = the spec's server */
    const char *last_run_timestamp;
    struct mr_shared *common;  /* of a stream without a pool: runtime.common */
    struct mr_positions until; /* see mr_plan_request */
    struct mr_positions since; /* where incremental reading ended in the last committed epoch */
    /* what earlier attempts have made durable (stage.h), for mr_session_plan */
    struct mr_plan_restorable *frames;
    int nframes;
    bool knows_since; /* mr_session_since has said it */
    int64_t start_wall;
    int64_t
        now_micros; /* of current_timestamp(): start_wall, or that of the run that is gone on with */
    int64_t start_monotonic;
    const bool *
        absent; /* by sink sequence: there was no such table when targets were asked; NULL = they were not */
    const struct mr_vault_secret *secrets; /* what mr_session_fetch_credentials brought */
    bool fetched;                          /* it has succeeded */
    bool ran;              /* a session runs once: its run id is in the file's texts */
    atomic_bool cancelled; /* also before the engine exists */
    atomic_bool in_epochs; /* a stream that runs: it can be drained */
    atomic_bool yields;    /* what a stream does just now is broken off by a drain */
    struct mr_drain drain;
    atomic_int_fast64_t pieces; /* runtime.pieces */
    atomic_int cancel_code;     /* the exit code that goes with it; 0 = the usual one */
};

/* The exit code of a run that ended like this. */
int mr_session_exit_code(const struct mr_session *session, enum mr_status status);
/* Once it is this run's turn in its pool, its time counts from here: the clocks of the run begin. */
void mr_session_begin(struct mr_session *session);
/* The run has ended: others of its pool may have what it took. Connections are closed, and the plan goes. */
void mr_session_leave(struct mr_session *session);
/* Reads and checks the file. All problems in `errors`; the status of the first. */
enum mr_status mr_session_open(const struct mr_session_request *request, struct mr_session **out,
                               struct mr_load_errors *errors);
void mr_session_close(struct mr_session *session);
/*
 * Opens the state of the pipeline, fetching its credentials first. It must be closed before the session is; taking a lease of it is
 * broken off by mr_session_cancel.
 */
enum mr_status mr_session_open_state(struct mr_session *session, struct mr_state **out,
                                     struct mr_error *err);
/* The same without writing: what is there can be read, a lease cannot be taken. */
enum mr_status mr_session_look_at_state(struct mr_session *session, struct mr_state **out,
                                        struct mr_error *err);
/* Any thread and signal handlers. */
void mr_session_cancel(struct mr_session *session);
/*
 * The same. Of a stream: the epoch at hand is finished, then the run ends with MR_CANCELLED; at once if it yields. False: it is none, or was
 * told before.
 */
bool mr_session_drain(struct mr_session *session);
/* Of a stream, its own thread: may a drain break off what is done from here on? */
void mr_session_yields(struct mr_session *session, bool yields);

/*
 * Fetches what steps lack and Vault may have, and the watermark of a state that is on a server, and takes both into session->spec; does
 * nothing a second time. `errors` may be NULL.
 */
enum mr_status mr_session_fetch_credentials(struct mr_session *session,
                                            struct mr_load_errors *errors, struct mr_error *err);

/*
 * From here on the file means what was last committed: the value of ${last_run_timestamp} (NULL = the initial one; the file is
 * read again if that changes its texts), and the positions of incremental steps. Called under the lease: what
 * mr_session_open found may have moved since. `errors` may be NULL.
 */
enum mr_status mr_session_since(struct mr_session *session, const char *watermark,
                                struct mr_slice positions, struct mr_load_errors *errors,
                                struct mr_error *err);

/*
 * What ${last_run_timestamp} is in the next run, if this one commits; NULL = the initial value. Where the safe time of the plan's
 * snapshot is not known, the one that this run began with is safe still.
 */
const char *mr_session_next_watermark(const struct mr_session *session);

/*
 * Where incremental reading ends if this plan commits; and where it ended of steps that the plan does not read (their load is gone,
 * or they are): without it they would read everything again when they come back. In the arena.
 */
enum mr_status mr_session_positions(struct mr_session *session, struct mr_positions *out,
                                    struct mr_error *err);

/* With `incremental`, and in mode streaming a source that is always a stream. */
bool mr_step_reads_incrementally(const struct mr_spec *spec, const struct mr_step_spec *step);

struct mr_session_plan_options {
    bool connect;
    bool with_splits;
    bool with_sinks;
    bool light;       /* see mr_plan_request */
    bool tries_since; /* session->since is asked about, not read from: no preview */
    const char *until_step;
    int64_t rows_wanted;                      /* preview: 0 = all */
    const struct mr_split_list *fixed_splits; /* see mr_plan_request */
    int nfixed_splits;
};
/* Builds session->plan, replacing an earlier one. `errors` may be NULL. */
enum mr_status mr_session_plan(struct mr_session *session,
                               const struct mr_session_plan_options *options,
                               struct mr_load_errors *errors, struct mr_error *err);

#endif

/*
 * runtime.h - what the engine lends to an implementation: memory, cancel, clock, waiting, spill,
 * counters, events.
 *
 * Every callback that may block or count receives a `struct mr_runtime`. It belongs to one task (or
 * to planning) and one thread; what it points to is shared and thread-safe.
 */
#ifndef MR_EXT_RUNTIME_H
#define MR_EXT_RUNTIME_H

#include "base/alloc.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/retry.h"
#include "base/wait.h"
#include "ext/option.h"

struct mr_registry;
struct mr_given_list;
struct mr_held_list;
struct mr_event_clock;
struct mr_latency;

/* Counters of a step (one row of the report). Peaks are kept as maxima, the rest as sums. */
enum mr_counter {
    MR_COUNT_ROWS_READ,
    MR_COUNT_ROWS_WRITTEN,
    MR_COUNT_ROWS_REJECTED,
    MR_COUNT_BATCHES,
    MR_COUNT_BYTES_READ,    /* off the wire or the disk */
    MR_COUNT_BYTES_WRITTEN, /* into files or onto the wire */
    MR_COUNT_RETRIES,
    MR_COUNT_CONNECTIONS,      /* opened */
    MR_COUNT_CONNECTIONS_PEAK, /* open at once */
    MR_COUNT_REQUESTS,
    MR_COUNT_FILES,
    MR_COUNT_FILES_SMALL,       /* under 10 MB */
    MR_COUNT_FILE_BYTES_MEDIAN, /* of the files of a commit; kept as a maximum */
    MR_COUNT_SPILL_BYTES,
    MR_COUNT_EXCHANGE_BYTES,
    MR_COUNT_CACHE_HITS,
    MR_COUNT_FILES_READ,    /* opened by sources; once for each split that has a part of it */
    MR_COUNT_FILES_SKIPPED, /* left out by partition values and statistics */
    MR_COUNT_BYTES_SKIPPED, /* of those files, and of row groups and pages of others */
    MR_COUNT_ROWS_LATE,     /* behind the watermark: dropped, or dead letters */
    MR_COUNTERS
};

struct mr_counters {
    atomic_int_fast64_t value[MR_COUNTERS];
};

/* What one part of an output task counted of one step (exec/): it is kept with the part. */
struct mr_tally {
    struct mr_counters counters; /* the sums; peaks are not kept */
    int nrules;
    atomic_int_fast64_t *rules; /* of a validation: rows per rule */
    atomic_int_fast64_t rows_failed;
};

/* The share of a stream that a run reads (mr_source_group). */
struct mr_lane {
    const char *name;
    void *member; /* of the group */
};

/* Of a stream: it is to end behind the epoch at hand. */
struct mr_drain {
    atomic_bool set;
    int fd; /* eventfd, readable once it is set; -1 = not a stream */
};

struct mr_runtime {
    struct mr_waiter *waiter;
    /*
     * For what is to be finished once it is begun: heeds a cancel only when that has lasted for too
     * long. Any thread. NULL = there is none.
     */
    struct mr_waiter *patient;
    struct mr_memory *memory;     /* the account of this step */
    struct mr_counters *counters; /* of this step; NULL = these rows are counted elsewhere */
    struct mr_tally *tally;       /* counted there as well, NULL = not */
    bool again; /* a task's, of a source: another segment reads these rows, too, and counts them */
    const struct mr_registry *registry;
    const char *temp_dir; /* for rows that spill; files in it have no names */
    const char *run_id;
    const char *state_uuid; /* identity of the pipeline's state */
    const char *state_key;
    const char *state_dir;        /* directory of the state, NULL = it is on a server */
    const char *pipeline_dir;     /* relative paths in options start here */
    int64_t start_micros;         /* wall clock at the start of the run; of the epoch of a stream */
    bool streaming;               /* one epoch of many (mode streaming) */
    const struct mr_drain *drain; /* of a stream, else NULL; see mr_is_draining */
    const char
        *origin; /* where the rows at hand were read (mr_split.origin), "" = not known; a task's */
    void *kept;  /* of this step (ext/kept.h); NULL in batch */
    /* By input: event times of the frame (ext/event_clock.h), NULL = it has no watermark; NULL in batch. */
    struct mr_event_clock *const *clocks;
    int parallelism;    /* CPU permits of the run */
    int64_t batch_rows; /* resources.batchRows, 0 = chosen by bytes */
    /*
     * Breakers and build sides: bytes that the state of one task may hold before it spills. Known
     * before the task starts, so that when something spills does not depend on timing.
     */
    int64_t share;
    /*
     * The shares of all states that the same task fills, together: see mr_state_fits. NULL = there is
     * no other.
     */
    struct mr_state_pool *pool;
    int64_t pooled;                   /* what the pool counts of this state */
    int64_t timeout_connect_micros;   /* timeouts.connect, 0 = the implementation's default */
    int64_t timeout_statement_micros; /* timeouts.statement, 0 = none */
    struct mr_retry retry;            /* `retry`; all 0 = nothing is tried twice */
    bool retry_given;                 /* by the user: holds also where a protocol has its own */
    struct mr_retry_log *retries;     /* of the run, or NULL */
    /* Pieces of work that may last and move no rows (mr_progressed), for who asks whether it goes on; NULL = nobody. */
    atomic_int_fast64_t *pieces;
    const char *time_zone;       /* sql.timeZone */
    bool ansi_off;               /* sql.ansi is false */
    struct mr_latency *latency;  /* of a stream: sources note the times of records; or NULL */
    bool preview;                /* rows for people: from the beginning, nothing is remembered */
    bool offline;                /* planning without connections */
    const struct mr_lane *lane;  /* what is read of a stream that is shared, or NULL = all */
    struct mr_given_list *given; /* streams of the embedding program (ext/given.h), or NULL */
    struct mr_held_list *held;   /* frames that a stream holds (ext/held.h), or NULL */
    struct mr_shared *shared;    /* things that several steps of a run use together */
    /* things that several batch runs of the process, or the epochs of one stream, use together; or NULL */
    struct mr_shared *common;
    void (*event)(struct mr_runtime *runtime, enum mr_log_level level, const char *message);
    void *event_context;
};

/* Of one task, one thread. */
struct mr_state_pool {
    int64_t limit;
    int64_t used;
};

/*
 * May the state hold `bytes`, which it does now? Its own share always, and beyond it what the other
 * states of its task leave of theirs: a task is one thread, so that is the same in every run. A state
 * that was told yes may be told no later, when another has grown.
 */
static inline bool mr_state_fits(struct mr_runtime *runtime, int64_t bytes)
{
    struct mr_state_pool *pool = runtime->pool;
    if (pool == NULL)
        return bytes <= runtime->share;
    pool->used += bytes - runtime->pooled;
    runtime->pooled = bytes;
    return bytes <= runtime->share || pool->used <= pool->limit;
}

/* Of rows as such. Bytes and requests are those of every reading. */
static inline bool mr_counts_rows(enum mr_counter counter)
{
    return counter == MR_COUNT_ROWS_READ || counter == MR_COUNT_ROWS_REJECTED;
}

static inline void mr_count(struct mr_runtime *runtime, enum mr_counter counter, int64_t amount)
{
    if (!runtime->counters || (runtime->again && mr_counts_rows(counter)))
        return;
    atomic_fetch_add_explicit(&runtime->counters->value[counter], amount, memory_order_relaxed);
    if (runtime->tally)
        atomic_fetch_add_explicit(&runtime->tally->counters.value[counter], amount,
                                  memory_order_relaxed);
}
/* A piece is done: a file is published, rows that a stream keeps are read. Not what is tried again and again. Any thread. */
static inline void mr_progressed(const struct mr_runtime *runtime)
{
    if (runtime->pieces)
        atomic_fetch_add_explicit(runtime->pieces, 1, memory_order_relaxed);
}

void mr_count_peak(struct mr_runtime *runtime, enum mr_counter counter, int64_t value);
const char *mr_counter_name(enum mr_counter counter);
/* A note for the log and the report: a retry, a fallback. Never contains secrets. */
void mr_event(struct mr_runtime *runtime, enum mr_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * What targets keep of a run's identity beside its epoch: never 0 (which stands for "not kept") nor more than INT64_MAX. Two copies of
 * a state count the same epochs under the same UUID, and only this tells what one has committed from what the other has. NULL, "": 0.
 */
uint64_t mr_run_mark(const char *run_id);

/*
 * A stream that is to end: the epoch at hand is finished if it gets on. Who waits for what may not come (a broker that is away) gives up soon,
 * with the error of a time-out.
 */
bool mr_is_draining(const struct mr_runtime *runtime);

/* The user's `retry`, else `own`: what the protocol at hand is used to. */
const struct mr_retry *mr_retry_policy(const struct mr_runtime *runtime,
                                       const struct mr_retry *own);
/*
 * Notes in the counters, the report and the log that attempt number `attempt` (from 1) of `unit` failed
 * and that another follows after `delay_micros`. The step is that of the account.
 */
void mr_retry_note(struct mr_runtime *runtime, const char *unit, int attempt, int64_t delay_micros,
                   const struct mr_error *cause);
/* The same with the policy's pause, and pauses. A stream that is to end tries nothing again: the failure is returned. */
enum mr_status mr_retry_wait(struct mr_runtime *runtime, const struct mr_retry *retry,
                             const char *unit, int attempt, const struct mr_error *cause,
                             struct mr_error *err);

/*
 * Things shared by the steps of one run: the exported snapshot and the connection pool of a server,
 * an HTTP pool. `make` runs at most once per key (again after a failure), while nobody else is in
 * it; others wait through runtime->waiter, booked to MR_WAIT_SOURCE. `destroy` (may be NULL) is
 * called when the run ends, in reverse order of making.
 */
struct mr_shared;
struct mr_shared *mr_shared_new(void);
void mr_shared_free(struct mr_shared *shared);
enum mr_status
mr_shared_get(struct mr_runtime *runtime, const char *key,
              enum mr_status (*make)(void *context, void **out, struct mr_error *err),
              void *context, void (*destroy)(void *object), void **out, struct mr_error *err);

#endif

/*
 * exec.h - runs a plan: the only place with mutable run state.
 *
 * An engine is a pool of threads with CPU permits, one cancel flag, one error slot and the waiting
 * function. Threads = open readers + output tasks; permits = cores. mr_exec_run stages everything
 * and commits nothing: the caller (run/) does.
 */
#ifndef MR_EXEC_EXEC_H
#define MR_EXEC_EXEC_H

#include "col/content.h"
#include "plan/plan.h"

struct mr_engine;
struct mr_permits;

/* CPU permits for the engines of several runs in one process; freed after them. */
enum mr_status mr_permits_new(int count, struct mr_permits **out, struct mr_error *err);
void mr_permits_free(struct mr_permits *permits);

struct mr_engine_options {
    int permits;               /* CPU permits */
    struct mr_permits *common; /* a thread needs one of these as well; NULL = it does not */
    int64_t run_deadline;      /* monotonic micros, INT64_MAX = none */
    int64_t patience;          /* micros that mr_engine_patient goes on after a cancel; 0 = 6 s */
    int64_t queue_bytes;       /* tests: bound of a split's queue, 0 = as planned */
};

enum mr_status mr_engine_new(const struct mr_engine_options *options, struct mr_engine **out,
                             struct mr_error *err);
void mr_engine_free(struct mr_engine *engine);
/* Before a run, and while nobody waits. */
void mr_engine_set_deadline(struct mr_engine *engine, int64_t run_deadline);
/*
 * Any thread, also a signal handler: async-signal-safe. The run ends with MR_CANCELLED within
 * seconds.
 */
void mr_engine_cancel(struct mr_engine *engine);
/* The same, and what waits patiently (mr_engine_patient) has a second left. */
void mr_engine_hurry(struct mr_engine *engine);
bool mr_engine_cancelled(const struct mr_engine *engine);
/* A waiter for planning and committing on the caller's thread: cancellable, no permit. */
struct mr_waiter *mr_engine_waiter(struct mr_engine *engine);

/*
 * A waiter for committing: goes on after a cancel, but not for longer than the engine's patience. Any
 * thread.
 */
struct mr_waiter *mr_engine_patient(struct mr_engine *engine);

/* What one step did; times in microseconds over all tasks. */
struct mr_exec_step {
    int node;
    int64_t working; /* wall time inside its callbacks, waits taken out */
    int64_t cpu;     /* thread CPU time inside its callbacks */
    int64_t waiting[MR_WAIT_CAUSES];
    int64_t rows_in;
    int64_t rows_out;
    int64_t batches;
};

struct mr_exec_split {
    int segment;
    int split; /* index in the segment's list */
    bool kept; /* an earlier run has read it */
    int64_t rows;
    int64_t bytes;
    int64_t micros;
};

/* Progress, read at any time while running (atomics). */
struct mr_exec_progress {
    int64_t rows_read;
    int64_t rows_written;
    int64_t bytes_read;
    int64_t bytes_written;
    int64_t rows_expected; /* -1 = unknown */
    int splits_done;
    int splits;
};

struct mr_exec_result {
    int nsinks;
    /*
     * Per sink sequence: the committables of its tasks and their parts, in their order. Heap, freed by
     * mr_exec_result_reset.
     */
    struct {
        struct mr_slice *items;
        struct mr_content **contents; /* what each of them holds; NULL where it was not counted */
        int count;
    } * sinks;
    int nsteps;
    struct mr_exec_step *steps; /* per node */
    int nsplits;
    struct mr_exec_split *splits;
};

/* How the tasks of a segment are sealed. */
enum mr_sealing {
    MR_SEAL_NONE,  /* at their end, and nobody is told */
    MR_SEAL_TASKS, /* at their end */
    MR_SEAL_PARTS, /* also where a split ends and enough was written: files end there */
};

/* Splits of one task that were read, written and sealed: durable, not visible. */
struct mr_exec_part {
    int segment;
    int first_split; /* of the segment's list */
    int end_split;
    int64_t rows;                        /* read */
    int64_t bytes;                       /* of the batches written */
    const struct mr_slice *committables; /* by sink sequence; data NULL = none */
    const struct mr_slice *contents;     /* of each, mr_content_encode; data NULL = not counted */
    struct mr_tally *tallies;            /* by node */
};

struct mr_exec_resume {
    const enum mr_sealing *sealing; /* by segment of the plan; not NONE: no builds, no breakers */
    int64_t part_bytes;             /* PARTS: of the batches of a part; 0 = as the sinks say */
    /* Whole parts of tasks, disjoint: their splits are not read, their committables are in the result. */
    const struct mr_exec_part *kept;
    int nkept;
    /* Any thread. The part is valid during the call. */
    enum mr_status (*sealed)(void *context, const struct mr_exec_part *part, struct mr_error *err);
    void *context;
};

struct mr_exec_request {
    struct mr_plan *plan;
    struct mr_epoch epoch; /* lane 0 and the number of this run's epoch */
    /*
     * Preview, Arrow stream, bench hashing: receives every batch that leaves `tap_node` by port 0
     * (that reaches it, if it is a sink), compacted. Calls are serialised, may block, and run
     * without a CPU permit. `*enough` ends all reading.
     */
    int tap_node; /* -1 = none */
    enum mr_status (*tap)(void *context, struct mr_batch *batch, bool *enough,
                          struct mr_error *err);
    void *tap_context;
    /* By sink sequence: what is counted of its rows, NULL = nothing; or NULL. */
    const struct mr_content_spec *const *contents;
    /*
     * Optional: the state of a breaker with `durable` is settled, and nothing has read it yet. On the
     * calling thread.
     */
    enum mr_status (*built)(void *context, int node, void *state, struct mr_error *err);
    void *built_context;
    /* Foreign scheduler: only this output task of this segment; -1 = all. */
    int only_segment;
    int only_task;
    const struct mr_exec_resume *resume; /* NULL: no sealing in parts, nothing is kept */
};

/*
 * Blocks until all tasks ended. On failure the error of the first task that failed, its step in
 * err->where. Whether validations let the run pass is the caller's to judge, from op_info.counts.
 * Also on failure `result` says what was done; reset it always.
 */
enum mr_status mr_exec_run(struct mr_engine *engine, const struct mr_exec_request *request,
                           struct mr_exec_result *result, struct mr_error *err);
void mr_exec_result_reset(struct mr_exec_result *result);
void mr_exec_progress(struct mr_engine *engine, struct mr_exec_progress *out);

#endif

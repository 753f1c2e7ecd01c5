/*
 * run.h - the state of one mr_exec_run. Private to exec/.
 */
#ifndef MR_EXEC_RUN_H
#define MR_EXEC_RUN_H

#include "exec/funnel.h"
#include "exec/push.h"

struct mr_run;

/* Where a state is on its way. All steps but SETTLE are taken by the coordinating thread. */
enum mr_build_phase {
    MR_BUILD_FILL,
    MR_BUILD_COMBINE, /* a thread combines, and asks into how many pieces settling falls */
    MR_BUILD_SETTLE,  /* threads settle the pieces */
    MR_BUILD_READY,
    MR_BUILD_CLOSED, /* everyone who needs it has ended */
};

/* The state that one task has filled. */
struct mr_run_state {
    void *state;
    struct mr_runtime *runtime; /* that it was opened with */
};

/* A breaker or build side: a state per task that filled it, then one. */
struct mr_run_build {
    struct mr_run *run;
    int node;
    enum mr_build_phase phase;
    int nstates;
    struct mr_run_state *states; /* by task number in the run; NULL = none */
    struct mr_run_state built;   /* combined */
    int pieces;                  /* COMBINE makes it, SETTLE reads it */
    atomic_int next_piece;
    atomic_int unfinished; /* threads */
    int nsettlers;
    struct mr_settler *settlers;
};

/* A thread that combines or settles. */
struct mr_settler {
    struct mr_thread thread;
    struct mr_run_build *build;
    struct mr_clock clock;
    struct mr_task_waiter waiter;
    struct mr_runtime runtime;
};

/* What a task is at: the splits that its open writers hold. Numbers are of the segment's list. */
struct mr_run_part {
    int first;
    int end;   /* as far as is known; what was sealed last ended there */
    int limit; /* a kept part begins there, or the task ends */
    bool begun;
    bool enough;              /* it shall end */
    int64_t bytes;            /* of batches written */
    struct mr_tally *tallies; /* by node; NULL = nobody asks */
};

/* A segment while it runs. */
struct mr_run_segment {
    struct mr_run *run;
    const struct mr_plan_segment *plan;
    int index;
    int first_task; /* of those to be run: [first_task, end_task) */
    int end_task;
    bool quiet_sinks; /* run only for its build sides: nothing is written */
    bool started;
    bool done;
    atomic_int next_task;      /* FUSED */
    atomic_int unfinished;     /* workers that have not ended */
    struct mr_funnel *funnels; /* one per task, or NULL */
    int nfunnels;
    struct mr_run_part *parts; /* one per task to be run; the task's thread's (part.c) */
    int split_base;            /* of its rows in the result */
    int nworkers;
    struct mr_worker *workers;
};

struct mr_run {
    struct mr_engine *engine;
    const struct mr_exec_request *request;
    const struct mr_plan *plan;
    struct mr_stop stop;   /* a task failed, or the user cancelled */
    struct mr_stop notify; /* a worker has ended: for the thread that coordinates */
    struct mr_stop enough; /* the tap wants no more */
    struct mr_exec_result *result;
    struct mr_arena arena; /* the coordinating thread's */
    int64_t budget;        /* bytes that the account could still take at the start */
    int active_writers;    /* tasks that write at once, at most */
    pthread_mutex_t lock;
    bool failed;           /* lock */
    struct mr_error first; /* lock */
    pthread_mutex_t tap_lock;
    bool *chosen; /* of the plan's segments: which run */
    int nsegments;
    struct mr_run_segment *segments;
    int nbuilds;
    struct mr_run_build *builds;
};

/* One thread: a reader of one funnel, its output task, or everything of a FUSED segment's tasks. */
struct mr_worker {
    struct mr_thread thread;
    struct mr_run_segment *segment;
    struct mr_funnel *funnel; /* NULL: FUSED */
    bool reader;
    int task; /* with a funnel: number in the segment */
    struct mr_clock clock;
    struct mr_task_waiter waiter;
    struct mr_push_hooks hooks;
    bool waited; /* in vain for memory, which is still short */
    /* of the task at hand */
    int split; /* READER: number in the funnel */
    struct mr_run_part *part;
    struct mr_writer_slot *writers; /* one per sink sequence */
};

struct mr_writer_slot {
    void *writer;
    struct mr_runtime runtime;  /* lives as long as the writer */
    struct mr_content *content; /* of what was written, when that is counted */
    bool open;
};

/* Any thread. Secondary cancellations are not noted. */
void mr_run_fail(struct mr_run *run, enum mr_status status, const struct mr_error *err);
void mr_run_wake(struct mr_run *run);
bool mr_run_stopped(const struct mr_run *run);

/* worker.c */
enum mr_status mr_run_start_segment(struct mr_run_segment *segment, struct mr_error *err);
/* Joins its threads and adds their times to the result. */
void mr_run_end_segment(struct mr_run_segment *segment);
/* read.c: one split through the graph; stops early when nobody wants more. */
enum mr_status mr_read_split(struct mr_worker *worker, struct mr_push_graph *graph, int split,
                             struct mr_error *err);
/* write.c */
enum mr_status mr_write_batch(void *worker, struct mr_push_node *sink, struct mr_batch *batch,
                              struct mr_error *err);
enum mr_status mr_write_finish(struct mr_worker *worker, struct mr_error *err);
void mr_write_close(struct mr_worker *worker);
/* Makes room when the budget is nearly used up: writers flush, then others get time to. */
enum mr_status mr_write_relieve(struct mr_worker *worker, struct mr_error *err);
/* part.c */
enum mr_status mr_parts_init(struct mr_run_segment *segment, struct mr_error *err);
void mr_parts_free(struct mr_run_segment *segment);
/* Puts what earlier runs have sealed into the result. */
enum mr_status mr_parts_keep(struct mr_run *run, struct mr_error *err);
/* Are parts of this segment's tasks told of? */
bool mr_part_is_on(const struct mr_run_segment *segment);
/* The next part of the worker's task; false when nothing of it is left. */
bool mr_part_begin(struct mr_worker *worker);
/* A reader takes part in what its task is at. */
void mr_part_join(struct mr_worker *reader);
/* The number of the part's writers in the run. */
int mr_part_number(const struct mr_worker *worker);
/* Does it begin the segment? */
bool mr_part_is_first(const struct mr_worker *worker);
/* Its index in the result's committables. */
int mr_part_place(const struct mr_worker *worker);
/* Shall it end at the next end of a split? */
bool mr_part_is_enough(struct mr_worker *worker);
/* Behind mr_write_finish. */
enum mr_status mr_part_sealed(struct mr_worker *worker, struct mr_error *err);
/* builds.c */
enum mr_status mr_builds_init(struct mr_run *run, struct mr_error *err);
void mr_builds_keep(struct mr_run *run, struct mr_push_graph *graph, int task);
/*
 * Coordinating thread, after anything has ended: starts combining what is filled and settling what
 * is combined, closes what nobody needs any more.
 */
void mr_builds_advance(struct mr_run *run);
/* Does a thread combine or settle? */
bool mr_builds_busy(const struct mr_run *run);
const void *mr_builds_get(void *worker, int node);
const void *mr_builds_state(const struct mr_run *run, int node);
bool mr_builds_ready(const struct mr_run *run, const struct mr_plan_segment *segment);
void mr_builds_free(struct mr_run *run);
/*
 * budget.c: shares of the states that a segment fills and reads, from what is free; where segments run in turn, before one
 * starts. And what rows that wait to be read may hold.
 */
void mr_budget_share(struct mr_run *run, const struct mr_plan_segment *segment);
int64_t mr_budget_rest(const struct mr_run *run);
/* narrow.c: before a segment starts. */
enum mr_status mr_narrow_sources(struct mr_run *run, const struct mr_plan_segment *segment,
                                 struct mr_error *err);
/* Adds the times of a thread to the result. */
void mr_run_add_times(struct mr_run *run, const struct mr_clock *clock);

#endif

/*
 * engine.h - the inside of an engine: permits, cancel, the waiter of a task. Private to exec/.
 */
#ifndef MR_EXEC_ENGINE_H
#define MR_EXEC_ENGINE_H

#include "base/thread.h"
#include "exec/exec.h"

/* CPU permits, given out in the order of asking. */
struct mr_permit_request {
    struct mr_permit_request *next;
    bool granted;
    pthread_cond_t cond;
};

struct mr_permits {
    pthread_mutex_t lock;
    int free;                                /* lock */
    struct mr_permit_request *first, **last; /* lock: who waits */
    atomic_int waiting;
};

void mr_permits_init(struct mr_permits *permits, int count);
void mr_permits_reset(struct mr_permits *permits);
void mr_permits_take(struct mr_permits *permits);
void mr_permits_give(struct mr_permits *permits);

/* A flag that can be polled: set once, never cleared. */
struct mr_stop {
    atomic_bool set;
    int fd; /* eventfd, readable once set */
};
enum mr_status mr_stop_init(struct mr_stop *stop, struct mr_error *err);
void mr_stop_reset(struct mr_stop *stop);
/* Async-signal-safe. */
void mr_stop_set(struct mr_stop *stop);

/*
 * Where the time of one thread goes: always to exactly one node, or to a waiting cause of it.
 * Moving to another node charges the time since the last move, so that nested pushes need no
 * subtraction.
 */
struct mr_clock {
    struct mr_exec_step *steps; /* one per plan node, this thread's own */
    int node;
    int64_t wall; /* monotonic micros at the last move */
    int64_t cpu;  /* thread CPU nanos */
    int64_t cpu_rest;
    int64_t step_limit; /* timeouts.step: micros that a node may take on this thread; 0 = any */
    int overdue;        /* the node that took longer, + 1; 0 = none */
};
/* Returns the node that was current. */
int mr_clock_move(struct mr_clock *clock, int node);
/* Books the time since the last move to a cause instead. */
void mr_clock_waited(struct mr_clock *clock, enum mr_wait_cause cause);

/* The waiter of one thread of a run. */
struct mr_task_waiter {
    struct mr_waiter base; /* first */
    struct mr_engine *engine;
    struct mr_stop *run_stop; /* another task failed; NULL for the caller's waiter */
    struct mr_stop *quiet;    /* nobody wants more of what this thread makes; or NULL */
    struct mr_clock *clock;   /* or NULL */
    bool permit;              /* holds one */
    int64_t permit_since;
};
void mr_task_waiter_init(struct mr_task_waiter *waiter, struct mr_engine *engine,
                         struct mr_stop *run_stop, struct mr_clock *clock);
/* The permit of this thread; taking books the wait to MR_WAIT_CPU. */
void mr_task_acquire(struct mr_task_waiter *waiter);
void mr_task_release(struct mr_task_waiter *waiter);
/* Lets others have a turn if they wait and this thread has run for long. Between two batches. */
void mr_task_yield(struct mr_task_waiter *waiter);
/*
 * Between two batches: may this thread go on? MR_CANCELLED, or MR_LIMIT where the run or a step took
 * longer than its time-out: also who never waits learns of it here.
 */
enum mr_status mr_task_check(struct mr_task_waiter *waiter, struct mr_error *err);
/* Blocks on a condition variable without the permit; the caller holds `lock`. */
void mr_task_wait_cond(struct mr_task_waiter *waiter, pthread_cond_t *cond, pthread_mutex_t *lock,
                       enum mr_wait_cause cause);

/* Heeds a cancel late. Has no state of its own, so that several threads may use it. */
struct mr_patient_waiter {
    struct mr_waiter base; /* first */
    struct mr_engine *engine;
};
void mr_patient_waiter_init(struct mr_patient_waiter *waiter, struct mr_engine *engine);

struct mr_engine {
    struct mr_permits permits;
    struct mr_permits *common; /* of several engines, or NULL */
    struct mr_stop cancel;
    int64_t run_deadline;
    int64_t queue_bytes;
    int64_t patience;
    atomic_int_fast64_t patience_ends; /* monotonic micros, INT64_MAX = not cancelled */
    struct mr_task_waiter caller;
    struct mr_patient_waiter patient;
    atomic_int_fast64_t rows_read;
    atomic_int_fast64_t rows_written;
    atomic_int splits_done;
    atomic_int splits;
    pthread_mutex_t lock;
    const struct mr_plan *plan; /* lock: of the run at hand, for its counters */
    int64_t bytes_read;         /* lock: as the last run left them */
    int64_t bytes_written;
    int64_t rows_expected;
};

#endif

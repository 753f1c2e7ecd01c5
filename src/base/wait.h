/*
 * wait.h - the one way to block.
 *
 * A task that must wait (socket, queue, timer, memory) calls mr_wait with the waiter that it was
 * given: exec/ gives the task's CPU permit back meanwhile, wakes on cancel, enforces the deadline
 * and books the time to the cause. A simple waiter without permits (tests, offline tools) is
 * mr_waiter_plain.
 */
#ifndef MR_BASE_WAIT_H
#define MR_BASE_WAIT_H

#include "base/error.h"

#include <stdint.h>

enum mr_wait_cause {
    MR_WAIT_SOURCE, /* for data or an answer of the source */
    MR_WAIT_SINK,   /* for the target to take data */
    MR_WAIT_QUEUE,  /* for another task of the run */
    MR_WAIT_MEMORY, /* for budget */
    MR_WAIT_CPU,    /* for a permit */
    MR_WAIT_RETRY,  /* back-off */
    MR_WAIT_LIMIT,  /* for a limit that the user set: rows per second of a source */
    MR_WAIT_CAUSES
};

enum { MR_WAIT_READ = 1, MR_WAIT_WRITE = 2 };

struct mr_waiter {
    /*
     * fd -1: only the deadline. Returns MR_OK when ready or when the deadline passed (*timed_out),
     * else MR_CANCELLED.
     */
    enum mr_status (*wait)(struct mr_waiter *waiter, int fd, int events, int64_t deadline_micros,
                           enum mr_wait_cause cause, bool *timed_out, struct mr_error *err);
    /* True once the run was told to stop. */
    bool (*cancelled)(struct mr_waiter *waiter);
};

/* deadline on the monotonic clock, INT64_MAX = none. */
enum mr_status mr_wait(struct mr_waiter *waiter, int fd, int events, int64_t deadline_micros,
                       enum mr_wait_cause cause, bool *timed_out, struct mr_error *err);
bool mr_wait_cancelled(struct mr_waiter *waiter);
/* poll() on the calling thread, never cancelled. */
struct mr_waiter mr_waiter_plain(void);
const char *mr_wait_cause_name(enum mr_wait_cause cause);

#endif

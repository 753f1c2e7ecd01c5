/*
 * wait.c - the calls behind mr_wait, and the waiter that simply polls.
 *
 * A source or sink never polls itself: it calls mr_wait with the waiter of its task, and exec/
 * decides what happens meanwhile. The plain waiter is for tests and tools that have no permits to
 * give back.
 */
#include "base/wait.h"

#include "base/time.h"

#include <errno.h>
#include <poll.h>

enum mr_status mr_wait(struct mr_waiter *waiter, int fd, int events, int64_t deadline_micros,
                       enum mr_wait_cause cause, bool *timed_out, struct mr_error *err)
{
    bool ignored;
    return waiter->wait(waiter, fd, events, deadline_micros, cause,
                        timed_out ? timed_out : &ignored, err);
}

bool mr_wait_cancelled(struct mr_waiter *waiter)
{
    return waiter->cancelled(waiter);
}

/* Milliseconds until the deadline for poll(): rounded up, so that it never spins; -1 = for ever. */
static int poll_timeout(int64_t deadline_micros)
{
    if (deadline_micros == INT64_MAX)
        return -1;
    int64_t left = deadline_micros - mr_clock_monotonic_micros();
    if (left <= 0)
        return 0;
    int64_t millis = left / 1000 + 1;
    return millis > 3600000 ? 3600000 : (int)millis;
}

static enum mr_status plain_wait(struct mr_waiter *waiter, int fd, int events,
                                 int64_t deadline_micros, enum mr_wait_cause cause, bool *timed_out,
                                 struct mr_error *err)
{
    (void)waiter;
    (void)cause;
    struct pollfd poll_fd = {.fd = fd};
    if (events & MR_WAIT_READ)
        poll_fd.events |= POLLIN;
    if (events & MR_WAIT_WRITE)
        poll_fd.events |= POLLOUT;
    *timed_out = false;
    for (;;) {
        int rc = poll(&poll_fd, fd < 0 ? 0 : 1, poll_timeout(deadline_micros));
        if (rc > 0)
            return MR_OK;
        if (rc < 0 && errno != EINTR)
            return mr_error_errno(err, MR_INTERNAL, errno, "poll");
        if (deadline_micros != INT64_MAX && mr_clock_monotonic_micros() >= deadline_micros) {
            *timed_out = true;
            return MR_OK;
        }
    }
}

static bool plain_cancelled(struct mr_waiter *waiter)
{
    (void)waiter;
    return false;
}

struct mr_waiter mr_waiter_plain(void)
{
    return (struct mr_waiter){.wait = plain_wait, .cancelled = plain_cancelled};
}

const char *mr_wait_cause_name(enum mr_wait_cause cause)
{
    static const char *const names[] = {"source", "sink",  "queue", "memory",
                                        "cpu",    "retry", "limit"};
    return (unsigned)cause < MR_WAIT_CAUSES ? names[cause] : "unknown";
}

/*
 * waiter.c - the waiting function of a task, and the clock that knows where its time goes.
 *
 * A thread that must wait polls its descriptor together with three eventfds (the user's cancel, the
 * run's stop, enough), having given its CPU permit back. If the descriptor is ready at once nothing
 * is given back: a socket with data costs one poll. The time is booked to the cause, that for
 * getting a permit again to MR_WAIT_CPU.
 */
#include "exec/engine.h"

#include "base/time.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A thread that has computed for longer than this lets others have a turn. */
#define TURN_MICROS 20000

enum mr_status mr_stop_init(struct mr_stop *stop, struct mr_error *err)
{
    atomic_init(&stop->set, false);
    stop->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stop->fd < 0)
        return mr_error_errno(err, MR_LIMIT, errno, "eventfd");
    return MR_OK;
}

void mr_stop_reset(struct mr_stop *stop)
{
    if (stop->fd >= 0)
        close(stop->fd);
    stop->fd = -1;
}

void mr_stop_set(struct mr_stop *stop)
{
    int saved = errno;
    atomic_store(&stop->set, true);
    uint64_t one = 1;
    ssize_t written = write(stop->fd, &one, sizeof one);
    (void)written; /* can only fail when it is readable already */
    errno = saved;
}

static void charge(struct mr_clock *clock, int64_t *wall, int64_t *cpu)
{
    int64_t now = mr_clock_monotonic_micros();
    int64_t cpu_now = mr_clock_thread_cpu_nanos();
    *wall = now - clock->wall;
    int64_t nanos = cpu_now - clock->cpu + clock->cpu_rest;
    *cpu = nanos / 1000;
    clock->cpu_rest = nanos % 1000;
    clock->wall = now;
    clock->cpu = cpu_now;
}

/*
 * What a step takes on one thread: its work, and waiting for its own server or disk. Waiting for
 * others (queues, memory, cores) or for a limit that the user set is not held against it.
 */
static int64_t own_time(const struct mr_exec_step *step)
{
    return step->working + step->waiting[MR_WAIT_SOURCE] + step->waiting[MR_WAIT_SINK] +
           step->waiting[MR_WAIT_RETRY];
}

static bool is_own(enum mr_wait_cause cause)
{
    return cause == MR_WAIT_SOURCE || cause == MR_WAIT_SINK || cause == MR_WAIT_RETRY;
}

static void note_overdue(struct mr_clock *clock, int node)
{
    if (clock->step_limit > 0 && clock->overdue == 0 &&
        own_time(&clock->steps[node]) >= clock->step_limit)
        clock->overdue = node + 1;
}

int mr_clock_move(struct mr_clock *clock, int node)
{
    int before = clock->node;
    int64_t wall, cpu;
    charge(clock, &wall, &cpu);
    if (before >= 0) {
        clock->steps[before].working += wall;
        clock->steps[before].cpu += cpu;
        note_overdue(clock, before);
    }
    clock->node = node;
    return before;
}

void mr_clock_waited(struct mr_clock *clock, enum mr_wait_cause cause)
{
    int64_t wall, cpu;
    charge(clock, &wall, &cpu);
    if (clock->node >= 0) {
        clock->steps[clock->node].waiting[cause] += wall;
        clock->steps[clock->node].cpu += cpu;
        note_overdue(clock, clock->node);
    }
}

void mr_task_acquire(struct mr_task_waiter *waiter)
{
    if (waiter->run_stop == NULL || waiter->permit)
        return;
    if (waiter->clock != NULL)
        mr_clock_move(waiter->clock, waiter->clock->node);
    mr_permits_take(&waiter->engine->permits);
    if (waiter->engine->common != NULL)
        mr_permits_take(waiter->engine->common);
    waiter->permit = true;
    waiter->permit_since = mr_clock_monotonic_micros();
    if (waiter->clock != NULL)
        mr_clock_waited(waiter->clock, MR_WAIT_CPU);
}

void mr_task_release(struct mr_task_waiter *waiter)
{
    if (!waiter->permit)
        return;
    waiter->permit = false;
    if (waiter->engine->common != NULL)
        mr_permits_give(waiter->engine->common);
    mr_permits_give(&waiter->engine->permits);
}

static bool wanted(const struct mr_permits *permits)
{
    return permits != NULL && atomic_load_explicit(&permits->waiting, memory_order_relaxed) > 0;
}

void mr_task_yield(struct mr_task_waiter *waiter)
{
    if (!waiter->permit || (!wanted(&waiter->engine->permits) && !wanted(waiter->engine->common)) ||
        mr_clock_monotonic_micros() - waiter->permit_since < TURN_MICROS)
        return;
    mr_task_release(waiter);
    mr_task_acquire(waiter);
}

static bool stopped(struct mr_waiter *base)
{
    struct mr_task_waiter *waiter = (struct mr_task_waiter *)base;
    return atomic_load_explicit(&waiter->engine->cancel.set, memory_order_relaxed) ||
           (waiter->run_stop != NULL &&
            atomic_load_explicit(&waiter->run_stop->set, memory_order_relaxed)) ||
           (waiter->quiet != NULL &&
            atomic_load_explicit(&waiter->quiet->set, memory_order_relaxed));
}

void mr_task_wait_cond(struct mr_task_waiter *waiter, pthread_cond_t *cond, pthread_mutex_t *lock,
                       enum mr_wait_cause cause)
{
    bool permit = waiter->permit;
    if (waiter->clock != NULL)
        mr_clock_move(waiter->clock, waiter->clock->node);
    mr_task_release(waiter);
    mr_cond_wait(cond, lock, INT64_MAX);
    if (waiter->clock != NULL)
        mr_clock_waited(waiter->clock, cause);
    if (!permit)
        return;
    /* Never ask for a permit with the lock held: its holder may need the lock to get on. */
    pthread_mutex_unlock(lock);
    mr_task_acquire(waiter);
    pthread_mutex_lock(lock);
}

static int timeout_millis(int64_t deadline)
{
    if (deadline == INT64_MAX)
        return -1;
    int64_t left = deadline - mr_clock_monotonic_micros();
    if (left <= 0)
        return 0;
    return left > INT64_C(3600000000) ? 3600000 : (int)(left / 1000 + 1);
}

/* Polls until the descriptor is ready, a stop is set, or the deadline has passed. */
static enum mr_status poll_all(struct mr_task_waiter *waiter, struct pollfd *fds, int64_t deadline,
                               bool *timed_out, struct mr_error *err)
{
    for (;;) {
        int rc = poll(fds, 4, timeout_millis(deadline));
        if (stopped(&waiter->base))
            return mr_error_cancelled(err);
        if (rc > 0 && fds[0].revents != 0)
            return MR_OK;
        if (rc < 0 && errno != EINTR && errno != EAGAIN)
            return mr_error_errno(err, MR_INTERNAL, errno, "poll");
        if (deadline != INT64_MAX && mr_clock_monotonic_micros() >= deadline) {
            *timed_out = true;
            return MR_OK;
        }
    }
}

static enum mr_status run_overdue(struct mr_error *err)
{
    mr_error_set(err, MR_LIMIT, MR_CLASS_CONFIG, "the run took longer than timeouts.run");
    mr_error_hint(err, "nothing of it was loaded: run again, or raise timeouts.run");
    return MR_LIMIT;
}

static enum mr_status step_overdue(const struct mr_task_waiter *waiter, struct mr_error *err)
{
    const struct mr_plan_node *node = &waiter->engine->plan->nodes[waiter->clock->overdue - 1];
    char most[32];
    mr_duration_format(waiter->clock->step_limit, most, sizeof most);
    mr_error_set(err, MR_LIMIT, MR_CLASS_CONFIG, "%s took longer than timeouts.step (%s)",
                 node->label, most);
    mr_error_where(err, "%s", node->label);
    mr_error_hint(err, "nothing of the run was loaded: run again, or raise timeouts.step");
    return MR_LIMIT;
}

enum mr_status mr_task_check(struct mr_task_waiter *waiter, struct mr_error *err)
{
    if (stopped(&waiter->base))
        return mr_error_cancelled(err);
    if (waiter->clock != NULL && waiter->clock->overdue > 0)
        return step_overdue(waiter, err);
    if (waiter->engine->run_deadline != INT64_MAX &&
        mr_clock_monotonic_micros() >= waiter->engine->run_deadline)
        return run_overdue(err);
    return MR_OK;
}

/* When the step at hand has had its time, if this cause counts. The clock was just moved. */
static int64_t step_deadline(const struct mr_task_waiter *waiter, enum mr_wait_cause cause)
{
    const struct mr_clock *clock = waiter->clock;
    if (clock == NULL || clock->step_limit <= 0 || clock->node < 0 || !is_own(cause))
        return INT64_MAX;
    int64_t left = clock->step_limit - own_time(&clock->steps[clock->node]);
    return clock->wall + (left > 0 ? left : 0);
}

static enum mr_status wait_fd(struct mr_waiter *base, int fd, int events, int64_t deadline,
                              enum mr_wait_cause cause, bool *timed_out, struct mr_error *err)
{
    struct mr_task_waiter *waiter = (struct mr_task_waiter *)base;
    *timed_out = false;
    if (stopped(base))
        return mr_error_cancelled(err);
    short wanted =
        (short)((events & MR_WAIT_READ ? POLLIN : 0) | (events & MR_WAIT_WRITE ? POLLOUT : 0));
    struct pollfd fds[4] = {
        {.fd = fd, .events = wanted}, /* poll ignores a negative one */
        {.fd = waiter->engine->cancel.fd, .events = POLLIN},
        {.fd = waiter->run_stop != NULL ? waiter->run_stop->fd : -1, .events = POLLIN},
        {.fd = waiter->quiet != NULL ? waiter->quiet->fd : -1, .events = POLLIN},
    };
    if (fd >= 0 && poll(fds, 1, 0) > 0 && fds[0].revents != 0)
        return MR_OK;
    bool permit = waiter->permit;
    if (waiter->clock != NULL)
        mr_clock_move(waiter->clock, waiter->clock->node);
    int64_t step = step_deadline(waiter, cause);
    if (waiter->engine->run_deadline < deadline)
        deadline = waiter->engine->run_deadline;
    if (step < deadline)
        deadline = step;
    mr_task_release(waiter);
    enum mr_status status = poll_all(waiter, fds, deadline, timed_out, err);
    if (waiter->clock != NULL)
        mr_clock_waited(waiter->clock, cause);
    if (permit)
        mr_task_acquire(waiter);
    if (status == MR_OK && *timed_out && step == deadline && waiter->clock->overdue > 0)
        return step_overdue(waiter, err);
    if (status == MR_OK && *timed_out &&
        mr_clock_monotonic_micros() >= waiter->engine->run_deadline)
        return run_overdue(err);
    return status;
}

void mr_task_waiter_init(struct mr_task_waiter *waiter, struct mr_engine *engine,
                         struct mr_stop *run_stop, struct mr_clock *clock)
{
    *waiter = (struct mr_task_waiter){
        .base = {.wait = wait_fd, .cancelled = stopped},
        .engine = engine,
        .run_stop = run_stop,
        .clock = clock,
    };
}

static int64_t patience_ends(const struct mr_engine *engine)
{
    return atomic_load(&engine->patience_ends);
}

static bool patience_ended(struct mr_waiter *base)
{
    const struct mr_engine *engine = ((struct mr_patient_waiter *)base)->engine;
    return mr_clock_monotonic_micros() >= patience_ends(engine);
}

static enum mr_status wait_patiently(struct mr_waiter *base, int fd, int events, int64_t deadline,
                                     enum mr_wait_cause cause, bool *timed_out,
                                     struct mr_error *err)
{
    const struct mr_engine *engine = ((struct mr_patient_waiter *)base)->engine;
    short wanted =
        (short)((events & MR_WAIT_READ ? POLLIN : 0) | (events & MR_WAIT_WRITE ? POLLOUT : 0));
    struct pollfd fds[2] = {{.fd = fd, .events = wanted}, {.events = POLLIN}};
    (void)cause;
    *timed_out = false;
    for (;;) {
        int64_t last = patience_ends(engine);
        if (patience_ended(base))
            return mr_error_cancelled(err);
        /* A cancel wakes once, so that its deadline counts from then on. */
        fds[1].fd = last == INT64_MAX ? engine->cancel.fd : -1;
        int rc = poll(fds, 2, timeout_millis(last < deadline ? last : deadline));
        if (rc > 0 && fds[0].revents != 0)
            return MR_OK;
        if (rc < 0 && errno != EINTR && errno != EAGAIN)
            return mr_error_errno(err, MR_INTERNAL, errno, "poll");
        if (deadline != INT64_MAX && mr_clock_monotonic_micros() >= deadline) {
            *timed_out = true;
            return MR_OK;
        }
    }
}

void mr_patient_waiter_init(struct mr_patient_waiter *waiter, struct mr_engine *engine)
{
    *waiter = (struct mr_patient_waiter){
        .base = {.wait = wait_patiently, .cancelled = patience_ended},
        .engine = engine,
    };
}

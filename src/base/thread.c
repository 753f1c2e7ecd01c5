/*
 * thread.c - threads, and condition variables on the monotonic clock.
 *
 * Signals are blocked around the creation, so that the new thread starts with all of them blocked
 * and only the thread that run/ chose ever sees one. The start record lives on the heap because the
 * creator may be gone before the thread runs.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "base/thread.h"

#include "base/alloc.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

struct start {
    void (*body)(void *);
    void *arg;
    char name[16];
};

static void *run(void *arg)
{
    struct start start = *(struct start *)arg;
    mr_free(arg);
    pthread_setname_np(pthread_self(), start.name);
    start.body(start.arg);
    return NULL;
}

enum mr_status mr_thread_start(struct mr_thread *thread, const char *name, void (*body)(void *),
                               void *arg, struct mr_error *err)
{
    thread->running = false;
    struct start *start = mr_alloc(sizeof *start);
    if (!start)
        return mr_error_nomem(err);
    start->body = body;
    start->arg = arg;
    snprintf(start->name, sizeof start->name, "%s", name);

    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&thread->handle, NULL, run, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        mr_free(start);
        mr_error_errno(err, MR_LIMIT, rc, "cannot start thread %s", name);
        mr_error_hint(err, "lower parallelism, or raise the limit on processes (ulimit -u)");
        return MR_LIMIT;
    }
    thread->running = true;
    return MR_OK;
}

void mr_thread_join(struct mr_thread *thread)
{
    if (!thread->running)
        return;
    int rc = pthread_join(thread->handle, NULL);
    assert(rc == 0);
    (void)rc;
    thread->running = false;
}

void mr_mutex_init(pthread_mutex_t *mutex)
{
    int rc = pthread_mutex_init(mutex, NULL);
    assert(rc == 0);
    (void)rc;
}

void mr_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    int rc = pthread_cond_init(cond, &attributes);
    assert(rc == 0);
    (void)rc;
    pthread_condattr_destroy(&attributes);
}

bool mr_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_micros)
{
    if (deadline_micros == INT64_MAX) {
        pthread_cond_wait(cond, mutex);
        return true;
    }
    if (deadline_micros < 0)
        deadline_micros = 0;
    struct timespec deadline = {.tv_sec = (time_t)(deadline_micros / 1000000),
                                .tv_nsec = (long)(deadline_micros % 1000000) * 1000};
    return pthread_cond_timedwait(cond, mutex, &deadline) != ETIMEDOUT;
}

/*
 * thread.h - pthread with error reporting, so that failures to create are ordinary errors.
 */
#ifndef MR_BASE_THREAD_H
#define MR_BASE_THREAD_H

#include "base/error.h"

#include <pthread.h>
#include <stdint.h>

struct mr_thread {
    pthread_t handle;
    bool running;
};

/*
 * `name` (at most 15 bytes) shows in ps and in the log. All signals are blocked in the new thread.
 */
enum mr_status mr_thread_start(struct mr_thread *thread, const char *name, void (*body)(void *),
                               void *arg, struct mr_error *err);
void mr_thread_join(struct mr_thread *thread);

void mr_mutex_init(pthread_mutex_t *mutex);
/* CLOCK_MONOTONIC condition variable. */
void mr_cond_init(pthread_cond_t *cond);
/*
 * Waits until signalled or until the monotonic deadline (microseconds; INT64_MAX = for ever). False
 * on time-out.
 */
bool mr_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_micros);

#endif

/*
 * progress.c - the progress thread: waits on a condition with a deadline, so that stopping it takes no time.
 */
#include "run/progress.h"

#include "base/thread.h"
#include "base/time.h"

#define PROGRESS_INTERVAL_MICROS 200000

struct mr_progress {
    struct mr_engine *engine;
    void (*report)(void *context, const struct mr_exec_progress *progress, bool done);
    void *context;
    struct mr_thread thread;
    pthread_mutex_t mutex; /* guards `stopped` */
    pthread_cond_t wake;
    bool stopped;
};

static void progress_body(void *arg)
{
    struct mr_progress *self = arg;
    struct mr_exec_progress now;
    pthread_mutex_lock(&self->mutex);
    while (!self->stopped) {
        int64_t next = mr_clock_monotonic_micros() + PROGRESS_INTERVAL_MICROS;
        while (!self->stopped && mr_cond_wait(&self->wake, &self->mutex, next))
            ;
        if (self->stopped)
            break;
        pthread_mutex_unlock(&self->mutex);
        mr_exec_progress(self->engine, &now);
        self->report(self->context, &now, false);
        pthread_mutex_lock(&self->mutex);
    }
    pthread_mutex_unlock(&self->mutex);
    mr_exec_progress(self->engine, &now);
    self->report(self->context, &now, true);
}

enum mr_status mr_progress_start(struct mr_engine *engine,
                                 void (*report)(void *context,
                                                const struct mr_exec_progress *progress, bool done),
                                 void *context, struct mr_progress **out, struct mr_error *err)
{
    struct mr_progress *self = mr_calloc(1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    self->engine = engine;
    self->report = report;
    self->context = context;
    mr_mutex_init(&self->mutex);
    mr_cond_init(&self->wake);
    enum mr_status status = mr_thread_start(&self->thread, "mr-progress", progress_body, self, err);
    if (status != MR_OK) {
        pthread_mutex_destroy(&self->mutex);
        pthread_cond_destroy(&self->wake);
        mr_free(self);
        return status;
    }
    *out = self;
    return MR_OK;
}

void mr_progress_stop(struct mr_progress *progress)
{
    if (!progress)
        return;
    pthread_mutex_lock(&progress->mutex);
    progress->stopped = true;
    pthread_cond_signal(&progress->wake);
    pthread_mutex_unlock(&progress->mutex);
    mr_thread_join(&progress->thread);
    pthread_mutex_destroy(&progress->mutex);
    pthread_cond_destroy(&progress->wake);
    mr_free(progress);
}

/*
 * signals.c - what SIGINT and SIGTERM mean: the runs end within a bound and can be resumed.
 *
 * The handlers live here and not in the library: only a program may decide what a signal means. They
 * note the signal and wake a thread, which cancels the pipelines that are registered. A second signal
 * gets the default action, so that an impatient user is heard. Streams first have a chance to end behind their epoch, for
 * half of the bound or until the next signal; then they are cancelled like the rest, and the third one gets the default action.
 *
 * That thread also keeps the bound. A cancelled run ends in moments, and waits of a few seconds for a
 * server to finish a commit are limited by the engine. But a library may block where nobody can reach
 * it (a name server that does not answer, a disk that hangs), and schedulers follow up with a kill
 * that leaves no report. So when the bound is nearly over this thread writes the report itself and
 * ends the process; a run survives a kill at any moment, and it survives this.
 */
#include "cli/cli.h"

#include "api/pipeline.h"
#include "base/thread.h"
#include "base/time.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static atomic_int caught_signal; /* lock-free: also written by the handlers */
static atomic_int signals_left = 1;
static int wake_fd = -1;

static struct {
    pthread_mutex_t lock; /* guards everything below */
    struct mr_thread thread;
    struct millrace_pipeline *pipelines[MR_CLI_MAX_FILES];
    int64_t stop_micros;
    void (*last_words)(void *context, int code);
    void *context;
} watch = {.lock = PTHREAD_MUTEX_INITIALIZER,
           .stop_micros = MR_CLI_STOP_SECONDS * MR_MICROS_PER_SECOND};

static void on_signal(int number)
{
    int saved = errno;
    uint64_t one = 1;
    caught_signal = number;
    if (atomic_fetch_sub(&signals_left, 1) <= 1) {
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
    }
    ssize_t written = write(wake_fd, &one, sizeof one);
    (void)written;
    errno = saved;
}

static int signal_code(void)
{
    return caught_signal == SIGTERM ? 143 : MILLRACE_CANCELLED;
}

static void cancel_all(void)
{
    pthread_mutex_lock(&watch.lock);
    for (int i = 0; i < MR_CLI_MAX_FILES; i++)
        if (watch.pipelines[i])
            mr_api_cancel(watch.pipelines[i], signal_code());
    pthread_mutex_unlock(&watch.lock);
}

/* True: a stream was told to end behind its epoch. Other pipelines are cancelled. */
static bool drain_all(void)
{
    bool any = false;
    pthread_mutex_lock(&watch.lock);
    for (int i = 0; i < MR_CLI_MAX_FILES; i++) {
        struct millrace_pipeline *pipeline = watch.pipelines[i];
        if (pipeline && mr_api_drain(pipeline, signal_code()))
            any = true;
        else if (pipeline)
            mr_api_cancel(pipeline, signal_code());
    }
    pthread_mutex_unlock(&watch.lock);
    return any;
}

/* The process ends when the main thread does; this one never returns. */
static void watch_body(void *arg)
{
    uint64_t count;
    (void)arg;
    while (read(wake_fd, &count, sizeof count) < 0)
        ;
    int64_t now = mr_clock_monotonic_micros();
    struct mr_waiter waiter = mr_waiter_plain();
    bool timed_out = false;
    if (drain_all()) {
        pthread_mutex_lock(&watch.lock);
        int64_t patience = watch.stop_micros / 2;
        pthread_mutex_unlock(&watch.lock);
        (void)mr_wait(&waiter, wake_fd, MR_WAIT_READ, now + patience, MR_WAIT_RETRY, &timed_out,
                      NULL);
    }
    cancel_all();
    pthread_mutex_lock(&watch.lock);
    int64_t margin = watch.stop_micros / 10;
    int64_t deadline =
        now + watch.stop_micros - (margin < MR_MICROS_PER_SECOND ? margin : MR_MICROS_PER_SECOND);
    pthread_mutex_unlock(&watch.lock);
    while (mr_clock_monotonic_micros() < deadline)
        (void)mr_wait(&waiter, -1, 0, deadline, MR_WAIT_RETRY, NULL, NULL);
    pthread_mutex_lock(&watch.lock); /* and what it says stays as it is */
    if (watch.last_words)
        watch.last_words(watch.context, signal_code());
    fprintf(stderr, "error: the run did not end in time after the signal: given up (resumable)\n");
    _exit(signal_code());
}

void mr_cli_hold_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct mr_error err = {0};
    if (wake_fd >= 0)
        return;
    wake_fd = eventfd(0, EFD_CLOEXEC);
    if (wake_fd < 0 ||
        mr_thread_start(&watch.thread, "mr-signals", watch_body, NULL, &err) != MR_OK)
        return; /* signals then end the process, which every run survives */
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

void mr_cli_stop_within(int seconds, void (*last_words)(void *context, int code), void *context)
{
    pthread_mutex_lock(&watch.lock);
    watch.stop_micros = seconds * MR_MICROS_PER_SECOND;
    watch.last_words = last_words;
    watch.context = context;
    pthread_mutex_unlock(&watch.lock);
}

void mr_cli_watch(int slot, struct millrace_pipeline *pipeline)
{
    pthread_mutex_lock(&watch.lock);
    watch.pipelines[slot] = pipeline;
    if (mr_api_is_stream(pipeline) && !caught_signal)
        atomic_store(&signals_left, 2);
    if (pipeline && caught_signal)
        mr_api_cancel(pipeline, signal_code());
    pthread_mutex_unlock(&watch.lock);
}

void mr_cli_cancel_others(int slot)
{
    pthread_mutex_lock(&watch.lock);
    for (int i = 0; i < MR_CLI_MAX_FILES; i++)
        if (watch.pipelines[i] && i != slot)
            millrace_cancel(watch.pipelines[i]);
    pthread_mutex_unlock(&watch.lock);
}

void mr_cli_catch_signals(struct millrace_pipeline *pipeline)
{
    mr_cli_watch(0, pipeline);
}

int mr_cli_signal(void)
{
    return caught_signal;
}

int mr_cli_exit_code(int code)
{
    return code == MILLRACE_CANCELLED && caught_signal ? signal_code() : code;
}

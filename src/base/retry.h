/*
 * retry.h - when to try again, how long to pause before, and the list of what was tried again.
 */
#ifndef MR_BASE_RETRY_H
#define MR_BASE_RETRY_H

#include "base/error.h"

#include <pthread.h>
#include <stdint.h>

/* `retry` of a pipeline, or what a protocol is used to. */
struct mr_retry {
    int attempts;             /* in all; 0 and 1 = no second one */
    int64_t delay_micros;     /* before the second one */
    int64_t max_delay_micros; /* 0 = no bound */
    double multiplier;        /* under 1 counts as 1 */
    bool jitter;              /* between half of the delay and all of it */
};

/*
 * The pause behind `failures` (from 1) failed attempts in a row. `random`: any number, of which a
 * jitter is made; the same numbers give the same pause.
 */
int64_t mr_retry_pause(const struct mr_retry *retry, int failures, uint64_t random);
/* A number for `random`: of the clock. */
uint64_t mr_retry_random(void);
/* Is there to be another attempt behind `failures` of them? Never for what will fail again. */
bool mr_retry_wanted(const struct mr_retry *retry, int failures, enum mr_status status,
                     const struct mr_error *err);

/* An attempt that failed and was, or will be, repeated. Strings are copied. */
struct mr_retry_entry {
    const char *step; /* or what belongs to none: "state" */
    const char *unit; /* "split id [1, 500)", "connection", "GET s3://b/k" */
    enum mr_error_class cls;
    int attempt;          /* that failed, from 1 */
    int64_t delay_micros; /* the pause behind it */
    const char *message;  /* without secrets */
};

#define MR_RETRY_LOG_MAX 100

/* All retries of a run: counted, the first ones kept. Any thread. */
struct mr_retry_log {
    pthread_mutex_t lock;
    int64_t total;                                   /* lock */
    int count;                                       /* lock */
    struct mr_retry_entry entries[MR_RETRY_LOG_MAX]; /* lock */
};
void mr_retry_log_init(struct mr_retry_log *log);
void mr_retry_log_reset(struct mr_retry_log *log);
/* `log` may be NULL. Short of memory, only the count grows. */
void mr_retry_log_add(struct mr_retry_log *log, const struct mr_retry_entry *entry);

#endif

/*
 * retry.c - exponential back-off with jitter, and the list of retries that the report shows.
 *
 * The pause is a function of its arguments, so that a test needs neither a clock nor luck. Jitter
 * takes away up to half of a pause: taking away up to all of it ("full jitter") spreads a herd
 * better, but lets a server that has just come back be asked at once by some.
 *
 * The list keeps the first hundred: how trouble began says more than how it went on, and a run that
 * is refused a million times must not remember a million messages.
 */
#include "base/retry.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/thread.h"
#include "base/time.h"

int64_t mr_retry_pause(const struct mr_retry *retry, int failures, uint64_t random)
{
    double most = retry->max_delay_micros > 0 ? (double)retry->max_delay_micros : 1e15;
    double delay = (double)retry->delay_micros;
    for (int i = 1; i < failures && delay < most && retry->multiplier > 1; i++)
        delay *= retry->multiplier;
    if (delay > most)
        delay = most;
    if (retry->jitter)
        delay *= 0.5 + (double)(mr_hash_mix(random) % 1000) / 2000;
    return (int64_t)delay;
}

uint64_t mr_retry_random(void)
{
    return (uint64_t)mr_clock_monotonic_micros();
}

bool mr_retry_wanted(const struct mr_retry *retry, int failures, enum mr_status status,
                     const struct mr_error *err)
{
    return status != MR_OK && status != MR_CANCELLED && status != MR_NOMEM &&
           err->cls == MR_CLASS_TRANSIENT && failures < retry->attempts;
}

void mr_retry_log_init(struct mr_retry_log *log)
{
    mr_mutex_init(&log->lock);
    log->total = 0;
    log->count = 0;
}

static void free_entry(struct mr_retry_entry *entry)
{
    mr_free((void *)(uintptr_t)entry->step);
    mr_free((void *)(uintptr_t)entry->unit);
    mr_free((void *)(uintptr_t)entry->message);
}

void mr_retry_log_reset(struct mr_retry_log *log)
{
    for (int i = 0; i < log->count; i++)
        free_entry(&log->entries[i]);
    log->count = 0;
    pthread_mutex_destroy(&log->lock);
}

void mr_retry_log_add(struct mr_retry_log *log, const struct mr_retry_entry *entry)
{
    if (log == NULL)
        return;
    pthread_mutex_lock(&log->lock);
    log->total++;
    if (log->count < MR_RETRY_LOG_MAX) {
        struct mr_retry_entry copy = *entry;
        copy.step = mr_strdup(entry->step);
        copy.unit = mr_strdup(entry->unit);
        copy.message = mr_strdup(entry->message);
        if (copy.step && copy.unit && copy.message)
            log->entries[log->count++] = copy;
        else
            free_entry(&copy);
    }
    pthread_mutex_unlock(&log->lock);
}

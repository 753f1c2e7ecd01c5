/*
 * runtime.c - counters, notes, and the objects that the steps of one run share.
 *
 * mr_shared keeps one entry per key ("postgres://host/db snapshot"). Whoever asks first makes the
 * object; the others wait. A lock held during `make` would be the obvious way and is wrong here:
 * making an object waits for a server and gives the CPU permit back meanwhile, while a thread
 * blocked in the lock keeps its own permit; with one permit left neither goes on. So the entry has
 * a state, the lock guards only that state, and waiting goes through the waiter in steps of two
 * milliseconds: this happens at most once per object and run.
 */
#include "ext/runtime.h"

#include "base/hash.h"
#include "base/thread.h"
#include "base/time.h"

#include <stdio.h>

#define SHARED_POLL_MICROS 2000

void mr_count_peak(struct mr_runtime *runtime, enum mr_counter counter, int64_t value)
{
    if (!runtime->counters)
        return;
    atomic_int_fast64_t *peak = &runtime->counters->value[counter];
    int_fast64_t seen = atomic_load_explicit(peak, memory_order_relaxed);
    while (seen < value &&
           !atomic_compare_exchange_weak_explicit(peak, &seen, value, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

uint64_t mr_run_mark(const char *run_id)
{
    if (!run_id || !*run_id)
        return 0;
    uint64_t mark = mr_hash64(run_id, strlen(run_id)) & INT64_MAX;
    return mark ? mark : 1;
}

const char *mr_counter_name(enum mr_counter counter)
{
    static const char *const names[MR_COUNTERS] = {
        [MR_COUNT_ROWS_READ] = "rows_read",
        [MR_COUNT_ROWS_WRITTEN] = "rows_written",
        [MR_COUNT_ROWS_REJECTED] = "rows_rejected",
        [MR_COUNT_BATCHES] = "batches",
        [MR_COUNT_BYTES_READ] = "bytes_read",
        [MR_COUNT_BYTES_WRITTEN] = "bytes_written",
        [MR_COUNT_RETRIES] = "retries",
        [MR_COUNT_CONNECTIONS] = "connections",
        [MR_COUNT_CONNECTIONS_PEAK] = "connections_peak",
        [MR_COUNT_REQUESTS] = "requests",
        [MR_COUNT_FILES] = "files",
        [MR_COUNT_FILES_SMALL] = "files_under_10mb",
        [MR_COUNT_FILE_BYTES_MEDIAN] = "file_bytes_median",
        [MR_COUNT_SPILL_BYTES] = "spill_bytes",
        [MR_COUNT_EXCHANGE_BYTES] = "exchange_bytes",
        [MR_COUNT_CACHE_HITS] = "cache_hits",
        [MR_COUNT_FILES_READ] = "files_read",
        [MR_COUNT_FILES_SKIPPED] = "files_skipped",
        [MR_COUNT_BYTES_SKIPPED] = "bytes_skipped",
        [MR_COUNT_ROWS_LATE] = "rows_late",
    };
    return names[counter];
}

void mr_event(struct mr_runtime *runtime, enum mr_log_level level, const char *format, ...)
{
    if (runtime->event == NULL)
        return;
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    runtime->event(runtime, level, message);
}

bool mr_is_draining(const struct mr_runtime *runtime)
{
    return runtime->drain != NULL && atomic_load(&runtime->drain->set);
}

const struct mr_retry *mr_retry_policy(const struct mr_runtime *runtime, const struct mr_retry *own)
{
    return runtime->retry_given ? &runtime->retry : own;
}

void mr_retry_note(struct mr_runtime *runtime, const char *unit, int attempt, int64_t delay_micros,
                   const struct mr_error *cause)
{
    struct mr_retry_entry entry = {
        .step = runtime->memory && runtime->memory->parent ? runtime->memory->name : "run",
        .unit = unit,
        .cls = cause->cls,
        .attempt = attempt,
        .delay_micros = delay_micros,
        .message = cause->message,
    };
    mr_count(runtime, MR_COUNT_RETRIES, 1);
    mr_retry_log_add(runtime->retries, &entry);
    mr_event(runtime, MR_LOG_WARN, "%s: %s; attempt %d in %lld ms", unit, cause->message,
             attempt + 1, (long long)(delay_micros / 1000));
}

enum mr_status mr_retry_wait(struct mr_runtime *runtime, const struct mr_retry *retry,
                             const char *unit, int attempt, const struct mr_error *cause,
                             struct mr_error *err)
{
    bool timed_out;
    enum mr_status status = MR_OK;
    int fd = runtime->drain != NULL ? runtime->drain->fd : -1;
    if (!mr_is_draining(runtime)) {
        int64_t pause = mr_retry_pause(retry, attempt, mr_retry_random());
        mr_retry_note(runtime, unit, attempt, pause, cause);
        status = mr_wait(runtime->waiter, fd, MR_WAIT_READ, mr_clock_monotonic_micros() + pause,
                         MR_WAIT_RETRY, &timed_out, err);
    }
    if (!mr_is_draining(runtime))
        return status;
    if (err != NULL)
        *err = *cause;
    return cause->status != MR_OK ? cause->status : mr_error_cancelled(err);
}

enum shared_state { SHARED_EMPTY, SHARED_MAKING, SHARED_READY };

struct shared_entry {
    struct shared_entry *next; /* all entries, newest first */
    struct shared_entry *made; /* READY entries, last made first */
    enum shared_state state;
    void *object;
    void (*destroy)(void *object);
    char key[];
};

struct mr_shared {
    pthread_mutex_t lock; /* guards everything below */
    struct shared_entry *entries;
    struct shared_entry *made;
};

struct mr_shared *mr_shared_new(void)
{
    struct mr_shared *shared = mr_calloc(1, sizeof(*shared));
    if (shared != NULL)
        mr_mutex_init(&shared->lock);
    return shared;
}

void mr_shared_free(struct mr_shared *shared)
{
    if (shared == NULL)
        return;
    for (struct shared_entry *entry = shared->made; entry != NULL; entry = entry->made)
        if (entry->destroy != NULL)
            entry->destroy(entry->object);
    while (shared->entries != NULL) {
        struct shared_entry *entry = shared->entries;
        shared->entries = entry->next;
        mr_free(entry);
    }
    pthread_mutex_destroy(&shared->lock);
    mr_free(shared);
}

/* Finds or adds the entry. Caller holds the lock. */
static struct shared_entry *shared_find(struct mr_shared *shared, const char *key)
{
    for (struct shared_entry *entry = shared->entries; entry != NULL; entry = entry->next)
        if (strcmp(entry->key, key) == 0)
            return entry;
    size_t size = strlen(key) + 1;
    struct shared_entry *entry = mr_calloc(1, sizeof(*entry) + size);
    if (entry == NULL)
        return NULL;
    memcpy(entry->key, key, size);
    entry->next = shared->entries;
    shared->entries = entry;
    return entry;
}

/* Puts what make gave, or its failure, into the entry. */
static void shared_settle(struct mr_shared *shared, struct shared_entry *entry, bool made,
                          void *object, void (*destroy)(void *object))
{
    pthread_mutex_lock(&shared->lock);
    entry->state = made ? SHARED_READY : SHARED_EMPTY;
    if (made) {
        entry->object = object;
        entry->destroy = destroy;
        entry->made = shared->made;
        shared->made = entry;
    }
    pthread_mutex_unlock(&shared->lock);
}

enum mr_status
mr_shared_get(struct mr_runtime *runtime, const char *key,
              enum mr_status (*make)(void *context, void **out, struct mr_error *err),
              void *context, void (*destroy)(void *object), void **out, struct mr_error *err)
{
    struct mr_shared *shared = runtime->shared;
    for (;;) {
        pthread_mutex_lock(&shared->lock);
        struct shared_entry *entry = shared_find(shared, key);
        enum shared_state state = entry != NULL ? entry->state : SHARED_EMPTY;
        if (entry != NULL && state == SHARED_EMPTY)
            entry->state = SHARED_MAKING;
        if (state == SHARED_READY)
            *out = entry->object;
        pthread_mutex_unlock(&shared->lock);
        if (entry == NULL)
            return mr_error_nomem(err);
        if (state == SHARED_READY)
            return MR_OK;
        if (state == SHARED_EMPTY) {
            void *object = NULL;
            enum mr_status status = make(context, &object, err);
            shared_settle(shared, entry, status == MR_OK, object, destroy);
            *out = object;
            return status;
        }
        bool timed_out;
        MR_TRY(mr_wait(runtime->waiter, -1, 0, mr_clock_monotonic_micros() + SHARED_POLL_MICROS,
                       MR_WAIT_SOURCE, &timed_out, err));
    }
}

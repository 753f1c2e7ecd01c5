/*
 * event_clock.c - latest event times by partition, and the watermark that follows from them.
 *
 * Tasks tell the latest time of a batch, so the lock is taken once a batch. Partitions are few (those of a topic), found by name in a
 * list that only grows. A partition that has been idle counts again from its next row on; the watermark does not go back for it.
 */
#include "ext/event_clock.h"

#include "base/alloc.h"

#include <pthread.h>
#include <string.h>

struct origin {
    char *name;
    int64_t latest;
    int64_t active; /* wall clock of the epoch that brought its last row */
};

struct mr_event_clock {
    pthread_mutex_t lock;
    int64_t delay;
    int64_t idle;
    int64_t before;
    int64_t now;
    struct origin *origins; /* lock */
    int norigins;           /* lock */
};

enum mr_status mr_event_clock_new(int64_t delay, int64_t idle, struct mr_event_clock **out,
                                  struct mr_error *err)
{
    struct mr_event_clock *clock = mr_calloc(1, sizeof *clock);
    if (!clock)
        return mr_error_nomem(err);
    pthread_mutex_init(&clock->lock, NULL);
    clock->delay = delay;
    clock->idle = idle;
    clock->before = MR_WATERMARK_NONE;
    *out = clock;
    return MR_OK;
}

void mr_event_clock_free(struct mr_event_clock *clock)
{
    if (!clock)
        return;
    for (int i = 0; i < clock->norigins; i++)
        mr_free(clock->origins[i].name);
    mr_free(clock->origins);
    pthread_mutex_destroy(&clock->lock);
    mr_free(clock);
}

static struct origin *find(const struct mr_event_clock *clock, const char *name)
{
    for (int i = 0; i < clock->norigins; i++)
        if (strcmp(clock->origins[i].name, name) == 0)
            return &clock->origins[i];
    return NULL;
}

static enum mr_status add(struct mr_event_clock *clock, const char *name, struct origin **out,
                          struct mr_error *err)
{
    size_t count = (size_t)clock->norigins;
    struct origin *grown = mr_realloc(clock->origins, (count + 1) * sizeof *grown);
    if (!grown)
        return mr_error_nomem(err);
    clock->origins = grown;
    char *copy = mr_strdup(name);
    if (!copy)
        return mr_error_nomem(err);
    grown[count] = (struct origin){.name = copy, .latest = MR_WATERMARK_NONE};
    clock->norigins++;
    *out = &grown[count];
    return MR_OK;
}

enum mr_status mr_event_clock_seen(struct mr_event_clock *clock, const char *origin, int64_t time,
                                   struct mr_error *err)
{
    enum mr_status status = MR_OK;
    pthread_mutex_lock(&clock->lock);
    struct origin *found = find(clock, origin);
    if (!found)
        status = add(clock, origin, &found, err);
    if (status == MR_OK) {
        found->latest = time > found->latest ? time : found->latest;
        found->active = clock->now;
    }
    pthread_mutex_unlock(&clock->lock);
    return status;
}

/* Under the lock, or where nobody else is. All partitions idle: the latest of all of them, since no row holds it back. */
static int64_t reach(const struct mr_event_clock *clock)
{
    int64_t least = INT64_MAX, most = MR_WATERMARK_NONE;
    for (int i = 0; i < clock->norigins; i++) {
        const struct origin *origin = &clock->origins[i];
        most = origin->latest > most ? origin->latest : most;
        if (clock->idle > 0 && clock->now - origin->active >= clock->idle)
            continue;
        least = origin->latest < least ? origin->latest : least;
    }
    int64_t latest = least == INT64_MAX ? most : least;
    int64_t watermark =
        latest < MR_WATERMARK_NONE + 1 + clock->delay ? MR_WATERMARK_NONE : latest - clock->delay;
    return watermark > clock->before ? watermark : clock->before;
}

void mr_event_clock_begin(struct mr_event_clock *clock, int64_t now)
{
    pthread_mutex_lock(&clock->lock);
    clock->before = reach(clock);
    clock->now = now;
    pthread_mutex_unlock(&clock->lock);
}

int64_t mr_event_clock_before(const struct mr_event_clock *clock)
{
    return clock->before;
}

int64_t mr_event_clock_reached(struct mr_event_clock *clock)
{
    pthread_mutex_lock(&clock->lock);
    int64_t watermark = reach(clock);
    pthread_mutex_unlock(&clock->lock);
    return watermark;
}

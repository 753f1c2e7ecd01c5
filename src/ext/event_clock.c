/*
 * event_clock.c - latest event times by partition, and the watermark that follows from them.
 *
 * Tasks tell the latest time of a batch, so the lock is taken once a batch. Partitions are few (those of a topic), found by name in a
 * list that only grows. A partition that has been idle counts again from its next row on; the watermark does not go back for it. What a
 * process was not there to see is not held against a partition: idleness is not saved, and counts from the first epoch of a process.
 */
#include "ext/event_clock.h"

#include "base/alloc.h"

#include <pthread.h>
#include <string.h>

struct origin {
    char *name;
    int64_t latest; /* NONE: no row has come */
    int64_t saved;
    int64_t active; /* wall clock of the epoch that brought its last row, or first knew of it */
    bool gone;      /* the source has it no longer */
};

struct mr_event_clock {
    pthread_mutex_t lock;
    int64_t delay;
    int64_t idle;
    int64_t before;
    int64_t now; /* 0 = no epoch has begun */
    int64_t saved;
    struct origin *origins; /* lock */
    int norigins;           /* lock */
    int nparts;             /* of a combined one, behind the struct */
    struct mr_event_clock *parts[];
};

static struct mr_event_clock *new_clock(int nparts)
{
    struct mr_event_clock *clock =
        mr_calloc(1, sizeof *clock + (size_t)nparts * sizeof(struct mr_event_clock *));
    if (!clock)
        return NULL;
    pthread_mutex_init(&clock->lock, NULL);
    clock->before = clock->saved = MR_WATERMARK_NONE;
    clock->nparts = nparts;
    return clock;
}

enum mr_status mr_event_clock_new(int64_t delay, int64_t idle, struct mr_event_clock **out,
                                  struct mr_error *err)
{
    struct mr_event_clock *clock = new_clock(0);
    if (!clock)
        return mr_error_nomem(err);
    clock->delay = delay;
    clock->idle = idle;
    *out = clock;
    return MR_OK;
}

enum mr_status mr_event_clock_combine(struct mr_event_clock *const *parts, int count,
                                      struct mr_event_clock **out, struct mr_error *err)
{
    struct mr_event_clock *clock = new_clock(count);
    if (!clock)
        return mr_error_nomem(err);
    for (int i = 0; i < count; i++)
        clock->parts[i] = parts[i];
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

/* Under the lock. Idleness counts from the epoch at hand, or (0) from the first one. */
static enum mr_status find_or_add(struct mr_event_clock *clock, const char *name,
                                  struct origin **out, struct mr_error *err)
{
    *out = find(clock, name);
    if (*out)
        return MR_OK;
    size_t count = (size_t)clock->norigins;
    struct origin *grown = mr_realloc(clock->origins, (count + 1) * sizeof *grown);
    if (!grown)
        return mr_error_nomem(err);
    clock->origins = grown;
    char *copy = mr_strdup(name);
    if (!copy)
        return mr_error_nomem(err);
    grown[count] = (struct origin){
        .name = copy,
        .latest = MR_WATERMARK_NONE,
        .saved = MR_WATERMARK_NONE,
        .active = clock->now,
    };
    clock->norigins++;
    *out = &grown[count];
    return MR_OK;
}

enum mr_status mr_event_clock_seen(struct mr_event_clock *clock, const char *origin, int64_t time,
                                   struct mr_error *err)
{
    struct origin *found;
    pthread_mutex_lock(&clock->lock);
    enum mr_status status = find_or_add(clock, origin, &found, err);
    if (status == MR_OK) {
        found->latest = time > found->latest ? time : found->latest;
        found->active = clock->now;
        found->gone = false;
    }
    pthread_mutex_unlock(&clock->lock);
    return status;
}

/* There is always a time that is not late. */
static int64_t below_end(int64_t watermark)
{
    return watermark < INT64_MAX ? watermark : INT64_MAX - 1;
}

/*
 * Under the lock, or where nobody else is. All partitions idle: the latest of all of them, since no row holds it back. One of which
 * nothing was seen stands at NONE, which is the smallest time.
 */
static int64_t reach(const struct mr_event_clock *clock, int64_t now)
{
    int64_t least = INT64_MAX, most = MR_WATERMARK_NONE;
    for (int i = 0; i < clock->norigins; i++) {
        const struct origin *origin = &clock->origins[i];
        most = origin->latest > most ? origin->latest : most;
        if (origin->gone || (clock->idle > 0 && now - origin->active >= clock->idle))
            continue;
        least = origin->latest < least ? origin->latest : least;
    }
    int64_t latest = least == INT64_MAX ? most : least;
    int64_t watermark =
        latest < MR_WATERMARK_NONE + 1 + clock->delay ? MR_WATERMARK_NONE : latest - clock->delay;
    return below_end(watermark > clock->before ? watermark : clock->before);
}

/* Under the lock. */
static enum mr_status expect(struct mr_event_clock *clock, const char *const *origins, int count,
                             struct mr_error *err)
{
    for (int i = 0; i < clock->norigins; i++)
        clock->origins[i].gone = count > 0;
    for (int i = 0; i < count; i++) {
        struct origin *origin;
        MR_TRY(find_or_add(clock, origins[i], &origin, err));
        origin->gone = false;
    }
    return MR_OK;
}

/*
 * The partitions come last: `before` is what held with those that there were. In a new process that is what was restored, and cannot
 * be reckoned: a partition that held the watermark back because nothing had come of it is not saved.
 */
enum mr_status mr_event_clock_begin(struct mr_event_clock *clock, int64_t now,
                                    const char *const *origins, int count, struct mr_error *err)
{
    pthread_mutex_lock(&clock->lock);
    if (clock->now != 0)
        clock->before = reach(clock, clock->now);
    for (int i = 0; i < clock->norigins; i++)
        if (clock->origins[i].active == 0)
            clock->origins[i].active = now;
    clock->now = now;
    enum mr_status status = expect(clock, origins, count, err);
    pthread_mutex_unlock(&clock->lock);
    return status;
}

int64_t mr_event_clock_before(const struct mr_event_clock *clock)
{
    int64_t least = clock->nparts > 0 ? INT64_MAX : clock->before;
    for (int i = 0; i < clock->nparts; i++) {
        int64_t part = mr_event_clock_before(clock->parts[i]);
        least = part < least ? part : least;
    }
    return least;
}

int64_t mr_event_clock_reached(struct mr_event_clock *clock)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < clock->nparts; i++) {
        int64_t part = mr_event_clock_reached(clock->parts[i]);
        least = part < least ? part : least;
    }
    if (clock->nparts > 0)
        return least;
    pthread_mutex_lock(&clock->lock);
    int64_t watermark = reach(clock, clock->now);
    pthread_mutex_unlock(&clock->lock);
    return watermark;
}

bool mr_event_clock_due(struct mr_event_clock *clock, int64_t now)
{
    pthread_mutex_lock(&clock->lock);
    bool due = clock->now != 0 && reach(clock, now) > reach(clock, clock->now);
    pthread_mutex_unlock(&clock->lock);
    return due;
}

bool mr_event_clock_mark(struct mr_event_clock *clock, int i, struct mr_event_mark *out)
{
    if (i > clock->norigins)
        return false;
    if (i == 0) {
        int64_t reached = mr_event_clock_reached(clock);
        *out = (struct mr_event_mark){NULL, reached, reached != clock->saved};
        return true;
    }
    const struct origin *origin = &clock->origins[i - 1];
    *out = (struct mr_event_mark){origin->name, origin->latest, origin->latest != origin->saved};
    return true;
}

void mr_event_clock_saved(struct mr_event_clock *clock)
{
    clock->saved = mr_event_clock_reached(clock);
    for (int i = 0; i < clock->norigins; i++)
        clock->origins[i].saved = clock->origins[i].latest;
}

enum mr_status mr_event_clock_restore(struct mr_event_clock *clock, const char *origin,
                                      int64_t time, struct mr_error *err)
{
    struct origin *found;
    if (!origin) {
        clock->before = clock->saved = below_end(time);
        return MR_OK;
    }
    MR_TRY(find_or_add(clock, origin, &found, err));
    found->latest = found->saved = time;
    return MR_OK;
}

/*
 * sink_keep.c - one session of a load that is kept for what the run asks the target next.
 *
 * Binding, asking for the last epoch, sweeping leftovers, staging and the commit follow one another. A session for each costs more than their
 * statements do: a backend is forked, we are authenticated, and its catalog caches are empty; a run of a few rows would
 * spend a third of its time so. One idle session per login is kept, not a pool: more than one is only wanted while tasks stage side by side.
 *
 * What is taken must be as new: it comes back idle, outside of a transaction and without advisory locks, or is closed. That of a commit is
 * closed, because triggers of the table ran in it: a SET of theirs would say what the replaceWhere of the next load means. One that has lain
 * for long (firewalls forget it), or that the server has spoken to meanwhile (it ends the session), is not taken.
 */
#include "connect/postgres/sink_private.h"

#include "base/thread.h"
#include "base/time.h"

#define KEPT_MICROS (30 * MR_MICROS_PER_SECOND)

struct keep {
    pthread_mutex_t lock; /* of idle and since */
    struct mr_arena arena;
    struct pg_link link; /* what `idle` was opened with lives as long as it */
    struct mr_pg *idle;
    int64_t since;
};

static void destroy(void *object)
{
    struct keep *keep = object;
    mr_pg_close(keep->idle);
    mr_arena_reset(&keep->arena);
    pthread_mutex_destroy(&keep->lock);
    mr_free(keep);
}

static enum mr_status make(void *context, void **out, struct mr_error *err)
{
    const struct pg_link *link = context;
    struct keep *keep = mr_calloc(1, sizeof *keep);
    if (keep == NULL)
        return mr_error_nomem(err);
    mr_mutex_init(&keep->lock);
    mr_arena_init(&keep->arena, NULL);
    keep->link = *link;
    keep->link.config.keywords = keep->link.login.keywords;
    keep->link.config.values = keep->link.login.values;
    keep->link.config.location = keep->link.location;
    if (!mr_postgres_login_keep(&keep->link.login, &keep->arena)) {
        destroy(keep);
        return mr_error_nomem(err);
    }
    *out = keep;
    return MR_OK;
}

/* NULL where nothing is shared; that there is no memory to keep one is no reason to fail. */
static struct keep *find_keep(const struct pg_link *link, struct mr_runtime *runtime)
{
    void *object = NULL;
    if (runtime->shared == NULL ||
        mr_shared_get(runtime, link->login.key, make, (void *)(uintptr_t)link, destroy, &object,
                      NULL) != MR_OK)
        return NULL;
    return object;
}

static struct mr_pg *take(struct keep *keep)
{
    int64_t oldest = mr_clock_monotonic_micros() - KEPT_MICROS;
    pthread_mutex_lock(&keep->lock);
    struct mr_pg *pg = keep->idle;
    bool old = keep->since < oldest;
    keep->idle = NULL;
    pthread_mutex_unlock(&keep->lock);
    if (pg && !old && mr_pg_quiet(pg))
        return pg;
    mr_pg_close(pg);
    return NULL;
}

static enum mr_status open_session(const struct pg_link *link, struct mr_runtime *runtime,
                                   struct mr_pg **out, struct mr_error *err)
{
    struct mr_pg *pg = NULL;
    *out = NULL;
    MR_TRY(
        mr_error_of_sink(mr_pg_open(&link->config, runtime->waiter, MR_WAIT_SINK, &pg, err), err));
    mr_count(runtime, MR_COUNT_CONNECTIONS, 1);
    enum mr_status status = mr_pg_exec(pg, link->login.session_sql, err);
    if (status != MR_OK) {
        mr_pg_close(pg);
        return mr_error_of_sink(status, err);
    }
    *out = pg;
    return MR_OK;
}

enum mr_status pg_link_open(const struct pg_link *link, struct mr_runtime *runtime,
                            struct mr_pg **out, struct mr_error *err)
{
    struct keep *keep = find_keep(link, runtime);
    *out = keep ? take(keep) : NULL;
    if (*out == NULL)
        return open_session(keep ? &keep->link : link, runtime, out, err);
    mr_pg_set_waiter(*out, runtime->waiter);
    return MR_OK;
}

void pg_link_close(const struct pg_link *link, struct mr_runtime *runtime, struct mr_pg *pg)
{
    struct keep *keep = pg && mr_pg_quiet(pg) ? find_keep(link, runtime) : NULL;
    if (keep) {
        pthread_mutex_lock(&keep->lock);
        struct mr_pg *before = keep->idle;
        keep->idle = pg;
        keep->since = mr_clock_monotonic_micros();
        pthread_mutex_unlock(&keep->lock);
        pg = before;
    }
    mr_pg_close(pg);
}

/*
 * pool.c - several runs in one process: who may begin.
 *
 * CPU permits are taken and given back many times a second, so they are shared as they are. Memory and
 * connections are held for long, and a run that has some and waits for more from another that does the
 * same would wait for ever. So a run is given all of it at once, before it opens anything, or waits with
 * nothing in its hands: no circle can close. Charging never waits either (base/alloc.h), so that memory
 * given out by first come would let one run end with exit 8 because of what its neighbour does; with a
 * part of its own a run does in company exactly what it does alone with that budget: the plan, what it
 * spills and the bytes of its files do not depend on who runs beside it.
 *
 * A budget: `resources.memory` where the file has one, else the pool's memory divided by the runs at
 * once, at least LEAST_MEMORY. What all inside may use is never more than the pool's memory, save that
 * one that asks for more than there is runs when nobody else does: what a file says is obeyed.
 *
 * Connections: a run counts with those that it may open to a server at once where its file limits them
 * (maxConnections, sourceLimits.connections, properties.maxPoolSize). It enters when the sum on that
 * server stays within the smallest limit of those inside and its own. Who says nothing is not counted.
 *
 * The queue is looked through in order and who fits enters: a run that waits for a server does not hold
 * up those behind it. Nobody starves, because who enters later leaves again and the queue is finite.
 */
#include "run/pool.h"

#include "base/thread.h"
#include "exec/exec.h"
#include "ext/runtime.h"
#include "run/machine.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LEAST_MEMORY (INT64_C(64) << 20)

struct mr_pool {
    struct mr_permits *permits;
    struct mr_shared *shared;
    struct mr_memory memory;
    int64_t budget;
    int runs;
    pthread_mutex_t lock; /* guards everything below, and the tickets' states */
    int inside;
    int64_t given; /* bytes, to those inside */
    struct mr_pool_ticket *waiting;
    struct mr_pool_ticket *entered;
};

enum mr_status mr_pool_new(const struct mr_pool_options *options, struct mr_pool **out,
                           struct mr_error *err)
{
    struct mr_pool *pool = mr_calloc(1, sizeof *pool);
    *out = NULL;
    if (!pool)
        return mr_error_nomem(err);
    int cores = options->cores > 0 ? options->cores : mr_machine_cores();
    pool->runs = options->runs > 0 ? options->runs : 2 * cores;
    pool->budget = options->memory > 0 ? options->memory : mr_machine_memory() / 2;
    mr_memory_init(&pool->memory, NULL, "the process", INT64_MAX);
    mr_mutex_init(&pool->lock);
    pool->shared = mr_shared_new();
    enum mr_status status = pool->shared ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK)
        status = mr_permits_new(cores, &pool->permits, err);
    if (status == MR_OK)
        *out = pool;
    else
        mr_pool_free(pool);
    return status;
}

void mr_pool_free(struct mr_pool *pool)
{
    if (!pool)
        return;
    mr_shared_free(pool->shared);
    mr_permits_free(pool->permits);
    pthread_mutex_destroy(&pool->lock);
    mr_free(pool);
}

struct mr_permits *mr_pool_permits(struct mr_pool *pool)
{
    return pool->permits;
}

struct mr_shared *mr_pool_shared(struct mr_pool *pool)
{
    return pool->shared;
}

struct mr_memory *mr_pool_memory(struct mr_pool *pool)
{
    return &pool->memory;
}

/* --- what a run needs --- */

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* A whole number in an object option, or `fallback`. */
static int64_t inner(const struct mr_options *options, const char *object, const char *name,
                     int64_t fallback)
{
    if (!mr_option_find(options->table, object) || !mr_options_has(options, object))
        return fallback;
    const struct mr_options *fields = mr_options_get(options, object)->u.object;
    if (!mr_option_find(fields->table, name))
        return fallback;
    return mr_options_integer(fields, name, fallback);
}

static const char *server_of(const struct mr_step_spec *step, struct mr_arena *arena)
{
    const char *host = mr_options_text(step->options, "host");
    if (step->vault_path && !host)
        return mr_arena_printf(arena, "vault %s", step->vault_path);
    return mr_arena_printf(arena, "%s:%lld", host ? host : "",
                           (long long)mr_options_integer(step->options, "port", 5432));
}

static enum mr_status add_need(const struct mr_pool_need *need, struct mr_pool_need *needs,
                               int *count, struct mr_error *err)
{
    if (!need->server)
        return mr_error_nomem(err);
    for (int i = 0; i < *count; i++) {
        if (strcmp(needs[i].server, need->server) != 0)
            continue;
        needs[i].connections += need->connections;
        needs[i].limit = smaller(needs[i].limit, need->limit);
        return MR_OK;
    }
    needs[(*count)++] = *need;
    return MR_OK;
}

/* The reading or writing of a step of a server that its file limits. */
static enum mr_status add_step(const struct mr_step_spec *step, int cores, struct mr_arena *arena,
                               struct mr_pool_need *needs, int *count, struct mr_error *err)
{
    const struct mr_options *options = step->options;
    if (!options || !mr_option_find(options->table, "maxConnections") ||
        !mr_option_find(options->table, "host"))
        return MR_OK;
    int64_t most = smaller(inner(options, "properties", "maxPoolSize", INT64_MAX),
                           inner(options, "sourceLimits", "connections", INT64_MAX));
    int64_t wanted = mr_options_integer(options, "maxConnections", 0);
    if (most == INT64_MAX && wanted == 0)
        return MR_OK;
    struct mr_pool_need need = {.server = server_of(step, arena), .limit = most};
    need.connections = wanted > 0 ? wanted : 2 * cores;
    if (step->type == MR_STEP_EXTRACT && most < INT64_MAX)
        need.connections++; /* the one that coordinates counts in these limits */
    need.connections = smaller(need.connections, most);
    return add_need(&need, needs, count, err);
}

enum mr_status mr_pool_join(struct mr_pool *pool, const struct mr_spec *spec,
                            struct mr_arena *arena, struct mr_pool_ticket *ticket, int64_t *memory,
                            struct mr_error *err)
{
    struct mr_pool_need *needs = mr_arena_alloc(arena, sizeof *needs * ((size_t)spec->nsteps + 1));
    int cores = spec->parallelism > 0 ? spec->parallelism : mr_machine_cores();
    if (!needs)
        return mr_error_nomem(err);
    int64_t part = pool->budget / pool->runs;
    *memory = spec->memory > 0 ? spec->memory : part > LEAST_MEMORY ? part : LEAST_MEMORY;
    *ticket = (struct mr_pool_ticket){.fd = -1, .needs = needs};
    ticket->memory = smaller(*memory, pool->budget);
    for (int i = 0; i < spec->nsteps; i++)
        MR_TRY(add_step(&spec->steps[i], cores, arena, needs, &ticket->nneeds, err));
    for (int i = 0; i < ticket->nneeds; i++)
        if (needs[i].limit == INT64_MAX) /* maxConnections is all that was said */
            needs[i].limit = needs[i].connections;
    ticket->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (ticket->fd < 0)
        return mr_error_errno(err, MR_LIMIT, errno, "eventfd");
    ticket->pool = pool;
    return MR_OK;
}

void mr_pool_ticket_reset(struct mr_pool_ticket *ticket)
{
    if (!ticket->pool)
        return;
    mr_pool_leave(ticket);
    close(ticket->fd);
    ticket->pool = NULL;
}

/* --- the queue --- */

/* Is there room for these connections beside those of all inside? Caller holds the lock. */
static bool server_fits(const struct mr_pool *pool, const struct mr_pool_need *need)
{
    int64_t sum = need->connections, limit = need->limit;
    bool alone = true;
    for (const struct mr_pool_ticket *in = pool->entered; in; in = in->next) {
        for (int i = 0; i < in->nneeds; i++) {
            if (strcmp(in->needs[i].server, need->server) != 0)
                continue;
            alone = false;
            sum += in->needs[i].connections;
            limit = smaller(limit, in->needs[i].limit);
        }
    }
    return alone || sum <= limit;
}

/* Caller holds the lock. */
static bool fits(const struct mr_pool *pool, const struct mr_pool_ticket *ticket)
{
    if (pool->inside >= pool->runs || ticket->memory > pool->budget - pool->given)
        return false;
    for (int i = 0; i < ticket->nneeds; i++)
        if (!server_fits(pool, &ticket->needs[i]))
            return false;
    return true;
}

/* Lets in who fits. Caller holds the lock. */
static void admit(struct mr_pool *pool)
{
    struct mr_pool_ticket **at = &pool->waiting;
    while (*at) {
        struct mr_pool_ticket *ticket = *at;
        if (!fits(pool, ticket)) {
            at = &ticket->next;
            continue;
        }
        *at = ticket->next;
        ticket->next = pool->entered;
        pool->entered = ticket;
        pool->inside++;
        pool->given += ticket->memory;
        ticket->state = MR_POOL_INSIDE;
        uint64_t one = 1;
        ssize_t written = write(ticket->fd, &one, sizeof one);
        (void)written; /* can only fail when it is readable already */
    }
}

static void queue(struct mr_pool_ticket *ticket)
{
    struct mr_pool_ticket **at = &ticket->pool->waiting;
    while (*at)
        at = &(*at)->next;
    *at = ticket;
    ticket->next = NULL;
    ticket->state = MR_POOL_WAITING;
    admit(ticket->pool);
}

void mr_pool_queue(struct mr_pool_ticket *ticket)
{
    if (!ticket->pool)
        return;
    pthread_mutex_lock(&ticket->pool->lock);
    if (ticket->state == MR_POOL_OUT)
        queue(ticket);
    pthread_mutex_unlock(&ticket->pool->lock);
}

enum mr_status mr_pool_enter(struct mr_pool_ticket *ticket, struct mr_waiter *waiter,
                             struct mr_error *err)
{
    if (!ticket->pool)
        return MR_OK;
    mr_pool_queue(ticket);
    enum mr_status status =
        mr_wait(waiter, ticket->fd, MR_WAIT_READ, INT64_MAX, MR_WAIT_QUEUE, NULL, err);
    if (status != MR_OK)
        mr_pool_leave(ticket);
    return status;
}

static void unlink_ticket(struct mr_pool_ticket **at, const struct mr_pool_ticket *ticket)
{
    while (*at != ticket)
        at = &(*at)->next;
    *at = ticket->next;
}

void mr_pool_leave(struct mr_pool_ticket *ticket)
{
    struct mr_pool *pool = ticket->pool;
    uint64_t ignored;
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    if (ticket->state == MR_POOL_WAITING)
        unlink_ticket(&pool->waiting, ticket);
    if (ticket->state == MR_POOL_INSIDE) {
        unlink_ticket(&pool->entered, ticket);
        pool->inside--;
        pool->given -= ticket->memory;
    }
    ticket->state = MR_POOL_OUT;
    ssize_t got = read(ticket->fd, &ignored, sizeof ignored);
    (void)got; /* it may not have been inside */
    admit(pool);
    pthread_mutex_unlock(&pool->lock);
}

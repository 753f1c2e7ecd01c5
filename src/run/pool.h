/*
 * pool.h - what the runs of one process share, and which of them may run beside each other.
 *
 * Shared are CPU permits, memory, and connections to servers. A run takes all that it may need before
 * it begins, and gives it back when it has ended.
 */
#ifndef MR_RUN_POOL_H
#define MR_RUN_POOL_H

#include "base/alloc.h"
#include "base/arena.h"
#include "base/wait.h"
#include "config/spec.h"

struct mr_permits;
struct mr_shared;

struct mr_pool_options {
    int cores;      /* CPU permits of all runs together; 0 = the machine's cores */
    int runs;       /* at once, at most; 0 = twice the cores */
    int64_t memory; /* bytes of all runs together; 0 = half of what the machine allows */
};

struct mr_pool;
enum mr_status mr_pool_new(const struct mr_pool_options *options, struct mr_pool **out,
                           struct mr_error *err);
/* After the last session that was opened with it. */
void mr_pool_free(struct mr_pool *pool);
struct mr_permits *mr_pool_permits(struct mr_pool *pool);
struct mr_shared *mr_pool_shared(struct mr_pool *pool);
/* The account that the runs' accounts are children of. */
struct mr_memory *mr_pool_memory(struct mr_pool *pool);

/* Connections that a run may have to a server, and the most that it wants to see on it. */
struct mr_pool_need {
    const char *server;
    int64_t connections;
    int64_t limit;
};

/* The place of one run in the queue. Storage is the caller's. */
struct mr_pool_ticket {
    struct mr_pool *pool; /* NULL: none, the run enters at once */
    struct mr_pool_ticket *next;
    enum { MR_POOL_OUT, MR_POOL_WAITING, MR_POOL_INSIDE } state; /* the pool's lock */
    int fd;                                                      /* eventfd: it is inside */
    int64_t memory;
    int nneeds;
    const struct mr_pool_need *needs;
};

/*
 * Fills in what a run of `spec` takes of the pool. *memory is its budget: what the file says, else an
 * equal part of the pool's, which depends on nothing that happens while it runs.
 */
enum mr_status mr_pool_join(struct mr_pool *pool, const struct mr_spec *spec,
                            struct mr_arena *arena, struct mr_pool_ticket *ticket, int64_t *memory,
                            struct mr_error *err);
/* Puts it into the queue. Who is in front of others in the queue begins first if it can. */
void mr_pool_queue(struct mr_pool_ticket *ticket);
/* Queues it if need be and waits for its turn. */
enum mr_status mr_pool_enter(struct mr_pool_ticket *ticket, struct mr_waiter *waiter,
                             struct mr_error *err);
/* Gives everything back, or leaves the queue. Nothing where it is out already. */
void mr_pool_leave(struct mr_pool_ticket *ticket);
/* Before the ticket's storage goes. */
void mr_pool_ticket_reset(struct mr_pool_ticket *ticket);

#endif

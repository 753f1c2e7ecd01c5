/*
 * funnel.h - the queues between the readers and one output task. Private to exec/.
 */
#ifndef MR_EXEC_FUNNEL_H
#define MR_EXEC_FUNNEL_H

#include "exec/engine.h"

/* A batch for an input of a node. */
struct mr_funnel_item {
    struct mr_funnel_item *next;
    int node;
    int port;
    int split; /* that it was read from */
    int64_t bytes;
    struct mr_batch *batch;
};

struct mr_funnel_queue {
    struct mr_funnel_item *first, **last;
    int64_t bytes;
    bool ended;
};

struct mr_funnel {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t can_take;
    pthread_cond_t can_put;
    struct mr_stop *stop;  /* of the run */
    struct mr_stop closed; /* the task wants no more */
    int64_t limit;         /* bytes of one queue; one batch always fits */
    int nsplits;
    int end; /* of the part that is under way: no split behind it is taken */
    struct mr_funnel_queue *queues;
    int next_read; /* next split that a reader takes */
    int window;    /* slots */
    int *slots;    /* split each, -1 = none left */
    int next_slot; /* next split that gets a slot */
    int cursor;    /* slot whose turn it is */
    int readers;
};

/* `window`: how many splits take turns; 1 = in order. */
enum mr_status mr_funnel_init(struct mr_funnel *funnel, struct mr_stop *stop, int nsplits,
                              int readers, int window, int64_t limit, struct mr_error *err);
void mr_funnel_reset(struct mr_funnel *funnel);
/* Reader: the next split to read, -1 when there is none (or the task wants no more). */
int mr_funnel_next_split(struct mr_funnel *funnel, struct mr_task_waiter *waiter);
/*
 * Reader: takes over the batch. *closed when the task wants no more. MR_CANCELLED when the run
 * stops.
 */
enum mr_status mr_funnel_put(struct mr_funnel *funnel, int split, int node, int port,
                             struct mr_batch *batch, struct mr_task_waiter *waiter, bool *closed,
                             struct mr_error *err);
void mr_funnel_end_split(struct mr_funnel *funnel, int split);
/*
 * Task: the next batch and where it goes, NULL batch at the end; its reference goes to the caller. MR_CANCELLED
 * when the run stops.
 */
enum mr_status mr_funnel_take(struct mr_funnel *funnel, struct mr_task_waiter *waiter,
                              struct mr_funnel_item *out, struct mr_error *err);
/*
 * Task: from now on the splits [first, end) and no others, none of which was read; what was taken
 * before is used up. (After init it is all of them.)
 */
void mr_funnel_part(struct mr_funnel *funnel, int first, int end);
/* Task: the part shall end soon, at a split that does not depend on how far readers are. */
void mr_funnel_end_soon(struct mr_funnel *funnel);
int mr_funnel_part_end(struct mr_funnel *funnel);
/* Task: no more; wakes the readers. */
void mr_funnel_close(struct mr_funnel *funnel);
/* Wakes everybody, to look at `stop`. */
void mr_funnel_wake(struct mr_funnel *funnel);

#endif

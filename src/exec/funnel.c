/*
 * funnel.c - many readers, one output task, and an order that does not depend on who is faster.
 *
 * Every split has a queue, bounded in bytes. `window` splits have a slot; the task takes one batch
 * from each slot in turn, and waits where it must rather than take what happens to be there. A
 * split that is used up passes its slot on to the next split in order. So the sequence depends on
 * the batches alone. With a window of one it is the order of the splits.
 *
 * Readers take splits in order, at most `readers` ahead of the slots, so that at most window +
 * readers queues hold rows. This cannot deadlock when window <= readers: of the splits with a slot,
 * those not yet taken by a reader come after all those that were, the readers are busy only with
 * splits that have a slot or are full ahead of it, and a split with a slot is always drained. A
 * (Where a part of the splits is given out, the next part comes when this one is used up, and
 * nobody waits for anything behind its end.) A shared queue would be simpler and would write rows in the order of arrival: bytes of files would
 * differ from run to run.
 */
#include "exec/funnel.h"

enum mr_status mr_funnel_init(struct mr_funnel *funnel, struct mr_stop *stop, int nsplits,
                              int readers, int window, int64_t limit, struct mr_error *err)
{
    *funnel = (struct mr_funnel){
        .stop = stop, .limit = limit, .nsplits = nsplits, .readers = readers, .window = window};
    funnel->end = nsplits;
    MR_TRY(mr_stop_init(&funnel->closed, err));
    mr_mutex_init(&funnel->lock);
    mr_cond_init(&funnel->can_take);
    mr_cond_init(&funnel->can_put);
    funnel->queues = mr_calloc((size_t)nsplits + 1, sizeof *funnel->queues);
    funnel->slots = mr_calloc((size_t)window + 1, sizeof *funnel->slots);
    if (funnel->queues == NULL || funnel->slots == NULL) {
        mr_funnel_reset(funnel);
        return mr_error_nomem(err);
    }
    for (int i = 0; i < nsplits; i++)
        funnel->queues[i].last = &funnel->queues[i].first;
    for (int i = 0; i < window; i++)
        funnel->slots[i] = funnel->next_slot < nsplits ? funnel->next_slot++ : -1;
    return MR_OK;
}

void mr_funnel_reset(struct mr_funnel *funnel)
{
    for (int i = 0; funnel->queues != NULL && i < funnel->nsplits; i++) {
        struct mr_funnel_item *item = funnel->queues[i].first;
        while (item != NULL) {
            struct mr_funnel_item *next = item->next;
            mr_batch_unref(item->batch);
            mr_free(item);
            item = next;
        }
    }
    mr_free(funnel->queues);
    mr_free(funnel->slots);
    mr_stop_reset(&funnel->closed);
    pthread_cond_destroy(&funnel->can_take);
    pthread_cond_destroy(&funnel->can_put);
    pthread_mutex_destroy(&funnel->lock);
}

static bool over(const struct mr_funnel *funnel)
{
    return atomic_load(&funnel->closed.set) || atomic_load(&funnel->stop->set);
}

int mr_funnel_next_split(struct mr_funnel *funnel, struct mr_task_waiter *waiter)
{
    int split = -1;
    pthread_mutex_lock(&funnel->lock);
    while (!over(funnel) && funnel->next_read < funnel->nsplits &&
           (funnel->next_read >= funnel->next_slot + funnel->readers ||
            funnel->next_read >= funnel->end))
        mr_task_wait_cond(waiter, &funnel->can_put, &funnel->lock, MR_WAIT_QUEUE);
    if (!over(funnel) && funnel->next_read < funnel->nsplits)
        split = funnel->next_read++;
    pthread_mutex_unlock(&funnel->lock);
    return split;
}

static void wake_task(struct mr_funnel *funnel, int split)
{
    if (funnel->slots[funnel->cursor] == split)
        pthread_cond_signal(&funnel->can_take);
}

enum mr_status mr_funnel_put(struct mr_funnel *funnel, int split, int node, int port,
                             struct mr_batch *batch, struct mr_task_waiter *waiter, bool *closed,
                             struct mr_error *err)
{
    struct mr_funnel_item *item = mr_alloc(sizeof *item);
    if (item == NULL) {
        mr_batch_unref(batch);
        return mr_error_nomem(err);
    }
    *item = (struct mr_funnel_item){
        .node = node, .port = port, .split = split, .batch = batch, .bytes = mr_batch_bytes(batch)};
    struct mr_funnel_queue *queue = &funnel->queues[split];
    pthread_mutex_lock(&funnel->lock);
    while (!over(funnel) && queue->bytes > 0 && queue->bytes + item->bytes > funnel->limit)
        mr_task_wait_cond(waiter, &funnel->can_put, &funnel->lock, MR_WAIT_QUEUE);
    bool stop = atomic_load(&funnel->stop->set);
    *closed = atomic_load(&funnel->closed.set);
    if (!stop && !*closed) {
        *queue->last = item;
        queue->last = &item->next;
        queue->bytes += item->bytes;
        item = NULL;
        wake_task(funnel, split);
    }
    pthread_mutex_unlock(&funnel->lock);
    if (item != NULL) {
        mr_batch_unref(item->batch);
        mr_free(item);
    }
    return stop ? mr_error_cancelled(err) : MR_OK;
}

void mr_funnel_end_split(struct mr_funnel *funnel, int split)
{
    pthread_mutex_lock(&funnel->lock);
    funnel->queues[split].ended = true;
    wake_task(funnel, split);
    pthread_mutex_unlock(&funnel->lock);
}

static void next_turn(struct mr_funnel *funnel)
{
    funnel->cursor = (funnel->cursor + 1) % funnel->window;
}

/* The head of the queue whose turn it is; NULL: wait for it (*wait), or all is taken. */
static struct mr_funnel_item *pop(struct mr_funnel *funnel, bool *wait)
{
    *wait = false;
    for (int tried = 0; tried < funnel->window;) {
        int split = funnel->slots[funnel->cursor];
        if (split < 0) {
            tried++;
            next_turn(funnel);
            continue;
        }
        struct mr_funnel_queue *queue = &funnel->queues[split];
        struct mr_funnel_item *item = queue->first;
        if (item != NULL) {
            queue->first = item->next;
            if (queue->first == NULL)
                queue->last = &queue->first;
            queue->bytes -= item->bytes;
            next_turn(funnel);
            pthread_cond_broadcast(&funnel->can_put);
            return item;
        }
        if (!queue->ended) {
            *wait = true;
            return NULL;
        }
        funnel->slots[funnel->cursor] = funnel->next_slot < funnel->end ? funnel->next_slot++ : -1;
        pthread_cond_broadcast(&funnel->can_put);
    }
    return NULL;
}

enum mr_status mr_funnel_take(struct mr_funnel *funnel, struct mr_task_waiter *waiter,
                              struct mr_funnel_item *out, struct mr_error *err)
{
    *out = (struct mr_funnel_item){0};
    bool wait = false;
    struct mr_funnel_item *item = NULL;
    pthread_mutex_lock(&funnel->lock);
    while (!over(funnel)) {
        item = pop(funnel, &wait);
        if (!wait)
            break;
        mr_task_wait_cond(waiter, &funnel->can_take, &funnel->lock, MR_WAIT_QUEUE);
    }
    pthread_mutex_unlock(&funnel->lock);
    if (item != NULL) {
        *out = *item;
        mr_free(item);
        return MR_OK;
    }
    return atomic_load(&funnel->stop->set) ? mr_error_cancelled(err) : MR_OK;
}

void mr_funnel_part(struct mr_funnel *funnel, int first, int end)
{
    pthread_mutex_lock(&funnel->lock);
    funnel->next_read = funnel->next_slot = first;
    funnel->end = end;
    funnel->cursor = 0;
    for (int i = 0; i < funnel->window; i++)
        funnel->slots[i] = funnel->next_slot < end ? funnel->next_slot++ : -1;
    pthread_cond_broadcast(&funnel->can_put);
    pthread_mutex_unlock(&funnel->lock);
}

void mr_funnel_end_soon(struct mr_funnel *funnel)
{
    pthread_mutex_lock(&funnel->lock);
    /* Readers are nowhere behind that (mr_funnel_next_split), however fast they are. */
    int end = funnel->next_slot + funnel->readers;
    funnel->end = end < funnel->end ? end : funnel->end;
    pthread_mutex_unlock(&funnel->lock);
}

int mr_funnel_part_end(struct mr_funnel *funnel)
{
    pthread_mutex_lock(&funnel->lock);
    int end = funnel->end;
    pthread_mutex_unlock(&funnel->lock);
    return end;
}

void mr_funnel_close(struct mr_funnel *funnel)
{
    mr_stop_set(&funnel->closed);
    mr_funnel_wake(funnel);
}

void mr_funnel_wake(struct mr_funnel *funnel)
{
    pthread_mutex_lock(&funnel->lock);
    pthread_cond_broadcast(&funnel->can_take);
    pthread_cond_broadcast(&funnel->can_put);
    pthread_mutex_unlock(&funnel->lock);
}

/*
 * permit.c - a counting semaphore whose waiters are served in the order of their coming.
 *
 * More threads than cores exist on purpose (open connections); permits keep the number that compute
 * at cores, so that a decoding thread is not interrupted with its caches warm. Without the order a
 * thread that gives its permit back and asks again at once would always win against those that
 * sleep. sem_t promises no order, hence this list.
 *
 * Where several runs share a process a thread takes one of its run's own permits first and then one
 * of those that all runs have in common: parallelism stays what the file says, and the cores are not
 * oversubscribed. The order is always the same, and who holds a common one waits for neither, so
 * nobody waits in a circle.
 */
#include "exec/engine.h"

void mr_permits_init(struct mr_permits *permits, int count)
{
    mr_mutex_init(&permits->lock);
    permits->free = count;
    permits->first = NULL;
    permits->last = &permits->first;
    atomic_init(&permits->waiting, 0);
}

void mr_permits_reset(struct mr_permits *permits)
{
    pthread_mutex_destroy(&permits->lock);
}

enum mr_status mr_permits_new(int count, struct mr_permits **out, struct mr_error *err)
{
    *out = mr_calloc(1, sizeof **out);
    if (*out == NULL)
        return mr_error_nomem(err);
    mr_permits_init(*out, count > 0 ? count : 1);
    return MR_OK;
}

void mr_permits_free(struct mr_permits *permits)
{
    if (permits == NULL)
        return;
    mr_permits_reset(permits);
    mr_free(permits);
}

void mr_permits_take(struct mr_permits *permits)
{
    pthread_mutex_lock(&permits->lock);
    if (permits->free > 0 && permits->first == NULL) {
        permits->free--;
        pthread_mutex_unlock(&permits->lock);
        return;
    }
    struct mr_permit_request request = {0};
    mr_cond_init(&request.cond);
    *permits->last = &request;
    permits->last = &request.next;
    atomic_fetch_add(&permits->waiting, 1);
    while (!request.granted)
        mr_cond_wait(&request.cond, &permits->lock, INT64_MAX);
    pthread_mutex_unlock(&permits->lock);
    pthread_cond_destroy(&request.cond);
}

void mr_permits_give(struct mr_permits *permits)
{
    pthread_mutex_lock(&permits->lock);
    struct mr_permit_request *request = permits->first;
    if (request == NULL) {
        permits->free++;
    } else {
        permits->first = request->next;
        if (permits->first == NULL)
            permits->last = &permits->first;
        atomic_fetch_sub(&permits->waiting, 1);
        request->granted = true;
        pthread_cond_signal(&request->cond);
    }
    pthread_mutex_unlock(&permits->lock);
}

/*
 * c11_threads.c - C11's threads over pthreads, for programs under the thread sanitizer that use librdkafka.
 *
 * librdkafka calls thrd_create, mtx_lock and the like, which gcc 12's and clang 14's sanitizer do not intercept: its threads are then unknown
 * to it, and rd_kafka_new crashes. These definitions win over libc's. glibc's own mtx_t and cnd_t are pthreads' types with another
 * name, so their storage is used as such. The library is not instrumented: races inside of it are not looked for.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

#define SEEN __attribute__((visibility("default")))

SEEN const char *__tsan_default_suppressions(void);
SEEN const char *__tsan_default_suppressions(void)
{
    return "race:librdkafka.so\nmutex:librdkafka.so\ndeadlock:librdkafka.so\n";
}

static int result_of(int code)
{
    return code == 0           ? thrd_success
           : code == ENOMEM    ? thrd_nomem
           : code == ETIMEDOUT ? thrd_timedout
           : code == EBUSY     ? thrd_busy
                               : thrd_error;
}

struct start {
    thrd_start_t body;
    void *argument;
};

static void *run(void *argument)
{
    struct start start = *(struct start *)argument;
    free(argument);
    return (void *)(intptr_t)start.body(start.argument);
}

SEEN int thrd_create(thrd_t *thread, thrd_start_t body, void *argument)
{
    struct start *start = malloc(sizeof *start);
    if (start == NULL)
        return thrd_nomem;
    *start = (struct start){body, argument};
    int code = pthread_create((pthread_t *)thread, NULL, run, start);
    if (code != 0)
        free(start);
    return result_of(code);
}

SEEN int thrd_join(thrd_t thread, int *result)
{
    void *value = NULL;
    int code = pthread_join((pthread_t)thread, &value);
    if (result != NULL)
        *result = (int)(intptr_t)value;
    return result_of(code);
}

SEEN int thrd_detach(thrd_t thread)
{
    return result_of(pthread_detach((pthread_t)thread));
}

SEEN thrd_t thrd_current(void)
{
    return (thrd_t)pthread_self();
}

SEEN int mtx_init(mtx_t *mutex, int type)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    if (type & mtx_recursive)
        pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    int code = pthread_mutex_init((pthread_mutex_t *)mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return result_of(code);
}

SEEN void mtx_destroy(mtx_t *mutex)
{
    pthread_mutex_destroy((pthread_mutex_t *)mutex);
}

SEEN int mtx_lock(mtx_t *mutex)
{
    return result_of(pthread_mutex_lock((pthread_mutex_t *)mutex));
}

SEEN int mtx_trylock(mtx_t *mutex)
{
    return result_of(pthread_mutex_trylock((pthread_mutex_t *)mutex));
}

SEEN int mtx_unlock(mtx_t *mutex)
{
    return result_of(pthread_mutex_unlock((pthread_mutex_t *)mutex));
}

SEEN int cnd_init(cnd_t *condition)
{
    return result_of(pthread_cond_init((pthread_cond_t *)condition, NULL));
}

SEEN void cnd_destroy(cnd_t *condition)
{
    pthread_cond_destroy((pthread_cond_t *)condition);
}

SEEN int cnd_signal(cnd_t *condition)
{
    return result_of(pthread_cond_signal((pthread_cond_t *)condition));
}

SEEN int cnd_broadcast(cnd_t *condition)
{
    return result_of(pthread_cond_broadcast((pthread_cond_t *)condition));
}

SEEN int cnd_wait(cnd_t *condition, mtx_t *mutex)
{
    return result_of(pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex));
}

SEEN int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until)
{
    return result_of(
        pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until));
}

/*
 * pool.c - pipelines that share a pool: one after the other on one thread, beside each other on several, and one that is cancelled
 * while it waits for its turn.
 *
 * Arguments: the pipeline files. Ends with status 0 and "N checks" when everything is as it should be.
 */
#include <millrace.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checks;

#define check(good)                                                                                \
    do {                                                                                           \
        checks++;                                                                                  \
        if (!(good)) {                                                                             \
            fprintf(stderr, "line %d: %s\n", __LINE__, #good);                                     \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static struct millrace_pipeline *open_in(struct millrace_pool *pool, const char *file)
{
    struct millrace_open_options options = {.file = file, .pool = pool};
    struct millrace_pipeline *pipeline = NULL;
    check(millrace_open(&options, &pipeline) == MILLRACE_OK);
    return pipeline;
}

static struct millrace_pool *pool_of(int runs)
{
    struct millrace_pool_options options = {.runs = runs, .memory = 256 << 20};
    struct millrace_pool *pool = NULL;
    check(millrace_pool_new(&options, &pool) == MILLRACE_OK);
    return pool;
}

/* A run gives its place back when it has ended, not when its pipeline is closed. */
static void one_after_the_other(char **files, int count)
{
    struct millrace_pool *pool = pool_of(1);
    struct millrace_pipeline *pipelines[8];
    for (int i = 0; i < count; i++)
        pipelines[i] = open_in(pool, files[i]);
    for (int i = count - 1; i >= 0; i--)
        check(millrace_run(pipelines[i], NULL, NULL) == MILLRACE_OK);
    char *plan = NULL;
    check(millrace_plan(pipelines[0], true, &plan) == MILLRACE_OK && plan);
    millrace_free(plan);
    for (int i = 0; i < count; i++)
        millrace_close(pipelines[i]);
    millrace_pool_free(pool);
}

struct task {
    pthread_t thread;
    struct millrace_pipeline *pipeline;
    int code;
};

static void *run_task(void *arg)
{
    struct task *task = arg;
    task->code = millrace_run(task->pipeline, NULL, NULL);
    return NULL;
}

static void beside_each_other(char **files, int count)
{
    struct millrace_pool *pool = pool_of(2);
    struct task tasks[8];
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < count; i++) {
            tasks[i].pipeline = open_in(pool, files[i]);
            check(pthread_create(&tasks[i].thread, NULL, run_task, &tasks[i]) == 0);
        }
        for (int i = 0; i < count; i++) {
            pthread_join(tasks[i].thread, NULL);
            check(tasks[i].code == MILLRACE_OK);
            millrace_close(tasks[i].pipeline);
        }
    }
    millrace_pool_free(pool);
}

struct gate {
    struct millrace_pipeline *other;
    struct task task;
    bool started;
};

/* Called while the only place is taken: the other one waits, is cancelled, and ends before this run does. */
static void at_progress(void *context, const struct millrace_progress *progress)
{
    struct gate *gate = context;
    (void)progress;
    if (gate->started)
        return;
    gate->started = true;
    gate->task.pipeline = gate->other;
    check(pthread_create(&gate->task.thread, NULL, run_task, &gate->task) == 0);
    millrace_cancel(gate->other);
    pthread_join(gate->task.thread, NULL);
    check(gate->task.code == MILLRACE_CANCELLED);
}

static void cancelled_while_waiting(char **files)
{
    struct millrace_pool *pool = pool_of(1);
    struct gate gate = {.other = open_in(pool, files[1])};
    struct millrace_pipeline *first = open_in(pool, files[0]);
    struct millrace_run_options options = {.progress = at_progress, .progress_context = &gate};
    check(millrace_run(first, &options, NULL) == MILLRACE_OK);
    check(gate.started);
    millrace_close(first);
    millrace_close(gate.other);
    millrace_pool_free(pool);
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 9)
        return 2;
    one_after_the_other(argv + 1, argc - 1);
    beside_each_other(argv + 1, argc - 1);
    cancelled_while_waiting(argv + 1);
    millrace_pool_free(NULL);
    printf("%d checks\n", checks);
    return 0;
}

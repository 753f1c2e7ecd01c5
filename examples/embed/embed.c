/*
 * embed.c - a pipeline inside of a C program: look at its rows through the Arrow C stream, then run it with progress (or cancel it
 * from another thread, or run it in parts as a scheduler of one's own would).
 *
 *   cc embed.c $(pkg-config --cflags --libs millrace) -o embed && ./embed pipeline.json [run|cancel|job]
 */
#include <millrace.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The Arrow C stream interface, as its specification gives it to be copied into programs. */
struct ArrowSchema {
    const char *format, *name, *metadata;
    int64_t flags, n_children;
    struct ArrowSchema **children, *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};
struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children, *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};
struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

static void print_errors(const struct millrace_pipeline *pipeline)
{
    for (int i = 0; i < millrace_error_count(pipeline); i++)
        fprintf(stderr, "%s\n", millrace_error_message(pipeline, i));
}

static void on_log(void *context, enum millrace_log_level level, const char *text)
{
    (void)context;
    if (level >= MILLRACE_LOG_WARN)
        fprintf(stderr, "%s\n", text);
}

static void on_progress(void *context, const struct millrace_progress *progress)
{
    (void)context;
    if (progress->done)
        printf("progress: %lld rows read\n", (long long)progress->rows_read);
}

static void *cancel_soon(void *pipeline)
{
    millrace_cancel(pipeline);
    return NULL;
}

static int open_pipeline(const char *file, const char *run_key, struct millrace_pipeline **pipeline)
{
    struct millrace_open_options options = {.file = file,
                                            .run_key = run_key,
                                            .log = on_log,
                                            .log_level = MILLRACE_LOG_WARN};
    int code = millrace_open(&options, pipeline);
    if (code != MILLRACE_OK)
        print_errors(*pipeline);
    return code;
}

/* Rows of the primary frame, counted batch by batch. */
static int count_rows(struct millrace_pipeline *pipeline)
{
    struct ArrowArrayStream stream;
    int code = millrace_stream(pipeline, NULL, 0, &stream);
    if (code != MILLRACE_OK) {
        print_errors(pipeline);
        return code;
    }
    struct ArrowSchema schema;
    struct ArrowArray batch;
    int64_t rows = 0, columns = 0;
    if (stream.get_schema(&stream, &schema) == 0) {
        columns = schema.n_children;
        schema.release(&schema);
    }
    while ((code = stream.get_next(&stream, &batch)) == 0 && batch.release) {
        rows += batch.length;
        batch.release(&batch);
    }
    if (code != 0)
        fprintf(stderr, "stream: %s\n", stream.get_last_error(&stream));
    stream.release(&stream);
    printf("stream: %lld rows, %lld columns\n", (long long)rows, (long long)columns);
    return code;
}

static int run(struct millrace_pipeline *pipeline, bool cancel)
{
    struct millrace_run_options options = {.progress = on_progress};
    char *report = NULL;
    pthread_t thread;
    if (cancel && pthread_create(&thread, NULL, cancel_soon, pipeline) == 0)
        pthread_join(thread, NULL);
    int code = millrace_run(pipeline, &options, &report);
    if (code != MILLRACE_OK)
        print_errors(pipeline);
    printf("run: code %d, report of %s\n", code, report ? "some bytes" : "nothing");
    millrace_free(report);
    return code;
}

/* Each task on a pipeline of its own, as it would be in another process or on another host. */
static int run_task(const char *file, const struct millrace_bytes *task,
                    struct millrace_bytes *result)
{
    struct millrace_pipeline *worker = NULL;
    int code = open_pipeline(file, NULL, &worker);
    if (code == MILLRACE_OK) {
        code = millrace_job_run_task(worker, task->data, task->size, result);
        if (code != MILLRACE_OK)
            print_errors(worker);
    }
    millrace_close(worker);
    return code;
}

static int run_job(struct millrace_pipeline *pipeline, const char *file)
{
    struct millrace_bytes *tasks = NULL, *results = NULL;
    int ntasks = 0;
    int code = millrace_job_plan(pipeline, &tasks, &ntasks);
    if (code == MILLRACE_OK)
        results = calloc((size_t)ntasks + 1, sizeof *results);
    for (int i = 0; results && code == MILLRACE_OK && i < ntasks; i++)
        code = run_task(file, &tasks[i], &results[i]);
    if (results && code == MILLRACE_OK)
        code = millrace_job_commit(pipeline, results, ntasks);
    if (code != MILLRACE_OK)
        print_errors(pipeline);
    printf("job: %d tasks, code %d\n", ntasks, code);
    for (int i = 0; i < ntasks; i++) {
        millrace_free(tasks[i].data);
        if (results)
            millrace_free(results[i].data);
    }
    millrace_free(tasks);
    free(results);
    return code;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 2 ? argv[2] : "run";
    const char *run_key = argc > 3 ? argv[3] : NULL;
    struct millrace_pipeline *pipeline = NULL;
    if (argc < 2) {
        fprintf(stderr, "usage: embed PIPELINE [run|cancel|job [RUN_KEY]]\n");
        return MILLRACE_USAGE;
    }
    printf("millrace %s\n", millrace_version());
    int code = open_pipeline(argv[1], NULL, &pipeline);
    if (code == MILLRACE_OK)
        code = count_rows(pipeline);
    millrace_close(pipeline);
    if (code != MILLRACE_OK)
        return code;
    pipeline = NULL;
    code = open_pipeline(argv[1], run_key, &pipeline);
    if (code == MILLRACE_OK)
        code = strcmp(mode, "job") ? run(pipeline, !strcmp(mode, "cancel"))
                                   : run_job(pipeline, argv[1]);
    millrace_close(pipeline);
    return code;
}

/*
 * embed.c - a pipeline inside of a C program: check it, look at its rows through the Arrow C stream, run it with progress, and
 * cancel it from another thread on request.
 *
 *   cc embed.c $(pkg-config --cflags --libs millrace) -o embed && ./embed pipeline.json
 */
#include <millrace.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

static int open_pipeline(const char *file, struct millrace_pipeline **pipeline)
{
    struct millrace_open_options options = {
        .file = file, .log = on_log, .log_level = MILLRACE_LOG_WARN};
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

int main(int argc, char **argv)
{
    struct millrace_pipeline *pipeline = NULL;
    if (argc < 2) {
        fprintf(stderr, "usage: embed PIPELINE [--cancel]\n");
        return MILLRACE_USAGE;
    }
    printf("millrace %s\n", millrace_version());
    int code = open_pipeline(argv[1], &pipeline);
    if (code == MILLRACE_OK)
        code = count_rows(pipeline);
    millrace_close(pipeline);
    if (code != MILLRACE_OK)
        return code;
    pipeline = NULL;
    code = open_pipeline(argv[1], &pipeline);
    if (code == MILLRACE_OK)
        code = run(pipeline, argc > 2);
    millrace_close(pipeline);
    return code;
}

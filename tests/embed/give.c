/*
 * give.c - rows given to pipelines as Arrow streams that count what is done to them.
 *
 * Ends with status 0 and "N checks" when everything is as it should be. Writes below the current directory.
 */
#include <millrace.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static int checks;

static void check_at(int line, int good, const char *what)
{
    checks++;
    if (good)
        return;
    fprintf(stderr, "give.c:%d: not so: %s\n", line, what);
    exit(1);
}
#define CHECK(condition) check_at(__LINE__, (condition), #condition)

/* --- a stream of batches of one BIGINT column "n": 0, 1, 2, .. --- */

struct numbers {
    int batches, rows; /* so many rows a batch */
    int fail_at;       /* this batch is an error; -1 = none */
    int given;
    int nexts, releases, arrays; /* arrays: not yet released */
};

static void release_schema(struct ArrowSchema *schema)
{
    if (schema->children) {
        schema->children[0]->release(schema->children[0]);
        free(schema->children[0]);
        free(schema->children);
    }
    schema->release = NULL;
}

static int get_schema(struct ArrowArrayStream *self, struct ArrowSchema *out)
{
    (void)self;
    struct ArrowSchema *child = calloc(1, sizeof *child);
    *child = (struct ArrowSchema){.format = "l", .name = "n", .release = release_schema};
    *out = (struct ArrowSchema){.format = "+s",
                                .name = "",
                                .n_children = 1,
                                .release = release_schema};
    out->children = calloc(1, sizeof child);
    out->children[0] = child;
    return 0;
}

static void release_array(struct ArrowArray *array)
{
    if (array->n_children) {
        ((struct numbers *)array->private_data)->arrays--;
        array->children[0]->release(array->children[0]);
        free(array->children[0]);
        free(array->children);
    } else {
        free((void *)array->buffers[1]);
    }
    free(array->buffers);
    array->release = NULL;
}

static int get_next(struct ArrowArrayStream *self, struct ArrowArray *out)
{
    struct numbers *numbers = self->private_data;
    numbers->nexts++;
    memset(out, 0, sizeof *out);
    if (numbers->given == numbers->fail_at)
        return EIO;
    if (numbers->given == numbers->batches)
        return 0;
    int64_t *values = malloc((size_t)numbers->rows * sizeof *values);
    for (int i = 0; i < numbers->rows; i++)
        values[i] = (int64_t)numbers->given * numbers->rows + i;
    numbers->given++;
    numbers->arrays++;
    struct ArrowArray *child = calloc(1, sizeof *child);
    *child = (struct ArrowArray){.length = numbers->rows, .n_buffers = 2, .release = release_array};
    child->buffers = calloc(2, sizeof(void *));
    child->buffers[1] = values;
    *out = (struct ArrowArray){.length = numbers->rows,
                               .n_buffers = 1,
                               .n_children = 1,
                               .release = release_array,
                               .private_data = numbers};
    out->buffers = calloc(1, sizeof(void *));
    out->children = calloc(1, sizeof child);
    out->children[0] = child;
    return 0;
}

static const char *get_last_error(struct ArrowArrayStream *self)
{
    (void)self;
    return "the well is dry";
}

static void release_stream(struct ArrowArrayStream *self)
{
    ((struct numbers *)self->private_data)->releases++;
    self->release = NULL;
}

static struct ArrowArrayStream stream_of(struct numbers *numbers)
{
    return (struct ArrowArrayStream){get_schema, get_next, get_last_error, release_stream, numbers};
}

/* --- pipelines --- */

#define READ                                                                                       \
    "{\"type\": \"extract\", \"method\": \"fromArrow\", \"config\": {\"stream\": \"numbers\"}}"
#define HEAD "{\"name\": \"give\", \"resources\": {\"parallelism\": 2%s}, \"steps\": ["
#define WRITE                                                                                      \
    "{\"type\": \"load\", \"method\": \"toFile\", \"config\": {\"path\": \"out/\", \"format\": "   \
    "\"csv\", \"mode\": \"overwrite\"}}"

static struct millrace_pipeline *open_text(const char *resources, const char *steps)
{
    char text[4096];
    snprintf(text, sizeof text, HEAD "%s]}", resources, steps);
    struct millrace_open_options options = {.file = "give.json",
                                            .text = text,
                                            .text_size = strlen(text)};
    struct millrace_pipeline *pipeline = NULL;
    int code = millrace_open(&options, &pipeline);
    for (int i = 0; i < millrace_error_count(pipeline); i++)
        fprintf(stderr, "%s\n", millrace_error_message(pipeline, i));
    CHECK(code == MILLRACE_OK);
    return pipeline;
}

static int give(struct millrace_pipeline *pipeline, struct numbers *numbers)
{
    struct ArrowArrayStream stream = stream_of(numbers);
    int code = millrace_give_stream(pipeline, "numbers", &stream);
    CHECK((stream.release == NULL) == (code == MILLRACE_OK));
    return code;
}

static int said(const struct millrace_pipeline *pipeline, const char *words)
{
    for (int i = 0; i < millrace_error_count(pipeline); i++)
        if (strstr(millrace_error_message(pipeline, i), words))
            return 1;
    for (int i = 0; i < millrace_error_count(pipeline); i++)
        fprintf(stderr, "%s\n", millrace_error_message(pipeline, i));
    return 0;
}

/* Rows and their sum, from the stream of the last transform. */
static int64_t drain(struct millrace_pipeline *pipeline, int64_t wanted, int64_t *sum)
{
    struct ArrowArrayStream stream;
    struct ArrowArray batch;
    int64_t rows = 0;
    CHECK(millrace_stream(pipeline, NULL, wanted, &stream) == MILLRACE_OK);
    *sum = 0;
    while (stream.get_next(&stream, &batch) == 0 && batch.release) {
        const int64_t *values = (const int64_t *)batch.children[0]->buffers[1];
        for (int64_t i = 0; i < batch.length; i++)
            *sum += values[i];
        rows += batch.length;
        batch.release(&batch);
    }
    stream.release(&stream);
    return rows;
}

/* --- what is checked --- */

static void reads_once(int batches, int rows)
{
    struct numbers numbers = {.batches = batches, .rows = rows, .fail_at = -1};
    struct millrace_pipeline *pipeline = open_text("", READ);
    int64_t count = (int64_t)batches * rows, sum;
    CHECK(give(pipeline, &numbers) == MILLRACE_OK);
    CHECK(millrace_validate(pipeline, false) == MILLRACE_OK);
    CHECK(numbers.nexts == 0);
    CHECK(millrace_validate(pipeline, true) == MILLRACE_OK);
    CHECK(numbers.nexts == batches + 1 && numbers.releases == 1 && numbers.arrays == 0);
    for (int i = 0; i < 2; i++) {
        CHECK(drain(pipeline, 0, &sum) == count);
        CHECK(sum == count * (count - 1) / 2);
    }
    CHECK(drain(pipeline, 7, &sum) == (count < 7 ? count : 7));
    CHECK(numbers.nexts == batches + 1);
    millrace_close(pipeline);
    CHECK(numbers.releases == 1);
}

static void used_twice(void)
{
    struct numbers numbers = {.batches = 5, .rows = 100000, .fail_at = -1};
    struct millrace_pipeline *pipeline =
        open_text("", "{\"type\": \"extract\", \"method\": \"fromArrow\", \"config\": {\"stream\": "
                      "\"numbers\", \"registerAs\": \"a\"}},"
                      "{\"type\": \"extract\", \"method\": \"fromArrow\", \"config\": {\"stream\": "
                      "\"numbers\", \"registerAs\": \"b\"}},"
                      "{\"type\": \"transform\", \"method\": \"unionDataFrames\", \"config\": "
                      "{\"inputDataFrames\": [\"a\", \"b\"]}}," WRITE);
    char *report = NULL, *plan = NULL;
    CHECK(give(pipeline, &numbers) == MILLRACE_OK);
    CHECK(millrace_plan(pipeline, false, &plan) == MILLRACE_OK);
    CHECK(strstr(plan, "Arrow stream \"numbers\"") != NULL);
    CHECK(millrace_run(pipeline, NULL, &report) == MILLRACE_OK);
    CHECK(strstr(report, "\"rows_written\": 1000000") != NULL);
    CHECK(numbers.nexts == 6 && numbers.releases == 1 && numbers.arrays == 0);
    millrace_free(plan);
    millrace_free(report);
    millrace_close(pipeline);
}

static void refusals(void)
{
    struct numbers numbers = {.batches = 1, .rows = 1, .fail_at = -1}, other = numbers;
    struct ArrowArrayStream stream = stream_of(&other);
    struct millrace_pipeline *pipeline = open_text("", READ "," WRITE);
    CHECK(millrace_validate(pipeline, false) == MILLRACE_OK);
    millrace_close(pipeline);

    pipeline = open_text("", READ "," WRITE);
    CHECK(millrace_run(pipeline, NULL, NULL) == MILLRACE_CONFIG);
    CHECK(said(pipeline, "the command cannot"));
    millrace_close(pipeline);

    pipeline = open_text("", READ "," WRITE);
    CHECK(millrace_give_stream(pipeline, "letters", &stream) == MILLRACE_OK);
    CHECK(stream.release == NULL);
    CHECK(millrace_give_stream(pipeline, "digits", &stream) == MILLRACE_USAGE);
    CHECK(said(pipeline, "released already"));
    CHECK(give(pipeline, &numbers) == MILLRACE_OK);
    CHECK(give(pipeline, &numbers) == MILLRACE_USAGE);
    CHECK(said(pipeline, "\"numbers\" is given already"));
    CHECK(millrace_give_stream(pipeline, "", &stream) == MILLRACE_USAGE);
    CHECK(millrace_validate(pipeline, false) == MILLRACE_OK);
    stream = stream_of(&other);
    CHECK(millrace_give_stream(pipeline, "late", &stream) == MILLRACE_USAGE);
    CHECK(stream.release != NULL);
    millrace_close(pipeline);
    CHECK(numbers.releases == 1 && other.releases == 1 && numbers.nexts == 0);

    pipeline = open_text("", READ "," WRITE);
    stream = stream_of(&other);
    CHECK(millrace_give_stream(pipeline, "letters", &stream) == MILLRACE_OK);
    CHECK(millrace_validate(pipeline, false) == MILLRACE_CONFIG);
    CHECK(said(pipeline, "given: \"letters\""));
    millrace_close(pipeline);
}

static void failures(void)
{
    struct numbers broken = {.batches = 3, .rows = 10, .fail_at = 2};
    struct millrace_pipeline *pipeline = open_text("", READ "," WRITE);
    char *plan = NULL;
    CHECK(give(pipeline, &broken) == MILLRACE_OK);
    for (int i = 0; i < 2; i++) {
        CHECK(millrace_plan(pipeline, false, &plan) == MILLRACE_SOURCE);
        CHECK(said(pipeline, "the well is dry"));
    }
    CHECK(broken.releases == 1 && broken.nexts == 3 && broken.arrays == 0);
    millrace_close(pipeline);

    struct numbers large = {.batches = 100, .rows = 100000, .fail_at = -1};
    pipeline = open_text(", \"memory\": \"32MB\"", READ "," WRITE);
    CHECK(give(pipeline, &large) == MILLRACE_OK);
    CHECK(millrace_run(pipeline, NULL, NULL) == MILLRACE_LIMIT);
    CHECK(said(pipeline, "step 1 (fromArrow)"));
    CHECK(said(pipeline, "raise resources.memory"));
    CHECK(large.releases == 1 && large.arrays == 0);
    millrace_close(pipeline);
}

/* A job in parts: every pipeline is given the rows, and one that is given others is found out. */
static void job(void)
{
    struct millrace_pipeline *pipeline = open_text("", READ "," WRITE);
    struct numbers numbers = {.batches = 7, .rows = 50000, .fail_at = -1};
    struct millrace_bytes *tasks = NULL, *more = NULL, results[16];
    int n = 0, nmore = 0;
    CHECK(give(pipeline, &numbers) == MILLRACE_OK);
    CHECK(millrace_job_plan(pipeline, &tasks, &n) == MILLRACE_OK);
    CHECK(n >= 1 && n <= 16);
    /* The job that it has goes on. */
    CHECK(millrace_job_plan(pipeline, &more, &nmore) == MILLRACE_USAGE);
    CHECK(said(pipeline, "has a job already") && more == NULL);
    for (int i = 0; i < n; i++) {
        struct numbers same = {.batches = 350, .rows = 1000, .fail_at = -1};
        struct millrace_pipeline *worker = open_text("", READ "," WRITE);
        CHECK(give(worker, &same) == MILLRACE_OK);
        CHECK(millrace_job_run_task(worker, tasks[i].data, tasks[i].size, &results[i]) ==
              MILLRACE_OK);
        millrace_close(worker);
    }
    struct numbers less = {.batches = 1, .rows = 1000, .fail_at = -1};
    struct millrace_pipeline *worker = open_text("", READ "," WRITE);
    struct millrace_bytes none;
    CHECK(give(worker, &less) == MILLRACE_OK);
    CHECK(millrace_job_run_task(worker, tasks[0].data, tasks[0].size, &none) == MILLRACE_SOURCE);
    CHECK(said(worker, "350000"));
    millrace_close(worker);
    CHECK(millrace_job_commit(pipeline, results, n) == MILLRACE_OK);
    CHECK(millrace_job_commit(pipeline, results, n) == MILLRACE_USAGE);
    for (int i = 0; i < n; i++) {
        millrace_free(tasks[i].data);
        millrace_free(results[i].data);
    }
    millrace_free(tasks);
    millrace_close(pipeline);
}

/* A job asks its targets like a run: after the state was lost an append would bring its rows twice. */
static void job_without_state(void)
{
    struct numbers numbers = {.batches = 1, .rows = 10, .fail_at = -1};
    struct millrace_bytes *tasks = NULL;
    int n = 0;
    CHECK(rename(".millrace", "aside") == 0);
    struct millrace_pipeline *pipeline =
        open_text("", READ ",{\"type\": \"load\", \"method\": \"toFile\", \"config\": {\"path\": "
                           "\"out/\", \"format\": \"csv\", \"mode\": \"append\"}}");
    CHECK(give(pipeline, &numbers) == MILLRACE_OK);
    CHECK(millrace_job_plan(pipeline, &tasks, &n) == MILLRACE_SINK);
    CHECK(said(pipeline, "lost or copied"));
    CHECK(tasks == NULL && n == 0);
    millrace_close(pipeline);
}

/* Whatever happens on the way: for runs in which an allocation fails. */
static int once(void)
{
    struct numbers numbers = {.batches = 30, .rows = 5000, .fail_at = -1};
    char text[1024];
    snprintf(text, sizeof text, HEAD "%s]}", "", READ "," WRITE);
    struct millrace_open_options options = {.file = "give.json",
                                            .text = text,
                                            .text_size = strlen(text)};
    struct millrace_pipeline *pipeline = NULL;
    struct ArrowArrayStream stream = stream_of(&numbers);
    int code = millrace_open(&options, &pipeline);
    if (code == MILLRACE_OK)
        code = millrace_give_stream(pipeline, "numbers", &stream);
    if (stream.release)
        stream.release(&stream);
    if (code == MILLRACE_OK)
        code = millrace_run(pipeline, NULL, NULL);
    struct ArrowArrayStream out;
    struct ArrowArray batch;
    if (code == MILLRACE_OK && millrace_stream(pipeline, NULL, 0, &out) == MILLRACE_OK) {
        while (out.get_next(&out, &batch) == 0 && batch.release)
            batch.release(&batch);
        out.release(&out);
    }
    millrace_close(pipeline);
    CHECK(numbers.releases == 1 && numbers.arrays == 0);
    printf("code %d\n", code);
    return code;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "once"))
        return once();
    reads_once(0, 1);
    reads_once(1, 1);
    reads_once(1, 300000);
    reads_once(3000, 100);
    reads_once(7, 20000);
    used_twice();
    refusals();
    failures();
    job();
    job_without_state();
    printf("%d checks\n", checks);
    return 0;
}

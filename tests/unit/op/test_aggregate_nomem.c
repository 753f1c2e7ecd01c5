/*
 * Allocations of aggregateData fail one at a time (configure --enable-failpoints; every 23rd, with MILLRACE_LONG all): bind, two tasks, spilling, merging,
 * results. Each time the answer must be "out of memory", with nothing charged and, under the address sanitizer, nothing
 * leaked. Each try is a child of its own: MILLRACE_FAIL_ALLOC is read once a process.
 */
#include "base/tz.h"
#include "codec/codecs.h"
#include "col/builder.h"
#include "ext/registry.h"
#include "op/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const plain[] = {"groupBy",
                                    "s",
                                    "aggregations",
                                    "a=sum(d) / count(i) + avg(i)",
                                    "aggregations",
                                    "b=max(s)",
                                    "aggregations",
                                    "c=last(l)",
                                    "aggregations",
                                    "e=max_by(s, i)",
                                    "aggregations",
                                    "f=count(DISTINCT i, s)",
                                    "having",
                                    "a IS NOT NULL OR true",
                                    NULL};
static const char *const bags[] = {"groupBy",
                                   "i % 4 AS g",
                                   "groupBy",
                                   "l",
                                   "aggregations",
                                   "a=collect_list(l) FILTER (WHERE i > 2)",
                                   "aggregations",
                                   "b=percentile(i, array(0.1, 0.5))",
                                   "aggregations",
                                   "c=mode(s)",
                                   "aggregations",
                                   "e=approx_count_distinct(i)",
                                   "aggregations",
                                   "f=corr(i, d)",
                                   NULL};
static const char *const *const variants[] = {plain, bags};
#define NVARIANTS (sizeof variants / sizeof variants[0])

static const struct mr_codec *const codecs[] = {&mr_codec_lz4, NULL};

static enum mr_status append(struct mr_builder *builder, int i, int c, struct mr_error *err)
{
    char text[64];
    if (i % 7 == c)
        return mr_builder_null(builder, err);
    switch (c) {
    case 0:
        return mr_builder_int(builder, i % 23, err);
    case 1:
        snprintf(text, sizeof text, "%d%s", i % 5, i % 2 ? " and a text of some length" : "");
        return mr_builder_bytes(builder, text, strlen(text), err);
    case 2:
        return mr_builder_decimal(builder, i, err);
    default:
        MR_TRY(mr_builder_int(&builder->children[0], i % 3, err));
        return mr_builder_list(builder, err);
    }
}

static enum mr_status make_batch(struct mr_memory *memory, const struct mr_schema *schema, int from,
                                 struct mr_batch **out, struct mr_error *err)
{
    struct mr_column *columns[4] = {NULL};
    enum mr_status status = MR_OK;
    for (int c = 0; c < 4 && status == MR_OK; c++) {
        struct mr_builder builder;
        status = mr_builder_init(&builder, memory, schema->fields[c].type, err);
        for (int i = from; i < from + 60 && status == MR_OK; i++)
            status = append(&builder, i, c, err);
        if (status == MR_OK)
            status = mr_builder_finish(&builder, &columns[c], err);
        mr_builder_reset(&builder);
    }
    if (status == MR_OK)
        return mr_batch_new(schema, 60, columns, out, err);
    for (int c = 0; c < 4; c++)
        mr_column_unref(columns[c]);
    return status;
}

static enum mr_status drop(struct mr_emit *emit, int port, struct mr_batch *batch,
                           struct mr_error *err)
{
    (void)emit;
    (void)port;
    (void)err;
    mr_batch_unref(batch);
    return MR_OK;
}

static enum mr_status run(const struct mr_op *op, const struct mr_op_bind *bind,
                          struct mr_runtime *runtime, struct mr_error *err)
{
    void *plan = NULL, *tasks[2] = {NULL, NULL};
    struct mr_op_info info = {.rows = -1};
    struct mr_emit emit = {.batch = drop};
    struct mr_batch *batch = NULL;
    enum mr_status status;
    MR_TRY(op->bind(bind, &plan, &info, err));
    for (int t = 0; t < 2; t++) {
        MR_TRY_OUT(op->open(plan, runtime, &tasks[t], err));
        for (int b = 0; b < 2; b++) {
            MR_TRY_OUT(
                make_batch(runtime->memory, bind->inputs[0].schema, t * 50 + b * 30, &batch, err));
            status = op->push(tasks[t], 0, batch, &emit, err);
            mr_batch_unref(batch);
            if (status != MR_OK)
                goto out;
        }
        MR_TRY_OUT(op->finish(tasks[t], 0, &emit, err));
    }
    MR_TRY_OUT(op->combine(tasks[0], tasks[1], err));
    for (int p = 0; p < info.pulls; p++)
        MR_TRY_OUT(op->pull(tasks[0], runtime, p, &emit, err));
out:
    for (int t = 0; t < 2; t++)
        if (tasks[t])
            op->close(tasks[t]);
    return status;
}

static enum mr_status everything(const char *const *pairs, const char *directory,
                                 struct mr_memory *memory, struct mr_error *err)
{
    const struct mr_op *op = &mr_op_aggregate_data;
    struct mr_counters counters = {0};
    struct mr_registry registry = {.codecs = codecs};
    struct mr_runtime runtime = {.memory = memory,
                                 .counters = &counters,
                                 .registry = &registry,
                                 .temp_dir = directory,
                                 .parallelism = 1,
                                 .share = 4000};
    struct mr_arena arena;
    struct mr_op_input input = {.rows = -1};
    struct mr_op_bind bind = {
        .runtime = &runtime, .arena = &arena, .inputs = &input, .ninputs = 1, .ansi = true};
    struct mr_tz *tz = NULL;
    enum mr_status status;
    mr_arena_init(&arena, memory);
    MR_TRY_OUT(mr_tz_new("UTC", &tz, err));
    bind.tz = tz;
    MR_TRY_OUT(mr_schema_parse(&arena, "i INT, s STRING, d DECIMAL(20,2), l ARRAY<INT>",
                               &input.schema, err));
    MR_TRY_OUT(mr_options_from_texts(&arena, op->options, pairs, &bind.options, err));
    status = run(op, &bind, &runtime, err);
out:
    mr_tz_free(tz);
    mr_arena_reset(&arena);
    return status;
}

/* The exit status of a child in which allocation n fails: an enum mr_status, or 99 for bytes left charged. */
static int try_once(const char *const *pairs, const char *directory, int n)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct mr_memory memory;
        struct mr_error err;
        char number[16];
        snprintf(number, sizeof number, "%d", n);
        setenv("MILLRACE_FAIL_ALLOC", number, 1);
        mr_memory_init(&memory, NULL, "test", INT64_MAX);
        int status = (int)everything(pairs, directory, &memory, &err);
        if (n == 0 && status != MR_OK)
            printf("%s\n", err.message);
        exit(mr_memory_used(&memory) ? 99 : status);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 98;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 97;
}

int main(void)
{
#ifdef MR_ENABLE_FAILPOINTS
    const bool injected = true;
#else
    const bool injected = false;
#endif
    char directory[] = "/tmp/op-nomem-XXXXXX";
    if (!mkdtemp(directory))
        return 1;
    int result = injected ? 0 : 77;
    /* A process for each of some ten thousand: all of them only where there is time. */
    const int every = getenv("MILLRACE_LONG") ? 1 : 23;
    for (size_t v = 0; v < NVARIANTS; v++) {
        /* 0 never fails: without injection the code runs once. */
        int n = injected, status = MR_NOMEM;
        while ((status = try_once(variants[v], directory, n)) == MR_NOMEM && injected)
            n += every;
        printf("variant %d: failures up to %d, then status %d\n", (int)v, n - injected, status);
        if (status != MR_OK)
            result = 1;
    }
    if (!injected)
        printf("skipped: no failures without configure --enable-failpoints\n");
    return rmdir(directory) == 0 ? result : 1;
}

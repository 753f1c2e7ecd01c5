/*
 * run_many.c - `millrace run A.json B.json ..`: a session and a thread for each file, one pool for all.
 *
 * All files are opened before anything runs, so that the same pipeline named twice is refused and the
 * queue has the order of the files. Who may begin is the pool's to decide (run/pool.c): a thread whose
 * turn has not come sleeps in millrace_run. A pipeline is closed as soon as its run has ended, and its
 * connections with it.
 *
 * One that fails does not stop the others, also one whose file is wrong, unless --fail-fast says so. The exit code is
 * that of the first failure in the order of the files, which does not depend on which failed first.
 */
#include "cli/run.h"

#include "api/pipeline.h"
#include "base/alloc.h"
#include "base/thread.h"
#include "base/time.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct slot {
    struct many *many;
    int number;
    const char *file;
    char label[128]; /* the pipeline's name, or the file's where it has none */
    struct millrace_pipeline *pipeline;
    struct mr_thread thread;
    struct mr_cli_log log;
    struct mr_cli_bar bar;
    struct millrace_progress progress; /* lock */
    int code;
    bool stopped; /* by --fail-fast */
    char *report;
};

struct many {
    const struct mr_cli_options *options;
    struct millrace_pool *pool;
    int64_t started;      /* monotonic micros */
    int64_t started_wall; /* wall micros */
    pthread_mutex_t lock; /* output, progress, `failing`, and the slots' ends for last_words */
    bool failing;         /* one has failed, and --fail-fast was given */
    struct mr_cli_bar bar;
    int nslots;
    struct slot slots[MR_CLI_MAX_FILES];
};

/* --- progress --- */

static bool draws(const struct many *many)
{
    return many->bar.mode == MR_CLI_PROGRESS_AUTO && many->bar.terminal;
}

/* One bar for all on a terminal. Caller holds the lock. */
static void draw_sum(struct many *many, bool done)
{
    struct millrace_progress sum = {.done = done};
    for (int i = 0; i < many->nslots; i++) {
        const struct millrace_progress *one = &many->slots[i].progress;
        sum.rows_read += one->rows_read;
        sum.rows_written += one->rows_written;
        sum.bytes_read += one->bytes_read;
        sum.bytes_written += one->bytes_written;
        sum.rows_expected = sum.rows_expected < 0 || one->rows_expected < 0
                                ? -1
                                : sum.rows_expected + one->rows_expected;
        sum.splits_done += one->splits_done;
        sum.splits += one->splits;
    }
    mr_cli_bar_update(&many->bar, &sum);
}

static void on_progress(void *context, const struct millrace_progress *progress)
{
    struct slot *slot = context;
    struct many *many = slot->many;
    pthread_mutex_lock(&many->lock);
    if (!slot->bar.name) { /* its turn has come only now */
        mr_cli_bar_init(&slot->bar, many->options->progress);
        slot->bar.name = slot->label;
    }
    slot->progress = *progress;
    if (draws(many))
        draw_sum(many, false);
    else
        mr_cli_bar_update(&slot->bar, progress);
    pthread_mutex_unlock(&many->lock);
}

/* --- one pipeline --- */

/* Caller holds the lock. */
static void print_end(struct slot *slot)
{
    const char *erase = slot->log.erase;
    for (int i = slot->log.json ? 1 : 0; i < millrace_error_count(slot->pipeline); i++)
        fprintf(stderr, "%serror: %s: %s\n", erase, slot->label,
                millrace_error_message(slot->pipeline, i));
    if (slot->code == MILLRACE_OK && slot->report && !slot->many->options->quiet &&
        !mr_cli_report_to_stdout(slot->many->options)) {
        if (draws(slot->many))
            fputs(erase, stdout);
        mr_cli_print_summary(slot->report);
        fflush(stdout);
    }
}

static void fail_fast(struct slot *slot)
{
    struct many *many = slot->many;
    pthread_mutex_lock(&many->lock);
    bool first = !many->failing;
    many->failing = many->failing || many->options->fail_fast;
    first = first && many->failing;
    pthread_mutex_unlock(&many->lock);
    if (first)
        mr_cli_cancel_others(slot->number);
}

static void run_slot(void *arg)
{
    struct slot *slot = arg;
    struct many *many = slot->many;
    const struct mr_cli_options *options = many->options;
    struct millrace_run_options run = {
        .fresh = options->fresh,
        .resume = options->resume,
        .adopt = options->adopt,
        .progress = options->progress == MR_CLI_PROGRESS_NONE ? NULL : on_progress,
        .progress_context = slot,
    };
    char *report = NULL;
    int code = millrace_run(slot->pipeline, &run, &report);
    mr_cli_watch(slot->number, NULL);
    pthread_mutex_lock(&many->lock);
    slot->code = code;
    slot->report = report;
    slot->stopped = many->failing && slot->code == MILLRACE_CANCELLED;
    print_end(slot);
    struct millrace_pipeline *pipeline = slot->pipeline;
    slot->pipeline = NULL;
    pthread_mutex_unlock(&many->lock);
    if (slot->code != MILLRACE_OK && !slot->stopped)
        fail_fast(slot);
    millrace_close(pipeline);
}

static void open_slot(struct many *many, int number)
{
    struct slot *slot = &many->slots[number];
    const char *file = many->options->files[number];
    pthread_mutex_lock(&many->lock);
    *slot = (struct slot){.many = many, .number = number, .file = file};
    pthread_mutex_unlock(&many->lock);
    snprintf(slot->label, sizeof slot->label, "%s", file);
    slot->log = mr_cli_log_of(many->options);
    slot->log.name = slot->label;
    slot->code = mr_cli_open_in(many->options, file, many->pool, &slot->log, &slot->pipeline);
    if (slot->code == MILLRACE_OK)
        snprintf(slot->label, sizeof slot->label, "%s", slot->pipeline->session->spec->name);
    else
        slot->report = mr_api_brief_report(slot->pipeline, file, slot->code, NULL);
}

/* The same pipeline twice would find itself busy, or its second run nothing to do: a mistake. */
static bool named_twice(const struct many *many)
{
    for (int i = 0; i < many->nslots; i++) {
        for (int j = 0; j < i; j++) {
            const struct slot *one = &many->slots[j], *other = &many->slots[i];
            if (!one->pipeline || !other->pipeline ||
                !mr_api_same_state(one->pipeline, other->pipeline))
                continue;
            fprintf(stderr,
                    "millrace run: %s and %s have the same state key %s: nothing was run (runs "
                    "that are to be beside each other need different stateKeys)\n",
                    one->file, other->file, one->pipeline->session->spec->state_key);
            return true;
        }
    }
    return false;
}

/* --- all of them --- */

static void refuse(struct slot *slot, enum mr_status status, struct mr_error *err)
{
    if (status == MR_CANCELLED)
        mr_error_cancelled(err);
    slot->stopped = status == MR_CANCELLED;
    slot->code = mr_cli_exit_code(mr_status_exit_code(status));
    slot->report = mr_api_brief_report(slot->pipeline, slot->file, slot->code, err);
    fprintf(stderr, "error: %s: %s\n", slot->label, err->message);
}

static void run_all(struct many *many)
{
    for (int i = 0; i < many->nslots; i++)
        if (many->slots[i].code != MILLRACE_OK)
            many->failing = many->options->fail_fast;
    for (int i = 0; i < many->nslots; i++)
        if (many->slots[i].code == MILLRACE_OK && !many->failing) {
            mr_cli_watch(i, many->slots[i].pipeline);
            mr_api_queue(many->slots[i].pipeline);
        }
    bool none = many->failing;
    for (int i = 0; i < many->nslots; i++) {
        struct slot *slot = &many->slots[i];
        struct mr_error err = {0};
        enum mr_status status = MR_CANCELLED;
        if (slot->code != MILLRACE_OK)
            continue;
        if (!none)
            status = mr_thread_start(&slot->thread, "run", run_slot, slot, &err);
        if (status != MR_OK)
            refuse(slot, status, &err);
        if (status != MR_OK && !none)
            mr_cli_watch(i, NULL);
    }
    for (int i = 0; i < many->nslots; i++)
        if (many->slots[i].thread.running)
            mr_thread_join(&many->slots[i].thread);
}

/* A signal that stopped a run decides, else the first failure in the order of the files. */
static int exit_code(const struct many *many)
{
    int code = MILLRACE_OK;
    for (int i = 0; i < many->nslots; i++) {
        const struct slot *slot = &many->slots[i];
        if (slot->code == MILLRACE_CANCELLED && mr_cli_signal())
            return mr_cli_exit_code(slot->code);
        if (code == MILLRACE_OK && !slot->stopped)
            code = slot->code;
    }
    return code;
}

/* Caller holds the lock, or is alone. */
static json_t *report_of(const struct slot *slot, const struct mr_error *unknown, int code)
{
    char *brief = NULL;
    const char *text = slot->report;
    if (!text)
        text = brief = mr_api_brief_report(slot->pipeline, slot->file, code, unknown);
    json_t *out = text ? json_loads(text, 0, NULL) : NULL;
    millrace_free(brief);
    if (!out)
        return json_object();
    /* The file as it was named: the same in all reports, and the key to them. */
    json_object_set_new(out, "file", json_string(slot->file));
    return out;
}

/* `unknown` stands for runs that have no report. */
static char *build_report(const struct many *many, int code, const struct mr_error *unknown)
{
    static const char *const names[] = {"succeeded", "failed", "cancelled"};
    int counts[3] = {0};
    char started[MR_TIME_TEXT_MAX];
    json_t *out = json_object(), *runs = json_array();
    for (int i = 0; i < many->nslots; i++) {
        json_t *run = report_of(&many->slots[i], unknown, code);
        const char *status = json_string_value(json_object_get(run, "status"));
        status = status ? status : "failed";
        counts[!strcmp(status, "success") ? 0 : !strcmp(status, "failed") ? 1 : 2]++;
        json_array_append_new(runs, run);
    }
    int size = mr_timestamp_format(many->started_wall, 'T', started);
    json_object_set_new(out, "report_version", json_integer(1));
    json_object_set_new(out, "status",
                        json_string(code == MILLRACE_OK          ? "success"
                                    : code >= MILLRACE_CANCELLED ? "cancelled"
                                                                 : "failed"));
    json_object_set_new(out, "exit_code", json_integer(code));
    json_object_set_new(out, "started", json_sprintf("%.*sZ", size, started));
    json_object_set_new(out, "duration_ms",
                        json_real((double)(mr_clock_monotonic_micros() - many->started) / 1000.0));
    for (int i = 0; i < 3; i++)
        json_object_set_new(out, names[i], json_integer(counts[i]));
    json_object_set_new(out, "runs", runs);
    char *text = json_dumps(out, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(out);
    return text;
}

static void write_report(const struct many *many, int code, const struct mr_error *unknown)
{
    struct mr_error err = {0};
    if (!many->options->report)
        return;
    char *text = build_report(many, code, unknown);
    if (!text || mr_api_write_report(many->options->report, text, &err) != MR_OK)
        fprintf(stderr, "warning: no report file: %s\n", text ? err.message : "out of memory");
    free(text);
}

static void last_words(void *context, int code)
{
    struct many *many = context;
    struct mr_error err = {0};
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_sec++;
    mr_cli_gave_up(&err);
    if (pthread_mutex_timedlock(&many->lock, &soon) == 0)
        write_report(many, code, &err);
}

static void print_sum(const struct many *many)
{
    int good = 0;
    for (int i = 0; i < many->nslots; i++)
        good += many->slots[i].code == MILLRACE_OK;
    if (!many->options->quiet && !mr_cli_report_to_stdout(many->options))
        printf("%d of %d pipelines succeeded in %.2f s\n", good, many->nslots,
               (double)(mr_clock_monotonic_micros() - many->started) / 1e6);
}

static int run_opened(struct many *many)
{
    if (named_twice(many))
        return MILLRACE_USAGE;
    run_all(many);
    int code = exit_code(many);
    if (draws(many))
        draw_sum(many, true);
    print_sum(many);
    write_report(many, code, NULL);
    return code;
}

int mr_cli_run_many(const struct mr_cli_options *options)
{
    struct many *many = mr_calloc(1, sizeof *many);
    struct millrace_pool_options pool = {.runs = options->max_parallel, .memory = options->memory};
    int code = many ? millrace_pool_new(&pool, &many->pool) : MILLRACE_LIMIT;
    if (code != MILLRACE_OK) {
        fprintf(stderr, "error: out of memory\n");
        mr_free(many);
        return code;
    }
    many->options = options;
    many->nslots = options->nfiles;
    many->started = mr_clock_monotonic_micros();
    many->started_wall = mr_clock_wall_micros();
    mr_mutex_init(&many->lock);
    mr_cli_bar_init(&many->bar, options->progress);
    mr_cli_stop_within(options->stop_within, last_words, many);
    for (int i = 0; i < many->nslots; i++)
        open_slot(many, i);
    code = run_opened(many);
    mr_cli_stop_within(options->stop_within, NULL, NULL);
    for (int i = 0; i < many->nslots; i++) {
        millrace_close(many->slots[i].pipeline);
        millrace_free(many->slots[i].report);
    }
    millrace_pool_free(many->pool);
    pthread_mutex_destroy(&many->lock);
    mr_free(many);
    return code;
}

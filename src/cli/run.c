/*
 * run.c - `millrace run FILE`: runs it, shows progress, and a summary at the end.
 */
#include "cli/run.h"

#include "api/pipeline.h"
#include "base/time.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static long long integer_at(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

static void print_step(const json_t *step)
{
    char written[32];
    const json_t *counters = json_object_get(step, "counters");
    const char *location = json_string_value(json_object_get(step, "location"));
    const char *label = json_string_value(json_object_get(step, "step"));
    if (json_object_get(step, "pushed_down")) {
        printf("  %-34s done by the source\n", label);
        return;
    }
    printf("  %-34s %12lld rows in %12lld out", label, integer_at(step, "rows_in"),
           integer_at(step, "rows_out"));
    if (integer_at(counters, "files") > 0) {
        mr_size_format(integer_at(counters, "bytes_written"), written, sizeof written);
        printf("  %lld file%s, %s", integer_at(counters, "files"),
               integer_at(counters, "files") == 1 ? "" : "s", written);
    }
    if (integer_at(counters, "rows_rejected") > 0)
        printf("  %lld rejected", integer_at(counters, "rows_rejected"));
    if (integer_at(counters, "rows_late") > 0)
        printf("  %lld late", integer_at(counters, "rows_late"));
    printf("\n");
    if (location)
        printf("  %34s %s\n", "", location);
}

static void print_stream(const json_t *stream)
{
    const json_t *ages = json_object_get(stream, "latency_ms");
    if (!stream)
        return;
    long long epochs = integer_at(stream, "epochs");
    printf("  %lld epoch%s, %.0f ms each and at most %.0f ms", epochs, epochs == 1 ? "" : "s",
           json_number_value(json_object_get(stream, "epoch_ms_mean")),
           json_number_value(json_object_get(stream, "epoch_ms_max")));
    if (ages)
        printf("; records were %.0f ms old when committed (median), %.0f ms (95 %%), %.0f ms (all)",
               json_number_value(json_object_get(ages, "p50")),
               json_number_value(json_object_get(ages, "p95")),
               json_number_value(json_object_get(ages, "max")));
    printf("\n");
}

static void print_resumed(const json_t *resumed)
{
    if (!resumed)
        return;
    const char *run = json_string_value(json_object_get(resumed, "run"));
    const char *reason = json_string_value(json_object_get(resumed, "reason"));
    if (reason)
        printf("  the unfinished run %s was begun anew: %s\n", run, reason);
    else
        printf("  went on with the unfinished run %s: %lld splits, %lld rows were not read again\n",
               run, integer_at(resumed, "splits"), integer_at(resumed, "rows"));
}

/* Rows that were read and are not where the others are. */
static void print_rows_apart(const json_t *report)
{
    static const char *const kinds[][2] = {{"rows_rejected", "rejected"},
                                           {"rows_late", "late"},
                                           {"rows_dead_lettered", "to dead letters"}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (integer_at(report, kinds[i][0]) > 0)
            printf(", %lld %s", integer_at(report, kinds[i][0]), kinds[i][1]);
}

void mr_cli_print_summary(const char *text)
{
    json_t *report = json_loads(text, 0, NULL);
    size_t i;
    json_t *step;
    char peak[32], used[32], limit[32];
    if (!report)
        return;
    const json_t *resources = json_object_get(report, "resources");
    mr_size_format(integer_at(resources, "process_peak_bytes"), peak, sizeof peak);
    mr_size_format(integer_at(resources, "memory_peak_bytes"), used, sizeof used);
    mr_size_format(integer_at(resources, "memory_limit_bytes"), limit, sizeof limit);
    double seconds = json_number_value(json_object_get(report, "duration_ms")) / 1000.0;
    printf("%s: %s, %lld rows read, %lld written",
           json_string_value(json_object_get(report, "pipeline")),
           json_string_value(json_object_get(report, "status")), integer_at(report, "rows_read"),
           integer_at(report, "rows_written"));
    print_rows_apart(report);
    printf(" in %.2f s; at most %s resident, %s of the budget of %s reserved\n", seconds, peak,
           used, limit);
    const char *skipped =
        json_string_value(json_object_get(json_object_get(report, "skipped"), "run"));
    if (skipped)
        printf("  nothing was done: run key %s has succeeded already, as run %s\n",
               json_string_value(json_object_get(report, "run_key")), skipped);
    if (json_object_get(report, "finished_run"))
        printf("  finished the commit of the interrupted run %s; nothing was read again\n",
               json_string_value(json_object_get(report, "finished_run")));
    json_array_foreach(json_object_get(report, "resumed_from"), i, step)
        printf("  began at %s: %lld rows that run %s has made durable\n",
               json_string_value(json_object_get(step, "step")),
               (long long)integer_at(step, "rows"),
               json_string_value(json_object_get(step, "run")));
    print_stream(json_object_get(report, "stream"));
    print_resumed(json_object_get(report, "resumed"));
    json_array_foreach(json_object_get(report, "steps"), i, step) print_step(step);
    const char *advice = json_string_value(json_object_get(report, "advice"));
    if (advice)
        printf("  %s\n", advice);
    json_decref(report);
}

bool mr_cli_report_to_stdout(const struct mr_cli_options *options)
{
    return options->report && !strcmp(options->report, "-");
}

void mr_cli_gave_up(struct mr_error *err)
{
    mr_error_set(err, MR_CANCELLED, MR_CLASS_UNKNOWN,
                 "the run did not end in time after the signal and was given up");
    mr_error_hint(err, "run it again: it goes on where the last commit left off");
}

/* A report of a run that has none of its own. */
static void write_brief(const struct mr_cli_options *options,
                        const struct millrace_pipeline *pipeline, int code,
                        const struct mr_error *failure)
{
    struct mr_error err = {0};
    if (!options->report)
        return;
    char *text = mr_api_brief_report(pipeline, options->files[0], code, failure);
    if (!text || mr_api_write_report(options->report, text, &err) != MR_OK)
        fprintf(stderr, "warning: no report file: %s\n", text ? err.message : "out of memory");
    millrace_free(text);
}

struct one {
    const struct mr_cli_options *options;
    const struct millrace_pipeline *pipeline;
};

static void last_words(void *context, int code)
{
    const struct one *one = context;
    struct mr_error err = {0};
    mr_cli_gave_up(&err);
    write_brief(one->options, one->pipeline, code, &err);
}

static int run_opened(const struct mr_cli_options *options, struct millrace_pipeline *pipeline)
{
    struct mr_cli_bar bar;
    char *report = NULL;
    mr_cli_bar_init(&bar, options->progress);
    struct millrace_run_options run = {
        .fresh = options->fresh,
        .resume = options->resume,
        .adopt = options->adopt,
        .report_file = options->report,
        .listen = options->listen,
        .progress = options->progress == MR_CLI_PROGRESS_NONE ? NULL : mr_cli_bar_update,
        .progress_context = &bar,
    };
    int code = millrace_run(pipeline, &run, &report);
    mr_cli_catch_signals(NULL);
    bool drained = code == MILLRACE_CANCELLED && mr_api_was_drained(pipeline);
    if (report && !options->quiet && !mr_cli_report_to_stdout(options) &&
        (code == MILLRACE_OK || drained))
        mr_cli_print_summary(report);
    struct mr_cli_log log = mr_cli_log_of(options);
    if (code != MILLRACE_OK && !drained)
        mr_cli_print_run_errors(pipeline, &log);
    millrace_free(report);
    return code;
}

static int run_one(const struct mr_cli_options *options)
{
    struct millrace_pipeline *pipeline = NULL;
    struct one one = {options, NULL}, opened;
    mr_cli_stop_within(options->stop_within, last_words, &one);
    int code = mr_cli_open(options, 0, &pipeline);
    opened = (struct one){options, pipeline};
    mr_cli_stop_within(options->stop_within, last_words, &opened);
    if (code == MILLRACE_OK)
        code = run_opened(options, pipeline);
    else
        write_brief(options, pipeline, code, NULL);
    mr_cli_stop_within(options->stop_within, NULL, NULL);
    return mr_cli_close(pipeline, code);
}

/* The soft limit is for programs that use select(); a lane of a group takes about 19, and 1024 is the usual one. */
static void allow_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int mr_cli_run(int argc, char **argv)
{
    struct mr_cli_options options;
    allow_descriptors();
    mr_cli_hold_signals();
    int code = mr_cli_parse(argc, argv, "pcCSrKifRAPFLqmMaW", 1, MR_CLI_MAX_FILES, &options);
    if (code != 0)
        return code;
    if (options.fresh && options.adopt) {
        fprintf(stderr, "millrace run: --adopt goes on from what is loaded, --fresh loads "
                        "everything again: give one of them\n");
        return MILLRACE_USAGE;
    }
    if (options.resume && (options.fresh || options.adopt)) {
        fprintf(stderr, "millrace run: --resume with %s\n", options.fresh ? "--fresh" : "--adopt");
        return MILLRACE_USAGE;
    }
    if (options.nfiles > 1 && options.listen) {
        fprintf(stderr, "millrace run: --listen is for one file\n");
        return MILLRACE_USAGE;
    }
    if (options.nfiles > 1)
        return mr_cli_run_many(&options);
    return run_one(&options);
}

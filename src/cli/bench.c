/*
 * bench.c - `millrace bench BASELINE OPTIMIZED.. [--runs N]`: times configurations against each other.
 *
 * Every timed run is a process of its own, started from this program's file, so that start-up, memory and CPU are those of a real
 * run. Runs alternate between the configurations, because a machine's speed drifts. Before that each configuration runs
 * once with its output hashed (which also warms the caches), and the comparison stops when they do not write the same rows.
 */
#include "cli/bench.h"
#include "cli/cli.h"

#include "api/hash.h"
#include "api/pipeline.h"
#include "base/alloc.h"
#include "base/time.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The run's own options, for the children: --param a=b .. */
struct child_arguments {
    char *items[8 + 4 * MR_CLI_MAX_PAIRS];
    int count;
};

static void add_argument(struct child_arguments *arguments, const char *a, const char *b,
                         const char *join)
{
    size_t size = strlen(a) + (b ? strlen(b) + strlen(join) : 0) + 1;
    char *text = mr_alloc(size);
    if (!text)
        return;
    snprintf(text, size, "%s%s%s", a, b ? join : "", b ? b : "");
    arguments->items[arguments->count++] = text;
    arguments->items[arguments->count] = NULL;
}

static void build_arguments(const struct mr_cli_options *options, const char *file,
                            const char *report, struct child_arguments *out)
{
    out->count = 0;
    add_argument(out, "millrace", NULL, "");
    add_argument(out, "run", NULL, "");
    add_argument(out, "--quiet", NULL, "");
    add_argument(out, "--progress=none", NULL, "");
    add_argument(out, "--log-level=warn", NULL, "");
    add_argument(out, "--report", report, "=");
    if (options->credentials)
        add_argument(out, "--credentials", options->credentials, "=");
    if (options->state)
        add_argument(out, "--state", options->state, "=");
    for (int i = 0; i < options->nparameters; i++) {
        add_argument(out, "--param", NULL, "");
        add_argument(out, options->parameters[2 * i], options->parameters[2 * i + 1], "=");
    }
    for (int i = 0; i < options->nconf; i++) {
        add_argument(out, "--conf", NULL, "");
        add_argument(out, options->conf[2 * i], options->conf[2 * i + 1], "=");
    }
    add_argument(out, file, NULL, "");
}

static double report_number(const char *path, const char *key)
{
    json_t *report = json_load_file(path, 0, NULL);
    double value = json_number_value(json_object_get(report, key));
    json_decref(report);
    return value;
}

/* One timed run as a child. Returns its exit code. */
static int timed_run(const struct mr_cli_options *options, const struct mr_bench *bench, int config,
                     int round, double figures[MR_BENCH_FIGURES])
{
    char report[256];
    struct child_arguments arguments;
    struct rusage usage;
    int status = 0;
    snprintf(report, sizeof report, "%s/report-%d-%d.json", bench->directory, config + 1,
             round + 1);
    build_arguments(options, bench->configs[config].file, report, &arguments);
    int64_t start = mr_clock_monotonic_micros();
    pid_t child = fork();
    if (child == 0) {
        execv("/proc/self/exe", arguments.items);
        _exit(127);
    }
    for (int i = 0; i < arguments.count; i++)
        mr_free(arguments.items[i]);
    while (child > 0 && wait4(child, &status, 0, &usage) < 0 && errno == EINTR)
        ;
    if (child < 0 || !WIFEXITED(status))
        return MILLRACE_INTERNAL;
    double wall = (double)(mr_clock_monotonic_micros() - start) / 1e6;
    figures[MR_BENCH_WALL] = wall;
    figures[MR_BENCH_CPU] = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                            (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    figures[MR_BENCH_PEAK] = (double)usage.ru_maxrss * 1024;
    if (WEXITSTATUS(status) == 0) {
        figures[MR_BENCH_ROWS] = report_number(report, "rows_read") / wall;
        figures[MR_BENCH_MB] = report_number(report, "bytes_written") / wall / 1e6;
    }
    return WEXITSTATUS(status);
}

/* The hashed run and the plan of one configuration. */
static int describe(const struct mr_cli_options *options, int index, struct mr_bench_config *config)
{
    struct millrace_pipeline *pipeline = NULL;
    int code = mr_cli_open(options, index, &pipeline);
    if (code == MILLRACE_OK && mr_api_is_stream(pipeline)) {
        fprintf(stderr,
                "error: %s: a stream has no end that could be timed; say \"mode\": \"batch\"\n",
                options->files[index]);
        code = MILLRACE_CONFIG;
    } else if (code == MILLRACE_OK) {
        code = millrace_plan(pipeline, false, &config->plan);
        if (code == MILLRACE_OK)
            code = mr_api_run_hashed(pipeline, config->content);
        if (code != MILLRACE_OK)
            mr_cli_print_errors(pipeline);
    }
    return mr_cli_close(pipeline, code);
}

static int describe_all(const struct mr_cli_options *options, struct mr_bench *bench)
{
    for (int i = 0; i < bench->nconfigs; i++) {
        struct mr_bench_config *config = &bench->configs[i];
        int code = describe(options, i, config);
        if (code != MILLRACE_OK)
            return code;
        printf("%s: rows and content %s\n", config->file, config->content);
        if (strcmp(config->content, bench->configs[0].content) != 0) {
            fprintf(stderr, "error: %s does not write the same rows as %s: nothing was timed\n",
                    config->file, bench->configs[0].file);
            return MILLRACE_VALIDATION;
        }
    }
    return MILLRACE_OK;
}

static int measure(const struct mr_cli_options *options, struct mr_bench *bench)
{
    for (int round = 0; round < options->runs; round++) {
        for (int i = 0; i < bench->nconfigs; i++) {
            struct mr_bench_config *config = &bench->configs[i];
            double figures[MR_BENCH_FIGURES] = {0};
            int code = timed_run(options, bench, i, round, figures);
            if (code != MILLRACE_OK) {
                fprintf(stderr, "error: run %d of %s ended with %d\n", round + 1, config->file,
                        code);
                return code;
            }
            for (int j = 0; j < MR_BENCH_FIGURES; j++)
                config->figures[j][round] = figures[j];
            config->runs = round + 1;
        }
    }
    return MILLRACE_OK;
}

static int prepare(const struct mr_cli_options *options, struct mr_bench *bench)
{
    struct mr_civil now;
    mr_civil_from_micros(mr_clock_wall_micros(), &now);
    snprintf(bench->directory, sizeof bench->directory,
             "benchmark-results-%04d%02d%02d-%02d%02d%02d", (int)now.year, now.month, now.day,
             now.hour, now.minute, now.second);
    if (mkdir(bench->directory, 0777) != 0) {
        fprintf(stderr, "error: cannot create %s: %s\n", bench->directory, strerror(errno));
        return MILLRACE_SINK;
    }
    bench->nconfigs = options->nfiles;
    for (int i = 0; i < bench->nconfigs; i++) {
        bench->configs[i].file = options->files[i];
        for (int j = 0; j < MR_BENCH_FIGURES; j++) {
            bench->configs[i].figures[j] = mr_calloc((size_t)options->runs, sizeof(double));
            if (!bench->configs[i].figures[j])
                return MILLRACE_LIMIT;
        }
    }
    return MILLRACE_OK;
}

int mr_cli_bench(int argc, char **argv)
{
    struct mr_cli_options options;
    struct mr_bench bench = {0};
    int code = mr_cli_parse_quiet(argc, argv, "pcCSNL", 2, MR_BENCH_MAX_CONFIGS, &options);
    if (code != 0)
        return code;
    code = prepare(&options, &bench);
    if (code == MILLRACE_OK)
        code = describe_all(&options, &bench);
    if (code == MILLRACE_OK)
        code = measure(&options, &bench);
    if (code == MILLRACE_OK)
        code = mr_bench_report(&bench);
    for (int i = 0; i < bench.nconfigs; i++) {
        millrace_free(bench.configs[i].plan);
        for (int j = 0; j < MR_BENCH_FIGURES; j++)
            mr_free(bench.configs[i].figures[j]);
    }
    return mr_cli_exit_code(code);
}

/*
 * bench_report.c - medians, spreads and ratios of a comparison, and the files that record it.
 */
#include "cli/bench.h"
#include "cli/cli.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static const struct figure {
    const char *name; /* in results.json */
    const char *title;
    double unit; /* divides for people */
    const char *format;
    bool lower_is_better;
} figures[MR_BENCH_FIGURES] = {
    [MR_BENCH_WALL] = {"wall_seconds", "wall s", 1, "%.3f", true},
    [MR_BENCH_CPU] = {"cpu_seconds", "CPU s", 1, "%.3f", true},
    [MR_BENCH_PEAK] = {"peak_bytes", "peak MiB", 1024 * 1024, "%.1f", true},
    [MR_BENCH_ROWS] = {"rows_per_second", "rows/s", 1, "%.0f", false},
    [MR_BENCH_MB] = {"megabytes_per_second", "MB/s out", 1, "%.2f", false},
};

struct summary {
    double minimum, median, maximum;
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Sorts the values. */
static struct summary summarise(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    double middle = count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
    return (struct summary){values[0], middle, values[count - 1]};
}

static void print_config(const struct mr_bench_config *config,
                         const struct summary summaries[MR_BENCH_FIGURES],
                         const struct summary first[MR_BENCH_FIGURES], FILE *out)
{
    fprintf(out, "%s (%d runs)\n", config->file, config->runs);
    for (int i = 0; i < MR_BENCH_FIGURES; i++) {
        const struct figure *figure = &figures[i];
        char values[3][32];
        const double raw[3] = {summaries[i].median, summaries[i].minimum, summaries[i].maximum};
        for (int j = 0; j < 3; j++)
            snprintf(values[j], sizeof values[j], figure->format, raw[j] / figure->unit);
        double ratio = figure->lower_is_better ? first[i].median / summaries[i].median
                                               : summaries[i].median / first[i].median;
        fprintf(out, "  %-9s median %12s   min %12s   max %12s   %.2fx\n", figure->title, values[0],
                values[1], values[2], summaries[i].median > 0 ? ratio : 0);
    }
}

static bool has_line(const char *text, const char *line, size_t size)
{
    for (const char *at = text; at && *at;) {
        const char *end = strchrnul(at, '\n');
        if ((size_t)(end - at) == size && !memcmp(at, line, size))
            return true;
        at = *end ? end + 1 : end;
    }
    return false;
}

/* The lines of `a` that `b` lacks. */
static void print_missing(const char *a, const char *b, char mark, FILE *out)
{
    for (const char *at = a; at && *at;) {
        const char *end = strchrnul(at, '\n');
        size_t size = (size_t)(end - at);
        if (size > 0 && !has_line(b, at, size))
            fprintf(out, "  %c %.*s\n", mark, (int)size, at);
        at = *end ? end + 1 : end;
    }
}

static json_t *results_json(const struct mr_bench *bench,
                            struct summary summaries[][MR_BENCH_FIGURES])
{
    json_t *out = json_array();
    for (int i = 0; i < bench->nconfigs; i++) {
        json_t *entry = json_object();
        json_object_set_new(entry, "file", json_string(bench->configs[i].file));
        json_object_set_new(entry, "content", json_string(bench->configs[i].content));
        json_object_set_new(entry, "runs", json_integer(bench->configs[i].runs));
        for (int j = 0; j < MR_BENCH_FIGURES; j++)
            json_object_set_new(entry, figures[j].name,
                                json_pack("{s:f,s:f,s:f}", "median", summaries[i][j].median, "min",
                                          summaries[i][j].minimum, "max", summaries[i][j].maximum));
        json_array_append_new(out, entry);
    }
    return out;
}

static json_t *machine_json(void)
{
    struct utsname name;
    char line[256], model[256] = "unknown";
    FILE *cpu = fopen("/proc/cpuinfo", "re");
    while (cpu && fgets(line, sizeof line, cpu)) {
        char *colon = strchr(line, ':');
        if (!strncmp(line, "model name", 10) && colon) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(model, sizeof model, "%s", colon + 2);
            break;
        }
    }
    if (cpu)
        fclose(cpu);
    uname(&name);
    return json_pack("{s:s,s:I,s:I,s:s,s:s}", "cpu", model, "cores",
                     (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "memory_bytes",
                     (json_int_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE), "kernel",
                     name.release, "version", millrace_version());
}

static int open_file(const struct mr_bench *bench, const char *name, FILE **out)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", bench->directory, name);
    *out = fopen(path, "we");
    if (*out)
        return MILLRACE_OK;
    fprintf(stderr, "error: cannot write %s: %s\n", path, strerror(errno));
    return MILLRACE_SINK;
}

static int write_json(const struct mr_bench *bench, const char *name, json_t *value)
{
    FILE *file = NULL;
    int code = open_file(bench, name, &file);
    if (code == MILLRACE_OK) {
        json_dumpf(value, file, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        fputc('\n', file);
        if (fclose(file) != 0)
            code = MILLRACE_SINK;
    }
    json_decref(value);
    return code;
}

static void print_all(const struct mr_bench *bench, struct summary summaries[][MR_BENCH_FIGURES],
                      FILE *out)
{
    for (int i = 0; i < bench->nconfigs; i++)
        print_config(&bench->configs[i], summaries[i], summaries[0], out);
    for (int i = 1; i < bench->nconfigs; i++) {
        fprintf(out, "plan of %s against %s\n", bench->configs[i].file, bench->configs[0].file);
        print_missing(bench->configs[0].plan, bench->configs[i].plan, '-', out);
        print_missing(bench->configs[i].plan, bench->configs[0].plan, '+', out);
    }
}

int mr_bench_report(struct mr_bench *bench)
{
    struct summary summaries[MR_BENCH_MAX_CONFIGS][MR_BENCH_FIGURES];
    FILE *file = NULL;
    for (int i = 0; i < bench->nconfigs; i++)
        for (int j = 0; j < MR_BENCH_FIGURES; j++)
            summaries[i][j] = summarise(bench->configs[i].figures[j], bench->configs[i].runs);
    print_all(bench, summaries, stdout);
    int code = open_file(bench, "results.txt", &file);
    if (code == MILLRACE_OK) {
        print_all(bench, summaries, file);
        code = fclose(file) == 0 ? MILLRACE_OK : MILLRACE_SINK;
    }
    for (int i = 0; i < bench->nconfigs && code == MILLRACE_OK; i++) {
        char name[32];
        snprintf(name, sizeof name, "plan-%d.txt", i + 1);
        code = open_file(bench, name, &file);
        if (code == MILLRACE_OK) {
            fputs(bench->configs[i].plan ? bench->configs[i].plan : "", file);
            code = fclose(file) == 0 ? MILLRACE_OK : MILLRACE_SINK;
        }
    }
    if (code == MILLRACE_OK)
        code = write_json(bench, "results.json", results_json(bench, summaries));
    if (code == MILLRACE_OK)
        code = write_json(bench, "machine.json", machine_json());
    if (code == MILLRACE_OK)
        printf("results, reports, plans and machine facts are in %s/\n", bench->directory);
    return code;
}

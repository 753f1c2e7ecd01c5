/*
 * runs.c - `millrace runs`: earlier runs of a state directory; `millrace runs show ID`: the report of one.
 */
#include "cli/cli.h"

#include "api/runs.h"
#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>

static void print_row(const struct mr_run_row *row)
{
    char started[MR_TIME_TEXT_MAX], took[32] = "";
    int size = mr_timestamp_format(row->started_micros / 1000000 * 1000000, ' ', started);
    if (row->ended_micros > 0)
        mr_duration_format(row->ended_micros - row->started_micros, took, sizeof took);
    printf("%-26s  %.*s  %-9s  %4d  %12lld  %12lld  %9s  %s\n", row->run_id, size, started,
           row->status, row->exit_code, (long long)row->rows_read, (long long)row->rows_written,
           took, row->pipeline);
    if (row->message)
        printf("%28s%s\n", "", row->message);
}

static int list(const struct mr_cli_options *options, const char *directory)
{
    struct mr_arena arena;
    struct mr_run_row *rows = NULL;
    struct mr_error err = {0};
    int count = 0;
    mr_arena_init(&arena, NULL);
    enum mr_status status = mr_api_runs(directory, options->limit, &arena, &rows, &count, &err);
    if (status != MR_OK)
        fprintf(stderr, "error: %s\n", err.message);
    else if (count == 0)
        printf("no runs in %s\n", directory);
    else
        printf("%-26s  %-19s  %-9s  %4s  %12s  %12s  %9s  %s\n", "run", "started (UTC)", "status",
               "exit", "rows read", "rows written", "took", "pipeline");
    for (int i = 0; i < count; i++)
        print_row(&rows[i]);
    mr_arena_reset(&arena);
    return mr_status_exit_code(status);
}

static int show(const char *run_id, const char *directory)
{
    struct mr_arena arena;
    struct mr_run_row *row = NULL;
    struct mr_error err = {0};
    mr_arena_init(&arena, NULL);
    enum mr_status status = mr_api_run_show(directory, run_id, &arena, &row, &err);
    int code = mr_status_exit_code(status);
    if (status != MR_OK) {
        fprintf(stderr, "error: %s\n", err.message);
    } else if (!row) {
        fprintf(stderr, "error: no run %s in %s\n", run_id, directory);
        code = MILLRACE_USAGE;
    } else if (row->report) {
        printf("%s\n", row->report);
    } else {
        print_row(row);
    }
    mr_arena_reset(&arena);
    return code;
}

int mr_cli_runs(int argc, char **argv)
{
    struct mr_cli_options options;
    int code = mr_cli_parse(argc, argv, "Sl", 0, 2, &options);
    if (code != 0)
        return code;
    const char *directory = options.state ? options.state : getenv("MILLRACE_STATE");
    directory = directory ? directory : ".millrace";
    if (options.nfiles == 2 && !strcmp(options.files[0], "show"))
        return show(options.files[1], directory);
    if (options.nfiles > 0) {
        fprintf(stderr, "millrace runs: use `millrace runs` or `millrace runs show ID`\n");
        return MILLRACE_USAGE;
    }
    return list(&options, directory);
}

/*
 * runs.c - `millrace runs`: earlier runs of a state directory or of a pipeline; `millrace runs show ID`: the report of one.
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

static int list(const struct mr_cli_options *options, const struct mr_api_state *where,
                const char *name)
{
    struct mr_arena arena;
    struct mr_run_row *rows = NULL;
    struct mr_error err = {0};
    int count = 0;
    mr_arena_init(&arena, NULL);
    enum mr_status status = mr_api_runs(where, options->limit, &arena, &rows, &count, &err);
    if (status != MR_OK)
        fprintf(stderr, "error: %s\n", err.message);
    else if (count == 0)
        printf("no runs in %s\n", name);
    else
        printf("%-26s  %-19s  %-9s  %4s  %12s  %12s  %9s  %s\n", "run", "started (UTC)", "status",
               "exit", "rows read", "rows written", "took", "pipeline");
    for (int i = 0; i < count; i++)
        print_row(&rows[i]);
    mr_arena_reset(&arena);
    return mr_status_exit_code(status);
}

static int show(const char *run_id, const struct mr_api_state *where, const char *name)
{
    struct mr_arena arena;
    struct mr_run_row *row = NULL;
    struct mr_error err = {0};
    mr_arena_init(&arena, NULL);
    enum mr_status status = mr_api_run_show(where, run_id, &arena, &row, &err);
    int code = mr_status_exit_code(status);
    if (status != MR_OK) {
        fprintf(stderr, "error: %s\n", err.message);
    } else if (!row) {
        fprintf(stderr, "error: no run %s in %s\n", run_id, name);
        code = MILLRACE_USAGE;
    } else if (row->report) {
        printf("%s\n", row->report);
    } else {
        print_row(row);
    }
    mr_arena_reset(&arena);
    return code;
}

static int look(const struct mr_cli_options *options, const struct mr_api_state *where,
                const char *name)
{
    if (options->nfiles == 2)
        return show(options->files[1], where, name);
    return list(options, where, name);
}

int mr_cli_runs(int argc, char **argv)
{
    struct mr_cli_options options;
    int code = mr_cli_parse(argc, argv, "SlICp", 0, 2, &options);
    if (code != 0)
        return code;
    if (options.nfiles == 1 || (options.nfiles == 2 && strcmp(options.files[0], "show") != 0)) {
        fprintf(stderr, "millrace runs: use `millrace runs` or `millrace runs show ID`, with "
                        "--pipeline FILE for the state of a pipeline\n");
        return MILLRACE_USAGE;
    }
    const char *directory = options.state ? options.state : getenv("MILLRACE_STATE");
    struct mr_api_state where = {.directory = directory ? directory : ".millrace"};
    if (!options.pipeline)
        return look(&options, &where, where.directory);
    code = mr_cli_open_text(&options, options.pipeline, NULL, &where.pipeline);
    if (code == MILLRACE_OK)
        code = look(&options, &where, options.pipeline);
    millrace_close(where.pipeline);
    return code;
}

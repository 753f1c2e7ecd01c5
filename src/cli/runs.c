/*
 * runs.c - `millrace runs`: earlier runs of a state directory or of a pipeline; `millrace runs show ID`: the report of one.
 */
#include "cli/cli.h"

#include "api/runs.h"
#include "base/time.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* A run of one lane of a shared stream: its name; else NULL. */
static const char *lane_of(const struct mr_run_row *row)
{
    const char *at = strchr(row->state_key, '@');
    return at && strchr(at, '/') ? at + 1 : NULL;
}

static void print_row(const struct mr_run_row *row)
{
    char started[MR_TIME_TEXT_MAX], took[32] = "", code[16] = "-";
    int size = mr_timestamp_format(row->started_micros / 1000000 * 1000000, ' ', started);
    if (row->ended_micros > 0)
        mr_duration_format(row->ended_micros - row->started_micros, took, sizeof took);
    if (row->exit_code >= 0)
        snprintf(code, sizeof code, "%d", row->exit_code);
    const char *lane = lane_of(row);
    printf("%-26s  %.*s  %-9s  %4s  %12lld  %12lld  %9s  %s%s%s\n", row->run_id, size, started,
           row->status, code, (long long)row->rows_read, (long long)row->rows_written, took,
           row->pipeline, lane ? ", lane " : "", lane ? lane : "");
    if (row->message)
        printf("%28s%s\n", "", row->message);
}

/* What a row knows; a run that was killed has no end, and no exit code. */
static json_t *row_json(const struct mr_run_row *row)
{
    char text[MR_TIME_TEXT_MAX];
    json_t *out = json_object();
    int size = mr_timestamp_format(row->started_micros, 'T', text);
    json_object_set_new(out, "run_id", json_string(row->run_id));
    json_object_set_new(out, "pipeline", json_string(row->pipeline));
    json_object_set_new(out, "state_key", json_string(row->state_key));
    if (lane_of(row))
        json_object_set_new(out, "lane", json_string(lane_of(row)));
    if (row->run_key)
        json_object_set_new(out, "run_key", json_string(row->run_key));
    json_object_set_new(out, "status", json_string(row->status));
    json_object_set_new(out, "exit_code",
                        row->exit_code >= 0 ? json_integer(row->exit_code) : json_null());
    json_object_set_new(out, "started", json_sprintf("%.*sZ", size, text));
    if (row->ended_micros > 0)
        json_object_set_new(out, "duration_ms",
                            json_real((double)(row->ended_micros - row->started_micros) / 1000.0));
    json_object_set_new(out, "rows_read", json_integer(row->rows_read));
    json_object_set_new(out, "rows_written", json_integer(row->rows_written));
    if (row->message)
        json_object_set_new(out, "message", json_string(row->message));
    return out;
}

static void print_json(const struct mr_run_row *rows, int count)
{
    json_t *out = json_object(), *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, row_json(&rows[i]));
    json_object_set_new(out, "runs", list);
    char *text = json_dumps(out, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(out);
    printf("%s\n", text ? text : "{}");
    free(text);
}

/* Of a run that has no report: it is at work, was killed, or is a job in parts. */
static void print_one(const struct mr_run_row *row)
{
    json_t *out = row_json(row);
    char *text = json_dumps(out, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(out);
    printf("%s\n", text ? text : "{}");
    free(text);
}

/* Runs of a pipeline are in the state that its file names, beside it if it names none. */
static const char *remedy(const struct mr_api_state *where)
{
    return where->pipeline ? ""
                           : " (the state of a pipeline is beside its file, or where that says: "
                             "--pipeline FILE, or --state DIRECTORY)";
}

static void print_table(const struct mr_run_row *rows, int count, const struct mr_api_state *where,
                        const char *name)
{
    if (count == 0)
        printf("no runs in %s%s\n", name, remedy(where));
    else
        printf("%-26s  %-19s  %-9s  %4s  %12s  %12s  %9s  %s\n", "run", "started (UTC)", "status",
               "exit", "rows read", "rows written", "took", "pipeline");
    for (int i = 0; i < count; i++)
        print_row(&rows[i]);
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
    else if (options->json)
        print_json(rows, count);
    else
        print_table(rows, count, where, name);
    mr_arena_reset(&arena);
    return mr_status_exit_code(status);
}

static int show(const struct mr_cli_options *options, const char *run_id,
                const struct mr_api_state *where, const char *name)
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
        fprintf(stderr, "error: no run %s in %s%s\n", run_id, name, remedy(where));
        code = MILLRACE_USAGE;
    } else if (row->report) {
        printf("%s\n", row->report);
    } else if (options->json) {
        print_one(row);
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
        return show(options, options->files[1], where, name);
    return list(options, where, name);
}

int mr_cli_runs(int argc, char **argv)
{
    struct mr_cli_options options;
    int code = mr_cli_parse(argc, argv, "SlICpj", 0, 2, &options);
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
    return mr_cli_close(where.pipeline, code);
}

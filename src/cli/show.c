/*
 * show.c - `millrace show URL`: what is there, of which columns, and some rows.
 *
 * A pipeline of one extract, so that stores, credentials and formats mean the same as in a file. Whether a directory is a Delta table,
 * the files source knows (it refuses to read one as plain files); then the table is shown.
 */
#include "cli/cli.h"

#include "api/maintain.h"
#include "api/show.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A pipeline of one step, as text; freed with free(). */
static char *make_pipeline(const char *type, const char *method, const char *url)
{
    json_t *config = json_pack("{s:s}", "path", url);
    if (config && !strcmp(method, "fromFile")) /* what cannot be read is a warning here */
        json_object_set_new(config, "onError", json_string("null"));
    json_t *file = json_pack("{s:s, s:[{s:s, s:s, s:o}]}", "name", "show", "steps", "type", type,
                             "method", method, "config", config);
    char *text = file ? json_dumps(file, 0) : NULL;
    json_decref(file);
    if (!text)
        fprintf(stderr, "error: out of memory or not UTF-8\n");
    return text;
}

static bool is_table(const struct millrace_pipeline *pipeline)
{
    for (int i = 0; i < millrace_error_count(pipeline); i++)
        if (strstr(millrace_error_message(pipeline, i), "is a Delta table"))
            return true;
    return false;
}

/* Appends what the extract says; *table: it is a Delta table, and nothing was printed. */
static int show_rows(const struct mr_cli_options *options, const char *method, bool *table,
                     struct mr_bytes *out)
{
    struct millrace_pipeline *pipeline = NULL;
    char *text = make_pipeline("extract", method, options->files[0]);
    if (!text)
        return MILLRACE_INTERNAL;
    int code = mr_cli_open_text(options, "millrace show", text, &pipeline);
    if (code == MILLRACE_OK) {
        code = mr_api_show(pipeline, options->rows, options->json, out);
        if (code != MILLRACE_OK && is_table(pipeline))
            *table = true;
        else if (code != MILLRACE_OK)
            mr_cli_print_errors(pipeline);
    }
    free(text);
    return mr_cli_close(pipeline, code);
}

/* What the table says of itself: protocol, properties, files. */
static int describe_table(const struct mr_cli_options *options, char **report)
{
    struct millrace_pipeline *pipeline = NULL;
    char *text = make_pipeline("maintain", "describeDelta", options->files[0]);
    if (!text)
        return MILLRACE_INTERNAL;
    int code = mr_cli_open_text(options, "millrace show", text, &pipeline);
    if (code == MILLRACE_OK) {
        code = mr_api_maintain(pipeline, report);
        if (code != MILLRACE_OK)
            mr_cli_print_errors(pipeline);
    }
    free(text);
    return mr_cli_close(pipeline, code);
}

static void print_table(const char *report)
{
    const char *name;
    json_t *value, *table = json_loads(report, 0, NULL);
    json_object_foreach(table, name, value)
    {
        bool empty = json_is_null(value) || ((json_is_array(value) || json_is_object(value)) &&
                                             json_array_size(value) + json_object_size(value) == 0);
        if (empty || !strcmp(name, "schema") || !strcmp(name, "location"))
            continue; /* columns and place are told with the rows */
        char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
        printf("%s: %s\n", name, text ? text : json_string_value(value));
        free(text);
    }
    json_decref(table);
}

static int show_table(const struct mr_cli_options *options, struct mr_bytes *out)
{
    char *report = NULL;
    bool again = false;
    int code = describe_table(options, &report);
    if (code == MILLRACE_OK)
        code = show_rows(options, "fromDeltaLake", &again, out);
    if (code == MILLRACE_OK && report && options->json)
        printf("{\"table\":%s,\"data\":", report);
    else if (code == MILLRACE_OK && report)
        print_table(report);
    if (code == MILLRACE_OK)
        printf("%s%s", out->data ? out->data : "", options->json ? (report ? "}\n" : "\n") : "");
    millrace_free(report);
    return code;
}

int mr_cli_show(int argc, char **argv)
{
    struct mr_cli_options options;
    int code = mr_cli_parse_quiet(argc, argv, "nCLFj", 1, 1, &options);
    if (code != 0)
        return code;
    struct mr_bytes out;
    bool table = false;
    mr_bytes_init(&out, SIZE_MAX / 4);
    code = show_rows(&options, "fromFile", &table, &out);
    if (table)
        code = show_table(&options, &out);
    else if (code == MILLRACE_OK)
        printf("%s%s", out.data ? out.data : "", options.json ? "\n" : "");
    mr_bytes_reset(&out);
    return mr_cli_exit_code(code);
}

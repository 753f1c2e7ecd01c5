/*
 * delta.c - `millrace delta optimize|vacuum|delete|history|describe URL`: the maintain methods by hand.
 *
 * A command is a pipeline of one maintain step, so that options, stores and credentials mean the same
 * as in a file.
 */
#include "cli/cli.h"

#include "api/maintain.h"
#include "base/bytes.h"
#include "base/time.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    const char *method;
    const char *allowed;
} verbs[] = {
    {"optimize", "optimizeDelta", "CLFjwzt"}, {"vacuum", "vacuumDelta", "CLFjHdu"},
    {"delete", "deleteDelta", "CLFjw"},       {"history", "historyDelta", "CLFjl"},
    {"describe", "describeDelta", "CLFj"},
};

#define NVERBS (sizeof verbs / sizeof verbs[0])

static json_t *list_of(const char *texts)
{
    json_t *out = json_array();
    while (*texts) {
        size_t size = strcspn(texts, ",");
        json_array_append_new(out, json_stringn(texts, size));
        texts += size + (texts[size] == ',');
    }
    return out;
}

static void set_text(json_t *config, const char *key, const char *text)
{
    if (text)
        json_object_set_new(config, key, json_string(text));
}

/* The pipeline; freed with free(). */
static char *make_pipeline(size_t verb, const char *url, const struct mr_cli_options *options)
{
    json_t *config = json_object();
    set_text(config, "path", url);
    set_text(config, "where", options->where);
    set_text(config, "targetFileSize", options->target_file_size);
    set_text(config, "retainHours", options->retain_hours);
    if (options->zorder)
        json_object_set_new(config, "zOrderBy", list_of(options->zorder));
    if (options->dry_run)
        json_object_set_new(config, "dryRun", json_true());
    if (options->unchecked)
        json_object_set_new(config, "checkRetention", json_false());
    if (!strcmp(verbs[verb].name, "history"))
        json_object_set_new(config, "limit", json_integer(options->limit));
    json_t *file = json_pack("{s:s, s:[{s:s, s:s, s:o}]}", "name", "delta", "steps", "type",
                             "maintain", "method", verbs[verb].method, "config", config);
    char *text = file ? json_dumps(file, 0) : NULL;
    json_decref(file);
    return text;
}

static void print_value(const char *name, json_t *value)
{
    char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    printf("%-22s %s\n", name, text ? text : json_string_value(value));
    free(text);
}

static void print_commit(json_t *commit)
{
    char time[MR_TIME_TEXT_MAX];
    json_int_t millis = json_integer_value(json_object_get(commit, "timestamp"));
    json_t *operation = json_object_get(commit, "operation");
    int size = mr_timestamp_format(millis * 1000, ' ', time);
    printf("%8lld  %-23.*s  %-22s  %6lld  %6lld\n",
           (long long)json_integer_value(json_object_get(commit, "version")), size, time,
           json_is_string(operation) ? json_string_value(operation) : "-",
           (long long)json_integer_value(json_object_get(commit, "filesAdded")),
           (long long)json_integer_value(json_object_get(commit, "filesRemoved")));
}

static void print_result(json_t *result)
{
    const char *name;
    json_t *value, *commits = json_object_get(result, "commits");
    size_t i;
    if (commits) {
        printf("%8s  %-23s  %-22s  %6s  %6s\n", "version", "time (UTC)", "operation", "+files",
               "-files");
        json_array_foreach(commits, i, value) print_commit(value);
        return;
    }
    json_object_foreach(result, name, value) print_value(name, value);
}

static int maintain(size_t verb, const struct mr_cli_options *options, const char *url)
{
    struct millrace_pipeline *pipeline = NULL;
    char *report = NULL, *text = make_pipeline(verb, url, options);
    if (!text) {
        fprintf(stderr, "error: out of memory\n");
        return MILLRACE_INTERNAL;
    }
    int code = mr_cli_open_text(options, "millrace delta", text, &pipeline);
    if (code == MILLRACE_OK) {
        code = mr_api_maintain(pipeline, &report);
        if (code != MILLRACE_OK)
            mr_cli_print_errors(pipeline);
    }
    if (report && options->json) {
        printf("%s\n", report);
    } else if (report) {
        json_t *result = json_loads(report, 0, NULL);
        print_result(result);
        json_decref(result);
    }
    millrace_free(report);
    free(text);
    return mr_cli_close(pipeline, code);
}

int mr_cli_delta(int argc, char **argv)
{
    struct mr_cli_options options;
    for (size_t verb = 0; verb < NVERBS && argc > 1; verb++) {
        if (strcmp(argv[1], verbs[verb].name) != 0)
            continue;
        char command[32];
        snprintf(command, sizeof command, "delta %s", verbs[verb].name);
        argv[1] = command;
        int code = mr_cli_parse_quiet(argc - 1, argv + 1, verbs[verb].allowed, 1, 1, &options);
        if (code != 0)
            return code;
        return maintain(verb, &options, options.files[0]);
    }
    fprintf(stderr, "millrace delta: optimize, vacuum, delete, history or describe, and a table "
                    "(millrace delta VERB --help tells more)\n");
    return MILLRACE_USAGE;
}

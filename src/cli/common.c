/*
 * common.c - opening and closing a pipeline for a command, printing errors.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct mr_cli_log mr_cli_log_of(const struct mr_cli_options *options)
{
    /* On a terminal a log line first erases the progress bar below it. */
    bool bar = isatty(STDERR_FILENO) && !options->log_json;
    return (struct mr_cli_log){.erase = bar ? "\r\033[K" : "", .json = options->log_json};
}

static void print_log(void *context, enum millrace_log_level level, const char *text)
{
    const struct mr_cli_log *log = context;
    if (level == MILLRACE_LOG_ERROR && !log->json)
        return;
    if (log->name)
        fprintf(stderr, "%s[%s] %s\n", log->erase, log->name, text);
    else
        fprintf(stderr, "%s%s\n", log->erase, text);
}

void mr_cli_print_errors(const struct millrace_pipeline *pipeline)
{
    for (int i = 0; i < millrace_error_count(pipeline); i++)
        fprintf(stderr, "error: %s\n", millrace_error_message(pipeline, i));
}

void mr_cli_print_run_errors(const struct millrace_pipeline *pipeline, const struct mr_cli_log *log)
{
    for (int i = log->json ? 1 : 0; i < millrace_error_count(pipeline); i++)
        fprintf(stderr, "%serror: %s%s%s\n", log->erase, log->name ? log->name : "",
                log->name ? ": " : "", millrace_error_message(pipeline, i));
}

static int open_pipeline(const struct mr_cli_options *options, const char *name, const char *text,
                         struct millrace_pool *pool, struct mr_cli_log *log,
                         struct millrace_pipeline **out)
{
    struct millrace_open_options open = {
        .file = name,
        .text = text,
        .text_size = text ? strlen(text) : 0,
        .credentials_file = options->credentials,
        .state_path = options->state,
        .run_key = options->run_key,
        .parameters = options->nparameters ? options->parameters : NULL,
        .conf = options->nconf ? options->conf : NULL,
        .log = print_log,
        .log_context = log,
        .log_level = options->log_level,
        .log_json = options->log_json,
        .pool = pool,
        .stop_seconds = options->stop_within,
    };
    mr_cli_hold_signals();
    int code = millrace_open(&open, out);
    if (code != MILLRACE_OK && !*out)
        fprintf(stderr, "error: out of memory\n");
    return code;
}

int mr_cli_open(const struct mr_cli_options *options, int index, struct millrace_pipeline **out)
{
    return mr_cli_open_text(options, options->files[index], NULL, out);
}

int mr_cli_open_text(const struct mr_cli_options *options, const char *name, const char *text,
                     struct millrace_pipeline **out)
{
    static struct mr_cli_log log;
    log = mr_cli_log_of(options);
    int code = open_pipeline(options, name, text, NULL, &log, out);
    if (code == MILLRACE_OK)
        mr_cli_catch_signals(*out);
    else
        mr_cli_print_errors(*out);
    return code;
}

int mr_cli_begin(int argc, char **argv, const char *allowed, struct mr_cli_options *options,
                 struct millrace_pipeline **out)
{
    int code = mr_cli_parse_quiet(argc, argv, allowed, 1, 1, options);
    *out = NULL;
    return code == 0 ? mr_cli_open(options, 0, out) : code;
}

int mr_cli_close(struct millrace_pipeline *pipeline, int code)
{
    mr_cli_catch_signals(NULL);
    millrace_close(pipeline);
    return mr_cli_exit_code(code);
}

int mr_cli_open_in(const struct mr_cli_options *options, const char *file,
                   struct millrace_pool *pool, struct mr_cli_log *log,
                   struct millrace_pipeline **out)
{
    if (options->log_json)
        log->name = NULL; /* the records have it */
    int code = open_pipeline(options, file, NULL, pool, log, out);
    for (int i = 0; code != MILLRACE_OK && i < millrace_error_count(*out); i++)
        fprintf(stderr, "error: %s: %s\n", file, millrace_error_message(*out, i));
    return code;
}

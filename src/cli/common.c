/*
 * common.c - opening a pipeline for a command, printing errors, signals.
 *
 * The handlers live here and not in the library: only a program may decide what a signal means. They write two words and return;
 * a second signal of the same kind gets the default action, so that an impatient user is heard.
 */
#include "cli/cli.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct millrace_pipeline *volatile cancel_target;
static volatile sig_atomic_t caught_signal;

static void on_signal(int number)
{
    caught_signal = number;
    if (cancel_target)
        millrace_cancel(cancel_target);
}

void mr_cli_hold_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

void mr_cli_catch_signals(struct millrace_pipeline *pipeline)
{
    cancel_target = pipeline;
    if (pipeline && caught_signal)
        millrace_cancel(pipeline);
}

int mr_cli_signal(void)
{
    return caught_signal;
}

int mr_cli_exit_code(int code)
{
    return code == MILLRACE_CANCELLED && caught_signal == SIGTERM ? 143 : code;
}

static void print_log(void *context, enum millrace_log_level level, const char *text)
{
    (void)level;
    const char *erase = context;
    fprintf(stderr, "%s%s\n", erase, text);
}

void mr_cli_print_errors(const struct millrace_pipeline *pipeline)
{
    for (int i = 0; i < millrace_error_count(pipeline); i++)
        fprintf(stderr, "error: %s\n", millrace_error_message(pipeline, i));
}

int mr_cli_open(const struct mr_cli_options *options, int index, struct millrace_pipeline **out)
{
    return mr_cli_open_text(options, options->files[index], NULL, out);
}

int mr_cli_open_text(const struct mr_cli_options *options, const char *name, const char *text,
                     struct millrace_pipeline **out)
{
    /* On a terminal a log line first erases the progress bar below it. */
    static char erase[] = "\r\033[K", nothing[] = "";
    struct millrace_open_options open = {
        .file = name,
        .text = text,
        .text_size = text ? strlen(text) : 0,
        .credentials_file = options->credentials,
        .state_path = options->state,
        .parameters = options->nparameters ? options->parameters : NULL,
        .conf = options->nconf ? options->conf : NULL,
        .log = print_log,
        .log_context = isatty(STDERR_FILENO) && !options->log_json ? erase : nothing,
        .log_level = options->log_level,
        .log_json = options->log_json,
    };
    mr_cli_hold_signals();
    int code = millrace_open(&open, out);
    if (code != MILLRACE_OK) {
        if (*out)
            mr_cli_print_errors(*out);
        else
            fprintf(stderr, "error: out of memory\n");
    }
    return code;
}

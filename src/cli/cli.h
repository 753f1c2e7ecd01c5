/*
 * cli.h - the commands, one file each, and what they share.
 */
#ifndef MR_CLI_CLI_H
#define MR_CLI_CLI_H

#include "millrace.h"

#include <stdbool.h>
#include <stdint.h>

/* Dispatches to a command; returns the exit code. */
int mr_cli_main(int argc, char **argv);

/* argv[0] is the command's name. */
int mr_cli_run(int argc, char **argv);
int mr_cli_validate(int argc, char **argv);
int mr_cli_plan(int argc, char **argv);
int mr_cli_preview(int argc, char **argv);
int mr_cli_bench(int argc, char **argv);
int mr_cli_runs(int argc, char **argv);
int mr_cli_methods(int argc, char **argv);
int mr_cli_delta(int argc, char **argv);
int mr_cli_avro(int argc, char **argv);
int mr_cli_show(int argc, char **argv);
int mr_cli_watermark(int argc, char **argv);

#define MR_CLI_MAX_PAIRS 256

enum mr_cli_progress { MR_CLI_PROGRESS_AUTO, MR_CLI_PROGRESS_PLAIN, MR_CLI_PROGRESS_NONE };

/* What a command line said. Strings point into argv. */
struct mr_cli_options {
    const char *files[64];
    int nfiles;
    const char *parameters[2 * MR_CLI_MAX_PAIRS + 1]; /* name, value, ..., NULL */
    int nparameters;
    const char *conf[2 * MR_CLI_MAX_PAIRS + 1];
    int nconf;
    const char *credentials;
    const char *state;
    const char *pipeline; /* of `runs`: the file whose state is meant */
    const char *report;
    const char *step;
    const char *where; /* these six: of `delta` */
    const char *zorder;
    const char *target_file_size;
    const char *retain_hours;
    bool dry_run;
    bool unchecked;
    int64_t rows;
    int runs;
    int limit;
    bool connect;
    bool json;
    bool fresh;
    bool adopt;
    bool clear;
    bool quiet;
    bool log_json;
    enum millrace_log_level log_level;
    enum mr_cli_progress progress;
};

/* Which options a command takes: letters of `allowed`, see options.c. Returns 0, or the exit code after a message. */
int mr_cli_parse(int argc, char **argv, const char *allowed, int min_files, int max_files,
                 struct mr_cli_options *out);
/* Opens a pipeline from its text; `name` stands for the file in messages. */
int mr_cli_open_text(const struct mr_cli_options *options, const char *name, const char *text,
                     struct millrace_pipeline **out);
/* Opens options->files[index], with the log on standard error. Prints the errors when it fails. */
int mr_cli_open(const struct mr_cli_options *options, int index, struct millrace_pipeline **out);
/* Prints what went wrong in the last call, one line each, on standard error. */
void mr_cli_print_errors(const struct millrace_pipeline *pipeline);
/*
 * From hold on, SIGINT and SIGTERM do not end the process: they cancel the pipeline that was named last (NULL = none, the signal is
 * only remembered), at once if they came before it was named.
 */
void mr_cli_hold_signals(void);
void mr_cli_catch_signals(struct millrace_pipeline *pipeline);
/* The signal that came, or 0. */
int mr_cli_signal(void);
/* 130 or 143 when a signal stopped the call, else the code. */
int mr_cli_exit_code(int code);

/* A progress bar on a terminal, a line every few seconds elsewhere. */
struct mr_cli_bar {
    enum mr_cli_progress mode;
    bool terminal;
    int64_t started; /* monotonic micros */
    int64_t last_line;
};
void mr_cli_bar_init(struct mr_cli_bar *bar, enum mr_cli_progress mode);
/* millrace_run_options.progress with the bar as context. */
void mr_cli_bar_update(void *bar, const struct millrace_progress *progress);

#endif

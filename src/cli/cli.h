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
/* What a command's help shows behind its options; NULL = no command. */
const char *mr_cli_usage(const char *command);

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
int mr_cli_verify(int argc, char **argv);
int mr_cli_watermark(int argc, char **argv);

#define MR_CLI_MAX_PAIRS    256
#define MR_CLI_MAX_FILES    64
#define MR_CLI_STOP_SECONDS 10

enum mr_cli_progress { MR_CLI_PROGRESS_AUTO, MR_CLI_PROGRESS_PLAIN, MR_CLI_PROGRESS_NONE };

/* What a command line said. Strings point into argv. */
struct mr_cli_options {
    const char *files[MR_CLI_MAX_FILES];
    int nfiles;
    const char *parameters[2 * MR_CLI_MAX_PAIRS + 1]; /* name, value, ..., NULL */
    int nparameters;
    const char *conf[2 * MR_CLI_MAX_PAIRS + 1];
    int nconf;
    const char *credentials;
    const char *state;
    const char *pipeline; /* of `runs`: the file whose state is meant */
    const char *report;
    const char *listen;
    const char *run_key;
    const char *step;
    const char *lane;  /* of `watermark` */
    const char *load;  /* of `verify` */
    const char *where; /* these six: of `delta` */
    const char *zorder;
    const char *target_file_size;
    const char *retain_hours;
    bool dry_run;
    bool unchecked;
    int64_t rows;
    int runs;
    int limit;
    int max_parallel; /* 0 = the pool's default */
    int stop_within;  /* seconds */
    int64_t memory;   /* bytes of several pipelines together, 0 = the pool's default */
    bool fail_fast;
    bool connect;
    bool json;
    bool written;
    bool fresh;
    bool resume;
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
/* The same for commands that print an answer: of the log, warnings are enough. */
int mr_cli_parse_quiet(int argc, char **argv, const char *allowed, int min_files, int max_files,
                       struct mr_cli_options *out);
/* Opens a pipeline from its text; `name` stands for the file in messages. */
int mr_cli_open_text(const struct mr_cli_options *options, const char *name, const char *text,
                     struct millrace_pipeline **out);
/* Where the log of a pipeline goes. */
struct mr_cli_log {
    const char *erase; /* the progress bar, before each line */
    const char *name;  /* of the pipeline, in front of each line of text; or NULL */
    bool
        json; /* else the error that ends a run is left to mr_cli_print_errors, which says it with its hint */
};
struct mr_cli_log mr_cli_log_of(const struct mr_cli_options *options);
/* Opens a file with others in a pool. `log` must live as long as the pipeline. Prints the errors, with its name. */
int mr_cli_open_in(const struct mr_cli_options *options, const char *file,
                   struct millrace_pool *pool, struct mr_cli_log *log,
                   struct millrace_pipeline **out);
/*
 * Opens options->files[index], with the log on standard error; signals cancel it until it is closed. Prints the errors when it
 * fails.
 */
int mr_cli_open(const struct mr_cli_options *options, int index, struct millrace_pipeline **out);
/* The beginning of a command that says something of one file: parse_quiet and open. Close it whatever comes of it. */
int mr_cli_begin(int argc, char **argv, const char *allowed, struct mr_cli_options *options,
                 struct millrace_pipeline **out);
/* Closes what open gave; returns the exit code of a command that ends with `code`. */
int mr_cli_close(struct millrace_pipeline *pipeline, int code);
/* Prints what went wrong in the last call, one line each, on standard error. */
void mr_cli_print_errors(const struct millrace_pipeline *pipeline);
/* Those of a run: the first is in a log of JSON already. */
void mr_cli_print_run_errors(const struct millrace_pipeline *pipeline,
                             const struct mr_cli_log *log);
/*
 * From hold on, SIGINT and SIGTERM do not end the process: they cancel the pipelines that are watched, at once if they came before,
 * and a process that has not ended in time is ended.
 */
void mr_cli_hold_signals(void);
/* The pipeline in one of the slots, NULL = none. A watched pipeline stays open. Any thread. */
void mr_cli_watch(int slot, struct millrace_pipeline *pipeline);
/* Of one pipeline: slot 0. */
void mr_cli_catch_signals(struct millrace_pipeline *pipeline);
/* Cancels all that are watched but this one. */
void mr_cli_cancel_others(int slot);
/* In how many seconds; `last_words` (or NULL) is called on another thread when the rest of the process hangs. */
void mr_cli_stop_within(int seconds, void (*last_words)(void *context, int code), void *context);
/* The signal that came, or 0. */
int mr_cli_signal(void);
/* 130 or 143 when a signal stopped the call, else the code. */
int mr_cli_exit_code(int code);

/* A progress bar on a terminal, a line every few seconds elsewhere. */
struct mr_cli_bar {
    const char *name; /* in front of each line, or NULL */
    enum mr_cli_progress mode;
    bool terminal;
    int64_t started; /* monotonic micros */
    int64_t last_line;
};
void mr_cli_bar_init(struct mr_cli_bar *bar, enum mr_cli_progress mode);
/* millrace_run_options.progress with the bar as context. */
void mr_cli_bar_update(void *bar, const struct millrace_progress *progress);

#endif

/*
 * report.h - the one JSON report of a run, the same on success and on failure.
 */
#ifndef MR_RUN_REPORT_H
#define MR_RUN_REPORT_H

#include "run/resume.h"
#include "run/session.h"
#include "run/totals.h"

struct mr_report_input {
    struct mr_session *session;
    const struct mr_exec_result *result;
    const struct mr_figures *figures;
    enum mr_status status;
    const struct mr_error *failure;
    const char *recovered_run; /* run whose commit this start finished, or NULL */
    const char *skipped_run;   /* run that has succeeded under the run key of this one, or NULL */
    const char *withdrawn_run; /* interrupted run whose commit was taken back, or NULL */
    const char *withdrawn_reason;
    int64_t epoch;
    const struct mr_resume *resume;
    struct mr_totals *stream; /* of a stream, or NULL */
};

/* Heap text (mr_free), or NULL when out of memory. Field names are documented in docs/guide/report.md. */
char *mr_report_build(const struct mr_report_input *input);
/* Counts incompatible changes of the report; new fields are none. */
#define MR_REPORT_VERSION 1

/* Of a run that has no session, or whose session cannot be asked any more: what there is to say without it. NULL = not known. */
struct mr_report_brief {
    const char *file;
    const char *run_id;
    const char *pipeline;
    const char *state_key;
    int exit_code;
    enum mr_status status;
    int64_t started; /* wall micros */
    const struct mr_error *failure;
};
/* A lane of a shared stream, as long as this process lives. */
struct mr_report_lane {
    const char *name;
    char run_id[40]; /* of its last run */
    int given;       /* how often the group has given it to this process */
    int starts;
    int64_t rows_read;
    int64_t rows_written;
    int64_t epoch; /* the last that was committed here, -1 = none */
};
/* Of a process with lanes: the sums over them, and each. */
char *mr_report_of_lanes(struct mr_session *session, enum mr_status status,
                         const struct mr_error *failure, const struct mr_report_lane *lanes,
                         int count);
char *mr_report_brief(const struct mr_report_brief *brief);
/* Writes through a temporary name; "-" is standard output. */
enum mr_status mr_report_write(const char *path, const char *text, struct mr_error *err);
/* The file of `metrics`: json replaces, jsonl appends one line, prometheus rewrites a text exposition. */
enum mr_status mr_report_write_metrics(struct mr_session *session, const char *report,
                                       struct mr_error *err);

#endif

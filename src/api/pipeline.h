/*
 * pipeline.h - what api/ and cli/ share beyond millrace.h: the pipeline behind the handle.
 */
#ifndef MR_API_PIPELINE_H
#define MR_API_PIPELINE_H

#include "millrace.h"
#include "run/run.h"
#include "run/start.h"

struct millrace_pipeline {
    struct mr_session *session; /* NULL when opening failed */
    struct mr_load_errors errors;
    char **messages; /* of `errors`, made on demand */
    void (*log)(void *context, enum millrace_log_level level, const char *text);
    void *log_context;
    bool log_json;
    const struct millrace_run_options *user_options;
    struct mr_start job; /* has a lease between millrace_job_plan and millrace_job_commit */
    int64_t job_epoch;
    bool job_finished; /* an interrupted run was finished, or this one before: there are no tasks */
};

/* The registry of this build. */
const struct mr_registry *mr_api_registry(void);
/* A job that was planned and not committed is over: what its tasks have staged is discarded by the next run. */
void mr_api_end_job(struct millrace_pipeline *pipeline);
/* Empties the errors before a call. */
void mr_api_begin(struct millrace_pipeline *pipeline);
/* Records a failure that is not in `errors` yet; returns the exit code of `status`. */
int mr_api_end(struct millrace_pipeline *pipeline, enum mr_status status,
               const struct mr_error *err);
/* Like millrace_cancel; `code` is the exit code that the report then names. */
void mr_api_cancel(struct millrace_pipeline *pipeline, int code);
/* Ends a stream behind its epoch, under this exit code. False: it is none, or was told before; nothing is done. */
bool mr_api_drain(struct millrace_pipeline *pipeline, int code);
/* It was, and has ended by that. */
bool mr_api_was_drained(const struct millrace_pipeline *pipeline);
bool mr_api_is_stream(const struct millrace_pipeline *pipeline);
/* Puts a pipeline that is to be run into the queue of its pool. */
void mr_api_queue(struct millrace_pipeline *pipeline);
/* Do two pipelines keep the same state key in the same place? */
bool mr_api_same_state(const struct millrace_pipeline *a, const struct millrace_pipeline *b);
/*
 * The report of a run that did not come so far as to have one, or that hangs: what `failure` (NULL = the pipeline's first error) and
 * the pipeline (may be NULL) say. Heap text (millrace_free), or NULL.
 */
char *mr_api_brief_report(const struct millrace_pipeline *pipeline, const char *file, int code,
                          const struct mr_error *failure);
/* Through a temporary name; "-" is standard output. */
enum mr_status mr_api_write_report(const char *path, const char *text, struct mr_error *err);
/* Like millrace_run, and every batch on its way into the first sink goes to `tap` as well. */
int mr_api_run(struct millrace_pipeline *pipeline, const struct millrace_run_options *options,
               enum mr_status (*tap)(void *context, struct mr_batch *batch, bool *enough,
                                     struct mr_error *err),
               void *tap_context, char **report);

#endif

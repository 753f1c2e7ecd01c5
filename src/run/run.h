/*
 * run.h - one run of a pipeline, from lease to report.
 */
#ifndef MR_RUN_RUN_H
#define MR_RUN_RUN_H

#include "run/session.h"
#include "state/state.h"

struct mr_listen;

struct mr_run_options {
    bool fresh;                 /* forget positions and watermarks first */
    bool resume;                /* an unfinished run is gone on with, or the run is refused */
    bool adopt;                 /* where a target knows more than the state, go on from that */
    const char *listen;         /* host:port for /metrics and /healthz, or NULL */
    struct mr_listen *listener; /* of the process, where it tells of several runs; or NULL */
    const char *metrics_path;   /* where to write the report; NULL = the spec's, if any */
    /* About five times a second from a thread of its own, and once at the end (`done`). */
    void (*progress)(void *context, const struct mr_exec_progress *progress, bool done);
    void *progress_context;
    /* Receives the rows on their way into sink 0 (see exec.h), or NULL. */
    enum mr_status (*tap)(void *context, struct mr_batch *batch, bool *enough,
                          struct mr_error *err);
    void *tap_context;
};

/*
 * Runs session's pipeline: takes the lease, finishes or discards what an earlier run left, plans, executes, commits. *report
 * (JSON, mr_free) is given on success and on failure, if there was memory for it. `errors` may hold several when the plan fails.
 */
enum mr_status mr_run_execute(struct mr_session *session, const struct mr_run_options *options,
                              char **report, struct mr_load_errors *errors, struct mr_error *err);

#endif

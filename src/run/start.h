/*
 * start.h - what every run begins and ends with, whether it runs here or in parts elsewhere (api/job.c).
 *
 * The lease, the row in the state, the run key, and what an interrupted run left. A run key names one run to its scheduler: a start
 * with the key of a run that has succeeded does nothing, and one with the key of a run that was interrupted behind PREPARED finishes that run and
 * does nothing else. The key counts as succeeded with the row that says so, one statement in the state; from PREPARED until
 * then the epoch's record does, because it finds the row, and the row the key.
 */
#ifndef MR_RUN_START_H
#define MR_RUN_START_H

#include "run/epoch.h"
#include "run/run.h"

struct mr_figures;

struct mr_start {
    struct mr_session *session;
    struct mr_state *state;
    struct mr_lease *lease;
    struct mr_epoch_record last; /* of the lane, before this run */
    bool recorded;               /* the run has a row in the state */
    bool
        finished_earlier; /* and this start has nothing else to do, once mr_start_goes_on said so */
    const char
        *skipped; /* the run that has succeeded under our key: there is nothing to do; or NULL */
    const char *withdrawn_run; /* the interrupted run whose commit was taken back, or NULL */
    const char *withdrawn_reason;
    const struct mr_figures *figures; /* of what it has done; NULL = those of the plan */
};

/* Opens the state, takes the lease, looks for the run key, makes the row. */
enum mr_status mr_start_begin(struct mr_start *start, struct mr_error *err);
/*
 * Finishes the commit of an interrupted run (finished_earlier), or withdraws it: `last` is what holds then. --fresh gives up one that
 * cannot be finished, --adopt one that a target has gone past.
 */
enum mr_status mr_start_recover(struct mr_start *start, const struct mr_run_options *options,
                                struct mr_error *err);
/*
 * Is there work left, after what was recovered? *work false: this is the retry of the run that was finished (mr_start_end closes
 * both). true: that run is closed as a success, and this one follows.
 */
enum mr_status mr_start_goes_on(struct mr_start *start, bool fresh, bool *work,
                                struct mr_error *err);
/* Writes down how this run ended: status, exit code, message and rows of `row`; and that the run which it finished has succeeded. */
enum mr_status mr_start_end(struct mr_start *start, enum mr_status status,
                            const struct mr_error *failure, const char *report,
                            struct mr_error *err);
/* Lets go of lease and state. */
void mr_start_reset(struct mr_start *start);

#endif

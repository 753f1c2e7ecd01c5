/*
 * stage.h - checkpoint steps in the life of a run: what earlier attempts have made durable, what
 * this run makes durable, and when it goes.
 */
#ifndef MR_RUN_STAGE_H
#define MR_RUN_STAGE_H

#include "run/session.h"

/* While a run executes: for mr_exec_request.built. */
struct mr_stage_run {
    struct mr_session *session;
    struct mr_lease *lease;
    int64_t epoch;
    uint64_t since; /* of mr_stage_load */
};

/* --fresh, --adopt: nothing of earlier attempts is used. */
enum mr_status mr_stage_forget(struct mr_lease *lease, struct mr_error *err);
/*
 * Under the lease: the frames of the attempts at the epoch that is next, into session->frames. Those
 * of earlier epochs are forgotten.
 */
enum mr_status mr_stage_load(struct mr_stage_run *run, struct mr_state *state,
                             const struct mr_epoch_record *last, struct mr_error *err);
/* The run goes on from another record than it seemed. */
void mr_stage_anchor(struct mr_stage_run *run, const struct mr_epoch_record *last);
/*
 * mr_session_plan, with the frames that are whole; says which are used and why others are not.
 */
enum mr_status mr_stage_plan(struct mr_session *session,
                             const struct mr_session_plan_options *options,
                             struct mr_load_errors *errors, struct mr_error *err);
/* Removes files of dead attempts: before anything is written. Failing is only logged, but a lost lease. */
enum mr_status mr_stage_sweep(struct mr_stage_run *run, struct mr_error *err);
/* A checkpoint's rows are there: judges the validations in front of it and makes the note. */
enum mr_status mr_stage_built(void *stage_run, int node, void *state, struct mr_error *err);
/* The epochs up to this one are committed: notes and files go. Failing is only logged. */
void mr_stage_done(struct mr_session *session, struct mr_lease *lease, int64_t epoch);

#endif

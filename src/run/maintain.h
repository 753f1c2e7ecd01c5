/*
 * maintain.h - the maintain steps of a run, after its loads have committed.
 */
#ifndef MR_RUN_MAINTAIN_H
#define MR_RUN_MAINTAIN_H

#include "run/session.h"

/*
 * Does all maintain steps of session->plan, in order; what each did goes into its `report`. The
 * first failure ends it: the loads stay committed, and the next start, which finds the run
 * unfinished, does the maintenance and nothing else.
 */
enum mr_status mr_maintain(struct mr_session *session, struct mr_error *err);
/* The same for a start that finishes an earlier run and has no plan. */
enum mr_status mr_maintain_again(struct mr_session *session, struct mr_error *err);

#endif

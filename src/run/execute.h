/*
 * execute.h - what a batch run and an epoch of a stream do alike between their plan and their commit.
 */
#ifndef MR_RUN_EXECUTE_H
#define MR_RUN_EXECUTE_H

#include "run/run.h"

/*
 * Asks the targets of session->plan what they remember (mr_epoch_ask_targets), by what the user said of a lost state. Where they know
 * another epoch to go on from, *last is that one and the session is planned again from there. MR_STATE: somebody else has the lease.
 */
enum mr_status mr_execute_agree(struct mr_session *session, struct mr_lease *lease,
                                const struct mr_run_options *options,
                                const struct mr_session_plan_options *plan,
                                struct mr_load_errors *errors, struct mr_epoch_record *last,
                                struct mr_error *err);
/*
 * Moves the rows of session->plan from its sources to its sinks, which stage them as `epoch`. `begun` holds what only the caller
 * knows (`built`, `resume`); its other members are not read. Also on failure `result` says what was done.
 */
enum mr_status mr_execute(struct mr_session *session, const struct mr_run_options *options,
                          int64_t epoch, struct mr_exec_request begun,
                          struct mr_exec_result *result, struct mr_error *err);

#endif

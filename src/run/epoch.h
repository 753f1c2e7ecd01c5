/*
 * epoch.h - the commit of one epoch, and its recovery.
 *
 * stage (exec) -> prepare -> durable PREPARED record -> commit each sink -> durable COMMITTED record -> acknowledge. Before
 * PREPARED nothing is visible and a kill loses only work; after it every start finishes the same commit, never another.
 */
#ifndef MR_RUN_EPOCH_H
#define MR_RUN_EPOCH_H

#include "run/session.h"
#include "state/state.h"

/* Prepares all sinks of session->plan with what was staged, and commits. `epoch` is the number of this epoch. */
enum mr_status mr_epoch_commit(struct mr_session *session, struct mr_state *state,
                               struct mr_lease *lease, const struct mr_exec_result *result,
                               int64_t epoch, const char *watermark, struct mr_error *err);
/* Commits what `record` (PREPARED) names, by the options of the present file, and stores it as COMMITTED. */
enum mr_status mr_epoch_finish(struct mr_session *session, struct mr_lease *lease,
                               struct mr_epoch_record *record, struct mr_error *err);
/* Discards what `record` (PREPARED) names and is not visible yet. */
enum mr_status mr_epoch_abandon(struct mr_session *session, const struct mr_epoch_record *record,
                                struct mr_error *err);
/* Discards what runs of this pipeline left staged. */
enum mr_status mr_epoch_discard(struct mr_session *session, struct mr_error *err);
/* Stops with the remedy when a target knows a later epoch than ours. */
enum mr_status mr_epoch_check_targets(struct mr_session *session, int64_t epoch,
                                      struct mr_error *err);

#endif

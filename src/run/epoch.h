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
/*
 * Commits what `record` (PREPARED) names, by the options of the present file, and stores it as COMMITTED. *withdrawn: why the targets
 * prove that nothing of it is there and that it cannot be finished; `record` is then that of the epoch before, stored under
 * this number, and the rows are to be read again. NULL = it is committed.
 */
enum mr_status mr_epoch_finish(struct mr_session *session, struct mr_state *state,
                               struct mr_lease *lease, struct mr_epoch_record *record,
                               const char **withdrawn, struct mr_error *err);
/* Somebody says that it is not to be finished: the same, whatever is visible already. What targets fail to discard is logged. */
enum mr_status mr_epoch_give_up(struct mr_session *session, struct mr_state *state,
                                struct mr_lease *lease, struct mr_epoch_record *record,
                                struct mr_error *err);
/* Discards what runs of this pipeline left staged. */
enum mr_status mr_epoch_discard(struct mr_session *session, struct mr_error *err);
/* The runtime of a sink's step outside of exec: same counters, a waiter that heeds a cancel late or not at all. */
struct mr_epoch_lent {
    struct mr_runtime runtime;
    struct mr_waiter waiter;
};
struct mr_runtime *mr_epoch_runtime(struct mr_epoch_lent *out, const struct mr_runtime *from);
/* What the record of an epoch says of a sink beside its token: borrowed from the plan. */
struct mr_epoch_token mr_epoch_target(const struct mr_plan_node *node);

/* What is done when a target remembers another state of this pipeline, or a later epoch, than ours. */
enum mr_lost_state {
    MR_LOST_STOP,  /* nothing; the error names the remedies */
    MR_LOST_ADOPT, /* go on from the target's epoch and positions (--adopt) */
    MR_LOST_FRESH, /* begin anew, under a number that no target knows (--fresh) */
};
/*
 * Asks every target what it remembers and compares it with `last`, our record (targets.c). *last is changed, and stored, where
 * another one is to be gone on from: *changed.
 */
enum mr_status mr_epoch_ask_targets(struct mr_session *session, struct mr_lease *lease,
                                    enum mr_lost_state how, struct mr_epoch_record *last,
                                    bool *changed, struct mr_error *err);
/*
 * Between epochs of one process, which asks its targets once: are the tables still there that it has loaded? MR_SINK, class fatal: one is
 * not, and what `last` and those before it have brought is gone with it.
 */
enum mr_status mr_epoch_check_tables(const struct mr_session *session,
                                     const struct mr_epoch_record *last, struct mr_error *err);

#endif

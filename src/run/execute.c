/*
 * execute.c - one epoch of a pipeline: targets are asked before it, its rows are staged.
 */
#include "run/execute.h"

#include "run/epoch.h"
#include "run/ledger.h"
#include "run/progress.h"

#include <stdio.h>
#include <string.h>

static bool is_remembered(const struct mr_positions *since, const char *step)
{
    for (int i = 0; i < since->count; i++)
        if (strcmp(since->items[i].step, step) == 0)
            return true;
    return false;
}

/*
 * A step that was renamed, or has got another one of its method in front of it, is a new one: it would bring its rows again, or (a topic of a
 * stream, at "latest") leave some out. So may one be that is really new, and nothing tells the two apart.
 */
static void tell_new_steps(struct mr_session *session)
{
    const struct mr_positions *since = &session->since;
    char known[200] = "";
    size_t size = 0;
    for (int i = 0; i < since->count && size < sizeof known; i++)
        if (since->items[i].step[0] != '\0')
            size += (size_t)snprintf(known + size, sizeof known - size, "%s%s", size ? ", " : "",
                                     since->items[i].step);
    for (int i = 0; size > 0 && i < session->plan->npositions; i++)
        if (!is_remembered(since, session->plan->positions[i].step))
            mr_logger_printf(&session->logger, MR_LOG_WARN, "run",
                             "%s begins as in a first run: the state remembers %s. A step is known "
                             "by its `name`, else by its number among those of its method",
                             session->plan->positions[i].step, known);
}

enum mr_status mr_execute_agree(struct mr_session *session, struct mr_lease *lease,
                                const struct mr_run_options *options,
                                const struct mr_session_plan_options *plan,
                                struct mr_load_errors *errors, struct mr_epoch_record *last,
                                struct mr_error *err)
{
    enum mr_lost_state how = options->adopt   ? MR_LOST_ADOPT
                             : options->fresh ? MR_LOST_FRESH
                                              : MR_LOST_STOP;
    /* On its way it points into the arena of an attempt that may fail. */
    struct mr_epoch_record agreed = *last;
    bool changed = false;
    enum mr_status status = mr_epoch_ask_targets(session, lease, how, &agreed, &changed, err);
    /* A target that knows more than the state may know it from the one that has the lease by now. */
    if (status != MR_OK && mr_lease_check(lease, NULL) != MR_OK)
        MR_TRY(mr_lease_check(lease, err));
    MR_TRY(status);
    if (changed && options->adopt) {
        mr_logger_printf(&session->logger, MR_LOG_WARN, "run",
                         "--adopt: goes on from epoch %lld, which the target knows",
                         (long long)agreed.epoch);
        MR_TRY(mr_session_since(session, agreed.watermark, agreed.positions, errors, err));
        MR_TRY(mr_session_plan(session, plan, errors, err));
    }
    *last = agreed;
    tell_new_steps(session);
    return MR_OK;
}

enum mr_status mr_execute(struct mr_session *session, const struct mr_run_options *options,
                          int64_t epoch, struct mr_exec_request begun,
                          struct mr_exec_result *result, struct mr_error *err)
{
    struct mr_progress *progress = NULL;
    struct mr_exec_request request = {
        .plan = session->plan,
        .epoch = {.lane = 0, .epoch = epoch},
        .tap_node = -1,
        .only_segment = -1,
        .only_task = -1,
        .built = begun.built,
        .built_context = begun.built_context,
        .resume = begun.resume,
    };
    MR_TRY(mr_ledger_specs(session, &request.contents, err));
    if (options->tap && session->plan->nsinks > 0) {
        request.tap_node = session->plan->sinks[0];
        request.tap = options->tap;
        request.tap_context = options->tap_context;
    }
    /* An epoch is no run: a stream has lines of the log (tell.c). */
    if (options->progress && session->spec->mode == MR_MODE_BATCH)
        MR_TRY(mr_progress_start(session->engine, options->progress, options->progress_context,
                                 &progress, err));
    enum mr_status status = mr_exec_run(session->engine, &request, result, err);
    mr_progress_stop(progress);
    return status;
}

/*
 * start.c - the beginning and the end of a run in its state.
 *
 * Whether a start is the retry of the run that it has finished is decided by run keys where both have one, else by the parameters: a
 * key is what the scheduler calls the run, and the same in all of its attempts, while parameters may hold the date of today.
 */
#include "run/start.h"

#include "base/failpoint.h"
#include "base/time.h"
#include "run/figures.h"
#include "run/group.h"
#include "run/maintain.h"
#include "run/resume.h"
#include "run/stage.h"

#include <string.h>

/* Did a run of this pipeline succeed under our key? */
static enum mr_status look_for_key(struct mr_start *start, struct mr_error *err)
{
    struct mr_session *session = start->session;
    const char *run_key = session->request.run_key;
    struct mr_run_row *row = NULL;
    if (!run_key)
        return MR_OK;
    MR_TRY(mr_state_run_of_key(start->state, session->spec->state_key, run_key, &session->arena,
                               &row, err));
    if (!row)
        return MR_OK;
    start->skipped = row->run_id;
    mr_logger_printf(&session->logger, MR_LOG_WARN, "run",
                     "nothing is done: run key %s has succeeded already, as run %s", run_key,
                     row->run_id);
    return MR_OK;
}

enum mr_status mr_start_begin(struct mr_start *start, struct mr_error *err)
{
    struct mr_session *session = start->session;
    const struct mr_spec *spec = session->spec;
    int64_t fence = 0;
    MR_TRY(mr_session_open_state(session, &start->state, err));
    session->runtime.state_uuid = mr_state_uuid(start->state);
    MR_TRY(
        mr_state_lease(start->state, spec->state_key, session->run_id, &start->lease, &fence, err));
    struct mr_run_row row = {.run_id = session->run_id,
                             .pipeline = spec->name,
                             .state_key = spec->state_key,
                             .run_key = session->request.run_key,
                             .started_micros = session->start_wall};
    MR_TRY(
        mr_state_load_epoch(start->state, spec->state_key, 0, &session->arena, &start->last, err));
    MR_TRY(look_for_key(start, err));
    MR_TRY(mr_state_run_begin(start->state, &row, err));
    start->recorded = true;
    return MR_OK;
}

/* ---- an interrupted run ---- */

static enum mr_status row_of_last(struct mr_start *start, struct mr_run_row **row,
                                  struct mr_error *err)
{
    return mr_state_run(start->state, start->last.run_id, &start->session->arena, row, err);
}

static enum mr_status close_earlier(struct mr_start *start, struct mr_error *err)
{
    struct mr_run_row *row = NULL;
    MR_TRY(row_of_last(start, &row, err));
    if (!row)
        return MR_OK;
    row->status = "success";
    row->exit_code = 0;
    row->ended_micros = mr_clock_wall_micros();
    row->message = "interrupted after its rows were staged; finished by a later start";
    return mr_state_run_end(start->state, row, err);
}

/*
 * What may be given up: a target has said no. Not where nobody knows what it did, where it was not asked at all, or where the failure
 * is this process's own.
 */
static bool is_answer(enum mr_status status, const struct mr_error *failure)
{
    return failure->cls != MR_CLASS_UNKNOWN && status != MR_BUSY && status != MR_CANCELLED &&
           status != MR_NOMEM && status != MR_LIMIT;
}

/* --fresh, and the commit of the interrupted run cannot be finished; --adopt, and a target is past it: what it staged is discarded. */
static enum mr_status give_up(struct mr_start *start, const char *option,
                              const struct mr_error *failure, struct mr_error *err)
{
    struct mr_session *session = start->session;
    start->withdrawn_run = start->last.run_id;
    start->withdrawn_reason = mr_arena_strdup(&session->arena, failure->message);
    mr_logger_printf(&session->logger, MR_LOG_WARN, "run",
                     "%s: the commit of the interrupted run %s cannot be finished (%s) and is "
                     "given up; what it had made visible already stays",
                     option, start->last.run_id, failure->message);
    return mr_epoch_give_up(session, start->state, start->lease, &start->last, err);
}

/* Until it is finished no other run may begin: that could bring its rows a second time. */
static enum mr_status unfinished(struct mr_start *start, enum mr_status status, bool fresh,
                                 const struct mr_error *failure, struct mr_error *err)
{
    if (!err)
        return status;
    *err = *failure;
    if (status == MR_BUSY || status == MR_CANCELLED)
        return status;
    mr_error_prefix(err, "the commit of the interrupted run %s cannot be finished",
                    start->last.run_id);
    if (!is_answer(status, failure))
        mr_error_hint(err, "%s",
                      fresh ? "whether it happened is not known, and --fresh does not give up "
                              "what may have happened: run again when the target answers"
                            : "whether it happened is not known: run again when the target "
                              "answers");
    else if (failure->cls != MR_CLASS_SUPERSEDED)
        mr_error_hint(err, "mend the target and run again; --fresh gives up what that run staged");
    return status;
}

static enum mr_status finish(struct mr_start *start, const struct mr_run_options *options,
                             bool *withdrawn, struct mr_error *err)
{
    struct mr_error failure = {0};
    const char *run_id = start->last.run_id, *reason = NULL;
    enum mr_status status = mr_epoch_finish(start->session, start->state, start->lease,
                                            &start->last, &reason, &failure);
    *withdrawn = status != MR_OK || reason;
    if (status == MR_OK && reason) {
        start->withdrawn_run = run_id;
        start->withdrawn_reason = reason;
    }
    if (status == MR_OK)
        return MR_OK;
    if (options->fresh && is_answer(status, &failure))
        return give_up(start, "--fresh", &failure, err);
    if (options->adopt && failure.cls == MR_CLASS_SUPERSEDED)
        return give_up(start, "--adopt", &failure, err);
    return unfinished(start, status, options->fresh, &failure, err);
}

/* The record of a group holds no positions of ours: where each lane is, its own record says. */
static enum mr_status refuse_lanes(const struct mr_start *start, bool fresh, struct mr_error *err)
{
    if (fresh || start->session->request.lane || !mr_group_has_begun(&start->last))
        return MR_OK;
    mr_error_config(err, "this stream was read by a group: it has a position for each lane");
    mr_error_hint(err, "run it with `group`; else give it another `stateKey` and say with "
                       "startingOffsets where it begins, or run with --fresh");
    return MR_CONFIG;
}

enum mr_status mr_start_recover(struct mr_start *start, const struct mr_run_options *options,
                                struct mr_error *err)
{
    struct mr_session *session = start->session;
    struct mr_run_row *row = NULL;
    bool withdrawn = false;
    if (start->last.phase == MR_EPOCH_NONE)
        return MR_OK;
    MR_TRY(refuse_lanes(start, options->fresh, err));
    /* Killed, or failed after its rows were prepared: either way they are there, or will be. */
    MR_TRY(row_of_last(start, &row, err));
    /* A stream ends behind some epoch, as a rule by being stopped: it is no retry, and nobody is its. */
    bool streams = start->last.stream || session->spec->mode == MR_MODE_STREAMING;
    bool interrupted = row && strcmp(row->status, "success") != 0 && !streams;
    if (start->last.phase == MR_EPOCH_COMMITTED && (!interrupted || start->last.ntokens == 0))
        return MR_OK;
    if (start->last.phase == MR_EPOCH_PREPARED)
        MR_TRY(finish(start, options, &withdrawn, err));
    if (withdrawn)
        return MR_OK;
    if (mr_maintain_again(session, err) != MR_OK && !options->fresh)
        return err ? err->status : MR_SINK;
    mr_stage_done(session, start->lease, start->last.epoch);
    start->finished_earlier = !streams;
    if (streams && !start->last.stream) /* a batch run's: nobody else will say how it ended */
        MR_TRY(close_earlier(start, err));
    mr_logger_printf(&session->logger, MR_LOG_INFO, "run",
                     "finished the commit of the interrupted run %s; nothing was read again",
                     start->last.run_id);
    return MR_OK;
}

/* ---- its retry ---- */

static enum mr_status is_retry(struct mr_start *start, bool *retry, struct mr_error *err)
{
    struct mr_session *session = start->session;
    const char *run_key = session->request.run_key;
    const char *mark = start->last.fingerprint ? strchr(start->last.fingerprint, ':') : NULL;
    struct mr_run_row *row = NULL;
    MR_TRY(row_of_last(start, &row, err));
    bool keys = run_key && row && row->run_key;
    *retry = keys ? strcmp(run_key, row->run_key) == 0
                  : !mark || strcmp(mark + 1, session->spec->parameters_hash) == 0;
    if (!*retry)
        mr_logger_printf(&session->logger, MR_LOG_INFO, "run", "that run had %s: this one follows",
                         keys ? "another run key" : "other parameters");
    return MR_OK;
}

enum mr_status mr_start_goes_on(struct mr_start *start, bool fresh, bool *work,
                                struct mr_error *err)
{
    bool retry = false;
    *work = true;
    if (!start->finished_earlier)
        return MR_OK;
    /* With --fresh a retry loads again, unless it is known by its key that this very run is done. */
    if (!fresh || start->session->request.run_key)
        MR_TRY(is_retry(start, &retry, err));
    if (retry && fresh) {
        struct mr_run_row *row = NULL;
        MR_TRY(row_of_last(start, &row, err));
        retry = row && row->run_key;
    }
    *work = !retry;
    if (!*work)
        return MR_OK; /* mr_start_end closes the earlier run */
    start->finished_earlier = false;
    return close_earlier(start, err);
}

/* ---- the end ---- */

/* A job in parts has only what its plan has counted. */
static struct mr_figure_rows sum_rows(const struct mr_start *start)
{
    const struct mr_plan *plan = start->session->plan;
    const struct mr_exec_result nothing = {0};
    struct mr_figure_rows rows = {0};
    struct mr_figures own;
    mr_figures_init(&own);
    if (start->figures)
        mr_figures_rows(start->figures, &rows);
    else if (plan && mr_figures_add(&own, plan, &nothing, NULL) == MR_OK)
        mr_figures_rows(&own, &rows);
    mr_figures_reset(&own);
    return rows;
}

static enum mr_status record_end(struct mr_start *start, enum mr_status status,
                                 const struct mr_error *failure, const char *report,
                                 struct mr_error *err)
{
    struct mr_session *session = start->session;
    if (!start->recorded)
        return MR_OK;
    struct mr_run_row row = {
        .run_id = session->run_id,
        .status = status != MR_OK  ? status == MR_CANCELLED ? "cancelled" : "failed"
                  : start->skipped ? "skipped"
                                   : "success",
        .exit_code = mr_session_exit_code(session, status),
        .ended_micros = mr_clock_wall_micros(),
        .message = status != MR_OK ? failure->message : NULL,
        .report = report,
    };
    if (status == MR_OK && start->skipped)
        row.message =
            mr_arena_printf(&session->arena, "run key %s has succeeded already, as run %s",
                            session->request.run_key, start->skipped);
    struct mr_figure_rows rows = sum_rows(start);
    row.rows_read = rows.read;
    row.rows_written = rows.written;
    return mr_state_run_end(start->state, &row, err);
}

/*
 * First how this run ended, and after that that the run whose commit it finished has succeeded: killed in between it is started
 * again, finds that run still interrupted, and reads nothing again. In the other order its retry would be a new run.
 */
enum mr_status mr_start_end(struct mr_start *start, enum mr_status status,
                            const struct mr_error *failure, const char *report,
                            struct mr_error *err)
{
    MR_TRY(record_end(start, status, failure, report, err));
    if (status != MR_OK || !start->finished_earlier)
        return MR_OK;
    MR_TRY(MR_FAILPOINT("run.recorded", err));
    return close_earlier(start, err);
}

void mr_start_reset(struct mr_start *start)
{
    mr_lease_release(start->lease);
    mr_state_close(start->state);
    start->lease = NULL;
    start->state = NULL;
    start->recorded = false; /* there is no state any more to write an end into */
}

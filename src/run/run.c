/*
 * run.c - the life of one run.
 *
 * open state -> lease -> recover -> plan -> discard leftovers -> execute -> judge validations -> commit -> report. A start that
 * finds rows of an earlier, interrupted run durably staged or committed finishes that run and does nothing else: a scheduler's retry
 * of a killed run must not append the rows a second time. Unless its parameters differ: then it is no retry but the next work, which
 * follows after the finished commit. Errors come up here and are only logged here.
 */
#include "run/run.h"

#include "base/failpoint.h"
#include "base/time.h"
#include "run/epoch.h"
#include "run/judge.h"
#include "run/ledger.h"
#include "run/maintain.h"
#include "run/progress.h"
#include "run/report.h"
#include "run/resume.h"
#include "run/stage.h"

#include <string.h>

struct run {
    struct mr_session *session;
    const struct mr_run_options *options;
    struct mr_state *state;
    struct mr_lease *lease;
    struct mr_epoch_record last; /* of the lane, before this run */
    struct mr_stage_run stage;
    struct mr_exec_result result;
    struct mr_resume resume;
    bool recorded; /* the run has a row in the state */
    bool finished_earlier;
};

static enum mr_status begin(struct run *run, struct mr_error *err)
{
    struct mr_session *session = run->session;
    const struct mr_spec *spec = session->spec;
    int64_t fence = 0;
    MR_TRY(mr_session_open_state(session, &run->state, err));
    session->runtime.state_uuid = mr_state_uuid(run->state);
    MR_TRY(mr_state_lease(run->state, spec->state_key, session->run_id, &run->lease, &fence, err));
    struct mr_run_row row = {.run_id = session->run_id,
                             .pipeline = spec->name,
                             .state_key = spec->state_key,
                             .started_micros = session->start_wall};
    MR_TRY(mr_state_load_epoch(run->state, spec->state_key, 0, &session->arena, &run->last, err));
    MR_TRY(mr_state_run_begin(run->state, &row, err));
    run->recorded = true;
    return MR_OK;
}

/*
 * Did the run that wrote the last record end without success? It may have been killed, or have failed after its rows were
 * prepared: either way they are there, or will be.
 */
static enum mr_status was_interrupted(struct run *run, bool *interrupted, struct mr_error *err)
{
    struct mr_run_row *row = NULL;
    MR_TRY(mr_state_run(run->state, run->last.run_id, &run->session->arena, &row, err));
    *interrupted = row && strcmp(row->status, "success") != 0;
    return MR_OK;
}

static enum mr_status close_earlier(struct run *run, struct mr_error *err)
{
    struct mr_run_row *row = NULL;
    MR_TRY(mr_state_run(run->state, run->last.run_id, &run->session->arena, &row, err));
    if (!row)
        return MR_OK;
    row->status = "success";
    row->exit_code = 0;
    row->ended_micros = mr_clock_wall_micros();
    row->message = "interrupted after its rows were staged; finished by a later start";
    return mr_state_run_end(run->state, row, err);
}

/* --fresh, and the commit of the interrupted run cannot be finished: what it staged is discarded. */
static enum mr_status give_up(struct run *run, struct mr_error *err)
{
    mr_logger_printf(
        &run->session->logger, MR_LOG_WARN, "run",
        "the commit of the interrupted run %s cannot be finished (%s) and is given up; "
        "files that it had made visible already stay",
        run->last.run_id, err->message);
    MR_TRY(mr_epoch_abandon(run->session, &run->last, err));
    return mr_ledger_withdraw(run->session, run->state, run->lease, run->last.epoch, err);
}

/* Until it is finished no other run may begin: that could bring its rows a second time. */
static enum mr_status unfinished(struct run *run, struct mr_error *err)
{
    if (!err)
        return MR_SINK;
    mr_error_prefix(err, "the commit of the interrupted run %s cannot be finished",
                    run->last.run_id);
    mr_error_hint(err, "mend the target and run again; --fresh gives up what that run staged");
    return err->status;
}

/* Finishes the commit of an interrupted run. */
static enum mr_status recover(struct run *run, struct mr_error *err)
{
    struct mr_session *session = run->session;
    bool interrupted = false;
    if (run->last.phase == MR_EPOCH_NONE)
        return MR_OK;
    MR_TRY(was_interrupted(run, &interrupted, err));
    bool loaded = run->last.ntokens > 0;
    if (run->last.phase == MR_EPOCH_COMMITTED && (!interrupted || !loaded))
        return MR_OK;
    if (run->last.phase == MR_EPOCH_PREPARED) {
        bool withdrawn;
        enum mr_status status =
            mr_epoch_finish(session, run->state, run->lease, &run->last, &withdrawn, err);
        if (status != MR_OK && run->options->fresh)
            return give_up(run, err);
        if (status != MR_OK)
            return unfinished(run, err);
        if (withdrawn)
            return MR_OK;
    }
    if (mr_maintain_again(session, err) != MR_OK && !run->options->fresh)
        return err ? err->status : MR_SINK;
    mr_stage_done(session, run->lease, run->last.epoch);
    run->finished_earlier = true;
    mr_logger_printf(&session->logger, MR_LOG_INFO, "run",
                     "finished the commit of the interrupted run %s; nothing was read again",
                     run->last.run_id);
    return MR_OK;
}

/*
 * --fresh: positions and the watermark go. The number of the epoch stays: names of files derive from it, and a name must never
 * mean two contents.
 */
static enum mr_status forget(struct run *run, struct mr_error *err)
{
    run->finished_earlier = false; /* this run has work of its own */
    if (run->last.phase == MR_EPOCH_NONE)
        return MR_OK;
    run->last = (struct mr_epoch_record){.phase = MR_EPOCH_COMMITTED,
                                         .epoch = run->last.epoch,
                                         .run_id = "",
                                         .fingerprint = ""};
    return mr_state_store_epoch(run->lease, &run->last, err);
}

/* Is this start the retry of the run that it has just finished, so that nothing is left to do? */
static bool is_retry(const struct run *run)
{
    const char *mark = run->last.fingerprint ? strchr(run->last.fingerprint, ':') : NULL;
    if (!mark || strcmp(mark + 1, run->session->spec->parameters_hash) == 0)
        return true;
    mr_logger_printf(&run->session->logger, MR_LOG_INFO, "run",
                     "that run had other parameters: this one follows");
    return false;
}

static enum mr_status execute(struct run *run, struct mr_error *err)
{
    struct mr_session *session = run->session;
    struct mr_progress *progress = NULL;
    struct mr_exec_request request = {
        .plan = session->plan,
        .epoch = {.lane = 0, .epoch = run->last.epoch + 1},
        .tap_node = -1,
        .only_segment = -1,
        .only_task = -1,
        .built = mr_stage_built,
        .built_context = &run->stage,
        .resume = &run->resume.exec,
    };
    MR_TRY(mr_ledger_specs(session, &request.contents, err));
    if (run->options->tap && session->plan->nsinks > 0) {
        request.tap_node = session->plan->sinks[0];
        request.tap = run->options->tap;
        request.tap_context = run->options->tap_context;
    }
    if (run->options->progress)
        MR_TRY(mr_progress_start(session->engine, run->options->progress,
                                 run->options->progress_context, &progress, err));
    enum mr_status status = mr_exec_run(session->engine, &request, &run->result, err);
    mr_progress_stop(progress);
    return status;
}

/* Trusts the targets over our own state: what they know decides from where this run goes on. */
static enum mr_status compare_targets(struct run *run, const struct mr_session_plan_options *plan,
                                      struct mr_load_errors *errors, struct mr_error *err)
{
    struct mr_session *session = run->session;
    enum mr_lost_state how = run->options->adopt   ? MR_LOST_ADOPT
                             : run->options->fresh ? MR_LOST_FRESH
                                                   : MR_LOST_STOP;
    bool changed = false;
    enum mr_status status =
        mr_epoch_ask_targets(session, run->lease, how, &run->last, &changed, err);
    /* A target that knows more than the state may know it from the one that has the lease by now. */
    if (status != MR_OK && mr_lease_check(run->lease, NULL) != MR_OK)
        MR_TRY(mr_lease_check(run->lease, err));
    MR_TRY(status);
    if (!changed || !run->options->adopt)
        return MR_OK;
    mr_logger_printf(&session->logger, MR_LOG_WARN, "run",
                     "--adopt: goes on from epoch %lld, which the target knows",
                     (long long)run->last.epoch);
    MR_TRY(mr_session_since(session, run->last.watermark, run->last.positions, errors, err));
    return mr_session_plan(session, plan, errors, err);
}

/* The plan, for the instant of an unfinished run if that can be gone on with. */
static enum mr_status plan_run(struct run *run, struct mr_load_errors *errors, struct mr_error *err)
{
    struct mr_session *session = run->session;
    bool again = false;
    struct mr_session_plan_options plan = {.connect = true,
                                           .with_splits = true,
                                           .with_sinks = true};
    if (!run->options->fresh && !run->options->adopt)
        MR_TRY(mr_resume_find(&run->resume, run->state, run->lease, &run->last, err));
    MR_TRY(mr_session_since(session, run->last.watermark, run->last.positions, errors, err));
    run->stage = (struct mr_stage_run){.session = session, .lease = run->lease};
    MR_TRY(mr_stage_load(&run->stage, run->state, &run->last, err));
    MR_TRY(mr_stage_plan(session, &plan, errors, err));
    MR_TRY(compare_targets(run, &plan, errors, err));
    mr_stage_anchor(&run->stage, &run->last);
    MR_TRY(mr_resume_match(&run->resume, run->options, run->last.epoch + 1, &again, err));
    if (!again)
        return MR_OK;
    MR_TRY(mr_stage_plan(session, &plan, errors, err));
    return mr_resume_match(&run->resume, run->options, run->last.epoch + 1, &again, err);
}

static enum mr_status run_body(struct run *run, struct mr_load_errors *errors, struct mr_error *err)
{
    struct mr_session *session = run->session;
    if (session->ran)
        return mr_error_set(err, MR_USAGE, MR_CLASS_CONFIG,
                            "this pipeline has run already: open it again");
    session->ran = true;
    MR_TRY(begin(run, err));
    MR_TRY(recover(run, err));
    if (run->options->fresh || run->options->adopt)
        MR_TRY(mr_stage_forget(run->lease, err));
    run->resume.state = run->state;
    run->resume.lease = run->lease;
    if (run->options->fresh || run->finished_earlier)
        MR_TRY(
            mr_resume_forget(&run->resume, run->options->fresh ? INT64_MAX : run->last.epoch, err));
    if (run->finished_earlier && !run->options->fresh && is_retry(run))
        return MR_OK; /* end() closes the earlier run */
    if (run->finished_earlier)
        MR_TRY(close_earlier(run, err));
    run->finished_earlier = false; /* this run has work of its own */
    if (run->options->fresh)
        MR_TRY(forget(run, err));
    MR_TRY(plan_run(run, errors, err));
    MR_TRY(mr_resume_sweep(&run->resume, err));
    MR_TRY(mr_stage_sweep(&run->stage, err));
    enum mr_status status = execute(run, err);
    if (status == MR_OK)
        status = mr_judge_validations(session->plan, err);
    if (status == MR_OK && mr_engine_cancelled(session->engine))
        status = mr_error_cancelled(err);
    if (status != MR_OK) {
        mr_resume_leave(&run->resume, status, err);
        return status;
    }
    MR_TRY(mr_epoch_commit(session, run->state, run->lease, &run->result, run->last.epoch + 1,
                           mr_session_next_watermark(session), err));
    mr_stage_done(session, run->lease, run->last.epoch + 1);
    MR_TRY(mr_resume_committed(&run->resume, err));
    return mr_maintain(session, err);
}

static void sum_rows(const struct mr_plan *plan, int64_t *rows_read, int64_t *rows_written)
{
    *rows_read = *rows_written = 0;
    for (int i = 0; plan && i < plan->nnodes; i++) {
        const struct mr_counters *counters = plan->nodes[i].runtime->counters;
        if (plan->nodes[i].kind == MR_PLAN_SOURCE)
            *rows_read += atomic_load(&counters->value[MR_COUNT_ROWS_READ]);
        if (plan->nodes[i].kind == MR_PLAN_SINK)
            *rows_written += atomic_load(&counters->value[MR_COUNT_ROWS_WRITTEN]);
    }
}

/* Writes down how the run ended. */
static enum mr_status record_end(struct run *run, enum mr_status status,
                                 const struct mr_error *failure, const char *report,
                                 struct mr_error *err)
{
    struct mr_session *session = run->session;
    if (!run->recorded)
        return MR_OK;
    struct mr_run_row row = {
        .run_id = session->run_id,
        .status = status == MR_OK          ? "success"
                  : status == MR_CANCELLED ? "cancelled"
                                           : "failed",
        .exit_code = mr_session_exit_code(session, status),
        .ended_micros = mr_clock_wall_micros(),
        .message = status == MR_OK ? NULL : failure->message,
        .report = report,
    };
    sum_rows(session->plan, &row.rows_read, &row.rows_written);
    return mr_state_run_end(run->state, &row, err);
}

static char *build_report(const struct run *run, enum mr_status status,
                          const struct mr_error *failure)
{
    struct mr_report_input input = {
        .session = run->session,
        .result = &run->result,
        .status = status,
        .failure = failure,
        .recovered_run = run->finished_earlier ? run->last.run_id : NULL,
        .epoch = run->last.epoch + (run->finished_earlier ? 0 : 1),
        .resume = &run->resume,
    };
    return mr_report_build(&input);
}

/*
 * Writes down how this run ended, and after that that the run whose commit it finished has succeeded: killed in between it is started
 * again, finds that run still interrupted, and reads nothing again. In the other order its retry would be a new run.
 */
static enum mr_status record(struct run *run, enum mr_status status, const struct mr_error *failure,
                             const char *report, struct mr_error *err)
{
    MR_TRY(record_end(run, status, failure, report, err));
    if (status != MR_OK || !run->finished_earlier)
        return MR_OK;
    MR_TRY(MR_FAILPOINT("run.recorded", err));
    return close_earlier(run, err);
}

/*
 * The report, and the end in the state. A success that could not be recorded is none: the next start would take this run for an
 * interrupted one and leave its own work undone. As a failure it is started again, and that start finds the rows committed.
 */
static enum mr_status end(struct run *run, enum mr_status status, struct mr_error *failure,
                          char **report)
{
    struct mr_error err = {0};
    *report = build_report(run, status, failure);
    enum mr_status recorded = record(run, status, failure, *report, &err);
    if (recorded != MR_OK && status == MR_OK) {
        status = recorded;
        *failure = err;
        mr_error_prefix(failure, "the rows are committed, but the end of the run is not recorded");
        mr_free(*report);
        *report = build_report(run, status, failure);
    } else if (recorded != MR_OK) {
        mr_logger_printf(&run->session->logger, MR_LOG_WARN, "run",
                         "the end of the run could not be recorded: %s", err.message);
    }
    return status;
}

static void let_go(struct run *run)
{
    mr_exec_result_reset(&run->result);
    mr_resume_reset(&run->resume);
    mr_lease_release(run->lease);
    mr_state_close(run->state);
}

static void write_reports(struct mr_session *session, const char *path, const char *report)
{
    struct mr_error written = {0};
    if (path && mr_report_write(path, report, &written) != MR_OK)
        mr_logger_printf(&session->logger, MR_LOG_WARN, "run", "no report file: %s",
                         written.message);
    if (session->spec->metrics_path && mr_report_write_metrics(session, report, &written) != MR_OK)
        mr_logger_printf(&session->logger, MR_LOG_WARN, "run", "no metrics file: %s",
                         written.message);
}

static void log_end(struct mr_session *session, enum mr_status status, const struct mr_error *err)
{
    double seconds = (double)(mr_clock_monotonic_micros() - session->start_monotonic) / 1e6;
    if (status == MR_OK)
        mr_logger_printf(&session->logger, MR_LOG_INFO, "run", "done in %.2f s", seconds);
    else
        mr_logger_printf(&session->logger, MR_LOG_ERROR, "run", "%s%s%s%s%s", err->message,
                         err->where[0] ? " [" : "", err->where, err->where[0] ? "]" : "",
                         status == MR_CANCELLED ? " (resumable)" : "");
}

enum mr_status mr_run_execute(struct mr_session *session, const struct mr_run_options *options,
                              char **report, struct mr_load_errors *errors, struct mr_error *err)
{
    struct run run = {.session = session, .options = options};
    struct mr_error failure = {0};
    mr_resume_init(&run.resume, session);
    *report = NULL;
    enum mr_status status = mr_pool_enter(&session->ticket, session->runtime.waiter, &failure);
    if (status == MR_OK) {
        if (session->ticket.pool)
            mr_session_begin(session);
        mr_logger_printf(&session->logger, MR_LOG_INFO, "run", "run %s of %s begins",
                         session->run_id, session->spec->name);
        status = run_body(&run, errors, &failure);
    }
    status = end(&run, status, &failure, report);
    if (*report)
        write_reports(session, options->metrics_path, *report);
    let_go(&run);
    log_end(session, status, &failure);
    mr_session_leave(session);
    if (err)
        *err = failure;
    return status;
}

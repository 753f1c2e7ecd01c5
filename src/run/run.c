/*
 * run.c - the life of one run.
 *
 * open state -> lease -> recover -> plan -> discard leftovers -> execute -> judge validations -> commit -> report. A start that
 * finds rows of an earlier, interrupted run durably staged or committed finishes that run and does nothing else: a scheduler's retry
 * of a killed run must not append the rows a second time. Unless its parameters differ: then it is no retry but the next work, which
 * follows after the finished commit. Errors come up here and are only logged here.
 */
#include "run/run.h"

#include "base/time.h"
#include "run/epoch.h"
#include "run/execute.h"
#include "run/figures.h"
#include "run/group.h"
#include "run/judge.h"
#include "run/kept.h"
#include "run/listen.h"
#include "run/maintain.h"
#include "run/report.h"
#include "run/resume.h"
#include "run/stage.h"
#include "run/start.h"
#include "run/stream.h"

#include <string.h>

struct run {
    struct mr_start start;
    struct mr_session *session;
    const struct mr_run_options *options;
    struct mr_stage_run stage;
    struct mr_exec_result result;
    struct mr_resume resume;
    struct mr_figures figures; /* of a batch run */
    struct mr_stream stream;   /* mode streaming */
};

/*
 * --fresh: positions and the watermark go. The number of the epoch stays or grows: names of files derive from it, and a name must never
 * mean two contents. What a stream has kept is forgotten by the same write; it belongs to the positions, whoever forgets them.
 */
static enum mr_status forget(struct run *run, struct mr_error *err)
{
    const struct mr_start *start = &run->start;
    int64_t epoch = start->last.epoch;
    bool marks = false;
    if (start->last.phase == MR_EPOCH_NONE)
        return MR_OK;
    MR_TRY(mr_kept_is_known(start->state, run->session->spec->state_key, &marks, err));
    marks = marks || run->session->spec->mode == MR_MODE_STREAMING;
    epoch += marks;
    struct mr_note_change fresh = mr_kept_forget(epoch);
    run->start.last = (struct mr_epoch_record){.phase = MR_EPOCH_COMMITTED,
                                               .epoch = epoch,
                                               .run_id = "",
                                               .fingerprint = ""};
    return mr_state_store_epoch_and(start->lease, &start->last, &fresh, marks ? 1 : 0, err);
}

static enum mr_status execute(struct run *run, struct mr_error *err)
{
    return mr_execute(run->session, run->options, run->start.last.epoch + 1,
                      (struct mr_exec_request){.built = mr_stage_built,
                                               .built_context = &run->stage,
                                               .resume = &run->resume.exec},
                      &run->result, err);
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
        MR_TRY(mr_resume_find(&run->resume, run->start.state, run->start.lease, &run->start.last,
                              err));
    MR_TRY(mr_session_since(session, run->start.last.watermark, run->start.last.positions, errors,
                            err));
    run->stage = (struct mr_stage_run){.session = session, .lease = run->start.lease};
    MR_TRY(mr_stage_load(&run->stage, run->start.state, &run->start.last, err));
    MR_TRY(mr_stage_plan(session, &plan, errors, err));
    MR_TRY(mr_execute_agree(session, run->start.lease, run->options, &plan, errors,
                            &run->start.last, err));
    mr_stage_anchor(&run->stage, &run->start.last);
    MR_TRY(mr_resume_match(&run->resume, run->options, run->start.last.epoch + 1, &again, err));
    if (!again)
        return MR_OK;
    MR_TRY(mr_stage_plan(session, &plan, errors, err));
    return mr_resume_match(&run->resume, run->options, run->start.last.epoch + 1, &again, err);
}

static enum mr_status run_body(struct run *run, struct mr_load_errors *errors, struct mr_error *err)
{
    struct mr_session *session = run->session;
    if (session->ran)
        return mr_error_set(err, MR_USAGE, MR_CLASS_CONFIG,
                            "this pipeline has run already: open it again");
    session->ran = true;
    bool work = true;
    MR_TRY(mr_start_begin(&run->start, err));
    if (run->start.skipped)
        return MR_OK;
    MR_TRY(mr_start_recover(&run->start, run->options, err));
    if (run->options->fresh || run->options->adopt)
        MR_TRY(mr_stage_forget(run->start.lease, err));
    run->resume.state = run->start.state;
    run->resume.lease = run->start.lease;
    if (run->options->fresh || run->start.finished_earlier)
        MR_TRY(mr_resume_forget(&run->resume,
                                run->options->fresh ? INT64_MAX : run->start.last.epoch, err));
    MR_TRY(mr_start_goes_on(&run->start, run->options->fresh, &work, err));
    if (!work)
        return MR_OK;
    if (run->options->fresh)
        MR_TRY(forget(run, err));
    if (session->spec->mode == MR_MODE_STREAMING) {
        MR_TRY(mr_resume_forget(&run->resume, INT64_MAX, err)); /* of a batch run of this file */
        return mr_stream_run(&run->stream, err);
    }
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
    MR_TRY(mr_epoch_commit(session, run->start.state, run->start.lease, &run->result,
                           run->start.last.epoch + 1, mr_session_next_watermark(session), err));
    mr_stage_done(session, run->start.lease, run->start.last.epoch + 1);
    MR_TRY(mr_resume_committed(&run->resume, err));
    return mr_maintain(session, err);
}

static char *build_report(struct run *run, enum mr_status status, const struct mr_error *failure)
{
    struct mr_report_input input = {
        .session = run->session,
        .result = &run->result,
        .figures = run->start.figures,
        .status = status,
        .failure = failure,
        .recovered_run = run->start.finished_earlier ? run->start.last.run_id : NULL,
        .epoch =
            run->start.last.epoch + (run->start.finished_earlier || run->start.skipped ? 0 : 1),
        .skipped_run = run->start.skipped,
        .withdrawn_run = run->start.withdrawn_run,
        .withdrawn_reason = run->start.withdrawn_reason,
        .resume = &run->resume,
    };
    if (run->session->spec->mode == MR_MODE_STREAMING) {
        input.stream = &run->stream.totals;
        input.epoch = run->stream.totals.epoch;
    }
    return mr_report_build(&input);
}

/*
 * The report, and the end in the state. A success that could not be recorded is none: the next start would take this run for an
 * interrupted one and leave its own work undone. As a failure it is started again, and that start finds the rows committed.
 */
static enum mr_status end(struct run *run, enum mr_status status, struct mr_error *failure,
                          char **report)
{
    struct mr_error err = {0};
    if (run->session->spec->mode == MR_MODE_BATCH && run->session->plan)
        (void)mr_figures_add(&run->figures, run->session->plan, &run->result, NULL);
    *report = build_report(run, status, failure);
    enum mr_status recorded = mr_start_end(&run->start, status, failure, *report, &err);
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
    mr_figures_reset(&run->figures);
    mr_resume_reset(&run->resume);
    mr_stream_reset(&run->stream);
    mr_start_reset(&run->start);
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
    else if (status == MR_CANCELLED && atomic_load(&session->drain.set))
        mr_logger_printf(&session->logger, MR_LOG_INFO, "run", "%s", err->message);
    else
        mr_logger_printf(&session->logger, MR_LOG_ERROR, "run", "%s%s%s%s%s%s%s", err->message,
                         err->where[0] ? " [" : "", err->where, err->where[0] ? "]" : "",
                         err->hint[0] ? " (" : "", err->hint, err->hint[0] ? ")" : "");
}

enum mr_status mr_run_execute(struct mr_session *session, const struct mr_run_options *options,
                              char **report, struct mr_load_errors *errors, struct mr_error *err)
{
    if (!session->request.lane && mr_group_wanted(session->spec))
        return mr_group_execute(session, options, report, errors, err);
    struct run run = {.session = session, .options = options, .start = {.session = session}};
    struct mr_error failure = {0};
    struct mr_listen *own = NULL, *listen = options->listener;
    bool streaming = session->spec->mode == MR_MODE_STREAMING;
    mr_resume_init(&run.resume, session);
    *report = NULL;
    enum mr_status status = mr_stream_init(&run.stream, &run.start, options, errors, &failure);
    mr_figures_init(&run.figures);
    run.start.figures = streaming ? &run.stream.totals.figures : &run.figures;
    if (status == MR_OK)
        status = mr_pool_enter(&session->ticket, session->runtime.waiter, &failure);
    if (status == MR_OK) {
        if (session->ticket.pool)
            mr_session_begin(session);
        mr_logger_printf(&session->logger, MR_LOG_INFO, "run", "run %s of %s begins",
                         session->run_id, session->spec->name);
        if (options->listen) {
            status = mr_listen_start(session, false, options->listen, &own, &failure);
            listen = own;
        }
        if (status == MR_OK)
            status =
                mr_listen_add(listen, session, streaming ? &run.stream.totals : NULL, &failure);
        if (status == MR_OK)
            status = run_body(&run, errors, &failure);
        mr_listen_remove(listen, session);
        mr_listen_stop(own);
    }
    if (status == MR_CANCELLED && !failure.hint[0])
        mr_error_hint(&failure, "resumable: run it again");
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

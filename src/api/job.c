/*
 * job.c - one run in parts: plan here, tasks anywhere, commit here.
 *
 * The planning pipeline keeps the lease, the run's row in the state and the snapshot between millrace_job_plan and millrace_job_commit; that
 * row, and its run key, make a job as repeatable as a run (run/start.h). A segment that only fills a build
 * side is no task of its own: each task that needs it fills it for itself.
 */
#include "run/job.h"
#include "api/pipeline.h"
#include "run/epoch.h"
#include "run/judge.h"
#include "run/maintain.h"

/* *work false: an interrupted run was finished instead, or this one has succeeded already. */
static enum mr_status hold(struct millrace_pipeline *pipeline, bool *work, struct mr_error *err)
{
    const struct mr_run_options options = {.fresh = false};
    struct mr_start *start = &pipeline->job;
    *start = (struct mr_start){.session = pipeline->session};
    MR_TRY(mr_start_begin(start, err));
    *work = !start->skipped;
    if (!*work)
        return MR_OK;
    MR_TRY(mr_start_recover(start, &options, err));
    return mr_start_goes_on(start, false, work, err);
}

/* What was staged in a transaction cannot be committed by another process. */
static enum mr_status check_parts(const struct mr_plan *plan, struct mr_error *err)
{
    for (int i = 0; i < plan->nsinks; i++) {
        const struct mr_plan_node *node = &plan->nodes[plan->sinks[i]];
        if (node->sink_info.transaction == NULL || node->sink_info.skip)
            continue;
        mr_error_config(err, "a load in a transaction cannot be done in parts");
        mr_error_where(err, "%s", node->label);
        mr_error_hint(err, "run the pipeline as a whole, or set transactional to false (at least "
                           "once)");
        return MR_CONFIG;
    }
    return MR_OK;
}

/* As a run does: from where the last one ended, which is certain only under the lease, and not where targets know more. */
static enum mr_status plan(struct millrace_pipeline *pipeline, struct mr_error *err)
{
    struct mr_session *session = pipeline->session;
    struct mr_start *start = &pipeline->job;
    struct mr_session_plan_options options = {.connect = true,
                                              .with_splits = true,
                                              .with_sinks = true,
                                              .light = true};
    bool changed;
    MR_TRY(mr_session_since(session, start->last.watermark, start->last.positions,
                            &pipeline->errors, err));
    MR_TRY(mr_session_plan(session, &options, &pipeline->errors, err));
    MR_TRY(check_parts(session->plan, err));
    MR_TRY(mr_epoch_ask_targets(session, start->lease, MR_LOST_STOP, &start->last, &changed, err));
    pipeline->job_epoch = start->last.epoch + 1;
    /* What is discarded next must not be gone on with. */
    MR_TRY(mr_state_drop_notes(start->lease, MR_NOTE_DONE, INT64_MAX, err));
    return mr_epoch_discard(session, err);
}

/* The end of the job in the state; what was committed stays so when that cannot be written. */
static enum mr_status finish(struct millrace_pipeline *pipeline, enum mr_status status,
                             struct mr_error *err)
{
    struct mr_error failure = {0};
    enum mr_status recorded = mr_start_end(&pipeline->job, status, err, NULL, &failure);
    mr_start_reset(&pipeline->job);
    if (status != MR_OK || recorded == MR_OK)
        return status;
    *err = failure;
    mr_error_prefix(err, "the rows are committed, but the end of the run is not recorded");
    return recorded;
}

static enum mr_status describe_tasks(struct millrace_pipeline *pipeline,
                                     struct millrace_bytes **tasks, int *ntasks,
                                     struct mr_error *err)
{
    const struct mr_plan *plan = pipeline->session->plan;
    struct millrace_bytes *out = mr_calloc((size_t)plan->ntasks + 1, sizeof *out);
    enum mr_status status = out ? MR_OK : mr_error_nomem(err);
    int count = 0;
    for (int i = 0; i < plan->nsegments && status == MR_OK; i++) {
        const struct mr_plan_segment *segment = &plan->segments[i];
        for (int task = 0; mr_job_segment_writes(plan, segment) && task < segment->ntasks; task++) {
            struct mr_bytes bytes;
            mr_bytes_init(&bytes, (size_t)1 << 30);
            mr_job_task_encode(pipeline->session, pipeline->job_epoch, i, task, &bytes);
            status = mr_bytes_status(&bytes, err);
            out[count].data = mr_bytes_move(&bytes, &out[count].size);
            count++;
            if (status != MR_OK)
                break;
        }
    }
    for (int i = 0; out && status != MR_OK && i < count; i++)
        mr_free(out[i].data);
    if (status != MR_OK) {
        mr_free(out);
        return status;
    }
    *tasks = out;
    *ntasks = count;
    return MR_OK;
}

int millrace_job_plan(struct millrace_pipeline *pipeline, struct millrace_bytes **tasks,
                      int *ntasks)
{
    struct mr_error err = {0};
    *tasks = NULL;
    *ntasks = 0;
    if (!pipeline || !pipeline->session)
        return MILLRACE_USAGE;
    mr_api_begin(pipeline);
    if (pipeline->job.lease) {
        mr_error_set(&err, MR_USAGE, MR_CLASS_CONFIG, "this pipeline has a job already");
        return mr_api_end(pipeline, MR_USAGE, &err);
    }
    if (mr_api_is_stream(pipeline)) {
        mr_error_set(&err, MR_CONFIG, MR_CLASS_CONFIG,
                     "a stream cannot be run in parts: a job has tasks that end");
        mr_error_hint(&err, "run it with millrace_run, or as a batch job: \"mode\": \"batch\"");
        return mr_api_end(pipeline, MR_CONFIG, &err);
    }
    bool work = true;
    enum mr_status status = hold(pipeline, &work, &err);
    if (status == MR_OK && work)
        status = plan(pipeline, &err);
    if (status == MR_OK && work)
        status = describe_tasks(pipeline, tasks, ntasks, &err);
    pipeline->job_finished = status == MR_OK && !work;
    if (status != MR_OK || !work)
        status = finish(pipeline, status, &err);
    return mr_api_end(pipeline, status, status == MR_OK ? NULL : &err);
}

int millrace_job_run_task(struct millrace_pipeline *pipeline, const void *task, size_t task_size,
                          struct millrace_bytes *result)
{
    struct mr_error err = {0};
    struct mr_bytes bytes;
    *result = (struct millrace_bytes){0};
    if (!pipeline || !pipeline->session)
        return MILLRACE_USAGE;
    mr_api_begin(pipeline);
    mr_bytes_init(&bytes, (size_t)1 << 30);
    enum mr_status status =
        mr_job_run_task(pipeline->session, (struct mr_slice){task, task_size}, &bytes, &err);
    if (status == MR_OK)
        result->data = mr_bytes_move(&bytes, &result->size);
    mr_bytes_reset(&bytes);
    return mr_api_end(pipeline, status, &err);
}

static enum mr_status commit(struct millrace_pipeline *pipeline,
                             const struct millrace_bytes *results, int nresults,
                             struct mr_error *err)
{
    struct mr_session *session = pipeline->session;
    struct mr_exec_result collected = {0};
    if (!pipeline->job.lease || !session->plan)
        return mr_error_set(err, MR_USAGE, MR_CLASS_CONFIG, "millrace_job_plan comes first");
    struct mr_slice *slices = mr_calloc((size_t)nresults + 1, sizeof *slices);
    if (!slices)
        return mr_error_nomem(err);
    for (int i = 0; i < nresults; i++)
        slices[i] = (struct mr_slice){results[i].data, results[i].size};
    enum mr_status status = mr_job_collect(session, slices, nresults, &collected, err);
    if (status == MR_OK)
        status = mr_judge_validations(session->plan, err);
    if (status == MR_OK)
        status = mr_epoch_commit(session, pipeline->job.state, pipeline->job.lease, &collected,
                                 pipeline->job_epoch, mr_session_next_watermark(session), err);
    else
        mr_epoch_discard(session, NULL);
    if (status == MR_OK)
        status = mr_maintain(session, err);
    mr_exec_result_reset(&collected);
    mr_free(slices);
    return status;
}

int millrace_job_commit(struct millrace_pipeline *pipeline, const struct millrace_bytes *results,
                        int nresults)
{
    struct mr_error err = {0};
    if (!pipeline || !pipeline->session)
        return MILLRACE_USAGE;
    mr_api_begin(pipeline);
    enum mr_status status = MR_OK;
    if (!pipeline->job_finished) {
        status = commit(pipeline, results, nresults, &err);
        status = finish(pipeline, status, &err);
    }
    return mr_api_end(pipeline, status, &err);
}

void mr_api_end_job(struct millrace_pipeline *pipeline)
{
    struct mr_error err = {0};
    if (!pipeline->job.lease)
        return;
    mr_error_set(&err, MR_CANCELLED, MR_CLASS_CONFIG, "the job was closed without a commit");
    (void)finish(pipeline, MR_CANCELLED, &err);
}

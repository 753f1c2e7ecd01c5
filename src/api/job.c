/*
 * job.c - one run in parts: plan here, tasks anywhere, commit here.
 *
 * The planning pipeline keeps the lease and the snapshot between millrace_job_plan and millrace_job_commit. A segment that only fills a build
 * side is no task of its own: each task that needs it fills it for itself.
 */
#include "run/job.h"
#include "api/pipeline.h"
#include "run/epoch.h"
#include "run/judge.h"
#include "run/maintain.h"

static enum mr_status hold(struct millrace_pipeline *pipeline, struct mr_epoch_record *last,
                           struct mr_error *err)
{
    struct mr_session *session = pipeline->session;
    int64_t fence = 0;
    bool withdrawn = false;
    if (pipeline->job_lease)
        return mr_error_set(err, MR_USAGE, MR_CLASS_CONFIG, "this pipeline has a job already");
    MR_TRY(mr_session_open_state(session, &pipeline->job_state, err));
    session->runtime.state_uuid = mr_state_uuid(pipeline->job_state);
    MR_TRY(mr_state_lease(pipeline->job_state, session->spec->state_key, session->run_id,
                          &pipeline->job_lease, &fence, err));
    MR_TRY(mr_state_load_epoch(pipeline->job_state, session->spec->state_key, 0, &session->arena,
                               last, err));
    pipeline->job_finished = last->phase == MR_EPOCH_PREPARED;
    if (pipeline->job_finished)
        MR_TRY(mr_epoch_finish(session, pipeline->job_state, pipeline->job_lease, last, &withdrawn,
                               err));
    pipeline->job_finished &= !withdrawn;
    pipeline->job_epoch = last->epoch + 1;
    return MR_OK;
}

/* As a run does: from where the last one ended, which is certain only under the lease, and not where targets know more. */
static enum mr_status plan(struct millrace_pipeline *pipeline, struct mr_epoch_record *last,
                           struct mr_error *err)
{
    struct mr_session *session = pipeline->session;
    struct mr_session_plan_options options = {.connect = true,
                                              .with_splits = true,
                                              .with_sinks = true,
                                              .light = true};
    bool changed;
    MR_TRY(mr_session_since(session, last->watermark, last->positions, &pipeline->errors, err));
    MR_TRY(mr_session_plan(session, &options, &pipeline->errors, err));
    MR_TRY(mr_epoch_ask_targets(session, pipeline->job_lease, MR_LOST_STOP, last, &changed, err));
    /* What is discarded next must not be gone on with. */
    MR_TRY(mr_state_drop_notes(pipeline->job_lease, MR_NOTE_DONE, INT64_MAX, err));
    return mr_epoch_discard(session, err);
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
    struct mr_epoch_record last;
    enum mr_status status = hold(pipeline, &last, &err);
    if (status == MR_OK && pipeline->job_finished)
        return mr_api_end(pipeline, status, NULL);
    if (status == MR_OK)
        status = plan(pipeline, &last, &err);
    if (status == MR_OK)
        status = describe_tasks(pipeline, tasks, ntasks, &err);
    return mr_api_end(pipeline, status, &err);
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
    if (pipeline->job_lease && pipeline->job_finished)
        return MR_OK;
    if (!pipeline->job_lease || !session->plan)
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
        status = mr_epoch_commit(session, pipeline->job_state, pipeline->job_lease, &collected,
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
    enum mr_status status = commit(pipeline, results, nresults, &err);
    mr_lease_release(pipeline->job_lease);
    mr_state_close(pipeline->job_state);
    pipeline->job_lease = NULL;
    pipeline->job_state = NULL;
    return mr_api_end(pipeline, status, &err);
}

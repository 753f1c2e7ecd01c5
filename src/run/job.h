/*
 * job.h - one run in parts, for a foreign scheduler: what travels between the process that plans and commits and those that run
 * tasks.
 *
 * A task carries everything that must be the same everywhere: identity, epoch, the instant of current_timestamp(), and the splits
 * with the exported snapshot in them. The worker plans the same file with these splits and checks that the fingerprint agrees.
 */
#ifndef MR_RUN_JOB_H
#define MR_RUN_JOB_H

#include "run/session.h"

/* Does the segment end in sinks? One that only fills a build side is run by every task that needs it. */
bool mr_job_segment_writes(const struct mr_plan *plan, const struct mr_plan_segment *segment);
/* Task `task` of segment `segment` of session->plan, as a versioned byte string. */
void mr_job_task_encode(const struct mr_session *session, int64_t epoch, int segment, int task,
                        struct mr_bytes *out);
/* Runs such a task on a session of the same file, and describes what it staged and counted in `result`. */
enum mr_status mr_job_run_task(struct mr_session *session, struct mr_slice task,
                               struct mr_bytes *result, struct mr_error *err);
/* Collects results (one of each task) into what mr_exec_run would have given; counts go into session->plan. */
enum mr_status mr_job_collect(struct mr_session *session, const struct mr_slice *results,
                              int nresults, struct mr_exec_result *out, struct mr_error *err);

#endif

/*
 * maintain.c - maintenance that a person asks for on the command line.
 *
 * No lease and no record: tables have rules of their own for several writers, and a run that was
 * interrupted is simply asked for again.
 */
#include "api/maintain.h"

#include "api/pipeline.h"
#include "run/maintain.h"

#include <string.h>

int mr_api_maintain(struct millrace_pipeline *pipeline, char **report)
{
    struct mr_error err = {0};
    struct mr_session_plan_options options = {.connect = true,
                                              .with_splits = true,
                                              .with_sinks = true};
    *report = NULL;
    mr_api_begin(pipeline);
    struct mr_session *session = pipeline->session;
    enum mr_status status = mr_session_plan(session, &options, &pipeline->errors, &err);
    if (status == MR_OK)
        status = mr_maintain(session, &err);
    if (status == MR_OK && session->plan->nactions > 0 && session->plan->actions[0].report) {
        *report = mr_strdup(session->plan->actions[0].report);
        if (!*report)
            status = mr_error_nomem(&err);
    }
    return mr_api_end(pipeline, status, &err);
}

/*
 * give.c - rows into a pipeline: an Arrow C stream under the name that a fromArrow step reads.
 */
#include "api/pipeline.h"

int millrace_give_stream(struct millrace_pipeline *pipeline, const char *name,
                         struct ArrowArrayStream *stream)
{
    struct mr_error err = {0};
    if (!pipeline || !pipeline->session)
        return MILLRACE_USAGE;
    struct mr_session *session = pipeline->session;
    mr_api_begin(pipeline);
    enum mr_status status;
    if (session->plan || session->ran)
        status = mr_error_set(&err, MR_USAGE, MR_CLASS_CONFIG,
                              "streams are given before the pipeline is validated, planned or run");
    else
        status = mr_given_add(&session->given, name, stream, &err);
    return mr_api_end(pipeline, status, &err);
}

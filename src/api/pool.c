/*
 * pool.c - several pipelines in one process: the pool behind millrace_pool, and what the command asks of it.
 */
#include "api/pipeline.h"

#include "base/time.h"
#include "run/report.h"

#include <stdlib.h>

int millrace_pool_new(const struct millrace_pool_options *options, struct millrace_pool **out)
{
    struct mr_pool *pool = NULL;
    struct mr_pool_options wanted = {0};
    if (options)
        wanted = (struct mr_pool_options){.cores = options->cores,
                                          .runs = options->runs,
                                          .memory = options->memory};
    enum mr_status status = mr_pool_new(&wanted, &pool, NULL);
    *out = (struct millrace_pool *)pool;
    return mr_status_exit_code(status);
}

void millrace_pool_free(struct millrace_pool *pool)
{
    mr_pool_free((struct mr_pool *)pool);
}

void mr_api_queue(struct millrace_pipeline *pipeline)
{
    if (pipeline && pipeline->session)
        mr_pool_queue(&pipeline->session->ticket);
}

/* Two names of one directory, which need not exist yet. */
static bool same_directory(const char *a, const char *b)
{
    char *real_a = realpath(a, NULL), *real_b = realpath(b, NULL);
    bool same = strcmp(real_a ? real_a : a, real_b ? real_b : b) == 0;
    free(real_a);
    free(real_b);
    return same;
}

bool mr_api_same_state(const struct millrace_pipeline *a, const struct millrace_pipeline *b)
{
    const struct mr_session *one = a->session, *other = b->session;
    if (!one || !other || strcmp(one->spec->state_key, other->spec->state_key) != 0)
        return false;
    if (one->state_path && other->state_path)
        return same_directory(one->state_path, other->state_path);
    if (one->state_path || other->state_path)
        return false;
    return strcmp(one->spec->state_server->location, other->spec->state_server->location) == 0;
}

char *mr_api_brief_report(const struct millrace_pipeline *pipeline, const char *file, int code,
                          const struct mr_error *failure)
{
    static const struct mr_error nothing = {0};
    const struct mr_session *session = pipeline ? pipeline->session : NULL;
    if (!failure)
        failure = pipeline && pipeline->errors.count > 0 ? &pipeline->errors.items[0] : &nothing;
    struct mr_report_brief brief = {
        .file = file,
        .exit_code = code,
        .status = failure->status,
        .started = session ? session->start_wall : mr_clock_wall_micros(),
        .failure = failure,
    };
    if (session) {
        brief.run_id = session->run_id;
        brief.pipeline = session->spec->name;
        brief.state_key = session->spec->state_key;
    }
    return mr_report_brief(&brief);
}

enum mr_status mr_api_write_report(const char *path, const char *text, struct mr_error *err)
{
    return mr_report_write(path, text, err);
}

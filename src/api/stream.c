/*
 * stream.c - rows out of a pipeline through the Arrow C stream interface.
 *
 * A producer thread executes the plan with a tap on the wanted node; the tap hands each batch over through a slot of one, so
 * that the consumer's pace is the pipeline's. Releasing the stream early cancels the execution. What goes out is a copy: rows
 * that the consumer keeps take nothing from the pipeline's budget and live on when it is closed.
 */
#include "api/pipeline.h"

#include "base/thread.h"
#include "col/arrow_abi.h"
#include "col/arrow_cdata.h"
#include "col/kernel.h"

#include <errno.h>

struct stream {
    struct millrace_pipeline *pipeline;
    const struct mr_schema *schema;
    struct mr_thread thread;
    pthread_mutex_t mutex; /* guards everything below */
    pthread_cond_t changed;
    struct mr_batch *batch; /* handed over, not taken yet */
    int64_t left;           /* rows still wanted */
    bool finished;          /* the producer will bring no more */
    bool released;          /* the consumer wants no more */
    enum mr_status status;
    struct mr_error err;
};

static enum mr_status stream_tap(void *context, struct mr_batch *batch, bool *enough,
                                 struct mr_error *err)
{
    struct stream *stream = context;
    struct mr_batch *part = NULL;
    if (mr_batch_active(batch) > stream->left)
        MR_TRY(
            mr_batch_slice(&stream->pipeline->session->memory, batch, 0, stream->left, &part, err));
    else
        part = mr_batch_ref(batch);
    pthread_mutex_lock(&stream->mutex);
    while (stream->batch && !stream->released)
        mr_cond_wait(&stream->changed, &stream->mutex, INT64_MAX);
    if (!stream->released) {
        stream->left -= part->rows;
        stream->batch = part;
        part = NULL;
        pthread_cond_broadcast(&stream->changed);
    }
    *enough = stream->released || stream->left <= 0;
    pthread_mutex_unlock(&stream->mutex);
    mr_batch_unref(part);
    return MR_OK;
}

static void stream_produce(void *arg)
{
    struct stream *stream = arg;
    struct mr_session *session = stream->pipeline->session;
    struct mr_exec_result result = {0};
    struct mr_error err = {0};
    struct mr_exec_request request = {
        .plan = session->plan,
        .epoch = {.lane = 0, .epoch = 0},
        .tap_node = session->plan->result,
        .tap = stream_tap,
        .tap_context = stream,
        .only_segment = -1,
        .only_task = -1,
    };
    enum mr_status status = mr_exec_run(session->engine, &request, &result, &err);
    mr_exec_result_reset(&result);
    pthread_mutex_lock(&stream->mutex);
    stream->finished = true;
    stream->status = status;
    stream->err = err;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->mutex);
}

static int stream_errno(enum mr_status status)
{
    return status == MR_NOMEM ? ENOMEM : status == MR_CANCELLED ? ECANCELED : EIO;
}

static int stream_get_schema(struct ArrowArrayStream *self, struct ArrowSchema *out)
{
    struct stream *stream = self->private_data;
    enum mr_status status = mr_arrow_export_schema(stream->schema, out, &stream->err);
    return status == MR_OK ? 0 : stream_errno(status);
}

/* Takes over the reference. */
static enum mr_status hand_out(struct mr_batch *batch, struct ArrowArray *out, struct mr_error *err)
{
    struct mr_batch *copy = NULL;
    enum mr_status status = mr_batch_copy(NULL, batch, &copy, err);
    mr_batch_unref(batch);
    if (status == MR_OK)
        status = mr_arrow_export_batch(copy, out, err);
    mr_batch_unref(copy);
    return status;
}

static int stream_get_next(struct ArrowArrayStream *self, struct ArrowArray *out)
{
    struct stream *stream = self->private_data;
    out->release = NULL;
    pthread_mutex_lock(&stream->mutex);
    while (!stream->batch && !stream->finished)
        mr_cond_wait(&stream->changed, &stream->mutex, INT64_MAX);
    struct mr_batch *batch = stream->batch;
    stream->batch = NULL;
    enum mr_status status = batch ? MR_OK : stream->status;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->mutex);
    if (batch)
        status = hand_out(batch, out, &stream->err);
    return status == MR_OK ? 0 : stream_errno(status);
}

static const char *stream_get_last_error(struct ArrowArrayStream *self)
{
    struct stream *stream = self->private_data;
    return stream->err.message[0] ? stream->err.message : NULL;
}

static void stream_release(struct ArrowArrayStream *self)
{
    struct stream *stream = self->private_data;
    pthread_mutex_lock(&stream->mutex);
    stream->released = true;
    if (!stream->finished)
        mr_session_cancel(stream->pipeline->session);
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->mutex);
    mr_thread_join(&stream->thread);
    mr_batch_unref(stream->batch);
    pthread_mutex_destroy(&stream->mutex);
    pthread_cond_destroy(&stream->changed);
    mr_free(stream);
    self->release = NULL;
}

static enum mr_status open_stream(struct millrace_pipeline *pipeline, const char *step,
                                  int64_t rows, struct stream **out, struct mr_error *err)
{
    struct mr_session *session = pipeline->session;
    struct mr_session_plan_options options = {.connect = true,
                                              .with_splits = true,
                                              .until_step = step,
                                              .rows_wanted = rows};
    MR_TRY(mr_session_plan(session, &options, &pipeline->errors, err));
    if (session->plan->result < 0)
        return mr_error_config(err, "the pipeline has no frame to show");
    struct stream *stream = mr_calloc(1, sizeof *stream);
    if (!stream)
        return mr_error_nomem(err);
    stream->pipeline = pipeline;
    stream->schema = session->plan->nodes[session->plan->result].schema;
    stream->left = rows > 0 ? rows : INT64_MAX;
    mr_mutex_init(&stream->mutex);
    mr_cond_init(&stream->changed);
    enum mr_status status =
        mr_thread_start(&stream->thread, "mr-stream", stream_produce, stream, err);
    if (status != MR_OK) {
        pthread_mutex_destroy(&stream->mutex);
        pthread_cond_destroy(&stream->changed);
        mr_free(stream);
        return status;
    }
    *out = stream;
    return MR_OK;
}

int millrace_stream(struct millrace_pipeline *pipeline, const char *step, int64_t rows,
                    struct ArrowArrayStream *out)
{
    struct stream *stream = NULL;
    struct mr_error err = {0};
    out->release = NULL;
    if (!pipeline || !pipeline->session)
        return MILLRACE_USAGE;
    mr_api_begin(pipeline);
    enum mr_status status = open_stream(pipeline, step, rows, &stream, &err);
    if (status == MR_OK) {
        out->get_schema = stream_get_schema;
        out->get_next = stream_get_next;
        out->get_last_error = stream_get_last_error;
        out->release = stream_release;
        out->private_data = stream;
    }
    return mr_api_end(pipeline, status, &err);
}

/*
 * lane.c - one lane of a shared stream: the pipeline once more, for one partition.
 *
 * The file is opened again under the state key "<stateKey>@<lane>", and run as if it were alone: lease, epochs, positions, what operators keep,
 * names of staged files and the rows that targets remember are of that key, so that nothing else in here knows of lanes. Refused: one run with
 * a lease, a record and a commit of several lanes inside. It would plan once instead of once a lane, but a partition that comes or goes would
 * stop all of them, and every place that names an epoch would have to say which.
 *
 * The text of the file is that with which the process began: lanes that are opened later do not run another one.
 */
#include "run/lane.h"

#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

static void log_line(void *context, const struct mr_log_record *record)
{
    struct mr_lane_thread *thread = context;
    const struct mr_session_request *request = &thread->lanes->parent->request;
    struct mr_log_record of_lane = *record;
    char message[2304];
    snprintf(message, sizeof message, "%s: %s", thread->name, record->message);
    of_lane.message = message;
    pthread_mutex_lock(&thread->lanes->log);
    request->log(request->log_context, &of_lane);
    pthread_mutex_unlock(&thread->lanes->log);
}

static enum mr_status open_session(struct mr_lane_thread *thread, struct mr_session **out,
                                   struct mr_error *err)
{
    const struct mr_lanes *lanes = thread->lanes;
    struct mr_session_request request = lanes->parent->request;
    struct mr_load_errors *errors = mr_calloc(1, sizeof *errors);
    if (!errors)
        return mr_error_nomem(err);
    thread->given = (struct mr_session_lane){.of = {thread->name, lanes->member},
                                             .begin = lanes->begin,
                                             .memory = lanes->memory,
                                             .once = thread->fresh};
    request.load.text = lanes->text;
    request.load.text_size = lanes->text_size;
    request.run_key = NULL;
    request.pool = lanes->pool;
    request.lane = &thread->given;
    request.log = request.log ? log_line : NULL;
    request.log_context = thread;
    enum mr_status status = mr_session_open(&request, out, errors);
    if (status ==
        MR_OK) { /* it may be taken away before its first epoch, as where it waits for the lease */
        atomic_store(&(*out)->in_epochs, true);
        mr_session_yields(*out, true);
    } else {
        *err = errors->items[0];
    }
    mr_free(errors);
    return status;
}

/* Makes it known to those who stop lanes, and takes what they have said already. */
static void show(struct mr_lane_thread *thread, struct mr_session *session)
{
    pthread_mutex_lock(&thread->lanes->lock);
    thread->session = session;
    enum mr_lane_stop stop = thread->stop;
    pthread_mutex_unlock(&thread->lanes->lock);
    if (session && stop != MR_LANE_GOES_ON)
        mr_lane_stop(thread, stop);
}

static int64_t integer_of(const json_t *object, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? (int64_t)json_integer_value(value) : fallback;
}

static void read_report(struct mr_lane_end *end, const char *text)
{
    json_t *report = text ? json_loads(text, 0, NULL) : NULL;
    end->rows_read = integer_of(report, "rows_read", 0);
    end->rows_written = integer_of(report, "rows_written", 0);
    end->epoch = integer_of(report, "epoch", -1);
    json_decref(report);
}

static void lane_body(void *arg)
{
    struct mr_lane_thread *thread = arg;
    struct mr_lanes *lanes = thread->lanes;
    struct mr_lane_end end = {.epoch = -1};
    struct mr_session *session = NULL;
    char *report = NULL;
    end.status = open_session(thread, &session, &end.err);
    if (end.status == MR_OK) {
        struct mr_run_options options = {.fresh = thread->fresh,
                                         .adopt = lanes->options->adopt,
                                         .listener = lanes->listen};
        snprintf(end.run_id, sizeof end.run_id, "%s", session->run_id);
        show(thread, session);
        end.status = mr_run_execute(session, &options, &report, NULL, &end.err);
        read_report(&end, report);
        mr_free(report);
        show(thread, NULL);
        mr_session_close(session);
    }
    uint64_t one = 1;
    pthread_mutex_lock(&lanes->lock);
    thread->end = end;
    thread->ended = true;
    ssize_t written = write(lanes->ended_fd, &one, sizeof one);
    (void)written; /* can only fail when it is readable already */
    pthread_mutex_unlock(&lanes->lock);
}

enum mr_status mr_lane_start(struct mr_lane_thread *thread, struct mr_lanes *lanes,
                             const char *name, struct mr_error *err)
{
    thread->lanes = lanes;
    thread->name = name;
    return mr_thread_start(&thread->thread, "mr-lane", lane_body, thread, err);
}

void mr_lane_stop(struct mr_lane_thread *thread, enum mr_lane_stop stop)
{
    pthread_mutex_lock(&thread->lanes->lock);
    if (thread->stop < stop)
        thread->stop = stop;
    if (thread->session && thread->stop == MR_LANE_DRAINS)
        mr_session_drain(thread->session);
    if (thread->session && thread->stop == MR_LANE_IS_CANCELLED)
        mr_session_cancel(thread->session);
    pthread_mutex_unlock(&thread->lanes->lock);
}

bool mr_lane_ended(struct mr_lane_thread *thread)
{
    pthread_mutex_lock(&thread->lanes->lock);
    bool ended = thread->ended;
    pthread_mutex_unlock(&thread->lanes->lock);
    return ended;
}

void mr_lane_join(struct mr_lane_thread *thread)
{
    mr_thread_join(&thread->thread);
}

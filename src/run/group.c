/*
 * group.c - the supervisor of a process that shares a stream with others.
 *
 * It joins the group and keeps one thing true: for each lane that the group has given to this process a run is going (lane.c), and for no other
 * one. A lane that is revoked is drained, and given up when its run has ended; one that is lost is cancelled. A lane whose lease
 * somebody else still has is tried again: the group says who shall read it, the lease who may. One that fails for good drains all others
 * and ends the process with its error.
 *
 * Lanes are polled about five times a second where nothing wakes the supervisor, so that the group hears of this process however long an epoch
 * takes.
 */
#include "run/group.h"

#include "base/time.h"
#include "run/kept.h"
#include "run/lane.h"
#include "run/listen.h"
#include "run/report.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOOK_MICROS   200000
#define LEAST_MEMORY  (INT64_C(32) << 20)
#define AGAIN_LEAST   100000
#define AGAIN_MOST    2000000
#define STABLE_MICROS (10 * MR_MICROS_PER_SECOND)

/* A lane that this process has, or has had. */
struct lane {
    char *name;
    bool ours;                     /* the group has given it to us */
    bool done;                     /* its trigger's end is reached */
    bool waits;                    /* somebody else has its lease; said in the log */
    struct mr_lane_thread *thread; /* NULL = not running */
    int64_t again_at;              /* monotonic: not to be started before */
    int64_t pause;
    int64_t started_at;
    struct mr_report_lane sums;
};

struct supervisor {
    struct mr_session *session;
    const struct mr_step_spec *step;
    const struct mr_source_group *group;
    struct mr_lanes lanes;
    struct lane **items;
    int count;
    const char *const *names; /* of all lanes that there were at the start */
    int nnames;
    int poll_fd;
    bool leaving;  /* a revocation is to be answered */
    bool stopping; /* no lane is started any more */
    enum mr_status status;
    struct mr_error failure;
};

static const struct mr_source_group *group_of(const struct mr_step_spec *step)
{
    const struct mr_source *source = step->method ? step->method->source : NULL;
    return source && source->group && step->options && source->group->wanted(step->options)
               ? source->group
               : NULL;
}

bool mr_group_wanted(const struct mr_spec *spec)
{
    for (int i = 0; spec->mode == MR_MODE_STREAMING && i < spec->nsteps; i++)
        if (group_of(&spec->steps[i]))
            return true;
    return false;
}

/* ---- lanes ---- */

static struct lane *find_lane(const struct supervisor *self, const char *name)
{
    for (int i = 0; i < self->count; i++)
        if (strcmp(self->items[i]->name, name) == 0)
            return self->items[i];
    return NULL;
}

static enum mr_status add_lane(struct supervisor *self, const char *name, struct lane **out,
                               struct mr_error *err)
{
    *out = find_lane(self, name);
    if (*out)
        return MR_OK;
    struct lane **items =
        mr_realloc(self->items, ((size_t)self->count + 1) * sizeof(struct lane *));
    if (!items)
        return mr_error_nomem(err);
    self->items = items;
    struct lane *lane = mr_calloc(1, sizeof *lane);
    char *copy = lane ? mr_strdup(name) : NULL;
    if (!copy) {
        mr_free(lane);
        return mr_error_nomem(err);
    }
    lane->name = copy;
    lane->sums.name = copy;
    lane->sums.epoch = -1;
    self->items[self->count++] = lane;
    *out = lane;
    return MR_OK;
}

static enum mr_status start_lane(struct supervisor *self, struct lane *lane, bool fresh,
                                 struct mr_error *err)
{
    struct mr_lane_thread *thread = mr_calloc(1, sizeof *thread);
    if (!thread)
        return mr_error_nomem(err);
    thread->fresh = fresh;
    enum mr_status status = mr_lane_start(thread, &self->lanes, lane->name, err);
    if (status != MR_OK) {
        mr_free(thread);
        return status;
    }
    lane->thread = thread;
    lane->started_at = mr_clock_monotonic_micros();
    lane->sums.starts++;
    return MR_OK;
}

static void stop_lanes(struct supervisor *self, enum mr_lane_stop how)
{
    self->stopping = true;
    for (int i = 0; i < self->count; i++)
        if (self->items[i]->thread)
            mr_lane_stop(self->items[i]->thread, how);
}

static void fail(struct supervisor *self, enum mr_status status, const struct mr_error *failure)
{
    if (self->status == MR_OK) {
        self->status = status;
        self->failure = *failure;
    }
    stop_lanes(self, MR_LANE_DRAINS);
}

/* Who has the lease will give it back: the group has told it to, or it is dead and does not know. */
static void try_again(struct supervisor *self, struct lane *lane, const struct mr_error *failure)
{
    int64_t now = mr_clock_monotonic_micros();
    if (now - lane->started_at > STABLE_MICROS)
        lane->pause = 0;
    lane->pause = lane->pause == 0 ? AGAIN_LEAST : lane->pause * 2;
    lane->pause = lane->pause > AGAIN_MOST ? AGAIN_MOST : lane->pause;
    lane->again_at = now + lane->pause;
    if (!lane->waits)
        mr_logger_printf(&self->session->logger, MR_LOG_WARN, "run", "lane %s waits: %s",
                         lane->name, failure->message);
    lane->waits = true;
}

/* What the end of a lane's run means. */
static void take_end(struct supervisor *self, struct lane *lane, const struct mr_lane_end *end)
{
    bool told = lane->thread->stop != MR_LANE_GOES_ON;
    lane->sums.rows_read += end->rows_read;
    lane->sums.rows_written += end->rows_written;
    if (end->epoch > lane->sums.epoch)
        lane->sums.epoch = end->epoch;
    snprintf(lane->sums.run_id, sizeof lane->sums.run_id, "%s", end->run_id);
    if (end->status == MR_OK)
        lane->done = lane->ours;
    else if (end->status == MR_BUSY)
        try_again(self, lane, &end->err);
    else if (end->status != MR_CANCELLED || !told) {
        struct mr_error failure = end->err;
        if (end->status != MR_CANCELLED)
            mr_error_prefix(&failure, "lane %s", lane->name);
        fail(self, end->status, &failure);
    }
}

static void reap(struct supervisor *self)
{
    uint64_t ignored;
    ssize_t got = read(self->lanes.ended_fd, &ignored, sizeof ignored);
    (void)got; /* none may have ended */
    for (int i = 0; i < self->count; i++) {
        struct lane *lane = self->items[i];
        if (!lane->thread || !mr_lane_ended(lane->thread))
            continue;
        mr_lane_join(lane->thread);
        struct mr_lane_end end = lane->thread->end;
        take_end(self, lane, &end);
        mr_free(lane->thread);
        lane->thread = NULL;
    }
}

static void start_due(struct supervisor *self)
{
    int64_t now = mr_clock_monotonic_micros();
    for (int i = 0; i < self->count && !self->stopping; i++) {
        struct lane *lane = self->items[i];
        struct mr_error err = {0};
        if (!lane->ours || lane->done || lane->thread || lane->again_at > now)
            continue;
        enum mr_status status = start_lane(self, lane, false, &err);
        if (status != MR_OK)
            fail(self, status, &err);
    }
}

/* Runs of lanes that are not ours (any more), or of any if all are to end. */
static int count_running(const struct supervisor *self, bool all)
{
    int running = 0;
    for (int i = 0; i < self->count; i++)
        running += self->items[i]->thread && (all || !self->items[i]->ours);
    return running;
}

/* Of triggers with an end. Who has no lane waits for those that others leave: they will have nothing to do. */
static bool all_done(const struct supervisor *self)
{
    int done = 0;
    for (int i = 0; i < self->count; i++) {
        if (self->items[i]->ours && !self->items[i]->done)
            return false;
        done += self->items[i]->ours;
    }
    return done > 0 && count_running(self, true) == 0;
}

/* ---- the group ---- */

static enum mr_status take_given(struct supervisor *self, const struct mr_group_news *news,
                                 struct mr_error *err)
{
    for (int i = 0; i < news->count; i++) {
        struct lane *lane = NULL;
        MR_TRY(add_lane(self, news->lanes[i], &lane, err));
        lane->ours = true;
        lane->done = lane->waits = false;
        lane->again_at = lane->pause = 0;
        lane->sums.given++;
    }
    mr_logger_printf(&self->session->logger, MR_LOG_INFO, "run", "%d lane%s given to this process",
                     news->count, news->count == 1 ? "" : "s");
    return MR_OK;
}

static void take_away(struct supervisor *self, const struct mr_group_news *news)
{
    bool lost = news->change == MR_GROUP_LOST;
    for (int i = 0; i < news->count; i++) {
        struct lane *lane = find_lane(self, news->lanes[i]);
        if (!lane)
            continue;
        lane->ours = false;
        if (lane->thread)
            mr_lane_stop(lane->thread, lost ? MR_LANE_IS_CANCELLED : MR_LANE_DRAINS);
    }
    self->leaving = true;
    mr_logger_printf(&self->session->logger, MR_LOG_INFO, "run", "%d lane%s %s", news->count,
                     news->count == 1 ? "" : "s", lost ? "lost to others" : "go to others");
}

static enum mr_status hear(struct supervisor *self, struct mr_error *err)
{
    struct mr_group_news news;
    if (self->leaving && count_running(self, false) == 0) {
        self->leaving = false;
        MR_TRY(self->group->given_up(self->lanes.member, err));
    }
    MR_TRY(self->group->next(self->lanes.member, &news, err));
    if (news.change == MR_GROUP_GIVEN)
        return take_given(self, &news, err);
    if (news.change != MR_GROUP_SAME)
        take_away(self, &news);
    return MR_OK;
}

/* A signal, or the end of timeouts.run: the first drains, the second cancels. */
static void heed_signals(struct supervisor *self)
{
    struct mr_session *session = self->session;
    bool cancelled = atomic_load(&session->cancelled), drain = atomic_load(&session->drain.set);
    int64_t most = session->spec->timeout_run_micros;
    bool late = most > 0 && mr_clock_monotonic_micros() >= session->start_monotonic + most;
    if (cancelled)
        stop_lanes(self, MR_LANE_IS_CANCELLED);
    else if (drain || late)
        stop_lanes(self, MR_LANE_DRAINS);
    if ((!cancelled && !drain && !late) || self->status != MR_OK)
        return;
    if (late && !drain && !cancelled)
        self->status = mr_error_set(&self->failure, MR_LIMIT, MR_CLASS_TRANSIENT,
                                    "drained: timeouts.run is over");
    else
        self->status = mr_error_set(&self->failure, MR_CANCELLED, MR_CLASS_TRANSIENT,
                                    cancelled ? "cancelled" : "drained: all lanes have committed");
    mr_error_hint(&self->failure, "run it again: it goes on from there");
}

static void pause_a_little(const struct supervisor *self)
{
    struct mr_waiter plain = mr_waiter_plain();
    bool timed_out;
    int64_t until = mr_clock_monotonic_micros() + LOOK_MICROS;
    for (int i = 0; i < self->count; i++)
        if (self->items[i]->ours && self->items[i]->again_at > mr_clock_monotonic_micros() &&
            self->items[i]->again_at < until)
            until = self->items[i]->again_at;
    mr_wait(&plain, self->poll_fd, MR_WAIT_READ, until, MR_WAIT_SOURCE, &timed_out, NULL);
}

static void supervise(struct supervisor *self)
{
    atomic_store(&self->session->in_epochs, true);
    for (;;) {
        struct mr_error err = {0};
        reap(self);
        heed_signals(self);
        if (self->stopping ? count_running(self, true) == 0 : all_done(self))
            return;
        start_due(self);
        enum mr_status status = hear(self, &err);
        if (status != MR_OK)
            fail(self, status, &err);
        else
            pause_a_little(self);
    }
}

/* ---- the beginning ---- */

static enum mr_status store_begin(struct supervisor *self, struct mr_lease *lease,
                                  struct mr_epoch_record *record, bool fresh, struct mr_error *err)
{
    struct mr_session *session = self->session;
    struct mr_split_list begin = {0};
    if (record->phase == MR_EPOCH_PREPARED) {
        mr_error_config(err, "a run without `group` was interrupted in its commit");
        mr_error_hint(err, "run it without `group` until it has ended, then with it");
        return MR_CONFIG;
    }
    if (record->positions.size == 0 || fresh) {
        struct mr_bytes bytes;
        MR_TRY(self->group->begin(self->lanes.member, &begin, err));
        struct mr_source_position position = {.step = self->step->key,
                                              .method = self->step->method->name,
                                              .text = begin.upto_text,
                                              .bytes = begin.upto};
        mr_bytes_init(&bytes, MR_BYTES_DEFAULT_MAXIMUM);
        mr_positions_encode(&position, 1, NULL, &bytes);
        enum mr_status status = mr_bytes_status(&bytes, err);
        const char *copy = mr_arena_strndup(&session->arena, bytes.data, bytes.size);
        record->positions = (struct mr_slice){copy, bytes.size};
        mr_bytes_reset(&bytes);
        MR_TRY(status);
        if (!copy)
            return mr_error_nomem(err);
    }
    *record = (struct mr_epoch_record){.phase = MR_EPOCH_COMMITTED,
                                       .epoch = record->epoch,
                                       .run_id = session->run_id,
                                       .maker = session->run_id,
                                       .fingerprint = MR_GROUP_MARK,
                                       .positions = record->positions};
    struct mr_note_change all = {.kind = MR_NOTE_KEPT, .from = INT64_MIN};
    return mr_state_store_epoch_and(lease, record, &all, fresh ? 1 : 0, err);
}

/*
 * What operators keep is of the whole stream there, and of one lane here. Nor can they begin with nothing behind epochs that were committed
 * without them.
 */
static enum mr_status check_kept(struct supervisor *self, struct mr_state *state, int64_t committed,
                                 struct mr_error *err)
{
    struct mr_session *session = self->session;
    bool any = false, fresh = true;
    MR_TRY(mr_kept_is_any(state, session->spec->state_key, committed, &any, err));
    if (!any && mr_kept_wanted(session->plan))
        MR_TRY(mr_kept_is_fresh(state, session->spec->state_key, committed, &fresh, err));
    if (!any && fresh)
        return MR_OK;
    mr_error_config(err, "%s",
                    any ? "runs without `group` have kept rows of stateful steps, which cannot be "
                          "divided among lanes"
                        : "epochs were committed without `group`, of which lanes do not have what "
                          "their steps keep");
    mr_error_hint(err, "give the pipeline another `stateKey` and say with startingOffsets where it "
                       "begins, or run with --fresh");
    return MR_CONFIG;
}

/* All lanes through a run with --fresh, one after the other, before the group is joined. */
static enum mr_status forget_lanes(struct supervisor *self, struct mr_error *err)
{
    struct mr_waiter plain = mr_waiter_plain();
    for (int i = 0; i < self->nnames; i++) {
        struct lane *lane = NULL;
        bool timed_out;
        MR_TRY(add_lane(self, self->names[i], &lane, err));
        MR_TRY(start_lane(self, lane, true, err));
        while (!mr_lane_ended(lane->thread)) {
            if (atomic_load(&self->session->cancelled))
                mr_lane_stop(lane->thread, MR_LANE_IS_CANCELLED);
            mr_wait(&plain, -1, 0, mr_clock_monotonic_micros() + 20000, MR_WAIT_SOURCE, &timed_out,
                    NULL);
        }
        mr_lane_join(lane->thread);
        struct mr_lane_end end = lane->thread->end;
        mr_free(lane->thread);
        lane->thread = NULL;
        lane->sums.rows_read += end.rows_read;
        lane->sums.rows_written += end.rows_written;
        if (end.status == MR_OK)
            continue;
        *err = end.err;
        mr_error_prefix(err, "--fresh, lane %s", lane->name);
        if (end.status == MR_BUSY)
            mr_error_hint(err, "stop the other processes of the group first");
        return end.status;
    }
    return MR_OK;
}

/*
 * Where lanes begin that remember nothing is decided once for the group, under the lease of the state key itself: "latest" would else be another
 * place for each lane, and for each start.
 */
static enum mr_status begin_under_lease(struct supervisor *self, struct mr_state *state,
                                        struct mr_lease *lease, struct mr_error *err)
{
    struct mr_session *session = self->session;
    bool fresh = self->lanes.options->fresh;
    struct mr_epoch_record record;
    MR_TRY(mr_state_load_epoch(state, session->spec->state_key, 0, &session->arena, &record, err));
    if (!mr_group_has_begun(&record) || fresh) {
        if (!fresh)
            MR_TRY(check_kept(self, state, record.epoch, err));
        MR_TRY(store_begin(self, lease, &record, fresh, err));
    }
    self->lanes.begin = record.positions;
    return fresh ? forget_lanes(self, err) : MR_OK;
}

/* The lease is held for moments, unless one process begins anew. */
static enum mr_status take_lease(struct supervisor *self, struct mr_state *state,
                                 struct mr_lease **lease, struct mr_error *err)
{
    struct mr_session *session = self->session;
    bool timed_out;
    for (int attempt = 0;; attempt++) {
        int64_t fence;
        struct mr_error failure = {0};
        enum mr_status status = mr_state_lease(state, session->spec->state_key, session->run_id,
                                               lease, &fence, &failure);
        if (status != MR_BUSY || attempt == 50) {
            if (status != MR_OK)
                *err = failure;
            return status;
        }
        MR_TRY(mr_wait(session->runtime.waiter, session->drain.fd, MR_WAIT_READ,
                       mr_clock_monotonic_micros() + 2 * AGAIN_LEAST, MR_WAIT_RETRY, &timed_out,
                       err));
        if (!timed_out)
            return mr_error_cancelled(err);
    }
}

static enum mr_status find_begin(struct supervisor *self, struct mr_error *err)
{
    struct mr_session *session = self->session;
    struct mr_state *state = NULL;
    struct mr_lease *lease = NULL;
    struct mr_epoch_record record;
    MR_TRY(mr_session_open_state(session, &state, err));
    session->runtime.state_uuid = mr_state_uuid(state);
    enum mr_status status =
        mr_state_load_epoch(state, session->spec->state_key, 0, &session->arena, &record, err);
    bool known = status == MR_OK && mr_group_has_begun(&record) && !self->lanes.options->fresh;
    self->lanes.begin = record.positions;
    if (status == MR_OK && !known)
        status = take_lease(self, state, &lease, err);
    if (status == MR_OK && !known)
        status = begin_under_lease(self, state, lease, err);
    mr_lease_release(lease);
    mr_state_close(state);
    session->runtime.state_uuid = "";
    return status;
}

static enum mr_status read_file(struct supervisor *self, struct mr_error *err)
{
    const struct mr_load_request *load = &self->session->request.load;
    struct mr_bytes text;
    char part[8192];
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    if (load->text) {
        mr_bytes_append(&text, load->text, load->text_size);
    } else {
        FILE *file = fopen(load->file, "rbe");
        if (!file)
            return mr_error_errno(err, MR_CONFIG, errno, "cannot read %s", load->file);
        for (size_t got; (got = fread(part, 1, sizeof part, file)) > 0;)
            mr_bytes_append(&text, part, got);
        fclose(file);
    }
    enum mr_status status = mr_bytes_status(&text, err);
    self->lanes.text_size = text.size;
    self->lanes.text = mr_bytes_move(&text, NULL);
    return status;
}

static enum mr_status watch(int poll_fd, int fd, struct mr_error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return mr_error_errno(err, MR_LIMIT, errno, "epoll");
    return MR_OK;
}

/* As if this process had all of them: then no lane does another thing because its neighbours are here too. */
static int64_t lane_memory(int64_t budget, int lanes)
{
    int64_t part = budget / (lanes > 0 ? lanes : 1);
    return part > LEAST_MEMORY ? part : LEAST_MEMORY;
}

static enum mr_status make_pool(struct supervisor *self, struct mr_error *err)
{
    const struct mr_spec *spec = self->session->spec;
    /* Lanes never wait for each other's end: their shares are given here, not by the queue. */
    struct mr_pool_options options = {.cores = spec->parallelism,
                                      .runs = INT32_MAX,
                                      .memory = INT64_MAX / 2};
    self->lanes.memory = lane_memory(self->session->memory.limit, self->nnames);
    return mr_pool_new(&options, &self->lanes.pool, err);
}

static enum mr_status prepare(struct supervisor *self, struct mr_load_errors *errors,
                              struct mr_error *err)
{
    struct mr_session *session = self->session;
    struct mr_session_plan_options plan = {.connect = true, .with_sinks = true};
    for (int i = 0; i < session->spec->nsteps && !self->step; i++)
        if (group_of(&session->spec->steps[i]))
            self->step = &session->spec->steps[i];
    MR_TRY(read_file(self, err));
    /* What is wrong with the file is found here, once. */
    MR_TRY(mr_session_plan(session, &plan, errors, err));
    for (int i = 0; i < session->spec->nsteps; i++) /* credentials have come in */
        if (session->spec->steps[i].index == self->step->index)
            self->step = &session->spec->steps[i];
    self->group = group_of(self->step);
    MR_TRY(self->group->open(self->step->options, &session->runtime, &session->arena,
                             &self->lanes.member, err));
    self->group->lanes(self->lanes.member, &self->names, &self->nnames);
    MR_TRY(make_pool(self, err));
    self->lanes.ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (self->lanes.ended_fd < 0 || self->poll_fd < 0)
        return mr_error_errno(err, MR_LIMIT, errno, "descriptors");
    MR_TRY(find_begin(self, err));
    MR_TRY(self->group->join(self->lanes.member, err));
    MR_TRY(watch(self->poll_fd, self->group->fd(self->lanes.member), err));
    return watch(self->poll_fd, self->lanes.ended_fd, err);
}

/* ---- the end ---- */

static char *build_report(const struct supervisor *self, enum mr_status status,
                          const struct mr_error *failure)
{
    struct mr_report_lane *lanes = mr_calloc((size_t)self->count + 1, sizeof *lanes);
    for (int i = 0; lanes && i < self->count; i++)
        lanes[i] = self->items[i]->sums;
    char *text = mr_report_of_lanes(self->session, status, failure, lanes, lanes ? self->count : 0);
    mr_free(lanes);
    return text;
}

static void reset(struct supervisor *self)
{
    for (int i = 0; i < self->count; i++) {
        struct lane *lane = self->items[i];
        if (lane->thread) {
            mr_lane_stop(lane->thread, MR_LANE_IS_CANCELLED);
            mr_lane_join(lane->thread);
            mr_free(lane->thread);
        }
        mr_free(lane->name);
        mr_free(lane);
    }
    mr_free(self->items);
    mr_listen_stop(self->lanes.listen);
    if (self->lanes.member)
        self->group->leave(self->lanes.member);
    mr_pool_free(self->lanes.pool);
    mr_free(self->lanes.text);
    if (self->lanes.ended_fd >= 0)
        close(self->lanes.ended_fd);
    if (self->poll_fd >= 0)
        close(self->poll_fd);
    pthread_mutex_destroy(&self->lanes.lock);
    pthread_mutex_destroy(&self->lanes.log);
}

static void write_reports(struct mr_session *session, const char *path, const char *report)
{
    struct mr_error err = {0};
    if (report && path && mr_report_write(path, report, &err) != MR_OK)
        mr_logger_printf(&session->logger, MR_LOG_WARN, "run", "no report file: %s", err.message);
    if (report && session->spec->metrics_path &&
        mr_report_write_metrics(session, report, &err) != MR_OK)
        mr_logger_printf(&session->logger, MR_LOG_WARN, "run", "no metrics file: %s", err.message);
}

enum mr_status mr_group_execute(struct mr_session *session, const struct mr_run_options *options,
                                char **report, struct mr_load_errors *errors, struct mr_error *err)
{
    struct supervisor self = {
        .session = session,
        .lanes = {.parent = session, .options = options, .ended_fd = -1},
        .poll_fd = -1,
    };
    mr_mutex_init(&self.lanes.lock);
    mr_mutex_init(&self.lanes.log);
    enum mr_status status = prepare(&self, errors, &self.failure);
    if (status == MR_OK && options->listen)
        status = mr_listen_start(session, true, options->listen, &self.lanes.listen, &self.failure);
    if (status != MR_OK)
        self.status = status;
    else
        supervise(&self);
    status = self.status;
    *report = build_report(&self, status, &self.failure);
    write_reports(session, options->metrics_path, *report);
    if (status != MR_OK)
        mr_logger_printf(&session->logger, status == MR_CANCELLED ? MR_LOG_INFO : MR_LOG_ERROR,
                         "run", "%s", self.failure.message);
    reset(&self);
    if (err)
        *err = self.failure;
    return status;
}

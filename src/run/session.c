/*
 * session.c - from the text of a pipeline to a bound plan, with the resources that the file asks for.
 *
 * ${last_run_timestamp} makes a loop: the file names the state that holds its value. So a file that uses it is read twice, first
 * with the initial value to learn the state's path and key.
 */
#include "run/session.h"

#include "base/time.h"
#include "config/vault.h"
#include "run/discover.h"
#include "run/machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a run tells once (the version that it made of a table) would be a line an epoch in a stream. */
static void session_event(struct mr_runtime *runtime, enum mr_log_level level, const char *message)
{
    struct mr_session *session = runtime->event_context;
    if (level == MR_LOG_INFO && atomic_load(&session->in_epochs))
        level = MR_LOG_DEBUG;
    mr_logger_write(&session->logger, level, "step", runtime->memory->name, message);
}

static void make_identity(struct mr_session *session)
{
    struct mr_civil now;
    uint32_t random = 0;
    session->start_wall = session->now_micros = mr_clock_wall_micros();
    session->start_monotonic = mr_clock_monotonic_micros();
    mr_civil_from_micros(session->start_wall, &now);
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        random = (uint32_t)session->start_wall ^ (uint32_t)getpid();
    snprintf(session->run_id, sizeof session->run_id, "%04d%02d%02dT%02d%02d%02dZ-%08x",
             (int)now.year, now.month, now.day, now.hour, now.minute, now.second, random);
    snprintf(session->run_date, sizeof session->run_date, "%04u-%02u-%02u",
             (unsigned)now.year % 10000, (unsigned)now.month % 100, (unsigned)now.day % 100);
}

/* A path of the file relative to its directory. */
static char *relative_to(const char *directory, const char *path)
{
    size_t size = strlen(directory) + strlen(path) + 2;
    char *out = mr_alloc(size);
    if (out && (path[0] == '/' || !directory[0] || !strcmp(directory, ".")))
        snprintf(out, size, "%s", path);
    else if (out)
        snprintf(out, size, "%s/%s", directory, path);
    return out;
}

bool mr_step_reads_incrementally(const struct mr_spec *spec, const struct mr_step_spec *step)
{
    const struct mr_source *source = step->method != NULL ? step->method->source : NULL;
    return mr_options_wants(step->options, "incremental") ||
           (spec->mode == MR_MODE_STREAMING && source != NULL &&
            (source->flags & MR_SOURCE_STREAMING));
}

static bool reads_incrementally(const struct mr_spec *spec)
{
    if (spec->mode == MR_MODE_STREAMING)
        return true;
    for (int i = 0; i < spec->nsteps; i++)
        if (mr_step_reads_incrementally(spec, &spec->steps[i]))
            return true;
    return false;
}

static enum mr_status open_state(struct mr_session *session, bool read_only, struct mr_state **out,
                                 struct mr_error *err)
{
    const struct mr_state_server *server = session->state_path ? NULL : session->spec->state_server;
    struct mr_state_config config = {.directory = session->state_path,
                                     .read_only = read_only,
                                     .waiter = session->runtime.waiter,
                                     .patient = session->runtime.patient,
                                     .retry =
                                         session->spec->retry_given ? &session->spec->retry : NULL,
                                     .retries = &session->retries};
    if (server) {
        config.keywords = server->keywords;
        config.values = server->values;
        config.location = server->location;
    }
    return mr_state_open(&config, out, err);
}

static enum mr_status read_last_run(struct mr_session *session, struct mr_error *err)
{
    struct mr_state *state = NULL;
    struct mr_epoch_record record;
    struct stat info;
    if (session->state_path && stat(session->state_path, &info) != 0)
        return MR_OK;
    MR_TRY(open_state(session, true, &state, err));
    enum mr_status status =
        mr_state_load_epoch(state, session->spec->state_key, 0, &session->arena, &record, err);
    mr_state_close(state);
    MR_TRY(status);
    if (record.phase != MR_EPOCH_COMMITTED)
        return MR_OK;
    session->last_run_timestamp = record.watermark;
    return mr_positions_decode(record.positions, &session->arena, &session->since, err);
}

/* What the file is for one lane of a shared stream. */
static enum mr_status narrow_to_lane(struct mr_session *session, const struct mr_spec **spec,
                                     struct mr_load_errors *errors)
{
    const struct mr_session_lane *lane = session->request.lane;
    struct mr_spec *own = mr_arena_alloc(&session->arena, sizeof *own);
    if (own) {
        *own = **spec;
        own->state_key =
            mr_arena_printf(&session->arena, "%s@%s", (*spec)->state_key, lane->of.name);
        own->memory = lane->memory;
        own->metrics_path = NULL; /* the process reports */
        if (lane->once)
            own->stream.trigger = MR_TRIGGER_ONCE;
    }
    if (!own || !own->state_key) {
        errors->count = 1;
        return mr_error_nomem(&errors->items[0]);
    }
    *spec = own;
    return MR_OK;
}

static enum mr_status load(struct mr_session *session, const struct mr_spec **out,
                           struct mr_load_errors *errors)
{
    struct mr_load_request request = session->request.load;
    request.run_id = session->run_id;
    request.run_date = session->run_date;
    request.last_run_timestamp = session->last_run_timestamp;
    struct mr_load_watermark *watermarks =
        mr_arena_calloc(&session->arena, (size_t)session->since.count + 1, sizeof *watermarks);
    if (!watermarks) {
        errors->count = 1;
        return mr_error_nomem(&errors->items[0]);
    }
    for (int i = 0; i < session->since.count; i++)
        watermarks[i] =
            (struct mr_load_watermark){session->since.items[i].step, session->since.items[i].method,
                                       session->since.items[i].text};
    request.watermarks = watermarks;
    request.nwatermarks = session->since.count;
    request.secrets = session->secrets;
    MR_TRY(mr_config_load(&request, &session->arena, out, errors));
    return session->request.lane ? narrow_to_lane(session, out, errors) : MR_OK;
}

static int64_t run_deadline(const struct mr_session *session)
{
    int64_t most = session->spec->timeout_run_micros;
    if (session->spec->mode == MR_MODE_STREAMING)
        return INT64_MAX; /* it ends behind an epoch, not in one */
    return most > 0 ? session->start_monotonic + most : INT64_MAX;
}

void mr_session_begin(struct mr_session *session)
{
    session->start_wall = mr_clock_wall_micros();
    session->start_monotonic = mr_clock_monotonic_micros();
    session->runtime.start_micros = session->start_wall;
    mr_engine_set_deadline(session->engine, run_deadline(session));
}

static enum mr_status set_up(struct mr_session *session, struct mr_error *err)
{
    const struct mr_spec *spec = session->spec;
    int cores = mr_machine_cores();
    int permits = spec->parallelism > 0 ? spec->parallelism : cores;
    struct mr_pool *pool = session->request.pool;
    session->memory.limit = spec->memory > 0 ? spec->memory : mr_machine_memory() / 2;
    if (pool) {
        MR_TRY(mr_pool_join(pool, spec, &session->arena, &session->ticket, &session->memory.limit,
                            err));
        session->memory.parent = mr_pool_memory(pool);
        /* Lanes last for ever: one that waited for a place would not be read. */
        if (session->request.lane)
            session->ticket.nneeds = 0;
    }
    session->logger.run_id = session->run_id;
    session->logger.pipeline = spec->name;
    MR_TRY(mr_tz_new(spec->time_zone ? spec->time_zone : "UTC", &session->tz, err));
    if (spec->mode == MR_MODE_STREAMING) {
        session->drain.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (session->drain.fd < 0)
            return mr_error_errno(err, MR_LIMIT, errno, "eventfd");
    }
    struct mr_engine_options options = {.permits = permits,
                                        .common = pool ? mr_pool_permits(pool) : NULL,
                                        .run_deadline = pool ? INT64_MAX : run_deadline(session),
                                        .patience = session->request.patience_micros};
    MR_TRY(mr_engine_new(&options, &session->engine, err));
    if (atomic_load(&session->cancelled))
        mr_engine_cancel(session->engine);
    const char *temp = spec->temp_dir ? spec->temp_dir : getenv("TMPDIR");
    struct mr_shared *shared = mr_shared_new();
    if (!shared)
        return mr_error_nomem(err);
    session->runtime = (struct mr_runtime){
        .waiter = mr_engine_waiter(session->engine),
        .patient = mr_engine_patient(session->engine),
        .memory = &session->memory,
        .counters = &session->counters,
        .registry = session->request.load.registry,
        .temp_dir = temp && *temp ? temp : "/tmp",
        .run_id = session->run_id,
        .state_uuid = "",
        .state_key = spec->state_key,
        .state_dir = session->state_path,
        .pipeline_dir = spec->directory,
        .start_micros = session->now_micros,
        .streaming = spec->mode == MR_MODE_STREAMING,
        .drain = spec->mode == MR_MODE_STREAMING ? &session->drain : NULL,
        .parallelism = permits,
        .batch_rows = spec->batch_rows,
        .time_zone = spec->time_zone ? spec->time_zone : "UTC",
        .ansi_off = !spec->ansi,
        .timeout_connect_micros = spec->timeout_connect_micros,
        .timeout_statement_micros = spec->timeout_statement_micros,
        .retry = spec->retry,
        .retry_given = spec->retry_given,
        .retries = &session->retries,
        .pieces = &session->pieces,
        .lane = session->request.lane ? &session->request.lane->of : NULL,
        .given = &session->given,
        .held = spec->mode == MR_MODE_STREAMING ? &session->held : NULL,
        .shared = shared,
        /* What a stream holds is its own (run/stream.c): where it begins and what it has fetched, and it goes with it. */
        .common = pool && spec->mode != MR_MODE_STREAMING ? mr_pool_shared(pool) : NULL,
        .event = session_event,
        .event_context = session,
    };
    return MR_OK;
}

static void add_error(struct mr_load_errors *errors, const struct mr_error *err)
{
    if (errors->count < MR_LOAD_MAX_ERRORS)
        errors->items[errors->count++] = *err;
}

enum mr_status mr_session_open(const struct mr_session_request *request, struct mr_session **out,
                               struct mr_load_errors *errors)
{
    struct mr_error err = {0};
    errors->count = 0;
    struct mr_session *session = mr_calloc(1, sizeof *session);
    if (!session) {
        mr_error_nomem(&err);
        add_error(errors, &err);
        return MR_NOMEM;
    }
    session->request = *request;
    session->drain.fd = -1;
    mr_arena_init(&session->arena, NULL);
    mr_memory_init(&session->memory, NULL, "resources.memory", INT64_MAX);
    mr_retry_log_init(&session->retries);
    session->given.memory = session->held.memory = &session->memory;
    mr_logger_init(&session->logger, request->log, request->log_context, request->log_level);
    make_identity(session);
    enum mr_status status = load(session, &session->spec, errors);
    if (status != MR_OK)
        goto out;
    if (request->state_path)
        session->state_path = mr_strdup(request->state_path);
    else if (!session->spec->state_server)
        session->state_path = relative_to(session->spec->directory, session->spec->state_path);
    if (!session->state_path && (request->state_path || !session->spec->state_server))
        status = mr_error_nomem(&err);
    if (status == MR_OK && session->state_path &&
        (session->spec->uses_last_run_timestamp || reads_incrementally(session->spec)))
        status = read_last_run(session, &err);
    if (status == MR_OK && (session->last_run_timestamp || session->since.count > 0)) {
        status = load(session, &session->spec, errors);
        if (status != MR_OK)
            goto out;
    }
    if (status == MR_OK)
        status = set_up(session, &err);
    if (status != MR_OK)
        add_error(errors, &err);
out:
    if (status == MR_OK)
        *out = session;
    else
        mr_session_close(session);
    return status;
}

void mr_session_close(struct mr_session *session)
{
    if (!session)
        return;
    mr_plan_free(session->plan);
    mr_shared_free(session->runtime.shared);
    mr_shared_free(session->common);
    if (session->drain.fd >= 0)
        close(session->drain.fd);
    if (session->engine)
        mr_engine_free(session->engine);
    mr_given_reset(&session->given);
    mr_held_reset(&session->held);
    mr_pool_ticket_reset(&session->ticket);
    mr_tz_free(session->tz);
    mr_free(session->state_path);
    pthread_mutex_destroy(&session->logger.mutex);
    mr_retry_log_reset(&session->retries);
    mr_arena_reset(&session->arena);
    mr_arena_reset(&session->whole);
    mr_free(session);
}

void mr_session_leave(struct mr_session *session)
{
    if (!session->ticket.pool)
        return;
    mr_plan_free(session->plan);
    session->plan = NULL;
    mr_held_reset(&session->held);
    mr_shared_free(session->runtime.shared);
    session->runtime.shared = NULL;
    mr_pool_leave(&session->ticket);
}

void mr_session_cancel(struct mr_session *session)
{
    atomic_store(&session->cancelled, true);
    if (session->engine && atomic_load(&session->drain.set)) /* which was its time */
        mr_engine_hurry(session->engine);
    else if (session->engine)
        mr_engine_cancel(session->engine);
}

bool mr_session_drain(struct mr_session *session)
{
    uint64_t one = 1;
    if (session->drain.fd < 0 || !atomic_load(&session->in_epochs) ||
        atomic_exchange(&session->drain.set, true))
        return false;
    int saved = errno;
    ssize_t written = write(session->drain.fd, &one, sizeof one);
    (void)written;
    errno = saved;
    if (atomic_load(&session->yields))
        mr_engine_hurry(session->engine);
    return true;
}

void mr_session_yields(struct mr_session *session, bool yields)
{
    atomic_store(&session->yields, yields);
    if (yields && atomic_load(&session->drain.set))
        mr_engine_hurry(session->engine);
}

int mr_session_exit_code(const struct mr_session *session, enum mr_status status)
{
    int code = atomic_load(&session->cancel_code);
    return status == MR_CANCELLED && code > 0 ? code : mr_status_exit_code(status);
}

static bool waits_for_vault(const struct mr_spec *spec)
{
    if (spec->state_server && spec->state_server->step.vault_path)
        return true;
    for (int i = 0; i < spec->nsteps; i++)
        if (spec->steps[i].vault_path != NULL)
            return true;
    return false;
}

/* The file is read again, with what is known now: what an option becomes stays in one place (config/). */
static enum mr_status load_again(struct mr_session *session, struct mr_load_errors *errors,
                                 struct mr_error *err)
{
    struct mr_load_errors *found = mr_calloc(1, sizeof *found);
    const struct mr_spec *spec = NULL;
    if (!found)
        return mr_error_nomem(err);
    enum mr_status status = load(session, &spec, found);
    if (status != MR_OK && err)
        *err = found->items[0];
    if (status != MR_OK && errors)
        *errors = *found;
    mr_free(found);
    MR_TRY(status);
    if (spec->nsteps != session->spec->nsteps ||
        strcmp(spec->state_key, session->spec->state_key) != 0)
        return mr_error_config(err, "%s was changed while it was being read", spec->file);
    session->spec = spec;
    return MR_OK;
}

static enum mr_status fetch_secrets(struct mr_session *session, struct mr_load_errors *errors,
                                    struct mr_error *err)
{
    if (session->secrets || !waits_for_vault(session->spec))
        return MR_OK;
    MR_TRY(mr_vault_fetch(session->spec, &session->arena, session->runtime.waiter,
                          &session->retries, &session->secrets, err));
    return load_again(session, errors, err);
}

enum mr_status mr_session_fetch_credentials(struct mr_session *session,
                                            struct mr_load_errors *errors, struct mr_error *err)
{
    if (session->fetched)
        return MR_OK;
    MR_TRY(fetch_secrets(session, errors, err));
    if (!session->state_path && !session->knows_since &&
        (session->spec->uses_last_run_timestamp || reads_incrementally(session->spec))) {
        MR_TRY(mr_spec_need_credentials(session->spec, err));
        MR_TRY(read_last_run(session, err));
        MR_TRY(load_again(session, errors, err));
    }
    session->fetched = true;
    return MR_OK;
}

enum mr_status mr_session_since(struct mr_session *session, const char *watermark,
                                struct mr_slice positions, struct mr_load_errors *errors,
                                struct mr_error *err)
{
    const char *before = session->last_run_timestamp ? session->last_run_timestamp : "";
    session->last_run_timestamp = watermark;
    session->knows_since = true;
    if (session->request.lane && positions.size == 0)
        positions = session->request.lane->begin;
    session->nframes = 0; /* they were of other positions */
    MR_TRY(mr_positions_decode(positions, &session->arena, &session->since, err));
    bool moved = strcmp(before, watermark ? watermark : "") != 0;
    /* In a stream what was read before goes with the arena of the last epoch. */
    moved = moved || session->runtime.streaming;
    if ((session->spec->uses_last_run_timestamp && moved) || session->spec->uses_watermark)
        return load_again(session, errors, err);
    return MR_OK;
}

const char *mr_session_next_watermark(const struct mr_session *session)
{
    return session->plan->watermark ? session->plan->watermark : session->last_run_timestamp;
}

enum mr_status mr_session_positions(struct mr_session *session, struct mr_positions *out,
                                    struct mr_error *err)
{
    const struct mr_plan *plan = session->plan;
    size_t room = (size_t)plan->npositions + (size_t)session->since.count + 1;
    *out =
        (struct mr_positions){.items = mr_arena_calloc(&session->arena, room, sizeof *out->items)};
    if (!out->items)
        return mr_error_nomem(err);
    for (int i = 0; i < plan->npositions; i++)
        out->items[out->count++] = plan->positions[i];
    for (int i = 0; i < session->since.count; i++) {
        const struct mr_source_position *before = &session->since.items[i];
        bool stays = before->step[0] != '\0';
        for (int k = 0; k < plan->npositions; k++)
            stays = stays && strcmp(plan->positions[k].step, before->step) != 0;
        if (stays)
            out->items[out->count++] = *before;
    }
    return MR_OK;
}

static enum mr_status open_with_secrets(struct mr_session *session, bool read_only,
                                        struct mr_state **out, struct mr_error *err)
{
    if (!session->state_path) {
        MR_TRY(fetch_secrets(session, NULL, err));
        MR_TRY(mr_spec_need_credentials(session->spec, err));
    }
    return open_state(session, read_only, out, err);
}

enum mr_status mr_session_open_state(struct mr_session *session, struct mr_state **out,
                                     struct mr_error *err)
{
    return open_with_secrets(session, false, out, err);
}

enum mr_status mr_session_look_at_state(struct mr_session *session, struct mr_state **out,
                                        struct mr_error *err)
{
    return open_with_secrets(session, true, out, err);
}

enum mr_status mr_session_plan(struct mr_session *session,
                               const struct mr_session_plan_options *options,
                               struct mr_load_errors *errors, struct mr_error *err)
{
    if (options->connect) {
        MR_TRY(mr_session_fetch_credentials(session, errors, err));
        MR_TRY(mr_spec_need_credentials(session->spec, err));
    }
    mr_plan_free(session->plan);
    session->plan = NULL;
    /* Another plan is another reading: it gets a snapshot of its own. */
    mr_shared_free(session->runtime.shared);
    session->runtime.shared = mr_shared_new();
    if (!session->runtime.shared)
        return mr_error_nomem(err);
    session->runtime.offline = !options->connect;
    bool stream = session->spec->mode == MR_MODE_STREAMING;
    session->runtime.preview = stream && !options->with_sinks && !options->tries_since;
    /* What there is, as a batch: there is no next epoch for which anything would have to be kept. */
    session->runtime.streaming = stream && !session->runtime.preview;
    struct mr_plan_request request = {
        .spec = session->spec,
        .arena = &session->arena,
        .runtime = &session->runtime,
        .tz = session->tz,
        .now_micros = session->now_micros,
        .last_run_timestamp = session->last_run_timestamp,
        .since = session->since.items,
        .nsince = session->runtime.preview ? 0 : session->since.count,
        .until = session->until.items,
        .nuntil = session->until.count,
        .connect = options->connect,
        .with_splits = options->with_splits,
        .with_sinks = options->with_sinks,
        .light = options->light,
        .restorable = session->frames,
        .nrestorable = session->nframes,
        .until_step = options->until_step,
        .rows_wanted = options->rows_wanted,
        .fixed_splits = options->fixed_splits,
        .nfixed_splits = options->nfixed_splits,
    };
    return mr_discover_and_plan(session, &request, errors, err);
}

/*
 * stream.c - mode streaming: epoch after epoch under one lease.
 *
 * wait for the trigger -> plan from the last committed positions -> anything to do? -> execute -> judge -> commit. Each epoch is what
 * a batch run is, done by the same functions. What is different: targets are asked once, what is staged and not committed is discarded once
 * and behind a failure, and nothing of an epoch outlives the next one. For that each epoch has an arena of its own
 * (session->arena; that of the session itself is put aside): the record of the last epoch is copied into it, then the old one goes.
 *
 * A stream that has no position yet begins somewhere ("latest"). That place is recorded before the first epoch runs, without rows and without
 * the targets: records that come in while nothing is committed yet would be passed over by another start.
 */
#include "run/stream.h"

#include "base/failpoint.h"
#include "base/time.h"
#include "run/epoch.h"
#include "run/execute.h"
#include "run/judge.h"
#include "run/resume.h"
#include "run/tell.h"

#include <stdio.h>
#include <string.h>

#define IDLE_LEAST 10000
#define IDLE_MOST  200000

enum mr_status mr_stream_init(struct mr_stream *stream, struct mr_start *start,
                              const struct mr_run_options *options, struct mr_load_errors *errors,
                              struct mr_error *err)
{
    *stream = (struct mr_stream){.start = start,
                                 .session = start->session,
                                 .options = options,
                                 .errors = errors,
                                 .leftovers = true};
    return mr_totals_init(&stream->totals, err);
}

void mr_stream_reset(struct mr_stream *stream)
{
    mr_exec_result_reset(&stream->result);
    mr_totals_reset(&stream->totals);
    mr_kept_free(stream->kept);
    stream->kept = NULL;
}

/* ---- the arena of an epoch ---- */

static const char *copy_text(struct mr_arena *arena, const char *text, bool *ok)
{
    const char *copy = text != NULL ? mr_arena_strdup(arena, text) : NULL;
    *ok = *ok && (text == NULL || copy != NULL);
    return copy;
}

/* What the next epoch needs of the record of the last one: where it goes on. */
static enum mr_status copy_record(struct mr_epoch_record *record, struct mr_arena *arena,
                                  struct mr_error *err)
{
    bool ok = true;
    record->run_id = copy_text(arena, record->run_id, &ok);
    record->maker = copy_text(arena, record->maker, &ok);
    record->fingerprint = copy_text(arena, record->fingerprint, &ok);
    record->watermark = copy_text(arena, record->watermark, &ok);
    if (record->positions.size > 0)
        record->positions.data =
            mr_arena_strndup(arena, record->positions.data, record->positions.size);
    ok = ok && (record->positions.size == 0 || record->positions.data != NULL);
    /* Tokens are of the commit, which is done; places of targets are compared once, with the first. */
    record->ntokens = 0;
    record->tokens = NULL;
    return ok ? MR_OK : mr_error_nomem(err);
}

/* A new arena for a new plan; the file means what was last committed. */
static enum mr_status turn_over(struct mr_stream *stream, struct mr_error *err)
{
    struct mr_session *session = stream->session;
    struct mr_epoch_record *last = &stream->start->last;
    struct mr_arena old = session->arena;
    struct mr_plan *plan = session->plan;
    mr_exec_result_reset(&stream->result);
    session->plan = NULL;
    session->frames = NULL;
    session->absent = NULL;
    mr_arena_init(&session->arena, NULL);
    struct mr_epoch_record before = *last;
    enum mr_status status = MR_OK;
    if (stream->asked)
        status = copy_record(last, &session->arena, err);
    if (status == MR_OK)
        status = mr_session_since(session, last->watermark, last->positions, stream->errors, err);
    if (status != MR_OK) { /* the session goes on holding what it has */
        mr_kept_discard(stream->kept);
        mr_plan_free(plan);
        mr_arena_reset(&session->arena);
        session->arena = old;
        session->since = (struct mr_positions){0};
        *last = before;
        return status;
    }
    if (mr_kept_takes(stream->kept, plan, &old))
        return MR_OK;
    mr_plan_free(plan);
    mr_arena_reset(&old);
    return MR_OK;
}

/* ---- planning ---- */

static bool is_stream(const struct mr_plan_node *node)
{
    return node->kind == MR_PLAN_SOURCE && node->source_info.guarantee != NULL;
}

static enum mr_status need_stream(const struct mr_plan *plan, struct mr_error *err)
{
    for (int i = 0; i < plan->nnodes; i++)
        if (is_stream(&plan->nodes[i]))
            return MR_OK;
    mr_error_config(err, "no source of this pipeline is a stream: there would be nothing to wait "
                         "for");
    mr_error_hint(err, "read a topic with fromKafka, or say `incremental` in a step that has it");
    return MR_CONFIG;
}

/* Are there rows in any stream? Those of the other sources are no reason for an epoch. */
static bool has_rows(const struct mr_plan *plan)
{
    for (int i = 0; i < plan->nnodes; i++)
        if (is_stream(&plan->nodes[i]) && plan->nodes[i].splits.count > 0)
            return true;
    return false;
}

static const struct mr_source_position *find_position(const struct mr_positions *positions,
                                                      const char *step)
{
    for (int i = 0; i < positions->count; i++)
        if (strcmp(positions->items[i].step, step) == 0)
            return &positions->items[i];
    return NULL;
}

/* A text without bytes is a person's word, which may mean another place at each look ("from now on"); is it known which one now? */
static bool is_resolved(const struct mr_plan *plan, const struct mr_source_position *position)
{
    for (int i = 0; i < plan->nbegins && position->bytes.size == 0; i++)
        if (strcmp(plan->begins[i].step, position->step) == 0)
            return true;
    return false;
}

/* Positions as they are, and where streams begin that have none. *new: there are some. */
static enum mr_status with_begins(struct mr_session *session, struct mr_positions *out, bool *new,
                                  struct mr_error *err)
{
    const struct mr_plan *plan = session->plan;
    const struct mr_positions *since = &session->since;
    *out = (struct mr_positions){
        .items = mr_arena_calloc(&session->arena, (size_t)(plan->nbegins + since->count) + 1,
                                 sizeof *out->items)};
    if (out->items == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < since->count; i++)
        if (since->items[i].step[0] != '\0' && !is_resolved(plan, &since->items[i]))
            out->items[out->count++] = since->items[i];
    for (int i = 0; i < plan->nbegins; i++) {
        const struct mr_source_position *known = find_position(since, plan->begins[i].step);
        if (known != NULL && known->bytes.size > 0)
            continue;
        out->items[out->count++] = plan->begins[i];
        *new = true;
    }
    return MR_OK;
}

/* The first plan, or one with a new stream in it: where it begins is written down. */
static enum mr_status anchor(struct mr_stream *stream, struct mr_error *err)
{
    struct mr_session *session = stream->session;
    struct mr_start *start = stream->start;
    struct mr_positions begins;
    struct mr_bytes bytes;
    bool new = false;
    MR_TRY(with_begins(session, &begins, &new, err));
    if (!new)
        return MR_OK;
    mr_bytes_init(&bytes, (size_t)1 << 29);
    mr_positions_encode(begins.items, begins.count, start->last.watermark, &bytes);
    enum mr_status status = mr_bytes_status(&bytes, err);
    char *copy = mr_arena_strndup(&session->arena, bytes.data, bytes.size);
    struct mr_epoch_record record = start->last;
    record.phase = MR_EPOCH_COMMITTED;
    record.run_id = record.run_id != NULL ? record.run_id : "";
    record.maker = record.maker != NULL ? record.maker : "";
    record.fingerprint = record.fingerprint != NULL ? record.fingerprint : "";
    record.positions = (struct mr_slice){copy, bytes.size};
    mr_bytes_reset(&bytes);
    if (status == MR_OK && copy == NULL)
        status = mr_error_nomem(err);
    if (status == MR_OK)
        status = mr_state_store_epoch(start->lease, &record, err);
    if (status == MR_OK)
        start->last = record;
    return status;
}

static enum mr_status plan_epoch(struct mr_stream *stream, struct mr_error *err)
{
    struct mr_session *session = stream->session;
    struct mr_session_plan_options plan = {.connect = true,
                                           .with_splits = true,
                                           .with_sinks = true};
    if (stream->errors != NULL)
        stream->errors->count = 0;
    MR_TRY(turn_over(stream, err));
    session->held.now = stream->begun;
    session->now_micros = session->runtime.start_micros = mr_clock_wall_micros();
    MR_TRY(mr_session_plan(session, &plan, stream->errors, err));
    MR_TRY(need_stream(session->plan, err));
    MR_TRY(mr_totals_look(&stream->totals, session->plan, err));
    if (!stream->asked)
        MR_TRY(mr_execute_agree(session, stream->start->lease, stream->options, &plan,
                                stream->errors, &stream->start->last, err));
    else if (stream->totals.epochs > 0)
        MR_TRY(mr_epoch_check_tables(session, &stream->start->last, err));
    stream->asked = true;
    stream->idle =
        !has_rows(session->plan) && !mr_kept_due(stream->kept, session->runtime.start_micros);
    return anchor(stream, err);
}

/* ---- one epoch ---- */

static enum mr_status lend_kept(struct mr_stream *stream, struct mr_error *err)
{
    struct mr_session *session = stream->session;
    return mr_kept_begin(stream->kept, session->plan, stream->start->last.epoch,
                         session->runtime.start_micros, err);
}

/* The epoch of the plan at hand is committed. */
static enum mr_status count_epoch(struct mr_stream *stream, struct mr_error *err)
{
    int64_t epoch = stream->committing;
    stream->committing = 0;
    return mr_totals_add(&stream->totals, stream->session->plan, &stream->result, epoch,
                         mr_clock_monotonic_micros() - stream->begun, &stream->latency, err);
}

static enum mr_status run_epoch(struct mr_stream *stream, struct mr_error *err)
{
    struct mr_session *session = stream->session;
    struct mr_start *start = stream->start;
    int64_t epoch = start->last.epoch + 1;
    if (stream->leftovers) {
        /* Who was stopped meanwhile, and is fenced, would take the rows of its successor for leftovers. */
        MR_TRY(mr_lease_check(start->lease, err));
        MR_TRY(mr_epoch_discard(session, err));
    }
    stream->leftovers = true;
    MR_TRY(lend_kept(stream, err));
    mr_session_yields(session, stream->failures > 0);
    mr_latency_begin(&stream->latency, mr_clock_wall_micros());
    stream->staged = true;
    MR_TRY(mr_execute(session, stream->options, epoch, (struct mr_exec_request){0}, &stream->result,
                      err));
    MR_TRY(mr_judge_validations(session->plan, err));
    if (mr_engine_cancelled(session->engine))
        return mr_error_cancelled(err);
    mr_held_settle(&session->held);
    MR_TRY(mr_kept_save(stream->kept, epoch, err));
    stream->committing = epoch;
    MR_TRY(mr_epoch_commit(session, start->state, start->lease, &stream->result, epoch,
                           mr_session_next_watermark(session), err));
    MR_TRY(mr_state_load_epoch(start->state, session->spec->state_key, 0, &session->arena,
                               &start->last, err));
    mr_kept_committed(stream->kept, epoch);
    stream->leftovers = stream->staged = false;
    return count_epoch(stream, err);
}

/* ---- failures ---- */

/* The epoch that was being committed: is it, or is it to be read again? As the start of a process would ask. */
static enum mr_status settle(struct mr_stream *stream, struct mr_error *err)
{
    struct mr_session *session = stream->session;
    struct mr_start *start = stream->start;
    const char *withdrawn = NULL;
    MR_TRY(mr_lease_check(start->lease, err));
    /* Nothing was begun: what the start has read, in the session's own arena, is still to be compared with the targets. */
    if (!stream->asked)
        return MR_OK;
    MR_TRY(mr_state_load_epoch(start->state, session->spec->state_key, 0, &session->arena,
                               &start->last, err));
    if (start->last.phase == MR_EPOCH_PREPARED)
        MR_TRY(mr_epoch_finish(session, start->state, start->lease, &start->last, &withdrawn, err));
    /* A commit that was withdrawn has left its number, and no run. */
    bool ours = stream->committing > 0 && start->last.epoch == stream->committing &&
                start->last.phase == MR_EPOCH_COMMITTED &&
                strcmp(start->last.run_id, session->run_id) == 0;
    if (ours)
        return count_epoch(stream, err);
    stream->committing = 0;
    return MR_OK;
}

/* What is PREPARED is not for us to discard: settle, or the next start, says what became of it. */
static bool may_discard(const struct mr_stream *stream)
{
    struct mr_session *session = stream->session;
    struct mr_epoch_record now;
    if (!stream->staged || mr_lease_check(stream->start->lease, NULL) != MR_OK)
        return false;
    return stream->committing == 0 ||
           (mr_state_load_epoch(stream->start->state, session->spec->state_key, 0, &session->arena,
                                &now, NULL) == MR_OK &&
            now.phase != MR_EPOCH_PREPARED);
}

/*
 * At once, whether the stream ends or the epoch is done again: an open transaction holds up the readers of its topics. What cannot be discarded
 * is left for the next epoch, or the next start.
 */
static void discard(struct mr_stream *stream)
{
    stream->broken_off = stream->staged;
    if (may_discard(stream) && mr_epoch_discard(stream->session, NULL) == MR_OK)
        stream->leftovers = false;
    stream->staged = false;
}

/* What may go away by itself: also a commit that lost a race, and one that nobody knows the end of (settle asks). */
static bool may_pass(const struct mr_stream *stream, enum mr_status status,
                     const struct mr_error *failure)
{
    const struct mr_retry *retry = &stream->session->spec->retry;
    if (status == MR_CANCELLED || status == MR_NOMEM || status == MR_VALIDATION)
        return false;
    if (failure->cls != MR_CLASS_TRANSIENT && failure->cls != MR_CLASS_UNKNOWN &&
        failure->cls != MR_CLASS_REFUSED)
        return false;
    /* A stream that has worked goes on as soon as it can, unless the file says how often to try; one that is to end leaves it to the next start. */
    bool proven = stream->totals.epochs > 0 && !stream->session->spec->retry_given;
    return proven || stream->failures < retry->attempts || atomic_load(&stream->session->drain.set);
}

/* ---- waiting ---- */

static int64_t run_deadline(const struct mr_session *session)
{
    int64_t most = session->spec->timeout_run_micros;
    return most > 0 ? session->start_monotonic + most : INT64_MAX;
}

/* Behind a failure: has an epoch begun to load? */
static bool is_open(const struct mr_stream *stream)
{
    return stream->broken_off || stream->committing > 0 ||
           stream->start->last.phase == MR_EPOCH_PREPARED;
}

static long long open_epoch(const struct mr_stream *stream)
{
    const struct mr_epoch_record *last = &stream->start->last;
    return last->phase == MR_EPOCH_PREPARED ? last->epoch : last->epoch + 1;
}

/* `failure`: of the last epoch, or of the look at what there is to do; NULL = there was none. */
static enum mr_status drained(const struct mr_stream *stream, const struct mr_error *failure,
                              struct mr_error *err)
{
    long long epochs = (long long)stream->totals.epochs;
    bool told = atomic_load(&stream->session->drain.set);
    enum mr_status status = told ? MR_CANCELLED : MR_LIMIT;
    bool why = failure != NULL && failure->status != MR_CANCELLED;
    char reason[300] = "", rest[400] = "";
    if (why)
        snprintf(reason, sizeof reason, " (%.250s)", failure->message);
    if (failure != NULL && is_open(stream))
        snprintf(rest, sizeof rest,
                 "; epoch %lld is broken off%s: the next start finishes it or reads it again",
                 open_epoch(stream), reason);
    else if (why)
        snprintf(rest, sizeof rest, "; the next one was not begun%s", reason);
    if (stream->errors != NULL)
        stream->errors->count = 0; /* of that look */
    mr_error_set(err, status, MR_CLASS_TRANSIENT, "drained: %s%lld epoch%s committed%s",
                 told ? "" : "timeouts.run is over, ", epochs, epochs == 1 ? "" : "s", rest);
    mr_error_hint(err, "run it again: it goes on from there");
    return status;
}

static bool is_to_end(const struct mr_stream *stream)
{
    return atomic_load(&stream->session->drain.set) ||
           mr_clock_monotonic_micros() >= run_deadline(stream->session);
}

/* Until `deadline`, or until somebody stops the stream. */
static enum mr_status pause_until(struct mr_stream *stream, int64_t deadline,
                                  enum mr_wait_cause cause, struct mr_error *err)
{
    struct mr_session *session = stream->session;
    int64_t end = run_deadline(session);
    deadline = deadline < end ? deadline : end;
    bool timed_out = false;
    return mr_wait(session->runtime.waiter, session->drain.fd, MR_WAIT_READ, deadline, cause,
                   &timed_out, err);
}

static enum mr_status pause_for_trigger(struct mr_stream *stream, struct mr_error *err)
{
    const struct mr_stream_spec *spec = &stream->session->spec->stream;
    int64_t now = mr_clock_monotonic_micros();
    if (spec->trigger == MR_TRIGGER_INTERVAL && spec->interval_micros > 0)
        return pause_until(stream, stream->begun + spec->interval_micros, MR_WAIT_LIMIT, err);
    stream->pause = !stream->idle ? 0 : stream->pause == 0 ? IDLE_LEAST : stream->pause * 2;
    stream->pause = stream->pause > IDLE_MOST ? IDLE_MOST : stream->pause;
    return stream->pause > 0 ? pause_until(stream, now + stream->pause, MR_WAIT_SOURCE, err)
                             : MR_OK;
}

static enum mr_status pause_after_failure(struct mr_stream *stream, const struct mr_error *failure,
                                          struct mr_error *err)
{
    struct mr_session *session = stream->session;
    int64_t pause = mr_retry_pause(&session->spec->retry, stream->failures, mr_retry_random());
    struct mr_retry_entry entry = {.step = "stream",
                                   .unit = "epoch",
                                   .cls = failure->cls,
                                   .attempt = stream->failures,
                                   .delay_micros = pause,
                                   .message = failure->message};
    mr_retry_log_add(&session->retries, &entry);
    mr_totals_failed(&stream->totals, failure);
    mr_tell_failure(stream, failure, pause);
    return pause_until(stream, mr_clock_monotonic_micros() + pause, MR_WAIT_RETRY, err);
}

/* ---- the loop ---- */

/* Where the streams ended when the process began: for availableNow. Copied, because arenas go. */
static enum mr_status keep_goals(struct mr_stream *stream, struct mr_error *err)
{
    struct mr_session *session = stream->session;
    const struct mr_plan *plan = session->plan;
    struct mr_arena *arena = &session->whole;
    stream->has_goals = true;
    stream->goals.items =
        mr_arena_calloc(arena, (size_t)plan->ngoals + 1, sizeof *stream->goals.items);
    if (stream->goals.items == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < plan->ngoals; i++) {
        const struct mr_source_position *goal = &plan->goals[i];
        struct mr_source_position *copy = &stream->goals.items[stream->goals.count++];
        *copy = (struct mr_source_position){.step = mr_arena_strdup(arena, goal->step),
                                            .method = mr_arena_strdup(arena, goal->method),
                                            .text = "",
                                            .bytes = {mr_arena_strndup(arena, goal->bytes.data,
                                                                       goal->bytes.size),
                                                      goal->bytes.size}};
        if (copy->step == NULL || copy->method == NULL || copy->bytes.data == NULL)
            return mr_error_nomem(err);
    }
    session->until = stream->goals;
    return MR_OK;
}

/*
 * A stream that had no goal was read as far as it went by the first epoch; of the others none may end in front of it. That there are no rows says
 * nothing: a rate may allow none just now.
 */
static bool all_reached(const struct mr_stream *stream)
{
    const struct mr_plan *plan = stream->session->plan;
    for (int i = 0; i < plan->ngoals; i++)
        if (find_position(&stream->goals, plan->goals[i].step) != NULL)
            return false;
    return true;
}

/* With the plan at hand, whose epoch is committed or has nothing to do. */
static bool is_enough(const struct mr_stream *stream)
{
    switch (stream->session->spec->stream.trigger) {
    case MR_TRIGGER_ONCE:
        return true;
    case MR_TRIGGER_AVAILABLE_NOW:
        return all_reached(stream);
    default:
        return false;
    }
}

static enum mr_status one_epoch(struct mr_stream *stream, struct mr_error *err)
{
    struct mr_session *session = stream->session;
    if (stream->failures > 0)
        MR_TRY(settle(stream, err));
    MR_TRY(plan_epoch(stream, err));
    if (!stream->has_goals && session->spec->stream.trigger == MR_TRIGGER_AVAILABLE_NOW)
        MR_TRY(keep_goals(stream, err));
    /* Partitions that bring nothing become idle from now on. */
    bool begins = !stream->idle || !mr_kept_is_open(stream->kept);
    if (stream->idle && begins)
        MR_TRY(lend_kept(stream, err));
    if (!stream->idle)
        MR_TRY(run_epoch(stream, err));
    return begins ? mr_totals_keep(&stream->totals, stream->kept, session->plan, err) : MR_OK;
}

enum mr_status mr_stream_run(struct mr_stream *stream, struct mr_error *err)
{
    struct mr_session *session = stream->session;
    MR_TRY(mr_session_fetch_credentials(session, stream->errors, err));
    session->runtime.common = session->common = mr_shared_new();
    if (session->common == NULL)
        return mr_error_nomem(err);
    struct mr_kept_place place = {.state = stream->start->state,
                                  .lease = stream->start->lease,
                                  .key = session->spec->state_key,
                                  .registry = session->runtime.registry,
                                  .runtime = &session->runtime};
    MR_TRY(mr_kept_new(&place, &stream->kept, err));
    session->runtime.latency = &stream->latency;
    mr_totals_start(&stream->totals, stream->start->last.epoch);
    atomic_store(&session->in_epochs, true);
    session->whole = session->arena;
    mr_arena_init(&session->arena, NULL);
    for (;;) {
        struct mr_error failure = {0};
        stream->begun = mr_clock_monotonic_micros();
        mr_totals_begin(&stream->totals);
        mr_session_yields(session, true);
        enum mr_status status = one_epoch(stream, &failure);
        mr_session_yields(session, status != MR_OK);
        if (status == MR_OK)
            mr_totals_rest(&stream->totals);
        if (status == MR_OK && stream->failures > 0)
            mr_totals_failed(&stream->totals, NULL);
        if (status == MR_OK)
            mr_tell_epoch(stream, stream->failures > 0);
        stream->failures = status == MR_OK ? 0 : stream->failures + 1;
        if (status != MR_OK) {
            mr_kept_discard(stream->kept);
            mr_held_discard(&session->held);
            discard(stream);
            mr_session_yields(session, false);
        }
        if (status == MR_OK && is_enough(stream))
            return MR_OK;
        if (status == MR_CANCELLED && atomic_load(&session->drain.set))
            return drained(stream, &failure, err);
        if (status != MR_OK && !may_pass(stream, status, &failure)) {
            if (err != NULL)
                *err = failure;
            return status;
        }
        const struct mr_error *last = status == MR_OK ? NULL : &failure;
        if (is_to_end(stream))
            return drained(stream, last, err);
        MR_TRY(status == MR_OK ? pause_for_trigger(stream, err)
                               : pause_after_failure(stream, &failure, err));
        if (is_to_end(stream))
            return drained(stream, last, err);
    }
}

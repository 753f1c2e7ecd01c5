/*
 * stage.c - a restart begins at the last durable frame.
 *
 * When a checkpoint's files are durable, a note is put under the lease: what was in front of the
 * step, with which parameters, from which positions reading began and where it ended, which run read
 * which source, and the files. The note makes the frame: files without one are removed by the next
 * run, and a note is believed only if all of it fits and every byte of its files is there.
 *
 * Everything happens in one plan: the checkpoint is a breaker, so what is behind it starts when it is
 * settled and noted. A chain of plans, one for each stage, was refused: it would need rules of its
 * own for frames that cross stages, and sources that two stages read could not share a snapshot.
 *
 * Notes are put at the number of the epoch that the run is about to commit. Once that is committed
 * they are of no use and go, with their files; a kill in between leaves them to the next run. A commit
 * that is withdrawn uses its number up: its notes are moved to the next one.
 */
#include "run/stage.h"

#include "base/failpoint.h"
#include "base/hash.h"
#include "ext/durable.h"
#include "run/judge.h"
#include "run/stage_note.h"

#include <string.h>

static const struct mr_durable *durable_of(const struct mr_step_spec *step)
{
    return step->method->op != NULL ? step->method->op->durable : NULL;
}

static const struct mr_step_spec *step_of(const struct mr_session *session, const char *key)
{
    for (int i = 0; i < session->spec->nsteps; i++)
        if (strcmp(session->spec->steps[i].key, key) == 0)
            return &session->spec->steps[i];
    return NULL;
}

static bool has_stages(const struct mr_session *session)
{
    for (int i = 0; i < session->spec->nsteps; i++)
        if (durable_of(&session->spec->steps[i]) != NULL)
            return true;
    return false;
}

/* ---- what is there ---- */

static uint64_t hash_of_since(const struct mr_epoch_record *last)
{
    const char *watermark = last->watermark != NULL ? last->watermark : "";
    uint64_t hash = mr_hash64(watermark, strlen(watermark));
    return mr_hash64_seed(last->positions.data != NULL ? last->positions.data : "",
                          last->positions.size, hash);
}

static void refuse(struct mr_session *session, const char *what, const char *reason)
{
    mr_logger_printf(&session->logger, MR_LOG_WARN, "run",
                     "what the checkpoint %s has kept is not used: %s; its rows are read again",
                     what, reason);
}

static void drop_frame(struct mr_session *session, const char *key)
{
    int kept = 0;
    for (int i = 0; i < session->nframes; i++)
        if (strcmp(session->frames[i].step, key) != 0)
            session->frames[kept++] = session->frames[i];
    session->nframes = kept;
}

/* Adds the frame of a note, if it is of this run's parameters and positions. */
static enum mr_status add_frame(struct mr_stage_run *run, const struct mr_note *note,
                                struct mr_error *err)
{
    struct mr_session *session = run->session;
    struct mr_stage_note found;
    const struct mr_step_spec *step = step_of(session, note->name);
    MR_TRY(mr_stage_note_decode(note->bytes, &session->arena, &found, err));
    found.frame.step = note->name;
    drop_frame(session, note->name);
    if (step == NULL || durable_of(step) == NULL)
        refuse(session, note->name, "the pipeline has no such checkpoint any more");
    else if (strcmp(found.parameters_hash, session->spec->parameters_hash) != 0)
        refuse(session, step->label, "that run had other parameters");
    else if (found.since != run->since)
        refuse(session, step->label, "the positions of incremental steps have been moved since");
    else
        session->frames[session->nframes++] = found.frame;
    if (note->epoch == run->epoch)
        return MR_OK;
    struct mr_note moved = *note;
    moved.epoch = run->epoch;
    return mr_state_put_note(run->lease, MR_NOTE_CHECKPOINT, &moved, err);
}

void mr_stage_anchor(struct mr_stage_run *run, const struct mr_epoch_record *last)
{
    run->epoch = last->epoch + 1;
    run->since = hash_of_since(last);
}

enum mr_status mr_stage_forget(struct mr_lease *lease, struct mr_error *err)
{
    return mr_state_drop_notes(lease, MR_NOTE_CHECKPOINT, INT64_MAX, err);
}

enum mr_status mr_stage_load(struct mr_stage_run *run, struct mr_state *state,
                             const struct mr_epoch_record *last, struct mr_error *err)
{
    struct mr_session *session = run->session;
    /* Its number was used up by a commit that was withdrawn: no run committed it. */
    bool is_void = last->phase == MR_EPOCH_COMMITTED && last->run_id[0] == '\0';
    struct mr_note *notes = NULL;
    int count = 0;
    session->nframes = 0;
    mr_stage_anchor(run, last);
    MR_TRY(mr_state_notes(state, session->spec->state_key, MR_NOTE_CHECKPOINT, -1, &session->arena,
                          &notes, &count, err));
    session->frames = mr_arena_calloc(&session->arena, (size_t)count + 1, sizeof *session->frames);
    if (session->frames == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < count; i++) /* by epoch: a later one replaces */
        if (notes[i].epoch == run->epoch || (is_void && notes[i].epoch == last->epoch))
            MR_TRY(add_frame(run, &notes[i], err));
    if (count > 0 && notes[0].epoch <= last->epoch)
        return mr_state_drop_notes(run->lease, MR_NOTE_CHECKPOINT, last->epoch, err);
    return MR_OK;
}

/* ---- the plan ---- */

/* Are the files of what the plan uses whole? *again: a frame was dropped. */
static enum mr_status check_frames(struct mr_session *session, bool *again, struct mr_error *err)
{
    const struct mr_plan *plan = session->plan;
    *again = false;
    for (int i = 0; i < plan->nnodes; i++) {
        const struct mr_plan_node *node = &plan->nodes[i];
        if (node->restored == NULL)
            continue;
        struct mr_runtime runtime = *node->runtime;
        runtime.waiter = mr_engine_waiter(session->engine);
        struct mr_error problem = {0};
        enum mr_status status =
            durable_of(node->step)
                ->check(node->step->options, &runtime, node->restored->frame, &problem);
        if (status != MR_OK && problem.cls == MR_CLASS_DATA) {
            refuse(session, node->step->label, problem.message);
            drop_frame(session, node->step->key);
            *again = true;
        } else if (status != MR_OK) {
            /* Not reached: whether it is whole is not known, and reading again may not be wanted. */
            *err = problem;
            mr_error_prefix(err, "%s: what it has kept cannot be read", node->step->label);
            if (err->hint[0] == '\0')
                mr_error_hint(err, "--fresh discards it and reads everything again");
            return status;
        }
    }
    return MR_OK;
}

static void tell(struct mr_session *session)
{
    const struct mr_plan *plan = session->plan;
    for (int i = 0; i < plan->nstages; i++) {
        const struct mr_plan_stage *stage = &plan->stages[i];
        if (stage->refused != NULL)
            refuse(session, stage->step->label, stage->refused);
        if (stage->used)
            mr_logger_printf(&session->logger, MR_LOG_INFO, "run",
                             "begins at %s: %lld rows that run %s has made durable; nothing in "
                             "front of it is read again",
                             stage->step->label, (long long)stage->restored->rows,
                             stage->restored->run_id);
    }
}

enum mr_status mr_stage_plan(struct mr_session *session,
                             const struct mr_session_plan_options *options,
                             struct mr_load_errors *errors, struct mr_error *err)
{
    bool again = true;
    while (again) {
        MR_TRY(mr_session_plan(session, options, errors, err));
        MR_TRY(check_frames(session, &again, err));
    }
    tell(session);
    return MR_OK;
}

/* ---- files ---- */

static void sweep(struct mr_session *session, const struct mr_slice *keep, int nkeep)
{
    for (int i = 0; i < session->spec->nsteps; i++) {
        const struct mr_step_spec *step = &session->spec->steps[i];
        struct mr_error err = {0};
        if (durable_of(step) == NULL)
            continue;
        struct mr_runtime runtime = session->runtime;
        runtime.waiter = mr_engine_waiter(session->engine);
        if (durable_of(step)->sweep(step->options, &runtime, keep, nkeep, &err) != MR_OK)
            mr_logger_printf(&session->logger, MR_LOG_WARN, "run",
                             "%s: files that are not needed any more could not be removed: %s",
                             step->label, err.message);
    }
}

enum mr_status mr_stage_sweep(struct mr_stage_run *run, struct mr_error *err)
{
    const struct mr_plan *plan = run->session->plan;
    if (plan->nstages == 0)
        return MR_OK;
    MR_TRY(mr_lease_check(run->lease, err));
    struct mr_slice *keep = mr_calloc((size_t)plan->nstages + 1, sizeof *keep);
    int nkeep = 0;
    for (int i = 0; keep != NULL && i < plan->nstages; i++)
        if (plan->stages[i].restored != NULL)
            keep[nkeep++] = plan->stages[i].restored->frame;
    if (keep != NULL)
        sweep(run->session, keep, nkeep);
    mr_free(keep);
    return keep != NULL ? MR_OK : mr_error_nomem(err);
}

void mr_stage_done(struct mr_session *session, struct mr_lease *lease, int64_t epoch)
{
    struct mr_error err = {0};
    if (!has_stages(session))
        return;
    enum mr_status status = mr_state_drop_notes(lease, MR_NOTE_CHECKPOINT, epoch, &err);
    if (status == MR_OK)
        status = mr_session_fetch_credentials(session, NULL, &err);
    if (status == MR_OK)
        sweep(session, NULL, 0);
    else
        mr_logger_printf(&session->logger, MR_LOG_WARN, "run",
                         "what the checkpoints have kept stays until the next run: %s",
                         err.message);
}

/* ---- a frame has become durable ---- */

static void mark_before(const struct mr_plan *plan, int node, bool *marks)
{
    marks[node] = true;
    for (int i = node; i >= 0; i--)
        for (int k = 0; marks[i] && k < plan->nodes[i].ninputs; k++)
            marks[plan->nodes[i].inputs[k].node] = true;
}

/* Room for what a frame can have: of each source that is read, and of each frame that is. */
struct collected {
    struct mr_plan_cover *covers;
    struct mr_source_position *positions;
    struct mr_plan_restorable *frame;
};

static enum mr_status make_room(const struct mr_plan *plan, struct mr_arena *arena,
                                struct collected *out, struct mr_error *err)
{
    size_t covers = (size_t)plan->nnodes + 1;
    for (int i = 0; i < plan->nnodes; i++)
        if (plan->nodes[i].restored != NULL)
            covers += (size_t)plan->nodes[i].restored->ncovers;
    out->covers = mr_arena_calloc(arena, covers, sizeof *out->covers);
    out->positions = mr_arena_calloc(arena, (size_t)plan->npositions + 1, sizeof *out->positions);
    if (out->covers == NULL || out->positions == NULL)
        return mr_error_nomem(err);
    out->frame->covers = out->covers;
    out->frame->positions = out->positions;
    return MR_OK;
}

static void add_cover(struct collected *out, const struct mr_plan *plan, const char *step,
                      const char *reading)
{
    struct mr_plan_restorable *frame = out->frame;
    for (int i = 0; i < frame->ncovers; i++)
        if (strcmp(out->covers[i].step, step) == 0)
            return;
    out->covers[frame->ncovers++] = (struct mr_plan_cover){step, reading};
    for (int i = 0; i < plan->npositions; i++)
        if (strcmp(plan->positions[i].step, step) == 0)
            out->positions[frame->npositions++] = plan->positions[i];
}

/* The earliest of all; one that is not known makes it unknown. */
static void add_safe_time(struct mr_plan_restorable *frame, const char *safe_time)
{
    if (!frame->has_clock)
        frame->safe_time = safe_time;
    else if (safe_time == NULL || frame->safe_time == NULL)
        frame->safe_time = NULL;
    else if (strcmp(safe_time, frame->safe_time) < 0)
        frame->safe_time = safe_time;
    frame->has_clock = true;
}

static enum mr_status collect(struct mr_session *session, const bool *before,
                              struct mr_plan_restorable *frame, struct mr_error *err)
{
    const struct mr_plan *plan = session->plan;
    struct collected out = {.frame = frame};
    MR_TRY(make_room(plan, &session->arena, &out, err));
    for (int i = 0; i < plan->nnodes; i++) {
        const struct mr_plan_node *node = &plan->nodes[i];
        if (!before[i] || node->kind != MR_PLAN_SOURCE)
            continue;
        if (node->restored != NULL ? node->restored->has_clock
                                   : !(node->source->flags & MR_SOURCE_IMMUTABLE))
            add_safe_time(frame, node->restored != NULL ? node->restored->safe_time
                                                        : node->splits.safe_time);
        if (node->restored == NULL)
            add_cover(&out, plan, node->step->key, session->run_id);
        for (int k = 0; node->restored != NULL && k < node->restored->ncovers; k++)
            add_cover(&out, plan, node->restored->covers[k].step,
                      node->restored->covers[k].reading);
    }
    return MR_OK;
}

static const struct mr_plan_stage *stage_of(const struct mr_plan *plan,
                                            const struct mr_step_spec *step)
{
    for (int i = 0; i < plan->nstages; i++)
        if (plan->stages[i].step == step)
            return &plan->stages[i];
    return NULL;
}

static enum mr_status put_note(const struct mr_stage_run *run, const struct mr_stage_note *note,
                               struct mr_error *err)
{
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, (size_t)1 << 30);
    mr_stage_note_encode(note, &bytes);
    enum mr_status status = mr_bytes_status(&bytes, err);
    struct mr_note out = {.epoch = run->epoch,
                          .name = note->frame.step,
                          .bytes = {bytes.data, bytes.size}};
    if (status == MR_OK)
        status = mr_state_put_note(run->lease, MR_NOTE_CHECKPOINT, &out, err);
    mr_bytes_reset(&bytes);
    return status;
}

static enum mr_status keep(const struct mr_stage_run *run, const struct mr_plan_node *node,
                           void *state, const bool *before, struct mr_error *err)
{
    struct mr_session *session = run->session;
    const struct mr_plan_stage *stage = stage_of(session->plan, node->step);
    struct mr_stage_note note = {
        .frame = {.step = node->step->key, .run_id = session->run_id},
        .parameters_hash = session->spec->parameters_hash,
        .since = run->since,
    };
    struct mr_bytes described;
    if (stage == NULL)
        return mr_error_internal(err, "a checkpoint that is not in the plan");
    note.frame.fingerprint = stage->fingerprint;
    MR_TRY(collect(session, before, &note.frame, err));
    MR_TRY(MR_FAILPOINT("checkpoint.before_note", err));
    mr_bytes_init(&described, (size_t)1 << 29);
    enum mr_status status =
        durable_of(node->step)->describe(state, &described, &note.frame.rows, err);
    note.frame.frame = (struct mr_slice){described.data, described.size};
    if (status == MR_OK)
        status = put_note(run, &note, err);
    mr_bytes_reset(&described);
    MR_TRY(status);
    MR_TRY(MR_FAILPOINT("checkpoint.after_note", err));
    mr_logger_printf(&session->logger, MR_LOG_INFO, "run",
                     "%s: %lld rows are durable; a restart begins here", node->step->label,
                     (long long)note.frame.rows);
    return MR_OK;
}

enum mr_status mr_stage_built(void *stage_run, int at, void *state, struct mr_error *err)
{
    struct mr_stage_run *run = stage_run;
    const struct mr_plan *plan = run->session->plan;
    bool *before = mr_calloc((size_t)plan->nnodes + 1, sizeof *before);
    if (before == NULL)
        return mr_error_nomem(err);
    mark_before(plan, at, before);
    enum mr_status status = mr_judge_some(plan, before, err);
    if (status == MR_OK)
        status = keep(run, &plan->nodes[at], state, before, err);
    mr_free(before);
    return status;
}

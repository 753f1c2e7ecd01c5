/*
 * resume.c - what is left for the next run, and what is taken over from the last.
 *
 * The state holds, under the number of the epoch that is not committed yet, the basis (everything that parts depend on) and a
 * note of each sealed part. They are only ever read together: a part whose note has another basis is none of ours.
 *
 *   start   notes of this epoch -> plan for the instant of the run that left them -> same basis? -> sweep: is all of it still
 *           staged? -> exec reads what is missing
 *   sealed  writers finished (rows durable, invisible), then the note: a kill in between leaves rows that the next sweep discards
 *   end     committed: the notes are dropped. Failed: sweep, but for what notes describe
 *
 * Notes go before what they describe is discarded, so that none speaks of rows that are gone on purpose. That rows are gone by
 * accident (a lifecycle rule, a tidy person) sweep notices, and their splits are read again.
 *
 * A run that failed for its data leaves nothing: a repetition would fail in the same way, and to mend the data is to change the
 * input.
 */
#include "run/resume.h"

#include "base/failpoint.h"
#include "run/epoch.h"

#include <stdio.h>

#define BASIS_NAME "basis"
/* The end of a task that wrote less than this is not worth a note. */
#define LEAST_BYTES ((int64_t)16 << 20)

static const char magic[4] = {'M', 'R', 'B', '1'};

void mr_resume_init(struct mr_resume *resume, struct mr_session *session)
{
    *resume = (struct mr_resume){.session = session};
    mr_mutex_init(&resume->lock);
}

void mr_resume_reset(struct mr_resume *resume)
{
    for (int i = 0; i < resume->nsealed; i++)
        mr_bytes_reset(&resume->sealed[i]);
    mr_free(resume->sealed);
    pthread_mutex_destroy(&resume->lock);
}

/* ---- the basis ---- */

/* "MRB1" instant u64, run_id, text */
static void write_basis(const struct mr_resume *resume, struct mr_bytes *out)
{
    const char *run_id = resume->session->run_id;
    mr_bytes_append(out, magic, sizeof magic);
    mr_bytes_u64le(out, (uint64_t)resume->session->now_micros);
    mr_bytes_lenpref_text(out, run_id);
    mr_bytes_lenpref_text(out, resume->basis.text);
}

static bool read_basis(struct mr_resume *resume, struct mr_slice bytes, int64_t *instant)
{
    struct mr_byte_reader reader;
    if (bytes.size < sizeof magic || memcmp(bytes.data, magic, sizeof magic) != 0)
        return false;
    mr_byte_reader_init(&reader, bytes.data + sizeof magic, bytes.size - sizeof magic);
    *instant = (int64_t)mr_byte_reader_u64le(&reader);
    mr_byte_reader_lenpref(&reader);
    struct mr_slice text = mr_byte_reader_lenpref(&reader);
    if (reader.bad || reader.at != reader.end || text.size == 0)
        return false;
    resume->before.text = mr_arena_strndup(&resume->session->arena, text.data, text.size);
    return resume->before.text != NULL;
}

/* ---- start ---- */

#define MOST_SKIPPED 100 /* starts that found their run key done, and so nothing to do */

/* The run before this one, if it did not end well and its epoch is not the one that is committed. */
static enum mr_status find_unfinished(struct mr_resume *resume, const struct mr_epoch_record *last,
                                      struct mr_error *err)
{
    struct mr_session *session = resume->session;
    struct mr_run_row *rows;
    int count;
    MR_TRY(mr_state_runs(resume->state, session->spec->state_key, false, MOST_SKIPPED,
                         &session->arena, &rows, &count, err));
    for (int i = 0; i < count; i++) {
        if (strcmp(rows[i].run_id, session->run_id) == 0 || strcmp(rows[i].status, "skipped") == 0)
            continue;
        bool done = strcmp(rows[i].status, "success") == 0 ||
                    (last->phase != MR_EPOCH_NONE && strcmp(rows[i].run_id, last->run_id) == 0);
        resume->run_id = done ? NULL : rows[i].run_id;
        break;
    }
    return MR_OK;
}

enum mr_status mr_resume_find(struct mr_resume *resume, struct mr_state *state,
                              struct mr_lease *lease, const struct mr_epoch_record *last,
                              struct mr_error *err)
{
    struct mr_session *session = resume->session;
    struct mr_note *notes;
    int count;
    int64_t instant = 0;
    resume->state = state;
    resume->lease = lease;
    resume->epoch = last->epoch + 1;
    MR_TRY(find_unfinished(resume, last, err));
    MR_TRY(mr_state_notes(state, session->spec->state_key, MR_NOTE_DONE, resume->epoch,
                          &session->arena, &notes, &count, err));
    resume->parts = mr_arena_calloc(&session->arena, (size_t)count + 1, sizeof *resume->parts);
    if (!resume->parts)
        return mr_error_nomem(err);
    resume->found = false;
    for (int i = 0; i < count && !resume->found; i++)
        resume->found =
            strcmp(notes[i].name, BASIS_NAME) == 0 && read_basis(resume, notes[i].bytes, &instant);
    if (!resume->found)
        return MR_OK;
    session->now_micros = session->runtime.start_micros = instant;
    return MR_OK;
}

static bool overlaps(const struct mr_resume *resume, const struct mr_exec_part *part)
{
    for (int i = 0; i < resume->nparts; i++) {
        const struct mr_exec_part *other = &resume->parts[i].part;
        if (other->segment == part->segment && other->first_split < part->end_split &&
            part->first_split < other->end_split)
            return true;
    }
    return false;
}

/* The parts, now that the plan tells what they mean. */
static enum mr_status read_parts(struct mr_resume *resume, struct mr_error *err)
{
    struct mr_session *session = resume->session;
    struct mr_note *notes;
    int count;
    MR_TRY(mr_state_notes(resume->state, session->spec->state_key, MR_NOTE_DONE, resume->epoch,
                          &session->arena, &notes, &count, err));
    for (int i = 0; i < count; i++) {
        struct mr_resume_part part = {.name = notes[i].name};
        if (strcmp(part.name, BASIS_NAME) == 0 ||
            !mr_resume_note_read(session->plan, notes[i].bytes, resume->basis.hash, &session->arena,
                                 &part) ||
            resume->exec.sealing[part.part.segment] == MR_SEAL_NONE || overlaps(resume, &part.part))
            continue;
        resume->parts[resume->nparts++] = part;
    }
    if (resume->nparts == 0)
        resume->reason = "it had sealed nothing";
    return MR_OK;
}

/* --resume wants what cannot be had. */
static enum mr_status refuse(const struct mr_resume *resume, struct mr_error *err)
{
    mr_error_set(err, MR_CONFIG, MR_CLASS_CONFIG,
                 "the unfinished run %s cannot be gone on with: %s",
                 resume->run_id ? resume->run_id : "", resume->reason);
    mr_error_hint(err, "without --resume it is begun anew; nothing of it is visible");
    return MR_CONFIG;
}

enum mr_status mr_resume_match(struct mr_resume *resume, const struct mr_run_options *options,
                               int64_t epoch, bool *again, struct mr_error *err)
{
    struct mr_session *session = resume->session;
    *again = false;
    MR_TRY(mr_resume_judge(resume, options, err));
    bool same = resume->found && resume->epoch == epoch && !resume->obstacle &&
                strcmp(resume->basis.text, resume->before.text) == 0;
    resume->epoch = epoch;
    resume->nparts = 0;
    if (same) {
        resume->begun = true;
        return read_parts(resume, err);
    }
    /* Beginning at a checkpoint is going on as well (run/stage.c tells of it). */
    for (int i = 0; i < session->plan->nstages && !resume->found; i++)
        if (session->plan->stages[i].used)
            resume->run_id = NULL;
    if (!resume->run_id && !resume->found)
        return MR_OK;
    if (!resume->reason)
        resume->reason = resume->obstacle ? resume->obstacle
                         : resume->found  ? mr_resume_difference(resume)
                                          : "it had sealed nothing";
    if (options->resume && (resume->found || resume->obstacle))
        return refuse(resume, err);
    if (resume->found)
        MR_TRY(mr_resume_forget(resume, epoch, err));
    *again = resume->found && session->now_micros != session->start_wall;
    resume->found = false;
    session->now_micros = session->runtime.start_micros = session->start_wall;
    return MR_OK;
}

/* ---- what is staged ---- */

static int count_kept(const struct mr_resume *resume, const struct mr_sink *sink)
{
    const struct mr_plan *plan = resume->session->plan;
    int count = 0;
    for (int p = 0; p < resume->nparts; p++)
        for (int i = 0; i < plan->nsinks && !resume->parts[p].lost; i++)
            count += plan->nodes[plan->sinks[i]].sink == sink &&
                     resume->parts[p].part.committables[i].data != NULL;
    return count;
}

/* *lost: a part was found that is not whole. */
static enum mr_status sweep_sink(struct mr_resume *resume, const struct mr_plan_node *node,
                                 bool *lost, struct mr_error *err)
{
    const struct mr_plan *plan = resume->session->plan;
    struct mr_epoch_lent lent;
    struct mr_runtime *runtime = mr_epoch_runtime(&lent, node->runtime);
    int count = count_kept(resume, node->sink), n = 0;
    struct mr_sink_kept *kept = mr_calloc((size_t)count + 1, sizeof *kept);
    int *parts = mr_calloc((size_t)count + 1, sizeof *parts);
    enum mr_status status = kept && parts ? MR_OK : mr_error_nomem(err);
    for (int p = 0; status == MR_OK && p < resume->nparts; p++)
        for (int i = 0; i < plan->nsinks && !resume->parts[p].lost; i++) {
            struct mr_slice staged = resume->parts[p].part.committables[i];
            if (plan->nodes[plan->sinks[i]].sink != node->sink || !staged.data)
                continue;
            parts[n] = p;
            kept[n++] = (struct mr_sink_kept){.committable = staged,
                                              .own = i == node->sink_sequence,
                                              .whole = true};
        }
    if (status == MR_OK)
        status = node->sink->sweep(node->sink_options, runtime, kept, n, err);
    for (int i = 0; status == MR_OK && i < n; i++)
        if (kept[i].own && !kept[i].whole)
            *lost = resume->parts[parts[i]].lost = true;
    mr_free(kept);
    mr_free(parts);
    if (status != MR_OK && err && !err->where[0])
        mr_error_where(err, "%s", node->step->label);
    return mr_error_of_sink(status, err);
}

static enum mr_status sweep_once(struct mr_resume *resume, bool *lost, struct mr_error *err)
{
    const struct mr_plan *plan = resume->session->plan;
    struct mr_slice none = {NULL, 0};
    *lost = false;
    for (int i = 0; i < plan->nsinks; i++) {
        const struct mr_plan_node *node = &plan->nodes[plan->sinks[i]];
        if (node->sink->sweep)
            MR_TRY(sweep_sink(resume, node, lost, err));
        else
            MR_TRY(mr_error_of_sink(node->sink->abort(node->sink_options, node->runtime, none, err),
                                    err));
    }
    return MR_OK;
}

/* Until all that is kept is whole. What is lost in one sink is no part in the others either. */
static enum mr_status sweep(struct mr_resume *resume, struct mr_error *err)
{
    bool lost = true;
    while (lost)
        MR_TRY(sweep_once(resume, &lost, err));
    return MR_OK;
}

/* A lost part's note says nothing from now on. (Those of this run have no name here: the next start notices.) */
static enum mr_status blank_lost(struct mr_resume *resume, struct mr_error *err)
{
    for (int p = 0; p < resume->nparts; p++) {
        struct mr_note note = {.epoch = resume->epoch,
                               .name = resume->parts[p].name,
                               .bytes = {"lost", 4}};
        if (resume->parts[p].lost && note.name)
            MR_TRY(mr_state_put_note(resume->lease, MR_NOTE_DONE, &note, err));
    }
    return MR_OK;
}

/* What validations and the report need of parts that are not read again. Rows read are those of this run. */
static void add_tallies(const struct mr_plan *plan, const struct mr_exec_part *part)
{
    static const enum mr_counter counters[] = {MR_COUNT_ROWS_WRITTEN, MR_COUNT_ROWS_REJECTED,
                                               MR_COUNT_BYTES_WRITTEN, MR_COUNT_FILES,
                                               MR_COUNT_FILES_SMALL};
    for (int i = 0; i < plan->nnodes; i++) {
        const struct mr_plan_node *node = &plan->nodes[i];
        struct mr_op_counts *counts = node->kind == MR_PLAN_OP ? node->op_info.counts : NULL;
        struct mr_tally *tally = &part->tallies[i];
        for (size_t c = 0; c < sizeof counters / sizeof counters[0]; c++)
            mr_count(node->runtime, counters[c], atomic_load(&tally->counters.value[counters[c]]));
        for (int rule = 0; counts && rule < counts->count; rule++)
            atomic_fetch_add(&counts->values[rule], atomic_load(&tally->rules[rule]));
        if (counts)
            atomic_fetch_add(&counts->rows_failed, atomic_load(&tally->rows_failed));
    }
}

/* Puts the parts that are whole into the request. */
static enum mr_status take(struct mr_resume *resume, struct mr_error *err)
{
    struct mr_exec_part *kept =
        mr_arena_calloc(&resume->session->arena, (size_t)resume->nparts + 1, sizeof *kept);
    if (!kept)
        return mr_error_nomem(err);
    resume->exec.kept = kept;
    for (int p = 0; p < resume->nparts; p++) {
        if (resume->parts[p].lost)
            continue;
        kept[resume->exec.nkept++] = resume->parts[p].part;
        resume->splits += resume->parts[p].part.end_split - resume->parts[p].part.first_split;
        resume->rows += resume->parts[p].part.rows;
        add_tallies(resume->session->plan, &resume->parts[p].part);
    }
    if (resume->nparts > 0 && resume->exec.nkept == 0)
        resume->reason = "what it had staged is gone";
    return MR_OK;
}

static void tell(const struct mr_resume *resume)
{
    struct mr_logger *logger = &resume->session->logger;
    const struct mr_plan *plan = resume->session->plan;
    int splits = 0, lost = 0;
    for (int i = 0; i < plan->nsegments; i++)
        splits += plan->segments[i].nsplits;
    for (int p = 0; p < resume->nparts; p++)
        lost += resume->parts[p].lost;
    if (lost > 0)
        mr_logger_printf(logger, MR_LOG_WARN, "run",
                         "what %d of %d sealed parts had staged is gone: they are read again", lost,
                         resume->nparts);
    if (resume->exec.nkept > 0)
        mr_logger_printf(logger, MR_LOG_INFO, "run",
                         "goes on with the unfinished run %s: %d of %d splits (%lld rows) are kept",
                         resume->run_id ? resume->run_id : "", resume->splits, splits,
                         (long long)resume->rows);
    else if (resume->run_id && resume->reason)
        mr_logger_printf(logger, MR_LOG_INFO, "run", "the unfinished run %s is begun anew: %s",
                         resume->run_id, resume->reason);
}

static enum mr_status note_sealed(void *context, const struct mr_exec_part *part,
                                  struct mr_error *err);

enum mr_status mr_resume_sweep(struct mr_resume *resume, struct mr_error *err)
{
    resume->exec.part_bytes = resume->session->spec->resume_bytes;
    resume->exec.sealed = note_sealed;
    resume->exec.context = resume;
    /* A run that was stopped since it began, and is fenced, would take the rows of its successor for leftovers. */
    MR_TRY(mr_lease_check(resume->lease, err));
    if (resume->nparts > 0) {
        MR_TRY(sweep(resume, err));
        MR_TRY(blank_lost(resume, err));
    } else {
        MR_TRY(mr_epoch_discard(resume->session, err));
    }
    MR_TRY(take(resume, err));
    tell(resume);
    return MR_OK;
}

/* ---- while it runs ---- */

/* Caller holds the lock. */
static enum mr_status put_basis(struct mr_resume *resume, struct mr_error *err)
{
    struct mr_bytes bytes;
    if (resume->begun)
        return MR_OK;
    mr_bytes_init(&bytes, MR_BYTES_DEFAULT_MAXIMUM);
    write_basis(resume, &bytes);
    enum mr_status status = mr_bytes_status(&bytes, err);
    struct mr_note note = {.epoch = resume->epoch,
                           .name = BASIS_NAME,
                           .bytes = {bytes.data, bytes.size}};
    if (status == MR_OK)
        status = mr_state_put_note(resume->lease, MR_NOTE_DONE, &note, err);
    resume->begun = status == MR_OK;
    mr_bytes_reset(&bytes);
    return status;
}

/* Caller holds the lock. Takes over the bytes. */
static enum mr_status remember(struct mr_resume *resume, struct mr_bytes *bytes,
                               struct mr_error *err)
{
    if (resume->nsealed == resume->capacity) {
        int capacity = resume->capacity ? 2 * resume->capacity : 16;
        struct mr_bytes *more = mr_realloc(resume->sealed, (size_t)capacity * sizeof *more);
        if (!more)
            return mr_error_nomem(err);
        resume->sealed = more;
        resume->capacity = capacity;
    }
    resume->sealed[resume->nsealed++] = *bytes;
    mr_bytes_init(bytes, bytes->maximum);
    return MR_OK;
}

static enum mr_status put_part(struct mr_resume *resume, const struct mr_exec_part *part,
                               struct mr_bytes *bytes, struct mr_error *err)
{
    char name[48];
    snprintf(name, sizeof name, "part %05d %09d", part->segment, part->first_split);
    struct mr_note note = {.epoch = resume->epoch,
                           .name = name,
                           .bytes = {bytes->data, bytes->size}};
    MR_TRY(put_basis(resume, err));
    MR_TRY(MR_FAILPOINT("resume.note.before", err));
    MR_TRY(mr_state_put_note(resume->lease, MR_NOTE_DONE, &note, err));
    MR_TRY(remember(resume, bytes, err));
    return MR_FAILPOINT("resume.note.after", err);
}

static enum mr_status note_sealed(void *context, const struct mr_exec_part *part,
                                  struct mr_error *err)
{
    struct mr_resume *resume = context;
    struct mr_bytes bytes;
    if (resume->exec.part_bytes == 0 && part->bytes < LEAST_BYTES)
        return MR_OK;
    mr_bytes_init(&bytes, (size_t)1 << 29);
    mr_resume_note_write(resume->session->plan, part, resume->basis.hash, resume->session->run_id,
                         &bytes);
    enum mr_status status = mr_bytes_status(&bytes, err);
    if (status == MR_OK) {
        pthread_mutex_lock(&resume->lock);
        status = put_part(resume, part, &bytes, err);
        pthread_mutex_unlock(&resume->lock);
    }
    mr_bytes_reset(&bytes);
    return status;
}

/* ---- end ---- */

/* Adds what this run has sealed to the parts that are to stay. */
static bool collect(struct mr_resume *resume)
{
    struct mr_session *session = resume->session;
    struct mr_resume_part *parts =
        mr_arena_calloc(&session->arena, (size_t)(resume->nparts + resume->nsealed) + 1,
                        sizeof *parts);
    int count = 0;
    for (int p = 0; parts && p < resume->nparts; p++)
        if (!resume->parts[p].lost)
            parts[count++] = resume->parts[p];
    for (int i = 0; parts && i < resume->nsealed; i++) {
        struct mr_slice bytes = {resume->sealed[i].data, resume->sealed[i].size};
        if (!mr_resume_note_read(session->plan, bytes, resume->basis.hash, &session->arena,
                                 &parts[count++]))
            return false;
    }
    resume->parts = parts;
    resume->nparts = count;
    return parts != NULL;
}

void mr_resume_leave(struct mr_resume *resume, enum mr_status status,
                     const struct mr_error *failure)
{
    /* What lies there may be another's by now: names derive from the epoch. */
    if (mr_lease_check(resume->lease, NULL) != MR_OK)
        return;
    bool repeats = status == MR_VALIDATION || failure->cls == MR_CLASS_DATA;
    bool any = resume->exec.nkept + resume->nsealed > 0;
    if (any && !repeats) {
        if (collect(resume) && sweep(resume, NULL) == MR_OK && blank_lost(resume, NULL) == MR_OK) {
            int splits = 0;
            for (int p = 0; p < resume->nparts; p++)
                splits += resume->parts[p].part.end_split - resume->parts[p].part.first_split;
            mr_logger_printf(&resume->session->logger, MR_LOG_INFO, "run",
                             "%d splits are sealed: the next start goes on from there", splits);
        }
        return;
    }
    if (any && mr_resume_forget(resume, resume->epoch, NULL) != MR_OK)
        return;
    mr_epoch_discard(resume->session, NULL);
}

enum mr_status mr_resume_forget(struct mr_resume *resume, int64_t upto, struct mr_error *err)
{
    resume->begun = false;
    return mr_state_drop_notes(resume->lease, MR_NOTE_DONE, upto, err);
}

enum mr_status mr_resume_committed(struct mr_resume *resume, struct mr_error *err)
{
    return resume->begun ? mr_resume_forget(resume, resume->epoch, err) : MR_OK;
}

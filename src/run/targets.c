/*
 * targets.c - what the targets remember, against what the state says.
 *
 * A state that was lost or copied must not look like work that was never done: each target that knows this pipeline under another
 * state, or a later epoch, stops the run. All targets are asked before anything is decided. --adopt goes on from what they know, for which
 * they must know the same: of two targets one of which lacks the last epoch there is no place to go on from that is right for both.
 * So does a target that lacks what this state has committed to it, where that would not be read again: it was restored from a copy, or
 * dropped.
 * A commit that was begun there and not ended is finished first (--adopt) or given up (--fresh), and what the other state left
 * staged is discarded.
 */
#include "run/epoch.h"

#include "run/kept.h"

struct target {
    const struct mr_plan_node *node;
    struct mr_recovered known;
};

static enum mr_status add_step(const struct target *target, enum mr_status status,
                               struct mr_error *err)
{
    if (status != MR_OK && err && !err->where[0])
        mr_error_where(err, "%s", target->node->step->label);
    return mr_error_of_sink(status, err);
}

static enum mr_status ask(struct target *target, int lane, struct mr_error *err)
{
    const struct mr_plan_node *node = target->node;
    struct mr_recovered *known = &target->known;
    enum mr_status status =
        node->sink->recover(node->sink_options, node->runtime, lane, known, err);
    if (status == MR_OK)
        status = mr_bytes_status(&known->positions, err);
    if (status == MR_OK)
        status = mr_bytes_status(&known->unfinished, err);
    return add_step(target, status, err);
}

static bool is_foreign(const struct mr_session *session, const struct mr_recovered *known)
{
    return known->state_uuid[0] != '\0' &&
           strcmp(known->state_uuid, session->runtime.state_uuid) != 0;
}

/* Has another run, with a copy of this state, made the epoch that we have too? */
static bool is_of_copy(const struct target *target, const struct mr_epoch_record *last)
{
    const struct mr_recovered *known = &target->known;
    uint64_t ours = mr_run_mark(last->maker);
    return known->epoch == last->epoch && known->load == target->node->sink_sequence && ours != 0 &&
           known->run != 0 && known->run != ours;
}

/*
 * Does the target remember more than our record, or another state? A mode that replaces what it writes again may begin anew
 * under another state, unless that left a commit half done or its memory is asked for.
 */
static bool is_lost(const struct mr_session *session, const struct target *target,
                    const struct mr_epoch_record *last, enum mr_lost_state how)
{
    const struct mr_recovered *known = &target->known;
    if (!is_foreign(session, known))
        return known->epoch > last->epoch || is_of_copy(target, last);
    return known->adds || known->unfinished.size > 0 || how != MR_LOST_STOP;
}

/* Was it this load, as far as can be told, that the last epoch was committed by, and into this place? */
static bool has_loaded(const struct mr_session *session, const struct mr_plan_node *node,
                       const struct mr_epoch_record *last)
{
    const char *mark = last->fingerprint ? strchr(last->fingerprint, ':') : NULL;
    struct mr_epoch_token here = mr_epoch_target(node);
    bool found = false;
    for (int i = 0; i < last->ntokens; i++) {
        const struct mr_epoch_token *token = &last->tokens[i];
        bool elsewhere =
            token->location[0] && here.location && strcmp(token->location, here.location) != 0;
        found = found ||
                (token->step == here.step && !elsewhere && strcmp(token->method, here.method) == 0);
    }
    return found && mark && strcmp(mark + 1, session->spec->parameters_hash) == 0;
}

/*
 * Does the target lack the last epoch? Then it was restored from a copy (or a standby took its place) or dropped, and what incremental steps
 * have read since would never be read again.
 */
static bool is_behind(const struct mr_session *session, const struct target *target,
                      const struct mr_epoch_record *last)
{
    const struct mr_recovered *known = &target->known;
    bool goes_on = session->plan->npositions > 0 || session->spec->uses_last_run_timestamp;
    return goes_on && has_loaded(session, target->node, last) && !is_foreign(session, known) &&
           (known->missing || (known->load == target->node->sink_sequence && known->epoch > 0 &&
                               known->epoch < last->epoch));
}

static enum mr_status gone(const struct mr_session *session, const struct mr_epoch_record *last,
                           struct mr_error *err)
{
    mr_error_set(err, MR_SINK, MR_CLASS_FATAL,
                 "the target is not there any more, and lacks the rows that %lld epochs of %s "
                 "have loaded",
                 (long long)last->epoch, session->spec->state_key);
    mr_error_hint(err, "restore it, or run with --fresh to load everything again; to go on "
                       "with what is new alone, say from where with millrace watermark set, "
                       "and run with --adopt");
    return MR_SINK;
}

static enum mr_status lost(const struct mr_session *session, const struct target *target,
                           const struct mr_epoch_record *last, struct mr_error *err)
{
    const struct mr_recovered *known = &target->known;
    const char *location = target->node->sink_info.location;
    if (!is_foreign(session, known) && is_of_copy(target, last))
        return mr_sink_overtaken(location ? location : "the target", last->epoch, known->epoch,
                                 MR_CLASS_FATAL, err);
    if (known->missing && !is_foreign(session, known) && known->epoch <= last->epoch)
        return gone(session, last, err);
    bool behind = !is_foreign(session, known) && known->epoch < last->epoch;
    mr_error_set(err, MR_SINK, MR_CLASS_FATAL,
                 behind ? "the target knows epoch %lld of %s and the state %lld: the target was "
                          "restored from a copy, and lacks rows that were loaded"
                        : "the target knows epoch %lld of %s and the state only %lld: the state "
                          "was lost or copied",
                 (long long)known->epoch, session->spec->state_key, (long long)last->epoch);
    mr_error_hint(err,
                  "%s, or run with --adopt to go on from what the target knows, "
                  "or with --fresh to load everything again%s",
                  behind ? "restore the target" : "restore the state",
                  known->adds ? " (what was appended stays: empty the target before)" : "");
    return MR_SINK;
}

enum mr_status mr_epoch_check_tables(const struct mr_session *session,
                                     const struct mr_epoch_record *last, struct mr_error *err)
{
    const struct mr_plan *plan = session->plan;
    for (int i = 0; i < plan->nsinks; i++) {
        const struct mr_plan_node *node = &plan->nodes[plan->sinks[i]];
        if (!node->sink_info.missing)
            continue;
        struct target target = {.node = node};
        return add_step(&target, gone(session, last, err), err);
    }
    return MR_OK;
}

/* ---- adopting ---- */

static const struct target *latest(const struct target *targets, int count)
{
    const struct target *found = NULL;
    for (int i = 0; i < count; i++) {
        if (!targets[i].node->sink_info.skip &&
            (!found || targets[i].known.epoch > found->known.epoch))
            found = &targets[i];
    }
    return found;
}

/* Did a person say where each incremental step goes on (millrace watermark set)? */
static bool was_set(const struct mr_session *session, const struct mr_epoch_record *last,
                    const struct mr_positions *positions)
{
    for (int i = 0; i < session->plan->npositions; i++) {
        bool found = false;
        for (int k = 0; k < positions->count; k++)
            found = found ||
                    (positions->items[k].bytes.size == 0 && positions->items[k].text[0] != '\0' &&
                     strcmp(positions->items[k].step, session->plan->positions[i].step) == 0);
        if (!found)
            return false;
    }
    return !session->spec->uses_last_run_timestamp || last->watermark != NULL;
}

/*
 * Is a table gone that remembered positions are about? Its rows are gone with it: going on from there leaves them out. (What a person sets
 * is a record without loads: then no target is behind it.)
 */
static bool is_any_gone(const struct mr_session *session, const struct target *targets, int count,
                        const struct mr_epoch_record *last)
{
    for (int i = 0; i < count; i++)
        if (targets[i].known.missing && is_behind(session, &targets[i], last))
            return true;
    return false;
}

/* Can the run go on from this? Positions that were never stored cannot be guessed. */
static enum mr_status check_positions(struct mr_session *session, const struct mr_recovered *known,
                                      bool gone, const struct mr_epoch_record *last,
                                      struct mr_error *err)
{
    struct mr_positions positions;
    if ((known->positions.size > 0 && !gone) ||
        (session->plan->npositions == 0 && !session->spec->uses_last_run_timestamp))
        return MR_OK;
    MR_TRY(mr_positions_decode(last->positions, &session->arena, &positions, err));
    if (!gone && was_set(session, last, &positions))
        return MR_OK;
    mr_error_set(err, MR_SINK, MR_CLASS_CONFIG, "%s: --adopt cannot know where to go on",
                 gone ? "the target is not there any more"
                      : "the target does not keep the positions of incremental steps");
    mr_error_hint(err, "set them with millrace watermark set, or use --fresh");
    return MR_SINK;
}

static enum mr_status check_agreement(const struct target *targets, int count,
                                      const struct target *with, struct mr_error *err)
{
    for (int i = 0; i < count; i++) {
        const struct mr_recovered *known = &targets[i].known;
        bool same =
            known->epoch == with->known.epoch && known->load == targets[i].node->sink_sequence;
        if (targets[i].node->sink_info.skip || same)
            continue;
        mr_error_set(
            err, MR_SINK, MR_CLASS_CONFIG,
            "this target knows epoch %lld%s and that of %s epoch %lld: --adopt has no place "
            "to go on from that is right for both",
            (long long)known->epoch,
            known->epoch == with->known.epoch ? " of another load of the pipeline" : "",
            with->node->step->label, (long long)with->known.epoch);
        mr_error_hint(err, "restore the state, or use --fresh to load everything again");
        return add_step(&targets[i], MR_SINK, err);
    }
    return MR_OK;
}

/* Takes what a target knows as our own record. A number that was used already is not used again: names derive from it. */
static enum mr_status adopt(struct mr_session *session, const struct mr_recovered *known,
                            struct mr_epoch_record *last, struct mr_error *err)
{
    struct mr_arena *arena = &session->arena;
    struct mr_positions positions;
    struct mr_slice from = known->positions.size > 0
                               ? (struct mr_slice){known->positions.data, known->positions.size}
                               : last->positions; /* a person's */
    char *bytes = mr_arena_strndup(arena, from.data, from.size);
    if (bytes == NULL)
        return mr_error_nomem(err);
    struct mr_slice slice = {bytes, from.size};
    MR_TRY(mr_positions_decode(slice, arena, &positions, err));
    *last =
        (struct mr_epoch_record){.phase = MR_EPOCH_COMMITTED,
                                 .lane = last->lane,
                                 .epoch = known->epoch > last->epoch ? known->epoch : last->epoch,
                                 .run_id = "",
                                 .fingerprint = "",
                                 .watermark = mr_positions_watermark(&positions),
                                 .positions = slice};
    return MR_OK;
}

/* The commit that the other state began is ended one way or the other. */
static enum mr_status settle(const struct target *target, enum mr_lost_state how,
                             struct mr_error *err)
{
    const struct mr_plan_node *node = target->node;
    const struct mr_recovered *known = &target->known;
    struct mr_slice token = {known->unfinished.data, known->unfinished.size};
    struct mr_epoch_lent lent;
    struct mr_runtime *runtime = mr_epoch_runtime(&lent, node->runtime);
    if (token.size > 0 && how == MR_LOST_ADOPT)
        MR_TRY(add_step(target, node->sink->commit(node->sink_options, runtime, token, err), err));
    if (token.size > 0 && how == MR_LOST_FRESH)
        MR_TRY(add_step(target, node->sink->abort(node->sink_options, runtime, token, err), err));
    return MR_OK;
}

/* What other states of this pipeline left staged: of the one that the target names, and of any where the target can tell. */
static enum mr_status discard_left(const struct mr_session *session, const struct target *target,
                                   struct mr_error *err)
{
    const struct mr_plan_node *node = target->node;
    struct mr_slice none = {NULL, 0};
    struct mr_epoch_lent lent;
    struct mr_runtime *runtime = mr_epoch_runtime(&lent, node->runtime);
    if (is_foreign(session, &target->known)) {
        runtime->state_uuid = target->known.state_uuid;
        MR_TRY(add_step(target, node->sink->abort(node->sink_options, runtime, none, err), err));
    }
    runtime->state_uuid = NULL;
    return add_step(target, node->sink->abort(node->sink_options, runtime, none, err), err);
}

static enum mr_status adopt_all(struct mr_session *session, const struct target *targets, int count,
                                struct mr_epoch_record *last, struct mr_error *err)
{
    const struct target *from = latest(targets, count);
    bool gone = is_any_gone(session, targets, count, last);
    MR_TRY(add_step(from, check_positions(session, &from->known, gone, last, err), err));
    MR_TRY(check_agreement(targets, count, from, err));
    for (int i = 0; i < count; i++)
        MR_TRY(settle(&targets[i], MR_LOST_ADOPT, err));
    return add_step(from, adopt(session, &from->known, last, err), err);
}

static enum mr_status begin_anew(const struct target *targets, int count,
                                 struct mr_epoch_record *last, struct mr_error *err)
{
    for (int i = 0; i < count; i++) {
        MR_TRY(settle(&targets[i], MR_LOST_FRESH, err));
        if (targets[i].known.epoch > last->epoch)
            last->epoch = targets[i].known.epoch;
    }
    return MR_OK;
}

/* ---- */

static enum mr_status decide(struct mr_session *session, const struct target *targets, int count,
                             enum mr_lost_state how, struct mr_epoch_record *last, bool *changed,
                             struct mr_error *err)
{
    for (int i = 0; i < count; i++) {
        if (!is_lost(session, &targets[i], last, how) && !is_behind(session, &targets[i], last))
            continue;
        *changed = true;
        if (how == MR_LOST_STOP)
            return add_step(&targets[i], lost(session, &targets[i], last, err), err);
    }
    if (*changed && how == MR_LOST_ADOPT)
        MR_TRY(adopt_all(session, targets, count, last, err));
    if (*changed && how == MR_LOST_FRESH)
        MR_TRY(begin_anew(targets, count, last, err));
    for (int i = 0; i < count && how != MR_LOST_STOP; i++)
        MR_TRY(discard_left(session, &targets[i], err));
    return MR_OK;
}

enum mr_status mr_epoch_ask_targets(struct mr_session *session, struct mr_lease *lease,
                                    enum mr_lost_state how, struct mr_epoch_record *last,
                                    bool *changed, struct mr_error *err)
{
    const struct mr_plan *plan = session->plan;
    struct target *targets =
        mr_arena_calloc(&session->arena, (size_t)plan->nsinks + 1, sizeof *targets);
    bool *absent = mr_arena_calloc(&session->arena, (size_t)plan->nsinks + 1, sizeof *absent);
    enum mr_status status = MR_OK;
    *changed = false;
    if (targets == NULL || absent == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < plan->nsinks; i++) {
        targets[i].node = &plan->nodes[plan->sinks[i]];
        targets[i].known.load = targets[i].node->sink_sequence;
        mr_bytes_init(&targets[i].known.positions, (size_t)1 << 29);
        mr_bytes_init(&targets[i].known.unfinished, (size_t)1 << 30);
    }
    for (int i = 0; i < plan->nsinks && status == MR_OK; i++)
        status = ask(&targets[i], last->lane, err);
    for (int i = 0; i < plan->nsinks; i++)
        absent[i] = targets[i].known.missing;
    session->absent = absent;
    if (status == MR_OK)
        status = decide(session, targets, plan->nsinks, how, last, changed, err);
    for (int i = 0; i < plan->nsinks; i++) {
        mr_bytes_reset(&targets[i].known.positions);
        mr_bytes_reset(&targets[i].known.unfinished);
    }
    if (status != MR_OK || !*changed)
        return status;
    if (last->phase == MR_EPOCH_NONE)
        *last = (struct mr_epoch_record){.phase = MR_EPOCH_COMMITTED,
                                         .lane = last->lane,
                                         .epoch = last->epoch,
                                         .run_id = "",
                                         .fingerprint = ""};
    struct mr_note_change kept =
        how == MR_LOST_ADOPT ? mr_kept_miss(last->epoch) : mr_kept_forget(last->epoch);
    return mr_state_store_epoch_and(lease, last, &kept, 1, err);
}

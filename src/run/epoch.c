/*
 * epoch.c - two-phase commit over all sinks of a run.
 *
 * The record in the state store is the point of no return. Tokens go into it as the sinks made them; a later process needs only
 * the record, the pipeline file (for credentials) and the same state directory. A cancel that arrives between PREPARED and
 * COMMITTED waits: finishing takes moments, and leaving would only make the next start do the same. When the moments become seconds
 * (a server that hangs) the run ends all the same, and the next start finishes.
 */
#include "run/epoch.h"

#include "base/failpoint.h"
#include "run/kept.h"
#include "run/ledger.h"

#include <stdio.h>

struct mr_runtime *mr_epoch_runtime(struct mr_epoch_lent *out, const struct mr_runtime *from)
{
    out->runtime = *from;
    out->waiter = mr_waiter_plain();
    out->runtime.waiter = from->patient ? from->patient : &out->waiter;
    return &out->runtime;
}

static enum mr_status prepare_sink(const struct mr_plan_node *node,
                                   const struct mr_exec_result *result,
                                   const struct mr_epoch_record *record, struct mr_bytes *token,
                                   struct mr_error *err)
{
    struct mr_epoch_lent lent;
    struct mr_runtime *runtime = mr_epoch_runtime(&lent, node->runtime);
    struct mr_epoch identity = {.lane = record->lane,
                                .epoch = record->epoch,
                                .positions = record->positions};
    int sequence = node->sink_sequence;
    return node->sink->prepare(node->sink_state, runtime, &identity, result->sinks[sequence].items,
                               result->sinks[sequence].count, token, err);
}

static enum mr_status add_step(const struct mr_step_spec *step, enum mr_status status,
                               struct mr_error *err)
{
    if (status != MR_OK && err && !err->where[0])
        mr_error_where(err, "%s", step->label);
    return mr_error_of_sink(status, err);
}

/* Did the sink do nothing, for a reason that will not go away? */
static bool is_refusal(const struct mr_sink *sink, const struct mr_error *err)
{
    if (!err || err->cls == MR_CLASS_UNKNOWN || err->cls == MR_CLASS_FATAL ||
        err->cls == MR_CLASS_SUPERSEDED)
        return false;
    return err->cls == MR_CLASS_REFUSED || (sink->flags & MR_SINK_ATOMIC);
}

static const char *label_of(const struct mr_session *session, const struct mr_epoch_token *token)
{
    const struct mr_spec *spec = session->spec;
    bool there = token->step < spec->nsteps && spec->steps[token->step].method_name &&
                 strcmp(spec->steps[token->step].method_name, token->method) == 0;
    return there ? spec->steps[token->step].label : token->method;
}

/* Loads before the one that failed have committed: they cannot be taken back, and there is no other way than on. */
static void tell_partial(const struct mr_session *session, const struct mr_epoch_record *record,
                         int failed, struct mr_error *err)
{
    char names[200] = "";
    size_t size = 0;
    if (!err || failed == 0)
        return;
    for (int i = 0; i < failed && size < sizeof names; i++)
        size += (size_t)snprintf(names + size, sizeof names - size, "%s%s", i ? ", " : "",
                                 label_of(session, &record->tokens[i]));
    mr_error_prefix(err, "epoch %lld is committed by %s and not by %s", (long long)record->epoch,
                    names, label_of(session, &record->tokens[failed]));
    mr_error_hint(err,
                  "the next start commits the rest and reads nothing; if that can never be, "
                  "--fresh gives the rest up: what %s loaded stays, and is loaded again unless "
                  "you remove it",
                  names);
}

/*
 * The sinks in the order of their commits: those whose staged rows die with the process (one transaction) first. In a fresh process they are
 * committed or have nothing; either way the others, whose rows are there, can follow.
 */
static const struct mr_plan_node *sink_at(const struct mr_plan *plan, int place)
{
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < plan->nsinks; i++) {
            const struct mr_plan_node *node = &plan->nodes[plan->sinks[i]];
            if ((node->sink_info.transaction == NULL) == (pass == 1) && place-- == 0)
                return node;
        }
    }
    return NULL;
}

/* *refused: nothing of the epoch is in any target, and nothing may come in any more. */
static enum mr_status commit_tokens(struct mr_session *session, struct mr_lease *lease,
                                    const struct mr_epoch_record *record, bool *refused,
                                    struct mr_error *err)
{
    const struct mr_plan *plan = session->plan;
    int next = 0;
    *refused = false;
    for (int i = 0; i < plan->nsinks; i++) {
        const struct mr_plan_node *node = sink_at(plan, i);
        struct mr_epoch_lent lent;
        if (node->sink_info.skip)
            continue;
        struct mr_runtime *runtime = mr_epoch_runtime(&lent, node->runtime);
        MR_TRY(MR_FAILPOINT("epoch.before_commit", err));
        MR_TRY(mr_lease_check(lease, err));
        enum mr_status status =
            node->sink->commit(node->sink_options, runtime, record->tokens[next].token, err);
        if (status != MR_OK) {
            /* A target that somebody else has loaded: because he took this run for dead? */
            MR_TRY(mr_lease_check(lease, NULL) == MR_OK ? MR_OK : mr_lease_check(lease, err));
            *refused = next == 0 && is_refusal(node->sink, err);
            status = add_step(node->step, status, err);
            tell_partial(session, record, next, err);
            return status;
        }
        next++;
        MR_TRY(MR_FAILPOINT("epoch.after_commit", err));
    }
    return MR_OK;
}

static void acknowledge(const struct mr_plan *plan)
{
    for (int i = 0; i < plan->nnodes; i++) {
        const struct mr_plan_node *node = &plan->nodes[i];
        if (node->kind == MR_PLAN_SOURCE && node->source->ack)
            node->source->ack(node->source_state);
    }
}

/*
 * Layout of targets, with the epoch behind us: a cancel is heard here, and a stream that is to drain leaves it to a later epoch. In front of the
 * COMMITTED record it would keep the epoch from being recorded for as long as it takes, with cancels waiting.
 */
static void tidy(struct mr_session *session, const struct mr_epoch_record *record)
{
    const struct mr_plan *plan = session->plan;
    int next = 0;
    for (int i = 0; i < plan->nsinks && !atomic_load(&session->drain.set); i++) {
        const struct mr_plan_node *node = sink_at(plan, i);
        struct mr_error err = {0};
        if (node->sink_info.skip)
            continue;
        struct mr_slice token = record->tokens[next++].token;
        struct mr_runtime runtime = *node->runtime;
        runtime.waiter = mr_engine_waiter(session->engine);
        if (!node->sink->tidy || mr_engine_cancelled(session->engine) ||
            node->sink->tidy(node->sink_options, &runtime, token, &err) == MR_OK)
            continue;
        mr_logger_printf(&session->logger, MR_LOG_WARN, "run",
                         "%s: the rows are committed, but the layout of the target was not "
                         "changed: %s",
                         node->step->label, err.message);
    }
}

struct mr_epoch_token mr_epoch_target(const struct mr_plan_node *node)
{
    const struct mr_step_spec *step = node->extract ? node->extract : node->step;
    return (struct mr_epoch_token){
        .step = step->index,
        .method = node->extract ? node->sink->name : step->method_name,
        .location = node->sink_info.location,
    };
}

/*
 * The sink that understands a token, and the options of its step if the present file still has it: of dead letters in a topic those of the extract
 * whose connection they have. Files of side outputs are written by the files sink; its tokens need no options.
 */
static enum mr_status find_sink(struct mr_session *session, const struct mr_epoch_token *token,
                                const struct mr_sink **sink, const struct mr_options **options,
                                struct mr_error *err)
{
    const struct mr_spec *spec = session->spec;
    const struct mr_registry *registry = session->runtime.registry;
    const struct mr_method *method = mr_registry_method(registry, token->method);
    *options = NULL;
    if (method && method->sink && token->step < spec->nsteps) {
        const struct mr_step_spec *step = &spec->steps[token->step];
        if (step->method == method)
            *options = step->options;
        else
            MR_TRY(mr_plan_extract_sink(step, method->sink, &session->arena, options, err));
    }
    if (method && !method->sink)
        method = mr_registry_method(registry, "toFile");
    if (!method || !method->sink)
        return mr_error_set(err, MR_CONFIG, MR_CLASS_FATAL,
                            "an interrupted run left a prepared commit of %s, which this version "
                            "does not know",
                            token->method);
    *sink = method->sink;
    return MR_OK;
}

/* All of them, whatever becomes of one: what a target that does not answer has staged waits for the next run's sweep. */
static void abandon(struct mr_session *session, const struct mr_epoch_record *record)
{
    for (int i = 0; i < record->ntokens; i++) {
        const struct mr_sink *sink = NULL;
        const struct mr_options *options = NULL;
        struct mr_epoch_lent lent;
        struct mr_error left = {0};
        struct mr_runtime *runtime = mr_epoch_runtime(&lent, &session->runtime);
        enum mr_status status = find_sink(session, &record->tokens[i], &sink, &options, &left);
        if (status == MR_OK)
            status = sink->abort(options, runtime, record->tokens[i].token, &left);
        if (status != MR_OK)
            mr_logger_printf(&session->logger, MR_LOG_WARN, "run",
                             "what the withdrawn commit of %s had staged is left for the next "
                             "run: %s",
                             label_of(session, &record->tokens[i]), left.message);
    }
}

/*
 * The first sink refused (a concurrent commit came first; a crash emptied what was staged), or somebody gives up: the record is that of the
 * epoch before under this number, which names of files were made of; its notes go with that write, then what is staged. Without this the next start would try the same
 * commit for ever; so it would with the staged rows gone and the record still there, hence this order. What a kill between the
 * two leaves is discarded like all that dead runs staged. `record` becomes `before`, under its own number.
 */
static enum mr_status withdraw(struct mr_session *session, struct mr_state *state,
                               struct mr_lease *lease, struct mr_epoch_record *record,
                               const struct mr_epoch_record *before, struct mr_error *err)
{
    struct mr_epoch_record after = {
        .phase = MR_EPOCH_COMMITTED,
        .lane = record->lane,
        .epoch = record->epoch,
        .run_id = "",
        .maker = record->maker,
        .fingerprint = "",
        .watermark = before->watermark,
        .positions = before->positions,
    };
    struct mr_note_change changes[2] = {mr_ledger_withdraw(record->epoch)};
    MR_TRY(mr_kept_withdraw(state, session->spec->state_key, record->epoch, before->epoch,
                            &changes[1], err));
    MR_TRY(mr_state_store_epoch_and(lease, &after, changes, 2, err));
    MR_TRY(MR_FAILPOINT("epoch.withdrawn", err));
    abandon(session, record);
    *record = after;
    return MR_OK;
}

enum mr_status mr_epoch_commit(struct mr_session *session, struct mr_state *state,
                               struct mr_lease *lease, const struct mr_exec_result *result,
                               int64_t epoch, const char *watermark, struct mr_error *err)
{
    const struct mr_plan *plan = session->plan;
    struct mr_bytes *tokens = mr_calloc((size_t)plan->nsinks + 1, sizeof *tokens);
    struct mr_epoch_token *entries = mr_calloc((size_t)plan->nsinks + 1, sizeof *entries);
    enum mr_status status = MR_OK;
    bool refused = false;
    struct mr_positions ends;
    struct mr_bytes positions;
    mr_bytes_init(&positions, (size_t)1 << 29);
    MR_TRY_OUT(mr_session_positions(session, &ends, err));
    mr_positions_encode(ends.items, ends.count, watermark, &positions);
    struct mr_epoch_record before;
    struct mr_epoch_record record = {
        .phase = MR_EPOCH_PREPARED,
        .stream = session->spec->mode == MR_MODE_STREAMING,
        .lane = 0,
        .epoch = epoch,
        .run_id = session->run_id,
        .maker = session->run_id,
        .fingerprint = mr_arena_printf(&session->arena, "%s:%s", plan->fingerprint,
                                       session->spec->parameters_hash),
        .watermark = watermark,
        .positions = {positions.data, positions.size},
        .tokens = entries,
    };
    MR_TRY_OUT(mr_bytes_status(&positions, err));
    if (!tokens || !entries || !record.fingerprint) {
        status = mr_error_nomem(err);
        goto out;
    }
    for (int i = 0; i < plan->nsinks; i++) {
        const struct mr_plan_node *node = sink_at(plan, i);
        mr_bytes_init(&tokens[i], (size_t)1 << 29);
        if (node->sink_info.skip)
            continue;
        MR_TRY_OUT(add_step(node->step, prepare_sink(node, result, &record, &tokens[i], err), err));
        MR_TRY_OUT(mr_bytes_status(&tokens[i], err));
        struct mr_epoch_token *entry = &entries[record.ntokens++];
        *entry = mr_epoch_target(node);
        entry->token = (struct mr_slice){tokens[i].data, tokens[i].size};
    }
    MR_TRY_OUT(
        mr_state_load_epoch(state, session->spec->state_key, 0, &session->arena, &before, err));
    MR_TRY_OUT(mr_ledger_record(session, state, lease, result, epoch, err));
    if (!record.stream)
        MR_TRY_OUT(mr_kept_pass_over(state, lease, session->spec->state_key, epoch, err));
    MR_TRY_OUT(mr_state_store_epoch(lease, &record, err));
    status = commit_tokens(session, lease, &record, &refused, err);
    if (refused && withdraw(session, state, lease, &record, &before, NULL) == MR_OK)
        mr_logger_printf(&session->logger, MR_LOG_WARN, "run",
                         "the commit of epoch %lld is withdrawn: nothing of it is in any target",
                         (long long)epoch);
    MR_TRY_OUT(status);
    record.phase = MR_EPOCH_COMMITTED;
    MR_TRY_OUT(mr_state_store_epoch(lease, &record, err));
    mr_ledger_settle(lease, epoch, NULL); /* what stays is never read again */
    acknowledge(plan);
    tidy(session, &record);
out:
    for (int i = 0; tokens && i < plan->nsinks; i++)
        mr_bytes_reset(&tokens[i]);
    mr_bytes_reset(&positions);
    mr_free(tokens);
    mr_free(entries);
    return status;
}

/* *failed: the number of the one that fails. */
static enum mr_status finish_tokens(struct mr_session *session, struct mr_lease *lease,
                                    const struct mr_epoch_record *record, int *failed,
                                    struct mr_error *err)
{
    for (int i = 0; i < record->ntokens; i++) {
        const struct mr_sink *sink = NULL;
        const struct mr_options *options = NULL;
        struct mr_epoch_lent lent;
        struct mr_runtime *runtime = mr_epoch_runtime(&lent, &session->runtime);
        *failed = i;
        MR_TRY(find_sink(session, &record->tokens[i], &sink, &options, err));
        MR_TRY(mr_lease_check(lease, err));
        MR_TRY(mr_error_of_sink(sink->commit(options, runtime, record->tokens[i].token, err), err));
    }
    *failed = -1;
    return MR_OK;
}

/*
 * Sinks commit in order: where the first proves that it has nothing of the epoch, none has. Another class than "refused" proves
 * nothing here: the process that prepared the epoch may have committed it and died before it could say so. Where a later one refuses,
 * those before it have committed, and the error says so.
 */
enum mr_status mr_epoch_finish(struct mr_session *session, struct mr_state *state,
                               struct mr_lease *lease, struct mr_epoch_record *record,
                               const char **withdrawn, struct mr_error *err)
{
    struct mr_error failure = {0};
    struct mr_epoch_record before;
    int failed = -1;
    *withdrawn = NULL;
    MR_TRY(mr_session_fetch_credentials(session, NULL, err));
    enum mr_status status = finish_tokens(session, lease, record, &failed, &failure);
    if (status == MR_OK) {
        record->phase = MR_EPOCH_COMMITTED;
        return mr_state_store_epoch(lease, record, err);
    }
    tell_partial(session, record, failed, &failure);
    if (err)
        *err = failure;
    if (failed != 0 || failure.cls != MR_CLASS_REFUSED)
        return status;
    const char *reason = mr_arena_strdup(&session->arena, failure.message);
    if (!reason)
        return mr_error_nomem(err);
    const char *run_id = record->run_id;
    MR_TRY(mr_state_load_epoch_before(state, session->spec->state_key, record->lane,
                                      &session->arena, &before, err));
    MR_TRY(withdraw(session, state, lease, record, &before, err));
    mr_logger_printf(&session->logger, MR_LOG_WARN, "run",
                     "the commit of the interrupted run %s is withdrawn, nothing of it is in any "
                     "target: %s; its rows are read again",
                     run_id, reason);
    *withdrawn = reason;
    return MR_OK;
}

enum mr_status mr_epoch_give_up(struct mr_session *session, struct mr_state *state,
                                struct mr_lease *lease, struct mr_epoch_record *record,
                                struct mr_error *err)
{
    struct mr_epoch_record before;
    MR_TRY(mr_state_load_epoch_before(state, session->spec->state_key, record->lane,
                                      &session->arena, &before, err));
    return withdraw(session, state, lease, record, &before, err);
}

enum mr_status mr_epoch_discard(struct mr_session *session, struct mr_error *err)
{
    const struct mr_plan *plan = session->plan;
    struct mr_slice none = {NULL, 0};
    enum mr_status first = MR_OK;
    for (int i = 0; plan && i < plan->nsinks; i++) { /* all, whatever becomes of one */
        const struct mr_plan_node *node = &plan->nodes[plan->sinks[i]];
        struct mr_epoch_lent lent;
        struct mr_error failure = {0};
        struct mr_runtime *runtime = mr_epoch_runtime(&lent, node->runtime);
        enum mr_status status = node->sink->abort(node->sink_options, runtime, none, &failure);
        if (status == MR_OK || first != MR_OK)
            continue;
        first = add_step(node->step, status, &failure);
        if (err)
            *err = failure;
    }
    return first;
}

/*
 * sink_commit.c - from a token to a version of the table; and what the table itself knows.
 *
 * The table's own transactions (txn) are the memory of what was committed: appId names this state, the
 * sink and the lane, version is the epoch. So a commit that is repeated, by a fresh process too, finds
 * that it is done. A second txn beside it has the same name behind "millrace-run:" and names the run by its
 * version (a hash): of two copies of a state, which count the same epochs, the one that comes second must not
 * take the other's for its own. A field of commitInfo would be gone with the log entry; a txn is kept in
 * checkpoints, by every writer. A state directory that was lost comes back with another UUID and so with another
 * appId: its rows are never taken for work that is done, and recover says whose the last epoch is.
 *
 * Order: publish the data files (under names that nobody else uses), sync, then the log entry. A run
 * that dies in between leaves files that no version names, for VACUUM or for the same commit again.
 *
 * Overwrites decide at this moment which files go, so a lost race only means deciding again.
 */
#include "connect/delta/sink_private.h"

#include "base/failpoint.h"
#include "base/map.h"
#include "base/time.h"
#include "base/tz.h"
#include "connect/delta/conflict.h"
#include "connect/delta/log_write.h"
#include "connect/delta/private.h"
#include "connect/delta/value.h"
#include "ext/registry.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_DECISIONS 1000
#define RUN_PREFIX    "millrace-run"

const char *delta_sink_app_id(const struct mr_runtime *runtime, int sequence, int lane,
                              struct mr_arena *arena)
{
    const char *uuid = runtime->state_uuid ? runtime->state_uuid : runtime->run_id;
    const char *key = runtime->state_key ? runtime->state_key : "";
    if (sequence < 0)
        return mr_arena_printf(arena, "millrace:%s:%s:", key, uuid ? uuid : "");
    return mr_arena_printf(arena, "millrace:%s:%s:%d:%d", key, uuid ? uuid : "", sequence, lane);
}

struct commit {
    struct mr_runtime *runtime;
    struct delta_table table;
    struct mr_arena arena;
    struct delta_token token;
    const char *run_app_id;
    struct delta_actions definition; /* protocol and metadata to be committed */
    struct delta_file *adds;
    int nadds;
};

/* ---- reading the token ---- */

static enum mr_status open_token(struct commit *commit, const struct mr_options *options,
                                 struct mr_slice data, struct mr_error *err)
{
    struct mr_location location;
    struct delta_token *token = &commit->token;
    MR_TRY(delta_token_read(data, &commit->arena, token, err));
    /* "millrace:.." -> "millrace-run:.." */
    commit->run_app_id = mr_arena_printf(&commit->arena, RUN_PREFIX "%s",
                                         token->app_id + strcspn(token->app_id, ":"));
    if (!commit->run_app_id)
        return mr_error_nomem(err);
    MR_TRY(mr_locate_text(token->url, options, commit->runtime, &commit->arena, &location, err));
    location.text = token->text;
    return delta_table_open(&location, options, commit->runtime, &commit->table, err);
}

static enum mr_status read_definition(struct commit *commit, struct mr_error *err)
{
    struct mr_slice text = mr_slice_of(commit->token.definition);
    MR_TRY(delta_actions_parse(&commit->table, "the record of this commit", text, 0, &commit->arena,
                               &commit->definition, err));
    return commit->definition.metadata
               ? delta_schema_read(&commit->arena, commit->definition.metadata, err)
               : MR_OK;
}

/* All files of all tasks; each ticket is given to `each` (may be NULL). */
static enum mr_status each_file(struct commit *commit,
                                enum mr_status (*each)(struct commit *commit,
                                                       struct mr_slice ticket,
                                                       struct mr_error *err),
                                struct mr_error *err)
{
    commit->nadds = 0;
    for (int i = 0; i < commit->token.nwritten; i++) {
        struct delta_written written;
        MR_TRY(delta_written_read(commit->token.written[i], &commit->arena, &written, err));
        struct delta_file *adds =
            mr_arena_calloc(&commit->arena, (size_t)commit->nadds + (size_t)written.count + 1,
                            sizeof *adds);
        if (!adds)
            return mr_error_nomem(err);
        if (commit->nadds)
            memcpy(adds, commit->adds, (size_t)commit->nadds * sizeof *adds);
        if (written.count)
            memcpy(adds + commit->nadds, written.files, (size_t)written.count * sizeof *adds);
        commit->adds = adds;
        commit->nadds += written.count;
        for (int k = 0; each && k < written.count; k++)
            MR_TRY(each(commit, written.tickets[k], err));
    }
    return each && commit->nadds ? commit->table.store->sync(commit->table.handle, err) : MR_OK;
}

static enum mr_status publish(struct commit *commit, struct mr_slice ticket, struct mr_error *err)
{
    return commit->table.store->publish(commit->table.handle, ticket, err);
}

static enum mr_status discard(struct commit *commit, struct mr_slice ticket, struct mr_error *err)
{
    return commit->table.store->discard(commit->table.handle, ticket, err);
}

/* ---- which files go ---- */

/* One of the ways to write a value: writers differ in how they write instants and numbers. */
static void put_value(struct mr_bytes *out, const struct delta_metadata *metadata, int partition,
                      const char *text, const struct mr_tz *tz)
{
    int column = mr_schema_find(metadata->schema, metadata->partition_columns[partition]);
    struct mr_value value;
    bool known =
        column >= 0 && delta_value_parse(metadata->schema->fields[column].type, text, tz, &value);
    /* The empty string is NULL, as in every reader. */
    if (!known || !delta_put_partition_value(out, &value))
        mr_bytes_text(out, text ? text : "");
}

static void put_tuple(struct mr_bytes *out, const struct delta_metadata *metadata,
                      const struct delta_file *file, const struct mr_tz *tz)
{
    mr_bytes_clear(out);
    for (int i = 0; i < metadata->npartition_columns; i++) {
        struct mr_bytes value;
        mr_bytes_init(&value, (size_t)1 << 26);
        put_value(&value, metadata, i, file->partition_values ? file->partition_values[i] : NULL,
                  tz);
        mr_bytes_lenpref(out, value.data ? value.data : "", value.size);
        if (value.status != MR_OK)
            out->status = value.status;
        mr_bytes_reset(&value);
    }
}

static enum mr_status remove_partitions(struct commit *commit,
                                        const struct delta_snapshot *snapshot,
                                        struct delta_file *removes, int *count,
                                        struct mr_error *err)
{
    struct mr_map written;
    struct mr_bytes tuple;
    struct mr_tz *tz = NULL;
    const char *zone = commit->runtime->time_zone ? commit->runtime->time_zone : "UTC";
    enum mr_status status = mr_tz_new(zone, &tz, err);
    mr_map_init(&written, false);
    mr_bytes_init(&tuple, (size_t)1 << 26);
    for (int i = 0; i < commit->nadds && status == MR_OK; i++) {
        put_tuple(&tuple, &snapshot->metadata, &commit->adds[i], tz);
        status = mr_map_put(&written, (struct mr_slice){tuple.data ? tuple.data : "", tuple.size},
                            &written, err);
    }
    for (int i = 0; i < snapshot->nfiles && status == MR_OK; i++) {
        put_tuple(&tuple, &snapshot->metadata, &snapshot->files[i], tz);
        if (mr_map_get(&written, (struct mr_slice){tuple.data ? tuple.data : "", tuple.size}))
            removes[(*count)++] = snapshot->files[i];
    }
    if (status == MR_OK)
        status = mr_bytes_status(&tuple, err);
    mr_bytes_reset(&tuple);
    mr_map_reset(&written);
    mr_tz_free(tz);
    return status;
}

static enum mr_status remove_where(struct commit *commit, const struct delta_snapshot *snapshot,
                                   struct delta_file *removes, int *count, struct mr_error *err)
{
    const struct mr_conditions *conditions = commit->runtime->registry->conditions;
    struct mr_condition *condition;
    const struct mr_predicate *const *predicates;
    int npredicates, *numbers;
    bool exact;
    struct mr_tz *tz = NULL;
    MR_TRY(conditions->compile(commit->token.where, snapshot->metadata.schema, commit->runtime,
                               &commit->arena, &condition, err));
    conditions->predicates(condition, &predicates, &npredicates, &exact);
    const char *zone = commit->runtime->time_zone ? commit->runtime->time_zone : "UTC";
    enum mr_status status = mr_tz_new(zone, &tz, err);
    if (status == MR_OK)
        status = delta_prune(snapshot, predicates, npredicates, tz, &commit->arena, &numbers, count,
                             NULL, err);
    mr_tz_free(tz);
    conditions->free(condition);
    for (int i = 0; status == MR_OK && i < *count; i++)
        removes[i] = snapshot->files[numbers[i]];
    return status;
}

static enum mr_status remove_listed(struct commit *commit, const struct delta_snapshot *snapshot,
                                    struct delta_file *removes, int *count, struct mr_error *err)
{
    struct mr_map listed;
    enum mr_status status = MR_OK;
    mr_map_init(&listed, false);
    for (int i = 0; i < commit->token.nremoves && status == MR_OK; i++)
        status = mr_map_put(&listed, mr_slice_of(commit->token.removes[i]), &listed, err);
    for (int i = 0; i < snapshot->nfiles && status == MR_OK; i++) {
        if (mr_map_get(&listed, mr_slice_of(snapshot->files[i].raw_path)))
            removes[(*count)++] = snapshot->files[i];
    }
    mr_map_reset(&listed);
    if (status == MR_OK && *count != commit->token.nremoves)
        status = mr_error_set(err, MR_SINK, MR_CLASS_FATAL,
                              "%s: version %" PRId64 " does not have the files that were rewritten",
                              commit->table.text, snapshot->version);
    return status;
}

static enum mr_status choose_removes(struct commit *commit, const struct delta_snapshot *snapshot,
                                     struct delta_change *change, struct mr_error *err)
{
    struct delta_file *removes =
        mr_arena_calloc(&commit->arena, (size_t)snapshot->nfiles + 1, sizeof *removes);
    int count = 0;
    if (!removes)
        return mr_error_nomem(err);
    change->removes = removes;
    change->reads = DELTA_READS_TABLE;
    switch (commit->token.removal) {
    case DELTA_REMOVE_NOTHING:
        change->reads = DELTA_READS_NOTHING;
        break;
    case DELTA_REMOVE_ALL:
        count = snapshot->nfiles;
        if (count)
            memcpy(removes, snapshot->files, (size_t)count * sizeof *removes);
        break;
    case DELTA_REMOVE_PARTITIONS:
        MR_TRY(remove_partitions(commit, snapshot, removes, &count, err));
        break;
    case DELTA_REMOVE_WHERE:
        MR_TRY(remove_where(commit, snapshot, removes, &count, err));
        break;
    case DELTA_REMOVE_LISTED:
        MR_TRY(remove_listed(commit, snapshot, removes, &count, err));
        break;
    }
    change->nremoves = count;
    return MR_OK;
}

/* ---- the commit ---- */

/* Class refused: our version is taken, so that the commit can never be. */
static enum mr_status changed_meanwhile(const struct commit *commit, enum mr_error_class cls,
                                        const char *what, struct mr_error *err)
{
    mr_error_set(err, MR_SINK, cls, "%s %s while this run was writing", commit->table.text, what);
    if (err)
        mr_error_hint(err, "nothing was committed; run again, on what the table is now");
    return MR_SINK;
}

/* Is the table still the one that the rows were written for? */
static enum mr_status check_basis(const struct commit *commit,
                                  const struct delta_snapshot *snapshot,
                                  struct delta_change *change, struct mr_error *err)
{
    if (commit->token.read_version >= 0)
        return delta_metadata_hash(&snapshot->metadata) == commit->token.basis
                   ? MR_OK
                   : changed_meanwhile(commit, MR_CLASS_REFUSED, "changed its schema or properties",
                                       err);
    if (commit->token.mode != DELTA_MODE_APPEND ||
        !delta_metadata_same(&snapshot->metadata, change->metadata))
        return changed_meanwhile(commit, MR_CLASS_REFUSED, "was created by somebody else", err);
    change->metadata = NULL;
    change->protocol = NULL;
    return MR_OK;
}

static enum delta_kind kind_of(enum delta_removal removal)
{
    if (removal == DELTA_REMOVE_NOTHING)
        return DELTA_KIND_APPEND;
    return removal == DELTA_REMOVE_LISTED ? DELTA_KIND_REWRITE : DELTA_KIND_REPLACE;
}

static enum mr_status latest_snapshot(struct commit *commit, const struct delta_snapshot **out,
                                      struct mr_error *err)
{
    const struct delta_asof asof = {.version = -1, .timestamp_micros = INT64_MIN};
    return delta_snapshot_read(&commit->table, &asof, &commit->arena, out, err);
}

/* The version that what was rewritten was rewritten from. */
static enum mr_status read_again(struct commit *commit, const struct delta_snapshot **snapshot,
                                 struct mr_error *err)
{
    const struct delta_asof asof = {.version = commit->token.read_version,
                                    .timestamp_micros = INT64_MIN};
    if (commit->token.removal != DELTA_REMOVE_LISTED ||
        (*snapshot)->version == commit->token.read_version)
        return MR_OK;
    return delta_snapshot_read(&commit->table, &asof, &commit->arena, snapshot, err);
}

/* The transaction of the token, and the one that says whose run it is: false = that is not known. */
static bool put_txns(const struct commit *commit, struct delta_txn *txn, struct delta_txn *run)
{
    const struct delta_token *token = &commit->token;
    int64_t now = mr_clock_wall_micros() / 1000;
    *txn = (struct delta_txn){token->app_id, token->epoch, now};
    *run = (struct delta_txn){commit->run_app_id, (int64_t)token->run, now};
    return token->run > 0 && token->run <= INT64_MAX;
}

static enum mr_status commit_once(struct commit *commit, const struct delta_snapshot *snapshot,
                                  struct delta_outcome *outcome, struct mr_error *err)
{
    const struct delta_token *token = &commit->token;
    struct delta_txn txn, run;
    bool has_run = put_txns(commit, &txn, &run);
    struct delta_change change = {
        .operation = token->operation,
        .parameters = token->parameters,
        .metrics = token->metrics,
        .protocol = commit->definition.protocol,
        .metadata = commit->definition.metadata,
        .nadds = commit->nadds,
        .adds = commit->adds,
        .data_change = true,
        .txn = &txn,
        .run = has_run ? &run : NULL,
        .only_create = token->mode != DELTA_MODE_APPEND,
    };
    if (snapshot) {
        MR_TRY(read_again(commit, &snapshot, err));
        MR_TRY(check_basis(commit, snapshot, &change, err));
        MR_TRY(delta_check_writable(snapshot, kind_of(token->removal), commit->table.text, err));
        MR_TRY(choose_removes(commit, snapshot, &change, err));
    } else if (token->read_version >= 0) {
        return changed_meanwhile(commit, MR_CLASS_TRANSIENT, "was removed", err);
    }
    return delta_commit_write(&commit->table, snapshot, &change, outcome, err);
}

/* What the table has of our epoch. */
static enum delta_txn_known known_epoch(const struct delta_snapshot *snapshot,
                                        const struct commit *commit, int64_t *version)
{
    struct delta_txn txn, run;
    bool has_run = put_txns(commit, &txn, &run);
    return delta_txn_known(snapshot ? snapshot->txns : NULL, snapshot ? snapshot->ntxns : 0, &txn,
                           has_run ? &run : NULL, version);
}

/* May the same token be tried again on a newer version? Only if nothing in it depends on the old one. */
static bool can_decide_again(const struct delta_token *token, const struct mr_error *err)
{
    return (err->cls == MR_CLASS_TRANSIENT || err->cls == MR_CLASS_REFUSED) &&
           token->read_version >= 0 &&
           (token->removal == DELTA_REMOVE_ALL || token->removal == DELTA_REMOVE_PARTITIONS ||
            token->removal == DELTA_REMOVE_WHERE);
}

/* Again and again, until it is committed or cannot be. *snapshot is the newest version known. */
static enum mr_status decide(struct commit *commit, const struct delta_snapshot *snapshot,
                             struct mr_error *err)
{
    struct delta_outcome outcome;
    for (int i = 0; i < MAX_DECISIONS; i++) {
        int64_t seen = snapshot ? snapshot->version : -1;
        enum mr_status status = commit_once(commit, snapshot, &outcome, err);
        if (status == MR_OK && !outcome.already)
            mr_event(commit->runtime, MR_LOG_INFO, "%s: version %" PRId64, commit->table.text,
                     outcome.version);
        if (status == MR_OK || !can_decide_again(&commit->token, err))
            return status;
        struct mr_error other = {0};
        if (latest_snapshot(commit, &snapshot, &other) != MR_OK || !snapshot ||
            snapshot->version == seen)
            return status;
    }
    return err->status;
}

/*
 * A failure that is not "unknown" promises that nothing was committed (MR_SINK_ATOMIC): the table is
 * asked. What it cannot be asked is unknown.
 */
static enum mr_status verify_failure(struct commit *commit, struct mr_error *err)
{
    const struct delta_snapshot *snapshot;
    struct mr_error other = {0};
    if (err->cls == MR_CLASS_FATAL || err->cls == MR_CLASS_UNKNOWN)
        return err->status;
    if (latest_snapshot(commit, &snapshot, &other) != MR_OK) {
        err->cls = MR_CLASS_UNKNOWN;
        return err->status;
    }
    int64_t version;
    enum delta_txn_known known = known_epoch(snapshot, commit, &version);
    if (known == DELTA_TXN_OTHERS || known == DELTA_TXN_SUPERSEDED)
        return delta_txn_overtaken(known, commit->table.text,
                                   &(struct delta_txn){.version = commit->token.epoch}, version,
                                   err);
    return known == DELTA_TXN_DONE ? MR_OK : err->status;
}

static enum mr_status run(struct commit *commit, struct mr_error *err)
{
    const struct delta_snapshot *snapshot;
    int64_t version;
    MR_TRY(latest_snapshot(commit, &snapshot, err));
    enum delta_txn_known known = known_epoch(snapshot, commit, &version);
    if (known == DELTA_TXN_DONE)
        return MR_OK;
    if (known != DELTA_TXN_BEFORE)
        return delta_txn_overtaken(known, commit->table.text,
                                   &(struct delta_txn){.version = commit->token.epoch}, version,
                                   err);
    MR_TRY(read_definition(commit, err));
    MR_TRY(MR_FAILPOINT("delta.publish.before", err));
    MR_TRY(each_file(commit, publish, err));
    MR_TRY(MR_FAILPOINT("delta.publish.after", err));
    return decide(commit, snapshot, err);
}

enum mr_status delta_sink_commit(const struct mr_options *options, struct mr_runtime *runtime,
                                 struct mr_slice token, struct mr_error *err)
{
    struct commit commit = {.runtime = runtime};
    struct mr_error failure = {0};
    mr_arena_init(&commit.arena, runtime->memory);
    enum mr_status status = open_token(&commit, options, token, &failure);
    if (status == MR_OK) {
        status = run(&commit, &failure);
        if (status != MR_OK)
            status = verify_failure(&commit, &failure);
    }
    if (status != MR_OK && err)
        *err = failure;
    delta_table_close(&commit.table);
    mr_arena_reset(&commit.arena);
    return status;
}

/* ---- tidy ---- */

enum mr_status delta_sink_tidy(const struct mr_options *options, struct mr_runtime *runtime,
                               struct mr_slice token, struct mr_error *err)
{
    struct commit commit = {.runtime = runtime};
    if (!delta_sink_has_layout(options))
        return MR_OK;
    mr_arena_init(&commit.arena, runtime->memory);
    enum mr_status status = open_token(&commit, options, token, err);
    if (status == MR_OK)
        status = each_file(&commit, NULL, err);
    if (status == MR_OK)
        status = delta_sink_lay_out(options, &commit.table, commit.adds, commit.nadds, err);
    delta_table_close(&commit.table);
    mr_arena_reset(&commit.arena);
    return status;
}

/* ---- abort ---- */

/*
 * What a token brought: its staged files, and those that were published already, unless the table
 * took them in. If it cannot be asked they stay, for VACUUM.
 */
static enum mr_status abort_token(struct commit *commit, struct mr_error *err)
{
    const struct delta_snapshot *snapshot;
    int64_t version;
    MR_TRY(each_file(commit, discard, err));
    if (latest_snapshot(commit, &snapshot, NULL) != MR_OK)
        return MR_OK;
    enum delta_txn_known known = known_epoch(snapshot, commit, &version);
    if (known == DELTA_TXN_DONE || known == DELTA_TXN_SUPERSEDED)
        return MR_OK; /* theirs or not, a version may name the files */
    for (int i = 0; i < commit->nadds; i++)
        MR_TRY(commit->table.store->remove(commit->table.handle, commit->adds[i].path, err));
    return commit->nadds ? commit->table.store->sync(commit->table.handle, err) : MR_OK;
}

static enum mr_status abort_dead_run(const struct mr_options *options, struct commit *commit,
                                     struct mr_error *err)
{
    struct mr_location location;
    char tag[17];
    MR_TRY(mr_locate(options, commit->runtime, &commit->arena, &location, err));
    if (!location.store)
        return MR_OK;
    delta_sink_tag(commit->runtime, tag);
    MR_TRY(delta_table_open(&location, options, commit->runtime, &commit->table, err));
    MR_TRY(commit->table.store->discard_tag(commit->table.handle, "", tag, NULL, err));
    return commit->table.store->sync(commit->table.handle, err);
}

enum mr_status delta_sink_abort(const struct mr_options *options, struct mr_runtime *runtime,
                                struct mr_slice token, struct mr_error *err)
{
    struct commit commit = {.runtime = runtime};
    mr_arena_init(&commit.arena, runtime->memory);
    enum mr_status status = MR_OK;
    if (token.size == 0) {
        status = abort_dead_run(options, &commit, err);
    } else {
        status = open_token(&commit, options, token, err);
        if (status == MR_OK)
            status = abort_token(&commit, err);
    }
    delta_table_close(&commit.table);
    mr_arena_reset(&commit.arena);
    return status;
}

/* ---- recover ---- */

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The mark beside a transaction of ours. */
static uint64_t run_of(const struct delta_snapshot *snapshot, const char *app_id)
{
    const char *rest = app_id + strcspn(app_id, ":");
    for (int i = 0; i < snapshot->ntxns; i++) {
        const char *other = snapshot->txns[i].app_id;
        if (starts_with(other, RUN_PREFIX) && strcmp(other + sizeof RUN_PREFIX - 1, rest) == 0)
            return (uint64_t)snapshot->txns[i].version;
    }
    return 0;
}

/*
 * Transactions of this lane under this state, and under others (a state that was lost, or a copy of ours): the later wins.
 * Those of the load that is asked for win over those of others, which count only when it is not known.
 */
static void look_for_epochs(const struct delta_snapshot *snapshot, const char *uuid,
                            const char *key, int lane, struct mr_recovered *out)
{
    size_t size = strlen(key);
    int asked = out->load;
    for (int i = 0; i < snapshot->ntxns; i++) {
        const struct delta_txn *txn = &snapshot->txns[i];
        const char *last = strrchr(txn->app_id, ':');
        const char *of = txn->app_id + size;
        if (!starts_with(txn->app_id, key) || strcspn(of, ":") != 32 || !last ||
            atoi(last + 1) != lane)
            continue;
        int load = atoi(of + 33);
        bool first = out->epoch == 0 || (load == asked && out->load != asked);
        if (!first && ((load != asked && out->load == asked) || txn->version < out->epoch ||
                       (txn->version == out->epoch && !starts_with(of, uuid))))
            continue;
        out->epoch = txn->version;
        out->load = load;
        out->run = run_of(snapshot, txn->app_id);
        snprintf(out->state_uuid, sizeof out->state_uuid, "%.32s", of);
    }
}

enum mr_status delta_sink_recover(const struct mr_options *options, struct mr_runtime *runtime,
                                  int lane, struct mr_recovered *out, struct mr_error *err)
{
    struct mr_arena arena;
    struct mr_location location;
    struct delta_table table;
    const struct delta_snapshot *snapshot = NULL;
    out->epoch = 0;
    mr_arena_init(&arena, runtime->memory);
    enum mr_status status =
        delta_sink_open(options, runtime, &arena, &location, &table, &snapshot, err);
    delta_table_close(&table);
    const char *key =
        mr_arena_printf(&arena, "millrace:%s:", runtime->state_key ? runtime->state_key : "");
    if (status == MR_OK && !key)
        status = mr_error_nomem(err);
    out->missing = status == MR_OK && !snapshot;
    if (status == MR_OK && snapshot)
        look_for_epochs(snapshot, runtime->state_uuid ? runtime->state_uuid : "", key, lane, out);
    out->adds = strcmp(mr_options_text(options, "mode"), "append") == 0;
    mr_arena_reset(&arena);
    return status;
}

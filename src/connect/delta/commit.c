/*
 * commit.c - the commit loop.
 *
 * The whole commit is one text, tried as version latest + 1 by put_if_absent. When that name is taken,
 * the versions in between are read and judged (conflict.c), and the next attempt goes straight behind
 * the newest of them: trying every number in turn would never catch up with faster writers. Attempts
 * are apart by a random time that grows, so that eight writers do not meet again and again.
 *
 * commitInfo.txnId is new for every attempt, so that a store whose answer was lost can tell our text
 * from any other by reading it back (ext/store.h). When the store says "unknown", so do we.
 */
#include "connect/delta/commit.h"

#include "base/failpoint.h"
#include "base/hash.h"
#include "base/time.h"
#include "config.h"
#include "connect/delta/conflict.h"
#include "connect/delta/log_write.h"
#include "connect/delta/maintain_log.h"
#include "connect/delta/private.h"
#include "ext/sink.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

#define MAX_ATTEMPTS    10000
#define MAX_COMMIT_SIZE ((size_t)1 << 31)
#define FIRST_PAUSE     INT64_C(2000) /* microseconds */
#define LONGEST_PAUSE   INT64_C(500000)

struct commit {
    const struct delta_table *table;
    const struct delta_snapshot *snapshot; /* NULL while the table is being created */
    struct delta_change change;
    struct mr_arena arena;
    int64_t latest;           /* newest version known, -1 = none */
    int64_t latest_timestamp; /* of it, milliseconds */
    int attempts;
    uint64_t random;
    struct mr_bytes text;
};

/* ---- the text ---- */

static uint64_t next_random(struct commit *commit)
{
    uint64_t fresh;
    if (getrandom(&fresh, sizeof fresh, GRND_NONBLOCK) == sizeof fresh)
        commit->random ^= fresh;
    commit->random = mr_hash_combine(commit->random, (uint64_t)mr_clock_monotonic_micros());
    return commit->random;
}

static void make_uuid(struct commit *commit, char out[40])
{
    uint64_t high = next_random(commit), low = next_random(commit);
    snprintf(out, 40, "%08x-%04x-4%03x-%04x-%012" PRIx64, (unsigned)(high >> 32),
             (unsigned)(high >> 16) & 0xFFFF, (unsigned)high & 0xFFF,
             0x8000U | ((unsigned)(low >> 48) & 0x3FFF), low & UINT64_C(0xFFFFFFFFFFFF));
}

static const struct delta_metadata *metadata_of(const struct commit *commit)
{
    return commit->change.metadata ? commit->change.metadata : &commit->snapshot->metadata;
}

static bool has_in_commit_timestamps(const struct commit *commit)
{
    const char *text = delta_property(metadata_of(commit), "delta.enableInCommitTimestamps");
    return text && strcasecmp(text, "true") == 0;
}

static void put_info(struct commit *commit, int64_t now)
{
    struct mr_bytes *out = &commit->text;
    const struct delta_change *change = &commit->change;
    char uuid[40];
    make_uuid(commit, uuid);
    mr_bytes_text(out, "{\"commitInfo\":{");
    if (has_in_commit_timestamps(commit))
        mr_bytes_printf(out, "\"inCommitTimestamp\":%" PRId64 ",",
                        now > commit->latest_timestamp ? now : commit->latest_timestamp + 1);
    mr_bytes_printf(out, "\"timestamp\":%" PRId64 ",\"operation\":", now);
    delta_put_string(out, change->operation);
    mr_bytes_printf(out, ",\"operationParameters\":%s",
                    change->parameters ? change->parameters : "{}");
    if (commit->snapshot)
        mr_bytes_printf(out, ",\"readVersion\":%" PRId64, commit->snapshot->version);
    mr_bytes_printf(out, ",\"isolationLevel\":\"%s\",\"isBlindAppend\":%s",
                    change->data_change ? "Serializable" : "SnapshotIsolation",
                    change->reads == DELTA_READS_NOTHING && change->nremoves == 0 &&
                            change->data_change
                        ? "true"
                        : "false");
    if (change->metrics)
        mr_bytes_printf(out, ",\"operationMetrics\":%s", change->metrics);
    mr_bytes_printf(out, ",\"engineInfo\":\"Millrace/" PACKAGE_VERSION "\",\"txnId\":\"%s\"}}\n",
                    uuid);
}

static enum mr_status make_text(struct commit *commit, struct mr_error *err)
{
    const struct delta_change *change = &commit->change;
    struct mr_bytes *out = &commit->text;
    int64_t now = mr_clock_wall_micros() / 1000;
    mr_bytes_clear(out);
    put_info(commit, now);
    if (change->protocol)
        delta_put_protocol(out, change->protocol);
    if (change->metadata)
        delta_put_metadata(out, change->metadata);
    if (change->txn)
        delta_put_txn(out, change->txn);
    if (change->run)
        delta_put_txn(out, change->run);
    for (int i = 0; i < change->nremoves; i++)
        delta_put_remove(out, &change->removes[i], &commit->snapshot->metadata, change->data_change,
                         now);
    for (int i = 0; i < change->nadds; i++)
        delta_put_add(out, &change->adds[i], metadata_of(commit), change->data_change);
    return mr_bytes_status(out, err);
}

/* ---- a lost race ---- */

enum delta_txn_known delta_txn_known(const struct delta_txn *txns, int ntxns,
                                     const struct delta_txn *txn, const struct delta_txn *run,
                                     int64_t *version)
{
    int64_t mark = -1;
    *version = -1;
    for (int i = 0; txn && i < ntxns; i++) {
        if (strcmp(txns[i].app_id, txn->app_id) == 0)
            *version = txns[i].version;
        else if (run && strcmp(txns[i].app_id, run->app_id) == 0)
            mark = txns[i].version;
    }
    if (!txn || *version < txn->version)
        return DELTA_TXN_BEFORE;
    if (*version > txn->version)
        return DELTA_TXN_SUPERSEDED;
    return mark >= 0 && run && mark != run->version ? DELTA_TXN_OTHERS : DELTA_TXN_DONE;
}

enum mr_status delta_txn_overtaken(enum delta_txn_known known, const char *table,
                                   const struct delta_txn *txn, int64_t version,
                                   struct mr_error *err)
{
    return mr_sink_overtaken(table, txn->version, version,
                             known == DELTA_TXN_OTHERS ? MR_CLASS_REFUSED : MR_CLASS_SUPERSEDED,
                             err);
}

static enum mr_status check_known(const struct commit *commit,
                                  const struct delta_snapshot *snapshot, bool *already,
                                  struct mr_error *err)
{
    int64_t version;
    const struct delta_change *change = &commit->change;
    enum delta_txn_known known =
        delta_txn_known(snapshot ? snapshot->txns : NULL, snapshot ? snapshot->ntxns : 0,
                        change->txn, change->run, &version);
    *already = known == DELTA_TXN_DONE;
    return known == DELTA_TXN_BEFORE || *already
               ? MR_OK
               : delta_txn_overtaken(known, commit->table->text, change->txn, version, err);
}

/* Somebody else created the table: ours becomes an append to it, if it is one and fits. */
static enum mr_status join_created(struct commit *commit, bool *already, struct mr_error *err)
{
    struct delta_change *change = &commit->change;
    const struct delta_asof latest = {.version = -1, .timestamp_micros = INT64_MIN};
    const struct delta_snapshot *snapshot;
    MR_TRY(delta_snapshot_read(commit->table, &latest, &commit->arena, &snapshot, err));
    if (!snapshot)
        return mr_error_set(err, MR_SINK, MR_CLASS_TRANSIENT,
                            "%s: version 0 exists and cannot be read", commit->table->text);
    commit->latest = snapshot->version;
    commit->latest_timestamp = snapshot->timestamp_millis;
    MR_TRY(check_known(commit, snapshot, already, err));
    if (*already)
        return MR_OK;
    /* An epoch could only be version 0, and never will be. */
    enum mr_error_class cls = change->txn ? MR_CLASS_REFUSED : MR_CLASS_TRANSIENT;
    if (change->only_create || change->reads != DELTA_READS_NOTHING)
        return mr_error_set(err, MR_SINK, cls,
                            "%s did not exist when the run began, and was created meanwhile",
                            commit->table->text);
    if (!delta_metadata_same(&snapshot->metadata, change->metadata))
        return mr_error_set(err, MR_SINK, cls,
                            "%s was created meanwhile with another schema, partitioning or other "
                            "properties",
                            commit->table->text);
    MR_TRY(delta_check_writable(snapshot, DELTA_KIND_APPEND, commit->table->text, err));
    commit->snapshot = snapshot;
    change->protocol = NULL;
    change->metadata = NULL;
    return MR_OK;
}

static enum mr_status judge_winners(struct commit *commit, bool *already, struct mr_error *err)
{
    const struct delta_commit *winners;
    struct mr_arena arena;
    int count = 0;
    if (!commit->snapshot)
        return join_created(commit, already, err);
    mr_arena_init(&arena, commit->table->runtime->memory);
    enum mr_status status =
        delta_commits_read(commit->table, &commit->snapshot->metadata, commit->latest + 1, -1,
                           &arena, &winners, &count, err);
    for (int i = 0; i < count && !*already && status == MR_OK; i++) {
        status = delta_conflict_check(commit->table, commit->snapshot, &commit->change, &winners[i],
                                      &arena, already, err);
        commit->latest = winners[i].version;
        commit->latest_timestamp = winners[i].timestamp_millis;
    }
    mr_arena_reset(&arena);
    return status;
}

static enum mr_status pause_before(struct commit *commit, struct mr_error *err)
{
    int doublings = commit->attempts < 9 ? commit->attempts - 1 : 8;
    int64_t longest = FIRST_PAUSE << doublings;
    longest = longest < LONGEST_PAUSE ? longest : LONGEST_PAUSE;
    int64_t pause = (int64_t)(next_random(commit) % (uint64_t)longest);
    bool timed_out;
    struct mr_error cause = {.cls = MR_CLASS_TRANSIENT};
    snprintf(cause.message, sizeof cause.message, "another commit took version %" PRId64,
             commit->latest);
    mr_retry_note(commit->table->runtime, "commit", commit->attempts, pause, &cause);
    return mr_wait(commit->table->runtime->waiter, -1, 0, mr_clock_monotonic_micros() + pause,
                   MR_WAIT_RETRY, &timed_out, err);
}

/* ---- the loop ---- */

static enum mr_status attempt(struct commit *commit, bool *created, struct mr_error *err)
{
    char path[64];
    const struct delta_table *table = commit->table;
    MR_TRY(make_text(commit, err));
    snprintf(path, sizeof path, DELTA_LOG_DIRECTORY "%020" PRId64 ".json", commit->latest + 1);
    MR_TRY(MR_FAILPOINT("delta.commit.before", err));
    MR_TRY(table->store->put_if_absent(table->handle, path,
                                       (struct mr_slice){commit->text.data, commit->text.size},
                                       created, err));
    return MR_FAILPOINT("delta.commit.after", err);
}

static enum mr_status run(struct commit *commit, struct delta_outcome *out, struct mr_error *err)
{
    bool created = false;
    for (;;) {
        out->attempts = ++commit->attempts;
        out->uncertain = true;
        MR_TRY(attempt(commit, &created, err));
        out->uncertain = false;
        if (created) {
            out->version = commit->latest + 1;
            return MR_OK;
        }
        MR_TRY(judge_winners(commit, &out->already, err));
        out->version = commit->latest;
        if (out->already)
            return MR_OK;
        if (commit->attempts >= MAX_ATTEMPTS)
            return mr_error_set(err, MR_SINK, MR_CLASS_TRANSIENT,
                                "%s: %d attempts to commit were all overtaken by other writers",
                                commit->table->text, commit->attempts);
        MR_TRY(pause_before(commit, err));
    }
}

enum mr_status delta_commit_write(const struct delta_table *table,
                                  const struct delta_snapshot *snapshot,
                                  const struct delta_change *change, struct delta_outcome *out,
                                  struct mr_error *err)
{
    *out = (struct delta_outcome){0};
    if (!snapshot && (!change->protocol || !change->metadata))
        return mr_error_internal(err, "a new Delta table without protocol or metadata");
    struct commit commit = {
        .table = table,
        .snapshot = snapshot,
        .change = *change,
        .latest = snapshot ? snapshot->version : -1,
        .latest_timestamp = snapshot ? snapshot->timestamp_millis : 0,
        .random = (uint64_t)mr_clock_wall_micros(),
    };
    MR_TRY(check_known(&commit, snapshot, &out->already, err));
    out->version = commit.latest;
    if (out->already)
        return MR_OK;
    mr_arena_init(&commit.arena, table->runtime->memory);
    mr_bytes_init(&commit.text, MAX_COMMIT_SIZE);
    enum mr_status status = run(&commit, out, err);
    if (status == MR_OK && !out->already)
        delta_log_maintain(table, metadata_of(&commit), out->version);
    mr_bytes_reset(&commit.text);
    mr_arena_reset(&commit.arena);
    return status;
}

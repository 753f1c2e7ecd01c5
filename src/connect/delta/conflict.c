/*
 * conflict.c - the rules by which a lost race is no lost work.
 *
 * In the order of Spark's ConflictChecker: protocol, metadata, transactions, files added, files
 * removed. Stricter than Spark in one place: metadata that changed is always a conflict unless it is
 * the same in all that a writer looks at, since files were written for the old one.
 *
 * Files that a winner added count against us where we should have read them. Under WriteSerializable
 * (the default here, as on Databricks) blind appends are excepted: our commit may as well have come
 * first. delta.isolationLevel = Serializable takes the exception away.
 */
#include "connect/delta/conflict.h"

#include "base/map.h"
#include "base/tz.h"
#include "enc/json_tree.h"

/* "WRITE" of {"operation":"WRITE",..}; "another commit" when it does not say. */
static const char *operation_of(const struct delta_commit *winner, struct mr_arena *arena,
                                bool *blind)
{
    const char *operation = "another commit";
    struct mr_json_tree tree;
    mr_json_tree_init(&tree);
    *blind = false;
    if (winner->info && mr_json_tree_parse(&tree, mr_slice_of(winner->info), 0) && tree.count > 0) {
        for (uint32_t at = 1; at < tree.nodes[0].next; at = tree.nodes[at].next) {
            struct mr_slice key = mr_json_raw_key(&tree, at), text = mr_json_raw(&tree, at);
            if (mr_slice_equal(key, mr_slice_of("isBlindAppend")))
                *blind = tree.nodes[at].kind == MR_JSON_TRUE;
            else if (mr_slice_equal(key, mr_slice_of("operation")) &&
                     tree.nodes[at].kind == MR_JSON_STRING && text.size < 100)
                operation = mr_arena_strndup(arena, text.data, text.size);
        }
    }
    mr_json_tree_reset(&tree);
    return operation ? operation : "another commit";
}

struct check {
    const struct delta_table *table;
    const struct delta_snapshot *snapshot;
    const struct delta_change *change;
    const struct delta_commit *winner;
    const char *operation; /* of the winner */
    bool blind;
    struct mr_arena *arena;
};

static enum mr_status conflict(const struct check *check, const char *what, const char *detail,
                               struct mr_error *err)
{
    /* Of an epoch: nothing of it is there, and our version is taken, so that it never will be. */
    mr_error_set(err, MR_SINK, check->change->txn ? MR_CLASS_REFUSED : MR_CLASS_TRANSIENT,
                 "%s: our %s conflicts with version %lld (%s), which %s%s%s", check->table->text,
                 check->change->operation, (long long)check->winner->version, check->operation,
                 what, detail ? " " : "", detail ? detail : "");
    if (err)
        mr_error_hint(err, "nothing was committed; run again, on what the table is now");
    return MR_SINK;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool delta_metadata_same(const struct delta_metadata *a, const struct delta_metadata *b)
{
    if (!same_text(a->schema_json, b->schema_json) ||
        a->npartition_columns != b->npartition_columns || a->nconfiguration != b->nconfiguration)
        return false;
    for (int i = 0; i < a->npartition_columns; i++) {
        if (!same_text(a->partition_columns[i], b->partition_columns[i]))
            return false;
    }
    for (int i = 0; i < a->nconfiguration; i++) {
        if (!same_text(a->configuration[i].value, delta_property(b, a->configuration[i].name)))
            return false;
    }
    return true;
}

static bool same_list(const char *const *a, const char *const *b)
{
    int i = 0;
    for (; a && b && a[i] && b[i]; i++) {
        if (strcmp(a[i], b[i]) != 0)
            return false;
    }
    return (!a || !a[i]) && (!b || !b[i]);
}

static bool same_protocol(const struct delta_protocol *a, const struct delta_protocol *b)
{
    return a->reader == b->reader && a->writer == b->writer &&
           same_list(a->reader_features, b->reader_features) &&
           same_list(a->writer_features, b->writer_features);
}

static enum mr_status check_definition(const struct check *check, struct mr_error *err)
{
    const struct delta_commit *winner = check->winner;
    if (winner->protocol &&
        (check->change->protocol || !same_protocol(winner->protocol, &check->snapshot->protocol)))
        return conflict(check, "changed the table's protocol", NULL, err);
    if (winner->metadata && (check->change->metadata ||
                             !delta_metadata_same(winner->metadata, &check->snapshot->metadata)))
        return conflict(check, "changed the table's schema or properties", NULL, err);
    return MR_OK;
}

static enum mr_status check_txn(const struct check *check, bool *already, struct mr_error *err)
{
    const struct delta_txn *ours = check->change->txn;
    const struct delta_commit *winner = check->winner;
    int64_t version;
    enum delta_txn_known known =
        delta_txn_known(winner->txns, winner->ntxns, ours, check->change->run, &version);
    *already = known == DELTA_TXN_DONE;
    if (*already || (known == DELTA_TXN_BEFORE && version < 0))
        return MR_OK;
    if (known != DELTA_TXN_BEFORE)
        return delta_txn_overtaken(known, check->table->text, ours, version, err);
    return mr_error_set(err, MR_SINK, MR_CLASS_FATAL,
                        "%s: version %lld is of another running instance of this pipeline "
                        "(%s, epoch %lld; ours is %lld)",
                        check->table->text, (long long)winner->version, ours->app_id,
                        (long long)version, (long long)ours->version);
}

/* Does one of some files of the winner match what we read? */
static enum mr_status matches_where(const struct check *check, const struct delta_file *files,
                                    int nfiles, bool *match, struct mr_error *err)
{
    const char *zone = check->table->runtime->time_zone;
    struct delta_snapshot part = *check->snapshot;
    struct mr_tz *tz;
    int *left, count = 0;
    part.files = files;
    part.nfiles = nfiles;
    MR_TRY(mr_tz_new(zone ? zone : "UTC", &tz, err));
    enum mr_status status = delta_prune(&part, check->change->where, check->change->nwhere, tz,
                                        check->arena, &left, &count, NULL, err);
    mr_tz_free(tz);
    *match = count > 0;
    return status;
}

static enum mr_status check_reads(const struct check *check, const struct delta_file *file,
                                  struct mr_error *err)
{
    bool match = check->change->reads == DELTA_READS_TABLE;
    if (check->change->reads == DELTA_READS_WHERE)
        MR_TRY(matches_where(check, file, 1, &match, err));
    if (match && file->removed)
        return conflict(check, "removed a file that was read:", file->raw_path, err);
    if (match)
        return conflict(check, "added a file that should have been read:", file->raw_path, err);
    return MR_OK;
}

static bool is_serializable(const struct delta_snapshot *snapshot)
{
    const char *level = delta_property(&snapshot->metadata, "delta.isolationLevel");
    return level && strcasecmp(level, "Serializable") == 0;
}

static enum mr_status check_files(const struct check *check, struct mr_error *err)
{
    const struct delta_commit *winner = check->winner;
    const struct delta_change *change = check->change;
    bool adds_count = change->data_change && (!check->blind || is_serializable(check->snapshot));
    struct mr_map removed;
    mr_map_init(&removed, false);
    enum mr_status status = MR_OK;
    for (int i = 0; i < change->nremoves && status == MR_OK; i++)
        status = mr_map_put(&removed, mr_slice_of(change->removes[i].path), &removed, err);
    for (int i = 0; i < winner->nfiles && status == MR_OK; i++) {
        const struct delta_file *file = &winner->files[i];
        if (file->removed && mr_map_get(&removed, mr_slice_of(file->path)))
            status = conflict(check, "removed a file that we replace:", file->raw_path, err);
        else if (file->removed || (adds_count && file->data_change))
            status = check_reads(check, file, err);
    }
    mr_map_reset(&removed);
    return status;
}

enum mr_status delta_conflict_check(const struct delta_table *table,
                                    const struct delta_snapshot *snapshot,
                                    const struct delta_change *change,
                                    const struct delta_commit *winner, struct mr_arena *arena,
                                    bool *already, struct mr_error *err)
{
    struct check check = {
        .table = table, .snapshot = snapshot, .change = change, .winner = winner, .arena = arena};
    check.operation = operation_of(winner, arena, &check.blind);
    *already = false;
    MR_TRY(check_txn(&check, already, err));
    if (*already)
        return MR_OK;
    MR_TRY(check_definition(&check, err));
    return check_files(&check, err);
}

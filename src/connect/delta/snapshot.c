/*
 * snapshot.c - one version of a table: the newest complete checkpoint at or before it, and the
 * commits behind that, newest first.
 *
 * A checkpoint that is written in parts counts only with all of its parts. Log compactions stand
 * in for the commits that they cover. A commit that is missing is an error: rows would be missing
 * with it. Files come out ordered by time and path, whether a checkpoint was read or not, so that
 * the rows of a version have one order.
 */
#include "connect/delta/private.h"

#include <inttypes.h>
#include <stdlib.h>

/* Looks at the log again, at a gap. */
#define LISTINGS 3

struct segment {
    struct delta_log log;
    int64_t earliest; /* version that can be read at all */
    int64_t latest;
    int64_t target;
    bool compacted;                          /* it has compactions */
    const struct delta_log_file *checkpoint; /* its first file, or NULL */
    int ncheckpoint;
};

/* Files of one checkpoint that begins at `files[at]`: 0 when it is none or not complete. */
static int checkpoint_files(const struct delta_log *log, int at, struct mr_arena *arena,
                            const struct delta_log_file **files)
{
    const struct delta_log_file *first = &log->files[at];
    *files = first;
    if (first->kind == DELTA_LOG_CHECKPOINT || first->kind == DELTA_LOG_CHECKPOINT_V2 ||
        first->kind == DELTA_LOG_CHECKPOINT_JSON)
        return 1;
    if (first->kind != DELTA_LOG_CHECKPOINT_PART || first->part != 1)
        return 0;
    int found = 0;
    for (int i = at; i < log->count && log->files[i].version == first->version; i++)
        found +=
            log->files[i].kind == DELTA_LOG_CHECKPOINT_PART && log->files[i].parts == first->parts;
    if (found != first->parts) /* names are unique, so the count says it */
        return 0;
    struct delta_log_file *all = mr_arena_calloc(arena, (size_t)found, sizeof *all);
    if (!all)
        return -1;
    int n = 0;
    for (int i = at; n < found; i++) {
        if (log->files[i].kind == DELTA_LOG_CHECKPOINT_PART && log->files[i].parts == first->parts)
            all[n++] = log->files[i];
    }
    *files = all;
    return found;
}

/* Which versions there are, as the listing tells. */
static enum mr_status survey(struct segment *segment, struct mr_arena *arena, struct mr_error *err)
{
    segment->earliest = -1;
    segment->latest = -1;
    segment->compacted = false;
    for (int i = 0; i < segment->log.count; i++) {
        const struct delta_log_file *file = &segment->log.files[i];
        const struct delta_log_file *unused;
        segment->compacted = segment->compacted || file->kind == DELTA_LOG_COMPACTED;
        int parts = checkpoint_files(&segment->log, i, arena, &unused);
        if (parts < 0)
            return mr_error_nomem(err);
        bool start = parts > 0 || (file->kind == DELTA_LOG_COMMIT && file->version == 0);
        if (start && segment->earliest < 0)
            segment->earliest = file->version;
        if ((parts > 0 || file->kind == DELTA_LOG_COMMIT) && file->version > segment->latest)
            segment->latest = file->version;
    }
    return MR_OK;
}

static enum mr_status choose_checkpoint(struct segment *segment, struct mr_arena *arena,
                                        struct mr_error *err)
{
    segment->checkpoint = NULL;
    segment->ncheckpoint = 0;
    for (int i = segment->log.count; i-- > 0;) {
        if (segment->log.files[i].version > segment->target)
            continue;
        const struct delta_log_file *files;
        int count = checkpoint_files(&segment->log, i, arena, &files);
        if (count < 0)
            return mr_error_nomem(err);
        if (count > 0) {
            segment->checkpoint = files;
            segment->ncheckpoint = count;
            return MR_OK;
        }
    }
    return MR_OK;
}

static enum mr_status gap(const struct delta_table *table, int64_t version, struct mr_error *err)
{
    return mr_error_data(err, MR_SOURCE,
                         "%s: versions are not contiguous: version %" PRId64
                         " is missing in the log",
                         table->text, version);
}

static bool wants_latest(const struct delta_asof *asof)
{
    return !asof || (asof->version < 0 && asof->timestamp_micros == INT64_MIN);
}

/* The compaction that ends at `version` and reaches back furthest, not before `least`. */
static const struct delta_log_file *compaction(const struct segment *segment, int64_t least,
                                               int64_t version)
{
    const struct delta_log *log = &segment->log;
    if (!segment->compacted)
        return NULL;
    for (int i = 0; i < log->count; i++) {
        const struct delta_log_file *file = &log->files[i];
        if (file->kind == DELTA_LOG_COMPACTED && file->version >= least && file->to == version &&
            file->version < version)
            return file;
    }
    return NULL;
}

/* Lists the log and settles version and checkpoint. target -1: there is no log. */
static enum mr_status list_segment(const struct delta_table *table, const struct delta_asof *asof,
                                   struct mr_arena *arena, struct segment *segment,
                                   struct mr_error *err)
{
    int64_t hint = -1;
    if (wants_latest(asof))
        MR_TRY(delta_last_checkpoint(table, &hint, NULL, err));
    for (;;) {
        MR_TRY(delta_log_list(table, hint > 0 ? hint : 0, arena, &segment->log, err));
        MR_TRY(survey(segment, arena, err));
        segment->target = segment->latest;
        if (segment->latest >= 0 && !wants_latest(asof) && segment->earliest >= 0)
            MR_TRY(delta_asof_find(table, &segment->log, asof, segment->earliest, segment->latest,
                                   &segment->target, err));
        MR_TRY(choose_checkpoint(segment, arena, err));
        if (segment->checkpoint || hint <= 0)
            break;
        hint = -1; /* it led to no checkpoint: look at all */
    }
    if (segment->latest >= 0 && segment->earliest < 0)
        return mr_error_data(err, MR_SOURCE,
                             "%s: the log starts with neither version 0 nor a complete checkpoint",
                             table->text);
    return MR_OK;
}

/* The commit that is not there, -1 = none. */
static int64_t first_gap(const struct segment *segment)
{
    int64_t least = segment->checkpoint ? segment->checkpoint->version + 1 : 0;
    for (int64_t version = segment->target; version >= least;) {
        const struct delta_log_file *file = compaction(segment, least, version);
        if (!file && !delta_log_commit(&segment->log, version))
            return version;
        version = (file ? file->version : version) - 1;
    }
    return -1;
}

/*
 * A listing is not of one moment: two commits that come while it runs may show the later one only.
 * So a gap is believed when it is still there after looking again.
 */
static enum mr_status find_segment(const struct delta_table *table, const struct delta_asof *asof,
                                   struct mr_arena *arena, struct segment *segment,
                                   struct mr_error *err)
{
    for (int attempt = 0;; attempt++) {
        MR_TRY(list_segment(table, asof, arena, segment, err));
        int64_t missing = first_gap(segment);
        if (missing < 0)
            return MR_OK;
        if (attempt == LISTINGS)
            return gap(table, missing, err);
    }
}

static enum mr_status load_actions(const struct delta_table *table,
                                   const struct delta_log_file *file, struct mr_arena *arena,
                                   struct delta_actions *actions, struct mr_error *err)
{
    struct mr_arena text_arena;
    mr_arena_init(&text_arena, table->runtime->memory);
    struct mr_slice text;
    enum mr_status status = delta_load(table, file->path, file->size, &text_arena, &text, err);
    if (status == MR_OK)
        status = delta_actions_parse(table, file->path, text, file->version, arena, actions, err);
    mr_arena_reset(&text_arena);
    return status;
}

/* The commits behind the checkpoint, newest first; then the checkpoint. */
static enum mr_status replay_segment(const struct delta_table *table, const struct segment *segment,
                                     struct delta_replay *replay, int64_t *in_commit_millis,
                                     struct mr_error *err)
{
    int64_t least = segment->checkpoint ? segment->checkpoint->version + 1 : 0;
    *in_commit_millis = -1;
    for (int64_t version = segment->target; version >= least;) {
        const struct delta_log_file *file = compaction(segment, least, version);
        int64_t next = file ? file->version - 1 : version - 1;
        if (!file)
            file = delta_log_commit(&segment->log, version);
        struct delta_actions actions;
        MR_TRY(load_actions(table, file, replay->arena, &actions, err));
        MR_TRY(delta_replay_actions(replay, &actions, err));
        if (version == segment->target)
            *in_commit_millis = actions.in_commit_millis;
        version = next;
    }
    if (!segment->checkpoint)
        return MR_OK;
    return delta_checkpoint_read(table, segment->checkpoint, segment->ncheckpoint, replay, err);
}

static int by_time_and_path(const void *a, const void *b)
{
    const struct delta_file *left = a;
    const struct delta_file *right = b;
    if (left->modified_millis != right->modified_millis)
        return left->modified_millis < right->modified_millis ? -1 : 1;
    return strcmp(left->path, right->path);
}

static enum mr_status split_files(struct delta_replay *replay, struct delta_snapshot *snapshot,
                                  struct mr_error *err)
{
    struct mr_arena *arena = replay->arena;
    int live = 0;
    for (int64_t i = 0; i < replay->count; i++) {
        MR_TRY(delta_entry_resolve(replay->entries[i], &snapshot->metadata, arena, err));
        live += !replay->entries[i]->file.removed;
    }
    int gone = (int)replay->count - live;
    struct delta_file *files = mr_arena_calloc(arena, (size_t)live + 1, sizeof *files);
    struct delta_file *tombstones = mr_arena_calloc(arena, (size_t)gone + 1, sizeof *tombstones);
    if (!files || !tombstones)
        return mr_error_nomem(err);
    for (int64_t i = 0; i < replay->count; i++) {
        const struct delta_file *file = &replay->entries[i]->file;
        if (file->removed)
            tombstones[snapshot->ntombstones++] = *file;
        else
            files[snapshot->nfiles++] = *file;
    }
    if (live)
        qsort(files, (size_t)live, sizeof *files, by_time_and_path);
    if (gone)
        qsort(tombstones, (size_t)gone, sizeof *tombstones, by_time_and_path);
    snapshot->files = files;
    snapshot->tombstones = tombstones;
    return MR_OK;
}

static enum mr_status finish(const struct delta_table *table, struct delta_replay *replay,
                             struct delta_snapshot *snapshot, struct mr_error *err)
{
    if (!replay->protocol)
        return mr_error_data(err, MR_SOURCE, "%s: the log has no protocol action", table->text);
    MR_TRY(delta_check_readable(replay->protocol, table->text, err));
    if (!replay->metadata)
        return mr_error_data(err, MR_SOURCE, "%s: the log has no metaData action", table->text);
    snapshot->protocol = *replay->protocol;
    snapshot->metadata = *replay->metadata;
    enum mr_status status = delta_schema_read(replay->arena, &snapshot->metadata, err);
    if (status != MR_OK && err)
        mr_error_prefix(err, "%s", table->text);
    MR_TRY(status);
    int ndomains = 0;
    for (int i = 0; i < replay->ndomains; i++) {
        if (!replay->domains[i].removed)
            replay->domains[ndomains++] = replay->domains[i];
    }
    snapshot->ndomains = ndomains;
    snapshot->domains = replay->domains;
    snapshot->ntxns = replay->ntxns;
    snapshot->txns = replay->txns;
    return split_files(replay, snapshot, err);
}

enum mr_status delta_snapshot_read(const struct delta_table *table, const struct delta_asof *asof,
                                   struct mr_arena *arena, const struct delta_snapshot **out,
                                   struct mr_error *err)
{
    *out = NULL;
    struct segment segment = {0};
    MR_TRY(find_segment(table, asof, arena, &segment, err));
    if (segment.latest < 0)
        return MR_OK;
    struct delta_snapshot *snapshot = mr_arena_calloc(arena, 1, sizeof *snapshot);
    if (!snapshot)
        return mr_error_nomem(err);
    struct delta_replay replay;
    MR_TRY(delta_replay_init(&replay, arena, err));
    replay.tombstones = asof && asof->tombstones;
    int64_t millis;
    MR_TRY(replay_segment(table, &segment, &replay, &millis, err));
    const struct delta_log_file *commit = delta_log_commit(&segment.log, segment.target);
    int64_t micros = commit               ? commit->modified_micros
                     : segment.checkpoint ? segment.checkpoint->modified_micros
                                          : 0;
    snapshot->version = segment.target;
    snapshot->timestamp_millis = millis >= 0 ? millis : micros / 1000;
    snapshot->checkpoint_version = segment.checkpoint ? segment.checkpoint->version : -1;
    MR_TRY(finish(table, &replay, snapshot, err));
    *out = snapshot;
    return MR_OK;
}

/*
 * maintain_log.c - what keeps a log short: checkpoints, and the removal of what they made obsolete.
 *
 * Runs after a commit that exists already, so nothing here may fail it: a checkpoint that cannot be
 * written leaves a longer log, no more. Expired entries go only where a checkpoint that is expired too
 * stands behind them, so every version from that checkpoint on can still be read, and the commit of
 * the checkpoint itself stays.
 */
#include "connect/delta/maintain_log.h"

#include "base/text.h"
#include "base/time.h"
#include "connect/delta/private.h"

#include <inttypes.h>

#define DEFAULT_INTERVAL    10
#define MOST_INTERVAL       100
#define ACTIONS_PER_VERSION 1000
#define LOG_RETENTION       (30 * (MR_MICROS_PER_DAY / 1000))

int64_t delta_property_millis(const struct delta_metadata *metadata, const char *name,
                              int64_t fallback)
{
    const char *text = delta_property(metadata, name);
    int64_t micros;
    if (!text)
        return fallback;
    while (*text == ' ')
        text++;
    if (strncasecmp(text, "interval ", 9) == 0)
        text += 9;
    while (*text == ' ')
        text++;
    if (mr_duration_parse(text, 0, &micros) && micros >= 0)
        return micros / 1000;
    int64_t count;
    const char *unit = strchr(text, ' ');
    if (!unit || !mr_text_to_int64((struct mr_slice){text, (size_t)(unit - text)}, true, &count))
        return fallback;
    bool weeks = strncasecmp(unit + 1, "week", 4) == 0;
    return weeks && count >= 0 && count < 5000 ? count * 7 * (MR_MICROS_PER_DAY / 1000) : fallback;
}

/*
 * Every ten versions, or as the table says. A checkpoint is all of the table's files, and those that were removed in the last week: where it is large and the
 * table does not say, it is written less often, so that a stream with an epoch a second does not write the same hundred thousand actions every ten
 * seconds. A hundred commits more are quickly read.
 */
static bool is_due(const struct delta_table *table, const struct delta_metadata *metadata,
                   int64_t version)
{
    const char *text = delta_property(metadata, "delta.checkpointInterval");
    int64_t interval, last, actions;
    if (text && mr_text_to_int64(mr_slice_of(text), true, &interval) && interval > 0)
        return version % interval == 0;
    if (version % DEFAULT_INTERVAL != 0)
        return false;
    if (delta_last_checkpoint(table, &last, &actions, NULL) != MR_OK || last < 0 || last >= version)
        return true;
    interval = actions / ACTIONS_PER_VERSION;
    return version - last >= (interval < MOST_INTERVAL ? interval : MOST_INTERVAL);
}

/* ---- clean-up ---- */

struct expired {
    const struct delta_table *table;
    struct mr_arena *arena;
    int64_t before_micros;
    int64_t checkpoint; /* newest one that is expired, -1 = none */
    const char **paths;
    int count;
    int room;
};

/* Version of "_delta_log/<20 digits>.<rest>"; -1: not such a name. */
static int64_t version_of(const char *path, const char **rest)
{
    size_t prefix = sizeof DELTA_LOG_DIRECTORY - 1;
    int64_t version;
    if (strncmp(path, DELTA_LOG_DIRECTORY, prefix) != 0 || strlen(path) < prefix + 21 ||
        path[prefix + 20] != '.' ||
        !mr_text_to_int64((struct mr_slice){path + prefix, 20}, false, &version))
        return -1;
    *rest = path + prefix + 21;
    return version;
}

static enum mr_status note_checkpoint(void *context, const struct mr_store_entry *entry,
                                      struct mr_error *err)
{
    struct expired *expired = context;
    const char *rest;
    int64_t version = version_of(entry->path, &rest);
    (void)err;
    if (version > expired->checkpoint && strcmp(rest, "checkpoint.parquet") == 0 &&
        entry->modified_micros < expired->before_micros)
        expired->checkpoint = version;
    return MR_OK;
}

static enum mr_status note_expired(void *context, const struct mr_store_entry *entry,
                                   struct mr_error *err)
{
    struct expired *expired = context;
    const char *rest;
    int64_t version = version_of(entry->path, &rest);
    if (version < 0 || version >= expired->checkpoint ||
        entry->modified_micros >= expired->before_micros)
        return MR_OK;
    /* A compacted file covers later versions too, up to the second number in its name. */
    if (strcmp(rest, "json") != 0 && strcmp(rest, "crc") != 0 &&
        strncmp(rest, "checkpoint.", 11) != 0)
        return MR_OK;
    if (expired->count == expired->room) {
        int room = expired->room ? 2 * expired->room : 64;
        const char **more = mr_arena_alloc(expired->arena, (size_t)room * sizeof *more);
        if (!more)
            return mr_error_nomem(err);
        if (expired->count)
            memcpy(more, expired->paths, (size_t)expired->count * sizeof *more);
        expired->paths = more;
        expired->room = room;
    }
    const char *path = mr_arena_strdup(expired->arena, entry->path);
    if (!path)
        return mr_error_nomem(err);
    expired->paths[expired->count++] = path;
    return MR_OK;
}

static enum mr_status clean_up(const struct delta_table *table,
                               const struct delta_metadata *metadata, struct mr_arena *arena,
                               struct mr_error *err)
{
    const char *enabled = delta_property(metadata, "delta.enableExpiredLogCleanup");
    if (enabled && strcasecmp(enabled, "true") != 0)
        return MR_OK;
    int64_t retention =
        delta_property_millis(metadata, "delta.logRetentionDuration", LOG_RETENTION);
    struct expired expired = {.table = table, .arena = arena, .checkpoint = -1};
    expired.before_micros = mr_clock_wall_micros() - retention * 1000;
    MR_TRY(table->store->list(table->handle, "_delta_log", NULL, false, note_checkpoint, &expired,
                              err));
    if (expired.checkpoint < 0)
        return MR_OK;
    MR_TRY(
        table->store->list(table->handle, "_delta_log", NULL, false, note_expired, &expired, err));
    /* In order of versions: a stop in the middle leaves a log without gaps behind its start. */
    for (int i = 0; i < expired.count; i++)
        MR_TRY(table->store->remove(table->handle, expired.paths[i], err));
    return expired.count ? table->store->sync(table->handle, err) : MR_OK;
}

/* ---- after a commit ---- */

static enum mr_status maintain(const struct delta_table *table,
                               const struct delta_metadata *metadata, int64_t version,
                               struct mr_arena *arena, struct mr_error *err)
{
    const struct delta_asof asof = {.version = version,
                                    .timestamp_micros = INT64_MIN,
                                    .tombstones = true};
    const struct delta_snapshot *snapshot;
    MR_TRY(delta_snapshot_read(table, &asof, arena, &snapshot, err));
    if (!snapshot)
        return mr_error_internal(err, "the version just written is not there");
    MR_TRY(delta_checkpoint_write(table, snapshot, err));
    return clean_up(table, metadata, arena, err);
}

void delta_log_maintain(const struct delta_table *table, const struct delta_metadata *metadata,
                        int64_t version)
{
    if (version <= 0 || !is_due(table, metadata, version))
        return;
    struct mr_arena arena;
    struct mr_error err = {0};
    mr_arena_init(&arena, table->runtime->memory);
    if (maintain(table, metadata, version, &arena, &err) != MR_OK)
        mr_event(table->runtime, MR_LOG_WARN,
                 "%s: version %lld is committed, but its checkpoint could not be written: %s",
                 table->text, (long long)version, err.message);
    mr_arena_reset(&arena);
}

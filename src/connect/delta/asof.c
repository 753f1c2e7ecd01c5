/*
 * asof.c - which version a point in time means: the last commit at or before it.
 *
 * A commit's time is its inCommitTimestamp where the table has them, else the time of the log file.
 * Clocks of file systems go back, so such times are made to rise: a commit that is not later than
 * the one before counts as one millisecond after it (Spark's rule). A time before the first commit
 * that can be read, or after the last, is an error that names what there is.
 */
#include "connect/delta/private.h"

#include "base/time.h"

#include <inttypes.h>

/* commitInfo is the first line where there are in-commit timestamps. */
#define FIRST_LINE_MAX (1 << 20)

struct point {
    int64_t version;
    int64_t micros;
};

/* -1: the commit has none. */
static enum mr_status in_commit_time(const struct delta_table *table,
                                     const struct delta_log_file *commit, int64_t *millis,
                                     struct mr_error *err)
{
    struct mr_arena arena;
    mr_arena_init(&arena, table->runtime->memory);
    size_t size = commit->size < FIRST_LINE_MAX ? (size_t)commit->size : FIRST_LINE_MAX;
    size_t got = 0;
    char *data = mr_arena_alloc(&arena, size + 1);
    enum mr_status status = data ? MR_OK : mr_error_nomem(err);
    *millis = -1;
    if (status == MR_OK)
        status = table->store->read(table->handle, commit->path, 0, data, size, &got, err);
    const char *end = status == MR_OK ? memchr(data, '\n', got) : NULL;
    if (status == MR_OK && (end || got == (size_t)commit->size)) {
        struct delta_actions actions;
        struct mr_slice line = {data, end ? (size_t)(end - data) : got};
        status =
            delta_actions_parse(table, commit->path, line, commit->version, &arena, &actions, err);
        if (status == MR_OK)
            *millis = actions.in_commit_millis;
    }
    mr_arena_reset(&arena);
    return status;
}

static void text_of(int64_t micros, char out[MR_TIME_TEXT_MAX])
{
    mr_timestamp_format(micros, ' ', out);
}

static enum mr_status outside(const struct delta_table *table, int64_t micros, struct point first,
                              struct point last, struct mr_error *err)
{
    char asked[MR_TIME_TEXT_MAX];
    char from[MR_TIME_TEXT_MAX];
    char to[MR_TIME_TEXT_MAX];
    text_of(micros, asked);
    text_of(first.micros, from);
    text_of(last.micros, to);
    return mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                        "%s: %s UTC is %s: there are version %" PRId64 " of %s to version %" PRId64
                        " of %s",
                        table->text, asked,
                        micros < first.micros ? "before the first version that can be read"
                                              : "after the last version",
                        first.version, from, last.version, to);
}

static enum mr_status by_time(const struct delta_table *table, const struct delta_log *log,
                              int64_t earliest, int64_t micros, int64_t *version,
                              struct mr_error *err)
{
    struct point first = {-1, 0};
    struct point last = {-1, INT64_MIN};
    struct point found = {-1, INT64_MIN};
    const struct delta_log_file *newest = NULL;
    for (int i = 0; i < log->count; i++) {
        if (log->files[i].kind == DELTA_LOG_COMMIT)
            newest = &log->files[i];
    }
    int64_t newest_millis = -1;
    if (newest)
        MR_TRY(in_commit_time(table, newest, &newest_millis, err));
    for (int i = 0; i < log->count; i++) {
        const struct delta_log_file *file = &log->files[i];
        if (file->kind != DELTA_LOG_COMMIT)
            continue;
        int64_t millis = -1;
        if (newest_millis >= 0)
            MR_TRY(in_commit_time(table, file, &millis, err));
        struct point point = {file->version,
                              millis >= 0 ? millis * 1000 : file->modified_micros / 1000 * 1000};
        if (last.version >= 0 && point.micros <= last.micros)
            point.micros = last.micros + 1000;
        last = point;
        if (point.version < earliest)
            continue;
        if (first.version < 0)
            first = point;
        if (point.micros <= micros)
            found = point;
    }
    if (first.version < 0)
        return mr_error_data(err, MR_SOURCE, "%s: the log has no commits to find a time in",
                             table->text);
    if (found.version < 0 || micros > last.micros)
        return outside(table, micros, first, last, err);
    *version = found.version;
    return MR_OK;
}

enum mr_status delta_asof_find(const struct delta_table *table, const struct delta_log *log,
                               const struct delta_asof *asof, int64_t earliest, int64_t latest,
                               int64_t *version, struct mr_error *err)
{
    if (asof->version < 0)
        return by_time(table, log, earliest, asof->timestamp_micros, version, err);
    if (asof->version < earliest || asof->version > latest)
        return mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                            "%s has no version %" PRId64 ": there are %" PRId64 " to %" PRId64,
                            table->text, asof->version, earliest, latest);
    *version = asof->version;
    return MR_OK;
}

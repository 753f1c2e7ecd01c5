/*
 * log.c - the files of _delta_log: their names, their listing, their bytes.
 *
 * Names sort by version, so one listing that starts behind a checkpoint's version gives everything
 * that is needed. _last_checkpoint is a hint where to start; when it is broken, or leads to nothing,
 * the whole log is listed.
 */
#include "connect/delta/private.h"

#include <inttypes.h>
#include <stdio.h>

#define VERSION_DIGITS 20
#define PART_DIGITS    10

/* Exactly `digits` digits; false also when the number is too large. */
static bool take_number(const char **at, int digits, int64_t *out)
{
    int64_t value = 0;
    for (int i = 0; i < digits; i++) {
        char c = (*at)[i];
        if (c < '0' || c > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, c - '0', &value))
            return false;
    }
    *at += digits;
    *out = value;
    return true;
}

static bool take_text(const char **at, const char *text)
{
    size_t size = strlen(text);
    if (strncmp(*at, text, size) != 0)
        return false;
    *at += size;
    return true;
}

/* Behind "<version>.checkpoint." */
static bool checkpoint_name(const char *at, struct delta_log_file *out)
{
    if (strcmp(at, "parquet") == 0) {
        out->kind = DELTA_LOG_CHECKPOINT;
        return true;
    }
    const char *parts = at;
    int64_t part;
    int64_t count;
    if (take_number(&parts, PART_DIGITS, &part) && take_text(&parts, ".") &&
        take_number(&parts, PART_DIGITS, &count) && strcmp(parts, ".parquet") == 0) {
        if (part < 1 || part > count || count > INT32_MAX)
            return false;
        out->kind = DELTA_LOG_CHECKPOINT_PART;
        out->part = (int)part;
        out->parts = (int)count;
        return true;
    }
    size_t uuid = strcspn(at, ".");
    if (uuid != 36)
        return false;
    if (strcmp(at + uuid, ".parquet") == 0)
        out->kind = DELTA_LOG_CHECKPOINT_V2;
    else if (strcmp(at + uuid, ".json") == 0)
        out->kind = DELTA_LOG_CHECKPOINT_JSON;
    else
        return false;
    return true;
}

bool delta_log_name(const char *name, struct delta_log_file *out)
{
    const char *at = name;
    *out = (struct delta_log_file){0};
    if (!take_number(&at, VERSION_DIGITS, &out->version) || !take_text(&at, "."))
        return false;
    if (strcmp(at, "json") == 0) {
        out->kind = DELTA_LOG_COMMIT;
        return true;
    }
    if (take_text(&at, "checkpoint."))
        return checkpoint_name(at, out);
    out->kind = DELTA_LOG_COMPACTED;
    return take_number(&at, VERSION_DIGITS, &out->to) && strcmp(at, ".compacted.json") == 0 &&
           out->to >= out->version;
}

struct listing {
    struct mr_arena *arena;
    struct delta_log *log;
    int capacity;
};

static enum mr_status list_one(void *context, const struct mr_store_entry *entry,
                               struct mr_error *err)
{
    struct listing *listing = context;
    struct delta_log *log = listing->log;
    struct delta_log_file file;
    const char *name = entry->path + strlen(DELTA_LOG_DIRECTORY);
    if (!delta_log_name(name, &file))
        return MR_OK;
    if (log->count == listing->capacity) {
        int capacity = listing->capacity ? listing->capacity * 2 : 64;
        struct delta_log_file *more =
            mr_arena_calloc(listing->arena, (size_t)capacity, sizeof *more);
        if (!more)
            return mr_error_nomem(err);
        if (log->count)
            memcpy(more, log->files, (size_t)log->count * sizeof *more);
        log->files = more;
        listing->capacity = capacity;
    }
    file.path = mr_arena_strdup(listing->arena, entry->path);
    if (!file.path)
        return mr_error_nomem(err);
    file.size = entry->size;
    file.modified_micros = entry->modified_micros;
    log->files[log->count++] = file;
    return MR_OK;
}

enum mr_status delta_log_list(const struct delta_table *table, int64_t from, struct mr_arena *arena,
                              struct delta_log *out, struct mr_error *err)
{
    *out = (struct delta_log){0};
    struct listing listing = {.arena = arena, .log = out};
    char after[64];
    /* '.' is behind the digits of every name of this version, and less than what follows it */
    snprintf(after, sizeof after, DELTA_LOG_DIRECTORY "%020" PRId64 ".", from);
    return table->store->list(table->handle, DELTA_LOG_DIRECTORY, from > 0 ? after : NULL, false,
                              list_one, &listing, err);
}

const struct delta_log_file *delta_log_commit(const struct delta_log *log, int64_t version)
{
    int low = 0;
    int high = log->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (log->files[middle].version < version)
            low = middle + 1;
        else
            high = middle;
    }
    for (int i = low; i < log->count && log->files[i].version == version; i++) {
        if (log->files[i].kind == DELTA_LOG_COMMIT)
            return &log->files[i];
    }
    return NULL;
}

enum mr_status delta_load(const struct delta_table *table, const char *path, int64_t size,
                          struct mr_arena *arena, struct mr_slice *out, struct mr_error *err)
{
    if (size < 0) {
        struct mr_store_entry entry;
        bool exists;
        MR_TRY(table->store->stat(table->handle, path, &entry, &exists, err));
        if (!exists)
            return mr_error_data(err, MR_SOURCE, "%s: %s is missing", table->text, path);
        size = entry.size;
    }
    if (size > DELTA_MAX_LOG_FILE)
        return mr_error_set(err, MR_SOURCE, MR_CLASS_DATA,
                            "%s: %s has %" PRId64 " bytes, more than a file of the log may have",
                            table->text, path, size);
    char *data = mr_arena_alloc(arena, (size_t)size + 1);
    if (!data)
        return mr_error_nomem(err);
    size_t got = 0;
    MR_TRY(table->store->read(table->handle, path, 0, data, (size_t)size, &got, err));
    if (got != (size_t)size)
        return mr_error_data(err, MR_SOURCE, "%s: %s is cut short", table->text, path);
    data[got] = '\0';
    *out = (struct mr_slice){data, got};
    mr_count(table->runtime, MR_COUNT_BYTES_READ, size);
    return MR_OK;
}

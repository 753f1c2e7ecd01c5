/*
 * describe.c - what a table says of itself, as JSON objects: its present state, and its commits.
 */
#include "connect/delta/maintain.h"

#include <jansson.h>
#include <stdlib.h>

static json_t *list_of(const char *const *texts, int count)
{
    json_t *out = json_array();
    for (int i = 0; count < 0 ? texts && texts[i] : i < count; i++)
        json_array_append_new(out, json_string(texts[i]));
    return out;
}

static json_t *pairs_of(const struct delta_pair *pairs, int count)
{
    json_t *out = json_object();
    for (int i = 0; i < count; i++)
        json_object_set_new(out, pairs[i].name,
                            pairs[i].value ? json_string(pairs[i].value) : json_null());
    return out;
}

/* Rows of all files by their statistics, less deleted ones; -1 when some file has none. */
static json_int_t count_rows(const struct delta_snapshot *snapshot)
{
    json_int_t rows = 0;
    for (int i = 0; i < snapshot->nfiles; i++) {
        const struct delta_file *file = &snapshot->files[i];
        json_t *stats = file->stats ? json_loads(file->stats, 0, NULL) : NULL;
        json_t *records = json_object_get(stats, "numRecords");
        bool known = json_is_integer(records);
        if (known)
            rows += json_integer_value(records) - (file->vector ? file->vector->cardinality : 0);
        json_decref(stats);
        if (!known)
            return -1;
    }
    return rows;
}

static enum mr_status give(json_t *object, struct mr_bytes *out, struct mr_error *err)
{
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    if (!text)
        return mr_error_nomem(err);
    mr_bytes_text(out, text);
    free(text);
    return mr_bytes_status(out, err);
}

static json_t *describe(const struct delta_snapshot *snapshot, const char *location)
{
    const struct delta_metadata *metadata = &snapshot->metadata;
    json_int_t bytes = 0, deleted = 0, rows = count_rows(snapshot);
    for (int i = 0; i < snapshot->nfiles; i++) {
        bytes += snapshot->files[i].size;
        deleted += snapshot->files[i].vector ? snapshot->files[i].vector->cardinality : 0;
    }
    json_t *schema = json_loads(metadata->schema_json, 0, NULL);
    json_t *out = json_pack("{s:s, s:s, s:I, s:I, s:o, s:i, s:I, s:I, s:i, s:i}", "location",
                            location, "id", metadata->id, "version", (json_int_t)snapshot->version,
                            "timestamp", (json_int_t)snapshot->timestamp_millis, "partitionColumns",
                            list_of(metadata->partition_columns, metadata->npartition_columns),
                            "numFiles", snapshot->nfiles, "sizeInBytes", bytes, "deletedRows",
                            deleted, "minReaderVersion", snapshot->protocol.reader,
                            "minWriterVersion", snapshot->protocol.writer);
    json_object_set_new(out, "numRows", rows < 0 ? json_null() : json_integer(rows));
    json_object_set_new(out, "name", metadata->name ? json_string(metadata->name) : json_null());
    json_object_set_new(out, "properties",
                        pairs_of(metadata->configuration, metadata->nconfiguration));
    json_object_set_new(out, "readerFeatures", list_of(snapshot->protocol.reader_features, -1));
    json_object_set_new(out, "writerFeatures", list_of(snapshot->protocol.writer_features, -1));
    json_object_set_new(out, "checkpointVersion",
                        snapshot->checkpoint_version < 0
                            ? json_null()
                            : json_integer(snapshot->checkpoint_version));
    json_object_set_new(out, "schema", schema ? schema : json_null());
    return out;
}

static enum mr_status read_latest(const struct delta_table *table, struct mr_arena *arena,
                                  const struct delta_snapshot **out, struct mr_error *err)
{
    const struct delta_asof latest = {-1, INT64_MIN};
    MR_TRY(delta_snapshot_read(table, &latest, arena, out, err));
    if (!*out)
        return mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG, "%s is no Delta table", table->text);
    return MR_OK;
}

enum mr_status delta_describe(const struct delta_table *table, struct mr_bytes *out,
                              struct mr_error *err)
{
    const struct delta_snapshot *snapshot;
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    enum mr_status status = read_latest(table, &arena, &snapshot, err);
    if (status == MR_OK) {
        json_t *object = describe(snapshot, table->text);
        status = object ? give(object, out, err) : mr_error_nomem(err);
    }
    mr_arena_reset(&arena);
    return status;
}

static json_t *describe_commit(const struct delta_commit *commit)
{
    json_int_t adds = 0, removes = 0;
    for (int i = 0; i < commit->nfiles; i++) {
        adds += !commit->files[i].removed;
        removes += commit->files[i].removed;
    }
    json_t *info = commit->info ? json_loads(commit->info, 0, NULL) : NULL;
    json_t *out = json_pack("{s:I, s:I, s:I, s:I}", "version", (json_int_t)commit->version,
                            "timestamp", (json_int_t)commit->timestamp_millis, "filesAdded", adds,
                            "filesRemoved", removes);
    static const char *const keys[] = {"operation",        "operationParameters", "readVersion",
                                       "operationMetrics", "isolationLevel",      "engineInfo"};
    for (size_t i = 0; out && i < sizeof keys / sizeof keys[0]; i++) {
        json_t *value = json_object_get(info, keys[i]);
        json_object_set(out, keys[i], value ? value : json_null());
    }
    json_decref(info);
    return out;
}

enum mr_status delta_history(const struct delta_table *table, int limit, struct mr_bytes *out,
                             struct mr_error *err)
{
    const struct delta_commit *commits = NULL;
    int count = 0;
    const struct delta_snapshot *snapshot;
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    enum mr_status status = read_latest(table, &arena, &snapshot, err);
    if (status == MR_OK) {
        int64_t from = limit > 0 && snapshot->version >= limit ? snapshot->version - limit + 1 : 0;
        status =
            delta_commits_read(table, &snapshot->metadata, from, -1, &arena, &commits, &count, err);
    }
    if (status == MR_OK) {
        json_t *list = json_array();
        for (int i = count - 1; i >= 0 && (limit <= 0 || count - i <= limit); i--)
            json_array_append_new(list, describe_commit(&commits[i]));
        json_t *object = json_pack("{s:s, s:o}", "location", table->text, "commits", list);
        status = object ? give(object, out, err) : mr_error_nomem(err);
    }
    mr_arena_reset(&arena);
    return status;
}

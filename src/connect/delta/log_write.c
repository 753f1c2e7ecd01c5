/*
 * log_write.c - actions as lines of the log.
 *
 * Written by hand into one growing text, in the order of the protocol's tables: a commit of ten
 * thousand files is ten thousand short appends and no tree of values. What came from the log (paths,
 * statistics, tags) goes back byte for byte.
 *
 *   {"add":{"path":"day=2024-01-01/part-00000-..-00000.snappy.parquet","partitionValues":{"day":
 *   "2024-01-01"},"size":841,"modificationTime":1700000000000,"dataChange":true,"stats":"{..}"}}
 */
#include "connect/delta/log_write.h"

#include "base/text.h"
#include "base/time.h"

#include <inttypes.h>

void delta_put_string(struct mr_bytes *out, const char *text)
{
    mr_bytes_json_string(out, text, strlen(text));
}

static void put_optional(struct mr_bytes *out, const char *key, const char *text)
{
    if (!text)
        return;
    mr_bytes_printf(out, ",\"%s\":", key);
    delta_put_string(out, text);
}

static void put_integer(struct mr_bytes *out, const char *key, int64_t value)
{
    mr_bytes_printf(out, ",\"%s\":%" PRId64, key, value);
}

void delta_put_pairs(struct mr_bytes *out, const struct delta_pair *pairs, int count)
{
    mr_bytes_char(out, '{');
    for (int i = 0; i < count; i++) {
        if (i)
            mr_bytes_char(out, ',');
        delta_put_string(out, pairs[i].name);
        mr_bytes_char(out, ':');
        if (pairs[i].value)
            delta_put_string(out, pairs[i].value);
        else
            mr_bytes_text(out, "null");
    }
    mr_bytes_char(out, '}');
}

static void put_features(struct mr_bytes *out, const char *key, const char *const *features)
{
    mr_bytes_printf(out, ",\"%s\":[", key);
    for (int i = 0; features && features[i]; i++) {
        if (i)
            mr_bytes_char(out, ',');
        delta_put_string(out, features[i]);
    }
    mr_bytes_char(out, ']');
}

void delta_put_protocol(struct mr_bytes *out, const struct delta_protocol *protocol)
{
    mr_bytes_printf(out, "{\"protocol\":{\"minReaderVersion\":%d,\"minWriterVersion\":%d",
                    protocol->reader, protocol->writer);
    if (protocol->reader >= 3)
        put_features(out, "readerFeatures", protocol->reader_features);
    if (protocol->writer >= 7)
        put_features(out, "writerFeatures", protocol->writer_features);
    mr_bytes_text(out, "}}\n");
}

void delta_put_metadata(struct mr_bytes *out, const struct delta_metadata *metadata)
{
    mr_bytes_text(out, "{\"metaData\":{\"id\":");
    delta_put_string(out, metadata->id);
    put_optional(out, "name", metadata->name);
    put_optional(out, "description", metadata->description);
    mr_bytes_text(out, ",\"format\":{\"provider\":\"parquet\",\"options\":{}},\"schemaString\":");
    delta_put_string(out, metadata->schema_json);
    mr_bytes_text(out, ",\"partitionColumns\":[");
    for (int i = 0; i < metadata->npartition_columns; i++) {
        if (i)
            mr_bytes_char(out, ',');
        delta_put_string(out, metadata->partition_columns[i]);
    }
    mr_bytes_text(out, "],\"configuration\":");
    delta_put_pairs(out, metadata->configuration, metadata->nconfiguration);
    if (metadata->created_millis >= 0)
        put_integer(out, "createdTime", metadata->created_millis);
    mr_bytes_text(out, "}}\n");
}

void delta_put_txn(struct mr_bytes *out, const struct delta_txn *txn)
{
    mr_bytes_text(out, "{\"txn\":{\"appId\":");
    delta_put_string(out, txn->app_id);
    put_integer(out, "version", txn->version);
    if (txn->updated_millis >= 0)
        put_integer(out, "lastUpdated", txn->updated_millis);
    mr_bytes_text(out, "}}\n");
}

const char *delta_physical_name(const struct delta_metadata *metadata, int column)
{
    const struct mr_schema *schema = metadata->physical ? metadata->physical : metadata->schema;
    return schema->fields[column].name;
}

static void put_partition_values(struct mr_bytes *out, const struct delta_file *file,
                                 const struct delta_metadata *metadata)
{
    mr_bytes_text(out, ",\"partitionValues\":{");
    for (int i = 0; i < metadata->npartition_columns; i++) {
        const char *name = metadata->partition_columns[i];
        int column = mr_schema_find(metadata->schema, name);
        if (i)
            mr_bytes_char(out, ',');
        delta_put_string(out, column < 0 ? name : delta_physical_name(metadata, column));
        mr_bytes_char(out, ':');
        const char *value = file->partition_values ? file->partition_values[i] : NULL;
        if (value)
            delta_put_string(out, value);
        else
            mr_bytes_text(out, "null");
    }
    mr_bytes_char(out, '}');
}

static void put_vector(struct mr_bytes *out, const struct delta_vector *vector)
{
    mr_bytes_printf(out, ",\"deletionVector\":{\"storageType\":\"%c\"", vector->storage);
    put_optional(out, "pathOrInlineDv", vector->text);
    if (vector->offset >= 0)
        put_integer(out, "offset", vector->offset);
    put_integer(out, "sizeInBytes", vector->size);
    put_integer(out, "cardinality", vector->cardinality);
    mr_bytes_char(out, '}');
}

/* What adds and removes have in common, behind their own first fields. */
static void put_rest(struct mr_bytes *out, const struct delta_file *file)
{
    if (file->ntags) {
        mr_bytes_text(out, ",\"tags\":");
        delta_put_pairs(out, file->tags, file->ntags);
    }
    if (file->vector)
        put_vector(out, file->vector);
    if (file->base_row_id >= 0)
        put_integer(out, "baseRowId", file->base_row_id);
    if (file->default_row_commit_version >= 0)
        put_integer(out, "defaultRowCommitVersion", file->default_row_commit_version);
}

void delta_put_add(struct mr_bytes *out, const struct delta_file *file,
                   const struct delta_metadata *metadata, bool data_change)
{
    mr_bytes_text(out, "{\"add\":{\"path\":");
    delta_put_string(out, file->raw_path);
    put_partition_values(out, file, metadata);
    put_integer(out, "size", file->size);
    put_integer(out, "modificationTime", file->modified_millis);
    mr_bytes_printf(out, ",\"dataChange\":%s", data_change ? "true" : "false");
    put_optional(out, "stats", file->stats);
    put_rest(out, file);
    put_optional(out, "clusteringProvider", file->clustering_provider);
    mr_bytes_text(out, "}}\n");
}

void delta_put_remove(struct mr_bytes *out, const struct delta_file *file,
                      const struct delta_metadata *metadata, bool data_change,
                      int64_t deleted_millis)
{
    mr_bytes_text(out, "{\"remove\":{\"path\":");
    delta_put_string(out, file->raw_path);
    put_integer(out, "deletionTimestamp", deleted_millis);
    mr_bytes_printf(out, ",\"dataChange\":%s,\"extendedFileMetadata\":true",
                    data_change ? "true" : "false");
    put_partition_values(out, file, metadata);
    put_integer(out, "size", file->size);
    put_rest(out, file);
    mr_bytes_text(out, "}}\n");
}

/* ---- paths and partition values ---- */

static bool stays(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("-_.~/=!$&'()*+,;@", c) != NULL);
}

void delta_put_path(struct mr_bytes *out, const char *path)
{
    for (const char *at = path; *at; at++) {
        if (stays((unsigned char)*at))
            mr_bytes_char(out, *at);
        else
            mr_bytes_printf(out, "%%%02X", (unsigned)(unsigned char)*at);
    }
}

bool delta_put_partition_value(struct mr_bytes *out, const struct mr_value *value)
{
    char text[MR_TIME_TEXT_MAX];
    if (value->is_null)
        return false;
    switch (value->type->id) {
    case MR_TYPE_STRING:
    case MR_TYPE_JSON:
    case MR_TYPE_BINARY:
        if (value->u.bytes.size == 0)
            return false;
        mr_bytes_append(out, value->u.bytes.data, value->u.bytes.size);
        return true;
    case MR_TYPE_TIMESTAMP: {
        /* Always six digits: 2024-01-01T10:00:00.000000Z */
        int64_t micros = value->u.i64 % MR_MICROS_PER_SECOND;
        micros += micros < 0 ? MR_MICROS_PER_SECOND : 0;
        mr_timestamp_format(value->u.i64 - micros, 'T', text);
        mr_bytes_printf(out, "%s.%06" PRId64 "Z", text, micros);
        return true;
    }
    default:
        mr_value_format(value, out);
        return true;
    }
}

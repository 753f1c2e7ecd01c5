/*
 * checkpoint_write.c - a snapshot as one Parquet file: <version>.checkpoint.parquet.
 *
 * One row an action, one struct column for each kind of action, all others NULL in that row. Every
 * field is nullable at every level, as Spark writes it: with required fields other readers refuse the
 * file. Statistics stay the JSON text of the log, for delta.checkpoint.writeStatsAsStruct as well;
 * parsed statistics are an optimisation that no reader depends on.
 *
 * The file is made in memory and put whole. Its name is decided by its version, and what it says is
 * too, so whoever writes it last changes nothing.
 */
#include "connect/delta/maintain_log.h"

#include "base/time.h"
#include "col/builder.h"
#include "connect/delta/log_write.h"
#include "connect/delta/private.h"
#include "ext/format.h"
#include "ext/registry.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#define BATCH_ROWS INT64_C(8192)

#define MAP_TEXT "map<string,string>"
#define VECTOR_TEXT                                                                                \
    "struct<storageType:string,pathOrInlineDv:string,offset:int,sizeInBytes:int,"                  \
    "cardinality:bigint>"

enum column { TXN, ADD, REMOVE, METADATA, PROTOCOL, DOMAIN_METADATA, V2, NCOLUMNS };

static const char schema_text[] =
    "struct<txn:struct<appId:string,version:bigint,lastUpdated:bigint>,"
    "add:struct<path:string,partitionValues:" MAP_TEXT ",size:bigint,modificationTime:bigint,"
    "dataChange:boolean,tags:" MAP_TEXT ",deletionVector:" VECTOR_TEXT ",baseRowId:bigint,"
    "defaultRowCommitVersion:bigint,clusteringProvider:string,stats:string>,"
    "remove:struct<path:string,deletionTimestamp:bigint,dataChange:boolean,"
    "extendedFileMetadata:boolean,partitionValues:" MAP_TEXT ",size:bigint,"
    "deletionVector:" VECTOR_TEXT ",baseRowId:bigint,defaultRowCommitVersion:bigint>,"
    "metaData:struct<id:string,name:string,description:string,"
    "format:struct<provider:string,options:" MAP_TEXT ">,schemaString:string,"
    "partitionColumns:array<string>,configuration:" MAP_TEXT ",createdTime:bigint>,"
    "protocol:struct<minReaderVersion:int,minWriterVersion:int,readerFeatures:array<string>,"
    "writerFeatures:array<string>>,"
    "domainMetadata:struct<domain:string,configuration:string,removed:boolean>,"
    "checkpointMetadata:struct<version:bigint,tags:" MAP_TEXT ">>";

struct checkpoint {
    const struct delta_table *table;
    const struct delta_snapshot *snapshot;
    struct mr_arena arena;
    const struct mr_schema *schema;
    const struct mr_format *format;
    void *writer;
    struct mr_builder builders[NCOLUMNS];
    int64_t rows; /* in the builders */
    int64_t total;
    bool v2; /* delta.checkpointPolicy */
    struct mr_byte_sink sink;
    struct mr_bytes bytes;
    enum mr_status status; /* the first failure of building a row */
    struct mr_error *err;
};

/* ---- values; failures stay in checkpoint->status ---- */

static void keep(struct checkpoint *checkpoint, enum mr_status status)
{
    if (checkpoint->status == MR_OK)
        checkpoint->status = status;
}

static void put_text(struct checkpoint *checkpoint, struct mr_builder *builder, const char *text)
{
    if (checkpoint->status == MR_OK)
        keep(checkpoint, text ? mr_builder_bytes(builder, text, strlen(text), checkpoint->err)
                              : mr_builder_null(builder, checkpoint->err));
}

static void put_integer(struct checkpoint *checkpoint, struct mr_builder *builder, int64_t value)
{
    if (checkpoint->status == MR_OK)
        keep(checkpoint, mr_builder_int(builder, value, checkpoint->err));
}

/* -1 is absent. */
static void put_optional(struct checkpoint *checkpoint, struct mr_builder *builder, int64_t value)
{
    if (checkpoint->status == MR_OK)
        keep(checkpoint, value >= 0 ? mr_builder_int(builder, value, checkpoint->err)
                                    : mr_builder_null(builder, checkpoint->err));
}

static void put_null(struct checkpoint *checkpoint, struct mr_builder *builder)
{
    if (checkpoint->status == MR_OK)
        keep(checkpoint, mr_builder_null(builder, checkpoint->err));
}

static void end_struct(struct checkpoint *checkpoint, struct mr_builder *builder)
{
    if (checkpoint->status == MR_OK)
        keep(checkpoint, mr_builder_struct(builder, checkpoint->err));
}

static void end_list(struct checkpoint *checkpoint, struct mr_builder *builder)
{
    if (checkpoint->status == MR_OK)
        keep(checkpoint, mr_builder_list(builder, checkpoint->err));
}

static void put_entry(struct checkpoint *checkpoint, struct mr_builder *map, const char *name,
                      const char *value)
{
    struct mr_builder *entry = &map->children[0];
    put_text(checkpoint, &entry->children[0], name);
    put_text(checkpoint, &entry->children[1], value);
    end_struct(checkpoint, entry);
}

static void put_pairs(struct checkpoint *checkpoint, struct mr_builder *map,
                      const struct delta_pair *pairs, int count)
{
    for (int i = 0; i < count; i++)
        put_entry(checkpoint, map, pairs[i].name, pairs[i].value);
    end_list(checkpoint, map);
}

static void put_texts(struct checkpoint *checkpoint, struct mr_builder *list,
                      const char *const *texts, int count)
{
    for (int i = 0; i < count; i++)
        put_text(checkpoint, &list->children[0], texts[i]);
    end_list(checkpoint, list);
}

static void put_partition_values(struct checkpoint *checkpoint, struct mr_builder *map,
                                 const struct delta_file *file)
{
    const struct delta_metadata *metadata = &checkpoint->snapshot->metadata;
    for (int i = 0; i < metadata->npartition_columns; i++) {
        const char *name = metadata->partition_columns[i];
        int column = mr_schema_find(metadata->schema, name);
        put_entry(checkpoint, map, column < 0 ? name : delta_physical_name(metadata, column),
                  file->partition_values ? file->partition_values[i] : NULL);
    }
    end_list(checkpoint, map);
}

static void put_vector(struct checkpoint *checkpoint, struct mr_builder *builder,
                       const struct delta_vector *vector)
{
    if (!vector) {
        put_null(checkpoint, builder);
        return;
    }
    char storage[2] = {vector->storage, '\0'};
    put_text(checkpoint, &builder->children[0], storage);
    put_text(checkpoint, &builder->children[1], vector->text);
    put_optional(checkpoint, &builder->children[2], vector->offset);
    put_integer(checkpoint, &builder->children[3], vector->size);
    put_integer(checkpoint, &builder->children[4], vector->cardinality);
    end_struct(checkpoint, builder);
}

/* ---- rows ---- */

static enum mr_status flush(struct checkpoint *checkpoint, struct mr_error *err)
{
    struct mr_column *columns[NCOLUMNS] = {NULL};
    struct mr_batch *batch;
    int count = checkpoint->schema->nfields;
    if (checkpoint->rows == 0)
        return MR_OK;
    for (int i = 0; i < count; i++) {
        enum mr_status status = mr_builder_finish(&checkpoint->builders[i], &columns[i], err);
        if (status == MR_OK)
            continue;
        for (int k = 0; k < i; k++)
            mr_column_unref(columns[k]);
        return status;
    }
    MR_TRY(mr_batch_new(checkpoint->schema, checkpoint->rows, columns, &batch, err));
    checkpoint->total += checkpoint->rows;
    checkpoint->rows = 0;
    enum mr_status status = checkpoint->format->write(checkpoint->writer, batch, err);
    mr_batch_unref(batch);
    return status;
}

/* A value was appended to `column`: the others are NULL. */
static enum mr_status end_row(struct checkpoint *checkpoint, enum column column)
{
    end_struct(checkpoint, &checkpoint->builders[column]);
    for (int i = 0; i < checkpoint->schema->nfields; i++) {
        if (i != (int)column)
            put_null(checkpoint, &checkpoint->builders[i]);
    }
    MR_TRY(checkpoint->status);
    checkpoint->rows++;
    return checkpoint->rows < BATCH_ROWS ? MR_OK : flush(checkpoint, checkpoint->err);
}

static int list_length(const char *const *texts)
{
    int count = 0;
    while (texts && texts[count])
        count++;
    return count;
}

static enum mr_status put_protocol(struct checkpoint *checkpoint)
{
    const struct delta_protocol *protocol = &checkpoint->snapshot->protocol;
    struct mr_builder *fields = checkpoint->builders[PROTOCOL].children;
    put_integer(checkpoint, &fields[0], protocol->reader);
    put_integer(checkpoint, &fields[1], protocol->writer);
    if (protocol->reader >= 3)
        put_texts(checkpoint, &fields[2], protocol->reader_features,
                  list_length(protocol->reader_features));
    else
        put_null(checkpoint, &fields[2]);
    if (protocol->writer >= 7)
        put_texts(checkpoint, &fields[3], protocol->writer_features,
                  list_length(protocol->writer_features));
    else
        put_null(checkpoint, &fields[3]);
    return end_row(checkpoint, PROTOCOL);
}

static enum mr_status put_metadata(struct checkpoint *checkpoint)
{
    const struct delta_metadata *metadata = &checkpoint->snapshot->metadata;
    struct mr_builder *fields = checkpoint->builders[METADATA].children;
    put_text(checkpoint, &fields[0], metadata->id);
    put_text(checkpoint, &fields[1], metadata->name);
    put_text(checkpoint, &fields[2], metadata->description);
    put_text(checkpoint, &fields[3].children[0], "parquet");
    put_pairs(checkpoint, &fields[3].children[1], NULL, 0);
    end_struct(checkpoint, &fields[3]);
    put_text(checkpoint, &fields[4], metadata->schema_json);
    put_texts(checkpoint, &fields[5], metadata->partition_columns, metadata->npartition_columns);
    put_pairs(checkpoint, &fields[6], metadata->configuration, metadata->nconfiguration);
    put_optional(checkpoint, &fields[7], metadata->created_millis);
    return end_row(checkpoint, METADATA);
}

static enum mr_status put_txn(struct checkpoint *checkpoint, const struct delta_txn *txn)
{
    struct mr_builder *fields = checkpoint->builders[TXN].children;
    put_text(checkpoint, &fields[0], txn->app_id);
    put_integer(checkpoint, &fields[1], txn->version);
    put_optional(checkpoint, &fields[2], txn->updated_millis);
    return end_row(checkpoint, TXN);
}

static enum mr_status put_domain(struct checkpoint *checkpoint, const struct delta_domain *domain)
{
    struct mr_builder *fields = checkpoint->builders[DOMAIN_METADATA].children;
    put_text(checkpoint, &fields[0], domain->domain);
    put_text(checkpoint, &fields[1], domain->configuration);
    put_integer(checkpoint, &fields[2], domain->removed);
    return end_row(checkpoint, DOMAIN_METADATA);
}

static enum mr_status put_v2(struct checkpoint *checkpoint)
{
    struct mr_builder *fields = checkpoint->builders[V2].children;
    put_integer(checkpoint, &fields[0], checkpoint->snapshot->version);
    put_null(checkpoint, &fields[1]);
    return end_row(checkpoint, V2);
}

static enum mr_status put_add(struct checkpoint *checkpoint, const struct delta_file *file)
{
    struct mr_builder *fields = checkpoint->builders[ADD].children;
    put_text(checkpoint, &fields[0], file->raw_path);
    put_partition_values(checkpoint, &fields[1], file);
    put_integer(checkpoint, &fields[2], file->size);
    put_integer(checkpoint, &fields[3], file->modified_millis);
    put_integer(checkpoint, &fields[4], false);
    if (file->ntags)
        put_pairs(checkpoint, &fields[5], file->tags, file->ntags);
    else
        put_null(checkpoint, &fields[5]);
    put_vector(checkpoint, &fields[6], file->vector);
    put_optional(checkpoint, &fields[7], file->base_row_id);
    put_optional(checkpoint, &fields[8], file->default_row_commit_version);
    put_text(checkpoint, &fields[9], file->clustering_provider);
    put_text(checkpoint, &fields[10], file->stats);
    return end_row(checkpoint, ADD);
}

static enum mr_status put_remove(struct checkpoint *checkpoint, const struct delta_file *file)
{
    struct mr_builder *fields = checkpoint->builders[REMOVE].children;
    put_text(checkpoint, &fields[0], file->raw_path);
    put_optional(checkpoint, &fields[1], file->deleted_millis);
    put_integer(checkpoint, &fields[2], false);
    put_integer(checkpoint, &fields[3], true);
    put_partition_values(checkpoint, &fields[4], file);
    put_optional(checkpoint, &fields[5], file->size);
    put_vector(checkpoint, &fields[6], file->vector);
    put_optional(checkpoint, &fields[7], file->base_row_id);
    put_optional(checkpoint, &fields[8], file->default_row_commit_version);
    return end_row(checkpoint, REMOVE);
}

static enum mr_status put_actions(struct checkpoint *checkpoint)
{
    const struct delta_snapshot *snapshot = checkpoint->snapshot;
    int64_t kept_since =
        mr_clock_wall_micros() / 1000 - delta_property_millis(&snapshot->metadata,
                                                              "delta.deletedFileRetentionDuration",
                                                              7 * (MR_MICROS_PER_DAY / 1000));
    if (checkpoint->v2)
        MR_TRY(put_v2(checkpoint));
    MR_TRY(put_protocol(checkpoint));
    MR_TRY(put_metadata(checkpoint));
    for (int i = 0; i < snapshot->ntxns; i++)
        MR_TRY(put_txn(checkpoint, &snapshot->txns[i]));
    for (int i = 0; i < snapshot->ndomains; i++) {
        if (!snapshot->domains[i].removed)
            MR_TRY(put_domain(checkpoint, &snapshot->domains[i]));
    }
    for (int i = 0; i < snapshot->ntombstones; i++) {
        if (snapshot->tombstones[i].deleted_millis >= kept_since)
            MR_TRY(put_remove(checkpoint, &snapshot->tombstones[i]));
    }
    for (int i = 0; i < snapshot->nfiles; i++)
        MR_TRY(put_add(checkpoint, &snapshot->files[i]));
    return flush(checkpoint, checkpoint->err);
}

/* ---- the file ---- */

static enum mr_status append(struct mr_byte_sink *sink, const void *data, size_t size,
                             struct mr_error *err)
{
    struct checkpoint *checkpoint =
        (struct checkpoint *)(void *)((char *)sink - offsetof(struct checkpoint, sink));
    mr_bytes_append(&checkpoint->bytes, data, size);
    return mr_bytes_status(&checkpoint->bytes, err);
}

static enum mr_status open_writer(struct checkpoint *checkpoint, struct mr_error *err)
{
    struct mr_runtime *runtime = checkpoint->table->runtime;
    const struct mr_type *type;
    const char *policy = delta_property(&checkpoint->snapshot->metadata, "delta.checkpointPolicy");
    checkpoint->v2 = policy && strcasecmp(policy, "v2") == 0;
    MR_TRY(mr_type_parse(&checkpoint->arena, schema_text, &type, err));
    checkpoint->schema = mr_schema_new(&checkpoint->arena, type->fields,
                                       checkpoint->v2 ? type->nfields : type->nfields - 1);
    checkpoint->format = mr_registry_format(runtime->registry, "parquet");
    if (!checkpoint->schema)
        return mr_error_nomem(err);
    if (!checkpoint->format)
        return mr_error_internal(err, "Parquet is not in this build");
    for (int i = 0; i < checkpoint->schema->nfields; i++)
        MR_TRY(mr_builder_init(&checkpoint->builders[i], runtime->memory,
                               checkpoint->schema->fields[i].type, err));
    checkpoint->sink.append = append;
    struct mr_format_write write = {
        .schema = checkpoint->schema,
        .compression = "snappy",
        .level = INT_MIN,
        .runtime = runtime,
    };
    return checkpoint->format->write_open(&write, &checkpoint->sink, &checkpoint->writer, err);
}

static enum mr_status put_pointer(struct checkpoint *checkpoint, struct mr_error *err)
{
    const struct delta_snapshot *snapshot = checkpoint->snapshot;
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 16);
    mr_bytes_printf(&text,
                    "{\"version\":%" PRId64 ",\"size\":%" PRId64
                    ",\"sizeInBytes\":%zu,\"numOfAddFiles\":%d}",
                    snapshot->version, checkpoint->total, checkpoint->bytes.size, snapshot->nfiles);
    enum mr_status status = mr_bytes_status(&text, err);
    const struct delta_table *table = checkpoint->table;
    if (status == MR_OK)
        status = table->store->put(table->handle, DELTA_LOG_DIRECTORY "_last_checkpoint",
                                   (struct mr_slice){text.data, text.size}, err);
    mr_bytes_reset(&text);
    return status;
}

static enum mr_status write_all(struct checkpoint *checkpoint, struct mr_error *err)
{
    const struct delta_table *table = checkpoint->table;
    struct mr_file_statistics statistics;
    char path[80];
    MR_TRY(open_writer(checkpoint, err));
    MR_TRY(put_actions(checkpoint));
    MR_TRY(checkpoint->format->write_finish(checkpoint->writer, &statistics, err));
    snprintf(path, sizeof path, DELTA_LOG_DIRECTORY "%020" PRId64 ".checkpoint.parquet",
             checkpoint->snapshot->version);
    struct mr_slice data = {checkpoint->bytes.data, checkpoint->bytes.size};
    MR_TRY(table->store->put(table->handle, path, data, err));
    return put_pointer(checkpoint, err);
}

enum mr_status delta_checkpoint_write(const struct delta_table *table,
                                      const struct delta_snapshot *snapshot, struct mr_error *err)
{
    struct mr_error local = {0};
    struct checkpoint checkpoint = {
        .table = table,
        .snapshot = snapshot,
        .err = err ? err : &local,
    };
    mr_arena_init(&checkpoint.arena, table->runtime->memory);
    mr_bytes_init(&checkpoint.bytes, (size_t)1 << 31);
    enum mr_status status = write_all(&checkpoint, checkpoint.err);
    if (checkpoint.writer)
        checkpoint.format->write_close(checkpoint.writer);
    for (int i = 0; i < NCOLUMNS; i++)
        mr_builder_reset(&checkpoint.builders[i]);
    mr_bytes_reset(&checkpoint.bytes);
    mr_arena_reset(&checkpoint.arena);
    return status;
}

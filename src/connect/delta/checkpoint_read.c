/*
 * checkpoint_read.c - what a checkpoint holds: an action a row, a struct column a kind of action.
 *
 * Only the columns that replay needs are asked for; what a file lacks comes as NULL, so one schema
 * fits the classic form, the parts of a multi-part one and V2, whose file actions lie in sidecars.
 * Statistics that are there only as a struct (delta.checkpoint.writeStatsAsJson = false) become the
 * JSON text that everybody else reads.
 */
#include "col/batch.h"
#include "connect/delta/object.h"
#include "connect/delta/private.h"
#include "dataset/byte_source.h"
#include "enc/json_text.h"
#include "ext/format.h"
#include "ext/registry.h"

#define SIDECARS DELTA_LOG_DIRECTORY "_sidecars/"

/* The columns in their order; the fields of each in the order of its enum. */
#define VECTOR_TYPE                                                                                \
    "struct<storageType:string,pathOrInlineDv:string,offset:int,sizeInBytes:int,"                  \
    "cardinality:bigint>"
#define FILE_FIELDS                                                                                \
    "path:string,partitionValues:map<string,string>,size:bigint,modificationTime:bigint,"          \
    "deletionTimestamp:bigint,deletionVector:" VECTOR_TYPE                                         \
    ",baseRowId:bigint,defaultRowCommitVersion:bigint,stats:string,tags:map<string,string>,"       \
    "clusteringProvider:string"
#define OTHER_COLUMNS                                                                              \
    "protocol struct<minReaderVersion:int,minWriterVersion:int,readerFeatures:array<string>,"      \
    "writerFeatures:array<string>>, metaData struct<id:string,name:string,description:string,"     \
    "schemaString:string,partitionColumns:array<string>,configuration:map<string,string>,"         \
    "createdTime:bigint>, txn struct<appId:string,version:bigint,lastUpdated:bigint>, "            \
    "domainMetadata struct<domain:string,configuration:string,removed:boolean>, "                  \
    "sidecar struct<path:string,sizeInBytes:bigint>"
static const char with_tombstones[] =
    "add struct<" FILE_FIELDS ">, remove struct<" FILE_FIELDS ">, " OTHER_COLUMNS;
/*
 * A checkpoint is what commits behind it are laid over: its removes take nothing away. Of a table that is compacted all the time they are nearly all of
 * it. A column that no file has comes as NULL.
 */
static const char without_tombstones[] =
    "add struct<" FILE_FIELDS ">, `remove, not read` struct<path:string>, " OTHER_COLUMNS;

enum { ADD, REMOVE, PROTOCOL, METADATA, TXN, DOMAIN, SIDECAR };
enum {
    FILE_PATH,
    FILE_VALUES,
    FILE_SIZE,
    FILE_MODIFIED,
    FILE_DELETED,
    FILE_VECTOR,
    FILE_ROW_ID,
    FILE_ROW_VERSION,
    FILE_STATS,
    FILE_TAGS,
    FILE_PROVIDER,
    FILE_STATS_PARSED, /* only in files that have no `stats` */
};

struct context {
    const struct delta_table *table;
    struct delta_replay *replay;
    struct mr_arena *arena; /* of the snapshot */
    struct mr_arena scratch;
    const char *name; /* of the file that is read, for errors */
    struct delta_sidecar *sidecars;
    int nsidecars;
    int sidecar_capacity;
};

/* ---- cells ---- */

static const char *text_at(struct context *context, const struct mr_column *column, int64_t row)
{
    struct mr_value value;
    mr_column_get(column, row, &value);
    return value.is_null ? NULL
                         : mr_arena_strndup(context->arena, value.u.bytes.data, value.u.bytes.size);
}

static int64_t long_at(const struct mr_column *column, int64_t row, int64_t missing)
{
    struct mr_value value;
    mr_column_get(column, row, &value);
    return value.is_null ? missing : value.u.i64;
}

/* Rows of the child that a list or map has in this row. */
static void range_at(const struct mr_column *column, int64_t row, int64_t *from, int64_t *to)
{
    const int32_t *offsets = mr_column_offsets(column);
    *from = offsets[row];
    *to = offsets[row + 1];
}

static enum mr_status texts_at(struct context *context, const struct mr_column *column, int64_t row,
                               const char *const **out, int *count, struct mr_error *err)
{
    *out = NULL;
    *count = 0;
    if (mr_column_is_null(column, row))
        return MR_OK;
    int64_t from;
    int64_t to;
    range_at(column, row, &from, &to);
    const char **items = mr_arena_calloc(context->arena, (size_t)(to - from) + 1, sizeof *items);
    if (!items)
        return mr_error_nomem(err);
    for (int64_t i = from; i < to; i++) {
        if (mr_column_is_null(column->children[0], i))
            continue;
        items[*count] = text_at(context, column->children[0], i);
        if (!items[(*count)++])
            return mr_error_nomem(err);
    }
    *out = items;
    return MR_OK;
}

static enum mr_status pairs_at(struct context *context, const struct mr_column *column, int64_t row,
                               struct delta_pairs *out, struct mr_error *err)
{
    *out = (struct delta_pairs){0};
    if (mr_column_is_null(column, row))
        return MR_OK;
    int64_t from;
    int64_t to;
    range_at(column, row, &from, &to);
    struct delta_pair *items =
        mr_arena_calloc(context->arena, (size_t)(to - from) + 1, sizeof *items);
    if (!items)
        return mr_error_nomem(err);
    const struct mr_column *keys = column->children[0]->children[0];
    const struct mr_column *values = column->children[0]->children[1];
    for (int64_t i = from; i < to; i++) {
        struct delta_pair *pair = &items[i - from];
        pair->name = text_at(context, keys, i);
        pair->value = text_at(context, values, i);
        if (!pair->name || (!pair->value && !mr_column_is_null(values, i)))
            return mr_error_nomem(err);
    }
    *out = (struct delta_pairs){(int)(to - from), items};
    return MR_OK;
}

static enum mr_status missing(const struct context *context, const char *what, struct mr_error *err)
{
    return mr_error_data(err, MR_SOURCE, "%s: an action in %s lacks %s", context->table->text,
                         context->name, what);
}

/* ---- actions ---- */

static enum mr_status vector_at(struct context *context, const struct mr_column *column,
                                int64_t row, const struct delta_vector **out, struct mr_error *err)
{
    *out = NULL;
    if (mr_column_is_null(column, row))
        return MR_OK;
    struct delta_vector *vector = mr_arena_calloc(context->arena, 1, sizeof *vector);
    if (!vector)
        return mr_error_nomem(err);
    struct mr_column *const *fields = column->children;
    const char *storage = text_at(context, fields[0], row);
    *vector = (struct delta_vector){.storage = storage ? storage[0] : '\0',
                                    .text = text_at(context, fields[1], row),
                                    .offset = long_at(fields[2], row, -1),
                                    .size = long_at(fields[3], row, -1),
                                    .cardinality = long_at(fields[4], row, -1)};
    *out = vector;
    return vector->text ? MR_OK : missing(context, "pathOrInlineDv", err);
}

/* Statistics as text: as they are, or made of the struct. */
static enum mr_status stats_at(struct context *context, const struct mr_column *column, int64_t row,
                               const char **out, struct mr_error *err)
{
    *out = text_at(context, column->children[FILE_STATS], row);
    if (*out || column->nchildren <= FILE_STATS_PARSED ||
        mr_column_is_null(column->children[FILE_STATS_PARSED], row))
        return MR_OK;
    struct mr_bytes text;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    mr_json_value(column->children[FILE_STATS_PARSED], row, &text);
    enum mr_status status = mr_bytes_status(&text, err);
    if (status == MR_OK) {
        *out = mr_arena_strndup(context->arena, text.data, text.size);
        status = *out ? MR_OK : mr_error_nomem(err);
    }
    mr_bytes_reset(&text);
    return status;
}

static enum mr_status take_file(struct context *context, const struct mr_column *column,
                                int64_t row, bool removed, struct mr_error *err)
{
    struct mr_column *const *fields = column->children;
    struct delta_entry *entry = mr_arena_calloc(context->arena, 1, sizeof *entry);
    if (!entry)
        return mr_error_nomem(err);
    struct delta_file *file = &entry->file;
    *file = (struct delta_file){
        .raw_path = text_at(context, fields[FILE_PATH], row),
        .size = long_at(fields[FILE_SIZE], row, -1),
        .modified_millis = long_at(fields[FILE_MODIFIED], row, -1),
        .deleted_millis = long_at(fields[FILE_DELETED], row, -1),
        .base_row_id = long_at(fields[FILE_ROW_ID], row, -1),
        .default_row_commit_version = long_at(fields[FILE_ROW_VERSION], row, -1),
        .clustering_provider = text_at(context, fields[FILE_PROVIDER], row),
        .removed = removed,
        .version = -1,
    };
    if (!file->raw_path)
        return missing(context, "path", err);
    MR_TRY(stats_at(context, column, row, &file->stats, err));
    MR_TRY(vector_at(context, fields[FILE_VECTOR], row, &file->vector, err));
    MR_TRY(pairs_at(context, fields[FILE_VALUES], row, &entry->values, err));
    struct delta_pairs tags;
    MR_TRY(pairs_at(context, fields[FILE_TAGS], row, &tags, err));
    file->ntags = tags.count;
    file->tags = tags.items;
    file->path =
        delta_path_decode(context->arena, mr_slice_of(file->raw_path), context->table->url);
    if (!file->path)
        return mr_error_nomem(err);
    entry->hash = delta_file_hash(file);
    return delta_replay_entry(context->replay, entry, err);
}

static enum mr_status take_protocol(struct context *context, const struct mr_column *column,
                                    int64_t row, struct mr_error *err)
{
    struct delta_protocol *protocol = mr_arena_calloc(context->arena, 1, sizeof *protocol);
    if (!protocol)
        return mr_error_nomem(err);
    int count;
    protocol->reader = (int)long_at(column->children[0], row, 0);
    protocol->writer = (int)long_at(column->children[1], row, 0);
    MR_TRY(texts_at(context, column->children[2], row, &protocol->reader_features, &count, err));
    MR_TRY(texts_at(context, column->children[3], row, &protocol->writer_features, &count, err));
    if (!context->replay->protocol)
        context->replay->protocol = protocol;
    return MR_OK;
}

static enum mr_status take_metadata(struct context *context, const struct mr_column *column,
                                    int64_t row, struct mr_error *err)
{
    struct mr_column *const *fields = column->children;
    struct delta_metadata *metadata = mr_arena_calloc(context->arena, 1, sizeof *metadata);
    if (!metadata)
        return mr_error_nomem(err);
    *metadata = (struct delta_metadata){.id = text_at(context, fields[0], row),
                                        .name = text_at(context, fields[1], row),
                                        .description = text_at(context, fields[2], row),
                                        .schema_json = text_at(context, fields[3], row),
                                        .created_millis = long_at(fields[6], row, -1)};
    if (!metadata->schema_json)
        return missing(context, "schemaString", err);
    struct delta_pairs configuration;
    MR_TRY(texts_at(context, fields[4], row, &metadata->partition_columns,
                    &metadata->npartition_columns, err));
    MR_TRY(pairs_at(context, fields[5], row, &configuration, err));
    metadata->configuration = configuration.items;
    metadata->nconfiguration = configuration.count;
    if (!context->replay->metadata)
        context->replay->metadata = metadata;
    return MR_OK;
}

static enum mr_status take_txn(struct context *context, const struct mr_column *column, int64_t row,
                               struct mr_error *err)
{
    struct delta_txn txn = {.app_id = text_at(context, column->children[0], row),
                            .version = long_at(column->children[1], row, 0),
                            .updated_millis = long_at(column->children[2], row, -1)};
    if (!txn.app_id)
        return missing(context, "appId", err);
    return delta_replay_txn(context->replay, &txn, err);
}

static enum mr_status take_domain(struct context *context, const struct mr_column *column,
                                  int64_t row, struct mr_error *err)
{
    struct delta_domain domain = {.domain = text_at(context, column->children[0], row),
                                  .configuration = text_at(context, column->children[1], row),
                                  .removed = long_at(column->children[2], row, 0) != 0};
    if (!domain.domain)
        return missing(context, "domain", err);
    if (!domain.configuration)
        domain.configuration = "";
    return delta_replay_domain(context->replay, &domain, err);
}

static enum mr_status add_sidecar(struct context *context, const char *path, int64_t size,
                                  struct mr_error *err)
{
    if (!path)
        return missing(context, "the path of a sidecar", err);
    if (context->nsidecars == context->sidecar_capacity) {
        int capacity = context->sidecar_capacity ? context->sidecar_capacity * 2 : 16;
        struct delta_sidecar *more =
            mr_arena_calloc(&context->scratch, (size_t)capacity, sizeof *more);
        if (!more)
            return mr_error_nomem(err);
        if (context->nsidecars)
            memcpy(more, context->sidecars, (size_t)context->nsidecars * sizeof *more);
        context->sidecars = more;
        context->sidecar_capacity = capacity;
    }
    context->sidecars[context->nsidecars++] = (struct delta_sidecar){path, size};
    return MR_OK;
}

static enum mr_status take_row(struct context *context, const struct mr_batch *batch, int64_t row,
                               struct mr_error *err)
{
    struct mr_column *const *columns = batch->columns;
    if (!mr_column_is_null(columns[ADD], row))
        return take_file(context, columns[ADD], row, false, err);
    if (!mr_column_is_null(columns[REMOVE], row))
        return take_file(context, columns[REMOVE], row, true, err);
    if (!mr_column_is_null(columns[PROTOCOL], row))
        return take_protocol(context, columns[PROTOCOL], row, err);
    if (!mr_column_is_null(columns[METADATA], row))
        return take_metadata(context, columns[METADATA], row, err);
    if (!mr_column_is_null(columns[TXN], row))
        return take_txn(context, columns[TXN], row, err);
    if (!mr_column_is_null(columns[DOMAIN], row))
        return take_domain(context, columns[DOMAIN], row, err);
    if (mr_column_is_null(columns[SIDECAR], row))
        return MR_OK;
    const struct mr_column *sidecar = columns[SIDECAR];
    return add_sidecar(context, text_at(context, sidecar->children[0], row),
                       long_at(sidecar->children[1], row, -1), err);
}

/* ---- files ---- */

static const struct mr_field *field_of(const struct mr_type *type, const char *name)
{
    for (int i = 0; type->id == MR_TYPE_STRUCT && i < type->nfields; i++) {
        if (strcmp(type->fields[i].name, name) == 0)
            return &type->fields[i];
    }
    return NULL;
}

/* The schema that is asked for; with stats_parsed where that is all there is. */
static enum mr_status wanted_schema(struct context *context, const struct mr_schema *found,
                                    const struct mr_schema **out, struct mr_error *err)
{
    MR_TRY(mr_schema_parse(&context->scratch,
                           context->replay->tombstones ? with_tombstones : without_tombstones, out,
                           err));
    int at = mr_schema_find(found, "add");
    const struct mr_type *add = at >= 0 ? found->fields[at].type : NULL;
    const struct mr_field *parsed = add ? field_of(add, "stats_parsed") : NULL;
    if (!parsed || field_of(add, "stats"))
        return MR_OK;
    const struct mr_type *type = (*out)->fields[ADD].type;
    struct mr_field *fields =
        mr_arena_calloc(&context->scratch, (size_t)type->nfields + 1, sizeof *fields);
    struct mr_field *columns =
        mr_arena_calloc(&context->scratch, (size_t)(*out)->nfields, sizeof *columns);
    if (!fields || !columns)
        return mr_error_nomem(err);
    memcpy(fields, type->fields, (size_t)type->nfields * sizeof *fields);
    fields[type->nfields] = *parsed;
    memcpy(columns, (*out)->fields, (size_t)(*out)->nfields * sizeof *columns);
    columns[ADD].type = mr_type_struct(&context->scratch, fields, type->nfields + 1);
    if (!columns[ADD].type)
        return mr_error_nomem(err);
    *out = mr_schema_new(&context->scratch, columns, (*out)->nfields);
    return *out ? MR_OK : mr_error_nomem(err);
}

static enum mr_status read_rows(struct context *context, const struct mr_format *format,
                                void *reader, struct mr_error *err)
{
    for (;;) {
        struct mr_batch *batch = NULL;
        MR_TRY(format->read_next(reader, &batch, err));
        if (!batch)
            return MR_OK;
        enum mr_status status = MR_OK;
        for (int64_t row = 0; row < batch->rows && status == MR_OK; row++)
            status = take_row(context, batch, row, err);
        mr_batch_unref(batch);
        MR_TRY(status);
    }
}

static enum mr_status read_source(struct context *context, struct mr_byte_source *source,
                                  struct mr_error *err)
{
    struct mr_runtime *runtime = context->table->runtime;
    const struct mr_format *format = mr_registry_format(runtime->registry, "parquet");
    if (!format || !format->read_open)
        return mr_error_internal(err, "the Parquet reader is not in this build");
    struct mr_format_read request = {.source = source, .runtime = runtime};
    struct mr_file_info info;
    MR_TRY(format->probe(&request, &context->scratch, &info, err));
    MR_TRY(wanted_schema(context, info.schema, &request.schema, err));
    struct mr_file_range range = {0, INT64_MAX};
    void *reader = NULL;
    MR_TRY(format->read_open(&request, &range, &reader, err));
    enum mr_status status = read_rows(context, format, reader, err);
    format->read_close(reader);
    return status;
}

static enum mr_status read_parquet(struct context *context, const char *path, int64_t size,
                                   struct mr_error *err)
{
    struct delta_object object;
    struct mr_byte_source *source = NULL;
    context->name = path;
    MR_TRY(delta_object_open(context->table, path, &object, err));
    struct mr_object about = {.path = object.path,
                              .name = path,
                              .size = size,
                              .modified_micros = -1};
    enum mr_status status = mr_byte_source_open(object.store, object.handle, &about,
                                                context->table->runtime, &source, err);
    if (status == MR_OK)
        status = read_source(context, source, err);
    if (status != MR_OK && err)
        mr_error_prefix(err, "%s", context->table->text);
    mr_byte_source_close(source);
    delta_object_close(&object);
    return status;
}

static enum mr_status read_json(struct context *context, const struct delta_log_file *file,
                                struct mr_error *err)
{
    struct mr_slice text;
    struct delta_actions actions;
    context->name = file->path;
    MR_TRY(delta_load(context->table, file->path, file->size, &context->scratch, &text, err));
    MR_TRY(
        delta_actions_parse(context->table, file->path, text, -1, context->arena, &actions, err));
    for (int i = 0; i < actions.nsidecars; i++)
        MR_TRY(add_sidecar(context, actions.sidecars[i].path, actions.sidecars[i].size, err));
    return delta_replay_actions(context->replay, &actions, err);
}

static enum mr_status read_files(struct context *context, const struct delta_log_file *files,
                                 int nfiles, struct mr_error *err)
{
    for (int i = 0; i < nfiles; i++) {
        if (files[i].kind == DELTA_LOG_CHECKPOINT_JSON)
            MR_TRY(read_json(context, &files[i], err));
        else
            MR_TRY(read_parquet(context, files[i].path, files[i].size, err));
    }
    int count = context->nsidecars;
    for (int i = 0; i < count; i++) {
        const struct delta_sidecar *sidecar = &context->sidecars[i];
        const char *path =
            delta_path_decode(&context->scratch, mr_slice_of(sidecar->path), context->table->url);
        if (path && !delta_path_is_absolute(path))
            path = mr_arena_printf(&context->scratch, SIDECARS "%s", path);
        if (!path)
            return mr_error_nomem(err);
        MR_TRY(read_parquet(context, path, sidecar->size > 0 ? sidecar->size : -1, err));
    }
    return MR_OK;
}

enum mr_status delta_checkpoint_read(const struct delta_table *table,
                                     const struct delta_log_file *files, int nfiles,
                                     struct delta_replay *replay, struct mr_error *err)
{
    struct context context = {.table = table, .replay = replay, .arena = replay->arena};
    mr_arena_init(&context.scratch, table->runtime->memory);
    enum mr_status status = read_files(&context, files, nfiles, err);
    mr_arena_reset(&context.scratch);
    return status;
}

/*
 * writer.c - rows into data files of a table.
 *
 * The rolling is dataset/writer.c's; here are what makes a file one of Delta's: physical names and
 * numbers of columns, every column optional in Parquet (a table may become wider or looser later,
 * its files do not change), NOT NULL checked as rows pass, and what the log says of each sealed file.
 *
 * Written: u8 version, then per file: raw path, i64 size, i64 modified (milliseconds), varint count of
 * partition values (each u8 null, text), statistics, ticket. Texts have their length in front.
 */
#include "connect/delta/commit.h"

#include "base/hash.h"
#include "base/time.h"
#include "connect/delta/constraints.h"
#include "connect/delta/log_write.h"
#include "connect/delta/private.h"
#include "dataset/hive.h"
#include "dataset/writer.h"
#include "ext/registry.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#define WRITTEN_VERSION     1
#define DEFAULT_TARGET_SIZE ((int64_t)256 << 20)

struct delta_writer {
    const struct delta_table *table;
    const struct delta_metadata *metadata;
    struct mr_arena arena;
    struct mr_dataset_write write;
    struct mr_dataset_writer *writer;
    struct mr_tz *utc;
    struct delta_constraints *constraints; /* or NULL */
    struct mr_bytes written;
    struct mr_bytes scratch;
    bool finished;
};

/* ---- making ---- */

/*
 * The tag, by which a later run finds the uploads of a dead one (ext/store.h), then what tells one
 * writer of this tag from another.
 */
static enum mr_status name_identity(struct delta_writer *writer,
                                    const struct delta_writer_options *options,
                                    struct mr_error *err)
{
    uint64_t hash =
        mr_hash64_seed(options->identity, strlen(options->identity), (uint64_t)options->task);
    writer->write.tag = mr_arena_strdup(&writer->arena, options->tag);
    writer->write.identity = mr_arena_printf(&writer->arena, "%s%016" PRIx64, options->tag, hash);
    return writer->write.tag && writer->write.identity ? MR_OK : mr_error_nomem(err);
}

static enum mr_status split_schema(struct delta_writer *writer, struct mr_error *err)
{
    const struct delta_metadata *metadata = writer->metadata;
    const struct mr_schema *physical = metadata->physical;
    int npartitions = metadata->npartition_columns, count = 0;
    int *columns = mr_arena_calloc(&writer->arena, (size_t)npartitions + 1, sizeof *columns);
    struct mr_field *fields =
        mr_arena_calloc(&writer->arena, (size_t)physical->nfields + 1, sizeof *fields);
    if (!columns || !fields)
        return mr_error_nomem(err);
    for (int i = 0; i < npartitions; i++) {
        columns[i] = mr_schema_find(metadata->schema, metadata->partition_columns[i]);
        if (columns[i] < 0)
            return mr_error_data(err, MR_SINK, "partition column '%s' is not in the table's schema",
                                 metadata->partition_columns[i]);
        MR_TRY(mr_hive_check(&metadata->schema->fields[columns[i]], err));
    }
    for (int i = 0; i < physical->nfields; i++) {
        bool partition = false;
        for (int k = 0; k < npartitions; k++)
            partition |= columns[k] == i;
        if (partition)
            continue;
        fields[count] = physical->fields[i];
        fields[count++].nullable = true;
    }
    if (count == 0)
        return mr_error_config(err,
                               "every column is a partition column: none is left for the files");
    writer->write.schema = physical;
    writer->write.partition_columns = columns;
    writer->write.npartition_columns = npartitions;
    writer->write.file_schema = mr_schema_new(&writer->arena, fields, count);
    return writer->write.file_schema ? MR_OK : mr_error_nomem(err);
}

static enum mr_status find_codec(struct delta_writer *writer, const char *wanted, int level,
                                 struct mr_error *err)
{
    static const char *const codecs[] = {"snappy", "gzip", "lz4", "zstd", "none", NULL};
    const char *name = wanted;
    if (!name)
        name = delta_property(writer->metadata, "delta.parquet.compression.codec");
    if (!name)
        name = "snappy";
    if (strcasecmp(name, "uncompressed") == 0)
        name = "none";
    if (strcasecmp(name, "lz4_raw") == 0)
        name = "lz4";
    for (int i = 0; codecs[i]; i++) {
        if (strcasecmp(codecs[i], name) != 0)
            continue;
        const char *extension = i == 1 ? "gz" : codecs[i];
        writer->write.compression = codecs[i];
        writer->write.level = level;
        writer->write.extension =
            i == 4 ? "parquet" : mr_arena_printf(&writer->arena, "%s.parquet", extension);
        return writer->write.extension ? MR_OK : mr_error_nomem(err);
    }
    return mr_error_config(err, "compression %s, of the table's properties, is not in this build",
                           name);
}

static int64_t target_size(const struct delta_metadata *metadata, int64_t wanted)
{
    int64_t size = 0;
    const char *text = delta_property(metadata, "delta.targetFileSize");
    if (wanted > 0)
        return wanted;
    return text && mr_size_parse(text, &size) && size > 0 ? size : DEFAULT_TARGET_SIZE;
}

static enum mr_status sealed(void *context, const struct mr_dataset_file *file,
                             struct mr_error *err);

static enum mr_status make(struct delta_writer *writer, const struct delta_writer_options *options,
                           struct mr_error *err)
{
    const struct delta_table *table = writer->table;
    struct mr_dataset_write *write = &writer->write;
    MR_TRY(split_schema(writer, err));
    MR_TRY(find_codec(writer, options->compression, options->level, err));
    MR_TRY(mr_tz_new("UTC", &writer->utc, err));
    write->tz = writer->utc;
    write->format = mr_registry_format(table->runtime->registry, "parquet");
    if (!write->format)
        return mr_error_internal(err, "Parquet is not in this build");
    MR_TRY(name_identity(writer, options, err));
    write->store = table->store;
    write->handle = table->handle;
    write->prefix = "";
    write->task = options->task;
    write->target_file_size = target_size(writer->metadata, options->target_file_size);
    write->memory_share = options->memory_share;
    write->runtime = table->runtime;
    write->sealed = sealed;
    write->context = writer;
    if (!options->trusted)
        MR_TRY(delta_constraints_new(writer->metadata, table->runtime, table->text,
                                     &writer->constraints, err));
    return mr_dataset_writer_new(write, &writer->writer, err);
}

enum mr_status delta_writer_new(const struct delta_table *table,
                                const struct delta_metadata *metadata,
                                const struct delta_writer_options *options,
                                struct delta_writer **out, struct mr_error *err)
{
    *out = NULL;
    struct delta_writer *writer = mr_calloc(1, sizeof *writer);
    if (!writer)
        return mr_error_nomem(err);
    writer->table = table;
    writer->metadata = metadata;
    mr_arena_init(&writer->arena, table->runtime->memory);
    mr_bytes_init(&writer->written, (size_t)1 << 30);
    mr_bytes_init(&writer->scratch, (size_t)1 << 26);
    mr_bytes_u8(&writer->written, WRITTEN_VERSION);
    enum mr_status status = make(writer, options, err);
    if (status == MR_OK)
        *out = writer;
    else
        delta_writer_free(writer);
    return status;
}

/* ---- a sealed file ---- */

static enum mr_status put_values(struct delta_writer *writer, const struct mr_value *values,
                                 struct mr_error *err)
{
    int count = writer->metadata->npartition_columns;
    mr_bytes_varint(&writer->written, (uint64_t)count);
    for (int i = 0; i < count; i++) {
        mr_bytes_clear(&writer->scratch);
        bool null = !delta_put_partition_value(&writer->scratch, &values[i]);
        mr_bytes_u8(&writer->written, null);
        mr_bytes_lenpref(&writer->written, writer->scratch.data, null ? 0 : writer->scratch.size);
        MR_TRY(mr_bytes_status(&writer->scratch, err));
    }
    return MR_OK;
}

static enum mr_status sealed(void *context, const struct mr_dataset_file *file,
                             struct mr_error *err)
{
    struct delta_writer *writer = context;
    mr_bytes_clear(&writer->scratch);
    delta_put_path(&writer->scratch, file->path);
    MR_TRY(mr_bytes_status(&writer->scratch, err));
    mr_bytes_lenpref(&writer->written, writer->scratch.data, writer->scratch.size);
    mr_bytes_u64le(&writer->written, (uint64_t)file->statistics->bytes);
    mr_bytes_u64le(&writer->written, (uint64_t)(mr_clock_wall_micros() / 1000));
    MR_TRY(put_values(writer, file->values, err));
    mr_bytes_clear(&writer->scratch);
    MR_TRY(delta_put_stats(&writer->scratch, writer->metadata, file->statistics, err));
    MR_TRY(mr_bytes_status(&writer->scratch, err));
    mr_bytes_lenpref(&writer->written, writer->scratch.data, writer->scratch.size);
    mr_bytes_lenpref(&writer->written, file->ticket.data, file->ticket.size);
    return mr_bytes_status(&writer->written, err);
}

/* ---- rows ---- */

static enum mr_status null_found(const struct delta_writer *writer, const char *column,
                                 const char *inner, int64_t row, struct mr_error *err)
{
    mr_error_data(err, MR_SINK,
                  "column '%s'%s%s is NOT NULL in %s, and row %" PRId64
                  " of a batch has a NULL there",
                  column, inner ? ", field " : "", inner ? inner : "", writer->table->text, row);
    if (err)
        mr_error_hint(err, "filterRows or validateNulls in front of the load");
    return MR_SINK;
}

/* Is a field below this one NOT NULL? */
static bool is_strict(const struct mr_type *type)
{
    for (int i = 0; i < type->nfields; i++) {
        bool key = type->id == MR_TYPE_MAP && i == 0;
        if ((!type->fields[i].nullable && !key) || is_strict(type->fields[i].type))
            return true;
    }
    return false;
}

static enum mr_status check_nested(const struct delta_writer *writer, const char *column,
                                   const struct mr_column *values, const struct mr_type *type,
                                   int64_t row, struct mr_error *err);

static enum mr_status check_place(const struct delta_writer *writer, const char *column,
                                  const struct mr_field *field, const struct mr_column *values,
                                  int64_t row, struct mr_error *err)
{
    if (!field->nullable && mr_column_is_null(values, row))
        return null_found(writer, column, field->name, row, err);
    return is_strict(field->type) ? check_nested(writer, column, values, field->type, row, err)
                                  : MR_OK;
}

/* The fields below one row; `type` says what may be NULL. */
static enum mr_status check_nested(const struct delta_writer *writer, const char *column,
                                   const struct mr_column *values, const struct mr_type *type,
                                   int64_t row, struct mr_error *err)
{
    if (mr_column_is_null(values, row))
        return MR_OK;
    if (values->encoding == MR_DICTIONARY)
        return check_nested(writer, column, values->dictionary, type,
                            ((const int32_t *)(const void *)values->values->data)[row], err);
    row = values->encoding == MR_CONSTANT ? 0 : row;
    if (type->id == MR_TYPE_STRUCT) {
        for (int i = 0; i < type->nfields; i++)
            MR_TRY(check_place(writer, column, &type->fields[i], values->children[i], row, err));
        return MR_OK;
    }
    const int32_t *offsets = mr_column_offsets(values);
    for (int32_t at = offsets[row]; at < offsets[row + 1]; at++) {
        const struct mr_column *child = values->children[0];
        if (type->id == MR_TYPE_LIST)
            MR_TRY(check_place(writer, column, &type->fields[0], child, at, err));
        else
            MR_TRY(check_place(writer, column, &type->fields[1], child->children[1], at, err));
    }
    return MR_OK;
}

static enum mr_status check_nulls(const struct delta_writer *writer, const struct mr_batch *batch,
                                  struct mr_error *err)
{
    const struct mr_schema *schema = writer->metadata->schema;
    for (int i = 0; i < schema->nfields; i++) {
        const struct mr_field *field = &schema->fields[i];
        const struct mr_column *column = batch->columns[i];
        if (!field->nullable && column->nulls > 0) {
            int64_t row = 0;
            while (row < batch->rows && !mr_column_is_null(column, row))
                row++;
            return null_found(writer, field->name, NULL, row, err);
        }
        if (!is_strict(field->type))
            continue;
        for (int64_t row = 0; row < batch->rows; row++)
            MR_TRY(check_nested(writer, field->name, column, field->type, row, err));
    }
    return MR_OK;
}

enum mr_status delta_writer_add(struct delta_writer *writer, struct mr_batch *batch,
                                struct mr_error *err)
{
    if (batch->schema->nfields != writer->metadata->schema->nfields)
        return mr_error_internal(err, "a batch of %d columns for a table of %d",
                                 batch->schema->nfields, writer->metadata->schema->nfields);
    MR_TRY(check_nulls(writer, batch, err));
    if (writer->constraints && batch->rows > 0)
        MR_TRY(delta_constraints_check(writer->constraints, batch, err));
    return mr_dataset_writer_add(writer->writer, batch, err);
}

enum mr_status delta_writer_relieve(struct delta_writer *writer, int64_t bytes,
                                    struct mr_error *err)
{
    return mr_dataset_writer_relieve(writer->writer, bytes, err);
}

int64_t delta_writer_part_bytes(const struct delta_writer *writer)
{
    return mr_dataset_writer_part_bytes(writer->writer);
}

enum mr_status delta_writer_finish(struct delta_writer *writer, struct mr_bytes *out,
                                   struct mr_error *err)
{
    MR_TRY(mr_dataset_writer_finish(writer->writer, err));
    MR_TRY(mr_bytes_status(&writer->written, err));
    mr_bytes_append(out, writer->written.data, writer->written.size);
    MR_TRY(mr_bytes_status(out, err));
    writer->finished = true;
    return MR_OK;
}

/* Files that were sealed by a writer that never finished belong to nobody. */
static void discard_sealed(struct delta_writer *writer)
{
    struct delta_written written;
    struct mr_slice data = {writer->written.data, writer->written.size};
    if (delta_written_read(data, &writer->arena, &written, NULL) != MR_OK)
        return;
    for (int i = 0; i < written.count; i++)
        writer->table->store->discard(writer->table->handle, written.tickets[i], NULL);
}

void delta_writer_free(struct delta_writer *writer)
{
    if (!writer)
        return;
    mr_dataset_writer_free(writer->writer);
    if (!writer->finished && writer->written.size > 1)
        discard_sealed(writer);
    mr_tz_free(writer->utc);
    delta_constraints_free(writer->constraints);
    mr_bytes_reset(&writer->written);
    mr_bytes_reset(&writer->scratch);
    mr_arena_reset(&writer->arena);
    mr_free(writer);
}

/* ---- reading it back ---- */

static enum mr_status damaged(struct mr_error *err)
{
    return mr_error_set(err, MR_SINK, MR_CLASS_FATAL,
                        "the record of this commit is damaged or of another version");
}

static enum mr_status take_values(struct mr_byte_reader *reader, struct mr_arena *arena,
                                  struct delta_file *file, struct mr_error *err)
{
    uint64_t count = mr_byte_reader_varint(reader);
    if (reader->bad || count > (uint64_t)(reader->end - reader->at))
        return damaged(err);
    const char **values = mr_arena_calloc(arena, (size_t)count + 1, sizeof *values);
    if (!values)
        return mr_error_nomem(err);
    for (uint64_t i = 0; i < count; i++) {
        bool null = mr_byte_reader_u8(reader) != 0;
        const char *text = mr_byte_reader_lenpref_text(reader, arena);
        if (reader->bad)
            return damaged(err);
        if (!text)
            return mr_error_nomem(err);
        values[i] = null ? NULL : text;
    }
    file->partition_values = values;
    return MR_OK;
}

static enum mr_status take_file(struct mr_byte_reader *reader, struct mr_arena *arena,
                                struct delta_file *file, struct mr_slice *ticket,
                                struct mr_error *err)
{
    *file = (struct delta_file){.base_row_id = -1,
                                .default_row_commit_version = -1,
                                .data_change = true,
                                .deleted_millis = -1,
                                .version = -1};
    file->raw_path = mr_byte_reader_lenpref_text(reader, arena);
    file->size = (int64_t)mr_byte_reader_u64le(reader);
    file->modified_millis = (int64_t)mr_byte_reader_u64le(reader);
    MR_TRY(take_values(reader, arena, file, err));
    file->stats = mr_byte_reader_lenpref_text(reader, arena);
    *ticket = mr_byte_reader_lenpref(reader);
    if (reader->bad)
        return damaged(err);
    if (!file->raw_path || !file->stats)
        return mr_error_nomem(err);
    file->path = delta_path_decode(arena, mr_slice_of(file->raw_path), NULL);
    return file->path ? MR_OK : mr_error_nomem(err);
}

enum mr_status delta_written_read(struct mr_slice data, struct mr_arena *arena,
                                  struct delta_written *out, struct mr_error *err)
{
    struct mr_byte_reader reader;
    int room = 0;
    *out = (struct delta_written){0};
    mr_byte_reader_init(&reader, data.data, data.size);
    if (mr_byte_reader_u8(&reader) != WRITTEN_VERSION)
        return damaged(err);
    while (reader.at < reader.end) {
        if (out->count == room) {
            room = room ? 2 * room : 8;
            struct delta_file *files = mr_arena_calloc(arena, (size_t)room, sizeof *files);
            struct mr_slice *tickets = mr_arena_calloc(arena, (size_t)room, sizeof *tickets);
            if (!files || !tickets)
                return mr_error_nomem(err);
            if (out->count) {
                memcpy(files, out->files, (size_t)out->count * sizeof *files);
                memcpy(tickets, out->tickets, (size_t)out->count * sizeof *tickets);
            }
            out->files = files;
            out->tickets = tickets;
        }
        MR_TRY(take_file(&reader, arena, &out->files[out->count], &out->tickets[out->count], err));
        out->count++;
    }
    return MR_OK;
}

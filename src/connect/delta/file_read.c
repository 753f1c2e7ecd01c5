/*
 * file_read.c - the rows of one file of a table as the table has them.
 *
 * The Parquet reader is asked for the columns under their names (and ids) in the files; here they
 * get their logical names back, partition columns come in as constants, and rows that the deletion
 * vector names go out, by the row positions that the reader numbers them with, so that cutting a
 * file into ranges or leaving out row groups does not matter.
 */
#include "col/column.h"
#include "connect/delta/object.h"
#include "connect/delta/predicate.h"
#include "connect/delta/private.h"
#include "connect/delta/value.h"
#include "connect/delta/vector.h"
#include "dataset/byte_source.h"
#include "ext/format.h"
#include "ext/registry.h"

#define FROM_PARTITION (-1)
#define FROM_NOTHING   (-2) /* a void column */

struct origin {
    int at; /* column of the reader, or one of the above */
    struct mr_value value;
};

struct delta_read {
    const struct delta_table *table;
    struct mr_arena arena;
    struct delta_object object;
    struct mr_byte_source *source;
    const struct mr_format *format;
    void *reader;
    struct mr_format_read request;
    const struct mr_schema *out; /* with the position, if wanted */
    struct origin *origins;      /* of the fields of `out` */
    bool positions;
    bool deletes;
    struct delta_deleted deleted;
    struct delta_deleted_cursor cursor;
};

static const struct mr_field position_field = {.name = "row position"};

/* ---- opening ---- */

static enum mr_status out_schema(struct delta_read *read, const struct mr_schema *schema,
                                 struct mr_error *err)
{
    int count = schema->nfields;
    struct mr_field *fields = mr_arena_calloc(&read->arena, (size_t)count + 1, sizeof *fields);
    struct mr_schema *out = mr_arena_calloc(&read->arena, 1, sizeof *out);
    if (!fields || !out)
        return mr_error_nomem(err);
    if (count)
        memcpy(fields, schema->fields, (size_t)count * sizeof *fields);
    fields[count] = position_field;
    fields[count].type = mr_type_of(MR_TYPE_INT64);
    *out = (struct mr_schema){count + read->positions, fields};
    /* who asked for no position has a schema that outlives us; batches then carry that one */
    read->out = read->positions ? out : schema;
    return MR_OK;
}

/* Where each field comes from, and the schema that the Parquet reader is asked for. */
static enum mr_status plan_columns(struct delta_read *read, const struct delta_metadata *metadata,
                                   const struct delta_file *file, const struct mr_schema *schema,
                                   struct mr_error *err)
{
    struct mr_field *fields =
        mr_arena_calloc(&read->arena, (size_t)schema->nfields + 1, sizeof *fields);
    struct mr_schema *wanted = mr_arena_calloc(&read->arena, 1, sizeof *wanted);
    read->origins =
        mr_arena_calloc(&read->arena, (size_t)schema->nfields + 1, sizeof *read->origins);
    if (!fields || !wanted || !read->origins)
        return mr_error_nomem(err);
    for (int i = 0; i < schema->nfields; i++) {
        struct origin *origin = &read->origins[i];
        int column = mr_schema_find(metadata->schema, schema->fields[i].name);
        if (column < 0)
            return mr_error_internal(err, "%s has no column %s", read->table->text,
                                     schema->fields[i].name);
        int partition = delta_partition_index(metadata, column);
        const struct mr_type *type = metadata->schema->fields[column].type;
        if (partition >= 0) {
            const char *text = file->partition_values[partition];
            origin->at = FROM_PARTITION;
            if (!delta_value_parse(type, text, read->request.tz, &origin->value))
                return mr_error_data(err, MR_SOURCE,
                                     "%s: '%.100s' of partition column %s in the log is no %s",
                                     file->path, text, schema->fields[i].name,
                                     mr_type_text(type, (char[64]){0}, 64));
        } else if (type->id == MR_TYPE_NULL) {
            origin->at = FROM_NOTHING;
            origin->value = (struct mr_value){.type = type, .is_null = true};
        } else {
            origin->at = wanted->nfields;
            fields[wanted->nfields++] = metadata->physical->fields[column];
        }
    }
    wanted->fields = fields;
    read->request.schema = wanted;
    return MR_OK;
}

/* The conditions that can be said in the reader's columns. */
static enum mr_status plan_predicates(struct delta_read *read, const struct delta_want *want,
                                      struct mr_error *err)
{
    int ncolumns = want->schema->nfields;
    int *columns = mr_arena_calloc(&read->arena, (size_t)ncolumns + 1, sizeof *columns);
    const struct mr_predicate **kept =
        mr_arena_calloc(&read->arena, (size_t)want->npredicates + 1, sizeof *kept);
    if (!kept || !columns)
        return mr_error_nomem(err);
    for (int i = 0; i < ncolumns; i++)
        columns[i] = read->origins[i].at;
    for (int i = 0; i < want->npredicates; i++) {
        const struct mr_predicate **copy = &kept[read->request.npredicates];
        if (!delta_predicate_copy(&read->arena, want->predicates[i], columns, ncolumns, copy))
            return mr_error_nomem(err);
        read->request.npredicates += *copy != NULL;
    }
    read->request.predicates = kept;
    return MR_OK;
}

static enum mr_status open_file(struct delta_read *read, const struct delta_file *file,
                                int64_t offset, int64_t size, struct mr_error *err)
{
    const struct delta_table *table = read->table;
    read->format = mr_registry_format(table->runtime->registry, "parquet");
    if (!read->format || !read->format->read_open)
        return mr_error_internal(err, "the Parquet reader is not in this build");
    MR_TRY(delta_object_open(table, file->path, &read->object, err));
    struct mr_object object = {.path = read->object.path,
                               .name = file->path,
                               .size = file->size > 0 ? file->size : -1,
                               .modified_micros = -1};
    enum mr_status status = mr_byte_source_open(read->object.store, read->object.handle, &object,
                                                table->runtime, &read->source, err);
    if (status == MR_OK) {
        read->request.source = read->source;
        struct mr_file_range range = {offset, size};
        status = read->format->read_open(&read->request, &range, &read->reader, err);
    }
    if (status != MR_OK && err)
        mr_error_prefix(err, "%s", table->text);
    return status;
}

static enum mr_status open_read(struct delta_read *read, const struct delta_snapshot *snapshot,
                                const struct delta_file *file, const struct delta_want *want,
                                struct mr_error *err)
{
    struct mr_runtime *runtime = read->table->runtime;
    read->positions = want->positions;
    read->request =
        (struct mr_format_read){.resolve = snapshot->metadata.mapping == DELTA_MAPPING_ID
                                               ? MR_RESOLVE_ID
                                               : MR_RESOLVE_NAME,
                                .tz = want->tz,
                                .runtime = runtime};
    MR_TRY(out_schema(read, want->schema, err));
    MR_TRY(plan_columns(read, &snapshot->metadata, file, want->schema, err));
    MR_TRY(plan_predicates(read, want, err));
    if (file->vector) {
        read->deletes = true;
        MR_TRY(delta_vector_load(read->table, file->vector, &read->arena, &read->deleted, err));
    }
    read->request.row_positions = read->positions || read->deletes;
    return open_file(read, file, want->offset, want->size, err);
}

enum mr_status delta_read_open(const struct delta_table *table,
                               const struct delta_snapshot *snapshot, const struct delta_file *file,
                               const struct delta_want *want, struct delta_read **out,
                               struct mr_error *err)
{
    *out = NULL;
    struct delta_read *read = mr_calloc(1, sizeof *read);
    if (!read)
        return mr_error_nomem(err);
    read->table = table;
    mr_arena_init(&read->arena, table->runtime->memory);
    enum mr_status status = open_read(read, snapshot, file, want, err);
    if (status != MR_OK) {
        delta_read_close(read);
        return status;
    }
    *out = read;
    return MR_OK;
}

void delta_read_close(struct delta_read *read)
{
    if (!read)
        return;
    if (read->reader)
        read->format->read_close(read->reader);
    mr_byte_source_close(read->source);
    delta_object_close(&read->object);
    mr_arena_reset(&read->arena);
    mr_free(read);
}

/* ---- batches ---- */

/* The rows that are left, as numbers in the batch; *rows NULL when all are. */
static enum mr_status keep_rows(struct delta_read *read, const struct mr_batch *batch,
                                int32_t **rows, int64_t *count, struct mr_error *err)
{
    const struct mr_column *column = batch->columns[batch->schema->nfields - 1];
    const int64_t *positions = (const int64_t *)(const void *)column->values->data;
    int32_t *kept = NULL;
    *count = batch->rows;
    *rows = NULL;
    for (int64_t i = 0; i < batch->rows; i++) {
        bool gone = delta_deleted_has(&read->deleted, &read->cursor, (uint64_t)positions[i]);
        if (gone && !kept) {
            kept = mr_alloc((size_t)batch->rows * sizeof *kept);
            if (!kept)
                return mr_error_nomem(err);
            for (int64_t k = 0; k < i; k++)
                kept[k] = (int32_t)k;
            *count = i;
        } else if (!gone && kept) {
            kept[(*count)++] = (int32_t)i;
        }
    }
    *rows = kept;
    return MR_OK;
}

static enum mr_status apply_deletes(struct delta_read *read, struct mr_batch **batch,
                                    struct mr_error *err)
{
    int32_t *rows;
    int64_t count;
    struct mr_batch *left;
    MR_TRY(keep_rows(read, *batch, &rows, &count, err));
    if (!rows)
        return MR_OK;
    enum mr_status status =
        mr_batch_take(read->table->runtime->memory, *batch, rows, count, &left, err);
    mr_free(rows);
    if (status == MR_OK) {
        mr_batch_unref(*batch);
        *batch = left;
    }
    return status;
}

static enum mr_status out_column(struct delta_read *read, const struct mr_batch *batch, int i,
                                 struct mr_column **out, struct mr_error *err)
{
    const struct mr_type *type = read->out->fields[i].type;
    if (read->positions && i == read->out->nfields - 1) {
        *out = mr_column_ref(batch->columns[batch->schema->nfields - 1]);
        return MR_OK;
    }
    const struct origin *origin = &read->origins[i];
    if (origin->at >= 0)
        return mr_column_retype(batch->columns[origin->at], type, out, err);
    return mr_column_new_constant(read->table->runtime->memory, type, &origin->value, batch->rows,
                                  out, err);
}

static enum mr_status logical(struct delta_read *read, const struct mr_batch *batch,
                              struct mr_batch **out, struct mr_error *err)
{
    int count = read->out->nfields;
    struct mr_column **columns = mr_calloc((size_t)count + 1, sizeof *columns);
    if (!columns)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    int made = 0;
    for (; made < count && status == MR_OK; made++)
        status = out_column(read, batch, made, &columns[made], err);
    if (status == MR_OK)
        status = mr_batch_new(read->out, batch->rows, columns, out, err);
    else
        for (int i = 0; i < made; i++)
            mr_column_unref(columns[i]);
    mr_free(columns);
    return status;
}

enum mr_status delta_read_next(struct delta_read *read, struct mr_batch **out, struct mr_error *err)
{
    for (;;) {
        struct mr_batch *batch = NULL;
        *out = NULL;
        MR_TRY(read->format->read_next(read->reader, &batch, err));
        if (!batch)
            return MR_OK;
        enum mr_status status = read->deletes ? apply_deletes(read, &batch, err) : MR_OK;
        if (status == MR_OK && batch->rows > 0)
            status = logical(read, batch, out, err);
        mr_batch_unref(batch);
        if (status != MR_OK || *out)
            return status;
    }
}

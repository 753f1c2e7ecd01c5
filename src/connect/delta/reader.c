/*
 * reader.c - the rows of a split, file by file.
 *
 * Position: 01 | part of the split | rows delivered of it. Reading again from there opens that part
 * and lets those rows pass, which is right because a file is read in one order.
 *
 * A split of another version than the plan's (a plan made elsewhere, earlier) is read in its own
 * version.
 */
#include "col/column.h"
#include "connect/delta/predicate.h"
#include "connect/delta/source.h"

#define POSITION_VERSION 1

struct reader {
    const struct delta_source *source;
    struct mr_runtime *runtime;
    struct mr_arena arena;
    struct delta_table table;
    struct delta_shared *shared; /* of another version, or NULL */
    const struct delta_snapshot *snapshot;
    struct delta_split split;
    struct delta_want want;
    bool wants_file; /* an address */
    bool wants_position;
    const struct mr_predicate *const *pruning; /* over the table: of a build side */
    int npruning;
    struct delta_statistics *statistics;
    struct delta_read *read; /* of the part, or NULL */
    int part;                /* the next or the open one */
    int64_t rows;            /* delivered of it */
    int64_t pass;            /* rows of it to let pass */
    int64_t left;            /* rows that are still wanted, -1 = all */
    struct mr_value file;    /* its address */
};

/* ---- opening ---- */

/* The table's columns of what comes out, without addresses. */
static enum mr_status plan_columns(struct reader *reader, int *numbers, struct mr_error *err)
{
    const struct delta_source *source = reader->source;
    int fields = delta_source_fields(source);
    struct mr_schema *schema = mr_arena_calloc(&reader->arena, 1, sizeof *schema);
    struct mr_field *wanted =
        mr_arena_calloc(&reader->arena, (size_t)source->schema->nfields + 1, sizeof *wanted);
    if (!schema || !wanted)
        return mr_error_nomem(err);
    for (int i = 0; i < fields; i++)
        numbers[i] = -1;
    for (int i = 0; i < source->schema->nfields; i++) {
        int column = source->columns[i];
        if (column < fields) {
            numbers[column] = schema->nfields;
            wanted[schema->nfields++] = source->schema->fields[i];
        }
        reader->wants_file = reader->wants_file || column == fields;
        reader->wants_position = reader->wants_position || column == fields + 1;
    }
    schema->fields = wanted;
    reader->want.schema = schema;
    reader->want.positions = reader->wants_position;
    return MR_OK;
}

static enum mr_status plan_predicates(struct reader *reader, const int *numbers,
                                      struct mr_error *err)
{
    const struct delta_source *source = reader->source;
    int fields = delta_source_fields(source);
    const struct mr_predicate **kept =
        mr_arena_calloc(&reader->arena, (size_t)source->npredicates + 2, sizeof *kept);
    const struct mr_predicate **pruning = mr_arena_calloc(&reader->arena, 1, sizeof *pruning);
    if (!kept || !pruning)
        return mr_error_nomem(err);
    int count = 0;
    for (int i = 0; i < source->npredicates; i++) {
        if (!delta_predicate_copy(&reader->arena, source->predicates[i], numbers, fields,
                                  &kept[count]))
            return mr_error_nomem(err);
        count += kept[count] != NULL;
    }
    const struct mr_predicate *narrowed = NULL;
    if (source->narrowed &&
        (!delta_predicate_copy(&reader->arena, source->narrowed, source->columns,
                               source->schema->nfields, &narrowed) ||
         (narrowed &&
          (!delta_predicate_copy(&reader->arena, narrowed, NULL, fields, &pruning[0]) ||
           !delta_predicate_copy(&reader->arena, narrowed, numbers, fields, &kept[count])))))
        return mr_error_nomem(err);
    count += kept[count] != NULL;
    reader->npruning = pruning[0] != NULL;
    reader->pruning = pruning;
    reader->want.predicates = kept;
    reader->want.npredicates = count;
    return MR_OK;
}

static enum mr_status find_increment(struct reader *reader, struct mr_error *err)
{
    const struct delta_source *source = reader->source;
    struct delta_table table;
    int nskipped;
    if (!source->increment)
        return mr_error_internal(err, "a split of an increment, which is not asked for");
    MR_TRY(delta_table_open(&source->location, source->options, reader->runtime, &table, err));
    enum mr_status status = delta_increment_read(&table, reader->snapshot, reader->split.from,
                                                 source->increment->changes, &reader->arena,
                                                 &reader->snapshot, &nskipped, err);
    delta_table_close(&table);
    return status;
}

static enum mr_status find_version(struct reader *reader, struct mr_error *err)
{
    const struct delta_source *source = reader->source;
    reader->snapshot = source->snapshot;
    if (reader->split.version != source->snapshot->version ||
        reader->split.from != delta_source_from(source)) {
        struct delta_asof asof = {reader->split.version, INT64_MIN};
        MR_TRY(delta_shared_get(reader->runtime, &source->location, source->options, &asof,
                                &reader->shared, err));
        reader->snapshot = reader->shared->snapshot;
        if (reader->snapshot && reader->split.from != DELTA_WHOLE)
            MR_TRY(find_increment(reader, err));
    }
    for (int i = 0; i < reader->split.nparts; i++) {
        if (!reader->snapshot || reader->split.parts[i].file >= reader->snapshot->nfiles)
            return mr_error_internal(err, "a split names a file that the table does not have");
    }
    return MR_OK;
}

static enum mr_status read_position(struct reader *reader, struct mr_slice from,
                                    struct mr_error *err)
{
    if (from.size == 0)
        return MR_OK;
    struct mr_byte_reader bytes;
    mr_byte_reader_init(&bytes, from.data, from.size);
    uint8_t form = mr_byte_reader_u8(&bytes);
    uint64_t part = mr_byte_reader_varint(&bytes);
    uint64_t rows = mr_byte_reader_varint(&bytes);
    uint64_t left = mr_byte_reader_varint(&bytes);
    if (bytes.bad || left > INT64_MAX || form != POSITION_VERSION ||
        part > (uint64_t)reader->split.nparts || rows > INT64_MAX)
        return mr_error_internal(err, "a position that is not of this split");
    reader->part = (int)part;
    reader->pass = (int64_t)rows;
    reader->left = (int64_t)left - 1;
    return MR_OK;
}

static enum mr_status open_reader(struct reader *reader, struct mr_slice split,
                                  struct mr_slice from, struct mr_error *err)
{
    const struct delta_source *source = reader->source;
    MR_TRY(delta_split_read(split, &reader->arena, &reader->split, err));
    reader->left = source->limit;
    MR_TRY(read_position(reader, from, err));
    MR_TRY(find_version(reader, err));
    int *numbers =
        mr_arena_calloc(&reader->arena, (size_t)delta_source_fields(source) + 1, sizeof *numbers);
    if (!numbers)
        return mr_error_nomem(err);
    MR_TRY(plan_columns(reader, numbers, err));
    MR_TRY(plan_predicates(reader, numbers, err));
    reader->want.tz = source->tz;
    if (reader->npruning)
        MR_TRY(delta_statistics_new(&reader->snapshot->metadata, source->tz, &reader->statistics,
                                    err));
    return delta_table_open(&source->location, source->options, reader->runtime, &reader->table,
                            err);
}

enum mr_status delta_reader_open(void *state, struct mr_runtime *runtime, struct mr_slice split,
                                 struct mr_slice from, void **out, struct mr_error *err)
{
    *out = NULL;
    struct reader *reader = mr_calloc(1, sizeof *reader);
    if (!reader)
        return mr_error_nomem(err);
    reader->source = state;
    reader->runtime = runtime;
    mr_arena_init(&reader->arena, runtime->memory);
    enum mr_status status = open_reader(reader, split, from, err);
    if (status != MR_OK) {
        delta_reader_close(reader);
        return status;
    }
    *out = reader;
    return MR_OK;
}

void delta_reader_close(void *object)
{
    struct reader *reader = object;
    delta_read_close(reader->read);
    delta_statistics_free(reader->statistics);
    delta_table_close(&reader->table);
    delta_shared_release(reader->shared);
    mr_arena_reset(&reader->arena);
    mr_free(reader);
}

/* ---- reading ---- */

/* What was learnt of a build side after the plan may leave out files. */
static bool is_skipped(struct reader *reader, const struct delta_part *part,
                       const struct delta_file *file)
{
    if (!reader->npruning)
        return false;
    struct mr_prune_part facts = {delta_statistics_column, reader->statistics, reader->source->tz};
    delta_statistics_file(reader->statistics, file);
    if (mr_prune_all(reader->pruning, reader->npruning, &facts) != MR_PRUNE_NONE)
        return false;
    mr_count(reader->runtime, MR_COUNT_FILES_SKIPPED, part->offset == 0);
    mr_count(reader->runtime, MR_COUNT_BYTES_SKIPPED,
             part->size == INT64_MAX ? file->size - part->offset : part->size);
    return true;
}

static enum mr_status make_address(struct reader *reader, const struct delta_file *file,
                                   struct mr_error *err)
{
    char *text = delta_file_address(&reader->arena, file);
    if (!text)
        return mr_error_nomem(err);
    reader->file =
        (struct mr_value){.type = mr_type_of(MR_TYPE_STRING), .u.bytes = mr_slice_of(text)};
    return MR_OK;
}

static enum mr_status open_part(struct reader *reader, struct mr_error *err)
{
    const struct delta_part *part = &reader->split.parts[reader->part];
    const struct delta_file *file = &reader->snapshot->files[part->file];
    reader->rows = 0;
    if (is_skipped(reader, part, file)) {
        reader->part++;
        reader->pass = 0;
        return MR_OK;
    }
    if (reader->wants_file)
        MR_TRY(make_address(reader, file, err));
    reader->want.offset = part->offset;
    reader->want.size = part->size;
    mr_count(reader->runtime, MR_COUNT_FILES_READ, 1);
    return delta_read_open(&reader->table, reader->snapshot, file, &reader->want, &reader->read,
                           err);
}

/* The columns of the file in the order of what comes out, addresses among them. */
static enum mr_status put_together(struct reader *reader, const struct mr_batch *batch,
                                   struct mr_batch **out, struct mr_error *err)
{
    const struct delta_source *source = reader->source;
    int fields = delta_source_fields(source);
    int count = source->schema->nfields;
    struct mr_column **columns = mr_calloc((size_t)count + 1, sizeof(struct mr_column *));
    if (!columns)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    int next = 0;
    for (int i = 0; i < count && status == MR_OK; i++) {
        if (source->columns[i] == fields)
            status = mr_column_new_constant(reader->runtime->memory, reader->file.type,
                                            &reader->file, batch->rows, &columns[i], err);
        else if (source->columns[i] == fields + 1)
            columns[i] = mr_column_ref(batch->columns[reader->want.schema->nfields]);
        else
            columns[i] = mr_column_ref(batch->columns[next++]);
    }
    if (status == MR_OK) {
        status = mr_batch_new(source->schema, batch->rows, columns, out, err);
    } else {
        for (int i = 0; i < count; i++)
            mr_column_unref(columns[i]);
    }
    mr_free(columns);
    return status;
}

/* Without the rows that were delivered before, and those beyond the limit. NULL: none is left. */
static enum mr_status cut(struct reader *reader, struct mr_batch **batch, struct mr_error *err)
{
    int64_t rows = (*batch)->rows;
    int64_t first = reader->pass < rows ? reader->pass : rows;
    int64_t count = rows - first;
    reader->pass -= first;
    reader->rows += first;
    if (reader->left >= 0 && count > reader->left)
        count = reader->left;
    if (count == rows)
        return MR_OK;
    struct mr_batch *whole = *batch;
    *batch = NULL;
    enum mr_status status =
        count ? mr_batch_slice(reader->runtime->memory, whole, first, count, batch, err) : MR_OK;
    mr_batch_unref(whole);
    return status;
}

/* The next batch of the open part; NULL at its end. */
static enum mr_status next_of_part(struct reader *reader, struct mr_batch **out,
                                   struct mr_error *err)
{
    *out = NULL;
    struct mr_batch *batch = NULL;
    while (!*out) {
        MR_TRY(delta_read_next(reader->read, &batch, err));
        if (!batch)
            break;
        MR_TRY(cut(reader, &batch, err));
        if (!batch)
            continue;
        enum mr_status status = put_together(reader, batch, out, err);
        mr_batch_unref(batch);
        MR_TRY(status);
    }
    if (*out) {
        reader->rows += (*out)->rows;
        reader->left -= reader->left >= 0 ? (*out)->rows : 0;
        return MR_OK;
    }
    delta_read_close(reader->read);
    reader->read = NULL;
    reader->part++;
    reader->rows = reader->pass = 0;
    return MR_OK;
}

enum mr_status delta_reader_next(void *object, struct mr_item *out, struct mr_error *err)
{
    struct reader *reader = object;
    *out = (struct mr_item){.kind = MR_ITEM_END};
    while (reader->left != 0) {
        if (!reader->read) {
            if (reader->part == reader->split.nparts)
                return MR_OK;
            MR_TRY(open_part(reader, err));
            continue;
        }
        MR_TRY(next_of_part(reader, &out->batch, err));
        if (out->batch) {
            out->kind = MR_ITEM_BATCH;
            mr_count(reader->runtime, MR_COUNT_ROWS_READ, out->batch->rows);
            return MR_OK;
        }
    }
    return MR_OK;
}

enum mr_status delta_reader_position(void *object, struct mr_bytes *out, struct mr_error *err)
{
    const struct reader *reader = object;
    mr_bytes_u8(out, POSITION_VERSION);
    mr_bytes_varint(out, (uint64_t)reader->part);
    mr_bytes_varint(out, (uint64_t)(reader->rows + reader->pass));
    mr_bytes_varint(out, (uint64_t)(reader->left + 1));
    return mr_bytes_status(out, err);
}

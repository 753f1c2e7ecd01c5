/*
 * read.c - a split into batches: its pieces of files one after the other, the partition columns beside what the format gives.
 *
 * The format makes the rows; here is what it cannot know: constants of the directory, the limit of the split, batches no larger than
 * asked for, and going on behind a row, for which the rows before are read and dropped (row numbers of a piece are stable because files
 * that were replaced are refused). A piece whose partition values the keys of a build side rule out is not opened.
 */
#include "connect/files/read.h"

#include "base/hash.h"
#include "dataset/byte_source.h"

struct reader {
    const struct files_source *source;
    struct mr_runtime *runtime;
    struct mr_arena arena; /* of the split */
    struct mr_arena piece_arena;
    struct files_piece *pieces;
    int npieces;
    void *handle;
    const struct mr_predicate **predicates;
    /* the piece that is open */
    struct mr_byte_source *bytes;
    void *format_reader;
    struct mr_format_read read;
    struct mr_file_range range;
    struct mr_value *values;  /* of the partitions */
    int64_t skip;             /* rows to drop before the first that is wanted */
    int64_t rejected;         /* records of the piece that the format has rejected */
    struct mr_batch *pending; /* larger than a batch may be */
    int64_t pending_from;
    struct files_position position;
    bool piece_done; /* nothing more is in it, but rejected records may wait to be delivered */
    bool told;       /* the log has an example of what is rejected */
    bool quarantines;
    struct files_rejects rejects;
};

/* --- the piece --- */

static void close_piece(struct reader *reader)
{
    if (reader->format_reader != NULL)
        reader->source->format->read_close(reader->format_reader);
    reader->format_reader = NULL;
    mr_byte_source_close(reader->bytes);
    reader->bytes = NULL;
    mr_batch_unref(reader->pending);
    reader->pending = NULL;
    mr_arena_reset(&reader->piece_arena);
}

static void bad_row(void *context, const struct mr_bad_row *row)
{
    struct reader *reader = context;
    if (reader->rejected++ < reader->position.rejected)
        return; /* was delivered before the reader was opened again */
    mr_count(reader->runtime, MR_COUNT_ROWS_REJECTED, 1);
    if (reader->quarantines)
        files_rejects_add(&reader->rejects, reader->bytes->name, row);
    else
        reader->position.rejected++;
    if (reader->told)
        return;
    reader->told = true;
    mr_event(reader->runtime, MR_LOG_WARN,
             "%s: byte %lld%s%s%s: %s; further ones of this split are only counted",
             reader->bytes->name, (long long)row->offset, row->column ? ", column \"" : "",
             row->column ? row->column : "", row->column ? "\"" : "", row->reason);
}

/* *wanted false: the directory's values rule the file out. */
static enum mr_status look_at_directory(struct reader *reader, const struct files_piece *piece,
                                        bool *wanted, struct mr_error *err)
{
    const struct files_source *source = reader->source;
    struct mr_arena *arena = &reader->piece_arena;
    const char *const *texts;
    *wanted = true;
    MR_TRY(files_path_values(source, piece->path.data, arena, &texts, err));
    reader->values =
        mr_arena_calloc(arena, (size_t)source->npartitions + 1, sizeof *reader->values);
    if (reader->values == NULL)
        return mr_error_nomem(err);
    struct files_entry entry = {.values = texts};
    for (int i = 0; i < source->npartitions; i++)
        if (!files_partition_value(source, &entry, i, &reader->values[i]))
            return mr_error_internal(err, "a value of the directory of %s", piece->path.data);
    if (source->narrowed != NULL && source->npartitions > 0)
        *wanted = !files_rules_out(source, source->narrowed, source->from, texts);
    return MR_OK;
}

static enum mr_status open_format(struct reader *reader, const struct files_piece *piece,
                                  struct mr_error *err)
{
    const struct files_source *source = reader->source;
    struct mr_object object = {
        .path = piece->path.data,
        .name = files_name(source, &reader->piece_arena, piece->path.data),
        .size = piece->size,
        .modified_micros = piece->modified_micros,
    };
    MR_TRY(mr_byte_source_open(source->location.store, reader->handle, &object, reader->runtime,
                               &reader->bytes, err));
    int npredicates = source->nfile_predicates;
    for (int i = 0; i < npredicates; i++)
        reader->predicates[i] = source->file_predicates[i];
    if (source->narrowed_file != NULL)
        reader->predicates[npredicates++] = source->narrowed_file;
    reader->read = (struct mr_format_read){
        .source = reader->bytes,
        .options = source->options,
        .schema = source->read,
        .predicates = reader->predicates,
        .npredicates = npredicates,
        .on_error = source->on_error,
        .bad = bad_row,
        .bad_context = reader,
        .tz = source->tz,
        .runtime = reader->runtime,
    };
    reader->range = (struct mr_file_range){piece->offset, piece->length};
    mr_count(reader->runtime, MR_COUNT_FILES_READ, 1);
    return source->format->read_open(&reader->read, &reader->range, &reader->format_reader, err);
}

static void next_piece(struct reader *reader)
{
    reader->position.piece++;
    reader->position.rows = 0;
    reader->position.rejected = 0;
    reader->piece_done = false;
}

/* The piece at the position, or the next that is wanted; none: position.piece is behind the last. */
static enum mr_status open_piece(struct reader *reader, struct mr_error *err)
{
    while (reader->position.piece < reader->npieces) {
        const struct files_piece *piece = &reader->pieces[reader->position.piece];
        bool wanted;
        MR_TRY(look_at_directory(reader, piece, &wanted, err));
        if (wanted) {
            reader->skip = reader->position.rows;
            reader->rejected = 0;
            return open_format(reader, piece, err);
        }
        mr_count(reader->runtime, MR_COUNT_FILES_SKIPPED, 1);
        mr_count(reader->runtime, MR_COUNT_BYTES_SKIPPED,
                 piece->length == INT64_MAX ? piece->size - piece->offset : piece->length);
        mr_arena_reset(&reader->piece_arena);
        next_piece(reader);
    }
    return MR_OK;
}

/* --- batches --- */

static enum mr_status check_nulls(const struct reader *reader, const struct mr_batch *batch,
                                  struct mr_error *err)
{
    for (int i = 0; i < batch->schema->nfields; i++)
        if (!batch->schema->fields[i].nullable && batch->columns[i]->nulls > 0)
            return mr_error_data(err, MR_SOURCE,
                                 "%s: the column \"%s\" is NOT NULL, but there are NULLs in it",
                                 reader->bytes->name, batch->schema->fields[i].name);
    return MR_OK;
}

/* The columns of the files and the constants, in the order of the schema. */
static enum mr_status with_partitions(struct reader *reader, struct mr_batch *batch,
                                      struct mr_batch **out, struct mr_error *err)
{
    const struct files_source *source = reader->source;
    const struct mr_schema *schema = source->schema;
    struct mr_column **columns = mr_calloc((size_t)schema->nfields + 1, sizeof(struct mr_column *));
    if (columns == NULL)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    int made = 0;
    for (; made < schema->nfields && status == MR_OK; made++) {
        int from = source->from[made];
        if (from >= 0)
            columns[made] = mr_column_ref(batch->columns[from]);
        else
            status =
                mr_column_new_constant(reader->runtime->memory, schema->fields[made].type,
                                       &reader->values[~from], batch->rows, &columns[made], err);
    }
    if (status == MR_OK)
        status = mr_batch_new(schema, batch->rows, columns, out, err);
    else
        for (int i = 0; i < made; i++)
            mr_column_unref(columns[i]);
    mr_free(columns);
    return status;
}

/* What the format gives next, without rows that were delivered before; NULL at the end of the piece. */
static enum mr_status fetch(struct reader *reader, struct mr_batch **out, struct mr_error *err)
{
    const struct files_source *source = reader->source;
    for (;;) {
        struct mr_batch *batch = NULL;
        if (mr_wait_cancelled(reader->runtime->waiter))
            return mr_error_cancelled(err);
        MR_TRY(source->format->read_next(reader->format_reader, &batch, err));
        *out = batch;
        if (reader->rejects.status != MR_OK) {
            mr_batch_unref(batch);
            if (err != NULL)
                *err = reader->rejects.err;
            return reader->rejects.status;
        }
        if (batch == NULL)
            return MR_OK;
        if (batch->rows == 0 || batch->rows <= reader->skip) {
            reader->skip -= batch->rows;
            mr_batch_unref(batch);
            continue;
        }
        enum mr_status status = check_nulls(reader, batch, err);
        if (status == MR_OK && reader->skip > 0)
            status = mr_batch_slice(reader->runtime->memory, batch, reader->skip,
                                    batch->rows - reader->skip, out, err);
        if (status != MR_OK || reader->skip > 0)
            mr_batch_unref(batch);
        reader->skip = 0;
        return status;
    }
}

/* At most the rows that a batch may have and that the limit leaves. */
static enum mr_status cut(struct reader *reader, struct mr_batch **out, struct mr_error *err)
{
    struct mr_batch *whole = reader->pending;
    int64_t rows = whole->rows - reader->pending_from, most = reader->runtime->batch_rows;
    int64_t limit = reader->source->limit;
    if (most > 0 && rows > most)
        rows = most;
    if (limit >= 0 && rows > limit - reader->position.total)
        rows = limit - reader->position.total;
    enum mr_status status = MR_OK;
    if (rows == whole->rows)
        *out = mr_batch_ref(whole);
    else
        status =
            mr_batch_slice(reader->runtime->memory, whole, reader->pending_from, rows, out, err);
    reader->pending_from += rows;
    if (status != MR_OK || reader->pending_from == whole->rows) {
        mr_batch_unref(whole);
        reader->pending = NULL;
    }
    return status;
}

static bool is_full(const struct reader *reader)
{
    return reader->source->limit >= 0 && reader->position.total >= reader->source->limit;
}

/* Fills reader->pending; it stays NULL at the end of the split, and where rejected records come first. */
static enum mr_status next_pending(struct reader *reader, struct mr_error *err)
{
    while (reader->pending == NULL && !is_full(reader) && reader->rejects.rows == 0) {
        if (reader->piece_done)
            next_piece(reader);
        if (reader->format_reader == NULL)
            MR_TRY(open_piece(reader, err));
        if (reader->position.piece >= reader->npieces)
            return MR_OK;
        MR_TRY(fetch(reader, &reader->pending, err));
        reader->pending_from = 0;
        reader->piece_done = reader->pending == NULL;
        if (reader->piece_done)
            close_piece(reader);
    }
    return MR_OK;
}

static enum mr_status give_rejects(struct reader *reader, struct mr_item *out, struct mr_error *err)
{
    MR_TRY(files_rejects_finish(&reader->rejects, reader->source->side, &out->batch, err));
    out->kind = MR_ITEM_BATCH;
    out->port = 1;
    reader->position.rejected += out->batch->rows;
    return MR_OK;
}

static enum mr_status give_rows(struct reader *reader, struct mr_item *out, struct mr_error *err)
{
    struct mr_batch *part = NULL;
    MR_TRY(cut(reader, &part, err));
    int64_t rows = part->rows;
    enum mr_status status = with_partitions(reader, part, &out->batch, err);
    mr_batch_unref(part);
    MR_TRY(status);
    out->kind = MR_ITEM_BATCH;
    reader->position.rows += rows;
    reader->position.total += rows;
    mr_count(reader->runtime, MR_COUNT_ROWS_READ, rows);
    mr_count(reader->runtime, MR_COUNT_BATCHES, 1);
    return MR_OK;
}

enum mr_status files_reader_next(void *object, struct mr_item *out, struct mr_error *err)
{
    struct reader *reader = object;
    *out = (struct mr_item){.kind = MR_ITEM_END};
    if (mr_wait_cancelled(reader->runtime->waiter))
        return mr_error_cancelled(err);
    MR_TRY(next_pending(reader, err));
    if (reader->rejects.rows > 0)
        return give_rejects(reader, out, err);
    return reader->pending != NULL ? give_rows(reader, out, err) : MR_OK;
}

enum mr_status files_reader_position(void *object, struct mr_bytes *out, struct mr_error *err)
{
    const struct reader *reader = object;
    files_position_write(&reader->position, out);
    return mr_bytes_status(out, err);
}

/* --- open, close --- */

void files_reader_close(void *object)
{
    struct reader *reader = object;
    close_piece(reader);
    if (reader->handle != NULL)
        reader->source->location.store->close(reader->handle);
    mr_arena_reset(&reader->piece_arena);
    mr_arena_reset(&reader->arena);
    if (reader->quarantines)
        files_rejects_reset(&reader->rejects);
    mr_free(reader);
}

static enum mr_status open_reader(struct reader *reader, struct mr_slice split,
                                  struct mr_slice from, struct mr_error *err)
{
    const struct files_source *source = reader->source;
    uint64_t of = mr_hash64_seed(split.data, split.size, source->predicate_hash);
    of = files_hash_predicate(source->narrowed, of);
    MR_TRY(files_split_read(split, &reader->arena, &reader->pieces, &reader->npieces, err));
    MR_TRY(files_position_read(from, of, &reader->position, err));
    if (reader->position.piece > reader->npieces)
        return mr_error_internal(err, "a position that is not of this split of files");
    reader->predicates = mr_arena_calloc(&reader->arena, (size_t)source->nfile_predicates + 1,
                                         sizeof(struct mr_predicate *));
    if (reader->predicates == NULL)
        return mr_error_nomem(err);
    reader->quarantines = source->side != NULL;
    if (reader->quarantines)
        MR_TRY(files_rejects_init(&reader->rejects, source->side, reader->runtime, err));
    return source->location.store->open(source->place.url, source->options, reader->runtime,
                                        &reader->handle, err);
}

enum mr_status files_reader_open(void *state, struct mr_runtime *runtime, struct mr_slice split,
                                 struct mr_slice from, void **out, struct mr_error *err)
{
    *out = NULL;
    struct reader *reader = mr_calloc(1, sizeof *reader);
    if (reader == NULL)
        return mr_error_nomem(err);
    reader->source = state;
    reader->runtime = runtime;
    mr_arena_init(&reader->arena, runtime->memory);
    mr_arena_init(&reader->piece_arena, runtime->memory);
    enum mr_status status = open_reader(reader, split, from, err);
    if (status != MR_OK) {
        files_reader_close(reader);
        return status;
    }
    *out = reader;
    return MR_OK;
}

/*
 * writer.c - the rolling, staged, partitioned writer.
 *
 * A batch is split by partition (group.h), each part goes to that partition's open file. Three limits are kept:
 *
 *  - Size: a file whose bytes on the disk reach the target is sealed and the next one opens with the next number. What
 *    the format still buffers counts by the ratio seen so far; when that estimate reaches the target first, the
 *    buffer is flushed, so the decision to seal is made on real bytes and the files come out near the target.
 *  - Memory: open files may hold a share of the step's account. Over it the largest are flushed first (their row
 *    groups are the least hurt), until half of what flushing can give back is free. What a file holds even when it was
 *    just flushed is its floor; if the floors alone pass the share, half of the files are sealed. The same happens when
 *    others have nearly used up the account.
 *  - Open files: over the limit, the least recently used is sealed; its partition goes on in another file later.
 *
 * What is written where depends only on the rows and their order, never on time: flushes follow the bytes of this task. (The
 * guard for a nearly empty account is the one exception; it changes where row groups end, not rows or names.)
 * Sorting the rows by partition first, as Spark does, keeps one file open at a time, but needs a spilling sort of everything.
 */
#include "dataset/writer.h"

#include "base/map.h"
#include "col/kernel.h"
#include "dataset/group.h"
#include "dataset/hive.h"

#include <stdio.h>
#include <stdlib.h>

#define SHARE_MINIMUM ((int64_t)1 << 20)
#define SHARE_MAXIMUM ((int64_t)512 << 20)
/* Under this much buffered altogether, flushing because of others gains nothing. */
#define RELIEF_MINIMUM ((int64_t)4 << 20)
/* The store keeps few descriptors however many files are open (store/local_stage.c): memory is the limit that counts. */
#define OPEN_MAXIMUM 16384
#define SMALL_FILE   ((int64_t)10 << 20)

struct part {
    struct mr_byte_sink sink; /* first: the format writes here */
    struct mr_dataset_writer *writer;
    const char *directory; /* "" = no partition */
    const struct mr_value *values;
    int sequence; /* of the next file */
    char *path;   /* of the open file, or NULL */
    void *stage;
    void *format_writer; /* NULL = no file is open */
    int64_t buffered;    /* memory that the open file holds */
    int64_t floor;       /* of it, what its last flush did not give back */
    uint64_t used;       /* clock of the last write */
};

struct mr_dataset_writer {
    const struct mr_dataset_write *write;
    struct mr_arena arena; /* parts, directories, values */
    struct mr_map parts;   /* directory -> struct part */
    struct mr_grouper grouper;
    struct mr_bytes name; /* scratch */
    int *data_columns;    /* index in the batch of each column of the file */
    int64_t share;
    int max_open;
    int open;
    int64_t buffered; /* of all open files */
    int64_t floors;
    uint64_t clock;
    double ratio; /* bytes on the disk per byte buffered, 0 = not known yet */
};

/* ---- making ---- */

static int64_t share_of(const struct mr_dataset_write *write)
{
    if (write->memory_share > 0)
        return write->memory_share;
    int tasks = write->runtime->parallelism > 0 ? write->runtime->parallelism : 1;
    int64_t share = mr_memory_available(write->runtime->memory) / (2 * tasks);
    return share < SHARE_MINIMUM ? SHARE_MINIMUM : share > SHARE_MAXIMUM ? SHARE_MAXIMUM : share;
}

static bool is_partition_column(const struct mr_dataset_write *write, int column)
{
    for (int i = 0; i < write->npartition_columns; i++) {
        if (write->partition_columns[i] == column)
            return true;
    }
    return false;
}

enum mr_status mr_dataset_writer_new(const struct mr_dataset_write *write,
                                     struct mr_dataset_writer **out, struct mr_error *err)
{
    struct mr_dataset_writer *writer = mr_calloc(1, sizeof *writer);
    if (!writer)
        return mr_error_nomem(err);
    writer->write = write;
    writer->share = share_of(write);
    writer->max_open = write->max_open ? write->max_open : OPEN_MAXIMUM;
    mr_arena_init(&writer->arena, write->runtime->memory);
    mr_map_init(&writer->parts, false);
    mr_grouper_init(&writer->grouper, write->runtime->memory);
    mr_bytes_init(&writer->name, 1 << 20);
    writer->data_columns = mr_arena_calloc(&writer->arena, (size_t)write->file_schema->nfields + 1,
                                           sizeof *writer->data_columns);
    if (!writer->data_columns) {
        mr_dataset_writer_free(writer);
        return mr_error_nomem(err);
    }
    for (int i = 0, n = 0; i < write->schema->nfields; i++) {
        if (!is_partition_column(write, i))
            writer->data_columns[n++] = i;
    }
    *out = writer;
    return MR_OK;
}

static enum mr_status append_bytes(struct mr_byte_sink *sink, const void *data, size_t size,
                                   struct mr_error *err)
{
    struct part *part = (struct part *)(void *)sink;
    const struct mr_dataset_write *write = part->writer->write;
    MR_TRY(write->store->stage_append(part->stage, data, size, err));
    mr_count(write->runtime, MR_COUNT_BYTES_WRITTEN, (int64_t)size);
    return MR_OK;
}

/* ---- one file ---- */

static void close_file(struct part *part)
{
    struct mr_dataset_writer *writer = part->writer;
    if (part->format_writer) {
        writer->write->format->write_close(part->format_writer);
        writer->buffered -= part->buffered;
        writer->floors -= part->floor;
        writer->open--;
    }
    if (part->stage)
        writer->write->store->stage_close(part->stage);
    mr_free(part->path);
    part->format_writer = part->stage = NULL;
    part->path = NULL;
    part->buffered = part->floor = 0;
}

static enum mr_status open_file(struct part *part, struct mr_error *err)
{
    struct mr_dataset_writer *writer = part->writer;
    const struct mr_dataset_write *write = writer->write;
    struct mr_bytes path;
    mr_bytes_init(&path, 1 << 20);
    mr_bytes_printf(&path, "%s%s%spart-%05d-%s-%05d.%s", write->prefix, part->directory,
                    *part->directory ? "/" : "", write->task, write->identity, part->sequence,
                    write->extension);
    enum mr_status status = mr_bytes_status(&path, err);
    part->path = mr_bytes_move(&path, &(size_t){0});
    MR_TRY(status);
    MR_TRY(write->store->stage_open(write->handle, part->path, write->tag, &part->stage, err));
    struct mr_format_write format = {
        .schema = write->file_schema,
        .compression = write->compression,
        .level = write->level,
        .row_group_rows = write->row_group_rows,
        .row_group_bytes = write->row_group_bytes,
        .options = write->options,
        .runtime = write->runtime,
    };
    MR_TRY(write->format->write_open(&format, &part->sink, &part->format_writer, err));
    part->sequence++;
    writer->open++;
    return MR_OK;
}

static enum mr_status seal_file(struct part *part, struct mr_error *err)
{
    const struct mr_dataset_write *write = part->writer->write;
    struct mr_file_statistics statistics;
    struct mr_bytes ticket;
    mr_bytes_init(&ticket, 1 << 20);
    enum mr_status status;
    MR_TRY_OUT(write->format->write_finish(part->format_writer, &statistics, err));
    MR_TRY_OUT(write->store->stage_finish(part->stage, &ticket, err));
    struct mr_dataset_file file = {
        .path = part->path,
        .directory = part->directory,
        .values = part->values,
        .statistics = &statistics,
        .ticket = {ticket.data, ticket.size},
    };
    MR_TRY_OUT(write->sealed(write->context, &file, err));
    mr_count(write->runtime, MR_COUNT_FILES, 1);
    if (statistics.bytes < SMALL_FILE)
        mr_count(write->runtime, MR_COUNT_FILES_SMALL, 1);
out:
    mr_bytes_reset(&ticket);
    if (status == MR_OK)
        close_file(part);
    return status;
}

/* ---- limits ---- */

static void note_buffered(struct part *part)
{
    int64_t now = part->writer->write->format->buffered(part->format_writer);
    part->writer->buffered += now - part->buffered;
    part->buffered = now;
}

static enum mr_status flush_file(struct part *part, struct mr_error *err)
{
    struct mr_dataset_writer *writer = part->writer;
    const struct mr_format *format = writer->write->format;
    int64_t before = format->written(part->format_writer), held = part->buffered;
    MR_TRY(format->flush(part->format_writer, err));
    note_buffered(part);
    writer->floors += part->buffered - part->floor;
    part->floor = part->buffered;
    if (held > 0)
        writer->ratio = (double)(format->written(part->format_writer) - before) / (double)held;
    return MR_OK;
}

static int64_t flushable(const struct part *part)
{
    return part->buffered - part->floor;
}

static int by_flushable(const void *a, const void *b)
{
    const struct part *left = *(struct part *const *)a, *right = *(struct part *const *)b;
    if (flushable(left) != flushable(right))
        return flushable(left) < flushable(right) ? 1 : -1;
    return left->used < right->used ? -1 : 1;
}

/* The open files, those with most to give first. Freed by the caller. */
static enum mr_status sort_open(struct mr_dataset_writer *writer, struct part ***out,
                                struct mr_error *err)
{
    struct part **parts = mr_alloc(((size_t)writer->open + 1) * sizeof(struct part *));
    if (!parts)
        return mr_error_nomem(err);
    int n = 0;
    for (size_t i = 0; i < writer->parts.count; i++) {
        struct part *part = writer->parts.entries[i].value;
        if (part->format_writer)
            parts[n++] = part;
    }
    qsort(parts, (size_t)n, sizeof(struct part *), by_flushable);
    *out = parts;
    return MR_OK;
}

/* Flushes the files with most to give until at most `goal` bytes are held. */
static enum mr_status flush_down_to(struct mr_dataset_writer *writer, int64_t goal,
                                    struct mr_error *err)
{
    struct part **parts;
    MR_TRY(sort_open(writer, &parts, err));
    enum mr_status status = MR_OK;
    for (int i = 0; i < writer->open && status == MR_OK && writer->buffered > goal; i++) {
        if (flushable(parts[i]) > 0)
            status = flush_file(parts[i], err);
    }
    mr_free(parts);
    return status;
}

/* Seals the fuller half of the open files, so that the next time is far away and no file is tiny without need. */
static enum mr_status seal_half(struct mr_dataset_writer *writer, struct mr_error *err)
{
    struct part **parts;
    MR_TRY(sort_open(writer, &parts, err));
    enum mr_status status = MR_OK;
    for (int i = 0, n = writer->open / 2; i < n && status == MR_OK; i++)
        status = seal_file(parts[i], err);
    mr_free(parts);
    return status;
}

enum mr_status mr_dataset_writer_relieve(struct mr_dataset_writer *writer, int64_t bytes,
                                         struct mr_error *err)
{
    return flush_down_to(writer, writer->buffered > bytes ? writer->buffered - bytes : 0, err);
}

static enum mr_status keep_size(struct part *part, struct mr_error *err)
{
    struct mr_dataset_writer *writer = part->writer;
    int64_t target = writer->write->target_file_size;
    if (target <= 0)
        return MR_OK;
    const struct mr_format *format = writer->write->format;
    int64_t size = format->written(part->format_writer);
    double ratio = writer->ratio > 0 ? writer->ratio : 1;
    if (size < target && (double)size + (double)part->buffered * ratio >= (double)target) {
        MR_TRY(flush_file(part, err));
        size = format->written(part->format_writer);
    }
    /* A little under the target is nearer to it than another flush would come. */
    return size >= target - target / 16 ? seal_file(part, err) : MR_OK;
}

static enum mr_status seal_oldest(struct mr_dataset_writer *writer, struct mr_error *err)
{
    struct part *oldest = NULL;
    for (size_t i = 0; i < writer->parts.count; i++) {
        struct part *part = writer->parts.entries[i].value;
        if (part->format_writer && (!oldest || part->used < oldest->used))
            oldest = part;
    }
    return seal_file(oldest, err);
}

static enum mr_status keep_open_files(struct mr_dataset_writer *writer, struct mr_error *err)
{
    while (writer->open >= writer->max_open)
        MR_TRY(seal_oldest(writer, err));
    return MR_OK;
}

static enum mr_status keep_memory(struct mr_dataset_writer *writer, struct mr_error *err)
{
    int64_t limit = writer->floors + writer->share / 4;
    limit = limit > writer->share ? limit : writer->share;
    if (writer->buffered > limit)
        MR_TRY(flush_down_to(writer, writer->floors + (limit - writer->floors) / 2, err));
    else if (writer->buffered - writer->floors > RELIEF_MINIMUM &&
             mr_memory_available(writer->write->runtime->memory) < writer->share / 4)
        MR_TRY(
            flush_down_to(writer, writer->floors + (writer->buffered - writer->floors) / 2, err));
    bool starved = writer->buffered > RELIEF_MINIMUM &&
                   mr_memory_available(writer->write->runtime->memory) < writer->share / 8;
    if ((writer->floors > writer->share || starved) && writer->open > 1)
        return seal_half(writer, err);
    return MR_OK;
}

/* ---- rows ---- */

static enum mr_status find_part(struct mr_dataset_writer *writer, const struct mr_batch *batch,
                                int64_t row, struct part **out, struct mr_error *err)
{
    const struct mr_dataset_write *write = writer->write;
    struct mr_value value;
    mr_bytes_clear(&writer->name);
    for (int i = 0; i < write->npartition_columns; i++) {
        int column = write->partition_columns[i];
        mr_column_get(batch->columns[column], row, &value);
        if (i)
            mr_bytes_char(&writer->name, '/');
        mr_hive_part(&writer->name, write->schema->fields[column].name, &value, write->tz);
    }
    MR_TRY(mr_bytes_status(&writer->name, err));
    struct mr_slice name = {writer->name.size ? writer->name.data : "", writer->name.size};
    *out = mr_map_get(&writer->parts, name);
    if (*out)
        return MR_OK;

    struct part *part = mr_arena_calloc(&writer->arena, 1, sizeof *part);
    struct mr_value *values =
        mr_arena_calloc(&writer->arena, (size_t)write->npartition_columns + 1, sizeof *values);
    char *directory = mr_arena_strndup(&writer->arena, name.data, name.size);
    if (!part || !values || !directory)
        return mr_error_nomem(err);
    for (int i = 0; i < write->npartition_columns; i++) {
        mr_column_get(batch->columns[write->partition_columns[i]], row, &value);
        if (!mr_value_copy(&writer->arena, &value, &values[i]))
            return mr_error_nomem(err);
    }
    *part = (struct part){.sink = {append_bytes},
                          .writer = writer,
                          .directory = directory,
                          .values = values};
    MR_TRY(mr_map_put(&writer->parts, name, part, err));
    *out = part;
    return MR_OK;
}

/* The columns of the file for some rows of a batch; NULL = all. */
static enum mr_status file_batch(struct mr_dataset_writer *writer, struct mr_batch *batch,
                                 const int32_t *rows, int64_t count, struct mr_batch **out,
                                 struct mr_error *err)
{
    const struct mr_schema *schema = writer->write->file_schema;
    struct mr_column **columns = mr_calloc((size_t)schema->nfields + 1, sizeof(struct mr_column *));
    if (!columns)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    for (int i = 0; i < schema->nfields && status == MR_OK; i++) {
        struct mr_column *column = batch->columns[writer->data_columns[i]];
        if (rows)
            status = mr_column_take(writer->write->runtime->memory, column, rows, count,
                                    &columns[i], err);
        else
            columns[i] = mr_column_ref(column);
    }
    if (status == MR_OK) {
        status = mr_batch_new(schema, count, columns, out, err);
    } else {
        for (int i = 0; i < schema->nfields; i++)
            mr_column_unref(columns[i]);
    }
    mr_free(columns);
    return status;
}

static enum mr_status write_part(struct part *part, struct mr_batch *batch, struct mr_error *err)
{
    struct mr_dataset_writer *writer = part->writer;
    if (!part->format_writer) {
        MR_TRY(keep_open_files(writer, err));
        MR_TRY(open_file(part, err));
    }
    part->used = ++writer->clock;
    MR_TRY(writer->write->format->write(part->format_writer, batch, err));
    note_buffered(part);
    MR_TRY(keep_size(part, err));
    return keep_memory(writer, err);
}

static enum mr_status write_rows(struct mr_dataset_writer *writer, struct mr_batch *batch,
                                 int group, struct mr_error *err)
{
    const int32_t *rows = NULL;
    int64_t count = batch->rows;
    if (group >= 0) {
        const int32_t *starts = writer->grouper.starts;
        rows = writer->grouper.rows + starts[group];
        count = starts[group + 1] - starts[group];
    }
    struct part *part;
    MR_TRY(find_part(writer, batch, rows ? rows[0] : 0, &part, err));
    struct mr_batch *piece;
    MR_TRY(file_batch(writer, batch, rows, count, &piece, err));
    enum mr_status status = write_part(part, piece, err);
    mr_batch_unref(piece);
    return status;
}

enum mr_status mr_dataset_writer_add(struct mr_dataset_writer *writer, struct mr_batch *batch,
                                     struct mr_error *err)
{
    const struct mr_dataset_write *write = writer->write;
    if (batch->rows == 0)
        return MR_OK;
    if (write->npartition_columns == 0)
        return write_rows(writer, batch, -1, err);
    MR_TRY(mr_grouper_run(&writer->grouper, batch, write->partition_columns,
                          write->npartition_columns, err));
    if (writer->grouper.ngroups == 1)
        return write_rows(writer, batch, -1, err);
    for (int group = 0; group < writer->grouper.ngroups; group++)
        MR_TRY(write_rows(writer, batch, group, err));
    return MR_OK;
}

enum mr_status mr_dataset_writer_touch(struct mr_dataset_writer *writer, struct mr_error *err)
{
    struct part *part = mr_arena_calloc(&writer->arena, 1, sizeof *part);
    if (!part)
        return mr_error_nomem(err);
    *part = (struct part){.sink = {append_bytes}, .writer = writer, .directory = ""};
    MR_TRY(mr_map_put(&writer->parts, (struct mr_slice){"", 0}, part, err));
    return open_file(part, err);
}

int64_t mr_dataset_writer_part_bytes(const struct mr_dataset_writer *writer)
{
    int64_t target = writer->write->target_file_size;
    int64_t parts = writer->parts.count > 0 ? (int64_t)writer->parts.count : 1;
    int64_t bytes;
    /* Rows on the disk are about a quarter of rows in memory. */
    if (target <= 0 || __builtin_mul_overflow(target, 4 * parts, &bytes))
        return INT64_MAX;
    return bytes;
}

enum mr_status mr_dataset_writer_finish(struct mr_dataset_writer *writer, struct mr_error *err)
{
    for (size_t i = 0; i < writer->parts.count; i++) {
        struct part *part = writer->parts.entries[i].value;
        if (part->format_writer)
            MR_TRY(seal_file(part, err));
    }
    return writer->write->store->sync(writer->write->handle, err);
}

void mr_dataset_writer_free(struct mr_dataset_writer *writer)
{
    if (!writer)
        return;
    for (size_t i = 0; i < writer->parts.count; i++)
        close_file(writer->parts.entries[i].value);
    mr_map_reset(&writer->parts);
    mr_grouper_reset(&writer->grouper);
    mr_bytes_reset(&writer->name);
    mr_arena_reset(&writer->arena);
    mr_free(writer);
}

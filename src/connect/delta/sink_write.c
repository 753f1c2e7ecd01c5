/*
 * sink_write.c - one task's rows into staged data files.
 *
 * With addresses (upsert) two kinds of rows come: new ones, which are written, and places of old ones
 * (file and position), which are kept as one bitmap a file until the commit is prepared.
 */
#include "connect/delta/sink_private.h"

#include "base/hash.h"
#include "base/map.h"
#include "col/kernel.h"
#include "ext/registry.h"

#include <inttypes.h>
#include <roaring/roaring.h>
#include <stdio.h>

struct writer {
    struct delta_sink *sink;
    struct mr_runtime *runtime;
    struct delta_table table;
    struct delta_writer *writer;
    struct mr_arena arena;
    struct mr_map bitmaps; /* path -> roaring_bitmap_t */
    struct mr_condition *where;
    uint8_t *truth;
    int64_t capacity;
    int64_t rows;
};

/* ---- identity ---- */

static uint64_t hash_state(const struct mr_runtime *runtime)
{
    const char *parts[] = {runtime->state_key,
                           runtime->state_uuid ? runtime->state_uuid : runtime->run_id};
    uint64_t hash = 1;
    for (int i = 0; i < 2; i++)
        hash = mr_hash64_seed(parts[i] ? parts[i] : "", parts[i] ? strlen(parts[i]) + 1 : 0, hash);
    return hash;
}

void delta_sink_tag(const struct mr_runtime *runtime, char out[17])
{
    snprintf(out, 17, "%016" PRIx64, hash_state(runtime));
}

const char *delta_sink_identity(const struct delta_sink *sink, const struct mr_runtime *runtime,
                                const struct mr_epoch *epoch, const char *what,
                                struct mr_arena *arena)
{
    /* The run too: a copy of this state must not write, nor discard, files under the names of ours. */
    return mr_arena_printf(arena, "%016" PRIx64 "/%s/%d/%" PRId64 "/%d/%s", hash_state(runtime),
                           runtime->run_id ? runtime->run_id : "", epoch->lane, epoch->epoch,
                           sink->sequence, what);
}

/* ---- open ---- */

static enum mr_status open_writer(struct writer *writer, const struct mr_epoch *epoch, int task,
                                  struct mr_error *err)
{
    struct delta_sink *sink = writer->sink;
    char tag[17];
    delta_sink_tag(writer->runtime, tag);
    MR_TRY(delta_table_open(&sink->location, sink->options, writer->runtime, &writer->table, err));
    if (sink->where)
        MR_TRY(writer->runtime->registry->conditions->compile(sink->where,
                                                              sink->target.metadata->schema,
                                                              writer->runtime, &writer->arena,
                                                              &writer->where, err));
    struct delta_writer_options options = {
        .tag = tag,
        .identity = delta_sink_identity(sink, writer->runtime, epoch, "rows", &writer->arena),
        .task = task,
        .target_file_size = mr_options_integer(sink->options, "targetFileSize", 0),
        .compression = sink->compression,
        .level = sink->level,
    };
    if (!options.identity)
        return mr_error_nomem(err);
    return delta_writer_new(&writer->table, sink->target.metadata, &options, &writer->writer, err);
}

enum mr_status delta_sink_writer_open(void *state, struct mr_runtime *runtime,
                                      const struct mr_epoch *epoch, int task, void **out,
                                      struct mr_error *err)
{
    struct writer *writer = mr_calloc(1, sizeof *writer);
    if (!writer)
        return mr_error_nomem(err);
    writer->sink = state;
    writer->runtime = runtime;
    mr_arena_init(&writer->arena, runtime->memory);
    mr_map_init(&writer->bitmaps, false);
    enum mr_status status = open_writer(writer, epoch, task, err);
    if (status == MR_OK)
        *out = writer;
    else
        delta_sink_writer_close(writer);
    return status;
}

/* ---- addresses ---- */

static enum mr_status bitmap_of(struct writer *writer, struct mr_slice path, roaring_bitmap_t **out,
                                struct mr_error *err)
{
    *out = mr_map_get(&writer->bitmaps, path);
    if (*out)
        return MR_OK;
    *out = roaring_bitmap_create();
    if (!*out)
        return mr_error_nomem(err);
    enum mr_status status = mr_map_put(&writer->bitmaps, path, *out, err);
    if (status != MR_OK)
        roaring_bitmap_free(*out);
    return status;
}

/* Takes the addresses out of a batch; `rows` gets the numbers of the other rows. */
static enum mr_status take_addresses(struct writer *writer, const struct mr_batch *batch,
                                     int32_t *rows, int64_t *count, struct mr_error *err)
{
    const struct mr_column *paths = batch->columns[batch->schema->nfields - 2];
    const struct mr_column *positions = batch->columns[batch->schema->nfields - 1];
    *count = 0;
    for (int64_t i = 0; i < batch->rows; i++) {
        struct mr_value path, position;
        roaring_bitmap_t *bitmap;
        mr_column_get(paths, i, &path);
        if (path.is_null) {
            rows[(*count)++] = (int32_t)i;
            continue;
        }
        mr_column_get(positions, i, &position);
        MR_TRY(bitmap_of(writer, path.u.bytes, &bitmap, err));
        if (position.is_null || position.u.i64 < 0 || position.u.i64 > UINT32_MAX)
            return mr_error_internal(err, "an address without a position in a file");
        roaring_bitmap_add(bitmap, (uint32_t)position.u.i64);
    }
    return MR_OK;
}

/* Some rows of a batch without its last two columns. */
static enum mr_status data_rows(struct writer *writer, struct mr_batch *batch, const int32_t *rows,
                                int64_t count, struct mr_batch **out, struct mr_error *err)
{
    const struct mr_schema *schema = writer->sink->target.metadata->schema;
    struct mr_column **columns = mr_calloc((size_t)schema->nfields + 1, sizeof *columns);
    enum mr_status status = columns ? MR_OK : mr_error_nomem(err);
    int done = 0;
    for (; status == MR_OK && done < schema->nfields; done++) {
        if (count == batch->rows)
            columns[done] = mr_column_ref(batch->columns[done]);
        else
            status = mr_column_take(writer->runtime->memory, batch->columns[done], rows, count,
                                    &columns[done], err);
    }
    if (status == MR_OK)
        status = mr_batch_new(schema, count, columns, out, err);
    else
        for (int i = 0; columns && i < done; i++)
            mr_column_unref(columns[i]);
    mr_free(columns);
    return status;
}

/* ---- rows ---- */

static enum mr_status check_where(struct writer *writer, struct mr_batch *batch,
                                  struct mr_error *err)
{
    if (!writer->where || batch->rows == 0)
        return MR_OK;
    if (batch->rows > writer->capacity) {
        mr_free(writer->truth);
        writer->truth = mr_alloc((size_t)batch->rows);
        writer->capacity = writer->truth ? batch->rows : 0;
        if (!writer->truth)
            return mr_error_nomem(err);
    }
    MR_TRY(
        writer->runtime->registry->conditions->evaluate(writer->where, batch, writer->truth, err));
    for (int64_t i = 0; i < batch->rows; i++) {
        if (writer->truth[i] == 1)
            continue;
        mr_error_data(err, MR_SINK, "a row is not in what replaceWhere replaces: %s is %s for it",
                      writer->sink->where, writer->truth[i] == 0 ? "FALSE" : "NULL");
        if (err)
            mr_error_hint(err, "filterRows with the same condition in front of the load");
        return MR_SINK;
    }
    return MR_OK;
}

static enum mr_status write_rows(struct writer *writer, struct mr_batch *batch,
                                 struct mr_error *err)
{
    MR_TRY(check_where(writer, batch, err));
    MR_TRY(delta_writer_add(writer->writer, batch, err));
    writer->rows += batch->rows;
    mr_count(writer->runtime, MR_COUNT_ROWS_WRITTEN, batch->rows);
    mr_count(writer->runtime, MR_COUNT_BATCHES, 1);
    return MR_OK;
}

enum mr_status delta_sink_write(void *opaque, struct mr_batch *batch, struct mr_error *err)
{
    struct writer *writer = opaque;
    if (!writer->sink->addresses)
        return write_rows(writer, batch, err);
    int32_t *rows = mr_alloc(((size_t)batch->rows + 1) * sizeof *rows);
    int64_t count;
    if (!rows)
        return mr_error_nomem(err);
    enum mr_status status = take_addresses(writer, batch, rows, &count, err);
    struct mr_batch *data = NULL;
    if (status == MR_OK && count > 0)
        status = data_rows(writer, batch, rows, count, &data, err);
    if (status == MR_OK && data)
        status = write_rows(writer, data, err);
    mr_batch_unref(data);
    mr_free(rows);
    return status;
}

enum mr_status delta_sink_relieve(void *opaque, int64_t bytes, struct mr_error *err)
{
    return delta_writer_relieve(((struct writer *)opaque)->writer, bytes, err);
}

int64_t delta_sink_part_bytes(void *opaque)
{
    return delta_writer_part_bytes(((struct writer *)opaque)->writer);
}

/* ---- finish ---- */

static enum mr_status put_bitmap(const char *path, roaring_bitmap_t *bitmap, struct mr_bytes *out,
                                 struct mr_error *err)
{
    roaring_bitmap_run_optimize(bitmap);
    size_t size = roaring_bitmap_portable_size_in_bytes(bitmap);
    char *bytes = mr_alloc(size + 1);
    if (!bytes)
        return mr_error_nomem(err);
    roaring_bitmap_portable_serialize(bitmap, bytes);
    delta_committable_address(out, path, (struct mr_slice){bytes, size});
    mr_free(bytes);
    return mr_bytes_status(out, err);
}

enum mr_status delta_sink_writer_finish(void *opaque, struct mr_bytes *committable,
                                        struct mr_error *err)
{
    struct writer *writer = opaque;
    struct mr_bytes written;
    mr_bytes_init(&written, (size_t)1 << 30);
    enum mr_status status = delta_writer_finish(writer->writer, &written, err);
    if (status == MR_OK)
        delta_committable_begin(committable, writer->rows,
                                (struct mr_slice){written.data, written.size});
    mr_bytes_reset(&written);
    MR_TRY(status);
    for (size_t i = 0; i < writer->bitmaps.count; i++)
        MR_TRY(put_bitmap(writer->bitmaps.entries[i].key, writer->bitmaps.entries[i].value,
                          committable, err));
    return mr_bytes_status(committable, err);
}

void delta_sink_writer_close(void *opaque)
{
    struct writer *writer = opaque;
    if (!writer)
        return;
    delta_writer_free(writer->writer);
    if (writer->where)
        writer->runtime->registry->conditions->free(writer->where);
    for (size_t i = 0; i < writer->bitmaps.count; i++)
        roaring_bitmap_free(writer->bitmaps.entries[i].value);
    mr_map_reset(&writer->bitmaps);
    delta_table_close(&writer->table);
    mr_free(writer->truth);
    mr_arena_reset(&writer->arena);
    mr_free(writer);
}

/*
 * writer.c - the Parquet format contract: row groups and files.
 *
 * A batch goes column by column through shred.c into each leaf's chunk. A row group ends when it has enough rows, or its
 * encoded size or the memory it holds passes a limit, or when the step's account could not take another batch: memory first, file
 * layout second. Everything data-sized is charged to a child of the step's account, so that buffered() is that account's balance.
 * Only writing is here; reading is reader.c.
 *
 * Layout: PAR1, row groups (per column: dictionary page, data pages), column indexes, offset indexes, footer, its
 * length (4 bytes), PAR1.
 */
#include "ext/registry.h"
#include "format/parquet/footer.h"
#include "format/parquet/parquet.h"
#include "format/parquet/reader.h"

#define DEFAULT_GROUP_ROWS  ((int64_t)1 << 20)
#define DEFAULT_GROUP_BYTES ((int64_t)64 << 20)
/* Unless the row group's size was asked for: as much memory as an open row group may hold, and more per column. */
#define DEFAULT_GROUP_HELD ((int64_t)24 << 20)
#define COLUMN_HELD        ((int64_t)64 << 10)
#define FOOTER_MAXIMUM     ((size_t)512 << 20)
/* Memory left for closing pages and for the next batch's levels before a row group is ended early. */
#define RESERVE_BYTES ((int64_t)4 << 20)

struct writer {
    struct mr_memory memory;
    struct mr_arena arena; /* schema, metadata of finished row groups */
    struct mr_byte_sink *sink;
    struct mr_pq_leaves leaves;
    struct mr_pq_encoder encoder;
    struct mr_pq_chunk *chunks; /* one a leaf */
    struct mr_pq_file_meta meta;
    int64_t group_rows; /* limits */
    int64_t group_bytes;
    int64_t group_held;
    int64_t floor;     /* memory held when the row group was opened */
    int64_t open_rows; /* of the open row group */
    int64_t written;
    /* For the statistics of the file: per leaf. */
    struct mr_pq_bounds *bounds;
    bool *unbounded; /* a row group had values and no bounds */
    int64_t *leaf_nulls;
    int64_t *nulls; /* per top-level column */
    bool failed;
    bool finished;
};

static const char *const encoding_choices[] = {"auto", "plain", "split", NULL};

static const struct mr_option writer_options[] = {
    {.name = "pageRows",
     .type = MR_OPTION_INT,
     .fallback = "20000",
     .unit = "rows",
     .minimum = 1,
     .maximum = 10000000,
     .doc = "Rows of a data page at most."},
    {.name = "pageSize",
     .type = MR_OPTION_SIZE,
     .fallback = "1M",
     .unit = "bytes",
     .minimum = 64,
     .maximum = 1 << 30,
     .doc = "Bytes of a data page before compression, at most (a single row may be larger)."},
    {.name = "dictionarySize",
     .type = MR_OPTION_SIZE,
     .fallback = "1M",
     .unit = "bytes",
     .minimum = 0,
     .maximum = 1 << 30,
     .doc = "Size of a column chunk's dictionary at which it goes on without; 0 writes none."},
    {.name = "encoding",
     .type = MR_OPTION_ENUM,
     .fallback = "auto",
     .choices = encoding_choices,
     .doc = "How columns are written whose dictionary does not pay: auto tries delta encodings and "
            "keeps what is smaller; plain never; split is auto with BYTE_STREAM_SPLIT for "
            "floating-point columns, which Spark 3 cannot read."},
    MR_NANOSECONDS_OPTION_ROW,
    MR_OPTION_END,
};

static const struct {
    const char *name;
    int id;
} codec_ids[] = {
    {"none", 0}, {"snappy", 1}, {"gzip", 2}, {"zstd", 6}, {"lz4", 7},
};

static enum mr_status find_codec(struct writer *writer, const struct mr_format_write *write,
                                 struct mr_error *err)
{
    const char *name = write->compression ? write->compression : "snappy";
    writer->encoder.level = write->level;
    for (size_t i = 0; i < sizeof codec_ids / sizeof *codec_ids; i++) {
        if (strcmp(codec_ids[i].name, name) != 0)
            continue;
        writer->encoder.codec_id = codec_ids[i].id;
        if (codec_ids[i].id == 0)
            return MR_OK;
        writer->encoder.codec = mr_registry_codec(write->runtime->registry, name);
        if (writer->encoder.codec != NULL)
            return MR_OK;
    }
    return mr_error_config(err, "Parquet has no compression \"%s\" (snappy, gzip, zstd, lz4, none)",
                           name);
}

static enum mr_status check_level(const struct writer *writer, const struct mr_format_write *write,
                                  struct mr_error *err)
{
    const struct mr_codec *codec = writer->encoder.codec;
    int level = write->level;
    if (level == INT_MIN)
        return MR_OK;
    if (codec == NULL || (codec->min_level == 0 && codec->max_level == 0))
        return mr_error_config(err, "compression %s has no levels",
                               write->compression ? write->compression : "snappy");
    if (level < codec->min_level || level > codec->max_level)
        return mr_error_config(err, "compression level %d of %s is not in %d..%d", level,
                               codec->name, codec->min_level, codec->max_level);
    return MR_OK;
}

static int64_t option(const struct mr_format_write *write, const char *name, int64_t fallback)
{
    /* A caller's own table need not have our rows. */
    if (!write->options || !mr_option_find(write->options->table, name))
        return fallback;
    return mr_options_integer(write->options, name, fallback);
}

static enum mr_status append(struct writer *writer, const void *data, size_t size,
                             struct mr_error *err)
{
    MR_TRY(writer->sink->append(writer->sink, data, size, err));
    writer->written += (int64_t)size;
    return MR_OK;
}

/* What compressing pages needs between two calls is nothing: a thousand open writers must not keep it each. */
static void release_page_scratch(struct writer *writer)
{
    struct mr_pq_encoder *encoder = &writer->encoder;
    mr_buffer_unref(encoder->scratch.body);
    mr_buffer_unref(encoder->scratch.packed);
    encoder->scratch.body = encoder->scratch.packed = NULL;
    if (encoder->codec_scratch != NULL)
        encoder->codec->free_scratch(encoder->codec_scratch);
    encoder->codec_scratch = NULL;
}

static void parquet_write_close(void *handle)
{
    struct writer *writer = handle;
    if (writer == NULL)
        return;
    for (int i = 0; writer->chunks != NULL && i < writer->leaves.count; i++)
        mr_pq_chunk_reset(&writer->chunks[i]);
    release_page_scratch(writer);
    mr_pq_scratch_reset(&writer->encoder.scratch);
    mr_bytes_reset(&writer->encoder.header);
    mr_arena_reset(&writer->arena);
    mr_free(writer);
}

static enum mr_status make_columns(struct writer *writer, const struct mr_schema *schema,
                                   struct mr_error *err)
{
    MR_TRY(mr_pq_leaves_make(&writer->arena, schema, &writer->leaves, err));
    size_t n = (size_t)writer->leaves.count + 1;
    writer->bounds = mr_arena_calloc(&writer->arena, n, sizeof *writer->bounds);
    writer->unbounded = mr_arena_calloc(&writer->arena, n, sizeof *writer->unbounded);
    writer->leaf_nulls = mr_arena_calloc(&writer->arena, n, sizeof *writer->leaf_nulls);
    writer->nulls =
        mr_arena_calloc(&writer->arena, (size_t)schema->nfields + 1, sizeof *writer->nulls);
    struct mr_pq_chunk *chunks = mr_arena_calloc(&writer->arena, n, sizeof *chunks);
    if (!writer->bounds || !writer->unbounded || !writer->leaf_nulls || !writer->nulls || !chunks)
        return mr_error_nomem(err);
    for (int i = 0; i < writer->leaves.count; i++)
        mr_pq_chunk_init(&chunks[i], &writer->encoder, &writer->leaves.items[i]);
    writer->chunks = chunks;
    writer->meta.leaves = &writer->leaves;
    writer->meta.codec_id = writer->encoder.codec_id;
    return MR_OK;
}

/* Copied: they are needed when the file ends. */
static enum mr_status keep_metadata(struct writer *writer, const char *const *pairs,
                                    struct mr_error *err)
{
    size_t n = 0;
    while (pairs != NULL && pairs[n] != NULL)
        n++;
    const char **copy = mr_arena_calloc(&writer->arena, n + 1, sizeof *copy);
    if (copy == NULL)
        return mr_error_nomem(err);
    for (size_t i = 0; i < n; i++) {
        copy[i] = mr_arena_strdup(&writer->arena, pairs[i]);
        if (copy[i] == NULL)
            return mr_error_nomem(err);
    }
    writer->meta.metadata = copy;
    return MR_OK;
}

static enum mr_status parquet_write_open(const struct mr_format_write *write,
                                         struct mr_byte_sink *sink, void **out,
                                         struct mr_error *err)
{
    enum mr_status status = MR_OK;
    struct writer *writer = mr_calloc(1, sizeof *writer);
    if (writer == NULL)
        return mr_error_nomem(err);
    mr_memory_init(&writer->memory, write->runtime->memory, "Parquet writer", INT64_MAX);
    mr_arena_init(&writer->arena, &writer->memory);
    mr_bytes_init(&writer->encoder.header, 4096);
    writer->sink = sink;
    writer->encoder.memory = writer->encoder.scratch.memory = &writer->memory;
    writer->encoder.page_rows = option(write, "pageRows", 20000);
    writer->encoder.page_bytes = option(write, "pageSize", 1 << 20);
    writer->encoder.dictionary_bytes = option(write, "dictionarySize", 1 << 20);
    int64_t encoding = option(write, "encoding", 0);
    writer->encoder.delta = encoding != 1;
    writer->encoder.split = encoding == 2;
    writer->group_rows = write->row_group_rows > 0 ? write->row_group_rows : DEFAULT_GROUP_ROWS;
    writer->group_bytes = write->row_group_bytes > 0 ? write->row_group_bytes : DEFAULT_GROUP_BYTES;
    MR_TRY_OUT(find_codec(writer, write, err));
    MR_TRY_OUT(check_level(writer, write, err));
    MR_TRY_OUT(make_columns(writer, write->schema, err));
    MR_TRY_OUT(keep_metadata(writer, write->metadata, err));
    writer->floor = mr_memory_used(&writer->memory);
    if (write->row_group_rows > 0 || write->row_group_bytes > 0)
        writer->group_held = INT64_MAX;
    else
        writer->group_held = DEFAULT_GROUP_HELD + COLUMN_HELD * writer->leaves.count;
    MR_TRY_OUT(append(writer, "PAR1", 4, err));
    *out = writer;
    return MR_OK;
out:
    parquet_write_close(writer);
    return status;
}

/* ---- row groups ---- */

static enum mr_status keep(struct writer *writer, const struct mr_bytes *bytes,
                           struct mr_slice *out, struct mr_error *err)
{
    MR_TRY(mr_bytes_status(bytes, err));
    char *copy = mr_arena_alloc(&writer->arena, bytes->size);
    if (copy == NULL)
        return mr_error_nomem(err);
    memcpy(copy, bytes->data, bytes->size);
    *out = (struct mr_slice){copy, bytes->size};
    return MR_OK;
}

static enum mr_status keep_indexes(struct writer *writer, const struct mr_pq_chunk *chunk,
                                   struct mr_pq_chunk_meta *meta, struct mr_error *err)
{
    enum mr_status status = MR_OK;
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, FOOTER_MAXIMUM);
    if (mr_pq_column_index_write(chunk, &bytes))
        MR_TRY_OUT(keep(writer, &bytes, &meta->column_index, err));
    mr_bytes_clear(&bytes);
    mr_pq_offset_index_write(chunk, meta->data_offset, &bytes);
    MR_TRY_OUT(keep(writer, &bytes, &meta->offset_index, err));
out:
    mr_bytes_reset(&bytes);
    return status;
}

static enum mr_status write_chunk(struct writer *writer, struct mr_pq_chunk *chunk,
                                  struct mr_pq_chunk_meta *meta, struct mr_error *err)
{
    struct mr_buffer *dictionary = NULL;
    MR_TRY(mr_pq_chunk_close_page(chunk, err));
    MR_TRY(mr_pq_chunk_dictionary(chunk, &dictionary, err));
    meta->dictionary_offset = dictionary ? writer->written : 0;
    if (dictionary != NULL) {
        enum mr_status status = append(writer, dictionary->data, dictionary->size, err);
        mr_buffer_unref(dictionary);
        MR_TRY(status);
    }
    meta->data_offset = writer->written;
    for (int i = 0; i < chunk->npages; i++)
        MR_TRY(append(writer, chunk->pages[i].data->data, chunk->pages[i].data->size, err));
    meta->leaf = chunk->leaf;
    meta->levels = chunk->levels;
    meta->nulls = chunk->nulls;
    meta->uncompressed = chunk->uncompressed;
    meta->compressed = chunk->compressed;
    meta->dict_pages = chunk->dict_pages;
    meta->plain_pages = chunk->plain_pages;
    meta->other_pages = chunk->npages - chunk->dict_pages - chunk->plain_pages;
    meta->other = chunk->value_encoding;
    meta->bounds = chunk->bounds;
    return keep_indexes(writer, chunk, meta, err);
}

/* Statistics of the file. Bounds: none for a leaf of which some row group has values and no bounds, or NaN (Spark sorts it last). */
static void merge_file_statistics(struct writer *writer, int leaf,
                                  const struct mr_pq_chunk_meta *meta)
{
    bool values = meta->levels > meta->nulls;
    writer->unbounded[leaf] |= meta->bounds.nans > 0 || (values && !meta->bounds.any);
    writer->leaf_nulls[leaf] += meta->nulls;
    mr_pq_bounds_merge(&writer->bounds[leaf], meta->leaf->order, &meta->bounds);
}

static enum mr_status end_group(struct writer *writer, struct mr_error *err)
{
    if (writer->open_rows == 0)
        return MR_OK;
    struct mr_pq_group_meta *group = mr_arena_calloc(&writer->arena, 1, sizeof *group);
    struct mr_pq_chunk_meta *chunks =
        mr_arena_calloc(&writer->arena, (size_t)writer->leaves.count + 1, sizeof *chunks);
    if (group == NULL || chunks == NULL)
        return mr_error_nomem(err);
    group->rows = writer->open_rows;
    group->offset = writer->written;
    group->chunks = chunks;
    for (int i = 0; i < writer->leaves.count; i++) {
        MR_TRY(write_chunk(writer, &writer->chunks[i], &chunks[i], err));
        group->uncompressed += chunks[i].uncompressed;
        group->compressed += chunks[i].compressed;
        merge_file_statistics(writer, i, &chunks[i]);
        mr_pq_chunk_reset(&writer->chunks[i]);
    }
    mr_pq_scratch_reset(&writer->encoder.scratch);
    if (writer->meta.last != NULL)
        writer->meta.last->next = group;
    else
        writer->meta.first = group;
    writer->meta.last = group;
    writer->meta.ngroups++;
    writer->meta.rows += group->rows;
    writer->open_rows = 0;
    writer->floor = mr_memory_used(&writer->memory);
    return MR_OK;
}

static bool group_full(const struct writer *writer)
{
    if (writer->open_rows >= writer->group_rows ||
        mr_memory_used(&writer->memory) - writer->floor >= writer->group_held)
        return true;
    int64_t size = 0;
    for (int i = 0; i < writer->leaves.count; i++)
        size += mr_pq_chunk_size(&writer->chunks[i]);
    return size >= writer->group_bytes;
}

static enum mr_status append_rows(struct writer *writer, struct mr_batch *batch, int64_t from,
                                  int64_t count, struct mr_error *err)
{
    for (int i = 0; i < writer->leaves.count; i++) {
        struct mr_pq_shred shred;
        const struct mr_pq_leaf *leaf = &writer->leaves.items[i];
        MR_TRY(mr_pq_shred_column(&writer->encoder.scratch, leaf, batch->columns[leaf->column],
                                  from, count, &shred, err));
        MR_TRY(mr_pq_chunk_append(&writer->chunks[i], &shred, err));
    }
    writer->open_rows += count;
    return MR_OK;
}

static enum mr_status write_rows(struct writer *writer, struct mr_batch *batch,
                                 struct mr_error *err)
{
    for (int64_t from = 0; from < batch->rows;) {
        if (writer->open_rows > 0 &&
            mr_memory_available(&writer->memory) < mr_batch_bytes(batch) + RESERVE_BYTES)
            MR_TRY(end_group(writer, err));
        int64_t count = batch->rows - from;
        if (count > writer->group_rows - writer->open_rows)
            count = writer->group_rows - writer->open_rows;
        MR_TRY(append_rows(writer, batch, from, count, err));
        if (group_full(writer))
            MR_TRY(end_group(writer, err));
        from += count;
    }
    return MR_OK;
}

static enum mr_status parquet_write(void *handle, struct mr_batch *batch, struct mr_error *err)
{
    struct writer *writer = handle;
    if (writer->failed || writer->finished || batch->selection != NULL)
        return mr_error_internal(err, "Parquet writer used after its end, or with a selection");
    enum mr_status status = write_rows(writer, batch, err);
    writer->failed = status != MR_OK;
    release_page_scratch(writer);
    for (int i = 0; i < writer->leaves.schema->nfields; i++)
        writer->nulls[i] +=
            batch->columns[i]->type->id == MR_TYPE_NULL ? batch->rows : batch->columns[i]->nulls;
    return status;
}

static int64_t parquet_buffered(const void *handle)
{
    return mr_memory_used(&((const struct writer *)handle)->memory);
}

static int64_t parquet_written(const void *handle)
{
    return ((const struct writer *)handle)->written;
}

static enum mr_status parquet_flush(void *handle, struct mr_error *err)
{
    struct writer *writer = handle;
    if (writer->failed)
        return mr_error_internal(err, "Parquet writer used after a failure");
    enum mr_status status = end_group(writer, err);
    writer->failed = status != MR_OK;
    release_page_scratch(writer);
    return status;
}

/* ---- the end of the file ---- */

static enum mr_status write_indexes(struct writer *writer, struct mr_error *err)
{
    for (int kind = 0; kind < 2; kind++) {
        for (struct mr_pq_group_meta *group = writer->meta.first; group; group = group->next) {
            for (int i = 0; i < writer->leaves.count; i++) {
                struct mr_pq_chunk_meta *chunk = &group->chunks[i];
                struct mr_slice index = kind == 0 ? chunk->column_index : chunk->offset_index;
                if (kind == 0)
                    chunk->column_index_offset = writer->written;
                else
                    chunk->offset_index_offset = writer->written;
                if (index.size > 0)
                    MR_TRY(append(writer, index.data, index.size, err));
            }
        }
    }
    return MR_OK;
}

static enum mr_status write_footer(struct writer *writer, struct mr_error *err)
{
    enum mr_status status = MR_OK;
    struct mr_bytes footer;
    mr_bytes_init(&footer, FOOTER_MAXIMUM);
    mr_pq_footer_write(&writer->meta, &footer);
    mr_bytes_u32le(&footer, (uint32_t)footer.size);
    mr_bytes_text(&footer, "PAR1");
    MR_TRY_OUT(mr_bytes_status(&footer, err));
    MR_TRY_OUT(append(writer, footer.data, footer.size, err));
out:
    mr_bytes_reset(&footer);
    return status;
}

/* One bound as a value of the column's type. */
static bool bound_value(struct mr_arena *arena, const struct mr_pq_bounds *bounds,
                        const struct mr_pq_leaf *leaf, bool maximum, struct mr_value *out,
                        bool *exact)
{
    struct mr_pq_bound bound;
    *out = (struct mr_value){.type = leaf->type};
    if (maximum)
        mr_pq_bounds_max(bounds, leaf, &bound);
    else
        mr_pq_bounds_min(bounds, leaf, &bound);
    *exact = bound.exact;
    switch (leaf->order) {
    case MR_PQ_ORDER_F32:
    case MR_PQ_ORDER_F64:
        out->u.f64 = maximum ? bounds->u.f.max : bounds->u.f.min;
        return true;
    case MR_PQ_ORDER_I128:
        out->u.i128 = maximum ? bounds->u.w.max : bounds->u.w.min;
        return true;
    case MR_PQ_ORDER_FIXED16:
        memcpy(out->u.uuid, bound.bytes, 16);
        return true;
    case MR_PQ_ORDER_TEXT:
    case MR_PQ_ORDER_BINARY:
        out->u.bytes = (struct mr_slice){mr_arena_strndup(arena, (const char *)bound.bytes,
                                                          (size_t)bound.size),
                                         (size_t)bound.size};
        return bound.usable && out->u.bytes.data != NULL;
    default:
        if (leaf->type->id == MR_TYPE_DECIMAL)
            out->u.i128 = maximum ? bounds->u.i.max : bounds->u.i.min;
        else
            out->u.i64 = maximum ? bounds->u.i.max : bounds->u.i.min;
        return true;
    }
}

/* Leaves of the contract: Parquet's, but one for each list, map and interval. `at` counts Parquet's. */
static void type_statistics(struct writer *writer, const struct mr_type *type, int64_t nulls,
                            int *at, struct mr_leaf_statistics *out, int *count)
{
    if (type->id == MR_TYPE_STRUCT) {
        for (int i = 0; i < type->nfields; i++)
            type_statistics(writer, type->fields[i].type, -1, at, out, count);
        return;
    }
    struct mr_leaf_statistics *statistics = &out[(*count)++];
    const struct mr_pq_leaf *leaf = &writer->leaves.items[*at];
    struct mr_pq_bounds *bounds = &writer->bounds[*at];
    bool single = mr_pq_leaf_count(type) == 1 && !mr_type_is_nested(type);
    statistics->nulls = single && leaf->max_rep == 0 ? writer->leaf_nulls[*at] : nulls;
    if (single && leaf->order != MR_PQ_ORDER_NONE && bounds->any && !writer->unbounded[*at]) {
        statistics->has_bounds = bound_value(&writer->arena, bounds, leaf, false,
                                             &statistics->minimum, &statistics->minimum_exact) &&
                                 bound_value(&writer->arena, bounds, leaf, true,
                                             &statistics->maximum, &statistics->maximum_exact);
    }
    *at += mr_pq_leaf_count(type);
}

static enum mr_status file_statistics(struct writer *writer, struct mr_file_statistics *out,
                                      struct mr_error *err)
{
    struct mr_leaf_statistics *leaves =
        mr_arena_calloc(&writer->arena, (size_t)writer->leaves.count + 1, sizeof *leaves);
    if (leaves == NULL)
        return mr_error_nomem(err);
    int at = 0, count = 0;
    for (int i = 0; i < writer->leaves.schema->nfields; i++)
        type_statistics(writer, writer->leaves.schema->fields[i].type, writer->nulls[i], &at,
                        leaves, &count);
    *out = (struct mr_file_statistics){
        .rows = writer->meta.rows,
        .bytes = writer->written,
        .nleaves = count,
        .leaves = leaves,
    };
    return MR_OK;
}

static enum mr_status parquet_write_finish(void *handle, struct mr_file_statistics *statistics,
                                           struct mr_error *err)
{
    struct writer *writer = handle;
    MR_TRY(parquet_flush(writer, err));
    writer->finished = true;
    MR_TRY(write_indexes(writer, err));
    MR_TRY(write_footer(writer, err));
    return file_statistics(writer, statistics, err);
}

const struct mr_format mr_format_parquet = {
    .name = "parquet",
    .extension = "parquet",
    .doc = "Apache Parquet: columnar, compressed, with statistics and page indexes.",
    .options = writer_options,
    .probe = mr_pq_probe,
    .read_open = mr_pq_read_open,
    .read_next = mr_pq_read_next,
    .read_close = mr_pq_read_close,
    .write_open = parquet_write_open,
    .write = parquet_write,
    .buffered = parquet_buffered,
    .written = parquet_written,
    .flush = parquet_flush,
    .write_finish = parquet_write_finish,
    .write_close = parquet_write_close,
};

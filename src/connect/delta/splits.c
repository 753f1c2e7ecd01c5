/*
 * splits.c - the files that are left, as splits.
 *
 * A large file is cut at every 128 MB: whoever has the first byte of a row group reads it, so any
 * cut is right. Small files are put together until a split has enough to do, opening a file counted
 * as a megabyte; how much is enough depends on how many splits there are to share.
 *
 * Token: 03 | version | parts, each: file | offset | size + 1 or 0 for "to the end" (all varints), then
 * u64 hash of the table's id and of what the files are. The number of a file is its place in the version, which has
 * one order whoever reads it; the hash tells the token from one of another table that took this one's place. Of an
 * increment: 04 | version | the version that it is behind + 1 | parts | hash.
 */
#include "base/hash.h"
#include "base/time.h"
#include "connect/delta/source.h"

#include <inttypes.h>
#include <stdio.h>

#define VERSION         3
#define INCREMENT       4
#define CUT             ((int64_t)128 << 20)
#define OPENING         ((int64_t)1 << 20)
#define LEAST           ((int64_t)8 << 20)
#define SPLITS_A_THREAD 4

struct builder {
    const struct delta_source *source;
    struct delta_statistics *statistics;
    struct mr_arena *arena;
    struct mr_split_list *out;
    struct mr_bytes token; /* of the split that is open, from its parts on */
    int nparts;
    uint64_t identity;              /* of its files */
    const struct delta_file *first; /* of the open split */
    int64_t offset;                 /* of its first part */
    int64_t weight;
    int64_t target;
    int64_t rows;
    int64_t bytes;
};

/* "part-1.parquet", "part-1.parquet and 6 more files", "part-1.parquet from 128.0 MiB". */
static const char *label_of(const struct builder *builder)
{
    const char *name = strrchr(builder->first->path, '/');
    name = name ? name + 1 : builder->first->path;
    int more = builder->nparts - 1;
    if (more > 0)
        return mr_arena_printf(builder->arena, "%s and %d more file%s", name, more,
                               more == 1 ? "" : "s");
    if (builder->offset == 0)
        return mr_arena_printf(builder->arena, "%s", name);
    char offset[32];
    mr_size_format(builder->offset, offset, sizeof offset);
    return mr_arena_printf(builder->arena, "%s from %s", name, offset);
}

static enum mr_status finish_split(struct builder *builder, struct mr_error *err)
{
    if (builder->nparts == 0)
        return MR_OK;
    const char *id = builder->source->snapshot->metadata.id;
    id = id ? id : "";
    struct mr_bytes whole;
    mr_bytes_init(&whole, MR_BYTES_DEFAULT_MAXIMUM);
    int64_t from = delta_source_from(builder->source);
    mr_bytes_u8(&whole, from == DELTA_WHOLE ? VERSION : INCREMENT);
    mr_bytes_varint(&whole, (uint64_t)builder->source->snapshot->version);
    if (from != DELTA_WHOLE)
        mr_bytes_varint(&whole, (uint64_t)(from + 1));
    mr_bytes_varint(&whole, (uint64_t)builder->nparts);
    mr_bytes_append(&whole, builder->token.data, builder->token.size);
    mr_bytes_u64le(&whole, mr_hash64_seed(id, strlen(id), builder->identity));
    enum mr_status status = mr_bytes_status(&builder->token, err);
    if (status == MR_OK)
        status = mr_bytes_status(&whole, err);
    struct mr_split *split = &builder->out->items[builder->out->count];
    if (status == MR_OK) {
        split->token =
            (struct mr_slice){mr_arena_strndup(builder->arena, whole.data, whole.size), whole.size};
        split->label = label_of(builder);
        split->rows = builder->rows;
        split->bytes = builder->bytes;
        builder->out->count++;
        if (!split->token.data || !split->label)
            status = mr_error_nomem(err);
    }
    mr_bytes_reset(&whole);
    mr_bytes_clear(&builder->token);
    builder->nparts = 0;
    builder->identity = 0;
    builder->weight = builder->rows = builder->bytes = 0;
    return status;
}

static void add_part(struct builder *builder, int number, int64_t offset, int64_t size,
                     int64_t bytes)
{
    const struct delta_file *file = &builder->source->snapshot->files[number];
    delta_statistics_file(builder->statistics, file);
    int64_t rows = delta_statistics_rows(builder->statistics);
    builder->identity = mr_hash64_seed(file->raw_path, strlen(file->raw_path), builder->identity);
    builder->identity = mr_hash_combine(builder->identity, (uint64_t)file->size);
    builder->identity = mr_hash_combine(builder->identity, (uint64_t)file->modified_millis);
    if (builder->nparts++ == 0) {
        builder->first = file;
        builder->offset = offset;
    }
    mr_bytes_varint(&builder->token, (uint64_t)number);
    mr_bytes_varint(&builder->token, (uint64_t)offset);
    mr_bytes_varint(&builder->token, size == INT64_MAX ? 0 : (uint64_t)size + 1);
    builder->weight += bytes + OPENING;
    builder->bytes += bytes;
    if (rows >= 0 && file->size > 0)
        rows = (int64_t)((double)rows * ((double)bytes / (double)file->size));
    builder->rows = builder->rows < 0 || rows < 0 ? -1 : builder->rows + rows;
}

static enum mr_status add_file(struct builder *builder, int number, struct mr_error *err)
{
    int64_t size = builder->source->snapshot->files[number].size;
    size = size > 0 ? size : 0;
    if (size <= CUT + CUT / 2) {
        add_part(builder, number, 0, INT64_MAX, size);
        return builder->weight >= builder->target ? finish_split(builder, err) : MR_OK;
    }
    MR_TRY(finish_split(builder, err));
    for (int64_t offset = 0; offset < size;) {
        bool last = size - offset <= CUT + CUT / 2;
        add_part(builder, number, offset, last ? INT64_MAX : CUT, last ? size - offset : CUT);
        MR_TRY(finish_split(builder, err));
        offset = last ? size : offset + CUT;
    }
    return MR_OK;
}

/* What all files weigh, and how many splits there can be. */
static enum mr_status measure(struct builder *builder, int parallelism, struct mr_error *err)
{
    const struct delta_source *source = builder->source;
    int64_t weight = 0;
    int64_t most = 1;
    for (int i = 0; i < source->nfiles; i++) {
        int64_t size = source->snapshot->files[source->files[i]].size;
        size = size > 0 ? size : 0;
        if (__builtin_add_overflow(weight, size + OPENING, &weight))
            return mr_error_data(err, MR_SOURCE, "the sizes of the table's files are not possible");
        most += size / CUT + 1;
    }
    int64_t readers = parallelism > 0 ? parallelism : 1;
    if (delta_source_is_remote(source) && readers < DELTA_REMOTE_READERS)
        readers = DELTA_REMOTE_READERS;
    int64_t wanted = SPLITS_A_THREAD * readers;
    builder->target = weight / wanted;
    if (builder->target > CUT)
        builder->target = CUT;
    if (builder->target < LEAST)
        builder->target = LEAST;
    if (most > INT32_MAX / 2)
        return mr_error_data(err, MR_SOURCE, "the sizes of the table's files are not possible");
    builder->out->items = mr_arena_calloc(builder->arena, (size_t)most, sizeof(struct mr_split));
    return builder->out->items ? MR_OK : mr_error_nomem(err);
}

enum mr_status delta_source_splits(void *state, struct mr_runtime *runtime, struct mr_arena *arena,
                                   struct mr_split_list *out, struct mr_error *err)
{
    const struct delta_source *source = state;
    *out = (struct mr_split_list){0};
    struct builder builder = {.source = source, .arena = arena, .out = out};
    MR_TRY(measure(&builder, runtime->parallelism, err));
    MR_TRY(delta_statistics_new(&source->snapshot->metadata, source->tz, &builder.statistics, err));
    mr_bytes_init(&builder.token, MR_BYTES_DEFAULT_MAXIMUM);
    enum mr_status status = MR_OK;
    for (int i = 0; i < source->nfiles && status == MR_OK; i++)
        status = add_file(&builder, source->files[i], err);
    if (status == MR_OK)
        status = finish_split(&builder, err);
    mr_bytes_reset(&builder.token);
    delta_statistics_free(builder.statistics);
    if (status == MR_OK)
        status = delta_increment_end(source, arena, out, err);
    mr_count(runtime, MR_COUNT_FILES_SKIPPED, source->skipped.files);
    mr_count(runtime, MR_COUNT_BYTES_SKIPPED, source->skipped.bytes);
    return status;
}

enum mr_status delta_split_read(struct mr_slice token, struct mr_arena *arena,
                                struct delta_split *out, struct mr_error *err)
{
    struct mr_byte_reader reader;
    mr_byte_reader_init(&reader, token.data, token.size);
    uint8_t form = mr_byte_reader_u8(&reader);
    uint64_t version = mr_byte_reader_varint(&reader);
    uint64_t behind = form == INCREMENT ? mr_byte_reader_varint(&reader) : 0;
    uint64_t count = mr_byte_reader_varint(&reader);
    if (reader.bad || (form != VERSION && form != INCREMENT) || version > INT64_MAX ||
        behind > version + 1 || count > token.size)
        return mr_error_internal(err, "a split of a Delta table of an unknown form");
    *out = (struct delta_split){.version = (int64_t)version,
                                .from = form == INCREMENT ? (int64_t)behind - 1 : DELTA_WHOLE,
                                .nparts = (int)count};
    out->parts = mr_arena_calloc(arena, (size_t)count + 1, sizeof *out->parts);
    if (!out->parts)
        return mr_error_nomem(err);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t file = mr_byte_reader_varint(&reader);
        uint64_t offset = mr_byte_reader_varint(&reader);
        uint64_t size = mr_byte_reader_varint(&reader);
        if (reader.bad || file > INT32_MAX || offset > INT64_MAX || size > INT64_MAX)
            return mr_error_internal(err, "a split of a Delta table of an unknown form");
        out->parts[i] =
            (struct delta_part){(int)file, (int64_t)offset, size ? (int64_t)size - 1 : INT64_MAX};
    }
    mr_byte_reader_u64le(&reader);
    if (!mr_byte_reader_done(&reader))
        return mr_error_internal(err, "a split of a Delta table of an unknown form");
    return MR_OK;
}

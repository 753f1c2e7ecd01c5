/*
 * source.c - a frame that an earlier run has made durable, as a source in the place of the step.
 *
 * Splits are runs of chunks, as many as the breaker has partitions (op.c): what is behind it then
 * runs as in the run that was broken off. A split is 01 | first chunk | end chunk | hash of the
 * description, a position 01 | chunks that were delivered.
 */
#include "connect/checkpoint/frame.h"

#include "base/hash.h"

#define VERSION 1

struct source {
    const struct mr_options *options;
    struct frame frame;
    uint64_t hash;
};

static void close_source(void *state)
{
    (void)state;
}

static enum mr_status bind_source(const struct mr_source_bind *bind, void **out,
                                  struct mr_source_info *info, struct mr_error *err)
{
    struct source *source = mr_arena_calloc(bind->arena, 1, sizeof *source);
    *info = (struct mr_source_info){.rows = -1, .bytes = -1};
    if (source == NULL)
        return mr_error_nomem(err);
    source->options = bind->options;
    source->hash = mr_hash64(bind->since.data, bind->since.size);
    MR_TRY(frame_decode(bind->since, bind->arena, &source->frame, err));
    info->schema = source->frame.schema;
    info->rows = source->frame.rows;
    info->bytes = frame_stored_bytes(&source->frame);
    info->sorted = true;
    info->location = mr_arena_printf(bind->arena, "checkpoint in %s", source->frame.url);
    if (info->location == NULL)
        return mr_error_nomem(err);
    *out = source;
    return MR_OK;
}

static enum mr_status write_split(const struct source *source, struct mr_arena *arena, int from,
                                  int end, struct mr_split *out, struct mr_error *err)
{
    struct mr_bytes token;
    mr_bytes_init(&token, 64);
    mr_bytes_u8(&token, VERSION);
    mr_bytes_varint(&token, (uint64_t)from);
    mr_bytes_varint(&token, (uint64_t)end);
    mr_bytes_u64le(&token, source->hash);
    enum mr_status status = mr_bytes_status(&token, err);
    *out = (struct mr_split){
        .token = {status == MR_OK ? mr_arena_strndup(arena, token.data, token.size) : NULL,
                  token.size},
        .label = mr_arena_printf(arena, "chunks [%d, %d)", from, end),
    };
    for (int i = from; i < end; i++) {
        out->rows += source->frame.chunks[i].rows;
        out->bytes += source->frame.chunks[i].stored;
    }
    mr_bytes_reset(&token);
    if (status == MR_OK && (out->token.data == NULL || out->label == NULL))
        status = mr_error_nomem(err);
    return status;
}

static enum mr_status make_splits(void *state, struct mr_runtime *runtime, struct mr_arena *arena,
                                  struct mr_split_list *out, struct mr_error *err)
{
    const struct source *source = state;
    int parts = frame_parts(runtime);
    *out = (struct mr_split_list){0};
    out->items = mr_arena_calloc(arena, (size_t)parts, sizeof *out->items);
    if (out->items == NULL)
        return mr_error_nomem(err);
    for (; out->count < parts; out->count++)
        MR_TRY(write_split(source, arena, frame_part(&source->frame, out->count, parts),
                           frame_part(&source->frame, out->count + 1, parts),
                           &out->items[out->count], err));
    return MR_OK;
}

struct reader {
    struct frame_reader frame;
    int first;
    int at;
    int end;
};

static void reader_close(void *object)
{
    struct reader *reader = object;
    frame_reader_close(&reader->frame);
    mr_free(reader);
}

static enum mr_status read_split(const struct source *source, struct mr_slice split,
                                 struct mr_slice from, struct reader *reader, struct mr_error *err)
{
    struct mr_byte_reader bytes;
    mr_byte_reader_init(&bytes, split.data, split.size);
    uint8_t version = mr_byte_reader_u8(&bytes);
    uint64_t first = mr_byte_reader_varint(&bytes), end = mr_byte_reader_varint(&bytes);
    uint64_t hash = mr_byte_reader_u64le(&bytes), done = 0;
    if (bytes.bad || version != VERSION || first > end || end > (uint64_t)source->frame.nchunks ||
        hash != source->hash)
        return mr_error_internal(err, "a split that is not of this checkpoint");
    if (from.size > 0) {
        mr_byte_reader_init(&bytes, from.data, from.size);
        version = mr_byte_reader_u8(&bytes);
        done = mr_byte_reader_varint(&bytes);
        if (bytes.bad || version != VERSION || done > end - first)
            return mr_error_internal(err, "a position that is not of this split");
    }
    reader->first = (int)first;
    reader->at = (int)(first + done);
    reader->end = (int)end;
    return MR_OK;
}

static enum mr_status reader_open(void *state, struct mr_runtime *runtime, struct mr_slice split,
                                  struct mr_slice from, void **out, struct mr_error *err)
{
    const struct source *source = state;
    *out = NULL;
    struct reader *reader = mr_calloc(1, sizeof *reader);
    if (reader == NULL)
        return mr_error_nomem(err);
    enum mr_status status = read_split(source, split, from, reader, err);
    if (status == MR_OK)
        status = frame_reader_open(&source->frame, source->options, runtime, &reader->frame, err);
    if (status != MR_OK) {
        reader_close(reader);
        return status;
    }
    *out = reader;
    return MR_OK;
}

static enum mr_status reader_next(void *object, struct mr_item *out, struct mr_error *err)
{
    struct reader *reader = object;
    *out = (struct mr_item){.kind = MR_ITEM_END};
    if (mr_wait_cancelled(reader->frame.runtime->waiter))
        return mr_error_cancelled(err);
    if (reader->at >= reader->end)
        return MR_OK;
    MR_TRY(frame_read(&reader->frame, reader->at, &out->batch, err));
    reader->at++;
    out->kind = MR_ITEM_BATCH;
    mr_count(reader->frame.runtime, MR_COUNT_ROWS_READ, out->batch->rows);
    mr_count(reader->frame.runtime, MR_COUNT_BATCHES, 1);
    return MR_OK;
}

static enum mr_status reader_position(void *object, struct mr_bytes *out, struct mr_error *err)
{
    const struct reader *reader = object;
    mr_bytes_u8(out, VERSION);
    mr_bytes_varint(out, (uint64_t)(reader->at - reader->first));
    return mr_bytes_status(out, err);
}

const struct mr_source checkpoint_source = {
    .name = "checkpoint",
    .doc = "Reads a frame that an earlier run has made durable.",
    .system = "s3",
    .options = checkpoint_options,
    .flags = MR_SOURCE_STABLE_ORDER | MR_SOURCE_IMMUTABLE,
    .bind = bind_source,
    .splits = make_splits,
    .reader_open = reader_open,
    .next = reader_next,
    .position = reader_position,
    .reader_close = reader_close,
    .close = close_source,
};

/*
 * source.c - reads a held frame, in the place of all that it was read with.
 *
 * A split is a run of blocks: 01 | first | end; a position is 01 | blocks of the split that were delivered. The schema is copied into the plan,
 * which may outlive the reading. Rows that were read before are not counted as read.
 */
#include "base/buffer.h"
#include "col/pack.h"
#include "connect/held/held.h"

#define VERSION         1
#define SPLITS_A_THREAD 2

struct source {
    const struct mr_held_rows *rows;
    const struct mr_schema *schema;
};

struct reader {
    const struct source *source;
    struct mr_runtime *runtime;
    int first;
    int next;
    int end;
};

static void held_close(void *state)
{
    mr_free(state);
}

static enum mr_status held_bind(const struct mr_source_bind *bind, void **out,
                                struct mr_source_info *info, struct mr_error *err)
{
    const struct mr_held_frame *frame = mr_held_of(bind->options, bind->runtime);
    *out = NULL;
    *info = (struct mr_source_info){.rows = -1, .bytes = -1};
    if (frame == NULL || frame->rows == NULL)
        return mr_error_internal(err, "no frame is held");
    const struct mr_held_rows *rows = frame->rows;
    info->schema = mr_schema_new(bind->arena, rows->schema->fields, rows->schema->nfields);
    info->rows = rows->rows;
    info->bytes = rows->bytes;
    info->location = "held in memory";
    struct source *source = info->schema != NULL ? mr_calloc(1, sizeof *source) : NULL;
    if (source == NULL)
        return mr_error_nomem(err);
    *source = (struct source){rows, info->schema};
    *out = source;
    return MR_OK;
}

static enum mr_status write_split(const struct mr_held_rows *rows, int first, int end,
                                  struct mr_arena *arena, struct mr_split *out,
                                  struct mr_error *err)
{
    struct mr_bytes token;
    mr_bytes_init(&token, 64);
    mr_bytes_u8(&token, VERSION);
    mr_bytes_varint(&token, (uint64_t)first);
    mr_bytes_varint(&token, (uint64_t)end);
    *out = (struct mr_split){.label = mr_arena_printf(arena, "blocks [%d, %d)", first, end)};
    for (int i = first; i < end; i++) {
        out->rows += rows->blocks[i].rows;
        out->bytes += (int64_t)rows->blocks[i].packed->size;
    }
    enum mr_status status = mr_bytes_status(&token, err);
    if (status == MR_OK) {
        out->token = (struct mr_slice){mr_arena_strndup(arena, token.data, token.size), token.size};
        if (out->token.data == NULL || out->label == NULL)
            status = mr_error_nomem(err);
    }
    mr_bytes_reset(&token);
    return status;
}

static enum mr_status held_splits(void *state, struct mr_runtime *runtime, struct mr_arena *arena,
                                  struct mr_split_list *out, struct mr_error *err)
{
    const struct mr_held_rows *rows = ((const struct source *)state)->rows;
    int most = SPLITS_A_THREAD * (runtime->parallelism > 0 ? runtime->parallelism : 1);
    int count = rows->nblocks < most ? rows->nblocks : most;
    *out = (struct mr_split_list){0};
    out->items = mr_arena_calloc(arena, (size_t)count + 1, sizeof *out->items);
    if (out->items == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < count; i++) {
        int first = (int)((int64_t)rows->nblocks * i / count);
        int end = (int)((int64_t)rows->nblocks * (i + 1) / count);
        MR_TRY(write_split(rows, first, end, arena, &out->items[out->count++], err));
    }
    return MR_OK;
}

static enum mr_status read_split(struct reader *reader, struct mr_slice split, struct mr_slice from,
                                 struct mr_error *err)
{
    struct mr_byte_reader bytes;
    mr_byte_reader_init(&bytes, split.data, split.size);
    uint8_t version = mr_byte_reader_u8(&bytes);
    uint64_t first = mr_byte_reader_varint(&bytes), end = mr_byte_reader_varint(&bytes), done = 0;
    bool bad = bytes.bad || version != VERSION || first > end ||
               end > (uint64_t)reader->source->rows->nblocks;
    if (!bad && from.size > 0) {
        mr_byte_reader_init(&bytes, from.data, from.size);
        version = mr_byte_reader_u8(&bytes);
        done = mr_byte_reader_varint(&bytes);
        bad = bytes.bad || version != VERSION || done > end - first;
    }
    if (bad)
        return mr_error_internal(err, "a split of a held frame of an unknown form");
    reader->first = (int)first;
    reader->next = (int)(first + done);
    reader->end = (int)end;
    return MR_OK;
}

static enum mr_status held_reader_open(void *state, struct mr_runtime *runtime,
                                       struct mr_slice split, struct mr_slice from, void **out,
                                       struct mr_error *err)
{
    struct reader *reader = mr_calloc(1, sizeof *reader);
    *out = NULL;
    if (reader == NULL)
        return mr_error_nomem(err);
    reader->source = state;
    reader->runtime = runtime;
    enum mr_status status = read_split(reader, split, from, err);
    if (status == MR_OK)
        *out = reader;
    else
        mr_free(reader);
    return status;
}

static enum mr_status held_next(void *opaque, struct mr_item *out, struct mr_error *err)
{
    struct reader *reader = opaque;
    *out = (struct mr_item){.kind = MR_ITEM_END};
    if (mr_wait_cancelled(reader->runtime->waiter))
        return mr_error_cancelled(err);
    if (reader->next >= reader->end)
        return MR_OK;
    const struct mr_held_block *block = &reader->source->rows->blocks[reader->next];
    MR_TRY(mr_batch_unpack(reader->source->schema, block->rows, block->packed, &out->batch, err));
    reader->next++;
    out->kind = MR_ITEM_BATCH;
    return MR_OK;
}

static enum mr_status held_position(void *opaque, struct mr_bytes *out, struct mr_error *err)
{
    const struct reader *reader = opaque;
    mr_bytes_u8(out, VERSION);
    mr_bytes_varint(out, (uint64_t)(reader->next - reader->first));
    return mr_bytes_status(out, err);
}

static void held_reader_close(void *reader)
{
    mr_free(reader);
}

const struct mr_source mr_source_held = {
    .name = "held",
    .doc = "Rows of a static frame that were read in an earlier epoch.",
    .options = mr_held_options,
    .flags = MR_SOURCE_STABLE_ORDER | MR_SOURCE_IMMUTABLE,
    .bind = held_bind,
    .splits = held_splits,
    .reader_open = held_reader_open,
    .next = held_next,
    .position = held_position,
    .reader_close = held_reader_close,
    .close = held_close,
};

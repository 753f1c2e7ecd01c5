/*
 * frame.c - the description of a frame, and reading its chunks.
 *
 * "MRF1", root, schema, files (path, size), chunks (file, stored, packed, rows, checksum). Chunks of
 * a file lie one behind the other in the order in which they are listed, so that offsets follow and
 * every byte of a file belongs to one checksum.
 *
 * Parquet would have been readable by others, but not every type comes back from it as it was
 * (intervals, names of types at their source); packed batches come back as they were by construction.
 */
#include "connect/checkpoint/frame.h"

#include "base/failpoint.h"
#include "base/hash.h"
#include "col/pack.h"
#include "dataset/location.h"
#include "ext/codec.h"
#include "ext/registry.h"

static const char magic[4] = {'M', 'R', 'F', '1'};

void frame_encode(const struct frame *frame, struct mr_bytes *out)
{
    mr_bytes_append(out, magic, sizeof magic);
    mr_bytes_lenpref_text(out, frame->url);
    frame_put_schema(out, frame->schema);
    mr_bytes_varint(out, (uint64_t)frame->nfiles);
    for (int i = 0; i < frame->nfiles; i++) {
        mr_bytes_lenpref_text(out, frame->files[i].path);
        mr_bytes_varint(out, (uint64_t)frame->files[i].size);
    }
    mr_bytes_varint(out, (uint64_t)frame->nchunks);
    for (int i = 0; i < frame->nchunks; i++) {
        const struct frame_chunk *chunk = &frame->chunks[i];
        mr_bytes_varint(out, (uint64_t)chunk->file);
        mr_bytes_varint(out, (uint64_t)chunk->stored);
        mr_bytes_varint(out, (uint64_t)chunk->packed);
        mr_bytes_varint(out, (uint64_t)chunk->rows);
        mr_bytes_u64le(out, chunk->checksum);
    }
}

static enum mr_status damaged(struct mr_error *err)
{
    return mr_error_set(err, MR_INTERNAL, MR_CLASS_FATAL,
                        "the description of the checkpoint is damaged");
}

/* A count of things that take at least `least` bytes each. */
static int get_count(struct mr_byte_reader *reader, size_t least)
{
    uint64_t count = mr_byte_reader_varint(reader);
    if (count > (size_t)(reader->end - reader->at) / least || count >= INT32_MAX)
        reader->bad = true;
    return reader->bad ? 0 : (int)count;
}

static int64_t get_size(struct mr_byte_reader *reader, int64_t most)
{
    uint64_t size = mr_byte_reader_varint(reader);
    if (size > (uint64_t)most)
        reader->bad = true;
    return reader->bad ? 0 : (int64_t)size;
}

static enum mr_status get_files(struct mr_byte_reader *reader, struct mr_arena *arena,
                                struct frame *out, struct mr_error *err)
{
    out->nfiles = get_count(reader, 2);
    out->files = mr_arena_calloc(arena, (size_t)out->nfiles + 1, sizeof *out->files);
    if (out->files == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < out->nfiles; i++) {
        out->files[i].path = mr_byte_reader_lenpref_text(reader, arena);
        out->files[i].size = get_size(reader, INT64_MAX / 2);
        if (out->files[i].path == NULL)
            return mr_error_nomem(err);
    }
    return MR_OK;
}

/* Chunks fill the files exactly. */
static enum mr_status get_chunks(struct mr_byte_reader *reader, struct mr_arena *arena,
                                 struct frame *out, struct mr_error *err)
{
    out->nchunks = get_count(reader, 12);
    out->chunks = mr_arena_calloc(arena, (size_t)out->nchunks + 1, sizeof *out->chunks);
    int64_t *at = mr_arena_calloc(arena, (size_t)out->nfiles + 1, sizeof *at);
    if (out->chunks == NULL || at == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < out->nchunks; i++) {
        struct frame_chunk *chunk = &out->chunks[i];
        chunk->file = (int)get_size(reader, out->nfiles - 1);
        if (reader->bad || out->nfiles == 0)
            return damaged(err);
        chunk->offset = at[chunk->file];
        chunk->stored = get_size(reader, out->files[chunk->file].size - chunk->offset);
        chunk->packed = get_size(reader, INT64_MAX / 4);
        chunk->rows = get_size(reader, INT32_MAX);
        chunk->checksum = mr_byte_reader_u64le(reader);
        if (reader->bad || chunk->packed < chunk->stored)
            return damaged(err);
        at[chunk->file] += chunk->stored;
        out->rows += chunk->rows;
    }
    for (int i = 0; i < out->nfiles; i++)
        if (at[i] != out->files[i].size)
            return damaged(err);
    return MR_OK;
}

enum mr_status frame_decode(struct mr_slice bytes, struct mr_arena *arena, struct frame *out,
                            struct mr_error *err)
{
    struct mr_byte_reader reader;
    *out = (struct frame){.rows = 0};
    if (bytes.size < sizeof magic || memcmp(bytes.data, magic, sizeof magic) != 0)
        return damaged(err);
    mr_byte_reader_init(&reader, bytes.data + sizeof magic, bytes.size - sizeof magic);
    out->url = mr_byte_reader_lenpref_text(&reader, arena);
    if (out->url == NULL)
        return mr_error_nomem(err);
    out->schema = frame_get_schema(&reader, arena);
    if (out->schema == NULL || reader.bad)
        return damaged(err);
    MR_TRY(get_files(&reader, arena, out, err));
    if (reader.bad)
        return damaged(err);
    MR_TRY(get_chunks(&reader, arena, out, err));
    return mr_byte_reader_done(&reader) ? MR_OK : damaged(err);
}

int64_t frame_stored_bytes(const struct frame *frame)
{
    int64_t bytes = 0;
    for (int i = 0; i < frame->nfiles; i++)
        bytes += frame->files[i].size;
    return bytes;
}

enum mr_status frame_reader_open(const struct frame *frame, const struct mr_options *options,
                                 struct mr_runtime *runtime, struct frame_reader *out,
                                 struct mr_error *err)
{
    *out = (struct frame_reader){.frame = frame, .runtime = runtime};
    out->store = mr_store_of_url(frame->url, runtime);
    if (out->store == NULL)
        return mr_error_config(err, "no store of this build opens %s", frame->url);
    return out->store->open(frame->url, options, runtime, &out->handle, err);
}

void frame_reader_close(struct frame_reader *reader)
{
    if (reader->handle != NULL)
        reader->store->close(reader->handle);
    reader->handle = NULL;
}

static enum mr_status read_bytes(struct frame_reader *reader, const struct frame_chunk *chunk,
                                 uint8_t *to, struct mr_error *err)
{
    const struct frame_file *file = &reader->frame->files[chunk->file];
    size_t got = 0;
    MR_TRY(MR_FAILPOINT("checkpoint.read", err));
    MR_TRY(reader->store->read(reader->handle, file->path, chunk->offset, to, (size_t)chunk->stored,
                               &got, err));
    if ((int64_t)got == chunk->stored && mr_hash64(to, got) == chunk->checksum)
        return MR_OK;
    mr_error_set(err, MR_SOURCE, MR_CLASS_DATA, "%s/%s does not hold what was written to it",
                 reader->frame->url, file->path);
    mr_error_hint(err, "the next start finds that out before it reads, and begins anew");
    return MR_SOURCE;
}

enum mr_status frame_read_stored(struct frame_reader *reader, int chunk, struct mr_buffer **out,
                                 struct mr_error *err)
{
    const struct frame_chunk *at = &reader->frame->chunks[chunk];
    MR_TRY(mr_buffer_new(reader->runtime->memory, (size_t)at->stored, out, err));
    enum mr_status status = read_bytes(reader, at, (*out)->data, err);
    if (status != MR_OK) {
        mr_buffer_unref(*out);
        *out = NULL;
        return status;
    }
    mr_buffer_finish(*out, (size_t)at->stored);
    mr_count(reader->runtime, MR_COUNT_BYTES_READ, at->stored);
    return MR_OK;
}

static enum mr_status decompress(struct frame_reader *reader, const struct frame_chunk *chunk,
                                 const struct mr_buffer *stored, struct mr_buffer **out,
                                 struct mr_error *err)
{
    const struct mr_codec *codec = mr_registry_codec(reader->runtime->registry, "lz4");
    if (codec == NULL)
        return mr_error_internal(err, "the codec lz4 is not in this build");
    MR_TRY(mr_buffer_new(reader->runtime->memory, (size_t)chunk->packed, out, err));
    enum mr_status status = codec->decompress(stored->data, (size_t)chunk->stored, (*out)->data,
                                              (size_t)chunk->packed, err);
    if (status == MR_OK)
        mr_buffer_finish(*out, (size_t)chunk->packed);
    return status;
}

enum mr_status frame_read(struct frame_reader *reader, int chunk, struct mr_batch **out,
                          struct mr_error *err)
{
    const struct frame_chunk *at = &reader->frame->chunks[chunk];
    struct mr_buffer *stored = NULL, *packed = NULL;
    *out = NULL;
    MR_TRY(frame_read_stored(reader, chunk, &stored, err));
    enum mr_status status = MR_OK;
    if (at->stored < at->packed)
        status = decompress(reader, at, stored, &packed, err);
    else
        packed = mr_buffer_ref(stored);
    if (status == MR_OK)
        status = mr_batch_unpack(reader->frame->schema, at->rows, packed, out, err);
    mr_buffer_unref(packed);
    mr_buffer_unref(stored);
    return status;
}

/*
 * avro_write.c - rows into blocks into a file.
 *
 * A block is ended when its rows are 256 KiB before compression: large enough for a codec, small enough that a thousand open
 * partitions hold 256 MiB, and splits of readers find a boundary soon. The sync marker is a hash of the schema and the first block, so
 * equal rows make equal files; random ones would make every run's bytes new. The header therefore waits for the first block. What a
 * codec works with is not kept between blocks, for the same thousand partitions.
 */
#include "base/hash.h"
#include "enc/avro_encode.h"
#include "enc/avro_type.h"
#include "enc/avro_wire.h"
#include "format/avro_container.h"

#define BLOCK_BYTES ((size_t)256 << 10)
/* Rows that take no bytes would never fill a block. */
#define BLOCK_ROWS ((int64_t)1 << 20)
#define MIN_BLOCK  ((int64_t)1 << 10)
#define MAX_BLOCK  ((int64_t)16 << 20)

struct avro_writer_state {
    struct mr_arena arena;
    struct mr_byte_sink *sink;
    struct mr_memory *memory;
    const struct mr_avro_document *document;
    const char *const *metadata;
    struct mr_avro_encoder *encoder;
    struct avro_codec codec;
    int level;
    size_t block_bytes;
    struct mr_bytes block;  /* rows that are not handed over */
    struct mr_bytes packed; /* the block as it goes out */
    size_t charged;
    int64_t block_rows;
    int64_t rows;
    int64_t written;
    bool begun;
    uint8_t sync[AVRO_SYNC_SIZE];
};

void avro_write_close(void *opaque)
{
    struct avro_writer_state *writer = opaque;
    if (!writer)
        return;
    mr_avro_encoder_free(writer->encoder);
    mr_bytes_reset(&writer->block);
    mr_bytes_reset(&writer->packed);
    mr_memory_credit(writer->memory, (int64_t)writer->charged);
    mr_arena_reset(&writer->arena);
    mr_free(writer);
}

static enum mr_status make_document(struct avro_writer_state *writer,
                                    const struct mr_format_write *write, struct mr_error *err)
{
    MR_TRY(
        avro_option_schema(write->options, write->runtime, &writer->arena, &writer->document, err));
    if (writer->document)
        return MR_OK;
    struct mr_bytes text;
    mr_bytes_init(&text, MR_AVRO_MAX_TEXT);
    enum mr_status status = mr_avro_print(write->schema, NULL, NULL, &text, err);
    if (status == MR_OK)
        status = mr_avro_parse(&writer->arena, (struct mr_slice){text.data, text.size}, true,
                               &writer->document, err);
    mr_bytes_reset(&text);
    return status;
}

enum mr_status avro_write_open(const struct mr_format_write *write, struct mr_byte_sink *sink,
                               void **out, struct mr_error *err)
{
    struct avro_writer_state *writer = mr_calloc(1, sizeof *writer);
    if (!writer)
        return mr_error_nomem(err);
    *writer = (struct avro_writer_state){.sink = sink,
                                         .memory = write->runtime->memory,
                                         .metadata = write->metadata,
                                         .level = write->level,
                                         .block_bytes = BLOCK_BYTES};
    mr_arena_init(&writer->arena, NULL);
    mr_bytes_init(&writer->block, (size_t)AVRO_MAX_BLOCK);
    mr_bytes_init(&writer->packed, (size_t)AVRO_MAX_BLOCK * 2);
    if (write->row_group_bytes > 0)
        writer->block_bytes =
            (size_t)(write->row_group_bytes < MIN_BLOCK   ? MIN_BLOCK
                     : write->row_group_bytes > MAX_BLOCK ? MAX_BLOCK
                                                          : write->row_group_bytes);
    enum mr_status status =
        avro_find_codec(write->runtime->registry,
                        write->compression ? write->compression : "snappy", &writer->codec, err);
    if (status == MR_OK)
        status = make_document(writer, write, err);
    if (status == MR_OK)
        status = mr_avro_encoder_new(writer->document, write->schema, &writer->encoder, err);
    if (status == MR_OK)
        *out = writer;
    else
        avro_write_close(writer);
    return status;
}

/* ---- bytes out ---- */

static enum mr_status book(struct avro_writer_state *writer, struct mr_error *err)
{
    size_t held = writer->block.capacity + writer->packed.capacity;
    if (held > writer->charged)
        MR_TRY(mr_memory_charge(writer->memory, (int64_t)(held - writer->charged), err));
    else
        mr_memory_credit(writer->memory, (int64_t)(writer->charged - held));
    writer->charged = held;
    return MR_OK;
}

static enum mr_status append(struct avro_writer_state *writer, const struct mr_bytes *bytes,
                             struct mr_error *err)
{
    MR_TRY(mr_bytes_status(bytes, err));
    MR_TRY(writer->sink->append(writer->sink, bytes->data, bytes->size, err));
    writer->written += (int64_t)bytes->size;
    return MR_OK;
}

static void put_long(struct mr_bytes *out, int64_t value)
{
    uint8_t text[MR_AVRO_LONG_MAX];
    mr_bytes_append(out, text, (size_t)(mr_avro_put_long(text, value) - text));
}

static void put_sized(struct mr_bytes *out, const char *data, size_t size)
{
    put_long(out, (int64_t)size);
    mr_bytes_append(out, data, size);
}

static void make_sync(struct avro_writer_state *writer)
{
    uint64_t part[2];
    for (uint64_t i = 0; i < 2; i++) {
        part[i] = mr_hash64_seed(writer->document->text.data, writer->document->text.size, i + 1);
        if (writer->block.size > 0)
            part[i] ^= mr_hash64_seed(writer->block.data, writer->block.size, i + 3);
        part[i] = mr_hash_mix(part[i]);
    }
    memcpy(writer->sync, part, sizeof writer->sync);
}

static enum mr_status begin(struct avro_writer_state *writer, struct mr_error *err)
{
    struct mr_slice schema = writer->document->text;
    struct mr_bytes head;
    int extra = 0;
    while (writer->metadata && writer->metadata[2 * extra])
        extra++;
    make_sync(writer);
    mr_bytes_init(&head, 4 * MR_AVRO_MAX_TEXT);
    mr_bytes_append(&head, "Obj\001", 4);
    put_long(&head, extra + 2);
    put_sized(&head, "avro.schema", 11);
    put_sized(&head, schema.data, schema.size);
    put_sized(&head, "avro.codec", 10);
    put_sized(&head, writer->codec.name, strlen(writer->codec.name));
    for (int i = 0; i < 2 * extra; i++)
        put_sized(&head, writer->metadata[i], strlen(writer->metadata[i]));
    put_long(&head, 0);
    mr_bytes_append(&head, writer->sync, sizeof writer->sync);
    enum mr_status status = append(writer, &head, err);
    mr_bytes_reset(&head);
    writer->begun = status == MR_OK;
    return status;
}

/* packed: the compressed block, without its head. */
static enum mr_status pack(struct avro_writer_state *writer, struct mr_error *err)
{
    const struct mr_codec *codec = writer->codec.codec;
    size_t bound = codec->bound(writer->block.size), size = 0;
    mr_bytes_clear(&writer->packed);
    char *out = mr_bytes_reserve(&writer->packed, bound + 4);
    if (!out)
        return mr_bytes_status(&writer->packed, err);
    MR_TRY(codec->compress(writer->block.data, writer->block.size, writer->level, out, bound, &size,
                           NULL, err));
    if (writer->codec.crc) {
        uint32_t crc = mr_crc32(0, writer->block.data, writer->block.size);
        for (int i = 0; i < 4; i++)
            out[size++] = (char)(crc >> (24 - 8 * i));
    }
    writer->packed.size = size;
    return MR_OK;
}

static enum mr_status end_block(struct avro_writer_state *writer, struct mr_error *err)
{
    MR_TRY(mr_bytes_status(&writer->block, err));
    if (!writer->begun)
        MR_TRY(begin(writer, err));
    if (writer->block_rows == 0)
        return MR_OK;
    const struct mr_bytes *body = &writer->block;
    if (writer->codec.codec) {
        MR_TRY(pack(writer, err));
        body = &writer->packed;
    }
    struct mr_bytes head;
    mr_bytes_init(&head, 64);
    put_long(&head, writer->block_rows);
    put_long(&head, (int64_t)body->size);
    enum mr_status status = append(writer, &head, err);
    if (status == MR_OK && body->size > 0)
        status = append(writer, body, err);
    mr_bytes_clear(&head);
    mr_bytes_append(&head, writer->sync, sizeof writer->sync);
    if (status == MR_OK)
        status = append(writer, &head, err);
    mr_bytes_reset(&head);
    mr_bytes_clear(&writer->block);
    mr_bytes_reset(&writer->packed);
    writer->block_rows = 0;
    return status == MR_OK ? book(writer, err) : status;
}

/* ---- the contract ---- */

enum mr_status avro_write(void *opaque, struct mr_batch *batch, struct mr_error *err)
{
    struct avro_writer_state *writer = opaque;
    mr_avro_encoder_batch(writer->encoder, batch);
    int64_t row = 0, done;
    while (row < batch->rows) {
        enum mr_status status = mr_avro_encode(writer->encoder, row, batch->rows - row,
                                               writer->block_bytes, &writer->block, &done, err);
        row += done;
        writer->rows += done;
        writer->block_rows += done;
        MR_TRY(status);
        MR_TRY(book(writer, err));
        if (writer->block.size >= writer->block_bytes || writer->block_rows >= BLOCK_ROWS)
            MR_TRY(end_block(writer, err));
    }
    return MR_OK;
}

int64_t avro_buffered(const void *opaque)
{
    return (int64_t)((const struct avro_writer_state *)opaque)->charged;
}

int64_t avro_written(const void *opaque)
{
    return ((const struct avro_writer_state *)opaque)->written;
}

enum mr_status avro_flush(void *opaque, struct mr_error *err)
{
    struct avro_writer_state *writer = opaque;
    if (writer->block_rows > 0)
        MR_TRY(end_block(writer, err));
    mr_bytes_reset(&writer->block);
    mr_bytes_reset(&writer->packed);
    return book(writer, err);
}

enum mr_status avro_write_finish(void *opaque, struct mr_file_statistics *statistics,
                                 struct mr_error *err)
{
    struct avro_writer_state *writer = opaque;
    MR_TRY(end_block(writer, err));
    *statistics = (struct mr_file_statistics){.rows = writer->rows, .bytes = writer->written};
    return MR_OK;
}

/*
 * avro_read.c - blocks of a file -> batches, from any range of its bytes.
 *
 * A block belongs to the range that its first byte is in. A range that does not begin at the file's first block looks for
 * the sync marker from 16 bytes in front of its start; a find counts only if the block behind it has a plausible head and
 * ends in the marker too, since a value may hold the same 16 bytes. Row positions need the number of rows in front of the
 * range: the heads of the blocks before are read for it, and only when positions are wanted.
 *
 * Sizes are compared with the file before anything is allocated, and the decompressed size with a limit: the container does not tell
 * it, so the room grows until the block fits, and stays for the next one.
 */
#include "base/hash.h"
#include "enc/avro_decode.h"
#include "enc/avro_type.h"
#include "enc/avro_wire.h"
#include "format/avro_container.h"

#include <stdio.h>

#define WINDOW      ((int64_t)256 << 10)
#define HEAD_WINDOW ((int64_t)64)
/* varint rows, varint bytes */
#define MAX_HEAD (2 * MR_AVRO_LONG_MAX)
/* Of all metadata together. */
#define MAX_METADATA ((int64_t)32 << 20)
#define BATCH_ROWS   8192
#define BATCH_BYTES  ((size_t)4 << 20)
/* Rows that take no bytes, of one reader. */
#define MAX_EMPTY_ROWS ((int64_t)16 << 20)

struct avro_file {
    const struct mr_avro_document *schema;
    struct avro_codec codec;
    uint8_t sync[AVRO_SYNC_SIZE];
    int64_t first_block; /* offset */
};

struct avro_reader {
    struct mr_format_read read;
    struct mr_arena arena;
    struct avro_file file;
    const struct mr_schema *schema; /* of the batches */
    struct mr_avro_decoder *decoder;
    bool empty_rows;
    int64_t empty_left;
    int64_t end;  /* blocks that start here or later are not ours */
    int64_t next; /* offset of the next block */
    int64_t window;
    struct mr_buffer *bytes; /* of the file, from `bytes_at` */
    int64_t bytes_at;
    struct mr_buffer *plain; /* a decompressed block */
    /* the block at hand */
    struct mr_slice rows;
    int64_t block_at;
    int64_t rows_left;
    int64_t row; /* number of the next one in the file */
};

static enum mr_status damaged(const struct avro_reader *reader, int64_t offset, const char *what,
                              struct mr_error *err)
{
    mr_error_data(err, MR_SOURCE, "%s", what);
    if (err)
        mr_error_where(err, "%s, byte %lld", reader->read.source->name, (long long)offset);
    return MR_SOURCE;
}

/* ---- bytes of the file ---- */

/* *out: `size` bytes of the file from `offset`, until the next call. The caller knows that the file has them. */
static enum mr_status see(struct avro_reader *reader, int64_t offset, int64_t size,
                          const uint8_t **out, struct mr_error *err)
{
    struct mr_byte_source *source = reader->read.source;
    int64_t have = reader->bytes ? (int64_t)reader->bytes->size : 0;
    if (!reader->bytes || offset < reader->bytes_at || offset + size > reader->bytes_at + have) {
        int64_t wanted = size > reader->window ? size : reader->window;
        if (wanted > source->size - offset)
            wanted = source->size - offset;
        if (!reader->bytes)
            MR_TRY(
                mr_buffer_new(reader->read.runtime->memory, (size_t)wanted, &reader->bytes, err));
        else
            reader->bytes->size = 0;
        MR_TRY(mr_buffer_reserve(reader->bytes, (size_t)wanted, err));
        MR_TRY(source->read(source, offset, reader->bytes->data, (size_t)wanted, err));
        reader->bytes->size = (size_t)wanted;
        reader->bytes_at = offset;
    }
    *out = reader->bytes->data + (offset - reader->bytes_at);
    return MR_OK;
}

/* ---- the header ---- */

struct metadata {
    struct mr_slice schema;
    struct mr_slice codec;
};

enum header { HEADER_WHOLE, HEADER_CUT, HEADER_WRONG };

static enum header parse_header(struct mr_avro_cursor *in, struct metadata *out, uint8_t *sync)
{
    int64_t count, size;
    for (;;) {
        if (!mr_avro_get_long(in, &count))
            return HEADER_CUT;
        if (count == 0)
            break;
        if (count < 0 && !mr_avro_get_long(in, &size))
            return HEADER_CUT;
        if (count == INT64_MIN || (count = count < 0 ? -count : count) > MAX_METADATA)
            return HEADER_WRONG;
        for (; count > 0; count--) {
            struct mr_slice pair[2];
            for (int i = 0; i < 2; i++) {
                if (!mr_avro_get_long(in, &size))
                    return HEADER_CUT;
                if (size < 0 || size > MAX_METADATA)
                    return HEADER_WRONG;
                if (size > in->end - in->at)
                    return HEADER_CUT;
                pair[i] = (struct mr_slice){(const char *)in->at, (size_t)size};
                in->at += size;
            }
            if (mr_slice_equal(pair[0], mr_slice_of("avro.schema")))
                out->schema = pair[1];
            if (mr_slice_equal(pair[0], mr_slice_of("avro.codec")))
                out->codec = pair[1];
        }
    }
    return mr_avro_get_raw(in, sync, AVRO_SYNC_SIZE) ? HEADER_WHOLE : HEADER_CUT;
}

static enum mr_status use_header(struct avro_reader *reader, const struct metadata *metadata,
                                 struct mr_arena *arena, struct mr_error *err)
{
    char codec[64] = "null";
    if (!metadata->schema.data)
        return damaged(reader, 4, "the Avro file has no schema", err);
    if (metadata->codec.size >= sizeof codec)
        return damaged(reader, 4, "the Avro file's codec has an impossible name", err);
    if (metadata->codec.size > 0) {
        memcpy(codec, metadata->codec.data, metadata->codec.size);
        codec[metadata->codec.size] = 0;
    }
    enum mr_status status =
        avro_find_codec(reader->read.runtime->registry, codec, &reader->file.codec, err);
    if (status == MR_CONFIG)
        mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG, "codec %s cannot be read", codec);
    if (status == MR_OK) {
        status = mr_avro_parse(arena, metadata->schema, false, &reader->file.schema, err);
        if (status == MR_CONFIG && err)
            err->status = MR_SOURCE;
    }
    if (status == MR_OK || status == MR_NOMEM)
        return status;
    if (err)
        mr_error_where(err, "%s", reader->read.source->name);
    return MR_SOURCE;
}

static enum mr_status read_header(struct avro_reader *reader, struct mr_arena *arena,
                                  struct mr_error *err)
{
    int64_t size = reader->read.source->size, seen = 4096;
    for (;;) {
        const uint8_t *data;
        if (seen > size)
            seen = size;
        MR_TRY(see(reader, 0, seen, &data, err));
        if (seen >= 4 && memcmp(data, "Obj\0", 4) == 0)
            return damaged(reader, 0, "an Avro file of version 1.2 or before: not readable", err);
        if (seen < 4 || memcmp(data, "Obj\001", 4) != 0)
            return damaged(reader, 0, "not an Avro file: it does not begin with Obj 01", err);
        struct mr_avro_cursor in = {data + 4, data + seen};
        struct metadata metadata = {.schema.data = NULL};
        enum header header = parse_header(&in, &metadata, reader->file.sync);
        if (header == HEADER_WHOLE) {
            reader->file.first_block = in.at - data;
            return use_header(reader, &metadata, arena, err);
        }
        if (header == HEADER_WRONG || seen > MAX_METADATA)
            return damaged(reader, 4, "the metadata of the Avro file are damaged or too large",
                           err);
        if (seen == size)
            return damaged(reader, size, "the Avro file ends in its header", err);
        seen *= 4;
    }
}

/* ---- blocks ---- */

struct head {
    int64_t rows;
    int64_t body; /* offset */
    int64_t size;
    int64_t after; /* offset of the next block */
};

/* *why NULL when the head is plausible. */
static enum mr_status read_head(struct avro_reader *reader, int64_t offset, struct head *out,
                                const char **why, struct mr_error *err)
{
    int64_t left = reader->read.source->size - offset;
    const uint8_t *data;
    MR_TRY(see(reader, offset, left < MAX_HEAD ? left : MAX_HEAD, &data, err));
    struct mr_avro_cursor in = {data, data + (left < MAX_HEAD ? left : MAX_HEAD)};
    *why = NULL;
    if (!mr_avro_get_long(&in, &out->rows) || !mr_avro_get_long(&in, &out->size)) {
        *why = "the Avro file ends, or is damaged, in the head of a block";
        return MR_OK;
    }
    out->body = offset + (in.at - data);
    if (out->rows < 0 || out->size < 0)
        *why = "the head of an Avro block is damaged";
    else if (out->size > reader->read.source->size - AVRO_SYNC_SIZE - out->body)
        *why = "the Avro file ends in a block, or the head of the block is damaged";
    else if (out->size > AVRO_MAX_BLOCK)
        *why = "an Avro block of more than 256 MiB";
    else
        out->after = out->body + out->size + AVRO_SYNC_SIZE;
    return MR_OK;
}

static enum mr_status sync_at(struct avro_reader *reader, int64_t offset, bool *same,
                              struct mr_error *err)
{
    const uint8_t *data;
    MR_TRY(see(reader, offset, AVRO_SYNC_SIZE, &data, err));
    *same = memcmp(data, reader->file.sync, AVRO_SYNC_SIZE) == 0;
    return MR_OK;
}

/* Does a whole block, or the end of the file, come at this offset? */
static enum mr_status is_block(struct avro_reader *reader, int64_t offset, bool *is,
                               struct mr_error *err)
{
    struct head head;
    const char *why;
    *is = offset == reader->read.source->size;
    if (*is)
        return MR_OK;
    MR_TRY(read_head(reader, offset, &head, &why, err));
    return why ? MR_OK : sync_at(reader, head.after - AVRO_SYNC_SIZE, is, err);
}

/* Sets `next` to the first block that starts at `from` or later. */
static enum mr_status find_block(struct avro_reader *reader, int64_t from, struct mr_error *err)
{
    int64_t size = reader->read.source->size, at = from - AVRO_SYNC_SIZE;
    while (at + AVRO_SYNC_SIZE <= size && at + AVRO_SYNC_SIZE < reader->end) {
        const uint8_t *data;
        int64_t piece = size - at < WINDOW ? size - at : WINDOW;
        MR_TRY(see(reader, at, piece, &data, err));
        const uint8_t *found = memmem(data, (size_t)piece, reader->file.sync, AVRO_SYNC_SIZE);
        if (!found) {
            at += piece - (AVRO_SYNC_SIZE - 1);
            continue;
        }
        bool is;
        at += found - data;
        MR_TRY(is_block(reader, at + AVRO_SYNC_SIZE, &is, err));
        if (is) {
            reader->next = at + AVRO_SYNC_SIZE;
            return MR_OK;
        }
        at++;
    }
    reader->next = size;
    return MR_OK;
}

/* Rows of the blocks in front of `next`. */
static enum mr_status count_rows(struct avro_reader *reader, struct mr_error *err)
{
    int64_t at = reader->file.first_block;
    reader->window = HEAD_WINDOW;
    while (at < reader->next) {
        struct head head;
        const char *why;
        MR_TRY(read_head(reader, at, &head, &why, err));
        if (why || __builtin_add_overflow(reader->row, head.rows, &reader->row))
            return damaged(reader, at, why ? why : "the head of an Avro block is damaged", err);
        at = head.after;
    }
    reader->window = WINDOW;
    return MR_OK;
}

static enum mr_status unpack(struct avro_reader *reader, const uint8_t *body, size_t size,
                             struct mr_error *err)
{
    const struct avro_codec *codec = &reader->file.codec;
    size_t packed = codec->crc ? size - 4 : size, made = 0;
    if (codec->crc && size < 4)
        return damaged(reader, reader->block_at, "an Avro block is damaged", err);
    size_t capacity = reader->plain ? reader->plain->capacity : 0;
    if (capacity < packed * 4 + 4096)
        capacity = packed * 4 + 4096;
    enum mr_status status = MR_LIMIT;
    while (status == MR_LIMIT) {
        if ((int64_t)capacity > AVRO_MAX_BLOCK)
            capacity = (size_t)AVRO_MAX_BLOCK;
        /* Not grown but made anew: nothing in it is worth a copy, or both at once. */
        if (reader->plain && reader->plain->capacity < capacity) {
            mr_buffer_unref(reader->plain);
            reader->plain = NULL;
        }
        if (!reader->plain)
            MR_TRY(mr_buffer_new(reader->read.runtime->memory, capacity, &reader->plain, err));
        capacity = reader->plain->capacity;
        status = codec->codec->decompress_within(body, packed, reader->plain->data, capacity, &made,
                                                 err);
        if (status == MR_LIMIT && (int64_t)capacity >= AVRO_MAX_BLOCK)
            return damaged(reader, reader->block_at,
                           "an Avro block has more than 256 MiB when it is decompressed", err);
        capacity *= 2;
    }
    MR_TRY(status);
    uint32_t crc = 0;
    for (int i = 0; codec->crc && i < 4; i++)
        crc = crc << 8 | body[packed + (size_t)i];
    if (codec->crc && crc != mr_crc32(0, reader->plain->data, made))
        return damaged(reader, reader->block_at, "the checksum of an Avro block is wrong", err);
    reader->rows = (struct mr_slice){(const char *)reader->plain->data, made};
    return MR_OK;
}

static enum mr_status check_rows(struct avro_reader *reader, struct mr_error *err)
{
    if (!reader->empty_rows && reader->rows_left > (int64_t)reader->rows.size)
        return damaged(reader, reader->block_at, "an Avro block says more rows than it has bytes",
                       err);
    if (reader->empty_rows && reader->rows_left > reader->empty_left)
        return damaged(reader, reader->block_at, "too many rows that take no bytes", err);
    if (reader->empty_rows)
        reader->empty_left -= reader->rows_left;
    return MR_OK;
}

/* The next block of the range, or rows_left 0 at its end. */
static enum mr_status next_block(struct avro_reader *reader, struct mr_error *err)
{
    while (reader->next < reader->end && reader->next < reader->read.source->size) {
        struct head head;
        const char *why;
        const uint8_t *body;
        reader->block_at = reader->next;
        MR_TRY(read_head(reader, reader->next, &head, &why, err));
        if (why)
            return damaged(reader, reader->next, why, err);
        MR_TRY(see(reader, head.body, head.size + AVRO_SYNC_SIZE, &body, err));
        if (memcmp(body + head.size, reader->file.sync, AVRO_SYNC_SIZE) != 0)
            return damaged(reader, head.body + head.size,
                           "an Avro block does not end in the file's sync marker", err);
        reader->rows = (struct mr_slice){(const char *)body, (size_t)head.size};
        if (reader->file.codec.codec && (head.size > 0 || head.rows > 0)) {
            enum mr_status status = unpack(reader, body, (size_t)head.size, err);
            if (status == MR_SOURCE && err && !err->where[0])
                mr_error_where(err, "%s, block at byte %lld", reader->read.source->name,
                               (long long)reader->block_at);
            MR_TRY(status);
        }
        reader->next = head.after;
        reader->rows_left = head.rows;
        MR_TRY(check_rows(reader, err));
        if (reader->rows_left > 0)
            return MR_OK;
        if (reader->rows.size > 0)
            return damaged(reader, reader->block_at, "an Avro block of no rows has bytes", err);
    }
    return MR_OK;
}

/* ---- batches ---- */

static enum mr_status decode(struct avro_reader *reader, int64_t rows, size_t most, size_t *used,
                             struct mr_error *err)
{
    int64_t done = 0;
    int64_t first = reader->row;
    enum mr_status status =
        mr_avro_decode(reader->decoder, reader->rows, rows, most, used, &done, err);
    reader->row += done;
    reader->rows_left -= done;
    if (status != MR_OK) {
        if (err && !err->where[0])
            mr_error_where(err, "%s, block at byte %lld, row %lld from there",
                           reader->read.source->name, (long long)reader->block_at,
                           (long long)(first + done));
        return status;
    }
    reader->rows.data += *used;
    reader->rows.size -= *used;
    if (reader->rows_left == 0 && reader->rows.size > 0)
        return damaged(reader, reader->block_at, "an Avro block has bytes behind its last row",
                       err);
    return MR_OK;
}

static enum mr_status positions(struct avro_reader *reader, int64_t first, int64_t rows,
                                struct mr_column **out, struct mr_error *err)
{
    struct mr_builder builder;
    MR_TRY(mr_builder_init(&builder, reader->read.runtime->memory, mr_type_of(MR_TYPE_INT64), err));
    enum mr_status status = mr_builder_reserve(&builder, rows, 0, err);
    for (int64_t i = 0; status == MR_OK && i < rows; i++)
        status = mr_builder_int(&builder, first + i, err);
    if (status == MR_OK)
        status = mr_builder_finish(&builder, out, err);
    mr_builder_reset(&builder);
    return status;
}

static enum mr_status make_batch(struct avro_reader *reader, int64_t first, struct mr_batch **out,
                                 struct mr_error *err)
{
    int count = reader->schema->nfields;
    int64_t rows = mr_avro_decoder_rows(reader->decoder);
    struct mr_column **columns = mr_calloc((size_t)count + 1, sizeof(void *));
    if (!columns)
        return mr_error_nomem(err);
    enum mr_status status = mr_avro_decoder_finish(reader->decoder, columns, err);
    if (status == MR_OK && reader->read.row_positions)
        status = positions(reader, first, rows, &columns[count - 1], err);
    if (status == MR_OK)
        status = mr_batch_new(reader->schema, rows, columns, out, err);
    else
        for (int i = 0; i < count; i++)
            mr_column_unref(columns[i]);
    mr_free(columns);
    return status;
}

enum mr_status avro_read_next(void *opaque, struct mr_batch **out, struct mr_error *err)
{
    struct avro_reader *reader = opaque;
    int64_t wanted =
        reader->read.runtime->batch_rows ? reader->read.runtime->batch_rows : BATCH_ROWS;
    int64_t first = reader->row, rows = 0;
    size_t room = BATCH_BYTES, used;
    *out = NULL;
    while (rows < wanted && room > 0) {
        if (reader->rows_left == 0)
            MR_TRY(next_block(reader, err));
        if (reader->rows_left == 0)
            break;
        int64_t count = wanted - rows < reader->rows_left ? wanted - rows : reader->rows_left;
        MR_TRY(decode(reader, count, room, &used, err));
        room -= used < room ? used : room;
        rows = mr_avro_decoder_rows(reader->decoder);
    }
    return rows > 0 ? make_batch(reader, first, out, err) : MR_OK;
}

/* ---- opening ---- */

static enum mr_status resolve(struct avro_reader *reader, const struct mr_schema *columns,
                              const struct mr_avro_plan **out, struct mr_error *err)
{
    struct mr_avro_resolution resolution = {.writer = reader->file.schema, .columns = columns};
    MR_TRY(avro_option_schema(reader->read.options, reader->read.runtime, &reader->arena,
                              &resolution.reader, err));
    enum mr_status status = mr_avro_resolve(&reader->arena, &resolution, out, err);
    if (status != MR_OK && status != MR_NOMEM && err) {
        err->status = MR_SOURCE;
        if (!err->where[0])
            mr_error_where(err, "%s", reader->read.source->name);
        return MR_SOURCE;
    }
    return status;
}

static enum mr_status with_positions(struct avro_reader *reader, struct mr_error *err)
{
    const struct mr_schema *schema = reader->schema;
    if (!reader->read.row_positions)
        return MR_OK;
    struct mr_field *fields =
        mr_arena_calloc(&reader->arena, (size_t)schema->nfields + 1, sizeof *fields);
    if (!fields)
        return mr_error_nomem(err);
    if (schema->nfields > 0)
        memcpy(fields, schema->fields, (size_t)schema->nfields * sizeof *fields);
    fields[schema->nfields] =
        (struct mr_field){.name = "row position", .type = mr_type_of(MR_TYPE_INT64)};
    reader->schema = mr_schema_new(&reader->arena, fields, schema->nfields + 1);
    return reader->schema ? MR_OK : mr_error_nomem(err);
}

static enum mr_status start(struct avro_reader *reader, const struct mr_file_range *range,
                            struct mr_error *err)
{
    int64_t first = reader->file.first_block;
    int64_t offset = range ? range->offset : 0;
    int64_t size = range ? range->size : INT64_MAX;
    reader->end = size > INT64_MAX - offset ? INT64_MAX : offset + size;
    if (offset <= first)
        reader->next = first;
    else
        MR_TRY(find_block(reader, offset, err));
    if (reader->read.row_positions && reader->next < reader->end)
        return count_rows(reader, err);
    return MR_OK;
}

static enum mr_status open_reader(struct avro_reader *reader, const struct mr_file_range *range,
                                  struct mr_error *err)
{
    const struct mr_avro_plan *plan;
    MR_TRY(read_header(reader, &reader->arena, err));
    MR_TRY(resolve(reader, reader->read.schema, &plan, err));
    reader->schema = mr_avro_plan_columns(plan);
    reader->empty_rows = mr_avro_plan_empty_rows(plan);
    MR_TRY(with_positions(reader, err));
    MR_TRY(mr_avro_decoder_new(plan, reader->read.runtime->memory, &reader->decoder, err));
    return start(reader, range, err);
}

enum mr_status avro_read_open(const struct mr_format_read *read, const struct mr_file_range *range,
                              void **out, struct mr_error *err)
{
    *out = NULL;
    struct avro_reader *reader = mr_calloc(1, sizeof *reader);
    if (!reader)
        return mr_error_nomem(err);
    *reader = (struct avro_reader){.read = *read, .window = WINDOW, .empty_left = MAX_EMPTY_ROWS};
    mr_arena_init(&reader->arena, read->runtime->memory);
    enum mr_status status = open_reader(reader, range, err);
    if (status == MR_OK)
        *out = reader;
    else
        avro_read_close(reader);
    return status;
}

void avro_read_close(void *opaque)
{
    struct avro_reader *reader = opaque;
    if (!reader)
        return;
    mr_avro_decoder_free(reader->decoder);
    mr_buffer_unref(reader->bytes);
    mr_buffer_unref(reader->plain);
    mr_arena_reset(&reader->arena);
    mr_free(reader);
}

enum mr_status avro_probe(const struct mr_format_read *read, struct mr_arena *arena,
                          struct mr_file_info *info, struct mr_error *err)
{
    struct avro_reader reader = {.read = *read, .window = 4096};
    const struct mr_avro_document *wanted = NULL;
    *info = (struct mr_file_info){.schema = read->schema, .rows = -1, .splittable = true};
    mr_arena_init(&reader.arena, read->runtime->memory);
    enum mr_status status = read_header(&reader, &reader.arena, err);
    if (status == MR_OK)
        info->details = mr_arena_printf(arena, "codec %s", reader.file.codec.name);
    if (status == MR_OK)
        status = avro_option_schema(read->options, read->runtime, &reader.arena, &wanted, err);
    if (status == MR_OK && !info->schema) {
        if (!wanted)
            wanted = reader.file.schema;
        status = mr_avro_columns(arena, wanted->root, &info->schema, err);
        if (status == MR_CONFIG && err) {
            char where[sizeof err->where];
            snprintf(where, sizeof where, "%.200s%s%.100s", read->source->name,
                     err->where[0] ? ", " : "", err->where);
            mr_error_where(err, "%s", where);
        }
    }
    mr_buffer_unref(reader.bytes);
    mr_arena_reset(&reader.arena);
    return status;
}

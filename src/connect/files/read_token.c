/*
 * read_token.c - splits and positions of files as versioned byte strings.
 *
 * A split is 01 | number of pieces | each piece: path with its length, size and time of the whole file, offset and length
 * of what is read of it; numbers are varints. Partition values follow from the path. A position is 01 | hash of the split and
 * of what was asked of it | piece | rows of the piece that were delivered | rejected records of it that were | rows of the split: which rows
 * come depends on the conditions, so a position of one plan is none of another.
 */
#include "connect/files/read.h"

#define VERSION 1

void files_split_begin(struct mr_bytes *out, int npieces)
{
    mr_bytes_u8(out, VERSION);
    mr_bytes_varint(out, (uint64_t)npieces);
}

void files_piece_write(const struct files_piece *piece, struct mr_bytes *out)
{
    mr_bytes_lenpref(out, piece->path.data, piece->path.size);
    mr_bytes_varint(out, (uint64_t)piece->size);
    mr_bytes_u64le(out, (uint64_t)piece->modified_micros);
    mr_bytes_varint(out, (uint64_t)piece->offset);
    mr_bytes_varint(out, (uint64_t)piece->length);
}

static bool read_piece(struct mr_byte_reader *reader, struct mr_arena *arena,
                       struct files_piece *piece, struct mr_error *err, enum mr_status *status)
{
    struct mr_slice path = mr_byte_reader_lenpref(reader);
    uint64_t size = mr_byte_reader_varint(reader), modified = mr_byte_reader_u64le(reader);
    uint64_t offset = mr_byte_reader_varint(reader), length = mr_byte_reader_varint(reader);
    if (reader->bad || path.size == 0 || size > INT64_MAX || offset > size || length > INT64_MAX)
        return false;
    *piece = (struct files_piece){
        .path = {mr_arena_strndup(arena, path.data, path.size), path.size},
        .size = (int64_t)size,
        .modified_micros = (int64_t)modified,
        .offset = (int64_t)offset,
        .length = (int64_t)length,
    };
    if (piece->path.data == NULL)
        *status = mr_error_nomem(err);
    return true;
}

enum mr_status files_split_read(struct mr_slice token, struct mr_arena *arena,
                                struct files_piece **out, int *count, struct mr_error *err)
{
    struct mr_byte_reader reader;
    mr_byte_reader_init(&reader, token.data, token.size);
    uint8_t version = mr_byte_reader_u8(&reader);
    uint64_t npieces = mr_byte_reader_varint(&reader);
    bool good = !reader.bad && version == VERSION && npieces > 0 && npieces <= token.size;
    enum mr_status status = MR_OK;
    *out = good ? mr_arena_calloc(arena, (size_t)npieces, sizeof **out) : NULL;
    if (good && *out == NULL)
        return mr_error_nomem(err);
    *count = (int)npieces;
    for (uint64_t i = 0; i < npieces && good && status == MR_OK; i++)
        good = read_piece(&reader, arena, &(*out)[i], err, &status);
    if (status == MR_OK && (!good || reader.at != reader.end))
        return mr_error_internal(err, "a split of files of an unknown form");
    return status;
}

void files_position_write(const struct files_position *position, struct mr_bytes *out)
{
    mr_bytes_u8(out, VERSION);
    mr_bytes_u64le(out, position->of);
    mr_bytes_varint(out, (uint64_t)position->piece);
    mr_bytes_varint(out, (uint64_t)position->rows);
    mr_bytes_varint(out, (uint64_t)position->rejected);
    mr_bytes_varint(out, (uint64_t)position->total);
}

enum mr_status files_position_read(struct mr_slice bytes, uint64_t of, struct files_position *out,
                                   struct mr_error *err)
{
    *out = (struct files_position){.of = of};
    if (bytes.size == 0)
        return MR_OK;
    struct mr_byte_reader reader;
    mr_byte_reader_init(&reader, bytes.data, bytes.size);
    uint8_t version = mr_byte_reader_u8(&reader);
    uint64_t hash = mr_byte_reader_u64le(&reader), piece = mr_byte_reader_varint(&reader);
    uint64_t rows = mr_byte_reader_varint(&reader), rejected = mr_byte_reader_varint(&reader);
    uint64_t total = mr_byte_reader_varint(&reader);
    if (reader.bad || version != VERSION || hash != of || piece > INT32_MAX || rows > INT64_MAX ||
        rejected > INT64_MAX || total > INT64_MAX)
        return mr_error_internal(err, "a position that is not of this split of files");
    out->piece = (int)piece;
    out->rows = (int64_t)rows;
    out->rejected = (int64_t)rejected;
    out->total = (int64_t)total;
    return MR_OK;
}

/*
 * page.c - page bodies and headers, data page v1.
 *
 * A body is the repetition levels, the definition levels (each a 4-byte length and an RLE hybrid) and the values. It is put
 * together in the writer's scratch, compressed into a second scratch and copied once, with its header in front, into a
 * buffer of exactly its size: what a row group keeps in memory is its bytes on disk and nothing else. The CRC covers the
 * body as it lies on disk. Of a column whose dictionary does not pay, the first page of a thousand values or more is put
 * together in every encoding that its type allows, and compressed: what is smallest by a margin is kept for the rest of
 * the file. Guessing from the values would have to know what the codec makes of them. Version 1 because every reader takes it and DuckDB, Arrow and Spark write it by default.
 */
#include "format/parquet/page.h"

#include "base/hash.h"
#include "format/parquet/delta_write.h"
#include "format/parquet/rle.h"

enum { DATA_PAGE = 0, DICTIONARY_PAGE = 2 };

/* Values that an encoding is chosen on. */
#define TRIAL_VALUES 1000

static struct mr_pq_scratch *scratch_of(struct mr_pq_chunk *chunk)
{
    return &chunk->encoder->scratch;
}

static uint8_t *put_length(uint8_t *at, size_t size)
{
    uint32_t length = (uint32_t)size;
    memcpy(at, &length, 4);
    return at + size + 4;
}

/* `count` levels of one value, or those in `levels`. */
static uint8_t *put_levels(struct mr_pq_scratch *scratch, const uint8_t *levels, int64_t count,
                           int max, uint8_t *at)
{
    int width = mr_rle_width((uint32_t)max);
    uint32_t *wide = (uint32_t *)(void *)scratch->ids->data;
    if (levels == NULL) {
        /* An RLE run: varint of count << 1, one byte of value. */
        uint8_t *out = at + 4;
        for (uint64_t n = (uint64_t)count << 1;; n >>= 7) {
            *out++ = (uint8_t)((n & 127) | (n > 127 ? 128 : 0));
            if (n <= 127)
                break;
        }
        *out++ = (uint8_t)max;
        return put_length(at, (size_t)(out - at - 4));
    }
    for (int64_t i = 0; i < count; i++)
        wide[i] = levels[i];
    return put_length(at, mr_rle_encode(wide, (size_t)count, width, at + 4));
}

static size_t values_bound(const struct mr_pq_chunk *chunk)
{
    if (!chunk->page_plain)
        return 1 + mr_rle_bound((size_t)chunk->page_values, mr_rle_width(chunk->dict.count));
    size_t plain = chunk->plain ? chunk->plain->size : 0;
    int width = chunk->leaf->value == 8 ? 8 : 4;
    return plain + (chunk->encoder->delta ? 2 * mr_pq_delta_bound(chunk->page_values, width) : 0);
}

static uint8_t *put_ids(const struct mr_pq_chunk *chunk, uint8_t *at)
{
    /* One bit for a single entry: some readers take no indices of zero bits. */
    int width = chunk->dict.count > 1 ? mr_rle_width(chunk->dict.count - 1) : 1;
    const uint32_t *ids = (const uint32_t *)(const void *)chunk->ids->data;
    *at++ = (uint8_t)width;
    return at + mr_rle_encode(ids, (size_t)chunk->page_values, width, at);
}

/* The scratch's values and ends have room for a number a value. */
static uint8_t *put_values(struct mr_pq_chunk *chunk, int encoding, uint8_t *at)
{
    int64_t count = chunk->page_values;
    const struct mr_pq_scratch *scratch = scratch_of(chunk);
    if (chunk->plain == NULL)
        return at;
    const uint8_t *plain = chunk->plain->data;
    if (chunk->leaf->physical == MR_PQ_BOOLEAN) {
        mr_rle_pack_bools(plain, (size_t)count, at);
        return at + (count + 7) / 8;
    }
    switch (encoding) {
    case MR_PQ_ENC_DELTA:
        return at + mr_pq_delta_write(plain, count, chunk->leaf->value, at);
    case MR_PQ_ENC_DELTA_LENGTHS:
        return at + mr_pq_delta_lengths_write(plain, count,
                                              (int32_t *)(void *)scratch->values->data, at);
    case MR_PQ_ENC_DELTA_STRINGS:
        return at + mr_pq_delta_strings_write(plain, count,
                                              (int32_t *)(void *)scratch->values->data,
                                              (int32_t *)(void *)scratch->ends->data, at);
    case MR_PQ_ENC_SPLIT:
        mr_pq_stream_split(plain, count, chunk->leaf->value, at);
        return at + chunk->plain->size;
    default:
        memcpy(at, plain, chunk->plain->size);
        return at + chunk->plain->size;
    }
}

/* Header of either kind of page, into encoder->header. */
static void write_header(struct mr_pq_encoder *encoder, int type, size_t uncompressed,
                         size_t compressed, uint32_t crc, int64_t values, int encoding)
{
    struct mr_thrift thrift;
    mr_bytes_clear(&encoder->header);
    mr_thrift_init(&thrift, &encoder->header);
    mr_thrift_i32(&thrift, 1, type);
    mr_thrift_i32(&thrift, 2, (int32_t)uncompressed);
    mr_thrift_i32(&thrift, 3, (int32_t)compressed);
    mr_thrift_i32(&thrift, 4, (int32_t)crc);
    mr_thrift_begin(&thrift, type == DATA_PAGE ? 5 : 7);
    mr_thrift_i32(&thrift, 1, (int32_t)values);
    mr_thrift_i32(&thrift, 2, encoding);
    if (type == DATA_PAGE) {
        mr_thrift_i32(&thrift, 3, MR_PQ_ENC_RLE);
        mr_thrift_i32(&thrift, 4, MR_PQ_ENC_RLE);
    }
    mr_thrift_end(&thrift);
    mr_thrift_end(&thrift);
}

/* Compresses the body and joins it with its header. */
static enum mr_status finish(struct mr_pq_chunk *chunk, int type, const uint8_t *body, size_t size,
                             int64_t values, int encoding, struct mr_buffer **out,
                             struct mr_error *err)
{
    struct mr_pq_encoder *encoder = chunk->encoder;
    if (size > INT32_MAX || values > INT32_MAX)
        return mr_error_data(err, MR_LIMIT, "column %s: a page of %zu bytes is over 2 GiB",
                             chunk->leaf->path[0], size);
    const uint8_t *packed = body;
    size_t packed_size = size;
    if (encoder->codec_id != 0) {
        size_t bound = encoder->codec->bound(size);
        MR_TRY(mr_pq_scratch_room(&encoder->scratch, &encoder->scratch.packed, bound, err));
        uint8_t *to = encoder->scratch.packed->data;
        MR_TRY(encoder->codec->compress(body, size, encoder->level, to, bound, &packed_size,
                                        &encoder->codec_scratch, err));
        packed = to;
    }
    write_header(encoder, type, size, packed_size, mr_crc32(0, packed, packed_size), values,
                 encoding);
    MR_TRY(mr_bytes_status(&encoder->header, err));
    size_t header = encoder->header.size;
    MR_TRY(mr_buffer_new(encoder->memory, header + packed_size, out, err));
    memcpy((*out)->data, encoder->header.data, header);
    memcpy((*out)->data + header, packed, packed_size);
    (*out)->size = header + packed_size;
    chunk->uncompressed += (int64_t)(header + size);
    chunk->compressed += (int64_t)(header + packed_size);
    return MR_OK;
}

/* The whole body in the scratch; values that are not ids in `encoding`. */
static size_t put_body(struct mr_pq_chunk *chunk, int encoding)
{
    const struct mr_pq_leaf *leaf = chunk->leaf;
    struct mr_pq_scratch *scratch = scratch_of(chunk);
    bool nulls = chunk->page_values < chunk->page_levels;
    uint8_t *at = scratch->body->data;
    if (leaf->max_rep > 0)
        at = put_levels(scratch, chunk->rep->data, chunk->page_levels, leaf->max_rep, at);
    if (leaf->max_def > 0)
        at = put_levels(scratch, nulls ? chunk->def->data : NULL, chunk->page_levels, leaf->max_def,
                        at);
    at = chunk->page_plain ? put_values(chunk, encoding, at) : put_ids(chunk, at);
    return (size_t)(at - scratch->body->data);
}

/* Bytes of the body of the open page in `encoding`, compressed. */
static enum mr_status try_encoding(struct mr_pq_chunk *chunk, int encoding, size_t *out,
                                   struct mr_error *err)
{
    struct mr_pq_encoder *encoder = chunk->encoder;
    size_t size = put_body(chunk, encoding);
    *out = size;
    if (encoder->codec_id == 0)
        return MR_OK;
    size_t bound = encoder->codec->bound(size);
    MR_TRY(mr_pq_scratch_room(&encoder->scratch, &encoder->scratch.packed, bound, err));
    return encoder->codec->compress(encoder->scratch.body->data, size, encoder->level,
                                    encoder->scratch.packed->data, bound, out,
                                    &encoder->codec_scratch, err);
}

/* Encodings beside PLAIN that the column may have, the one that is read fastest first; ends with 0. */
static const int *candidates(const struct mr_pq_chunk *chunk)
{
    static const int none[] = {0}, integers[] = {MR_PQ_ENC_DELTA, 0},
                     strings[] = {MR_PQ_ENC_DELTA_LENGTHS, MR_PQ_ENC_DELTA_STRINGS, 0},
                     floats[] = {MR_PQ_ENC_SPLIT, 0};
    switch (chunk->leaf->physical) {
    case MR_PQ_INT32:
    case MR_PQ_INT64:
        return chunk->encoder->delta ? integers : none;
    case MR_PQ_BYTE_ARRAY:
        return chunk->encoder->delta ? strings : none;
    case MR_PQ_FLOAT:
    case MR_PQ_DOUBLE:
        return chunk->encoder->split ? floats : none;
    default:
        return none;
    }
}

/* Chooses the encoding of values for this column, if the open page is a fair sample. */
static enum mr_status settle_encoding(struct mr_pq_chunk *chunk, struct mr_error *err)
{
    size_t best = 0;
    const int *other = candidates(chunk);
    if (!chunk->page_plain || chunk->settled || chunk->page_values < TRIAL_VALUES || *other == 0)
        return MR_OK;
    MR_TRY(try_encoding(chunk, MR_PQ_ENC_PLAIN, &best, err));
    for (; *other != 0; other++) {
        size_t size;
        MR_TRY(try_encoding(chunk, *other, &size, err));
        if (size >= best / 16 * 15)
            continue;
        best = size;
        chunk->value_encoding = *other;
    }
    chunk->settled = true;
    return MR_OK;
}

enum mr_status mr_pq_page_data(struct mr_pq_chunk *chunk, struct mr_buffer **out,
                               struct mr_error *err)
{
    const struct mr_pq_leaf *leaf = chunk->leaf;
    struct mr_pq_scratch *scratch = scratch_of(chunk);
    bool nulls = chunk->page_values < chunk->page_levels;
    size_t levels = mr_rle_bound((size_t)chunk->page_levels, 8) + 4;
    size_t numbers = (size_t)chunk->page_values * sizeof(int32_t) + 16;
    size_t bound = values_bound(chunk) + (leaf->max_rep > 0 ? levels : 0) +
                   (nulls || leaf->max_rep > 0 ? levels : 64);
    MR_TRY(mr_pq_scratch_room(scratch, &scratch->body, bound, err));
    MR_TRY(mr_pq_scratch_room(scratch, &scratch->ids,
                              ((size_t)chunk->page_levels + 8) * sizeof(uint32_t), err));
    if (chunk->page_plain && leaf->physical == MR_PQ_BYTE_ARRAY && chunk->encoder->delta) {
        MR_TRY(mr_pq_scratch_room(scratch, &scratch->values, numbers, err));
        MR_TRY(mr_pq_scratch_room(scratch, &scratch->ends, numbers, err));
    }
    MR_TRY(settle_encoding(chunk, err));
    int values = chunk->page_values > 0 ? chunk->value_encoding : MR_PQ_ENC_PLAIN;
    chunk->page_encoding = chunk->page_plain ? values : MR_PQ_ENC_RLE_DICTIONARY;
    size_t size = put_body(chunk, values);
    return finish(chunk, DATA_PAGE, scratch->body->data, size, chunk->page_levels,
                  chunk->page_encoding, out, err);
}

enum mr_status mr_pq_page_dictionary(struct mr_pq_chunk *chunk, struct mr_buffer **out,
                                     struct mr_error *err)
{
    const struct mr_pq_leaf *leaf = chunk->leaf;
    struct mr_pq_scratch *scratch = scratch_of(chunk);
    const uint8_t *values = chunk->dict.values->data;
    size_t size = chunk->dict.values->size;
    if (leaf->order == MR_PQ_ORDER_I128) {
        size = (size_t)chunk->dict.count * (size_t)leaf->width;
        MR_TRY(mr_pq_scratch_room(scratch, &scratch->body, size, err));
        for (uint32_t i = 0; i < chunk->dict.count; i++)
            mr_pq_decimal_bytes(((const mr_int128 *)(const void *)values)[i], leaf->width,
                                scratch->body->data + (size_t)i * (size_t)leaf->width);
        values = scratch->body->data;
    }
    return finish(chunk, DICTIONARY_PAGE, values, size, chunk->dict.count, MR_PQ_ENC_PLAIN, out,
                  err);
}

/*
 * thrift.c - the compact protocol, written by hand: a generated writer would be larger than all that Parquet's
 * metadata uses of it, and would need a Thrift compiler at build time.
 *
 * A field is one byte (id delta << 4 | type) while ids ascend by at most 15, integers are zigzag varints, a struct ends with
 * a zero byte. {1: i32 5, 3: binary "ab"} is 15 0a | 28 02 61 62 | 00.
 */
#include "format/parquet/thrift.h"

#include <assert.h>

static uint64_t zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static void field(struct mr_thrift *thrift, int16_t id, enum mr_thrift_type type)
{
    int delta = id - thrift->last[thrift->depth];
    assert(delta > 0);
    if (delta <= 15) {
        mr_bytes_u8(thrift->out, (uint8_t)(delta << 4 | (int)type));
    } else {
        mr_bytes_u8(thrift->out, (uint8_t)type);
        mr_bytes_varint(thrift->out, zigzag(id));
    }
    thrift->last[thrift->depth] = id;
}

void mr_thrift_init(struct mr_thrift *thrift, struct mr_bytes *out)
{
    thrift->out = out;
    thrift->depth = 0;
    thrift->last[0] = 0;
}

void mr_thrift_bool(struct mr_thrift *thrift, int16_t id, bool value)
{
    field(thrift, id, value ? MR_THRIFT_TRUE : MR_THRIFT_FALSE);
}

void mr_thrift_i8(struct mr_thrift *thrift, int16_t id, int8_t value)
{
    field(thrift, id, MR_THRIFT_I8);
    mr_bytes_u8(thrift->out, (uint8_t)value);
}

void mr_thrift_i16(struct mr_thrift *thrift, int16_t id, int16_t value)
{
    field(thrift, id, MR_THRIFT_I16);
    mr_bytes_varint(thrift->out, zigzag(value));
}

void mr_thrift_i32(struct mr_thrift *thrift, int16_t id, int32_t value)
{
    field(thrift, id, MR_THRIFT_I32);
    mr_bytes_varint(thrift->out, zigzag(value));
}

void mr_thrift_i64(struct mr_thrift *thrift, int16_t id, int64_t value)
{
    field(thrift, id, MR_THRIFT_I64);
    mr_bytes_varint(thrift->out, zigzag(value));
}

void mr_thrift_binary(struct mr_thrift *thrift, int16_t id, const void *data, size_t size)
{
    field(thrift, id, MR_THRIFT_BINARY);
    mr_bytes_lenpref(thrift->out, data, size);
}

void mr_thrift_text(struct mr_thrift *thrift, int16_t id, const char *text)
{
    mr_thrift_binary(thrift, id, text, strlen(text));
}

void mr_thrift_list(struct mr_thrift *thrift, int16_t id, enum mr_thrift_type element, size_t count)
{
    field(thrift, id, MR_THRIFT_LIST);
    if (count < 15) {
        mr_bytes_u8(thrift->out, (uint8_t)(count << 4 | element));
    } else {
        mr_bytes_u8(thrift->out, (uint8_t)(0xf0 | element));
        mr_bytes_varint(thrift->out, count);
    }
}

void mr_thrift_begin(struct mr_thrift *thrift, int16_t id)
{
    if (id != 0)
        field(thrift, id, MR_THRIFT_STRUCT);
    assert(thrift->depth + 1 < MR_THRIFT_DEPTH);
    thrift->last[++thrift->depth] = 0;
}

void mr_thrift_end(struct mr_thrift *thrift)
{
    mr_bytes_u8(thrift->out, 0);
    if (thrift->depth > 0)
        thrift->depth--;
}

void mr_thrift_empty(struct mr_thrift *thrift, int16_t id)
{
    mr_thrift_begin(thrift, id);
    mr_thrift_end(thrift);
}

void mr_thrift_item_bool(struct mr_thrift *thrift, bool value)
{
    mr_bytes_u8(thrift->out, value ? MR_THRIFT_TRUE : MR_THRIFT_FALSE);
}

void mr_thrift_item_int(struct mr_thrift *thrift, int64_t value)
{
    mr_bytes_varint(thrift->out, zigzag(value));
}

void mr_thrift_item_binary(struct mr_thrift *thrift, const void *data, size_t size)
{
    mr_bytes_lenpref(thrift->out, data, size);
}

/*
 * thrift_read.c - the compact protocol, read without trust.
 *
 * Nothing is allocated: texts are slices of the input, and a list's count is believed only as far as the bytes that
 * are left, since every element takes at least one. Unknown fields are skipped by recursion of bounded depth. A field of
 * another type than expected is skipped too, as generated readers do.
 */
#include "format/parquet/thrift_read.h"

#define MAX_SKIP_DEPTH 64

/* Types that the writer never uses. */
enum { THRIFT_DOUBLE = 7, THRIFT_SET = 10, THRIFT_MAP = 11, THRIFT_UUID = 13 };

void mr_thrift_in_init(struct mr_thrift_in *in, const void *data, size_t size)
{
    *in = (struct mr_thrift_in){.at = data, .end = (const uint8_t *)data + size};
}

static uint64_t fail(struct mr_thrift_in *in, bool cut)
{
    if (!in->bad)
        in->cut = cut;
    in->bad = true;
    in->at = in->end;
    return 0;
}

static uint8_t byte(struct mr_thrift_in *in)
{
    if (in->at >= in->end)
        return (uint8_t)fail(in, true);
    return *in->at++;
}

static uint64_t varint(struct mr_thrift_in *in)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (in->at >= in->end)
            return fail(in, true);
        uint8_t b = *in->at++;
        value |= (uint64_t)(b & 127) << shift;
        if (b < 128)
            return value;
    }
    return fail(in, false);
}

static int64_t zigzag(struct mr_thrift_in *in)
{
    uint64_t value = varint(in);
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

static struct mr_slice bytes(struct mr_thrift_in *in)
{
    uint64_t size = varint(in);
    if (size > (uint64_t)(in->end - in->at)) {
        fail(in, true);
        return (struct mr_slice){"", 0};
    }
    struct mr_slice slice = {(const char *)in->at, (size_t)size};
    in->at += size;
    return slice;
}

bool mr_thrift_in_field(struct mr_thrift_in *in, struct mr_thrift_field *field)
{
    uint8_t head = byte(in);
    if (in->bad || head == 0)
        return false;
    field->type = (enum mr_thrift_type)(head & 15);
    if (head >> 4)
        field->id = (int16_t)(field->id + (head >> 4));
    else
        field->id = (int16_t)zigzag(in);
    return !in->bad;
}

int64_t mr_thrift_in_int(struct mr_thrift_in *in, const struct mr_thrift_field *field)
{
    if (field->type == MR_THRIFT_I8)
        return (int8_t)byte(in);
    if (field->type >= MR_THRIFT_I16 && field->type <= MR_THRIFT_I64)
        return zigzag(in);
    mr_thrift_in_skip(in, field->type);
    return 0;
}

bool mr_thrift_in_bool(struct mr_thrift_in *in, const struct mr_thrift_field *field)
{
    if (field->type != MR_THRIFT_TRUE && field->type != MR_THRIFT_FALSE)
        mr_thrift_in_skip(in, field->type);
    return field->type == MR_THRIFT_TRUE;
}

struct mr_slice mr_thrift_in_bytes(struct mr_thrift_in *in, const struct mr_thrift_field *field)
{
    if (field->type == MR_THRIFT_BINARY)
        return bytes(in);
    mr_thrift_in_skip(in, field->type);
    return (struct mr_slice){"", 0};
}

static size_t list_head(struct mr_thrift_in *in, enum mr_thrift_type *element)
{
    uint8_t head = byte(in);
    uint64_t count = head >> 4;
    if (count == 15)
        count = varint(in);
    *element = (enum mr_thrift_type)(head & 15);
    if (count > (uint64_t)(in->end - in->at))
        return (size_t)fail(in, true);
    return (size_t)count;
}

size_t mr_thrift_in_list(struct mr_thrift_in *in, const struct mr_thrift_field *field,
                         enum mr_thrift_type element)
{
    if (field->type != MR_THRIFT_LIST) {
        mr_thrift_in_skip(in, field->type);
        return 0;
    }
    enum mr_thrift_type found;
    size_t count = list_head(in, &found);
    bool bools = element == MR_THRIFT_TRUE && found == MR_THRIFT_FALSE;
    bool ints = element == MR_THRIFT_I32 && found == MR_THRIFT_I64;
    if (count > 0 && found != element && !bools && !ints)
        return (size_t)fail(in, false);
    return count;
}

int64_t mr_thrift_in_item_int(struct mr_thrift_in *in)
{
    return zigzag(in);
}

bool mr_thrift_in_item_bool(struct mr_thrift_in *in)
{
    return byte(in) == MR_THRIFT_TRUE;
}

struct mr_slice mr_thrift_in_item_bytes(struct mr_thrift_in *in)
{
    return bytes(in);
}

bool mr_thrift_in_struct(struct mr_thrift_in *in, const struct mr_thrift_field *field)
{
    if (field->type == MR_THRIFT_STRUCT)
        return true;
    mr_thrift_in_skip(in, field->type);
    return false;
}

static void skip_bytes(struct mr_thrift_in *in, size_t size)
{
    if (size > (size_t)(in->end - in->at))
        fail(in, true);
    else
        in->at += size;
}

static void skip_struct(struct mr_thrift_in *in)
{
    struct mr_thrift_field field = {0};
    while (mr_thrift_in_field(in, &field))
        mr_thrift_in_skip(in, field.type);
}

/* An element of a list or map: a boolean takes a byte there. */
static void skip_item(struct mr_thrift_in *in, enum mr_thrift_type type)
{
    if (type == MR_THRIFT_TRUE || type == MR_THRIFT_FALSE)
        byte(in);
    else
        mr_thrift_in_skip(in, type);
}

static void skip_list(struct mr_thrift_in *in)
{
    enum mr_thrift_type element;
    for (size_t count = list_head(in, &element); count > 0 && !in->bad; count--)
        skip_item(in, element);
}

static void skip_map(struct mr_thrift_in *in)
{
    uint64_t count = varint(in);
    if (count == 0)
        return;
    uint8_t types = byte(in);
    for (; count > 0 && !in->bad; count--) {
        skip_item(in, (enum mr_thrift_type)(types >> 4));
        skip_item(in, (enum mr_thrift_type)(types & 15));
    }
}

void mr_thrift_in_skip(struct mr_thrift_in *in, enum mr_thrift_type type)
{
    if (in->bad)
        return;
    if (++in->depth > MAX_SKIP_DEPTH)
        fail(in, false);
    switch ((int)type) {
    case MR_THRIFT_TRUE:
    case MR_THRIFT_FALSE:
        break;
    case MR_THRIFT_I8:
        byte(in);
        break;
    case MR_THRIFT_I16:
    case MR_THRIFT_I32:
    case MR_THRIFT_I64:
        varint(in);
        break;
    case THRIFT_DOUBLE:
        skip_bytes(in, 8);
        break;
    case THRIFT_UUID:
        skip_bytes(in, 16);
        break;
    case MR_THRIFT_BINARY:
        bytes(in);
        break;
    case MR_THRIFT_LIST:
    case THRIFT_SET:
        skip_list(in);
        break;
    case THRIFT_MAP:
        skip_map(in);
        break;
    case MR_THRIFT_STRUCT:
        skip_struct(in);
        break;
    default:
        fail(in, false);
    }
    in->depth--;
}

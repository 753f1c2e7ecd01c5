/*
 * content_bytes.c - contents as bytes, and their ranges as text.
 *
 *   "MRN1" rows sum columns { nulls sum } shift ranges { key rows sum values } no_value { rows sum values }
 *   full partitions { hash label rows sum } bound keys { key row value }
 *
 * Counts are varints, sums 8 bytes, keys of ranges zigzag varints.
 */
#include "base/time.h"
#include "col/content.h"

#include <inttypes.h>

#define SIGN (UINT64_C(1) << 63)

static const char magic[4] = {'M', 'R', 'N', '1'};

static void put_range(struct mr_bytes *out, const struct mr_content_range *range)
{
    mr_bytes_varint(out, (uint64_t)range->rows);
    mr_bytes_u64le(out, range->sum);
    mr_bytes_u64le(out, range->values);
}

void mr_content_encode(struct mr_content *content, struct mr_bytes *out)
{
    mr_content_sort(content);
    mr_bytes_append(out, magic, sizeof magic);
    mr_bytes_varint(out, (uint64_t)content->rows);
    mr_bytes_u64le(out, content->sum);
    mr_bytes_varint(out, (uint64_t)content->ncolumns);
    for (int i = 0; i < content->ncolumns; i++) {
        mr_bytes_varint(out, (uint64_t)content->columns[i].nulls);
        mr_bytes_u64le(out, content->columns[i].sum);
    }
    mr_bytes_u8(out, (uint8_t)content->shift);
    mr_bytes_varint(out, (uint64_t)content->nranges);
    for (int i = 0; i < content->nranges; i++) {
        int64_t key = content->ranges[i].key;
        mr_bytes_varint(out, (uint64_t)key << 1 ^ (uint64_t)(key >> 63));
        put_range(out, &content->ranges[i]);
    }
    put_range(out, &content->no_value);
    mr_bytes_u8(out, content->partitions_full);
    mr_bytes_varint(out, (uint64_t)content->npartitions);
    for (int i = 0; i < content->npartitions; i++) {
        const struct mr_content_partition *partition = &content->partitions[i];
        mr_bytes_u64le(out, partition->hash);
        mr_bytes_lenpref_text(out, partition->label);
        mr_bytes_varint(out, (uint64_t)partition->rows);
        mr_bytes_u64le(out, partition->sum);
    }
    mr_bytes_u64le(out, content->bound);
    mr_bytes_varint(out, (uint64_t)content->nkeys);
    for (int i = 0; i < content->nkeys; i++) {
        mr_bytes_u64le(out, content->keys[i].key);
        mr_bytes_u64le(out, content->keys[i].row);
        mr_bytes_u64le(out, (uint64_t)content->keys[i].value);
    }
}

static void get_range(struct mr_byte_reader *reader, struct mr_content_range *range)
{
    range->rows = (int64_t)mr_byte_reader_varint(reader);
    range->sum = mr_byte_reader_u64le(reader);
    range->values = mr_byte_reader_u64le(reader);
}

/* A count of things that each take a byte at least; 0 and bad beyond `most`. */
static int get_count(struct mr_byte_reader *reader, int most)
{
    uint64_t count = mr_byte_reader_varint(reader);
    if (count > (uint64_t)most || count > (uint64_t)(reader->end - reader->at))
        reader->bad = true;
    return reader->bad ? 0 : (int)count;
}

static enum mr_status get_partitions(struct mr_byte_reader *reader, struct mr_content *content,
                                     struct mr_error *err)
{
    content->partitions_full = mr_byte_reader_u8(reader) != 0;
    int count = get_count(reader, MR_CONTENT_PARTITIONS);
    content->partitions = count > 0 ? mr_calloc((size_t)count, sizeof *content->partitions) : NULL;
    if (count > 0 && !content->partitions)
        return mr_error_nomem(err);
    for (int i = 0; i < count; i++) {
        struct mr_content_partition *partition = &content->partitions[i];
        partition->hash = mr_byte_reader_u64le(reader);
        struct mr_slice label = mr_byte_reader_lenpref(reader);
        partition->label = mr_alloc(label.size + 1);
        if (!partition->label)
            return mr_error_nomem(err);
        if (label.size > 0)
            memcpy(partition->label, label.data, label.size);
        partition->label[label.size] = '\0';
        content->npartitions = i + 1;
        partition->rows = (int64_t)mr_byte_reader_varint(reader);
        partition->sum = mr_byte_reader_u64le(reader);
    }
    return MR_OK;
}

static enum mr_status get_lists(struct mr_byte_reader *reader, struct mr_content *content,
                                struct mr_error *err)
{
    content->shift = mr_byte_reader_u8(reader);
    int count = get_count(reader, MR_CONTENT_RANGES);
    if (content->shift > 63)
        reader->bad = true;
    content->ranges = count > 0 ? mr_calloc((size_t)count, sizeof *content->ranges) : NULL;
    if (count > 0 && !content->ranges)
        return mr_error_nomem(err);
    content->nranges = count;
    for (int i = 0; i < count; i++) {
        uint64_t key = mr_byte_reader_varint(reader);
        content->ranges[i].key = (int64_t)(key >> 1 ^ (0 - (key & 1)));
        get_range(reader, &content->ranges[i]);
    }
    get_range(reader, &content->no_value);
    MR_TRY(get_partitions(reader, content, err));
    content->bound = mr_byte_reader_u64le(reader);
    count = get_count(reader, MR_CONTENT_SAMPLE);
    content->keys = count > 0 ? mr_calloc((size_t)count, sizeof *content->keys) : NULL;
    if (count > 0 && !content->keys)
        return mr_error_nomem(err);
    content->nkeys = count;
    for (int i = 0; i < count; i++) {
        content->keys[i].key = mr_byte_reader_u64le(reader);
        content->keys[i].row = mr_byte_reader_u64le(reader);
        content->keys[i].value = (int64_t)mr_byte_reader_u64le(reader);
        content->keys[i].seen = true;
    }
    return MR_OK;
}

/* A fresh content that can be added to, of one that was only read. */
static enum mr_status make_live(const struct mr_content *read, struct mr_content **out,
                                struct mr_error *err)
{
    MR_TRY(mr_content_new(read->ncolumns, out, err));
    return mr_content_merge(*out, read, err);
}

enum mr_status mr_content_decode(struct mr_slice bytes, struct mr_content **out,
                                 struct mr_error *err)
{
    struct mr_byte_reader reader;
    struct mr_content *read = NULL;
    enum mr_status status = MR_OK;
    *out = NULL;
    if (bytes.size < sizeof magic || memcmp(bytes.data, magic, sizeof magic) != 0)
        return mr_error_internal(err, "the record of a load's content is not one");
    mr_byte_reader_init(&reader, bytes.data + sizeof magic, bytes.size - sizeof magic);
    int64_t rows = (int64_t)mr_byte_reader_varint(&reader);
    uint64_t sum = mr_byte_reader_u64le(&reader);
    MR_TRY(mr_content_new(get_count(&reader, 1 << 20), &read, err));
    read->rows = rows;
    read->sum = sum;
    for (int i = 0; i < read->ncolumns; i++) {
        read->columns[i].nulls = (int64_t)mr_byte_reader_varint(&reader);
        read->columns[i].sum = mr_byte_reader_u64le(&reader);
    }
    MR_TRY_OUT(get_lists(&reader, read, err));
    if (!mr_byte_reader_done(&reader))
        status = mr_error_internal(err, "the record of a load's content is damaged");
    else
        status = make_live(read, out, err);
out:
    mr_content_free(read);
    if (status != MR_OK) {
        mr_content_free(*out);
        *out = NULL;
    }
    return status;
}

/* ---- text ---- */

static void put_prefix(int64_t value, bool hex, struct mr_bytes *out)
{
    uint64_t bits = (uint64_t)value ^ SIGN;
    for (int i = 0; i < 8 && (bits || hex); i++, bits <<= 8) {
        unsigned byte = (unsigned)(bits >> 56);
        if (hex)
            mr_bytes_printf(out, "%02x", byte);
        else if (byte >= 0x20 && byte < 0x7f)
            mr_bytes_char(out, (char)byte);
        else
            mr_bytes_printf(out, "\\x%02x", byte);
    }
}

static void put_value(const struct mr_type *type, int64_t value, struct mr_bytes *out)
{
    struct mr_value of = {.type = type};
    if (type->id == MR_TYPE_STRING || type->id == MR_TYPE_UUID) {
        put_prefix(value, type->id == MR_TYPE_UUID, out);
        return;
    }
    if (type->id == MR_TYPE_DECIMAL)
        of.u.i128 = value;
    else
        of.u.i64 = value;
    mr_value_format(&of, out);
}

void mr_content_range_text(const struct mr_type *type, int64_t key, int shift, struct mr_bytes *out)
{
    int64_t low = (int64_t)((uint64_t)key << shift);
    int64_t high = (int64_t)((uint64_t)low + (UINT64_C(1) << shift) - 1);
    if (low == high && type->id != MR_TYPE_STRING && type->id != MR_TYPE_UUID) {
        put_value(type, low, out);
        return;
    }
    put_value(type, low, out);
    mr_bytes_text(out, " .. ");
    put_value(type, high, out);
}

bool mr_content_value_text(const struct mr_type *type, uint64_t value, struct mr_bytes *out)
{
    if (type->id == MR_TYPE_STRING || type->id == MR_TYPE_UUID)
        return false;
    put_value(type, (int64_t)value, out);
    return true;
}

/*
 * values.c - filling and spreading.
 *
 * Values of all pages of a batch are appended without gaps; NULLs are put between them once, at the end, from the last
 * value to the first in the same storage, so that decoders never look at validity. Strings of a dictionary stay codes
 * for as long as only codes come: when a chunk falls back to plain values in the middle of a batch, that batch is turned
 * into bytes. Input is readable for 16 bytes behind its end, so short strings are copied by one 16-byte move.
 */
#include "format/parquet/values.h"

#include "base/text.h"

#include <assert.h>

#define SLACK 64

void mr_pq_values_reset(struct mr_pq_values *values)
{
    mr_buffer_unref(values->values);
    mr_buffer_unref(values->data);
    values->values = values->data = NULL;
    values->count = 0;
    values->bytes = 0;
    values->kind = MR_PQ_VALUES_NONE;
    values->dictionary = NULL;
}

/* Room for `size` bytes in all. */
static enum mr_status room(struct mr_pq_values *values, struct mr_buffer **buffer, size_t size,
                           struct mr_error *err)
{
    if (*buffer == NULL)
        return mr_buffer_new(values->memory, size + SLACK, buffer, err);
    return mr_buffer_reserve(*buffer, size + SLACK, err);
}

static size_t width_of(const struct mr_pq_values *values)
{
    return values->kind == MR_PQ_VALUES_FIXED ? (size_t)values->convert->to_width : 4;
}

static enum mr_status room_for(struct mr_pq_values *values, int64_t count, struct mr_error *err)
{
    int64_t total = values->count + count;
    if (total < values->expected)
        total = values->expected;
    return room(values, &values->values, (size_t)(total + 1) * width_of(values), err);
}

static enum mr_status data_room(struct mr_pq_values *values, size_t more, struct mr_error *err)
{
    if (more > (size_t)INT32_MAX - values->bytes)
        return mr_error_data(err, MR_LIMIT,
                             "a batch has more than 2 GiB of text in one column; set "
                             "resources.batchRows to fewer rows");
    size_t total = values->bytes + more;
    return room(values, &values->data,
                total < values->expected_bytes ? values->expected_bytes : total, err);
}

static int32_t *offsets_of(const struct mr_pq_values *values)
{
    return (int32_t *)(void *)values->values->data;
}

static inline void copy_short(uint8_t *to, const uint8_t *from, size_t size)
{
    if (size <= 16)
        memcpy(to, from, 16);
    else
        memcpy(to, from, size);
}

static enum mr_status begin(struct mr_pq_values *values, enum mr_pq_values_kind kind, int64_t count,
                            struct mr_error *err);

/* Codes become the bytes that they stand for. */
static enum mr_status to_bytes(struct mr_pq_values *values, struct mr_error *err)
{
    struct mr_buffer *codes = values->values;
    int64_t count = values->count;
    enum mr_pq_fault fault = MR_PQ_FAULT_NONE;
    values->values = NULL;
    values->count = 0;
    values->kind = MR_PQ_VALUES_NONE;
    enum mr_status status = mr_pq_values_codes(values, (const uint32_t *)(const void *)codes->data,
                                               count, values->dictionary, false, &fault, err);
    mr_buffer_unref(codes);
    return status;
}

static enum mr_status begin(struct mr_pq_values *values, enum mr_pq_values_kind kind, int64_t count,
                            struct mr_error *err)
{
    if (values->kind == MR_PQ_VALUES_CODES && kind == MR_PQ_VALUES_BYTES)
        MR_TRY(to_bytes(values, err));
    assert(values->kind == MR_PQ_VALUES_NONE || values->kind == kind);
    bool first = values->kind == MR_PQ_VALUES_NONE;
    values->kind = kind;
    MR_TRY(room_for(values, count, err));
    if (first && kind == MR_PQ_VALUES_BYTES)
        offsets_of(values)[0] = 0;
    return MR_OK;
}

/* ---- appending ---- */

static enum mr_status fixed_bytes(struct mr_pq_values *values, const uint8_t *in, int64_t count,
                                  struct mr_error *err)
{
    size_t width = (size_t)values->convert->width;
    MR_TRY(begin(values, MR_PQ_VALUES_BYTES, count, err));
    MR_TRY(data_room(values, width * (size_t)count, err));
    memcpy(values->data->data + values->bytes, in, width * (size_t)count);
    int32_t *offsets = offsets_of(values) + values->count;
    for (int64_t i = 0; i < count; i++)
        offsets[i + 1] = offsets[i] + (int32_t)width;
    values->bytes += width * (size_t)count;
    values->count += count;
    return MR_OK;
}

enum mr_status mr_pq_values_fixed(struct mr_pq_values *values, const uint8_t *in, int64_t count,
                                  enum mr_pq_fault *fault, struct mr_error *err)
{
    int64_t bad;
    if (values->convert->to == MR_LAYOUT_BYTES)
        return fixed_bytes(values, in, count, err);
    MR_TRY(begin(values, MR_PQ_VALUES_FIXED, count, err));
    uint8_t *out = values->values->data + (size_t)values->count * width_of(values);
    if (!mr_pq_convert_fixed(values->convert, in, count, out, &bad))
        *fault = MR_PQ_FAULT_RANGE;
    values->count += count;
    return MR_OK;
}

/* Decimals as BYTE_ARRAY: `lengths` NULL = in front of each. */
static enum mr_status bytes_to_fixed(struct mr_pq_values *values, const int32_t *lengths,
                                     const uint8_t *in, size_t size, int64_t count, size_t *used,
                                     enum mr_pq_fault *fault, struct mr_error *err)
{
    const uint8_t *at = in, *end = in + size;
    MR_TRY(begin(values, MR_PQ_VALUES_FIXED, count, err));
    size_t width = width_of(values);
    uint8_t *out = values->values->data + (size_t)values->count * width;
    for (int64_t i = 0; i < count; i++, out += width) {
        uint32_t length = lengths ? (uint32_t)lengths[i] : 0;
        if (lengths == NULL && end - at >= 4) {
            memcpy(&length, at, 4);
            at += 4;
        } else if (lengths == NULL) {
            *fault = MR_PQ_FAULT_SHORT;
            return MR_OK;
        }
        if (length > (size_t)(end - at)) {
            *fault = MR_PQ_FAULT_SHORT;
            return MR_OK;
        }
        if (!mr_pq_convert_bytes(values->convert, at, length, out)) {
            *fault = MR_PQ_FAULT_RANGE;
            return MR_OK;
        }
        at += length;
    }
    values->count += count;
    *used = (size_t)(at - in);
    return MR_OK;
}

/* Bytes of the next `count` PLAIN values with their lengths; 0 and a fault when there are not so many. */
static size_t plain_size(const uint8_t *in, size_t size, int64_t count, enum mr_pq_fault *fault)
{
    const uint8_t *at = in, *end = in + size;
    for (int64_t i = 0; i < count; i++) {
        uint32_t length;
        if (end - at < 4) {
            *fault = MR_PQ_FAULT_SHORT;
            return 0;
        }
        memcpy(&length, at, 4);
        at += 4;
        if (length > (size_t)(end - at)) {
            *fault = MR_PQ_FAULT_SHORT;
            return 0;
        }
        at += length;
    }
    return (size_t)(at - in);
}

enum mr_status mr_pq_values_plain(struct mr_pq_values *values, const uint8_t *in, size_t size,
                                  int64_t count, bool all, size_t *used, enum mr_pq_fault *fault,
                                  struct mr_error *err)
{
    *used = 0;
    if (values->convert->to != MR_LAYOUT_BYTES)
        return bytes_to_fixed(values, NULL, in, size, count, used, fault, err);
    /* Walking the lengths first gives the exact room; when the page ends here, its size is close enough. */
    size_t most = all ? size : plain_size(in, size, count, fault);
    if (*fault != MR_PQ_FAULT_NONE)
        return MR_OK;
    MR_TRY(begin(values, MR_PQ_VALUES_BYTES, count, err));
    MR_TRY(data_room(values, most, err));
    int32_t *offsets = offsets_of(values) + values->count;
    const uint8_t *at = in, *end = in + size;
    uint8_t *start = values->data->data, *to = start + values->bytes;
    for (int64_t i = 0; i < count; i++) {
        uint32_t length;
        if (__builtin_expect(end - at < 4, 0)) {
            *fault = MR_PQ_FAULT_SHORT;
            return MR_OK;
        }
        memcpy(&length, at, 4);
        at += 4;
        if (__builtin_expect(length > (size_t)(end - at), 0)) {
            *fault = MR_PQ_FAULT_SHORT;
            return MR_OK;
        }
        copy_short(to, at, length);
        at += length;
        to += length;
        offsets[i + 1] = (int32_t)(to - start);
    }
    values->bytes = (size_t)(to - start);
    values->count += count;
    *used = (size_t)(at - in);
    return MR_OK;
}

enum mr_status mr_pq_values_lengths(struct mr_pq_values *values, const int32_t *lengths,
                                    const uint8_t *in, size_t size, int64_t count, size_t *used,
                                    enum mr_pq_fault *fault, struct mr_error *err)
{
    *used = 0;
    if (values->convert->to != MR_LAYOUT_BYTES)
        return bytes_to_fixed(values, lengths, in, size, count, used, fault, err);
    uint64_t total = 0;
    for (int64_t i = 0; i < count; i++)
        total += (uint32_t)lengths[i];
    if (total > size) {
        *fault = MR_PQ_FAULT_SHORT;
        return MR_OK;
    }
    MR_TRY(begin(values, MR_PQ_VALUES_BYTES, count, err));
    MR_TRY(data_room(values, total, err));
    memcpy(values->data->data + values->bytes, in, total);
    int32_t *offsets = offsets_of(values) + values->count;
    for (int64_t i = 0; i < count; i++)
        offsets[i + 1] = offsets[i] + lengths[i];
    values->bytes += total;
    values->count += count;
    *used = (size_t)total;
    return MR_OK;
}

/* ---- dictionaries ---- */

#define GATHER(TYPE)                                                                               \
    do {                                                                                           \
        const TYPE *from = (const TYPE *)(const void *)dictionary->values->data;                   \
        TYPE *to = (TYPE *)(void *)out;                                                            \
        for (int64_t i = 0; i < count; i++)                                                        \
            to[i] = from[codes[i]];                                                                \
    } while (0)

static void gather_fixed(const struct mr_pq_values *dictionary, const uint32_t *codes,
                         int64_t count, size_t width, uint8_t *out)
{
    switch (width) {
    case 1:
        GATHER(uint8_t);
        break;
    case 2:
        GATHER(uint16_t);
        break;
    case 4:
        GATHER(uint32_t);
        break;
    case 8:
        GATHER(uint64_t);
        break;
    default:
        GATHER(mr_int128);
    }
}

static enum mr_status gather_bytes(struct mr_pq_values *values, const uint32_t *codes,
                                   int64_t count, const struct mr_pq_values *dictionary,
                                   struct mr_error *err)
{
    const int32_t *at = offsets_of(dictionary);
    const uint8_t *from = dictionary->data->data;
    size_t total = 0;
    for (int64_t i = 0; i < count; i++)
        total += (size_t)(at[codes[i] + 1] - at[codes[i]]);
    MR_TRY(begin(values, MR_PQ_VALUES_BYTES, count, err));
    MR_TRY(data_room(values, total, err));
    int32_t *offsets = offsets_of(values) + values->count;
    uint8_t *start = values->data->data, *to = start + values->bytes;
    for (int64_t i = 0; i < count; i++) {
        size_t size = (size_t)(at[codes[i] + 1] - at[codes[i]]);
        copy_short(to, from + at[codes[i]], size);
        to += size;
        offsets[i + 1] = (int32_t)(to - start);
    }
    values->bytes = (size_t)(to - start);
    values->count += count;
    return MR_OK;
}

/* All below `limit`? All bits together are no less than the largest, and come at half the price. */
static bool codes_fit(const uint32_t *codes, int64_t count, int64_t limit)
{
    uint32_t all = 0, most = 0;
    for (int64_t i = 0; i < count; i++)
        all |= codes[i];
    if ((int64_t)all < limit)
        return true;
    for (int64_t i = 0; i < count; i++)
        most = codes[i] > most ? codes[i] : most;
    return (int64_t)most < limit;
}

enum mr_status mr_pq_values_codes(struct mr_pq_values *values, const uint32_t *codes, int64_t count,
                                  const struct mr_pq_values *dictionary, bool coded,
                                  enum mr_pq_fault *fault, struct mr_error *err)
{
    if (count == 0)
        return MR_OK;
    if (!codes_fit(codes, count, dictionary->count)) {
        *fault = MR_PQ_FAULT_CODE;
        return MR_OK;
    }
    if (values->convert->to != MR_LAYOUT_BYTES) {
        MR_TRY(begin(values, MR_PQ_VALUES_FIXED, count, err));
        size_t width = width_of(values);
        gather_fixed(dictionary, codes, count, width,
                     values->values->data + (size_t)values->count * width);
        values->count += count;
        return MR_OK;
    }
    if (!coded || values->kind == MR_PQ_VALUES_BYTES)
        return gather_bytes(values, codes, count, dictionary, err);
    MR_TRY(begin(values, MR_PQ_VALUES_CODES, count, err));
    values->dictionary = dictionary;
    memcpy(values->values->data + (size_t)values->count * 4, codes, (size_t)count * 4);
    values->count += count;
    return MR_OK;
}

/* ---- the column ---- */

static bool is_ascii(const uint8_t *data, size_t size)
{
    uint64_t high = 0, word;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        memcpy(&word, data + i, 8);
        high |= word;
    }
    for (; i < size; i++)
        high |= data[i];
    return (high & UINT64_C(0x8080808080808080)) == 0;
}

bool mr_pq_values_is_text(const struct mr_pq_values *values)
{
    if (values->kind != MR_PQ_VALUES_BYTES || values->data == NULL)
        return true;
    const uint8_t *data = values->data->data;
    if (is_ascii(data, values->bytes))
        return true;
    if (mr_utf8_valid_prefix((const char *)data, values->bytes) != values->bytes)
        return false;
    /* All of it is; then each value is if none starts inside a character. */
    const int32_t *offsets = offsets_of(values);
    for (int64_t i = 0; i < values->count; i++)
        if ((size_t)offsets[i] < values->bytes && (data[offsets[i]] & 0xC0) == 0x80)
            return false;
    return true;
}

#define SPREAD(TYPE)                                                                               \
    do {                                                                                           \
        TYPE *to = (TYPE *)(void *)data;                                                           \
        for (int64_t i = length - 1; i >= 0; i--) {                                                \
            bool valid = (bits[i >> 3] >> (i & 7)) & 1;                                            \
            from -= valid;                                                                         \
            TYPE value = to[from < 0 ? 0 : from];                                                  \
            to[i] = valid ? value : (TYPE)0;                                                       \
        }                                                                                          \
    } while (0)

/* Puts `count` values of the front where bits are set, from the last to the first. */
static void spread(uint8_t *data, size_t width, int64_t count, const uint8_t *bits, int64_t length)
{
    int64_t from = count;
    switch (width) {
    case 1:
        SPREAD(uint8_t);
        break;
    case 2:
        SPREAD(uint16_t);
        break;
    case 4:
        SPREAD(uint32_t);
        break;
    case 8:
        SPREAD(uint64_t);
        break;
    default:
        SPREAD(mr_int128);
    }
}

/* Offsets: a NULL row starts where the next value does. */
static void spread_offsets(int32_t *offsets, int64_t count, const uint8_t *bits, int64_t length)
{
    int64_t from = count;
    offsets[length] = offsets[count];
    for (int64_t i = length - 1; i >= 0; i--) {
        from -= (bits[i >> 3] >> (i & 7)) & 1;
        offsets[i] = offsets[from];
    }
}

static enum mr_status finish_storage(struct mr_pq_values *values, int64_t length,
                                     const struct mr_buffer *validity, struct mr_error *err)
{
    if (values->kind == MR_PQ_VALUES_NONE)
        MR_TRY(
            begin(values,
                  values->convert->to == MR_LAYOUT_BYTES ? MR_PQ_VALUES_BYTES : MR_PQ_VALUES_FIXED,
                  length, err));
    size_t width = width_of(values), size = (size_t)length * width;
    bool bytes = values->kind == MR_PQ_VALUES_BYTES;
    values->expected = 0;
    MR_TRY(room(values, &values->values, size + width, err));
    if (bytes && values->data == NULL)
        MR_TRY(room(values, &values->data, 0, err));
    if (validity != NULL && bytes)
        spread_offsets(offsets_of(values), values->count, validity->data, length);
    else if (validity != NULL)
        spread(values->values->data, width, values->count, validity->data, length);
    mr_buffer_finish(values->values, bytes ? size + 4 : size);
    if (bytes)
        mr_buffer_finish(values->data, values->bytes);
    return MR_OK;
}

enum mr_status mr_pq_values_column(struct mr_pq_values *values, const struct mr_type *type,
                                   int64_t length, struct mr_buffer *validity,
                                   struct mr_column *dictionary, struct mr_column **out,
                                   struct mr_error *err)
{
    int64_t nulls = length - values->count;
    *out = NULL;
    enum mr_status status = finish_storage(values, length, validity, err);
    if (status != MR_OK) {
        mr_buffer_unref(validity);
        return status;
    }
    struct mr_buffer *storage = values->values, *data = values->data;
    bool codes = values->kind == MR_PQ_VALUES_CODES;
    values->values = values->data = NULL;
    mr_pq_values_reset(values);
    if (codes) {
        mr_buffer_unref(data);
        return mr_column_new_dictionary(mr_column_ref(dictionary), length, nulls, validity, storage,
                                        out, err);
    }
    return mr_column_new(type, length, nulls, validity, storage, data, out, err);
}

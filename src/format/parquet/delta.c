/*
 * delta.c - differences in bit-packed miniblocks, and strings on top of them.
 *
 * A page is decoded at once into scratch memory, from where its values are taken as if they were PLAIN: a page holds as
 * many values as were decoded, so nothing is gained by state that could stop in the middle of a miniblock. The
 * memory is asked for by the count that the page header confirms.
 */
#include "format/parquet/delta.h"

#include "format/parquet/hybrid.h"

#include <string.h>

#define CHUNK 256 /* values unpacked at a time */

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

static uint64_t varint(struct cursor *cursor)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && cursor->at < cursor->end; shift += 7) {
        uint8_t byte = *cursor->at++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return value;
    }
    cursor->bad = true;
    return 0;
}

static uint64_t zigzag(struct cursor *cursor)
{
    uint64_t value = varint(cursor);
    return (value >> 1) ^ -(value & 1);
}

struct head {
    uint64_t minis; /* in a block */
    uint64_t per_mini;
    uint64_t count;
    uint64_t first;
};

static bool read_head(struct cursor *cursor, struct head *head)
{
    uint64_t block = varint(cursor);
    head->minis = varint(cursor);
    head->count = varint(cursor);
    head->first = zigzag(cursor);
    if (cursor->bad || head->minis == 0 || block == 0 || block > (1 << 24) ||
        block % head->minis != 0 || head->count > INT32_MAX)
        return false;
    head->per_mini = block / head->minis;
    return head->per_mini % 8 == 0;
}

int64_t mr_pq_delta_count(const uint8_t *in, size_t size)
{
    struct cursor cursor = {in, in + size, false};
    struct head head;
    return read_head(&cursor, &head) ? (int64_t)head.count : -1;
}

/* Adds up `count` packed differences to the values behind `out`. */
static uint64_t sum(const uint8_t *in, int bits, uint64_t least, uint64_t last, uint64_t count,
                    int width, uint8_t *out)
{
    uint64_t wide[CHUNK];
    uint32_t narrow[CHUNK];
    for (uint64_t i = 0; i < count; i += CHUNK) {
        int64_t now = (int64_t)(count - i < CHUNK ? count - i : CHUNK);
        const uint8_t *from = in + i / 8 * (uint64_t)bits;
        if (bits <= 32)
            mr_pq_unpack32(from, bits, narrow, now);
        else
            mr_pq_unpack64(from, bits, wide, now);
        for (int64_t k = 0; k < now; k++) {
            last += least + (bits <= 32 ? narrow[k] : wide[k]);
            if (width == 4)
                ((uint32_t *)(void *)out)[i + (uint64_t)k] = (uint32_t)last;
            else
                ((uint64_t *)(void *)out)[i + (uint64_t)k] = last;
        }
    }
    return last;
}

static void put(uint8_t *out, int width, uint64_t value)
{
    memcpy(out, &value, (size_t)width);
}

bool mr_pq_delta_read(const uint8_t *in, size_t size, int width, void *out, size_t *used)
{
    struct cursor cursor = {in, in + size, false};
    struct head head;
    uint8_t *to = out;
    if (!read_head(&cursor, &head))
        return false;
    uint64_t last = head.first, left = head.count;
    if (left > 0) {
        put(to, width, last);
        to += width;
        left--;
    }
    while (left > 0) {
        uint64_t least = zigzag(&cursor);
        const uint8_t *bits = cursor.at;
        if (cursor.bad || head.minis > (uint64_t)(cursor.end - cursor.at))
            return false;
        cursor.at += head.minis;
        for (uint64_t m = 0; m < head.minis && left > 0; m++) {
            uint64_t now = left < head.per_mini ? left : head.per_mini;
            uint64_t bytes = head.per_mini / 8 * bits[m], rest = (uint64_t)(cursor.end - cursor.at);
            uint64_t needed = (now * bits[m] + 7) / 8;
            if (bits[m] > 64 || needed > rest)
                return false;
            last = sum(cursor.at, bits[m], least, last, now, width, to);
            /* Some writers cut the padding of the last miniblock. */
            cursor.at += bytes < rest ? bytes : rest;
            to += now * (uint64_t)width;
            left -= now;
        }
    }
    *used = (size_t)(cursor.at - in);
    return true;
}

static enum mr_status damaged(struct mr_error *err)
{
    return mr_error_data(err, MR_SOURCE, "delta-encoded values are damaged");
}

/* A sequence of int32 into a buffer of its own. */
static enum mr_status read_ints(struct mr_memory *memory, const uint8_t *in, size_t size,
                                int64_t most, struct mr_buffer **out, int64_t *count, size_t *used,
                                struct mr_error *err)
{
    *count = mr_pq_delta_count(in, size);
    if (*count < 0 || *count > most)
        return damaged(err);
    MR_TRY(mr_buffer_new(memory, (size_t)*count * 4 + 64, out, err));
    if (!mr_pq_delta_read(in, size, 4, (*out)->data, used))
        return damaged(err);
    const int32_t *lengths = (const int32_t *)(const void *)(*out)->data;
    int32_t sign = 0;
    for (int64_t i = 0; i < *count; i++)
        sign |= lengths[i];
    return sign < 0 ? damaged(err) : MR_OK;
}

enum mr_status mr_pq_delta_lengths(struct mr_memory *memory, const uint8_t *in, size_t size,
                                   int64_t most, struct mr_buffer **lengths, int64_t *count,
                                   size_t *data, struct mr_error *err)
{
    *lengths = NULL;
    enum mr_status status = read_ints(memory, in, size, most, lengths, count, data, err);
    if (status != MR_OK) {
        mr_buffer_unref(*lengths);
        *lengths = NULL;
    }
    return status;
}

/* Puts prefixes of the value before in front of the suffixes; lengths become those of the whole. */
static bool join(const int32_t *prefixes, int32_t *lengths, int64_t count, const uint8_t *in,
                 size_t size, uint8_t *out)
{
    const uint8_t *before = out, *end = in + size;
    int32_t before_size = 0;
    for (int64_t i = 0; i < count; i++) {
        if (prefixes[i] > before_size || lengths[i] > end - in)
            return false;
        uint8_t *at = out;
        memcpy(out, before, (size_t)prefixes[i]);
        memcpy(out + prefixes[i], in, (size_t)lengths[i]);
        out += prefixes[i] + lengths[i];
        in += lengths[i];
        lengths[i] += prefixes[i];
        before = at;
        before_size = lengths[i];
    }
    return true;
}

enum mr_status mr_pq_delta_strings(struct mr_memory *memory, const uint8_t *in, size_t size,
                                   int64_t most, struct mr_buffer **lengths, int64_t *count,
                                   struct mr_buffer **data, struct mr_error *err)
{
    enum mr_status status = MR_OK;
    struct mr_buffer *prefixes = NULL;
    int64_t suffixes = 0, total = 0;
    size_t used = 0, more = 0;
    *lengths = *data = NULL;
    MR_TRY_OUT(read_ints(memory, in, size, most, &prefixes, count, &used, err));
    in += used;
    size -= used;
    MR_TRY_OUT(read_ints(memory, in, size, most, lengths, &suffixes, &more, err));
    if (suffixes != *count)
        MR_TRY_OUT(damaged(err));
    in += more;
    size -= more;
    const int32_t *before = (const int32_t *)(const void *)prefixes->data;
    int32_t *after = (int32_t *)(void *)(*lengths)->data;
    for (int64_t i = 0; i < *count; i++)
        total += (int64_t)before[i] + after[i];
    if (total > INT32_MAX)
        MR_TRY_OUT(mr_error_data(err, MR_LIMIT, "a page of more than 2 GiB of text"));
    MR_TRY_OUT(mr_buffer_new(memory, (size_t)total + 64, data, err));
    if (!join(before, after, *count, in, size, (*data)->data))
        MR_TRY_OUT(damaged(err));
    (*data)->size = (size_t)total;
    memset((*data)->data + total, 0, 64);
out:
    mr_buffer_unref(prefixes);
    if (status != MR_OK) {
        mr_buffer_unref(*lengths);
        mr_buffer_unref(*data);
        *lengths = *data = NULL;
    }
    return status;
}

void mr_pq_stream_join(const uint8_t *in, int64_t count, int width, uint8_t *out)
{
    if (width == 4) {
        uint32_t *to = (uint32_t *)(void *)out;
        const uint8_t *b = in + count, *c = b + count, *d = c + count;
        for (int64_t i = 0; i < count; i++)
            to[i] =
                (uint32_t)in[i] | (uint32_t)b[i] << 8 | (uint32_t)c[i] << 16 | (uint32_t)d[i] << 24;
        return;
    }
    for (int64_t from = 0; from < count; from += CHUNK) {
        int64_t now = count - from < CHUNK ? count - from : CHUNK;
        for (int k = 0; k < width; k++) {
            const uint8_t *stream = in + k * count + from;
            uint8_t *to = out + from * width + k;
            for (int64_t i = 0; i < now; i++)
                to[i * width] = stream[i];
        }
    }
}

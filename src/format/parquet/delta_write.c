/*
 * delta_write.c - blocks of 128 differences in four miniblocks of 32, as parquet-mr and Arrow write them.
 *
 * Differences wrap at the width of the type, so that any sequence can be written and 32-bit values never need more than 32
 * bits. A miniblock takes the bits of its largest difference above the block's smallest. The last block has all four
 * widths; miniblocks without values are not there.
 *
 * 1 2 3 4 5 is 80 01 | 04 | 05 | 02 (128 values, 4 miniblocks, 5 values, first 1) and 02 | 00 00 00 00 (least 1, widths).
 */
#include "format/parquet/delta_write.h"

#include <string.h>

#define BLOCK 128
#define MINIS 4
#define MINI  (BLOCK / MINIS)
#define SLACK 16

size_t mr_pq_delta_bound(int64_t count, int width)
{
    size_t blocks = (size_t)count / BLOCK + 1;
    return blocks * (BLOCK * (size_t)width + MINIS + 10) + 32 + SLACK;
}

static uint8_t *put_varint(uint8_t *out, uint64_t value)
{
    while (value >= 128) {
        *out++ = (uint8_t)(value | 128);
        value >>= 7;
    }
    *out++ = (uint8_t)value;
    return out;
}

static uint8_t *put_zigzag(uint8_t *out, int64_t value)
{
    return put_varint(out, ((uint64_t)value << 1) ^ (uint64_t)(value >> 63));
}

static uint8_t *pack(const uint64_t *values, int width, uint8_t *out)
{
    uint64_t word = 0;
    int bits = 0;
    uint8_t *to = out;
    for (int i = 0; i < MINI; i++) {
        word |= values[i] << bits;
        if (bits + width < 64) {
            bits += width;
            continue;
        }
        memcpy(to, &word, 8);
        to += 8;
        word = bits > 0 ? values[i] >> (64 - bits) : 0;
        bits += width - 64;
        if (bits == 0)
            word = 0;
    }
    memcpy(to, &word, 8);
    return out + MINI / 8 * width;
}

/* Differences of one block, sign-extended. */
static int64_t differences(const uint8_t *values, int64_t from, int count, int width, int64_t *out)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < count; i++) {
        int64_t difference;
        if (width == 4) {
            uint32_t pair[2];
            memcpy(pair, values + (from + i - 1) * 4, 8);
            difference = (int32_t)(pair[1] - pair[0]);
        } else {
            uint64_t pair[2];
            memcpy(pair, values + (from + i - 1) * 8, 16);
            difference = (int64_t)(pair[1] - pair[0]);
        }
        out[i] = difference;
        least = difference < least ? difference : least;
    }
    return least;
}

size_t mr_pq_delta_write(const void *values, int64_t count, int width, uint8_t *out)
{
    uint8_t *start = out;
    int64_t first = 0;
    int32_t narrow = 0;
    if (count > 0 && width == 4)
        memcpy(&narrow, values, 4);
    else if (count > 0)
        memcpy(&first, values, 8);
    out = put_varint(out, BLOCK);
    out = put_varint(out, MINIS);
    out = put_varint(out, (uint64_t)count);
    out = put_zigzag(out, width == 4 ? narrow : first);
    for (int64_t at = 1; at < count; at += BLOCK) {
        int64_t raw[BLOCK];
        uint64_t above[BLOCK] = {0};
        int now = (int)(count - at < BLOCK ? count - at : BLOCK);
        int64_t least = differences(values, at, now, width, raw);
        for (int i = 0; i < now; i++)
            above[i] = width == 4 ? (uint32_t)raw[i] - (uint32_t)least
                                  : (uint64_t)raw[i] - (uint64_t)least;
        out = put_zigzag(out, least);
        uint8_t *widths = out;
        out += MINIS;
        for (int m = 0; m < MINIS; m++) {
            uint64_t all = 0;
            for (int i = 0; i < MINI; i++)
                all |= above[m * MINI + i];
            widths[m] = (uint8_t)(all == 0 ? 0 : 64 - __builtin_clzll(all));
            if (m * MINI < now && widths[m] > 0)
                out = pack(above + m * MINI, widths[m], out);
        }
    }
    return (size_t)(out - start);
}

static uint32_t length_at(const uint8_t *plain)
{
    uint32_t length;
    memcpy(&length, plain, 4);
    return length;
}

size_t mr_pq_delta_lengths_write(const uint8_t *plain, int64_t count, int32_t *lengths,
                                 uint8_t *out)
{
    const uint8_t *at = plain;
    for (int64_t i = 0; i < count; i++) {
        lengths[i] = (int32_t)length_at(at);
        at += 4 + lengths[i];
    }
    uint8_t *to = out + mr_pq_delta_write(lengths, count, 4, out);
    at = plain;
    for (int64_t i = 0; i < count; i++) {
        memcpy(to, at + 4, (size_t)lengths[i]);
        to += lengths[i];
        at += 4 + lengths[i];
    }
    return (size_t)(to - out);
}

size_t mr_pq_delta_strings_write(const uint8_t *plain, int64_t count, int32_t *lengths,
                                 int32_t *prefixes, uint8_t *out)
{
    const uint8_t *at = plain, *before = plain;
    int32_t before_size = 0;
    for (int64_t i = 0; i < count; i++) {
        int32_t size = (int32_t)length_at(at), shared = 0;
        int32_t most = size < before_size ? size : before_size;
        while (shared < most && at[4 + shared] == before[shared])
            shared++;
        prefixes[i] = shared;
        lengths[i] = size - shared;
        before = at + 4;
        before_size = size;
        at += 4 + size;
    }
    uint8_t *to = out + mr_pq_delta_write(prefixes, count, 4, out);
    to += mr_pq_delta_write(lengths, count, 4, to);
    at = plain;
    for (int64_t i = 0; i < count; i++) {
        memcpy(to, at + 4 + prefixes[i], (size_t)lengths[i]);
        to += lengths[i];
        at += 4 + prefixes[i] + lengths[i];
    }
    return (size_t)(to - out);
}

void mr_pq_stream_split(const uint8_t *values, int64_t count, int width, uint8_t *out)
{
    for (int k = 0; k < width; k++)
        for (int64_t i = 0; i < count; i++)
            *out++ = values[i * width + k];
}

/*
 * hybrid.c - runs and bit-packed stretches.
 *
 * Bit-packed values are taken eight at a time by loops whose width is a constant, so that every shift is one: each value
 * is an unaligned 8-byte load, a shift and a mask, which is why 8 bytes behind the data must be readable. A stretch that is
 * shorter than its header says (some writers cut the last group) gives as many values as it has.
 */
#include "format/parquet/hybrid.h"

#include "base/bitmap.h"

#include <string.h>

static inline uint64_t load64(const uint8_t *in)
{
    uint64_t word;
    memcpy(&word, in, 8);
    return word;
}

void mr_pq_hybrid_init(struct mr_pq_hybrid *hybrid, const uint8_t *data, size_t size, int width)
{
    *hybrid = (struct mr_pq_hybrid){.at = data, .end = data + size, .width = width};
}

void mr_pq_hybrid_init_legacy(struct mr_pq_hybrid *hybrid, const uint8_t *data, size_t size,
                              int width)
{
    *hybrid = (struct mr_pq_hybrid){.at = data,
                                    .end = data + size,
                                    .width = width,
                                    .bits = data,
                                    .packed = width ? size * 8 / (size_t)width : UINT64_MAX / 2,
                                    .legacy = true};
}

/* Opens the next run or stretch. */
static bool refill(struct mr_pq_hybrid *hybrid)
{
    uint64_t head = 0;
    int shift = 0;
    if (hybrid->width == 0) {
        hybrid->value = 0;
        hybrid->run = UINT64_MAX / 2;
        return true;
    }
    for (;; shift += 7) {
        if (hybrid->at >= hybrid->end || shift > 35)
            return false;
        uint8_t byte = *hybrid->at++;
        head |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            break;
    }
    size_t left = (size_t)(hybrid->end - hybrid->at);
    if (head & 1) {
        uint64_t groups = head >> 1, size = groups * (uint64_t)hybrid->width;
        if (size > left)
            size = left;
        hybrid->bits = hybrid->at;
        hybrid->position = 0;
        hybrid->packed = size * 8 / (uint64_t)hybrid->width;
        if (hybrid->packed > groups * 8)
            hybrid->packed = groups * 8;
        hybrid->at += size;
        return hybrid->packed > 0 || groups == 0;
    }
    size_t width = (size_t)(hybrid->width + 7) / 8;
    if (width > left)
        return false;
    hybrid->value = 0;
    memcpy(&hybrid->value, hybrid->at, width);
    hybrid->at += width;
    hybrid->run = head >> 1;
    return hybrid->width == 32 || hybrid->value >> hybrid->width == 0;
}

/* ---- unpacking ---- */

static inline __attribute__((always_inline)) void unpack_groups(const uint8_t *in, uint32_t *out,
                                                                int64_t groups, const int w)
{
    const uint32_t mask = w == 32 ? UINT32_MAX : (UINT32_C(1) << w) - 1;
    for (int64_t g = 0; g < groups; g++, in += w, out += 8) {
        if (w <= 8) {
            uint64_t word = load64(in);
            for (int k = 0; k < 8; k++)
                out[k] = (uint32_t)(word >> (k * w)) & mask;
        } else {
            for (int k = 0; k < 8; k++)
                out[k] = (uint32_t)(load64(in + (k * w >> 3)) >> (k * w & 7)) & mask;
        }
    }
}

#define WIDTH(W)                                                                                   \
    case W:                                                                                        \
        unpack_groups(in, out, groups, W);                                                         \
        break;
#define WIDTHS(W) WIDTH(W) WIDTH(W + 1) WIDTH(W + 2) WIDTH(W + 3)

static void unpack8(const uint8_t *in, int width, uint32_t *out, int64_t groups)
{
    switch (width) {
        WIDTHS(1)
        WIDTHS(5)
        WIDTHS(9)
        WIDTHS(13)
        WIDTHS(17)
        WIDTHS(21)
        WIDTHS(25)
        WIDTHS(29)
    default:
        memset(out, 0, (size_t)groups * 32);
    }
}

static inline uint32_t unpack_one(const uint8_t *in, int width, uint64_t position)
{
    uint64_t bit = position * (uint64_t)width;
    uint64_t mask = (UINT64_C(1) << width) - 1;
    return (uint32_t)((load64(in + (bit >> 3)) >> (bit & 7)) & mask);
}

/* Values [position, position + count) of a stretch. */
static void unpack_from(const uint8_t *in, int width, uint64_t position, uint32_t *out,
                        int64_t count)
{
    for (; count > 0 && (position & 7); count--)
        *out++ = unpack_one(in, width, position++);
    int64_t groups = count / 8;
    unpack8(in + (position >> 3) * (uint64_t)width, width, out, groups);
    position += (uint64_t)groups * 8;
    out += groups * 8;
    for (count -= groups * 8; count > 0; count--)
        *out++ = unpack_one(in, width, position++);
}

void mr_pq_unpack32(const uint8_t *in, int width, uint32_t *out, int64_t count)
{
    if (width == 0)
        memset(out, 0, (size_t)count * 4);
    else
        unpack_from(in, width, 0, out, count);
}

void mr_pq_unpack64(const uint8_t *in, int width, uint64_t *out, int64_t count)
{
    uint64_t mask = width == 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
    uint64_t bit = 0;
    if (width <= 56) {
        for (int64_t i = 0; i < count; i++, bit += (uint64_t)width)
            out[i] = (load64(in + (bit >> 3)) >> (bit & 7)) & mask;
        return;
    }
    for (int64_t i = 0; i < count; i++, bit += (uint64_t)width) {
        unsigned __int128 wide =
            load64(in + (bit >> 3)) | (unsigned __int128)load64(in + (bit >> 3) + 8) << 64;
        out[i] = (uint64_t)(wide >> (bit & 7)) & mask;
    }
}

static uint32_t legacy_one(const struct mr_pq_hybrid *hybrid, uint64_t position)
{
    uint32_t value = 0;
    uint64_t bit = position * (uint64_t)hybrid->width;
    for (int i = 0; i < hybrid->width; i++, bit++)
        value = value << 1 | ((hybrid->bits[bit >> 3] >> (7 - (bit & 7))) & 1);
    return value;
}

/* ---- taking values ---- */

/* How many of `count` the open run or stretch gives; opens the next one if need be. 0 = no more. */
static int64_t open_values(struct mr_pq_hybrid *hybrid, int64_t count)
{
    while (hybrid->run == 0 && hybrid->packed == 0)
        if (hybrid->legacy || !refill(hybrid))
            return 0;
    uint64_t left = hybrid->run ? hybrid->run : hybrid->packed;
    return left < (uint64_t)count ? (int64_t)left : count;
}

static void advance(struct mr_pq_hybrid *hybrid, int64_t count)
{
    if (hybrid->run) {
        hybrid->run -= (uint64_t)count;
    } else {
        hybrid->packed -= (uint64_t)count;
        hybrid->position += (uint64_t)count;
    }
}

bool mr_pq_hybrid_get(struct mr_pq_hybrid *hybrid, uint32_t *out, int64_t count)
{
    while (count > 0) {
        int64_t now = open_values(hybrid, count);
        if (now == 0)
            return false;
        if (hybrid->run)
            for (int64_t i = 0; i < now; i++)
                out[i] = hybrid->value;
        else if (hybrid->legacy)
            for (int64_t i = 0; i < now; i++)
                out[i] = legacy_one(hybrid, hybrid->position + (uint64_t)i);
        else
            unpack_from(hybrid->bits, hybrid->width, hybrid->position, out, now);
        advance(hybrid, now);
        out += now;
        count -= now;
    }
    return true;
}

bool mr_pq_hybrid_get_bytes(struct mr_pq_hybrid *hybrid, uint8_t *out, int64_t count)
{
    uint32_t wide[512];
    while (count > 0) {
        int64_t now = open_values(hybrid, count);
        if (now == 0)
            return false;
        if (hybrid->run) {
            memset(out, (int)(uint8_t)hybrid->value, (size_t)now);
            advance(hybrid, now);
        } else {
            now = now < 512 ? now : 512;
            if (!mr_pq_hybrid_get(hybrid, wide, now))
                return false;
            for (int64_t i = 0; i < now; i++)
                out[i] = (uint8_t)wide[i];
        }
        out += now;
        count -= now;
    }
    return true;
}

bool mr_pq_hybrid_get_bits(struct mr_pq_hybrid *hybrid, uint8_t *bits, int64_t from, int64_t count,
                           int64_t *ones)
{
    while (count > 0) {
        int64_t now = open_values(hybrid, count);
        if (now == 0)
            return false;
        if (hybrid->run) {
            mr_bitmap_fill(bits, from, from + now, hybrid->value & 1);
            *ones += hybrid->value & 1 ? now : 0;
        } else if (hybrid->legacy) {
            for (int64_t i = 0; i < now; i++) {
                bool one = legacy_one(hybrid, hybrid->position + (uint64_t)i) & 1;
                mr_bitmap_put(bits, from + i, one);
                *ones += one;
            }
        } else {
            mr_bitmap_copy(bits, from, hybrid->bits, (int64_t)hybrid->position, now);
            int64_t p = (int64_t)hybrid->position;
            int64_t head = (8 - (p & 7)) & 7;
            head = head < now ? head : now;
            for (int64_t i = 0; i < head; i++)
                *ones += mr_bitmap_get(hybrid->bits, p + i);
            if (now > head)
                *ones += mr_bitmap_count(hybrid->bits + ((p + head) >> 3), now - head);
        }
        advance(hybrid, now);
        from += now;
        count -= now;
    }
    return true;
}

bool mr_pq_hybrid_skip(struct mr_pq_hybrid *hybrid, int64_t count)
{
    while (count > 0) {
        int64_t now = open_values(hybrid, count);
        if (now == 0)
            return false;
        advance(hybrid, now);
        count -= now;
    }
    return true;
}

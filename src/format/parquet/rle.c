/*
 * rle.c - the hybrid encoder.
 *
 * Values are looked at in groups of eight. A group that starts a run of at least 8 equal values ends the literal stretch
 * and becomes an RLE run of whatever length it has; other groups are bit-packed, eight values in `width` bytes, by a
 * word-wide shift chain unrolled for each width up to 16. A literal stretch may hold any number of groups, so its header (a
 * varint) is written behind: room for it is kept at the start and the stretch is cut at 63 groups x 128 so that two bytes do.
 *
 * 8 x 5 with width 3 is 10 05 (run of 8 << 1, value); 0..7 with width 3 is 03 88 c6 fa (1 group << 1 | 1, 24 bits).
 */
#include "format/parquet/rle.h"

#include <string.h>

/* Groups in one literal stretch: its header, groups << 1 | 1, takes at most two varint bytes. */
#define MAX_GROUPS 8191

int mr_rle_width(uint32_t max)
{
    return max == 0 ? 0 : 32 - __builtin_clz(max);
}

size_t mr_rle_bound(size_t count, int width)
{
    size_t groups = count / 8 + 1;
    /* Literals at full width, two header bytes for at most every second group, runs of >= 8 values; word stores run over. */
    return groups * (size_t)(width > 8 ? width : 8) + groups * 2 + 64;
}

static inline __attribute__((always_inline)) void pack8_low(const uint32_t *v, uint8_t *out, int w)
{
    uint64_t word = 0;
    for (int k = 0; k < 8; k++)
        word |= (uint64_t)v[k] << (k * w);
    memcpy(out, &word, 8);
}

static inline __attribute__((always_inline)) void pack8_mid(const uint32_t *v, uint8_t *out, int w)
{
    uint64_t low = 0, high = 0;
    for (int k = 0; k < 4; k++) {
        low |= (uint64_t)v[k] << (k * w);
        high |= (uint64_t)v[k + 4] << (k * w);
    }
    int shift = 4 * w; /* 36..64 */
    uint64_t first = shift == 64 ? low : low | high << shift;
    uint64_t second = shift == 64 ? high : high >> (64 - shift);
    memcpy(out, &first, 8);
    memcpy(out + 8, &second, 8);
}

static void pack8_any(const uint32_t *v, uint8_t *out, int w)
{
    uint64_t word = 0;
    int bits = 0;
    for (int k = 0; k < 8; k++) {
        word |= (uint64_t)v[k] << bits;
        bits += w;
        while (bits >= 8) {
            *out++ = (uint8_t)word;
            word >>= 8;
            bits -= 8;
        }
    }
}

#define LOW(W)                                                                                     \
    case W:                                                                                        \
        for (size_t g = 0; g < groups; g++, v += 8, out += (W))                                    \
            pack8_low(v, out, W);                                                                  \
        break;
#define MID(W)                                                                                     \
    case W:                                                                                        \
        for (size_t g = 0; g < groups; g++, v += 8, out += (W))                                    \
            pack8_mid(v, out, W);                                                                  \
        break;

/* Writes groups * width bytes, and up to 15 more that the next store or nobody overwrites. */
static void pack(const uint32_t *v, size_t groups, int width, uint8_t *out)
{
    switch (width) {
        LOW(1)
        LOW(2)
        LOW(3)
        LOW(4)
        LOW(5)
        LOW(6)
        LOW(7)
        LOW(8)
        MID(9)
        MID(10)
        MID(11)
        MID(12)
        MID(13)
        MID(14)
        MID(15)
        MID(16)
    default:
        for (size_t g = 0; g < groups; g++, v += 8, out += width)
            pack8_any(v, out, width);
    }
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

static uint8_t *put_literals(const uint32_t *v, size_t groups, int width, uint8_t *out)
{
    while (groups > 0) {
        size_t now = groups > MAX_GROUPS ? MAX_GROUPS : groups;
        out = put_varint(out, now << 1 | 1);
        pack(v, now, width, out);
        out += now * (size_t)width;
        v += now * 8;
        groups -= now;
    }
    return out;
}

static uint8_t *put_run(uint32_t value, size_t count, int width, uint8_t *out)
{
    out = put_varint(out, (uint64_t)count << 1);
    for (int bytes = (width + 7) / 8; bytes > 0; bytes--, value >>= 8)
        *out++ = (uint8_t)value;
    return out;
}

size_t mr_rle_encode(const uint32_t *values, size_t count, int width, uint8_t *out)
{
    uint8_t *start = out;
    size_t literal = 0; /* start of the open literal stretch; i - literal is a multiple of 8 */
    size_t i = 0;
    while (i + 8 <= count) {
        const uint32_t *v = values + i;
        if (v[0] != v[7] || v[0] != v[1] || memcmp(v, v + 1, 7 * sizeof *v) != 0) {
            i += 8;
            continue;
        }
        size_t end = i + 8;
        while (end < count && values[end] == v[0])
            end++;
        out = put_literals(values + literal, (i - literal) / 8, width, out);
        out = put_run(v[0], end - i, width, out);
        literal = i = end;
    }
    out = put_literals(values + literal, (i - literal) / 8, width, out);
    if (i < count) {
        uint32_t last[8] = {0};
        memcpy(last, values + i, (count - i) * sizeof *last);
        if (i + 1 == count)
            out = put_run(last[0], 1, width, out);
        else
            out = put_literals(last, 1, width, out);
    }
    return (size_t)(out - start);
}

void mr_rle_pack_bools(const uint8_t *values, size_t count, uint8_t *out)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        uint64_t word;
        memcpy(&word, values + i, 8);
        /* Gathers bit 0 of the eight bytes into the top byte. */
        *out++ = (uint8_t)((word * UINT64_C(0x0102040810204080)) >> 56);
    }
    if (i < count) {
        uint8_t byte = 0;
        for (int k = 0; i < count; i++, k++)
            byte |= (uint8_t)(values[i] << k);
        *out = byte;
    }
}

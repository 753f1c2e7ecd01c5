/*
 * bitmap.c - the bit-set operations that work on whole words.
 *
 * Words are read with memcpy: bitmaps of imported columns need not be aligned, and the compiler
 * makes one load of it.
 */
#include "base/bitmap.h"

#include <string.h>

void mr_bitmap_fill(uint8_t *bits, int64_t from, int64_t to, bool value)
{
    if (from >= to)
        return;
    int64_t first = from >> 3, last = to >> 3;
    uint8_t head = (uint8_t)(0xFFu << (from & 7));
    uint8_t tail = (uint8_t)((1u << (to & 7)) - 1);
    if (first == last) {
        uint8_t mask = head & tail;
        bits[first] = (uint8_t)(value ? bits[first] | mask : bits[first] & ~mask);
        return;
    }
    bits[first] = (uint8_t)(value ? bits[first] | head : bits[first] & ~head);
    memset(bits + first + 1, value ? 0xFF : 0, (size_t)(last - first - 1));
    if (tail)
        bits[last] = (uint8_t)(value ? bits[last] | tail : bits[last] & ~tail);
}

int64_t mr_bitmap_count(const uint8_t *bits, int64_t count)
{
    if (!bits)
        return count;
    int64_t total = 0, i = 0;
    for (; i + 64 <= count; i += 64) {
        uint64_t word;
        memcpy(&word, bits + (i >> 3), sizeof word);
        total += __builtin_popcountll(word);
    }
    for (; i + 8 <= count; i += 8)
        total += __builtin_popcount(bits[i >> 3]);
    if (i < count)
        total += __builtin_popcount(bits[i >> 3] & ((1u << (count - i)) - 1));
    return total;
}

void mr_bitmap_and(uint8_t *out, const uint8_t *a, const uint8_t *b, int64_t count)
{
    size_t bytes = mr_bitmap_bytes(count);
    if (!a && !b) {
        memset(out, 0xFF, bytes);
        return;
    }
    if (!a || !b) {
        memmove(out, a ? a : b, bytes);
        return;
    }
    for (size_t i = 0; i < bytes; i++)
        out[i] = a[i] & b[i];
}

void mr_bitmap_copy(uint8_t *out, int64_t out_from, const uint8_t *in, int64_t in_from,
                    int64_t count)
{
    if (!in) {
        mr_bitmap_fill(out, out_from, out_from + count, true);
        return;
    }
    int64_t i = 0;
    for (; i < count && ((out_from + i) & 7); i++)
        mr_bitmap_put(out, out_from + i, mr_bitmap_get(in, in_from + i));
    /* Whole bytes of the output, each from two of the input. */
    int shift = (int)((in_from + i) & 7);
    const uint8_t *from = in + ((in_from + i) >> 3);
    uint8_t *to = out + ((out_from + i) >> 3);
    int64_t bytes = (count - i) / 8;
    if (shift == 0 && bytes > 0)
        memcpy(to, from, (size_t)bytes);
    for (int64_t b = 0; shift && b < bytes; b++)
        to[b] = (uint8_t)(from[b] >> shift | from[b + 1] << (8 - shift));
    for (i += bytes * 8; i < count; i++)
        mr_bitmap_put(out, out_from + i, mr_bitmap_get(in, in_from + i));
}

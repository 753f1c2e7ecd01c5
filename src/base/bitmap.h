/*
 * bitmap.h - bit sets in Arrow's order: bit i is bit i%8 of byte i/8. 1 = valid.
 */
#ifndef MR_BASE_BITMAP_H
#define MR_BASE_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline size_t mr_bitmap_bytes(int64_t bits)
{
    return (size_t)((bits + 7) / 8);
}
/* A NULL bitmap has every bit set. */
static inline bool mr_bitmap_get(const uint8_t *bits, int64_t i)
{
    return bits == NULL || ((bits[i >> 3] >> (i & 7)) & 1);
}
static inline void mr_bitmap_set(uint8_t *bits, int64_t i)
{
    bits[i >> 3] |= (uint8_t)(1u << (i & 7));
}
static inline void mr_bitmap_clear(uint8_t *bits, int64_t i)
{
    bits[i >> 3] &= (uint8_t) ~(1u << (i & 7));
}
static inline void mr_bitmap_put(uint8_t *bits, int64_t i, bool value)
{
    if (value)
        mr_bitmap_set(bits, i);
    else
        mr_bitmap_clear(bits, i);
}
/* Sets or clears bits [from, to). */
void mr_bitmap_fill(uint8_t *bits, int64_t from, int64_t to, bool value);
/* Number of set bits in [0, count). */
int64_t mr_bitmap_count(const uint8_t *bits, int64_t count);
/* out = a AND b over `count` bits; either may be NULL (all set). */
void mr_bitmap_and(uint8_t *out, const uint8_t *a, const uint8_t *b, int64_t count);

/*
 * Bits [in_from, in_from + count) of `in` (NULL = all set) to bits [out_from, ..) of `out`; they do
 * not overlap.
 */
void mr_bitmap_copy(uint8_t *out, int64_t out_from, const uint8_t *in, int64_t in_from,
                    int64_t count);

#endif

/*
 * digits.h - short numbers out of text, eight characters at a time: the inner loop of decoders of text.
 */
#ifndef MR_BASE_DIGITS_H
#define MR_BASE_DIGITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * At most eight characters "ddd" or "ddd.dd" (a point neither first nor last) as an integer and the number of digits
 * behind the point. False: anything else, which other code looks at. Eight bytes are read at `text`, whatever `size`.
 *
 * In a word whose lowest byte is the first character: the text is moved to the top, the bytes in front of it become
 * zeroes, those in front of a point move over it, then neighbours are joined three times (1 and 2, 12 and 34, ..).
 */
static inline bool mr_short_digits(const char *text, size_t size, uint32_t *value, int *behind)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones * 0x80;
    uint64_t word;
    *behind = 0;
    if (size - 1 > 7)
        return false;
    memcpy(&word, text, sizeof word);
    int spare = 64 - 8 * (int)size; /* bits in front */
    word <<= spare;
    uint64_t points = word ^ ones * '.';
    points = (points - ones) & ~points & high;
    if (points) {
        int at = __builtin_ctzll(points) & ~7;
        if (at == spare || at == 56)
            return false;
        *behind = (56 - at) / 8;
        uint64_t front = (UINT64_C(1) << at) - 1;
        word = (word & ~(front << 8 | 0xFF)) | (word & front) << 8;
        spare += 8;
    }
    word |= (ones * '0') & ((UINT64_C(1) << spare) - 1);
    if (((word & ones * 0xF0) | ((word + ones * 6) & ones * 0xF0) >> 4) != ones * 0x33)
        return false;
    word = (word & ones * 0x0F) * 2561 >> 8;
    word = (word & UINT64_C(0x00FF00FF00FF00FF)) * 6553601 >> 16;
    *value = (uint32_t)((word & UINT64_C(0x0000FFFF0000FFFF)) * UINT64_C(42949672960001) >> 32);
    return true;
#else
    (void)text, (void)size, (void)value, (void)behind;
    return false;
#endif
}

#endif

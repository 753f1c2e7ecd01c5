/*
 * numeric.c - numeric_send's bytes to exact decimals, and back.
 *
 * Layout, big-endian 16-bit words: ndigits, weight (signed), sign, dscale, then ndigits base-10000 digits. The value is the sum of
 * digit[i] * 10000^(weight - i). 1234.5 is 0002 0000 0000 0001 04d2 1388: digits 1234 and 5000, weight 0. Zeros at
 * either end are not sent, so the number of words says nothing about the scale.
 *
 * With scale s, digit i counts 10^(4*(weight-i)+s). Only one digit can straddle the point where that exponent becomes negative; it is
 * divided alone (by 10, 100 or 1000), so nothing wider than the result is ever needed and no 128-bit division happens. The
 * common case, four digits or fewer into an int64, is a separate short loop: numeric columns are a quarter of a
 * typical fact table. Asking the server for numeric::float8 instead costs it 1.85 times the whole query.
 *
 * Writing cuts the number at its point: groups of four digits to the left of it from the right, those to the right of it from the
 * left, the last one filled up with zeros. The server takes zeros off both ends itself; we only leave away whole
 * leading groups, for their number is the weight.
 */
#include "connect/postgres/numeric.h"

#include <stdio.h>

#define SIGN_NEGATIVE       0x4000
#define SIGN_SPECIAL        0xC000
#define SIGN_NAN            0xC000
#define SIGN_PLUS_INFINITY  0xD000
#define SIGN_MINUS_INFINITY 0xF000

struct numeric {
    int ndigits;
    int weight;
    unsigned sign;
    int dscale;
    const uint8_t *digits;
};

static inline unsigned word(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static inline bool read_numeric(const uint8_t *data, uint32_t size, struct numeric *out)
{
    if (size < 8)
        return false;
    out->ndigits = (int)word(data);
    out->weight = (int16_t)word(data + 2);
    out->sign = word(data + 4);
    out->dscale = (int)word(data + 6);
    out->digits = data + 8;
    return size == 8 + 2 * (uint32_t)out->ndigits;
}

/* 10^k and x/10^k by multiplication, exact for x < 10000. */
static const uint32_t small_pow10[4] = {1, 10, 100, 1000};
static const uint32_t inverse[4] = {1, 52429, 5243, 8389};
static const int inverse_shift[4] = {0, 19, 19, 23};

static const int64_t pow10_64[19] = {1,
                                     10,
                                     100,
                                     1000,
                                     10000,
                                     100000,
                                     1000000,
                                     10000000,
                                     100000000,
                                     1000000000,
                                     10000000000,
                                     100000000000,
                                     1000000000000,
                                     10000000000000,
                                     100000000000000,
                                     1000000000000000,
                                     10000000000000000,
                                     100000000000000000,
                                     1000000000000000000};

enum mr_numeric_result mr_numeric_to_decimal64(const uint8_t *data, uint32_t size, int precision,
                                               int scale, int64_t *out)
{
    struct numeric n;
    if (!read_numeric(data, size, &n))
        return MR_NUMERIC_MALFORMED;
    int shift = 4 * (n.weight - n.ndigits + 1) + scale; /* exponent of the last digit */
    if (n.ndigits == 0 || n.ndigits > 4 || shift < -3 || shift > 2 || n.sign & 0x8000) {
        mr_int128 wide = 0;
        enum mr_numeric_result result = mr_numeric_to_decimal(data, size, precision, scale, &wide);
        *out = (int64_t)wide;
        return result;
    }
    int64_t value = 0;
    int last = n.ndigits - 1;
    for (int i = 0; i < last; i++) {
        unsigned digit = word(n.digits + 2 * i);
        if (digit > 9999)
            return MR_NUMERIC_MALFORMED;
        value = value * 10000 + digit;
    }
    unsigned digit = word(n.digits + 2 * last);
    if (digit > 9999)
        return MR_NUMERIC_MALFORMED;
    if (shift >= 0) {
        value = (value * 10000 + digit) * small_pow10[shift]; /* at most 18 digits */
    } else {
        unsigned quotient = digit * inverse[-shift] >> inverse_shift[-shift];
        if (quotient * small_pow10[-shift] != digit)
            return MR_NUMERIC_LOSS;
        value = value * small_pow10[4 + shift] + quotient;
    }
    if (value >= pow10_64[precision])
        return MR_NUMERIC_RANGE;
    *out = n.sign == SIGN_NEGATIVE ? -value : value;
    return MR_NUMERIC_OK;
}

/* Can `value` take `more` digits and stay within the precision? */
static bool has_room(mr_int128 value, int precision, int more)
{
    if (value == 0)
        return true;
    return more < precision && value < mr_decimal_pow10(precision - more);
}

enum mr_numeric_result mr_numeric_to_decimal(const uint8_t *data, uint32_t size, int precision,
                                             int scale, mr_int128 *out)
{
    struct numeric n;
    if (!read_numeric(data, size, &n))
        return MR_NUMERIC_MALFORMED;
    if ((n.sign & SIGN_SPECIAL) == SIGN_SPECIAL)
        return n.ndigits == 0 ? MR_NUMERIC_SPECIAL : MR_NUMERIC_MALFORMED;
    if (n.sign != 0 && n.sign != SIGN_NEGATIVE)
        return MR_NUMERIC_MALFORMED;
    mr_int128 limit = mr_decimal_pow10(precision);
    mr_int128 value = 0;
    int exponent = 4 * n.weight + scale; /* of the digit at hand */
    for (int i = 0; i < n.ndigits; i++, exponent -= 4) {
        unsigned digit = word(n.digits + 2 * i);
        if (digit > 9999)
            return MR_NUMERIC_MALFORMED;
        if (exponent <= -4) {
            if (digit != 0)
                return MR_NUMERIC_LOSS;
            continue;
        }
        int cut = exponent < 0 ? -exponent : 0;
        unsigned quotient = digit / small_pow10[cut];
        if (quotient * small_pow10[cut] != digit)
            return MR_NUMERIC_LOSS;
        if (!has_room(value, precision, 4 - cut))
            return MR_NUMERIC_RANGE;
        value = value * (10000 / small_pow10[cut]) + quotient;
        if (value >= limit)
            return MR_NUMERIC_RANGE;
    }
    exponent += 4; /* of the last digit: its missing zeros */
    if (exponent > 0 && value != 0) {
        if (!has_room(value, precision, exponent))
            return MR_NUMERIC_RANGE;
        value *= mr_decimal_pow10(exponent);
    }
    *out = n.sign == SIGN_NEGATIVE ? -value : value;
    return MR_NUMERIC_OK;
}

static unsigned digit_at(const struct numeric *n, int i)
{
    return i >= 0 && i < n->ndigits ? word(n->digits + 2 * i) : 0;
}

static void put_digits(struct mr_bytes *out, unsigned digit, int count)
{
    char text[8];
    snprintf(text, sizeof text, "%04u", digit);
    mr_bytes_append(out, text, (size_t)count);
}

enum mr_numeric_result mr_numeric_to_text(const uint8_t *data, uint32_t size, struct mr_bytes *out)
{
    struct numeric n;
    if (!read_numeric(data, size, &n))
        return MR_NUMERIC_MALFORMED;
    for (int i = 0; i < n.ndigits; i++)
        if (digit_at(&n, i) > 9999)
            return MR_NUMERIC_MALFORMED;
    switch (n.sign) {
    case SIGN_NAN:
        mr_bytes_text(out, "NaN");
        return MR_NUMERIC_OK;
    case SIGN_PLUS_INFINITY:
        mr_bytes_text(out, "Infinity");
        return MR_NUMERIC_OK;
    case SIGN_MINUS_INFINITY:
        mr_bytes_text(out, "-Infinity");
        return MR_NUMERIC_OK;
    case SIGN_NEGATIVE:
        mr_bytes_char(out, '-');
        break;
    case 0:
        break;
    default:
        return MR_NUMERIC_MALFORMED;
    }
    if (n.weight < 0 || n.ndigits == 0) {
        mr_bytes_char(out, '0');
    } else {
        mr_bytes_printf(out, "%u", digit_at(&n, 0));
        for (int i = 1; i <= n.weight; i++)
            put_digits(out, digit_at(&n, i), 4);
    }
    if (n.dscale > 0)
        mr_bytes_char(out, '.');
    int next = n.ndigits == 0 ? 0 : n.weight + 1;
    for (int left = n.dscale; left > 0; left -= 4, next++)
        put_digits(out, digit_at(&n, next), left < 4 ? left : 4);
    return MR_NUMERIC_OK;
}

static inline uint8_t *put_word(uint8_t *out, unsigned value)
{
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
    return out + 2;
}

static size_t finish_number(uint8_t *out, const uint8_t *end, int weight, bool negative, int scale)
{
    size_t size = (size_t)(end - out);
    put_word(out, (unsigned)(size - 8) / 2);
    put_word(out + 2, (uint16_t)weight);
    put_word(out + 4, negative ? SIGN_NEGATIVE : 0);
    put_word(out + 6, (unsigned)scale);
    return size;
}

/* `count` groups of four digits of `value`, the last ones, at `out`. */
static uint8_t *put_groups(uint8_t *out, uint64_t value, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        put_word(out + 2 * i, (unsigned)(value % 10000));
        value /= 10000;
    }
    return out + 2 * count;
}

static int count_groups(uint64_t value)
{
    int count = 0;
    for (; value > 0; value /= 10000)
        count++;
    return count;
}

size_t mr_numeric_from_decimal64(int64_t value, int scale, uint8_t *out)
{
    if (scale > 16)
        return mr_numeric_from_decimal(value, scale, out);
    bool negative = value < 0;
    uint64_t rest = negative ? -(uint64_t)value : (uint64_t)value;
    uint64_t whole = rest;
    uint64_t fraction = 0;
    if (scale > 0) {
        uint64_t unit = (uint64_t)pow10_64[scale];
        whole = rest / unit;
        fraction = (rest - whole * unit) * small_pow10[-scale & 3];
    }
    int groups = count_groups(whole);
    uint8_t *at = put_groups(out + 8, whole, groups);
    if (fraction)
        at = put_groups(at, fraction, (scale + 3) / 4);
    return finish_number(out, at, groups - 1, negative, scale);
}

/* The same for what does not fit 64 bits: pieces of 16 digits. */
static uint8_t *put_wide_groups(uint8_t *out, mr_uint128 value, int count)
{
    mr_uint128 unit = (mr_uint128)pow10_64[16];
    for (int left = count; left > 0;) {
        int piece = left < 4 ? left : 4;
        put_groups(out + 2 * (left - piece), (uint64_t)(value % unit), piece);
        value /= unit;
        left -= piece;
    }
    return out + 2 * count;
}

size_t mr_numeric_from_decimal(mr_int128 value, int scale, uint8_t *out)
{
    if (scale <= 16 && value == (int64_t)value)
        return mr_numeric_from_decimal64((int64_t)value, scale, out);
    bool negative = value < 0;
    mr_uint128 rest = negative ? -(mr_uint128)value : (mr_uint128)value;
    mr_uint128 unit = (mr_uint128)mr_decimal_pow10(scale);
    mr_uint128 whole = rest / unit;
    mr_uint128 fraction = rest % unit;
    int groups = 0;
    for (mr_uint128 left = whole; left > 0; left /= 10000)
        groups++;
    uint8_t *at = put_wide_groups(out + 8, whole, groups);
    /* The last group alone: filling it up could take more than 128 bits. */
    unsigned part = small_pow10[scale % 4];
    unsigned last = (unsigned)(fraction % part) * (10000 / part);
    at = put_wide_groups(at, fraction / part, scale / 4);
    if (scale % 4)
        at = put_word(at, last);
    return finish_number(out, at, groups - 1, negative, scale);
}

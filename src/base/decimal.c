/*
 * decimal.c - exact decimals in 128 bits.
 *
 * A product of two 38-digit numbers needs 253 bits, and so does the dividend of a division that
 * keeps 38 digits. Both are held in four 64-bit limbs; division is Knuth's algorithm D (The Art of
 * Computer Programming, volume 2, 4.3.1). When everything fits 128 bits, which is nearly always,
 * the compiler's __int128 does it. All work is on magnitudes; the sign is put back last, so that
 * half up means away from zero for both signs.
 */
#include "base/decimal.h"

#include "base/text.h"

#include <math.h>
#include <string.h>

struct u256 {
    uint64_t limb[4]; /* little-endian */
};

mr_int128 mr_decimal_pow10(int n)
{
    static const uint64_t small[] = {UINT64_C(1),
                                     UINT64_C(10),
                                     UINT64_C(100),
                                     UINT64_C(1000),
                                     UINT64_C(10000),
                                     UINT64_C(100000),
                                     UINT64_C(1000000),
                                     UINT64_C(10000000),
                                     UINT64_C(100000000),
                                     UINT64_C(1000000000),
                                     UINT64_C(10000000000),
                                     UINT64_C(100000000000),
                                     UINT64_C(1000000000000),
                                     UINT64_C(10000000000000),
                                     UINT64_C(100000000000000),
                                     UINT64_C(1000000000000000),
                                     UINT64_C(10000000000000000),
                                     UINT64_C(100000000000000000),
                                     UINT64_C(1000000000000000000),
                                     UINT64_C(10000000000000000000)};
    if (n < 20)
        return (mr_int128)small[n];
    return (mr_int128)((mr_uint128)small[19] * small[n - 19]);
}

static mr_uint128 magnitude(mr_int128 value)
{
    return value < 0 ? -(mr_uint128)value : (mr_uint128)value;
}

static mr_int128 with_sign(mr_uint128 value, bool negative)
{
    return (mr_int128)(negative ? -value : value);
}

bool mr_decimal_fits(mr_int128 value, int precision)
{
    return magnitude(value) < (mr_uint128)mr_decimal_pow10(precision);
}

static struct u256 multiply_wide(mr_uint128 a, mr_uint128 b)
{
    uint64_t x[2] = {(uint64_t)a, (uint64_t)(a >> 64)};
    uint64_t y[2] = {(uint64_t)b, (uint64_t)(b >> 64)};
    struct u256 out = {{0}};
    for (int i = 0; i < 2; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < 2; j++) {
            mr_uint128 sum = (mr_uint128)x[i] * y[j] + out.limb[i + j] + carry;
            out.limb[i + j] = (uint64_t)sum;
            carry = (uint64_t)(sum >> 64);
        }
        out.limb[i + 2] = carry;
    }
    return out;
}

/* value *= by; false when 256 bits do not hold it. */
static bool multiply_more(struct u256 *value, mr_uint128 by)
{
    struct u256 low = multiply_wide((mr_uint128)value->limb[1] << 64 | value->limb[0], by);
    struct u256 high = multiply_wide((mr_uint128)value->limb[3] << 64 | value->limb[2], by);
    if (high.limb[2] | high.limb[3])
        return false;
    mr_uint128 sum = (mr_uint128)low.limb[2] + high.limb[0];
    low.limb[2] = (uint64_t)sum;
    sum = (mr_uint128)low.limb[3] + high.limb[1] + (uint64_t)(sum >> 64);
    low.limb[3] = (uint64_t)sum;
    *value = low;
    return (sum >> 64) == 0;
}

/*
 * One step of algorithm D: the quotient digit of u[0..2] by the normalised v; u becomes the
 * remainder.
 */
static uint64_t divide_step(uint64_t u[3], mr_uint128 v)
{
    uint64_t v1 = (uint64_t)(v >> 64), v0 = (uint64_t)v;
    mr_uint128 top = (mr_uint128)u[2] << 64 | u[1];
    mr_uint128 q = u[2] >= v1 ? UINT64_MAX : top / v1;
    mr_uint128 r = top - q * v1;
    while ((r >> 64) == 0 && q * v0 > (r << 64 | u[0])) {
        q--;
        r += v1;
    }
    mr_uint128 low = (mr_uint128)u[1] << 64 | u[0];
    low -= v * q; /* modulo 2^128; the true remainder is below v */
    u[0] = (uint64_t)low;
    u[1] = (uint64_t)(low >> 64);
    u[2] = 0;
    return (uint64_t)q;
}

/* n / d half up; false when the quotient needs more than 128 bits. */
static bool divide_wide(struct u256 n, mr_uint128 d, mr_uint128 *out)
{
    mr_uint128 high = (mr_uint128)n.limb[3] << 64 | n.limb[2];
    mr_uint128 low = (mr_uint128)n.limb[1] << 64 | n.limb[0];
    if (high >= d)
        return false;
    mr_uint128 quotient, remainder;
    if (high == 0) {
        quotient = low / d;
        remainder = low % d;
    } else if ((d >> 64) == 0) {
        /* high < d < 2^64: two steps of 128 by 64 bits. */
        mr_uint128 first = high << 64 | n.limb[1];
        mr_uint128 second = (first % d) << 64 | n.limb[0];
        quotient = (first / d) << 64 | second / d;
        remainder = second % d;
    } else {
        int shift = __builtin_clzll((uint64_t)(d >> 64));
        mr_uint128 v = d << shift;
        uint64_t u[5];
        u[4] = shift ? n.limb[3] >> (64 - shift) : 0;
        for (int i = 3; i > 0; i--)
            u[i] = shift ? n.limb[i] << shift | n.limb[i - 1] >> (64 - shift) : n.limb[i];
        u[0] = n.limb[0] << shift;
        quotient = 0;
        for (int i = 2; i >= 0; i--)
            quotient = quotient << 64 | divide_step(u + i, v);
        remainder = ((mr_uint128)u[1] << 64 | u[0]) >> shift;
    }
    if (remainder >= d - remainder) {
        if (++quotient == 0)
            return false;
    }
    *out = quotient;
    return true;
}

static bool checked(mr_uint128 value, bool negative, mr_int128 *out)
{
    if (value >= (mr_uint128)mr_decimal_pow10(MR_DECIMAL_MAX_PRECISION))
        return false;
    *out = with_sign(value, negative);
    return true;
}

bool mr_decimal_rescale(mr_int128 value, int from_scale, int to_scale, mr_int128 *out)
{
    int shift = to_scale - from_scale;
    mr_uint128 n = magnitude(value);
    if (shift == 0 || n == 0)
        return checked(n, value < 0, out);
    if (shift < -MR_DECIMAL_MAX_PRECISION) {
        *out = 0;
        return true;
    }
    if (shift < 0) {
        mr_uint128 d = (mr_uint128)mr_decimal_pow10(-shift);
        if ((n >> 64) == 0 && (d >> 64) == 0) {
            uint64_t small = (uint64_t)n, by = (uint64_t)d;
            uint64_t rest = small % by;
            return checked((mr_uint128)(small / by) + (rest >= by - rest), value < 0, out);
        }
        return checked(n / d + (n % d >= d - n % d), value < 0, out);
    }
    mr_uint128 product;
    if (shift > MR_DECIMAL_MAX_PRECISION ||
        __builtin_mul_overflow(n, (mr_uint128)mr_decimal_pow10(shift), &product))
        return false;
    return checked(product, value < 0, out);
}

bool mr_decimal_multiply(mr_int128 a, int a_scale, mr_int128 b, int b_scale, int scale,
                         mr_int128 *out)
{
    bool negative = (a < 0) != (b < 0);
    mr_uint128 x = magnitude(a), y = magnitude(b), product;
    int drop = a_scale + b_scale - scale;
    if (!__builtin_mul_overflow(x, y, &product) && (product >> 127) == 0)
        return mr_decimal_rescale(with_sign(product, negative), a_scale + b_scale, scale, out);
    /* At least 2^127: too large at the same or a larger scale. */
    if (drop <= 0)
        return false;
    struct u256 wide = multiply_wide(x, y);
    mr_uint128 quotient;
    if (drop <= MR_DECIMAL_MAX_PRECISION)
        return divide_wide(wide, (mr_uint128)mr_decimal_pow10(drop), &quotient) &&
               checked(quotient, negative, out);
    /*
     * |a*b| < 10^76, so the first 38 digits can be cut off without rounding: half up looks at one
     * digit only, and that one is among the rest.
     */
    mr_uint128 d = (mr_uint128)mr_decimal_pow10(MR_DECIMAL_MAX_PRECISION);
    mr_uint128 half = d / 2;
    /* Undo the rounding of divide_wide: floor((n) / d) = round((n - d/2) / d) for n >= d/2. */
    struct u256 lowered = wide;
    mr_uint128 low = (mr_uint128)wide.limb[1] << 64 | wide.limb[0];
    mr_uint128 high = (mr_uint128)wide.limb[3] << 64 | wide.limb[2];
    high -= low < half;
    low -= half;
    lowered.limb[0] = (uint64_t)low;
    lowered.limb[1] = (uint64_t)(low >> 64);
    lowered.limb[2] = (uint64_t)high;
    lowered.limb[3] = (uint64_t)(high >> 64);
    if (!divide_wide(lowered, d, &quotient) || (quotient >> 127))
        return false;
    return mr_decimal_rescale(with_sign(quotient, negative), drop - MR_DECIMAL_MAX_PRECISION, 0,
                              out);
}

bool mr_decimal_divide(mr_int128 a, int a_scale, mr_int128 b, int b_scale, int scale,
                       mr_int128 *out)
{
    if (b == 0)
        return false;
    bool negative = (a < 0) != (b < 0);
    mr_uint128 n = magnitude(a), d = magnitude(b), quotient;
    int shift = scale + b_scale - a_scale;
    if (n == 0) {
        *out = 0;
        return true;
    }
    if (shift < 0) {
        /* The divisor grows instead; if it overflows, it is more than twice the dividend. */
        mr_uint128 grown;
        if (-shift > MR_DECIMAL_MAX_PRECISION ||
            __builtin_mul_overflow(d, (mr_uint128)mr_decimal_pow10(-shift), &grown)) {
            *out = 0;
            return true;
        }
        quotient = n / grown + (n % grown >= grown - n % grown);
        return checked(quotient, negative, out);
    }
    struct u256 wide = {{(uint64_t)n, (uint64_t)(n >> 64), 0, 0}};
    for (int left = shift; left > 0;) {
        int step = left < MR_DECIMAL_MAX_PRECISION ? left : MR_DECIMAL_MAX_PRECISION;
        if (!multiply_more(&wide, (mr_uint128)mr_decimal_pow10(step)))
            return false; /* above 2^256 / 10^38 */
        left -= step;
    }
    return divide_wide(wide, d, &quotient) && checked(quotient, negative, out);
}

bool mr_decimal_sum(mr_int128 a, int a_scale, mr_int128 b, int b_scale, int scale, mr_int128 *out)
{
    int common = a_scale > b_scale ? a_scale : b_scale;
    mr_int128 one = mr_decimal_pow10(common), unit_a = mr_decimal_pow10(a_scale),
              unit_b = mr_decimal_pow10(b_scale), fraction, whole;
    if (__builtin_add_overflow(a / unit_a, b / unit_b, &whole))
        return false;
    /* The parts behind the point may add up to more than one, or have another sign than the whole. */
    if (__builtin_add_overflow(a % unit_a * mr_decimal_pow10(common - a_scale),
                               b % unit_b * mr_decimal_pow10(common - b_scale), &fraction))
        return false;
    whole += fraction / one;
    fraction %= one;
    if (whole > 0 && fraction < 0) {
        whole--;
        fraction += one;
    } else if (whole < 0 && fraction > 0) {
        whole++;
        fraction -= one;
    }
    return mr_decimal_rescale(fraction, common, scale, &fraction) &&
           !__builtin_mul_overflow(whole, mr_decimal_pow10(scale), &whole) &&
           !__builtin_add_overflow(whole, fraction, out);
}

/* rest * 10 modulo b, and how often b went into it; rest < b < 10^38, so that sums of two fit. */
static mr_uint128 next_digit(mr_uint128 rest, mr_uint128 b, unsigned *digit)
{
    mr_uint128 sum = 0;
    *digit = 0;
    for (int i = 0; i < 10; i++) {
        sum += rest;
        if (sum >= b) {
            sum -= b;
            (*digit)++;
        }
    }
    return sum;
}

mr_int128 mr_decimal_remainder(mr_int128 a, int a_scale, mr_int128 b, int b_scale)
{
    mr_uint128 x = magnitude(a), y = magnitude(b);
    unsigned digit;
    if (b_scale < a_scale &&
        __builtin_mul_overflow(y, (mr_uint128)mr_decimal_pow10(a_scale - b_scale), &y))
        return a;
    x %= y;
    for (int i = a_scale; i < b_scale; i++)
        x = next_digit(x, y, &digit);
    return with_sign(x, a < 0);
}

bool mr_decimal_quotient(mr_int128 a, int a_scale, mr_int128 b, int b_scale, mr_int128 *out)
{
    mr_uint128 x = magnitude(a), y = magnitude(b), quotient;
    bool fits = true;
    *out = 0;
    if (b_scale < a_scale &&
        __builtin_mul_overflow(y, (mr_uint128)mr_decimal_pow10(a_scale - b_scale), &y))
        return true;
    quotient = x / y;
    x %= y;
    for (int i = a_scale; i < b_scale; i++) {
        unsigned digit;
        x = next_digit(x, y, &digit);
        fits = fits && quotient < ((mr_uint128)1 << 123);
        quotient = quotient * 10 + digit;
    }
    fits = fits && (quotient >> 127) == 0;
    *out = (mr_int128)((a < 0) != (b < 0) ? -quotient : quotient);
    return fits;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool mr_decimal_parse(const char *text, size_t size, int precision, int scale, mr_int128 *out)
{
    const char *at = text, *end = size ? text + size : text;
    while (at < end && is_space(*at))
        at++;
    while (at < end && is_space(end[-1]))
        end--;
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;

    const char *digits = at;
    int64_t whole = 0; /* digits in front of the point */
    bool point = false, any = false;
    for (; at < end; at++) {
        if (*at == '.' && !point) {
            point = true;
        } else if (*at >= '0' && *at <= '9') {
            any = true;
            whole += !point;
        } else {
            break;
        }
    }
    if (!any)
        return false;
    const char *digits_end = at;
    if (at < end) {
        if (*at != 'e' && *at != 'E')
            return false;
        at++;
        bool down = at < end && *at == '-';
        if (at < end && (*at == '-' || *at == '+'))
            at++;
        if (at == end)
            return false;
        int64_t exponent = 0;
        for (; at < end; at++) {
            if (*at < '0' || *at > '9')
                return false;
            if (exponent < 100000000)
                exponent = exponent * 10 + (*at - '0');
        }
        whole += down ? -exponent : exponent;
    }

    /* The first `keep` digits make the unscaled value, the next one rounds it. */
    int64_t keep = whole + scale;
    mr_uint128 value = 0;
    mr_uint128 bound = (mr_uint128)mr_decimal_pow10(precision);
    bool round = false;
    for (at = digits; at < digits_end; at++) {
        if (*at == '.')
            continue;
        if (keep <= 0) {
            round = keep == 0 && *at >= '5';
            keep = -1;
            break;
        }
        if (value >= bound / 10)
            return false;
        value = value * 10 + (unsigned)(*at - '0');
        keep--;
    }
    if (value != 0)
        for (; keep > 0; keep--) {
            if (value >= bound / 10)
                return false;
            value *= 10;
        }
    value += round;
    if (value >= bound)
        return false;
    *out = with_sign(value, negative);
    return true;
}

int mr_decimal_format(mr_int128 value, int scale, char out[MR_DECIMAL_TEXT_MAX])
{
    char reversed[MR_DECIMAL_TEXT_MAX];
    int n = 0;
    mr_uint128 left = magnitude(value);
    while (left >> 64) {
        uint64_t part = (uint64_t)(left % UINT64_C(1000000000000000000));
        left /= UINT64_C(1000000000000000000);
        for (int i = 0; i < 18; i++, part /= 10)
            reversed[n++] = (char)('0' + part % 10);
    }
    for (uint64_t part = (uint64_t)left; part; part /= 10)
        reversed[n++] = (char)('0' + part % 10);
    while (n <= scale)
        reversed[n++] = '0';

    char *at = out;
    if (value < 0)
        *at++ = '-';
    while (n > scale)
        *at++ = reversed[--n];
    if (scale > 0) {
        *at++ = '.';
        while (n > 0)
            *at++ = reversed[--n];
    }
    *at = '\0';
    return (int)(at - out);
}

double mr_decimal_to_double(mr_int128 value, int scale)
{
    static const double exact[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (magnitude(value) <= (mr_uint128)1 << 53 && scale <= 22)
        return (double)(int64_t)value / exact[scale];
    char text[MR_DECIMAL_TEXT_MAX];
    int length = mr_decimal_format(value, scale, text);
    double out = 0;
    mr_text_to_double((struct mr_slice){text, (size_t)length}, false, &out);
    return out;
}

bool mr_decimal_from_double(double value, int precision, int scale, mr_int128 *out)
{
    if (!isfinite(value))
        return false;
    char text[MR_DOUBLE_TEXT_MAX];
    int length = mr_double_to_text(value, text);
    return mr_decimal_parse(text, (size_t)length, precision, scale, out);
}

/*
 * number_text.c - numbers from text and back, without the process's locale.
 *
 * Reading: up to 19 digits are gathered in an integer. If it is below 2^53 and the power of ten is
 * at most 22, both are exact doubles and one multiplication or division rounds correctly (Clinger,
 * "How to read floating point numbers accurately", 1990): nearly all real data. The rest goes to
 * strtod in the C locale, which is made once and never changes.
 *
 * Writing needs the shortest digits that read back to the same value: the Schubfach algorithm
 * (Raffaello Giulietti, 2021; also what Java's Double.toString does since version 19), three 64 by
 * 128 bit products and a table of 10 KiB. Trying %.15g, %.16g and %.17g with strtod in turn needs
 * no table and takes 1.3 microseconds a value, which is felt in a CSV file of measurements.
 * Subnormal numbers, being rare, still go that way.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "base/text.h"

#include "base/pow10_table.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static const double pow10_exact[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                     1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* The one constant that must be made at run time: the "C" locale for strtod. */
static pthread_once_t locale_once = PTHREAD_ONCE_INIT;
static locale_t c_locale;

static void make_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static double read_double(const char *text)
{
    pthread_once(&locale_once, make_locale);
    return c_locale ? strtod_l(text, NULL, c_locale) : strtod(text, NULL);
}

static float read_float(const char *text)
{
    pthread_once(&locale_once, make_locale);
    return c_locale ? strtof_l(text, NULL, c_locale) : strtof(text, NULL);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct mr_slice trimmed(struct mr_slice text)
{
    while (text.size && is_space(text.data[0])) {
        text.data++;
        text.size--;
    }
    while (text.size && is_space(text.data[text.size - 1]))
        text.size--;
    return text;
}

bool mr_text_to_int64(struct mr_slice text, bool trim, int64_t *out)
{
    if (trim)
        text = trimmed(text);
    const char *at = text.data, *end = at + text.size;
    bool negative = text.size && *at == '-';
    if (text.size && (*at == '-' || *at == '+'))
        at++;
    if (at == end)
        return false;
    uint64_t value = 0;
    if (end - at <= 18) {
        for (; at < end; at++) {
            unsigned digit = (unsigned)(*at - '0');
            if (digit > 9)
                return false;
            value = value * 10 + digit;
        }
    } else {
        uint64_t limit = (uint64_t)INT64_MAX + negative;
        for (; at < end; at++) {
            unsigned digit = (unsigned)(*at - '0');
            if (digit > 9 || value > (limit - digit) / 10)
                return false;
            value = value * 10 + digit;
        }
    }
    *out = (int64_t)(negative ? 0 - value : value);
    return true;
}

/* A number taken apart: [+-]digits[.digits][e[+-]digits]. */
struct parts {
    bool negative;
    const char *digits; /* from the first digit to the last, perhaps with a point */
    const char *digits_end;
    uint64_t mantissa; /* the first 19 significant digits */
    int64_t exponent;  /* value = mantissa * 10^exponent when !truncated */
    bool truncated;
    int64_t written_exponent;
};

static bool split_number(struct mr_slice text, struct parts *out)
{
    const char *at = text.data, *end = at + text.size;
    *out = (struct parts){.negative = text.size && *at == '-'};
    if (text.size && (*at == '-' || *at == '+'))
        at++;
    out->digits = at;
    bool any = false, point = false;
    int significant = 0;
    for (; at < end; at++) {
        if (*at == '.' && !point) {
            point = true;
            continue;
        }
        unsigned digit = (unsigned)(*at - '0');
        if (digit > 9)
            break;
        any = true;
        if (significant < 19) {
            out->mantissa = out->mantissa * 10 + digit;
            significant += out->mantissa != 0;
            out->exponent -= point;
        } else {
            out->truncated |= digit != 0;
            out->exponent += !point;
        }
    }
    out->digits_end = at;
    if (!any)
        return false;
    if (at == end)
        return true;
    if (*at != 'e' && *at != 'E')
        return false;
    at++;
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    if (at == end)
        return false;
    int64_t exponent = 0;
    for (; at < end; at++) {
        unsigned digit = (unsigned)(*at - '0');
        if (digit > 9)
            return false;
        if (exponent < 100000000)
            exponent = exponent * 10 + digit;
    }
    out->written_exponent = negative ? -exponent : exponent;
    out->exponent += out->written_exponent;
    return true;
}

/*
 * More digits than strtod can be asked for on the stack are cut: 770 decide the rounding of any
 * double, and one "1" behind them stands for whatever followed.
 */
#define DECIDING_DIGITS 780

static double slow_double(const struct parts *parts)
{
    char text[DECIDING_DIGITS + 40];
    int n = 0;
    int64_t exponent = parts->written_exponent;
    bool point = false, rest = false;
    for (const char *at = parts->digits; at < parts->digits_end; at++) {
        if (*at == '.') {
            point = true;
            continue;
        }
        if (n == 0 && *at == '0') {
            exponent -= point;
        } else if (n < DECIDING_DIGITS) {
            text[n++] = *at;
            exponent -= point;
        } else {
            rest |= *at != '0';
            exponent += !point;
        }
    }
    if (rest) {
        text[n++] = '1';
        exponent--;
    }
    if (n == 0)
        return 0;
    snprintf(text + n, 32, "e%lld", (long long)exponent);
    return read_double(text);
}

static bool equal_word(struct mr_slice text, const char *word)
{
    if (text.size != strlen(word))
        return false;
    for (size_t i = 0; i < text.size; i++)
        if ((text.data[i] | 32) != word[i])
            return false;
    return true;
}

static bool special_double(struct mr_slice text, double *out)
{
    if (equal_word(text, "nan")) {
        *out = NAN;
        return true;
    }
    bool negative = text.size && text.data[0] == '-';
    if (text.size && (text.data[0] == '-' || text.data[0] == '+'))
        text = (struct mr_slice){text.data + 1, text.size - 1};
    if (!equal_word(text, "inf") && !equal_word(text, "infinity"))
        return false;
    *out = negative ? -INFINITY : INFINITY;
    return true;
}

bool mr_text_to_double(struct mr_slice text, bool trim, double *out)
{
    if (trim)
        text = trimmed(text);
    struct parts parts;
    if (!split_number(text, &parts))
        return special_double(text, out);
    double value;
    if (parts.mantissa == 0)
        value = 0;
    else if (!parts.truncated && parts.mantissa <= UINT64_C(1) << 53 && parts.exponent >= -22 &&
             parts.exponent <= 22)
        value = parts.exponent < 0 ? (double)parts.mantissa / pow10_exact[-parts.exponent]
                                   : (double)parts.mantissa * pow10_exact[parts.exponent];
    else
        value = slow_double(&parts);
    *out = parts.negative ? -value : value;
    return true;
}

/* A positive finite number as d[0].d[1]d[2]... * 10^exponent, without trailing zeros. */
struct digits {
    char d[24];
    int count;
    int exponent;
};

static void digits_of_integer(uint64_t value, int scale, struct digits *out)
{
    char reversed[24];
    int n = 0;
    for (; value; value /= 10)
        reversed[n++] = (char)('0' + value % 10);
    for (int i = 0; i < n; i++)
        out->d[i] = reversed[n - 1 - i];
    out->exponent = n - 1 - scale;
    while (n > 1 && out->d[n - 1] == '0')
        n--;
    out->count = n;
}

/* Reads "d<point>ddde-xx" whatever the locale's point is. */
static void digits_of_print(const char *text, struct digits *out)
{
    int n = 0;
    for (; *text != 'e'; text++)
        if (*text >= '0' && *text <= '9')
            out->d[n++] = *text;
    out->exponent = atoi(text + 1);
    while (n > 1 && out->d[n - 1] == '0')
        n--;
    out->count = n;
}

/* "0.0012e5" as strtod in the C locale wants it. */
static void print_digits(const struct digits *digits, char *out)
{
    memcpy(out, digits->d, (size_t)digits->count);
    sprintf(out + digits->count, "e%d", digits->exponent - digits->count + 1);
}

/* The high 64 bits of g * by, the lowest of them set if anything was cut off. */
static uint64_t round_to_odd(struct pow10_entry g, uint64_t by)
{
    unsigned __int128 low = (unsigned __int128)g.low * by;
    unsigned __int128 high = (unsigned __int128)g.high * by + (uint64_t)(low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/*
 * The value is c * 2^q, a normal double or float. Its neighbours' midpoints, in units of a quarter
 * of 10^k, are below and above; the shortest decimal between them has its last digit at 10^(k+1),
 * or at 10^k. `closer`: c is a power of two, and the neighbour below is only half as far.
 */
static void shortest_normal(uint64_t c, int q, bool closer, struct digits *out)
{
    if (q <= 0 && q > -53 && (c & ((UINT64_C(1) << -q) - 1)) == 0) {
        digits_of_integer(c >> -q, 0, out);
        return;
    }
    bool even = c % 2 == 0;
    int k = (int)((q * INT64_C(1262611) - (closer ? 524031 : 0)) >> 22);
    int shift = q + (int)((-k * INT64_C(1741647)) >> 19) + 1;
    struct pow10_entry g = pow10_table[-k - POW10_FIRST];
    uint64_t below = round_to_odd(g, (4 * c - 2 + closer) << shift) + !even;
    uint64_t value = round_to_odd(g, (4 * c) << shift);
    uint64_t above = round_to_odd(g, (4 * c + 2) << shift) - !even;
    uint64_t s = value / 4, tens = s / 10;
    bool down = below <= 40 * tens, up = 40 * tens + 40 <= above;
    if (down != up) {
        digits_of_integer(tens + up, -(k + 1), out);
        return;
    }
    down = below <= 4 * s;
    up = 4 * s + 4 <= above;
    if (down == up)
        up = value > 4 * s + 2 || (value == 4 * s + 2 && s % 2);
    digits_of_integer(s + up, -k, out);
}

/* A subnormal has few digits: each number of them is tried. Java shows at least two. */
static void shortest_subnormal(double value, bool is_float, struct digits *out)
{
    char text[48];
    for (int precision = 2; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision - 1, value);
        digits_of_print(text, out);
        print_digits(out, text);
        if (is_float ? read_float(text) == (float)value : read_double(text) == value)
            return;
    }
}

static void shortest_double(double value, struct digits *out)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint64_t hidden = UINT64_C(1) << 52, fraction = bits & (hidden - 1);
    if (bits >> 52)
        shortest_normal(hidden | fraction, (int)(bits >> 52) - 1075, fraction == 0, out);
    else
        shortest_subnormal(value, false, out);
}

static void shortest_float(float value, struct digits *out)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t hidden = UINT32_C(1) << 23, fraction = bits & (hidden - 1);
    if (bits >> 23)
        shortest_normal(hidden | fraction, (int)(bits >> 23) - 150, fraction == 0, out);
    else
        shortest_subnormal((double)value, true, out);
}

/* Digits [from, to), zeros where there are none. */
static char *put_digits(char *at, const struct digits *digits, int from, int to)
{
    for (int i = from; i < to; i++)
        *at++ = i >= 0 && i < digits->count ? digits->d[i] : '0';
    return at;
}

/*
 * Plain between 10^-3 and 10^7, else "d.ddE10"; always a digit behind the point (Double.toString).
 */
static int put_java(const struct digits *digits, bool negative, char *out)
{
    char *at = out;
    if (negative)
        *at++ = '-';
    int exponent = digits->exponent;
    if (exponent >= -3 && exponent < 7) {
        int whole = exponent + 1;
        at = whole > 0 ? put_digits(at, digits, 0, whole) : put_digits(at, digits, -1, 0);
        *at++ = '.';
        int from = whole < 0 ? whole : whole > 0 ? whole : 0;
        at = put_digits(at, digits, from, digits->count > from + 1 ? digits->count : from + 1);
    } else {
        at = put_digits(at, digits, 0, 1);
        *at++ = '.';
        at = put_digits(at, digits, 1, digits->count > 2 ? digits->count : 2);
        at += sprintf(at, "E%d", exponent);
    }
    *at = '\0';
    return (int)(at - out);
}

/* Plain between 10^-6 and 10^17, else "1e+20", "2.5e-07"; no point in whole numbers. */
static int put_json(const struct digits *digits, bool negative, char *out)
{
    char *at = out;
    if (negative)
        *at++ = '-';
    int exponent = digits->exponent;
    if (exponent >= -6 && exponent < 17) {
        int whole = exponent + 1;
        at = whole > 0 ? put_digits(at, digits, 0, whole) : put_digits(at, digits, -1, 0);
        if (digits->count > whole) {
            *at++ = '.';
            at = put_digits(at, digits, whole, digits->count);
        }
    } else {
        at = put_digits(at, digits, 0, 1);
        if (digits->count > 1) {
            *at++ = '.';
            at = put_digits(at, digits, 1, digits->count);
        }
        at += sprintf(at, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
    }
    *at = '\0';
    return (int)(at - out);
}

static int put_special(double value, const char *zero, char *out)
{
    if (isnan(value))
        return sprintf(out, "NaN");
    const char *sign = signbit(value) ? "-" : "";
    return sprintf(out, "%s%s", sign, value == 0 ? zero : "Infinity");
}

int mr_double_to_text(double value, char out[MR_DOUBLE_TEXT_MAX])
{
    if (value == 0 || !isfinite(value))
        return put_special(value, "0.0", out);
    struct digits digits;
    shortest_double(fabs(value), &digits);
    return put_java(&digits, value < 0, out);
}

int mr_float_to_text(float value, char out[MR_DOUBLE_TEXT_MAX])
{
    if (value == 0 || !isfinite(value))
        return put_special(value, "0.0", out);
    struct digits digits;
    shortest_float(fabsf(value), &digits);
    return put_java(&digits, value < 0, out);
}

int mr_double_to_json(double value, char out[MR_DOUBLE_TEXT_MAX])
{
    if (value == 0 || !isfinite(value))
        return put_special(value, "0", out);
    struct digits digits;
    shortest_double(fabs(value), &digits);
    return put_json(&digits, value < 0, out);
}

/*
 * text_value.c - scalars out of text.
 *
 * Called once a cell, so each parser is one loop over a few bytes without allocation, locale or copies; decimals of up to
 * 18 digits stay in 64 bits. Rounding what does not fit, as a cast does, was refused: a file is read exactly or the
 * row is reported.
 */
#include "enc/text_value.h"

#include "base/text.h"
#include "base/time.h"

#include <assert.h>
#include <stdio.h>

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

static struct mr_slice trim(struct mr_slice text)
{
    while (text.size > 0 && (unsigned char)text.data[0] <= ' ') {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && (unsigned char)text.data[text.size - 1] <= ' ')
        text.size--;
    return text;
}

bool mr_text_int64(struct mr_slice text, int64_t *out)
{
    const char *at = text.data, *end = at + text.size;
    bool negative = text.size > 0 && *at == '-';
    if (text.size > 0 && (*at == '-' || *at == '+'))
        at++;
    if (at == end)
        return false;
    uint64_t value = 0;
    if (end - at <= 18) {
        for (; at < end; at++) {
            if (!is_digit(*at))
                return false;
            value = value * 10 + (uint64_t)(*at - '0');
        }
    } else {
        for (; at < end; at++) {
            if (!is_digit(*at) || __builtin_mul_overflow(value, 10, &value) ||
                __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
                return false;
        }
        if (value > (uint64_t)INT64_MAX + negative)
            return false;
    }
    *out = (int64_t)(negative ? 0 - value : value);
    return true;
}

/* All digits, a sign perhaps: then what is wrong can only be the range. */
static bool is_integer(struct mr_slice text)
{
    size_t i = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+');
    size_t from = i;
    while (i < text.size && is_digit(text.data[i]))
        i++;
    return i == text.size && i > from;
}

/* [+-]digits[.digits][e[+-]digits] as significant digits (at most 40 kept) and a power of ten. */
struct number {
    bool negative;
    int ndigits; /* without leading zeros and those at the end */
    char digits[40];
    bool too_long;
    int64_t exponent; /* value = digits * 10^exponent */
};

static void add_digit(struct number *number, char digit, int64_t *zeros, bool fraction)
{
    number->exponent -= fraction;
    if (digit == '0') {
        *zeros += number->ndigits > 0;
        return;
    }
    if (number->ndigits > 0 && (*zeros > 39 || number->ndigits + *zeros > 39)) {
        number->too_long = true;
        return;
    }
    for (; *zeros > 0; (*zeros)--)
        number->digits[number->ndigits++] = 0;
    if (number->ndigits < 40)
        number->digits[number->ndigits++] = (char)(digit - '0');
    else
        number->too_long = true;
}

static bool read_exponent(const char *at, const char *end, int64_t *exponent)
{
    bool down = at < end && *at == '-';
    int64_t value = 0;
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    if (at == end)
        return false;
    for (; at < end; at++) {
        if (!is_digit(*at))
            return false;
        if (value < 100000000)
            value = value * 10 + (*at - '0');
    }
    *exponent += down ? -value : value;
    return true;
}

static bool read_number(struct mr_slice text, struct number *out)
{
    const char *at = text.data, *end = at + text.size;
    int64_t zeros = 0;
    bool any = false, point = false;
    *out = (struct number){.negative = text.size > 0 && *at == '-'};
    if (text.size > 0 && (*at == '-' || *at == '+'))
        at++;
    for (; at < end; at++) {
        if (is_digit(*at)) {
            any = true;
            add_digit(out, *at, &zeros, point);
        } else if (*at == '.' && !point) {
            point = true;
        } else {
            break;
        }
    }
    out->exponent += zeros;
    if (!any || (at < end && *at != 'e' && *at != 'E'))
        return false;
    return at == end || read_exponent(at + 1, end, &out->exponent);
}

static enum mr_text_fault slow_decimal(struct mr_slice text, int precision, int scale,
                                       mr_int128 *out)
{
    struct number number;
    if (!read_number(text, &number))
        return MR_TEXT_FORM;
    *out = 0;
    if (number.ndigits == 0)
        return MR_TEXT_GOOD;
    int64_t shift = number.exponent + scale;
    if (!number.too_long && shift < 0)
        return MR_TEXT_DIGITS;
    if (number.too_long || number.ndigits + shift > precision)
        return number.too_long && number.ndigits + shift <= precision ? MR_TEXT_DIGITS
                                                                      : MR_TEXT_RANGE;
    mr_int128 value = 0;
    for (int i = 0; i < number.ndigits; i++)
        value = value * 10 + number.digits[i];
    value *= mr_decimal_pow10((int)shift);
    *out = number.negative ? -value : value;
    return MR_TEXT_GOOD;
}

enum mr_text_fault mr_text_decimal(struct mr_slice text, int precision, int scale, mr_int128 *out)
{
    static const int64_t powers[] = {1,
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
    const char *at = text.data, *end = at + text.size;
    if (text.size == 0 || text.size > 19)
        return slow_decimal(text, precision, scale, out);
    bool negative = *at == '-';
    at += negative;
    int64_t value = 0;
    int behind = -1, digits = 0;
    for (; at < end; at++) {
        if (is_digit(*at)) {
            value = value * 10 + (*at - '0');
            digits++;
            behind += behind >= 0;
        } else if (*at == '.' && behind < 0) {
            behind = 0;
        } else {
            return slow_decimal(text, precision, scale, out);
        }
    }
    behind = behind < 0 ? 0 : behind;
    if (digits == 0 || digits > 18 || behind > scale || scale - behind + digits > 18)
        return slow_decimal(text, precision, scale, out);
    value *= powers[scale - behind];
    if (precision < 19 && value >= powers[precision])
        return MR_TEXT_RANGE;
    *out = negative ? -value : value;
    return MR_TEXT_GOOD;
}

static int two(const char *at)
{
    return is_digit(at[0]) && is_digit(at[1]) ? (at[0] - '0') * 10 + (at[1] - '0') : -1;
}

/* A number of `least` to `most` digits. */
static bool take_number(const char **at, const char *end, int least, int most, int64_t *out)
{
    int digits = 0;
    int64_t value = 0;
    while (*at < end && digits < most && is_digit(**at)) {
        value = value * 10 + (*(*at)++ - '0');
        digits++;
    }
    *out = value;
    return digits >= least;
}

static bool take_char(const char **at, const char *end, char c)
{
    if (*at == end || **at != c)
        return false;
    ++*at;
    return true;
}

/* [+-]y{4,7}-M{1,2}-d{1,2} */
static bool take_date(const char **at, const char *end, int64_t *days)
{
    int64_t year, month, day;
    const char *from = *at;
    if (end - from >= 10 && from[4] == '-' && from[7] == '-' && two(from) >= 0) {
        int high = two(from), low = two(from + 2);
        month = two(from + 5);
        day = two(from + 8);
        year = high * 100 + low;
        if (low >= 0 && month >= 1 && month <= 12 && day >= 1 &&
            day <= mr_days_in_month(year, (int)month)) {
            *at = from + 10;
            *days = mr_days_from_civil(year, (int)month, (int)day);
            return true;
        }
    }
    bool negative = take_char(at, end, '-');
    if (!negative)
        take_char(at, end, '+');
    if (!take_number(at, end, 4, 7, &year) || !take_char(at, end, '-') ||
        !take_number(at, end, 1, 2, &month) || !take_char(at, end, '-') ||
        !take_number(at, end, 1, 2, &day))
        return false;
    year = negative ? -year : year;
    if (month < 1 || month > 12 || day < 1 || day > mr_days_in_month(year, (int)month))
        return false;
    *days = mr_days_from_civil(year, (int)month, (int)day);
    return *days >= INT32_MIN && *days <= INT32_MAX;
}

/* H:m[:s[.f...]] */
static bool take_time(const char **at, const char *end, int64_t *micros)
{
    int64_t hour, minute, second = 0, fraction = 0;
    if (!take_number(at, end, 1, 2, &hour) || !take_char(at, end, ':') ||
        !take_number(at, end, 2, 2, &minute))
        return false;
    if (take_char(at, end, ':')) {
        if (!take_number(at, end, 2, 2, &second))
            return false;
        if (take_char(at, end, '.')) {
            int64_t weight = 100000;
            const char *from = *at;
            for (; *at < end && is_digit(**at); ++*at, weight /= 10)
                fraction += (**at - '0') * weight;
            if (*at == from)
                return false;
        }
    }
    *micros = ((hour * 60 + minute) * 60 + second) * MR_MICROS_PER_SECOND + fraction;
    return hour <= 23 && minute <= 59 && second <= 59;
}

/* Z, UTC, GMT, +hh, +hhmm, +hh:mm[:ss]; nothing at all is no zone. */
static bool take_zone(const char *at, const char *end, int64_t *seconds, bool *zoned)
{
    int64_t hour, minute = 0, second = 0;
    *seconds = 0;
    while (at < end && *at == ' ')
        at++;
    *zoned = at < end;
    if (at == end || (end - at == 1 && (*at == 'Z' || *at == 'z')))
        return true;
    if (end - at >= 3 && (memcmp(at, "UTC", 3) == 0 || memcmp(at, "GMT", 3) == 0)) {
        at += 3;
        if (at == end)
            return true;
    }
    bool negative = *at == '-';
    if (*at != '-' && *at != '+')
        return false;
    at++;
    if (!take_number(&at, end, 1, 2, &hour))
        return false;
    if (at < end) {
        bool colon = take_char(&at, end, ':');
        if (!take_number(&at, end, 2, 2, &minute))
            return false;
        if (colon && take_char(&at, end, ':') && !take_number(&at, end, 2, 2, &second))
            return false;
    }
    *seconds = (hour * 3600 + minute * 60 + second) * (negative ? -1 : 1);
    return at == end && hour <= 18 && minute <= 59 && second <= 59;
}

bool mr_text_date(struct mr_slice text, int32_t *days)
{
    const char *at = text.data, *end = at + text.size;
    int64_t value;
    if (text.size == 0 || !take_date(&at, end, &value) || at != end)
        return false;
    *days = (int32_t)value;
    return true;
}

bool mr_text_timestamp(struct mr_slice text, int64_t *micros, bool *zoned)
{
    const char *at = text.data, *end = at + text.size;
    int64_t days, time = 0, seconds = 0;
    *zoned = false;
    if (text.size == 0 || !take_date(&at, end, &days))
        return false;
    if (at < end) {
        if (!take_char(&at, end, ' ') && !take_char(&at, end, 'T'))
            return false;
        if (!take_time(&at, end, &time) || !take_zone(at, end, &seconds, zoned))
            return false;
    }
    mr_int128 value = (mr_int128)days * MR_MICROS_PER_DAY + time - seconds * MR_MICROS_PER_SECOND;
    *micros = (int64_t)value;
    return *micros == value;
}

static bool equals_nocase(struct mr_slice text, const char *word)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        c = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
        if (word[i] == '\0' || c != word[i])
            return false;
    }
    return word[text.size] == '\0';
}

static bool read_bool(struct mr_slice text, int64_t *out)
{
    static const char *const words[] = {"true", "t", "yes", "y", "1", "false", "f", "no", "n", "0"};
    for (int i = 0; i < 10; i++) {
        if (equals_nocase(text, words[i])) {
            *out = i < 5;
            return true;
        }
    }
    return false;
}

static bool read_double(struct mr_slice text, double *out)
{
    return mr_text_to_double(text, false, out);
}

static bool read_uuid(struct mr_slice text, uint8_t out[16])
{
    int nibbles = 0;
    if (text.size != 36 && text.size != 32)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (text.size == 36 && (i == 8 || i == 13 || i == 18 || i == 23)) {
            if (c != '-')
                return false;
            continue;
        }
        c = (char)(c | 0x20);
        int digit = is_digit(text.data[i]) ? text.data[i] - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                           : -1;
        if (digit < 0)
            return false;
        if (nibbles % 2 == 0)
            out[nibbles / 2] = (uint8_t)(digit << 4);
        else
            out[nibbles / 2] |= (uint8_t)digit;
        nibbles++;
    }
    return true;
}

/* [-]digits[.digits] in millionths, followed by a unit. */
static bool take_quantity(const char **at, const char *end, int64_t *millionths, char *unit)
{
    bool negative = take_char(at, end, '-');
    int64_t whole, fraction = 0, weight = 100000;
    if (!negative)
        take_char(at, end, '+');
    if (!take_number(at, end, 1, 18, &whole))
        return false;
    if (take_char(at, end, '.'))
        for (; *at < end && is_digit(**at); ++*at, weight /= 10)
            fraction += (**at - '0') * weight;
    if (*at == end || __builtin_mul_overflow(whole, 1000000, &whole) ||
        __builtin_add_overflow(whole, fraction, &whole))
        return false;
    *millionths = negative ? -whole : whole;
    *unit = *(*at)++;
    return true;
}

/* ISO 8601 duration; each part may have its own sign; weeks are seven days. */
static bool read_interval(struct mr_slice text, struct mr_interval *out)
{
    const char *at = text.data, *end = at + text.size;
    int64_t months = 0, days = 0, micros = 0;
    bool time = false, any = false;
    if (!take_char(&at, end, 'P'))
        return false;
    while (at < end) {
        int64_t n, by;
        char unit;
        if (!time && take_char(&at, end, 'T')) {
            time = true;
            continue;
        }
        if (!take_quantity(&at, end, &n, &unit) || (unit != 'S' && n % 1000000 != 0))
            return false;
        by = time                         ? unit == 'H'   ? 3600
                                            : unit == 'M' ? 60
                                            : unit == 'S' ? 1
                                                          : 0
             : unit == 'Y'                ? 12
             : unit == 'M' || unit == 'D' ? 1
             : unit == 'W'                ? 7
                                          : 0;
        int64_t *part = time ? &micros : unit == 'D' || unit == 'W' ? &days : &months;
        if (by == 0 || __builtin_mul_overflow(time ? n : n / 1000000, by, &n) ||
            __builtin_add_overflow(*part, n, part))
            return false;
        any = true;
    }
    *out = (struct mr_interval){(int32_t)months, (int32_t)days, micros};
    return any && out->months == months && out->days == days;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (is_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Strict base64 with its padding, straight into the builder. */
static enum mr_status decode_base64(struct mr_builder *to, struct mr_slice text,
                                    enum mr_text_fault *fault, struct mr_error *err)
{
    size_t digits = text.size, size = 0;
    MR_TRY(mr_builder_reserve(to, 1, (int64_t)(text.size / 4 * 3), err));
    uint8_t *out = to->data->data + to->data->size;
    uint32_t bits = 0;
    *fault = MR_TEXT_FORM;
    while (digits > 0 && text.size - digits < 2 && text.data[digits - 1] == '=')
        digits--;
    if (text.size % 4 != 0 || digits % 4 == 1)
        return MR_OK;
    for (size_t i = 0; i < digits; i++) {
        int digit = base64_digit(text.data[i]);
        if (digit < 0)
            return MR_OK;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 > 0)
            out[size++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    *fault = MR_TEXT_GOOD;
    to->data->size += size;
    ((int32_t *)(void *)to->values->data)[++to->length] = (int32_t)to->data->size;
    return MR_OK;
}

static enum mr_status decode_integer(struct mr_builder *to, struct mr_slice text,
                                     enum mr_text_fault *fault, struct mr_error *err)
{
    static const int64_t most[] = {INT8_MAX, INT16_MAX, INT32_MAX, INT64_MAX};
    int64_t value = 0, limit = most[to->type->id - MR_TYPE_INT8];
    if (!mr_text_int64(text, &value))
        *fault = is_integer(text) ? MR_TEXT_RANGE : MR_TEXT_FORM;
    else if (value > limit || value < -limit - 1)
        *fault = MR_TEXT_RANGE;
    return *fault == MR_TEXT_GOOD ? mr_builder_int(to, value, err) : MR_OK;
}

static enum mr_status decode_time(struct mr_builder *to, struct mr_slice text,
                                  const struct mr_tz *tz, enum mr_text_fault *fault,
                                  struct mr_error *err)
{
    int64_t value = 0;
    int32_t days;
    bool zoned = false, good;
    const char *at = text.data, *end = at + text.size;
    switch (to->type->id) {
    case MR_TYPE_DATE:
        good = mr_text_date(text, &days);
        value = good ? days : 0;
        break;
    case MR_TYPE_TIME:
        good = text.size > 0 && take_time(&at, end, &value) && at == end;
        break;
    case MR_TYPE_TIMESTAMP:
        good = mr_text_timestamp(text, &value, &zoned);
        if (good && !zoned && tz && !mr_tz_is_utc(tz))
            value = mr_tz_to_utc(tz, value);
        break;
    default:
        good = mr_text_timestamp(text, &value, &zoned) && !zoned;
    }
    if (!good) {
        *fault = MR_TEXT_FORM;
        return MR_OK;
    }
    return mr_builder_int(to, value, err);
}

static enum mr_status decode_wide(struct mr_builder *to, struct mr_slice text,
                                  enum mr_text_fault *fault, struct mr_error *err)
{
    struct mr_interval interval;
    uint8_t uuid[16];
    bool is_uuid = to->type->id == MR_TYPE_UUID;
    if (is_uuid ? read_uuid(text, uuid) : read_interval(text, &interval))
        return mr_builder_fixed16(to, is_uuid ? (const void *)uuid : &interval, err);
    *fault = MR_TEXT_FORM;
    return MR_OK;
}

static enum mr_status decode_number(struct mr_builder *to, struct mr_slice text,
                                    enum mr_text_fault *fault, struct mr_error *err)
{
    mr_int128 decimal = 0;
    double number = 0;
    if (to->type->id == MR_TYPE_DECIMAL) {
        *fault = mr_text_decimal(text, to->type->precision, to->type->scale, &decimal);
        return *fault == MR_TEXT_GOOD ? mr_builder_decimal(to, decimal, err) : MR_OK;
    }
    if (read_double(text, &number))
        return mr_builder_double(to, number, err);
    *fault = MR_TEXT_FORM;
    return MR_OK;
}

enum mr_status mr_text_decode(struct mr_builder *to, struct mr_slice text, const struct mr_tz *tz,
                              enum mr_text_fault *fault, struct mr_error *err)
{
    int64_t boolean = 0;
    *fault = MR_TEXT_GOOD;
    if (to->type->id == MR_TYPE_STRING) {
        if (mr_utf8_valid_prefix(text.data, text.size) == text.size)
            return mr_builder_bytes(to, text.data, text.size, err);
        *fault = MR_TEXT_UTF8;
        return MR_OK;
    }
    text = trim(text);
    switch (to->type->id) {
    case MR_TYPE_BOOL:
        if (read_bool(text, &boolean))
            return mr_builder_int(to, boolean, err);
        *fault = MR_TEXT_FORM;
        return MR_OK;
    case MR_TYPE_INT8:
    case MR_TYPE_INT16:
    case MR_TYPE_INT32:
    case MR_TYPE_INT64:
        return decode_integer(to, text, fault, err);
    case MR_TYPE_FLOAT32:
    case MR_TYPE_FLOAT64:
    case MR_TYPE_DECIMAL:
        return decode_number(to, text, fault, err);
    case MR_TYPE_DATE:
    case MR_TYPE_TIME:
    case MR_TYPE_TIMESTAMP:
    case MR_TYPE_TIMESTAMP_NTZ:
        return decode_time(to, text, tz, fault, err);
    case MR_TYPE_INTERVAL:
    case MR_TYPE_UUID:
        return decode_wide(to, text, fault, err);
    case MR_TYPE_BINARY:
        return decode_base64(to, text, fault, err);
    default:
        assert(to->type->id == MR_TYPE_NULL);
        *fault = MR_TEXT_FORM;
        return MR_OK;
    }
}

const char *mr_text_reason(enum mr_text_fault fault, const struct mr_type *type,
                           struct mr_slice text, char *out, size_t capacity)
{
    char name[64];
    mr_type_text(type, name, sizeof name);
    int shown = text.size < 64 ? (int)text.size : 64;
    shown = (int)mr_utf8_valid_prefix(text.data, (size_t)shown);
    const char *more = (size_t)shown < text.size ? ".." : "";
    if (fault == MR_TEXT_UTF8)
        snprintf(out, capacity, "the text is not valid UTF-8");
    else if (fault == MR_TEXT_DIGITS)
        snprintf(out, capacity, "'%.*s%s' has more digits behind the point than %s holds", shown,
                 text.data, more, name);
    else
        snprintf(out, capacity,
                 fault == MR_TEXT_RANGE ? "'%.*s%s' is out of the range of %s"
                                        : "'%.*s%s' is no %s",
                 shown, text.data, more, name);
    return out;
}

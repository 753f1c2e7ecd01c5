/*
 * value.c - partition values, which the log has as texts.
 *
 * Instants come in two forms: "2024-01-01 10:00:00.5", local fields of a zone that nobody wrote
 * down, and ISO 8601 with a zone ("2024-01-01T10:00:00.500000Z"), which newer writers use.
 */
#include "connect/delta/value.h"

#include "base/decimal.h"
#include "base/text.h"
#include "base/time.h"

struct cursor {
    const char *at;
};

/* `least` to `most` digits. */
static bool digits(struct cursor *cursor, int least, int most, int64_t *out)
{
    int count = 0;
    *out = 0;
    for (; count < most && *cursor->at >= '0' && *cursor->at <= '9'; count++)
        *out = *out * 10 + (*cursor->at++ - '0');
    return count >= least;
}

static bool one(struct cursor *cursor, char c)
{
    if (*cursor->at != c)
        return false;
    cursor->at++;
    return true;
}

static bool parse_date(struct cursor *cursor, int64_t *days)
{
    int64_t year;
    int64_t month;
    int64_t day;
    bool negative = one(cursor, '-');
    if (!negative)
        one(cursor, '+');
    if (!digits(cursor, 1, 6, &year) || !one(cursor, '-') || !digits(cursor, 1, 2, &month) ||
        !one(cursor, '-') || !digits(cursor, 1, 2, &day))
        return false;
    year = negative ? -year : year;
    if (month < 1 || month > 12 || day < 1 || day > mr_days_in_month(year, (int)month))
        return false;
    *days = mr_days_from_civil(year, (int)month, (int)day);
    return true;
}

static bool parse_time(struct cursor *cursor, int64_t *micros)
{
    int64_t hour;
    int64_t minute;
    int64_t second = 0;
    int64_t fraction = 0;
    if (!digits(cursor, 1, 2, &hour) || !one(cursor, ':') || !digits(cursor, 1, 2, &minute))
        return false;
    if (one(cursor, ':') && !digits(cursor, 1, 2, &second))
        return false;
    if (one(cursor, '.')) {
        const char *from = cursor->at;
        int64_t rest;
        if (!digits(cursor, 1, 6, &fraction))
            return false;
        for (int i = (int)(cursor->at - from); i < 6; i++)
            fraction *= 10;
        digits(cursor, 0, 18, &rest);
    }
    *micros = ((hour * 60 + minute) * 60 + second) * MR_MICROS_PER_SECOND + fraction;
    return hour < 24 && minute < 60 && second < 60;
}

/* Seconds east; *found false when there is none. */
static bool parse_zone(struct cursor *cursor, int64_t *offset, bool *found)
{
    *offset = 0;
    *found = true;
    if (one(cursor, 'Z'))
        return true;
    bool west = *cursor->at == '-';
    if (*cursor->at != '+' && *cursor->at != '-') {
        *found = false;
        return true;
    }
    cursor->at++;
    int64_t hours;
    int64_t minutes = 0;
    if (!digits(cursor, 2, 2, &hours))
        return false;
    one(cursor, ':');
    if (*cursor->at && !digits(cursor, 2, 2, &minutes))
        return false;
    *offset = (hours * 60 + minutes) * 60 * (west ? -1 : 1);
    return true;
}

static bool parse_timestamp(const char *text, bool instant, const struct mr_tz *tz, int64_t *out)
{
    struct cursor cursor = {text};
    int64_t days;
    int64_t time = 0;
    int64_t offset = 0;
    bool zone = false;
    if (!parse_date(&cursor, &days))
        return false;
    if (*cursor.at) {
        if (*cursor.at != ' ' && *cursor.at != 'T')
            return false;
        cursor.at++;
        if (!parse_time(&cursor, &time) || !parse_zone(&cursor, &offset, &zone) || *cursor.at)
            return false;
    }
    int64_t micros;
    if (__builtin_mul_overflow(days, MR_MICROS_PER_DAY, &micros) ||
        __builtin_add_overflow(micros, time, &micros))
        return false;
    if (instant && zone)
        micros -= offset * MR_MICROS_PER_SECOND;
    else if (instant && tz)
        micros = mr_tz_to_utc(tz, micros);
    *out = micros;
    return true;
}

static bool parse_integer(struct mr_slice text, int bits, int64_t *out)
{
    return mr_text_to_int64(text, true, out) &&
           (bits == 64 || (*out >= -(INT64_C(1) << (bits - 1)) && *out < INT64_C(1) << (bits - 1)));
}

static bool parse_boolean(const char *text, int64_t *out)
{
    *out = mr_text_equal_nocase(text, "true");
    return *out || mr_text_equal_nocase(text, "false");
}

bool delta_value_parse(const struct mr_type *type, const char *text, const struct mr_tz *tz,
                       struct mr_value *out)
{
    *out = (struct mr_value){.type = type, .is_null = !text || !*text};
    if (out->is_null)
        return true;
    struct mr_slice slice = mr_slice_of(text);
    struct cursor cursor = {text};
    switch (type->id) {
    case MR_TYPE_BOOL:
        return parse_boolean(text, &out->u.i64);
    case MR_TYPE_INT8:
        return parse_integer(slice, 8, &out->u.i64);
    case MR_TYPE_INT16:
        return parse_integer(slice, 16, &out->u.i64);
    case MR_TYPE_INT32:
        return parse_integer(slice, 32, &out->u.i64);
    case MR_TYPE_INT64:
        return parse_integer(slice, 64, &out->u.i64);
    case MR_TYPE_FLOAT32:
    case MR_TYPE_FLOAT64:
        if (!mr_text_to_double(slice, true, &out->u.f64))
            return false;
        if (type->id == MR_TYPE_FLOAT32)
            out->u.f64 = (double)(float)out->u.f64;
        return true;
    case MR_TYPE_DECIMAL:
        return mr_decimal_parse(text, slice.size, type->precision, type->scale, &out->u.i128);
    case MR_TYPE_DATE:
        return parse_date(&cursor, &out->u.i64) &&
               (!*cursor.at || *cursor.at == 'T' || *cursor.at == ' ');
    case MR_TYPE_TIMESTAMP:
    case MR_TYPE_TIMESTAMP_NTZ:
        return parse_timestamp(text, type->id == MR_TYPE_TIMESTAMP, tz, &out->u.i64);
    case MR_TYPE_STRING:
    case MR_TYPE_BINARY:
        out->u.bytes = slice;
        return true;
    default:
        return false;
    }
}

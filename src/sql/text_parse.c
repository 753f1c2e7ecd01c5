/*
 * text_parse.c - text to values, by the rules of Spark 3.5's CAST.
 *
 * No locale, no copies; everything takes a slice and says false when the text is not of that type.
 */
#include "base/text.h"
#include "base/time.h"
#include "sql/text_of.h"

static bool is_blank(char c)
{
    return (unsigned char)c <= ' ';
}

struct mr_slice mr_text_trim(struct mr_slice text)
{
    while (text.size > 0 && is_blank(text.data[0])) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && is_blank(text.data[text.size - 1]))
        text.size--;
    return text;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool equals(struct mr_slice text, const char *word)
{
    for (size_t i = 0; i < text.size; i++) {
        if (word[i] == '\0' || lower(text.data[i]) != word[i])
            return false;
    }
    return word[text.size] == '\0';
}

bool mr_text_to_bool(struct mr_slice text, bool *out)
{
    static const char *const words[] = {"t", "true", "y", "yes", "1", "f", "false", "n", "no", "0"};
    text = mr_text_trim(text);
    for (size_t i = 0; i < 10; i++) {
        if (equals(text, words[i])) {
            *out = i < 5;
            return true;
        }
    }
    return false;
}

bool mr_text_to_integer(struct mr_slice text, bool fraction, int64_t *out)
{
    text = mr_text_trim(text);
    size_t i = 0, digits = 0;
    bool negative = text.size > 0 && text.data[0] == '-';
    int64_t value = 0;
    if (text.size > 0 && (text.data[0] == '-' || text.data[0] == '+'))
        i = 1;
    for (; i < text.size && is_digit(text.data[i]); i++, digits++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, text.data[i] - '0', &value))
            return false;
    }
    if (fraction && i < text.size && text.data[i] == '.') {
        for (i++; i < text.size && is_digit(text.data[i]); i++)
            digits++;
    }
    if (digits == 0 || i != text.size || (!negative && value == INT64_MIN))
        return false;
    *out = negative ? value : -value;
    return true;
}

bool mr_text_to_number(struct mr_slice text, double *out)
{
    text = mr_text_trim(text);
    bool negative = text.size > 0 && text.data[0] == '-';
    struct mr_slice bare = text;
    if (text.size > 0 && (negative || text.data[0] == '+'))
        bare = (struct mr_slice){text.data + 1, text.size - 1};
    if (equals(bare, "inf") || equals(bare, "infinity")) {
        *out = negative ? -__builtin_inf() : __builtin_inf();
        return true;
    }
    if (equals(text, "nan")) {
        *out = __builtin_nan("");
        return true;
    }
    if (bare.size == 0 || !(is_digit(bare.data[0]) || bare.data[0] == '.'))
        return false;
    char last = lower(text.data[text.size - 1]);
    if ((last == 'd' || last == 'f') && bare.size > 1)
        text.size--;
    return mr_text_to_double(text, false, out);
}

/* A number of `least` to `most` digits at *at. */
static bool take_number(struct mr_slice text, size_t *at, int least, int most, int64_t *out)
{
    int digits = 0;
    *out = 0;
    while (*at < text.size && is_digit(text.data[*at]) && digits <= most) {
        *out = *out * 10 + (text.data[(*at)++] - '0');
        digits++;
    }
    return digits >= least && digits <= most;
}

static bool take_char(struct mr_slice text, size_t *at, char c)
{
    if (*at >= text.size || text.data[*at] != c)
        return false;
    (*at)++;
    return true;
}

/* [+-]yyyy[-M[-d]]; *whole: all three are there. */
static bool take_date(struct mr_slice text, size_t *at, int64_t *days, bool *whole)
{
    int64_t year, month = 1, day = 1;
    bool negative = take_char(text, at, '-');
    if (!negative)
        take_char(text, at, '+');
    if (!take_number(text, at, 4, 7, &year))
        return false;
    *whole = false;
    if (take_char(text, at, '-')) {
        if (!take_number(text, at, 1, 2, &month))
            return false;
        if (take_char(text, at, '-')) {
            if (!take_number(text, at, 1, 2, &day))
                return false;
            *whole = true;
        }
    }
    year = negative ? -year : year;
    if (month < 1 || month > 12 || day < 1 || day > mr_days_in_month(year, (int)month))
        return false;
    *days = mr_days_from_civil(year, (int)month, (int)day);
    return *days >= INT32_MIN && *days <= INT32_MAX;
}

bool mr_text_to_date(struct mr_slice text, int32_t *out)
{
    size_t at = 0;
    int64_t days;
    bool whole;
    text = mr_text_trim(text);
    if (!take_date(text, &at, &days, &whole))
        return false;
    if (at < text.size && !(whole && (text.data[at] == ' ' || text.data[at] == 'T')))
        return false;
    *out = (int32_t)days;
    return true;
}

/* H:m[:s[.f...]] */
static bool take_time(struct mr_slice text, size_t *at, int64_t *micros)
{
    int64_t hour, minute, second = 0, fraction = 0;
    if (!take_number(text, at, 1, 2, &hour) || !take_char(text, at, ':') ||
        !take_number(text, at, 1, 2, &minute))
        return false;
    if (take_char(text, at, ':') && !take_number(text, at, 1, 2, &second))
        return false;
    if (take_char(text, at, '.')) {
        int64_t weight = 100000;
        for (; *at < text.size && is_digit(text.data[*at]); (*at)++, weight /= 10)
            fraction += (text.data[*at] - '0') * weight;
    }
    *micros = ((hour * 60 + minute) * 60 + second) * 1000000 + fraction;
    return hour <= 23 && minute <= 59 && second <= 59;
}

bool mr_special_time(const struct mr_sql_session *session, struct mr_slice text,
                     const struct mr_type *type, struct mr_value *out)
{
    static const char *const words[] = {"epoch", "now", "today", "tomorrow", "yesterday"};
    static const int64_t shifts[] = {0, 0, 0, 1, -1};
    int64_t now = session->now_micros, local = now;
    size_t which = 0;
    bool instant = type->id == MR_TYPE_TIMESTAMP;
    if (type->id != MR_TYPE_DATE && !instant && type->id != MR_TYPE_TIMESTAMP_NTZ)
        return false;
    text = mr_text_trim(text);
    while (which < 5 && !equals(text, words[which]))
        which++;
    if (which == 5)
        return false;
    if (session->tz)
        local = mr_tz_to_local(session->tz, now);
    int64_t day = local / MR_MICROS_PER_DAY - (local % MR_MICROS_PER_DAY < 0);
    int64_t midnight = (day + shifts[which]) * MR_MICROS_PER_DAY;
    *out = (struct mr_value){.type = type};
    if (type->id == MR_TYPE_DATE)
        out->u.i64 = which == 0 ? 0 : day + shifts[which];
    else if (which < 2)
        out->u.i64 = which == 0 ? 0 : instant ? now : local;
    else
        out->u.i64 = instant && session->tz ? mr_tz_to_utc(session->tz, midnight) : midnight;
    return true;
}

bool mr_text_to_time(struct mr_slice text, int64_t *micros)
{
    size_t at = 0;
    text = mr_text_trim(text);
    return take_time(text, &at, micros) && at == text.size;
}

bool mr_text_to_local(struct mr_slice text, int64_t *local, struct mr_slice *zone)
{
    size_t at = 0;
    int64_t days, time = 0;
    bool whole;
    text = mr_text_trim(text);
    *zone = (struct mr_slice){"", 0};
    if (!take_date(text, &at, &days, &whole))
        return false;
    if (at < text.size) {
        if (!whole || (!take_char(text, &at, ' ') && !take_char(text, &at, 'T')))
            return false;
        while (at < text.size && text.data[at] == ' ')
            at++;
        if (at < text.size && !take_time(text, &at, &time))
            return false;
        *zone = mr_text_trim((struct mr_slice){text.data + at, text.size - at});
    }
    mr_int128 micros = (mr_int128)days * MR_MICROS_PER_DAY + time;
    *local = (int64_t)micros;
    return *local == micros;
}

bool mr_zone_offset(struct mr_slice zone, int32_t *seconds)
{
    size_t at = 0;
    int64_t hour = 0, minute = 0, second = 0;
    *seconds = 0;
    if (equals(zone, "z"))
        return true;
    if (zone.size >= 3 && (equals((struct mr_slice){zone.data, 3}, "utc") ||
                           equals((struct mr_slice){zone.data, 3}, "gmt")))
        at = 3;
    else if (zone.size >= 2 && equals((struct mr_slice){zone.data, 2}, "ut"))
        at = 2;
    if (at == zone.size)
        return at > 0;
    char sign = zone.data[at++];
    if (sign != '+' && sign != '-')
        return false;
    size_t digits = 0;
    while (at + digits < zone.size && is_digit(zone.data[at + digits]))
        digits++;
    if (digits == 4 || digits == 6) { /* hhmm[ss] */
        int64_t number;
        if (!take_number(zone, &at, 4, 6, &number))
            return false;
        number *= digits == 4 ? 100 : 1;
        hour = number / 10000;
        minute = number / 100 % 100;
        second = number % 100;
        *seconds = (int32_t)(hour * 3600 + minute * 60 + second) * (sign == '-' ? -1 : 1);
        return at == zone.size && hour <= 18 && minute <= 59 && second <= 59;
    }
    if (!take_number(zone, &at, 1, 2, &hour))
        return false;
    bool colon = take_char(zone, &at, ':');
    if (at < zone.size && !take_number(zone, &at, colon ? 1 : 2, 2, &minute))
        return false;
    if (take_char(zone, &at, ':') && !take_number(zone, &at, 2, 2, &second))
        return false;
    *seconds = (int32_t)(hour * 3600 + minute * 60 + second) * (sign == '-' ? -1 : 1);
    return at == zone.size && hour <= 18 && minute <= 59 && second <= 59;
}

bool mr_text_to_uuid(struct mr_slice text, uint8_t out[16])
{
    int nibbles = 0;
    text = mr_text_trim(text);
    if (text.size >= 2 && text.data[0] == '{' && text.data[text.size - 1] == '}')
        text = (struct mr_slice){text.data + 1, text.size - 2};
    for (size_t i = 0; i < text.size; i++) {
        char c = lower(text.data[i]);
        if (c == '-' && nibbles > 0 && nibbles % 4 == 0 && text.data[i - 1] != '-')
            continue;
        int digit = is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0 || nibbles == 32)
            return false;
        if (nibbles % 2 == 0)
            out[nibbles / 2] = (uint8_t)(digit << 4);
        else
            out[nibbles / 2] |= (uint8_t)digit;
        nibbles++;
    }
    return nibbles == 32 && text.data[text.size - 1] != '-';
}

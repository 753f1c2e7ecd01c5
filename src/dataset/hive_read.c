/*
 * hive_read.c - partition columns from the names of directories.
 *
 * Types are guessed as Spark's PartitioningUtils does: int, bigint, double, date, timestamp, in this
 * order, else string; over several directories the narrowest that holds all of them. Integers too
 * large for bigint are strings here (there decimals). "01" is an int: months are written so, and a
 * user who wants the text gives a schema.
 */
#include "dataset/hive_read.h"

#include "base/text.h"
#include "base/time.h"

/* --- directories --- */

static enum mr_status unescaped(struct mr_slice text, struct mr_arena *arena, const char **out,
                                struct mr_error *err)
{
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, 1 << 20);
    mr_hive_unescape(&bytes, text.data, text.size);
    struct mr_slice copy = {0};
    enum mr_status status = mr_bytes_settle(&bytes, arena, &copy, err);
    *out = copy.data;
    return status;
}

enum mr_status mr_hive_read_part(struct mr_slice directory, struct mr_arena *arena,
                                 const char **name, const char **value, struct mr_error *err)
{
    *name = *value = NULL;
    const char *equals = memchr(directory.data, '=', directory.size);
    if (equals == NULL || equals == directory.data)
        return MR_OK;
    size_t before = (size_t)(equals - directory.data);
    struct mr_slice behind = {equals + 1, directory.size - before - 1};
    MR_TRY(unescaped((struct mr_slice){directory.data, before}, arena, name, err));
    if (behind.size == 0 || mr_slice_equal(behind, mr_slice_of(MR_HIVE_NULL)))
        return MR_OK;
    return unescaped(behind, arena, value, err);
}

/* --- texts --- */

static bool all_digits(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return size > 0;
}

static int64_t number(const char *text, size_t size)
{
    int64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value * 10 + (text[i] - '0');
    return value;
}

/* [+-]digits */
static bool integer_of(const char *text, int64_t *out)
{
    const char *digits = text + (*text == '-' || *text == '+');
    return all_digits(digits, strlen(digits)) &&
           mr_text_to_int64(mr_slice_of(*text == '+' ? digits : text), false, out);
}

/* Digits with a point or an exponent; no names of infinities. */
static bool double_of(const char *text, double *out)
{
    if (strspn(text, "0123456789+-.eE") != strlen(text) || strpbrk(text, "0123456789") == NULL)
        return false;
    return mr_text_to_double(mr_slice_of(text), false, out);
}

/* yyyy-MM-dd; *behind is what follows. */
static bool date_of(const char *text, int64_t *days, const char **behind)
{
    size_t size = strlen(text);
    if (size < 10 || !all_digits(text, 4) || text[4] != '-' || !all_digits(text + 5, 2) ||
        text[7] != '-' || !all_digits(text + 8, 2))
        return false;
    int64_t year = number(text, 4);
    int month = (int)number(text + 5, 2), day = (int)number(text + 8, 2);
    if (month < 1 || month > 12 || day < 1 || day > mr_days_in_month(year, month))
        return false;
    *days = mr_days_from_civil(year, month, day);
    *behind = text + 10;
    return true;
}

/* .f to .ffffff */
static bool fraction_of(const char *text, int64_t *micros, const char **behind)
{
    size_t digits = strspn(text + 1, "0123456789");
    if (digits < 1 || digits > 6)
        return false;
    *micros = number(text + 1, digits);
    for (size_t i = digits; i < 6; i++)
        *micros *= 10;
    *behind = text + 1 + digits;
    return true;
}

/* HH:mm[:ss[.ffffff]] */
static bool time_of(const char *text, int64_t *micros, const char **behind)
{
    int64_t parts[3] = {0}, rest = 0;
    int n = 0;
    for (; n < 3; n++) {
        if (n > 0 && *text != ':')
            break;
        text += n > 0;
        if (strlen(text) < 2 || !all_digits(text, 2))
            return false;
        parts[n] = number(text, 2);
        text += 2;
    }
    if (n < 2 || parts[0] > 23 || parts[1] > 59 || parts[2] > 59)
        return false;
    if (n == 3 && *text == '.' && !fraction_of(text, &rest, &text))
        return false;
    *micros = ((parts[0] * 60 + parts[1]) * 60 + parts[2]) * MR_MICROS_PER_SECOND + rest;
    *behind = text;
    return true;
}

/* Z, +HH:mm, -HH:mm or nothing. */
static bool offset_of(const char *text, bool *given, int64_t *micros)
{
    *given = *text != '\0';
    *micros = 0;
    if (!*given || strcmp(text, "Z") == 0)
        return true;
    if ((*text != '+' && *text != '-') || strlen(text) != 6 || text[3] != ':' ||
        !all_digits(text + 1, 2) || !all_digits(text + 4, 2))
        return false;
    int64_t minutes = number(text + 1, 2) * 60 + number(text + 4, 2);
    *micros = (*text == '-' ? -minutes : minutes) * 60 * MR_MICROS_PER_SECOND;
    return minutes <= 18 * 60;
}

static bool timestamp_of(const char *text, bool instant, const struct mr_tz *tz, int64_t *out)
{
    int64_t days, time, offset;
    bool given;
    if (!date_of(text, &days, &text) || (*text != ' ' && *text != 'T') ||
        !time_of(text + 1, &time, &text) || !offset_of(text, &given, &offset))
        return false;
    *out = days * MR_MICROS_PER_DAY + time;
    if (!instant)
        return !given;
    if (given)
        *out -= offset;
    else if (tz != NULL)
        *out = mr_tz_to_utc(tz, *out);
    return true;
}

/* --- guesses --- */

enum mr_hive_guess mr_hive_guess(const char *value)
{
    int64_t integer;
    double number_of;
    const char *behind;
    if (value == NULL)
        return MR_HIVE_GUESS_NULL;
    if (integer_of(value, &integer))
        return integer >= INT32_MIN && integer <= INT32_MAX ? MR_HIVE_GUESS_INT
                                                            : MR_HIVE_GUESS_BIGINT;
    const char *digits = value + (*value == '-' || *value == '+');
    if (!all_digits(digits, strlen(digits)) && double_of(value, &number_of))
        return MR_HIVE_GUESS_DOUBLE;
    if (date_of(value, &integer, &behind) && *behind == '\0')
        return MR_HIVE_GUESS_DATE;
    if (timestamp_of(value, true, NULL, &integer))
        return MR_HIVE_GUESS_TIMESTAMP;
    return MR_HIVE_GUESS_STRING;
}

enum mr_hive_guess mr_hive_widen(enum mr_hive_guess a, enum mr_hive_guess b)
{
    enum mr_hive_guess low = a < b ? a : b, high = a < b ? b : a;
    if (low == high || low == MR_HIVE_GUESS_NULL)
        return high;
    if (low == MR_HIVE_GUESS_INT && high <= MR_HIVE_GUESS_DOUBLE)
        return high;
    if (low == MR_HIVE_GUESS_DATE && high == MR_HIVE_GUESS_TIMESTAMP)
        return high;
    return MR_HIVE_GUESS_STRING;
}

const struct mr_type *mr_hive_type(enum mr_hive_guess guess)
{
    static const enum mr_type_id ids[] = {
        [MR_HIVE_GUESS_NULL] = MR_TYPE_STRING,         [MR_HIVE_GUESS_INT] = MR_TYPE_INT32,
        [MR_HIVE_GUESS_BIGINT] = MR_TYPE_INT64,        [MR_HIVE_GUESS_DOUBLE] = MR_TYPE_FLOAT64,
        [MR_HIVE_GUESS_DATE] = MR_TYPE_DATE,           [MR_HIVE_GUESS_STRING] = MR_TYPE_STRING,
        [MR_HIVE_GUESS_TIMESTAMP] = MR_TYPE_TIMESTAMP,
    };
    return mr_type_of(ids[guess]);
}

/* --- values --- */

static bool integer_value(const char *text, enum mr_type_id id, struct mr_value *out)
{
    int bits = id == MR_TYPE_INT8 ? 8 : id == MR_TYPE_INT16 ? 16 : id == MR_TYPE_INT32 ? 32 : 64;
    int64_t most = (int64_t)(UINT64_MAX >> 1 >> (64 - bits));
    return integer_of(text, &out->u.i64) && out->u.i64 <= most && out->u.i64 >= -most - 1;
}

static bool bool_value(const char *text, struct mr_value *out)
{
    out->u.i64 = mr_text_equal_nocase(text, "true");
    return out->u.i64 || mr_text_equal_nocase(text, "false");
}

/* A timestamp's directory may hold a date: its midnight. */
static bool timestamp_value(const char *text, bool instant, const struct mr_tz *tz, int64_t *out)
{
    const char *behind;
    int64_t days;
    if (!date_of(text, &days, &behind) || *behind != '\0')
        return timestamp_of(text, instant, tz, out);
    *out = days * MR_MICROS_PER_DAY;
    if (instant && tz != NULL)
        *out = mr_tz_to_utc(tz, *out);
    return true;
}

bool mr_hive_value(const char *text, const struct mr_type *type, const struct mr_tz *tz,
                   struct mr_value *out)
{
    const char *behind;
    *out = (struct mr_value){.type = type, .is_null = text == NULL};
    if (text == NULL)
        return true;
    switch (type->id) {
    case MR_TYPE_BOOL:
        return bool_value(text, out);
    case MR_TYPE_INT8:
    case MR_TYPE_INT16:
    case MR_TYPE_INT32:
    case MR_TYPE_INT64:
        return integer_value(text, type->id, out);
    case MR_TYPE_FLOAT32:
    case MR_TYPE_FLOAT64:
        if (!mr_text_to_double(mr_slice_of(text), false, &out->u.f64))
            return false;
        if (type->id == MR_TYPE_FLOAT32)
            out->u.f64 = (float)out->u.f64;
        return true;
    case MR_TYPE_DECIMAL:
        return mr_decimal_parse(text, strlen(text), type->precision, type->scale, &out->u.i128);
    case MR_TYPE_DATE:
        return date_of(text, &out->u.i64, &behind) && *behind == '\0';
    case MR_TYPE_TIME:
        return time_of(text, &out->u.i64, &behind) && *behind == '\0';
    case MR_TYPE_TIMESTAMP:
    case MR_TYPE_TIMESTAMP_NTZ:
        return timestamp_value(text, type->id == MR_TYPE_TIMESTAMP, tz, &out->u.i64);
    case MR_TYPE_STRING:
    case MR_TYPE_JSON:
    case MR_TYPE_BINARY:
        out->u.bytes = mr_slice_of(text);
        return true;
    default:
        return false;
    }
}

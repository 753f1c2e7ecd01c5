/*
 * oracle_value.c - see oracle_value.h. What is written in the data: tests/oracle/generate.py.
 *
 * Values are read here without src/sql's own casts, which are under test: integers and microseconds are JSON integers,
 * floating point and decimals are texts, bytes are {"b": hex}, lists and structs are arrays, maps are arrays of pairs.
 */
#include "oracle/oracle_value.h"

#include "base/decimal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DAY INT64_C(86400000000)

static bool is_interval_word(const char *word, size_t size)
{
    static const char *const words[] = {"year", "month", "day", "hour", "minute", "second", "to"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strlen(words[i]) == size && memcmp(words[i], word, size) == 0)
            return true;
    }
    return false;
}

void oracle_type_name(const char *spark, char *out, size_t capacity)
{
    size_t n = 0;
    bool interval = false;
    while (*spark && n + 1 < capacity) {
        size_t word = strspn(spark, "abcdefghijklmnopqrstuvwxyz_");
        if (*spark == ' ' && interval) {
            size_t next = strspn(spark + 1, "abcdefghijklmnopqrstuvwxyz");
            if (is_interval_word(spark + 1, next)) {
                spark += 1 + next;
                continue;
            }
        }
        if (word == 0) {
            out[n++] = *spark++;
            continue;
        }
        interval = word == 8 && memcmp(spark, "interval", 8) == 0;
        for (; word > 0 && n + 1 < capacity; word--)
            out[n++] = *spark++;
    }
    out[n] = '\0';
}

static int nibble(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* A text, or {"b": hex}; `buffer` is freed by the caller. */
static struct mr_slice bytes_of(json_t *json, char **buffer)
{
    *buffer = NULL;
    if (json_is_string(json))
        return (struct mr_slice){json_string_value(json), json_string_length(json)};
    const char *hex = json_string_value(json_object_get(json, "b"));
    size_t size = hex ? strlen(hex) / 2 : 0;
    *buffer = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        (*buffer)[i] = (char)(nibble(hex[2 * i]) * 16 + nibble(hex[2 * i + 1]));
    return (struct mr_slice){*buffer, size};
}

static enum mr_status append_bytes(struct mr_builder *builder, json_t *json, struct mr_error *err)
{
    char *buffer;
    struct mr_slice bytes = bytes_of(json, &buffer);
    enum mr_status status = mr_builder_bytes(builder, bytes.data, bytes.size, err);
    free(buffer);
    return status;
}

/* A number is months of the oracle's column ym1, else microseconds. */
static enum mr_status append_interval(struct mr_builder *builder, json_t *json,
                                      struct mr_error *err)
{
    int64_t number = json_integer_value(json_is_array(json) ? json_array_get(json, 0) : json);
    struct mr_interval interval = {0};
    if (json_is_array(json)) {
        interval.months = (int32_t)number;
        interval.days = (int32_t)json_integer_value(json_array_get(json, 1));
        interval.micros = json_integer_value(json_array_get(json, 2));
    } else {
        interval.days = (int32_t)(number / DAY);
        interval.micros = number % DAY;
    }
    return mr_builder_fixed16(builder, &interval, err);
}

static enum mr_status append_elements(struct mr_builder *builder, json_t *json,
                                      struct mr_error *err)
{
    struct mr_builder *child = &builder->children[0];
    json_t *element;
    size_t i;
    json_array_foreach(json, i, element)
    {
        MR_TRY(oracle_append(child, element, err));
    }
    return mr_builder_list(builder, err);
}

enum mr_status oracle_append(struct mr_builder *builder, json_t *json, struct mr_error *err)
{
    mr_int128 decimal;
    const struct mr_type *type = builder->type;
    if (json_is_null(json))
        return mr_builder_null(builder, err);
    switch (type->id) {
    case MR_TYPE_BOOL:
        return mr_builder_int(builder, json_is_true(json), err);
    case MR_TYPE_FLOAT32:
        return mr_builder_double(builder, strtof(json_string_value(json), NULL), err);
    case MR_TYPE_FLOAT64:
        return mr_builder_double(builder, strtod(json_string_value(json), NULL), err);
    case MR_TYPE_DECIMAL:
        mr_decimal_parse(json_string_value(json), json_string_length(json), type->precision,
                         type->scale, &decimal);
        return mr_builder_decimal(builder, decimal, err);
    case MR_TYPE_STRING:
    case MR_TYPE_BINARY:
        return append_bytes(builder, json, err);
    case MR_TYPE_INTERVAL:
        return append_interval(builder, json, err);
    case MR_TYPE_LIST:
    case MR_TYPE_MAP:
        return append_elements(builder, json, err);
    case MR_TYPE_STRUCT:
        for (int i = 0; i < builder->nchildren; i++)
            MR_TRY(oracle_append(&builder->children[i], json_array_get(json, (size_t)i), err));
        return mr_builder_struct(builder, err);
    default:
        return mr_builder_int(builder, json_integer_value(json), err);
    }
}

static bool equal_double(double a, double b, int ulps)
{
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b);
    if (a == b)
        return signbit(a) == signbit(b);
    for (; ulps > 0; ulps--) {
        a = nextafter(a, b);
        if (a == b)
            return true;
    }
    return false;
}

static bool equal_float(double a, json_t *json, const struct mr_type *type, int ulps)
{
    const char *text = json_string_value(json);
    if (text == NULL)
        return false;
    if (type->id == MR_TYPE_FLOAT32)
        return equal_double(a, strtof(text, NULL), 0);
    return equal_double(a, strtod(text, NULL), ulps);
}

static bool equal_decimal(mr_int128 value, json_t *json, const struct mr_type *type)
{
    char text[MR_DECIMAL_TEXT_MAX];
    mr_decimal_format(value, type->scale, text);
    return json_is_string(json) && strcmp(text, json_string_value(json)) == 0;
}

static bool equal_bytes(struct mr_slice value, json_t *json)
{
    char *buffer;
    struct mr_slice expected = bytes_of(json, &buffer);
    bool equal = expected.size == value.size &&
                 (value.size == 0 || memcmp(expected.data, value.data, value.size) == 0);
    free(buffer);
    return equal;
}

/* Spark's day-time intervals are microseconds; its year-month intervals are months. */
static bool equal_interval(const struct mr_interval *value, json_t *json)
{
    if (json_is_array(json))
        return json_integer_value(json_array_get(json, 0)) == value->months &&
               json_integer_value(json_array_get(json, 1)) == value->days &&
               json_integer_value(json_array_get(json, 2)) == value->micros;
    int64_t number = json_integer_value(json);
    if (value->days == 0 && value->micros == 0 && value->months == number)
        return true;
    return value->months == 0 && (mr_int128)value->days * DAY + value->micros == number;
}

static bool equal_list(const struct mr_value *value, json_t *json, int ulps)
{
    const struct mr_column *column = value->u.nested.column;
    const int32_t *offsets = mr_column_offsets(column) + value->u.nested.row;
    if ((size_t)(offsets[1] - offsets[0]) != json_array_size(json))
        return false;
    for (int64_t i = offsets[0]; i < offsets[1]; i++) {
        if (!oracle_equal(column->children[0], i, json_array_get(json, (size_t)(i - offsets[0])),
                          ulps))
            return false;
    }
    return true;
}

static bool equal_struct(const struct mr_value *value, json_t *json, int ulps)
{
    const struct mr_column *column = value->u.nested.column;
    if ((size_t)column->nchildren != json_array_size(json))
        return false;
    for (int i = 0; i < column->nchildren; i++) {
        if (!oracle_equal(column->children[i], value->u.nested.row, json_array_get(json, (size_t)i),
                          ulps))
            return false;
    }
    return true;
}

bool oracle_equal(const struct mr_column *column, int64_t row, json_t *json, int ulps)
{
    struct mr_value value;
    mr_column_get(column, row, &value);
    if (value.is_null || json_is_null(json))
        return value.is_null && json_is_null(json);
    switch (value.type->id) {
    case MR_TYPE_BOOL:
        return json_is_boolean(json) && json_is_true(json) == (value.u.i64 != 0);
    case MR_TYPE_FLOAT32:
    case MR_TYPE_FLOAT64:
        return equal_float(value.u.f64, json, value.type, ulps);
    case MR_TYPE_DECIMAL:
        return equal_decimal(value.u.i128, json, value.type);
    case MR_TYPE_STRING:
    case MR_TYPE_JSON:
    case MR_TYPE_BINARY:
        return equal_bytes(value.u.bytes, json);
    case MR_TYPE_INTERVAL:
        return equal_interval(&value.u.interval, json);
    case MR_TYPE_LIST:
    case MR_TYPE_MAP:
        return equal_list(&value, json, ulps);
    case MR_TYPE_STRUCT:
        return equal_struct(&value, json, ulps);
    default:
        return json_is_integer(json) && json_integer_value(json) == value.u.i64;
    }
}

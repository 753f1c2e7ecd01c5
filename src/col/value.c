/*
 * value.c - single values: order, text, copies.
 *
 * Nested values are a row of a column; ordering them is the column kernel's, and only their text is
 * made here.
 */
#include "col/value.h"

#include "base/text.h"
#include "base/time.h"
#include "col/column.h"
#include "col/kernel.h"

#include <math.h>

static int compare_double(double a, double b)
{
    if (isnan(a) || isnan(b))
        return isnan(a) - isnan(b);
    return (a > b) - (a < b);
}

static int compare_bytes(struct mr_slice a, struct mr_slice b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    int c = n ? memcmp(a.data, b.data, n) : 0;
    return c ? c : (a.size > b.size) - (a.size < b.size);
}

static int compare_interval(const struct mr_interval *a, const struct mr_interval *b)
{
    if (a->months != b->months)
        return a->months < b->months ? -1 : 1;
    if (a->days != b->days)
        return a->days < b->days ? -1 : 1;
    return (a->micros > b->micros) - (a->micros < b->micros);
}

int mr_value_compare(const struct mr_value *a, const struct mr_value *b)
{
    if (a->is_null || b->is_null)
        return b->is_null - a->is_null;
    switch (a->type->id) {
    case MR_TYPE_NULL:
        return 0;
    case MR_TYPE_FLOAT32:
    case MR_TYPE_FLOAT64:
        return compare_double(a->u.f64, b->u.f64);
    case MR_TYPE_DECIMAL:
        return (a->u.i128 > b->u.i128) - (a->u.i128 < b->u.i128);
    case MR_TYPE_STRING:
    case MR_TYPE_BINARY:
    case MR_TYPE_JSON:
        return compare_bytes(a->u.bytes, b->u.bytes);
    case MR_TYPE_UUID:
        return memcmp(a->u.uuid, b->u.uuid, sizeof a->u.uuid);
    case MR_TYPE_INTERVAL:
        return compare_interval(&a->u.interval, &b->u.interval);
    case MR_TYPE_LIST:
    case MR_TYPE_STRUCT:
    case MR_TYPE_MAP:
        return mr_column_compare_rows(a->u.nested.column, a->u.nested.row, b->u.nested.column,
                                      b->u.nested.row);
    default:
        return (a->u.i64 > b->u.i64) - (a->u.i64 < b->u.i64);
    }
}

/* "1 years 2 months 3 days 4 hours 5 minutes 6.5 seconds" (Spark's CalendarInterval.toString). */
static void format_interval(const struct mr_interval *interval, struct mr_bytes *out)
{
    int64_t micros = interval->micros;
    long long parts[] = {interval->months / 12, interval->months % 12, interval->days,
                         micros / 3600000000, micros / 60000000 % 60};
    static const char *const units[] = {"years", "months", "days", "hours", "minutes"};
    size_t before = out->size;
    for (int i = 0; i < 5; i++)
        if (parts[i])
            mr_bytes_printf(out, "%s%lld %s", out->size > before ? " " : "", parts[i], units[i]);
    int64_t rest = micros % 60000000;
    if (rest || out->size == before) {
        char text[MR_TIME_TEXT_MAX];
        mr_time_of_day_format(rest < 0 ? -rest : rest, text);
        const char *seconds = text + 6; /* behind "00:00:" */
        if (*seconds == '0')
            seconds++;
        mr_bytes_printf(out, "%s%s%s seconds", out->size > before ? " " : "", rest < 0 ? "-" : "",
                        seconds);
    }
}

static void format_uuid(const uint8_t uuid[16], struct mr_bytes *out)
{
    static const char hex[] = "0123456789abcdef";
    char text[36];
    int n = 0;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            text[n++] = '-';
        text[n++] = hex[uuid[i] >> 4];
        text[n++] = hex[uuid[i] & 15];
    }
    mr_bytes_append(out, text, sizeof text);
}

static void format_element(const struct mr_column *column, int64_t row, struct mr_bytes *out)
{
    struct mr_value value;
    mr_column_get(column, row, &value);
    if (value.is_null)
        mr_bytes_text(out, "null");
    else
        mr_value_format(&value, out);
}

static void format_nested(const struct mr_value *value, struct mr_bytes *out)
{
    const struct mr_column *column = value->u.nested.column;
    int64_t row = value->u.nested.row;
    if (value->type->id == MR_TYPE_STRUCT) {
        mr_bytes_char(out, '{');
        for (int i = 0; i < column->nchildren; i++) {
            if (i)
                mr_bytes_append(out, ", ", 2);
            format_element(column->children[i], row, out);
        }
        mr_bytes_char(out, '}');
        return;
    }
    bool map = value->type->id == MR_TYPE_MAP;
    const int32_t *offsets = mr_column_offsets(column);
    mr_bytes_char(out, map ? '{' : '[');
    for (int64_t i = offsets[row]; i < offsets[row + 1]; i++) {
        if (i > offsets[row])
            mr_bytes_append(out, ", ", 2);
        if (map) {
            const struct mr_column *entries = column->children[0];
            format_element(entries->children[0], i, out);
            mr_bytes_text(out, " -> ");
            format_element(entries->children[1], i, out);
        } else {
            format_element(column->children[0], i, out);
        }
    }
    mr_bytes_char(out, map ? '}' : ']');
}

void mr_value_format(const struct mr_value *value, struct mr_bytes *out)
{
    char text[MR_TIME_TEXT_MAX];
    _Static_assert(sizeof text >= MR_DECIMAL_TEXT_MAX && sizeof text >= MR_DOUBLE_TEXT_MAX, "room");
    if (value->is_null || value->type->id == MR_TYPE_NULL) {
        mr_bytes_text(out, "NULL");
        return;
    }
    int n;
    switch (value->type->id) {
    case MR_TYPE_BOOL:
        mr_bytes_text(out, value->u.i64 ? "true" : "false");
        return;
    case MR_TYPE_FLOAT32:
        n = mr_float_to_text((float)value->u.f64, text);
        break;
    case MR_TYPE_FLOAT64:
        n = mr_double_to_text(value->u.f64, text);
        break;
    case MR_TYPE_DECIMAL:
        n = mr_decimal_format(value->u.i128, value->type->scale, text);
        break;
    case MR_TYPE_DATE:
        n = mr_date_format(value->u.i64, text);
        break;
    case MR_TYPE_TIME:
        n = mr_time_of_day_format(value->u.i64, text);
        break;
    case MR_TYPE_TIMESTAMP:
    case MR_TYPE_TIMESTAMP_NTZ:
        n = mr_timestamp_format(value->u.i64, ' ', text);
        break;
    case MR_TYPE_INTERVAL:
        format_interval(&value->u.interval, out);
        return;
    case MR_TYPE_UUID:
        format_uuid(value->u.uuid, out);
        return;
    case MR_TYPE_STRING:
    case MR_TYPE_BINARY:
    case MR_TYPE_JSON:
        mr_bytes_append(out, value->u.bytes.data, value->u.bytes.size);
        return;
    case MR_TYPE_LIST:
    case MR_TYPE_STRUCT:
    case MR_TYPE_MAP:
        format_nested(value, out);
        return;
    default:
        mr_bytes_printf(out, "%lld", (long long)value->u.i64);
        return;
    }
    mr_bytes_append(out, text, (size_t)n);
}

bool mr_value_copy(struct mr_arena *arena, const struct mr_value *value, struct mr_value *out)
{
    *out = *value;
    if (value->is_null || mr_type_layout(value->type) != MR_LAYOUT_BYTES)
        return true;
    out->u.bytes.data = mr_arena_strndup(arena, value->u.bytes.data, value->u.bytes.size);
    return out->u.bytes.data != NULL;
}

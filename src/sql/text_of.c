/*
 * text_of.c - values to text, as CAST(x AS STRING) of Spark 3.5 with ANSI on prints them.
 *
 * Lists print as [a, b], structs as {a, b}, maps as {k -> v}, NULL inside them as null. Decimals are always plain notation.
 */
#include "sql/text_of.h"

#include "base/text.h"
#include "base/time.h"
#include "sql/interval.h"

static void number_text(const struct mr_arg *arg, int64_t row, struct mr_bytes *out)
{
    char text[MR_DOUBLE_TEXT_MAX + MR_DECIMAL_TEXT_MAX];
    int size;
    if (arg->type->id == MR_TYPE_DECIMAL)
        size = mr_decimal_format(mr_arg_decimal(arg, row), arg->type->scale, text);
    else if (arg->type->id == MR_TYPE_FLOAT32)
        size = mr_float_to_text(MR_ARG(*arg, float, row), text);
    else
        size = mr_double_to_text(MR_ARG(*arg, double, row), text);
    mr_bytes_append(out, text, (size_t)size);
}

/*
 * With ANSI off Spark prints java.math.BigDecimal.toString(): a number below 10^-6 in scientific notation, 1.5E-7; zero of
 * 18 digits is 0E-18.
 */
static void decimal_text(mr_int128 value, int scale, struct mr_bytes *out)
{
    char digits[48], text[MR_DECIMAL_TEXT_MAX];
    int n = mr_decimal_format(value < 0 ? -value : value, 0, digits);
    int exponent = n - 1 - scale;
    if (exponent >= -6) {
        int size = mr_decimal_format(value, scale, text);
        mr_bytes_append(out, text, (size_t)size);
        return;
    }
    mr_bytes_printf(out, "%s%c%s%sE%d", value < 0 ? "-" : "", digits[0], n > 1 ? "." : "",
                    digits + 1, exponent);
}

static void integer_text(int64_t value, struct mr_bytes *out)
{
    char text[24];
    char *at = text + sizeof(text);
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do
        *--at = (char)('0' + rest % 10);
    while ((rest /= 10) != 0);
    if (value < 0)
        *--at = '-';
    mr_bytes_append(out, at, (size_t)(text + sizeof(text) - at));
}

static void time_text(const struct mr_sql_session *session, const struct mr_arg *arg, int64_t row,
                      struct mr_bytes *out)
{
    char text[MR_INTERVAL_TEXT_MAX];
    int size;
    int64_t micros;
    switch (arg->type->id) {
    case MR_TYPE_DATE:
        size = mr_date_format(MR_ARG(*arg, int32_t, row), text);
        break;
    case MR_TYPE_TIME:
        size = mr_time_of_day_format(MR_ARG(*arg, int64_t, row), text);
        break;
    case MR_TYPE_INTERVAL:
        size = mr_interval_format(&MR_ARG(*arg, struct mr_interval, row), text);
        break;
    default:
        micros = MR_ARG(*arg, int64_t, row);
        if (arg->type->id == MR_TYPE_TIMESTAMP && session->tz)
            micros = mr_tz_to_local(session->tz, micros);
        size = mr_timestamp_format(micros, ' ', text);
        break;
    }
    mr_bytes_append(out, text, (size_t)size);
}

static void uuid_text(const uint8_t *uuid, struct mr_bytes *out)
{
    static const char digits[] = "0123456789abcdef";
    char text[36];
    int at = 0;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            text[at++] = '-';
        text[at++] = digits[uuid[i] >> 4];
        text[at++] = digits[uuid[i] & 15];
    }
    mr_bytes_append(out, text, sizeof(text));
}

static void element_text(const struct mr_sql_session *session, const struct mr_column *column,
                         int64_t row, struct mr_bytes *out)
{
    if (mr_column_is_null(column, row))
        mr_bytes_text(out, "null");
    else
        mr_text_of(session, column, row, out);
}

static void nested_text(const struct mr_sql_session *session, const struct mr_column *column,
                        int64_t row, struct mr_bytes *out)
{
    const struct mr_column *child = column->nchildren ? column->children[0] : NULL;
    bool list = column->type->id == MR_TYPE_LIST;
    if (column->encoding == MR_CONSTANT)
        row = 0;
    mr_bytes_char(out, list ? '[' : '{');
    if (column->type->id == MR_TYPE_STRUCT) {
        for (int i = 0; i < column->nchildren; i++) {
            mr_bytes_text(out, i ? ", " : "");
            element_text(session, column->children[i], row, out);
        }
    } else {
        const int32_t *offsets = mr_column_offsets(column);
        for (int32_t i = offsets[row]; i < offsets[row + 1]; i++) {
            mr_bytes_text(out, i > offsets[row] ? ", " : "");
            if (list) {
                element_text(session, child, i, out);
                continue;
            }
            element_text(session, child->children[0], i, out);
            mr_bytes_text(out, " -> ");
            element_text(session, child->children[1], i, out);
        }
    }
    mr_bytes_char(out, list ? ']' : '}');
}

void mr_text_of(const struct mr_sql_session *session, const struct mr_column *column, int64_t row,
                struct mr_bytes *out)
{
    struct mr_arg arg = mr_arg_of_column(column);
    struct mr_slice text;
    if (column->encoding == MR_DICTIONARY) {
        mr_text_of(session, column->dictionary, mr_column_offsets(column)[row], out);
        return;
    }
    switch (column->type->id) {
    case MR_TYPE_NULL:
        mr_bytes_text(out, "null");
        break;
    case MR_TYPE_BOOL:
        mr_bytes_text(out, MR_ARG(arg, uint8_t, row) ? "true" : "false");
        break;
    case MR_TYPE_INT8:
    case MR_TYPE_INT16:
    case MR_TYPE_INT32:
    case MR_TYPE_INT64:
        integer_text(mr_arg_int(&arg, row), out);
        break;
    case MR_TYPE_DECIMAL:
        if (!session->ansi && arg.type->scale > 6) {
            decimal_text(mr_arg_decimal(&arg, row), arg.type->scale, out);
            break;
        }
        number_text(&arg, row, out);
        break;
    case MR_TYPE_FLOAT32:
    case MR_TYPE_FLOAT64:
        number_text(&arg, row, out);
        break;
    case MR_TYPE_STRING:
    case MR_TYPE_JSON:
    case MR_TYPE_BINARY:
        text = mr_arg_text(&arg, row);
        mr_bytes_append(out, text.data, text.size);
        break;
    case MR_TYPE_UUID:
        uuid_text((const uint8_t *)arg.values + (row & arg.mask) * 16, out);
        break;
    case MR_TYPE_LIST:
    case MR_TYPE_STRUCT:
    case MR_TYPE_MAP:
        nested_text(session, column, row, out);
        break;
    default:
        time_text(session, &arg, row, out);
        break;
    }
}

/*
 * functions_format.c - format_string (Java's Formatter) and format_number (Java's DecimalFormat).
 *
 * Formatter rounds the shortest decimal digits of a double half up, DecimalFormat its exact value half to even: 0.125 is 0.13 to
 * the one and 0.12 to the other, and so it is in Spark.
 */
#include "base/text.h"
#include "sql/json.h"
#include "sql/text_of.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* 0.d1 d2 d3 .. * 10^point */
struct digits {
    char d[64];
    int count;
    int point;
};

static void digits_of(double value, struct digits *out)
{
    char text[MR_DOUBLE_TEXT_MAX];
    int size = mr_double_to_text(fabs(value), text), point = -1, exponent = 0, lead = 0;
    *out = (struct digits){0};
    text[size] = '\0';
    for (int i = 0; i < size; i++) {
        if (text[i] == '.')
            point = out->count;
        else if (text[i] == 'E') {
            exponent = atoi(text + i + 1);
            break;
        } else
            out->d[out->count++] = text[i];
    }
    out->point = (point < 0 ? out->count : point) + exponent;
    while (lead < out->count && out->d[lead] == '0')
        lead++;
    memmove(out->d, out->d + lead, (size_t)(out->count - lead));
    out->count -= lead;
    out->point = out->count ? out->point - lead : 0;
}

/* Keeps `keep` digits (none if negative), half up. */
static void round_digits(struct digits *digits, int keep)
{
    if (keep >= digits->count)
        return;
    bool up = keep >= 0 && digits->d[keep] >= '5';
    digits->count = keep > 0 ? keep : 0;
    for (int i = digits->count - 1; up && i >= 0; i--) {
        up = digits->d[i] == '9';
        digits->d[i] = up ? '0' : (char)(digits->d[i] + 1);
    }
    if (up) {
        memmove(digits->d + 1, digits->d, (size_t)digits->count);
        digits->d[0] = '1';
        digits->count++;
        digits->point++;
    }
}

/* One %..x of a format. */
struct spec {
    bool left, plus, blank, zero, group, paren, alternate, upper;
    int width;
    int precision; /* -1: none */
    int arg;       /* from 1; 0: the next, -1: the last one again */
    char letter;
};

static bool parse_spec(const char **at, const char *end, struct spec *spec)
{
    *spec = (struct spec){.precision = -1};
    const char *from = *at;
    int number = 0;
    while (*at < end && **at >= '0' && **at <= '9' && number < 100000)
        number = number * 10 + (*(*at)++ - '0');
    if (*at < end && **at == '$' && *at > from) {
        spec->arg = number;
        (*at)++;
    } else {
        *at = from;
    }
    if (*at < end && **at == '<') {
        spec->arg = -1;
        (*at)++;
    }
    for (; *at < end && strchr("-+ 0,(#", **at) && **at; (*at)++) {
        spec->left |= **at == '-';
        spec->plus |= **at == '+';
        spec->blank |= **at == ' ';
        spec->zero |= **at == '0';
        spec->group |= **at == ',';
        spec->paren |= **at == '(';
        spec->alternate |= **at == '#';
    }
    while (*at < end && **at >= '0' && **at <= '9' && spec->width < 100000)
        spec->width = spec->width * 10 + (*(*at)++ - '0');
    if (*at < end && **at == '.') {
        (*at)++;
        spec->precision = 0;
        from = *at;
        while (*at < end && **at >= '0' && **at <= '9' && spec->precision < 1000)
            spec->precision = spec->precision * 10 + (*(*at)++ - '0');
        if (*at == from)
            return false;
    }
    if (*at == end)
        return false;
    spec->letter = *(*at)++;
    spec->upper = spec->letter >= 'A' && spec->letter <= 'Z';
    spec->letter |= 32;
    return true;
}

static void put_padded(const struct spec *spec, const char *text, size_t size, struct mr_bytes *out)
{
    int64_t gap = spec->width;
    for (size_t i = 0; i < size; i++) /* in units of UTF-16 */
        gap -= (((unsigned char)text[i] & 0xC0) != 0x80) + ((unsigned char)text[i] >= 0xF0);
    for (int64_t i = 0; i < gap && !spec->left; i++)
        mr_bytes_char(out, ' ');
    for (size_t i = 0; i < size; i++)
        mr_bytes_char(out, spec->upper && text[i] >= 'a' && text[i] <= 'z' ? (char)(text[i] - 32)
                                                                           : text[i]);
    for (int64_t i = 0; i < gap && spec->left; i++)
        mr_bytes_char(out, ' ');
}

/* Digits with sign, grouping of what stands in front of the point, zeros up to the width. */
static void put_signed(const struct spec *spec, bool negative, const char *text, int size,
                       struct mr_bytes *out)
{
    char made[1500];
    int whole = 0, n = 0;
    const char *sign = negative      ? (spec->paren ? "(" : "-")
                       : spec->plus  ? "+"
                       : spec->blank ? " "
                                     : "";
    while (whole < size && text[whole] >= '0' && text[whole] <= '9')
        whole++;
    int commas = spec->group ? (whole - 1) / 3 : 0;
    int zeros =
        spec->zero ? spec->width - size - commas - (*sign != 0) - (negative && spec->paren) : 0;
    zeros = zeros > 500 ? 500 : zeros;
    if (*sign)
        made[n++] = *sign;
    for (int i = 0; i < zeros; i++)
        made[n++] = '0';
    for (int i = 0; i < size && n < 1480; i++) {
        made[n++] = text[i];
        if (spec->group && i < whole - 1 && (whole - 1 - i) % 3 == 0)
            made[n++] = ',';
    }
    if (negative && spec->paren)
        made[n++] = ')';
    put_padded(spec, made, (size_t)n, out);
}

static int fixed_text(const struct digits *digits, int places, char *out)
{
    int n = 0;
    if (digits->point <= 0 || digits->count == 0)
        out[n++] = '0';
    for (int i = 0; i < digits->point && digits->count; i++)
        out[n++] = i < digits->count ? digits->d[i] : '0';
    if (places > 0)
        out[n++] = '.';
    for (int i = 0; i < places; i++) {
        int at = digits->point + i;
        out[n++] = at >= 0 && at < digits->count ? digits->d[at] : '0';
    }
    return n;
}

static int exponent_text(const struct digits *digits, int places, char *out)
{
    int n = 0, exponent = digits->count ? digits->point - 1 : 0;
    out[n++] = digits->count ? digits->d[0] : '0';
    if (places > 0)
        out[n++] = '.';
    for (int i = 1; i <= places; i++)
        out[n++] = i < digits->count ? digits->d[i] : '0';
    return n + sprintf(out + n, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
}

static void put_double(const struct spec *spec, double value, struct mr_bytes *out)
{
    char text[1400];
    struct digits digits;
    struct spec plain = *spec;
    int places = spec->precision < 0 ? 6 : spec->precision, size;
    places = places > 900 ? 900 : places;
    bool negative = signbit(value) && !isnan(value);
    if (!isfinite(value)) {
        plain.zero = plain.group = false;
        if (isnan(value))
            plain.plus = plain.blank = false;
        put_signed(&plain, negative, isnan(value) ? "NaN" : "Infinity", isnan(value) ? 3 : 8, out);
        return;
    }
    digits_of(value, &digits);
    char letter = spec->letter;
    if (letter == 'g') {
        places = places == 0 ? 1 : places;
        struct digits rounded = digits;
        round_digits(&rounded, places);
        bool small = value == 0 || (rounded.point > -4 && rounded.point <= places);
        letter = small ? 'f' : 'e';
        places = small ? places - (value == 0 ? 1 : rounded.point) : places - 1;
    }
    if (letter == 'f') {
        round_digits(&digits, digits.point + places);
        size = fixed_text(&digits, places, text);
    } else {
        round_digits(&digits, places + 1);
        size = exponent_text(&digits, places, text);
    }
    put_signed(spec, negative, text, size, out);
}

static void put_integer(const struct spec *spec, const struct mr_type *type, int64_t value,
                        struct mr_bytes *out)
{
    char text[32];
    uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value, bits = (uint64_t)value;
    int width = mr_layout_width(mr_type_layout(type));
    if (width < 8)
        bits &= (UINT64_C(1) << 8 * width) - 1;
    if (spec->letter == 'd') {
        put_signed(spec, value < 0, text,
                   snprintf(text, sizeof(text), "%llu", (unsigned long long)magnitude), out);
        return;
    }
    int size = spec->letter == 'x' ? snprintf(text, sizeof(text), "%s%llx",
                                              spec->alternate ? "0x" : "", (unsigned long long)bits)
                                   : snprintf(text, sizeof(text), "%s%llo",
                                              spec->alternate ? "0" : "", (unsigned long long)bits);
    struct spec plain = *spec;
    plain.group = false;
    put_signed(&plain, false, text, size, out);
}

/* The text of %s: dates and timestamps are their internal numbers to Spark. */
static void put_text(struct mr_call *call, const struct spec *spec, const struct mr_column *column,
                     int64_t row, struct mr_bytes *out)
{
    struct mr_bytes text;
    mr_bytes_init(&text, INT32_MAX);
    struct mr_value value;
    mr_column_get(column, row, &value);
    if (value.is_null)
        mr_bytes_text(&text, "null");
    else if (column->type->id == MR_TYPE_DATE || column->type->id == MR_TYPE_TIMESTAMP ||
             column->type->id == MR_TYPE_TIMESTAMP_NTZ)
        mr_bytes_printf(&text, "%lld", (long long)value.u.i64);
    else if (column->type->id == MR_TYPE_DECIMAL)
        mr_json_put_decimal(value.u.i128, column->type->scale, &text);
    else
        mr_text_of(call->session, column, row, &text);
    size_t size = text.size;
    if (spec->precision >= 0 &&
        mr_utf8_length(text.data ? text.data : "", size) > spec->precision) {
        size = 0;
        for (int i = 0; i < spec->precision; i++) {
            uint32_t point;
            int width = mr_utf8_decode(text.data + size, text.size - size, &point);
            size += (size_t)(width > 0 ? width : 1);
        }
    }
    put_padded(spec, text.data ? text.data : "", size, out);
    if (out->status == MR_OK)
        out->status = text.status;
    mr_bytes_reset(&text);
}

static enum mr_status put_argument(struct mr_call *call, const struct spec *spec, int64_t row,
                                   int number, struct mr_bytes *out)
{
    if (number < 1 || number >= call->nargs)
        return mr_call_fail(call, "the format has no value for %%%c", spec->letter);
    const struct mr_column *column = call->args[number];
    struct mr_arg arg = mr_arg_of(call, number);
    bool null = mr_column_is_null(column, row);
    bool integer = mr_type_is_integer(column->type);
    bool is_float = column->type->id == MR_TYPE_FLOAT32 || column->type->id == MR_TYPE_FLOAT64;
    char letter = spec->letter, point[4];
    if (letter == 'b') {
        bool value = !null && (column->type->id != MR_TYPE_BOOL || MR_ARG(arg, uint8_t, row));
        put_padded(spec, value ? "true" : "false", value ? 4 : 5, out);
    } else if (letter == 's' || (null && strchr("dxofegc", letter))) {
        put_text(call, spec, column, row, out);
    } else if (strchr("dxo", letter) && integer) {
        put_integer(spec, column->type, mr_arg_int(&arg, row), out);
    } else if (strchr("feg", letter) && is_float) {
        put_double(spec, mr_arg_double(&arg, row), out);
    } else if (letter == 'c' && integer) {
        put_padded(spec, point, (size_t)mr_utf8_encode((uint32_t)mr_arg_int(&arg, row), point),
                   out);
    } else {
        char type[64];
        return mr_call_fail(call, "%%%c does not take %s", letter,
                            mr_type_text(column->type, type, sizeof(type)));
    }
    return MR_OK;
}

static enum mr_status format_row(struct mr_call *call, int64_t row, struct mr_slice format,
                                 struct mr_bytes *out)
{
    const char *at = format.data, *end = format.data + format.size;
    int next = 1, last = 0;
    while (at < end) {
        struct spec spec;
        if (*at != '%') {
            mr_bytes_char(out, *at++);
            continue;
        }
        at++;
        if (!parse_spec(&at, end, &spec) || !strchr("bscdxofegn%", spec.letter) ||
            (spec.upper && strchr("dofn", spec.letter)))
            return mr_call_fail(call, "'%.*s' is no format",
                                (int)(format.size > 80 ? 80 : format.size), format.data);
        if (spec.letter == 'n' || spec.letter == ('%' | 32)) {
            put_padded(&spec, spec.letter == 'n' ? "\n" : "%", 1, out);
            continue;
        }
        last = spec.arg > 0 ? spec.arg : spec.arg < 0 ? last : next++;
        MR_TRY(put_argument(call, &spec, row, last, out));
    }
    return mr_bytes_status(out, call->err);
}

static enum mr_status bind_format(struct mr_binding *binding)
{
    binding->nullable = binding->args[0]->nullable;
    binding->nullable_decided = true;
    return MR_OK;
}

static enum mr_status kernel_format(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg format = mr_arg_of(call, 0);
    struct mr_bytes text;
    mr_bytes_init(&text, INT32_MAX);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        if (mr_arg_is_null(&format, row)) {
            mr_result_null(&result, row);
            continue;
        }
        mr_bytes_clear(&text);
        result.status = format_row(call, row, mr_arg_text(&format, row), &text);
        mr_result_text(&result, row, text.data ? text.data : "", text.size);
    }
    mr_bytes_reset(&text);
    return mr_result_finish(&result, out);
}

/* What of a DecimalFormat's pattern we read: # , 0 . and what is around them. */
struct number_format {
    struct mr_slice prefix, suffix;
    int group; /* digits of a group, 0: none */
    int least_whole;
    int least_places;
    int most_places;
};

static bool parse_number_format(struct mr_slice text, struct number_format *out)
{
    size_t at = 0, comma = 0;
    bool group = false;
    *out = (struct number_format){0};
    while (at < text.size && !strchr("#0,.", text.data[at]))
        at++;
    out->prefix = (struct mr_slice){text.data, at};
    for (; at < text.size && text.data[at] && strchr("#0,", text.data[at]); at++) {
        if (text.data[at] == ',') {
            group = true;
            comma = at;
        }
        out->least_whole += text.data[at] == '0';
        if (text.data[at] == '#' && out->least_whole > 0)
            return false;
    }
    out->group = group ? (int)(at - comma - 1) : 0;
    if (at < text.size && text.data[at] == '.') {
        for (at++; at < text.size && (text.data[at] == '0' || text.data[at] == '#'); at++) {
            if (text.data[at] == '0' && out->most_places > out->least_places)
                return false;
            out->most_places++;
            out->least_places += text.data[at] == '0';
        }
    }
    /* '#.##' without any 0 stands for '0.##' (DecimalFormat.applyPattern) */
    if (out->least_whole == 0 && out->most_places > 0 && out->least_places == 0 && at > 0)
        out->least_whole = 1;
    out->suffix = (struct mr_slice){text.data + at, text.size - at};
    return !(group && out->group == 0);
}

/* Writes digits (whole part, and `places` digits behind the point) as the format says. */
static void put_number(const struct number_format *format, bool negative, struct mr_slice digits,
                       int places, struct mr_bytes *out)
{
    int whole = (int)digits.size - places, lead = 0;
    while (lead < whole && digits.data[lead] == '0')
        lead++;
    while (places > format->least_places && digits.data[whole + places - 1] == '0')
        places--;
    int shown = whole - lead > format->least_whole ? whole - lead : format->least_whole;
    if (shown == 0 && places == 0)
        shown = 1;
    mr_bytes_text(out, negative ? "-" : "");
    mr_bytes_append(out, format->prefix.data, format->prefix.size);
    for (int i = shown; i > 0; i--) {
        mr_bytes_char(out, i <= whole ? digits.data[whole - i] : '0');
        if (format->group && i > 1 && (i - 1) % format->group == 0)
            mr_bytes_char(out, ',');
    }
    if (places > 0)
        mr_bytes_char(out, '.');
    mr_bytes_append(out, digits.data + whole, (size_t)places);
    mr_bytes_append(out, format->suffix.data, format->suffix.size);
}

/* Half to even at `places`; the text has at least places + 1 digits. */
static int decimal_digits(mr_int128 value, int scale, int places, char *out)
{
    mr_uint128 rest = value < 0 ? -(mr_uint128)value : (mr_uint128)value;
    if (scale > places) {
        mr_uint128 unit = (mr_uint128)mr_decimal_pow10(scale - places), half = unit / 2;
        mr_uint128 part = rest % unit;
        rest /= unit;
        rest += part > half || (part == half && (rest & 1));
        scale = places;
    }
    char text[MR_DECIMAL_TEXT_MAX];
    int size = mr_decimal_format((mr_int128)rest, 0, text), n = 0;
    for (int i = size; i < scale + 1; i++)
        out[n++] = '0';
    memcpy(out + n, text, (size_t)size);
    n += size;
    for (int i = scale; i < places; i++)
        out[n++] = '0';
    return n;
}

#define MOST_PLACES 400

/* The shortest digits, rounded; where they end in the 5 that decides, the exact value does. */
static int double_digits(double value, int places, char *out)
{
    struct digits digits;
    digits_of(value, &digits);
    int keep = digits.point + places, size;
    bool tie = keep >= 0 && keep == digits.count - 1 && digits.d[keep] == '5';
    if (tie) {
        size = snprintf(out, MOST_PLACES + 400, "%.*f", places, fabs(value));
    } else {
        round_digits(&digits, keep);
        size = fixed_text(&digits, places, out);
    }
    char *point = memchr(out, '.', (size_t)size);
    if (point != NULL)
        memmove(point, point + 1, (size_t)(out + size-- - point - 1));
    return size;
}

static void format_one(const struct mr_arg *arg, int64_t row, const struct number_format *format,
                       struct mr_bytes *out)
{
    char text[MOST_PLACES + 400];
    int size;
    bool negative;
    if (arg->type->id == MR_TYPE_FLOAT32 || arg->type->id == MR_TYPE_FLOAT64) {
        double value = mr_arg_double(arg, row);
        negative = signbit(value) && !isnan(value);
        if (!isfinite(value)) {
            mr_bytes_text(out, isnan(value) ? "NaN" : negative ? "-∞" : "∞");
            return;
        }
        size = double_digits(value, format->most_places, text);
    } else {
        bool decimal = arg->type->id == MR_TYPE_DECIMAL;
        mr_int128 value = decimal ? mr_arg_decimal(arg, row) : mr_arg_int(arg, row);
        negative = value < 0;
        size = decimal_digits(value, decimal ? arg->type->scale : 0, format->most_places, text);
    }
    put_number(format, negative, (struct mr_slice){text, (size_t)size}, format->most_places, out);
}

static enum mr_status bind_number(struct mr_binding *binding)
{
    if (mr_type_is_string(binding->args[1]->type))
        return MR_OK;
    binding->nullable = true;
    return mr_bind_cast(binding, 1, mr_type_of(MR_TYPE_INT32));
}

static enum mr_status kernel_number(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), how = mr_arg_of(call, 1);
    bool pattern = mr_type_is_string(how.type);
    struct mr_bytes text;
    mr_bytes_init(&text, INT32_MAX);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct number_format format = {.group = 3, .least_whole = 1};
        if (result.status != MR_OK)
            break;
        if (!pattern) {
            format.least_places = format.most_places = MR_ARG(how, int32_t, row);
            if (format.most_places < 0) {
                mr_result_null(&result, row);
                continue;
            }
        } else if (mr_arg_text(&how, row).size == 0) {
            format.most_places = 0;
        } else if (!parse_number_format(mr_arg_text(&how, row), &format)) {
            result.status = mr_call_fail(call, "the pattern of a number has # , 0 and a point");
            break;
        }
        if (format.most_places > MOST_PLACES)
            result.status = mr_call_fail(call, "more than %d digits behind the point", MOST_PLACES);
        if (result.status != MR_OK)
            break;
        mr_bytes_clear(&text);
        format_one(&x, row, &format, &text);
        result.status = mr_bytes_status(&text, call->err);
        mr_result_text(&result, row, text.data ? text.data : "", text.size);
    }
    mr_bytes_reset(&text);
    return mr_result_finish(&result, out);
}

#define TEXT(names_, args_, flags_, kernel_, bind_, signature_, doc_)                              \
    {                                                                                              \
        .names = names_, .args = args_, .result = "s", .flags = flags_, .kernel = kernel_,         \
        .bind = bind_, .signature = signature_, .family = "text", .doc = doc_                      \
    }

static const struct mr_function functions[] = {
    TEXT("format_string printf", "sa*", MR_FN_NULLS, kernel_format, bind_format,
         "format_string(format, value, ...)",
         "The values in the places of %s, %d, %x, %f, %e, %b, %c ... with Java's flags, widths and "
         "precisions."),
    TEXT("format_number", "na", 0, kernel_number, bind_number, "format_number(number, places)",
         "With commas between thousands and so many digits behind the point, half to even; or by a "
         "pattern such as '#,##0.00'."),
};

const struct mr_function_family mr_functions_format = {functions,
                                                       sizeof(functions) / sizeof(functions[0])};

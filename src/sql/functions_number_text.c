/*
 * functions_number_text.c - to_number and to_char: numbers by formats such as '$99,999.99S'.
 *
 * A format is read once, at bind: [PR's <] [S | MI] [$] digits and commas [. digits] [S | MI | PR]. 9 and 0 stand for digits; a
 * text may have fewer of them, in a number that is written 9 gives a blank where 0 gives a zero.
 */
#include "base/text.h"
#include "sql/function.h"

#include <stdio.h>

#define MOST_DIGITS 38

enum sign { SIGN_NONE, SIGN_S, SIGN_MI, SIGN_PR };

struct format {
    char whole[2 * MOST_DIGITS + 2]; /* 9, 0 and commas */
    int whole_size;
    int digits; /* in front of the point */
    int places; /* behind it */
    bool point;
    bool dollar;
    enum sign sign;
    bool sign_first;
};

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

static bool take_sign(struct mr_slice text, size_t *at, struct format *format, bool first)
{
    size_t left = text.size - *at;
    if (left >= 1 && upper(text.data[*at]) == 'S') {
        format->sign = SIGN_S;
        *at += 1;
    } else if (left >= 2 && upper(text.data[*at]) == 'M' && upper(text.data[*at + 1]) == 'I') {
        format->sign = SIGN_MI;
        *at += 2;
    } else if (left >= 2 && !first && upper(text.data[*at]) == 'P' &&
               upper(text.data[*at + 1]) == 'R') {
        format->sign = SIGN_PR;
        *at += 2;
    } else {
        return false;
    }
    format->sign_first = first;
    return true;
}

static bool parse_format(struct mr_slice text, struct format *out)
{
    size_t at = 0;
    *out = (struct format){0};
    bool first = take_sign(text, &at, out, true);
    if (at < text.size && text.data[at] == '$') {
        out->dollar = true;
        at++;
        first |= !first && take_sign(text, &at, out, true);
    }
    for (; at < text.size; at++) {
        char c = upper(text.data[at]);
        c = c == 'G' ? ',' : c;
        if ((c != '9' && c != '0' && c != ',') || out->whole_size > 2 * MOST_DIGITS)
            break;
        out->whole[out->whole_size++] = c;
        out->digits += c != ',';
    }
    if (at < text.size && (text.data[at] == '.' || upper(text.data[at]) == 'D')) {
        out->point = true;
        for (at++; at < text.size && (text.data[at] == '9' || text.data[at] == '0'); at++)
            out->places++;
    }
    if (!first)
        take_sign(text, &at, out, false);
    int total = out->digits + out->places;
    return at == text.size && total > 0 && total <= MOST_DIGITS;
}

static enum mr_status bind_format(struct mr_binding *binding)
{
    struct mr_value text;
    struct format *format = mr_arena_calloc(binding->arena, 1, sizeof(*format));
    if (format == NULL)
        return mr_error_nomem(binding->err);
    if (!mr_bind_constant(binding, 1, &text))
        return mr_bind_fail(binding, 1, "the format is a constant");
    if (text.is_null)
        return mr_bind_null(binding, mr_type_decimal(binding->arena, 10, 0), &binding->replacement);
    if (!parse_format(text.u.bytes, format))
        return mr_bind_fail(binding, 1, "'%.*s' is no format of numbers",
                            (int)(text.u.bytes.size > 60 ? 60 : text.u.bytes.size),
                            text.u.bytes.data);
    binding->data = format;
    return MR_OK;
}

static enum mr_status bind_to_number(struct mr_binding *binding)
{
    MR_TRY(bind_format(binding));
    if (binding->replacement != NULL)
        return MR_OK;
    const struct format *format = binding->data;
    binding->type =
        mr_type_decimal(binding->arena, format->digits + format->places, format->places);
    return MR_OK;
}

/* A text being read. */
struct input {
    const char *at;
    const char *end;
};

static bool accept(struct input *input, char c)
{
    if (input->at == input->end || *input->at != c)
        return false;
    input->at++;
    return true;
}

static void accept_sign(struct input *input, const struct format *format, bool *negative)
{
    if (accept(input, '-'))
        *negative = true;
    else if (format->sign == SIGN_S)
        accept(input, '+');
}

/* Digits and commas as the format groups them: counted from the right, the first group may be shorter. */
static bool accept_whole(struct input *input, const struct format *format, mr_int128 *value)
{
    const char *from = input->at;
    int digits = 0;
    while (input->at < input->end &&
           ((*input->at >= '0' && *input->at <= '9') || *input->at == ',')) {
        if (*input->at != ',')
            digits++;
        if (digits > format->digits)
            return false;
        input->at++;
    }
    int size = (int)(input->at - from);
    if (size > format->whole_size || (size > 0 && *from == ','))
        return false;
    for (int i = 1; i <= size; i++) {
        bool comma = input->at[-i] == ',';
        if (comma != (format->whole[format->whole_size - i] == ','))
            return false;
    }
    for (int i = 0; i < size; i++) {
        if (from[i] != ',')
            *value = *value * 10 + (from[i] - '0');
    }
    return true;
}

static bool read_number(struct mr_slice text, const struct format *format, mr_int128 *out)
{
    struct input input = {text.data, text.data + text.size};
    mr_int128 value = 0;
    bool negative = false, bracket = false;
    int places = 0;
    while (input.at < input.end && *input.at == ' ')
        input.at++;
    while (input.at < input.end && input.end[-1] == ' ')
        input.end--;
    if (format->sign == SIGN_PR)
        negative = bracket = accept(&input, '<');
    if (format->sign != SIGN_NONE && format->sign_first)
        accept_sign(&input, format, &negative);
    if (format->dollar && !accept(&input, '$'))
        return false;
    const char *from = input.at;
    if (!accept_whole(&input, format, &value))
        return false;
    bool any = input.at > from;
    if (format->point && accept(&input, '.')) {
        while (input.at < input.end && *input.at >= '0' && *input.at <= '9') {
            if (places++ == format->places)
                return false;
            value = value * 10 + (*input.at++ - '0');
        }
    }
    if (format->sign != SIGN_NONE && format->sign != SIGN_PR && !format->sign_first)
        accept_sign(&input, format, &negative);
    if (bracket && !accept(&input, '>'))
        return false;
    value *= mr_decimal_pow10(format->places - places);
    *out = negative ? -value : value;
    return (any || places > 0) && input.at == input.end;
}

static enum mr_status kernel_to_number(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&x, row);
        mr_int128 value;
        if (read_number(text, call->data, &value)) {
            mr_result_decimal(&result, row, value);
            continue;
        }
        /* whatever the ANSI mode, as in Spark */
        if (call->failure == MR_FAIL_NULL)
            mr_result_null(&result, row);
        else if (result.status == MR_OK)
            result.status = mr_call_fail(call, "a text that does not match the format");
    }
    return mr_result_finish(&result, out);
}

/* A number that the format has no room for. */
static void put_hashes(const struct format *format, struct mr_bytes *out)
{
    for (int i = 0; i < format->whole_size; i++)
        mr_bytes_char(out, format->whole[i] == ',' ? ',' : '#');
    if (format->point)
        mr_bytes_char(out, '.');
    for (int i = 0; i < format->places; i++)
        mr_bytes_char(out, '#');
}

static void put_signed(const struct format *format, bool negative, struct mr_bytes *out)
{
    if (format->sign == SIGN_S)
        mr_bytes_char(out, negative ? '-' : '+');
    else if (format->sign == SIGN_MI)
        mr_bytes_char(out, negative ? '-' : ' ');
}

/* digits: those in front of the point, without leading zeros. */
static void put_whole(const struct format *format, const char *digits, int count, bool negative,
                      struct mr_bytes *out)
{
    char made[2 * MOST_DIGITS + 2];
    int n = 0, place = 0, blanks = 0;
    bool begun = false;
    for (int i = 0; i < format->whole_size; i++) {
        char c = format->whole[i];
        if (c == ',') {
            made[n++] = begun ? ',' : ' ';
            continue;
        }
        int from = place++ - (format->digits - count);
        begun |= from >= 0 || c == '0';
        made[n++] = from >= 0 ? digits[from] : begun ? '0' : ' ';
    }
    if (format->point && n > 0 && made[n - 1] == ' ')
        made[n - 1] = '0';
    while (blanks < n && made[blanks] == ' ')
        blanks++;
    mr_bytes_append(out, made, (size_t)blanks);
    if (format->sign_first)
        put_signed(format, negative, out);
    if (format->sign == SIGN_PR && negative)
        mr_bytes_char(out, '<');
    if (format->dollar)
        mr_bytes_char(out, '$');
    mr_bytes_append(out, made + blanks, (size_t)(n - blanks));
}

static void write_number(const struct format *format, mr_int128 value, int scale,
                         struct mr_bytes *out)
{
    char text[MR_DECIMAL_TEXT_MAX], digits[2 * MOST_DIGITS + 8];
    bool negative = value < 0;
    int size = mr_decimal_format(negative ? -value : value, scale, text), whole = 0, places = 0;
    bool point = false;
    for (int i = 0; i < size; i++) {
        if (text[i] == '.')
            point = true;
        else if (!point && !(whole == 0 && text[i] == '0'))
            digits[whole++] = text[i];
        else if (point)
            digits[whole + places++] = text[i];
    }
    while (places > 0 && digits[whole + places - 1] == '0')
        places--;
    if (whole > format->digits || places > format->places) {
        put_hashes(format, out);
        return;
    }
    put_whole(format, digits, whole, negative, out);
    if (format->point && format->places > 0)
        mr_bytes_char(out, '.');
    for (int i = 0; i < format->places; i++)
        mr_bytes_char(out, i < places ? digits[whole + i] : '0');
    if (format->sign == SIGN_PR)
        mr_bytes_text(out, negative ? ">" : "  ");
    else if (!format->sign_first)
        put_signed(format, negative, out);
}

static enum mr_status bind_to_char(struct mr_binding *binding)
{
    const struct mr_type *type = binding->args[0]->type;
    char text[96];
    if (mr_type_is_integer(type))
        MR_TRY(mr_bind_cast(binding, 0, mr_type_decimal(binding->arena, 20, 0)));
    else if (type->id == MR_TYPE_FLOAT64 || mr_type_is_string(type))
        MR_TRY(mr_bind_cast(binding, 0, mr_type_decimal(binding->arena, 30, 15)));
    else if (type->id == MR_TYPE_FLOAT32)
        MR_TRY(mr_bind_cast(binding, 0, mr_type_decimal(binding->arena, 14, 7)));
    else if (type->id != MR_TYPE_DECIMAL && type->id != MR_TYPE_NULL)
        return mr_bind_fail(binding, 0, "%s is no number", mr_type_text(type, text, sizeof(text)));
    MR_TRY(bind_format(binding));
    if (binding->replacement != NULL || type->id == MR_TYPE_NULL)
        return mr_bind_null(binding, binding->type, &binding->replacement);
    return MR_OK;
}

static enum mr_status kernel_to_char(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    struct mr_bytes text;
    mr_bytes_init(&text, INT32_MAX);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        mr_bytes_clear(&text);
        write_number(call->data, mr_arg_decimal(&x, row), x.type->scale, &text);
        result.status = mr_bytes_status(&text, call->err);
        mr_result_text(&result, row, text.data ? text.data : "", text.size);
    }
    mr_bytes_reset(&text);
    return mr_result_finish(&result, out);
}

#define TEXT(names_, args_, result_, flags_, kernel_, bind_, signature_, doc_)                     \
    {                                                                                              \
        .names = names_, .args = args_, .result = result_, .flags = flags_, .kernel = kernel_,     \
        .bind = bind_, .signature = signature_, .family = "conversion", .doc = doc_                \
    }

static const struct mr_function functions[] = {
    TEXT(
        "to_number", "ss", "!", 0, kernel_to_number, bind_to_number, "to_number(text, format)",
        "The number that a text shows by a format of 9 or 0 (digits), . or D, comma or G, $, and S "
        "or MI (a sign) or PR (<> for negative numbers)."),
    TEXT("try_to_number", "ss", "!", MR_FN_TRY, kernel_to_number, bind_to_number,
         "try_to_number(text, format)", "The same, NULL where the text does not match."),
    TEXT("to_char to_varchar", "as", "s", MR_FN_TOTAL, kernel_to_char, bind_to_char,
         "to_char(number, format)",
         "The number by the same formats; # in place of digits where it does not fit."),
};

const struct mr_function_family mr_functions_number_text = {functions, sizeof(functions) /
                                                                           sizeof(functions[0])};

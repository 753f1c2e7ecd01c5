/*
 * functions_encode.c - hexadecimal, base64, character sets, number bases, and how near two texts are.
 *
 * The character sets are the six that Java guarantees. Everything here is bytes in, bytes out, one pass; tables of a second
 * pass (iconv) are refused because their names and failures differ between systems.
 */
#include "base/text.h"
#include "enc/value_text.h"
#include "sql/function.h"

#include <stdlib.h>

static const char digits36[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* `value` in base 2..36, most significant first; returns the start within `out`. */
static char *number_text(uint64_t value, unsigned base, char out[72], size_t *size)
{
    char *at = out + 72;
    do {
        *--at = digits36[value % base];
        value /= base;
    } while (value);
    *size = (size_t)(out + 72 - at);
    return at;
}

static enum mr_status numbers_in(struct mr_call *call, unsigned base, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        char text[72];
        size_t size;
        char *start = number_text((uint64_t)MR_ARG(x, int64_t, row), base, text, &size);
        mr_result_text(&result, row, start, size);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_hex_number(struct mr_call *call, struct mr_column **out)
{
    return numbers_in(call, 16, out);
}

static enum mr_status kernel_bin(struct mr_call *call, struct mr_column **out)
{
    return numbers_in(call, 2, out);
}

static enum mr_status kernel_hex_bytes(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice bytes = mr_arg_text(&x, row);
        char *to = mr_result_reserve(&result, bytes.size * 2);
        for (size_t i = 0; to && i < bytes.size; i++) {
            to[2 * i] = digits36[(unsigned char)bytes.data[i] >> 4];
            to[2 * i + 1] = digits36[bytes.data[i] & 15];
        }
        mr_result_commit(&result, row, bytes.size * 2);
    }
    return mr_result_finish(&result, out);
}

/* 0..35, or -1. */
static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'z' ? c - 'a' + 10 : -1;
}

/* An odd number of digits has a zero in front; what is no hexadecimal text is NULL. */
static enum mr_status kernel_unhex(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&x, row);
        size_t size = (text.size + 1) / 2, odd = text.size % 2;
        unsigned char *to = (unsigned char *)mr_result_reserve(&result, size);
        bool good = true;
        if (to && size)
            memset(to, 0, size);
        for (size_t i = 0; to && i < text.size && good; i++) {
            int digit = digit_of(text.data[i]);
            good = digit >= 0 && digit < 16;
            to[(i + odd) / 2] = (unsigned char)(to[(i + odd) / 2] << 4 | (digit & 15));
        }
        if (good)
            mr_result_commit(&result, row, size);
        else
            mr_result_null(&result, row);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_base64(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    struct mr_bytes built;
    mr_bytes_init(&built, INT32_MAX);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice bytes = mr_arg_text(&x, row);
        mr_bytes_clear(&built);
        mr_base64_append(&built, bytes.data, bytes.size);
        if (result.status == MR_OK)
            result.status = mr_bytes_status(&built, call->err);
        mr_result_text(&result, row, built.data ? built.data : "", built.size);
    }
    mr_bytes_reset(&built);
    return mr_result_finish(&result, out);
}

/* Java's MIME decoder: what is no digit is passed over, padding may be missing. -1: it is not base64. */
static int64_t base64_decode(struct mr_slice text, unsigned char *to)
{
    uint32_t bits = 0;
    int count = 0;
    int64_t size = 0;
    size_t i = 0;
    for (; i < text.size && text.data[i] != '='; i++) {
        int digit = mr_base64_digit(text.data[i]);
        if (digit < 0)
            continue;
        bits = bits << 6 | (uint32_t)digit;
        if (++count % 4 != 1)
            to[size++] = (unsigned char)(bits >> (count % 4 == 2 ? 4 : count % 4 == 3 ? 2 : 0));
    }
    bool padded = i < text.size;
    if (count % 4 == 1 || (padded && count % 4 == 0))
        return -1;
    if (padded && count % 4 == 2 && (++i >= text.size || text.data[i] != '='))
        return -1;
    for (; i < text.size; i++) {
        if (mr_base64_digit(text.data[i]) >= 0)
            return -1;
    }
    return size;
}

/* An error whatever the ANSI mode, as in Spark. */
static enum mr_status kernel_unbase64(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&x, row);
        char *to = mr_result_reserve(&result, text.size);
        int64_t size = to ? base64_decode(text, (unsigned char *)to) : 0;
        if (size < 0 && result.status == MR_OK)
            result.status = mr_call_fail(call, "a text that is no base64");
        mr_result_commit(&result, row, (size_t)size);
    }
    return mr_result_finish(&result, out);
}

enum charset { CHARSET_NONE, UTF_8, US_ASCII, LATIN_1, UTF_16BE, UTF_16LE, UTF_16 };

static enum charset charset_of(struct mr_slice text)
{
    static const char *const names[] = {"",         "UTF-8",    "US-ASCII", "ISO-8859-1",
                                        "UTF-16BE", "UTF-16LE", "UTF-16"};
    char name[16];
    if (text.size >= sizeof(name))
        return CHARSET_NONE;
    memcpy(name, text.data, text.size);
    name[text.size] = '\0';
    for (int i = UTF_8; i <= UTF_16; i++)
        if (mr_text_equal_nocase(name, names[i]))
            return (enum charset)i;
    return CHARSET_NONE;
}

static size_t put_unit(uint32_t unit, enum charset charset, char *to)
{
    bool little = charset == UTF_16LE;
    to[little] = (char)(unit >> 8);
    to[!little] = (char)unit;
    return 2;
}

/* A code point in a character set; '?' where it has none. */
static size_t put_point(uint32_t point, enum charset charset, char *to)
{
    if (charset == UTF_8)
        return (size_t)mr_utf8_encode(point, to);
    if (charset == US_ASCII || charset == LATIN_1) {
        *to = (char)(point < (charset == US_ASCII ? 128U : 256U) ? point : '?');
        return 1;
    }
    if (point < 0x10000)
        return put_unit(point, charset, to);
    put_unit(0xD800 + ((point - 0x10000) >> 10), charset, to);
    put_unit(0xDC00 + ((point - 0x10000) & 0x3FF), charset, to + 2);
    return 4;
}

static enum mr_status unknown_charset(struct mr_call *call)
{
    return mr_call_fail(call, "an unknown charset; there are UTF-8, US-ASCII, ISO-8859-1, UTF-16, "
                              "UTF-16BE and UTF-16LE");
}

static enum mr_status kernel_encode(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), name = mr_arg_of(call, 1);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&x, row);
        enum charset charset = charset_of(mr_arg_text(&name, row));
        if (charset == CHARSET_NONE && result.status == MR_OK)
            result.status = unknown_charset(call);
        char *to = mr_result_reserve(&result, text.size * 2 + 2);
        size_t size = 0;
        if (to && charset == UTF_16 && text.size > 0)
            size = put_unit(0xFEFF, charset, to);
        for (size_t at = 0; to && at < text.size;) {
            uint32_t point = 0;
            int width = mr_utf8_decode(text.data + at, text.size - at, &point);
            if (width <= 0)
                break;
            size += put_point(point, charset, to + size);
            at += (size_t)width;
        }
        mr_result_commit(&result, row, size);
    }
    return mr_result_finish(&result, out);
}

/* The next code point of encoded bytes; U+FFFD where they are none. Returns the bytes taken. */
static size_t take_point(struct mr_slice bytes, enum charset charset, uint32_t *point)
{
    const unsigned char *at = (const unsigned char *)bytes.data;
    *point = 0xFFFD;
    if (charset == UTF_8) {
        int width = mr_utf8_decode(bytes.data, bytes.size, point);
        if (width > 0)
            return (size_t)width;
        *point = 0xFFFD;
        return 1;
    }
    if (charset == LATIN_1 || charset == US_ASCII) {
        if (charset == LATIN_1 || *at < 128)
            *point = *at;
        return 1;
    }
    if (bytes.size < 2)
        return 1;
    bool little = charset == UTF_16LE;
    uint32_t unit = (uint32_t)at[little] << 8 | at[!little];
    if (unit < 0xD800 || unit > 0xDFFF)
        *point = unit;
    if (unit < 0xD800 || unit > 0xDBFF || bytes.size < 4)
        return 2;
    uint32_t low = (uint32_t)at[2 + little] << 8 | at[2 + !little];
    if (low < 0xDC00 || low > 0xDFFF)
        return 2;
    *point = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
    return 4;
}

static enum mr_status kernel_decode(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), name = mr_arg_of(call, 1);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice bytes = mr_arg_text(&x, row);
        enum charset charset = charset_of(mr_arg_text(&name, row));
        if (charset == CHARSET_NONE && result.status == MR_OK)
            result.status = unknown_charset(call);
        char *to = mr_result_reserve(&result, bytes.size * 3);
        size_t size = 0, at = 0;
        if (charset == UTF_16 && bytes.size >= 2) {
            bool little = !memcmp(bytes.data, "\xFF\xFE", 2);
            at = little || !memcmp(bytes.data, "\xFE\xFF", 2) ? 2 : 0;
            charset = little ? UTF_16LE : UTF_16BE;
        }
        while (to && at < bytes.size) {
            uint32_t point;
            at += take_point((struct mr_slice){bytes.data + at, bytes.size - at}, charset, &point);
            size += (size_t)mr_utf8_encode(point, to + size);
        }
        mr_result_commit(&result, row, size);
    }
    return mr_result_finish(&result, out);
}

/* Java's (and Hive's) conv: 64 bits without sign, all ones on overflow; a negative target base prints a sign. */
static bool convert_base(struct mr_slice text, int from, int to, char out[80], size_t *size,
                         bool *over)
{
    size_t at = 0;
    while (text.size > 0 && text.data[text.size - 1] == ' ')
        text.size--;
    while (at < text.size && text.data[at] == ' ')
        at++;
    if (at == text.size || from < 2 || from > 36 || to > 36 || to < -36 || abs(to) < 2)
        return false;
    bool negative = text.data[at] == '-';
    uint64_t value = 0;
    *over = false;
    for (at += negative; at < text.size && !*over; at++) {
        int digit = digit_of(text.data[at]);
        if (digit < 0 || digit >= from)
            break;
        *over = __builtin_mul_overflow(value, (uint64_t)from, &value) ||
                __builtin_add_overflow(value, (uint64_t)digit, &value);
    }
    if (*over)
        value = UINT64_MAX;
    if (negative && to > 0)
        value = (int64_t)value < 0 ? UINT64_MAX : -value;
    if (to < 0 && (int64_t)value < 0) {
        value = -value;
        negative = true;
    }
    char *start = number_text(value, (unsigned)abs(to), out + 8, size);
    if (negative && to < 0) {
        *--start = '-';
        (*size)++;
    }
    memmove(out, start, *size);
    return true;
}

static enum mr_status kernel_conv(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), from = mr_arg_of(call, 1), to = mr_arg_of(call, 2);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        char text[80];
        size_t size;
        bool over = false;
        if (convert_base(mr_arg_text(&x, row), MR_ARG(from, int32_t, row), MR_ARG(to, int32_t, row),
                         text, &size, &over) &&
            !(over && call->failure == MR_FAIL_RAISE))
            mr_result_text(&result, row, text, size);
        else if (over)
            mr_result_fail(&result, row, "conv: the number has more than 64 bits");
        else
            mr_result_null(&result, row);
    }
    return mr_result_finish(&result, out);
}

/* American Soundex; a text that does not begin with an ASCII letter is given back. */
static enum mr_status kernel_soundex(struct mr_call *call, struct mr_column **out)
{
    static const char codes[] = "01230127022455012623010202"; /* 7: h and w, which do not part */
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&x, row);
        char code[4] = "0000";
        if (text.size == 0 || digit_of(text.data[0]) < 10) {
            mr_result_text(&result, row, text.data, text.size);
            continue;
        }
        code[0] = digits36[digit_of(text.data[0])];
        char last = codes[code[0] - 'A'];
        size_t size = 1;
        for (size_t i = 1; i < text.size && size < 4; i++) {
            int letter = (unsigned char)text.data[i] < 128 ? digit_of(text.data[i]) : -1;
            char sound = letter >= 10 ? codes[letter - 10] : '0';
            if (letter < 10)
                last = '0';
            else if (letter - 10 == 'h' - 'a' || letter - 10 == 'w' - 'a')
                continue;
            else if (sound != '0' && sound != last)
                code[size++] = sound;
            last = letter < 10 ? '0' : sound;
        }
        mr_result_text(&result, row, code, 4);
    }
    return mr_result_finish(&result, out);
}

static int64_t decode_points(struct mr_slice text, uint32_t *out)
{
    int64_t count = 0;
    for (size_t at = 0; at < text.size;) {
        int width = mr_utf8_decode(text.data + at, text.size - at, &out[count]);
        if (width <= 0)
            break;
        count++;
        at += (size_t)width;
    }
    return count;
}

/* Insertions, removals and replacements from one text to the other: one row of the usual table. -1: out of memory. */
static int64_t edit_distance(struct mr_slice a, struct mr_slice b)
{
    uint32_t *work = mr_alloc((a.size + 2 * b.size + 1) * sizeof(*work));
    if (!work)
        return -1;
    uint32_t *x = work, *y = work + a.size, *cost = y + b.size;
    int64_t n = decode_points(a, x), m = decode_points(b, y);
    for (int64_t j = 0; j <= m; j++)
        cost[j] = (uint32_t)j;
    for (int64_t i = 0; i < n; i++) {
        uint32_t diagonal = cost[0];
        cost[0] = (uint32_t)i + 1;
        for (int64_t j = 0; j < m; j++) {
            uint32_t best = diagonal + (x[i] != y[j]);
            diagonal = cost[j + 1];
            best = diagonal + 1 < best ? diagonal + 1 : best;
            cost[j + 1] = cost[j] + 1 < best ? cost[j] + 1 : best;
        }
    }
    int64_t distance = cost[m];
    mr_free(work);
    return distance;
}

static enum mr_status kernel_levenshtein(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg a = mr_arg_of(call, 0), b = mr_arg_of(call, 1);
    struct mr_arg most = mr_arg_of(call, call->nargs > 2 ? 2 : 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int64_t distance = edit_distance(mr_arg_text(&a, row), mr_arg_text(&b, row));
        if (distance < 0) {
            result.status = mr_error_nomem(call->err);
            break;
        }
        if (call->nargs > 2 && distance > MR_ARG(most, int32_t, row))
            distance = -1;
        MR_SET(&result, int32_t, row, (int32_t)distance);
    }
    return mr_result_finish(&result, out);
}

/* decode(x, search, result, ..., default): CASE with <=>. */
static enum mr_status bind_decode_case(struct mr_binding *binding)
{
    int pairs = (binding->nargs - 1) / 2, n = 0;
    bool otherwise = binding->nargs % 2 == 0;
    struct mr_node **args =
        mr_arena_calloc(binding->arena, (size_t)binding->nargs + 2, sizeof(*args));
    if (args == NULL)
        return mr_error_nomem(binding->err);
    for (int i = 0; i < pairs; i++) {
        struct mr_node *both[2] = {binding->args[0], binding->args[2 * i + 1]};
        MR_TRY(mr_bind_call(binding, "<=>", 2, both, &args[n++]));
        args[n++] = binding->args[2 * i + 2];
    }
    if (otherwise)
        args[n++] = binding->args[binding->nargs - 1];
    else
        MR_TRY(mr_bind_null(binding, mr_type_of(MR_TYPE_NULL), &args[n++]));
    return mr_bind_case(binding, n, args, &binding->replacement);
}

#define TEXT(names_, args_, result_, flags_, kernel_, signature_, doc_)                            \
    {                                                                                              \
        .names = names_, .args = args_, .result = result_, .flags = flags_, .kernel = kernel_,     \
        .signature = signature_, .family = "text", .doc = doc_                                     \
    }

static const struct mr_function functions[] = {
    TEXT("hex", "l", "s", MR_FN_TOTAL, kernel_hex_number, "hex(value)",
         "An integer, or the bytes of a text or binary, in hexadecimal digits."),
    TEXT("hex", "x", "s", MR_FN_TOTAL, kernel_hex_bytes, NULL, NULL),
    TEXT("unhex", "s", "b", MR_FN_TOTAL | MR_FN_MAY_NULL, kernel_unhex, "unhex(text)",
         "The bytes of hexadecimal digits; NULL where they are none."),
    TEXT("bin", "l", "s", MR_FN_TOTAL, kernel_bin, "bin(number)", "In binary digits."),
    TEXT("conv", "sii", "s", MR_FN_MAY_NULL, kernel_conv, "conv(text, from, to)",
         "A number of one base, 2 to 36, in another; a negative `to` keeps the sign."),
    TEXT("base64", "x!", "s", MR_FN_TOTAL, kernel_base64, "base64(value)", "As base64."),
    TEXT("unbase64", "s", "b", 0, kernel_unbase64, "unbase64(text)", "The bytes of base64."),
    TEXT("encode", "ss", "b", 0, kernel_encode, "encode(text, charset)",
         "The text's bytes in a character set, `?` for what it lacks."),
    TEXT("decode", "bs", "s", 0, kernel_decode, "decode(bytes, charset)",
         "The text of bytes in a character set."),
    {.names = "decode",
     .args = "aaaa*",
     .result = "!",
     .kernel = mr_kernel_replaced,
     .bind = bind_decode_case,
     .signature = "decode(value, search, result[, search, result ...][, otherwise])",
     .family = "conditional",
     .doc = "The result behind the first search that equals the value (NULL equals NULL)."},
    TEXT("levenshtein", "ss?i", "i", MR_FN_TOTAL, kernel_levenshtein,
         "levenshtein(a, b[, threshold])",
         "Characters to insert, remove or replace from one to the other; -1 beyond the threshold."),
    TEXT("soundex", "s!", "s", MR_FN_TOTAL, kernel_soundex, "soundex(text)",
         "Soundex code of a word."),
};

const struct mr_function_family mr_functions_encode = {functions,
                                                       sizeof(functions) / sizeof(functions[0])};

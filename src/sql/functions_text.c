/*
 * functions_text.c - functions of text: length, case, trimming, parts, search, replacement.
 *
 * Positions and lengths count code points, as in Spark; text that is all ASCII, the usual case, is indexed by bytes. Case mapping is
 * Unicode's full mapping without a language (libunistring). Encodings (hex, base64) and distances are in functions_encode.c.
 */
#include "base/text.h"
#include "sql/coerce.h"
#include "sql/function.h"

#include <stdlib.h>
#include <unicase.h>

static bool is_ascii(struct mr_slice text)
{
    unsigned char any = 0;
    for (size_t i = 0; i < text.size; i++)
        any |= (unsigned char)text.data[i];
    return any < 0x80;
}

static int64_t text_length(struct mr_slice text)
{
    return mr_utf8_length(text.data, text.size);
}

/* Byte offset of code point `index` (0 <= index; beyond the end: the size). */
static size_t offset_of(struct mr_slice text, int64_t index, bool ascii)
{
    if (ascii)
        return index < (int64_t)text.size ? (size_t)index : text.size;
    size_t at = 0;
    while (index > 0 && at < text.size) {
        at++;
        while (at < text.size && ((unsigned char)text.data[at] & 0xC0) == 0x80)
            at++;
        index--;
    }
    return at;
}

/* Code points [start, end); start may be negative, which counts as rows before the text. */
static struct mr_slice code_points(struct mr_slice text, int64_t start, int64_t end)
{
    bool ascii = is_ascii(text);
    if (end <= start || end <= 0)
        return (struct mr_slice){text.data, 0};
    size_t from = offset_of(text, start > 0 ? start : 0, ascii);
    size_t to = offset_of(text, end, ascii);
    return (struct mr_slice){text.data + from, to - from};
}

/* SQL's substring: position from 1, negative from the end, 0 as 1. */
static struct mr_slice sql_substring(struct mr_slice text, int64_t position, int64_t length)
{
    int64_t start = position > 0 ? position - 1 : position < 0 ? text_length(text) + position : 0;
    return code_points(text, start, length > INT32_MAX ? INT64_MAX / 2 : start + length);
}

/* The same of bytes. */
static struct mr_slice byte_substring(struct mr_slice bytes, int64_t position, int64_t length)
{
    int64_t size = (int64_t)bytes.size;
    int64_t start = position > 0 ? position - 1 : position < 0 ? size + position : 0;
    int64_t end = length > size ? size : start + length;
    start = start < 0 ? 0 : start;
    end = end > size ? size : end;
    if (end <= start)
        return (struct mr_slice){bytes.data, 0};
    return (struct mr_slice){bytes.data + start, (size_t)(end - start)};
}

/* Byte offset of the first `needle` at or behind `from`, or -1. */
static int64_t find_text(struct mr_slice text, struct mr_slice needle, size_t from)
{
    if (needle.size == 0)
        return from <= text.size ? (int64_t)from : -1;
    if (from > text.size || needle.size > text.size - from)
        return -1;
    const char *at = memmem(text.data + from, text.size - from, needle.data, needle.size);
    return at ? at - text.data : -1;
}

static enum mr_status kernel_length(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    bool binary = x.type->id == MR_TYPE_BINARY;
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&x, row);
        MR_SET(&result, int32_t, row, (int32_t)(binary ? (int64_t)text.size : text_length(text)));
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_octet_length(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    MR_SET(&result, int32_t, row, (int32_t)mr_arg_text(&x, row).size);
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_bit_length(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    MR_SET(&result, int32_t, row, (int32_t)mr_arg_text(&x, row).size * 8);
    return mr_result_finish(&result, out);
}

/* One text to the other case. The ASCII form writes in place of the result. */
static void change_case(struct mr_result *result, int64_t row, struct mr_slice text, bool upper)
{
    if (is_ascii(text)) {
        char *to = mr_result_reserve(result, text.size);
        for (size_t i = 0; to && i < text.size; i++) {
            char c = text.data[i];
            if (upper)
                to[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
            else
                to[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
        }
        mr_result_commit(result, row, text.size);
        return;
    }
    size_t size = 0;
    const uint8_t *from = (const uint8_t *)text.data;
    uint8_t *changed = upper ? u8_toupper(from, text.size, NULL, NULL, NULL, &size)
                             : u8_tolower(from, text.size, NULL, NULL, NULL, &size);
    if (changed)
        mr_result_text(result, row, (const char *)changed, size);
    else
        result->status = mr_error_nomem(result->call->err);
    free(changed);
}

static enum mr_status kernel_case(struct mr_call *call, bool upper, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    change_case(&result, row, mr_arg_text(&x, row), upper);
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_lower(struct mr_call *call, struct mr_column **out)
{
    return kernel_case(call, false, out);
}

static enum mr_status kernel_upper(struct mr_call *call, struct mr_column **out)
{
    return kernel_case(call, true, out);
}

/* Lower case, then the first letter of each word (words end at a blank) in title case. */
static enum mr_status kernel_initcap(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&x, row);
        size_t size = 0;
        if (is_ascii(text)) {
            char *plain = mr_result_reserve(&result, text.size);
            for (size_t i = 0; plain && i < text.size; i++) {
                char c = text.data[i];
                bool begins = i == 0 || text.data[i - 1] == ' ';
                char letter = (char)(c | 32);
                bool is_letter = letter >= 'a' && letter <= 'z';
                plain[i] = !is_letter ? c : begins ? (char)(letter - 32) : letter;
            }
            mr_result_commit(&result, row, text.size);
            continue;
        }
        uint8_t *low = u8_tolower((const uint8_t *)text.data, text.size, NULL, NULL, NULL, &size);
        char *to = low ? mr_result_reserve(&result, size * 4) : NULL;
        size_t written = 0;
        bool first = true;
        for (size_t at = 0; to && at < size;) {
            uint32_t point = 0;
            int width = mr_utf8_decode((const char *)low + at, size - at, &point);
            if (width <= 0)
                break;
            written += (size_t)mr_utf8_encode(first ? uc_totitle(point) : point, to + written);
            first = point == ' ';
            at += (size_t)width;
        }
        if (!low)
            result.status = mr_error_nomem(call->err);
        mr_result_commit(&result, row, written);
        free(low);
    }
    return mr_result_finish(&result, out);
}

enum { TRIM_LEFT = 1, TRIM_RIGHT = 2 };

/* Does the code point at `at` (width bytes) occur in `set`? */
static bool in_set(struct mr_slice set, const char *at, size_t width)
{
    for (size_t i = 0; i + width <= set.size; i++)
        if (((unsigned char)set.data[i] & 0xC0) != 0x80 && !memcmp(set.data + i, at, width))
            return true;
    return false;
}

static struct mr_slice trim_text(struct mr_slice text, struct mr_slice set, int sides)
{
    const char *from = text.data, *to = text.data + text.size;
    while ((sides & TRIM_LEFT) && from < to) {
        const char *next = from + 1;
        while (next < to && ((unsigned char)*next & 0xC0) == 0x80)
            next++;
        if (!in_set(set, from, (size_t)(next - from)))
            break;
        from = next;
    }
    while ((sides & TRIM_RIGHT) && from < to) {
        const char *last = to - 1;
        while (last > from && ((unsigned char)*last & 0xC0) == 0x80)
            last--;
        if (!in_set(set, last, (size_t)(to - last)))
            break;
        to = last;
    }
    return (struct mr_slice){from, (size_t)(to - from)};
}

/* With two arguments, `set_first` tells which of them holds the characters to trim. */
static enum mr_status kernel_trim(struct mr_call *call, int sides, bool set_first,
                                  struct mr_column **out)
{
    int text_at = call->nargs > 1 && set_first ? 1 : 0;
    struct mr_arg x = mr_arg_of(call, text_at);
    struct mr_arg chars = mr_arg_of(call, call->nargs > 1 ? 1 - text_at : 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice set = call->nargs > 1 ? mr_arg_text(&chars, row) : mr_slice_of(" ");
        struct mr_slice text = trim_text(mr_arg_text(&x, row), set, sides);
        mr_result_text(&result, row, text.data, text.size);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_trim_both(struct mr_call *call, struct mr_column **out)
{
    return kernel_trim(call, TRIM_LEFT | TRIM_RIGHT, true, out);
}

static enum mr_status kernel_ltrim(struct mr_call *call, struct mr_column **out)
{
    return kernel_trim(call, TRIM_LEFT, true, out);
}

static enum mr_status kernel_rtrim(struct mr_call *call, struct mr_column **out)
{
    return kernel_trim(call, TRIM_RIGHT, true, out);
}

static enum mr_status kernel_btrim(struct mr_call *call, struct mr_column **out)
{
    return kernel_trim(call, TRIM_LEFT | TRIM_RIGHT, false, out);
}

/* The first `count` code points of endlessly repeated `pad`. */
static void append_padding(struct mr_result *result, struct mr_slice pad, int64_t count, char **to)
{
    int64_t length = text_length(pad);
    for (; count >= length && *to; count -= length) {
        memcpy(*to, pad.data, pad.size);
        *to += pad.size;
    }
    size_t rest = offset_of(pad, count, is_ascii(pad));
    if (*to)
        memcpy(*to, pad.data, rest);
    *to += rest;
    (void)result;
}

static void pad_text(struct mr_result *result, int64_t row, struct mr_slice text, int64_t wanted,
                     struct mr_slice pad, bool left)
{
    int64_t length = text_length(text);
    if (wanted <= length || pad.size == 0) {
        struct mr_slice cut = wanted < length ? code_points(text, 0, wanted) : text;
        mr_result_text(result, row, cut.data, cut.size);
        return;
    }
    size_t room = text.size + (size_t)((wanted - length) / text_length(pad) + 1) * pad.size;
    char *to = mr_result_reserve(result, room), *start = to;
    if (!to)
        return;
    if (left)
        append_padding(result, pad, wanted - length, &to);
    memcpy(to, text.data, text.size);
    to += text.size;
    if (!left)
        append_padding(result, pad, wanted - length, &to);
    mr_result_commit(result, row, (size_t)(to - start));
}

static enum mr_status kernel_pad(struct mr_call *call, bool left, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), length = mr_arg_of(call, 1);
    struct mr_arg pad = mr_arg_of(call, call->nargs > 2 ? 2 : 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    pad_text(&result, row, mr_arg_text(&x, row), MR_ARG(length, int32_t, row),
             call->nargs > 2 ? mr_arg_text(&pad, row) : mr_slice_of(" "), left);
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_lpad(struct mr_call *call, struct mr_column **out)
{
    return kernel_pad(call, true, out);
}

static enum mr_status kernel_rpad(struct mr_call *call, struct mr_column **out)
{
    return kernel_pad(call, false, out);
}

static enum mr_status kernel_repeat(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), times = mr_arg_of(call, 1);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&x, row);
        int32_t n = MR_ARG(times, int32_t, row);
        size_t size = n > 0 ? text.size * (size_t)n : 0;
        char *to = mr_result_reserve(&result, size);
        for (int32_t i = 0; to && i < n && text.size > 0; i++)
            memcpy(to + (size_t)i * text.size, text.data, text.size);
        mr_result_commit(&result, row, size);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_space(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int32_t n = MR_ARG(x, int32_t, row);
        size_t size = n > 0 ? (size_t)n : 0;
        char *to = mr_result_reserve(&result, size);
        if (to)
            memset(to, ' ', size);
        mr_result_commit(&result, row, size);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_reverse(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&x, row);
        char *to = mr_result_reserve(&result, text.size);
        size_t end = text.size;
        for (size_t at = 0; to && at < text.size;) {
            size_t width = 1;
            while (at + width < text.size && ((unsigned char)text.data[at + width] & 0xC0) == 0x80)
                width++;
            end -= width;
            memcpy(to + end, text.data + at, width);
            at += width;
        }
        mr_result_commit(&result, row, text.size);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_substring(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), from = mr_arg_of(call, 1);
    struct mr_arg length = mr_arg_of(call, call->nargs > 2 ? 2 : 1);
    bool binary = x.type->id == MR_TYPE_BINARY;
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int64_t count = call->nargs > 2 ? MR_ARG(length, int32_t, row) : INT32_MAX;
        struct mr_slice text = mr_arg_text(&x, row);
        int32_t position = MR_ARG(from, int32_t, row);
        struct mr_slice part =
            binary ? byte_substring(text, position, count) : sql_substring(text, position, count);
        mr_result_text(&result, row, part.data, part.size);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_left(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), count = mr_arg_of(call, 1);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice part = code_points(mr_arg_text(&x, row), 0, MR_ARG(count, int32_t, row));
        mr_result_text(&result, row, part.data, part.size);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_right(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), count = mr_arg_of(call, 1);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&x, row);
        int32_t wanted = MR_ARG(count, int32_t, row);
        int64_t length = text_length(text);
        struct mr_slice part = code_points(text, wanted > 0 ? length - wanted : length, length);
        mr_result_text(&result, row, part.data, part.size);
    }
    return mr_result_finish(&result, out);
}

/* Position from 1 of `needle` at or behind code point `start` (from 1), 0 when it is not there. */
static int32_t locate(struct mr_slice text, struct mr_slice needle, int64_t start)
{
    if (start < 1)
        return 0;
    if (needle.size == 0)
        return 1; /* Spark's, wherever the search starts */
    size_t from = offset_of(text, start - 1, is_ascii(text));
    int64_t at = start - 1 > text_length(text) ? -1 : find_text(text, needle, from);
    return at < 0 ? 0 : (int32_t)mr_utf8_length(text.data, (size_t)at) + 1;
}

static enum mr_status kernel_instr(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), needle = mr_arg_of(call, 1);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    MR_SET(&result, int32_t, row, locate(mr_arg_text(&x, row), mr_arg_text(&needle, row), 1));
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_locate(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg needle = mr_arg_of(call, 0), x = mr_arg_of(call, 1);
    struct mr_arg start = mr_arg_of(call, call->nargs > 2 ? 2 : 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        bool no_start = call->nargs > 2 && mr_arg_is_null(&start, row);
        if (!no_start && (mr_arg_is_null(&x, row) || mr_arg_is_null(&needle, row)))
            mr_result_null(&result, row);
        else if (!no_start) /* a NULL start gives 0, as in Hive */
            MR_SET(&result, int32_t, row,
                   locate(mr_arg_text(&x, row), mr_arg_text(&needle, row),
                          call->nargs > 2 ? MR_ARG(start, int32_t, row) : 1));
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_replace(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), search = mr_arg_of(call, 1);
    struct mr_arg with = mr_arg_of(call, call->nargs > 2 ? 2 : 1);
    struct mr_bytes built;
    mr_bytes_init(&built, INT32_MAX);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&x, row), needle = mr_arg_text(&search, row);
        struct mr_slice replacement =
            call->nargs > 2 ? mr_arg_text(&with, row) : (struct mr_slice){"", 0};
        size_t from = 0;
        int64_t at;
        mr_bytes_clear(&built);
        while (needle.size > 0 && (at = find_text(text, needle, from)) >= 0) {
            mr_bytes_append(&built, text.data + from, (size_t)at - from);
            mr_bytes_append(&built, replacement.data, replacement.size);
            from = (size_t)at + needle.size;
        }
        mr_bytes_append(&built, text.data + from, text.size - from);
        if (mr_bytes_status(&built, call->err) != MR_OK)
            result.status = built.status;
        mr_result_text(&result, row, built.data ? built.data : "", built.size);
    }
    mr_bytes_reset(&built);
    return mr_result_finish(&result, out);
}

/* The character in `to` that stands where `at` stands in `from`; *drop when `to` is shorter; itself when it is in none. */
static struct mr_slice translated(struct mr_slice from, struct mr_slice to, struct mr_slice point,
                                  bool *drop)
{
    int64_t index = 0;
    *drop = false;
    for (size_t i = 0; i < from.size; index++) {
        size_t width = 1;
        while (i + width < from.size && ((unsigned char)from.data[i + width] & 0xC0) == 0x80)
            width++;
        if (width == point.size && !memcmp(from.data + i, point.data, width)) {
            struct mr_slice other = code_points(to, index, index + 1);
            *drop = other.size == 0;
            return other;
        }
        i += width;
    }
    return point;
}

static enum mr_status kernel_translate(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), from = mr_arg_of(call, 1), to = mr_arg_of(call, 2);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&x, row);
        char *built = mr_result_reserve(&result, text.size * 4);
        size_t size = 0;
        for (size_t at = 0; built && at < text.size;) {
            size_t width = 1;
            bool drop = false;
            while (at + width < text.size && ((unsigned char)text.data[at + width] & 0xC0) == 0x80)
                width++;
            struct mr_slice other = translated(mr_arg_text(&from, row), mr_arg_text(&to, row),
                                               (struct mr_slice){text.data + at, width}, &drop);
            if (!drop) {
                memcpy(built + size, other.data, other.size);
                size += other.size;
            }
            at += width;
        }
        mr_result_commit(&result, row, size);
    }
    return mr_result_finish(&result, out);
}

/* NULL arguments are left out; a NULL separator makes the result NULL. */
static enum mr_status kernel_concat_ws(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg separator = mr_arg_of(call, 0);
    struct mr_bytes built;
    mr_bytes_init(&built, INT32_MAX);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        bool first = true;
        mr_bytes_clear(&built);
        if (mr_arg_is_null(&separator, row)) {
            mr_result_null(&result, row);
            continue;
        }
        for (int i = 1; i < call->nargs; i++) {
            struct mr_arg part = mr_arg_of(call, i);
            if (mr_column_is_null(call->args[i], row))
                continue;
            struct mr_slice between = mr_arg_text(&separator, row), text = mr_arg_text(&part, row);
            if (!first)
                mr_bytes_append(&built, between.data, between.size);
            mr_bytes_append(&built, text.data, text.size);
            first = false;
        }
        if (mr_bytes_status(&built, call->err) != MR_OK)
            result.status = built.status;
        mr_result_text(&result, row, built.data ? built.data : "", built.size);
    }
    mr_bytes_reset(&built);
    return mr_result_finish(&result, out);
}

static enum mr_status bind_concat_ws(struct mr_binding *binding)
{
    binding->nullable = binding->args[0]->nullable;
    return MR_OK;
}

/* Number of parts that the delimiter makes; part `wanted` (from 0) into *part if there is one. */
static int64_t split_parts(struct mr_slice text, struct mr_slice delimiter, int64_t wanted,
                           struct mr_slice *part)
{
    int64_t count = 0;
    size_t from = 0;
    for (;;) {
        int64_t at = delimiter.size > 0 ? find_text(text, delimiter, from) : -1;
        size_t end = at < 0 ? text.size : (size_t)at;
        if (count++ == wanted)
            *part = (struct mr_slice){text.data + from, end - from};
        if (at < 0)
            return count;
        from = (size_t)at + delimiter.size;
    }
}

static enum mr_status kernel_split_part(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), delimiter = mr_arg_of(call, 1);
    struct mr_arg number = mr_arg_of(call, 2);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&x, row), between = mr_arg_text(&delimiter, row);
        struct mr_slice part = {"", 0};
        int64_t wanted = MR_ARG(number, int32_t, row);
        if (wanted == 0 || wanted == INT32_MIN) {
            result.status =
                mr_call_fail(call, "the part number must not be %s", wanted ? "so small" : "0");
            break;
        }
        if (wanted < 0)
            wanted += split_parts(text, between, -1, &part) + 1;
        if (wanted > 0)
            split_parts(text, between, wanted - 1, &part);
        mr_result_text(&result, row, part.data, part.size);
    }
    return mr_result_finish(&result, out);
}

/* Everything before the count-th delimiter from the left, or behind the count-th from the right. */
static struct mr_slice substring_index(struct mr_slice text, struct mr_slice delimiter, int64_t n)
{
    if (delimiter.size == 0 || n == 0)
        return (struct mr_slice){text.data, 0};
    size_t from = 0;
    for (; n > 0; n--) {
        int64_t at = find_text(text, delimiter, from);
        if (at < 0)
            return text;
        if (n == 1)
            return (struct mr_slice){text.data, (size_t)at};
        from = (size_t)at + 1;
    }
    for (size_t at = text.size; at >= delimiter.size; at--) {
        const char *here = text.data + at - delimiter.size;
        if (memcmp(here, delimiter.data, delimiter.size) != 0)
            continue;
        if (++n == 0)
            return (struct mr_slice){text.data + at, text.size - at};
    }
    return text;
}

static enum mr_status kernel_substring_index(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), delimiter = mr_arg_of(call, 1);
    struct mr_arg count = mr_arg_of(call, 2);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        if (MR_ARG(count, int32_t, row) == INT32_MIN) {
            result.status = mr_call_fail(call, "the count must not be so small");
            break;
        }
        struct mr_slice part = substring_index(mr_arg_text(&x, row), mr_arg_text(&delimiter, row),
                                               MR_ARG(count, int32_t, row));
        mr_result_text(&result, row, part.data, part.size);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_ascii(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&x, row);
        uint32_t point = 0;
        if (text.size > 0)
            mr_utf8_decode(text.data, text.size, &point);
        MR_SET(&result, int32_t, row, (int32_t)point);
    }
    return mr_result_finish(&result, out);
}

/* The code point of the low 8 bits; nothing for negative numbers. */
static enum mr_status kernel_chr(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        char text[4];
        int64_t number = MR_ARG(x, int64_t, row);
        int size = number < 0 ? 0 : mr_utf8_encode((uint32_t)(number & 0xFF), text);
        mr_result_text(&result, row, text, (size_t)size);
    }
    return mr_result_finish(&result, out);
}

enum { AT_START, AT_END, ANYWHERE };

static enum mr_status kernel_has(struct mr_call *call, int where, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), part = mr_arg_of(call, 1);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&x, row), needle = mr_arg_text(&part, row);
        bool found = needle.size <= text.size;
        if (found && where == AT_START)
            found = memcmp(text.data, needle.data, needle.size) == 0;
        else if (found && where == AT_END)
            found = memcmp(text.data + text.size - needle.size, needle.data, needle.size) == 0;
        else if (found)
            found = find_text(text, needle, 0) >= 0;
        MR_SET(&result, uint8_t, row, found);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_startswith(struct mr_call *call, struct mr_column **out)
{
    return kernel_has(call, AT_START, out);
}

static enum mr_status kernel_endswith(struct mr_call *call, struct mr_column **out)
{
    return kernel_has(call, AT_END, out);
}

static enum mr_status kernel_contains(struct mr_call *call, struct mr_column **out)
{
    return kernel_has(call, ANYWHERE, out);
}

/* The text with `length` code points from `position` on replaced. */
static enum mr_status kernel_overlay(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), with = mr_arg_of(call, 1), from = mr_arg_of(call, 2);
    struct mr_arg length = mr_arg_of(call, call->nargs > 3 ? 3 : 2);
    struct mr_bytes built;
    mr_bytes_init(&built, INT32_MAX);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&x, row), replacement = mr_arg_text(&with, row);
        int64_t position = MR_ARG(from, int32_t, row);
        int64_t count = call->nargs > 3 ? MR_ARG(length, int32_t, row) : -1;
        if (count < 0)
            count = text_length(replacement);
        struct mr_slice before = sql_substring(text, 1, position - 1);
        /* the sum wraps around as Java's INT does */
        int32_t behind = (int32_t)(uint32_t)(position + count);
        struct mr_slice after = sql_substring(text, behind, INT32_MAX);
        mr_bytes_clear(&built);
        mr_bytes_append(&built, before.data, before.size);
        mr_bytes_append(&built, replacement.data, replacement.size);
        mr_bytes_append(&built, after.data, after.size);
        if (mr_bytes_status(&built, call->err) != MR_OK)
            result.status = built.status;
        mr_result_text(&result, row, built.data ? built.data : "", built.size);
    }
    mr_bytes_reset(&built);
    return mr_result_finish(&result, out);
}

/* Position from 1 in a list separated by commas; 0 when it is not there or holds a comma itself. */
static enum mr_status kernel_find_in_set(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), list = mr_arg_of(call, 1);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice word = mr_arg_text(&x, row), set = mr_arg_text(&list, row), part;
        int32_t found = 0;
        for (int32_t i = 1; !found; i++) {
            const char *comma = memchr(set.data, ',', set.size);
            part = (struct mr_slice){set.data, comma ? (size_t)(comma - set.data) : set.size};
            if (mr_slice_equal(part, word))
                found = i;
            if (!comma)
                break;
            set = (struct mr_slice){comma + 1, set.size - part.size - 1};
        }
        MR_SET(&result, int32_t, row, found);
    }
    return mr_result_finish(&result, out);
}

#define TEXT(names_, args_, result_, kernel_, signature_, doc_)                                    \
    {                                                                                              \
        .names = names_, .args = args_, .result = result_, .flags = MR_FN_TOTAL,                   \
        .kernel = kernel_, .signature = signature_, .family = "text", .doc = doc_                  \
    }

static const struct mr_function functions[] = {
    TEXT("length char_length character_length len", "x", "i", kernel_length, "length(text)",
         "Number of characters of a text, of bytes of a binary."),
    TEXT("octet_length", "x", "i", kernel_octet_length, "octet_length(text)", "Number of bytes."),
    TEXT("bit_length", "x", "i", kernel_bit_length, "bit_length(text)", "Number of bits."),
    TEXT("lower lcase", "s", "s", kernel_lower, "lower(text)", "In lower case."),
    TEXT("upper ucase", "s", "s", kernel_upper, "upper(text)", "In upper case."),
    TEXT("initcap", "s", "s", kernel_initcap, "initcap(text)",
         "The first letter of each word in upper case, the others in lower case."),
    TEXT("trim", "s?s", "s", kernel_trim_both, "trim([characters, ]text)",
         "Without blanks (or the given characters) at both ends."),
    TEXT("ltrim", "s?s", "s", kernel_ltrim, "ltrim([characters, ]text)",
         "Without blanks (or the given characters) at the start."),
    TEXT("rtrim", "s?s", "s", kernel_rtrim, "rtrim([characters, ]text)",
         "Without blanks (or the given characters) at the end."),
    TEXT("btrim", "s?s", "s", kernel_btrim, "btrim(text[, characters])",
         "Without blanks (or the given characters) at both ends."),
    TEXT("lpad", "si?s", "s", kernel_lpad, "lpad(text, length[, pad])",
         "Filled on the left, or cut, to the length."),
    TEXT("rpad", "si?s", "s", kernel_rpad, "rpad(text, length[, pad])",
         "Filled on the right, or cut, to the length."),
    TEXT("repeat", "si", "s", kernel_repeat, "repeat(text, times)", "The text so many times."),
    TEXT("space", "i", "s", kernel_space, "space(count)", "So many blanks."),
    TEXT("reverse", "s", "s", kernel_reverse, "reverse(text)", "Characters in reverse order."),
    TEXT("substring substr", "xi?i", "0", kernel_substring, "substring(text, position[, length])",
         "Part of a text; positions count from 1, negative ones from the end."),
    TEXT("left", "si", "s", kernel_left, "left(text, count)", "The first characters."),
    TEXT("right", "si", "s", kernel_right, "right(text, count)", "The last characters."),
    TEXT("instr", "ss", "i", kernel_instr, "instr(text, part)",
         "Position of the first occurrence, from 1; 0 when there is none."),
    {.names = "locate position",
     .args = "ss?i",
     .result = "i",
     .flags = MR_FN_TOTAL | MR_FN_NULLS,
     .kernel = kernel_locate,
     .signature = "locate(part, text[, start])",
     .family = "text",
     .doc = "Position of the first occurrence from `start` on; 0 when there is none."},
    TEXT("replace", "ss?s", "s", kernel_replace, "replace(text, search[, replacement])",
         "Every occurrence replaced, or left out."),
    TEXT("translate", "sss", "s", kernel_translate, "translate(text, from, to)",
         "Each character of `from` replaced by the one at the same place of `to`."),
    {.names = "concat_ws",
     .args = "ss*",
     .result = "s",
     .flags = MR_FN_TOTAL | MR_FN_NULLS,
     .kernel = kernel_concat_ws,
     .bind = bind_concat_ws,
     .signature = "concat_ws(separator, text, ...)",
     .family = "text",
     .doc = "The texts that are not NULL with a separator between them."},
    {.names = "split_part",
     .args = "ssi",
     .result = "s",
     .kernel = kernel_split_part,
     .signature = "split_part(text, delimiter, number)",
     .family = "text",
     .doc = "Part number `number` (from 1, negative from the end), empty when there is none."},
    {.names = "substring_index",
     .args = "ssi",
     .result = "s",
     .kernel = kernel_substring_index,
     .signature = "substring_index(text, delimiter, count)",
     .family = "text",
     .doc = "What stands before the count-th delimiter (behind it, counted from the end, if "
            "negative)."},
    TEXT("ascii", "s", "i", kernel_ascii, "ascii(text)", "Code point of the first character."),
    TEXT("chr char", "l", "s", kernel_chr, "chr(number)", "The character of the low 8 bits."),
    TEXT("startswith", "ss", "z", kernel_startswith, "startswith(text, part)",
         "Does the text begin with the part?"),
    TEXT("endswith", "ss", "z", kernel_endswith, "endswith(text, part)",
         "Does the text end with the part?"),
    TEXT("contains", "ss", "z", kernel_contains, "contains(text, part)",
         "Does the part occur in the text?"),
    TEXT("overlay", "ssi?i", "s", kernel_overlay, "overlay(text, replacement, position[, length])",
         "The text with a part replaced."),
    TEXT("find_in_set", "ss", "i", kernel_find_in_set, "find_in_set(text, list)",
         "Position in a list separated by commas; 0 when it is not in it."),
};

const struct mr_function_family mr_functions_text = {functions,
                                                     sizeof(functions) / sizeof(functions[0])};

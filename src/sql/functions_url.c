/*
 * functions_url.c - URLs, masks, and small things over texts: url_encode, parse_url, mask, elt, luhn_check.
 */
#include "base/text.h"
#include "sql/function.h"

#include <unictype.h>

static bool plain_in_url(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '.' || c == '-' ||
           c == '*' || c == '_';
}

static enum mr_status kernel_url_encode(struct mr_call *call, struct mr_column **out)
{
    static const char digits[] = "0123456789ABCDEF";
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&x, row);
        char *to = mr_result_reserve(&result, text.size * 3);
        size_t size = 0;
        for (size_t i = 0; to && i < text.size; i++) {
            unsigned char c = (unsigned char)text.data[i];
            if (c == ' ' || plain_in_url((char)c)) {
                to[size++] = c == ' ' ? '+' : (char)c;
                continue;
            }
            to[size++] = '%';
            to[size++] = digits[c >> 4];
            to[size++] = digits[c & 15];
        }
        mr_result_commit(&result, row, size);
    }
    return mr_result_finish(&result, out);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A wrong escape is an error whatever the ANSI mode. */
static enum mr_status kernel_url_decode(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&x, row);
        char *to = mr_result_reserve(&result, text.size);
        size_t size = 0;
        bool good = true;
        for (size_t i = 0; to && i < text.size && good; i++) {
            if (text.data[i] != '%') {
                to[size++] = text.data[i] == '+' ? ' ' : text.data[i];
                continue;
            }
            int high = i + 2 < text.size ? hex_digit(text.data[i + 1]) : -1;
            int low = i + 2 < text.size ? hex_digit(text.data[i + 2]) : -1;
            good = high >= 0 && low >= 0;
            to[size++] = (char)((unsigned)high << 4 | ((unsigned)low & 15));
            i += 2;
        }
        if (to && (!good || mr_utf8_valid_prefix(to, size) != size)) {
            result.status = mr_call_fail(call, "a text that is not URL-encoded");
            break;
        }
        mr_result_commit(&result, row, size);
    }
    return mr_result_finish(&result, out);
}

/* The parts of scheme://user@host:port/path?query#fragment; data NULL: not there. */
struct url {
    struct mr_slice scheme, authority, user, host, path, query, fragment;
};

static struct mr_slice between(const char *from, const char *to)
{
    return (struct mr_slice){from, (size_t)(to - from)};
}

static const char *find(const char *from, const char *end, const char *any)
{
    while (from < end && !(strchr(any, *from) && *from))
        from++;
    return from;
}

/* java.net.URI refuses blanks, control characters and "<>\^`{|} and wrong escapes. */
static bool valid_uri(struct mr_slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= ' ' || c == 0x7F || strchr("\"<>\\^`{|}", c))
            return false;
        if (c == '%' && (i + 2 >= text.size || hex_digit(text.data[i + 1]) < 0 ||
                         hex_digit(text.data[i + 2]) < 0))
            return false;
    }
    return true;
}

static bool split_url(struct mr_slice text, struct url *url)
{
    const char *at = text.data, *end = text.data + text.size;
    *url = (struct url){0};
    if (!valid_uri(text))
        return false;
    const char *stop = find(at, end, "#");
    if (stop < end)
        url->fragment = between(stop + 1, end);
    end = stop;
    stop = find(at, end, ":/?");
    if (stop < end && *stop == ':' && (*at | 32) >= 'a' && (*at | 32) <= 'z') {
        url->scheme = between(at, stop);
        at = stop + 1;
        if (at == end)
            return false;
    }
    if (!url->scheme.data && stop < end && *stop == ':')
        return false;
    stop = find(at, end, "?");
    if (stop < end)
        url->query = between(stop + 1, end);
    end = stop;
    if (end - at >= 2 && at[0] == '/' && at[1] == '/') {
        const char *from = at + 2;
        at = find(from, end, "/");
        url->authority = between(from, at);
        const char *user = find(from, at, "@");
        if (user < at) {
            url->user = between(from, user);
            from = user + 1;
        }
        const char *port = *from == '[' ? find(from, at, "]") : from;
        url->host = between(from, find(port, at, ":"));
    }
    if (url->scheme.data && !url->authority.data && (at == end || *at != '/'))
        return true; /* opaque: mailto:x */
    url->path = between(at, end);
    return true;
}

static bool word(struct mr_slice text, const char *expected)
{
    return text.size == strlen(expected) && memcmp(text.data, expected, text.size) == 0;
}

/* The value of `key` in a query: Spark looks for (&|^)key=([^&]*) . */
static struct mr_slice query_value(struct mr_slice query, struct mr_slice key)
{
    const char *at = query.data, *end = query.data + query.size;
    while (at < end) {
        const char *stop = find(at, end, "&");
        if ((size_t)(stop - at) > key.size && memcmp(at, key.data, key.size) == 0 &&
            at[key.size] == '=')
            return between(at + key.size + 1, stop);
        at = stop + 1;
    }
    return (struct mr_slice){0};
}

static struct mr_slice part_of(const struct url *url, struct mr_slice part)
{
    if (word(part, "HOST"))
        return url->host.size ? url->host : (struct mr_slice){0};
    if (word(part, "PATH"))
        return url->path;
    if (word(part, "QUERY"))
        return url->query;
    if (word(part, "REF"))
        return url->fragment;
    if (word(part, "PROTOCOL"))
        return url->scheme;
    if (word(part, "AUTHORITY"))
        return url->authority.size ? url->authority : (struct mr_slice){0};
    if (word(part, "USERINFO"))
        return url->user;
    if (word(part, "FILE") && url->path.data) {
        const char *end =
            url->query.data ? url->query.data + url->query.size : url->path.data + url->path.size;
        return between(url->path.data, end);
    }
    return (struct mr_slice){0};
}

static enum mr_status kernel_parse_url(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), which = mr_arg_of(call, 1);
    struct mr_arg key = mr_arg_of(call, call->nargs - 1);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&x, row), part = mr_arg_text(&which, row);
        struct url url;
        if (!split_url(text, &url)) {
            mr_result_fail_value(&result, row, text, "a text that is no URL");
            continue;
        }
        struct mr_slice value = part_of(&url, part);
        if (call->nargs > 2)
            value = word(part, "QUERY") && value.data ? query_value(value, mr_arg_text(&key, row))
                                                      : (struct mr_slice){0};
        if (value.data == NULL)
            mr_result_null(&result, row);
        else
            mr_result_text(&result, row, value.data, value.size);
    }
    return mr_result_finish(&result, out);
}

/* What replaces a class of characters: the first character of an argument, as it is for NULL. */
static struct mr_slice mask_of(struct mr_call *call, int i, int64_t row, const char *otherwise)
{
    if (i >= call->nargs)
        return mr_slice_of(otherwise);
    struct mr_arg arg = mr_arg_of(call, i);
    if (mr_arg_is_null(&arg, row))
        return (struct mr_slice){0};
    return mr_arg_text(&arg, row);
}

static enum mr_status bind_mask(struct mr_binding *binding)
{
    for (int i = 1; i < binding->nargs; i++) {
        struct mr_value value;
        if (!mr_bind_constant(binding, i, &value))
            return mr_bind_fail(binding, i, "the replacement is a constant");
        if (!value.is_null && mr_utf8_length(value.u.bytes.data, value.u.bytes.size) != 1)
            return mr_bind_fail(binding, i, "the replacement is one character");
    }
    return MR_OK;
}

static enum mr_status kernel_mask(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice with[4] = {mask_of(call, 1, row, "X"), mask_of(call, 2, row, "x"),
                                   mask_of(call, 3, row, "n"), mask_of(call, 4, row, NULL)};
        struct mr_slice text;
        if (mr_arg_is_null(&x, row)) {
            mr_result_null(&result, row);
            continue;
        }
        text = mr_arg_text(&x, row);
        char *to = mr_result_reserve(&result, text.size * 4);
        size_t size = 0;
        for (size_t at = 0; to && at < text.size;) {
            uint32_t point = 0;
            int width = mr_utf8_decode(text.data + at, text.size - at, &point);
            width = width > 0 ? width : 1;
            int kind = uc_is_general_category(point, UC_UPPERCASE_LETTER)       ? 0
                       : uc_is_general_category(point, UC_LOWERCASE_LETTER)     ? 1
                       : uc_is_general_category(point, UC_DECIMAL_DIGIT_NUMBER) ? 2
                                                                                : 3;
            struct mr_slice put =
                with[kind].data ? with[kind] : between(text.data + at, text.data + at + width);
            bool pair = width == 4 && with[kind].data; /* two characters to Java */
            for (int i = 0; i <= pair; i++, size += put.size)
                memcpy(to + size, put.data, put.size);
            at += (size_t)width;
        }
        mr_result_commit(&result, row, size);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_luhn(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&x, row);
        int sum = 0;
        bool good = text.size > 0;
        for (size_t i = 0; i < text.size && good; i++) {
            int digit = text.data[text.size - 1 - i] - '0';
            good = digit >= 0 && digit <= 9;
            digit *= i % 2 ? 2 : 1;
            sum += digit > 9 ? digit - 9 : digit;
        }
        MR_SET(&result, uint8_t, row, good && sum % 10 == 0);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status bind_elt(struct mr_binding *binding)
{
    bool binary = true;
    if (binding->nargs < 2)
        return mr_bind_fail(binding, 0, "it takes a number and one value or more");
    for (int i = 1; i < binding->nargs; i++)
        binary &= binding->args[i]->type->id == MR_TYPE_BINARY;
    binding->type = mr_type_of(binary ? MR_TYPE_BINARY : MR_TYPE_STRING);
    for (int i = 1; i < binding->nargs; i++)
        MR_TRY(mr_bind_cast(binding, i, binding->type));
    binding->nullable = true;
    return MR_OK;
}

static enum mr_status kernel_elt(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg number = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        int32_t n = mr_arg_is_null(&number, row) ? 0 : MR_ARG(number, int32_t, row);
        if (mr_arg_is_null(&number, row)) {
            mr_result_null(&result, row);
            continue;
        }
        if (n < 1 || n >= call->nargs) {
            mr_result_fail(&result, row, "the number %d is outside of 1 to %d", n, call->nargs - 1);
            continue;
        }
        struct mr_arg value = mr_arg_of(call, n);
        if (mr_arg_is_null(&value, row)) {
            mr_result_null(&result, row);
            continue;
        }
        struct mr_slice text = mr_arg_text(&value, row);
        mr_result_text(&result, row, text.data, text.size);
    }
    return mr_result_finish(&result, out);
}

#define TEXT(names_, args_, result_, flags_, kernel_, bind_, signature_, doc_)                     \
    {                                                                                              \
        .names = names_, .args = args_, .result = result_, .flags = flags_, .kernel = kernel_,     \
        .bind = bind_, .signature = signature_, .family = "text", .doc = doc_                      \
    }

static const struct mr_function functions[] = {
    TEXT("url_encode", "s", "s", MR_FN_TOTAL, kernel_url_encode, NULL, "url_encode(text)",
         "In the form of application/x-www-form-urlencoded."),
    TEXT("url_decode", "s", "s", 0, kernel_url_decode, NULL, "url_decode(text)",
         "The text of a URL-encoded one."),
    TEXT("parse_url", "s!s!?s!", "s", MR_FN_MAY_NULL, kernel_parse_url, NULL,
         "parse_url(url, part[, key])",
         "HOST, PATH, QUERY, REF, PROTOCOL, FILE, AUTHORITY or USERINFO of a URL, or one value of "
         "its query."),
    TEXT(
        "mask", "s!?s!s!s!s!", "s", MR_FN_TOTAL | MR_FN_NULLS, kernel_mask, bind_mask,
        "mask(text[, upper[, lower[, digit[, other]]]])",
        "Upper case letters as X, lower case ones as x, digits as n, or as told; NULL keeps them."),
    TEXT("luhn_check", "s", "z", MR_FN_TOTAL, kernel_luhn, NULL, "luhn_check(text)",
         "Are these digits right by the Luhn algorithm (card numbers)?"),
    TEXT("elt", "ia*", "!", MR_FN_NULLS, kernel_elt, bind_elt, "elt(number, value, ...)",
         "The value of that number, from 1."),
};

const struct mr_function_family mr_functions_url = {functions,
                                                    sizeof(functions) / sizeof(functions[0])};

/*
 * like.c - LIKE and ILIKE.
 *
 * A pattern is compiled to a list of code points, `any one` and `any number`. Patterns of the shapes 'x', 'x%', '%x' and '%x%' are
 * most of what people write and become one memcmp or memmem. The general matcher remembers the last % only, which is enough
 * (greedy from the left), so that its time is at most text times pattern and its memory constant.
 */
#include "sql/like.h"

#include "base/text.h"

#include <unicase.h>

#define ANY_ONE  0xFFFFFFFEu
#define ANY_MANY 0xFFFFFFFFu

enum shape { SHAPE_EQUAL, SHAPE_PREFIX, SHAPE_SUFFIX, SHAPE_CONTAINS, SHAPE_GENERAL };

struct pattern {
    char *source; /* the pattern's text, to see that it is the same as last time */
    size_t source_size;
    uint32_t escape;
    bool ready;
    enum shape shape;
    char *literal; /* of the simple shapes */
    size_t literal_size;
    uint32_t *items;
    size_t count;
};

static void release_pattern(void *state)
{
    struct pattern *pattern = state;
    mr_free(pattern->source);
    mr_free(pattern->literal);
    mr_free(pattern->items);
}

static uint32_t fold(uint32_t c, bool ignore_case)
{
    if (!ignore_case)
        return c;
    return c < 0x80 ? (c >= 'A' && c <= 'Z' ? c + 32 : c) : (uint32_t)uc_tolower(c);
}

static uint32_t next_code_point(struct mr_slice *text)
{
    uint32_t c;
    int size = mr_utf8_decode(text->data, text->size, &c);
    if (size == 0) {
        c = (unsigned char)text->data[0] | 0x80000000u;
        size = 1;
    }
    text->data += size;
    text->size -= (size_t)size;
    return c;
}

/* Text to items. False when the escape character is followed by what it may not be. */
static bool parse_items(struct pattern *pattern, struct mr_slice text, bool ignore_case)
{
    pattern->count = 0;
    while (text.size > 0) {
        uint32_t c = next_code_point(&text);
        if (c == pattern->escape) {
            if (text.size == 0)
                return false;
            c = next_code_point(&text);
            if (c != '%' && c != '_' && c != pattern->escape)
                return false;
            c = fold(c, ignore_case);
        } else if (c == '%') {
            if (pattern->count > 0 && pattern->items[pattern->count - 1] == ANY_MANY)
                continue;
            c = ANY_MANY;
        } else if (c == '_') {
            c = ANY_ONE;
        } else {
            c = fold(c, ignore_case);
        }
        pattern->items[pattern->count++] = c;
    }
    return true;
}

static void find_shape(struct pattern *pattern, bool ignore_case)
{
    size_t from = pattern->count > 0 && pattern->items[0] == ANY_MANY;
    size_t to = pattern->count;
    bool last = to > from && pattern->items[to - 1] == ANY_MANY;
    to -= last;
    pattern->shape = SHAPE_GENERAL;
    pattern->literal_size = 0;
    for (size_t i = from; i < to; i++) {
        uint32_t c = pattern->items[i];
        if (c >= ANY_ONE || ignore_case || (c & 0x80000000u))
            return;
        pattern->literal_size +=
            (size_t)mr_utf8_encode(c, pattern->literal + pattern->literal_size);
    }
    if (from == 0)
        pattern->shape = last ? SHAPE_PREFIX : SHAPE_EQUAL;
    else
        pattern->shape = last || pattern->count == 1 ? SHAPE_CONTAINS : SHAPE_SUFFIX;
}

static enum mr_status compile(struct mr_call *call, struct pattern *pattern, struct mr_slice text,
                              uint32_t escape, bool ignore_case)
{
    if (pattern->ready && pattern->escape == escape && pattern->source_size == text.size &&
        (text.size == 0 || memcmp(pattern->source, text.data, text.size) == 0))
        return MR_OK;
    release_pattern(pattern);
    *pattern = (struct pattern){.escape = escape};
    pattern->source = mr_alloc(text.size + 1);
    pattern->items = mr_alloc((text.size + 1) * sizeof(uint32_t));
    pattern->literal = mr_alloc(text.size * 4 + 1);
    if (!pattern->source || !pattern->items || !pattern->literal)
        return mr_error_nomem(call->err);
    if (text.size > 0)
        memcpy(pattern->source, text.data, text.size);
    pattern->source_size = text.size;
    if (!parse_items(pattern, text, ignore_case))
        return mr_call_fail(call,
                            "the LIKE pattern '%.*s' has its escape character in front of "
                            "something other than %%, _ or itself",
                            (int)(text.size > 80 ? 80 : text.size), text.data);
    find_shape(pattern, ignore_case);
    pattern->ready = true;
    return MR_OK;
}

static bool match_general(const struct pattern *pattern, struct mr_slice text, bool ignore_case)
{
    size_t at = 0, star = SIZE_MAX;
    struct mr_slice retry = text;
    for (;;) {
        if (at < pattern->count && pattern->items[at] == ANY_MANY) {
            star = at++;
            retry = text;
            if (at == pattern->count)
                return true;
            continue;
        }
        if (text.size == 0 && at == pattern->count)
            return true;
        if (text.size > 0 && at < pattern->count) {
            struct mr_slice rest = text;
            uint32_t c = fold(next_code_point(&rest), ignore_case);
            if (pattern->items[at] == ANY_ONE || pattern->items[at] == c) {
                text = rest;
                at++;
                continue;
            }
        }
        if (star == SIZE_MAX || retry.size == 0)
            return false;
        next_code_point(&retry);
        text = retry;
        at = star + 1;
    }
}

static bool match(const struct pattern *pattern, struct mr_slice text, bool ignore_case)
{
    size_t size = pattern->literal_size;
    switch (pattern->shape) {
    case SHAPE_EQUAL:
        return text.size == size && memcmp(text.data, pattern->literal, size) == 0;
    case SHAPE_PREFIX:
        return text.size >= size && memcmp(text.data, pattern->literal, size) == 0;
    case SHAPE_SUFFIX:
        return text.size >= size &&
               memcmp(text.data + text.size - size, pattern->literal, size) == 0;
    case SHAPE_CONTAINS:
        return size == 0 || memmem(text.data, text.size, pattern->literal, size) != NULL;
    default:
        return match_general(pattern, text, ignore_case);
    }
}

static enum mr_status like(struct mr_call *call, bool ignore_case, struct mr_column **out)
{
    struct pattern *pattern = mr_call_state(call, sizeof(*pattern), release_pattern);
    struct mr_arg text = mr_arg_of(call, 0), source = mr_arg_of(call, 1), escape = {0};
    struct mr_result result;
    if (pattern == NULL)
        return mr_error_nomem(call->err);
    if (call->nargs == 3)
        escape = mr_arg_of(call, 2);
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        uint32_t c = '\\';
        if (result.status != MR_OK)
            break;
        if (call->nargs == 3) {
            struct mr_slice s = mr_arg_text(&escape, row);
            if (s.size == 0 || (size_t)mr_utf8_decode(s.data, s.size, &c) != s.size) {
                result.status = mr_call_fail(call, "ESCAPE takes one character");
                break;
            }
        }
        result.status = compile(call, pattern, mr_arg_text(&source, row), c, ignore_case);
        if (result.status == MR_OK)
            MR_SET(&result, uint8_t, row, match(pattern, mr_arg_text(&text, row), ignore_case));
    }
    return mr_result_finish(&result, out);
}

enum mr_status mr_kernel_like(struct mr_call *call, struct mr_column **out)
{
    return like(call, false, out);
}

enum mr_status mr_kernel_ilike(struct mr_call *call, struct mr_column **out)
{
    return like(call, true, out);
}

/*
 * glob.c - patterns of paths.
 *
 * `*` and `?` stay inside a part of the path, `**` does not, and a `**` that is a part of its own may
 * also stand for none ("a/X/b" with X = ** matches a/b). Braces are expanded first: what is left is
 * matched by one short recursive function, whose cost for patterns that people write is the length
 * of the path.
 */
#include "connect/files/glob.h"

#include <string.h>

#define EXPANDED_MOST 10000

const char *files_glob_start(const char *text)
{
    return strpbrk(text, "*?[{\\");
}

/* --- braces --- */

struct expansion {
    struct mr_arena *arena;
    const char **items;
    int count;
    int capacity;
};

/* The brace that closes the one at `open`, or NULL. */
static const char *closing(const char *open)
{
    int depth = 0;
    for (const char *at = open; *at; at++) {
        if (*at == '\\' && at[1])
            at++;
        else if (*at == '{')
            depth++;
        else if (*at == '}' && --depth == 0)
            return at;
    }
    return NULL;
}

/* The end of an alternative: the comma of this depth, or the closing brace. */
static const char *end_of_choice(const char *at, const char *close)
{
    int depth = 0;
    for (; at < close; at++) {
        if (*at == '\\' && at + 1 < close)
            at++;
        else if (*at == '{')
            depth++;
        else if (*at == '}')
            depth--;
        else if (*at == ',' && depth == 0)
            return at;
    }
    return close;
}

/* The first brace that is closed and not protected, or NULL. */
static const char *first_brace(const char *pattern)
{
    for (const char *at = pattern; *at; at++) {
        if (*at == '\\' && at[1])
            at++;
        else if (*at == '{' && closing(at))
            return at;
    }
    return NULL;
}

static enum mr_status add(struct expansion *expansion, const char *pattern, struct mr_error *err)
{
    if (expansion->count == EXPANDED_MOST)
        return mr_error_config(err, "the braces of the path stand for more than %d patterns",
                               EXPANDED_MOST);
    if (expansion->count == expansion->capacity) {
        int capacity = expansion->capacity ? 2 * expansion->capacity : 8;
        const char **items =
            mr_arena_calloc(expansion->arena, (size_t)capacity, sizeof(const char *));
        if (!items)
            return mr_error_nomem(err);
        for (int i = 0; i < expansion->count; i++)
            items[i] = expansion->items[i];
        expansion->items = items;
        expansion->capacity = capacity;
    }
    expansion->items[expansion->count++] = pattern;
    return MR_OK;
}

static enum mr_status expand(struct expansion *expansion, const char *pattern, struct mr_error *err)
{
    const char *open = first_brace(pattern);
    if (!open)
        return add(expansion, pattern, err);
    const char *close = closing(open);
    for (const char *at = open + 1; at <= close;) {
        const char *end = end_of_choice(at, close);
        const char *one = mr_arena_printf(expansion->arena, "%.*s%.*s%s", (int)(open - pattern),
                                          pattern, (int)(end - at), at, close + 1);
        if (!one)
            return mr_error_nomem(err);
        MR_TRY(expand(expansion, one, err));
        at = end + 1;
    }
    return MR_OK;
}

enum mr_status files_glob_expand(struct mr_arena *arena, const char *pattern,
                                 const char *const **out, int *count, struct mr_error *err)
{
    struct expansion expansion = {.arena = arena};
    MR_TRY(expand(&expansion, pattern, err));
    *out = expansion.items;
    *count = expansion.count;
    return MR_OK;
}

/* --- matching --- */

static bool matches(const char *pattern, const char *text);

/* [abc], [a-z], [!a], [^a]; *behind is what follows the class. False too when the bracket is not closed. */
static bool in_class(const char *pattern, char c, const char **behind)
{
    const char *at = pattern + 1;
    bool negated = *at == '!' || *at == '^', found = false;
    at += negated;
    for (bool first = true; *at && (*at != ']' || first); first = false) {
        unsigned char low = (unsigned char)*at++;
        unsigned char high = low;
        if (*at == '-' && at[1] && at[1] != ']') {
            high = (unsigned char)at[1];
            at += 2;
        }
        found = found || ((unsigned char)c >= low && (unsigned char)c <= high);
    }
    if (*at != ']')
        return false;
    *behind = at + 1;
    return found != negated;
}

static bool matches_star(const char *pattern, const char *text)
{
    for (;; text++) {
        if (matches(pattern, text))
            return true;
        if (*text == '\0' || *text == '/')
            return false;
    }
}

/* Behind `**`: at every place; behind `**` and a slash: at the beginning of every part. */
static bool matches_deep(const char *pattern, const char *text)
{
    bool parts = *pattern == '/';
    if (parts && matches(pattern + 1, text))
        return true;
    for (; *text; text++)
        if (matches(pattern, text))
            return true;
    return !parts && matches(pattern, text);
}

/* One character, with the bytes that continue it in UTF-8. */
static const char *behind_character(const char *text)
{
    text++;
    while (((unsigned char)*text & 0xC0) == 0x80)
        text++;
    return text;
}

static bool matches(const char *pattern, const char *text)
{
    for (;;) {
        switch (*pattern) {
        case '\0':
            return *text == '\0' || *text == '/';
        case '*':
            if (pattern[1] != '*')
                return matches_star(pattern + 1, text);
            return matches_deep(pattern + strspn(pattern, "*"), text);
        case '?':
            if (*text == '\0' || *text == '/')
                return false;
            text = behind_character(text);
            pattern++;
            continue;
        case '[':
            if (*text == '\0' || *text == '/' || !in_class(pattern, *text, &pattern))
                return false;
            text++;
            continue;
        case '\\':
            pattern += pattern[1] != '\0';
            break;
        default:
            break;
        }
        if (*pattern++ != *text++)
            return false;
    }
}

bool files_glob_match(const char *pattern, const char *path)
{
    return matches(pattern, path);
}

size_t files_glob_literal(const char *const *patterns, int count)
{
    size_t size = count > 0 ? strcspn(patterns[0], "*?[\\") : 0;
    for (int i = 1; i < count; i++) {
        size_t same = 0;
        while (same < size && patterns[i][same] == patterns[0][same])
            same++;
        size_t literal = strcspn(patterns[i], "*?[\\");
        size = same < literal ? same : literal;
    }
    return size;
}

/*
 * conjunct.c - splits the text of a condition at its top-level ANDs.
 *
 * Texts, not trees, because a filter that keeps some of its conjuncts is bound again like any
 * other, and its plan line must show what it still does. A scan over characters is enough: quotes
 * and parentheses hide what is in them, CASE ... END too, the AND of a BETWEEN belongs to it, and a
 * condition with a top-level OR is one conjunct. The parser has accepted the text before.
 */
#include "plan/build.h"

#include "base/text.h"

#include <ctype.h>

#define CONJUNCTS_MAX 64

struct scan {
    const char *at;
    int depth;    /* of parentheses and brackets */
    int cases;    /* open CASE */
    int between;  /* BETWEEN at the top that waits for its AND */
    bool comment; /* seen: joining parts of such a text again could lose some of it */
};

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static void skip_quoted(struct scan *scan)
{
    char quote = *scan->at++;
    while (*scan->at != '\0') {
        char c = *scan->at++;
        if (c == '\\' && quote != '`' && *scan->at != '\0')
            scan->at++;
        else if (c == quote && *scan->at == quote)
            scan->at++;
        else if (c == quote)
            return;
    }
}

static bool skip_comment(struct scan *scan)
{
    if (scan->at[0] == '-' && scan->at[1] == '-') {
        while (*scan->at != '\0' && *scan->at != '\n')
            scan->at++;
        return true;
    }
    if (scan->at[0] == '/' && scan->at[1] == '*') {
        const char *end = strstr(scan->at + 2, "*/");
        scan->at = end != NULL ? end + 2 : scan->at + strlen(scan->at);
        return true;
    }
    return false;
}

static bool same_word(const char *word, size_t size, const char *name)
{
    char copy[16];
    if (size >= sizeof copy)
        return false;
    memcpy(copy, word, size);
    copy[size] = '\0';
    return mr_text_equal_nocase(copy, name);
}

enum token { TOKEN_OTHER, TOKEN_AND, TOKEN_OR };

/* The next token; tells whether it is a connective at the top. */
static enum token next_token(struct scan *scan)
{
    char c = *scan->at;
    if (c == '\'' || c == '"' || c == '`') {
        skip_quoted(scan);
        return TOKEN_OTHER;
    }
    if (skip_comment(scan)) {
        scan->comment = true;
        return TOKEN_OTHER;
    }
    if (!is_word(c)) {
        scan->depth += (c == '(' || c == '[') - (c == ')' || c == ']');
        scan->at++;
        return TOKEN_OTHER;
    }
    const char *word = scan->at;
    while (is_word(*scan->at))
        scan->at++;
    size_t size = (size_t)(scan->at - word);
    if (same_word(word, size, "case"))
        scan->cases++;
    else if (same_word(word, size, "end") && scan->cases > 0)
        scan->cases--;
    if (scan->depth > 0 || scan->cases > 0)
        return TOKEN_OTHER;
    if (same_word(word, size, "between"))
        scan->between++;
    else if (same_word(word, size, "or"))
        return TOKEN_OR;
    else if (same_word(word, size, "and")) {
        if (scan->between == 0)
            return TOKEN_AND;
        scan->between--;
    }
    return TOKEN_OTHER;
}

static char *trimmed(struct mr_arena *arena, const char *from, const char *to)
{
    while (from < to && isspace((unsigned char)*from))
        from++;
    while (to > from && isspace((unsigned char)to[-1]))
        to--;
    return mr_arena_strndup(arena, from, (size_t)(to - from));
}

enum mr_status mr_plan_split_conjuncts(struct mr_arena *arena, const char *text, const char ***out,
                                       int *count, struct mr_error *err)
{
    const char **parts = mr_arena_calloc(arena, CONJUNCTS_MAX, sizeof *parts);
    if (parts == NULL)
        return mr_error_nomem(err);
    struct scan scan = {.at = text};
    const char *start = text;
    int n = 0;
    bool whole = false;
    while (*scan.at != '\0' && !whole) {
        enum token token = next_token(&scan);
        if (token == TOKEN_OR || scan.comment || (token == TOKEN_AND && n == CONJUNCTS_MAX - 1))
            whole = true;
        if (token != TOKEN_AND || whole)
            continue;
        parts[n] = trimmed(arena, start, scan.at - 3);
        if (parts[n++] == NULL)
            return mr_error_nomem(err);
        start = scan.at;
    }
    if (whole) {
        n = 0;
        start = text;
    }
    parts[n] = trimmed(arena, start, start + strlen(start));
    if (parts[n++] == NULL)
        return mr_error_nomem(err);
    *out = parts;
    *count = n;
    return MR_OK;
}

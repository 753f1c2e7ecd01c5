/*
 * window_order.c - the direction at the end of an ORDER BY item.
 *
 * The words are looked for from the end of the tokens, so that an expression may hold them too: a
 * column named `desc` needs no backticks where it is alone.
 */
#include "sql/window.h"

#include "base/text.h"
#include "sql/lexer.h"

#include <string.h>

#define TAIL 3 /* tokens that a direction can have */

static bool is_word(const struct mr_token *token, const char *word)
{
    return token->kind == MR_TOKEN_WORD && mr_text_equal_nocase(token->text, word);
}

/* The last tokens of the text, `tail[TAIL - 1]` the very last; *count is the number of all. */
static enum mr_status last_tokens(struct mr_arena *arena, const char *text,
                                  struct mr_token tail[TAIL], int64_t *count, struct mr_error *err)
{
    struct mr_lexer lexer;
    struct mr_token token;
    mr_lexer_init(&lexer, arena, text, strlen(text));
    for (*count = 0;; (*count)++) {
        MR_TRY(mr_lexer_next(&lexer, &token, err));
        if (token.kind == MR_TOKEN_END)
            return MR_OK;
        memmove(tail, tail + 1, (TAIL - 1) * sizeof *tail);
        tail[TAIL - 1] = token;
    }
}

enum mr_status mr_sql_order_parse(struct mr_arena *arena, const char *text,
                                  struct mr_sql_order *out, struct mr_error *err)
{
    struct mr_token tail[TAIL] = {0};
    int64_t count;
    *out = (struct mr_sql_order){0};
    MR_TRY(last_tokens(arena, text, tail, &count, err));
    int end = TAIL; /* tokens of `tail` from here on are direction */
    bool nulls = false;
    if (count > 2 && is_word(&tail[end - 2], "NULLS") &&
        (is_word(&tail[end - 1], "FIRST") || is_word(&tail[end - 1], "LAST"))) {
        nulls = true;
        out->nulls_last = is_word(&tail[end - 1], "LAST");
        end -= 2;
    }
    if (count > TAIL - end + 1 &&
        (is_word(&tail[end - 1], "ASC") || is_word(&tail[end - 1], "DESC"))) {
        out->descending = is_word(&tail[end - 1], "DESC");
        end--;
    }
    if (!nulls)
        out->nulls_last = out->descending;
    size_t size = end < TAIL ? tail[end].start : strlen(text);
    while (size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\t' || text[size - 1] == '\n'))
        size--;
    if (count == 0 || size == 0)
        return mr_lexer_fail(text, 0, err, "expected an expression to sort by");
    out->text = mr_arena_strndup(arena, text, size);
    return out->text ? MR_OK : mr_error_nomem(err);
}

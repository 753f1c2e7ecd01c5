/*
 * lexer.h - tokens of an expression.
 */
#ifndef MR_SQL_LEXER_H
#define MR_SQL_LEXER_H

#include "base/arena.h"
#include "base/bytes.h"

enum mr_token_kind {
    MR_TOKEN_END,
    MR_TOKEN_WORD,   /* identifier or keyword, as written */
    MR_TOKEN_QUOTED, /* `identifier`, without the backticks */
    MR_TOKEN_STRING, /* 'text' or "text", escapes resolved */
    MR_TOKEN_HEX,    /* X'..', resolved to bytes */
    MR_TOKEN_NUMBER, /* digits as written; suffix apart */
    MR_TOKEN_OP,     /* operator or punctuation */
};

struct mr_token {
    enum mr_token_kind kind;
    const char *text; /* NUL-terminated, arena */
    size_t size;
    char suffix[3]; /* NUMBER: "", "L", "S", "Y", "D", "F", "BD" */
    size_t start;   /* byte offsets in the text */
    size_t end;
};

struct mr_lexer {
    struct mr_arena *arena;
    const char *text;
    size_t size;
    size_t at; /* byte offset behind the last token */
};

/* `text` stays borrowed. */
void mr_lexer_init(struct mr_lexer *lexer, struct mr_arena *arena, const char *text, size_t size);
/* MR_CONFIG at characters that start no token and at strings without an end. */
enum mr_status mr_lexer_next(struct mr_lexer *lexer, struct mr_token *token, struct mr_error *err);
/* Fills err: "...": what is wrong, with "expression, character N" (from 1) as the place. */
enum mr_status mr_lexer_fail(const char *text, size_t offset, struct mr_error *err,
                             const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif

/*
 * lexer.c - splits an expression into tokens, one at a time, on demand.
 *
 * The parser asks token by token instead of getting an array: type names behind CAST .. AS and `::` are handed to the type
 * parser as text, and a lexer that can be moved makes that two assignments. String escapes are Spark 3.5's:
 * \0 \b \n \r \t \Z \uXXXX \UXXXXXXXX and \ooo octal are resolved, \% and \_ keep their backslash for LIKE, any other \x
 * is x. Adjacent strings are joined by the parser ('a' 'b' is 'ab', and so 'it''s' is "its", as in Spark 3.5).
 * r'..' takes everything as it stands.
 */
#include "sql/lexer.h"

#include "base/text.h"

#include <stdio.h>

void mr_lexer_init(struct mr_lexer *lexer, struct mr_arena *arena, const char *text, size_t size)
{
    *lexer = (struct mr_lexer){.arena = arena, .text = text, .size = size};
}

enum mr_status mr_lexer_fail(const char *text, size_t offset, struct mr_error *err,
                             const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    long long character = 1;
    for (size_t i = 0; i < offset; i++)
        character += ((unsigned char)text[i] & 0xC0) != 0x80;
    mr_error_config(err, "at character %lld: %s", character, message);
    mr_error_where(err, "expression, character %lld", character);
    return MR_CONFIG;
}

static bool is_word_start(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(unsigned char c)
{
    return is_word_start(c) || is_digit(c) || c == '$';
}

static char peek(const struct mr_lexer *lexer, size_t ahead)
{
    return lexer->at + ahead < lexer->size ? lexer->text[lexer->at + ahead] : '\0';
}

/* Skips white space and comments (-- to the end of the line, and slash-star). */
static enum mr_status skip_space(struct mr_lexer *lexer, struct mr_error *err)
{
    for (;;) {
        char c = peek(lexer, 0);
        if (lexer->at >= lexer->size)
            return MR_OK;
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v') {
            lexer->at++;
        } else if (c == '-' && peek(lexer, 1) == '-') {
            while (lexer->at < lexer->size && lexer->text[lexer->at] != '\n')
                lexer->at++;
        } else if (c == '/' && peek(lexer, 1) == '*') {
            size_t start = lexer->at;
            lexer->at += 2;
            while (lexer->at < lexer->size && !(peek(lexer, 0) == '*' && peek(lexer, 1) == '/'))
                lexer->at++;
            if (lexer->at >= lexer->size)
                return mr_lexer_fail(lexer->text, start, err, "this comment has no end");
            lexer->at += 2;
        } else {
            return MR_OK;
        }
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* \uXXXX or \UXXXXXXXX at text[at] (behind the backslash); returns bytes consumed, 0 when it is not one. */
static size_t unicode_escape(const char *text, size_t size, uint32_t *code_point)
{
    size_t digits = text[0] == 'u' ? 4 : 8;
    if (size < digits + 1)
        return 0;
    uint32_t value = 0;
    for (size_t i = 1; i <= digits; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0)
            return 0;
        value = value << 4 | (uint32_t)digit;
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
        return 0;
    *code_point = value;
    return digits + 1;
}

static char plain_escape(char c)
{
    switch (c) {
    case '0':
        return '\0';
    case 'b':
        return '\b';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'Z':
        return 26;
    default:
        return c;
    }
}

/* Resolves one escape at text[0] (behind the backslash) into out; returns bytes consumed. */
static size_t resolve_escape(const char *text, size_t size, char *out, size_t *written)
{
    uint32_t code_point;
    size_t used;
    if ((text[0] == 'u' || text[0] == 'U') && (used = unicode_escape(text, size, &code_point))) {
        *written = (size_t)mr_utf8_encode(code_point, out);
        return used;
    }
    if (size >= 3 && text[0] >= '0' && text[0] <= '3' && text[1] >= '0' && text[1] <= '7' &&
        text[2] >= '0' && text[2] <= '7') {
        int value = (text[0] - '0') * 64 + (text[1] - '0') * 8 + (text[2] - '0');
        *written = (size_t)mr_utf8_encode((uint32_t)value, out);
        return 3;
    }
    if (text[0] == '%' || text[0] == '_') {
        out[0] = '\\';
        out[1] = text[0];
        *written = 2;
        return 1;
    }
    out[0] = plain_escape(text[0]);
    *written = 1;
    return 1;
}

/* A string that starts with the quote at lexer->at. */
static enum mr_status lex_string(struct mr_lexer *lexer, bool raw, struct mr_token *token,
                                 struct mr_error *err)
{
    char quote = peek(lexer, 0);
    size_t from = lexer->at + 1;
    size_t end = from;
    while (end < lexer->size && lexer->text[end] != quote)
        end += !raw && lexer->text[end] == '\\' && end + 1 < lexer->size ? 2 : 1;
    if (end >= lexer->size)
        return mr_lexer_fail(lexer->text, lexer->at, err, "this string has no closing %c", quote);
    char *out = mr_arena_alloc(lexer->arena, end - from + 1);
    if (out == NULL)
        return mr_error_nomem(err);
    size_t size = 0;
    for (size_t i = from; i < end;) {
        if (!raw && lexer->text[i] == '\\' && i + 1 < end) {
            size_t written = 0;
            i += 1 + resolve_escape(lexer->text + i + 1, end - i - 1, out + size, &written);
            size += written;
        } else {
            out[size++] = lexer->text[i++];
        }
    }
    out[size] = '\0';
    token->kind = MR_TOKEN_STRING;
    token->text = out;
    token->size = size;
    lexer->at = end + 1;
    return MR_OK;
}

/* X'1F': an odd number of digits gets a leading zero, as in Spark. */
static enum mr_status lex_hex(struct mr_lexer *lexer, struct mr_token *token, struct mr_error *err)
{
    size_t start = lexer->at++;
    MR_TRY(lex_string(lexer, true, token, err));
    size_t digits = token->size;
    unsigned char *out = mr_arena_alloc(lexer->arena, digits / 2 + 2);
    if (out == NULL)
        return mr_error_nomem(err);
    size_t size = 0;
    unsigned value = 0;
    for (size_t i = 0; i < digits; i++) {
        int digit = hex_digit(token->text[i]);
        if (digit < 0)
            return mr_lexer_fail(lexer->text, start, err, "'%c' is not a hexadecimal digit",
                                 token->text[i]);
        value = value << 4 | (unsigned)digit;
        if ((digits - i) % 2 == 1) {
            out[size++] = (unsigned char)value;
            value = 0;
        }
    }
    out[size] = '\0';
    token->kind = MR_TOKEN_HEX;
    token->text = (const char *)out;
    token->size = size;
    return MR_OK;
}

static enum mr_status lex_quoted(struct mr_lexer *lexer, struct mr_token *token,
                                 struct mr_error *err)
{
    size_t start = lexer->at++;
    const char *close = memchr(lexer->text + lexer->at, '`', lexer->size - lexer->at);
    while (close && close + 1 < lexer->text + lexer->size && close[1] == '`')
        close = memchr(close + 2, '`', (size_t)(lexer->text + lexer->size - close - 2));
    size_t room = close ? (size_t)(close - lexer->text) - lexer->at : 0;
    char *out = mr_arena_alloc(lexer->arena, room + 1);
    if (out == NULL)
        return mr_error_nomem(err);
    size_t size = 0;
    for (;;) {
        if (close == NULL || lexer->at >= lexer->size)
            return mr_lexer_fail(lexer->text, start, err, "this name has no closing backtick");
        char c = lexer->text[lexer->at++];
        if (c == '`') {
            if (peek(lexer, 0) != '`')
                break;
            lexer->at++;
        }
        out[size++] = c;
    }
    if (size == 0)
        return mr_lexer_fail(lexer->text, start, err, "an empty name");
    out[size] = '\0';
    token->kind = MR_TOKEN_QUOTED;
    token->text = out;
    token->size = size;
    return MR_OK;
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

static void lex_suffix(struct mr_lexer *lexer, struct mr_token *token)
{
    char c = upper(peek(lexer, 0));
    size_t length = 0;
    if (c == 'B' && upper(peek(lexer, 1)) == 'D')
        length = 2;
    else if (c == 'L' || c == 'S' || c == 'Y' || c == 'D' || c == 'F')
        length = 1;
    if (length == 0 || is_word((unsigned char)peek(lexer, length)))
        return;
    for (size_t i = 0; i < length; i++)
        token->suffix[i] = upper(peek(lexer, i));
    lexer->at += length;
}

static enum mr_status lex_number(struct mr_lexer *lexer, struct mr_token *token,
                                 struct mr_error *err)
{
    size_t start = lexer->at;
    while (is_digit((unsigned char)peek(lexer, 0)))
        lexer->at++;
    if (peek(lexer, 0) == '.') {
        lexer->at++;
        while (is_digit((unsigned char)peek(lexer, 0)))
            lexer->at++;
    }
    if (upper(peek(lexer, 0)) == 'E') {
        size_t sign = peek(lexer, 1) == '+' || peek(lexer, 1) == '-';
        if (is_digit((unsigned char)peek(lexer, 1 + sign))) {
            lexer->at += 1 + sign;
            while (is_digit((unsigned char)peek(lexer, 0)))
                lexer->at++;
        }
    }
    token->kind = MR_TOKEN_NUMBER;
    token->size = lexer->at - start;
    token->text = mr_arena_strndup(lexer->arena, lexer->text + start, token->size);
    if (token->text == NULL)
        return mr_error_nomem(err);
    lex_suffix(lexer, token);
    if (is_word((unsigned char)peek(lexer, 0)))
        return mr_lexer_fail(lexer->text, start, err,
                             "a number followed by a letter; put names that start with a digit "
                             "in backticks");
    return MR_OK;
}

static const char *const operators[] = {
    "<=>", "<=", "<>", "<", ">=", ">", "==", "=", "!=", "!", "||", "|", "::", ":", "->",
    "=>",  "+",  "-",  "*", "/",  "%", "&",  "^", "~",  "(", ")",  "[", "]",  ",", ".",
};

static enum mr_status lex_operator(struct mr_lexer *lexer, struct mr_token *token,
                                   struct mr_error *err)
{
    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
        size_t length = strlen(operators[i]);
        if (lexer->size - lexer->at >= length &&
            memcmp(lexer->text + lexer->at, operators[i], length) == 0) {
            token->kind = MR_TOKEN_OP;
            token->text = operators[i];
            token->size = length;
            lexer->at += length;
            return MR_OK;
        }
    }
    return mr_lexer_fail(lexer->text, lexer->at, err, "unexpected character '%c'",
                         lexer->text[lexer->at]);
}

static enum mr_status lex_word(struct mr_lexer *lexer, struct mr_token *token, struct mr_error *err)
{
    size_t start = lexer->at;
    while (is_word((unsigned char)peek(lexer, 0)))
        lexer->at++;
    token->kind = MR_TOKEN_WORD;
    token->size = lexer->at - start;
    token->text = mr_arena_strndup(lexer->arena, lexer->text + start, token->size);
    return token->text ? MR_OK : mr_error_nomem(err);
}

static bool is_quote(char c)
{
    return c == '\'' || c == '"';
}

enum mr_status mr_lexer_next(struct mr_lexer *lexer, struct mr_token *token, struct mr_error *err)
{
    MR_TRY(skip_space(lexer, err));
    *token = (struct mr_token){.kind = MR_TOKEN_END, .text = "", .start = lexer->at};
    enum mr_status status = MR_OK;
    char c = peek(lexer, 0);
    if (lexer->at >= lexer->size) {
        status = MR_OK;
    } else if (is_quote(c)) {
        status = lex_string(lexer, false, token, err);
    } else if (upper(c) == 'R' && is_quote(peek(lexer, 1))) {
        lexer->at++;
        status = lex_string(lexer, true, token, err);
    } else if (upper(c) == 'X' && is_quote(peek(lexer, 1))) {
        status = lex_hex(lexer, token, err);
    } else if (c == '`') {
        status = lex_quoted(lexer, token, err);
    } else if (is_digit((unsigned char)c) ||
               (c == '.' && is_digit((unsigned char)peek(lexer, 1)))) {
        status = lex_number(lexer, token, err);
    } else if (is_word_start((unsigned char)c)) {
        status = lex_word(lexer, token, err);
    } else {
        status = lex_operator(lexer, token, err);
    }
    token->end = lexer->at;
    return status;
}

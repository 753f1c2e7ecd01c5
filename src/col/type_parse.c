/*
 * type_parse.c - recursive descent over type names and column lists.
 *
 * The grammar is Spark's DDL with the SQL spellings that people paste from their databases:
 *
 *     type    = name [ '(' number [ ',' number ] ')' ] | array '<' type '>' | map '<' type ',' type
 * '>' | struct '<' [ column { ',' column } ] '>' column  = identifier [ ':' ] type [ NOT NULL |
 * NULL ] [ COMMENT 'text' ]
 *
 * Identifiers are words or `backquoted` with doubled backquotes inside.
 */
#include "base/text.h"
#include "col/type.h"

#include <stdio.h>

#define NESTING_MAX 64

struct parser {
    struct mr_arena *arena;
    const char *text;
    const char *at;
    int depth;
    struct mr_error *err;
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (c & 0x80);
}

static void skip_space(struct parser *p)
{
    while (is_space(*p->at))
        p->at++;
}

static enum mr_status fail(struct parser *p, const char *what)
{
    mr_error_config(p->err, "%s at character %lld of type \"%.200s\"", what,
                    (long long)(p->at - p->text) + 1, p->text);
    return MR_CONFIG;
}

static bool accept(struct parser *p, char c)
{
    skip_space(p);
    if (*p->at != c)
        return false;
    p->at++;
    return true;
}

static enum mr_status expect(struct parser *p, char c)
{
    if (accept(p, c))
        return MR_OK;
    char what[] = "expected 'x'";
    what[sizeof what - 3] = c;
    return fail(p, what);
}

/*
 * The next word, ASCII lower-cased and cut to the buffer; empty when there is none. Does not move.
 */
static size_t peek_word(struct parser *p, char *out, size_t capacity)
{
    skip_space(p);
    size_t length = 0;
    while (is_word(p->at[length]))
        length++;
    size_t n = length < capacity ? length : capacity - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = p->at[i] >= 'A' && p->at[i] <= 'Z' ? (char)(p->at[i] + 32) : p->at[i];
    out[n] = '\0';
    return length;
}

static bool accept_word(struct parser *p, const char *word)
{
    char next[32];
    size_t length = peek_word(p, next, sizeof next);
    if (strcmp(next, word) != 0)
        return false;
    p->at += length;
    return true;
}

static enum mr_status parse_number(struct parser *p, int *out)
{
    skip_space(p);
    if (*p->at < '0' || *p->at > '9')
        return fail(p, "expected a number");
    int value = 0;
    for (; *p->at >= '0' && *p->at <= '9'; p->at++)
        if (value < 100000000)
            value = value * 10 + (*p->at - '0');
    *out = value;
    return MR_OK;
}

static const struct {
    const char *word;
    enum mr_type_id id;
} words[] = {
    {"int", MR_TYPE_INT32},
    {"integer", MR_TYPE_INT32},
    {"int4", MR_TYPE_INT32},
    {"long", MR_TYPE_INT64},
    {"bigint", MR_TYPE_INT64},
    {"int8", MR_TYPE_INT64},
    {"short", MR_TYPE_INT16},
    {"smallint", MR_TYPE_INT16},
    {"int2", MR_TYPE_INT16},
    {"byte", MR_TYPE_INT8},
    {"tinyint", MR_TYPE_INT8},
    {"float", MR_TYPE_FLOAT32},
    {"real", MR_TYPE_FLOAT32},
    {"double", MR_TYPE_FLOAT64},
    {"boolean", MR_TYPE_BOOL},
    {"bool", MR_TYPE_BOOL},
    {"string", MR_TYPE_STRING},
    {"text", MR_TYPE_STRING},
    {"varchar", MR_TYPE_STRING},
    {"char", MR_TYPE_STRING},
    {"character", MR_TYPE_STRING},
    {"binary", MR_TYPE_BINARY},
    {"bytea", MR_TYPE_BINARY},
    {"date", MR_TYPE_DATE},
    {"time", MR_TYPE_TIME},
    {"timestamp", MR_TYPE_TIMESTAMP},
    {"timestamptz", MR_TYPE_TIMESTAMP},
    {"timestamp_ltz", MR_TYPE_TIMESTAMP},
    {"timestamp_ntz", MR_TYPE_TIMESTAMP_NTZ},
    {"decimal", MR_TYPE_DECIMAL},
    {"numeric", MR_TYPE_DECIMAL},
    {"dec", MR_TYPE_DECIMAL},
    {"uuid", MR_TYPE_UUID},
    {"json", MR_TYPE_JSON},
    {"jsonb", MR_TYPE_JSON},
    {"interval", MR_TYPE_INTERVAL},
    {"void", MR_TYPE_NULL},
    {"null", MR_TYPE_NULL},
    {"array", MR_TYPE_LIST},
    {"list", MR_TYPE_LIST},
    {"map", MR_TYPE_MAP},
    {"struct", MR_TYPE_STRUCT},
};

static enum mr_status checked(struct parser *p, const struct mr_type *type,
                              const struct mr_type **out)
{
    *out = type;
    return type ? MR_OK : mr_error_nomem(p->err);
}

static enum mr_status parse_decimal(struct parser *p, const struct mr_type **out)
{
    int precision = 10, scale = 0;
    if (accept(p, '(')) {
        MR_TRY(parse_number(p, &precision));
        if (accept(p, ','))
            MR_TRY(parse_number(p, &scale));
        MR_TRY(expect(p, ')'));
    }
    if (precision < 1 || precision > 38)
        return fail(p, "decimal precision is not in 1..38");
    if (scale > precision)
        return fail(p, "decimal scale is larger than the precision");
    return checked(p, mr_type_decimal(p->arena, precision, scale), out);
}

/* What may follow a plain name: (n), "precision", "varying", "with[out] time zone". */
static enum mr_status parse_suffix(struct parser *p, enum mr_type_id *id)
{
    if (*id == MR_TYPE_FLOAT64)
        accept_word(p, "precision");
    if (*id == MR_TYPE_STRING)
        accept_word(p, "varying");
    if ((*id == MR_TYPE_STRING || *id == MR_TYPE_TIMESTAMP || *id == MR_TYPE_TIME) &&
        accept(p, '(')) {
        int ignored;
        MR_TRY(parse_number(p, &ignored));
        MR_TRY(expect(p, ')'));
    }
    if (*id != MR_TYPE_TIMESTAMP && *id != MR_TYPE_TIME)
        return MR_OK;
    bool without = accept_word(p, "without");
    if (!without && !accept_word(p, "with"))
        return MR_OK;
    if (!accept_word(p, "time") || !accept_word(p, "zone"))
        return fail(p, "expected TIME ZONE");
    if (*id == MR_TYPE_TIMESTAMP && without)
        *id = MR_TYPE_TIMESTAMP_NTZ;
    return MR_OK;
}

static enum mr_status parse_type(struct parser *p, const struct mr_type **out);

static enum mr_status parse_identifier(struct parser *p, const char **out)
{
    skip_space(p);
    if (*p->at != '`') {
        size_t length = 0;
        while (is_word(p->at[length]))
            length++;
        if (length == 0)
            return fail(p, "expected a column name");
        *out = mr_arena_strndup(p->arena, p->at, length);
        p->at += length;
        return *out ? MR_OK : mr_error_nomem(p->err);
    }
    char *name = mr_arena_alloc(p->arena, strlen(p->at) + 1);
    if (!name)
        return mr_error_nomem(p->err);
    size_t n = 0;
    for (p->at++;; p->at++) {
        if (*p->at == '\0')
            return fail(p, "backquote is not closed");
        if (*p->at == '`' && *++p->at != '`')
            break;
        name[n++] = *p->at;
    }
    name[n] = '\0';
    *out = name;
    return n ? MR_OK : fail(p, "expected a column name");
}

static enum mr_status parse_column(struct parser *p, struct mr_field *field)
{
    *field = (struct mr_field){.nullable = true};
    MR_TRY(parse_identifier(p, &field->name));
    accept(p, ':');
    MR_TRY(parse_type(p, &field->type));
    if (accept_word(p, "not")) {
        if (!accept_word(p, "null"))
            return fail(p, "expected NULL");
        field->nullable = false;
    } else {
        accept_word(p, "null");
    }
    if (accept_word(p, "comment")) {
        MR_TRY(expect(p, '\''));
        while (*p->at && *p->at != '\'')
            p->at++;
        MR_TRY(expect(p, '\''));
    }
    return MR_OK;
}

/* Columns up to `end` ('>' or NUL), which is not consumed. */
static enum mr_status parse_columns(struct parser *p, char end, struct mr_field **out, int *nout)
{
    int n = 0, capacity = 8;
    struct mr_field *fields = mr_arena_calloc(p->arena, (size_t)capacity, sizeof *fields);
    if (!fields)
        return mr_error_nomem(p->err);
    skip_space(p);
    while (*p->at != end || n > 0) {
        if (n == capacity) {
            struct mr_field *more = mr_arena_calloc(p->arena, (size_t)capacity * 2, sizeof *more);
            if (!more)
                return mr_error_nomem(p->err);
            memcpy(more, fields, (size_t)n * sizeof *more);
            fields = more;
            capacity *= 2;
        }
        MR_TRY(parse_column(p, &fields[n++]));
        if (!accept(p, ','))
            break;
    }
    *out = fields;
    *nout = n;
    return MR_OK;
}

static enum mr_status parse_nested(struct parser *p, enum mr_type_id id, const struct mr_type **out)
{
    if (++p->depth > NESTING_MAX)
        return fail(p, "types are nested deeper than 64");
    MR_TRY(expect(p, '<'));
    if (id == MR_TYPE_STRUCT) {
        struct mr_field *fields;
        int n;
        MR_TRY(parse_columns(p, '>', &fields, &n));
        MR_TRY(checked(p, mr_type_struct(p->arena, fields, n), out));
    } else {
        const struct mr_type *first, *second;
        MR_TRY(parse_type(p, &first));
        if (id == MR_TYPE_MAP) {
            MR_TRY(expect(p, ','));
            MR_TRY(parse_type(p, &second));
            MR_TRY(checked(p, mr_type_map(p->arena, first, second, true), out));
        } else {
            MR_TRY(checked(p, mr_type_list(p->arena, first, true), out));
        }
    }
    p->depth--;
    return expect(p, '>');
}

static enum mr_status parse_type(struct parser *p, const struct mr_type **out)
{
    char word[32];
    size_t length = peek_word(p, word, sizeof word);
    if (length == 0)
        return fail(p, "expected a type");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].word, word) != 0)
            continue;
        enum mr_type_id id = words[i].id;
        p->at += length;
        if (id == MR_TYPE_DECIMAL)
            return parse_decimal(p, out);
        if (id >= MR_TYPE_LIST)
            return parse_nested(p, id, out);
        MR_TRY(parse_suffix(p, &id));
        *out = mr_type_of(id);
        return MR_OK;
    }
    char what[96];
    snprintf(what, sizeof what, "unknown type \"%s\"", word);
    enum mr_status status = fail(p, what);
    mr_error_hint(p->err, "types are string, int, bigint, double, decimal(p,s), boolean, date, "
                          "timestamp, timestamp_ntz, binary, array<..>, map<..,..>, struct<..>");
    return status;
}

static enum mr_status expect_end(struct parser *p)
{
    skip_space(p);
    return *p->at ? fail(p, "unexpected text") : MR_OK;
}

enum mr_status mr_type_parse(struct mr_arena *arena, const char *text, const struct mr_type **out,
                             struct mr_error *err)
{
    struct parser p = {.arena = arena, .text = text, .at = text, .err = err};
    MR_TRY(parse_type(&p, out));
    return expect_end(&p);
}

enum mr_status mr_schema_parse(struct mr_arena *arena, const char *text,
                               const struct mr_schema **out, struct mr_error *err)
{
    struct parser p = {.arena = arena, .text = text, .at = text, .err = err};
    struct mr_field *fields;
    int n;
    if (accept_word(&p, "struct") && accept(&p, '<')) {
        const struct mr_type *type;
        p.at = text;
        MR_TRY(parse_type(&p, &type));
        MR_TRY(expect_end(&p));
        *out = mr_schema_new(arena, type->fields, type->nfields);
        return *out ? MR_OK : mr_error_nomem(err);
    }
    p.at = text;
    MR_TRY(parse_columns(&p, '\0', &fields, &n));
    MR_TRY(expect_end(&p));
    *out = mr_schema_new(arena, fields, n);
    return *out ? MR_OK : mr_error_nomem(err);
}

/*
 * parse_primary.c - operands: literals, names, calls, CASE, CAST, INTERVAL, and the calls with a grammar of their own.
 *
 * No word is reserved but the ones that would make an operand ambiguous: a column may be called `date`, `offset` or
 * `interval`, and only what follows it decides (DATE '2024-01-01' is a literal, date is a column).
 */
#include "sql/parser.h"

#include "base/text.h"
#include "sql/interval.h"

#include <stdio.h>

static enum mr_status number_out_of_range(struct mr_parser *parser, const struct mr_token *token,
                                          const char *type)
{
    return mr_lexer_fail(parser->lexer.text, token->start, parser->err,
                         "the number %.40s is out of the range of %s", token->text, type);
}

/* Digits and the scale of "12.50", "1e3": the exact value, Spark's type for it. */
static enum mr_status decimal_literal(struct mr_parser *parser, const struct mr_token *token,
                                      bool negative, struct mr_value *value)
{
    const char *text = token->text;
    int64_t exponent = 0;
    int digits = 0, scale = 0;
    bool point = false;
    mr_int128 unscaled = 0;
    for (size_t i = 0; i < token->size; i++) {
        if (text[i] == '.') {
            point = true;
            continue;
        }
        if (text[i] == 'e' || text[i] == 'E') {
            if (!mr_text_to_int64((struct mr_slice){text + i + 1, token->size - i - 1}, false,
                                  &exponent) ||
                exponent > 1000 || exponent < -1000)
                return number_out_of_range(parser, token, "decimal(38)");
            break;
        }
        if (digits == MR_DECIMAL_MAX_PRECISION || scale == MR_DECIMAL_MAX_PRECISION)
            return number_out_of_range(parser, token, "decimal(38)");
        unscaled = unscaled * 10 + (text[i] - '0');
        digits += unscaled != 0;
        scale += point;
    }
    int64_t shifted = scale - exponent;
    if (shifted > MR_DECIMAL_MAX_PRECISION || digits - shifted > MR_DECIMAL_MAX_PRECISION)
        return number_out_of_range(parser, token, "decimal(38)");
    if (shifted < 0) {
        unscaled *= mr_decimal_pow10((int)-shifted);
        digits += (int)-shifted;
        shifted = 0;
    }
    int precision = digits > shifted ? digits : (int)shifted;
    value->type = mr_type_decimal(parser->arena, precision ? precision : 1, (int)shifted);
    value->u.i128 = negative ? -unscaled : unscaled;
    return value->type ? MR_OK : mr_error_nomem(parser->err);
}

static enum mr_status integer_literal(struct mr_parser *parser, const struct mr_token *token,
                                      bool negative, struct mr_value *value)
{
    static const struct {
        const char *suffix;
        enum mr_type_id id;
        int64_t maximum;
        const char *name;
    } kinds[] = {
        {"", MR_TYPE_INT32, INT32_MAX, "int"},       {"L", MR_TYPE_INT64, INT64_MAX, "bigint"},
        {"S", MR_TYPE_INT16, INT16_MAX, "smallint"}, {"Y", MR_TYPE_INT8, INT8_MAX, "tinyint"},
        {"", MR_TYPE_INT64, INT64_MAX, "bigint"},
    };
    mr_uint128 number = 0;
    bool huge = false;
    for (size_t i = 0; i < token->size && !huge; i++) {
        number = number * 10 + (unsigned)(token->text[i] - '0');
        huge = number > (mr_uint128)1 << 64;
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].suffix, token->suffix) != 0)
            continue;
        if (!huge && number <= (mr_uint128)kinds[i].maximum + negative) {
            value->type = mr_type_of(kinds[i].id);
            value->u.i64 = (int64_t)(negative ? -number : number);
            return MR_OK;
        }
        if (token->suffix[0] != '\0')
            return number_out_of_range(parser, token, kinds[i].name);
    }
    return decimal_literal(parser, token, negative, value);
}

static enum mr_status double_literal(struct mr_parser *parser, const struct mr_token *token,
                                     bool negative, struct mr_value *value)
{
    bool single = token->suffix[0] == 'F';
    double number;
    if (!mr_text_to_double((struct mr_slice){token->text, token->size}, false, &number))
        return number_out_of_range(parser, token, "double");
    value->type = mr_type_of(single ? MR_TYPE_FLOAT32 : MR_TYPE_FLOAT64);
    value->u.f64 = single ? (double)(float)number : number;
    if (value->u.f64 - value->u.f64 != 0)
        return number_out_of_range(parser, token, single ? "float" : "double");
    value->u.f64 = negative ? -value->u.f64 : value->u.f64;
    return MR_OK;
}

enum mr_status mr_parse_number(struct mr_parser *parser, bool negative, size_t position,
                               struct mr_ast **out)
{
    struct mr_token token = parser->token;
    struct mr_value value = {0};
    bool point = strchr(token.text, '.') != NULL;
    bool exponent = strpbrk(token.text, "eE") != NULL;
    char suffix = token.suffix[0];
    if (suffix == 'B' || (suffix == '\0' && point && !exponent))
        MR_TRY(decimal_literal(parser, &token, negative, &value));
    else if (suffix == 'D' || suffix == 'F' || (suffix == '\0' && exponent))
        MR_TRY(double_literal(parser, &token, negative, &value));
    else if (point || exponent)
        return mr_parser_unexpected(parser, "a whole number in front of this suffix");
    else
        MR_TRY(integer_literal(parser, &token, negative, &value));
    MR_TRY(mr_parser_advance(parser));
    return mr_ast_literal(parser, position, &value, out);
}

/* Bytes of one type name at text[0]: a word, then (..) or <..> if they follow. */
static size_t type_extent(const char *text, size_t size)
{
    size_t at = 0;
    while (at < size &&
           (text[at] == '_' || (text[at] >= '0' && text[at] <= '9') ||
            (text[at] >= 'a' && text[at] <= 'z') || (text[at] >= 'A' && text[at] <= 'Z')))
        at++;
    size_t next = at;
    while (next < size && text[next] == ' ')
        next++;
    if (next >= size || (text[next] != '(' && text[next] != '<'))
        return at;
    int depth = 0;
    for (; next < size; next++) {
        depth += text[next] == '(' || text[next] == '<';
        depth -= text[next] == ')' || text[next] == '>';
        if (depth == 0)
            return next + 1;
    }
    return at;
}

/* Bytes up to the parenthesis that closes CAST(x AS .... */
static size_t cast_extent(const char *text, size_t size)
{
    int depth = 0;
    for (size_t at = 0; at < size; at++) {
        if (text[at] == ')' && depth-- == 0)
            return at;
        depth += text[at] == '(';
    }
    return size;
}

enum mr_status mr_parse_type(struct mr_parser *parser, bool terminated, const struct mr_type **out)
{
    size_t start = parser->token.start;
    const char *text = parser->lexer.text + start;
    size_t rest = parser->lexer.size - start;
    size_t size = terminated ? cast_extent(text, rest) : type_extent(text, rest);
    if (parser->token.kind != MR_TOKEN_WORD || size == 0)
        return mr_parser_unexpected(parser, "the name of a type");
    char *name = mr_arena_strndup(parser->arena, text, size);
    if (name == NULL)
        return mr_error_nomem(parser->err);
    struct mr_error inner;
    enum mr_status status = mr_type_parse(parser->arena, name, out, &inner);
    if (status == MR_CONFIG) {
        mr_lexer_fail(parser->lexer.text, start, parser->err, "%s", inner.message);
        mr_error_hint(parser->err, "%s", inner.hint);
        return status;
    }
    if (status != MR_OK) {
        if (parser->err)
            *parser->err = inner;
        return status;
    }
    parser->lexer.at = start + size;
    return mr_parser_advance(parser);
}

/* CAST(x AS type), TRY_CAST */
static enum mr_status parse_cast(struct mr_parser *parser, size_t position, bool try_cast,
                                 struct mr_ast **out)
{
    const struct mr_type *type;
    MR_TRY(mr_parse_expression(parser, MR_PREC_OR, out));
    MR_TRY(mr_parser_expect_word(parser, "AS"));
    MR_TRY(mr_parse_type(parser, true, &type));
    MR_TRY(mr_parser_expect_op(parser, ")"));
    MR_TRY(mr_ast_new(parser, MR_AST_CAST, position, NULL, out, 1, out));
    (*out)->type = type;
    (*out)->try_cast = try_cast;
    return MR_OK;
}

static enum mr_status parse_case(struct mr_parser *parser, size_t position, struct mr_ast **out)
{
    struct mr_ast_list list = {0};
    struct mr_ast *operand = NULL;
    struct mr_ast *item;
    bool more, otherwise;
    if (!mr_parser_at_word(parser, "WHEN"))
        MR_TRY(mr_parse_expression(parser, MR_PREC_OR, &operand));
    MR_TRY(mr_parser_expect_word(parser, "WHEN"));
    do {
        MR_TRY(mr_parse_expression(parser, MR_PREC_OR, &item));
        MR_TRY(mr_ast_append(parser, &list, item));
        MR_TRY(mr_parser_expect_word(parser, "THEN"));
        MR_TRY(mr_parse_expression(parser, MR_PREC_OR, &item));
        MR_TRY(mr_ast_append(parser, &list, item));
        MR_TRY(mr_parser_accept_word(parser, "WHEN", &more));
    } while (more);
    MR_TRY(mr_parser_accept_word(parser, "ELSE", &otherwise));
    if (otherwise)
        MR_TRY(mr_parse_expression(parser, MR_PREC_OR, &item));
    else
        MR_TRY(mr_ast_literal(parser, position,
                              &(struct mr_value){.type = mr_type_of(MR_TYPE_NULL), .is_null = true},
                              &item));
    MR_TRY(mr_ast_append(parser, &list, item));
    MR_TRY(mr_parser_expect_word(parser, "END"));
    MR_TRY(mr_ast_new(parser, MR_AST_CASE, position, NULL, list.items, list.count, out));
    (*out)->operand = operand;
    if (operand != NULL && operand->depth >= (*out)->depth)
        (*out)->depth = operand->depth + 1;
    return MR_OK;
}

static const char *const unit_names[] = {"year", "quarter", "month",  "week",        "day",
                                         "hour", "minute",  "second", "millisecond", "microsecond"};

static const char *canonical_unit(const struct mr_token *token)
{
    for (size_t i = 0; i < sizeof(unit_names) / sizeof(unit_names[0]); i++) {
        char plural[16];
        size_t size = strlen(unit_names[i]);
        memcpy(plural, unit_names[i], size);
        plural[size] = 's';
        plural[size + 1] = '\0';
        if (token->kind == MR_TOKEN_WORD && (mr_text_equal_nocase(token->text, unit_names[i]) ||
                                             mr_text_equal_nocase(token->text, plural)))
            return unit_names[i];
    }
    return NULL;
}

static enum mr_status bad_interval(struct mr_parser *parser, const struct mr_token *token)
{
    return mr_lexer_fail(parser->lexer.text, token->start, parser->err,
                         "'%.40s' is not an interval here", token->text);
}

/* [-] number unit | 'text' unit [TO unit] | 'text': one part of an interval, added to it. */
static enum mr_status interval_part(struct mr_parser *parser, struct mr_interval *interval)
{
    bool negative = mr_parser_at_op(parser, "-");
    if (negative || mr_parser_at_op(parser, "+"))
        MR_TRY(mr_parser_advance(parser));
    struct mr_token number = parser->token;
    if (number.kind != MR_TOKEN_NUMBER && number.kind != MR_TOKEN_STRING)
        return mr_parser_unexpected(parser, "a number or a string of an interval");
    MR_TRY(mr_parser_advance(parser));
    const char *unit = canonical_unit(&parser->token);
    struct mr_interval part = {0};
    bool ok;
    if (unit == NULL) {
        if (number.kind == MR_TOKEN_NUMBER)
            return mr_parser_unexpected(parser, "a unit such as DAY or HOURS");
        ok = mr_interval_parse(number.text, number.size, &part);
    } else {
        bool range;
        MR_TRY(mr_parser_advance(parser));
        MR_TRY(mr_parser_accept_word(parser, "TO", &range));
        if (range) {
            const char *to = canonical_unit(&parser->token);
            if (to == NULL)
                return mr_parser_unexpected(parser, "a unit such as MONTH or SECOND");
            MR_TRY(mr_parser_advance(parser));
            ok = mr_interval_parse_range(number.text, number.size, unit, to, &part);
        } else {
            struct mr_slice text = {number.text, number.size};
            while (text.size && text.data[0] == ' ') {
                text.data++;
                text.size--;
            }
            while (text.size && text.data[text.size - 1] == ' ')
                text.size--;
            ok = mr_interval_add(&part, text.data, text.size, unit, strlen(unit));
        }
    }
    if (ok && negative) {
        ok = part.months != INT32_MIN && part.days != INT32_MIN && part.micros != INT64_MIN;
        if (ok)
            part = (struct mr_interval){-part.months, -part.days, -part.micros};
    }
    ok = ok && !__builtin_add_overflow(interval->months, part.months, &interval->months) &&
         !__builtin_add_overflow(interval->days, part.days, &interval->days) &&
         !__builtin_add_overflow(interval->micros, part.micros, &interval->micros);
    return ok ? MR_OK : bad_interval(parser, &number);
}

/* Is the token behind a number or string at the next token a unit? Decides whether one more part follows. */
static MR_LEAF bool another_part(const struct mr_parser *parser)
{
    struct mr_parser ahead = *parser;
    ahead.err = NULL;
    if (mr_parser_at_op(&ahead, "-") || mr_parser_at_op(&ahead, "+"))
        return false;
    if (ahead.token.kind != MR_TOKEN_NUMBER && ahead.token.kind != MR_TOKEN_STRING)
        return false;
    return mr_parser_advance(&ahead) == MR_OK && canonical_unit(&ahead.token) != NULL;
}

enum mr_status mr_parse_interval(struct mr_parser *parser, size_t position, struct mr_ast **out)
{
    struct mr_value value = {.type = mr_type_of(MR_TYPE_INTERVAL)};
    do
        MR_TRY(interval_part(parser, &value.u.interval));
    while (another_part(parser));
    mr_interval_normalise(&value.u.interval);
    return mr_ast_literal(parser, position, &value, out);
}

/* DATE 'text' is CAST('text' AS DATE), folded by the binder. */
static MR_LEAF enum mr_status typed_literal(struct mr_parser *parser, size_t position,
                                            enum mr_type_id id, struct mr_ast **out)
{
    MR_TRY(mr_ast_text(parser, position, parser->token.text, parser->token.size, out));
    MR_TRY(mr_parser_advance(parser));
    MR_TRY(mr_ast_new(parser, MR_AST_CAST, position, NULL, out, 1, out));
    (*out)->type = mr_type_of(id);
    return MR_OK;
}

/* Strings side by side are one. */
static MR_LEAF enum mr_status parse_string(struct mr_parser *parser, struct mr_ast **out)
{
    size_t position = parser->token.start;
    const char *text = parser->token.text;
    size_t size = parser->token.size;
    MR_TRY(mr_parser_advance(parser));
    if (parser->token.kind == MR_TOKEN_STRING) {
        struct mr_bytes joined;
        mr_bytes_init(&joined, MR_SQL_MAX_TEXT);
        mr_bytes_append(&joined, text, size);
        enum mr_status status = MR_OK;
        while (status == MR_OK && parser->token.kind == MR_TOKEN_STRING) {
            mr_bytes_append(&joined, parser->token.text, parser->token.size);
            status = mr_parser_advance(parser);
        }
        if (status == MR_OK)
            status = mr_bytes_status(&joined, parser->err);
        size = joined.size;
        text = status == MR_OK ? mr_arena_strndup(parser->arena, joined.data, size) : NULL;
        mr_bytes_reset(&joined);
        if (status != MR_OK)
            return status;
        if (text == NULL)
            return mr_error_nomem(parser->err);
    }
    return mr_ast_text(parser, position, text, size, out);
}

/* EXTRACT(field FROM x) is date_part('field', x). */
static enum mr_status parse_extract(struct mr_parser *parser, size_t position, struct mr_ast **out)
{
    struct mr_ast *args[2];
    if (parser->token.kind != MR_TOKEN_WORD && parser->token.kind != MR_TOKEN_STRING)
        return mr_parser_unexpected(parser, "a field such as YEAR");
    MR_TRY(
        mr_ast_text(parser, parser->token.start, parser->token.text, parser->token.size, &args[0]));
    MR_TRY(mr_parser_advance(parser));
    MR_TRY(mr_parser_expect_word(parser, "FROM"));
    MR_TRY(mr_parse_expression(parser, MR_PREC_OR, &args[1]));
    MR_TRY(mr_parser_expect_op(parser, ")"));
    return mr_ast_new(parser, MR_AST_CALL, position, "date_part", args, 2, out);
}

/* TRIM([BOTH | LEADING | TRAILING] [characters] FROM text), or the plain call. */
static enum mr_status parse_trim(struct mr_parser *parser, size_t position, struct mr_ast **out)
{
    static const char *const sides[][2] = {{"BOTH", "trim"},
                                           {"LEADING", "ltrim"},
                                           {"TRAILING", "rtrim"}};
    struct mr_ast *args[2];
    const char *name = "trim";
    bool from, side = false;
    for (size_t i = 0; i < 3 && !side; i++) {
        MR_TRY(mr_parser_accept_word(parser, sides[i][0], &side));
        if (side)
            name = sides[i][1];
    }
    MR_TRY(mr_parser_accept_word(parser, "FROM", &from));
    MR_TRY(mr_parse_expression(parser, MR_PREC_OR, &args[0]));
    int nargs = 1;
    if (!from) {
        MR_TRY(mr_parser_accept_word(parser, "FROM", &from));
        bool comma = false;
        if (!from)
            MR_TRY(mr_parser_accept_op(parser, ",", &comma));
        if (from || comma) {
            nargs = 2;
            MR_TRY(mr_parse_expression(parser, MR_PREC_OR, &args[1]));
        }
    }
    MR_TRY(mr_parser_expect_op(parser, ")"));
    return mr_ast_new(parser, MR_AST_CALL, position, name, args, nargs, out);
}

/* The first argument of dateadd(DAY, ..) and its family is a bare unit. */
static bool takes_unit(const char *name)
{
    static const char *const names[] = {"timestampadd", "timestampdiff", "dateadd",
                                        "datediff",     "date_add",      "date_diff"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (mr_text_equal_nocase(name, names[i]))
            return true;
    }
    return false;
}

/* A unit and a comma: the unit as text. *out stays NULL when it is something else. */
static MR_LEAF enum mr_status parse_unit_argument(struct mr_parser *parser, struct mr_ast **out)
{
    struct mr_parser ahead = *parser;
    size_t position = parser->token.start;
    const char *unit = canonical_unit(&parser->token);
    *out = NULL;
    if (unit == NULL)
        return MR_OK;
    MR_TRY(mr_parser_advance(&ahead));
    if (!mr_parser_at_op(&ahead, ","))
        return MR_OK;
    *parser = ahead;
    return mr_ast_text(parser, position, unit, strlen(unit), out);
}

static enum mr_status parse_argument(struct mr_parser *parser, const char *name, bool first,
                                     struct mr_ast **out)
{
    size_t position = parser->token.start;
    if (mr_parser_at_op(parser, "*")) {
        MR_TRY(mr_parser_advance(parser));
        return mr_ast_new(parser, MR_AST_STAR, position, "*", NULL, 0, out);
    }
    if (first && takes_unit(name)) {
        MR_TRY(parse_unit_argument(parser, out));
        if (*out != NULL)
            return MR_OK;
    }
    return mr_parse_expression(parser, MR_PREC_OR, out);
}

/* substring(x FROM a FOR b), position(a IN b), overlay(x PLACING y FROM a FOR b): words that stand for commas. */
static enum mr_status accept_separator(struct mr_parser *parser, const char *name, bool *more)
{
    static const char *const words[] = {"FROM", "FOR", "PLACING"};
    MR_TRY(mr_parser_accept_op(parser, ",", more));
    bool family = mr_text_equal_nocase(name, "substring") || mr_text_equal_nocase(name, "substr") ||
                  mr_text_equal_nocase(name, "overlay");
    for (size_t i = 0; i < 3 && family && !*more; i++)
        MR_TRY(mr_parser_accept_word(parser, words[i], more));
    return MR_OK;
}

/* position(a IN b): IN must not be taken for the predicate. */
static enum mr_status parse_position(struct mr_parser *parser, size_t position, struct mr_ast **out)
{
    struct mr_ast_list list = {0};
    bool more = true;
    while (more) {
        struct mr_ast *item;
        MR_TRY(mr_parse_expression(parser, list.count ? MR_PREC_OR : MR_PREC_COMPARE, &item));
        MR_TRY(mr_ast_append(parser, &list, item));
        MR_TRY(mr_parser_accept_op(parser, ",", &more));
        if (!more && list.count == 1)
            MR_TRY(mr_parser_accept_word(parser, "IN", &more));
    }
    MR_TRY(mr_parser_expect_op(parser, ")"));
    return mr_ast_new(parser, MR_AST_CALL, position, "position", list.items, list.count, out);
}

/* struct(a, b.c, 1 AS x) is named_struct('a', a, 'c', b.c, 'x', 1); what has no name is col1, col2 ... by its place. */
static enum mr_status append_struct_field(struct mr_parser *parser, struct mr_ast_list *list,
                                          struct mr_ast *item)
{
    char place[16];
    size_t position = item->position;
    bool as;
    struct mr_ast *name;
    snprintf(place, sizeof(place), "col%d", list->count / 2 + 1);
    const char *text = place;
    if (item->kind == MR_AST_NAME || item->kind == MR_AST_FIELD)
        text = item->name;
    MR_TRY(mr_parser_accept_word(parser, "AS", &as));
    if (as) {
        if (parser->token.kind != MR_TOKEN_WORD && parser->token.kind != MR_TOKEN_QUOTED)
            return mr_parser_unexpected(parser, "the name of a field");
        text = parser->token.text;
        MR_TRY(mr_parser_advance(parser));
    }
    text = mr_arena_strdup(parser->arena, text);
    if (text == NULL)
        return mr_error_nomem(parser->err);
    MR_TRY(mr_ast_text(parser, position, text, strlen(text), &name));
    MR_TRY(mr_ast_append(parser, list, name));
    return mr_ast_append(parser, list, item);
}

static enum mr_status parse_struct(struct mr_parser *parser, size_t position, struct mr_ast **out)
{
    struct mr_ast_list list = {0};
    bool more = !mr_parser_at_op(parser, ")");
    while (more) {
        struct mr_ast *item;
        MR_TRY(mr_parse_expression(parser, MR_PREC_OR, &item));
        MR_TRY(append_struct_field(parser, &list, item));
        MR_TRY(mr_parser_accept_op(parser, ",", &more));
    }
    MR_TRY(mr_parser_expect_op(parser, ")"));
    return mr_ast_new(parser, MR_AST_CALL, position, "named_struct", list.items, list.count, out);
}

/* OVER (..) or OVER name behind a call; another use of the word is an alias. */
static MR_LEAF enum mr_status parse_over(struct mr_parser *parser, struct mr_ast **call)
{
    struct mr_parser ahead = *parser;
    struct mr_ast_window *window;
    int depth = 0;
    ahead.err = NULL;
    if (!mr_parser_at_word(parser, "OVER") || mr_parser_advance(&ahead) != MR_OK)
        return MR_OK;
    bool name = ahead.token.kind == MR_TOKEN_QUOTED ||
                (ahead.token.kind == MR_TOKEN_WORD && !mr_parser_at_word(&ahead, "FROM"));
    if (!name && !mr_parser_at_op(&ahead, "("))
        return MR_OK;
    MR_TRY(mr_parser_advance(parser));
    MR_TRY(mr_parse_window(parser, &window, &depth));
    (*call)->window = window;
    return mr_ast_deepen(parser, *call, depth);
}

/* Is the word `first` followed by `second`? Then both are consumed. */
static enum mr_status accept_two(struct mr_parser *parser, const char *first, const char *second,
                                 bool *found)
{
    struct mr_parser ahead = *parser;
    ahead.err = NULL;
    *found =
        mr_parser_at_word(parser, first) && mr_parser_advance(&ahead) == MR_OK &&
        (second[0] == '(' ? mr_parser_at_op(&ahead, second) : mr_parser_at_word(&ahead, second));
    if (!*found)
        return MR_OK;
    MR_TRY(mr_parser_advance(parser));
    return mr_parser_advance(parser);
}

/*
 * What may follow a call of an aggregate: WITHIN GROUP (ORDER BY x [DESC]), FILTER (WHERE c), IGNORE
 * or RESPECT NULLS.
 */
static MR_LEAF enum mr_status parse_call_clauses(struct mr_parser *parser, struct mr_ast *call)
{
    bool found;
    MR_TRY(accept_two(parser, "WITHIN", "GROUP", &found));
    if (found) {
        MR_TRY(mr_parser_expect_op(parser, "("));
        MR_TRY(mr_parser_expect_word(parser, "ORDER"));
        MR_TRY(mr_parser_expect_word(parser, "BY"));
        MR_TRY(mr_parse_expression(parser, MR_PREC_OR, &call->order));
        MR_TRY(mr_parser_accept_word(parser, "DESC", &call->descending));
        if (!call->descending)
            MR_TRY(mr_parser_accept_word(parser, "ASC", &found));
        MR_TRY(mr_parser_expect_op(parser, ")"));
        MR_TRY(mr_ast_deepen(parser, call, call->order->depth));
    }
    MR_TRY(accept_two(parser, "FILTER", "(", &found));
    if (found) {
        MR_TRY(mr_parser_expect_word(parser, "WHERE"));
        MR_TRY(mr_parse_expression(parser, MR_PREC_OR, &call->filter));
        MR_TRY(mr_parser_expect_op(parser, ")"));
        MR_TRY(mr_ast_deepen(parser, call, call->filter->depth));
    }
    MR_TRY(accept_two(parser, "IGNORE", "NULLS", &call->ignore_nulls));
    if (!call->ignore_nulls)
        MR_TRY(accept_two(parser, "RESPECT", "NULLS", &found));
    return MR_OK;
}

static enum mr_status parse_plain_call(struct mr_parser *parser, size_t position, const char *name,
                                       struct mr_ast **out)
{
    struct mr_ast_list list = {0};
    bool distinct, all;
    struct mr_token first;
    MR_TRY(mr_parser_accept_word(parser, "DISTINCT", &distinct));
    MR_TRY(mr_parser_accept_word(parser, "ALL", &all));
    bool more = !mr_parser_at_op(parser, ")");
    first = parser->token;
    while (more) {
        struct mr_ast *item;
        MR_TRY(parse_argument(parser, name, list.count == 0, &item));
        MR_TRY(mr_ast_append(parser, &list, item));
        MR_TRY(accept_separator(parser, name, &more));
    }
    MR_TRY(mr_parser_expect_op(parser, ")"));
    /* date_add(day, 1): without a third argument it is a column of that name, not a unit. */
    if (list.count == 2 && takes_unit(name) && canonical_unit(&first) &&
        list.items[0]->kind == MR_AST_LITERAL)
        MR_TRY(mr_ast_new(parser, MR_AST_NAME, first.start, first.text, NULL, 0, &list.items[0]));
    MR_TRY(mr_ast_new(parser, MR_AST_CALL, position, name, list.items, list.count, out));
    (*out)->distinct = distinct;
    MR_TRY(parse_call_clauses(parser, *out));
    return parse_over(parser, out);
}

/* name( has been read. */
static enum mr_status parse_call(struct mr_parser *parser, size_t position, const char *name,
                                 struct mr_ast **out)
{
    if (mr_text_equal_nocase(name, "CAST") || mr_text_equal_nocase(name, "TRY_CAST"))
        return parse_cast(parser, position, name[0] == 'T' || name[0] == 't', out);
    if (mr_text_equal_nocase(name, "EXTRACT"))
        return parse_extract(parser, position, out);
    if (mr_text_equal_nocase(name, "TRIM"))
        return parse_trim(parser, position, out);
    if (mr_text_equal_nocase(name, "POSITION"))
        return parse_position(parser, position, out);
    if (mr_text_equal_nocase(name, "STRUCT"))
        return parse_struct(parser, position, out);
    if (mr_text_equal_nocase(name, "EXISTS") && mr_parser_at_query(parser))
        return mr_parse_subquery(parser, MR_AST_EXISTS, position, NULL, 0, out);
    return parse_plain_call(parser, position, name, out);
}

/* like(a, b) is a call where an operand is asked for. */
static MR_LEAF bool call_follows(const struct mr_parser *parser)
{
    struct mr_parser ahead = *parser;
    ahead.err = NULL;
    return mr_parser_advance(&ahead) == MR_OK && mr_parser_at_op(&ahead, "(");
}

static MR_LEAF bool is_reserved(const struct mr_parser *parser)
{
    static const char *const words[] = {"AND",   "OR",     "THEN",    "WHEN", "ELSE", "END",
                                        "AS",    "FROM",   "IN",      "LIKE", "IS",   "NOT",
                                        "WHERE", "SELECT", "BETWEEN", "ON"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (mr_parser_at_word(parser, words[i]))
            return strcmp(words[i], "LIKE") != 0 || !call_follows(parser);
    }
    return false;
}

static MR_LEAF enum mr_status parse_constant_word(struct mr_parser *parser, size_t position,
                                                  const char *name, struct mr_ast **out)
{
    struct mr_value value = {.type = mr_type_of(MR_TYPE_BOOL)};
    *out = NULL;
    if (mr_text_equal_nocase(name, "NULL"))
        value = (struct mr_value){.type = mr_type_of(MR_TYPE_NULL), .is_null = true};
    else if (mr_text_equal_nocase(name, "TRUE"))
        value.u.i64 = 1;
    else if (!mr_text_equal_nocase(name, "FALSE"))
        return MR_OK;
    return mr_ast_literal(parser, position, &value, out);
}

/* Behind INTERVAL: a number, a string, or a sign in front of one with a unit (else it is a column's name). */
static MR_LEAF bool interval_follows(const struct mr_parser *parser)
{
    struct mr_parser ahead = *parser;
    ahead.err = NULL;
    if (parser->token.kind == MR_TOKEN_NUMBER || parser->token.kind == MR_TOKEN_STRING)
        return true;
    if (!mr_parser_at_op(parser, "-") && !mr_parser_at_op(parser, "+"))
        return false;
    return mr_parser_advance(&ahead) == MR_OK && another_part(&ahead);
}

/* A word that was consumed: what it means depends on the next token. */
static enum mr_status parse_word(struct mr_parser *parser, size_t position, const char *name,
                                 struct mr_ast **out)
{
    static const struct {
        const char *word;
        enum mr_type_id id;
    } typed[] = {{"DATE", MR_TYPE_DATE},
                 {"TIMESTAMP", MR_TYPE_TIMESTAMP},
                 {"TIMESTAMP_LTZ", MR_TYPE_TIMESTAMP},
                 {"TIMESTAMP_NTZ", MR_TYPE_TIMESTAMP_NTZ},
                 {"TIME", MR_TYPE_TIME},
                 {"UUID", MR_TYPE_UUID}};
    bool call;
    MR_TRY(mr_parser_accept_op(parser, "(", &call));
    if (call)
        return parse_call(parser, position, name, out);
    for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++) {
        if (parser->token.kind == MR_TOKEN_STRING && mr_text_equal_nocase(name, typed[i].word))
            return typed_literal(parser, position, typed[i].id, out);
    }
    if (mr_text_equal_nocase(name, "CASE"))
        return parse_case(parser, position, out);
    if (mr_text_equal_nocase(name, "INTERVAL") && interval_follows(parser))
        return mr_parse_interval(parser, position, out);
    MR_TRY(parse_constant_word(parser, position, name, out));
    return *out ? MR_OK : mr_ast_new(parser, MR_AST_NAME, position, name, NULL, 0, out);
}

static enum mr_status parse_parenthesis(struct mr_parser *parser, struct mr_ast **out)
{
    struct mr_ast_list list = {0};
    size_t position = parser->token.start;
    bool more = true;
    MR_TRY(mr_parser_advance(parser));
    if (mr_parser_at_query(parser))
        return mr_parse_subquery(parser, MR_AST_QUERY, position, NULL, 0, out);
    MR_TRY(mr_parse_expression(parser, MR_PREC_OR, out));
    if (!mr_parser_at_op(parser, ","))
        return mr_parser_expect_op(parser, ")");
    while (more) {
        MR_TRY(append_struct_field(parser, &list, *out));
        MR_TRY(mr_parser_accept_op(parser, ",", &more));
        if (more)
            MR_TRY(mr_parse_expression(parser, MR_PREC_OR, out));
    }
    MR_TRY(mr_parser_expect_op(parser, ")"));
    MR_TRY(mr_ast_new(parser, MR_AST_CALL, position, "named_struct", list.items, list.count, out));
    (*out)->row = true;
    return MR_OK;
}

enum mr_status mr_parse_primary(struct mr_parser *parser, struct mr_ast **out)
{
    size_t position = parser->token.start;
    const char *name = parser->token.text;
    switch (parser->token.kind) {
    case MR_TOKEN_NUMBER:
        return mr_parse_number(parser, false, position, out);
    case MR_TOKEN_STRING:
        return parse_string(parser, out);
    case MR_TOKEN_HEX:
        MR_TRY(mr_ast_text(parser, position, name, parser->token.size, out));
        (*out)->literal.type = mr_type_of(MR_TYPE_BINARY);
        return mr_parser_advance(parser);
    case MR_TOKEN_QUOTED:
        MR_TRY(mr_parser_advance(parser));
        return mr_ast_new(parser, MR_AST_NAME, position, name, NULL, 0, out);
    case MR_TOKEN_WORD:
        if (is_reserved(parser))
            return mr_parser_unexpected(parser, "an operand");
        MR_TRY(mr_parser_advance(parser));
        return parse_word(parser, position, name, out);
    default:
        if (mr_parser_at_op(parser, "("))
            return parse_parenthesis(parser, out);
        return mr_parser_unexpected(parser, "an operand");
    }
}

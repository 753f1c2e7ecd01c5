/*
 * parser.c - the operators of the dialect: precedence climbing over tokens.
 *
 * One function per level of precedence, as grammars are usually written, would cost a dozen stack frames for each
 * parenthesis; climbing costs three, and the depth is counted, so that hostile nesting is an error long before a thread's stack
 * of 512 KiB ends. Chains of AND, OR and || become one node of many arguments: a generated condition of a thousand
 * terms is wide, not deep. The tree of any other chain (a + b + c ...) is as deep as it is long and obeys the same limit.
 */
#include "sql/parser.h"

#include "base/text.h"

enum mr_status mr_parser_advance(struct mr_parser *parser)
{
    return mr_lexer_next(&parser->lexer, &parser->token, parser->err);
}

bool mr_parser_at_word(const struct mr_parser *parser, const char *word)
{
    return parser->token.kind == MR_TOKEN_WORD && mr_text_equal_nocase(parser->token.text, word);
}

bool mr_parser_at_op(const struct mr_parser *parser, const char *op)
{
    return parser->token.kind == MR_TOKEN_OP && strcmp(parser->token.text, op) == 0;
}

enum mr_status mr_parser_accept_word(struct mr_parser *parser, const char *word, bool *found)
{
    *found = mr_parser_at_word(parser, word);
    return *found ? mr_parser_advance(parser) : MR_OK;
}

enum mr_status mr_parser_accept_op(struct mr_parser *parser, const char *op, bool *found)
{
    *found = mr_parser_at_op(parser, op);
    return *found ? mr_parser_advance(parser) : MR_OK;
}

enum mr_status mr_parser_unexpected(struct mr_parser *parser, const char *expected)
{
    const struct mr_token *token = &parser->token;
    if (token->kind == MR_TOKEN_END)
        return mr_lexer_fail(parser->lexer.text, token->start, parser->err,
                             "expected %s, found the end of the expression", expected);
    int size = (int)(token->end - token->start > 40 ? 40 : token->end - token->start);
    return mr_lexer_fail(parser->lexer.text, token->start, parser->err, "expected %s, found %.*s",
                         expected, size, parser->lexer.text + token->start);
}

enum mr_status mr_parser_expect_word(struct mr_parser *parser, const char *word)
{
    if (!mr_parser_at_word(parser, word))
        return mr_parser_unexpected(parser, word);
    return mr_parser_advance(parser);
}

enum mr_status mr_parser_expect_op(struct mr_parser *parser, const char *op)
{
    if (!mr_parser_at_op(parser, op))
        return mr_parser_unexpected(parser, op);
    return mr_parser_advance(parser);
}

static MR_LEAF enum mr_status too_deep(struct mr_parser *parser, size_t position)
{
    return mr_lexer_fail(parser->lexer.text, position, parser->err,
                         "the expression is nested deeper than %d levels", MR_SQL_MAX_DEPTH);
}

enum mr_status mr_ast_new(struct mr_parser *parser, enum mr_ast_kind kind, size_t position,
                          const char *name, struct mr_ast *const *args, int nargs,
                          struct mr_ast **out)
{
    struct mr_ast *ast = mr_arena_calloc(parser->arena, 1, sizeof(*ast));
    struct mr_ast **copy = mr_arena_calloc(parser->arena, (size_t)nargs + 1, sizeof(*copy));
    if (ast == NULL || copy == NULL)
        return mr_error_nomem(parser->err);
    *ast = (struct mr_ast){
        .kind = kind, .position = position, .name = name, .nargs = nargs, .args = copy, .depth = 1};
    for (int i = 0; i < nargs; i++) {
        copy[i] = args[i];
        if (args[i]->depth >= ast->depth)
            ast->depth = args[i]->depth + 1;
    }
    *out = ast;
    return ast->depth > MR_SQL_MAX_DEPTH ? too_deep(parser, position) : MR_OK;
}

enum mr_status mr_ast_deepen(struct mr_parser *parser, struct mr_ast *ast, int depth)
{
    if (depth >= ast->depth)
        ast->depth = depth + 1;
    return ast->depth > MR_SQL_MAX_DEPTH ? too_deep(parser, ast->position) : MR_OK;
}

enum mr_status mr_ast_literal(struct mr_parser *parser, size_t position,
                              const struct mr_value *value, struct mr_ast **out)
{
    MR_TRY(mr_ast_new(parser, MR_AST_LITERAL, position, NULL, NULL, 0, out));
    (*out)->literal = *value;
    return MR_OK;
}

enum mr_status mr_ast_text(struct mr_parser *parser, size_t position, const char *text, size_t size,
                           struct mr_ast **out)
{
    struct mr_value value = {.type = mr_type_of(MR_TYPE_STRING), .u.bytes = {text, size}};
    return mr_ast_literal(parser, position, &value, out);
}

enum mr_status mr_ast_append(struct mr_parser *parser, struct mr_ast_list *list, struct mr_ast *ast)
{
    if (list->count == list->capacity) {
        int capacity = list->capacity ? list->capacity * 2 : 4;
        struct mr_ast **items = mr_arena_calloc(parser->arena, (size_t)capacity, sizeof(*items));
        if (items == NULL)
            return mr_error_nomem(parser->err);
        for (int i = 0; i < list->count; i++)
            items[i] = list->items[i];
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = ast;
    return MR_OK;
}

static MR_LEAF enum mr_status operator_call(struct mr_parser *parser, size_t position,
                                            const char *name, struct mr_ast *const *args, int nargs,
                                            struct mr_ast **out)
{
    MR_TRY(mr_ast_new(parser, MR_AST_CALL, position, name, args, nargs, out));
    (*out)->operator_call = true;
    return MR_OK;
}

static MR_LEAF enum mr_status negate_if(struct mr_parser *parser, bool negated, size_t position,
                                        struct mr_ast **ast)
{
    return negated ? operator_call(parser, position, "NOT", ast, 1, ast) : MR_OK;
}

struct binary {
    const char *token;
    bool word;
    enum mr_precedence precedence;
    const char *name;
};

static const struct binary binaries[] = {
    {"OR", true, MR_PREC_OR, "OR"},         {"AND", true, MR_PREC_AND, "AND"},
    {"=", false, MR_PREC_COMPARE, "="},     {"==", false, MR_PREC_COMPARE, "="},
    {"<=>", false, MR_PREC_COMPARE, "<=>"}, {"<>", false, MR_PREC_COMPARE, "<>"},
    {"!=", false, MR_PREC_COMPARE, "<>"},   {"<", false, MR_PREC_COMPARE, "<"},
    {"<=", false, MR_PREC_COMPARE, "<="},   {">", false, MR_PREC_COMPARE, ">"},
    {">=", false, MR_PREC_COMPARE, ">="},   {"|", false, MR_PREC_BIT_OR, "|"},
    {"^", false, MR_PREC_BIT_XOR, "^"},     {"&", false, MR_PREC_BIT_AND, "&"},
    {"+", false, MR_PREC_ADD, "+"},         {"-", false, MR_PREC_ADD, "-"},
    {"||", false, MR_PREC_ADD, "||"},       {"*", false, MR_PREC_MULTIPLY, "*"},
    {"/", false, MR_PREC_MULTIPLY, "/"},    {"%", false, MR_PREC_MULTIPLY, "%"},
    {"DIV", true, MR_PREC_MULTIPLY, "DIV"},
};

static MR_LEAF const struct binary *next_binary(const struct mr_parser *parser)
{
    for (size_t i = 0; i < sizeof(binaries) / sizeof(binaries[0]); i++) {
        const struct binary *op = &binaries[i];
        if (op->word ? mr_parser_at_word(parser, op->token) : mr_parser_at_op(parser, op->token))
            return op;
    }
    return NULL;
}

/* AND, OR, ||: one node however long the chain. */
static enum mr_status parse_chain(struct mr_parser *parser, const struct binary *op,
                                  struct mr_ast **left)
{
    struct mr_ast_list list = {0};
    size_t position = parser->token.start;
    MR_TRY(mr_ast_append(parser, &list, *left));
    while (next_binary(parser) == op) {
        struct mr_ast *right;
        MR_TRY(mr_parser_advance(parser));
        MR_TRY(mr_parse_expression(parser, op->precedence + 1, &right));
        MR_TRY(mr_ast_append(parser, &list, right));
    }
    return operator_call(parser, position, op->name, list.items, list.count, left);
}

static enum mr_status parse_binary(struct mr_parser *parser, const struct binary *op,
                                   struct mr_ast **left)
{
    if (op->precedence <= MR_PREC_AND || strcmp(op->name, "||") == 0)
        return parse_chain(parser, op, left);
    struct mr_ast *args[2] = {*left, NULL};
    size_t position = parser->token.start;
    MR_TRY(mr_parser_advance(parser));
    MR_TRY(mr_parse_expression(parser, op->precedence + 1, &args[1]));
    return operator_call(parser, position, op->name, args, 2, left);
}

/* IS [NOT] NULL | TRUE | FALSE | UNKNOWN | DISTINCT FROM x */
static enum mr_status parse_is(struct mr_parser *parser, struct mr_ast **left)
{
    static const char *const tests[][2] = {{"NULL", "IS NULL"},
                                           {"TRUE", "IS TRUE"},
                                           {"FALSE", "IS FALSE"},
                                           {"UNKNOWN", "IS NULL"}};
    size_t position = parser->token.start;
    bool negated;
    MR_TRY(mr_parser_advance(parser));
    MR_TRY(mr_parser_accept_word(parser, "NOT", &negated));
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        bool found;
        MR_TRY(mr_parser_accept_word(parser, tests[i][0], &found));
        if (!found)
            continue;
        if (i == 0 && negated)
            return operator_call(parser, position, "IS NOT NULL", left, 1, left);
        MR_TRY(operator_call(parser, position, tests[i][1], left, 1, left));
        return negate_if(parser, negated, position, left);
    }
    if (!mr_parser_at_word(parser, "DISTINCT"))
        return mr_parser_unexpected(parser, "NULL, TRUE, FALSE or DISTINCT FROM");
    MR_TRY(mr_parser_advance(parser));
    MR_TRY(mr_parser_expect_word(parser, "FROM"));
    struct mr_ast *args[2] = {*left, NULL};
    MR_TRY(mr_parse_expression(parser, MR_PREC_COMPARE, &args[1]));
    MR_TRY(operator_call(parser, position, "<=>", args, 2, left));
    return negate_if(parser, !negated, position, left);
}

static enum mr_status parse_in(struct mr_parser *parser, struct mr_ast **left)
{
    struct mr_ast_list list = {0};
    size_t position = parser->token.start;
    bool more = true;
    MR_TRY(mr_ast_append(parser, &list, *left));
    MR_TRY(mr_parser_advance(parser));
    MR_TRY(mr_parser_expect_op(parser, "("));
    if (mr_parser_at_query(parser)) {
        struct mr_ast_list row = {0};
        for (int i = 1; (*left)->row && i < (*left)->nargs; i += 2)
            MR_TRY(mr_ast_append(parser, &row, (*left)->args[i]));
        return mr_parse_subquery(parser, MR_AST_IN_QUERY, position, row.count ? row.items : left,
                                 row.count ? row.count : 1, left);
    }
    while (more) {
        struct mr_ast *item;
        MR_TRY(mr_parse_expression(parser, MR_PREC_OR, &item));
        MR_TRY(mr_ast_append(parser, &list, item));
        MR_TRY(mr_parser_accept_op(parser, ",", &more));
    }
    MR_TRY(mr_parser_expect_op(parser, ")"));
    return operator_call(parser, position, "IN", list.items, list.count, left);
}

static enum mr_status parse_between(struct mr_parser *parser, struct mr_ast **left)
{
    struct mr_ast *args[3] = {*left, NULL, NULL};
    size_t position = parser->token.start;
    MR_TRY(mr_parser_advance(parser));
    MR_TRY(mr_parse_expression(parser, MR_PREC_COMPARE, &args[1]));
    MR_TRY(mr_parser_expect_word(parser, "AND"));
    MR_TRY(mr_parse_expression(parser, MR_PREC_COMPARE, &args[2]));
    return operator_call(parser, position, "BETWEEN", args, 3, left);
}

/* x LIKE ANY ('a', 'b') is x LIKE 'a' OR x LIKE 'b'; ALL is AND. */
static enum mr_status parse_like_list(struct mr_parser *parser, const char *name, bool negated,
                                      bool all, size_t position, struct mr_ast **left)
{
    struct mr_ast_list list = {0};
    bool more = true;
    MR_TRY(mr_parser_expect_op(parser, "("));
    while (more) {
        struct mr_ast *args[2] = {*left, NULL};
        struct mr_ast *test;
        MR_TRY(mr_parse_expression(parser, MR_PREC_OR, &args[1]));
        MR_TRY(operator_call(parser, position, name, args, 2, &test));
        MR_TRY(negate_if(parser, negated, position, &test));
        MR_TRY(mr_ast_append(parser, &list, test));
        MR_TRY(mr_parser_accept_op(parser, ",", &more));
    }
    MR_TRY(mr_parser_expect_op(parser, ")"));
    if (list.count == 1) {
        *left = list.items[0];
        return MR_OK;
    }
    return operator_call(parser, position, all ? "AND" : "OR", list.items, list.count, left);
}

static enum mr_status parse_like(struct mr_parser *parser, const char *name, bool negated,
                                 struct mr_ast **left)
{
    struct mr_ast *args[3] = {*left, NULL, NULL};
    size_t position = parser->token.start;
    bool any, some, all, escape;
    MR_TRY(mr_parser_advance(parser));
    MR_TRY(mr_parser_accept_word(parser, "ANY", &any));
    MR_TRY(mr_parser_accept_word(parser, "SOME", &some));
    MR_TRY(mr_parser_accept_word(parser, "ALL", &all));
    if (any || some || all)
        return parse_like_list(parser, name, negated, all, position, left);
    MR_TRY(mr_parse_expression(parser, MR_PREC_COMPARE, &args[1]));
    MR_TRY(mr_parser_accept_word(parser, "ESCAPE", &escape));
    if (escape)
        MR_TRY(mr_parse_expression(parser, MR_PREC_COMPARE, &args[2]));
    MR_TRY(operator_call(parser, position, name, args, escape ? 3 : 2, left));
    return negate_if(parser, negated, position, left);
}

static enum mr_status parse_rlike(struct mr_parser *parser, bool negated, struct mr_ast **left)
{
    struct mr_ast *args[2] = {*left, NULL};
    size_t position = parser->token.start;
    MR_TRY(mr_parser_advance(parser));
    MR_TRY(mr_parse_expression(parser, MR_PREC_COMPARE, &args[1]));
    MR_TRY(operator_call(parser, position, "RLIKE", args, 2, left));
    return negate_if(parser, negated, position, left);
}

/* [NOT] IN, LIKE, ... behind an operand. *found false: none is there. */
static enum mr_status parse_predicate(struct mr_parser *parser, struct mr_ast **left, bool *found)
{
    bool negated = false;
    size_t position = parser->token.start;
    *found = true;
    if (mr_parser_at_word(parser, "IS"))
        return parse_is(parser, left);
    MR_TRY(mr_parser_accept_word(parser, "NOT", &negated));
    if (mr_parser_at_word(parser, "IN")) {
        MR_TRY(parse_in(parser, left));
        return negate_if(parser, negated, position, left);
    }
    if (mr_parser_at_word(parser, "BETWEEN")) {
        MR_TRY(parse_between(parser, left));
        return negate_if(parser, negated, position, left);
    }
    if (mr_parser_at_word(parser, "LIKE"))
        return parse_like(parser, "LIKE", negated, left);
    if (mr_parser_at_word(parser, "ILIKE"))
        return parse_like(parser, "ILIKE", negated, left);
    if (mr_parser_at_word(parser, "RLIKE") || mr_parser_at_word(parser, "REGEXP"))
        return parse_rlike(parser, negated, left);
    *found = false;
    return negated ? mr_parser_unexpected(parser, "IN, LIKE, RLIKE or BETWEEN") : MR_OK;
}

/* .field, [index], ::type */
static enum mr_status parse_postfix(struct mr_parser *parser, struct mr_ast **left)
{
    for (;;) {
        size_t position = parser->token.start;
        if (mr_parser_at_op(parser, ".")) {
            MR_TRY(mr_parser_advance(parser));
            if (parser->token.kind != MR_TOKEN_WORD && parser->token.kind != MR_TOKEN_QUOTED)
                return mr_parser_unexpected(parser, "the name of a field");
            const char *name = parser->token.text;
            MR_TRY(mr_parser_advance(parser));
            MR_TRY(mr_ast_new(parser, MR_AST_FIELD, position, name, left, 1, left));
        } else if (mr_parser_at_op(parser, "[")) {
            struct mr_ast *args[2] = {*left, NULL};
            MR_TRY(mr_parser_advance(parser));
            MR_TRY(mr_parse_expression(parser, MR_PREC_OR, &args[1]));
            MR_TRY(mr_parser_expect_op(parser, "]"));
            MR_TRY(mr_ast_new(parser, MR_AST_INDEX, position, "[]", args, 2, left));
        } else if (mr_parser_at_op(parser, "::")) {
            const struct mr_type *type;
            MR_TRY(mr_parser_advance(parser));
            MR_TRY(mr_parse_type(parser, false, &type));
            MR_TRY(mr_ast_new(parser, MR_AST_CAST, position, NULL, left, 1, left));
            (*left)->type = type;
        } else {
            return MR_OK;
        }
    }
}

/* NOT, signs and ~ in front of an operand. */
static enum mr_status parse_prefix(struct mr_parser *parser, struct mr_ast **out)
{
    size_t position = parser->token.start;
    const char *name = NULL;
    int minimum = MR_PREC_UNARY;
    if (mr_parser_at_word(parser, "NOT") || mr_parser_at_op(parser, "!")) {
        name = "NOT";
        minimum = MR_PREC_NOT;
    } else if (mr_parser_at_op(parser, "-")) {
        name = "-";
    } else if (mr_parser_at_op(parser, "+")) {
        name = "+";
    } else if (mr_parser_at_op(parser, "~")) {
        name = "~";
    }
    if (name == NULL) {
        MR_TRY(mr_parse_primary(parser, out));
        return parse_postfix(parser, out);
    }
    MR_TRY(mr_parser_advance(parser));
    if (name[0] == '-' && parser->token.kind == MR_TOKEN_NUMBER) {
        MR_TRY(mr_parse_number(parser, true, position, out));
        return parse_postfix(parser, out);
    }
    MR_TRY(mr_parse_expression(parser, minimum, out));
    return operator_call(parser, position, name, out, 1, out);
}

enum mr_status mr_parse_expression(struct mr_parser *parser, int minimum, struct mr_ast **out)
{
    if (++parser->depth > MR_SQL_MAX_DEPTH)
        return too_deep(parser, parser->token.start);
    MR_TRY(parse_prefix(parser, out));
    for (;;) {
        const struct binary *op = next_binary(parser);
        bool found = false;
        if (op != NULL && (int)op->precedence >= minimum)
            MR_TRY(parse_binary(parser, op, out));
        else if (op == NULL && minimum <= MR_PREC_PREDICATE) {
            MR_TRY(parse_predicate(parser, out, &found));
            if (!found)
                break;
        } else {
            break;
        }
    }
    parser->depth--;
    return MR_OK;
}

enum mr_status mr_sql_parse(struct mr_arena *arena, const char *text, struct mr_ast **out,
                            struct mr_error *err)
{
    size_t size = strlen(text);
    if (size > MR_SQL_MAX_TEXT)
        return mr_error_config(err, "the expression is longer than 1 MiB");
    if (mr_utf8_valid_prefix(text, size) != size)
        return mr_lexer_fail(text, mr_utf8_valid_prefix(text, size), err,
                             "the expression is not UTF-8");
    struct mr_parser parser = {.arena = arena, .err = err};
    mr_lexer_init(&parser.lexer, arena, text, size);
    MR_TRY(mr_parser_advance(&parser));
    MR_TRY(mr_parse_expression(&parser, MR_PREC_OR, out));
    if (parser.token.kind != MR_TOKEN_END)
        return mr_parser_unexpected(&parser, "an operator or the end of the expression");
    return MR_OK;
}

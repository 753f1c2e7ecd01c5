/*
 * print.c - expressions back to text, for steps that are made of a query, and names for columns without one.
 *
 * The text parses to an equal tree. Each node has the binding strength that the parser gives it and
 * is put in parentheses where its place asks for more; a sign in front of a number always, since the
 * parser would read -(5) as a literal. Names are quoted where they are no plain word or a word of the
 * grammar: in doubt they are quoted.
 */
#include "sql/query.h"

#include "base/text.h"
#include "sql/interval.h"
#include "sql/parser.h"

static const char *const words[] = {
    "ALL",
    "AND",
    "ANTI",
    "ANY",
    "AS",
    "ASC",
    "BETWEEN",
    "BOTH",
    "CASE",
    "CAST",
    "CROSS",
    "CURRENT",
    "DATE",
    "DESC",
    "DISTINCT",
    "DIV",
    "ELSE",
    "END",
    "ESCAPE",
    "EXCEPT",
    "EXISTS",
    "EXTRACT",
    "FALSE",
    "FILTER",
    "FOR",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LATERAL",
    "LEADING",
    "LEFT",
    "LIKE",
    "LIMIT",
    "MINUS",
    "NATURAL",
    "NOT",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OVER",
    "OVERLAY",
    "PARTITION",
    "PIVOT",
    "PLACING",
    "POSITION",
    "RANGE",
    "REGEXP",
    "RIGHT",
    "RLIKE",
    "ROWS",
    "SELECT",
    "SEMI",
    "SOME",
    "THEN",
    "TIME",
    "TIMESTAMP",
    "TO",
    "TRAILING",
    "TRIM",
    "TRUE",
    "TRY_CAST",
    "UNBOUNDED",
    "UNION",
    "USING",
    "UUID",
    "VALUES",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
    "WITHIN",
    "IGNORE",
    "RESPECT",
    "TIMESTAMP_LTZ",
    "TIMESTAMP_NTZ",
    "UNPIVOT",
    "QUALIFY",
    "SORT",
    "CLUSTER",
    "DISTRIBUTE",
    "EMIT",
    "FETCH",
    "TABLESAMPLE",
    "GROUPING",
};

static bool is_plain(const char *name)
{
    for (const char *c = name; *c; c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_';
        if (!letter && (c == name || *c < '0' || *c > '9'))
            return false;
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (mr_text_equal_nocase(name, words[i]))
            return false;
    }
    return *name != '\0';
}

void mr_name_print(struct mr_bytes *out, const char *name)
{
    if (is_plain(name)) {
        mr_bytes_text(out, name);
        return;
    }
    mr_bytes_quoted(out, name, '`');
}

/* 'text' with what the lexer would change escaped: a backslash in front of % and _ stays one. */
static void print_string(struct mr_bytes *out, struct mr_slice text)
{
    mr_bytes_char(out, '\'');
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool like =
            c == '\\' && i + 1 < text.size && (text.data[i + 1] == '%' || text.data[i + 1] == '_');
        if (c == '\0')
            mr_bytes_text(out, "\\0");
        else if (c == '\'' || (c == '\\' && !like))
            mr_bytes_printf(out, "\\%c", c);
        else
            mr_bytes_char(out, c);
    }
    mr_bytes_char(out, '\'');
}

static void print_binary(struct mr_bytes *out, struct mr_slice bytes)
{
    mr_bytes_text(out, "X'");
    for (size_t i = 0; i < bytes.size; i++)
        mr_bytes_printf(out, "%02X", (unsigned char)bytes.data[i]);
    mr_bytes_char(out, '\'');
}

static void print_literal(struct mr_bytes *out, const struct mr_value *value)
{
    char text[MR_DOUBLE_TEXT_MAX];
    char interval[MR_INTERVAL_TEXT_MAX];
    enum mr_type_id id = value->type->id;
    if (value->is_null) {
        mr_bytes_text(out, "NULL");
        return;
    }
    switch (id) {
    case MR_TYPE_BOOL:
        mr_bytes_text(out, value->u.i64 ? "TRUE" : "FALSE");
        return;
    case MR_TYPE_FLOAT64:
        mr_double_to_text(value->u.f64, text);
        mr_bytes_printf(out, "%sD", text);
        return;
    case MR_TYPE_FLOAT32:
        mr_float_to_text((float)value->u.f64, text);
        mr_bytes_printf(out, "%sF", text);
        return;
    case MR_TYPE_STRING:
        print_string(out, value->u.bytes);
        return;
    case MR_TYPE_BINARY:
        print_binary(out, value->u.bytes);
        return;
    case MR_TYPE_INTERVAL:
        mr_interval_format(&value->u.interval, interval);
        mr_bytes_printf(out, "INTERVAL '%s'", interval);
        return;
    default:
        mr_value_format(value, out);
        mr_bytes_text(out, id == MR_TYPE_INT64     ? "L"
                           : id == MR_TYPE_INT16   ? "S"
                           : id == MR_TYPE_INT8    ? "Y"
                           : id == MR_TYPE_DECIMAL ? "BD"
                                                   : "");
    }
}

static bool is_number(const struct mr_ast *ast)
{
    return ast->kind == MR_AST_LITERAL && !ast->literal.is_null &&
           mr_type_is_numeric(ast->literal.type);
}

static bool is_negative(const struct mr_ast *ast)
{
    const struct mr_value *value = &ast->literal;
    switch (value->type->id) {
    case MR_TYPE_FLOAT32:
    case MR_TYPE_FLOAT64:
        return value->u.f64 < 0 || (value->u.f64 == 0 && 1 / value->u.f64 < 0);
    case MR_TYPE_DECIMAL:
        return value->u.i128 < 0;
    default:
        return value->u.i64 < 0;
    }
}

static const struct {
    const char *name;
    int precedence;
} binaries[] = {
    {"OR", MR_PREC_OR},        {"AND", MR_PREC_AND},    {"=", MR_PREC_COMPARE},
    {"<=>", MR_PREC_COMPARE},  {"<>", MR_PREC_COMPARE}, {"<", MR_PREC_COMPARE},
    {"<=", MR_PREC_COMPARE},   {">", MR_PREC_COMPARE},  {">=", MR_PREC_COMPARE},
    {"|", MR_PREC_BIT_OR},     {"^", MR_PREC_BIT_XOR},  {"&", MR_PREC_BIT_AND},
    {"+", MR_PREC_ADD},        {"-", MR_PREC_ADD},      {"||", MR_PREC_ADD},
    {"*", MR_PREC_MULTIPLY},   {"/", MR_PREC_MULTIPLY}, {"%", MR_PREC_MULTIPLY},
    {"DIV", MR_PREC_MULTIPLY},
};

/* The level of a binary operator, 0 for other calls. */
static int binary_precedence(const struct mr_ast *ast)
{
    for (size_t i = 0; ast->nargs > 1 && i < sizeof(binaries) / sizeof(binaries[0]); i++) {
        if (strcmp(ast->name, binaries[i].name) == 0)
            return binaries[i].precedence;
    }
    return 0;
}

static int precedence(const struct mr_ast *ast)
{
    if (is_number(ast))
        return is_negative(ast) ? MR_PREC_UNARY : MR_PREC_POSTFIX;
    if (ast->kind == MR_AST_IN_QUERY)
        return MR_PREC_PREDICATE;
    if (ast->kind != MR_AST_CALL || !ast->operator_call)
        return MR_PREC_POSTFIX;
    if (binary_precedence(ast) > 0)
        return binary_precedence(ast);
    if (strcmp(ast->name, "NOT") == 0)
        return MR_PREC_NOT;
    return ast->nargs == 1 && strchr("+-~", ast->name[0]) ? MR_PREC_UNARY : MR_PREC_PREDICATE;
}

static void print(struct mr_bytes *out, const struct mr_ast *ast, int minimum);

static void print_list(struct mr_bytes *out, struct mr_ast *const *items, int count)
{
    for (int i = 0; i < count; i++) {
        mr_bytes_text(out, i ? ", " : "");
        print(out, items[i], MR_PREC_OR);
    }
}

static void print_orders(struct mr_bytes *out, const struct mr_ast_order *orders, int count)
{
    for (int i = 0; i < count; i++) {
        mr_bytes_text(out, i ? ", " : "");
        print(out, orders[i].expr, MR_PREC_OR);
        mr_bytes_text(out, orders[i].descending ? " DESC" : "");
        if (orders[i].nulls_first == orders[i].descending)
            mr_bytes_text(out, orders[i].nulls_first ? " NULLS FIRST" : " NULLS LAST");
    }
}

static void print_bound(struct mr_bytes *out, const char *bound, const struct mr_ast *offset)
{
    if (offset != NULL) {
        print(out, offset, MR_PREC_COMPARE);
        mr_bytes_char(out, ' ');
    }
    mr_bytes_text(out, bound);
}

void mr_window_print(struct mr_bytes *out, const struct mr_ast_window *window)
{
    const char *space = "";
    bool bare = window->npartitions == 0 && window->norders == 0 && window->frame == NULL;
    if (window->name != NULL && bare) {
        mr_name_print(out, window->name);
        return;
    }
    mr_bytes_char(out, '(');
    if (window->name != NULL) {
        mr_name_print(out, window->name);
        space = " ";
    }
    if (window->npartitions > 0) {
        mr_bytes_printf(out, "%sPARTITION BY ", space);
        print_list(out, window->partitions, window->npartitions);
        space = " ";
    }
    if (window->norders > 0) {
        mr_bytes_printf(out, "%sORDER BY ", space);
        print_orders(out, window->orders, window->norders);
        space = " ";
    }
    if (window->frame != NULL) {
        mr_bytes_printf(out, "%s%s %s", space, window->frame, window->to ? "BETWEEN " : "");
        print_bound(out, window->from, window->from_offset);
        if (window->to != NULL) {
            mr_bytes_text(out, " AND ");
            print_bound(out, window->to, window->to_offset);
        }
    }
    mr_bytes_char(out, ')');
}

static void print_call(struct mr_bytes *out, const struct mr_ast *ast)
{
    mr_bytes_printf(out, "%s(%s", ast->name, ast->distinct ? "DISTINCT " : "");
    print_list(out, ast->args, ast->nargs);
    mr_bytes_char(out, ')');
    if (ast->order != NULL) {
        mr_bytes_text(out, " WITHIN GROUP (ORDER BY ");
        print(out, ast->order, MR_PREC_OR);
        mr_bytes_text(out, ast->descending ? " DESC)" : ")");
    }
    if (ast->filter != NULL) {
        mr_bytes_text(out, " FILTER (WHERE ");
        print(out, ast->filter, MR_PREC_OR);
        mr_bytes_char(out, ')');
    }
    if (ast->ignore_nulls)
        mr_bytes_text(out, " IGNORE NULLS");
    if (ast->window != NULL) {
        mr_bytes_text(out, " OVER ");
        mr_window_print(out, ast->window);
    }
}

static void print_operator(struct mr_bytes *out, const struct mr_ast *ast)
{
    const char *name = ast->name;
    int level = binary_precedence(ast);
    struct mr_ast *const *args = ast->args;
    if (level > 0) {
        bool chain = level <= MR_PREC_AND || strcmp(name, "||") == 0;
        for (int i = 0; i < ast->nargs; i++) {
            if (i > 0)
                mr_bytes_printf(out, " %s ", name);
            print(out, args[i], i == 0 && !chain ? level : level + 1);
        }
    } else if (strcmp(name, "NOT") == 0) {
        mr_bytes_text(out, "NOT ");
        print(out, args[0], MR_PREC_NOT);
    } else if (ast->nargs == 1 && strchr("+-~", name[0])) {
        mr_bytes_text(out, name); /* a number or a second sign would make another token */
        print(out, args[0], is_number(args[0]) ? MR_PREC_POSTFIX + 1 : MR_PREC_POSTFIX);
    } else {
        print(out, args[0], MR_PREC_COMPARE);
        mr_bytes_printf(out, " %s", name);
        if (strcmp(name, "IN") == 0) {
            mr_bytes_text(out, " (");
            print_list(out, args + 1, ast->nargs - 1);
            mr_bytes_char(out, ')');
            return;
        }
        static const char *const between[] = {"", " ", " AND "}, *const like[] = {"", " ",
                                                                                  " ESCAPE "};
        for (int i = 1; i < ast->nargs; i++) {
            mr_bytes_text(out, strcmp(name, "BETWEEN") == 0 ? between[i] : like[i]);
            print(out, args[i], MR_PREC_COMPARE);
        }
    }
}

static void print_case(struct mr_bytes *out, const struct mr_ast *ast)
{
    mr_bytes_text(out, "CASE ");
    if (ast->operand != NULL) {
        print(out, ast->operand, MR_PREC_OR);
        mr_bytes_char(out, ' ');
    }
    for (int i = 0; i + 1 < ast->nargs; i += 2) {
        mr_bytes_text(out, "WHEN ");
        print(out, ast->args[i], MR_PREC_OR);
        mr_bytes_text(out, " THEN ");
        print(out, ast->args[i + 1], MR_PREC_OR);
        mr_bytes_char(out, ' ');
    }
    mr_bytes_text(out, "ELSE ");
    print(out, ast->args[ast->nargs - 1], MR_PREC_OR);
    mr_bytes_text(out, " END");
}

static void print_in_query(struct mr_bytes *out, const struct mr_ast *ast)
{
    if (ast->nargs > 1) {
        mr_bytes_char(out, '(');
        print_list(out, ast->args, ast->nargs);
        mr_bytes_char(out, ')');
    } else {
        print(out, ast->args[0], MR_PREC_COMPARE);
    }
    mr_bytes_text(out, " IN (");
    mr_query_print(out, ast->query);
    mr_bytes_char(out, ')');
}

static void print_bare(struct mr_bytes *out, const struct mr_ast *ast)
{
    switch (ast->kind) {
    case MR_AST_LITERAL:
        print_literal(out, &ast->literal);
        return;
    case MR_AST_NAME:
        mr_name_print(out, ast->name);
        return;
    case MR_AST_FIELD:
        print(out, ast->args[0], is_number(ast->args[0]) ? MR_PREC_POSTFIX + 1 : MR_PREC_POSTFIX);
        mr_bytes_char(out, '.');
        mr_name_print(out, ast->name);
        return;
    case MR_AST_INDEX:
        print(out, ast->args[0], MR_PREC_POSTFIX);
        mr_bytes_char(out, '[');
        print(out, ast->args[1], MR_PREC_OR);
        mr_bytes_char(out, ']');
        return;
    case MR_AST_CALL:
        if (ast->operator_call)
            print_operator(out, ast);
        else
            print_call(out, ast);
        return;
    case MR_AST_CAST:
        mr_bytes_text(out, ast->try_cast ? "TRY_CAST(" : "CAST(");
        print(out, ast->args[0], MR_PREC_OR);
        mr_bytes_text(out, " AS ");
        mr_type_format(ast->type, out);
        mr_bytes_char(out, ')');
        return;
    case MR_AST_CASE:
        print_case(out, ast);
        return;
    case MR_AST_STAR:
        mr_bytes_char(out, '*');
        return;
    case MR_AST_COLUMN:
        mr_bytes_printf(out, "#%d", ast->column);
        return;
    case MR_AST_EXISTS:
    case MR_AST_QUERY:
        mr_bytes_text(out, ast->kind == MR_AST_EXISTS ? "EXISTS (" : "(");
        mr_query_print(out, ast->query);
        mr_bytes_char(out, ')');
        return;
    case MR_AST_IN_QUERY:
        print_in_query(out, ast);
        return;
    }
}

static void print(struct mr_bytes *out, const struct mr_ast *ast, int minimum)
{
    if (out->status != MR_OK) /* too long: a tree that shares nodes may have no end that we reach */
        return;
    bool open = precedence(ast) < minimum;
    if (open)
        mr_bytes_char(out, '(');
    print_bare(out, ast);
    if (open)
        mr_bytes_char(out, ')');
}

void mr_ast_print(struct mr_bytes *out, const struct mr_ast *ast)
{
    print(out, ast, MR_PREC_OR);
}

void mr_orders_print(struct mr_bytes *out, const struct mr_ast_order *orders, int count)
{
    print_orders(out, orders, count);
}

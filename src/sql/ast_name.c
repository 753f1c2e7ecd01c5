/*
 * ast_name.c - the name that Spark gives a column without an alias, and equality of trees.
 *
 * Spark prints the resolved expression in its own notation: every binary operator in parentheses, text
 * without quotes, count(*) as count(1).
 */
#include "sql/query.h"

#include "base/text.h"

static void name_of(struct mr_bytes *out, const struct mr_ast *ast);

static void list_of(struct mr_bytes *out, struct mr_ast *const *items, int count)
{
    for (int i = 0; i < count; i++) {
        mr_bytes_text(out, i ? ", " : "");
        name_of(out, items[i]);
    }
}

static void literal_of(struct mr_bytes *out, const struct mr_value *value)
{
    if (!value->is_null && value->type->id == MR_TYPE_STRING) {
        mr_bytes_append(out, value->u.bytes.data, value->u.bytes.size);
        return;
    }
    if (!value->is_null && value->type->id == MR_TYPE_INTERVAL)
        mr_bytes_text(out, "INTERVAL ");
    mr_value_format(value, out);
}

static void binary_of(struct mr_bytes *out, const struct mr_ast *ast, const char *name)
{
    for (int i = 1; i < ast->nargs; i++)
        mr_bytes_char(out, '(');
    name_of(out, ast->args[0]);
    for (int i = 1; i < ast->nargs; i++) {
        mr_bytes_printf(out, " %s ", name);
        name_of(out, ast->args[i]);
        mr_bytes_char(out, ')');
    }
}

static void operator_of(struct mr_bytes *out, const struct mr_ast *ast)
{
    const char *name = ast->name;
    if (strcmp(name, "<>") == 0) {
        mr_bytes_text(out, "(NOT ");
        binary_of(out, ast, "=");
        mr_bytes_char(out, ')');
    } else if (strcmp(name, "||") == 0 || strcmp(name, "BETWEEN") == 0) {
        mr_bytes_text(out, name[0] == '|' ? "concat(" : "between(");
        list_of(out, ast->args, ast->nargs);
        mr_bytes_char(out, ')');
    } else if (strcmp(name, "IN") == 0) {
        mr_bytes_char(out, '(');
        name_of(out, ast->args[0]);
        mr_bytes_text(out, " IN (");
        list_of(out, ast->args + 1, ast->nargs - 1);
        mr_bytes_text(out, "))");
    } else if (strncmp(name, "IS ", 3) == 0) {
        mr_bytes_char(out, '(');
        name_of(out, ast->args[0]);
        mr_bytes_printf(out, " %s)", name);
    } else if (ast->nargs == 1) {
        mr_bytes_printf(out, name[0] == '+' ? "(+ " : name[0] == '~' ? "~" : "(%s ", name);
        name_of(out, ast->args[0]);
        mr_bytes_text(out, name[0] == '~' ? "" : ")");
    } else if (strstr(name, "LIKE") != NULL && name[0] != 'R') {
        name_of(out, ast->args[0]);
        mr_bytes_printf(out, " %s ", name);
        name_of(out, ast->args[1]);
    } else {
        binary_of(out, ast, name);
    }
}

static void call_of(struct mr_bytes *out, const struct mr_ast *ast)
{
    for (const char *c = ast->name; *c; c++)
        mr_bytes_char(out, *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c);
    mr_bytes_text(out, ast->distinct ? "(DISTINCT " : "(");
    if (ast->nargs == 1 && ast->args[0]->kind == MR_AST_STAR)
        mr_bytes_char(out, '1');
    else
        list_of(out, ast->args, ast->nargs);
    mr_bytes_char(out, ')');
    if (ast->order != NULL) {
        mr_bytes_text(out, " WITHIN GROUP (ORDER BY ");
        name_of(out, ast->order);
        mr_bytes_text(out, ast->descending ? " DESC NULLS LAST)" : " ASC NULLS FIRST)");
    }
    if (ast->filter != NULL) {
        mr_bytes_text(out, " FILTER (WHERE ");
        name_of(out, ast->filter);
        mr_bytes_char(out, ')');
    }
    if (ast->window != NULL) {
        mr_bytes_text(out, " OVER ");
        mr_window_print(out, ast->window);
    }
}

static void case_of(struct mr_bytes *out, const struct mr_ast *ast)
{
    mr_bytes_text(out, "CASE");
    for (int i = 0; i + 1 < ast->nargs; i += 2) {
        mr_bytes_text(out, " WHEN ");
        if (ast->operand != NULL) {
            mr_bytes_char(out, '(');
            name_of(out, ast->operand);
            mr_bytes_text(out, " = ");
        }
        name_of(out, ast->args[i]);
        mr_bytes_text(out, ast->operand ? ") THEN " : " THEN ");
        name_of(out, ast->args[i + 1]);
    }
    const struct mr_ast *otherwise = ast->args[ast->nargs - 1];
    if (otherwise->kind != MR_AST_LITERAL || !otherwise->literal.is_null) {
        mr_bytes_text(out, " ELSE ");
        name_of(out, otherwise);
    }
    mr_bytes_text(out, " END");
}

static void cast_of(struct mr_bytes *out, const struct mr_ast *ast)
{
    char type[256];
    mr_type_text(ast->type, type, sizeof type);
    for (char *c = type; *c; c++)
        *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;
    mr_bytes_text(out, ast->try_cast ? "TRY_CAST(" : "CAST(");
    name_of(out, ast->args[0]);
    mr_bytes_printf(out, " AS %s)", type);
}

static void name_of(struct mr_bytes *out, const struct mr_ast *ast)
{
    if (out->status != MR_OK)
        return;
    switch (ast->kind) {
    case MR_AST_LITERAL:
        literal_of(out, &ast->literal);
        return;
    case MR_AST_NAME:
        mr_bytes_text(out, ast->name);
        return;
    case MR_AST_FIELD:
        name_of(out, ast->args[0]);
        mr_bytes_printf(out, ".%s", ast->name);
        return;
    case MR_AST_INDEX:
        name_of(out, ast->args[0]);
        mr_bytes_char(out, '[');
        name_of(out, ast->args[1]);
        mr_bytes_char(out, ']');
        return;
    case MR_AST_CALL:
        if (ast->operator_call)
            operator_of(out, ast);
        else
            call_of(out, ast);
        return;
    case MR_AST_CAST:
        cast_of(out, ast);
        return;
    case MR_AST_CASE:
        case_of(out, ast);
        return;
    case MR_AST_QUERY:
        mr_bytes_text(out, "scalarsubquery()");
        return;
    case MR_AST_EXISTS:
        mr_bytes_text(out, "exists()");
        return;
    case MR_AST_IN_QUERY:
        mr_bytes_text(out, "insubquery()");
        return;
    case MR_AST_STAR:
        mr_bytes_char(out, '*');
        return;
    case MR_AST_COLUMN:
        mr_bytes_printf(out, "#%d", ast->column);
        return;
    }
}

void mr_ast_name(struct mr_bytes *out, const struct mr_ast *ast)
{
    name_of(out, ast);
}

static bool same_text(const char *a, const char *b)
{
    return (a == NULL) == (b == NULL) && (a == NULL || mr_text_equal_nocase(a, b));
}

static bool same_or_none(const struct mr_ast *a, const struct mr_ast *b)
{
    return (a == NULL) == (b == NULL) && (a == NULL || mr_ast_equal(a, b));
}

static bool same_literal(const struct mr_value *a, const struct mr_value *b)
{
    if (!mr_type_equal(a->type, b->type) || a->is_null != b->is_null)
        return false;
    if (a->is_null)
        return true;
    if (a->type->id == MR_TYPE_INTERVAL)
        return a->u.interval.months == b->u.interval.months &&
               a->u.interval.days == b->u.interval.days &&
               a->u.interval.micros == b->u.interval.micros;
    return mr_value_compare(a, b) == 0;
}

bool mr_window_equal(const struct mr_ast_window *a, const struct mr_ast_window *b)
{
    if (a == b)
        return true;
    if (a == NULL || b == NULL || !same_text(a->name, b->name) ||
        a->npartitions != b->npartitions || a->norders != b->norders ||
        !same_text(a->frame, b->frame) || !same_text(a->from, b->from) ||
        !same_text(a->to, b->to) || !same_or_none(a->from_offset, b->from_offset) ||
        !same_or_none(a->to_offset, b->to_offset))
        return false;
    for (int i = 0; i < a->npartitions; i++)
        if (!mr_ast_equal(a->partitions[i], b->partitions[i]))
            return false;
    for (int i = 0; i < a->norders; i++)
        if (a->orders[i].descending != b->orders[i].descending ||
            a->orders[i].nulls_first != b->orders[i].nulls_first ||
            !mr_ast_equal(a->orders[i].expr, b->orders[i].expr))
            return false;
    return true;
}

bool mr_ast_equal(const struct mr_ast *a, const struct mr_ast *b)
{
    if (a == b)
        return true;
    if (a->kind != b->kind || a->nargs != b->nargs || a->operator_call != b->operator_call ||
        a->distinct != b->distinct || a->try_cast != b->try_cast || a->query != b->query ||
        a->descending != b->descending || a->ignore_nulls != b->ignore_nulls ||
        !same_or_none(a->filter, b->filter) || !same_or_none(a->order, b->order) ||
        a->resolved != b->resolved || !same_text(a->name, b->name) ||
        !same_or_none(a->operand, b->operand) || !same_or_none(a->filter, b->filter) ||
        !same_or_none(a->order, b->order) || a->descending != b->descending ||
        a->ignore_nulls != b->ignore_nulls || a->column != b->column ||
        !mr_window_equal(a->window, b->window))
        return false;
    if (a->kind == MR_AST_LITERAL && !same_literal(&a->literal, &b->literal))
        return false;
    if (a->kind == MR_AST_CAST && !mr_type_equal(a->type, b->type))
        return false;
    for (int i = 0; i < a->nargs; i++)
        if (!mr_ast_equal(a->args[i], b->args[i]))
            return false;
    return true;
}

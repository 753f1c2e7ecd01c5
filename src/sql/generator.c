/*
 * generator.c - explode and its family, which give rows instead of a value.
 *
 * An expression has one value a row, so a generator may only stand as the whole text of a column; the operator that
 * computes columns takes it apart here and multiplies the rows itself. Anywhere else the rows of the function table below refuse it.
 */
#include "sql/ast.h"
#include "sql/function.h"

#include "base/text.h"

static const struct mr_sql_generator generators[] = {
    {.name = "explode"},
    {.name = "explode_outer", .outer = true},
    {.name = "posexplode", .position = true},
    {.name = "posexplode_outer", .position = true, .outer = true},
    {.name = "inline", .fields = true},
    {.name = "inline_outer", .fields = true, .outer = true},
};

static bool is_blank(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\n' && text[i] != '\r')
            return false;
    }
    return true;
}

/* What stands between the parentheses of name(..), which is all of the text but blanks; NULL: it is not. */
static char *argument_of(struct mr_arena *arena, const struct mr_ast *call, const char *text)
{
    const char *open = strchr(text + call->position, '('), *end = text + strlen(text);
    while (end > text && is_blank(end - 1, 1))
        end--;
    if (open == NULL || end == text || end[-1] != ')' || !is_blank(text, call->position))
        return NULL;
    return mr_arena_strndup(arena, open + 1, (size_t)(end - 1 - (open + 1)));
}

enum mr_status mr_sql_generator_of(struct mr_arena *arena, const char *text,
                                   struct mr_sql_generator *out, struct mr_error *err)
{
    struct mr_ast *ast;
    *out = (struct mr_sql_generator){0};
    MR_TRY(mr_sql_parse(arena, text, &ast, err));
    if (ast->kind != MR_AST_CALL || ast->operator_call || ast->nargs != 1)
        return MR_OK;
    for (size_t i = 0; i < sizeof(generators) / sizeof(generators[0]); i++) {
        if (!mr_text_equal_nocase(generators[i].name, ast->name))
            continue;
        const char *argument = argument_of(arena, ast, text);
        if (argument != NULL) {
            *out = generators[i];
            out->argument = argument;
        }
    }
    return MR_OK;
}

static enum mr_status bind_refused(struct mr_binding *binding)
{
    return mr_bind_fail(binding, -1,
                        "it gives rows: it may only be all of one column of enrichData or "
                        "selectColumns");
}

#define ROW(names_, signature_, doc_)                                                              \
    {                                                                                              \
        .names = names_, .args = "a", .result = "!", .kernel = mr_kernel_replaced,                 \
        .bind = bind_refused, .signature = signature_, .family = "generators", .doc = doc_         \
    }

static const struct mr_function functions[] = {
    ROW("explode explode_outer", "explode(array or map)",
        "A row for each element; a column n becomes n, of a map n_key and n_value. The outer form "
        "keeps rows without elements. Only as all of one column of enrichData or selectColumns."),
    ROW("posexplode posexplode_outer", "posexplode(array or map)",
        "The same with the position, from 0, in front: n_pos."),
    ROW("inline inline_outer", "inline(array of structs)",
        "A row for each struct, its fields as columns of their own names."),
};

const struct mr_function_family mr_functions_generator = {functions,
                                                          sizeof(functions) / sizeof(functions[0])};

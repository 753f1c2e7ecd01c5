/*
 * aggregate_split.c - "sum(price * qty) / count(*)" over rows becomes two calls and "#0 / #1" over their results.
 *
 * Trees that are equal to a group expression become its key column, calls of aggregates become result columns, in
 * place. What is left must not name a column of the input: such a column has no one value in a group. Equality is that
 * of a hash over the tree in which names stand for the columns that they mean, so that `t.a`, `A` and `a` are equal.
 */
#include "base/hash.h"
#include "base/text.h"
#include "sql/aggregate_call.h"
#include "sql/lexer.h"
#include "sql/parser.h"
#include "sql/query.h"

static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (const char *c = text ? text : ""; *c; c++)
        hash = mr_hash_combine(hash, (uint64_t)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c));
    return mr_hash_mix(hash);
}

static uint64_t hash_value(uint64_t hash, const struct mr_value *value)
{
    hash = mr_hash_combine(hash, (uint64_t)value->type->id);
    hash = mr_hash_combine(hash, (uint64_t)value->is_null);
    if (value->is_null)
        return hash;
    switch (mr_type_layout(value->type)) {
    case MR_LAYOUT_BYTES:
        return mr_hash_combine(hash, mr_hash64(value->u.bytes.data, value->u.bytes.size));
    case MR_LAYOUT_FIXED16:
        return mr_hash_combine(hash, mr_hash64(value->u.uuid, sizeof value->u.uuid));
    default:
        if (value->type->id == MR_TYPE_DECIMAL) {
            hash = mr_hash_combine(hash, (uint64_t)value->type->scale);
            hash = mr_hash_combine(hash, (uint64_t)value->u.i128);
            return mr_hash_combine(hash, (uint64_t)(value->u.i128 >> 64));
        }
        return mr_hash_combine(hash, (uint64_t)value->u.i64);
    }
}

/* The column that a name, or a qualified name, means; -1 if none or several. */
static int column_of(const struct mr_sql_scope *scope, const struct mr_ast *ast)
{
    if (ast->kind == MR_AST_NAME)
        return mr_schema_find(scope->schema, ast->name);
    if (ast->kind != MR_AST_FIELD || ast->args[0]->kind != MR_AST_NAME || !scope->qualifiers)
        return -1;
    int found = -1;
    for (int i = 0; i < scope->schema->nfields; i++) {
        const char *qualifier = scope->qualifiers[i];
        if (!qualifier || !mr_text_equal_nocase(qualifier, ast->args[0]->name) ||
            !mr_text_equal_nocase(scope->schema->fields[i].name, ast->name))
            continue;
        if (found >= 0)
            return -1;
        found = i;
    }
    return found;
}

uint64_t mr_agg_ast_hash(const struct mr_sql_scope *scope, struct mr_ast *ast)
{
    if (!ast)
        return 1;
    if (ast->hash)
        return ast->hash;
    uint64_t hash = mr_hash_mix((uint64_t)ast->kind + 77);
    int column = column_of(scope, ast);
    if (column >= 0) {
        hash = mr_hash_combine(UINT64_C(0xC01), (uint64_t)column);
    } else {
        hash = hash_text(hash, ast->name);
        hash = mr_hash_combine(hash, (uint64_t)ast->distinct * 4 + (uint64_t)ast->try_cast * 2 +
                                         (uint64_t)ast->descending);
        hash = mr_hash_combine(hash, (uint64_t)ast->column * 2 + (uint64_t)ast->ignore_nulls);
        if (ast->kind == MR_AST_LITERAL)
            hash = hash_value(hash, &ast->literal);
        if (ast->kind == MR_AST_CAST) {
            char text[256];
            hash = hash_text(hash, mr_type_text(ast->type, text, sizeof text));
        }
        hash = mr_hash_combine(hash, mr_agg_ast_hash(scope, ast->operand));
        hash = mr_hash_combine(hash, mr_agg_ast_hash(scope, ast->filter));
        hash = mr_hash_combine(hash, mr_agg_ast_hash(scope, ast->order));
        for (int i = 0; i < ast->nargs; i++)
            hash = mr_hash_combine(hash, mr_agg_ast_hash(scope, ast->args[i]));
    }
    ast->hash = hash ? hash : 1;
    return ast->hash;
}

static enum mr_status fail_at(const struct mr_agg_splitter *splitter, const struct mr_ast *ast,
                              const char *format, const char *name)
{
    return mr_lexer_fail(splitter->text, ast->position, splitter->err, format, name);
}

static bool is_call(const struct mr_ast *ast)
{
    return ast->kind == MR_AST_CALL && !ast->operator_call && mr_aggregate_find(ast->name);
}

/* The first call of an aggregate below (or at) `ast`; every node is visited once. */
static struct mr_ast *find_call(struct mr_ast *ast)
{
    struct mr_ast *found = NULL;
    if (!ast || ast->split)
        return NULL;
    if (is_call(ast))
        return ast;
    ast->split = true;
    found = find_call(ast->operand);
    for (int i = 0; i < ast->nargs && !found; i++)
        found = find_call(ast->args[i]);
    return found;
}

static void to_column(struct mr_ast *ast, int column)
{
    ast->kind = MR_AST_COLUMN;
    ast->column = column;
    ast->nargs = 0;
    ast->operand = ast->filter = ast->order = NULL;
    ast->split = true;
}

static enum mr_status take_call(struct mr_agg_splitter *splitter, struct mr_ast *ast)
{
    uint64_t hash = mr_agg_ast_hash(&splitter->scope, ast);
    for (int c = 0; c < splitter->ncalls; c++) {
        if (splitter->calls[c]->hash == hash) {
            to_column(ast, splitter->ngroups + c);
            return MR_OK;
        }
    }
    struct mr_ast *inner = NULL;
    for (int i = 0; i < ast->nargs && !inner; i++)
        inner = find_call(ast->args[i]);
    inner = inner ? inner : find_call(ast->filter);
    inner = inner ? inner : find_call(ast->order);
    if (inner)
        return fail_at(splitter, inner, "%.80s is inside of another aggregate", inner->name);
    if (splitter->ncalls == splitter->calls_capacity) {
        int capacity = splitter->calls_capacity ? splitter->calls_capacity * 2 : 16;
        struct mr_ast **calls = mr_arena_calloc(splitter->arena, (size_t)capacity, sizeof *calls);
        const char **texts = mr_arena_calloc(splitter->arena, (size_t)capacity, sizeof *texts);
        if (!calls || !texts)
            return mr_error_nomem(splitter->err);
        for (int c = 0; c < splitter->ncalls; c++) {
            calls[c] = splitter->calls[c];
            texts[c] = splitter->call_texts[c];
        }
        splitter->calls = calls;
        splitter->call_texts = texts;
        splitter->calls_capacity = capacity;
    }
    struct mr_ast *copy = mr_arena_calloc(splitter->arena, 1, sizeof *copy);
    if (!copy)
        return mr_error_nomem(splitter->err);
    *copy = *ast;
    splitter->calls[splitter->ncalls] = copy;
    splitter->call_texts[splitter->ncalls] = splitter->text;
    to_column(ast, splitter->ngroups + splitter->ncalls++);
    return MR_OK;
}

/* A name that is no group expression: an alias of one, an output (in HAVING), or a mistake. */
static enum mr_status split_name(struct mr_agg_splitter *splitter, struct mr_ast *ast)
{
    for (int i = 0; ast->kind == MR_AST_NAME && i < splitter->nnames; i++) {
        if (!mr_text_equal_nocase(splitter->names[i], ast->name))
            continue;
        *ast = *splitter->outputs[i];
        return MR_OK;
    }
    for (int g = 0; ast->kind == MR_AST_NAME && g < splitter->ngroups; g++) {
        if (mr_text_equal_nocase(splitter->group_names[g], ast->name)) {
            to_column(ast, g);
            return MR_OK;
        }
    }
    if (column_of(&splitter->scope, ast) < 0)
        return MR_OK; /* current_date, or unknown: the binder says so */
    fail_at(splitter, ast, "%.80s is neither in groupBy nor inside of an aggregate", ast->name);
    mr_error_hint(splitter->err, "first(%.80s) takes any of its values", ast->name);
    return MR_CONFIG;
}

static enum mr_status no_function(const struct mr_agg_splitter *splitter, const struct mr_ast *ast)
{
    struct mr_function_refusal refusal;
    mr_function_refuse(ast->name, &refusal);
    fail_at(splitter, ast, "%s", refusal.message);
    if (refusal.hint[0])
        mr_error_hint(splitter->err, "%s", refusal.hint);
    return MR_CONFIG;
}

enum mr_status mr_agg_split(struct mr_agg_splitter *splitter, struct mr_ast *ast)
{
    if (!ast || ast->split)
        return MR_OK;
    uint64_t hash = mr_agg_ast_hash(&splitter->scope, ast);
    bool is_name = ast->kind == MR_AST_NAME || column_of(&splitter->scope, ast) >= 0;
    for (int i = 0; ast->kind == MR_AST_NAME && i < splitter->nnames; i++)
        if (mr_text_equal_nocase(splitter->names[i], ast->name))
            return split_name(splitter, ast);
    for (int g = 0; g < splitter->ngroups && ast->kind != MR_AST_LITERAL; g++) {
        if (splitter->groups[g]->hash == hash) {
            to_column(ast, g);
            return MR_OK;
        }
    }
    ast->split = true;
    if (ast->window)
        return fail_at(splitter, ast, "OVER has no place behind %.80s here: use windowColumns",
                       ast->name);
    if (is_call(ast))
        return take_call(splitter, ast);
    if (ast->kind == MR_AST_CALL && !ast->operator_call && !mr_function_find(ast->name, NULL))
        return no_function(splitter, ast);
    if (is_name)
        return split_name(splitter, ast);
    MR_TRY(mr_agg_split(splitter, ast->operand));
    for (int i = 0; i < ast->nargs; i++)
        MR_TRY(mr_agg_split(splitter, ast->args[i]));
    return MR_OK;
}

bool mr_aggregation_is_function(const char *text)
{
    return mr_aggregate_find(text) != NULL;
}

enum mr_status mr_sql_named_expression(struct mr_arena *arena, const char *text, const char **expr,
                                       const char **name, struct mr_error *err)
{
    struct mr_ast *ast;
    struct mr_parser parser = {.arena = arena, .err = err};
    mr_lexer_init(&parser.lexer, arena, text, strlen(text));
    MR_TRY(mr_parser_advance(&parser));
    MR_TRY(mr_parse_expression(&parser, MR_PREC_OR, &ast));
    size_t size = strlen(text);
    bool as;
    *name = NULL;
    if (mr_parser_at_word(&parser, "AS"))
        size = parser.token.start;
    MR_TRY(mr_parser_accept_word(&parser, "AS", &as));
    if (as) {
        if (parser.token.kind != MR_TOKEN_WORD && parser.token.kind != MR_TOKEN_QUOTED)
            return mr_parser_unexpected(&parser, "a name");
        *name = mr_arena_strdup(arena, parser.token.text);
        if (!*name)
            return mr_error_nomem(err);
        MR_TRY(mr_parser_advance(&parser));
    }
    if (parser.token.kind != MR_TOKEN_END)
        return mr_parser_unexpected(&parser, "an operator or the end of the expression");
    *expr = mr_arena_strndup(arena, text, size);
    if (!as) {
        struct mr_bytes bytes;
        mr_bytes_init(&bytes, MR_SQL_MAX_TEXT);
        if (ast->kind == MR_AST_NAME || ast->kind == MR_AST_FIELD)
            mr_bytes_text(&bytes, ast->name);
        else
            mr_ast_name(&bytes, ast);
        *name = mr_arena_strndup(arena, bytes.data, bytes.size);
        enum mr_status status = mr_bytes_status(&bytes, err);
        mr_bytes_reset(&bytes);
        MR_TRY(status);
    }
    return *expr && *name ? MR_OK : mr_error_nomem(err);
}

/*
 * sql_tree.c - copies, types and uses of expression trees.
 *
 * Trees are copied by every pass, and an alias puts one tree into several others, so that the text of
 * a query says little about the size of what it means: copies are counted, and too many are an error.
 */
#include "op/sql_step.h"

#include "base/text.h"
#include "sql/aggregate_call.h"

#define MAX_NODES 4000000

struct mr_ast *mr_select_child_of(const struct mr_ast *ast, int i)
{
    struct mr_ast *const own[] = {ast->operand, ast->filter, ast->order};
    const struct mr_ast_window *window = ast->window;
    if (i < ast->nargs)
        return ast->args[i];
    i -= ast->nargs;
    for (int k = 0; k < 3; k++) {
        if (own[k] != NULL && i-- == 0)
            return own[k];
    }
    if (window == NULL)
        return NULL;
    if (i < window->npartitions)
        return window->partitions[i];
    i -= window->npartitions;
    return i < window->norders ? window->orders[i].expr : NULL;
}

static bool one_of(const char *name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (mr_text_equal_nocase(name, *names))
            return true;
    }
    return false;
}

bool mr_select_is_window(const struct mr_ast *ast)
{
    return ast->kind == MR_AST_CALL && ast->window != NULL;
}

bool mr_select_is_aggregate(const struct mr_ast *ast)
{
    return ast->kind == MR_AST_CALL && !ast->operator_call && ast->window == NULL &&
           mr_aggregate_find(ast->name) != NULL;
}

static bool is_random(const struct mr_ast *ast)
{
    static const char *const names[] = {"rand", "random",  "randn",
                                        "uuid", "shuffle", "monotonically_increasing_id",
                                        NULL};
    return ast->kind == MR_AST_CALL && !ast->operator_call && one_of(ast->name, names);
}

static void scan(const struct mr_select_block *block, const struct mr_ast *ast,
                 struct mr_select_uses *uses)
{
    const struct mr_select_column *column = ast->resolved;
    if (ast->kind == MR_AST_NAME && column != NULL) {
        uses->attached |= column->attach != NULL;
        if (column->block != block)
            uses->outer = true;
        else if (column->first >= 0) {
            uses->local = true;
            uses->first = column->first < uses->first ? column->first : uses->first;
            uses->last = column->last > uses->last ? column->last : uses->last;
        }
    }
    if (!uses->aggregate && !uses->window)
        uses->call = ast->position;
    uses->aggregate |= mr_select_is_aggregate(ast);
    uses->window |= mr_select_is_window(ast);
    uses->random |= is_random(ast);
    const struct mr_ast *child;
    for (int i = 0; (child = mr_select_child_of(ast, i)) != NULL; i++)
        scan(block, child, uses);
}

void mr_select_scan(const struct mr_select_block *block, const struct mr_ast *ast,
                    struct mr_select_uses *uses)
{
    *uses = (struct mr_select_uses){.first = INT32_MAX, .last = -1};
    scan(block, ast, uses);
}

static void deepen(struct mr_ast *ast, const struct mr_ast *child)
{
    if (child->depth >= ast->depth)
        ast->depth = child->depth + 1;
}

static enum mr_status copy_window(struct mr_select_env *env, const struct mr_ast_window *from,
                                  mr_select_child *child, void *context, struct mr_ast *copy)
{
    struct mr_ast_window *window = mr_arena_alloc(env->arena, sizeof *window);
    if (window == NULL)
        return mr_select_nomem(env);
    *window = *from;
    window->partitions =
        mr_arena_calloc(env->arena, (size_t)from->npartitions + 1, sizeof *window->partitions);
    window->orders = mr_arena_calloc(env->arena, (size_t)from->norders + 1, sizeof *window->orders);
    if (window->partitions == NULL || window->orders == NULL)
        return mr_select_nomem(env);
    for (int i = 0; i < from->npartitions; i++) {
        MR_TRY(child(context, from->partitions[i], &window->partitions[i]));
        deepen(copy, window->partitions[i]);
    }
    for (int i = 0; i < from->norders; i++) {
        window->orders[i] = from->orders[i];
        MR_TRY(child(context, from->orders[i].expr, &window->orders[i].expr));
        deepen(copy, window->orders[i].expr);
    }
    copy->window = window;
    return MR_OK;
}

enum mr_status mr_select_copy_with(struct mr_select_env *env, const struct mr_ast *ast,
                                   mr_select_child *child, void *context, struct mr_ast **out)
{
    if (++env->nodes > MAX_NODES)
        return mr_select_fail(env, ast->position,
                              "the query is too large: its expressions have more than %d nodes",
                              MAX_NODES);
    struct mr_ast *copy = mr_arena_alloc(env->arena, sizeof *copy);
    if (copy == NULL)
        return mr_select_nomem(env);
    *copy = *ast;
    copy->bound = NULL;
    copy->hash = 0;
    copy->split = false;
    copy->depth = 1;
    copy->args = mr_arena_calloc(env->arena, (size_t)ast->nargs + 1, sizeof *copy->args);
    if (copy->args == NULL)
        return mr_select_nomem(env);
    *out = copy;
    for (int i = 0; i < ast->nargs; i++) {
        MR_TRY(child(context, ast->args[i], &copy->args[i]));
        deepen(copy, copy->args[i]);
    }
    struct mr_ast *const from[] = {ast->operand, ast->filter, ast->order};
    struct mr_ast **const to[] = {&copy->operand, &copy->filter, &copy->order};
    for (int i = 0; i < 3; i++) {
        if (from[i] == NULL)
            continue;
        MR_TRY(child(context, from[i], to[i]));
        deepen(copy, *to[i]);
    }
    if (ast->window != NULL)
        MR_TRY(copy_window(env, ast->window, child, context, copy));
    if (copy->depth > MR_SQL_MAX_DEPTH)
        return mr_select_fail(
            env, ast->position,
            "with its aliases written out the expression is nested deeper than %d "
            "levels",
            MR_SQL_MAX_DEPTH);
    return MR_OK;
}

static enum mr_status copy_child(void *context, const struct mr_ast *ast, struct mr_ast **out)
{
    return mr_select_copy_with(context, ast, copy_child, context, out);
}

enum mr_status mr_select_copy(struct mr_select_env *env, const struct mr_ast *ast,
                              struct mr_ast **out)
{
    return mr_select_copy_with(env, ast, copy_child, env, out);
}

enum mr_status mr_select_name(struct mr_select_env *env, struct mr_select_column *column,
                              size_t position, struct mr_ast **out)
{
    *out = mr_arena_calloc(env->arena, 1, sizeof **out);
    if (*out == NULL)
        return mr_select_nomem(env);
    **out = (struct mr_ast){.kind = MR_AST_NAME,
                            .name = column->name,
                            .resolved = column,
                            .position = position,
                            .depth = 1};
    return MR_OK;
}

enum mr_status mr_select_call(struct mr_select_env *env, const char *name, bool is_operator,
                              size_t position, struct mr_ast *a, struct mr_ast *b,
                              struct mr_ast **out)
{
    struct mr_ast *call = mr_arena_calloc(env->arena, 1, sizeof *call);
    struct mr_ast **args = mr_arena_calloc(env->arena, 2, sizeof *args);
    if (call == NULL || args == NULL)
        return mr_select_nomem(env);
    args[0] = a;
    args[1] = b;
    *call = (struct mr_ast){.kind = MR_AST_CALL,
                            .name = name,
                            .operator_call = is_operator,
                            .position = position,
                            .depth = 1,
                            .nargs = (a != NULL) + (b != NULL),
                            .args = args};
    for (int i = 0; i < call->nargs; i++)
        deepen(call, args[i]);
    *out = call;
    return MR_OK;
}

enum mr_status mr_select_literal(struct mr_select_env *env, struct mr_value value, size_t position,
                                 struct mr_ast **out)
{
    *out = mr_arena_calloc(env->arena, 1, sizeof **out);
    if (*out == NULL)
        return mr_select_nomem(env);
    **out =
        (struct mr_ast){.kind = MR_AST_LITERAL, .literal = value, .position = position, .depth = 1};
    return MR_OK;
}

/* The columns that a tree names, each once. */
struct mr_select_found {
    struct mr_select_env *env;
    struct mr_select_relation relation;
};

static enum mr_status find_columns(struct mr_select_found *found, const struct mr_ast *ast)
{
    struct mr_select_column *column = (struct mr_select_column *)(uintptr_t)ast->resolved;
    if (ast->kind == MR_AST_NAME && column != NULL) {
        for (int i = 0; i < found->relation.ncolumns; i++) {
            if (found->relation.columns[i] == column)
                return MR_OK;
        }
        return mr_select_add_columns(found->env, &found->relation, 1, &column);
    }
    const struct mr_ast *child;
    for (int i = 0; (child = mr_select_child_of(ast, i)) != NULL; i++)
        MR_TRY(find_columns(found, child));
    return MR_OK;
}

enum mr_status mr_select_schema_of(struct mr_select_env *env, const struct mr_ast *ast,
                                   struct mr_schema *out)
{
    struct mr_select_found found = {.env = env};
    MR_TRY(find_columns(&found, ast));
    struct mr_field *fields =
        mr_arena_calloc(env->arena, (size_t)found.relation.ncolumns + 1, sizeof *fields);
    if (fields == NULL)
        return mr_select_nomem(env);
    for (int i = 0; i < found.relation.ncolumns; i++) {
        const struct mr_select_column *column = found.relation.columns[i];
        fields[i] = (struct mr_field){.name = column->name,
                                      .type = column->type,
                                      .nullable = column->nullable};
    }
    *out = (struct mr_schema){found.relation.ncolumns, fields};
    return MR_OK;
}

enum mr_status mr_select_check(struct mr_select_env *env, const struct mr_ast *ast, bool condition,
                               struct mr_field *field)
{
    struct mr_ast *copy;
    struct mr_schema schema;
    MR_TRY(mr_select_copy(env, ast, &copy));
    MR_TRY(mr_select_schema_of(env, ast, &schema));
    struct mr_sql_scope scope = {.schema = &schema};
    MR_TRY(mr_query_check_ast(&env->check, copy, &scope, field, env->err));
    if (!condition || field->type->id == MR_TYPE_BOOL || field->type->id == MR_TYPE_NULL)
        return MR_OK;
    char text[96];
    return mr_select_fail(env, ast->position, "a condition must be boolean, this is %s",
                          mr_type_text(field->type, text, sizeof text));
}

enum mr_status mr_select_split(struct mr_select_env *env, struct mr_ast *ast,
                               struct mr_select_list *out)
{
    if (ast->kind != MR_AST_CALL || !ast->operator_call || strcmp(ast->name, "AND") != 0)
        return mr_select_append(env, out, ast);
    for (int i = 0; i < ast->nargs; i++)
        MR_TRY(mr_select_split(env, ast->args[i], out));
    return MR_OK;
}

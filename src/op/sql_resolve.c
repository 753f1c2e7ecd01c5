/*
 * sql_resolve.c - names to columns, by Spark's rules.
 *
 * A bare name is a column of FROM, else an earlier item of the same SELECT list, else a column of the
 * query around (where a condition may use it). In ORDER BY and HAVING the items of SELECT come
 * first, but not within an aggregate's arguments. `a.b` is column b of relation a if there is one,
 * else field b of column a. Two columns of one name are an error only where the name is used.
 */
#include "op/sql_step.h"

#include "base/text.h"

#include <stdio.h>

struct resolver {
    struct mr_select_scope *scope;
    int aggregates; /* open aggregate calls */
};

static enum mr_status resolve(void *context, const struct mr_ast *ast, struct mr_ast **out);

static bool is_called(const struct mr_select_column *column, const char *qualifier,
                      const char *name)
{
    if (column->display == NULL || !mr_text_equal_nocase(column->display, name))
        return false;
    if (qualifier == NULL)
        return !column->qualified_only;
    return column->qualifier != NULL && mr_text_equal_nocase(column->qualifier, qualifier);
}

/* The column, NULL when there is none; *count of all that match. */
static struct mr_select_column *find(int ncolumns, struct mr_select_column *const *columns,
                                     const char *qualifier, const char *name, int *count)
{
    struct mr_select_column *found = NULL;
    *count = 0;
    for (int i = 0; i < ncolumns; i++) {
        if (!is_called(columns[i], qualifier, name))
            continue;
        found = columns[i];
        *count += 1;
    }
    return found;
}

static bool has_qualifier(int ncolumns, struct mr_select_column *const *columns,
                          const char *qualifier)
{
    for (int i = 0; i < ncolumns; i++) {
        if (columns[i]->qualifier && mr_text_equal_nocase(columns[i]->qualifier, qualifier))
            return true;
    }
    return false;
}

static const struct mr_select_relation *columns_of(const struct mr_select_block *block)
{
    return &block->from->relation;
}

/* Is the name one of an enclosing query that cannot be reached from here? */
static bool is_beyond(const struct mr_select_scope *scope, const char *qualifier, const char *name)
{
    int count;
    const struct mr_select_block *block = scope->block;
    for (const struct mr_select_block *at = block->parent ? block->parent : block->blocked;
         at != NULL; at = at->parent ? at->parent : at->blocked) {
        if (at->from == NULL)
            continue;
        if (find(columns_of(at)->ncolumns, columns_of(at)->columns, qualifier, name, &count))
            return true;
    }
    return false;
}

static enum mr_status unknown(struct mr_select_scope *scope, const char *qualifier,
                              const char *name, size_t position)
{
    struct mr_select_env *env = scope->block->env;
    char list[300] = "";
    size_t used = 0;
    const char **names = mr_arena_calloc(env->arena, (size_t)scope->ncolumns + 1, sizeof *names);
    if (names == NULL)
        return mr_select_nomem(env);
    int count = 0;
    for (int i = 0; i < scope->ncolumns; i++) {
        const struct mr_select_column *column = scope->columns[i];
        if (column->display == NULL ||
            (qualifier && column->qualifier && !mr_text_equal_nocase(column->qualifier, qualifier)))
            continue;
        names[count++] = column->display;
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "",
                                     column->display);
    }
    const char *near = mr_nearest_name(name, names, (size_t)count);
    if (is_beyond(scope, qualifier, name)) {
        mr_select_fail(env, position,
                       "%s%s%.80s belongs to the query around, which cannot be used here",
                       qualifier ? qualifier : "", qualifier ? "." : "", name);
        mr_error_hint(env->err, "only conditions of WHERE in EXISTS, IN and aggregated scalar "
                                "sub-queries may use it");
        return MR_CONFIG;
    }
    mr_select_fail(env, position, "no column %s%s%.80s%s%s", qualifier ? qualifier : "",
                   qualifier ? "." : "", name, scope->clause ? " in " : "",
                   scope->clause ? scope->clause : "");
    if (near != NULL)
        mr_error_hint(env->err, "did you mean %s? There are: %s", near, list);
    else if (count > 0)
        mr_error_hint(env->err, "there are: %s", list);
    return MR_CONFIG;
}

static enum mr_status ambiguous(struct mr_select_scope *scope, const char *name, size_t position)
{
    char list[200] = "";
    size_t used = 0;
    struct mr_select_env *env = scope->block->env;
    for (int i = 0; i < scope->ncolumns; i++) {
        const struct mr_select_column *column = scope->columns[i];
        if (is_called(column, NULL, name) && column->qualifier && used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s.%s", used ? ", " : "",
                                     column->qualifier, column->display);
    }
    mr_select_fail(env, position, "the name %.80s means more than one column", name);
    if (used > 0)
        mr_error_hint(env->err, "write one of %s", list);
    return MR_CONFIG;
}

/* An item of SELECT; NULL when none has the name. The last of several wins no more than the first. */
static const struct mr_select_output *find_alias(const struct mr_select_scope *scope,
                                                 const char *name, int *count)
{
    const struct mr_select_output *found = NULL;
    *count = 0;
    for (int i = 0; i < scope->naliases; i++) {
        if (scope->aliases[i].name == NULL || !mr_text_equal_nocase(scope->aliases[i].name, name))
            continue;
        if (found == NULL || !mr_ast_equal(found->ast, scope->aliases[i].ast))
            *count += 1;
        found = &scope->aliases[i];
    }
    return found;
}

/* A column of this block or of the parent, qualified or not; *out stays NULL when there is none. */
static enum mr_status find_name(struct resolver *resolver, const char *qualifier, const char *name,
                                size_t position, struct mr_ast **out)
{
    struct mr_select_scope *scope = resolver->scope;
    const struct mr_select_block *parent = scope->outer ? scope->block->parent : NULL;
    struct mr_select_env *env = scope->block->env;
    int count, naliases = 0;
    const struct mr_select_output *alias = qualifier ? NULL : find_alias(scope, name, &naliases);
    *out = NULL;
    if (alias != NULL && scope->aliases_first && resolver->aggregates == 0) {
        if (naliases > 1)
            return mr_select_fail(env, position,
                                  "the name %.80s means more than one item of SELECT", name);
        *out = alias->ast;
        return MR_OK;
    }
    struct mr_select_column *column =
        find(scope->ncolumns, scope->columns, qualifier, name, &count);
    if (count > 1)
        return ambiguous(scope, name, position);
    if (column != NULL)
        return mr_select_name(env, column, position, out);
    if (alias != NULL) {
        *out = alias->ast;
        return MR_OK;
    }
    if (parent == NULL || parent->from == NULL)
        return MR_OK;
    column =
        find(columns_of(parent)->ncolumns, columns_of(parent)->columns, qualifier, name, &count);
    if (count > 1)
        return ambiguous(scope, name, position);
    return column ? mr_select_name(env, column, position, out) : MR_OK;
}

/* Functions that are called without parentheses. */
static bool is_bare_function(const char *name)
{
    static const char *const names[] = {"current_date", "current_timestamp", "current_timezone",
                                        "localtimestamp", "now"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (mr_text_equal_nocase(name, names[i]))
            return true;
    }
    return false;
}

static enum mr_status resolve_name(struct resolver *resolver, const struct mr_ast *ast,
                                   struct mr_ast **out)
{
    struct mr_select_env *env = resolver->scope->block->env;
    MR_TRY(find_name(resolver, NULL, ast->name, ast->position, out));
    if (*out == NULL)
        MR_TRY(mr_select_event_name(resolver->scope->block, ast->name, NULL, ast->position, out));
    if (*out != NULL)
        return MR_OK;
    if (is_bare_function(ast->name))
        return mr_select_call(env, ast->name, false, ast->position, NULL, NULL, out);
    return unknown(resolver->scope, NULL, ast->name, ast->position);
}

static enum mr_status resolve_field(struct resolver *resolver, const struct mr_ast *ast,
                                    struct mr_ast **out)
{
    struct mr_select_scope *scope = resolver->scope;
    const struct mr_ast *base = ast->args[0];
    if (base->kind == MR_AST_NAME) {
        const struct mr_select_block *parent = scope->outer ? scope->block->parent : NULL;
        MR_TRY(find_name(resolver, base->name, ast->name, base->position, out));
        if (*out != NULL)
            return MR_OK;
        struct mr_ast *column;
        MR_TRY(find_name(resolver, NULL, base->name, base->position, &column));
        if (column == NULL)
            MR_TRY(mr_select_event_name(scope->block, base->name, ast->name, base->position, out));
        if (*out != NULL)
            return MR_OK;
        bool relation =
            has_qualifier(scope->ncolumns, scope->columns, base->name) ||
            (parent && parent->from &&
             has_qualifier(columns_of(parent)->ncolumns, columns_of(parent)->columns, base->name));
        if (column == NULL && (relation || is_beyond(scope, base->name, ast->name)))
            return unknown(scope, base->name, ast->name, base->position);
        if (column == NULL)
            return mr_select_fail(scope->block->env, base->position,
                                  "%.80s is neither a relation nor a column here", base->name);
    }
    return mr_select_copy_with(scope->block->env, ast, resolve, resolver, out);
}

/* OVER w, OVER (w ORDER BY ..): the named window's clauses and the written ones. */
static enum mr_status named_window(struct resolver *resolver, const struct mr_ast_window *window,
                                   struct mr_ast_window *out)
{
    const struct mr_select_block *block = resolver->scope->block;
    const struct mr_query *query = block->query;
    *out = *window;
    for (int depth = 0; out->name != NULL; depth++) {
        const struct mr_ast_window *base = NULL;
        for (int i = 0; i < query->nwindows; i++) {
            if (mr_text_equal_nocase(query->windows[i].name, out->name))
                base = query->windows[i].spec;
        }
        if (base == NULL)
            return mr_select_fail(block->env, window->position,
                                  "no window %.80s in the WINDOW clause", out->name);
        if (depth > query->nwindows)
            return mr_select_fail(block->env, window->position,
                                  "the window %.80s is made of itself", out->name);
        if ((out->npartitions > 0 && base->npartitions > 0) ||
            (out->norders > 0 && base->norders > 0) || (out->frame && base->frame))
            return mr_select_fail(block->env, window->position,
                                  "the window %.80s has this clause already", out->name);
        out->name = base->name;
        if (out->npartitions == 0) {
            out->npartitions = base->npartitions;
            out->partitions = base->partitions;
        }
        if (out->norders == 0) {
            out->norders = base->norders;
            out->orders = base->orders;
        }
        if (out->frame == NULL) {
            out->frame = base->frame;
            out->from = base->from;
            out->to = base->to;
            out->from_offset = base->from_offset;
            out->to_offset = base->to_offset;
        }
    }
    return MR_OK;
}

static enum mr_status resolve_call(struct resolver *resolver, const struct mr_ast *ast,
                                   struct mr_ast **out)
{
    struct mr_select_env *env = resolver->scope->block->env;
    struct mr_ast named = *ast;
    struct mr_ast_window window;
    bool aggregate = mr_select_is_aggregate(ast);
    if (mr_select_is_event(ast))
        return mr_select_event_call(resolver->scope, ast, out);
    if (ast->window != NULL) {
        MR_TRY(named_window(resolver, ast->window, &window));
        named.window = &window;
    }
    if (aggregate && resolver->aggregates > 0)
        return mr_select_fail(env, ast->position, "an aggregate within an aggregate");
    resolver->aggregates += aggregate;
    MR_TRY(mr_select_copy_with(env, &named, resolve, resolver, out));
    resolver->aggregates -= aggregate;
    return MR_OK;
}

static enum mr_status resolve(void *context, const struct mr_ast *ast, struct mr_ast **out)
{
    struct resolver *resolver = context;
    switch (ast->kind) {
    case MR_AST_NAME:
        if (ast->resolved == NULL)
            return resolve_name(resolver, ast, out);
        *out = (struct mr_ast *)(uintptr_t)ast;
        return MR_OK;
    case MR_AST_FIELD:
        return resolve_field(resolver, ast, out);
    case MR_AST_CALL:
        return resolve_call(resolver, ast, out);
    case MR_AST_QUERY:
    case MR_AST_EXISTS:
    case MR_AST_IN_QUERY:
        return mr_select_value_query(resolver->scope, ast, out);
    default:
        return mr_select_copy_with(resolver->scope->block->env, ast, resolve, resolver, out);
    }
}

enum mr_status mr_select_resolve(struct mr_select_scope *scope, const struct mr_ast *ast,
                                 struct mr_ast **out)
{
    struct resolver resolver = {.scope = scope};
    return resolve(&resolver, ast, out);
}

static enum mr_status add_output(struct mr_select_block *block, const char *name,
                                 struct mr_ast *ast, size_t position)
{
    block->outputs[block->noutputs++] =
        (struct mr_select_output){.name = name, .ast = ast, .position = position};
    return MR_OK;
}

static bool is_excepted(const struct mr_query_item *item, const char *name, bool *used)
{
    for (int i = 0; i < item->nexcept; i++) {
        if (mr_text_equal_nocase(item->except[i].name, name)) {
            used[i] = true;
            return true;
        }
    }
    return false;
}

enum mr_status mr_select_star(struct mr_select_block *block, const struct mr_query_item *item)
{
    struct mr_select_env *env = block->env;
    if (block->from == NULL)
        return mr_select_fail(env, item->position, "* needs a FROM");
    const struct mr_select_relation *from = columns_of(block);
    bool *used = mr_arena_calloc(env->arena, (size_t)item->nexcept + 1, sizeof *used);
    if (used == NULL)
        return mr_select_nomem(env);
    if (item->qualifier && !has_qualifier(from->ncolumns, from->columns, item->qualifier))
        return mr_select_fail(env, item->position, "no relation %.80s in FROM", item->qualifier);
    for (int i = 0; i < from->ncolumns; i++) {
        struct mr_select_column *column = from->columns[i];
        bool mine = item->qualifier ? column->qualifier &&
                                          mr_text_equal_nocase(column->qualifier, item->qualifier)
                                    : !column->qualified_only;
        struct mr_ast *ast;
        if (column->display == NULL || !mine || is_excepted(item, column->display, used))
            continue;
        MR_TRY(mr_select_name(env, column, item->position, &ast));
        MR_TRY(add_output(block, column->display, ast, item->position));
    }
    for (int i = 0; i < item->nexcept; i++) {
        if (!used[i])
            return mr_select_fail(env, item->except[i].position, "no column %.80s behind EXCEPT",
                                  item->except[i].name);
    }
    return MR_OK;
}

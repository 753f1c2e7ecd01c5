/*
 * join_condition.c - what of a join condition can be looked up, and what must be tried row by row.
 *
 * The whole text is bound once, over the columns of both sides, so that types, casts, messages and
 * positions are those of any condition. The bound tree is then split at its ANDs:
 *
 *     o.customer = c.id      both operands over one side each         -> a key
 *     o.total > 100          one side alone                           -> filters that side's rows
 *     o.day < c.until        anything else                            -> tried on pairs of rows
 *
 * Each piece is copied into a unit of its own; columns of the right side are renumbered, so that a
 * key or a filter is evaluated over batches of its side. Splitting texts instead (as plan/ does for
 * filters) was refused: an operand's type depends on the other side's.
 */
#include "sql/join_condition.h"

#include "base/text.h"
#include "sql/lexer.h"
#include "sql/unit.h"

#include <stdio.h>

struct split {
    struct mr_arena *arena;
    const char *text;
    const struct mr_sql_scope *scope;
    const struct mr_sql_session *session;
    int nleft;
    struct mr_join_condition *out;
    struct mr_error *err;
};

static bool has_qualifier(const struct mr_sql_scope *scope, const char *name)
{
    for (int i = 0; scope->qualifiers && i < scope->schema->nfields; i++)
        if (scope->qualifiers[i] && mr_text_equal_nocase(scope->qualifiers[i], name))
            return true;
    return false;
}

static enum mr_status unknown_frame(const struct split *split, const struct mr_ast *ast)
{
    const struct mr_sql_scope *scope = split->scope;
    char list[300] = "";
    size_t used = 0;
    const char *last = NULL;
    for (int i = 0; scope->qualifiers && i < scope->schema->nfields && used < sizeof list; i++) {
        const char *name = scope->qualifiers[i];
        if (!name || (last && !strcmp(last, name)))
            continue;
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", last ? ", " : "", name);
        last = name;
    }
    mr_lexer_fail(split->text, ast->position, split->err, "there is no frame %.80s here",
                  ast->name);
    mr_error_hint(split->err, "frames of this join: %s", list);
    return MR_CONFIG;
}

/* A bare name must mean one column of one side. */
static enum mr_status check_name(const struct split *split, const struct mr_ast *ast)
{
    const struct mr_schema *schema = split->scope->schema;
    const char *left = NULL, *right = NULL;
    for (int i = 0; i < schema->nfields; i++) {
        if (!mr_text_equal_nocase(schema->fields[i].name, ast->name))
            continue;
        const char *frame = split->scope->qualifiers ? split->scope->qualifiers[i] : NULL;
        const char **at = i < split->nleft ? &left : &right;
        *at = frame ? frame : "";
    }
    if (!left || !right)
        return MR_OK;
    mr_lexer_fail(split->text, ast->position, split->err, "%.80s is a column of both sides",
                  ast->name);
    mr_error_hint(split->err, "write %.80s.%.80s or %.80s.%.80s", *left ? left : "left", ast->name,
                  *right ? right : "right", ast->name);
    return MR_CONFIG;
}

static enum mr_status check_names(const struct split *split, const struct mr_ast *ast)
{
    if (ast->kind == MR_AST_NAME)
        return check_name(split, ast);
    if (ast->kind == MR_AST_FIELD && ast->args[0]->kind == MR_AST_NAME) {
        const struct mr_ast *base = ast->args[0];
        if (has_qualifier(split->scope, base->name))
            return MR_OK;
        if (mr_schema_find(split->scope->schema, base->name) == -1)
            return unknown_frame(split, base);
    }
    if (ast->operand)
        MR_TRY(check_names(split, ast->operand));
    for (int i = 0; i < ast->nargs; i++)
        MR_TRY(check_names(split, ast->args[i]));
    return MR_OK;
}

/* Does the tree read columns of the left side, of the right one? `seen`: by node number. */
static void find_sides(const struct split *split, const struct mr_node *node, bool *seen,
                       bool *left, bool *right)
{
    bool *known = &seen[mr_node_impl(node)->id];
    if (*known)
        return;
    *known = true;
    if (node->kind == MR_NODE_COLUMN)
        *(node->column < split->nleft ? left : right) = true;
    for (int i = 0; i < node->nargs; i++)
        find_sides(split, node->args[i], seen, left, right);
}

enum side { SIDE_NONE, SIDE_LEFT, SIDE_RIGHT, SIDE_BOTH };

static enum mr_status side_of(const struct split *split, const struct mr_node *node, enum side *out)
{
    bool left = false, right = false;
    bool *seen = mr_calloc((size_t)mr_node_impl(node)->id + 1, sizeof *seen);
    if (!seen)
        return mr_error_nomem(split->err);
    find_sides(split, node, seen, &left, &right);
    mr_free(seen);
    *out = (left ? SIDE_LEFT : SIDE_NONE) | (right ? SIDE_RIGHT : SIDE_NONE);
    return MR_OK;
}

static enum mr_status extract(const struct split *split, const struct mr_node *node, int shift,
                              struct mr_expr **out)
{
    return mr_expr_extract(split->arena, node, split->text, shift, split->session, out, split->err);
}

static enum mr_status append(const struct split *split, struct mr_expr ***list, int *count,
                             const struct mr_node *node, int shift)
{
    struct mr_expr **grown = mr_arena_calloc(split->arena, (size_t)*count + 1, sizeof(*grown));
    if (!grown)
        return mr_error_nomem(split->err);
    for (int i = 0; i < *count; i++)
        grown[i] = (*list)[i];
    MR_TRY(extract(split, node, shift, &grown[*count]));
    *list = grown;
    (*count)++;
    return MR_OK;
}

static enum mr_status add_key(const struct split *split, const struct mr_node *left,
                              const struct mr_node *right, bool null_safe)
{
    struct mr_join_condition *out = split->out;
    struct mr_join_key *keys = mr_arena_calloc(split->arena, (size_t)out->nkeys + 1, sizeof *keys);
    if (!keys)
        return mr_error_nomem(split->err);
    for (int i = 0; i < out->nkeys; i++)
        keys[i] = out->keys[i];
    struct mr_join_key *key = &keys[out->nkeys];
    key->null_safe = null_safe;
    MR_TRY(extract(split, left, 0, &key->left));
    MR_TRY(extract(split, right, -split->nleft, &key->right));
    out->keys = keys;
    out->nkeys++;
    return MR_OK;
}

/* Equality of rows is what `=` says, but for intervals (a month equals 30 days) in whatever depth. */
static bool can_be_key(const struct mr_type *type)
{
    if (type->id == MR_TYPE_INTERVAL || type->id == MR_TYPE_NULL || type->id == MR_TYPE_MAP)
        return false;
    for (int i = 0; i < type->nfields; i++)
        if (!can_be_key(type->fields[i].type))
            return false;
    return true;
}

/* An equality between the sides; *done tells whether it was one. */
static enum mr_status try_key(const struct split *split, const struct mr_node *node, bool *done)
{
    enum side a, b;
    *done = false;
    if (node->kind != MR_NODE_CALL || node->nargs != 2 || mr_node_impl(node)->volatile_)
        return MR_OK;
    bool null_safe = !strcmp(node->name, "<=>");
    if ((strcmp(node->name, "=") != 0 && !null_safe) ||
        !mr_type_equal(node->args[0]->type, node->args[1]->type) ||
        !can_be_key(node->args[0]->type))
        return MR_OK;
    MR_TRY(side_of(split, node->args[0], &a));
    MR_TRY(side_of(split, node->args[1], &b));
    *done = (a == SIDE_LEFT && b == SIDE_RIGHT) || (a == SIDE_RIGHT && b == SIDE_LEFT);
    if (!*done)
        return MR_OK;
    int left = a == SIDE_LEFT ? 0 : 1;
    return add_key(split, node->args[left], node->args[1 - left], null_safe);
}

static enum mr_status split_node(const struct split *split, const struct mr_node *node)
{
    struct mr_join_condition *out = split->out;
    if (node->kind == MR_NODE_CALL && !strcmp(node->name, "AND")) {
        for (int i = 0; i < node->nargs; i++)
            MR_TRY(split_node(split, node->args[i]));
        return MR_OK;
    }
    bool done;
    MR_TRY(try_key(split, node, &done));
    if (done)
        return MR_OK;
    enum side side;
    MR_TRY(side_of(split, node, &side));
    if (mr_node_impl(node)->volatile_)
        side = SIDE_BOTH; /* once for each pair */
    if (side == SIDE_LEFT)
        return append(split, &out->left, &out->nleft, node, 0);
    if (side == SIDE_RIGHT)
        return append(split, &out->right, &out->nright, node, -split->nleft);
    if (node->kind == MR_NODE_LITERAL && !node->literal.is_null && node->literal.u.i64)
        return MR_OK; /* TRUE */
    return append(split, &out->rest, &out->nrest, node, 0);
}

enum mr_status mr_join_condition_compile(struct mr_arena *arena, const char *text,
                                         const struct mr_sql_scope *scope, int nleft,
                                         const struct mr_sql_session *session,
                                         struct mr_join_condition *out, struct mr_error *err)
{
    struct split split = {arena, text, scope, session, nleft, out, err};
    struct mr_ast *ast;
    struct mr_expr *whole;
    *out = (struct mr_join_condition){0};
    MR_TRY(mr_sql_parse(arena, text, &ast, err));
    MR_TRY(check_names(&split, ast));
    MR_TRY(mr_expr_compile_condition(arena, text, scope, session, &whole, err));
    return split_node(&split, mr_expr_root(whole));
}

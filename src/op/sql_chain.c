/*
 * sql_chain.c - inner and cross joins side by side, in an order without products.
 *
 * FROM a, b, c WHERE a.x = c.x AND c.y = b.y means a product of a and b if it is taken as written. The
 * members of a chain are joined in the order written, but one that no equality ties to those joined
 * so far waits until there is one. Sizes are not looked at here: which side is kept in memory is the
 * join's own choice.
 */
#include "op/sql_step.h"

struct term {
    struct mr_ast *ast;
    bool equality;
    bool done;
    int nleaves;
    int *leaves;
};

struct chain {
    struct mr_select_block *block;
    int nmembers, nterms;
    struct mr_select_node **members;
    bool *joined;              /* by member */
    bool *there;               /* by leaf */
    struct mr_select_list all; /* conditions of all joins */
    struct mr_select_list filters;
    struct term *terms;
};

bool mr_select_in_chain(const struct mr_select_node *node)
{
    return !node->leaf && (node->join == MR_QUERY_INNER || node->join == MR_QUERY_CROSS);
}

static enum mr_status add_all(struct mr_select_env *env, struct mr_select_list *to,
                              const struct mr_select_list *from)
{
    for (int i = 0; i < from->count; i++)
        MR_TRY(mr_select_append(env, to, from->items[i]));
    return MR_OK;
}

/* Members from left to right; `top` excepts a node whose filters the caller applies. */
static enum mr_status collect(struct chain *chain, struct mr_select_node *node, bool top)
{
    struct mr_select_env *env = chain->block->env;
    if (!mr_select_in_chain(node)) {
        chain->members[chain->nmembers++] = node;
        return MR_OK;
    }
    MR_TRY(collect(chain, node->left, false));
    MR_TRY(collect(chain, node->right, false));
    MR_TRY(add_all(env, &chain->all, &node->on));
    return top ? MR_OK : add_all(env, &chain->filters, &node->filters);
}

static void mark_leaves(const struct mr_select_block *block, const struct mr_ast *ast, bool *leaves)
{
    const struct mr_select_column *column = ast->resolved;
    const struct mr_ast *child;
    if (ast->kind == MR_AST_NAME && column != NULL && column->block == block && column->first >= 0)
        for (int i = column->first; i <= column->last; i++)
            leaves[i] = true;
    for (int i = 0; (child = mr_select_child_of(ast, i)) != NULL; i++)
        mark_leaves(block, child, leaves);
}

static enum mr_status make_term(struct chain *chain, struct mr_ast *ast, bool *scratch,
                                struct term *term)
{
    struct mr_select_block *block = chain->block;
    memset(scratch, 0, (size_t)block->nleaves);
    mark_leaves(block, ast, scratch);
    int count = 0;
    for (int i = 0; i < block->nleaves; i++)
        count += scratch[i];
    term->leaves = mr_arena_calloc(block->env->arena, (size_t)count + 1, sizeof *term->leaves);
    if (term->leaves == NULL)
        return mr_select_nomem(block->env);
    for (int i = 0; i < block->nleaves; i++)
        if (scratch[i])
            term->leaves[term->nleaves++] = i;
    term->ast = ast;
    term->equality = ast->kind == MR_AST_CALL && ast->operator_call &&
                     (!strcmp(ast->name, "=") || !strcmp(ast->name, "<=>"));
    return MR_OK;
}

static enum mr_status make_terms(struct chain *chain)
{
    struct mr_select_env *env = chain->block->env;
    bool *scratch = mr_arena_calloc(env->arena, (size_t)chain->block->nleaves + 1, sizeof *scratch);
    chain->terms = mr_arena_calloc(env->arena, (size_t)chain->all.count + 1, sizeof *chain->terms);
    if (scratch == NULL || chain->terms == NULL)
        return mr_select_nomem(env);
    for (int i = 0; i < chain->all.count; i++)
        MR_TRY(make_term(chain, chain->all.items[i], scratch, &chain->terms[i]));
    chain->nterms = chain->all.count;
    return MR_OK;
}

/* Can the term be tested once `member` is joined; and does it tie it to what is there? */
static bool can_test(const struct chain *chain, const struct term *term,
                     const struct mr_select_node *member, bool *ties)
{
    bool inside = false, outside = false;
    for (int i = 0; i < term->nleaves; i++) {
        int leaf = term->leaves[i];
        bool mine = leaf >= member->first && leaf <= member->last;
        if (!mine && !chain->there[leaf])
            return false;
        inside |= mine;
        outside |= !mine;
    }
    *ties = inside && outside && term->equality;
    return true;
}

static int next_member(const struct chain *chain)
{
    int first = -1;
    for (int m = 0; m < chain->nmembers; m++) {
        bool ties = false;
        if (chain->joined[m])
            continue;
        if (first < 0)
            first = m;
        for (int i = 0; i < chain->nterms && !ties; i++)
            if (!chain->terms[i].done)
                can_test(chain, &chain->terms[i], chain->members[m], &ties);
        if (ties)
            return m;
    }
    return first;
}

static enum mr_status join_member(struct chain *chain, int m, struct mr_select_relation *out)
{
    struct mr_select_env *env = chain->block->env;
    struct mr_select_node *member = chain->members[m];
    struct mr_select_relation right;
    struct mr_select_list on = {0};
    MR_TRY(mr_select_from_emit(chain->block, member, &right));
    for (int i = 0; i < chain->nterms; i++) {
        struct term *term = &chain->terms[i];
        bool ties;
        if (term->done || !can_test(chain, term, member, &ties))
            continue;
        term->done = true;
        MR_TRY(mr_select_append(env, &on, term->ast));
    }
    const char *detail =
        member->label ? mr_arena_printf(env->arena, "JOIN %s", member->label) : "JOIN";
    if (detail == NULL)
        return mr_select_nomem(env);
    return mr_select_join(env, out, &right, MR_QUERY_INNER, &on, detail);
}

static void note_joined(struct chain *chain, int m)
{
    chain->joined[m] = true;
    for (int leaf = chain->members[m]->first; leaf <= chain->members[m]->last; leaf++)
        chain->there[leaf] = true;
}

enum mr_status mr_select_chain_emit(struct mr_select_block *block, struct mr_select_node *node,
                                    struct mr_select_relation *out)
{
    struct mr_select_env *env = block->env;
    struct chain chain = {.block = block};
    size_t room = (size_t)block->nleaves + 1;
    chain.members = mr_arena_calloc(env->arena, room, sizeof(struct mr_select_node *));
    chain.joined = mr_arena_calloc(env->arena, room, sizeof *chain.joined);
    chain.there = mr_arena_calloc(env->arena, room, sizeof *chain.there);
    if (chain.members == NULL || chain.joined == NULL || chain.there == NULL)
        return mr_select_nomem(env);
    MR_TRY(collect(&chain, node, true));
    MR_TRY(make_terms(&chain));
    MR_TRY(mr_select_from_emit(block, chain.members[0], out));
    note_joined(&chain, 0);
    for (int i = 1; i < chain.nmembers; i++) {
        int m = next_member(&chain);
        MR_TRY(join_member(&chain, m, out));
        note_joined(&chain, m);
    }
    return mr_select_filter(env, out, &chain.filters, "WHERE");
}

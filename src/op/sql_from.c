/*
 * sql_from.c - FROM: a tree of joins, with every condition as deep in it as it may go.
 *
 * A leaf has a number, a subtree is a range of numbers, and what a condition reads is a range too,
 * so that "only the left side" is two comparisons. A condition of WHERE sinks below inner joins and
 * below the preserved side of outer joins; one of ON sinks on the other side. Comma joins get their
 * conditions this way: what two sides of a cross join share becomes its condition.
 */
#include "op/sql_step.h"

#include "base/text.h"

static struct mr_select_node *new_node(struct mr_select_env *env)
{
    struct mr_select_node *node = mr_arena_calloc(env->arena, 1, sizeof *node);
    if (node == NULL)
        mr_select_nomem(env);
    return node;
}

/* The columns get the alias, its column names, and their place in FROM. */
static enum mr_status finish_leaf(struct mr_select_block *block, const struct mr_from *from,
                                  const char *qualifier, struct mr_select_node *node)
{
    struct mr_select_relation *relation = &node->relation;
    if (from->ncolumns > 0 && from->ncolumns != relation->ncolumns)
        return mr_select_fail(block->env, from->columns[0].position,
                              "%.80s has %d columns, %d names are given", qualifier,
                              relation->ncolumns, from->ncolumns);
    node->leaf = true;
    node->label = qualifier;
    node->first = node->last = block->nleaves++;
    for (int i = 0; i < relation->ncolumns; i++) {
        struct mr_select_column *column = relation->columns[i];
        column->qualifier = qualifier;
        column->block = block;
        column->first = column->last = node->first;
        if (from->ncolumns > 0)
            column->display = from->columns[i].name;
    }
    return MR_OK;
}

/* New columns for those of a relation that is read here, renamed where names meet. */
static enum mr_status import(struct mr_select_block *block, const struct mr_select_relation *from,
                             const char *qualifier, struct mr_select_relation *out)
{
    struct mr_select_env *env = block->env;
    size_t room = (size_t)from->ncolumns + 1;
    struct mr_options *options = NULL;
    *out = (struct mr_select_relation){.input = from->input, .ncolumns = from->ncolumns};
    out->columns = mr_arena_calloc(env->arena, room, sizeof *out->columns);
    if (out->columns == NULL)
        return mr_select_nomem(env);
    for (int i = 0; i < from->ncolumns; i++) {
        const struct mr_select_column *column = from->columns[i];
        const char *name = mr_select_claim(env, block->names, column->name, qualifier);
        out->columns[i] = mr_select_column_new(env, name, column->type, column->nullable);
        if (out->columns[i] == NULL)
            return env->err->status;
        out->columns[i]->display = column->display;
        if (strcmp(name, column->name) == 0)
            continue;
        if (options == NULL)
            MR_TRY(mr_select_options(env, "renameColumns", &options));
        MR_TRY(mr_options_add_pair(env->arena, options, "columns", column->name, name, env->err));
    }
    if (options == NULL)
        return MR_OK;
    return mr_select_emit(env, "renameColumns", qualifier, options, 1, &out->input, &out->input);
}

static struct mr_select_cte *find_cte(struct mr_select_cte *ctes, const char *name)
{
    for (; ctes != NULL; ctes = ctes->outer) {
        if (mr_text_equal_nocase(ctes->cte->name, name))
            return ctes;
    }
    return NULL;
}

static enum mr_status expand_cte(struct mr_select_block *block, struct mr_select_cte *cte)
{
    struct mr_select_env *env = block->env;
    const struct mr_query_cte *with = cte->cte;
    struct mr_select_target target = {.names = mr_select_names_new(env)};
    if (target.names == NULL)
        return env->err->status;
    cte->since = env->nparts;
    MR_TRY(mr_select_expand_query(env, with->query, cte->outer, NULL, &target, &cte->relation));
    if (with->ncolumns > 0 && with->ncolumns != cte->relation.ncolumns)
        return mr_select_fail(env, with->position, "%.80s has %d columns, %d names are given",
                              with->name, cte->relation.ncolumns, with->ncolumns);
    for (int i = 0; i < with->ncolumns; i++)
        cte->relation.columns[i]->display = with->columns[i].name;
    cte->expanded = true;
    return MR_OK;
}

static enum mr_status input_relation(struct mr_select_env *env, const struct mr_from *from,
                                     struct mr_select_relation *out)
{
    const struct mr_op_bind *bind = env->bind;
    for (int i = 0; i < bind->ninputs; i++) {
        const struct mr_schema *schema = bind->inputs[i].schema;
        if (!bind->inputs[i].frame || !mr_text_equal_nocase(bind->inputs[i].frame, from->name))
            continue;
        out->input = -1 - i;
        out->ncolumns = 0;
        for (int c = 0; c < schema->nfields; c++) {
            const struct mr_field *field = &schema->fields[c];
            struct mr_select_column *column =
                mr_select_column_new(env, field->name, field->type, field->nullable);
            if (column == NULL)
                return env->err->status;
            column->display = field->name;
            MR_TRY(mr_select_add_columns(env, out, 1, &column));
        }
        return MR_OK;
    }
    return mr_select_fail(env, from->position, "no frame %.80s", from->name);
}

static enum mr_status build_frame(struct mr_select_block *block, const struct mr_from *from,
                                  struct mr_select_node *node)
{
    struct mr_select_cte *cte = find_cte(block->ctes, from->name);
    const char *dot = strrchr(from->name, '.');
    const char *qualifier = from->alias ? from->alias : dot ? dot + 1 : from->name;
    struct mr_select_relation relation = {0};
    if (cte != NULL) {
        if (!cte->expanded)
            MR_TRY(expand_cte(block, cte));
        relation = cte->relation;
    } else {
        MR_TRY(input_relation(block->env, from, &relation));
    }
    MR_TRY(import(block, &relation, qualifier, &node->relation));
    MR_TRY(finish_leaf(block, from, qualifier, node));
    return from->window ? mr_select_event_table(block, from, node) : MR_OK;
}

static enum mr_status build_query(struct mr_select_block *block, const struct mr_from *from,
                                  struct mr_select_node *node)
{
    struct mr_select_target target = {.names = block->names, .qualifier = from->alias};
    MR_TRY(mr_select_expand_query(block->env, from->query, block->ctes, block, &target,
                                  &node->relation));
    return finish_leaf(block, from, from->alias, node);
}

static enum mr_status build(struct mr_select_block *block, const struct mr_from *from,
                            struct mr_select_node **out);

static struct mr_select_column *only_called(struct mr_select_env *env,
                                            const struct mr_select_relation *relation,
                                            const struct mr_query_name *name)
{
    struct mr_select_column *found = NULL;
    for (int i = 0; i < relation->ncolumns; i++) {
        struct mr_select_column *column = relation->columns[i];
        if (column->qualified_only || column->display == NULL ||
            !mr_text_equal_nocase(column->display, name->name))
            continue;
        if (found != NULL) {
            mr_select_fail(env, name->position, "one side of the join has two columns %.80s",
                           name->name);
            return NULL;
        }
        found = column;
    }
    if (found == NULL)
        mr_select_fail(env, name->position, "one side of the join has no column %.80s", name->name);
    return found;
}

/* coalesce(left, right) of a full join, a column of its own. */
static enum mr_status merge_full(struct mr_select_block *block, struct mr_select_node *node,
                                 struct mr_select_column *left, struct mr_select_column *right,
                                 struct mr_ast *a, struct mr_ast *b, struct mr_select_column **out)
{
    struct mr_select_env *env = block->env;
    struct mr_field field;
    struct mr_ast *ast;
    MR_TRY(mr_select_call(env, "coalesce", false, a->position, a, b, &ast));
    MR_TRY(mr_select_check(env, ast, false, &field));
    *out = mr_select_column_new(env, mr_select_claim(env, block->names, left->display, NULL),
                                field.type, true);
    if (*out == NULL)
        return env->err->status;
    (*out)->display = left->display;
    (*out)->block = block;
    (*out)->first = node->first;
    (*out)->last = node->last;
    left->qualified_only = right->qualified_only = true;
    node->computed[node->ncomputed] = *out;
    node->expressions[node->ncomputed++] = ast;
    return MR_OK;
}

/* One name of USING: an equality, and one column for two. */
static enum mr_status merge_columns(struct mr_select_block *block, struct mr_select_node *node,
                                    const struct mr_query_name *name, struct mr_select_column **out)
{
    struct mr_select_env *env = block->env;
    struct mr_field field;
    struct mr_ast *a, *b, *equal;
    struct mr_select_column *left = only_called(env, &node->left->relation, name);
    struct mr_select_column *right = left ? only_called(env, &node->right->relation, name) : NULL;
    if (left == NULL || right == NULL)
        return env->err->status;
    MR_TRY(mr_select_name(env, left, name->position, &a));
    MR_TRY(mr_select_name(env, right, name->position, &b));
    MR_TRY(mr_select_call(env, "=", true, name->position, a, b, &equal));
    MR_TRY(mr_select_check(env, equal, true, &field));
    MR_TRY(mr_select_append(env, &node->on, equal));
    if (node->join == MR_QUERY_FULL)
        return merge_full(block, node, left, right, a, b, out);
    *out = node->join == MR_QUERY_RIGHT ? right : left;
    (node->join == MR_QUERY_RIGHT ? left : right)->qualified_only = true;
    return MR_OK;
}

/* The names that both sides have, for NATURAL. */
static enum mr_status common_names(struct mr_select_env *env, const struct mr_select_node *node,
                                   size_t position, struct mr_query_name **names, int *count)
{
    const struct mr_select_relation *left = &node->left->relation, *right = &node->right->relation;
    *names = mr_arena_calloc(env->arena, (size_t)left->ncolumns + 1, sizeof **names);
    *count = 0;
    if (*names == NULL)
        return mr_select_nomem(env);
    for (int i = 0; i < left->ncolumns; i++) {
        bool both = false;
        for (int j = 0; j < right->ncolumns && !left->columns[i]->qualified_only; j++)
            both |= left->columns[i]->display && right->columns[j]->display &&
                    !right->columns[j]->qualified_only &&
                    mr_text_equal_nocase(left->columns[i]->display, right->columns[j]->display);
        if (both)
            (*names)[(*count)++] = (struct mr_query_name){left->columns[i]->display, position};
    }
    return MR_OK;
}

static enum mr_status add_unless(struct mr_select_env *env, struct mr_select_relation *relation,
                                 const struct mr_select_relation *from, int nmerged,
                                 struct mr_select_column *const *merged)
{
    for (int i = 0; i < from->ncolumns; i++) {
        bool there = false;
        for (int j = 0; j < nmerged; j++)
            there |= merged[j] == from->columns[i];
        if (!there)
            MR_TRY(mr_select_add_columns(env, relation, 1, &from->columns[i]));
    }
    return MR_OK;
}

static enum mr_status merge_names(struct mr_select_block *block, const struct mr_from *from,
                                  struct mr_select_node *node)
{
    struct mr_select_env *env = block->env;
    struct mr_query_name *names = from->using;
    int count = from->nusing;
    if (from->natural)
        MR_TRY(common_names(env, node, from->position, &names, &count));
    size_t room = (size_t)count + 1;
    struct mr_select_column **merged = mr_arena_calloc(env->arena, room, sizeof *merged);
    node->computed = mr_arena_calloc(env->arena, room, sizeof(struct mr_select_column *));
    node->expressions = mr_arena_calloc(env->arena, room, sizeof(struct mr_ast *));
    if (merged == NULL || node->computed == NULL || node->expressions == NULL)
        return mr_select_nomem(env);
    for (int i = 0; i < count; i++)
        MR_TRY(merge_columns(block, node, &names[i], &merged[i]));
    MR_TRY(mr_select_add_columns(env, &node->relation, count, merged));
    MR_TRY(add_unless(env, &node->relation, &node->left->relation, count, merged));
    if (node->join == MR_QUERY_SEMI || node->join == MR_QUERY_ANTI)
        return MR_OK;
    return add_unless(env, &node->relation, &node->right->relation, count, merged);
}

static bool within(const struct mr_select_uses *uses, const struct mr_select_node *node)
{
    return uses->first <= uses->last && uses->first >= node->first && uses->last <= node->last &&
           !uses->outer && !uses->attached && !uses->random;
}

static bool is_true(const struct mr_ast *ast)
{
    return ast->kind == MR_AST_LITERAL && ast->literal.type->id == MR_TYPE_BOOL &&
           !ast->literal.is_null && ast->literal.u.i64 != 0;
}

enum mr_status mr_select_from_push(struct mr_select_block *block, struct mr_select_node *node,
                                   struct mr_ast *ast)
{
    struct mr_select_uses uses;
    mr_select_scan(block, ast, &uses);
    while (!node->leaf) {
        enum mr_query_join join = node->join;
        bool inner = join == MR_QUERY_INNER || join == MR_QUERY_CROSS;
        bool to_left =
            inner || join == MR_QUERY_LEFT || join == MR_QUERY_SEMI || join == MR_QUERY_ANTI;
        bool to_right = inner || join == MR_QUERY_RIGHT;
        if (to_left && within(&uses, node->left))
            node = node->left;
        else if (to_right && within(&uses, node->right))
            node = node->right;
        else if (inner && within(&uses, node))
            return mr_select_append(block->env, &node->on, ast);
        else
            break;
    }
    return mr_select_append(block->env, &node->filters, ast);
}

/* A term of ON. */
static enum mr_status place_on(struct mr_select_block *block, struct mr_select_node *node,
                               struct mr_ast *ast)
{
    enum mr_query_join join = node->join;
    bool inner = join == MR_QUERY_INNER || join == MR_QUERY_CROSS;
    struct mr_select_env *env = block->env;
    struct mr_select_uses uses;
    mr_select_scan(block, ast, &uses);
    if (uses.aggregate || uses.window)
        return mr_select_fail(env, uses.call, "ON takes no aggregates and no window functions");
    if (uses.outer && (!inner || block->optional > 0))
        return mr_select_fail(env, ast->position,
                              "columns of the query around stand only in ON of inner joins");
    if (uses.outer)
        return mr_select_append(env, &block->pulled, ast);
    if (inner && is_true(ast))
        return MR_OK;
    if (inner && uses.first > uses.last)
        return mr_select_append(env, &node->on, ast);
    if (inner)
        return mr_select_from_push(block, node, ast);
    bool to_left = join == MR_QUERY_RIGHT || join == MR_QUERY_SEMI;
    bool to_right = join == MR_QUERY_LEFT || join == MR_QUERY_SEMI || join == MR_QUERY_ANTI;
    if (to_left && within(&uses, node->left))
        return mr_select_from_push(block, node->left, ast);
    if (to_right && within(&uses, node->right))
        return mr_select_from_push(block, node->right, ast);
    return mr_select_append(env, &node->on, ast);
}

static bool has_query(const struct mr_ast *ast)
{
    const struct mr_ast *child;
    bool found = ast->query != NULL;
    for (int i = 0; !found && (child = mr_select_child_of(ast, i)) != NULL; i++)
        found = has_query(child);
    return found;
}

/* A term with a sub-query waits for the rest of FROM, as if it were of WHERE. */
static enum mr_status defer(struct mr_select_block *block, const struct mr_select_node *node,
                            struct mr_ast *term)
{
    bool inner = node->join == MR_QUERY_INNER || node->join == MR_QUERY_CROSS;
    if (!inner || block->optional > 0)
        return mr_select_fail(block->env, term->position,
                              "sub-queries stand only in ON of inner joins");
    return mr_select_append(block->env, &block->deferred, term);
}

static enum mr_status resolve_on(struct mr_select_block *block, const struct mr_from *from,
                                 struct mr_select_node *node)
{
    struct mr_select_env *env = block->env;
    struct mr_select_relation both = {0};
    struct mr_select_list terms = {0};
    struct mr_field field;
    struct mr_ast *ast;
    const struct mr_select_relation *left = &node->left->relation, *right = &node->right->relation;
    MR_TRY(mr_select_add_columns(env, &both, left->ncolumns, left->columns));
    MR_TRY(mr_select_add_columns(env, &both, right->ncolumns, right->columns));
    struct mr_select_scope scope = {.block = block,
                                    .ncolumns = both.ncolumns,
                                    .columns = both.columns,
                                    .outer = true,
                                    .clause = "ON"};
    MR_TRY(mr_select_split(env, from->on, &terms));
    for (int i = 0; i < terms.count; i++) {
        if (has_query(terms.items[i])) {
            MR_TRY(defer(block, node, terms.items[i]));
            continue;
        }
        MR_TRY(mr_select_resolve(&scope, terms.items[i], &ast));
        MR_TRY(mr_select_check(env, ast, true, &field));
        MR_TRY(place_on(block, node, ast));
    }
    return MR_OK;
}

static void may_be_null(const struct mr_select_node *node)
{
    for (int i = 0; i < node->relation.ncolumns; i++)
        node->relation.columns[i]->nullable = true;
}

static enum mr_status build_join(struct mr_select_block *block, const struct mr_from *from,
                                 struct mr_select_node *node)
{
    bool left = from->join == MR_QUERY_RIGHT || from->join == MR_QUERY_FULL;
    bool right = !left && from->join != MR_QUERY_INNER && from->join != MR_QUERY_CROSS;
    right |= from->join == MR_QUERY_FULL;
    block->optional += left; /* conditions of that side cannot be tested behind the join */
    MR_TRY(build(block, from->left, &node->left));
    block->optional += right - left;
    MR_TRY(build(block, from->right, &node->right));
    block->optional -= right;
    node->join = from->join;
    node->first = node->left->first;
    node->last = node->right->last;
    node->label = node->right->label;
    if (node->left->leaf && node->right->leaf && node->left->label && node->right->label &&
        mr_text_equal_nocase(node->left->label, node->right->label))
        return mr_select_fail(block->env, from->right->position,
                              "%.80s stands in FROM twice: give one of them an alias",
                              node->right->label);
    MR_TRY(merge_names(block, from, node));
    if (from->on != NULL && from->join == MR_QUERY_CROSS)
        node->join = MR_QUERY_INNER;
    if (from->on != NULL)
        MR_TRY(resolve_on(block, from, node));
    if (from->join == MR_QUERY_LEFT || from->join == MR_QUERY_FULL)
        may_be_null(node->right);
    if (from->join == MR_QUERY_RIGHT || from->join == MR_QUERY_FULL)
        may_be_null(node->left);
    return MR_OK;
}

static enum mr_status build(struct mr_select_block *block, const struct mr_from *from,
                            struct mr_select_node **out)
{
    *out = new_node(block->env);
    if (*out == NULL)
        return MR_NOMEM;
    switch (from->kind) {
    case MR_FROM_FRAME:
        return build_frame(block, from, *out);
    case MR_FROM_QUERY:
        return build_query(block, from, *out);
    default:
        return build_join(block, from, *out);
    }
}

enum mr_status mr_select_from_build(struct mr_select_block *block)
{
    struct mr_select_env *env = block->env;
    struct mr_select_node *from;
    if (block->query->from == NULL) {
        mr_select_fail(env, block->query->position, "a SELECT without FROM has no rows here");
        mr_error_hint(env->err, "a query reads registered frames");
        return MR_CONFIG;
    }
    MR_TRY(build(block, block->query->from, &from));
    block->from = from;
    return MR_OK;
}

static enum mr_status emit_join(struct mr_select_block *block, struct mr_select_node *node,
                                struct mr_select_relation *out)
{
    struct mr_select_env *env = block->env;
    struct mr_select_relation right;
    MR_TRY(mr_select_from_emit(block, node->left, out));
    MR_TRY(mr_select_from_emit(block, node->right, &right));
    const char *detail = node->label ? mr_arena_printf(env->arena, "JOIN %s", node->label) : "JOIN";
    if (detail == NULL)
        return mr_select_nomem(env);
    MR_TRY(mr_select_join(env, out, &right, node->join, &node->on, detail));
    return mr_select_enrich(env, out, node->ncomputed, node->computed, node->expressions, "USING");
}

enum mr_status mr_select_from_emit(struct mr_select_block *block, struct mr_select_node *node,
                                   struct mr_select_relation *out)
{
    if (node->leaf) {
        *out = node->relation;
        out->ncolumns -= node->windowed ? 2 : 0; /* the aggregate makes those */
    } else if (mr_select_in_chain(node))
        MR_TRY(mr_select_chain_emit(block, node, out));
    else
        MR_TRY(emit_join(block, node, out));
    return mr_select_filter(block->env, out, &node->filters, "WHERE");
}

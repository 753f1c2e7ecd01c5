/*
 * sql_select.c - one SELECT: from FROM to LIMIT, in the order in which SQL means the clauses.
 *
 * Everything is resolved first: FROM, WHERE, the items, GROUP BY, HAVING and ORDER BY see columns as
 * FROM has them. Then parts are made from the inside out, and what grouping and windows compute takes
 * the place of the calls in the items, in HAVING and in the keys of the order. A key of the order that
 * is no item is computed beside the items and dropped at the end.
 */
#include "op/sql_step.h"

#include "base/text.h"

void mr_select_block_init(struct mr_select_block *block, struct mr_select_env *env,
                          const struct mr_query *query, struct mr_select_cte *ctes,
                          struct mr_select_names *names)
{
    *block = (struct mr_select_block){.env = env, .query = query, .ctes = ctes, .names = names};
    block->last_step = &block->steps;
    block->generation = 1;
}

enum mr_status mr_select_open_ctes(struct mr_select_env *env, const struct mr_query *query,
                                   struct mr_select_cte **ctes)
{
    for (int i = 0; i < query->nctes; i++) {
        struct mr_select_cte *cte = mr_arena_calloc(env->arena, 1, sizeof *cte);
        if (cte == NULL)
            return mr_select_nomem(env);
        for (int j = 0; j < i; j++) {
            if (mr_text_equal_nocase(query->ctes[i].name, query->ctes[j].name))
                return mr_select_fail(env, query->ctes[i].position,
                                      "two queries of WITH are called %.80s", query->ctes[i].name);
        }
        cte->cte = &query->ctes[i];
        cte->outer = *ctes;
        *ctes = cte;
    }
    return MR_OK;
}

/* A term of WHERE: deep into FROM, or behind it. */
static enum mr_status place_condition(struct mr_select_block *block, struct mr_select_scope *scope,
                                      const struct mr_ast *term)
{
    struct mr_select_env *env = block->env;
    struct mr_field field;
    struct mr_select_uses uses;
    struct mr_ast *ast;
    bool handled;
    MR_TRY(mr_select_condition_query(scope, term, &handled));
    if (handled)
        return MR_OK;
    MR_TRY(mr_select_resolve(scope, term, &ast));
    MR_TRY(mr_select_event_refuse(block, ast, "WHERE"));
    mr_select_scan(block, ast, &uses);
    if (uses.aggregate || uses.window)
        return mr_select_fail(env, uses.call, "WHERE takes no %s",
                              uses.window ? "window functions; filter a sub-query in FROM"
                                          : "aggregates; use HAVING");
    MR_TRY(mr_select_check(env, ast, true, &field));
    if (uses.outer && uses.attached)
        return mr_select_fail(env, ast->position,
                              "a condition over the query around takes no sub-query of its own");
    if (uses.outer)
        return mr_select_append(env, &block->pulled, ast);
    if (uses.attached)
        return mr_select_append(env, &block->late, ast);
    return mr_select_from_push(block, block->from, ast);
}

enum mr_status mr_select_block_open(struct mr_select_block *block)
{
    struct mr_select_env *env = block->env;
    MR_TRY(mr_select_from_build(block));
    struct mr_select_list terms = block->deferred;
    struct mr_select_scope scope = {.block = block,
                                    .ncolumns = block->from->relation.ncolumns,
                                    .columns = block->from->relation.columns,
                                    .outer = true,
                                    .clause = "WHERE"};
    if (block->query->where != NULL)
        MR_TRY(mr_select_split(env, block->query->where, &terms));
    for (int i = 0; i < terms.count; i++)
        MR_TRY(place_condition(block, &scope, terms.items[i]));
    return MR_OK;
}

enum mr_status mr_select_block_rows(struct mr_select_block *block)
{
    struct mr_select_env *env = block->env;
    MR_TRY(mr_select_from_emit(block, block->from, &block->relation));
    for (const struct mr_select_step *step = block->steps; step != NULL; step = step->next) {
        for (int i = 0; i < step->on.count; i++)
            MR_TRY(mr_select_attach_for(block, step->on.items[i]));
        if (step->join)
            MR_TRY(mr_select_join(env, &block->relation, &step->relation, step->kind, &step->on,
                                  step->detail));
        else
            MR_TRY(mr_select_filter(env, &block->relation, &step->on, step->detail));
    }
    for (int i = 0; i < block->late.count; i++)
        MR_TRY(mr_select_attach_for(block, block->late.items[i]));
    return mr_select_filter(env, &block->relation, &block->late, "WHERE");
}

/* The name of an item: alias, column or field, else what Spark makes of the expression. */
static const char *item_name(struct mr_select_env *env, const struct mr_query_item *item)
{
    struct mr_bytes bytes;
    const char *name = item->alias;
    if (name != NULL)
        return name;
    if (item->expr->kind == MR_AST_NAME || item->expr->kind == MR_AST_FIELD)
        return item->expr->name;
    mr_bytes_init(&bytes, MR_SQL_MAX_TEXT);
    mr_ast_name(&bytes, item->expr);
    if (mr_bytes_status(&bytes, env->err) == MR_OK) {
        name = mr_arena_strdup(env->arena, bytes.data);
        if (name == NULL)
            mr_select_nomem(env);
    }
    mr_bytes_reset(&bytes);
    return name;
}

enum mr_status mr_select_block_outputs(struct mr_select_block *block)
{
    struct mr_select_env *env = block->env;
    const struct mr_query *query = block->query;
    const struct mr_select_relation *from = &block->from->relation;
    size_t room = 1;
    for (int i = 0; i < query->nitems; i++)
        room += query->items[i].expr ? 1 : (size_t)from->ncolumns;
    block->outputs = mr_arena_calloc(env->arena, room, sizeof *block->outputs);
    if (block->outputs == NULL)
        return mr_select_nomem(env);
    for (int i = 0; i < query->nitems; i++) {
        const struct mr_query_item *item = &query->items[i];
        if (item->expr == NULL) {
            MR_TRY(mr_select_star(block, item));
            continue;
        }
        struct mr_select_scope scope = {.block = block,
                                        .ncolumns = from->ncolumns,
                                        .columns = from->columns,
                                        .aliases = block->outputs,
                                        .naliases = block->noutputs,
                                        .clause = "SELECT"};
        struct mr_select_output *output = &block->outputs[block->noutputs];
        MR_TRY(mr_select_resolve(&scope, item->expr, &output->ast));
        output->name = item_name(env, item);
        output->position = item->expr->position;
        if (output->name == NULL)
            return env->err->status;
        block->noutputs++;
    }
    return MR_OK;
}

/* What a SELECT comes to behind WHERE. */
struct clauses {
    struct mr_select_list groups;
    struct mr_ast *having;
    int norders;
    struct mr_ast_order *orders; /* expr: an output's tree, or one of its own */
    bool aggregated;
    bool windowed;
};

static struct mr_select_scope scope_of(struct mr_select_block *block, bool aliases_first,
                                       const char *clause)
{
    return (struct mr_select_scope){.block = block,
                                    .ncolumns = block->from->relation.ncolumns,
                                    .columns = block->from->relation.columns,
                                    .aliases = block->outputs,
                                    .naliases = block->noutputs,
                                    .aliases_first = aliases_first,
                                    .clause = clause};
}

static enum mr_status by_ordinal(struct mr_select_block *block, const struct mr_ast *ast,
                                 const char *clause, struct mr_ast **out)
{
    int64_t n = mr_select_ordinal(ast);
    *out = NULL;
    if (ast->kind != MR_AST_LITERAL || !mr_type_is_integer(ast->literal.type))
        return MR_OK;
    if (n < 1 || n > block->noutputs)
        return mr_select_fail(block->env, ast->position, "%s %lld: the query has %d columns",
                              clause, (long long)n, block->noutputs);
    *out = block->outputs[n - 1].ast;
    return MR_OK;
}

static enum mr_status resolve_groups(struct mr_select_block *block, struct clauses *clauses)
{
    struct mr_select_env *env = block->env;
    const struct mr_query *query = block->query;
    struct mr_select_uses uses;
    struct mr_ast *ast;
    for (int i = 0; query->group_all && i < block->noutputs; i++) {
        mr_select_scan(block, block->outputs[i].ast, &uses);
        if (!uses.aggregate && !uses.window)
            MR_TRY(mr_select_append(env, &clauses->groups, block->outputs[i].ast));
    }
    struct mr_select_scope scope = scope_of(block, false, "GROUP BY");
    for (int i = 0; i < query->ngroups; i++) {
        MR_TRY(by_ordinal(block, query->groups[i], "GROUP BY", &ast));
        if (ast == NULL)
            MR_TRY(mr_select_resolve(&scope, query->groups[i], &ast));
        mr_select_scan(block, ast, &uses);
        if (uses.aggregate || uses.window)
            return mr_select_fail(env, uses.call, "GROUP BY takes no %s",
                                  uses.window ? "window functions" : "aggregates");
        MR_TRY(mr_select_append(env, &clauses->groups, ast));
    }
    return MR_OK;
}

static enum mr_status resolve_orders(struct mr_select_block *block, struct clauses *clauses)
{
    struct mr_select_env *env = block->env;
    const struct mr_query *query = block->query;
    int count = query->order_all ? block->noutputs : query->norders;
    struct mr_select_scope scope = scope_of(block, true, "ORDER BY");
    clauses->orders = mr_arena_calloc(env->arena, (size_t)count + 1, sizeof *clauses->orders);
    if (clauses->orders == NULL)
        return mr_select_nomem(env);
    clauses->norders = count;
    for (int i = 0; i < count; i++) {
        struct mr_ast_order *order = &clauses->orders[i];
        if (query->order_all) {
            *order = (struct mr_ast_order){block->outputs[i].ast, query->order_all_descending,
                                           query->order_all_nulls_first};
            continue;
        }
        *order = query->orders[i];
        MR_TRY(by_ordinal(block, query->orders[i].expr, "ORDER BY", &order->expr));
        if (order->expr == NULL)
            MR_TRY(mr_select_resolve(&scope, query->orders[i].expr, &order->expr));
    }
    return MR_OK;
}

static void note_uses(const struct mr_select_block *block, const struct mr_ast *ast,
                      struct clauses *clauses)
{
    struct mr_select_uses uses;
    mr_select_scan(block, ast, &uses);
    clauses->aggregated |= uses.aggregate;
    clauses->windowed |= uses.window;
}

static enum mr_status resolve_clauses(struct mr_select_block *block, struct clauses *clauses)
{
    const struct mr_query *query = block->query;
    MR_TRY(mr_select_event_open(block));
    MR_TRY(mr_select_block_outputs(block));
    MR_TRY(resolve_groups(block, clauses));
    MR_TRY(mr_select_event_groups(block, &clauses->groups));
    if (query->having != NULL) {
        struct mr_select_scope scope = scope_of(block, true, "HAVING");
        MR_TRY(mr_select_resolve(&scope, query->having, &clauses->having));
    }
    MR_TRY(resolve_orders(block, clauses));
    clauses->aggregated = query->grouped || query->having != NULL;
    for (int i = 0; i < block->noutputs; i++)
        note_uses(block, block->outputs[i].ast, clauses);
    for (int i = 0; i < clauses->norders; i++)
        note_uses(block, clauses->orders[i].expr, clauses);
    if (clauses->having != NULL) {
        struct mr_select_uses uses;
        mr_select_scan(block, clauses->having, &uses);
        if (uses.window)
            return mr_select_fail(block->env, uses.call,
                                  "HAVING takes no window functions; filter a sub-query in FROM");
    }
    return MR_OK;
}

/* The output that a key of the order is, or -1. */
static int output_of(const struct mr_select_block *block, const struct mr_ast *ast)
{
    for (int i = 0; i < block->noutputs; i++) {
        if (mr_ast_equal(block->outputs[i].ast, ast))
            return i;
    }
    return -1;
}

/* Outputs first, then keys of the order that are none, then HAVING. */
struct plan {
    struct mr_select_targets targets;
    int *order_target; /* by key */
    int having;        /* target, or -1 */
    int shown;         /* outputs and keys */
    struct mr_select_column **columns;
};

static enum mr_status list_targets(struct mr_select_block *block, const struct clauses *clauses,
                                   struct plan *plan)
{
    struct mr_select_env *env = block->env;
    size_t room = (size_t)block->noutputs + (size_t)clauses->norders + 2;
    plan->targets.asts = mr_arena_calloc(env->arena, room, sizeof *plan->targets.asts);
    plan->order_target = mr_arena_calloc(env->arena, room, sizeof *plan->order_target);
    plan->columns = mr_arena_calloc(env->arena, room, sizeof *plan->columns);
    if (!plan->targets.asts || !plan->order_target || !plan->columns)
        return mr_select_nomem(env);
    int n = 0;
    for (int i = 0; i < block->noutputs; i++)
        plan->targets.asts[n++] = block->outputs[i].ast;
    for (int i = 0; i < clauses->norders; i++) {
        const struct mr_ast *key = clauses->orders[i].expr;
        plan->order_target[i] = output_of(block, key);
        if (plan->order_target[i] >= 0)
            continue;
        if (block->query->distinct)
            return mr_select_fail(env, key->position,
                                  "with SELECT DISTINCT, ORDER BY takes only what is selected");
        plan->order_target[i] = n;
        plan->targets.asts[n++] = clauses->orders[i].expr;
    }
    plan->shown = n;
    plan->having = -1;
    if (clauses->having != NULL) {
        plan->having = n;
        plan->targets.asts[n++] = clauses->having;
    }
    plan->targets.count = n;
    return MR_OK;
}

static enum mr_status compute(struct mr_select_block *block, const struct clauses *clauses,
                              struct plan *plan)
{
    struct mr_select_env *env = block->env;
    struct mr_field field;
    if (clauses->aggregated)
        MR_TRY(mr_select_group(block, &clauses->groups, &plan->targets));
    if (plan->having >= 0) {
        struct mr_select_list list = {0};
        struct mr_ast *having = plan->targets.asts[plan->having];
        MR_TRY(mr_select_attach_for(block, having));
        MR_TRY(mr_select_check(env, having, true, &field));
        MR_TRY(mr_select_append(env, &list, having));
        MR_TRY(mr_select_filter(env, &block->relation, &list, "HAVING"));
        plan->targets.count--;
    }
    if (clauses->windowed)
        MR_TRY(mr_select_windows(block, &plan->targets));
    for (int i = 0; i < plan->targets.count; i++)
        MR_TRY(mr_select_attach_for(block, plan->targets.asts[i]));
    return MR_OK;
}

/* The columns of the result, with their names and types. */
static enum mr_status name_columns(struct mr_select_block *block,
                                   const struct mr_select_target *target, struct plan *plan)
{
    struct mr_select_env *env = block->env;
    struct mr_field field;
    for (int i = 0; i < plan->shown; i++) {
        bool output = i < block->noutputs;
        const char *wanted = output ? block->outputs[i].name : "order key";
        MR_TRY(mr_select_check(env, plan->targets.asts[i], false, &field));
        const char *name = mr_select_claim(env, target->names, wanted, target->qualifier);
        plan->columns[i] = mr_select_column_new(env, name, field.type, field.nullable);
        if (plan->columns[i] == NULL)
            return env->err->status;
        if (target->top && output && strcmp(name, wanted) != 0) {
            mr_select_fail(env, block->outputs[i].position,
                           "two columns of the result are called %.80s", wanted);
            mr_error_hint(env->err, "give one of them another name with AS");
            return MR_CONFIG;
        }
        plan->columns[i]->display = output ? wanted : NULL;
    }
    return MR_OK;
}

static enum mr_status names_of(struct mr_select_env *env, int count,
                               struct mr_select_column *const *columns, struct mr_ast ***out)
{
    *out = mr_arena_calloc(env->arena, (size_t)count + 1, sizeof **out);
    if (*out == NULL)
        return mr_select_nomem(env);
    for (int i = 0; i < count; i++)
        MR_TRY(mr_select_name(env, columns[i], 0, &(*out)[i]));
    return MR_OK;
}

static enum mr_status finish(struct mr_select_block *block, const struct clauses *clauses,
                             const struct mr_select_target *target, struct plan *plan)
{
    struct mr_select_env *env = block->env;
    const struct mr_query *query = block->query;
    struct mr_select_relation *relation = &block->relation;
    bool cut = query->limit != NULL || query->offset != NULL;
    bool sorted = clauses->norders > 0 && (target->top || cut);
    bool hidden = plan->shown > block->noutputs;
    struct mr_ast **names;
    MR_TRY(name_columns(block, target, plan));
    MR_TRY(mr_select_project(env, relation, sorted ? plan->shown : block->noutputs, plan->columns,
                             plan->targets.asts, "SELECT", target->top && !(sorted && hidden)));
    if (query->distinct)
        MR_TRY(mr_select_distinct(env, relation));
    MR_TRY(names_of(env, plan->shown, plan->columns, &names));
    if (sorted) {
        for (int i = 0; i < clauses->norders; i++)
            clauses->orders[i].expr = names[plan->order_target[i]];
        MR_TRY(mr_select_sort(env, relation, clauses->norders, clauses->orders));
    }
    MR_TRY(mr_select_limits(env, query, relation));
    if (!sorted || !hidden)
        return MR_OK;
    return mr_select_project(env, relation, block->noutputs, plan->columns, names, "SELECT",
                             target->top);
}

static enum mr_status expand_select(struct mr_select_env *env, const struct mr_query *query,
                                    struct mr_select_cte *ctes,
                                    const struct mr_select_block *enclosing,
                                    const struct mr_select_target *target,
                                    struct mr_select_relation *out)
{
    struct mr_select_block block;
    struct clauses clauses = {0};
    struct plan plan = {0};
    struct mr_select_names *names = mr_select_names_new(env);
    if (names == NULL)
        return env->err->status;
    mr_select_block_init(&block, env, query, ctes, names);
    block.blocked = enclosing;
    MR_TRY(mr_select_event_find(&block));
    MR_TRY(mr_select_block_open(&block));
    MR_TRY(resolve_clauses(&block, &clauses));
    MR_TRY(list_targets(&block, &clauses, &plan));
    MR_TRY(mr_select_block_rows(&block));
    MR_TRY(compute(&block, &clauses, &plan));
    MR_TRY(finish(&block, &clauses, target, &plan));
    *out = block.relation;
    return MR_OK;
}

/* Queries of WITH that nothing reads are checked all the same; their parts are dropped. */
static enum mr_status check_unused(struct mr_select_env *env, struct mr_select_cte *ctes,
                                   const struct mr_select_cte *end)
{
    int nparts = env->nparts;
    for (struct mr_select_cte *cte = ctes; cte != end; cte = cte->outer) {
        struct mr_select_target target = {.names = mr_select_names_new(env)};
        struct mr_select_relation relation;
        if (target.names == NULL)
            return env->err->status;
        if (!cte->expanded)
            MR_TRY(
                mr_select_expand_query(env, cte->cte->query, cte->outer, NULL, &target, &relation));
    }
    env->nparts = nparts;
    for (struct mr_select_cte *cte = ctes; cte != NULL; cte = cte->outer)
        cte->expanded &= cte->since < nparts;
    return MR_OK;
}

enum mr_status mr_select_expand_query(struct mr_select_env *env, const struct mr_query *query,
                                      struct mr_select_cte *ctes,
                                      const struct mr_select_block *enclosing,
                                      const struct mr_select_target *target,
                                      struct mr_select_relation *out)
{
    struct mr_select_cte *visible = ctes;
    MR_TRY(mr_select_open_ctes(env, query, &visible));
    if (query->kind == MR_QUERY_SELECT)
        MR_TRY(expand_select(env, query, visible, enclosing, target, out));
    else
        MR_TRY(mr_select_expand_set(env, query, visible, enclosing, target, out));
    return check_unused(env, visible, ctes);
}

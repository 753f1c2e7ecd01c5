/*
 * sql_subquery.c - queries within expressions: EXISTS, IN and scalar ones, as joins.
 *
 * A term of WHERE becomes a semi or anti join. What a sub-query says about columns of the query around
 * is pulled up into the condition of the join. `x NOT IN (..)` keeps a row if the sub-query is
 * empty, or if x is not NULL, nothing equals it and the sub-query has no NULL: an anti join, and a
 * filter over two counts of the sub-query that every row gets. Only where it is correlated, or over
 * several columns that may be NULL, the condition itself tests for NULLs, at the price of a join without
 * keys.
 *
 * Elsewhere in an expression a sub-query is a column that is joined in: one row for all, or a left
 * join by the equalities that tie it to the query around. A mark that a row was found is a literal
 * beside the keys.
 */
#include "op/sql_step.h"

struct subquery {
    struct mr_select_block *outer;
    size_t position;
    struct mr_select_relation relation;
    int noutputs;
    struct mr_ast **outputs;
    struct mr_select_list pulled;
};

static enum mr_status is_null_test(struct mr_select_env *env, const struct mr_ast *ast,
                                   const char *test, struct mr_ast **out)
{
    struct mr_ast *copy;
    MR_TRY(mr_select_copy(env, ast, &copy));
    return mr_select_call(env, test, true, ast->position, copy, NULL, out);
}

static enum mr_status number(struct mr_select_env *env, int64_t value, struct mr_ast **out)
{
    return mr_select_literal(env,
                             (struct mr_value){.type = mr_type_of(MR_TYPE_INT32), .u.i64 = value},
                             0, out);
}

static enum mr_status truth(struct mr_select_env *env, bool value, struct mr_ast **out)
{
    return mr_select_literal(env,
                             (struct mr_value){.type = mr_type_of(MR_TYPE_BOOL), .u.i64 = value}, 0,
                             out);
}

static bool has_aggregates(const struct mr_query *query)
{
    for (int i = 0; i < query->nitems; i++) {
        struct mr_select_uses uses;
        if (query->items[i].expr == NULL)
            continue;
        mr_select_scan(NULL, query->items[i].expr, &uses);
        if (uses.aggregate || uses.window)
            return true;
    }
    return false;
}

/* Rows of FROM and WHERE alone? Only such a query may look at the one around. */
static bool is_plain(const struct mr_query *query, bool exists)
{
    bool cut = query->offset != NULL ||
               (query->limit != NULL && (!exists || mr_select_ordinal(query->limit) < 1));
    return query->kind == MR_QUERY_SELECT && query->from != NULL && !query->grouped &&
           query->having == NULL && !cut && !has_aggregates(query);
}

static enum mr_status open_inner(struct mr_select_block *outer, const struct mr_query *query,
                                 struct mr_select_block **out)
{
    struct mr_select_env *env = outer->env;
    struct mr_select_cte *ctes = outer->ctes;
    *out = mr_arena_calloc(env->arena, 1, sizeof **out);
    if (*out == NULL)
        return mr_select_nomem(env);
    MR_TRY(mr_select_open_ctes(env, query, &ctes));
    mr_select_block_init(*out, env, query, ctes, outer->names);
    (*out)->parent = outer;
    return mr_select_block_open(*out);
}

static enum mr_status open_plain(struct subquery *sub, const struct mr_query *query, bool exists)
{
    struct mr_select_env *env = sub->outer->env;
    struct mr_select_block *inner;
    MR_TRY(open_inner(sub->outer, query, &inner));
    if (!exists) {
        MR_TRY(mr_select_block_outputs(inner));
        sub->noutputs = inner->noutputs;
        sub->outputs =
            mr_arena_calloc(env->arena, (size_t)inner->noutputs + 1, sizeof *sub->outputs);
        if (sub->outputs == NULL)
            return mr_select_nomem(env);
        for (int i = 0; i < inner->noutputs; i++)
            sub->outputs[i] = inner->outputs[i].ast;
    }
    MR_TRY(mr_select_block_rows(inner));
    for (int i = 0; i < sub->noutputs; i++)
        MR_TRY(mr_select_attach_for(inner, sub->outputs[i]));
    sub->relation = inner->relation;
    sub->pulled = inner->pulled;
    return MR_OK;
}

/* Any query, without columns of the one around. */
static enum mr_status open_whole(struct subquery *sub, const struct mr_query *query)
{
    struct mr_select_env *env = sub->outer->env;
    struct mr_select_target target = {.names = sub->outer->names};
    MR_TRY(
        mr_select_expand_query(env, query, sub->outer->ctes, sub->outer, &target, &sub->relation));
    sub->noutputs = sub->relation.ncolumns;
    sub->outputs = mr_arena_calloc(env->arena, (size_t)sub->noutputs + 1, sizeof *sub->outputs);
    if (sub->outputs == NULL)
        return mr_select_nomem(env);
    for (int i = 0; i < sub->noutputs; i++)
        MR_TRY(mr_select_name(env, sub->relation.columns[i], sub->position, &sub->outputs[i]));
    return MR_OK;
}

static enum mr_status open_subquery(struct mr_select_block *outer, const struct mr_ast *ast,
                                    struct subquery *sub)
{
    bool exists = ast->kind == MR_AST_EXISTS;
    *sub = (struct subquery){.outer = outer, .position = ast->position};
    if (outer->names == NULL)
        return mr_select_fail(outer->env, ast->position, "a sub-query cannot stand here");
    if (is_plain(ast->query, exists))
        MR_TRY(open_plain(sub, ast->query, exists));
    else
        MR_TRY(open_whole(sub, ast->query));
    if (ast->kind == MR_AST_IN_QUERY && sub->noutputs != ast->nargs)
        return mr_select_fail(outer->env, ast->position,
                              "the sub-query has %d columns, %d are compared", sub->noutputs,
                              ast->nargs);
    return MR_OK;
}

static enum mr_status add_step(struct mr_select_block *block, const struct mr_select_step *from)
{
    struct mr_select_step *step = mr_arena_alloc(block->env->arena, sizeof *step);
    if (step == NULL)
        return mr_select_nomem(block->env);
    *step = *from;
    step->next = NULL;
    *block->last_step = step;
    block->last_step = &step->next;
    return MR_OK;
}

static enum mr_status filter_step(struct mr_select_block *block, struct mr_ast *condition,
                                  const char *detail)
{
    struct mr_select_step step = {.detail = detail};
    MR_TRY(mr_select_append(block->env, &step.on, condition));
    return add_step(block, &step);
}

/* One aggregation of a relation without keys (or by `keys`): new columns for `calls`. */
static enum mr_status summarize(struct mr_select_block *block,
                                const struct mr_select_relation *from, int count,
                                const char *const *calls, const struct mr_type *const *types,
                                struct mr_select_column **columns, struct mr_select_relation *out)
{
    struct mr_select_env *env = block->env;
    struct mr_options *options;
    *out = (struct mr_select_relation){.input = from->input};
    MR_TRY(mr_select_options(env, "aggregateData", &options));
    for (int i = 0; i < count; i++) {
        columns[i] =
            mr_select_column_new(env, mr_select_claim(env, block->names, "sub-query", NULL),
                                 types[i], true);
        if (columns[i] == NULL)
            return env->err->status;
        columns[i]->block = block;
        MR_TRY(mr_options_add_pair(env->arena, options, "aggregations", columns[i]->name, calls[i],
                                   env->err));
    }
    MR_TRY(mr_select_emit(env, "aggregateData", "sub-query", options, 1, &out->input, &out->input));
    return mr_select_add_columns(env, out, count, columns);
}

/* One row with count(*): of a relation cut to one row where only "any?" is asked. */
static enum mr_status count_rows(struct mr_select_block *block,
                                 const struct mr_select_relation *from, bool any,
                                 struct mr_select_column **column, struct mr_select_relation *out)
{
    static const char *const call = "count(*)";
    const struct mr_type *type = mr_type_of(MR_TYPE_INT64);
    struct mr_select_relation rows = *from;
    if (any)
        MR_TRY(mr_select_limit(block->env, &rows, 1, 0));
    return summarize(block, &rows, 1, &call, &type, column, out);
}

/* count(*) and count(y) of the sub-query's rows. */
static enum mr_status count_values(struct subquery *sub, const struct mr_ast *value,
                                   struct mr_select_column *columns[2],
                                   struct mr_select_relation *out)
{
    struct mr_select_env *env = sub->outer->env;
    const struct mr_type *types[2] = {mr_type_of(MR_TYPE_INT64), mr_type_of(MR_TYPE_INT64)};
    const char *calls[2] = {"count(*)", NULL};
    const char *text = mr_select_text(env, value);
    if (text == NULL)
        return env->err->status;
    calls[1] = mr_arena_printf(env->arena, "count(%s)", text);
    if (calls[1] == NULL)
        return mr_select_nomem(env);
    return summarize(sub->outer, &sub->relation, 2, calls, types, columns, out);
}

static enum mr_status compare_column(struct mr_select_env *env, struct mr_select_column *column,
                                     const char *operator, struct mr_ast * with,
                                     struct mr_ast **out)
{
    struct mr_ast *name;
    MR_TRY(mr_select_name(env, column, 0, &name));
    return mr_select_call(env, operator, true, 0, name, with, out);
}

static enum mr_status condition_exists(struct subquery *sub, bool negated)
{
    struct mr_select_block *block = sub->outer;
    struct mr_select_env *env = block->env;
    if (sub->pulled.count > 0) {
        struct mr_select_step step = {.join = true,
                                      .relation = sub->relation,
                                      .kind = negated ? MR_QUERY_ANTI : MR_QUERY_SEMI,
                                      .on = sub->pulled,
                                      .detail = negated ? "NOT EXISTS" : "EXISTS"};
        return add_step(block, &step);
    }
    struct mr_select_step step = {.join = true, .kind = MR_QUERY_CROSS, .detail = "EXISTS"};
    struct mr_select_column *rows;
    struct mr_ast *zero, *test;
    MR_TRY(count_rows(block, &sub->relation, true, &rows, &step.relation));
    MR_TRY(add_step(block, &step));
    MR_TRY(number(env, 0, &zero));
    MR_TRY(compare_column(env, rows, negated ? "=" : ">", zero, &test));
    return filter_step(block, test, negated ? "NOT EXISTS" : "EXISTS");
}

/* x1 = y1, ...; with `nulls` a NULL on either side counts as equal. */
static enum mr_status add_equalities(struct subquery *sub, int count, struct mr_ast *const *values,
                                     bool nulls, struct mr_select_list *on)
{
    struct mr_select_env *env = sub->outer->env;
    struct mr_field field;
    for (int i = 0; i < count; i++) {
        struct mr_ast *equal, *left, *right, *none;
        MR_TRY(mr_select_call(env, "=", true, sub->position, values[i], sub->outputs[i], &equal));
        MR_TRY(mr_select_check(env, equal, true, &field));
        if (nulls && field.nullable) {
            MR_TRY(is_null_test(env, values[i], "IS NULL", &left));
            MR_TRY(is_null_test(env, sub->outputs[i], "IS NULL", &right));
            MR_TRY(mr_select_call(env, "OR", true, sub->position, left, right, &none));
            MR_TRY(mr_select_call(env, "OR", true, sub->position, equal, none, &equal));
        }
        MR_TRY(mr_select_append(env, on, equal));
    }
    return MR_OK;
}

static enum mr_status add_all(struct mr_select_env *env, struct mr_select_list *to,
                              const struct mr_select_list *from)
{
    for (int i = 0; i < from->count; i++)
        MR_TRY(mr_select_append(env, to, from->items[i]));
    return MR_OK;
}

/* NOT IN over one column: see the top of the file. */
static enum mr_status anti_with_counts(struct subquery *sub, struct mr_ast *value,
                                       struct mr_select_step *anti)
{
    struct mr_select_block *block = sub->outer;
    struct mr_select_env *env = block->env;
    struct mr_select_step cross = {.join = true, .kind = MR_QUERY_CROSS, .detail = "NOT IN"};
    struct mr_select_column *counts[2];
    struct mr_ast *zero, *all, *empty, *known, *full, *keep;
    MR_TRY(count_values(sub, sub->outputs[0], counts, &cross.relation));
    MR_TRY(add_step(block, anti));
    MR_TRY(add_step(block, &cross));
    MR_TRY(number(env, 0, &zero));
    MR_TRY(mr_select_name(env, counts[0], 0, &all));
    MR_TRY(compare_column(env, counts[0], "=", zero, &empty));
    MR_TRY(compare_column(env, counts[1], "=", all, &full));
    MR_TRY(is_null_test(env, value, "IS NOT NULL", &known));
    MR_TRY(mr_select_call(env, "AND", true, 0, known, full, &keep));
    MR_TRY(mr_select_call(env, "OR", true, 0, empty, keep, &keep));
    return filter_step(block, keep, "NOT IN");
}

static enum mr_status condition_in(struct subquery *sub, struct mr_select_scope *scope,
                                   const struct mr_ast *ast, bool negated)
{
    struct mr_select_env *env = sub->outer->env;
    struct mr_select_step step = {.join = true,
                                  .relation = sub->relation,
                                  .kind = negated ? MR_QUERY_ANTI : MR_QUERY_SEMI,
                                  .detail = negated ? "NOT IN" : "IN"};
    struct mr_field x = {0}, y = {0};
    struct mr_ast **values = mr_arena_calloc(env->arena, (size_t)ast->nargs + 1, sizeof *values);
    if (values == NULL)
        return mr_select_nomem(env);
    bool nullable = false;
    for (int i = 0; i < ast->nargs; i++) {
        MR_TRY(mr_select_resolve(scope, ast->args[i], &values[i]));
        MR_TRY(mr_select_check(env, values[i], false, &x));
        MR_TRY(mr_select_check(env, sub->outputs[i], false, &y));
        nullable |= x.nullable || y.nullable;
    }
    bool counted = negated && nullable && ast->nargs == 1 && sub->pulled.count == 0;
    MR_TRY(add_equalities(sub, ast->nargs, values, negated && nullable && !counted, &step.on));
    MR_TRY(add_all(env, &step.on, &sub->pulled));
    return counted ? anti_with_counts(sub, values[0], &step) : add_step(sub->outer, &step);
}

enum mr_status mr_select_condition_query(struct mr_select_scope *scope, const struct mr_ast *ast,
                                         bool *handled)
{
    struct subquery sub;
    bool negated = false;
    while (ast->kind == MR_AST_CALL && ast->operator_call && strcmp(ast->name, "NOT") == 0) {
        negated = !negated;
        ast = ast->args[0];
    }
    *handled = ast->kind == MR_AST_EXISTS || ast->kind == MR_AST_IN_QUERY;
    if (!*handled)
        return MR_OK;
    MR_TRY(open_subquery(scope->block, ast, &sub));
    if (ast->kind == MR_AST_EXISTS)
        return condition_exists(&sub, negated);
    return condition_in(&sub, scope, ast, negated);
}

/* The columns of a relation belong to the block from now on, and come with it. */
static enum mr_status attach(struct mr_select_block *block,
                             const struct mr_select_relation *relation,
                             const struct mr_select_list *on)
{
    struct mr_select_attach *attached = mr_arena_calloc(block->env->arena, 1, sizeof *attached);
    if (attached == NULL)
        return mr_select_nomem(block->env);
    attached->relation = *relation;
    attached->on = *on;
    for (int i = 0; i < relation->ncolumns; i++) {
        struct mr_select_column *column = relation->columns[i];
        column->attach = attached;
        column->block = block;
        column->first = column->last = -1;
        column->nullable |= on->count > 0;
    }
    return MR_OK;
}

/* inner = outer of a condition that was pulled up. */
static enum mr_status correlation(struct mr_select_block *inner, struct mr_ast *ast,
                                  struct mr_ast **mine, struct mr_ast **theirs)
{
    struct mr_select_uses a, b;
    bool equal = ast->kind == MR_AST_CALL && ast->operator_call && strcmp(ast->name, "=") == 0;
    if (equal) {
        mr_select_scan(inner, ast->args[0], &a);
        mr_select_scan(inner, ast->args[1], &b);
        bool first = a.local && !a.outer && b.outer && !b.local;
        bool second = b.local && !b.outer && a.outer && !a.local;
        *mine = ast->args[second];
        *theirs = ast->args[!second];
        equal = first || second;
    }
    if (equal)
        return MR_OK;
    mr_select_fail(inner->env, ast->position,
                   "a sub-query here is tied to the query around by equalities only");
    mr_error_hint(inner->env->err, "write inner.column = outer.column, or join");
    return MR_CONFIG;
}

static enum mr_status wrap_counts(void *context, const struct mr_ast *ast, struct mr_ast **out)
{
    struct mr_select_env *env = context;
    const struct mr_select_column *column = ast->resolved;
    struct mr_ast *zero, *name;
    if (ast->kind != MR_AST_NAME || column == NULL || !column->counts)
        return mr_select_copy_with(env, ast, wrap_counts, context, out);
    MR_TRY(mr_select_copy(env, ast, &name));
    MR_TRY(mr_select_literal(env, (struct mr_value){.type = mr_type_of(MR_TYPE_INT64), .u.i64 = 0},
                             ast->position, &zero));
    return mr_select_call(env, "coalesce", false, ast->position, name, zero, out);
}

/* (SELECT max(a) FROM t WHERE t.k = outer.k): grouped by k, and joined to the outer rows. */
static enum mr_status scalar_aggregate(struct mr_select_block *block, const struct mr_ast *ast,
                                       struct mr_ast **out)
{
    struct mr_select_env *env = block->env;
    struct mr_select_block *inner;
    struct mr_select_list keys = {0}, on = {0}, theirs = {0};
    struct mr_ast *mine, *other;
    struct mr_field field;
    MR_TRY(open_inner(block, ast->query, &inner));
    MR_TRY(mr_select_block_outputs(inner));
    for (int i = 0; i < inner->pulled.count; i++) {
        MR_TRY(correlation(inner, inner->pulled.items[i], &mine, &other));
        MR_TRY(mr_select_append(env, &keys, mine));
        MR_TRY(mr_select_append(env, &theirs, other));
    }
    MR_TRY(mr_select_block_rows(inner));
    struct mr_select_targets targets = {.count = keys.count + 1};
    targets.asts = mr_arena_calloc(env->arena, (size_t)targets.count, sizeof *targets.asts);
    if (targets.asts == NULL)
        return mr_select_nomem(env);
    targets.asts[0] = inner->outputs[0].ast;
    for (int i = 0; i < keys.count; i++)
        targets.asts[i + 1] = keys.items[i];
    MR_TRY(mr_select_group(inner, &keys, &targets));
    for (int i = 0; i < keys.count; i++) {
        struct mr_ast *equal;
        MR_TRY(mr_select_call(env, "=", true, ast->position, theirs.items[i], targets.asts[i + 1],
                              &equal));
        MR_TRY(mr_select_check(env, equal, true, &field));
        MR_TRY(mr_select_append(env, &on, equal));
    }
    MR_TRY(attach(block, &inner->relation, &on));
    return wrap_counts(env, targets.asts[0], out);
}

static enum mr_status case_of(struct mr_select_env *env, int count, struct mr_ast *const *args,
                              struct mr_ast **out)
{
    struct mr_ast *ast = mr_arena_calloc(env->arena, 1, sizeof *ast);
    struct mr_ast **copy = mr_arena_calloc(env->arena, (size_t)count, sizeof *copy);
    if (ast == NULL || copy == NULL)
        return mr_select_nomem(env);
    memcpy(copy, args, (size_t)count * sizeof *copy);
    *ast = (struct mr_ast){.kind = MR_AST_CASE, .nargs = count, .args = copy, .depth = 2};
    return mr_select_copy(env, ast, out);
}

static enum mr_status text_literal(struct mr_select_env *env, const char *text, struct mr_ast **out)
{
    struct mr_value value = {.type = mr_type_of(MR_TYPE_STRING), .u.bytes = mr_slice_of(text)};
    return mr_select_literal(env, value, 0, out);
}

/* value, or an error where `rows` is more than one. */
static enum mr_status at_most_one(struct mr_select_env *env, struct mr_ast *value,
                                  struct mr_select_column *rows, struct mr_ast **out)
{
    struct mr_ast *args[3], *one, *text;
    MR_TRY(number(env, 1, &one));
    MR_TRY(compare_column(env, rows, ">", one, &args[0]));
    MR_TRY(text_literal(env, "a sub-query that stands for a value has more than one row", &text));
    MR_TRY(mr_select_call(env, "raise_error", false, value->position, text, NULL, &args[1]));
    args[2] = value;
    return case_of(env, 3, args, out);
}

/* Any query as a value: its one row, NULL where it has none. */
static enum mr_status scalar_row(struct mr_select_block *block, const struct mr_ast *ast,
                                 struct mr_ast **out)
{
    struct mr_select_env *env = block->env;
    const struct mr_query *query = ast->query;
    struct subquery sub = {.outer = block, .position = ast->position};
    struct mr_select_list none = {0};
    struct mr_select_relation row;
    struct mr_select_column *columns[2];
    bool sure = query->limit != NULL && mr_select_ordinal(query->limit) <= 1;
    MR_TRY(open_whole(&sub, query));
    if (sub.noutputs != 1)
        return mr_select_fail(env, ast->position,
                              "a sub-query that is a value has one column, not %d", sub.noutputs);
    const char *text = mr_select_text(env, sub.outputs[0]);
    if (text == NULL)
        return env->err->status;
    const char *calls[2] = {mr_arena_printf(env->arena, "first(%s)", text), "count(*)"};
    const struct mr_type *types[2] = {sub.relation.columns[0]->type, mr_type_of(MR_TYPE_INT64)};
    if (calls[0] == NULL)
        return mr_select_nomem(env);
    MR_TRY(summarize(block, &sub.relation, sure ? 1 : 2, calls, types, columns, &row));
    MR_TRY(attach(block, &row, &none));
    MR_TRY(mr_select_name(env, columns[0], ast->position, out));
    return sure ? MR_OK : at_most_one(env, *out, columns[1], out);
}

static enum mr_status scalar(struct mr_select_block *block, const struct mr_ast *ast,
                             struct mr_ast **out)
{
    const struct mr_query *query = ast->query;
    struct mr_select_uses uses;
    bool bare = query->kind == MR_QUERY_SELECT && query->nitems == 1 && !query->grouped &&
                query->having == NULL && !query->distinct && query->offset == NULL &&
                (query->limit == NULL || mr_select_ordinal(query->limit) >= 1) &&
                query->norders == 0 && !query->order_all && query->nwindows == 0 &&
                query->items[0].expr != NULL;
    if (bare) {
        mr_select_scan(NULL, query->items[0].expr, &uses);
        if (uses.aggregate && !uses.window)
            return scalar_aggregate(block, ast, out);
    }
    return scalar_row(block, ast, out);
}

static enum mr_status any_rows(struct subquery *sub, struct mr_ast **out)
{
    struct mr_select_list none = {0};
    struct mr_select_relation row;
    struct mr_select_column *column;
    struct mr_ast *zero;
    MR_TRY(count_rows(sub->outer, &sub->relation, true, &column, &row));
    MR_TRY(attach(sub->outer, &row, &none));
    MR_TRY(number(sub->outer->env, 0, &zero));
    return compare_column(sub->outer->env, column, ">", zero, out);
}

/*
 * Joins in a mark by values of the sub-query that are equal to values out here; *out: the mark's
 * name, NULL where nothing is equal.
 */
static enum mr_status mark(struct subquery *sub, const struct mr_select_list *mine,
                           const struct mr_select_list *theirs, struct mr_ast **out)
{
    struct mr_select_block *block = sub->outer;
    struct mr_select_env *env = block->env;
    struct mr_select_list on = {0};
    struct mr_field field;
    size_t room = (size_t)mine->count + 2;
    struct mr_select_column **columns =
        mr_arena_calloc(env->arena, room, sizeof(struct mr_select_column *));
    struct mr_ast **asts = mr_arena_calloc(env->arena, room, sizeof *asts);
    if (columns == NULL || asts == NULL)
        return mr_select_nomem(env);
    for (int i = 0; i <= mine->count; i++) {
        if (i < mine->count)
            asts[i] = mine->items[i];
        else
            MR_TRY(truth(env, true, &asts[i]));
        MR_TRY(mr_select_check(env, asts[i], false, &field));
        columns[i] =
            mr_select_column_new(env, mr_select_claim(env, block->names, "sub-query", NULL),
                                 field.type, field.nullable);
        if (columns[i] == NULL)
            return env->err->status;
    }
    struct mr_select_relation relation = sub->relation;
    MR_TRY(mr_select_project(env, &relation, mine->count + 1, columns, asts, "sub-query", true));
    MR_TRY(mr_select_distinct(env, &relation));
    for (int i = 0; i < mine->count; i++) {
        struct mr_ast *name, *equal;
        MR_TRY(mr_select_name(env, columns[i], sub->position, &name));
        MR_TRY(mr_select_call(env, "=", true, sub->position, theirs->items[i], name, &equal));
        MR_TRY(mr_select_check(env, equal, true, &field));
        MR_TRY(mr_select_append(env, &on, equal));
    }
    MR_TRY(attach(block, &relation, &on));
    return mr_select_name(env, columns[mine->count], sub->position, out);
}

/* The two sides of what ties the sub-query to the block around. */
static enum mr_status split_pulled(struct subquery *sub, struct mr_select_list *mine,
                                   struct mr_select_list *theirs)
{
    struct mr_select_env *env = sub->outer->env;
    for (int i = 0; i < sub->pulled.count; i++) {
        struct mr_ast *a, *b;
        const struct mr_ast *term = sub->pulled.items[i];
        struct mr_select_uses uses;
        bool equal = term->kind == MR_AST_CALL && term->operator_call && !strcmp(term->name, "=");
        if (!equal)
            return mr_select_fail(
                env, term->position,
                "outside of a term of WHERE, a sub-query is tied to the query around "
                "by equalities only");
        mr_select_scan(sub->outer, term->args[0], &uses);
        bool first = !uses.local; /* of the sub-query */
        a = term->args[!first];
        b = term->args[first];
        struct mr_select_uses inner, outer;
        mr_select_scan(sub->outer, a, &inner);
        mr_select_scan(sub->outer, b, &outer);
        if (inner.local || outer.outer || !inner.outer)
            return mr_select_fail(
                env, term->position,
                "outside of a term of WHERE, a sub-query is tied to the query around "
                "by equalities only");
        MR_TRY(mr_select_append(env, mine, a));
        MR_TRY(mr_select_append(env, theirs, b));
    }
    return MR_OK;
}

/* x IN (query) as a value: TRUE, FALSE, or NULL where a NULL leaves it open. */
static enum mr_status value_in(struct subquery *sub, struct mr_select_scope *scope,
                               const struct mr_ast *ast, struct mr_ast **out)
{
    struct mr_select_env *env = sub->outer->env;
    struct mr_select_list mine = {0}, theirs = {0}, none = {0};
    struct mr_ast *value, *args[7], *zero, *all, *left, *right;
    struct mr_field x, y;
    struct mr_select_column *counts[2];
    struct mr_select_relation row;
    if (ast->nargs != 1)
        return mr_select_fail(env, ast->position,
                              "IN over several columns stands only as a term of WHERE");
    MR_TRY(mr_select_resolve(scope, ast->args[0], &value));
    MR_TRY(mr_select_check(env, value, false, &x));
    MR_TRY(mr_select_check(env, sub->outputs[0], false, &y));
    bool nullable = x.nullable || y.nullable;
    MR_TRY(split_pulled(sub, &mine, &theirs));
    if (nullable && mine.count > 0)
        return mr_select_fail(
            env, ast->position,
            "IN over values that may be NULL, tied to the query around, stands only "
            "as a term of WHERE");
    MR_TRY(mr_select_append(env, &mine, sub->outputs[0]));
    MR_TRY(mr_select_append(env, &theirs, value));
    if (nullable) {
        MR_TRY(count_values(sub, sub->outputs[0], counts, &row));
        MR_TRY(attach(sub->outer, &row, &none));
    }
    MR_TRY(mark(sub, &mine, &theirs, out));
    MR_TRY(is_null_test(env, *out, "IS NOT NULL", out));
    if (!nullable)
        return MR_OK;
    MR_TRY(number(env, 0, &zero));
    MR_TRY(mr_select_name(env, counts[0], 0, &all));
    args[0] = *out;
    MR_TRY(truth(env, true, &args[1]));
    MR_TRY(compare_column(env, counts[0], "=", zero, &args[2]));
    MR_TRY(truth(env, false, &args[3]));
    MR_TRY(is_null_test(env, value, "IS NULL", &left));
    MR_TRY(compare_column(env, counts[1], "<", all, &right));
    MR_TRY(mr_select_call(env, "OR", true, 0, left, right, &args[4]));
    MR_TRY(mr_select_literal(env,
                             (struct mr_value){.type = mr_type_of(MR_TYPE_NULL), .is_null = true},
                             0, &args[5]));
    MR_TRY(truth(env, false, &args[6]));
    return case_of(env, 7, args, out);
}

enum mr_status mr_select_value_query(struct mr_select_scope *scope, const struct mr_ast *ast,
                                     struct mr_ast **out)
{
    struct mr_select_block *block = scope->block;
    struct mr_select_list mine = {0}, theirs = {0};
    struct subquery sub;
    if (block->names == NULL)
        return mr_select_fail(block->env, ast->position, "a sub-query cannot stand here");
    if (ast->kind == MR_AST_QUERY)
        return scalar(block, ast, out);
    MR_TRY(open_subquery(block, ast, &sub));
    if (ast->kind == MR_AST_IN_QUERY)
        return value_in(&sub, scope, ast, out);
    if (sub.pulled.count == 0)
        return any_rows(&sub, out);
    MR_TRY(split_pulled(&sub, &mine, &theirs));
    MR_TRY(mark(&sub, &mine, &theirs, out));
    return is_null_test(block->env, *out, "IS NOT NULL", out);
}

static bool has_column(const struct mr_select_relation *relation,
                       const struct mr_select_column *column)
{
    for (int i = 0; i < relation->ncolumns; i++) {
        if (relation->columns[i] == column)
            return true;
    }
    return false;
}

/* What a joined-in relation is tied to must be there still. */
static enum mr_status check_ties(struct mr_select_block *block,
                                 const struct mr_select_attach *attached, const struct mr_ast *ast)
{
    const struct mr_select_column *column = ast->resolved;
    if (ast->kind == MR_AST_NAME && column != NULL && !has_column(&block->relation, column) &&
        !has_column(&attached->relation, column))
        return mr_select_fail(
            block->env, ast->position,
            "the sub-query uses %.80s, which is neither grouped by nor there behind "
            "GROUP BY",
            column->display ? column->display : column->name);
    const struct mr_ast *child;
    for (int i = 0; (child = mr_select_child_of(ast, i)) != NULL; i++)
        MR_TRY(check_ties(block, attached, child));
    return MR_OK;
}

static enum mr_status attach_column(struct mr_select_block *block,
                                    struct mr_select_attach *attached)
{
    if (attached->done == block->generation)
        return MR_OK;
    attached->done = block->generation;
    for (int i = 0; i < attached->on.count; i++) {
        MR_TRY(mr_select_attach_for(block, attached->on.items[i]));
        MR_TRY(check_ties(block, attached, attached->on.items[i]));
    }
    return mr_select_join(block->env, &block->relation, &attached->relation,
                          attached->on.count > 0 ? MR_QUERY_LEFT : MR_QUERY_CROSS, &attached->on,
                          "sub-query");
}

enum mr_status mr_select_attach_for(struct mr_select_block *block, const struct mr_ast *ast)
{
    const struct mr_select_column *column = ast->resolved;
    if (ast->kind == MR_AST_NAME && column != NULL && column->attach != NULL &&
        column->block == block)
        MR_TRY(attach_column(block, column->attach));
    const struct mr_ast *child;
    for (int i = 0; (child = mr_select_child_of(ast, i)) != NULL; i++)
        MR_TRY(mr_select_attach_for(block, child));
    return MR_OK;
}

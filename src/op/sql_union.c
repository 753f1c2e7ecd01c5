/*
 * sql_union.c - UNION, INTERSECT and EXCEPT: rows of queries with columns matched by position.
 *
 * Each term is projected to the names of the first and to the types that all have in common. INTERSECT
 * and EXCEPT are a UNION ALL with a column that tells the side, grouped by all columns: NULLs are then
 * equal to NULLs, which they would not be in a join. With ALL, equal rows are numbered first, so
 * that the n-th of one side meets the n-th of the other.
 */
#include "op/sql_step.h"

#include "sql/coerce.h"

struct terms {
    struct mr_select_env *env;
    const struct mr_query *query;
    int count;
    struct mr_select_relation *relations;
    int ncolumns;
    struct mr_select_column **columns; /* of the result, without block */
};

static enum mr_status expand_terms(struct terms *terms, struct mr_select_cte *ctes,
                                   const struct mr_select_block *enclosing)
{
    struct mr_select_env *env = terms->env;
    const struct mr_query *query = terms->query;
    for (int i = 0; i < terms->count; i++) {
        struct mr_select_target target = {.names = mr_select_names_new(env)};
        if (target.names == NULL)
            return env->err->status;
        MR_TRY(mr_select_expand_query(env, query->terms[i], ctes, enclosing, &target,
                                      &terms->relations[i]));
        if (terms->relations[i].ncolumns != terms->relations[0].ncolumns)
            return mr_select_fail(env, query->terms[i]->position,
                                  "the first query has %d columns, this one %d",
                                  terms->relations[0].ncolumns, terms->relations[i].ncolumns);
    }
    terms->ncolumns = terms->relations[0].ncolumns;
    return MR_OK;
}

static enum mr_status common_type(struct terms *terms, int column, struct mr_field *out)
{
    struct mr_select_env *env = terms->env;
    const struct mr_select_column *first = terms->relations[0].columns[column];
    *out = (struct mr_field){.type = first->type, .nullable = first->nullable};
    for (int i = 1; i < terms->count; i++) {
        const struct mr_select_column *other = terms->relations[i].columns[column];
        const struct mr_type *type =
            mr_common_type(env->arena, &env->session, out->type, other->type);
        char a[96], b[96];
        if (type == NULL)
            return mr_select_fail(env, terms->query->terms[i]->position,
                                  "column %d is %s here and %s before", column + 1,
                                  mr_type_text(other->type, b, sizeof b),
                                  mr_type_text(out->type, a, sizeof a));
        out->type = type;
        out->nullable |= other->nullable;
    }
    return MR_OK;
}

static enum mr_status result_columns(struct terms *terms, const struct mr_select_target *target)
{
    struct mr_select_env *env = terms->env;
    terms->columns =
        mr_arena_calloc(env->arena, (size_t)terms->ncolumns + 1, sizeof *terms->columns);
    if (terms->columns == NULL)
        return mr_select_nomem(env);
    for (int i = 0; i < terms->ncolumns; i++) {
        struct mr_field field;
        const char *wanted = terms->relations[0].columns[i]->display;
        MR_TRY(common_type(terms, i, &field));
        const char *name = mr_select_claim(env, target->names, wanted, target->qualifier);
        terms->columns[i] = mr_select_column_new(env, name, field.type, field.nullable);
        if (terms->columns[i] == NULL)
            return env->err->status;
        terms->columns[i]->display = wanted;
        if (!target->top || strcmp(name, wanted) == 0)
            continue;
        mr_select_fail(env, terms->query->position, "two columns of the result are called %.80s",
                       wanted);
        mr_error_hint(env->err, "give one of them another name with AS");
        return MR_CONFIG;
    }
    return MR_OK;
}

static enum mr_status cast_to(struct mr_select_env *env, struct mr_ast *ast,
                              const struct mr_type *type, struct mr_ast **out)
{
    MR_TRY(mr_select_call(env, NULL, false, ast->position, ast, NULL, out));
    (*out)->kind = MR_AST_CAST;
    (*out)->type = type;
    return MR_OK;
}

/* A term with the names and types of the result, and `extra` behind. */
static enum mr_status project_term(struct terms *terms, int index, struct mr_select_column *extra,
                                   struct mr_ast *extra_ast, bool always)
{
    struct mr_select_env *env = terms->env;
    struct mr_select_relation *relation = &terms->relations[index];
    size_t room = (size_t)terms->ncolumns + 1;
    struct mr_select_column **columns =
        mr_arena_calloc(env->arena, room, sizeof(struct mr_select_column *));
    struct mr_ast **asts = mr_arena_calloc(env->arena, room, sizeof *asts);
    if (asts == NULL || columns == NULL)
        return mr_select_nomem(env);
    for (int i = 0; i < terms->ncolumns; i++) {
        struct mr_select_column *column = relation->columns[i];
        columns[i] = terms->columns[i];
        MR_TRY(mr_select_name(env, column, terms->query->terms[index]->position, &asts[i]));
        if (!mr_type_equal(column->type, columns[i]->type))
            MR_TRY(cast_to(env, asts[i], columns[i]->type, &asts[i]));
    }
    columns[terms->ncolumns] = extra;
    asts[terms->ncolumns] = extra_ast;
    return mr_select_project(env, relation, terms->ncolumns + (extra != NULL), columns, asts,
                             "SELECT", always);
}

static enum mr_status emit_union(struct terms *terms, struct mr_select_relation *out)
{
    struct mr_select_env *env = terms->env;
    struct mr_options *options;
    int *inputs = mr_arena_calloc(env->arena, (size_t)terms->count + 1, sizeof *inputs);
    if (inputs == NULL)
        return mr_select_nomem(env);
    for (int i = 0; i < terms->count; i++)
        inputs[i] = terms->relations[i].input;
    *out = terms->relations[0];
    if (terms->count == 1)
        return MR_OK;
    MR_TRY(mr_select_options(env, "unionDataFrames", &options));
    return mr_select_emit(env, "unionDataFrames", NULL, options, terms->count, inputs, &out->input);
}

/* row_number() over all columns, as one more column of the result. */
static enum mr_status number_rows(struct terms *terms, struct mr_select_names *names)
{
    struct mr_select_env *env = terms->env;
    struct mr_select_column *number =
        mr_select_column_new(env, mr_select_claim(env, names, "row number", NULL),
                             mr_type_of(MR_TYPE_INT32), false);
    const char **texts = mr_arena_calloc(env->arena, (size_t)terms->ncolumns + 1, sizeof *texts);
    if (number == NULL)
        return env->err->status;
    if (texts == NULL)
        return mr_select_nomem(env);
    for (int i = 0; i < terms->ncolumns; i++) {
        texts[i] = mr_select_quoted(env, terms->columns[i]->name);
        if (texts[i] == NULL)
            return env->err->status;
    }
    for (int i = 0; i < terms->count; i++) {
        struct mr_select_relation *relation = &terms->relations[i];
        struct mr_options *options;
        MR_TRY(mr_select_options(env, "windowColumns", &options));
        MR_TRY(mr_options_set_list(env->arena, options, "partitionBy", texts, terms->ncolumns,
                                   env->err));
        MR_TRY(mr_options_set_list(env->arena, options, "orderBy", texts, 1, env->err));
        MR_TRY(mr_options_add_pair(env->arena, options, "columns", number->name, "row_number()",
                                   env->err));
        MR_TRY(mr_select_emit(env, "windowColumns", NULL, options, 1, &relation->input,
                              &relation->input));
        MR_TRY(mr_select_add_columns(env, relation, 1, &number));
    }
    struct mr_select_relation wider = {.ncolumns = terms->ncolumns, .columns = terms->columns};
    MR_TRY(mr_select_add_columns(env, &wider, 1, &number));
    terms->columns = wider.columns;
    terms->ncolumns = wider.ncolumns;
    return MR_OK;
}

static enum mr_status side_literal(struct mr_select_env *env, int side, struct mr_ast **out)
{
    struct mr_value value = {.type = mr_type_of(MR_TYPE_INT32), .u.i64 = side};
    return mr_select_literal(env, value, 0, out);
}

/* Groups by all columns, and keeps what is on the first side, and on the second or not. */
static enum mr_status emit_sides(struct terms *terms, const struct mr_select_column *side,
                                 struct mr_select_names *names, struct mr_select_relation *out)
{
    struct mr_select_env *env = terms->env;
    bool both = terms->query->kind == MR_QUERY_INTERSECT;
    struct mr_options *options;
    const char *quoted = mr_select_quoted(env, side->name);
    const char *least = mr_select_claim(env, names, "first side", NULL);
    const char *greatest = mr_select_claim(env, names, "last side", NULL);
    const char **keys = mr_arena_calloc(env->arena, (size_t)terms->ncolumns + 1, sizeof *keys);
    if (quoted == NULL || least == NULL || greatest == NULL)
        return env->err->status;
    if (keys == NULL)
        return mr_select_nomem(env);
    for (int i = 0; i < terms->ncolumns; i++) {
        keys[i] = mr_select_quoted(env, terms->columns[i]->name);
        if (keys[i] == NULL)
            return env->err->status;
    }
    const char *min = mr_arena_printf(env->arena, "min(%s)", quoted);
    const char *max = mr_arena_printf(env->arena, "max(%s)", quoted);
    const char *text = mr_arena_printf(env->arena, "`%s` = 0 AND `%s` = %d", least, greatest, both);
    if (min == NULL || max == NULL || text == NULL)
        return mr_select_nomem(env);
    MR_TRY(mr_select_options(env, "aggregateData", &options));
    MR_TRY(mr_options_set_list(env->arena, options, "groupBy", keys, terms->ncolumns, env->err));
    MR_TRY(mr_options_add_pair(env->arena, options, "aggregations", least, min, env->err));
    MR_TRY(mr_options_add_pair(env->arena, options, "aggregations", greatest, max, env->err));
    MR_TRY(mr_select_emit(env, "aggregateData", both ? "INTERSECT" : "EXCEPT", options, 1,
                          &out->input, &out->input));
    MR_TRY(mr_select_options(env, "filterRows", &options));
    MR_TRY(mr_options_set_text(env->arena, options, "condition", text, env->err));
    return mr_select_emit(env, "filterRows", both ? "INTERSECT" : "EXCEPT", options, 1, &out->input,
                          &out->input);
}

static enum mr_status expand_sides(struct terms *terms, const struct mr_select_target *target,
                                   struct mr_select_relation *out)
{
    struct mr_select_env *env = terms->env;
    int shown = terms->ncolumns;
    struct mr_select_column **result = terms->columns;
    struct mr_ast **names = mr_arena_calloc(env->arena, (size_t)shown + 1, sizeof *names);
    struct mr_select_column *side =
        mr_select_column_new(env, mr_select_claim(env, target->names, "side", NULL),
                             mr_type_of(MR_TYPE_INT32), false);
    if (side == NULL)
        return env->err->status;
    if (names == NULL)
        return mr_select_nomem(env);
    if (terms->query->all) {
        for (int i = 0; i < terms->count; i++)
            MR_TRY(project_term(terms, i, NULL, NULL, false));
        MR_TRY(number_rows(terms, target->names));
    }
    for (int i = 0; i < terms->count; i++) {
        struct mr_ast *literal;
        MR_TRY(side_literal(env, i, &literal));
        MR_TRY(project_term(terms, i, side, literal, false));
    }
    MR_TRY(emit_union(terms, out));
    MR_TRY(emit_sides(terms, side, target->names, out));
    for (int i = 0; i < shown; i++)
        MR_TRY(mr_select_name(env, result[i], terms->query->position, &names[i]));
    return mr_select_project(env, out, shown, result, names, "SELECT", true);
}

static enum mr_status order_key(struct terms *terms, const struct mr_select_block *block,
                                const struct mr_ast *key, struct mr_ast **out)
{
    struct mr_select_env *env = terms->env;
    int64_t n = mr_select_ordinal(key);
    if (key->kind == MR_AST_LITERAL && (n < 1 || n > terms->ncolumns))
        return mr_select_fail(env, key->position, "ORDER BY %lld: the query has %d columns",
                              (long long)n, terms->ncolumns);
    if (n > 0)
        return mr_select_name(env, block->from->relation.columns[n - 1], key->position, out);
    struct mr_select_scope scope = {.block = (struct mr_select_block *)(uintptr_t)block,
                                    .ncolumns = terms->ncolumns,
                                    .columns = block->from->relation.columns,
                                    .clause = "ORDER BY"};
    struct mr_field field;
    MR_TRY(mr_select_resolve(&scope, key, out));
    return mr_select_check(env, *out, false, &field);
}

/* ORDER BY over the result's columns. */
static enum mr_status sort_result(struct terms *terms, struct mr_select_relation *relation)
{
    struct mr_select_env *env = terms->env;
    const struct mr_query *query = terms->query;
    struct mr_select_node from = {.leaf = true, .relation = *relation};
    struct mr_select_block block = {.env = env, .query = query, .from = &from};
    int count = query->order_all ? relation->ncolumns : query->norders;
    struct mr_ast_order *orders = mr_arena_calloc(env->arena, (size_t)count + 1, sizeof *orders);
    if (orders == NULL)
        return mr_select_nomem(env);
    for (int i = 0; i < count; i++) {
        if (query->order_all) {
            orders[i].descending = query->order_all_descending;
            orders[i].nulls_first = query->order_all_nulls_first;
            MR_TRY(mr_select_name(env, relation->columns[i], query->position, &orders[i].expr));
            continue;
        }
        struct mr_select_uses uses;
        orders[i] = query->orders[i];
        MR_TRY(order_key(terms, &block, query->orders[i].expr, &orders[i].expr));
        mr_select_scan(&block, orders[i].expr, &uses);
        if (uses.aggregate || uses.window || uses.attached)
            return mr_select_fail(
                env, query->orders[i].expr->position,
                "behind a set operation ORDER BY takes only columns of the result");
    }
    return mr_select_sort(env, relation, count, orders);
}

enum mr_status mr_select_expand_set(struct mr_select_env *env, const struct mr_query *query,
                                    struct mr_select_cte *ctes,
                                    const struct mr_select_block *enclosing,
                                    const struct mr_select_target *target,
                                    struct mr_select_relation *out)
{
    struct terms terms = {.env = env, .query = query, .count = query->nterms};
    bool ordered = (query->norders > 0 || query->order_all) &&
                   (target->top || query->limit != NULL || query->offset != NULL);
    bool sides = query->kind != MR_QUERY_UNION;
    terms.relations =
        mr_arena_calloc(env->arena, (size_t)query->nterms + 1, sizeof *terms.relations);
    if (terms.relations == NULL)
        return mr_select_nomem(env);
    MR_TRY(expand_terms(&terms, ctes, enclosing));
    MR_TRY(result_columns(&terms, target));
    if (sides) {
        MR_TRY(expand_sides(&terms, target, out));
    } else {
        for (int i = 0; i < terms.count; i++)
            MR_TRY(project_term(&terms, i, NULL, NULL, target->top && terms.count == 1));
        MR_TRY(emit_union(&terms, out));
        if (!query->all)
            MR_TRY(mr_select_distinct(env, out));
    }
    if (ordered)
        MR_TRY(sort_result(&terms, out));
    return mr_select_limits(env, query, out);
}

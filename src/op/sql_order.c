/*
 * sql_order.c - ORDER BY, LIMIT and OFFSET.
 */
#include "op/sql_step.h"

int64_t mr_select_ordinal(const struct mr_ast *ast)
{
    bool number = ast->kind == MR_AST_LITERAL && !ast->literal.is_null &&
                  mr_type_is_integer(ast->literal.type);
    return number ? ast->literal.u.i64 : 0;
}

enum mr_status mr_select_sort(struct mr_select_env *env, struct mr_select_relation *relation,
                              int count, const struct mr_ast_order *orders)
{
    struct mr_options *options;
    const char **texts = mr_arena_calloc(env->arena, (size_t)count + 1, sizeof *texts);
    if (texts == NULL)
        return mr_select_nomem(env);
    for (int i = 0; i < count; i++) {
        const char *text = mr_select_text(env, orders[i].expr);
        if (text == NULL)
            return env->err->status;
        texts[i] = mr_arena_printf(env->arena, "%s%s NULLS %s", text,
                                   orders[i].descending ? " DESC" : " ASC",
                                   orders[i].nulls_first ? "FIRST" : "LAST");
        if (texts[i] == NULL)
            return mr_select_nomem(env);
    }
    MR_TRY(mr_select_options(env, "sortData", &options));
    MR_TRY(mr_options_set_list(env->arena, options, "orderBy", texts, count, env->err));
    return mr_select_emit(env, "sortData", "ORDER BY", options, 1, &relation->input,
                          &relation->input);
}

static enum mr_status limit_value(struct mr_select_env *env, const struct mr_ast *ast,
                                  const char *what, int64_t *out)
{
    bool number = ast->kind == MR_AST_LITERAL && !ast->literal.is_null &&
                  mr_type_is_integer(ast->literal.type);
    if (!number || ast->literal.u.i64 < 0)
        return mr_select_fail(env, ast->position, "%s takes a whole number that is not negative",
                              what);
    *out = ast->literal.u.i64;
    return MR_OK;
}

enum mr_status mr_select_limits(struct mr_select_env *env, const struct mr_query *query,
                                struct mr_select_relation *relation)
{
    int64_t limit = INT64_MAX, offset = 0;
    if (query->limit == NULL && query->offset == NULL)
        return MR_OK;
    if (query->limit != NULL)
        MR_TRY(limit_value(env, query->limit, "LIMIT", &limit));
    if (query->offset != NULL)
        MR_TRY(limit_value(env, query->offset, "OFFSET", &offset));
    return mr_select_limit(env, relation, limit, offset);
}

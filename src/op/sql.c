/*
 * sql.c - the sql step: a SELECT over registered frames, as the steps that a user could have written.
 *
 * It has no operator of its own. `frames` says which frames the query reads; `expand`, once their
 * schemas are known, binds every name and every type (errors point into the query) and answers with
 * parts: filterRows, joinDataFrames, aggregateData and so on. So a query is as fast as those, spills
 * like those, and its plan can be read. The alternative, a planner of its own behind this method, would
 * be all of plan/ a second time.
 */
#include "op/sql_step.h"
#include "sql/aggregate_call.h"

#include "base/text.h"
#include "op/ops.h"

#include <limits.h>

/* Names in scope while frames are looked for. */
struct with {
    const struct mr_query_cte *cte;
    const struct with *outer;
};

struct finder {
    struct mr_arena *arena;
    const char *text;
    const char **names;
    int count, capacity;
    struct mr_error *err;
};

static enum mr_status find_in_query(struct finder *finder, const struct mr_query *query,
                                    const struct with *with);

static enum mr_status add_frame(struct finder *finder, const char *name, const struct with *with)
{
    for (; with != NULL; with = with->outer) {
        if (mr_text_equal_nocase(with->cte->name, name))
            return MR_OK;
    }
    for (int i = 0; i < finder->count; i++) {
        if (mr_text_equal_nocase(finder->names[i], name))
            return MR_OK;
    }
    if (finder->count == finder->capacity) {
        int capacity = finder->capacity ? finder->capacity * 2 : 8;
        const char **names = mr_arena_calloc(finder->arena, (size_t)capacity, sizeof *names);
        if (names == NULL)
            return mr_error_nomem(finder->err);
        for (int i = 0; i < finder->count; i++)
            names[i] = finder->names[i];
        finder->names = names;
        finder->capacity = capacity;
    }
    finder->names[finder->count++] = name;
    return MR_OK;
}

/* A function that nothing has, told without a schema. */
static enum mr_status check_function(const struct finder *finder, const struct mr_ast *ast)
{
    char near[64];
    if (ast->kind != MR_AST_CALL || ast->operator_call || ast->window != NULL ||
        mr_select_is_event(ast) || mr_function_find(ast->name, NULL) != NULL ||
        mr_aggregate_find(ast->name) != NULL)
        return MR_OK;
    mr_query_fail(finder->text, ast->position, finder->err, "unknown function %.80s", ast->name);
    if (mr_function_nearest(ast->name, near, sizeof near) != NULL)
        mr_error_hint(finder->err, "did you mean %s?", near);
    return MR_CONFIG;
}

static enum mr_status find_in_ast(struct finder *finder, const struct mr_ast *ast,
                                  const struct with *with)
{
    if (ast == NULL)
        return MR_OK;
    MR_TRY(check_function(finder, ast));
    if (ast->query != NULL)
        MR_TRY(find_in_query(finder, ast->query, with));
    const struct mr_ast *child;
    for (int i = 0; (child = mr_select_child_of(ast, i)) != NULL; i++)
        MR_TRY(find_in_ast(finder, child, with));
    return MR_OK;
}

static enum mr_status find_in_from(struct finder *finder, const struct mr_from *from,
                                   const struct with *with)
{
    if (from->kind == MR_FROM_FRAME)
        return add_frame(finder, from->name, with);
    if (from->kind == MR_FROM_QUERY)
        return find_in_query(finder, from->query, with);
    MR_TRY(find_in_from(finder, from->left, with));
    MR_TRY(find_in_from(finder, from->right, with));
    return find_in_ast(finder, from->on, with);
}

static enum mr_status find_in_clauses(struct finder *finder, const struct mr_query *query,
                                      const struct with *with)
{
    for (int i = 0; i < query->nterms; i++)
        MR_TRY(find_in_query(finder, query->terms[i], with));
    if (query->from != NULL)
        MR_TRY(find_in_from(finder, query->from, with));
    for (int i = 0; i < query->nitems; i++)
        MR_TRY(find_in_ast(finder, query->items[i].expr, with));
    MR_TRY(find_in_ast(finder, query->where, with));
    for (int i = 0; i < query->ngroups; i++)
        MR_TRY(find_in_ast(finder, query->groups[i], with));
    MR_TRY(find_in_ast(finder, query->having, with));
    for (int i = 0; i < query->norders; i++)
        MR_TRY(find_in_ast(finder, query->orders[i].expr, with));
    return MR_OK;
}

static enum mr_status find_in_query(struct finder *finder, const struct mr_query *query,
                                    const struct with *with)
{
    struct with *own =
        mr_arena_calloc(finder->arena, (size_t)query->nctes + 1, sizeof(struct with));
    if (own == NULL)
        return mr_error_nomem(finder->err);
    for (int i = 0; i < query->nctes; i++) {
        MR_TRY(find_in_query(finder, query->ctes[i].query, with));
        own[i] = (struct with){&query->ctes[i], with};
        with = &own[i];
    }
    return find_in_clauses(finder, query, with);
}

static enum mr_status sql_frames(struct mr_arena *arena, const struct mr_options *options,
                                 const char *const **names, int *count, struct mr_error *err)
{
    struct finder finder = {.arena = arena, .text = mr_options_text(options, "query"), .err = err};
    struct mr_query *query;
    enum mr_status status = mr_query_parse(arena, finder.text, &query, err);
    if (status == MR_OK)
        status = find_in_query(&finder, query, NULL);
    if (status != MR_OK)
        return mr_op_option_failed(options, "query", NULL, err);
    *names = finder.names;
    *count = finder.count;
    if (finder.count == 0)
        return mr_options_error(options, "query", err, "the query reads no frame");
    return MR_OK;
}

static enum mr_status expand_text(struct mr_select_env *env)
{
    struct mr_query *query;
    struct mr_select_relation result;
    MR_TRY(mr_query_parse(env->arena, env->text, &query, env->err));
    struct mr_select_target target = {.names = mr_select_names_new(env), .top = true};
    if (target.names == NULL)
        return env->err->status;
    MR_TRY(mr_select_expand_query(env, query, NULL, NULL, &target, &result));
    if (query->emit != MR_QUERY_EMIT_DEFAULT && env->emitters == 0)
        return mr_select_fail(env, query->emit_position, "EMIT belongs to a SELECT with GROUP BY");
    return MR_OK;
}

static enum mr_status sql_expand(const struct mr_op_bind *bind, struct mr_op_parts *out,
                                 struct mr_error *err)
{
    struct mr_error own;
    err = err ? err : &own;
    struct mr_select_env env = {.bind = bind,
                                .arena = bind->arena,
                                .session = mr_op_session(bind),
                                .text = mr_options_text(bind->options, "query"),
                                .err = err};
    env.check =
        (struct mr_query_check){.arena = bind->arena, .text = env.text, .session = &env.session};
    enum mr_status status = expand_text(&env);
    for (struct mr_select_names *names = env.names; names != NULL; names = names->next)
        mr_map_reset(&names->map);
    if (status != MR_OK)
        return mr_op_option_failed(bind->options, "query", NULL, err);
    *out = (struct mr_op_parts){env.parts, env.nparts};
    return MR_OK;
}

static enum mr_status sql_bind(const struct mr_op_bind *bind, void **plan, struct mr_op_info *info,
                               struct mr_error *err)
{
    (void)bind;
    (void)plan;
    (void)info;
    return mr_error_internal(err, "a query has become no parts");
}

static const struct mr_option sql_option_table[] = {
    {.name = "query",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_REQUIRED,
     .doc = "A SELECT in Spark SQL's dialect. FROM names frames that earlier steps have given a "
            "name with registerAs."},
    MR_OPTION_END,
};

const struct mr_op mr_op_sql = {
    .name = "sql",
    .doc = "The rows of a SELECT over registered frames: joins, grouping, windows, sub-queries.",
    .options = sql_option_table,
    .flags = MR_OP_STREAMING | MR_OP_TAKES_SELECTION,
    .min_inputs = 1,
    .max_inputs = INT_MAX,
    .frames = sql_frames,
    .expand = sql_expand,
    .bind = sql_bind,
};

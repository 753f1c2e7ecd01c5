/*
 * sql_group.c - GROUP BY: keys and aggregate calls become columns, once each.
 *
 * Each different call is one aggregation; expressions over calls (sum(a) / count(*)) are left to the
 * projection behind, which shares what they have in common. A key that is no plain column is
 * computed in front, so that the same expression in SELECT is found by comparing trees.
 */
#include "op/sql_step.h"

#include "base/text.h"
#include "sql/aggregate.h"

struct grouping {
    struct mr_select_block *block;
    int nkeys;
    struct mr_ast **keys; /* over FROM */
    struct mr_select_column **key_columns;
    int ncalls, capacity;
    struct mr_ast **calls;
    struct mr_select_column **call_columns;
};

static enum mr_status call_type(struct mr_select_env *env, const struct mr_ast *call,
                                const char *text, struct mr_field *out)
{
    struct mr_schema schema;
    struct mr_aggregation *aggregation;
    struct mr_field ignored;
    const char *name = "value";
    for (int i = 0; i < call->nargs; i++) {
        if (call->args[i]->kind != MR_AST_STAR)
            MR_TRY(mr_select_check(env, call->args[i], false, &ignored));
    }
    MR_TRY(mr_select_schema_of(env, call, &schema));
    struct mr_aggregation_ask ask = {.scope = {.schema = &schema},
                                     .session = env->session,
                                     .count = 1,
                                     .texts = &text,
                                     .names = &name};
    int failed;
    enum mr_status status =
        mr_aggregation_compile(env->arena, &ask, &aggregation, &failed, env->err);
    if (status == MR_CONFIG)
        return mr_query_fail_at(env->text, call->position, env->err);
    if (status == MR_OK)
        *out = mr_aggregation_schema(aggregation)->fields[0];
    return status;
}

/* The column of a call: a new one unless an equal call has one. */
static enum mr_status column_of(struct grouping *grouping, const struct mr_ast *call,
                                struct mr_select_column **out)
{
    struct mr_select_env *env = grouping->block->env;
    struct mr_field field = {0};
    for (int i = 0; i < grouping->ncalls; i++) {
        if (mr_ast_equal(grouping->calls[i], call)) {
            *out = grouping->call_columns[i];
            return MR_OK;
        }
    }
    const char *text = mr_select_text(env, call);
    if (text == NULL)
        return env->err->status;
    MR_TRY(call_type(env, call, text, &field));
    *out = mr_select_column_new(env, mr_select_claim(env, grouping->block->names, call->name, NULL),
                                field.type, field.nullable);
    if (*out == NULL)
        return env->err->status;
    (*out)->block = grouping->block;
    (*out)->counts = mr_text_equal_nocase(call->name, "count") ||
                     mr_text_equal_nocase(call->name, "count_if") ||
                     mr_text_equal_nocase(call->name, "approx_count_distinct");
    if (grouping->ncalls == grouping->capacity) {
        int capacity = grouping->capacity ? grouping->capacity * 2 : 8;
        struct mr_ast **calls = mr_arena_calloc(env->arena, (size_t)capacity, sizeof *calls);
        struct mr_select_column **columns =
            mr_arena_calloc(env->arena, (size_t)capacity, sizeof *columns);
        if (calls == NULL || columns == NULL)
            return mr_select_nomem(env);
        for (int i = 0; i < grouping->ncalls; i++) {
            calls[i] = grouping->calls[i];
            columns[i] = grouping->call_columns[i];
        }
        grouping->calls = calls;
        grouping->call_columns = columns;
        grouping->capacity = capacity;
    }
    grouping->calls[grouping->ncalls] = (struct mr_ast *)(uintptr_t)call;
    grouping->call_columns[grouping->ncalls++] = *out;
    return MR_OK;
}

/* A tree over FROM as a tree over keys and results. */
static enum mr_status lower(void *context, const struct mr_ast *ast, struct mr_ast **out)
{
    struct grouping *grouping = context;
    struct mr_select_env *env = grouping->block->env;
    const struct mr_select_event *event = grouping->block->event;
    const struct mr_select_column *column = ast->resolved;
    struct mr_select_column *result = NULL;
    for (int i = 0; i < grouping->nkeys; i++) {
        if (mr_ast_equal(grouping->keys[i], ast))
            return mr_select_name(env, grouping->key_columns[i], ast->position, out);
    }
    if (event && column && (column == event->start || column == event->end))
        return mr_select_copy(env, ast, out);
    if (mr_select_is_aggregate(ast)) {
        MR_TRY(column_of(grouping, ast, &result));
        return mr_select_name(env, result, ast->position, out);
    }
    if (ast->kind == MR_AST_NAME && column != NULL && column->attach == NULL) {
        mr_select_fail(env, ast->position,
                       "the column %.80s is neither in GROUP BY nor in an aggregate",
                       column->display ? column->display : column->name);
        mr_error_hint(env->err, "group by it, or take any_value(%.80s)", column->name);
        return MR_CONFIG;
    }
    return mr_select_copy_with(env, ast, lower, context, out);
}

/* Columns for the keys; those that are expressions are computed by a part. */
static enum mr_status make_keys(struct grouping *grouping)
{
    struct mr_select_block *block = grouping->block;
    struct mr_select_env *env = block->env;
    size_t room = (size_t)grouping->nkeys + 1;
    struct mr_select_column **made =
        mr_arena_calloc(env->arena, room, sizeof(struct mr_select_column *));
    struct mr_ast **asts = mr_arena_calloc(env->arena, room, sizeof(struct mr_ast *));
    grouping->key_columns = mr_arena_calloc(env->arena, room, sizeof(struct mr_select_column *));
    if (made == NULL || asts == NULL || grouping->key_columns == NULL)
        return mr_select_nomem(env);
    int count = 0;
    for (int i = 0; i < grouping->nkeys; i++) {
        struct mr_ast *key = grouping->keys[i];
        struct mr_field field;
        if (key->kind == MR_AST_NAME && key->resolved != NULL) {
            grouping->key_columns[i] = (struct mr_select_column *)(uintptr_t)key->resolved;
            MR_TRY(mr_select_attach_for(block, key));
            continue;
        }
        MR_TRY(mr_select_check(env, key, false, &field));
        MR_TRY(mr_select_attach_for(block, key));
        struct mr_select_column *column =
            mr_select_column_new(env, mr_select_claim(env, block->names, "group key", NULL),
                                 field.type, field.nullable);
        if (column == NULL)
            return env->err->status;
        column->block = block;
        grouping->key_columns[i] = column;
        made[count] = column;
        asts[count++] = key;
    }
    return mr_select_enrich(env, &block->relation, count, made, asts, "GROUP BY");
}

/* EMIT CHANGES, EMIT FINAL: of the aggregate of the query itself, not of those within it. */
static enum mr_status set_emit(struct mr_select_block *block, struct mr_options *options)
{
    struct mr_select_env *env = block->env;
    if (block->query->emit == MR_QUERY_EMIT_DEFAULT)
        return MR_OK;
    env->emitters++;
    return mr_options_set_text(env->arena, options, "emit",
                               block->query->emit == MR_QUERY_EMIT_CHANGES ? "changes" : "final",
                               env->err);
}

static enum mr_status emit(struct grouping *grouping)
{
    struct mr_select_block *block = grouping->block;
    struct mr_select_env *env = block->env;
    struct mr_options *options;
    const char **names = mr_arena_calloc(env->arena, (size_t)grouping->nkeys + 1, sizeof *names);
    if (names == NULL)
        return mr_select_nomem(env);
    MR_TRY(mr_select_options(env, "aggregateData", &options));
    for (int i = 0; i < grouping->nkeys; i++) {
        names[i] = mr_select_quoted(env, grouping->key_columns[i]->name);
        if (names[i] == NULL)
            return env->err->status;
    }
    if (grouping->nkeys > 0)
        MR_TRY(
            mr_options_set_list(env->arena, options, "groupBy", names, grouping->nkeys, env->err));
    for (int i = 0; i < grouping->ncalls; i++) {
        const char *text = mr_select_text(env, grouping->calls[i]);
        if (text == NULL)
            return env->err->status;
        MR_TRY(mr_options_add_pair(env->arena, options, "aggregations",
                                   grouping->call_columns[i]->name, text, env->err));
    }
    if (block->event != NULL)
        MR_TRY(mr_select_event_options(block, options));
    if (grouping->nkeys == 0 && grouping->ncalls == 0 && block->event == NULL) { /* HAVING alone */
        const char *name = mr_select_claim(env, block->names, "count", NULL);
        if (name == NULL)
            return env->err->status;
        MR_TRY(
            mr_options_add_pair(env->arena, options, "aggregations", name, "count(*)", env->err));
    }
    MR_TRY(set_emit(block, options));
    MR_TRY(mr_select_emit(env, "aggregateData", grouping->nkeys > 0 ? "GROUP BY" : NULL, options, 1,
                          &block->relation.input, &block->relation.input));
    block->relation.ncolumns = 0;
    block->generation++;
    MR_TRY(mr_select_add_columns(env, &block->relation, grouping->nkeys, grouping->key_columns));
    if (block->event != NULL) {
        struct mr_select_column *const window[] = {block->event->start, block->event->end};
        MR_TRY(mr_select_add_columns(env, &block->relation, 2, window));
    }
    return mr_select_add_columns(env, &block->relation, grouping->ncalls, grouping->call_columns);
}

/* Keys without repetitions. */
static enum mr_status unique_keys(struct grouping *grouping, const struct mr_select_list *groups)
{
    struct mr_select_env *env = grouping->block->env;
    grouping->keys = mr_arena_calloc(env->arena, (size_t)groups->count + 1, sizeof *grouping->keys);
    if (grouping->keys == NULL)
        return mr_select_nomem(env);
    for (int i = 0; i < groups->count; i++) {
        bool there = false;
        for (int j = 0; j < grouping->nkeys; j++)
            there |= mr_ast_equal(grouping->keys[j], groups->items[i]);
        if (!there)
            grouping->keys[grouping->nkeys++] = groups->items[i];
    }
    return MR_OK;
}

enum mr_status mr_select_group(struct mr_select_block *block, const struct mr_select_list *groups,
                               struct mr_select_targets *targets)
{
    struct grouping grouping = {.block = block};
    MR_TRY(unique_keys(&grouping, groups));
    MR_TRY(make_keys(&grouping));
    for (int i = 0; i < targets->count; i++)
        MR_TRY(lower(&grouping, targets->asts[i], &targets->asts[i]));
    for (int i = 0; i < grouping.ncalls; i++)
        MR_TRY(mr_select_attach_for(block, grouping.calls[i]));
    return emit(&grouping);
}

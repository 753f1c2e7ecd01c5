/*
 * sql_window.c - functions over windows: one windowColumns for all calls with the same partitions, order and frame.
 *
 * Partition keys, keys of the order and arguments may be expressions. Calls within the arguments of
 * others are not allowed, as in Spark, so that windows do not depend on each other.
 */
#include "op/sql_step.h"

#include "base/text.h"
#include "sql/aggregate.h"

struct windowing {
    struct mr_select_block *block;
    int depth; /* of calls with OVER around */
    int count, capacity;
    struct mr_ast **calls;
    struct mr_select_column **columns;
    bool *emitted;
};

static bool is_called(const struct mr_ast *call, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (mr_text_equal_nocase(call->name, *names))
            return true;
    }
    return false;
}

/* The type of an aggregate over a window is that of the aggregate. */
static enum mr_status aggregate_type(struct mr_select_env *env, const struct mr_ast *call,
                                     struct mr_field *out)
{
    struct mr_schema schema;
    struct mr_aggregation *aggregation;
    struct mr_ast bare = *call;
    const char *name = "value";
    int failed;
    bare.window = NULL;
    const char *text = mr_select_text(env, &bare);
    if (text == NULL)
        return env->err->status;
    MR_TRY(mr_select_schema_of(env, &bare, &schema));
    struct mr_aggregation_ask ask = {.scope = {.schema = &schema},
                                     .session = env->session,
                                     .count = 1,
                                     .texts = &text,
                                     .names = &name};
    enum mr_status status =
        mr_aggregation_compile(env->arena, &ask, &aggregation, &failed, env->err);
    if (status == MR_CONFIG)
        return mr_query_fail_at(env->text, call->position, env->err);
    if (status == MR_OK)
        *out = mr_aggregation_schema(aggregation)->fields[0];
    return status;
}

static enum mr_status call_type(struct mr_select_env *env, const struct mr_ast *call,
                                struct mr_field *out)
{
    static const char *const ranks[] = {"row_number", "rank", "dense_rank", "ntile", NULL};
    static const char *const shares[] = {"percent_rank", "cume_dist", NULL};
    static const char *const picks[] = {"lag",       "lead",  "first_value", "last_value",
                                        "nth_value", "first", "last",        NULL};
    struct mr_field field = {0};
    for (int i = 0; i < call->nargs; i++) {
        struct mr_field ignored;
        if (call->args[i]->kind != MR_AST_STAR)
            MR_TRY(mr_select_check(env, call->args[i], false, i == 0 ? &field : &ignored));
    }
    *out = (struct mr_field){.type = mr_type_of(MR_TYPE_INT32)};
    if (is_called(call, ranks))
        return MR_OK;
    out->type = mr_type_of(MR_TYPE_FLOAT64);
    if (is_called(call, shares))
        return MR_OK;
    if (is_called(call, picks) && call->nargs > 0) {
        *out = (struct mr_field){.type = field.type, .nullable = true};
        return MR_OK;
    }
    MR_TRY(aggregate_type(env, call, out));
    out->nullable |= !mr_text_equal_nocase(call->name, "count");
    return MR_OK;
}

static enum mr_status grow(struct windowing *windowing)
{
    struct mr_select_env *env = windowing->block->env;
    if (windowing->count < windowing->capacity)
        return MR_OK;
    int capacity = windowing->capacity ? windowing->capacity * 2 : 8;
    struct mr_ast **calls = mr_arena_calloc(env->arena, (size_t)capacity, sizeof *calls);
    struct mr_select_column **columns =
        mr_arena_calloc(env->arena, (size_t)capacity, sizeof *columns);
    if (calls == NULL || columns == NULL)
        return mr_select_nomem(env);
    for (int i = 0; i < windowing->count; i++) {
        calls[i] = windowing->calls[i];
        columns[i] = windowing->columns[i];
    }
    windowing->calls = calls;
    windowing->columns = columns;
    windowing->capacity = capacity;
    return MR_OK;
}

static enum mr_status column_of(struct windowing *windowing, const struct mr_ast *call,
                                struct mr_select_column **out)
{
    struct mr_select_env *env = windowing->block->env;
    struct mr_field field;
    for (int i = 0; i < windowing->count; i++) {
        if (mr_ast_equal(windowing->calls[i], call)) {
            *out = windowing->columns[i];
            return MR_OK;
        }
    }
    MR_TRY(call_type(env, call, &field));
    for (int i = 0; i < call->window->npartitions; i++)
        MR_TRY(mr_select_check(env, call->window->partitions[i], false, &(struct mr_field){0}));
    for (int i = 0; i < call->window->norders; i++)
        MR_TRY(mr_select_check(env, call->window->orders[i].expr, false, &(struct mr_field){0}));
    MR_TRY(grow(windowing));
    *out =
        mr_select_column_new(env, mr_select_claim(env, windowing->block->names, call->name, NULL),
                             field.type, field.nullable);
    if (*out == NULL)
        return env->err->status;
    (*out)->block = windowing->block;
    windowing->calls[windowing->count] = (struct mr_ast *)(uintptr_t)call;
    windowing->columns[windowing->count++] = *out;
    return MR_OK;
}

static enum mr_status lower(void *context, const struct mr_ast *ast, struct mr_ast **out)
{
    struct windowing *windowing = context;
    struct mr_select_env *env = windowing->block->env;
    struct mr_select_column *column;
    if (!mr_select_is_window(ast))
        return mr_select_copy_with(env, ast, lower, context, out);
    struct mr_ast *copy;
    if (windowing->depth > 0)
        return mr_select_fail(env, ast->position, "a window function within a window function");
    windowing->depth++;
    MR_TRY(mr_select_copy_with(env, ast, lower, context, &copy));
    windowing->depth--;
    MR_TRY(column_of(windowing, copy, &column));
    return mr_select_name(env, column, ast->position, out);
}

/* "ROWS BETWEEN 1 PRECEDING AND CURRENT ROW" */
static enum mr_status frame_text(struct mr_select_env *env, const struct mr_ast_window *window,
                                 const char **out)
{
    struct mr_ast_window bare = {.frame = window->frame,
                                 .from = window->from,
                                 .to = window->to,
                                 .from_offset = window->from_offset,
                                 .to_offset = window->to_offset};
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, MR_SQL_MAX_TEXT);
    mr_window_print(&bytes, &bare);
    enum mr_status status = mr_bytes_status(&bytes, env->err);
    if (status == MR_OK) { /* without the parentheses */
        *out = mr_arena_strndup(env->arena, bytes.data + 1, bytes.size - 2);
        status = *out ? MR_OK : mr_select_nomem(env);
    }
    mr_bytes_reset(&bytes);
    return status;
}

static enum mr_status set_window(struct mr_select_env *env, const struct mr_ast_window *window,
                                 struct mr_options *options)
{
    size_t room = (size_t)(window->npartitions + window->norders) + 1;
    const char **texts = mr_arena_calloc(env->arena, room, sizeof *texts);
    if (texts == NULL)
        return mr_select_nomem(env);
    for (int i = 0; i < window->npartitions; i++) {
        texts[i] = mr_select_text(env, window->partitions[i]);
        if (texts[i] == NULL)
            return env->err->status;
    }
    if (window->npartitions > 0)
        MR_TRY(mr_options_set_list(env->arena, options, "partitionBy", texts, window->npartitions,
                                   env->err));
    for (int i = 0; i < window->norders; i++) {
        const char *text = mr_select_text(env, window->orders[i].expr);
        if (text == NULL)
            return env->err->status;
        texts[i] = mr_arena_printf(env->arena, "%s%s NULLS %s", text,
                                   window->orders[i].descending ? " DESC" : " ASC",
                                   window->orders[i].nulls_first ? "FIRST" : "LAST");
        if (texts[i] == NULL)
            return mr_select_nomem(env);
    }
    if (window->norders > 0)
        MR_TRY(
            mr_options_set_list(env->arena, options, "orderBy", texts, window->norders, env->err));
    if (window->frame == NULL)
        return MR_OK;
    const char *frame;
    MR_TRY(frame_text(env, window, &frame));
    return mr_options_set_text(env->arena, options, "frame", frame, env->err);
}

/* All calls with the window of call `first`. */
static enum mr_status emit(struct windowing *windowing, int first)
{
    struct mr_select_block *block = windowing->block;
    struct mr_select_env *env = block->env;
    const struct mr_ast_window *window = windowing->calls[first]->window;
    struct mr_options *options;
    MR_TRY(mr_select_options(env, "windowColumns", &options));
    MR_TRY(set_window(env, window, options));
    for (int i = first; i < windowing->count; i++) {
        struct mr_ast bare = *windowing->calls[i];
        if (windowing->emitted[i] || !mr_window_equal(bare.window, window))
            continue;
        windowing->emitted[i] = true;
        bare.window = NULL;
        const char *text = mr_select_text(env, &bare);
        if (text == NULL)
            return env->err->status;
        MR_TRY(mr_options_add_pair(env->arena, options, "columns", windowing->columns[i]->name,
                                   text, env->err));
        MR_TRY(mr_select_add_columns(env, &block->relation, 1, &windowing->columns[i]));
    }
    return mr_select_emit(env, "windowColumns", "OVER", options, 1, &block->relation.input,
                          &block->relation.input);
}

enum mr_status mr_select_windows(struct mr_select_block *block, struct mr_select_targets *targets)
{
    struct windowing windowing = {.block = block};
    for (int i = 0; i < targets->count; i++)
        MR_TRY(lower(&windowing, targets->asts[i], &targets->asts[i]));
    for (int i = 0; i < windowing.count; i++)
        MR_TRY(mr_select_attach_for(block, windowing.calls[i]));
    windowing.emitted = mr_arena_calloc(block->env->arena, (size_t)windowing.count + 1, 1);
    if (windowing.emitted == NULL)
        return mr_select_nomem(block->env);
    for (int i = 0; i < windowing.count; i++) {
        if (!windowing.emitted[i])
            MR_TRY(emit(&windowing, i));
    }
    return MR_OK;
}

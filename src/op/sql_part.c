/*
 * sql_part.c - the sql step's parts: ordinary methods with options, and the columns that they give.
 *
 * Everything that knows how a method spells its options is here. Trees become text only here, with
 * the names that columns have in flight.
 */
#include "op/sql_step.h"

#include "ext/registry.h"

#include <stdio.h>

enum mr_status mr_select_fail(struct mr_select_env *env, size_t position, const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return mr_query_fail(env->text, position, env->err, "%s", message);
}

enum mr_status mr_select_nomem(struct mr_select_env *env)
{
    return mr_error_nomem(env->err);
}

struct mr_select_names *mr_select_names_new(struct mr_select_env *env)
{
    struct mr_select_names *names = mr_arena_calloc(env->arena, 1, sizeof *names);
    if (names == NULL) {
        mr_select_nomem(env);
        return NULL;
    }
    mr_map_init(&names->map, true);
    names->next = env->names;
    env->names = names;
    return names;
}

const char *mr_select_claim(struct mr_select_env *env, struct mr_select_names *names,
                            const char *wanted, const char *qualifier)
{
    const char *name = wanted;
    for (int i = 1; name != NULL; i++) {
        if (mr_map_get(&names->map, mr_slice_of(name)) == NULL) {
            name = mr_arena_strdup(env->arena, name);
            if (name == NULL ||
                mr_map_put(&names->map, mr_slice_of(name), names, env->err) != MR_OK)
                break;
            return name;
        }
        if (i == 1 && qualifier != NULL)
            name = mr_arena_printf(env->arena, "%s.%s", qualifier, wanted);
        else
            name = mr_arena_printf(env->arena, "%s.%d", wanted, i);
    }
    mr_select_nomem(env);
    return NULL;
}

struct mr_select_column *mr_select_column_new(struct mr_select_env *env, const char *name,
                                              const struct mr_type *type, bool nullable)
{
    struct mr_select_column *column = mr_arena_calloc(env->arena, 1, sizeof *column);
    if (column == NULL || name == NULL) {
        mr_select_nomem(env);
        return NULL;
    }
    column->name = name;
    column->type = type;
    column->nullable = nullable;
    column->first = column->last = -1;
    return column;
}

enum mr_status mr_select_append(struct mr_select_env *env, struct mr_select_list *list,
                                struct mr_ast *ast)
{
    if (list->count == list->capacity) {
        int capacity = list->capacity ? list->capacity * 2 : 4;
        struct mr_ast **items = mr_arena_calloc(env->arena, (size_t)capacity, sizeof *items);
        if (items == NULL)
            return mr_select_nomem(env);
        if (list->count > 0)
            memcpy(items, list->items, (size_t)list->count * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = ast;
    return MR_OK;
}

enum mr_status mr_select_add_columns(struct mr_select_env *env, struct mr_select_relation *relation,
                                     int count, struct mr_select_column *const *columns)
{
    size_t total = (size_t)relation->ncolumns + (size_t)count;
    struct mr_select_column **all = mr_arena_calloc(env->arena, total + 1, sizeof *all);
    if (all == NULL)
        return mr_select_nomem(env);
    if (relation->ncolumns > 0)
        memcpy(all, relation->columns, (size_t)relation->ncolumns * sizeof *all);
    if (count > 0)
        memcpy(all + relation->ncolumns, columns, (size_t)count * sizeof *all);
    relation->columns = all;
    relation->ncolumns = (int)total;
    return MR_OK;
}

static const char *settle_text(struct mr_select_env *env, struct mr_bytes *bytes)
{
    const char *text = NULL;
    enum mr_status status = mr_bytes_status(bytes, env->err);
    if (status == MR_LIMIT)
        mr_error_config(env->err, "an expression of the query is longer than 1 MiB");
    else if (status == MR_OK && (text = mr_arena_strdup(env->arena, bytes->data)) == NULL)
        mr_select_nomem(env);
    mr_bytes_reset(bytes);
    return text;
}

const char *mr_select_text(struct mr_select_env *env, const struct mr_ast *ast)
{
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, MR_SQL_MAX_TEXT);
    mr_ast_print(&bytes, ast);
    return settle_text(env, &bytes);
}

const char *mr_select_conjunction(struct mr_select_env *env, const struct mr_select_list *list)
{
    struct mr_ast all = {.kind = MR_AST_CALL,
                         .operator_call = true,
                         .name = "AND",
                         .nargs = list->count,
                         .args = list->items};
    return mr_select_text(env, list->count == 1 ? list->items[0] : &all);
}

const char *mr_select_quoted(struct mr_select_env *env, const char *name)
{
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, MR_SQL_MAX_TEXT);
    mr_name_print(&bytes, name);
    return settle_text(env, &bytes);
}

/* The status of an error that a function with a pointer as its result has left. */
static enum mr_status failed(struct mr_select_env *env)
{
    return env->err->status;
}

enum mr_status mr_select_options(struct mr_select_env *env, const char *method,
                                 struct mr_options **out)
{
    const struct mr_method *row = mr_registry_method(env->bind->runtime->registry, method);
    const struct mr_option *table = row && row->op ? mr_method_options(row) : NULL;
    if (table == NULL)
        return mr_error_config(env->err,
                               "the query needs the method \"%s\", which this build lacks", method);
    *out = mr_options_new(env->arena, table);
    return *out ? MR_OK : mr_select_nomem(env);
}

enum mr_status mr_select_emit(struct mr_select_env *env, const char *method, const char *detail,
                              struct mr_options *options, int ninputs, const int *inputs, int *out)
{
    if (env->nparts == env->parts_capacity) {
        int capacity = env->parts_capacity ? env->parts_capacity * 2 : 16;
        struct mr_op_part *parts = mr_arena_calloc(env->arena, (size_t)capacity, sizeof *parts);
        if (parts == NULL)
            return mr_select_nomem(env);
        if (env->nparts > 0)
            memcpy(parts, env->parts, (size_t)env->nparts * sizeof *parts);
        env->parts = parts;
        env->parts_capacity = capacity;
    }
    int *own = mr_arena_calloc(env->arena, (size_t)ninputs + 1, sizeof *own);
    if (own == NULL)
        return mr_select_nomem(env);
    memcpy(own, inputs, (size_t)ninputs * sizeof *own);
    env->parts[env->nparts] = (struct mr_op_part){
        .method = method, .detail = detail, .options = options, .ninputs = ninputs, .inputs = own};
    *out = env->nparts++;
    return MR_OK;
}

enum mr_status mr_select_filter(struct mr_select_env *env, struct mr_select_relation *relation,
                                const struct mr_select_list *conditions, const char *detail)
{
    struct mr_options *options;
    if (conditions->count == 0)
        return MR_OK;
    const char *text = mr_select_conjunction(env, conditions);
    if (text == NULL)
        return failed(env);
    MR_TRY(mr_select_options(env, "filterRows", &options));
    MR_TRY(mr_options_set_text(env->arena, options, "condition", text, env->err));
    return mr_select_emit(env, "filterRows", detail, options, 1, &relation->input,
                          &relation->input);
}

/* {name: text} for a PAIRS option. */
static enum mr_status add_pairs(struct mr_select_env *env, struct mr_options *options,
                                const char *option, int count,
                                struct mr_select_column *const *columns, struct mr_ast *const *asts)
{
    for (int i = 0; i < count; i++) {
        const char *text = mr_select_text(env, asts[i]);
        if (text == NULL)
            return failed(env);
        MR_TRY(mr_options_add_pair(env->arena, options, option, columns[i]->name, text, env->err));
    }
    return MR_OK;
}

enum mr_status mr_select_enrich(struct mr_select_env *env, struct mr_select_relation *relation,
                                int count, struct mr_select_column *const *columns,
                                struct mr_ast *const *asts, const char *detail)
{
    struct mr_options *options;
    if (count == 0)
        return MR_OK;
    MR_TRY(mr_select_options(env, "enrichData", &options));
    MR_TRY(add_pairs(env, options, "columns", count, columns, asts));
    MR_TRY(
        mr_select_emit(env, "enrichData", detail, options, 1, &relation->input, &relation->input));
    return mr_select_add_columns(env, relation, count, columns);
}

static bool changes_nothing(const struct mr_select_relation *relation, int count,
                            struct mr_select_column *const *columns, struct mr_ast *const *asts)
{
    if (count != relation->ncolumns)
        return false;
    for (int i = 0; i < count; i++) {
        if (asts[i]->kind != MR_AST_NAME || asts[i]->resolved != relation->columns[i] ||
            strcmp(columns[i]->name, relation->columns[i]->name) != 0)
            return false;
    }
    return true;
}

enum mr_status mr_select_project(struct mr_select_env *env, struct mr_select_relation *relation,
                                 int count, struct mr_select_column *const *columns,
                                 struct mr_ast *const *asts, const char *detail, bool always)
{
    struct mr_options *options;
    if (always || !changes_nothing(relation, count, columns, asts)) {
        MR_TRY(mr_select_options(env, "selectColumns", &options));
        MR_TRY(add_pairs(env, options, "columns", count, columns, asts));
        MR_TRY(mr_select_emit(env, "selectColumns", detail, options, 1, &relation->input,
                              &relation->input));
    }
    relation->ncolumns = 0;
    return mr_select_add_columns(env, relation, count, columns);
}

enum mr_status mr_select_join(struct mr_select_env *env, struct mr_select_relation *left,
                              const struct mr_select_relation *right, enum mr_query_join join,
                              const struct mr_select_list *on, const char *detail)
{
    static const char *const types[] = {"inner", "left",      "right",    "full",
                                        "cross", "left_semi", "left_anti"};
    const int inputs[2] = {left->input, right->input};
    struct mr_options *options;
    const char *text = NULL;
    MR_TRY(mr_select_options(env, "joinDataFrames", &options));
    if (on->count == 0 && join == MR_QUERY_INNER)
        join = MR_QUERY_CROSS;
    if (on->count > 0 && join == MR_QUERY_CROSS)
        join = MR_QUERY_INNER;
    if (on->count > 0)
        text = mr_select_conjunction(env, on);
    else if (join != MR_QUERY_CROSS)
        text = "TRUE";
    if (text == NULL && join != MR_QUERY_CROSS)
        return failed(env);
    if (text != NULL)
        MR_TRY(mr_options_set_list(env->arena, options, "joinConditions", &text, 1, env->err));
    MR_TRY(mr_options_set_list(env->arena, options, "joinType", &types[join], 1, env->err));
    MR_TRY(mr_select_emit(env, "joinDataFrames", detail, options, 2, inputs, &left->input));
    if (join == MR_QUERY_SEMI || join == MR_QUERY_ANTI)
        return MR_OK;
    return mr_select_add_columns(env, left, right->ncolumns, right->columns);
}

enum mr_status mr_select_distinct(struct mr_select_env *env, struct mr_select_relation *relation)
{
    struct mr_options *options;
    MR_TRY(mr_select_options(env, "deduplicate", &options));
    return mr_select_emit(env, "deduplicate", "DISTINCT", options, 1, &relation->input,
                          &relation->input);
}

enum mr_status mr_select_limit(struct mr_select_env *env, struct mr_select_relation *relation,
                               int64_t count, int64_t offset)
{
    struct mr_options *options;
    char number[32];
    MR_TRY(mr_select_options(env, "limitRows", &options));
    snprintf(number, sizeof number, "%lld", (long long)count);
    MR_TRY(mr_options_set_text(env->arena, options, "count", number, env->err));
    if (offset > 0) {
        snprintf(number, sizeof number, "%lld", (long long)offset);
        MR_TRY(mr_options_set_text(env->arena, options, "offset", number, env->err));
    }
    return mr_select_emit(env, "limitRows", offset > 0 ? "LIMIT, OFFSET" : "LIMIT", options, 1,
                          &relation->input, &relation->input);
}

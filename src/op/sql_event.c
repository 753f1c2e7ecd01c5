/*
 * sql_event.c - windows of event time: what a query says of them becomes `window` of an aggregateData.
 *
 *     GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), k       TUMBLE_START(..), TUMBLE_END(..)          Flink, HOP and SESSION too
 *     GROUP BY window(ts, '10 minutes', '5 minutes')    window.start, window.end                  Spark, session_window too
 *     FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), ..)) GROUP BY window_start, window_end           Flink's table functions
 *
 * A SELECT groups by one kind of window. Its two columns are objects like any other column, and the aggregate gives them
 * out under names that are taken before FROM gets its own. What is written of the window, a call or a name, becomes the
 * column or {start, end}; keys that are made of these alone are the aggregate's own and are taken out of GROUP BY. To repeat
 * rows by window in front of the aggregate, as the table functions say it, was refused: sessions are no function of a row.
 */
#include "op/sql_step.h"

#include "base/text.h"
#include "sql/interval.h"

#include <stdio.h>

enum part { PART_VALUE, PART_START, PART_END };

static const struct {
    const char *name;
    enum mr_select_window_kind kind;
    enum part part;
    bool spark; /* size before slide */
} calls[] = {
    {"TUMBLE", MR_SELECT_TUMBLING, PART_VALUE, false},
    {"TUMBLE_START", MR_SELECT_TUMBLING, PART_START, false},
    {"TUMBLE_END", MR_SELECT_TUMBLING, PART_END, false},
    {"HOP", MR_SELECT_SLIDING, PART_VALUE, false},
    {"HOP_START", MR_SELECT_SLIDING, PART_START, false},
    {"HOP_END", MR_SELECT_SLIDING, PART_END, false},
    {"SESSION", MR_SELECT_SESSION, PART_VALUE, false},
    {"SESSION_START", MR_SELECT_SESSION, PART_START, false},
    {"SESSION_END", MR_SELECT_SESSION, PART_END, false},
    {"window", MR_SELECT_TUMBLING, PART_VALUE, true},
    {"session_window", MR_SELECT_SESSION, PART_VALUE, true},
};

static int find_call(const char *name)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        if (mr_text_equal_nocase(calls[i].name, name))
            return (int)i;
    }
    return -1;
}

bool mr_select_is_event(const struct mr_ast *ast)
{
    return ast->kind == MR_AST_CALL && !ast->operator_call && ast->window == NULL &&
           find_call(ast->name) >= 0;
}

/* The first such call in a tree as parsed. */
static const struct mr_ast *call_in(const struct mr_ast *ast)
{
    if (ast == NULL || mr_select_is_event(ast))
        return ast;
    const struct mr_ast *child, *found = NULL;
    for (int i = 0; found == NULL && (child = mr_select_child_of(ast, i)) != NULL; i++)
        found = call_in(child);
    return found;
}

static const struct mr_from *table_in(const struct mr_from *from)
{
    if (from == NULL || from->kind != MR_FROM_JOIN)
        return from != NULL && from->window != NULL ? from : NULL;
    const struct mr_from *left = table_in(from->left);
    return left != NULL ? left : table_in(from->right);
}

enum mr_status mr_select_event_find(struct mr_select_block *block)
{
    struct mr_select_env *env = block->env;
    const struct mr_query *query = block->query;
    const struct mr_from *table = table_in(query->from);
    const struct mr_ast *call = NULL;
    for (int i = 0; call == NULL && i < query->ngroups; i++)
        call = call_in(query->groups[i]);
    for (int i = 0; call == NULL && i < query->nitems; i++)
        call = call_in(query->items[i].expr);
    if (call == NULL && table == NULL)
        return MR_OK;
    if (table != NULL && query->from != table)
        return mr_select_fail(env, table->window->position,
                              "%.20s stands alone in FROM; join in a query of WITH, and give it "
                              "the name of that",
                              table->window->name);
    if (table != NULL && call != NULL)
        return mr_select_fail(env, call->position,
                              "%.20s in FROM has made windows: group by window_start",
                              table->window->name);
    struct mr_select_event *event = mr_arena_calloc(env->arena, 1, sizeof *event);
    if (event == NULL)
        return mr_select_nomem(env);
    event->called = table ? table->window->name : call->name;
    event->position = table ? table->window->position : call->position;
    event->table = table ? table->window : NULL;
    event->call = call;
    event->start =
        mr_select_column_new(env, mr_select_claim(env, block->names, "window_start", NULL), NULL,
                             false);
    event->end = mr_select_column_new(env, mr_select_claim(env, block->names, "window_end", NULL),
                                      NULL, false);
    if (event->start == NULL || event->end == NULL)
        return env->err->status;
    event->start->block = event->end->block = block;
    block->event = event;
    return MR_OK;
}

enum mr_status mr_select_event_table(struct mr_select_block *block, const struct mr_from *from,
                                     struct mr_select_node *node)
{
    struct mr_select_event *event = block->event;
    const char *qualifier = node->label;
    if (event == NULL || event->table != from->window)
        return mr_select_fail(block->env, from->window->position,
                              "%.20s stands only in FROM of a query that groups by window_start",
                              from->window->name);
    event->start->display = "window_start";
    event->end->display = "window_end";
    event->start->qualifier = event->end->qualifier = qualifier;
    node->windowed = true;
    struct mr_select_column *const both[] = {event->start, event->end};
    return mr_select_add_columns(block->env, &node->relation, 2, both);
}

/* INTERVAL '1' MINUTE, '10 minutes'. */
static enum mr_status duration(struct mr_select_env *env, const struct mr_ast *ast, int64_t *out)
{
    struct mr_interval interval = {0};
    const struct mr_value *value = &ast->literal;
    enum mr_type_id id = ast->kind == MR_AST_LITERAL ? value->type->id : MR_TYPE_NULL;
    bool text = id == MR_TYPE_STRING &&
                mr_interval_parse(value->u.bytes.data, value->u.bytes.size, &interval);
    if (id == MR_TYPE_INTERVAL)
        interval = value->u.interval;
    if (!text && id != MR_TYPE_INTERVAL)
        return mr_select_fail(env, ast->position,
                              "the length of a window is an interval that is written out: INTERVAL "
                              "'1' MINUTE, '10 minutes'");
    const int64_t day = INT64_C(86400000000);
    if (interval.months != 0)
        return mr_select_fail(env, ast->position,
                              "months and years are of different lengths: windows take days and "
                              "less");
    if (interval.days < 0 || interval.days > INT64_MAX / 4 / day || interval.micros < 0 ||
        interval.micros > INT64_MAX / 4 || (*out = interval.days * day + interval.micros) <= 0)
        return mr_select_fail(env, ast->position, "a window's length is more than nothing");
    return MR_OK;
}

struct sizes {
    int64_t size, slide;
    enum mr_select_window_kind kind;
};

static enum mr_status read_sizes(struct mr_select_env *env, const char *name, size_t position,
                                 int count, struct mr_ast *const *asts, struct sizes *out)
{
    int call = find_call(name);
    bool spark = calls[call].spark;
    out->kind = calls[call].kind;
    if (spark && out->kind == MR_SELECT_TUMBLING && count == 2)
        out->kind = MR_SELECT_SLIDING;
    int wanted = out->kind == MR_SELECT_SLIDING ? 2 : 1;
    if (count > wanted)
        return mr_select_fail(env, asts[wanted]->position,
                              "%.20s takes no offset in this version: windows are aligned to "
                              "1970-01-01 00:00 UTC",
                              name);
    if (count < wanted)
        return mr_select_fail(env, position, "%.20s takes a time and %s", name,
                              wanted == 1 ? "a length"
                              : spark     ? "a size and a slide"
                                          : "a slide and a size");
    int64_t first, second = 0;
    MR_TRY(duration(env, asts[0], &first));
    if (wanted == 2)
        MR_TRY(duration(env, asts[1], &second));
    out->size = wanted == 2 && !spark ? second : first;
    out->slide = wanted == 2 && !spark ? first : second;
    if (out->slide > out->size)
        return mr_select_fail(env, asts[0]->position,
                              "windows of that slide would leave rows out: it is longer than the "
                              "size");
    if (out->slide == out->size && wanted == 2) {
        out->kind = MR_SELECT_TUMBLING;
        out->slide = 0;
    }
    return MR_OK;
}

/* The tree of an event time, and what type windows of it have. */
static enum mr_status check_time(struct mr_select_env *env, const struct mr_ast *time,
                                 const struct mr_type **type)
{
    struct mr_field field;
    char text[96];
    MR_TRY(mr_select_check(env, time, false, &field));
    switch (field.type->id) {
    case MR_TYPE_TIMESTAMP:
    case MR_TYPE_TIMESTAMP_NTZ:
        *type = field.type;
        return MR_OK;
    case MR_TYPE_DATE:
    case MR_TYPE_STRING:
        *type = mr_type_of(MR_TYPE_TIMESTAMP);
        return MR_OK;
    default:
        return mr_select_fail(env, time->position, "an event time is a timestamp, this is %s",
                              mr_type_text(field.type, text, sizeof text));
    }
}

/* {start, end} */
static enum mr_status make_value(struct mr_select_env *env, struct mr_select_event *event)
{
    struct mr_select_column *const columns[] = {event->start, event->end};
    static const char *const names[] = {"start", "end"};
    struct mr_ast **args = mr_arena_calloc(env->arena, 4, sizeof *args);
    if (args == NULL)
        return mr_select_nomem(env);
    for (int i = 0; i < 2; i++) {
        struct mr_value name = {.type = mr_type_of(MR_TYPE_STRING)};
        name.u.bytes = (struct mr_slice){names[i], strlen(names[i])};
        MR_TRY(mr_select_literal(env, name, event->position, &args[2 * i]));
        MR_TRY(mr_select_name(env, columns[i], event->position, &args[2 * i + 1]));
    }
    MR_TRY(mr_select_call(env, "named_struct", false, event->position, NULL, NULL, &event->value));
    event->value->args = args;
    event->value->nargs = 4;
    event->value->depth = 2;
    return MR_OK;
}

static enum mr_status open_table(struct mr_select_block *block, struct mr_select_event *event)
{
    struct mr_select_env *env = block->env;
    const struct mr_select_relation *from = &block->from->relation;
    struct mr_ast name = {.kind = MR_AST_NAME,
                          .name = event->table->time.name,
                          .position = event->table->time.position,
                          .depth = 1};
    /* The two behind are the windows'. */
    struct mr_select_scope scope = {.block = block,
                                    .ncolumns = from->ncolumns - 2,
                                    .columns = from->columns,
                                    .clause = "DESCRIPTOR"};
    MR_TRY(mr_select_resolve(&scope, &name, &event->time));
    if (event->kind == MR_SELECT_SESSION && block->query->where != NULL)
        return mr_select_fail(env, block->query->where->position,
                              "WHERE behind SESSION would come too late for its gaps; filter in a "
                              "query of WITH, and give it the name of that");
    return MR_OK;
}

enum mr_status mr_select_event_open(struct mr_select_block *block)
{
    struct mr_select_env *env = block->env;
    struct mr_select_event *event = block->event;
    const struct mr_from_window *table = event ? event->table : NULL;
    const struct mr_type *type = NULL;
    struct sizes sizes;
    if (event == NULL)
        return MR_OK;
    if (event->call != NULL && event->call->nargs == 0)
        return mr_select_fail(env, event->position, "%.20s takes a time and its lengths",
                              event->called);
    MR_TRY(read_sizes(env, event->called, event->position,
                      table ? table->nsizes : event->call->nargs - 1,
                      table ? table->sizes : event->call->args + 1, &sizes));
    event->kind = sizes.kind;
    event->size = sizes.size;
    event->slide = sizes.slide;
    struct mr_select_scope scope = {.block = block,
                                    .ncolumns = block->from->relation.ncolumns,
                                    .columns = block->from->relation.columns,
                                    .clause = "GROUP BY"};
    if (table != NULL)
        MR_TRY(open_table(block, event));
    else
        MR_TRY(mr_select_resolve(&scope, event->call->args[0], &event->time));
    MR_TRY(check_time(env, event->time, &type));
    event->start->type = event->end->type = type;
    event->ready = true;
    return make_value(env, event);
}

enum mr_status mr_select_event_call(struct mr_select_scope *scope, const struct mr_ast *ast,
                                    struct mr_ast **out)
{
    struct mr_select_block *block = scope->block;
    struct mr_select_env *env = block->env;
    struct mr_select_event *event = block->event;
    struct sizes sizes;
    struct mr_ast *time;
    enum part part = calls[find_call(ast->name)].part;
    if (event == NULL || !event->ready)
        return mr_select_fail(env, ast->position,
                              "%.20s(..) stands in GROUP BY, and in SELECT, HAVING and ORDER BY of "
                              "such a query",
                              ast->name);
    if (ast->nargs == 0)
        return mr_select_fail(env, ast->position, "%.20s takes a time and its lengths", ast->name);
    MR_TRY(read_sizes(env, ast->name, ast->position, ast->nargs - 1, ast->args + 1, &sizes));
    MR_TRY(mr_select_resolve(scope, ast->args[0], &time));
    if (sizes.kind != event->kind || sizes.size != event->size || sizes.slide != event->slide ||
        !mr_ast_equal(time, event->time))
        return mr_select_fail(env, ast->position,
                              "a SELECT groups by one kind of window; this one is not %.20s(..) of "
                              "GROUP BY",
                              event->called);
    if (part == PART_VALUE) {
        *out = event->value;
        return MR_OK;
    }
    return mr_select_name(env, part == PART_START ? event->start : event->end, ast->position, out);
}

enum mr_status mr_select_event_name(struct mr_select_block *block, const char *base,
                                    const char *name, size_t position, struct mr_ast **out)
{
    const struct mr_select_event *event = block->event;
    *out = NULL;
    if (event == NULL || !event->ready || event->call == NULL ||
        !mr_text_equal_nocase(base, event->called))
        return MR_OK;
    if (name == NULL)
        *out = event->value;
    else if (mr_text_equal_nocase(name, "start"))
        return mr_select_name(block->env, event->start, position, out);
    else if (mr_text_equal_nocase(name, "end"))
        return mr_select_name(block->env, event->end, position, out);
    return MR_OK;
}

/* What of the windows and what of other columns is in a tree? */
static void scan(const struct mr_select_event *event, const struct mr_ast *ast, bool *windows,
                 bool *others)
{
    if (ast->kind == MR_AST_NAME && ast->resolved != NULL) {
        bool own = ast->resolved == event->start || ast->resolved == event->end;
        *windows |= own;
        *others |= !own;
    }
    const struct mr_ast *child;
    for (int i = 0; (child = mr_select_child_of(ast, i)) != NULL; i++)
        scan(event, child, windows, others);
}

enum mr_status mr_select_event_refuse(struct mr_select_block *block, const struct mr_ast *ast,
                                      const char *clause)
{
    bool windows = false, others = false;
    if (block->event == NULL)
        return MR_OK;
    scan(block->event, ast, &windows, &others);
    if (!windows)
        return MR_OK;
    return mr_select_fail(block->env, ast->position,
                          "%s comes before the windows are made; use HAVING", clause);
}

/* SESSION(TABLE t PARTITION BY a, b): sessions of each (a, b), so these and no others are the keys. */
static enum mr_status check_partition(struct mr_select_block *block,
                                      const struct mr_select_list *groups)
{
    const struct mr_from_window *table = block->event->table;
    const struct mr_select_relation *from = &block->from->relation;
    int found = 0;
    for (int i = 0; i < table->npartitions; i++) {
        struct mr_ast name = {.kind = MR_AST_NAME,
                              .name = table->partitions[i].name,
                              .position = table->partitions[i].position,
                              .depth = 1};
        struct mr_select_scope scope = {.block = block,
                                        .ncolumns = from->ncolumns - 2,
                                        .columns = from->columns,
                                        .clause = "PARTITION BY"};
        struct mr_ast *ast;
        bool key = false;
        MR_TRY(mr_select_resolve(&scope, &name, &ast));
        for (int g = 0; g < groups->count; g++)
            key |= mr_ast_equal(groups->items[g], ast);
        if (!key)
            return mr_select_fail(block->env, name.position,
                                  "GROUP BY lacks %.80s, which sessions are made by", name.name);
        found++;
    }
    if (found < groups->count)
        return mr_select_fail(block->env, groups->items[found]->position,
                              "the keys of GROUP BY and the PARTITION BY of SESSION are the same "
                              "columns");
    return MR_OK;
}

enum mr_status mr_select_event_groups(struct mr_select_block *block, struct mr_select_list *groups)
{
    const struct mr_select_event *event = block->event;
    struct mr_select_list kept = {0};
    bool found = false;
    if (event == NULL)
        return MR_OK;
    for (int i = 0; i < groups->count; i++) {
        struct mr_ast *key = groups->items[i];
        bool windows = false, others = false;
        scan(event, key, &windows, &others);
        if (windows && others)
            return mr_select_fail(block->env, key->position,
                                  "a key is made of the windows or of columns, not of both");
        found |= key->resolved == event->start || key->resolved == event->end ||
                 mr_ast_equal(key, event->value);
        if (!windows)
            MR_TRY(mr_select_append(block->env, &kept, key));
    }
    if (!found)
        return mr_select_fail(block->env, event->position, "%.20s needs a GROUP BY %s",
                              event->called,
                              event->table ? "window_start, window_end" : "that has it");
    if (event->table != NULL && event->kind == MR_SELECT_SESSION)
        MR_TRY(check_partition(block, &kept));
    *groups = kept;
    return MR_OK;
}

static enum mr_status set_duration(struct mr_select_env *env, struct mr_options *options,
                                   const char *name, int64_t micros)
{
    char text[40];
    snprintf(text, sizeof text, "%lldus", (long long)micros);
    return mr_options_set_text(env->arena, options, name, text, env->err);
}

enum mr_status mr_select_event_options(struct mr_select_block *block, struct mr_options *options)
{
    static const char *const types[] = {"tumbling", "sliding", "session"};
    struct mr_select_env *env = block->env;
    const struct mr_select_event *event = block->event;
    const struct mr_option *row = mr_option_find(options->table, "window");
    struct mr_options *window = mr_options_new(env->arena, row->fields);
    const char *time = mr_select_text(env, event->time);
    if (window == NULL)
        return mr_select_nomem(env);
    if (time == NULL)
        return env->err->status;
    MR_TRY(mr_options_set_text(env->arena, window, "column", time, env->err));
    MR_TRY(mr_options_set_text(env->arena, window, "type", types[event->kind], env->err));
    MR_TRY(
        set_duration(env, window, event->kind == MR_SELECT_SESSION ? "gap" : "size", event->size));
    if (event->kind == MR_SELECT_SLIDING)
        MR_TRY(set_duration(env, window, "slide", event->slide));
    return mr_options_add_object(env->arena, options, "window", window, env->err);
}

/*
 * aggregate_ask.c - the options of aggregateData as expressions over aggregates.
 *
 * Two forms of `aggregations`, told apart by the text: a bare function name belongs to {column: function}. Windows are
 * one or two more keys, and window_end where it follows from the start.
 */
#include "op/aggregate.h"

#include "base/text.h"
#include "sql/function.h"

#include <string.h>

static enum mr_status read_groups(struct mr_agg_ask *ask, const struct mr_op_bind *bind,
                                  struct mr_error *err)
{
    const struct mr_option_value *value = mr_options_get(bind->options, "groupBy");
    for (int g = 0; g < value->u.strings.count; g++) {
        enum mr_status status = mr_sql_named_expression(bind->arena, value->u.strings.items[g],
                                                        &ask->groups[g], &ask->group_names[g], err);
        if (status != MR_OK)
            return mr_op_option_failed(bind->options, "groupBy", NULL, err);
    }
    ask->ask.ngroups = value->u.strings.count;
    return MR_OK;
}

/* {column: function}: `<column>_<function>`. */
static enum mr_status column_form(struct mr_agg_ask *ask, const struct mr_op_bind *bind,
                                  const struct mr_option_pair *pair, int i, struct mr_error *err)
{
    bool star = !strcmp(pair->name, "*");
    const char *suffix = mr_text_equal_nocase(pair->text, "mean") ? "avg" : pair->text;
    char *column =
        star ? mr_arena_strdup(bind->arena, "*") : mr_op_quote_name(bind->arena, pair->name);
    if (!column)
        return mr_error_nomem(err);
    ask->texts[i] = mr_arena_printf(bind->arena, "%s(%s)", pair->text, column);
    ask->names[i] = star ? mr_arena_strdup(bind->arena, suffix)
                         : mr_arena_printf(bind->arena, "%s_%s", pair->name, suffix);
    return ask->texts[i] && ask->names[i] ? MR_OK : mr_error_nomem(err);
}

/* {column: word} where the word is nothing at all: a function was meant. */
static bool meant_function(const struct mr_agg_ask *ask, const struct mr_agg_plan *plan,
                           const struct mr_option_pair *pair)
{
    for (const char *c = pair->text; *c; c++)
        if (!(*c >= 'a' && *c <= 'z') && !(*c >= 'A' && *c <= 'Z') && *c != '_' &&
            !(*c >= '0' && *c <= '9' && c > pair->text))
            return false;
    for (int g = 0; g < ask->ask.ngroups; g++)
        if (mr_text_equal_nocase(ask->group_names[g], pair->text))
            return false;
    return (!strcmp(pair->name, "*") || mr_schema_find(plan->scope, pair->name) >= 0) &&
           mr_schema_find(plan->scope, pair->text) == -1 &&
           !mr_text_equal_nocase(pair->text, "null") && !mr_text_equal_nocase(pair->text, "true") &&
           !mr_text_equal_nocase(pair->text, "false") && !mr_function_find(pair->text, NULL);
}

static enum mr_status no_function(const struct mr_op_bind *bind, const struct mr_option_pair *pair,
                                  struct mr_error *err)
{
    struct mr_function_refusal refusal;
    mr_function_refuse(pair->text, &refusal);
    mr_error_config(err, "%s", refusal.message);
    if (refusal.hint[0])
        mr_error_hint(err, "%s", refusal.hint);
    return mr_op_option_failed(bind->options, "aggregations", pair->name, err);
}

static enum mr_status read_aggregations(struct mr_agg_ask *ask, const struct mr_agg_plan *plan,
                                        const struct mr_op_bind *bind, struct mr_error *err)
{
    const struct mr_option_value *value = mr_options_get(bind->options, "aggregations");
    for (int p = 0; p < value->u.pairs.count; p++) {
        const struct mr_option_pair *pair = &value->u.pairs.items[p];
        int i = ask->ask.count++;
        ask->entries[i] = pair->name;
        ask->texts[i] = pair->text;
        ask->names[i] = pair->name;
        if (mr_aggregation_is_function(pair->text))
            MR_TRY(column_form(ask, bind, pair, i, err));
        else if (meant_function(ask, plan, pair))
            return no_function(bind, pair, err);
    }
    return MR_OK;
}

/* The windows' own keys and, where it follows from the start, window_end. */
static enum mr_status add_window(struct mr_agg_ask *ask, struct mr_agg_plan *plan,
                                 const struct mr_op_bind *bind, struct mr_error *err)
{
    int *n = &ask->ask.ngroups;
    plan->nplain = *n;
    if (plan->window == MR_AGG_NO_WINDOW)
        return MR_OK;
    ask->groups[*n] = ask->group_names[*n] = "window_start";
    ++*n;
    if (plan->window == MR_AGG_SESSION) {
        ask->groups[*n] = ask->group_names[*n] = "window_end";
        ++*n;
        return MR_OK;
    }
    int i = ask->ask.count++;
    ask->names[i] = "window_end";
    ask->texts[i] = mr_arena_printf(bind->arena, "window_start + INTERVAL %lld MICROSECONDS",
                                    (long long)plan->size);
    return ask->texts[i] ? MR_OK : mr_error_nomem(err);
}

enum mr_status mr_agg_ask_init(struct mr_agg_ask *ask, struct mr_agg_plan *plan,
                               const struct mr_op_bind *bind, struct mr_error *err)
{
    size_t ngroups = (size_t)mr_options_get(bind->options, "groupBy")->u.strings.count + 3;
    size_t count = (size_t)mr_options_get(bind->options, "aggregations")->u.pairs.count + 2;
    struct mr_arena *arena = bind->arena;
    *ask = (struct mr_agg_ask){.groups = mr_arena_calloc(arena, ngroups, sizeof(char *)),
                               .group_names = mr_arena_calloc(arena, ngroups, sizeof(char *)),
                               .texts = mr_arena_calloc(arena, count, sizeof(char *)),
                               .names = mr_arena_calloc(arena, count, sizeof(char *)),
                               .entries = mr_arena_calloc(arena, count, sizeof(char *))};
    if (!ask->groups || !ask->group_names || !ask->texts || !ask->names || !ask->entries)
        return mr_error_nomem(err);
    MR_TRY(read_groups(ask, bind, err));
    MR_TRY(add_window(ask, plan, bind, err));
    MR_TRY(read_aggregations(ask, plan, bind, err));
    ask->ask.scope = (struct mr_sql_scope){.schema = plan->scope};
    ask->ask.session = plan->session;
    ask->ask.groups = ask->groups;
    ask->ask.group_names = ask->group_names;
    ask->ask.texts = ask->texts;
    ask->ask.names = ask->names;
    ask->ask.having = mr_options_text(bind->options, "having");
    return MR_OK;
}

enum mr_status mr_agg_ask_compile(struct mr_agg_plan *plan, const struct mr_agg_ask *ask,
                                  const struct mr_op_bind *bind, struct mr_error *err)
{
    int failed = 0, ngroups = ask->ask.ngroups;
    enum mr_status status =
        mr_aggregation_compile(bind->arena, &ask->ask, &plan->aggregation, &failed, err);
    if (status == MR_OK)
        return MR_OK;
    if (failed < ngroups)
        return mr_op_option_failed(bind->options, "groupBy", NULL, err);
    if (failed >= ngroups + ask->ask.count)
        return mr_op_option_failed(bind->options, "having", NULL, err);
    return mr_op_option_failed(bind->options, "aggregations", ask->entries[failed - ngroups], err);
}

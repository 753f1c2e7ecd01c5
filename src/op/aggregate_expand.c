/*
 * aggregate_expand.c - a step with DISTINCT as two aggregations.
 *
 * Sets of values have to be in memory when their group is finished; as group keys they divide and spill like any others
 * (sql/aggregate_stages.c has the texts). Sessions are left alone: with one more key they would be other sessions.
 */
#include "op/aggregate.h"

#include "ext/registry.h"

#include <string.h>

static enum mr_status first_options(const struct mr_op_bind *bind,
                                    const struct mr_aggregation_stages *stages, int nwindow,
                                    struct mr_options **out, struct mr_error *err)
{
    struct mr_options *options = mr_options_new(bind->arena, mr_agg_options);
    const struct mr_option_value *window = mr_options_get(bind->options, "window");
    const char **groups =
        mr_arena_calloc(bind->arena, (size_t)stages->ngroups + 1, sizeof(*groups));
    int n = 0;
    if (!options || !groups)
        return mr_error_nomem(err);
    /* The window's own keys come by themselves. */
    for (int g = 0; g < stages->ngroups; g++)
        if (strncmp(stages->groups[g], "window_start AS ", 16) != 0 || nwindow == 0)
            groups[n++] = stages->groups[g];
    MR_TRY(mr_options_set_list(bind->arena, options, "groupBy", groups, n, err));
    for (int i = 0; i < stages->count; i++)
        MR_TRY(mr_options_add_pair(bind->arena, options, "aggregations", stages->names[i],
                                   stages->texts[i], err));
    if (window->set)
        MR_TRY(mr_options_add_object(bind->arena, options, "window", window->u.object, err));
    *out = options;
    return MR_OK;
}

static enum mr_status second_options(const struct mr_op_bind *bind, const struct mr_agg_ask *ask,
                                     const struct mr_agg_plan *plan,
                                     const struct mr_aggregation_stages *stages,
                                     struct mr_options **out, struct mr_error *err)
{
    struct mr_options *options = mr_options_new(bind->arena, mr_agg_options);
    int n = ask->ask.ngroups, first = 0;
    const char **groups = mr_arena_calloc(bind->arena, (size_t)n + 2, sizeof(*groups));
    if (!options || !groups)
        return mr_error_nomem(err);
    for (int g = 0; g < n; g++) {
        groups[g] = mr_op_quote_name(bind->arena, ask->group_names[g]);
        if (!groups[g])
            return mr_error_nomem(err);
    }
    if (plan->window != MR_AGG_NO_WINDOW) { /* window_end was computed by the first */
        groups[n++] = "window_end";
        first = 1;
    }
    MR_TRY(mr_options_set_list(bind->arena, options, "groupBy", groups, n, err));
    for (int i = first; i < ask->ask.count; i++)
        MR_TRY(mr_options_add_pair(bind->arena, options, "aggregations", ask->names[i],
                                   stages->second[i], err));
    if (stages->having)
        MR_TRY(mr_options_set_text(bind->arena, options, "having", stages->having, err));
    *out = options;
    return MR_OK;
}

enum mr_status mr_agg_expand(const struct mr_op_bind *bind, struct mr_op_parts *out,
                             struct mr_error *err)
{
    static const int inputs[] = {-1, 0};
    struct mr_agg_plan plan = {.session = mr_op_session(bind), .input = bind->inputs[0].schema};
    struct mr_agg_ask ask;
    struct mr_aggregation_stages stages;
    struct mr_options *first = NULL, *second = NULL;
    *out = (struct mr_op_parts){0};
    MR_TRY(mr_agg_window_bind(&plan, bind, err));
    MR_TRY(mr_agg_ask_init(&ask, &plan, bind, err));
    MR_TRY(mr_agg_ask_compile(&plan, &ask, bind, err));
    if (plan.window == MR_AGG_SESSION)
        return MR_OK;
    MR_TRY(mr_aggregation_stage(bind->arena, &ask.ask, plan.aggregation, &stages, err));
    if (!stages.second)
        return MR_OK;
    MR_TRY(first_options(bind, &stages, plan.window != MR_AGG_NO_WINDOW, &first, err));
    MR_TRY(second_options(bind, &ask, &plan, &stages, &second, err));
    struct mr_op_part *parts = mr_arena_calloc(bind->arena, 2, sizeof *parts);
    if (!parts)
        return mr_error_nomem(err);
    parts[0] = (struct mr_op_part){.method = "aggregateData",
                                   .detail = "distinct",
                                   .options = first,
                                   .ninputs = 1,
                                   .inputs = &inputs[0]};
    parts[1] = (struct mr_op_part){.method = "aggregateData",
                                   .detail = "groups",
                                   .options = second,
                                   .ninputs = 1,
                                   .inputs = &inputs[1]};
    *out = (struct mr_op_parts){.items = parts, .count = 2};
    return MR_OK;
}

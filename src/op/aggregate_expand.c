/*
 * aggregate_expand.c - a step with DISTINCT as two aggregations.
 *
 * Sets of values have to be in memory when their group is finished; as group keys they divide and spill like any others
 * (sql/aggregate_stages.c has the texts). Sessions are left alone: with one more key they would be other sessions. So are
 * streams and running results, where the first aggregation would say everything twice.
 */
#include "op/aggregate.h"
#include "op/event_time.h"

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

static void copy_position(const struct mr_options *from, struct mr_options *to, const char *name)
{
    const struct mr_option_value *value = mr_options_get(from, name);
    ((struct mr_option_value *)(uintptr_t)mr_options_get(to, name))->position = value->position;
}

/* Everything but what measures. */
static enum mr_status own_options(const struct mr_op_bind *bind, struct mr_options **out,
                                  struct mr_error *err)
{
    static const char *const texts[] = {"having", "emit"};
    static const char *const names[] = {"groupBy", "aggregations", "window", "having", "emit"};
    struct mr_options *options = mr_options_new(bind->arena, mr_agg_options);
    const struct mr_option_value *groups = mr_options_get(bind->options, "groupBy");
    const struct mr_option_value *pairs = mr_options_get(bind->options, "aggregations");
    const struct mr_option_value *window = mr_options_get(bind->options, "window");
    if (!options)
        return mr_error_nomem(err);
    if (groups->u.strings.count > 0)
        MR_TRY(mr_options_set_list(bind->arena, options, "groupBy", groups->u.strings.items,
                                   groups->u.strings.count, err));
    for (int i = 0; i < pairs->u.pairs.count; i++)
        MR_TRY(mr_options_add_pair(bind->arena, options, "aggregations",
                                   pairs->u.pairs.items[i].name, pairs->u.pairs.items[i].text,
                                   err));
    if (window->set)
        MR_TRY(mr_options_add_object(bind->arena, options, "window", window->u.object, err));
    for (int i = 0; i < 2; i++)
        if (mr_options_has(bind->options, texts[i]))
            MR_TRY(mr_options_set_text(bind->arena, options, texts[i],
                                       mr_options_text(bind->options, texts[i]), err));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        copy_position(bind->options, options, names[i]);
    *out = options;
    return MR_OK;
}

static enum mr_status describe_late(const struct mr_agg_plan *plan, const struct mr_op_bind *bind,
                                    const char **out, struct mr_error *err)
{
    struct mr_bytes text;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    mr_bytes_text(&text, "rows of windows that are over: ");
    mr_agg_describe_window(plan, bind, &text);
    *out = mr_bytes_to_arena(&text, bind->arena);
    return *out ? MR_OK : mr_error_nomem(err);
}

/*
 * When the last window that a row is in ends, also in words. NULL where that is no text: the step itself leaves such rows out, but
 * cannot say where they go.
 */
static enum mr_status window_until(const struct mr_op_bind *bind, const char **out,
                                   const char **words, struct mr_error *err)
{
    struct mr_agg_plan plan = {.session = mr_op_session(bind), .input = bind->inputs[0].schema};
    *out = NULL;
    MR_TRY(mr_agg_window_bind(&plan, bind, err));
    if (plan.window == MR_AGG_NO_WINDOW || mr_expr_type(plan.time)->id != MR_TYPE_TIMESTAMP)
        return MR_OK;
    MR_TRY(describe_late(&plan, bind, words, err));
    const char *column =
        mr_options_text(mr_options_get(bind->options, "window")->u.object, "column");
    const char *micros =
        mr_arena_printf(bind->arena, "unix_micros(CAST((%s) AS TIMESTAMP))", column);
    if (!micros)
        return mr_error_nomem(err);
    if (plan.window == MR_AGG_SESSION)
        *out = mr_arena_printf(bind->arena, "timestamp_micros(%s + %lld)", micros,
                               (long long)plan.size);
    else
        *out = mr_arena_printf(bind->arena, "timestamp_micros(%s - pmod(%s, %lld) + %lld)", micros,
                               micros, (long long)plan.slide, (long long)plan.size);
    return *out ? MR_OK : mr_error_nomem(err);
}

/*
 * A stream: what measures it and leaves out late rows stands in front. Where late rows are written the same holds in batch, where none is late:
 * the file means the same loads and side outputs in both modes.
 */
static enum mr_status expand_stream(const struct mr_op_bind *bind, bool letters,
                                    struct mr_op_parts *out, struct mr_error *err)
{
    const struct mr_option_value *watermark = mr_options_get(bind->options, "watermark");
    const char *until = NULL, *words = NULL;
    struct mr_options *options = NULL;
    int last;
    if (watermark->set || bind->inputs[0].measured || (letters && bind->inputs[0].event_time))
        MR_TRY(window_until(bind, &until, &words, err));
    if (letters && !until)
        return mr_options_error(bind->options, "late", err,
                                "only rows of windows over a timestamp are late, in a stream with "
                                "a watermark");
    if (!watermark->set && !until)
        return MR_OK;
    struct mr_op_part *items = mr_arena_calloc(bind->arena, 3, sizeof *items);
    int *input = mr_arena_calloc(bind->arena, 1, sizeof *input);
    if (!items || !input)
        return mr_error_nomem(err);
    *out = (struct mr_op_parts){.items = items};
    MR_TRY(mr_event_time_parts(bind, watermark->set ? watermark->u.object : NULL, until,
                               bind->options, 0, out, &last, err));
    if (until)
        MR_TRY(mr_options_set_text(bind->arena, (struct mr_options *)(uintptr_t)items[last].options,
                                   "untilWords", words, err));
    MR_TRY(own_options(bind, &options, err));
    *input = last;
    items[out->count++] = (struct mr_op_part){.method = "aggregateData",
                                              .detail = "groups",
                                              .options = options,
                                              .ninputs = 1,
                                              .inputs = input};
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
    enum mr_late late;
    *out = (struct mr_op_parts){0};
    MR_TRY(mr_late_bind(bind->options, &late, err));
    if (bind->inputs[0].stream || late != MR_LATE_DROP)
        return expand_stream(bind, late != MR_LATE_DROP, out, err);
    MR_TRY(mr_agg_window_bind(&plan, bind, err));
    MR_TRY(mr_agg_ask_init(&ask, &plan, bind, err));
    MR_TRY(mr_agg_ask_compile(&plan, &ask, bind, err));
    if (plan.window == MR_AGG_SESSION || mr_options_integer(bind->options, "emit", 0) == 1)
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

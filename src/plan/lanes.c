/*
 * lanes.c - what cannot be done to a stream that several processes share.
 *
 * Each lane is read by a run of its own, which sees no other rows. What keeps something by keys is right all the same if equal keys are always in
 * the same lane: if its keys hold all columns of one of the sets that the source names (mr_source_info.lane_keys). The columns are followed to
 * the source through steps that carry them unchanged.
 */
#include "plan/build.h"

#include "base/text.h"

static const struct mr_plan_node *shared_source(const struct mr_plan_builder *builder)
{
    for (int i = 0; i < builder->plan->nnodes; i++)
        if (builder->nodes[i].kind == MR_PLAN_SOURCE &&
            builder->nodes[i].source_info.lane_keys != NULL)
            return &builder->nodes[i];
    return NULL;
}

/* `wanted`: columns of the source. */
static bool holds_a_set(const struct mr_plan_node *source, const bool *wanted)
{
    const char *const *const *sets = source->source_info.lane_keys;
    for (; sets != NULL && *sets != NULL; sets++) {
        bool all = true;
        for (const char *const *name = *sets; *name != NULL && all; name++) {
            int at = mr_schema_find(source->source_info.schema, *name);
            all = at >= 0 && wanted[at];
        }
        if (all)
            return true;
    }
    return false;
}

static const int *passes_of(const struct mr_plan_node *node, int input)
{
    if (node->op_info.passes_from != NULL)
        return node->op_info.passes_from[input];
    return input == 0 ? node->op_info.passes : NULL;
}

/* Do rows that agree in these columns of a frame come from one lane? */
static bool is_determined(const struct mr_plan_builder *builder, const struct mr_plan_edge *edge,
                          const bool *wanted)
{
    const struct mr_plan_node *node = &builder->nodes[edge->node];
    if (!mr_plan_is_stream(builder, edge->node))
        return true;
    if (edge->port != 0 || node->schema == NULL)
        return false;
    if (node->kind == MR_PLAN_SOURCE)
        return holds_a_set(node, wanted);
    for (int k = 0; k < node->ninputs; k++) {
        const struct mr_plan_node *from = &builder->nodes[node->inputs[k].node];
        const int *passes = passes_of(node, k);
        if (!mr_plan_is_stream(builder, from->id))
            continue;
        if (passes == NULL || from->schema == NULL)
            return false;
        bool *before = mr_calloc((size_t)from->schema->nfields + 1, sizeof *before);
        if (before == NULL)
            return false;
        for (int i = 0; i < node->schema->nfields; i++)
            if (wanted[i] && passes[i] >= 0)
                before[passes[i]] = true;
        bool determined = is_determined(builder, &node->inputs[k], before);
        mr_free(before);
        if (!determined)
            return false;
    }
    return true;
}

/* The columns of an input that the step keeps things by. */
static bool has_lane_in_keys(const struct mr_plan_builder *builder, const struct mr_plan_node *node,
                             int input)
{
    const struct mr_plan_node *from = &builder->nodes[node->inputs[input].node];
    const int *passes = passes_of(node, input);
    const bool *keys = node->op_info.crosses != NULL ? node->op_info.crosses[input] : NULL;
    if (!mr_plan_is_stream(builder, from->id))
        return true;
    if (keys == NULL || passes == NULL || from->schema == NULL)
        return false;
    bool *wanted = mr_calloc((size_t)from->schema->nfields + 1, sizeof *wanted);
    if (wanted == NULL)
        return false;
    for (int i = 0; i < node->schema->nfields; i++)
        if (keys[i] && passes[i] >= 0)
            wanted[passes[i]] = true;
    bool found = is_determined(builder, &node->inputs[input], wanted);
    mr_free(wanted);
    return found;
}

enum mr_status mr_plan_lanes_op(const struct mr_plan_builder *builder,
                                const struct mr_plan_node *node, struct mr_error *err)
{
    if (shared_source(builder) == NULL)
        return MR_OK;
    for (int k = 0; k < node->ninputs; k++) {
        if (has_lane_in_keys(builder, node, k))
            continue;
        mr_error_config(err, "with `group` the rows of one key may be read by several processes, "
                             "each of which would give a result of its own");
        mr_error_hint(err,
                      "let its keys hold the columns by which producers choose the partition, and "
                      "name these in `keyColumns` of the source (format raw: `partition`, or "
                      "`key`); or leave `group` out, or read the topic with it into another one "
                      "whose key is that of this step (toKafka)");
        return MR_CONFIG;
    }
    return MR_OK;
}

enum mr_status mr_plan_lanes_sink(const struct mr_plan_builder *builder,
                                  const struct mr_plan_node *node, struct mr_error *err)
{
    static const char *const lone[] = {"overwrite", "error", "errorifexists", "ignore"};
    const struct mr_options *options = builder->drafts[node->id].options;
    if (shared_source(builder) == NULL)
        return MR_OK;
    if (builder->drafts[node->id].output_mode == MR_OUTPUT_COMPLETE) {
        mr_error_config(err, "outputMode complete: with `group` each process has a part of the "
                             "result, and would replace those of the others");
        mr_error_hint(err, "use outputMode update with \"mode\": \"upsert\" and keys, or leave "
                           "`group` out");
        return MR_CONFIG;
    }
    const struct mr_option *row = options != NULL ? mr_option_find(options->table, "mode") : NULL;
    const char *mode = row != NULL ? mr_options_text(options, "mode") : NULL;
    for (size_t i = 0; mode != NULL && i < sizeof lone / sizeof lone[0]; i++) {
        if (!mr_text_equal_nocase(mode, lone[i]))
            continue;
        mr_options_error(options, "mode", err,
                         "with `group` several processes write into the target, and %s is for one",
                         mode);
        mr_error_hint(err, "use \"mode\": \"append\", or upsert with keys; or leave `group` out");
        return MR_CONFIG;
    }
    return MR_OK;
}

void mr_plan_lanes_sources(struct mr_plan_builder *builder)
{
    const struct mr_plan_node *shared = shared_source(builder);
    for (int i = 0; shared != NULL && i < builder->plan->nnodes; i++) {
        const struct mr_plan_node *node = &builder->nodes[i];
        struct mr_error err = {0};
        if (node->kind != MR_PLAN_SOURCE || node->step == shared->step ||
            (node->source_info.guarantee == NULL && node->source_info.lane_keys == NULL))
            continue;
        mr_error_config(&err,
                        "%s is shared by `group`, and this is a second stream: no process "
                        "has all of its rows",
                        shared->step->label);
        mr_error_hint(&err, "leave `group` out, or read one of the streams in a pipeline of its "
                            "own; a source that is not `incremental` is read as a whole by each "
                            "lane");
        mr_plan_fail(builder, node->step, &err);
        builder->drafts[i].failed = true;
    }
}

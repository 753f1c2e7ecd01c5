/*
 * lanes.c - what cannot be done to a stream that several processes share.
 *
 * Each lane is read by a run of its own, which sees no other rows. What keeps something by keys is right all the same if equal keys are always in
 * the same lane: if its keys hold all columns of one of the sets that the source names (mr_source_info.lane_keys). The columns are followed to
 * the source through steps that carry them unchanged. Of a join each pair of keys counts that is one column of the source on both sides: what
 * either side holds alone says nothing of the lane in which its partner is.
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

/*
 * The column of the source that this one of a frame carries, whichever way its rows have come; -1 = it is another thing on some way. Behind an outer
 * join the columns of the side that may be missing are NULL in rows of any lane.
 */
static int trace(const struct mr_plan_builder *builder, const struct mr_plan_edge *edge, int column)
{
    const struct mr_plan_node *node = &builder->nodes[edge->node];
    int found = -1;
    if (edge->port != 0 || node->schema == NULL)
        return -1;
    if (node->kind == MR_PLAN_SOURCE)
        return column;
    for (int k = 0; k < node->ninputs; k++) {
        const int *passes = passes_of(node, k);
        bool stream = mr_plan_is_stream(builder, node->inputs[k].node);
        bool from = passes != NULL && passes[column] >= 0;
        if (node->op_info.joins && (!from || !node->op_info.crosses[k][column]))
            continue;
        if (!stream && !node->op_info.joins)
            continue; /* part of a union that each lane reads as a whole */
        int at = stream && from ? trace(builder, &node->inputs[k], passes[column]) : -1;
        if (at < 0 || (found >= 0 && found != at))
            return -1;
        found = at;
    }
    return found;
}

/* Columns of the source that are the same in all rows which the step brings together. */
static void mark_keys(const struct mr_plan_builder *builder, const struct mr_plan_node *node,
                      bool *wanted)
{
    const struct mr_op_info *info = &node->op_info;
    for (int i = 0; info->joins && i < info->nmeets; i++) {
        int left = trace(builder, &node->inputs[0], info->meets[2 * i]);
        int right = trace(builder, &node->inputs[1], info->meets[2 * i + 1]);
        if (left >= 0 && left == right)
            wanted[left] = true;
    }
    const int *passes = passes_of(node, 0);
    if (info->joins || info->crosses == NULL || passes == NULL)
        return;
    for (int i = 0; i < node->schema->nfields; i++) {
        int at = info->crosses[0][i] && passes[i] >= 0 ? trace(builder, &node->inputs[0], passes[i])
                                                       : -1;
        if (at >= 0)
            wanted[at] = true;
    }
}

static bool has_lane_in_keys(const struct mr_plan_builder *builder, const struct mr_plan_node *node,
                             const struct mr_plan_node *source)
{
    size_t n = (size_t)source->source_info.schema->nfields;
    bool *wanted = mr_calloc(n + 1, sizeof *wanted);
    if (wanted == NULL)
        return false;
    mark_keys(builder, node, wanted);
    bool found = holds_a_set(source, wanted);
    mr_free(wanted);
    return found;
}

enum mr_status mr_plan_lanes_op(const struct mr_plan_builder *builder,
                                const struct mr_plan_node *node, struct mr_error *err)
{
    const struct mr_plan_node *source = shared_source(builder);
    if (source == NULL || has_lane_in_keys(builder, node, source))
        return MR_OK;
    mr_error_config(err, "with `group` the rows of one key may be read by several processes, "
                         "each of which would give a result of its own");
    mr_error_hint(err, "let its keys hold the columns by which producers choose the partition, and "
                       "name these in `keyColumns` of the source (format raw: `partition`, or "
                       "`key`); or leave `group` out, or read the topic with it into another one "
                       "whose key is that of this step (toKafka)");
    return MR_CONFIG;
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

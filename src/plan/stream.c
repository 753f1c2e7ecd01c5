/*
 * stream.c - what is different where rows go on from epoch to epoch.
 *
 * A frame is a stream if a source in front of it reads incrementally; any other is there as a whole in every epoch, and what is
 * done to it is done as in batch. From this follows what may be done to a frame at all: what looks at one row may, and what keeps
 * something for the next epoch (mr_op.keeper); a breaker that keeps nothing would give an answer for each epoch and call it the
 * answer, so it is refused, unless it only moves rows. What a load puts in front of itself (a merge with its target) is
 * of each epoch by nature and left alone.
 *
 * Loads say how results come out (`outputMode`); that goes to the left, up to the first step that keeps something and no further: what
 * another such step reads are rows that stay. A walk over the steps as written does it, before parts are known.
 */
#include "plan/build.h"

#include <string.h>

static const char *const mode_names[] = {"append", "update", "complete"};

static bool streaming(const struct mr_plan_builder *builder)
{
    return builder->request->runtime->streaming;
}

static bool is_of_load(const struct mr_plan_node *node)
{
    return node->step->type == MR_STEP_LOAD;
}

static bool keeps(const struct mr_op *op)
{
    return op->keeper != NULL && !(op->flags & MR_OP_MEASURES);
}

bool mr_plan_is_stream(const struct mr_plan_builder *builder, int at)
{
    const struct mr_plan_node *node = &builder->nodes[at];
    if (!streaming(builder) || is_of_load(node))
        return false;
    if (node->kind == MR_PLAN_SOURCE)
        return node->source_info.guarantee != NULL ||
               (!builder->request->connect && (node->source->flags & MR_SOURCE_STREAMING));
    return builder->drafts[at].stream;
}

/* ---- what loads want ---- */

static void want(struct mr_plan_builder *builder, int at, const char *load,
                 enum mr_output_mode mode)
{
    struct mr_plan_draft *draft = &builder->drafts[at];
    if (draft->mode_of == NULL) {
        draft->output_mode = mode;
        draft->mode_of = load;
    } else if (draft->output_mode != mode && draft->mixed == NULL) {
        draft->mixed = mr_arena_printf(builder->arena, "%s (%s) and %s (%s)", draft->mode_of,
                                       mode_names[draft->output_mode], load, mode_names[mode]);
    }
}

/* From right to left: who reads a node comes after it. */
void mr_plan_stream_modes(struct mr_plan_builder *builder)
{
    for (int i = builder->plan->nnodes - 1; streaming(builder) && i >= 0; i--) {
        const struct mr_plan_node *node = &builder->nodes[i];
        const struct mr_plan_draft *draft = &builder->drafts[i];
        if (node->kind == MR_PLAN_SINK && is_of_load(node))
            want(builder, i, node->step->label, (enum mr_output_mode)node->step->output_mode);
        bool stays = node->kind == MR_PLAN_OP && keeps(node->op);
        for (int k = 0; draft->mode_of != NULL && k < node->ninputs; k++) {
            int from = node->inputs[k].node;
            want(builder, from, draft->mode_of, stays ? MR_OUTPUT_APPEND : draft->output_mode);
            if (!stays && builder->drafts[from].mixed == NULL)
                builder->drafts[from].mixed = draft->mixed;
        }
    }
}

/* The same among the parts of a step, whose drafts are new: the last one's is that of the step. */
void mr_plan_stream_parts(struct mr_plan_builder *builder, int at, const struct mr_op_parts *parts,
                          const struct mr_plan_draft *whole)
{
    struct mr_plan_draft *drafts = builder->drafts + at;
    struct mr_plan_draft *last = &drafts[parts->count - 1];
    last->output_mode = whole->output_mode;
    last->mode_of = whole->mode_of;
    last->mixed = whole->mixed;
    for (int i = parts->count - 1; i >= 0; i--) {
        const struct mr_op *op = builder->nodes[at + i].op;
        bool stays = op != NULL && keeps(op);
        for (int k = 0; drafts[i].mode_of != NULL && k < parts->items[i].ninputs; k++) {
            int from = parts->items[i].inputs[k];
            if (from < 0)
                continue;
            want(builder, at + from, drafts[i].mode_of,
                 stays ? MR_OUTPUT_APPEND : drafts[i].output_mode);
            if (!stays && drafts[from].mixed == NULL)
                drafts[from].mixed = drafts[i].mixed;
        }
    }
}

/* ---- operators ---- */

void mr_plan_stream_input(const struct mr_plan_builder *builder, int at, struct mr_op_input *input)
{
    input->stream = mr_plan_is_stream(builder, at);
    input->measured = input->stream && builder->drafts[at].measured;
    input->event_time = builder->drafts[at].event_time;
}

enum mr_status mr_plan_stream_modes_agree(const struct mr_plan_builder *builder, int at,
                                          struct mr_error *err)
{
    const struct mr_plan_node *node = &builder->nodes[at];
    const char *mixed = builder->drafts[at].mixed;
    bool stream = false;
    for (int k = 0; k < node->ninputs; k++)
        stream |= mr_plan_is_stream(builder, node->inputs[k].node);
    if (!stream || mixed == NULL || !keeps(node->op))
        return MR_OK;
    mr_error_config(err, "loads want its rows in different output modes: %s", mixed);
    mr_error_hint(err, "give these loads the same \"outputMode\", or make two steps of it");
    return MR_CONFIG;
}

static enum mr_status refuse(const char *hint, struct mr_error *err)
{
    mr_error_config(err, "cannot be done to a stream: its rows go on from epoch to epoch");
    if (hint != NULL)
        mr_error_hint(err, "%s", hint);
    return MR_CONFIG;
}

enum mr_status mr_plan_stream_question(const struct mr_plan_builder *builder, int at,
                                       const char *option, struct mr_error *err)
{
    if (!mr_plan_is_stream(builder, builder->nodes[at].inputs[0].node))
        return MR_OK;
    mr_error_config(err, "the columns would depend on rows that have not come yet");
    mr_error_hint(err, "in a stream it needs \"%s\"", option);
    return MR_CONFIG;
}

/* The event time that the inputs agree upon; what measures says it anew. */
static const char *event_time(const struct mr_plan_builder *builder, int at)
{
    const struct mr_plan_node *node = &builder->nodes[at];
    const char *found = NULL;
    if (node->op->flags & MR_OP_MEASURES)
        return mr_options_text(builder->drafts[at].options, "column");
    for (int k = 0; k < node->ninputs; k++) {
        const char *other = builder->drafts[node->inputs[k].node].event_time;
        if (found != NULL && other != NULL && strcmp(found, other) != 0)
            return NULL;
        found = found != NULL ? found : other;
    }
    return found;
}

/* Behind bind: notes what its frame is, and refuses what cannot be. */
enum mr_status mr_plan_stream_op(struct mr_plan_builder *builder, int at, struct mr_error *err)
{
    const struct mr_plan_node *node = &builder->nodes[at];
    struct mr_plan_draft *draft = &builder->drafts[at];
    const struct mr_op *op = node->op;
    bool second = false;
    draft->event_time = event_time(builder, at);
    draft->stream = draft->measured = false;
    draft->updates = node->op_info.updates;
    for (int k = 0; k < node->ninputs; k++) {
        int from = node->inputs[k].node;
        bool stream = mr_plan_is_stream(builder, from);
        draft->stream |= stream;
        second |= stream && k == 1;
        draft->measured |= stream && builder->drafts[from].measured;
        draft->updates |= stream && builder->drafts[from].updates && !keeps(op);
    }
    if (!draft->stream || is_of_load(node)) {
        draft->stream = draft->measured = draft->updates = false;
        return MR_OK;
    }
    draft->measured |= (op->flags & MR_OP_MEASURES) != 0;
    if (op->batch_only != NULL)
        return refuse(op->batch_only, err);
    bool kept = op->keeper != NULL && node->op_info.kept != NULL;
    if ((op->flags & MR_OP_BREAKER) && !(op->flags & MR_OP_MOVES) && !kept)
        return refuse(NULL, err);
    if ((op->flags & MR_OP_BUILD_SIDE) && second && !kept)
        return refuse("the second frame has to be one that is read anew in every epoch", err);
    if (!kept || !keeps(op))
        return MR_OK;
    for (int k = 0; k < node->ninputs; k++)
        if (builder->drafts[node->inputs[k].node].updates)
            return refuse("in front of it stands a step whose rows replace earlier ones: it has to "
                          "give final rows (output mode append, emit final)",
                          err);
    return mr_plan_lanes_op(builder, node, err);
}

/* A load that fits a batch, but in the second epoch of a stream would lose rows: those of this epoch, or of those before. */
static enum mr_status refuse_loss(const struct mr_plan_node *node, bool updates,
                                  enum mr_output_mode output, struct mr_error *err)
{
    const struct mr_options *options = node->step->options;
    bool has_mode = mr_option_find(options->table, "mode") != NULL;
    const char *mode = has_mode ? mr_options_text(options, "mode") : NULL;
    if (mode != NULL && (strcmp(mode, "ignore") == 0 || strcmp(mode, "errorifexists") == 0)) {
        mr_error_config(err,
                        "mode %s belongs to batch: every epoch but the first would find what "
                        "was loaded before it",
                        mode);
        mr_error_hint(err, "append adds the rows of each epoch");
        return MR_CONFIG;
    }
    if (output == MR_OUTPUT_COMPLETE && !updates) {
        mr_error_config(err, "outputMode complete: the rows are those of each epoch, and not all "
                             "results that there are");
        mr_error_hint(err, "an aggregate gives all of its groups in every epoch; other rows come "
                           "once (outputMode append)");
        return MR_CONFIG;
    }
    if (output != MR_OUTPUT_COMPLETE && (node->sink_info.kinds & MR_SINK_COMPLETE)) {
        mr_error_config(err, "mode overwrite: every epoch would replace what those before it have "
                             "loaded");
        mr_error_hint(err, "append adds the rows of each epoch; an aggregate with \"outputMode\": "
                           "\"complete\" gives all of its groups in every epoch");
        return MR_CONFIG;
    }
    return MR_OK;
}

/* Do the rows that reach the sink fit what it takes? */
enum mr_status mr_plan_stream_sink(const struct mr_plan_builder *builder,
                                   const struct mr_plan_node *node, struct mr_error *err)
{
    int from = node->inputs[0].node;
    const struct mr_plan_draft *draft = &builder->drafts[node->id];
    if (!is_of_load(node))
        return MR_OK;
    MR_TRY(mr_plan_lanes_sink(builder, node, err));
    while (is_of_load(&builder->nodes[from])) { /* what the sink has put in front of itself */
        const struct mr_plan_node *part = &builder->nodes[from];
        int next = -1;
        for (int k = 0; k < part->ninputs; k++)
            if (next < 0 || builder->drafts[part->inputs[k].node].updates)
                next = part->inputs[k].node;
        if (next < 0)
            return MR_OK;
        from = next;
    }
    bool updates = builder->drafts[from].updates, stream = mr_plan_is_stream(builder, from);
    bool complete = draft->output_mode == MR_OUTPUT_COMPLETE;
    bool fits = node->sink_info.kinds & (complete ? MR_SINK_COMPLETE : MR_SINK_UPSERT);
    if (!updates || draft->output_mode == MR_OUTPUT_APPEND || fits)
        return stream ? refuse_loss(node, updates, draft->output_mode, err) : MR_OK;
    mr_error_config(err, "outputMode %s: the target cannot replace what it was given before",
                    mode_names[draft->output_mode]);
    mr_error_hint(err, complete ? "it needs \"mode\": \"overwrite\""
                                : "it needs \"mode\": \"upsert\" with keys, or a target that keeps "
                                  "all changes (toKafka)");
    return MR_CONFIG;
}

/* ---- clocks ---- */

/* The nearest nodes that measure, to the left of `at`. */
static void find_clocks(const struct mr_plan_builder *builder, int at, bool *seen, int *nodes,
                        int *count)
{
    const struct mr_plan_node *node = &builder->nodes[at];
    if (seen[at])
        return;
    seen[at] = true;
    if (node->kind == MR_PLAN_OP && (node->op->flags & MR_OP_MEASURES)) {
        if (node->op_info.kept != NULL)
            nodes[(*count)++] = at;
        return;
    }
    for (int k = 0; k < node->ninputs; k++)
        find_clocks(builder, node->inputs[k].node, seen, nodes, count);
}

/* Partitions that rows at this node come from: not behind a breaker, and not through a build side. */
static void find_sources(const struct mr_plan_builder *builder, int at, bool *seen, int *nodes,
                         int *count)
{
    const struct mr_plan_node *node = &builder->nodes[at];
    if (seen[at] || mr_plan_is_breaker(node))
        return;
    seen[at] = true;
    if (node->kind == MR_PLAN_SOURCE)
        nodes[(*count)++] = at;
    for (int k = 0; k < node->ninputs; k++)
        if (!mr_plan_is_build(node, k))
            find_sources(builder, node->inputs[k].node, seen, nodes, count);
}

enum mr_status mr_plan_stream_clocks(struct mr_plan_builder *builder, struct mr_error *err)
{
    size_t nnodes = (size_t)builder->plan->nnodes;
    for (size_t i = 0; streaming(builder) && i < nnodes; i++) {
        struct mr_plan_node *node = &builder->nodes[i];
        if (node->kind != MR_PLAN_OP || is_of_load(node) || !builder->drafts[i].live)
            continue;
        struct mr_plan_measures *clocks =
            mr_arena_calloc(builder->arena, (size_t)node->ninputs + 1, sizeof *clocks);
        if (clocks == NULL)
            return mr_error_nomem(err);
        for (int k = 0; k < node->ninputs; k++) {
            bool *seen = mr_arena_calloc(builder->arena, nnodes, sizeof *seen);
            int *found = mr_arena_calloc(builder->arena, nnodes, sizeof *found);
            if (seen == NULL || found == NULL)
                return mr_error_nomem(err);
            clocks[k].nodes = found;
            if (node->op->flags & MR_OP_MEASURES)
                find_sources(builder, node->inputs[k].node, seen, found, &clocks[k].count);
            else
                find_clocks(builder, node->inputs[k].node, seen, found, &clocks[k].count);
        }
        node->measures = clocks;
    }
    return MR_OK;
}

/* ---- for people ---- */

bool mr_plan_keeps(const struct mr_plan_node *node)
{
    return node->kind == MR_PLAN_OP && keeps(node->op) && node->op_info.kept != NULL;
}

int mr_plan_clocks(const struct mr_plan_node *node, int *out)
{
    int count = 0;
    bool asks = node->kind == MR_PLAN_OP && (node->op->flags & MR_OP_STATEFUL) &&
                !(node->op->flags & MR_OP_MEASURES);
    for (int k = 0; asks && node->measures != NULL && k < node->ninputs; k++)
        for (int i = 0; i < node->measures[k].count && count < MR_PLAN_CLOCKS; i++)
            if (!mr_plan_lists(out, count, node->measures[k].nodes[i]))
                out[count++] = node->measures[k].nodes[i];
    return count;
}

const char *mr_plan_output_mode(const struct mr_plan *plan)
{
    for (int i = 0; i < plan->spec->nsteps; i++)
        if (plan->spec->steps[i].type == MR_STEP_LOAD)
            return mode_names[plan->spec->steps[i].output_mode];
    return mode_names[MR_OUTPUT_APPEND];
}

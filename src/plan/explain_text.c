/*
 * explain_text.c - the plan as a tree for people.
 *
 * The tree follows the rows: sources at the left margin, below them what reads them, each node
 * once. One with several inputs stands below the last of them, so that nothing comes before what it
 * reads, and names the others. Only `location`,
 * `details` and notes of implementations are printed, which are free of secrets by contract;
 * options never are.
 */
#include "plan/plan.h"

#include "base/time.h"

#define SPLITS_SHOWN 8

static void indent(struct mr_bytes *out, int depth)
{
    for (int i = 0; i < depth; i++)
        mr_bytes_text(out, "  ");
}

static void put_size(struct mr_bytes *out, int64_t rows, int64_t bytes)
{
    char text[32];
    if (rows >= 0)
        mr_bytes_printf(out, "~%lld rows", (long long)rows);
    else
        mr_bytes_text(out, "rows unknown");
    if (bytes >= 0) {
        mr_size_format(bytes, text, sizeof text);
        mr_bytes_printf(out, ", ~%s", text);
    }
}

static void put_splits(struct mr_bytes *out, const struct mr_plan_node *node, int depth)
{
    if (node->splits.count == 0)
        return;
    indent(out, depth);
    mr_bytes_printf(out, "%d split%s:\n", node->splits.count, node->splits.count == 1 ? "" : "s");
    for (int i = 0; i < node->splits.count; i++) {
        if (i == SPLITS_SHOWN - 1 && node->splits.count > SPLITS_SHOWN) {
            indent(out, depth + 1);
            mr_bytes_printf(out, "... and %d more\n", node->splits.count - i);
            return;
        }
        const struct mr_split *split = &node->splits.items[i];
        indent(out, depth + 1);
        mr_bytes_printf(out, "%s  ", split->label != NULL ? split->label : "all");
        put_size(out, split->rows, split->bytes);
        mr_bytes_char(out, '\n');
    }
}

static void put_line(struct mr_bytes *out, int depth, const char *name, const char *text)
{
    if (text == NULL)
        return;
    indent(out, depth);
    mr_bytes_printf(out, "%s: %s\n", name, text);
}

static void put_source(struct mr_bytes *out, const struct mr_plan_node *node, int depth)
{
    put_line(out, depth, "from", node->source_info.location);
    put_line(out, depth, "reads", node->source_info.details);
    put_line(out, depth, "guarantee", node->source_info.guarantee);
    put_line(out, depth, "since", node->since_text);
    put_line(out, depth, "ends at", node->splits.upto_text);
    for (int i = 0; i < node->npushed; i++)
        put_line(out, depth, "filter in the source", node->pushed[i]);
    for (int i = 0; i < node->source_info.nnotes; i++)
        put_line(out, depth, "note", node->source_info.notes[i]);
    put_splits(out, node, depth);
}

/* What a stream has to say of an operator: its event time, what it keeps, whether rows replace others. */
static void put_streaming(struct mr_bytes *out, const struct mr_plan *plan,
                          const struct mr_plan_node *node, int depth)
{
    int clocks[MR_PLAN_CLOCKS], count = mr_plan_clocks(node, clocks);
    for (int i = 0; i < count; i++) {
        if (i == 0)
            indent(out, depth);
        mr_bytes_printf(out, "%s%s", i == 0 ? "watermark: of " : ", ",
                        plan->nodes[clocks[i]].label);
    }
    if (count > 0)
        mr_bytes_text(out, count > 1 ? ", the smaller\n" : "\n");
    if (mr_plan_keeps(node)) {
        indent(out, depth);
        mr_bytes_text(out, "keeps from epoch to epoch: ");
        mr_schema_format(node->op_info.kept, out);
        mr_bytes_char(out, '\n');
    }
    if (node->op_info.updates)
        put_line(out, depth, "gives", "rows that replace earlier ones");
}

static void put_op(struct mr_bytes *out, const struct mr_plan *plan,
                   const struct mr_plan_node *node, int depth)
{
    put_line(out, depth, "does", node->op_info.details);
    put_streaming(out, plan, node, depth);
    put_line(out, depth, "note", node->note);
    if (mr_plan_is_breaker(node) || node->share > 0) {
        char text[32];
        indent(out, depth);
        mr_bytes_text(out, mr_plan_is_breaker(node) ? "takes in all rows" : "builds from all rows");
        mr_bytes_printf(out, " of %s",
                        mr_plan_is_breaker(node) ? "its inputs" : "its second input");
        if (mr_plan_is_breaker(node))
            mr_bytes_printf(out, ", gives %d%s partition%s", node->op_info.pulls,
                            node->op_info.sorted ? " sorted" : "",
                            node->op_info.pulls == 1 ? "" : "s");
        if (node->share > 0 && node->share < INT64_MAX / 8) {
            mr_size_format(node->share, text, sizeof text);
            mr_bytes_printf(out, "; spills over %s a task", text);
        }
        mr_bytes_char(out, '\n');
    }
    if (node->op_info.partitions > 0) {
        indent(out, depth);
        mr_bytes_printf(out, "output tasks: %s%d\n", node->op_info.coalesce_only ? "at most " : "",
                        node->op_info.partitions);
    }
}

static void put_sink(struct mr_bytes *out, const struct mr_plan_node *node, int depth)
{
    put_line(out, depth, "to", node->sink_info.location);
    if (node->sink_info.skip)
        put_line(out, depth, "skipped", "the target exists and mode is ignore");
    for (int i = 0; i < node->sink_info.nnotes; i++)
        put_line(out, depth, "note", node->sink_info.notes[i]);
}

static void put_schema(struct mr_bytes *out, const struct mr_plan_node *node, int depth)
{
    indent(out, depth);
    mr_bytes_text(out, "columns: ");
    if (node->schema == NULL)
        mr_bytes_text(out, "checked on connect");
    else
        mr_schema_format(node->schema, out);
    mr_bytes_char(out, '\n');
}

/* The input below which a node stands; -1: it has none. */
static int last_input(const struct mr_plan_node *node)
{
    int last = node->ninputs > 0 ? 0 : -1;
    for (int k = 1; k < node->ninputs; k++)
        if (node->inputs[k].node > node->inputs[last].node)
            last = k;
    return last;
}

static bool stands_below(const struct mr_plan_node *node, const struct mr_plan_node *above)
{
    int last = last_input(node);
    return last >= 0 && node->inputs[last].node == above->id;
}

static void put_other_inputs(struct mr_bytes *out, const struct mr_plan *plan,
                             const struct mr_plan_node *node)
{
    int last = last_input(node);
    const char *before = " with";
    for (int i = 0; i < node->ninputs; i++) {
        if (i == last)
            continue;
        mr_bytes_printf(out, "%s %s", before, plan->nodes[node->inputs[i].node].label);
        before = ",";
    }
}

static void put_node(struct mr_bytes *out, const struct mr_plan *plan,
                     const struct mr_plan_node *node, int depth)
{
    indent(out, depth);
    mr_bytes_text(out, node->label);
    if (node->step->name != NULL && !node->is_inner)
        mr_bytes_printf(out, " \"%s\"", node->step->name);
    if (node->step->register_as != NULL && node->kind != MR_PLAN_SINK && !node->is_inner)
        mr_bytes_printf(out, " as %s", node->step->register_as);
    put_other_inputs(out, plan, node);
    if (node->absorbed && node->moved_to != NULL) {
        mr_bytes_printf(out, ": in front of %s\n", node->moved_to);
        return;
    }
    if (node->absorbed) {
        mr_bytes_printf(out, ": in the source: %s\n",
                        node->op_info.details != NULL ? node->op_info.details : "");
        return;
    }
    mr_bytes_text(out, ": ");
    put_size(out, node->rows, node->bytes);
    mr_bytes_char(out, '\n');
    if (node->kind == MR_PLAN_SOURCE)
        put_source(out, node, depth + 1);
    else if (node->kind == MR_PLAN_OP)
        put_op(out, plan, node, depth + 1);
    else
        put_sink(out, node, depth + 1);
    put_schema(out, node, depth + 1);
    /* Filters that went into a source stay beside it. */
    int consumers = 0;
    for (int i = node->id + 1; i < plan->nnodes; i++)
        consumers += !plan->nodes[i].absorbed && stands_below(&plan->nodes[i], node);
    for (int i = node->id + 1; i < plan->nnodes; i++)
        if (stands_below(&plan->nodes[i], node))
            put_node(out, plan, &plan->nodes[i], depth + (consumers > 1));
}

static const char *gather_text(const struct mr_plan_segment *segment)
{
    switch (segment->gather) {
    case MR_GATHER_ROTATE:
        return "a batch of each reader in turn";
    case MR_GATHER_ORDERED:
        return "splits in order";
    default:
        return "each task reads its own splits";
    }
}

static void put_segment(struct mr_bytes *out, const struct mr_plan *plan, int s)
{
    const struct mr_plan_segment *segment = &plan->segments[s];
    mr_bytes_printf(out, "  segment %d:", s + 1);
    for (int i = 0; i < segment->nsources; i++)
        mr_bytes_printf(out, "%s %s%s", i > 0 ? "," : "",
                        mr_plan_is_breaker(&plan->nodes[segment->sources[i]]) ? "rows of " : "",
                        plan->nodes[segment->sources[i]].label);
    mr_bytes_printf(out, ": %d split%s, %d reader%s, %d output task%s (%s)", segment->nsplits,
                    segment->nsplits == 1 ? "" : "s", segment->readers,
                    segment->readers == 1 ? "" : "s", segment->ntasks,
                    segment->ntasks == 1 ? "" : "s", gather_text(segment));
    for (int i = 0; i < segment->nbuilds; i++)
        mr_bytes_printf(out, "; fills %s", plan->nodes[segment->builds[i]].label);
    for (int i = 0; i < segment->nneeds; i++)
        mr_bytes_printf(out, "; after %s is filled", plan->nodes[segment->needs[i]].label);
    for (int i = 0; i < segment->nnarrowings; i++)
        mr_bytes_printf(out, "; %s reads only what %s may find",
                        plan->nodes[segment->narrowings[i].source].label,
                        plan->nodes[segment->narrowings[i].node].label);
    mr_bytes_char(out, '\n');
}

static void put_action(struct mr_bytes *out, const struct mr_plan_action *action)
{
    mr_bytes_printf(out, "then %s\n", action->step->label);
    for (const char *at = action->text; at != NULL && *at != '\0';) {
        size_t size = strcspn(at, "\n");
        mr_bytes_printf(out, "    %.*s\n", (int)size, at);
        at += size + (at[size] == '\n');
    }
}

void mr_plan_explain_warnings(const struct mr_plan *plan, struct mr_bytes *out)
{
    for (int i = 0; i < plan->nwarnings; i++)
        mr_bytes_printf(out, "warning: %s: %s\n", plan->warnings[i].where, plan->warnings[i].text);
}

static void put_epochs(struct mr_bytes *out, const struct mr_plan *plan)
{
    const struct mr_stream_spec *stream = &plan->spec->stream;
    char text[32];
    if (plan->spec->mode == MR_MODE_BATCH)
        return;
    mr_duration_format(stream->interval_micros, text, sizeof text);
    mr_bytes_text(out, "  epochs: ");
    if (stream->trigger == MR_TRIGGER_ONCE)
        mr_bytes_text(out, "one");
    else if (stream->trigger == MR_TRIGGER_AVAILABLE_NOW)
        mr_bytes_text(out, "until all is read that there is at the start");
    else if (stream->interval_micros > 0)
        mr_bytes_printf(out, "every %s", text);
    else
        mr_bytes_text(out, "as soon as there are rows");
    mr_bytes_printf(out, "; output mode %s", mr_plan_output_mode(plan));
    if (stream->query_name != NULL)
        mr_bytes_printf(out, "; query %s", stream->query_name);
    mr_bytes_char(out, '\n');
}

void mr_plan_explain_text(const struct mr_plan *plan, struct mr_bytes *out)
{
    const struct mr_spec *spec = plan->spec;
    char text[32];
    mr_bytes_printf(out, "pipeline %s (%s), fingerprint %s\n", spec->name,
                    spec->mode == MR_MODE_BATCH ? "batch" : "streaming",
                    plan->fingerprint != NULL ? plan->fingerprint : "-");
    put_epochs(out, plan);
    for (int i = 0; i < plan->nnodes; i++)
        if (plan->nodes[i].ninputs == 0)
            put_node(out, plan, &plan->nodes[i], 1);
    if (plan->nsegments > 0) {
        mr_size_format(plan->predicted_memory, text, sizeof text);
        mr_bytes_printf(out, "runs as %d output task%s, memory about %s%s\n", plan->ntasks,
                        plan->ntasks == 1 ? "" : "s", text,
                        plan->in_turn ? ", segments in turn" : "");
    }
    for (int s = 0; s < plan->nsegments; s++)
        put_segment(out, plan, s);
    for (int i = 0; i < plan->nactions; i++)
        put_action(out, &plan->actions[i]);
    if (!spec->rewrites)
        mr_bytes_text(out, "note: sparkConf has switched rewrites off\n");
    for (int i = 0; i < spec->nnotes; i++)
        mr_bytes_printf(out, "note: %s\n", spec->notes[i].text);
    mr_plan_explain_warnings(plan, out);
}

/*
 * expand.c - a step that stands for several operators becomes them.
 *
 * An operator with `expand` answers, once the schemas of its inputs are known, with parts: methods
 * of the registry with options, as if the user had written each as a step. They take the place of
 * its node, in the order given (which is topological), so that everything behind (binding again,
 * rewrites, segments, the report) knows only nodes; `step` stays the same for all of them. Nodes
 * behind are renumbered, which is allowed here because nothing but edges and the result refers to
 * numbers before the sinks are bound. A tree of operators inside one node was refused: every pass
 * would need to look into it.
 *
 * A sink's parts (a merge: the scan of the target, the join) come in front of it, and may be
 * sources; the sink stays.
 *
 * Parts are expanded in their turn, but never by an operator that they come from: what it makes of
 * itself is meant to be bound.
 */
#include "plan/build.h"

/* The operators that a node comes from, innermost first. */
struct mr_plan_origin {
    const struct mr_op *op;
    const struct mr_plan_origin *next;
};

static bool comes_from(const struct mr_plan_draft *draft, const struct mr_op *op)
{
    for (const struct mr_plan_origin *at = draft->origin; at != NULL; at = at->next)
        if (at->op == op)
            return true;
    return false;
}

static enum mr_status reserve(struct mr_plan_builder *builder, int capacity, struct mr_error *err)
{
    if (capacity <= builder->capacity)
        return MR_OK;
    capacity *= 2;
    struct mr_plan_node *nodes =
        mr_arena_calloc(builder->arena, (size_t)capacity, sizeof *builder->nodes);
    struct mr_plan_draft *drafts =
        mr_arena_calloc(builder->arena, (size_t)capacity, sizeof *builder->drafts);
    if (nodes == NULL || drafts == NULL)
        return mr_error_nomem(err);
    memcpy(nodes, builder->nodes, (size_t)builder->capacity * sizeof *nodes);
    memcpy(drafts, builder->drafts, (size_t)builder->capacity * sizeof *drafts);
    builder->nodes = builder->plan->nodes = nodes;
    builder->drafts = drafts;
    builder->capacity = capacity;
    return MR_OK;
}

static int renumbered(int node, int at, int count)
{
    return node < at ? node : node + count - 1;
}

enum mr_status mr_plan_open_gap(struct mr_plan_builder *builder, int at, int count,
                                struct mr_error *err)
{
    struct mr_plan *plan = builder->plan;
    MR_TRY(reserve(builder, plan->nnodes + count, err));
    size_t behind = (size_t)(plan->nnodes - at - 1);
    memmove(&builder->nodes[at + count], &builder->nodes[at + 1], behind * sizeof *builder->nodes);
    memmove(&builder->drafts[at + count], &builder->drafts[at + 1],
            behind * sizeof *builder->drafts);
    plan->nnodes += count - 1;
    for (int i = at + count; i < plan->nnodes; i++) {
        struct mr_plan_node *node = &builder->nodes[i];
        struct mr_plan_edge *inputs = (struct mr_plan_edge *)(uintptr_t)node->inputs;
        node->id = i;
        for (int k = 0; k < node->ninputs; k++)
            inputs[k].node = renumbered(inputs[k].node, at, count);
    }
    plan->result = renumbered(plan->result, at, count);
    for (int i = 1; i < count; i++) {
        builder->nodes[at + i] = builder->nodes[at];
        builder->nodes[at + i].id = at + i;
        builder->drafts[at + i] = builder->drafts[at];
    }
    return MR_OK;
}

/* Defaults, and what the method's name implies. */
static enum mr_status complete_options(struct mr_plan_builder *builder,
                                       const struct mr_method *method,
                                       const struct mr_options *options, struct mr_error *err)
{
    struct mr_options *own = (struct mr_options *)(uintptr_t)options;
    for (const char *const *preset = method->presets; preset != NULL && *preset != NULL;
         preset += 2)
        if (!mr_options_has(own, preset[0]))
            MR_TRY(mr_options_set_text(builder->arena, own, preset[0], preset[1], err));
    return mr_options_fill_defaults(builder->arena, own, err);
}

static enum mr_status set_edges(struct mr_plan_builder *builder, int at, int index,
                                const struct mr_op_part *part, const struct mr_plan_node *whole,
                                const char *const *frames, struct mr_error *err)
{
    size_t room = part->ninputs > 0 ? (size_t)part->ninputs : 1;
    struct mr_plan_edge *edges = mr_arena_calloc(builder->arena, room, sizeof *edges);
    const char **names = mr_arena_calloc(builder->arena, room, sizeof *names);
    if (edges == NULL || names == NULL)
        return mr_error_nomem(err);
    for (int k = 0; k < part->ninputs; k++) {
        int from = part->inputs[k];
        if (from >= index || -1 - from >= whole->ninputs)
            return mr_error_internal(err, "part %d reads %d", index, from);
        edges[k] = from >= 0 ? (struct mr_plan_edge){at + from, 0} : whole->inputs[-1 - from];
        names[k] = from >= 0 ? NULL : frames[-1 - from];
    }
    builder->nodes[at + index].ninputs = part->ninputs;
    builder->nodes[at + index].inputs = edges;
    builder->drafts[at + index].frames = names;
    return MR_OK;
}

static enum mr_status make_part(struct mr_plan_builder *builder, int at, int index,
                                const struct mr_op_parts *parts, const struct mr_plan_node *whole,
                                const struct mr_plan_draft *draft, struct mr_error *err)
{
    const struct mr_op_part *part = &parts->items[index];
    const struct mr_method *method =
        mr_registry_method(builder->request->runtime->registry, part->method);
    bool sink = whole->kind == MR_PLAN_SINK;
    if (method == NULL || (method->op == NULL && !(sink && method->source != NULL)))
        return mr_error_config(err, "needs the method \"%s\", which this build lacks",
                               part->method);
    const char *label =
        mr_arena_printf(builder->arena, "%s%s %s%s%s", whole->label, draft->origin ? "," : ":",
                        method->name, part->detail != NULL ? " " : "",
                        part->detail != NULL ? part->detail : "");
    struct mr_plan_origin *origin = mr_arena_alloc(builder->arena, sizeof *origin);
    if (label == NULL || origin == NULL)
        return mr_error_nomem(err);
    *origin = (struct mr_plan_origin){whole->op, draft->origin};
    MR_TRY(complete_options(builder, method, part->options, err));
    MR_TRY(mr_plan_set_node(builder, at + index, method->op ? MR_PLAN_OP : MR_PLAN_SOURCE,
                            whole->step, label, err));
    struct mr_plan_node *node = &builder->nodes[at + index];
    node->op = method->op;
    node->source = method->source;
    node->is_part = true;
    node->is_inner = sink || whole->is_inner || index < parts->count - 1;
    if (sink)
        node->runtime->streaming = false; /* of each epoch by nature */
    node->note = node->is_inner ? NULL : whole->note;
    builder->drafts[at + index].options = part->options;
    builder->drafts[at + index].origin = origin;
    MR_TRY(set_edges(builder, at, index, part, whole, draft->frames, err));
    return node->kind == MR_PLAN_SOURCE ? mr_plan_bind_source(builder, at + index, err) : MR_OK;
}

/* All parts, from place `at` on. What follows a failed one is not bound, and gives no message. */
static enum mr_status make_parts(struct mr_plan_builder *builder, int at,
                                 const struct mr_op_parts *parts, const struct mr_plan_node *whole,
                                 const struct mr_plan_draft *draft, struct mr_error *err)
{
    enum mr_status status = MR_OK;
    for (int i = 0; i < parts->count && status == MR_OK; i++)
        status = make_part(builder, at, i, parts, whole, draft, err);
    if (status == MR_OK)
        mr_plan_stream_parts(builder, at, parts, draft);
    for (int i = 0; i < parts->count && status != MR_OK; i++)
        builder->drafts[at + i].failed = true;
    return status;
}

/* The side output of the step is that of one of its parts. */
static void move_side(struct mr_plan_builder *builder, int at, const struct mr_op_parts *parts)
{
    int last = at + parts->count - 1;
    for (int i = last + 1; parts->side > 0 && i < builder->plan->nnodes; i++) {
        struct mr_plan_edge *inputs = (struct mr_plan_edge *)(uintptr_t)builder->nodes[i].inputs;
        for (int k = 0; k < builder->nodes[i].ninputs; k++)
            if (inputs[k].node == last && inputs[k].port == 1)
                inputs[k].node = at + parts->side - 1;
    }
}

enum mr_status mr_plan_expand(struct mr_plan_builder *builder, int at, struct mr_error *err)
{
    struct mr_plan_draft *draft = &builder->drafts[at];
    const struct mr_op *op = builder->nodes[at].op;
    draft->expanded = true;
    struct mr_op_bind bind;
    struct mr_op_parts parts = {0};
    if (mr_plan_is_asked(builder, at)) {
        MR_TRY(mr_plan_ask_parts(builder, &parts, err));
    } else if (op->expand != NULL && !comes_from(draft, op)) {
        MR_TRY(mr_plan_prepare_bind(builder, at, &bind, err));
        MR_TRY(op->expand(&bind, &parts, err));
    }
    if (parts.count == 0)
        return MR_OK;
    MR_TRY(mr_plan_open_gap(builder, at, parts.count, err));
    struct mr_plan_node whole = builder->nodes[at];
    struct mr_plan_draft whole_draft = builder->drafts[at];
    move_side(builder, at, &parts);
    return make_parts(builder, at, &parts, &whole, &whole_draft, err);
}

enum mr_status mr_plan_expand_sink(struct mr_plan_builder *builder, int at, struct mr_error *err)
{
    struct mr_plan_node *node = &builder->nodes[at];
    struct mr_plan_draft *draft = &builder->drafts[at];
    draft->expanded = true;
    if (node->sink->expand == NULL || node->inputs[0].port != 0)
        return MR_OK;
    const struct mr_plan_node *from = &builder->nodes[node->inputs[0].node];
    struct mr_sink_bind bind = {
        .options = draft->options,
        .runtime = node->runtime,
        .arena = builder->arena,
        .schema = from->schema,
        .rows = from->rows,
        .bytes = from->bytes,
        .step = node->label,
    };
    struct mr_op_parts parts = {0};
    const struct mr_options *options = draft->options;
    MR_TRY(mr_error_of_sink(node->sink->expand(&bind, &parts, &options, err), err));
    draft->options = options;
    if (parts.count == 0)
        return MR_OK;
    MR_TRY(mr_plan_open_gap(builder, at, parts.count + 1, err));
    struct mr_plan_node whole = builder->nodes[at];
    struct mr_plan_draft whole_draft = builder->drafts[at];
    struct mr_plan_edge *edge = mr_arena_calloc(builder->arena, 1, sizeof *edge);
    const char **frame = mr_arena_calloc(builder->arena, 1, sizeof *frame);
    if (edge == NULL || frame == NULL)
        return mr_error_nomem(err);
    *edge = (struct mr_plan_edge){at + parts.count - 1, 0};
    builder->nodes[at + parts.count].inputs = edge;
    builder->drafts[at + parts.count].frames = frame;
    enum mr_status status = make_parts(builder, at, &parts, &whole, &whole_draft, err);
    builder->drafts[at + parts.count].failed = status != MR_OK;
    return status;
}

/*
 * frames.c - from steps to nodes and edges: who reads whose rows.
 *
 * There is one primary frame. An extract replaces it; a transform or a validation maps it (what
 * passes a validation is what later steps see); a load reads it. registerAs gives the frame of a
 * step a name that later steps can ask for. A frame that several steps name is one node with
 * several consumers, so that it is computed once without any rule for "caching". Side outputs
 * (rejected rows of a validation, records that a source cannot read) get a sink node of their own
 * right behind the node, in the same epoch (side.c).
 */
#include "plan/build.h"

#include "base/map.h"
#include "base/text.h"
#include "ext/durable.h"

#include <stdio.h>

#define NONE ((struct mr_plan_edge){-1, 0})

struct frame {
    const char *name;
    struct mr_plan_edge edge;
};

struct frames {
    struct frame *items;
    int count;
    struct mr_plan_edge primary;
};

enum mr_status mr_plan_new_runtime(struct mr_plan_builder *builder, const char *label,
                                   struct mr_runtime **out, struct mr_error *err)
{
    const struct mr_runtime *template = builder->request->runtime;
    struct mr_runtime *runtime = mr_arena_alloc(builder->arena, sizeof *runtime);
    struct mr_memory *memory = mr_arena_alloc(builder->arena, sizeof *memory);
    struct mr_counters *counters = mr_arena_calloc(builder->arena, 1, sizeof *counters);
    if (runtime == NULL || memory == NULL || counters == NULL)
        return mr_error_nomem(err);
    *runtime = *template;
    mr_memory_init(memory, template->memory, label, INT64_MAX);
    runtime->memory = memory;
    runtime->counters = counters;
    runtime->offline = !builder->request->connect;
    *out = runtime;
    return MR_OK;
}

enum mr_status mr_plan_set_node(struct mr_plan_builder *builder, int at,
                                enum mr_plan_node_kind kind, const struct mr_step_spec *step,
                                const char *label, struct mr_error *err)
{
    struct mr_plan_node *node = &builder->nodes[at];
    struct mr_runtime *runtime;
    MR_TRY(mr_plan_new_runtime(builder, label, &runtime, err));
    *node = (struct mr_plan_node){
        .id = at,
        .kind = kind,
        .step = step,
        .label = label,
        .runtime = runtime,
        .rows = -1,
        .bytes = -1,
    };
    builder->drafts[at] = (struct mr_plan_draft){.options = step->options};
    return MR_OK;
}

struct mr_plan_node *mr_plan_add_node(struct mr_plan_builder *builder, enum mr_plan_node_kind kind,
                                      const struct mr_step_spec *step, struct mr_error *err)
{
    int at = builder->plan->nnodes;
    if (mr_plan_set_node(builder, at, kind, step, step->label, err) != MR_OK)
        return NULL;
    builder->plan->nnodes++;
    return &builder->nodes[at];
}

enum mr_status mr_plan_set_inputs(struct mr_plan_builder *builder, struct mr_plan_node *node,
                                  int ninputs, struct mr_plan_edge **edges, const char ***frames,
                                  struct mr_error *err)
{
    size_t room = ninputs > 0 ? (size_t)ninputs : 1;
    *edges = mr_arena_calloc(builder->arena, room, sizeof **edges);
    *frames = mr_arena_calloc(builder->arena, room, sizeof **frames);
    if (*edges == NULL || *frames == NULL)
        return mr_error_nomem(err);
    node->ninputs = ninputs;
    node->inputs = *edges;
    builder->drafts[node->id].frames = *frames;
    return MR_OK;
}

static const struct frame *find_frame(const struct frames *frames, const char *name)
{
    for (int i = 0; i < frames->count; i++)
        if (mr_text_equal_nocase(frames->items[i].name, name))
            return &frames->items[i];
    return NULL;
}

static enum mr_status unknown_frame(const struct frames *frames, const char *name,
                                    struct mr_error *err)
{
    mr_error_config(err, "no earlier step registers a frame \"%s\"", name);
    if (frames->count == 0) {
        mr_error_hint(err, "give the step that makes it \"registerAs\": \"%s\"", name);
        return MR_CONFIG;
    }
    char list[300];
    size_t used = 0;
    list[0] = '\0';
    for (int i = 0; i < frames->count && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "",
                                 frames->items[i].name);
    mr_error_hint(err, "frames registered so far: %s", list);
    return MR_CONFIG;
}

/* Edge of a named frame, or of the primary frame when `name` is NULL. */
static enum mr_status resolve(const struct frames *frames, const char *name,
                              struct mr_plan_edge *out, struct mr_error *err)
{
    if (name == NULL) {
        *out = frames->primary;
        if (out->node < 0)
            return mr_error_config(err, "there are no rows yet: an extract step must come before");
        return MR_OK;
    }
    const struct frame *frame = find_frame(frames, name);
    if (frame == NULL)
        return unknown_frame(frames, name, err);
    *out = frame->edge;
    return MR_OK;
}

static enum mr_status check_inputs(const struct mr_op *op, int ninputs, struct mr_error *err)
{
    if (ninputs < op->min_inputs)
        return mr_error_config(err, "needs %d input frames, has %d", op->min_inputs, ninputs);
    if (ninputs > op->max_inputs)
        return mr_error_config(err, "takes at most %d input frames, has %d", op->max_inputs,
                               ninputs);
    return MR_OK;
}

static enum mr_status op_inputs(struct mr_plan_builder *builder, const struct frames *frames,
                                struct mr_plan_node *node, struct mr_error *err)
{
    const struct mr_step_spec *step = node->step;
    const char *const *main = step->inputs;
    int nmain = step->ninputs;
    if (nmain == 0 && step->method->op->frames != NULL)
        MR_TRY(step->method->op->frames(builder->arena, step->options, &main, &nmain, err));
    bool primary = nmain == 0;
    nmain = primary ? 1 : nmain;
    int ninputs = nmain + (step->referenced != NULL);
    struct mr_plan_edge *edges;
    const char **names;
    MR_TRY(mr_plan_set_inputs(builder, node, ninputs, &edges, &names, err));
    for (int i = 0; i < ninputs; i++) {
        names[i] = i >= nmain ? step->referenced : primary ? NULL : main[i];
        MR_TRY(resolve(frames, names[i], &edges[i], err));
        if (builder->drafts[edges[i].node].failed)
            builder->drafts[node->id].failed = true;
    }
    return check_inputs(step->method->op, ninputs, err);
}

static enum mr_status register_frame(struct frames *frames, const struct mr_step_spec *step,
                                     struct mr_error *err)
{
    if (step->register_as == NULL)
        return MR_OK;
    if (find_frame(frames, step->register_as) != NULL)
        return mr_error_config(err, "an earlier step has registered a frame \"%s\" already",
                               step->register_as);
    frames->items[frames->count++] = (struct frame){step->register_as, frames->primary};
    return MR_OK;
}

static enum mr_status add_op(struct mr_plan_builder *builder, struct frames *frames,
                             const struct mr_step_spec *step, struct mr_error *err)
{
    struct mr_plan_node *node = mr_plan_add_node(builder, MR_PLAN_OP, step, err);
    if (node == NULL)
        return MR_NOMEM;
    node->op = step->method->op;
    const struct mr_durable *durable = node->op->durable;
    if (durable != NULL && (builder->request->light || !builder->request->with_sinks))
        node->op = durable->light;
    enum mr_status status = op_inputs(builder, frames, node, err);
    if (status != MR_OK) {
        builder->drafts[node->id].failed = true;
        node->ninputs = 0;
    }
    frames->primary = (struct mr_plan_edge){node->id, 0};
    MR_TRY(status);
    return mr_plan_add_side(builder, node->id, err);
}

static enum mr_status add_sink(struct mr_plan_builder *builder, const struct frames *frames,
                               const struct mr_step_spec *step, struct mr_error *err)
{
    struct mr_plan_edge from;
    MR_TRY(resolve(frames, step->ninputs > 0 ? step->inputs[0] : NULL, &from, err));
    struct mr_plan_node *node = mr_plan_add_node(builder, MR_PLAN_SINK, step, err);
    if (node == NULL)
        return MR_NOMEM;
    node->sink = step->method->sink;
    struct mr_plan_edge *edges;
    const char **names;
    MR_TRY(mr_plan_set_inputs(builder, node, 1, &edges, &names, err));
    edges[0] = from;
    builder->drafts[node->id].failed = builder->drafts[from.node].failed;
    return MR_OK;
}

static enum mr_status add_step(struct mr_plan_builder *builder, struct frames *frames,
                               const struct mr_step_spec *step, struct mr_error *err)
{
    const struct mr_method *method = step->method;
    if (method->source != NULL) {
        struct mr_plan_node *node = mr_plan_add_node(builder, MR_PLAN_SOURCE, step, err);
        if (node == NULL)
            return MR_NOMEM;
        node->source = method->source;
        frames->primary = (struct mr_plan_edge){node->id, 0};
        MR_TRY(mr_plan_add_side(builder, node->id, err));
    } else if (method->op != NULL) {
        MR_TRY(add_op(builder, frames, step, err));
    } else if (method->sink != NULL) {
        if (builder->request->with_sinks)
            MR_TRY(add_sink(builder, frames, step, err));
    } else if (method->action != NULL) {
        return mr_plan_add_action(builder, step, err);
    } else {
        return mr_error_config(err, "\"%s\" cannot be run by this version", step->method_name);
    }
    return register_frame(frames, step, err);
}

enum mr_status mr_plan_frames(struct mr_plan_builder *builder, struct mr_error *err)
{
    const struct mr_spec *spec = builder->spec;
    const char *until = builder->request->until_step;
    struct frames frames = {.primary = NONE};
    size_t nsteps = (size_t)spec->nsteps;
    frames.items = mr_arena_calloc(builder->arena, nsteps, sizeof *frames.items);
    builder->capacity = 2 * spec->nsteps; /* a step and its side output */
    builder->nodes = mr_arena_calloc(builder->arena, 2 * nsteps, sizeof *builder->nodes);
    builder->drafts = mr_arena_calloc(builder->arena, 2 * nsteps, sizeof *builder->drafts);
    if (frames.items == NULL || builder->nodes == NULL || builder->drafts == NULL)
        return mr_error_nomem(err);
    builder->plan->nodes = builder->nodes;
    bool found = until == NULL;
    for (int i = 0; i < spec->nsteps; i++) {
        const struct mr_step_spec *step = &spec->steps[i];
        struct mr_error step_error;
        enum mr_status status = add_step(builder, &frames, step, &step_error);
        if (status == MR_NOMEM)
            return mr_error_nomem(err);
        if (status != MR_OK)
            mr_plan_fail(builder, step, &step_error);
        if (mr_step_is_called(step, until)) {
            found = true;
            break;
        }
        if (builder->request->ask != NULL && builder->request->ask->step->index == i)
            break;
    }
    builder->plan->result = frames.primary.node;
    if (!found)
        return mr_error_set(err, MR_USAGE, MR_CLASS_CONFIG,
                            "no step \"%s\": give a step's name or its number, 1 to %d", until,
                            spec->nsteps);
    return MR_OK;
}

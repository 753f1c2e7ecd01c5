/*
 * side.c - sinks of side outputs: `quarantine` of validations and files, `deadLetter` of fromKafka and of late rows.
 *
 * The sink is that of toFile or of toKafka, with options made from those of the step, so that its rows are committed as those of any load. A
 * topic is one of the cluster that the rows come from: a step between has no connection of its own, and two clusters cannot be one
 * commit. What is written there must not be read again by the same stream, which would reject it again, for ever.
 */
#include "plan/build.h"

#include "ext/letter.h"

#include <string.h>

/* Options of the sink, as names and texts. */
struct side_options {
    struct mr_arena *arena;
    const char **pairs; /* two each, and NULL */
    int count;
    int room;
};

static enum mr_status add_pair(struct side_options *out, const char *name, const char *text,
                               struct mr_error *err)
{
    if (text == NULL)
        return MR_OK;
    if (out->count + 2 >= out->room) {
        int room = 2 * out->room + 16;
        const char **more = mr_arena_calloc(out->arena, (size_t)room, sizeof *more);
        if (more == NULL)
            return mr_error_nomem(err);
        for (int i = 0; i < out->count; i++)
            more[i] = out->pairs[i];
        out->pairs = more;
        out->room = room;
    }
    out->pairs[out->count++] = name;
    out->pairs[out->count++] = text;
    return MR_OK;
}

/* Files: what toFile has by these names. */
static enum mr_status file_options(const struct mr_options *side, struct side_options *out,
                                   struct mr_error *err)
{
    for (int i = 0; i < side->count; i++) {
        const struct mr_option_value *value = &side->values[i];
        if (!value->set || value->option->type == MR_OPTION_ANY)
            continue;
        const char *text = value->option->type == MR_OPTION_ENUM
                               ? value->option->choices[value->u.integer]
                               : value->u.text;
        MR_TRY(add_pair(out, value->option->name, text, err));
    }
    return MR_OK;
}

/* How the sink reaches the cluster that an extract reads. */
static enum mr_status connection_options(const struct mr_options *extract,
                                         const struct mr_sink *sink, struct side_options *out,
                                         struct mr_error *err)
{
    for (int i = 0; i < extract->count; i++) {
        const struct mr_option_value *value = &extract->values[i];
        const struct mr_option *row = value->option;
        if (!value->set || !(row->flags & MR_OPTION_CONNECTION) ||
            mr_option_find(sink->options, row->name) == NULL)
            continue;
        if (row->type == MR_OPTION_STRING)
            MR_TRY(add_pair(out, row->name, value->u.text, err));
        for (int k = 0; row->type == MR_OPTION_PAIRS && k < value->u.pairs.count; k++)
            MR_TRY(add_pair(out, value->u.pairs.items[k].name, value->u.pairs.items[k].text, err));
    }
    return MR_OK;
}

static bool is_of_system(const struct mr_source *source, const struct mr_sink *sink)
{
    return source->system != NULL && sink->system != NULL &&
           strcmp(source->system, sink->system) == 0;
}

enum mr_status mr_plan_extract_sink(const struct mr_step_spec *extract, const struct mr_sink *sink,
                                    struct mr_arena *arena, const struct mr_options **out,
                                    struct mr_error *err)
{
    struct side_options made = {.arena = arena};
    *out = NULL;
    if (extract->method == NULL || extract->method->source == NULL || extract->options == NULL ||
        !is_of_system(extract->method->source, sink))
        return MR_OK;
    MR_TRY(connection_options(extract->options, sink, &made, err));
    return mr_options_from_texts(arena, sink->options, made.pairs, out, err);
}

/* Marks the node and all that its rows come from. */
static enum mr_status mark_front(const struct mr_plan_builder *builder, int at, bool **out,
                                 struct mr_error *err)
{
    bool *seen = mr_arena_calloc(builder->arena, (size_t)at + 1, sizeof *seen);
    if (seen == NULL)
        return mr_error_nomem(err);
    seen[at] = true;
    for (int i = at; i >= 0; i--)
        for (int k = 0; seen[i] && k < builder->nodes[i].ninputs; k++)
            seen[builder->nodes[i].inputs[k].node] = true;
    *out = seen;
    return MR_OK;
}

static bool is_extract(const struct mr_plan_node *node, const struct mr_sink *sink)
{
    return node->kind == MR_PLAN_SOURCE && is_of_system(node->source, sink);
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_address(const struct mr_options *a, const struct mr_options *b)
{
    for (int i = 0; i < a->count; i++) {
        const struct mr_option *row = a->values[i].option;
        if ((row->flags & MR_OPTION_CONNECTION) && row->type == MR_OPTION_STRING &&
            !same_text(mr_options_text(a, row->name), mr_options_text(b, row->name)))
            return false;
    }
    return true;
}

/* The extract whose cluster the topic is in. */
static enum mr_status find_extract(const struct mr_plan_builder *builder, int at,
                                   const struct mr_sink *sink, const struct mr_step_spec **out,
                                   struct mr_error *err)
{
    const struct mr_options *step = builder->nodes[at].step->options;
    const struct mr_step_spec *found = NULL;
    bool *front;
    MR_TRY(mark_front(builder, at, &front, err));
    for (int i = 0; i <= at; i++) {
        if (!front[i] || !is_extract(&builder->nodes[i], sink))
            continue;
        const struct mr_step_spec *extract = builder->nodes[i].step;
        if (found != NULL && !same_address(found->options, extract->options)) {
            mr_options_error(step, "deadLetter", err,
                             "its rows come from two clusters, and a topic is in one");
            mr_error_hint(err, "write them into files (`path`), or put dropLateRows with "
                               "`deadLetter` behind each extract");
            return MR_CONFIG;
        }
        found = found != NULL ? found : extract;
    }
    *out = found;
    if (found != NULL)
        return MR_OK;
    mr_options_error(step, "deadLetter", err,
                     "a topic is one of the cluster that the rows come from, and no extract in "
                     "front of this step reads one");
    mr_error_hint(err, "write them into files (`path`)");
    return MR_CONFIG;
}

/* A source gives records as they were; the rows of an operator are written as values. */
static enum mr_status topic_options(const struct mr_plan_builder *builder, int at,
                                    const struct mr_options *letter, const struct mr_sink *sink,
                                    const struct mr_step_spec **extract, struct side_options *out,
                                    struct mr_error *err)
{
    bool records = builder->nodes[at].kind == MR_PLAN_SOURCE;
    MR_TRY(find_extract(builder, at, sink, extract, err));
    MR_TRY(add_pair(out, "topic", mr_options_text(letter, "topic"), err));
    MR_TRY(add_pair(out, "key", records ? "key" : NULL, err));
    MR_TRY(add_pair(out, "value", records ? "value" : NULL, err));
    MR_TRY(add_pair(out, "headers", records ? "headers" : MR_LETTER_HEADERS, err));
    return connection_options((*extract)->options, sink, out, err);
}

/* Errors of the sink point at what the user wrote. */
static void set_positions(const struct mr_options *from, const struct mr_options *to)
{
    for (int i = 0; i < from->count; i++) {
        const struct mr_option *row = mr_option_find(to->table, from->table[i].name);
        if (row != NULL && from->values[i].set)
            to->values[row - to->table].position = from->values[i].position;
    }
}

static enum mr_status make_options(struct mr_plan_builder *builder, int at,
                                   const struct mr_options *side, const struct mr_method *method,
                                   const struct mr_step_spec **extract,
                                   const struct mr_options **out, struct mr_error *err)
{
    struct side_options made = {.arena = builder->arena};
    const char *const *preset = method->presets;
    for (; preset != NULL && *preset != NULL; preset += 2)
        MR_TRY(add_pair(&made, preset[0], preset[1], err));
    if (mr_options_wants(side, "topic"))
        MR_TRY(topic_options(builder, at, side, method->sink, extract, &made, err));
    else
        MR_TRY(file_options(side, &made, err));
    MR_TRY(mr_options_from_texts(builder->arena, method->sink->options, made.pairs, out, err));
    set_positions(side, *out);
    return MR_OK;
}

static enum mr_status add_sink(struct mr_plan_builder *builder, int at, const char *name,
                               const struct mr_options *side, struct mr_error *err)
{
    const char *wanted = mr_options_wants(side, "topic") ? "toKafka" : "toFile";
    const struct mr_method *method =
        mr_registry_method(builder->request->runtime->registry, wanted);
    const struct mr_step_spec *step = builder->nodes[at].step, *extract = NULL;
    const struct mr_options *options;
    if (method == NULL || method->sink == NULL)
        return mr_error_config(err, "\"%s\" needs the method %s, which this build lacks", name,
                               wanted);
    MR_TRY(make_options(builder, at, side, method, &extract, &options, err));
    struct mr_plan_node *node = mr_plan_add_node(builder, MR_PLAN_SINK, step, err);
    if (node == NULL)
        return MR_NOMEM;
    builder->drafts[node->id].options = options;
    builder->drafts[node->id].side = name;
    node->sink = method->sink;
    node->extract = extract;
    node->label = mr_arena_printf(builder->arena, "%s %s", step->label, name);
    if (node->label == NULL)
        return mr_error_nomem(err);
    node->runtime->memory->name = node->label;
    struct mr_plan_edge *edges;
    const char **names;
    MR_TRY(mr_plan_set_inputs(builder, node, 1, &edges, &names, err));
    edges[0] = (struct mr_plan_edge){at, 1};
    return MR_OK;
}

/* The choice that asks for the side output, and the option that says where it goes. */
static bool is_side(const char *name)
{
    return strcmp(name, "quarantine") == 0 || strcmp(name, "deadLetter") == 0;
}

/*
 * Does `onFailure` (of a validation), `onError` (of an extract) or `late` (of a transform) ask for the side output? A quarantine without it is an
 * error of the implementation; a `deadLetter` that does not fit is refused when the step is bound.
 */
static bool wants_side(const struct mr_step_spec *step)
{
    const char *option = step->method->source != NULL      ? "onError"
                         : step->type == MR_STEP_TRANSFORM ? "late"
                                                           : "onFailure";
    const struct mr_options *options = step->options;
    const struct mr_option *row = mr_option_find(options->table, option);
    const char *topic;
    struct mr_error err;
    if (row == NULL || row->type != MR_OPTION_ENUM || !mr_options_has(options, option) ||
        !is_side(row->choices[mr_options_integer(options, option, 0)]))
        return false;
    return mr_option_find(options->table, "deadLetter") == NULL ||
           mr_letter_read(options, option, true, &topic, &err) == MR_OK;
}

enum mr_status mr_plan_add_side(struct mr_plan_builder *builder, int at, struct mr_error *err)
{
    const struct mr_step_spec *step = builder->nodes[at].step;
    const struct mr_options *options = step->options;
    if (options == NULL || !builder->request->with_sinks || !wants_side(step))
        return MR_OK;
    for (int i = 0; i < options->count; i++) {
        const struct mr_option_value *value = &options->values[i];
        if (is_side(value->option->name) && value->option->type == MR_OPTION_OBJECT && value->set)
            return add_sink(builder, at, value->option->name, value->u.object, err);
    }
    return MR_OK;
}

enum mr_status mr_plan_check_side(const struct mr_plan_builder *builder,
                                  const struct mr_plan_node *node, struct mr_error *err)
{
    const struct mr_options *options = builder->drafts[node->id].options;
    if (builder->drafts[node->id].side == NULL || !mr_options_wants(options, "topic"))
        return MR_OK;
    const char *topic = mr_options_text(options, "topic");
    bool *front;
    MR_TRY(mark_front(builder, node->id, &front, err));
    for (int i = 0; i < node->id; i++) {
        const struct mr_plan_node *from = &builder->nodes[i];
        if (front[i] && is_extract(from, node->sink) && from->source->reads != NULL &&
            from->source_state != NULL && from->source->reads(from->source_state, topic))
            return mr_options_error(options, "topic", err,
                                    "%s is read by %s: dead letters would come back for ever",
                                    topic, from->step->label);
    }
    return MR_OK;
}

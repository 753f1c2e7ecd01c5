/*
 * explain_json.c - the plan as one JSON object, for tools.
 *
 * {"pipeline", "mode", "fingerprint", "stream", "nodes": [..], "segments": [..], "tasks", "predictedMemory",
 * "notes", "warnings"}. Numbers that are not known are null. Field names are part of the interface:
 * docs/internals/plan.md lists them.
 */
#include "plan/plan.h"

struct writer {
    struct mr_bytes *out;
    bool comma;
};

static void key(struct writer *w, const char *name)
{
    if (w->comma)
        mr_bytes_char(w->out, ',');
    w->comma = true;
    mr_bytes_json_string(w->out, name, strlen(name));
    mr_bytes_char(w->out, ':');
}

static void element(struct writer *w)
{
    if (w->comma)
        mr_bytes_char(w->out, ',');
    w->comma = true;
}

static void open_with(struct writer *w, char c)
{
    mr_bytes_char(w->out, c);
    w->comma = false;
}

static void close_with(struct writer *w, char c)
{
    mr_bytes_char(w->out, c);
    w->comma = true;
}

static void put_text(struct writer *w, const char *name, const char *text)
{
    key(w, name);
    if (text != NULL)
        mr_bytes_json_string(w->out, text, strlen(text));
    else
        mr_bytes_text(w->out, "null");
}

static void put_int(struct writer *w, const char *name, int64_t value)
{
    key(w, name);
    if (value >= 0)
        mr_bytes_printf(w->out, "%lld", (long long)value);
    else
        mr_bytes_text(w->out, "null");
}

static void put_bool(struct writer *w, const char *name, bool value)
{
    key(w, name);
    mr_bytes_text(w->out, value ? "true" : "false");
}

static void put_texts(struct writer *w, const char *name, const char *const *texts, int count)
{
    key(w, name);
    open_with(w, '[');
    for (int i = 0; i < count; i++) {
        element(w);
        mr_bytes_json_string(w->out, texts[i], strlen(texts[i]));
    }
    close_with(w, ']');
}

static void put_ints(struct writer *w, const char *name, const int *values, int count)
{
    key(w, name);
    open_with(w, '[');
    for (int i = 0; i < count; i++) {
        element(w);
        mr_bytes_printf(w->out, "%d", values[i]);
    }
    close_with(w, ']');
}

static void put_schema(struct writer *w, const char *name, const struct mr_schema *schema)
{
    key(w, name);
    if (schema == NULL) {
        mr_bytes_text(w->out, "null");
        return;
    }
    open_with(w, '[');
    for (int i = 0; i < schema->nfields; i++) {
        char type[256];
        element(w);
        open_with(w, '{');
        put_text(w, "name", schema->fields[i].name);
        put_text(w, "type", mr_type_text(schema->fields[i].type, type, sizeof type));
        put_bool(w, "nullable", schema->fields[i].nullable);
        close_with(w, '}');
    }
    close_with(w, ']');
}

static void put_splits(struct writer *w, const struct mr_split_list *splits)
{
    key(w, "splits");
    open_with(w, '[');
    for (int i = 0; i < splits->count; i++) {
        element(w);
        open_with(w, '{');
        put_text(w, "label", splits->items[i].label);
        put_int(w, "rows", splits->items[i].rows);
        put_int(w, "bytes", splits->items[i].bytes);
        close_with(w, '}');
    }
    close_with(w, ']');
}

static void put_source(struct writer *w, const struct mr_plan_node *node)
{
    put_text(w, "location", node->source_info.location);
    put_text(w, "details", node->source_info.details);
    put_texts(w, "pushed", node->pushed, node->npushed);
    put_texts(w, "notes", node->source_info.notes, node->source_info.nnotes);
    put_text(w, "guarantee", node->source_info.guarantee);
    put_bool(w, "repeats", node->source_info.repeats);
    put_text(w, "since", node->since_text);
    put_text(w, "upto", node->splits.upto_text);
    put_splits(w, &node->splits);
}

static void put_op(struct writer *w, const struct mr_plan_node *node)
{
    int clocks[MR_PLAN_CLOCKS];
    put_text(w, "details", node->op_info.details);
    put_bool(w, "absorbed", node->absorbed);
    put_text(w, "movedTo", node->moved_to);
    put_text(w, "note", node->note);
    put_bool(w, "breaker", mr_plan_is_breaker(node));
    put_int(w, "pulls", mr_plan_is_breaker(node) ? node->op_info.pulls : 0);
    put_bool(w, "sorted", node->op_info.sorted);
    put_int(w, "share", node->share > 0 && node->share < INT64_MAX / 8 ? node->share : -1);
    put_ints(w, "watermarks", clocks, mr_plan_clocks(node, clocks));
    put_schema(w, "keeps", mr_plan_keeps(node) ? node->op_info.kept : NULL);
    put_bool(w, "updates", node->op_info.updates);
}

static void put_sink(struct writer *w, const struct mr_plan_node *node)
{
    put_text(w, "location", node->sink_info.location);
    put_bool(w, "skipped", node->sink_info.skip);
    put_texts(w, "notes", node->sink_info.notes, node->sink_info.nnotes);
}

static void put_node(struct writer *w, const struct mr_plan_node *node)
{
    static const char *const kinds[] = {"source", "operator", "sink"};
    element(w);
    open_with(w, '{');
    put_int(w, "id", node->id);
    put_text(w, "kind", kinds[node->kind]);
    put_text(w, "step", node->label);
    put_text(w, "method", node->step->method->name);
    put_text(w, "part", node->is_part ? node->op->name : NULL);
    put_text(w, "name", node->step->name);
    put_text(w, "registerAs", node->is_inner ? NULL : node->step->register_as);
    key(w, "inputs");
    open_with(w, '[');
    for (int i = 0; i < node->ninputs; i++) {
        element(w);
        open_with(w, '{');
        put_int(w, "node", node->inputs[i].node);
        put_int(w, "port", node->inputs[i].port);
        close_with(w, '}');
    }
    close_with(w, ']');
    put_int(w, "rows", node->rows);
    put_int(w, "bytes", node->bytes);
    if (node->kind == MR_PLAN_SOURCE)
        put_source(w, node);
    else if (node->kind == MR_PLAN_OP)
        put_op(w, node);
    else
        put_sink(w, node);
    put_schema(w, "columns", node->schema);
    close_with(w, '}');
}

static void put_segment(struct writer *w, const struct mr_plan_segment *segment)
{
    static const char *const gathers[] = {"fused", "rotate", "ordered"};
    element(w);
    open_with(w, '{');
    put_ints(w, "sources", segment->sources, segment->nsources);
    put_ints(w, "nodes", segment->nodes, segment->nnodes);
    put_ints(w, "fills", segment->builds, segment->nbuilds);
    put_ints(w, "needs", segment->needs, segment->nneeds);
    key(w, "narrows");
    open_with(w, '[');
    for (int i = 0; i < segment->nnarrowings; i++) {
        element(w);
        open_with(w, '{');
        put_int(w, "source", segment->narrowings[i].source);
        put_int(w, "by", segment->narrowings[i].node);
        close_with(w, '}');
    }
    close_with(w, ']');
    put_int(w, "splits", segment->nsplits);
    put_int(w, "readers", segment->readers);
    put_int(w, "tasks", segment->ntasks);
    put_ints(w, "taskSplits", segment->task_splits, segment->ntasks + 1);
    put_text(w, "gather", gathers[segment->gather]);
    put_int(w, "queueBytes", segment->queue_bytes);
    close_with(w, '}');
}

/* null in batch */
static void put_stream(struct writer *w, const struct mr_plan *plan)
{
    static const char *const triggers[] = {"interval", "once", "availableNow"};
    const struct mr_stream_spec *stream = &plan->spec->stream;
    key(w, "stream");
    if (plan->spec->mode == MR_MODE_BATCH) {
        mr_bytes_text(w->out, "null");
        return;
    }
    open_with(w, '{');
    put_text(w, "trigger", triggers[stream->trigger]);
    put_int(w, "intervalMicros",
            stream->trigger == MR_TRIGGER_INTERVAL ? stream->interval_micros : -1);
    put_text(w, "outputMode", mr_plan_output_mode(plan));
    put_text(w, "queryName", stream->query_name);
    close_with(w, '}');
}

void mr_plan_explain_json(const struct mr_plan *plan, struct mr_bytes *out)
{
    struct writer w = {out, false};
    open_with(&w, '{');
    put_text(&w, "pipeline", plan->spec->name);
    put_text(&w, "mode", plan->spec->mode == MR_MODE_BATCH ? "batch" : "streaming");
    put_text(&w, "fingerprint", plan->fingerprint);
    put_stream(&w, plan);
    key(&w, "nodes");
    open_with(&w, '[');
    for (int i = 0; i < plan->nnodes; i++)
        put_node(&w, &plan->nodes[i]);
    close_with(&w, ']');
    key(&w, "segments");
    open_with(&w, '[');
    for (int i = 0; i < plan->nsegments; i++)
        put_segment(&w, &plan->segments[i]);
    close_with(&w, ']');
    key(&w, "actions");
    open_with(&w, '[');
    for (int i = 0; i < plan->nactions; i++) {
        element(&w);
        open_with(&w, '{');
        put_text(&w, "step", plan->actions[i].step->label);
        put_text(&w, "method", plan->actions[i].step->method->name);
        put_text(&w, "details", plan->actions[i].text);
        close_with(&w, '}');
    }
    close_with(&w, ']');
    put_int(&w, "tasks", plan->ntasks);
    put_int(&w, "predictedMemory", plan->predicted_memory);
    put_bool(&w, "inTurn", plan->in_turn);
    put_bool(&w, "rewrites", plan->spec->rewrites);
    key(&w, "notes");
    open_with(&w, '[');
    for (int i = 0; i < plan->spec->nnotes; i++) {
        element(&w);
        mr_bytes_json_string(out, plan->spec->notes[i].text, strlen(plan->spec->notes[i].text));
    }
    close_with(&w, ']');
    key(&w, "warnings");
    open_with(&w, '[');
    for (int i = 0; i < plan->nwarnings; i++) {
        element(&w);
        open_with(&w, '{');
        put_text(&w, "where", plan->warnings[i].where);
        put_text(&w, "text", plan->warnings[i].text);
        close_with(&w, '}');
    }
    close_with(&w, ']');
    close_with(&w, '}');
}

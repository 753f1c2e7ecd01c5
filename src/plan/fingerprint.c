/*
 * fingerprint.c - a hash of what decides rows and names.
 *
 * Methods, options (but connections and secrets: the same pipeline against a moved server is the
 * same pipeline), schemas, edges, and how output tasks share the splits. Not the splits' own bytes:
 * they hold a snapshot, new in every run.
 */
#include "plan/build.h"

#include "base/hash.h"

static void add_value(struct mr_bytes *out, const struct mr_option_value *value, bool connection)
{
    switch (value->option->type) {
    case MR_OPTION_BOOL:
        mr_bytes_printf(out, "%d", value->u.boolean);
        break;
    case MR_OPTION_INT:
    case MR_OPTION_SIZE:
    case MR_OPTION_DURATION:
    case MR_OPTION_ENUM:
        mr_bytes_printf(out, "%lld", (long long)value->u.integer);
        break;
    case MR_OPTION_DOUBLE:
        mr_bytes_printf(out, "%.17g", value->u.number);
        break;
    case MR_OPTION_STRING:
    case MR_OPTION_ANY:
        mr_bytes_lenpref(out, value->u.text, value->u.text != NULL ? strlen(value->u.text) : 0);
        break;
    case MR_OPTION_STRINGS:
        for (int i = 0; i < value->u.strings.count; i++)
            mr_bytes_lenpref(out, value->u.strings.items[i], strlen(value->u.strings.items[i]));
        break;
    case MR_OPTION_PAIRS:
    case MR_OPTION_NAMED_OBJECTS:
        for (int i = 0; i < value->u.pairs.count; i++) {
            const struct mr_option_pair *pair = &value->u.pairs.items[i];
            mr_bytes_lenpref(out, pair->name, strlen(pair->name));
            if (pair->text != NULL)
                mr_bytes_lenpref(out, pair->text, strlen(pair->text));
            mr_plan_print_options(out, pair->object, connection);
        }
        break;
    case MR_OPTION_OBJECT:
        mr_plan_print_options(out, value->u.object, connection);
        break;
    case MR_OPTION_OBJECTS:
        for (int i = 0; i < value->u.objects.count; i++)
            mr_plan_print_options(out, value->u.objects.items[i], connection);
        break;
    }
}

void mr_plan_print_options(struct mr_bytes *out, const struct mr_options *options,
                           bool with_connection)
{
    for (int i = 0; options != NULL && i < options->count; i++) {
        const struct mr_option_value *value = &options->values[i];
        unsigned skipped = MR_OPTION_SECRET | (with_connection ? 0 : MR_OPTION_CONNECTION);
        if (!value->set || (value->option->flags & skipped))
            continue;
        mr_bytes_text(out, value->option->name);
        mr_bytes_char(out, '=');
        add_value(out, value, with_connection);
        mr_bytes_char(out, ';');
    }
}

enum mr_status mr_plan_fingerprint(struct mr_plan_builder *builder, struct mr_error *err)
{
    struct mr_plan *plan = builder->plan;
    struct mr_bytes text;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    mr_bytes_printf(&text, "1 %d %s\n", builder->spec->ansi, builder->spec->time_zone);
    for (int i = 0; i < plan->nnodes; i++) {
        const struct mr_plan_node *node = &plan->nodes[i];
        mr_bytes_printf(&text, "%d %s", node->kind, node->step->method->name);
        for (int k = 0; k < node->ninputs; k++)
            mr_bytes_printf(&text, " %d.%d", node->inputs[k].node, node->inputs[k].port);
        mr_bytes_char(&text, '\n');
        mr_plan_print_options(&text, node->step->options, false);
        if (node->is_part) {
            mr_bytes_printf(&text, "%s\n", node->op ? node->op->name : node->source->name);
            mr_plan_print_options(&text, builder->drafts[i].options, false);
        }
        if (mr_plan_is_breaker(node))
            mr_bytes_printf(&text, "pulls %d\n", node->op_info.pulls);
        if (node->schema != NULL)
            mr_schema_format(node->schema, &text);
        mr_bytes_char(&text, '\n');
    }
    for (int i = 0; i < plan->nactions; i++) {
        mr_bytes_printf(&text, "%s\n", plan->actions[i].step->method->name);
        mr_plan_print_options(&text, plan->actions[i].step->options, false);
    }
    for (int s = 0; s < plan->nsegments; s++) {
        const struct mr_plan_segment *segment = &plan->segments[s];
        mr_bytes_printf(&text, "%d %d", segment->first_task, segment->gather);
        for (int t = 0; t <= segment->ntasks; t++)
            mr_bytes_printf(&text, " %d", segment->task_splits[t]);
        mr_bytes_char(&text, '\n');
    }
    enum mr_status status = mr_bytes_status(&text, err);
    if (status == MR_OK) {
        plan->fingerprint = mr_arena_printf(builder->arena, "%016llx",
                                            (unsigned long long)mr_hash64(text.data, text.size));
        if (plan->fingerprint == NULL)
            status = mr_error_nomem(err);
    }
    mr_bytes_reset(&text);
    return status;
}

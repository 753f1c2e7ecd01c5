/*
 * fingerprint.c - a hash of what decides rows and names.
 *
 * Methods, options (but connections and secrets: the same pipeline against a moved server is the
 * same pipeline), schemas, edges, and how output tasks share the splits. Not the splits' own bytes:
 * they hold a snapshot, new in every run.
 */
#include "plan/build.h"

#include "base/hash.h"

void mr_plan_print_options(struct mr_bytes *out, const struct mr_options *options,
                           bool with_connection)
{
    mr_options_write(options, MR_OPTION_SECRET | (with_connection ? 0 : MR_OPTION_CONNECTION), out);
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

/*
 * report_steps.c - rows, times, memory and counters of each step.
 *
 * A step that stands for several operators is one entry whose figures add up its parts': the rows
 * that came from outside of it, the rows that left its last part, and the sums of times, counters
 * and peaks (peaks of different moments: an upper bound). The parts themselves stand in it.
 */
#include "run/report_steps.h"

#include <stdlib.h>

static json_t *milliseconds(int64_t micros)
{
    return json_real((double)micros / 1000.0);
}

static json_t *waiting(const struct mr_exec_step *step)
{
    json_t *out = json_object();
    for (int i = 0; i < MR_WAIT_CAUSES; i++)
        json_object_set_new(out, mr_wait_cause_name((enum mr_wait_cause)i),
                            milliseconds(step->waiting[i]));
    return out;
}

static json_t *rules(struct mr_op_counts *counts)
{
    json_t *out = json_object();
    json_t *by_rule = json_object();
    for (int i = 0; i < counts->count; i++)
        json_object_set_new(by_rule, counts->names[i],
                            json_integer(atomic_load(&counts->values[i])));
    json_object_set_new(out, "rows_failed", json_integer(atomic_load(&counts->rows_failed)));
    json_object_set_new(out, "rules", by_rule);
    return out;
}

static void add_counters(json_t *out, const struct mr_counters *counters)
{
    for (int i = 0; i < MR_COUNTERS; i++) {
        int64_t value = atomic_load(&counters->value[i]);
        if (value != 0)
            json_object_set_new(out, mr_counter_name((enum mr_counter)i), json_integer(value));
    }
}

static void add_figures(json_t *out, const struct mr_exec_step *step, int64_t peak,
                        const struct mr_counters *counters)
{
    if (step) {
        json_object_set_new(out, "rows_in", json_integer(step->rows_in));
        json_object_set_new(out, "rows_out", json_integer(step->rows_out));
        json_object_set_new(out, "batches", json_integer(step->batches));
        int64_t rows = step->rows_in > step->rows_out ? step->rows_in : step->rows_out;
        json_object_set_new(out, "mean_batch_rows",
                            json_integer(step->batches ? rows / step->batches : 0));
        json_object_set_new(out, "working_ms", milliseconds(step->working));
        json_object_set_new(out, "cpu_ms", milliseconds(step->cpu));
        json_object_set_new(out, "waiting_ms", waiting(step));
    }
    json_object_set_new(out, "peak_memory_bytes", json_integer(peak));
    json_t *counts = json_object();
    add_counters(counts, counters);
    json_object_set_new(out, "counters", counts);
}

static json_t *step_head(const struct mr_plan_node *node)
{
    json_t *out = json_object();
    json_object_set_new(out, "step", json_string(node->step->label));
    json_object_set_new(out, "method", json_string(node->step->method_name));
    json_object_set_new(out, "type", json_string(mr_step_type_name(node->step->type)));
    return out;
}

/* Which guarantee holds over several runs, and the window that this one has read. */
static void add_incremental(json_t *out, const struct mr_plan_node *node)
{
    if (!node->source_info.guarantee)
        return;
    json_t *entry = json_object();
    json_object_set_new(entry, "guarantee", json_string(node->source_info.guarantee));
    json_object_set_new(entry, "repeats", json_boolean(node->source_info.repeats));
    json_object_set_new(entry, "since",
                        node->since_text ? json_string(node->since_text) : json_null());
    json_object_set_new(entry, "upto",
                        node->splits.upto_text ? json_string(node->splits.upto_text) : json_null());
    json_object_set_new(out, "incremental", entry);
}

static json_t *step_report(const struct mr_plan_node *node, const struct mr_exec_step *step)
{
    json_t *out = step_head(node);
    add_figures(out, step, mr_memory_peak(node->runtime->memory), node->runtime->counters);
    if (node->kind == MR_PLAN_OP && node->op_info.counts)
        json_object_set_new(out, "validation", rules(node->op_info.counts));
    if (node->kind == MR_PLAN_SOURCE && node->source_info.location)
        json_object_set_new(out, "location", json_string(node->source_info.location));
    if (node->kind == MR_PLAN_SOURCE)
        add_incremental(out, node);
    if (node->kind == MR_PLAN_SINK && node->sink_info.location)
        json_object_set_new(out, "location", json_string(node->sink_info.location));
    return out;
}

/* Is the node run anywhere? A filter that went into the source is not. */
static bool is_run(const struct mr_plan *plan, int node)
{
    for (int i = 0; i < plan->nsegments; i++)
        for (int j = 0; j < plan->segments[i].nnodes; j++)
            if (plan->segments[i].nodes[j] == node)
                return true;
    return plan->nodes[node].kind == MR_PLAN_SOURCE;
}

static const struct mr_exec_step *figures_of(const struct mr_exec_result *result, int node)
{
    for (int i = 0; i < result->nsteps; i++)
        if (result->steps[i].node == node)
            return &result->steps[i];
    return NULL;
}

static bool is_part_of(const struct mr_plan_node *node, const struct mr_step_spec *step)
{
    return node->is_part && node->step == step;
}

/* A load; not where the rejected or late rows of a transform go. */
static bool is_sink_of(const struct mr_plan_node *node, const struct mr_step_spec *step)
{
    return node->kind == MR_PLAN_SINK && node->step == step && step->type == MR_STEP_LOAD;
}

/* Does a later node belong to the same step? Then it is told there. */
static bool is_told_later(const struct mr_plan *plan, int node)
{
    for (int i = node + 1; i < plan->nnodes; i++)
        if (is_part_of(&plan->nodes[i], plan->nodes[node].step) ||
            is_sink_of(&plan->nodes[i], plan->nodes[node].step))
            return true;
    return false;
}

static void add_part(struct mr_exec_step *sum, const struct mr_plan *plan,
                     const struct mr_plan_node *node, const struct mr_exec_step *step)
{
    bool outside = false;
    for (int k = 0; k < node->ninputs; k++)
        outside |= !is_part_of(&plan->nodes[node->inputs[k].node], node->step);
    if (outside) {
        sum->rows_in += step->rows_in;
        sum->batches += step->batches;
    }
    sum->working += step->working;
    sum->cpu += step->cpu;
    for (int c = 0; c < MR_WAIT_CAUSES; c++)
        sum->waiting[c] += step->waiting[c];
}

static json_t *part_report(const struct mr_plan *plan, int node, const struct mr_exec_step *step)
{
    const struct mr_plan_node *part = &plan->nodes[node];
    json_t *out = json_object();
    json_object_set_new(out, "part", json_string(part->label));
    json_object_set_new(out, "method", json_string(part->op ? part->op->name : part->source->name));
    add_figures(out, step, mr_memory_peak(part->runtime->memory), part->runtime->counters);
    if (plan->nsegments > 0 && !is_run(plan, node))
        json_object_set_new(out, "pushed_down", json_true());
    return out;
}

static json_t *parts_report(const struct mr_plan *plan, const struct mr_exec_result *result,
                            int last)
{
    struct mr_exec_step sum = {0};
    struct mr_counters counters = {0};
    int64_t peak = 0;
    bool any = false, run = false;
    json_t *parts = json_array();
    for (int i = 0; i <= last; i++) {
        const struct mr_plan_node *node = &plan->nodes[i];
        const struct mr_exec_step *step = figures_of(result, i);
        if (!is_part_of(node, plan->nodes[last].step))
            continue;
        if (step)
            add_part(&sum, plan, node, step);
        any |= step != NULL;
        run |= is_run(plan, i);
        if (step && is_run(plan, i)) /* the last one counts: nothing behind it changed the rows */
            sum.rows_out = step->rows_out;
        peak += mr_memory_peak(node->runtime->memory);
        for (int c = 0; c < MR_COUNTERS; c++)
            atomic_fetch_add(&counters.value[c], atomic_load(&node->runtime->counters->value[c]));
        json_array_append_new(parts, part_report(plan, i, step));
    }
    json_t *out = step_head(&plan->nodes[last]);
    add_figures(out, any ? &sum : NULL, peak, &counters);
    if (plan->nsegments > 0 && !run)
        json_object_set_new(out, "pushed_down", json_true());
    json_object_set_new(out, "parts", parts);
    return out;
}

/*
 * Of a load with parts in front of it: what came from other steps, and what was written. The rows that the sink itself is given are
 * more: they say also which rows of the target go.
 */
static struct mr_exec_step sink_figures(const struct mr_plan *plan,
                                        const struct mr_exec_result *result, int sink)
{
    struct mr_exec_step sum = {0};
    const struct mr_plan_node *node = &plan->nodes[sink];
    const struct mr_exec_step *own = figures_of(result, sink);
    bool any = false;
    for (int i = 0; i < sink; i++) {
        const struct mr_exec_step *step = figures_of(result, i);
        if (!step || !is_part_of(&plan->nodes[i], node->step))
            continue;
        any = true;
        add_part(&sum, plan, &plan->nodes[i], step);
    }
    struct mr_exec_step out = *own;
    if (any) {
        out.rows_in = sum.rows_in;
        out.rows_out = atomic_load(&node->runtime->counters->value[MR_COUNT_ROWS_WRITTEN]);
    }
    return out;
}

/* What stood in front of a sink: the scan and the join of a merge. */
static void add_sink_parts(json_t *entry, const struct mr_plan *plan,
                           const struct mr_exec_result *result, int sink)
{
    json_t *parts = json_array();
    for (int i = 0; i < sink; i++)
        if (is_part_of(&plan->nodes[i], plan->nodes[sink].step))
            json_array_append_new(parts, part_report(plan, i, figures_of(result, i)));
    if (json_array_size(parts) > 0)
        json_object_set(entry, "parts", parts);
    json_decref(parts);
}

static json_t *action_report(const struct mr_plan_action *action)
{
    json_t *out = json_object();
    json_object_set_new(out, "step", json_string(action->step->label));
    json_object_set_new(out, "method", json_string(action->step->method_name));
    json_object_set_new(out, "type", json_string(mr_step_type_name(action->step->type)));
    json_t *counts = json_object();
    add_counters(counts, action->runtime->counters);
    json_object_set_new(out, "counters", counts);
    json_object_set_new(out, "peak_memory_bytes",
                        json_integer(mr_memory_peak(action->runtime->memory)));
    if (action->report != NULL)
        json_object_set_new(out, "result", json_loads(action->report, 0, NULL));
    return out;
}

json_t *mr_report_steps(const struct mr_plan *plan, const struct mr_exec_result *result)
{
    json_t *out = json_array();
    for (int i = 0; i < plan->nnodes; i++) {
        if (plan->nodes[i].is_part) {
            if (!is_told_later(plan, i))
                json_array_append_new(out, parts_report(plan, result, i));
            continue;
        }
        const struct mr_exec_step *figures = figures_of(result, i);
        struct mr_exec_step of_sink;
        if (figures && is_sink_of(&plan->nodes[i], plan->nodes[i].step)) {
            of_sink = sink_figures(plan, result, i);
            figures = &of_sink;
        }
        json_t *entry = step_report(&plan->nodes[i], figures);
        if (plan->nsegments > 0 && !is_run(plan, i))
            json_object_set_new(entry, "pushed_down", json_true());
        if (is_sink_of(&plan->nodes[i], plan->nodes[i].step))
            add_sink_parts(entry, plan, result, i);
        json_array_append_new(out, entry);
    }
    for (int i = 0; i < plan->nactions; i++)
        json_array_append_new(out, action_report(&plan->actions[i]));
    return out;
}

/*
 * report_steps.c - rows, times, memory and counters of each step.
 *
 * A step that stands for several operators is one entry whose figures add up its parts': the rows
 * that came from outside of it, the rows that left its last part, and the sums of times, counters
 * and peaks (peaks of different moments: an upper bound). The parts themselves stand in it.
 */
#include "run/report_steps.h"

#include <string.h>

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

static json_t *rules(const struct mr_figure *figure)
{
    json_t *out = json_object();
    json_t *by_rule = json_object();
    for (int i = 0; i < figure->nrules; i++)
        json_object_set_new(by_rule, figure->rules[i], json_integer(figure->broken[i]));
    json_object_set_new(out, "rows_failed", json_integer(figure->rows_failed));
    json_object_set_new(out, "rules", by_rule);
    return out;
}

static json_t *counters_report(const int64_t counters[MR_COUNTERS])
{
    json_t *out = json_object();
    for (int i = 0; i < MR_COUNTERS; i++)
        if (counters[i] != 0)
            json_object_set_new(out, mr_counter_name((enum mr_counter)i),
                                json_integer(counters[i]));
    return out;
}

/* `step` NULL: it was not executed. */
static void add_figures(json_t *out, const struct mr_exec_step *step, int64_t peak,
                        const int64_t counters[MR_COUNTERS])
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
    json_object_set_new(out, "counters", counters_report(counters));
}

static json_t *step_head(const char *label, const char *method, enum mr_step_type type)
{
    json_t *out = json_object();
    json_object_set_new(out, "step", json_string(label));
    json_object_set_new(out, "method", json_string(method));
    json_object_set_new(out, "type", json_string(mr_step_type_name(type)));
    return out;
}

/* Which guarantee holds over several runs, and the window that this one has read. */
static void add_incremental(json_t *out, const struct mr_figure *figure)
{
    if (!figure->guarantee)
        return;
    json_t *entry = json_object();
    json_object_set_new(entry, "guarantee", json_string(figure->guarantee));
    json_object_set_new(entry, "repeats", json_boolean(figure->repeats));
    json_object_set_new(entry, "since", figure->since ? json_string(figure->since) : json_null());
    json_object_set_new(entry, "upto", figure->upto ? json_string(figure->upto) : json_null());
    json_object_set_new(out, "incremental", entry);
}

static const struct mr_exec_step *done_by(const struct mr_figure *figure)
{
    return figure->measured ? &figure->done : NULL;
}

static json_t *step_report(const struct mr_figure *figure, const struct mr_exec_step *step)
{
    json_t *out = step_head(figure->step, figure->method, figure->type);
    add_figures(out, step, figure->peak, figure->counters);
    if (figure->rows_failed >= 0)
        json_object_set_new(out, "validation", rules(figure));
    if (figure->location)
        json_object_set_new(out, "location", json_string(figure->location));
    add_incremental(out, figure);
    return out;
}

static bool is_of(const struct mr_figure *figure, const struct mr_figure *other)
{
    return strcmp(figure->step, other->step) == 0;
}

/* A load; not where the rejected or late rows of a transform go. */
static bool is_load(const struct mr_figure *figure)
{
    return figure->kind == MR_PLAN_SINK && figure->type == MR_STEP_LOAD;
}

/* Does a later one belong to the same step? Then it is told there. */
static bool is_told_later(const struct mr_figures *figures, int at)
{
    for (int i = at + 1; i < figures->count; i++)
        if (is_of(&figures->items[i], &figures->items[at]) &&
            (figures->items[i].part || is_load(&figures->items[i])))
            return true;
    return false;
}

static void add_part(struct mr_exec_step *sum, const struct mr_figure *part)
{
    if (part->outer) {
        sum->rows_in += part->done.rows_in;
        sum->batches += part->done.batches;
    }
    sum->working += part->done.working;
    sum->cpu += part->done.cpu;
    for (int c = 0; c < MR_WAIT_CAUSES; c++)
        sum->waiting[c] += part->done.waiting[c];
}

static json_t *part_report(const struct mr_figures *figures, const struct mr_figure *part)
{
    json_t *out = json_object();
    json_object_set_new(out, "part", json_string(part->label));
    json_object_set_new(out, "method", json_string(part->part));
    add_figures(out, done_by(part), part->peak, part->counters);
    if (figures->segmented && !part->ran)
        json_object_set_new(out, "pushed_down", json_true());
    return out;
}

static json_t *parts_report(const struct mr_figures *figures, int last)
{
    const struct mr_figure *whole = &figures->items[last];
    struct mr_exec_step sum = {0};
    int64_t counters[MR_COUNTERS] = {0}, peak = 0;
    bool any = false, ran = false;
    json_t *parts = json_array();
    for (int i = 0; i <= last; i++) {
        const struct mr_figure *part = &figures->items[i];
        if (!part->part || !is_of(part, whole))
            continue;
        add_part(&sum, part);
        any |= part->measured;
        ran |= part->ran;
        if (part->measured &&
            part->ran) /* the last one counts: nothing behind it changed the rows */
            sum.rows_out = part->done.rows_out;
        peak += part->peak;
        for (int c = 0; c < MR_COUNTERS; c++)
            counters[c] += part->counters[c];
        json_array_append_new(parts, part_report(figures, part));
    }
    json_t *out = step_head(whole->step, whole->method, whole->type);
    add_figures(out, any ? &sum : NULL, peak, counters);
    if (figures->segmented && !ran)
        json_object_set_new(out, "pushed_down", json_true());
    json_object_set_new(out, "parts", parts);
    return out;
}

/*
 * A load with what stands in front of its sink: the scan and the join of a merge. Its rows are then what came from other steps, and
 * what was written. The rows that the sink itself is given are more: they say also which rows of the target go.
 */
static json_t *load_report(const struct mr_figures *figures, int at)
{
    const struct mr_figure *load = &figures->items[at];
    struct mr_exec_step sum = {0}, done = load->done;
    json_t *parts = json_array();
    bool any = false;
    for (int i = 0; i < at; i++) {
        const struct mr_figure *part = &figures->items[i];
        if (!part->part || !is_of(part, load))
            continue;
        any |= part->measured;
        add_part(&sum, part);
        json_array_append_new(parts, part_report(figures, part));
    }
    if (any) {
        done.rows_in = sum.rows_in;
        done.rows_out = load->counters[MR_COUNT_ROWS_WRITTEN];
    }
    json_t *out = step_report(load, load->measured ? &done : NULL);
    if (json_array_size(parts) > 0)
        json_object_set(out, "parts", parts);
    json_decref(parts);
    return out;
}

static json_t *action_report(const struct mr_plan_action *action)
{
    const struct mr_step_spec *step = action->step;
    json_t *out = step_head(step->label, step->method_name, step->type);
    int64_t counters[MR_COUNTERS];
    for (int i = 0; i < MR_COUNTERS; i++)
        counters[i] = atomic_load(&action->runtime->counters->value[i]);
    json_object_set_new(out, "counters", counters_report(counters));
    json_object_set_new(out, "peak_memory_bytes",
                        json_integer(mr_memory_peak(action->runtime->memory)));
    if (action->report != NULL)
        json_object_set_new(out, "result", json_loads(action->report, 0, NULL));
    return out;
}

json_t *mr_report_steps(const struct mr_figures *figures, const struct mr_plan *plan)
{
    json_t *out = json_array();
    for (int i = 0; i < figures->count; i++) {
        const struct mr_figure *figure = &figures->items[i];
        if (figure->part) {
            if (!is_told_later(figures, i))
                json_array_append_new(out, parts_report(figures, i));
            continue;
        }
        json_t *entry =
            is_load(figure) ? load_report(figures, i) : step_report(figure, done_by(figure));
        if (figures->segmented && !figure->ran)
            json_object_set_new(entry, "pushed_down", json_true());
        json_array_append_new(out, entry);
    }
    for (int i = 0; plan && i < plan->nactions; i++)
        json_array_append_new(out, action_report(&plan->actions[i]));
    return out;
}

/*
 * figures.c - sums over plans.
 *
 * The report, /metrics and the log of a stream speak of all its epochs, and each epoch has a plan of its own that goes with it, counters and all. So
 * what they say of a node is copied, and added up by its label and kind: numbers of nodes may differ (a rewrite that found nothing to do, a
 * frame that is held), labels do not. There are as many entries as there are different nodes, however long the stream runs. A batch run is
 * a sum of one.
 *
 * Refused: to write the report from the last plan. There is none while the next one is being made, and its numbers are those of its own epoch.
 */
#include "run/figures.h"

#include <stdio.h>
#include <string.h>

void mr_figures_init(struct mr_figures *figures)
{
    *figures = (struct mr_figures){0};
    mr_arena_init(&figures->arena, NULL);
}

void mr_figures_reset(struct mr_figures *figures)
{
    for (int i = 0; i < figures->count; i++)
        mr_free(figures->items[i].upto);
    mr_free(figures->items);
    mr_arena_reset(&figures->arena);
    mr_figures_init(figures);
}

bool mr_figures_is_peak(int counter)
{
    return counter == MR_COUNT_CONNECTIONS_PEAK || counter == MR_COUNT_FILE_BYTES_MEDIAN;
}

/* ---- entries ---- */

/* Nodes of one label and kind are told apart by their order. */
static int count_before(const struct mr_plan *plan, int at)
{
    int count = 0;
    for (int i = 0; i < at; i++)
        count += plan->nodes[i].kind == plan->nodes[at].kind &&
                 strcmp(plan->nodes[i].label, plan->nodes[at].label) == 0;
    return count;
}

static int find(const struct mr_figures *figures, const struct mr_plan *plan, int at)
{
    const struct mr_plan_node *node = &plan->nodes[at];
    int nth = count_before(plan, at);
    for (int i = 0; i < figures->count; i++)
        if (figures->items[i].kind == node->kind &&
            strcmp(figures->items[i].label, node->label) == 0 && nth-- == 0)
            return i;
    return -1;
}

static const char *copy(struct mr_figures *figures, const char *text, bool *ok)
{
    const char *own = text != NULL ? mr_arena_strdup(&figures->arena, text) : NULL;
    *ok = *ok && (text == NULL || own != NULL);
    return own;
}

static void copy_rules(struct mr_figures *figures, const struct mr_op_counts *counts,
                       struct mr_figure *out, bool *ok)
{
    out->rows_failed = -1;
    if (counts == NULL)
        return;
    out->rows_failed = 0;
    out->nrules = counts->count;
    out->rules = mr_arena_calloc(&figures->arena, (size_t)counts->count + 1, sizeof(*out->rules));
    out->broken = mr_arena_calloc(&figures->arena, (size_t)counts->count + 1, sizeof(*out->broken));
    *ok = *ok && out->rules != NULL && out->broken != NULL;
    for (int i = 0; i < counts->count && *ok; i++)
        out->rules[i] = copy(figures, counts->names[i], ok);
}

static bool comes_from_outside(const struct mr_plan *plan, const struct mr_plan_node *node)
{
    for (int k = 0; k < node->ninputs; k++) {
        const struct mr_plan_node *from = &plan->nodes[node->inputs[k].node];
        if (!from->is_part || from->step != node->step)
            return true;
    }
    return false;
}

static enum mr_status describe(struct mr_figures *figures, const struct mr_plan *plan,
                               const struct mr_plan_node *node, struct mr_figure *out,
                               struct mr_error *err)
{
    bool ok = true, source = node->kind == MR_PLAN_SOURCE;
    const char *own = node->op != NULL ? node->op->name : source ? node->source->name : NULL;
    *out = (struct mr_figure){
        .label = copy(figures, node->label, &ok),
        .step = copy(figures, node->step->label, &ok),
        .method = copy(figures, node->step->method_name, &ok),
        .part = node->is_part ? copy(figures, own, &ok) : NULL,
        .type = node->step->type,
        .kind = node->kind,
        .source = node->source,
        .outer = comes_from_outside(plan, node),
        .location = copy(figures,
                         source                       ? node->source_info.location
                         : node->kind == MR_PLAN_SINK ? node->sink_info.location
                                                      : NULL,
                         &ok),
        .guarantee = source ? copy(figures, node->source_info.guarantee, &ok) : NULL,
        .repeats = source && node->source_info.repeats,
    };
    copy_rules(figures, node->kind == MR_PLAN_OP ? node->op_info.counts : NULL, out, &ok);
    return ok ? MR_OK : mr_error_nomem(err);
}

/* Behind the entry of the node in front of it in the plan. */
static enum mr_status insert(struct mr_figures *figures, const struct mr_plan *plan, int node,
                             int at, struct mr_error *err)
{
    struct mr_figure *more =
        mr_realloc(figures->items, ((size_t)figures->count + 1) * sizeof *more);
    if (more == NULL)
        return mr_error_nomem(err);
    figures->items = more;
    struct mr_figure figure;
    MR_TRY(describe(figures, plan, &plan->nodes[node], &figure, err));
    memmove(&more[at + 1], &more[at], (size_t)(figures->count - at) * sizeof *more);
    more[at] = figure;
    figures->count++;
    return MR_OK;
}

/* A filter that went into the source is in no segment. */
static bool is_run(const struct mr_plan *plan, int node)
{
    for (int i = 0; i < plan->nsegments; i++)
        if (mr_plan_lists(plan->segments[i].nodes, plan->segments[i].nnodes, node))
            return true;
    return plan->nodes[node].kind == MR_PLAN_SOURCE;
}

enum mr_status mr_figures_know(struct mr_figures *figures, const struct mr_plan *plan,
                               struct mr_error *err)
{
    int before = -1;
    for (int i = 0; i < plan->nnodes; i++) {
        int at = find(figures, plan, i);
        if (at < 0) {
            at = before + 1;
            MR_TRY(insert(figures, plan, i, at, err));
        }
        figures->items[at].ran |= is_run(plan, i);
        before = at;
    }
    figures->segmented |= plan->nsegments > 0;
    snprintf(figures->fingerprint, sizeof figures->fingerprint, "%s",
             plan->fingerprint != NULL ? plan->fingerprint : "");
    return MR_OK;
}

/* ---- sums ---- */

static void add_step(struct mr_exec_step *sum, const struct mr_exec_step *step)
{
    sum->working += step->working;
    sum->cpu += step->cpu;
    for (int i = 0; i < MR_WAIT_CAUSES; i++)
        sum->waiting[i] += step->waiting[i];
    sum->rows_in += step->rows_in;
    sum->rows_out += step->rows_out;
    sum->batches += step->batches;
}

static void add_counters(struct mr_figure *figure, const struct mr_counters *counters)
{
    for (int i = 0; i < MR_COUNTERS; i++) {
        int64_t value = atomic_load(&counters->value[i]);
        if (!mr_figures_is_peak(i))
            figure->counters[i] += value;
        else if (value > figure->counters[i])
            figure->counters[i] = value;
    }
}

static void add_rules(struct mr_figure *figure, const struct mr_op_counts *counts)
{
    figure->rows_failed += atomic_load(&counts->rows_failed);
    for (int i = 0; i < figure->nrules && i < counts->count; i++)
        figure->broken[i] += atomic_load(&counts->values[i]);
}

static enum mr_status add_places(struct mr_figures *figures, struct mr_figure *figure,
                                 const struct mr_plan_node *node, struct mr_error *err)
{
    bool ok = true;
    if (!figure->measured)
        figure->since = copy(figures, node->since_text, &ok);
    char *upto = node->splits.upto_text != NULL ? mr_strdup(node->splits.upto_text) : NULL;
    if (!ok || (node->splits.upto_text != NULL && upto == NULL)) {
        mr_free(upto);
        return mr_error_nomem(err);
    }
    mr_free(figure->upto);
    figure->upto = upto;
    return MR_OK;
}

enum mr_status mr_figures_add(struct mr_figures *figures, const struct mr_plan *plan,
                              const struct mr_exec_result *result, struct mr_error *err)
{
    MR_TRY(mr_figures_know(figures, plan, err));
    for (int i = 0; i < plan->nnodes; i++) {
        const struct mr_plan_node *node = &plan->nodes[i];
        struct mr_figure *figure = &figures->items[find(figures, plan, i)];
        add_counters(figure, node->runtime->counters);
        if (figure->rows_failed >= 0)
            add_rules(figure, node->op_info.counts);
        if (figure->guarantee != NULL)
            MR_TRY(add_places(figures, figure, node, err));
        for (int k = 0; k < result->nsteps; k++) {
            if (result->steps[k].node != i)
                continue;
            add_step(&figure->done, &result->steps[k]);
            figure->measured = true;
        }
        int64_t peak = mr_memory_peak(node->runtime->memory);
        figure->peak = peak > figure->peak ? peak : figure->peak;
    }
    return MR_OK;
}

void mr_figures_rows(const struct mr_figures *figures, struct mr_figure_rows *out)
{
    *out = (struct mr_figure_rows){0};
    for (int i = 0; i < figures->count; i++) {
        const struct mr_figure *figure = &figures->items[i];
        const int64_t *counters = figure->counters;
        bool load = figure->type == MR_STEP_LOAD;
        if (figure->kind == MR_PLAN_SINK) {
            *(load ? &out->written : &out->letters) += counters[MR_COUNT_ROWS_WRITTEN];
            out->bytes_written += counters[MR_COUNT_BYTES_WRITTEN];
            continue;
        }
        out->rejected += counters[MR_COUNT_ROWS_REJECTED];
        if (figure->kind == MR_PLAN_OP) {
            out->late += counters[MR_COUNT_ROWS_LATE];
            continue;
        }
        out->read += load ? 0 : counters[MR_COUNT_ROWS_READ];
        out->bytes_read += counters[MR_COUNT_BYTES_READ];
    }
}

/*
 * totals.c - sums over the epochs of a stream.
 *
 * Each epoch has a plan of its own, and counters with it. They are added up by the label of a node and its kind: numbers of nodes may
 * differ (a rewrite that found nothing to do), labels do not. There are as many entries as a plan has nodes, however long the stream runs.
 */
#include "run/totals.h"

#include "base/time.h"

#include <stdio.h>
#include <string.h>

enum mr_status mr_totals_init(struct mr_totals *totals, struct mr_error *err)
{
    *totals = (struct mr_totals){.latency = mr_calloc(1, sizeof *totals->latency)};
    mr_mutex_init(&totals->lock);
    return totals->latency != NULL ? MR_OK : mr_error_nomem(err);
}

void mr_totals_failed(struct mr_totals *totals, const struct mr_error *failure)
{
    pthread_mutex_lock(&totals->lock);
    if (failure != NULL) {
        if (!totals->failing)
            totals->failing_since = mr_clock_wall_micros();
        memcpy(totals->reason, failure->message, sizeof totals->reason);
        totals->failures++;
        totals->in_row++;
    } else {
        totals->in_row = 0;
    }
    totals->failing = failure != NULL;
    pthread_mutex_unlock(&totals->lock);
}

void mr_totals_start(struct mr_totals *totals, int64_t epoch)
{
    pthread_mutex_lock(&totals->lock);
    totals->epoch = epoch;
    pthread_mutex_unlock(&totals->lock);
    mr_totals_begin(totals);
}

void mr_totals_begin(struct mr_totals *totals)
{
    pthread_mutex_lock(&totals->lock);
    if (totals->working == 0)
        totals->working = mr_clock_monotonic_micros();
    pthread_mutex_unlock(&totals->lock);
}

void mr_totals_rest(struct mr_totals *totals)
{
    pthread_mutex_lock(&totals->lock);
    totals->working = 0;
    totals->ready = true;
    pthread_mutex_unlock(&totals->lock);
}

enum mr_status mr_totals_look(struct mr_totals *totals, const struct mr_plan *plan,
                              struct mr_error *err)
{
    pthread_mutex_lock(&totals->lock);
    totals->looked = mr_clock_wall_micros();
    enum mr_status status = mr_gauges_look(&totals->now, plan, err);
    pthread_mutex_unlock(&totals->lock);
    return status;
}

enum mr_status mr_totals_keep(struct mr_totals *totals, struct mr_kept *kept,
                              const struct mr_plan *plan, struct mr_error *err)
{
    pthread_mutex_lock(&totals->lock);
    enum mr_status status = mr_gauges_keep(&totals->now, kept, plan, err);
    pthread_mutex_unlock(&totals->lock);
    return status;
}

void mr_totals_reset(struct mr_totals *totals)
{
    for (int i = 0; i < totals->nnodes; i++)
        mr_free(totals->nodes[i].label);
    mr_free(totals->nodes);
    mr_free(totals->latency);
    mr_gauges_reset(&totals->now);
    pthread_mutex_destroy(&totals->lock);
}

bool mr_totals_is_peak(int counter)
{
    return counter == MR_COUNT_CONNECTIONS_PEAK || counter == MR_COUNT_FILE_BYTES_MEDIAN;
}

/* The `nth` node with this label and kind. */
static struct mr_totals_node *find(struct mr_totals *totals, const struct mr_plan_node *node,
                                   int nth)
{
    for (int i = 0; i < totals->nnodes; i++)
        if (totals->nodes[i].kind == node->kind &&
            strcmp(totals->nodes[i].label, node->label) == 0 && nth-- == 0)
            return &totals->nodes[i];
    return NULL;
}

static int count_before(const struct mr_plan *plan, int at)
{
    int count = 0;
    for (int i = 0; i < at; i++)
        count += plan->nodes[i].kind == plan->nodes[at].kind &&
                 strcmp(plan->nodes[i].label, plan->nodes[at].label) == 0;
    return count;
}

static enum mr_status entry_of(struct mr_totals *totals, const struct mr_plan *plan, int at,
                               struct mr_totals_node **out, struct mr_error *err)
{
    *out = find(totals, &plan->nodes[at], count_before(plan, at));
    if (*out != NULL)
        return MR_OK;
    struct mr_totals_node *more =
        mr_realloc(totals->nodes, (size_t)(totals->nnodes + 1) * sizeof *more);
    if (more == NULL)
        return mr_error_nomem(err);
    totals->nodes = more;
    *out = &more[totals->nnodes];
    **out = (struct mr_totals_node){.label = mr_strdup(plan->nodes[at].label),
                                    .kind = plan->nodes[at].kind};
    if ((*out)->label == NULL)
        return mr_error_nomem(err);
    totals->nnodes++;
    return MR_OK;
}

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

static int64_t count_of(const struct mr_plan_node *node, enum mr_counter counter)
{
    return atomic_load(&node->runtime->counters->value[counter]);
}

void mr_totals_add_rows(struct mr_totals_rows *rows, const struct mr_plan_node *node)
{
    if (mr_totals_reads(node))
        rows->read += count_of(node, MR_COUNT_ROWS_READ);
    if (mr_totals_loads(node))
        rows->written += count_of(node, MR_COUNT_ROWS_WRITTEN);
    else if (node->kind == MR_PLAN_SINK)
        rows->letters += count_of(node, MR_COUNT_ROWS_WRITTEN);
    if (node->kind != MR_PLAN_SINK)
        rows->rejected += count_of(node, MR_COUNT_ROWS_REJECTED);
    if (node->kind == MR_PLAN_OP)
        rows->late += count_of(node, MR_COUNT_ROWS_LATE);
}

static void add_node(struct mr_totals *totals, struct mr_totals_node *entry,
                     const struct mr_plan_node *node)
{
    for (int i = 0; i < MR_COUNTERS; i++) {
        int64_t value = atomic_load(&node->runtime->counters->value[i]);
        if (mr_totals_is_peak(i))
            entry->counters[i] = value > entry->counters[i] ? value : entry->counters[i];
        else
            entry->counters[i] += value;
        if (node->kind == MR_PLAN_SOURCE && i == MR_COUNT_BYTES_READ)
            totals->bytes_read += value;
        if (node->kind == MR_PLAN_SINK && i == MR_COUNT_BYTES_WRITTEN)
            totals->bytes_written += value;
    }
    mr_totals_add_rows(&totals->rows, node);
    int64_t peak = mr_memory_peak(node->runtime->memory);
    entry->peak = peak > entry->peak ? peak : entry->peak;
}

static enum mr_status add_all(struct mr_totals *totals, const struct mr_plan *plan,
                              const struct mr_exec_result *result, struct mr_error *err)
{
    for (int i = 0; i < plan->nnodes; i++) {
        struct mr_totals_node *entry;
        MR_TRY(entry_of(totals, plan, i, &entry, err));
        add_node(totals, entry, &plan->nodes[i]);
        for (int k = 0; k < result->nsteps; k++)
            if (result->steps[k].node == i)
                add_step(&entry->step, &result->steps[k]);
    }
    return MR_OK;
}

enum mr_status mr_totals_add(struct mr_totals *totals, const struct mr_plan *plan,
                             const struct mr_exec_result *result, int64_t epoch, int64_t micros,
                             const struct mr_latency *latency, struct mr_error *err)
{
    pthread_mutex_lock(&totals->lock);
    enum mr_status status = add_all(totals, plan, result, err);
    mr_latency_add(totals->latency, latency, mr_clock_wall_micros());
    mr_gauges_commit(&totals->now);
    totals->failing = false;
    totals->in_row = 0;
    totals->committed = mr_clock_wall_micros();
    totals->epochs++;
    totals->epoch = epoch;
    totals->micros += micros;
    totals->longest_micros = micros > totals->longest_micros ? micros : totals->longest_micros;
    pthread_mutex_unlock(&totals->lock);
    return status;
}

static enum mr_status pour_steps(struct mr_totals *totals, const struct mr_plan *plan,
                                 struct mr_exec_result *result, struct mr_error *err)
{
    struct mr_exec_step *steps = mr_calloc((size_t)plan->nnodes + 1, sizeof *steps);
    if (steps == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < plan->nnodes; i++) {
        const struct mr_totals_node *entry = find(totals, &plan->nodes[i], count_before(plan, i));
        if (entry != NULL)
            steps[i] = entry->step;
        steps[i].node = i;
    }
    mr_free(result->steps);
    result->steps = steps;
    result->nsteps = plan->nnodes;
    result->nsplits = 0; /* of one epoch: they say nothing of the stream */
    return MR_OK;
}

/* A source over rows that a join holds (plan/held.c); the sources that had read them are not in the plan then. */
static const struct mr_plan_node *held_source(const struct mr_plan *plan)
{
    for (int i = 0; i < plan->nnodes; i++)
        if (plan->nodes[i].kind == MR_PLAN_SOURCE && plan->nodes[i].step->type == MR_STEP_TRANSFORM)
            return &plan->nodes[i];
    return NULL;
}

/* What sources have counted that the last plan is without goes to the one that stands for them: sums are of all that was read. */
static void pour_gone(struct mr_totals *totals, const struct mr_plan *plan)
{
    const struct mr_plan_node *held = held_source(plan);
    for (int e = 0; held != NULL && e < totals->nnodes; e++) {
        const struct mr_totals_node *entry = &totals->nodes[e];
        bool gone = entry->kind == MR_PLAN_SOURCE;
        for (int i = 0; gone && i < plan->nnodes; i++)
            gone = find(totals, &plan->nodes[i], count_before(plan, i)) != entry;
        for (int k = 0; gone && k < MR_COUNTERS; k++)
            atomic_fetch_add(&held->runtime->counters->value[k], entry->counters[k]);
    }
}

enum mr_status mr_totals_pour(struct mr_totals *totals, struct mr_plan *plan,
                              struct mr_exec_result *result, struct mr_error *err)
{
    pthread_mutex_lock(&totals->lock);
    for (int i = 0; i < plan->nnodes; i++) {
        const struct mr_totals_node *entry = find(totals, &plan->nodes[i], count_before(plan, i));
        for (int k = 0; k < MR_COUNTERS; k++)
            atomic_store(&plan->nodes[i].runtime->counters->value[k],
                         entry != NULL ? entry->counters[k] : 0);
    }
    pour_gone(totals, plan);
    enum mr_status status = pour_steps(totals, plan, result, err);
    pthread_mutex_unlock(&totals->lock);
    return status;
}

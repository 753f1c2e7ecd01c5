/*
 * gauges.c - the last known places of a stream.
 *
 * Everything here was found out for another reason: ends of partitions by the plan of an epoch, watermarks and kept rows by the epoch itself. To
 * ask the sources when somebody reads /metrics was refused: a scraper would wait for a broker that does not answer, just when it matters
 * that it gets one. So lag is that of the last look, which comes at least with each trigger and each repeated epoch.
 *
 * Partitions come in the same order from one plan to the next, so an entry is compared with the one at its place, and only where they
 * differ the rest is made anew.
 */
#include "run/gauges.h"

#include <string.h>

static void drop_partitions(struct mr_gauges *gauges, int from)
{
    for (int i = from; i < gauges->npartitions; i++) {
        mr_free(gauges->partitions[i].step);
        mr_free(gauges->partitions[i].name);
    }
    gauges->npartitions = from < gauges->npartitions ? from : gauges->npartitions;
}

static void drop_steps(struct mr_gauges *gauges)
{
    for (int i = 0; i < gauges->nsteps; i++)
        mr_free(gauges->steps[i].step);
    gauges->nsteps = 0;
}

void mr_gauges_reset(struct mr_gauges *gauges)
{
    drop_partitions(gauges, 0);
    drop_steps(gauges);
    mr_free(gauges->partitions);
    mr_free(gauges->steps);
    *gauges = (struct mr_gauges){0};
}

static enum mr_status put_partition(struct mr_gauges *gauges, int at, const char *step,
                                    const char *name, const struct mr_origin_place *place,
                                    struct mr_error *err)
{
    if (at < gauges->npartitions && (strcmp(gauges->partitions[at].name, name) != 0 ||
                                     strcmp(gauges->partitions[at].step, step) != 0))
        drop_partitions(gauges, at);
    if (at == gauges->npartitions) {
        struct mr_gauge_partition *more =
            mr_realloc(gauges->partitions, ((size_t)at + 1) * sizeof *more);
        if (more == NULL)
            return mr_error_nomem(err);
        gauges->partitions = more;
        more[at] = (struct mr_gauge_partition){.step = mr_strdup(step), .name = mr_strdup(name)};
        gauges->npartitions++;
        if (more[at].step == NULL || more[at].name == NULL) {
            drop_partitions(gauges, at);
            return mr_error_nomem(err);
        }
    }
    gauges->partitions[at].committed = place->from;
    gauges->partitions[at].upto = place->upto;
    gauges->partitions[at].end = place->end;
    return MR_OK;
}

enum mr_status mr_gauges_look(struct mr_gauges *gauges, const struct mr_plan *plan,
                              struct mr_error *err)
{
    int at = 0;
    for (int i = 0; i < plan->nnodes; i++) {
        const struct mr_split_list *splits = &plan->nodes[i].splits;
        if (plan->nodes[i].kind != MR_PLAN_SOURCE || splits->places == NULL)
            continue;
        for (int k = 0; k < splits->norigins; k++, at++)
            MR_TRY(put_partition(gauges, at, plan->nodes[i].label, splits->origins[k],
                                 &splits->places[k], err));
    }
    drop_partitions(gauges, at);
    return MR_OK;
}

void mr_gauges_commit(struct mr_gauges *gauges)
{
    for (int i = 0; i < gauges->npartitions; i++)
        gauges->partitions[i].committed = gauges->partitions[i].upto;
}

enum mr_status mr_gauges_keep(struct mr_gauges *gauges, struct mr_kept *kept,
                              const struct mr_plan *plan, struct mr_error *err)
{
    drop_steps(gauges);
    for (int i = 0; i < plan->nnodes; i++) {
        struct mr_kept_figures figures;
        if (!mr_kept_figures(kept, plan, i, &figures))
            continue;
        struct mr_gauge_step *more =
            mr_realloc(gauges->steps, ((size_t)gauges->nsteps + 1) * sizeof *more);
        if (more == NULL)
            return mr_error_nomem(err);
        gauges->steps = more;
        struct mr_gauge_step *step = &more[gauges->nsteps];
        *step = (struct mr_gauge_step){mr_strdup(plan->nodes[i].label), figures};
        if (step->step == NULL)
            return mr_error_nomem(err);
        gauges->nsteps++;
    }
    return MR_OK;
}

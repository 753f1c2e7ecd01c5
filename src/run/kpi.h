/*
 * kpi.h - the verdicts of a run, and one sentence of advice on its slowest part.
 */
#ifndef MR_RUN_KPI_H
#define MR_RUN_KPI_H

#include "run/figures.h"

struct mr_kpi {
    const char *name; /* "split_skew" */
    double value;
    const char *unit;
    const char *verdict; /* "good", "fair", "bad", or "n/a" */
};

#define MR_KPIS 3

/* split time max/mean, share of time stalled on memory, exchange bytes. */
void mr_kpi_compute(const struct mr_figures *figures, const struct mr_exec_result *result,
                    struct mr_kpi kpis[MR_KPIS]);
/* One sentence. `wall` in microseconds. */
void mr_kpi_advice(const struct mr_figures *figures, int64_t wall, struct mr_bytes *out);

#endif

/*
 * kpi.c - judges a run by three figures and names what bound it.
 *
 * Thresholds are the ones users of the older dialect know: split time max/mean good under 2 and bad over 5; memory stalls
 * good under 10 % and bad over 20 %; exchange good under 100 GB and bad over 1 TB.
 */
#include "run/kpi.h"

#include <stdio.h>

static const char *verdict(double value, double good, double bad)
{
    return value < good ? "good" : value > bad ? "bad" : "fair";
}

static double split_skew(const struct mr_exec_result *result)
{
    int64_t sum = 0, most = 0;
    int count = 0;
    for (int i = 0; i < result->nsplits; i++) {
        if (result->splits[i].micros <= 0)
            continue;
        sum += result->splits[i].micros;
        most = result->splits[i].micros > most ? result->splits[i].micros : most;
        count++;
    }
    return count > 1 ? (double)most * count / (double)sum : 0;
}

void mr_kpi_compute(const struct mr_figures *figures, const struct mr_exec_result *result,
                    struct mr_kpi kpis[MR_KPIS])
{
    int64_t stalled = 0, all = 0, exchange = 0;
    for (int i = 0; i < figures->count; i++) {
        const struct mr_exec_step *step = &figures->items[i].done;
        all += step->working;
        for (int cause = 0; cause < MR_WAIT_CAUSES; cause++)
            all += step->waiting[cause];
        stalled += step->waiting[MR_WAIT_MEMORY];
        exchange += figures->items[i].counters[MR_COUNT_EXCHANGE_BYTES];
    }
    double skew = split_skew(result);
    double share = all > 0 ? 100.0 * (double)stalled / (double)all : 0;
    kpis[0] = (struct mr_kpi){"split_time_max_over_mean", skew, "ratio",
                              skew > 0 ? verdict(skew, 2, 5) : "n/a"};
    kpis[1] = (struct mr_kpi){"memory_stall_percent", share, "%", verdict(share, 10, 20)};
    kpis[2] = (struct mr_kpi){"exchange_bytes", (double)exchange, "bytes",
                              verdict((double)exchange, 100e9, 1e12)};
}

/* The step and cause with the most time over all tasks; cause -1 = its own work. */
static int slowest(const struct mr_figures *figures, int *cause)
{
    int64_t most = 0;
    int at = -1;
    for (int i = 0; i < figures->count; i++) {
        const struct mr_exec_step *step = &figures->items[i].done;
        if (step->working > most) {
            most = step->working;
            at = i;
            *cause = -1;
        }
        for (int j = 0; j < MR_WAIT_CAUSES; j++) {
            /* Waiting for another task only mirrors that task's own time. */
            if (j == MR_WAIT_QUEUE || step->waiting[j] <= most)
                continue;
            most = step->waiting[j];
            at = i;
            *cause = j;
        }
    }
    return at;
}

/* The keys of a source that say how many connections it reads with. */
static const char *connection_keys(const struct mr_figure *node)
{
    const struct mr_option *options = node->source ? node->source->options : NULL;
    if (options && mr_option_find(options, "numPartitions"))
        return " (maxConnections, numPartitions)";
    return options && mr_option_find(options, "minPartitions") ? " (minPartitions)" : "";
}

void mr_kpi_advice(const struct mr_figures *figures, int64_t wall, struct mr_bytes *out)
{
    int cause = -1;
    int at = slowest(figures, &cause);
    if (at < 0 || wall <= 0) {
        mr_bytes_text(out, "Nothing was run long enough to advise on.");
        return;
    }
    const struct mr_figure *node = &figures->items[at];
    const char *label = node->label;
    if (cause < 0) {
        mr_bytes_printf(out,
                        "%s did most of the work (CPU): more cores, or fewer columns and rows "
                        "before it, would shorten the run.",
                        label);
    } else if (cause == MR_WAIT_SOURCE) {
        mr_bytes_printf(out,
                        "The run waited mostly for the source of %s: if its server has CPU to "
                        "spare, more connections%s would help; else read fewer rows or columns.",
                        label, connection_keys(node));
    } else if (cause == MR_WAIT_SINK) {
        mr_bytes_printf(out,
                        "The run waited mostly for the target of %s: if its server or disk has "
                        "capacity to spare, more output tasks (repartition) would help; else "
                        "write fewer rows or columns.",
                        label);
    } else if (cause == MR_WAIT_MEMORY) {
        mr_bytes_printf(out,
                        "%s waited mostly for memory: raise resources.memory or lower "
                        "parallelism.",
                        label);
    } else if (cause == MR_WAIT_CPU) {
        mr_bytes_printf(out, "%s waited mostly for a free core: the run is bound by CPU.", label);
    } else if (cause == MR_WAIT_LIMIT) {
        mr_bytes_printf(out, "%s waited mostly because of its sourceLimits.", label);
    } else {
        mr_bytes_printf(out,
                        "%s waited mostly for retries: look at the source's or target's "
                        "errors in the log.",
                        label);
    }
}

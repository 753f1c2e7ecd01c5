/*
 * bench.h - what the measuring and the reporting half of `millrace bench` share.
 */
#ifndef MR_CLI_BENCH_H
#define MR_CLI_BENCH_H

#include <stdint.h>

#define MR_BENCH_MAX_CONFIGS 16

enum mr_bench_figure {
    MR_BENCH_WALL, /* seconds, the process from start to end */
    MR_BENCH_CPU,  /* seconds, user and system */
    MR_BENCH_PEAK, /* bytes of resident memory */
    MR_BENCH_ROWS, /* rows read a second */
    MR_BENCH_MB,   /* megabytes written a second */
    MR_BENCH_FIGURES
};

struct mr_bench_config {
    const char *file;
    char content[64]; /* rows and hash of its output */
    char *plan;
    int runs;
    double *figures[MR_BENCH_FIGURES]; /* `runs` values each */
};

struct mr_bench {
    char directory[128]; /* of the results */
    int nconfigs;
    struct mr_bench_config configs[MR_BENCH_MAX_CONFIGS];
};

/* Prints medians, spreads, ratios to the first configuration, and how the plans differ; writes the files of the directory. 0 or an exit code. */
int mr_bench_report(struct mr_bench *bench);

#endif

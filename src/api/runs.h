/*
 * runs.h - earlier runs out of a state, for the command line.
 */
#ifndef MR_API_RUNS_H
#define MR_API_RUNS_H

#include "api/pipeline.h"
#include "state/state.h"

/* Whose runs: those of a pipeline's state key and its lanes, or (pipeline NULL) all in a directory. */
struct mr_api_state {
    struct millrace_pipeline *pipeline;
    const char *directory;
};

/* As mr_state_runs; a directory without state has no runs. */
enum mr_status mr_api_runs(const struct mr_api_state *where, int limit, struct mr_arena *arena,
                           struct mr_run_row **rows, int *count, struct mr_error *err);
/* *row NULL when there is no such run. */
enum mr_status mr_api_run_show(const struct mr_api_state *where, const char *run_id,
                               struct mr_arena *arena, struct mr_run_row **row,
                               struct mr_error *err);

#endif

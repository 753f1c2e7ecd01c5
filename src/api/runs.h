/*
 * runs.h - earlier runs out of a state directory, for the command line.
 */
#ifndef MR_API_RUNS_H
#define MR_API_RUNS_H

#include "state/state.h"

/* As mr_state_runs over the state in `directory`; a directory without state has no runs. */
enum mr_status mr_api_runs(const char *directory, int limit, struct mr_arena *arena,
                           struct mr_run_row **rows, int *count, struct mr_error *err);
/* *row NULL when there is no such run. */
enum mr_status mr_api_run_show(const char *directory, const char *run_id, struct mr_arena *arena,
                               struct mr_run_row **row, struct mr_error *err);

#endif

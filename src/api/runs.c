/*
 * runs.c - looks into a state directory without creating one.
 */
#include "api/runs.h"

#include <sys/stat.h>

static bool has_state(const char *directory)
{
    struct mr_bytes path;
    struct stat info;
    mr_bytes_init(&path, 1 << 16);
    mr_bytes_printf(&path, "%s/state.db", directory);
    bool found = path.data && stat(path.data, &info) == 0;
    mr_bytes_reset(&path);
    return found;
}

enum mr_status mr_api_runs(const char *directory, int limit, struct mr_arena *arena,
                           struct mr_run_row **rows, int *count, struct mr_error *err)
{
    struct mr_state *state = NULL;
    *rows = NULL;
    *count = 0;
    if (!has_state(directory))
        return MR_OK;
    MR_TRY(mr_state_open(&(struct mr_state_config){.directory = directory}, &state, err));
    enum mr_status status = mr_state_runs(state, NULL, limit, arena, rows, count, err);
    mr_state_close(state);
    return status;
}

enum mr_status mr_api_run_show(const char *directory, const char *run_id, struct mr_arena *arena,
                               struct mr_run_row **row, struct mr_error *err)
{
    struct mr_state *state = NULL;
    *row = NULL;
    if (!has_state(directory))
        return MR_OK;
    MR_TRY(mr_state_open(&(struct mr_state_config){.directory = directory}, &state, err));
    enum mr_status status = mr_state_run(state, run_id, arena, row, err);
    mr_state_close(state);
    return status;
}

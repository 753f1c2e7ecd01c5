/*
 * runs.c - looks into the state of a pipeline, or into a state directory, without creating one.
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

/* *state NULL: there is none. */
static enum mr_status open_state(const struct mr_api_state *where, struct mr_state **state,
                                 struct mr_error *err)
{
    struct mr_session *session = where->pipeline ? where->pipeline->session : NULL;
    const char *directory = session ? session->state_path : where->directory;
    *state = NULL;
    if (directory && !has_state(directory))
        return MR_OK;
    if (session)
        return mr_session_look_at_state(session, state, err);
    return mr_state_open(&(struct mr_state_config){.directory = directory, .read_only = true},
                         state, err);
}

enum mr_status mr_api_runs(const struct mr_api_state *where, int limit, struct mr_arena *arena,
                           struct mr_run_row **rows, int *count, struct mr_error *err)
{
    struct mr_state *state = NULL;
    *rows = NULL;
    *count = 0;
    MR_TRY(open_state(where, &state, err));
    if (!state)
        return MR_OK;
    const char *key = where->pipeline ? where->pipeline->session->spec->state_key : NULL;
    enum mr_status status = mr_state_runs(state, key, true, limit, arena, rows, count, err);
    mr_state_close(state);
    return status;
}

enum mr_status mr_api_run_show(const struct mr_api_state *where, const char *run_id,
                               struct mr_arena *arena, struct mr_run_row **row,
                               struct mr_error *err)
{
    struct mr_state *state = NULL;
    *row = NULL;
    MR_TRY(open_state(where, &state, err));
    if (!state)
        return MR_OK;
    enum mr_status status = mr_state_run(state, run_id, arena, row, err);
    mr_state_close(state);
    return status;
}

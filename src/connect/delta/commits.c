/*
 * commits.c - commits one by one: what a writer that lost a race has to look at, and the history.
 */
#include "connect/delta/private.h"

#include <inttypes.h>

static enum mr_status fill(const struct delta_table *table, const struct delta_log_file *file,
                           const struct delta_metadata **metadata, struct mr_arena *arena,
                           struct delta_commit *out, struct mr_error *err)
{
    struct mr_slice text;
    struct delta_actions actions;
    MR_TRY(delta_load(table, file->path, file->size, arena, &text, err));
    MR_TRY(delta_actions_parse(table, file->path, text, file->version, arena, &actions, err));
    if (actions.metadata) {
        MR_TRY(delta_schema_read(arena, actions.metadata, err));
        *metadata = actions.metadata;
    }
    struct delta_file *files = mr_arena_calloc(arena, (size_t)actions.nentries + 1, sizeof *files);
    if (!files)
        return mr_error_nomem(err);
    for (int i = 0; i < actions.nentries; i++) {
        if (*metadata)
            MR_TRY(delta_entry_resolve(&actions.entries[i], *metadata, arena, err));
        files[i] = actions.entries[i].file;
    }
    *out = (struct delta_commit){
        .version = file->version,
        .timestamp_millis =
            actions.in_commit_millis >= 0 ? actions.in_commit_millis : file->modified_micros / 1000,
        .info = actions.info,
        .protocol = actions.protocol,
        .metadata = actions.metadata,
        .nfiles = actions.nentries,
        .files = files,
        .ntxns = actions.ntxns,
        .txns = actions.txns,
        .ndomains = actions.ndomains,
        .domains = actions.domains,
        .ncdc = actions.ncdc,
    };
    return MR_OK;
}

enum mr_status delta_commits_read(const struct delta_table *table,
                                  const struct delta_metadata *metadata, int64_t from, int64_t to,
                                  struct mr_arena *arena, const struct delta_commit **out,
                                  int *count, struct mr_error *err)
{
    *out = NULL;
    *count = 0;
    struct delta_log log;
    MR_TRY(delta_log_list(table, from, arena, &log, err));
    struct delta_commit *commits = mr_arena_calloc(arena, (size_t)log.count + 1, sizeof *commits);
    if (!commits)
        return mr_error_nomem(err);
    for (int64_t version = from; to < 0 || version <= to; version++) {
        const struct delta_log_file *file = delta_log_commit(&log, version);
        if (!file)
            break;
        MR_TRY(fill(table, file, &metadata, arena, &commits[(*count)++], err));
    }
    *out = commits;
    return MR_OK;
}

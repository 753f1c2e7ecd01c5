/*
 * prune.c - the files of a version that a condition leaves.
 */
#include "connect/delta/private.h"
#include "connect/delta/value.h"

int delta_partition_index(const struct delta_metadata *metadata, int column)
{
    for (int i = 0; i < metadata->npartition_columns; i++) {
        if (mr_schema_find(metadata->schema, metadata->partition_columns[i]) == column)
            return i;
    }
    return -1;
}

bool delta_by_partition(const struct delta_metadata *metadata, const struct mr_predicate *predicate)
{
    if (predicate->nargs == 0)
        return delta_partition_index(metadata, predicate->column) >= 0;
    for (int i = 0; i < predicate->nargs; i++) {
        if (!delta_by_partition(metadata, predicate->args[i]))
            return false;
    }
    return true;
}

enum mr_status delta_prune(const struct delta_snapshot *snapshot,
                           const struct mr_predicate *const *predicates, int npredicates,
                           const struct mr_tz *tz, struct mr_arena *arena, int **files, int *count,
                           struct delta_skipped *skipped, struct mr_error *err)
{
    struct delta_statistics *statistics;
    struct delta_skipped left_out = {0};
    *count = 0;
    *files = mr_arena_alloc(arena, ((size_t)snapshot->nfiles + 1) * sizeof **files);
    if (!*files)
        return mr_error_nomem(err);
    MR_TRY(delta_statistics_new(&snapshot->metadata, tz, &statistics, err));
    struct mr_prune_part part = {delta_statistics_column, statistics, tz};
    for (int i = 0; i < snapshot->nfiles; i++) {
        const struct delta_file *file = &snapshot->files[i];
        delta_statistics_file(statistics, file);
        if (npredicates && mr_prune_all(predicates, npredicates, &part) == MR_PRUNE_NONE) {
            left_out.files++;
            left_out.bytes += file->size > 0 ? file->size : 0;
        } else {
            (*files)[(*count)++] = i;
        }
    }
    delta_statistics_free(statistics);
    if (skipped)
        *skipped = left_out;
    return MR_OK;
}

/*
 * rewrite.h - files of a table without some of their rows: copy on write.
 *
 * For upsert, replaceWhere and delete. Deletion vectors are read, and gone in what is written.
 */
#ifndef MR_CONNECT_DELTA_REWRITE_H
#define MR_CONNECT_DELTA_REWRITE_H

#include "connect/delta/commit.h"

struct mr_batch;

struct delta_rewrite {
    const struct delta_table *table;
    const struct delta_snapshot *snapshot;
    const struct delta_metadata *metadata; /* to be written under; that of the snapshot, or wider */
    const struct delta_writer_options *options;
    /*
     * goes[i] = 1 for each row of a batch (metadata's schema) that goes. `positions`: number of
     * each row in the file.
     */
    enum mr_status (*choose)(void *context, const struct delta_file *file, struct mr_batch *batch,
                             const int64_t *positions, uint8_t *goes, struct mr_error *err);
    void *context;
};

struct delta_rewritten {
    bool *touched; /* of each file asked for: some of its rows go, it is to be removed */
    int ntouched;
    int64_t rows_gone;
    int64_t rows_copied;
    struct mr_bytes written; /* as delta_writer_finish; initialised by the caller, who frees it */
};

/*
 * Looks at some files of the snapshot (by number), each first until it is clear that rows go and rows
 * stay; only then is it written again. A file that loses nothing is left alone. `touched` lives in
 * the arena.
 */
enum mr_status delta_rewrite_files(const struct delta_rewrite *rewrite, const int *files,
                                   int nfiles, struct mr_arena *arena, struct delta_rewritten *out,
                                   struct mr_error *err);

#endif

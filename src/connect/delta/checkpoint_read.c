/*
 * checkpoint_read.c - what a checkpoint holds.
 */
#include "connect/delta/private.h"

enum mr_status delta_checkpoint_read(const struct delta_table *table,
                                     const struct delta_log_file *files, int nfiles,
                                     struct delta_replay *replay, struct mr_error *err)
{
    (void)files;
    (void)nfiles;
    (void)replay;
    return mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                        "%s has checkpoints, which this version does not read", table->text);
}

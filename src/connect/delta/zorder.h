/*
 * zorder.h - rows of some files in the order of a Z-curve over a few columns.
 */
#ifndef MR_CONNECT_DELTA_ZORDER_H
#define MR_CONNECT_DELTA_ZORDER_H

#include "connect/delta/maintain.h"

/* Most columns that a curve can have. */
#define DELTA_ZORDER_MAX 8

/*
 * Reads the files (numbers of snapshot->files) and gives their rows to the replacement, close values of
 * the columns close together, in bounded memory. `columns` are indices of metadata.schema.
 */
enum mr_status delta_zorder(const struct delta_table *table, const struct delta_snapshot *snapshot,
                            const struct mr_tz *tz, const int *columns, int ncolumns,
                            const int *files, int nfiles, struct delta_replace *replace,
                            struct mr_error *err);

#endif

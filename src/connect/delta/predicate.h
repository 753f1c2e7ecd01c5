/*
 * predicate.h - conditions over other columns.
 */
#ifndef MR_CONNECT_DELTA_PREDICATE_H
#define MR_CONNECT_DELTA_PREDICATE_H

#include "base/arena.h"
#include "ext/predicate.h"

/*
 * A deep copy in which column i is columns[i] (`columns` NULL: i). *out NULL when it speaks of a
 * column that has no number there (< 0, or >= ncolumns). False: out of memory.
 */
bool delta_predicate_copy(struct mr_arena *arena, const struct mr_predicate *predicate,
                          const int *columns, int ncolumns, const struct mr_predicate **out);

#endif

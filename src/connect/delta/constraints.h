/*
 * constraints.h - what every row of a table must fulfil: CHECK constraints and invariants.
 */
#ifndef MR_CONNECT_DELTA_CONSTRAINTS_H
#define MR_CONNECT_DELTA_CONSTRAINTS_H

#include "col/batch.h"
#include "connect/delta/table.h"

struct delta_constraints;

/* *out NULL when there are none. MR_SINK, class config: one that cannot be evaluated here. */
enum mr_status delta_constraints_new(const struct delta_metadata *metadata,
                                     struct mr_runtime *runtime, const char *table,
                                     struct delta_constraints **out, struct mr_error *err);
/* MR_SINK, class data, naming the constraint and a row that it is not TRUE for. */
enum mr_status delta_constraints_check(struct delta_constraints *constraints,
                                       struct mr_batch *batch, struct mr_error *err);
void delta_constraints_free(struct delta_constraints *constraints);

#endif

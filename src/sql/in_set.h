/*
 * in_set.h - x IN (constants).
 */
#ifndef MR_SQL_IN_SET_H
#define MR_SQL_IN_SET_H

#include "sql/function.h"

/* Types whose values can be hashed by their bytes. */
bool mr_in_set_supports(const struct mr_type *type);
/* Builds the set from args[1..], all literals of the type of args[0]. */
enum mr_status mr_in_set_bind(struct mr_binding *binding);
enum mr_status mr_kernel_in_set(struct mr_call *call, struct mr_column **out);

#endif

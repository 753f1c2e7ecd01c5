/*
 * cast.h - the kernels of CAST.
 */
#ifndef MR_SQL_CAST_H
#define MR_SQL_CAST_H

#include "sql/function.h"

/* NULL when there is no such cast. */
mr_kernel_fn mr_cast_kernel(const struct mr_type *from, const struct mr_type *to);
/* Gives NULL for some value even under ANSI? */
bool mr_cast_may_null(const struct mr_type *from, const struct mr_type *to);

#endif

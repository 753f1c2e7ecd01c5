/*
 * like.h - SQL patterns.
 */
#ifndef MR_SQL_LIKE_H
#define MR_SQL_LIKE_H

#include "sql/function.h"

/* LIKE and ILIKE: args text, pattern[, escape]. */
enum mr_status mr_kernel_like(struct mr_call *call, struct mr_column **out);
enum mr_status mr_kernel_ilike(struct mr_call *call, struct mr_column **out);

#endif

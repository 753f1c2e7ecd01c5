/*
 * logic.h - AND and OR of any number of operands (lazy kernels).
 */
#ifndef MR_SQL_LOGIC_H
#define MR_SQL_LOGIC_H

#include "sql/function.h"

enum mr_status mr_kernel_and(struct mr_call *call, struct mr_column **out);
enum mr_status mr_kernel_or(struct mr_call *call, struct mr_column **out);

#endif

/*
 * compare.h - comparison of columns, for operators, IN, BETWEEN, CASE, greatest and least.
 */
#ifndef MR_SQL_COMPARE_H
#define MR_SQL_COMPARE_H

#include "sql/function.h"

enum compare_op { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE };

/* out[row] = a[row] op b[row], one byte each, for `rows` (NULL: 0 .. count-1); FLAT or CONSTANT, equal types, NULLs not looked at. */
void mr_compare_columns(enum compare_op op, const struct mr_column *a, const struct mr_column *b,
                        const int32_t *rows, int64_t count, uint8_t *out);

#endif

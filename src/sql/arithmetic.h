/*
 * arithmetic.h - kernels of + - * / % DIV over numbers, and what bind needs of them.
 */
#ifndef MR_SQL_ARITHMETIC_H
#define MR_SQL_ARITHMETIC_H

#include "sql/function.h"

/* The operator as `data` of a call: one of + - * / % D (DIV) and m (pmod's remainder: never negative). */
extern const char mr_arithmetic_ops[];
/* Casts two numbers (or texts) to what the operator computes in, sets the result type and the kernel. */
enum mr_status mr_bind_arithmetic(struct mr_binding *binding, char op);
/* + - * where the result type holds every result (decimal_exact.c); and whether it does. */
enum mr_status mr_kernel_decimal_exact(struct mr_call *call, struct mr_column **out);
bool mr_decimal_is_exact(char op, const struct mr_type *a, const struct mr_type *b,
                         const struct mr_type *result);
void mr_overflow(struct mr_result *result, int64_t row);

#endif

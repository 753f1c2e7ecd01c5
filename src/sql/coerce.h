/*
 * coerce.h - Spark's rules of types: what two operands become, what may be cast to what.
 */
#ifndef MR_SQL_COERCE_H
#define MR_SQL_COERCE_H

#include "sql/expr.h"

/* The type both become in CASE, coalesce, IN and lists; NULL when there is none (or no memory). */
const struct mr_type *mr_common_type(struct mr_arena *arena, const struct mr_sql_session *session,
                                     const struct mr_type *a, const struct mr_type *b);
/* The type both become in a comparison. */
const struct mr_type *mr_comparison_type(struct mr_arena *arena,
                                         const struct mr_sql_session *session,
                                         const struct mr_type *a, const struct mr_type *b);
/* May the two be ordered (<) or only compared (=)? */
bool mr_type_is_orderable(const struct mr_type *type);
/* Is there a CAST from one to the other; and does Spark put one in by itself for an argument? */
bool mr_can_cast(const struct mr_type *from, const struct mr_type *to);
bool mr_can_cast_implicitly(const struct mr_type *from, const struct mr_type *to);
/* The casts that Spark has with ANSI off only. */
bool mr_can_cast_legacy(const struct mr_type *from, const struct mr_type *to);
/* Can this cast fail or lose (give NULL with ANSI off) for some value? */
bool mr_cast_can_fail(const struct mr_type *from, const struct mr_type *to);
/* The decimal that holds every value of an integer type; the type itself for decimals. */
const struct mr_type *mr_decimal_for(struct mr_arena *arena, const struct mr_type *type);
/* Spark's adjustPrecisionScale: a result of p digits, s of them behind the point, made to fit 38. */
const struct mr_type *mr_decimal_adjust(struct mr_arena *arena, int precision, int scale);
/* The result of + - * / % over two decimals. */
const struct mr_type *mr_decimal_result(struct mr_arena *arena, char op, const struct mr_type *a,
                                        const struct mr_type *b);

static inline bool mr_type_is_datetime(const struct mr_type *type)
{
    return type->id == MR_TYPE_DATE || type->id == MR_TYPE_TIMESTAMP ||
           type->id == MR_TYPE_TIMESTAMP_NTZ;
}
static inline bool mr_type_is_float(const struct mr_type *type)
{
    return type->id == MR_TYPE_FLOAT32 || type->id == MR_TYPE_FLOAT64;
}

#endif

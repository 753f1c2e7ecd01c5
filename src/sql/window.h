/*
 * window.h - ORDER BY items, frames, and expressions over window functions.
 */
#ifndef MR_SQL_WINDOW_H
#define MR_SQL_WINDOW_H

#include "sql/expr.h"

/* "expression [ASC | DESC] [NULLS FIRST | LAST]". */
struct mr_sql_order {
    const char *text; /* of the expression */
    bool descending;
    bool nulls_last; /* unless said: NULLs are least, so first when ascending */
};

/* Splits one item of an ORDER BY; the expression is not looked at. MR_CONFIG with the place. */
enum mr_status mr_sql_order_parse(struct mr_arena *arena, const char *text,
                                  struct mr_sql_order *out, struct mr_error *err);

#endif

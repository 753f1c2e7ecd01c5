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

/* "ROWS BETWEEN 2 PRECEDING AND CURRENT ROW". */
enum mr_window_bound {
    MR_BOUND_FIRST, /* UNBOUNDED PRECEDING */
    MR_BOUND_PRECEDING,
    MR_BOUND_CURRENT,
    MR_BOUND_FOLLOWING,
    MR_BOUND_LAST, /* UNBOUNDED FOLLOWING */
};

struct mr_window_frame {
    bool rows; /* else RANGE */
    enum mr_window_bound from;
    enum mr_window_bound to;
    const char *from_offset; /* text of an expression, with PRECEDING and FOLLOWING */
    const char *to_offset;
};

enum mr_status mr_window_frame_parse(struct mr_arena *arena, const char *text,
                                     struct mr_window_frame *out, struct mr_error *err);
/* Spark's: all rows; with an order those up to the current one and its equals. */
struct mr_window_frame mr_window_frame_default(bool ordered);

enum mr_window_kind {
    MR_WINDOW_ROW_NUMBER,
    MR_WINDOW_RANK,
    MR_WINDOW_DENSE_RANK,
    MR_WINDOW_PERCENT_RANK,
    MR_WINDOW_CUME_DIST,
    MR_WINDOW_NTILE,
    MR_WINDOW_LAG,
    MR_WINDOW_LEAD,
    MR_WINDOW_FIRST, /* first_value, first, any_value */
    MR_WINDOW_LAST,
    MR_WINDOW_NTH,
    MR_WINDOW_AGGREGATE, /* any other aggregate function */
};

/* A call of a window function; all texts can be compiled alone. */
struct mr_window_call {
    enum mr_window_kind kind;
    const char *name; /* in lower case */
    int nargs;
    const char *const *args;
    bool star; /* count(*) */
    bool ignore_nulls;
    const char *filter; /* or NULL */
    const char *text;   /* the whole call */
};

/*
 * "x - lag(x)" becomes the call and "x - `#w0`": outputs[i] is texts[i] with the name of each call's
 * result in its place (mr_window_result_name). Equal calls are one. *failed: the text at fault.
 */
struct mr_window_split {
    int ncalls;
    const struct mr_window_call *calls;
    const char *const *outputs;
};
enum mr_status mr_window_split(struct mr_arena *arena, const char *const *texts, int count,
                               struct mr_window_split *out, int *failed, struct mr_error *err);
/* NULL when out of memory. */
const char *mr_window_result_name(struct mr_arena *arena, int call);

/* Is this the name of a function that needs a window? */
bool mr_window_is_function(const char *name);
/* Window functions that are no aggregates, as mr_sql_function_doc gives the others. */
bool mr_sql_window_doc(size_t i, struct mr_function_doc *out);

#endif

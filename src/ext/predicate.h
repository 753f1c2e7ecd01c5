/*
 * predicate.h - conditions that a source can be asked to apply, in a form without SQL.
 *
 * plan/ makes them from bound expressions, only where the meaning is the same everywhere:
 * comparisons of a column (perhaps through a monotone function) with literals of its own type, null
 * tests, IN lists, AND/OR/NOT of those. A source answers exact (rows that fail never come), partial
 * (some may come; the filter stays) or refused.
 */
#ifndef MR_EXT_PREDICATE_H
#define MR_EXT_PREDICATE_H

#include "col/value.h"

enum mr_predicate_kind {
    MR_PREDICATE_AND,
    MR_PREDICATE_OR,
    MR_PREDICATE_NOT,
    MR_PREDICATE_COMPARE, /* column <op> values[0] */
    MR_PREDICATE_IN,      /* column IN values */
    MR_PREDICATE_IS_NULL,
    MR_PREDICATE_PREFIX,  /* text column starts with values[0] */
    MR_PREDICATE_IS_TRUE, /* boolean column */
};

enum mr_compare { MR_EQ, MR_NE, MR_LT, MR_LE, MR_GT, MR_GE };

/*
 * A function around the column (a date or a timestamp) that keeps its order, up to what a zone's clock
 * does when it is set back; instants have fields in the session's zone. NONE is the column itself. The
 * type of the values is the function's: an integer for YEAR, DATE for DATE and trunc(), a timestamp for
 * date_trunc() and TIMESTAMP (a date's midnight).
 */
enum mr_monotone {
    MR_MONOTONE_NONE,
    MR_MONOTONE_DATE,
    MR_MONOTONE_YEAR,
    MR_MONOTONE_TIMESTAMP,
    MR_MONOTONE_TRUNC_HOUR, /* the beginning of the unit */
    MR_MONOTONE_TRUNC_DAY,
    MR_MONOTONE_TRUNC_WEEK, /* Monday */
    MR_MONOTONE_TRUNC_MONTH,
    MR_MONOTONE_TRUNC_QUARTER,
    MR_MONOTONE_TRUNC_YEAR,
};

struct mr_predicate {
    enum mr_predicate_kind kind;
    int column; /* index in the source's schema */
    enum mr_monotone monotone;
    enum mr_compare compare;
    int nvalues;
    const struct mr_value *values; /* never NULL values */
    int nargs;
    const struct mr_predicate *const *args; /* AND, OR (n), NOT (1) */
};

enum mr_pushed { MR_PUSH_REFUSED, MR_PUSH_PARTIAL, MR_PUSH_EXACT };

#endif

/*
 * prune.h - what the statistics of a part of the data say about a condition: none of its rows can
 * match, all of them do, or nobody knows.
 *
 * Shared by what skips: files by their partition values, Delta files by their statistics, Parquet
 * row groups and pages by theirs. NULL makes a comparison unknown, as in SQL; floats are skipped
 * with Spark's order in mind (NaN is greater than everything), so a bound that may hide a NaN says
 * nothing of what is above it.
 */
#ifndef MR_EXT_PRUNE_H
#define MR_EXT_PRUNE_H

#include "base/tz.h"
#include "ext/predicate.h"

/* What is known of one column in one part. Values have the column's type. */
struct mr_part_column {
    bool has_minimum; /* every value that is neither NULL nor NaN is at or above it */
    bool has_maximum;
    struct mr_value minimum;
    struct mr_value maximum;
    bool may_have_nan; /* floats: bounds do not speak of NaN */
    int64_t nulls;     /* -1 = unknown */
    int64_t rows;      /* -1 = unknown */
};

enum mr_prune {
    MR_PRUNE_NONE, /* no row of the part can be TRUE: it may be left out */
    MR_PRUNE_SOME,
    MR_PRUNE_ALL, /* the condition is TRUE for every row */
};

/* `column` fills in what is known of column i of the predicate (all unknown: zeroed, counts -1). */
struct mr_prune_part {
    void (*column)(void *context, int column, struct mr_part_column *out);
    void *context;
    const struct mr_tz *tz; /* of monotone functions on timestamps; NULL = UTC */
};

enum mr_prune mr_prune(const struct mr_predicate *predicate, const struct mr_prune_part *part);
/* Of several conditions joined by AND. */
enum mr_prune mr_prune_all(const struct mr_predicate *const *predicates, int count,
                           const struct mr_prune_part *part);

#endif

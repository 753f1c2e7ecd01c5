/*
 * aggregate_extreme.h - min and max of fixed-width values, for aggregate_pick.c.
 */
#ifndef MR_SQL_AGGREGATE_EXTREME_H
#define MR_SQL_AGGREGATE_EXTREME_H

#include "sql/aggregate_call.h"

/* NULL: not for this type. */
const struct mr_agg_kind *mr_agg_extreme_kind(const struct mr_type *type, bool greatest);
enum mr_status mr_agg_extreme_finish(struct mr_agg_state *state, const struct mr_agg_call *call,
                                     int64_t from, int64_t count, struct mr_column **out,
                                     struct mr_error *err);

#endif

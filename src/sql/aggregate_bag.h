/*
 * aggregate_bag.h - every value of a group, kept: what collect_list, percentiles and mode are made of.
 */
#ifndef MR_SQL_AGGREGATE_BAG_H
#define MR_SQL_AGGREGATE_BAG_H

#include "sql/aggregate_call.h"

extern const struct mr_agg_kind mr_agg_kind_bag;

/* All entries as one column an argument, and their order by group; borrowed until the next row. */
enum mr_status mr_agg_bag_look(struct mr_agg_state *state, struct mr_column *const **columns,
                               const struct mr_agg_sorted **sorted, struct mr_error *err);

/* Binds of aggregate_percentile.c. */
enum mr_status mr_agg_bind_percentile(struct mr_agg_binding *binding);
enum mr_status mr_agg_bind_mode(struct mr_agg_binding *binding);
enum mr_agg_percentile {
    MR_AGG_PERCENTILE,
    MR_AGG_MEDIAN,
    MR_AGG_CONTINUOUS, /* WITHIN GROUP */
    MR_AGG_DISCRETE,
    MR_AGG_APPROXIMATE
};

#endif

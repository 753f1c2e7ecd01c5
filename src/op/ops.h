/*
 * ops.h - the operators of this folder, for registry.c. One file each; none includes another.
 */
#ifndef MR_OP_OPS_H
#define MR_OP_OPS_H

#include "ext/op.h"

extern const struct mr_op mr_op_aggregate_data;
extern const struct mr_op mr_op_evolve_avro_schema;
extern const struct mr_op mr_op_filter_rows;
extern const struct mr_op mr_op_reshape_data;
extern const struct mr_op mr_op_enrich_data;
extern const struct mr_op mr_op_select_columns;
extern const struct mr_op mr_op_drop_columns;
extern const struct mr_op mr_op_rename_columns;
extern const struct mr_op mr_op_cast_columns;
extern const struct mr_op mr_op_limit_rows;
extern const struct mr_op mr_op_to_avro_schema;
extern const struct mr_op mr_op_union_data_frames;
extern const struct mr_op mr_op_repartition;
extern const struct mr_op mr_op_coalesce;
extern const struct mr_op mr_op_deduplicate;
extern const struct mr_op mr_op_repartition_by_columns;
extern const struct mr_op mr_op_repartition_in_turns;
extern const struct mr_op mr_op_join_data_frames;
extern const struct mr_op mr_op_join_streams;
extern const struct mr_op mr_op_sort_data;
extern const struct mr_op mr_op_sql;
extern const struct mr_op mr_op_window_columns;
extern const struct mr_op mr_op_with_watermark;
extern const struct mr_op mr_op_drop_late_rows;
extern const struct mr_op mr_op_validate_schema;
extern const struct mr_op mr_op_validate_nulls;
extern const struct mr_op mr_op_validate_ranges;
extern const struct mr_op mr_op_validate_business_rules;
extern const struct mr_op mr_op_validate_referential_integrity;

#endif

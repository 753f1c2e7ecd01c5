/*
 * assemble.h - from the levels and values of leaves to columns.
 */
#ifndef MR_FORMAT_PARQUET_ASSEMBLE_H
#define MR_FORMAT_PARQUET_ASSEMBLE_H

#include "format/parquet/leaf_read.h"
#include "format/parquet/resolve.h"

/* What was read for `rows` rows, by the numbers that `want` has. Names of the file go into errors. */
enum mr_status mr_pq_assemble(const struct mr_pq_want *want, struct mr_pq_leaf_reader *leaves,
                              struct mr_memory *memory, int64_t rows, struct mr_column **out,
                              struct mr_error *err);

#endif

/*
 * parquet.h - the Parquet file format, for registry.c and for tests.
 */
#ifndef MR_FORMAT_PARQUET_PARQUET_H
#define MR_FORMAT_PARQUET_PARQUET_H

#include "ext/format.h"

extern const struct mr_format mr_format_parquet;

#endif

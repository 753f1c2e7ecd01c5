/*
 * oracle_value.h - Spark's values as the oracle's data holds them: to columns, and beside ours.
 */
#ifndef MR_TESTS_ORACLE_VALUE_H
#define MR_TESTS_ORACLE_VALUE_H

#include "col/builder.h"

#include <jansson.h>

/* Spark's name of a type as ours: all interval types are one. `out` holds `capacity` bytes. */
void oracle_type_name(const char *spark, char *out, size_t capacity);
/* Appends one value (JSON null: NULL). */
enum mr_status oracle_append(struct mr_builder *builder, json_t *json, struct mr_error *err);
/* The same value? Floating point: the same bits (any NaN), or at most `ulps` apart. */
bool oracle_equal(const struct mr_column *column, int64_t row, json_t *json, int ulps);

#endif

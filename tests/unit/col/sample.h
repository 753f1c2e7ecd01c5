/*
 * sample.h - columns of any type with repeatable values, for the tests of kernels and of what stores columns.
 */
#ifndef TESTS_UNIT_COL_SAMPLE_H
#define TESTS_UNIT_COL_SAMPLE_H

#include "col/builder.h"
#include "col/column.h"

/* Types that between them use every layout and every way of nesting. */
extern const char *const sample_types[];
extern const int sample_ntypes;

/* Appends one value derived from `seed`; about one in `null_every` is NULL (0 = none), inside of nested values too. */
void sample_append(struct mr_builder *builder, uint64_t seed, int null_every);
/* A FLAT column of `rows` values with at most `distinct` different ones. */
struct mr_column *sample_column(struct mr_memory *memory, const struct mr_type *type, int64_t rows,
                                int64_t distinct, int null_every);
/* A DICTIONARY column over `distinct` entries; every `null_every`th row is NULL (0 = none). */
struct mr_column *sample_dictionary(struct mr_memory *memory, const struct mr_type *type,
                                    int64_t rows, int64_t distinct, int null_every);
/* A CONSTANT column. */
struct mr_column *sample_constant(struct mr_memory *memory, const struct mr_type *type,
                                  int64_t rows, bool null);

#endif

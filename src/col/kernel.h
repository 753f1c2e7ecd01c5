/*
 * kernel.h - the vector operations that every folder shares: take, hash, compare, concatenate.
 *
 * All take columns of any encoding and any type, nested ones too. `rows` is an array of int32 row
 * numbers or NULL for 0..count-1. Results are FLAT unless said otherwise. (Arithmetic and casts are
 * the SQL evaluator's, in sql/.)
 */
#ifndef MR_COL_KERNEL_H
#define MR_COL_KERNEL_H

#include "col/batch.h"

/*
 * out[i] = column[rows[i]]; a negative row number gives NULL (outer joins). DICTIONARY and CONSTANT
 * stay so.
 */
enum mr_status mr_column_take(struct mr_memory *memory, const struct mr_column *column,
                              const int32_t *rows, int64_t count, struct mr_column **out,
                              struct mr_error *err);
/* Rows [from, from + count), copied, but for all rows: that is the column itself; DICTIONARY (shared) and CONSTANT stay so. */
enum mr_status mr_column_range(struct mr_memory *memory, const struct mr_column *column,
                               int64_t from, int64_t count, struct mr_column **out,
                               struct mr_error *err);
/*
 * Combines the hash of each row into hashes[i] (mr_hash_combine). Equal values hash equally
 * whatever the encoding; NULL has a hash of its own; -0.0 as 0.0 and every NaN as one; decimals by
 * value at their scale.
 */
void mr_column_hash(const struct mr_column *column, const int32_t *rows, int64_t count,
                    uint64_t *hashes);
/*
 * 64 bits of each value, by the same rules; where the value has no more, they are the value (integers, dates, times,
 * floats, short decimals), so they want mixing.
 */
void mr_column_words(const struct mr_column *column, const int32_t *rows, int64_t count,
                     uint64_t *words);
/* Order of two rows as Spark sorts ascending (nulls first, NaN greatest); same type. */
int mr_column_compare_rows(const struct mr_column *a, int64_t row_a, const struct mr_column *b,
                           int64_t row_b);
/* Equality in the sense of <=> (NULL equals NULL, NaN equals NaN). */
bool mr_column_equal_rows(const struct mr_column *a, int64_t row_a, const struct mr_column *b,
                          int64_t row_b);
/* Columns of equal type one after the other. */
enum mr_status mr_column_concat(struct mr_memory *memory, struct mr_column *const *columns,
                                int ncolumns, struct mr_column **out, struct mr_error *err);
/* The same of some rows of each: [from, from + count) of the column. Runs of one column together. */
struct mr_column_run {
    struct mr_column *column;
    int64_t from;
    int64_t count;
};
enum mr_status mr_column_concat_runs(struct mr_memory *memory, const struct mr_column_run *runs,
                                     int nruns, struct mr_column **out, struct mr_error *err);
enum mr_status mr_batch_concat(struct mr_memory *memory, struct mr_batch *const *batches,
                               int nbatches, struct mr_batch **out, struct mr_error *err);
/*
 * The same rows in storage of their own: nothing is shared with the original, not even a
 * dictionary. A batch's selection is applied.
 */
enum mr_status mr_column_copy(struct mr_memory *memory, struct mr_column *column,
                              struct mr_column **out, struct mr_error *err);
enum mr_status mr_batch_copy(struct mr_memory *memory, struct mr_batch *batch,
                             struct mr_batch **out, struct mr_error *err);
/*
 * Order-independent content hash of a batch's rows: sum over rows of the row hash, as 128 bits in
 * two words (sum of hashes, sum of mixed hashes). Adding two batches' pairs gives the pair of their
 * union.
 */
struct mr_content_hash {
    uint64_t sum;
    uint64_t mixed;
    int64_t rows;
};
enum mr_status mr_batch_content_hash(const struct mr_batch *batch, struct mr_content_hash *hash,
                                     struct mr_error *err);

#endif

/*
 * sorter_private.h - the inside of a sorter, shared by its writing half (sorter.c) and its reading
 * half (sorter_read.c).
 */
#ifndef MR_OP_SORTER_PRIVATE_H
#define MR_OP_SORTER_PRIVATE_H

#include "op/sorter.h"

/* Temporary files of some runs. */
struct mr_sorter_store {
    int refs;
    struct mr_spill *spill;
};

/* Sorted rows: in memory as batches and an order over them, or as chunks in order. */
struct mr_sorter_run {
    int64_t rows;
    int tie_key;
    struct mr_sort_run order; /* in memory */
    struct mr_batch **batches;
    int nbatches;
    struct mr_sorter_store *store; /* NULL: in memory */
    int first_chunk;
    int nchunks;
    int level;              /* how often it was merged */
    struct mr_batch *marks; /* the first row of each chunk */
};

/* A place in the order (keys, run, place in the run): where a range begins. */
struct mr_sorter_bound {
    uint64_t key[MR_SORT_MAX_WORDS]; /* masked */
    const struct mr_batch *batch;
    int64_t row;
    int run;
    int64_t at; /* in memory: row of the order; else the chunk, of which it is the first row */
    int64_t weight;
};

struct mr_sorter {
    const struct mr_sorter_plan *plan;
    struct mr_runtime runtime; /* a copy: the sorter outlives its task's thread */
    int64_t share;
    int64_t chunk_bytes;
    /* rows not sorted yet */
    struct mr_batch **batches;
    int nbatches;
    int batch_capacity;
    int64_t rows;
    int64_t bytes;
    int nsmall; /* the last so many batches are small */
    int64_t small_rows;
    struct mr_sorter_store *store; /* new runs go here */
    struct mr_sorter_run *runs;
    int nruns;
    int run_capacity;
    /* of mr_sorter_divide */
    int tie_key; /* of all runs */
    uint64_t mask[MR_SORT_MAX_WORDS];
    int nranges;
    struct mr_sorter_bound *bounds; /* nranges - 1 */
};

/* The rows of some runs of a sorter, merged; bounds NULL = from the first, to the last. */
enum mr_status mr_sorter_merge_new(const struct mr_sorter *sorter, struct mr_runtime *runtime,
                                   int first_run, int nruns, const struct mr_sorter_bound *from,
                                   const struct mr_sorter_bound *to, const struct mr_schema *schema,
                                   struct mr_sorter_reader **out, struct mr_error *err);
/* Bytes of one row, about. */
int64_t mr_sorter_row_bytes(const struct mr_sorter *sorter);

/* The least tie key of some runs and its mask. */
int mr_sorter_tie_key(const struct mr_sorter *sorter, int first_run, int nruns,
                      uint64_t mask[MR_SORT_MAX_WORDS]);
void mr_sorter_key_of(const struct mr_sorter *sorter, const struct mr_batch *batch, int64_t row,
                      uint64_t key[MR_SORT_MAX_WORDS]);
/* Does a row with this key and place lie before the bound? */
bool mr_sorter_before(const struct mr_sorter *sorter, const uint64_t *key,
                      const struct mr_batch *batch, int64_t row, int run, int64_t at,
                      const struct mr_sorter_bound *bound);

#endif

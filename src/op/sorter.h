/*
 * sorter.h - rows sorted in memory that may not hold them: for sortData, windowColumns and others.
 *
 * Each task fills a sorter of its own; sorters are put together in task order, divided into ranges,
 * and each range is read by anybody, any number of times, in order. Equal rows keep their order:
 * sorters in the order of absorbing, rows in the order of adding.
 */
#ifndef MR_OP_SORTER_H
#define MR_OP_SORTER_H

#include "col/sort.h"
#include "ext/spill.h"

/* Immutable, arena-owned. */
struct mr_sorter_plan {
    const struct mr_sort_layout *layout;
    const struct mr_schema *schema; /* of the rows: what comes out, and then what else keys need */
    int64_t limit;                  /* only the first so many are wanted; 0 = all */
};

struct mr_sorter;
struct mr_sorter_reader;

/* `share`: bytes that it may hold before it writes sorted runs to temporary files. */
enum mr_status mr_sorter_new(const struct mr_sorter_plan *plan, struct mr_runtime *runtime,
                             int64_t share, struct mr_sorter **out, struct mr_error *err);
/* NULL is allowed. */
void mr_sorter_free(struct mr_sorter *sorter);
/* Takes a reference; no selection. */
enum mr_status mr_sorter_add(struct mr_sorter *sorter, struct mr_batch *batch,
                             struct mr_error *err);
/* No more rows: what is in memory is sorted. */
enum mr_status mr_sorter_finish(struct mr_sorter *sorter, struct mr_error *err);
/* Adds all rows of one partition of a spill, and finishes. */
enum mr_status mr_sorter_fill(struct mr_sorter *sorter, const struct mr_spill *spill,
                              struct mr_runtime *runtime, int partition, struct mr_error *err);
/* Both are finished; `from` is left empty. Only hands over. */
enum mr_status mr_sorter_absorb(struct mr_sorter *into, struct mr_sorter *from,
                                struct mr_error *err);
/* Ranges of about equal numbers of rows, even where all keys are equal. Before reading. */
enum mr_status mr_sorter_divide(struct mr_sorter *sorter, int nranges, struct mr_error *err);
int64_t mr_sorter_rows(const struct mr_sorter *sorter);

/* `schema`: the first columns of the plan's. */
enum mr_status mr_sorter_reader_new(const struct mr_sorter *sorter, struct mr_runtime *runtime,
                                    int range, const struct mr_schema *schema,
                                    struct mr_sorter_reader **out, struct mr_error *err);
/* At most so many rows a batch; before reading. */
void mr_sorter_reader_rows(struct mr_sorter_reader *reader, int64_t rows);
void mr_sorter_reader_free(struct mr_sorter_reader *reader);
/* The next rows in order, a new reference; NULL at the end. */
enum mr_status mr_sorter_read(struct mr_sorter_reader *reader, struct mr_batch **out,
                              struct mr_error *err);

#endif

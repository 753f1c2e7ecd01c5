/*
 * group.h - which rows of a batch belong together: one pass over the partition columns.
 */
#ifndef MR_DATASET_GROUP_H
#define MR_DATASET_GROUP_H

#include "col/batch.h"

/* Scratch space and result; used again for batch after batch by one thread. */
struct mr_grouper {
    struct mr_memory *memory;
    int64_t capacity; /* rows that the arrays have room for */
    int32_t *ids;     /* group of each row */
    int32_t *codes;   /* of one column */
    int32_t *rows;    /* row numbers, group by group, ascending inside a group */
    int32_t *starts;  /* ngroups + 1: group g is rows[starts[g]] .. */
    int ngroups;
    int32_t *slots; /* hash table: code + 1, 0 = free */
    uint64_t *keys; /* of each code */
    int32_t *first; /* first row of each code */
    int64_t nslots;
};

void mr_grouper_init(struct mr_grouper *grouper, struct mr_memory *memory);
void mr_grouper_reset(struct mr_grouper *grouper);
/*
 * Groups the rows of a batch (no selection) by the exact values of some columns; groups are numbered by first appearance.
 * NULL is a value. Floats are told apart by their bits.
 */
enum mr_status mr_grouper_run(struct mr_grouper *grouper, const struct mr_batch *batch,
                              const int *columns, int ncolumns, struct mr_error *err);

#endif

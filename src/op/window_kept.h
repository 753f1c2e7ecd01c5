/*
 * window_kept.h - windowColumns in a stream: the last rows of each group, and an epoch over them.
 */
#ifndef MR_OP_WINDOW_KEPT_H
#define MR_OP_WINDOW_KEPT_H

#include "col/group_table.h"
#include "ext/kept.h"
#include "ext/spill.h"
#include "op/window_block.h"

#define MR_WINDOW_BITS  6
#define MR_WINDOW_PARTS (1 << MR_WINDOW_BITS)

struct mr_window_place {
    uint32_t run;
    int32_t row;
};

/* A group. Of its rows those numbered (seen - keep, seen] are kept. */
struct mr_window_key {
    int64_t seen;
    uint32_t room;                  /* a power of two, or 0 */
    struct mr_window_place *places; /* of row n: n % room */
    int64_t fresh, at, next;        /* of the epoch at hand; 0 between epochs */
};

/* Rows that came in one epoch, or several such runs merged. */
struct mr_window_run {
    struct mr_batch *batch; /* of plan->kept */
    uint32_t *owners;       /* group by row */
    bool saved;
};

struct mr_window_part {
    struct mr_group_table *table;
    struct mr_window_key *keys; /* by group */
    int64_t nkeys, capacity;
    struct mr_window_run *runs;
    int nruns, run_capacity;
    int64_t rows;    /* of all runs */
    int64_t live;    /* of them at most so many are needed */
    int64_t charged; /* bytes, beside those of columns and the table */
};

struct mr_window_kept {
    const struct mr_window_plan *plan; /* the first epoch's */
    struct mr_memory *memory;
    struct mr_window_part parts[MR_WINDOW_PARTS];
};

extern const struct mr_keeper mr_window_keeper;

/* ---- window_kept.c ---- */

/* Hashes of rows by their keys, `at` by key: columns of the batch. */
void mr_window_hash(const struct mr_window_plan *plan, const struct mr_batch *batch, const int *at,
                    uint64_t *hashes);
/* The group of each row; part->keys has all of them then. */
enum mr_status mr_window_groups(struct mr_window_kept *kept, struct mr_window_part *part,
                                const struct mr_batch *batch, const int *at, const uint64_t *hashes,
                                uint32_t *groups, struct mr_error *err);
/* Where row `number` of a group is; false = it is not kept. */
bool mr_window_find(const struct mr_window_part *part, uint32_t group, int64_t number,
                    struct mr_window_place *out);
/* Rows of several runs as a batch of plan->kept: place i is row at[i] of it. `count` is not 0. */
enum mr_status mr_window_recall(const struct mr_window_part *part, struct mr_memory *memory,
                                const struct mr_window_place *places, int64_t count,
                                struct mr_batch **out, int32_t *at, struct mr_error *err);
/* Copies the rows (columns as in plan->kept) behind those that there are. */
enum mr_status mr_window_keep(struct mr_window_kept *kept, struct mr_window_part *part,
                              const struct mr_batch *batch, const uint32_t *groups,
                              struct mr_error *err);

/* ---- window_columns_stream.c ---- */

/* Is a call of what a stream can give? MR_CONFIG says why not. */
enum mr_status mr_window_check_stream(const struct mr_window_plan *plan,
                                      const struct mr_op_bind *bind,
                                      const struct mr_window_call *call, struct mr_error *err);
/* Sets what is kept, if the input is a stream. After mr_op_append_finish. */
enum mr_status mr_window_bind_stream(struct mr_window_plan *plan, const struct mr_op_bind *bind,
                                     struct mr_op_info *info, struct mr_error *err);
/* New rows of a partition, computed behind those that are kept, into *out (NULL: there are none). One thread a partition. */
enum mr_status mr_window_stream_part(const struct mr_window_plan *plan, struct mr_spill *spill,
                                     struct mr_runtime *runtime, int partition,
                                     struct mr_spill **out, struct mr_error *err);

#endif

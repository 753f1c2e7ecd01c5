/*
 * window_kept.h - windowColumns in a stream: the last rows of each group, and an epoch over them.
 */
#ifndef MR_OP_WINDOW_KEPT_H
#define MR_OP_WINDOW_KEPT_H

#include "col/group_table.h"
#include "ext/kept.h"
#include "ext/spill.h"
#include "ext/spill_log.h"
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
    int64_t fresh, at, next;        /* of the block at hand; fresh is 0 between blocks */
};

/* Rows that came in one epoch, or several such runs merged. */
struct mr_window_run {
    struct mr_batch *batch; /* of plan->kept */
    uint32_t *owners;       /* group by row */
    bool saved;
    bool stored; /* its rows are in pieces, too */
};

/* Rows in a file. */
struct mr_window_piece {
    struct mr_spilled rows; /* of plan->kept */
    bool saved;
};

/* Rows in files, of groups that have some bits of their hashes in common. */
struct mr_window_node {
    struct mr_window_node *children; /* by the next bits; NULL: a leaf, whose rows are in pieces */
    struct mr_window_piece *pieces;
    int npieces, capacity;
    int64_t bytes; /* of pieces, unpacked */
    int64_t most;  /* bytes from which on it is written anew; 0 = it never was */
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
    /* NULL: all rows are in runs. Else runs have none but those that are on their way here. */
    struct mr_window_node *stored;
};

struct mr_window_kept {
    const struct mr_window_plan *plan; /* the first epoch's */
    struct mr_runtime runtime;         /* a copy */
    struct mr_memory *memory;
    struct mr_spill_log *log;
    int64_t limit; /* bytes in memory, of one partition */
    int64_t leaf;  /* bytes of rows that are loaded together, about */
    int64_t block; /* bytes of new rows that are worked off at a time */
    struct mr_window_part parts[MR_WINDOW_PARTS];
};

extern const struct mr_keeper mr_window_keeper;

/* ---- window_kept.c ---- */

/* Without rows. */
enum mr_status mr_window_part_init(const struct mr_window_kept *kept, struct mr_window_part *part,
                                   struct mr_error *err);
/* Runs and groups go; what is stored stays. */
void mr_window_part_reset(const struct mr_window_kept *kept, struct mr_window_part *part);
/* Bytes in memory, without the table of groups. */
int64_t mr_window_part_bytes(const struct mr_window_part *part);

/* Hashes of rows by their keys, `at` by key: columns of the batch. */
void mr_window_hash(const struct mr_window_plan *plan, const struct mr_batch *batch, const int *at,
                    uint64_t *hashes);
/* The group of each row; part->keys has all of them then. */
enum mr_status mr_window_groups(const struct mr_window_kept *kept, struct mr_window_part *part,
                                const struct mr_batch *batch, const int *at, const uint64_t *hashes,
                                uint32_t *groups, struct mr_error *err);
/* Where row `number` of a group is; false = it is not kept. */
bool mr_window_find(const struct mr_window_part *part, uint32_t group, int64_t number,
                    struct mr_window_place *out);
/* Is the row still within reach, and not another one of its number? */
bool mr_window_is_live(const struct mr_window_kept *kept, const struct mr_window_part *part, int r,
                       int64_t row);
/* Rows of several runs as a batch of plan->kept: place i is row at[i] of it. `count` is not 0. */
enum mr_status mr_window_recall(const struct mr_window_part *part, struct mr_memory *memory,
                                const struct mr_window_place *places, int64_t count,
                                struct mr_batch **out, int32_t *at, struct mr_error *err);
/* Copies the rows (columns as in plan->kept) behind those that there are. */
enum mr_status mr_window_keep(struct mr_window_kept *kept, struct mr_window_part *part,
                              const struct mr_batch *batch, const uint32_t *groups,
                              struct mr_error *err);
/* The same with a batch of plan->kept itself, which is taken over. */
enum mr_status mr_window_enter(const struct mr_window_kept *kept, struct mr_window_part *part,
                               struct mr_window_run run, const uint32_t *groups,
                               struct mr_error *err);

/* ---- window_stored.c ---- */

/* Takes rows down to the leaves that they belong to. */
struct mr_window_walk {
    enum mr_status (*visit)(struct mr_window_walk *walk, struct mr_window_node *leaf, int bits,
                            struct mr_batch *rows);
    struct mr_memory *memory;
    struct mr_error *err;
};
/* `bits` of the hashes lead to the node. */
enum mr_status mr_window_walk(struct mr_window_walk *walk, struct mr_window_node *node, int bits,
                              struct mr_batch *batch, const uint64_t *hashes);
/* The rows of a leaf as a partition in memory, to be reset also after a failure. */
enum mr_status mr_window_leaf_load(const struct mr_window_kept *kept,
                                   const struct mr_window_node *leaf, struct mr_runtime *runtime,
                                   struct mr_window_part *out, struct mr_error *err);
/* Writes what is new in a partition that was loaded, or all of it. `runtime` counts what is written. */
enum mr_status mr_window_leaf_put(const struct mr_window_kept *kept, struct mr_window_node *leaf,
                                  int bits, const struct mr_window_part *part,
                                  struct mr_runtime *runtime, struct mr_error *err);
/* The rows of the partition go into files. */
enum mr_status mr_window_part_store(const struct mr_window_kept *kept, struct mr_window_part *part,
                                    struct mr_runtime *runtime, struct mr_error *err);
/* The same if it holds more than its limit. */
enum mr_status mr_window_part_shrink(const struct mr_window_kept *kept, struct mr_window_part *part,
                                     struct mr_runtime *runtime, struct mr_error *err);
/* NULL is allowed. */
void mr_window_node_free(const struct mr_window_kept *kept, struct mr_window_node *node);
int64_t mr_window_node_rows(const struct mr_window_node *node);
/* All pieces, or those that are not saved; they are saved then. `emit` takes the batches over. */
enum mr_status mr_window_node_save(struct mr_window_kept *kept, struct mr_window_node *node,
                                   bool everything, struct mr_emit *emit, struct mr_error *err);

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

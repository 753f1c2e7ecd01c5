/*
 * join_runs.h - rows of two streams that are kept for each other: what join_stream*.c share.
 *
 * A side of a partition is a list of runs. A run is rows that came together, with a table to find them by key, and is never
 * changed but for the marks of rows that have found a partner. Neighbours of about equal size are merged, so there are few.
 * The oldest runs of a partition that holds more than its part of the memory are stored: in pieces in a file, of which only
 * the marks and the bounds stay (join_stored.c).
 */
#ifndef MR_OP_JOIN_RUNS_H
#define MR_OP_JOIN_RUNS_H

#include "op/join_state.h"

#include "ext/kept.h"
#include "ext/spill_log.h"

#define MR_JOIN_KEPT_BITS  5
#define MR_JOIN_KEPT_PARTS (1 << MR_JOIN_KEPT_BITS)

struct mr_join_both {
    struct mr_join_plan *plans[2]; /* plans[s] probes with rows of port s; both as an inner join */
    struct mr_join_plan pads[2];   /* plans[0] as it emits rows of port s without a partner */
    bool preserved[2];             /* comes out without a partner, too */
    bool marks[2];                 /* which rows have found a partner is known */
    bool exists; /* left_semi, left_anti: rows of port 0 alone come out, no pairs */
    bool semi;
    const struct mr_schema *stored[2]; /* rows of port s: all columns, computed keys, the hash */
    int time[2];
    int64_t within;
    const struct mr_schema *schema;
    const struct mr_schema *kept;
    const struct mr_schema *filed[2]; /* of stored pieces: rows of port s and their numbers */
    int pulls;
};

struct mr_join_run {
    struct mr_join_table table;
    struct mr_batch *batch; /* of stored[s]; its columns are the table's */
    int64_t rows;
    int64_t *times;   /* INT64_MIN: it has none */
    int64_t *seqs;    /* ascending */
    uint8_t *matched; /* bits */
    uint8_t *saved;   /* `matched` as it was saved */
    int64_t bytes;    /* in memory */
    int64_t charged;  /* of them, what is not in columns and the table */
};

/* A piece of a run in a file. */
struct mr_join_stored {
    struct mr_spilled rows;
    int64_t first, last; /* numbers */
    int64_t least, most; /* times, of rows that have one */
    uint8_t *marks;      /* bits: matched, then saved; NULL where nobody asks */
};

struct mr_join_side {
    struct mr_join_run **runs;
    int nruns, capacity;
    struct mr_join_stored *stored; /* older than all runs, in their order */
    int nstored, stored_capacity;
    int64_t next;  /* number of the next row, times partitions */
    int64_t saved; /* rows from here on are not saved */
    int64_t limit; /* rows at or before that are out of reach, and done with */
};

struct mr_join_part {
    struct mr_join_side sides[2];
};

struct mr_join_kept {
    const struct mr_join_both *plan;
    struct mr_runtime runtime; /* a copy */
    struct mr_memory *memory;
    struct mr_spill_log *log;
    int64_t limit; /* bytes of runs in memory, of one partition */
    int64_t piece; /* bytes of a stored piece, about */
    int64_t block; /* bytes of new rows that are joined at a time */
    struct mr_join_part parts[MR_JOIN_KEPT_PARTS];
};

/*
 * Takes over nothing; matched (bits) may be NULL. seqs has batch->rows numbers. `found`: rows can be found by key; otherwise the table
 * has columns alone.
 */
enum mr_status mr_join_run_new(const struct mr_join_both *plan, int side, struct mr_memory *memory,
                               struct mr_batch *batch, const int64_t *seqs, const uint8_t *matched,
                               bool found, struct mr_join_run **out, struct mr_error *err);
void mr_join_run_free(struct mr_join_run *run);
/* Takes over the run. */
enum mr_status mr_join_side_add(struct mr_join_side *side, struct mr_join_run *run,
                                struct mr_error *err);
/* Lets go of rows that are out of reach, and merges runs. */
enum mr_status mr_join_side_tidy(const struct mr_join_both *plan, int number,
                                 struct mr_memory *memory, struct mr_join_side *side,
                                 struct mr_error *err);
void mr_join_side_reset(struct mr_join_kept *kept, struct mr_join_side *side);

/* ---- join_stored.c ---- */

/*
 * Stores runs, the oldest of the larger side first, if the partition holds more than its limit. `runtime` counts what is written.
 */
enum mr_status mr_join_part_shrink(struct mr_join_kept *kept, struct mr_join_part *part,
                                   struct mr_runtime *runtime, struct mr_error *err);
/* A stored piece as a run of which rows cannot be found by key, charged to `runtime`. */
enum mr_status mr_join_stored_load(const struct mr_join_kept *kept, int number,
                                   const struct mr_join_stored *stored, struct mr_runtime *runtime,
                                   struct mr_join_run **out, struct mr_error *err);
/* The run was marked: so is the piece. */
void mr_join_stored_mark(struct mr_join_stored *stored, const struct mr_join_run *run);
/* Are there marks that are not saved? */
bool mr_join_stored_changed(const struct mr_join_stored *stored);
/* Stores the piece anew without rows that are done with, if they are half of it. `run` is what was loaded. */
enum mr_status mr_join_stored_tidy(struct mr_join_kept *kept, int number, struct mr_join_side *side,
                                   struct mr_join_stored *stored, const struct mr_join_run *run,
                                   struct mr_runtime *runtime, struct mr_error *err);
/* Lets go of pieces that are out of reach as a whole. */
void mr_join_stored_forget(struct mr_join_kept *kept, struct mr_join_side *side);
void mr_join_stored_reset(struct mr_join_kept *kept, struct mr_join_side *side);

extern const struct mr_keeper mr_join_keeper;
/* The schema of what is saved. */
enum mr_status mr_join_kept_schema(struct mr_arena *arena, struct mr_join_both *plan,
                                   struct mr_error *err);

#endif

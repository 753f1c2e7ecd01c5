/*
 * window_block.h - the parts of windowColumns: the bound plan, and what computes a block of rows.
 */
#ifndef MR_OP_WINDOW_BLOCK_H
#define MR_OP_WINDOW_BLOCK_H

#include "op/append.h"
#include "op/sorter.h"
#include "sql/aggregate.h"
#include "sql/window.h"

/* How an aggregate over a frame is computed. */
enum mr_window_way {
    MR_WAY_STATES, /* by the states of sql/aggregate.h */
    MR_WAY_COUNT,
    MR_WAY_SUM_INT, /* integers, and decimals of up to 18 digits: exact */
    MR_WAY_SUM_FLOAT,
    MR_WAY_AVG_INT,
    MR_WAY_AVG_DECIMAL,
    MR_WAY_AVG_FLOAT,
    MR_WAY_LEAST,
    MR_WAY_GREATEST,
};

struct mr_window_function {
    enum mr_window_kind kind;
    enum mr_window_way way;
    const char *text;
    int arg;      /* column of the rows, -1 = none */
    int fallback; /* column: the default of lag and lead, -1 = NULL */
    int64_t n;    /* rows of lag and lead (negative: lead), buckets, the n of nth_value */
    bool ignore_nulls;
    const struct mr_type *type;
    struct mr_aggregation *aggregation; /* STATES, and where it runs */
    bool runs; /* of a stream, from UNBOUNDED PRECEDING: goes on from the state of its group */
    int state; /* then the first column of that in the kept rows */
};

struct mr_window_plan {
    struct mr_op_appended appended;
    struct mr_sorter_plan sorter;
    int npartition;
    int *partition; /* columns */
    int norder;
    struct mr_sort_key *order;
    struct mr_window_frame frame;
    int64_t from_rows; /* offsets of a frame by ROWS */
    int64_t to_rows;
    int range_key; /* columns of a RANGE frame with offsets: the key, and where it begins and ends */
    int range_from;
    int range_to;
    int nfunctions;
    struct mr_window_function *functions;
    bool streams;                    /* a group may be worked off in pieces */
    const struct mr_schema *results; /* the input's columns, then one for each function */
    const struct mr_schema *schema;  /* of the output */
    int *from;                       /* by column of the output: of `results`, or -1 */
    struct mr_expr **exprs;          /* where from is -1 */
    int pulls;
    /* Of a stream (window_columns_stream.c): columns that are kept of a row, and of how many rows of a key; else NULL. */
    const struct mr_schema
        *kept;         /* these columns, states behind the row, its number in the group */
    int nkept;         /* without states */
    int *kept_columns; /* of the appended schema */
    int *kept_keys;    /* by key: its place among them */
    const struct mr_type **types; /* of keys */
    int64_t keep;
};

/* What a function remembers of a group that goes on in the next block. */
struct mr_window_memory {
    mr_int128 sum;
    double float_sum;
    int64_t count;
    struct mr_column *kept; /* rows before the block: the least so far, those that lag needs */
};

/* Rows of whole groups in order, or (streams) whole runs of equals of one large group. */
struct mr_window_block {
    const struct mr_window_plan *plan;
    struct mr_runtime *runtime;
    struct mr_eval *eval;
    struct mr_batch *batch;
    int64_t rows;
    struct mr_buffer *storage;
    int32_t *group_start; /* by row */
    int32_t *group_end;
    int32_t *peer_start;
    int32_t *peer_end;
    int32_t *from; /* the frame */
    int32_t *to;
    int32_t *scratch;
    int32_t *rows_of; /* rows that a result is taken from */
    int ngroups;
    /* Of the group that the first row goes on with: */
    int64_t rows_before;
    int64_t peers_before;
    struct mr_window_memory *memories; /* by function */
    bool goes_on;                      /* the last group goes on in the next block */
};

/* Flags[i] |= row i differs from row i - 1 in the column, for i >= 1. */
void mr_window_mark(const struct mr_column *column, int64_t rows, uint8_t *flags);
/* Groups, equals and frames of `batch`. */
enum mr_status mr_window_block_init(struct mr_window_block *block, struct mr_error *err);
void mr_window_block_reset(struct mr_window_block *block);
/* The result of function f for all rows of the block. */
enum mr_status mr_window_compute(struct mr_window_block *block, int f, struct mr_column **out,
                                 struct mr_error *err);
/* The same by states of aggregates, in window_columns_states.c. */
enum mr_status mr_window_by_states(struct mr_window_block *block,
                                   const struct mr_window_function *function,
                                   struct mr_column **out, struct mr_error *err);
/* Results -> the output's columns, emitted in handy batches. */
enum mr_status mr_window_emit(const struct mr_window_plan *plan, struct mr_eval *eval,
                              struct mr_memory *memory, struct mr_batch *results,
                              struct mr_emit *emit, struct mr_error *err);
/* bind, in window_columns_bind.c */
enum mr_status mr_window_bind(const struct mr_op_bind *bind, void **plan, struct mr_op_info *info,
                              struct mr_error *err);

#endif

/*
 * aggregate_book.h - groups that stay: keys, times of their windows, states, and when they changed. What is kept of a
 * stream, and what running results of a batch are computed with. One thread.
 */
#ifndef MR_OP_AGGREGATE_BOOK_H
#define MR_OP_AGGREGATE_BOOK_H

#include "op/aggregate.h"

#define MR_AGG_GONE (-1) /* touched: closed, or merged into another session */

struct mr_agg_book {
    const struct mr_agg_plan *plan;
    struct mr_memory *memory;
    struct mr_group_table
        *table; /* of keys (sessions: without the window's); NULL: there are none */
    struct mr_agg_states *states; /* by entry */
    int64_t count, capacity;      /* entries: the groups of `table`, or sessions */
    int64_t *touched;             /* the epoch that changed it last, or MR_AGG_GONE */
    int64_t *starts, *ends;       /* with windows */
    /* Sessions: the group of its keys, the next of the same keys, and the first by group; -1 = none. */
    uint32_t *owners;
    int32_t *next, *first;
    int64_t nfirst;
    /* Of the rows at hand. */
    uint32_t *groups;
    int64_t room;
};

/* Columns of plan->book in front of the keys. */
enum { MR_AGG_BOOK_CLOSED, MR_AGG_BOOK_TOUCHED, MR_AGG_BOOK_KEYS };

enum mr_status mr_agg_book_init(struct mr_agg_book *book, const struct mr_agg_plan *plan,
                                struct mr_memory *memory, struct mr_error *err);
void mr_agg_book_reset(struct mr_agg_book *book);
int64_t mr_agg_book_bytes(const struct mr_agg_book *book);
/* Room for so many entries; new ones are to be filled. */
enum mr_status mr_agg_book_resize(struct mr_agg_book *book, int64_t count, struct mr_error *err);
/* book->groups of rows of a batch: groups of `table`. */
enum mr_status mr_agg_book_find(struct mr_agg_book *book, struct mr_column *const *keys,
                                const int32_t *rows, int64_t count, struct mr_error *err);

/* A batch of plan->kept of groups with states. */
enum mr_status mr_agg_book_merge(struct mr_agg_book *book, const struct mr_batch *batch,
                                 int64_t epoch, struct mr_error *err);
/* The times of entries that are new among those found. Sessions are made by mr_agg_book_join. */
enum mr_status mr_agg_book_starts(struct mr_agg_book *book, struct mr_column *const *keys,
                                  const int32_t *rows, int64_t count, int64_t epoch,
                                  struct mr_error *err);
/* Rows (plan->kept, no selection); emits the results of its group after each, unless `emit` is NULL. */
enum mr_status mr_agg_book_run(struct mr_agg_book *book, const struct mr_agg_plan *plan,
                               struct mr_batch *rows, int64_t epoch, struct mr_eval *eval,
                               struct mr_emit *emit, struct mr_error *err);
/*
 * Adds [start, end] to the sessions of a group of keys: its entry, a new one or one that it touches. Others that it touches
 * are gone, and their states are to go into *entry: `joins`.
 */
struct mr_agg_joined {
    uint32_t from, into;
};
struct mr_agg_joins {
    struct mr_agg_joined *items;
    int64_t count, capacity;
};
enum mr_status mr_agg_book_join(struct mr_agg_book *book, uint32_t owner, int64_t start,
                                int64_t end, int64_t epoch, uint32_t *entry,
                                struct mr_agg_joins *joins, struct mr_error *err);
/* The states of `joins` into those that they have joined; none are left. */
enum mr_status mr_agg_book_joined(struct mr_agg_book *book, struct mr_agg_joins *joins,
                                  struct mr_error *err);
/* Last session of a group of keys whose entry is new. */
void mr_agg_book_link(struct mr_agg_book *book, uint32_t owner, uint32_t entry);
/* The earliest session of these keys that [start, end] touches, or -1. */
int64_t mr_agg_book_touching(const struct mr_agg_book *book, uint32_t owner, int64_t start,
                             int64_t end);

/* Entries that changed in `since` or later and close: 1, do not: 0, either: -1. */
struct mr_agg_which {
    int64_t since;
    int closing;
    int64_t reached;
};
/* Their results. */
enum mr_status mr_agg_book_emit(struct mr_agg_book *book, const struct mr_agg_plan *plan,
                                const struct mr_agg_which *which, struct mr_eval *eval,
                                struct mr_runtime *runtime, struct mr_emit *emit,
                                struct mr_error *err);
/* Themselves, as batches of plan->book. */
enum mr_status mr_agg_book_export(struct mr_agg_book *book, const struct mr_agg_which *which,
                                  enum mr_status (*take)(void *context, struct mr_batch *batch,
                                                         struct mr_error *err),
                                  void *context, struct mr_error *err);
/* Rows of plan->book, the newest batch first: of two of one group the later row counts; none that has closed. */
enum mr_status mr_agg_book_import(struct mr_agg_book *book, const struct mr_batch *batch,
                                  int64_t closed, struct mr_error *err);
/* Forgets groups that are over. */
enum mr_status mr_agg_book_close(struct mr_agg_book *book, int64_t reached, struct mr_error *err);

/*
 * Books that are too large for memory: partitions of plan->book by MR_AGG_DIVIDE_BITS behind the `skip` highest bits of the
 * hashes of the keys.
 */
#define MR_AGG_DIVIDE_BITS 4
enum mr_status mr_agg_book_store(struct mr_agg_book *book, struct mr_spill *spill, int skip,
                                 struct mr_error *err);
enum mr_status mr_agg_book_load(struct mr_agg_book *book, const struct mr_spill *spill,
                                struct mr_runtime *runtime, int partition, int64_t closed,
                                struct mr_error *err);
/* The partition of each row by `bits` bits; keys begin at `column`. mr_alloc'ed. */
enum mr_status mr_agg_row_partitions(const struct mr_agg_plan *plan, const struct mr_batch *batch,
                                     int column, int skip, int bits, uint32_t **out,
                                     struct mr_error *err);
/* Chunks from `chunk` on of a partition of plan->kept, divided in the same way. */
enum mr_status mr_agg_divide_rows(const struct mr_agg_plan *plan, struct mr_runtime *runtime,
                                  const struct mr_spill *spill, int partition, int chunk, int skip,
                                  struct mr_spill **out, struct mr_error *err);

#endif

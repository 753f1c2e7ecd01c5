/*
 * join_state.h - the state of one task of a join, on either port. Private to join_*.c.
 */
#ifndef MR_OP_JOIN_STATE_H
#define MR_OP_JOIN_STATE_H

#include "op/join_table.h"

#include "ext/spill.h"

struct mr_join_task {
    struct mr_join_plan *plan;
    struct mr_runtime *runtime;
    struct mr_eval *eval;

    /* Of the kept side: collected by one task, later by the one that the others were combined into. */
    struct mr_spill *store; /* NULL once all of it is in the table */
    int bits;               /* it has 2^bits partitions */
    int filled_by;          /* tasks combined, this one included */
    struct mr_join_table table;
    bool *apart;                  /* partitions that are not in the table; NULL = none */
    struct mr_join_range *ranges; /* of the keys, by key */

    /* Of the probe side. */
    const struct mr_join_task *built;
    struct mr_spill *kept;  /* rows for partitions that are apart */
    uint8_t *build_matched; /* full join: a bit for each row of the table */
};

/* Least and greatest value of a key of integers, dates or times. */
struct mr_join_range {
    bool tracked;
    bool any;
    int64_t least;
    int64_t most;
};

/* Keys and hashes of the rows of one batch of one side. */
struct mr_join_hashed {
    struct mr_column **keys; /* over all rows of the batch */
    const int32_t *rows;     /* row i of the following; NULL = row i of the batch */
    int64_t count;
    uint64_t *hashes;
    uint8_t *valid; /* 0 = this row can have no match; NULL = all can */
};
enum mr_status mr_join_hash(struct mr_join_task *task, int port, const struct mr_batch *batch,
                            struct mr_join_hashed *out, struct mr_error *err);
void mr_join_hashed_reset(const struct mr_join_plan *plan, struct mr_join_hashed *hashed);
/* The hash column of stored or kept rows: by row of the batch, NULL where not valid. */
enum mr_status mr_join_hash_column(struct mr_memory *memory, const struct mr_join_hashed *hashed,
                                   int64_t rows, struct mr_column **out, struct mr_error *err);
/* Partition of row i, of 2^bits, by the hash's bits behind the first `skip`. */
static inline uint32_t mr_join_partition(uint64_t hash, int skip, int bits)
{
    return bits == 0 ? 0 : mr_spill_partition(hash << skip, bits);
}
/* Spreads one partition of a spill (whose last column is the hash) over 2^bits of a new one. */
enum mr_status mr_join_repartition(struct mr_runtime *runtime, struct mr_spill *from, int partition,
                                   const struct mr_schema *schema, int skip, int bits,
                                   int64_t limit, struct mr_spill **out, struct mr_error *err);

/* The kept side (join_build.c). */
enum mr_status mr_join_collect(struct mr_join_task *task, const struct mr_batch *batch,
                               struct mr_error *err);
enum mr_status mr_join_collected(struct mr_join_task *task, struct mr_error *err);
enum mr_status mr_join_combine(void *into, void *from, struct mr_error *err);
enum mr_status mr_join_settle(void *built, struct mr_runtime *runtime, int piece, int *pieces,
                              struct mr_error *err);
enum mr_status mr_join_narrows(const void *built, struct mr_arena *arena,
                               const struct mr_predicate **out, struct mr_error *err);

/* Rows of the probe side against a table (join_probe.c). */
struct mr_join_probe {
    struct mr_join_task *task;
    const struct mr_join_table *table;
    uint8_t *build_matched; /* bits, full join only */
    struct mr_emit *emit;
};
struct mr_join_rows {
    struct mr_batch *batch; /* its first columns are those of port 0 */
    struct mr_column *const *keys;
    const int32_t *rows;
    int64_t count;
    const uint64_t *hashes;
    const uint8_t *valid;
    /*
     * For several passes over the same rows, each with another part of the kept side: by row, which
     * had a match so far, and whether this is the last pass. NULL = there is only one.
     */
    uint8_t *matched;
    bool last;
};
enum mr_status mr_join_probe_rows(struct mr_join_probe *probe, const struct mr_join_rows *rows,
                                  struct mr_error *err);
/* Full join: rows of the table that no row has matched. */
enum mr_status mr_join_probe_end(struct mr_join_probe *probe, struct mr_error *err);
enum mr_status mr_join_push_probe(struct mr_join_task *task, struct mr_batch *batch,
                                  struct mr_emit *emit, struct mr_error *err);

/* What did not fit into memory (join_spill.c). */
enum mr_status mr_join_keep(struct mr_join_task *task, const struct mr_batch *batch,
                            const struct mr_join_hashed *hashed, const int32_t *rows,
                            const uint32_t *partitions, int64_t count, struct mr_error *err);
enum mr_status mr_join_finish_probe(struct mr_join_task *task, struct mr_emit *emit,
                                    struct mr_error *err);

#endif

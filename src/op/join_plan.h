/*
 * join_plan.h - a bound join of two inputs: what build, probe and spill share. Private to join_*.c.
 *
 * Port 0 is the probe side and streams, port 1 is the build side and is kept. Which of the frames of
 * the step is on which port is settled at expansion (join_expand.c); from here on there is neither
 * left nor right. A right join is a left join whose sides were swapped.
 */
#ifndef MR_OP_JOIN_PLAN_H
#define MR_OP_JOIN_PLAN_H

#include "op/bind.h"

enum mr_join_kind {
    MR_JOIN_INNER,
    MR_JOIN_OUTER, /* every row of port 0 */
    MR_JOIN_FULL,  /* and every row of port 1 */
    MR_JOIN_SEMI,
    MR_JOIN_ANTI,
};

struct mr_join_pair_key {
    struct mr_expr *probe; /* over port 0, and of the same type: */
    struct mr_expr *build; /* over port 1 */
    bool null_safe;        /* NULL equals NULL; else a NULL finds nothing */
    int probe_column;      /* where it is a bare column, else -1 */
    int stored;            /* the column of the store that holds it */
    int kept;              /* the column of spilled probe rows that holds it */
};

enum mr_join_from {
    MR_JOIN_PROBE, /* column of port 0 */
    MR_JOIN_BUILD, /* column of the store */
    MR_JOIN_KEY,   /* key, from whichever side there is (full join with USING) */
};

struct mr_join_output {
    enum mr_join_from from;
    int column;
};

struct mr_join_plan {
    struct mr_sql_session session;
    enum mr_join_kind kind;
    const struct mr_schema *schema; /* of the output */
    const struct mr_schema *probe;  /* of port 0 */
    const struct mr_schema *build;  /* of port 1 */
    struct mr_join_output *outputs;

    int nkeys;
    struct mr_join_pair_key *keys;
    /* One key of up to eight bytes that never is NULL in the table: equal hashes are equal keys. */
    bool exact;
    int nprobe_only; /* conditions over one side alone */
    struct mr_expr **probe_only;
    int nbuild_only;
    struct mr_expr **build_only;
    int nrest; /* conditions over the columns of port 0, then those of port 1 */
    struct mr_expr **rest;
    bool *rest_uses; /* columns that they read */

    /*
     * The store: columns of port 1 that are output, tried or keys, then keys that are computed, then
     * the hash (BIGINT; NULL = this row is equal to nothing).
     */
    const struct mr_schema *store;
    int nstored;     /* without the hash */
    int *store_from; /* column of port 1, or -1 - key */
    int *store_of;   /* by column of port 1: its place in the store, or -1 */
    /* Probe rows kept aside: all columns of port 0, keys that are computed, the hash. */
    const struct mr_schema *kept;

    int64_t batch_rows; /* rows of an output batch */
    int64_t within;     /* micros; -1 = none */
    int time[2];        /* with `within`: column of each port */
    bool whole;         /* the store has all columns of port 1, in order */
};

static inline bool mr_join_emits_build(const struct mr_join_plan *plan)
{
    return plan->kind != MR_JOIN_SEMI && plan->kind != MR_JOIN_ANTI;
}
static inline bool mr_join_keeps_probe(const struct mr_join_plan *plan)
{
    return plan->kind == MR_JOIN_OUTER || plan->kind == MR_JOIN_FULL;
}

/* The callbacks of mr_op that other files implement. */
enum mr_status mr_join_expand(const struct mr_op_bind *bind, struct mr_op_parts *out,
                              struct mr_error *err);
enum mr_status mr_join_bind(const struct mr_op_bind *bind, void **plan, struct mr_op_info *info,
                            struct mr_error *err);
/*
 * The join as bound, and with its sides changed over: what is stored of a port for the one is what the other probes with.
 * Both give the same columns.
 */
enum mr_status mr_join_bind_both(const struct mr_op_bind *bind, struct mr_join_plan *out[2],
                                 struct mr_op_info *info, struct mr_error *err);

#endif

/*
 * eval.h - evaluation of bound trees: what bind.c, eval.c and the kernels share.
 */
#ifndef MR_SQL_EVAL_H
#define MR_SQL_EVAL_H

#include "sql/function.h"

/* What the evaluator knows of a node (mr_node.impl). */
struct mr_impl {
    int id;         /* number of the node within its unit, children before parents */
    bool fallible;  /* some value may raise an error in this subtree */
    bool volatile_; /* this subtree is never folded or shared */
    bool constant;  /* no column and nothing volatile in this subtree */
    unsigned flags; /* of the function */
    int uses;       /* places that refer to it */
    const struct mr_function *function;
    mr_kernel_fn kernel; /* NULL for columns, literals and CASE */
    const void *data;
};

static inline const struct mr_impl *mr_node_impl(const struct mr_node *node)
{
    return node->impl;
}

struct mr_shared {
    struct mr_column *column;
};

struct mr_eval_state {
    const struct mr_node *node;
    void *memory;
    void (*release)(void *state);
};

struct mr_eval {
    struct mr_memory *memory;
    const struct mr_sql_session *session;
    const struct mr_batch *batch;
    const char *text;         /* of the expression at work, for errors */
    struct mr_shared *shared; /* results of the batch at hand, by slot */
    int nshared;
    struct mr_eval_state *states;
    int nstates;
    int states_capacity;
    bool show_values;
};

/* One compiled expression; the nodes belong to a unit that it may share with others (a projection). */
struct mr_expr {
    const char *text;
    struct mr_node *root;
    int nslots;
    int *inputs; /* columns that it reads */
    int ninputs;
    struct mr_node **failing; /* constants that raise an error and are evaluated for certain */
    int nfailing;
};

struct mr_projection {
    int count;
    struct mr_expr *exprs;
    int nslots;
};

enum mr_status mr_eval_node(struct mr_eval *eval, const struct mr_node *node,
                            const struct mr_selected *selected, struct mr_column **out,
                            struct mr_error *err);
/*
 * Puts together a column whose rows come from several: rows of selected[i] from parts[i] (any encoding, the same
 * type); rows of none are NULL. In case.c.
 */
enum mr_status mr_eval_merge(struct mr_eval *eval, const struct mr_type *type,
                             struct mr_column *const *parts, const struct mr_selected *selected,
                             int nparts, struct mr_column **out, struct mr_error *err);
/*
 * Raises the error of a constant of `expr` that fails, where any row is selected: Spark folds constants before it reads rows.
 */
enum mr_status mr_eval_failing(struct mr_eval *eval, const struct mr_expr *expr,
                               const struct mr_selected *selected, struct mr_error *err);
/* CASE, in case.c. */
enum mr_status mr_eval_case(struct mr_eval *eval, const struct mr_node *node,
                            const struct mr_selected *selected, struct mr_column **out,
                            struct mr_error *err);
/* Runs the kernel of `node` on arguments that are already there (any encoding; references stay the caller's). */
enum mr_status mr_eval_apply(struct mr_eval *eval, const struct mr_node *node,
                             struct mr_column *const *args, const struct mr_selected *selected,
                             struct mr_column **out, struct mr_error *err);
/* Rows of `selected` where `condition` (BOOL, any encoding) is TRUE, and the others; buffers of int32, made here. */
enum mr_status mr_eval_split(struct mr_eval *eval, struct mr_column *condition,
                             const struct mr_selected *selected, struct mr_buffer **yes,
                             int64_t *nyes, struct mr_buffer **no, int64_t *nno,
                             struct mr_error *err);

#endif

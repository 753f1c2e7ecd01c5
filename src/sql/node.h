/*
 * node.h - the bound expression tree, read by plan/ to push predicates into sources.
 */
#ifndef MR_SQL_NODE_H
#define MR_SQL_NODE_H

#include "sql/expr.h"

enum mr_node_kind {
    MR_NODE_COLUMN,  /* input column `column` */
    MR_NODE_LITERAL, /* `literal` */
    MR_NODE_CALL, /* function or operator `name` (upper case for operators: "AND", "=", "IN", "LIKE", "IS NULL") */
    MR_NODE_CAST, /* args[0] to `type`; `implicit` when the binder put it there */
    MR_NODE_CASE, /* args: when, then, when, then, ..., else */
};

struct mr_node {
    enum mr_node_kind kind;
    const struct mr_type *type;
    bool nullable;
    bool implicit; /* CAST: the binder put it there; LITERAL: the value of a constant expression */
    bool try_cast; /* CAST: NULL instead of an error */
    int column;
    struct mr_value literal;
    const char *name;
    int nargs;
    struct mr_node **args;
    int position;     /* character offset in the text, from 0 */
    const void *impl; /* of the evaluator */
    int shared;       /* of the evaluator: slot of a common subexpression, or -1 */
};

const struct mr_node *mr_expr_root(const struct mr_expr *expr);

#endif

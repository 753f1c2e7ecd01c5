/*
 * ast.h - what the parser makes of an expression: names not resolved, types unknown.
 */
#ifndef MR_SQL_AST_H
#define MR_SQL_AST_H

#include "base/arena.h"
#include "col/value.h"

#define MR_SQL_MAX_DEPTH 500
#define MR_SQL_MAX_TEXT  ((size_t)1 << 20)

enum mr_ast_kind {
    MR_AST_LITERAL, /* literal */
    MR_AST_NAME,    /* name */
    MR_AST_FIELD,   /* args[0] . name: a qualified column or a struct field */
    MR_AST_INDEX,   /* args[0] [ args[1] ] */
    MR_AST_CALL,    /* name(args): a function, or an operator in upper case */
    MR_AST_CAST,    /* args[0] to type */
    MR_AST_CASE,    /* args: when, then, ..., else; operand: CASE operand WHEN */
    MR_AST_STAR,    /* the * of count(*) */
    /* Only where a whole query is at hand (query.h); mr_expr_compile refuses them. */
    MR_AST_QUERY,    /* (query) as a value */
    MR_AST_EXISTS,   /* EXISTS (query) */
    MR_AST_IN_QUERY, /* args IN (query); several args: (a, b) IN (query) */
    MR_AST_COLUMN,   /* column number `column` of the scope: what aggregates are replaced by */
};

struct mr_node;
struct mr_ast;
struct mr_query;

/* One key of ORDER BY; NULLs first is Spark's default for ascending keys, last for others. */
struct mr_ast_order {
    struct mr_ast *expr;
    bool descending;
    bool nulls_first;
};

/* What stands behind OVER. */
struct mr_ast_window {
    size_t position;
    const char
        *name; /* of the WINDOW clause: OVER name, or the start of OVER (name ...); or NULL */
    int npartitions;
    struct mr_ast **partitions;
    int norders;
    struct mr_ast_order *orders;
    const char *frame; /* "ROWS", "RANGE", or NULL */
    const char *from;  /* "UNBOUNDED PRECEDING", "PRECEDING", "CURRENT ROW", "FOLLOWING", ... */
    const char *to;    /* NULL: not written */
    struct mr_ast *from_offset; /* of PRECEDING and FOLLOWING */
    struct mr_ast *to_offset;
};

struct mr_ast {
    enum mr_ast_kind kind;
    bool operator_call; /* CALL written as an operator */
    bool distinct;      /* CALL: f(DISTINCT x) */
    bool row;           /* CALL of named_struct written (a, b) */
    bool try_cast;
    int depth;       /* height of this tree, a leaf is 1 */
    size_t position; /* byte offset in the text */
    const char *name;
    const struct mr_type *type;
    struct mr_value literal;
    struct mr_ast *operand;
    int nargs;
    struct mr_ast **args;
    const struct mr_ast_window *window; /* CALL: f(..) OVER .. */
    struct mr_query *query;             /* QUERY, EXISTS, IN_QUERY */
    const void *resolved;               /* NAME: of the sql step, the column that it means */
    /* CALL of an aggregate: FILTER (WHERE filter), WITHIN GROUP (ORDER BY order [DESC]). */
    struct mr_ast *filter;
    struct mr_ast *order;
    bool descending;
    bool ignore_nulls;     /* CALL: IGNORE NULLS */
    int column;            /* COLUMN */
    uint64_t hash;         /* of the tree, 0 = not computed (aggregate_split.c) */
    bool split;            /* aggregate_split.c was here */
    struct mr_node *bound; /* of the binder */
};

/* MR_CONFIG with the place for anything that is not one expression. All of it lives in `arena`. */
enum mr_status mr_sql_parse(struct mr_arena *arena, const char *text, struct mr_ast **out,
                            struct mr_error *err);

#endif

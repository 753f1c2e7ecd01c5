/*
 * join_condition.h - a join condition taken apart into keys and what is left.
 */
#ifndef MR_SQL_JOIN_CONDITION_H
#define MR_SQL_JOIN_CONDITION_H

#include "sql/expr.h"

/* One equality: an expression over each side, of one type (casts put in as for any `=`). */
struct mr_join_key {
    struct mr_expr *left;
    struct mr_expr *right;
    bool null_safe; /* <=>: NULL equals NULL */
};

/* All of it must hold. Column numbers: `left` and `right` parts count within their side. */
struct mr_join_condition {
    int nkeys;
    struct mr_join_key *keys;
    int nleft; /* conditions over one side alone */
    struct mr_expr **left;
    int nright;
    struct mr_expr **right;
    int nrest; /* over both sides: the left columns, then the right ones */
    struct mr_expr **rest;
};

/*
 * Splits `text` at its top-level ANDs. `scope` holds the columns of the left side (the first
 * `nleft`), then those of the right one, with qualifiers. A name that both sides have must be
 * qualified. MR_CONFIG like mr_expr_compile; an unknown qualifier lists those there are.
 */
enum mr_status mr_join_condition_compile(struct mr_arena *arena, const char *text,
                                         const struct mr_sql_scope *scope, int nleft,
                                         const struct mr_sql_session *session,
                                         struct mr_join_condition *out, struct mr_error *err);

#endif

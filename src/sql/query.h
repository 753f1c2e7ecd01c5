/*
 * query.h - what the parser makes of a SELECT: clauses and expressions, names not resolved.
 *
 * The sql step (op/sql*.c) turns it into ordinary steps. Dialect: Spark SQL 3.5's SELECT. Trees are
 * at most MR_SQL_MAX_DEPTH high, sub-queries included, so that walks may recurse.
 */
#ifndef MR_SQL_QUERY_H
#define MR_SQL_QUERY_H

#include "sql/ast.h"
#include "sql/expr.h"

/* Queries inside of queries. */
#define MR_SQL_MAX_QUERIES 64

enum mr_query_kind {
    MR_QUERY_SELECT,
    MR_QUERY_UNION, /* of one term: a query in parentheses that has got a second ORDER BY or WITH */
    MR_QUERY_INTERSECT,
    MR_QUERY_EXCEPT,
};

enum mr_from_kind { MR_FROM_FRAME, MR_FROM_QUERY, MR_FROM_JOIN };

enum mr_query_join {
    MR_QUERY_INNER,
    MR_QUERY_LEFT,
    MR_QUERY_RIGHT,
    MR_QUERY_FULL,
    MR_QUERY_CROSS,
    MR_QUERY_SEMI,
    MR_QUERY_ANTI,
};

struct mr_query_name {
    const char *name;
    size_t position;
};

/* TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL ..)): a frame with the event-time windows of its rows. */
struct mr_from_window {
    const char *name; /* as written: TUMBLE, HOP, SESSION */
    size_t position;
    struct mr_query_name time;
    int nsizes;
    struct mr_ast **sizes;
    int npartitions; /* SESSION: PARTITION BY */
    struct mr_query_name *partitions;
};

struct mr_from {
    enum mr_from_kind kind;
    size_t position;
    int height;
    const char *name;              /* FRAME */
    struct mr_from_window *window; /* FRAME, or NULL */
    struct mr_query *query;        /* QUERY */
    const char *alias;             /* or NULL */
    int ncolumns;                  /* alias(a, b) */
    struct mr_query_name *columns;
    enum mr_query_join join; /* JOIN */
    bool natural;
    struct mr_from *left, *right;
    int nusing;
    struct mr_query_name *using;
    struct mr_ast *on; /* or NULL */
};

/* One item of a SELECT list: an expression, or a star. */
struct mr_query_item {
    size_t position;
    struct mr_ast *expr;   /* NULL: a star */
    const char *alias;     /* or NULL */
    const char *qualifier; /* of t.*, or NULL */
    int nexcept;           /* * EXCEPT (a, b) */
    struct mr_query_name *except;
};

struct mr_query_window {
    const char *name;
    size_t position;
    struct mr_ast_window *spec;
};

struct mr_query_cte {
    const char *name;
    size_t position;
    int ncolumns;
    struct mr_query_name *columns;
    struct mr_query *query;
};

/* What a streaming query with groups gives out, behind everything else. */
enum mr_query_emit { MR_QUERY_EMIT_DEFAULT, MR_QUERY_EMIT_FINAL, MR_QUERY_EMIT_CHANGES };

struct mr_query {
    enum mr_query_kind kind;
    size_t position;
    int height;
    int nctes;
    struct mr_query_cte *ctes;
    /* UNION, INTERSECT, EXCEPT: from left to right */
    bool all;
    int nterms;
    struct mr_query **terms;
    /* SELECT */
    bool distinct;
    int nitems;
    struct mr_query_item *items;
    struct mr_from *from; /* NULL: none */
    struct mr_ast *where;
    bool group_all; /* GROUP BY ALL */
    bool grouped;   /* there is a GROUP BY */
    int ngroups;
    struct mr_ast **groups;
    struct mr_ast *having;
    int nwindows;
    struct mr_query_window *windows;
    /* of all kinds */
    bool order_all; /* ORDER BY ALL */
    bool order_all_descending;
    bool order_all_nulls_first;
    int norders;
    struct mr_ast_order *orders;
    struct mr_ast *limit; /* or NULL */
    struct mr_ast *offset;
    /* of the whole text */
    enum mr_query_emit emit;
    size_t emit_position;
};

/*
 * One query and nothing behind it but a semicolon. MR_CONFIG errors have "line L, column C
 * (character N)" as their place. All of it lives in `arena`.
 */
enum mr_status mr_query_parse(struct mr_arena *arena, const char *text, struct mr_query **out,
                              struct mr_error *err);
/* "at line 3, column 5 (character 48): ...", the place in `where` too. */
enum mr_status mr_query_fail(const char *text, size_t offset, struct mr_error *err,
                             const char *format, ...) __attribute__((format(printf, 4, 5)));
/* An error at a character of `text`, as mr_lexer_fail left it, gets its place in lines. */
void mr_query_relocate(const char *text, struct mr_error *err);
/* The same for an error that names another place in its message (of an expression), or none. */
enum mr_status mr_query_fail_at(const char *text, size_t offset, struct mr_error *err);

/*
 * Type checks of the expressions of one query. `text` is the query's, which positions of the trees
 * point into.
 */
struct mr_query_check {
    struct mr_arena *arena;
    const char *text;
    const struct mr_sql_session *session;
    size_t last_offset; /* a place in the text, in bytes and in characters (from 0) */
    int last_character;
};
/*
 * Binds a tree to a scope, to learn its type. Names in it are columns of the scope. A tree can be
 * checked once: the binder remembers in it what it has done.
 */
enum mr_status mr_query_check_ast(struct mr_query_check *check, struct mr_ast *ast,
                                  const struct mr_sql_scope *scope, struct mr_field *result,
                                  struct mr_error *err);

/* Text that parses to an equal tree. A growing text that becomes too long is in bytes->status. */
void mr_ast_print(struct mr_bytes *out, const struct mr_ast *ast);
void mr_query_print(struct mr_bytes *out, const struct mr_query *query);
void mr_window_print(struct mr_bytes *out, const struct mr_ast_window *window);
void mr_orders_print(struct mr_bytes *out, const struct mr_ast_order *orders, int count);
/* `name`, in backticks where it needs them. */
void mr_name_print(struct mr_bytes *out, const char *name);
/* The name that Spark gives a column without an alias: "(a + 1)", "count(1)". */
void mr_ast_name(struct mr_bytes *out, const struct mr_ast *ast);
/* Positions do not count; names without regard to case; sub-queries by address. */
bool mr_ast_equal(const struct mr_ast *a, const struct mr_ast *b);
bool mr_window_equal(const struct mr_ast_window *a, const struct mr_ast_window *b);

#endif

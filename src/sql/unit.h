/*
 * unit.h - the nodes of one compilation: an expression, or all expressions of a projection.
 */
#ifndef MR_SQL_UNIT_H
#define MR_SQL_UNIT_H

#include "sql/ast.h"
#include "sql/eval.h"

struct mr_unit_name {
    const char *name;
    struct mr_node *node;
};

struct mr_unit {
    struct mr_arena *arena;
    const struct mr_sql_scope *scope;
    const struct mr_sql_session *session;
    const char *text; /* of the expression at work; a place in it, in bytes and in characters */
    size_t last_offset;
    int last_character;
    struct mr_node **nodes; /* by id */
    int nnodes;
    int nodes_capacity;
    int *buckets; /* id + 1, chained through `next` */
    int *next;
    int nbuckets;
    struct mr_unit_name *names; /* results of earlier expressions (sequential projection) */
    int nnames;
    struct mr_eval *folder; /* evaluates constants */
    struct mr_error *err;
};

enum mr_status mr_unit_init(struct mr_unit *unit, struct mr_arena *arena,
                            const struct mr_sql_scope *scope, const struct mr_sql_session *session,
                            struct mr_error *err);
void mr_unit_reset(struct mr_unit *unit);
/*
 * The node that equals `node` and `impl` if there is one, else a copy of them; folded to a literal when all of its
 * arguments are. Depth of the graph is the AST's, so callers may recurse.
 */
enum mr_status mr_unit_node(struct mr_unit *unit, const struct mr_node *node,
                            const struct mr_impl *impl, struct mr_node **out);
/* Counts uses below the roots and gives slots to what is used more than once. Returns the number of slots. */
int mr_unit_share(struct mr_unit *unit, struct mr_node *const *roots, int nroots);

/* A part of a bound tree as an expression of its own; column numbers change by `shift`. In expr.c. */
enum mr_status mr_expr_extract(struct mr_arena *arena, const struct mr_node *node, const char *text,
                               int shift, const struct mr_sql_session *session,
                               struct mr_expr **out, struct mr_error *err);

/* Binds one parsed expression (bind.c). */
enum mr_status mr_unit_bind(struct mr_unit *unit, struct mr_ast *ast, struct mr_node **out);
/* What is bound next was parsed from this text. */
void mr_unit_start(struct mr_unit *unit, const char *text);
/* Bound roots as a projection, or as a condition: the end of a compilation (expr.c). */
enum mr_status mr_unit_projection(struct mr_unit *unit, int count, const char *const *texts,
                                  struct mr_node *const *roots, struct mr_projection **out);
enum mr_status mr_unit_condition(struct mr_unit *unit, const char *text, struct mr_node *root,
                                 struct mr_expr **out);
/* CAST: nothing when the types are equal. */
enum mr_status mr_unit_cast(struct mr_unit *unit, struct mr_node *input, const struct mr_type *type,
                            bool implicit, bool try_cast, int position, struct mr_node **out);
/* CASE over bound conditions and results: when, then, ..., else; `args` is kept. */
enum mr_status mr_unit_case(struct mr_unit *unit, int nargs, struct mr_node **args, int position,
                            struct mr_node **out);
enum mr_status mr_unit_literal(struct mr_unit *unit, const struct mr_value *value, int position,
                               struct mr_node **out);
/* An error at a character of the text. */
enum mr_status mr_unit_fail(struct mr_unit *unit, int position, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif

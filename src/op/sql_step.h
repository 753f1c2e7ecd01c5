/*
 * sql_step.h - the sql step, private to op/sql*.c: from the tree of a query to a list of ordinary steps.
 *
 * Words. A *column* is an object: what a name in the query means. It has one name in flight, unique
 * among all columns that can ever meet in one step, so that no expression needs a qualifier. A
 * *relation* is the output of a part (or an input of the step) with its columns. A *block* is one
 * SELECT at work. Trees of the parser are never changed: each pass makes copies.
 */
#ifndef MR_OP_SQL_STEP_H
#define MR_OP_SQL_STEP_H

#include "base/map.h"
#include "op/bind.h"
#include "sql/query.h"

struct sql_block;
struct sql_attach;

struct sql_column {
    const char *name;      /* in flight */
    const char *display;   /* as the query may call it; NULL: not at all */
    const char *qualifier; /* alias of its relation, or NULL */
    const struct mr_type *type;
    bool nullable;
    bool qualified_only; /* one of two that USING has merged */
    bool counts;         /* an aggregate that is 0, not NULL, over no rows */
    int first, last;     /* leaves of FROM that it needs; -1: made behind FROM */
    const struct sql_block *block;
    struct sql_attach *attach; /* of a scalar sub-query: joined in where it is first used */
};

struct sql_relation {
    int input; /* as in mr_op_part.inputs */
    int ncolumns;
    struct sql_column **columns;
};

/* Names taken; names of columns that can meet come from one object. */
struct sql_names {
    struct mr_map map;
    struct sql_names *next; /* for freeing */
};

/* WITH: one name, visible to what stands behind it and below. */
struct sql_cte {
    const struct mr_query_cte *cte;
    struct sql_cte *outer;
    bool expanded;
    int since; /* parts that there were before */
    struct sql_relation relation;
};

/* An expression with its name, of SELECT or ORDER BY. */
struct sql_output {
    const char *name;
    struct mr_ast *ast; /* resolved */
    size_t position;
};

struct sql_list {
    struct mr_ast **items;
    int count;
    int capacity;
};

/* A relation that brings columns of sub-queries: a row, or what matches a condition. */
struct sql_attach {
    struct sql_relation relation;
    struct sql_list on; /* empty: one row for all */
    int done;           /* in which generation of the block's rows */
};

/* A join or, without a relation, a filter. */
struct sql_step {
    bool join;
    struct sql_relation relation;
    enum mr_query_join kind;
    struct sql_list on;
    const char *detail;
    struct sql_step *next;
};

struct sql_env {
    const struct mr_op_bind *bind;
    struct mr_arena *arena;
    struct mr_sql_session session;
    const char *text;
    struct mr_query_check check;
    struct mr_op_part *parts;
    int nparts, parts_capacity;
    struct sql_names *names;
    int64_t nodes; /* copied so far */
    struct mr_error *err;
};

/* A node of FROM: a relation, or a join. */
struct sql_node {
    struct sql_relation relation; /* of a leaf; of a join: all columns, no input */
    bool leaf;
    const char *label;
    enum mr_query_join join;
    struct sql_node *left, *right;
    int first, last; /* leaves below */
    struct sql_list on;
    struct sql_list filters; /* to be applied to the node's result */
    int ncomputed;           /* columns that the node adds: coalesce of USING */
    struct sql_column **computed;
    struct mr_ast **expressions;
};

/* One SELECT at work. */
struct sql_block {
    struct sql_env *env;
    const struct mr_query *query;
    const struct sql_block *parent;  /* whose columns it may use in WHERE; or NULL */
    const struct sql_block *blocked; /* enclosing, out of reach: for the message */
    struct sql_names *names;
    struct sql_cte *ctes;
    struct sql_node *from;
    int nleaves;
    struct sql_list pulled;              /* conditions with columns of the parent */
    struct sql_list late;                /* conditions with columns of sub-queries */
    struct sql_step *steps, **last_step; /* what follows FROM, in order */
    struct sql_output *outputs;
    int noutputs;
    struct sql_relation relation; /* so far */
    int generation;               /* from 1; grouping drops what was joined in */
};

/* sql_part.c: columns, names and parts */
enum mr_status sql_fail(struct sql_env *env, size_t position, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
enum mr_status sql_nomem(struct sql_env *env);
struct sql_names *sql_names_new(struct sql_env *env);
/* A free name like `wanted`: it, or qualifier.wanted, or with a number. NULL: out of memory. */
const char *sql_claim(struct sql_env *env, struct sql_names *names, const char *wanted,
                      const char *qualifier);
struct sql_column *sql_column_new(struct sql_env *env, const char *name, const struct mr_type *type,
                                  bool nullable);
enum mr_status sql_append(struct sql_env *env, struct sql_list *list, struct mr_ast *ast);
enum mr_status sql_add_columns(struct sql_env *env, struct sql_relation *relation, int count,
                               struct sql_column *const *columns);
/* The text of a tree, or of several joined by AND; NULL with the error set. */
const char *sql_text(struct sql_env *env, const struct mr_ast *ast);
const char *sql_conjunction(struct sql_env *env, const struct sql_list *list);
/* A name in backticks where it needs them. */
const char *sql_quoted(struct sql_env *env, const char *name);
/* Options of a method, to be filled; sql_emit makes the part and says where its rows are. */
enum mr_status sql_options(struct sql_env *env, const char *method, struct mr_options **out);
enum mr_status sql_emit(struct sql_env *env, const char *method, const char *detail,
                        struct mr_options *options, int ninputs, const int *inputs, int *out);
enum mr_status sql_filter(struct sql_env *env, struct sql_relation *relation,
                          const struct sql_list *conditions, const char *detail);
/* Adds columns to the relation. */
enum mr_status sql_enrich(struct sql_env *env, struct sql_relation *relation, int count,
                          struct sql_column *const *columns, struct mr_ast *const *asts,
                          const char *detail);
/* The relation has exactly these columns then. Nothing is done when that changes nothing. */
enum mr_status sql_project(struct sql_env *env, struct sql_relation *relation, int count,
                           struct sql_column *const *columns, struct mr_ast *const *asts,
                           const char *detail, bool always);
/* left joins right; the columns of both (SEMI, ANTI: of left) are the result's. */
enum mr_status sql_join(struct sql_env *env, struct sql_relation *left,
                        const struct sql_relation *right, enum mr_query_join join,
                        const struct sql_list *on, const char *detail);
enum mr_status sql_distinct(struct sql_env *env, struct sql_relation *relation);
enum mr_status sql_limit(struct sql_env *env, struct sql_relation *relation, int64_t count,
                         int64_t offset);

/* sql_tree.c: trees */
struct sql_uses {
    int first, last; /* leaves; first > last: none */
    bool outer;      /* a column of the parent */
    bool local;      /* a column of the block's FROM */
    bool attached;   /* a column of a sub-query */
    bool aggregate;
    bool window;
    bool random;
    size_t call; /* position of the first aggregate or window function */
};
/* Arguments and all other trees right below; NULL behind the last. */
struct mr_ast *sql_child_of(const struct mr_ast *ast, int i);
void sql_scan(const struct sql_block *block, const struct mr_ast *ast, struct sql_uses *uses);
bool sql_is_aggregate(const struct mr_ast *ast);
bool sql_is_window(const struct mr_ast *ast);
/* A copy whose children `child` makes; child(context, ast, &copy). */
typedef enum mr_status sql_child(void *context, const struct mr_ast *ast, struct mr_ast **out);
enum mr_status sql_copy_with(struct sql_env *env, const struct mr_ast *ast, sql_child *child,
                             void *context, struct mr_ast **out);
enum mr_status sql_copy(struct sql_env *env, const struct mr_ast *ast, struct mr_ast **out);
enum mr_status sql_name(struct sql_env *env, struct sql_column *column, size_t position,
                        struct mr_ast **out);
enum mr_status sql_call(struct sql_env *env, const char *name, bool is_operator, size_t position,
                        struct mr_ast *a, struct mr_ast *b, struct mr_ast **out);
enum mr_status sql_literal(struct sql_env *env, struct mr_value value, size_t position,
                           struct mr_ast **out);
/* The columns that it names, as a schema. */
enum mr_status sql_schema_of(struct sql_env *env, const struct mr_ast *ast, struct mr_schema *out);
/* Type of a resolved tree; with `condition` it must be boolean. */
enum mr_status sql_check(struct sql_env *env, const struct mr_ast *ast, bool condition,
                         struct mr_field *field);
/* The terms of a chain of ANDs, as they are. */
enum mr_status sql_split(struct sql_env *env, struct mr_ast *ast, struct sql_list *out);

/* sql_resolve.c: names to columns */
struct sql_scope {
    struct sql_block *block;
    int ncolumns;
    struct sql_column *const *columns;
    const struct sql_output *aliases; /* of SELECT, visible here */
    int naliases;
    bool aliases_first; /* ORDER BY, HAVING: before columns, but not within aggregates */
    bool outer;         /* columns of the parent too */
    const char *clause;
};
enum mr_status sql_resolve(struct sql_scope *scope, const struct mr_ast *ast, struct mr_ast **out);
/* The columns of * or qualifier.*, in order, added as outputs of the block. */
enum mr_status sql_star(struct sql_block *block, const struct mr_query_item *item);

/* sql_from.c */
enum mr_status sql_from_build(struct sql_block *block);
/* Puts a resolved condition as deep as it may go. */
enum mr_status sql_from_push(struct sql_block *block, struct sql_node *node, struct mr_ast *ast);
enum mr_status sql_from_emit(struct sql_block *block, struct sql_node *node,
                             struct sql_relation *out);

/* sql_chain.c: inner and cross joins side by side, in a good order */
bool sql_in_chain(const struct sql_node *node);
enum mr_status sql_chain_emit(struct sql_block *block, struct sql_node *node,
                              struct sql_relation *out);

/* sql_group.c, sql_window.c: outputs, having and orders in terms of computed columns */
struct sql_targets {
    int count;
    struct mr_ast **asts;
};
enum mr_status sql_group(struct sql_block *block, const struct sql_list *groups,
                         struct sql_targets *targets);
enum mr_status sql_windows(struct sql_block *block, struct sql_targets *targets);

/* sql_subquery.c */
/* A term of WHERE that is [NOT] EXISTS or [NOT] IN (query): a step of the block. */
enum mr_status sql_condition_query(struct sql_scope *scope, const struct mr_ast *ast,
                                   bool *handled);
/* A query within an expression: what stands for its value. */
enum mr_status sql_value_query(struct sql_scope *scope, const struct mr_ast *ast,
                               struct mr_ast **out);
/* Joins in what the trees need. */
enum mr_status sql_attach_for(struct sql_block *block, const struct mr_ast *ast);

/* sql_select.c */
struct sql_target {
    struct sql_names *names; /* that the columns of the result get their names from */
    const char *qualifier;
    bool top; /* the step's result: names as written, each once, and an order counts */
};
void sql_block_init(struct sql_block *block, struct sql_env *env, const struct mr_query *query,
                    struct sql_cte *ctes, struct sql_names *names);
/* FROM and WHERE are resolved, and become parts. */
enum mr_status sql_block_open(struct sql_block *block);
enum mr_status sql_block_rows(struct sql_block *block);
enum mr_status sql_block_outputs(struct sql_block *block);
enum mr_status sql_expand_query(struct sql_env *env, const struct mr_query *query,
                                struct sql_cte *ctes, const struct sql_block *enclosing,
                                const struct sql_target *target, struct sql_relation *out);
/* The names behind WITH, above those that are visible already. */
enum mr_status sql_open_ctes(struct sql_env *env, const struct mr_query *query,
                             struct sql_cte **ctes);

/* sql_order.c: ORDER BY and LIMIT */
enum mr_status sql_sort(struct sql_env *env, struct sql_relation *relation, int count,
                        const struct mr_ast_order *orders);
enum mr_status sql_limits(struct sql_env *env, const struct mr_query *query,
                          struct sql_relation *relation);
/* n of ORDER BY n and GROUP BY n, 0 when it is something else. */
int64_t sql_ordinal(const struct mr_ast *ast);

/* sql_union.c */
enum mr_status sql_expand_set(struct sql_env *env, const struct mr_query *query,
                              struct sql_cte *ctes, const struct sql_block *enclosing,
                              const struct sql_target *target, struct sql_relation *out);

#endif

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

struct mr_select_block;
struct mr_select_attach;

struct mr_select_column {
    const char *name;      /* in flight */
    const char *display;   /* as the query may call it; NULL: not at all */
    const char *qualifier; /* alias of its relation, or NULL */
    const struct mr_type *type;
    bool nullable;
    bool qualified_only; /* one of two that USING has merged */
    bool counts;         /* an aggregate that is 0, not NULL, over no rows */
    int first, last;     /* leaves of FROM that it needs; -1: made behind FROM */
    const struct mr_select_block *block;
    struct mr_select_attach *attach; /* of a scalar sub-query: joined in where it is first used */
};

struct mr_select_relation {
    int input; /* as in mr_op_part.inputs */
    int ncolumns;
    struct mr_select_column **columns;
};

/* Names taken; names of columns that can meet come from one object. */
struct mr_select_names {
    struct mr_map map;
    struct mr_select_names *next; /* for freeing */
};

/* WITH: one name, visible to what stands behind it and below. */
struct mr_select_cte {
    const struct mr_query_cte *cte;
    struct mr_select_cte *outer;
    bool expanded;
    int since; /* parts that there were before */
    struct mr_select_relation relation;
};

/* An expression with its name, of SELECT or ORDER BY. */
struct mr_select_output {
    const char *name;
    struct mr_ast *ast; /* resolved */
    size_t position;
};

struct mr_select_list {
    struct mr_ast **items;
    int count;
    int capacity;
};

/* A relation that brings columns of sub-queries: a row, or what matches a condition. */
struct mr_select_attach {
    struct mr_select_relation relation;
    struct mr_select_list on; /* empty: one row for all */
    int done;                 /* in which generation of the block's rows */
};

/* A join or, without a relation, a filter. */
struct mr_select_step {
    bool join;
    struct mr_select_relation relation;
    enum mr_query_join kind;
    struct mr_select_list on;
    const char *detail;
    struct mr_select_step *next;
};

struct mr_select_env {
    const struct mr_op_bind *bind;
    struct mr_arena *arena;
    struct mr_sql_session session;
    const char *text;
    struct mr_query_check check;
    struct mr_op_part *parts;
    int nparts, parts_capacity;
    struct mr_select_names *names;
    int64_t nodes; /* copied so far */
    int emitters;  /* aggregates that were told of EMIT */
    struct mr_error *err;
};

/* A node of FROM: a relation, or a join. */
struct mr_select_node {
    struct mr_select_relation relation; /* of a leaf; of a join: all columns, no input */
    bool leaf;
    bool windowed; /* its last two columns are those of windows */
    const char *label;
    enum mr_query_join join;
    struct mr_select_node *left, *right;
    int first, last; /* leaves below */
    struct mr_select_list on;
    struct mr_select_list filters; /* to be applied to the node's result */
    int ncomputed;                 /* columns that the node adds: coalesce of USING */
    struct mr_select_column **computed;
    struct mr_ast **expressions;
};

/*
 * The event-time windows that a SELECT groups by. Its columns come out of the aggregate (which calls them so), and nothing
 * in front of it has them.
 */
enum mr_select_window_kind { MR_SELECT_TUMBLING, MR_SELECT_SLIDING, MR_SELECT_SESSION };
struct mr_select_event {
    const char *called; /* for messages */
    size_t position;
    bool ready; /* what follows is there: FROM and WHERE are done */
    const struct mr_from_window *table;
    const struct mr_ast *call; /* or this one, as parsed */
    enum mr_select_window_kind kind;
    struct mr_ast *time; /* resolved */
    int64_t size, slide; /* micros; size is the gap of a session */
    struct mr_select_column *start, *end;
    struct mr_ast *value; /* {start, end} */
};

/* One SELECT at work. */
struct mr_select_block {
    struct mr_select_env *env;
    const struct mr_query *query;
    const struct mr_select_block *parent;  /* whose columns it may use in WHERE; or NULL */
    const struct mr_select_block *blocked; /* enclosing, out of reach: for the message */
    struct mr_select_names *names;
    struct mr_select_cte *ctes;
    struct mr_select_node *from;
    int nleaves;
    struct mr_select_list pulled;              /* conditions with columns of the parent */
    struct mr_select_list deferred;            /* terms of ON with sub-queries, as parsed */
    int optional;                              /* open joins whose other side is kept whole */
    struct mr_select_list late;                /* conditions with columns of sub-queries */
    struct mr_select_step *steps, **last_step; /* what follows FROM, in order */
    struct mr_select_output *outputs;
    int noutputs;
    struct mr_select_relation relation; /* so far */
    int generation;                     /* from 1; grouping drops what was joined in */
    struct mr_select_event *event;      /* or NULL */
};

/* sql_part.c: columns, names and parts */
enum mr_status mr_select_fail(struct mr_select_env *env, size_t position, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
enum mr_status mr_select_nomem(struct mr_select_env *env);
struct mr_select_names *mr_select_names_new(struct mr_select_env *env);
/* A free name like `wanted`: it, or qualifier.wanted, or with a number. NULL: out of memory. */
const char *mr_select_claim(struct mr_select_env *env, struct mr_select_names *names,
                            const char *wanted, const char *qualifier);
struct mr_select_column *mr_select_column_new(struct mr_select_env *env, const char *name,
                                              const struct mr_type *type, bool nullable);
enum mr_status mr_select_append(struct mr_select_env *env, struct mr_select_list *list,
                                struct mr_ast *ast);
enum mr_status mr_select_add_columns(struct mr_select_env *env, struct mr_select_relation *relation,
                                     int count, struct mr_select_column *const *columns);
/* The text of a tree, or of several joined by AND; NULL with the error set. */
const char *mr_select_text(struct mr_select_env *env, const struct mr_ast *ast);
const char *mr_select_conjunction(struct mr_select_env *env, const struct mr_select_list *list);
/* A name in backticks where it needs them. */
const char *mr_select_quoted(struct mr_select_env *env, const char *name);
/* Options of a method, to be filled; mr_select_emit makes the part and says where its rows are. */
enum mr_status mr_select_options(struct mr_select_env *env, const char *method,
                                 struct mr_options **out);
enum mr_status mr_select_emit(struct mr_select_env *env, const char *method, const char *detail,
                              struct mr_options *options, int ninputs, const int *inputs, int *out);
enum mr_status mr_select_filter(struct mr_select_env *env, struct mr_select_relation *relation,
                                const struct mr_select_list *conditions, const char *detail);
/* Adds columns to the relation. */
enum mr_status mr_select_enrich(struct mr_select_env *env, struct mr_select_relation *relation,
                                int count, struct mr_select_column *const *columns,
                                struct mr_ast *const *asts, const char *detail);
/* The relation has exactly these columns then. Nothing is done when that changes nothing. */
enum mr_status mr_select_project(struct mr_select_env *env, struct mr_select_relation *relation,
                                 int count, struct mr_select_column *const *columns,
                                 struct mr_ast *const *asts, const char *detail, bool always);
/* left joins right; the columns of both (SEMI, ANTI: of left) are the result's. */
enum mr_status mr_select_join(struct mr_select_env *env, struct mr_select_relation *left,
                              const struct mr_select_relation *right, enum mr_query_join join,
                              const struct mr_select_list *on, const char *detail);
enum mr_status mr_select_distinct(struct mr_select_env *env, struct mr_select_relation *relation);
enum mr_status mr_select_limit(struct mr_select_env *env, struct mr_select_relation *relation,
                               int64_t count, int64_t offset);

/* sql_tree.c: trees */
struct mr_select_uses {
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
struct mr_ast *mr_select_child_of(const struct mr_ast *ast, int i);
void mr_select_scan(const struct mr_select_block *block, const struct mr_ast *ast,
                    struct mr_select_uses *uses);
bool mr_select_is_aggregate(const struct mr_ast *ast);
bool mr_select_is_window(const struct mr_ast *ast);
/* A copy whose children `child` makes; child(context, ast, &copy). */
typedef enum mr_status mr_select_child(void *context, const struct mr_ast *ast,
                                       struct mr_ast **out);
enum mr_status mr_select_copy_with(struct mr_select_env *env, const struct mr_ast *ast,
                                   mr_select_child *child, void *context, struct mr_ast **out);
enum mr_status mr_select_copy(struct mr_select_env *env, const struct mr_ast *ast,
                              struct mr_ast **out);
enum mr_status mr_select_name(struct mr_select_env *env, struct mr_select_column *column,
                              size_t position, struct mr_ast **out);
enum mr_status mr_select_call(struct mr_select_env *env, const char *name, bool is_operator,
                              size_t position, struct mr_ast *a, struct mr_ast *b,
                              struct mr_ast **out);
enum mr_status mr_select_literal(struct mr_select_env *env, struct mr_value value, size_t position,
                                 struct mr_ast **out);
/* The columns that it names, as a schema. */
enum mr_status mr_select_schema_of(struct mr_select_env *env, const struct mr_ast *ast,
                                   struct mr_schema *out);
/* Type of a resolved tree; with `condition` it must be boolean. */
enum mr_status mr_select_check(struct mr_select_env *env, const struct mr_ast *ast, bool condition,
                               struct mr_field *field);
/* The terms of a chain of ANDs, as they are. */
enum mr_status mr_select_split(struct mr_select_env *env, struct mr_ast *ast,
                               struct mr_select_list *out);

/* sql_resolve.c: names to columns */
struct mr_select_scope {
    struct mr_select_block *block;
    int ncolumns;
    struct mr_select_column *const *columns;
    const struct mr_select_output *aliases; /* of SELECT, visible here */
    int naliases;
    bool aliases_first; /* ORDER BY, HAVING: before columns, but not within aggregates */
    bool outer;         /* columns of the parent too */
    const char *clause;
};
enum mr_status mr_select_resolve(struct mr_select_scope *scope, const struct mr_ast *ast,
                                 struct mr_ast **out);
/* The columns of * or qualifier.*, in order, added as outputs of the block. */
enum mr_status mr_select_star(struct mr_select_block *block, const struct mr_query_item *item);

/* sql_from.c */
enum mr_status mr_select_from_build(struct mr_select_block *block);
/* Puts a resolved condition as deep as it may go. */
enum mr_status mr_select_from_push(struct mr_select_block *block, struct mr_select_node *node,
                                   struct mr_ast *ast);
enum mr_status mr_select_from_emit(struct mr_select_block *block, struct mr_select_node *node,
                                   struct mr_select_relation *out);

/* sql_chain.c: inner and cross joins side by side, in a good order */
bool mr_select_in_chain(const struct mr_select_node *node);
enum mr_status mr_select_chain_emit(struct mr_select_block *block, struct mr_select_node *node,
                                    struct mr_select_relation *out);

/* sql_group.c, sql_window.c: outputs, having and orders in terms of computed columns */
struct mr_select_targets {
    int count;
    struct mr_ast **asts;
};
enum mr_status mr_select_group(struct mr_select_block *block, const struct mr_select_list *groups,
                               struct mr_select_targets *targets);
enum mr_status mr_select_windows(struct mr_select_block *block, struct mr_select_targets *targets);

/* sql_event.c: windows of event time */
bool mr_select_is_event(const struct mr_ast *ast);
/* Before FROM: does the query group by windows? Their names are taken then. */
enum mr_status mr_select_event_find(struct mr_select_block *block);
/* The columns of TABLE(TUMBLE(TABLE t ..)), behind those of t. */
enum mr_status mr_select_event_table(struct mr_select_block *block, const struct mr_from *from,
                                     struct mr_select_node *node);
/* FROM and WHERE are resolved. */
enum mr_status mr_select_event_open(struct mr_select_block *block);
/* A call of TUMBLE, TUMBLE_START, window and so on as what it means. */
enum mr_status mr_select_event_call(struct mr_select_scope *scope, const struct mr_ast *ast,
                                    struct mr_ast **out);
/* window, window.start (name "start"); *out stays NULL when it is something else. */
enum mr_status mr_select_event_name(struct mr_select_block *block, const char *base,
                                    const char *name, size_t position, struct mr_ast **out);
/* An error where the tree uses the windows' columns. */
enum mr_status mr_select_event_refuse(struct mr_select_block *block, const struct mr_ast *ast,
                                      const char *clause);
/* Takes what is made of the windows alone out of the keys. */
enum mr_status mr_select_event_groups(struct mr_select_block *block, struct mr_select_list *groups);
/* `window` of the aggregate. */
enum mr_status mr_select_event_options(struct mr_select_block *block, struct mr_options *options);

/* sql_subquery.c */
/* A term of WHERE that is [NOT] EXISTS or [NOT] IN (query): a step of the block. */
enum mr_status mr_select_condition_query(struct mr_select_scope *scope, const struct mr_ast *ast,
                                         bool *handled);
/* A query within an expression: what stands for its value. */
enum mr_status mr_select_value_query(struct mr_select_scope *scope, const struct mr_ast *ast,
                                     struct mr_ast **out);
/* Joins in what the trees need. */
enum mr_status mr_select_attach_for(struct mr_select_block *block, const struct mr_ast *ast);

/* sql_select.c */
struct mr_select_target {
    struct mr_select_names *names; /* that the columns of the result get their names from */
    const char *qualifier;
    bool top; /* the step's result: names as written, each once, and an order counts */
};
void mr_select_block_init(struct mr_select_block *block, struct mr_select_env *env,
                          const struct mr_query *query, struct mr_select_cte *ctes,
                          struct mr_select_names *names);
/* FROM and WHERE are resolved, and become parts. */
enum mr_status mr_select_block_open(struct mr_select_block *block);
enum mr_status mr_select_block_rows(struct mr_select_block *block);
enum mr_status mr_select_block_outputs(struct mr_select_block *block);
enum mr_status mr_select_expand_query(struct mr_select_env *env, const struct mr_query *query,
                                      struct mr_select_cte *ctes,
                                      const struct mr_select_block *enclosing,
                                      const struct mr_select_target *target,
                                      struct mr_select_relation *out);
/* The names behind WITH, above those that are visible already. */
enum mr_status mr_select_open_ctes(struct mr_select_env *env, const struct mr_query *query,
                                   struct mr_select_cte **ctes);

/* sql_order.c: ORDER BY and LIMIT */
enum mr_status mr_select_sort(struct mr_select_env *env, struct mr_select_relation *relation,
                              int count, const struct mr_ast_order *orders);
enum mr_status mr_select_limits(struct mr_select_env *env, const struct mr_query *query,
                                struct mr_select_relation *relation);
/* n of ORDER BY n and GROUP BY n, 0 when it is something else. */
int64_t mr_select_ordinal(const struct mr_ast *ast);

/* sql_union.c */
enum mr_status mr_select_expand_set(struct mr_select_env *env, const struct mr_query *query,
                                    struct mr_select_cte *ctes,
                                    const struct mr_select_block *enclosing,
                                    const struct mr_select_target *target,
                                    struct mr_select_relation *out);

#endif

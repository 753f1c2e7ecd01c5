/*
 * expr.h - compile and evaluate expressions of the dialect (Spark SQL) over batches.
 *
 * text -> tokens -> AST -> bound tree (types, coercions, folding, shared subexpressions) -> column at a time.
 * A compiled expression is immutable and shared by threads; what evaluation needs to remember lives in a
 * `struct mr_eval`, one per thread and task. Source of the semantics: Spark SQL 3.5, ANSI mode on unless said otherwise.
 */
#ifndef MR_SQL_EXPR_H
#define MR_SQL_EXPR_H

#include "base/tz.h"
#include "col/batch.h"

/* The session: the same for every expression of a run. */
struct mr_sql_session {
    bool ansi; /* false: bad casts and overflow give NULL or wrap, as Spark with ANSI off */
    const struct mr_tz *tz; /* sql.timeZone */
    int64_t now_micros;     /* current_timestamp(): one instant for the whole run */
};

/* What an expression may see. Column qualifiers serve joins and sql; NULL where there is one frame. */
struct mr_sql_scope {
    const struct mr_schema *schema;
    const char *const *qualifiers; /* nfields entries, each a frame name or NULL; or NULL */
    const struct mr_schema *told;  /* listed for an unknown column; NULL: schema */
};

struct mr_expr;

/*
 * Compiles one scalar expression. MR_CONFIG errors say what and where ("at character 14: ..."; err->where is
 * "expression, character N" until the caller adds the step) with a hint such as the nearest column or function.
 * Nesting deeper than 500 or text longer than 1 MiB is an error. Everything lives in `arena` (the plan's).
 */
enum mr_status mr_expr_compile(struct mr_arena *arena, const char *text,
                               const struct mr_sql_scope *scope,
                               const struct mr_sql_session *session, struct mr_expr **out,
                               struct mr_error *err);
/* The same, and the result must be BOOLEAN (NULL literal allowed). */
enum mr_status mr_expr_compile_condition(struct mr_arena *arena, const char *text,
                                         const struct mr_sql_scope *scope,
                                         const struct mr_sql_session *session, struct mr_expr **out,
                                         struct mr_error *err);
/* A reference to column `index`, and an explicit CAST of an expression (castColumns). */
enum mr_status mr_expr_column(struct mr_arena *arena, const struct mr_schema *schema, int index,
                              struct mr_expr **out, struct mr_error *err);
enum mr_status mr_expr_cast(struct mr_arena *arena, struct mr_expr *input,
                            const struct mr_type *type, const struct mr_sql_session *session,
                            struct mr_expr **out, struct mr_error *err);
/*
 * Syntax, function names and arity without a schema (validate offline). Names the columns that it uses:
 * `columns` receives arena-owned names, may be NULL.
 */
enum mr_status mr_expr_check_syntax(struct mr_arena *arena, const char *text, const char ***columns,
                                    int *ncolumns, struct mr_error *err);

const struct mr_type *mr_expr_type(const struct mr_expr *expr);
bool mr_expr_nullable(const struct mr_expr *expr);
/* Sets used[i] for every input column that it reads. */
void mr_expr_uses(const struct mr_expr *expr, bool *used);
/*
 * Sets named[i] for every column of `schema` that a text mentions, also where binding folds it away
 * (count(x) of an x that is never NULL): what must be there to bind the text again.
 */
enum mr_status mr_expr_named(struct mr_arena *arena, const char *text,
                             const struct mr_schema *schema, bool *named, struct mr_error *err);
/* If it is a bare column reference: its index, else -1. */
int mr_expr_as_column(const struct mr_expr *expr);

/*
 * A list of expressions evaluated together over the same input, common subexpressions computed once. With
 * `sequential`, expression i may also name the results of 0..i-1 (enrichData): names[i] extends or replaces the scope.
 */
struct mr_projection;
enum mr_status mr_projection_compile(struct mr_arena *arena, const struct mr_sql_scope *scope,
                                     const struct mr_sql_session *session, int count,
                                     const char *const *names, const char *const *texts,
                                     bool sequential, struct mr_projection **out,
                                     int *failed /* index of the text at fault */,
                                     struct mr_error *err);
int mr_projection_count(const struct mr_projection *projection);
const struct mr_expr *mr_projection_expr(const struct mr_projection *projection, int i);

/*
 * explode and its family give rows, not a value: they may only be all of one expression of a projection, and who computes the
 * projection multiplies the rows. Takes such an expression apart; argument NULL: the text is an ordinary expression.
 */
struct mr_sql_generator {
    const char *name;
    const char *argument; /* the text of the array or map */
    bool outer;           /* rows without elements stay, with NULL */
    bool position;        /* the position comes first */
    bool fields;          /* inline: the fields of structs */
};
enum mr_status mr_sql_generator_of(struct mr_arena *arena, const char *text,
                                   struct mr_sql_generator *out, struct mr_error *err);

/* State of evaluation: scratch memory, regex match contexts, shared results of the batch at hand. One thread. */
struct mr_eval;
enum mr_status mr_eval_new(struct mr_memory *memory, const struct mr_sql_session *session,
                           struct mr_eval **out, struct mr_error *err);
void mr_eval_free(struct mr_eval *eval);

/*
 * One result per row of `batch` (its full length; rows outside of batch->selection are computed or not, never
 * raise an error, and mean nothing). MR_SOURCE-independent data errors: status MR_VALIDATION is never used here; a
 * failing row gives MR_CONFIG-class DATA with the expression, the position in it, and the offending value cut to
 * 80 bytes only when `mr_eval_show_values` is on.
 */
enum mr_status mr_expr_eval(struct mr_eval *eval, const struct mr_expr *expr,
                            const struct mr_batch *batch, struct mr_column **out,
                            struct mr_error *err);
/* Rows of the batch (within its selection) where a condition is TRUE; *out == NULL when all of them are. */
enum mr_status mr_expr_filter(struct mr_eval *eval, const struct mr_expr *condition,
                              const struct mr_batch *batch, struct mr_selection **out,
                              struct mr_error *err);
/* columns[i] receives the result of expression i. */
enum mr_status mr_projection_eval(struct mr_eval *eval, const struct mr_projection *projection,
                                  const struct mr_batch *batch, struct mr_column **columns,
                                  struct mr_error *err);
void mr_eval_show_values(struct mr_eval *eval, bool show);

/* Every function of this build, for `millrace methods` and the reference page: i from 0 until it returns false. */
struct mr_function_doc {
    const char *names;     /* the name, then its aliases, separated by spaces */
    const char *signature; /* "substring(text, start[, length])" */
    const char *family;    /* "text", "math", "date and time", ... */
    const char *doc;
};
bool mr_sql_function_doc(size_t i, struct mr_function_doc *out);

#endif

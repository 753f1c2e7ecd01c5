/*
 * append.h - columns that an operator computes for its own use and keeps behind those of its input:
 * keys to sort and to group by, arguments of functions.
 */
#ifndef MR_OP_APPEND_H
#define MR_OP_APPEND_H

#include "col/sort.h"
#include "op/bind.h"
#include "sql/window.h"

struct mr_op_appended {
    const struct mr_op_bind *bind;
    const struct mr_schema *input;
    struct mr_sql_session session;
    int count; /* of expressions that are no columns of the input */
    int capacity;
    struct mr_expr **exprs;
    const char **texts;
    bool *reads; /* by column of the input */
    const struct mr_schema *schema;
};

/* Over input 0. */
enum mr_status mr_op_append_init(struct mr_op_appended *self, const struct mr_op_bind *bind,
                                 struct mr_error *err);
/* The column with this expression's values: one of the input, or a new one. */
enum mr_status mr_op_append(struct mr_op_appended *self, const char *text, int *column,
                            struct mr_error *err);
/* The same for an item of an ORDER BY. */
enum mr_status mr_op_append_order(struct mr_op_appended *self, const char *text,
                                  struct mr_sort_key *key, struct mr_error *err);
/* Of a column given out. */
struct mr_field mr_op_append_field(const struct mr_op_appended *self, int column);
/* No more: `schema` is the input's and the columns behind it. */
enum mr_status mr_op_append_finish(struct mr_op_appended *self, struct mr_error *err);
/* Passes all columns of the input, which are the first of the output, and reads what was appended. */
enum mr_status mr_op_append_passes(const struct mr_op_appended *self,
                                   const struct mr_schema *output, struct mr_op_info *info,
                                   struct mr_error *err);
/*
 * After mr_op_append_passes: filters over these columns alone (NULL: over any of the input) may stand
 * in front. Columns that are appended do not count.
 */
enum mr_status mr_op_append_crosses(const struct mr_op_appended *self, const int *columns,
                                    int ncolumns, struct mr_op_info *info, struct mr_error *err);
/* `batch` (no selection) with the columns behind it. */
enum mr_status mr_op_append_eval(const struct mr_op_appended *self, struct mr_eval *eval,
                                 struct mr_batch *batch, struct mr_batch **out,
                                 struct mr_error *err);
/* Partitions of a breaker without a wish: 1 for few rows, else some for each thread. */
int mr_op_pulls(const struct mr_op_bind *bind, int64_t rows);
/* "a, b DESC" for the details line; NULL when out of memory. */
const char *mr_op_join_texts(struct mr_arena *arena, const char *const *texts, int count);

#endif

/*
 * explode.h - one row for each element of an array or map: what enrichData and selectColumns do with explode and its family.
 */
#ifndef MR_OP_EXPLODE_H
#define MR_OP_EXPLODE_H

#include "ext/op.h"
#include "sql/expr.h"

/*
 * Column `column` of the input gives way to what the generator makes of it; the others are repeated. Under the name n of the column:
 * explode of an array gives n, of a map n_key and n_value; posexplode puts n_pos in front; inline gives the fields of the structs
 * under their own names.
 */
struct mr_op_explode {
    struct mr_sql_generator generator;
    int column;
    const struct mr_schema *schema; /* of the result */
    const int *source;              /* input column, or one of the following */
};
enum {
    MR_EXPLODE_POSITION = -1,
    MR_EXPLODE_ELEMENT = -2,
    MR_EXPLODE_CHILD = -3 /* less i: child i */
};

enum mr_status mr_op_explode_bind(struct mr_arena *arena, const struct mr_sql_generator *generator,
                                  const struct mr_schema *input, int column,
                                  struct mr_op_explode **out, struct mr_error *err);
/* Calls `each` with batches of some ten thousand rows, without a selection; they are the callee's to borrow. */
typedef enum mr_status (*mr_op_explode_fn)(void *context, struct mr_batch *batch,
                                           struct mr_error *err);
enum mr_status mr_op_explode_run(const struct mr_op_explode *plan, struct mr_memory *memory,
                                 struct mr_batch *batch, mr_op_explode_fn each, void *context,
                                 struct mr_error *err);

#endif

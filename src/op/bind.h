/*
 * bind.h - what the bind callbacks of operators have in common.
 */
#ifndef MR_OP_BIND_H
#define MR_OP_BIND_H

#include "ext/op.h"
#include "sql/expr.h"

struct mr_sql_session mr_op_session(const struct mr_op_bind *bind);
/* The i-th input's schema as the scope of expressions. */
struct mr_sql_scope mr_op_scope(const struct mr_op_bind *bind, int input);
/* passes[] of an operator that keeps every column where it is; NULL when out of memory. */
const int *mr_op_passes_all(struct mr_arena *arena, const struct mr_schema *schema);
/* "`name`" with inner backticks doubled; NULL when out of memory. */
char *mr_op_quote_name(struct mr_arena *arena, const char *name);
/* Puts "option: " in front of the message and the option's file position in `where`. */
enum mr_status mr_op_option_failed(const struct mr_options *options, const char *option,
                                   const char *entry, struct mr_error *err);

/* The state of a task that only evaluates expressions. */
struct mr_op_eval_task {
    void *plan;
    struct mr_runtime *runtime;
    struct mr_eval *eval;
};
enum mr_status mr_op_eval_open(void *plan, struct mr_runtime *runtime,
                               const struct mr_sql_session *session, void **task,
                               struct mr_error *err);
void mr_op_eval_close(void *task);

/* Emits the columns of `batch` at `indices` under `schema`; selection and kinds go along. */
enum mr_status mr_op_emit_columns(struct mr_emit *emit, const struct mr_batch *batch,
                                  const struct mr_schema *schema, const int *indices,
                                  struct mr_error *err);

#endif

/*
 * project.h - computing columns: what enrichData, selectColumns and castColumns share.
 */
#ifndef MR_OP_PROJECT_H
#define MR_OP_PROJECT_H

#include "op/bind.h"
#include "op/explode.h"

/*
 * Output column i is input column source[i] if >= 0, else result -1 - source[i] of the projection. Rows stay as they
 * are, so the selection goes along.
 */
struct mr_op_project {
    struct mr_sql_session session;
    struct mr_projection *projection; /* NULL when nothing is computed */
    const struct mr_schema *schema;
    const int *source;
    struct mr_op_explode *explode; /* then rows are multiplied, or NULL */
    struct mr_op_project *next;    /* then this is computed, or NULL */
};

/* Fills info (schema, passes, projection, rows) from a finished plan. */
enum mr_status mr_op_project_info(const struct mr_op_bind *bind, const struct mr_op_project *plan,
                                  struct mr_op_info *info, struct mr_error *err);
enum mr_status mr_op_project_open(void *plan, struct mr_runtime *runtime, void **task,
                                  struct mr_error *err);
enum mr_status mr_op_project_push(void *task, int port, struct mr_batch *batch,
                                  struct mr_emit *emit, struct mr_error *err);

#endif

/*
 * filter_rows.c - keeps the rows where a condition is TRUE (not FALSE, not NULL).
 *
 * The result is the same batch with a selection: columns are not copied here. The next operator works under the
 * selection, and whoever needs dense rows (queue, sink) compacts once.
 */
#include "op/bind.h"
#include "op/ops.h"

struct filter_plan {
    struct mr_expr *condition;
    struct mr_sql_session session;
};

static enum mr_status filter_bind(const struct mr_op_bind *bind, void **plan,
                                  struct mr_op_info *info, struct mr_error *err)
{
    struct filter_plan *self = mr_arena_calloc(bind->arena, 1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    self->session = mr_op_session(bind);
    struct mr_sql_scope scope = mr_op_scope(bind, 0);
    const char *text = mr_options_text(bind->options, "condition");
    enum mr_status status =
        mr_expr_compile_condition(bind->arena, text, &scope, &self->session, &self->condition, err);
    if (status != MR_OK)
        return mr_op_option_failed(bind->options, "condition", NULL, err);
    info->schema = bind->inputs[0].schema;
    info->rows = bind->inputs[0].rows;
    info->details = text;
    info->condition = self->condition;
    info->passes = mr_op_passes_all(bind->arena, info->schema);
    if (!info->passes)
        return mr_error_nomem(err);
    *plan = self;
    return MR_OK;
}

static enum mr_status filter_open(void *plan, struct mr_runtime *runtime, void **task,
                                  struct mr_error *err)
{
    struct filter_plan *self = plan;
    return mr_op_eval_open(plan, runtime, &self->session, task, err);
}

static enum mr_status filter_push(void *task, int port, struct mr_batch *batch,
                                  struct mr_emit *emit, struct mr_error *err)
{
    (void)port;
    struct mr_op_eval_task *self = task;
    struct filter_plan *plan = self->plan;
    struct mr_selection *selection = NULL;
    MR_TRY(mr_expr_filter(self->eval, plan->condition, batch, &selection, err));
    if (!selection)
        return emit->batch(emit, 0, mr_batch_ref(batch), err);
    if (selection->count == 0) {
        mr_selection_unref(selection);
        return MR_OK;
    }
    struct mr_batch *out = NULL;
    MR_TRY(mr_batch_select(batch, selection, &out, err));
    return emit->batch(emit, 0, out, err);
}

static const struct mr_option filter_options[] = {
    {.name = "condition",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_REQUIRED | MR_OPTION_EXPRESSION,
     .doc = "Boolean expression; rows where it is FALSE or NULL are left out."},
    MR_OPTION_END,
};

const struct mr_op mr_op_filter_rows = {
    .name = "filterRows",
    .doc = "Keeps the rows for which a condition is true.",
    .options = filter_options,
    .flags = MR_OP_STREAMING | MR_OP_TAKES_SELECTION | MR_OP_CROSSES,
    .min_inputs = 1,
    .max_inputs = 1,
    .bind = filter_bind,
    .open = filter_open,
    .push = filter_push,
    .close = mr_op_eval_close,
};

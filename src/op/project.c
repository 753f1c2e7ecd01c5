/*
 * project.c - evaluates a projection and puts its results between the columns that pass unchanged.
 */
#include "op/project.h"

enum mr_status mr_op_project_info(const struct mr_op_bind *bind, const struct mr_op_project *plan,
                                  struct mr_op_info *info, struct mr_error *err)
{
    const struct mr_op_project *last = plan;
    while (last->explode && last->next)
        last = last->next;
    if (plan->explode) { /* another number of rows: nothing is moved through */
        info->schema = last->explode ? last->explode->schema : last->schema;
        info->rows = -1;
        return MR_OK;
    }
    int *passes = mr_arena_calloc(bind->arena, (size_t)plan->schema->nfields + 1, sizeof *passes);
    if (!passes)
        return mr_error_nomem(err);
    for (int i = 0; i < plan->schema->nfields; i++)
        passes[i] = plan->source[i] >= 0 ? plan->source[i] : -1;
    info->schema = plan->schema;
    info->rows = bind->inputs[0].rows;
    info->projection = plan->projection;
    info->passes = passes;
    return MR_OK;
}

enum mr_status mr_op_project_open(void *plan, struct mr_runtime *runtime, void **task,
                                  struct mr_error *err)
{
    struct mr_op_project *self = plan;
    return mr_op_eval_open(plan, runtime, &self->session, task, err);
}

/* Where the batches of a stage go. */
struct target {
    struct mr_op_eval_task *task;
    const struct mr_op_project *stage; /* NULL: out */
    struct mr_emit *emit;
};

static enum mr_status compute(struct mr_op_eval_task *self, const struct mr_op_project *plan,
                              struct mr_batch *batch, struct mr_emit *emit, struct mr_error *err);

static enum mr_status pass_on(void *context, struct mr_batch *batch, struct mr_error *err)
{
    struct target *target = context;
    if (target->stage)
        return compute(target->task, target->stage, batch, target->emit, err);
    return target->emit->batch(target->emit, 0, mr_batch_ref(batch), err);
}

static enum mr_status compute(struct mr_op_eval_task *self, const struct mr_op_project *plan,
                              struct mr_batch *batch, struct mr_emit *emit, struct mr_error *err)
{
    int computed = plan->projection ? mr_projection_count(plan->projection) : 0;
    int total = plan->schema->nfields;
    struct mr_column **columns = mr_calloc((size_t)(total + computed) + 1, sizeof(*columns));
    if (!columns)
        return mr_error_nomem(err);
    struct mr_column **results = columns + total;
    enum mr_status status = MR_OK;
    if (computed)
        MR_TRY_OUT(mr_projection_eval(self->eval, plan->projection, batch, results, err));
    for (int i = 0; i < total; i++)
        columns[i] = mr_column_ref(plan->source[i] >= 0 ? batch->columns[plan->source[i]]
                                                        : results[-1 - plan->source[i]]);
    struct mr_batch *out = NULL;
    MR_TRY_OUT(mr_batch_derive(batch, plan->schema, columns, &out, err));
    if (plan->explode) {
        struct target target = {self, plan->next, emit};
        status =
            mr_op_explode_run(plan->explode, self->runtime->memory, out, pass_on, &target, err);
        mr_batch_unref(out);
    } else {
        status = emit->batch(emit, 0, out, err);
    }
out:
    for (int i = 0; i < computed; i++)
        mr_column_unref(results[i]);
    mr_free(columns);
    return status;
}

enum mr_status mr_op_project_push(void *task, int port, struct mr_batch *batch,
                                  struct mr_emit *emit, struct mr_error *err)
{
    (void)port;
    struct mr_op_eval_task *self = task;
    return compute(self, self->plan, batch, emit, err);
}

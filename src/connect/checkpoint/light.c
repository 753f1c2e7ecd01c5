/*
 * light.c - checkpoint where nothing may be kept: a preview, a task of a foreign scheduler. Rows
 * pass through.
 */
#include "connect/checkpoint/frame.h"

static enum mr_status light_bind(const struct mr_op_bind *bind, void **plan,
                                 struct mr_op_info *info, struct mr_error *err)
{
    const struct mr_schema *schema = bind->inputs[0].schema;
    int *passes = mr_arena_calloc(bind->arena, (size_t)schema->nfields + 1, sizeof *passes);
    if (passes == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < schema->nfields; i++)
        passes[i] = i;
    info->schema = schema;
    info->rows = bind->inputs[0].rows;
    info->passes = passes;
    info->details = "keeps nothing here";
    *plan = passes;
    return MR_OK;
}

static enum mr_status light_open(void *plan, struct mr_runtime *runtime, void **task,
                                 struct mr_error *err)
{
    (void)runtime;
    (void)err;
    *task = plan;
    return MR_OK;
}

static enum mr_status light_push(void *task, int port, struct mr_batch *batch, struct mr_emit *emit,
                                 struct mr_error *err)
{
    (void)task;
    (void)port;
    return emit->batch(emit, 0, mr_batch_ref(batch), err);
}

static void light_close(void *task)
{
    (void)task;
}

const struct mr_op checkpoint_light = {
    .name = "checkpoint",
    .doc = "Passes the rows on.",
    .options = checkpoint_options,
    .flags = MR_OP_STREAMING | MR_OP_TAKES_SELECTION | MR_OP_CROSSES,
    .min_inputs = 1,
    .max_inputs = 1,
    .bind = light_bind,
    .open = light_open,
    .push = light_push,
    .close = light_close,
};

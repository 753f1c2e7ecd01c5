/*
 * repartition.c - repartition and coalesce: how many output tasks (and so files) follow.
 *
 * Rows pass unchanged; the number is a wish that the plan honours when it cuts the segment. coalesce only lowers it.
 * Where the source has fewer splits than tasks are wanted, the plan takes repartition_exchange.c in its place.
 */
#include "op/bind.h"
#include "op/ops.h"

static enum mr_status partitions_bind(const struct mr_op_bind *bind, bool coalesce, void **plan,
                                      struct mr_op_info *info, struct mr_error *err)
{
    info->schema = bind->inputs[0].schema;
    info->rows = bind->inputs[0].rows;
    info->partitions = (int)mr_options_integer(bind->options, "numPartitions", 1);
    info->coalesce_only = coalesce;
    info->passes = mr_op_passes_all(bind->arena, info->schema);
    info->details = mr_arena_printf(bind->arena, "%s%d output tasks", coalesce ? "at most " : "",
                                    info->partitions);
    if (!info->passes || !info->details)
        return mr_error_nomem(err);
    *plan = NULL;
    return MR_OK;
}

static enum mr_status repartition_bind(const struct mr_op_bind *bind, void **plan,
                                       struct mr_op_info *info, struct mr_error *err)
{
    return partitions_bind(bind, false, plan, info, err);
}

static enum mr_status coalesce_bind(const struct mr_op_bind *bind, void **plan,
                                    struct mr_op_info *info, struct mr_error *err)
{
    return partitions_bind(bind, true, plan, info, err);
}

static enum mr_status partitions_open(void *plan, struct mr_runtime *runtime, void **task,
                                      struct mr_error *err)
{
    (void)runtime;
    (void)err;
    *task = plan;
    return MR_OK;
}

static enum mr_status partitions_push(void *task, int port, struct mr_batch *batch,
                                      struct mr_emit *emit, struct mr_error *err)
{
    (void)task;
    (void)port;
    return emit->batch(emit, 0, mr_batch_ref(batch), err);
}

static void partitions_close(void *task)
{
    (void)task;
}

static const struct mr_option partitions_options[] = {
    {.name = "numPartitions",
     .type = MR_OPTION_INT,
     .flags = MR_OPTION_REQUIRED,
     .minimum = 1,
     .maximum = 10000,
     .doc = "Number of output tasks, and so of files for each partition written."},
    MR_OPTION_END,
};

const struct mr_op mr_op_repartition = {
    .name = "repartition",
    .doc = "Sets the number of output tasks of the loads that follow.",
    .options = partitions_options,
    .flags = MR_OP_STREAMING | MR_OP_TAKES_SELECTION | MR_OP_CROSSES,
    .min_inputs = 1,
    .max_inputs = 1,
    .exchange = &mr_op_repartition_in_turns,
    .bind = repartition_bind,
    .open = partitions_open,
    .push = partitions_push,
    .close = partitions_close,
};

const struct mr_op mr_op_coalesce = {
    .name = "coalesce",
    .doc = "Lowers the number of output tasks of the loads that follow.",
    .options = partitions_options,
    .flags = MR_OP_STREAMING | MR_OP_TAKES_SELECTION | MR_OP_CROSSES,
    .min_inputs = 1,
    .max_inputs = 1,
    .bind = coalesce_bind,
    .open = partitions_open,
    .push = partitions_push,
    .close = partitions_close,
};

/*
 * join_data_frames.c - the rows of several frames side by side, where a condition holds.
 *
 * A hash join. One side is kept (port 1), collected by all tasks, settled into one table that is
 * then only read; the rows of the other side stream past it on any number of threads. A key that half
 * of the streaming rows have is therefore no problem: rows are shared out by where they were read,
 * not by their key. Sorting both sides was refused: it is slower in memory, needs both sides whole,
 * and gains only where rows are sorted already.
 *
 *   join_options.c   what the user wrote          join_table.c   the table
 *   join_expand.c    N frames, swapped sides      join_probe.c   rows against the table
 *   join_bind.c      keys, columns, output        join_spill.c   what did not fit
 *   join_build.c     the kept side                join_keys.c    keys and hashes of a batch
 */
#include "op/join_options.h"
#include "op/join_state.h"
#include "op/ops.h"

#include <limits.h>

static void join_close(void *opaque)
{
    struct mr_join_task *task = opaque;
    mr_join_table_reset(&task->table);
    mr_spill_free(task->store);
    mr_spill_free(task->kept);
    mr_eval_free(task->eval);
    mr_free(task->apart);
    mr_free(task->ranges);
    mr_free(task->build_matched);
    mr_free(task);
}

static enum mr_status join_open(void *plan, struct mr_runtime *runtime, void **out,
                                struct mr_error *err)
{
    struct mr_join_task *task = mr_calloc(1, sizeof *task);
    if (!task)
        return mr_error_nomem(err);
    task->plan = plan;
    task->runtime = runtime;
    mr_join_table_init(&task->table, plan, runtime->memory);
    enum mr_status status = mr_eval_new(runtime->memory, &task->plan->session, &task->eval, err);
    if (status != MR_OK) {
        join_close(task);
        return status;
    }
    *out = task;
    return MR_OK;
}

static enum mr_status join_attach(void *task, const void *built, struct mr_error *err)
{
    (void)err;
    ((struct mr_join_task *)task)->built = built;
    return MR_OK;
}

static enum mr_status join_push(void *task, int port, struct mr_batch *batch, struct mr_emit *emit,
                                struct mr_error *err)
{
    if (mr_batch_active(batch) == 0)
        return MR_OK;
    return port == 1 ? mr_join_collect(task, batch, err)
                     : mr_join_push_probe(task, batch, emit, err);
}

static enum mr_status join_finish(void *task, int port, struct mr_emit *emit, struct mr_error *err)
{
    return port == 1 ? mr_join_collected(task, err) : mr_join_finish_probe(task, emit, err);
}

const struct mr_op mr_op_join_data_frames = {
    .name = "joinDataFrames",
    .doc = "The rows of several frames side by side, where keys are equal or a condition holds.",
    .options = mr_join_options,
    .flags = MR_OP_STREAMING | MR_OP_TAKES_SELECTION | MR_OP_BUILD_SIDE,
    .min_inputs = 2,
    .max_inputs = INT_MAX,
    .expand = mr_join_expand,
    .bind = mr_join_bind,
    .open = join_open,
    .push = join_push,
    .finish = join_finish,
    .combine = mr_join_combine,
    .settle = mr_join_settle,
    .attach = join_attach,
    .narrows = mr_join_narrows,
    .close = join_close,
};

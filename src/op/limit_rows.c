/*
 * limit_rows.c - the first N rows in the order of the splits, so that the same rows come in every run.
 *
 * The plan gives it all rows in one task (MR_OP_ORDERED) and pushes the limit into each split of the source; when the
 * count is reached it closes its input, and the readers stop.
 */
#include "op/bind.h"
#include "op/ops.h"

struct limit_plan {
    int64_t count;
    int64_t offset;
};

struct limit_task {
    struct limit_plan *plan;
    struct mr_runtime *runtime;
    int64_t skip; /* rows still to be left out */
    int64_t left;
};

static enum mr_status limit_bind(const struct mr_op_bind *bind, void **plan,
                                 struct mr_op_info *info, struct mr_error *err)
{
    struct limit_plan *self = mr_arena_calloc(bind->arena, 1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    self->count = mr_options_integer(bind->options, "count", 0);
    self->offset = mr_options_integer(bind->options, "offset", 0);
    info->schema = bind->inputs[0].schema;
    bool all = self->count > INT64_MAX - self->offset;
    info->limit = all ? INT64_MAX : self->count + self->offset;
    int64_t rows = bind->inputs[0].rows;
    if (rows >= 0)
        rows = rows > self->offset ? rows - self->offset : 0;
    info->rows = rows >= 0 && rows < self->count ? rows : all ? -1 : self->count;
    info->details =
        self->offset == 0 ? mr_arena_printf(bind->arena, "first %lld rows", (long long)self->count)
        : all ? mr_arena_printf(bind->arena, "all but %lld rows", (long long)self->offset)
              : mr_arena_printf(bind->arena, "%lld rows behind %lld", (long long)self->count,
                                (long long)self->offset);
    *plan = self;
    return MR_OK;
}

static enum mr_status limit_open(void *plan, struct mr_runtime *runtime, void **task,
                                 struct mr_error *err)
{
    struct limit_task *self = mr_calloc(1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    self->plan = plan;
    self->runtime = runtime;
    self->skip = self->plan->offset;
    self->left = self->plan->count;
    *task = self;
    return MR_OK;
}

static enum mr_status limit_push(void *task, int port, struct mr_batch *batch, struct mr_emit *emit,
                                 struct mr_error *err)
{
    (void)port;
    struct limit_task *self = task;
    struct mr_batch *out = NULL;
    if (self->left <= 0) {
        emit->closed = true;
        return MR_OK;
    }
    int64_t rows = mr_batch_active(batch);
    int64_t from = rows < self->skip ? rows : self->skip;
    self->skip -= from;
    rows -= from;
    if (rows == 0)
        return MR_OK;
    if (from == 0 && rows <= self->left)
        out = mr_batch_ref(batch);
    else
        MR_TRY(mr_batch_slice(self->runtime->memory, batch, from,
                              rows < self->left ? rows : self->left, &out, err));
    self->left -= mr_batch_active(out);
    enum mr_status status = emit->batch(emit, 0, out, err);
    if (self->left <= 0)
        emit->closed = true;
    return status;
}

static void limit_close(void *task)
{
    mr_free(task);
}

static const struct mr_option limit_options[] = {
    {.name = "count",
     .type = MR_OPTION_INT,
     .flags = MR_OPTION_REQUIRED,
     .unit = "rows",
     .minimum = 0,
     .maximum = INT64_MAX,
     .doc = "How many rows to keep."},
    {.name = "offset",
     .type = MR_OPTION_INT,
     .fallback = "0",
     .unit = "rows",
     .minimum = 0,
     .maximum = INT64_MAX,
     .doc = "How many rows to leave out in front of them."},
    MR_OPTION_END,
};

const struct mr_op mr_op_limit_rows = {
    .name = "limitRows",
    .doc = "Keeps the first rows, in the order in which the source's splits are read.",
    .options = limit_options,
    .flags = MR_OP_STREAMING | MR_OP_ORDERED | MR_OP_TAKES_SELECTION | MR_OP_STOPS,
    .batch_only = "which rows of a stream are the first ones is of no use; leave it out",
    .min_inputs = 1,
    .max_inputs = 1,
    .bind = limit_bind,
    .open = limit_open,
    .push = limit_push,
    .close = limit_close,
};

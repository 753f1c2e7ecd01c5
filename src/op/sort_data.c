/*
 * sort_data.c - sortData: all rows in an order.
 *
 * Each task sorts what it is given (op/sorter.h); together the sorted runs are cut into ranges of
 * about equal size, which are merged independently, so that sorting is parallel from end to end and
 * the partitions, one behind the other, are in order. Equal rows stay in the order of the input.
 */
#include "op/append.h"
#include "op/ops.h"
#include "op/sorter.h"

struct sort_plan {
    struct mr_op_appended appended;
    struct mr_sorter_plan sorter;
    const struct mr_schema *schema;
    int pulls;
};

struct sort_task {
    const struct sort_plan *plan;
    struct mr_eval *eval;
    struct mr_sorter *sorter;
};

static enum mr_status bind_keys(struct sort_plan *self, const struct mr_op_bind *bind,
                                struct mr_error *err)
{
    const struct mr_option_value *order = mr_options_get(bind->options, "orderBy");
    int count = order->u.strings.count;
    struct mr_sort_key *keys = mr_arena_calloc(bind->arena, (size_t)count + 1, sizeof *keys);
    struct mr_sort_layout *layout;
    if (!keys)
        return mr_error_nomem(err);
    if (count == 0)
        return mr_options_error(bind->options, "orderBy", err, "names no column");
    for (int i = 0; i < count; i++) {
        if (mr_op_append_order(&self->appended, order->u.strings.items[i], &keys[i], err) != MR_OK)
            return mr_op_option_failed(bind->options, "orderBy", NULL, err);
    }
    MR_TRY(mr_op_append_finish(&self->appended, err));
    MR_TRY(mr_sort_layout_new(bind->arena, keys, count, &layout, err));
    self->sorter.layout = layout;
    self->sorter.schema = self->appended.schema;
    return MR_OK;
}

static enum mr_status sort_bind(const struct mr_op_bind *bind, void **plan, struct mr_op_info *info,
                                struct mr_error *err)
{
    struct sort_plan *self = mr_arena_calloc(bind->arena, 1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    MR_TRY(mr_op_append_init(&self->appended, bind, err));
    MR_TRY(bind_keys(self, bind, err));
    const struct mr_option_value *order = mr_options_get(bind->options, "orderBy");
    self->schema = bind->inputs[0].schema;
    self->sorter.limit = mr_options_integer(bind->options, "limit", 0);
    info->schema = self->schema;
    info->rows = bind->inputs[0].rows;
    if (self->sorter.limit > 0 && (info->rows < 0 || info->rows > self->sorter.limit))
        info->rows = self->sorter.limit;
    self->pulls = self->sorter.limit > 0 ? 1 : mr_op_pulls(bind, info->rows);
    info->pulls = self->pulls;
    info->sorted = true;
    info->details = mr_op_join_texts(bind->arena, order->u.strings.items, order->u.strings.count);
    if (info->details && self->sorter.limit > 0)
        info->details = mr_arena_printf(bind->arena, "%s, the first %lld rows", info->details,
                                        (long long)self->sorter.limit);
    if (!info->details)
        return mr_error_nomem(err);
    *plan = self;
    MR_TRY(mr_op_append_passes(&self->appended, info->schema, info, err));
    if (self->sorter.limit > 0) /* a filter in front would let other rows be the first */
        return MR_OK;
    return mr_op_append_crosses(&self->appended, NULL, 0, info, err);
}

static void sort_close(void *task)
{
    struct sort_task *self = task;
    mr_eval_free(self->eval);
    mr_sorter_free(self->sorter);
    mr_free(self);
}

static enum mr_status sort_open(void *plan, struct mr_runtime *runtime, void **task,
                                struct mr_error *err)
{
    struct sort_task *self = mr_calloc(1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    self->plan = plan;
    enum mr_status status =
        mr_eval_new(runtime->memory, &self->plan->appended.session, &self->eval, err);
    if (status == MR_OK)
        status = mr_sorter_new(&self->plan->sorter, runtime, runtime->share, &self->sorter, err);
    if (status != MR_OK) {
        sort_close(self);
        return status;
    }
    *task = self;
    return MR_OK;
}

static enum mr_status sort_push(void *task, int port, struct mr_batch *batch, struct mr_emit *emit,
                                struct mr_error *err)
{
    (void)port;
    (void)emit;
    struct sort_task *self = task;
    struct mr_batch *rows;
    MR_TRY(mr_op_append_eval(&self->plan->appended, self->eval, batch, &rows, err));
    enum mr_status status = mr_sorter_add(self->sorter, rows, err);
    mr_batch_unref(rows);
    return status;
}

static enum mr_status sort_finish(void *task, int port, struct mr_emit *emit, struct mr_error *err)
{
    (void)port;
    (void)emit;
    struct sort_task *self = task;
    mr_eval_free(self->eval);
    self->eval = NULL;
    return mr_sorter_finish(self->sorter, err);
}

static enum mr_status sort_combine(void *into, void *from, struct mr_error *err)
{
    struct sort_task *a = into, *b = from;
    return mr_sorter_absorb(a->sorter, b->sorter, err);
}

static enum mr_status sort_settle(void *built, struct mr_runtime *runtime, int piece, int *pieces,
                                  struct mr_error *err)
{
    (void)runtime;
    (void)pieces;
    struct sort_task *self = built;
    return piece < 0 ? mr_sorter_divide(self->sorter, self->plan->pulls, err) : MR_OK;
}

static enum mr_status sort_pull(const void *built, struct mr_runtime *runtime, int partition,
                                struct mr_emit *emit, struct mr_error *err)
{
    const struct sort_task *self = built;
    const struct sort_plan *plan = self->plan;
    struct mr_sorter_reader *reader;
    int64_t left = plan->sorter.limit > 0 ? plan->sorter.limit : INT64_MAX;
    MR_TRY(mr_sorter_reader_new(self->sorter, runtime, partition, plan->schema, &reader, err));
    enum mr_status status = MR_OK;
    while (status == MR_OK && left > 0 && !emit->closed) {
        struct mr_batch *batch, *part;
        status = mr_sorter_read(reader, &batch, err);
        if (status != MR_OK || !batch)
            break;
        if (batch->rows > left) {
            status = mr_batch_slice(runtime->memory, batch, 0, left, &part, err);
            mr_batch_unref(batch);
            batch = part;
        }
        if (status != MR_OK)
            break;
        left -= batch->rows;
        status = emit->batch(emit, 0, batch, err);
    }
    mr_sorter_reader_free(reader);
    return status;
}

static const struct mr_option sort_options[] = {
    {.name = "orderBy",
     .type = MR_OPTION_STRINGS,
     .flags = MR_OPTION_REQUIRED,
     .doc = "Columns or expressions to sort by, each with ASC or DESC and NULLS FIRST or NULLS "
            "LAST behind it. Unless said, the order is ascending and NULLs count as least: first "
            "in ascending, last in descending order."},
    {.name = "limit",
     .type = MR_OPTION_INT,
     .unit = "rows",
     .minimum = 1,
     .maximum = INT64_MAX,
     .doc = "Keep only so many rows, the first in the order. Takes the memory of these rows, not "
            "of all."},
    MR_OPTION_END,
};

const struct mr_op mr_op_sort_data = {
    .name = "sortData",
    .doc = "Sorts all rows. Equal rows stay in the order in which they came. Data larger than "
           "memory is sorted in temporary files.",
    .options = sort_options,
    .flags = MR_OP_BREAKER,
    .batch_only = "a stream is never all there to be sorted; sort what reads the target",
    .min_inputs = 1,
    .max_inputs = 1,
    .bind = sort_bind,
    .open = sort_open,
    .push = sort_push,
    .finish = sort_finish,
    .combine = sort_combine,
    .settle = sort_settle,
    .pull = sort_pull,
    .close = sort_close,
};

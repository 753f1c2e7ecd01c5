/*
 * repartition_exchange.c - rows dealt out anew: by a hash of keys (repartitionByColumns), or one after
 * the other (repartition, where the source has fewer splits than tasks are wanted).
 *
 * Every task scatters its rows over the partitions of a spill; the spills are put together in task
 * order, and a partition is what the tasks behind read as one split. So rows of one key are in one
 * output task, and within a partition rows are in the order of the input. The hash is XXH3 over the
 * values alone: the same rows go to the same partition in every run and on every machine.
 */
#include "ext/spill.h"
#include "op/append.h"
#include "op/ops.h"

struct exchange_plan {
    struct mr_op_appended appended;
    const struct mr_schema *schema;
    int nkeys; /* 0: in turns */
    int *keys;
    int partitions;
};

struct exchange_task {
    const struct exchange_plan *plan;
    struct mr_runtime *runtime;
    struct mr_eval *eval;
    struct mr_spill *spill;
    uint32_t next; /* partition of the next row, in turns */
};

static enum mr_status bind_keys(struct exchange_plan *self, const struct mr_op_bind *bind,
                                struct mr_error *err)
{
    const struct mr_option_value *columns = mr_options_get(bind->options, "columns");
    self->nkeys = columns->u.strings.count;
    self->keys = mr_arena_calloc(bind->arena, (size_t)self->nkeys + 1, sizeof *self->keys);
    if (!self->keys)
        return mr_error_nomem(err);
    if (self->nkeys == 0)
        return mr_options_error(bind->options, "columns", err, "names no column");
    for (int i = 0; i < self->nkeys; i++) {
        if (mr_op_append(&self->appended, columns->u.strings.items[i], &self->keys[i], err) !=
            MR_OK)
            return mr_op_option_failed(bind->options, "columns", NULL, err);
    }
    return MR_OK;
}

static enum mr_status exchange_bind(const struct mr_op_bind *bind, bool keys, void **plan,
                                    struct mr_op_info *info, struct mr_error *err)
{
    struct exchange_plan *self = mr_arena_calloc(bind->arena, 1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    MR_TRY(mr_op_append_init(&self->appended, bind, err));
    if (keys)
        MR_TRY(bind_keys(self, bind, err));
    MR_TRY(mr_op_append_finish(&self->appended, err));
    self->schema = bind->inputs[0].schema;
    info->schema = self->schema;
    info->rows = bind->inputs[0].rows;
    info->partitions = (int)mr_options_integer(bind->options, "numPartitions", 0);
    self->partitions = info->partitions > 0 ? info->partitions : mr_op_pulls(bind, info->rows);
    info->pulls = self->partitions;
    const char *by = "in turns";
    if (keys) {
        const struct mr_option_value *columns = mr_options_get(bind->options, "columns");
        by = mr_op_join_texts(bind->arena, columns->u.strings.items, columns->u.strings.count);
    }
    info->details = by ? mr_arena_printf(bind->arena, "%d partitions %s%s", self->partitions,
                                         keys ? "by " : "", by)
                       : NULL;
    if (!info->details)
        return mr_error_nomem(err);
    *plan = self;
    MR_TRY(mr_op_append_passes(&self->appended, info->schema, info, err));
    return mr_op_append_crosses(&self->appended, NULL, 0, info, err);
}

static enum mr_status by_columns_bind(const struct mr_op_bind *bind, void **plan,
                                      struct mr_op_info *info, struct mr_error *err)
{
    return exchange_bind(bind, true, plan, info, err);
}

static enum mr_status in_turns_bind(const struct mr_op_bind *bind, void **plan,
                                    struct mr_op_info *info, struct mr_error *err)
{
    return exchange_bind(bind, false, plan, info, err);
}

static void exchange_close(void *task)
{
    struct exchange_task *self = task;
    mr_eval_free(self->eval);
    mr_spill_free(self->spill);
    mr_free(self);
}

static enum mr_status exchange_open(void *plan, struct mr_runtime *runtime, void **task,
                                    struct mr_error *err)
{
    struct exchange_task *self = mr_calloc(1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    self->plan = plan;
    self->runtime = runtime;
    enum mr_status status =
        mr_eval_new(runtime->memory, &self->plan->appended.session, &self->eval, err);
    if (status == MR_OK)
        status = mr_spill_new(runtime, self->plan->schema, self->plan->partitions, runtime->share,
                              &self->spill, err);
    if (status != MR_OK) {
        exchange_close(self);
        return status;
    }
    *task = self;
    return MR_OK;
}

/* The hash's high half scaled to the partitions: any number of them, evenly. */
static void partitions_of_hashes(const uint64_t *hashes, int64_t count, uint32_t npartitions,
                                 uint32_t *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = (uint32_t)((hashes[i] >> 32) * npartitions >> 32);
}

static enum mr_status choose_partitions(struct exchange_task *self, struct mr_batch *batch,
                                        uint32_t *out, struct mr_error *err)
{
    const struct exchange_plan *plan = self->plan;
    if (plan->nkeys == 0) {
        for (int64_t i = 0; i < batch->rows; i++) {
            out[i] = self->next++;
            if (self->next == (uint32_t)plan->partitions)
                self->next = 0;
        }
        return MR_OK;
    }
    struct mr_batch *keyed;
    uint64_t *hashes = mr_calloc((size_t)batch->rows + 1, sizeof *hashes);
    if (!hashes)
        return mr_error_nomem(err);
    enum mr_status status = mr_op_append_eval(&plan->appended, self->eval, batch, &keyed, err);
    if (status == MR_OK) {
        for (int k = 0; k < plan->nkeys; k++)
            mr_column_hash(keyed->columns[plan->keys[k]], NULL, batch->rows, hashes);
        partitions_of_hashes(hashes, batch->rows, (uint32_t)plan->partitions, out);
        mr_batch_unref(keyed);
    }
    mr_free(hashes);
    return status;
}

static enum mr_status exchange_push(void *task, int port, struct mr_batch *batch,
                                    struct mr_emit *emit, struct mr_error *err)
{
    (void)port;
    (void)emit;
    struct exchange_task *self = task;
    uint32_t *partitions = mr_calloc((size_t)batch->rows + 1, sizeof *partitions);
    if (!partitions)
        return mr_error_nomem(err);
    enum mr_status status = choose_partitions(self, batch, partitions, err);
    if (status == MR_OK)
        status = mr_spill_scatter(self->spill, batch, NULL, partitions, batch->rows, err);
    if (status == MR_OK)
        mr_count(self->runtime, MR_COUNT_EXCHANGE_BYTES, mr_batch_bytes(batch));
    mr_free(partitions);
    return status;
}

static enum mr_status exchange_finish(void *task, int port, struct mr_emit *emit,
                                      struct mr_error *err)
{
    (void)port;
    (void)emit;
    struct exchange_task *self = task;
    mr_eval_free(self->eval);
    self->eval = NULL;
    return mr_spill_flush(self->spill, err);
}

static enum mr_status exchange_combine(void *into, void *from, struct mr_error *err)
{
    struct exchange_task *a = into, *b = from;
    return mr_spill_absorb(a->spill, b->spill, err);
}

static enum mr_status exchange_pull(const void *built, struct mr_runtime *runtime, int partition,
                                    struct mr_emit *emit, struct mr_error *err)
{
    const struct exchange_task *self = built;
    int count = mr_spill_chunks(self->spill, partition);
    for (int c = 0; c < count && !emit->closed; c++) {
        struct mr_batch *batch;
        MR_TRY(mr_spill_chunk(self->spill, runtime, partition, c, &batch, err));
        MR_TRY(emit->batch(emit, 0, batch, err));
    }
    return MR_OK;
}

static const struct mr_option by_columns_options[] = {
    {.name = "columns",
     .type = MR_OPTION_STRINGS,
     .flags = MR_OPTION_REQUIRED | MR_OPTION_EXPRESSION,
     .doc = "Columns or expressions; rows that are equal in all of them come into one output task, "
            "and so into one file."},
    {.name = "numPartitions",
     .type = MR_OPTION_INT,
     .minimum = 1,
     .maximum = 10000,
     .doc = "Number of output tasks, and so of files for each partition written. Without it the "
            "plan chooses."},
    MR_OPTION_END,
};

static const struct mr_option in_turns_options[] = {
    {.name = "numPartitions",
     .type = MR_OPTION_INT,
     .flags = MR_OPTION_REQUIRED,
     .minimum = 1,
     .maximum = 10000,
     .doc = "Number of output tasks, and so of files for each partition written."},
    MR_OPTION_END,
};

const struct mr_op mr_op_repartition_by_columns = {
    .name = "repartitionByColumns",
    .doc = "Brings rows that are equal in some columns into the same output task and file. Within "
           "it, rows keep the order in which they came.",
    .options = by_columns_options,
    .flags = MR_OP_BREAKER | MR_OP_MOVES,
    .min_inputs = 1,
    .max_inputs = 1,
    .bind = by_columns_bind,
    .open = exchange_open,
    .push = exchange_push,
    .finish = exchange_finish,
    .combine = exchange_combine,
    .pull = exchange_pull,
    .close = exchange_close,
};

const struct mr_op mr_op_repartition_in_turns = {
    .name = "repartition",
    .doc = "Deals rows out to output tasks one after the other.",
    .options = in_turns_options,
    .flags = MR_OP_BREAKER | MR_OP_MOVES,
    .min_inputs = 1,
    .max_inputs = 1,
    .bind = in_turns_bind,
    .open = exchange_open,
    .push = exchange_push,
    .finish = exchange_finish,
    .combine = exchange_combine,
    .pull = exchange_pull,
    .close = exchange_close,
};

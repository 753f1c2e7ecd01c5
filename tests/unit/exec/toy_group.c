/*
 * toy_group.c - the toy breaker: sums of ids by v, in partitions, perhaps sorted.
 */
#include "unit/exec/toy.h"

#include "col/builder.h"

static const struct mr_option group_options[] = {
    {.name = "pulls", .type = MR_OPTION_INT, .fallback = "1"},
    {.name = "sorted", .type = MR_OPTION_BOOL, .fallback = "false"},
    MR_OPTION_END,
};

#define GROUPS       10
#define GROUP_PIECES 3

struct toy_group_plan {
    struct toy *toy;
    const struct mr_schema *schema;
    int pulls;
    bool sorted;
};

struct toy_group {
    const struct toy_group_plan *plan;
    struct mr_runtime *runtime;
    int64_t sums[GROUPS];
    int64_t rows[GROUPS];
    int finished;
    atomic_int settled;
    bool counted;
};

static enum mr_status group_bind(const struct mr_op_bind *bind, void **plan,
                                 struct mr_op_info *info, struct mr_error *err)
{
    static const int keys[] = {-1, 1};
    static const int *const passes[] = {keys};
    static const bool by_key[] = {false, true};
    static const bool both[] = {true, true};
    static const bool *const crosses[] = {by_key}, *const reads[] = {both};
    struct toy_group_plan *self = mr_arena_calloc(bind->arena, 1, sizeof *self);
    self->toy = (struct toy *)(void *)bind->runtime->shared;
    self->pulls = (int)mr_options_integer(bind->options, "pulls", 1);
    self->sorted = mr_options_boolean(bind->options, "sorted", false);
    MR_TRY(mr_schema_parse(bind->arena, "id BIGINT, v BIGINT", &self->schema, err));
    *info = (struct mr_op_info){
        .schema = self->schema,
        .rows = bind->inputs[0].rows < 0 ? -1 : bind->inputs[0].rows / 2,
        .details = "sums by v",
        .passes_from = bind->ninputs == 1 ? passes : NULL,
        .reads = bind->ninputs == 1 ? reads : NULL,
        .crosses = bind->ninputs == 1 ? crosses : NULL,
        .pulls = self->pulls,
        .sorted = self->sorted,
    };
    *plan = self;
    return MR_OK;
}

static enum mr_status group_open(void *plan, struct mr_runtime *runtime, void **task,
                                 struct mr_error *err)
{
    struct toy_group *self = mr_calloc(1, sizeof *self);
    self->plan = plan;
    self->runtime = runtime;
    struct toy *toy = self->plan->toy;
    pthread_mutex_lock(&toy->lock);
    toy->ops_open++;
    toy->share = runtime->share;
    if (toy->nshares < 8)
        toy->shares[toy->nshares++] = runtime->share;
    pthread_mutex_unlock(&toy->lock);
    *task = self;
    return mr_memory_charge(runtime->memory, toy->group_holds, err);
}

static enum mr_status group_push(void *task, int port, struct mr_batch *batch, struct mr_emit *emit,
                                 struct mr_error *err)
{
    (void)port;
    (void)emit;
    (void)err;
    struct toy_group *self = task;
    const int64_t *ids = (const int64_t *)(const void *)batch->columns[0]->values->data;
    const int64_t *groups = (const int64_t *)(const void *)batch->columns[1]->values->data;
    for (int64_t i = 0; i < batch->rows; i++) {
        self->sums[groups[i] % GROUPS] += ids[i];
        self->rows[groups[i] % GROUPS]++;
    }
    return MR_OK;
}

static enum mr_status group_finish(void *task, int port, struct mr_emit *emit, struct mr_error *err)
{
    (void)port;
    (void)emit;
    (void)err;
    ((struct toy_group *)task)->finished++;
    return MR_OK;
}

/* Counts a call; fails if it is the one that is to fail. */
static enum mr_status group_call(const struct toy_group *self, int *calls, int fail_after,
                                 const char *what, struct mr_error *err)
{
    struct toy *toy = self->plan->toy;
    pthread_mutex_lock(&toy->lock);
    bool fail = ++*calls == fail_after;
    pthread_mutex_unlock(&toy->lock);
    return fail ? mr_error_set(err, MR_SOURCE, MR_CLASS_DATA, "toy %s failed", what) : MR_OK;
}

static enum mr_status group_combine(void *into, void *from, struct mr_error *err)
{
    struct toy_group *a = into;
    const struct toy_group *b = from;
    struct toy *toy = a->plan->toy;
    assert_true(a->finished > 0 && b->finished > 0);
    MR_TRY(group_call(a, &toy->combines, toy->fail_combine_after, "combine", err));
    for (int i = 0; i < GROUPS; i++) {
        a->sums[i] += b->sums[i];
        a->rows[i] += b->rows[i];
    }
    return MR_OK;
}

static enum mr_status group_settle(void *built, struct mr_runtime *runtime, int piece, int *pieces,
                                   struct mr_error *err)
{
    struct toy_group *self = built;
    struct toy *toy = self->plan->toy;
    MR_TRY(group_call(self, &toy->settles, toy->fail_settle_after, "settle", err));
    if (piece < 0) {
        assert_int_equal(*pieces, 0);
        pthread_mutex_lock(&toy->lock);
        self->counted = true;
        if (++toy->groups > toy->groups_peak)
            toy->groups_peak = toy->groups;
        pthread_mutex_unlock(&toy->lock);
        *pieces = GROUP_PIECES;
        return MR_OK;
    }
    assert_int_equal(*pieces, GROUP_PIECES);
    if (toy->hang_settle)
        return mr_wait(runtime->waiter, -1, 0, INT64_MAX, MR_WAIT_SOURCE, NULL, err);
    atomic_fetch_or(&self->settled, 1 << piece);
    return MR_OK;
}

static enum mr_status group_rest(void *built, int64_t bytes, struct mr_error *err)
{
    (void)err;
    struct toy_group *self = built;
    assert_true(self->counted);
    assert_null(self->runtime->pool);
    self->plan->toy->rest = bytes;
    return MR_OK;
}

static enum mr_status emit_group(const struct toy_group *self, struct mr_runtime *runtime, int v,
                                 struct mr_emit *emit, struct mr_error *err)
{
    struct mr_column *columns[2] = {NULL, NULL};
    for (int c = 0; c < 2; c++) {
        struct mr_builder builder;
        MR_TRY(mr_builder_init(&builder, runtime->memory, mr_type_of(MR_TYPE_INT64), err));
        enum mr_status status = mr_builder_int(&builder, c == 0 ? self->sums[v] : v, err);
        if (status == MR_OK)
            status = mr_builder_finish(&builder, &columns[c], err);
        mr_builder_reset(&builder);
        if (status != MR_OK) {
            mr_column_unref(columns[0]);
            return status;
        }
    }
    struct mr_batch *batch;
    MR_TRY(mr_batch_new(self->plan->schema, 1, columns, &batch, err));
    return emit->batch(emit, 0, batch, err);
}

static enum mr_status group_pull(const void *built, struct mr_runtime *runtime, int partition,
                                 struct mr_emit *emit, struct mr_error *err)
{
    const struct toy_group *self = built;
    struct toy *toy = self->plan->toy;
    assert_int_equal(atomic_load(&self->settled), (1 << GROUP_PIECES) - 1);
    MR_TRY(group_call(self, &toy->pulls, toy->fail_pull_after, "pull", err));
    if (toy->hang_pull)
        return mr_wait(runtime->waiter, -1, 0, INT64_MAX, MR_WAIT_SOURCE, NULL, err);
    int pulls = self->plan->pulls;
    for (int v = 0; v < GROUPS && !emit->closed; v++) {
        int mine = self->plan->sorted ? v * pulls / GROUPS : v % pulls;
        if (mine == partition && self->rows[v] > 0)
            MR_TRY(emit_group(self, runtime, v, emit, err));
    }
    return MR_OK;
}

static void group_close(void *task)
{
    struct toy_group *self = task;
    struct toy *toy = self->plan->toy;
    pthread_mutex_lock(&toy->lock);
    toy->ops_closed++;
    toy->groups -= self->counted;
    pthread_mutex_unlock(&toy->lock);
    /* What a kept state was opened with is there until it is closed. */
    assert_non_null(self->runtime->waiter);
    mr_memory_credit(self->runtime->memory, toy->group_holds);
    mr_free(self);
}

const struct mr_op toy_group = {
    .name = "toyGroup",
    .options = group_options,
    .flags = MR_OP_BREAKER,
    .min_inputs = 1,
    .max_inputs = 9,
    .bind = group_bind,
    .open = group_open,
    .push = group_push,
    .finish = group_finish,
    .combine = group_combine,
    .settle = group_settle,
    .rest = group_rest,
    .pull = group_pull,
    .close = group_close,
};

/*
 * toy.c - see toy.h. The implementations find their shared struct through runtime->shared, which is not used otherwise.
 */
#include "unit/exec/toy.h"

#include "base/text.h"
#include "base/time.h"
#include "col/builder.h"
#include "op/ops.h"

#include <stdio.h>
#include <string.h>

static struct toy *toy_of(const struct mr_runtime *runtime)
{
    return (struct toy *)(void *)runtime->shared;
}

/* ---- source ---- */

struct toy_source {
    struct toy *toy;
    int splits, rows, batch;
    int64_t bytes;
    bool narrow; /* only id */
    const struct mr_schema *schema;
    bool unstable;
};

struct toy_reader {
    struct toy_source *source;
    struct mr_runtime *runtime;
    int split;
    int64_t at;
    bool ended;
};

static const struct mr_option source_options[] = {
    {.name = "splits", .type = MR_OPTION_INT, .fallback = "1"},
    {.name = "rows", .type = MR_OPTION_INT, .fallback = "10", .doc = "of split i: rows + i"},
    {.name = "batch", .type = MR_OPTION_INT, .fallback = "7"},
    {.name = "readers", .type = MR_OPTION_INT, .fallback = "1"},
    {.name = "bytes", .type = MR_OPTION_INT, .fallback = "1000"},
    {.name = "catalog", .type = MR_OPTION_BOOL, .fallback = "false"},
    MR_OPTION_END,
};

static const struct mr_schema *schema_of(struct mr_arena *arena, bool narrow)
{
    struct mr_field two[2] = {{.name = "id", .type = mr_type_of(MR_TYPE_INT64)},
                              {.name = "v", .type = mr_type_of(MR_TYPE_INT64)}};
    return mr_schema_new(arena, two, narrow ? 1 : 2);
}

static enum mr_status source_bind(const struct mr_source_bind *bind, void **state,
                                  struct mr_source_info *info, struct mr_error *err)
{
    (void)err;
    struct toy_source *self = mr_arena_calloc(bind->arena, 1, sizeof *self);
    self->toy = toy_of(bind->runtime);
    self->splits = (int)mr_options_integer(bind->options, "splits", 1);
    self->rows = (int)mr_options_integer(bind->options, "rows", 1);
    self->batch = (int)mr_options_integer(bind->options, "batch", 1);
    info->max_readers = (int)mr_options_integer(bind->options, "readers", 1);
    info->bytes = self->bytes = mr_options_integer(bind->options, "bytes", 1);
    info->rows = (int64_t)self->splits * self->rows;
    info->location = "toy";
    if (!mr_options_boolean(bind->options, "catalog", false) || !bind->runtime->offline)
        info->schema = self->schema = schema_of(bind->arena, false);
    *state = self;
    return MR_OK;
}

static enum mr_status source_offer(void *state, struct mr_source_offer *offer,
                                   struct mr_source_info *info, struct mr_error *err)
{
    (void)err;
    struct toy_source *self = state;
    self->toy->limit_offered = offer->limit;
    self->toy->npredicates = offer->npredicates;
    for (int i = 0; i < offer->npredicates; i++)
        offer->pushed[i] = self->toy->answer;
    if (self->toy->narrow && offer->columns != NULL && !offer->columns[1]) {
        self->narrow = true;
        info->schema = self->schema = schema_of(&self->toy->arena, true);
    }
    return MR_OK;
}

/* Takes note; reads all the same. */
static enum mr_status source_narrow(void *state, const struct mr_predicate *predicate,
                                    struct mr_error *err)
{
    (void)err;
    struct toy *toy = ((struct toy_source *)state)->toy;
    toy->narrowed++;
    assert_int_equal(predicate->kind, MR_PREDICATE_COMPARE);
    assert_int_equal(predicate->column, 0);
    toy->narrowed_to = predicate->values[0].u.i64;
    return MR_OK;
}

static enum mr_status source_splits(void *state, struct mr_runtime *runtime, struct mr_arena *arena,
                                    struct mr_split_list *out, struct mr_error *err)
{
    (void)runtime;
    (void)err;
    struct toy_source *self = state;
    out->items = mr_arena_calloc(arena, (size_t)self->splits + 1, sizeof *out->items);
    out->count = self->splits;
    for (int i = 0; i < self->splits; i++) {
        int *token = mr_arena_alloc(arena, sizeof *token);
        *token = i;
        out->items[i] = (struct mr_split){.token = {(char *)token, sizeof *token},
                                          .label = mr_arena_printf(arena, "split %d", i),
                                          .rows = self->rows + i,
                                          .bytes = self->bytes / self->splits};
    }
    return MR_OK;
}

static enum mr_status reader_open(void *state, struct mr_runtime *runtime, struct mr_slice split,
                                  struct mr_slice from, void **reader, struct mr_error *err)
{
    struct toy_source *self = state;
    struct toy *toy = self->toy;
    struct toy_reader *out = mr_calloc(1, sizeof *out);
    out->source = self;
    out->runtime = runtime;
    memcpy(&out->split, split.data, sizeof out->split);
    if (from.size > 0)
        memcpy(&out->at, from.data, sizeof out->at);
    pthread_mutex_lock(&toy->lock);
    bool fail = toy->fail_open > 0 && --toy->fail_open == 0;
    if (!fail && ++toy->readers_open > toy->readers_peak)
        toy->readers_peak = toy->readers_open;
    pthread_mutex_unlock(&toy->lock);
    if (fail) {
        mr_free(out);
        return mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG, "toy open failed");
    }
    *reader = out;
    return MR_OK;
}

static enum mr_status failures(struct toy_reader *self, struct mr_error *err)
{
    struct toy *toy = self->source->toy;
    pthread_mutex_lock(&toy->lock);
    toy->batches_read++;
    bool transient = toy->transient_failures > 0 && toy->batches_read % 3 == 0;
    toy->transient_failures -= transient;
    bool fatal = toy->fail_next_after > 0 && toy->batches_read >= toy->fail_next_after;
    bool hang = toy->hang;
    pthread_mutex_unlock(&toy->lock);
    if (transient)
        return mr_error_set(err, MR_SOURCE, MR_CLASS_TRANSIENT, "toy line dropped");
    if (fatal)
        return mr_error_set(err, MR_SOURCE, MR_CLASS_DATA, "toy next failed");
    if (hang)
        return mr_wait(self->runtime->waiter, -1, 0, INT64_MAX, MR_WAIT_SOURCE, NULL, err);
    if (toy->batch_pause_micros > 0)
        return mr_wait(self->runtime->waiter, -1, 0,
                       mr_clock_monotonic_micros() + toy->batch_pause_micros, MR_WAIT_SOURCE, NULL,
                       err);
    return MR_OK;
}

static enum mr_status reader_next(void *reader, struct mr_item *out, struct mr_error *err)
{
    struct toy_reader *self = reader;
    MR_TRY(failures(self, err));
    int64_t left = self->source->rows + self->split - self->at;
    if (left <= 0) {
        assert_false(self->ended);
        self->ended = true;
        out->kind = MR_ITEM_END;
        return MR_OK;
    }
    int64_t count = left < self->source->batch ? left : self->source->batch;
    struct mr_builder builders[2];
    enum mr_status status = MR_OK;
    struct mr_column *columns[2] = {NULL, NULL};
    int width = self->source->narrow ? 1 : 2;
    for (int c = 0; c < width && status == MR_OK; c++) {
        status =
            mr_builder_init(&builders[c], self->runtime->memory, mr_type_of(MR_TYPE_INT64), err);
        for (int64_t i = 0; i < count && status == MR_OK; i++) {
            int64_t row = self->at + i;
            status =
                mr_builder_int(&builders[c],
                               c == 0 ? (int64_t)self->split * TOY_SPLIT + row : row % 10, err);
        }
        if (status == MR_OK)
            status = mr_builder_finish(&builders[c], &columns[c], err);
        mr_builder_reset(&builders[c]);
    }
    if (status != MR_OK) {
        mr_column_unref(columns[0]);
        return status;
    }
    MR_TRY(mr_batch_new(self->source->schema, count, columns, &out->batch, err));
    self->at += count;
    out->kind = MR_ITEM_BATCH;
    return MR_OK;
}

static enum mr_status reader_position(void *reader, struct mr_bytes *out, struct mr_error *err)
{
    (void)err;
    struct toy_reader *self = reader;
    mr_bytes_append(out, &self->at, sizeof self->at);
    return MR_OK;
}

static void reader_close(void *reader)
{
    struct toy_reader *self = reader;
    struct toy *toy = self->source->toy;
    pthread_mutex_lock(&toy->lock);
    toy->readers_open--;
    toy->readers_closed++;
    pthread_mutex_unlock(&toy->lock);
    mr_free(self);
}

static void source_close(void *state)
{
    (void)state;
}

static const struct mr_source toy_source = {
    .name = "toySource",
    .options = source_options,
    .flags = MR_SOURCE_STABLE_ORDER,
    .bind = source_bind,
    .offer = source_offer,
    .splits = source_splits,
    .narrow = source_narrow,
    .reader_open = reader_open,
    .next = reader_next,
    .position = reader_position,
    .reader_close = reader_close,
    .close = source_close,
};

/* ---- operators ---- */

struct toy_op {
    struct toy *toy;
    const struct mr_schema *schema;
    int64_t number; /* by, count */
};

struct toy_task {
    struct toy_op *op;
    struct mr_runtime *runtime;
    int64_t left;
    int64_t sum;  /* build side: of ids */
    int64_t rows; /* build side */
    const struct toy_task *built;
    int finished;
};

static const struct mr_option op_options[] = {
    {.name = "by", .type = MR_OPTION_INT, .fallback = "1"},
    {.name = "count", .type = MR_OPTION_INT, .fallback = "1"},
    {.name = "most", .type = MR_OPTION_BOOL, .fallback = "false"},
    {.name = "condition", .type = MR_OPTION_STRING, .flags = MR_OPTION_EXPRESSION},
    {.name = "column", .type = MR_OPTION_STRING, .flags = MR_OPTION_COLUMN},
    MR_OPTION_END,
};

static enum mr_status op_bind(const struct mr_op_bind *bind, void **plan, struct mr_op_info *info,
                              struct mr_error *err)
{
    (void)err;
    struct toy_op *self = mr_arena_calloc(bind->arena, 1, sizeof *self);
    self->toy = toy_of(bind->runtime);
    self->schema = bind->inputs[0].schema;
    self->number = mr_options_integer(bind->options, "by", 1);
    info->schema = self->schema;
    info->rows = bind->inputs[0].rows;
    const char *column = mr_options_text(bind->options, "column");
    if (column != NULL && mr_schema_find(self->schema, column) < 0)
        return mr_schema_unknown_column(self->schema, column, err);
    int *passes = mr_arena_calloc(bind->arena, 4, sizeof *passes);
    for (int i = 0; i < self->schema->nfields; i++)
        passes[i] = i;
    info->passes = passes;
    *plan = self;
    return MR_OK;
}

static enum mr_status limit_bind(const struct mr_op_bind *bind, void **plan,
                                 struct mr_op_info *info, struct mr_error *err)
{
    MR_TRY(op_bind(bind, plan, info, err));
    struct toy_op *self = *plan;
    self->number = info->limit = mr_options_integer(bind->options, "count", 1);
    return MR_OK;
}

static enum mr_status tasks_bind(const struct mr_op_bind *bind, void **plan,
                                 struct mr_op_info *info, struct mr_error *err)
{
    MR_TRY(op_bind(bind, plan, info, err));
    info->partitions = (int)mr_options_integer(bind->options, "count", 1);
    info->coalesce_only = mr_options_boolean(bind->options, "most", false);
    return MR_OK;
}

/* A condition for the plan to see; rows are not filtered. */
static enum mr_status filter_bind(const struct mr_op_bind *bind, void **plan,
                                  struct mr_op_info *info, struct mr_error *err)
{
    MR_TRY(op_bind(bind, plan, info, err));
    struct mr_sql_session session = {bind->ansi, bind->tz, bind->now_micros};
    struct mr_sql_scope scope = {.schema = bind->inputs[0].schema};
    struct mr_expr *condition;
    info->details = mr_options_text(bind->options, "condition");
    MR_TRY(
        mr_expr_compile_condition(bind->arena, info->details, &scope, &session, &condition, err));
    info->condition = condition;
    return MR_OK;
}

/* Keeps the first column. */
static enum mr_status select_bind(const struct mr_op_bind *bind, void **plan,
                                  struct mr_op_info *info, struct mr_error *err)
{
    MR_TRY(op_bind(bind, plan, info, err));
    info->schema = ((struct toy_op *)*plan)->schema =
        mr_schema_new(bind->arena, bind->inputs[0].schema->fields, 1);
    return MR_OK;
}

static enum mr_status op_open(void *plan, struct mr_runtime *runtime, void **task,
                              struct mr_error *err)
{
    (void)err;
    struct toy_task *self = mr_calloc(1, sizeof *self);
    self->op = plan;
    self->runtime = runtime;
    self->left = self->op->number;
    pthread_mutex_lock(&self->op->toy->lock);
    self->op->toy->ops_open++;
    pthread_mutex_unlock(&self->op->toy->lock);
    *task = self;
    return MR_OK;
}

static void op_close(void *task)
{
    struct toy_task *self = task;
    pthread_mutex_lock(&self->op->toy->lock);
    self->op->toy->ops_closed++;
    pthread_mutex_unlock(&self->op->toy->lock);
    mr_free(self);
}

static enum mr_status pass_push(void *task, int port, struct mr_batch *batch, struct mr_emit *emit,
                                struct mr_error *err)
{
    (void)port;
    struct toy_task *self = task;
    struct toy *toy = self->op->toy;
    assert_null(batch->selection);
    pthread_mutex_lock(&toy->lock);
    bool fail = toy->fail_push_after > 0 && ++toy->pushes >= toy->fail_push_after;
    pthread_mutex_unlock(&toy->lock);
    if (fail)
        return mr_error_data(err, MR_CONFIG, "toy push failed");
    return emit->batch(emit, 0, mr_batch_ref(batch), err);
}

static enum mr_status union_push(void *task, int port, struct mr_batch *batch, struct mr_emit *emit,
                                 struct mr_error *err)
{
    (void)task;
    (void)port;
    return emit->batch(emit, 0, mr_batch_ref(batch), err);
}

static enum mr_status select_push(void *task, int port, struct mr_batch *batch,
                                  struct mr_emit *emit, struct mr_error *err)
{
    (void)port;
    struct toy_task *self = task;
    struct mr_column *columns[1] = {mr_column_ref(batch->columns[0])};
    struct mr_batch *out;
    MR_TRY(mr_batch_derive(batch, self->op->schema, columns, &out, err));
    return emit->batch(emit, 0, out, err);
}

static enum mr_status op_finish(void *task, int port, struct mr_emit *emit, struct mr_error *err)
{
    (void)emit;
    (void)err;
    struct toy_task *self = task;
    assert_false(self->finished & (1 << port));
    self->finished |= 1 << port;
    return MR_OK;
}

/* Selects every second row; takes selections itself. */
static enum mr_status even_push(void *task, int port, struct mr_batch *batch, struct mr_emit *emit,
                                struct mr_error *err)
{
    (void)port;
    struct toy_task *self = task;
    struct mr_buffer *rows;
    const int32_t *before = mr_selection_rows(batch->selection);
    MR_TRY(mr_buffer_new(self->runtime->memory, (size_t)batch->rows * 4 + 4, &rows, err));
    int32_t *out = (int32_t *)(void *)rows->data;
    int64_t count = 0;
    const int64_t *ids = (const int64_t *)(const void *)batch->columns[0]->values->data;
    for (int64_t i = 0; i < mr_batch_active(batch); i++) {
        int32_t row = before != NULL ? before[i] : (int32_t)i;
        if (ids[row] % 2 == 0)
            out[count++] = row;
    }
    mr_buffer_finish(rows, (size_t)count * 4);
    struct mr_selection *selection;
    struct mr_batch *result;
    MR_TRY(mr_selection_new(rows, count, &selection, err));
    MR_TRY(mr_batch_select(batch, selection, &result, err));
    return emit->batch(emit, 0, result, err);
}

static enum mr_status limit_push(void *task, int port, struct mr_batch *batch, struct mr_emit *emit,
                                 struct mr_error *err)
{
    (void)port;
    struct toy_task *self = task;
    int64_t count = mr_batch_active(batch) < self->left ? mr_batch_active(batch) : self->left;
    struct mr_batch *out;
    MR_TRY(mr_batch_slice(self->runtime->memory, batch, 0, count, &out, err));
    self->left -= count;
    MR_TRY(emit->batch(emit, 0, out, err));
    if (self->left == 0)
        emit->closed = true;
    return MR_OK;
}

/* Build side: sums ids. Probe: checks that all of the build side is there. */
static enum mr_status known_push(void *task, int port, struct mr_batch *batch, struct mr_emit *emit,
                                 struct mr_error *err)
{
    struct toy_task *self = task;
    if (port == 0) {
        assert_non_null(self->built);
        return emit->batch(emit, 0, mr_batch_ref(batch), err);
    }
    assert_null(self->built);
    const int64_t *ids = (const int64_t *)(const void *)batch->columns[0]->values->data;
    for (int64_t i = 0; i < batch->rows; i++)
        self->sum += ids[i];
    self->rows += batch->rows;
    return MR_OK;
}

static enum mr_status known_attach(void *task, const void *built, struct mr_error *err)
{
    (void)err;
    struct toy_task *self = task;
    self->built = built;
    assert_non_null(built);
    assert_true(self->built->rows > 0);
    return MR_OK;
}

static enum mr_status known_combine(void *into, void *from, struct mr_error *err)
{
    (void)err;
    struct toy_task *a = into, *b = from;
    a->sum += b->sum;
    a->rows += b->rows;
    return MR_OK;
}

/* A build side of which port 0 must be seen by one task. */
static enum mr_status one_bind(const struct mr_op_bind *bind, void **plan, struct mr_op_info *info,
                               struct mr_error *err)
{
    static const int none[] = {-1, -1};
    static const bool first[] = {true, false}, both[] = {true, true};
    static const bool *const reads[] = {first, first}, *const crosses[] = {both, NULL};
    MR_TRY(op_bind(bind, plan, info, err));
    info->one_task = info->narrows = true;
    toy_of(bind->runtime)->nwanted = bind->wanted != NULL ? bind->nwanted : -1;
    const int **passes = mr_arena_calloc(bind->arena, 2, sizeof *passes);
    passes[0] = info->passes;
    passes[1] = none;
    info->passes_from = passes;
    info->reads = reads;
    info->crosses = crosses;
    return MR_OK;
}

/* The sum of the ids on the build side is the largest id that matters. */
static enum mr_status one_narrows(const void *built, struct mr_arena *arena,
                                  const struct mr_predicate **out, struct mr_error *err)
{
    (void)err;
    const struct toy_task *task = built;
    struct mr_value *value = mr_arena_calloc(arena, 1, sizeof *value);
    struct mr_predicate *predicate = mr_arena_calloc(arena, 1, sizeof *predicate);
    *value = (struct mr_value){.type = mr_type_of(MR_TYPE_INT64), .u = {.i64 = task->sum}};
    *predicate = (struct mr_predicate){.kind = MR_PREDICATE_COMPARE,
                                       .compare = MR_LE,
                                       .nvalues = 1,
                                       .values = value};
    *out = predicate;
    return MR_OK;
}

#define TOY_OP(symbol, text, bits, most, binder, pusher)                                           \
    static const struct mr_op symbol = {                                                           \
        .name = text,                                                                              \
        .options = op_options,                                                                     \
        .flags = MR_OP_STREAMING | (bits),                                                         \
        .min_inputs = 1,                                                                           \
        .max_inputs = most,                                                                        \
        .bind = binder,                                                                            \
        .open = op_open,                                                                           \
        .push = pusher,                                                                            \
        .finish = op_finish,                                                                       \
        .attach = known_attach,                                                                    \
        .narrows = (bits)&MR_OP_VALIDATION ? NULL : one_narrows,                                   \
        .combine = known_combine,                                                                  \
        .close = op_close,                                                                         \
    }

TOY_OP(toy_pass, "toyPass", MR_OP_CROSSES, 1, op_bind, pass_push);
TOY_OP(toy_filter, "toyFilter", MR_OP_CROSSES, 1, filter_bind, pass_push);
TOY_OP(toy_select, "toySelect", MR_OP_CROSSES, 1, select_bind, select_push);
TOY_OP(toy_even, "toyEven", MR_OP_TAKES_SELECTION, 1, op_bind, even_push);
TOY_OP(toy_union, "toyUnion", 0, 9, op_bind, union_push);
TOY_OP(toy_limit, "toyLimit", MR_OP_ORDERED | MR_OP_STOPS, 1, limit_bind, limit_push);
TOY_OP(toy_tasks, "toyTasks", 0, 1, tasks_bind, union_push);
TOY_OP(toy_one, "toyOne", MR_OP_BUILD_SIDE, 2, one_bind, known_push);
TOY_OP(toy_known, "toyKnown", MR_OP_VALIDATION | MR_OP_BUILD_SIDE, 2, op_bind, known_push);

/* ---- sink ---- */

struct toy_sink {
    struct toy *toy;
    struct toy_target *target;
    int64_t hold;
};

struct toy_writer {
    struct toy_sink *sink;
    struct mr_runtime *runtime;
    int task;
    bool finished;
    int64_t held; /* bytes charged, given back by relieve */
};

static const struct mr_option sink_options[] = {
    {.name = "only", .type = MR_OPTION_INT, .fallback = "0"},
    {.name = "hold", .type = MR_OPTION_INT, .fallback = "0", .doc = "bytes to keep per row"},
    {.name = "skip", .type = MR_OPTION_BOOL, .fallback = "false"},
    MR_OPTION_END,
};

static enum mr_status sink_bind(const struct mr_sink_bind *bind, void **state,
                                struct mr_sink_info *info, struct mr_error *err)
{
    (void)err;
    struct toy_sink *self = mr_arena_calloc(bind->arena, 1, sizeof *self);
    self->toy = toy_of(bind->runtime);
    self->target = &self->toy->targets[bind->sequence];
    self->hold = mr_options_integer(bind->options, "hold", 0);
    info->kinds = MR_SINK_APPEND;
    info->location = "toy target";
    info->tasks = (int)mr_options_integer(bind->options, "only", 0);
    info->skip = mr_options_boolean(bind->options, "skip", false);
    *state = self;
    return MR_OK;
}

static enum mr_status writer_open(void *state, struct mr_runtime *runtime,
                                  const struct mr_epoch *epoch, int task, void **writer,
                                  struct mr_error *err)
{
    (void)epoch;
    struct toy_sink *self = state;
    pthread_mutex_lock(&self->toy->lock);
    bool fail = ++self->target->opened == self->target->fail_open_after;
    if (fail)
        self->target->opened--;
    pthread_mutex_unlock(&self->toy->lock);
    if (fail)
        return mr_error_set(err, MR_SINK, MR_CLASS_CONFIG, "toy writer open failed");
    struct toy_writer *out = mr_calloc(1, sizeof *out);
    out->sink = self;
    out->runtime = runtime;
    out->task = task;
    assert_true(task < TOY_TASKS);
    assert_null(self->target->ids[task]);
    *writer = out;
    return MR_OK;
}

static enum mr_status sink_write(void *writer, struct mr_batch *batch, struct mr_error *err)
{
    struct toy_writer *self = writer;
    struct toy_target *target = self->sink->target;
    assert_null(batch->selection);
    pthread_mutex_lock(&self->sink->toy->lock);
    bool fail = target->fail_write_after > 0 && ++target->writes >= target->fail_write_after;
    pthread_mutex_unlock(&self->sink->toy->lock);
    if (fail)
        return mr_error_set(err, MR_SINK, MR_CLASS_DATA, "toy write failed");
    if (self->sink->hold > 0) {
        MR_TRY(mr_memory_charge(self->runtime->memory, self->sink->hold * batch->rows, err));
        self->held += self->sink->hold * batch->rows;
    }
    int64_t *grown = realloc(target->ids[self->task],
                             (size_t)(target->count[self->task] + batch->rows) * sizeof(int64_t));
    memcpy(grown + target->count[self->task], batch->columns[0]->values->data,
           (size_t)batch->rows * sizeof(int64_t));
    target->ids[self->task] = grown;
    target->count[self->task] += batch->rows;
    return MR_OK;
}

static enum mr_status sink_relieve(void *writer, int64_t bytes, struct mr_error *err)
{
    (void)bytes;
    (void)err;
    struct toy_writer *self = writer;
    mr_memory_credit(self->runtime->memory, self->held);
    self->held = 0;
    pthread_mutex_lock(&self->sink->toy->lock);
    self->sink->target->relieved++;
    pthread_mutex_unlock(&self->sink->toy->lock);
    return MR_OK;
}

static enum mr_status writer_finish(void *writer, struct mr_bytes *committable,
                                    struct mr_error *err)
{
    struct toy_writer *self = writer;
    pthread_mutex_lock(&self->sink->toy->lock);
    bool fail = ++self->sink->target->finished == self->sink->target->fail_finish_after;
    pthread_mutex_unlock(&self->sink->toy->lock);
    if (fail)
        return mr_error_set(err, MR_SINK, MR_CLASS_CONFIG, "toy finish failed");
    self->finished = true;
    mr_bytes_printf(committable, "task %d", self->task);
    return MR_OK;
}

static void writer_close(void *writer)
{
    struct toy_writer *self = writer;
    mr_memory_credit(self->runtime->memory, self->held);
    pthread_mutex_lock(&self->sink->toy->lock);
    self->sink->target->closed++;
    pthread_mutex_unlock(&self->sink->toy->lock);
    mr_free(self);
}

static void sink_close(void *state)
{
    (void)state;
}

static const struct mr_sink toy_sink = {
    .name = "toySink",
    .options = sink_options,
    .bind = sink_bind,
    .writer_open = writer_open,
    .write = sink_write,
    .relieve = sink_relieve,
    .writer_finish = writer_finish,
    .writer_close = writer_close,
    .close = sink_close,
};

static const struct mr_method methods[] = {
    {.name = "toySource", .type = MR_STEP_EXTRACT, .source = &toy_source},
    {.name = "toyPass", .type = MR_STEP_TRANSFORM, .op = &toy_pass},
    {.name = "toyFilter", .type = MR_STEP_TRANSFORM, .op = &toy_filter},
    {.name = "toySelect", .type = MR_STEP_TRANSFORM, .op = &toy_select},
    {.name = "toyEven", .type = MR_STEP_TRANSFORM, .op = &toy_even},
    {.name = "toyUnion", .type = MR_STEP_TRANSFORM, .op = &toy_union},
    {.name = "toyLimit", .type = MR_STEP_TRANSFORM, .op = &toy_limit},
    {.name = "toyTasks", .type = MR_STEP_TRANSFORM, .op = &toy_tasks},
    {.name = "toyKnown", .type = MR_STEP_VALIDATE, .op = &toy_known},
    {.name = "toyGroup", .type = MR_STEP_TRANSFORM, .op = &toy_group},
    {.name = "toyParts", .type = MR_STEP_TRANSFORM, .op = &toy_parts},
    {.name = "toyNest", .type = MR_STEP_TRANSFORM, .op = &toy_nest},
    {.name = "toyAsk", .type = MR_STEP_TRANSFORM, .op = &toy_ask},
    {.name = "selectColumns", .type = MR_STEP_TRANSFORM, .op = &mr_op_select_columns},
    {.name = "sortData", .type = MR_STEP_TRANSFORM, .op = &mr_op_sort_data},
    {.name = "toyOne", .type = MR_STEP_TRANSFORM, .op = &toy_one},
    {.name = "toySink", .type = MR_STEP_LOAD, .sink = &toy_sink},
    {.name = NULL},
};

static const struct mr_store *const no_stores[] = {NULL};
static const struct mr_format *const no_formats[] = {NULL};
static const struct mr_codec *const no_codecs[] = {NULL};
const struct mr_registry toy_registry = {methods, no_stores, no_formats, no_codecs};

/* ---- pipelines ---- */

static void no_event(struct mr_runtime *runtime, enum mr_log_level level, const char *message)
{
    (void)runtime;
    (void)level;
    (void)message;
}

void toy_init(struct toy *toy, int parallelism, int64_t memory)
{
    *toy = (struct toy){.queue_bytes = 0, .limit_offered = -2};
    mr_mutex_init(&toy->lock);
    mr_memory_init(&toy->memory, NULL, "test", memory);
    mr_arena_init(&toy->arena, NULL);
    assert_int_equal(mr_tz_new("UTC", &toy->tz, NULL), MR_OK);
    toy->waiter = mr_waiter_plain();
    toy->runtime = (struct mr_runtime){
        .waiter = &toy->waiter,
        .memory = &toy->memory,
        .counters = &toy->counters,
        .registry = &toy_registry,
        .parallelism = parallelism,
        .time_zone = "UTC",
        .shared = (struct mr_shared *)(void *)toy,
        .event = no_event,
    };
    toy->spec = (struct mr_spec){
        .file = "toy.json",
        .directory = ".",
        .name = "toy",
        .state_key = "toy",
        .steps = toy->steps,
        .retry = {.attempts = 3, .delay_micros = 100, .max_delay_micros = 1000, .multiplier = 2},
        .ansi = true,
        .time_zone = "UTC",
        .rewrites = true,
    };
    toy->request = (struct mr_exec_request){.tap_node = -1, .only_segment = -1, .only_task = -1};
}

void toy_reset(struct toy *toy)
{
    mr_exec_result_reset(&toy->result);
    mr_plan_free(toy->plan);
    mr_engine_free(toy->engine);
    assert_int_equal(toy->readers_open, 0);
    assert_int_equal(toy->ops_open, toy->ops_closed);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(toy->targets[i].opened, toy->targets[i].closed);
        for (int t = 0; t < TOY_TASKS; t++)
            free(toy->targets[i].ids[t]);
    }
    assert_int_equal(mr_memory_used(&toy->memory), 0);
    mr_arena_reset(&toy->arena);
    mr_tz_free(toy->tz);
    pthread_mutex_destroy(&toy->lock);
}

static const char *const *split_names(struct toy *toy, const char *text, int *count)
{
    char *copy = mr_arena_strdup(&toy->arena, text);
    const char **names = mr_arena_calloc(&toy->arena, 10, sizeof *names);
    *count = 0;
    for (char *at = strtok(copy, ","); at != NULL; at = strtok(NULL, ","))
        names[(*count)++] = at;
    return names;
}

void toy_step(struct toy *toy, const char *method, ...)
{
    struct mr_step_spec *step = &toy->steps[toy->spec.nsteps];
    step->index = toy->spec.nsteps++;
    step->method = mr_registry_method(&toy_registry, method);
    assert_non_null(step->method);
    step->method_name = method;
    step->type = step->method->type;
    step->label = mr_arena_printf(&toy->arena, "step %d (%s)", step->index + 1, method);
    step->position = (struct mr_position){"toy.json", step->index + 1, 3};
    const char *pairs[32];
    int n = 0;
    va_list args;
    va_start(args, method);
    for (const char *name; (name = va_arg(args, const char *)) != NULL;) {
        const char *text = va_arg(args, const char *);
        if (strcmp(name, "as") == 0) {
            step->register_as = text;
        } else if (strcmp(name, "from") == 0) {
            step->inputs = split_names(toy, text, &step->ninputs);
        } else if (strcmp(name, "ref") == 0) {
            step->referenced = text;
        } else if (strcmp(name, "name") == 0) {
            step->name = text;
        } else {
            pairs[n++] = name;
            pairs[n++] = text;
        }
    }
    va_end(args);
    pairs[n] = NULL;
    struct mr_error err = {0};
    if (mr_options_from_texts(&toy->arena, mr_method_options(step->method), pairs, &step->options,
                              &err) != MR_OK)
        fail_msg("%s", err.message);
}

enum mr_status toy_plan(struct toy *toy, bool connect)
{
    struct mr_plan_request request = {
        .spec = &toy->spec,
        .arena = &toy->arena,
        .runtime = &toy->runtime,
        .tz = toy->tz,
        .connect = connect,
        .with_splits = connect,
        .with_sinks = true,
    };
    return mr_plan_build(&request, &toy->plan, &toy->errors, &toy->err);
}

enum mr_status toy_run(struct toy *toy)
{
    if (toy->plan == NULL && toy_plan(toy, true) != MR_OK)
        fail_msg("%s", toy->err.message);
    struct mr_engine_options options = {.permits = 2, .queue_bytes = toy->queue_bytes};
    if (toy->engine == NULL)
        assert_int_equal(mr_engine_new(&options, &toy->engine, &toy->err), MR_OK);
    toy->request.plan = toy->plan;
    return mr_exec_run(toy->engine, &toy->request, &toy->result, &toy->err);
}

int64_t toy_count(const struct toy *toy, int target)
{
    int64_t count = 0;
    for (int t = 0; t < TOY_TASKS; t++)
        count += toy->targets[target].count[t];
    return count;
}

int64_t toy_sum(const struct toy *toy, int target)
{
    int64_t sum = 0;
    for (int t = 0; t < TOY_TASKS; t++)
        for (int64_t i = 0; i < toy->targets[target].count[t]; i++)
            sum += toy->targets[target].ids[t][i];
    return sum;
}

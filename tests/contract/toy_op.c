/*
 * toy_op.c - the smallest operators with all that an aggregate, a join or a limit needs of the contract: several ports,
 * selections, side output, combining, pulling in partitions, a shared build side.
 */
#include "contract/toy_op.h"

#include "base/hash.h"
#include "base/map.h"
#include "col/builder.h"
#include "col/kernel.h"

#include <limits.h>

#define SETTLE_PIECES 3

/* ---- sums by key, used by both ---- */

struct entry {
    int64_t sum;
    char key[32];
};

struct sums {
    struct mr_map map; /* key -> struct entry */
    struct mr_arena arena;
};

static void sums_init(struct sums *sums, struct mr_memory *memory)
{
    mr_map_init(&sums->map, false);
    mr_arena_init(&sums->arena, memory);
}

static void sums_reset(struct sums *sums)
{
    mr_map_reset(&sums->map);
    mr_arena_reset(&sums->arena);
}

static enum mr_status sums_add(struct sums *sums, struct mr_slice key, int64_t amount,
                               struct mr_error *err)
{
    struct entry *entry = mr_map_get(&sums->map, key);
    if (!entry) {
        entry = mr_arena_calloc(&sums->arena, 1, sizeof *entry);
        if (!entry)
            return mr_error_nomem(err);
        memcpy(entry->key, key.data, key.size < 31 ? key.size : 31);
        MR_TRY(mr_map_put(&sums->map, key, entry, err));
    }
    entry->sum += amount;
    return MR_OK;
}

/* ---- balance ---- */

struct balance_plan {
    const struct mr_schema *in;
    const struct mr_schema *out;
    char *note; /* what unbind is for */
    int pulls;
};

static const struct mr_option balance_options[] = {
    {.name = "pulls", .type = MR_OPTION_INT, .fallback = "1", .doc = "Partitions."},
    MR_OPTION_END,
};

struct balance {
    struct balance_plan *plan;
    struct mr_runtime *runtime;
    struct sums sums;
    bool finished[2];
    uint8_t *partition; /* of each entry, once settled */
};

static enum mr_status balance_bind(const struct mr_op_bind *bind, void **out,
                                   struct mr_op_info *info, struct mr_error *err)
{
    const struct mr_schema *in = bind->inputs[0].schema;
    if (bind->ninputs != 2 || !mr_schema_equal(in, bind->inputs[1].schema))
        return mr_error_config(err, "toy: two inputs of one schema are wanted");
    struct balance_plan *plan = mr_arena_calloc(bind->arena, 1, sizeof *plan);
    if (!plan)
        return mr_error_nomem(err);
    plan->in = in;
    plan->pulls = (int)mr_options_integer(bind->options, "pulls", 1);
    MR_TRY(mr_schema_parse(bind->arena, "key STRING, balance BIGINT", &plan->out, err));
    plan->note = mr_strdup("made outside of the arena");
    if (!plan->note)
        return mr_error_nomem(err);
    *info = (struct mr_op_info){.schema = plan->out,
                                .side = in,
                                .rows = -1,
                                .pulls = plan->pulls,
                                .details = "credits - debits by key"};
    *out = plan;
    return MR_OK;
}

static void balance_unbind(void *opaque)
{
    mr_free(((struct balance_plan *)opaque)->note);
}

static enum mr_status balance_open(void *plan, struct mr_runtime *runtime, void **out,
                                   struct mr_error *err)
{
    struct balance *task = mr_calloc(1, sizeof *task);
    if (!task)
        return mr_error_nomem(err);
    *task = (struct balance){.plan = plan, .runtime = runtime};
    sums_init(&task->sums, runtime->memory);
    *out = task;
    return MR_OK;
}

static enum mr_status emit_rows(struct balance *task, struct mr_batch *batch, const int32_t *rows,
                                int64_t count, struct mr_emit *emit, struct mr_error *err)
{
    struct mr_column *columns[8];
    for (int i = 0; i < batch->schema->nfields; i++)
        MR_TRY(mr_column_take(task->runtime->memory, batch->columns[i], rows, count, &columns[i],
                              err));
    struct mr_batch *out;
    MR_TRY(mr_batch_new(batch->schema, count, columns, &out, err));
    return emit->batch(emit, 1, out, err);
}

static enum mr_status balance_push(void *opaque, int port, struct mr_batch *batch,
                                   struct mr_emit *emit, struct mr_error *err)
{
    struct balance *task = opaque;
    const int32_t *selected = mr_selection_rows(batch->selection);
    int32_t side[256];
    int64_t aside = 0;
    for (int64_t i = 0; i < mr_batch_active(batch); i++) {
        int32_t row = selected ? selected[i] : (int32_t)i;
        struct mr_value key, amount;
        mr_column_get(batch->columns[0], row, &key);
        mr_column_get(batch->columns[1], row, &amount);
        if (key.is_null)
            side[aside++] = row;
        else
            MR_TRY(
                sums_add(&task->sums, key.u.bytes, port == 0 ? amount.u.i64 : -amount.u.i64, err));
    }
    return aside ? emit_rows(task, batch, side, aside, emit, err) : MR_OK;
}

static enum mr_status balance_finish(void *opaque, int port, struct mr_emit *emit,
                                     struct mr_error *err)
{
    struct balance *task = opaque;
    (void)emit;
    if (task->finished[port])
        return mr_error_internal(err, "toy: port %d finished twice", port);
    task->finished[port] = true;
    return MR_OK;
}

static enum mr_status balance_combine(void *into, void *from, struct mr_error *err)
{
    struct balance *task = into;
    const struct balance *other = from;
    for (size_t i = 0; i < other->sums.map.count; i++) {
        const struct mr_map_entry *at = &other->sums.map.entries[i];
        MR_TRY(sums_add(&task->sums, (struct mr_slice){at->key, at->key_size},
                        ((const struct entry *)at->value)->sum, err));
    }
    return MR_OK;
}

static enum mr_status emit_sum(const struct balance *task, struct mr_runtime *runtime,
                               const struct entry *entry, struct mr_emit *emit,
                               struct mr_error *err)
{
    struct mr_builder builders[2];
    struct mr_column *columns[2];
    enum mr_status status = MR_OK;
    for (int i = 0; i < 2; i++)
        MR_TRY(
            mr_builder_init(&builders[i], runtime->memory, task->plan->out->fields[i].type, err));
    MR_TRY_OUT(mr_builder_bytes(&builders[0], entry->key, strlen(entry->key), err));
    MR_TRY_OUT(mr_builder_int(&builders[1], entry->sum, err));
    MR_TRY_OUT(mr_builder_finish(&builders[0], &columns[0], err));
    MR_TRY_OUT(mr_builder_finish(&builders[1], &columns[1], err));
    struct mr_batch *out;
    MR_TRY_OUT(mr_batch_new(task->plan->out, 1, columns, &out, err));
    status = emit->batch(emit, 0, out, err);
out:
    mr_builder_reset(&builders[0]);
    mr_builder_reset(&builders[1]);
    return status;
}

/* Each piece writes down to which partition its share of the entries belongs. */
static enum mr_status balance_settle(void *opaque, struct mr_runtime *runtime, int piece,
                                     int *pieces, struct mr_error *err)
{
    struct balance *task = opaque;
    (void)runtime;
    if (piece < 0) {
        mr_free(task->partition);
        task->partition = mr_calloc(task->sums.map.count + 1, sizeof *task->partition);
        *pieces = SETTLE_PIECES;
        return task->partition ? MR_OK : mr_error_nomem(err);
    }
    for (size_t i = (size_t)piece; i < task->sums.map.count; i += SETTLE_PIECES) {
        const struct mr_map_entry *at = &task->sums.map.entries[i];
        task->partition[i] =
            (uint8_t)(mr_hash64(at->key, at->key_size) % (uint64_t)task->plan->pulls);
    }
    return MR_OK;
}

static enum mr_status balance_pull(const void *opaque, struct mr_runtime *runtime, int partition,
                                   struct mr_emit *emit, struct mr_error *err)
{
    const struct balance *task = opaque;
    for (size_t i = 0; i < task->sums.map.count && !emit->closed; i++)
        if (task->partition[i] == partition)
            MR_TRY(emit_sum(task, runtime, task->sums.map.entries[i].value, emit, err));
    return MR_OK;
}

static void balance_close(void *opaque)
{
    struct balance *task = opaque;
    sums_reset(&task->sums);
    mr_free(task->partition);
    mr_free(task);
}

const struct mr_op toy_balance = {
    .name = "toyBalance",
    .doc = "Credits minus debits by key, for the contract suite.",
    .options = balance_options,
    .flags = MR_OP_BREAKER | MR_OP_TAKES_SELECTION,
    .min_inputs = 2,
    .max_inputs = 2,
    .bind = balance_bind,
    .open = balance_open,
    .push = balance_push,
    .finish = balance_finish,
    .combine = balance_combine,
    .settle = balance_settle,
    .pull = balance_pull,
    .close = balance_close,
    .unbind = balance_unbind,
};

/* ---- lookup ---- */

static const struct mr_option lookup_options[] = {
    {.name = "limit", .type = MR_OPTION_INT, .fallback = "0", .doc = "Most rows; 0 = all."},
    MR_OPTION_END,
};

struct lookup_plan {
    int64_t limit;
};

struct lookup {
    const struct lookup_plan *plan;
    struct mr_runtime *runtime;
    struct sums keys;
    const struct lookup *built;
    int64_t passed;
};

static enum mr_status lookup_bind(const struct mr_op_bind *bind, void **out,
                                  struct mr_op_info *info, struct mr_error *err)
{
    struct lookup_plan *plan = mr_arena_calloc(bind->arena, 1, sizeof *plan);
    if (!plan)
        return mr_error_nomem(err);
    plan->limit = mr_options_integer(bind->options, "limit", 0);
    *info = (struct mr_op_info){.schema = bind->inputs[0].schema,
                                .rows = -1,
                                .limit = plan->limit,
                                .details = "by key"};
    *out = plan;
    return MR_OK;
}

static enum mr_status lookup_open(void *plan, struct mr_runtime *runtime, void **out,
                                  struct mr_error *err)
{
    struct lookup *task = mr_calloc(1, sizeof *task);
    if (!task)
        return mr_error_nomem(err);
    *task = (struct lookup){.plan = plan, .runtime = runtime};
    sums_init(&task->keys, runtime->memory);
    *out = task;
    return MR_OK;
}

static enum mr_status lookup_attach(void *opaque, const void *built, struct mr_error *err)
{
    (void)err;
    ((struct lookup *)opaque)->built = built;
    return MR_OK;
}

static enum mr_status lookup_combine(void *into, void *from, struct mr_error *err)
{
    const struct lookup *other = from;
    for (size_t i = 0; i < other->keys.map.count; i++) {
        const struct mr_map_entry *at = &other->keys.map.entries[i];
        MR_TRY(sums_add(&((struct lookup *)into)->keys, (struct mr_slice){at->key, at->key_size}, 0,
                        err));
    }
    return MR_OK;
}

/* The rows that found their key become a selection of the same batch. */
static enum mr_status probe(struct lookup *task, struct mr_batch *batch, struct mr_emit *emit,
                            struct mr_error *err)
{
    struct mr_buffer *rows;
    MR_TRY(mr_buffer_new(task->runtime->memory, (size_t)batch->rows * 4, &rows, err));
    int32_t *selected = (int32_t *)(void *)rows->data;
    int64_t count = 0;
    for (int64_t row = 0; row < batch->rows && !emit->closed; row++) {
        struct mr_value key;
        mr_column_get(batch->columns[0], row, &key);
        if (key.is_null || !mr_map_get(&task->built->keys.map, key.u.bytes))
            continue;
        selected[count++] = (int32_t)row;
        if (++task->passed == task->plan->limit)
            emit->closed = true;
    }
    mr_buffer_finish(rows, (size_t)count * 4);
    struct mr_selection *selection;
    struct mr_batch *out;
    MR_TRY(mr_selection_new(rows, count, &selection, err));
    MR_TRY(mr_batch_select(batch, selection, &out, err));
    return emit->batch(emit, 0, out, err);
}

static enum mr_status lookup_push(void *opaque, int port, struct mr_batch *batch,
                                  struct mr_emit *emit, struct mr_error *err)
{
    struct lookup *task = opaque;
    if (port == 0)
        return probe(task, batch, emit, err);
    for (int64_t row = 0; row < batch->rows; row++) {
        struct mr_value key;
        mr_column_get(batch->columns[0], row, &key);
        if (!key.is_null)
            MR_TRY(sums_add(&task->keys, key.u.bytes, 0, err));
    }
    return MR_OK;
}

static void lookup_close(void *opaque)
{
    struct lookup *task = opaque;
    sums_reset(&task->keys);
    mr_free(task);
}

const struct mr_op toy_lookup = {
    .name = "toyLookup",
    .doc = "Rows whose key is on the build side, for the contract suite.",
    .options = lookup_options,
    .flags = MR_OP_STREAMING | MR_OP_BUILD_SIDE | MR_OP_ORDERED,
    .min_inputs = 2,
    .max_inputs = 2,
    .bind = lookup_bind,
    .open = lookup_open,
    .push = lookup_push,
    .attach = lookup_attach,
    .combine = lookup_combine,
    .close = lookup_close,
};

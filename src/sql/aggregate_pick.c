/*
 * aggregate_pick.c - aggregates that pick one row of a group: first, last, any_value, min and max of text and nested
 * values, min_by, max_by.
 *
 * A batch first elects a winner in each group by row number, then the winners challenge the values that are kept. So a
 * value is copied at most once a group and batch, whatever it is made of. Kept values of fixed width lie in an array;
 * texts, and nested values as encoded bytes (col/row_code.h), in blocks: a value that outgrows its place gets one of
 * twice the size, so that what is lost is never more than what is used.
 *
 * Ties of max_by and min_by go to the later row, as in Spark. first and last take the first and the last row in the
 * order of the tasks.
 */
#include "base/bytes.h"
#include "col/builder.h"
#include "col/row_code.h"
#include "sql/aggregate_extreme.h"
#include "sql/coerce.h"

enum { FIRST, LAST, LEAST, GREATEST, LEAST_BY, GREATEST_BY };

enum { NOTHING, A_NULL, A_VALUE };

struct blob {
    char *data;
    uint32_t size, room;
};

#define BLOCK_SIZE ((size_t)64 << 10)

struct block {
    struct block *next;
    size_t size;
};

/* A value a group. */
struct store {
    const struct mr_type *type;
    enum mr_layout layout;
    bool blobs;
    size_t width;
    uint8_t *has;
    char *values; /* fixed width, or struct blob */
    struct block *blocks;
    char *at;
    size_t left;
};

struct pick {
    struct store value; /* of arguments 0 */
    struct store order; /* of argument 1: the _by */
    int32_t *winners;   /* by group, -1 between updates */
    uint32_t *touched;
    int64_t capacity; /* of both */
    struct mr_bytes code;
};

static void store_init(struct store *store, const struct mr_type *type)
{
    *store = (struct store){.type = type, .layout = mr_type_layout(type)};
    store->blobs = store->layout == MR_LAYOUT_BYTES || store->layout == MR_LAYOUT_LIST ||
                   store->layout == MR_LAYOUT_STRUCT;
    store->width = store->blobs ? sizeof(struct blob) : (size_t)mr_layout_width(store->layout);
}

static void store_reset(struct store *store)
{
    while (store->blocks) {
        struct block *next = store->blocks->next;
        mr_free(store->blocks);
        store->blocks = next;
    }
    mr_free(store->has);
    mr_free(store->values);
}

static enum mr_status store_resize(struct mr_agg_state *state, struct store *store, int64_t to,
                                   struct mr_error *err)
{
    MR_TRY(mr_agg_grow(state, &store->has, 1, state->capacity, to, err));
    return store->width ? mr_agg_grow(state, &store->values, store->width, state->capacity, to, err)
                        : MR_OK;
}

static enum mr_status blob_reserve(struct mr_agg_state *state, struct store *store,
                                   struct blob *blob, size_t size, struct mr_error *err)
{
    if (size <= blob->room)
        return MR_OK;
    size_t room = blob->room * 2 > size ? blob->room * 2 : (size + 15) / 16 * 16;
    if (room > store->left) {
        size_t bytes = room > BLOCK_SIZE ? room : BLOCK_SIZE;
        /* Few groups do not pay for a large block. */
        if (state->ngroups < 64 && room < 1024)
            bytes = 1024;
        int64_t charge = (int64_t)(bytes + sizeof(struct block));
        MR_TRY(mr_agg_charge(state, charge, err));
        struct block *block = mr_alloc((size_t)charge);
        if (!block) {
            mr_agg_credit(state, charge);
            return mr_error_nomem(err);
        }
        *block = (struct block){store->blocks, bytes};
        store->blocks = block;
        store->at = (char *)(block + 1);
        store->left = bytes;
    }
    blob->data = store->at;
    blob->room = (uint32_t)room;
    store->at += room;
    store->left -= room;
    return MR_OK;
}

static enum mr_status store_set(struct mr_agg_state *state, struct store *store, uint32_t group,
                                const struct mr_column *column, int32_t row, struct mr_error *err)
{
    struct pick *pick = state->own;
    if (mr_column_is_null(column, row)) {
        store->has[group] = A_NULL;
        return MR_OK;
    }
    if (!store->blobs) {
        memcpy(store->values + group * store->width,
               column->values->data + (size_t)row * store->width, store->width);
        store->has[group] = A_VALUE;
        return MR_OK;
    }
    struct mr_slice bytes;
    if (store->layout == MR_LAYOUT_BYTES) {
        bytes = mr_column_slice(column, row);
    } else {
        mr_bytes_clear(&pick->code);
        mr_row_encode(&pick->code, column, row, false);
        MR_TRY(mr_bytes_status(&pick->code, err));
        bytes = (struct mr_slice){pick->code.data, pick->code.size};
    }
    struct blob *blob = (struct blob *)(void *)store->values + group;
    MR_TRY(blob_reserve(state, store, blob, bytes.size, err));
    if (bytes.size)
        memcpy(blob->data, bytes.data, bytes.size);
    blob->size = (uint32_t)bytes.size;
    store->has[group] = A_VALUE;
    return MR_OK;
}

/* Values of groups [from, from + count); anything but a value is NULL. */
static enum mr_status store_column(struct mr_agg_state *state, const struct store *store,
                                   int64_t from, int64_t count, struct mr_column **out,
                                   struct mr_error *err)
{
    struct mr_builder builder;
    MR_TRY(mr_builder_init(&builder, state->memory, store->type, err));
    enum mr_status status = MR_OK;
    for (int64_t g = from; g < from + count && status == MR_OK; g++) {
        const struct blob *blob = (const struct blob *)(const void *)store->values + g;
        if (store->has[g] != A_VALUE || store->width == 0) {
            status = mr_builder_null(&builder, err);
        } else if (store->layout == MR_LAYOUT_BYTES) {
            status = mr_builder_bytes(&builder, blob->data, blob->size, err);
        } else if (store->blobs) {
            const char *at = blob->data;
            status = mr_row_decode(&builder, &at, err);
        } else {
            status = mr_builder_reserve(&builder, 1, 0, err);
            if (status != MR_OK)
                break;
            memcpy(builder.values->data + (size_t)builder.length * store->width,
                   store->values + (size_t)g * store->width, store->width);
            builder.length++;
        }
    }
    if (status == MR_OK)
        status = mr_builder_finish(&builder, out, err);
    mr_builder_reset(&builder);
    return status;
}

/* A row against the kept value of a group that has one. */
static enum mr_status store_compare(struct mr_agg_state *state, const struct store *store,
                                    uint32_t group, const struct mr_column *column, int32_t row,
                                    int *out, struct mr_error *err)
{
    const struct blob *blob = (const struct blob *)(const void *)store->values + group;
    if (store->layout == MR_LAYOUT_BYTES) {
        struct mr_slice text = mr_column_slice(column, row);
        size_t n = text.size < blob->size ? text.size : blob->size;
        int c = n ? memcmp(text.data, blob->data, n) : 0;
        *out = c ? c : (text.size > blob->size) - (text.size < blob->size);
        return MR_OK;
    }
    struct mr_column *kept;
    MR_TRY(store_column(state, store, group, 1, &kept, err));
    *out = mr_column_compare_rows(column, row, kept, 0);
    mr_column_unref(kept);
    return MR_OK;
}

static inline int compare_rows(const struct mr_column *column, int32_t a, int32_t b)
{
    if (mr_type_layout(column->type) != MR_LAYOUT_BYTES)
        return mr_column_compare_rows(column, a, column, b);
    struct mr_slice x = mr_column_slice(column, a), y = mr_column_slice(column, b);
    size_t n = x.size < y.size ? x.size : y.size;
    int c = n ? memcmp(x.data, y.data, n) : 0;
    return c ? c : (x.size > y.size) - (x.size < y.size);
}

static bool beats(int choice, int compared)
{
    switch (choice) {
    case LEAST:
        return compared < 0;
    case LEAST_BY:
        return compared <= 0;
    case GREATEST:
        return compared > 0;
    default:
        return compared >= 0;
    }
}

/* Elects winners; returns how many groups have one. */
static int64_t elect(struct pick *pick, int choice, const struct mr_column *order,
                     const struct mr_agg_input *in)
{
    int64_t n = 0;
    for (int64_t i = 0; i < in->count; i++) {
        uint32_t group = in->groups[i];
        int32_t row = MR_AGG_ROW(in, i), winner = pick->winners[group];
        if (choice == FIRST) {
            if (winner >= 0 || pick->value.has[group] != NOTHING)
                continue;
        } else if (choice >= LEAST_BY && mr_column_is_null(order, row)) {
            continue;
        } else if (choice != LAST && winner >= 0 &&
                   !beats(choice, compare_rows(order, row, winner))) {
            continue;
        }
        pick->winners[group] = row;
        if (winner < 0)
            pick->touched[n++] = group;
    }
    return n;
}

static enum mr_status challenge(struct mr_agg_state *state, uint32_t group,
                                const struct mr_agg_input *in, int32_t row, struct mr_error *err)
{
    struct pick *pick = state->own;
    int choice = state->call->choice;
    bool by = choice >= LEAST_BY;
    struct store *order = by ? &pick->order : &pick->value;
    const struct mr_column *column = in->args[by ? 1 : 0];
    if (choice != FIRST && choice != LAST && order->has[group] == A_VALUE) {
        int compared;
        MR_TRY(store_compare(state, order, group, column, row, &compared, err));
        if (!beats(choice, compared))
            return MR_OK;
    }
    if (by)
        MR_TRY(store_set(state, order, group, column, row, err));
    return store_set(state, &pick->value, group, in->args[0], row, err);
}

static enum mr_status pick_update(struct mr_agg_state *state, const struct mr_agg_input *in,
                                  struct mr_error *err)
{
    struct pick *pick = state->own;
    int choice = state->call->choice;
    int64_t n = elect(pick, choice, in->args[choice >= LEAST_BY ? 1 : 0], in);
    enum mr_status status = MR_OK;
    for (int64_t i = 0; i < n; i++) {
        uint32_t group = pick->touched[i];
        if (status == MR_OK)
            status = challenge(state, group, in, pick->winners[group], err);
        pick->winners[group] = -1;
    }
    return status;
}

static enum mr_status pick_create(struct mr_agg_state *state, struct mr_error *err)
{
    struct pick *pick = mr_calloc(1, sizeof *pick);
    if (!pick)
        return mr_error_nomem(err);
    store_init(&pick->value, state->call->arg_types[0]);
    if (state->call->choice >= LEAST_BY)
        store_init(&pick->order, state->call->arg_types[1]);
    mr_bytes_init(&pick->code, (size_t)INT32_MAX);
    state->own = pick;
    return MR_OK;
}

static void pick_destroy(struct mr_agg_state *state)
{
    struct pick *pick = state->own;
    store_reset(&pick->value);
    store_reset(&pick->order);
    mr_free(pick->winners);
    mr_free(pick->touched);
    mr_bytes_reset(&pick->code);
    mr_free(pick);
}

static enum mr_status pick_resize(struct mr_agg_state *state, int64_t ngroups, struct mr_error *err)
{
    struct pick *pick = state->own;
    int64_t from = pick->capacity;
    if (ngroups > from) {
        MR_TRY(mr_agg_grow(state, &pick->winners, sizeof(int32_t), from, ngroups, err));
        memset(pick->winners + from, 0xFF, (size_t)(ngroups - from) * sizeof(int32_t));
        pick->capacity = ngroups;
        enum mr_status status =
            mr_agg_grow(state, &pick->touched, sizeof(uint32_t), from, ngroups, err);
        if (status != MR_OK) {
            mr_agg_credit(state, (ngroups - from) * (int64_t)sizeof(int32_t));
            pick->capacity = from;
            return status;
        }
    }
    MR_TRY(store_resize(state, &pick->value, ngroups, err));
    if (state->call->choice < LEAST_BY)
        return MR_OK;
    return store_resize(state, &pick->order, ngroups, err);
}

static enum mr_status pick_describe(struct mr_agg_call *call, struct mr_arena *arena,
                                    const struct mr_type **types, struct mr_error *err)
{
    (void)arena;
    (void)err;
    types[0] = call->arg_types[0];
    types[1] = call->choice >= LEAST_BY ? call->arg_types[1] : mr_type_of(MR_TYPE_BOOL);
    call->nstates = call->choice == LEAST || call->choice == GREATEST ? 1 : 2;
    return MR_OK;
}

static enum mr_status seen_column(struct mr_agg_state *state, int64_t from, int64_t count,
                                  struct mr_column **out, struct mr_error *err)
{
    const struct pick *pick = state->own;
    struct mr_agg_result result;
    MR_TRY(mr_agg_result_init(&result, state, mr_type_of(MR_TYPE_BOOL), count, err));
    for (int64_t i = 0; i < count; i++)
        MR_AGG_SET(&result, uint8_t, i, pick->value.has[from + i] != NOTHING);
    return mr_agg_result_finish(&result, out, err);
}

static enum mr_status pick_export(struct mr_agg_state *state, int64_t from, int64_t count,
                                  struct mr_column **out, struct mr_error *err)
{
    const struct pick *pick = state->own;
    MR_TRY(store_column(state, &pick->value, from, count, &out[0], err));
    if (state->call->nstates == 1)
        return MR_OK;
    enum mr_status status = state->call->choice >= LEAST_BY
                                ? store_column(state, &pick->order, from, count, &out[1], err)
                                : seen_column(state, from, count, &out[1], err);
    if (status != MR_OK)
        mr_column_unref(out[0]);
    return status;
}

/* What was exported is pushed again: without rows of groups that had nothing. */
static enum mr_status pick_merge(struct mr_agg_state *state, struct mr_column *const *columns,
                                 int64_t count, const uint32_t *groups, struct mr_error *err)
{
    int choice = state->call->choice;
    int32_t *rows = mr_alloc((size_t)count * (sizeof(int32_t) + sizeof(uint32_t)));
    if (!rows)
        return mr_error_nomem(err);
    uint32_t *kept = (uint32_t *)(rows + count);
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++) {
        bool take;
        if (choice >= LEAST_BY)
            take = !mr_column_is_null(columns[1], i);
        else if (choice == LEAST || choice == GREATEST)
            take = !mr_column_is_null(columns[0], i);
        else
            take = columns[1]->values->data[i] != 0;
        rows[n] = (int32_t)i;
        kept[n] = groups[i];
        n += take;
    }
    struct mr_agg_input in = {columns, rows, n, kept};
    enum mr_status status = n > 0 ? pick_update(state, &in, err) : MR_OK;
    mr_free(rows);
    return status;
}

static const struct mr_agg_kind kind_pick = {.update = pick_update,
                                             .create = pick_create,
                                             .destroy = pick_destroy,
                                             .resize = pick_resize,
                                             .merge = pick_merge,
                                             .export_ = pick_export,
                                             .describe = pick_describe};

static enum mr_status pick_finish(struct mr_agg_state *state, const struct mr_agg_call *call,
                                  int64_t from, int64_t count, struct mr_column **out,
                                  struct mr_error *err)
{
    (void)call;
    const struct pick *pick = state->own;
    return store_column(state, &pick->value, from, count, out, err);
}

static enum mr_status need_order(struct mr_agg_binding *binding, int arg)
{
    const struct mr_type *type = binding->args[arg]->type;
    char text[96];
    if (mr_type_is_orderable(type))
        return MR_OK;
    return mr_agg_fail(binding, "values of type %s have no order",
                       mr_type_text(type, text, sizeof text));
}

static enum mr_status bind_extreme(struct mr_agg_binding *binding)
{
    struct mr_agg_call *call = binding->call;
    MR_TRY(need_order(binding, 0));
    call->distinct = false; /* makes no difference */
    call->type = binding->args[0]->type;
    call->kind = mr_agg_extreme_kind(call->type, call->choice == GREATEST);
    call->finish = mr_agg_extreme_finish;
    if (call->kind)
        return MR_OK;
    call->kind = &kind_pick;
    call->finish = pick_finish;
    return MR_OK;
}

static enum mr_status bind_by(struct mr_agg_binding *binding)
{
    struct mr_agg_call *call = binding->call;
    MR_TRY(need_order(binding, 1));
    call->type = binding->args[0]->type;
    call->keep_nulls = true;
    call->kind = &kind_pick;
    call->finish = pick_finish;
    return MR_OK;
}

static enum mr_status bind_first(struct mr_agg_binding *binding)
{
    struct mr_agg_call *call = binding->call;
    bool ignore = binding->ast->ignore_nulls;
    if (binding->nargs == 2) {
        struct mr_value value;
        MR_TRY(mr_agg_constant(binding, 1, "ignoreNulls", &value));
        if (value.type->id != MR_TYPE_BOOL || value.is_null)
            return mr_agg_fail(binding,
                               "the second argument says whether NULLs are ignored: true or "
                               "false");
        ignore |= value.u.i64 != 0;
        binding->nargs = 1;
    }
    call->type = binding->args[0]->type;
    call->keep_nulls = !ignore && binding->args[0]->nullable;
    call->nullable = true;
    call->kind = &kind_pick;
    call->finish = pick_finish;
    return MR_OK;
}

static const struct mr_aggregate functions[] = {
    {.names = "min",
     .least = 1,
     .most = 1,
     .bind = bind_extreme,
     .choice = LEAST,
     .signature = "min(x)",
     .doc = "The least value in the order of sorting."},
    {.names = "max",
     .least = 1,
     .most = 1,
     .bind = bind_extreme,
     .choice = GREATEST,
     .signature = "max(x)",
     .doc = "The greatest value in the order of sorting; NaN is greater than any number."},
    {.names = "first first_value any_value",
     .least = 1,
     .most = 2,
     .bind = bind_first,
     .choice = FIRST,
     .signature = "first(x[, ignoreNulls])",
     .doc = "The value of the first row, in the order of reading."},
    {.names = "last last_value",
     .least = 1,
     .most = 2,
     .bind = bind_first,
     .choice = LAST,
     .signature = "last(x[, ignoreNulls])",
     .doc = "The value of the last row, in the order of reading."},
    {.names = "min_by",
     .least = 2,
     .most = 2,
     .bind = bind_by,
     .choice = LEAST_BY,
     .signature = "min_by(x, y)",
     .doc = "x of the row where y is least."},
    {.names = "max_by",
     .least = 2,
     .most = 2,
     .bind = bind_by,
     .choice = GREATEST_BY,
     .signature = "max_by(x, y)",
     .doc = "x of the row where y is greatest."},
};

const struct mr_aggregate_family mr_aggregates_pick = {functions,
                                                       sizeof functions / sizeof functions[0]};

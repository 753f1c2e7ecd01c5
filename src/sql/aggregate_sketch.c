/*
 * aggregate_sketch.c - approx_count_distinct: HyperLogLog.
 *
 * A group starts as a list of up to 32 different hashes, which counts exactly; the 33rd makes it 2^p registers of a
 * byte, p from the wanted relative deviation (1.04 / sqrt(2^p); 0.05 gives 512 registers). The estimate is Ertl's (2017,
 * "New cardinality estimation algorithms for HyperLogLog sketches", algorithm 6), which needs no tables of measured
 * bias. Hashes are those of grouping, so the answer differs from Spark's within the deviation.
 *
 * Exported: 8 bytes a hash, or the registers, told apart by a first byte.
 */
#include "sql/aggregate_call.h"

#include <math.h>

#define FEW 32

struct sketch {
    uint8_t *registers; /* or NULL */
    uint64_t *hashes;
    uint32_t count; /* of hashes */
    uint32_t room;
};

struct sketches {
    struct sketch *items;
};

static int64_t registers_of(const struct mr_agg_call *call)
{
    return INT64_C(1) << call->choice;
}

static enum mr_status sketch_create(struct mr_agg_state *state, struct mr_error *err)
{
    state->own = mr_calloc(1, sizeof(struct sketches));
    return state->own ? MR_OK : mr_error_nomem(err);
}

static void sketch_destroy(struct mr_agg_state *state)
{
    struct sketches *own = state->own;
    for (int64_t g = 0; own->items && g < state->capacity; g++) {
        mr_free(own->items[g].registers);
        mr_free(own->items[g].hashes);
    }
    mr_free(own->items);
    mr_free(own);
}

static enum mr_status sketch_resize(struct mr_agg_state *state, int64_t ngroups,
                                    struct mr_error *err)
{
    struct sketches *own = state->own;
    return mr_agg_grow(state, &own->items, sizeof *own->items, state->capacity, ngroups, err);
}

static void set_register(uint8_t *registers, int bits, uint64_t hash)
{
    uint64_t rest = hash << bits | UINT64_C(1) << (bits - 1);
    uint8_t rank = (uint8_t)(__builtin_clzll(rest) + 1);
    uint8_t *at = &registers[hash >> (64 - bits)];
    if (rank > *at)
        *at = rank;
}

static enum mr_status to_registers(struct mr_agg_state *state, struct sketch *sketch,
                                   struct mr_error *err)
{
    int64_t n = registers_of(state->call);
    if (sketch->registers)
        return MR_OK;
    MR_TRY(mr_agg_charge(state, n, err));
    sketch->registers = mr_calloc(1, (size_t)n);
    if (!sketch->registers) {
        mr_agg_credit(state, n);
        return mr_error_nomem(err);
    }
    for (uint32_t i = 0; i < sketch->count; i++)
        set_register(sketch->registers, state->call->choice, sketch->hashes[i]);
    mr_agg_credit(state, sketch->room * (int64_t)sizeof(uint64_t));
    mr_free(sketch->hashes);
    sketch->hashes = NULL;
    sketch->count = sketch->room = 0;
    return MR_OK;
}

static enum mr_status add_hash(struct mr_agg_state *state, struct sketch *sketch, uint64_t hash,
                               struct mr_error *err)
{
    if (sketch->registers) {
        set_register(sketch->registers, state->call->choice, hash);
        return MR_OK;
    }
    for (uint32_t i = 0; i < sketch->count; i++)
        if (sketch->hashes[i] == hash)
            return MR_OK;
    if (sketch->count == FEW) {
        MR_TRY(to_registers(state, sketch, err));
        set_register(sketch->registers, state->call->choice, hash);
        return MR_OK;
    }
    if (sketch->count == sketch->room) {
        uint32_t room = sketch->room ? sketch->room * 2 : 4;
        int64_t bytes = (room - sketch->room) * (int64_t)sizeof *sketch->hashes;
        MR_TRY(mr_agg_charge(state, bytes, err));
        uint64_t *grown = mr_realloc(sketch->hashes, room * sizeof *grown);
        if (!grown) {
            mr_agg_credit(state, bytes);
            return mr_error_nomem(err);
        }
        sketch->hashes = grown;
        sketch->room = room;
    }
    sketch->hashes[sketch->count++] = hash;
    return MR_OK;
}

static enum mr_status sketch_update(struct mr_agg_state *state, const struct mr_agg_input *in,
                                    struct mr_error *err)
{
    struct sketches *own = state->own;
    uint64_t *hashes = mr_calloc((size_t)in->count, sizeof *hashes);
    if (!hashes)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    mr_column_hash(in->args[0], in->rows, in->count, hashes);
    for (int64_t i = 0; i < in->count && status == MR_OK; i++)
        status = add_hash(state, &own->items[in->groups[i]], hashes[i], err);
    mr_free(hashes);
    return status;
}

static enum mr_status sketch_describe(struct mr_agg_call *call, struct mr_arena *arena,
                                      const struct mr_type **types, struct mr_error *err)
{
    (void)arena;
    (void)err;
    call->nstates = 1;
    types[0] = mr_type_of(MR_TYPE_BINARY);
    return MR_OK;
}

static enum mr_status sketch_export(struct mr_agg_state *state, int64_t from, int64_t count,
                                    struct mr_column **out, struct mr_error *err)
{
    const struct sketches *own = state->own;
    struct mr_builder builder;
    MR_TRY(mr_builder_init(&builder, state->memory, mr_type_of(MR_TYPE_BINARY), err));
    size_t n = (size_t)registers_of(state->call);
    char *scratch = mr_alloc(n + 1 + FEW * sizeof(uint64_t));
    enum mr_status status = scratch ? MR_OK : mr_error_nomem(err);
    for (int64_t g = from; g < from + count && status == MR_OK; g++) {
        const struct sketch *sketch = &own->items[g];
        size_t size = sketch->registers ? n : sketch->count * sizeof(uint64_t);
        scratch[0] = sketch->registers != NULL;
        if (size)
            memcpy(scratch + 1,
                   sketch->registers ? (const void *)sketch->registers : sketch->hashes, size);
        status = mr_builder_bytes(&builder, scratch, size + 1, err);
    }
    if (status == MR_OK)
        status = mr_builder_finish(&builder, out, err);
    mr_builder_reset(&builder);
    mr_free(scratch);
    return status;
}

static enum mr_status merge_one(struct mr_agg_state *state, struct sketch *sketch,
                                struct mr_slice bytes, struct mr_error *err)
{
    if (bytes.size > 0 && bytes.data[0]) {
        MR_TRY(to_registers(state, sketch, err));
        for (size_t i = 1; i < bytes.size; i++)
            if ((uint8_t)bytes.data[i] > sketch->registers[i - 1])
                sketch->registers[i - 1] = (uint8_t)bytes.data[i];
        return MR_OK;
    }
    for (size_t at = 1; at + sizeof(uint64_t) <= bytes.size; at += sizeof(uint64_t)) {
        uint64_t hash;
        memcpy(&hash, bytes.data + at, sizeof hash);
        MR_TRY(add_hash(state, sketch, hash, err));
    }
    return MR_OK;
}

static enum mr_status sketch_merge(struct mr_agg_state *state, struct mr_column *const *exported,
                                   int64_t count, const uint32_t *groups, struct mr_error *err)
{
    struct sketches *own = state->own;
    for (int64_t i = 0; i < count; i++)
        MR_TRY(merge_one(state, &own->items[groups[i]], mr_column_slice(exported[0], i), err));
    return MR_OK;
}

static const struct mr_agg_kind kind_sketch = {.update = sketch_update,
                                               .create = sketch_create,
                                               .destroy = sketch_destroy,
                                               .resize = sketch_resize,
                                               .merge = sketch_merge,
                                               .export_ = sketch_export,
                                               .describe = sketch_describe};

static double sigma(double x)
{
    if (x == 1)
        return (double)INFINITY;
    double y = 1, z = x, last;
    do {
        x *= x;
        last = z;
        z += x * y;
        y += y;
    } while (z != last);
    return z;
}

static double tau(double x)
{
    if (x == 0 || x == 1)
        return 0;
    double y = 1, z = 1 - x, last;
    do {
        x = sqrt(x);
        last = z;
        y *= 0.5;
        z -= (1 - x) * (1 - x) * y;
    } while (z != last);
    return z / 3;
}

static int64_t estimate(const struct sketch *sketch, int bits)
{
    if (!sketch->registers)
        return sketch->count;
    int64_t counts[66] = {0};
    int64_t m = INT64_C(1) << bits;
    int q = 64 - bits;
    for (int64_t i = 0; i < m; i++)
        counts[sketch->registers[i]]++;
    double z = (double)m * tau(1 - (double)counts[q + 1] / (double)m);
    for (int k = q; k >= 1; k--)
        z = 0.5 * (z + (double)counts[k]);
    z += (double)m * sigma((double)counts[0] / (double)m);
    return (int64_t)llround((double)m * (double)m / (2 * log(2.0)) / z);
}

static enum mr_status sketch_finish(struct mr_agg_state *state, const struct mr_agg_call *call,
                                    int64_t from, int64_t count, struct mr_column **out,
                                    struct mr_error *err)
{
    const struct sketches *own = state->own;
    struct mr_agg_result result;
    MR_TRY(mr_agg_result_init(&result, state, call->type, count, err));
    for (int64_t i = 0; i < count; i++)
        MR_AGG_SET(&result, int64_t, i, estimate(&own->items[from + i], call->choice));
    return mr_agg_result_finish(&result, out, err);
}

static enum mr_status bind_sketch(struct mr_agg_binding *binding)
{
    struct mr_agg_call *call = binding->call;
    double deviation = 0.05;
    if (binding->nargs == 2) {
        struct mr_value value;
        MR_TRY(mr_agg_constant(binding, 1, "the relative deviation", &value));
        if (value.is_null || !mr_type_is_numeric(value.type))
            return mr_agg_fail(binding, "the relative deviation must be a number");
        if (value.type->id == MR_TYPE_DECIMAL)
            deviation = mr_decimal_to_double(value.u.i128, value.type->scale);
        else
            deviation = mr_type_is_integer(value.type) ? (double)value.u.i64 : value.u.f64;
        binding->nargs = 1;
    }
    if (!(deviation > 0.004 && deviation <= 0.39))
        return mr_agg_fail(binding, "the relative deviation must be above 0.004 and up to 0.39");
    call->choice = (int)ceil(2 * log2(1.106 / deviation));
    call->choice = call->choice < 4 ? 4 : call->choice;
    call->distinct = false;
    call->type = mr_type_of(MR_TYPE_INT64);
    call->nullable = false;
    call->kind = &kind_sketch;
    call->finish = sketch_finish;
    return MR_OK;
}

static const struct mr_aggregate functions[] = {
    {.names = "approx_count_distinct",
     .least = 1,
     .most = 2,
     .bind = bind_sketch,
     .signature = "approx_count_distinct(x[, deviation])",
     .doc = "About how many different values there are; exact up to 32, then within a relative "
            "standard deviation of 0.05 or what is asked for."},
};

const struct mr_aggregate_family mr_aggregates_sketch = {functions,
                                                         sizeof functions / sizeof functions[0]};

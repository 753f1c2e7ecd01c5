/*
 * aggregate_percentile.c - percentiles, medians and modes of kept values.
 *
 * A group's values become 64-bit keys in the order of the values (sign bit flipped; doubles folded), are sorted once
 * for all fractions asked for (radix sort: no bad case, no comparisons), and looked up by rank. percentile_approx is
 * exact as well: Spark's sketch promises a rank error of n / accuracy, and none is within it.
 */
#include "sql/aggregate_bag.h"
#include "sql/coerce.h"

#include <math.h>

struct keyed {
    uint64_t key;
    int64_t weight;
};

static uint64_t key_of_double(double value)
{
    uint64_t bits;
    if (isnan(value))
        return UINT64_MAX;
    if (value == 0)
        value = 0;
    memcpy(&bits, &value, sizeof bits);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static double double_of_key(uint64_t key)
{
    double value;
    if (key == UINT64_MAX)
        return (double)NAN;
    uint64_t bits = key >> 63 ? key & ~(UINT64_C(1) << 63) : ~key;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t key_of_int(int64_t value)
{
    return (uint64_t)value ^ UINT64_C(1) << 63;
}

static uint64_t key_at(const struct mr_column *column, int64_t row)
{
    const void *values = column->values->data;
    switch (mr_type_layout(column->type)) {
    case MR_LAYOUT_I8:
        return key_of_int(((const int8_t *)values)[row]);
    case MR_LAYOUT_I16:
        return key_of_int(((const int16_t *)values)[row]);
    case MR_LAYOUT_I32:
        return key_of_int(((const int32_t *)values)[row]);
    case MR_LAYOUT_I64:
        return key_of_int(((const int64_t *)values)[row]);
    case MR_LAYOUT_F32:
        return key_of_double((double)((const float *)values)[row]);
    default:
        return key_of_double(((const double *)values)[row]);
    }
}

/* Stable, by bytes from the lowest; bytes in which all keys agree are skipped. */
static void radix_sort(struct keyed *items, struct keyed *other, int64_t n)
{
    int64_t counts[8][256];
    memset(counts, 0, sizeof counts);
    for (int64_t i = 0; i < n; i++)
        for (int b = 0; b < 8; b++)
            counts[b][items[i].key >> b * 8 & 0xFF]++;
    struct keyed *from = items, *to = other;
    for (int b = 0; b < 8; b++) {
        if (counts[b][from[0].key >> b * 8 & 0xFF] == n)
            continue;
        int64_t at = 0;
        for (int v = 0; v < 256; v++) {
            int64_t c = counts[b][v];
            counts[b][v] = at;
            at += c;
        }
        for (int64_t i = 0; i < n; i++)
            to[counts[b][from[i].key >> b * 8 & 0xFF]++] = from[i];
        struct keyed *swap = from;
        from = to;
        to = swap;
    }
    if (from != items)
        memcpy(items, from, (size_t)n * sizeof *items);
}

static void sort_keyed(struct keyed *items, struct keyed *other, int64_t n)
{
    if (n > 64) {
        radix_sort(items, other, n);
        return;
    }
    for (int64_t i = 1; i < n; i++) {
        struct keyed item = items[i];
        int64_t j = i;
        for (; j > 0 && items[j - 1].key > item.key; j--)
            items[j] = items[j - 1];
        items[j] = item;
    }
}

/* Sorted values of one group; weight of each = how many values there are up to it. */
struct ranked {
    struct keyed *items;
    int64_t n;
    int64_t total;
};

static uint64_t key_at_rank(const struct ranked *ranked, int64_t rank)
{
    if (ranked->total == ranked->n)
        return ranked->items[rank].key;
    int64_t low = 0, high = ranked->n - 1;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (ranked->items[middle].weight > rank)
            high = middle;
        else
            low = middle + 1;
    }
    return ranked->items[low].key;
}

static double interpolate(const struct ranked *ranked, double fraction)
{
    double position = (double)(ranked->total - 1) * fraction;
    double lower = floor(position), higher = ceil(position);
    double a = double_of_key(key_at_rank(ranked, (int64_t)lower));
    double b = double_of_key(key_at_rank(ranked, (int64_t)higher));
    if (lower == higher || a == b)
        return a;
    return (higher - position) * a + (position - lower) * b;
}

/* The value at the least rank whose share is at least the fraction. */
static uint64_t discrete(const struct ranked *ranked, double fraction)
{
    int64_t rank = (int64_t)ceil(fraction * (double)ranked->total) - 1;
    rank = rank < 0 ? 0 : rank;
    return key_at_rank(ranked, rank < ranked->total ? rank : ranked->total - 1);
}

static enum mr_status append_key(struct mr_builder *builder, uint64_t key, struct mr_error *err)
{
    if (builder->type->id == MR_TYPE_FLOAT64 || builder->type->id == MR_TYPE_FLOAT32)
        return mr_builder_double(builder, double_of_key(key), err);
    return mr_builder_int(builder, (int64_t)(key ^ UINT64_C(1) << 63), err);
}

static enum mr_status append_fraction(struct mr_builder *builder, const struct mr_agg_call *call,
                                      struct ranked *ranked, double fraction, struct mr_error *err)
{
    switch (call->function->choice) {
    case MR_AGG_APPROXIMATE:
        return append_key(builder, discrete(ranked, fraction), err);
    case MR_AGG_DISCRETE:
        if (call->descending) {
            int64_t rank = (int64_t)ceil(fraction * (double)ranked->total) - 1;
            rank = ranked->total - 1 - (rank < 0 ? 0 : rank);
            return append_key(builder, key_at_rank(ranked, rank < 0 ? 0 : rank), err);
        }
        return append_key(builder, discrete(ranked, fraction), err);
    default:
        return mr_builder_double(builder,
                                 interpolate(ranked, call->descending ? 1 - fraction : fraction),
                                 err);
    }
}

static enum mr_status append_group(struct mr_builder *builder, const struct mr_agg_call *call,
                                   struct ranked *ranked, struct mr_error *err)
{
    if (ranked->total == 0)
        return mr_builder_null(builder, err);
    struct mr_builder *values = call->list ? &builder->children[0] : builder;
    for (int f = 0; f < call->nfractions; f++)
        MR_TRY(append_fraction(values, call, ranked, call->fractions[f], err));
    return call->list ? mr_builder_list(builder, err) : MR_OK;
}

/* Gathers and sorts the values of a group. */
static enum mr_status rank_group(const struct mr_agg_call *call, struct mr_column *const *columns,
                                 const int32_t *order, int64_t n, struct keyed *scratch,
                                 struct ranked *ranked, struct mr_error *err)
{
    const int64_t *weights =
        call->nargs > 1 ? (const int64_t *)(const void *)columns[1]->values->data : NULL;
    struct keyed *items = scratch;
    int64_t kept = 0, total = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t weight = weights ? weights[order[i]] : 1;
        if (weight < 0)
            return mr_agg_data_error(call, err, "a frequency is negative");
        if (weight == 0)
            continue;
        items[kept++] = (struct keyed){key_at(columns[0], order[i]), weight};
    }
    sort_keyed(items, scratch + n, kept);
    for (int64_t i = 0; weights && i < kept; i++) {
        total += items[i].weight;
        items[i].weight = total;
    }
    *ranked = (struct ranked){items, kept, weights ? total : kept};
    return MR_OK;
}

static enum mr_status finish_percentile(struct mr_agg_state *state, const struct mr_agg_call *call,
                                        int64_t from, int64_t count, struct mr_column **out,
                                        struct mr_error *err)
{
    struct mr_column *const *columns;
    const struct mr_agg_sorted *sorted;
    MR_TRY(mr_agg_bag_look(state, &columns, &sorted, err));
    int64_t most = 0;
    for (int64_t g = from; g < from + count; g++) {
        int64_t n = sorted->offsets[g + 1] - sorted->offsets[g];
        most = n > most ? n : most;
    }
    int64_t bytes = (2 * most + 1) * (int64_t)sizeof(struct keyed);
    struct mr_builder builder;
    MR_TRY(mr_agg_charge(state, bytes, err));
    struct keyed *scratch = mr_alloc((size_t)bytes);
    enum mr_status status =
        scratch ? mr_builder_init(&builder, state->memory, call->type, err) : mr_error_nomem(err);
    bool made = status == MR_OK;
    for (int64_t g = from; g < from + count && status == MR_OK; g++) {
        struct ranked ranked = {0};
        int64_t first = sorted->offsets[g];
        status = rank_group(call, columns, sorted->order + first, sorted->offsets[g + 1] - first,
                            scratch, &ranked, err);
        if (status == MR_OK)
            status = append_group(&builder, call, &ranked, err);
    }
    if (status == MR_OK)
        status = mr_builder_finish(&builder, out, err);
    if (made)
        mr_builder_reset(&builder);
    mr_free(scratch);
    mr_agg_credit(state, bytes);
    return status;
}

static double number_of(const struct mr_value *value)
{
    if (value->type->id == MR_TYPE_DECIMAL)
        return mr_decimal_to_double(value->u.i128, value->type->scale);
    if (mr_type_is_float(value->type))
        return value->u.f64;
    return (double)value->u.i64;
}

static enum mr_status read_fraction(struct mr_agg_binding *binding, const struct mr_node *node,
                                    double *out)
{
    if (node->kind != MR_NODE_LITERAL || node->literal.is_null ||
        !mr_type_is_numeric(node->literal.type))
        return mr_agg_fail(binding, "the percentage must be a constant number");
    *out = number_of(&node->literal);
    if (*out >= 0 && *out <= 1)
        return MR_OK;
    return mr_agg_fail(binding, "the percentage must be from 0 to 1");
}

/* A number, or array(number, ..). */
static enum mr_status read_fractions(struct mr_agg_binding *binding, const struct mr_node *node)
{
    struct mr_agg_call *call = binding->call;
    bool list = node->kind == MR_NODE_CALL && strcmp(node->name, "array") == 0;
    while (node->kind == MR_NODE_CAST && node->type->id == MR_TYPE_LIST) {
        node = node->args[0];
        list = true;
    }
    int n = list ? node->nargs : 1;
    call->fractions = mr_arena_calloc(binding->arena, (size_t)n + 1, sizeof(double));
    if (!call->fractions)
        return mr_error_nomem(binding->err);
    for (int i = 0; i < n; i++)
        MR_TRY(read_fraction(binding, list ? node->args[i] : node, &call->fractions[i]));
    call->nfractions = n;
    call->list = list;
    return MR_OK;
}

/* Values whose keys keep them exactly; others become doubles. */
static enum mr_status approximate_type(struct mr_agg_binding *binding)
{
    const struct mr_type *type = binding->args[0]->type;
    switch (type->id) {
    case MR_TYPE_INT8:
    case MR_TYPE_INT16:
    case MR_TYPE_INT32:
    case MR_TYPE_INT64:
    case MR_TYPE_FLOAT32:
    case MR_TYPE_FLOAT64:
    case MR_TYPE_DATE:
    case MR_TYPE_TIMESTAMP:
    case MR_TYPE_TIMESTAMP_NTZ:
    case MR_TYPE_TIME:
        return MR_OK;
    case MR_TYPE_DECIMAL:
        if (type->precision <= MR_DECIMAL64_PRECISION)
            return MR_OK;
        return mr_agg_fail(binding, "decimals of more than 18 digits: use percentile");
    default:
        return mr_agg_cast(binding, 0, mr_type_of(MR_TYPE_FLOAT64));
    }
}

enum mr_status mr_agg_bind_percentile(struct mr_agg_binding *binding)
{
    static const double half = 0.5;
    struct mr_agg_call *call = binding->call;
    int choice = call->choice;
    bool within = choice == MR_AGG_CONTINUOUS || choice == MR_AGG_DISCRETE;
    call->choice = 0;
    if (within != (binding->order != NULL))
        return mr_agg_fail(binding, within ? "needs WITHIN GROUP (ORDER BY ..)"
                                           : "does not take WITHIN GROUP");
    if (choice == MR_AGG_MEDIAN) {
        call->fractions = mr_arena_calloc(binding->arena, 1, sizeof half);
        if (!call->fractions)
            return mr_error_nomem(binding->err);
        call->fractions[0] = half;
        call->nfractions = 1;
    } else {
        MR_TRY(read_fractions(binding, binding->args[within ? 0 : 1]));
    }
    call->descending = within && binding->ast->descending;
    if (within)
        binding->args[0] = binding->order;
    if (choice == MR_AGG_APPROXIMATE)
        MR_TRY(approximate_type(binding));
    else
        MR_TRY(mr_agg_cast(binding, 0, mr_type_of(MR_TYPE_FLOAT64)));
    bool weighted = choice == MR_AGG_PERCENTILE && binding->nargs == 3;
    if (weighted) {
        binding->args[1] = binding->args[2];
        MR_TRY(mr_agg_cast(binding, 1, mr_type_of(MR_TYPE_INT64)));
    }
    binding->nargs = weighted ? 2 : 1;
    call->kind = &mr_agg_kind_bag;
    call->finish = finish_percentile;
    call->type = binding->args[0]->type;
    if (call->list)
        call->type = mr_type_list(binding->arena, call->type, false);
    return call->type ? MR_OK : mr_error_nomem(binding->err);
}

/* Entries of a group in the order of their values, by merging runs. */
static void sort_rows(const struct mr_column *column, int32_t *rows, int32_t *other, int64_t n)
{
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t low = 0; low < n; low += 2 * width) {
            int64_t middle = low + width < n ? low + width : n;
            int64_t high = low + 2 * width < n ? low + 2 * width : n;
            int64_t a = low, b = middle;
            for (int64_t k = low; k < high; k++) {
                bool left =
                    b >= high ||
                    (a < middle && mr_column_compare_rows(column, rows[a], column, rows[b]) <= 0);
                other[k] = left ? rows[a++] : rows[b++];
            }
        }
        memcpy(rows, other, (size_t)n * sizeof *rows);
    }
}

static int32_t most_frequent(const struct mr_column *column, int32_t *rows, int32_t *other,
                             int64_t n)
{
    int32_t best = -1;
    int64_t most = 0;
    sort_rows(column, rows, other, n);
    for (int64_t i = 0, run = 0; i < n; i++) {
        bool same = i > 0 && mr_column_equal_rows(column, rows[i], column, rows[i - 1]);
        run = same ? run + 1 : 1;
        if (run > most) {
            most = run;
            best = rows[i];
        }
    }
    return best;
}

static enum mr_status finish_mode(struct mr_agg_state *state, const struct mr_agg_call *call,
                                  int64_t from, int64_t count, struct mr_column **out,
                                  struct mr_error *err)
{
    (void)call;
    struct mr_column *const *columns;
    const struct mr_agg_sorted *sorted;
    MR_TRY(mr_agg_bag_look(state, &columns, &sorted, err));
    int64_t n = sorted->offsets[from + count] - sorted->offsets[from];
    int64_t bytes = (2 * n + count + 1) * (int64_t)sizeof(int32_t);
    MR_TRY(mr_agg_charge(state, bytes, err));
    int32_t *rows = mr_alloc((size_t)bytes);
    enum mr_status status = rows ? MR_OK : mr_error_nomem(err);
    struct mr_column *taken = NULL;
    if (status == MR_OK) {
        int32_t *picks = rows + 2 * n;
        memcpy(rows, sorted->order + sorted->offsets[from], (size_t)n * sizeof *rows);
        for (int64_t g = 0; g < count; g++) {
            int64_t first = sorted->offsets[from + g] - sorted->offsets[from];
            int64_t size = sorted->offsets[from + g + 1] - sorted->offsets[from + g];
            picks[g] = most_frequent(columns[0], rows + first, rows + n, size);
        }
        status = mr_column_take(state->memory, columns[0], picks, count, &taken, err);
    }
    if (status == MR_OK)
        status = mr_column_flatten(state->memory, taken, out, err);
    mr_column_unref(taken);
    mr_free(rows);
    mr_agg_credit(state, bytes);
    return status;
}

enum mr_status mr_agg_bind_mode(struct mr_agg_binding *binding)
{
    struct mr_agg_call *call = binding->call;
    char text[96];
    call->type = binding->args[0]->type;
    if (!mr_type_is_orderable(call->type))
        return mr_agg_fail(binding, "values of type %s have no order",
                           mr_type_text(call->type, text, sizeof text));
    call->kind = &mr_agg_kind_bag;
    call->finish = finish_mode;
    return MR_OK;
}

/*
 * bounds.c - minima and maxima.
 *
 * Fixed-width orders run over dense values in four independent lanes, so that the loop is bound by loads and not by the
 * chain of comparisons. Text compares by its first eight bytes as a big-endian word; only a value that beats or ties with a bound by
 * that word is compared in full. A bound keeps at most 64 bytes: a prefix is a lower bound of its value, and as an upper bound the prefix,
 * marked cut, stands for everything that starts with it and is incremented only when it is written. A bound held
 * whole could be a megabyte, per page, column and writer.
 *
 * NaN takes part in no bound and is counted. A zero bound of floats is written as -0.0 (min) and +0.0 (max), since
 * readers that compare bit patterns would else miss the other zero.
 */
#include "format/parquet/bounds.h"

#include "base/text.h"

#include <assert.h>
#include <math.h>

void mr_pq_bounds_init(struct mr_pq_bounds *bounds)
{
    bounds->any = false;
    bounds->nans = 0;
}

#define MIN(a, b) ((b) < (a) ? (b) : (a))
#define MAX(a, b) ((b) > (a) ? (b) : (a))

/* Minimum and maximum of n >= 1 integers. */
#define INTEGER_RANGE(NAME, TYPE)                                                                  \
    static void NAME(const TYPE *v, int64_t n, TYPE *min, TYPE *max)                               \
    {                                                                                              \
        TYPE a0 = v[0], a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;             \
        int64_t i = 0;                                                                             \
        for (; i + 4 <= n; i += 4) {                                                               \
            a0 = MIN(a0, v[i]);                                                                    \
            b0 = MAX(b0, v[i]);                                                                    \
            a1 = MIN(a1, v[i + 1]);                                                                \
            b1 = MAX(b1, v[i + 1]);                                                                \
            a2 = MIN(a2, v[i + 2]);                                                                \
            b2 = MAX(b2, v[i + 2]);                                                                \
            a3 = MIN(a3, v[i + 3]);                                                                \
            b3 = MAX(b3, v[i + 3]);                                                                \
        }                                                                                          \
        for (; i < n; i++) {                                                                       \
            a0 = MIN(a0, v[i]);                                                                    \
            b0 = MAX(b0, v[i]);                                                                    \
        }                                                                                          \
        a0 = MIN(a0, a1);                                                                          \
        a2 = MIN(a2, a3);                                                                          \
        b0 = MAX(b0, b1);                                                                          \
        b2 = MAX(b2, b3);                                                                          \
        *min = MIN(a0, a2);                                                                        \
        *max = MAX(b0, b2);                                                                        \
    }

INTEGER_RANGE(range_u8, uint8_t)
INTEGER_RANGE(range_i32, int32_t)
INTEGER_RANGE(range_i64, int64_t)
/* Imported columns are aligned to 8 bytes only. */
typedef mr_int128 int128_at8 __attribute__((aligned(8)));
INTEGER_RANGE(range_i128, int128_at8)

/* Range of floats without NaN; returns the number of NaN. All NaN leaves +inf, -inf. */
#define FLOAT_RANGE(NAME, TYPE)                                                                    \
    static int64_t NAME(const TYPE *v, int64_t n, TYPE *min, TYPE *max)                            \
    {                                                                                              \
        TYPE low = (TYPE)INFINITY, high = (TYPE)-INFINITY;                                         \
        int64_t nans = 0;                                                                          \
        for (int64_t i = 0; i < n; i++) {                                                          \
            low = MIN(low, v[i]);                                                                  \
            high = MAX(high, v[i]);                                                                \
            nans += v[i] != v[i];                                                                  \
        }                                                                                          \
        *min = low;                                                                                \
        *max = high;                                                                               \
        return nans;                                                                               \
    }

FLOAT_RANGE(range_f32, float)
FLOAT_RANGE(range_f64, double)

static void add_i(struct mr_pq_bounds *bounds, int64_t min, int64_t max)
{
    bounds->u.i.min = bounds->any ? MIN(bounds->u.i.min, min) : min;
    bounds->u.i.max = bounds->any ? MAX(bounds->u.i.max, max) : max;
    bounds->any = true;
}

static void add_f(struct mr_pq_bounds *bounds, double min, double max)
{
    bounds->u.f.min = bounds->any ? MIN(bounds->u.f.min, min) : min;
    bounds->u.f.max = bounds->any ? MAX(bounds->u.f.max, max) : max;
    bounds->any = true;
}

static void add_w(struct mr_pq_bounds *bounds, mr_int128 min, mr_int128 max)
{
    bounds->u.w.min = bounds->any ? MIN(bounds->u.w.min, min) : min;
    bounds->u.w.max = bounds->any ? MAX(bounds->u.w.max, max) : max;
    bounds->any = true;
}

static int compare_bytes(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    size_t n = a_size < b_size ? a_size : b_size;
    int order = n > 0 ? memcmp(a, b, n) : 0;
    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

/* Keeps at most 64 bytes; text is cut between code points. */
static void set_text(struct mr_pq_bound_text *bound, enum mr_pq_order order, const uint8_t *p,
                     size_t size)
{
    size_t keep = size;
    if (size > MR_PQ_BOUND_BYTES) {
        keep = MR_PQ_BOUND_BYTES;
        while (order == MR_PQ_ORDER_TEXT && keep > 0 && (p[keep] & 0xc0) == 0x80)
            keep--;
    }
    memcpy(bound->bytes, p, keep);
    bound->size = (uint8_t)keep;
    bound->cut = keep < size;
}

static void lower_min(struct mr_pq_bounds *bounds, enum mr_pq_order order, const uint8_t *p,
                      size_t size)
{
    struct mr_pq_bound_text *min = &bounds->u.t.min;
    if (compare_bytes(p, size, min->bytes, min->size) < 0)
        set_text(min, order, p, size);
}

static void raise_max(struct mr_pq_bounds *bounds, enum mr_pq_order order, const uint8_t *p,
                      size_t size)
{
    struct mr_pq_bound_text *max = &bounds->u.t.max;
    if (max->cut && size >= max->size && memcmp(p, max->bytes, max->size) == 0)
        return;
    if (compare_bytes(p, size, max->bytes, max->size) > 0)
        set_text(max, order, p, size);
}

static void first_text(struct mr_pq_bounds *bounds, enum mr_pq_order order, const uint8_t *p,
                       size_t size)
{
    set_text(&bounds->u.t.min, order, p, size);
    set_text(&bounds->u.t.max, order, p, size);
    bounds->any = true;
}

/* The first eight bytes as a number that sorts like them; short values are padded with zeros. */
static inline uint64_t prefix_of(const uint8_t *p, size_t size, const uint8_t *limit)
{
    uint64_t word = 0;
    if (p + 8 <= limit) {
        memcpy(&word, p, 8);
        word = __builtin_bswap64(word);
        return size >= 8 ? word : size == 0 ? 0 : word & (UINT64_MAX << (64 - 8 * size));
    }
    for (size_t i = 0; i < 8; i++)
        word = word << 8 | (i < size ? p[i] : 0);
    return word;
}

void mr_pq_bounds_bytes(struct mr_pq_bounds *bounds, enum mr_pq_order order, const uint8_t *data,
                        size_t limit, const int32_t *starts, const int32_t *ends, int64_t count)
{
    if (count == 0)
        return;
    if (!bounds->any)
        first_text(bounds, order, data + starts[0], (size_t)(ends[0] - starts[0]));
    const uint8_t *end = data + limit;
    struct mr_pq_bound_text *min = &bounds->u.t.min, *max = &bounds->u.t.max;
    uint64_t low = prefix_of(min->bytes, min->size, min->bytes + MR_PQ_BOUND_BYTES);
    uint64_t high = prefix_of(max->bytes, max->size, max->bytes + MR_PQ_BOUND_BYTES);
    for (int64_t i = 0; i < count; i++) {
        const uint8_t *p = data + starts[i];
        size_t size = (size_t)(ends[i] - starts[i]);
        uint64_t prefix = prefix_of(p, size, end);
        if (prefix > low && prefix < high)
            continue;
        lower_min(bounds, order, p, size);
        raise_max(bounds, order, p, size);
        low = prefix_of(min->bytes, min->size, min->bytes + MR_PQ_BOUND_BYTES);
        high = prefix_of(max->bytes, max->size, max->bytes + MR_PQ_BOUND_BYTES);
    }
}

static void add_fixed16(struct mr_pq_bounds *bounds, const uint8_t *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (!bounds->any)
            first_text(bounds, MR_PQ_ORDER_FIXED16, values, 16);
        lower_min(bounds, MR_PQ_ORDER_FIXED16, values + i * 16, 16);
        raise_max(bounds, MR_PQ_ORDER_FIXED16, values + i * 16, 16);
    }
}

void mr_pq_bounds_fixed(struct mr_pq_bounds *bounds, enum mr_pq_order order, const void *values,
                        int64_t count)
{
    union {
        uint8_t u8[2];
        int32_t i32[2];
        int64_t i64[2];
        mr_int128 i128[2];
        float f32[2];
        double f64[2];
    } r;
    int64_t nans = 0;
    if (count == 0)
        return;
    switch (order) {
    case MR_PQ_ORDER_BOOL:
        range_u8(values, count, &r.u8[0], &r.u8[1]);
        add_i(bounds, r.u8[0], r.u8[1]);
        break;
    case MR_PQ_ORDER_I32:
        range_i32(values, count, &r.i32[0], &r.i32[1]);
        add_i(bounds, r.i32[0], r.i32[1]);
        break;
    case MR_PQ_ORDER_I64:
        range_i64(values, count, &r.i64[0], &r.i64[1]);
        add_i(bounds, r.i64[0], r.i64[1]);
        break;
    case MR_PQ_ORDER_I128:
        range_i128(values, count, &r.i128[0], &r.i128[1]);
        add_w(bounds, r.i128[0], r.i128[1]);
        break;
    case MR_PQ_ORDER_F32:
        nans = range_f32(values, count, &r.f32[0], &r.f32[1]);
        if (nans < count)
            add_f(bounds, (double)r.f32[0], (double)r.f32[1]);
        break;
    case MR_PQ_ORDER_F64:
        nans = range_f64(values, count, &r.f64[0], &r.f64[1]);
        if (nans < count)
            add_f(bounds, r.f64[0], r.f64[1]);
        break;
    case MR_PQ_ORDER_FIXED16:
        add_fixed16(bounds, values, count);
        break;
    default:
        break;
    }
    bounds->nans += nans;
}

static bool is_text(enum mr_pq_order order)
{
    return order == MR_PQ_ORDER_TEXT || order == MR_PQ_ORDER_BINARY || order == MR_PQ_ORDER_FIXED16;
}

static bool is_float(enum mr_pq_order order)
{
    return order == MR_PQ_ORDER_F32 || order == MR_PQ_ORDER_F64;
}

static void merge_text(struct mr_pq_bounds *bounds, const struct mr_pq_bounds *other)
{
    struct mr_pq_bound_text *min = &bounds->u.t.min, *max = &bounds->u.t.max;
    const struct mr_pq_bound_text *low = &other->u.t.min, *high = &other->u.t.max;
    int order = compare_bytes(low->bytes, low->size, min->bytes, min->size);
    if (order < 0 || (order == 0 && !low->cut))
        *min = *low;
    bool covered =
        max->cut && high->size >= max->size && memcmp(high->bytes, max->bytes, max->size) == 0;
    bool covers =
        high->cut && max->size >= high->size && memcmp(high->bytes, max->bytes, high->size) == 0;
    if (covers || (!covered && compare_bytes(high->bytes, high->size, max->bytes, max->size) > 0))
        *max = *high;
}

void mr_pq_bounds_merge(struct mr_pq_bounds *bounds, enum mr_pq_order order,
                        const struct mr_pq_bounds *other)
{
    bounds->nans += other->nans;
    if (!other->any)
        return;
    if (!bounds->any) {
        bounds->any = true;
        bounds->u = other->u;
    } else if (is_text(order)) {
        merge_text(bounds, other);
    } else if (is_float(order)) {
        add_f(bounds, other->u.f.min, other->u.f.max);
    } else if (order == MR_PQ_ORDER_I128) {
        add_w(bounds, other->u.w.min, other->u.w.max);
    } else {
        add_i(bounds, other->u.i.min, other->u.i.max);
    }
}

void mr_pq_decimal_bytes(mr_int128 value, int width, uint8_t *out)
{
    mr_uint128 bits = (mr_uint128)value;
    for (int i = width - 1; i >= 0; i--, bits >>= 8)
        out[i] = (uint8_t)bits;
}

/* Replaces a cut prefix by the least value above all that start with it: its last code point (byte) plus one. */
static bool increment(struct mr_pq_bound *bound, enum mr_pq_order order)
{
    while (bound->size > 0) {
        if (order != MR_PQ_ORDER_TEXT) {
            if (bound->bytes[bound->size - 1] != 0xff) {
                bound->bytes[bound->size - 1]++;
                return true;
            }
            bound->size--;
            continue;
        }
        int at = bound->size - 1;
        while (at > 0 && (bound->bytes[at] & 0xc0) == 0x80)
            at--;
        uint32_t point;
        char next[4];
        if (mr_utf8_decode((const char *)bound->bytes + at, (size_t)(bound->size - at), &point) ==
            0)
            return false;
        bound->size = at;
        if (point == 0x10ffff)
            continue;
        int n = mr_utf8_encode(point == 0xd7ff ? 0xe000 : point + 1, next);
        memcpy(bound->bytes + at, next, (size_t)n);
        bound->size = at + n;
        return true;
    }
    return false;
}

static void put(struct mr_pq_bound *out, const void *bytes, size_t size)
{
    memcpy(out->bytes, bytes, size);
    out->size = (int)size;
    out->exact = out->usable = true;
}

static void put_i(struct mr_pq_bound *out, const struct mr_pq_leaf *leaf, int64_t value)
{
    put(out, &value, leaf->value == 0 ? 8 : (size_t)leaf->value); /* little-endian: a prefix */
}

static void put_f(struct mr_pq_bound *out, const struct mr_pq_leaf *leaf, double value, double zero)
{
    if (value == 0)
        value = zero;
    float narrow = (float)value;
    if (leaf->order == MR_PQ_ORDER_F32)
        put(out, &narrow, sizeof narrow);
    else
        put(out, &value, sizeof value);
}

static void put_w(struct mr_pq_bound *out, const struct mr_pq_leaf *leaf, mr_int128 value)
{
    mr_pq_decimal_bytes(value, leaf->width, out->bytes);
    out->size = leaf->width;
    out->exact = out->usable = true;
}

static void put_t(struct mr_pq_bound *out, const struct mr_pq_bound_text *text)
{
    put(out, text->bytes, text->size);
    out->exact = !text->cut;
}

void mr_pq_bounds_min(const struct mr_pq_bounds *bounds, const struct mr_pq_leaf *leaf,
                      struct mr_pq_bound *out)
{
    assert(bounds->any);
    if (is_text(leaf->order))
        put_t(out, &bounds->u.t.min);
    else if (is_float(leaf->order))
        put_f(out, leaf, bounds->u.f.min, -0.0);
    else if (leaf->order == MR_PQ_ORDER_I128)
        put_w(out, leaf, bounds->u.w.min);
    else
        put_i(out, leaf, bounds->u.i.min);
}

void mr_pq_bounds_max(const struct mr_pq_bounds *bounds, const struct mr_pq_leaf *leaf,
                      struct mr_pq_bound *out)
{
    assert(bounds->any);
    if (is_text(leaf->order)) {
        put_t(out, &bounds->u.t.max);
        if (!out->exact)
            out->usable = increment(out, leaf->order);
    } else if (is_float(leaf->order)) {
        put_f(out, leaf, bounds->u.f.max, 0.0);
    } else if (leaf->order == MR_PQ_ORDER_I128) {
        put_w(out, leaf, bounds->u.w.max);
    } else {
        put_i(out, leaf, bounds->u.i.max);
    }
}

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

int mr_pq_bounds_compare(const struct mr_pq_leaf *leaf, const struct mr_pq_bounds *a,
                         const struct mr_pq_bounds *b, int which)
{
    enum mr_pq_order order = leaf->order;
    if (is_text(order)) {
        struct mr_pq_bound x, y; /* as written: a cut maximum is its successor */
        (which ? mr_pq_bounds_max : mr_pq_bounds_min)(a, leaf, &x);
        (which ? mr_pq_bounds_max : mr_pq_bounds_min)(b, leaf, &y);
        return compare_bytes(x.bytes, (size_t)x.size, y.bytes, (size_t)y.size);
    }
    if (is_float(order))
        return which ? COMPARE(a->u.f.max, b->u.f.max) : COMPARE(a->u.f.min, b->u.f.min);
    if (order == MR_PQ_ORDER_I128)
        return which ? COMPARE(a->u.w.max, b->u.w.max) : COMPARE(a->u.w.min, b->u.w.min);
    return which ? COMPARE(a->u.i.max, b->u.i.max) : COMPARE(a->u.i.min, b->u.i.min);
}

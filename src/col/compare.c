/*
 * compare.c - order and equality of two rows.
 *
 * Each side is first resolved to a place in flat storage (through codes and constants), then one
 * switch over layouts compares. Sorting and joining compile faster comparisons for their keys; this
 * is the one definition that they must agree with: NULL first, NaN greatest, -0.0 equal to 0.0,
 * text by bytes (which is by code point), lists by elements, structs by fields in order.
 */
#include "col/kernel.h"

#include <assert.h>
#include <math.h>

/* A value in flat storage; column NULL = the value is NULL. */
struct place {
    const struct mr_column *column;
    int64_t at;
};

static struct place resolve(const struct mr_column *column, int64_t row)
{
    if (mr_column_is_null(column, row))
        return (struct place){NULL, 0};
    if (column->encoding == MR_DICTIONARY)
        return (struct place){column->dictionary, mr_column_offsets(column)[row]};
    return (struct place){column, column->encoding == MR_CONSTANT ? 0 : row};
}

#define COMPARE(name, T)                                                                           \
    static int name(struct place a, struct place b)                                                \
    {                                                                                              \
        T x = ((const T *)(const void *)a.column->values->data)[a.at];                             \
        T y = ((const T *)(const void *)b.column->values->data)[b.at];                             \
        return (x > y) - (x < y);                                                                  \
    }
COMPARE(compare_i8, int8_t)
COMPARE(compare_i16, int16_t)
COMPARE(compare_i32, int32_t)
COMPARE(compare_i64, int64_t)
COMPARE(compare_i128, mr_int128)

#define COMPARE_FLOAT(name, T)                                                                     \
    static int name(struct place a, struct place b)                                                \
    {                                                                                              \
        T x = ((const T *)(const void *)a.column->values->data)[a.at];                             \
        T y = ((const T *)(const void *)b.column->values->data)[b.at];                             \
        if (isnan(x) || isnan(y))                                                                  \
            return (isnan(x) != 0) - (isnan(y) != 0);                                              \
        return (x > y) - (x < y);                                                                  \
    }
COMPARE_FLOAT(compare_f32, float)
COMPARE_FLOAT(compare_f64, double)

static int compare_fixed16(struct place a, struct place b)
{
    const uint8_t *x = a.column->values->data + a.at * 16;
    const uint8_t *y = b.column->values->data + b.at * 16;
    if (a.column->type->id == MR_TYPE_UUID)
        return memcmp(x, y, 16);
    struct mr_interval i, j;
    memcpy(&i, x, sizeof i);
    memcpy(&j, y, sizeof j);
    if (i.months != j.months)
        return i.months < j.months ? -1 : 1;
    if (i.days != j.days)
        return i.days < j.days ? -1 : 1;
    return (i.micros > j.micros) - (i.micros < j.micros);
}

static int compare_bytes(struct place a, struct place b)
{
    struct mr_slice x = mr_column_slice(a.column, a.at);
    struct mr_slice y = mr_column_slice(b.column, b.at);
    size_t n = x.size < y.size ? x.size : y.size;
    int c = n ? memcmp(x.data, y.data, n) : 0;
    return c ? c : (x.size > y.size) - (x.size < y.size);
}

static int compare_list(struct place a, struct place b)
{
    const int32_t *x = mr_column_offsets(a.column) + a.at;
    const int32_t *y = mr_column_offsets(b.column) + b.at;
    int32_t nx = x[1] - x[0], ny = y[1] - y[0];
    for (int32_t i = 0; i < nx && i < ny; i++) {
        int c = mr_column_compare_rows(a.column->children[0], x[0] + i, b.column->children[0],
                                       y[0] + i);
        if (c)
            return c;
    }
    return (nx > ny) - (nx < ny);
}

static int compare_struct(struct place a, struct place b)
{
    for (int i = 0; i < a.column->nchildren; i++) {
        int c = mr_column_compare_rows(a.column->children[i], a.at, b.column->children[i], b.at);
        if (c)
            return c;
    }
    return 0;
}

static int compare_places(struct place a, struct place b)
{
    assert(mr_type_layout(a.column->type) == mr_type_layout(b.column->type));
    switch (mr_type_layout(a.column->type)) {
    case MR_LAYOUT_NONE:
        return 0;
    case MR_LAYOUT_I8:
        return compare_i8(a, b);
    case MR_LAYOUT_I16:
        return compare_i16(a, b);
    case MR_LAYOUT_I32:
        return compare_i32(a, b);
    case MR_LAYOUT_I64:
        return compare_i64(a, b);
    case MR_LAYOUT_I128:
        return compare_i128(a, b);
    case MR_LAYOUT_F32:
        return compare_f32(a, b);
    case MR_LAYOUT_F64:
        return compare_f64(a, b);
    case MR_LAYOUT_FIXED16:
        return compare_fixed16(a, b);
    case MR_LAYOUT_BYTES:
        return compare_bytes(a, b);
    case MR_LAYOUT_LIST:
        return compare_list(a, b);
    case MR_LAYOUT_STRUCT:
        return compare_struct(a, b);
    }
    return 0;
}

int mr_column_compare_rows(const struct mr_column *a, int64_t row_a, const struct mr_column *b,
                           int64_t row_b)
{
    struct place x = resolve(a, row_a), y = resolve(b, row_b);
    if (!x.column || !y.column)
        return (x.column != NULL) - (y.column != NULL);
    return compare_places(x, y);
}

bool mr_column_equal_rows(const struct mr_column *a, int64_t row_a, const struct mr_column *b,
                          int64_t row_b)
{
    struct place x = resolve(a, row_a), y = resolve(b, row_b);
    if (!x.column || !y.column)
        return x.column == y.column;
    if (x.column == y.column && x.at == y.at)
        return true;
    if (mr_type_layout(x.column->type) == MR_LAYOUT_BYTES)
        return mr_slice_equal(mr_column_slice(x.column, x.at), mr_column_slice(y.column, y.at));
    return compare_places(x, y) == 0;
}

/*
 * compare.c - = <> < <= > >= over columns of every type.
 *
 * One byte a row, written by loops without branches: an int column against a constant runs at the speed of memory. The order
 * is Spark's: NaN equals NaN and is greater than everything, -0.0 equals 0.0, text by bytes, an interval by its length
 * with a month as 30 days, lists and structs element by element.
 */
#include "sql/compare.h"

#include "col/kernel.h"
#include "sql/interval.h"
#include "sql/vector.h"

#define T        int8_t
#define NAME     compare_i8
#define EQ(x, y) ((x) == (y))
#define LT(x, y) ((x) < (y))
#define LE(x, y) ((x) <= (y))
#include "sql/compare_body.h"

#define T        int16_t
#define NAME     compare_i16
#define EQ(x, y) ((x) == (y))
#define LT(x, y) ((x) < (y))
#define LE(x, y) ((x) <= (y))
#include "sql/compare_body.h"

#define T        int32_t
#define NAME     compare_i32
#define EQ(x, y) ((x) == (y))
#define LT(x, y) ((x) < (y))
#define LE(x, y) ((x) <= (y))
#include "sql/compare_body.h"

#define T        int64_t
#define NAME     compare_i64
#define EQ(x, y) ((x) == (y))
#define LT(x, y) ((x) < (y))
#define LE(x, y) ((x) <= (y))
#include "sql/compare_body.h"

#define T        mr_int128
#define NAME     compare_i128
#define EQ(x, y) ((x) == (y))
#define LT(x, y) ((x) < (y))
#define LE(x, y) ((x) <= (y))
#include "sql/compare_body.h"

#define T        float
#define NAME     compare_f32
#define EQ(x, y) (((x) == (y)) | (((x) != (x)) & ((y) != (y))))
#define LT(x, y) (((x) < (y)) | (((x) == (x)) & ((y) != (y))))
#define LE(x, y) (((x) <= (y)) | ((y) != (y)))
#include "sql/compare_body.h"

#define T        double
#define NAME     compare_f64
#define EQ(x, y) (((x) == (y)) | (((x) != (x)) & ((y) != (y))))
#define LT(x, y) (((x) < (y)) | (((x) == (x)) & ((y) != (y))))
#define LE(x, y) (((x) <= (y)) | ((y) != (y)))
#include "sql/compare_body.h"

static bool holds(enum compare_op op, int order)
{
    switch (op) {
    case OP_EQ:
        return order == 0;
    case OP_NE:
        return order != 0;
    case OP_LT:
        return order < 0;
    case OP_LE:
        return order <= 0;
    case OP_GT:
        return order > 0;
    default:
        return order >= 0;
    }
}

static int compare_text(struct mr_slice a, struct mr_slice b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.data, b.data, size) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static void compare_bytes(enum compare_op op, const struct mr_column *a, const struct mr_column *b,
                          const int32_t *rows, int64_t count, uint8_t *out)
{
    struct mr_arg x = mr_arg_of_column(a), y = mr_arg_of_column(b);
    bool equality = op == OP_EQ || op == OP_NE;
    for (int64_t i = 0; i < count; i++) {
        int64_t row = rows ? rows[i] : i;
        struct mr_slice s = mr_arg_text(&x, row), t = mr_arg_text(&y, row);
        if (equality)
            out[row] = (s.size == t.size && (s.size == 0 || memcmp(s.data, t.data, s.size) == 0)) ^
                       (op == OP_NE);
        else
            out[row] = holds(op, compare_text(s, t));
    }
}

static int compare_interval(const struct mr_interval *a, const struct mr_interval *b)
{
    __int128 x = mr_interval_rank(a), y = mr_interval_rank(b);
    return (x > y) - (x < y);
}

static void compare_fixed16(enum compare_op op, const struct mr_column *a,
                            const struct mr_column *b, const int32_t *rows, int64_t count,
                            uint8_t *out)
{
    struct mr_arg x = mr_arg_of_column(a), y = mr_arg_of_column(b);
    bool interval = a->type->id == MR_TYPE_INTERVAL;
    for (int64_t i = 0; i < count; i++) {
        int64_t row = rows ? rows[i] : i;
        const struct mr_interval *s = &MR_ARG(x, struct mr_interval, row);
        const struct mr_interval *t = &MR_ARG(y, struct mr_interval, row);
        out[row] = holds(op, interval ? compare_interval(s, t) : memcmp(s, t, 16));
    }
}

static void compare_nested(enum compare_op op, const struct mr_column *a, const struct mr_column *b,
                           const int32_t *rows, int64_t count, uint8_t *out)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t row = rows ? rows[i] : i;
        out[row] = holds(op, mr_column_compare_rows(a, row, b, row));
    }
}

static enum compare_op swapped(enum compare_op op)
{
    static const enum compare_op other[] = {OP_EQ, OP_NE, OP_GT, OP_GE, OP_LT, OP_LE};
    return other[op];
}

void mr_compare_columns(enum compare_op op, const struct mr_column *a, const struct mr_column *b,
                        const int32_t *rows, int64_t count, uint8_t *out)
{
    if (a->encoding == MR_CONSTANT && b->encoding != MR_CONSTANT) {
        const struct mr_column *flat = b;
        b = a;
        a = flat;
        op = swapped(op);
    }
    if (a->encoding == MR_CONSTANT && rows == NULL && count > 1) {
        mr_compare_columns(op, a, b, NULL, 1, out);
        memset(out, out[0], (size_t)count);
        return;
    }
    struct mr_arg x = mr_arg_of_column(a), y = mr_arg_of_column(b);
    switch (mr_type_layout(a->type)) {
    case MR_LAYOUT_I8:
        compare_i8(op, x.values, x.mask, y.values, y.mask, rows, count, out);
        break;
    case MR_LAYOUT_I16:
        compare_i16(op, x.values, x.mask, y.values, y.mask, rows, count, out);
        break;
    case MR_LAYOUT_I32:
        compare_i32(op, x.values, x.mask, y.values, y.mask, rows, count, out);
        break;
    case MR_LAYOUT_I64:
        compare_i64(op, x.values, x.mask, y.values, y.mask, rows, count, out);
        break;
    case MR_LAYOUT_I128:
        compare_i128(op, x.values, x.mask, y.values, y.mask, rows, count, out);
        break;
    case MR_LAYOUT_F32:
        compare_f32(op, x.values, x.mask, y.values, y.mask, rows, count, out);
        break;
    case MR_LAYOUT_F64:
        compare_f64(op, x.values, x.mask, y.values, y.mask, rows, count, out);
        break;
    case MR_LAYOUT_BYTES:
        compare_bytes(op, a, b, rows, count, out);
        break;
    case MR_LAYOUT_FIXED16:
        compare_fixed16(op, a, b, rows, count, out);
        break;
    default:
        compare_nested(op, a, b, rows, count, out);
        break;
    }
}

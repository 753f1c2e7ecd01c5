/*
 * decimal_exact.c - + - * of decimals whose result type holds every result.
 *
 * Spark's result types are wide enough for any sum or product as long as they need no more than 38 digits; then nothing can overflow, nothing is
 * rounded, and the kernel may run over all rows, NULL or not, in plain loops. Wrapping (unsigned) arithmetic keeps the garbage under
 * NULLs defined. Everything else goes row by row through arithmetic.c.
 */
#include "sql/arithmetic.h"
#include "sql/vector.h"

static MR_VECTORISE void scaled_sum(const int64_t *restrict a, int64_t a_mask, uint64_t a_factor,
                                    const int64_t *restrict b, int64_t b_mask, uint64_t b_factor,
                                    int64_t count, int64_t *restrict out)
{
    if (a_mask && !b_mask) {
        uint64_t fixed = (uint64_t)b[0] * b_factor;
        for (int64_t i = 0; i < count; i++)
            out[i] = (int64_t)((uint64_t)a[i] * a_factor + fixed);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        out[i] = (int64_t)((uint64_t)a[i & a_mask] * a_factor + (uint64_t)b[i & b_mask] * b_factor);
}

static MR_VECTORISE void narrow_product(const int64_t *restrict a, int64_t a_mask,
                                        const int64_t *restrict b, int64_t b_mask, int64_t count,
                                        int64_t *restrict out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = (int64_t)((uint64_t)a[i & a_mask] * (uint64_t)b[i & b_mask]);
}

static MR_VECTORISE void wide_product(const int64_t *restrict a, int64_t a_mask,
                                      const int64_t *restrict b, int64_t b_mask, int64_t count,
                                      mr_int128 *restrict out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = (mr_int128)a[i & a_mask] * b[i & b_mask];
}

static bool is_narrow(const struct mr_type *type)
{
    return type->precision <= MR_DECIMAL64_PRECISION;
}

static uint64_t factor(const struct mr_type *from, const struct mr_type *to)
{
    return (uint64_t)mr_decimal_pow10(to->scale - from->scale);
}

/* Rows of any width, one by one. */
static void wide_rows(struct mr_call *call, char op, const struct mr_arg *a, const struct mr_arg *b,
                      void *out)
{
    bool narrow = is_narrow(call->type);
    int a_scale = op == '*' ? 0 : call->type->scale - a->type->scale;
    int b_scale = op == '*' ? 0 : call->type->scale - b->type->scale;
    mr_uint128 x_factor = (mr_uint128)mr_decimal_pow10(a_scale);
    mr_uint128 y_factor = (mr_uint128)mr_decimal_pow10(b_scale);
    MR_EACH_ROW(call, row)
    {
        mr_uint128 x = (mr_uint128)mr_arg_decimal(a, row) * x_factor;
        mr_uint128 y = (mr_uint128)mr_arg_decimal(b, row) * y_factor;
        mr_uint128 r = op == '+' ? x + y : op == '-' ? x - y : x * y;
        if (narrow)
            ((int64_t *)out)[row] = (int64_t)r;
        else
            ((mr_int128 *)out)[row] = (mr_int128)r;
    }
}

enum mr_status mr_kernel_decimal_exact(struct mr_call *call, struct mr_column **out)
{
    char op = *(const char *)call->data;
    struct mr_arg a = mr_arg_of(call, 0), b = mr_arg_of(call, 1);
    struct mr_buffer *values;
    bool dense = call->rows == NULL && is_narrow(a.type) && is_narrow(b.type);
    bool narrow = is_narrow(call->type);
    MR_TRY(mr_fixed_new(call, &values));
    void *to = values->data;
    if (dense && narrow && op == '*') {
        narrow_product(a.values, a.mask, b.values, b.mask, call->count, to);
    } else if (dense && op == '*') {
        wide_product(a.values, a.mask, b.values, b.mask, call->count, to);
    } else if (dense && narrow) {
        uint64_t y = factor(b.type, call->type);
        scaled_sum(a.values, a.mask, factor(a.type, call->type), b.values, b.mask,
                   op == '-' ? -y : y, call->count, to);
    } else {
        wide_rows(call, op, &a, &b, to);
    }
    return mr_fixed_finish(call, values, out);
}

bool mr_decimal_is_exact(char op, const struct mr_type *a, const struct mr_type *b,
                         const struct mr_type *result)
{
    int scale = a->scale > b->scale ? a->scale : b->scale;
    int whole_a = a->precision - a->scale, whole_b = b->precision - b->scale;
    int whole = whole_a > whole_b ? whole_a : whole_b;
    if (op == '*')
        return result->precision == a->precision + b->precision + 1 &&
               result->scale == a->scale + b->scale;
    return (op == '+' || op == '-') && result->precision == whole + scale + 1 &&
           result->scale == scale;
}

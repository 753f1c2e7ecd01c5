/*
 * arith_body.h - + - * over one integer type: included once for each by arithmetic.c.
 *
 * T is the type, U its unsigned twin, NAME(op) makes the names. The dense loops compute wrapped values and collect overflow in one word
 * without a branch; only when some row overflowed does the caller look for it row by row.
 */

static MR_VECTORISE bool NAME(add)(const T *restrict a, int64_t a_mask, const T *restrict b,
                                   int64_t b_mask, int64_t count, T *restrict out)
{
    T bad = 0;
    if (a_mask && b_mask) {
        for (int64_t i = 0; i < count; i++) {
            T r = (T)((U)a[i] + (U)b[i]);
            bad |= (T)((a[i] ^ r) & (b[i] ^ r));
            out[i] = r;
        }
    } else {
        const T *flat = a_mask ? a : b;
        T fixed = a_mask ? b[0] : a[0];
        for (int64_t i = 0; i < count; i++) {
            T r = (T)((U)flat[i] + (U)fixed);
            bad |= (T)((flat[i] ^ r) & (fixed ^ r));
            out[i] = r;
        }
    }
    return bad < 0;
}

static MR_VECTORISE bool NAME(subtract)(const T *restrict a, int64_t a_mask, const T *restrict b,
                                        int64_t b_mask, int64_t count, T *restrict out)
{
    T bad = 0;
    for (int64_t i = 0; i < count; i++) {
        T x = a[i & a_mask], y = b[i & b_mask];
        T r = (T)((U)x - (U)y);
        bad |= (T)((x ^ y) & (x ^ r));
        out[i] = r;
    }
    return bad < 0;
}

static MR_VECTORISE bool NAME(multiply)(const T *restrict a, int64_t a_mask, const T *restrict b,
                                        int64_t b_mask, int64_t count, T *restrict out)
{
    bool bad = false;
    for (int64_t i = 0; i < count; i++) {
        T r;
        bad |= __builtin_mul_overflow(a[i & a_mask], b[i & b_mask], &r);
        out[i] = r;
    }
    return bad;
}

static bool NAME(dense)(char op, const struct mr_arg *a, const struct mr_arg *b, int64_t count,
                        void *out)
{
    switch (op) {
    case '+':
        return NAME(add)(a->values, a->mask, b->values, b->mask, count, out);
    case '-':
        return NAME(subtract)(a->values, a->mask, b->values, b->mask, count, out);
    default:
        return NAME(multiply)(a->values, a->mask, b->values, b->mask, count, out);
    }
}

/* Row by row; an overflow is the error, NULL, or (ANSI off) the wrapped value. */
static void NAME(rows)(char op, const struct mr_arg *a, const struct mr_arg *b,
                       struct mr_result *result)
{
    struct mr_call *call = result->call;
    MR_EACH_ROW(call, row)
    {
        T x = MR_ARG(*a, T, row), y = MR_ARG(*b, T, row), r;
        bool bad = op == '+'   ? __builtin_add_overflow(x, y, &r)
                   : op == '-' ? __builtin_sub_overflow(x, y, &r)
                               : __builtin_mul_overflow(x, y, &r);
        if (bad && call->failure != MR_FAIL_WRAP) {
            mr_overflow(result, row);
            if (result->status != MR_OK)
                return;
            continue;
        }
        MR_SET(result, T, row, r);
    }
}

#undef T
#undef U
#undef NAME

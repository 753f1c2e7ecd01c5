/*
 * compare_body.h - comparison of two columns of one C type: included once for each by compare.c.
 *
 * T is the type, NAME the suffix of the function; EQ(x, y), LT(x, y), LE(x, y) its total order. `rows` NULL: all of 0 .. count-1.
 */

#define LOOP_ROWS(expression)                                                                      \
    for (int64_t i = 0; i < count; i++) {                                                          \
        int64_t row = rows[i];                                                                     \
        T x = a[row & a_mask], y = b[row & b_mask];                                                \
        out[row] = (uint8_t)(expression);                                                          \
    }
#define LOOP(expression)                                                                           \
    do {                                                                                           \
        if (rows != NULL) {                                                                        \
            LOOP_ROWS(expression)                                                                  \
        } else if (b_mask == 0) {                                                                  \
            T y = b[0];                                                                            \
            for (int64_t i = 0; i < count; i++) {                                                  \
                T x = a[i];                                                                        \
                out[i] = (uint8_t)(expression);                                                    \
            }                                                                                      \
        } else {                                                                                   \
            for (int64_t i = 0; i < count; i++) {                                                  \
                T x = a[i], y = b[i];                                                              \
                out[i] = (uint8_t)(expression);                                                    \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/* Without `rows`, `a` is flat or there is one row: the caller swaps the sides when only `b` is flat. */
static MR_VECTORISE void NAME(enum compare_op op, const T *restrict a, int64_t a_mask,
                              const T *restrict b, int64_t b_mask, const int32_t *restrict rows,
                              int64_t count, uint8_t *restrict out)
{
    switch (op) {
    case OP_EQ:
        LOOP(EQ(x, y));
        break;
    case OP_NE:
        LOOP(!(EQ(x, y)));
        break;
    case OP_LT:
        LOOP(LT(x, y));
        break;
    case OP_LE:
        LOOP(LE(x, y));
        break;
    case OP_GT:
        LOOP(LT(y, x));
        break;
    case OP_GE:
        LOOP(LE(y, x));
        break;
    }
}

#undef LOOP
#undef LOOP_ROWS
#undef T
#undef NAME
#undef EQ
#undef LT
#undef LE

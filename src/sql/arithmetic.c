/*
 * arithmetic.c - + - * / % DIV over integers, floating point and decimals.
 *
 * Integers keep their type (tinyint + tinyint is tinyint) and overflow is an error; decimals follow Spark's precision rules,
 * computed exactly in 128 (products: 256) bits and rounded half up once; division by zero is an error for every type, as in
 * Spark's ANSI mode, and NULL with ANSI off.
 */
#include "sql/arithmetic.h"

#include "sql/coerce.h"
#include "sql/unit.h"
#include "sql/vector.h"

#include <math.h>

const char mr_arithmetic_ops[] = "+-*/%Dm";

static const char *op_name(char op)
{
    return op == 'D' ? "DIV" : op == 'm' ? "pmod" : NULL;
}

void mr_overflow(struct mr_result *result, int64_t row)
{
    char type[48];
    mr_result_fail(result, row, "%s overflow",
                   mr_type_text(result->call->type, type, sizeof(type)));
}

static void divide_by_zero(struct mr_result *result, int64_t row)
{
    if (result->call->failure == MR_FAIL_RAISE)
        mr_result_fail(result, row, "division by zero");
    else
        mr_result_null(result, row);
}

#define T       int8_t
#define U       uint8_t
#define NAME(x) x##_i8
#include "sql/arith_body.h"

#define T       int16_t
#define U       uint16_t
#define NAME(x) x##_i16
#include "sql/arith_body.h"

#define T       int32_t
#define U       uint32_t
#define NAME(x) x##_i32
#include "sql/arith_body.h"

#define T       int64_t
#define U       uint64_t
#define NAME(x) x##_i64
#include "sql/arith_body.h"

static bool dense_integers(enum mr_layout layout, char op, const struct mr_arg *a,
                           const struct mr_arg *b, int64_t count, void *out)
{
    switch (layout) {
    case MR_LAYOUT_I8:
        return dense_i8(op, a, b, count, out);
    case MR_LAYOUT_I16:
        return dense_i16(op, a, b, count, out);
    case MR_LAYOUT_I32:
        return dense_i32(op, a, b, count, out);
    default:
        return dense_i64(op, a, b, count, out);
    }
}

static void integer_rows(enum mr_layout layout, char op, const struct mr_arg *a,
                         const struct mr_arg *b, struct mr_result *result)
{
    switch (layout) {
    case MR_LAYOUT_I8:
        rows_i8(op, a, b, result);
        break;
    case MR_LAYOUT_I16:
        rows_i16(op, a, b, result);
        break;
    case MR_LAYOUT_I32:
        rows_i32(op, a, b, result);
        break;
    default:
        rows_i64(op, a, b, result);
        break;
    }
}

/* + - * of integers. */
static enum mr_status kernel_integers(struct mr_call *call, struct mr_column **out)
{
    char op = *(const char *)call->data;
    enum mr_layout layout = mr_type_layout(call->type);
    struct mr_arg a = mr_arg_of(call, 0), b = mr_arg_of(call, 1);
    if (call->rows == NULL && (a.mask || b.mask)) {
        struct mr_buffer *values;
        MR_TRY(mr_fixed_new(call, &values));
        if (!dense_integers(layout, op, &a, &b, call->count, values->data))
            return mr_fixed_finish(call, values, out);
        mr_buffer_unref(values);
    }
    struct mr_result result;
    mr_result_init(&result, call);
    if (result.status == MR_OK)
        integer_rows(layout, op, &a, &b, &result);
    return mr_result_finish(&result, out);
}

static void set_integer(struct mr_result *result, enum mr_layout layout, int64_t row, int64_t value)
{
    switch (layout) {
    case MR_LAYOUT_I8:
        MR_SET(result, int8_t, row, (int8_t)value);
        break;
    case MR_LAYOUT_I16:
        MR_SET(result, int16_t, row, (int16_t)value);
        break;
    case MR_LAYOUT_I32:
        MR_SET(result, int32_t, row, (int32_t)value);
        break;
    default:
        MR_SET(result, int64_t, row, value);
        break;
    }
}

/* % and pmod keep the type, DIV gives BIGINT. */
static enum mr_status kernel_integer_division(struct mr_call *call, struct mr_column **out)
{
    char op = *(const char *)call->data;
    enum mr_layout layout = mr_type_layout(call->type);
    struct mr_arg a = mr_arg_of(call, 0), b = mr_arg_of(call, 1);
    struct mr_result result;
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        int64_t x = mr_arg_int(&a, row), y = mr_arg_int(&b, row), r;
        if (y == 0) {
            divide_by_zero(&result, row);
            continue;
        }
        if (op == 'D' && x == INT64_MIN && y == -1) {
            if (call->failure == MR_FAIL_WRAP)
                set_integer(&result, layout, row, x);
            else
                mr_overflow(&result, row);
            continue;
        }
        r = y == -1 ? (op == 'D' ? -x : 0) : op == 'D' ? x / y : x % y;
        if (op == 'm' && r < 0)
            r = (int64_t)((uint64_t)r + (uint64_t)y) % y;
        set_integer(&result, layout, row, r);
    }
    return mr_result_finish(&result, out);
}

static MR_VECTORISE void dense_doubles(char op, const double *restrict a, int64_t a_mask,
                                       const double *restrict b, int64_t b_mask, int64_t count,
                                       double *restrict out)
{
    if (op == '+')
        for (int64_t i = 0; i < count; i++)
            out[i] = a[i & a_mask] + b[i & b_mask];
    else if (op == '-')
        for (int64_t i = 0; i < count; i++)
            out[i] = a[i & a_mask] - b[i & b_mask];
    else
        for (int64_t i = 0; i < count; i++)
            out[i] = a[i & a_mask] * b[i & b_mask];
}

static void float_rows(char op, const struct mr_arg *a, const struct mr_arg *b,
                       struct mr_call *call, float *out)
{
    MR_EACH_ROW(call, row)
    {
        float x = MR_ARG(*a, float, row), y = MR_ARG(*b, float, row);
        out[row] = op == '+' ? x + y : op == '-' ? x - y : x * y;
    }
}

/* + - * of floating point: cannot fail. */
static enum mr_status kernel_floats(struct mr_call *call, struct mr_column **out)
{
    char op = *(const char *)call->data;
    struct mr_arg a = mr_arg_of(call, 0), b = mr_arg_of(call, 1);
    struct mr_buffer *values;
    MR_TRY(mr_fixed_new(call, &values));
    double *to = (double *)(void *)values->data;
    if (call->type->id == MR_TYPE_FLOAT32)
        float_rows(op, &a, &b, call, (float *)(void *)values->data);
    else if (call->rows == NULL)
        dense_doubles(op, a.values, a.mask, b.values, b.mask, call->count, to);
    else
        MR_EACH_ROW(call, row)
    dense_doubles(op, &MR_ARG(a, double, row), 0, &MR_ARG(b, double, row), 0, 1, to + row);
    return mr_fixed_finish(call, values, out);
}

static enum mr_status kernel_float_division(struct mr_call *call, struct mr_column **out)
{
    char op = *(const char *)call->data;
    struct mr_arg a = mr_arg_of(call, 0), b = mr_arg_of(call, 1);
    bool single = a.type->id == MR_TYPE_FLOAT32;
    struct mr_result result;
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        double x = mr_arg_double(&a, row), y = mr_arg_double(&b, row), r;
        if (y == 0) {
            divide_by_zero(&result, row);
            continue;
        }
        if (op == '/') {
            r = x / y;
        } else {
            r = fmod(x, y);
            if (op == 'm' && r < 0)
                r = fmod(r + y, y);
        }
        if (single)
            MR_SET(&result, float, row, (float)r);
        else
            MR_SET(&result, double, row, r);
    }
    return mr_result_finish(&result, out);
}

/* x op y exactly, rounded to the scale of the result. False: more than 38 digits. */
static bool decimal_operation(char op, mr_int128 x, const struct mr_type *x_type, mr_int128 y,
                              const struct mr_type *y_type, int scale, mr_int128 *out)
{
    int common = x_type->scale > y_type->scale ? x_type->scale : y_type->scale;
    if (op == '*')
        return mr_decimal_multiply(x, x_type->scale, y, y_type->scale, scale, out);
    if (op == '/')
        return mr_decimal_divide(x, x_type->scale, y, y_type->scale, scale, out);
    if (op == 'D')
        return mr_decimal_quotient(x, x_type->scale, y, y_type->scale, out);
    if (op == '%' || op == 'm') {
        mr_int128 rest = mr_decimal_remainder(x, x_type->scale, y, y_type->scale);
        if (op == 'm' && rest < 0 && y > 0)
            rest += mr_decimal_pow10(common - y_type->scale) * y;
        return mr_decimal_rescale(rest, common, scale, out);
    }
    return mr_decimal_sum(x, x_type->scale, op == '-' ? -y : y, y_type->scale, scale, out);
}

static bool divides(char op)
{
    return op == '/' || op == '%' || op == 'D' || op == 'm';
}

static void decimal_row(struct mr_result *result, char op, const struct mr_arg *a,
                        const struct mr_arg *b, int64_t row)
{
    const struct mr_type *type = result->call->type;
    mr_int128 x = mr_arg_decimal(a, row), y = mr_arg_decimal(b, row), r;
    if (divides(op) && y == 0) {
        divide_by_zero(result, row);
        return;
    }
    bool ok = decimal_operation(op, x, a->type, y, b->type, type->scale, &r);
    if (type->id == MR_TYPE_INT64) {
        if (ok && r >= INT64_MIN && r <= INT64_MAX)
            MR_SET(result, int64_t, row, (int64_t)r);
        else if (result->call->failure == MR_FAIL_WRAP)
            MR_SET(result, int64_t, row, (int64_t)r);
        else
            mr_overflow(result, row);
    } else if (ok && mr_decimal_fits(r, type->precision)) {
        mr_result_decimal(result, row, r);
    } else {
        mr_overflow(result, row);
    }
}

static enum mr_status kernel_decimals(struct mr_call *call, struct mr_column **out)
{
    char op = *(const char *)call->data;
    struct mr_arg a = mr_arg_of(call, 0), b = mr_arg_of(call, 1);
    struct mr_result result;
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        decimal_row(&result, op, &a, &b, row);
    }
    return mr_result_finish(&result, out);
}

/* 0.0 / x needs no digits in front of the point that x has; literals count with the digits they have. */
static const struct mr_type *decimal_of_node(struct mr_binding *binding, int i)
{
    const struct mr_node *node = binding->args[i];
    if (node->kind == MR_NODE_LITERAL && !node->implicit && !node->literal.is_null &&
        mr_type_is_integer(node->type) && node->type->id != MR_TYPE_INT8) {
        int digits = 1;
        for (int64_t rest = node->literal.u.i64 / 10; rest != 0; rest /= 10)
            digits++;
        return mr_type_decimal(binding->arena, digits, 0);
    }
    return mr_decimal_for(binding->arena, node->type);
}

static enum mr_status not_numbers(struct mr_binding *binding, char op)
{
    char a[96], b[96], symbol[2] = {op, '\0'};
    return mr_bind_fail(binding, -1, "%s does not take %s and %s",
                        op_name(op) ? op_name(op) : symbol,
                        mr_type_text(binding->args[0]->type, a, sizeof(a)),
                        mr_type_text(binding->args[1]->type, b, sizeof(b)));
}

/* Text becomes the number that it meets, NULL the type of the other side. */
static enum mr_status to_numbers(struct mr_binding *binding, char op)
{
    const struct mr_type *types[2] = {binding->args[0]->type, binding->args[1]->type};
    for (int i = 0; i < 2; i++) {
        const struct mr_type *own = types[i], *other = types[1 - i];
        enum mr_type_id id = MR_TYPE_FLOAT64;
        if (mr_type_is_numeric(own))
            continue;
        if (mr_type_is_string(own)) {
            if (binding->session->ansi && !mr_type_is_numeric(other))
                return not_numbers(binding, op);
            if (binding->session->ansi && mr_type_is_integer(other))
                id = MR_TYPE_INT64;
            /* Of a text that is no number try_add makes NULL. */
            struct mr_node *node = binding->args[i];
            MR_TRY(mr_unit_cast(binding->binder, node, mr_type_of(id), true,
                                binding->flags & MR_FN_TRY, node->position, &binding->args[i]));
        } else if (own->id == MR_TYPE_NULL) {
            bool as_other = mr_type_is_numeric(other) && !(op == '/' && i == 0);
            if (op == 'D' && !mr_type_is_numeric(other))
                id = MR_TYPE_INT64;
            MR_TRY(mr_bind_cast(binding, i, as_other ? other : mr_type_of(id)));
        } else {
            return not_numbers(binding, op);
        }
    }
    return MR_OK;
}

static enum mr_status bind_decimals(struct mr_binding *binding, char op)
{
    for (int i = 0; i < 2; i++)
        MR_TRY(mr_bind_cast(binding, i, decimal_of_node(binding, i)));
    const struct mr_type *a = binding->args[0]->type, *b = binding->args[1]->type;
    binding->kernel = kernel_decimals;
    binding->type = op == 'D' ? mr_type_of(MR_TYPE_INT64)
                              : mr_decimal_result(binding->arena, op == 'm' ? '%' : op, a, b);
    if (binding->type == NULL)
        return mr_error_nomem(binding->err);
    if (binding->type->id == MR_TYPE_DECIMAL && mr_decimal_is_exact(op, a, b, binding->type)) {
        binding->kernel = mr_kernel_decimal_exact;
        binding->flags |= MR_FN_TOTAL;
    }
    return MR_OK;
}

static enum mr_status bind_same_type(struct mr_binding *binding, char op)
{
    const struct mr_type *type = mr_common_type(binding->arena, binding->session,
                                                binding->args[0]->type, binding->args[1]->type);
    if (op == '/')
        type = mr_type_of(MR_TYPE_FLOAT64);
    if (op == 'D' && type != NULL && mr_type_is_integer(type))
        type = mr_type_of(MR_TYPE_INT64);
    for (int i = 0; i < 2; i++)
        MR_TRY(mr_bind_cast(binding, i, type));
    bool integers = mr_type_is_integer(type);
    if (op == 'D' && !integers)
        return not_numbers(binding, op);
    binding->type = type;
    if (divides(op))
        binding->kernel = integers ? kernel_integer_division : kernel_float_division;
    else
        binding->kernel = integers ? kernel_integers : kernel_floats;
    if (!integers && !divides(op))
        binding->flags |= MR_FN_TOTAL;
    return MR_OK;
}

enum mr_status mr_bind_arithmetic(struct mr_binding *binding, char op)
{
    MR_TRY(to_numbers(binding, op));
    const struct mr_type *a = binding->args[0]->type, *b = binding->args[1]->type;
    binding->data = strchr(mr_arithmetic_ops, op);
    if (divides(op))
        binding->flags |= MR_FN_LAST_FIRST;
    bool decimals = a->id == MR_TYPE_DECIMAL || b->id == MR_TYPE_DECIMAL;
    bool floats = mr_type_is_float(a) || mr_type_is_float(b);
    return decimals && !floats ? bind_decimals(binding, op) : bind_same_type(binding, op);
}

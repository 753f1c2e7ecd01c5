/*
 * cast_number.c - CAST among BOOL, integers, floating point and decimals.
 *
 * Each source value is read as int64, int128 or double and stored with the checks of the target; the widening casts that the binder puts
 * in front of comparisons and sums have loops of their own. With ANSI off integers wrap and floating point saturates, as Java does.
 */
#include "sql/cast_kernels.h"

#include "sql/arithmetic.h"
#include "sql/coerce.h"
#include "sql/vector.h"

#include <math.h>

#define WIDEN(name, from, to)                                                                      \
    static MR_VECTORISE void name(const void *in, void *out, int64_t count)                        \
    {                                                                                              \
        const from *restrict a = in;                                                               \
        to *restrict b = out;                                                                      \
        for (int64_t i = 0; i < count; i++)                                                        \
            b[i] = (to)a[i];                                                                       \
    }
WIDEN(widen_i8_i32, int8_t, int32_t)
WIDEN(widen_i16_i32, int16_t, int32_t)
WIDEN(widen_i8_i64, int8_t, int64_t)
WIDEN(widen_i16_i64, int16_t, int64_t)
WIDEN(widen_i32_i64, int32_t, int64_t)
WIDEN(widen_i32_f64, int32_t, double)
WIDEN(widen_i64_f64, int64_t, double)
WIDEN(widen_f32_f64, float, double)

static const struct {
    enum mr_type_id from, to;
    void (*loop)(const void *in, void *out, int64_t count);
} widenings[] = {
    {MR_TYPE_INT8, MR_TYPE_INT32, widen_i8_i32},
    {MR_TYPE_INT16, MR_TYPE_INT32, widen_i16_i32},
    {MR_TYPE_INT8, MR_TYPE_INT64, widen_i8_i64},
    {MR_TYPE_INT16, MR_TYPE_INT64, widen_i16_i64},
    {MR_TYPE_INT32, MR_TYPE_INT64, widen_i32_i64},
    {MR_TYPE_INT32, MR_TYPE_FLOAT64, widen_i32_f64},
    {MR_TYPE_INT64, MR_TYPE_FLOAT64, widen_i64_f64},
    {MR_TYPE_FLOAT32, MR_TYPE_FLOAT64, widen_f32_f64},
};

static enum mr_status try_widen(struct mr_call *call, bool *done, struct mr_column **out)
{
    const struct mr_column *in = call->args[0];
    *done = false;
    for (size_t i = 0; i < sizeof(widenings) / sizeof(widenings[0]); i++) {
        if (widenings[i].from != in->type->id || widenings[i].to != call->type->id)
            continue;
        struct mr_buffer *values;
        *done = true;
        MR_TRY(mr_fixed_new(call, &values));
        widenings[i].loop(in->values->data, values->data,
                          in->encoding == MR_CONSTANT ? 1 : call->length);
        return mr_fixed_finish(call, values, out);
    }
    return MR_OK;
}

static void overflow(struct mr_result *result, int64_t row, const struct mr_arg *arg)
{
    char from[48], to[48];
    mr_result_fail(result, row, "the %s value is out of the range of %s",
                   mr_type_text(arg->type, from, sizeof(from)),
                   mr_type_text(result->call->type, to, sizeof(to)));
}

static int64_t integer_limit(enum mr_type_id id)
{
    static const int64_t limits[] = {INT8_MAX, INT16_MAX, INT32_MAX, INT64_MAX};
    return limits[id - MR_TYPE_INT8];
}

static void store(struct mr_result *result, int64_t row, int64_t value)
{
    switch (result->call->type->id) {
    case MR_TYPE_INT8:
        MR_SET(result, int8_t, row, (int8_t)value);
        break;
    case MR_TYPE_INT16:
        MR_SET(result, int16_t, row, (int16_t)value);
        break;
    case MR_TYPE_INT32:
        MR_SET(result, int32_t, row, (int32_t)value);
        break;
    default:
        MR_SET(result, int64_t, row, value);
        break;
    }
}

static void store_checked(struct mr_result *result, int64_t row, const struct mr_arg *arg,
                          mr_int128 value)
{
    int64_t limit = integer_limit(result->call->type->id);
    bool fits = value <= limit && value >= -(mr_int128)limit - 1;
    if (fits || result->call->failure == MR_FAIL_WRAP)
        store(result, row, (int64_t)value);
    else
        overflow(result, row, arg);
}

/* Java's (int) and (long): NaN is 0, the ends saturate; narrower types wrap after that. */
static int64_t saturate(double value, enum mr_type_id id)
{
    double limit = id == MR_TYPE_INT64 ? 9223372036854775808.0 : 2147483648.0;
    if (isnan(value))
        return 0;
    if (value >= limit)
        return id == MR_TYPE_INT64 ? INT64_MAX : INT32_MAX;
    if (value < -limit)
        return id == MR_TYPE_INT64 ? INT64_MIN : INT32_MIN;
    return (int64_t)value;
}

static void double_to_integer(struct mr_result *result, int64_t row, const struct mr_arg *arg)
{
    enum mr_type_id id = result->call->type->id;
    double value = trunc(mr_arg_double(arg, row));
    double limit = (double)integer_limit(id) + (id == MR_TYPE_INT64 ? 0 : 1);
    if (value >= -limit && value < limit)
        store(result, row, (int64_t)value);
    else if (id == MR_TYPE_INT64 &&
             value == limit) /* Spark's check compares doubles: 2^63 passes */
        store(result, row, INT64_MAX);
    else if (result->call->failure == MR_FAIL_WRAP)
        store(result, row, saturate(value, id));
    else
        overflow(result, row, arg);
}

enum mr_status mr_cast_to_integer(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg arg = mr_arg_of(call, 0);
    struct mr_result result;
    bool done;
    if (call->rows == NULL) {
        MR_TRY(try_widen(call, &done, out));
        if (done)
            return MR_OK;
    }
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        if (arg.type->id == MR_TYPE_DECIMAL)
            store_checked(&result, row, &arg,
                          mr_arg_decimal(&arg, row) / mr_decimal_pow10(arg.type->scale));
        else if (mr_type_is_float(arg.type))
            double_to_integer(&result, row, &arg);
        else
            store_checked(&result, row, &arg, mr_arg_int(&arg, row));
    }
    return mr_result_finish(&result, out);
}

static double number_of(const struct mr_arg *arg, int64_t row)
{
    if (arg->type->id == MR_TYPE_DECIMAL)
        return mr_decimal_to_double(mr_arg_decimal(arg, row), arg->type->scale);
    if (mr_type_is_float(arg->type))
        return mr_arg_double(arg, row);
    return (double)mr_arg_int(arg, row);
}

enum mr_status mr_cast_to_float(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg arg = mr_arg_of(call, 0);
    struct mr_result result;
    bool done;
    if (call->rows == NULL) {
        MR_TRY(try_widen(call, &done, out));
        if (done)
            return MR_OK;
    }
    bool single = call->type->id == MR_TYPE_FLOAT32;
    mr_result_init(&result, call);
    if (result.status == MR_OK)
        MR_EACH_ROW(call, row)
        {
            if (single && (arg.type->id == MR_TYPE_INT64 || arg.type->id == MR_TYPE_INT32))
                MR_SET(&result, float, row, (float)mr_arg_int(&arg, row));
            else if (single)
                MR_SET(&result, float, row, (float)number_of(&arg, row));
            else
                MR_SET(&result, double, row, number_of(&arg, row));
        }
    return mr_result_finish(&result, out);
}

enum mr_status mr_cast_to_decimal(struct mr_call *call, struct mr_column **out)
{
    const struct mr_type *type = call->type;
    struct mr_arg arg = mr_arg_of(call, 0);
    struct mr_result result;
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        mr_int128 value;
        bool ok;
        if (result.status != MR_OK)
            break;
        if (arg.type->id == MR_TYPE_DECIMAL)
            ok =
                mr_decimal_rescale(mr_arg_decimal(&arg, row), arg.type->scale, type->scale, &value);
        else if (mr_type_is_float(arg.type))
            ok = mr_decimal_from_double(mr_arg_double(&arg, row), type->precision, type->scale,
                                        &value);
        else
            ok = mr_decimal_rescale(mr_arg_int(&arg, row), 0, type->scale, &value);
        bool no_number = mr_type_is_float(arg.type) && !isfinite(mr_arg_double(&arg, row));
        if (ok && mr_decimal_fits(value, type->precision))
            mr_result_decimal(&result, row, value);
        else if (call->failure == MR_FAIL_RAISE && !no_number)
            overflow(&result, row, &arg);
        else
            mr_result_null(&result, row);
    }
    return mr_result_finish(&result, out);
}

enum mr_status mr_cast_number_to_bool(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg arg = mr_arg_of(call, 0);
    struct mr_result result;
    mr_result_init(&result, call);
    if (result.status == MR_OK)
        MR_EACH_ROW(call, row)
        {
            bool set = arg.type->id == MR_TYPE_DECIMAL ? mr_arg_decimal(&arg, row) != 0
                       : mr_type_is_float(arg.type)    ? mr_arg_double(&arg, row) != 0
                                                       : mr_arg_int(&arg, row) != 0;
            MR_SET(&result, uint8_t, row, set);
        }
    return mr_result_finish(&result, out);
}

enum mr_status mr_cast_integer_to_binary(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg arg = mr_arg_of(call, 0);
    struct mr_result result;
    int width = mr_layout_width(mr_type_layout(arg.type));
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        char bytes[8];
        int64_t value = mr_arg_int(&arg, row);
        for (int i = width - 1; i >= 0; i--, value >>= 8)
            bytes[i] = (char)(value & 0xFF);
        mr_result_text(&result, row, bytes, (size_t)width);
    }
    return mr_result_finish(&result, out);
}

enum mr_status mr_cast_to_null(struct mr_call *call, struct mr_column **out)
{
    struct mr_result result;
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    mr_result_null(&result, row);
    return mr_result_finish(&result, out);
}

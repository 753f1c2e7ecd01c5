/*
 * functions_math.c - mathematical functions.
 *
 * What takes a double follows java.lang.Math: outside of its domain a result is NaN, except that logarithms of zero and less are
 * NULL, as in Spark. Rounding of doubles works on their shortest decimal text, as Java's BigDecimal does, so that
 * round(2.675, 2) is 2.68 although the double lies below it.
 */
#include "base/text.h"
#include "sql/arithmetic.h"
#include "sql/coerce.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Writes an integer of the result's own width. */
static void set_integer(struct mr_result *result, int64_t row, int64_t value)
{
    switch (mr_type_layout(result->call->type)) {
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
    }
}

static void set_float(struct mr_result *result, int64_t row, double value)
{
    if (result->call->type->id == MR_TYPE_FLOAT32)
        MR_SET(result, float, row, (float)value);
    else
        MR_SET(result, double, row, value);
}

static int64_t integer_minimum(const struct mr_type *type)
{
    return INT64_MIN >> (64 - 8 * mr_layout_width(mr_type_layout(type)));
}

/* abs, negative: decimals and floats always fit; the smallest integer has no positive counterpart. */
static enum mr_status kernel_signed(struct mr_call *call, bool only_negative,
                                    struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    struct mr_result result;
    mr_result_init(&result, call);
    if (result.status != MR_OK)
        return mr_result_finish(&result, out);
    MR_EACH_ROW(call, row)
    {
        if (x.type->id == MR_TYPE_DECIMAL) {
            mr_int128 value = mr_arg_decimal(&x, row);
            mr_result_decimal(&result, row, only_negative && value >= 0 ? value : -value);
        } else if (mr_type_is_float(x.type)) {
            double value = mr_arg_double(&x, row);
            set_float(&result, row, only_negative ? fabs(value) : -value);
        } else {
            int64_t value = mr_arg_int(&x, row);
            if (value == integer_minimum(x.type)) {
                if (call->failure == MR_FAIL_WRAP)
                    set_integer(&result, row, value);
                else
                    mr_overflow(&result, row);
            } else {
                set_integer(&result, row, only_negative && value >= 0 ? value : -value);
            }
        }
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_abs(struct mr_call *call, struct mr_column **out)
{
    return kernel_signed(call, true, out);
}

static enum mr_status kernel_negative(struct mr_call *call, struct mr_column **out)
{
    return kernel_signed(call, false, out);
}

/* Java's (long) of a double: NaN is 0, beyond the range the nearest bound. */
static int64_t saturate(double value)
{
    if (isnan(value))
        return 0;
    if (value >= 9223372036854775808.0)
        return INT64_MAX;
    return value < -9223372036854775808.0 ? INT64_MIN : (int64_t)value;
}

static enum mr_status kernel_whole(struct mr_call *call, bool up, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    struct mr_result result;
    mr_result_init(&result, call);
    if (result.status != MR_OK)
        return mr_result_finish(&result, out);
    mr_int128 one = x.type->id == MR_TYPE_DECIMAL ? mr_decimal_pow10(x.type->scale) : 1;
    MR_EACH_ROW(call, row)
    {
        if (x.type->id == MR_TYPE_DECIMAL) {
            mr_int128 value = mr_arg_decimal(&x, row);
            mr_int128 whole = value / one, rest = value % one;
            mr_result_decimal(&result, row, whole + (up ? rest > 0 : -(rest < 0)));
        } else if (mr_type_is_float(x.type)) {
            double value = mr_arg_double(&x, row);
            MR_SET(&result, int64_t, row, saturate(up ? ceil(value) : floor(value)));
        } else {
            MR_SET(&result, int64_t, row, mr_arg_int(&x, row));
        }
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_ceil(struct mr_call *call, struct mr_column **out)
{
    return kernel_whole(call, true, out);
}

static enum mr_status kernel_floor(struct mr_call *call, struct mr_column **out)
{
    return kernel_whole(call, false, out);
}

static enum mr_status bind_whole(struct mr_binding *binding)
{
    const struct mr_type *type = binding->args[0]->type;
    if (type->id != MR_TYPE_DECIMAL) {
        binding->type = mr_type_of(MR_TYPE_INT64);
        return MR_OK;
    }
    int precision = type->precision - type->scale + (type->scale > 0);
    if (precision > MR_DECIMAL_MAX_PRECISION)
        precision = MR_DECIMAL_MAX_PRECISION;
    binding->type = mr_type_decimal(binding->arena, precision, 0);
    return binding->type ? MR_OK : mr_error_nomem(binding->err);
}

enum rounding_mode { HALF_UP, HALF_EVEN, UPWARDS, DOWNWARDS };

/* What bind leaves for round, bround, and ceil and floor to digits. */
struct rounding {
    int digits;
    enum rounding_mode mode;
};

/*
 * Rounds |digits| of a number given as text ("-12.5", "1.0E-7", "1e+20") behind the point. The decimal digits are
 * collected, cut with the half rule, and read back as a double.
 */
static double round_text(const char *text, const struct rounding *rounding)
{
    char digits[64], built[96];
    int count = 0, point = 0, exponent = 0;
    bool negative = *text == '-', seen_point = false;
    for (text += negative; *text && *text != 'e' && *text != 'E'; text++) {
        if (*text == '.') {
            seen_point = true;
            continue;
        }
        if (count < (int)sizeof(digits)) {
            digits[count++] = *text;
            point += !seen_point;
        }
    }
    if (*text)
        exponent = atoi(text + 1);
    point += exponent;
    int keep = point + rounding->digits; /* digits that stay */
    if (keep >= count)
        keep = count;
    else if (keep < 0)
        return 0.0; /* a BigDecimal has no negative zero */
    bool up = false;
    if (keep < count) {
        bool rest = false;
        for (int i = keep + 1; i < count; i++)
            rest |= digits[i] != '0';
        char next = digits[keep];
        up = next > '5' || (next == '5' && (rest || rounding->mode != HALF_EVEN));
        if (next == '5' && !rest && rounding->mode == HALF_EVEN)
            up = keep > 0 && (digits[keep - 1] - '0') % 2 == 1;
    }
    for (int i = keep - 1; up && i >= 0; i--) {
        up = digits[i] == '9';
        digits[i] = up ? '0' : (char)(digits[i] + 1);
    }
    int size = snprintf(built, sizeof(built), "%s%s%.*se%d", negative ? "-" : "", up ? "1" : "0",
                        keep, digits, point - keep);
    double value = 0;
    mr_text_to_double((struct mr_slice){built, (size_t)size}, false, &value);
    return value == 0 ? 0.0 : value;
}

static double round_float(const struct mr_arg *x, int64_t row, const struct rounding *rounding)
{
    char text[MR_DOUBLE_TEXT_MAX];
    double value = mr_arg_double(x, row);
    if (!isfinite(value))
        return value;
    if (value == 0)
        return 0.0;
    if (rounding->digits >= 0 && fabs(value) >= 4503599627370496.0)
        return value;
    int size = mr_double_to_text(value, text); /* of a FLOAT too: Java widens it first */
    text[size] = '\0';
    return round_text(text, rounding);
}

/* value / unit rounded, times unit. */
static mr_int128 round_integer(mr_int128 value, mr_int128 unit, enum rounding_mode mode)
{
    mr_int128 whole = value / unit, rest = value % unit;
    mr_int128 twice = (rest < 0 ? -rest : rest) * 2;
    bool up = twice > unit || (twice == unit && (mode != HALF_EVEN || whole % 2 != 0));
    if (mode == UPWARDS || mode == DOWNWARDS)
        up = mode == UPWARDS ? rest > 0 : rest < 0;
    return whole + (up ? (value < 0 ? -1 : 1) : 0);
}

static enum mr_status kernel_round(struct mr_call *call, struct mr_column **out)
{
    const struct rounding *rounding = call->data;
    struct mr_arg x = mr_arg_of(call, 0);
    struct mr_result result;
    mr_result_init(&result, call);
    if (result.status != MR_OK)
        return mr_result_finish(&result, out);
    MR_EACH_ROW(call, row)
    {
        if (mr_type_is_float(x.type)) {
            set_float(&result, row, round_float(&x, row, rounding));
            continue;
        }
        bool decimal = x.type->id == MR_TYPE_DECIMAL;
        mr_int128 value = decimal ? mr_arg_decimal(&x, row) : mr_arg_int(&x, row);
        int drop = (decimal ? x.type->scale : 0) - rounding->digits;
        if (drop > MR_DECIMAL_MAX_PRECISION)
            value = 0;
        else if (drop > 0)
            value = round_integer(value, mr_decimal_pow10(drop), rounding->mode);
        /* Digits before the point that were rounded off come back as zeros. */
        if (rounding->digits < 0 && value != 0)
            value *= mr_decimal_pow10(-rounding->digits);
        if (decimal && mr_decimal_fits(value, call->type->precision))
            mr_result_decimal(&result, row, value);
        else if (!decimal && value == (mr_int128)(int64_t)value &&
                 value >= integer_minimum(x.type) &&
                 value <= -(mr_int128)integer_minimum(x.type) - 1)
            set_integer(&result, row, (int64_t)value);
        else if (!decimal && call->failure == MR_FAIL_WRAP)
            set_integer(&result, row, (int64_t)value);
        else
            mr_overflow(&result, row);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status bind_rounding(struct mr_binding *binding, enum rounding_mode mode)
{
    struct rounding *rounding = mr_arena_calloc(binding->arena, 1, sizeof(*rounding));
    const struct mr_type *type = binding->args[0]->type;
    struct mr_value digits = {.u.i64 = 0};
    if (!rounding)
        return mr_error_nomem(binding->err);
    if (binding->nargs > 1 && !mr_bind_constant(binding, 1, &digits))
        return mr_bind_fail(binding, 1, "the number of digits must be a constant");
    if (digits.is_null)
        return mr_bind_null(binding, type, &binding->replacement);
    int64_t wanted = digits.u.i64;
    wanted = wanted > 400 ? 400 : wanted < -400 ? -400 : wanted;
    rounding->digits = (int)wanted;
    rounding->mode = mode;
    binding->data = rounding;
    binding->type = type;
    if (type->id == MR_TYPE_DECIMAL) {
        int whole = type->precision - type->scale + 1;
        int scale = wanted < 0 ? 0 : wanted < type->scale ? (int)wanted : type->scale;
        int precision = wanted < 0 && -wanted + 1 > whole ? (int)-wanted + 1 : whole + scale;
        if (precision > MR_DECIMAL_MAX_PRECISION)
            precision = MR_DECIMAL_MAX_PRECISION;
        binding->type = mr_type_decimal(binding->arena, precision, scale);
        if (wanted > type->scale)
            rounding->digits = type->scale;
    }
    return binding->type ? MR_OK : mr_error_nomem(binding->err);
}

static enum mr_status bind_round(struct mr_binding *binding)
{
    return bind_rounding(binding, HALF_UP);
}

static enum mr_status bind_bround(struct mr_binding *binding)
{
    return bind_rounding(binding, HALF_EVEN);
}

/* ceil and floor to digits work on decimals only, as in Spark. */
static enum mr_status bind_directed(struct mr_binding *binding, enum rounding_mode mode)
{
    const struct mr_type *type = binding->args[0]->type;
    const struct mr_type *decimal =
        type->id == MR_TYPE_FLOAT32   ? mr_type_decimal(binding->arena, 14, 7)
        : type->id == MR_TYPE_FLOAT64 ? mr_type_decimal(binding->arena, 30, 15)
                                      : mr_decimal_for(binding->arena, type);
    MR_TRY(mr_bind_cast(binding, 0, decimal));
    return bind_rounding(binding, mode);
}

static enum mr_status bind_ceil_digits(struct mr_binding *binding)
{
    return bind_directed(binding, UPWARDS);
}

static enum mr_status bind_floor_digits(struct mr_binding *binding)
{
    return bind_directed(binding, DOWNWARDS);
}

MR_KERNEL_UNARY(kernel_sqrt, double, double, sqrt(x))
/* cbrt of the C library may be off by one unit, and 3 must be 3. */
static double cube_root(double x)
{
    return (double)cbrtl((long double)x);
}
MR_KERNEL_UNARY(kernel_cbrt, double, double, cube_root(x))
MR_KERNEL_UNARY(kernel_exp, double, double, exp(x))
MR_KERNEL_UNARY(kernel_expm1, double, double, expm1(x))
MR_KERNEL_UNARY(kernel_sin, double, double, sin(x))
MR_KERNEL_UNARY(kernel_cos, double, double, cos(x))
MR_KERNEL_UNARY(kernel_tan, double, double, tan(x))
MR_KERNEL_UNARY(kernel_cot, double, double, 1.0 / tan(x))
MR_KERNEL_UNARY(kernel_sec, double, double, 1.0 / cos(x))
MR_KERNEL_UNARY(kernel_csc, double, double, 1.0 / sin(x))
MR_KERNEL_UNARY(kernel_asin, double, double, asin(x))
MR_KERNEL_UNARY(kernel_acos, double, double, acos(x))
MR_KERNEL_UNARY(kernel_atan, double, double, atan(x))
MR_KERNEL_UNARY(kernel_sinh, double, double, sinh(x))
MR_KERNEL_UNARY(kernel_cosh, double, double, cosh(x))
MR_KERNEL_UNARY(kernel_tanh, double, double, tanh(x))
/* Spark's formulas, whose last digits differ from the C library's functions. */
MR_KERNEL_UNARY(kernel_asinh, double, double, x == -INFINITY ? x : log(x + sqrt(x * x + 1.0)))
MR_KERNEL_UNARY(kernel_acosh, double, double, log(x + sqrt(x * x - 1.0)))
MR_KERNEL_UNARY(kernel_atanh, double, double, 0.5 * (log1p(x) - log1p(-x)))
MR_KERNEL_UNARY(kernel_degrees, double, double, x *(180.0 / M_PI))
MR_KERNEL_UNARY(kernel_radians, double, double, x *(M_PI / 180.0))
MR_KERNEL_UNARY(kernel_rint, double, double, rint(x))
MR_KERNEL_UNARY(kernel_signum, double, double, isnan(x) || x == 0 ? x : x > 0 ? 1.0 : -1.0)
MR_KERNEL_UNARY(kernel_bit_count, int32_t, int64_t, __builtin_popcountll((unsigned long long)x))
MR_KERNEL_BINARY(kernel_atan2, double, double, double, atan2(x + 0.0, y + 0.0)) /* -0.0 as 0.0 */
MR_KERNEL_BINARY(kernel_hypot, double, double, double, hypot(x, y))

/* Math.pow, which differs from C: 1 to NaN is NaN, and (+-1) to an infinity is NaN. */
static double java_pow(double x, double y)
{
    if (isnan(y) || (fabs(x) == 1 && isinf(y)))
        return NAN;
    return pow(x, y);
}
MR_KERNEL_BINARY(kernel_pow, double, double, double, java_pow(x, y))

/* A logarithm: NULL for zero and less. `shift` 1 for log1p. */
static enum mr_status logarithm(struct mr_call *call, double (*function)(double), double least,
                                struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    struct mr_result result;
    mr_result_init(&result, call);
    if (result.status != MR_OK)
        return mr_result_finish(&result, out);
    MR_EACH_ROW(call, row)
    {
        double value = MR_ARG(x, double, row);
        if (value <= least)
            mr_result_null(&result, row);
        else
            MR_SET(&result, double, row, function(value));
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_ln(struct mr_call *call, struct mr_column **out)
{
    return logarithm(call, log, 0, out);
}

static enum mr_status kernel_log10(struct mr_call *call, struct mr_column **out)
{
    return logarithm(call, log10, 0, out);
}

/* Spark's quotient: log2(536870912) is 29.000000000000004. */
static double log_two(double x)
{
    return log(x) / log(2.0);
}

static enum mr_status kernel_log2(struct mr_call *call, struct mr_column **out)
{
    return logarithm(call, log_two, 0, out);
}

static enum mr_status kernel_log1p(struct mr_call *call, struct mr_column **out)
{
    return logarithm(call, log1p, -1, out);
}

static enum mr_status kernel_log_base(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg base = mr_arg_of(call, 0), x = mr_arg_of(call, 1);
    struct mr_result result;
    mr_result_init(&result, call);
    if (result.status != MR_OK)
        return mr_result_finish(&result, out);
    MR_EACH_ROW(call, row)
    {
        double b = MR_ARG(base, double, row), value = MR_ARG(x, double, row);
        if (b <= 0 || value <= 0)
            mr_result_null(&result, row);
        else
            MR_SET(&result, double, row, log(value) / log(b));
    }
    return mr_result_finish(&result, out);
}

/* 0! .. 20! fit into 64 bits; outside of that NULL. */
static enum mr_status kernel_factorial(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0);
    struct mr_result result;
    mr_result_init(&result, call);
    if (result.status != MR_OK)
        return mr_result_finish(&result, out);
    MR_EACH_ROW(call, row)
    {
        int32_t n = MR_ARG(x, int32_t, row);
        int64_t product = 1;
        for (int32_t i = 2; i <= n && i <= 20; i++)
            product *= i;
        if (n < 0 || n > 20)
            mr_result_null(&result, row);
        else
            MR_SET(&result, int64_t, row, product);
    }
    return mr_result_finish(&result, out);
}

/* Shifts by the low bits of the count, as Java does. */
static enum mr_status kernel_shift(struct mr_call *call, char direction, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), by = mr_arg_of(call, 1);
    struct mr_result result;
    mr_result_init(&result, call);
    bool wide = call->type->id == MR_TYPE_INT64;
    if (result.status != MR_OK)
        return mr_result_finish(&result, out);
    MR_EACH_ROW(call, row)
    {
        int64_t value = mr_arg_int(&x, row);
        int count = MR_ARG(by, int32_t, row) & (wide ? 63 : 31);
        uint64_t bits = wide ? (uint64_t)value : (uint32_t)value;
        if (direction == 'l')
            set_integer(&result, row, (int64_t)(bits << count));
        else if (direction == 'u')
            set_integer(&result, row, (int64_t)(bits >> count));
        else
            set_integer(&result, row, value >> count);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_shift_left(struct mr_call *call, struct mr_column **out)
{
    return kernel_shift(call, 'l', out);
}

static enum mr_status kernel_shift_right(struct mr_call *call, struct mr_column **out)
{
    return kernel_shift(call, 'r', out);
}

static enum mr_status kernel_shift_unsigned(struct mr_call *call, struct mr_column **out)
{
    return kernel_shift(call, 'u', out);
}

/* Narrower integers are shifted as INT. */
static enum mr_status bind_shift(struct mr_binding *binding)
{
    if (binding->args[0]->type->id != MR_TYPE_INT64)
        MR_TRY(mr_bind_cast(binding, 0, mr_type_of(MR_TYPE_INT32)));
    binding->type = binding->args[0]->type;
    return MR_OK;
}

/* A bit of the two's complement; a position outside of the type is an error whatever the ANSI mode. */
static enum mr_status kernel_bit_get(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), at = mr_arg_of(call, 1);
    MR_RESULT_BEGIN(call, result, out);
    int bits = 8 * mr_layout_width(mr_type_layout(x.type));
    MR_EACH_ROW(call, row)
    {
        int32_t position = MR_ARG(at, int32_t, row);
        if (position < 0 || position >= bits) {
            result.status =
                mr_call_fail(call, "the position %d is outside of 0 to %d", position, bits - 1);
            break;
        }
        MR_SET(&result, int8_t, row, (int8_t)(mr_arg_int(&x, row) >> position & 1));
    }
    return mr_result_finish(&result, out);
}

static enum mr_status bind_bit_get(struct mr_binding *binding)
{
    binding->type = mr_type_of(MR_TYPE_INT8);
    return MR_OK;
}

/* Number of the bucket of equal width, from 1; 0 and count + 1 outside; NULL where there are no such buckets. */
static enum mr_status kernel_width_bucket(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), from = mr_arg_of(call, 1), to = mr_arg_of(call, 2);
    struct mr_arg count = mr_arg_of(call, 3);
    struct mr_result result;
    mr_result_init(&result, call);
    if (result.status != MR_OK)
        return mr_result_finish(&result, out);
    MR_EACH_ROW(call, row)
    {
        double value = MR_ARG(x, double, row), low = MR_ARG(from, double, row);
        double high = MR_ARG(to, double, row);
        int64_t n = MR_ARG(count, int64_t, row);
        bool down = low > high;
        if (n <= 0 || n == INT64_MAX || isnan(value) || low == high || !isfinite(low) ||
            !isfinite(high))
            mr_result_null(&result, row);
        else if (down ? value > low : value < low)
            MR_SET(&result, int64_t, row, 0);
        else if (down ? value <= high : value >= high)
            MR_SET(&result, int64_t, row, n + 1);
        else
            MR_SET(&result, int64_t, row,
                   (int64_t)((uint64_t)saturate((double)n * (down ? low - value : value - low) /
                                                (down ? low - high : high - low)) +
                             1)); /* wraps around, as Java does */
    }
    return mr_result_finish(&result, out);
}

static enum mr_status constant(struct mr_call *call, double value, struct mr_column **out)
{
    struct mr_value held = {.type = call->type, .u.f64 = value};
    return mr_column_new_constant(call->memory, call->type, &held, call->length, out, call->err);
}

static enum mr_status kernel_pi(struct mr_call *call, struct mr_column **out)
{
    return constant(call, M_PI, out);
}

static enum mr_status kernel_e(struct mr_call *call, struct mr_column **out)
{
    return constant(call, M_E, out);
}

static enum mr_status bind_positive(struct mr_binding *binding)
{
    binding->replacement = binding->args[0];
    return MR_OK;
}

#define MATH(names_, args_, result_, flags_, kernel_, bind_, signature_, doc_)                     \
    {                                                                                              \
        .names = names_, .args = args_, .result = result_, .flags = flags_, .kernel = kernel_,     \
        .bind = bind_, .signature = signature_, .family = "math", .doc = doc_                      \
    }
#define OF_DOUBLE(name_, kernel_, doc_)                                                            \
    MATH(name_, "d", "d", MR_FN_TOTAL, kernel_, NULL, name_ "(number)", doc_)

static const struct mr_function functions[] = {
    MATH("abs", "n", "0", 0, kernel_abs, NULL, "abs(number)", "Absolute value."),
    MATH("negative", "n", "0", 0, kernel_negative, NULL, "negative(number)", "The number negated."),
    MATH("positive", "n", "!", MR_FN_TOTAL, mr_kernel_replaced, bind_positive, "positive(number)",
         "The number itself."),
    MATH("ceil ceiling", "n", "!", MR_FN_TOTAL, kernel_ceil, bind_whole, "ceil(number)",
         "The least whole number that is not less."),
    MATH("floor", "n", "!", MR_FN_TOTAL, kernel_floor, bind_whole, "floor(number)",
         "The greatest whole number that is not greater."),
    MATH("ceil ceiling", "ni", "!", 0, kernel_round, bind_ceil_digits, "ceil(number, digits)",
         "The least decimal with so many digits behind the point that is not less."),
    MATH("floor", "ni", "!", 0, kernel_round, bind_floor_digits, "floor(number, digits)",
         "The greatest decimal with so many digits behind the point that is not greater."),
    MATH("round", "n?i", "!", 0, kernel_round, bind_round, "round(number[, digits])",
         "Rounded half away from zero to so many digits behind the point (before it if negative)."),
    MATH("bround", "n?i", "!", 0, kernel_round, bind_bround, "bround(number[, digits])",
         "Rounded half to even."),
    OF_DOUBLE("sqrt", kernel_sqrt, "Square root."),
    OF_DOUBLE("cbrt", kernel_cbrt, "Cube root."),
    OF_DOUBLE("exp", kernel_exp, "e to the power of the number."),
    OF_DOUBLE("expm1", kernel_expm1, "exp(number) - 1, exact near zero."),
    OF_DOUBLE("sin", kernel_sin, "Sine of an angle in radians."),
    OF_DOUBLE("cos", kernel_cos, "Cosine of an angle in radians."),
    OF_DOUBLE("tan", kernel_tan, "Tangent of an angle in radians."),
    OF_DOUBLE("cot", kernel_cot, "Cotangent of an angle in radians."),
    OF_DOUBLE("sec", kernel_sec, "Secant of an angle in radians."),
    OF_DOUBLE("csc", kernel_csc, "Cosecant of an angle in radians."),
    OF_DOUBLE("asin", kernel_asin, "Arc sine, in radians."),
    OF_DOUBLE("acos", kernel_acos, "Arc cosine, in radians."),
    OF_DOUBLE("atan", kernel_atan, "Arc tangent, in radians."),
    OF_DOUBLE("sinh", kernel_sinh, "Hyperbolic sine."),
    OF_DOUBLE("cosh", kernel_cosh, "Hyperbolic cosine."),
    OF_DOUBLE("tanh", kernel_tanh, "Hyperbolic tangent."),
    OF_DOUBLE("asinh", kernel_asinh, "Inverse hyperbolic sine."),
    OF_DOUBLE("acosh", kernel_acosh, "Inverse hyperbolic cosine."),
    OF_DOUBLE("atanh", kernel_atanh, "Inverse hyperbolic tangent."),
    OF_DOUBLE("degrees", kernel_degrees, "Radians as degrees."),
    OF_DOUBLE("radians", kernel_radians, "Degrees as radians."),
    OF_DOUBLE("rint", kernel_rint, "The nearest whole number as a double, half to even."),
    MATH("sign signum", "d", "d", MR_FN_TOTAL, kernel_signum, NULL, "sign(number)",
         "-1.0, 0.0 or 1.0."),
    MATH("atan2", "dd", "d", MR_FN_TOTAL, kernel_atan2, NULL, "atan2(y, x)",
         "Angle of the point (x, y), in radians."),
    MATH("hypot", "dd", "d", MR_FN_TOTAL, kernel_hypot, NULL, "hypot(a, b)",
         "sqrt(a*a + b*b) without overflow inside."),
    MATH("pow power", "dd", "d", MR_FN_TOTAL, kernel_pow, NULL, "pow(base, exponent)",
         "base to the power of exponent."),
    MATH("ln", "d", "d", MR_FN_TOTAL | MR_FN_MAY_NULL, kernel_ln, NULL, "ln(number)",
         "Natural logarithm; NULL for zero and less."),
    MATH("log", "d", "d", MR_FN_TOTAL | MR_FN_MAY_NULL, kernel_ln, NULL, "log([base, ]number)",
         "Logarithm, natural without a base; NULL for zero and less."),
    MATH("log", "dd", "d", MR_FN_TOTAL | MR_FN_MAY_NULL, kernel_log_base, NULL, NULL, NULL),
    MATH("log10", "d", "d", MR_FN_TOTAL | MR_FN_MAY_NULL, kernel_log10, NULL, "log10(number)",
         "Logarithm to base 10; NULL for zero and less."),
    MATH("log2", "d", "d", MR_FN_TOTAL | MR_FN_MAY_NULL, kernel_log2, NULL, "log2(number)",
         "Logarithm to base 2; NULL for zero and less."),
    MATH("log1p", "d", "d", MR_FN_TOTAL | MR_FN_MAY_NULL, kernel_log1p, NULL, "log1p(number)",
         "ln(1 + number), exact near zero; NULL for -1 and less."),
    MATH("factorial", "i", "l", MR_FN_TOTAL | MR_FN_MAY_NULL, kernel_factorial, NULL,
         "factorial(number)", "Factorial of 0 to 20; NULL outside of that."),
    MATH("shiftleft", "ai", "!", MR_FN_TOTAL, kernel_shift_left, bind_shift,
         "shiftleft(number, bits)", "Shifted left."),
    MATH("shiftright", "ai", "!", MR_FN_TOTAL, kernel_shift_right, bind_shift,
         "shiftright(number, bits)", "Shifted right, the sign kept."),
    MATH("bit_get getbit", "Ii", "!", 0, kernel_bit_get, bind_bit_get, "bit_get(number, position)",
         "The bit at a position from 0, the lowest."),
    MATH("shiftrightunsigned", "ai", "!", MR_FN_TOTAL, kernel_shift_unsigned, bind_shift,
         "shiftrightunsigned(number, bits)", "Shifted right, zeros brought in."),
    MATH("width_bucket", "dddl", "l", MR_FN_TOTAL | MR_FN_MAY_NULL, kernel_width_bucket, NULL,
         "width_bucket(number, low, high, count)",
         "Number of the bucket, of so many equal ones between low and high, from 1."),
    MATH("bit_count", "l", "i", MR_FN_TOTAL, kernel_bit_count, NULL, "bit_count(number)",
         "Number of bits set in the 64-bit form."),
    MATH("pi", "", "d", MR_FN_TOTAL | MR_FN_NULLS, kernel_pi, NULL, "pi()", "The number pi."),
    MATH("e", "", "d", MR_FN_TOTAL | MR_FN_NULLS, kernel_e, NULL, "e()", "Euler's number."),
};

const struct mr_function_family mr_functions_math = {functions,
                                                     sizeof(functions) / sizeof(functions[0])};

/*
 * cast_time.c - CAST among DATE, TIMESTAMP and TIMESTAMP_NTZ in the session's zone, and TIMESTAMP as seconds.
 */
#include "base/time.h"
#include "sql/arithmetic.h"
#include "sql/cast_kernels.h"
#include "sql/coerce.h"
#include "sql/datetime.h"

#include <math.h>

static int64_t floor_day(int64_t micros)
{
    return micros / MR_MICROS_PER_DAY - (micros % MR_MICROS_PER_DAY < 0);
}

/* Any of the three as local microseconds. */
static int64_t local_of(const struct mr_arg *arg, const struct mr_tz *tz, int64_t row)
{
    if (arg->type->id == MR_TYPE_DATE)
        return MR_ARG(*arg, int32_t, row) * MR_MICROS_PER_DAY;
    int64_t micros = MR_ARG(*arg, int64_t, row);
    return arg->type->id == MR_TYPE_TIMESTAMP && tz ? mr_tz_to_local(tz, micros) : micros;
}

static bool day_fits(const struct mr_arg *arg, int64_t row)
{
    int64_t limit = INT64_MAX / MR_MICROS_PER_DAY - 1;
    if (arg->type->id != MR_TYPE_DATE)
        return true;
    return MR_ARG(*arg, int32_t, row) <= limit && MR_ARG(*arg, int32_t, row) >= -limit;
}

/* Did the offset of the zone carry an instant beyond what 64 bits hold? */
static bool wraps(int64_t utc, int64_t local)
{
    return (utc < 0) != (local < 0) && (utc > MR_MICROS_PER_DAY || utc < -MR_MICROS_PER_DAY);
}

/* The local day of an instant whose local microseconds do not fit. */
static int32_t wide_day(const struct mr_tz *tz, int64_t utc)
{
    mr_int128 local = (mr_int128)utc + (mr_int128)mr_tz_offset_at(tz, utc) * MR_MICROS_PER_SECOND;
    mr_int128 day = local / MR_MICROS_PER_DAY;
    return (int32_t)(day - (local % MR_MICROS_PER_DAY < 0));
}

enum mr_status mr_cast_datetime(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg arg = mr_arg_of(call, 0);
    const struct mr_tz *tz = call->session->tz;
    struct mr_result result;
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        if (!day_fits(&arg, row)) {
            if (call->type->id == MR_TYPE_DATE)
                continue;
            mr_time_overflow(&result, row);
            continue;
        }
        int64_t local = local_of(&arg, tz, row);
        if (arg.type->id == MR_TYPE_TIMESTAMP && tz && wraps(MR_ARG(arg, int64_t, row), local)) {
            if (call->type->id == MR_TYPE_DATE)
                MR_SET(&result, int32_t, row, wide_day(tz, MR_ARG(arg, int64_t, row)));
            else
                mr_time_overflow(&result, row);
            continue;
        }
        if (call->type->id == MR_TYPE_DATE)
            MR_SET(&result, int32_t, row, (int32_t)floor_day(local));
        else if (call->type->id == MR_TYPE_TIMESTAMP && tz)
            MR_SET(&result, int64_t, row, mr_tz_to_utc(tz, local));
        else
            MR_SET(&result, int64_t, row, local);
    }
    return mr_result_finish(&result, out);
}

static bool store_seconds(struct mr_result *result, int64_t row, int64_t micros)
{
    const struct mr_type *type = result->call->type;
    int64_t seconds = micros / 1000000 - (micros % 1000000 < 0);
    mr_int128 decimal;
    switch (type->id) {
    case MR_TYPE_BOOL:
        MR_SET(result, uint8_t, row, micros != 0);
        return true;
    case MR_TYPE_INT64:
        MR_SET(result, int64_t, row, seconds);
        return true;
    case MR_TYPE_INT32:
        MR_SET(result, int32_t, row, (int32_t)seconds);
        return seconds == (int32_t)seconds;
    case MR_TYPE_INT16:
        MR_SET(result, int16_t, row, (int16_t)seconds);
        return seconds == (int16_t)seconds;
    case MR_TYPE_INT8:
        MR_SET(result, int8_t, row, (int8_t)seconds);
        return seconds == (int8_t)seconds;
    case MR_TYPE_FLOAT32:
        MR_SET(result, float, row, (float)((double)micros / 1e6));
        return true;
    case MR_TYPE_FLOAT64:
        MR_SET(result, double, row, (double)micros / 1e6);
        return true;
    default:
        /* By way of a double, as Spark does. */
        if (!mr_decimal_from_double((double)micros / 1e6, type->precision, type->scale, &decimal))
            return false;
        mr_result_decimal(result, row, decimal);
        return true;
    }
}

enum mr_status mr_cast_timestamp_to_number(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg arg = mr_arg_of(call, 0);
    struct mr_result result;
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        bool integer = mr_type_is_integer(call->type);
        if (!store_seconds(&result, row, MR_ARG(arg, int64_t, row)) &&
            !(integer && call->failure == MR_FAIL_WRAP))
            mr_overflow(&result, row);
    }
    return mr_result_finish(&result, out);
}

/* BigDecimal.longValue(): the low 64 bits of the whole part, of value * 10^6. */
static int64_t wrapped_micros(mr_int128 value, int scale)
{
    if (scale >= 6)
        return (int64_t)(value / mr_decimal_pow10(scale - 6));
    return (int64_t)((mr_uint128)value * (mr_uint128)mr_decimal_pow10(6 - scale));
}

/* What Spark gives with ANSI off for what does not fit: decimals wrap around, the others saturate. */
static int64_t clamped_micros(const struct mr_arg *arg, int64_t row)
{
    if (arg->type->id == MR_TYPE_DECIMAL)
        return wrapped_micros(mr_arg_decimal(arg, row), arg->type->scale);
    if (mr_type_is_float(arg->type))
        return mr_arg_double(arg, row) < 0 ? INT64_MIN : INT64_MAX;
    return mr_arg_int(arg, row) < 0 ? INT64_MIN : INT64_MAX;
}

static bool number_to_micros(const struct mr_arg *arg, int64_t row, int64_t *micros)
{
    mr_int128 decimal;
    if (arg->type->id == MR_TYPE_BOOL) {
        *micros = mr_arg_int(arg, row);
        return true;
    }
    if (arg->type->id == MR_TYPE_DECIMAL) {
        if (!mr_decimal_rescale(mr_arg_decimal(arg, row), arg->type->scale, 6, &decimal) ||
            decimal > INT64_MAX || decimal < INT64_MIN)
            return false;
        *micros = (int64_t)decimal;
        return true;
    }
    if (mr_type_is_float(arg->type)) {
        double value = mr_arg_double(arg, row) * 1e6;
        if (!(value > -9.2233720368547e18 && value < 9.2233720368547e18))
            return false;
        *micros = (int64_t)value;
        return true;
    }
    return !__builtin_mul_overflow(mr_arg_int(arg, row), 1000000, micros);
}

enum mr_status mr_cast_number_to_timestamp(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg arg = mr_arg_of(call, 0);
    struct mr_result result;
    mr_result_init(&result, call);
    MR_EACH_ROW(call, row)
    {
        int64_t micros;
        if (result.status != MR_OK)
            break;
        bool no_number = mr_type_is_float(arg.type) && !isfinite(mr_arg_double(&arg, row));
        if (number_to_micros(&arg, row, &micros))
            MR_SET(&result, int64_t, row, micros);
        else if (call->failure == MR_FAIL_WRAP && !no_number)
            MR_SET(&result, int64_t, row, clamped_micros(&arg, row));
        else
            mr_overflow(&result, row);
    }
    return mr_result_finish(&result, out);
}

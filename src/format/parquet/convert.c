/*
 * convert.c - one table of what becomes what, and the loops.
 *
 * Anything whole is taken through a 128-bit integer, compared with the range that its annotation allows, divided or
 * multiplied (units of time, scales of decimals) and stored in the layout of the column. That is slow for what is common,
 * so the common cases have loops of their own: values taken as they lie, 32 bits to 64, and big-endian decimals.
 * A value that does not fit is an error and never wraps.
 */
#include "format/parquet/convert.h"

#define MICROS_PER_DAY   INT64_C(86400000000)
#define JULIAN_EPOCH_DAY 2440588

/* ---- what becomes what ---- */

static void range_of_bits(struct mr_pq_convert *convert, int bits, bool is_signed)
{
    convert->low = is_signed ? -((mr_int128)1 << (bits - 1)) : 0;
    convert->high = ((mr_int128)1 << (is_signed ? bits - 1 : bits)) - 1;
}

/* Sets what depends on the file's column alone, its range included. */
static void describe(const struct mr_pq_node *node, struct mr_pq_convert *convert)
{
    static const enum mr_pq_from plain[] = {
        [MR_PQ_T_BOOLEAN] = MR_PQ_IN_BOOL,      [MR_PQ_T_INT32] = MR_PQ_IN_INT32,
        [MR_PQ_T_INT64] = MR_PQ_IN_INT64,       [MR_PQ_T_INT96] = MR_PQ_IN_INT96,
        [MR_PQ_T_FLOAT] = MR_PQ_IN_FLOAT,       [MR_PQ_T_DOUBLE] = MR_PQ_IN_DOUBLE,
        [MR_PQ_T_BYTE_ARRAY] = MR_PQ_IN_BINARY, [MR_PQ_T_FIXED] = MR_PQ_IN_BINARY,
    };
    static const int widths[] = {1, 4, 8, 12, 4, 8, 0, 0};
    const struct mr_pq_element *element = node->element;
    convert->physical = element->type;
    convert->from = plain[element->type];
    convert->width = element->type == MR_PQ_T_FIXED ? element->length : widths[element->type];
    convert->divide = 1;
    convert->multiply = 1;
    if (element->type == MR_PQ_T_INT32 || element->type == MR_PQ_T_INT64)
        range_of_bits(convert, element->type == MR_PQ_T_INT32 ? 32 : 64, true);
    switch (element->logical) {
    case MR_PQ_L_INTEGER:
        if (!element->is_signed)
            convert->from = element->type == MR_PQ_T_INT32 ? MR_PQ_IN_UINT32 : MR_PQ_IN_UINT64;
        if (node->type->id != MR_TYPE_NULL && element->bits > 0)
            range_of_bits(convert, element->bits, element->is_signed);
        convert->check = element->bits < 32;
        break;
    case MR_PQ_L_DECIMAL:
        if (convert->from == MR_PQ_IN_BINARY)
            convert->from = MR_PQ_IN_BIG_ENDIAN;
        convert->high = mr_decimal_pow10(node->type->precision) - 1;
        convert->low = -convert->high;
        convert->check = true;
        break;
    case MR_PQ_L_TIME:
    case MR_PQ_L_TIMESTAMP:
        convert->multiply = element->unit == MR_PQ_MILLIS ? 1000 : 1;
        convert->divide = element->unit == MR_PQ_NANOS ? 1000 : 1;
        break;
    case MR_PQ_L_UNKNOWN:
        convert->from = MR_PQ_IN_NOTHING;
        break;
    case MR_PQ_L_FLOAT16:
        convert->from = MR_PQ_IN_FLOAT16;
        break;
    case MR_PQ_L_INTERVAL:
        convert->from = MR_PQ_IN_INTERVAL;
        break;
    default:
        break;
    }
}

/* Decimal digits before and behind the point that hold all values of a type. */
static bool digits(const struct mr_type *type, int *whole, int *scale)
{
    static const int integers[] = {
        [MR_TYPE_INT8] = 3, [MR_TYPE_INT16] = 5, [MR_TYPE_INT32] = 10, [MR_TYPE_INT64] = 19};
    if (type->id == MR_TYPE_DECIMAL) {
        *whole = type->precision - type->scale;
        *scale = type->scale;
        return true;
    }
    if (!mr_type_is_integer(type))
        return false;
    *whole = integers[type->id];
    *scale = 0;
    return true;
}

static bool widen_to_decimal(const struct mr_type *from, const struct mr_type *to,
                             struct mr_pq_convert *convert)
{
    int whole, scale;
    if (!digits(from, &whole, &scale) || whole > to->precision - to->scale || scale > to->scale)
        return false;
    convert->multiply = mr_decimal_pow10(to->scale - scale);
    return true;
}

static bool is_bytes(const struct mr_type *type)
{
    return mr_type_is_string(type) || type->id == MR_TYPE_BINARY;
}

/* From the type that the file's column has by itself. */
static bool widens(const struct mr_type *from, const struct mr_type *to,
                   struct mr_pq_convert *convert)
{
    if (mr_type_equal(from, to))
        return true;
    if (is_bytes(from) && is_bytes(to))
        return true;
    switch (to->id) {
    case MR_TYPE_INT16:
    case MR_TYPE_INT32:
    case MR_TYPE_INT64:
        return mr_type_is_integer(from) && from->id < to->id;
    case MR_TYPE_FLOAT64:
        return from->id == MR_TYPE_FLOAT32 || mr_type_is_integer(from);
    case MR_TYPE_DECIMAL:
        return widen_to_decimal(from, to, convert);
    case MR_TYPE_TIMESTAMP_NTZ:
        convert->multiply = MICROS_PER_DAY;
        return from->id == MR_TYPE_DATE;
    case MR_TYPE_TIMESTAMP:
        /* As Spark does: local fields are taken as UTC. The other way round is refused. */
        return from->id == MR_TYPE_TIMESTAMP_NTZ;
    default:
        return false;
    }
}

bool mr_pq_convert_make(const struct mr_pq_node *node, const struct mr_type *type, bool floor,
                        struct mr_pq_convert *out)
{
    *out = (struct mr_pq_convert){.floor = floor};
    describe(node, out);
    out->to = mr_type_layout(type);
    out->to_width = mr_layout_width(out->to);
    out->text = mr_type_is_string(type);
    if (out->from == MR_PQ_IN_NOTHING)
        return true;
    if (!widens(node->type, type, out))
        return false;
    bool same_width = out->width == out->to_width && out->to != MR_LAYOUT_I128;
    bool whole = out->from == MR_PQ_IN_INT32 || out->from == MR_PQ_IN_INT64;
    out->same = same_width && out->multiply == 1 && out->divide == 1 && !out->check &&
                (whole ? out->to == MR_LAYOUT_I32 || out->to == MR_LAYOUT_I64
                       : out->from == MR_PQ_IN_FLOAT || out->from == MR_PQ_IN_DOUBLE ||
                             out->from == MR_PQ_IN_BOOL ||
                             (out->from == MR_PQ_IN_BINARY && out->to == MR_LAYOUT_FIXED16));
    return true;
}

/* ---- the loops ---- */

static int32_t load_i32(const uint8_t *in)
{
    int32_t value;
    memcpy(&value, in, 4);
    return value;
}

static int64_t load_i64(const uint8_t *in)
{
    int64_t value;
    memcpy(&value, in, 8);
    return value;
}

/* Two's complement, highest byte first. False: it has more than 16 bytes that matter. */
static bool load_big_endian(const uint8_t *in, size_t size, mr_int128 *out)
{
    bool negative = size > 0 && (in[0] & 128);
    for (; size > 16; in++, size--)
        if (in[0] != (negative ? 0xff : 0))
            return false;
    mr_uint128 value = negative ? ~(mr_uint128)0 : 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | in[i];
    *out = (mr_int128)value;
    return size < 16 || (*out < 0) == negative;
}

static bool load_int96(const uint8_t *in, bool floor, mr_int128 *out)
{
    int64_t nanos = load_i64(in);
    int64_t day = (int64_t)(uint32_t)load_i32(in + 8) - JULIAN_EPOCH_DAY;
    int64_t micros = nanos / 1000, rest = nanos % 1000;
    if (rest != 0 && !floor)
        return false;
    *out = (mr_int128)day * MICROS_PER_DAY + micros - (rest < 0);
    return true;
}

static bool load_whole(const struct mr_pq_convert *convert, const uint8_t *in, size_t size,
                       mr_int128 *out)
{
    switch (convert->from) {
    case MR_PQ_IN_INT32:
        *out = load_i32(in);
        return true;
    case MR_PQ_IN_UINT32:
        *out = (uint32_t)load_i32(in);
        return true;
    case MR_PQ_IN_INT64:
        *out = load_i64(in);
        return true;
    case MR_PQ_IN_UINT64:
        *out = (uint64_t)load_i64(in);
        return true;
    case MR_PQ_IN_INT96:
        return load_int96(in, convert->floor, out);
    default:
        return load_big_endian(in, size, out);
    }
}

static bool scale(const struct mr_pq_convert *convert, mr_int128 *value)
{
    if (convert->divide > 1) {
        mr_int128 rest = *value % convert->divide;
        *value /= convert->divide;
        if (rest != 0 && !convert->floor)
            return false;
        *value -= rest < 0;
    }
    return !__builtin_mul_overflow(*value, convert->multiply, value);
}

static bool store_whole(enum mr_layout to, mr_int128 value, uint8_t *out)
{
    int64_t low = (int64_t)value;
    double number;
    switch (to) {
    case MR_LAYOUT_I8:
        *out = (uint8_t)low;
        return value == (int8_t)low;
    case MR_LAYOUT_I16:
        memcpy(out, &low, 2);
        return value == (int16_t)low;
    case MR_LAYOUT_I32:
        memcpy(out, &low, 4);
        return value == (int32_t)low;
    case MR_LAYOUT_F64: /* up to 2^53, and what else a double holds exactly */
        number = (double)low;
        memcpy(out, &number, 8);
        return (mr_int128)number == value;
    case MR_LAYOUT_I128:
        memcpy(out, &value, 16);
        return true;
    default:
        memcpy(out, &low, 8);
        return value == low;
    }
}

static bool whole_value(const struct mr_pq_convert *convert, const uint8_t *in, size_t size,
                        uint8_t *out)
{
    mr_int128 value;
    if (!load_whole(convert, in, size, &value))
        return false;
    if (convert->check && (value < convert->low || value > convert->high))
        return false;
    return scale(convert, &value) && store_whole(convert->to, value, out);
}

static double from_half(const uint8_t *in)
{
    uint32_t half = (uint32_t)in[0] | (uint32_t)in[1] << 8;
    int exponent = (int)(half >> 10 & 31);
    uint32_t fraction = half & 1023;
    double value;
    if (exponent == 31)
        value = fraction ? __builtin_nan("") : __builtin_inf();
    else if (exponent == 0)
        value = fraction / 16777216.0;
    else
        value = __builtin_ldexp(1024.0 + fraction, exponent - 25);
    return half & 0x8000 ? -value : value;
}

static void float_value(const struct mr_pq_convert *convert, const uint8_t *in, uint8_t *out)
{
    float narrow;
    double value;
    if (convert->from == MR_PQ_IN_FLOAT16) {
        value = from_half(in);
    } else {
        memcpy(&narrow, in, 4);
        value = (double)narrow;
    }
    narrow = (float)value;
    if (convert->to == MR_LAYOUT_F32)
        memcpy(out, &narrow, 4);
    else
        memcpy(out, &value, 8);
}

static void interval_value(const uint8_t *in, uint8_t *out)
{
    struct mr_interval interval = {load_i32(in), load_i32(in + 4),
                                   (int64_t)(uint32_t)load_i32(in + 8) * 1000};
    memcpy(out, &interval, sizeof interval);
}

/* 32 bits to 64, multiplied by nothing: our own and DuckDB's decimals, widened integers. */
static bool int32_to_int64(const struct mr_pq_convert *convert, const uint8_t *in, int64_t count,
                           uint8_t *out)
{
    int64_t *to = (int64_t *)(void *)out;
    int32_t low = INT32_MAX, high = INT32_MIN;
    for (int64_t i = 0; i < count; i++) {
        int32_t value = load_i32(in + i * 4);
        low = value < low ? value : low;
        high = value > high ? value : high;
        to[i] = value;
    }
    return count == 0 || !convert->check || (low >= convert->low && high <= convert->high);
}

static bool int64_to_int64(const struct mr_pq_convert *convert, const uint8_t *in, int64_t count,
                           uint8_t *out)
{
    int64_t low = (int64_t)convert->low, high = (int64_t)convert->high;
    memcpy(out, in, (size_t)count * 8);
    uint64_t wrong = 0, span = (uint64_t)(high - low);
    for (int64_t i = 0; i < count; i++)
        wrong |= (uint64_t)load_i64(in + i * 8) - (uint64_t)low > span;
    return wrong == 0;
}

static bool big_endian_to_int64(const struct mr_pq_convert *convert, const uint8_t *in,
                                int64_t count, uint8_t *out)
{
    int64_t *to = (int64_t *)(void *)out;
    int64_t low = (int64_t)convert->low, high = (int64_t)convert->high;
    size_t width = (size_t)convert->width;
    bool wrong = false;
    for (int64_t i = 0; i < count; i++, in += width) {
        int64_t value = in[0] & 128 ? -1 : 0;
        for (size_t k = 0; k < width; k++)
            value = (int64_t)((uint64_t)value << 8 | in[k]);
        to[i] = value;
        wrong |= value < low || value > high;
    }
    return !wrong;
}

static bool fast(const struct mr_pq_convert *convert, const uint8_t *in, int64_t count,
                 uint8_t *out, bool *fits)
{
    if (convert->same) {
        memcpy(out, in, (size_t)(count * convert->to_width));
        *fits = true;
        return true;
    }
    if (convert->to != MR_LAYOUT_I64 || convert->multiply != 1 || convert->divide != 1)
        return false;
    if (convert->from == MR_PQ_IN_INT32)
        *fits = int32_to_int64(convert, in, count, out);
    else if (convert->from == MR_PQ_IN_INT64 && convert->high < INT64_MAX / 2)
        *fits = int64_to_int64(convert, in, count, out);
    else if (convert->from == MR_PQ_IN_BIG_ENDIAN && convert->width > 0 && convert->width <= 8)
        *fits = big_endian_to_int64(convert, in, count, out);
    else
        return false;
    return true;
}

bool mr_pq_convert_fixed(const struct mr_pq_convert *convert, const uint8_t *in, int64_t count,
                         uint8_t *out, int64_t *bad)
{
    bool fits;
    *bad = 0;
    if (fast(convert, in, count, out, &fits) && fits)
        return true;
    size_t width = (size_t)convert->width, to = (size_t)convert->to_width;
    for (int64_t i = 0; i < count; i++, in += width, out += to) {
        switch (convert->from) {
        case MR_PQ_IN_BOOL:
            *out = *in;
            break;
        case MR_PQ_IN_FLOAT:
        case MR_PQ_IN_FLOAT16:
            float_value(convert, in, out);
            break;
        case MR_PQ_IN_INTERVAL:
            interval_value(in, out);
            break;
        default:
            if (!whole_value(convert, in, width, out)) {
                *bad = i;
                return false;
            }
        }
    }
    return true;
}

bool mr_pq_convert_bytes(const struct mr_pq_convert *convert, const uint8_t *in, size_t size,
                         uint8_t *out)
{
    return whole_value(convert, in, size, out);
}

/*
 * coerce.c - implicit casts and result types, after Spark 3.5's AnsiTypeCoercion, TypeCoercion and DecimalPrecision.
 *
 * With ANSI on, text meets an integer as BIGINT, a fraction as DOUBLE, anything else as the other type; with ANSI off
 * it meets numbers in comparisons as their type, and in CASE and coalesce everything becomes text. Decimal results keep at
 * least 6 digits behind the point when 38 do not suffice (allowPrecisionLoss = true).
 */
#include "sql/coerce.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

static const int minimum_adjusted_scale = 6;

const struct mr_type *mr_decimal_for(struct mr_arena *arena, const struct mr_type *type)
{
    switch (type->id) {
    case MR_TYPE_INT8:
        return mr_type_decimal(arena, 3, 0);
    case MR_TYPE_INT16:
        return mr_type_decimal(arena, 5, 0);
    case MR_TYPE_INT32:
        return mr_type_decimal(arena, 10, 0);
    case MR_TYPE_INT64:
        return mr_type_decimal(arena, 20, 0);
    default:
        return type;
    }
}

const struct mr_type *mr_decimal_adjust(struct mr_arena *arena, int precision, int scale)
{
    if (precision <= MR_DECIMAL_MAX_PRECISION)
        return mr_type_decimal(arena, precision, scale);
    int whole = precision - scale;
    int least = MIN(scale, minimum_adjusted_scale);
    int adjusted = MAX(MR_DECIMAL_MAX_PRECISION - whole, least);
    return mr_type_decimal(arena, MR_DECIMAL_MAX_PRECISION, adjusted);
}

const struct mr_type *mr_decimal_result(struct mr_arena *arena, char op, const struct mr_type *a,
                                        const struct mr_type *b)
{
    int whole_a = a->precision - a->scale;
    int whole_b = b->precision - b->scale;
    int scale;
    switch (op) {
    case '*':
        return mr_decimal_adjust(arena, a->precision + b->precision + 1, a->scale + b->scale);
    case '/':
        scale = MAX(6, a->scale + b->precision + 1);
        return mr_decimal_adjust(arena, whole_a + b->scale + scale, scale);
    case '%':
        scale = MAX(a->scale, b->scale);
        return mr_decimal_adjust(arena, MIN(whole_a, whole_b) + scale, scale);
    default:
        scale = MAX(a->scale, b->scale);
        return mr_decimal_adjust(arena, MAX(whole_a, whole_b) + scale + 1, scale);
    }
}

static const struct mr_type *wider_decimal(struct mr_arena *arena, const struct mr_type *a,
                                           const struct mr_type *b)
{
    int scale = MAX(a->scale, b->scale);
    int whole = MAX(a->precision - a->scale, b->precision - b->scale);
    return mr_type_decimal(arena, MIN(whole + scale, MR_DECIMAL_MAX_PRECISION),
                           MIN(scale, MR_DECIMAL_MAX_PRECISION));
}

/* FLOAT stays FLOAT beside a FLOAT only; with ANSI off beside an integer as well. */
static bool stays_single(const struct mr_sql_session *session, const struct mr_type *a,
                         const struct mr_type *b)
{
    bool a_single = a->id == MR_TYPE_FLOAT32, b_single = b->id == MR_TYPE_FLOAT32;
    if (session->ansi)
        return a_single && b_single;
    return (a_single || mr_type_is_integer(a)) && (b_single || mr_type_is_integer(b));
}

static const struct mr_type *wider_number(struct mr_arena *arena,
                                          const struct mr_sql_session *session,
                                          const struct mr_type *a, const struct mr_type *b)
{
    if (mr_type_is_float(a) || mr_type_is_float(b)) {
        bool single = stays_single(session, a, b);
        return mr_type_of(single ? MR_TYPE_FLOAT32 : MR_TYPE_FLOAT64);
    }
    if (a->id != MR_TYPE_DECIMAL && b->id != MR_TYPE_DECIMAL)
        return a->id > b->id ? a : b;
    a = mr_decimal_for(arena, a);
    b = mr_decimal_for(arena, b);
    return a && b ? wider_decimal(arena, a, b) : NULL;
}

static const struct mr_type *wider_datetime(const struct mr_type *a, const struct mr_type *b)
{
    if (a->id == MR_TYPE_TIMESTAMP || b->id == MR_TYPE_TIMESTAMP)
        return mr_type_of(MR_TYPE_TIMESTAMP);
    return mr_type_of(MR_TYPE_TIMESTAMP_NTZ);
}

/* Text and something else, with ANSI on. */
static const struct mr_type *ansi_text_with(const struct mr_type *other)
{
    if (mr_type_is_integer(other))
        return mr_type_of(MR_TYPE_INT64);
    if (mr_type_is_numeric(other))
        return mr_type_of(MR_TYPE_FLOAT64);
    return mr_type_is_nested(other) ? NULL : other;
}

static const struct mr_type *common_nested(struct mr_arena *arena,
                                           const struct mr_sql_session *session,
                                           const struct mr_type *a, const struct mr_type *b)
{
    if (a->id != b->id || a->nfields != b->nfields)
        return NULL;
    struct mr_field *fields = mr_arena_calloc(arena, (size_t)a->nfields + 1, sizeof(*fields));
    if (fields == NULL)
        return NULL;
    for (int i = 0; i < a->nfields; i++) {
        fields[i] = a->fields[i];
        fields[i].type = mr_common_type(arena, session, a->fields[i].type, b->fields[i].type);
        fields[i].nullable = a->fields[i].nullable || b->fields[i].nullable;
        if (fields[i].type == NULL)
            return NULL;
    }
    if (a->id == MR_TYPE_LIST)
        return mr_type_list(arena, fields[0].type, fields[0].nullable);
    if (a->id == MR_TYPE_MAP)
        return mr_type_map(arena, fields[0].type, fields[1].type, fields[1].nullable);
    return mr_type_struct(arena, fields, a->nfields);
}

/* The rules that do not depend on where the operands meet; NULL when they say nothing. */
static const struct mr_type *tightest(struct mr_arena *arena, const struct mr_sql_session *session,
                                      const struct mr_type *a, const struct mr_type *b)
{
    if (mr_type_equal(a, b) || b->id == MR_TYPE_NULL)
        return a;
    if (a->id == MR_TYPE_NULL)
        return b;
    if (mr_type_is_numeric(a) && mr_type_is_numeric(b))
        return wider_number(arena, session, a, b);
    if (mr_type_is_datetime(a) && mr_type_is_datetime(b))
        return wider_datetime(a, b);
    if (mr_type_is_string(a) && mr_type_is_string(b))
        return mr_type_of(MR_TYPE_STRING);
    if (mr_type_is_nested(a) && mr_type_is_nested(b))
        return common_nested(arena, session, a, b);
    return NULL;
}

const struct mr_type *mr_common_type(struct mr_arena *arena, const struct mr_sql_session *session,
                                     const struct mr_type *a, const struct mr_type *b)
{
    const struct mr_type *type = tightest(arena, session, a, b);
    if (type != NULL || mr_type_is_nested(a) || mr_type_is_nested(b))
        return type;
    if (!mr_type_is_string(a) && !mr_type_is_string(b))
        return NULL;
    const struct mr_type *other = mr_type_is_string(a) ? b : a;
    if (session->ansi)
        return ansi_text_with(other);
    bool kept = other->id == MR_TYPE_BOOL || other->id == MR_TYPE_BINARY;
    return kept ? NULL : mr_type_of(MR_TYPE_STRING);
}

const struct mr_type *mr_comparison_type(struct mr_arena *arena,
                                         const struct mr_sql_session *session,
                                         const struct mr_type *a, const struct mr_type *b)
{
    const struct mr_type *type = tightest(arena, session, a, b);
    if (type != NULL || mr_type_is_nested(a) || mr_type_is_nested(b))
        return type;
    if (mr_type_is_string(a) || mr_type_is_string(b)) {
        const struct mr_type *other = mr_type_is_string(a) ? b : a;
        if (session->ansi)
            return ansi_text_with(other);
        return other->id == MR_TYPE_DECIMAL ? mr_type_of(MR_TYPE_FLOAT64) : other;
    }
    if (!session->ansi && a->id == MR_TYPE_BOOL && mr_type_is_numeric(b))
        return b;
    if (!session->ansi && b->id == MR_TYPE_BOOL && mr_type_is_numeric(a))
        return a;
    return NULL;
}

bool mr_type_is_orderable(const struct mr_type *type)
{
    if (type->id == MR_TYPE_MAP)
        return false;
    for (int i = 0; i < type->nfields; i++) {
        if (!mr_type_is_orderable(type->fields[i].type))
            return false;
    }
    return true;
}

static bool can_cast_scalar(const struct mr_type *from, const struct mr_type *to)
{
    bool number_from = mr_type_is_numeric(from), number_to = mr_type_is_numeric(to);
    if (mr_type_is_string(to))
        return true;
    if (mr_type_is_string(from))
        return true;
    switch (from->id) {
    case MR_TYPE_BOOL:
        return number_to;
    case MR_TYPE_DATE:
    case MR_TYPE_TIMESTAMP_NTZ:
        return mr_type_is_datetime(to);
    case MR_TYPE_TIMESTAMP:
        return mr_type_is_datetime(to) || number_to;
    case MR_TYPE_BINARY:
        return to->id == MR_TYPE_UUID;
    case MR_TYPE_UUID:
        return to->id == MR_TYPE_BINARY;
    case MR_TYPE_TIME:
    case MR_TYPE_INTERVAL:
        return false;
    default:
        if (!number_from)
            return false;
        return number_to || to->id == MR_TYPE_BOOL || to->id == MR_TYPE_TIMESTAMP;
    }
}

bool mr_can_cast(const struct mr_type *from, const struct mr_type *to)
{
    if (from->id == MR_TYPE_NULL || mr_type_equal(from, to))
        return true;
    if (to->id == MR_TYPE_NULL)
        return false;
    if (mr_type_is_nested(to)) {
        if (from->id != to->id || from->nfields != to->nfields)
            return false;
        for (int i = 0; i < to->nfields; i++) {
            if (!mr_can_cast(from->fields[i].type, to->fields[i].type))
                return false;
        }
        return true;
    }
    if (mr_type_is_nested(from))
        return mr_type_is_string(to);
    return can_cast_scalar(from, to);
}

bool mr_can_cast_legacy(const struct mr_type *from, const struct mr_type *to)
{
    switch (from->id) {
    case MR_TYPE_BOOL:
        return to->id == MR_TYPE_TIMESTAMP;
    case MR_TYPE_DATE:
        return to->id == MR_TYPE_BOOL || mr_type_is_numeric(to);
    case MR_TYPE_TIMESTAMP:
        return to->id == MR_TYPE_BOOL;
    default:
        return mr_type_is_integer(from) && to->id == MR_TYPE_BINARY;
    }
}

bool mr_can_cast_implicitly(const struct mr_type *from, const struct mr_type *to)
{
    if (!mr_can_cast(from, to))
        return false;
    if (from->id == MR_TYPE_NULL || mr_type_equal(from, to))
        return true;
    if (mr_type_is_nested(from) || mr_type_is_nested(to))
        return mr_type_is_nested(to);
    if (mr_type_is_string(from))
        return to->id != MR_TYPE_BOOL;
    if (mr_type_is_string(to))
        return true;
    if (mr_type_is_numeric(from))
        return mr_type_is_numeric(to);
    return mr_type_is_datetime(from) && mr_type_is_datetime(to);
}

/* Digits in front of the point that an integer type needs. */
static int integer_digits(const struct mr_type *type)
{
    static const int digits[] = {3, 5, 10, 19};
    return digits[type->id - MR_TYPE_INT8];
}

static bool number_cast_can_fail(const struct mr_type *from, const struct mr_type *to)
{
    if (to->id == MR_TYPE_BOOL || mr_type_is_float(to))
        return false;
    if (to->id == MR_TYPE_DECIMAL) {
        int whole = to->precision - to->scale;
        if (from->id == MR_TYPE_DECIMAL)
            return whole < from->precision - from->scale + (to->scale < from->scale);
        return !mr_type_is_integer(from) || whole < integer_digits(from);
    }
    if (mr_type_is_integer(to) && mr_type_is_integer(from))
        return to->id < from->id;
    return true;
}

bool mr_cast_can_fail(const struct mr_type *from, const struct mr_type *to)
{
    if (mr_type_equal(from, to) || from->id == MR_TYPE_NULL)
        return false;
    if (mr_type_is_nested(to)) {
        for (int i = 0; i < to->nfields; i++) {
            if (mr_cast_can_fail(from->fields[i].type, to->fields[i].type))
                return true;
        }
        return false;
    }
    if (mr_type_is_string(to))
        return from->id == MR_TYPE_BINARY;
    if (mr_type_is_string(from))
        return to->id != MR_TYPE_BINARY;
    if (from->id == MR_TYPE_BOOL)
        return to->id == MR_TYPE_DECIMAL && to->precision == to->scale;
    if (mr_type_is_numeric(from))
        return number_cast_can_fail(from, to);
    /* Days reach further than microseconds do. */
    if (mr_type_is_datetime(from) && mr_type_is_datetime(to))
        return from->id == MR_TYPE_DATE;
    return from->id != MR_TYPE_UUID;
}
